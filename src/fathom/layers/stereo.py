"""What every stereo net takes and gives, so that one loop trains and one adapter runs them all."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from fathom.core.arrays import Float
from fathom.core.errors import InputError, UsageError

_AXES = 4
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours in 0..1


class StereoOutput(NamedTuple):
    """What a stereo net gives.

    disparities: the outputs, finest and last first; each (b, 1, h_i, w_i) with h_i <= h, in pixels
    of the full image whatever its own size. The first has the full size. confidence: logits
    (b, 1, h, w) of P(|error of the first| <= 1 px), or None. scores: logits (b, k, h', w') of
    disparities 0, s, 2 s, ... in pixels of the full image, s = h / h', or None. inner: what a net's
    own loss wants to see besides, as that loss says; in training only. right: the disparities of
    the right view, as those of the left, where a net gives them; in training only. others: further
    disparities (b, 1, h, w) that a net judges, each with logits as `confidence`; in training only.
    """

    disparities: tuple[Tensor, ...]
    confidence: Tensor | None = None
    scores: Tensor | None = None
    inner: Any = None
    right: tuple[Tensor, ...] = ()
    others: tuple[tuple[Tensor, Tensor], ...] = ()

    def float(self) -> "StereoOutput":
        """The same in float32: bfloat16 holds a disparity of 100 to half a pixel only."""
        sure, scores = (None if t is None else t.float() for t in (self.confidence, self.scores))
        left, right = (tuple(d.float() for d in ds) for ds in (self.disparities, self.right))
        others = tuple((d.float(), c.float()) for d, c in self.others)
        return StereoOutput(left, sure, scores, self.inner, right, others)


def as_output(given: Any) -> StereoOutput:
    """What a net gave, as a `StereoOutput` in float32; a plain pair of a tuple of disparities and
    a confidence will do.

    Raises `InputError` for anything else.
    """
    if isinstance(given, tuple) and 1 <= len(given) <= len(StereoOutput._fields):
        found = StereoOutput(*given)
        outputs = found.disparities
        extra = tuple(t for t in (found.confidence, found.scores) if t is not None)
        fits = isinstance(outputs, tuple | list) and len(outputs) > 0
        if fits and all(isinstance(t, Tensor) and t.ndim == _AXES for t in (*outputs, *extra)):
            return found._replace(disparities=tuple(outputs)).float()
    raise InputError(
        "is no output of a stereo net",
        field="the net's output",
        value=type(given).__name__,
        expected="a StereoOutput: a tuple of disparities (b, 1, h, w), and a confidence or None",
    )


@runtime_checkable
class StereoNet(Protocol):
    """An `nn.Module` with this call.

    left, right: float tensors (b, 3, h, w), RGB in 0..255; normalising is the net's own business.
    h and w are multiples of the experiment's `divisor`. Nets that want more than the images (a
    first disparity, its margin, ...) take it as a third tensor (b, c, h', w'): the experiment's
    `evidence` makes it from a pair.
    """

    def __call__(
        self,
        left: Float[Tensor, "b 3 h w"],
        right: Float[Tensor, "b 3 h w"],
        /,
        *evidence: Any,
    ) -> StereoOutput:
        """The disparities of the left view, and a confidence where the net has one."""
        ...


def imagenet_colours(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """RGB in 0..255 with ImageNet's mean and spread taken off, as nets of its tradition want it."""
    mean, std = (image.new_tensor(values).view(3, 1, 1) for values in (_MEAN, _STD))
    return (image / 255 - mean) / std


def require_levels(count: int, step: int) -> None:
    """Passes if a number of disparities is a multiple of what a net needs. Raises `UsageError`
    otherwise."""
    if count < 1 or count % step:
        raise UsageError(
            "does not suit this net",
            field="max_disparity",
            value=count,
            expected=f"a multiple of {step}",
        )


def require_size(image: Tensor, divisor: int, smallest: int = 1) -> None:
    """Passes if both sides of an image (b, 3, h, w) are multiples of `divisor` and not below
    `smallest`. Raises `InputError` otherwise."""
    height, width = image.shape[-2:]
    if height % divisor or width % divisor or height < smallest or width < smallest:
        raise InputError(
            "does not suit this net",
            field="size",
            value=f"{width}x{height}",
            expected=f"multiples of {divisor}, {smallest} or more",
            remedy="extend the images, as fathom.create's estimators do",
        )
