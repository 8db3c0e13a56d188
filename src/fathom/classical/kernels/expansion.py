"""Graph cuts on the 4-connected grid: maximum flow by two search trees, and the expansion move.

Boykov and Kolmogorov, "An Experimental Comparison of Min-Cut/Max-Flow Algorithms for Energy
Minimization in Vision", PAMI 2004: a tree grows from the source (S) and one towards the sink (T);
where they touch, flow is pushed along the path; nodes whose way to the root was saturated look for
a new parent or become free. Distances to the root are remembered with the time they were seen.

A frame of unconnected nodes around the grid spares every test for the border.
"""

from typing import Any

import numpy as np
from numba import types

from fathom.classical.kernels.global_layout import Graph, Trees
from fathom.classical.kernels.simd import inlined
from fathom.classical.kernels.terms import SHAPE, TERMS, i32, i64, tuple_of, u8, whole
from fathom.classical.native import kernel

FREE, SOURCE, SINK = 0, 1, 2
ROOT, ORPHAN = 4, 5
HEAD, TAIL, FIRST, LAST, CLOCK = 0, 1, 2, 3, 4
FAR = 2**30

GRAPH = tuple_of(Graph, [i32, i32])
TREES = tuple_of(Trees, [u8, u8, i32, i32, u8, i32, i32, i64])


@inlined
def _beside(node: int, side: int, stride: int) -> int:
    """The neighbour to the right, left, below, above for side 0..3; side ^ 1 leads back."""
    if side < 2:
        return node + 1 - 2 * side
    return node + (5 - 2 * side) * stride


@inlined
def _wake(trees: Any, node: int) -> None:
    """Puts a node at the end of the queue of active nodes, if it is not in it."""
    if trees.queued[node] == 0:
        trees.queued[node] = 1
        tail = trees.state[TAIL]
        trees.active[tail] = node
        trees.state[TAIL] = (tail + 1) % len(trees.active)


@inlined
def _orphan(trees: Any, node: int) -> None:
    """Cuts a node off its parent; it waits for adoption."""
    trees.parent[node] = ORPHAN
    last = trees.state[LAST]
    trees.orphans[last] = node
    trees.state[LAST] = (last + 1) % len(trees.orphans)


@inlined
def _towards(graph: Any, tree: int, node: int, other: int, side: int) -> Any:
    """What still fits from `node` to `other` at `side` in tree S, the other way round in T."""
    nodes = len(graph.terminal)
    if tree == SOURCE:
        return graph.capacity[side * nodes + node]
    return graph.capacity[(side ^ 1) * nodes + other]


@inlined
def _rooted(trees: Any, node: int, stride: int) -> Any:
    """Distance of a node to its root, FAR if an orphan lies between; remembered on the way."""
    clock = trees.state[CLOCK]
    steps = 0
    walk = node
    while True:
        if trees.stamp[walk] == clock:
            steps += trees.distance[walk]
            break
        side = trees.parent[walk]
        steps += 1
        if side == ROOT:
            trees.stamp[walk] = clock
            trees.distance[walk] = 1
            break
        if side == ORPHAN:
            return FAR
        walk = _beside(walk, np.int64(side), stride)
    left = steps
    walk = node
    while trees.stamp[walk] != clock:
        trees.stamp[walk] = clock
        trees.distance[walk] = left
        left -= 1
        walk = _beside(walk, np.int64(trees.parent[walk]), stride)
    return steps


@inlined
def _bottleneck(graph: Any, trees: Any, node: int, stride: int, limit: int) -> Any:
    """The least capacity between a node and its terminal, at most `limit`."""
    tree = trees.tree[node]
    while trees.parent[node] != ROOT:
        side = np.int64(trees.parent[node])
        other = _beside(node, side, stride)
        limit = min(limit, _towards(graph, tree, other, node, side ^ 1))
        node = other
    return min(limit, np.int64(abs(graph.terminal[node])))


@inlined
def _push(graph: Any, trees: Any, node: int, stride: int, amount: int) -> None:
    """Pushes flow between a node and its terminal; what is saturated becomes an orphan."""
    nodes = len(graph.terminal)
    tree = trees.tree[node]
    while trees.parent[node] != ROOT:
        side = np.int64(trees.parent[node])
        other = _beside(node, side, stride)
        there, back = (side ^ 1) * nodes + other, side * nodes + node
        if tree == SINK:
            there, back = back, there
        graph.capacity[there] -= amount
        graph.capacity[back] += amount
        if graph.capacity[there] == 0:
            _orphan(trees, node)
        node = other
    graph.terminal[node] += -amount if tree == SOURCE else amount
    if graph.terminal[node] == 0:
        _orphan(trees, node)


@inlined
def _adopt(graph: Any, trees: Any, stride: int) -> None:
    """Finds a parent for every orphan, the nearest to the root, or sets it free."""
    while trees.state[FIRST] != trees.state[LAST]:
        node = np.int64(trees.orphans[trees.state[FIRST]])
        trees.state[FIRST] = (trees.state[FIRST] + 1) % len(trees.orphans)
        tree = trees.tree[node]
        best, nearest = ORPHAN, FAR
        for side in range(4):
            other = _beside(node, side, stride)
            near = trees.tree[other] == tree and trees.parent[other] != ORPHAN
            if near and _towards(graph, tree, other, node, side ^ 1) > 0:
                steps = _rooted(trees, other, stride)
                if steps < nearest:
                    best, nearest = side, steps
        if best != ORPHAN:
            trees.parent[node] = best
            trees.stamp[node] = trees.state[CLOCK]
            trees.distance[node] = nearest + 1
            continue
        trees.tree[node] = FREE
        for side in range(4):
            other = _beside(node, side, stride)
            if trees.tree[other] == tree:
                if _towards(graph, tree, other, node, side ^ 1) > 0:
                    _wake(trees, other)
                if trees.parent[other] == side ^ 1:
                    _orphan(trees, other)


@inlined
def _meet(graph: Any, trees: Any, node: int, stride: int) -> int:
    """Grows the tree of `node` by its neighbours; the side where the other tree is met, or 4."""
    tree = trees.tree[node]
    for side in range(4):
        other = _beside(node, side, stride)
        if _towards(graph, tree, node, other, side) > 0:
            if trees.tree[other] == FREE:
                trees.tree[other] = tree
                trees.parent[other] = side ^ 1
                trees.stamp[other] = trees.stamp[node]
                trees.distance[other] = trees.distance[node] + 1
                _wake(trees, other)
            elif trees.tree[other] != tree:
                return side
            elif (
                trees.stamp[other] <= trees.stamp[node]
                and trees.distance[other] > trees.distance[node] + 1
                and trees.parent[other] != ROOT
            ):
                # a shorter way to the root keeps the trees flat and later walks short
                trees.parent[other] = side ^ 1
                trees.stamp[other] = trees.stamp[node]
                trees.distance[other] = trees.distance[node] + 1
    return 4


@inlined
def _maximise(graph: Any, trees: Any, stride: int) -> int:
    """Pushes the maximum flow through the graph and returns it; trees.tree is the minimum cut."""
    nodes = len(graph.terminal)
    for i in range(len(trees.state)):
        trees.state[i] = 0
    for i in range(nodes):
        terminal = graph.terminal[i]
        trees.queued[i] = 0
        trees.stamp[i] = 0
        trees.distance[i] = 1
        trees.parent[i] = ROOT
        trees.tree[i] = FREE
        if terminal != 0:
            trees.tree[i] = SOURCE if terminal > 0 else SINK
            _wake(trees, i)
    total = 0
    while trees.state[HEAD] != trees.state[TAIL]:
        head = trees.state[HEAD]
        node = np.int64(trees.active[head])
        trees.state[HEAD] = (head + 1) % len(trees.active)
        trees.queued[node] = 0
        while trees.tree[node] != FREE:
            side = _meet(graph, trees, node, stride)
            if side == 4:
                break
            other = _beside(node, side, stride)
            ours = trees.tree[node] == SOURCE
            start, end = (node, other) if ours else (other, node)
            edge = side if ours else side ^ 1
            amount = np.int64(graph.capacity[edge * nodes + start])
            amount = _bottleneck(graph, trees, start, stride, amount)
            amount = _bottleneck(graph, trees, end, stride, amount)
            graph.capacity[edge * nodes + start] -= amount
            graph.capacity[(edge ^ 1) * nodes + end] += amount
            total += amount
            trees.state[CLOCK] += 1
            _push(graph, trees, start, stride, amount)
            _push(graph, trees, end, stride, amount)
            _adopt(graph, trees, stride)
    return total


@kernel(types.void(GRAPH, TREES, whole, i64))
def grid_flow(graph: Any, trees: Any, stride: int, out: Any) -> None:
    """The maximum flow of a graph to out[0]; `stride` is its row length, frame included."""
    out[0] = _maximise(graph, trees, stride)


@kernel(types.void(TERMS, i32, GRAPH, TREES, SHAPE, whole, i64))
def expand_label(
    terms: Any, labels: Any, graph: Any, trees: Any, shape: Any, alpha: int, out: Any
) -> None:
    """The best expansion of one label; out[0] becomes what it gains, 0 if it is not worth it.

    A pixel keeps its label on the source's side and takes `alpha` on the sink's. Of the costs A
    (both keep), B (only the second takes), C (only the first takes) and D (both) of an edge,
    C - A goes to the first pixel, D - C to the second, and B + C - A - D to the edge (Kolmogorov
    and Zabih, "What Energy Functions Can Be Minimized via Graph Cuts?", PAMI 2004).
    """
    height, width, longest = shape.height, shape.width, shape.truncation
    stride = width + 2
    nodes = len(graph.terminal)
    for i in range(nodes):
        graph.terminal[i] = 0
    for i in range(4 * nodes):
        graph.capacity[i] = 0
    for y in range(height):
        for x in range(width):
            pixel = y * width + x
            node = (y + 1) * stride + x + 1
            here = np.int64(labels[pixel])
            place = pixel * shape.levels
            taken, kept = np.int64(terms.data[place + alpha]), np.int64(terms.data[place + here])
            graph.terminal[node] += taken - kept
            ours = min(abs(here - alpha), longest)
            for down in range(2):
                if (down == 0 and x == width - 1) or (down == 1 and y == height - 1):
                    continue
                there = np.int64(labels[pixel + (width if down == 1 else 1)])
                weight = np.int64(terms.down[pixel] if down == 1 else terms.across[pixel])
                both = weight * min(abs(here - there), longest)
                second = weight * ours
                first = weight * min(abs(there - alpha), longest)
                graph.terminal[node] += first - both
                graph.terminal[node + (stride if down == 1 else 1)] -= first
                graph.capacity[2 * down * nodes + node] = second + first - both
    negative = 0
    for node in range(nodes):
        negative += min(0, graph.terminal[node])
    gain = -negative - _maximise(graph, trees, stride)
    out[0] = gain
    if gain > 0:
        for y in range(height):
            for x in range(width):
                if trees.tree[(y + 1) * stride + x + 1] == SINK:
                    labels[y * width + x] = alpha
