"""Fields of a settings dataclass that can also be given on the command line."""

from dataclasses import field
from typing import Any


def option(
    default: Any, help: str, *, flags: tuple[str, ...] = (), metavar: str | None = None
) -> Any:
    """A dataclass field with what its command-line flag needs.

    default: of the field. help: one sentence, with the unit. flags: further spellings people know
    from elsewhere ("--max-disp"). metavar: how the value is called in the help.
    """
    return field(default=default, metadata={"help": help, "flags": flags, "metavar": metavar})
