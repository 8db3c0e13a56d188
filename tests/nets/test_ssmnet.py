"""SsSMnet: sizes, both views, learning without truth."""

from dataclasses import replace

import learning
import net_checks
import pytest
import torch
from net_checks import images
from torch.nn import functional

from fathom.core import InputError, UsageError
from fathom.layers.photometric_distance import Distance
from fathom.nets.stereo.ssmnet import FRAMES, WEIGHTS, SsSMnet, SsSMnetConfig, ssmnet
from fathom.train import StereoPhotometric
from fathom.train.pairs import Batch

torch.set_num_threads(1)
NARROW = SsSMnetConfig(max_disparity=16, width=4, blocks=1, sizes=3)
LOSS = StereoPhotometric(Distance("sad"), hidden=1.0, loop=0.1, far=0.01, order=2)


def built():
    torch.manual_seed(0)
    return SsSMnet(NARROW)


@pytest.mark.parametrize(("height", "width"), [(8, 24), (24, 8)])
def test_sizes_of_everything_it_gives(height, width):
    given = images(height, width, batch=2)
    net = built()
    assert [tuple(d.shape) for d in net(*given).right] == [(2, 1, height, width)]
    net_checks.assert_gives(net, given, [(2, 1, height, width)], 15)
    assert net(*given).right == ()


def test_gradients_or_not_and_batches_give_the_same():
    net_checks.assert_same_without_gradients(built(), images(16, 32))
    net_checks.assert_batch_is_singles(built(), images(16, 32, batch=2))


def test_the_right_view_is_the_left_one_of_the_mirrored_descriptions():
    """With descriptions that mirroring only mirrors, the mirrored pair gives the right view."""
    net = built()
    net.described = lambda image: functional.avg_pool2d(image, 2)[:, :1].expand(-1, 4, -1, -1)
    left, right = images(16, 32)
    with torch.no_grad():
        both, mirrored = net(left, right), net(right.flip(3), left.flip(3))
    torch.testing.assert_close(both.right[0], mirrored.disparities[0].flip(3))
    assert (both.right[0] - both.disparities[0]).abs().max() > 1e-3


def test_every_weight_is_reached():
    assert net_checks.silent(built(), LOSS, learning.batch(16, 32, 14)) == []


def test_it_learns_without_truth_and_the_check_would_notice_if_not():
    """The error against the truth falls, which the loss never sees; with the views exchanged it
    does not. Soft textures: a net without any notion follows the images' slopes."""
    generator = torch.Generator().manual_seed(1)
    dots = torch.rand(2, 3, 16 + 14, 48 + 4 + 14, generator=generator) * 255
    soft = functional.avg_pool2d(functional.avg_pool2d(dots, 8, 1), 8, 1) * 4 - 382
    views, truth = (soft[..., :48], soft[..., 4:]), torch.full((2, 1, 16, 48), 4.0)
    loss = replace(LOSS, smoothness=0.02)
    left = {}
    for name, inputs in {"pairs": views, "exchanged": views[::-1]}.items():
        net, errors = built(), []
        given = Batch(*inputs, truth, truth > 0, None, ("a", "b"))
        optimiser = torch.optim.Adam(net.parameters(), 2e-2)
        for _ in range(20):
            output = net(*inputs)
            errors.append((output.disparities[0] - truth).abs().mean().item())
            optimiser.zero_grad()
            sum(loss(output, given).values()).backward()
            optimiser.step()
        left[name] = errors[-1] / errors[0]
    assert left["pairs"] < 0.3 and left["exchanged"] > 0.8, left


@pytest.mark.parametrize(("height", "width"), [(12, 64), (8, 20)])
def test_images_it_cannot_take(height, width):
    with pytest.raises(InputError, match=r"does not suit this net.* multiples of 8"):
        built()(*images(height, width))


def test_the_full_size_and_its_experiments():
    config = SsSMnetConfig()
    assert (config.divisor, config.max_disparity, FRAMES["ssmnet"].divisor) == (32, 192, 32)
    assert sum(p.numel() for p in ssmnet(max_disparity=64).parameters()) == 3509857
    assert WEIGHTS == ()
    assert net_checks.experiment("ssmnet").net is ssmnet
    small, shown = (net_checks.experiment(f"ssmnet_{n}") for n in ("small", "shown"))
    assert small.net().config.max_disparity == small.max_disparity
    assert shown.data.args == shown.validation[0].data.args  # judged on what it learns from


@pytest.mark.parametrize("wrong", [{"max_disparity": 40}, {"width": 0}, {"sizes": 0}])
def test_configs_that_are_no_net(wrong):
    with pytest.raises(UsageError, match=r"multiple of 32|is no net"):
        SsSMnetConfig(**wrong)
