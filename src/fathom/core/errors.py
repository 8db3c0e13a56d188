"""The one exception family.

Every error a user can cause carries what came, what was expected and what to do, and prints as
one line. The class decides the exit code of the command line.
"""

from typing import Any

from fathom.core.text import close_matches, one_line


class FathomError(Exception):
    """Base of every error that fathom raises on purpose.

    Parameters
    ----------
    problem: what is wrong, a phrase without a full stop.
    file: the file (or folder) it was found in.
    field, value: the name of the wrong quantity and what it was.
    expected: what would have been right.
    remedy: what to do, an imperative phrase.
    """

    exit_code = 1

    def __init__(
        self,
        problem: str,
        *,
        file: Any = None,
        field: str | None = None,
        value: Any = None,
        expected: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.problem = problem
        self.file = None if file is None else str(file)
        self.field = field
        self.value = value
        self.expected = expected
        self.remedy = remedy
        super().__init__(problem)

    def __str__(self) -> str:
        text = self.problem
        if self.field is not None:
            shown = "" if self.value is None else f" = {_short(self.value)}"
            text = f"{self.field}{shown}: {text}"
        if self.file is not None:
            text = f"{self.file}: {text}"
        if self.expected is not None:
            text = f"{text}; expected {self.expected}"
        if self.remedy is not None:
            text = f"{text}; {self.remedy}"
        return one_line(text)


class UsageError(FathomError, ValueError):
    """A request that no input could satisfy: unknown method, range of zero, wrong flag."""

    exit_code = 2


class InputError(FathomError, ValueError):
    """An image, a map or a calibration that cannot serve."""

    exit_code = 3


class ResourceError(FathomError, RuntimeError):
    """Memory, disk, permission or device is not there."""

    exit_code = 4


class MissingExtraError(UsageError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} is not installed", remedy=f"run: pip install 'fathom-depth[{extra}]'"
        )
        self.extra = extra

    def __reduce__(self) -> tuple[Any, ...]:
        return (MissingExtraError, (self.problem.removesuffix(" is not installed"), self.extra))


def unknown_name(kind: str, name: str, known: list[str]) -> UsageError:
    """A `UsageError` for a name that is not in `known`, with the close ones."""
    close = close_matches(name, known)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(sorted(known))}"
    return UsageError(f"unknown {kind} {_short(name)}", remedy=hint)


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    end = text[-1] if isinstance(value, str) else ""
    return text if len(text) <= 80 else text[: 77 - len(end)] + "..." + end
