"""fathom's own layout: a folder a sample, at any depth below the root.

    NAME/left.png right.png    RGB, 8 or 16 bits
    NAME/disp_left.npy         float32 pixels, NaN = unknown, x_left - x_right; occluded ones too
    NAME/nonocc.png            255 = known and seen by both cameras
    NAME/masks/MASK.png        255 = inside; any number of masks
    NAME/calib.json            fx fy cx cy doffs baseline_m width height max_disparity
    NAME/meta.json             whatever its maker wants to say

Only the two images are needed. A calib.json without fx, cx, doffs or baseline_m (or null there)
gives no rig: nothing is invented.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import Camera, StereoRig
from fathom.core.errors import InputError, ResourceError, UsageError
from fathom.core.sample import StereoSample
from fathom.data.dataset import Dataset, by_name
from fathom.data.layout import files, stem, stereo, walk
from fathom.data.reader import NoOptions, Reader
from fathom.io.atomic import atomic_file, result_folder, write_text
from fathom.io.encodings import read_mask
from fathom.io.files import PathLike, in_file, read_bytes
from fathom.io.images import write_png
from fathom.io.maps import read_disparity, write_depth_npy
from fathom.io.result import to_json

_NEEDED = ("fx", "cx", "cy", "doffs", "baseline_m")
_TRUTH = "disp_left.npy"


def read_sample(folder: PathLike, name: str = "") -> StereoSample:
    """The sample in one folder of fathom's layout. name: default the folder's.

    Raises `InputError` for a missing image, or files that are damaged or do not fit each other.
    """
    place = Path(folder)
    truth, masks = None, {}
    if (place / _TRUTH).is_file():
        truth = read_disparity(place / _TRUTH)
    if (place / "nonocc.png").is_file():
        masks["nonocc"] = read_mask(place / "nonocc.png", above=127)
    if (place / "masks").is_dir():
        for file in files(place / "masks", (".png",)):
            masks[stem(file)] = read_mask(place / "masks" / file, above=127)
    views = place / "left.png", place / "right.png"
    rig = _rig(place / "calib.json")
    return stereo(name or place.name, views, rig, truth, masks, truth_file=place / _TRUTH)


def write_sample(
    folder: PathLike,
    sample: StereoSample,
    meta: Mapping[str, Any] | None = None,
    arrays: Mapping[str, Array] | None = None,
) -> None:
    """Write a sample in fathom's layout into a new folder, whole or not at all.

    meta: what else is to be known, as plain values (meta.json). arrays: further maps, each as
    NAME.npy ("disp_right" of pixels, "normals"); readers leave them alone.

    Raises `ResourceError` if the folder is there already and not empty (samples are never
    overwritten) or cannot be written, `UsageError` for a mask whose name is no file name.
    """
    place = Path(folder)
    for name in (*sample.masks, *(arrays or {})):
        if not name or name.startswith(".") or "/" in name or "\\" in name or "\0" in name:
            raise UsageError("is no name for a mask or an array", field="mask", value=name)
    if place.is_dir() and any(place.iterdir()):
        raise ResourceError(
            "is there already, and samples are not overwritten",
            file=place,
            remedy="choose another folder, or remove it first",
        )
    with result_folder(place) as staging:
        write_png(staging / "left.png", sample.pair.left.image)
        write_png(staging / "right.png", sample.pair.right.image)
        if sample.truth is not None:
            write_depth_npy(staging / _TRUTH, sample.truth.values)
        for name, mask in sample.masks.items():
            inside = "nonocc.png" if name == "nonocc" else f"masks/{name}.png"
            write_png(staging / inside, mask.astype(np.uint8) * np.uint8(255))
        if sample.pair.rig is not None:
            write_text(staging / "calib.json", to_json(_as_dict(sample.pair.rig)) + "\n")
        for name, array in (arrays or {}).items():
            with atomic_file(staging / f"{name}.npy") as file:
                np.save(file, array, allow_pickle=False)
        if meta is not None:
            write_text(staging / "meta.json", to_json(dict(meta)) + "\n")


def read_meta(folder: PathLike) -> dict[str, Any]:
    """What meta.json of a sample says; empty where there is none."""
    path = Path(folder) / "meta.json"
    return _json(path) if path.is_file() else {}


def _as_dict(rig: StereoRig) -> dict[str, Any]:
    camera = rig.left
    values: dict[str, Any] = {
        "fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy,
        "doffs": rig.doffs, "baseline_m": rig.baseline,
        "width": camera.width, "height": camera.height,
    }  # fmt: skip
    if rig.max_disparity is not None:
        values["max_disparity"] = rig.max_disparity
    return values


def read_rig(path: Path, size: tuple[int, int]) -> StereoRig | None:
    """The rig of a calib.json, for images of (width, height); None if it does not say it all.

    Raises `InputError` for a damaged file or one of another size.
    """
    found: StereoRig | None = _rig(path)(size)
    return found


def _rig(path: Path) -> Any:
    def read(size: tuple[int, int]) -> StereoRig | None:
        if not path.is_file():
            return None
        with in_file(path):
            values = _json(path)
            if any(values.get(name) is None for name in _NEEDED):
                return None
            fx, cx, cy, doffs, baseline = (_number(values, name) for name in _NEEDED)
            stated = (values.get("width", size[0]), values.get("height", size[1]))
            if stated != size:
                raise InputError(
                    "is for another image size",
                    field="width, height",
                    value=f"{stated[0]}x{stated[1]}",
                    expected=f"{size[0]}x{size[1]}",
                )
            fy = fx if values.get("fy") is None else _number(values, "fy")
            limit = values.get("max_disparity")
            left = Camera(*size, fx, fy, cx, cy)
            most = None if limit is None else int(_number(values, "max_disparity"))
            return StereoRig(left, replace(left, cx=cx + doffs), baseline, most)

    return read


def _number(values: Mapping[str, Any], name: str) -> float:
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError("is no number", field=name, value=value, expected="a number")
    return float(value)


def _json(path: Path) -> dict[str, Any]:
    text = read_bytes(path, "JSON file", 1 << 24)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("is no JSON", file=path, expected="a JSON object") from error
    if not isinstance(values, dict):
        raise InputError("is no JSON object", file=path, expected="{...}")
    return values


def _open(root: Path, split: str, _options: NoOptions) -> Dataset[StereoSample]:
    found = [n for n in walk(root, ("left.png",), depth=6) if f"/{n}".endswith("/left.png")]
    names = [n.removesuffix("left.png").rstrip("/") or root.resolve().name for n in found]
    single = found == ["left.png"]

    def read(name: str) -> StereoSample:
        return read_sample(root if single else root / name, name)

    return by_name("fathom-folder", root, split, names, read)


READERS = (
    Reader(
        "fathom-folder",
        "stereo",
        "fathom's own layout: one folder a sample, at any depth (write_sample writes it)",
        "those of the data in it",
        "write it with fathom.data.readers.fathom_folder.write_sample",
        "ROOT/NAME/{left,right}.png disp_left.npy nonocc.png masks/NAME.png calib.json meta.json",
        ("all",),
        (
            ("left.png", "right.png"),
            ("*/left.png", "*/right.png"),
            ("*/*/left.png", "*/*/right.png", "*/*/disp_left.npy"),
        ),
        _open,
    ),
)
