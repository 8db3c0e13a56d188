"""Which pixels are judged: the masks of a sample by the names that protocols use."""

from collections.abc import Mapping

import numpy as np

from fathom.core.arrays import Array, Bool, Float32
from fathom.core.errors import InputError
from fathom.eval.boundaries import depth_edges
from fathom.eval.protocol import check_mask

_KEYS = {
    "nonocc": ("nonocc", "noc"),
    "foreground": ("foreground", "fg"),
    "disc": ("disc",),
    "occluded": ("occluded", "occ"),
    "background": ("background", "bg"),
}
_OPPOSITE = {
    "nonocc": "occluded",
    "occluded": "nonocc",
    "foreground": "background",
    "background": "foreground",
}
DISC_STEP, DISC_SIDE = 2.0, 9
"""Scharstein and Szeliski, IJCV 2002, section 5.1: eval_disp_gap and eval_discont_width."""


def find_mask(
    mask: str, masks: Mapping[str, Array], truth: Float32[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """The pixels that `mask` means: terms joined by + are all fulfilled.

    masks: of the sample, name -> bool (h, w); `occluded` and `background` may also be given by
    their opposites. `disc` is computed from the truth (window of 9 with true disparities more than
    2 px apart, occluded pixels left out where they are known) if the sample has none.

    Raises `UsageError` for an unknown term, `InputError` if the sample has no such mask.
    """
    check_mask(mask)
    out = np.ones(truth.shape, dtype=np.bool_)
    for term in mask.split("+"):
        if term != "all":
            out &= _term(term, masks, truth)
    return out


def has_mask(mask: str, masks: Mapping[str, Array]) -> bool:
    """Whether `find_mask` would find it."""
    return all(
        term in ("all", "disc")
        or _given(term, masks) is not None
        or _given(_OPPOSITE[term], masks) is not None
        for term in mask.split("+")
    )


def _given(term: str, masks: Mapping[str, Array]) -> Array | None:
    return next((masks[key] for key in _KEYS[term] if key in masks), None)


def _term(term: str, masks: Mapping[str, Array], truth: Array) -> Array:
    found = _given(term, masks)
    if found is not None:
        return found
    if term == "disc":
        near = depth_edges(truth, DISC_STEP, DISC_SIDE)
        visible = _given("nonocc", masks)
        return near if visible is None else near & visible
    opposite = _given(_OPPOSITE[term], masks)
    if opposite is None:
        have = ", ".join(masks) or "none"
        raise InputError(
            f"the sample has no mask '{term}' (it has: {have})",
            field="mask",
            value=term,
            remedy="score with mask='all', or add the mask "
            "(fathom.eval.regions.with_visible computes nonocc from the truth)",
        )
    return ~opposite
