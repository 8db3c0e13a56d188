"""The numbers of a comparison as files and as one plain value for JSON and the report."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fathom.eval.protocol import Protocol
from fathom.eval.similarity import Similarity
from fathom.workflows.compare_judge import AGREE, Consistency, Verdict
from fathom.workflows.compare_methods import Matcher, Method, described
from fathom.workflows.compare_summary import summary
from fathom.workflows.compare_totals import CONSISTENCY, MethodTotals
from fathom.workflows.csv_files import CsvFiles
from fathom.workflows.depth import versions

_CONSISTENCY_COLUMNS = ("inconsistency", "photometric", "left-right", "measured")


class Tables:
    """scores.csv and regions.csv, written as samples come: nothing of them is kept. files: what
    closes them."""

    def __init__(self, files: CsvFiles, folder: Path, rules: Protocol) -> None:
        self._metrics = tuple(m.name for m in rules.measures)
        self._scores = files.open(
            folder / "scores.csv",
            (
                *("sample", "method", "protocol", "mask", "pixels", "known", *self._metrics),
                *("ssim", "ssim-data-range", "ssim-left-out", *_CONSISTENCY_COLUMNS),
                *("seconds", "memory-mb"),
            ),
        )
        self._regions = files.open(
            folder / "regions.csv",
            ("sample", "method", "region", "pixels", "share", "bad", "epe", "known"),
        )

    def add(self, sample: str, verdicts: Mapping[str, Verdict]) -> None:
        """The lines of one sample."""
        for label, verdict in verdicts.items():
            cost = {
                "seconds": _short(verdict.run.seconds),
                "memory-mb": _short(verdict.run.memory_mb),
            }
            whole = {
                **_similarity_cells(verdict.similarity),
                **_consistency_cells(verdict.consistency),
                **cost,
            }
            head = {"sample": sample, "method": label}
            for scores in verdict.scores:
                row = {k: _short(v) if isinstance(v, float) else v for k, v in scores.row().items()}
                self._scores.writerow({**whole, **row, **head})
            if not verdict.scores:
                self._scores.writerow({**whole, **head})
            for region in verdict.regions:
                cells = {
                    k: _short(v) if isinstance(v, float) else v for k, v in asdict(region).items()
                }
                self._regions.writerow({"region": cells.pop("name"), **cells, **head})


def _similarity_cells(found: Similarity | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {
        "ssim": _short(found.score),
        "ssim-data-range": _short(found.data_range),
        "ssim-left-out": _short(found.left_out),
    }


def _consistency_cells(found: Consistency | None) -> dict[str, Any]:
    if found is None:
        return {}
    values = (getattr(found, name) for name in CONSISTENCY)
    return {k: _short(v) for k, v in zip(_CONSISTENCY_COLUMNS, values, strict=True)}


def _short(value: float | None) -> str:
    return "" if value is None or np.isnan(value) else f"{value:.6g}"


def comparison_info(
    totals: Mapping[str, MethodTotals],
    methods: Mapping[str, Method],
    matchers: Mapping[str, Matcher],
    rules: Protocol,
    *,
    samples: int,
    threshold: float,
) -> dict[str, Any]:
    """What result.json says of the numbers; plain values only."""
    masks = [m for m in rules.masks if any(m in t.masks() for t in totals.values())]
    return {
        "format": "fathom-result",
        "version": 1,
        "kind": "comparison",
        "title": "Comparison of " + ", ".join(totals),
        "samples": samples,
        "protocol": {
            "name": rules.name,
            "summary": rules.summary,
            "rules": rules.rules(),
            "source": rules.source,
            "mean": rules.mean,
            "metrics": [
                {"name": m.name, "unit": m.unit, "better": m.better, "text": m.text}
                for m in rules.measures
            ],
        },
        "threshold_px": threshold,
        "methods": {
            label: {
                "name": methods[label].name,
                "samples": t.done,
                "seconds_median": t.median("seconds"),
                "mpx_per_second": _speed(t),
                "memory_mb": t.memory_mb,
                "parameters": described(matchers[label]),
            }
            for label, t in totals.items()
        },
        "scores": {mask: _of_mask(totals, mask) for mask in masks},
        "ssim": _ssim(totals),
        "regions": _regions(totals),
        "consistency": _consistency(totals),
        "summary": summary(totals, rules, threshold),
        "versions": versions(),
    }


def _speed(t: MethodTotals) -> float | None:
    seconds, pixels = t.series("seconds"), t.series("pixels")
    total = float(np.nansum(seconds))
    return float(np.nansum(pixels)) / 1e6 / total if total > 0 else None


def _of_mask(totals: Mapping[str, MethodTotals], mask: str) -> dict[str, Any]:
    found = {label: t.totals(mask) for label, t in totals.items()}
    return {
        label: {**f.as_dict(), "values": dict(f.published)}
        for label, f in found.items()
        if f is not None
    }


def _ssim(totals: Mapping[str, MethodTotals]) -> dict[str, Any]:
    found = {}
    for label, t in totals.items():
        if t.mean("ssim") is not None:
            found[label] = {
                "mean": t.mean("ssim"),
                "data_range_px": t.mean("ssim range"),
                "left_out": t.mean("ssim left out"),
            }
    return found


def _regions(totals: Mapping[str, MethodTotals]) -> dict[str, Any]:
    tables = {label: t.regions() for label, t in totals.items()}
    names = list(dict.fromkeys(name for table in tables.values() for name in table))
    found: dict[str, Any] = {}
    for name in names:
        rows = {label: asdict(table[name]) for label, table in tables.items() if name in table}
        if any(row["pixels"] for row in rows.values()):
            found[name] = rows
    return found


def _consistency(totals: Mapping[str, MethodTotals]) -> dict[str, Any]:
    found = {
        label: dict(zip(_CONSISTENCY_COLUMNS, (t.mean(name) for name in CONSISTENCY), strict=True))
        for label, t in totals.items()
    }
    rows = {k: v for k, v in found.items() if v["inconsistency"] is not None}
    return {"agree_px": AGREE, "methods": rows} if rows else {}
