"""Time of scoring one pair with every metric, and memory over a long data set.

    python -m benchmarks.scoring [--size 1000x1000] [--rounds 15] [--images 10000]

The pair: a smooth scene with steps, its truth with 10 % unknown, the estimate with noise, wrong
pixels, 5 % unknown and a confidence. Every metric but SSIM (protocol `fathom`, which has them all;
`fathom-depth` with a sigma), medians of single calls, reading excluded; the processor time of all
threads beside it, for busy machines. The goal is 150 ms a megapixel on two cores. SSIM stands
below. Then `--images` small pairs are scored and added up
in a tally: resident memory after the first tenth and at the end.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fathom.core import Depth, Disparity, StereoPair, StereoRig, StereoSample, View
from fathom.eval.protocols import protocol, protocols
from fathom.eval.regions import regions
from fathom.eval.scoring import score
from fathom.eval.similarity import structural_similarity
from fathom.eval.tally import Tally

GOAL_MS = 150


def scene(width: int, height: int, seed: int = 0) -> tuple[Disparity, StereoSample]:
    """An estimate with confidence and its sample, of the wanted size."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    steps = 12 * (np.sin(x / 37) > 0.6) + 20 * (np.cos(y / 53 + x / 91) > 0.7)
    truth = (20 + x / width * 10 + y / height * 20 + steps).astype(np.float32)
    noise = rng.standard_normal(truth.shape, dtype=np.float32)
    wrong = rng.random(truth.shape, dtype=np.float32) < 0.05
    found = truth + np.float32(0.3) * noise + np.where(wrong, 20 * np.abs(noise), 0)
    found[rng.random(truth.shape, dtype=np.float32) < 0.05] = np.nan
    truth[rng.random(truth.shape, dtype=np.float32) < 0.1] = np.nan
    confidence = np.clip(1 - wrong * 0.4 - np.abs(noise) / 8, 0, 1)
    confidence[np.isnan(found)] = 0
    image = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
    rig = StereoRig.simple(width, height, float(width), 0.2)
    source = np.where(np.isnan(found), 0, np.where(wrong, 2, 1)).astype(np.uint8)
    estimate = Disparity(found.astype(np.float32), confidence.astype(np.float32), source)
    pair = StereoPair(View(image), View(image), rig)
    return estimate, StereoSample(pair, Disparity(truth), name=f"scene {seed}")


def median_ms(job: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Medians of single calls in milliseconds, wall and processor; the first is not counted."""
    wall, processor = [], []
    for turn in range(rounds + 1):
        start, used = time.perf_counter(), time.process_time()
        job()
        if turn:
            wall.append(1000 * (time.perf_counter() - start))
            processor.append(1000 * (time.process_time() - used))
    return statistics.median(wall), statistics.median(processor)


def resident_mb() -> float:
    """Resident memory of this process in MB (Linux), NaN elsewhere."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(x for x in status.read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def show_times(width: int, height: int, rounds: int) -> None:
    """The table of times."""
    estimate, sample = scene(width, height)
    assert sample.truth is not None
    truth = sample.truth
    depth = estimate.to_depth(sample.pair.rig, sigma_d=0.3)
    metres = Depth(truth.to_depth(sample.pair.rig).values)
    print(f"{width}x{height}, {os.cpu_count()} cores, {rounds} rounds; goal {GOAL_MS} ms a Mpx\n")
    print(f"{'':<34}{'metrics':>8}{'median ms':>11}{'processor ms':>14}")
    for p in protocols():
        if p.crop is not None and p.crop.size is not None:
            continue
        if "all" not in p.masks:
            continue
        found, true = (estimate, sample) if p.quantity == "disparity" else (depth, metres)
        ms, cpu = median_ms(lambda f=found, t=true, p=p: score(f, t, p, mask="all"), rounds)
        print(f"{p.name:<34}{len(p.metrics):>8}{ms:>11.1f}{cpu:>14.1f}")
    few = max(1, rounds // 5)
    ms, cpu = median_ms(lambda: structural_similarity(estimate.values, truth.values), few)
    print(f"{'SSIM with its map':<34}{1:>8}{ms:>11.1f}{cpu:>14.1f}")
    ms, cpu = median_ms(lambda: regions(sample), few)
    print(f"{'regions (for compare)':<34}{'':>8}{ms:>11.1f}{cpu:>14.1f}")


def show_memory(images: int) -> None:
    """Resident memory while many small images are scored and forgotten."""
    chosen = protocol("fathom")
    tally = Tally(chosen, "all")
    early = float("nan")
    start = time.perf_counter()
    for i in range(images):
        estimate, sample = scene(64, 48, i)
        tally.add(score(estimate, sample, chosen, mask="all"))
        if i == images // 10:
            early = resident_mb()
    seconds = time.perf_counter() - start
    print(f"\n{images} images of 64x48 in {seconds:.0f} s: {early:.1f} MB after a tenth, ", end="")
    print(f"{resident_mb():.1f} MB at the end\n{tally.totals()}")


def main() -> None:
    """Prints both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="1000x1000", help="width x height (default 1000x1000)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--images", type=int, default=10000, help="0 leaves memory out")
    arguments = parser.parse_args()
    width, _, height = arguments.size.partition("x")
    show_times(int(width), int(height), arguments.rounds)
    if arguments.images:
        show_memory(arguments.images)


if __name__ == "__main__":
    main()
