"""A trained net as an ONNX graph with free sizes, its notes inside."""

import copy
import importlib
import importlib.metadata
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fathom.classical.channels import CHANNELS
from fathom.core.errors import InputError, MissingExtraError
from fathom.export.published import Published
from fathom.nets.stereo.evidence import EvidenceNet

OUTPUTS = ("disparity", "confidence")
"""(1, 1, h, w) each: pixels, and P(|error| <= 1 px) in 0..1."""
_CHANNELS = {"left": 3, "right": 3, "evidence": CHANNELS}
_LARGEST = 1 << 15


class Exported(nn.Module):
    """The net as the graph has it: only the inputs it uses, both outputs as they are meant."""

    def __init__(self, net: EvidenceNet) -> None:
        super().__init__()
        self.net = net

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in the order of `forward`."""
        matching = self.net.config.matching
        return ("left", "right", "evidence") if matching else ("left", "evidence")

    def forward(self, *given: Tensor) -> tuple[Tensor, Tensor]:
        """given: as `inputs` names them."""
        found = self.net(given[0], given[-2], given[-1])
        return found.disparities[0], torch.sigmoid(found.confidence)


def folded(net: EvidenceNet) -> EvidenceNet:
    """A copy for inference in which each batch normalisation is part of the convolution before it.

    Runtimes fold most of them by themselves, but not where one convolution is used twice, as the
    features of both views are.
    """
    copied = copy.deepcopy(net).eval()
    for block in copied.modules():
        if not isinstance(block, nn.Sequential):
            continue
        for i in range(len(block) - 1):
            conv, norm = block[i], block[i + 1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                block[i], block[i + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return copied


def notes_of(net: EvidenceNet | Published, model: str, about: Mapping[str, str]) -> dict[str, str]:
    """The metadata of an exported file. about: licence, trained_on."""
    if isinstance(net, Published):
        told = net.notes()
    else:
        told = {"fathom.divisor": str(net.config.divisor)}
        told["fathom.max_disparity"] = str(net.config.max_disparity)
    return {
        "fathom.model": model,
        **told,
        "fathom.licence": about.get("licence", "unknown"),
        "fathom.trained_on": about.get("trained_on", "unknown"),
        "fathom.version": importlib.metadata.version("fathom-depth"),
    }


def onnx_graph(net: EvidenceNet, notes: Mapping[str, str]) -> Any:
    """An onnx.ModelProto of the net, batch 1, h and w free multiples of the net's divisor.

    Raises `MissingExtraError` without onnx and onnxscript, `InputError` for weights that are not
    finite: a graph of them would be written, and give nothing.
    """
    for module in ("onnx", "onnxscript"):
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise MissingExtraError(module, "export") from error
    bad = next((k for k, v in net.state_dict().items() if not torch.isfinite(v).all()), None)
    if bad is not None:
        raise InputError(
            "holds values that are not finite", field=bad, expected="weights of a finished training"
        )
    exported = Exported(folded(net)).eval()
    divisor = net.config.divisor
    size = (2 * divisor, 3 * divisor)
    example = tuple(torch.zeros(1, _CHANNELS[name], *size) for name in exported.inputs)
    most = _LARGEST // divisor
    free = {
        2: divisor * torch.export.Dim("rows", min=1, max=most),
        3: divisor * torch.export.Dim("columns", min=1, max=most),
    }
    with quiet():
        program = torch.onnx.export(
            exported,
            example,
            dynamo=True,
            verbose=False,
            input_names=list(exported.inputs),
            output_names=list(OUTPUTS),
            dynamic_shapes=(tuple(free for _ in example),),
        )
    model: Any = program.model_proto  # type: ignore[union-attr]
    strip(model)
    for key, value in notes.items():
        model.metadata_props.add(key=key, value=value)
    return model


def strip(model: Any) -> None:
    """Takes out what torch notes of each operation: stack traces, with paths of this machine."""
    graph = model.graph
    del graph.value_info[:]
    for holder in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        holder.doc_string = ""
        del holder.metadata_props[:]


@contextmanager
def quiet() -> Iterator[None]:
    """torch's exporter warns of packages that it looks for, and of its own past."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
