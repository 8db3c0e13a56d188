"""What semi-global matching found, as the input channels of a net that builds on it."""

from dataclasses import replace

import numpy as np

from fathom.classical.confidence import with_filled
from fathom.classical.parallel import thread_count
from fathom.classical.sgm import SGM, SgmEvidence, sgm_evidence
from fathom.core.arrays import Array, Float32
from fathom.core.maps import Disparity
from fathom.core.pair import StereoPair

CHANNELS = 6
"""Layers of `evidence_channels`."""


def evidence_channels(
    evidence: SgmEvidence, settings: SGM | None = None
) -> Float32[np.ndarray, "6 h w"]:
    """Six layers, in this order. Disparities are in pixels, counted from the first one searched.

    Before anything was tested or filled: 0 the winner's disparity after a 3x3 median (as `SGM`
    takes it); 1 the winner's P(error <= 1 px), 0..1; 2 exp(-|left-right difference| in pixels), 0
    where the match leaves the right image; 3 the winner's lead: margin / (margin + its own cost +
    1), 0..1. After it: 4 the disparity that `SGM` gives, tested and filled; 5 its confidence.

    settings: what the evidence was made with: its tests and its threads.
    """
    settings = replace(settings or SGM(), fill=True, confidence=True)
    first = np.float32(evidence.range[0])
    out = np.empty((CHANNELS, *evidence.disparity.shape), np.float32)
    found: list[Disparity] = []

    def part(i: int) -> None:
        if i == 0:
            found.append(settings.tested(evidence))
        else:
            _untested(evidence, settings.threads, out)

    settings.side_by_side(evidence, part)
    filled = with_filled(found[0], out[1], thread_count(settings.threads))
    # a pair without a single match stays unknown
    np.subtract(np.nan_to_num(filled.values, nan=float(first)), first, out=out[4])
    out[5] = 0 if filled.confidence is None else np.nan_to_num(filled.confidence)
    return out


def _untested(evidence: SgmEvidence, threads: int | None, out: Array) -> None:
    """The first four layers into `out`."""
    import cv2

    smooth = cv2.medianBlur(np.ascontiguousarray(evidence.disparity), 3)
    np.subtract(smooth, np.float32(evidence.range[0]), out=out[0])
    out[1] = evidence.confidence(threads)
    np.exp(-np.nan_to_num(evidence.difference, nan=np.inf), out=out[2])
    margin = evidence.margin.astype(np.float32)
    np.divide(margin, margin + evidence.best + 1, out=out[3])


def pair_channels(pair: StereoPair, settings: SGM) -> Float32[np.ndarray, "6 h w"]:
    """`evidence_channels` of a pair. Raises as `SGM.__call__`."""
    return evidence_channels(sgm_evidence(pair, settings), settings)
