"""Flags come from the fields of a dataclass, and go back into it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from fathom.cli.flags import Parser, add_fields, taken
from fathom.core import UsageError
from fathom.core.options import option


@dataclass(frozen=True)
class Settings:
    """One field of each kind."""

    max_size: int | None = option(None, "largest size", flags=("--max",), metavar="N")
    weight: float = option(0.5, "weight of the term")
    mode: Literal["fast", "good"] = option("good", "how")
    levels: Literal[4, 8] = option(8, "how many")
    fill: bool = option(True, "fill holes")
    quick: bool = option(False, "be quick")
    save: tuple[str, ...] | None = option(None, "what to keep")
    file: Path | str | None = option(None, "a file")
    hidden: int = field(default=3)


def parsed(*words):
    parser = Parser(prog="fathom test")
    add_fields(parser, Settings)
    return taken(parser.parse_args(list(words)), Settings)


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ((), {}),
        (("--max-size", "3"), {"max_size": 3}),
        (("--max_size=3",), {"max_size": 3}),
        (("--max", "-3"), {"max_size": -3}),
        (("--weight", "1e-3"), {"weight": 0.001}),
        (("--mode", "fast", "--levels", "4"), {"mode": "fast", "levels": 4}),
        (("--no-fill", "--quick"), {"fill": False, "quick": True}),
        (("--no_fill",), {"fill": False}),
        (("--save", "a, b,"), {"save": ("a", "b")}),
        (("--file", "x"), {"file": Path("x")}),
    ],
)
def test_what_is_given_and_nothing_else(words, values):
    assert parsed(*words) == values
    Settings(**values)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--max-size", "many"), "--max"),
        (("--mode", "slow"), "fast"),
        (("--hidden", "3"), "unknown flag --hidden"),
        (("--weigth", "3"), "did you mean --weight"),
        (("--max-s", "3"), "unknown flag --max-s"),
        (("--weight",), "expected one argument"),
    ],
)
def test_errors_are_usage_errors_of_one_line(words, message):
    with pytest.raises(UsageError) as caught:
        parsed(*words)
    assert message in str(caught.value)
    assert "fathom test --help" in str(caught.value)


def test_help_shows_names_defaults_and_no_further_spellings(capsys):
    with pytest.raises(SystemExit):
        parsed("--help")
    text = capsys.readouterr().out
    assert "--max-size N" in text
    assert "--max_size" not in text
    assert "(default 0.5)" in text
    assert "do not fill holes" in text
    assert "hidden" not in text
