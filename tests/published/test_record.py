"""What a record of published weights may say."""

import pytest

from fathom.core.errors import UsageError
from fathom.published.record import UNKNOWN, Licences, Weights, check_name


def record(**changed) -> Weights:
    given = {"name": "a-net", "model": "net", "variant": "x", "licences": Licences("MIT")}
    return Weights(**{**given, "source": "the authors", **changed})


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    assert record().licences == Licences("MIT", UNKNOWN, UNKNOWN)
    assert record().state == "convert"
    assert record(url="https://example.org/a.pth").state == "download"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("sha256", "A" * 64, "64 hexadecimal"),
        ("sha256", "a" * 63, "64 hexadecimal"),
        ("url", "http://example.org/a.pth", "no https address"),
        ("bytes", 0, "1 or more"),
        ("name", "../a", "no name for weights"),
    ],
)
def test_nonsense_is_refused(field: str, value: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        record(**{field: value})


@pytest.mark.parametrize("name", ["", ".hidden", "A", "a/b", "a b", "a" * 64, "a\n"])
def test_names_are_file_names_everywhere(name: str) -> None:
    with pytest.raises(UsageError, match="no name for weights"):
        check_name(name)
