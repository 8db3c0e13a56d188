"""Dynamic programming along the rows: the exact minimum of each, nothing between them."""

import numpy as np

from fathom.classical.energy import Solution, Weights, checked, judged, over_rows
from fathom.classical.kernels import global_layout as kernels
from fathom.classical.parallel import thread_count
from fathom.core.arrays import UInt16
from fathom.core.errors import UsageError


def scanline_optimum(
    data: UInt16[np.ndarray, "h w d"],
    smoothness: int | Weights,
    truncation: int,
    *,
    occlusion: int | None = None,
    threads: int | None = None,
) -> Solution:
    """The labelling of least energy of every row by itself; rows do not know each other.

    Without `occlusion`: data terms, and smoothness terms along the row (Viterbi's algorithm with
    lower envelopes). The energies are (sum over the rows,).

    With `occlusion`: the labels are disparities, and a row's pixels are matched one to one and in
    the same order as those of the right row (uniqueness and ordering), or not at all (label -1).
    E = sum of data[p, L(p)] over the matched + occlusion for each pixel of either row that is left
    out; right pixels before the first and behind the last match are free (Cox, Hingorani, Rao and
    Maggs, CVIU 1996). Smoothness and truncation then only serve the margins.

    data: cost of each label. threads: None = all; they do not change the result.

    Raises `UsageError` for an occlusion cost that is not 1..32000, or terms as in `energy`.
    """
    weights = checked(data, smoothness, truncation)
    if occlusion is not None and not 1 <= occlusion <= 32000:
        raise UsageError(
            "is out of range", field="occlusion", value=occlusion, expected="1 to 32000"
        )
    height, width, count = data.shape
    terms = kernels.Terms(*(np.ascontiguousarray(a).reshape(-1) for a in (data, *weights)))
    shape = kernels.Shape(height, width, count, count, min(truncation, count))
    labels, energies = np.empty((height, width), np.int32), np.empty(height, np.int64)

    def part(top: int, bottom: int) -> None:
        room = np.empty(2 * count, np.int64)
        if occlusion is None:
            trace = np.empty(width * count, np.uint16)
            kernels.chain(terms, labels.reshape(-1), energies, room, trace, shape, top, bottom)
        else:
            steps = np.empty(width * count, np.uint8)
            flat = labels.reshape(-1)
            kernels.align(terms.data, flat, energies, room, steps, shape, occlusion, top, bottom)

    workers = thread_count(threads)
    over_rows(part, height, workers)
    return judged(labels, (float(energies.sum()),), terms, shape, threads=workers)


def bytes_needed(height: int, width: int, labels: int, threads: int) -> int:
    """Memory in bytes that `scanline_optimum` takes, its arguments excluded."""
    return height * width * 32 + threads * 2 * labels * (width + 16)
