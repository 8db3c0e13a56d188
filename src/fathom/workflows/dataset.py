"""Checking a data set: every sample read once, judged and forgotten."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fathom.core.errors import FathomError, UsageError
from fathom.core.options import option
from fathom.core.sample import MonoSample, StereoSample
from fathom.data.dataset import Dataset
from fathom.data.judge import Judge, Problem, judge
from fathom.data.registry import open_dataset

_KEPT = 1000
_EVERY = 5.0  # seconds between two lines of progress


@dataclass(frozen=True)
class CheckOptions:
    """What of a data set is checked."""

    format: str | None = option(
        None, "which data set it is (`fathom dataset list`); default: by its folders"
    )
    split: str | None = option(None, "which part; default: the data set's first")
    limit: int | None = option(None, "look at N samples, evenly spread over all", metavar="N")

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(
                "is no number of samples", field="limit", value=self.limit, expected="1 or more"
            )


@dataclass
class CheckReport:
    """What was found. samples: how many were looked at; with_truth: how many had some; counts:
    code -> number of samples; problems: the first 1000, and those of the data set as a whole with
    an empty sample name; left_out: problems beyond these."""

    samples: int = 0
    with_truth: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    left_out: int = 0

    def add(self, problem: Problem) -> None:
        """Count a problem, and keep it while there is room."""
        self.counts[problem.code] += 1
        if len(self.problems) < _KEPT:
            self.problems.append(problem)
        else:
            self.left_out += 1

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "samples": self.samples,
            "with_truth": self.with_truth,
            "counts": dict(self.counts.most_common()),
            "problems": [problem.as_dict() for problem in self.problems],
            "left_out": self.left_out,
        }


def check_dataset(
    root: Path,
    options: CheckOptions,
    own: dict[str, Any] | None = None,
    notify: Callable[[str], None] = lambda _: None,
    found: Callable[[Problem], None] = lambda _: None,
) -> CheckReport:
    """Look at the samples of a data set, or of a list of one's own.

    own: options of that data set. notify: gets a line of progress now and then. found: gets each
    problem at once. Memory does not grow with the number of samples, but for their names.

    Raises `InputError` or `UsageError` for what is no such data set; what is wrong with single
    samples is in the report.
    """
    dataset = open_dataset(options.format, root, options.split, **(own or {}))
    total = len(dataset)
    chosen: Iterable[int] = range(total)
    if options.limit is not None and options.limit < total:
        chosen = (i * total // options.limit for i in range(options.limit))
        total = options.limit
    notify(f"{dataset.format}, {dataset.split}: {total} of {len(dataset)} samples")
    loaders = ((dataset.names[i], _loader(dataset, i)) for i in chosen)
    return check_samples(loaders, total, notify, found)


def _loader(dataset: Dataset[Any], index: int) -> Callable[[], StereoSample | MonoSample]:
    return lambda: dataset.load(index)


def check_samples(
    samples: Iterable[tuple[str, Callable[[], StereoSample | MonoSample]]],
    total: int | None = None,
    notify: Callable[[str], None] = lambda _: None,
    found: Callable[[Problem], None] = lambda _: None,
) -> CheckReport:
    """Judge samples one after the other: pairs of a name and what reads the sample.

    total: how many there are, for the progress. The rest as in `check_dataset`.
    """
    report, whole = CheckReport(), Judge()
    seen: set[str] = set()
    said = time.monotonic()

    def take(problem: Problem) -> None:
        report.add(problem)
        found(problem)

    for name, load in samples:
        if name in seen:
            take(Problem(name, "duplicate-name", "the name stands twice", "rename one of them"))
        seen.add(name)
        report.samples += 1
        try:
            sample = load()
        except UsageError:
            raise  # an extra that is missing, or an option: true of every sample
        except FathomError as error:
            take(_unreadable(name, error))
            continue
        report.with_truth += sample.truth is not None
        verdict = judge(sample)
        whole.add(verdict)
        for problem in verdict.problems:
            take(problem)
        if time.monotonic() - said > _EVERY:
            said = time.monotonic()
            notify(f"{report.samples} of {total or '?'}: {sum(report.counts.values())} problems")
    for problem in whole.problems():
        take(problem)
    return report


def _unreadable(name: str, error: FathomError) -> Problem:
    code = "unreadable"
    if error.problem == "does not exist":
        code = "missing-file"
    elif "size" in error.problem or error.field == "image size":
        code = "size-differs"
    return Problem(name, code, str(error), error.remedy or "put the right file there")
