"""A model run by ONNX Runtime on the CPU."""

import importlib
from collections.abc import Mapping
from typing import Any

from fathom.core.arrays import Array
from fathom.core.errors import InputError, UsageError
from fathom.runtime.header import Shape
from fathom.runtime.source import Source, refused

_ERRORS_ONLY = 3


def onnxruntime() -> Any:
    """The module. Raises `ImportError` where it is not installed or does not load."""
    module: Any = importlib.import_module("onnxruntime")
    module.disable_telemetry_events()  # on Windows it reports to its makers
    return module


class OnnxRunner:
    """Callable over all inputs by name; from several threads, too."""

    name = "onnxruntime"
    precision = "fp32"

    def __init__(self, source: Source, threads: int, precision: str) -> None:
        if precision != "fp32":
            raise UsageError(
                "ONNX Runtime computes in fp32 here",
                field="precision",
                value=precision,
                remedy="leave it out, or install openvino",
            )
        if source.own or source.header is None:
            raise InputError(
                "is in OpenVINO's own format, which ONNX Runtime cannot read",
                file=source.path,
                expected="an .onnx file",
                remedy="install openvino, or export with --format onnx",
            )
        self.inputs: dict[str, Shape] = source.header.inputs
        self.outputs: dict[str, Shape] = source.header.outputs
        self.notes = source.header.notes
        self._source = source
        ort = onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        options.use_deterministic_compute = True
        # threads that spin while they wait take the cores from the classical matcher's
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(
                source.data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise refused(source, self.name, error) from error

    def prepare(self, sizes: Any) -> None:
        """Nothing depends on the size here."""

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        names = list(self.outputs)
        try:
            return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))
        except Exception as error:
            raise refused(self._source, self.name, error) from error
