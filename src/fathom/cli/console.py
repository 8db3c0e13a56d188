"""What the command line says, and where: results on standard output, all else on the other."""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from fathom.core.errors import FathomError


def say(line: str) -> None:
    """A line for the person at the terminal; never part of the output that a program reads."""
    print(line, file=sys.stderr, flush=True)


def warn(line: str) -> None:
    """A line that nobody should overlook."""
    mark = "\x1b[33mwarning:\x1b[0m" if sys.stderr.isatty() else "warning:"
    say(f"{mark} {line}")


def show_error(error: FathomError, as_json: bool) -> None:
    """The one line of a failed run; with --json also an object on standard output."""
    mark = "\x1b[31mfathom: error:\x1b[0m" if sys.stderr.isatty() else "fathom: error:"
    say(f"{mark} {error}")
    if as_json:
        show_json({"error": error_as_dict(error)})


def error_as_dict(error: FathomError) -> dict[str, Any]:
    """An error as plain values: message, exit code, and the parts it has."""
    parts = {name: getattr(error, name) for name in ("problem", "file", "field", "expected")}
    value = None if error.value is None else str(error.value)
    return {"message": str(error), "exit_code": error.exit_code, **parts, "value": value}


def show_json(value: Any) -> None:
    """`value` as strict JSON on standard output."""
    from fathom.io.result import to_json

    print(to_json(value), flush=True)


def table(headers: list[str], rows: list[list[str]]) -> str:
    """A plain table: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [headers, *rows]) for i in range(len(headers))]
    lines = []
    for row in [headers, *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


class Progress(Protocol):
    """Moves on by one item, naming it."""

    def __call__(self, name: str, /) -> None: ...


@contextmanager
def progress_bar(total: int, what: str) -> Iterator[Progress]:
    """A bar over `total` items on a terminal, a line an item elsewhere."""
    if not sys.stderr.isatty():
        count = iter(range(1, total + 1))
        yield lambda name: say(f"[{next(count)}/{total}] {name}")
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        started = False

        def advance(name: str, /) -> None:
            nonlocal started
            bar.update(task, description=name, advance=1 if started else 0)
            started = True

        yield advance
        bar.update(task, completed=total)


def percent(share: float | None) -> str:
    """0.123 -> "12.3 %"; nothing known -> "-"."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.1f} %"


def metres(value: float | None) -> str:
    """2.345 -> "2.35 m"; nothing known -> "-"."""
    return "-" if value is None else f"{value:.2f} m"
