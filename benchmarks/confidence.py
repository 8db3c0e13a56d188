"""How good is each method's confidence? Areas under the sparsification curve, and calibration.

    python -m benchmarks.confidence [--methods sgm,opencv-sgbm] [--threshold 1,2,3] [--each]

Over Motorcycle (scikit-image) and, where they are, the pairs with ground truth of FATHOM_SHARED.
The map is the method's default one, filled; a pixel is wrong if its error exceeds the threshold,
the bigger the area (x 100) the worse. Beside the confidence: the oracle (knows the errors), the
left-right difference alone (from a second run in a mirror; what has no partner comes last), the
margin alone (of those that give it: sgm), and chance (random order, which is the share of wrong
pixels). "calibration" is the mean distance of what was said from what came true (10 bins, P(error
<= 1 px)). Published on census-like SGM, before filling, bad-3 on KITTI 2012 and 2015 and bad-1 on
Middlebury and ETH3D: oracle 0.25 0.44 2.9 1.4; margin 0.81 1.6 5.5 3.3; left-right check 3.6 4.1
14.9 9.1; random 6.1 6.0 21.8 12.6. The row "bad-1; KITTI: bad-3" is the mean over all pairs with
those thresholds, each data set's usual one.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import fathom
from benchmarks.accuracy import made
from fathom.classical.sgm import sgm_evidence
from fathom.core import Disparity, StereoPair, StereoSample
from fathom.data.samples import motorcycle
from fathom.eval.sparsification import (
    calibration_error,
    errors_and_confidence,
    oracle_auc,
    sparsification_auc,
)
from fathom.geometry.consistency import left_right_difference
from fathom.io.images import read_view

COLUMNS = ("confidence", "oracle", "left-right", "margin", "chance")


def samples() -> Iterator[StereoSample]:
    """Motorcycle, and every pair with ground truth of the shared folder."""
    yield motorcycle()
    shared = Path(os.environ.get("FATHOM_SHARED", "../shared")) / "data" / "pairs_gt"
    for left in sorted(shared.rglob("left.png")):
        truth = Disparity(np.load(left.with_name("disp_left.npy")).astype(np.float32))
        pair = StereoPair(read_view(left), read_view(left.with_name("right.png")))
        yield StereoSample(pair, truth, name=f"{left.parts[-3]}/{left.parts[-2]}")


def judge(method: str, sample: StereoSample, thresholds: list[float]) -> list[list[float]]:
    """For each threshold the areas x 100 in the order of COLUMNS, then the calibration error."""
    pair, truth = sample.pair, sample.truth
    assert truth is not None
    found = made(method)(pair)
    mirrored = made(method, confidence=False, fill=False)(pair.mirrored())
    difference = left_right_difference(found.values, mirrored.values[:, ::-1])
    scores = {"left-right": -np.nan_to_num(difference, nan=1e6)}
    if method == "sgm":
        scores["margin"] = sgm_evidence(pair).margin.astype(np.float32)
    errors, confidence = errors_and_confidence(found, truth)
    judged = truth.known & found.known
    rows = []
    for threshold in thresholds:
        wrong = (errors > threshold).astype(np.float64)
        areas = {name: sparsification_auc(wrong, s[judged]) for name, s in scores.items()}
        areas |= {"confidence": sparsification_auc(wrong, confidence), "chance": wrong.mean()}
        areas["oracle"] = oracle_auc(wrong)
        rows.append([100 * areas.get(name, np.nan) for name in COLUMNS])
    said = calibration_error(errors <= 1, confidence)
    return [[*row, said] for row in rows]


def show(name: str, wrong: str, row: np.ndarray) -> None:
    """One line of the table; what a method does not give is a dash."""
    cells = "".join(f"{'-' if np.isnan(v) else f'{v:.2f}':>12}" for v in row[:-1])
    print(f"{name:<36}{wrong:>19}{cells}{row[-1]:>13.3f}", flush=True)


def main() -> None:
    """Prints the table: a mean for each group of pairs, with --each also every pair."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [e.name for e in fathom.entries("stereo", ready=True)]
    parser.add_argument("--methods", default=",".join(names))
    parser.add_argument("--threshold", default="1,2,3", help="px, comma-separated (default 1,2,3)")
    parser.add_argument("--each", action="store_true", help="a line for every pair")
    arguments = parser.parse_args()
    thresholds = [float(t) for t in arguments.threshold.split(",")]
    print(f"{'':<55}" + "".join(f"{c:>12}" for c in COLUMNS) + f"{'calibration':>13}")
    every = list(samples())
    for method in arguments.methods.split(","):
        groups: dict[str, list[list[list[float]]]] = {}
        usually: list[list[float]] = []
        for sample in every:
            rows = judge(method, sample, thresholds)
            kitti = "kitti" in sample.name
            for group in ("KITTI" if kitti else "Middlebury", "all pairs"):
                groups.setdefault(group, []).append(rows)
            if {1, 3} <= set(thresholds):
                usually.append(rows[thresholds.index(3 if kitti else 1)])
            for threshold, row in zip(thresholds, rows, strict=True):
                if arguments.each:
                    show(f"{method} {sample.name}", f"bad-{threshold:g}", np.array(row))
        for group, values in groups.items():
            for threshold, row in zip(thresholds, np.mean(values, axis=0), strict=True):
                show(f"{method}, {group} ({len(values)})", f"bad-{threshold:g}", row)
        if {1, 3} <= set(thresholds):
            count = len(groups["all pairs"])
            show(f"{method}, all pairs ({count})", "bad-1; KITTI: bad-3", np.mean(usually, axis=0))


if __name__ == "__main__":
    main()
