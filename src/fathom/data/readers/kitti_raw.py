"""KITTI's raw recordings (rectified, synchronised) and the depth benchmark built on them.

A. Geiger et al., IJRR 2013; J. Uhrig et al., Sparsity invariant CNNs, 3DV 2017. Depth is a PNG of
16 bits, metres = value / 256, 0 = unknown.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from fathom.core.arrays import Array, Float32, Float64
from fathom.core.camera import Camera, StereoRig
from fathom.core.errors import InputError
from fathom.core.options import option
from fathom.core.sample import MonoSample, StereoSample
from fathom.data.dataset import Dataset, by_name
from fathom.data.layout import base, calibrated, files, folders, mono, stem, stereo, walk
from fathom.data.reader import Reader
from fathom.io.calibration.text import floats
from fathom.io.encodings import read_steps
from fathom.io.files import in_file, read_bytes
from fathom.io.guard import image_info

_TERMS = "CC BY-NC-SA 3.0"
_LONGEST_SCAN = 1 << 26


@dataclass(frozen=True)
class RawOptions:
    """What can be chosen for KITTI's raw recordings."""

    cameras: Literal["color", "grey"] = option("color", "cameras 2 and 3, or 0 and 1")
    truth: Literal["none", "lidar"] = option("none", "project the lidar's sweep into the left view")


@dataclass(frozen=True)
class DepthOptions:
    """What can be chosen for KITTI depth."""

    truth: Literal["annotated", "lidar"] = option("annotated", "11 sweeps checked, or a single one")
    raw: Path | str | None = option(None, "folder of the raw recordings (default: ROOT itself)")


def _fields(path: Path) -> dict[str, str]:
    text = read_bytes(path, "text file", 1 << 20).decode("utf-8", "replace")
    lines = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, colon, value in lines if colon}


def _matrix(fields: dict[str, str], key: str, shape: tuple[int, ...]) -> Array:
    if key not in fields:
        raise InputError("is missing", field=key, expected=f"a line `{key}:`")
    return np.array(floats(fields[key], int(np.prod(shape)), key)).reshape(shape)


def velodyne_to_image(day: Path, camera: int) -> Float64[np.ndarray, "3 4"]:
    """The matrix from lidar coordinates (metres) to homogeneous pixels of a rectified camera:
    P_rect R_rect_00 (R | T), Geiger et al., IJRR 2013, equation 8.

    Raises `InputError` for a day's calibration that is missing or wrong.
    """
    file = day / "calib_velo_to_cam.txt"
    with in_file(file):
        fields = _fields(file)
        pose = np.eye(4)
        pose[:3, :3] = _matrix(fields, "R", (3, 3))
        pose[:3, 3] = _matrix(fields, "T", (3,))
    file = day / "calib_cam_to_cam.txt"
    with in_file(file):
        fields = _fields(file)
        rotation = np.eye(4)
        rotation[:3, :3] = _matrix(fields, "R_rect_00", (3, 3))
        out: Array = _matrix(fields, f"P_rect_0{camera}", (3, 4)) @ rotation @ pose
    return out


def project_scan(
    points: Float32[np.ndarray, "n 4"], matrix: Float64[np.ndarray, "3 4"], size: tuple[int, int]
) -> Float32[np.ndarray, "h w"]:
    """Depth in metres of lidar points (x forward, y left, z up, reflectance) at their nearest
    pixels, NaN elsewhere; the nearest point wins. size: (width, height).

    Points that the camera does not see, because something nearer hides them, are kept where no
    nearer point falls on the same pixel: the sweep is sparse, so some background shines through.
    """
    width, height = size
    ahead = points[points[:, 0] > 0]
    homogeneous = np.column_stack([ahead[:, :3], np.ones(len(ahead))]) @ matrix.T
    depth = homogeneous[:, 2]
    ahead_too = depth > 0
    pixel = np.rint(homogeneous[ahead_too, :2] / depth[ahead_too, None]).astype(np.int64)
    depth = depth[ahead_too]
    inside = (pixel >= 0).all(1) & (pixel[:, 0] < width) & (pixel[:, 1] < height)
    out = np.full((height, width), np.inf, np.float32)
    np.minimum.at(out, (pixel[inside, 1], pixel[inside, 0]), depth[inside].astype(np.float32))
    return np.where(np.isfinite(out), out, np.float32(np.nan))


def _scan(path: Path) -> Array:
    data = read_bytes(path, "lidar sweep", _LONGEST_SCAN)
    if len(data) % 16:
        raise InputError(
            "is no lidar sweep",
            file=path,
            field="size",
            value=f"{len(data)} bytes",
            expected="four float32 numbers a point",
        )
    return np.frombuffer(data, "<f4").reshape(-1, 4)


def _open_raw(root: Path, split: str, options: RawOptions) -> Dataset[StereoSample]:
    cameras = (2, 3) if options.cameras == "color" else (0, 1)
    left, right = (f"image_0{i}/data" for i in cameras)
    names = [
        f"{day}/{drive}/{stem(image)}"
        for day in folders(root)
        for drive in folders(root / day)
        if drive.endswith("_sync")
        for image in files(root / day / drive / left)
    ]

    def read(name: str) -> StereoSample:
        day, drive, frame = name.split("/")
        place = root / day / drive
        ending = ".png" if (place / left / f"{frame}.png").is_file() else ".jpg"
        views = place / left / f"{frame}{ending}", place / right / f"{frame}{ending}"
        rig = calibrated(root / day / "calib_cam_to_cam.txt", cameras)
        truth, scan = None, place / "velodyne_points" / "data" / f"{frame}.bin"
        if options.truth == "lidar":
            info = image_info(views[0])
            size = info.width, info.height
            matrix = velodyne_to_image(root / day, cameras[0])
            known = rig(size)
            depth = project_scan(_scan(scan), matrix, size)
            truth = None if known is None else known.disparity_of(depth)
        return stereo(name, views, rig, truth, truth_file=scan)

    return by_name("kitti-raw", root, split, names, read)


def _open_depth(root: Path, split: str, options: DepthOptions) -> Dataset[MonoSample]:
    if split == "selection":
        return _open_selection(root, options)
    place = base(root, split, "data_depth_annotated") / split
    raw = Path(options.raw) if options.raw is not None else root
    kind = "groundtruth" if options.truth == "annotated" else "velodyne_raw"
    names = [
        n.removesuffix(".png") for n in walk(place, (".png",)) if f"/proj_depth/{kind}/image_0" in n
    ]

    def read(name: str) -> MonoSample:
        drive, _, _, view, frame = name.split("/")
        day = raw / drive[:10]
        image = day / drive / view / "data" / f"{frame}.png"
        if not image.is_file():
            image = image.with_suffix(".jpg")
        file = place / f"{name}.png"
        truth = read_steps(file, 256, what="depth")
        camera = _camera(day, int(view[-1]), (truth.shape[1], truth.shape[0]))
        return mono(name, image, camera, truth, truth_file=file)

    return by_name("kitti-depth", place, split, names, read)


def _camera(day: Path, index: int, size: tuple[int, int]) -> Camera | None:
    pair = (0, 1) if index < 2 else (2, 3)
    rig: StereoRig | None = calibrated(day / "calib_cam_to_cam.txt", pair)(size)
    return None if rig is None else (rig.left, rig.right)[index - pair[0]]


def _open_selection(root: Path, options: DepthOptions) -> Dataset[MonoSample]:
    inside = "val_selection_cropped"
    place = base(root, inside, "depth_selection") / inside
    kind = "groundtruth_depth" if options.truth == "annotated" else "velodyne_raw"

    def read(name: str) -> MonoSample:
        image = place / "image" / f"{name}.png"
        file = place / kind / f"{name.replace('_image_', f'_{kind}_', 1)}.png"
        numbers = place / "intrinsics" / f"{name}.txt"
        truth = read_steps(file, 256, what="depth")
        camera = None
        if numbers.is_file():
            with in_file(numbers):
                text = read_bytes(numbers, "text file", 1 << 16).decode("ascii", "replace")
                k = floats(text, 9, "intrinsics")
                camera = Camera(truth.shape[1], truth.shape[0], k[0], k[4], k[2], k[5])
        return mono(name, image, camera, truth, truth_file=file)

    names = [stem(n) for n in files(place / "image", (".png",))]
    return by_name("kitti-depth", place, "selection", names, read)


READERS = (
    Reader(
        "kitti-raw",
        "stereo",
        "street recordings with rig and, on request, one lidar sweep as sparse truth",
        _TERMS,
        "https://www.cvlibs.net/datasets/kitti/raw_data.php (synced+rectified data, calibration)",
        "ROOT/2011_09_26/{calib_cam_to_cam,calib_velo_to_cam}.txt\n"
        "ROOT/2011_09_26/2011_09_26_drive_0001_sync/{image_02,image_03}/data/0000000000.png\n"
        "ROOT/2011_09_26/2011_09_26_drive_0001_sync/velodyne_points/data/0000000000.bin",
        ("all",),
        (("20??_??_??/*_sync/image_02",), ("20??_??_??/*_sync/image_00",)),
        _open_raw,
        RawOptions,
    ),
    Reader(
        "kitti-depth",
        "mono",
        "the depth benchmark: 1000 cropped views, or 93,000 annotated frames of the raw data",
        _TERMS,
        "https://www.cvlibs.net/datasets/kitti/eval_depth_all.php",
        "ROOT/val_selection_cropped/image/"
        "2011_09_26_drive_0002_sync_image_0000000005_image_02.png\n"
        "ROOT/val_selection_cropped/{groundtruth_depth,velodyne_raw,intrinsics}/...\n"
        "ROOT/train/2011_09_26_drive_0001_sync/proj_depth/groundtruth/image_02/0000000005.png\n"
        "ROOT/2011_09_26/...  the raw recordings (or raw=FOLDER)",
        ("selection", "train", "val"),
        (
            ("val_selection_cropped",),
            ("depth_selection",),
            ("*/*_sync/proj_depth",),
            ("data_depth_annotated",),
        ),
        _open_depth,
        DepthOptions,
    ),
)
