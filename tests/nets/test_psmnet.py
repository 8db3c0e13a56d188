"""PSMNet: sizes, ranges, what it gives in training and after it, names of tensors, learning."""

import learning
import net_checks
import numpy as np
import pytest
import torch
from net_checks import images
from torch.nn import functional

from fathom.core import InputError, UsageError
from fathom.layers.conv3d import Conv3d
from fathom.layers.state import load_state
from fathom.nets.stereo.psmnet import (
    WEIGHTS,
    PSMNet,
    PSMNetConfig,
    convert,
    psmnet,
    psmnet_basic,
    unconvert,
)
from fathom.train import StereoLoss

torch.set_num_threads(1)
LOSS = StereoLoss(weights=(1.0, 0.7, 0.5))


def narrow(stacked=True, **other):
    settings = {"max_disparity": 32, "width": 8, "blocks": (1, 1, 1, 1), "pools": (8, 4, 2, 1)}
    return PSMNetConfig(stacked, **settings | other)


def built(stacked=True, **other):
    torch.manual_seed(0)
    net = PSMNet(narrow(stacked, **other))
    for head in net.heads:  # untrained scores are so large that the softmax takes one
        head[1].weight.data /= 300
    return net


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 80), (64, 32)])
def test_sizes_of_everything_it_gives(stacked, height, width):
    taught = [(2, 1, height, width)] * (3 if stacked else 1)
    net_checks.assert_gives(built(stacked), images(height, width, batch=2), taught, 31)


@pytest.mark.parametrize("stacked", [True, False])
def test_gradients_or_not_and_the_detours_give_the_same(stacked):
    net_checks.assert_same_without_gradients(built(stacked), images())


def test_a_batch_of_two_is_two_of_one():
    net_checks.assert_batch_is_singles(built(), images(batch=2))


@pytest.mark.parametrize("stacked", [True, False])
def test_every_weight_is_reached(stacked):
    assert net_checks.silent(built(stacked), LOSS, learning.batch(32, 64, 28)) == []


def test_how_the_paper_weighs_three_outputs():
    net, batch = built(), learning.batch(32, 64, 28)
    out = net(*batch.inputs)
    first, second, third = (
        functional.smooth_l1_loss(d, batch.truth).item() for d in reversed(out.disparities)
    )
    found = LOSS(out, batch)["disparity"].item()
    assert found == pytest.approx(0.5 * first + 0.7 * second + third, rel=1e-4)


def test_disparities_are_left_minus_right():
    """With descriptions that are the image itself and scores that are their likeness, the shift is
    found: the volume's direction and the reading of it."""
    net = built(False).eval()
    net.described = lambda image: functional.avg_pool2d(image, 4)
    net.scored = lambda left, right: [
        _likeness(left, right, net.config.max_disparity // 4) * net.config.width
    ]
    right = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (1, 3, 32, 64))).float()
    left = right.roll(16, dims=3)  # x_left = x_right + 16
    with torch.no_grad():
        found = net(left, right).disparities[0]
    # level 4 lies in the middle of 16 .. 19: enlarging without align_corners puts it there, and its
    # two neighbours share what the pixels beside leave
    assert found[..., 24:-8].median().item() == pytest.approx(17.5, abs=0.6)


def _likeness(left, right, levels):
    from fathom.layers.volume import concat_volume

    volume = concat_volume(left, right, levels)
    return -(volume[:, :3] - volume[:, 3:]).square().mean(dim=1, keepdim=True)


def test_align_corners_changes_the_numbers_and_not_the_tensors():
    given = images()
    found = []
    for align in (False, True):
        net = built(align_corners=align).eval()
        with torch.no_grad():
            found.append(net(*given).disparities[0])
    assert not torch.allclose(*found, atol=0.01)
    assert all(d.min() >= 0 and d.max() <= 31 for d in found)


@pytest.mark.parametrize(
    ("height", "width"),
    [(30, 64), (32, 40), (16, 64), (32, 16)],
)
def test_images_it_cannot_take(height, width):
    with pytest.raises(InputError, match=r"does not suit this net.* multiples of 16, 32"):
        built()(*images(height, width))


def test_the_published_sizes():
    config = PSMNetConfig()
    assert (config.divisor, config.smallest, config.step, config.max_disparity) == (
        16,
        256,
        16,
        192,
    )
    assert PSMNetConfig(False, max_disparity=36).step == 4
    assert sum(p.numel() for p in psmnet().parameters()) == 5224768
    assert sum(p.numel() for p in psmnet_basic(max_disparity=64).parameters()) == 3672896
    assert psmnet(align_corners=True).config.align_corners


@pytest.mark.parametrize("wrong", [{"max_disparity": 40}, {"max_disparity": 0}])
def test_ranges_it_cannot_search(wrong):
    with pytest.raises(UsageError, match=r"max_disparity.*multiple of 16"):
        narrow(**wrong)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"blocks": (1, 0, 1, 1)}, {"pools": (8, 0)}])
def test_a_config_that_is_no_net(wrong):
    with pytest.raises(UsageError, match="is no net"):
        narrow(**wrong)


def test_first_weights_as_the_authors_set_them():
    net = psmnet_basic()
    conv = net.features.stages[2][1].first[0]
    assert conv.weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)
    volume = net.enter[0][0]
    assert isinstance(volume, Conv3d)
    assert volume.weight.std().item() == pytest.approx((2 / (27 * 32)) ** 0.5, rel=0.02)


@pytest.mark.parametrize("builder", [psmnet, psmnet_basic])
def test_names_there_and_back(builder):
    known = "feature_extraction.layer2.0.downsample.0.weight"
    net_checks.assert_names_return(builder(), convert, unconvert, known)


def test_tensors_of_an_old_torch_have_no_counts():
    net_checks.assert_loads_without_counts(psmnet(), convert, unconvert)


def test_another_variant_is_refused():
    official = unconvert(psmnet_basic().state_dict())
    with pytest.raises(InputError, match=r"hourglasses\.0.* is missing"):
        load_state(psmnet(), convert(official), "basic.tar")
    with pytest.raises(InputError, match="weights of another net"):
        load_state(psmnet(), convert({"conv.weight": torch.zeros(1)}), "other.tar")


def test_what_is_said_of_the_published_weights():
    assert len({w.name for w in WEIGHTS}) == len(WEIGHTS) == 4
    assert all(w.model == "psmnet" and w.state == "convert" for w in WEIGHTS)


@pytest.mark.parametrize("stacked", [True, False])
def test_it_learns_four_scenes_and_the_check_would_notice_if_not(stacked):
    batch = learning.batch(32, 32, 14)

    def build():
        return PSMNet(narrow(stacked, max_disparity=16, width=6, pools=(8, 4)))

    learning.assert_learns(build, batch, LOSS, steps=16)
