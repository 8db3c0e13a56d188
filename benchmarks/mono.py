"""What our path around a monocular net costs beside the library's own pipeline.

    python -m benchmarks.mono [--rounds 7] [--size 640x480] [--threads 1]

Depth Anything V2 small in its full size (24.8 million parameters, the input 518 pixels on its
shorter side), filled at random, as a folder: transformers' `pipeline("depth-estimation")` on a
Pillow image, and `fathom.create("depth-anything-v2-small", weights=FOLDER)` on a `View`, by turns,
in one process. Medians of wall and processor time; the goal is a ratio of at most 1.05. The
position embedding is transformers' in both. On a busy machine the net's own time varies by more
than that; so the last line is processor time of what is around the net, its forward replaced by a
constant in both.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import DepthAnythingForDepthEstimation, pipeline
from transformers.modeling_outputs import DepthEstimatorOutput
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

import fathom
from fathom.core import View
from fathom.nets.mono.depth_anything import config_of

GOAL = 1.05


def folder_of(home: Path) -> Path:
    """The random net in its full size, and its processor's settings."""
    torch.manual_seed(0)
    net = DepthAnythingForDepthEstimation(config_of("depth-anything-v2-small")).eval()
    net.save_pretrained(home)
    side = {"height": 518, "width": 518}
    DPTImageProcessorPil(
        size=side, keep_aspect_ratio=True, ensure_multiple_of=14, do_pad=False
    ).save_pretrained(home)
    return home


def timed(job: Any) -> tuple[float, float]:
    """Seconds of wall and of processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    job()
    return time.perf_counter() - wall, time.process_time() - processor


def around(kind: type, size: int, jobs: dict[str, Any], rounds: int = 40) -> dict[str, float]:
    """Median processor time in ms of each job, with the forward of the net's class left out."""
    answer, forward = DepthEstimatorOutput(predicted_depth=torch.rand(1, size, size)), kind.forward
    kind.forward = lambda *_, **__: answer
    try:
        rows = [{name: timed(job)[1] for name, job in jobs.items()} for _ in range(rounds)]
    finally:
        kind.forward = forward
    return {name: 1000 * statistics.median(row[name] for row in rows) for name in jobs}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    width, height = map(int, given.size.split("x"))
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as home:
        folder = str(folder_of(Path(home)))
        theirs = pipeline("depth-estimation", model=folder, device="cpu")
        ours = fathom.create("depth-anything-v2-small", weights=folder, position="transformers")
        image, view = Image.fromarray(pixels), View(pixels)
        jobs = {"transformers": lambda: theirs(image), "fathom": lambda: ours(view)}
        apart = theirs(image)["predicted_depth"].numpy() - ours(view).values  # both are warm now
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
        for _ in range(given.rounds):
            for name, job in jobs.items():
                times[name].append(timed(job))
        beside = around(DepthAnythingForDepthEstimation, 518, jobs)
    medians = {
        name: [statistics.median(column) for column in zip(*rows, strict=True)]
        for name, rows in times.items()
    }
    for name, (wall, processor) in medians.items():
        print(f"{name:<13} {1000 * wall:8.0f} ms wall {1000 * processor:8.0f} ms processor")
    wall, processor = (
        a / b for a, b in zip(medians["fathom"], medians["transformers"], strict=True)
    )
    print(f"ratio {wall:.3f} wall, {processor:.3f} processor; goal at most {GOAL}")
    print(", ".join(f"{name} {ms:.1f} ms" for name, ms in beside.items()), "around the net")
    print(f"largest difference of the two answers: {abs(apart).max():g}")


if __name__ == "__main__":
    main()
