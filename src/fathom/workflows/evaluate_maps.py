"""Maps that any program wrote, as typed estimates: what the second step of judging reads.

Three things hold maps: a folder that `fathom eval predict` wrote, a list (csv or json lines), and
any other folder or files, whose names tell the samples.
"""

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fathom.core.errors import InputError, UsageError, unknown_name
from fathom.data.layout import walk
from fathom.io.files import read_bytes
from fathom.io.folder import RESULT
from fathom.workflows.evaluate_folder import is_predictions, read_header, read_rows
from fathom.workflows.evaluate_read import MapFile, MapOptions, number

SUFFIXES = (".pfm", ".npy", ".tiff", ".tif", ".png")
"""Of map files; the first is taken where one name has several."""
_LISTS = (".csv", ".tsv", ".jsonl", ".ndjson")
_LONGEST = 1 << 28


@dataclass(frozen=True, eq=False)
class Maps:
    """Maps by sample name.

    title: what they are called in a table. info: what is known of their making, for JSON. find:
    the map of a sample, None if there is none; raises `InputError` if two fit. names: all there
    are, as far as they are known by sample names (None for files whose names only hint).
    """

    title: str
    info: dict[str, Any]
    find: Callable[[str], MapFile | None]
    names: tuple[str, ...] | None = None


def open_maps(places: list[str], options: MapOptions) -> Maps:
    """The maps in a folder of predictions, in a list, in a folder, or in the given files.

    Raises `InputError` for what is not there or holds no map, `UsageError` for places of several
    kinds at once.
    """
    paths = [Path(place) for place in places]
    for path in paths:
        if not path.exists():
            raise InputError(
                "does not exist", file=path, expected="a folder of maps, a list, or map files"
            )
    folders = [path for path in paths if path.is_dir()]
    lists = [path for path in paths if path.is_file() and path.suffix.lower() in _LISTS]
    if (folders or lists) and len(paths) > 1:
        raise UsageError(
            "one folder or list is scored at a time",
            field="PREDICTIONS",
            value=" ".join(places),
            remedy="run the command once for each (fathom compare sets several side by side)",
        )
    if lists:
        return _of_list(paths[0], options)
    if folders and is_predictions(paths[0]):
        return _of_predictions(paths[0])
    if folders:
        found = walk(paths[0], (*SUFFIXES, *(s.upper() for s in SUFFIXES)))
        return _of_files(paths[0].name or str(paths[0]), paths[0], found, options)
    root = paths[0].parent if len(paths) == 1 else Path()
    return _of_files(
        "files", root, [str(p.relative_to(root) if len(paths) == 1 else p) for p in paths], options
    )


def _of_predictions(folder: Path) -> Maps:
    header, rows = read_header(folder), read_rows(folder)
    plain = MapOptions(kind="disparity")

    def find(name: str) -> MapFile | None:
        row = rows.get(name)
        if row is None or not row.disparity:
            return None
        return MapFile(
            folder / row.disparity,
            plain,
            folder / row.confidence if row.confidence else None,
            folder / row.source if row.source else None,
            row.seconds,
        )

    method = header.get("method")
    title = method.get("name", folder.name) if isinstance(method, dict) else folder.name
    names = tuple(name for name, row in rows.items() if row.disparity)
    return Maps(str(title), header, find, names)


_COLUMNS = (
    "name", "disparity", "depth", "map", "kind", "encoding", "scale", "unknown", "confidence",
    "source", "seconds",
)  # fmt: skip


def _of_list(path: Path, options: MapOptions) -> Maps:
    found: dict[str, MapFile] = {}
    for line, cells in _rows(path):
        for column in cells:
            if column not in _COLUMNS:
                error = unknown_name("column", column, list(_COLUMNS))
                raise InputError(
                    "is no column of a list of maps",
                    file=path,
                    field=f"line {line}",
                    value=column,
                    remedy=error.remedy,
                )
        files = [column for column in ("disparity", "depth", "map") if column in cells]
        if "name" not in cells or len(files) != 1:
            raise InputError(
                "names no sample or no map",
                file=path,
                field=f"line {line}",
                expected="`name`, and one of `disparity`, `depth` or `map`",
            )
        if cells["name"] in found:
            raise InputError(
                "stands more than once", file=path, field=f"line {line}", value=cells["name"]
            )
        try:
            found[cells["name"]] = _listed(path.parent, cells, files[0], options)
        except UsageError as error:
            raise InputError(
                error.problem,
                file=path,
                field=f"line {line}, {error.field}",
                value=error.value,
                expected=error.expected,
            ) from error
    return Maps(path.stem, {"list": str(path)}, found.get, tuple(found))


def _listed(base: Path, cells: Mapping[str, str], column: str, options: MapOptions) -> MapFile:
    said: dict[str, Any] = {
        k: cells[k] for k in ("kind", "encoding", "scale", "unknown") if k in cells
    }
    if column != "map" and "kind" not in said:
        said["kind"] = column
    seconds = number(cells["seconds"], "seconds", zero=True) if "seconds" in cells else None
    return MapFile(
        base / cells[column],
        replace(options, **said),
        base / cells["confidence"] if "confidence" in cells else None,
        base / cells["source"] if "source" in cells else None,
        seconds,
    )


def _rows(path: Path) -> Iterable[tuple[int, dict[str, str]]]:
    """Line numbers and cells of a csv file with a header or of json lines, empty cells left out."""
    text = read_bytes(path, "list of maps", _LONGEST).decode("utf-8-sig", "replace")
    lines = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise InputError("holds no line", file=path, expected="csv with a header, or json lines")
    if lines[0][1].lstrip().startswith("{"):
        for line, words in lines:
            try:
                values = json.loads(words)
            except (ValueError, RecursionError) as error:
                raise InputError("is no JSON", file=path, field=f"line {line}") from error
            if not isinstance(values, dict):
                raise InputError("is no JSON object", file=path, field=f"line {line}")
            yield line, {k: str(v) for k, v in values.items() if v not in (None, "")}
        return
    separator = max(",;\t", key=lines[0][1].count)
    heads = [head.strip().lower() for head in lines[0][1].split(separator)]
    for line, words in lines[1:]:
        cells = [c.strip() for c in next(csv.reader([words], delimiter=separator))]
        if len(cells) != len(heads):
            raise InputError(
                "has another number of cells than the header",
                file=path,
                field=f"line {line}",
                value=len(cells),
                expected=str(len(heads)),
            )
        yield line, {h: c for h, c in zip(heads, cells, strict=True) if c}


_ENDS = ("_disparity", "_disp", "_depth", "_pred", "-disparity", "-disp", "-depth", ".disp")
_STARTS = ("disparity_", "disp_", "depth_", "pred_")


def _of_files(title: str, root: Path, names: list[str], options: MapOptions) -> Maps:
    """Maps by their names: the strictest rule under which anything fits a sample's name."""
    best = _one_of_each(root, names)
    if not best:
        raise InputError("holds no map", file=root, expected=" or ".join(SUFFIXES) + " files")
    rules: list[dict[str, list[str]]] = [defaultdict(list) for _ in range(5)]
    alone: dict[str, int] = defaultdict(int)
    for name in best:
        alone[name.rpartition("/")[0]] += 1
    for name in best:
        whole = name.rpartition(".")[0]
        folder, _, stem = whole.rpartition("/")
        rules[0][whole].append(name)
        rules[1][stem].append(name)
        rules[2][_plain(stem)].append(name)
        if alone[folder] == 1:
            rules[3][folder].append(name)
            rules[4][folder.rpartition("/")[2]].append(name)

    def find(sample: str) -> MapFile | None:
        last = sample.rpartition("/")[2]
        flat = sample.replace("/", "_")
        for rule, keys in zip(
            rules, ((sample,), (flat, last), (flat, last), (sample,), (last,)), strict=True
        ):
            for key in keys:
                fits = rule.get(key, [])
                if len(fits) > 1:
                    raise InputError(
                        "fits more than one map",
                        file=root,
                        field="sample",
                        value=sample,
                        expected=f"one of {fits[0]} and {fits[1]}",
                        remedy="write a list (csv: name, disparity)",
                    )
                if fits:
                    return _found(root / fits[0], options)
        return None

    return Maps(title, {"folder": str(root)}, find)


def _found(path: Path, options: MapOptions) -> MapFile:
    """A map of a folder; beside the disparity of a `fathom depth` result lie its other layers."""
    if not (path.parent / RESULT).is_file():
        return MapFile(path, options)
    layers = [path.parent / f"{name}.png" for name in ("confidence", "source")]
    confidence, source = (layer if layer.is_file() else None for layer in layers)
    return MapFile(path, options, confidence, source)


def _plain(stem: str) -> str:
    for end in _ENDS:
        if stem.lower().endswith(end):
            return stem[: -len(end)]
    for begin in _STARTS:
        if stem.lower().startswith(begin):
            return stem[len(begin) :]
    return stem


def _one_of_each(root: Path, names: list[str]) -> list[str]:
    """One file of those that differ in their ending alone; of a result of `fathom depth`, the
    disparity."""
    rank = {suffix: i for i, suffix in enumerate(SUFFIXES)}
    best: dict[str, str] = {}
    results: dict[str, bool] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        if folder not in results:
            results[folder] = (root / folder / RESULT).is_file()
        if results[folder] and not file.startswith("disparity."):
            continue
        whole, _, suffix = name.rpartition(".")
        known = best.get(whole)
        if (
            known is None
            or rank["." + suffix.lower()] < rank["." + known.rpartition(".")[2].lower()]
        ):
            best[whole] = name
    return list(best.values())
