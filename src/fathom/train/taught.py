"""Distillation: pairs whose truth, or what is missing of it, a frozen teacher gives.

The teacher sees the pair as it is; `Experiment.augment` comes afterwards and disturbs only what the
student sees. Self-distillation with a frozen teacher on clean input is the second stage of Lite Any
Stereo (2025); here the teacher speaks only where it is sure.
"""

import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fathom.combine.flip import mirror_difference
from fathom.core.arrays import Bool, Float32
from fathom.core.errors import InputError, UsageError
from fathom.core.estimator import StereoMatcher
from fathom.core.maps import Disparity
from fathom.core.pair import StereoPair
from fathom.core.sample import StereoSample

_WRONG = 2.0
"""Pixels of error from which on a value counts as bad."""


@dataclass(frozen=True)
class Taught:
    """Samples with a teacher's disparity as their truth, where its confidence is `least` or more.

    samples: anything that gives a `StereoSample` for an index, with or without truth; it keeps its
    names and length. teacher: a matcher, or the name of one (`fathom.create(name)`, made in each
    process when it is first asked). It stays as it is, and the same pair gets the same answer.
    keep_truth: where the sample has a truth of its own, that is taken instead. hopeless: a sample
    on which more than this share of the known truth is missed by over 2 px is refused (training
    names it and takes another): what the teacher does not understand it must not teach. consistent:
    with a number of pixels the teacher is asked for the right view as well (the pair in a mirror),
    and speaks only where both answers agree to that; least=0 makes it the only filter.

    The teacher is asked for each sample each time; `fathom.data.looks.Kept` around this asks once.

    Raises `UsageError` for shares outside 0..1, negative pixels and an unknown teacher.
    """

    samples: Any
    teacher: StereoMatcher | str
    least: float = 0.8
    keep_truth: bool = True
    hopeless: float = 0.6
    consistent: float | None = None

    def __post_init__(self) -> None:
        for name in ("least", "hopeless"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise UsageError("is no share", field=name, value=value, expected="0..1")
        if self.consistent is not None and not self.consistent >= 0:
            raise UsageError(
                "is no difference",
                field="consistent",
                value=self.consistent,
                expected="pixels >= 0",
            )
        if isinstance(self.teacher, str):
            from fathom.catalog import entry

            entry(self.teacher)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the samples, where they have any."""
        return tuple(map(str, self.samples.names))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> StereoSample:
        """Sample `index` with the taught truth; its masks, rig and name stay.

        Raises `InputError` if the teacher is hopeless here, sure nowhere, or has no confidence;
        and what the samples and the teacher raise.
        """
        sample: StereoSample = self.samples[index]
        teacher = self.teacher
        matcher = _made(teacher, os.getpid()) if isinstance(teacher, str) else teacher
        found = matcher(sample.pair)
        own = None if sample.truth is None else sample.truth.values
        if own is not None:
            self._hope(found.values, own)
        sure = self._sure(found)
        if self.consistent is not None:
            difference = mirror_difference(matcher, sample.pair, found)
            with np.errstate(invalid="ignore"):
                sure = sure & (difference <= np.float32(self.consistent))  # NaN: nothing to compare
        values = np.where(sure, found.values, np.float32(np.nan))
        if own is not None and self.keep_truth:
            values = np.where(np.isnan(own), values, own)
        if np.isnan(values).all():
            raise InputError(
                "is sure nowhere", field="teacher", expected=f"confidence {self.least:g}"
            )
        return replace(sample, truth=Disparity(values.astype(np.float32)))

    def _sure(self, found: Disparity) -> Bool[np.ndarray, "h w"]:
        if found.confidence is None:
            if self.least > 0:
                raise InputError(
                    "gives no confidence",
                    field="teacher",
                    expected="a matcher with one",
                    remedy="take fathom.create(NAME), or least=0 to believe everything",
                )
            return found.known
        return found.known & (found.confidence >= np.float32(self.least))

    def _hope(self, values: Float32[np.ndarray, "h w"], own: Float32[np.ndarray, "h w"]) -> None:
        known = ~np.isnan(own)
        with np.errstate(invalid="ignore"):
            right = np.abs(values - own) <= _WRONG  # NaN compares as false: a gap is no answer
        count = np.count_nonzero(known)
        missed = count - np.count_nonzero(right & known)
        if missed > self.hopeless * count:
            raise InputError(
                "is hopeless here",
                field="teacher",
                value=f"{100 * missed / count:.0f} % bad",
                expected=f"at most {100 * self.hopeless:g} % of the truth missed by over 2 px",
            )


@functools.lru_cache(maxsize=2)
def _made(name: str, process: int) -> StereoMatcher:  # noqa: ARG001
    """One teacher a process: what runs models has threads, and a fork would inherit them dead."""
    from fathom.catalog import create

    return create(name)


class UnlabelledPairs:
    """Pairs of images without truth, for a teacher; rectified, and read when asked for.

    left, right: two folders or globs whose images belong together by name or number. Without
    `right`, `left` is a folder with one folder for each side in it (`left` and `right`, `image_2`
    and `image_3`, `cam0` and `cam1`, ...). Lists and data sets are read by `Pairs` instead: rows
    need no truth to be taught.

    Raises `InputError` if nothing is there or nothing fits.
    """

    def __init__(self, left: Path | str, right: Path | str | None = None) -> None:
        from fathom.io.pairing import find_pairs

        sides = side_folders(Path(left)) if right is None else (left, right)
        self._files = find_pairs(*sides).pairs
        self.names = tuple(f.name for f in self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> StereoSample:
        """The pair of an index. Raises `IndexError`, and `InputError` for images that cannot be
        read or differ in size."""
        from fathom.io.files import in_file
        from fathom.io.images import read_view

        files = self._files[index]
        assert files.right is not None
        left, right = read_view(files.left), read_view(files.right)
        with in_file(files.right):
            return StereoSample(StereoPair(left, right), name=files.name)


_SIDES = (
    *(("left", "right"), ("image_2", "image_3"), ("image_02", "image_03"), ("image_0", "image_1")),
    *(("cam0", "cam1"), ("im0", "im1"), ("l", "r"), ("L", "R")),
)


def side_folders(root: Path) -> tuple[Path, Path]:
    """The folders of the left and of the right images in `root`, by their usual names. Raises
    `InputError` if there are none."""
    for left, right in _SIDES:
        if (root / left).is_dir() and (root / right).is_dir():
            return root / left, root / right
    raise InputError(
        "holds no folder for each side" if root.is_dir() else "is no folder",
        file=root,
        expected="folders left and right (or image_2 and image_3, cam0 and cam1)",
        remedy="give both folders",
    )
