"""The first of the two steps of judging: every pair of a data set to a file, with its manifest.

The second step, `workflows.evaluate_score`, reads files only, so that any program's maps can be
judged the same way.
"""

import hashlib
import os
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

import fathom
from fathom.catalog import create, entry, settings
from fathom.core.errors import (
    FathomError,
    InputError,
    MissingExtraError,
    ResourceError,
    UsageError,
)
from fathom.core.maps import Disparity
from fathom.core.options import option
from fathom.core.pair import StereoPair
from fathom.io.files import open_input
from fathom.io.maps import (
    write_confidence_png,
    write_depth_npy,
    write_disparity_pfm,
    write_source_png,
)
from fathom.workflows.depth import Listener, versions, warm_up
from fathom.workflows.evaluate_folder import FORMAT, VERSION, Journal, Row, journal, start, stems
from fathom.workflows.evaluate_pairs import Pairs

Notify = Callable[[str], None]
MapFormat = Literal["pfm", "npy"]
_EVERY = 5.0  # seconds between two lines of progress


@dataclass(frozen=True)
class PredictOptions:
    """How the pairs of a data set are matched and kept; the method's part is as in
    `fathom.create`. parameters: of the method alone, by name."""

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
    fill: bool = option(True, "fill unknown pixels (filled ones are marked)")
    confidence: bool = option(True, "estimate a confidence for each pixel")
    device: str = option("cpu", "where the method runs", metavar="NAME")
    weights: str | None = option(None, "weights of a learned method", metavar="FILE")
    threads: int | None = option(None, "processor threads (default: all)", metavar="N")
    map_format: MapFormat = option("pfm", "how disparities are kept")
    limit: int | None = option(None, "N samples, evenly spread over all", metavar="N")
    overwrite: bool = option(
        False, "remove the predictions that an earlier run left in the folder, and begin anew"
    )
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(
                "is no number of samples", field="limit", value=self.limit, expected="1 or more"
            )
        if self.map_format not in ("pfm", "npy"):
            raise UsageError(
                "is no format of maps",
                field="map_format",
                value=self.map_format,
                expected="pfm or npy",
            )

    def matcher(self) -> Callable[[StereoPair], Disparity]:
        """The matcher these options describe. Raises `UsageError` for a bad name or value."""
        return create(
            self.method,
            max_disparity=self.max_disparity,
            min_disparity=self.min_disparity,
            fill=self.fill,
            confidence=self.confidence,
            threads=self.threads,
            device=self.device,
            weights=self.weights,
            **self.parameters,
        )


@dataclass(frozen=True)
class Predicted:
    """What a run did. made: samples of this run; kept: done before; failed: name -> error;
    seconds: mean time of matching a pair in this run, None if none was made."""

    folder: Path
    total: int
    made: int
    kept: int
    failed: tuple[tuple[str, FathomError], ...]
    seconds: float | None

    @property
    def exit_code(self) -> int:
        """0 if every sample has a map, 1 otherwise."""
        return 1 if self.failed else 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "folder": str(self.folder),
            "samples": self.total,
            "made": self.made,
            "kept": self.kept,
            "failed": [{"name": name, "error": str(error)} for name, error in self.failed],
            "seconds_per_pair": self.seconds,
        }


def predict(
    pairs: Pairs,
    out: Path,
    options: PredictOptions,
    notify: Notify = lambda _: None,
    command: str = "",
) -> Predicted:
    """One disparity map a pair into the folder `out` (its layout: `workflows.evaluate_folder`).

    What an earlier run with the same settings has done is kept, also when that run was killed; its
    failures are tried again. A pair that fails is named in the result, and the others go on.

    Raises `UsageError` for a bad method or value, `InputError` if `out` has predictions of other
    settings, `ResourceError` if it holds something else or cannot be written (a full disk ends the
    run; what is done stays). Ctrl-C leaves what is done.
    """
    matcher = options.matcher()
    done = start(out, header(pairs, matcher, options, command), overwrite=options.overwrite)
    chosen = spread(len(pairs.names), options.limit)
    names = stems(pairs.names)
    todo = [i for i in chosen if pairs.names[i] not in done]
    kept = len(chosen) - len(todo)
    if kept:
        notify(f"{kept} of {len(chosen)} samples are done already in {out}")
    if todo:
        warm_up(options.method, Listener(notify))
    failed = list(pairs.failed)
    spent: list[float] = []
    progress = Progress(len(todo), notify)
    with journal(out) as book:
        for i in todo:
            try:
                made = _matched(pairs, i, matcher)
            except MissingExtraError:
                raise  # true of every sample
            except (InputError, UsageError, ResourceError) as error:
                failed.append((pairs.names[i], error))
                book.add(Row(pairs.names[i], error=str(error)))
                notify(f"failed: {pairs.names[i]}: {error}")
            else:
                _keep(made, pairs.names[i], names[i], out, options.map_format, book)
                spent.append(made.seconds)
            progress.step(len(failed))
    mean = sum(spent) / len(spent) if spent else None
    return Predicted(out, len(chosen), len(spent), kept, tuple(failed), mean)


def header(
    pairs: Pairs, matcher: Any, options: PredictOptions, command: str = ""
) -> dict[str, Any]:
    """What predictions.json says: everything that decides the numbers, and who made them."""
    chosen = entry(options.method)
    weights = None if options.weights is None else _digest_of_file(Path(options.weights))
    return {
        "format": FORMAT,
        "version": VERSION,
        "dataset": pairs.source,
        "method": {"name": chosen.name, **settings(matcher)},
        "device": options.device,
        "weights": None if weights is None else {"file": options.weights, "sha256": weights},
        "map_format": options.map_format,
        "unit": "pixels",
        "unknown": "inf" if options.map_format == "pfm" else "NaN",
        "versions": {**versions(), "code": _digest_of_code()},
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "threads": options.threads,
        },
        "command": command,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


@dataclass(frozen=True, eq=False)
class _Made:
    """One matched pair: its map, the seconds of matching, and what the row says besides."""

    disparity: Disparity
    seconds: float
    inputs: str
    peak_mb: float | None


def _matched(pairs: Pairs, index: int, matcher: Callable[[StereoPair], Disparity]) -> _Made:
    _reset_peak()
    try:
        pair = pairs.load(index)
        began = time.perf_counter()
        disparity = matcher(pair)
        seconds = time.perf_counter() - began
    except MemoryError as error:
        name = pairs.names[index]
        raise ResourceError("not enough memory", field="sample", value=name) from error
    return _Made(disparity, seconds, _digest_of_pair(pair), _peak_mb())


def _keep(made: _Made, name: str, stem: str, out: Path, kind: MapFormat, book: Journal) -> None:
    """Write the map's files and then its row; a full disk ends the run, and says how to go on."""
    disparity = made.disparity
    files = {"disparity": f"disparity/{stem}.{kind}"}
    try:
        if kind == "pfm":
            write_disparity_pfm(out / files["disparity"], disparity.values)
        else:
            write_depth_npy(out / files["disparity"], disparity.values)
        if disparity.confidence is not None:
            files["confidence"] = f"confidence/{stem}.png"
            write_confidence_png(out / files["confidence"], disparity.confidence)
        if disparity.source is not None:
            files["source"] = f"source/{stem}.png"
            write_source_png(out / files["source"], disparity.source)
        height, width = disparity.shape
        row = Row(
            name,
            **files,
            width=width,
            height=height,
            share_known=disparity.share_known,
            seconds=made.seconds,
            peak_mb=made.peak_mb,
            inputs=made.inputs,
        )
        book.add(row)
    except ResourceError as error:
        error.remedy = "what is done is kept: make room, and run the same command again"
        raise


class Progress:
    """Lines about how far a long job is, now and then, with the time that is left."""

    def __init__(
        self, total: int, notify: Notify, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total, self._notify, self._clock = total, notify, clock
        self._done = 0
        self._began = self._said = clock()

    def step(self, failed: int = 0) -> None:
        """One more is done; `failed` of all so far have failed."""
        self._done += 1
        now = self._clock()
        if now - self._said < _EVERY or self._done == self._total:
            return
        self._said = now
        each = (now - self._began) / self._done
        left = duration(each * (self._total - self._done))
        trouble = f", {failed} failed" if failed else ""
        self._notify(
            f"{self._done} of {self._total}{trouble}, {each:.2g} s each, about {left} left"
        )


def duration(seconds: float) -> str:
    """75 -> "1 min 15 s"."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def spread(total: int, limit: int | None) -> list[int]:
    """Indices of `limit` samples, evenly spread over `total`; all of them without a limit."""
    if limit is None or limit >= total:
        return list(range(total))
    return [i * total // limit for i in range(limit)]


def _digest_of_pair(pair: StereoPair) -> str:
    digest = hashlib.sha256()
    for view in (pair.left, pair.right):
        digest.update(repr((view.image.shape, view.image.dtype.str)).encode())
        digest.update(np.ascontiguousarray(view.image).data)
    return digest.hexdigest()


def _digest_of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with open_input(path, "file of weights") as (file, _):
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


_DECIDE = ("catalog", "classical", "combine", "core", "geometry", "io")


def _digest_of_code() -> str:
    """Tells two states of fathom of one version apart: maps of both must not lie in one folder."""
    home, digest = Path(fathom.__file__).parent, hashlib.sha256()
    with suppress(OSError):
        files = (f for name in _DECIDE for f in [home / name, *(home / name).rglob("*.py")])
        for file in sorted(f for f in files if f.is_file()):
            digest.update(file.relative_to(home).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _reset_peak() -> None:
    """Linux keeps the most memory a process ever had; 5 written here makes it begin anew."""
    with suppress(OSError):
        _CLEAR.write_text("5")


def _peak_mb() -> float | None:
    """Most memory since `_reset_peak`, in 10^6 bytes; None where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) * 1024 / 1e6, 1)
    return None
