"""A stereo net without measured truth: pairs of single pictures, a stronger model, itself.

    python experiments/other_sources.py runs/sources [SEED]
    fathom train experiments/other_sources.py          # pictures whose depth was guessed coarsely

The net, scenes and steps of `labels_or_not.py`; the rows differ in where the truth comes from.
`picture: ...`: of each pair the left view alone is used; a right view is made of it by a depth map
(`fathom.data.from_photos`, Watson et al. 2020): its own depth, what an eighth of the size leaves of
it (as sharp as a small net for one view guesses), or a wall that leans back, whatever the picture
shows. `sgm ...`: both views, and semi-global matching for a teacher, believed everywhere or where
its answers for both views agree to a pixel. `itself`: begun with the weights of `labels`, its own
answers on the clean pairs of 32 other scenes where both views agree to a pixel, while it sees them
with other colours, noise and blur; `labels, longer` has as many steps more and the labels.

`compare` judges each before and after on the same held-out scenes. Table: README.md, "Truth from
elsewhere".
"""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from labels_or_not import LABELS, Small
from small_scenes import HEIGHT, LEVELS, TRAINED, WIDTH, compare, scenes, unlabelled

import fathom
from fathom.core import RelativeDepth, StereoSample
from fathom.data.augment import AugmentSettings, augment
from fathom.data.from_photos import PhotoSettings, pair_of_photo
from fathom.layers.state import load_state
from fathom.nets.adapter import NetMatcher
from fathom.train import Experiment
from fathom.train.checkpoint import read_weights
from fathom.train.taught import Taught

DRAWN = PhotoSettings(least=0.05, largest=(LEVELS - 2) / WIDTH)
LOOKS = AugmentSettings(width=128, height=64, uneven=1.0, blur=0.5, noise=0.5)


def own_depth(sample: StereoSample) -> Any:
    """Inverse depth, its scale forgotten."""
    return sample.truth.values / LEVELS


def coarse_depth(sample: StereoSample) -> Any:
    """What an eighth of the size leaves of it."""
    small = cv2.resize(own_depth(sample), (WIDTH // 8, HEIGHT // 8), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)


def wall(sample: StereoSample) -> Any:
    """Near at the bottom, far at the top."""
    rows = np.linspace(0.2, 1, HEIGHT, dtype=np.float32)
    return np.repeat(rows[:, None], sample.pair.shape[1], axis=1)


def pictures(depth: Any, draws: int = 2) -> list[StereoSample]:
    """Pairs made of the left views, each `draws` times with another largest disparity."""
    rng, seen = np.random.default_rng(0), TRAINED()
    made = []
    for draw in range(draws):
        for i, sample in enumerate(seen):
            guess = RelativeDepth(depth(sample), "affine_inverse")
            other = seen[(i + 1 + draw) % len(seen)].pair.left.rgb8
            made.append(pair_of_photo(sample.pair.left, guess, rng, DRAWN, other))
    return made


def by_sgm(least: float, consistent: float | None) -> list[StereoSample]:
    """The pairs with the answers of semi-global matching."""
    taught = Taught(
        unlabelled(), fathom.create("sgm", max_disparity=LEVELS), least, consistent=consistent
    )
    return [taught[i] for i in range(len(taught))]


def by_itself(weights: Path) -> list[StereoSample]:
    """32 other scenes with the answers of the net with these weights."""
    net = Small()
    load_state(net, read_weights(weights), weights)
    pairs = [replace(s, truth=None, masks={}) for s in scenes(100, 32)]
    taught = Taught(pairs, NetMatcher(net.eval(), divisor=8), least=0.0, consistent=1.0)
    return [taught[i] for i in range(len(taught))]


EXPERIMENT = replace(LABELS, data=partial(pictures, coarse_depth))


def rows(place: Path) -> dict[str, Experiment]:
    """The runs by name; those that go on from `labels` find its weights below `place`."""
    first = place / "labels" / "weights.safetensors"
    return {
        "labels": LABELS,
        "picture: own depth": replace(LABELS, data=partial(pictures, own_depth)),
        "picture: coarse depth": EXPERIMENT,
        "picture: a wall": replace(LABELS, data=partial(pictures, wall)),
        "sgm everywhere": replace(LABELS, data=partial(by_sgm, 0.0, None)),
        "sgm where both views agree": replace(LABELS, data=partial(by_sgm, 0.0, 1.0)),
        "labels, longer": replace(LABELS, start=first),
        "itself": replace(
            LABELS, start=first, data=partial(by_itself, first),
            augment=partial(augment, settings=LOOKS),
        ),
    }  # fmt: skip


if __name__ == "__main__":
    compare(rows(Path(sys.argv[1])), *sys.argv[1:])
