"""Depth from one image by the networks of transformers: MiDaS, Depth Anything, ZoeDepth, Depth Pro.

Where weights come from: a folder, a file that `fathom weights convert` wrote, or the hub's cache on
this machine. Nothing is fetched here; `fathom weights add NAME` does that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fathom.combine.converted import checked, require_torch
from fathom.combine.engines import check_engine
from fathom.core.arrays import Array
from fathom.core.errors import InputError, UsageError, unknown_name
from fathom.core.maps import Ambiguity, Depth, RelativeDepth, Source
from fathom.core.mono import MonoAnswer
from fathom.core.options import option
from fathom.core.pair import View
from fathom.published.hub import Address, address, folder_of, origin_of
from fathom.published.hub_files import PICKLE
from fathom.published.store import SUFFIX, kept_paths

Stamp = tuple[tuple[str, int, int], ...]
"""Name, time of change and size of each file: a folder that changed is another one."""
Held = tuple[str, Stamp]
_PRECISIONS = ("fp32", "fp16", "bf16")
_POSITIONS = ("official", "transformers")


@dataclass(frozen=True)
class Mono:
    """A network of transformers as an estimator of one view, or of several at once.

    model, family, hub, ambiguity: set by the catalog's entry: its name, which kind of net, where
    its weights are on the hub ("owner/name@revision"), and what its answer means (None = metres).

    size: pixels of the shorter side that the net sees; None = as it was made. position: how Depth
    Anything's position embedding is enlarged for images that are not 518x518: as its authors do,
    or as transformers does. flip: ZoeDepth's mean with the mirrored image, as its authors do.
    weights: a folder, a converted file or the name it is kept under, or "owner/name[@revision]" of
    the hub's cache; None = a converted file kept under the model's name, else the hub's cache.
    batch: views that go through the net together in `answers`. 16-bit images are stretched to 8 as
    `View.rgb8` says. A metric answer that is not above 0 is unknown.

    Raises `UsageError` for a parameter out of its range.
    """

    model: str = "depth-anything-v2-small"
    family: str = "depth_anything"
    hub: str = "depth-anything/Depth-Anything-V2-Small-hf"
    ambiguity: Ambiguity | None = "affine_inverse"
    size: int | None = option(
        None, "pixels of the shorter side that the net sees; default: as it was made"
    )
    position: Literal["official", "transformers"] = option(
        "official", "whose way to enlarge the position embedding for other sizes than 518x518"
    )
    flip: bool = option(True, "mean with the answer for the mirrored image: twice the time")
    precision: Literal["fp32", "fp16", "bf16"] = option("fp32", "fp16 and bf16 = autocast")
    batch: int = option(4, "images of one size that go through the net together")
    threads: int | None = option(None, "torch's threads; default: as torch decides")
    device: str = option("cpu", "cpu, cuda, cuda:N or mps")
    weights: str | None = option(
        None, "folder, converted file or its name, or owner/name@revision in the hub's cache"
    )

    def __post_init__(self) -> None:
        check_choices(self.precision, self.device, self.batch)
        if self.position not in _POSITIONS:
            raise unknown_name("position", str(self.position), list(_POSITIONS))
        if self.size is not None and self.size < 1:
            raise UsageError("is no size", field="size", value=self.size, expected="pixels >= 1")

    def __call__(self, view: View, /) -> Depth | RelativeDepth:
        """Depth in metres along z, or relative depth, of the view's size.

        Raises `InputError` for weights that are not there, truncated, or no depth model's, and for
        an image that is too small or too long and narrow; `UsageError` for a size or a precision
        the net or device has not; `ResourceError` if the device is not there or its memory is too
        little; `MissingExtraError` without torch or transformers.
        """
        return self.answers([view])[0].map

    def weights_used(self) -> dict[str, str]:
        """Where they are, by `origin_of`. Raises `InputError` if they are not there."""
        return origin_of(Path(held_of(self.model, self.weights, self.hub)[0]))

    def prepare(self) -> None:
        """Loads libraries and weights, which the first call would do. Raises as a call."""
        self._net()

    def _net(self) -> Any:
        require_torch()
        net = load(
            held_of(self.model, self.weights, self.hub),
            self.model, self.family, self.device, self.position,
        )  # fmt: skip
        if net.metric != (self.ambiguity is None):
            means = ("relative depth", "metres")
            raise InputError(
                f"answers in {means[net.metric]}, and {self.model} in {means[not net.metric]}",
                field="weights", value=self.weights, remedy="give the other --method for them",
            )  # fmt: skip
        return net

    def answers(self, views: Sequence[View], /) -> list[MonoAnswer]:
        """The answer for each view, in their order; `batch` of one size go together. Depth Pro's
        also has the focal length it estimates. Where a view has a camera, Depth Pro's metres use
        that one's focal length instead, as its authors do.

        Raises as a call.
        """
        if not views:
            return []
        net = self._net()
        from fathom.nets.adapter import torch_threads
        from fathom.nets.mono.pretrained import run_pretrained

        found: list[MonoAnswer] = []
        with torch_threads(self.threads):
            for some in batches(views, self.batch):
                made = run_pretrained(
                    net,
                    [view.rgb8 for view in some],
                    size=self.size,
                    precision=self.precision,
                    flip=self.flip and self.family == "zoedepth",
                    focals=[view.camera.fx if view.camera else None for view in some],
                )
                found += [MonoAnswer(as_map(one.values, self.ambiguity), one.focal) for one in made]
        return found


def check_choices(precision: str, device: str, batch: int) -> None:
    """Raises `UsageError` for a precision, a device or a batch that cannot be meant, or not
    together."""
    if precision not in _PRECISIONS:
        raise unknown_name("precision", str(precision), list(_PRECISIONS))
    check_engine(device, None)
    if precision == "fp16" and device == "cpu":
        raise UsageError(
            "is for a GPU", field="precision", value=precision, expected="fp32 or bf16 on the CPU",
            remedy="give device cuda, or leave it out",
        )  # fmt: skip
    if batch < 1:
        raise UsageError("is below 1", field="batch", value=batch, expected="1 or more")


def as_map(values: Array, ambiguity: Ambiguity | None) -> Depth | RelativeDepth:
    """A net's values as a map: what is not finite, or no metres > 0, is unknown."""
    known = np.isfinite(values)
    if ambiguity is None:
        with np.errstate(invalid="ignore"):
            known &= values > 0
    values = np.where(known, values, np.float32(np.nan)).astype(np.float32)
    source = np.where(known, Source.MONOCULAR, Source.UNKNOWN).astype(np.uint8)
    if ambiguity is None:
        return Depth(values, source=source)
    return RelativeDepth(values, ambiguity, source=source)


def batches(views: Sequence[View], most: int) -> Iterator[list[View]]:
    """The views in their order, at most so many together, all of one size."""
    waiting: list[View] = []
    for view in views:
        if waiting and (len(waiting) == most or waiting[0].size != view.size):
            yield waiting
            waiting = []
        waiting.append(view)
    if waiting:
        yield waiting


def held_of(model: str, weights: str | None, hub: str) -> Held:
    """Where a model's weights are: a folder or a converted file, and its stamp.

    Raises `InputError` saying how to get them if they are not there, or no weights of that model.
    """
    kept = kept_paths().get(model if weights is None else weights)
    if kept is None and weights is not None and Path(weights).is_file():
        kept = Path(weights)
        if kept.suffix != SUFFIX:
            raise InputError(
                "is no folder of a model and no converted file", file=weights,
                remedy=f"run: fathom weights convert {weights} --model {model}",
            )  # fmt: skip
    if kept is not None:
        return str(kept), (_stamp(kept),)
    folder = folder_of(weights, address(hub) or Address(hub), model)
    files = sorted(p for kind in ("*.json", f"*{SUFFIX}", PICKLE) for p in folder.glob(kind))
    return str(folder), tuple(_stamp(path) for path in files)


def _stamp(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return path.name, status.st_mtime_ns, status.st_size


@lru_cache(maxsize=2)
def load(held: Held, model: str, family: str, device: str, position: str) -> Any:
    """The net of those weights, the same one as long as its files do not change.

    Raises as `load_pretrained`.
    """
    if Path(held[0]).is_file():
        checked(held[0], model)
    from fathom.nets.mono.pretrained import load_pretrained

    return load_pretrained(
        Path(held[0]), model, family, device=device, position=position  # type: ignore[arg-type]
    )  # fmt: skip
