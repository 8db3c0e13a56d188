"""Two scores to compare at every pixel, chosen without any disparity label.

Tulyakov, Ivanov and Fleuret, "Weakly Supervised Learning of Deep Metrics for Stereo
Reconstruction", ICCV 2017. `matching_loss.pair_scores` takes a right and a wrong match from a
label; here what is known of any rectified pair says which match should win:

- epipolar: the match lies on the same row (`multi_instance_pairs`),
- range: it lies 0 .. levels - 1 pixels to the left (all),
- uniqueness: a pixel has one match (`contrastive_pairs`),
- continuity and ordering: matches of a row follow each other (`best_paths`, `path_pairs`).

Each gives a `PairScores`, so that `margin_loss` and `match_entropy` serve all of them. A row's
similarities are a matrix, left column by right column. What is compared is chosen without gradient;
it flows through the chosen similarities alone. `WeakMatchingLoss` is all of it for the training
loop.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from fathom.core.arrays import Bool, Float, Shaped
from fathom.core.errors import InputError, UsageError, unknown_name
from fathom.layers.matching_loss import PairScores, margin_loss
from fathom.layers.stereo import StereoOutput

Rows = Float[Tensor, "b h w w"]
"""Similarity of left column x (third axis) and right column x' (last axis) of each row."""
KINDS = ("multi-instance", "contrastive", "contrastive-dp")
_START, _DOWN, _ALONG, _DIAGONAL = range(4)
_FAR = 1 << 20
"""A column beyond all images."""
_AT_ONCE = 1 << 24
"""Similarities that training holds at once: 64 MB, and several times that while they are compared.
"""
Views = tuple[Tensor, ...]


def row_similarities(left: Float[Tensor, "b c h w"], right: Float[Tensor, "b c h w"]) -> Rows:
    """Products of all descriptions of a left row with all of the same right row: cosines, where
    descriptions have length 1. Takes 4 b h w^2 bytes in float32."""
    return torch.matmul(left.permute(0, 2, 3, 1), right.permute(0, 2, 1, 3))


def multi_instance_pairs(
    matching: Rows, foreign_right: Rows, foreign_left: Rows, levels: int
) -> PairScores:
    """The best match on the epipolar line against the best one on a line that is not.

    matching: of rows that belong together. foreign_right: of left rows with right rows that they
    do not belong to; foreign_left: of left rows of elsewhere with the right rows. Both directions
    stand side by side: left pixels in the first w columns of the result (b, 1, h, 2 w), right
    pixels in the last w. Pixels part of whose range lies outside the other image may have no match
    and are not usable: the first levels - 1 left, the last levels - 1 right ones.

    Raises `UsageError` for levels outside 1 .. w.
    """
    band, usable = _band(matching, levels)
    rows = [_best(scores, band)[0] for scores in (matching, foreign_right)]
    columns = [_best(scores.mT, band.mT)[0] for scores in (matching, foreign_left)]
    right, wrong = (torch.cat(sides, dim=-1)[:, None] for sides in zip(rows, columns, strict=True))
    return PairScores(right, wrong, usable.expand_as(right))


def contrastive_pairs(matching: Rows, levels: int, apart: int = 2) -> PairScores:
    """The best match of each pixel against its best one more than `apart` pixels from that.

    As in `multi_instance_pairs` both directions stand side by side, and the same pixels count.

    Raises `UsageError` for levels outside 1 .. w, or a negative `apart`.
    """
    band, usable = _band(matching, levels)
    _require_apart(apart)
    sides = []
    for scores, allowed in ((matching, band), (matching.mT, band.mT)):
        found = _best(scores, allowed)[1]
        sides.append(_against_the_rest(scores, allowed, found, found - apart, found + apart))
    both = _side_by_side(*sides)
    return both._replace(usable=both.usable & usable)


class Paths(NamedTuple):
    """One path through the matrix of each row, from its end to its start, (n, steps): columns of
    the left and of the right image; `on` is False past the start."""

    left: Shaped[Tensor, "n s"]
    right: Shaped[Tensor, "n s"]
    on: Bool[Tensor, "n s"]


def best_paths(matching: Float[Tensor, "n w w"], levels: int) -> Paths:
    """The monotone path of highest mean similarity through every matrix, by dynamic programming.

    A path begins at the first column of either image and ends at the last one of the left image. It
    goes on by a column of the left image, of the right one, or of both: matches are ordered, and a
    jump of disparity is passed step by step. It keeps to the range 0 .. levels - 1. As in the
    authors' code each cell keeps the predecessor with which its own mean becomes highest; the best
    mean of all paths need not survive that, for a mean does not split at a cell.

    All matrices advance together along the diagonals x + x' = s, so the loop has 2 w - 1 turns.
    No gradient flows. Raises `UsageError` for levels outside 1 .. w.
    """
    with torch.no_grad():
        choices, final = _advanced(matching, levels)
        return _traced(choices, final.argmax(dim=1), matching.shape[-1])


def path_pairs(
    matching: Rows, levels: int, apart: int = 2, paths: Paths | None = None
) -> PairScores:
    """Matches of the best path against the best others of their row and of their column.

    Of the path of each matrix (`best_paths`) count the matches whose left and right pixel it
    crosses once: where it moves along one image only, pixels are hidden in the other. Others are at
    least apart + 1 columns, left or right, from every match of the path. Both directions stand side
    by side as in `multi_instance_pairs`. paths: those of these matrices, where they are known.

    Raises `UsageError` for levels outside 1 .. w, or a negative `apart`.
    """
    _require_apart(apart)
    batch, height, width, _ = matching.shape
    paths = paths or best_paths(matching.detach().flatten(0, 1), levels)
    spans = [
        tuple(t.view(batch, height, width) for t in _spans(own, other, paths.on, width))
        for own, other in ((paths.left, paths.right), (paths.right, paths.left))
    ]
    once = [low == high for low, high in spans]
    band = _band(matching, levels)[0]
    sides = []
    for i, (scores, allowed) in enumerate(((matching, band), (matching.mT, band.mT))):
        low, high = spans[i]
        found = low.clamp(0, width - 1)
        kept = once[i] & once[1 - i].gather(2, found)
        around = _least(low, apart) - apart, -_least(-high, apart) + apart
        side = _against_the_rest(scores, allowed, found, *around)
        sides.append(side._replace(usable=side.usable & kept[:, None]))
    return _side_by_side(*sides)


@dataclass(frozen=True)
class WeakMatchingLoss:
    """The hinge of `margin_loss` over pairs chosen without labels, for nets whose output carries
    the descriptions of both views as `inner`, as `fathom.nets.stereo.mc_cnn` with the cosine does.

    kinds: the terms, of `KINDS`; ("multi-instance", "contrastive") is the paper's fourth loss.
    levels: disparities 0 .. levels - 1 are searched. apart: pixels around a match that do not
    compete with it. margin: of the hinge. between: least rows from an epipolar line to the foreign
    one, which is drawn in the same image: patches (2 layers + 1 rows) should not overlap. Large
    batches are taken some rows at a time, whose similarities are made once more for the gradient.

    Raises `UsageError` for an unknown kind or none, or `between` below 1.
    """

    kinds: tuple[str, ...] = ("contrastive-dp",)
    levels: int = 228
    apart: int = 2
    margin: float = 0.2
    between: int = 9

    def __post_init__(self) -> None:
        for kind in self.kinds or ("",):
            if kind not in KINDS:
                raise unknown_name("weak supervision", kind, list(KINDS))
        if self.between < 1:
            raise UsageError(
                "is no distance of lines", field="between", value=self.between, expected="rows >= 1"
            )

    def __call__(self, output: StereoOutput, batch: Any) -> dict[str, Tensor]:  # noqa: ARG002
        """The terms by name. The batch, and so its truth, is not looked at.

        Raises `InputError` if the output carries no descriptions, `UsageError` for rows shorter
        than `levels`, or, of the multi-instance term, for fewer than 2 `between` of them.
        """
        if output.inner is None:
            raise InputError(
                "gives no descriptions of both views",
                field="the net's output",
                expected="inner = (left, right), as mc-cnn-fast gives in training",
            )
        left, right = (t.float() for t in output.inner)
        views = [left, right]
        if "multi-instance" in self.kinds:
            by = self._drawn(left.shape[2])
            views += [right.roll(by, dims=2), left.roll(by, dims=2)]
        rows = max(1, _AT_ONCE // (len(left) * left.shape[-1] ** 2))
        parts = list(zip(*(view.split(rows, dim=2) for view in views), strict=True))
        if len(parts) == 1:
            found = [self._pairs(parts[0])]
        else:
            found = [self._again(part) for part in parts]
        return {
            kind: margin_loss(PairScores(*(torch.cat(t, dim=2) for t in zip(*some, strict=True))),
                              self.margin)
            for kind, some in zip(self.kinds, zip(*found, strict=True), strict=True)
        }  # fmt: skip

    def _again(self, views: Views) -> tuple[PairScores, ...]:
        """As `_pairs`; the similarities are not kept but made again for the gradient."""
        from torch.utils.checkpoint import checkpoint

        paths = None
        if "contrastive-dp" in self.kinds:
            with torch.no_grad():
                paths = best_paths(row_similarities(*views[:2]).flatten(0, 1), self.levels)
        found: tuple[PairScores, ...] = checkpoint(self._pairs, views, paths, use_reentrant=False)
        return found

    def _pairs(self, views: Views, paths: Paths | None = None) -> tuple[PairScores, ...]:
        """What each kind compares. views: some rows of the left, the right, and, if a kind needs
        them, what stands for these rows of the right and of the left on foreign lines."""
        left, right = views[:2]
        matching = row_similarities(left, right)
        found = []
        for kind in self.kinds:
            if kind == "contrastive":
                pairs = contrastive_pairs(matching, self.levels, self.apart)
            elif kind == "contrastive-dp":
                pairs = path_pairs(matching, self.levels, self.apart, paths)
            else:
                foreign = row_similarities(left, views[2]), row_similarities(views[3], right)
                pairs = multi_instance_pairs(matching, *foreign, self.levels)
            found.append(pairs)
        return tuple(found)

    def _drawn(self, height: int) -> int:
        """How many rows away the foreign lines are."""
        if height < 2 * self.between:
            raise UsageError(
                "are too few rows for a foreign line",
                field="crop_height",
                value=height,
                expected=f"2 between = {2 * self.between} or more",
            )
        return int(torch.randint(self.between, height - self.between + 1, ()))


def _band(matching: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """Cells within the range, (w, w), and pixels of both images whose whole range lies inside the
    other one, (2 w,). Raises `UsageError` as above."""
    width = matching.shape[-1]
    if not 1 <= levels <= width:
        raise UsageError(
            "does not fit into the rows", field="levels", value=levels, expected=f"1 .. {width}"
        )
    x = torch.arange(width, device=matching.device)
    disparity = x[:, None] - x
    usable = torch.cat([x >= levels - 1, x <= width - levels])
    return (disparity >= 0) & (disparity < levels), usable


def _require_apart(apart: int) -> None:
    if apart < 0:
        raise UsageError("is negative", field="apart", value=apart, expected="pixels >= 0")


def _best(scores: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """The highest allowed score of each row of the matrices and where it is; 0 where none is."""
    with torch.no_grad():
        found = scores.masked_fill(~allowed, -torch.inf).argmax(dim=-1)
    return scores.gather(-1, found[..., None])[..., 0], found


def _against_the_rest(
    scores: Tensor, allowed: Tensor, found: Tensor, low: Tensor, high: Tensor
) -> PairScores:
    """The scores at `found` and the best allowed ones outside low .. high, where there are any."""
    x = torch.arange(scores.shape[-1], device=scores.device)
    rest = allowed & ((x < low[..., None]) | (x > high[..., None]))
    right = scores.gather(-1, found[..., None])[..., 0]
    return PairScores(right[:, None], _best(scores, rest)[0][:, None], rest.any(dim=-1)[:, None])


def _side_by_side(rows: PairScores, columns: PairScores) -> PairScores:
    right, wrong, usable = (torch.cat(sides, dim=-1) for sides in zip(rows, columns, strict=True))
    return PairScores(right, wrong, usable)


def _advanced(matching: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """How the best path enters each cell (2 w - 1, n, k), and the means of those that end at
    disparity d in the last left column, (n, levels).

    Diagonal s holds the disparities of its own parity, 2 k + s % 2.
    """
    _band(matching, levels)
    count, width = matching.shape[:2]
    half = -(-levels // 2)
    diagonals = 2 * width - 1
    choices = torch.zeros(diagonals, count, half, dtype=torch.uint8, device=matching.device)
    final = matching.new_full((count, levels), -torch.inf)
    nothing = matching.new_full((count, half + 2), -torch.inf), matching.new_zeros(count, half + 2)
    before, last = nothing, nothing  # (sum, length) of the diagonals s - 2 and s - 1, framed
    k = torch.arange(half, device=matching.device)
    for s in range(diagonals):
        odd = s % 2
        x, other = s // 2 + odd + k, s // 2 - k
        inside = (x < width) & (other >= 0) & (2 * k + odd < levels)
        energy = matching[:, x.clamp(max=width - 1), other.clamp(min=0)]
        energy = energy.masked_fill(~inside, -torch.inf)
        start = torch.where((x == 0) | (other == 0), 0.0, -torch.inf).to(energy)
        entries = (
            (start.expand_as(energy), torch.zeros_like(energy)),
            *(tuple(t[:, i : i + half] for t in last) for i in (odd, odd + 1)),  # from d - 1, d + 1
            tuple(t[:, 1:-1] for t in before),
        )
        sums, lengths = (torch.stack(t) for t in zip(*entries, strict=True))
        sums, lengths = sums + energy, lengths + 1
        chosen = (sums / lengths).argmax(dim=0, keepdim=True)
        choices[s] = chosen[0]
        total, length = (t.gather(0, chosen)[0] for t in (sums, lengths))
        before, last = (
            last,
            (
                functional.pad(total, (1, 1), value=-torch.inf),
                functional.pad(length, (1, 1)),
            ),
        )
        d = 2 * (width - 1) - s
        if d < levels:
            final[:, d] = (total / length)[:, d // 2]
    return choices, final


def _traced(choices: Tensor, end: Tensor, width: int) -> Paths:
    """The paths that end at disparity `end` (n,) of the last left column."""
    rows = torch.arange(len(end), device=end.device)
    d, s = end.clone(), 2 * (width - 1) - end
    on = torch.ones_like(end, dtype=torch.bool)
    steps: list[tuple[Tensor, ...]] = []
    while bool(on.any()):
        steps.append(((s + d) // 2, (s - d) // 2, on))
        entered = choices[s, rows, d // 2]
        on = on & (entered != _START)
        d = d + on * ((entered == _ALONG).long() - (entered == _DOWN).long())
        s = s - on * (1 + (entered == _DIAGONAL).long())
    return Paths(*(torch.stack(t, dim=1) for t in zip(*steps, strict=True)))


def _spans(own: Tensor, other: Tensor, on: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """First and last column of the other image that the path meets at each own column, (n, width);
    `_FAR` and -`_FAR` where it meets none."""
    shape = len(own), width
    low, high = (
        torch.full(shape, sign * _FAR, device=own.device).scatter_reduce(
            1, own, torch.where(on, other, sign * _FAR), kind
        )
        for sign, kind in ((1, "amin"), (-1, "amax"))
    )
    return low, high


def _least(values: Tensor, radius: int) -> Tensor:
    """The least of the last axis within `radius`; columns are exact in float32."""
    flat = -values.flatten(0, 1)[:, None].float()
    return -functional.max_pool1d(flat, 2 * radius + 1, 1, radius).view(values.shape).long()
