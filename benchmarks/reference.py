"""The reference rows of docs/evaluation.md: OpenCV's SGBM beside fathom's, under one protocol.

    python -m benchmarks.reference shared/data/pairs_gt/middlebury_2005_2006_third

makes maps of each row below, scores the files as `fathom eval score` does, and prints the table.
The first row is OpenCV alone, called as its own sample calls it (samples/cpp/stereo_match.cpp:
colour images, block 3, P1 = 8 cn 3^2, P2 = 32 cn 3^2, uniqueness 10, speckles 100 and 32,
left-right 1, prefilter cap 63, mode sgbm), with the same search range as the others; what it
leaves unknown stays so. It is written as plain .npy files, as any outside program's.
"""

import argparse
import csv
import os
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from fathom.data.registry import open_dataset
from fathom.workflows.evaluate import PredictOptions, predict
from fathom.workflows.evaluate_maps import open_maps
from fathom.workflows.evaluate_pairs import pairs_of
from fathom.workflows.evaluate_read import MapOptions
from fathom.workflows.evaluate_score import ScoreOptions, score_maps
from fathom.workflows.pairs import PairOptions

ROWS = (
    ("opencv-sgbm", {}),
    ("opencv-sgbm", {"fill": False}),
    ("sgm", {}),
    ("sgm", {"fill": False}),
)
METRICS = ("bad-0.5", "bad-1", "bad-2", "bad-4", "epe")
MASKS = ("nonocc", "all")


def sample_sgbm(left, right, disparities):
    """What stereo_match.cpp computes: disparity in pixels, NaN where OpenCV says invalid."""
    channels, block = 3, 3
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=disparities,
        blockSize=block,
        P1=8 * channels * block**2,
        P2=32 * channels * block**2,
        disp12MaxDiff=1,
        preFilterCap=63,
        uniquenessRatio=10,
        speckleWindowSize=100,
        speckleRange=32,
        mode=cv2.STEREO_SGBM_MODE_SGBM,
    )
    raw = matcher.compute(left[..., ::-1].copy(), right[..., ::-1].copy())
    return np.where(raw >= 0, raw / 16, np.nan).astype(np.float32)


def outside_program(dataset, disparities, folder):
    """Maps of OpenCV alone as folder/NAME.npy, and maps.csv with their times."""
    with (folder / "maps.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["name", "disparity", "seconds"])
        for sample in dataset:
            began = time.perf_counter()
            values = sample_sgbm(sample.pair.left.image, sample.pair.right.image, disparities)
            seconds = time.perf_counter() - began
            np.save(folder / f"{sample.name}.npy", values)
            rows.writerow([sample.name, f"{sample.name}.npy", f"{seconds:.6f}"])
    return folder / "maps.csv"


def row_of(title, place, dataset, protocol):
    options = ScoreOptions(protocol=(protocol,), mask=MASKS, metrics=METRICS)
    report = score_maps(open_maps([str(place)], MapOptions()), dataset, options)
    lines = []
    for totals in report.totals:
        cells = [
            totals.protocol.measures[i].shown(totals.published[m]) for i, m in enumerate(METRICS)
        ]
        known = f"{100 * totals.known:.1f} %"
        lines.append([title, totals.mask, known, *cells, f"{report.seconds:.2f} s"])
    return lines


def table(root, disparities, threads, protocol):
    """The rows, each a list of cells."""
    dataset = open_dataset(None, root)
    rows = []
    cv2.setNumThreads(threads)
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "sample"
        plain.mkdir()
        listed = outside_program(dataset, disparities, plain)
        rows += row_of("OpenCV's sample", listed, dataset, protocol)
        for number, (method, settings) in enumerate(ROWS):
            out = Path(scratch) / str(number)
            options = PredictOptions(
                method=method, max_disparity=disparities, threads=threads, **settings
            )
            pairs = pairs_of(str(root), None, None, None, {}, PairOptions())
            predict(pairs, out, options)
            title = f"`{method}`" + ("" if settings.get("fill", True) else " `--no-fill`")
            rows += row_of(title, out, dataset, protocol)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--max-disparity", type=int, default=80)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--protocol", default="fathom")
    given = parser.parse_args()
    rows = table(given.root, given.max_disparity, given.threads, given.protocol)
    print(f"protocol {given.protocol}, search 0..{given.max_disparity} px, ", end="")
    print(f"{given.threads} thread(s) of {os.cpu_count()} cores\n")
    print(f"| method | mask | known | {' | '.join(METRICS)} | time a pair |")
    print("|" + "---|" * (len(METRICS) + 4))
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
