"""The methods of a comparison: what they are called, how they are built, what a run costs."""

import inspect
import time
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fathom.catalog import Task, create, entry, parameters, settings
from fathom.core.errors import FathomError, UsageError, unknown_name
from fathom.core.maps import Disparity
from fathom.core.pair import StereoPair
from fathom.geometry.resize import crop_pair

Matcher = Callable[[StereoPair], Disparity]
In = TypeVar("In")
Out = TypeVar("Out")
_WARM_ROWS = 48


@dataclass(frozen=True)
class Method:
    """One column of a comparison.

    label: as it was asked for, unique. name: in the catalog. parameters: of its own.
    """

    label: str
    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Run:
    """What one call gave and cost. memory_mb: how far the process's resident memory rose above
    what it was before, in 10^6 bytes; None where the system does not tell."""

    disparity: Disparity
    seconds: float
    memory_mb: float | None


_EXAMPLES: dict[Task, str] = {"stereo": "sgm,census", "mono": "depth-anything-v2-small"}
_ANY = {"weights": str, "device": str}
"""Parameters that `create` takes for every method that has them."""


def methods_of(texts: Sequence[str], task: Task = "stereo") -> tuple[Method, ...]:
    """Methods from `NAME` or `NAME:parameter=value:parameter=value`, all of one task.

    `weights` (a file or folder) and `device` count as parameters of the methods that have them.

    Raises `UsageError` for an unknown method or parameter, a value that is none, a method of
    another task, or no method.
    """
    if not texts:
        example = f"for example {_EXAMPLES.get(task, '')}"
        raise UsageError("names no method", field="methods", expected=example)
    for text in texts:
        entry(text.split(":")[0], task)  # an unknown one gets the close names of its own task
    found = [_method(text) for text in texts]
    for method in found:
        if entry(method.name).task != task:
            other = entry(method.name).task
            raise UsageError(
                f"is a method of {other}, not of {task}", field="methods", value=method.name,
                remedy="compare --mono takes those of mono, --stereo and --methods those of stereo",
            )  # fmt: skip
    labels = [method.label for method in found]
    for label in labels:
        if labels.count(label) > 1:
            raise UsageError("stands twice", field="methods", value=label, remedy="name it once")
    return tuple(found)


def _method(text: str) -> Method:
    name, *parts = text.split(":")
    known = [*parameters(name), *_shared(name)]
    own: dict[str, Any] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        key = key.strip().replace("-", "_")
        if key not in known:
            raise unknown_name(f"parameter of {entry(name).name}:", key, known)
        if not equals:
            raise UsageError("has no value", field="methods", value=part, expected=f"{key}=...")
        own[key] = _value(name, key, value.strip())
    label = entry(name).name if name == "default" and not parts else text
    return Method(label, entry(name).name, own)


def _shared(name: str) -> list[str]:
    """The parameters of `_ANY` that the method has."""
    preset = dict(entry(name).preset)
    accepted = inspect.signature(entry(name).builder()).parameters
    return [key for key in _ANY if key in accepted and key not in preset]


def _value(name: str, key: str, text: str) -> Any:
    """`text` as the type of the method's parameter."""
    if key in _ANY:
        return text
    hint = typing.get_type_hints(entry(name).builder())[key]
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is typing.Literal:
        hint = type(typing.get_args(hint)[0])
    if hint is bool:
        choices = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() not in choices:
            raise UsageError("is no switch", field=key, value=text, expected="true or false")
        return choices[text.lower()]
    try:
        return hint(text)
    except (TypeError, ValueError) as error:
        raise UsageError(
            "is no value of this parameter", field=key, value=text, expected=hint.__name__
        ) from error


def build(method: Method, **common: Any) -> Matcher:
    """The matcher behind a method. common: as in `fathom.create`; raises as it does."""
    matcher: Matcher = create(method.name, **common, **method.parameters)
    return matcher


def described(matcher: Matcher) -> dict[str, Any]:
    """Every parameter of a built matcher, for the record."""
    return settings(matcher)


def warm(matcher: Matcher, pair: StereoPair) -> None:
    """Runs the matcher once on a strip of the pair, so that loading its code is not timed."""
    width, height = pair.size
    rows = min(height, _WARM_ROWS)
    with suppress(FathomError):
        matcher(crop_pair(pair, 0, (height - rows) // 2, width, rows))


def timed(matcher: Matcher, pair: StereoPair) -> Run:
    """One call, its seconds on the clock and the memory it needed. Raises what the matcher does."""
    return Run(*clocked(matcher, pair))


def clocked(call: Callable[[In], Out], inputs: In) -> tuple[Out, float, float | None]:
    """What the call answers, its seconds on the clock, and the memory it needed (`Run`)."""
    _forget_peak()
    before = _status("VmRSS")
    start = time.perf_counter()
    answer = call(inputs)
    seconds = time.perf_counter() - start
    peak = _status("VmHWM")
    memory = None if peak is None or before is None else max(0.0, peak - before) / 1e6
    return answer, seconds, memory


_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _forget_peak() -> None:
    """Linux keeps the most memory a process ever had; a 5 written here makes it begin anew."""
    with suppress(OSError):
        _CLEAR.write_text("5")


def _status(key: str) -> float | None:
    """A line of the process's status in bytes; None where there is no such file."""
    with suppress(OSError, ValueError, IndexError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024.0
    return None
