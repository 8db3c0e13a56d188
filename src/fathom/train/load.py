"""Experiment files: read, changed by `--set`, and written down so that two can be compared."""

import functools
import importlib.util
import sys
import types
import typing
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from fathom.core.errors import FathomError, InputError, UsageError, unknown_name
from fathom.io.files import PathLike, open_input
from fathom.train.experiment import Experiment

NAME = "EXPERIMENT"
NOTED = ("steps", "warmup", "threads")
"""Settings that may differ when a run is resumed; what follows is as in no undisturbed run."""
FREE = (
    *NOTED,
    *("workers", "log_every", "save_every", "validate_every", "keep", "validation"),
    *("patience", "start"),
)
"""Settings that may differ when a run is resumed; the others would make it another run."""


def load_experiment(path: PathLike) -> Experiment:
    """Runs an experiment file and gives its `EXPERIMENT`.

    The file's folder can be imported from, as if Python had been called with it.

    Raises `InputError` if the file is missing, no Python, fails while it runs, or has no
    `EXPERIMENT`; what fathom itself raises inside it (impossible settings) names the file.
    """
    file = Path(path)
    with open_input(file, "experiment file (Python)"):
        pass
    spec = importlib.util.spec_from_file_location(f"fathom_experiment_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise InputError("is no Python file", file=file, expected="experiments/NAME.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except FathomError as error:
        error.file = error.file or str(file)
        raise
    except Exception as error:
        raise InputError(
            f"fails while it runs: {type(error).__name__}: {error}",
            file=file,
            field="line",
            value=_line(error, file),
            remedy="mend the file; --debug shows the traceback",
        ) from error
    finally:
        sys.path.remove(folder)
    found = getattr(module, NAME, None)
    if not isinstance(found, Experiment):
        raise InputError(
            f"has no {NAME}",
            file=file,
            field=NAME,
            value=None if found is None else type(found).__name__,
            expected=f"{NAME} = Experiment(net=..., data=..., loss=...)",
        )
    return found


def _line(error: Exception, file: Path) -> int | None:
    if isinstance(error, SyntaxError):
        return error.lineno
    trace, line = error.__traceback__, None
    file = file.resolve()
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def changed(experiment: Experiment, words: Sequence[str]) -> Experiment:
    """The experiment with `name=value` words applied, each read as its field's type.

    Raises `UsageError` for a word without `=`, a name that is no plain setting, a value of another
    type, and whatever `Experiment` refuses.
    """
    hints = typing.get_type_hints(Experiment)
    plain = {f.name: hints[f.name] for f in fields(Experiment) if "help" in f.metadata}
    values = {}
    for word in words:
        name, sign, text = word.partition("=")
        name = name.strip().replace("-", "_")
        if not sign:
            raise UsageError(
                "is no setting", field="--set", value=word, expected="name=value (steps=500)"
            )
        if name not in plain:
            raise unknown_name("setting", name, list(plain))
        values[name] = _parsed(name, text.strip(), plain[name])
    return replace(experiment, **values)


def _parsed(name: str, text: str, hint: Any) -> Any:
    parts = [hint]
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        parts = list(typing.get_args(hint))
    if type(None) in parts and text.lower() == "none":
        return None
    kind = next(part for part in parts if part is not type(None))
    if typing.get_origin(kind) is typing.Literal:
        return text  # Experiment says which there are
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError) as error:
        words = {int: "a whole number", float: "a number", bool: "true or false"}
        raise UsageError(
            "cannot be read", field=name, value=text, expected=words.get(kind, "a path")
        ) from error


def described(value: Any) -> Any:  # noqa: PLR0911
    """`value` as plain JSON values that say what it is: settings, functions and nested ones.

    The same experiment is described alike in every process: no addresses, no order of hashing; and
    in every folder: fields that are not compared (`field(compare=False)`) only say where something
    lies.
    """
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float | Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        inside = {f.name: described(getattr(value, f.name)) for f in fields(value) if f.compare}
        return {"is": _name(type(value)), **inside}
    if isinstance(value, functools.partial):
        words = {k: described(v) for k, v in sorted(value.keywords.items())}
        return {"is": _name(value.func), "arguments": described(list(value.args)), **words}
    if isinstance(value, tuple | list):
        return [described(v) for v in value]
    if isinstance(value, dict):
        return {str(k): described(v) for k, v in value.items()}
    return _name(value) if callable(value) else f"a {_name(type(value))}"


def _name(thing: Any) -> str:
    name = getattr(thing, "__qualname__", None)
    return _name(type(thing)) if name is None else f"{thing.__module__}.{name}"


def _defaults() -> dict[str, Any]:
    return {f.name: described(f.default) for f in fields(Experiment) if f.default is not MISSING}


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Names of the settings in which two descriptions differ, the fixed ones first.

    A setting that `before` lacks is younger than the run, and had its default.
    """
    before = {**_defaults(), **before}
    found = [k for k in {**before, **now} if before.get(k) != now.get(k)]
    return sorted(found, key=lambda name: (name in FREE, name))
