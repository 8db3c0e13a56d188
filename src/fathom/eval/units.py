"""Is the estimate in the unit of the truth? What a median ratio far from one means."""

import numpy as np

from fathom.core.arrays import Array

_LOW, _HIGH = 0.6, 1.7
_CLOSE = 0.15
_SAMPLE = 20_000
_FACTORS: dict[float, str] = {
    1000: "millimetres against metres",
    256: "KITTI's PNG factor 256",
    100: "centimetres against metres",
    5000: "TUM's PNG factor 5000",
    16: "OpenCV's fixed point, pixels x 16",
    128: "DrivingStereo's factor 128",
    32: "a factor of 32 (CREStereo, VPI)",
    65536: "16 bits against 0..1",
    255: "8 bits against 0..1",
}
_SIZES = {2: "half", 4: "a quarter", 3: "a third"}


def unit_notes(estimate: Array, truth: Array, quantity: str) -> tuple[str, ...]:
    """What looks like another unit, sign or meaning, in plain words; mostly nothing.

    estimate, truth: values of the same pixels, all known. Judged by the median of their ratio and
    by whether one falls where the other grows, on up to 20,000 pixels taken evenly.
    """
    step = max(1, truth.size // _SAMPLE)
    e, t = estimate[::step].astype(np.float64), truth[::step].astype(np.float64)
    e, t = e[t != 0], t[t != 0]
    if e.size < 2:
        return ()
    ratio = float(np.median(e / t))
    notes = []
    if not _LOW <= ratio <= _HIGH:
        notes.append(_ratio_note(ratio, quantity))
    if _falls(e, t):
        notes.append(
            "the estimate falls where the truth grows: depth against inverse depth or disparity?"
        )
    return tuple(notes)


def _ratio_note(ratio: float, quantity: str) -> str:
    start = f"the estimate is {ratio:.4g} times the truth (median ratio)"
    if ratio == 0:
        return f"{start}: is it a map of {quantity} at all?"
    if ratio < 0:
        rest = "" if _LOW <= -ratio <= _HIGH else f", and {-ratio:.4g} times as large"
        return f"{start}: the sign is turned{rest}; fathom's disparity is x_left - x_right"
    size = max(ratio, 1 / ratio)
    near = min(_FACTORS, key=lambda f: abs(np.log(size / f)))
    if abs(np.log(size / near)) <= np.log1p(_CLOSE):
        which, do = ("estimate", "divide") if ratio > 1 else ("truth", "multiply")
        return f"{start}: is the {which} in {_FACTORS[near]}? {do} by {near:g}"
    small = round(size)
    if quantity == "disparity" and small in _SIZES and abs(size / small - 1) <= _CLOSE:
        which = "truth" if ratio > 1 else "estimate"
        return (
            f"{start}: was the {which} made at {_SIZES[small]} of the size and its disparity not "
            f"multiplied by {small}?"
        )
    return f"{start}: another unit, another rig or a scale that was never fitted?"


def _falls(estimate: Array, truth: Array) -> bool:
    """Whether ranks run against each other (Spearman below -0.5)."""
    if estimate.size < 50 or np.ptp(truth) == 0 or np.ptp(estimate) == 0:
        return False
    step = max(1, estimate.size // 2000)
    ranks = [np.argsort(np.argsort(v[::step])) for v in (estimate, truth)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1]) < -0.5
