"""Errors print as one line that names what came, what was expected and what to do."""

import pickle

import pytest

from fathom.core import FathomError, InputError, MissingExtraError, ResourceError, UsageError
from fathom.core.errors import unknown_name
from fathom.core.text import close_matches, one_line


def test_message_holds_every_part_in_one_line():
    error = InputError(
        "is not\na number",
        file="rig/calib.txt",
        field="baseline",
        value="abc",
        expected="millimetres > 0",
        remedy="correct the file",
    )
    assert str(error) == (
        "rig/calib.txt: baseline = 'abc': is not a number; expected millimetres > 0; "
        "correct the file"
    )


@pytest.mark.parametrize(
    ("kind", "code"), [(FathomError, 1), (UsageError, 2), (InputError, 3), (ResourceError, 4)]
)
def test_exit_codes(kind, code):
    assert kind("x").exit_code == code
    assert issubclass(kind, FathomError)


def test_long_values_are_cut():
    assert len(str(InputError("is long", field="x", value="y" * 500))) < 120


def test_missing_extra_names_the_command_and_survives_pickling():
    error = MissingExtraError("torch", "torch")
    assert "pip install 'fathom-depth[torch]'" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_long_value_is_shortened_inside_its_quotes():
    told = str(UsageError("is wrong", field="x", value="a" * 200))
    assert "aaa...': is wrong" in told and len(told) < 100


def test_unknown_names_get_close_matches():
    assert "did you mean sgm?" in str(unknown_name("method", "smg", ["sgm", "bm"]))
    assert "known: bm, sgm" in str(unknown_name("method", "quux", ["sgm", "bm"]))
    assert close_matches("SGBM", ["opencv-sgbm", "sgm"])
    assert one_line(" a\n\tb ") == "a b"
