"""Depth from one image or a clip by diffusion models: Marigold and DepthCrafter as estimators.

The nets run through diffusers (`fathom.nets.mono.marigold`, `fathom.nets.mono.depthcrafter`), which
is imported when they are first called.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import util
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np

from fathom.classical.checks import in_range
from fathom.classical.memory import available_memory
from fathom.combine.engines import check_engine
from fathom.combine.mono import as_map, batches
from fathom.core.arrays import Array, Float32
from fathom.core.errors import InputError, MissingExtraError, UsageError, unknown_name
from fathom.core.maps import Ambiguity, RelativeDepth
from fathom.core.mono import MonoAnswer
from fathom.core.options import option
from fathom.core.pair import View
from fathom.published.hub import Address, address, cache_folder, folder_of, origin_of

EXTRA = "diffusion"
"""What is to be installed for them."""
BASE = Address(
    "stabilityai/stable-video-diffusion-img2vid-xt", "9e43909513c6714f1bc78bcb44d96e733cd242aa"
)
"""Stable Video Diffusion, whose VAE, image encoder and scheduler DepthCrafter goes on using."""
_NEEDED = ("vae", "image_encoder", "scheduler", "feature_extractor")
SMALLEST = 16
"""No depth is told of images with a side below this many pixels."""
NEAR = 0.05
"""Members of an ensemble agree if they lie within this share of the image's range of depths."""
Precision = Literal["fp32", "bf16", "fp16"]
_LARGEST_SIDE = 8192
_SEEDS = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Marigold:
    """Marigold and its kin: depth up to scale and shift (0 nearest, 1 farthest) from one view.

    model, hub, zeros: set by the catalog's entry: its name, where its weights are on the hub
    ("owner/name@revision"), and whether it starts from zeros instead of noise.

    The samples of an ensemble are aligned and their median is the answer. The confidence is then
    the share of samples expected within 5 % of the range of depths around it (`agreement`): how far
    the model agrees with itself, not how right it is. One sample has none, and of two the median
    deviation is always 0, so two are refused. The same seed gives the same answer, for each view as
    if it were alone (up to rounding).

    Raises `UsageError` for a parameter out of its range.
    """

    model: str = "marigold"
    hub: str = "prs-eth/marigold-depth-v1-1"
    zeros: bool = False
    steps: int | None = option(None, "steps of denoising; default: as the weights were published")
    ensemble: int = option(1, "samples whose median is the answer: 1, or 3 and more")
    size: int | None = option(
        None, "longer side at which it is worked out (px, a multiple of 8); 0 = the image's own; "
        "default: as published, 768",
    )  # fmt: skip
    seed: int = option(0, "of the noise it starts from")
    batch: int = option(1, "samples that go through the nets together")
    precision: Precision = option("fp32", "bf16 or fp16, on a GPU = half precision")
    confidence: bool = option(True, "give how far the ensemble agrees per pixel")
    threads: int | None = option(None, "torch's threads; default: as torch decides")
    device: str = option("cpu", "cpu, cuda, cuda:N or mps")
    weights: str | None = option(None, "folder of a pipeline, or owner/name[@revision] of the hub")

    def __post_init__(self) -> None:
        if self.steps is not None:
            in_range("steps", self.steps, 1, 1000, whole=True)
        in_range("ensemble", self.ensemble, 1, 1000, whole=True)
        if self.ensemble == 2:
            raise UsageError(
                "of two samples there is no middle one", field="ensemble", value=2,
                expected="1, or 3 and more",
            )  # fmt: skip
        if self.size is not None:
            in_range("size", self.size, 0, _LARGEST_SIDE, whole=True)
        in_range("batch", self.batch, 1, 1000, whole=True)
        _check_common(self.seed, self.precision, self.device, self.threads)

    def __call__(self, view: View, /) -> RelativeDepth:
        """Depth of one view, of its size. Raises as `answers`."""
        return cast(RelativeDepth, self.answers([view])[0].map)

    def weights_used(self) -> dict[str, Any]:
        """Where they are, by `origin_of`. Raises `InputError` if they are not there."""
        return origin_of(_folder(self))

    def prepare(self) -> None:
        """Loads libraries and weights, which the first call would do. Raises as `answers`."""
        self._pipeline()

    def _pipeline(self) -> Any:
        folder = _folder(self)
        return _marigold(folder, _stamp(folder), self.device, self.precision, self.zeros)

    def answers(self, views: Sequence[View], /) -> list[MonoAnswer]:
        """Depth of each view; those of one size that follow each other share batches.

        Raises `InputError` for weights that are not there or not Marigold's, and for views too
        small or too narrow; `UsageError` for a size that is no multiple of what the VAE needs;
        `ResourceError` for want of memory or a device; `MissingExtraError` without diffusers.
        """
        if not views:
            return []
        _check_views(views)
        from fathom.nets.adapter import torch_threads
        from fathom.nets.mono.marigold import Sampling, ambiguity_of, sample

        how = Sampling(
            self.steps, self.ensemble, self.size, self.seed, self.batch, zeros=self.zeros
        )
        found: list[MonoAnswer] = []
        pipeline = self._pipeline()
        with torch_threads(self.threads):
            ambiguity = ambiguity_of(pipeline)
            for some in batches(views, self.batch):
                for answer in sample(pipeline, [view.rgb8 for view in some], how):
                    sure = None
                    if self.confidence and answer.spread is not None:
                        sure = agreement(answer.spread)
                    found.append(MonoAnswer(_relative(answer.values, ambiguity, sure)))
        return found


@dataclass(frozen=True, kw_only=True)
class DepthCrafter:
    """DepthCrafter: inverse depth of a clip up to one scale and shift (1 nearest, 0 farthest).

    model, hub: set by the catalog's entry: its name, and where its U-Net is on the hub; its other
    parts are those of Stable Video Diffusion (`base`). A clip is worked off in windows that share
    frames, so its memory does not grow with its length but for the answers.

    The same seed and frames give the same answer.

    Raises `UsageError` for a parameter out of its range.
    """

    model: str = "depthcrafter"
    hub: str = "tencent/DepthCrafter"
    steps: int = option(5, "steps of denoising of each window")
    window: int = option(110, "frames that are seen together")
    overlap: int = option(25, "frames that a window shares with the one before")
    size: int = option(1024, "longer side at most (px); sides become multiples of 64")
    chunk: int = option(8, "frames that are decoded together: less takes less memory")
    seed: int = option(0, "of the noise it starts from")
    precision: Precision = option("fp32", "bf16 or fp16, on a GPU = half precision")
    base: str | None = option(
        None, "folder of Stable Video Diffusion (img2vid-xt); default: the hub's cache"
    )
    threads: int | None = option(None, "torch's threads; default: as torch decides")
    memory_limit: int | None = option(
        None, "largest memory in bytes; default: 80 % of what is available"
    )
    device: str = option("cpu", "cpu, cuda, cuda:N or mps")
    weights: str | None = option(None, "folder of the net, or owner/name[@revision] of the hub")

    def __post_init__(self) -> None:
        for name, value, most in (
            ("steps", self.steps, 1000),
            ("window", self.window, 10000),
            ("chunk", self.chunk, 10000),
        ):
            in_range(name, value, 1, most, whole=True)
        in_range("overlap", self.overlap, 0, self.window - 1, whole=True)
        in_range("size", self.size, 64, _LARGEST_SIDE, whole=True)
        if self.memory_limit is not None:
            in_range("memory_limit", self.memory_limit, 1, _SEEDS, whole=True)
        _check_common(self.seed, self.precision, self.device, self.threads)

    def __call__(self, view: View, /) -> RelativeDepth:
        """Inverse depth of a clip of this one view. Raises as `answers`."""
        return cast(RelativeDepth, self.answers([view])[0].map)

    def weights_used(self) -> dict[str, Any]:
        """Where they and those of Stable Video Diffusion are. Raises `InputError` if they are not
        there."""
        folder = _folder(self)
        from fathom.nets.mono.depthcrafter import has_all_parts

        base = {} if has_all_parts(folder) else {"base": origin_of(_base_of(self.base))}
        return {**origin_of(folder), **base}

    def prepare(self) -> None:
        """Loads libraries and weights, which the first call would do. Raises as `answers`."""
        self._parts()

    def _parts(self) -> Any:
        folder = _folder(self)
        from fathom.nets.mono.depthcrafter import has_all_parts

        base = folder if has_all_parts(folder) else _base_of(self.base)
        stamps = _stamp(folder), _stamp(base)
        return _crafter(folder, base, stamps, self.device, self.precision)

    def answers(
        self, views: Sequence[View], /, progress: Callable[[int, int], None] = lambda *_: None
    ) -> list[MonoAnswer]:
        """Inverse depth of the frames of one clip, in their order, in one unit.

        progress: (done, total) is called as parts of the work are done.

        Raises `InputError` for weights that are not there or another net's, no frames, frames of
        different sizes or too small; `ResourceError` for want of memory or a device;
        `MissingExtraError` without diffusers.
        """
        if not views:
            raise InputError("holds no frames", field="clip", value=0, expected="1 or more")
        _check_views(views)
        other = next((i for i, v in enumerate(views) if v.size != views[0].size), None)
        if other is not None:
            raise InputError(
                "differs in size from the clip's first", field=f"frame {other}",
                value="{}x{}".format(*views[other].size),
                expected="{}x{}".format(*views[0].size),
            )  # fmt: skip
        parts = self._parts()
        from fathom.nets.adapter import torch_threads
        from fathom.nets.mono.depthcrafter import Crafting, craft

        limit = self.memory_limit
        if limit is None and self.device == "cpu" and (there := available_memory()) is not None:
            limit = there * 8 // 10
        how = Crafting(
            self.steps, self.window, self.overlap, self.size, self.chunk, self.seed, limit
        )
        with torch_threads(self.threads):
            maps = craft(parts, [v.rgb8 for v in views], how, progress)
        return [MonoAnswer(_relative(values, "affine_inverse")) for values in maps]


def agreement(spread: Float32[np.ndarray, "h w"], near: float = NEAR) -> Float32[np.ndarray, "h w"]:
    """The share of an ensemble's members that lie within `near` of its median, 0..1.

    spread: their median absolute deviation, in the unit of `near`. By definition it is one half
    where the deviation is `near`; beyond that Laplace's law is taken, as for errors of matching
    (`fathom.core.uncertainty`), of which the median deviation is b ln 2:

        P(|e| <= near) = 1 - exp(-near / b) = 1 - 2^(-near / spread).
    """
    with np.errstate(divide="ignore"):
        out: Array = 1 - np.exp2(-near / np.maximum(np.nan_to_num(spread, nan=np.inf), 0))
    return out.astype(np.float32)


def _relative(values: Array, ambiguity: Ambiguity, sure: Array | None = None) -> RelativeDepth:
    """A net's values as a map; what half precision made infinite is unknown."""
    found = cast(RelativeDepth, as_map(values, ambiguity))
    return replace(found, confidence=None if sure is None else np.where(found.known, sure, 0))


def _check_common(seed: int, precision: str, device: str, threads: int | None) -> None:
    in_range("seed", seed, 0, _SEEDS, whole=True)
    if precision not in get_args(Precision):
        raise unknown_name("precision", str(precision), list(get_args(Precision)))
    check_engine(device, None)
    if precision != "fp32" and device == "cpu":
        # torch's antialiased resize, for one, is not there in half precision on a CPU
        raise UsageError(
            "is for a GPU", field="precision", value=precision, expected="fp32 on the CPU",
            remedy="give device cuda, or leave it out",
        )  # fmt: skip
    if threads is not None:
        in_range("threads", threads, 1, 4096, whole=True)


def _check_views(views: Sequence[View]) -> None:
    small = next((v for v in views if min(v.size) < SMALLEST), None)
    if small is not None:
        raise InputError(
            "is too small to tell depth from", field="image", value="{}x{}".format(*small.size),
            expected=f"{SMALLEST}x{SMALLEST} pixels or more",
        )  # fmt: skip


def _folder(model: Marigold | DepthCrafter) -> Path:
    for package in ("torch", "diffusers", "transformers"):
        if util.find_spec(package) is None:
            raise MissingExtraError(package, EXTRA)
    return folder_of(model.weights, address(model.hub) or Address(model.hub), model.model)


def _base_of(given: str | None) -> Path:
    """The folder of Stable Video Diffusion: given, or in the hub's cache, where the parts that are
    needed are enough (all of its repository are 33 GB)."""
    if given is not None:
        if not Path(given).is_dir():
            raise InputError(
                "is no folder", field="base", value=given,
                expected="one with vae/ and image_encoder/",
            )  # fmt: skip
        return Path(given)
    at = cache_folder() / f"models--{BASE.repo.replace('/', '--')}" / "snapshots" / BASE.revision
    if not all((at / part).is_dir() for part in _NEEDED[:3]):
        parts = " ".join(f"--include '{part}/*'" for part in _NEEDED)
        raise InputError(
            "is not in the hub's cache on this machine, and DepthCrafter needs its VAE, image "
            "encoder and scheduler",
            field="base", value=str(BASE),
            remedy=f"run: hf download {BASE.repo} --revision {BASE.revision} {parts} --exclude "
            "'*.fp16*'; or copy these folders here by hand and give --base FOLDER",
        )  # fmt: skip
    return at


def _stamp(folder: Path) -> tuple[int, int]:
    """A folder's last change and size: one that changed is another one."""
    found = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return max((s.st_mtime_ns for s in found), default=0), sum(s.st_size for s in found)


@lru_cache(maxsize=1)
def _marigold(
    folder: Path,
    stamp: tuple[int, int],  # noqa: ARG001
    device: str,
    precision: Precision,
    zeros: bool,
) -> Any:
    from fathom.nets.adapter import torch_device
    from fathom.nets.mono.marigold import load_marigold

    return load_marigold(folder, torch_device(device), precision, zeros=zeros)


@lru_cache(maxsize=1)
def _crafter(
    folder: Path,
    base: Path,
    stamps: tuple[tuple[int, int], ...],  # noqa: ARG001
    device: str,
    precision: Precision,
) -> Any:
    from fathom.nets.adapter import torch_device
    from fathom.nets.mono.depthcrafter import load_parts

    return load_parts(folder, base, torch_device(device), precision)
