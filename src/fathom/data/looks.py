"""Samples for training: several augmented looks of each scene, and samples kept on disk."""

import functools
import hashlib
import io
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fathom.core.arrays import Array
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Disparity
from fathom.core.pair import StereoPair, View
from fathom.core.sample import StereoSample
from fathom.data.augment import AugmentSettings, RightTruth, augment
from fathom.data.scenes import Scene, Scenes
from fathom.io.atomic import atomic_file
from fathom.io.files import in_file, read_bytes

_LONGEST = 1 << 31


@dataclass(frozen=True)
class Looks:
    """`each` augmented looks of every scene: a scene takes longer to make than to look at again.

    Sample i is look i % each of scene i // each; it depends on the settings and i alone. With
    `scenes.count` it has a length. Masks: "nonocc".

    Raises `UsageError` for less than one look.
    """

    scenes: Scenes = field(default_factory=Scenes)
    settings: AugmentSettings = field(default_factory=AugmentSettings)
    each: int = 4

    def __post_init__(self) -> None:
        if self.each < 1:
            raise UsageError(
                "is no number of looks", field="each", value=self.each, expected="1 or more"
            )

    def __len__(self) -> int:
        return len(self.scenes) * self.each

    def __getitem__(self, index: int) -> StereoSample:
        """Look `index`. Raises `IndexError` beyond the last scene."""
        number, look = divmod(operator.index(index), self.each)
        made = _scene(self.scenes, number)
        rng = np.random.default_rng([self.scenes.seed, number, look])
        plain = StereoSample(
            made.sample.pair,
            made.sample.truth,
            {"nonocc": made.seen},
            f"{made.sample.name}-{look}",
        )
        right = RightTruth(Disparity(made.disparity_right), {"nonocc": made.seen_right})
        return augment(plain, rng, self.settings, right)


@functools.lru_cache(maxsize=1)
def _scene(scenes: Scenes, number: int) -> Scene:
    return scenes.full(number)


@dataclass(frozen=True)
class Kept:
    """Samples of which each is made once and then read from a folder.

    samples: what makes them. folder: one file a sample, named by its index; it must hold samples of
    nothing else. Pair, truth and name are kept; rig and masks are not.
    """

    samples: Any
    folder: Path

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> StereoSample:
        """Sample `index`, from its file where there is one. Raises as `samples` does; `InputError`
        for a file that is damaged, `ResourceError` for one that cannot be written."""
        path = self.folder / f"{index // 1000:04d}" / f"{index:07d}.npz"
        if path.exists():
            return _read(path)
        sample: StereoSample = self.samples[index]
        if sample.truth is None:
            raise InputError("has no true disparity", field="truth", value=sample.name)
        views = (sample.pair.left.rgb8, sample.pair.right.rgb8)
        with atomic_file(path) as file:
            np.savez(
                file, left=views[0], right=views[1], truth=sample.truth.values, name=sample.name
            )
        return StereoSample(
            StereoPair(View(views[0]), View(views[1])), sample.truth, name=sample.name
        )


def _read(path: Path) -> StereoSample:
    data = io.BytesIO(read_bytes(path, "kept sample", _LONGEST))
    with in_file(path):
        try:
            with np.load(data, allow_pickle=False) as held:
                pair = StereoPair(View(held["left"]), View(held["right"]))
                return StereoSample(pair, Disparity(held["truth"]), name=str(held["name"]))
        except Exception as error:  # of zip, zlib, numpy: damage has many names
            raise InputError(
                f"is no kept sample: {error}", remedy="remove it: it will be made again"
            ) from error


@dataclass(frozen=True)
class KeptEvidence:
    """Evidence that is made once for a pair and then read from a folder, by the pair's content.

    make: pair -> float32 (c, h, w). name: of what makes it and its settings: part of the file's
    name. Kept in half precision, and given in it from the first time on.
    """

    make: Callable[[StereoPair], Array]
    folder: Path
    name: str

    def __call__(self, pair: StereoPair) -> Array:
        """The evidence of `pair`. Raises as `make` does, and as `Kept` for its files."""
        digest = hashlib.sha1(self.name.encode(), usedforsecurity=False)
        for view in (pair.left, pair.right):
            digest.update(str(view.rgb8.shape).encode())
            digest.update(np.ascontiguousarray(view.rgb8).data)
        key = digest.hexdigest()
        path = self.folder / key[:2] / f"{key}.npy"
        if path.exists():
            data = io.BytesIO(read_bytes(path, "kept evidence", _LONGEST))
            with in_file(path):
                try:
                    kept: Array = np.load(data, allow_pickle=False).astype(np.float32)
                    return kept
                except Exception as error:
                    raise InputError(
                        f"is no kept evidence: {error}", remedy="remove it: it will be made again"
                    ) from error
        made = np.asarray(self.make(pair)).astype(np.float16)
        with atomic_file(path) as file:
            np.save(file, made)
        return made.astype(np.float32)
