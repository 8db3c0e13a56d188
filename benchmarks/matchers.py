"""Time and peak memory of every matcher, beside OpenCV's own, in one run.

    python -m benchmarks.matchers [--size 1242x375] [--max-disparity 128] [--rounds 7]

Times are medians over rounds in which the rows take turns, so that a noisy machine is noisy for
all of them alike; the ratio is to OpenCV's fastest semi-global mode (3WAY) within each round.
Memory is what a process of its own peaks at, above what it held with the pair loaded.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

import fathom
from fathom.core import StereoPair, View
from fathom.data.samples import motorcycle
from fathom.geometry.resize import resize_image

REFERENCE = "OpenCV 3WAY (bare)"
OPENCV_MODES = {
    "OpenCV BM (bare)": None,
    REFERENCE: cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    "OpenCV SGBM 5 paths (bare)": cv2.STEREO_SGBM_MODE_SGBM,
    "OpenCV HH 8 paths (bare)": cv2.STEREO_SGBM_MODE_HH,
}
Job = Callable[[], object]


def make_pair(width: int, height: int) -> StereoPair:
    """Motorcycle resized to the wanted size: real texture at any size."""
    pair = motorcycle().pair
    views = [View(resize_image(v.image, (width, height))) for v in (pair.left, pair.right)]
    return StereoPair(views[0], views[1])


def jobs(pair: StereoPair, limit: int) -> dict[str, Job]:
    """Every row of the table: name -> what is timed."""
    left, right = pair.left.gray8, pair.right.gray8
    rows: dict[str, Job] = {}
    for name, mode in OPENCV_MODES.items():
        rows[name] = opencv_job(left, right, limit, mode)
    for entry in fathom.entries("stereo", ready=True, own=True):
        bare = fathom.create(entry.name, max_disparity=limit, fill=False, confidence=False)
        full = fathom.create(entry.name, max_disparity=limit)
        rows[f"{entry.name} (no fill, no confidence)"] = lambda m=bare: m(pair)
        rows[f"{entry.name} (default)"] = lambda m=full: m(pair)
    return rows


def opencv_job(left: np.ndarray, right: np.ndarray, limit: int, mode: int | None) -> Job:
    """OpenCV called as its samples do, on grey images."""
    if mode is None:
        bm = cv2.StereoBM_create(limit, 15)
        return lambda: bm.compute(left, right)
    sgbm = cv2.StereoSGBM_create(0, limit, 3, 8 * 9, 32 * 9, 1, 63, 10, 100, 2, mode)
    return lambda: sgbm.compute(left, right)


def times(rows: dict[str, Job], rounds: int) -> dict[str, list[float]]:
    """Seconds of each row in each round, the rows taking turns; the first round is not counted."""
    found: dict[str, list[float]] = {name: [] for name in rows}
    for turn in range(rounds + 1):
        for name, job in rows.items():
            start = time.perf_counter()
            job()
            if turn:
                found[name].append(time.perf_counter() - start)
    return found


def peak_memory(name: str, arguments: argparse.Namespace) -> str:
    """Peak of a fresh process that runs one row twice, in MB above its start."""
    command = [sys.executable, "-m", "benchmarks.matchers", "--memory-of", name]
    command += ["--size", arguments.size, "--max-disparity", str(arguments.max_disparity)]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    return out.stdout.strip()


def show_memory_of(name: str, arguments: argparse.Namespace) -> None:
    """The child's side of `peak_memory`; a small run first, so that code is loaded already."""
    jobs(make_pair(128, 96), 16)[name]()
    job = jobs(make_pair(*size_of(arguments)), arguments.max_disparity)[name]
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of loading the pair
    before = held_now()
    job()
    job()
    print(f"{(peak() - before) / 1e6:.0f}")


def held_now() -> int:
    """Bytes this process holds in memory now."""
    return status_of("VmRSS")


def peak() -> int:
    """Bytes this process has held at most. Not getrusage: its peak is inherited from the parent."""
    return status_of("VmHWM")


def status_of(field: str) -> int:
    """A field of /proc/self/status in bytes (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return 1024 * int(line.split()[1])
    raise SystemExit("peak memory needs Linux (/proc/self/status)")


def size_of(arguments: argparse.Namespace) -> tuple[int, int]:
    """(width, height) of "WxH"."""
    width, height = arguments.size.split("x")
    return int(width), int(height)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="1242x375", help="width x height (default 1242x375)")
    parser.add_argument("--max-disparity", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        show_memory_of(arguments.memory_of, arguments)
        return
    rows = jobs(make_pair(*size_of(arguments)), arguments.max_disparity)
    found = times(rows, arguments.rounds)
    print(
        f"{arguments.size}, {arguments.max_disparity} disparities, {os.cpu_count()} cores, ", end=""
    )
    print(f"{arguments.rounds} rounds, OpenCV {cv2.__version__}\n")
    print(f"{'':<44}{'median ms':>10}{'x 3WAY':>8}{'peak MB':>9}")
    for name, seconds in found.items():
        ratio = statistics.median(
            mine / other for mine, other in zip(seconds, found[REFERENCE], strict=True)
        )
        memory = peak_memory(name, arguments)
        print(f"{name:<44}{1000 * statistics.median(seconds):>10.0f}{ratio:>8.2f}{memory:>9}")


if __name__ == "__main__":
    main()
