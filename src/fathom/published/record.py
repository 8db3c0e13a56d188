"""What is known of one published file of weights.

Every net's module says it in its `WEIGHTS`, a tuple of `Weights`; `fathom weights` gathers them.
What a net's module has beside it: `convert(state)` from the official names of tensors onto ours,
`unconvert(state)` back, and the builder that each record names.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from fathom.core.errors import UsageError

UNKNOWN = "unknown"
"""What a licence is called of which nothing is known for certain."""
RECIPES: Mapping[str, str] = MappingProxyType(
    {
        "aanet-gcnet": "aanet_gcnet",
        "gc-net": "gc_net",
        "gwcnet-g": "gwcnet",
        "hitnet-kitti": "hitnet",
        "psmnet-basic": "psmnet",
        "psmnet-cspn": "psmnet_cspn",
        "spn": "cspn",
        "ssmnet": "ssmnet",
    }
)
"""The nets of which no weights were published -> the file in `experiments` that trains them."""
Setting = int | float | str | bool
State = Literal["ready", "download", "convert"]
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def none_published(model: str) -> str | None:
    """What to do where no weights of a net were published, in words; None if some were."""
    if model not in RECIPES:
        return None
    return (
        f"none were published: train it (experiments/{RECIPES[model]}.py says how), "
        "then give --weights FILE"
    )


@dataclass(frozen=True)
class Licences:
    """Three licences, which are often different ones: of the code that the weights come from, of
    the weights themselves, and of the data they were trained on.

    SPDX names where there is one ("MIT", "Apache-2.0", "CC-BY-NC-SA-3.0"), else a few words.
    """

    code: str = UNKNOWN
    weights: str = UNKNOWN
    data: str = UNKNOWN


@dataclass(frozen=True)
class Weights:
    """A file of weights that the authors of a net published.

    name: ours for this file, "raft-stereo-eth3d"; small letters, digits, dots and hyphens.
    model: the catalog's name of the net. variant: what sets this file apart, in words ("trained on
    Scene Flow"). licences: of code, weights and data. source: where it is to be had, in words; an
    address only where it is known for certain. url, sha256: address of the file itself, as its
    authors give it, and its digest; where that is not known, the digest of what comes is kept and
    told. bytes: its size. builder: the function in the net's
    module that makes the net, default the model's name with _ for -. settings: its keyword
    arguments for this file.

    Raises `UsageError` for a name, an address, a digest or a size that is none.
    """

    name: str
    model: str
    variant: str
    licences: Licences
    source: str
    url: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    builder: str = ""
    settings: Mapping[str, Setting] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.sha256 is not None and not _SHA256.fullmatch(self.sha256):
            raise UsageError(
                "is no SHA-256", field="sha256", value=self.sha256,
                expected="64 hexadecimal digits, small letters",
            )  # fmt: skip
        if self.url is not None and not self.url.startswith("https://"):
            raise UsageError(
                "is no https address", field="url", value=self.url, expected="https://..., or None"
            )
        if self.bytes is not None and self.bytes < 1:
            raise UsageError(
                "is no size", field="bytes", value=self.bytes, expected="1 or more, or None"
            )

    @property
    def state(self) -> State:
        """What has to be done before it can be used, if nothing was done yet: `download` where the
        file's address is known, else `convert`."""
        return "convert" if self.url is None else "download"


def check_name(name: str) -> None:
    """Passes if weights can be kept under `name`. Raises `UsageError` otherwise."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            "is no name for weights", field="name", value=name,
            expected="small letters, digits, dots and hyphens, such as raft-stereo-eth3d",
        )  # fmt: skip
