"""The main job: a pair, or many, to disparity, depth, cloud, pictures and a report."""

import contextlib
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import fathom
from fathom.catalog import create, entry, settings
from fathom.combine.check import check_pair
from fathom.combine.pyramid import Pyramid
from fathom.combine.tiles import Tiled, tile_words
from fathom.core.errors import FathomError, InputError, ResourceError
from fathom.core.estimator import StereoMatcher
from fathom.core.maps import Disparity
from fathom.core.options import option
from fathom.core.pair import StereoPair
from fathom.io.pairing import FoundPairs, PairFiles
from fathom.scene.cloud import CloudOptions, point_cloud
from fathom.workflows.mend import load_mended
from fathom.workflows.outputs import Estimate, chosen_outputs, file_names, write_outputs
from fathom.workflows.pairs import LoadedPair, PairOptions, load_pair


@dataclass(frozen=True)
class Listener:
    """Who hears what a job has to say, a line at a time. tell: how it goes. warn: what may be wrong
    with the pair or its result."""

    tell: Callable[[str], None] = lambda line: None  # noqa: ARG005
    warn: Callable[[str], None] = lambda line: None  # noqa: ARG005

    def named(self, name: str, heard: set[str]) -> "Listener":
        """The same listener, with the name of the pair that a line is about.

        What was told before, for another pair, is not told again: `heard` remembers it. Warnings
        are all passed on.
        """

        def tell(line: str) -> None:
            if line not in heard:
                heard.add(line)
                self.tell(f"{name}: {line}")

        return Listener(tell, lambda line: self.warn(f"{name}: {line}"))


SILENT = Listener()


@dataclass(frozen=True)
class DepthOptions:
    """How pairs become depth; what is not explained here is as in `fathom.create`.

    parameters: of the method alone, by name.
    """

    method: str = option(
        "default",
        "how to match; `fathom models` lists the methods",
        flags=("-m", "--model", "--algorithm"),
        metavar="NAME",
    )
    max_disparity: int | None = option(
        None,
        "search below this disparity in pixels (default: from the rig, or from the width)",
        flags=("--max-disp", "--num-disparities"),
        metavar="N",
    )
    min_disparity: int | None = option(
        None, "search from this disparity in pixels (default 0)", flags=("--min-disp",), metavar="N"
    )
    fill: bool = option(
        True, "fill unknown pixels (filled ones are marked, and stay out of the cloud)"
    )
    confidence: bool = option(True, "estimate a confidence for each pixel")
    min_confidence: float = option(
        0.0, "make pixels less certain than this (0..1) unknown", metavar="P"
    )
    z_far: float | None = option(
        None, "leave points farther than this, in metres, out of the cloud", metavar="M"
    )
    device: str = option("cpu", "where the method runs", metavar="NAME")
    weights: str | None = option(
        None, "weights of a learned method", flags=("--restore_ckpt",), metavar="FILE"
    )
    threads: int | None = option(None, "processor threads (default: all)", metavar="N")
    tile: str | None = option(
        None,
        "match in tiles, so that a large pair takes little memory: auto (750 MB), a size like "
        "1024x768, or a memory like 2GB",
        metavar="HOW",
    )
    pyramid: bool = option(
        False,
        "match a reduced pair first, and at full size only what that shows; --tile says with "
        "which memory",
    )
    save: tuple[str, ...] | None = option(
        None,
        "write only these, for example depth.npy,cloud.ply or npy,ply (default all)",
        metavar="LIST",
    )
    check: bool = option(True, "check the pair before it is matched")
    fix: bool = option(
        False,
        "mend the pair before it is matched: exchanged views, cameras above each other, rows that "
        "disagree (as `fathom check --fix` does)",
    )
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def cloud(self) -> CloudOptions:
        """The part of the options that concerns the cloud. Raises `UsageError` if out of range."""
        return CloudOptions(z_far=self.z_far, min_confidence=self.min_confidence)

    def matcher(self) -> StereoMatcher:
        """The matcher these options describe. Raises `UsageError` for a bad name or value."""
        return self._cut(self._whole())

    def _cut(self, whole: StereoMatcher) -> StereoMatcher:
        """The matcher, in tiles or from coarse to fine where that was asked for."""
        cut = {} if self.tile is None else tile_words(self.tile)
        if self.pyramid:
            return Pyramid(whole, **cut)
        return whole if self.tile is None else Tiled(whole, **cut)

    def _whole(self) -> StereoMatcher:
        return create(
            self.method,
            max_disparity=self.max_disparity,
            min_disparity=self.min_disparity,
            fill=self.fill,
            confidence=self.confidence or self.min_confidence > 0,
            threads=self.threads,
            device=self.device,
            weights=self.weights,
            **self.parameters,
        )


@dataclass(frozen=True)
class Failure:
    """A pair of a folder that could not be done."""

    name: str
    error: FathomError


@dataclass(frozen=True)
class BatchResult:
    """What became of a folder of pairs: result.json of each that went well, and the others."""

    done: tuple[dict[str, Any], ...]
    failed: tuple[Failure, ...]

    @property
    def exit_code(self) -> int:
        """0 if every pair was done, 1 otherwise."""
        return 1 if self.failed else 0


def depth_of_pair(
    files: PairFiles,
    out: Path,
    pair_options: PairOptions,
    options: DepthOptions,
    listener: Listener = SILENT,
) -> dict[str, Any]:
    """One pair from files to a result folder; returns what its result.json says.

    listener is told how the pair was read, and warned of findings of the pair check and of what
    limits the result. The folder appears whole or not at all.

    Raises `UsageError`, `InputError` or `ResourceError`, before anything is written.
    """
    from fathom.io.elsewhere import require_elsewhere
    from fathom.io.folder import check_result_folder, result_folder

    outputs = chosen_outputs(options.save)
    options.cloud()
    require_elsewhere(out, (files.left, files.right, pair_options.calib))
    matcher = options.matcher()
    check_result_folder(out, file_names(outputs))
    if hasattr(matcher, "warm"):  # a net is loaded while the pair is read
        matcher.warm()
    start = time.perf_counter()
    fixed = load_mended(files.left, files.right, pair_options) if options.fix else None
    loaded = load_pair(files.left, files.right, pair_options) if fixed is None else fixed.loaded
    for note in (*loaded.notes, *(() if fixed is None else fixed.done)):
        listener.tell(note)
    seconds = {"read": time.perf_counter() - start}
    estimate = estimate_pair(loaded, matcher, options, seconds, listener, files)
    if fixed is not None:
        estimate.info["fixed"] = fixed.as_dict()
    write_start = time.perf_counter()
    with result_folder(out) as staging:
        info = write_outputs(staging, estimate, outputs)
    seconds["write"] = time.perf_counter() - write_start
    return {**info, "folder": str(out)}


def depth_of_many(
    found: FoundPairs,
    out: Path,
    pair_options: PairOptions,
    options: DepthOptions,
    listener: Listener = SILENT,
    advance: Callable[[str], None] = lambda name: None,  # noqa: ARG005
) -> BatchResult:
    """Every pair into its own folder below `out`; a bad pair does not stop the others.

    advance is called with a pair's name before its turn. Failures are returned, not raised;
    a full disk or missing device (`ResourceError`) that hits every later pair as well ends it.
    """
    done: list[dict[str, Any]] = []
    heard: set[str] = set()
    failed = [
        Failure(path.name, InputError("has no partner in the other folder", file=path))
        for path in found.lonely
    ]
    for files in found.pairs:
        advance(files.name)
        try:
            done.append(
                depth_of_pair(
                    files,
                    out / files.name,
                    pair_options,
                    options,
                    listener.named(files.name, heard),
                )
            )
        except FathomError as error:
            failed.append(Failure(files.name, error))
        except MemoryError:
            failed.append(Failure(files.name, ResourceError("not enough memory", file=files.left)))
    return BatchResult(tuple(done), tuple(failed))


def estimate_pair(
    loaded: LoadedPair,
    matcher: Callable[[StereoPair], Disparity],
    options: DepthOptions,
    seconds: dict[str, float],
    listener: Listener,
    files: PairFiles,
) -> Estimate:
    """Check, match, convert: everything between reading and writing."""
    pair = loaded.pair
    if hasattr(matcher, "warm"):  # a net is compiled while the pair is checked
        matcher.warm(pair)
    start = time.perf_counter()
    findings = check_pair(pair.left, pair.right, pair.rig) if options.check else []
    for finding in findings:
        listener.warn(f"{finding.message}; {finding.remedy}")
    seconds["check"] = time.perf_counter() - start
    warm_up(options.method, listener)
    start = time.perf_counter()
    try:
        disparity, notes, fusion = _matched(matcher, pair, listener)
    except InputError as error:
        error.file = error.file or str(files.left)
        raise
    seconds["match"] = time.perf_counter() - start
    if loaded.unseen is not None:
        disparity = disparity.with_unknown(loaded.unseen)
    start = time.perf_counter()
    warnings = [*notes, *limits(disparity)]
    if options.min_confidence > 0 and disparity.confidence is not None:
        disparity = disparity.with_unknown(disparity.confidence < options.min_confidence)
    depth = None if pair.rig is None else disparity.to_depth(pair.rig)
    cloud = None if pair.rig is None else point_cloud(pair, disparity, options.cloud())
    if depth is None:
        warnings.append(
            "no calibration, so there are no metres: give --calib FILE, or --focal and --baseline"
        )
    elif not depth.known.any():
        warnings.append("not one pixel has a depth")
    for warning in warnings:
        listener.warn(warning)
    seconds["convert"] = time.perf_counter() - start
    info = {
        "format": "fathom-result",
        "version": 1,
        "title": f"{files.name}: {entry(options.method).name}",
        "inputs": describe_inputs(files, loaded),
        "size": {"width": pair.size[0], "height": pair.size[1], "unit": "pixels"},
        "rig": None if pair.rig is None else pair.rig.as_dict(),
        "method": {"name": entry(options.method).name, **settings(matcher)},
        "result": describe_result(disparity, depth.extent if depth else None),
        "findings": [finding.as_dict() for finding in findings],
        "notes": [*loaded.notes, *warnings],
        "seconds": seconds,
        "versions": versions(),
    }
    if fusion is not None:
        info["fusion"] = fusion.as_dict()
    return Estimate(pair, disparity, depth, cloud, info, loaded.changed)


def _matched(
    matcher: Callable[[StereoPair], Disparity], pair: StereoPair, listener: Listener
) -> tuple[Disparity, tuple[str, ...], Any]:
    """The disparity, what there is to note of it, and, of a fusion with a model of one view that
    saw the whole pair, what came of it (`combine.fuse.Fusion`, whose import others need not wait
    for), else None; of that the listener is told."""
    if isinstance(matcher, Tiled | Pyramid):
        pieces = matcher.run(pair, listener.tell)
        return pieces.disparity, pieces.notes, None
    tells: Any = getattr(matcher, "told", None)
    if tells is None:
        return matcher(pair), (), None
    disparity, fusion = tells(pair)
    listener.tell(str(fusion))
    return disparity, (), fusion


def warm_up(method: str, listener: Listener) -> None:
    """Compiles the method's kernels, saying so, if this machine has not done it yet."""
    entry(method).prepare(
        lambda name, i, n: listener.tell(
            f"compiling {name} ({i + 1} of {n}), once on this machine; it takes some seconds"
        )
    )


def limits(disparity: Disparity) -> list[str]:
    """Sentences about a search range that was too small for the pair."""
    from fathom.classical.ranges import LIMIT_SHARE, hits_limit

    share = hits_limit(disparity)
    if disparity.range is None or share <= LIMIT_SHARE:
        return []
    return [
        f"{share:.1%} of the pixels lie at the largest disparity searched "
        f"({disparity.range[1]:.0f} px), so near objects may be wrong: "
        f"try --max-disparity {int(2 * (disparity.range[1] + 1))}"
    ]


def describe_inputs(files: PairFiles, loaded: LoadedPair) -> dict[str, Any]:
    """Where the pair came from and what was done to it."""
    return {
        "left": str(files.left),
        "right": None if files.right is None else str(files.right),
        "calibration": None if loaded.calibration_file is None else str(loaded.calibration_file),
        "rectified_here": loaded.rectified_here,
        "turned": loaded.turned,
    }


def describe_result(disparity: Disparity, extent: tuple[float, float] | None) -> dict[str, Any]:
    """Shares and ranges, with their units in the names."""
    known = disparity.values[disparity.known]
    low, high = (float(known.min()), float(known.max())) if known.size else (None, None)
    return {
        "share_known": disparity.share_known,
        "share_measured": float(disparity.measured.mean()),
        "disparity_px": {"min": low, "max": high, "searched": disparity.range},
        "depth_m": None if extent is None else {"nearest": extent[0], "farthest": extent[1]},
    }


def versions() -> dict[str, str]:
    """Versions of everything that decides the numbers."""
    found = {"fathom": fathom.__version__, "python": platform.python_version()}
    for package in ("numpy", "opencv-contrib-python-headless", "numba"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    for package in ("openvino", "onnxruntime"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
