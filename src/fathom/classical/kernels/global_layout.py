"""What the kernels of the global methods take, and the kernels themselves by name; without numba.

A volume is flat, (h, w, levels) in C order, `levels` being the number of labels rounded up to
whole vectors where the kernel works on vectors; labels that only fill up cost 65535. Weights
are (h, w): `across[y, x]` of the edge from x to x + 1, `down[y, x]` of the edge from y to y + 1.
"""

from typing import Any, NamedTuple

from fathom.classical.native import Kernel

LONGEST = 64
"""Largest truncation: distance transforms are made by shifts of up to 32 labels."""


class Shape(NamedTuple):
    """Sizes. labels: how many there are. levels: the same, rounded up to whole vectors.
    truncation: the largest difference of labels that still costs more."""

    height: int
    width: int
    labels: int
    levels: int
    truncation: int


class Terms(NamedTuple):
    """The energy: data, across and down."""

    data: Any
    across: Any
    down: Any


class Found(NamedTuple):
    """Results, (h, w) each. labels: int32, -1 where there is none. offsets: float32 sub-pixel part
    within -0.5..0.5. margin: uint16, what the best label that is no neighbour costs more."""

    labels: Any
    offsets: Any
    margin: Any


class Graph(NamedTuple):
    """A residual graph on the grid of (h + 2, w + 2) nodes whose outermost ones stay unconnected.
    capacity: (4, nodes) to the right, left, below, above. terminal: (nodes,) from the source, or
    if negative to the sink."""

    capacity: Any
    terminal: Any


class Trees(NamedTuple):
    """Working memory of the maximum flow, (nodes,) each: tree a node belongs to, direction of its
    parent, when and how far from the root it was last seen, whether it waits in the queue, and the
    two rings of waiting nodes (one entry longer). state: (8,) heads, tails and the clock."""

    tree: Any
    parent: Any
    stamp: Any
    distance: Any
    queued: Any
    active: Any
    orphans: Any
    state: Any


_TERMS = "fathom.classical.kernels.terms"
_BELIEF = "fathom.classical.kernels.belief"
_EXPANSION = "fathom.classical.kernels.expansion"
_SCANLINE = "fathom.classical.kernels.scanline"

quantise = Kernel(_TERMS, "quantise_terms")
mirror = Kernel(_TERMS, "mirror_terms")
judge = Kernel(_TERMS, "judge_labels")
send = Kernel(_BELIEF, "send_messages")
believe = Kernel(_BELIEF, "take_beliefs")
coarsen = Kernel(_BELIEF, "coarsen_terms")
refine = Kernel(_BELIEF, "refine_messages")
expand = Kernel(_EXPANSION, "expand_label")
flow = Kernel(_EXPANSION, "grid_flow")
align = Kernel(_SCANLINE, "align_rows")
chain = Kernel(_SCANLINE, "chain_rows")
KERNELS = (quantise, mirror, judge, send, believe, coarsen, refine, expand, flow, align, chain)
