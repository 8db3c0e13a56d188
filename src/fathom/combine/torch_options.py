"""Options that the estimators of nets in torch share: their words and their checks, said once."""

from typing import Any, Literal, Protocol, get_args

from fathom.classical.checks import Searching, check_search
from fathom.combine.engines import check_engine
from fathom.core.errors import unknown_name
from fathom.core.options import option

Precision = Literal["fp32", "bf16"]


class _Settings(Searching, Protocol):
    @property
    def precision(self) -> Precision: ...
    @property
    def device(self) -> str: ...


def check_options(settings: _Settings) -> None:
    """Raises `UsageError` for a precision or device there is not, or as `check_search`."""
    if settings.precision not in get_args(Precision):
        raise unknown_name("precision", str(settings.precision), list(get_args(Precision)))
    check_search(settings)
    check_engine(settings.device, None)


def precision(of: str = "") -> Any:
    """A field: fp32 or bf16. of: words before, where more than the net is computed."""
    return option("fp32", f"{of}bf16 = autocast")


def compiled() -> Any:
    """A field: whether torch.compile is used."""
    return option(False, "let torch.compile make it faster; the first pair takes minutes")


def filled() -> Any:
    """A field: whether values stay that rest on no match."""
    return option(True, "keep values where the right view shows nothing to match")


def threads() -> Any:
    """A field: torch's threads."""
    return option(None, "torch's threads; default: as torch decides")


def memory_limit() -> Any:
    """A field: the most memory, in bytes."""
    return option(None, "largest memory in bytes; default: 80 % of what is available")


def device(of: str = "") -> Any:
    """A field: where the net runs. of: as of `precision`."""
    return option("cpu", f"{of}cpu, cuda, cuda:N or mps")


def weights() -> Any:
    """A field: which weights."""
    return option(None, "file of weights (.safetensors), or a name they are kept as")
