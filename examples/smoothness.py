"""What lambda does: the same energy at four strengths of smoothness, beside each other.

    python examples/smoothness.py [LEFT RIGHT] [-o smoothness.png]

Without images it takes the Motorcycle pair, all at half size. Left of the right choice the map is
noisy, for every pixel goes with its own cost; right of it thin things drown in what is around.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import fathom
from fathom.classical.mrf import MRF
from fathom.data.samples import motorcycle
from fathom.geometry.resize import resize_pair
from fathom.io.images import write_png
from fathom.viz.color import colorize, disparity_scale
from fathom.viz.figure import side_by_side

STRENGTHS = (0.5, 4.0, 24.0, 400.0)
"""Cost of a step of one pixel, in bits of the 9x7 census (of which at most 40 count)."""


def figure(pair: fathom.StereoPair, strengths: Sequence[float] = STRENGTHS) -> np.ndarray:
    """The left image, and a disparity map for each lambda on one colour scale."""
    solved = [MRF(smoothness=s, fill=False, lr_threshold=1e6).solve(pair) for s in strengths]
    scale = disparity_scale(np.stack([s.disparity.values for s in solved]))
    pictures = [pair.left.rgb8]
    labels = ["left image"]
    for strength, solution in zip(strengths, solved, strict=True):
        pictures.append(colorize(solution.disparity.values, scale.low, scale.high))
        first, last = solution.energies[0], solution.energies[-1]
        labels.append(f"lambda {strength:g}: energy {first:.3g} to {last:.3g}")
    return side_by_side(pictures, labels, columns=len(pictures), title="Smoothness")


def main() -> None:
    """Writes one picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="*", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("smoothness.png"))
    chosen = parser.parse_args()
    pair = fathom.read_pair(*chosen.images) if chosen.images else motorcycle().pair
    write_png(chosen.output, figure(resize_pair(pair, 0.5)))
    print(f"wrote {chosen.output}")


if __name__ == "__main__":
    main()
