"""A model run by OpenVINO on the CPU.

Sizes are free in the file, but each size is compiled for itself: for known sizes OpenVINO plans
memory and layouts once, which is faster in every call and, oddly, to compile as well. What was
compiled is kept in the cache folder, so that the next process starts at once.
"""

import contextlib
import hashlib
import importlib
import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fathom.core.arrays import Array
from fathom.core.errors import ResourceError
from fathom.io.cache import cache_bases, own_folder
from fathom.runtime.header import Shape
from fathom.runtime.source import Source, refused

_KEPT_PIXELS = 1 << 21
"""Sizes that stay compiled until their pixels sum up to this: a plan holds ~0.5 kB a pixel."""
_KEPT_FILES = 16
_MAGIC = b"fathom model 1\n"
_CONVERTER = "openvino.tools.ovc"
_lock = threading.Lock()

Sizes = tuple[tuple[str, tuple[int, ...]], ...]


@lru_cache(maxsize=1)
def openvino() -> Any:
    """The module, loaded without its model converter: that one takes more than half of the import's
    time and reports each import to its makers. Where it was loaded before, nothing changes.

    Raises `ImportError` where it is not installed or does not load.
    """
    with _lock:
        hidden = "openvino" not in sys.modules and _CONVERTER not in sys.modules
        if hidden:
            sys.modules[_CONVERTER] = None  # type: ignore[assignment]
        try:
            return importlib.import_module("openvino")
        finally:
            if hidden:
                sys.modules.pop(_CONVERTER, None)


@lru_cache(maxsize=1)
def _core() -> Any:
    return openvino().Core()


class OpenVinoRunner:
    """Callable over all inputs by name; from several threads, too."""

    name = "openvino"

    def __init__(self, source: Source, threads: int, precision: str) -> None:
        if precision == "bf16" and not self.has("BF16"):
            raise ResourceError(
                "this processor does not compute in bf16",
                field="precision",
                value=precision,
                remedy="leave it out or take fp32",
            )
        self.precision = precision
        self._source = source
        self._settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bf16" else "f32",
            # pinned threads of two processes would share one core and leave another idle
            "ENABLE_CPU_PINNING": False,
        }
        self._lock = threading.Lock()
        self._plans: OrderedDict[Sizes, _Plan] = OrderedDict()
        if source.header is None:
            model = self._read()
            self.inputs: dict[str, Shape] = _shapes(model.inputs)
            self.outputs: dict[str, Shape] = _shapes(model.outputs)
            self.notes = _notes(model)
        else:
            self.inputs, self.outputs = source.header.inputs, source.header.outputs
            self.notes = source.header.notes

    @staticmethod
    def has(kind: str) -> bool:
        """Whether OpenVINO has fast ways for this kind of numbers on this processor, as it names
        them: FP32, BF16, INT8 ..."""
        return kind in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")

    def prepare(self, sizes: Sizes) -> "_Plan":
        """The compiled model for these sizes."""
        with self._lock:
            plan = self._plans.get(sizes)
            if plan is None:
                plan = self._plans[sizes] = _Plan(self._compiled(sizes))
            self._plans.move_to_end(sizes)
            while len(self._plans) > 1 and sum(map(_pixels, self._plans)) > _KEPT_PIXELS:
                self._plans.popitem(last=False)
            return plan

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        plan = self.prepare(tuple((name, value.shape) for name, value in inputs.items()))
        try:
            return plan(inputs, tuple(self.outputs))
        except RuntimeError as error:
            raise refused(self._source, self.name, error) from error

    def _read(self) -> Any:
        source = self._source
        try:
            if source.own:
                return _core().read_model(source.data, source.weights)
            return _core().read_model(source.data)
        except (RuntimeError, MemoryError) as error:
            raise refused(source, self.name, error) from error

    def _compiled(self, sizes: Sizes) -> Any:
        form = "positions kept" if self.precision == "bf16" else ""
        key = repr((self._source.sha256, sizes, sorted(self._settings.items()), form, _machine()))
        file = _cache_file(hashlib.sha256(key.encode()).hexdigest()[:24])
        kept = _kept(file, self._settings)
        if kept is not None:
            return kept
        model = self._read()
        try:
            if form:
                _keep_positions(model)
            model.reshape(dict(sizes))
            compiled = _core().compile_model(model, "CPU", self._settings)
        except (RuntimeError, MemoryError) as error:
            raise refused(self._source, self.name, error) from error
        _keep(file, compiled)
        return compiled


_READING = {"GatherElements", "GatherND", "GridSample"}
"""What reads at positions that the model has computed."""
_MIXING = {
    *("Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul", "Interpolate"),
    *("Concat", "AvgPool", "MaxPool", "Result"),
}


def _keep_positions(model: Any) -> None:
    """In bf16 a position beyond 256 is rounded to an even pixel or worse, and with it what is read
    there: wrong without a word, or refused as outside the image. OpenVINO leaves in fp32 whatever
    leads to an output without a convolution between; so what is made of the reading, up to where
    it is mixed with something else, becomes an output that nobody asks for."""
    seen, ends = set(), []
    todo = [node for node in model.get_ops() if node.get_type_name() in _READING]
    while todo:
        node = todo.pop()
        if node.get_friendly_name() in seen:
            continue
        seen.add(node.get_friendly_name())
        users = [t.get_node() for port in node.outputs() for t in port.get_target_inputs()]
        kinds = {user.get_type_name() for user in users}
        if kinds & _MIXING and "Result" not in kinds:
            ends.append(node.output(0))
        todo += [user for user in users if user.get_type_name() not in _MIXING]
    if ends:
        model.add_outputs(ends)


class _Plan:
    """A compiled model and the one request that runs it: a second would have the same threads."""

    def __init__(self, compiled: Any) -> None:
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()

    def __call__(self, inputs: Mapping[str, Array], outputs: tuple[str, ...]) -> dict[str, Array]:
        with self._lock:
            self._request.infer(dict(inputs))
            return {name: np.array(self._request.get_tensor(name).data) for name in outputs}


def _pixels(sizes: Sizes) -> int:
    return max((shape[-1] * shape[-2] for _, shape in sizes if len(shape) > 1), default=1)


def _shapes(ports: Any) -> dict[str, Shape]:
    return {
        port.get_any_name(): tuple(
            None if d.is_dynamic else d.get_length() for d in port.partial_shape
        )
        for port in ports
    }


def _notes(model: Any) -> dict[str, str]:
    if not model.has_rt_info(["fathom"]):
        return {}
    names = model.get_rt_info(["fathom"]).astype(dict)
    return {f"fathom.{name}": str(model.get_rt_info(["fathom", name]).value) for name in names}


@lru_cache(maxsize=1)
def _machine() -> str:
    core = _core()
    name = core.get_property("CPU", "FULL_DEVICE_NAME")
    return (
        f"{openvino().__version__} {name} {core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES')}"
    )


def _cache_file(digest: str) -> Path | None:
    folder = own_folder("models", cache_bases())
    return None if folder is None else folder / f"{digest}.model"


def _kept(file: Path | None, settings: Mapping[str, Any]) -> Any:
    """What was compiled before, or None: whatever a damaged file throws, it is compiled anew."""
    if file is None:
        return None
    with contextlib.suppress(Exception):
        head, _, data = file.read_bytes()[len(_MAGIC) :].partition(b"\n")
        if hashlib.sha256(data).hexdigest().encode() == head:
            import io

            compiled = _core().import_model(io.BytesIO(data), "CPU", dict(settings))
            file.touch()
            return compiled
    return None


def _keep(file: Path | None, compiled: Any) -> None:
    if file is None:
        return
    # A full or read-only disk must not stop a match: it is only a cache.
    with contextlib.suppress(Exception):
        from fathom.io.atomic import write_bytes

        data = compiled.export_model()
        data = data.getvalue() if hasattr(data, "getvalue") else bytes(data)
        write_bytes(file, _MAGIC + hashlib.sha256(data).hexdigest().encode() + b"\n" + data)
        kept = sorted(file.parent.glob("*.model"), key=lambda p: p.stat().st_mtime, reverse=True)
        for old in kept[_KEPT_FILES:]:
            old.unlink(missing_ok=True)
