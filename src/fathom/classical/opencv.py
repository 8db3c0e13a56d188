"""`opencv-bm` and `opencv-sgbm`: OpenCV's matchers, guarded and filled.

OpenCV checks few of its parameters: a uniqueness ratio of 100 divides by zero and ends the
process (opencv#29761), a range wider than the image asks for 2^64 bytes, a narrow one reads
memory nobody wrote (opencv#25828), and columns without a full search range are lost (opencv#9783
for the right side). So every parameter is checked here first, and the images are continued to
both sides by the search range, so that every column is searched. What then matches the
continuation instead of the image is unknown, and filled like other unknown pixels.
"""

from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np

from fathom.classical.fill import fill
from fathom.classical.memory import check_memory
from fathom.classical.ranges import resolve_range
from fathom.core.arrays import Array, Bool, Float32
from fathom.core.errors import InputError, UsageError
from fathom.core.estimator import Needs
from fathom.core.maps import Disparity, Source
from fathom.core.pair import StereoPair

_MODES = ("sgbm", "hh", "3way", "hh4")
_FORGOTTEN = 64
"""Pixels after which a path has mostly forgotten where it began."""
_LARGEST = 2000
"""OpenCV stores disparities in 16 bits as 1/16 px."""


def _bounded(default: Any, low: int, high: int, help_text: str, *, odd: bool = False) -> Any:
    return field(
        default=default, metadata={"help": help_text, "low": low, "high": high, "odd": odd}
    )


@dataclass(frozen=True, kw_only=True)
class OpenCVSGBM:
    """OpenCV's semi-global block matching (Hirschmueller 2008 with Birchfield-Tomasi costs).

    The fields carry OpenCV's names in snake case. Grey 8-bit images (16-bit ones are stretched).
    Deterministic; has no confidence of its own. The default mode, hh4, left the fewest bad pixels
    of the four after filling, on Motorcycle and the pairs of shared/data/pairs_gt.

    Raises `UsageError` for a parameter out of its range.
    """

    max_disparity: int | None = _bounded(
        None, -_LARGEST, _LARGEST, "disparities searched end before this (px); default: from rig"
    )
    min_disparity: int = _bounded(
        0, -_LARGEST, _LARGEST, "smallest disparity searched (px), may be negative"
    )
    mode: Literal["sgbm", "hh", "3way", "hh4"] = field(
        default="hh4",
        metadata={"help": "paths: sgbm 5, hh 8, 3way 3 (fastest, least memory), hh4 4 (best)"},
    )
    block_size: int = _bounded(3, 1, 21, "side of the matched block (px), odd", odd=True)
    p1: int | None = _bounded(None, 0, 10**4, "cost of a step of 1 px; default: 8 block_size^2")
    p2: int | None = _bounded(None, 1, 10**4, "cost of a larger jump; default: 32 block_size^2")
    disp12_max_diff: int = _bounded(
        1, -1, _LARGEST, "largest left-right difference (px), else unknown; -1: no check"
    )
    pre_filter_cap: int = _bounded(63, 1, 127, "cap of the prefiltered pixels")
    uniqueness_ratio: int = _bounded(
        10, 0, 99, "percent by which the winner must beat the second best, else unknown"
    )
    speckle_window_size: int = _bounded(
        100, 0, 10**6, "islands of up to so many pixels become unknown; 0: keep"
    )
    speckle_range: int = _bounded(2, 0, 100, "step between neighbours of one island (px)")
    fill: bool = field(default=True, metadata={"help": "fill unknown pixels from their neighbours"})

    def __post_init__(self) -> None:
        _check(self)
        if self.mode not in _MODES:
            raise UsageError(
                "is no mode of OpenCV's SGBM",
                field="mode",
                value=self.mode,
                expected=" or ".join(_MODES),
            )
        p1, p2 = self._penalties()
        if p2 <= p1:
            raise UsageError("is not above p1", field="p2", value=p2, expected=f"more than {p1}")

    def needs(self, pair: StereoPair) -> Needs:
        """What tiles of a pair must know (see `Needs`)."""
        volumes = 4 if self.mode in ("hh", "hh4") else 0
        return _needs(pair, self, volumes, max(_FORGOTTEN, self.speckle_window_size))

    def _penalties(self) -> tuple[int, int]:
        area = self.block_size**2
        return (
            8 * area if self.p1 is None else self.p1,
            32 * area if self.p2 is None else self.p2,
        )

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """Disparity of the left view, float32 pixels; NaN where unknown (never with `fill`).

        Raises `InputError` for images smaller than the block, `UsageError` for a range outside
        the images, `ResourceError` if the modes hh and hh4 need more memory than there is.
        """
        import cv2

        p1, p2 = self._penalties()
        modes = (
            cv2.STEREO_SGBM_MODE_SGBM,
            cv2.STEREO_SGBM_MODE_HH,
            cv2.STEREO_SGBM_MODE_SGBM_3WAY,
            cv2.STEREO_SGBM_MODE_HH4,
        )

        def build(first: int, count: int) -> Any:
            if self.mode in ("hh", "hh4"):
                # two volumes of 16-bit costs over the continued image
                width = pair.size[0] + abs(first) + count
                check_memory(pair, count, 4 * width * pair.size[1] * count)
            return cv2.StereoSGBM.create(
                first,
                count,
                self.block_size,
                p1,
                p2,
                self.disp12_max_diff,
                self.pre_filter_cap,
                self.uniqueness_ratio,
                self.speckle_window_size,
                self.speckle_range,
                modes[_MODES.index(self.mode)],
            )

        return _match(pair, self, build)


@dataclass(frozen=True, kw_only=True)
class OpenCVBM:
    """OpenCV's block matching: sums of absolute differences, winner takes all.

    The fields carry OpenCV's names in snake case. Grey 8-bit images (16-bit ones are stretched).
    Deterministic; has no confidence of its own.

    Raises `UsageError` for a parameter out of its range.
    """

    max_disparity: int | None = _bounded(
        None, -_LARGEST, _LARGEST, "disparities searched end before this (px); default: from rig"
    )
    min_disparity: int = _bounded(
        0, -_LARGEST, _LARGEST, "smallest disparity searched (px), may be negative"
    )
    block_size: int = _bounded(15, 5, 255, "side of the matched block (px), odd", odd=True)
    pre_filter_size: int = _bounded(9, 5, 255, "window of the prefilter (px), odd", odd=True)
    # With caps from 32 to 63 OpenCV's answer differed between repeats for 13 to 23 % of random
    # settings; with 31 and less it never did.
    pre_filter_cap: int = _bounded(31, 1, 31, "cap of the prefiltered pixels")
    texture_threshold: int = _bounded(10, 0, 10**6, "blocks with less texture become unknown")
    uniqueness_ratio: int = _bounded(
        10, 0, 99, "percent by which the winner must beat the second best, else unknown"
    )
    disp12_max_diff: int = _bounded(
        1, -1, _LARGEST, "largest left-right difference (px), else unknown; -1: no check"
    )
    speckle_window_size: int = _bounded(
        100, 0, 10**6, "islands of up to so many pixels become unknown; 0: keep"
    )
    speckle_range: int = _bounded(2, 0, 100, "step between neighbours of one island (px)")
    fill: bool = field(default=True, metadata={"help": "fill unknown pixels from their neighbours"})

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """As `OpenCVSGBM.__call__`."""
        import cv2

        def build(first: int, count: int) -> Any:
            matcher = cv2.StereoBM.create(count, self.block_size)
            matcher.setMinDisparity(first)
            matcher.setPreFilterType(cv2.StereoBM_PREFILTER_XSOBEL)
            matcher.setPreFilterSize(self.pre_filter_size)
            matcher.setPreFilterCap(self.pre_filter_cap)
            matcher.setTextureThreshold(self.texture_threshold)
            matcher.setUniquenessRatio(self.uniqueness_ratio)
            matcher.setDisp12MaxDiff(self.disp12_max_diff)
            matcher.setSpeckleWindowSize(self.speckle_window_size)
            matcher.setSpeckleRange(self.speckle_range)
            return matcher

        return _match(pair, self, build)

    def needs(self, pair: StereoPair) -> Needs:
        """What tiles of a pair must know (see `Needs`)."""
        return _needs(pair, self, 0, self.pre_filter_size // 2 + self.speckle_window_size)


def _needs(
    pair: StereoPair, settings: OpenCVSGBM | OpenCVBM, volume_bytes: int, margin: int
) -> Needs:
    """volume_bytes: held for a pixel of the continued images and disparity."""
    first, end = resolve_range(pair, settings.min_disparity, settings.max_disparity)

    def memory(height: int, width: int, levels: int) -> int:
        count = -(-levels // 16) * 16
        continued = width + abs(first) + count
        return continued * (volume_bytes * height * count + 64 * count + 48 * height)

    reach = settings.block_size // 2 + 2
    return Needs(first, end, memory, reach + min(margin, 256), refill=True)


def _check(settings: OpenCVSGBM | OpenCVBM) -> None:
    for item in fields(settings):
        value = getattr(settings, item.name)
        if "low" not in item.metadata or (value is None and item.default is None):
            continue
        low, high = item.metadata["low"], item.metadata["high"]
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        odd = item.metadata["odd"]
        if not whole or not low <= value <= high or (odd and value % 2 == 0):
            kind = "an odd number" if odd else "a whole number"
            raise UsageError(
                "is out of range",
                field=item.name,
                value=value,
                expected=f"{kind} from {low} to {high}",
            )
    if settings.max_disparity is not None and settings.max_disparity <= settings.min_disparity:
        raise UsageError(
            "leaves no disparities to search",
            field="max_disparity",
            value=settings.max_disparity,
            expected=f"more than min_disparity = {settings.min_disparity}",
        )


def _match(pair: StereoPair, settings: OpenCVSGBM | OpenCVBM, build: Any) -> Disparity:
    """Runs a matcher on the continued images and keeps what lies in the image and the range."""
    import cv2

    width, height = pair.size
    side = max(settings.block_size, 5)
    if min(width, height) < side:
        raise InputError(
            f"is smaller than the block of {side} px that is matched",
            field="image size",
            value=f"{width}x{height}",
            expected=f"at least {side}x{side}",
            remedy="take a smaller block_size" if side > 5 else None,
        )
    first, end = resolve_range(pair, settings.min_disparity, settings.max_disparity)
    if end > _LARGEST or first < -_LARGEST:
        raise UsageError(
            f"OpenCV's matchers end at {_LARGEST} px",
            field="max_disparity",
            value=end,
            expected=f"disparities from {-_LARGEST} to {_LARGEST}",
        )
    count = -(-(end - first) // 16) * 16
    # a block reaches half its side over the image; without these rows it would be unknown there
    rows = settings.block_size // 2
    left, right = max(0, first + count) + side, max(0, -first) + side
    views = [
        cv2.copyMakeBorder(np.ascontiguousarray(g), rows, rows, left, right, cv2.BORDER_REPLICATE)
        for g in (pair.left.gray8, pair.right.gray8)
    ]
    raw = build(first, count).compute(*views)[rows : rows + height, left : left + width]
    values = raw.astype(np.float32) / np.float32(16)
    known = _inside(values, first, end) & (raw > (first - 1) * 16)
    found = Disparity(
        np.where(known, values, np.float32(np.nan)),
        None,
        np.where(known, np.uint8(Source.MATCHED), np.uint8(Source.UNKNOWN)),
        (float(first), float(end - 1)),
    )
    return fill(found) if settings.fill else found


def _inside(values: Float32[np.ndarray, "h w"], first: int, end: int) -> Bool[np.ndarray, "h w"]:
    """True where the disparity was asked for and its match lies in the right image."""
    width = values.shape[1]
    match = np.arange(width, dtype=np.float32) - values
    out: Array = (values >= first) & (values <= end - 1) & (match >= 0) & (match <= width - 1)
    return out
