"""GC-Net of AANet's authors: sizes, the border that is missing, names of tensors, learning."""

import learning
import net_checks
import pytest
import torch
from net_checks import images

from fathom.core import InputError, UsageError
from fathom.layers.state import load_state
from fathom.nets.stereo import gc_net
from fathom.nets.stereo.aanet_gcnet import (
    WEIGHTS,
    AANetGCNet,
    AANetGCNetConfig,
    aanet_gcnet,
    convert,
    unconvert,
)
from fathom.train import StereoLoss

torch.set_num_threads(1)
LOSS = StereoLoss(weights=(1.0,))


def built():
    torch.manual_seed(0)
    return AANetGCNet(AANetGCNetConfig(max_disparity=32, width=4, blocks=1))


@pytest.mark.parametrize(("height", "width"), [(32, 96), (64, 32)])
def test_sizes_of_everything_it_gives(height, width):
    given = images(height, width, batch=2)
    net_checks.assert_gives(built(), given, [(2, 1, height, width)], 30)


def test_gradients_or_not_and_a_batch_of_two_give_the_same():
    net_checks.assert_same_without_gradients(built(), images())
    net_checks.assert_batch_is_singles(built(), images(batch=2))


def test_costs_lack_the_last_disparity_row_and_column_and_the_map_repeats_its_edge():
    net = built().eval()
    with torch.no_grad():
        costs = net.costs(torch.rand(1, 8, 16, 16, 32))
        assert costs.shape == (1, 1, 31, 31, 63)
        net.costs = lambda volume: costs
        out = net(*images())
    expected = torch.einsum("k,bkhw->bhw", torch.arange(31.0), (-costs[:, 0]).softmax(dim=1))
    torch.testing.assert_close(out.disparities[0][:, 0, :-1, :-1], expected)
    for t in (*out.disparities, out.confidence):
        assert torch.equal(t[..., -1, :], t[..., -2, :])
        assert torch.equal(t[..., -1], t[..., -2])


def test_every_weight_is_reached():
    assert net_checks.silent(built(), LOSS, learning.batch(32, 64, 28)) == []


@pytest.mark.parametrize(("height", "width"), [(48, 64), (32, 40)])
def test_images_it_cannot_take(height, width):
    with pytest.raises(InputError, match=r"does not suit this net.* multiples of 32"):
        built()(*images(height, width))


@pytest.mark.parametrize("wrong", [{"max_disparity": 40}, {"width": 0}, {"blocks": 0}])
def test_a_config_that_is_no_net(wrong):
    with pytest.raises(UsageError, match=r"multiple of 32|is no net"):
        AANetGCNetConfig(**wrong)


def test_names_there_and_back_with_counts_or_without():
    net = aanet_gcnet()
    assert sum(p.numel() for p in net.parameters()) == 2845376 and WEIGHTS == ()
    known = "aggregation.conv5b.1.0.weight", "feature_extractor.conv2.7.conv2.1.bias"
    net_checks.assert_names_return(net, convert, unconvert, *known)
    net_checks.assert_loads_without_counts(net, convert, unconvert)


def test_the_other_gc_net_is_refused():
    other = gc_net.unconvert(gc_net.gc_net().state_dict())
    with pytest.raises(InputError, match=r"features\.0\.0\.weight: is missing"):
        load_state(aanet_gcnet(), convert(other), "ckpt.t7")


def test_the_experiment_is_aanet_s_with_another_net():
    found = net_checks.experiment("aanet_gcnet")
    assert found.net is aanet_gcnet and found.loss == LOSS
    assert (found.batch, found.learning_rate) == (64, 1e-3)
    assert found.crop_width % 32 == found.crop_height % 32 == 0


def test_it_learns_four_scenes_and_the_check_would_notice_if_not():
    learning.assert_learns(built, learning.batch(32, 32, 14), LOSS, steps=16)
