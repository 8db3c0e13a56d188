"""Time of the whole net on each backend and precision, against plain torch.

    python -m benchmarks.inference [NAME|WEIGHTS.safetensors] [--size 1248x384] [--rounds 9]
        [--threads N] [--int8] [--profile]

The net is exported into a temporary folder (or taken from the package, where it ships). Times are
medians of single calls in which the rows take turns, so that a noisy machine is noisy for all
alike; the ratio is to torch in the same round. Wall time, and the processor time of all threads
beside it, for busy machines. Starting: reading and compiling in a process of its own, with nothing
kept from before and with the compiled model in the cache. --profile: what OpenVINO spends where.
"""

import argparse
import collections
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fathom.core import FathomError, StereoPair, View
from fathom.data.samples import motorcycle
from fathom.geometry.resize import resize_image
from fathom.runtime import BACKENDS, load_model
from fathom.runtime.model import available_threads, has_backend
from fathom.runtime.with_openvino import openvino

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported
import torch

from fathom.export import export_model
from fathom.export.inputs import inputs_of
from fathom.workflows.export import net_of_source

Job = Callable[[], object]
_START = """
import time; began = time.perf_counter()
from fathom.runtime import load_model
model = load_model({file!r}, backend={backend!r}, threads={threads})
model.prepare({height}, {width})
print(time.perf_counter() - began)
"""


def times(rows: dict[str, Job], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Wall and processor seconds of each row in each round; the first round is not counted."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
    for turn in range(rounds + 1):
        for name, job in rows.items():
            start, used = time.perf_counter(), time.process_time()
            job()
            if turn:
                spent = time.perf_counter() - start, time.process_time() - used
                found[name].append(spent)
    return found


def starts(file: Path, backend: str, height: int, width: int, threads: int) -> tuple[float, float]:
    """Seconds to read and compile without and with a kept model, libraries' import included."""
    code = _START.format(
        file=str(file), backend=backend, threads=threads, height=height, width=width
    )
    with tempfile.TemporaryDirectory() as cache:
        both = []
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", code],
                env={**os.environ, "FATHOM_CACHE_DIR": cache},
                capture_output=True,
                text=True,
                check=True,
            )
            both.append(float(done.stdout))
    return both[0], both[1]


def profile(file: Path, inputs: dict[str, np.ndarray], threads: int) -> None:
    """Prints the kinds of operations that take OpenVINO longest, and the longest single ones."""
    core = openvino().Core()
    model = core.read_model(str(file))
    model.reshape({name: inputs[name].shape for name in inputs})
    settings = {"PERF_COUNT": True, "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    for _ in range(3):
        request.infer(inputs)
    kinds: collections.Counter[str] = collections.Counter()
    single = []
    for part in request.get_profiling_info():
        spent = part.real_time.total_seconds() * 1000
        kinds[part.node_type] += spent
        single.append((spent, part.node_type, part.exec_type, part.node_name))
    for kind, spent in kinds.most_common(10):
        print(f"  {kind:<20}{spent:8.1f} ms")
    for spent, kind, how, name in sorted(single, reverse=True)[:12]:
        print(f"  {spent:8.2f} ms  {kind:<18}{how:<26}{name}")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", nargs="?", default="fathom-s")
    parser.add_argument("--size", default="1248x384")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--profile", action="store_true")
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    width, height = (int(part) for part in told.size.split("x"))
    net, name, _ = net_of_source(told.source)
    pair = motorcycle().pair
    views = [View(resize_image(v.image, (width, height))) for v in (pair.left, pair.right)]
    inputs = inputs_of(StereoPair(*views), net)
    tensors = [torch.from_numpy(inputs[key]) for key in ("left", "right", "evidence")]

    def eager() -> object:
        with torch.inference_mode():
            return net(*tensors)

    with tempfile.TemporaryDirectory() as home:
        files = {"": export_model(net, Path(home) / "model.onnx", model=name)}
        if told.int8:
            files[" int8"] = export_model(net, Path(home) / "small.xml", "openvino", int8=True)
        rows: dict[str, Job] = {"torch eager fp32": eager}
        for kind, file in files.items():
            for backend in filter(has_backend, BACKENDS):
                for precision in ("fp32", "bf16"):
                    try:
                        model = load_model(
                            file, backend=backend, threads=told.threads, precision=precision
                        )
                    except FathomError as error:
                        print(f"{backend} {precision}{kind}: {error}", file=sys.stderr)
                        continue
                    given = {key: inputs[key] for key in model.inputs}
                    rows[f"{backend} {precision}{kind}"] = lambda m=model, g=given: m(g)
        found = times(rows, told.rounds)
        plain = [wall for wall, _ in found["torch eager fp32"]]
        print(f"{name}, {width}x{height}, {told.threads} threads, {told.rounds} rounds")
        for row, spent in found.items():
            wall = statistics.median(w for w, _ in spent)
            used = statistics.median(u for _, u in spent)
            share = statistics.median(w / p for (w, _), p in zip(spent, plain, strict=True))
            print(f"{row:<24}{1000 * wall:8.0f} ms{1000 * used:8.0f} ms cpu{share:8.2f} of torch")
        for backend in filter(has_backend, BACKENDS):
            cold, warm = starts(files[""], backend, height, width, told.threads)
            print(f"{backend}: ready after {cold:.2f} s, {warm:.2f} s from the cache")
        if told.profile and has_backend("openvino"):
            profile(files[""], {k: v for k, v in inputs.items() if k in model.inputs}, told.threads)


if __name__ == "__main__":
    main()
