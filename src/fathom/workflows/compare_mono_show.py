"""What the report of mono against stereo shows of a frame: its figure, its sheet, its fits."""

import math
from collections.abc import Mapping

from fathom.core.arrays import Array
from fathom.io.images import write_jpeg_bytes
from fathom.viz.compare_mono import ShownFrame
from fathom.viz.compare_mono_figure import FigureMap, mono_figure
from fathom.viz.compare_viewer import MAX_SHEET_PIXELS, Sheet, ShownMap, sheet
from fathom.workflows.compare_mono_frames import Frame
from fathom.workflows.compare_mono_judge import MonoVerdict, error_map

_LEAST_PIXELS = 20_000


def badness(verdicts: Mapping[str, MonoVerdict]) -> float:
    """How bad a frame is: the mean headline error of the methods that answered; 0 without truth."""
    values = []
    for verdict in verdicts.values():
        scores = verdict.scores.get(verdict.judged_in)
        if scores:
            values.append(scores[0].values[scores[0].protocol.metrics[0]])
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else 0.0


def shown_frame(
    name: str,
    frame: Frame,
    verdicts: Mapping[str, MonoVerdict],
    found: Mapping[str, Array],
    room: int,
) -> ShownFrame:
    """The frame as it will be shown, drawn and encoded at once: no map is kept.

    In depth where all methods have one, else in disparity. room: characters of the page that the
    viewer's data of the frame may take; it is reduced to fit.
    """
    in_depth = all(v.placed.depth is not None for v in verdicts.values())
    quantity = "depth" if in_depth else "disparity"
    truth = frame.depth if in_depth else frame.disparity
    maps, fits = [], []
    for label, verdict in verdicts.items():
        at = verdict.placed.depth if in_depth else verdict.placed.disparity
        if at is None:
            continue
        error = None if truth is None else error_map(at.values, truth.values, quantity)
        alike = verdict.similarity.get(quantity)
        boxes = _boxes(verdict)
        values = None if alike is None else alike.values
        maps.append(FigureMap(label, at.values, _caption(verdict, quantity), error, values, boxes))
        fit = f" ({verdict.placed.fit})" if verdict.placed.fit else ""
        fits.append(f"{label}: {verdict.placed.how}{fit}")
    figure = mono_figure(
        name,
        frame.view.rgb8,
        maps,
        None if truth is None else truth.values,
        "depth" if in_depth else "disparity",
    )
    pixels = MAX_SHEET_PIXELS
    made = _sheet(name, frame, verdicts, found, pixels)
    while made is not None and made.size > room and pixels > _LEAST_PIXELS:
        pixels //= 2
        made = _sheet(name, frame, verdicts, found, pixels)
    return ShownFrame(name, write_jpeg_bytes(figure), "; ".join(fits), made)


def _sheet(
    name: str,
    frame: Frame,
    verdicts: Mapping[str, MonoVerdict],
    found: Mapping[str, Array],
    pixels: int,
) -> Sheet | None:
    """For the viewer of disparities; None where a method has none."""
    shown = []
    for label, verdict in verdicts.items():
        if verdict.placed.disparity is None:
            return None
        alike = verdict.similarity.get("disparity")
        extras = {} if alike is None else {"SSIM": alike.values}
        caption = _caption(verdict, "disparity")
        shown.append(ShownMap(label, verdict.placed.disparity, caption, extras, _boxes(verdict)))
    return sheet(
        name, frame.view.rgb8, shown, frame.disparity, found, title=name, max_pixels=pixels
    )


def _boxes(verdict: MonoVerdict) -> tuple[tuple[int, int, int, int, float], ...]:
    return tuple((b.x, b.y, b.width, b.height, b.bad) for b in verdict.boxes)


def _caption(verdict: MonoVerdict, quantity: str) -> str:
    parts = []
    scores = verdict.scores.get(quantity)
    if scores:
        first = scores[0].protocol.measures[0]
        parts.append(f"{first.name} {first.shown(scores[0].values[first.name])}")
    found = verdict.similarity.get(quantity)
    if found is not None and not math.isnan(found.score):
        parts.append(f"SSIM {found.score:.3f}")
    return ", ".join(parts)
