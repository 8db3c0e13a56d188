"""What scenes are made of: one frozen settings class."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from fathom.core.errors import UsageError, unknown_name
from fathom.core.options import option

KINDS = ("room", "road", "terrain", "studio", "abyss")
"""Backgrounds: a furnished room; a street to the horizon; hills; one slanted or curved wall behind
a heap of things; things floating before a far, patterned sky."""
Renderer = Literal["raster", "rays"]
"""How scenes become pictures: the fast rasteriser, or rays (with the extra `scenes`): true shadows,
mirrors and glass."""
_LEAST, _MOST = 32, 8192


@dataclass(frozen=True)
class SceneSettings:
    """What scenes look like. Shares are probabilities, 0..1, a scene or an object.

    Raises `UsageError` for a size or a share that no scene can have, or an unknown kind.
    """

    width: int = option(512, "width of the images in pixels")
    height: int = option(256, "height of the images in pixels")
    kinds: tuple[str, ...] = option(KINDS, f"backgrounds: {', '.join(KINDS)}", metavar="A,B")
    least_objects: int = option(10, "fewest objects of a scene")
    most_objects: int = option(30, "most objects of a scene")
    near: float = option(0.05, "least largest disparity of a usual scene, share of the width")
    nearest: float = option(0.15, "greatest largest disparity of a usual scene, share of the width")
    unusual: float = option(
        0.3, "share of scenes below and above that: down to a third, up to 2.3 times it"
    )
    night: float = option(0.12, "share of scenes at night")
    glossy: float = option(0.2, "share of objects that shine or mirror")
    glass: float = option(0.05, "share of objects that are transparent")
    plain: float = option(0.2, "share of objects without texture")
    shadows: float = option(0.75, "share of scenes where things throw shadows")
    motion: float = option(0.0, "share of scenes in which things move between the two shots")
    effects: bool = option(True, "add noise, blur, vignetting and differences of the cameras")
    photos: Path | None = option(
        None, "a folder of one's own pictures to cut textures from", metavar="DIR"
    )
    renderer: Renderer = option(
        "raster", "raster, or rays: true shadows, mirrors and glass (several times slower)"
    )

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            value = getattr(self, name)
            if not _LEAST <= value <= _MOST:
                raise UsageError(
                    "is no size of a scene",
                    field=name,
                    value=value,
                    expected=f"{_LEAST}..{_MOST} pixels",
                )
        if self.renderer not in get_args(Renderer):
            raise unknown_name("renderer", self.renderer, list(get_args(Renderer)))
        if not self.kinds:
            raise UsageError("names no background", field="kinds", expected=", ".join(KINDS))
        for kind in self.kinds:
            if kind not in KINDS:
                raise unknown_name("kind of scene:", kind, list(KINDS))
        if not 0 <= self.least_objects <= self.most_objects <= 200:
            raise UsageError(
                "is no number of objects",
                field="least_objects, most_objects",
                value=f"{self.least_objects}, {self.most_objects}",
                expected="0 <= least <= most <= 200",
            )
        if not 0 < self.near <= self.nearest <= 0.4:
            raise UsageError(
                "is no range of largest disparities",
                field="near, nearest",
                value=f"{self.near}, {self.nearest}",
                expected="0 < near <= nearest <= 0.4, as shares of the width",
            )
        for name in ("unusual", "night", "glossy", "glass", "plain", "shadows", "motion"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise UsageError("is no share", field=name, value=value, expected="0..1")
