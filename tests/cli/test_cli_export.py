"""`fathom export` where torch is not installed; what needs torch is in tests/export."""

import importlib.util
import json

import pytest


@pytest.fixture
def without(monkeypatch):
    """Hides a package from those who look for it."""
    real = importlib.util.find_spec

    def hide(name):
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda n: None if n == name else real(n) or object()
        )

    return hide


@pytest.mark.parametrize(
    ("package", "extra"), [("torch", "torch"), ("onnxscript", "export"), ("nncf", "export")]
)
def test_what_is_not_installed_is_named(fathom_command, without, tmp_path, package, extra):
    without(package)
    words = ["export", "fathom-s", "--int8", "-o", tmp_path / "out"]
    outcome = fathom_command(*words)
    assert outcome.code == 2
    assert f"{package} is not installed" in outcome.error
    assert f"fathom-depth[{extra}]" in outcome.error
    assert json.loads(fathom_command(*words, "--json").out)["error"]["exit_code"] == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--format", "tflite"], "invalid choice"),
        (["--rounds", "0"], "rounds = 0"),
        (["--threads", "-1"], "threads = -1"),
        (["--int4"], "did you mean --int8"),
    ],
)
def test_wrong_flags(fathom_command, words, part):
    outcome = fathom_command("export", "fathom-s", *words)
    assert outcome.code == 2
    assert part in outcome.error
