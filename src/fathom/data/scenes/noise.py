"""Random fields, and reproducible sources of chance."""

from functools import lru_cache

import numpy as np

from fathom.core.arrays import Array, Float32

Rng = np.random.Generator


def source(*words: int) -> Rng:
    """A source of chance that depends on nothing but these whole numbers >= 0."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """A number between low and high whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def one_of(rng: Rng, weights: dict[str, float]) -> str:
    """A name, by its weight."""
    names = list(weights)
    shares = np.array([weights[name] for name in names])
    return names[int(np.searchsorted(np.cumsum(shares / shares.sum()), rng.random()))]


def spectral(rng: Rng, side: int, slope: float, low: float = 1.0, stretch: float = 1.0) -> Array:
    """A seamless field (side, side) in 0..1 whose amplitude falls as frequency to the -slope.

    slope: 0 white, 1 as photographs have it, 2 clouds. low: frequency in periods a side below
    which nothing is. stretch: ratio of the frequencies along y and x.
    """
    import scipy.fft

    amplitude = _amplitude(side, round(slope, 1), round(low, 1), round(stretch, 1))
    shape = amplitude.shape
    real, imaginary = rng.standard_normal((2, *shape), dtype=np.float32)
    field = scipy.fft.irfft2(amplitude * (real + 1j * imaginary), s=(side, side), workers=1)
    return contrasted(field.astype(np.float32))


@lru_cache(maxsize=64)
def _amplitude(side: int, slope: float, low: float, stretch: float) -> Float32[np.ndarray, "h w"]:
    fy = np.fft.fftfreq(side, 1 / side).astype(np.float32)[:, None] * stretch
    fx = np.arange(side // 2 + 1, dtype=np.float32)[None]
    frequency = np.sqrt(fx * fx + fy * fy)
    out: Array = np.where(frequency < low, 0, np.maximum(frequency, 1) ** np.float32(-slope))
    return out.astype(np.float32)


def contrasted(field: Array) -> Float32[np.ndarray, "h w"]:
    """The field brought to 0..1: 2.2 standard deviations to either side, the rest clipped."""
    middle, spread = float(field.mean()), float(field.std())
    scaled = (field - np.float32(middle)) * np.float32(1 / (4.4 * max(spread, 1e-9)))
    out: Array = np.clip(scaled + np.float32(0.5), 0, 1).astype(np.float32)
    return out


def smooth_curve(rng: Rng, count: int, knots: int) -> Array:
    """`count` numbers of a random smooth curve through `knots` points, about -1..1."""
    knot_values = rng.uniform(-1, 1, max(knots, 2))
    places = np.linspace(0, len(knot_values) - 1, count)
    left = np.minimum(places.astype(int), len(knot_values) - 2)
    part = places - left
    part = part * part * (3 - 2 * part)
    out: Array = knot_values[left] * (1 - part) + knot_values[left + 1] * part
    return out
