"""How any pair is fitted to a published net: sizes, borders, disparities, memory.

Every net's module says it in its `FRAMES`, one `Frame` for each name it has in the catalog;
`fathom.combine.networks.Network` does it. What is put around an image is the authors' choice, and
changes the disparities near it.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from fathom.core.errors import UsageError

Place = Literal["below", "above", "above-left", "centre"]
"""Where the room is that a net's size needs: below and at the right of the image; above and at the
right; above and at the left; on all sides, the odd row and column below and at the right."""
Border = Literal["edge", "zero"] | tuple[float, float, float]
MEAN_COLOUR = (123.675, 116.28, 103.53)
"""The mean colour of ImageNet's images in 0..255: what becomes 0 where that is subtracted."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What a net takes.

    builder: the function of the net's module that makes it. levels: the disparities it was
    published with, searched from the smallest on; None for a net without a range, whose values
    outside the range asked for become unknown. step: another number of disparities is rounded up
    to a multiple of this, and the builder is called with max_disparity; None where `levels` is
    fixed (or there is no range). divisor: both sides of an image are multiples of it. smallest:
    neither is below this. place, border: where the image lies in the net's size, and what is put
    around it: its own edge, zeros, or a colour (r, g, b) in 0..255. voxel_bytes: peak memory of one
    forward on the CPU for a pixel (of the net's size) and a disparity. pixel_bytes: for a pixel
    besides. options: further keyword arguments of the builder that users may set.

    Raises `UsageError` for sizes below 1, or a step without levels.
    """

    builder: str
    levels: int | None
    step: int | None = None
    divisor: int = 32
    smallest: int = 1
    place: Place = "below"
    border: Border = "edge"
    voxel_bytes: int = 0
    pixel_bytes: int = 0
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        sizes = (self.divisor, self.smallest, self.step or 1, self.levels or 1)
        if min(sizes) < 1 or min(self.voxel_bytes, self.pixel_bytes) < 0:
            raise UsageError("takes no image", field="Frame", value=self, expected="sizes >= 1")
        if self.step is not None and self.levels is None:
            raise UsageError(
                "has a step, but no levels", field="step", value=self.step, expected="None"
            )
        if self.place not in get_args(Place):
            raise UsageError(
                "is no place", field="place", value=self.place, expected=str(get_args(Place))
            )

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The least (height, width) the net takes that holds such an image."""
        up = (-(-n // self.divisor) * self.divisor for n in (height, width))
        least = -(-self.smallest // self.divisor) * self.divisor
        tall, wide = (max(n, least) for n in up)
        return tall, wide

    def corner(self, shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
        """Row and column of the image's upper left corner in the net's `size`."""
        rooms = (size[0] - shape[0], size[1] - shape[1])
        if self.place == "centre":
            return rooms[0] // 2, rooms[1] // 2
        above = self.place in ("above", "above-left")
        return rooms[0] if above else 0, rooms[1] if self.place == "above-left" else 0

    def searched(self, wanted: int) -> int | None:
        """How many disparities the net searches when so many are wanted; None: without a range.

        Raises `UsageError` if the net has a fixed number of them, and more are wanted.
        """
        if self.levels is None:
            return None
        if self.step is not None:
            return -(-wanted // self.step) * self.step
        if wanted > self.levels:
            raise UsageError(
                f"is more than the {self.levels} disparities of this net",
                field="max_disparity",
                value=wanted,
                expected=f"at most {self.levels} above min_disparity",
                remedy="go from coarse to fine by --pyramid, or reduce the images by --scale",
            )
        return self.levels

    def memory(self, size: tuple[int, int], levels: int | None) -> int:
        """Bytes that one forward needs at its peak on the CPU, weights excluded."""
        return size[0] * size[1] * (self.pixel_bytes + self.voxel_bytes * (levels or 0))
