"""What augmentation does to the looks of views: colour, gamma, statistics, blur, noise."""

from typing import Any

import numpy as np

from fathom.core.arrays import Array

Rng = np.random.Generator
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def colored(
    left: Array, right: Array, rng: Rng, *, change: bool, spread: bool, uneven: bool
) -> tuple[Array, Array]:
    """Both views in other colours. change: brightness, contrast, saturation, hue and gamma.
    spread: each channel's mean and spread are perturbed (Wang et al., "Domain generalized stereo
    by perturbing feature statistics"; Chuah et al., CVPR 2022, do it inside the net). uneven: the
    right view by numbers of its own."""
    out = []
    words = _words(rng)
    for image in (left, right):
        most = np.float32(np.iinfo(image.dtype).max)
        view = image.astype(np.float32) / most
        if change:
            view = jittered(view, words)
        if spread:
            view = _respread(view, words)
        out.append(np.clip(view * most + np.float32(0.5), 0, most).astype(image.dtype))
        if uneven:
            words = _words(rng)
    return out[0], out[1]


def _words(rng: Rng) -> dict[str, Any]:
    """The numbers of one change."""
    return {
        "gain": np.float32(rng.uniform(0.65, 1.4)),
        "contrast": np.float32(rng.uniform(0.6, 1.4)),
        "saturation": np.float32(rng.uniform(0.0, 1.5)),
        "hue": np.float32(rng.uniform(-0.5, 0.5)),
        "gamma": np.float32(np.exp(rng.uniform(-0.35, 0.35))),
        "mean": rng.normal(0, 0.08, 3).astype(np.float32),
        "spread": np.exp(rng.normal(0, 0.25, 3)).astype(np.float32),
    }


def jittered(view: Array, words: dict[str, Any]) -> Array:
    """A view in 0..1 with `words`: gain, contrast and saturation as factors, hue in radians, gamma
    as an exponent."""
    view = view * words["gain"]
    middle = view.mean()
    view = middle + (view - middle) * words["contrast"]
    luma = (view @ _LUMA)[..., None]
    view = luma + (view - luma) @ _turn(float(words["hue"])) * words["saturation"]
    # the root is of 0..1 only
    out: Array = np.clip(view, 0, 1) ** words["gamma"]
    return out


def _turn(angle: float) -> Array:
    """Turns colours about the grey axis by so many radians (Rodrigues)."""
    axis = np.full(3, 3**-0.5)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) * 3**-0.5
    made = (
        np.cos(angle) * np.eye(3) + np.sin(angle) * cross
        + (1 - np.cos(angle)) * np.outer(axis, axis)
    )  # fmt: skip
    out: Array = made.T.astype(np.float32)
    return out


def _respread(view: Array, words: dict[str, Any]) -> Array:
    mean = view.mean((0, 1))
    out: Array = (view - mean) * words["spread"] + mean + words["mean"]
    return out


def blurred(image: Array, sigma: float) -> Array:
    """The view blurred by a Gaussian of `sigma` pixels."""
    import cv2

    out: Array = cv2.GaussianBlur(image, (0, 0), max(sigma, 0.1))
    return out


def noisy(image: Array, rng: Rng) -> Array:
    """The view with noise of its own: Gaussian, up to 5 % of the range."""
    most = np.float32(np.iinfo(image.dtype).max)
    sigma = most * np.float32(0.05 * rng.random() ** 2)
    taken = image + sigma * rng.standard_normal(image.shape, dtype=np.float32)
    out: Array = np.clip(taken + np.float32(0.5), 0, most).astype(image.dtype)
    return out
