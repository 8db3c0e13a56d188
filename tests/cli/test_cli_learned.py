"""`fathom depth` and `fathom models` with the shipped models; a stand-in takes the net's place."""

import json

import numpy as np
import pytest
from PIL import Image

from fathom import weights

stand_in = pytest.importorskip("stand_in_models", reason="needs onnx")


@pytest.fixture
def model(tmp_path):
    return stand_in.write_model(tmp_path / "model.onnx")


def test_depth_with_a_file_of_weights(fathom_command, folder, model, tmp_path):
    out = tmp_path / "out"
    words = ("--method", "fathom-s", "--weights", model, "--sure", "0.7")
    outcome = fathom_command(
        "depth", folder / "left.png", folder / "right.png", "-o", out, *words, "--json"
    )
    assert outcome.code == 0, outcome.err
    method = json.loads(outcome.out)["method"]
    assert method["name"] == "fathom-s"
    assert method["sure"] == 0.7
    assert method["weights"] == str(model)
    codes = np.asarray(Image.open(out / "source.png"))
    assert set(np.unique(codes)) == {1, 2}


def test_its_help_lists_its_own_parameters(fathom_command, capsys):
    with pytest.raises(SystemExit):
        fathom_command("depth", "--method", "sgm-refined", "--help")
    text = capsys.readouterr().out
    assert "parameters of sgm-refined" in text
    assert "--sure" in text
    assert "--shrink" in text
    assert "--model" not in text.split("parameters of sgm-refined")[1]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--weights", "none.onnx"), 3, "none.onnx: does not exist"),
        (("--weights", "none.safetensors", "--device", "tpu"), 2, "is no device"),
        (("--weights", "x.onnx", "--device", "cuda"), 2, "runs on the CPU"),
        (("--weights", "x.pth"), 2, "is no file of weights"),
        (("--sure", "7"), 2, "sure = 7.0"),
    ],
)
def test_what_goes_wrong_is_one_line_and_leaves_nothing(
    fathom_command, folder, tmp_path, words, code, text
):
    out = tmp_path / "out"
    outcome = fathom_command(
        *("depth", folder / "left.png", folder / "right.png", "-o", out),
        *("--method", "fathom-s", *words),
    )
    assert outcome.code == code
    assert text in outcome.error
    assert not out.exists()


def test_a_default_that_is_not_ready_is_said_once(
    fathom_command, folder, tmp_path, monkeypatch, recwarn
):
    monkeypatch.setattr(weights, "HOME", tmp_path / "none")
    monkeypatch.setattr("fathom.catalog.DEFAULT", "fathom-s")
    monkeypatch.setattr("warnings.filters", [])
    outcome = fathom_command(
        "depth", folder / "left.png", folder / "right.png", "-o", tmp_path / "out"
    )
    assert outcome.code == 0
    lines = [line for line in outcome.err.splitlines() if "instead of fathom-s" in line]
    assert len(lines) == 1
    assert lines[0].startswith("warning: sgm instead of fathom-s")
    assert json.loads((tmp_path / "out" / "result.json").read_text())["method"]["name"] == "sgm"
    models = fathom_command("models")
    assert "missing: " in models.err
