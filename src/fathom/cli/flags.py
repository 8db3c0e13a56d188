"""From settings dataclasses to command-line flags and back; the parser whose errors are ours."""

import argparse
import re
import types
import typing
from collections.abc import Iterable
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, NoReturn

from fathom.core.errors import UsageError
from fathom.core.text import close_matches, one_line


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help that shows a flag's own name; the further spellings are accepted, not listed."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        names = list(action.option_strings)
        if not names:
            return super()._format_action_invocation(action)
        long = next((name for name in names if name.startswith("--")), names[0])
        shown = [name for name in names if not name.startswith("--")] + [long]
        value = ""
        if action.nargs != 0:
            value = " " + self._format_args(action, self._get_default_metavar_for_optional(action))
        return ", ".join(dict.fromkeys(shown)) + value


class Parser(argparse.ArgumentParser):
    """argparse, except that a usage error is a `UsageError` and flags are never abbreviated."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            allow_abbrev=False,
            formatter_class=_Help,
            add_help=False,
            **settings,
        )
        # argparse takes "-1,5" and "-3px" for flags, and says "expected one argument"; the value
        # itself gets a better line from whoever reads it. No flag begins with a digit.
        self._negative_number_matcher = re.compile(r"^-\.?\d\S*$")
        self.add_argument("-h", "--help", action="help", help="show this help")

    def error(self, message: str) -> NoReturn:
        unknown = [word for word in message.split() if word.startswith("-")]
        remedy = f"see: {self.prog} --help"
        if message.startswith("unrecognized arguments") and unknown:
            flag = unknown[0].split("=")[0]
            close = close_matches(flag, self._option_string_actions)
            hint = f"did you mean {' or '.join(close)}? " if close else ""
            raise UsageError(f"unknown flag {flag}", remedy=hint + remedy)
        raise UsageError(one_line(message), remedy=remedy)


_VALUE = {int: "N", float: "X", str: "NAME"}


def add_fields(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup,
    cls: type[Any],
    skip: Iterable[str] = (),
) -> None:
    """A flag for each field of the dataclass `cls` that has a help text.

    `max_disparity: int` becomes `--max-disparity N` (`--max_disparity` is accepted, too), a true
    switch becomes `--no-...`, a Literal a choice, a tuple of names a comma-separated list.
    """
    hints = typing.get_type_hints(cls)
    for f in fields(cls):
        if f.name in skip or "help" not in f.metadata:
            continue
        _add_field(parser, f, _plain(hints[f.name]))


def add_result_folder(parser: argparse.ArgumentParser, noun: str) -> None:
    """Where `fathom depth` writes. noun: of its inputs, in the plural."""
    parser.add_argument(
        "-o",
        "--output",
        "--out",
        "--out_dir",
        default="fathom-output",
        metavar="DIR",
        help=f"folder to write, DIR/<stem>/ for many {noun} (default fathom-output)",
    )


def taken(arguments: argparse.Namespace, cls: type[Any]) -> dict[str, Any]:
    """The values given on the command line for fields of `cls`; what was left out is not there."""
    given = vars(arguments)
    return {f.name: given[f.name] for f in fields(cls) if f.name in given}


def _add_field(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup, f: Field[Any], hint: Any
) -> None:
    text = _described(f, hint)
    if hint is bool:
        word = f.name.replace("_", "-")
        flag = f"--no-{word}" if f.default else f"--{word}"
        names = list(dict.fromkeys([flag, flag.replace("-", "_").replace("__", "--", 1)]))
        action = "store_false" if f.default else "store_true"
        parser.add_argument(
            *names, dest=f.name, action=action, default=argparse.SUPPRESS, help=text
        )
        return
    names = [f"--{f.name.replace('_', '-')}", f"--{f.name}", *f.metadata.get("flags", ())]
    short = [n for n in names if not n.startswith("--")]
    ordered = list(dict.fromkeys([*short, *names]))
    settings: dict[str, Any] = {"metavar": f.metadata.get("metavar") or _VALUE.get(hint, "X")}
    if typing.get_origin(hint) is typing.Literal:
        choices = typing.get_args(hint)
        settings = {"choices": choices, "type": type(choices[0])}
    elif typing.get_origin(hint) is tuple:
        settings["type"] = _names
    else:
        settings["type"] = hint
    parser.add_argument(*ordered, dest=f.name, default=argparse.SUPPRESS, help=text, **settings)


def _described(f: Field[Any], hint: Any) -> str:
    text = str(f.metadata["help"]).replace("%", "%%")
    shown = isinstance(f.default, int | float | str) and not isinstance(f.default, bool)
    if shown and hint is not bool and "default" not in text:
        text += f" (default {f.default})"
    if hint is bool and f.default:
        text = f"do not {text}"
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _plain(hint: Any) -> Any:
    """The type of a value without `| None`; a path among alternatives is a path."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        parts = [part for part in typing.get_args(hint) if part is not type(None)]
        return Path if Path in parts else parts[0]
    return hint
