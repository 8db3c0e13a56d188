"""How far are single points? Sparse depth with error bars, from SIFT matches of a pair.

    python examples/sparse_points.py [LEFT RIGHT] [-o points.png]

Without images it takes the Motorcycle pair. No dense matching is involved: a thousand points take
under a second, each with its own standard deviation. Where the truth is known, it is said how many
of the points lie within two of their sigmas.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

import fathom
from fathom.data.samples import motorcycle
from fathom.io.images import write_png
from fathom.rigs.triangulate import sparse_depth
from fathom.viz.color import colorize, disparity_scale


def picture(pair: fathom.StereoPair, points: fathom.SparseDepth) -> np.ndarray:
    """The left image in grey with the points over it, near ones warm; larger where less certain."""
    out = np.repeat(pair.left.gray8[..., None], 3, axis=2) // 2 + 60
    inverse = (1 / points.depth)[None].astype(np.float32)
    scale = disparity_scale(inverse)
    colors = colorize(inverse, scale.low, scale.high)[0]
    sizes = np.clip(400 * points.sigma / points.depth, 2, 9)
    for (x, y), color, size in zip(points.pixels, colors, sizes, strict=True):
        at = (round(float(x)), round(float(y)))
        cv2.circle(out, at, round(float(size)), [int(c) for c in color], -1, cv2.LINE_AA)
    return out


def main() -> None:
    """Prints a few points and writes one picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="*", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("points.png"))
    chosen = parser.parse_args()
    sample = None if chosen.images else motorcycle()
    pair = fathom.read_pair(*chosen.images) if sample is None else sample.pair
    points = sparse_depth(pair)
    print(f"{len(points.depth)} points, {np.median(points.sigma / points.depth):.2%} typical error")
    for i in np.argsort(points.depth)[:: max(1, len(points.depth) // 5)]:
        x, y = points.pixels[i]
        print(f"({x:6.1f}, {y:6.1f})  {points.depth[i]:6.3f} m +- {points.sigma[i]:.3f} m")
    if sample is not None and sample.truth is not None:
        column, row = np.rint(points.pixels).astype(int).T
        error = np.abs(points.depth - sample.truth.to_depth(pair.rig).values[row, column])
        known = np.isfinite(error)
        print(f"{np.mean(error[known] < 2 * points.sigma[known]):.0%} within 2 sigmas of the truth")
    write_png(chosen.output, picture(pair, points))
    print(f"wrote {chosen.output}")


if __name__ == "__main__":
    main()
