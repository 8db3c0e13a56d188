"""Slow, readable twins of the global methods: plain loops, and all labelings tried."""

import itertools

import numpy as np


def edges(height, width):
    """((y, x), (v, u), index of the weight array) of all 4-neighbours."""
    for y in range(height):
        for x in range(width):
            if x + 1 < width:
                yield (y, x), (y, x + 1), 0
            if y + 1 < height:
                yield (y, x), (y + 1, x), 1


def energy(labels, data, weights, truncation):
    """Data terms plus truncated linear terms; weights: (across, down)."""
    total = 0
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            total += int(data[y, x, labels[y, x]])
    for p, q, which in edges(*labels.shape):
        step = min(abs(int(labels[p]) - int(labels[q])), truncation)
        total += int(weights[which][p]) * step
    return total


def labelings(height, width, count):
    for flat in itertools.product(range(count), repeat=height * width):
        yield np.array(flat, np.int32).reshape(height, width)


def least_energy(data, weights, truncation):
    """The minimum over all labelings."""
    height, width, count = data.shape
    return min(energy(f, data, weights, truncation) for f in labelings(height, width, count))


def best_expansion(labels, data, weights, truncation, alpha):
    """The least energy where every pixel keeps its label or takes alpha."""
    return min(
        energy(np.where(moves == 1, alpha, labels), data, weights, truncation)
        for moves in labelings(*labels.shape, 2)
    )


def send(data, messages, weights, truncation, colour):
    """One half-sweep. messages: (h, w, 4, d) at the receiver, from left, right, above, below."""
    height, width, count = data.shape
    out = messages.copy()
    for p, q, which in edges(height, width):
        weight = int(weights[which][p])
        there, back = ((0, 1), (2, 3))[which]
        for sender, receiver, to, from_ in ((p, q, there, back), (q, p, back, there)):
            if sum(sender) % 2 != colour:
                continue
            h = data[sender].astype(int) + messages[sender].sum(axis=0) - messages[sender][from_]
            m = [
                min(int(h[k]) + weight * min(abs(k - i), truncation) for k in range(count))
                for i in range(count)
            ]
            out[receiver][to] = np.array(m) - h.min()
    return out


def least_alignment(costs, occlusion):
    """The least cost of a row (w, d) over all alignments in order, one to one, with gaps.

    Right pixels left out count between the first and the last match only.
    """
    width, count = costs.shape
    best = None
    for labels in itertools.product(range(-1, count), repeat=width):
        value = alignment(labels, costs, occlusion)
        if value is not None and (best is None or value < best):
            best = value
    return best


def alignment(labels, costs, occlusion):
    """The cost of an alignment, None if it breaks order or uniqueness."""
    total, before = 0, None
    for x, label in enumerate(labels):
        if label < 0:
            total += occlusion
            continue
        total += int(costs[x, label])
        right = x - label
        if before is not None:
            if right <= before:
                return None
            total += occlusion * (right - before - 1)
        before = right
    return total


def least_chain(data, weights, truncation):
    """The least energy of one row (w, d) over all labelings."""
    width, count = data.shape
    best = None
    for labels in itertools.product(range(count), repeat=width):
        value = sum(int(data[x, k]) for x, k in enumerate(labels))
        for x in range(width - 1):
            value += int(weights[x]) * min(abs(labels[x] - labels[x + 1]), truncation)
        best = value if best is None else min(best, value)
    return best


def problem(rng, height, width, count, top=100, smoothness=60):
    """Random data terms and weights."""
    data = rng.integers(0, top, (height, width, count)).astype(np.uint16)
    weights = [rng.integers(0, smoothness, (height, width)).astype(np.uint16) for _ in range(2)]
    return data, weights
