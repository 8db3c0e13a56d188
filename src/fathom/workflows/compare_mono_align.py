"""Every method's answer as disparity and depth of one frame, aligned where its meaning asks for it.

Metres of a metric model stay as they are. A relative depth is fitted first, in the domain that its
ambiguity names: to the truth by least squares, as published figures are (Ranftl et al., PAMI 2022,
eq. 3 and 4), or to a stereo method's map, robustly and without the truth (`geometry.align`). How is
said in words with every number.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import StereoRig
from fathom.core.errors import InputError
from fathom.core.maps import Ambiguity, Depth, Disparity, RelativeDepth
from fathom.eval.alignment import Alignment, AlignmentName, scale_and_shift
from fathom.eval.alignment import align as align_to_truth
from fathom.geometry.align import align as align_robustly
from fathom.workflows.compare_mono_frames import Frame

AlignTo = Literal["truth", "stereo"]
Answer = Disparity | Depth | RelativeDepth
_WORDS: dict[Ambiguity, str] = {
    "scale": "scale",
    "affine": "scale and shift in depth",
    "affine_inverse": "scale and shift in inverse depth",
}
_RULES: dict[Ambiguity, AlignmentName] = {
    "scale": "median",
    "affine": "depth",
    "affine_inverse": "inverse-depth",
}


@dataclass(frozen=True, eq=False)
class Anchor:
    """What relative depths are fitted to: the truth, or a stereo method's map of the same frame.

    name: in words. disparity, depth: each where it is known. robust: fitted by RANSAC and Huber's
    law, weighted by confidence; else by least squares.
    """

    name: str
    disparity: Disparity | None
    depth: Depth | None
    robust: bool


@dataclass(frozen=True, eq=False)
class Placed:
    """An answer in the units of its frame.

    disparity, depth: each where the frame allows it. how: the alignment in words, the same for all
    frames of a method. fit: this frame's numbers. note: what is odd about them.
    """

    disparity: Disparity | None
    depth: Depth | None
    how: str
    fit: str = ""
    note: str = ""


def anchor_of_truth(frame: Frame) -> Anchor | None:
    """The truth to fit to; None where there is none."""
    if not frame.has_truth:
        return None
    return Anchor("the truth", frame.disparity, frame.depth, False)


def anchor_of_stereo(label: str, disparity: Disparity, frame: Frame) -> Anchor:
    """A stereo map to fit to. Raises `InputError` where its disparities say nothing about the
    truth: a depth without a rig."""
    if frame.rig is None and frame.depth is not None:
        raise InputError(
            "cannot be aligned to: the truth is a depth, and without a calibration a stereo map "
            "is none", field=label, remedy="give --calib, or --align truth",
        )  # fmt: skip
    depth = None if frame.rig is None else disparity.to_depth(frame.rig)
    return Anchor(label, disparity, depth, True)


def placed(
    answer: Answer, frame: Frame, anchor: Anchor | None, *, align_metric: bool = False
) -> Placed:
    """The answer as disparity and depth of the frame.

    anchor: what is fitted to where a fit is needed. align_metric: fit the scale of metric models,
    too. Without a rig a disparity is an inverse depth of unknown scale and shift: then metric
    depths are fitted so as well, and affine depths with the disparity at infinity taken as 0.

    Raises `InputError` if the answer needs a fit and there is nothing to fit to, or it fails.
    """
    if answer.shape != frame.view.shape:
        raise InputError(
            "the method's map differs in size from the view", field="map", value=answer.shape,
            expected=str(frame.view.shape),
        )  # fmt: skip
    blind = _is_blind(frame)
    if isinstance(answer, Disparity):
        if frame.rig is not None or frame.depth is None:
            return _of_disparity(answer, frame, "not aligned: pixels of the pair")
        relative = RelativeDepth(answer.values, "affine_inverse", answer.confidence, answer.source)
    elif isinstance(answer, Depth):
        if not blind and not align_metric:
            return _of_depth(answer, frame, "not aligned: metres of the model")
        inverse = 1 / answer.values
        relative = (
            RelativeDepth(inverse, "affine_inverse")
            if blind
            else RelativeDepth(answer.values, "scale")
        )
    else:
        relative = answer
        if blind and answer.ambiguity == "scale":
            values = np.where(answer.values > 0, answer.values, np.float32(np.nan))
            relative = RelativeDepth(1 / values, "affine_inverse")
    if anchor is None:
        raise _nothing_to_fit_to()
    return _fitted(relative, frame, anchor)


def require_anchor(
    ambiguity: Ambiguity | None, frame: Frame, anchor: Anchor | None, *, align_metric: bool = False
) -> None:
    """Raises what `placed` would raise of a one-view method's answer with nothing to fit it to;
    before the method runs. ambiguity: that of its answers, None for metres."""
    if anchor is None and (ambiguity is not None or align_metric or _is_blind(frame)):
        raise _nothing_to_fit_to()


def _nothing_to_fit_to() -> InputError:
    return InputError(
        "is relative, and there is nothing to align it to", field="map",
        remedy="give --truth, or a --stereo method",
    )  # fmt: skip


def _is_blind(frame: Frame) -> bool:
    """Whether metres say nothing about a frame's disparities: a pair without a calibration."""
    return frame.pair is not None and frame.rig is None and frame.depth is None


def _fitted(relative: RelativeDepth, frame: Frame, anchor: Anchor) -> Placed:
    words = _WORDS[relative.ambiguity]
    if anchor.robust:
        return _robustly(relative, frame, anchor, f"{words} to {anchor.name}, RANSAC and Huber")
    how = f"{words} to {anchor.name}, "
    how += "ratio of medians" if relative.ambiguity == "scale" else "least squares"
    if relative.ambiguity == "affine_inverse" and anchor.disparity is not None:
        # d is linear in 1 / Z, so that fitting it is fitting inverse depth, with or without a rig
        both = relative.known & anchor.disparity.known
        scale, shift = scale_and_shift(
            relative.values[both].astype(np.float64),
            anchor.disparity.values[both].astype(np.float64),
        )
        values = (relative.values.astype(np.float64) * scale + shift).astype(np.float32)
        fit = f"d = {scale:.4g} v {shift:+.4g} px from {int(both.sum())} px"
        return _of_disparity(Disparity(values), frame, how, fit, _odd(scale))
    true = _metres(anchor)
    fitted, done = align_to_truth(
        _RULES[relative.ambiguity], relative.values, true, ~np.isnan(true)
    )
    note = _odd(done.scale)
    if anchor.depth is not None:
        return _of_depth(Depth(fitted), frame, how, _told(done), note)
    return _of_inverse(fitted, how, _told(done), note)


def _robustly(relative: RelativeDepth, frame: Frame, anchor: Anchor, how: str) -> Placed:
    if anchor.depth is not None:
        depth, fit = align_robustly(relative, anchor.depth)
        return _of_depth(Depth(depth.values), frame, how, str(fit))
    assert anchor.disparity is not None
    unit = Depth(_metres(anchor), None, anchor.disparity.confidence, anchor.disparity.source)
    depth, fit = align_robustly(relative, unit)
    return _of_inverse(depth.values, how, f"from {fit.inliers} of {fit.anchors} anchors")


def _metres(anchor: Anchor) -> Array:
    """The anchor's depth in metres; without a rig 1 / d, which is depth in units of f B."""
    if anchor.depth is not None:
        return anchor.depth.values
    assert anchor.disparity is not None
    d = anchor.disparity.values
    out = np.full(d.shape, np.nan, np.float32)
    np.divide(np.float32(1), d, out=out, where=d > 1e-3)
    return out


def _odd(scale: float) -> str:
    return "" if scale > 0 else "the fitted scale is negative: what it calls nearer is farther"


def _told(done: Alignment) -> str:
    return f"{done}, from {done.pixels} px"


def _of_disparity(
    disparity: Disparity, frame: Frame, how: str, fit: str = "", note: str = ""
) -> Placed:
    rig: StereoRig | None = frame.rig
    depth = None if rig is None else Depth(rig.depth_of(disparity.values))
    return Placed(_seen(disparity, frame), depth, how, fit, note)


def _of_depth(depth: Depth, frame: Frame, how: str, fit: str = "", note: str = "") -> Placed:
    rig: StereoRig | None = frame.rig
    disparity = None if rig is None else Disparity(rig.disparity_of(depth.values))
    return Placed(disparity and _seen(disparity, frame), depth, how, fit, note)


def _of_inverse(depth: Array, how: str, fit: str, note: str = "") -> Placed:
    """Of a depth in units of f B."""
    with np.errstate(divide="ignore"):
        values = (1 / depth.astype(np.float64)).astype(np.float32)
    return Placed(Disparity(values), None, f"{how} (disparity at infinity taken as 0)", fit, note)


def _seen(disparity: Disparity, frame: Frame) -> Disparity:
    if frame.unseen is None or not frame.unseen.any():
        return disparity
    return disparity.with_unknown(frame.unseen)
