"""PSMNet with propagated scores: sizes, what it gives, that nothing else differs, learning."""

import learning
import net_checks
import pytest
import torch
from torch.nn import functional

from fathom.core import InputError, UsageError
from fathom.layers.state import load_state
from fathom.layers.volume import enlarged_argmax
from fathom.nets.stereo.psmnet import PSMNetConfig
from fathom.nets.stereo.psmnet_cspn import (
    FRAMES,
    WEIGHTS,
    PSMNetCSPN,
    PSMNetCSPNConfig,
    psmnet_cspn,
)
from fathom.train import StereoLoss

torch.set_num_threads(1)
LOSS = StereoLoss(weights=(1.0, 0.7, 0.5))


def narrow(most=16, pools=(8, 4), **other):
    base = PSMNetConfig(max_disparity=most, width=6, blocks=(1, 1, 1, 1), pools=pools)
    return PSMNetCSPNConfig(base, width=4, **other)


def images(height=32, width=48, count=1, seed=0):
    torch.manual_seed(seed)
    return 255 * torch.rand(2, count, 3, height, width)


def built(**other):
    torch.manual_seed(1)
    return PSMNetCSPN(narrow(**other))


def test_three_outputs_in_training_and_one_with_a_confidence_after_it():
    net_checks.assert_gives(built(), images(count=2), [(2, 1, 32, 48)] * 3, 15)


def test_without_affinities_it_is_psmnet_enlarged_in_two_steps():
    net = built().eval()
    torch.nn.init.zeros_(net.guide[1].weight)
    torch.nn.init.zeros_(net.guide[1].bias)
    left, right = images()
    with torch.no_grad():
        scores = net.base.scored(net.base.described(left), net.base.described(right))[-1]
        fine = functional.interpolate(scores, scale_factor=2, mode="trilinear")
        wanted = enlarged_argmax(fine, (16, 32, 48))[0]
        torch.testing.assert_close(net(left, right).disparities[0], wanted)


def test_what_one_output_of_training_says_is_what_it_gives_after_it():
    """The three outputs share the affinities of the last scores, whatever else is asked for."""
    net = built().eval()
    seen = net.base.described(images()[0])
    scores = torch.randn(1, 3, 4, 8, 12)
    with torch.no_grad():
        both = net.spread(scores, seen)
        torch.testing.assert_close(net.spread(scores[:, -1:], seen), both[:, -1:])


def test_a_batch_of_two_is_two_of_one():
    net_checks.assert_batch_is_singles(built(), images(count=2), atol=5e-3)


def test_every_weight_is_reached():
    assert net_checks.silent(built(), LOSS, learning.batch(32, 48, 14)) == []


@pytest.mark.parametrize(("height", "width"), [(30, 64), (32, 40), (16, 64)])
def test_images_it_cannot_take(height, width):
    with pytest.raises(InputError, match=r"does not suit this net.* multiples of 16, 32"):
        built()(*images(height, width))


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"width": 0}])
def test_a_config_that_is_no_net(wrong):
    with pytest.raises(UsageError, match="is no net"):
        PSMNetCSPNConfig(**wrong)


def test_ranges_it_cannot_search():
    with pytest.raises(UsageError, match=r"max_disparity.*multiple of 16"):
        psmnet_cspn(max_disparity=40)


def test_its_size_and_what_is_said_of_it():
    with torch.device("meta"):
        net = psmnet_cspn(max_disparity=64)
    assert sum(p.numel() for p in net.parameters()) == 5224768 + 528 + 7376 + 11258
    assert net.config.base.max_disparity == 64
    assert built(positive=True).flow.positive and not net.flow.positive
    assert WEIGHTS == ()
    frame = FRAMES["psmnet-cspn"]
    base = net.config.base
    assert (frame.divisor, frame.smallest, frame.step) == (base.divisor, base.smallest, base.step)


def test_weights_of_another_net_are_refused():
    from fathom.nets.stereo.psmnet import PSMNet

    with pytest.raises(InputError, match="weights of another net"):
        load_state(built(), PSMNet(narrow().base).state_dict(), "psmnet.safetensors")


def test_it_learns_four_scenes_and_the_check_would_notice_if_not():
    batch = learning.batch(32, 32, 14)
    learning.assert_learns(lambda: PSMNetCSPN(narrow()), batch, LOSS, steps=20)


def test_the_experiment_is_psmnet_s_with_another_net():
    found = net_checks.experiment("psmnet_cspn")
    assert found.net is psmnet_cspn
    assert (found.batch, found.learning_rate, found.loss.weights) == (12, 1e-3, (1.0, 0.7, 0.5))


@pytest.mark.slow
def test_the_user_s_way(tmp_path):
    """Weights of one's own training, from the file to a disparity of a pair of any size."""
    import numpy as np

    import fathom
    from fathom.core import StereoPair, View
    from fathom.published.store import write_weights

    torch.manual_seed(0)
    net = psmnet_cspn(max_disparity=16).eval()
    arrays = {name: values.numpy() for name, values in net.state_dict().items()}
    write_weights(tmp_path / "mine.safetensors", arrays, {"model": "psmnet-cspn"})
    dots = np.random.default_rng(0).integers(0, 255, (2, 60, 90, 3)).astype(np.uint8)
    matcher = fathom.create(
        "psmnet-cspn", weights=str(tmp_path / "mine.safetensors"), max_disparity=16
    )
    found = matcher(StereoPair(View(dots[0]), View(dots[1])))
    assert found.shape == (60, 90) and found.known.all() and found.confidence is not None
    full = np.full((2, 256, 256, 3), FRAMES["psmnet-cspn"].border, np.float32)
    full[:, 196:, :90] = dots
    with torch.no_grad():
        wanted = net(*torch.from_numpy(full.transpose(0, 3, 1, 2))[:, None]).disparities[0]
    np.testing.assert_allclose(found.values, wanted[0, 0, 196:, :90].numpy(), atol=1e-3)
