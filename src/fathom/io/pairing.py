"""Which files make which pair: two files, two folders or globs, or single side-by-side images."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

from fathom.core.errors import InputError, UsageError

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"),
    *(".pnm", ".pgm", ".ppm", ".pbm"),
)
_SIDE = re.compile(r"(left|right|im[01]|cam[01])|(?<![a-z])[lr](?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class PairFiles:
    """The files of one pair. right is None where one image holds both views."""

    name: str
    left: Path
    right: Path | None


@dataclass(frozen=True)
class FoundPairs:
    """Pairs in the order of their names, and the images that have no partner."""

    pairs: tuple[PairFiles, ...]
    lonely: tuple[Path, ...] = ()
    many: bool = False


def find_pairs(left: str | Path, right: str | Path | None) -> FoundPairs:
    """The pairs that two arguments name: files, folders, or globs; right None for one image each.

    Images of two folders belong together if their names are equal, or equal but for a word for
    the side (left/right, l/r, im0/im1), or if both hold equally many images of equal numbers.
    `many` is False for a single named pair.

    Raises `InputError` if nothing is there or nothing fits, `UsageError` if a file is paired with
    a folder.
    """
    lefts, left_many = find_images(left)
    if right is None:
        named = _named([(path, None) for path in lefts])
        return FoundPairs(named, many=left_many)
    rights, right_many = find_images(right)
    if left_many != right_many:
        single = rights[0] if left_many else lefts[0]
        if not single.exists():
            raise InputError("does not exist", file=single, expected="a file, a folder or a glob")
        raise UsageError(
            "one is a single file and the other a folder or glob",
            field="LEFT, RIGHT",
            value=f"{left}, {right}",
            expected="two files, two folders or two globs",
        )
    if not left_many:
        return FoundPairs(_named([(lefts[0], rights[0])]))
    couples = _couple(lefts, rights)
    if not couples:
        raise InputError(
            f"no image of {left} fits one of {right} by name",
            value=f"{lefts[0].name}, ... and {rights[0].name}, ...",
            field="LEFT, RIGHT",
            expected="equal names, or names that differ in left/right, l/r or im0/im1",
        )
    paired = {path for couple in couples for path in couple}
    lonely = [path for path in (*lefts, *rights) if path not in paired]
    return FoundPairs(_named(list(couples)), tuple(lonely), many=True)


def find_images(argument: str | Path) -> tuple[list[Path], bool]:
    """The images that a file, folder or glob names, sorted, and whether it may name several.

    A single file is taken as it is, whatever it holds. Raises `InputError` for a folder without an
    image or a pattern that nothing fits.
    """
    path = Path(argument)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        if not found:
            raise InputError(
                "the folder holds no image", file=path, expected=", ".join(IMAGE_SUFFIXES)
            )
        return found, True
    if has_magic(str(argument)) and not path.exists():
        found = sorted(Path(p) for p in glob(str(argument), recursive=True))  # noqa: PTH207
        found = [p for p in found if p.is_file()]
        if not found:
            raise InputError("no file fits this pattern", file=argument)
        return found, True
    return [path], False


def _couple(lefts: list[Path], rights: list[Path]) -> list[tuple[Path, Path]]:
    """Pairs by the strictest rule under which anything fits."""
    for key in (_stem_key, _sideless_key, _folder_key, _number_key):
        left_of, right_of = _unique(lefts, key), _unique(rights, key)
        common = [k for k in left_of if k in right_of]
        if common:
            return [(left_of[k], right_of[k]) for k in common]
    return []


def _unique(paths: list[Path], key: Callable[[Path], str]) -> dict[str, Path]:
    keys = [key(path) for path in paths]
    counts = Counter(keys)
    return {k: path for k, path in zip(keys, paths, strict=True) if k and counts[k] == 1}


def _stem_key(path: Path) -> str:
    return path.stem


def _sideless_key(path: Path) -> str:
    # An empty rest (left.png, right.png) still is a key: there is just one such pair.
    return _SIDE.sub("*", path.stem)


def _folder_key(path: Path) -> str:
    return str(path.parent)


def _number_key(path: Path) -> str:
    return "_".join(str(int(n)) for n in re.findall(r"\d+", path.stem))


def _named(couples: list[tuple[Path, Path | None]]) -> tuple[PairFiles, ...]:
    """A name for each pair that is unique among them: stem, with its folder if stems repeat."""
    stems = Counter(left.stem for left, _ in couples)
    names = [
        left.stem if stems[left.stem] == 1 else f"{left.resolve().parent.name}_{left.stem}"
        for left, _ in couples
    ]
    taken: Counter[str] = Counter()
    found = []
    for name, (left, right) in zip(names, couples, strict=True):
        taken[name] += 1
        unique = name if taken[name] == 1 else f"{name}_{taken[name]}"
        found.append(PairFiles(unique, left, right))
    return tuple(found)
