"""Small text helpers that the errors and the command line share."""

import difflib
from collections.abc import Iterable


def one_line(text: str) -> str:
    """`text` with every run of white space, line breaks included, folded to one blank."""
    return " ".join(text.split())


def close_matches(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Up to `count` of the `known` names that look like `name`, best first, case ignored."""
    lower = {k.lower(): k for k in known}
    found = difflib.get_close_matches(str(name).lower(), list(lower), n=count, cutoff=0.5)
    inside = [k for k in lower if str(name).lower() in k and k not in found] if name else []
    return [lower[k] for k in (found + inside)[:count]]
