"""Does a video of depth flicker? With truth and without it, one frame at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fathom.core.arrays import Float32
from fathom.eval.metrics import require_same_size

Map = Float32[np.ndarray, "h w"]


@dataclass(frozen=True)
class TemporalError:
    """How much the error changes from frame to frame.

    mean: mean over all pixels and steps of |change of the estimate - change of the truth|, in the
    maps' unit. share: 0..1 of them above the threshold. pixels: how many there were; frames.
    """

    mean: float
    share: float
    threshold: float
    pixels: int
    frames: int


def temporal_error(frames: Iterable[tuple[Map, Map]], threshold: float = 3.0) -> TemporalError:
    """Change of the error between neighbouring frames; frames: (estimate, truth), NaN unknown.

    The temporal end-point error of Karaev et al., "DynamicStereo", CVPR 2023, section 4, taken per
    step: |(d_t - d_t-1) - (g_t - g_t-1)|, where both are known in both frames. A constant error
    does not flicker. Only two frames are held. NaN if nothing is known.

    Raises `InputError` for maps of different size.
    """
    total, above, pixels, count = 0.0, 0, 0, 0
    last = None
    for error in _errors(frames):
        count += 1
        if last is not None:
            require_same_size(_size(error), _size(last))
            step = np.abs(error - last)
            known = step[~np.isnan(step)]
            total += float(known.sum(dtype=np.float64))
            above += int(np.count_nonzero(known > threshold))
            pixels += known.size
        last = error
    empty = pixels == 0
    return TemporalError(
        float("nan") if empty else total / pixels,
        float("nan") if empty else above / pixels,
        threshold,
        pixels,
        count,
    )


def flicker(frames: Iterable[Map]) -> float:
    """Mean |d_t - (d_t-1 + d_t+1) / 2| over all pixels and frames: flicker without a truth.

    frames: maps of one size, NaN unknown. The second difference is blind to what moves evenly
    along the line of sight, but not to objects that pass: compare methods on one video, or mask
    what moves. Only three frames are held. NaN for fewer than three frames or nothing known.

    Raises `InputError` for maps of different size.
    """
    meter = FlickerMeter()
    for frame in frames:
        meter.add(frame)
    return meter.value


class FlickerMeter:
    """`flicker` of frames that come one at a time; it holds the last two."""

    def __init__(self) -> None:
        self._last: list[Map] = []
        self._total, self._pixels = 0.0, 0

    def add(self, frame: Map) -> None:
        """The next frame. Raises `InputError` for one of another size."""
        if self._last:
            require_same_size(_size(frame), _size(self._last[-1]))
        if len(self._last) == 2:
            before, last = self._last
            bend = np.abs(last - (before + frame) / 2)
            known = bend[~np.isnan(bend)]
            self._total += float(known.sum(dtype=np.float64))
            self._pixels += known.size
        self._last = [*self._last[-1:], frame]

    @property
    def value(self) -> float:
        """As `flicker`; NaN for fewer than three frames or nothing known."""
        return self._total / self._pixels if self._pixels else float("nan")


def _errors(frames: Iterable[tuple[Map, Map]]) -> Iterator[Map]:
    for estimate, truth in frames:
        require_same_size(_size(estimate), _size(truth))
        yield estimate - truth


def _size(values: Map) -> tuple[int, int]:
    return values.shape[0], values.shape[1]
