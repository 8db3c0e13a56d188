"""Slow, readable twins of the kernels: plain loops over small arrays; and a helper."""

import dataclasses

import numpy as np

OUTSIDE = 20


def census(image):
    """The 62 census bits of every pixel of an (h, w) image as a list of booleans (h, w, 62)."""
    h, w = image.shape
    out = np.zeros((h, w, 62), bool)
    for y in range(h):
        for x in range(w):
            bits = []
            for dy in range(-3, 4):
                for dx in range(-4, 5):
                    if (dy, dx) != (0, 0):
                        yy, xx = min(max(y + dy, 0), h - 1), min(max(x + dx, 0), w - 1)
                        bits.append(image[yy, xx] < image[y, x])
            out[y, x] = bits
    return out


def costs(left, right, first, levels):
    """Hamming distances (h, w, levels); OUTSIDE where the match leaves the right image."""
    h, w = left.shape
    a, b = census(left), census(right)
    out = np.full((h, w, levels), OUTSIDE, int)
    for y in range(h):
        for x in range(w):
            for i in range(levels):
                xr = x - first - i
                if 0 <= xr < w:
                    out[y, x, i] = np.count_nonzero(a[y, x] != b[y, xr])
    return out


def path(volume, gray, penalty, p1, dy, dx):
    """Costs of one path direction (Hirschmueller 2008, equation 13), (h, w, levels)."""
    h, w, levels = volume.shape
    out = np.zeros((h, w, levels), int)
    for y in range(h) if dy >= 0 else reversed(range(h)):
        for x in range(w) if dx > 0 or (dx == 0) else reversed(range(w)):
            py, px = y - dy, x - dx
            if not (0 <= py < h and 0 <= px < w):
                out[y, x] = volume[y, x]
                continue
            before = out[py, px]
            p2 = int(penalty[abs(int(gray[y, x]) - int(gray[py, px]))])
            for i in range(levels):
                options = [before[i], before.min() + p2]
                if i > 0:
                    options.append(before[i - 1] + p1)
                if i + 1 < levels:
                    options.append(before[i + 1] + p1)
                out[y, x, i] = volume[y, x, i] + min(options) - before.min()
    return out


def sums(volume, gray, penalty, p1, paths):
    """The sum over 4 or 8 paths, (h, w, levels)."""
    directions = [(0, 1), (0, -1), (1, 0), (-1, 0)]
    if paths == 8:
        directions += [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    return sum(path(volume, gray, penalty, p1, dy, dx) for dy, dx in directions)


def traversal(volume, gray, penalty, p1, first, second):
    """One traversal of More Global Matching (Facciolo et al., BMVC 2015, equation 3): the costs of
    a pixel with the mean, rounded up, of what its predecessors at -first and -second hand on, each
    a (dy, dx). At a border the one there is counts for both."""
    h, w, levels = volume.shape
    out = {}

    def at(y, x):
        if (y, x) in out:
            return out[y, x]
        handed = []
        for dy, dx in (first, second):
            py, px = y - dy, x - dx
            if not (0 <= py < h and 0 <= px < w):
                continue
            before = at(py, px)
            jump = min(before) + int(penalty[abs(int(gray[y, x]) - int(gray[py, px]))])
            steps = [255, *before, 255]
            handed.append(
                [
                    min(steps[i + 1], steps[i] + p1, steps[i + 2] + p1, jump) - min(before)
                    for i in range(levels)
                ]
            )
        handed = handed or [[0] * levels]
        out[y, x] = [
            int(c) + (a + b + 1) // 2
            for c, a, b in zip(volume[y, x], handed[0], handed[-1], strict=True)
        ]
        return out[y, x]

    return np.array([[at(y, x) for x in range(w)] for y in range(h)])


def more_global_sums(volume, gray, penalty, p1, paths):
    """The sum over 4 or 8 traversals, (h, w, levels)."""
    right, left, down, up = (0, 1), (0, -1), (1, 0), (-1, 0)
    pairs = [(right, down), (left, down), (right, up), (left, up)]
    if paths == 8:
        pairs += [
            ((1, 1), (1, -1)),
            ((-1, 1), (-1, -1)),
            ((1, 1), (-1, 1)),
            ((1, -1), (-1, -1)),
        ]
    return sum(traversal(volume, gray, penalty, p1, *pair) for pair in pairs)


def winners(total, first, paths, volume=None):
    """disparity, best, margin, difference of every pixel, as `engine.Match`.

    volume: the costs, for better sub-pixel offsets at the end.
    """
    h, w, levels = total.shape
    disparity = np.zeros((h, w), np.float32)
    best, margin = np.zeros((h, w), np.uint16), np.zeros((h, w), np.uint16)
    difference = np.full((h, w), np.nan, np.float32)
    offers = [{} for _ in range(h)]
    for y in range(h):
        for x in range(w):
            s = total[y, x]
            i = int(s.argmin())
            others = [s[j] for j in range(levels) if abs(j - i) > 1]
            best[y, x], margin[y, x] = s[i], min([*others, 255 * paths]) - s[i]
            value = np.float32(i)
            if 0 < i < levels - 1:
                a, b = np.float32(s[i - 1] - s[i]), np.float32(s[i + 1] - s[i])
                if max(a, b) > 0:
                    value += np.float32(0.5) * (a - b) / max(a, b)
            disparity[y, x] = value
            for j in range(levels):
                xr = x - first - j
                if xr not in offers[y] or s[j] < offers[y][xr][0]:
                    offers[y][xr] = (s[j], j)
    if volume is not None:
        disparity = subpixel(volume, total.argmin(axis=2), disparity)
    disparity += np.float32(first)
    for y in range(h):
        for x in range(w):
            xr = x - int(np.floor(disparity[y, x] + np.float32(0.5)))
            if 0 <= xr < w:
                there = np.float32(offers[y][xr][1] + first)
                difference[y, x] = abs(disparity[y, x] - there)
    return disparity, best, margin, difference


def subpixel(volume, whole, disparity):
    """Sub-pixel offsets from the costs (h, w, levels) in 5x5 windows around the winning levels
    `whole`; disparity: levels as the sums have them."""
    h, w, levels = volume.shape
    out = disparity.copy()
    for y in range(h):
        for x in range(w):
            d, total = whole[y, x], np.zeros(3, np.float32)
            number = 0
            for yy in range(max(0, y - 2), min(h, y + 3)):
                for xx in range(max(0, x - 2), min(w, x + 3)):
                    near = abs(whole[yy, xx] - d) <= 1 and 0 < d < levels - 1
                    if near:
                        number += 1
                        total += volume[yy, xx, d - 1 : d + 2]
            f, g = total[0] - total[1], total[2] - total[1]
            steep = max(f, g)
            if steep <= 0:
                continue
            offset = np.float32(0.5) * (f - g) / steep
            if abs(offset) > 1:
                continue
            offset = np.clip(offset, np.float32(-0.5), np.float32(0.5))
            share = min(steep / np.float32(number * 10), np.float32(1))
            old = out[y, x]
            out[y, x] = old + share * (np.float32(d) + offset - old)
    return out


def semiglobal(left, right, gray, first, levels, p1, penalty, paths):
    """All of it."""
    volume = costs(left, right, first, levels)
    return winners(sums(volume, gray, penalty, p1, paths), first, paths, volume)


def unchecked(kind, **values):
    """An instance of a dataclass as users build it: without the type checker of the tests."""
    made = object.__new__(kind)
    for item in dataclasses.fields(kind):
        object.__setattr__(made, item.name, values.get(item.name, item.default))
    made.__post_init__()
    return made
