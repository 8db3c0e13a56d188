"""Bad-2 of `sgm` beside OpenCV's semi-global modes on every pair with ground truth.

    python -m benchmarks.accuracy [--shared FOLDER]

Pairs: Motorcycle of scikit-image and those below FOLDER/data/pairs_gt (default: $FATHOM_SHARED,
else ../shared). Bad-2: share of pixels with truth whose error is above 2 px or unknown; over all
pixels with truth, and over those that both cameras see. The same range for all: the rig's, or a
sixth of the width.

OpenCV twice. (a) called as its samples do (stereo_match.py): block 3, P1 = 8 * 9, P2 = 32 * 9,
disp12MaxDiff 1, preFilterCap 63, uniquenessRatio 10, speckles 100 / 2, grey images, image not
continued; unknown pixels then take the farther of the known pixels to both sides in the row. (b) as
the catalog has them: `opencv-sgbm`, its images continued so that the left border is searched, its
parameters chosen on these pairs, and our filling. OpenCV's best mode is the one with the smallest
mean. The issue's figures are (a): at most 0.6 of it non-occluded, 0.85 over all pixels.
"""

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

import fathom
from fathom.classical.ranges import resolve_range
from fathom.core import Disparity, StereoPair, View
from fathom.data.samples import motorcycle

MODES = {
    "sgbm": cv2.STEREO_SGBM_MODE_SGBM,
    "hh": cv2.STEREO_SGBM_MODE_HH,
    "3way": cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    "hh4": cv2.STEREO_SGBM_MODE_HH4,
}
Found = tuple[str, str, StereoPair, np.ndarray, np.ndarray]


def pairs(folder: Path) -> Iterator[Found]:
    """(set, name, pair, truth with NaN, mask of pixels that both cameras see)."""
    sample = motorcycle()
    yield "Motorcycle", "Motorcycle", sample.pair, sample.truth.values, seen(sample.truth.values)
    for file in sorted(folder.rglob("disp_left.npy")):
        home = file.parent
        views = [View(cv2.imread(str(home / f"{s}.png"))[..., ::-1]) for s in ("left", "right")]
        truth = np.load(file)
        mask = home / "nonocc.png"
        both = cv2.imread(str(mask), 0) > 0 if mask.exists() else seen(truth)
        yield file.relative_to(folder).parts[0], home.name, StereoPair(*views), truth, both


def seen(truth: np.ndarray) -> np.ndarray:
    """Pixels whose match no nearer pixel of the row hides, by the truth itself."""
    height, width = truth.shape
    known = np.isfinite(truth)
    y, x = np.nonzero(known)
    d = truth[known]
    match = np.rint(x - d).astype(int)
    inside = (match >= 0) & (match < width)
    nearest = np.full((height, width), -np.inf)
    np.maximum.at(nearest, (y[inside], match[inside]), d[inside])
    out = np.zeros_like(known)
    out[y[inside], x[inside]] = d[inside] >= nearest[y[inside], match[inside]] - 1
    return out


def made(method: str, **parameters: object) -> Callable[[StereoPair], Disparity]:
    """The estimator of that name, or, of "NAME=FILE", with that file as its weights."""
    name, _, weights = method.partition("=")
    return fathom.create(name, **({"weights": weights} if weights else {}), **parameters)


def plain_opencv(pair: StereoPair, mode: int) -> np.ndarray:
    """(a): as in OpenCV's samples, holes filled with the farther end of the row's run."""
    first, end = resolve_range(pair, 0, None)
    count = 16 * -(-(end - first) // 16)
    sgbm = cv2.StereoSGBM_create(first, count, 3, 8 * 9, 32 * 9, 1, 63, 10, 100, 2, mode)
    found = sgbm.compute(pair.left.gray8, pair.right.gray8).astype(np.float32) / 16
    found[found < first] = np.nan
    return background(found)


def background(values: np.ndarray) -> np.ndarray:
    """Unknown runs take the smaller of their two ends; empty rows the row above, else below."""
    out = values.copy()
    for row in out:
        known = np.flatnonzero(~np.isnan(row))
        if len(known) == 0:
            continue
        places = np.arange(len(row))
        after = np.searchsorted(known, places)
        right = row[known[np.minimum(after, len(known) - 1)]]
        left = row[known[np.maximum(np.searchsorted(known, places, side="right") - 1, 0)]]
        row[:] = np.where(np.isnan(row), np.minimum(left, right), row)
    for order in (range(1, len(out)), range(len(out) - 2, -1, -1)):
        step = 1 if order.step > 0 else -1
        for y in order:
            if np.isnan(out[y]).all():
                out[y] = out[y - step]
    return out


def methods() -> dict[str, Callable[[StereoPair], np.ndarray]]:
    """Every row: name -> pair to values."""
    rows: dict[str, Callable[[StereoPair], np.ndarray]] = {
        "sgm": lambda p: fathom.create("sgm", confidence=False)(p).values
    }
    for name, mode in MODES.items():
        rows[f"(a) OpenCV {name}"] = lambda p, m=mode: plain_opencv(p, m)
    for name in MODES:
        made = fathom.create("opencv-sgbm", mode=name, confidence=False)
        rows[f"(b) opencv-sgbm {name}"] = lambda p, m=made: m(p).values
    return rows


def main() -> None:
    """Prints both tables and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(os.environ.get("FATHOM_SHARED", "../shared"))
    parser.add_argument("--shared", type=Path, default=shared)
    folder = parser.parse_args().shared / "data" / "pairs_gt"
    rows = methods()
    names, scores = [], {name: [] for name in rows}
    for group, name, pair, truth, both in pairs(folder):
        names.append((group, name))
        known = np.isfinite(truth)
        for method, call in rows.items():
            bad = ~(np.abs(call(pair) - truth) <= 2)
            scores[method].append((100 * bad[known & both].mean(), 100 * bad[known].mean()))
    groups = list(dict.fromkeys(group for group, _ in names))
    mean = {}
    for k, title in enumerate(("non-occluded", "all pixels")):
        print(f"\nbad-2 %, {title}, mean of pairs; in all {len(names)} pairs")
        print(f"{'':<24}" + "".join(f"{g.removeprefix('middlebury_'):>17}" for g in groups), end="")
        print(f"{'mean':>8}")
        for method, found in scores.items():
            values = np.array(found)[:, k]
            cells = [values[[g == n[0] for n in names]].mean() for g in groups]
            mean[method, k] = values.mean()
            print(
                f"{method:<24}" + "".join(f"{c:>17.2f}" for c in cells) + f"{values.mean():>8.2f}"
            )
    print()
    for letter in "ab":
        for k, title, wanted in ((0, "non-occluded", 0.6), (1, "all pixels", 0.85)):
            best = min((mean[m, k], m) for m in rows if m.startswith(f"({letter})"))
            ratio = mean["sgm", k] / best[0]
            goal = f" (wanted: at most {wanted})" if letter == "a" else ""
            print(f"sgm / {best[1]}, {title}: {ratio:.2f}{goal}")


if __name__ == "__main__":
    main()
