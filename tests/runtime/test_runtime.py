"""Exported models without torch: known answers, backends, threads, files that are none."""

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from stand_in_models import NOTES, write_model

from fathom.core.errors import InputError, MissingExtraError, ResourceError, UsageError
from fathom.runtime import BACKENDS, fastest, load_model
from fathom.runtime import model as runtime_model
from fathom.runtime.header import read_header, read_xml_header
from fathom.runtime.model import has_backend
from fathom.runtime.source import read_source, refused

INSTALLED = [name for name in BACKENDS if has_backend(name)]


def inputs(height=64, width=96, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"left": 3, "right": 3, "evidence": 6}
    return {n: rng.random((1, c, height, width), dtype=np.float32) * 100 for n, c in shapes.items()}


@pytest.fixture
def file(tmp_path):
    return write_model(tmp_path / "model.onnx", channel=0, add=2.5)


@pytest.mark.parametrize("backend", INSTALLED)
@pytest.mark.parametrize("size", [(32, 32), (64, 96), (96, 33)])
def test_any_size_gives_what_the_graph_says(file, backend, size):
    model = load_model(file, backend=backend, threads=1)
    given = inputs(*size)
    found = model(given)
    assert list(found) == ["disparity", "confidence"]
    np.testing.assert_allclose(found["disparity"], given["evidence"][:, :1] + 2.5, rtol=1e-6)
    np.testing.assert_array_equal(found["confidence"], given["evidence"][:, 1:2])
    assert found["disparity"].dtype == np.float32
    assert model.backend == backend
    assert model.metadata == NOTES
    assert model.inputs["left"] == (1, 3, None, None)
    assert model.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_auto_takes_the_first_that_is_there(file, monkeypatch):
    assert load_model(file).backend == INSTALLED[0]
    if len(INSTALLED) < 2:
        pytest.skip("one backend only is installed")
    import fathom.runtime.with_openvino as with_openvino

    def absent():
        raise ImportError("No module named 'openvino'")

    monkeypatch.setattr(with_openvino, "openvino", absent)
    assert load_model(file).backend == "onnxruntime"


def test_without_a_backend_both_are_named(file, monkeypatch):
    import fathom.runtime.with_onnxruntime as with_onnxruntime
    import fathom.runtime.with_openvino as with_openvino

    def absent():
        raise ImportError("none")

    monkeypatch.setattr(with_openvino, "openvino", absent)
    monkeypatch.setattr(with_onnxruntime, "onnxruntime", absent)
    with pytest.raises(
        MissingExtraError, match=r"openvino, or onnxruntime.*fathom-depth\[openvino"
    ):
        load_model(file)
    with pytest.raises(MissingExtraError, match=r"onnxruntime is not.*fathom-depth\[onnxruntime"):
        load_model(file, backend="onnxruntime")


@pytest.mark.parametrize("backend", INSTALLED)
def test_threads_share_a_model_and_get_the_same_bits(file, backend):
    model = load_model(file, backend=backend, threads=2)
    many = [inputs(32, 64, 1), inputs(64, 32, 2), inputs(32, 64, 3)] * 4
    alone = [model(given)["disparity"] for given in many]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda given: model(given)["disparity"], many))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)


def test_results_are_no_views_of_the_runtime_s_memory(file):
    model = load_model(file, threads=1)
    first = model(inputs(seed=1))["disparity"]
    kept = first.copy()
    model(inputs(seed=2))
    np.testing.assert_array_equal(first, kept)


def test_wrong_inputs_are_named(file):
    model = load_model(file, threads=1)
    good = inputs()
    with pytest.raises(UsageError, match=r"input left: is missing"):
        model({k: v for k, v in good.items() if k != "left"})
    with pytest.raises(UsageError, match=r"unknown input of the model 'rigth'.*right"):
        model({**good, "rigth": good["right"]})
    for bad in (good["left"].astype(np.float64), good["left"][:, :2], good["left"][0]):
        with pytest.raises(InputError, match=r"input left = .float.*expected float32 \(1, 3, None"):
            model({**good, "left": bad})


def test_wrong_requests_are_named(file, unchecked):
    with pytest.raises(UsageError, match=r"unknown backend 'openvin'.*openvino"):
        load_model(file, backend="openvin")
    with pytest.raises(UsageError, match=r"unknown precision 'fp3'.*fp32"):
        load_model(file, precision="fp3")
    with pytest.raises(UsageError, match=r"threads = 0"):
        load_model(file, threads=0)
    if "onnxruntime" in INSTALLED:
        with pytest.raises(UsageError, match=r"precision = 'bf16'.*fp32"):
            load_model(file, backend="onnxruntime", precision="bf16")


def test_bf16_is_refused_where_the_processor_has_none(file, monkeypatch):
    with_openvino = pytest.importorskip("fathom.runtime.with_openvino")
    if "openvino" not in INSTALLED:
        pytest.skip("needs openvino")

    class Core:
        def get_property(self, device, name):
            return ["FP32"]

    monkeypatch.setattr(with_openvino, "_core", Core)
    with pytest.raises(ResourceError, match=r"precision = 'bf16'.*fp32"):
        load_model(file, backend="openvino", precision="bf16")
    assert load_model(file, backend="openvino").precision == "fp32"


def test_files_that_are_no_model(tmp_path, file):
    data = file.read_bytes()
    with pytest.raises(InputError, match=r"none\.onnx: does not exist"):
        load_model(tmp_path / "none.onnx")
    cases = {
        "empty": b"",
        "short": data[: len(data) // 2],
        "cut": data[:-3],
        "text": b"this is no model, but a text of some length",
        "image": b"\x89PNG\r\n\x1a\n" + bytes(200),
    }
    for name, content in cases.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        with pytest.raises(InputError) as error:
            load_model(path)
        assert "\n" not in str(error.value)
        assert f"{name}.onnx" in str(error.value)


@pytest.mark.parametrize("backend", INSTALLED)
def test_a_graph_of_unknown_operations_is_named(tmp_path, backend):
    import onnx

    model = onnx.load(str(write_model(tmp_path / "a.onnx")))
    model.graph.node[0].op_type = "NoSuchOperation"
    onnx.save(model, str(tmp_path / "b.onnx"))
    with pytest.raises(InputError, match=r"b\.onnx: .* cannot run this model") as error:
        load_model(tmp_path / "b.onnx", backend=backend)(inputs())
    assert "\n" not in str(error.value)


def test_memory_that_does_not_suffice_is_a_resource(file):
    source = read_source(file)
    assert isinstance(refused(source, "x", RuntimeError("std::bad_alloc")), ResourceError)
    assert isinstance(refused(source, "x", MemoryError()), ResourceError)
    assert isinstance(refused(source, "x", RuntimeError("other\nline")), InputError)


def test_another_digest_is_named(file):
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert load_model(file, sha256=digest.upper()).sha256 == digest
    with pytest.raises(InputError, match=r"model\.onnx: sha256 = .*damaged or exchanged"):
        load_model(file, sha256="0" * 64)


def test_the_header_is_what_onnx_reads(file):
    import onnx

    data = file.read_bytes()
    header, model = read_header(data), onnx.load_from_string(data)
    assert list(header.inputs) == [i.name for i in model.graph.input]
    assert list(header.outputs) == [o.name for o in model.graph.output]
    assert header.notes == {p.key: p.value for p in model.metadata_props}
    for at in range(0, len(data) - 1, 7):  # wherever it is cut, nothing but ValueError comes
        try:
            read_header(data[:at])
        except ValueError:
            continue
    for broken in (b"\xff" * 11, b"\x0b\x01", b"\x3a\xff\xff\xff\x7f\x00", b"\x08"):
        with pytest.raises(ValueError, match=r"truncated|unknown kind"):
            read_header(broken)


openvino_only = pytest.mark.skipif("openvino" not in INSTALLED, reason="needs openvino")


@openvino_only
def test_compiled_models_are_kept_and_damage_does_not_matter(file, cache):
    given = inputs()
    first = load_model(file, backend="openvino", threads=1)(given)
    (kept,) = cache.glob("*.model")
    again = load_model(file, backend="openvino", threads=1)(given)
    for damaged in (b"", b"nonsense", kept.read_bytes()[:-20], kept.read_bytes().swapcase()):
        kept.write_bytes(damaged)
        after = load_model(file, backend="openvino", threads=1)(given)
        for found in (again, after):
            for name in first:
                np.testing.assert_array_equal(found[name], first[name])


@openvino_only
def test_without_a_cache_folder_models_run(file, monkeypatch, tmp_path):
    import fathom.runtime.with_openvino as with_openvino

    monkeypatch.setattr(with_openvino, "cache_bases", lambda: [tmp_path / "model.onnx"])
    given = inputs()
    found = load_model(file, backend="openvino", threads=1)(given)
    np.testing.assert_allclose(found["disparity"], given["evidence"][:, :1] + 2.5, rtol=1e-6)


@openvino_only
def test_few_files_and_sizes_are_kept(file, cache, monkeypatch):
    import fathom.runtime.with_openvino as with_openvino

    monkeypatch.setattr(with_openvino, "_KEPT_FILES", 2)
    monkeypatch.setattr(with_openvino, "_KEPT_PIXELS", 32 * 96)
    model = load_model(file, backend="openvino", threads=1)
    for width in (32, 64, 96):
        model.prepare(32, width)
    assert len(list(cache.glob("*.model"))) == 2
    assert [sizes[0][1] for sizes in model._runner._plans] == [(1, 3, 32, 96)]
    model.prepare(64, 64)  # larger than all that may stay: it stays alone
    assert [sizes[0][1] for sizes in model._runner._plans] == [(1, 3, 64, 64)]


@openvino_only
def test_openvino_is_loaded_without_its_reports_and_its_converter_stays_usable(file):
    code = (
        "import sys; from fathom.runtime import load_model\n"
        f"load_model({str(file)!r}, backend='openvino')\n"
        "assert 'openvino_telemetry' not in sys.modules\n"
        "assert 'torch' not in sys.modules and 'onnx' not in sys.modules\n"
        "assert sys.modules.get('openvino.tools.ovc', 0) == 0\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == ""


@openvino_only
def test_openvino_s_own_format(tmp_path, file):
    from fathom.runtime.with_openvino import openvino

    graph = openvino().Core().read_model(str(file))
    for key, value in NOTES.items():
        graph.set_rt_info(value, key.split("."))
    openvino().save_model(graph, tmp_path / "own.xml", compress_to_fp16=False)
    model = load_model(tmp_path / "own.xml", threads=1)
    given = inputs()
    np.testing.assert_allclose(model(given)["disparity"], given["evidence"][:, :1] + 2.5, rtol=1e-6)
    assert model.metadata == NOTES
    assert model.inputs["left"] == (1, 3, None, None)
    if "onnxruntime" in INSTALLED:
        with pytest.raises(InputError, match=r"own\.xml: .*--format onnx"):
            load_model(tmp_path / "own.xml", backend="onnxruntime")
    (tmp_path / "own.xml").write_text("<no model>")
    with pytest.raises(InputError, match=r"own\.xml: openvino cannot run"):
        load_model(tmp_path / "own.xml")
    (tmp_path / "own.bin").unlink()
    with pytest.raises(InputError, match=r"own\.bin: does not exist"):
        load_model(tmp_path / "own.xml")


def test_processors_that_this_process_may_use(monkeypatch):
    assert runtime_model.available_threads() >= 1
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    assert runtime_model.available_threads() >= 1


@openvino_only
def test_what_is_read_without_openvino_is_what_it_reads(tmp_path, file, monkeypatch):
    from fathom.runtime import with_openvino

    graph = with_openvino.openvino().Core().read_model(str(file))
    for key, value in {**NOTES, "fathom.licence": 'a <b> & "c"'}.items():
        graph.set_rt_info(value, key.split("."))
    own = tmp_path / "own.xml"
    with_openvino.openvino().save_model(graph, own, compress_to_fp16=False)
    quick = load_model(own)
    monkeypatch.setattr("fathom.runtime.source.read_xml_header", lambda _: None)
    whole = load_model(own)
    for part in ("inputs", "outputs", "metadata"):
        assert getattr(quick, part) == getattr(whole, part)
    assert list(quick.outputs) == list(whole.outputs) and quick.metadata["fathom.licence"][2] == "<"
    text = own.read_bytes()
    assert read_xml_header(text[:-30]) is None  # truncated
    assert read_xml_header(text.replace(b"output_names", b"names")) is None  # another version


@openvino_only
@pytest.mark.parametrize(
    ("kinds", "best"),
    [(["FP32", "INT8"], "int8"), (["FP32", "INT8", "BF16"], "bf16"), (["FP32"], "fp32")],
)
def test_what_is_fastest_is_the_processor_s(monkeypatch, kinds, best):
    from fathom.runtime.with_openvino import OpenVinoRunner

    monkeypatch.setattr(OpenVinoRunner, "has", lambda kind: kind in kinds)
    assert fastest() == best


def test_onnx_runtime_takes_floating_point(monkeypatch):
    monkeypatch.setattr(runtime_model, "_runner", lambda _: SimpleNamespace(name="onnxruntime"))
    assert fastest() == "fp32"
