"""How a clip is cut into windows that overlap, and put together again: arithmetic without torch.

Hu et al., "DepthCrafter: Generating Consistent Long Depth Sequences for Open-world Videos", CVPR
2025, section 3.3; what the paper leaves open is as in the authors' code
(github.com/Tencent/DepthCrafter; facts only).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fathom.core.arrays import Float32
from fathom.core.errors import UsageError

_CELLS = 64
"""A latent pixel stands for 8 x 8 pixels."""


@dataclass(frozen=True)
class Window:
    """Frames first..end-1 of a clip. shared: how many of them, from its first on, the window before
    holds as well."""

    first: int
    end: int
    shared: int

    @property
    def length(self) -> int:
        """Number of frames."""
        return self.end - self.first


def windows(frames: int, length: int, overlap: int) -> tuple[Window, ...]:
    """The windows of a clip, in their order: every frame is in one at least.

    All but the last have `length` frames, and each but the first shares `overlap` with the one
    before. A clip of up to `length` frames is one window.

    Raises `UsageError` for no frames, no length, or an overlap that leaves nothing new in a window.
    """
    for name, value in (("frames", frames), ("window", length)):
        if value < 1:
            raise UsageError("is below 1", field=name, value=value, expected="1 or more")
    if not 0 <= overlap < length:
        raise UsageError(
            "leaves no new frame in a window", field="overlap", value=overlap,
            expected=f"0..{length - 1}, for windows of {length} frames",
        )  # fmt: skip
    if frames <= length:
        return (Window(0, frames, 0),)
    starts = range(0, frames - overlap, length - overlap)
    return tuple(Window(s, min(s + length, frames), overlap if s else 0) for s in starts)


def ramp(overlap: int) -> Float32[np.ndarray, " n"]:
    """How much the later window counts in each frame that two share: 0 in the first, 1 in the last,
    linear between; the earlier window counts for the rest. Of one frame the earlier one decides."""
    return np.linspace(0, 1, overlap, dtype=np.float32)


def joined(before: Any, after: Any, shared: int, weights: Any, cat: Any) -> Any:
    """What is known so far with the next window behind it, blended where both have frames.

    before (n, ...), after (m, ...): arrays or tensors, frames first. weights: `ramp(shared)` in a
    shape that fits them. cat: numpy's concatenate or torch's cat.
    """
    if not shared:
        return cat([before, after])
    both = after[:shared] * weights + before[-shared:] * (1 - weights)
    return cat([before[:-shared], both, after[shared:]])


def clip_size(height: int, width: int, longest: int, multiple: int = 64) -> tuple[int, int]:
    """Height and width at which a clip is worked out: the nearest multiples of `multiple`; where
    one were above `longest`, those of the frames shrunk to it; never below one multiple."""
    rows, columns = (round(n / multiple) * multiple for n in (height, width))
    if max(rows, columns) > longest:
        scale = longest / max(height, width)
        rows, columns = (round(n * scale / multiple) * multiple for n in (height, width))
    return max(rows, multiple), max(columns, multiple)


def least_memory(
    size: tuple[int, int],
    frames: int,
    window: int,
    chunk: int,
    channels: tuple[int, int],
    bytes_a_number: int,
) -> int:
    """Bytes that a clip takes at least, weights excluded: no more than what surely lies in memory.

    size: height, width in pixels of what the nets see. channels: of the widest maps of the U-Net
    (at an eighth of the size) and of the decoder (at full size). A feed-forward layer of the U-Net
    holds 8 times as many for a window; the decoder holds 4 of its maps for each frame of a chunk.
    The clip's answers are float32.
    """
    height, width = size
    unet = min(window, frames) * (height * width // _CELLS) * 8 * channels[0]
    decoder = min(chunk, frames) * height * width * 4 * channels[1]
    return max(unet, decoder) * bytes_a_number + frames * height * width * 4
