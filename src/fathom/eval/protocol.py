"""What a number means: everything that published figures leave unsaid, as one object."""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from fathom.core.errors import InputError, UsageError, unknown_name
from fathom.eval.measures import Measure, Quantity, measure

Unknown = Literal["wrong", "ignored", "filled"]
AlignmentRule = Literal["none", "median", "depth", "inverse-depth", "as-predicted"]
Mean = Literal["images", "pixels"]
MASK_TERMS = ("all", "nonocc", "occluded", "foreground", "background", "disc")


@dataclass(frozen=True)
class Crop:
    """The window that is judged: rows top..bottom, columns left..right (the ends not included).

    As shares of the image's height and width, rounded down; or in pixels of an image of `size`
    (height, width), and then of no other.
    """

    top: float
    bottom: float
    left: float
    right: float
    size: tuple[int, int] | None = None

    def window(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns of an image of (height, width).

        Raises `InputError` if the crop is for images of another size.
        """
        height, width = shape
        if self.size is not None:
            if shape != self.size:
                raise InputError(
                    "the protocol's crop is for another image size",
                    field="truth",
                    value=f"{width}x{height}",
                    expected=f"{self.size[1]}x{self.size[0]}",
                    remedy="score at the data set's own size",
                )
            height = width = 1
        return (
            slice(int(self.top * height), int(self.bottom * height)),
            slice(int(self.left * width), int(self.right * width)),
        )

    def __str__(self) -> str:
        if self.size is not None:
            return (
                f"rows {self.top:g}..{self.bottom:g}, columns {self.left:g}..{self.right:g} "
                f"of {self.size[1]}x{self.size[0]}"
            )
        return f"rows {self.top:.1%}..{self.bottom:.1%}, columns {self.left:.1%}..{self.right:.1%}"


@dataclass(frozen=True)
class Protocol:
    """How an estimate is judged. A number without its protocol is no number.

    name: as printed beside every figure. quantity: what is compared, disparities in pixels or
    depths in metres. summary: one line. source: where the rules stand. metrics: names that
    `fathom.eval.measures.measure` knows, the headline first. masks: what can be judged, the usual
    one first: `MASK_TERMS` joined by +. unknown: pixels the estimate does not know count as `wrong`
    in shares (and are left out of means and quantiles), are `ignored`, or are `filled` by KITTI's
    rule first. disparity_cap: truths at or above it, in pixels, are not judged. clip: estimates are
    clipped to 0 .. the rig's largest disparity, or to depth_range. depth_range: truths outside, in
    metres, are not judged. crop: the window that is judged. alignment: how an estimate is fitted to
    the truth first; `as-predicted` takes the ambiguity that a relative depth names. enlarge:
    factors by which the truth may be larger than the estimate. mean: how published tables average a
    data set.

    Raises `UsageError` for an unknown metric or mask, or settings that contradict each other.
    """

    name: str
    quantity: Quantity
    summary: str
    source: str
    metrics: tuple[str, ...]
    masks: tuple[str, ...] = ("all",)
    unknown: Unknown = "wrong"
    disparity_cap: float | None = None
    clip: bool = False
    depth_range: tuple[float, float] | None = None
    crop: Crop | None = None
    alignment: AlignmentRule = "none"
    enlarge: tuple[int, ...] = (1,)
    mean: Mean = "images"

    def __post_init__(self) -> None:
        for name in self.metrics:
            measure(name, self.quantity)
        for mask in self.masks:
            check_mask(mask)
        if not self.metrics or not self.masks:
            raise UsageError("is empty", field="metrics" if self.masks else "masks")
        wrong = self._contradiction()
        if wrong:
            raise UsageError(
                f"says nothing about {self.quantity}", field=wrong, value=getattr(self, wrong)
            )
        if self.depth_range is not None and not 0 <= self.depth_range[0] < self.depth_range[1]:
            raise UsageError(
                "is no range of depth",
                field="depth_range",
                value=self.depth_range,
                expected="0 <= near < far in metres",
            )

    def _contradiction(self) -> str:
        """The field that is set, but has no meaning for this quantity."""
        settings: dict[str, dict[str, object]] = {
            "disparity": {"depth_range": self.depth_range, "alignment": self.alignment != "none"},
            "depth": {
                "disparity_cap": self.disparity_cap,
                "enlarge": self.enlarge != (1,),
                "unknown": self.unknown == "filled",
            },
        }
        return next((name for name, value in settings[self.quantity].items() if value), "")

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The metrics, looked up."""
        return tuple(measure(name, self.quantity) for name in self.metrics)

    def varied(self, **changes: Any) -> "Protocol":
        """The same protocol with other settings, which its name then says.

        >>> from fathom.eval.protocols import protocol
        >>> protocol("nyuv2-eigen").varied(alignment="median").name
        'nyuv2-eigen, alignment=median'

        Raises `UsageError` for a setting that protocols do not have, or a value it cannot take.
        """
        known = [f.name for f in fields(self) if f.name not in ("name", "quantity", "source")]
        told = []
        for key, value in changes.items():
            if key not in known:
                raise unknown_name("setting of a protocol:", key, known)
            if value == getattr(self, key):
                continue
            # Which metrics are shown or which mask is taken stands beside the number anyway.
            if key not in ("metrics", "masks", "summary", "mean"):
                told.append(f"{key.replace('_', '-')}={_brief(value)}")
        return replace(self, name=", ".join([self.name, *told]), **changes)

    def rules(self) -> str:
        """Everything but names and metrics, in one line."""
        parts = [f"unknown {'= wrong' if self.unknown == 'wrong' else self.unknown}"]
        if self.disparity_cap is not None:
            parts.append(f"truth < {self.disparity_cap:g} px")
        if self.depth_range is not None:
            parts.append(f"truth in {self.depth_range[0]:g}..{self.depth_range[1]:g} m")
        if self.clip:
            limit = "0 .. the rig's largest disparity" if self.quantity == "disparity" else "it"
            parts.append(f"estimate clipped to {limit}")
        if self.crop is not None:
            parts.append(f"crop {self.crop}")
        if self.alignment != "none":
            parts.append(f"aligned: {self.alignment}")
        if self.enlarge != (1,):
            parts.append(
                "estimate may be " + " or ".join(f"1/{f}" for f in self.enlarge if f > 1) + " size"
            )
        parts.append(f"mean over {self.mean}")
        return "; ".join(parts)

    def __str__(self) -> str:
        return self.name


def check_mask(mask: str) -> None:
    """Raises `UsageError` if `mask` is not made of known terms."""
    for term in mask.split("+"):
        if term not in MASK_TERMS:
            raise unknown_name("mask", term, list(MASK_TERMS))


def _brief(value: Any) -> str:
    if isinstance(value, tuple):
        return "..".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
