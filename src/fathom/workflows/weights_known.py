"""What the nets' modules know of published weights; they are found by looking, not by a list."""

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fathom.catalog import ENTRIES
from fathom.core.errors import FathomError, MissingExtraError, unknown_name
from fathom.published.record import Weights

if TYPE_CHECKING:
    from fathom.published.convert import Candidate

_PACKAGES = ("fathom.nets.stereo", "fathom.nets.mono")


def net_modules() -> Iterator[tuple[ModuleType, tuple[Weights, ...]]]:
    """The modules of nets with published weights, and their records.

    Raises `MissingExtraError` without torch.
    """
    need_torch()
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            continue
        paths = importlib.import_module(package).__path__
        for name in sorted(info.name for info in pkgutil.iter_modules(paths)):
            module = importlib.import_module(f"{package}.{name}")
            if hasattr(module, "WEIGHTS"):
                yield module, tuple(module.WEIGHTS)


def need_torch() -> None:
    """Raises `MissingExtraError` without torch."""
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError("torch", "torch")


def weights_of(model: str) -> str:
    """The net whose weights a model takes: itself, or another entry of the catalog."""
    return next((e.weights for e in ENTRIES if e.name == model and e.weights), model)


def checked_model(model: str | None) -> str | None:
    """The net whose weights a model takes, as `weights_of`.

    Raises `UsageError` with close matches for the name of a net that weights cannot be for.
    """
    from fathom.published.convert import builders

    known = {r.model for _, records in net_modules() for r in records}
    known |= {name for module, _ in net_modules() for name in builders(module)}
    if model is None or weights_of(model) in known:
        return model and weights_of(model)
    raise unknown_name("net with published weights", model, sorted(known))


def preferred(
    module: ModuleType,
    records: tuple[Weights, ...],
    record: Weights | None,
    own: Mapping[str, Any],
) -> list["Candidate"]:
    """What the record or the file itself says the net is, to be tried before all others."""
    from fathom.published.convert import Candidate, builders, candidate_of

    if record is not None and record in records:
        return [candidate_of(module, record)]
    models = {r.model: r.builder or r.model.replace("-", "_") for r in records}
    models = {**builders(module), **models}
    builder = models.get(str(own.get("model")))
    if builder is None:
        return []
    with suppress(TypeError, FathomError):
        candidate = Candidate(str(own["model"]), module, builder, dict(own.get("settings", {})))
        if candidate.state:
            return [candidate]
    return []
