"""Endless procedural stereo pairs with exact truth.

Triangles in metric space, seen by two pinhole cameras: geometry, occlusion, parallax inside things
and both views' disparity are exact for every pixel. See docs/scenes.md.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fathom.data.scenes.sample import MASKS, Scene, Scenes, full_scene, scene
    from fathom.data.scenes.settings import KINDS, SceneSettings

__all__ = ["KINDS", "MASKS", "Scene", "SceneSettings", "Scenes", "full_scene", "scene"]


def __getattr__(name: str) -> Any:
    """The public names, resolved when they are first used."""
    import importlib

    if name not in __all__:
        raise AttributeError(f"module 'fathom.data.scenes' has no attribute {name!r}")
    home = "settings" if name in ("KINDS", "SceneSettings") else "sample"
    return getattr(importlib.import_module(f"fathom.data.scenes.{home}"), name)
