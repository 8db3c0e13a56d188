"""Fits the weights of the confidence of `fathom.classical.mrf` and prints how good it is.

    python experiments/fit_mrf_confidence.py [--pairs FOLDER] [--pixels 200000] [SOLVER ...]

Two minutes a solver on two cores, graph cuts with --pixels 155000. FOLDER holds pairs as
`left.png right.png disp_left.npy` (default: $FATHOM_SHARED/data/pairs_gt); those of at most
--pixels are taken, and Motorcycle of scikit-image, for graph cuts at half its size. Logistic
regression by Newton's method on equally many pixels of each pair, the label being |error| <= 1
px. No pair is held out: five weights over this many pixels do not overfit.

Last run: area under the sparsification curve x 100 for bad-1 over all pixels, means. belief, 22
pairs: oracle 1.17, fitted 3.10, margin alone 7.95, left-right difference alone 4.08, random 11.14.
scanline, the same: 2.39, 4.22, 6.17, 9.76, 16.61. expansion, 5 pairs (--pixels 155000): 0.39,
2.27, 5.80, 4.32, 7.95.
"""

import argparse
import os
from pathlib import Path

import cv2
import numpy as np

from fathom.classical.mrf import MRF, mrf_evidence
from fathom.core import Source, StereoPair, View
from fathom.data.samples import motorcycle

SAMPLES = 20_000
RNG = np.random.default_rng(0)


def load(folder, pixels, halved):
    """(name, pair, truth) of Motorcycle and the small pairs below `folder`."""
    sample = motorcycle()
    views = [v.image for v in (sample.pair.left, sample.pair.right)]
    truth = sample.truth.values
    if halved:
        views = [cv2.resize(v, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for v in views]
        truth = truth[::2, ::2][: views[0].shape[0], : views[0].shape[1]] / 2
        views = [v[: truth.shape[0], : truth.shape[1]] for v in views]
    yield "motorcycle", StereoPair(*map(View, views)), truth
    for path in sorted(p.parent for p in folder.rglob("left.png") if p.is_file()):
        left, right = (
            cv2.imread(str(path / f"{side}.png"))[..., ::-1] for side in ("left", "right")
        )
        if left.shape[0] * left.shape[1] <= pixels:
            yield path.name, StereoPair(View(left), View(right)), np.load(path / "disp_left.npy")


def newton(x, y, rounds=30):
    """Weights w that maximise the likelihood of y under 1 / (1 + exp(-x w))."""
    w = np.zeros(x.shape[1])
    for _ in range(rounds):
        p = 1 / (1 + np.exp(-x @ w))
        slope = x.T @ (y - p) - 1e-3 * w
        bend = (x * (p * (1 - p))[:, None]).T @ x + 1e-3 * np.eye(len(w))
        w = w + np.linalg.solve(bend, slope)
    return w


def area(bad, score):
    """Area under the sparsification curve x 100 (Hu and Mordohai, PAMI 2012), steps of 5 %."""
    order = np.argsort(-score, kind="stable")
    kept = [max(1, round(len(bad) * k / 20)) for k in range(1, 21)]
    errors = np.cumsum(bad[order])[np.array(kept) - 1] / kept
    return 100 * np.trapezoid(errors, dx=1 / 19)


def fit(solver, pairs):
    """Prints weights, the share of filled pixels that are right, and areas per pair."""
    xs, ys, filled, table, rows = [], [], [], [], []
    for name, pair, truth in pairs:
        most = int(np.ceil(np.nanmax(truth[np.isfinite(truth)]) / 16 + 0.5)) * 16
        settings = MRF(solver=solver, max_disparity=most, confidence=False)
        evidence = mrf_evidence(pair, settings)
        result = settings.judge(evidence)
        known = np.isfinite(truth)
        layers = evidence.witnesses()[:, known].T.astype(np.float64)
        good = (np.abs(evidence.disparity - truth) <= 1)[known]
        matched = (result.source == Source.MATCHED)[known]
        filled.append((np.abs(result.values - truth) <= 1)[known][~matched].mean())
        pick = RNG.integers(0, len(good), SAMPLES)
        xs.append(layers[pick])
        ys.append(good[pick])
        rows.append((name, layers, good, matched))
    weights = newton(np.concatenate(xs), np.concatenate(ys))
    print(
        f'"{solver}": {tuple(round(float(w), 3) for w in weights)},  filled {np.mean(filled):.2f}'
    )
    for name, layers, good, matched in rows:
        score = layers @ weights
        scores = (good.astype(float), score, layers[:, 1], -layers[:, 2], RNG.random(len(good)))
        table.append([area(~good, s) for s in scores])
        said = (1 / (1 + np.exp(-score)))[matched].mean()
        print(
            f"{name:20s} area",
            " ".join(f"{v:6.2f}" for v in table[-1]),
            f" said {said:.3f} was {good[matched].mean():.3f}",
        )
    print("mean: oracle, fitted, margin, left-right, random", np.mean(table, axis=0).round(2))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(os.environ.get("FATHOM_SHARED", "../shared"))
    parser.add_argument("--pairs", type=Path, default=shared / "data" / "pairs_gt")
    parser.add_argument("--pixels", type=int, default=200_000)
    parser.add_argument("solvers", nargs="*", default=("belief", "scanline", "expansion"))
    chosen = parser.parse_args()
    for solver in chosen.solvers:
        fit(solver, load(chosen.pairs, chosen.pixels, solver == "expansion"))


if __name__ == "__main__":
    main()
