"""GwcNet: sizes, ranges, what it gives in training and after it, names of tensors, learning."""

import learning
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


def images(height=32, width=48, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, batch, 3, height, width, generator=generator) * 255


@pytest.mark.parametrize("concat", [2, 0])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (16, 48)])
def test_sizes_of_everything_it_gives(concat, height, width):
    net = built(concat)
    given = images(height, width, batch=2)
    taught = net(*given)
    assert [tuple(d.shape) for d in taught.disparities] == [(2, 1, height, width)] * 4
    assert taught.confidence is None
    with torch.no_grad():
        out = net.eval()(*given)
    assert [tuple(t.shape) for t in (*out.disparities, out.confidence)] == [
        (2, 1, height, width)
    ] * 2
    assert out.disparities[0].min() >= 0 and out.disparities[0].max() <= 31


def test_gradients_or_not_and_the_detours_give_the_same():
    net = built().eval()
    given = images()
    plain = net(*given)
    with torch.inference_mode():
        out = net(*given)
    torch.testing.assert_close(out.disparities[0], plain.disparities[0].detach(), atol=1e-3, rtol=0)


def test_a_batch_of_two_is_two_of_one():
    net, given = built().eval(), images(batch=2)
    with torch.no_grad():
        both = net(*given)
        for i in range(2):
            one = net(given[0, i : i + 1], given[1, i : i + 1])
            torch.testing.assert_close(
                one.disparities[0], both.disparities[0][i : i + 1], atol=1e-3, rtol=0
            )


@pytest.mark.parametrize("concat", [2, 0])
def test_every_weight_is_reached(concat):
    net = built(concat)
    batch = learning.batch(32, 32, 14)
    loss = LOSS(net(*batch.inputs), batch)
    assert set(loss) == {"disparity"}
    loss["disparity"].backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not bool(p.grad.any())] == []


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
    state = builder().state_dict()
    official = unconvert(state)
    assert len(official) == len(state) and not set(official) & set(state)
    assert official.keys() >= {"dres3.redir2.1.running_mean", "classif0.2.weight"}
    back = convert(official)
    assert set(back) == set(state) and all(torch.equal(back[k], state[k]) for k in state)


def test_tensors_of_an_old_torch_have_no_counts():
    state = gwcnet().state_dict()
    old = {k: v for k, v in unconvert(state).items() if not k.endswith("num_batches_tracked")}
    load_state(gwcnet(), convert(old), "old.ckpt")


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

    def left_over(**bug):
        def build():
            return GwcNet(narrow(concat, max_disparity=16))

        return learning.left_over(build, batch, LOSS, steps=16, **bug)

    assert left_over() < 0.3
    for bug in learning.BUGS if concat else ():
        assert not left_over(**bug) < 0.3, bug
