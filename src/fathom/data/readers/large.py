"""Two sets of large images: Booster and Spring.

P. Zama Ramirez et al., CVPR 2022; L. Mehl et al., CVPR 2023. Booster's truth is .npy at the size of
the images (0 = unknown). Spring's truth has twice the images' width and height, while its values
are pixels of the images: every second one is taken, and none is halved.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import Camera, StereoRig
from fathom.core.errors import InputError
from fathom.core.options import option
from fathom.core.sample import StereoSample
from fathom.data.dataset import Dataset, by_name
from fathom.data.layout import base, files, folders, nonocc, stem, stereo
from fathom.data.reader import NoOptions, Reader
from fathom.io.calibration.storage import read_storage
from fathom.io.calibration.text import floats, read_text
from fathom.io.encodings import read_hdf5_map, read_levels, read_mask, read_positive
from fathom.io.files import in_file
from fathom.io.guard import image_info

_FX_FY_CX_CY = ((0, 0), (1, 1), (0, 2), (1, 2))
SPRING_BASELINE = 0.065
"""Metres between Spring's cameras (its page, "stereo rig")."""


@dataclass(frozen=True)
class BoosterOptions:
    """What can be chosen for Booster."""

    light: Literal["all", "first"] = option("all", "every illumination of a scene, or the first")


def _open_booster(root: Path, split: str, options: BoosterOptions) -> Dataset[StereoSample]:
    place = base(root, f"{split}/balanced", "booster_gt", "Booster") / split / "balanced"
    names = []
    for scene in folders(place):
        images = files(place / scene / "camera_00", (".png",))
        names += [f"{scene}/{stem(n)}" for n in (images if options.light == "all" else images[:1])]

    def read(name: str) -> StereoSample:
        scene, frame = name.split("/")
        here = place / scene
        views = here / "camera_00" / f"{frame}.png", here / "camera_02" / f"{frame}.png"
        truth, masks = None, {}
        if (here / "disp_00.npy").is_file():
            truth = read_positive(here / "disp_00.npy")
        if (here / "mask_00.png").is_file():
            masks["nonocc"] = read_mask(here / "mask_00.png")
        if (here / "mask_cat.png").is_file():
            # Four classes from easy to hard: opaque matt surfaces first, mirrors and glass last.
            kinds = read_levels(here / "mask_cat.png")
            masks |= {f"material-{int(k)}": kinds == k for k in np.unique(kinds)}
        rig = _booster_rig(here / "calib_00-02.xml")
        return stereo(name, views, rig, truth, masks, truth_file=here / "disp_00.npy")

    return by_name("booster", place, split, names, read)


def _booster_rig(path: Path) -> Any:
    def read(size: tuple[int, int]) -> StereoRig | None:
        if not path.is_file():
            return None
        with in_file(path):
            storage = read_storage(read_text(path))
            cameras = []
            for key in ("proj_matL", "proj_matR"):
                k = storage.get(key)
                if isinstance(k, str) or k is None or k.shape not in ((3, 4), (3, 3)):
                    raise InputError("is no projection", field=key, expected="a 3x4 matrix")
                fx, fy, cx, cy = (float(k[i]) for i in _FX_FY_CX_CY)
                cameras.append(Camera(*size, fx, fy, cx, cy))
            length = floats(str(storage.get("baselineLR", "")), 1, "baselineLR")[0]
            return StereoRig(cameras[0], cameras[1], length / 1000)

    return read


def _open_spring(root: Path, split: str, _options: NoOptions) -> Dataset[StereoSample]:
    place = base(root, split, "spring") / split
    names = [
        f"{scene}/{stem(n).removeprefix('frame_left_')}"
        for scene in folders(place)
        for n in files(place / scene / "frame_left", (".png",))
    ]

    def read(name: str) -> StereoSample:
        scene, frame = name.split("/")
        here = place / scene
        views = (
            here / "frame_left" / f"frame_left_{frame}.png",
            here / "frame_right" / f"frame_right_{frame}.png",
        )
        info = image_info(views[0])
        file, other = (
            here / f"disp1_{side}" / f"disp1_{side}_{frame}.dsp5" for side in ("left", "right")
        )
        truth, masks = None, {}
        if split == "train":
            truth = _spring_disparity(file, (info.width, info.height))
            if other.is_file():
                right = _spring_disparity(other, (info.width, info.height))
                masks["nonocc"] = nonocc(truth, np.abs(right))
        rig = _spring_rig(here / "cam_data" / "intrinsics.txt", int(frame))
        return stereo(name, views, rig, truth, masks, truth_file=file)

    return by_name("spring", place, split, names, read)


def _spring_disparity(path: Path, size: tuple[int, int]) -> Array:
    values = read_hdf5_map(path, "disparity")
    height, width = values.shape
    if (width, height) != (2 * size[0], 2 * size[1]):
        raise InputError(
            "is not twice the size of the image",
            file=path,
            field="size",
            value=f"{width}x{height}",
            expected=f"{2 * size[0]}x{2 * size[1]}",
        )
    return np.ascontiguousarray(values[::2, ::2])


def _spring_rig(path: Path, frame: int) -> Any:
    """Line n of intrinsics.txt is frame n: fx fy cx cy in pixels of the images."""

    def read(size: tuple[int, int]) -> StereoRig | None:
        if not path.is_file():
            return None
        with in_file(path):
            lines = [line for line in read_text(path).splitlines() if line.strip()]
            if not 1 <= frame <= len(lines):
                raise InputError(
                    "has no line for this frame",
                    field="frame",
                    value=frame,
                    expected=f"1 to {len(lines)}",
                )
            fx, fy, cx, cy = floats(lines[frame - 1], 4, f"line {frame}")
            camera = Camera(*size, fx, fy, cx, cy)
            return StereoRig(camera, camera, SPRING_BASELINE)

    return read


READERS = (
    Reader(
        "booster",
        "stereo",
        "12-megapixel indoor scenes of glass, mirrors and metal, under several lights",
        "CC BY-NC-SA 4.0",
        "https://cvlab-unibo.github.io/booster-web/",
        "ROOT/train/balanced/Bathroom/{camera_00,camera_02}/im0.png im1.png ...\n"
        "ROOT/train/balanced/Bathroom/{disp_00.npy,mask_00.png,mask_cat.png,calib_00-02.xml}\n"
        "ROOT/test/balanced/Bicycle/{camera_00,camera_02}/...",
        ("train", "test"),
        tuple((f"{s}/balanced/*/camera_00",) for s in ("train", "test", "booster_gt/train")),
        _open_booster,
        BoosterOptions,
    ),
    Reader(
        "spring",
        "stereo",
        "6,000 frames of an animated film at 1920x1080 with truth at twice that (needs [hdf5])",
        "CC BY 4.0",
        "https://spring-benchmark.org/",
        "ROOT/train/0001/{frame_left/frame_left_0001,frame_right/frame_right_0001}.png\n"
        "ROOT/train/0001/{disp1_left/disp1_left_0001,disp1_right/disp1_right_0001}.dsp5\n"
        "ROOT/train/0001/cam_data/intrinsics.txt  ROOT/test/0003/{frame_left,frame_right}/...",
        ("train", "test"),
        (
            ("train/*/disp1_left",),
            ("train/*/frame_left",),
            ("spring/train/*/frame_left",),
            ("test/*/frame_left",),
        ),
        _open_spring,
    ),
)
