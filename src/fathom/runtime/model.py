"""`load_model`: an exported model as a callable over named arrays."""

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from fathom.core.arrays import Array
from fathom.core.errors import InputError, MissingExtraError, UsageError, unknown_name
from fathom.io.files import PathLike
from fathom.runtime.header import Shape
from fathom.runtime.source import read_source

Backend = Literal["auto", "openvino", "onnxruntime"]
Precision = Literal["fp32", "bf16"]
BACKENDS = ("openvino", "onnxruntime")
"""In the order in which they are taken."""


@dataclass(frozen=True, eq=False)
class Model:
    """A model that runs: float32 arrays by name in, arrays by name out.

    inputs, outputs: name -> shape, None where a size is free. metadata: what the file says of
    itself, such as `fathom.divisor`. backend: what runs it. precision: fp32 or bf16. threads: how
    many it uses. sha256: of the file, hexadecimal.

    The same inputs give the same bits, every time and from any thread.
    """

    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    metadata: Mapping[str, str]
    backend: str
    precision: str
    threads: int
    sha256: str
    _runner: Any = field(repr=False)

    def __call__(self, inputs: Mapping[str, Array], /) -> dict[str, Array]:
        """The outputs by name.

        Raises `UsageError` for an input that is missing or none of the model's, `InputError` for
        one of another shape or type, `ResourceError` if memory does not suffice.
        """
        for name in inputs:
            if name not in self.inputs:
                raise unknown_name("input of the model", name, list(self.inputs))
        given = {}
        for name, shape in self.inputs.items():
            if name not in inputs:
                raise UsageError("is missing", field=f"input {name}", expected=f"shape {shape}")
            value = np.asarray(inputs[name])
            if value.dtype != np.float32 or not _fits(value.shape, shape):
                raise InputError(
                    "is no array the model takes",
                    field=f"input {name}",
                    value=f"{value.dtype} {value.shape}",
                    expected=f"float32 {shape}",
                )
            given[name] = np.ascontiguousarray(value)
        return dict(self._runner(given))

    def prepare(self, height: int, width: int) -> None:
        """Compiles for images of this size, so that the first answer comes sooner.

        Worth calling from another thread while the inputs are still being made.
        """
        sizes = {}
        for name, shape in self.inputs.items():
            free = iter((height, width))
            sizes[name] = tuple(next(free) if size is None else size for size in shape)
        self._runner.prepare(tuple(sizes.items()))


def load_model(
    path: PathLike,
    *,
    backend: Backend = "auto",
    threads: int | None = None,
    precision: Precision = "fp32",
    sha256: str | None = None,
) -> Model:
    """The model in an .onnx file (or OpenVINO's .xml with its .bin), ready to run on the CPU.

    backend: auto takes OpenVINO, or ONNX Runtime where that is absent. threads: default all that
    this process may use. precision: bf16 rounds what a net computes, but not the positions at which
    it reads; by OpenVINO. sha256: what the file must have.

    Raises `InputError` for a file that is missing, truncated, no model or of another digest,
    `MissingExtraError` if no backend (or not the one asked for) is installed, `UsageError` for an
    unknown backend, precision or a number of threads that is none, `ResourceError` for bf16 on a
    processor that has none.
    """
    if backend != "auto" and backend not in BACKENDS:
        raise unknown_name("backend", backend, ["auto", *BACKENDS])
    if precision not in ("fp32", "bf16"):
        raise unknown_name("precision", str(precision), ["fp32", "bf16"])
    if threads is not None and threads < 1:
        raise UsageError(
            "is no number of threads", field="threads", value=threads, expected="1 or more"
        )
    source = read_source(path, sha256)
    runner = _runner(backend)(source, threads or available_threads(), precision)
    return Model(
        runner.inputs,
        runner.outputs,
        runner.notes,
        runner.name,
        runner.precision,
        threads or available_threads(),
        source.sha256,
        runner,
    )


def fastest() -> Literal["bf16", "int8", "fp32"]:
    """In what a shipped net is best computed on this machine's CPU: bf16 where the processor has
    it; else 8 bits where OpenVINO is there, which takes half the time of fp32; else fp32, as ONNX
    Runtime does not read OpenVINO's form.

    Raises `MissingExtraError` if neither backend is installed.
    """
    runner = _runner("auto")
    if runner.name != "openvino":
        return "fp32"
    if runner.has("BF16"):
        return "bf16"
    return "int8" if runner.has("INT8") else "fp32"


def available_threads() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_backend(name: str) -> bool:
    """Whether it is installed; it is not imported."""
    return importlib.util.find_spec(name) is not None


def _runner(backend: str) -> Any:
    """The class that runs models, its library imported."""
    wanted = BACKENDS if backend == "auto" else (backend,)
    failed: Exception | None = None
    for name in wanted:
        try:
            if name == "openvino":
                from fathom.runtime.with_openvino import OpenVinoRunner, openvino

                openvino()
                return OpenVinoRunner
            from fathom.runtime.with_onnxruntime import OnnxRunner, onnxruntime

            onnxruntime()
            return OnnxRunner
        except ImportError as error:
            failed = error
    if backend == "auto":
        what = "a runtime for learned models (openvino, or onnxruntime instead)"
        raise MissingExtraError(what, BACKENDS[0]) from failed
    raise MissingExtraError(backend, backend) from failed


def _fits(shape: tuple[int, ...], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(
        size == want or (want is None and size > 0)
        for size, want in zip(shape, wanted, strict=True)
    )
