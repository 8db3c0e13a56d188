"""Fits the constants of `fathom.combine.flip`: P(error <= 1 px) for a left-right difference.

    python experiments/fit_flip.py        (FATHOM_SHARED or ../shared; one minute on two cores)

Data: Motorcycle and the pairs with dense truth of the shared folder (Middlebury 2001 to 2006), all
pixels with truth; matchers: OpenCV's SGBM and BM as the catalog has them. For each matcher and pair
the share of right pixels per bin; then the mean over pairs and matchers, made monotone.
Chosen on these pairs; nothing is held back here.
"""

import json
import os
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

import fathom
from fathom.core import Source, StereoPair, View
from fathom.data.samples import motorcycle
from fathom.geometry.consistency import left_right_difference

EDGES = np.array([0.0, 0.25, 0.75, 1.5, 3.0, np.inf])
CENTRES = (0.0, 0.5, 1.0, 2.0, 4.0)


def pairs() -> list[tuple[StereoPair, np.ndarray]]:
    """Each pair with its true disparity."""
    sample = motorcycle()
    found = [(sample.pair, sample.truth.values)]
    root = Path(os.environ.get("FATHOM_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    for folder in sorted((root / "data" / "pairs_gt").glob("middlebury*/*")):
        images = [cv2.imread(str(folder / f"{side}.png")) for side in ("left", "right")]
        views = [View(np.ascontiguousarray(image[..., ::-1])) for image in images]
        found.append((StereoPair(*views), np.load(folder / "disp_left.npy")))
    return found


def shares(pair: StereoPair, truth: np.ndarray, name: str) -> dict[str, list[float]]:
    """Share of right pixels per bin of difference, for unseen and for filled ones."""
    matcher = fathom.create(name, confidence=False)
    left, mirrored = matcher(pair), matcher(pair.mirrored())
    right = np.where(mirrored.measured, mirrored.values, np.float32(np.nan))[:, ::-1]
    difference = left_right_difference(left.values, np.ascontiguousarray(right))
    good = np.abs(left.values - truth) <= 1
    judged = np.isfinite(truth)
    filled = judged & (left.source == Source.FILLED)
    matched = judged & (left.source == Source.MATCHED)
    rows = [
        mean(good[matched & (difference >= low) & (difference < high)])
        for low, high in pairwise(EDGES)
    ]
    unseen = mean(good[matched & np.isnan(difference)])
    return {"matched": rows, "unseen": [unseen], "filled": [mean(good[filled])]}


def mean(values: np.ndarray) -> float:
    """The mean, NaN where there is too little to tell."""
    return float(values.mean()) if values.size >= 50 else float("nan")


def main() -> None:
    """Prints the constants."""
    found = [shares(p, t, name) for p, t in pairs() for name in ("opencv-sgbm", "opencv-bm")]
    table = np.nanmean([row["matched"] for row in found], axis=0)
    fitted = {
        "difference": CENTRES,
        "matched": np.minimum.accumulate(table).round(2).tolist(),
        "unseen": round(float(np.nanmean([row["unseen"][0] for row in found])), 2),
        "filled": round(float(np.nanmean([row["filled"][0] for row in found])), 2),
        "pairs": len(found) // 2,
    }
    print(json.dumps(fitted, indent=2))


if __name__ == "__main__":
    main()
