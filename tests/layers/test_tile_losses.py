"""HITNet's losses against twins that go from tile to tile, and their gradients."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fathom.core.errors import UsageError
from fathom.layers.stereo import StereoOutput, as_output
from fathom.layers.tile_losses import (
    LevelCosts,
    TileLoss,
    Tiles,
    TileTrace,
    choice_loss,
    fitted_slants,
    reduced,
    robust,
    slant_loss,
    start_loss,
)

torch.set_num_threads(1)


def t(values, grad=False):
    return torch.tensor(np.asarray(values, np.float64), requires_grad=grad)


def ramp(height, width, a=0.2, b=-0.1, base=5.0):
    y, x = np.mgrid[:height, :width]
    return (base + a * x + b * y)[None, None]


def slow_start(costs, truth, valid, wrong):
    found = []
    for n in range(costs.shape[0]):
        lost = []
        for y, x in np.ndindex(truth.shape[2:]):
            d = truth[n, 0, y, x]
            if not valid[n, 0, y, x] or not 0 <= d <= costs.shape[1] - 1:
                continue
            column = costs[n, :, y, x]
            right = np.interp(d, np.arange(len(column)), column)
            others = sorted(c for k, c in enumerate(column) if abs(k - d) > 1.5)[:wrong]
            lost.append(right + np.mean([max(0, 1 - c) for c in others]))
        found.append(np.mean(lost) if lost else 0)
    return np.mean(found)


@pytest.mark.parametrize("wrong", [1, 3])
def test_the_start(wrong):
    rng = np.random.default_rng(0)
    costs = rng.uniform(0, 1.5, (2, 9, 3, 4))
    truth = rng.uniform(-1, 10, (2, 1, 3, 4))
    truth[0, 0, 0, 0], truth[0, 0, 0, 1] = 0, 8  # both ends can be found
    valid = rng.random(truth.shape) < 0.8
    truth[~valid] = np.nan
    found = start_loss(t(costs), t(truth), torch.from_numpy(valid), wrong)
    assert found.item() == pytest.approx(slow_start(costs, truth, valid, wrong), rel=1e-12)


def test_the_start_of_one_level_and_its_gradient():
    truth, valid = t(np.zeros((1, 1, 1, 1))), torch.ones(1, 1, 1, 1, dtype=torch.bool)
    assert start_loss(t(np.full((1, 1, 1, 1), 0.3)), truth, valid).item() == pytest.approx(0.3)
    costs = t(np.random.default_rng(1).uniform(0.1, 0.9, (1, 6, 1, 2)), grad=True)
    truth = t([[[[1.3, 4.0]]]])
    valid = torch.ones(1, 1, 1, 2, dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda c: start_loss(c, truth, valid), (costs,))


@pytest.mark.parametrize(("shape", "width"), [(0.9, 0.1), (0.8, 0.5)])
def test_the_robust_loss(shape, width):
    x = np.array([0.0, 0.01, 1.0, 20.0])
    b = 2 - shape
    expected = b / shape * (((x / width) ** 2 / b + 1) ** (shape / 2) - 1)
    np.testing.assert_allclose(robust(t(x), shape, width).numpy(), expected, rtol=1e-12)
    assert robust(t(1e-4), shape, width).item() == pytest.approx((1e-4 / width) ** 2 / 2, rel=1e-3)
    assert torch.autograd.gradcheck(lambda v: robust(v, shape, width), (t(x + 0.05, grad=True),))


def test_slants_count_near_the_truth_only():
    truth = t(np.zeros((1, 2, 1, 4)))
    slants = t(np.array([[[[1.0, 2, 3, 4]], [[0.5, 0, 0, np.nan]]]]), grad=True)
    near = torch.tensor([True, False, True, False]).view(1, 1, 1, 4)
    valid = torch.tensor([True, True, True, False]).view(1, 1, 1, 4)
    loss = slant_loss(slants, truth, near, valid)
    assert loss.item() == pytest.approx((1.5 + 3) / 3)
    loss.backward()
    assert torch.isfinite(slants.grad).all()


def test_the_choice():
    sure = t([[[[0.2, 0.7, -1.0, 2.0, 0.4]]]], grad=True)
    off = t([[[[0.5, -1.2, 0.1, 1.6, -9.0]]]], grad=True)
    valid = torch.ones(1, 1, 1, 5, dtype=torch.bool)
    loss = choice_loss(sure, off, valid, 1.0, 1.5)
    assert loss.item() == pytest.approx((0.8 + 0 + 2 + 2 + 0.4) / 5)
    loss.backward()
    assert off.grad is None  # nobody becomes sure by being wrong elsewhere


def test_reduced_truth_is_the_largest():
    truth = t(np.arange(16.0).reshape(1, 1, 4, 4))
    valid = truth < 14
    valid[..., :2, :2] = False
    most, known = reduced(truth, valid, 2)
    assert known.tolist() == [[[[False, True], [True, True]]]]
    assert most.tolist() == [[[[0, 7], [13, 11]]]]


def test_slants_of_planes_edges_and_holes():
    truth = ramp(14, 18)
    truth[..., 9:] = ramp(14, 18, a=-0.05, b=0.3, base=30)[..., 9:]
    valid = np.ones(truth.shape, bool)
    valid[..., 3, :] = False
    truth[~valid] = np.nan
    slants, known = fitted_slants(t(truth), torch.from_numpy(valid))
    assert (known.numpy() == valid).all()
    found = np.where(known.numpy(), slants.numpy(), np.nan)
    for part, wanted in ((slice(0, 9), (0.2, -0.1)), (slice(9, 18), (-0.05, 0.3))):
        for i in range(2):
            values = found[0, i, :, part]
            assert np.nanmax(np.abs(values - wanted[i])) < 1e-9


def test_slants_against_least_squares():
    rng = np.random.default_rng(4)
    truth = ramp(9, 9) + rng.normal(0, 0.02, (1, 1, 9, 9))
    slants, _ = fitted_slants(t(truth), torch.ones(1, 1, 9, 9, dtype=torch.bool))
    y, x = np.mgrid[:9, :9]
    design = np.stack([np.ones(81), x.ravel(), y.ravel()], axis=1)
    wanted = np.linalg.lstsq(design, truth.ravel(), rcond=None)[0][1:]
    np.testing.assert_allclose(slants[0, :, 4, 4].numpy(), wanted, atol=1e-9)


def test_lonely_pixels_have_no_slant():
    truth = t(np.full((1, 1, 12, 12), 7.0))
    valid = torch.zeros(1, 1, 12, 12, dtype=torch.bool)
    valid[..., 5, :] = True  # one line
    assert not fitted_slants(truth, valid)[1].any()


def moved(planes, by, slant=0):
    return planes + t([by, slant, 0]).view(1, 3, 1, 1)


def perfect(truth, costs=None):
    """Tiles of all kinds that lie on a ramp of 0.2 and -0.1, and the batch."""
    batch = SimpleNamespace(truth=truth, valid=torch.isfinite(truth))

    def planes(side, scale):
        middles = torch.nn.functional.avg_pool2d(truth, side * scale) / scale
        flat = torch.ones_like(middles)
        return torch.cat([middles, 0.2 * flat, -0.1 * flat], dim=1)

    def sure(side, scale, value):
        return torch.full_like(planes(side, scale)[:, :1], value)

    tiles = (
        Tiles(planes(4, 2), 4, 2, sure(4, 2, 1.0), False),
        Tiles(moved(planes(4, 1), 3), 4, 1, sure(4, 1, -0.5), False),  # wrong, and knows it
        Tiles(planes(4, 1), 4, 1, sure(4, 1, 2.0), False),
        Tiles(planes(2, 1), 2, 1, None, True),
        Tiles(planes(1, 1), 1, 1, None, True),
    )
    trace = TileTrace(() if costs is None else costs, tiles)
    return StereoOutput((truth,), inner=trace), batch


def test_planes_on_the_truth_lose_nothing():
    output, batch = perfect(t(ramp(16, 24)))
    terms = TileLoss()(as_output(output), batch)
    assert set(terms) == {"start", "disparity", "slant", "confidence"}
    competing = robust(t(1.0), 0.9, 0.1).item()  # 3 px off counts as 1
    assert terms["disparity"].item() == pytest.approx(competing, rel=1e-5)
    for name in ("start", "slant", "confidence"):
        assert terms[name].item() == pytest.approx(0, abs=1e-5)


def test_what_each_term_is_for():
    output, batch = perfect(t(ramp(16, 24)))
    trace = output.inner
    alone = trace.tiles[-1]._replace(planes=moved(trace.tiles[-1].planes, 3))
    terms = TileLoss()(output._replace(inner=TileTrace((), (alone,))), batch)
    assert terms["disparity"].item() == pytest.approx(robust(t(3.0), 0.9, 0.1).item(), rel=1e-5)
    assert terms["slant"].item() == 0
    unsure = trace.tiles[0]._replace(sure=trace.tiles[0].sure - 1.5)
    terms = TileLoss()(output._replace(inner=TileTrace((), (unsure,))), batch)
    assert terms["confidence"].item() == pytest.approx(1.5)
    tilted = trace.tiles[-1]._replace(planes=moved(trace.tiles[-1].planes, 0, 0.3))
    terms = TileLoss()(output._replace(inner=TileTrace((), (tilted,))), batch)
    assert terms["slant"].item() == pytest.approx(0.3, rel=1e-5)
    assert terms["disparity"].item() == pytest.approx(0, abs=1e-9)


def test_costs_are_judged_in_their_own_pixels():
    truth = t(np.full((1, 1, 16, 16), 6.0))
    costs = torch.full((1, 8, 2, 2), 2.0, dtype=truth.dtype)
    costs[:, 3] = 0.25  # 6 px of the image are 3 of its half
    output, batch = perfect(truth, (LevelCosts(costs, 2),))
    assert TileLoss()(output, batch)["start"].item() == pytest.approx(0.25)
    costs[:, 6] = 0.4
    assert TileLoss()(output, batch)["start"].item() == pytest.approx(0.25 + 0.6)
    assert TileLoss(wrong=2)(output, batch)["start"].item() == pytest.approx(0.25 + 0.3)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"shape": -1}, {"wrong": 0}, {"unsure": 0}])
def test_numbers_that_are_no_loss(wrong):
    with pytest.raises(UsageError, match="is not positive"):
        TileLoss(**wrong)


def test_an_output_without_tiles():
    truth = t(np.ones((1, 1, 16, 16)))
    batch = SimpleNamespace(truth=truth, valid=torch.isfinite(truth))
    with pytest.raises(UsageError, match="gives no tiles"):
        TileLoss()(StereoOutput((truth,)), batch)
