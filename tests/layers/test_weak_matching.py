"""What weak supervision compares: against plain loops, all paths, and finite differences."""

from dataclasses import replace
from pathlib import Path

import learning
import numpy as np
import pytest
import torch
from torch.nn import functional

from fathom.core import InputError, UsageError
from fathom.layers import weak_matching
from fathom.layers.matching_loss import margin_loss
from fathom.layers.stereo import StereoOutput
from fathom.layers.weak_matching import (
    KINDS,
    WeakMatchingLoss,
    best_paths,
    contrastive_pairs,
    multi_instance_pairs,
    path_pairs,
    row_similarities,
)
from fathom.nets.stereo.mc_cnn import MCCNN, MCCNNConfig
from fathom.train.load import load_experiment
from fathom.train.self_supervised import Unlabelled

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
torch.set_num_threads(1)
LEVELS, APART = 5, 1
NEVER = -np.inf


def matrices(seed=0, *, batch=2, height=2, width=11):
    return np.random.default_rng(seed).normal(size=(batch, height, width, width))


def within(x, other, levels=LEVELS):
    return 0 <= x - other < levels


def slow_path(energy, levels):
    """Cells from start to end: every cell in reading order keeps its best predecessor."""
    width = len(energy)
    kept = {}
    for x in range(width):
        for other in range(width):
            if not within(x, other, levels):
                continue
            entries = [kept.get(at) for at in ((x - 1, other), (x, other - 1), (x - 1, other - 1))]
            entries = [e for e in entries if e] + ([[]] if x == 0 or other == 0 else [])
            if entries:
                kept[x, other] = max(
                    ([*e, (x, other)] for e in entries), key=lambda cells: mean(energy, cells)
                )
    ends = [kept[width - 1, y] for y in range(width) if (width - 1, y) in kept]
    return max(ends, key=lambda cells: mean(energy, cells))


def mean(energy, cells):
    return np.mean([energy[c] for c in cells])


def every_path(width, levels):
    """All paths that end in the last left column."""

    def onwards(cells):
        x, other = cells[-1]
        if x == width - 1:
            yield cells
        for at in ((x + 1, other), (x, other + 1), (x + 1, other + 1)):
            if max(at) < width and within(*at, levels):
                yield from onwards([*cells, at])

    for d in range(levels):
        yield from onwards([(d, 0)])


def cells_of(paths, i):
    return [
        (int(x), int(y))
        for x, y, on in zip(paths.left[i], paths.right[i], paths.on[i], strict=True)
        if on
    ][::-1]


@pytest.mark.parametrize("levels", [1, 4, 5, 11])
def test_paths_against_plain_loops(levels):
    energy = matrices()[0].repeat(3, 0) + matrices(1, batch=1, height=6)[0]
    paths = best_paths(torch.from_numpy(energy), levels)
    for i, own in enumerate(energy):
        assert cells_of(paths, i) == slow_path(own, levels)


def test_no_path_is_better_than_the_best_of_all_and_few_are_missed():
    energy = matrices(3, batch=1, height=20, width=5)[0]
    paths, tried = best_paths(torch.from_numpy(energy), 4), list(every_path(5, 4))
    found = [mean(e, cells_of(paths, i)) for i, e in enumerate(energy)]
    best = [max(mean(e, p) for p in tried) for e in energy]
    assert np.all(np.array(found) <= np.array(best) + 1e-12)
    assert np.mean(np.isclose(found, best)) > 0.7


def test_a_path_along_two_surfaces_is_found_and_what_is_hidden_does_not_count():
    # disparity 1, then 4 from x = 9 on, then 1: hidden in the other view are left columns 6..8 and
    # right columns 9..11. The path goes round them as it likes, so their neighbours may be lost.
    width, truth = 16, np.array([1] * 6 + [-1] * 3 + [4] * 4 + [1] * 3)
    energy = np.full((1, 1, width, width), -0.5)
    for x, d in enumerate(truth):
        if 0 <= d <= x:
            energy[0, 0, x, x - d] = 1
    pairs = path_pairs(torch.from_numpy(energy), 6, 0)
    usable = pairs.usable[0, 0, 0].numpy()
    assert usable[1:5].all() and usable[10:12].all() and usable[14:16].all()
    assert not usable[6:9].any() and not usable[0]
    right_columns = usable[width:]
    assert right_columns[0:4].all() and not right_columns[9:12].any()
    assert (pairs.right[..., usable] == 1).all() and (pairs.wrong[..., usable] == -0.5).all()


def slow_pairs(kind, scores, foreign=(None, None)):
    """(right, wrong, usable) of one matrix, left pixels; right pixels by turning it over."""
    width = len(scores[0])
    out = np.zeros((3, len(scores), 2 * width))
    for row, energy in enumerate(scores):
        path = slow_path(energy, LEVELS) if kind == "path" else []
        for i in range(2 * width):
            x, left = i % width, i < width
            cells = [(x, y) if left else (y, x) for y in range(width)]
            cells = [c for c in cells if within(*c)]
            whole = x >= LEVELS - 1 if left else x <= width - LEVELS
            if kind == "multi-instance":
                other = foreign[0 if left else 1][row]
                out[:, row, i] = max(energy[c] for c in cells), max(other[c] for c in cells), whole
                continue
            if kind == "contrastive":
                best = max(cells, key=lambda c: energy[c])
                mates, usable = [best], whole
                rest = [c for c in cells if abs(sum(c) - sum(best)) > APART]
            else:
                mates = [c for c in path if c in cells]
                usable = len(mates) == 1 and all(
                    sum(p[axis] == mates[0][axis] for p in path) == 1 for axis in (0, 1)
                )
                rest = [
                    c
                    for c in cells
                    if all(max(abs(c[0] - p[0]), abs(c[1] - p[1])) > APART for p in path)
                ]
            usable = usable and bool(rest)
            if usable:
                out[:, row, i] = energy[mates[0]], max(energy[c] for c in rest), 1
    return out


def pairs_of(kind, matching, foreign):
    if kind == "multi-instance":
        return multi_instance_pairs(matching, *foreign, LEVELS)
    return (path_pairs if kind == "path" else contrastive_pairs)(matching, LEVELS, APART)


@pytest.mark.parametrize("kind", ["multi-instance", "contrastive", "path"])
def test_pairs_against_plain_loops_and_gradients_against_differences(kind):
    given = [matrices(seed) for seed in (0, 1, 2)]
    tensors = [torch.tensor(g, requires_grad=True) for g in given]
    got = pairs_of(kind, tensors[0], tensors[1:])
    for b in range(2):
        want = slow_pairs(kind, given[0][b], [f[b] for f in given[1:]])
        usable = want[2] > 0
        assert usable.any() and not usable.all()
        np.testing.assert_array_equal(got.usable[b, 0].numpy(), usable)
        np.testing.assert_array_equal(got.right[b, 0].detach().numpy()[usable], want[0][usable])
        np.testing.assert_array_equal(got.wrong[b, 0].detach().numpy()[usable], want[1][usable])
    # a large margin, so that no pair stands at the hinge's corner
    assert torch.autograd.gradcheck(
        lambda *e: margin_loss(pairs_of(kind, e[0], e[1:]), 9.0), tuple(tensors), fast_mode=True
    )


def test_similarities_of_rows():
    left, right = torch.randn(2, 3, 4, 6), torch.randn(2, 3, 4, 6)
    found = row_similarities(left, right)
    assert found[1, 2, 5, 0].item() == pytest.approx((left[1, :, 2, 5] @ right[1, :, 2, 0]).item())


@pytest.mark.parametrize("kinds", [(kind,) for kind in KINDS] + [KINDS])
def test_large_batches_go_some_rows_at_a_time_with_the_same_gradients(monkeypatch, kinds):
    """To the bit, and without keeping any matrix of similarities for the gradient."""
    torch.manual_seed(4)
    given = [functional.normalize(torch.randn(2, 3, 14, 16), dim=1) for _ in range(2)]
    loss = WeakMatchingLoss(kinds, levels=5, between=3)
    found = {}
    for rows in (14, 4):
        monkeypatch.setattr(weak_matching, "_AT_ONCE", rows * 2 * 16 * 16)
        views, kept = [v.clone().requires_grad_() for v in given], []
        torch.manual_seed(5)
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, kept=kept: kept.append(t.numel()) or t, lambda t: t
        ):
            terms = loss(StereoOutput((views[0],), inner=tuple(views)), None)
        found[rows] = [*terms.values(), *torch.autograd.grad(sum(terms.values()), views)]
        assert (max(kept) >= 2 * 4 * 16 * 16) is (rows == 14), rows
    assert all(torch.equal(a, b) for a, b in zip(found[14], found[4], strict=True))


def noisy(batch):
    """The right view darker and with noise, as other cameras have it."""
    torch.manual_seed(3)
    return replace(batch, right=0.6 * batch.right + 40 * torch.randn_like(batch.right))


def test_matches_get_better_without_a_label_and_worse_with_the_wrong_sign():
    given = noisy(learning.batch(18, 32, 10))
    hidden = replace(given, truth=given.truth * torch.nan, valid=given.valid & False)
    loss = WeakMatchingLoss(KINDS, levels=10, between=6)
    missed = {}
    for sign in (1, -1):
        torch.manual_seed(0)
        net = MCCNN(MCCNNConfig(2, 8, max_disparity=10)).train()
        optimiser = torch.optim.Adam(net.parameters(), 1e-2)
        for _ in range(8):
            output = net(*given.inputs)
            missed.setdefault(0, wrong(output, given))
            optimiser.zero_grad()
            (sign * sum(loss(output, hidden).values())).backward()
            optimiser.step()
        missed[sign] = wrong(net(*given.inputs), given)
    assert missed[1] < 0.8 * missed[0] < missed[-1], missed


def wrong(output, batch):
    """Share of the columns that have their whole range whose winner is off by more than a pixel."""
    off = (output.disparities[0] - batch.truth)[..., 10:-2].abs() > 1
    return off.float().mean().item()


@pytest.mark.parametrize(("file", "both"), [("mc_cnn_weak.py", False), ("labels_or_not.py", True)])
def test_the_experiments_without_labels_suit_their_nets(file, both):
    experiment = load_experiment(EXPERIMENTS / file)
    assert experiment.task == Unlabelled(both_views=both)
    given = replace(learning.batch(24, 64, 20), both_views=both)
    output = experiment.task.output(experiment.net()(*given.inputs))
    terms = experiment.loss(output, replace(given, truth=given.truth * torch.nan))
    assert terms and all(torch.isfinite(v) and v.requires_grad for v in terms.values())


def test_what_cannot_be_is_refused():
    square = torch.zeros(1, 2, 4, 4)
    for levels in (0, 5):
        with pytest.raises(UsageError, match=r"levels = \d: does not fit into the rows"):
            best_paths(square[0], levels)
    for pairs in (contrastive_pairs, path_pairs):
        with pytest.raises(UsageError, match="apart = -1: is negative"):
            pairs(square, 2, -1)
    with pytest.raises(UsageError, match="did you mean contrastive"):
        WeakMatchingLoss(("contrastiv",))
    with pytest.raises(UsageError, match="unknown weak supervision"):
        WeakMatchingLoss(())
    with pytest.raises(UsageError, match="between = 0: is no distance of lines"):
        WeakMatchingLoss(between=0)
    with pytest.raises(InputError, match="gives no descriptions of both views"):
        WeakMatchingLoss()(StereoOutput((square,)), None)
    views = torch.zeros(1, 2, 17, 4), torch.zeros(1, 2, 17, 4)
    with pytest.raises(UsageError, match="crop_height = 17: are too few rows for a foreign line"):
        WeakMatchingLoss(("multi-instance",), levels=2)(StereoOutput((square,), inner=views), None)
