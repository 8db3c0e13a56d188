"""What the estimators of published networks share: their converted file of weights."""

from importlib import util

from fathom.core.errors import InputError, MissingExtraError
from fathom.published.store import Kept, read_header, read_weights, weights_file

Stamp = tuple[int, int]
"""Time of change and size of a file: one that changed is another one."""


def file_of(model: str, weights: str | None) -> tuple[str, Stamp]:
    """The file of a model's weights, given or kept by name, and its stamp.

    Raises `InputError` as `weights_file` does.
    """
    file = weights_file(model, weights)
    status = file.stat()
    return str(file), (status.st_mtime_ns, status.st_size)


def checked(file: str, model: str) -> Kept:
    """The head of a file of weights of `model`, compared with its digest where it has one.

    Raises `InputError` if it is damaged or says that it is another model's, `MissingExtraError`
    without torch, which the net will need.
    """
    require_torch()
    header = read_header(file)
    if header.model not in (None, model):
        raise InputError(
            f"holds weights of {header.model}, not of {model}",
            file=file,
            remedy=f"use --method {header.model}",
        )
    # a checkpoint of `fathom train` names no model, and its digest is over other bytes
    if header.model is not None:
        read_weights(file)
    return header


def require_torch() -> None:
    """Raises `MissingExtraError` where torch is not installed."""
    if util.find_spec("torch") is None:
        raise MissingExtraError("torch", "torch")
