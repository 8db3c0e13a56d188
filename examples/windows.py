"""What the window does: local matching with four window sizes, beside each other.

    python examples/windows.py [LEFT RIGHT] [-o windows.png]

Without images it takes the Motorcycle pair. Small windows keep detail and are noisy, for few
pixels decide; large ones are smooth and lose edges, for they reach over to the next surface. Over
each map stands the share of pixels that are wrong by more than 2 px, where the truth is known.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import fathom
from fathom.classical.local import SAD
from fathom.data.samples import motorcycle
from fathom.eval.metrics import bad
from fathom.io.images import write_png
from fathom.viz.color import colorize, disparity_scale
from fathom.viz.figure import side_by_side

WINDOWS = (3, 7, 15, 41)
"""Sides in pixels."""


def figure(
    pair: fathom.StereoPair,
    truth: fathom.Disparity | None = None,
    windows: Sequence[int] = WINDOWS,
) -> np.ndarray:
    """The left image, and a disparity map for each window on one colour scale."""
    # nothing is judged or filled: what every pixel decides for itself is shown
    bare = {"lr_threshold": 1e6, "speckle_size": 0, "fill": False, "confidence": False}
    maps = [SAD(window=w, **bare)(pair) for w in windows]
    shown = maps[-1].values if truth is None else truth.values
    scale = disparity_scale(shown)
    pictures, labels = [pair.left.rgb8], ["left image"]
    for window, found in zip(windows, maps, strict=True):
        wrong = "" if truth is None else f": {bad(found, truth, 2.0):.0%} wrong"
        pictures.append(colorize(found.values, scale.low, scale.high))
        labels.append(f"{window} x {window}{wrong}")
    return side_by_side(pictures, labels, columns=len(pictures), title="Window size")


def main() -> None:
    """Writes one picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="*", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("windows.png"))
    chosen = parser.parse_args()
    if chosen.images:
        pair, truth = fathom.read_pair(*chosen.images), None
    else:
        sample = motorcycle()
        pair, truth = sample.pair, sample.truth
    write_png(chosen.output, figure(pair, truth))
    print(f"wrote {chosen.output}")


if __name__ == "__main__":
    main()
