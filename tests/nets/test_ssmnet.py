"""SsSMnet: sizes, both views, learning without truth."""

from dataclasses import replace

import learning
import net_checks
import pytest
import torch
from net_checks import images
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional

from fathom.core import InputError, UsageError
from fathom.layers.photometric_distance import Distance
from fathom.layers.volume import soft_argmax
from fathom.nets.stereo.ssmnet import FRAMES, WEIGHTS, SsSMnet, SsSMnetConfig, ssmnet
from fathom.train import StereoPhotometric
from fathom.train.pairs import Batch

torch.set_num_threads(1)
NARROW = SsSMnetConfig(max_disparity=16, width=4, blocks=1, sizes=3)
LOSS = StereoPhotometric(Distance("sad"), hidden=1.0, loop=0.1, far=0.01, order=2)


def built(**options):
    torch.manual_seed(0)
    return SsSMnet(replace(NARROW, **options))


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


def after_a_step(net, low=False):
    """Disparities, gradients and buffers after one step on noise."""
    batch = learning.batch(24, 64, 14)
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        out = net(*batch.inputs)
    sum(LOSS(out, batch).values()).backward()
    grads = {n: p.grad for n, p in net.named_parameters()}
    return {"left": out.disparities[0], "right": out.right[0]} | grads | dict(net.named_buffers())


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("sizes", [1, 3])
def test_computing_again_changes_no_number(sizes, apart):
    """24 levels: more than one part of the volume. Nor do running means move twice."""
    options = {"max_disparity": 48, "sizes": sizes, "apart": apart}
    plain, again = (after_a_step(built(checkpoint=c, **options)) for c in (False, True))
    assert plain.keys() == again.keys()
    for name, tensor in plain.items():
        torch.testing.assert_close(again[name], tensor, atol=1e-5, rtol=1e-3, msg=name)


def test_computing_again_in_low_precision():
    """Sums in another order, so no gradient is the same to the bit."""
    plain, again = (after_a_step(built(checkpoint=c), low=True) for c in (False, True))
    torch.testing.assert_close(again["left"], plain["left"], atol=0.05, rtol=0)
    for name in ("features.0.0.weight", "enter.0.0.weight", "cost.weight"):
        cosine = torch.cosine_similarity(again[name].flatten(), plain[name].flatten(), 0)
        assert cosine > 0.99, (name, cosine)


def volumes_kept(config):
    """How many numbers are kept for the gradient, in volumes of a view's size."""
    sizes, given = {}, images(32, 64)

    def pack(t):
        sizes[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes() // 4
        return t

    net = SsSMnet(config)
    with saved_tensors_hooks(pack, lambda t: t):
        net(*given)
    return sum(sizes.values()) / (config.width * config.max_disparity * 32 * 64 / 8)


def test_what_is_kept_until_the_gradient():
    config = SsSMnetConfig(64, 8, 1, 3)
    assert volumes_kept(config) > 20
    assert volumes_kept(replace(config, checkpoint=True)) < 4


@pytest.mark.parametrize("apart", [True, False])
def test_views_apart_are_normalised_by_themselves(apart):
    net, given = built(apart=apart), images(16, 32)
    with torch.no_grad():
        out = net(*given)
        ours, theirs = (net.described(view) for view in given)
        left = soft_argmax(-net.costs(ours, theirs)[:, 0])[0]
        right = soft_argmax(-net.costs(theirs.flip(3), ours.flip(3))[:, 0])[0].flip(3)
    unlike = max((out.disparities[0] - left).abs().max(), (out.right[0] - right).abs().max())
    assert unlike < 1e-4 if apart else unlike > 1e-3


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
    assert net_checks.experiment("ssmnet").net().config == SsSMnetConfig(checkpoint=True)
    small, shown = (net_checks.experiment(f"ssmnet_{n}") for n in ("small", "shown"))
    assert small.net().config.max_disparity == small.max_disparity
    assert shown.data.args == shown.validation[0].data.args  # judged on what it learns from


@pytest.mark.parametrize("wrong", [{"max_disparity": 40}, {"width": 0}, {"sizes": 0}])
def test_configs_that_are_no_net(wrong):
    with pytest.raises(UsageError, match=r"multiple of 32|is no net"):
        SsSMnetConfig(**wrong)
