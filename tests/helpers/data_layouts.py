"""Tiny data sets in the layouts and encodings the real ones have."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fathom.io.images import encode_png, write_jpeg_bytes

WIDTH, HEIGHT = 48, 32
NAN = np.float32(np.nan)


@dataclass
class Laid:
    """What was laid out: how it is opened, and what must come out of the first sample."""

    name: str
    names: list[str]
    truth: np.ndarray
    masks: dict[str, np.ndarray] = field(default_factory=dict)
    split: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    rig: tuple[float, float, float] | None = None
    """fx, baseline (0 for one view), doffs"""
    tolerance: float = 1e-6
    recognised: bool = True


def rgb(seed: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Noise."""
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def png(path: Path, array: np.ndarray) -> None:
    put(path, encode_png(array))


def jpg(path: Path, array: np.ndarray) -> None:
    put(path, write_jpeg_bytes(array, 95))


def npy(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def text(path: Path, words: str) -> None:
    put(path, words.encode())


def pfm(path: Path, values: np.ndarray) -> None:
    """Rows from bottom to top, little-endian, as the format has it; written by hand."""
    height, width = values.shape
    head = f"Pf\n{width} {height}\n-1.0\n".encode()
    put(path, head + values[::-1].astype("<f4").tobytes())


def pnm(path: Path, array: np.ndarray) -> None:
    kind = "P5" if array.ndim == 2 else "P6"
    head = f"{kind}\n{array.shape[1]} {array.shape[0]}\n255\n".encode()
    put(path, head + array.tobytes())


def u16(values: np.ndarray, per_unit: float, unknown: int = 0) -> np.ndarray:
    stored = np.rint(np.nan_to_num(values, nan=0).astype(np.float64) * per_unit)
    return np.where(np.isnan(values), unknown, stored).astype(np.uint16)


def disparity(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A ramp over rows and a nearer box; whole quarter pixels, and two unknown pixels."""
    rows = np.arange(height, dtype=np.float32)[:, None]
    values = np.broadcast_to(2 + np.floor(rows / 8) / 4, (height, width)).copy()
    values[8:16, 20:30] = 6.25
    values[0, 0] = values[5, 7] = NAN
    return values


def depth() -> np.ndarray:
    values = disparity() * np.float32(0.5)
    return values.astype(np.float32)


def views(left: Path, right: Path, put_one: Callable[[Path, np.ndarray], None] = png, **size: int):
    put_one(left, rgb(1, **size))
    put_one(right, rgb(2, **size))


def calib_txt(width: int = WIDTH, height: int = HEIGHT, doffs: float = 3.5) -> str:
    return (
        f"cam0=[100 0 20; 0 100 15; 0 0 1]\ncam1=[100 0 {20 + doffs}; 0 100 15; 0 0 1]\n"
        f"doffs={doffs}\nbaseline=193.001\nwidth={width}\nheight={height}\nndisp=16\n"
    )


def right_of(left: np.ndarray) -> np.ndarray:
    """The right view's disparity where the left one's maps to, unknown elsewhere; nearer wins."""
    out = np.full_like(left, NAN)
    for y, x in sorted(np.argwhere(~np.isnan(left)).tolist(), key=lambda p: left[p[0], p[1]]):
        to = round(x - float(left[y, x]))
        if 0 <= to < left.shape[1]:
            out[y, to] = left[y, x]
    return out


def seen_by_both(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Slow twin of the left-right check, tolerance 1 px."""
    out = np.zeros(left.shape, bool)
    for y, x in np.argwhere(~np.isnan(left)).tolist():
        to = int(np.rint(np.float32(x) - left[y, x]))
        if 0 <= to < left.shape[1]:
            out[y, x] = bool(abs(left[y, x] - right[y, to]) <= 1)
    return out


def middlebury_2001(root: Path) -> Laid:
    d = np.nan_to_num(disparity() * 8, nan=0).astype(np.uint8)
    right = np.nan_to_num(right_of(disparity()) * 8, nan=0).astype(np.uint8)
    views(root / "venus/im2.ppm", root / "venus/im6.ppm", pnm)
    pnm(root / "venus/disp2.pgm", d)
    pnm(root / "venus/disp6.pgm", right)
    views(root / "tsukuba/scene1.row3.col3.ppm", root / "tsukuba/scene1.row3.col4.ppm", pnm)
    pnm(root / "tsukuba/truedisp.row3.col3.pgm", (d * 2).astype(np.uint8))
    return Laid("middlebury-2001", ["tsukuba", "venus"], disparity())


def middlebury_2003(root: Path) -> Laid:
    # 450 pixels wide is quarter size: 4 grey levels a pixel.
    size = {"width": 450, "height": 20}
    views(root / "cones/im2.png", root / "cones/im6.png", **size)
    d = disparity(450, 20)
    png(root / "cones/disp2.png", np.nan_to_num(d * 4, nan=0).astype(np.uint8))
    right = right_of(d)
    png(root / "cones/disp6.png", np.nan_to_num(right * 4, nan=0).astype(np.uint8))
    return Laid("middlebury-2003", ["cones"], d, {"nonocc": seen_by_both(d, right)})


def middlebury_2006(root: Path) -> Laid:
    # 370 rows are a third of the size: 3 grey levels a pixel, doffs is a third of dmin.
    size = {"width": 30, "height": 370}
    views(root / "Aloe/view1.png", root / "Aloe/view5.png", **size)
    levels = np.full((370, 30), 40, np.uint8)
    levels[3, 4] = 0
    png(root / "Aloe/disp1.png", levels)
    png(root / "Aloe/disp5.png", levels)
    text(root / "Aloe/dmin.txt", "270\n")
    views(root / "Aloe/Illum2/Exp1/view1.png", root / "Aloe/Illum2/Exp1/view5.png", **size)
    truth = np.where(levels > 0, levels / np.float32(3), NAN).astype(np.float32)
    return Laid("middlebury-2006", ["Aloe"], truth, rig=(3740 / 3, 0.16, 90.0))


def middlebury_2005(root: Path) -> Laid:
    laid = middlebury_2006(root)
    laid.name, laid.recognised = "middlebury-2005", False  # nothing tells it from 2006
    return laid


def _new_middlebury(place: Path) -> dict[str, np.ndarray]:
    views(place / "im0.png", place / "im1.png")
    d = disparity()
    right = right_of(d)
    pfm(place / "disp0.pfm", np.where(np.isnan(d), np.inf, d))
    pfm(place / "disp1.pfm", np.where(np.isnan(right), np.inf, right))
    text(place / "calib.txt", calib_txt())
    return {"nonocc": seen_by_both(d, right)}


def middlebury_2014(root: Path) -> Laid:
    masks = _new_middlebury(root / "Adirondack-perfect")
    png(root / "Adirondack-perfect/im1E.png", rgb(5))
    png(root / "Adirondack-perfect/im1L.png", rgb(6))
    names = ["Adirondack-perfect"]
    return Laid("middlebury-2014", names, disparity(), masks, rig=(100, 0.193001, 3.5))


def middlebury_2021(root: Path) -> Laid:
    masks = _new_middlebury(root / "data/artroom1")
    (root / "data/artroom1/ambient").mkdir()
    return Laid("middlebury-2021", ["artroom1"], disparity(), masks, rig=(100, 0.193001, 3.5))


def _levels() -> np.ndarray:
    levels = np.full((HEIGHT, WIDTH), 255, np.uint8)
    levels[:, :6] = 128
    levels[0, 0] = 0
    return levels


def middlebury_v3(root: Path) -> Laid:
    place = root / "trainingQ/Adirondack"
    views(place / "im0.png", place / "im1.png")
    pfm(place / "disp0GT.pfm", np.where(np.isnan(disparity()), np.inf, disparity()))
    png(place / "mask0nocc.png", _levels())
    text(place / "calib.txt", calib_txt())
    views(root / "testQ/Australia/im0.png", root / "testQ/Australia/im1.png")
    masks = {"nonocc": _levels() == 255}
    rig = (100, 0.193001, 3.5)
    return Laid("middlebury-v3", ["Adirondack"], disparity(), masks, rig=rig)


def eth3d(root: Path) -> Laid:
    place, truths = root / "two_view_training/forest_1s", root / "two_view_training_gt/forest_1s"
    views(place / "im0.png", place / "im1.png")
    text(place / "calib.txt", calib_txt(doffs=0))
    pfm(truths / "disp0GT.pfm", np.where(np.isnan(disparity()), np.inf, disparity()))
    png(truths / "mask0nocc.png", _levels())
    views(root / "two_view_test/lakeside_1l/im0.png", root / "two_view_test/lakeside_1l/im1.png")
    masks = {"nonocc": _levels() == 255}
    return Laid("eth3d", ["forest_1s"], disparity(), masks, rig=(100, 0.193001, 0))


def _noc() -> np.ndarray:
    values = disparity()
    values[:, :6] = NAN
    return values


P_LINES = (
    "P0: 100 0 20 0 0 100 15 0 0 0 1 0\nP1: 100 0 20 -54 0 100 15 0 0 0 1 0\n"
    "P2: 100 0 20 4.5 0 100 15 0 0 0 1 0\nP3: 100 0 20 -49.5 0 100 15 0 0 0 1 0\n"
)


def kitti_2012(root: Path) -> Laid:
    place = root / "training"
    for left, right in (("image_0", "image_1"), ("colored_0", "colored_1")):
        for frame in ("10", "11"):
            views(place / left / f"000000_{frame}.png", place / right / f"000000_{frame}.png")
    png(place / "disp_occ/000000_10.png", u16(disparity(), 256))
    png(place / "disp_noc/000000_10.png", u16(_noc(), 256))
    text(place / "calib/000000.txt", P_LINES)
    views(root / "testing/colored_0/000000_10.png", root / "testing/colored_1/000000_10.png")
    masks = {"nonocc": ~np.isnan(_noc())}
    return Laid("kitti-2012", ["000000_10"], disparity(), masks, rig=(100, 0.54, 0))


def kitti_2015(root: Path) -> Laid:
    place = root / "training"
    objects = np.zeros((HEIGHT, WIDTH), np.uint8)
    objects[8:16, 20:30] = 3
    for frame in ("10", "11"):
        views(place / f"image_2/000000_{frame}.png", place / f"image_3/000000_{frame}.png")
    png(place / "disp_occ_0/000000_10.png", u16(disparity(), 256))
    png(place / "disp_noc_0/000000_10.png", u16(_noc(), 256))
    png(place / "obj_map/000000_10.png", objects)
    text(place / "calib_cam_to_cam/000000.txt", _raw_calibration())
    views(root / "testing/image_2/000000_10.png", root / "testing/image_3/000000_10.png")
    masks = {
        "nonocc": ~np.isnan(_noc()),
        "foreground": objects > 0,
        "background": objects == 0,
    }
    return Laid("kitti-2015", ["000000_10"], disparity(), masks, rig=(100, 0.54, 0))


def _raw_calibration() -> str:
    lines = []
    for i, shift in enumerate((0, -54, 4.5, -49.5)):
        lines += [
            f"S_0{i}: 60 40",
            f"S_rect_0{i}: {WIDTH} {HEIGHT}",
            f"P_rect_0{i}: 100 0 20 {shift} 0 100 15 0 0 0 1 0",
        ]
    lines.append("R_rect_00: 1 0 0 0 1 0 0 0 1")
    return "\n".join(lines) + "\n"


def kitti_raw(root: Path) -> Laid:
    day = root / "2011_09_26"
    place = day / "2011_09_26_drive_0001_sync"
    for n in ("0000000000", "0000000001"):
        views(place / f"image_02/data/{n}.png", place / f"image_03/data/{n}.png")
    text(day / "calib_cam_to_cam.txt", _raw_calibration())
    # Lidar: x forward, y left, z up; the camera sees x right, y down, z forward.
    text(day / "calib_velo_to_cam.txt", "calib_time: x\nR: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 0\n")
    # 10 m ahead on the axis of camera 0: u = (100 * 0 + 20 * 10 + 4.5) / 10 = 20.45, v = 15.
    points = np.array([[10, 0, 0, 1], [20, 0, 0, 1], [-5, 0, 0, 1], [10, -1, 0.5, 1]], "<f4")
    put(place / "velodyne_points/data/0000000000.bin", points.tobytes())
    truth = np.full((HEIGHT, WIDTH), NAN)
    truth[15, 20] = 5.4  # 100 px * 0.54 m / 10 m; the point 20 m away hides behind it
    truth[10, 30] = 5.4  # u = (100 * 1 + 20 * 10 + 4.5) / 10 = 30.45, v = (-50 + 150) / 10
    names = [f"2011_09_26/2011_09_26_drive_0001_sync/{n}" for n in ("0000000000", "0000000001")]
    options = {"truth": "lidar"}
    return Laid("kitti-raw", names, truth, options=options, rig=(100, 0.54, 0), tolerance=1e-5)


def kitti_depth(root: Path) -> Laid:
    place = root / "val_selection_cropped"
    name = "2011_09_26_drive_0002_sync_image_0000000005_image_02"
    png(place / f"image/{name}.png", rgb(1))
    truth = f"{name.replace('sync_image', 'sync_groundtruth_depth')}.png"
    png(place / "groundtruth_depth" / truth, u16(depth(), 256))
    text(place / f"intrinsics/{name}.txt", "100 0 20 0 101 15 0 0 1\n")
    return Laid("kitti-depth", [name], depth(), rig=(100, 0, 0))


def _sceneflow(place: Path, scene: str, frame: str) -> dict[str, np.ndarray]:
    d, right = disparity(), right_of(disparity())
    for kind in ("finalpass", "cleanpass"):
        here = place / f"frames_{kind}" / scene
        views(here / f"left/{frame}.png", here / f"right/{frame}.png")
    pfm(place / "disparity" / scene / f"left/{frame}.pfm", d)
    pfm(place / "disparity" / scene / f"right/{frame}.pfm", -right)  # some releases negate it
    return {"nonocc": seen_by_both(d, right)}


def flyingthings3d(root: Path) -> Laid:
    masks = _sceneflow(root, "TRAIN/A/0000", "0006")
    _sceneflow(root, "TEST/B/0001", "0007")
    return Laid("flyingthings3d", ["TRAIN/A/0000/0006"], disparity(), masks)


def monkaa(root: Path) -> Laid:
    masks = _sceneflow(root, "a_rain_of_stones_x2", "0000")
    return Laid("monkaa", ["a_rain_of_stones_x2/0000"], disparity(), masks)


def driving(root: Path) -> Laid:
    masks = _sceneflow(root, "15mm_focallength/scene_forwards/fast", "0001")
    _sceneflow(root, "35mm_focallength/scene_forwards/fast", "0001")
    names = ["15mm_focallength/scene_forwards/fast/0001"]
    options = {"focal": "15mm", "images": "cleanpass"}
    return Laid("driving", names, disparity(), masks, options=options)


def sceneflow(root: Path) -> Laid:
    masks = flyingthings3d(root / "FlyingThings3D").masks
    monkaa(root / "Monkaa")
    driving(root / "Driving")
    names = [
        "flyingthings3d/TRAIN/A/0000/0006",
        "monkaa/a_rain_of_stones_x2/0000",
        "driving/15mm_focallength/scene_forwards/fast/0001",
        "driving/35mm_focallength/scene_forwards/fast/0001",
    ]
    return Laid("sceneflow", names, disparity(), masks)


def sintel(root: Path) -> Laid:
    place = root / "training"
    for kind in ("final", "clean"):
        scene = "alley_1/frame_0001.png"
        views(place / f"{kind}_left/{scene}", place / f"{kind}_right/{scene}")
    truth = np.nan_to_num(disparity(), nan=1.0)
    packed = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    packed[..., 0] = truth // 4
    packed[..., 1] = np.floor((truth % 4) * 64)
    packed[0, 1] = (1, 2, 3)
    truth[0, 1] = 4 + 2 / 64 + 3 / 16384
    png(place / "disparities/alley_1/frame_0001.png", packed)
    hidden = np.zeros((HEIGHT, WIDTH), np.uint8)
    hidden[:, 16:20] = 255
    outside = np.zeros((HEIGHT, WIDTH), np.uint8)
    outside[:, :3] = 255
    png(place / "occlusions/alley_1/frame_0001.png", hidden)
    png(place / "outofframe/alley_1/frame_0001.png", outside)
    masks = {
        "occluded": hidden > 0,
        "outofframe": outside > 0,
        "nonocc": (hidden == 0) & (outside == 0),
    }
    return Laid("sintel", ["alley_1/frame_0001"], truth, masks)


def virtual_kitti_2(root: Path) -> Laid:
    frames = root / "Scene01/clone/frames"
    size = {"width": 414, "height": 125}  # a third of the set's: the rig is scaled
    views(frames / "rgb/Camera_0/rgb_00000.jpg", frames / "rgb/Camera_1/rgb_00000.jpg", jpg, **size)
    centimetres = np.full((125, 414), 1000, np.uint16)
    centimetres[:30] = 65535
    centimetres[60, 300] = 0
    png(frames / "depth/Camera_0/depth_00000.png", centimetres)
    png(frames / "depth/Camera_1/depth_00000.png", centimetres)
    truth = np.full((125, 414), 725.0087 * 0.532725 / 10 / 3, np.float32)
    truth[:30] = truth[60, 300] = NAN
    masks = {"sky": centimetres == 65535, "nonocc": seen_by_both(truth, truth)}
    rig = (725.0087 / 3, 0.532725, 0)
    names = ["Scene01/clone/00000"]
    return Laid("virtual-kitti-2", names, truth, masks, rig=rig, tolerance=1e-4)


def tartanair(root: Path) -> Laid:
    place = root / "abandonedfactory/Easy/P000"
    size = {"width": 64, "height": 48}  # a tenth of the set's: the rig is scaled
    views(place / "image_left/000000_left.png", place / "image_right/000000_right.png", **size)
    metres = np.full((48, 64), 4, np.float32)
    metres[0, 0], metres[0, 1] = np.inf, 0
    npy(place / "depth_left/000000_left_depth.npy", metres)
    truth = np.full((48, 64), 80 / 4 / 10, np.float32)
    truth[0, :2] = NAN
    return Laid("tartanair", ["abandonedfactory/Easy/P000/000000"], truth, rig=(32, 0.25, 0))


def falling_things(root: Path) -> Laid:
    place = root / "mixed/kitchen_0"
    size = {"width": 96, "height": 54}
    views(place / "000000.left.jpg", place / "000000.right.jpg", jpg, **size)
    stored = np.full((54, 96), 20000, np.uint16)
    stored[4, 5] = 0
    png(place / "000000.left.depth.png", stored)
    # The field's formula at full size is 460920 / v; these images are a tenth of it.
    truth = np.full((54, 96), 460920 / 20000 / 10, np.float32)
    truth[4, 5] = NAN
    names = ["mixed/kitchen_0/000000"]
    rig = (76.81605834960938, 0.06, 0)
    return Laid("falling-things", names, truth, rig=rig, tolerance=1e-3)


def crestereo(root: Path) -> Laid:
    place = root / "tree/0"
    d, right = disparity(), right_of(disparity())
    views(place / "0_left.jpg", place / "0_right.jpg", jpg)
    png(place / "0_left.disp.png", u16(d, 32))
    png(place / "0_right.disp.png", u16(right, 32))
    return Laid("crestereo", ["tree/0/0"], d, {"nonocc": seen_by_both(d, right)})


def instereo2k(root: Path) -> Laid:
    place = root / "train/part1/000000"
    d, right = disparity(), right_of(disparity())
    views(place / "left.png", place / "right.png")
    png(place / "left_disp.png", u16(d, 100))
    png(place / "right_disp.png", u16(right, 100))
    return Laid("instereo2k", ["part1/000000"], d, {"nonocc": seen_by_both(d, right)})


def drivingstereo(root: Path) -> Laid:
    day, frame = "2018-07-09-16-11-56", "2018-07-09-16-11-56_2018-07-09-16-12-00-000"
    views(
        root / f"train-left-image/{day}/{frame}.jpg",
        root / f"train-right-image/{day}/{frame}.jpg",
        jpg,
    )
    png(root / f"train-disparity-map/{day}/{frame}.png", u16(disparity(), 256))
    lines = [f"P_rect_{c}: 100 0 20 {s} 0 100 15 0 0 0 1 0" for c, s in (("101", 0), ("103", -54))]
    text(root / f"calib_train/half-image-calib/{day}.txt", "\n".join(lines))
    return Laid("drivingstereo", [f"{day}/{frame}"], disparity(), rig=(100, 0.54, 0))


def booster(root: Path) -> Laid:
    place = root / "train/balanced/Bathroom"
    for n in ("im0", "im1"):
        views(place / f"camera_00/{n}.png", place / f"camera_02/{n}.png")
    npy(place / "disp_00.npy", np.nan_to_num(disparity(), nan=0))
    seen = np.zeros((HEIGHT, WIDTH), np.uint8)
    seen[:, 6:] = 255
    png(place / "mask_00.png", seen)
    kinds = np.zeros((HEIGHT, WIDTH), np.uint8)
    kinds[8:16, 20:30] = 3
    png(place / "mask_cat.png", kinds)

    def matrix(name: str, cx: float) -> str:
        data = f"100 0 {cx} 0 0 100 15 0 0 0 1 0"
        return (
            f'<{name} type_id="opencv-matrix"><rows>3</rows><cols>4</cols><dt>d</dt>'
            f"<data>{data}</data></{name}>"
        )

    text(
        place / "calib_00-02.xml",
        '<?xml version="1.0"?>\n<opencv_storage>\n'
        + matrix("proj_matL", 20)
        + matrix("proj_matR", 22)
        + "<baselineLR>52.5</baselineLR></opencv_storage>\n",
    )
    masks = {"nonocc": seen > 0, "material-0": kinds == 0, "material-3": kinds == 3}
    names = ["Bathroom/im0", "Bathroom/im1"]
    return Laid("booster", names, disparity(), masks, rig=(100, 0.0525, 2))


def diode(root: Path) -> Laid:
    name = "scene_00019/scan_00183/00019_00183_indoors_000_010"
    place = root / "val/indoors"
    size = {"width": 64, "height": 48}
    png(place / f"{name}.png", rgb(1, **size))
    values = np.full((48, 64, 1), 2.5, np.float32)
    values[1, 1] = 0
    mask = np.ones((48, 64))
    mask[2, 2] = 0
    npy(place / f"{name}_depth.npy", values)
    npy(place / f"{name}_depth_mask.npy", mask)
    truth = values[..., 0].copy()
    truth[1, 1] = truth[2, 2] = NAN
    masks = {"valid": mask > 0}
    return Laid("diode", [f"indoors/{name}"], truth, masks, rig=(886.81 / 16, 0, 0))


def nyu_v2(root: Path) -> Laid:
    place = root / "official_splits/test/bathroom"
    size = {"width": 64, "height": 48}
    jpg(place / "rgb_00045.jpg", rgb(1, **size))
    values = np.full((48, 64), 2.5, np.float32)
    values[3, 3] = NAN
    png(place / "sync_depth_00045.png", u16(values, 1000))
    return Laid("nyu-v2", ["test/bathroom/00045"], values, rig=(51.88579011745019, 0, 0))


def scannet(root: Path) -> Laid:
    place = root / "scans/scene0000_00"
    for n in ("0", "2", "10"):
        jpg(place / f"color/{n}.jpg", rgb(1, 2 * WIDTH, 2 * HEIGHT))
        png(place / f"depth/{n}.png", u16(depth(), 1000))
    text(place / "intrinsic/intrinsic_depth.txt", "100 0 20 0\n0 100 15 0\n0 0 1 0\n0 0 0 1\n")
    names = [f"scene0000_00/{n}" for n in ("0", "2", "10")]
    return Laid("scannet", names, depth(), rig=(100, 0, 0))


def tum_rgbd(root: Path) -> Laid:
    place = root / "rgbd_dataset_freiburg1_rpy"
    size = {"width": 64, "height": 48}
    values = np.full((48, 64), 2.5, np.float32)
    values[3, 3] = NAN
    for time in ("1.000000", "1.033000", "1.066000"):
        png(place / f"rgb/{time}.png", rgb(1, **size))
    for time in ("1.012000", "1.030000"):
        png(place / f"depth/{time}.png", u16(values, 5000))
    head = "# color images\n# timestamp filename\n"
    rows = "".join(f"{t} rgb/{t}.png\n" for t in ("1.000000", "1.033000", "1.066000"))
    text(place / "rgb.txt", head + rows)
    rows = "".join(f"{t} depth/{t}.png\n" for t in ("1.012000", "1.030000"))
    text(place / "depth.txt", head + rows)
    names = ["rgbd_dataset_freiburg1_rpy/1.000000", "rgbd_dataset_freiburg1_rpy/1.033000"]
    return Laid("tum-rgbd", names, values, rig=(51.73, 0, 0))


def fathom_folder(root: Path) -> Laid:
    place = root / "street/0001"
    views(place / "left.png", place / "right.png")
    npy(place / "disp_left.npy", disparity())
    png(place / "nonocc.png", np.where(np.isnan(disparity()), 0, 255).astype(np.uint8))
    png(place / "masks/thin.png", _levels())
    text(
        place / "calib.json",
        '{"fx": 100, "fy": 100, "cx": 20, "cy": 15, "doffs": 2.5, "baseline_m": 0.1, '
        f'"width": {WIDTH}, "height": {HEIGHT}}}',
    )
    masks = {"nonocc": ~np.isnan(disparity()), "thin": _levels() > 127}
    return Laid("fathom-folder", ["street/0001"], disparity(), masks, rig=(100, 0.1, 2.5))


ALL = (
    middlebury_2001, middlebury_2003, middlebury_2005, middlebury_2006, middlebury_2014,
    middlebury_2021, middlebury_v3, eth3d, kitti_2012, kitti_2015, kitti_raw, kitti_depth,
    sceneflow, flyingthings3d, monkaa, driving, sintel, virtual_kitti_2, tartanair,
    falling_things, crestereo, instereo2k, drivingstereo, booster, diode, nyu_v2, scannet,
    tum_rgbd, fathom_folder,
)  # fmt: skip
