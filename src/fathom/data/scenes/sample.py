"""One scene by its seed, and the endless row of them."""

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fathom.core.arrays import Bool, Float32, UInt8
from fathom.core.camera import StereoRig
from fathom.core.errors import UsageError
from fathom.core.maps import Disparity
from fathom.core.pair import StereoPair, View
from fathom.core.sample import StereoSample
from fathom.data.augment import RightTruth
from fathom.data.kernels import layout as at
from fathom.data.scenes.backgrounds import BACKGROUNDS
from fathom.data.scenes.camera import developed
from fathom.data.scenes.materials import Tables
from fathom.data.scenes.noise import source
from fathom.data.scenes.render import Rendered, render
from fathom.data.scenes.settings import SceneSettings
from fathom.data.scenes.world import World, frame_of

_MASKS = {
    "reflective": at.REFLECTIVE,
    "transparent": at.TRANSPARENT,
    "thin": at.THIN,
    "sky": at.SKY,
    "moving": at.MOVING,
    "textureless": at.PLAIN,
    "shadow": at.SHADOW,
}
MASKS = ("nonocc", *_MASKS)
"""The masks of every scene's sample."""
_MOST_DISPARITY = 4095


@dataclass(frozen=True, eq=False)
class Scene:
    """A pair with all that is known of it.

    left, right: RGB. rig: its max_disparity is that of the truth. disparity, disparity_right:
    exact, in pixels, of each view and positive in both: x_left - x_right; the sky's is close to 0.
    seen, seen_right: whether the other camera sees the point. normals: of the left view's
    surfaces, unit vectors (x, y, z) towards the camera, in its frame. masks: see `MASKS`, of the
    left view; masks_right: of the right one. kind, seed, index: what made it.
    """

    left: UInt8[np.ndarray, "h w 3"]
    right: UInt8[np.ndarray, "h w 3"]
    rig: StereoRig
    disparity: Float32[np.ndarray, "h w"]
    disparity_right: Float32[np.ndarray, "h w"]
    seen: Bool[np.ndarray, "h w"]
    seen_right: Bool[np.ndarray, "h w"]
    normals: Float32[np.ndarray, "h w 3"]
    masks: dict[str, Any]
    masks_right: dict[str, Any]
    kind: str
    is_night: bool
    seed: int
    index: int

    @property
    def sample(self) -> StereoSample:
        """The pair, its truth and masks as every reader gives them."""
        pair = StereoPair(View(self.left), View(self.right), self.rig)
        name = f"scene-{self.seed}-{self.index:06d}"
        return StereoSample(pair, Disparity(self.disparity), self.masks, name)

    @property
    def right_truth(self) -> RightTruth:
        """The right view's truth and masks, with which augmentation can mirror the sample."""
        return RightTruth(Disparity(self.disparity_right), self.masks_right)


def full_scene(seed: int, settings: SceneSettings | None = None, index: int = 0) -> Scene:
    """The scene of a seed and an index, whole numbers >= 0: the same numbers give the same bits, in
    any process and order.

    Raises `UsageError` for a negative seed or index, `InputError` for a folder of photographs that
    is none.
    """
    settings = settings or SceneSettings()
    world, shadows = built(seed, settings, index)
    left, right = _render(settings)(world, shadows=shadows)
    # A chance of its own: the same scene, with the cameras' faults or without.
    images = developed(source(seed, index, 1), left.colors, right.colors,
                       effects=settings.effects, is_night=world.is_night)  # fmt: skip
    largest = int(np.ceil(max(left.disparity.max(), 1)))
    rig = replace(world.frame.rig, max_disparity=min(largest, _MOST_DISPARITY))
    return Scene(
        *images, rig, left.disparity, right.disparity, left.seen_by_both, right.seen_by_both,
        left.normals, _masks(left), _masks(right), world.kind, world.is_night, seed, index,
    )  # fmt: skip


def built(seed: int, settings: SceneSettings, index: int) -> tuple[World, bool]:
    """The world of a scene, and whether the sun throws shadows in it. Raises as `full_scene`."""
    for name, value in (("seed", seed), ("index", index)):
        if value < 0:
            raise UsageError("is negative", field=name, value=value, expected="0 or more")
    rng = source(seed, index, 0)
    kind = settings.kinds[int(rng.integers(len(settings.kinds)))]
    world = World(rng, settings, frame_of(rng, settings, kind), Tables(settings, rng))
    world.kind = kind
    world.is_night = bool(rng.random() < settings.night)
    world.has_motion = bool(rng.random() < settings.motion)
    shadows = bool(rng.random() < settings.shadows)
    BACKGROUNDS[kind](world)
    return world, shadows


def _masks(view: Rendered) -> dict[str, Any]:
    return {"nonocc": view.seen_by_both, **{n: view.marks & b > 0 for n, b in _MASKS.items()}}


def _render(settings: SceneSettings) -> Callable[..., tuple[Rendered, Rendered]]:
    if settings.renderer == "raster":
        return render
    from fathom.data.scenes.rays import render_rays

    return render_rays


def scene(seed: int, settings: SceneSettings | None = None, index: int = 0) -> StereoSample:
    """`full_scene(...).sample`: the pair, its exact disparity and its masks.

    >>> from fathom.data.scenes import SceneSettings, scene
    >>> sample = scene(1, SceneSettings(width=64, height=48))
    >>> sample.pair.size, bool(sample.truth.known.all())
    ((64, 48), True)
    """
    return full_scene(seed, settings, index).sample


@dataclass(frozen=True)
class Scenes:
    """An endless row of scenes, or the first `count` of it: `s[7]`, iteration, `len` with a count.

    `Scenes(settings, seed)[i]` is `scene(seed, settings, i)`, so workers may share the indices out
    as they like. Nothing is kept.

    Raises `UsageError` for a negative seed or a count below 1.
    """

    settings: SceneSettings = field(default_factory=SceneSettings)
    seed: int = 0
    count: int | None = None

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UsageError("is negative", field="seed", value=self.seed, expected="0 or more")
        if self.count is not None and self.count < 1:
            raise UsageError(
                "is no number of scenes", field="count", value=self.count, expected="1 or more"
            )

    def __len__(self) -> int:
        if self.count is None:
            raise TypeError("an endless row of scenes has no length; give a count")
        return self.count

    def __getitem__(self, index: int) -> StereoSample:
        """The sample of an index. Raises `IndexError` for one that is not there."""
        return self.full(index).sample

    def full(self, index: int) -> Scene:
        """The scene of an index, with the right view's truth and the normals."""
        index = operator.index(index)
        if index < 0 or (self.count is not None and index >= self.count):
            raise IndexError(f"scene {index} of {self.count or 'an endless row from 0 on'}")
        return full_scene(self.seed, self.settings, index)

    def __iter__(self) -> Iterator[StereoSample]:
        index = 0
        while self.count is None or index < self.count:
            yield self[index]
            index += 1
