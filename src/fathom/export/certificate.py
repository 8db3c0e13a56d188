"""The certificate of an exported file: how far it is from torch, how fast, how large."""

import importlib.metadata
import math
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fathom.core.arrays import Array
from fathom.core.errors import InputError
from fathom.core.maps import Disparity
from fathom.core.sample import StereoSample
from fathom.eval.metrics import end_point_error
from fathom.export.inputs import inputs_of
from fathom.export.probe import memory_mb
from fathom.export.published import Published
from fathom.io.atomic import write_bytes
from fathom.nets.stereo.evidence import EvidenceNet
from fathom.runtime import BACKENDS, Model, load_model
from fathom.runtime.model import available_threads, has_backend

_PATIENCE = 120.0
"""Seconds after which no further round of timing begins; one there always is."""
_LIBRARIES = ("torch", "onnx", "openvino", "onnxruntime", "nncf", "numpy")


@dataclass(frozen=True)
class Case:
    """One backend on one pair, against torch. largest_px, mean_px: difference of the disparities.
    largest_confidence: of the confidences, 0..1, None without one. epe_torch, epe_file, epe_change:
    mean error in pixels against the truth, None without one."""

    pair: str
    backend: str
    size: str
    largest_px: float
    mean_px: float
    largest_confidence: float | None
    epe_torch: float | None
    epe_file: float | None
    epe_change: float | None


@dataclass(frozen=True)
class Speed:
    """One backend on the first pair. latency_ms: median of `rounds` single calls in which backends
    take turns. memory_mb: that its import, the model and two calls take in a process of its own.
    """

    backend: str
    precision: str
    latency_ms: float
    memory_mb: float | None


@dataclass(frozen=True)
class Certificate:
    """What is known of an exported file; see `Case` and `Speed`. sha256: of the file, of an .xml
    with its .bin after it."""

    file: str
    sha256: str
    bytes: int
    format: str
    int8: bool
    metadata: dict[str, str]
    cases: tuple[Case, ...]
    speed: tuple[Speed, ...]
    speed_size: str
    rounds: int
    threads: int
    machine: dict[str, str]
    versions: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as the JSON file has them."""
        return {"format_version": 1, **asdict(self)}


def certify(
    net: EvidenceNet | Published,
    file: Path,
    samples: Sequence[StereoSample],
    *,
    int8: bool = False,
    threads: int | None = None,
    rounds: int = 7,
    memory: bool = True,
    notify: Callable[[str], None] = lambda _: None,
) -> Certificate:
    """Runs an exported file with every backend that is installed beside the net it was made of.

    samples: real pairs, with truth where there is one; latency and memory are of the first.
    memory: False leaves that measurement out, which takes a process for each backend.

    Raises `InputError` without samples, and what `load_model` and `SGM` raise.
    """
    if not samples:
        raise InputError(
            "holds no pair to try the model on", field="pairs", value=0, expected=">=1"
        )
    count = threads or available_threads()
    names = [b for b in BACKENDS if has_backend(b) and (b == "openvino" or _is_onnx(file))]
    models = {name: load_model(file, backend=name, threads=count) for name in names}  # type: ignore[arg-type]
    cases: list[Case] = []
    first: dict[str, Array] = {}
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        for sample in samples:
            notify(f"comparing on {sample.name or 'a pair'}")
            inputs = inputs_of(sample.pair, net, count)
            first = first or inputs
            wanted = _torch(net, inputs)
            corner = _corner(net, sample.pair.shape)
            cases += [_case(sample, name, m, inputs, wanted, corner) for name, m in models.items()]
        notify(f"timing, {rounds} rounds")
        latency, rounds = _latencies(net, models, first, rounds)
    finally:
        torch.set_num_threads(before)
    height, width = first["left"].shape[-2:]
    spent: dict[str, float] = {}
    if memory:
        notify("measuring memory, a process each")
        spent = _memories(net, file, names, (height, width, count))
    model = next(iter(models.values()))
    precision = {"torch": "fp32", **{name: m.precision for name, m in models.items()}}
    if int8:
        precision.update(dict.fromkeys(models, "int8"))
    return Certificate(
        file=file.name,
        sha256=model.sha256,
        bytes=sum(p.stat().st_size for p in _parts(file)),
        format="onnx" if _is_onnx(file) else "openvino",
        int8=int8,
        metadata=dict(model.metadata),
        cases=tuple(cases),
        speed=tuple(Speed(n, precision[n], latency[n], spent.get(n)) for n in latency),
        speed_size=f"{width}x{height}",
        rounds=rounds,
        threads=count,
        machine=_machine(),
        versions=_versions(),
    )


def _corner(net: EvidenceNet | Published, shape: tuple[int, int]) -> tuple[int, int]:
    """Where the image's first pixel lies in what the net is fed with."""
    if isinstance(net, Published):
        return net.frame.corner(shape, net.frame.size(*shape))
    return 0, 0


def _torch(net: EvidenceNet | Published, inputs: dict[str, Array]) -> dict[str, Array]:
    if isinstance(net, Published):
        return net.answers(inputs)
    with torch.inference_mode():
        found = net(*(torch.from_numpy(inputs[n]) for n in ("left", "right", "evidence")))
    assert found.confidence is not None
    confidence = torch.sigmoid(found.confidence)
    return {"disparity": found.disparities[0].numpy(), "confidence": confidence.numpy()}


def _case(
    sample: StereoSample,
    backend: str,
    model: Model,
    inputs: dict[str, Array],
    wanted: dict[str, Array],
    corner: tuple[int, int],
) -> Case:
    found = model({name: inputs[name] for name in model.inputs})
    height, width = sample.pair.shape
    rows, columns = (slice(c, c + n) for c, n in zip(corner, (height, width), strict=True))
    maps = [Disparity(given["disparity"][0, 0, rows, columns]) for given in (wanted, found)]
    apart = np.abs(maps[1].values - maps[0].values)
    sure: float | None = None
    if "confidence" in wanted:
        sure = float(np.abs(found["confidence"] - wanted["confidence"])[0, 0, rows, columns].max())
    errors: list[float] = []
    if sample.truth is not None:
        errors = [end_point_error(m, sample.truth) for m in maps]
    known = bool(errors) and all(map(math.isfinite, errors))
    return Case(
        pair=sample.name or "pair",
        backend=backend,
        size=f"{width}x{height}",
        largest_px=float(np.nanmax(apart)),
        mean_px=float(np.nanmean(apart)),
        largest_confidence=sure,
        epe_torch=errors[0] if known else None,
        epe_file=errors[1] if known else None,
        epe_change=errors[1] - errors[0] if known else None,
    )


def _latencies(
    net: EvidenceNet | Published, models: dict[str, Model], inputs: dict[str, Array], rounds: int
) -> tuple[dict[str, float], int]:
    """Medians in milliseconds, and of how many rounds: slow nets get fewer."""
    jobs: dict[str, Callable[[], object]] = {"torch": lambda: _torch(net, inputs)}
    for name, model in models.items():
        given = {key: inputs[key] for key in model.inputs}
        jobs[name] = lambda m=model, g=given: m(g)  # type: ignore[misc]
    times: dict[str, list[float]] = {name: [] for name in jobs}
    started = time.perf_counter()
    for turn in range(rounds + 1):
        if turn > 1 and time.perf_counter() - started > _PATIENCE:
            rounds = turn - 1
            break
        for name, job in jobs.items():
            began = time.perf_counter()
            job()
            if turn:  # the first is warming up
                times[name].append(1000 * (time.perf_counter() - began))
    return {name: statistics.median(found) for name, found in times.items()}, rounds


def _memories(
    net: EvidenceNet | Published, file: Path, names: list[str], size: tuple[int, int, int]
) -> dict[str, float]:
    from safetensors.torch import save

    module = net.net if isinstance(net, Published) else net
    made = (net.model, net.module, dict(net.settings)) if isinstance(net, Published) else None
    found = {name: memory_mb(name, file, *size) for name in names}
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.safetensors"
        state = {k: v.detach().cpu().contiguous() for k, v in module.state_dict().items()}
        write_bytes(weights, save(state))
        found["torch"] = memory_mb("torch", weights, *size, made)
    return found


def _is_onnx(file: Path) -> bool:
    return file.suffix.lower() == ".onnx"


def _parts(file: Path) -> tuple[Path, ...]:
    return (file,) if _is_onnx(file) else (file, file.with_suffix(".bin"))


def _machine() -> dict[str, str]:
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), name)
    return {"processor": name, "system": platform.system(), "python": platform.python_version()}


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
