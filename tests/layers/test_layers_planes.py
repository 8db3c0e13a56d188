"""Sweeping planes, reading their answers, and the loss, each against a slow twin."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from fathom.core import InputError, UsageError
from fathom.layers.planes import (
    PlaneLoss,
    answers_at,
    mean_of_steps,
    plane_loss,
    plane_sweep,
    share_nearer,
)
from fathom.layers.stereo import StereoOutput


def random(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def test_plane_sweep_cell_by_cell():
    left, right = random(2, 3, 2, 5), random(2, 3, 2, 5, seed=1)
    planes = [[0, 2, 4], [1, 3, 4]]
    found = plane_sweep(left, right, planes, 4).numpy()
    wanted = np.zeros((2, 3, 6, 2, 9))
    for i, n, y, x in np.ndindex(2, 3, 2, 5):
        wanted[i, n, :3, y, x] = left[i, :, y, x]
        wanted[i, n, 3:, y, x + planes[i][n]] = right[i, :, y, x]
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("planes", [2, 3, 12])
def test_the_share_of_nearer_planes_is_that_of_all_whole_pixels(planes):
    logits = random(1, planes, 2, 3)
    fine = functional.interpolate(
        logits[:, None], size=(3 * planes, 2, 3), mode="trilinear", align_corners=False
    )[:, 0, 1:-1]
    wanted = fine.sigmoid().mean(dim=1, keepdim=True)
    torch.testing.assert_close(share_nearer(logits, 3), wanted)


def test_sure_answers_give_the_disparity():
    """A pixel at 10 px: nearer than planes 0, 3, 6, 9, not than 12, 15."""
    at = 3 * torch.arange(6.0)
    logits = (40 * (10 - at)).view(1, 6, 1, 1)
    levels = 16
    disparity = share_nearer(logits, 3) * levels - 0.5
    assert disparity.item() == pytest.approx(10, abs=1e-4)


def test_answers_between_planes_are_linear():
    logits = random(1, 4, 2, 2)
    level = torch.tensor([[-1.0, 0.0], [1.25, 9.0]], dtype=torch.float64).view(1, 1, 2, 2)
    found = answers_at(logits, level)[0, 0]
    assert found[0, 0] == logits[0, 0, 0, 0] and found[0, 1] == logits[0, 0, 0, 1]
    wanted = 0.75 * logits[0, 1, 1, 0] + 0.25 * logits[0, 2, 1, 0]
    assert found[1, 0].item() == pytest.approx(wanted.item())
    assert found[1, 1] == logits[0, 3, 1, 1]
    assert answers_at(logits[:, :1], level)[0, 0, 1, 1] == logits[0, 0, 1, 1]


def test_the_mean_of_steps_is_the_middle_where_all_is_sure():
    planes = torch.tensor([12.0, 24.0, 48.0]).view(1, 3, 1, 1)
    nearer = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]]).T.reshape(1, 3, 4, 1)
    found = mean_of_steps(nearer, planes, 0, 192).flatten().tolist()
    assert found == [6.0, 18.0, 36.0, 120.0]
    half = mean_of_steps(torch.full((1, 3, 1, 1), 0.5), planes, 0, 192).item()
    assert half == pytest.approx((6 + 120) / 2)


def truth_of(rows):
    truth = torch.tensor(rows, dtype=torch.float64)[None, None]
    return truth, torch.isfinite(truth)


def test_plane_loss_pixel_by_pixel():
    truth, valid = truth_of([[2.0, 7.0, float("nan")], [30.0, 12.0, 5.0]])
    logits = random(1, 2, 2, 3)
    planes = torch.tensor([6.0, 12.0], dtype=torch.float64).view(1, 2, 1, 1)
    total = []
    for y, x in np.ndindex(2, 3):
        if valid[0, 0, y, x]:
            for k, plane in enumerate((6, 12)):
                p = 1 / (1 + math.exp(-logits[0, k, y, x].item()))
                nearer = truth[0, 0, y, x].item() > plane
                total.append(-math.log(p if nearer else 1 - p))
    assert plane_loss(logits, planes, truth, valid).item() == pytest.approx(np.mean(total))


def test_plane_loss_enlarges_coarse_answers_and_has_the_right_gradient():
    truth, valid = truth_of([[2.0, 7.0, 9.0, float("nan")]] * 4)
    logits = random(1, 1, 2, 2).requires_grad_()
    planes = torch.tensor([6.0], dtype=torch.float64).view(1, 1, 1, 1)
    assert torch.autograd.gradcheck(lambda v: plane_loss(v, planes, truth, valid), (logits,))
    full = functional.interpolate(logits, size=(4, 4), mode="bilinear", align_corners=False)
    same = plane_loss(full, planes, truth, valid)
    torch.testing.assert_close(plane_loss(logits, planes, truth, valid), same)


def test_unknown_truth_sends_no_gradient():
    truth, valid = truth_of([[float("nan")] * 2])
    logits = random(1, 1, 1, 2).requires_grad_()
    loss = plane_loss(logits, torch.full((1, 1, 1, 1), 3.0), truth, valid)
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


def test_the_whole_loss_and_its_weights():
    truth, valid = truth_of([[4.0, 8.0]])
    batch = SimpleNamespace(truth=truth, valid=valid)
    answers = (random(1, 1, 1, 2), torch.full((1, 1, 1, 1), 6.0, dtype=torch.float64))
    output = StereoOutput((truth + 2, truth + 3), inner=(answers, answers))
    found = PlaneLoss(planes=3)(output, batch)
    assert found["planes"].item() == pytest.approx(3 * plane_loss(*answers, truth, valid).item())
    assert found["disparity"].item() == pytest.approx(1.5 + 0.5 * 2.5)
    assert set(PlaneLoss(disparity=0)(output, batch)) == {"planes"}


def test_what_the_loss_refuses():
    with pytest.raises(UsageError, match="planes = -1: is no weight"):
        PlaneLoss(planes=-1)
    with pytest.raises(UsageError, match="disparity = nan: is no weight"):
        PlaneLoss(disparity=float("nan"))
    truth, valid = truth_of([[4.0]])
    with pytest.raises(InputError, match="holds no answers to planes"):
        PlaneLoss()(StereoOutput((truth,)), SimpleNamespace(truth=truth, valid=valid))
