"""Weights that their authors cut into several files: `encoder.pth+depth.pth`.

Their tensors are joined, each file's under its stem (`encoder.`, `depth.`), which is what tells
equal names of different parts apart.
"""

import hashlib
import re
from pathlib import Path

from fathom.core.errors import InputError
from fathom.io.files import PathLike
from fathom.published.unpickle import Foreign, read_foreign

_JOINT = re.compile(r"(?<=\.pth)\+|(?<=\.pt)\+|(?<=\.tar)\+|(?<=\.safetensors)\+")


def parts_of(path: PathLike) -> list[Path]:
    """The files that `A.pth+B.pth` names; those after the first are looked for beside it, too. Any
    other path is one file."""
    whole = Path(path)
    names = _JOINT.split(str(path))
    if len(names) == 1 or whole.exists():
        return [whole]
    first = Path(names[0])
    rest = (Path(n) if Path(n).exists() else first.with_name(n) for n in names[1:])
    return [first, *rest]


def read_parts(path: PathLike) -> Foreign:
    """As `read_foreign`, of one file or several. The digest of several is the SHA-256 of their own
    digests, hexadecimal and joined by +.

    Raises as `read_foreign`, and `InputError` for two files of one stem.
    """
    files = parts_of(path)
    if len(files) == 1:
        return read_foreign(files[0])
    stems = [file.stem for file in files]
    if len(set(stems)) < len(stems):
        raise InputError(
            "are called alike, so their tensors cannot be told apart", file=path, field="files",
            value=", ".join(stems), expected="different names, as their authors gave them",
        )  # fmt: skip
    found = [read_foreign(file) for file in files]
    tensors = {
        f"{stem}.{name}": values
        for stem, part in zip(stems, found, strict=True)
        for name, values in part.tensors.items()
    }
    digest = hashlib.sha256("+".join(part.sha256 for part in found).encode()).hexdigest()
    return Foreign(tensors, found[0].wrapper, digest, sum(part.bytes for part in found), {})
