"""Choosing a method's parameters on a few pairs, by ground truth or by consistency alone.

A coordinate search: one parameter after the other tries every value of its grid while the others
stay, round after round until nothing gets better. A value replaces the one before only if the
score falls by more than `_WORTH`, so a tie keeps what there was, and no result is ever worse than
the start by the score it was chosen by.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fathom.catalog import create, default_of, entry, parameters
from fathom.core.errors import FathomError, InputError, UsageError, unknown_name
from fathom.core.maps import Disparity
from fathom.core.options import option
from fathom.core.pair import StereoPair
from fathom.eval.agreement import consistency_cost
from fathom.eval.metrics import bad
from fathom.io.pairing import FoundPairs
from fathom.workflows.depth import Listener, warm_up
from fathom.workflows.pairs import PairOptions, load_pair
from fathom.workflows.truths import truth_files
from fathom.workflows.tune_grids import UNTUNED, grids

Notify = Callable[[str], None]
Stop = Literal["nothing gets better", "the time is up", "interrupted"]

_WORTH = 1e-5


@dataclass(frozen=True)
class TuneOptions:
    """What is tuned and for how long; the range and threads as in `fathom.create`.

    only: the parameters to search, None = all. start: where the search starts, by parameter.
    """

    method: str = option(
        "sgm",  # a learned default has hardly anything to tune
        "which method; `fathom models` lists them",
        flags=("-m", "--model", "--algorithm"),
        metavar="NAME",
    )
    budget: float = option(60.0, "stop after so many seconds", metavar="SECONDS")
    threshold: float = option(
        2.0, "with --truth: errors above this many pixels are bad", metavar="PX"
    )
    only: tuple[str, ...] | None = option(
        None, "search these parameters only, for example p1,p2", metavar="LIST"
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
    threads: int | None = option(None, "processor threads (default: all)", metavar="N")
    start: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in (("budget", self.budget), ("threshold", self.threshold)):
            if not value > 0:
                raise UsageError(
                    "is out of range", field=name, value=value, expected="a number above 0"
                )


@dataclass(frozen=True)
class TuneResult:
    """parameters: the best found, by name; start: those the search began with. before, after:
    scores of both, 0..1, smaller is better. measure: what the score is. tried: settings judged.
    stopped: why the search ended."""

    method: str
    measure: str
    start: Mapping[str, Any]
    parameters: Mapping[str, Any]
    before: float
    after: float
    tried: int
    stopped: Stop

    def flags(self) -> list[str]:
        """The words that make `fathom depth` use these parameters; defaults are left out."""
        words = ["--method", self.method]
        known = parameters(self.method)
        for name, value in self.parameters.items():
            if value == default_of(known[name]) or value is None:
                continue
            flag = name.replace("_", "-")
            if isinstance(value, bool):
                words.append(f"--{flag}" if value else f"--no-{flag}")
            else:
                words += [f"--{flag}", f"{value:g}" if isinstance(value, float) else str(value)]
        return words


def tune(
    pairs: Sequence[StereoPair],
    truths: Sequence[Disparity] | None = None,
    options: TuneOptions | None = None,
    notify: Notify = lambda line: None,  # noqa: ARG005
) -> TuneResult:
    """The parameters of a method that are best on `pairs`.

    truths: the true disparity of each pair: the score is the mean share of bad pixels of the
    filled map (`metrics.bad`). Without them it is the mean `consistency_cost` of the unfilled one.
    notify is called with a line for each improvement. An interruption (Ctrl-C), or the end of the
    time, ends the search and keeps the best so far; the start is always judged.

    Raises `UsageError` for an unknown method or parameter, or no pair; `InputError` if a truth
    does not fit its pair; and whatever the method raises for the start values.
    """
    options = TuneOptions() if options is None else options
    _check(pairs, truths)
    search = _Search(pairs, truths, options, notify)
    grid = grids(options.method, options.only)
    stopped: Stop = "nothing gets better"
    before = search.judge_start()
    try:
        search.run(grid)
    except _TimeUp:
        stopped = "the time is up"
    except KeyboardInterrupt:
        stopped = "interrupted"
    return TuneResult(
        entry(options.method).name,
        search.measure,
        search.start,
        search.best,
        before,
        search.lowest,
        search.tried,
        stopped,
    )


class _TimeUp(Exception):
    """Ends the search from inside."""


class _Search:
    """The state of one search: what was judged already, and the best so far."""

    def __init__(
        self,
        pairs: Sequence[StereoPair],
        truths: Sequence[Disparity] | None,
        options: TuneOptions,
        notify: Notify,
    ) -> None:
        self.pairs, self.truths, self.options, self.notify = pairs, truths, options, notify
        known = parameters(options.method)
        for name in options.start:
            if name not in known:
                raise unknown_name(f"parameter of {entry(options.method).name}:", name, list(known))
        defaults = {name: default_of(f) for name, f in known.items() if name not in UNTUNED}
        self.start: dict[str, Any] = {**defaults, **options.start}
        self.best, self.lowest = self.start, float("inf")
        self.tried = 0
        self.end = time.monotonic() + options.budget
        bad_name = f"bad-{options.threshold:g}"
        self.measure = "inconsistency" if truths is None else bad_name
        self._seen = {tuple(self.start.items())}

    def judge_start(self) -> float:
        """The score of the start; what goes wrong with it is raised."""
        self.lowest = self._score(self.start)
        self.notify(f"start: {self.measure} {self.lowest:.4f}")
        return self.lowest

    def run(self, grid: Mapping[str, tuple[Any, ...]]) -> None:
        """Better and better settings, until a whole round over the parameters finds none."""
        better = True
        while better:
            better = False
            for name, values in grid.items():
                for value in values:
                    better |= self._try(name, value)

    def _try(self, name: str, value: Any) -> bool:
        """Whether the best settings with this one value changed are better; then they are kept."""
        trial = {**self.best, name: value}
        key = tuple(trial.items())
        if key in self._seen:
            return False
        if time.monotonic() >= self.end:
            raise _TimeUp
        try:
            score = self._score(trial)
        except FathomError:
            # p2 below p1, a window larger than the images: no candidates
            score = float("inf")
        # marked only now: an interrupted trial was not judged
        self._seen.add(key)
        if score >= self.lowest - _WORTH:
            return False
        self.best, self.lowest = trial, score
        self.notify(f"{name} = {value}: {self.measure} {score:.4f}")
        return True

    def _score(self, settings: Mapping[str, Any]) -> float:
        """The mean over the pairs, or inf as soon as it cannot fall below the lowest any more."""
        matcher = create(
            self.options.method,
            max_disparity=self.options.max_disparity,
            min_disparity=self.options.min_disparity,
            threads=self.options.threads,
            fill=self.truths is not None,
            confidence=False,
            **settings,
        )
        self.tried += 1
        total = 0.0
        for i, pair in enumerate(self.pairs):
            left = matcher(pair)
            if self.truths is not None:
                total += bad(left, self.truths[i], self.options.threshold)
            else:
                mirrored = matcher(pair.mirrored()).values
                right = Disparity(np.ascontiguousarray(mirrored[:, ::-1]))
                total += consistency_cost(left, right, pair)
            if total / len(self.pairs) >= self.lowest:
                return float("inf")
        return total / len(self.pairs)


def tune_files(
    found: FoundPairs,
    truth: Sequence[str | Path] | None,
    pair_options: PairOptions,
    options: TuneOptions,
    out: Path,
    notify: Notify = lambda line: None,  # noqa: ARG005
) -> TuneResult:
    """As `tune`, from files; writes the parameters to the JSON file `out`.

    truth: disparity files, folders or globs of them; one for each pair, by name or in their order.

    Raises as `tune` and `read_pair`, `InputError` for a truth that cannot be read,
    `ResourceError` if `out` cannot be written.
    """
    from fathom.io.result import write_json

    for path in found.lonely:
        notify(f"{path}: has no partner and is left out")
    pairs = []
    for files in found.pairs:
        loaded = load_pair(files.left, files.right, pair_options)
        for note in loaded.notes:
            notify(note)
        pairs.append(loaded.pair)
    truths = None if truth is None else _read_truths(found, truth, pairs)
    grids(options.method, options.only)
    warm_up(options.method, Listener(notify, notify))
    result = tune(pairs, truths, options, notify)
    names = [str(files.left) for files in found.pairs]
    write_json(out, {"format": "fathom-parameters", "version": 1, **asdict(result), "pairs": names})
    return result


def _read_truths(
    found: FoundPairs, truth: Sequence[str | Path], pairs: Sequence[StereoPair]
) -> list[Disparity]:
    from fathom.io.maps import read_disparity

    files = truth_files(found, truth)
    truths = []
    for file, pair in zip(files, pairs, strict=True):
        values = Disparity(read_disparity(file))
        if values.shape != pair.shape:
            raise InputError(
                "differs in size from its pair",
                file=file,
                field="truth",
                value=values.shape,
                expected=str(pair.shape),
            )
        truths.append(values)
    return truths


def _check(pairs: Sequence[StereoPair], truths: Sequence[Disparity] | None) -> None:
    if not pairs:
        raise UsageError("there is no pair to tune on", field="pairs")
    if truths is None:
        return
    if len(truths) != len(pairs):
        raise UsageError(
            f"there are {len(pairs)} pairs and {len(truths)} truths",
            field="truth",
            expected="one for each pair",
        )
    for pair, truth in zip(pairs, truths, strict=True):
        if truth.shape != pair.shape:
            raise InputError(
                "differs in size from its pair",
                field="truth",
                value=truth.shape,
                expected=str(pair.shape),
            )
        if not truth.known.any():
            raise InputError("knows no pixel", field="truth")
