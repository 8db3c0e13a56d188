"""More Global Matching: the traversals of `kernels.moreglobal` over a whole image.

Facciolo, de Franchis and Meinhardt, BMVC 2015. Each of 4 or 8 traversals goes over the image tile
by tile; the costs are made once and kept, since every traversal needs them.
"""

from collections.abc import Callable

import numpy as np

from fathom.classical.buffers import aligned, fresh_slots, scratch
from fathom.classical.kernels import layout as kernels
from fathom.classical.parallel import run_blocks, run_wavefront
from fathom.core.arrays import Array

_TILE = (128, 32)
"""Largest columns and rows of a tile."""
_ROWS = 32
"""Rows that a thread takes at once where rows do not depend on each other."""


def traverse(
    costs: kernels.Costs,
    sums: Array,
    found: kernels.Winners,
    frame: kernels.Frame,
    threads: int,
) -> None:
    """All traversals of `frame.paths` (4 or 8), and the winners into `found`.

    sums: room for the (h, w, levels) sums, flat.
    """
    cells = aligned(frame.height * frame.width * frame.levels, np.uint8)
    _by_rows(
        lambda room, top, bottom: kernels.cost_rows(costs, cells, frame, room, top, bottom),
        frame,
        threads,
    )
    for number, line in enumerate(lines(frame.height, frame.width, frame.paths)):
        job = kernels.STORE if number == 0 else kernels.ADD
        _traversal(line, job, costs, cells, sums, frame, threads)
    _by_rows(
        lambda room, top, bottom: kernels.win_rows(cells, sums, found, frame, room, top, bottom),
        frame,
        threads,
    )


def lines(height: int, width: int, paths: int) -> list[kernels.Line]:
    """The traversals: four that spread over quadrants, and four that spread along rows (downwards,
    upwards) and columns (to the right, to the left)."""
    far_x, far_y = width - 1, (height - 1) * width
    corners = [(0, 1, width), (far_x, -1, width), (far_y, 1, -width), (far_y + far_x, -1, -width)]
    found = [kernels.Line(*corner, width, height, 0) for corner in corners]
    if paths == 8:
        found += [
            kernels.Line(0, 1, width, width, height, 1),
            kernels.Line(far_y, 1, -width, width, height, 1),
            kernels.Line(0, width, 1, height, width, 1),
            kernels.Line(far_x, width, -1, height, width, 1),
        ]
    return found


def _traversal(
    line: kernels.Line,
    job: int,
    costs: kernels.Costs,
    cells: Array,
    sums: Array,
    frame: kernels.Frame,
    threads: int,
) -> None:
    # two lines of slots and one that no path ever reaches
    state = kernels.Paths(*fresh_slots(2 * line.across + 1, frame.levels), sums)
    call = kernels.traverse_tile.bound(costs, cells, state, frame, line)
    columns, rows = _TILE

    def tile(row: int, column: int) -> None:
        top, start = row * rows, column * columns
        bottom = min(top + rows, line.down)
        end = start + columns
        if start < bottom - 1 + line.across and end > top:
            call(kernels.Tile(top, bottom, start, end, 0, job))

    reach = line.across + line.down - 1
    run_wavefront(tile, -(-line.down // rows), -(-reach // columns), threads)


def _by_rows(
    call: Callable[[kernels.Scratch, int, int], None], frame: kernels.Frame, threads: int
) -> None:
    rooms: list[kernels.Scratch] = []

    def block(i: int) -> None:
        room = rooms.pop() if rooms else scratch(frame.width, frame.levels)
        call(room, i * _ROWS, min((i + 1) * _ROWS, frame.height))
        rooms.append(room)

    run_blocks(block, -(-frame.height // _ROWS), threads)
