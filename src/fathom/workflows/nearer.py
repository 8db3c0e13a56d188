"""What is nearer than a plane: the question of collision avoidance, for any method."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fathom.catalog import create, entry, settings
from fathom.combine.bi3d import plane_in
from fathom.combine.check import check_pair
from fathom.combine.planes import SURROUNDING, AnswersPlanes, NearerThan, plane_of
from fathom.core.arrays import Array
from fathom.core.errors import InputError, UsageError
from fathom.core.options import option
from fathom.core.pair import StereoPair
from fathom.core.planes import PlaneProbability
from fathom.io.pairing import PairFiles
from fathom.workflows.depth import SILENT, Listener, describe_inputs, versions, warm_up
from fathom.workflows.pairs import LoadedPair, PairOptions, load_pair

FILES = {
    "mask.png": "255 nearer, 0 not nearer, 128 unknown (8 bits)",
    "probability.npy": "P(nearer) per pixel, float32, NaN = unknown",
    "nearer.png": "a picture",
}
_NEAR, _FAR, _UNKNOWN = 255, 0, 128


@dataclass(frozen=True)
class NearerOptions:
    """Which plane, and how it is judged; what is not explained here is as in `fathom.create`.

    parameters: of the method alone, by name.

    Raises `UsageError` unless the plane is said once, or for a probability outside 0..1.
    """

    plane: str | None = option(
        None, "the plane: 5m, 80cm (with a calibration), or 24px of disparity", metavar="PLANE"
    )
    disparity: float | None = option(
        None, "the plane as a disparity in pixels, instead of --plane", metavar="PX"
    )
    method: str = option(
        "default",
        "how to find out: any stereo method; bi3d-binary answers at once",
        flags=("-m", "--model"),
        metavar="NAME",
    )
    at_least: float = option(0.5, "count a pixel as nearer from this probability on", metavar="P")
    max_disparity: int | None = option(
        None, "methods that search: below this disparity (default: theirs, the plane included)",
        flags=("--max-disp",), metavar="N",
    )  # fmt: skip
    min_disparity: int | None = option(
        None, "methods that search: from this disparity (default 0)", flags=("--min-disp",),
        metavar="N",
    )  # fmt: skip
    device: str = option("cpu", "where the method runs", metavar="NAME")
    weights: str | None = option(None, "weights of a learned method", metavar="FILE")
    threads: int | None = option(None, "processor threads (default: all)", metavar="N")
    check: bool = option(True, "check the pair first")
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.plane is None) == (self.disparity is None):
            raise UsageError(
                "no plane is given" if self.plane is None else "the plane is said twice",
                field="plane",
                remedy="give --plane 5m (with a calibration), or --disparity 24",
            )
        if not 0 < self.at_least <= 1:
            raise UsageError(
                "is no probability", field="at-least", value=self.at_least,
                expected="above 0, at most 1",
            )  # fmt: skip
        self.asked()

    def asked(self) -> tuple[float | None, float | None]:
        """The plane's disparity in pixels or its distance in metres, the other None."""
        if self.plane is None:
            return self.disparity, None
        number, metres = plane_in(self.plane)
        return (None, number) if metres else (number, None)

    def question(self, pair: StereoPair) -> NearerThan:
        """The estimator for a pair: the method searches far enough to tell the plane's sides.

        Raises `UsageError` for a plane or a method that cannot be.
        """
        disparity, distance = self.asked()
        at = plane_of(pair, disparity, distance)
        common: dict[str, Any] = {
            "threads": self.threads, "device": self.device, "weights": self.weights,
            "min_disparity": self.min_disparity, **self.parameters,
        }  # fmt: skip
        matcher = create(self.method, max_disparity=self.max_disparity, **common)
        if self.max_disparity is None and not isinstance(matcher, AnswersPlanes):
            end = int(np.ceil(at)) + SURROUNDING
            if end > _searched(pair):
                matcher = create(self.method, max_disparity=end, **common)
        return NearerThan(matcher=matcher, disparity=at)


@dataclass(frozen=True, eq=False)
class Nearer:
    """What was found in one pair. info: what result.json says."""

    loaded: LoadedPair
    found: PlaneProbability
    info: dict[str, Any]


def nearer(
    files: PairFiles,
    pair_options: PairOptions,
    options: NearerOptions,
    listener: Listener = SILENT,
) -> Nearer:
    """What in a pair is nearer than the plane.

    listener is told how the pair was read, and warned of findings of the pair check.

    Raises `UsageError`, `InputError` or `ResourceError`.
    """
    entry(options.method)
    loaded = load_pair(files.left, files.right, pair_options)
    for note in loaded.notes:
        listener.tell(note)
    pair = loaded.pair
    question = options.question(pair)
    findings = check_pair(pair.left, pair.right, pair.rig) if options.check else []
    for finding in findings:
        listener.warn(f"{finding.message}; {finding.remedy}")
    warm_up(options.method, listener)
    start = time.perf_counter()
    try:
        found = question(pair)
    except InputError as error:
        error.file = error.file or str(files.left)
        raise
    seconds = time.perf_counter() - start
    if loaded.unseen is not None:
        unknown = np.where(loaded.unseen, np.float32(np.nan), found.probability)
        found = PlaneProbability(unknown, found.disparity, found.distance)
    name = entry(options.method).name
    info = {
        "format": "fathom-result",
        "version": 1,
        "kind": "nearer",
        "title": f"{files.name}: nearer than {plane_words(found)} ({name})",
        "inputs": describe_inputs(files, loaded),
        "size": {"width": pair.size[0], "height": pair.size[1], "unit": "pixels"},
        "rig": None if pair.rig is None else pair.rig.as_dict(),
        "method": {"name": name, **settings(question.matcher)},
        "plane": {"disparity_px": found.disparity, "distance_m": found.distance},
        "result": described(found, options.at_least),
        "findings": [finding.as_dict() for finding in findings],
        "notes": list(loaded.notes),
        "seconds": {"match": seconds},
        "versions": versions(),
    }
    return Nearer(loaded, found, info)


def write_nearer(out: Path, nearer: Nearer) -> dict[str, Any]:
    """Writes `FILES` and result.json to the folder `out`, all at once; gives what result.json says.

    Raises `ResourceError` if the folder cannot be written, `UsageError` if it holds an input.
    """
    from fathom.io.elsewhere import require_elsewhere
    from fathom.io.folder import RESULT, result_folder
    from fathom.io.images import write_png
    from fathom.io.maps import write_depth_npy
    from fathom.io.result import write_json
    from fathom.viz.planes import plane_picture

    inputs = nearer.info["inputs"]
    require_elsewhere(out, (inputs["left"], inputs["right"], inputs["calibration"]))
    found, least = nearer.found, nearer.info["result"]["at_least"]
    info = {**nearer.info, "files": dict(FILES)}
    with result_folder(out) as staging:
        write_png(staging / "mask.png", mask_of(found, least))
        write_depth_npy(staging / "probability.npy", found.probability)
        picture = plane_picture(nearer.loaded.pair, found, least, info["title"])
        write_png(staging / "nearer.png", picture)
        write_json(staging / RESULT, info)
    return {**info, "folder": str(out)}


def described(found: PlaneProbability, least: float) -> dict[str, Any]:
    """Shares of all pixels: nearer, not nearer, unknown; and where the nearer ones lie."""
    near = found.nearer(least)
    known = float(np.count_nonzero(found.known)) / near.size
    share = found.share_nearer(least)
    rows, columns = (np.flatnonzero(near.any(axis=axis)) for axis in (1, 0))
    box = None
    if rows.size:
        box = [int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])]
    return {
        "at_least": least,
        "share_nearer": share,
        "share_not_nearer": known - share,
        "share_unknown": 1 - known,
        "box_of_nearer_px": box,
    }


def mask_of(found: PlaneProbability, least: float) -> Array:
    """uint8 (h, w): 255 nearer, 0 not nearer, 128 unknown."""
    mask: Array = np.where(found.nearer(least), _NEAR, _FAR).astype(np.uint8)
    mask[~found.known] = _UNKNOWN
    return mask


def plane_words(found: PlaneProbability) -> str:
    """The plane for people: "5.00 m (disparity 25.4 px)"."""
    at = f"disparity {found.disparity:g} px" if found.distance is None else ""
    if found.distance is None:
        return at
    return f"{found.distance:.2f} m (disparity {found.disparity:.1f} px)"


def _searched(pair: StereoPair) -> int:
    """Where a search ends that is left to the method, at least."""
    from fathom.classical.ranges import resolve_range

    return resolve_range(pair, 0, None)[1]
