"""Rigid reprojection: exact on a plane, its conventions, gradients, and a slow minimum."""

import cv2
import numpy as np
import pytest
import torch

from fathom.core import UsageError
from fathom.layers.reprojection import (
    back_projected,
    least_error,
    projected,
    rigid,
    rotation,
    seen_after,
)

torch.set_num_threads(1)
WIDTH, HEIGHT = 48, 32
K = torch.tensor([[[40.0, 0, 22.0], [0, 42.0, 17.0], [0, 0, 1]]], dtype=torch.float64)
NORMAL, DISTANCE = np.array([0.3, -0.4, 1.0]), 3.0
TURN = torch.tensor([[0.03, -0.06, 0.04]], dtype=torch.float64)
SHIFT = torch.tensor([[0.25, -0.1, 0.3]], dtype=torch.float64)


def rays():
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([(x - 22.0) / 40, (y - 17.0) / 42, np.ones_like(x)], -1)


def painted(points):
    """The colour of a place on the plane: smooth, and different in all directions."""
    return 100 + 60 * np.sin(2.0 * points[..., 0] + 0.5) + 50 * np.cos(1.5 * points[..., 1])


def plane():
    """Target image and depth, and the source image of the camera that moved: by ray and plane."""
    depth = DISTANCE / (rays() @ NORMAL)
    target = painted(rays() * depth[..., None])
    turn, shift = cv2.Rodrigues(TURN.numpy()[0])[0], SHIFT.numpy()[0]
    back = rays() @ turn  # R^T r
    length = (DISTANCE + NORMAL @ (turn.T @ shift)) / (back @ NORMAL)
    source = painted((rays() * length[..., None] - shift) @ turn)
    return tuple(torch.from_numpy(v)[None, None] for v in (target, depth, source))


def error(motion):
    target, depth, source = plane()
    seen, inside = seen_after(source, depth, K, motion)
    return float((seen - target)[inside].abs().max()), float(inside.double().mean())


def test_true_depth_and_motion_give_the_image_back():
    worst, share = error(rigid(TURN, SHIFT))
    assert worst < 1.0 and share > 0.6  # of 220 grey values: what linear sampling leaves
    wrong = {
        "inverse": rigid(TURN, SHIFT, inverse=True),
        "turned the other way": rigid(-TURN, SHIFT),
        "moved the other way": rigid(TURN, -SHIFT),
    }
    for name, motion in wrong.items():
        assert error(motion)[0] > 5, name


def test_places_are_those_of_opencv():
    points = back_projected(torch.full((1, 1, HEIGHT, WIDTH), 2.0, dtype=torch.float64), K)
    assert points[0, :, 17, 22].tolist() == pytest.approx([0, 0, 2])
    places, ahead = projected(points, K, rigid(TURN, SHIFT))
    flat = points[0].flatten(1).T.numpy()
    wanted = cv2.projectPoints(flat, TURN.numpy()[0], SHIFT.numpy()[0], K[0].numpy(), None)[0]
    np.testing.assert_allclose(places[0].flatten(1).T.numpy(), wanted[:, 0], atol=1e-9)
    assert bool((ahead > 2).all())


def test_what_lies_behind_or_beside_is_not_inside():
    source = torch.arange(12.0).reshape(1, 1, 3, 4)
    k = torch.eye(3)[None] * torch.tensor([4.0, 4.0, 1.0])[:, None]
    none = torch.zeros(1, 3)
    depth = torch.full((1, 1, 3, 4), 2.0)
    seen, inside = seen_after(source, depth, k, rigid(none, torch.tensor([[0.5, 0, 0]])))
    assert inside[0, 0, 0].tolist() == [True, True, True, False]
    assert seen[0, 0, 0].tolist() == pytest.approx([1, 2, 3, 3])  # a pixel further
    _, inside = seen_after(source, depth, k, rigid(none, torch.tensor([[0, 0, -3.0]])))
    assert not inside.any()


@pytest.mark.parametrize("axis", [(0.4, -0.3, 0.2), (0.0, 0.0, 0.0), (1e-7, 0.0, 0.0)])
def test_rotation_is_rodrigues_and_its_gradient_is_right(axis):
    vector = torch.tensor([axis], dtype=torch.float64, requires_grad=True)
    np.testing.assert_allclose(
        rotation(vector)[0].detach().numpy(), cv2.Rodrigues(np.array(axis))[0], atol=1e-12
    )
    assert torch.autograd.gradcheck(rotation, (vector,), eps=1e-6, atol=1e-5)


def test_a_motion_and_its_inverse_undo_each_other():
    both = rigid(TURN, SHIFT) @ rigid(TURN, SHIFT, inverse=True)
    torch.testing.assert_close(both[0], torch.eye(4, dtype=torch.float64))


def test_gradients_reach_depth_and_motion():
    generator = torch.Generator().manual_seed(3)
    source = torch.rand(1, 2, 4, 5, generator=generator, dtype=torch.float64)
    depth = 2 + torch.rand(1, 1, 4, 5, generator=generator, dtype=torch.float64)
    k = torch.tensor([[[5.0, 0, 2.1], [0, 5.0, 1.6], [0, 0, 1]]], dtype=torch.float64)
    given = [t.clone().requires_grad_() for t in (depth, 0.3 * TURN, 0.3 * SHIFT)]

    def warped(depth, turn, shift):
        return seen_after(source, depth, k, rigid(turn, shift))[0]

    assert torch.autograd.gradcheck(warped, given, eps=1e-7, atol=1e-5)


def slow_least(errors, still):
    """Pixel by pixel."""
    out, counts = np.empty(errors.shape[2:]), np.empty(errors.shape[2:], bool)
    for y, x in np.ndindex(out.shape):
        moved = min(errors[0, n, y, x] for n in range(errors.shape[1]))
        stays = min(still[0, n, y, x] for n in range(errors.shape[1]))
        counts[y, x] = moved < stays
        out[y, x] = moved if moved < stays else stays
    return out, counts


def test_the_least_error_is_that_of_a_slow_twin():
    errors, still = np.random.default_rng(0).random((2, 1, 3, 6, 7))
    found, counts = least_error(torch.from_numpy(errors), torch.from_numpy(still), noise=0.0)
    wanted = slow_least(errors, still)
    np.testing.assert_array_equal(found[0, 0].numpy(), wanted[0])
    np.testing.assert_array_equal(counts[0, 0].numpy(), wanted[1])
    plain, all_count = least_error(torch.from_numpy(errors))
    np.testing.assert_array_equal(plain[0, 0].numpy(), errors[0].min(axis=0))
    assert bool(all_count.all())


def test_what_does_not_move_is_masked_and_sends_no_gradient():
    errors = torch.full((1, 2, 8, 8), 0.1, requires_grad=True)
    still = torch.zeros(1, 2, 8, 8)
    still[..., 4:] = 0.5
    found, counts = least_error(errors, still)
    assert not counts[..., :4].any() and counts[..., 4:].all()
    found.sum().backward()
    assert not errors.grad[..., :4].any() and errors.grad[..., 4:].any()


def test_ties_are_broken_by_noise():
    """A camera that stands: both errors are alike, and about half of the pixels is masked."""
    alike = torch.zeros(1, 1, 40, 40)
    torch.manual_seed(0)
    counts = least_error(alike, alike)[1].double().mean()
    assert 0.4 < counts < 0.6
    assert not least_error(alike, alike, noise=0.0)[1].any()


def test_errors_of_no_sources_are_refused(unchecked):
    with pytest.raises(UsageError, match="are no errors of the same sources"):
        least_error(torch.zeros(1, 0, 2, 2))
    with pytest.raises(UsageError, match="are no errors of the same sources"):
        least_error(torch.zeros(1, 2, 2, 2), torch.zeros(1, 1, 2, 2))
