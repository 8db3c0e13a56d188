"""Speed and memory of `sgm` beside OpenCV's semi-global modes, in one run.

    python -m benchmarks.sgm [--size 1242x375] [--max-disparity 128] [--rounds 11] [--threads N]
    python -m benchmarks.sgm --large [--size 4000x3000] [--max-disparity 256]

Rows take turns within each round; times are medians, ratios medians of the ratios of each round to
OpenCV's fastest mode (3WAY, 4 paths). The core is costs, paths, winner and sub-pixel with what the
left-right check needs (`sgm_evidence`); the default adds the check, median, speckles, filling and
confidence. `fathom-s` has all of it.
OpenCV does neither filling nor confidence. --large: one large pair, Motorcycle
enlarged, coarse to fine within 1 GB, in a fresh process; time, peak memory above the pair, and the
peak predicted.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

import fathom
from benchmarks.matchers import held_now, make_pair, opencv_job, peak, times
from fathom.catalog import entry
from fathom.classical import engine, sgm
from fathom.classical.memory import predict
from fathom.classical.parallel import thread_count
from fathom.classical.pyramid import predict_coarse_to_fine
from fathom.classical.sgm import SGM, sgm_evidence
from fathom.data.samples import motorcycle

REFERENCE = "OpenCV 3WAY, 4 paths"
LIMIT = 10**9


def stages(pair: object, settings: SGM, rounds: int) -> dict[str, float]:
    """Median milliseconds of each part of one call, by wrapping the functions that do them."""
    spent: dict[str, float] = {}
    table: dict[str, list[float]] = {}
    parts = {
        "grey": (sgm, "_grays"),
        "census (both views)": (engine, "_census"),
        "paths, costs, winner": (engine, "_sweep"),
        "core in all": (sgm, "sgm_evidence"),
        "check and speckles": (SGM, "_trusted"),
        "filling": (sgm, "fill_large"),
        "confidence (beside the two above)": (sgm, "sgm_confidence"),
    }
    before = {name: getattr(*where) for name, where in parts.items()}

    def timed(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def run(*a: object, **k: object) -> object:
            start = time.perf_counter()
            try:
                return call(*a, **k)
            finally:
                spent[name] = spent.get(name, 0) + time.perf_counter() - start

        return run

    try:
        for name, (owner, attribute) in parts.items():
            setattr(owner, attribute, timed(name, before[name]))
        for _ in range(rounds):
            spent.clear()
            start = time.perf_counter()
            settings(pair)
            spent["whole"] = time.perf_counter() - start
            for name, seconds in spent.items():
                table.setdefault(name, []).append(1000 * seconds)
    finally:
        for name, (owner, attribute) in parts.items():
            setattr(owner, attribute, before[name])
    return {name: statistics.median(values) for name, values in table.items()}


def small(arguments: argparse.Namespace) -> None:
    """The table of the ordinary case."""
    width, height = map(int, (arguments.size or "1242x375").split("x"))
    levels = arguments.max_disparity or 128
    pair = make_pair(width, height)
    settings = SGM(max_disparity=levels, threads=arguments.threads)
    grey = pair.left.gray8, pair.right.gray8
    cv2.setNumThreads(thread_count(arguments.threads))
    rows = {
        REFERENCE: opencv_job(*grey, levels, cv2.STEREO_SGBM_MODE_SGBM_3WAY),
        "OpenCV SGBM, 5 paths": opencv_job(*grey, levels, cv2.STEREO_SGBM_MODE_SGBM),
        "OpenCV HH, 8 paths": opencv_job(*grey, levels, cv2.STEREO_SGBM_MODE_HH),
        "sgm core, 8 paths": lambda: sgm_evidence(pair, settings),
        "sgm default, 8 paths": lambda: settings(pair),
    }
    if entry("fathom-s").state == "ready":
        learned = fathom.create("fathom-s", max_disparity=levels, threads=arguments.threads)
        rows["fathom-s"] = lambda: learned(pair)
    found = times(rows, arguments.rounds)
    print(f"{width}x{height}, {levels} disparities, {thread_count(arguments.threads)} threads")
    print(f"{'':<28}{'median ms':>10}{'fastest':>9}{'x 3WAY':>8}")
    for name, seconds in found.items():
        pairs = zip(seconds, found[REFERENCE], strict=True)
        ratio = statistics.median(mine / other for mine, other in pairs)
        middle, least = 1000 * statistics.median(seconds), 1000 * min(seconds)
        print(f"{name:<28}{middle:>10.0f}{least:>9.0f}{ratio:>8.2f}")
    print("\nstages, ms:")
    for name, milliseconds in stages(pair, settings, arguments.rounds).items():
        print(f"  {name:<34}{milliseconds:>6.0f}")
    print(f"\nmemory predicted: {predict(height, width, levels) / 1e6:.0f} MB")


def large(arguments: argparse.Namespace) -> None:
    """Time and memory of one large pair, in this fresh process; and coarse to fine's accuracy."""
    width, height = map(int, (arguments.size or "4000x3000").split("x"))
    levels = arguments.max_disparity or 256
    settings = SGM(max_disparity=levels, memory_limit=LIMIT, threads=arguments.threads)
    SGM(coarse_to_fine=True)(motorcycle().pair)  # so that code is loaded already
    pair = make_pair(width, height)
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of making the pair
    before = held_now()
    start = time.perf_counter()
    settings(pair)
    seconds = time.perf_counter() - start
    print(f"{width}x{height}, {levels} disparities, {thread_count(arguments.threads)} threads")
    print(f"time {seconds:.1f} s, peak {(peak() - before) / 1e6:.0f} MB above the pair, ", end="")
    print(f"predicted {predict_coarse_to_fine(height, width, levels) / 1e6:.0f} MB, ", end="")
    print(f"whole at once {predict(height, width, levels) / 1e6:.0f} MB")
    sample = motorcycle()
    known = np.isfinite(sample.truth.values)
    for name, value in (("whole", False), ("coarse to fine", True)):
        found = SGM(coarse_to_fine=value)(sample.pair).values
        bad = 100 * np.mean(np.abs(found - sample.truth.values)[known] > 2)
        print(f"Motorcycle {name}: bad-2 {bad:.2f} %")


def main() -> None:
    """Prints either table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", help="width x height")
    parser.add_argument("--max-disparity", type=int)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--large", action="store_true", help="one large pair within 1 GB")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.large and not arguments.child:
        subprocess.run(
            [sys.executable, "-m", "benchmarks.sgm", "--child", *sys.argv[1:]], check=True
        )
    elif arguments.large:
        large(arguments)
    else:
        small(arguments)


if __name__ == "__main__":
    main()
