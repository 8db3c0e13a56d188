"""Whether a net is running, or being written down as a graph for other runtimes."""

from typing import Any

import torch


def exporting() -> bool:
    """True while a graph is made of what is called: detours that spare a processor torch's own slow
    code have no place in it, and sizes must stay what they are, numbers of the input."""
    # torch 2.6 has no is_exporting
    asked = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)
    traced: Any = torch.jit.is_tracing  # type: ignore[attr-defined]
    return bool(traced() or asked())
