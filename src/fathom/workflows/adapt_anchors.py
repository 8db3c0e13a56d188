"""What adaptation knows of single pixels in metres: files of anchors, as disparities."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import StereoRig
from fathom.core.errors import FathomError, InputError, UsageError
from fathom.core.maps import Depth, Disparity, SparseDepth
from fathom.core.options import option
from fathom.io.points import is_points
from fathom.workflows.mono_anchors import AlignKind, AlignOptions, anchors_of
from fathom.workflows.mono_camera import FoundCamera
from fathom.workflows.pairs import LoadedPair


@dataclass(frozen=True)
class AnchorOptions:
    """Where anchors are, and what their files hold: `AlignOptions`, called by adaptation's names.

    Raises `UsageError` for a kind or scale without files.
    """

    anchors: Path | None = option(
        None,
        "folder with metres to learn from besides, a file for each pair that has some, named as "
        "its left image: LiDAR points (text or .npy: x y depth; .ply in the camera's frame), or a "
        "map of depth or disparity",
        flags=("--align", "--lidar", "--hints"),
        metavar="DIR",
    )
    anchors_kind: AlignKind | None = option(
        None,
        "what --anchors holds, if maps: depth (m; PNG: millimetres), kitti-depth (PNG: 256 a "
        "metre), disparity (px; PNG: 256 a pixel) or points (default: depth, or points by the "
        "ending)",
        flags=("--align-kind",),
    )
    anchors_scale: str | None = option(
        None, "what one number in them is worth, for example 1/5000 or 1/256",
        flags=("--align-scale",), metavar="X",
    )  # fmt: skip

    def __post_init__(self) -> None:
        with _called_anchors():
            self.reading()

    def reading(self) -> AlignOptions:
        """How the files are read."""
        return AlignOptions(
            align=self.anchors, align_kind=self.anchors_kind, align_scale=self.anchors_scale
        )

    def check(self, names: tuple[str, ...]) -> None:
        """Raises `UsageError` for the anchors of one pair where there are several, `InputError`
        where there is nothing, or nothing for any pair of these names."""
        if len(names) > 1:
            self.reading().require_many("give a folder with anchors of each pair", flag="anchors")
        if self.anchors is not None and all(
            self._file(name, i, len(names)) is None for i, name in enumerate(names)
        ):
            raise InputError(
                "holds no anchors for any pair", file=self.anchors,
                expected=f"files named as the left images ({names[0]}, ...), or one for each of "
                f"the {len(names)} pairs",
            )  # fmt: skip

    def of(self, loaded: LoadedPair, name: str, index: int, count: int) -> Disparity | None:
        """The anchors of a pair as disparities; None where it has none.

        Raises `UsageError` for a pair without a rig, or one that is no more as its anchors saw it;
        `InputError` as the files' readers do.
        """
        file, rig = self._file(name, index, count), loaded.pair.rig
        if file is None:
            return None
        if rig is None:
            raise UsageError(
                "are metres, and no rig says what disparity they are", field="anchors", value=file,
                remedy="give --calib FILE, or --focal and --baseline",
            )  # fmt: skip
        if loaded.rectified_here or (loaded.changed and is_points(file)):
            raise UsageError(
                "are of the images as they are, and these are rectified or resized here",
                field="anchors", value=file,
                remedy="write the pairs that way first (fathom rectify), leave out --scale, and "
                "give anchors of the rectified left images",
            )  # fmt: skip
        found = FoundCamera(rig.left, "calibration", "the pair's rig", rig)
        with _called_anchors():
            points, _ = anchors_of(loaded.pair.size, found, self.reading(), file)
        return Disparity(disparity_map(points, rig, loaded.pair.shape))

    def _file(self, name: str, index: int, count: int) -> Path | None:
        """The file for a pair: by its name, or by order where there are as many files as pairs."""
        try:
            return self.reading().file_of(name, index, count)
        except InputError:  # the folder has none for this one
            return None


def disparity_map(points: SparseDepth | Depth, rig: StereoRig, shape: tuple[int, int]) -> Array:
    """Metres at single pixels, or a map of them, as disparities float32 (h, w), NaN = unknown.

    A point counts for the pixel it lies in; of several in one the nearest counts. Points outside
    the image are left out.
    """
    if isinstance(points, Depth):
        return rig.disparity_of(points.values)
    out = np.full(shape, -np.inf, np.float32)
    columns, rows = np.rint(points.pixels).astype(np.int64).T
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    values = rig.disparity_of(points.depth)[inside]
    np.maximum.at(out, (rows[inside], columns[inside]), values)
    return np.where(np.isfinite(out), out, np.float32(np.nan))


@contextmanager
def _called_anchors() -> Iterator[None]:
    """Errors of `AlignOptions` speak of --anchors, as it is called here."""
    try:
        yield
    except FathomError as error:
        error.field = error.field and error.field.replace("align", "anchors")
        error.remedy = error.remedy and error.remedy.replace("--align", "--anchors")
        error.problem = error.problem.replace("--align", "--anchors")
        raise
