"""The YAML that ROS and Kalibr write: nested mappings, lists, numbers, text. Nothing else.

Calibrations use a small corner of YAML. A parser of just that corner needs no dependency, builds
no objects, and names the line it stumbles over.
"""

import re
from typing import Any

from fathom.core.errors import InputError

Line = tuple[int, int, str]
"""(number in the file, indentation, text without comment)."""

_DEEPEST = 12
_KEY = re.compile(
    r"(?:\"([^\"]*)\"|'([^']*)'|([^\s\[\]{}\"'#,&*!|>][^\[\]{}\"'#,]{0,80}?))\s*:(?:\s+|$)"
)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}
_WORDS |= {".nan": float("nan"), ".inf": float("inf"), "-.inf": float("-inf")}


def read_yaml(text: str) -> dict[str, Any]:
    """The mapping in the first document of `text`.

    Raises `InputError` (without the file's name), naming the line, for what this corner of YAML
    does not have: tabs, unclosed brackets, deep nesting, lines that are neither key nor item.
    """
    lines = _lines(text)
    if not lines:
        raise InputError("holds no YAML", expected="key: value")
    value, after = _block(lines, 0, lines[0][1], {}, 0)
    if after < len(lines):
        raise _broken(lines[after])
    if not isinstance(value, dict):
        raise InputError("holds no YAML mapping", expected="key: value")
    return value


def _broken(line: Line, what: str = "is no key and no item") -> InputError:
    return InputError(
        f"is YAML this reader does not know: {what}",
        field=f"line {line[0]}",
        value=line[2],
        expected="key: value, - item, or [1, 2, 3]",
    )


def _lines(text: str) -> list[Line]:
    """Lines with something on them; one whose bracket is open takes those up to its end."""
    found: list[tuple[int, int, list[str]]] = []
    depth = 0
    for i, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*$", "", raw).rstrip()
        if not depth and line.startswith(("%", "---", "...")):
            if found and not line.startswith("%"):
                break
            continue
        if not line.strip():
            continue
        body = line.lstrip(" ")
        if body.startswith("\t"):
            raise _broken((i, 0, body), "a tab in the indentation")
        if not depth:
            found.append((i, len(line) - len(body), []))
        found[-1][2].append(body)
        depth += sum(body.count(c) for c in "[{") - sum(body.count(c) for c in "]}")
    return [(number, indent, " ".join(parts)) for number, indent, parts in found]


def _block(
    lines: list[Line], at: int, indent: int, anchors: dict[str, Any], depth: int
) -> tuple[Any, int]:
    """The mapping or list whose first line is `at`, and the line after it."""
    if depth > _DEEPEST:
        raise _broken(lines[at], "nested too deep")
    if re.match(r"-(\s|$)", lines[at][2]):
        return _items(lines, at, indent, anchors, depth)
    mapping: dict[str, Any] = {}
    while at < len(lines) and lines[at][1] == indent:
        line = lines[at]
        key = _KEY.match(line[2])
        if key is None:
            raise _broken(line)
        name = next(group for group in key.groups() if group is not None)
        mapping[name], at = _after(lines, at, line[2][key.end() :], anchors, depth)
    if at < len(lines) and lines[at][1] > indent:
        raise _broken(lines[at], "indented too far")
    return mapping, at


def _items(
    lines: list[Line], at: int, indent: int, anchors: dict[str, Any], depth: int
) -> tuple[list[Any], int]:
    items: list[Any] = []
    while at < len(lines) and lines[at][1] == indent and re.match(r"-(\s|$)", lines[at][2]):
        number, _, text = lines[at]
        rest = text[1:].lstrip()
        if rest.startswith("- ") or _KEY.match(rest):
            inner = indent + len(text) - len(rest)
            lines[at] = number, inner, rest  # what stands behind the dash is a block of its own
            value, at = _block(lines, at, inner, anchors, depth + 1)
        else:
            value, at = _after(lines, at, rest, anchors, depth)
        items.append(value)
    return items, at


def _after(
    lines: list[Line], at: int, rest: str, anchors: dict[str, Any], depth: int
) -> tuple[Any, int]:
    """What a key or a dash is followed by: a value on its line, or the block below it."""
    line = lines[at]
    anchor = re.match(r"&(\S+)\s*", rest)
    rest = re.sub(r"^(&\S+\s*|!\S+\s*)+", "", rest)
    at += 1
    value: Any
    if rest:
        value = _flow(rest, line, anchors)
    elif at < len(lines) and (
        lines[at][1] > line[1] or (lines[at][1] == line[1] and lines[at][2].startswith("- "))
    ):
        value, at = _block(lines, at, lines[at][1], anchors, depth + 1)
    else:
        value = None
    if anchor:
        anchors[anchor[1]] = value
    return value, at


def _flow(text: str, line: Line, anchors: dict[str, Any]) -> Any:
    """A scalar, or [ ... ] and { ... } nested."""
    if text[0] not in "[{":
        return anchors.get(text[1:]) if text[0] == "*" else _scalar(text)
    words = re.findall(
        r"\"[^\"]*\"|'[^']*'|[\[\]{},]|:(?=\s)|[^\[\]{},:\s\"'](?:[^\[\]{},:]|:(?!\s))*", text
    )
    words.reverse()
    value = _nested(words, line, 0)
    if words:
        raise _broken(line, "text behind a bracket")
    return value


def _nested(words: list[str], line: Line, depth: int) -> Any:
    if not words or depth > _DEEPEST:
        raise _broken(line, "an unclosed bracket")
    word = words.pop()
    if word == "[":
        items: list[Any] = []
        while words and words[-1] != "]":
            items.append(_nested(words, line, depth + 1))
            _comma(words, "]", line)
        return _closed(words, items, line)
    if word == "{":
        mapping: dict[str, Any] = {}
        while words and words[-1] != "}":
            name = words.pop().strip().strip("\"'")
            if not words or words.pop() != ":":
                raise _broken(line, "a key without a value")
            mapping[name] = _nested(words, line, depth + 1)
            _comma(words, "}", line)
        return _closed(words, mapping, line)
    if word in "]},:":
        raise _broken(line, f"{word} out of place")
    return _scalar(word.strip())


def _comma(words: list[str], end: str, line: Line) -> None:
    if words and words[-1] == ",":
        words.pop()
    elif words and words[-1] != end:
        raise _broken(line, "a missing comma")


def _closed(words: list[str], value: Any, line: Line) -> Any:
    if not words:
        raise _broken(line, "an unclosed bracket")
    words.pop()
    return value


def _scalar(word: str) -> Any:
    if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'":
        return word[1:-1]
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    if _NUMBER.fullmatch(word):
        return int(word) if re.fullmatch(r"[-+]?\d{1,18}", word) else float(word)
    return word
