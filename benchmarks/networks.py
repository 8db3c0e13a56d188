"""Time, memory and work of one forward of every published net, beside the authors' code.

    python -m benchmarks.networks [--nets psmnet,hitnet] [--size 1248x384] [--quick] [--rounds 2]
        [--iterations N] [--threads N] [--timeout 3600] [--json FILE]

Every net runs in a process of its own, with weights drawn at random (time and memory do not depend
on them), batch 1, float32, in evaluation mode, with the range and iterations it was published with
(--iterations: another number, of nets that have one). Rows are nets by the catalog's names, and
what `VARIANTS` has: other settings, another call, or nets that complete a sparse map. Sizes are
what a net's frame makes of the image. Seconds: the least processor time of `rounds` forwards, and
the wall time of that one; the first forward counts, as it did for the reference. Peak memory is the
process's whole (Python and torch take about 0.4 GB of it), as there.

MACs are half of what torch.utils.flop_counter counts: convolutions, transposed ones and matrix
products (einsum included). Element-wise work, sampling, gathering, pooling and enlarging are not
counted, nor are normalisations. They are counted on tensors without values (FakeTensorMode).

The reference: the authors' code as section 6 of the shared parity/README.md gives it, measured once
on two busy cores: "use the ratios for orders of magnitude only". `mc-cnn-accurate` is left out
unless it is named: it takes twenty minutes. --quick: 416x192, where the reference does not compare.
"""

import argparse
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import fathom.nets.stereo as home
from benchmarks.matchers import peak
from fathom.combine.bi3d import STEPS
from fathom.runtime.model import available_threads

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from fathom.layers import conv3d
from fathom.nets.mono import cspn

REFERENCE = {
    # name: (CPU s, wall s, peak RSS MB): the least CPU run of several
    "aanet": (15.5, 20.3, 856),
    "aanet-plus": (22.5, 22.7, 1887),
    "bi3d-2d": (66.3, 68.9, 10015),
    "bi3d-binary": (1.9, 2.8, 707),
    "coex": (5.4, 8.6, 1117),
    "crestereo": (109.3, 125.2, 1075),
    "cspn": (17.7, 17.8, 2287),
    "fast-acvnet": (10.5, 16.4, 1182),
    "gc-net": (72.2, None, None),  # run at 640x192: 18.5 s and 3217 MB there; times 3.9
    "gwcnet": (28.0, 27.7, 3007),
    "hitnet": (13.6, 31.8, 4702),
    "hitnet-kitti": (16.2, 17.1, 3889),
    "hitnet-xl": (25.4, 26.3, 4665),
    "igev-12": (38.5, 21.4, 1306),  # how many iterations is not recorded; 12 are its default
    "lightstereo": (4.9, 7.4, 530),
    "mc-cnn-fast": (25.5, 25.7, 959),
    "psmnet": (25.6, 29.6, 2787),
    "psmnet-basic": (21.0, 25.6, 1616),
    "raft-stereo": (62.3, 104.8, 1669),
    "raft-stereo-alt": (135.5, 136.4, 1666),
    "raft-stereo-realtime": (7.9, 11.8, 672),
    "raft-stereo-shared": (78.4, 78.8, 1555),
}
"""The authors' code at 1248x384, section 6 of shared parity/README.md (two threads, no warm-up)."""
Cells = Callable[[dict[str, Any]], list[str]]
SIZE, QUICK = "1248x384", "416x192"
_COSTS = ("mc-cnn-fast", "mc-cnn-accurate")
_COMPLETING = ("cspn", "spn")
SLOW = ("mc-cnn-accurate",)
_HINTS = 500  # depths in the sparse map, as on NYU Depth v2


def pair(height: int, width: int) -> list[Tensor]:
    """Two views, 0..255."""
    return [torch.rand(1, 3, height, width) * 255 for _ in range(2)]


def image_and_hints(height: int, width: int) -> list[Tensor]:
    """An image, 0..255, and metres at some pixels, 0 elsewhere."""
    image, depth, chance = (torch.rand(1, n, height, width) for n in (3, 1, 1))
    return [image * 255, 10 * depth * (chance < _HINTS / (height * width))]


def whole(net: Any, *given: Tensor) -> None:
    """A forward."""
    net(*given)


def planes(*asked: int) -> Callable[..., None]:
    """Bi3D's answers to these planes, in pixels."""
    return lambda net, left, right: net.nearer(left, right, [list(asked)])


def selected(net: Any, left: Tensor, right: Tensor) -> None:
    """Bi3D's disparity in its range, and on which side of it the rest lies."""
    net.selected(left, right)


@dataclass(frozen=True)
class Variant:
    """What a row runs. net: what is built, by the catalog's name. config: what its configuration
    has other than published. call: one forward of it, with what `inputs` makes."""

    net: str
    config: Mapping[str, Any] = field(default_factory=dict)
    call: Callable[..., None] = whole
    inputs: Callable[[int, int], list[Tensor]] = pair


VARIANTS = {
    # one plane, and a part of the range, as the reference has them
    "bi3d-binary": Variant("bi3d-binary", call=planes(12)),
    "bi3d-quantized": Variant(
        "bi3d-binary", call=planes(*(int(p) for p in STEPS["bi3d-quantized"].split(",")))
    ),
    "bi3d-selective": Variant("bi3d-2d", {"min_disparity": 12, "max_disparity": 48}, selected),
    "igev-12": Variant("igev", {"iterations": 12}),
    "raft-stereo-alt": Variant("raft-stereo", {"correlation": "alt"}),
    "raft-stereo-shared": Variant("raft-stereo", {"shared_backbone": True}),
    **{name: Variant(name, {"max_disparity": 192}) for name in _COSTS},
    **{name: Variant(name, inputs=image_and_hints) for name in _COMPLETING},
}
"""Rows that are not simply a net called as published."""


def nets() -> dict[str, str]:
    """The catalog's name of every net of pairs -> its file in `fathom.nets.stereo`."""
    found = {}
    for item in pkgutil.iter_modules(home.__path__):
        module = importlib.import_module(f"{home.__name__}.{item.name}")
        found |= dict.fromkeys(getattr(module, "FRAMES", {}), item.name)
    return dict(sorted(found.items())) | dict.fromkeys(_COSTS, "mc_cnn")


def variants() -> dict[str, Variant]:
    """Every row of the table."""
    return dict(sorted(({name: Variant(name) for name in nets()} | VARIANTS).items()))


def built(
    name: str, size: tuple[int, int], iterations: int | None = None
) -> tuple[Any, tuple[int, int]]:
    """A row's net, untrained, and the (height, width) it wants for an image of `size`.
    iterations: other than published, of nets that have some."""
    row = variants()[name]
    fields = dict(row.config)
    if row.net in _COMPLETING:
        net = getattr(cspn, row.net)()
    else:
        own = importlib.import_module(f"{home.__name__}.{nets()[row.net]}")
        frame = getattr(own, "FRAMES", {}).get(row.net)
        net = getattr(own, frame.builder if frame else row.net.replace("-", "_"))()
        size = frame.size(*size) if frame else size
    if iterations is not None:
        if not hasattr(getattr(net, "config", None), "iterations"):
            raise SystemExit(f"{name} has no iterations")
        fields["iterations"] = iterations
    if fields:
        net = type(net)(replace(net.config, **fields))
    return net.eval(), size


def gigamacs(name: str, size: tuple[int, int], iterations: int | None = None) -> float | None:
    """Multiply-adds of a forward in thousands of millions; None if they cannot be counted."""
    detour, conv3d._SLOW = conv3d._SLOW, -1  # which computes small volumes twice
    try:
        with FakeTensorMode(), torch.no_grad():
            row = variants()[name]
            net, at = built(name, size, iterations)
            given = row.inputs(*at)
            with FlopCounterMode(display=False) as counter:
                row.call(net, *given)
    except Exception as error:  # noqa: BLE001  # whatever a net does that needs values
        print(f"{name}: cannot be counted: {error}", file=sys.stderr)
        return None
    finally:
        conv3d._SLOW = detour
    return counter.get_total_flops() / 2e9


def measured(name: str, told: argparse.Namespace) -> dict[str, Any]:
    """One net's row; this is the child's side."""
    torch.set_num_threads(told.threads)
    torch.manual_seed(0)
    row, size = variants()[name], size_of(told)
    net, (height, width) = built(name, size, told.iterations)
    given = row.inputs(height, width)
    spent = []
    with torch.inference_mode():
        for _ in range(told.rounds):
            wall, used = time.perf_counter(), time.process_time()
            row.call(net, *given)
            spent.append((time.process_time() - used, time.perf_counter() - wall))
    held = peak() / 1e6
    cpu, seconds = min(spent)
    return {
        "net": name,
        "size": f"{width}x{height}",
        "cpu_s": cpu,
        "wall_s": seconds,
        "peak_mb": held,
        "gmacs": gigamacs(name, size, told.iterations),
        "parameters": sum(p.numel() for p in net.parameters()),
        "threads": told.threads,
    }


def size_of(told: argparse.Namespace) -> tuple[int, int]:
    """(height, width) of the image."""
    width, height = (int(part) for part in told.size.split("x"))
    return height, width


def row_of(name: str, told: argparse.Namespace) -> dict[str, Any]:
    """Runs one net in a process of its own; what fails is the row's `error`."""
    words = [sys.executable, "-m", "benchmarks.networks", "--one", name, "--size", told.size]
    words += ["--rounds", str(told.rounds), "--threads", str(told.threads)]
    if told.iterations is not None:
        words += ["--iterations", str(told.iterations)]
    env = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, env=env, timeout=told.timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return {"net": name, "error": f"not done after {told.timeout} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return {"net": name, "error": last[:200]}
    row: dict[str, Any] = json.loads(lines[-1])
    return row


HEADS = (
    *("net", "size", "CPU s", "authors'", "wall s", "authors'", "peak MB", "authors'"),
    *("GMACs", "parameters"),
)


def markdown(heads: Sequence[str], rows: Iterable[dict[str, Any]], cells: Cells) -> str:
    """A Markdown table of nets, a row each; what failed says why. cells: what stands in a row
    between the net's name and the number of its parameters."""
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        name = f"| `{row['net']}` | "
        if "error" in row:
            lines.append(f"{name}failed: {row['error']} |" + " |" * (len(heads) - 2))
        else:
            lines.append(name + " | ".join([*cells(row), f"{row['parameters']:,}"]) + " |")
    return "\n".join(lines)


def table(rows: list[dict[str, Any]], compared: bool) -> str:
    """The Markdown table; compared: with the reference, which is for one size."""

    def cells(row: dict[str, Any]) -> list[str]:
        known = REFERENCE.get(row["net"], (None,) * 3) if compared else (None,) * 3
        cpu, wall, memory = ("-" if v is None else f"{v:g}" for v in known)
        macs = "-" if row["gmacs"] is None else f"{row['gmacs']:.1f}"
        spent = [f"{row['cpu_s']:.1f}", cpu, f"{row['wall_s']:.1f}", wall]
        return [row["size"], *spent, f"{row['peak_mb']:.0f}", memory, macs]

    return markdown(HEADS, rows, cells)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", help="names, with commas (default: all but mc-cnn-accurate)")
    parser.add_argument("--size", default=SIZE)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK}, one round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--iterations", type=int, help="(default: as published)")
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--timeout", type=float, default=3600)
    parser.add_argument("--json", type=Path, help="write the rows there, too")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.quick:
        told.size, told.rounds = QUICK, 1
    if told.one:
        print(json.dumps(measured(told.one, told)))
        return
    known = variants()
    names = told.nets.split(",") if told.nets else [n for n in known if n not in SLOW]
    wrong = [name for name in names if name not in known]
    if wrong:
        raise SystemExit(f"no such net: {', '.join(wrong)}; known: {', '.join(known)}")
    rows = []
    for name in names:
        rows.append(row_of(name, told))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(f"{told.size}, {told.threads} threads, least of {told.rounds} forwards\n")
    print(table(rows, told.size == SIZE))
    if told.json:
        told.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
