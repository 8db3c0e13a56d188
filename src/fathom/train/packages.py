"""What training needs besides the core; asked before anything of it is imported."""

import importlib.util

from fathom.core.errors import MissingExtraError

_NEEDED = {"torch": "torch", "lightning_fabric": "lightning-fabric"}
"""Module -> the package that brings it."""


def check_packages() -> None:
    """Raises `MissingExtraError` without torch or Lightning Fabric."""
    for module, package in _NEEDED.items():
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(package, "train")
