"""Refining a map: an image and a disparity or depth map of it, sparse or dense, to a dense one."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from fathom.catalog import create, entries, entry
from fathom.core.arrays import Array
from fathom.core.errors import InputError, UsageError, unknown_name
from fathom.core.maps import Depth, Disparity
from fathom.core.options import option
from fathom.io.files import PathLike
from fathom.io.images import read_view
from fathom.io.paths import resolve

Kind = Literal["disparity", "depth", "kitti-depth"]
ENDINGS = (".pfm", ".png", ".npy")


@dataclass(frozen=True)
class RefineOptions:
    """How a map is refined. kind: what the files hold: disparity in pixels (a PNG has 256 a
    pixel), depth in metres (a PNG has 1000 a metre), or KITTI's depth PNG (256 a metre).
    parameters: of the method alone, by name.
    """

    method: str = option(
        "cspn", "how values spread: cspn or spn", flags=("-m", "--model"), metavar="NAME"
    )
    kind: Kind = option(
        "disparity",
        "what the maps are: disparity (px; PNG: 256 a pixel), depth (m; PNG: millimetres), or "
        "kitti-depth (m; PNG: 256 a metre)",
    )
    confidence: Path | None = option(
        None, "the map's confidence.png: what is less certain than --sure is made anew",
        metavar="FILE",
    )  # fmt: skip
    hints: Path | None = option(
        None, "a map of the same kind with further values, all kept", metavar="FILE"
    )
    device: str = option("cpu", "where a net runs", metavar="NAME")
    weights: str | None = option(
        None, "the net's weights; default: no net, values follow the image's edges", metavar="FILE"
    )
    threads: int | None = option(None, "processor threads (default: all)", metavar="N")
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise unknown_name("kind of map", str(self.kind), list(get_args(Kind)))

    def refiner(self) -> Callable[..., Disparity | Depth]:
        """The estimator. Raises `UsageError` for a method that refines nothing, or as it does."""
        known = [e.name for e in entries("refine")]
        if entry(self.method).task != "refine":
            raise UsageError(
                "matches pairs and refines no map", field="method", value=self.method,
                expected=" or ".join(known),
            )  # fmt: skip
        made: Any = create(
            self.method,
            device=self.device,
            weights=self.weights,
            threads=self.threads,
            **self.parameters,
        )
        found: Callable[..., Disparity | Depth] = made
        return found


def refine_file(
    image: PathLike, given: PathLike, out: PathLike, options: RefineOptions
) -> dict[str, Any]:
    """Writes the dense map of the image's size to `out` (.pfm, .png or .npy, as its ending says);
    returns what it did.

    Raises `UsageError` for another ending or an output that is an input, `InputError` for files
    that are no image or no map of its size, or as the refiner.
    """
    ending = Path(out).suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(
            "has no ending of a map", field="output", value=str(out), expected=" or ".join(ENDINGS)
        )
    inputs = (image, given, options.hints, options.confidence)
    if any(file is not None and resolve(file) == resolve(out) for file in inputs):
        raise UsageError(
            "is an input, which the result would replace", field="output", value=str(out),
            remedy="choose another name",
        )  # fmt: skip
    refine = options.refiner()
    view = read_view(image)
    before = read_map(given, options)
    if options.confidence is not None:
        from fathom.io.maps import read_confidence_png

        sure = read_confidence_png(options.confidence)
        if sure.shape != before.shape:
            raise InputError(
                "is not of the map's size", file=options.confidence, field="size",
                value=sure.shape, expected=str(before.shape),
            )  # fmt: skip
        before = replace(before, confidence=sure)
    hints = None if options.hints is None else read_map(options.hints, options)
    found = refine(view, before, hints)
    lost = write_map(out, found.values, options.kind)
    kept = np.count_nonzero(found.measured)
    return {
        "file": str(out),
        "method": options.method,
        "by": "a net" if options.weights is not None else "the image's edges",
        "kind": options.kind,
        "share_known_before": before.share_known,
        "share_known": found.share_known,
        "share_kept": kept / found.values.size,
        "not_representable": lost,
    }


def read_map(file: PathLike, options: RefineOptions) -> Disparity | Depth:
    """A map of that kind; what is no depth is unknown. Raises `InputError` as `io.maps` does."""
    from fathom.io.maps import read_depth_png, read_disparity

    if options.kind == "depth" and Path(file).suffix.lower() == ".png":
        return Depth(read_depth_png(file))
    values = read_disparity(file)
    if options.kind == "disparity":
        return Disparity(values)
    with np.errstate(invalid="ignore"):
        return Depth(np.where(values > 0, values, np.float32(np.nan)))


def write_map(file: PathLike, values: Array, kind: Kind) -> int:
    """Writes a map as the file's ending says; gives how many values the format cannot hold."""
    from fathom.io.maps import (
        write_depth_npy,
        write_depth_png,
        write_disparity_pfm,
        write_disparity_png,
    )

    ending = Path(file).suffix.lower()
    if ending == ".png":
        write = write_depth_png if kind == "depth" else write_disparity_png
        return write(file, values)
    (write_disparity_pfm if ending == ".pfm" else write_depth_npy)(file, values)
    return 0
