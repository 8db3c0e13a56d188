"""What a part of a net computes on its way, made again for the gradient instead of kept.

Training keeps every intermediate result until its gradient is asked for. Nets that convolve cost
volumes keep dozens of large ones; with this they keep what goes into a part and nothing within it,
and the part runs once more when its gradient's turn comes. Parts may lie in each other.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch
from torch import nn

from fathom.layers.exporting import exporting

T = TypeVar("T")


def remade(function: Callable[..., T], *given: object, of: nn.Module) -> T:
    """function(*given), without what it computes on the way being kept for the gradient.

    of: the module that has all modules that the function calls. The second run works on copies of
    their buffers: running means move once, as if nothing had run again. Outside of training and
    without gradients the function is just called.
    """
    if not (of.training and torch.is_grad_enabled()) or exporting():
        return function(*given)
    from torch.utils.checkpoint import checkpoint

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _on_copies(of)

    out: T = checkpoint(function, *given, use_reentrant=False, context_fn=contexts)
    return out


@contextmanager
def _on_copies(module: nn.Module) -> Iterator[None]:
    """While open, the module has copies of its buffers. The tensors themselves cannot be set back
    afterwards: the gradient wants what it has seen to be unchanged."""
    real = [(m, n, b) for m in module.modules() for n, b in m.named_buffers(recurse=False)]
    try:
        for owner, name, buffer in real:
            setattr(owner, name, buffer.clone())
        yield
    finally:
        for owner, name, buffer in real:
            setattr(owner, name, buffer)
