"""`fathom weights verify`: looks at weights again."""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom import weights as shipped_models
from fathom.core.errors import FathomError, InputError, ResourceError
from fathom.published.store import Kept, kept_paths, read_weights
from fathom.workflows.weights_known import net_modules, preferred

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Verdict:
    """What verifying found: `problem` is None where all is well. checked: what was looked at."""

    name: str
    path: str
    model: str | None
    checked: tuple[str, ...]
    problem: str | None = None


def verify(targets: list[str], notify: Notify = lambda _: None) -> list[Verdict]:
    """Looks at weights again: hashes, sizes, finite values, and every tensor's name and shape.

    targets: names or files; none = all that are shipped or kept.

    Raises `InputError` for a target that is not there.
    """
    kept = kept_paths()
    ready = [name for name in shipped_models.NAMES if shipped_models.is_shipped(name)]
    verdicts = []
    for target in targets or [*ready, *kept]:
        notify(f"verifying {target}")
        if target in ready:
            verdicts.append(_verify_shipped(target))
            continue
        path = kept.get(target, Path(target))
        if not path.exists():
            known = [*ready, *kept]
            raise InputError(
                "does not exist", file=target,
                expected=f"a file, or weights that are here ({', '.join(known) or 'none'})",
            )  # fmt: skip
        verdicts.append(_verify_file(target, path))
    return verdicts


def _verify_shipped(name: str) -> Verdict:
    path = str(shipped_models.HOME / name)
    try:
        model = shipped_models.shipped(name)
        for file in model.sha256:
            model.file(file)
    except FathomError as error:
        return Verdict(name, path, name, (), str(error))
    return Verdict(name, path, name, ("sha256",))


def _verify_file(name: str, path: Path) -> Verdict:
    checked = ["size"]
    model = None
    try:
        tensors, kept = read_weights(path)
        model = kept.model
        if kept.sha256 is not None:
            checked.append("sha256")
        _check_finite(tensors, path)
        checked.append("finite values")
        if model is not None and importlib.util.find_spec("torch") is not None:
            checked += _check_fit(tensors, kept, path)
    except (InputError, ResourceError) as error:
        return Verdict(name, str(path), model, tuple(checked), str(error))
    return Verdict(name, str(path), model, tuple(checked))


def _check_finite(tensors: Mapping[str, Any], path: Path) -> None:
    import numpy as np

    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise InputError("holds values that are not finite", file=path, field=name)


def _check_fit(tensors: Mapping[str, Any], kept: Kept, path: Path) -> list[str]:
    """Compares names and shapes with the net's own. Raises `InputError`."""
    from fathom.published.convert import compared

    for module, records in net_modules():
        own = preferred(module, records, None, kept.about)
        if own:
            fit = compared({k: tuple(v.shape) for k, v in tensors.items()}, own[0])
            if fit.wrong or fit.absent:
                raise InputError(f"does not fit {own[0]}: {fit}", file=path)
            return ["names and shapes"]
    return []
