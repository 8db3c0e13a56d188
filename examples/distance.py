"""How far is that? Depth of a pair, and the distance at a pixel with its uncertainty.

    python examples/distance.py [LEFT RIGHT X Y]

Without arguments it takes the Motorcycle pair and its engine. A calibration beside the images
(calib.txt) is found by itself.
"""

import sys

import numpy as np

import fathom
from fathom.data.samples import motorcycle


def distance(pair: fathom.StereoPair, x: int, y: int, reach: int = 3) -> tuple[float, float]:
    """Distance in metres to what pixel (x, y) shows, and one standard deviation.

    The median over the measured, confident pixels around: filled ones say nothing about the thing.
    """
    disparity = fathom.create("default")(pair)
    depth = disparity.to_depth(pair.rig, sigma_d=0.25)
    window = (slice(max(0, y - reach), y + reach + 1), slice(max(0, x - reach), x + reach + 1))
    good = depth.measured[window] & (depth.confidence[window] > 0.7)
    if not good.any():
        raise SystemExit(f"nothing certain around ({x}, {y})")
    z = float(np.median(depth.values[window][good]))
    sigma = float(np.median(depth.sigma[window][good]))
    camera = pair.rig.left
    ray = np.linalg.norm([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, 1])
    return z * float(ray), sigma * float(ray)


def main() -> None:
    """Prints one line."""
    if len(sys.argv) == 5:
        pair = fathom.read_pair(sys.argv[1], sys.argv[2])
        x, y = int(sys.argv[3]), int(sys.argv[4])
    else:
        pair, x, y = motorcycle().pair, 430, 300
    metres, sigma = distance(pair, x, y)
    print(f"{metres:.3f} m +- {sigma:.3f} m at ({x}, {y})")


if __name__ == "__main__":
    main()
