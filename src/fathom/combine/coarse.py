"""What a reduced map says of the parts of the full size: the range to search, what to expect."""

import math
from dataclasses import dataclass

import numpy as np

from fathom.combine.enlarge import laplace_scaled
from fathom.combine.pieces import Part
from fathom.core.arrays import Array, Bool
from fathom.core.maps import Disparity, Source
from fathom.geometry.resize import nearest_indices
from fathom.geometry.visibility import seen_by_right

_AROUND = 32
_SLACK = 8
"""A part is searched by 2 pixels of the reduced map and so many of its own beyond what the reduced
map shows in it and `_AROUND` pixels beside it."""
_SURE = 0.5
_DOUBTFUL = 0.5
"""Where more of a part than this is not sure in the reduced map, the whole range is searched."""


@dataclass(frozen=True, eq=False)
class Coarse:
    """The reduced map. sure: matched there, and likely right. seen: by both cameras. firm: both,
    and so are the pixels around. shape: of the pair; stretch: its width by the map's."""

    found: Disparity
    sure: Bool[np.ndarray, "h w"]
    seen: Bool[np.ndarray, "h w"]
    firm: Bool[np.ndarray, "h w"]
    shape: tuple[int, int]
    stretch: float

    @staticmethod
    def of(found: Disparity, shape: tuple[int, int]) -> "Coarse":
        import cv2

        sure = matched(found)
        if found.confidence is not None:
            sure &= found.confidence >= _SURE
        seen = seen_by_right(found.values)
        firm = cv2.erode((sure & seen).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        return Coarse(found, sure, seen, firm, shape, shape[1] / found.shape[1])

    def range_of(
        self, part: Part, first: int, end: int, *, only_sure: bool = False
    ) -> tuple[int, int]:
        """The disparities to search in a part: the map's there, or all where it is unsure.

        only_sure: what the map is not sure of does not widen the range.
        """
        scale = (self.found.shape[0] / self.shape[0], self.found.shape[1] / self.shape[1])
        rows, columns = (
            slice(max(0, int((a - _AROUND) * s) - 1), int((b + _AROUND) * s) + 2)
            for a, b, s in (
                (part.top, part.bottom, scale[0]),
                (part.left, part.right, scale[1]),
            )
        )
        values = self.found.values[rows, columns]
        taken = ~np.isnan(values)
        known = values[taken & self.sure[rows, columns]] if only_sure else values[taken]
        unsure = (~self.sure & self.seen)[rows, columns].mean()
        if known.size == 0 or unsure > _DOUBTFUL:
            return first, end
        slack = 2 * self.stretch + _SLACK
        low = math.floor(float(known.min()) * self.stretch - slack)
        high = math.ceil(float(known.max()) * self.stretch + slack) + 1
        low = min(max(first, low), end - 1)
        return low, max(min(end, high), low + 1)

    def expected(self, part: Part) -> Bool[np.ndarray, "h w"]:
        """Where in the part the map is sure all around, so that a match is expected."""
        out: Array = self.firm[self._pick(part)]
        return out

    def enlarged(self, part: Part) -> Disparity:
        """The map's values in the part, each by its next neighbour; all of them FILLED."""
        pick = self._pick(part)
        values = self.found.values[pick] * np.float32(self.stretch)
        known = ~np.isnan(values)
        confidence = None
        if self.found.confidence is not None:
            scaled = laplace_scaled(self.found.confidence[pick], max(1, round(self.stretch)))
            confidence = np.where(known, scaled, np.float32(0)).astype(np.float32)
        return Disparity(values, confidence, known.astype(np.uint8) * np.uint8(Source.FILLED))

    def _pick(self, part: Part) -> tuple[Array, Array]:
        rows, columns = (
            nearest_indices(old, new)[a:b]
            for old, new, (a, b) in zip(
                self.found.shape,
                self.shape,
                ((part.top, part.bottom), (part.left, part.right)),
                strict=True,
            )
        )
        picked: tuple[Array, Array] = np.ix_(rows, columns)  # type: ignore[assignment]
        return picked


def codes(found: Disparity) -> Array:
    """Where each value comes from; without a source whatever is known was matched."""
    if found.source is not None:
        return found.source
    return found.known.astype(np.uint8) * np.uint8(Source.MATCHED)


def matched(found: Disparity) -> Bool[np.ndarray, "h w"]:
    """Where the matcher itself found the value in both views."""
    out: Array = codes(found) == Source.MATCHED
    return out
