"""CoEx: sizes, ranges, both stems, what it gives in training and after it, names, learning."""

import learning
import net_checks
import numpy as np
import pytest
import torch
from net_checks import Said, images
from torch.nn import functional

from fathom.core import InputError, UsageError
from fathom.layers.state import load_state
from fathom.nets.stereo.coex import FRAMES, WEIGHTS, CoEx, CoExConfig, coex, convert, unconvert
from fathom.train import StereoLoss

torch.set_num_threads(1)
LOSS = StereoLoss(weights=(1 / 1.3, 0.3 / 1.3))


def narrow(**other):
    settings = {"max_disparity": 32, "widths": (4, 8, 8, 8), "described": 8, "blocks": 1}
    return CoExConfig(**settings | other)


def built(**other):
    torch.manual_seed(0)
    return CoEx(narrow(**other))


@pytest.mark.parametrize(("height", "width"), [(32, 64), (96, 32)])
def test_sizes_of_everything_it_gives(height, width):
    taught = [(2, 1, height, width), (2, 1, height // 4, width // 4)]
    net_checks.assert_gives(built(), images(height, width, batch=2), taught, 28)


def test_gradients_or_not_give_the_same():
    net_checks.assert_same_without_gradients(built(), images())


def test_a_batch_of_two_is_two_of_one():
    net_checks.assert_batch_is_singles(built(), images(batch=2))


def test_every_weight_is_reached_but_those_the_authors_never_use():
    net = built()
    silent = net_checks.silent(net, LOSS, learning.batch(32, 64, 28))
    assert silent and all(n.startswith(("spare.", "hourglass.spare.")) for n in silent)
    assert not any(p.requires_grad for n, p in net.named_parameters() if n in silent)


def test_how_the_authors_weigh_two_outputs():
    net, batch = built(), learning.batch(32, 64, 28)
    out = net(*batch.inputs)
    full, quarter = out.disparities
    quarter = functional.interpolate(quarter, scale_factor=4.0, mode="bilinear")
    losses = [functional.smooth_l1_loss(d, batch.truth).item() for d in (full, quarter)]
    found = LOSS(out, batch)["disparity"].item()
    assert found == pytest.approx((losses[0] + 0.3 * losses[1]) / 1.3, rel=1e-4)


def test_disparities_are_left_minus_right():
    """With descriptions that are the image itself and scores that are their likeness, the shift is
    found: the volume's direction and the reading of it."""
    net = built().eval()
    net.scored = lambda volume, features: 100 * volume
    net.describe = Said(lambda features: features[:, -3:])
    seen = net.seen

    def with_image(both):
        features, half = seen(both)
        return [torch.cat([features[0], _small(both)], dim=1), *features[1:]], half

    net.seen = with_image
    net.superpixels = Said(lambda features, half: _nearest(half))
    right = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (1, 3, 32, 64))).float()
    right = functional.interpolate(right, scale_factor=0.25).repeat_interleave(4, 2)
    right = right.repeat_interleave(4, 3)
    with torch.no_grad():
        out = net(right.roll(12, dims=3), right)  # x_left = x_right + 12
    assert out.disparities[0][..., 16:].median().item() == pytest.approx(12, abs=0.5)


def _small(images):
    small = functional.interpolate(images, scale_factor=0.25)
    return small - 127


def _nearest(half):
    """All of each pixel from the cell it lies in."""
    logits = half.new_full((half.shape[0], 9, 2 * half.shape[2], 2 * half.shape[3]), -50)
    logits[:, 4] = 50
    return logits


def test_the_two_stems_share_their_tensors_and_differ():
    found, states = [], []
    for variant in ("plain-stem", "active-stem"):
        net = built(variant=variant).eval()
        states.append(set(net.state_dict()))
        with torch.no_grad():
            found.append(net(*images()).disparities[0])
    assert states[0] == states[1] and not torch.allclose(*found, atol=0.01)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (32, 40)])
def test_images_it_cannot_take(height, width):
    with pytest.raises(InputError, match=r"does not suit this net.* multiples of 32"):
        built()(*images(height, width))


def test_the_published_sizes():
    assert sum(p.numel() for p in coex().parameters()) == 2727027
    assert coex(max_disparity=64, variant="active-stem").config == CoExConfig(64, "active-stem")
    frame = FRAMES["coex"]
    assert (frame.levels, frame.step, frame.divisor) == (192, 32, 32)


@pytest.mark.parametrize("wrong", [{"max_disparity": 48}, {"max_disparity": 0}])
def test_ranges_it_cannot_search(wrong):
    with pytest.raises(UsageError, match=r"max_disparity.*multiple of 32"):
        narrow(**wrong)


@pytest.mark.parametrize("wrong", [{"best": 0}, {"widths": (4, 0, 8, 8)}, {"blocks": 0}])
def test_a_config_that_is_no_net(wrong):
    with pytest.raises(UsageError, match="is no net"):
        narrow(**wrong)


def test_a_stem_there_is_not(unchecked):
    with pytest.raises(UsageError, match="did you mean plain-stem"):
        narrow(variant="plain")


def test_names_there_and_back():
    known = "cost_agg.conv_agg.0.1.conv.weight", "feature.bn1.weight"
    net_checks.assert_names_return(coex(), convert, unconvert, *known)


def test_weights_of_another_net_are_refused():
    with pytest.raises(InputError, match="weights of another net"):
        load_state(coex(), convert({"conv.weight": torch.zeros(1)}), "other.ckpt")


def test_what_is_said_of_the_published_weights():
    assert len({w.name for w in WEIGHTS}) == len(WEIGHTS) == 2
    assert all(w.model == "coex" and w.state == "convert" for w in WEIGHTS)
    assert all(w.licences.code == "GPL-3.0-only" for w in WEIGHTS)


def test_the_experiment_is_the_authors():
    found = net_checks.experiment("coex")
    assert found.net is coex and found.loss == LOSS
    assert (found.batch, found.learning_rate, found.clip) == (8, 1e-3, 0.1)
    assert found.crop_width % 32 == found.crop_height % 32 == 0


@pytest.mark.slow
def test_it_learns_four_scenes_and_the_check_would_notice_if_not():
    batch = learning.batch(32, 64, 28)
    learning.assert_learns(lambda: CoEx(narrow()), batch, LOSS, steps=15)
