"""Every estimator by name: the only list, and `create`, the only door.

Targets are strings, so that listing what exists imports nothing that is heavy.
"""

import inspect
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from fathom.catalog.diffusion import DIFFUSION
from fathom.catalog.fusion import FUSION
from fathom.catalog.mono import MONO
from fathom.catalog.monodepth2 import MONODEPTH2
from fathom.catalog.own import REFINE, STEREO
from fathom.catalog.published import NETWORKS
from fathom.catalog.record import Entry, Parameter, State, Task
from fathom.core.errors import FathomError, UsageError, unknown_name
from fathom.core.estimator import StereoMatcher

__all__ = [
    "DEFAULT",
    "ENTRIES",
    "Entry",
    "Parameter",
    "State",
    "Task",
    "create",
    "default_name",
    "default_note",
    "default_of",
    "entries",
    "entry",
    "parameters",
    "settings",
]

_COMMON = ("max_disparity", "min_disparity", "fill", "confidence", "threads", "device", "weights")


ENTRIES: tuple[Entry, ...] = (
    *STEREO,
    *NETWORKS,
    *FUSION,
    *MONO,
    *MONODEPTH2,
    *DIFFUSION,
    *REFINE,
)
DEFAULT = "fathom-s"
"""What `default` stands for, where it is ready."""
_FALLBACK = "sgm"


def entries(
    task: Task | None = None, *, ready: bool = False, own: bool = False
) -> tuple[Entry, ...]:
    """All entries in the order of the list, or those of one task. ready: only what runs here. own:
    only what comes with fathom, not nets whose weights the user has converted."""
    listed = (e for e in ENTRIES if task is None or e.task == task)
    listed = (e for e in listed if not (own and e.converted))
    return tuple(e for e in listed if not ready or e.state == "ready")


def default_name() -> str:
    """The method behind `default`: `DEFAULT`, or one that runs everywhere where that is not ready.

    It looks for files and installed packages only; nothing is imported.
    """
    chosen = next(e for e in ENTRIES if e.name == DEFAULT)
    return DEFAULT if chosen.state == "ready" else _FALLBACK


def default_note() -> str | None:
    """One line on why `default` is not what it should be, and what to do; None where it is."""
    if default_name() == DEFAULT:
        return None
    state = next(e.state for e in ENTRIES if e.name == DEFAULT)
    reason, remedy = {
        "install": ("neither openvino nor onnxruntime is installed", "run: pip install openvino"),
    }.get(state, ("its weights are not in this installation", "install fathom again"))
    return f"{_FALLBACK} instead of {DEFAULT} as the default method: {reason}; {remedy}"


def entry(name: str, task: Task | None = None) -> Entry:
    """The entry of that name (`default` is one, too).

    Raises `UsageError` with close matches for an unknown name: methods of `task`, where one is
    given. One of another task is found all the same.
    """
    known = {e.name: e for e in ENTRIES}
    found = known.get(default_name() if name == "default" else name)
    if found is None:
        wanted = [e.name for e in ENTRIES if task in (None, e.task)]
        raise unknown_name("method", name, [*wanted, "default"] if task != "mono" else wanted)
    return found


def parameters(name: str) -> dict[str, Field[Any]]:
    """The method's own parameters, beyond those that every method takes: name -> dataclass field.

    Raises `UsageError` for an unknown method.
    """
    chosen = entry(name)
    builder = chosen.builder()
    if not is_dataclass(builder):
        return {}
    hidden = (*_COMMON, *dict(chosen.preset))
    return {f.name: f for f in fields(builder) if f.name not in hidden}


def settings(estimator: Any) -> dict[str, Any]:
    """Every parameter of a built estimator with its value, wrapped estimators included.

    `weights_used` says where the weights lie that it runs with, for estimators that tell: of the
    hub's repositories the commit.
    """
    if not is_dataclass(estimator) or isinstance(estimator, type):
        return {}
    found: dict[str, Any] = {}
    for f in fields(estimator):
        value = getattr(estimator, f.name)
        inner = {"type": type(value).__name__, **settings(value)} if callable(value) else value
        found[f.name] = inner
    if hasattr(estimator, "weights_used"):
        with suppress(FathomError):  # without weights there is a failure to tell of elsewhere
            found["weights_used"] = estimator.weights_used()
    return found


def create(
    name: str = "default",
    *,
    max_disparity: int | None = None,
    min_disparity: int | None = None,
    fill: bool = True,
    confidence: bool = True,
    threads: int | None = None,
    device: str = "cpu",
    weights: str | None = None,
    **own: Parameter,
) -> StereoMatcher:
    """An estimator by name.

    max_disparity: the search ends before this disparity in pixels; None = from the rig, or from
    the width of each pair. min_disparity: where it starts, default 0. fill: False leaves unknown
    pixels NaN; otherwise they are filled and marked in `Disparity.source`. confidence: False
    leaves it out and saves its cost. threads: None = all cores. device: where it runs.
    weights: a file of weights, for methods that have some. own: parameters of that one method, as
    `fathom depth --method NAME --help` lists them.

    >>> import fathom
    >>> matcher = fathom.create("opencv-sgbm", max_disparity=64, mode="hh")

    Raises `UsageError` for an unknown method, parameter or value; nothing is passed on unchecked.
    Warns where `default` is not the method it should be, for lack of a package or its weights.
    """
    chosen = entry(name)
    note = default_note() if name == "default" else None
    if note is not None:
        warnings.warn(note, stacklevel=2)
    builder = chosen.builder()
    preset = dict(chosen.preset)
    accepted = {n: p for n, p in inspect.signature(builder).parameters.items() if n not in preset}
    if threads is not None and threads < 1:
        raise UsageError(
            "is no number of threads", field="threads", value=threads, expected="1 or more"
        )
    for key in own:
        if key not in accepted or key in _COMMON:
            raise unknown_name(
                f"parameter of {chosen.name}:", key, [p for p in accepted if p not in _COMMON]
            )
    common: Mapping[str, Any] = {
        "max_disparity": max_disparity,
        "min_disparity": min_disparity,
        "fill": fill,
        "confidence": confidence,
        "threads": threads,
    }
    given = {k: v for k, v in common.items() if k in accepted and v is not None}
    given.update(_device_and_weights(chosen, accepted, device, weights))
    matcher: StereoMatcher = builder(**given, **own, **preset)
    if confidence and not chosen.confidence:
        from fathom.combine.flip import FlipConfidence

        return FlipConfidence(matcher)
    return matcher


def _device_and_weights(
    chosen: Entry, accepted: Mapping[str, inspect.Parameter], device: str, weights: str | None
) -> dict[str, Any]:
    """The two options that only some methods have; the others refuse what they cannot do."""
    given: dict[str, Any] = {}
    if "device" in accepted:
        given["device"] = device
    elif device != "cpu":
        raise UsageError(
            f"{chosen.name} runs on the CPU only", field="device", value=device, expected="cpu"
        )
    if "weights" in accepted:
        given["weights"] = weights
    elif weights is not None:
        raise UsageError(
            f"{chosen.name} has no weights", field="weights", value=weights, remedy="leave it out"
        )
    return given


def default_of(field: Field[Any]) -> Any:
    """The default of a dataclass field; None where it has none."""
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else None
