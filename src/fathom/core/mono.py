"""What a model that sees one view may tell beside the map itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from fathom.core.errors import InputError
from fathom.core.maps import Depth, RelativeDepth
from fathom.core.pair import View


@dataclass(frozen=True, eq=False)
class MonoAnswer:
    """map: of the view it was asked about, of its size. focal: focal length in pixels of that view
    as the model estimates it (Depth Pro), None for models that do not.

    Raises `InputError` for a focal length that is not above 0.
    """

    map: Depth | RelativeDepth
    focal: float | None = None

    def __post_init__(self) -> None:
        if self.focal is not None and not 0 < self.focal < float("inf"):
            raise InputError("is no focal length", field="focal", value=self.focal, expected="> 0")


@runtime_checkable
class AnswersMany(Protocol):
    """A model that takes several views at once: as a batch, or, where its catalog entry says
    `clip`, as the frames of one video in their order."""

    def answers(self, views: Sequence[View], /) -> list[MonoAnswer]: ...
