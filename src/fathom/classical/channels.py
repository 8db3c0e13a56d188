"""What semi-global matching found, as the input channels of a net that builds on it."""

import numpy as np

from fathom.classical.sgm import SGM, SgmEvidence, sgm_evidence
from fathom.core.arrays import Float32
from fathom.core.pair import StereoPair

CHANNELS = 4
"""Layers of `evidence_channels`."""


def evidence_channels(
    evidence: SgmEvidence, threads: int | None = None
) -> Float32[np.ndarray, "4 h w"]:
    """Four layers, in this order, before anything was tested or filled:

    0 the winner's disparity in pixels, counted from the first one searched, after a 3x3 median (as
    `SGM` takes it); 1 the winner's P(error <= 1 px), 0..1; 2 exp(-|left-right difference| in pixels), 0 where the match leaves the right image; 3 the
    winner's lead: margin / (margin + its own cost + 1), 0..1.
    """
    import cv2

    out = np.empty((CHANNELS, *evidence.disparity.shape), np.float32)
    smooth = cv2.medianBlur(np.ascontiguousarray(evidence.disparity), 3)
    np.subtract(smooth, np.float32(evidence.range[0]), out=out[0])
    out[1] = evidence.confidence(threads)
    np.exp(-np.nan_to_num(evidence.difference, nan=np.inf), out=out[2])
    margin = evidence.margin.astype(np.float32)
    np.divide(margin, margin + evidence.best + 1, out=out[3])
    return out


def pair_channels(pair: StereoPair, settings: SGM) -> Float32[np.ndarray, "4 h w"]:
    """`evidence_channels` of a pair. Raises as `SGM.__call__`."""
    return evidence_channels(sgm_evidence(pair, settings), settings.threads)
