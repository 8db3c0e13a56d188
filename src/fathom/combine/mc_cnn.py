"""MC-CNN as an estimator: `mc-cnn-fast` and `mc-cnn-accurate`.

The network (`nets/stereo/mc_cnn.py`) gives a cost for every pixel and disparity; the steps of the
paper make a map of them (`classical/mc_cnn.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fathom.classical import aggregate, mc_cnn, path_costs, winner
from fathom.classical.confidence import with_filled
from fathom.classical.memory import check_memory
from fathom.classical.native import prepare_kernels
from fathom.classical.parallel import thread_count
from fathom.classical.ranges import resolve_range
from fathom.combine import torch_options as common
from fathom.combine.converted import Stamp, checked, file_of
from fathom.combine.flip import confidence_of_difference
from fathom.core.errors import InputError, unknown_name
from fathom.core.estimator import Needs
from fathom.core.maps import Disparity, Source
from fathom.core.options import option
from fathom.core.pair import StereoPair

MODELS = ("mc-cnn-fast", "mc-cnn-accurate")
STYLES = ("kitti2012", "kitti2015", "middlebury")
_MARGIN = 96
"""Pixels beyond which the border of a tile hardly matters."""
_VOLUMES = 4
"""Volumes of costs that are held at once, at most."""


@dataclass(frozen=True, kw_only=True)
class MCCNN:
    """Costs of a network that compares patches, semi-global matching on them, and refinement.

    Žbontar and LeCun, JMLR 17(65), 2016. model: on a CPU mc-cnn-fast takes seconds for a pair of
    KITTI's size, mc-cnn-accurate many minutes. Pixels whose left and right disparity disagree are
    filled from what is around (FILLED). Confidence = P(error <= 1 px) from the left-right
    difference, by the table of the flip check. Takes up to 16 bytes a pixel and disparity.

    Raises `UsageError` for a parameter out of its range.
    """

    model: str = "mc-cnn-fast"
    max_disparity: int | None = option(
        None, "disparities searched end before this (px); default: from rig or width"
    )
    min_disparity: int = option(0, "smallest disparity searched (px), may be negative")
    style: str | None = option(
        None,
        "whose constants the steps after the costs take: kitti2012, kitti2015 or middlebury; "
        "default: as the weights",
    )
    precision: common.Precision = common.precision("of the network: ")
    fill: bool = option(True, "fill unknown pixels from their neighbours")
    confidence: bool = option(True, "compute P(error <= 1 px) per pixel")
    threads: int | None = option(
        None, "threads of the steps after the costs; default: all processors"
    )
    memory_limit: int | None = common.memory_limit()
    device: str = common.device("of the network: ")
    weights: str | None = common.weights()

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise unknown_name("model", str(self.model), list(MODELS))
        if self.style is not None and self.style not in STYLES:
            raise unknown_name("style", str(self.style), list(STYLES))
        common.check_options(self)

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """Disparity of the left view, float32 pixels; NaN where unknown (with `fill` only where
        left and right agree nowhere).

        Raises `InputError` for images smaller than the patches, and for weights that are not there,
        truncated or another net's; `UsageError` for a range outside the images; `ResourceError` if
        the memory needed exceeds `memory_limit`, or the device is not there; `MissingExtraError`
        without torch.
        """
        first, end = resolve_range(pair, self.min_disparity, self.max_disparity)
        net, style = self._net()
        _check_size(pair, 2 * net.reach + 1)
        _check_memory(pair, end - first, net.config.features, self.memory_limit)
        from fathom.nets.costs import matching_costs

        found = mc_cnn.disparity_of_costs(
            matching_costs(
                net, pair.left.rgb8, pair.right.rgb8, first, end - first, precision=self.precision
            ),
            mc_cnn.guide(pair.left),
            mc_cnn.guide(pair.right),
            mc_cnn.STEPS[f"{self.model} {self.style or style}"],
            border=net.reach,
            threads=self.threads,
        )
        out = found.disparity
        if not self.fill and out.source is not None:
            out = out.with_unknown(out.source == Source.FILLED)
        if not self.confidence:
            return out
        trust = confidence_of_difference(found.difference)
        return with_filled(out, trust, thread_count(self.threads))

    def needs(self, pair: StereoPair) -> Needs:
        """What tiles of a pair must know (see `Needs`). Grey values are normalised over what a tile
        shows, so tiles differ a little from the whole."""
        first, end = resolve_range(pair, self.min_disparity, self.max_disparity)
        features = self._net()[0].config.features

        def memory(height: int, width: int, levels: int) -> int:
            return _bytes(height, width, levels, features)

        return Needs(first, end, memory, _MARGIN)

    def _net(self) -> tuple[Any, str]:
        """The network with its weights, and the data set they were trained on."""
        return _loaded(self.model, *file_of(self.model, self.weights), self.device)


@lru_cache(maxsize=2)
def _loaded(
    model: str,
    file: str,
    stamp: Stamp,  # noqa: ARG001  # a file that changes is another one
    device: str,
) -> tuple[Any, str]:
    header = checked(file, model)
    from fathom.nets.adapter import load_net, torch_device
    from fathom.nets.stereo.mc_cnn import MCCNN as Net
    from fathom.nets.stereo.mc_cnn import config_of

    config = config_of(header.shapes, file)
    kind = "mc-cnn-accurate" if config.hidden else "mc-cnn-fast"
    if kind != model:
        raise InputError(
            f"holds a net of {kind}, not of {model}", file=file, remedy=f"use --method {kind}"
        )
    style = str(header.settings.get("variant", ""))
    if style not in STYLES:
        style = "middlebury" if config.layers > 4 else "kitti2015"
    return load_net(Net(config), file, torch_device(device)), style


def _check_size(pair: StereoPair, patch: int) -> None:
    width, height = pair.size
    if min(width, height) < patch:
        raise InputError(
            "is too small to be matched",
            field="image size",
            value=f"{width}x{height}",
            expected=f"at least {patch}x{patch}, a patch",
        )


def _check_memory(pair: StereoPair, levels: int, features: int, limit: int | None) -> None:
    width, height = pair.size
    check_memory(pair, levels, _bytes(height, width, levels, features), limit)


def _bytes(height: int, width: int, levels: int, features: int) -> int:
    return 4 * (_VOLUMES * levels + 6 * features + 40) * width * height


def prepare(notify: Callable[[str, int, int], None] | None = None) -> None:
    """Loads the kernels of the steps after the costs, compiling those not yet compiled here."""
    kernels = (*winner.KERNELS, *aggregate.KERNELS, *path_costs.KERNELS, *mc_cnn.KERNELS)
    prepare_kernels(kernels, notify)
