"""The folder of a run: settings, log, pictures, checkpoints, weights.

run.json            what the run is: the experiment, described; versions; threads
log.jsonl           a line each `log_every` steps, and one each validation
log.html            the same to look at: curves, scores, pictures
pictures/           of the newest validation
checkpoints/        step-N.safetensors, the newest `keep`
best.safetensors    weights with the best headline of the first validation
weights.safetensors the weights at the end
"""

import json
import math
import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fathom.core.errors import InputError, ResourceError, UsageError
from fathom.io.atomic import write_bytes, write_text
from fathom.io.files import read_bytes
from fathom.io.images import write_png
from fathom.io.paths import make_folders, os_errors
from fathom.io.result import to_json
from fathom.train.checkpoint import newest
from fathom.train.experiment import Experiment
from fathom.train.load import FREE, NOTED, described, differences
from fathom.train.validate import Judged
from fathom.viz.training import training_report

FORMAT = "fathom-run"
RUN, LOG, PAGE, PICTURES, CHECKPOINTS = (
    "run.json",
    "log.jsonl",
    "log.html",
    "pictures",
    "checkpoints",
)
BEST, WEIGHTS = "best.safetensors", "weights.safetensors"
_LONGEST = 1 << 28
_LOCK = ".lock"
_HALF = re.compile(r"\.[\w.-]+\.(json|jsonl|html|png|safetensors)\.fathom-\d+-[0-9a-f]{8}")

Notify = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Record:
    """A run's folder, open. entries: the log so far. info: what run.json says."""

    folder: Path
    info: dict[str, Any]
    entries: list[dict[str, Any]]
    notify: Notify

    def add(self, entry: Mapping[str, Any]) -> None:
        """One more line of the log; numbers that are not finite become null.

        Raises `ResourceError` if it cannot be written.
        """
        plain = {k: _plain(v) for k, v in entry.items()}
        self.entries.append(plain)
        path = self.folder / LOG
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(plain) + "\n")
        except OSError as error:
            raise ResourceError(
                f"cannot be written: {error.strerror or error}",
                file=path,
                remedy="free some space and go on with --resume",
            ) from error

    def rewind(self, step: int) -> None:
        """Forgets what was logged after `step`: it will be done again."""
        self.entries[:] = [e for e in self.entries if e.get("step", 0) <= step]
        write_text(self.folder / LOG, "".join(json.dumps(e) + "\n" for e in self.entries))

    def show(self, judged: Judged | None = None) -> None:
        """Writes the page anew, and a validation's pictures before it."""
        if judged is not None:
            for name, picture in judged.pictures.items():
                write_png(
                    self.folder / PICTURES / f"{_file(judged.name)}-{_file(name)}.png", picture
                )
        pictures = {}
        for path in sorted((self.folder / PICTURES).glob("*.png")):
            with suppress(InputError):
                pictures[path.stem] = read_bytes(path, "picture", _LONGEST)
        page = training_report(self.info, self.entries, pictures)
        write_bytes(self.folder / PAGE, page.encode())


def open_record(
    folder: Path, name: str, experiment: Experiment, resume: bool, notify: Notify
) -> Record:
    """The folder of a new run, or of one that goes on.

    Raises `UsageError` if the folder holds other files, a run that was not asked to go on, or one
    whose settings differ in what makes it another run.
    """
    about = described(experiment)
    path = folder / RUN
    if path.is_file():
        before = _info(path)
        if not resume:
            raise UsageError(
                "already holds a training run",
                file=folder,
                remedy="go on with --resume, or give another folder with -o",
            )
        changes = differences(before["experiment"], about)
        fixed = [n for n in changes if n not in FREE]
        if fixed:
            field, now, then = _apart(fixed[0], about, before["experiment"])
            raise UsageError(
                "was trained with another setting",
                file=path,
                field=field,
                value=_brief(now),
                expected=_brief(then),
                remedy="change it back, or start a new run with -o",
            )
        for setting in changes:
            if setting in NOTED:
                notify(f"{setting} was changed: what follows is not as in an undisturbed run")
        _clean(folder)
        return Record(folder, {**before, "experiment": about}, _entries(folder / LOG), notify)
    if folder.is_dir():
        _clean(folder)
    if folder.exists() and (not folder.is_dir() or any(p.name != _LOCK for p in folder.iterdir())):
        raise UsageError(
            "is not empty and holds no training run",
            file=folder,
            remedy="give a new folder with -o",
        )
    if resume:
        notify(f"{folder} holds no run to go on with: starting from the beginning")
    info = {
        "format": FORMAT,
        "version": 1,
        "name": name,
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
        "experiment": about,
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads()},
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }
    return Record(folder, info, [], notify)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The run's folder for this process alone; the system gives it back when the process ends.

    Raises `UsageError` if another process trains there, `ResourceError` if it cannot be written.
    """
    try:
        import fcntl
    except ImportError:  # Windows: nothing to lock with, and nothing breaks without
        yield
        return
    with os_errors(folder, folder):
        make_folders(folder)
        file = (folder / _LOCK).open("a")
    with file:
        try:
            # Of this process alone: workers that outlive it by seconds do not hold it.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                "another process is training in this folder",
                file=folder,
                remedy="wait for it, stop it, or give another folder with -o",
            ) from error
        yield


def start_record(record: Record) -> None:
    """Writes what the run is; raises `ResourceError` if the folder cannot be written."""
    write_text(record.folder / RUN, to_json(record.info) + "\n")


def newest_of(record: Record) -> Any:
    """The newest complete checkpoint of the run, or None."""
    return newest(record.folder / CHECKPOINTS, record.notify)


def _clean(folder: Path) -> None:
    """Removes what a killed process left half-written under hidden names."""
    for inside in (folder, folder / CHECKPOINTS, folder / PICTURES):
        for left in inside.glob(".*.fathom-*"):
            if _HALF.fullmatch(left.name):
                with suppress(OSError):
                    left.unlink()


def _info(path: Path) -> dict[str, Any]:
    try:
        info = json.loads(read_bytes(path, "run's description", _LONGEST))
    except ValueError:
        info = None
    if not isinstance(info, dict) or info.get("format") != FORMAT or "experiment" not in info:
        raise InputError(
            "describes no training run", file=path, expected=FORMAT, remedy="give a new folder"
        )
    return info


def _entries(path: Path) -> list[dict[str, Any]]:
    """The log's lines; a last one that a killed process left unfinished is dropped."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict):
                found.append(entry)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return value


def _apart(name: str, now: Any, then: Any) -> tuple[str, Any, Any]:
    """The setting of that name in both descriptions; of nested ones the innermost that differs."""
    now, then = now.get(name), then.get(name)
    while isinstance(now, dict) and isinstance(then, dict):
        inner = next((k for k in {**then, **now} if now.get(k) != then.get(k)), None)
        if inner is None:
            break
        name, now, then = f"{name}.{inner}", now.get(inner), then.get(inner)
    return name, now, then


def _brief(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _file(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name)[:80]
