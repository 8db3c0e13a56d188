"""Which nets can be adapted: the shipped ones and those of the published networks, with what each
wants of its frames, and how its weights are written so that `fathom.create` reads them."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fathom.catalog import entries, entry
from fathom.classical.channels import pair_channels
from fathom.classical.sgm import SGM
from fathom.combine.converted import file_of
from fathom.combine.networks import frame_of
from fathom.combine.search import search_of
from fathom.core.arrays import Array
from fathom.core.errors import UsageError, unknown_name
from fathom.core.pair import StereoPair
from fathom.layers.state import load_state
from fathom.nets.shipped import BUILDERS, net_of, net_of_weights
from fathom.published.store import read_header, write_weights
from fathom.train.checkpoint import read_weights

_NETWORK = "fathom.combine.networks:Network"


@dataclass(frozen=True)
class Evidence:
    """Semi-global matching's channels of a pair, searched below `max_disparity` pixels."""

    max_disparity: int

    def __call__(self, pair: StereoPair) -> Array:
        """float32 (6, h, w). Raises as `pair_channels`."""
        end = max(1, min(self.max_disparity, pair.size[0] - 1))
        return pair_channels(pair, SGM(max_disparity=end, threads=1))


@dataclass(frozen=True)
class Needs:
    """divisor: of the sizes the net takes. limit: it finds disparities below this. factor: by which
    frames are reduced so that their range fits. evidence: what it wants beside the images."""

    divisor: int
    limit: int
    factor: int = 1
    evidence: Evidence | None = None


@dataclass(frozen=True)
class Start:
    """A model of the catalog and the weights that adaptation begins with; called, it builds the
    net. weights: a file; None: the shipped ones, or those kept by the model's name."""

    model: str
    weights: str | None = field(default=None, compare=False)  # `fathom adapt` compares the content

    def __call__(self) -> nn.Module:
        """The net with its weights. Raises `InputError` for weights that are missing or another
        net's, `UsageError` for a model that cannot be adapted or that there is not."""
        if self.model in BUILDERS:
            if self.weights is None:
                return net_of(self.model)
            return net_of_weights(read_weights(self.weights), self.weights)
        module, (file, _) = self._module(), file_of(self.model, self.weights)
        builder = getattr(
            importlib.import_module(f"fathom.nets.stereo.{module}"),
            frame_of(self.model, module).builder,
        )
        net: nn.Module = builder(**read_header(file).settings)
        load_state(net, read_weights(file), file)
        return net

    def needs(self, pair: StereoPair) -> Needs:
        """What frames like this pair have to be for the net. Raises as a call."""
        if self.model in BUILDERS:
            config: Any = self().config
            search = search_of(pair, 0, None, None, config.max_disparity)
            evidence = Evidence(search.levels)
            return Needs(config.divisor, config.max_disparity, search.factor, evidence)
        frame = frame_of(self.model, self._module())
        return Needs(frame.divisor, frame.levels or pair.size[0])

    def write(self, path: Path, state: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Writes weights as `fathom.create(model, weights=path)` reads them, whole or not at all.
        The form of the net and the licences are those of the weights it began with. about: JSON
        values. Raises `ResourceError` if they cannot be written."""
        own: dict[str, Any] = {"model": self.model, "settings": {}}
        if self.model not in BUILDERS:
            kept = read_header(file_of(self.model, self.weights)[0])
            own["settings"] = kept.settings
            own |= {name: kept.about[name] for name in ("licences",) if name in kept.about}
        arrays = {name: value.detach().cpu().numpy() for name, value in state.items()}
        write_weights(path, arrays, {**own, **about})

    def _module(self) -> str:
        known = [*BUILDERS, *(e.name for e in entries() if e.target == _NETWORK)]
        if self.model not in known:
            if self.model in {e.name for e in entries()}:
                raise UsageError(
                    "cannot be adapted", field="model", value=self.model,
                    expected=" or ".join(known),
                )  # fmt: skip
            raise unknown_name("model to adapt", self.model, known)
        return str(dict(entry(self.model).preset)["module"])
