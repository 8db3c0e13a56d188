"""What makes metres of a relative map: files of metres, objects of known size, the ground."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from fathom.core.camera import Camera, StereoCalibration, StereoRig
from fathom.core.errors import InputError, UsageError, unknown_name
from fathom.core.maps import Depth, Disparity, RelativeDepth, SparseDepth
from fathom.core.options import option
from fathom.geometry.align import DepthFit, Robust, align
from fathom.geometry.anchors import ground_anchors, object_anchors
from fathom.workflows.mono_camera import NO_CAMERA, FoundCamera

AlignKind = Literal["depth", "kitti-depth", "disparity", "points"]
Anchors = SparseDepth | Depth
_LENGTH = re.compile(r"(\d+\.?\d*|\.\d+)\s*(mm|cm|m)?")
_UNITS = {"mm": 1e-3, "cm": 1e-2, "m": 1.0, None: 1.0}
_MAPS = (".png", ".npy", ".pfm", ".tif", ".tiff")
_MOST_LOCAL = 10.0
_STEEPEST = 80.0


@dataclass(frozen=True)
class AlignOptions:
    """What turns the model's answer into metres, if anything.

    Raises `UsageError` for two things at once, or values that cannot be read.
    """

    align: Path | None = option(
        None,
        "metres to align to: LiDAR points (text or .npy: x y depth [sigma]; .ply in the camera's "
        "frame), a map of depth or disparity, a result folder of fathom; of many images a folder "
        "with one file for each",
        flags=("--anchors", "--lidar", "--hints"),
        metavar="FILE",
    )
    align_kind: AlignKind | None = option(
        None,
        "what --align holds, if a map: depth (m; PNG: millimetres), kitti-depth (PNG: 256 a "
        "metre), disparity (px; PNG: 256 a pixel; needs the rig by --calib or beside it) or points "
        "(default: depth, or points by the ending)",
    )
    align_scale: str | None = option(
        None, "what one number in it is worth, for example 1/5000 or 1/256", metavar="X"
    )
    known_size: str | None = option(
        None,
        "objects of known size that face the camera, by their boxes in pixels: "
        '"x,y,w,h=0.30m" (width), "...=x0.45m" (height), "...=0.30x0.45m"; several with ;',
        flags=("--object",),
        metavar="BOXES",
    )
    ground: float | None = option(
        None, "the camera's height in metres above flat ground in the lower third of the image",
        flags=("--camera-height",), metavar="M",
    )  # fmt: skip
    pitch: float = option(
        0.0, "degrees by which the camera looks down (for --ground)", metavar="DEGREES"
    )
    robust: Robust = option("ransac", "how wrong anchors are kept out")
    local: float | None = option(
        None,
        "let the correction follow the anchors around each place, averaged over this share of the "
        "width, for example 0.1",
        metavar="SHARE",
    )

    def __post_init__(self) -> None:
        names = ("align", "known_size", "ground")
        given = [name.replace("_", "-") for name in names if getattr(self, name) is not None]
        if len(given) > 1:
            raise UsageError(
                "are two answers to one question", field=" and ".join(given), expected="one of them"
            )
        if self.align_kind not in (None, *get_args(AlignKind)):
            raise unknown_name("kind of --align", str(self.align_kind), list(get_args(AlignKind)))
        if self.known_size is not None:
            known_sizes(self.known_size)
        self._check_idle()
        for name, good, expected in (
            ("ground", self.ground is None or 0 < self.ground < math.inf, "metres above 0"),
            ("pitch", abs(self.pitch) <= _STEEPEST, "degrees within 80"),
            ("local", self.local is None or 0 < self.local <= _MOST_LOCAL,
             "a share of the width above 0, at most 10"),
        ):  # fmt: skip
            if not good:
                raise UsageError(
                    "cannot be", field=name, value=getattr(self, name), expected=expected
                )

    def _check_idle(self) -> None:
        """Refuses what would change nothing for want of that which it belongs to."""
        there, any_anchor = self.align is not None, "--align FILE, --known-size or --ground"
        for name, default, used, remedy in (
            ("local", None, self.wanted, any_anchor),
            ("robust", "ransac", self.wanted, any_anchor),
            ("align_kind", None, there, "--align FILE"),
            ("align_scale", None, there, "--align FILE"),
            ("pitch", 0.0, self.ground is not None, "--ground M"),
        ):
            if not used and getattr(self, name) != default:
                raise UsageError(
                    "aligns nothing by itself", field=name.replace("_", "-"),
                    remedy=f"give {remedy}",
                )  # fmt: skip

    @property
    def wanted(self) -> bool:
        """Whether anything is to be aligned."""
        return any(v is not None for v in (self.align, self.known_size, self.ground))

    def require_many(self, remedy: str, *, one_serves: bool = False, flag: str = "align") -> None:
        """Raises `UsageError` if it tells the metres of one image only (boxes, a file, a result
        folder), unless `one_serves`; `InputError` if there is nothing at --align. remedy: what to
        do for many images. flag: what `align` is called where it is given."""
        if self.align is not None and not self.align.exists():
            raise InputError("does not exist", file=self.align, expected="anchors", remedy=remedy)
        of_one = self.known_size is not None
        if self.align is not None:
            of_one = not self.align.is_dir() or (self.align / "result.json").exists()
        if of_one and not one_serves:
            raise UsageError(
                "tells the metres of one image only, and there are several",
                field="known-size" if self.align is None else flag,
                value=self.known_size if self.align is None else str(self.align), remedy=remedy,
            )  # fmt: skip

    def file_of(self, name: str, index: int, count: int) -> Path | None:
        """The file for the image of that name, the index-th of count; None without --align.

        Raises `InputError` where a folder has none for it.
        """
        if self.align is None or not self.align.is_dir() or (self.align / "result.json").exists():
            return self.align
        found = sorted(p for p in self.align.iterdir() if _is_anchor(p))
        same = [p for p in found if name in (p.stem, p.name)]
        if same:
            return same[0]
        if len(found) == count:
            return found[index]
        raise InputError(
            f"holds no anchors for {name}", file=self.align,
            expected=f"a file named {name}, or as many files as images ({count})",
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Aligned:
    """depth: metres. fit: what was fitted. how: to what, in words."""

    depth: Depth
    fit: DepthFit
    how: str

    def as_dict(self) -> dict[str, Any]:
        """For result.json: everything of the fit, with units."""
        fit = self.fit
        return {
            "to": self.how,
            "ambiguity": fit.ambiguity,
            "scale": fit.scale,
            "shift": fit.shift,
            "anchors": fit.anchors,
            "inliers": fit.inliers,
            "median_residual": fit.residual,
            "scale_standard_error": fit.error,
            "anchors_nearest_m": fit.reach[0],
            "anchors_farthest_m": fit.reach[1],
        }


def aligned(
    answer: Depth | RelativeDepth, found: FoundCamera, options: AlignOptions, file: Path | None
) -> Aligned:
    """The answer in metres. file: what `AlignOptions.file_of` says for this image.

    Raises `InputError` where the anchors do not determine it, `UsageError` without a camera where
    one is needed.
    """
    height, width = answer.shape
    anchors, how = anchors_of((width, height), found, options, file)
    open_shift = isinstance(answer, RelativeDepth) and answer.ambiguity != "scale"
    if open_shift and options.known_size is not None:
        _require_two_distances(anchors)
    try:
        depth, fit = align(answer, anchors, robust=options.robust, local=options.local)
    except InputError as error:
        error.file = error.file or (None if file is None else str(file))
        raise
    return Aligned(depth, fit, how + (f", locally within {options.local:g} of the width"
                                      if options.local is not None else ""))  # fmt: skip


def _require_two_distances(anchors: Anchors) -> None:
    """Refuses objects at one distance for a map whose shift is open, too."""
    assert isinstance(anchors, SparseDepth)  # what objects give
    near, far = float(anchors.depth.min()), float(anchors.depth.max())
    if far < 1.05 * near:
        raise InputError(
            "lie at one distance, which leaves the map's shift open", field="known-size",
            value=f"{near:.3g} to {far:.3g} m", expected="objects near and far",
            remedy='give two or more, separated by ";", or take a metric model',
        )  # fmt: skip


def known_sizes(text: str) -> list[tuple[tuple[int, int, int, int], float | None, float | None]]:
    """(box as left, top, right, bottom; width; height in metres) of each object in the text.

    Raises `UsageError` for what is no such text.
    """
    found = []
    for part in text.split(";"):
        box, _, size = part.strip().partition("=")
        words = re.split(r"[\s,]+", box.strip())
        wide, cross, tall = (word.strip() for word in size.partition("x"))
        lengths = [_LENGTH.fullmatch(w) if w else None for w in (wide, tall)]
        numbers = all(re.fullmatch(r"-?\d+", w) for w in words)
        bad = [w for w, m in zip((wide, tall), lengths, strict=True) if w and m is None]
        if len(words) != 4 or not numbers or bad or not (wide or (cross and tall)):
            raise UsageError(
                "is no object of known size", field="known-size", value=part,
                expected='"x,y,w,h=0.30m" (width), "x,y,w,h=x0.45m" (height) or both; pixels, then '
                "metres (or cm, mm)",
            )  # fmt: skip
        x, y, w, h = map(int, words)
        unit = next((m[2] for m in reversed(lengths) if m is not None and m[2]), None)
        metres = [
            None if m is None else float(m[1]) * _UNITS[m[2] if m[2] else unit] for m in lengths
        ]
        found.append(((x, y, x + w, y + h), metres[0], metres[1]))
    return found


def anchors_of(
    size: tuple[int, int], found: FoundCamera, options: AlignOptions, file: Path | None
) -> tuple[Anchors, str]:
    """The metric points or map for an image of `size` (width, height), and what they are, in words.

    Raises `InputError` for a file that holds none, `UsageError` without a camera where one is
    needed.
    """
    if file is not None:
        return _of_file(file, size, found, options)
    camera = _required(found, "ground" if options.ground is not None else "known-size")
    if options.ground is not None:
        how = f"flat ground {options.ground:g} m below the camera ({found.how})"
        try:
            return ground_anchors(camera, options.ground, pitch=options.pitch), how
        except InputError as error:  # it speaks of a mask, which the command line has not
            raise InputError(
                "shows no ground in the lower third of the image", field="ground",
                value=options.ground, expected=error.expected,
                remedy=f"check --ground and --pitch (it is {options.pitch:g})",
            ) from error  # fmt: skip
    parts = [
        object_anchors(camera, box, width=width, height=height)
        for box, width, height in known_sizes(options.known_size or "")
    ]
    every = SparseDepth(
        np.concatenate([p.pixels for p in parts]),
        np.concatenate([p.depth for p in parts]),
        np.concatenate([p.sigma for p in parts if p.sigma is not None]),
    )
    return every, f"{len(parts)} object(s) of known size ({found.how})"


def _required(found: FoundCamera, what: str) -> Camera:
    if found.camera is None:
        raise UsageError(
            "needs the focal length of the camera, which nothing tells", field=what,
            remedy=NO_CAMERA,
        )  # fmt: skip
    return found.camera


def _of_file(
    file: Path, size: tuple[int, int], found: FoundCamera, options: AlignOptions
) -> tuple[Anchors, str]:
    from fathom.io.points import CLOUD_SUFFIX, is_points, read_points, read_points_of

    if file.is_dir():
        return _of_result(file, size)
    if file.suffix.lower() == CLOUD_SUFFIX and options.align_kind in (None, "points"):
        return read_points_of(file, _required(found, "align")), f"the cloud {file}"
    if options.align_kind == "points" or (options.align_kind is None and is_points(file)):
        return read_points(file), f"the points of {file}"
    from fathom.workflows.evaluate_read import MapFile, MapOptions, read_map

    kind = options.align_kind or "depth"
    scale = "1/256" if kind == "kitti-depth" and options.align_scale is None else None
    reading = MapOptions(
        kind="disparity" if kind == "disparity" else "depth", scale=options.align_scale or scale
    )
    values, how = read_map(MapFile(file, reading), "depth")
    if isinstance(values, Disparity):
        values = values.to_depth(_rig(found, file, values.shape))
    assert isinstance(values, Depth)
    return _fitted(values, size, file), f"{kind} in {file} ({how})"


def _of_result(folder: Path, size: tuple[int, int]) -> tuple[Anchors, str]:
    from fathom.io.result import read_result

    depth = read_result(folder).depth
    if depth is None:
        raise InputError(
            "holds no metres", file=folder, expected="a result of a calibrated pair (depth.npy)"
        )
    return _fitted(depth, size, folder), f"the result {folder}"


def _rig(found: FoundCamera, file: Path, shape: tuple[int, int]) -> StereoRig:
    """The rig of a disparity: the one the camera is from, else one beside the disparity."""
    rig = found.rig
    if rig is None:
        from fathom.io.calibration import find_calibration, read_calibration

        beside = find_calibration(file)
        size = (shape[1], shape[0])
        rig = None if beside is None else read_calibration(beside, image_size=size)
    if isinstance(rig, StereoCalibration):
        raise InputError(
            "holds the disparity of a rig that is not rectified", file=file,
            remedy="give --calib with the rectified rig, or align to depth in metres",
        )  # fmt: skip
    if rig is None:
        raise UsageError(
            "is a disparity, and no rig says what it is in metres", field="align", value=file,
            remedy="give --calib FILE with the rig's focal length and baseline",
        )  # fmt: skip
    return rig


def _fitted(depth: Depth, size: tuple[int, int], file: Path) -> Anchors:
    """A map of the image's size as it is; of another size, but the same aspect, as points."""
    height, width = depth.shape
    if (width, height) == size:
        return depth
    across, down = size[0] / width, size[1] / height
    if abs(across / down - 1) > 0.01:
        raise InputError(
            "is of another shape than the image", file=file, field="size",
            value=f"{width}x{height}", expected=f"{size[0]}x{size[1]}, or the same aspect",
        )  # fmt: skip
    rows, columns = np.nonzero(depth.measured)
    pixels = np.stack([(columns + 0.5) * across - 0.5, (rows + 0.5) * down - 0.5], axis=1)
    sigma = None if depth.sigma is None else depth.sigma[rows, columns]
    return SparseDepth(pixels.astype(np.float32), depth.values[rows, columns], sigma)


def _is_anchor(path: Path) -> bool:
    from fathom.io.points import CLOUD_SUFFIX, POINT_SUFFIXES

    return path.suffix.lower() in (*_MAPS, *POINT_SUFFIXES, CLOUD_SUFFIX)
