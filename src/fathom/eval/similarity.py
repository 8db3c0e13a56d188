"""Structural similarity of two maps, as scikit-image defines it, with its full map."""

from dataclasses import dataclass

import numpy as np

from fathom.core.arrays import Float32
from fathom.core.errors import InputError, UsageError
from fathom.eval.metrics import require_same_size

_WINDOW = 7


@dataclass(frozen=True, eq=False)
class Similarity:
    """SSIM of two maps.

    score: mean over the windows that were used, at most 1; NaN if none was. values: float32 (h, w),
    the similarity of the window around each pixel, bright (1) means alike, NaN where the window
    touches an unknown pixel or the border. data_range: the range the constants were scaled by, in
    the maps' unit; the score depends on it. left_out: share 0..1 of the windows inside the border
    that touch an unknown pixel.
    """

    score: float
    values: Float32[np.ndarray, "h w"]
    data_range: float
    left_out: float

    def __str__(self) -> str:
        return (
            f"SSIM {self.score:.3f} (data range {self.data_range:.4g}, "
            f"{self.left_out:.1%} of the windows left out as unknown)"
        )


def structural_similarity(
    estimate: Float32[np.ndarray, "h w"],
    truth: Float32[np.ndarray, "h w"],
    *,
    data_range: float | None = None,
    window: int = _WINDOW,
) -> Similarity:
    """SSIM of two maps of one unit; NaN is unknown in either.

    data_range: largest minus smallest possible value; None takes the range of the known truth,
    because a range far above what the maps hold calls everything alike. window: odd side in pixels.
    Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE
    TIP 2004, eq. 13, with scikit-image's defaults (uniform 7x7 windows, sample covariance); windows
    that leave the image do not count.

    Raises `InputError` for maps of different size or smaller than the window, or a truth that is
    constant or unknown (it has no range), `UsageError` for an even window or a range that is not
    positive.
    """
    from skimage.metrics import structural_similarity as scikit_image

    require_same_size((estimate.shape[0], estimate.shape[1]), (truth.shape[0], truth.shape[1]))
    if window < 3 or window % 2 == 0:
        raise UsageError("is no window", field="window", value=window, expected="3, 5, 7 ...")
    if min(truth.shape) < window:
        raise InputError(
            "is smaller than the window of SSIM",
            field="map",
            value=f"{truth.shape[1]}x{truth.shape[0]}",
            expected=f"{window}x{window} or more",
        )
    scale = _range(truth) if data_range is None else data_range
    if not scale > 0:
        raise UsageError("is not positive", field="data_range", value=scale, expected="> 0")
    unknown = np.isnan(estimate) | np.isnan(truth)
    # The filters carry sums along, so that an unknown value must be replaced, not only masked.
    neutral = float(truth[~np.isnan(truth)].mean()) if data_range is None else 0.0
    filled = [np.where(unknown, neutral, m).astype(np.float64) for m in (estimate, truth)]
    _, full = scikit_image(*filled, win_size=window, data_range=scale, full=True)  # type: ignore[no-untyped-call]
    inside = np.zeros(truth.shape, dtype=np.bool_)
    pad = window // 2
    inside[pad : truth.shape[0] - pad, pad : truth.shape[1] - pad] = True
    touched = _grown(unknown, window)
    used = inside & ~touched
    values = np.where(used, full, np.nan).astype(np.float32)
    score = float(full[used].mean(dtype=np.float64)) if used.any() else float("nan")
    return Similarity(score, values, float(scale), float(touched[inside].mean()))


def picture_similarity(
    estimate: Float32[np.ndarray, "h w"],
    truth: Float32[np.ndarray, "h w"],
    *,
    window: int = _WINDOW,
) -> Similarity:
    """SSIM of two maps as of the 8-bit pictures that are commonly saved of them: data range 255.

    Each map is stretched over 0..255 by its own smallest and largest known value and rounded (so
    do OpenCV's NORM_MINMAX and the depth pictures of common pipelines), which forgives any scale
    and shift: a metre too much costs nothing. `structural_similarity` with the truth's range does
    not forgive it. A constant estimate becomes black.

    Raises as `structural_similarity`.
    """
    _range(truth)
    pictures = (_as_picture(estimate), _as_picture(truth))
    return structural_similarity(*pictures, data_range=255.0, window=window)


def _as_picture(values: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Whole numbers 0..255, NaN kept."""
    known = values[~np.isnan(values)].astype(np.float64)
    low = float(known.min()) if known.size else 0.0
    extent = (float(known.max()) - low if known.size else 0.0) or 1.0
    picture: Float32[np.ndarray, "h w"] = np.rint(
        (values.astype(np.float64) - low) * (255 / extent)
    ).astype(np.float32)
    return picture


def _range(truth: Float32[np.ndarray, "h w"]) -> float:
    known = truth[~np.isnan(truth)]
    extent = float(known.max() - known.min()) if known.size else 0.0
    if extent == 0:
        raise InputError(
            "is constant or unknown, so SSIM has no data range",
            field="truth",
            remedy="give data_range",
        )
    return extent


def _grown(mask: np.ndarray, side: int) -> np.ndarray:
    import cv2

    grown: np.ndarray = cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    return grown
