"""What the catalog says of one estimator."""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from fathom.core.maps import Ambiguity
from fathom.weights import is_shipped

Task = Literal["stereo", "mono", "refine"]
Parameter = int | float | str | bool | None
State = Literal["ready", "install", "missing", "download", "convert", "train"]
_RUNTIMES = ("openvino", "onnxruntime")
_PACKAGES = {
    "mono": ("torch", "transformers", "huggingface_hub"),
    "diffusion": ("torch", "diffusers", "transformers", "huggingface_hub"),
}
"""What the extras of models on the hub bring."""


@dataclass(frozen=True)
class Hub:
    """Where weights lie on the hub. repo: "owner/name". revision: the commit that is meant.
    megabytes: of the download, 0 where it is not known; half: in half
    precision, 0 where it has none."""

    repo: str
    revision: str
    megabytes: int = 0
    half: int = 0

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, which never changes, and no branch."""
        return len(self.revision) == 40 and not set(self.revision) - set("0123456789abcdef")


@dataclass(frozen=True)
class Entry:
    """One estimator of the catalog.

    name: what `create` takes. target: "module:builder"; the builder's keyword parameters are the
    estimator's. task: what it does. summary: one line, also when to take it. extra: the pip extra
    it needs, "" for none. licence: of the code and weights it uses. weights: name of the weights
    it needs, "" for none. confidence: whether it has a confidence of its own; where it has none,
    `create` wraps it with the flip check. preset: parameters of the builder that make it this one.
    converted: its weights are the authors', which the user converts.

    Of depth from one image alone. ambiguity: what stands between the answer and metres, None for
    metres themselves. hub: where its weights are fetched from on request. side: pixels of the
    image's shorter side (or of both) that it was made for. clip: several views are one video.
    """

    name: str
    target: str
    task: Task
    summary: str
    extra: str = ""
    licence: str = "Apache-2.0"
    weights: str = ""
    confidence: bool = True
    preset: tuple[tuple[str, Parameter], ...] = ()
    converted: bool = False
    ambiguity: Ambiguity | None = None
    hub: Hub | None = None
    side: int | None = None
    clip: bool = False

    @property
    def state(self) -> State:
        """Whether it runs at once ("ready"), wants a runtime to be installed ("install"), or its
        shipped weights are not in this installation ("missing"), or its authors' weights must be
        converted first ("convert"), or were never published ("train"), or must be fetched from the
        hub ("download"). Nothing is imported for that but what looks at files."""
        if self.hub is not None:
            return _of_hub(self.weights or self.name, self.extra, self.hub)
        if not self.weights:
            return "ready"
        if self.converted:
            return _kept(self.weights)
        if not is_shipped(self.weights):
            return "missing"
        return "ready" if _runtime() else "install"

    def builder(self) -> Callable[..., Any]:
        """The callable behind `target`."""
        module, name = self.target.split(":")
        builder: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return builder

    def prepare(self, notify: Callable[[str, int, int], None]) -> None:
        """Compiles what the method needs compiled, if this machine has not done so yet.

        notify(name, index, count) is called before each compilation, and not at all when nothing
        is to be done. A method says what it needs by a `prepare(notify)` beside its builder.
        """
        home = importlib.import_module(self.target.split(":")[0])
        if hasattr(home, "prepare"):
            home.prepare(notify)


def _kept(weights: str) -> State:
    """Whether torch is installed and converted weights are kept under that name; else whether there
    are any that could be converted."""
    if importlib.util.find_spec("torch") is None:
        return "install"
    from fathom.published.record import none_published
    from fathom.published.store import has_weights

    if has_weights(weights):
        return "ready"
    return "convert" if none_published(weights) is None else "train"


def _of_hub(name: str, extra: str, hub: Hub) -> State:
    """Whether the packages are installed and the hub's cache, or a converted file, has weights."""
    if any(importlib.util.find_spec(package) is None for package in _PACKAGES.get(extra, ())):
        return "install"
    from fathom.published.hub import Address, cached
    from fathom.published.store import has_weights

    there = cached(Address(hub.repo, hub.revision)) is not None or has_weights(name)
    return "ready" if there else "download"


def _runtime() -> bool:
    """Whether anything that runs exported models is installed."""
    return any(importlib.util.find_spec(name) is not None for name in _RUNTIMES)
