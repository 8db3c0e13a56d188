"""Spatial propagation: the authors' numbers, slow twins, gradients, what stays and what is kept."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.layers.propagation import (
    NEAR_2D,
    NEAR_3D,
    SPN,
    CSPN2d,
    CSPN3d,
    conv_affinities,
    conv_affinities_3d,
    line_affinities,
    propagated,
    swept,
)

torch.set_num_threads(1)
CASES = [(name, sparse) for name in ("8sum", "8sum_abs") for sparse in (0, 1)]


@pytest.mark.parametrize(("name", "sparse"), CASES)
def test_the_authors_module(name, sparse, shared):
    """24 steps from their random inputs; pixels with a sparse depth keep the *first* map's value,
    as in their code."""
    with np.load(shared / "parity" / "cspn_module.npz") as file:
        given = [torch.from_numpy(file[n]) for n in ("blur_depth", "guidance", "sparse_depth")]
        wanted = torch.from_numpy(file[f"out/{name}_sparse{sparse}"])
    start, guidance, depth = given
    net = CSPN2d(positive=name == "8sum_abs")
    found = net(start, guidance, depth > 0 if sparse else None)
    assert ((found - wanted).abs().max() / wanted.std()).item() < 1e-5


@pytest.mark.parametrize(("name", "sparse"), CASES)
def test_a_sample_of_the_authors_module(name, sparse):
    """The same for a part of the image that every clone has."""
    from parity import GOLDEN

    with np.load(GOLDEN / "cspn_module_part.npz") as file:
        given = [torch.from_numpy(file[n]) for n in ("blur_depth", "guidance", "sparse_depth")]
        wanted = torch.from_numpy(file[f"out/{name}_sparse{sparse}"])
    start, guidance, depth = given
    found = CSPN2d(positive=name == "8sum_abs")(start, guidance, depth > 0 if sparse else None)
    inner = (..., slice(0, wanted.shape[-2]), slice(0, wanted.shape[-1]))
    torch.testing.assert_close(found[inner], wanted, atol=1e-5, rtol=0)


def twin_2d(start, guidance, steps, positive, kept):
    """Pixel by pixel, one channel; the gate of a neighbour is read at the neighbour."""
    h, w = start.shape
    now = start.copy()
    for _ in range(steps):
        after = np.empty_like(now)
        for y in range(h):
            for x in range(w):
                terms = [
                    (guidance[k, y + dy, x + dx], now[y + dy, x + dx])
                    for k, (dy, dx) in enumerate(NEAR_2D)
                    if 0 <= y + dy < h and 0 <= x + dx < w
                ]
                total = sum(abs(g) for g, _ in terms) or 1.0
                parts = [((abs(g) if positive else g) / total, v) for g, v in terms]
                own = 1 - sum(p for p, _ in parts)
                after[y, x] = sum(p * v for p, v in parts) + own * start[y, x]
                if kept[y, x]:
                    after[y, x] = start[y, x]
        now = after
    return now


def twin_3d(start, guidance, steps, positive):
    """Voxel by voxel; the gates are the voxel's own."""
    now = start.copy()
    for _ in range(steps):
        after = np.empty_like(now)
        for at in np.ndindex(start.shape):
            terms = []
            for k, offset in enumerate(NEAR_3D):
                near = tuple(np.add(at, offset))
                if all(0 <= i < n for i, n in zip(near, start.shape, strict=True)):
                    terms.append((guidance[(k, *at)], now[near]))
            total = sum(abs(g) for g, _ in terms) or 1.0
            parts = [((abs(g) if positive else g) / total, v) for g, v in terms]
            after[at] = sum(p * v for p, v in parts) + (1 - sum(p for p, _ in parts)) * start[at]
        now = after
    return now


def twin_lines(start, guidance, kept):
    """The four sweeps, pixel by pixel."""
    h, w = start.shape
    steps = ((0, -1), (0, 1), (-1, 0), (1, 0))
    answers = []
    for direction, (dy, dx) in enumerate(steps):
        now = start.copy()
        # line by line, away from the side where the sweep begins
        order = sorted(np.ndindex(h, w), key=lambda at: -dy * at[0] - dx * at[1])
        for y, x in order:
            terms = []
            for i, side in enumerate((-1, 0, 1)):
                v, u = y + (dy or side), x + (dx or side)
                if 0 <= v < h and 0 <= u < w:
                    terms.append((guidance[3 * direction + i, y, x], now[v, u]))
            total = max(1.0, sum(abs(g) for g, _ in terms))
            own = 1 - sum(g / total for g, _ in terms)
            value = own * start[y, x] + sum(g / total * v for g, v in terms)
            now[y, x] = start[y, x] if kept[y, x] else value
        answers.append(now)
    return np.max(answers, axis=0)


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def t(values):
    return torch.from_numpy(np.ascontiguousarray(values))[None]


@pytest.mark.parametrize("positive", [False, True])
def test_eight_neighbours_one_by_one(positive):
    start, guidance = random(5, 7, seed=1), random(8, 5, 7, seed=2)
    guidance[:, :3, :3] = 0  # a pixel without any affinity keeps what it has
    kept = random(5, 7, seed=3) > 0.8
    found = CSPN2d(6, positive=positive)(t(start)[None], t(guidance), t(kept)[None])
    wanted = twin_2d(start, guidance, 6, positive, kept)
    np.testing.assert_allclose(found[0, 0].numpy(), wanted, atol=1e-12)
    assert found[0, 0, 1, 1] == start[1, 1]


@pytest.mark.parametrize("positive", [False, True])
def test_26_neighbours_one_by_one(positive):
    start, guidance = random(3, 4, 5, seed=1), random(26, 3, 4, 5, seed=2)
    found = CSPN3d(3, positive=positive)(t(start)[None], t(guidance))
    wanted = twin_3d(start, guidance, 3, positive)
    np.testing.assert_allclose(found[0, 0].numpy(), wanted, atol=1e-12)


@pytest.mark.parametrize("shape", [(5, 7), (1, 4), (6, 1)])
@pytest.mark.parametrize("scale", [0.2, 3.0])
def test_three_pixels_of_the_line_before(shape, scale):
    start, guidance = random(*shape, seed=1), scale * random(12, *shape, seed=2)
    kept = random(*shape, seed=3) > 0.8
    found = SPN()(t(start)[None], t(guidance), t(kept)[None])
    np.testing.assert_allclose(found[0, 0].numpy(), twin_lines(start, guidance, kept), atol=1e-12)


def test_gradients_by_finite_differences():
    """Of the map and of the guidance, with and without kept pixels."""
    kept = t(random(4, 5, seed=5) > 0.5)[None]
    cases = [
        (CSPN2d(3), (1, 2, 4, 5), (1, 8, 4, 5)),
        (CSPN2d(3, positive=True), (1, 2, 4, 5), (1, 8, 4, 5)),
        (CSPN3d(2), (1, 1, 2, 3, 4), (1, 26, 2, 3, 4)),
        (SPN(), (1, 2, 4, 5), (1, 12, 4, 5)),
    ]
    for net, *shapes in cases:
        values = [torch.from_numpy(random(*s, seed=7)).requires_grad_() for s in shapes]
        assert torch.autograd.gradcheck(net, values, fast_mode=True)
        if values[0].ndim == 4:
            assert torch.autograd.gradcheck(net, (*values, kept), fast_mode=True)


def test_no_affinity_at_all_sends_no_bad_gradient():
    start = torch.zeros(1, 1, 4, 4, requires_grad=True)
    guidance = torch.zeros(1, 8, 4, 4, requires_grad=True)
    CSPN2d(4)(start, guidance).sum().backward()
    assert torch.isfinite(guidance.grad).all() and torch.isfinite(start.grad).all()


def nets(steps):
    """Every layer with the numbers of axes and channels of its guidance."""
    return [
        (CSPN2d(steps), 2),
        (CSPN2d(steps, positive=True), 2),
        (CSPN3d(steps), 3),
        (CSPN3d(steps, positive=True), 3),
        (SPN(), 2),
    ]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 1e4), st.sampled_from(range(5)))
def test_what_holds_for_any_affinities(seed, scale, which):
    """A constant stays; kept pixels stay bit for bit; nothing positive leaves the range; what is
    signed grows by no more than twice the first map a step, and always stays finite."""
    net, axes = nets(20)[which]
    rng = np.random.default_rng(seed)
    size = tuple(rng.integers(1, 7, axes))
    guidance = torch.from_numpy(scale * rng.normal(size=(1, net.channels, *size))).float()
    start = torch.from_numpy(rng.uniform(1, 100, (1, 1, *size))).float()
    kept = torch.from_numpy(rng.random((1, 1, *size)) < 0.3)
    constant = torch.full_like(start, 7.0)
    torch.testing.assert_close(net(constant, guidance), constant, rtol=1e-3, atol=1e-3)
    found = net(start, guidance, kept)
    assert torch.equal(found[kept], start[kept])
    lines = max(size) if isinstance(net, SPN) else 20
    assert found.abs().max() <= (1 + 2 * lines) * start.max() * 1.001
    if isinstance(net, SPN):
        found, positive = net(start, guidance.abs(), kept), True
    else:
        positive = net.positive
    if positive:
        assert found.min() >= start.min() * 0.999
        assert found.max() <= start.max() * 1.001


@pytest.mark.parametrize("which", range(5))
def test_a_difference_of_the_state_never_grows(which):
    """The largest difference that a change makes at one pixel, as it is passed on, is at most the
    change: sum |w| <= 1 at every pixel."""
    net, axes = nets(1)[which]
    size = (5, 6, 4)[:axes]
    guidance = torch.from_numpy(random(1, net.channels, *size, seed=1))
    if isinstance(net, SPN):
        weights = line_affinities(guidance).abs().sum(dim=2)
    else:
        make = conv_affinities if axes == 2 else conv_affinities_3d
        weights = make(guidance, positive=net.positive).abs().sum(dim=1)
    assert weights.max() <= 1 + 1e-12


def test_a_hint_spreads_as_far_as_the_affinities_let_it():
    """Two halves without affinity between them; each has one kept pixel."""
    start, kept = torch.zeros(1, 1, 6, 10), torch.zeros(1, 1, 6, 10, dtype=torch.bool)
    start[..., 2, 1], start[..., 3, 8] = 3.0, 5.0
    kept[..., 2, 1] = kept[..., 3, 8] = True
    wanted = torch.tensor([3.0] * 5 + [5.0] * 5).expand(6, 10)
    side = torch.arange(10) >= 5
    guidance = torch.ones(1, 8, 6, 10)
    # where a gate's pixel is read by one of the other half it is closed
    for k, (_, dx) in enumerate(NEAR_2D):
        reader = (torch.arange(10) - dx).clamp(0, 9)
        guidance[:, k, :, side != side[reader]] = 0
    found = CSPN2d(200)(start, guidance, kept)
    torch.testing.assert_close(found[0, 0], wanted, atol=0.01, rtol=0)
    lines = torch.ones(1, 12, 6, 10)
    lines[:, :3, :, 5] = 0
    lines[:, 3:6, :, 4] = 0
    for direction in (2, 3):
        lines[:, 3 * direction, :, 5] = 0
        lines[:, 3 * direction + 2, :, 4] = 0
    found = SPN()(start, lines, kept)
    assert (found[0, 0][:, :5] <= 3).all() and (found[0, 0][:, 5:] > 0).any()
    assert found[0, 0].max() == 5 and found[0, 0, :, :5].max() == 3


def test_channels_share_the_weights():
    start = torch.from_numpy(random(2, 3, 5, 6))
    guidance = torch.from_numpy(random(2, 8, 5, 6, seed=4))
    weights = conv_affinities(guidance)
    both = propagated(start, weights, 5)
    for c in range(3):
        one = propagated(start[:, c : c + 1], weights, 5)
        torch.testing.assert_close(one, both[:, c : c + 1])
    lines = line_affinities(torch.from_numpy(random(2, 12, 5, 6, seed=4)))
    torch.testing.assert_close(swept(start[1:, 1:2], lines[1:]), swept(start, lines)[1:, 1:2])
