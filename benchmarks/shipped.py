"""The shipped models beside `sgm` and OpenCV, on every pair with ground truth.

    python -m benchmarks.shipped [--shared FOLDER] [--methods fathom-s,sgm-refined] [--each]

A method is a name, or NAME=FILE for other weights (or an exported form) of it.

Pairs and OpenCV's rows as in `benchmarks.accuracy`: (a) the call of OpenCV's samples, unknown
pixels filled from the background of the row; its mode 3WAY is what the issue measures against.
Prints bad-2, D1 (over 3 px and 5 %) and EPE over all pixels with truth and over those that both
cameras see, the mean of pairs, and the ratios to 3WAY. A pixel without a value counts as bad, and
as an error of its whole true disparity in EPE.

Confidence is judged by `python -m benchmarks.confidence --methods fathom-s,sgm`.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.accuracy import made, pairs, plain_opencv
from fathom.core import Disparity, StereoPair

COLUMNS = ("bad-2", "bad-2 noc", "D1", "D1 noc", "EPE", "EPE noc")
OPENCV = "OpenCV 3way"


def numbers(values: np.ndarray, truth: np.ndarray, both: np.ndarray) -> list[float]:
    """One pair's row, in the order of `COLUMNS`."""
    known = np.isfinite(truth)
    error = np.abs(np.where(np.isfinite(values), values, 0) - truth)
    bad2 = (error > 2) | ~np.isfinite(values)
    d1 = ((error > 3) & (error > 0.05 * np.abs(truth))) | ~np.isfinite(values)
    out = []
    for measure, scale in ((bad2, 100), (d1, 100), (error, 1)):
        out += [scale * measure[known].mean(), scale * measure[known & both].mean()]
    return [float(v) for v in out]


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(os.environ.get("FATHOM_SHARED", "../shared"))
    parser.add_argument("--shared", type=Path, default=shared)
    parser.add_argument("--methods", default="sgm-refined,fathom-s")
    parser.add_argument("--each", action="store_true", help="print every pair, too")
    told = parser.parse_args()
    names = ["sgm", *told.methods.split(",")]
    rows: dict[str, Callable[[StereoPair], Disparity]] = {name: made(name) for name in names}
    table: dict[str, list[list[float]]] = {name: [] for name in (OPENCV, *rows)}
    labels = []
    for _, name, pair, truth, both in pairs(told.shared / "data" / "pairs_gt"):
        labels.append(name)
        opencv = plain_opencv(pair, cv2.STEREO_SGBM_MODE_SGBM_3WAY)
        table[OPENCV].append(numbers(opencv, truth, both))
        for method, call in rows.items():
            table[method].append(numbers(call(pair).values, truth, both))
        if told.each:
            for method, found in table.items():
                print(f"{name:<14}{method:<14}" + "".join(f"{v:>11.2f}" for v in found[-1]))
    print(f"\nmean of {len(labels)} pairs")
    print(f"{'':<14}" + "".join(f"{c:>11}" for c in COLUMNS))
    means = {name: np.mean(found, axis=0) for name, found in table.items()}
    for name, mean in means.items():
        print(f"{name:<14}" + "".join(f"{v:>11.2f}" for v in mean))
    for name in rows:
        ratio = means[name] / means[OPENCV]
        print(f"{name + ' / 3way':<14}" + "".join(f"{v:>11.2f}" for v in ratio))


if __name__ == "__main__":
    main()
