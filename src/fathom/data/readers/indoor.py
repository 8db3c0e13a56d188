"""Indoor sets of one view with depth: NYU Depth V2, ScanNet, DIODE.

N. Silberman et al., ECCV 2012; A. Dai et al., CVPR 2017; I. Vasiljevic et al., arXiv:1908.00463.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import Camera
from fathom.core.errors import InputError
from fathom.core.maps import Depth
from fathom.core.options import option
from fathom.core.pair import View
from fathom.core.sample import MonoSample
from fathom.data.dataset import Dataset, by_name
from fathom.data.layout import base, camera_for, files, folders, mono, sibling, stem, walk
from fathom.data.reader import Reader
from fathom.geometry.resize import resize_image
from fathom.io.calibration.text import floats, read_text
from fathom.io.encodings import hdf5, read_steps
from fathom.io.files import in_file, read_bytes
from fathom.io.images import read_image
from fathom.io.maps import read_depth_npy

NYU_CAMERA = Camera(
    640, 480, 518.8579011745019, 519.4696111212749, 325.5824494111903 - 1, 253.7361663340047 - 1
)
"""camera_params.m of the set's toolbox, which counts pixels from 1; so one is taken off cx, cy."""
DIODE_CAMERA = Camera(1024, 768, 886.81, 927.06, 512.0, 384.0)
"""intrinsics.txt of https://github.com/diode-dataset/diode-devkit"""
_MAT = "nyu_depth_v2_labeled.mat"


@dataclass(frozen=True)
class NyuOptions:
    """What can be chosen for NYU Depth V2."""

    depth: Literal["filled", "raw"] = option("filled", ".mat: depth with holes filled, or without")


@dataclass(frozen=True)
class ScanNetOptions:
    """What can be chosen for ScanNet."""

    step: int = option(1, "every how many frames of a scan")


@dataclass(frozen=True)
class DiodeOptions:
    """What can be chosen for DIODE."""

    scene: Literal["all", "indoors", "outdoors"] = option("all", "which kind of scene")


def _open_nyu(root: Path, split: str, options: NyuOptions) -> Dataset[MonoSample]:
    mat = root if root.suffix == ".mat" else root / _MAT
    if mat.is_file():
        return _open_nyu_mat(mat, split, options)
    parts = ("train", "test") if split == "all" else (split,)
    place = base(root, "test" if split == "all" else split, "official_splits")
    names = [
        f"{part}/{scene}/{stem(n).removeprefix('rgb_')}"
        for part in parts
        for scene in folders(place / part)
        for n in files(place / part / scene)
        if n.startswith("rgb_")
    ]

    def read(name: str) -> MonoSample:
        scene, _, frame = name.rpartition("/")
        image = sibling(place / scene, f"rgb_{frame}", (".jpg", ".png"))
        file = place / scene / f"sync_depth_{frame}.png"
        truth = read_steps(file, 1000, what="depth")
        with in_file(file):
            camera = camera_for((truth.shape[1], truth.shape[0]), NYU_CAMERA)
        return mono(name, image, camera, truth, truth_file=file)

    return by_name("nyu-v2", place, split, names, read)


def _open_nyu_mat(mat: Path, split: str, options: NyuOptions) -> Dataset[MonoSample]:
    key = "depths" if options.depth == "filled" else "rawDepths"
    with hdf5(mat) as file:
        for name in ("images", key):
            if name not in file:
                raise InputError(
                    "is missing", file=mat, field=name, expected=f"NYU Depth V2's {_MAT}"
                )
        count = len(file["images"])
    chosen = range(count) if split == "all" else _nyu_split(mat.parent / "splits.mat", split)

    def read(name: str) -> MonoSample:
        index = int(name)
        with hdf5(mat) as file:
            # MATLAB stores columns first: (3, width, height) and (width, height).
            image = np.ascontiguousarray(np.asarray(file["images"][index]).transpose(2, 1, 0))
            depth = np.asarray(file[key][index], dtype=np.float32).T
        with in_file(mat):
            view = View(image, camera_for((image.shape[1], image.shape[0]), NYU_CAMERA))
            known = np.isfinite(depth) & (depth > 0)
            truth = np.where(known, depth, np.float32(np.nan))
            return MonoSample(view, Depth(truth), {}, name)

    return by_name("nyu-v2", mat, split, [f"{i:04d}" for i in chosen], read)


def _nyu_split(path: Path, split: str) -> list[int]:
    """The official 795 or 654 frames; the file counts from 1."""
    read_bytes(path, "split file (splits.mat)", 1 << 20)
    try:
        content: Any = importlib.import_module("scipy.io").loadmat(str(path))
        numbers = np.asarray(content[f"{split}Ndxs"]).reshape(-1)
        return sorted(int(n) - 1 for n in numbers)
    except (ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise InputError(
            "is no split file of NYU Depth V2",
            file=path,
            field=f"{split}Ndxs",
            expected="the official splits.mat",
        ) from error


def _open_scannet(root: Path, split: str, options: ScanNetOptions) -> Dataset[MonoSample]:
    if options.step < 1:
        raise InputError("is no step", field="step", value=options.step, expected="1 or more")
    place = root / "scans" if (root / "scans").is_dir() else root
    scenes = [s for s in folders(place) if (place / s / "depth").is_dir()]
    if split != "all":
        file = root / f"scannetv2_{split}.txt"
        wanted = set(read_bytes(file, "list of scenes", 1 << 20).decode("ascii", "replace").split())
        scenes = [s for s in scenes if s in wanted]
    names = []
    for scene in scenes:
        # Frames are numbered without leading zeros: 10 comes after 9, not after 1.
        frames = sorted((stem(n) for n in files(place / scene / "depth", (".png",))), key=_number)
        names += [f"{scene}/{frame}" for frame in frames[:: options.step]]

    def read(name: str) -> MonoSample:
        scene, frame = name.split("/")
        here = place / scene
        file = here / "depth" / f"{frame}.png"
        truth = read_steps(file, 1000, what="depth")
        size = truth.shape[1], truth.shape[0]
        image = sibling(here / "color", frame, (".jpg", ".png"))
        # Colour is larger than depth (1296x968 against 640x480); the truth is left as measured.
        colour = resize_image(read_image(image), size)
        camera = _scannet_camera(here / "intrinsic" / "intrinsic_depth.txt", size)
        with in_file(file):
            return MonoSample(View(colour, camera), Depth(truth), {}, name)

    return by_name("scannet", place, split, names, read)


def _number(text: str) -> tuple[int, str]:
    return (int(text), text) if text.isdecimal() else (0, text)


def _scannet_camera(path: Path, size: tuple[int, int]) -> Camera | None:
    if not path.is_file():
        return None
    with in_file(path):
        k = floats(read_text(path), 16, "intrinsic")
        return Camera(*size, k[0], k[5], k[2], k[6])


def _open_diode(root: Path, split: str, options: DiodeOptions) -> Dataset[MonoSample]:
    place = root / split
    kinds = ("indoors", "outdoors") if options.scene == "all" else (options.scene,)
    names = [
        f"{kind}/{n.removesuffix('.png')}"
        for kind in kinds
        if (place / kind).is_dir()
        for n in walk(place / kind, (".png",))
    ]

    def read(name: str) -> MonoSample:
        file, mask_file = place / f"{name}_depth.npy", place / f"{name}_depth_mask.npy"
        truth = read_depth_npy(file)
        masks: dict[str, Array] = {}
        if mask_file.is_file():
            # What the scanner did not measure holds plausible numbers: the mask alone tells.
            valid = read_depth_npy(mask_file) > 0
            if valid.shape != truth.shape:
                raise InputError(
                    "differs in size from the depth",
                    file=mask_file,
                    field="shape",
                    value=valid.shape,
                    expected=str(truth.shape),
                )
            truth = np.where(valid, truth, np.float32(np.nan))
            masks["valid"] = valid
        with in_file(file):
            camera = camera_for((truth.shape[1], truth.shape[0]), DIODE_CAMERA)
        return mono(name, place / f"{name}.png", camera, truth, masks, truth_file=file)

    return by_name("diode", place, split, names, read)


READERS = (
    Reader(
        "nyu-v2",
        "mono",
        "1,449 indoor views of a Kinect (the .mat needs [hdf5]; or folders of PNG, millimetres)",
        "for research; cite the paper",
        "https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html",
        "ROOT/nyu_depth_v2_labeled.mat  ROOT/splits.mat      or\n"
        "ROOT/official_splits/test/bathroom/{rgb_00045.jpg,sync_depth_00045.png}",
        ("test", "train", "all"),
        ((_MAT,), ("official_splits",), ("test/*/sync_depth_*.png",)),
        _open_nyu,
        NyuOptions,
    ),
    Reader(
        "scannet",
        "mono",
        "1,513 indoor scans, 2.5 million RGB-D frames (extracted by its SensReader)",
        "ScanNet terms of use: non-commercial, by agreement",
        "http://www.scan-net.org/",
        "ROOT/scans/scene0000_00/{color/0.jpg,depth/0.png,intrinsic/intrinsic_depth.txt}\n"
        "ROOT/scannetv2_{train,val,test}.txt",
        ("all", "train", "val", "test"),
        (("scans/scene*/depth",), ("scene*_*/depth", "scene*_*/color")),
        _open_scannet,
        ScanNetOptions,
    ),
    Reader(
        "diode",
        "mono",
        "dense laser depth, indoors and outdoors, up to 350 m",
        "MIT",
        "https://diode-dataset.org/",
        "ROOT/val/indoors/scene_00019/scan_00183/00019_00183_indoors_000_010.png\n"
        "ROOT/val/indoors/scene_00019/scan_00183/00019_00183_indoors_000_010_depth.npy\n"
        "ROOT/val/indoors/scene_00019/scan_00183/00019_00183_indoors_000_010_depth_mask.npy",
        ("val", "train"),
        tuple((f"{s}/{k}/scene_*",) for s in ("val", "train") for k in ("indoors", "outdoors")),
        _open_diode,
        DiodeOptions,
    ),
)
