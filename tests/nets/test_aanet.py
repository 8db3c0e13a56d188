"""AANet: sizes, what it gives in training and after it, aggregation, warping, names, learning."""

import learning
import net_checks
import numpy as np
import pytest
import torch
from torch.nn import functional

from fathom.core import InputError, UsageError
from fathom.layers.cross_scale import AcrossScales
from fathom.layers.deform import DeformConv
from fathom.layers.state import load_state
from fathom.nets.stereo import aanet as module
from fathom.nets.stereo.aanet import (
    FRAMES,
    WEIGHTS,
    AANet,
    AANetConfig,
    aanet,
    aanet_plus,
    convert,
    unconvert,
)
from fathom.train import StereoLoss

torch.set_num_threads(1)
LOSS = StereoLoss(weights=(1.0, 1.0, 1.0, 2 / 3, 1 / 3))


def narrow(plus=False, **other):
    settings = {"max_disparity": 48, "width": 8, "blocks": (1, 1, 1), "modules": 2, "deformable": 1}
    return AANetConfig(plus, **settings | other)


def built(plus=False, **other):
    torch.manual_seed(0)
    return AANet(narrow(plus, **other))


def images(height=96, width=96, batch=1):
    return net_checks.images(height, width, batch)


@pytest.mark.parametrize(("plus", "height", "width"), [(False, 24, 60), (True, 96, 96)])
def test_sizes_of_everything_it_gives(plus, height, width):
    net = built(plus)
    given = images(height, width, batch=2)
    taught = net(*given)
    parts = (1, 2, 3) if plus else (1, 2, 3, 6, 12)
    assert [tuple(d.shape) for d in taught.disparities] == [
        (2, 1, height // n, width // n) for n in parts
    ]
    with torch.no_grad():
        out = net.eval()(*given)
    assert [tuple(d.shape) for d in out.disparities] == [(2, 1, height, width)]
    assert out.confidence is None and out.scores is None
    assert out.disparities[0].min() >= 0


def test_all_outputs_are_in_pixels_of_the_full_image():
    """Scores that know one level of the finest volume, and corrections of nothing: all agree."""
    net = built()
    for refine in net.refine:
        torch.nn.init.zeros_(refine.change.weight)
        torch.nn.init.zeros_(refine.change.bias)
    for i, head in enumerate(net.heads):
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.constant_(head.bias, 0.0)
        head.bias.data[8 >> i] = 100.0
    for disparity in net(*images(24, 48)).disparities:
        torch.testing.assert_close(disparity, torch.full_like(disparity, 24.0))


@pytest.mark.parametrize("plus", [False, True])
def test_a_batch_of_two_is_two_of_one(plus):
    net_checks.assert_batch_is_singles(built(plus), images(96 if plus else 36, batch=2))


@pytest.mark.parametrize("plus", [False, True])
def test_every_weight_is_reached(plus):
    net = built(plus)
    for refine in net.refine:  # so that the last ReLU lets something through
        torch.nn.init.constant_(refine.change.bias, 1.0)
    assert net_checks.silent(net, LOSS, learning.batch(96, 96, 40)) == []


def test_how_the_paper_weighs_five_outputs():
    net, batch = built(), learning.batch(24, 48, 20)
    out = net(*batch.inputs)
    each = [
        functional.smooth_l1_loss(
            functional.interpolate(d, size=(24, 48), mode="bilinear"), batch.truth
        ).item()
        for d in reversed(out.disparities)
    ]
    expected = sum(w * e for w, e in zip((1 / 3, 2 / 3, 1, 1, 1), each, strict=True))
    assert LOSS(out, batch)["disparity"].item() == pytest.approx(expected, rel=1e-4)


def test_volumes_are_means_of_products():
    net = built().eval()
    views = images(24, 96)
    with torch.no_grad():
        left, right = (net.features(v)[1] for v in views)
        volumes = net.volumes(*views)
    assert [tuple(v.shape) for v in volumes] == [(1, 16, 8, 32), (1, 8, 4, 16), (1, 4, 2, 8)]
    expected = (left[0, :, 3, 9] * right[0, :, 3, 9 - 5]).mean()
    torch.testing.assert_close(volumes[1][0, 5, 3, 9], expected)
    assert not bool(volumes[1][0, 5, :, :5].any())


def test_what_crosses_the_scales():
    """With bottlenecks that add nothing and one open path, a volume arrives at the other scale."""
    torch.manual_seed(0)
    across = AcrossScales((8, 4, 2), 3, deform=False).eval()
    for block in across.within:
        torch.nn.init.zeros_(block.last[1].weight)  # ReLU(x + 0)
    for paths in across.across:
        for path in paths:
            for m in path.modules():
                if isinstance(m, torch.nn.BatchNorm2d):
                    torch.nn.init.zeros_(m.weight)
    volumes = [torch.rand(1, k, 8 >> i, 12 >> i) for i, k in enumerate((8, 4, 2))]
    with torch.no_grad():
        for before, after in zip(volumes, across(volumes), strict=True):
            torch.testing.assert_close(before, after)
        opened = across.across[0][2]  # from the coarsest to the finest
        torch.nn.init.ones_(opened[1].weight)
        change = across(volumes)[0] - volumes[0]
        expected = functional.interpolate(opened(volumes[2]), size=(8, 12), mode="bilinear")
        total = functional.leaky_relu(volumes[0] + expected, 0.2)
        torch.testing.assert_close(change, total - volumes[0])
        torch.nn.init.zeros_(opened[1].weight)
        steps = across.across[2][0]  # from the finest to the coarsest, in two
        for step in steps:
            torch.nn.init.ones_(step[1].weight)
        half = functional.leaky_relu(steps[0](volumes[0]), 0.2)
        total = functional.leaky_relu(volumes[2] + steps[1](half), 0.2)
        torch.testing.assert_close(across(volumes)[2], total)


def test_the_warp_with_aligned_corners_is_the_shift_and_without_them_the_published_one():
    rng = np.random.default_rng(0)
    right = rng.normal(size=(1, 2, 5, 9)).astype(np.float32)
    disparity = rng.uniform(-1, 6, (1, 1, 5, 9)).astype(np.float32)
    for align in (True, False):
        found = module._warped(*map(torch.from_numpy, (right, disparity)), align).numpy()
        for y, x in np.ndindex(5, 9):
            at_x, at_y = x - disparity[0, 0, y, x], float(y)
            if not align:
                at_x, at_y = at_x * 9 / 8 - 0.5, at_y * 5 / 4 - 0.5
            at_x, at_y = np.clip(at_x, 0, 8), np.clip(at_y, 0, 4)
            low_x, low_y = min(int(at_x), 7), min(int(at_y), 3)
            corner = right[0, :, low_y : low_y + 2, low_x : low_x + 2]
            tall = np.array([1 + low_y - at_y, at_y - low_y])
            wide = np.array([1 + low_x - at_x, at_x - low_x])
            expected = np.einsum("cij,i,j->c", corner, tall, wide)
            np.testing.assert_allclose(found[0, :, y, x], expected, atol=1e-4)


def test_align_corners_changes_the_numbers_and_not_the_tensors():
    given = images(24, 48)
    found = []
    for align in (False, True):
        with torch.no_grad():
            found.append(built(align_corners=align).eval()(*given).disparities[0])
    assert not torch.allclose(*found, atol=1e-3)
    assert aanet(align_corners=True).config.align_corners


@pytest.mark.parametrize(
    ("plus", "height", "width"), [(False, 30, 48), (False, 24, 50), (True, 96, 144)]
)
def test_images_it_cannot_take(plus, height, width):
    expected = "96" if plus else "12"
    with pytest.raises(InputError, match=rf"does not suit this net.* multiples of {expected}"):
        built(plus)(*images(height, width))


def test_the_published_sizes():
    assert AANetConfig().levels == (64, 32, 16)
    assert sum(p.numel() for p in aanet().parameters()) == 4002956
    net = aanet_plus()
    assert sum(p.numel() for p in net.parameters()) == 8442850
    assert [len(m.across) for m in net.aggregate] == [3, 3, 3, 3, 3, 1] and len(net.heads) == 1
    deformable = [isinstance(m.within[0].conv, DeformConv) for m in net.aggregate]
    assert deformable == [False] * 3 + [True] * 3
    for frame in FRAMES.values():
        assert (frame.levels, frame.step) == (192, None)


@pytest.mark.parametrize("wrong", [{"max_disparity": 36}, {"max_disparity": 0}])
def test_ranges_it_cannot_search(wrong):
    with pytest.raises(UsageError, match=r"max_disparity.*multiple of 24"):
        narrow(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"width": 7}, {"blocks": (1, 0, 1)}, {"deformable": 3}]
)
def test_a_config_that_is_no_net(wrong):
    with pytest.raises(UsageError, match="is no net"):
        narrow(**wrong)


@pytest.mark.parametrize("builder", [aanet, aanet_plus])
def test_names_there_and_back(builder):
    known = "aggregation.fusions.5.branches.2.0.conv2.offset_conv.bias"
    net_checks.assert_names_return(builder(), convert, unconvert, known)


def test_another_variant_is_refused():
    official = unconvert(aanet_plus().state_dict())
    with pytest.raises(InputError, match=r"features\.stem.* is missing"):
        load_state(aanet(), convert(official), "plus.pth")


def test_what_is_said_of_the_published_weights():
    assert len({w.name for w in WEIGHTS}) == len(WEIGHTS) == 6
    assert {w.model for w in WEIGHTS} == set(FRAMES)
    assert all(w.state == "convert" for w in WEIGHTS)


@pytest.mark.parametrize("plus", [False, True])
def test_it_learns_four_scenes_and_the_check_would_notice_if_not(plus):
    batch = learning.batch(96 if plus else 24, 96 if plus else 48, 20)

    def build():
        return AANet(narrow(plus, max_disparity=24, width=4 if plus else 8))

    bugs, steps = ((), 8) if plus else (learning.BUGS, 14)
    learning.assert_learns(build, batch, LOSS, steps=steps, bugs=bugs)
