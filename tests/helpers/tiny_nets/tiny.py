"""Two nets as `fathom.nets` has them, with published weights, and small enough for tests."""

from collections.abc import Mapping

from torch import Tensor, nn

from fathom.published.record import Licences, Weights


class Tiny(nn.Module):
    """A convolution, a norm, and a convolution."""

    def __init__(self, width: int, last: int = 1) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.leave = nn.Conv2d(width, last, 1)


_NAMES = {"enter.": "encoder.0.", "norm.": "encoder.1.", "leave.": "decoder."}


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official names onto ours."""
    return {_renamed(k, {b: a for a, b in _NAMES.items()}): v for k, v in state.items()}


def unconvert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`convert` undone."""
    return {_renamed(k, _NAMES): v for k, v in state.items()}


def _renamed(name: str, pairs: Mapping[str, str]) -> str:
    for a, b in pairs.items():
        if name.startswith(a):
            return b + name[len(a) :]
    return name


WEIGHTS = (
    Weights(
        "tiny-things",
        "tiny",
        "trained on things",
        Licences("MIT", "CC-BY-4.0", "things: research only"),
        "the authors' repository: things.pth",
        bytes=4000,
    ),
    Weights(
        "tiny-wide-web",
        "tiny",
        "the wide one",
        Licences("MIT", "MIT"),
        "example.org",
        url="https://example.org/wide.pth",
        sha256="a" * 64,
        settings={"wide": True},
    ),
)


def tiny(*, wide: bool = False) -> Tiny:
    """The net that was published."""
    return Tiny(8 if wide else 4)


def tiny_two() -> Tiny:
    """Another one, of which no weights were published."""
    return Tiny(4, 2)
