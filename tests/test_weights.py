"""The record of shipped models: what is not what it says is refused in one line."""

import json

import pytest

from fathom import weights
from fathom.core import InputError, UsageError

PRESENT = [name for name in weights.NAMES if weights.is_shipped(name)]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder of one shipped model, whose files are a few bytes."""
    folder = tmp_path / "fathom-s"
    folder.mkdir()
    (folder / weights.MODEL).write_bytes(b"model")
    (folder / weights.WEIGHTS).write_bytes(b"weights")
    card = weights.make_card(
        folder, "fathom-s", "Apache-2.0", divisor=32, max_disparity=192, hours=2.5
    )
    (folder / weights.CARD).write_text(json.dumps(card))
    monkeypatch.setattr(weights, "HOME", tmp_path)
    return folder


def one_line(caught):
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_card_made_is_a_card_read(home):
    record = weights.shipped("fathom-s")
    assert (record.divisor, record.max_disparity, record.licence) == (32, 192, "Apache-2.0")
    assert record.card["hours"] == 2.5
    assert record.file(weights.MODEL).read_bytes() == b"model"
    # printf model | sha256sum
    digest = "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"
    assert record.sha256[weights.MODEL] == digest


def test_the_file_of_eight_bits_is_two_files_and_one_record(home):
    (home / weights.MODEL_INT8).write_bytes(b"mod")
    (home / weights.MODEL_INT8).with_suffix(".bin").write_bytes(b"el")
    card = weights.make_card(home, "fathom-s", "Apache-2.0", divisor=32, max_disparity=192)
    (home / weights.CARD).write_text(json.dumps(card))
    record = weights.shipped("fathom-s")
    assert record.sha256[weights.MODEL_INT8] == record.sha256[weights.MODEL]  # of "model"
    assert record.file(weights.MODEL_INT8).is_file()
    (home / weights.MODEL_INT8).with_suffix(".bin").write_bytes(b"le")
    with pytest.raises(InputError, match=r"model-int8\.xml: sha256"):
        record.file(weights.MODEL_INT8)


def test_a_model_is_shipped_if_all_its_files_are_there(home):
    assert weights.is_shipped("fathom-s")
    assert not weights.is_shipped("sgm-refined")
    assert not weights.is_shipped("..")
    (home / weights.WEIGHTS).unlink()
    assert not weights.is_shipped("fathom-s")
    with pytest.raises(InputError, match="not in this installation") as caught:
        weights.shipped("fathom-s")
    assert "--weights FILE" in one_line(caught)


def test_unknown_names_get_close_matches():
    with pytest.raises(UsageError, match="did you mean fathom-s"):
        weights.shipped("fathom-l")


@pytest.mark.parametrize("change", [b"mode", b"modem", b"model and more"])
def test_a_file_of_another_hash_is_refused(home, change):
    (home / weights.MODEL).write_bytes(change)
    record = weights.shipped("fathom-s")
    with pytest.raises(InputError, match=r"model\.onnx: sha256 = .*truncated") as caught:
        record.file(weights.MODEL)
    assert "install fathom again" in one_line(caught)


def test_an_empty_or_missing_file_is_named(home):
    record = weights.shipped("fathom-s")
    (home / weights.WEIGHTS).write_bytes(b"")
    with pytest.raises(InputError, match=r"weights\.safetensors: is empty"):
        record.file(weights.WEIGHTS)
    (home / weights.WEIGHTS).unlink()
    with pytest.raises(InputError, match="does not exist"):
        record.file(weights.WEIGHTS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"name": "x", "licence": "y", "sha256": {}}',
        '{"name": 1, "sha256": 3}',
    ],
)
def test_a_damaged_card_is_named(home, text):
    (home / weights.CARD).write_text(text)
    with pytest.raises(InputError, match=r"card\.json") as caught:
        weights.shipped("fathom-s")
    one_line(caught)


@pytest.mark.skipif(not PRESENT, reason="no weights in this checkout yet")
@pytest.mark.parametrize("name", PRESENT or ["none"])
def test_what_ships_is_what_the_record_says(name):
    record = weights.shipped(name)
    assert record.name == name
    assert record.licence == "Apache-2.0"
    assert (record.folder / weights.LICENCE).is_file()
    assert set(record.sha256) == {weights.MODEL, weights.WEIGHTS, weights.MODEL_INT8}
    for file in record.sha256:
        assert record.file(file).stat().st_size <= 10e6
