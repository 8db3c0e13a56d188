"""MobileNetV2's blocks against plain sums, its sizes, and the names of timm's tensors."""

import pytest
import torch
from torch.nn import functional

from fathom.layers.mobilenet import InvertedResidual, MobileNetV2, timm_names

torch.set_num_threads(1)
RUNS = ("a", "b", "c", "d", "e", "f")


def made(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def slow_block(block, x):
    """Channel by channel, without torch's convolutions of several channels."""
    for part in (block.widen, block.apart, block.narrow):
        if isinstance(part, torch.nn.Identity):
            continue
        conv, norm = part[0], part[1]
        if conv.groups > 1:
            x = torch.cat(
                [
                    functional.conv2d(x[:, i : i + 1], conv.weight[i : i + 1], None, conv.stride, 1)
                    for i in range(x.shape[1])
                ],
                dim=1,
            )
        else:
            x = torch.einsum("bihw,oi->bohw", x, conv.weight[:, :, 0, 0])
        x = (x - norm.running_mean.view(-1, 1, 1)) / (norm.running_var + norm.eps).sqrt().view(
            -1, 1, 1
        )
        x = x * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)
        if part is not block.narrow:
            x = x.clamp(0, 6)
    return x


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("outputs", "expansion"), [(4, 6), (4, 1), (3, 2)])
def test_a_block_step_by_step(stride, outputs, expansion):
    torch.manual_seed(0)
    block = InvertedResidual(4, outputs, stride, expansion).eval()
    for norm in (m for m in block.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    x = 3 * made(2, 4, 6, 9)
    expected = slow_block(block, x)
    if stride == 1 and outputs == 4:
        expected = expected + x
    with torch.no_grad():
        torch.testing.assert_close(block(x), expected, atol=1e-4, rtol=1e-4)


def test_sizes_and_channels():
    net = MobileNetV2().eval()
    with torch.no_grad():
        found = net(made(1, 3, 64, 96))
    assert [tuple(f.shape[1:]) for f in found] == [
        (16, 32, 48),
        (24, 16, 24),
        (32, 8, 12),
        (96, 4, 6),
        (160, 2, 3),
    ]
    assert tuple(f.shape[1] for f in found) == MobileNetV2.CHANNELS
    # timm's mobilenetv2_100 has 3,504,872 with the last block (473,920), the head (412,160) and the
    # classifier (1,281,000)
    assert sum(p.numel() for p in net.parameters()) == 3_504_872 - 473_920 - 412_160 - 1_281_000


def test_the_stem_is_active_or_not():
    quiet, active = (MobileNetV2(active=a) for a in (False, True))
    assert set(quiet.state_dict()) == set(active.state_dict())
    with torch.no_grad():
        assert quiet.stem(made(1, 3, 8, 8)).min() < 0
        assert active.stem(made(1, 3, 8, 8)).min() == 0


def test_fewer_blocks_keep_channels_and_sizes():
    small = MobileNetV2(blocks=1).eval()
    assert [len(stage) for stage in small.stages] == [1, 1, 1, 2, 1]
    with torch.no_grad():
        assert [f.shape[1] for f in small(made(1, 3, 32, 32))] == list(MobileNetV2.CHANNELS)


def test_names_are_told_for_every_tensor_once():
    names = timm_names(RUNS)
    modules = {name.rpartition(".")[0] for name in MobileNetV2().state_dict()}
    assert set(names.values()) == modules and len(set(names.values())) == len(names)
    assert names["conv_stem"] == "stem.0" and names["bn1"] == "stem.1"
    assert names["a.0.conv_dw"] == "stages.0.0.apart.0"
    assert names["d.3.conv_pwl"] == "stages.3.3.narrow.0"
    assert names["e.0.bn3"] == "stages.3.4.narrow.1"


def test_first_weights_as_timm_sets_them():
    torch.manual_seed(0)
    stage = MobileNetV2().stages[4][1]
    assert stage.widen[0].weight.std().item() == pytest.approx((2 / 960) ** 0.5, rel=0.02)
    assert stage.apart[0].weight.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.05)
