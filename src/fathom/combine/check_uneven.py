"""What the pair check says about rows that disagree: an offset, a roll, a scale, a curve."""

from math import hypot

from fathom.combine.check_finding import REPORTED, Finding, certainty_above, plain
from fathom.combine.check_rows import Cause, Rows

_CODES = ("unrectified", "roll", "scale", "curve")
_CAUSES: dict[Cause, str] = {
    "lens": "as lens distortion that was left in bends them",
    "turned": "as cameras that look apart bend them",
    "depth": "differently for near and far points",
}


def check_rows(rows: Rows | None, remedy: str) -> list[Finding]:
    """`unrectified` (px), `roll` (degrees), `scale` (%) and `curve` (px), told apart.

    `unrectified` stands for all that moves rows but the magnification: its size is the offset
    where the rows are off by a constant, else the root mean square. remedy: how this pair is
    rectified.
    """
    if rows is None:
        return []
    return [_unrectified(rows, remedy), _roll(rows, remedy), _scale(rows), _curve(rows, remedy)]


def check_stale(findings: list[Finding], rows: Rows | None) -> list[Finding]:
    """`stale-calibration`: rows disagree although the pair has the rig of a rectified pair.

    findings: of `check_rows`.
    """
    uneven = [f for f in findings if f.code in _CODES]
    surest = max((f.certainty for f in uneven), default=0.0)
    if rows is None or surest < REPORTED:
        return []
    size = hypot(rows.typical, rows.scale_edge / 3**0.5)
    return [
        Finding(
            "stale-calibration",
            f"the pair has the calibration of a rectified one, and its rows are {plain(size)} px "
            "apart: the calibration is another rig's, the cameras have moved since, or these "
            "images were never rectified with it",
            # A rig file beside raw images looks the same as a rig that has moved.
            0.95 * surest,
            "mend this pair with --fix; for metres to trust calibrate again, or re-calibrate the "
            "rotation from pairs like this one",
            size,
            "px",
        )
    ]


def _unrectified(rows: Rows, remedy: str) -> Finding:
    """A row error of 1.5 px or more is to be told, the pairs that matchers like stay below 0.7."""
    offset = _offset_certainty(rows)
    certainty = max(
        offset,
        certainty_above(rows.typical, 0.95, hypot(0.15, rows.offset_error)),
        _edge_certainty(rows.roll_edge, rows.roll_error),
        _bend_certainty(rows),
    )
    all_in_all = f"rows disagree by {plain(rows.typical)} px (root mean square)"
    message, size = all_in_all, rows.typical
    if offset >= REPORTED or abs(rows.offset) > 0.8 * rows.typical:
        where = "lower" if rows.offset > 0 else "higher"
        size = abs(rows.offset)
        message = f"the right image sits {plain(size)} px {where} than the left"
        if rows.typical > size + 0.3:
            message += f", all in all {all_in_all}"
    return Finding(
        "unrectified", f"{message}; rows should agree to 0.5 px", certainty, remedy, size, "px"
    )


def _roll(rows: Rows, remedy: str) -> Finding:
    way = "clockwise" if rows.roll > 0 else "counter-clockwise"
    return Finding(
        "roll",
        f"the right image is turned by {plain(abs(rows.roll))} degrees {way} against the left one "
        f"({plain(abs(rows.roll_edge))} px at the left and right border)",
        _edge_certainty(rows.roll_edge, rows.roll_error),
        remedy,
        abs(rows.roll),
        "degrees",
    )


def _scale(rows: Rows) -> Finding:
    larger = "larger" if rows.scale > 0 else "smaller"
    certainty = _edge_certainty(rows.scale_edge, rows.scale_error)
    if rows.bend > 0.95:
        certainty *= 0.7  # rows that are bent magnify here and shrink there
    return Finding(
        "scale",
        f"the right image shows everything {plain(100 * abs(rows.scale))} % {larger} than the left "
        f"one ({plain(abs(rows.scale_edge))} px at the upper and lower border)",
        certainty,
        "set both lenses to the same zoom and resize both images alike, or rectify with a "
        "calibration of these images",
        100 * abs(rows.scale),
        "%",
    )


def _curve(rows: Rows, remedy: str) -> Finding:
    return Finding(
        "curve",
        f"rows are bent against each other by {plain(rows.bend)} px (root mean square), "
        f"{_CAUSES[rows.cause]}",
        _bend_certainty(rows),
        remedy,
        rows.bend,
        "px",
    )


def _offset_certainty(rows: Rows) -> float:
    return certainty_above(abs(rows.offset), 0.65, hypot(0.15, rows.offset_error))


def _edge_certainty(edge: float, error: float) -> float:
    return certainty_above(abs(edge), 0.95, hypot(0.15, error))


def _bend_certainty(rows: Rows) -> float:
    return certainty_above(rows.bend, 0.95, hypot(0.15, rows.bend_error))
