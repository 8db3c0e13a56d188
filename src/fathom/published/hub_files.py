"""Which files of a repository of the hub a model is loaded from: one precision, and no programs.

A pickle is taken only of a net whose tensors lie nowhere else, as some old repositories have them;
it is opened as any foreign file is (`fathom.published.unpickle`).

A repository may hold the same tensors in several precisions; diffusers names those that are not
float32 by a variant: NAME.fp16.safetensors, or NAME.fp16-00001-of-00002.safetensors for shards
(https://huggingface.co/docs/diffusers/using-diffusers/other-formats).
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

TENSORS = ".safetensors"
PICKLE = "pytorch_model.bin"
"""What transformers wrote before there were safetensors; one of several shards is not read."""
_PLAIN = (".json", ".txt")
_SHARD = re.compile(r"-\d{5}-of-\d{5}")
_HALF, _FULL = "fp16", ""


def parts_of_pipeline(index: Mapping[str, Any]) -> list[str]:
    """The folders that a pipeline's model_index.json names (diffusers)."""
    return [
        name for name, kind in index.items()
        if isinstance(kind, list) and any(kind) and not name.startswith("_")
    ]  # fmt: skip


def pickle_in(folder: Path) -> Path | None:
    """The file of a net's tensors, where a folder has them as a pickle alone; else None."""
    path = folder / PICKLE
    return path if path.is_file() and not any(folder.glob(f"*{TENSORS}*")) else None


def wanted_files(
    names: Iterable[str], parts: Collection[str] | None = None, *, half: bool = False
) -> list[str]:
    """Those of a repository's files that its model is loaded from.

    names: paths inside it. parts: a pipeline's folders; None for a net alone, whose files lie at
    the root. half: tensors in half precision, where a folder has both. A folder that has only one
    precision gives that.
    """
    folders: dict[str, list[str]] = defaultdict(list)
    for name in names:
        place = str(PurePosixPath(name).parent)
        folders["" if place == "." else place].append(name)
    found = [name for name in folders[""] if name.endswith(_PLAIN) and variant_of(name) is None]
    for place in ("",) if parts is None else parts:
        of_place = folders[place]
        found += [n for n in of_place if n.endswith(_PLAIN) and variant_of(n) is None]
        variant = _first_variant(of_place, (_HALF, _FULL) if half else (_FULL, _HALF))
        found += [n for n in of_place if variant is not None and variant_of(n) == variant]
        if parts is None and variant is None and PICKLE in of_place:
            found.append(PICKLE)
    return sorted(set(found))


def variant_of(name: str) -> str | None:
    """The variant of a file of tensors, or of the list of its shards: "" for float32; None for any
    other file."""
    stem, ending, rest = PurePosixPath(name).name.partition(TENSORS)
    if not ending or (rest and not (rest.startswith(".index") and rest.endswith(".json"))):
        return None
    listed = rest.removeprefix(".index").removesuffix(".json").strip(".")
    return listed or _SHARD.sub("", stem).partition(".")[2]


def _first_variant(names: Sequence[str], order: tuple[str, ...]) -> str | None:
    there = {variant_of(name) for name in names if name.endswith(TENSORS)}
    return next((variant for variant in order if variant in there), None)
