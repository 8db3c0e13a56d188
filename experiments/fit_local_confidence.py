"""Fits the weights of `fathom.classical.local` and prints how good the confidence is.

    python experiments/fit_local_confidence.py [--pairs FOLDER] [--aggregation NAME]

A few minutes on two cores. Pairs, labels, sampling and regression are those of
`fit_confidence.py` beside it: logistic, equally many pixels of each pair, the label being |error|
<= 1 px. Only matched pixels count, those that pass the left-right and speckle tests: no others
are given this confidence. Nothing is held out: five weights over 24 pairs.

Last run, area under the sparsification curve x 100 for bad-1 over matched pixels, mean of 24
pairs: oracle, fitted, margin alone: sad 1.6, 5.8, 8.3; ssd 1.4, 5.5, 11.1; ncc 0.5, 2.7, 9.1;
zncc 0.5, 2.9, 4.3; census 0.3, 1.5, 1.6.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from fit_confidence import RNG, area, load, newton

from fathom.classical.confidence import with_filled
from fathom.classical.local import NCC, SAD, SCALES, SSD, ZNCC, CensusLocal
from fathom.classical.local_match import disagreement, local_winner, witnesses
from fathom.classical.ranges import resolve_range
from fathom.core import Source

SAMPLES = 20_000
MATCHERS = {
    "absolute": SAD,
    "squared": SSD,
    "ncc": NCC,
    "zncc": ZNCC,
    "census": CensusLocal,
}


def rows_of(pairs, cost, matcher):
    """Witnesses and |error| <= 1 of matched pixels with truth; of filled ones the share within 1
    px and their mean confidence."""
    name = "census-5x5" if cost == "census" else cost
    for pair, truth in pairs:
        first, end = resolve_range(pair, 0, None)
        found = local_winner(
            pair,
            name,
            first,
            end,
            window=matcher.window,
            aggregation=matcher.aggregation,
            subpixel=matcher.subpixel,
        )
        result = matcher(pair)
        known = np.isfinite(truth)
        layers = witnesses(found, disagreement(found), SCALES[cost])[:, known].T
        good = np.abs(np.nan_to_num(found.disparity, nan=-1e9) - truth)[known] <= 1
        matched = (result.source == Source.MATCHED)[known]
        filled = (np.abs(result.values - truth) <= 1)[known][~matched].mean()
        said = with_filled(result, np.zeros_like(result.values)).confidence[known][~matched].mean()
        yield layers[matched].astype(np.float64), good[matched], (filled, said)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(os.environ.get("FATHOM_SHARED", "../shared"))
    parser.add_argument("--pairs", type=Path, default=shared / "data" / "pairs_gt")
    parser.add_argument("--aggregation", default="box")
    options = parser.parse_args()
    pairs = [(pair, truth) for _, pair, truth in load(options.pairs)]
    for cost, kind in MATCHERS.items():
        matcher = kind(aggregation=options.aggregation, confidence=False)
        rows = list(rows_of(pairs, cost, matcher))
        picks = [RNG.integers(0, len(r[1]), SAMPLES) for r in rows]
        x, y = (
            np.concatenate([r[n][i] for r, i in zip(rows, picks, strict=True)]) for n in range(2)
        )
        weights = newton(x, y)
        filled, said = np.mean([r[2] for r in rows], axis=0)
        print(f"    filled: {filled:.2f} within 1 px, said {said:.2f}")
        print(f'"{cost}": {tuple(round(float(w), 3) for w in weights)},', flush=True)
        areas = np.mean(
            [
                [area(~good, s) for s in (good.astype(float), x @ weights, x[:, 1], -x[:, 3])]
                for x, good, _ in rows
            ],
            axis=0,
        )
        print("    area: oracle, fitted, margin, left-right:", np.round(areas, 2), flush=True)
        chance = 1 / (1 + np.exp(-x @ weights))
        for low, high in ((0, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 0.97), (0.97, 1.01)):
            part = (chance >= low) & (chance < high)
            if part.any():
                share, right = part.mean(), y[part].mean()
                print(f"    said {low}..{high}: {share:.3f} of pixels, {right:.3f} right")


if __name__ == "__main__":
    main()
