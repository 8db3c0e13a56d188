"""Is the standard deviation of a disparity what it says? Shares of errors within it.

    python -m benchmarks.sigma [--methods sgm,opencv-sgbm,...] [--boxes]

Over Motorcycle (scikit-image) and, where they are, the pairs with ground truth of FATHOM_SHARED;
every pair counts alike. sigma_d comes from the confidence (`fathom.core.uncertainty`); the error of
the depth over its sigma is the same number, to first order. Under Laplace's law 75.7 % lie within
one and 94.1 % within two standard deviations. "all" has every known pixel, filled ones included;
"no confidence" takes `DEFAULT_SIGMA_D` for all of them; "measured" and "filled" part them.
--boxes: the same shares for the distances that `fathom measure` gives for 40 random boxes of 40x40
pixels a pair, against the median truth of the object's pixels.
"""

import argparse
from contextlib import suppress
from itertools import pairwise

import numpy as np

import fathom
from benchmarks.confidence import samples
from fathom.core import Disparity, InputError, StereoRig, StereoSample
from fathom.core.arrays import Array
from fathom.core.uncertainty import DEFAULT_SIGMA_D, sigma_of_confidence
from fathom.geometry.measuring import measure_object

BINS = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)
"""Edges of the confidence bins; the last one includes 1."""
HEADERS = ("confidence", "of pixels", "said", "within 1 px", "sigma_d", "within 1", "within 2")


def judged(found: Disparity, sample: StereoSample) -> tuple[Array, Array, Array]:
    """|error| in pixels, confidence, and whether measured, of the pixels with known truth."""
    assert sample.truth is not None and found.confidence is not None
    known = found.known & sample.truth.known
    errors = np.abs(found.values - sample.truth.values)[known]
    return errors, found.confidence[known], found.measured[known]


def line(name: str, weight: float, errors: Array, said: Array, sigma: Array, each: Array) -> str:
    """One line of the table. each: weight of every pixel."""

    def mean(values: Array) -> float:
        return float(np.average(values, weights=each))

    return (
        f"{name:<14}{100 * weight:>10.1f}%{mean(said):>13.3f}{100 * mean(errors <= 1):>12.1f}%"
        f"{mean(sigma):>11.2f} px{100 * mean(errors <= sigma):>11.1f}%"
        f"{100 * mean(errors <= 2 * sigma):>11.1f}%"
    )


def table(parts: list[tuple[Array, Array, Array]]) -> list[str]:
    """The lines for one method; parts: what `judged` gave for each pair."""
    errors, said, measured = (np.concatenate(column) for column in zip(*parts, strict=True))
    each = np.concatenate([np.full(len(p[0]), 1 / len(p[0]) / len(parts)) for p in parts])
    sigma = sigma_of_confidence(said[None])[0]
    lines = []
    for low, high in pairwise(BINS):
        inside = (said >= low) & ((said < high) | (high == BINS[-1]))
        if inside.any():
            columns = (errors[inside], said[inside], sigma[inside], each[inside])
            lines.append(line(f"{low:.2f}..{high:.2f}", float(each[inside].sum()), *columns))
    default = np.full(errors.shape, DEFAULT_SIGMA_D)
    for name, taken, spread in (
        ("measured", measured, sigma),
        ("filled", ~measured, sigma),
        ("all", np.ones_like(measured), sigma),
        ("no confidence", np.ones_like(measured), default),
    ):
        if taken.any():
            columns = (errors[taken], said[taken], spread[taken], each[taken])
            lines.append(line(name, float(each[taken].sum()), *columns))
    return lines


def boxes(found: list[Disparity], every: list[StereoSample]) -> str:
    """Shares of the measured objects' errors within their error bars."""
    rng, ratios = np.random.default_rng(0), []
    for disparity, sample in zip(found, every, strict=True):
        height, width = disparity.shape
        rig = StereoRig.simple(width, height, 1000.0, 0.1)
        depth = disparity.to_depth(rig)
        assert sample.truth is not None
        truth = rig.depth_of(sample.truth.values)
        for _ in range(40):
            x, y = rng.integers(0, width - 40), rng.integers(0, height - 40)
            region = np.zeros(depth.shape, np.bool_)
            region[y : y + 40, x : x + 40] = True
            with suppress(InputError):
                measured = measure_object(depth, rig, region)
                judged_pixels = measured.pixels & ~np.isnan(truth)
                if judged_pixels.sum() >= 50:
                    error = measured.depth - float(np.median(truth[judged_pixels]))
                    ratios.append(abs(error) / measured.depth_sigma)
    within = [100 * float(np.mean(np.array(ratios) <= n)) for n in (1, 2)]
    return f"{len(ratios)} boxes: {within[0]:.1f}% within 1, {within[1]:.1f}% within 2"


def main() -> None:
    """Prints a table for each method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boxes", action="store_true", help="also measure random boxes")
    names = [e.name for e in fathom.entries("stereo", ready=True)]
    parser.add_argument("--methods", default=",".join(names))
    every = list(samples())
    arguments = parser.parse_args()
    for method in arguments.methods.split(","):
        matcher = fathom.create(method)
        print(f"\n{method}, {len(every)} pairs")
        widths = (11, 13, 13, 14, 12, 12)
        heads = "".join(f"{h:>{w}}" for h, w in zip(HEADERS[1:], widths, strict=True))
        print(f"{HEADERS[0]:<14}{heads}")
        found = [matcher(sample.pair) for sample in every]
        for text in table([judged(*both) for both in zip(found, every, strict=True)]):
            print(text, flush=True)
        if arguments.boxes:
            print(boxes(found, every), flush=True)


if __name__ == "__main__":
    main()
