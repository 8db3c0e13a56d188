"""Judging depth and motion learned from video: against exact depth, and the camera's true way."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from fathom.core.arrays import Array, Float32, Float64
from fathom.core.errors import UsageError
from fathom.data.clips import Moment
from fathom.eval.alignment import median_scale
from fathom.eval.depth_metrics import abs_rel, delta
from fathom.train.experiment import Experiment, Judging
from fathom.train.validate import PICTURES, Judged, judge_each
from fathom.viz.mono import map_scale

RIGHT_WAY = 20.0
"""Degrees between true and estimated translation up to which a motion's direction is right."""
_STANDS = 1e-6


@dataclass(frozen=True)
class VideoValidation:
    """Frames with neighbours and true depth or poses, on which the nets are judged.

    name: how their scores are called. data: gives the `Moments`. most: only so many, the first.

    The numbers are means over the frames, AbsRel first, which chooses the best weights: `abs-rel`
    and `delta-1` of the depth, each frame scaled by the ratio of the medians; `constant`, the
    AbsRel of one depth for all pixels, scaled alike; `way`, the median angle in degrees between
    true and estimated translation, and `right-way`, the share up to 20 degrees. What there is no
    truth for is left out.

    Raises `UsageError` for `most` below 1.
    """

    name: str
    data: Callable[[], Any]
    most: int | None = None

    def __post_init__(self) -> None:
        if self.most is not None and self.most < 1:
            raise UsageError(
                "is no number of samples", field="most", value=self.most, expected="1 or more"
            )


def depth_and_motions(
    net: nn.Module, moment: Moment, experiment: Experiment, device: torch.device
) -> tuple[Float32[np.ndarray, "h w"], Float64[np.ndarray, "n 4 4"]]:
    """The depth of a frame, up to a scale and of its size, and T (n, 4, 4) with X_neighbour = T X.

    The net must be in evaluation mode.
    """
    import cv2

    from fathom.combine.monodepth2 import reduced
    from fathom.nets.mono.monodepth2 import depth_of

    size = (experiment.crop_width, experiment.crop_height)
    images = [reduced(v.rgb8, size) for v in (moment.view, *moment.neighbours)]
    tensors = torch.from_numpy(np.stack(images)).to(device)
    with torch.inference_mode():
        sigmoids, motions = net(tensors[:1], tensors[None, 1:])
    # As the estimator does it: sigmoids are enlarged, then turned into depth.
    whole = cv2.resize(
        sigmoids[0][0, 0].cpu().numpy(), moment.view.size, interpolation=cv2.INTER_LINEAR
    )
    depth = depth_of(torch.from_numpy(whole)).numpy()
    return depth, motions[0].cpu().numpy().astype(np.float64)


def way_error(estimate: Float64[np.ndarray, "4 4"], truth: Float64[np.ndarray, "4 4"]) -> float:
    """Degrees between the translations of two motions; NaN if the true one stands still, 180 if
    the estimated one does."""
    found, true = estimate[:3, 3], truth[:3, 3]
    lengths = float(np.linalg.norm(found)), float(np.linalg.norm(true))
    if lengths[1] < _STANDS:
        return math.nan
    if lengths[0] < 1e-12:
        return 180.0
    cosine = float(found @ true) / (lengths[0] * lengths[1])
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def validate(validation: VideoValidation, samples: Any, judging: Judging) -> Judged | None:
    """Judges the net on the validation's samples; those that fail are named and left out. None once
    judging is cancelled.

    Raises `InputError` if none could be judged.
    """
    depths: list[tuple[float, float, float]] = []
    ways: list[float] = []
    looked: list[str] = []
    pictures: dict[str, Array] = {}

    def look(moment: Moment, name: str) -> None:
        net, device = judging.net, judging.device
        depth, motions = depth_and_motions(net, moment, judging.experiment, device)
        depths.extend(_judged_depth(depth, moment))
        if moment.motions is not None:
            pairs = zip(motions, moment.motions, strict=True)
            ways.extend(way_error(found, true) for found, true in pairs)
        looked.append(name)
        if len(pictures) < PICTURES:
            pictures[name] = _picture(moment, depth)

    wanted = "frames with neighbours"
    failed = judge_each(judging, validation.name, samples, look, wanted, validation.most)
    if failed is None:
        return None
    numbers = _numbers(depths, [w for w in ways if math.isfinite(w)])
    words = ", ".join(f"{k} {v:.3g}" for k, v in numbers.items())
    heading = f"{words or 'no truth'}; {len(looked)} frames, depth scaled by the median"
    return Judged(validation.name, numbers, heading, len(looked), failed, pictures)


def _judged_depth(depth: Array, moment: Moment) -> list[tuple[float, float, float]]:
    """AbsRel, delta-1 and a constant guess's AbsRel, or nothing without truth."""
    if moment.truth is None:
        return []
    known = moment.truth.known
    true, found = moment.truth.values[known], depth[known]
    found = found * np.float32(median_scale(found, true))
    guess = np.full_like(true, np.median(true))
    return [(abs_rel(found, true), delta(found, true), abs_rel(guess, true))]


def _numbers(depths: list[tuple[float, float, float]], ways: list[float]) -> dict[str, float]:
    numbers = {}
    if depths:
        means = np.mean(depths, axis=0)
        numbers = {
            "abs-rel": float(means[0]), "delta-1": float(means[1]), "constant": float(means[2])
        }  # fmt: skip
    if ways:
        numbers["way"] = float(np.median(ways))
        numbers["right-way"] = float(np.mean(np.array(ways) <= RIGHT_WAY))
    return numbers


def _picture(moment: Moment, depth: Array) -> Array:
    """The frame, the depth that was found and, where there is one, the truth, above each other."""
    maps = [depth] if moment.truth is None else [depth, moment.truth.values]
    painted = [map_scale(m, "scale").paint(m) for m in maps]
    out: Array = np.concatenate([moment.view.rgb8, *painted])
    return out
