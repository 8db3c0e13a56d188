"""HITNet: sizes, ranges, what it gives in training and after it, names of tensors, learning."""

import learning
import net_checks
import numpy as np
import pytest
import torch
from net_checks import images
from torch import nn

from fathom.core import InputError, UsageError
from fathom.layers import tile_losses
from fathom.layers.state import load_state
from fathom.layers.tile_losses import TileLoss, TileTrace
from fathom.nets.stereo import hitnet as module
from fathom.nets.stereo.hitnet import (
    FRAMES,
    WEIGHTS,
    HITNet,
    HITNetConfig,
    convert,
    hitnet,
    hitnet_kitti,
    hitnet_xl,
    unconvert,
)

torch.set_num_threads(1)
LOSS = TileLoss()


def narrow(levels=1, **other):
    settings = {
        "max_disparity": 16,
        "widths": (8, 8, 8, 8, 8),
        "moving": (1,),
        "refining": (8, 8, 8),
        "dilations": ((1,), (2,), (1,)),
    }
    return HITNetConfig(levels=levels, **settings | other)


def built(levels=1, **other):
    torch.manual_seed(0)
    return HITNet(narrow(levels, **other))


@pytest.mark.parametrize(("levels", "height", "width"), [(1, 16, 48), (2, 32, 16), (5, 64, 128)])
def test_sizes_of_everything_it_gives(levels, height, width):
    net = built(levels)
    given = images(height, width, batch=2)
    taught = net(*given)
    sizes = [tuple(d.shape) for d in taught.disparities]
    assert sizes == [(2, 1, height >> i, width >> i) for i in range(3)]
    trace = taught.inner
    assert isinstance(trace, TileTrace) and len(trace.tiles) == 2 * levels - 1 + 3
    assert [c.scale for c in trace.costs] == [1 << i for i in reversed(range(levels))]
    for costs, scale in trace.costs:
        assert costs.shape == (2, 16 // scale, height // 4 // scale, width // 4 // scale)
    for tiles in trace.tiles:
        points = tiles.side * tiles.scale
        assert tiles.planes.shape == (2, 3, height // points, width // points)
    assert [t.side for t in trace.tiles[-3:]] == [4, 2, 1]
    assert all(t.sure is None and t.alone for t in trace.tiles[-3:])
    assert all(t.sure is not None for t in trace.tiles[:-3])
    with torch.no_grad():
        out = net.eval()(*given)
    assert [tuple(t.shape) for t in out.disparities] == [(2, 1, height, width)]
    assert out.confidence is None and out.inner is None


@pytest.mark.parametrize("levels", [1, 3])
def test_training_and_evaluation_agree(levels):
    """Costs kept or not: the same hypotheses start."""
    net, given = built(levels, max_disparity=100 - 100 % 4), images()
    taught = net(*given).disparities[0].detach()
    with torch.no_grad():
        torch.testing.assert_close(net.eval()(*given).disparities[0], taught, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("levels", [1, 3])
def test_a_batch_of_two_is_two_of_one(levels):
    net_checks.assert_batch_is_singles(built(levels), images(batch=2), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("levels", [1, 5])
def test_every_weight_is_reached(levels):
    net, batch = built(levels), learning.batch(64, 64, 14)
    terms = LOSS(net(*batch.inputs), batch)
    assert set(terms) == {"start", "disparity", "slant", "confidence"}
    sum(terms.values()).backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not bool(p.grad.any())] == []


def test_disparities_are_left_minus_right():
    """With tiles that are described by their pixels, and nets that change nothing, the shift is
    found: the direction of the comparison and what is handed on."""
    net = built(2, widths=(3, 3, 3, 3, 3)).eval()
    net.features = _Plain()
    for start in net.starts:
        start.described = _pixels
    for change in (*net.moves, *net.refines):
        nn.init.zeros_(change.leave.weight)
        nn.init.zeros_(change.leave.bias)
        if change in list(net.moves):  # the finer one wins
            change.leave.bias.data[16 * change.count] = 1
    right = images(64, 96)[1]
    left = right.roll(11, dims=3)  # x_left = x_right + 11
    with torch.no_grad():
        found = net(left, right).disparities[0]
    assert (found[..., 16:-4] == 11).all()


class _Plain(nn.Module):
    def forward(self, image):
        return tuple(nn.functional.avg_pool2d(image, 1 << i) for i in range(5))


def _pixels(features, stride):
    if stride == 1:
        features = nn.functional.pad(features, (1, 2, 0, 0))
    height, width = features.shape[-2] // 4, (features.shape[-1] - 4) // stride + 1
    found = nn.functional.unfold(features, 4, stride=(4, stride))
    return found.reshape(1, -1, height, width)[:, :16]


@pytest.mark.parametrize(("levels", "height", "width"), [(1, 24, 32), (1, 32, 40), (5, 64, 96)])
def test_images_it_cannot_take(levels, height, width):
    divisor = 64 if levels == 5 else 16
    with pytest.raises(InputError, match=rf"does not suit this net.* multiples of {divisor}"):
        built(levels)(*images(height, width))


def test_the_published_sizes():
    found = [hitnet(), hitnet_xl(), hitnet_kitti()]
    assert [sum(p.numel() for p in net.parameters()) for net in found] == [456291, 2066971, 668363]
    assert [net.config.max_disparity for net in found] == [320, 320, 256]
    assert [(net.config.step, net.config.divisor) for net in found] == [(1, 16), (1, 16), (16, 64)]
    assert hitnet(max_disparity=100).config.max_disparity == 100
    for name, frame in FRAMES.items():
        net = getattr(module, frame.builder)()
        assert name.replace("-", "_") == frame.builder and frame.step == net.config.step
        assert frame.levels == net.config.max_disparity and frame.divisor % net.config.divisor == 0


@pytest.mark.parametrize("wrong", [{"max_disparity": 40}, {"max_disparity": 0}])
def test_ranges_it_cannot_search(wrong):
    with pytest.raises(UsageError, match=r"max_disparity.*multiple of 16"):
        narrow(5, **wrong)


@pytest.mark.parametrize("wrong", [{"levels": 6}, {"levels": 0}, {"widths": (8, 8, 0, 8, 8)}])
def test_a_config_that_is_no_net(wrong):
    with pytest.raises(UsageError, match="is no net"):
        narrow(**wrong)


@pytest.mark.parametrize("builder", [hitnet, hitnet_xl, hitnet_kitti])
def test_names_there_and_back(builder):
    state = builder().state_dict()
    official = unconvert(state)
    assert len(official) == len(state) and not set(official) & set(state)
    assert official.keys() >= {"feature_extractor.up_2.merge_conv.4.bias"}
    back = convert(official)
    assert set(back) == set(state) and all(torch.equal(back[k], state[k]) for k in state)


def test_another_variant_is_refused():
    with pytest.raises(InputError, match="weights of another net"):
        load_state(hitnet(), convert(unconvert(hitnet_xl().state_dict())), "xl.ckpt")
    with pytest.raises(InputError, match=r"starts\.1.* is missing"):
        load_state(hitnet_kitti(), convert(unconvert(hitnet().state_dict())), "sf.ckpt")


def test_what_is_said_of_the_published_weights():
    assert {w.name: w.model for w in WEIGHTS} == {
        "hitnet-sceneflow": "hitnet",
        "hitnet-xl-sceneflow": "hitnet-xl",
    }
    assert all(w.state == "convert" for w in WEIGHTS)


@pytest.mark.slow
def test_it_learns_four_scenes_and_the_check_would_notice_if_not(monkeypatch):
    batch = learning.batch(32, 48, 14)  # so that the box ends where tiles do
    # slants of a truth do not change while it is learnt, nor with a shift
    slants = tile_losses.fitted_slants(batch.truth, batch.valid)
    monkeypatch.setattr(tile_losses, "fitted_slants", lambda truth, valid: slants)

    learning.assert_learns(lambda: HITNet(narrow()), batch, LOSS, steps=45)


def test_negative_disparities_are_the_nets_own():
    net = built().eval()
    nn.init.constant_(net.refines[2].leave.bias, -40.0)
    with torch.no_grad():
        assert np.all(net(*images()).disparities[0].numpy() < 0)
