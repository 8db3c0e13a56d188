"""What readers, scenes, training and evaluation exchange: an input with its truth."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from fathom.core.arrays import Array, frozen
from fathom.core.errors import InputError
from fathom.core.maps import Depth, Disparity
from fathom.core.pair import StereoPair, View


def _masks(masks: Mapping[str, Array], shape: tuple[int, int]) -> Mapping[str, Array]:
    checked = {}
    for name, values in masks.items():
        mask = np.asarray(values)
        if mask.shape != shape or mask.dtype != np.bool_:
            raise InputError(
                "does not fit the view",
                field=f"masks[{name}]",
                value=f"{mask.dtype} {mask.shape}",
                expected=f"bool {shape}",
            )
        checked[name] = frozen(mask)
    return MappingProxyType(checked)


@dataclass(frozen=True, eq=False)
class StereoSample:
    """A pair with its true disparity.

    pair: the rectified pair. truth: true disparity of the left view, or None. masks: name ->
    bool (h, w) in the left view, for example "nonocc" (seen by both). name: unique in its data set.

    Raises `InputError` if truth or a mask does not fit the pair's size.
    """

    pair: StereoPair
    truth: Disparity | None = None
    masks: Mapping[str, Array] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        _fits(self.truth, self.pair.shape)
        object.__setattr__(self, "masks", _masks(self.masks, self.pair.shape))


@dataclass(frozen=True, eq=False)
class MonoSample:
    """A view with its true depth; fields as in `StereoSample`."""

    view: View
    truth: Depth | None = None
    masks: Mapping[str, Array] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        _fits(self.truth, self.view.shape)
        object.__setattr__(self, "masks", _masks(self.masks, self.view.shape))


def _fits(truth: Disparity | Depth | None, shape: tuple[int, int]) -> None:
    if truth is not None and truth.shape != shape:
        raise InputError(
            "differs in size from the view", field="truth", value=truth.shape, expected=str(shape)
        )
