"""KITTI's stereo benchmarks of 2012 and 2015.

A. Geiger, P. Lenz, R. Urtasun, CVPR 2012; M. Menze, A. Geiger, CVPR 2015. Disparity is a PNG of
16 bits, value / 256, 0 = unknown. `noc` maps hold the pixels that both cameras see, `occ` maps all
pixels with truth; obj_map (2015) is not 0 on moving foreground objects.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from fathom.core.arrays import Array
from fathom.core.options import option
from fathom.core.sample import StereoSample
from fathom.data.dataset import Dataset, by_name
from fathom.data.layout import base, calibrated, files, stem, stereo
from fathom.data.reader import Reader
from fathom.io.encodings import read_mask
from fathom.io.maps import read_disparity_png

_TERMS = "CC BY-NC-SA 3.0"


@dataclass(frozen=True)
class Options2012:
    """What can be chosen for KITTI 2012."""

    truth: Literal["occ", "noc"] = option("occ", "all pixels with truth, or those both cameras see")
    images: Literal["grey", "color"] = option("color", "grey (image_0, 1) or colour images")


@dataclass(frozen=True)
class Options2015:
    """What can be chosen for KITTI 2015."""

    truth: Literal["occ", "noc"] = option("occ", "all pixels with truth, or those both cameras see")


@dataclass(frozen=True)
class _Folders:
    left: str
    right: str
    occ: str
    noc: str
    calibrations: tuple[str, ...]
    cameras: tuple[int, int]
    objects: str | None = None


def _open(
    root: Path, split: str, truth: str, where: _Folders, format: str
) -> Dataset[StereoSample]:
    inside = f"{split}/{where.left}"
    place = base(root, inside, "data_scene_flow", "data_stereo_flow") / split
    # Frame _10 is the one with truth; _11 is the next in time.
    names = [stem(n) for n in files(place / where.left, (".png",)) if stem(n).endswith("_10")]

    def read(name: str) -> StereoSample:
        image = f"{name}.png"
        views = place / where.left / image, place / where.right / image
        values, masks = _truth(place, where, truth, image)
        calibration = next(
            (f for c in where.calibrations if (f := place / c / f"{name[:-3]}.txt").is_file()),
            place / where.calibrations[0] / f"{name[:-3]}.txt",
        )
        rig = calibrated(calibration, where.cameras)
        return stereo(name, views, rig, values, masks, truth_file=place / where.occ / image)

    return by_name(format, place, split, names, read)


def _truth(
    place: Path, where: _Folders, which: str, image: str
) -> tuple[Array | None, dict[str, Array]]:
    noc_file, occ_file = place / where.noc / image, place / where.occ / image
    if not place.name.startswith("train"):
        return None, {}
    masks: dict[str, Array] = {}
    noc = read_disparity_png(noc_file) if which == "noc" or noc_file.is_file() else None
    if noc is not None:
        masks["nonocc"] = ~np.isnan(noc)
    if where.objects is not None and (place / where.objects / image).is_file():
        masks["foreground"] = read_mask(place / where.objects / image)
        masks["background"] = ~masks["foreground"]
    return (noc if which == "noc" else read_disparity_png(occ_file)), masks


def _open_2012(root: Path, split: str, options: Options2012) -> Dataset[StereoSample]:
    grey = options.images == "grey"
    where = _Folders(
        "image_0" if grey else "colored_0",
        "image_1" if grey else "colored_1",
        "disp_occ",
        "disp_noc",
        ("calib",),
        (0, 1) if grey else (2, 3),
    )
    return _open(root, split, options.truth, where, "kitti-2012")


_FOLDERS_2015 = _Folders(
    "image_2", "image_3", "disp_occ_0", "disp_noc_0", ("calib_cam_to_cam", "calib"), (2, 3),
    "obj_map",
)  # fmt: skip


READERS = (
    Reader(
        "kitti-2012",
        "stereo",
        "194 training and 195 test street scenes, sparse truth of a lidar",
        _TERMS,
        "https://www.cvlibs.net/datasets/kitti/eval_stereo_flow.php?benchmark=stereo",
        "ROOT/training/{image_0,image_1,colored_0,colored_1,disp_occ,disp_noc}/000000_10.png\n"
        "ROOT/training/calib/000000.txt\n"
        "ROOT/testing/{image_0,image_1,colored_0,colored_1}/000000_10.png",
        ("training", "testing"),
        tuple(
            (f"{start}{split}/{left}",)
            for start in ("", "data_stereo_flow/")
            for split in ("training", "testing")
            for left in ("colored_0", "image_0")
        ),
        _open_2012,
        Options2012,
    ),
    Reader(
        "kitti-2015",
        "stereo",
        "200 training and 200 test street scenes, lidar truth and models of moving cars",
        _TERMS,
        "https://www.cvlibs.net/datasets/kitti/eval_scene_flow.php?benchmark=stereo",
        "ROOT/training/{image_2,image_3,disp_occ_0,disp_noc_0,obj_map}/000000_10.png\n"
        "ROOT/training/calib_cam_to_cam/000000.txt\n"
        "ROOT/testing/{image_2,image_3}/000000_10.png",
        ("training", "testing"),
        tuple(
            (f"{start}{split}/image_2", f"{start}{split}/image_3")
            for start in ("", "data_scene_flow/")
            for split in ("training", "testing")
        ),
        lambda root, split, o: _open(root, split, o.truth, _FOLDERS_2015, "kitti-2015"),
        Options2015,
    ),
)
