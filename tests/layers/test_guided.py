"""The blocks of light guided nets: sizes, gates, superpixels against plain sums, names."""

import numpy as np
import pytest
import torch

from fathom.layers.guided import (
    Excite,
    GuidedHourglass,
    Ladder,
    LeakyConv,
    Rise,
    Superpixels,
    excite_names,
    hourglass_names,
    ladder_names,
    never_used,
    rise_names,
    start_fan_out,
    superpixel_names,
    superpixels_enlarged,
    two_convs,
    two_names,
)

torch.set_num_threads(1)


def made(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def modules_of(module, prefix):
    return {f"{prefix}.{name}".rpartition(".")[0] for name in module.state_dict()}


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_a_convolution_and_its_leak(norm):
    block = LeakyConv(2, 3, norm=norm, slope=0.2).eval()
    x = made(1, 2, 5, 6)
    with torch.no_grad():
        out = block[0](x)
        if norm == "instance":
            out = (out - out.mean((2, 3), keepdim=True)) / (
                out.var((2, 3), keepdim=True, unbiased=False) + 1e-5
            ).sqrt()
        elif norm == "batch":
            out = out / (1 + 1e-5) ** 0.5
        torch.testing.assert_close(
            block(x), torch.where(out > 0, out, 0.2 * out), atol=1e-5, rtol=1e-4
        )
        assert LeakyConv(2, 3, up=True, norm=norm)(x).shape == (1, 3, 10, 12)
        assert LeakyConv(2, 3, stride=2)(x).shape == (1, 3, 3, 3)


@pytest.mark.parametrize("before", [False, True])
def test_which_features_come_first(before):
    rise = Rise(4, 2, 2, before=before).eval()
    with torch.no_grad():
        rise.up[0].weight.zero_()  # so that only the finer ones are left
        rise.mix[0].weight[:, 2:].zero_()
        out = rise(made(1, 4, 3, 3), made(1, 2, 6, 6))
    assert bool(out.any()) is before


def test_a_ladder_keeps_sizes_and_doubles_channels():
    features = [made(1, c, 16 // 2**i, 16 // 2**i) for i, c in enumerate((4, 6, 8, 10))]
    found = Ladder((4, 6, 8, 10)).eval()(features)
    assert [tuple(f.shape[1:]) for f in found] == [
        (8, 16, 16),
        (12, 8, 8),
        (16, 4, 4),
        (10, 2, 2),
    ]
    assert found[3] is features[3]


def test_a_gate_multiplies_every_level_alike():
    gate, volume = Excite(3, 4).eval(), made(2, 3, 5, 4, 6)
    with torch.no_grad():
        out = gate(volume, made(2, 4, 4, 6, seed=1))
    share = out / volume
    assert share.min() > 0 and share.max() < 1
    torch.testing.assert_close(share, share[:, :, :1].expand_as(share), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("tail", [0, 3])
def test_an_hourglass_gives_what_it_was_given(tail):
    glass = GuidedHourglass((2, 3, 4), (5, 6), outputs=2, tail=tail)
    features = [made(1, 5, 8, 12), made(1, 6, 4, 6)]
    out = glass(made(1, 2, 8, 16, 24), features)
    assert out.shape == (1, 2, 8, 16, 24)
    out.square().mean().backward()
    silent = [n for n, p in glass.named_parameters() if p.grad is None or not p.grad.any()]
    assert all(n.startswith("spare.") for n in silent)
    assert not any(p.requires_grad for p in glass.spare.parameters()) if tail == 0 else True


def slow_enlarged(coarse, logits):
    """Pixel by pixel."""
    height, width = logits.shape[-2:]
    share = torch.softmax(logits, dim=1).numpy()
    framed = np.pad(coarse.numpy()[0, 0], 1)
    out = np.zeros((height, width))
    for y, x, n in np.ndindex(height, width, 9):
        out[y, x] += 4 * share[0, n, y, x] * framed[y // 4 + n // 3, x // 4 + n % 3]
    return out


def test_superpixels_pixel_by_pixel():
    coarse, logits = made(1, 1, 3, 4).abs() * 10, made(1, 9, 12, 16, seed=1)
    out = superpixels_enlarged(coarse, logits)
    np.testing.assert_allclose(out[0, 0], slow_enlarged(coarse, logits), atol=1e-4)


def test_superpixels_have_the_images_size():
    out = Superpixels(6, 4, 5).eval()(made(1, 6, 3, 4), made(1, 4, 6, 8))
    assert out.shape == (1, 9, 12, 16)


def test_names_are_told_for_every_tensor_once():
    told = [
        (Ladder((4, 6, 8, 10)), ladder_names("up", "o"), 14),
        (Rise(4, 2, 2), rise_names("r", "o"), 4),
        (Excite(4, 4), excite_names("e", "o"), 3),
        (two_convs(3, 4), two_names("t", "o"), 4),
        (Superpixels(6, 4, 5), superpixel_names("s", "o"), 9),
        (GuidedHourglass((2, 3, 4), (5, 6)), hourglass_names("h", "o", (8, 16)), 27),
        (GuidedHourglass((2, 3, 4, 5), (5, 6, 7)), hourglass_names("h", "o", (8, 16, 32)), 45),
    ]
    for module, names, count in told:
        assert set(names.values()) == modules_of(module, "o")
        assert len(set(names.values())) == len(names) == count
    names = hourglass_names("h", "o", (8, 16, 32))
    assert names["h.agg_0.2.conv"] == "o.merge.1.2.0"
    assert names["h.feature_att_up_8.im_att.1"] == "o.regates.0.gate.1"
    assert hourglass_names("h", "o", (8, 16))["h.agg.0.bn"] == "o.merge.0.0.1"


def test_what_is_never_used_takes_no_gradient():
    module = never_used(torch.nn.Linear(2, 3))
    assert not any(p.requires_grad for p in module.parameters())


def test_first_weights_as_the_authors_set_them():
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(7, 50, 3)
    start_fan_out(conv)
    assert conv.weight.std().item() == pytest.approx((2 / (9 * 50)) ** 0.5, rel=0.05)
    glass = GuidedHourglass((8, 16, 32), (5, 6))
    before = glass.last.weight.clone()
    glass.apply(start_fan_out)
    assert torch.equal(before, glass.last.weight)
    weight = glass.down[1][0][0].weight
    assert weight.std().item() == pytest.approx((2 / (27 * 32)) ** 0.5, rel=0.05)
