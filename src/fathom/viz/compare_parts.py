"""What the reports of comparisons share: findings, numbers in cells, and which are the best."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

REGIONS = (
    "textureless, repetitive, bright and dark from the image; reflective, transparent, moving and "
    "shadow only from masks of the data"
)
"""Where regions come from that the truth does not tell."""
_MOST_FAILURES = 20


def common_findings(info: Mapping[str, Any], noun: str, ranking: str) -> list[dict[str, Any]]:
    """An interruption, failures, and methods that were judged on different inputs. noun: of the
    inputs, in the plural. ranking: which ranking counts only those that all have done."""
    found: list[dict[str, Any]] = []
    if info["interrupted"]:
        first = f"{info['samples']} of {info['asked_for']} {noun}"
        found.append({"message": f"Interrupted: these are the first {first}."})
    for failure in info["failures"][:_MOST_FAILURES]:
        who = ", ".join(part for part in (failure["sample"], failure["method"]) if part)
        found.append({"code": "failed", "message": f"{who}: {failure['error']}"})
    more = len(info["failures"]) - _MOST_FAILURES
    if more > 0:
        found.append({"message": f"{more} more failures stand in result.json"})
    done = {label: m["samples"] for label, m in info["methods"].items() if m["samples"]}
    if len(set(done.values())) > 1:
        counts = ", ".join(f"{label} {count}" for label, count in done.items())
        found.append(
            {
                "message": f"Methods were judged on different {noun} ({counts}), so their means "
                f"are not of the same; {ranking} counts only the {noun} that all have done"
            }
        )
    return found


def best(values: Sequence[float | None], way: str) -> set[int]:
    """Indices of the best values; of none where there is no choice."""
    known = {i: v for i, v in enumerate(values) if v is not None and math.isfinite(v)}
    if len(known) < 2 or way not in ("lower", "higher") or len(set(known.values())) == 1:
        return set()
    wanted = (min if way == "lower" else max)(known.values())
    return {i for i, v in known.items() if v == wanted}


def best_cells(
    values: Sequence[Sequence[float | None]], ways: Sequence[str], first: int
) -> set[tuple[int, int]]:
    """(row, column) of the best value of each column. values: rows of numbers. first: the column
    that the first number stands in."""
    return {
        (i, first + j)
        for j, way in enumerate(ways)
        for i in best([row[j] for row in values], way)
    }  # fmt: skip


def metric_heads(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of metrics with their units."""
    return [f"{m['name']} {m['unit']}".strip() for m in metrics]


def memory(megabytes: float | None) -> str:
    """For a cell; "-" where the system did not tell."""
    return "-" if megabytes is None else f"{megabytes:.0f} MB"


def number(value: float | None, unit: str, digits: str = ".3f") -> str:
    """For a cell: shares in percent with two digits after the point, all else as `digits` says; "-"
    for what is not known."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{100 * value:.2f}" if unit == "%" else format(value, digits)
