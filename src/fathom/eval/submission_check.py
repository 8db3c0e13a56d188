"""Would the benchmark take this archive? Names, sizes, types and values of every file.

Errors are what the benchmark refuses, or what would be scored as something else than it is;
warnings are what is allowed and rarely meant.
"""

import math
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fathom.core.arrays import Array
from fathom.core.errors import FathomError, InputError
from fathom.eval.submission import (
    Benchmark,
    Place,
    benchmark,
    middlebury_names,
    places,
    recognise,
)
from fathom.io.encodings import read_levels
from fathom.io.files import in_file, open_input
from fathom.io.pfm import read_pfm
from fathom.io.source import damaged

Size = tuple[int, int]
SizeOf = Callable[[Benchmark, Place], Size | None]
"""(width, height) of a sample's image, None where it is not known."""
_MOST_BYTES = 200_000_000
"""A map of Middlebury's full size has 24 MB; more than this is no map."""
_MOST_FILES = 5000
_KITTI_SIZES = ((1220, 1250), (366, 380))
"""Widths and heights of KITTI's rectified images: 1224x370, 1226x370, 1238x374, 1241x376,
1242x375."""
_JUNK = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a file (or, file "", with the archive)."""

    file: str
    grade: Literal["error", "warning"]
    message: str

    def __str__(self) -> str:
        return (
            f"{self.grade}: {self.file}: {self.message}"
            if self.file
            else (f"{self.grade}: {self.message}")
        )


@dataclass
class Verdict:
    """What was found. benchmark: whose archive it is. maps: how many were looked into; known:
    their mean share of known pixels; sizes: whether sizes were compared with the images'."""

    benchmark: str
    maps: int = 0
    known: float = math.nan
    sizes: bool = False
    splits: tuple[str, ...] = ()
    problems: list[Problem] = field(default_factory=list)

    @property
    def errors(self) -> list[Problem]:
        """What keeps the archive from being uploaded."""
        return [p for p in self.problems if p.grade == "error"]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "benchmark": self.benchmark,
            "splits": list(self.splits),
            "maps": self.maps,
            "known": self.known,
            "sizes_compared": self.sizes,
            "errors": len(self.errors),
            "problems": [vars(p) for p in self.problems],
        }


def validate(
    path: Path,
    name: str | None = None,
    image_size: SizeOf | None = None,
    notify: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
) -> Verdict:
    """Look at every file of an archive (.zip), or of the folder that would become one.

    name: the benchmark; None recognises it by the names inside. image_size: tells the images' sizes
    where the data set is at hand. notify: called with the number of
    maps done and their total.

    Raises `InputError` if it is neither, cannot be read, or looks like no benchmark's.
    """
    with _opened(path) as archive:
        files = archive.files
        found = name or recognise(files)
        if found is None:
            inside = _inner(files)
            raise InputError(
                "looks like no archive of KITTI, Middlebury or ETH3D",
                file=path,
                field="inside",
                value=", ".join(sorted(files)[:3]) or "nothing",
                expected="000000_10.png, disp_0/, trainingH/ or low_res_two_view/ at the top",
                remedy=f"pack what is inside {inside}/, not the folder" if inside else None,
            )
        of = benchmark(found)
        verdict = Verdict(of.name, sizes=image_size is not None)
        verdict.problems += archive.problems
        wanted, present = _wanted(of, files, verdict)
        _names(of, wanted, files, verdict)
        shares = []
        for i, place in enumerate(present):
            shares += _look(of, place, archive, image_size, verdict)
            notify(i + 1, len(present))
        verdict.maps = len(shares)
        verdict.known = float(np.mean(shares)) if shares else math.nan
    return verdict


@dataclass(frozen=True, eq=False)
class _Archive:
    """Names of the files, their sizes in bytes, and a way to have one as a file on the disk."""

    files: Mapping[str, int]
    problems: list[Problem]
    fetch: Callable[[str], Path]


@contextmanager
def _opened(path: Path) -> Iterator[_Archive]:
    if path.is_dir():
        found = {
            p.relative_to(path).as_posix(): p.stat().st_size
            for p in sorted(path.rglob("*"))
            if p.is_file()
        }
        yield _Archive(found, [], lambda name: path / name)
        return
    with open_input(path, "zip archive") as (file, _):
        head = file.read(6)
    if head[:4] not in (b"PK\x03\x04", b"PK\x05\x06"):
        seven = head == b"7z\xbc\xaf\x27\x1c"
        raise InputError(
            "is no zip archive" + (": it is 7-Zip's" if seven else ""),
            file=path,
            expected="a .zip, or the folder that is to be packed",
            remedy="unpack it and give the folder" if seven else None,
        )
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as scratch:
            yield _of_zip(archive, Path(scratch))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        if isinstance(error, FathomError):
            raise
        with in_file(path):
            raise damaged(f"a zip archive that cannot be read ({error})") from error


def _of_zip(archive: zipfile.ZipFile, scratch: Path) -> _Archive:
    problems: list[Problem] = []
    files: dict[str, int] = {}
    entries = [info for info in archive.infolist() if not info.is_dir()]
    if len(entries) > _MOST_FILES:
        raise InputError("holds far too many files", field="files", value=len(entries))
    for name, count in Counter(info.filename for info in entries).items():
        if count > 1:
            problems.append(Problem(name, "error", f"is in the archive {count} times"))
    for info in entries:
        if info.flag_bits & 1:
            problems.append(Problem(info.filename, "error", "is encrypted"))
        files[info.filename] = info.file_size

    def fetch(name: str) -> Path:
        if files[name] > _MOST_BYTES:
            raise InputError("is far too long for a map", file=name)
        target = scratch / "entry"
        with archive.open(name) as packed, target.open("wb") as out:
            left = _MOST_BYTES
            while block := packed.read(1 << 20):
                left -= len(block)
                if left < 0:
                    raise InputError("is far too long for a map", file=name)
                out.write(block)
        return target

    return _Archive(files, problems, fetch)


def _inner(files: Mapping[str, int]) -> str:
    """The one folder that wraps everything, if what is inside it would be right."""
    tops = {name.partition("/")[0] for name in files if not _is_junk(name)}
    if len(tops) != 1:
        return ""
    (top,) = tops
    rest = [name.partition("/")[2] for name in files]
    return top if recognise(rest) else ""


def _is_junk(name: str) -> bool:
    return any(name.startswith(junk) or name.endswith(junk) for junk in _JUNK)


def _wanted(
    of: Benchmark, files: Mapping[str, int], verdict: Verdict
) -> tuple[list[Place], list[Place]]:
    """All places that have to be filled, and those of which the map is there."""
    settings = {}
    if of.name == "middlebury-v3":
        resolutions, methods = middlebury_names(files)
        for what, found in (("resolutions", resolutions), ("method names", methods)):
            if len(found) != 1:
                said = ", ".join(sorted(found)) or "none"
                verdict.problems.append(
                    Problem("", "error", f"has {len(found)} {what} ({said}); expected one")
                )
        settings = {
            "method": min(methods, default="METHOD"),
            "resolution": min(resolutions, default="H"),
        }
    everything = places(of, of.groups, **settings)
    present = [p for p in everything if p.map in files or p.sparse in files]
    splits = {p.split for p in present}
    lacking = [s for s in of.needed if s not in splits]
    if splits and lacking:
        text = f"has no results for {lacking[0]}, which the benchmark's tables show as well"
        verdict.problems.append(Problem("", "warning", text))
    splits = splits or set(of.needed)
    verdict.splits = tuple(s for s in of.groups if s in splits)
    return [p for p in everything if p.split in splits], present


def _names(of: Benchmark, wanted: list[Place], files: Mapping[str, int], verdict: Verdict) -> None:
    """Files that are missing, and files that nobody asked for."""
    add = verdict.problems.append
    known = {name for p in wanted for name in (p.map, p.sparse, p.time) if name}
    lower = {name.lower(): name for name in files}
    for place in wanted:
        needed = [] if place.sparse in files and place.sparse else [place.map]
        for name in [*needed, place.time]:
            if name and name not in files:
                other = lower.get(name.lower())
                hint = f"; there is {other}" if other else ""
                add(Problem(name, "error", f"is missing{hint}"))
    for name in files:
        if name in known:
            continue
        if of.name == "kitti-2015" and name.startswith(("disp_1/", "flow/")):
            add(Problem(name, "warning", "belongs to the scene flow benchmark, not to stereo"))
        elif re.search(r"_11\.png$", name):
            add(Problem(name, "error", "is no frame of the benchmark: results are for frame _10"))
        else:
            why = "is a leftover of the system" if _is_junk(name) else "is not asked for"
            add(Problem(name, "error", f"{why}; leave it out"))


def _look(
    of: Benchmark,
    place: Place,
    archive: _Archive,
    image_size: SizeOf | None,
    verdict: Verdict,
) -> list[float]:
    """Look into the files of one sample; gives the share known of each of its maps."""
    shares = []
    size = image_size(of, place) if image_size is not None else None
    for name in (place.map, place.sparse):
        if not name or name not in archive.files:
            continue

        def add(grade: Literal["error", "warning"], message: str, name: str = name) -> None:
            verdict.problems.append(Problem(name, grade, message))

        try:
            file = archive.fetch(name)
            if of.encoding == "kitti-png":
                shares.append(_kitti_map(read_levels(file, None, "disparity"), size, add))
            else:
                dense = of.name == "middlebury-v3" and name == place.map
                shares.append(_pfm_map(read_pfm(file), size, dense, add))
        except InputError as error:
            error.file = None
            add("error", str(error))
    if place.time in archive.files and place.time:
        _time(of, place.time, archive, verdict)
    return shares


Add = Callable[[Literal["error", "warning"], str], None]


def _kitti_map(stored: Array, size: Size | None, add: Add) -> float:
    if stored.dtype != np.uint16:
        add("error", "has 8 bits; expected 16 (disparity x 256, 0 = unknown)")
    _size(stored, size, add)
    height, width = stored.shape
    (least_w, most_w), (least_h, most_h) = _KITTI_SIZES
    if size is None and not (least_w <= width <= most_w and least_h <= height <= most_h):
        add("error", f"is {width}x{height}, no size of KITTI's images (about 1242x375)")
    values = stored[stored > 0].astype(np.float32) / 256
    _plausible(values, width, add, "stored without the factor 256?")
    return float(values.size / stored.size)


def _pfm_map(values: Array, size: Size | None, dense: bool, add: Add) -> float:
    if values.ndim != 2:
        add("error", "has three channels (PF); expected one (Pf)")
        return 0.0
    _size(values, size, add)
    nan = int(np.count_nonzero(np.isnan(values)))
    if nan:
        add("error", f"has {nan} NaN; unknown pixels are +inf")
    if np.isneginf(values).any():
        add("error", "has -inf; unknown pixels are +inf")
    finite = np.isfinite(values)
    if dense and not finite.all():
        add(
            "error",
            f"has {int(np.count_nonzero(~finite))} unknown pixels; a map named so is dense: "
            "fill them, or name it _s.pfm",
        )
    _plausible(values[finite], values.shape[1], add, "depth, or normalised?")
    return float(np.count_nonzero(finite) / values.size)


def _size(values: Array, size: Size | None, add: Add) -> None:
    height, width = values.shape
    if size is not None and size != (width, height):
        add("error", f"is {width}x{height}; the image is {size[0]}x{size[1]}")


def _plausible(values: Array, width: int, add: Add, hint: str) -> None:
    """values: known disparities in pixels."""
    if not values.size:
        add("error", "knows not one pixel")
        return
    low, middle, high = (float(v) for v in np.percentile(values, (0, 50, 100)))
    if high >= width:
        add("error", f"has disparities up to {high:.4g} px in an image of {width} px")
    if middle < 0:
        add("error", "is negative: disparities are x_left - x_right, above 0")
    elif low < 0:
        share = float(np.mean(values < 0))
        add("warning", f"has negative disparities ({share:.1%})")
    if 0 <= middle < 1:
        add("warning", f"has a median of {middle:.3g} px: {hint}")
    if low == high:
        add("warning", f"is constant ({low:.4g} px)")


def _time(of: Benchmark, name: str, archive: _Archive, verdict: Verdict) -> None:
    form = "runtime SECONDS" if of.name == "eth3d" else "a number of seconds, and nothing else"

    def add(message: str) -> None:
        verdict.problems.append(Problem(name, "error", f"{message}; expected {form}"))

    if archive.files[name] > 1000:
        add("is too long")
        return
    text = archive.fetch(name).read_text("ascii", "replace").strip()
    pattern = r"runtime\s+(\S+)" if of.name == "eth3d" else r"(\S+)"
    match = re.fullmatch(pattern, text)
    try:
        seconds = float(match[1]) if match else math.nan
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        add(f"says {text[:40]!r}")
