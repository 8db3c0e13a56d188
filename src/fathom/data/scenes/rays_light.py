"""What colour comes back along rays: sun and lamps with shadows, the open sky, mirrors, glass.

Directions to the lights are the same for all pixels, and the sky's directions repeat every 4 pixels
and are averaged over as many: so a place has the same colour in both views, but for noise of the
sky's light where no neighbours are.
"""

from dataclasses import dataclass

import numpy as np

from fathom.classical.native import Kernel
from fathom.core.arrays import Array, Float32, Float64, Int32
from fathom.data.kernels import layout as at
from fathom.data.scenes.noise import Rng, log_uniform
from fathom.data.scenes.rays_trace import Met, Shot

_SURFACED = Kernel("fathom.data.kernels.rays", "surfaced")
_DOMED, _AIMED, _REFLECTED, _LIT, _SMOOTHED = (
    Kernel("fathom.data.kernels.rays_light", name)
    for name in ("domed", "aimed", "reflected", "lit", "smoothed")
)
KERNELS = (_SURFACED, _DOMED, _AIMED, _REFLECTED, _LIT, _SMOOTHED)
_TILE, _EACH = 4, 6  # the sky's directions: each of 4 x 4 pixels has its own six
_SUNS, _LAMPS = 8, 4  # rays to the sun and to each lamp
_OPEN = 0.35  # of the way from the camera: so far things hide the sky
_BOUNCES = 2
_LAYERS = 3  # surfaces one behind the other whose sky is averaged over pixels
_SCRATCH = 24


@dataclass(frozen=True, eq=False)
class Rays:
    """Rays with what they carry: origins and directions (n, 3), spreads (n, 12) and the way
    travelled before (n), see kernels/rays.py; tile: which of the sky's sets each takes."""

    origins: Float64[np.ndarray, "n 3"]
    directions: Float64[np.ndarray, "n 3"]
    spreads: Float64[np.ndarray, "n 12"]
    travelled: Float64[np.ndarray, " n"]
    tile: Int32[np.ndarray, " n"]

    @property
    def bundle(self) -> tuple[Array, Array, Array, Array]:
        """As kernels take them."""
        parts = (self.origins, self.directions, self.spreads, self.travelled)
        return tuple(np.ascontiguousarray(part).ravel() for part in parts)  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class Light:
    """numbers: see the kernels' layout. sun: tangent of half its width; lamps: radius of each in
    metres. throws: whether they throw shadows."""

    numbers: Float64[np.ndarray, " n"]
    sun: float
    lamps: Float64[np.ndarray, " l"]
    throws: bool


def soft(rng: Rng, numbers: Float64[np.ndarray, " n"], *, throws: bool) -> Light:
    """Lights of some width by chance: a clear sun, or one behind haze or a curtain."""
    count = int(numbers[at.LAMPS])
    reach = numbers[at.LIGHT + 6 :: at.LAMP][:count]
    sizes = np.array([log_uniform(rng, 0.01, 0.08) for _ in range(count)])
    return Light(numbers, log_uniform(rng, 0.005, 0.05), sizes * np.sqrt(reach), throws)


@dataclass(frozen=True, eq=False)
class Lit:
    """What is known of hits: the colour that each adds (m, 3), the share of the light behind that
    passes (m, 3), the share of the sun that something cuts off (m), the records (m, 32)."""

    colors: Float32[np.ndarray, "m 3"]
    through: Float32[np.ndarray, "m 3"]
    cut_off: Float32[np.ndarray, " m"]
    records: Float64[np.ndarray, "m 32"]


@dataclass(frozen=True, eq=False)
class Lighting:
    """Shades what rays meet in one shot. texels: surfaces, textures and their texels, as
    `Tables` has them."""

    shot: Shot
    texels: tuple[Array, Array, Array]
    light: Light

    def lit(
        self, rays: Rays, met: Met, bounce: int = 0, size: tuple[int, int] | None = None
    ) -> Lit:
        """The light of each hit. bounce: how many mirrors it was sent by before. size: width and
        height if the rays are those of an image, row by row."""
        count = len(met.ray)
        surface = self.shot.place[3][met.triangle].astype(np.int32)
        texels = self.texels
        records, bundle = np.zeros(count * at.RECORD), rays.bundle
        _SURFACED(self.shot.mesh, texels, bundle, (met.ray, met.triangle), met.distance, records,
                  np.zeros(_SCRATCH), count)  # fmt: skip
        rows = texels[0].reshape(-1, at.SURFACE)[surface]
        dull = rows[:, at.GLOW] == 0
        sky = self._sky(records, np.flatnonzero(dull), rays.tile[met.ray], count)
        if size is not None:
            sky = _smooth(sky, records, met, size)
        sun, lamps = self._lights(records, dull, count)
        shown = np.zeros((count, 3), np.float32)
        mirrors = np.flatnonzero(dull & (rows[:, at.MIRROR] > 0))
        if mirrors.size:
            shown[mirrors] = self._mirrored(rays, met, records, mirrors, bounce)
        colors, through = np.zeros(3 * count, np.float32), np.zeros(3 * count, np.float32)
        shares = (sun, sky, lamps, shown.ravel())
        _LIT(texels[0], self.light.numbers, bundle[1], (met.ray, surface), records, shares,
             (colors, through), np.zeros(_SCRATCH), count)  # fmt: skip
        return Lit(colors.reshape(-1, 3), through.reshape(-1, 3), 1 - sun,
                   records.reshape(-1, at.RECORD))  # fmt: skip

    def _sky(self, records: Array, chosen: Array, tiles: Array, count: int) -> Array:
        """The open share of the sky above each hit, by a few rays."""
        free = np.ones(count, np.float32)
        chosen = chosen.astype(np.int32)
        starts, along = (np.empty((len(chosen), 3), np.float32) for _ in range(2))
        hidden = np.zeros(len(chosen), np.float32)
        for number in range(_EACH):
            _DOMED(records, chosen, tiles, _PATTERN, starts.ravel(), along.ravel(), number, _EACH,
                   len(chosen))  # fmt: skip
            hidden += self.shot.hiding.blocked(starts, along, 1.0)
        free[chosen] = 1 - hidden / np.float32(_EACH)
        return free

    def _lights(self, records: Array, dull: Array, count: int) -> tuple[Array, Array]:
        """The share of the sun, and of each lamp, that reaches each hit; 1 where it faces away."""
        numbers = self.light.numbers
        lamps = int(numbers[at.LAMPS])
        sun, shares = np.ones(count, np.float32), np.ones((lamps, count), np.float32)
        if not self.light.throws:
            return sun, shares.ravel()
        rows = records.reshape(-1, at.RECORD)
        normals = rows[:, at.NORMAL : at.NORMAL + 3]
        toward = numbers[at.SUN : at.SUN + 3]
        facing = np.flatnonzero(dull & (normals @ toward > 0)).astype(np.int32)
        targets = np.zeros((_SUNS, 4))
        targets[:, :3] = toward + self.light.sun * _disc(toward, _SUNS)
        sun[facing] = self._reached(records, facing, targets, 1e30)
        for n in range(lamps):
            place = numbers[at.LIGHT + at.LAMP * n :][:3]
            way = place - rows[:, at.PLACE : at.PLACE + 3]
            facing = np.flatnonzero(dull & ((normals * way).sum(1) > 0)).astype(np.int32)
            targets = np.ones((_LAMPS, 4))
            middle = way[facing].mean(0) if len(facing) else toward
            middle = middle / max(float(np.linalg.norm(middle)), 1e-12)
            targets[:, :3] = place + self.light.lamps[n] * _disc(middle, _LAMPS)
            shares[n, facing] = self._reached(records, facing, targets, 1.0)
        return sun, shares.ravel()

    def _reached(self, records: Array, chosen: Array, targets: Array, reach: float) -> Array:
        """Mean share of light from the targets. Where half of them agree, the others do."""
        count, half = len(targets), len(targets) // 2
        total = np.zeros(len(chosen), np.float32)
        rest = np.arange(len(chosen))
        for n, target in enumerate(targets):
            if n == half:
                rest = np.flatnonzero((total > 0) & (total < half))
            some = chosen[rest]
            starts, along = (np.empty((len(some), 3), np.float32) for _ in range(2))
            _AIMED(records, some, target, _STARTS[n], starts.ravel(), along.ravel(), len(some))
            total[rest] += self.shot.reaching(starts, along, reach)
        several = np.full(len(chosen), half, np.float32)
        several[rest] = count
        return total / several

    def _mirrored(self, rays: Rays, met: Met, records: Array, chosen: Array, bounce: int) -> Array:
        """What the mirrors among the hits show: the scene, and the surroundings beside it."""
        count = len(chosen)
        new = Rays(np.empty((count, 3)), np.empty((count, 3)), np.empty((count, 12)),
                   np.empty(count), rays.tile[met.ray[chosen]])  # fmt: skip
        around = np.empty((count, 3), np.float32)
        _REFLECTED(records, chosen.astype(np.int32), self.texels, self.light.numbers,
                   rays.bundle, met.ray.astype(np.float64), new.bundle, around.ravel(),
                   np.zeros(_SCRATCH), count)  # fmt: skip
        if bounce >= _BOUNCES:
            return around
        return self.colors(new, self.shot.met(new.origins, new.directions, 0.0), around, bounce + 1)

    def colors(self, rays: Rays, met: Met, around: Array, bounce: int = 0) -> Array:
        """The colour (n, 3) that comes along each ray; around: behind all that it met."""
        return layered(met, self.lit(rays, met, bounce), around)


def layered(met: Met, lit: Lit, around: Array) -> Float32[np.ndarray, "n 3"]:
    """Surfaces laid over each other, the nearest in front; around: (n, 3) behind them all."""
    colors = np.zeros_like(around)
    left = np.ones_like(around)
    for order in range(int(met.order.max(initial=-1)) + 1):
        mine = np.flatnonzero(met.order == order)
        rays = met.ray[mine]
        colors[rays] += left[rays] * lit.colors[mine]
        left[rays] *= lit.through[mine]
    out: Array = colors + left * around
    return out


def _smooth(sky: Array, records: Array, met: Met, size: tuple[int, int]) -> Array:
    """The sky's share averaged over neighbours on the same surface."""
    smooth = sky.copy()
    for order in range(min(int(met.order.max(initial=-1)) + 1, _LAYERS)):
        mine = np.flatnonzero(met.order == order)
        hit = np.full(size[0] * size[1], -1, np.int32)
        hit[met.ray[mine]] = mine
        _SMOOTHED(sky, hit, records, smooth, *size)
    return smooth


def _disc(axis: Array, count: int) -> Float64[np.ndarray, "count 3"]:
    """Places spread over the unit disc across an axis (Vogel's spiral), the outermost first."""
    helper = np.eye(3)[int(np.argmin(np.abs(axis)))]
    first = np.cross(axis, helper)
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    n = np.arange(count)[::-1]
    radius, turn = np.sqrt((n + 0.5) / count), n * (np.pi * (3 - 5**0.5))
    out: Array = radius[:, None] * (np.cos(turn)[:, None] * first + np.sin(turn)[:, None] * second)
    return out


def _directions() -> Float64[np.ndarray, " n"]:
    """The sky's directions: sets of six, each spread over the half space, and all of them, too."""
    total = _TILE * _TILE * _EACH
    tile, number = np.mgrid[: _TILE * _TILE, :_EACH]
    radius = np.sqrt((number * _TILE * _TILE + tile + 0.5) / total)
    sector = np.array([0, 3, 1, 4, 2, 5])[number]
    turn = 2 * np.pi * (sector * _TILE * _TILE + tile * 7 % 16 + 0.5) / total
    reach = _OPEN * (0.35 + 0.65 * ((tile * _EACH + number) * (5**0.5 - 1) / 2 % 1))
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), reach], -1).ravel()


_PATTERN = _directions()
_STARTS = np.array([[1, 3], [5, 1], [3, 7], [7, 5], [0, 6], [4, 4], [2, 2], [6, 0]]) / 8 - 0.4375
"""Places within a pixel; the first two and four are spread over it, too."""
