"""GC-Net: sizes, ranges, names of tensors, learning."""

import learning
import pytest
import torch

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


def images(height=32, width=64, batch=1):
    return torch.rand(2, batch, 3, height, width, generator=torch.Generator().manual_seed(0)) * 255


@pytest.mark.parametrize(("height", "width"), [(32, 32), (32, 96), (64, 32)])
def test_sizes_of_everything_it_gives(height, width):
    net, given = built(), images(height, width, batch=2)
    taught = net(*given)
    assert [tuple(d.shape) for d in taught.disparities] == [(2, 1, height, width)]
    assert taught.confidence is None
    with torch.no_grad():
        out = net.eval()(*given)
    assert [tuple(t.shape) for t in (*out.disparities, out.confidence)] == [
        (2, 1, height, width)
    ] * 2
    assert out.disparities[0].min() >= 0 and out.disparities[0].max() <= 31


def test_gradients_or_not_and_the_detours_give_the_same():
    net, given = built().eval(), images(batch=2)
    plain = net(*given).disparities[0].detach()
    with torch.inference_mode():
        torch.testing.assert_close(net(*given).disparities[0], plain, atol=1e-3, rtol=0)
        for i in range(2):
            one = net(given[0, i : i + 1], given[1, i : i + 1]).disparities[0]
            torch.testing.assert_close(one, plain[i : i + 1], atol=1e-3, rtol=0)


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
    state = net.state_dict()
    official = unconvert(state)
    assert len(official) == len(state) and not set(official) & set(state)
    back = convert(official)
    assert set(back) == set(state) and all(torch.equal(back[k], state[k]) for k in state)
    old = {k: v for k, v in official.items() if not k.endswith("num_batches_tracked")}
    load_state(net, convert(old), "ckpt.t7")


def test_another_net_is_refused():
    other = psmnet.unconvert(psmnet.psmnet_basic().state_dict())
    with pytest.raises(InputError, match=r"is missing: weights of another net"):
        load_state(gc_net(), convert(other), "psmnet.tar")
    assert WEIGHTS == ()


def test_it_learns_four_scenes_and_the_check_would_notice_if_not():
    batch = learning.batch(32, 32, 14)
    assert learning.left_over(built, batch, L1, steps=16) < 0.3
    for bug in learning.BUGS:
        assert not learning.left_over(built, batch, L1, steps=16, **bug) < 0.3, bug
