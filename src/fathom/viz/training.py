"""The page of a training run: curves, scores, pictures, settings."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from fathom.viz.color import nice_ticks, tick_labels
from fathom.viz.report import Report

Curve = tuple[str, Sequence[tuple[float, float]]]
"""A label and its (x, y) points."""
_COLORS = ("#2f6fc4", "#d5672b", "#2c9a63", "#9a4bb0", "#8a6d1f", "#c23b5e")
_WIDTH, _HEIGHT = 520, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 10, 34
_MOST_POINTS = 600


def training_report(
    info: Mapping[str, Any],
    entries: Sequence[Mapping[str, Any]],
    pictures: Mapping[str, bytes],
) -> str:
    """One HTML page, nothing outside itself.

    info: what run.json says. entries: lines of log.jsonl; those with `validation` are scores, the
    others training. pictures: PNG files by name.
    """
    steps = [e for e in entries if "validation" not in e]
    scores = [e for e in entries if "validation" in e]
    report = Report(f"Training {info.get('name', '')}", f"started {info.get('started', '')}")
    report.add_facts(_headline(steps, scores))
    report.section("Training")
    if steps:
        report.add_svg(curves_svg([("loss", _points(steps, "loss"))], "loss", log=True))
        if any(e.get("epe") is not None for e in steps):
            report.add_svg(curves_svg([("EPE", _points(steps, "epe"))], "EPE, px", log=True))
            report.add_svg(curves_svg([("bad-2", _points(steps, "bad_2", 100))], "bad-2, %"))
    else:
        report.add_text("No step has been logged yet.")
    if scores:
        _validations(report, scores)
    if pictures:
        report.section("Predictions of the newest validation")
        for name, picture in pictures.items():
            report.add_picture(picture, alt=name)
    report.section("Settings")
    tables = {k: info[k] for k in ("experiment", "machine", "versions") if k in info}
    report.add_columns(tables)
    return report.html()


def curves_svg(curves: Sequence[Curve], unit: str, *, log: bool = False) -> str:
    """Curves over the steps as an SVG; `log`: the y axis is logarithmic where all y are > 0."""
    thin = [(label, _thinned(points)) for label, points in curves]
    xs = [x for _, points in thin for x, _ in points]
    ys = [y for _, points in thin for _, y in points]
    log = log and bool(ys) and min(ys) > 0
    x_range, y_range = _range(xs, False), _range(ys, log)

    def place(x: float, y: float) -> str:
        across = (x - x_range[0]) / (x_range[1] - x_range[0])
        up = (_bent(y, log) - y_range[0]) / (y_range[1] - y_range[0])
        return (
            f"{_LEFT + across * (_WIDTH - _LEFT - _RIGHT):.1f},"
            f"{_HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM):.1f}"
        )

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" '
        f'aria-label="{escape(unit)} over the steps" font-size="11" fill="currentColor">',
        *_axes(x_range, y_range, unit, log),
    ]
    for i, (label, points) in enumerate(thin):
        color = _COLORS[i % len(_COLORS)]
        line = " ".join(place(x, y) for x, y in points)
        parts.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.6" points="{line}"/>')
        if len(thin) > 1:
            x = _LEFT + 8
            parts.append(f'<text x="{x}" y="{_TOP + 14 * (i + 1)}" fill="{color}">')
            parts.append(f"{escape(label)}</text>")
    return "".join([*parts, "</svg>"])


def _headline(
    steps: Sequence[Mapping[str, Any]], scores: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    facts = {}
    if steps:
        last = steps[-1]
        facts = {"steps": str(last["step"]), "loss": _number(last.get("loss"))}
        facts["time"] = f"{sum(e.get('seconds') or 0 for e in steps) / 3600:.2f} h"
        skipped = last.get("skipped", 0)
        if skipped:
            facts["batches skipped"] = str(skipped)
    newest: dict[str, Mapping[str, Any]] = {str(e["validation"]): e for e in scores}
    for name, entry in newest.items():
        for metric, value in list(entry["numbers"].items())[:2]:
            facts[f"{name}: {metric}"] = _number(value)
    return facts


def _validations(report: Report, scores: Sequence[Mapping[str, Any]]) -> None:
    report.section("Validation")
    names = list(dict.fromkeys(str(e["validation"]) for e in scores))
    metrics = list(dict.fromkeys(m for e in scores for m in e["numbers"]))
    for metric in metrics:
        curves = []
        for name in names:
            own = [e for e in scores if e["validation"] == name]
            points = [(e["step"], e["numbers"].get(metric)) for e in own]
            curves.append((name, [(x, y) for x, y in points if y is not None]))
        report.add_svg(curves_svg(curves, metric))
    rows = [
        [e["step"], e["validation"], *(_number(e["numbers"].get(m)) for m in metrics), e["heading"]]
        for e in scores
    ]
    report.add_table(["step", "validation", *metrics, "protocol"], rows)


def _axes(
    x_range: tuple[float, float], y_range: tuple[float, float], unit: str, log: bool
) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    xs = nice_ticks(*x_range, 5)
    for value, label in zip(xs, tick_labels(xs), strict=True):
        x = _LEFT + (value - x_range[0]) / (x_range[1] - x_range[0]) * (right - _LEFT)
        parts.append(f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{label}</text>')
    if log:
        ys = [y_range[0] + i * (y_range[1] - y_range[0]) / 4 for i in range(5)]
        labels = [f"{10**y:.3g}" for y in ys]
    else:
        ys = nice_ticks(*y_range, 5)
        labels = tick_labels(ys)
    for value, label in zip(ys, labels, strict=True):
        up = (value - y_range[0]) / (y_range[1] - y_range[0])
        y = bottom - up * (bottom - _TOP)
        parts.append(
            f'<line x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor" '
            f'stroke-opacity="0.15"/><text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
            f"{label}</text>"
        )
    parts.append(f'<text x="{right}" y="{_HEIGHT - 4}" text-anchor="end">step</text>')
    parts.append(f'<text x="{_LEFT}" y="{_HEIGHT - 4}">{escape(unit)}</text>')
    return parts


def _points(
    entries: Sequence[Mapping[str, Any]], key: str, factor: float = 1
) -> list[tuple[float, float]]:
    return [(e["step"], factor * e[key]) for e in entries if e.get(key) is not None]


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `_MOST_POINTS`: means of neighbours, as many as needed."""
    share = math.ceil(len(points) / _MOST_POINTS)
    if share <= 1:
        return list(points)
    groups = [points[i : i + share] for i in range(0, len(points), share)]
    return [(g[-1][0], sum(y for _, y in g) / len(g)) for g in groups]


def _range(values: Sequence[float], log: bool) -> tuple[float, float]:
    bent = [_bent(v, log) for v in values] or [0.0]
    low, high = min(bent), max(bent)
    room = (high - low) * 0.04 or 0.5
    return (low, high + 1e-9) if high - low > 0 and not log else (low - room, high + room)


def _bent(value: float, log: bool) -> float:
    return math.log10(value) if log else value


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}"
