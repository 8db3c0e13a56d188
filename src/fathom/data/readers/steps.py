"""Sets whose truth is a PNG of 16 bits with a factor of its own: CREStereo, InStereo2K,
DrivingStereo.

J. Li et al., CVPR 2022 (/ 32); W. Bao et al., Science China 2020 (/ 100); G. Yang et al., CVPR
2019 (half size / 256, full size / 128). 0 is unknown in all of them. The same number read with
another set's factor is a plausible, wrong disparity; `fathom dataset check` finds that.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fathom.core.arrays import Array
from fathom.core.camera import Camera, StereoRig
from fathom.core.errors import InputError
from fathom.core.options import option
from fathom.core.sample import StereoSample
from fathom.data.dataset import Dataset, by_name
from fathom.data.layout import files, folders, nonocc, sibling, stem, stereo, walk
from fathom.data.reader import NoOptions, Reader
from fathom.io.calibration.text import floats
from fathom.io.encodings import read_levels, read_steps
from fathom.io.files import in_file, read_bytes

_PER_PIXEL_CRE, _PER_PIXEL_IN2K = 32, 100
_PER_PIXEL_HALF, _PER_PIXEL_FULL = 256, 128
_FULL_FROM = 1300  # pixels of width; half size has 881, full size 1762
_CAMERAS = ("101", "103")


@dataclass(frozen=True)
class DrivingStereoOptions:
    """What can be chosen for DrivingStereo."""

    size: Literal["auto", "half", "full"] = option("auto", "of the images; auto: by their width")


def _both(name: str, views: tuple[Path, Path], files: tuple[Path, Path], per: int) -> StereoSample:
    truth = read_steps(files[0], per)
    masks: dict[str, Array] = {}
    if files[1].is_file():
        masks["nonocc"] = nonocc(truth, read_steps(files[1], per))
    return stereo(name, views, None, truth, masks, truth_file=files[0])


def _open_cre(root: Path, split: str, _options: NoOptions) -> Dataset[StereoSample]:
    place = root if split == "all" else root / split
    names = [n.removesuffix("_left.jpg") for n in walk(place, ("_left.jpg",))]

    def read(name: str) -> StereoSample:
        views = place / f"{name}_left.jpg", place / f"{name}_right.jpg"
        truths = place / f"{name}_left.disp.png", place / f"{name}_right.disp.png"
        return _both(name, views, truths, _PER_PIXEL_CRE)

    return by_name("crestereo", place, split, names, read)


def _open_in2k(root: Path, split: str, _options: NoOptions) -> Dataset[StereoSample]:
    place = root / split
    names = [
        n.removesuffix("/left.png") for n in walk(place, ("left.png",)) if n.endswith("/left.png")
    ]

    def read(name: str) -> StereoSample:
        here = place / name
        views = here / "left.png", here / "right.png"
        return _both(
            name, views, (here / "left_disp.png", here / "right_disp.png"), _PER_PIXEL_IN2K
        )

    return by_name("instereo2k", place, split, names, read)


def _driving_folders(root: Path, split: str, size: str) -> tuple[Path, Path, Path]:
    if split in ("train", "test"):
        left, right, truth = (
            root / f"{split}-{kind}" for kind in ("left-image", "right-image", "disparity-map")
        )
        return left, right, truth
    wanted = ("full",) if size == "full" else ("half",) if size == "half" else ("half", "full")
    place = root / split
    size = next((s for s in wanted if (place / f"left-image-{s}-size").is_dir()), wanted[0])
    left, right, truth = (
        place / f"{kind}-{size}-size" for kind in ("left-image", "right-image", "disparity-map")
    )
    return left, right, truth


def _open_driving(root: Path, split: str, options: DrivingStereoOptions) -> Dataset[StereoSample]:
    left, right, truths = _driving_folders(root, split, options.size)
    days = folders(left) or [""]
    names = [f"{d}/{stem(n)}" if d else stem(n) for d in days for n in files(left / d)]

    def read(name: str) -> StereoSample:
        views = tuple(
            sibling(place / name.rpartition("/")[0], name.rpartition("/")[2], (".jpg", ".png"))
            for place in (left, right)
        )
        file = truths / f"{name}.png"
        stored = read_levels(file, 16, "disparity")
        full = stored.shape[1] > _FULL_FROM if options.size == "auto" else options.size == "full"
        truth = read_steps(file, _PER_PIXEL_FULL if full else _PER_PIXEL_HALF)
        day = name.rpartition("/")[0] or name[:19]
        calib = root / f"calib_{'train' if split == 'train' else 'test'}"
        calib = calib / f"{'full' if full else 'half'}-image-calib" / f"{day}.txt"
        rig = _driving_rig(calib, (truth.shape[1], truth.shape[0]))
        return stereo(name, (views[0], views[1]), rig, truth, truth_file=file)

    return by_name("drivingstereo", left.parent, split, names, read)


def _driving_rig(path: Path, size: tuple[int, int]) -> StereoRig | None:
    """KITTI's format, with cameras 101 and 103: P[0, 3] = -fx x of the camera in metres."""
    if not path.is_file():
        return None
    with in_file(path):
        text = read_bytes(path, "text file", 1 << 20).decode("utf-8", "replace")
        lines = (line.partition(":") for line in text.splitlines())
        fields = {name.strip(): value for name, colon, value in lines if colon}
        rows = []
        for camera in _CAMERAS:
            key = f"P_rect_{camera}"
            if key not in fields:
                raise InputError("is missing", field=key, expected=f"a line `{key}:`")
            rows.append(floats(fields[key], 12, key))
        left, right = (Camera(*size, p[0], p[5], p[2], p[6]) for p in rows)
        return StereoRig(left, right, (rows[0][3] - rows[1][3]) / left.fx)


READERS = (
    Reader(
        "crestereo",
        "stereo",
        "rendered pairs of four kinds, 200,000 in all, dense truth",
        "for research and academic use; see its page",
        "https://github.com/megvii-research/CREStereo (dataset_download)",
        "ROOT/{tree,shapenet,reflective,hole}/0/xxxx_{left,right}.jpg\n"
        "ROOT/{tree,shapenet,reflective,hole}/0/xxxx_{left,right}.disp.png",
        ("all", "tree", "shapenet", "reflective", "hole"),
        tuple((f"{k}/*/*_left.disp.png",) for k in ("tree", "shapenet", "reflective", "hole")),
        _open_cre,
    ),
    Reader(
        "instereo2k",
        "stereo",
        "2,050 indoor pairs taken with structured light, close to dense truth",
        "for research; cite the paper",
        "https://github.com/YuhuaXu/StereoDataset",
        "ROOT/train/part1/000000/{left,right,left_disp,right_disp}.png\n"
        "ROOT/test/000/{left,right,left_disp,right_disp}.png",
        ("train", "test"),
        (("train/*/*/left_disp.png",), ("test/*/left_disp.png",), ("train/*/left_disp.png",)),
        _open_in2k,
    ),
    Reader(
        "drivingstereo",
        "stereo",
        "180,000 street pairs, sparse truth of a lidar; test parts by weather",
        "CC BY-NC-SA 4.0",
        "https://drivingstereo-dataset.github.io/",
        "ROOT/{train-left-image,train-right-image}/2018-07-09-16-11-56/*.jpg\n"
        "ROOT/train-disparity-map/2018-07-09-16-11-56/*.png  ROOT/test-...\n"
        "ROOT/calib_train/half-image-calib/2018-07-09-16-11-56.txt\n"
        "ROOT/sunny/{left-image,right-image,disparity-map}-{half,full}-size/*",
        ("train", "test", "sunny", "cloudy", "foggy", "rainy"),
        (
            ("train-left-image",),
            ("test-left-image",),
            *((f"{w}/left-image-half-size",) for w in ("sunny", "cloudy", "foggy", "rainy")),
        ),
        _open_driving,
        DrivingStereoOptions,
    ),
)
