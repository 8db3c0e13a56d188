"""Archives to upload to KITTI, Middlebury and ETH3D, checked before they appear."""

import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Disparity
from fathom.core.options import option
from fathom.data.registry import open_dataset
from fathom.eval.submission import Benchmark, Place, benchmark, check_method, places
from fathom.eval.submission_check import Size, SizeOf, Verdict, validate
from fathom.io.atomic import atomic_file
from fathom.io.images import write_png
from fathom.io.maps import write_disparity_pfm
from fathom.workflows.evaluate import Notify, Progress
from fathom.workflows.evaluate_maps import Maps
from fathom.workflows.evaluate_read import MapFile, read_map

_STEPS, _MOST = 256.0, 65535
_DAY = (1980, 1, 1, 0, 0, 0)  # the same maps give the same archive, whenever it is made
_SHOWN = 5


@dataclass(frozen=True)
class SubmitOptions:
    """What an archive needs besides the maps."""

    name: str | None = option(
        None, "Middlebury: the method's name in file names; default: the maps' title"
    )
    resolution: Literal["Q", "H", "F"] | None = option(
        None, "Middlebury: quarter, half or full size; default: as the maps were made"
    )
    runtime: float | None = option(
        None, "seconds a pair, where the maps do not say (Middlebury, ETH3D)", metavar="S"
    )
    data: Path | None = option(
        None,
        "the benchmark's data, to compare sizes with; default: where the maps were made of",
        metavar="ROOT",
    )

    def __post_init__(self) -> None:
        if self.runtime is not None and not 0 < self.runtime < float("inf"):
            raise UsageError(
                "is no time", field="runtime", value=self.runtime, expected="seconds above 0"
            )


@dataclass(frozen=True)
class Submitted:
    """The archive that was written. verdict: what its check found (no error). seconds: mean time a
    pair, None if not known. clipped: known pixels that KITTI's format cannot hold, and took the
    nearest value it can. sparse: whether Middlebury's maps are named as sparse ones."""

    file: Path
    verdict: Verdict
    seconds: float | None
    clipped: int = 0
    sparse: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "file": str(self.file),
            "seconds_per_pair": self.seconds,
            "clipped_pixels": self.clipped,
            "sparse": self.sparse,
            "check": self.verdict.as_dict(),
        }


def submit(
    name: str,
    maps: Sequence[Maps],
    out: Path,
    options: SubmitOptions,
    notify: Notify = lambda _: None,
) -> Submitted:
    """Pack maps as the benchmark wants them; the archive appears only if its check finds no error.

    maps: one or more sources, for example the predictions of the training and of the test split.

    Raises `UsageError` for an unknown benchmark, maps of another data set or split, or a missing
    runtime or resolution; `InputError` for missing maps and for what the check refuses.
    """
    of = benchmark(name)
    wanted = _places(of, maps, options)
    found = _found(of, maps, wanted, options)
    sparse = of.name == "middlebury-v3" and _any_unknown(found)
    sizes = size_reader(_root(maps, options))
    clipped, progress = 0, Progress(len(found), notify)
    with atomic_file(out) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for place, one in found:
                clipped += _pack(of, place, one, sparse, archive)
                progress.step()
        file.flush()
        verdict = validate(Path(file.name), of.name, sizes)
        if verdict.errors:
            first = verdict.errors[0]
            more = len(verdict.errors) - 1
            raise InputError(
                f"would be refused: {first.file}: {first.message}"
                + (f" (and {more} more)" if more else ""),
                file=out,
                remedy=f"nothing was written; see {of.source}",
            )
    seconds = [one.seconds for _, one in found if one.seconds is not None]
    mean = sum(seconds) / len(seconds) if seconds else options.runtime
    return Submitted(out, verdict, mean, clipped, sparse)


def size_reader(root: Path | None) -> SizeOf | None:
    """A function that tells the size of a sample's image from the benchmark's data; None without
    them. It raises what the data set's reader raises."""
    if root is None:
        return None
    opened: dict[tuple[str, str], Any] = {}

    def size(of: Benchmark, place: Place) -> Size | None:
        key = (place.split, place.resolution)
        if key not in opened:
            own = {"resolution": place.resolution} if place.resolution else {}
            opened[key] = open_dataset(of.name, root, place.split, **own)
        image: Size = opened[key][place.sample].pair.size
        return image

    return size


def _made_of(maps: Maps) -> dict[str, Any]:
    made = maps.info.get("dataset")
    return made if isinstance(made, dict) else {}


def _places(of: Benchmark, maps: Sequence[Maps], options: SubmitOptions) -> list[Place]:
    """The places of the splits that the maps are for."""
    for one in maps:
        made = _made_of(one)
        if made.get("format", of.name) != of.name:
            raise UsageError(
                f"are predictions of another data set than {of.name}",
                file=one.title,
                field="dataset",
                value=made["format"],
                expected=of.name,
            )
        if made and made.get("split") not in of.groups:
            raise UsageError(
                f"are predictions of a split that {of.name} does not take",
                file=one.title,
                field="split",
                value=made.get("split"),
                expected=" or ".join(of.groups),
                remedy=f"fathom eval predict ROOT --split {of.needed[0]}",
            )
    method = options.name or (maps[0].title if of.name == "middlebury-v3" else "")
    resolution = _resolution(maps, options)
    if of.name == "middlebury-v3":
        check_method(method)
    every = places(of, of.groups, method=method, resolution=resolution)
    splits = {p.split for p in every if any(_find(one, p) is not None for one in maps)}
    splits = splits or set(of.needed)
    return [p for p in every if p.split in splits]


def _find(maps: Maps, place: Place) -> MapFile | None:
    """The map of a place; KITTI's training and test samples have the same names, so that
    predictions which say their split are looked at for no other."""
    if _made_of(maps).get("split", place.split) != place.split:
        return None
    return maps.find(place.sample)


def _found(
    of: Benchmark, maps: Sequence[Maps], wanted: list[Place], options: SubmitOptions
) -> list[tuple[Place, MapFile]]:
    found, missing = [], []
    for place in wanted:
        fits = [f for one in maps if (f := _find(one, place)) is not None]
        if not fits:
            missing.append(place.sample)
            continue
        found.append((place, fits[0]))
        if of.times and fits[0].seconds is None and options.runtime is None:
            raise UsageError(
                f"{of.name} wants a time for each pair, and the maps have none",
                field="--runtime",
                expected="seconds a pair",
            )
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (" ..." if len(missing) > _SHOWN else "")
        raise InputError(
            f"{len(missing)} of {len(wanted)} maps are missing",
            file=", ".join(one.title for one in maps),
            field="missing",
            value=shown,
            expected=f"a map of each sample of {of.name}",
        )
    if options.runtime is None:
        return found
    return [(p, f if f.seconds is not None else _timed(f, options.runtime)) for p, f in found]


def _timed(file: MapFile, seconds: float) -> MapFile:
    return MapFile(file.path, file.options, file.confidence, file.source, seconds)


def _resolution(maps: Sequence[Maps], options: SubmitOptions) -> str:
    """Middlebury's resolution: as asked for, else as the maps were made; "" if nobody says."""
    if options.resolution is not None:
        return options.resolution
    for one in maps:
        made = _made_of(one)
        if made.get("format") == "middlebury-v3":
            return str((made.get("options") or {}).get("resolution", "Q"))
    return ""


def _root(maps: Sequence[Maps], options: SubmitOptions) -> Path | None:
    if options.data is not None:
        return options.data
    for one in maps:
        root = _made_of(one).get("root")
        if root is not None and Path(root).is_dir():
            return Path(root)
    return None


def _disparity(file: MapFile) -> Disparity:
    estimate, _ = read_map(file, "disparity")
    if not isinstance(estimate, Disparity):
        raise UsageError(
            "benchmarks of stereo take disparities",
            file=file.path,
            field="kind",
            value=type(estimate).__name__,
            expected="disparity",
        )
    return estimate


def _any_unknown(found: list[tuple[Place, MapFile]]) -> bool:
    return any(not bool(_disparity(file).known.all()) for _, file in found)


def _pack(
    of: Benchmark, place: Place, file: MapFile, sparse: bool, archive: zipfile.ZipFile
) -> int:
    """Add one sample's files; gives how many known pixels had to be clipped."""
    values = _disparity(file).values
    clipped = 0
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "map"
        if of.encoding == "kitti-png":
            known = ~np.isnan(values)
            steps = np.rint(np.where(known, values, 1).astype(np.float64) * _STEPS)
            # 0 means unknown, so the kit stores a known disparity of nearly nothing as 1.
            held = np.clip(steps, 1, _MOST)
            clipped = int(np.count_nonzero(steps != held))
            write_png(target, np.where(known, held, 0).astype(np.uint16))
        else:
            write_disparity_pfm(target, values)
        _add(archive, place.sparse if sparse else place.map, target.read_bytes())
    if place.time:
        text = f"{file.seconds:.6g}"
        if of.name == "eth3d":
            text = f"runtime {text}"
        _add(archive, place.time, f"{text}\n".encode("ascii"))
    return clipped


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _DAY)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    archive.writestr(info, data)
