"""Depth from one image where stereo finds nothing, and only where it has proven to be better.

Stereo is exact where two views can be compared, and blind on plain walls, behind edges and where
the right view ends. A monocular model sees those, but its depth is bent. Mixing both everywhere
makes stereo worse; letting stereo decide makes it better (Bartolomei et al., "Stereo Anywhere",
CVPR 2025, section 4: Middlebury 11.2 -> 15.0 when mixed in, 7.0 when gated).

Here what was matched for sure stays bit for bit. The monocular map is brought to disparity by
`geometry.align` on those pixels, once for the whole image and then locally. Before it fills
anything, squares of sure pixels are hidden, about as large as the holes are deep: stereo's own
filling and the monocular map, aligned without them, both say what they would have put there, and
around each hole the one with the smaller error on such squares fills it. The same errors say how
far the filled values can be trusted. Points of a LiDAR or radar join: as anchors, and as values.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fathom.classical.checks import in_range
from fathom.classical.fill import fill
from fathom.combine.fuse_trial import Trial, trial
from fathom.core.arrays import Array, Bool, Float32
from fathom.core.camera import StereoRig
from fathom.core.errors import InputError, UsageError
from fathom.core.estimator import MetricMono, RelativeMono, StereoMatcher
from fathom.core.maps import Depth, Disparity, RelativeDepth, Source, SparseDepth
from fathom.core.options import option
from fathom.core.pair import StereoPair
from fathom.geometry.align import DepthFit, Robust, align

_ANCHORS = 2000
"""Sure pixels that the local alignment averages; more tell nothing new."""
_LEAST = 200
"""Sure pixels below which nothing can be tried on them."""
_SURE_SIGMA = 0.3
"""Standard deviation of a sure match in pixels: what an anchor is worth beside a point's sigma."""
_MODEL_SIGMA = 0.02
"""What a model that gives depth is taken to be off by, as a share of it."""
_WRONG = 2.0
"""What a wrong match is taken to be off by, in pixels."""
_NEAR = 2
"""Pixels from a point up to which it speaks for the surface it lies on."""


@dataclass(frozen=True)
class FuseSettings:
    """How a monocular map fills a stereo map.

    Raises `UsageError` for a value out of its range.
    """

    sure: float = option(
        0.5, "matches at least this certain (0..1) are never replaced, and the others aligned to"
    )
    local: float = option(
        0.1, "the alignment may change over this share of the image's width; 0 = one for all"
    )
    margin: float = option(
        0.25, "how much better than stereo's own filling the monocular map must have proven, 0..1"
    )

    def __post_init__(self) -> None:
        in_range("sure", self.sure, 0, 1)
        in_range("local", self.local, 0, 10)
        in_range("margin", self.margin, 0, 1)


@dataclass(frozen=True)
class Fusion:
    """What came of it. fit: the alignment of the whole image, in disparity (its metres are units of
    focal length times baseline); None where there was none, and `refused` says why. stereo, mono:
    mean error on hidden squares of stereo's filling and of the monocular map, in pixels, errors
    above 3 px counted as 3. monocular, sparse: shares of pixels they gave, 0..1.
    """

    fit: DepthFit | None
    refused: str = ""
    stereo: float = math.nan
    mono: float = math.nan
    monocular: float = 0.0
    sparse: float = 0.0

    def __str__(self) -> str:
        points = f", {self.sparse:.1%} of the pixels from the points" if self.sparse else ""
        if self.fit is None:
            return f"nothing from the monocular map{points}: {self.refused}"
        return (
            f"{self.monocular:.1%} of the pixels from the monocular map{points}; on hidden squares "
            f"that map is off by {self.mono:.2f} px, stereo's own filling by {self.stereo:.2f} px"
        )

    def as_dict(self) -> dict[str, Any]:
        """For result.json, with units."""
        fit = self.fit
        return {
            "share_monocular": self.monocular,
            "share_points": self.sparse,
            "error_on_hidden_squares_px": None if fit is None else {
                "monocular": self.mono, "stereo_filled": self.stereo,
            },
            "alignment": None if fit is None else {
                "ambiguity": fit.ambiguity, "scale": fit.scale, "shift": fit.shift,
                "anchors": fit.anchors, "inliers": fit.inliers,
                "unit": "depth in focal length times baseline over pixels of disparity",
            },
            "refused": self.refused or None,
        }  # fmt: skip


def fuse(
    stereo: Disparity,
    mono: RelativeDepth | Depth,
    *,
    rig: StereoRig | None = None,
    sparse: SparseDepth | None = None,
    settings: FuseSettings | None = None,
) -> tuple[Disparity, Fusion]:
    """The stereo map with its holes filled from the monocular one where that has proven better.

    stereo: the pixels that are matched, with a confidence (where there is one) of at least
    `settings.sure`, are kept bit for bit; unknown ones are filled first (`classical.fill`). mono:
    of the left view; metres are only taken to be right up to a scale. rig: tells where infinity
    is (doffs); needed for `sparse`. sparse: points in the left view; without sigma they are taken
    to be good to 1 %. They take part in the alignment, and give the value where stereo is not sure
    and they are surer than what else there is.

    The result's source is MONOCULAR or SPARSE where these gave the value. Its confidence there is
    the share of hidden pixels around that the monocular map had within 1 px, or what a point's
    sigma says.

    Raises `InputError` if the maps or the rig differ in size, `UsageError` for points without a
    rig.
    """
    settings = settings or FuseSettings()
    height, width = stereo.shape
    if mono.shape != stereo.shape:
        raise InputError(
            "differs in size from the stereo map", field="mono", value=mono.shape,
            expected=str(stereo.shape),
        )  # fmt: skip
    if rig is not None and rig.size != (width, height):
        raise InputError(
            "the calibration is for another image size", field="rig",
            value=f"{rig.size[0]}x{rig.size[1]}", expected=f"{width}x{height}",
        )  # fmt: skip
    if sparse is not None and rig is None:
        raise UsageError(
            "are in metres, which become disparities only with a calibration", field="sparse",
            remedy="read the pair with calib=FILE, or give focal= and baseline=",
        )  # fmt: skip
    kept = _sure(stereo, settings.sure)
    base = fill(stereo)
    points = _Points.of(sparse, rig, stereo.shape)
    told, fusion = base, Fusion(None, "no pixel is without a sure match")
    if not kept.all():
        told, fusion = _filled(base, mono, kept, points, rig, settings)
    if points is not None:
        told = points.drawn(told, kept)
    source = told.source
    share = 0.0 if source is None else float((source == Source.SPARSE).mean())
    return told, replace(fusion, sparse=share)


def _sure(stereo: Disparity, least: float) -> Bool[np.ndarray, "h w"]:
    """The pixels that are never replaced."""
    kept: Array = np.array(stereo.known)
    if stereo.source is not None:
        kept &= stereo.source != Source.FILLED
    if stereo.confidence is not None:
        kept &= stereo.confidence >= np.float32(least)
    return kept


def _filled(
    base: Disparity,
    mono: RelativeDepth | Depth,
    kept: Array,
    points: "_Points | None",
    rig: StereoRig | None,
    settings: FuseSettings,
) -> tuple[Disparity, Fusion]:
    """Without the points' values."""
    if int(kept.sum()) < _LEAST:
        return base, Fusion(None, f"{int(kept.sum())} sure matches are too few to align to")
    aligned = Aligned(base, mono, points, 0.0 if rig is None else rig.doffs, settings.local)
    try:
        values, fit = aligned(kept)
        found = trial(base, kept, aligned)
    except InputError as error:
        return base, Fusion(None, str(error))
    chosen = ~kept & ~np.isnan(values) & _better(base, kept, found, settings.margin)
    out = np.where(chosen, values, base.values).astype(np.float32)
    trust = base.confidence
    if trust is not None:
        trust = np.where(chosen, found.trust, trust).astype(np.float32)
    assert base.source is not None
    source = np.where(chosen, np.uint8(Source.MONOCULAR), base.source)
    return replace(base, values=out, confidence=trust, source=source), Fusion(
        fit, "", found.stereo_mean, found.mono_mean, float(chosen.mean())
    )


def _better(base: Disparity, kept: Array, found: Trial, margin: float) -> Array:
    """Where the monocular map may replace what stereo has, all but the sure pixels considered."""
    own = found.stereo
    if base.source is not None and base.confidence is not None:
        # what an unsure match is worth is not seen on squares that were hidden: it says so itself
        unsure = (base.source == Source.MATCHED) & ~kept
        own = np.where(unsure, (1 - base.confidence) * np.float32(_WRONG), own)
    better: Array = found.mono < (1 - margin) * own
    return better


@dataclass(frozen=True, eq=False)
class Aligned:
    """The monocular map as disparity, by the matches that are given.

    Depth is counted in units of focal length times baseline: Z = 1 / (d + doffs).
    """

    stereo: Disparity
    mono: RelativeDepth | Depth
    points: "_Points | None"
    doffs: float
    local: float

    def __call__(self, use: Bool[np.ndarray, "h w"]) -> tuple[Float32[np.ndarray, "h w"], DepthFit]:
        """The map in pixels (NaN where the model knows nothing), and the fit.

        use: the matches to align to. Raises `InputError` as `geometry.align`.
        """
        # most anchors are good, or nothing here would be: Huber's law does, at a tenth of the cost,
        # but for depths, among which a few far ones that are wrong outweigh all others
        robust: Robust = "ransac" if self._in_depth else "huber"
        near, fit = align(self.mono, self._anchors(use), robust=robust, local=self.local or None)
        raw = np.asarray(self.mono.values, np.float64) * fit.scale + fit.shift
        inverse = fit.ambiguity == "affine_inverse"
        # at and behind infinity, and before the camera, what the images can show ends
        with np.errstate(divide="ignore", invalid="ignore"):
            ahead = raw if inverse else 1 / raw
        ahead = np.where(raw > 0, ahead, 0.0 if inverse else np.inf)
        ahead = np.where(near.known, 1 / near.values.astype(np.float64), ahead)
        ahead = np.where(np.isnan(raw), np.nan, ahead)
        low, high = self._range()
        return np.clip(ahead - self.doffs, low, high).astype(np.float32), fit

    @property
    def _in_depth(self) -> bool:
        """Whether scale and shift are of depth, not of its inverse."""
        return isinstance(self.mono, RelativeDepth) and self.mono.ambiguity == "affine"

    def _anchors(self, use: Array) -> SparseDepth:
        rows, columns = np.nonzero(use & (self.stereo.values + np.float32(self.doffs) > 0))
        some = np.linspace(0, len(rows) - 1, min(len(rows), _ANCHORS)).astype(int)
        rows, columns = rows[some], columns[some]
        z = 1 / (self.stereo.values[rows, columns] + np.float32(self.doffs))
        pixels = np.stack([columns, rows], axis=1).astype(np.float32)
        sigma = np.float32(_SURE_SIGMA) * z**2
        if self._in_depth:
            # fitted in depth: by the matches' errors alone, the nearest would decide everything
            sigma = sigma + np.float32(_MODEL_SIGMA) * z
        if self.points is not None and len(self.points.x):
            more = 1 / (self.points.value + np.float32(self.doffs))
            pixels = np.concatenate([pixels, self.points.pixels])
            z = np.concatenate([z, more])
            sigma = np.concatenate([sigma, self.points.sigma * more**2])
        return SparseDepth(pixels, z.astype(np.float32), sigma.astype(np.float32))

    def _range(self) -> tuple[float, float]:
        """Where disparities end: the searched range, or twice the largest that was matched."""
        known = self.stereo.values[self.stereo.known]
        high = 2 * float(np.abs(known).max()) + 1
        if self.stereo.range is not None:
            high = float(self.stereo.range[1])
        return -self.doffs, high


@dataclass(frozen=True, eq=False)
class _Points:
    """Sparse depth as disparities. x, y: nearest pixels, inside the image. value, sigma: pixels."""

    pixels: Float32[np.ndarray, "n 2"]
    x: Array
    y: Array
    value: Float32[np.ndarray, " n"]
    sigma: Float32[np.ndarray, " n"]

    @classmethod
    def of(
        cls, sparse: SparseDepth | None, rig: StereoRig | None, shape: tuple[int, int]
    ) -> "_Points | None":
        """Those that lie in the image; sigma_d = sigma_Z f b / Z^2."""
        if sparse is None or rig is None:
            return None
        at = np.rint(sparse.pixels).astype(np.int64)
        inside = (at >= 0).all(axis=1) & (at[:, 0] < shape[1]) & (at[:, 1] < shape[0])
        z = sparse.depth[inside]
        sigma = np.float32(0.01) * z if sparse.sigma is None else sparse.sigma[inside]
        ahead = np.float32(rig.left.fx * rig.baseline)
        return cls(
            sparse.pixels[inside], at[inside, 0], at[inside, 1], rig.disparity_of(z),
            np.maximum(sigma * ahead / z**2, np.float32(1e-3)).astype(np.float32),
        )  # fmt: skip

    def drawn(self, told: Disparity, kept: Array) -> Disparity:
        """The map with the points' values where they are surer than what is there."""
        values, source = told.values.copy(), np.array(told.source)
        trust = None if told.confidence is None else told.confidence.copy()
        height, width = values.shape
        # the surest last, so that it stays; and no point's neighbours over another point's pixel
        order = np.argsort(-self.sigma)
        for i, reach in [*((i, _NEAR) for i in order), *((i, 0) for i in order)]:
            x, y = int(self.x[i]), int(self.y[i])
            here = told.values[y, x]
            if np.isnan(here):  # of a map that knows nothing at all
                here = self.value[i]
            sure = math.erf(1 / (math.sqrt(2) * float(self.sigma[i])))
            rows = slice(max(0, y - reach), min(height, y + reach + 1))
            columns = slice(max(0, x - reach), min(width, x + reach + 1))
            there = np.nan_to_num(told.values[rows, columns], nan=here)
            # neighbours on the same surface are moved with the point's pixel
            free = ~kept[rows, columns] & (np.abs(there - here) <= 1)
            if trust is not None:
                assert told.confidence is not None
                free &= told.confidence[rows, columns] < sure
                trust[rows, columns] = np.where(free, np.float32(sure), trust[rows, columns])
            moved = there + (self.value[i] - here)
            values[rows, columns] = np.where(free, moved, values[rows, columns])
            source[rows, columns] = np.where(free, Source.SPARSE, source[rows, columns])
        return replace(told, values=values, confidence=trust, source=source)


@dataclass(frozen=True)
class Fused:
    """A stereo matcher and a monocular model as one stereo matcher (see `fuse`).

    stereo: any matcher, best one with a confidence. mono: any model of one view; it sees the left
    one. sparse: points in the left view, of one pair: for every other one give its own.
    fill: False leaves unknown what neither was matched nor proven.
    """

    stereo: StereoMatcher
    mono: RelativeMono | MetricMono
    settings: FuseSettings = FuseSettings()
    fill: bool = True

    def __call__(self, pair: StereoPair, /, sparse: SparseDepth | None = None) -> Disparity:
        """Disparity of the left view. sparse: points in it, in metres.

        Raises as the matcher and the model, `UsageError` for points of a pair without a rig.
        """
        return self.told(pair, sparse)[0]

    def told(self, pair: StereoPair, sparse: SparseDepth | None = None) -> tuple[Disparity, Fusion]:
        """The disparity, and what came of the fusion. Raises as a call."""
        stereo, mono = self.stereo(pair), self.mono(pair.left)
        out, fusion = fuse(stereo, mono, rig=pair.rig, sparse=sparse, settings=self.settings)
        if not self.fill:
            assert out.source is not None
            out = out.with_unknown(out.source == Source.FILLED)
        return out, fusion
