"""Fast-ACVNet and Fast-ACVNet+: sizes, ranges, neighbours, hypotheses, names, learning."""

import learning
import net_checks
import numpy as np
import pytest
import torch
from net_checks import Said, images
from torch.nn import functional

from fathom.core import InputError, UsageError
from fathom.layers.state import load_state
from fathom.nets.stereo.fast_acvnet import (
    FRAMES,
    WEIGHTS,
    FastACVNet,
    FastACVNetConfig,
    convert,
    fast_acvnet,
    fast_acvnet_plus,
    moved,
    neighbours,
    picked,
    unconvert,
)
from fathom.train import StereoLoss

torch.set_num_threads(1)
LOSS = StereoLoss("multi-scale", weights=(1.0, 0.5, 0.3, 0.3))
BOTH = pytest.mark.parametrize("plus", [False, True])


def narrow(plus=False, **other):
    settings = {"max_disparity": 32, "hypotheses": 8, "groups": 4, "described": 4, "blocks": 1}
    return FastACVNetConfig(plus, **settings | other)


def built(plus=False, **other):
    torch.manual_seed(0)
    return FastACVNet(narrow(plus, **other))


def made(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@BOTH
@pytest.mark.parametrize(("height", "width", "only"), [(32, 64, False), (96, 32, True)])
def test_sizes_of_everything_it_gives(plus, height, width, only):
    full, small = (2, 1, height, width), (2, 1, height // 4, width // 4)
    taught = [full, small] if only else [full, full, small, small]
    given = images(height, width, batch=2)
    net_checks.assert_gives(built(plus, attention_only=only), given, taught, 28)


@BOTH
def test_a_range_of_fewer_than_24_takes_what_there_is(plus):
    net = built(plus, max_disparity=64, hypotheses=24).eval()
    with torch.no_grad():
        out = net(*images())
    assert torch.isfinite(out.disparities[0]).all()


@BOTH
def test_a_batch_of_two_is_two_of_one(plus):
    net_checks.assert_batch_is_singles(built(plus), images(batch=2))


@BOTH
@pytest.mark.parametrize("only", [False, True])
def test_every_weight_is_reached_but_those_that_do_not_run(plus, only):
    net = built(plus, attention_only=only)
    silent = set(net_checks.silent(net, LOSS, learning.batch(32, 64, 28)))
    assert silent == {n for n, p in net.named_parameters() if not p.requires_grad}
    idle = ("describe.", "enter.", "gate.", "hourglass.") if only else ("hourglass.spare.",)
    assert silent and all(n.startswith((*idle, "attention.hourglass.spare.")) for n in silent)


def test_what_neighbours_hold():
    x = made(2, 3, 4, 5)
    framed = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    steps = ((-1, -1), (0, 0), (1, 1), (1, -1), (-1, 1))
    for near, (i, j) in zip(neighbours(x), steps, strict=True):
        np.testing.assert_array_equal(near, framed[:, :, 1 + i : 5 + i, 1 + j : 6 + j])


def slow_moved(right, disparity):
    """Pixel by pixel, linear in x, 0 outside."""
    b, n, height, width = disparity.shape
    out = np.zeros((b, right.shape[1], n, height, width))
    for i, k, y, x in np.ndindex(b, n, height, width):
        at = x - float(disparity[i, k, y, x])
        low = int(np.floor(at))
        for column, share in ((low, 1 - (at - low)), (low + 1, at - low)):
            if 0 <= column < width:
                out[i, :, k, y, x] += share * right[i, :, y, column].numpy()
    return out


def test_moving_by_fractions_and_by_whole_disparities():
    right, whole = made(2, 3, 4, 6), torch.randint(0, 6, (2, 5, 4, 6))
    part = 5 * made(2, 5, 4, 6, seed=1)
    np.testing.assert_allclose(moved(right, part), slow_moved(right, part), atol=1e-4)
    np.testing.assert_allclose(picked(right, whole), slow_moved(right, whole), atol=1e-6)


def slow_groups(left, right, groups, levels):
    b, c, h, w = left.shape
    out = np.zeros((b, groups, levels, h, w))
    each = c // groups
    for i, g, k, y, x in np.ndindex(out.shape):
        if x >= k:
            one, two = (
                t[i, g * each : (g + 1) * each, y, at].numpy()
                for t, at in ((left, x), (right, x - k))
            )
            one, two = (v / (np.linalg.norm(v) + 1e-5) for v in (one, two))
            out[i, g, k, y, x] = (one * two).mean()
    return out


def test_groups_are_compared_by_their_cosine_and_smoothed():
    attention = built().attention
    left, right = made(1, 8, 3, 5), made(1, 8, 3, 5, seed=1)
    expected = torch.from_numpy(slow_groups(left, right, 4, attention.levels)).float()
    with torch.no_grad():
        smooth = functional.conv3d(expected, attention.patch.weight, padding=(0, 1, 1), groups=4)
        torch.testing.assert_close(attention.matched(left, right), smooth, atol=1e-5, rtol=1e-4)


def test_a_pixel_takes_over_the_scores_of_the_neighbour_that_explains_it():
    attention = built().attention
    with torch.no_grad():
        attention.beta.fill_(50.0)  # all are sure
        scores = torch.zeros(1, 8, 3, 8)
        scores[:, 5] = 30  # everybody believes in 5 ...
        scores[:, 5, 0, 3], scores[:, 2, 0, 3] = 0, 30  # ... but one in 2
        right = 40 * made(1, 64, 3, 8)
        left = right.roll(2, dims=3)
        told = attention.told(scores, (left, right))
    # the pixel below that one at the right is nearer to it than to the others
    assert told[0, :, 1, 4].argmax() == 2
    assert told[0, :, 2, 6].argmax() == 5


@BOTH
def test_only_the_chosen_disparities_can_be_answered(plus):
    net = built(plus).eval()
    net.attention = Said(lambda left, right, stems: _held(left[0], (3, 4, 5, 6)))
    net.config = narrow(plus, hypotheses=4)
    with torch.no_grad():
        out = net(*images())
    inner = out.disparities[0][..., 4:-4, 4:-4]  # superpixels take 0 from outside
    assert inner.min() >= 12 - 1e-3 and inner.max() <= 24 + 1e-3


def _held(like, levels):
    scores = like.new_zeros(like.shape[0], 1, 8, *like.shape[2:])
    scores[:, :, list(levels)] = 9
    return scores


@BOTH
@pytest.mark.parametrize(("height", "width"), [(48, 64), (32, 40)])
def test_images_it_cannot_take(plus, height, width):
    with pytest.raises(InputError, match=r"does not suit this net.* multiples of 32"):
        built(plus)(*images(height, width))


def test_the_published_sizes():
    assert sum(p.numel() for p in fast_acvnet().parameters()) == 3075361
    assert sum(p.numel() for p in fast_acvnet_plus().parameters()) == 3203293
    config = fast_acvnet_plus(max_disparity=64, attention_only=True).config
    assert config == FastACVNetConfig(True, 64, True)
    assert {name: f.builder for name, f in FRAMES.items()} == {
        "fast-acvnet": "fast_acvnet",
        "fast-acvnet-plus": "fast_acvnet_plus",
    }


@pytest.mark.parametrize("wrong", [{"max_disparity": 48}, {"max_disparity": 0}])
def test_ranges_it_cannot_search(wrong):
    with pytest.raises(UsageError, match=r"max_disparity.*multiple of 32"):
        narrow(**wrong)


@pytest.mark.parametrize("wrong", [{"groups": 0}, {"hypotheses": 6}, {"blocks": 0}])
def test_a_config_that_is_no_net(wrong):
    with pytest.raises(UsageError, match="is no net"):
        narrow(**wrong)


@pytest.mark.parametrize("builder", [fast_acvnet, fast_acvnet_plus])
def test_names_there_and_back(builder):
    net = builder()
    known = "hourglass_att.conv1.1.bn.weight", "feature.bn1.weight"
    net_checks.assert_names_return(net, convert, unconvert, *known, shared=True)
    assert ("gamma" in unconvert(net.state_dict())) is (builder is fast_acvnet)


def test_another_variant_is_refused():
    official = unconvert(fast_acvnet().state_dict())
    with pytest.raises(InputError, match=r"attention\..* is missing"):
        load_state(fast_acvnet_plus(), convert(official), "plain.ckpt")
    with pytest.raises(InputError, match="weights of another net"):
        load_state(fast_acvnet(), convert({"conv.weight": torch.zeros(1)}), "other.ckpt")


def test_what_is_said_of_the_published_weights():
    assert [w.model for w in WEIGHTS] == ["fast-acvnet", "fast-acvnet-plus"]
    assert all(w.state == "convert" and w.licences.code == "MIT" for w in WEIGHTS)


def test_the_experiments_are_the_authors():
    whole, half = (net_checks.experiment(f"fast_acvnet{n}") for n in ("", "_attention"))
    assert whole.net is fast_acvnet and whole.loss == LOSS
    assert half.net().config.attention_only and half.loss.weights == (1.0, 0.3)
    assert (whole.batch, whole.learning_rate) == (half.batch, half.learning_rate) == (20, 1e-3)


@pytest.mark.slow
@BOTH
def test_it_learns_four_scenes_and_the_check_would_notice_if_not(plus):
    batch = learning.batch(32, 64, 28)
    learning.assert_learns(lambda: FastACVNet(narrow(plus)), batch, LOSS, steps=18)
