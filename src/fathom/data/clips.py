"""Frames of a moving camera with their neighbours: what depth and motion are learned from.

A clip is a row of frames of one camera; `Moments` gives each frame with the ones around it.
Clips come from scenes (`fathom.data.scenes.sequence`) or from disk (`read_clip`, `FrameClip`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from fathom.core.arrays import Array, Float64
from fathom.core.camera import Camera, StereoRig
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Depth
from fathom.core.pair import View
from fathom.io.files import PathLike, in_file, read_bytes

_LONGEST = 1 << 24
_POSE = 12


@dataclass(frozen=True, eq=False)
class Moment:
    """A frame among its neighbours.

    view: the frame. neighbours: other frames of the same camera, one for each of the offsets that
    were asked for. camera: of them all, without distortion. right, baseline: what the right camera
    of a rectified rig saw at that moment, and metres between the two; or None. truth: depth of
    `view`. motions: for each neighbour the true T (4, 4) with X_neighbour = T X_view in metres, or
    None.
    """

    view: View
    neighbours: tuple[View, ...]
    camera: Camera
    right: View | None = None
    baseline: float | None = None
    truth: Depth | None = None
    motions: tuple[Array, ...] | None = None
    name: str = ""


@runtime_checkable
class Clip(Protocol):
    """A row of frames of one camera, or of a rectified rig.

    name: of the clip. camera: of its frames. baseline: metres to the right camera, or None. poses:
    camera to world (n, 4, 4) in metres, or None.
    """

    @property
    def name(self) -> str: ...
    @property
    def camera(self) -> Camera: ...
    @property
    def baseline(self) -> float | None: ...
    @property
    def poses(self) -> Array | None: ...
    def __len__(self) -> int: ...
    def view(self, index: int) -> View:
        """Frame `index` of the (left) camera."""
        ...

    def right(self, index: int) -> View | None:
        """What the right camera saw then."""
        ...

    def depth(self, index: int) -> Depth | None:
        """True depth of frame `index`."""
        ...


class Moments:
    """The frames of clips that have neighbours at all `offsets`, clip after clip.

    first, end: only frames first..end-1 of each clip are taken, as neighbours, too, so that two
    parts of a clip share nothing; negative numbers count from its end, None is the end.

    Raises `UsageError` for offsets that repeat or hold 0, `InputError` for clips in which no frame
    has its neighbours.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        offsets: tuple[int, ...] = (-1, 1),
        first: int = 0,
        end: int | None = None,
    ) -> None:
        if 0 in offsets or len(set(offsets)) != len(offsets):
            raise UsageError(
                "are no neighbours", field="offsets", value=offsets, expected="-1, 1 or alike"
            )
        self.offsets = offsets
        self._clips = tuple(clips)
        self._places: list[tuple[int, int]] = []
        for c, clip in enumerate(self._clips):
            inside = range(len(clip))[first:end]
            for i in inside:
                if all(i + offset in inside for offset in offsets):
                    self._places.append((c, i))
        if not self._places:
            raise InputError(
                "no frame has its neighbours",
                field="clips",
                value=f"{[len(clip) for clip in clips]} frames",
                expected=f"frames at {offsets} of it, too",
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Of the moments: the clip's name and the frame's number."""
        return tuple(f"{self._clips[c].name}-{i:04d}" for c, i in self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Moment:
        """Moment `index`. Raises `IndexError` where there is none, and what the clip raises."""
        c, i = self._places[index]
        clip = self._clips[c]
        poses = clip.poses
        motions = None
        if poses is not None:
            motions = tuple(np.linalg.inv(poses[i + o]) @ poses[i] for o in self.offsets)
        return Moment(
            clip.view(i),
            tuple(clip.view(i + o) for o in self.offsets),
            clip.camera,
            clip.right(i),
            clip.baseline,
            clip.depth(i),
            motions,
            f"{clip.name}-{i:04d}",
        )


@dataclass(frozen=True, eq=False)
class FrameClip:
    """A clip on disk: images in order, read when asked for.

    left, right: the images, `right` empty without a second camera. Grey images are taken as RGB.
    """

    name: str
    camera: Camera
    left: tuple[Path, ...]
    right_files: tuple[Path, ...] = ()
    baseline: float | None = None
    poses: Array | None = None

    def __len__(self) -> int:
        return len(self.left)

    def view(self, index: int) -> View:
        """Frame `index`. Raises `InputError` for an image that is damaged or of another size."""
        return self._read(self.left[index])

    def right(self, index: int) -> View | None:
        """What the right camera saw then; raises as `view`."""
        return self._read(self.right_files[index]) if self.right_files else None

    def depth(self, index: int) -> Depth | None:  # noqa: ARG002
        """None: clips on disk have no dense truth."""
        return None

    def _read(self, file: Path) -> View:
        from fathom.io.images import read_view

        view = read_view(file)
        if view.shape != (self.camera.height, self.camera.width):
            raise InputError(
                "differs in size from the camera", file=file, field="size",
                value=f"{view.shape[1]}x{view.shape[0]}",
                expected=f"{self.camera.width}x{self.camera.height}",
            )  # fmt: skip
        return view


def read_clip(folder: PathLike, rig: StereoRig | Camera | None = None) -> FrameClip:
    """The clip of a folder: `left/` (and `right/`) with images in order, `calib.json` as in
    fathom's own layout, `poses.txt` with a camera-to-world matrix (3x4) a line, as KITTI has them.

    rig: in place of calib.json. A folder that holds images itself is a clip of one camera, `rig`.

    Raises `InputError` for missing images or calibration, or poses that are none or not as many
    as the frames.
    """
    from fathom.data.readers.fathom_folder import read_rig
    from fathom.io.images import read_view
    from fathom.io.pairing import find_images

    place = Path(folder)
    inside = place / "left" if (place / "left").is_dir() else place
    left = tuple(find_images(inside)[0])
    right: tuple[Path, ...] = ()
    if (place / "right").is_dir() and inside != place:
        right = tuple(find_images(place / "right")[0])
        if len(right) != len(left):
            raise InputError(
                "holds not as many frames as the left one", file=place / "right",
                field="frames", value=len(right), expected=str(len(left)),
            )  # fmt: skip
    found = rig or read_rig(place / "calib.json", read_view(left[0]).size)
    if found is None:
        raise InputError(
            "is not there, or says not all it must",
            file=place / "calib.json",
            expected="fx, cx, cy, doffs and baseline_m",
            remedy="give the camera (rig=...)",
        )
    stereo = isinstance(found, StereoRig) and bool(right)
    return FrameClip(
        place.name,
        found.left if isinstance(found, StereoRig) else found,
        left,
        right if stereo else (),
        found.baseline if isinstance(found, StereoRig) and stereo else None,
        _poses(place / "poses.txt", len(left)),
    )


def _poses(path: Path, count: int) -> Float64[np.ndarray, "n 4 4"] | None:
    if not path.is_file():
        return None
    with in_file(path):
        try:
            lines = read_bytes(path, "list of poses", _LONGEST).decode().splitlines()
            rows = np.array([[float(v) for v in line.split()] for line in lines if line.strip()])
        except ValueError:
            rows = np.empty(0)
        if rows.shape != (count, _POSE) or not np.isfinite(rows).all():
            raise InputError(
                "is no list of the frames' poses",
                field="shape",
                value=rows.shape,
                expected=f"{count} lines of 12 numbers",
            )
    out = np.tile(np.eye(4), (count, 1, 1))
    out[:, :3] = rows.reshape(count, 3, 4)
    return out


@dataclass(frozen=True, eq=False)
class ClipInMemory:
    """A clip whose frames are arrays.

    left, right_images: uint8 (n, h, w, 3); right_images None without a second camera. depths:
    float32 (n, h, w), metres, NaN = unknown, or None.
    """

    name: str
    camera: Camera
    left: Array
    right_images: Array | None = None
    baseline: float | None = None
    poses: Array | None = None
    depths: Array | None = None

    def __len__(self) -> int:
        return len(self.left)

    def view(self, index: int) -> View:
        """Frame `index`."""
        return View(self.left[index])

    def right(self, index: int) -> View | None:
        """What the right camera saw then."""
        return None if self.right_images is None else View(self.right_images[index])

    def depth(self, index: int) -> Depth | None:
        """True depth of frame `index`."""
        return None if self.depths is None else Depth(self.depths[index])
