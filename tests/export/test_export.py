"""A tiny net, traced once: its files against torch, their certificate, the command line."""

import importlib.util
import json
import math

import numpy as np
import pytest
import torch

from fathom.core import Disparity, InputError, MissingExtraError, StereoPair, StereoSample, View
from fathom.core.errors import ResourceError, UsageError
from fathom.export import certify, export_model, probe, write
from fathom.export.graph import Exported, folded, notes_of, onnx_graph
from fathom.export.inputs import inputs_of, scene_inputs
from fathom.io.atomic import write_bytes
from fathom.nets import shipped
from fathom.nets.shipped import net_of, net_of_weights
from fathom.nets.stereo.evidence import EvidenceConfig, EvidenceNet, sgm_refined
from fathom.runtime import load_model
from fathom.workflows import export as workflow

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("openvino")
torch.set_num_threads(1)
TINY = EvidenceConfig(levels=8, features=4, widths=(8, 8), detail=4)


def tiny(config=TINY, seed=0) -> EvidenceNet:
    """A net whose batch normalisations are not the identity."""
    torch.manual_seed(seed)
    net = EvidenceNet(config)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if name.endswith(("running_mean", "norm.bias")):
                value.normal_(0, 0.1)
            if name.endswith("running_var"):
                value.uniform_(0.5, 2)
    return net.eval()


@pytest.fixture(scope="module")
def net():
    return tiny()


@pytest.fixture(scope="module")
def graph(net):
    import jaxtyping

    # types of shapes cannot be checked while sizes are symbols
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        return onnx_graph(net, notes_of(net, "tiny", {"licence": "Apache-2.0"}))
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True)
def traced_before(graph, monkeypatch, tmp_path):
    monkeypatch.setattr(write, "onnx_graph", lambda net, notes: graph)
    monkeypatch.setenv("FATHOM_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def sample(motorcycle):
    """A window of Motorcycle, and a size that no divisor divides."""
    from fathom.geometry.resize import crop_pair

    truth = np.ascontiguousarray(motorcycle.truth.values[150:221, 250:351])
    pair = crop_pair(motorcycle.pair, 250, 150, 101, 71)
    return StereoSample(pair, Disparity(truth), name="window")


def random_inputs(net, height, width):
    rng = np.random.default_rng(height + width)
    found = {"left": 3, "right": 3, "evidence": 6}
    made = {n: rng.random((1, c, height, width), dtype=np.float32) for n, c in found.items()}
    made["left"] *= 255
    made["right"] *= 255
    made["evidence"][:, [0, 4]] *= net.config.max_disparity
    return made


def wanted(net, inputs):
    with torch.inference_mode():
        found = net(*(torch.from_numpy(inputs[n]) for n in ("left", "right", "evidence")))
    return found.disparities[0].numpy(), torch.sigmoid(found.confidence).numpy()


@pytest.mark.parametrize(("format", "ending"), [("onnx", ".onnx"), ("openvino", ".xml")])
def test_a_file_answers_as_torch_does_at_any_size(net, tmp_path, format, ending):
    file = export_model(net, tmp_path / f"model{ending}", format, model="tiny")
    backends = ["openvino"]
    if format == "onnx" and importlib.util.find_spec("onnxruntime"):
        backends.append("onnxruntime")
    for backend in backends:
        model = load_model(file, backend=backend, threads=1)
        assert model.metadata["fathom.divisor"] == "8"
        assert model.metadata["fathom.max_disparity"] == "32"
        assert model.inputs["evidence"] == (1, 6, None, None)
        for size in ((8, 8), (16, 40), (40, 16)):
            inputs = random_inputs(net, *size)
            found = model(inputs)
            disparity, confidence = wanted(net, inputs)
            # where two levels tie, rounding picks the peak
            apart = np.abs(found["disparity"] - disparity)
            assert np.quantile(apart, 0.99) < 1e-3, (backend, size)
            assert np.abs(found["confidence"] - confidence).mean() < 1e-3


def test_nothing_of_this_machine_is_in_the_file(net, graph):
    data = graph.SerializeToString()
    for word in (b"/src/", b"site-packages", b".py", b"stack_trace"):
        assert word not in data


def test_folding_changes_nothing_but_the_operations(net):
    copied = folded(net)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in copied.modules())
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules())
    inputs = random_inputs(net, 16, 24)
    for a, b in zip(wanted(net, inputs), wanted(copied, inputs), strict=True):
        assert np.quantile(np.abs(a - b), 0.99) < 1e-3


def test_a_net_without_matching_takes_no_right_view():
    other = tiny(EvidenceConfig(matching=False, levels=8, features=4, widths=(8, 8), detail=4))
    exported = Exported(other)
    assert exported.inputs == ("left", "evidence")
    inputs = random_inputs(other, 16, 24)
    with torch.inference_mode():
        found = exported(*(torch.from_numpy(inputs[name]) for name in exported.inputs))
    np.testing.assert_array_equal(found[0].numpy(), wanted(other, inputs)[0])


def test_calibration_is_on_scenes(net):
    pytest.importorskip("scipy")
    (made,) = scene_inputs(net, 1, ("left", "evidence"))
    assert {name: value.shape for name, value in made.items()} == {
        "left": (1, 3, 256, 512),
        "evidence": (1, 6, 256, 512),
    }


def test_eight_bits(net, tmp_path, monkeypatch):
    pytest.importorskip("nncf")
    from fathom.export import quantise

    few = [random_inputs(net, 32, 64) for _ in range(2)]
    monkeypatch.setattr(quantise, "scene_inputs", lambda net, count, names: few)
    file = export_model(net, tmp_path / "small.xml", "openvino", int8=True, scenes=2)
    text = file.read_text()
    assert "FakeQuantize" in text
    assert 'element_type="i8"' in text
    inputs = random_inputs(net, 32, 64)
    found = load_model(file, threads=1)(inputs)["disparity"]
    assert np.median(np.abs(found - wanted(net, inputs)[0])) < 1


def test_wrong_requests(net, tmp_path, unchecked):
    with pytest.raises(UsageError, match=r"unknown format 'onx'.*onnx"):
        export_model(net, tmp_path / "a.onnx", "onx")
    with pytest.raises(UsageError, match=r"expected a name that ends in \.onnx"):
        export_model(net, tmp_path / "a.xml", "onnx")
    broken = tiny()
    with torch.no_grad():
        broken.trust.fill_(math.nan)
    with pytest.raises(InputError, match=r"trust: .*not finite"):
        onnx_graph(broken, {})
    with pytest.raises(InputError, match="OpenVINO cannot convert"):
        write.converted(b"nonsense")


@pytest.mark.parametrize("module", ["onnx", "onnxscript"])
def test_missing_packages_are_named(net, monkeypatch, module):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"{module} is not .*fathom-depth\[export"):
        onnx_graph(net, {})


def test_missing_nncf_and_openvino_are_named(net, graph, monkeypatch):
    from fathom.export.quantise import quantised

    monkeypatch.setitem(__import__("sys").modules, "nncf", None)
    with pytest.raises(MissingExtraError, match=r"nncf is not .*fathom-depth\[export"):
        quantised(graph, net, "onnx", 1, lambda _: None)

    def absent():
        raise ImportError

    monkeypatch.setattr(write, "openvino", absent)
    with pytest.raises(MissingExtraError, match=r"openvino is not .*fathom-depth\[openvino"):
        write.converted(b"")


def test_the_certificate_has_what_was_measured(net, tmp_path, sample):
    file = export_model(net, tmp_path / "model.onnx", model="tiny")
    found = certify(net, file, [sample], threads=1, rounds=1, memory=False)
    assert {case.backend for case in found.cases} <= {"openvino", "onnxruntime"}
    disparity = wanted(net, inputs_of(sample.pair, net, 1))[0][0, 0, :71, :101]
    truth = sample.truth.values
    known = np.isfinite(truth)
    for case in found.cases:
        assert case.pair == "window"
        assert case.size == "101x71"
        assert 0 <= case.mean_px <= case.largest_px
        assert case.mean_px < 0.01
        # the twin: the mean error by hand
        assert case.epe_torch == pytest.approx(np.abs(disparity - truth)[known].mean(), abs=1e-3)
        assert case.epe_change == pytest.approx(case.epe_file - case.epe_torch)
    assert found.speed[0].backend == "torch"
    assert all(s.latency_ms > 0 for s in found.speed)
    assert found.bytes == file.stat().st_size
    assert found.versions["torch"] == torch.__version__.split("+")[0] or found.versions["torch"]
    json.dumps(found.as_dict(), allow_nan=False)
    with pytest.raises(InputError, match="no pair"):
        certify(net, file, [])


def test_a_sample_without_truth_has_no_epe(net, tmp_path, sample):
    file = export_model(net, tmp_path / "model.onnx", model="tiny")
    bare = StereoSample(sample.pair)
    found = certify(net, file, [bare], threads=1, rounds=1, memory=False)
    assert found.cases[0].epe_torch is None
    assert found.cases[0].epe_change is None


def test_inputs_are_padded_by_the_border(net):
    image = np.random.default_rng(0).integers(0, 255, (37, 61, 3), np.uint8)
    found = inputs_of(StereoPair(View(image), View(image)), net, 1)
    assert found["left"].shape == (1, 3, 40, 64)
    assert found["evidence"].shape == (1, 6, 40, 64)
    np.testing.assert_array_equal(found["left"][0, :, :37, :61], image.transpose(2, 0, 1))
    np.testing.assert_array_equal(found["left"][0, :, 39, :61], image[36].T)


def test_memory_is_of_a_process_of_its_own(net, tmp_path, capsys):
    file = export_model(net, tmp_path / "model.onnx", model="tiny")
    probe.main(["openvino", str(file), "32", "64", "1"])
    found = json.loads(capsys.readouterr().out)
    assert 0 < found["before_mb"] <= found["peak_mb"]
    with pytest.raises(ResourceError, match=r"none\.onnx: .*its memory was measured"):
        probe.memory_mb("openvino", tmp_path / "none.onnx", 32, 32, 1)


def weights_of(net, path):
    from safetensors.torch import save

    write_bytes(path, save({k: v.contiguous() for k, v in net.state_dict().items()}))
    return path


def test_nets_are_told_by_their_weights(net, tmp_path, monkeypatch):
    found = net_of_weights(net.state_dict(), "w")
    assert found.config == TINY
    assert not found.training
    other = EvidenceNet(EvidenceConfig(matching=False, levels=4, features=6, widths=(5, 6, 7)))
    assert net_of_weights(other.state_dict(), "w").config == other.config
    with pytest.raises(InputError, match=r"w: enter\.0\.weight: .*no net that fathom knows"):
        net_of_weights({"conv.weight": torch.zeros(1)}, "w")
    state = {k: v for k, v in net.state_dict().items() if k != "trust"}
    with pytest.raises(InputError, match=r"w: trust: is missing"):
        net_of_weights(state, "w")
    with pytest.raises(UsageError, match=r"unknown learned model 'fathom'.*fathom-s"):
        net_of("fathom")
    with pytest.raises(InputError, match="weights of another net"):
        net_of("sgm-refined", weights_of(net, tmp_path / "w.safetensors"))
    monkeypatch.setitem(shipped.BUILDERS, "sgm-refined", lambda: EvidenceNet(TINY))
    assert net_of("sgm-refined", tmp_path / "w.safetensors").config == TINY
    assert sgm_refined().config.matching is False


@pytest.fixture
def quick(monkeypatch, sample):
    """Exports that compare on a small window, and measure no memory."""
    from fathom import export

    def quickly(net, file, samples, **settings):
        return certify(net, file, samples, **{**settings, "memory": False})

    monkeypatch.setattr(export, "certify", quickly)
    monkeypatch.setattr("fathom.data.samples.motorcycle", lambda: sample)


def test_a_folder_appears_whole(net, tmp_path, quick, monkeypatch):
    weights = weights_of(net, tmp_path / "mine.safetensors")
    options = workflow.ExportOptions(rounds=1, threads=1)
    folder = tmp_path / "out"
    said = []
    found = workflow.export_file(str(weights), folder, options, said.append)
    assert sorted(p.name for p in folder.iterdir()) == [
        "certificate.json",
        "model.onnx",
        "result.json",
    ]
    certificate = json.loads((folder / "certificate.json").read_text())
    assert certificate["sha256"] == found.sha256 == load_model(folder / "model.onnx").sha256
    assert certificate["cases"][0]["pair"] == "window"
    assert any("comparing" in line for line in said)

    def full(*given, **settings):
        raise ResourceError("cannot be written: no space left on device", file=folder)

    before = (folder / "certificate.json").read_bytes()
    monkeypatch.setattr(workflow, "write_json", full)
    with pytest.raises(ResourceError, match="no space left"):
        workflow.export_file(str(weights), folder, options, said.append)
    assert (folder / "certificate.json").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_bad_sources_are_one_line(net, tmp_path, monkeypatch):
    options = workflow.ExportOptions()
    weights = weights_of(net, tmp_path / "mine.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(weights.read_bytes()[:-50])
    wrong = tmp_path / "wrong.safetensors"
    weights_of(torch.nn.Linear(2, 2), wrong)
    out = tmp_path / "out"
    for source, kind, words in (
        (tmp_path / "none.safetensors", InputError, "does not exist"),
        (cut, InputError, "truncated"),
        (wrong, InputError, "no net that fathom knows"),
        ("fathom-x", UsageError, "did you mean fathom-s"),
    ):
        with pytest.raises(kind, match=words):
            workflow.export_file(str(source), out, options, lambda _: None)
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ResourceError, match=r"file stands where a folder is needed|not a folder|is a"
    ):
        workflow.export_file(str(weights), tmp_path / "file", options, lambda _: None)
    with pytest.raises(UsageError, match="limit = 0"):
        workflow.ExportOptions(limit=0)
    assert not out.exists()


def test_pairs_of_people_s_own(tmp_path, shared):
    options = workflow.ExportOptions(pairs=shared / "data" / "pairs_gt" / "kitti_lidar", limit=1)
    found = workflow.certified_pairs(options)
    assert len(found) == 2
    assert found[1].pair.size == (1242, 375)
    with pytest.raises(InputError, match="does not exist"):
        workflow.certified_pairs(workflow.ExportOptions(pairs=tmp_path / "none"))


def test_a_data_set_of_single_views_is_refused(tmp_path, monkeypatch):
    class Mono:
        format = "nyu"

        def __len__(self):
            return 1

        def __getitem__(self, index):
            return object()

    monkeypatch.setattr("fathom.data.registry.open_dataset", lambda name, root: Mono())
    with pytest.raises(InputError, match="no data set of stereo pairs"):
        workflow.certified_pairs(workflow.ExportOptions(pairs=tmp_path))


def test_the_command_line(net, tmp_path, quick, capsys):
    from fathom.cli.main import main

    weights = str(weights_of(net, tmp_path / "mine.safetensors"))
    words = ["export", weights, "-o", str(tmp_path / "out"), "--rounds", "1", "--threads", "1"]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "window" in shown.out
    assert "against torch" in shown.out
    assert "wrote" in shown.out
    assert "tracing" in shown.err
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == str(tmp_path / "out")
    assert found["speed"][0]["backend"] == "torch"
    assert main(["export", "fathom-x"]) == 2
    assert "did you mean fathom-s" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "none.safetensors")]) == 3
