"""LightStereo: sizes, what it gives in training and after it, names of tensors, learning."""

import learning
import net_checks
import numpy as np
import pytest
import torch
from net_checks import Said, images
from torch.nn import functional

from fathom.core import InputError, UsageError
from fathom.layers.state import load_state
from fathom.nets.stereo.lightstereo import (
    FRAMES,
    WEIGHTS,
    LightStereo,
    LightStereoConfig,
    convert,
    lightstereo,
    lightstereo_m,
    unconvert,
)
from fathom.train import StereoLoss

torch.set_num_threads(1)
LOSS = StereoLoss(weights=(1.0, 0.3))


def narrow(**other):
    settings = {"aggregation": (1, 1, 1), "expansion": 2, "max_disparity": 32, "blocks": 1}
    return LightStereoConfig(**settings | other)


def built(**other):
    torch.manual_seed(0)
    return LightStereo(narrow(**other))


@pytest.mark.parametrize(("height", "width"), [(32, 64), (96, 32)])
def test_sizes_of_everything_it_gives(height, width):
    taught = [(2, 1, height, width), (2, 1, height // 4, width // 4)]
    net_checks.assert_gives(built(), images(height, width, batch=2), taught, 28)


def test_a_batch_of_two_is_two_of_one():
    net_checks.assert_batch_is_singles(built(), images(batch=2))


def test_every_weight_is_reached():
    net = built(aggregation=(1, 2, 2))
    assert net_checks.silent(net, LOSS, learning.batch(32, 64, 28)) == []


def test_disparities_are_left_minus_right():
    """With descriptions that are the image itself and scores that are their likeness, the shift is
    found: the volume's direction and the reading of it."""
    net = built().eval()
    net.features = Said(lambda images: [functional.interpolate(images, scale_factor=0.25)] * 4)
    net.aggregation = Said(lambda volume, features: 100 * volume)
    net.superpixels = Said(lambda described, image: _nearest(image))
    noise = torch.from_numpy(np.random.default_rng(0).choice([-1.0, 1.0], (1, 3, 8, 16)))
    right = 127 + 127 * noise.float().repeat_interleave(4, 2).repeat_interleave(4, 3)
    with torch.no_grad():
        out = net(right.roll(12, dims=3), right)  # x_left = x_right + 12
    assert out.disparities[0][..., 16:].median().item() == pytest.approx(12, abs=0.5)


def _nearest(image):
    """All of each pixel from the cell it lies in."""
    logits = image.new_full((image.shape[0], 9, *image.shape[2:]), -50)
    logits[:, 4] = 50
    return logits


def slow_strips(module, volume, features):
    """Sums along rows and then along columns, pixel by pixel."""
    x = torch.einsum("bihw,oi->bohw", features, module.enter.weight[:, :, 0, 0])
    x = (x + module.enter.bias.view(-1, 1, 1)).numpy()
    total = x.copy()
    for strip in module.strips:
        out = x
        for conv, axis in zip(strip, (3, 2), strict=True):
            weight = conv.weight.reshape(len(x[0]), -1).numpy()
            reach = weight.shape[1] // 2
            room = [(0, 0)] * 4
            room[axis] = (reach, reach)
            framed = np.pad(out, room)
            out = sum(
                weight[None, :, i, None, None]
                * np.take(framed, range(i, i + x.shape[axis]), axis=axis)
                for i in range(weight.shape[1])
            ) + conv.bias.numpy().reshape(-1, 1, 1)
        total = total + out
    last = np.einsum("bihw,oi->bohw", total, module.last.weight[:, :, 0, 0].numpy())
    return (last + module.last.bias.numpy().reshape(-1, 1, 1)) * volume.numpy()


def test_strips_sum_by_sum():
    module = built().aggregation.guides[0]
    generator = torch.Generator().manual_seed(1)
    volume = torch.randn(1, 8, 5, 6, generator=generator)
    features = torch.randn(1, 24, 5, 6, generator=generator)
    with torch.no_grad():
        np.testing.assert_allclose(
            module(volume, features), slow_strips(module, volume, features), atol=1e-4
        )


@pytest.mark.parametrize(("height", "width"), [(48, 64), (32, 40)])
def test_images_it_cannot_take(height, width):
    with pytest.raises(InputError, match=r"does not suit this net.* multiples of 32"):
        built()(*images(height, width))


def test_the_published_sizes():
    assert sum(p.numel() for p in lightstereo().parameters()) == 3441360
    assert sum(p.numel() for p in lightstereo_m().parameters()) == 7030704
    assert {name: frame.builder for name, frame in FRAMES.items()} == {
        "lightstereo": "lightstereo",
        "lightstereo-m": "lightstereo_m",
    }
    assert all(f.levels == 192 and f.step is None for f in FRAMES.values())


@pytest.mark.parametrize("wrong", [{"max_disparity": 30}, {"max_disparity": 0}])
def test_ranges_it_cannot_search(wrong):
    with pytest.raises(UsageError, match=r"max_disparity.*multiple of 4"):
        narrow(**wrong)


@pytest.mark.parametrize("wrong", [{"expansion": 0}, {"aggregation": (1, 0, 1)}, {"blocks": 0}])
def test_a_config_that_is_no_net(wrong):
    with pytest.raises(UsageError, match="is no net"):
        narrow(**wrong)


@pytest.mark.parametrize("builder", [lightstereo, lightstereo_m])
def test_names_there_and_back(builder):
    known = "cost_agg.att4.conv2_2.bias", "backbone.block3.4.2.bn3.weight"
    net_checks.assert_names_return(builder(), convert, unconvert, *known)


def test_another_variant_is_refused():
    official = unconvert(lightstereo().state_dict())
    with pytest.raises(InputError, match=r"aggregation\.down\.0\.1.* is missing"):
        load_state(lightstereo_m(), convert(official), "s.pth")
    with pytest.raises(InputError, match="weights of another net"):
        load_state(lightstereo(), convert({"conv.weight": torch.zeros(1)}), "other.pth")


def test_what_is_said_of_the_published_weights():
    assert [w.model for w in WEIGHTS] == ["lightstereo", "lightstereo-m"]
    assert all(w.state == "convert" and w.licences.code == "unknown" for w in WEIGHTS)


def test_the_experiment_is_the_authors():
    found = net_checks.experiment("lightstereo")
    assert found.net is lightstereo and found.loss == LOSS
    assert (found.batch, found.learning_rate, found.weight_decay) == (24, 2.4e-3, 1e-5)
    assert found.crop_width % 32 == found.crop_height % 32 == 0


@pytest.mark.slow
def test_it_learns_four_scenes_and_the_check_would_notice_if_not():
    batch = learning.batch(32, 64, 28)
    learning.assert_learns(lambda: LightStereo(narrow()), batch, LOSS, steps=15)
