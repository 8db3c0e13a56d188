"""Two raw cameras, one above the other, become a rig whose rows can be matched.

    python examples/two_cameras.py

Prints what rectification makes of them, and turns a depth map back as the cameras stand.
"""

import numpy as np

import fathom


def main() -> None:
    """Rectifies a simulated rig of two wide fisheye cameras, 10 cm above each other."""
    lens = fathom.Camera(
        640, 480, 150, 150, 319.5, 239.5, model="fisheye", distortion=(0.01, -0.002, 0, 0)
    )
    calibration = fathom.StereoCalibration(lens, lens, np.eye(3), np.array([0.0, -0.1, 0.0]))
    rectified = calibration.rectify(crop="valid")
    across, down = rectified.field
    rig = rectified.rig
    print(f"{rig.size[0]}x{rig.size[1]}, focal length {rig.left.fx:.1f} px, {rig.baseline} m")
    print(f"shows {across:.0f} x {down:.0f} degrees, turned by {rectified.turned}")
    for note in rectified.notes:
        print(f"note: {note}")
    depth = np.full((rig.size[1], rig.size[0]), 2.0, np.float32)
    print(f"upright again: {rectified.turn_back(depth).shape}")


if __name__ == "__main__":
    main()
