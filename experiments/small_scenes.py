"""What small comparisons of losses share: little scenes, and runs one after the other in one table.

Scenes are 192x96, rendered anew by each process (an eighth of a second each): 3 to 12 things, the
faults of two cameras, no nights and no glass, disparities of mostly 0 to 30 pixels. Those from
number `HELD_OUT` on are judged on and never trained on.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from fathom.core import StereoSample
from fathom.data.scenes import Scenes, SceneSettings
from fathom.train import Experiment, Validation, train

WIDTH, HEIGHT = 192, 96
LEVELS = 32
SEED = 20261123
HELD_OUT = 9000
SETTINGS = SceneSettings(
    width=WIDTH, height=HEIGHT, least_objects=3, most_objects=12, unusual=0.0, night=0.0,
    glossy=0.05, glass=0.0, plain=0.1,
)  # fmt: skip


@cache
def scenes(first: int, count: int) -> tuple[StereoSample, ...]:
    """Scenes `first` .. `first` + `count` - 1, with mask `nonocc`."""
    made = Scenes(SETTINGS, SEED)
    return tuple(made[first + i] for i in range(count))


TRAINED = partial(scenes, 0, 32)


def unlabelled() -> list[StereoSample]:
    """Those scenes' pairs without their truth."""
    return [replace(sample, truth=None, masks={}) for sample in TRAINED()]


def judged(*metrics: str, mask: str = "nonocc", count: int = 8) -> Validation:
    """The metrics over pixels that both cameras see (or another mask) of held-out scenes."""
    return Validation("held-out", partial(scenes, HELD_OUT, count), mask=mask, metrics=metrics)


def small(
    net: Callable[[], Any],
    loss: Callable[..., Any],
    validation: tuple[Validation, ...],
    steps: int,
    crop: tuple[int, int],
) -> Experiment:
    """A run on these scenes, judged before and after. crop: width and height."""
    return Experiment(
        net=net,
        data=TRAINED,
        loss=loss,
        validation=validation,
        steps=steps,
        batch=2,
        crop_width=crop[0],
        crop_height=crop[1],
        divisor=8,
        max_disparity=LEVELS,
        learning_rate=2e-3,
        warmup=20,
        threads=1,
        channels_last=False,
        log_every=50,
        save_every=steps,
        validate_every=steps,
    )


def compare(runs: Mapping[str, Experiment], place: str, seed: str = "0") -> None:
    """Trains each into `place`/NAME, until Ctrl-C, and prints a Markdown table: every validation's
    metrics before and after, and the processor minutes of training and judging."""
    rows, folder = [], Path(place)
    for name, experiment in runs.items():
        began = time.process_time()
        seeded = replace(experiment, seed=int(seed))
        result = train(seeded, folder / name, name=name, device="cpu", notify=print)
        if result.stopped == "interrupted":
            break
        minutes = (time.process_time() - began) / 60
        log = [json.loads(line) for line in (folder / name / "log.jsonl").read_text().splitlines()]
        cells = {"loss": name}
        for judge in experiment.validation:
            scores = [e["numbers"] for e in log if e.get("validation") == judge.name]
            for metric, before in scores[0].items():
                cells[f"{judge.name} {metric}"] = f"{before:.3g} -> {scores[-1][metric]:.3g}"
        cells |= {"steps": str(result.step), "minutes": f"{minutes:.1f}"}
        rows.append(list(cells.values()))
        table = [list(cells), ["---"] * len(cells), *rows]
        print("\n".join(f"| {' | '.join(row)} |" for row in table), flush=True)
