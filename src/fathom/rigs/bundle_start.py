"""What of a bundle moves, what is held, and what must be there before it can be adjusted."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fathom.core.arrays import Array
from fathom.core.errors import InputError, UsageError, unknown_name
from fathom.rigs.bundle_problem import Bundle, Observations, Pose, Problem

Loss = Literal["linear", "soft_l1", "huber"]


@dataclass(frozen=True)
class BundleOptions:
    """What moves, and how far a residual may be off before it counts less.

    refine: intrinsics that move: focal, center, distortion, or single terms (fx, k1, ...). rig:
    the cameras after the first move on their carrier. poses, points: these move. loss: of a
    residual coordinate; `linear` is plain least squares. loss_scale: pixels beyond which a
    residual counts as doubtful. max_evaluations: of the residuals.

    Raises `UsageError` for an unknown loss, a scale or a number that is not positive, or nothing
    that moves.
    """

    refine: tuple[str, ...] = ()
    rig: bool = False
    poses: bool = True
    points: bool = True
    loss: Loss = "soft_l1"
    loss_scale: float = 1.0
    max_evaluations: int = 100

    def __post_init__(self) -> None:
        if self.loss not in ("linear", "soft_l1", "huber"):
            raise unknown_name("loss", self.loss, ["linear", "soft_l1", "huber"])
        if not (np.isfinite(self.loss_scale) and self.loss_scale > 0):
            raise UsageError(
                "is not positive", field="loss_scale", value=self.loss_scale, expected="pixels > 0"
            )
        if self.max_evaluations < 1:
            raise UsageError(
                "is below 1", field="max_evaluations", value=self.max_evaluations, expected=">= 1"
            )
        if not (self.refine or self.rig or self.poses or self.points):
            raise UsageError("nothing moves", field="options", expected="something to refine")


def held_and_moving(
    start: Bundle, options: BundleOptions
) -> tuple[tuple[list[Pose], list[Pose]], str]:
    """The mounts and frames, 0 for those that move, -1 for those that are held; and the gauge."""
    mounts = [
        Pose(c.rotation, c.translation, 0 if options.rig and i else -1)
        for i, c in enumerate(start.cameras)
    ]
    frames = [
        Pose(r, t, 0 if options.poses else -1)
        for r, t in zip(start.rotations, start.translations, strict=True)
    ]
    if not options.points:
        return (mounts, frames), "nothing held: the points are known"
    if not options.poses and not options.rig:
        return (mounts, frames), "nothing held: the poses are known"
    frames[0] = replace(frames[0], first=-1)
    if not options.poses:
        return (mounts, frames), "nothing held: the frames are known"
    anchor = start.cameras[0].center
    spans = [float(np.linalg.norm(c.center - anchor)) for c in start.cameras]
    if max(spans) > 0:
        if not options.rig:
            return (mounts, frames), "first frame held; the rig gives the scale"
        i = int(np.argmax(spans))
        mounts[i] = replace(mounts[i], reach=spans[i], anchor=anchor)
        return (mounts, frames), f"first frame and the baseline ({spans[i]:.6g} m) held"
    places = -np.einsum("fji,fj->fi", start.rotations, start.translations)
    spans = np.linalg.norm(places - places[0], axis=1).tolist()
    i = int(np.argmax(spans))
    if not spans[i] > 0:
        raise InputError(
            "all stand on one spot, so points have no depth",
            field="frames",
            expected="views from different places",
        )
    frames[i] = replace(frames[i], reach=spans[i], anchor=places[0])
    return (mounts, frames), f"first frame and its distance to frame {i} ({spans[i]:.6g} m) held"


def require_indices(start: Bundle, seen: Observations) -> None:
    for name, count in (
        ("frame", len(start.rotations)),
        ("camera", len(start.cameras)),
        ("point", len(start.points)),
    ):
        values = getattr(seen, name)
        if len(values) and not (values.min() >= 0 and values.max() < count):
            raise InputError(
                "leaves the bundle",
                field=name,
                value=f"{values.min()} to {values.max()}",
                expected=f"0 to {count - 1}",
            )


def require_enough(problem: Problem, seen: Observations, options: BundleOptions) -> None:
    if options.points:
        views = np.bincount(seen.point, minlength=len(problem.start.points))
        if (views < 2).any():
            raise InputError(
                f"{int((views < 2).sum())} of {len(views)} points are seen fewer than twice",
                field="observations",
                expected="two observations or more of every point that moves",
                remedy="leave those points out",
            )
    if options.poses:
        count = np.bincount(seen.frame, minlength=len(problem.frames))
        moving = np.array([pose.first >= 0 for pose in problem.frames])
        if (moving & (count < 3)).any():
            raise InputError(
                f"frame {int(np.argmax(moving & (count < 3)))} has fewer than 3 observations",
                field="observations",
                expected="three or more in every frame that moves",
            )
    if 2 * len(seen) <= problem.size:
        raise InputError(
            f"{2 * len(seen)} numbers cannot determine {problem.size} unknowns",
            field="observations",
            expected="more observations, or fewer unknowns",
        )


def require_ahead(residuals: Array) -> None:
    behind = ~np.isfinite(residuals)
    if behind.any():
        raise InputError(
            f"{int(behind.sum()) // 2} observed points lie behind their camera at the start",
            field="start",
            expected="a start with all points in front",
            remedy="leave those observations out, or start from other poses",
        )
