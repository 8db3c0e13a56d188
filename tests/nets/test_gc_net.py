"""GC-Net: sizes, ranges, names of tensors, learning."""

import learning
import net_checks
import pytest
import torch
from net_checks import images

from fathom.core import InputError, UsageError
from fathom.layers.state import load_state
from fathom.nets.stereo import psmnet
from fathom.nets.stereo.gc_net import WEIGHTS, GCNet, GCNetConfig, convert, gc_net, unconvert
from fathom.train import StereoLoss

torch.set_num_threads(1)
NARROW = GCNetConfig(max_disparity=32, width=4, blocks=1)
L1 = StereoLoss(kind="sequence")  # of a single output: the mean absolute error


def built():
    torch.manual_seed(0)
    return GCNet(NARROW)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (32, 96), (64, 32)])
def test_sizes_of_everything_it_gives(height, width):
    given = images(height, width, batch=2)
    net_checks.assert_gives(built(), given, [(2, 1, height, width)], 31)


def test_gradients_or_not_and_the_detours_give_the_same():
    net_checks.assert_same_without_gradients(built(), images())
    net_checks.assert_batch_is_singles(built(), images(batch=2))


def test_the_smallest_cost_wins():
    net = built().eval()
    net.costs = lambda left, right: (
        torch.arange(32.0).sub(7).abs().view(1, 1, 32, 1, 1).expand(1, 1, 32, 32, 64)
    )
    with torch.no_grad():
        out = net(*images())
    assert out.disparities[0].mean().item() == pytest.approx(7, abs=0.01)
    # p ~ exp(-|k - 7|): all of 7 and half of its neighbours lie within 1 px
    p = [torch.exp(torch.tensor(-float(i))).item() for i in range(26)]
    expected = (1 + p[1]) / (1 + 2 * sum(p[1:8]) + sum(p[8:25]))
    assert torch.sigmoid(out.confidence).mean().item() == pytest.approx(expected, rel=1e-3)


def test_every_weight_is_reached_but_biases_before_a_normalisation():
    net, batch = built(), learning.batch(32, 64, 28)
    L1(net(*batch.inputs), batch)["disparity"].backward()
    assert all(p.grad is not None for p in net.parameters())
    idle = {n for n, p in net.named_parameters() if not bool((p.grad.abs() > 1e-6).any())}
    assert all(n.endswith("0.bias") for n in idle), idle


@pytest.mark.parametrize(("height", "width"), [(48, 64), (32, 40)])
def test_images_it_cannot_take(height, width):
    with pytest.raises(InputError, match=r"does not suit this net.* multiples of 32"):
        built()(*images(height, width))


def test_the_published_sizes():
    config = GCNetConfig()
    assert (config.divisor, config.smallest, config.step, config.max_disparity) == (32, 32, 32, 192)
    assert sum(p.numel() for p in gc_net(max_disparity=64).parameters()) == 3179553


@pytest.mark.parametrize("wrong", [40, 0])
def test_ranges_it_cannot_search(wrong):
    with pytest.raises(UsageError, match=r"max_disparity.*multiple of 32"):
        GCNetConfig(wrong)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"blocks": 0}])
def test_a_config_that_is_no_net(wrong):
    with pytest.raises(UsageError, match="is no net"):
        GCNetConfig(**wrong)


def test_names_there_and_back_with_counts_or_without():
    net = gc_net()
    net_checks.assert_names_return(net, convert, unconvert)
    net_checks.assert_loads_without_counts(net, convert, unconvert)


def test_another_net_is_refused():
    other = psmnet.unconvert(psmnet.psmnet_basic().state_dict())
    with pytest.raises(InputError, match=r"is missing: weights of another net"):
        load_state(gc_net(), convert(other), "psmnet.tar")
    assert WEIGHTS == ()


def test_it_learns_four_scenes_and_the_check_would_notice_if_not():
    batch = learning.batch(32, 32, 14)
    learning.assert_learns(built, batch, L1, steps=16)
