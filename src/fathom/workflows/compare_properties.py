"""The table of properties of a comparison: what each model is good at, measured and not claimed."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fathom.core.arrays import Array
from fathom.eval.measures import Measure
from fathom.workflows.compare_mono_judge import QUANTITIES, MonoTotals, headline

_LEAST_FRAMES = 3
"""Frames below which no third of them is called complex."""


@dataclass(frozen=True)
class Property:
    """One row of the table.

    name, unit, better: as of a measure. text: what was measured. values: by method, None where
    there is nothing. why: why nothing was measured, "" where something was.
    """

    name: str
    unit: str
    better: Literal["lower", "higher"]
    text: str
    values: Mapping[str, float | None]
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "unit": self.unit,
            "better": self.better,
            "text": self.text,
            "values": dict(self.values),
            "why": self.why,
        }


def properties(
    totals: Mapping[str, MonoTotals], edge_shares: Sequence[float], groups: Sequence[str]
) -> list[Property]:
    """Fine detail, transparent and reflective surfaces, complex scenes, speed and transfer.

    edge_shares: of each frame, `Frame.edge_share`. groups: of each frame, "" for none.
    """
    chosen = headline(totals)
    rows = [*_fine(totals, chosen)]
    rows += [_material(totals, chosen, name) for name in ("transparent", "reflective")]
    rows += _complex(totals, chosen, np.asarray(edge_shares, np.float64))
    text = "median seconds a frame on this machine, after loading"
    rows.append(
        Property("speed", "s", "lower", text, {k: t.median("seconds") for k, t in totals.items()})
    )
    return [*rows, _transfer(totals, chosen, groups)]


def by_group(totals: Mapping[str, MonoTotals], groups: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The headline error of every group: group -> {"frames": n, "values": method -> mean}. Empty
    for fewer than two groups."""
    chosen = headline(totals)
    names = list(dict.fromkeys(g for g in groups if g))
    if chosen is None or len(names) < 2:
        return {}
    found = {}
    for name in names:
        inside = np.array([g == name for g in groups])
        values = {k: _mean(t.series(chosen[0])[inside]) for k, t in totals.items()}
        found[name] = {"frames": int(inside.sum()), "values": values}
    return found


def _fine(totals: Mapping[str, MonoTotals], chosen: tuple[str, Measure] | None) -> list[Property]:
    what = QUANTITIES[0] if chosen is None else chosen[0].split()[0]
    values = {k: t.mean(f"{what} boundary-f1") for k, t in totals.items()}
    text = "depth-edge F1, edges met to the pixel (Depth Pro's measure), mean of frames"
    rows = [_row("fine detail", "%", "higher", text, values, "there is no truth")]
    flying = {k: t.mean("disparity flying") for k, t in totals.items()}
    if any(v is not None for v in flying.values()):
        text = "share of the pixels beside a true step > 2 px that hang between both surfaces"
        rows.append(_row("fine detail: flying pixels", "%", "lower", text, flying, ""))
    return rows


def _material(
    totals: Mapping[str, MonoTotals], chosen: tuple[str, Measure] | None, name: str
) -> Property:
    if chosen is None:
        return Property(name, "", "lower", "", dict.fromkeys(totals), "there is no truth")
    quantity, measure = chosen[0].split()[0], chosen[1]
    found = {k: t.regions(quantity).get(name) for k, t in totals.items()}
    values = {k: None if row is None else row.error for k, row in found.items()}
    pixels = max((row.pixels for row in found.values() if row is not None), default=0)
    text = f"{measure.name} over the {pixels} pixels with truth that the masks call {name}"
    why = f"no frame has a mask of {name} surfaces"
    return _row(name, measure.unit, "lower", text, values, why)


def _complex(
    totals: Mapping[str, MonoTotals], chosen: tuple[str, Measure] | None, shares: Array
) -> list[Property]:
    """The error on the third of the frames with most depth edges, and times that on the rest."""
    name = "complex scenes"
    told = np.isfinite(shares)
    if chosen is None or np.count_nonzero(told) < _LEAST_FRAMES:
        why = (
            "there is no truth"
            if chosen is None
            else f"it takes {_LEAST_FRAMES} frames with a dense truth to call some complex"
        )
        return [Property(name, "", "lower", "", dict.fromkeys(totals), why)]
    order = np.argsort(np.where(told, -shares, np.inf), kind="stable")
    count = math.ceil(np.count_nonzero(told) / 3)
    complex_ones = np.zeros(shares.size, dtype=np.bool_)
    complex_ones[order[:count]] = True
    rest = told & ~complex_ones
    key, measure = chosen
    most = {k: _mean(t.series(key)[complex_ones]) for k, t in totals.items()}
    others = {k: _mean(t.series(key)[rest]) for k, t in totals.items()}
    text = (
        f"{measure.name} on the {count} of {np.count_nonzero(told)} frames with most depth edges "
        f"({shares[complex_ones].min():.0%} of the pixels near one, or more)"
    )
    times = "the same, as a multiple of the error on the other frames"
    return [
        _row(name, measure.unit, "lower", text, most, "no frame was scored"),
        _row(f"{name}: times the rest", "", "lower", times, _ratios(most, others), "error is 0"),
    ]


def _transfer(
    totals: Mapping[str, MonoTotals], chosen: tuple[str, Measure] | None, groups: Sequence[str]
) -> Property:
    found = by_group(totals, groups)
    if not found or chosen is None:
        why = "it takes two or more data sets, or folders of one, with truth"
        return Property("transfer", "", "lower", "", dict.fromkeys(totals), why)

    def spread(label: str, pick: Callable[[list[float]], float]) -> float | None:
        values = [row["values"][label] for row in found.values()]
        known = [v for v in values if v is not None]
        return pick(known) if len(known) == len(found) else None

    worst = {label: spread(label, max) for label in totals}
    best = {label: spread(label, min) for label in totals}
    text = f"{chosen[1].name} on the worst of {len(found)} groups over that on the best; 1 = alike"
    why = "no method was scored on every group"
    return _row("transfer", "", "lower", text, _ratios(worst, best), why)


def _ratios(
    a: Mapping[str, float | None], b: Mapping[str, float | None]
) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for label, top in a.items():
        below = b[label]
        found[label] = None if top is None or not below else top / below
    return found


def _mean(values: Array) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def _row(
    name: str,
    unit: str,
    better: Literal["lower", "higher"],
    text: str,
    values: Mapping[str, float | None],
    why: str,
) -> Property:
    """A row, with `why` only where nothing was measured."""
    plain = {k: v if v is not None and math.isfinite(v) else None for k, v in values.items()}
    return Property(name, unit, better, text, plain, "" if _any(plain) else why)


def _any(values: Mapping[str, float | None]) -> bool:
    return any(v is not None for v in values.values())
