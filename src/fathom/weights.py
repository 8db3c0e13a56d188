"""The record of the models that ship inside the package: which files, their hashes, their licence.

A model is a folder `shipped/NAME`: `model.onnx` runs without torch, `weights.safetensors` is for
torch (a GPU, fine-tuning), `LICENSE.md` is the weights' licence, and `card.json` says what they
are: hashes of the other files, sizes the net takes, the experiment they come from, its scores.
Where it says so, `model-int8.xml` with its `.bin` is the same net in 8 bits, for OpenVINO.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom.core.errors import InputError, unknown_name
from fathom.io.files import PathLike, read_bytes

HOME = Path(__file__).parent / "shipped"
"""Where the shipped models lie."""
NAMES = ("fathom-s", "sgm-refined")
"""The models that ship, or will."""
MODEL, WEIGHTS, LICENCE, CARD = "model.onnx", "weights.safetensors", "LICENSE.md", "card.json"
MODEL_INT8 = "model-int8.xml"
"""With the .bin beside it; its hash is that of both, one behind the other."""
_LARGEST = 1 << 28
_REMEDY = "install fathom again, or copy the file again"


@dataclass(frozen=True)
class Shipped:
    """One shipped model. sha256: file name -> digest. divisor: sizes the net takes are multiples of
    this. max_disparity: it finds disparities below this, in pixels. card: all that card.json says.
    """

    name: str
    folder: Path
    licence: str
    sha256: Mapping[str, str]
    divisor: int
    max_disparity: int
    card: Mapping[str, Any]

    def file(self, name: str) -> Path:
        """The path of one of its files, read and compared with the record.

        Raises `InputError` if it is missing, or its hash is another.
        """
        path = self.folder / name
        check_file(path, self.sha256[name])
        return path


def is_shipped(name: str) -> bool:
    """Whether all files of that model are here; what is in them is not looked at."""
    folder = HOME / name
    return name in NAMES and all((folder / file).is_file() for file in (MODEL, WEIGHTS, CARD))


def shipped(name: str) -> Shipped:
    """The record of a shipped model.

    Raises `UsageError` for an unknown name, `InputError` if its files are not there or its card is
    damaged.
    """
    if name not in NAMES:
        raise unknown_name("shipped model", name, list(NAMES))
    if not is_shipped(name):
        raise InputError(
            "the weights of this model are not in this installation",
            file=HOME / name,
            field="model",
            value=name,
            expected=f"{MODEL}, {WEIGHTS} and {CARD}",
            remedy="install fathom again, or give a file: --weights FILE",
        )
    return read_card(HOME / name)


def read_card(folder: Path) -> Shipped:
    """The record in the folder of a model. Raises `InputError` if it is missing or damaged."""
    path = folder / CARD
    try:
        card = json.loads(read_bytes(path, "card of a shipped model (JSON)", _LARGEST))
        own = [MODEL_INT8] if MODEL_INT8 in card["sha256"] else []
        hashes = {name: str(card["sha256"][name]) for name in (MODEL, WEIGHTS, *own)}
        sizes = int(card["divisor"]), int(card["max_disparity"])
        return Shipped(str(card["name"]), folder, str(card["licence"]), hashes, *sizes, card)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"is no card of a model: {type(error).__name__}: {error}",
            file=path,
            expected="name, licence, divisor, max_disparity and sha256 as JSON",
            remedy=_REMEDY,
        ) from error


def check_file(path: PathLike, sha256: str) -> None:
    """Passes if the file's content has that SHA-256 (hexadecimal).

    Raises `InputError` if the file is missing or empty, or its hash is another: it is truncated,
    damaged or of another version.
    """
    found = digest_of(path)
    if found != sha256.lower():
        raise InputError(
            "is damaged, truncated or of another version",
            file=path,
            field="sha256",
            value=f"{found[:16]}...",
            expected=f"{sha256[:16]}...",
            remedy=_REMEDY,
        )


def digest_of(path: PathLike) -> str:
    """SHA-256 of a file's content (of .xml, then of the .bin beside it), hexadecimal. Raises
    `InputError` if it is missing or empty."""
    digest = hashlib.sha256(read_bytes(path, "model file", _LARGEST))
    if Path(path).suffix == ".xml":
        digest.update(read_bytes(Path(path).with_suffix(".bin"), "model's .bin", _LARGEST))
    return digest.hexdigest()


def make_card(folder: Path, name: str, licence: str, **about: Any) -> dict[str, Any]:
    """What card.json of the files in `folder` has to say, hashes included.

    about: `divisor` and `max_disparity` of the net, and whatever else is worth keeping: experiment,
    command, hours, machine, seed, scores.

    Raises `InputError` if the model or its weights are missing.
    """
    own = [MODEL_INT8] if (folder / MODEL_INT8).is_file() else []
    hashes = {file: digest_of(folder / file) for file in (MODEL, WEIGHTS, *own)}
    return {"name": name, "licence": licence, **about, "sha256": hashes}
