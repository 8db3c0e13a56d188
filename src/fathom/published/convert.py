"""From the authors' tensors to ours: which net they are of, what does not fit, and the renaming.

A net's module tells all that is needed: `WEIGHTS`, the builders its records name, `convert(state)`
and `unconvert(state)`; in `IGNORED`, if it has it, the authors' names of tensors that some files
hold and `convert` leaves out. What tensors a net wants is seen by building it without memory
(torch's meta device).
"""

import inspect
import itertools
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fathom.core.arrays import Array
from fathom.core.errors import FathomError, InputError
from fathom.io.files import PathLike
from fathom.published.record import Setting, Weights

Shape = tuple[int, ...]
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "stereo.")
"""What DataParallel, torch.compile and training frameworks put before every name."""
_COUNTER = "num_batches_tracked"
_MOST_VARIANTS = 64
_SHOWN = 3


@dataclass(frozen=True, eq=False)
class Candidate:
    """A net that weights can be for: a function of a net's module, and its keyword arguments."""

    model: str
    module: ModuleType
    builder: str
    settings: Mapping[str, Setting]

    @cached_property
    def state(self) -> dict[str, Tensor]:
        """The net's tensors under our names, without memory."""
        return net_without_memory(self.module, self.builder, self.settings).state_dict()

    @cached_property
    def wanted(self) -> tuple[tuple[bool, dict[str, Shape]], ...]:
        """Names and shapes: the authors' (True), if there are such, then ours (False)."""
        ours = (False, _shapes(self.state))
        unconvert = getattr(self.module, "unconvert", None)
        if unconvert is None:
            return (ours,)
        try:
            return ((True, _shapes(unconvert(self.state))), ours)
        except FathomError:
            return (ours,)  # a form of the net that its authors did not publish

    @property
    def ignored(self) -> tuple[str, ...]:
        """The authors' names of tensors that a file may hold and the net has not."""
        return tuple(getattr(self.module, "IGNORED", ()))

    def __str__(self) -> str:
        told = ", ".join(f"{k}={v}" for k, v in self.settings.items())
        return f"{self.model} ({told})" if told else self.model


@dataclass(frozen=True, eq=False)
class Fit:
    """How tensors compare with those a candidate wants. official: by the authors' names, not ours.
    stripped: what was taken off every name. reshaped: name, shape, wanted shape. absent: counters
    of batches that old files do not have, and that are not needed. same: how many tensors agree.
    """

    candidate: Candidate
    official: bool
    stripped: str
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    reshaped: tuple[tuple[str, Shape, Shape], ...]
    absent: tuple[str, ...]
    same: int

    @property
    def wrong(self) -> int:
        """Number of tensors that differ."""
        return len(self.missing) + len(self.unknown) + len(self.reshaped)

    def __str__(self) -> str:
        parts = [
            f"{len(names)} {word} ({', '.join(names[:_SHOWN])}{', ...' * (len(names) > _SHOWN)})"
            for word, names in (
                ("missing", self.missing),
                ("unknown", self.unknown),
                ("of another shape", [f"{n} {_x(a)} for {_x(b)}" for n, a, b in self.reshaped]),
            )
            if names
        ]
        return ", ".join(parts)


@dataclass(frozen=True, eq=False)
class Converted:
    """Tensors under our names, as the net wants them. added: counters that were absent."""

    candidate: Candidate
    tensors: dict[str, Array]
    stripped: str
    added: int

    @property
    def parameters(self) -> int:
        """Numbers that were learned, running statistics included."""
        return sum(v.size for k, v in self.tensors.items() if not k.endswith(_COUNTER))


def net_without_memory(
    module: ModuleType, builder: str, settings: Mapping[str, Setting]
) -> nn.Module:
    """The net on torch's meta device: names, shapes and types, no values."""
    with torch.device("meta"):
        net: nn.Module = getattr(module, builder)(**settings)
    return net


def builders(module: ModuleType) -> dict[str, str]:
    """The catalog's names of a module's nets -> their builders: its public functions that say they
    give one of its own nn.Modules, by their own names with - for _."""
    found = {}
    for name, function in vars(module).items():
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        given = inspect.signature(function).return_annotation
        own = function.__module__ == module.__name__ and inspect.isclass(given)
        if own and issubclass(given, nn.Module) and given.__module__ == module.__name__:
            found[name.replace("_", "-")] = name
    return found


def candidates(
    module: ModuleType, records: Sequence[Weights], model: str | None = None
) -> list[Candidate]:
    """The nets of a module, or those of one model: every combination of the builders' choices
    (switches and literals), the default ones first, and what the records name."""
    pairs: dict[tuple[str, str], list[dict[str, Setting]]] = {}
    pairs |= {(name, builder): [{}] for name, builder in builders(module).items()}
    for record in records:
        key = (record.model, record.builder or record.model.replace("-", "_"))
        pairs.setdefault(key, [{}]).append(dict(record.settings))
    found: dict[tuple[str, str, str], Candidate] = {}
    for (name, builder), named in pairs.items():
        if model in (None, name):
            function = getattr(module, builder)
            for settings in [*_choices(function), *(_chosen(function, s) for s in named)]:
                key3 = (name, builder, repr(sorted(settings.items())))
                found.setdefault(key3, Candidate(name, module, builder, settings))
    return list(found.values())


def candidate_of(module: ModuleType, record: Weights) -> Candidate:
    """The net that one record's file is for."""
    builder = record.builder or record.model.replace("-", "_")
    settings = _chosen(getattr(module, builder), record.settings)
    return Candidate(record.model, module, builder, settings)


def _chosen(builder: Callable[..., Any], settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """Those settings that are not the builder's defaults."""
    known = inspect.signature(builder).parameters
    return {k: v for k, v in settings.items() if k not in known or known[k].default != v}


def _choices(builder: Callable[..., Any]) -> Iterator[dict[str, Setting]]:
    hints = typing.get_type_hints(builder)
    axes: list[list[tuple[str, Setting, bool]]] = []
    for name, parameter in inspect.signature(builder).parameters.items():
        hint = hints.get(name)
        literal = typing.get_origin(hint) is typing.Literal
        values: Sequence[Any] = typing.get_args(hint) if literal else ()
        values = (False, True) if hint is bool else values
        if values and parameter.default in values:
            rest = [v for v in values if v != parameter.default]
            axes.append([(name, v, v == parameter.default) for v in (parameter.default, *rest)])
    combinations = itertools.islice(itertools.product(*axes), _MOST_VARIANTS)
    return ({n: v for n, v, default in chosen if not default} for chosen in combinations)


def fits(tensors: Mapping[str, Tensor], among: Sequence[Candidate]) -> list[Fit]:
    """How the tensors compare with the candidates, the best first (of equals the first given);
    those after the first that fits are not looked at."""
    bare = list(_stripped(tensors))
    found = []
    for candidate in among:
        for official, wanted in candidate.wanted:
            found += [
                _fit(candidate, official, stripped, shapes, wanted) for stripped, shapes in bare
            ]
        if any(not fit.wrong for fit in found):
            break
    return sorted(found, key=_distance)


def _distance(fit: Fit) -> tuple[bool, int, int, int]:
    # of nets that have nothing in common with the file, the default one is named
    return fit.wrong > 0, -fit.same, fit.wrong if fit.same else 0, -len(fit.stripped)


def compared(shapes: Mapping[str, Shape], candidate: Candidate) -> Fit:
    """How tensors under our names compare with those of a net."""
    return _fit(candidate, False, "", shapes, dict(candidate.wanted)[False])


def convert_tensors(
    tensors: Mapping[str, Tensor],
    among: Sequence[Candidate],
    others: Callable[[], Sequence[Candidate]],
    file: PathLike,
) -> Converted:
    """The tensors under our names, for the first of `among` that they are of.

    others: all other nets, to say whose weights these are. file: for errors.

    Raises `InputError` naming the tensors that differ and, if known, the net they are of; or the
    tensor that holds values that are not finite.
    """
    found = fits(tensors, among)
    best = found[0]
    if best.wrong:
        raise _refused(tensors, best, others, file)
    length = len(best.stripped)
    state = {name[length:]: values for name, values in tensors.items()}
    _check_finite(state, file)
    wanted = best.candidate.state
    if best.official:
        official = dict(best.candidate.wanted)[True]
        for name in best.absent:
            state[name] = torch.zeros(official[name], dtype=torch.int64)
        state = _renamed(best.candidate, state, file)
    else:
        state.update({name: torch.zeros((), dtype=torch.int64) for name in best.absent})
    left = compared(_shapes(state), best.candidate)
    if left.wrong or left.absent:
        raise _other(file, f"cannot be renamed for {best.candidate}: {left}", None)
    arrays = {
        name: np.asarray(state[name].detach().to(own.dtype).cpu().numpy())
        for name, own in wanted.items()
    }
    return Converted(best.candidate, arrays, best.stripped, len(best.absent))


def _renamed(candidate: Candidate, state: dict[str, Tensor], file: PathLike) -> dict[str, Tensor]:
    try:
        ours: dict[str, Tensor] = candidate.module.convert(state)
    except FathomError as error:
        error.file = error.file or str(file)
        raise
    return ours


def _refused(
    tensors: Mapping[str, Tensor],
    best: Fit,
    others: Callable[[], Sequence[Candidate]],
    file: PathLike,
) -> InputError:
    whose = [fit.candidate for fit in fits(tensors, others()) if not fit.wrong]
    if whose:
        return _other(
            file,
            f"is of another net, {whose[0]}: for {best.candidate} there are {best}",
            f"run again with --model {whose[0].model}",
        )
    return _other(
        file,
        f"is of another net or variant: for {best.candidate}, the nearest, there are {best}",
        "give the file that `fathom weights list` names for this model",
    )


def _other(file: PathLike, problem: str, remedy: str | None) -> InputError:
    return InputError(problem, file=file, remedy=remedy)


def _shapes(state: Mapping[str, Tensor]) -> dict[str, Shape]:
    return {name: tuple(values.shape) for name, values in state.items()}


def _stripped(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, dict[str, Shape]]]:
    """What was taken off every name, and the shapes by what is left; nothing first."""
    shapes, gone = _shapes(tensors), ""
    while True:
        yield gone, shapes
        prefix = next((p for p in PREFIXES if all(name.startswith(p) for name in shapes)), None)
        if prefix is None or not shapes:
            return
        gone += prefix
        shapes = {name.removeprefix(prefix): shape for name, shape in shapes.items()}


def _fit(
    candidate: Candidate,
    official: bool,
    stripped: str,
    shapes: Mapping[str, Shape],
    wanted: Mapping[str, Shape],
) -> Fit:
    gone = [name for name in wanted if name not in shapes]
    absent = tuple(name for name in gone if name.endswith(_COUNTER))
    return Fit(
        candidate,
        official,
        stripped,
        tuple(name for name in gone if not name.endswith(_COUNTER)),
        tuple(name for name in shapes if name not in wanted and name not in candidate.ignored),
        tuple(
            (name, shape, wanted[name])
            for name, shape in shapes.items()
            if name in wanted and shape != wanted[name]
        ),
        absent,
        sum(wanted.get(name) == shape for name, shape in shapes.items()),
    )


def _check_finite(state: Mapping[str, Tensor], file: PathLike) -> None:
    for name, values in state.items():
        if values.is_floating_point() and not bool(torch.isfinite(values).all()):
            raise InputError(
                "holds values that are not finite", file=file, field=name,
                expected="trained weights", remedy="ask for another checkpoint of this training",
            )  # fmt: skip


def _x(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "a number"
