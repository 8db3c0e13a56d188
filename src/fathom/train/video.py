"""Depth and motion from video as a task of the training loop: batches of frames with neighbours.

The net is a `fathom.nets.mono.depth_and_motion.DepthAndMotion`, the data are
`fathom.data.clips.Moments`, the loss is `fathom.train.video_loss.VideoLoss`, and
`fathom.train.video_validate.VideoValidation` judges.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fathom.core.arrays import Array, Float32, UInt8
from fathom.core.camera import Camera
from fathom.core.errors import InputError, UsageError
from fathom.data.augment_color import jittered
from fathom.data.clips import Moment
from fathom.nets.mono.depth_and_motion import MotionOutput
from fathom.train.experiment import Experiment, Judging
from fathom.train.self_supervised import require_texture
from fathom.train.validate import Judged
from fathom.train.video_validate import VideoValidation, validate

UNIT = 5.4
"""Metres a unit of depth where pairs take part: KITTI's baseline of 0.54 m is 0.1, as in the
authors' code."""


@dataclass(frozen=True, eq=False)
class FrameCut:
    """One place of a batch. frames: float32 (1 + n, h, w, 3) in 0..255, the image and its sources,
    those in time first. seen: the same of the image and its neighbours in time, as the nets see
    them. intrinsics: (3, 3). fixed: (m, 4, 4), the known motions to the other sources."""

    frames: Float32[np.ndarray, "_s h w 3"]
    seen: Float32[np.ndarray, "_t h w 3"]
    intrinsics: Float32[np.ndarray, "3 3"]
    fixed: Float32[np.ndarray, "_m 4 4"]
    name: str


@dataclass(frozen=True, eq=False)
class FrameArrays:
    """A batch of `FrameCut`s, a batch axis first."""

    frames: Array
    seen: Array
    intrinsics: Array
    fixed: Array
    names: tuple[str, ...]
    failures: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FrameBatch:
    """A batch on the device. image (b, 3, h, w) and sources (b, n, 3, h, w): RGB in 0..255. seen
    (b, 3, h, w), neighbours (b, t, 3, h, w): what the nets see of the image and of the first t
    sources. intrinsics: (b, 3, 3) in pixels. fixed: (b, n - t, 4, 4), T with X_source = T X of the
    other sources, in the unit of the depth."""

    image: Tensor
    sources: Tensor
    seen: Tensor
    neighbours: Tensor
    intrinsics: Tensor
    fixed: Tensor
    names: tuple[str, ...]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the net is called with."""
        return self.seen, self.neighbours

    def part(self, chosen: slice) -> "FrameBatch":
        """A batch of some samples of this one."""
        given = self.image[chosen], self.sources[chosen]
        seen = self.seen[chosen], self.neighbours[chosen]
        return FrameBatch(
            *given, *seen, self.intrinsics[chosen], self.fixed[chosen], self.names[chosen]
        )


@dataclass(frozen=True)
class Video:
    """Depth and motion from frames with neighbours; see `fathom.train.experiment.Task`.

    stereo: the right camera's view at the same moment is a source, too, whose motion is known: the
    rig's baseline, in units of `unit` metres. Without neighbours (`offsets=()` of `Moments`) it is
    the only one. Frames are brought to crop_width x crop_height whole, whatever their shape. flip:
    share of samples that are mirrored; jitter: share whose colours are changed for the nets' eyes
    (not for the loss), brightness, contrast and saturation by up to 0.2, hue by up to 0.1 of a
    turn. Both are 0.5 in Monodepth2 (its section 4).

    Raises `UsageError` for shares outside 0..1 or a unit that is not above 0.
    """

    stereo: bool = False
    unit: float = UNIT
    flip: float = 0.5
    jitter: float = 0.5

    def __post_init__(self) -> None:
        for name in ("flip", "jitter"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(
                    "is no share", field=name, value=getattr(self, name), expected="0..1"
                )
        if not self.unit > 0:
            raise UsageError("is no unit", field="unit", value=self.unit, expected="metres > 0")

    def cut(
        self, experiment: Experiment, sample: Any, name: str, rng: np.random.Generator
    ) -> FrameCut:
        """The frame and its sources at the size of the experiment.

        Raises `InputError` for what is no `Moment`, has no source, or no right view where one is
        needed, and for a frame of one colour.
        """
        moment = usable(sample, stereo=self.stereo)
        require_texture(moment.view, "view")
        size = (experiment.crop_width, experiment.crop_height)
        views = [moment.view, *moment.neighbours]
        count = len(views)
        if self.stereo:
            assert moment.right is not None
            views.append(moment.right)
        frames = np.stack([resized(v.rgb8, size) for v in views])
        camera = sized(moment.camera, size)
        shift = 0.0 if moment.baseline is None else moment.baseline / self.unit
        if rng.random() < self.flip:
            frames = np.ascontiguousarray(frames[:, :, ::-1])
            camera = replace(camera, cx=size[0] - 1 - camera.cx)
            shift = -shift
        fixed = np.tile(np.eye(4, dtype=np.float32), (int(self.stereo), 1, 1))
        fixed[:, 0, 3] = -shift
        seen = frames[:count]
        if rng.random() < self.jitter:
            words = _words(rng)
            seen = np.stack([255 * jittered(f / np.float32(255), words) for f in seen])
        return FrameCut(frames, seen, camera.matrix.astype(np.float32), fixed, name)

    def stacked(self, cuts: Sequence[FrameCut], failures: tuple[str, ...]) -> FrameArrays:
        """The frames as one batch. Raises `InputError` for samples of different numbers of
        neighbours."""
        if len({len(c.frames) for c in cuts}) > 1:
            raise InputError(
                "have different numbers of neighbours",
                field="samples",
                value=", ".join(c.name for c in cuts),
                expected="Moments with the same offsets",
            )
        return FrameArrays(
            np.stack([c.frames for c in cuts]),
            np.stack([c.seen for c in cuts]).astype(np.float32),
            np.stack([c.intrinsics for c in cuts]),
            np.stack([c.fixed for c in cuts]),
            tuple(c.name for c in cuts),
            failures,
        )

    def to_batch(
        self, arrays: FrameArrays, device: torch.device, channels_last: bool
    ) -> FrameBatch:
        """The batch as tensors on `device`."""
        order = torch.channels_last if channels_last else torch.contiguous_format

        def images(values: Array) -> Tensor:
            return torch.from_numpy(values).to(device, non_blocking=True).movedim(-1, -3)

        frames, seen = images(arrays.frames), images(arrays.seen)
        return FrameBatch(
            frames[:, 0].contiguous(),
            frames[:, 1:].contiguous(),
            seen[:, 0].contiguous(memory_format=order),
            seen[:, 1:].contiguous(),
            torch.from_numpy(arrays.intrinsics).to(device),
            torch.from_numpy(arrays.fixed).to(device),
            arrays.names,
        )

    def output(self, given: Any) -> MotionOutput:
        """In float32. Raises `InputError` for what is no `MotionOutput`."""
        if not isinstance(given, MotionOutput):
            raise InputError(
                "is no output of a net of depth and motion",
                field="the net's output",
                value=type(given).__name__,
                expected="a MotionOutput",
            )
        return MotionOutput(tuple(s.float() for s in given.sigmoids), given.motions.float())

    def tensors(self, output: MotionOutput) -> tuple[Tensor, ...]:
        """The sigmoids, finest first, and the motions."""
        return (*output.sigmoids, output.motions)

    def measured(self, output: MotionOutput, batch: FrameBatch) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG002
        """Nothing: there is no truth while training."""
        nothing = torch.zeros((), device=output.motions.device)
        return nothing, nothing, nothing

    def judge(self, name: str, samples: Any) -> VideoValidation:
        """Against the samples' own truth."""
        return VideoValidation(name, lambda: samples)

    def validate(self, judge: VideoValidation, samples: Any, judging: Judging) -> Judged | None:
        """As `fathom.train.video_validate.validate`."""
        return validate(judge, samples, judging)


def usable(sample: Any, *, stereo: bool) -> Moment:
    """`sample`, if it can be learned from. Raises `InputError` if it cannot."""
    if not isinstance(sample, Moment):
        raise InputError(
            "is no frame with neighbours",
            field="sample",
            value=type(sample).__name__,
            expected="a Moment (fathom.data.clips)",
        )
    if stereo and (sample.right is None or sample.baseline is None):
        raise InputError("has no right view, or no baseline", field="right", expected="a rig")
    if not stereo and not sample.neighbours:
        raise InputError("has no neighbour to learn from", field="neighbours", expected="1 or more")
    return sample


def resized(
    image: UInt8[np.ndarray, "_h _w 3"], size: tuple[int, int]
) -> Float32[np.ndarray, "h w 3"]:
    """The image at (width, height) as the estimator takes it, in 0..255."""
    from fathom.combine.monodepth2 import reduced

    return np.ascontiguousarray(reduced(image, size).transpose(1, 2, 0))


def sized(camera: Camera, size: tuple[int, int]) -> Camera:
    """The camera of its image brought to (width, height)."""
    return camera.scaled(size[0] / camera.width, size[1] / camera.height, *size)


def _words(rng: np.random.Generator) -> dict[str, Any]:
    """The paper's change of colours."""
    gain, contrast, saturation = rng.uniform(0.8, 1.2, 3).astype(np.float32)
    hue = rng.uniform(-0.1, 0.1) * 2 * np.pi
    return {"gain": gain, "contrast": contrast, "saturation": saturation, "hue": hue, "gamma": 1}
