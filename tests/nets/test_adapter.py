"""Nets in torch as estimators: any size, strict weights, devices; the shipped ones in torch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fathom import weights
from fathom.classical.channels import pair_channels
from fathom.classical.sgm import SGM
from fathom.combine.learned import Learned
from fathom.core import InputError, ResourceError, StereoPair, UsageError, View
from fathom.layers.stereo import StereoOutput
from fathom.nets.adapter import (
    NetMatcher,
    TorchModel,
    evidence_model,
    load_net,
    run_batch,
    run_net,
    torch_device,
)
from fathom.nets.stereo.evidence import EvidenceConfig, EvidenceNet

CPU = torch.device("cpu")


def pair_of(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return StereoPair(
        *(View(rng.integers(0, 256, (height, width, 3)).astype(np.uint8)) for _ in range(2))
    )


class Difference(nn.Module):
    """Red of the left minus red of the right: negative wherever the right one is redder."""

    def __init__(self, confident=True, half=False):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.confident, self.half, self.seen = confident, half, []

    def forward(self, left, right, *evidence):
        self.seen.append((tuple(left.shape), *(tuple(e.shape) for e in evidence)))
        out = self.scale * (left - right)[:, :1]
        if self.half:
            out = out[..., ::2, ::2]
        return StereoOutput((out,), torch.zeros_like(out) if self.confident else None)


def test_any_size_is_extended_and_negative_values_are_unknown():
    pair = pair_of(21, 45)
    net = Difference().eval()
    found = NetMatcher(net, divisor=16)(pair)
    assert net.seen == [((1, 3, 32, 48),)]
    red = pair.left.image[..., 0].astype(np.float32) - pair.right.image[..., 0]
    np.testing.assert_array_equal(found.values, np.where(red >= 0, red, np.nan))
    assert (found.confidence == 0.5).all()
    assert NetMatcher(Difference(confident=False).eval(), 8)(pair).confidence is None


def test_evidence_is_made_of_the_pair_as_it_is_and_then_extended():
    net, sizes = Difference().eval(), []

    def evidence(pair):
        sizes.append(pair.shape)
        return np.zeros((2, *pair.shape), np.float32)

    NetMatcher(net, 32, evidence, channels_last=True)(pair_of(20, 40))
    assert sizes == [(20, 40)]
    assert net.seen == [((1, 3, 32, 64), (1, 2, 32, 64))]


def test_a_disparity_of_another_size_is_refused():
    with pytest.raises(InputError, match="not of the images' size"):
        NetMatcher(Difference(half=True).eval(), 8)(pair_of(16, 16))


def test_too_little_memory_on_the_device_is_one_line():
    class Hungry(nn.Module):
        def forward(self, left, right):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate ...")

    with pytest.raises(ResourceError, match="has too little memory for this pair") as caught:
        run_net(Hungry(), [np.zeros((3, 8, 8), np.float32)] * 2, CPU)
    assert "\n" not in str(caught.value)


def test_bf16_is_near():
    pair = pair_of(16, 32)
    plain, short = (NetMatcher(Difference().eval(), 8, precision=p)(pair) for p in ("fp32", "bf16"))
    both = plain.known & short.known
    np.testing.assert_allclose(short.values[both], plain.values[both], atol=1)


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "cpu:0", "mps:1", ""])
def test_unknown_devices(name):
    with pytest.raises(UsageError, match="is no device"):
        torch_device(name)


def test_devices_that_are_not_there():
    assert torch_device("cpu") == CPU
    for name in ("cuda", "cuda:99", "mps"):
        if name == "mps" and torch.backends.mps.is_available():
            continue
        if name == "cuda" and torch.cuda.is_available():
            continue
        with pytest.raises(ResourceError, match="is not there"):
            torch_device(name)


@pytest.fixture(scope="module")
def narrow():
    """A net of a few thousand weights, as `fathom-s` is built, and the same without matching."""
    torch.manual_seed(0)
    sizes = {"levels": 8, "features": 8, "widths": (8, 8), "detail": 8}
    return [EvidenceNet(EvidenceConfig(matching=m, **sizes)).eval() for m in (True, False)]


@pytest.fixture(scope="module")
def files(narrow, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    found = []
    for name, net in zip(("s", "refined"), narrow, strict=True):
        save_file(net.state_dict(), str(folder / f"{name}.safetensors"))
        found.append(str(folder / f"{name}.safetensors"))
    return found


def test_weights_that_a_user_trained_run_as_the_estimator(narrow, files):
    """The twin: evidence, net and padding by hand; the range is narrower than the net's, 32."""
    pair = pair_of(50, 90)
    found = Learned(weights=files[0], max_disparity=32)(pair)
    rows, columns = np.minimum(np.arange(56), 49), np.minimum(np.arange(96), 89)
    left, right = (v.image[np.ix_(rows, columns)] for v in (pair.left, pair.right))
    evidence = pair_channels(pair, SGM(max_disparity=32))[:, rows][:, :, columns]
    tensors = [torch.from_numpy(v.transpose(2, 0, 1).astype(np.float32)) for v in (left, right)]
    with torch.inference_mode():
        output = narrow[0](*(t[None] for t in (*tensors, torch.from_numpy(evidence))))
    values = output.disparities[0][0, 0, :50, :90].numpy()
    np.testing.assert_allclose(found.values, np.clip(values, 0, 31), atol=1e-4)
    confidence = torch.sigmoid(output.confidence)[0, 0, :50, :90].numpy()
    near = np.abs(values - np.clip(values, 0, 31)) <= 0.99
    np.testing.assert_allclose(found.confidence[near], confidence[near], atol=1e-5)
    assert Learned(model="sgm-refined", weights=files[1], max_disparity=32)(pair).known.all()


def test_a_wider_range_than_such_a_net_s_reduces_the_pair(files):
    found = Learned(weights=files[0], max_disparity=64)(pair_of(50, 90))
    assert found.range == (0, 63)


def test_a_checkpoint_of_training_serves_and_gives_its_averaged_weights(narrow, tmp_path):
    own = narrow[0].state_dict()
    stored = {f"net.{k}": v * 0 if v.is_floating_point() else v for k, v in own.items()}
    stored |= {f"ema.{k}": v for k, v in own.items() if v.is_floating_point()}
    path = tmp_path / "step-00000010.safetensors"
    save_file({k: v.clone() for k, v in stored.items()}, str(path), {"format": "fathom-checkpoint"})
    model, matching, divisor, limit = evidence_model(path, "cpu")
    assert (matching, divisor, limit) == (True, 8, 32)
    for name, value in model.net.state_dict().items():
        torch.testing.assert_close(value, own[name])
    other = load_net(EvidenceNet(narrow[0].config), path, CPU)
    assert not other.training
    torch.testing.assert_close(other.state_dict(), own)


@pytest.mark.parametrize("how", ["missing", "truncated", "text", "other", "kind"])
def test_weights_that_cannot_serve_are_named(files, tmp_path, how):
    file = tmp_path / "w.safetensors"
    if how == "truncated":
        data = Path(files[0]).read_bytes()
        file.write_bytes(data[: len(data) // 2])
    elif how == "text":
        file.write_text("these are no weights")
    elif how == "other":
        save_file({"a": torch.zeros(3)}, str(file))
    elif how == "kind":
        file = files[1]
    with pytest.raises(InputError) as caught:
        Learned(weights=str(file), max_disparity=32)(pair_of(40, 60))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_torch_s_threads_are_given_back(narrow):
    before = torch.get_num_threads()
    seen = []

    class Counting(Difference):
        def forward(self, left, right):
            seen.append(torch.get_num_threads())
            return super().forward(left, right)

    model = TorchModel(Counting().eval(), CPU, ("left", "right"), threads=3)
    arrays = {n: np.zeros((1, 3, 8, 8), np.float32) for n in ("left", "right")}
    assert model(arrays)["disparity"].shape == (1, 1, 8, 8)
    assert (seen, torch.get_num_threads()) == ([3], before)
    silent = TorchModel(Difference(confident=False).eval(), CPU, ("left", "right"))
    with pytest.raises(InputError, match="gives no confidence"):
        silent(arrays)


@pytest.mark.parametrize("name", weights.NAMES)
def test_shipped_weights_say_in_torch_what_the_exported_file_says(name, motorcycle):
    if not weights.is_shipped(name):
        pytest.skip("no weights in this checkout yet")
    from fathom.geometry.resize import crop_pair

    pair = crop_pair(motorcycle.pair, 250, 150, 256, 128)
    file = str(weights.shipped(name).folder / weights.WEIGHTS)
    trained = Learned(model=name, max_disparity=64, weights=file)(pair)
    for precision, least in (("fp32", 1e-4), (None, 0.05)):  # None: 8 bits, or bf16
        exported = Learned(model=name, max_disparity=64, precision=precision)(pair)
        assert np.abs(exported.values - trained.values).mean() < least
        assert np.abs(exported.confidence - trained.confidence).mean() < least / 4


def test_a_batch_gives_what_its_pairs_give_alone():
    torch.manual_seed(0)

    class Convolving(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(6, 2, 5, padding=2)

        def forward(self, left, right):
            found = self.layer(torch.cat([left, right], 1) / 255)
            return StereoOutput((found[:, :1],), found[:, 1:])

    net = Convolving().eval()
    rng = np.random.default_rng(0)
    batch = [[rng.random((3, 16, 24), np.float32) * 255 for _ in range(2)] for _ in range(3)]
    together = run_batch(net, batch, CPU)
    assert len(together) == 3
    for inputs, (values, sure) in zip(batch, together, strict=True):
        alone = run_net(net, inputs, CPU)
        np.testing.assert_allclose(values, alone[0], atol=1e-5)
        np.testing.assert_allclose(sure, alone[1], atol=1e-5)
    assert not np.allclose(together[0][0], together[1][0])
