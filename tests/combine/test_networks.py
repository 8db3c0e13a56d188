"""The published nets as estimators: sizes, ranges, what is unknown, and what is refused."""

import importlib.util

import numpy as np
import pytest
import torch

import fathom
from fathom.combine import networks
from fathom.combine.networks import Network
from fathom.core import (
    InputError,
    MissingExtraError,
    ResourceError,
    Source,
    StereoPair,
    UsageError,
    View,
)
from fathom.layers.stereo import StereoOutput
from fathom.nets.stereo.gc_net import gc_net
from fathom.published.frame import Frame
from fathom.published.store import write_weights

torch.set_num_threads(1)
PSMNET_MEAN = (123.675, 116.28, 103.53)


def pair(height=40, width=70, seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), np.uint8)
    return StereoPair(View(images[0]), View(images[1]))


class Watched(torch.nn.Module):
    """Says 5 px everywhere, not a number in the corner; remembers what it was given."""

    def __init__(self, levels):
        super().__init__()
        self.levels = levels

    def forward(self, left, right):
        self.left, self.right = left.clone(), right.clone()
        disparity = torch.full_like(left[:, :1], 5)
        disparity[..., -1, 0] = float("nan")
        return StereoOutput((disparity,), torch.full_like(disparity, 2))


@pytest.fixture
def watched(monkeypatch, tmp_path):
    """Estimators over a net that is watched; the list holds each that was built."""
    nets = []

    def loaded(named, held, device, levels, own, compiled):
        nets.append(Watched(levels).eval())
        return nets[-1]

    monkeypatch.setattr(networks, "_loaded", loaded)
    write_weights(tmp_path / "w.safetensors", {}, {})

    def build(model="psmnet", **own):
        module = {"gc-net": "gc_net"}.get(model, "psmnet")
        return Network(model=model, module=module, weights=str(tmp_path / "w.safetensors"), **own)

    return nets, build


def test_psmnet_gets_its_mean_colour_above_and_at_the_right(watched):
    nets, build = watched
    given = pair()
    found = build(model="psmnet")(given)
    net = nets[0]
    assert net.levels == 192 and tuple(net.left.shape) == (1, 3, 256, 256)
    left = net.left[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(left[256 - 40 :, :70], given.left.rgb8)
    assert np.allclose(left[:216], PSMNET_MEAN) and np.allclose(left[:, 70:], PSMNET_MEAN)
    assert found.shape == (40, 70) and found.range == (0, 191)
    assert np.isnan(found.values[-1, 0]) and found.confidence[-1, 0] == 0
    assert found.source[-1, 0] == Source.UNKNOWN
    assert np.count_nonzero(found.values == 5) == 40 * 70 - 1
    assert found.confidence[0, 0] == pytest.approx(1 / (1 + np.exp(-2)))


def test_gc_net_gets_its_border_below_and_at_the_right(watched):
    nets, build = watched
    given = pair()
    build(model="gc-net")(given)
    left = nets[0].left[0].permute(1, 2, 0).numpy()
    expected = np.pad(given.left.rgb8, ((0, 24), (0, 26), (0, 0)), mode="edge")
    np.testing.assert_array_equal(left, expected)


def test_what_the_right_view_does_not_show(watched):
    _, build = watched
    kept, left_out = build()(pair()), build(fill=False)(pair())
    assert (kept.source[:-1, :5] == Source.FILLED).all()  # x - 5 lies outside
    assert (kept.source[:, 5:] == Source.MATCHED).all() and (kept.values[:-1, :5] == 5).all()
    assert np.isnan(left_out.values[:, :5]).all() and (left_out.values[:, 5:] == 5).all()
    assert build(confidence=False)(pair()).confidence is None


@pytest.mark.parametrize("model,levels", [("psmnet", 48), ("psmnet-basic", 36), ("gc-net", 64)])
def test_other_ranges_are_rounded_up_and_reached(watched, model, levels):
    nets, build = watched
    given = pair()
    found = build(model=model, min_disparity=-10, max_disparity=24)(given)
    assert nets[0].levels == levels and found.range == (-10, -11 + levels)
    assert found.values[0, 40] == -5  # 5 - 10, and not unknown: the range was asked for
    top = -40 if model.startswith("psmnet") else 0
    right = nets[0].right[0].permute(1, 2, 0).numpy()[top:][:40, :70]
    np.testing.assert_array_equal(right[:, :60], given.right.rgb8[:, 10:])  # moved left by 10


@pytest.mark.parametrize(
    ("asked", "searched"),
    [((0, 5000), (0, 191)), ((-5000, 20), (-69, 26)), ((-5000, None), (-69, 122))],
)
def test_what_the_images_cannot_show_is_left_out_in_words(watched, asked, searched):
    nets, build = watched
    words = rf"70 px wide cannot show .* \({asked[0]} .*: {searched[0]} \.\. {searched[1]} px are"
    with pytest.warns(UserWarning, match=words):
        found = build(min_disparity=asked[0], max_disparity=asked[1])(pair())
    assert found.range == searched and nets[0].levels == searched[1] - searched[0] + 1
    assert build(max_disparity=192)(pair()).range == (0, 191)  # as published: no word


def test_moving_the_right_view_moves_the_disparity_by_as_much():
    image = np.arange(30, dtype=np.uint8).reshape(1, 10, 3)
    moved = networks._shifted(image, 3)
    np.testing.assert_array_equal(moved[:, 3:], image[:, :-3])
    np.testing.assert_array_equal(moved[:, :3], image[:, :1].repeat(3, axis=1))


def test_compiling_is_torch_s(monkeypatch, tmp_path):
    asked = []

    # a function, which is bound to the net, as a builtin method would not be
    def compile_(net):
        asked.append(net)

    monkeypatch.setattr(torch.nn.Module, "compile", compile_)
    tensors = {k: v.numpy() for k, v in gc_net(max_disparity=32).state_dict().items()}
    write_weights(tmp_path / "gc.safetensors", tensors, {"model": "gc-net"})
    for compiled in (False, True):
        given = {"weights": str(tmp_path / "gc.safetensors"), "compile": compiled}
        net = fathom.create("gc-net", **given)._net(32)
        assert asked == [net] * compiled


def test_without_torch_the_extra_is_named(monkeypatch, tmp_path):
    write_weights(tmp_path / "w.safetensors", {}, {})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"fathom-depth\[torch\]"):
        Network(weights=str(tmp_path / "w.safetensors"))(pair())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"precision": "fp16"}, "unknown precision"),
        ({"iterations": 0}, "iterations.*is out of range"),
        ({"device": "gpu"}, "is no device"),
        ({"max_disparity": 0}, "leaves no disparities"),
    ],
)
def test_parameters_that_cannot_be(unchecked, wrong, message):
    with pytest.raises(UsageError, match=message):
        Network(**wrong)
    with pytest.raises(UsageError, match="unknown parameter of gc-net"):
        fathom.create("gc-net", align_corners=True)


@pytest.mark.parametrize(
    "own", [{"min_disparity": 70}, {"min_disparity": -99, "max_disparity": -69}]
)
def test_ranges_outside_the_images(watched, own):
    with pytest.raises(UsageError, match="lies outside an image 70 pixels wide"):
        watched[1](**own)(pair())


def test_too_little_memory(watched):
    with pytest.raises(ResourceError, match="192 disparities needs 201 MB of memory"):
        watched[1](memory_limit=10**8)(pair())


def test_weights_that_are_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("FATHOM_CACHE_DIR", str(tmp_path))
    for name, way in (("psmnet", "fathom weights convert"), ("gc-net", r"experiments/gc_net\.py")):
        with pytest.raises(InputError, match=way):
            fathom.create(name)(pair())


def test_weights_of_another_net_and_damaged_ones(tmp_path):
    tensors = {k: v.numpy() for k, v in gc_net(max_disparity=32).state_dict().items()}
    path = tmp_path / "gc.safetensors"
    write_weights(path, tensors, {"model": "gc-net"})
    with pytest.raises(InputError, match="holds weights of gc-net, not of psmnet"):
        fathom.create("psmnet", weights=str(path))(pair())
    other = tmp_path / "other.safetensors"
    write_weights(other, tensors, {})
    with pytest.raises(InputError, match="weights of another net"):
        fathom.create("psmnet-basic", weights=str(other))(pair())
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="is damaged"):
        fathom.create("gc-net", weights=str(path), max_disparity=32)(pair())


def test_weights_of_one_s_own_training(tmp_path):
    from safetensors.torch import save_file

    state = gc_net(max_disparity=32).state_dict()
    best, whole = tmp_path / "best.safetensors", tmp_path / "step-9.safetensors"
    save_file(state, best, {"format": "fathom-train", "info": "{}"})
    about = {"format": "fathom-checkpoint", "info": "{}", "sha256": "of another rule"}
    save_file({f"net.{k}": v for k, v in state.items()}, whole, about)
    for path in (best, whole):
        net = fathom.create("gc-net", weights=str(path))._net(32)
        assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())


def test_a_range_as_it_comes_and_what_create_passes_on(tmp_path):
    tensors = {k: v.numpy() for k, v in gc_net(max_disparity=32).state_dict().items()}
    path = tmp_path / "gc.safetensors"
    write_weights(path, tensors, {"model": "gc-net"})
    matcher = fathom.create("gc-net", weights=str(path), max_disparity=30, threads=1)
    found = matcher(pair(33, 50))
    assert found.shape == (33, 50) and found.range == (0, 31) and found.known.all()
    assert found.confidence.min() >= 0 and found.confidence.max() <= 1
    again = matcher(pair(33, 50))
    np.testing.assert_array_equal(found.values, again.values)
    half = fathom.create(
        "gc-net", weights=str(path), max_disparity=30, precision="bf16", confidence=False
    )(pair(33, 50))
    assert np.median(np.abs(half.values - found.values)) < 1


def test_the_catalog_tells_what_is_to_be_done(monkeypatch, tmp_path):
    monkeypatch.setenv("FATHOM_CACHE_DIR", str(tmp_path))
    from fathom.catalog import entry

    assert entry("psmnet").state == "convert"
    assert entry("gc-net").state == "train"  # none were published
    folder = tmp_path / "weights"
    folder.mkdir()
    write_weights(folder / "gc-net.safetensors", {"a": np.zeros(1, np.float32)}, {})
    assert entry("gc-net").state in ("ready", "train")  # ready where the folder is trusted
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert entry("psmnet").state == "install"


def test_a_model_the_module_does_not_have_and_parameters_a_net_does_not_have(tmp_path):
    tensors = {k: v.numpy() for k, v in gc_net(max_disparity=32).state_dict().items()}
    path = tmp_path / "gc.safetensors"
    write_weights(path, tensors, {"model": "gc-net"})
    with pytest.raises(UsageError, match=r"unknown model .psm-net.*psmnet"):
        Network(model="psm-net", weights=str(path))(pair())
    with pytest.raises(UsageError, match="gc-net has no such parameter"):
        Network(model="gc-net", module="gc_net", weights=str(path), align_corners=True)(pair())


@pytest.mark.parametrize(
    ("frame", "corner"),
    [
        (Frame(builder="b", levels=8, place="below"), (0, 0)),
        (Frame(builder="b", levels=8, place="above", border="zero"), (24, 0)),
        (Frame(builder="b", levels=8, place="centre", border=(1.0, 2.0, 3.0)), (12, 13)),
    ],
)
def test_where_the_image_lies_and_what_is_around_it(frame, corner):
    image = pair().left.rgb8
    out = networks.extended(image, frame.size(40, 70), frame)
    assert out.shape == (64, 96, 3)
    top, left = corner
    np.testing.assert_array_equal(out[top : top + 40, left : left + 70], image)
    around = {"edge": image[-1, -1], "zero": (0, 0, 0)}.get(frame.border, frame.border)
    if frame.place == "above":
        assert (out[:24] == 0).all() and (out[:, 70:] == 0).all()
    else:
        np.testing.assert_array_equal(out[-1, -1], around)


class Ranging(torch.nn.Module):
    """A net without a range and without a confidence: -3 at the left, 20 at the right."""

    def forward(self, left, right):
        disparity = torch.full_like(left[:, :1], 20)
        disparity[..., :30] = -3
        return StereoOutput((disparity,))


def test_nets_without_a_range(monkeypatch, tmp_path):
    write_weights(tmp_path / "w.safetensors", {}, {})
    monkeypatch.setattr(networks, "_loaded", lambda *given: Ranging().eval())
    monkeypatch.setattr(
        networks, "frame_of", lambda *given: Frame(builder="b", levels=None, pixel_bytes=10)
    )
    build = {"weights": str(tmp_path / "w.safetensors")}
    found = Network(**build)(pair())
    assert found.confidence is None and found.range is None
    assert np.isnan(found.values[:, :30]).all() and (found.values[:, 30:] == 20).all()
    below = Network(**build, min_disparity=-5, max_disparity=10)(pair())
    assert (below.values[:, :30] == -3).all() and np.isnan(below.values[:, 30:]).all()
    assert below.range == (-5, 9)
    with pytest.raises(ResourceError, match="needs 0 MB"):
        Network(**build, memory_limit=1000)(pair())


def test_a_fixed_number_of_disparities():
    frame = Frame(builder="b", levels=192)
    assert frame.searched(40) == 192
    with pytest.raises(UsageError, match="more than the 192 disparities of this net"):
        frame.searched(193)


@pytest.mark.parametrize(
    "wrong", [{"divisor": 0}, {"levels": None, "step": 4}, {"place": "left"}, {"pixel_bytes": -1}]
)
def test_frames_that_cannot_be(unchecked, wrong):
    with pytest.raises(UsageError):
        Frame(**{"builder": "b", "levels": 8, **wrong})
