"""Monodepth2 as an estimator of one view, and the motion between two.

The nets are in `nets/mono/monodepth2.py`; here they take images of any size, as the authors'
`test_simple.py` does: reduced to the size of the training, by Lanczos and without regard to the
aspect ratio; what comes out is enlarged linearly.

The authors' code, from which the weights come, is for non-commercial use only (Niantic's licence);
ours is written from its facts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from fathom.classical.checks import in_range
from fathom.classical.parallel import thread_count
from fathom.combine import torch_options as common
from fathom.combine.converted import Stamp, checked, file_of
from fathom.combine.engines import check_engine
from fathom.core.arrays import Array, Float32, Float64, UInt8
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Depth, RelativeDepth, Source
from fathom.core.mono import MonoAnswer
from fathom.core.options import option
from fathom.core.pair import View
from fathom.published.store import Kept

_TRAINED = (640, 192)
_BATCH = 8
_DIVISOR, _SMALLEST = 32, 64
METRES = 5.4
"""Metres a unit of depth, of weights trained with pairs: KITTI's baseline of 0.54 m was called 0.1
(the authors' readme, "Note on stereo evaluation")."""


@dataclass(frozen=True, kw_only=True)
class Monodepth2:
    """Godard et al., ICCV 2019: depth learned from video or pairs alone.

    The weights tell the ResNet, the size they were trained on, and whether pairs took part. The
    answer is depth up to a scale; with `metric`, and weights trained with pairs, it is metres, for
    cameras and scenes like KITTI's.

    Raises `UsageError` for a parameter out of its range.
    """

    size: int | None = option(
        None, "pixels of the image's shorter side for the net, in the image's aspect ratio; "
        "default: the size of the training, whatever the aspect ratio",
    )  # fmt: skip
    metric: bool = option(False, "give metres (5.4 times); weights trained with pairs only")
    threads: int | None = common.threads()
    device: str = common.device()
    weights: str | None = common.weights()

    def __post_init__(self) -> None:
        if self.size is not None:
            in_range("size", self.size, _SMALLEST, 8192, whole=True)
        thread_count(self.threads)
        check_engine(self.device, None)

    def __call__(self, view: View, /) -> Depth | RelativeDepth:
        """Depth of the view, up to a scale or in metres.

        Raises `InputError` for weights that are not there, truncated or another net's;
        `UsageError` for metres of weights trained with video alone; `ResourceError` if the device
        is not there or too small; `MissingExtraError` without torch.
        """
        return self.answers([view])[0].map

    def weights_used(self) -> dict[str, str]:
        """Their file. Raises `InputError` if it is not there."""
        return {"path": file_of("monodepth2", self.weights)[0]}

    def prepare(self) -> None:
        """Loads torch and the weights, which the first call would do. Raises as a call."""
        self._net()

    def _net(self) -> tuple[Any, Kept]:
        return _loaded("monodepth2", file_of("monodepth2", self.weights), self.device)

    def answers(self, views: Sequence[View], /) -> list[MonoAnswer]:
        """Of several views, those of one size together. Raises as a call."""
        net, head = self._net()
        trained = head.settings
        if self.metric and not trained.get("stereo"):
            raise UsageError(
                "these weights say nothing of metres: they were trained with video alone, or were "
                "converted without saying which they are", field="metric", value=True,
                remedy="leave it out, or convert them again with --name monodepth2-stereo-640x192",
            )  # fmt: skip
        own = (trained.get("width", _TRAINED[0]), trained.get("height", _TRAINED[1]))
        found: list[MonoAnswer] = []
        for first in range(0, len(views), _BATCH):
            found += self._batch(net, views[first : first + _BATCH], own)
        return found

    def _batch(self, net: Any, views: Sequence[View], own: tuple[int, int]) -> list[MonoAnswer]:
        from fathom.nets.adapter import run_call, torch_device, torch_threads
        from fathom.nets.mono.monodepth2 import sigmoids

        sizes = [own if self.size is None else sized(v.shape, self.size) for v in views]
        out: list[MonoAnswer | None] = [None] * len(views)
        for size in dict.fromkeys(sizes):
            some = [i for i, s in enumerate(sizes) if s == size]
            inputs = [reduced(views[i].rgb8, size) for i in some]
            with torch_threads(self.threads):
                given = run_call(sigmoids(net), inputs, torch_device(self.device))
            for i, sigmoid in zip(some, given, strict=True):
                out[i] = MonoAnswer(self._depth(sigmoid, views[i].shape))
        return [answer for answer in out if answer is not None]

    def _depth(self, sigmoid: Array, shape: tuple[int, int]) -> Depth | RelativeDepth:
        import cv2

        from fathom.nets.mono.monodepth2 import FARTHEST, NEAREST

        # torch's bilinear enlargement without align_corners is cv2's INTER_LINEAR
        whole = cv2.resize(sigmoid, shape[::-1], interpolation=cv2.INTER_LINEAR)
        far = np.float32(1 / FARTHEST)
        depth = 1 / (far + np.float32(1 / NEAREST - 1 / FARTHEST) * whole)
        source = np.full(shape, Source.MONOCULAR, np.uint8)
        if self.metric:
            return Depth(depth * np.float32(METRES), source=source)
        return RelativeDepth(depth, "scale", source=source)


@dataclass(frozen=True, kw_only=True)
class Motion:
    """The camera's motion between two views, by the nets that Monodepth2 was trained with.

    weights: of `monodepth2-pose` (pose_encoder.pth+pose.pth, converted) or `monodepth2-posecnn`, a
    file or a name they are kept as. Their authors' code is for non-commercial use only.

    >>> Motion(weights="pose.safetensors")(first, second)  # doctest: +SKIP

    Raises `UsageError` for a device there is not.
    """

    weights: str
    size: tuple[int, int] = _TRAINED
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_engine(self.device, None)
        if any(n < _SMALLEST or n % _DIVISOR for n in self.size):
            raise UsageError(
                "is no size these nets take", field="size", value=self.size,
                expected=f"(width, height), multiples of {_DIVISOR} from {_SMALLEST} on",
            )  # fmt: skip

    def __call__(self, first: View, second: View, /) -> Float64[np.ndarray, "4 4"]:
        """T with X_second = T X_first, for points in the two cameras' frames.

        second: of a moment after `first`, as in training; turn the result round for the other
        order. The translation is in the unit of the depth that was trained along with it.

        Raises `InputError` for weights that are not there, damaged or another net's, and as
        `Monodepth2`.
        """
        import cv2

        from fathom.nets.adapter import run_call, torch_device
        from fathom.nets.mono.monodepth2 import motion

        net, _ = _loaded("", file_of("monodepth2-pose", self.weights), self.device)
        images = [reduced(v.rgb8, self.size) for v in (first, second)]
        told = run_call(motion(net), images, torch_device(self.device)).astype(np.float64)
        out = np.eye(4)
        out[:3, :3] = cv2.Rodrigues(told[:3])[0]
        out[:3, 3] = told[3:]
        return out


def sized(shape: tuple[int, int], shorter: int) -> tuple[int, int]:
    """(width, height), multiples of 32, whose shorter side is about `shorter` and whose ratio is
    about the image's."""
    scale = shorter / min(shape)
    height, width = (max(_SMALLEST, round(n * scale / _DIVISOR) * _DIVISOR) for n in shape)
    return width, height


def reduced(
    image: UInt8[np.ndarray, "_h _w 3"], size: tuple[int, int]
) -> Float32[np.ndarray, "3 _H _W"]:
    """The image in 0..255 at (width, height), by Pillow's Lanczos filter in 8 bits."""
    from PIL import Image

    if image.shape[1::-1] != size:
        image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)


_POSES = ("monodepth2-pose", "monodepth2-posecnn")


@lru_cache(maxsize=2)
def _loaded(model: str, held: tuple[str, Stamp], device: str) -> tuple[Any, Kept]:
    """The net with its weights, and what their file tells. model: "" for one of the motion. held:
    the file and its stamp, for one that changes is another one."""
    from fathom.published.store import read_header

    file = held[0]
    if not model:
        model = read_header(file).model or ""
        if model not in _POSES:
            raise InputError(
                f"holds weights of {model or 'an unknown net'}, not of a camera's motion",
                file=file, expected=" or ".join(_POSES),
                remedy="run: fathom weights convert pose_encoder.pth+pose.pth "
                "--model monodepth2-pose",
            )  # fmt: skip
    head = checked(file, model)
    from fathom.nets.adapter import load_net, torch_device
    from fathom.nets.mono import monodepth2 as nets

    builder = getattr(nets, model.replace("-", "_"))
    return load_net(builder(**head.settings), file, torch_device(device)), head
