"""Every data set by name: the only list, and `open_dataset`, the only door."""

import importlib
import typing
from dataclasses import fields
from pathlib import Path
from typing import Any

from fathom.core.errors import InputError, UsageError, unknown_name
from fathom.data.dataset import Dataset
from fathom.data.reader import Reader

# Names by the module that reads them, so that opening one data set imports one reader.
_HOMES = {
    "middlebury": tuple(f"middlebury-{y}" for y in (2001, 2003, 2005, 2006, 2014, 2021)),
    "benchmarks": ("middlebury-v3", "eth3d"),
    "kitti": ("kitti-2012", "kitti-2015"),
    "kitti_raw": ("kitti-raw", "kitti-depth"),
    "sceneflow": ("sceneflow", "flyingthings3d", "monkaa", "driving"),
    "sintel": ("sintel",),
    "rendered": ("virtual-kitti-2", "tartanair", "falling-things"),
    "steps": ("crestereo", "instereo2k", "drivingstereo"),
    "large": ("booster", "spring"),
    "indoor": ("nyu-v2", "scannet", "diode"),
    "tum": ("tum-rgbd",),
    "fathom_folder": ("fathom-folder",),
    "manifest": ("manifest",),
}
_LISTS = (".csv", ".tsv", ".jsonl", ".ndjson")


def names() -> tuple[str, ...]:
    """The names of all data sets, in the order of the list."""
    return tuple(name for home in _HOMES.values() for name in home)


def reader(name: str) -> Reader:
    """The reader of that name. Raises `UsageError` with close matches for an unknown one."""
    for home, inside in _HOMES.items():
        if name in inside:
            place = "fathom.data" if home == "manifest" else "fathom.data.readers"
            module = importlib.import_module(f"{place}.{home}")
            found: Reader = next(r for r in module.READERS if r.name == name)
            return found
    raise unknown_name("data set", name, list(names()))


def readers() -> tuple[Reader, ...]:
    """All readers, in the order of the list."""
    return tuple(reader(name) for name in names())


def recognise(root: Path | str) -> list[str]:
    """Names of the data sets that a folder, or the file of a list, looks like; maybe none."""
    place = Path(root)
    if place.is_file():
        if place.suffix.lower() in _LISTS:
            return ["manifest"]
        return ["nyu-v2"] if place.suffix == ".mat" else []
    return [r.name for r in readers() if r.fits(place)]


def open_dataset(
    name: str | None, root: Path | str, split: str | None = None, **options: Any
) -> Dataset[Any]:
    """A data set by name; nothing is read but the listing of its folders.

    name: as `fathom dataset list` shows them; None recognises it by its folders. root: where it
    lies. split: one of the reader's, default its first. options: the reader's own.

    >>> from fathom.data import open_dataset                           # doctest: +SKIP
    >>> sample = open_dataset("kitti-2015", "kitti", truth="noc")[0]   # doctest: +SKIP

    Raises `UsageError` for an unknown name, split or option, `InputError` for a folder that is
    not there or does not look like the data set (with what it looks like instead).
    """
    place = Path(root)
    if not place.exists():
        raise InputError("does not exist", file=place, expected="the folder of a data set")
    if name is None:
        name = _recognised(place)
    chosen = reader(name)
    part = split or chosen.splits[0]
    if part not in chosen.splits:
        raise UsageError(
            f"is no split of {name}",
            field="split",
            value=part,
            expected=" or ".join(chosen.splits),
        )
    settings = _settings(chosen, options)
    if name == "manifest" or place.is_file():
        return chosen.open(place, part, settings)
    try:
        dataset = chosen.open(place, part, settings)
    except InputError as error:
        if chosen.fits(place):
            raise
        raise wrong_root(chosen, place, error) from error
    return dataset


def wrong_root(chosen: Reader, root: Path, cause: InputError) -> InputError:
    """The one line for a folder that is not the data set: what was expected, what is there."""
    from fathom.data.layout import folders

    others = [n for n in recognise(root) if n != chosen.name]
    inside = folders(root)[:5] or ["no folder"]
    remedy = f"give the folder that holds it ({cause.problem}: {cause.file})"
    if others:
        remedy = f"it looks like {' or '.join(others)}: take that name"
    return InputError(
        f"does not look like {chosen.name}",
        file=root,
        field="found",
        value=", ".join(inside),
        expected=chosen.layout.splitlines()[0],
        remedy=remedy,
    )


def _recognised(root: Path) -> str:
    found = recognise(root)
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"looks like {' and '.join(found)}",
            file=root,
            remedy="say which: --format NAME",
        )
    raise UsageError(
        "looks like no data set fathom knows",
        file=root,
        remedy="say which with --format NAME (`fathom dataset list` shows them), or write a list",
    )


def _settings(chosen: Reader, options: dict[str, Any]) -> Any:
    known = {f.name for f in fields(chosen.options)}
    hints = typing.get_type_hints(chosen.options)
    for key, value in options.items():
        if key not in known:
            if not known:
                raise UsageError(f"{chosen.name} has no options", field=key, value=value)
            raise unknown_name(f"option of {chosen.name}:", key, sorted(known))
        if typing.get_origin(hints[key]) is typing.Literal:
            allowed = typing.get_args(hints[key])
            if value not in allowed:
                raise UsageError(
                    "is no choice",
                    field=key,
                    value=value,
                    expected=" or ".join(map(str, allowed)),
                )
    return chosen.options(**options)


def as_markdown() -> str:
    """The table of docs/datasets.md, made from the list."""
    lines = ["| name | samples | what | terms | splits | options |", "|---|---|---|---|---|---|"]
    for r in readers():
        own = ", ".join(f"`{f.name}`" for f in fields(r.options)) or "-"
        cells = (f"[`{r.name}`](#{r.name})", r.kind, r.summary, r.terms, ", ".join(r.splits), own)
        lines.append("| " + " | ".join(cells) + " |")
    for r in readers():
        lines += ["", f"### {r.name}", "", f"From: {r.source}", "", "```", r.layout, "```"]
    return "\n".join(lines) + "\n"
