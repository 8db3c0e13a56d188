"""Published nets as files: narrowed ones through everything, all of them through the graph."""

import importlib
import importlib.util
import json
import os

import narrow_nets
import numpy as np
import pytest
import torch

from fathom.catalog import entries, entry
from fathom.core import Disparity, InputError, StereoSample
from fathom.core.errors import UsageError
from fathom.export import certify, export_model
from fathom.export import published as subjects
from fathom.export.published import Published, built, exportable
from fathom.export.traced import check_free_sizes, dotted, sizes, traced_graph
from fathom.nets.stereo.psmnet import FRAMES as PSM
from fathom.nets.stereo.raft_stereo import FRAMES as RAFT
from fathom.published.frame import Frame
from fathom.published.store import write_weights
from fathom.runtime import load_model
from fathom.workflows import export as workflow

pytest.importorskip("onnx")
torch.set_num_threads(1)
BACKENDS = [b for b in ("openvino", "onnxruntime") if importlib.util.find_spec(b)]
THOROUGH = ("psmnet", "raft-stereo")
"""With a range and a confidence; with neither, and iterations."""
NO_DISPARITY = ("bi3d-binary",)
"""Answers for one plane."""
DEAR = ("aanet-plus",)
"""Takes two minutes; what it adds to `aanet`, convolutions up and down, others have."""
FRAMES = narrow_nets.frames()


@pytest.fixture(autouse=True)
def _untyped(monkeypatch, tmp_path):
    """Shapes cannot be checked while they are not yet numbers."""
    import jaxtyping

    monkeypatch.setenv("FATHOM_CACHE_DIR", str(tmp_path / "cache"))
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def sample(motorcycle):
    """A window of Motorcycle, of a size that no divisor divides."""
    from fathom.geometry.resize import crop_pair

    truth = np.ascontiguousarray(motorcycle.truth.values[150:221, 250:351])
    pair = crop_pair(motorcycle.pair, 250, 150, 101, 71)
    return StereoSample(pair, Disparity(truth), name="window")


@pytest.mark.parametrize("name", THOROUGH)
def test_a_file_answers_as_torch_does_at_any_size(name, tmp_path, sample):
    subject = narrow_nets.subject(name)
    file = export_model(subject, tmp_path / "model.onnx", model=name)
    names = list(subject.answers(subject.inputs_of(sample.pair)))
    for backend in BACKENDS:
        model = load_model(file, backend=backend, threads=1, precision="fp32")
        assert list(model.inputs) == ["left", "right"] and list(model.outputs) == names
        assert model.inputs["left"] == (1, 3, None, None)
        assert model.metadata["fathom.model"] == name
        assert model.metadata["fathom.divisor"] == str(subject.frame.divisor)
        assert model.metadata.get("fathom.max_disparity") == (
            None if subject.levels is None else "32"
        )
        step, least = subject.frame.divisor, subject.frame.size(1, 1)[0]
        for size in ((least, least), (least + 2 * step, least), (least, least + 3 * step)):
            given = dotted(size)
            wanted, found = subject.answers(given), model(given)
            for key in names:
                spread = max(1.0, float(wanted[key].std()))
                assert np.quantile(np.abs(found[key] - wanted[key]), 0.99) < 1e-3 * spread
    assert not subject.net.training
    found = certify(subject, file, [sample], threads=1, rounds=1, memory=False)
    truth = sample.truth.values
    top, left = subject.frame.corner(truth.shape, subject.frame.size(*truth.shape))
    mine = subject.answers(subject.inputs_of(sample.pair))["disparity"][0, 0]
    mine = mine[top : top + 71, left : left + 101]
    known = np.isfinite(truth)
    for case in found.cases:
        assert case.mean_px < 0.02 * max(1.0, float(mine.std()))
        assert (case.largest_confidence is None) == ("confidence" not in names)
        assert case.epe_torch == pytest.approx(np.abs(mine - truth)[known].mean(), abs=1e-3)
        assert case.epe_change == pytest.approx(case.epe_file - case.epe_torch)
    json.dumps(found.as_dict(), allow_nan=False)


def test_openvino_s_own_format(tmp_path):
    pytest.importorskip("openvino")
    subject = narrow_nets.subject("psmnet")
    file = export_model(subject, tmp_path / "model.xml", "openvino", model="psmnet")
    model = load_model(file, threads=1, precision="fp32")
    assert list(model.inputs) == ["left", "right"]
    assert list(model.outputs) == ["disparity", "confidence"]
    assert model.metadata["fathom.border"] == "123.675 116.28 103.53"
    given = dotted((48, 64))
    apart = np.abs(model(given)["disparity"] - subject.answers(given)["disparity"])
    assert np.quantile(apart, 0.99) < 1e-2


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            n,
            marks=pytest.mark.skipif(
                n in DEAR and not os.environ.get("FATHOM_ALL"), reason="minutes: set FATHOM_ALL=1"
            ),
        )
        for n in narrow_nets.NETS
        if n not in THOROUGH
    ],
)
def test_every_net_holds_at_any_size(name, tmp_path):
    """Every operation of every net: narrowed, so that it takes seconds."""
    subject = narrow_nets.subject(name)
    file = tmp_path / "model.onnx"
    file.write_bytes(traced_graph(subject, {}).SerializeToString())
    check_free_sizes(subject, load_model(file, backend=BACKENDS[-1], threads=1, precision="fp32"))


def test_no_net_is_left_out():
    assert {*narrow_nets.NETS, *narrow_nets.ALIKE, *NO_DISPARITY} == set(FRAMES)


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("FATHOM_ALL"), reason="minutes and gigabytes each: set FATHOM_ALL=1"
)
@pytest.mark.parametrize("name", [n for n in FRAMES if n not in NO_DISPARITY])
def test_every_net_as_it_was_published(name, tmp_path, sample):
    """Whole, with its own range and all its iterations, at the least size it takes."""
    module, frame = FRAMES[name]
    settings = {} if frame.step is None else {"max_disparity": frame.levels}
    torch.manual_seed(0)
    net = narrow_nets.filled(built(module, frame, settings))
    subject = Published(net, name, module, frame, frame.levels, settings)
    file = export_model(subject, tmp_path / "model.onnx", model=name)
    found = certify(subject, file, [sample], threads=1, rounds=1, memory=False)
    spread = float(subject.answers(subject.inputs_of(sample.pair))["disparity"].std())
    for case in found.cases:
        assert case.mean_px < 0.02 * max(1.0, spread), case


class Bound(torch.nn.Module):
    """What following a call cannot see: a size as a number, or a branch that it decides."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, left, right):
        from fathom.layers.stereo import StereoOutput

        found = (left - right).mean(dim=1, keepdim=True) * self.weight
        height, width = (int(n) for n in left.shape[-2:])
        if self.kind == "number":
            found = found.reshape(1, 1, height, width)
        if self.kind == "value":
            found = found + height
        if self.kind == "unknown":
            found = torch.special.bessel_j0(found)
        return StereoOutput((found,))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("number", "its graph holds for one size only"),
        ("value", r"is 16 px from torch.*its graph holds for one size only"),
        ("unknown", "bessel.*cannot be written as an ONNX graph"),
    ],
)
def test_a_net_bound_to_a_size_is_refused(kind, words, tmp_path, capfd):
    frame = Frame(builder="none", levels=None, divisor=16)
    subject = Published(Bound(kind), "model", "none", frame, None)
    with pytest.raises(InputError, match=words) as caught:
        export_model(subject, tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.glob("model.*")) == []
    assert "graph(" not in "".join(capfd.readouterr())


def test_sizes_to_follow_and_to_compare_differ():
    for frame in (PSM["psmnet"], RAFT["raft-stereo"], Frame(builder="a", levels=None, divisor=96)):
        (tall, wide), (taller, narrower) = sizes(frame)
        assert len({tall, wide, taller}) == 3 and narrower != wide
        for height, width in sizes(frame):
            assert frame.size(height, width) == (height, width)


def test_weights_that_are_not_finite():
    subject = narrow_nets.subject("gc-net")
    with torch.no_grad():
        subject.net.cost.bias.fill_(float("nan"))
    with pytest.raises(InputError, match=r"cost\.bias: holds values that are not finite"):
        traced_graph(subject, {})


def test_eight_bits_are_for_our_own_nets(tmp_path):
    with pytest.raises(UsageError, match="nobody has tried what 8 bits do to gc-net"):
        export_model(narrow_nets.subject("gc-net"), tmp_path / "model.onnx", int8=True)


def test_every_entry_is_exportable_or_says_why_not():
    for found in entries():
        if not found.converted:
            continue
        try:
            assert exportable(found)
        except UsageError as error:
            assert found.name.startswith(("mc-cnn", "bi3d-", "monodepth2")), found.name
            assert "is no net" not in str(error)
    with pytest.raises(UsageError, match=r"mc-cnn-fast gives matching costs"):
        exportable(entry("mc-cnn-fast"))
    with pytest.raises(UsageError, match="sgm is no net"):
        exportable(entry("sgm"))


@pytest.fixture
def quick(monkeypatch, sample):
    """Exports that compare on a small window, and measure no memory."""
    from fathom import export

    def quickly(net, file, samples, **settings):
        return certify(net, file, samples, **{**settings, "memory": False})

    monkeypatch.setattr(export, "certify", quickly)
    monkeypatch.setattr("fathom.data.samples.motorcycle", lambda: sample)


@pytest.fixture
def weights(tmp_path):
    """RAFT-Stereo's fast variant at random, converted."""
    torch.manual_seed(0)
    net = importlib.import_module("fathom.nets.stereo.raft_stereo").raft_stereo_realtime()
    file = tmp_path / "mine.safetensors"
    about = {"model": "raft-stereo-realtime", "licences": {"weights": "MIT", "data": "dots"}}
    write_weights(file, {k: v.numpy() for k, v in net.state_dict().items()}, about)
    return file


@pytest.mark.slow
def test_the_command_line(weights, tmp_path, quick, capsys):
    from fathom.cli.main import main

    rest = ["--rounds", "1", "--threads", "1", "--iterations", "2", "-o", str(tmp_path / "out")]
    words = ["export", "raft-stereo-realtime", "--weights", str(weights), *rest]
    assert main(words) == 0
    assert "window" in capsys.readouterr().out
    told = json.loads((tmp_path / "out" / "result.json").read_text())
    assert told["options"]["iterations"] == 2
    model = load_model(tmp_path / "out" / "model.onnx")
    assert model.metadata["fathom.iterations"] == "2"
    assert model.metadata["fathom.licence"] == "MIT"
    assert model.metadata["fathom.trained_on"] == "dots"
    # a file of weights says whose they are
    options = workflow.ExportOptions(iterations=3)
    net, name, _ = workflow.net_of_source(str(weights), options)
    assert name == "raft-stereo-realtime" and net.net.config.iterations == 3


def test_wrong_requests_are_one_line(weights, capsys):
    from fathom.cli.main import main

    own = ["--weights", str(weights)]
    for words, code, part in (
        (["raft-stereo-realtime", *own, "--max-disparity", "64"], 2, "has no range"),
        (["gc-net", *own, "--iterations", "3"], 2, "gc-net has no such parameter"),
        (["gc-net", *own], 3, "holds weights of raft-stereo-realtime, not of gc-net"),
        (["gc-net", "--weights", "none.safetensors"], 3, "does not exist"),
        (["mc-cnn-fast", *own], 2, "mc-cnn-fast gives matching costs"),
        (["sgm"], 2, "sgm is no net"),
        (["fathom-s", *own], 2, "fathom-s is no published net"),
        (["psmmet"], 2, "did you mean psmnet"),
        (["psmnet", "--max-disparity", "0"], 2, "max_disparity = 0"),
    ):
        assert main(["export", *words]) == code, words
        shown = capsys.readouterr().err
        assert part in shown and "Traceback" not in shown, shown


def test_a_range_is_rounded_up_as_the_net_needs():
    assert subjects._levels("psmnet", PSM["psmnet"], 50) == 64
    assert subjects._levels("psmnet", PSM["psmnet"], None) == 192
    assert subjects._levels("raft-stereo", RAFT["raft-stereo"], None) is None


def test_memory_of_a_published_net_in_torch(tmp_path, capsys):
    from fathom.export import probe

    torch.manual_seed(0)
    net = importlib.import_module("fathom.nets.stereo.raft_stereo").raft_stereo_realtime()
    file = tmp_path / "w.safetensors"
    write_weights(file, {k: v.numpy() for k, v in net.state_dict().items()}, {})
    made = json.dumps(["raft-stereo-realtime", "raft_stereo", {"iterations": 1}])
    probe.main(["torch", str(file), "32", "64", "1", made])
    found = json.loads(capsys.readouterr().out)
    assert 0 < found["before_mb"] <= found["peak_mb"]
