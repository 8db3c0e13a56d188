"""The catalog: one list, one door, nothing passed on unchecked."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import fathom
from fathom import catalog, weights
from fathom.combine.learned import Learned
from fathom.core import UsageError

PUBLIC = Path(__file__).resolve().parents[1] / "docs" / "public_names.txt"


def test_default_is_an_entry_that_runs_here():
    assert catalog.entry("default").name in [e.name for e in fathom.entries(ready=True)]


@pytest.fixture
def shipping(tmp_path, monkeypatch):
    """An installation that ships `fathom-s` (empty files will do) and whose default it is."""
    for name in weights.NAMES:
        (tmp_path / name).mkdir()
        for file in (weights.MODEL, weights.WEIGHTS, weights.CARD):
            (tmp_path / name / file).touch()
    monkeypatch.setattr(weights, "HOME", tmp_path)
    monkeypatch.setattr(catalog, "DEFAULT", "fathom-s")
    return tmp_path


def absent(*names):
    return lambda name: None if name in names else object()


@pytest.mark.parametrize("missing", [(), ("openvino",), ("onnxruntime",)])
def test_one_runtime_is_enough_for_the_learned_default(shipping, monkeypatch, missing):
    monkeypatch.setattr(importlib.util, "find_spec", absent(*missing))
    assert catalog.entry("fathom-s").state == "ready"
    assert catalog.entry("default").name == "fathom-s"
    assert catalog.default_note() is None
    assert isinstance(fathom.create("default"), Learned)


def test_without_a_runtime_sgm_steps_in_and_says_what_to_install(shipping, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", absent("openvino", "onnxruntime"))
    assert catalog.entry("fathom-s").state == "install"
    assert "fathom-s" not in [e.name for e in fathom.entries(ready=True)]
    assert catalog.entry("default").name == "sgm"
    with pytest.warns(UserWarning, match="sgm instead of fathom-s.*pip install openvino") as seen:
        fathom.create()
    assert len(seen) == 1
    assert "\n" not in str(seen[0].message)
    fathom.create("sgm")  # who names the method is told nothing


def test_without_its_weights_sgm_steps_in(shipping):
    (shipping / "fathom-s" / weights.MODEL).unlink()
    assert catalog.entry("fathom-s").state == "missing"
    with pytest.warns(UserWarning, match="weights are not in this installation"):
        assert type(fathom.create()).__name__ == "SGM"


def test_what_makes_an_entry_what_it_is_cannot_be_changed():
    assert fathom.create("sgm-refined").model == "sgm-refined"
    assert "model" not in catalog.parameters("fathom-s")
    with pytest.raises(UsageError, match="unknown parameter of fathom-s"):
        fathom.create("fathom-s", model="sgm-refined")


@pytest.mark.parametrize("name", [e.name for e in catalog.entries()])
def test_preparing_twice_has_nothing_to_say(name):
    catalog.entry(name).prepare(lambda *progress: None)
    catalog.entry(name).prepare(lambda *progress: pytest.fail(str(progress)))


def test_unknown_method_gets_close_matches():
    with pytest.raises(UsageError, match="did you mean sgm"):
        fathom.create("smg")


def test_unknown_parameter_gets_close_matches():
    with pytest.raises(UsageError, match="did you mean uniqueness_ratio"):
        fathom.create("opencv-sgbm", uniquness_ratio=5)


@pytest.mark.parametrize("own", [{"fill_": True}, {"pair": 1}])
def test_nothing_is_passed_on_unchecked(own):
    with pytest.raises(UsageError):
        fathom.create("sgm", **own)


def test_device_and_weights_are_refused_where_there_are_none():
    with pytest.raises(UsageError, match="CPU only"):
        fathom.create("sgm", device="cuda")
    with pytest.raises(UsageError, match="has no weights"):
        fathom.create("sgm", weights="x.safetensors")


def test_parameters_and_settings_name_every_value():
    own = catalog.parameters("opencv-sgbm")
    assert "mode" in own
    assert "max_disparity" not in own
    found = catalog.settings(fathom.create("opencv-sgbm", mode="hh", max_disparity=64))
    assert found["matcher"]["mode"] == "hh"
    assert found["matcher"]["max_disparity"] == 64


def test_every_entry_says_what_it_is():
    for entry in fathom.entries():
        assert entry.summary
        assert entry.licence
        assert entry.state in ("ready", "install", "missing", "download", "convert", "train")
        for field in catalog.parameters(entry.name).values():
            assert field.metadata.get("help"), f"{entry.name}.{field.name} has no help"


def test_public_names_are_those_of_the_checked_in_list():
    listed = PUBLIC.read_text().split()
    assert sorted(fathom.__all__) == sorted(listed)
    for name in listed:
        assert getattr(fathom, name) is not None
    assert dir(fathom) == sorted(fathom.__all__)


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fathom.nothing  # noqa: B018


def test_importing_and_listing_is_light():
    heavy = ["torch", "numba", "cv2", "skimage", "scipy", "jaxtyping", "PIL", "rich", "openvino"]
    code = (
        "import sys, fathom; fathom.entries(); fathom.StereoPair; fathom.create;"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_nets_of_others_are_not_among_fathom_s_own(monkeypatch):
    monkeypatch.setattr("fathom.catalog.record._kept", lambda weights: "ready")
    ready, own = ([e.name for e in fathom.entries(ready=True, own=o)] for o in (False, True))
    assert "psmnet" in ready and "psmnet" not in own and "sgm" in own
