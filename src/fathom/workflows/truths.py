"""Which file holds the truth of which pair."""

from collections.abc import Sequence
from glob import glob, has_magic
from pathlib import Path

from fathom.core.errors import InputError, UsageError
from fathom.io.pairing import FoundPairs

_MAPS = (".pfm", ".png", ".npy")


def truth_files(found: FoundPairs, truth: Sequence[str | Path]) -> list[Path]:
    """The truth's file of each pair: by the left image's name where all have one, else by order.

    Raises `UsageError` for another number of files than pairs, `InputError` for a folder or glob
    without a map.
    """
    files = [file for argument in truth for file in _files(argument)]
    by_name = {file.stem: file for file in files}
    names = [pair.name for pair in found.pairs]
    if len(by_name) == len(files) and all(name in by_name for name in names):
        return [by_name[name] for name in names]
    if len(files) != len(names):
        raise UsageError(
            f"there are {len(names)} pairs and {len(files)} truths",
            field="truth",
            expected="one file for each pair, named as the left image or in the same order",
        )
    return files


def _files(argument: str | Path) -> list[Path]:
    path = Path(argument)
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in _MAPS)
    elif has_magic(str(argument)) and not path.exists():
        files = sorted(Path(p) for p in glob(str(argument), recursive=True))  # noqa: PTH207
    else:
        return [path]
    if not files:
        raise InputError("holds no disparity map", file=argument, expected=" or ".join(_MAPS))
    return files
