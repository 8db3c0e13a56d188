"""Rendered sets whose truth is depth: Virtual KITTI 2, TartanAir, Falling Things.

Y. Cabon et al., arXiv:2001.10773; W. Wang et al., IROS 2020; J. Tremblay et al., CVPR Workshops
2018. Disparity is fx b / Z with the rig each set states. Three encodings of the same thing: whole
centimetres with 65535 for the sky, metres as .npy, tenths of millimetres.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fathom.core.arrays import Array
from fathom.core.camera import StereoRig
from fathom.core.options import option
from fathom.core.sample import StereoSample
from fathom.data.dataset import Dataset, by_name
from fathom.data.layout import base, files, folders, nonocc, rig_for, sibling, stem, stereo, walk
from fathom.data.reader import NoOptions, Reader
from fathom.io.encodings import read_levels, read_steps
from fathom.io.files import in_file
from fathom.io.maps import read_depth_npy

VKITTI2_RIG = StereoRig.simple(1242, 375, 725.0087, 0.532725, cx=620.5, cy=187.0)
"""https://europe.naverlabs.com/proxy-virtual-worlds-vkitti-2/ : K and the distance of cameras."""
TARTANAIR_RIG = StereoRig.simple(640, 480, 320.0, 0.25, cx=320.0, cy=240.0)
"""https://github.com/castacks/tartanair_tools : K and baseline, so that d = 80 / Z."""
FALLING_THINGS_RIG = StereoRig.simple(960, 540, 768.1605834960938, 0.06, cx=480.0, cy=270.0)
"""_camera_settings.json of the set; 6 cm between the cameras."""
_SKY = 65535


@dataclass(frozen=True)
class VirtualKittiOptions:
    """What can be chosen for Virtual KITTI 2."""

    variation: str = option("all", "clone, fog, morning, overcast, rain, sunset, 15-deg-left, ...")


@dataclass(frozen=True)
class TartanAirOptions:
    """What can be chosen for TartanAir."""

    difficulty: Literal["all", "Easy", "Hard"] = option("all", "how fast the camera moves")


def _from_depth(
    name: str,
    views: tuple[Path, Path],
    nominal: StereoRig,
    depths: tuple[Array, Array | None],
    file: Path,
) -> StereoSample:
    """The sample of depth maps of both views (the right one may be absent), masks "nonocc" from
    the two."""
    depth, right = depths
    with in_file(file):
        rig = rig_for((depth.shape[1], depth.shape[0]), nominal)
    truth = rig.disparity_of(depth)
    masks: dict[str, Array] = {}
    if right is not None:
        masks["nonocc"] = nonocc(truth, rig.disparity_of(right))
    return stereo(name, views, rig, truth, masks, truth_file=file)


def _open_vkitti(root: Path, split: str, options: VirtualKittiOptions) -> Dataset[StereoSample]:
    names = [
        f"{scene}/{variation}/{stem(image).removeprefix('rgb_')}"
        for scene in folders(root)
        if scene.startswith("Scene")
        for variation in folders(root / scene)
        if options.variation in ("all", variation)
        for image in files(root / scene / variation / "frames" / "rgb" / "Camera_0")
    ]

    def read(name: str) -> StereoSample:
        scene, variation, frame = name.split("/")
        frames = root / scene / variation / "frames"
        left, right = (
            sibling(frames / "rgb" / f"Camera_{i}", f"rgb_{frame}", (".jpg", ".png"))
            for i in (0, 1)
        )
        file, other = (frames / "depth" / f"Camera_{i}" / f"depth_{frame}.png" for i in (0, 1))
        depth = read_steps(file, 100, unknown=(0, _SKY), what="depth")
        right_depth = None
        if other.is_file():
            right_depth = read_steps(other, 100, unknown=(0, _SKY), what="depth")
        sample = _from_depth(name, (left, right), VKITTI2_RIG, (depth, right_depth), file)
        sky = read_levels(file, 16, "depth") == _SKY
        masks = {**sample.masks, "sky": sky}
        return StereoSample(sample.pair, sample.truth, masks, name)

    return by_name("virtual-kitti-2", root, split, names, read)


def _open_tartanair(root: Path, split: str, options: TartanAirOptions) -> Dataset[StereoSample]:
    found = walk(root, ("_left.png",))
    names = [
        n.removesuffix("_left.png").replace("/image_left/", "/", 1)
        for n in found
        if "/image_left/" in n and (options.difficulty == "all" or f"{options.difficulty}/" in n)
    ]

    def read(name: str) -> StereoSample:
        sequence, _, frame = name.rpartition("/")
        place = root / sequence
        views = (
            place / "image_left" / f"{frame}_left.png",
            place / "image_right" / f"{frame}_right.png",
        )
        file = place / "depth_left" / f"{frame}_left_depth.npy"
        other = place / "depth_right" / f"{frame}_right_depth.npy"
        depths = read_depth_npy(file), read_depth_npy(other) if other.is_file() else None
        return _from_depth(name, views, TARTANAIR_RIG, depths, file)

    return by_name("tartanair", root, split, names, read)


def _open_falling(root: Path, split: str, _options: NoOptions) -> Dataset[StereoSample]:
    top = base(root, "mixed" if split == "all" else split, "fat")
    place = top if split == "all" else top / split
    names = [n.removesuffix(".left.jpg") for n in walk(place, (".left.jpg",))]

    def read(name: str) -> StereoSample:
        views = place / f"{name}.left.jpg", place / f"{name}.right.jpg"
        file, other = place / f"{name}.left.depth.png", place / f"{name}.right.depth.png"
        depth = read_steps(file, 10000, what="depth")
        right = read_steps(other, 10000, what="depth") if other.is_file() else None
        return _from_depth(name, views, FALLING_THINGS_RIG, (depth, right), file)

    return by_name("falling-things", place, split, names, read)


READERS = (
    Reader(
        "virtual-kitti-2",
        "stereo",
        "rendered copies of five KITTI drives in ten kinds of weather and angle",
        "CC BY-NC-SA 3.0",
        "https://europe.naverlabs.com/proxy-virtual-worlds-vkitti-2/ (rgb and depth)",
        "ROOT/Scene01/clone/frames/rgb/{Camera_0,Camera_1}/rgb_00000.jpg\n"
        "ROOT/Scene01/clone/frames/depth/{Camera_0,Camera_1}/depth_00000.png",
        ("all",),
        (("Scene*/*/frames/rgb/Camera_0",),),
        _open_vkitti,
        VirtualKittiOptions,
    ),
    Reader(
        "tartanair",
        "stereo",
        "rendered flights through 30 places, day, night and weather",
        "CC BY 4.0",
        "https://theairlab.org/tartanair-dataset/ (image_left, image_right, depth_left)",
        "ROOT/abandonedfactory/Easy/P000/{image_left/000000_left,image_right/000000_right}.png\n"
        "ROOT/abandonedfactory/Easy/P000/depth_left/000000_left_depth.npy",
        ("all",),
        (("*/Easy/P*/image_left",), ("*/Hard/P*/image_left",), ("*/*/Easy/P*/image_left",)),
        _open_tartanair,
        TartanAirOptions,
    ),
    Reader(
        "falling-things",
        "stereo",
        "rendered household objects that fall, 61,500 frames",
        "CC BY-NC-SA 4.0",
        "https://research.nvidia.com/publication/2018-06_falling-things",
        "ROOT/mixed/kitchen_0/000000.{left.jpg,right.jpg,left.depth.png,right.depth.png}\n"
        "ROOT/single/002_master_chef_can_16k/kitchen_0/000000.{left.jpg,...}",
        ("all", "mixed", "single"),
        (("mixed/*/*.left.depth.png",), ("single/*/*/*.left.depth.png",), ("fat/mixed",)),
        _open_falling,
    ),
)
