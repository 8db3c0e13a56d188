"""HITNet, Bi3D, PSMNet and PSMNet with propagation, narrowed, after the same short training.

    python -m benchmarks.side_by_side --train 240 [--work side_by_side] [-o docs/images]

What a processor can show of them in minutes: nets with few channels (`NETS`) learn small and easy
procedural scenes (192x96, up to about 30 px, nothing at night, of glass or without texture), each
for the same processor seconds of one thread: a few steps are timed first, and as many are taken as
fit. All share scenes and their order, batch, optimiser, rate and clipping; each has the loss of its
experiment. They are judged on scenes of another seed, and on Motorcycle at a third of its size,
a real pair that none has seen. What is complete below --work is not trained again.
"""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fathom.catalog import create
from fathom.core import Disparity, StereoSample
from fathom.core.arrays import Array
from fathom.data.looks import Kept
from fathom.data.samples import motorcycle
from fathom.data.scenes import Scenes, SceneSettings
from fathom.eval.metrics import bad, end_point_error
from fathom.geometry.resize import crop_pair, resize_disparity, resize_pair
from fathom.io.atomic import write_bytes
from fathom.layers.plane_answers import Classifying
from fathom.layers.planes import PlaneLoss
from fathom.layers.tile_losses import TileLoss
from fathom.nets.adapter import load_net
from fathom.nets.stereo.bi3d import Bi3D, Bi3DConfig
from fathom.nets.stereo.hitnet import HITNet, HITNetConfig
from fathom.nets.stereo.psmnet import PSMNet, PSMNetConfig
from fathom.nets.stereo.psmnet_cspn import PSMNetCSPN, PSMNetCSPNConfig
from fathom.train import Experiment, StereoLoss, train
from fathom.train.loop import trial
from fathom.train.record import WEIGHTS
from fathom.viz.color import Scale, disparity_scale
from fathom.viz.grid import Panel

WIDTH, HEIGHT, ROOM = 192, 96, 32
SEED, HELD_OUT_SEED = 21, 22
SCENES, HELD_OUT, SHOWN = 100, 8, 3
TIMED = 6
EASY = SceneSettings(unusual=0.0, night=0.0, glossy=0.0, glass=0.0, plain=0.0)
_PSM = PSMNetConfig(max_disparity=32, width=8, blocks=(1, 1, 1, 1), pools=(8, 4, 2, 1))
_STACKED = StereoLoss(weights=(1.0, 0.7, 0.5))
Net = tuple[Callable[[], Any], Callable[..., Any]]


def _bi3d() -> Bi3D:
    answering = Classifying(width=16, pools=(8, 4, 2), widths=(24, 32, 48, 48), canvas=16)
    net = Bi3D(Bi3DConfig(0, 33, False, correcting=8, classifying=answering))
    net.correction.last.weight.data /= 100  # else it learns first of all to leave that
    return net


NETS: dict[str, Net] = {
    "hitnet": (
        partial(
            HITNet,
            HITNetConfig(max_disparity=32, refining=(16, 16, 16), dilations=((1, 2, 4, 1),) * 3),
        ),
        TileLoss(),
    ),
    "bi3d-2d": (_bi3d, PlaneLoss()),
    "psmnet": (partial(PSMNet, _PSM), _STACKED),
    "psmnet-cspn": (partial(PSMNetCSPN, PSMNetCSPNConfig(_PSM, steps=2, width=4)), _STACKED),
}
"""Name -> what builds the narrowed net, and its loss."""


def scenes(work: Path, seed: int, count: int, room: int = 0) -> Any:
    """The common scenes, each made once and kept."""
    settings = replace(EASY, width=WIDTH + room, height=HEIGHT + room)
    return Kept(Scenes(settings, seed, count), work / "scenes" / str(seed))


def experiment_of(name: str, work: Path, steps: int) -> Experiment:
    """The training of a net, the same for all but for net and loss."""
    build, loss = NETS[name]
    return Experiment(
        net=build,
        data=partial(scenes, work, SEED, SCENES, ROOM),
        loss=loss,
        steps=steps,
        batch=2,
        crop_width=WIDTH,
        crop_height=HEIGHT,
        divisor=48,
        max_disparity=32.0,
        optimiser="adam",
        learning_rate=1e-3,
        weight_decay=0.0,
        warmup=min(50, steps // 10),
        channels_last=False,
        seed=SEED,
        threads=1,
        log_every=max(1, steps // 10),
        save_every=max(1, steps // 4),
        validate_every=steps,
        keep=1,
    )


def trained(name: str, work: Path, seconds: float, say: Callable[[str], None]) -> Any:
    """The trained net, and what is known of its training: steps, cpu_s, parameters."""
    folder = work / name
    done = folder / "done.json"
    if not done.is_file():
        torch.set_num_threads(1)
        plan = _plan(name, work, seconds, say)
        began = time.process_time()
        found = train(
            experiment_of(name, work, plan["steps"]),
            folder / "run",
            name=name,
            resume=(folder / "run").is_dir(),
            device="cpu",
            notify=say,
        )
        if found.stopped != "finished":
            raise SystemExit("interrupted")
        plan["cpu_s"] = time.process_time() - began
        write_bytes(done, json.dumps(plan).encode())
    net = load_net(NETS[name][0](), folder / "run" / WEIGHTS, torch.device("cpu"))
    return net, json.loads(done.read_text())


def _plan(name: str, work: Path, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """As many steps as fit, found once and kept."""
    file = work / name / "plan.json"
    if file.is_file():
        kept: dict[str, Any] = json.loads(file.read_text())
        return kept
    spent = []
    for steps in (1, 1, 1 + TIMED):  # the very first compiles, and is not counted
        before = time.process_time()
        tried = trial(experiment_of(name, work, 1 + TIMED), steps, "cpu", say)
        spent.append(time.process_time() - before)
    steps = max(1, int(seconds / ((spent[2] - spent[1]) / TIMED)))
    plan = {"steps": steps, "parameters": tried["parameters"]}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(file, json.dumps(plan).encode())
    return plan


def real() -> StereoSample:
    """Motorcycle at a third of its size, cut to that of the scenes: disparities to 20 px."""
    whole = motorcycle()
    small = resize_pair(whole.pair, 1 / 3)
    height, width = small.shape
    truth = resize_disparity(whole.truth, (width, height)).values
    x, y = 28, 40
    cut = np.ascontiguousarray(truth[y : y + HEIGHT, x : x + WIDTH])
    pair = crop_pair(small, x, y, WIDTH, HEIGHT)
    return StereoSample(pair, Disparity(cut), name="Motorcycle")


def answered(net: Any, sample: StereoSample) -> Array:
    """The net's disparity (h, w) in pixels; sizes must suit it."""
    pair = sample.pair
    views = (torch.from_numpy(v.rgb8.transpose(2, 0, 1).copy()) for v in (pair.left, pair.right))
    with torch.inference_mode():
        found = net(*(view[None].float() for view in views)).disparities[0]
    return np.ascontiguousarray(found[0, 0].numpy())


def compared(
    work: Path, seconds: float, say: Callable[[str], None]
) -> tuple[list[Panel], list[str]]:
    """Panels of both scenes, a row each, and the lines of a Markdown table."""
    for seed, count, room in ((SEED, SCENES, ROOM), (HELD_OUT_SEED, HELD_OUT, 0)):
        made = scenes(work, seed, count, room)
        for i in range(count):  # beforehand: making them is no net's time
            made[i]
    held = scenes(work, HELD_OUT_SEED, HELD_OUT)
    samples = [*(held[i] for i in range(HELD_OUT)), real()]
    answers: dict[str, list[Array]] = {
        "one value": [np.full_like(s.truth.values, np.nanmedian(s.truth.values)) for s in samples],
        "sgm": [create("sgm", max_disparity=32)(s.pair).values for s in samples],
    }
    told: dict[str, dict[str, Any]] = {}
    for name in NETS:
        net, told[name] = trained(name, work, seconds, say)
        answers[name] = [answered(net, s) for s in samples]
    lines = [
        "| net | parameters | steps | CPU s | EPE, held out | bad-2 | EPE, Motorcycle | bad-2 |",
        "|---" * 8 + "|",
    ]
    for name, maps in answers.items():
        plan = told.get(name)
        spent = [f"{plan[k]:,.0f}" for k in ("parameters", "steps", "cpu_s")] if plan else ["-"] * 3
        cells = []
        for part in (slice(None, -1), slice(-1, None)):
            scores = [_scores(*both) for both in zip(maps[part], samples[part], strict=True)]
            epe, wrong = np.mean(scores, axis=0)
            cells += [f"{epe:.2f} px", f"{wrong:.1%}"]
        lines.append(f"| `{name}` | " + " | ".join([*spent, *cells]) + " |")
    panels: list[Panel] = []
    for at in (SHOWN, -1):
        panels += _row(samples[at], {n: maps[at] for n, maps in answers.items()})
    return panels, lines


def _scores(values: Array, sample: StereoSample) -> tuple[float, float]:
    found = Disparity(values)
    return end_point_error(found, sample.truth), bad(found, sample.truth, 2.0)


def _row(sample: StereoSample, answers: dict[str, Array]) -> list[Panel]:
    scale: Scale = disparity_scale(sample.truth.values)
    panels = [
        Panel("left image", sample.pair.left.rgb8),
        Panel("truth", values=sample.truth.values, scale=scale, bar=False),
    ]
    for name, values in answers.items():
        if name == "one value":
            continue
        label = f"{name}, EPE {_scores(values, sample)[0]:.1f} px"
        last = name == list(answers)[-1]
        panels.append(Panel(label, values=values, scale=scale, bar=last))
    panels.insert(4, Panel("", note=sample.name or "held-out scene"))
    return panels
