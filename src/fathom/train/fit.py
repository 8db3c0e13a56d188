"""Training without truth: the pair check looks at the pairs first, and wrong ones are left out.

With a truth a wrong pair has a large loss and shows; without one the net learns from it unseen.
"""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from fathom.combine.fit_pairs import Fit, fit_pairs
from fathom.core.errors import InputError
from fathom.data.dataset import Dataset
from fathom.io.result import write_json
from fathom.train.batches import Part
from fathom.train.experiment import Experiment
from fathom.train.record import Notify
from fathom.train.self_supervised import Unlabelled
from fathom.train.taught import Taught, UnlabelledPairs
from fathom.train.world import World

FIT = "pairs.json"
"""In the folder of a run: which pairs it learns from, and why not from the others."""
_NAMED = 10
_EVERY = 10.0  # seconds between two lines of progress


def only_fit(
    data: Any, experiment: Experiment, world: World, folder: Path | None, notify: Notify
) -> Any:
    """`data` without what is no pair, as the first process found; `data` itself where there is a
    truth to learn from, where it is made and not read, or without `Experiment.check_pairs`.

    folder: of the run, which keeps what was found, so that a run that goes on has the same pairs.

    Raises `InputError` if none is left.
    """
    pairs = data.samples if isinstance(data, Taught) else data
    blind = isinstance(pairs, UnlabelledPairs) or (
        isinstance(experiment.task, Unlabelled) and isinstance(pairs, Dataset)
    )
    if not (blind and experiment.check_pairs):
        return data
    found: Fit = world.same(_found(pairs, folder, notify) if world.rank == 0 else None)
    if not found.kept:
        raise InputError(
            "leaves no pair to learn from", field="data", value=found.line(anchors=False),
            expected="rectified pairs",
            remedy=found.first_unreadable
            or "look at them with: fathom check LEFT RIGHT, or --set check_pairs=false",
        )  # fmt: skip
    if not found.left_out:
        return data
    part = Part(pairs, found.kept)
    return replace(data, samples=part) if isinstance(data, Taught) else part


def _found(pairs: Any, folder: Path | None, notify: Notify) -> Fit:
    """What the check says of the pairs, or said when the run began."""
    names = [str(name) for name in pairs.names]
    file = None if folder is None else folder / FIT
    before = None if file is None else _read(file, names)
    if before is not None:
        return before
    done, said = 0, time.monotonic()

    def advance(name: str) -> None:  # noqa: ARG001
        nonlocal done, said
        if time.monotonic() - said > _EVERY:
            notify(f"pair check: {done} of {len(names)}")
            said = time.monotonic()
        done += 1

    found = fit_pairs(names, pairs.__getitem__, advance=advance)
    notify(found.line(anchors=False))
    for name, why in found.left_out[:_NAMED]:
        notify(f"left out {name}: {why}")
    if len(found.left_out) > _NAMED:
        where = "" if file is None else f"; all are in {file}"
        notify(f"left out {len(found.left_out) - _NAMED} more{where}")
    if file is not None:
        kept = set(found.kept)
        reasons = iter(why for _, why in found.left_out)
        rows = [[n, None if i in kept else next(reasons)] for i, n in enumerate(names)]
        write_json(file, {"pairs": rows})
    return found


def _read(file: Path, names: list[str]) -> Fit | None:
    """What was found of pairs of these names; None where nothing was, or of others."""
    try:
        rows = [(str(n), why) for n, why in json.loads(file.read_text(encoding="utf-8"))["pairs"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if [name for name, _ in rows] != names:
        return None
    kept = tuple(i for i, (_, why) in enumerate(rows) if why is None)
    return Fit(kept, tuple((name, str(why)) for name, why in rows if why is not None))
