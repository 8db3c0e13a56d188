"""How large is that, and how far? The object in a box, with error bars.

    python examples/measuring.py [LEFT RIGHT X0 Y0 X1 Y1]

Without arguments it measures the headlight and fork of the Motorcycle. `fathom measure` does the
same from a result folder.
"""

import sys

import numpy as np

import fathom
from fathom.data.samples import motorcycle
from fathom.geometry.measuring import measure_object


def main() -> None:
    """Prints two lines."""
    if len(sys.argv) == 7:
        pair = fathom.read_pair(sys.argv[1], sys.argv[2])
        x0, y0, x1, y1 = (int(word) for word in sys.argv[3:])
    else:
        pair, (x0, y0, x1, y1) = motorcycle().pair, (485, 95, 595, 205)
    if pair.rig is None:
        raise SystemExit("no calibration beside the images, so there are no metres")
    depth = fathom.create("default")(pair).to_depth(pair.rig)
    region = np.zeros(depth.shape, bool)
    region[y0:y1, x0:x1] = True
    found = measure_object(depth, pair.rig, region)
    print(f"distance {found.distance:.3f} +- {found.distance_sigma:.3f} m")
    print(f"width {found.width:.3f} m, height {found.height:.3f} m (+- {found.width_sigma:.3f} m)")


if __name__ == "__main__":
    main()
