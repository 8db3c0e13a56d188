"""How long a person waits for `fathom depth`: the whole command, from its start to its end.

    python -m benchmarks.first_answer [--rounds 7] [--methods default,sgm-refined,sgm]

Each round starts a new process for each method, on Motorcycle (741x500, with its rig), which reads,
checks and matches the pair and writes every file and the report. The first round, in which Python's
bytecode, compiled kernels and the compiled net are put into their caches, is shown for itself:
that is what the very first answer after installing takes. Medians of the others.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fathom.data.samples import motorcycle
from fathom.io.calibration.middlebury import write_middlebury
from fathom.io.images import write_png


def run(folder: Path, method: str, out: Path) -> float:
    """Seconds of one command. The reader of a benchmark installed fathom as users do: with
    bytecode, which this process' own environment may not want to be written."""
    words = ["depth", "left.png", "right.png", "--calib", "calib.txt", "-o", str(out)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "fathom", *words, "--method", method],
        cwd=folder,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - began


def main() -> None:
    """Prints a line a method."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--methods", default="default,sgm-refined,sgm")
    told = parser.parse_args()
    methods = told.methods.split(",")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pair = motorcycle().pair
        assert pair.rig is not None
        write_png(folder / "left.png", pair.left.image)
        write_png(folder / "right.png", pair.right.image)
        write_middlebury(folder / "calib.txt", pair.rig)
        taken: dict[str, list[float]] = {method: [] for method in methods}
        for turn in range(told.rounds + 1):
            for method in methods:
                taken[method].append(run(folder, method, folder / f"{method}-{turn}"))
    print(f"{'method':<14}{'first':>8}{'median':>8}{'least':>8}{'most':>8}   seconds")
    for method, (first, *others) in taken.items():
        row = (first, statistics.median(others), min(others), max(others))
        print(f"{method:<14}" + "".join(f"{seconds:>8.2f}" for seconds in row))


if __name__ == "__main__":
    main()
