"""LightStereo: sizes, what it gives in training and after it, names of tensors, learning."""

from pathlib import Path

import learning
import numpy as np
import pytest
import torch
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
from fathom.train.load import load_experiment

torch.set_num_threads(1)
LOSS = StereoLoss(weights=(1.0, 0.3))


class Said(torch.nn.Module):
    """A function in place of a module."""

    def __init__(self, function):
        super().__init__()
        self.forward = function


def narrow(**other):
    settings = {"aggregation": (1, 1, 1), "expansion": 2, "max_disparity": 32, "blocks": 1}
    return LightStereoConfig(**settings | other)


def built(**other):
    torch.manual_seed(0)
    return LightStereo(narrow(**other))


def images(height=32, width=64, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, batch, 3, height, width, generator=generator) * 255


@pytest.mark.parametrize(("height", "width"), [(32, 64), (96, 32)])
def test_sizes_of_everything_it_gives(height, width):
    net, given = built(), images(height, width, batch=2)
    taught = net(*given)
    assert [tuple(d.shape) for d in taught.disparities] == [
        (2, 1, height, width),
        (2, 1, height // 4, width // 4),
    ]
    assert taught.confidence is None
    with torch.no_grad():
        out = net.eval()(*given)
    assert [tuple(t.shape) for t in (*out.disparities, out.confidence)] == [
        (2, 1, height, width)
    ] * 2
    assert out.disparities[0].min() >= 0 and out.disparities[0].max() <= 28


def test_a_batch_of_two_is_two_of_one():
    net, given = built().eval(), images(batch=2)
    with torch.no_grad():
        both = net(*given)
        for i in range(2):
            one = net(given[0, i : i + 1], given[1, i : i + 1])
            torch.testing.assert_close(
                one.disparities[0], both.disparities[0][i : i + 1], atol=1e-3, rtol=0
            )


def test_every_weight_is_reached():
    net, batch = built(aggregation=(1, 2, 2)), learning.batch(32, 64, 28)
    loss = LOSS(net(*batch.inputs), batch)
    assert set(loss) == {"disparity"}
    loss["disparity"].backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not bool(p.grad.any())] == []


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
    state = builder().state_dict()
    official = unconvert(state)
    assert len(official) == len(state) and not set(official) & set(state)
    assert official.keys() >= {"cost_agg.att4.conv2_2.bias", "backbone.block3.4.2.bn3.weight"}
    back = convert(official)
    assert set(back) == set(state) and all(torch.equal(back[k], state[k]) for k in state)


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
    found = load_experiment(Path(__file__).parents[2] / "experiments" / "lightstereo.py")
    assert found.net is lightstereo and found.loss == LOSS
    assert (found.batch, found.learning_rate, found.weight_decay) == (24, 2.4e-3, 1e-5)
    assert found.crop_width % 32 == found.crop_height % 32 == 0


@pytest.mark.slow
def test_it_learns_four_scenes_and_the_check_would_notice_if_not():
    batch = learning.batch(32, 64, 28)

    def left_over(**bug):
        return learning.left_over(lambda: LightStereo(narrow()), batch, LOSS, steps=15, **bug)

    assert left_over() < 0.3
    for bug in learning.BUGS:
        assert not left_over(**bug) < 0.3, bug
