"""A result never takes the place of what it is made from."""

from collections.abc import Iterable
from pathlib import Path

from fathom.core.errors import UsageError
from fathom.io.files import PathLike
from fathom.io.folder import RESULT
from fathom.io.paths import resolve


def require_elsewhere(
    out: PathLike, inputs: Iterable[PathLike | None], *, always: bool = False
) -> None:
    """Refuses the folder `out` for a result if an input lies in it or in its left/ or right/.

    An earlier result of fathom is replaced whole, and would take its images along. Other folders
    may get a result beside the input, unless `always`.

    Raises `UsageError`.
    """
    target = resolve(out)
    if not always and not (target / RESULT).exists():
        return
    for file in inputs:
        if file is None:
            continue
        place = resolve(Path(file).parent)
        if target in (place, place.parent) and (place == target or place.name in _SIDES):
            raise UsageError(
                "holds an input, which the result would replace",
                field="output",
                value=str(out),
                expected=f"not the folder of {Path(file).name}",
                remedy="choose another folder",
            )


_SIDES = ("left", "right")  # where `fathom rectify` puts many images
