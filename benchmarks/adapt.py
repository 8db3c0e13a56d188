"""`fathom adapt` on scenes of a style that the model never saw, and on pairs that are none.

    python -m benchmarks.adapt --work FOLDER [--control] [--scenes 777] [--steps 240] [--seed 0]
        [--model coex --weights mine.safetensors]

The style is a cheap camera in the dark: a quarter of the light, grey, blurred by 0.8 px, noise of 4
grey values of its own in each view. Procedural scenes 320x192 are written as folders of PNG files,
and `fathom adapt LEFT RIGHT` is run on them as a user would; it sees no truth. Other scenes of the
style, which it never sees, are then matched by the model as users get it, before and after, and
judged against their exact truth: bad-2, EPE, and what the confidence loses to the best order of
the wrong pixels (AUSE x 100). The same scenes without the style stand beside. Where the run was
rolled back, its last weights are judged all the same, so that it is seen what was given up.

--scenes is the seed of the scenes, --seed that of the run. --model and --weights name another net
and the file it begins with, such as `fathom weights convert` writes.

--control pairs every left view with the right view of the next scene: once as it is (the pair
check refuses) and once with --no-check (learned from, judged, rolled back).

Prints the tables and the processor minutes. The figures: experiments/README.md.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

import fathom
from fathom.cli.main import main as cli
from fathom.core import StereoPair, StereoSample, View
from fathom.core.arrays import Array
from fathom.data.scenes import Scenes, SceneSettings
from fathom.eval.sparsification import ause, errors_and_confidence
from fathom.io.images import write_png

SCENES = SceneSettings(
    width=320, height=192, effects=False, night=0.0, glass=0.0, glossy=0.05, plain=0.1,
    unusual=0.1, nearest=0.12, least_objects=3, most_objects=12,
)  # fmt: skip
LEARNED, TESTED = 100, 0
"""Index of the first scene that is learned from, and of the first that is tested on."""


@dataclass(frozen=True)
class Dark:
    """The style. light: share that is left. blur: px. noise: grey values of 255."""

    light: float = 0.25
    blur: float = 0.8
    noise: float = 4.0

    def __call__(self, views: tuple[Array, Array], index: int) -> tuple[Array, Array]:
        """Both views as that camera takes them."""
        rng = np.random.default_rng(index)
        left, right = (self._taken(view, rng) for view in views)
        return left, right

    def _taken(self, view: Array, rng: np.random.Generator) -> Array:
        seen = cv2.GaussianBlur(view.astype(np.float32), (0, 0), self.blur) * self.light
        seen = seen + rng.normal(0, self.noise, seen.shape[:2])[..., None]
        return np.clip(seen, 0, 255).astype(np.uint8)


def taken(
    scenes: Scenes, index: int, other: int | None = None, style: Dark | None = None
) -> StereoSample:
    """Scene `index` in the style, or plain; other: whose right view is taken instead."""
    sample = scenes[index]
    right = sample.pair.right if other is None else scenes[other].pair.right
    views = sample.pair.left.rgb8, right.rgb8
    if style is not None:
        views = style(views, index)
    return StereoSample(StereoPair(View(views[0]), View(views[1])), sample.truth, name=sample.name)


def write_pairs(scenes: Scenes, folder: Path, count: int, *, wrong: bool = False) -> None:
    """The pairs to learn from as folders left and right."""
    for i in range(LEARNED, LEARNED + count):
        found = taken(scenes, i, i + 1 if wrong else None, Dark()).pair
        for side, view in (("left", found.left), ("right", found.right)):
            write_png(folder / side / f"{i:06d}.png", view.image)


def judged(
    scenes: Scenes, model: str, weights: Path | None, count: int, style: Dark | None
) -> dict[str, float]:
    """Means over the tested scenes, by the model as users get it."""
    matcher = fathom.create(model, weights=None if weights is None else str(weights))
    rows = []
    for i in range(TESTED, TESTED + count):
        sample = taken(scenes, i, style=style)
        assert sample.truth is not None
        found = matcher(sample.pair)
        e = np.abs(np.nan_to_num(found.values) - sample.truth.values)  # unknown is wrong
        errors, sure = errors_and_confidence(found, sample.truth)
        lost = 100 * ause((errors > 2).astype(np.float64), sure)
        rows.append((100 * (e > 2).mean(), e.mean(), lost))
    return dict(zip(("bad-2 %", "EPE px", "AUSE"), map(float, np.mean(rows, axis=0)), strict=True))


def adapt(work: Path, name: str, told: argparse.Namespace, *more: str) -> tuple[int, Path]:
    """Runs `fathom adapt`; its exit code and the file of weights."""
    out = work / f"{name}.safetensors"
    words = ["adapt", str(work / name / "left"), str(work / name / "right"), "-o", str(out)]
    words += ["--steps", str(told.steps), "--judge-every", str(told.judge_every)]
    words += ["--crop-width", "256", "--crop-height", "128", "--seed", str(told.seed)]
    words += ["--threads", "1", "--device", "cpu"]
    words += ["--learning-rate", str(told.learning_rate), "--model", told.model, *more]
    if told.weights is not None:
        words += ["--weights", str(told.weights)]
    began = time.process_time()
    code = cli([*words, *told.flags.split()])
    minutes = (time.process_time() - began) / 60
    print(f"{name} {' '.join(more)}: exit code {code}, {minutes:.1f} processor minutes", flush=True)
    return code, out


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--control", action="store_true")
    parser.add_argument("--model", default="fathom-s")
    parser.add_argument("--weights", type=Path, help="of the model (default: the shipped ones)")
    parser.add_argument("--pairs", type=int, default=36)
    parser.add_argument("--tested", type=int, default=10)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--judge-every", type=int, default=60)
    parser.add_argument("--learning-rate", type=float, default=4e-4)
    parser.add_argument("--scenes", type=int, default=777)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--flags", default="", help="further flags of fathom adapt")
    told = parser.parse_args()
    name = "wrong" if told.control else "dark"
    scenes = Scenes(SCENES, told.scenes)
    write_pairs(scenes, told.work / name, told.pairs, wrong=told.control)
    code, weights = adapt(told.work, name, told)
    if told.control:
        assert code == 3, code
        code, weights = adapt(told.work, name, told, "--no-check")
        print("rolled back" if code == 1 and not weights.exists() else "NOT rolled back")
        return
    last = told.work / f"{name}-run" / "training" / "weights.safetensors"
    which, made = ("adapted", weights) if weights.exists() else ("last weights, not kept", last)
    rows = {
        f"{where}, {what}": judged(scenes, told.model, file, told.tested, style)
        for where, style in (("style", Dark()), ("plain scenes", None))
        for what, file in (("before", told.weights), (which, made))
    }
    for row, numbers in rows.items():
        print(f"{row:36}" + "".join(f"{k} {v:8.3f}  " for k, v in numbers.items()))
    before, after = rows["style, before"], rows[f"style, {which}"]
    falls = {k: round(100 * (1 - after[k] / before[k]), 1) for k in before}
    print("falls by %:", json.dumps(falls))


if __name__ == "__main__":
    main()
