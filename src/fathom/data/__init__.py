"""Readers of data sets: typed samples, read when asked for."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fathom.data.dataset import Dataset
    from fathom.data.reader import Reader
    from fathom.data.readers.fathom_folder import read_sample, write_sample
    from fathom.data.registry import open_dataset, readers, recognise

__all__ = [
    "Dataset",
    "Reader",
    "open_dataset",
    "read_sample",
    "readers",
    "recognise",
    "write_sample",
]
_HOMES = {
    "Dataset": "dataset",
    "Reader": "reader",
    "open_dataset": "registry",
    "read_sample": "readers.fathom_folder",
    "readers": "registry",
    "recognise": "registry",
    "write_sample": "readers.fathom_folder",
}


def __getattr__(name: str) -> Any:
    """The public names, resolved when they are first used."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'fathom.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"fathom.data.{_HOMES[name]}"), name)
