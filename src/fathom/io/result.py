"""A result folder as `fathom depth` writes it, read back; and strict JSON."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import Camera, StereoRig
from fathom.core.errors import InputError
from fathom.core.maps import Ambiguity, Depth, Disparity, RelativeDepth, Source
from fathom.io.atomic import write_text
from fathom.io.encodings import read_steps
from fathom.io.files import PathLike, in_file, read_bytes
from fathom.io.folder import RESULT, RESULT_FORMAT
from fathom.io.maps import (
    read_confidence_png,
    read_depth_npy,
    read_depth_png,
    read_disparity_pfm,
    read_disparity_png,
    read_relative_npy,
    read_source_png,
)

RESULT_VERSION = 1
_LONGEST = 1 << 24


@dataclass(frozen=True, eq=False)
class Result:
    """What lies in a result folder. info: the whole of result.json.

    Of a pair: disparity; depth and rig, None where there was no calibration. Of one image (info's
    `kind` is "mono") disparity and rig are None: depth is metres, the model's own or aligned;
    relative is what a relative model said; camera is None where nothing told it. Where the result
    was saved without it, either map is None.
    """

    disparity: Disparity | None
    depth: Depth | None
    rig: StereoRig | None
    info: dict[str, Any]
    relative: RelativeDepth | None = None
    camera: Camera | None = None


def read_result(folder: PathLike) -> Result:
    """The result in `folder`: disparity (PFM, else PNG), confidence, source, depth (.npy, else
    PNG) with its sigma (sigma.npy, else from the confidence), rig and settings; of one image depth
    with its sigma, the relative map and the camera.

    Raises `InputError` if the folder holds no fathom result, one of a newer version or of a clip,
    no map, or files that are damaged or do not fit each other.
    """
    place = Path(folder)
    info = _info(place)
    if info.get("kind") == "mono":
        return _mono(place, info)
    if info.get("kind") == "mono-clip":
        raise InputError(
            "holds the maps of a clip, one a frame", file=folder, field="kind", value="mono-clip",
            expected="the result of one image or pair",
            remedy="read maps/NAME.npy, or run `fathom depth` on one frame",
        )  # fmt: skip
    rig = None
    if info.get("rig") is not None:
        with in_file(place / RESULT):
            if not isinstance(info["rig"], dict):
                raise InputError("is no rig", field="rig", value=info["rig"], expected="an object")
            rig = StereoRig.from_dict(info["rig"])
    confidence = _layer(place / "confidence.png", read_confidence_png)
    source = _layer(place / "source.png", read_source_png)
    values, _ = _first(
        place, (("disparity.pfm", read_disparity_pfm), ("disparity.png", read_disparity_png))
    )
    if values is None:
        raise InputError(
            "holds no disparity",
            file=folder,
            field="files",
            expected="disparity.pfm or disparity.png",
            remedy="run `fathom depth` again and save it",
        )
    metres, named = _first(place, (("depth.npy", read_depth_npy), ("depth.png", read_depth_png)))
    sigma = _layer(place / "sigma.npy", read_depth_npy) if metres is not None else None
    layers = (("confidence", confidence), ("source", source), ("depth", metres), ("sigma", sigma))
    for name, layer in layers:
        if layer is not None and layer.shape != values.shape:
            raise InputError(
                "differs in size from the disparity",
                file=folder,
                field=name,
                value=layer.shape,
                expected=str(values.shape),
            )
    disparity = Disparity(values, confidence, source)
    depth = None
    if metres is not None:
        with in_file(named):
            if source is not None:
                source = np.where(np.isnan(metres), np.uint8(Source.UNKNOWN), source)
            if sigma is None and rig is not None:
                sigma = disparity.to_depth(rig).sigma
            depth = Depth(metres, sigma, confidence, source)
    return Result(disparity, depth, rig, info)


def _mono(place: Path, info: dict[str, Any]) -> Result:
    """The result of one image."""
    confidence = _layer(place / "confidence.png", read_confidence_png)
    metres, named = _first(place, (("depth.npy", read_depth_npy), ("depth.png", read_depth_png)))
    sigma = _layer(place / "sigma.npy", read_depth_npy) if metres is not None else None
    told, relative = _relative_values(place, info), None
    values = metres if metres is not None else told
    if values is None:
        raise InputError(
            "holds no map", file=place, field="files",
            expected="depth.npy, depth.png, relative.npy or relative.png",
            remedy="run `fathom depth` again and save it",
        )  # fmt: skip
    layers = {"confidence": confidence, "sigma": sigma, "relative": told}
    for name, layer in layers.items():
        if layer is not None and layer.shape != values.shape:
            raise InputError(
                "differs in size from the map", file=place, field=name, value=layer.shape,
                expected=str(values.shape),
            )  # fmt: skip
    with in_file(place / RESULT):
        camera = _camera(info, values.shape)
        if told is not None:
            relative = RelativeDepth(told, _ambiguity(info), confidence)
    with in_file(named):
        depth = None if metres is None else Depth(metres, sigma, confidence)
    return Result(None, depth, None, info, relative, camera)


def _relative_values(place: Path, info: Mapping[str, Any]) -> Array | None:
    """relative.npy, else relative.png by what result.json says its numbers are worth."""
    if (place / "relative.npy").exists():
        return read_relative_npy(place / "relative.npy")
    file = place / "relative.png"
    if not file.exists():
        return None
    with in_file(place / RESULT):
        try:
            worth = info["files"]["relative.png"]["value"]
            low, step = float(worth["of_1"]), float(worth["step"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                "does not say what the numbers of relative.png are worth", field="files",
                expected="of_1 and step",
            ) from error  # fmt: skip
    stored = read_steps(file, 1, bits=16, what="relative depth")
    return (low + step * (stored - 1)).astype(np.float32)


def _ambiguity(info: Mapping[str, Any]) -> Ambiguity:
    answer = info.get("answer")
    found: Any = answer.get("ambiguity") if isinstance(answer, dict) else None
    if found not in get_args(Ambiguity):
        raise InputError(
            "does not say what the relative map is up to", field="ambiguity", value=found,
            expected=" or ".join(get_args(Ambiguity)),
        )  # fmt: skip
    known: Ambiguity = found
    return known


def _camera(info: Mapping[str, Any], shape: tuple[int, ...]) -> Camera | None:
    said = info.get("camera")
    if not isinstance(said, dict) or said.get("fx") is None:
        return None
    try:
        fx, fy, cx, cy = (float(said[name]) for name in ("fx", "fy", "cx", "cy"))
        lens = tuple(float(v) for v in said.get("distortion", ()))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the camera lacks a number: {error}", field="camera") from error
    return Camera(shape[1], shape[0], fx, fy, cx, cy, said.get("model", "pinhole"), lens)


def _info(folder: Path) -> dict[str, Any]:
    file = folder / RESULT
    if folder.is_dir() and not file.exists():
        raise InputError(
            "is no fathom result: it has no result.json",
            file=folder,
            expected="a folder written by `fathom depth`",
        )
    try:
        info = json.loads(read_bytes(file, "result.json", _LONGEST))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"is broken JSON: {error}", file=file) from error
    if not isinstance(info, dict) or info.get("format") != RESULT_FORMAT:
        raise InputError(
            "is not from fathom",
            file=file,
            field="format",
            value=info.get("format") if isinstance(info, dict) else None,
            expected=RESULT_FORMAT,
        )
    version = info.get("version")
    if not isinstance(version, int) or version > RESULT_VERSION:
        raise InputError(
            "is of a version this fathom does not know",
            file=file,
            field="version",
            value=version,
            expected=f"at most {RESULT_VERSION}",
            remedy="install a newer fathom",
        )
    return info


def _layer(file: Path, read: Any) -> Array | None:
    return read(file) if file.exists() else None


def _first(folder: Path, readers: tuple[tuple[str, Any], ...]) -> tuple[Array | None, Path]:
    for name, read in readers:
        if (folder / name).exists():
            return read(folder / name), folder / name
    return None, folder


def to_json(obj: Any) -> str:
    """`obj` as JSON text: indent 2, keys in their order, ASCII, no line break at the end.

    Strict JSON: numbers that are not finite become null. numpy values, paths, enums, tuples and
    mappings are written as plain ones.
    """
    return json.dumps(_plain(obj), indent=2, allow_nan=False)


def write_json(path: PathLike, obj: Any) -> None:
    """Write `to_json(obj)` whole or not at all; `ResourceError` if that fails."""
    write_text(path, to_json(obj) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value
