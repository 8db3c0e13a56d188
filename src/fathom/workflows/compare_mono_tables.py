"""The numbers of mono against stereo as files and as one plain value for JSON and the report."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fathom.catalog import entry, settings
from fathom.eval.scores import Scores
from fathom.workflows.compare_methods import Method
from fathom.workflows.compare_mono_judge import (
    QUANTITIES,
    SIMILARITIES,
    MonoTotals,
    MonoVerdict,
    rules,
)
from fathom.workflows.compare_mono_summary import mono_summary
from fathom.workflows.csv_files import CsvFiles
from fathom.workflows.depth import versions


class MonoTables:
    """scores.csv and regions.csv, written as frames come: nothing of them is kept. files: what
    closes them."""

    def __init__(self, files: CsvFiles, folder: Path, threshold: float) -> None:
        metrics = [m for q in QUANTITIES for m in rules(q, threshold).metrics]
        self._metrics = tuple(dict.fromkeys(metrics))
        self._scores = files.open(
            folder / "scores.csv",
            (
                *("frame", "method", "task", "quantity", "protocol", "mask", "aligned", "fit"),
                *("pixels", "known", *self._metrics, "ssim", "ssim-8-bit", "ssim-data-range"),
                *("seconds", "memory-mb"),
            ),
        )
        self._regions = files.open(
            folder / "regions.csv",
            (
                *("frame", "method", "quantity", "region", "pixels", "share", "error", "bad"),
                "known",
            ),
        )

    def add(self, frame: str, verdicts: Mapping[str, MonoVerdict]) -> None:
        """The lines of one frame."""
        for label, verdict in verdicts.items():
            head = {"frame": frame, "method": label, "task": verdict.task}
            head |= {"aligned": verdict.placed.how, "fit": verdict.placed.fit}
            cost = {"seconds": _short(verdict.seconds), "memory-mb": _short(verdict.memory_mb)}
            for quantity, scores in verdict.scores.items():
                alike = _similarity_cells(verdict, quantity)
                for one in scores:
                    cells = self._cells(one) | {"quantity": quantity}
                    self._scores.writerow({**head, **cells, **alike, **cost})
            if not verdict.scores:
                self._scores.writerow({**head, **cost})
            for quantity, rows in verdict.regions.items():
                for row in rows:
                    values = {k: _short(v) if isinstance(v, float) else v
                              for k, v in asdict(row).items()}  # fmt: skip
                    region = values.pop("name")
                    place = {"frame": frame, "method": label, "quantity": quantity}
                    self._regions.writerow({**place, "region": region, **values})

    def _cells(self, scores: Scores) -> dict[str, Any]:
        cells: dict[str, Any] = {m: _short(scores.values.get(m)) for m in self._metrics}
        return cells | {
            "protocol": scores.protocol.name,
            "mask": scores.mask,
            "pixels": scores.pixels,
            "known": _short(scores.known),
        }


def _similarity_cells(verdict: MonoVerdict, quantity: str) -> dict[str, str]:
    ours = verdict.similarity.get(quantity)
    picture = verdict.similarity.get(f"{quantity} 8-bit")
    return {
        "ssim": _short(None if ours is None else ours.score),
        "ssim-8-bit": _short(None if picture is None else picture.score),
        "ssim-data-range": _short(None if ours is None else ours.data_range),
    }


def _short(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.6g}"


def mono_info(
    totals: Mapping[str, MonoTotals],
    methods: Mapping[str, Method],
    estimators: Mapping[str, Any],
    threshold: float,
    failed: Mapping[str, str],
) -> dict[str, Any]:
    """What result.json says of the numbers; plain values only. failed: methods that answered on no
    frame, with the reason."""
    done = {label: t for label, t in totals.items() if t.done}
    return {
        "format": "fathom-result",
        "version": 1,
        "kind": "mono-comparison",
        "title": "Depth from one view against stereo" if _both(totals) else "Depth from one view",
        "protocols": {q: _protocol(q, threshold) for q in QUANTITIES},
        "methods": {
            label: {
                "name": methods[label].name,
                "task": t.task,
                "ambiguity": entry(methods[label].name).ambiguity,
                "aligned": t.aligned,
                "samples": t.done,
                "seconds_median": t.median("seconds"),
                "memory_mb": t.memory_mb,
                "parameters": settings(estimators.get(label)),
            }
            for label, t in totals.items()
        },
        "scores": {
            q: found for q in QUANTITIES if (found := _scores(done, q, rules(q, threshold).masks))
        },
        "ssim": _ssim(done),
        "regions": {q: found for q in QUANTITIES if (found := _regions(done, q))},
        "summary": mono_summary(totals, failed),
        "versions": versions(),
    }


def _both(totals: Mapping[str, MonoTotals]) -> bool:
    return any(t.task == "stereo" for t in totals.values())


def _protocol(quantity: str, threshold: float) -> dict[str, Any]:
    chosen = rules(quantity, threshold)
    return {
        "name": chosen.name,
        "rules": chosen.rules(),
        "metrics": [
            {"name": m.name, "unit": m.unit, "better": m.better, "text": m.text}
            for m in chosen.measures
        ],
    }


def _scores(
    totals: Mapping[str, MonoTotals], quantity: str, masks: Sequence[str]
) -> dict[str, dict[str, Any]]:
    tables: dict[str, dict[str, Any]] = {}
    for mask in masks:
        found = {label: t.totals(quantity, mask) for label, t in totals.items()}
        rows = {
            label: {**f.as_dict(), "values": dict(f.published)}
            for label, f in found.items()
            if f is not None
        }
        if rows:
            tables[mask] = rows
    return tables


def _ssim(totals: Mapping[str, MonoTotals]) -> dict[str, dict[str, float | None]]:
    rows = {k: {n: t.mean(f"ssim {n}") for n in SIMILARITIES} for k, t in totals.items()}
    names = [n for n in SIMILARITIES if any(row[n] is not None for row in rows.values())]
    return {k: {n: row[n] for n in names} for k, row in rows.items()} if names else {}


def _regions(totals: Mapping[str, MonoTotals], quantity: str) -> dict[str, Any]:
    tables = {label: t.regions(quantity) for label, t in totals.items()}
    names = list(dict.fromkeys(name for table in tables.values() for name in table))
    return {
        name: {label: asdict(table[name]) for label, table in tables.items() if name in table}
        for name in names
    }
