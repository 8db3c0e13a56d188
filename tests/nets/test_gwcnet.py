"""GwcNet: sizes, ranges, what it gives in training and after it, names of tensors, learning."""

import learning
import net_checks
import pytest
import torch
from torch.nn import functional

from fathom.core import InputError, UsageError
from fathom.layers.state import load_state
from fathom.layers.stereo import imagenet_colours
from fathom.nets.stereo.gwcnet import (
    FRAMES,
    WEIGHTS,
    GwcNet,
    GwcNetConfig,
    convert,
    gwcnet,
    gwcnet_g,
    unconvert,
)
from fathom.train import StereoLoss

torch.set_num_threads(1)
LOSS = StereoLoss(weights=(1.0, 0.7, 0.5, 0.5))


def narrow(concat=2, **other):
    settings = {"max_disparity": 32, "groups": 10, "width": 4, "blocks": (1, 1, 1, 1)}
    return GwcNetConfig(concat=concat, **settings | other)


def built(concat=2, **other):
    torch.manual_seed(0)
    net = GwcNet(narrow(concat, **other))
    for head in net.heads:  # untrained scores are so large that the softmax takes one
        head[1].weight.data /= 100
    return net


def images(height=32, width=48, batch=1):
    return net_checks.images(height, width, batch)


@pytest.mark.parametrize("concat", [2, 0])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (16, 48)])
def test_sizes_of_everything_it_gives(concat, height, width):
    given = images(height, width, batch=2)
    net_checks.assert_gives(built(concat), given, [(2, 1, height, width)] * 4, 31)


def test_gradients_or_not_and_the_detours_give_the_same():
    net_checks.assert_same_without_gradients(built(), images())


def test_a_batch_of_two_is_two_of_one():
    net_checks.assert_batch_is_singles(built(), images(batch=2))


@pytest.mark.parametrize("concat", [2, 0])
def test_every_weight_is_reached(concat):
    assert net_checks.silent(built(concat), LOSS, learning.batch(32, 32, 14)) == []


def test_how_the_paper_weighs_four_outputs():
    net, batch = built(), learning.batch(32, 64, 28)
    out = net(*batch.inputs)
    each = [functional.smooth_l1_loss(d, batch.truth).item() for d in reversed(out.disparities)]
    expected = sum(w * e for w, e in zip((0.5, 0.5, 0.7, 1.0), each, strict=True))
    assert LOSS(out, batch)["disparity"].item() == pytest.approx(expected, rel=1e-4)


def test_the_volume_is_groups_of_products_then_both_views():
    net = built().eval()
    left, right = images(32, 96)
    with torch.no_grad():
        volume = net.volume(left, right)[0]
        ours, beside = (t[0] for t in net.features(imagenet_colours(left)))
        theirs, theirs_beside = (t[0] for t in net.features(imagenet_colours(right)))
    assert volume.shape == (10 + 2 * 2, 8, 8, 24)
    assert ours.shape[0] == 40 and beside.shape[0] == 2
    for group, level, y, x in ((0, 0, 1, 0), (3, 5, 7, 9), (9, 7, 0, 23)):
        part = slice(4 * group, 4 * group + 4)
        expected = (ours[part, y, x] * theirs[part, y, x - level]).mean()
        torch.testing.assert_close(volume[group, level, y, x], expected)
        torch.testing.assert_close(volume[10:12, level, y, x], beside[:, y, x])
        torch.testing.assert_close(volume[12:, level, y, x], theirs_beside[:, y, x - level])
    assert not bool(volume[:, 7, :, :7].any())


@pytest.mark.parametrize(("height", "width"), [(30, 64), (32, 40), (8, 64)])
def test_images_it_cannot_take(height, width):
    with pytest.raises(InputError, match=r"does not suit this net.* multiples of 16"):
        built()(*images(height, width))


def test_the_published_sizes():
    assert (GwcNetConfig().divisor, GwcNetConfig().step, GwcNetConfig().described) == (16, 16, 320)
    assert sum(p.numel() for p in gwcnet().parameters()) == 6909728
    assert sum(p.numel() for p in gwcnet_g(max_disparity=64).parameters()) == 6518560
    for name, frame in FRAMES.items():
        assert (frame.levels, frame.step, frame.divisor) == (192, 16, 16)
        assert frame.builder == name.replace("-", "_")


@pytest.mark.parametrize("wrong", [{"max_disparity": 40}, {"max_disparity": 0}])
def test_ranges_it_cannot_search(wrong):
    with pytest.raises(UsageError, match=r"max_disparity.*multiple of 16"):
        narrow(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"blocks": (1, 0, 1, 1)}, {"groups": 7}, {"concat": -1}]
)
def test_a_config_that_is_no_net(wrong):
    with pytest.raises(UsageError, match="is no net"):
        narrow(**wrong)


@pytest.mark.parametrize("builder", [gwcnet, gwcnet_g])
def test_names_there_and_back(builder):
    known = "dres3.redir2.1.running_mean", "classif0.2.weight"
    net_checks.assert_names_return(builder(), convert, unconvert, *known)


def test_tensors_of_an_old_torch_have_no_counts():
    net_checks.assert_loads_without_counts(gwcnet(), convert, unconvert)


def test_another_variant_is_refused():
    official = unconvert(gwcnet_g().state_dict())
    with pytest.raises(InputError, match=r"features\.fuse.* is missing"):
        load_state(gwcnet(), convert(official), "g.ckpt")
    official = unconvert(gwcnet().state_dict())
    with pytest.raises(InputError, match=r"enter\.0\.0\.weight.*32x64x3x3x3.*32x40x3x3x3"):
        load_state(gwcnet_g(), convert(official), "gc.ckpt")


def test_what_is_said_of_the_published_weights():
    assert len({w.name for w in WEIGHTS}) == len(WEIGHTS) == 2
    assert all(w.model == "gwcnet" and w.state == "convert" for w in WEIGHTS)


@pytest.mark.parametrize("concat", [2, 0])
def test_it_learns_four_scenes_and_the_check_would_notice_if_not(concat):
    batch = learning.batch(32, 32, 14)

    bugs = learning.BUGS if concat else ()

    def build():
        return GwcNet(narrow(concat, max_disparity=16))

    learning.assert_learns(build, batch, LOSS, steps=16, bugs=bugs)
