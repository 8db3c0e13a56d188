"""All published nets trained alike for a short while, and what they know then.

    python -m benchmarks.zoo -o zoo [--nets psmnet,hitnet] [--seconds 60 | --steps 200]
        [--size 384x384] [--max-disparity 96] [--batch 2] [--held-out 8] [--device cpu]

Every net starts from random weights and sees the same procedural scenes in the same order (one
seed, random crops; of the given size, or of the next one that the net takes; mc-cnn-accurate, which
learns from patches, of 128x32), through the one training loop, with the loss, optimiser and peak
rate of its own experiment (experiments/NAME.py); the rate warms up for a twentieth of the steps and
falls by a cosine, gradients are clipped at 1. With --seconds, three steps are timed first, and as
many are taken as fit; a slow net takes fewer. If memory does not suffice for the batch, one pair is
taken, and the row says so. Then it is judged on held-out scenes (another seed): end-point error,
share of pixels off by more than 2 px (a negative disparity is no value: it is off by all, and in no
mean), seconds of one forward and the peak memory of all that. This tells how soon a net learns, not
how good it becomes. Two rows say what that is worth: `sgm`, which learns nothing, and one value for
all pixels of a scene, its true median.

Each net runs in a process of its own and has a folder below the output; what is complete there is
not run again, what was broken off goes on from its last checkpoint. A net that fails has a row that
says why.
"""

import argparse
import importlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.matchers import peak
from benchmarks.networks import markdown, nets, torch
from fathom.classical.sgm import SGM
from fathom.core import ResourceError
from fathom.data.looks import Kept
from fathom.data.scenes import Scenes, SceneSettings
from fathom.io.atomic import write_bytes
from fathom.nets.adapter import load_net
from fathom.train import train
from fathom.train.experiment import Judging, Validation
from fathom.train.load import load_experiment
from fathom.train.loop import trial
from fathom.train.record import WEIGHTS
from fathom.train.validate import validate
from fathom.train.world import chosen_device

SEED, HELD_OUT_SEED = 11, 12
EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"
DONE, PLAN = "zoo.json", "plan.json"
_TIMED = 3
_DEFAULT_LOSS = ("bi3d", "bi3d-2d")
"""Nets whose file in experiments/ is for another stage, and has their loss as its default."""
_NO_DISPARITY = ("bi3d-binary",)
_CROPS = {"mc-cnn-accurate": (128, 32)}
"""(width, height) of the training crops of nets that learn from patches and cannot take larger ones
in 24 GB; they are judged at the size of all the others."""
HEADS = (
    *("net", "EPE px", "bad-2 %", "steps", "crop", "batch"),
    *("s a step", "s a pair", "peak MB", "params"),
)


def builder_of(
    name: str, levels: int, size: tuple[int, int]
) -> tuple[Callable[[], Any], tuple[int, int]]:
    """The net for `levels` disparities (or its own fixed number), untrained, and the (height,
    width) next to `size` that it takes."""
    module = nets()[name]
    home = importlib.import_module(f"fathom.nets.stereo.{module}")
    if name.startswith("mc-cnn"):
        return partial(getattr(home, name.replace("-", "_")), max_disparity=levels), size
    frame = home.FRAMES[name]
    own = {} if frame.step is None else {"max_disparity": frame.searched(levels)}
    return partial(getattr(home, frame.builder), **own), frame.size(*size)


def experiment_of(name: str, told: argparse.Namespace, steps: int, batch: int) -> Any:
    """The net's own experiment on the common scenes."""
    width, height = _CROPS.get(name, size_of(told))
    file = EXPERIMENTS / f"{nets()[name]}.py"
    if not file.is_file():
        raise SystemExit(f"{file.name} is not there: whose loss would it be?")
    own = load_experiment(file)
    net, (height, width) = builder_of(name, told.max_disparity, (height, width))
    return replace(
        own,
        net=net,
        data=partial(scenes, told, SEED, told.scenes, room=64),
        loss=loss_of(name, own.loss),
        augment=None,
        validation=(),
        steps=steps,
        batch=batch,
        crop_width=width,
        crop_height=height,
        divisor=math.gcd(width, height),  # a multiple of the net's own: that was seen to
        max_disparity=float(told.max_disparity),
        schedule="cosine",
        warmup=steps // 20,
        clip=1.0,
        ema=None,
        precision="fp32",
        seed=SEED,
        workers=0,
        threads=told.threads,
        holdout=0.0,
        log_every=max(1, steps // 10),
        save_every=max(1, min(100, steps // 4)),
        validate_every=steps,
        keep=1,
        start=None,
    )


def loss_of(name: str, own: Any) -> Any:
    """Of the net: its file's own, but where the file is for another stage, or for its sister."""
    if name in _DEFAULT_LOSS:
        return type(own)()
    return replace(own, kind="entropy") if name == "mc-cnn-accurate" else own


def scenes(told: argparse.Namespace, seed: int, count: int, room: int = 0) -> Any:
    """Procedural scenes, `room` pixels larger than the crops; each is made once and kept."""
    width, height = size_of(told)
    settings = SceneSettings(width=width + room, height=height + room)
    home = told.output / "scenes" / f"{settings.width}x{settings.height}-{seed}"
    return Kept(Scenes(settings, seed, count), home)


def planned(name: str, told: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Steps and batch of a net, found once and kept, so that a run that goes on is the same run."""
    file = folder / PLAN
    if file.is_file():
        kept: dict[str, Any] = json.loads(file.read_text())
        return kept
    for batch in dict.fromkeys((told.batch, 1)):
        try:
            first = trial(experiment_of(name, told, _TIMED, batch), 1, told.device, say)["seconds"]
            more = trial(experiment_of(name, told, _TIMED, batch), _TIMED, told.device, say)
            break
        except ResourceError:
            if batch == 1:
                raise
    each = max((more["seconds"] - first) / (_TIMED - 1), 1e-3)
    steps = told.steps or max(1, math.floor(told.seconds / each))
    plan = {"steps": steps, "batch": batch, "step_s": each, "parameters": more["parameters"]}
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(file, json.dumps(plan).encode())
    return plan


def one(name: str, told: argparse.Namespace) -> dict[str, Any]:
    """Trains and judges one net; this is the child's side."""
    folder = told.output / name
    plan = planned(name, told, folder)
    experiment = experiment_of(name, told, plan["steps"], plan["batch"])
    run = folder / "run"
    done = train(experiment, run, name=name, resume=run.is_dir(), device=told.device, notify=say)
    if done.stopped != "finished":
        raise SystemExit("interrupted")
    device = chosen_device(told.device)
    net = load_net(experiment.net(), run / WEIGHTS, device)
    held = scenes(told, HELD_OUT_SEED, told.held_out)
    rules = Validation("held-out", lambda: held, metrics=("epe", "bad-2"))
    judged = validate(rules, held, Judging(net, experiment, device, say))
    assert judged is not None
    tall, wide = builder_of(name, told.max_disparity, size_of(told)[::-1])[1]
    given = [
        torch.tensor(np.resize(v.rgb8, (tall, wide, 3))).permute(2, 0, 1)[None].float().to(device)
        for v in (held[0].pair.left, held[0].pair.right)
    ]
    before = time.perf_counter()
    with torch.inference_mode():
        float(net(*given).disparities[0].mean())  # waits for a GPU, too
    seconds = time.perf_counter() - before
    return {"net": name, **plan, "pair_s": seconds, "peak_mb": peak() / 1e6,
            "epe": judged.numbers["epe"], "bad-2": 100 * judged.numbers["bad-2"],
            "failed": list(judged.failed), "skipped": done.skipped,
            "size": f"{experiment.crop_width}x{experiment.crop_height}"}  # fmt: skip


def row_of(name: str, told: argparse.Namespace, words: list[str]) -> dict[str, Any]:
    """The net's row: kept from before, or of a run in a process of its own."""
    file = told.output / name / DONE
    if file.is_file():
        kept: dict[str, Any] = json.loads(file.read_text())
        return kept
    env = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "-m", "benchmarks.zoo", *words, "--one", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=env, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        said = done.stdout.strip().splitlines()
        return {"net": name, "error": said[-1][:200] if said else f"exit code {done.returncode}"}
    row: dict[str, Any] = json.loads(lines[-1])
    write_bytes(file, lines[-1].encode())
    return row


def yardsticks(held: Any) -> list[dict[str, Any]]:
    """Rows of what learned nothing: semi-global matching, and each scene's true median."""
    matcher = SGM()
    found: dict[str, list[tuple[float, float]]] = {"sgm": [], "one value": []}
    for sample in held:
        truth = sample.truth.values
        known = np.isfinite(truth)
        guess = np.full(truth.shape, np.median(truth[known]), np.float32)
        for name, values in (("sgm", matcher(sample.pair).values), ("one value", guess)):
            error = np.abs(values - truth)[known]
            found[name].append((float(error.mean()), float(100 * (error > 2).mean())))
    means = {name: np.mean(rows, axis=0) for name, rows in found.items()}
    return [
        {"net": name, "epe": float(epe), "bad-2": float(bad), "parameters": 0}
        for name, (epe, bad) in means.items()
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """The Markdown table, the best first, what failed last."""

    def cells(row: dict[str, Any]) -> list[str]:
        found = [f"{row['epe']:.2f}", f"{row['bad-2']:.1f}"]
        if "steps" not in row:
            return [*found, *["-"] * 6]
        found += [str(row["steps"]), row["size"]]
        spent = [str(row["batch"]), f"{row['step_s']:.2f}", f"{row['pair_s']:.2f}"]
        return [*found, *spent, f"{row['peak_mb']:.0f}"]

    return markdown(HEADS, sorted(rows, key=lambda r: (r.get("bad-2", math.inf), r["net"])), cells)


def say(line: str) -> None:
    """Progress, to standard error: standard output has the row."""
    print(line, file=sys.stderr, flush=True)


def size_of(told: argparse.Namespace) -> tuple[int, int]:
    """(width, height) of the crops."""
    width, height = (int(part) for part in told.size.split("x"))
    return width, height


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("zoo"))
    parser.add_argument("--nets", help="names, with commas (default: all that give disparities)")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--steps", type=int, help="so many, whatever they take")
    parser.add_argument("--size", default="384x384")
    parser.add_argument("--max-disparity", type=int, default=96)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--scenes", type=int, default=64, help="to train on, again and again")
    parser.add_argument("--held-out", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.one:
        try:
            print(json.dumps(one(told.one, told)))
        except Exception as error:
            print(f"{type(error).__name__}: {error}".splitlines()[0])
            raise SystemExit(1) from error
        except SystemExit as error:
            print(error)
            raise SystemExit(1) from error
        return
    known = nets()
    names = told.nets.split(",") if told.nets else [n for n in known if n not in _NO_DISPARITY]
    wrong = [name for name in names if name not in known]
    if wrong:
        raise SystemExit(f"no such net: {', '.join(wrong)}; known: {', '.join(known)}")
    for seed, count, room in ((SEED, told.scenes, 64), (HELD_OUT_SEED, told.held_out, 0)):
        made = scenes(told, seed, count, room)
        for i in range(count):  # beforehand: making them is no net's time
            made[i]
    rows = [row_of(name, told, sys.argv[1:]) for name in names]
    rows += yardsticks(scenes(told, HELD_OUT_SEED, told.held_out))
    budget = f"{told.steps} steps" if told.steps else f"{told.seconds:g} s of training"
    print(f"{told.size}, {told.max_disparity} disparities, {budget} on {told.device}, ", end="")
    print(f"judged on {told.held_out} held-out scenes\n")
    print(table(rows))


if __name__ == "__main__":
    main()
