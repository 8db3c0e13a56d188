"""A graph in 8 bits, calibrated on procedural scenes.

Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", CVPR 2018: weights and activations as 8-bit integers with a scale, found after training
from the ranges that some inputs give.
"""

import importlib
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from fathom.core.errors import MissingExtraError
from fathom.export.graph import Exported
from fathom.export.inputs import scene_inputs
from fathom.export.write import converted
from fathom.nets.stereo.evidence import EvidenceNet

_NO_REPORTS = "NNCF_CI"
_EXACT = (
    *("MatMul", "AveragePool", "AvgPool", "Mul", "Multiply", "Add", "Sub", "Subtract"),
    *("GreaterOrEqual", "GreaterEqual"),
)
"""Operations that stay in floating point, by ONNX's and OpenVINO's names: they make disparities, of
which 8 bits hold no more than 256, or find the highest of several scores."""


def quantised(
    graph: Any, net: EvidenceNet, format: str, scenes: int, notify: Callable[[str], None]
) -> Any:
    """`graph` (an onnx.ModelProto) with its convolutions in 8 bits: an onnx.ModelProto, or
    OpenVINO's model for that format.

    Raises `MissingExtraError` without nncf.
    """
    with _silent():
        try:
            nncf: Any = importlib.import_module("nncf")
        except ImportError as error:
            raise MissingExtraError("nncf", "export") from error
        notify(f"calibrating 8 bits on {scenes} procedural scenes")
        samples = scene_inputs(net, scenes, Exported(net).inputs)
        given = converted(graph.SerializeToString()) if format == "openvino" else graph
        return nncf.quantize(
            given,
            nncf.Dataset(samples),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=scenes,
            ignored_scope=nncf.IgnoredScope(types=list(_EXACT), validate=False),
        )


@contextmanager
def _silent() -> Iterator[None]:
    """No progress bars on standard output, no reports to nncf's makers."""
    before = os.environ.get(_NO_REPORTS)
    os.environ[_NO_REPORTS] = "1"
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        if before is None:
            del os.environ[_NO_REPORTS]
        else:
            os.environ[_NO_REPORTS] = before
