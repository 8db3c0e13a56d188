"""Groups of horizontal bars, drawn as SVG for the report."""

import math
from collections.abc import Sequence
from html import escape

_COLORS = ("#0b62c4", "#d9822b", "#2e8b57", "#a23b72", "#7a7f87", "#c2a500", "#5b4fcf", "#c23b22")
_LABEL, _ROOM, _NUMBER = 150, 620, 70
_BAR, _GAP = 13, 10


def share_bars(groups: Sequence[tuple[str, Sequence[float | None]]], series: Sequence[str]) -> str:
    """Shares 0..1 as bars: groups below each other, one bar a series in each.

    groups: (label, a share for each series; None where there is none). All bars have one scale,
    from 0 to the largest share, rounded up to 5 %.
    """
    shares = [v for _, values in groups for v in values if v is not None and math.isfinite(v)]
    top = max(0.05, math.ceil(20 * max(shares, default=0.0) - 1e-9) / 20)
    parts, y = [], 22
    for i, name in enumerate(series):
        x = _LABEL + i * max(90, _ROOM // max(1, len(series)))
        parts.append(f'<rect x="{x}" y="2" width="11" height="11" fill="{_color(i)}"/>')
        parts.append(f'<text x="{x + 16}" y="12">{escape(name)}</text>')
    for label, values in groups:
        middle = y + _BAR * len(series) / 2 + 4
        parts.append(
            f'<text x="{_LABEL - 8}" y="{middle:g}" text-anchor="end">{escape(label)}</text>'
        )
        for i, value in enumerate(values):
            if value is None or not math.isfinite(value):
                parts.append(f'<text class="faint" x="{_LABEL + 4}" y="{y + 10}">none</text>')
            else:
                width = _ROOM * value / top
                parts.append(
                    f'<rect x="{_LABEL}" y="{y}" width="{width:.1f}" height="{_BAR - 2}" '
                    f'fill="{_color(i)}"/><text class="faint" x="{_LABEL + width + 5:.1f}" '
                    f'y="{y + 10}">{100 * value:.1f} %</text>'
                )
            y += _BAR
        y += _GAP
    size = f"0 0 {_LABEL + _ROOM + _NUMBER} {y}"
    words = f"bars of {', '.join(series)} in {len(groups)} groups; the table has the numbers"
    return (
        f'<div class="wide"><svg class="bars" viewBox="{size}" role="img" '
        f'aria-label="{escape(words)}" width="{_LABEL + _ROOM + _NUMBER}" height="{y}">'
        f"{''.join(parts)}</svg></div>"
    )


def _color(i: int) -> str:
    return _COLORS[i % len(_COLORS)]
