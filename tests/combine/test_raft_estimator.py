"""`raft-stereo` and `raft-stereo-realtime` as estimators, with narrow nets of random weights."""

import importlib.util
import sys
from dataclasses import replace

import numpy as np
import pytest

import fathom
from fathom.combine import raft_stereo as module
from fathom.combine.raft_stereo import RaftStereo
from fathom.core import (
    Disparity,
    InputError,
    MissingExtraError,
    ResourceError,
    Source,
    StereoPair,
    UsageError,
    View,
)

if importlib.util.find_spec("torch") is None:
    pytest.skip("needs torch", allow_module_level=True)
import torch

import parity
from fathom.nets.stereo import raft_stereo as nets
from fathom.published.store import write_weights

torch.set_num_threads(1)
FAST = "raft-stereo-realtime"
NARROW = {"widths": (8, 12, 16), "hidden": 16, "matched": 16, "levels": 2, "iterations": 2}


def pair(height=37, width=70):
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 255, (height, width + 6, 3), dtype=np.uint8)
    return StereoPair(View(wide[:, :width]), View(wide[:, 6:]))


@pytest.fixture
def weights(monkeypatch, tmp_path):
    """Model -> file of weights; both models are narrow. Disparities come out around 20."""
    monkeypatch.setattr(nets, "REALTIME", replace(nets.REALTIME, **NARROW))
    original = nets.config_of
    monkeypatch.setattr(nets, "config_of", lambda names: replace(original(names), **NARROW))
    files = {}
    for model in ("raft-stereo", FAST):
        torch.manual_seed(0)
        config = nets.REALTIME if model == FAST else nets.RaftStereoConfig(**NARROW)
        net = nets.RaftStereo(config)
        torch.nn.init.constant_(net.move[2].bias, -10 / config.cell)
        files[model] = tmp_path / f"{model}.safetensors"
        state = {k: v.numpy() for k, v in net.state_dict().items()}
        write_weights(files[model], state, {"model": model, "settings": {}})
    module._loaded.cache_clear()
    yield files
    module._loaded.cache_clear()


def made(weights, model=FAST, **own):
    return fathom.create(model, **{"weights": str(weights[model]), "confidence": False, **own})


@pytest.mark.parametrize("model", ["raft-stereo", FAST])
def test_it_is_the_net_on_images_extended_on_all_sides(weights, model):
    given = pair()
    found = made(weights, model)(given)
    room = ((13, 14), (13, 13), (0, 0))
    views = [
        torch.from_numpy(np.pad(v.image, room, mode="edge").transpose(2, 0, 1).astype(np.float32))
        for v in (given.left, given.right)
    ]
    net = made(weights, model)._net()
    with torch.inference_mode():
        expected = net(*(v[None] for v in views)).disparities[0][0, 0].numpy()[13:50, 13:83]
    kept = expected >= 0
    assert kept.mean() > 0.2
    np.testing.assert_allclose(found.values[kept], expected[kept], atol=1e-5)
    assert np.isnan(found.values[~kept]).all() and found.confidence is None and found.range is None


def test_sources_range_and_fill(weights):
    given = pair()
    whole = made(weights)(given)
    assert {*np.unique(whole.source)} <= {Source.UNKNOWN, Source.MATCHED, Source.FILLED}
    outside = np.arange(70) - whole.values < -0.5
    assert outside.any() and (whole.source[outside] == Source.FILLED).all()
    holes = made(weights, fill=False)(given)
    assert np.isnan(holes.values[outside]).all()
    same = holes.known
    np.testing.assert_array_equal(holes.values[same], whole.values[same])
    middle = float(np.nanmedian(whole.values))
    low, high = int(middle), int(middle) + 1
    part = made(weights, min_disparity=low, max_disparity=high)(given)
    inside = (whole.values >= low) & (whole.values < high)
    assert inside.any() and np.array_equal(part.known, inside)
    assert part.range == (low, high - 1)


def test_confidence_from_a_mirror(weights):
    given = pair()
    found = made(weights, confidence=True)(given)
    plain = made(weights)(given)
    np.testing.assert_array_equal(found.values, plain.values)
    assert found.confidence is not None and not found.confidence[~found.known].any()


def test_a_start_goes_to_the_net_as_means_of_cells(weights, monkeypatch):
    given = pair(32, 64)
    values = np.full((32, 64), 7.0, np.float32)
    values[:8, :8] = np.nan
    values[8:16, 8:12] = np.nan
    values[8:16, 12:16] = 3
    seen = []
    net = made(weights)._net()
    handle = net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    matcher = made(weights)
    warm = matcher(given, start=Disparity(values))
    cold = matcher(given)
    confident = made(weights, confidence=True)(given, start=Disparity(values))
    handle.remove()
    assert [len(inputs) for inputs in seen] == [3, 2, 3, 2]
    start = seen[0][2][0, 0]
    assert start.shape == (4, 8)
    assert (start[0, 0], start[1, 1], start[3, 7]) == (0, 3, 7)
    assert not np.array_equal(warm.values, cold.values, equal_nan=True)
    np.testing.assert_array_equal(warm.values, confident.values)
    with pytest.raises(InputError, match=r"start = .*is not of the pair's size"):
        matcher(pair(), start=Disparity(values))


def test_iterations_and_correlation_reach_the_net(weights):
    net = made(weights, iterations=5, correlation="alt")._net()
    assert (net.config.iterations, net.config.correlation) == (5, "alt")
    assert made(weights)._net().config.iterations == 2
    assert made(weights)._net() is made(weights)._net()


def test_compiling_is_asked_of_torch_once(weights, monkeypatch):
    asked = []

    def noted(net):
        asked.append(net)

    monkeypatch.setattr(nets.RaftStereo, "compile", noted)
    matcher = made(weights, compile=True)
    assert matcher._net() is matcher._net() is asked[0]
    made(weights)._net()
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"iterations": 0}, "iterations = 0"),
        ({"correlation": "cuda"}, "unknown correlation 'cuda'"),
        ({"precision": "fp16"}, "unknown precision 'fp16'"),
        ({"device": "tpu"}, "device = 'tpu'"),
        ({"max_disparity": 0}, "max_disparity = 0"),
        ({"model": "raft"}, "unknown model 'raft'"),
    ],
)
def test_parameters_out_of_range(unchecked, own, message):
    with pytest.raises(UsageError, match=message):
        RaftStereo(**own)


def test_weights_that_are_none_or_another_net_s(weights, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        made({FAST: tmp_path / "none.safetensors"})(pair())
    with pytest.raises(InputError, match="holds weights of raft-stereo, not of raft-stereo-rea"):
        made({FAST: weights["raft-stereo"]})(pair())
    damaged = tmp_path / "short.safetensors"
    damaged.write_bytes(weights[FAST].read_bytes()[:-9])
    with pytest.raises(InputError, match=r"short\.safetensors"):
        made({FAST: damaged})(pair())
    other = tmp_path / "other.safetensors"
    tensors = {k: v.numpy() for k, v in made(weights)._net().state_dict().items()}
    del tensors["move.0.weight"]
    write_weights(other, tensors, {})
    with pytest.raises(InputError, match=r"other\.safetensors: move\.0\.weight: is missing"):
        made({FAST: other})(pair())


def test_without_torch_or_memory(weights, monkeypatch):
    with pytest.raises(ResourceError, match="needs 5 MB of memory; expected at most 0 MB"):
        made(weights, memory_limit=1000)(pair())
    monkeypatch.setattr("fathom.classical.memory.available_memory", lambda: 1000)
    with pytest.raises(ResourceError, match="correlation alt"):
        made(weights)(pair())
    monkeypatch.setattr("fathom.classical.memory.available_memory", lambda: None)
    made(weights)(pair())
    module._loaded.cache_clear()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match="torch"):
        made(weights)(pair())


@pytest.mark.slow
def test_parity_through_the_public_path(tmp_path):
    """The authors' file, converted, created by name, on images in 8 bits: the official numbers."""
    from fathom.workflows.weights import KeepOptions, convert_file

    case = parity.case("raft_stereo_realtime")
    official, ours = tmp_path / "raftstereo-realtime.pth", tmp_path / "mine.safetensors"
    torch.save({f"module.{k}": v for k, v in parity.state(case).items()}, official)
    convert_file(official, ours, KeepOptions(model=FAST))
    left, right = parity.images(case)
    matcher = fathom.create(FAST, weights=str(ours), confidence=False)
    found = matcher(StereoPair(View(left), View(right))).values
    expected = -case.outputs["flow_up"].sample
    kept = expected >= 0
    bound = 1e-3 * case.outputs["flow_up"].std
    np.testing.assert_allclose(parity.sample(found)[kept], expected[kept], atol=bound)
    assert np.isnan(parity.sample(found)[expected < -bound]).all()
    with pytest.raises(InputError, match="is of another net"):
        convert_file(official, tmp_path / "x.safetensors", KeepOptions(model="raft-stereo"))
