"""An estimate, its truth and a protocol: the score."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import StereoRig
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Depth, Disparity, RelativeDepth
from fathom.core.sample import MonoSample, StereoSample
from fathom.eval.alignment import Alignment, AlignmentName, align
from fathom.eval.interpolation import enlarge, fill_background
from fathom.eval.judged import Judged
from fathom.eval.masks import find_mask, has_mask
from fathom.eval.metrics import require_same_size
from fathom.eval.protocol import Protocol
from fathom.eval.protocols import protocol as find_protocol
from fathom.eval.scores import Scores
from fathom.eval.units import unit_notes

Estimate = Disparity | Depth | RelativeDepth
Truth = StereoSample | MonoSample | Disparity | Depth
_BY_AMBIGUITY: dict[str, AlignmentName] = {
    "scale": "median",
    "affine": "depth",
    "affine_inverse": "inverse-depth",
}
_ALLOWED = {
    "scale": ("median", "depth"),
    "affine": ("depth",),
    "affine_inverse": ("inverse-depth",),
}


def score(
    estimate: Estimate, truth: Truth, protocol: Protocol | str, *, mask: str | None = None
) -> Scores:
    """The estimate's numbers under a protocol.

    estimate: seen from the same view as the truth. truth: a sample with masks and rig, or a true
    map alone. mask: one of the terms that protocols know (`nonocc`, `nonocc+foreground`); None
    takes the protocol's first. Disparities become metres where the protocol asks for depth and the
    sample has a rig.

    Raises `UsageError` for an unknown protocol or mask, and for an estimate that the protocol
    cannot judge; `InputError` for maps of different size, a missing mask, or no pixel to judge.
    """
    chosen = find_protocol(protocol) if isinstance(protocol, str) else protocol
    return _score(_prepare(estimate, truth, chosen), chosen, mask or chosen.masks[0])


def score_masks(estimate: Estimate, truth: Truth, protocol: Protocol | str) -> tuple[Scores, ...]:
    """`score` for each of the protocol's masks that the sample has and that leaves a pixel.

    Raises as `score`; also `InputError` if no mask is left.
    """
    chosen = find_protocol(protocol) if isinstance(protocol, str) else protocol
    ready = _prepare(estimate, truth, chosen)
    found = []
    for mask in chosen.masks:
        if has_mask(mask, ready.masks) and (ready.base & ready.mask(mask)).any():
            found.append(_score(ready, chosen, mask))
    if not found:
        wanted = ", ".join(chosen.masks)
        raise InputError(
            f"no mask of {chosen.name} leaves a pixel to judge", field="mask", expected=wanted
        )
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Ready:
    """Both maps in the protocol's unit and size, and what every mask shares."""

    name: str
    estimate: Array
    original: Array
    truth: Array
    base: Array
    masks: Mapping[str, Array]
    layers: Mapping[str, Array | None]
    rule: AlignmentName
    doffs: float

    def mask(self, name: str) -> Array:
        return find_mask(name, self.masks, self.truth)


def _prepare(estimate: Estimate, truth: Truth, protocol: Protocol) -> _Ready:
    true, masks, rig, name = _unpack(truth)
    values_true = _true_values(true, protocol, rig)
    rule = _rule(estimate, protocol)
    values = _values(estimate, protocol, rig, rule)
    layers = {
        "confidence": estimate.confidence,
        # A sigma in metres says nothing about a map that was stretched to fit.
        "sigma": estimate.sigma if isinstance(estimate, Depth) and rule == "none" else None,
        "measured": estimate.measured,
    }
    shape = (values_true.shape[0], values_true.shape[1])
    if protocol.enlarge == (1,):
        require_same_size(estimate.shape, shape)
    else:
        values, factor = enlarge(values, shape, protocol.enlarge)
        layers = {k: _repeated(v, factor) for k, v in layers.items()}
    original = values
    if protocol.clip and protocol.quantity == "disparity":
        most = np.inf if rig is None or rig.max_disparity is None else rig.max_disparity
        values = np.clip(values, np.float32(0), np.float32(most))
    if protocol.unknown == "filled":
        values = fill_background(values)
    doffs = rig.doffs if rig is not None else 0.0
    base = _judged(values_true, protocol)
    return _Ready(name, values, original, values_true, base, masks, layers, rule, doffs)


def _unpack(truth: Truth) -> tuple[Disparity | Depth, Mapping[str, Array], StereoRig | None, str]:
    if isinstance(truth, (Disparity, Depth)):
        return truth, MappingProxyType({}), None, ""
    if truth.truth is None:
        raise InputError("has no truth to judge by", field=f"sample {truth.name}".strip())
    rig = truth.pair.rig if isinstance(truth, StereoSample) else None
    return truth.truth, truth.masks, rig, truth.name


def _true_values(truth: Disparity | Depth, protocol: Protocol, rig: StereoRig | None) -> Array:
    if protocol.quantity == "depth":
        return truth.to_depth(rig).values if isinstance(truth, Disparity) else truth.values
    if isinstance(truth, Depth):
        raise UsageError(
            f"{protocol.name} judges disparities, and the truth is a depth",
            field="truth",
            remedy="take a protocol of depth, such as fathom-depth",
        )
    return truth.values


def _values(
    estimate: Estimate, protocol: Protocol, rig: StereoRig | None, rule: AlignmentName
) -> Array:
    """The estimate in the protocol's quantity; relative inverse depth stays as it is."""
    if protocol.quantity == "disparity":
        if not isinstance(estimate, Disparity):
            raise UsageError(
                f"{protocol.name} judges disparities, and the estimate is "
                f"a {type(estimate).__name__}",
                field="estimate",
                remedy="take a protocol of depth, such as fathom-depth or affine-invariant",
            )
        return estimate.values
    inverse = rule == "inverse-depth"
    if isinstance(estimate, Disparity):
        # A disparity is inverse depth up to scale and shift, with or without a rig.
        return estimate.values if inverse else estimate.to_depth(rig).values
    if inverse and isinstance(estimate, Depth):
        inverted: Array = 1 / estimate.values
        return inverted
    return estimate.values


def _rule(estimate: Estimate, protocol: Protocol) -> AlignmentName:
    """How this estimate is aligned under the protocol."""
    wanted = protocol.alignment
    if not isinstance(estimate, RelativeDepth):
        return "depth" if wanted == "as-predicted" else wanted
    if wanted == "as-predicted":
        return _BY_AMBIGUITY[estimate.ambiguity]
    allowed = _ALLOWED[estimate.ambiguity]
    if wanted not in allowed:
        what = "does not align" if wanted == "none" else f"aligns by {wanted}"
        raise UsageError(
            f"{protocol.name} {what}, and the estimate is known up to '{estimate.ambiguity}' only",
            field="alignment",
            value=wanted,
            expected=" or ".join(allowed),
            remedy="take affine-invariant, or protocol.varied(alignment=...)",
        )
    return wanted


def _judged(truth: Array, protocol: Protocol) -> Array:
    """Where there is truth inside crop, cap and range."""
    base = ~np.isnan(truth)
    if protocol.crop is not None:
        inside = np.zeros(truth.shape, dtype=np.bool_)
        inside[protocol.crop.window((truth.shape[0], truth.shape[1]))] = True
        base &= inside
    with np.errstate(invalid="ignore"):
        if protocol.disparity_cap is not None:
            base &= truth < protocol.disparity_cap
        if protocol.depth_range is not None:
            near, far = protocol.depth_range
            base &= (truth > near) & (truth < far)
    return base


def _score(ready: _Ready, protocol: Protocol, mask: str) -> Scores:
    judged = ready.base if mask == "all" else ready.base & ready.mask(mask)
    if not judged.any():
        raise InputError(
            f"leaves no pixel to judge under {protocol.name}",
            field=f"mask '{mask}'",
            value=f"{int(np.count_nonzero(~np.isnan(ready.truth)))} pixels with truth",
            expected="a true value inside mask, crop, cap and range",
        )
    pixels = int(np.count_nonzero(judged))
    known = int(np.count_nonzero(judged & ~np.isnan(ready.original)))
    notes = [] if known else ["the estimate knows none of the judged pixels"]
    values, alignment = _aligned(ready, protocol, judged, bool(known))
    work = Judged(
        values,
        ready.truth,
        judged,
        protocol.unknown != "ignored",
        shift=ready.doffs,
        **ready.layers,
    )
    if ready.rule == "none" and work.known:
        changed = known and values is not ready.original
        unclipped = Judged(ready.original, ready.truth, judged) if changed else work
        notes += unit_notes(unclipped.values, unclipped.truths, protocol.quantity)
    elif alignment.scale < 0:
        notes.append("the fitted scale is negative: depth against inverse depth?")
    sums = {
        m.name: m.sums(work)
        for m in protocol.measures
        if not m.needs or ready.layers[m.needs] is not None
    }
    numbers = {m.name: m.finish(sums[m.name]) for m in protocol.measures if m.name in sums}
    return Scores(
        protocol, mask, ready.name, pixels, known / pixels, numbers, sums, alignment, tuple(notes)
    )


def _aligned(
    ready: _Ready, protocol: Protocol, judged: Array, known: bool
) -> tuple[Array, Alignment]:
    limits = protocol.depth_range if protocol.clip else None
    values, done = ready.estimate, Alignment("none", 1.0, 0.0, 0)
    if ready.rule != "none" and known:
        values, done = align(ready.rule, values, ready.truth, judged, limits)
    if protocol.quantity == "depth" and limits is not None:
        values = np.clip(values, np.float32(limits[0]), np.float32(limits[1]))
    return values, done


def _repeated(layer: Array | None, factor: int) -> Array | None:
    if layer is None or factor == 1:
        return layer
    return np.repeat(np.repeat(layer, factor, axis=0), factor, axis=1)


def with_mask(sample: StereoSample, name: str, mask: Array) -> StereoSample:
    """The sample with one more mask (bool, of the left view's size)."""
    return replace(sample, masks={**sample.masks, name: mask})
