"""A published net as an ONNX graph with free sizes: its call is followed once and written down.

torch.export, which `graph.py` uses for our own nets, reasons about every size with symbols: for one
of RAFT-Stereo's 32 iterations alone that takes more than half a minute of a processor, where
following the call (torch.jit.trace) takes two seconds for all. Following has its own trap: a size
that the net turns into a plain number, or a branch that depends on one, is written down as it was
at the example's size. So each file is compared with torch at another size before anybody gets it.
"""

import importlib
import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from fathom.core.arrays import Array
from fathom.core.errors import InputError, MissingExtraError
from fathom.export.graph import OUTPUTS, quiet, strip
from fathom.export.published import Exported, Published
from fathom.published.frame import Frame
from fathom.runtime import Model

_OPSET = 17
_END = torch.iinfo(torch.int64).max
_NEAR_PX, _NEAR_SHARE = 0.01, 0.005
"""Half of the pixels must agree to this, in pixels or as a share of the answer's spread: rounding
moves some far where a net chooses, a wrong graph moves most."""


def traced_graph(subject: Published, notes: Mapping[str, str]) -> Any:
    """An onnx.ModelProto of the net, batch 1, h and w free multiples of its divisor.

    Raises `MissingExtraError` without onnx, `InputError` for weights that are not finite, or a net
    that ONNX cannot express.
    """
    try:
        onnx: Any = importlib.import_module("onnx")
    except ImportError as error:
        raise MissingExtraError("onnx", "export") from error
    net = Exported(subject.net).eval()  # in training, torch would leave it so afterwards
    example = tuple(map(torch.from_numpy, dotted(sizes(subject.frame)[0]).values()))
    names = OUTPUTS[: len(_tried(subject))]
    free = {2: "height", 3: "width"}
    buffer = io.BytesIO()
    try:
        with quiet(), _hushed(), torch.no_grad(), _operators():
            torch.onnx.export(
                net,
                example,
                buffer,  # type: ignore[arg-type]
                dynamo=False,
                opset_version=_OPSET,
                input_names=["left", "right"],
                output_names=list(names),
                dynamic_axes=dict.fromkeys(("left", "right", *names), free),
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise InputError(
            "cannot be written as an ONNX graph",
            field=subject.model,
            value=lines[0][:160] if lines else type(error).__name__,
        ) from error
    model = onnx.load_from_string(buffer.getvalue())
    strip(model)
    for key, value in notes.items():
        model.metadata_props.add(key=key, value=value)
    return model


def check_free_sizes(subject: Published, model: Model) -> None:
    """Passes if the file answers as torch does at another size than the one it was made at.

    Raises `InputError` if it does not.
    """
    given = dotted(sizes(subject.frame)[1])
    wanted = subject.answers(given)["disparity"]
    try:
        found = model(given)["disparity"]
    except InputError as error:
        raise _bound(subject, str(error)) from error
    if found.shape != wanted.shape:
        raise _bound(subject, f"gives {found.shape} for {wanted.shape}")
    apart = float(np.median(np.abs(found - wanted)))
    if not apart <= max(_NEAR_PX, _NEAR_SHARE * float(wanted.std())):
        raise _bound(subject, f"is {apart:.3g} px from torch")


def sizes(frame: Frame) -> tuple[tuple[int, int], tuple[int, int]]:
    """(height, width) to follow the net at, and to compare at: they differ in both, and nothing in
    the net is a single pixel wide at the first."""
    step = frame.divisor
    tall, wide = frame.size(2 * step, 2 * step)
    return (tall + step, wide + 3 * step), (tall + 2 * step, wide + step)


def dotted(size: tuple[int, int]) -> dict[str, Array]:
    """A pair of random dots, the right view moved by 4 pixels."""
    rng = np.random.default_rng(0)
    dots = rng.integers(0, 256, (1, 3, size[0], size[1] + 4)).astype(np.float32)
    views = {"left": dots[..., :-4], "right": dots[..., 4:]}
    return {name: np.ascontiguousarray(view) for name, view in views.items()}


def _tried(subject: Published) -> tuple[str, ...]:
    """Names of what the net gives. Raises `InputError` for answers that are not finite."""
    state = subject.net.state_dict()
    bad = next((name for name, value in state.items() if not torch.isfinite(value).all()), None)
    if bad is not None:
        raise InputError(
            "holds values that are not finite", field=bad, expected="weights of a finished training"
        )
    found = subject.answers(dotted(subject.frame.size(1, 1)))
    return tuple(found)


@contextmanager
def _hushed() -> Iterator[None]:
    """Where it fails torch prints the whole graph, past Python's own streams."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(stream) for stream in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        yield
    finally:
        for stream, before in zip((1, 2), kept, strict=True):
            os.dup2(before, stream)
            os.close(before)
        os.close(nowhere)


@contextmanager
def _operators() -> Iterator[None]:
    """Adds what torch has not told ONNX yet, while open."""
    # torch's own annotations forget that both are public
    add: Any = getattr(torch.onnx, "register_custom_op_symbolic")  # noqa: B009
    remove: Any = getattr(torch.onnx, "unregister_custom_op_symbolic")  # noqa: B009
    for name, function in _MISSING.items():
        add(name, function, _OPSET)
    try:
        yield
    finally:
        for name in _MISSING:
            remove(name, _OPSET)


def _expm1(g: Any, x: Any) -> Any:
    return g.op("Sub", g.op("Exp", x), g.op("Constant", value_t=torch.tensor(1.0)))


def _diff(g: Any, x: Any, _order: Any, axis: Any, _before: Any, _after: Any) -> Any:
    """Of first order, with nothing put before or after: nets have no other."""
    known: Any = importlib.import_module("torch.onnx.symbolic_helper")
    at = g.op("Constant", value_t=torch.tensor([known._get_const(axis, "i", "dim")]))
    one, end, none = (g.op("Constant", value_t=torch.tensor([n])) for n in (1, _END, 0))
    last = g.op("Constant", value_t=torch.tensor([-1]))
    return g.op("Sub", g.op("Slice", x, one, end, at), g.op("Slice", x, none, last, at))


_MISSING = {"aten::expm1": _expm1, "aten::diff": _diff}


def _bound(subject: Published, what: str) -> InputError:
    return InputError(
        "its graph holds for one size only",
        field=subject.model,
        value=what,
        expected="the same answers as torch at any size",
    )
