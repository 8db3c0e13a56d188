"""From light to the bytes of two cameras: exposure, lens, sensor, tone."""

import numpy as np

from fathom.core.arrays import Array, Float32, UInt8
from fathom.data.scenes.noise import Rng, log_uniform

_STEPS = 4095
_KNEE = 0.98


def developed(
    rng: Rng,
    left: Float32[np.ndarray, "h w 3"],
    right: Float32[np.ndarray, "h w 3"],
    *,
    effects: bool,
    is_night: bool = False,
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"]]:
    """Both views as 8-bit pictures. left, right: linear in light, any scale.

    Both get one exposure, by the left view's brightness. effects: each camera adds its own gain,
    offset, white balance, vignetting, blur and noise (shot noise grows with the light, read noise
    does not: the photon transfer curve, Janesick, "Photon Transfer", SPIE 2007); some pairs of
    cameras are grey.
    """
    wanted = rng.uniform(0.1, 0.32) * (0.55 if is_night else 1.0)
    bright = float(np.minimum(left, 4 * float(left.mean()) + 1e-6).mean())
    exposure = np.float32(wanted / max(bright, 1e-6))
    if not effects:
        table = _tone(1.0)
        return _bytes(left * exposure, table), _bytes(right * exposure, table)
    table = _tone(rng.uniform(0.8, 1.25))
    noise = log_uniform(rng, 1e-6, 4e-4), log_uniform(rng, 2e-4, 3e-3)
    if is_night:
        noise = noise[0] * 3, noise[1] * 2
    blur = rng.uniform(0.3, 1.1) if rng.random() < 0.35 else 0.0
    uneven = rng.random() < 0.6
    vignette = rng.uniform(0, 0.5) if rng.random() < 0.4 else 0.0
    grey = rng.random() < 0.12
    out = []
    for view in (left, right):
        taken: Array = view * (exposure * _balance(rng, uneven))
        if vignette:
            taken *= _vignette(view.shape[:2], vignette * rng.uniform(0.8, 1.2))[..., None]
        if uneven:
            taken += np.float32(abs(rng.normal(0, 0.004)))
        if blur:
            import cv2

            sigma = max(blur * (rng.uniform(0.7, 1.3) if uneven else 1.0), 0.2)
            taken = cv2.GaussianBlur(taken, (0, 0), sigma)
        if grey:
            luma = taken @ np.array([0.299, 0.587, 0.114], np.float32)
            taken = np.repeat(_noisy(rng, luma, noise)[..., None], 3, axis=2)
        else:
            taken = _noisy(rng, taken, noise)
        out.append(_bytes(taken, table))
    return out[0], out[1]


def _balance(rng: Rng, uneven: bool) -> Array:
    if not uneven:
        return np.ones(3, np.float32)
    gain = np.exp(rng.normal(0, 0.06)) * np.exp(rng.normal(0, 0.025, 3))
    out: Array = gain.astype(np.float32)
    return out


def _vignette(shape: tuple[int, ...], strength: float) -> Array:
    y, x = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    out: Array = (1 - strength * (x * x + y * y) / 2).astype(np.float32)
    return out


def _noisy(rng: Rng, taken: Array, noise: tuple[float, float]) -> Array:
    shot, read = noise
    spread = np.sqrt(np.maximum(taken, 0) * np.float32(shot) + np.float32(read * read))
    out: Array = taken + spread * rng.standard_normal(taken.shape, dtype=np.float32)
    return out


def _tone(gamma: float) -> Array:
    """Display values of the levels: a square root (near sRGB's curve), then a gamma."""
    light = np.linspace(0, 1, _STEPS + 1)
    bent = np.where(light > _KNEE, 1.0, light / _KNEE) ** (0.5 * gamma)
    out: Array = (bent * 255 + 0.5).astype(np.uint8)
    return out


def _bytes(taken: Array, table: Array) -> Array:
    levels = np.clip(taken * np.float32(_STEPS) + np.float32(0.5), 0, _STEPS)
    out: Array = table[levels.astype(np.uint16)]
    return out
