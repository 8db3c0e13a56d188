"""Monodepth2: sizes, what training and evaluation give, that it learns, what it refuses."""

import pytest
import torch

from fathom.core import InputError, UsageError
from fathom.layers.depth_losses import scale_and_shift_invariant
from fathom.nets.mono.monodepth2 import (
    Monodepth2,
    Monodepth2Config,
    PoseCNN,
    PoseConfig,
    PoseNet,
    depth_of,
    monodepth2,
)

torch.set_num_threads(1)


def narrow():
    torch.manual_seed(0)
    return Monodepth2(
        Monodepth2Config(18, (1, 1, 1, 1), (8, 8, 16, 16), (8, 8, 8, 16, 16), classes=0)
    )


def images(batch=1, height=64, width=96, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 3, height, width, generator=generator) * 255


def test_four_sizes_in_training_and_one_in_evaluation():
    net = narrow()
    shapes = [tuple(s.shape) for s in net(images(2))]
    assert shapes == [(2, 1, 64 >> i, 96 >> i) for i in range(4)]
    net.eval()
    with torch.no_grad():
        (sigmoid,) = net(images())
        both = net(images(2))[0]
    assert tuple(sigmoid.shape) == (1, 1, 64, 96) and sigmoid.min() > 0 and sigmoid.max() < 1
    with torch.no_grad():
        one = net(images(2)[:1])[0]
    torch.testing.assert_close(one, both[:1])


def test_depth_lies_between_its_ends():
    ends = depth_of(torch.tensor([0.0, 1.0]))
    assert ends.tolist() == pytest.approx([100, 0.1])


def test_every_weight_is_reached():
    net = narrow()
    sum(s.square().mean() for s in net(images(2))).backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not bool(p.grad.any())] == []


@pytest.mark.parametrize("build", [lambda: PoseNet(PoseConfig(classes=0)), PoseCNN])
def test_motion_between_frames(build):
    torch.manual_seed(0)
    net = build().eval()
    with torch.no_grad():
        turned, moved = net(images(2), images(2, seed=1))
        other, _ = net(images(2, seed=1), images(2))
    assert tuple(turned.shape) == tuple(moved.shape) == (2, 3)
    assert not torch.allclose(turned, other)  # the order of the frames matters
    assert turned.abs().max() < 0.5  # radians: small motions from the start


def test_it_learns_inverse_depth():
    net, given = narrow().train(), images(4)
    y = torch.linspace(0, 1, 64)[None, None, :, None].expand(4, 1, 64, 96)
    truth = y + 0.3 * (given[:, :1] > 128)
    valid = torch.ones_like(truth, dtype=torch.bool)
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = scale_and_shift_invariant(net(given)[0], truth, valid, "mse")
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize(("height", "width"), [(60, 96), (32, 96), (64, 100)])
def test_sizes_it_cannot_take(height, width):
    with pytest.raises(InputError, match=r"does not suit this net.*multiples of 32, 64"):
        narrow()(images(1, height, width))


def test_no_such_resnet(unchecked):
    with pytest.raises(UsageError, match="is no ResNet"):
        monodepth2(depth=101)
    with pytest.raises(UsageError, match="is no ResNet"):
        Monodepth2Config(depth=20)
    with pytest.raises(UsageError, match="is no net"):
        Monodepth2Config(widths=(0, 1, 1, 1))
    with pytest.raises(UsageError, match="is no net"):
        PoseConfig(inner=0)
    with pytest.raises(UsageError, match="is no scale"):
        PoseConfig(scale=0.0)
