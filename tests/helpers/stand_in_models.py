"""Exported models for tests, written down by hand: what they answer is known beforehand."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fathom import weights
from fathom.classical.channels import CHANNELS

NOTES = {"fathom.divisor": "32", "fathom.max_disparity": "192"}


def write_model(path, *, disparity="evidence", channel=0, add=0.0, sure=1, right=True, notes=None):
    """A model whose disparity is a channel of one of its inputs plus `add`, and whose confidence is
    channel `sure` of the evidence (P that semi-global matching is right)."""
    inputs = ["left", "evidence"] if not right else ["left", "right", "evidence"]
    shapes = {"left": 3, "right": 3, "evidence": CHANNELS}
    constants = {
        "one": np.array([1], np.int64),
        "a": np.array([channel], np.int64),
        "b": np.array([channel + 1], np.int64),
        "c": np.array([sure], np.int64),
        "d": np.array([sure + 1], np.int64),
        "add": np.array(add, np.float32),
        "nothing": np.array(0, np.float32),
    }
    nodes = [
        helper.make_node("Slice", [disparity, "a", "b", "one"], ["found"]),
        *(
            node  # a graph's unused inputs would be dropped
            for name in inputs
            for node in (
                helper.make_node("ReduceMax", [name], [f"{name} max"], keepdims=1),
                helper.make_node("Min", [f"{name} max", "nothing"], [f"{name} used"]),
            )
        ),
        helper.make_node("Sum", ["found", "add", *(f"{n} used" for n in inputs)], ["disparity"]),
        helper.make_node("Slice", ["evidence", "c", "d", "one"], ["sure"]),
        helper.make_node("Identity", ["sure"], ["confidence"]),
    ]
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info(n, kind, [1, shapes[n], "h", "w"]) for n in inputs],
        [
            helper.make_tensor_value_info(n, kind, [1, 1, "h", "w"])
            for n in ("disparity", "confidence")
        ],
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, NOTES if notes is None else notes)
    onnx.save(model, str(path))
    return path


def ship(home, name, int8=None, **how):
    """A folder of a shipped model of that name below `home`, with a stand-in for its net. int8: how
    the stand-in for its net in 8 bits is made, where it has one."""
    folder = home / name
    folder.mkdir(parents=True)
    right = name == "fathom-s"
    write_model(folder / weights.MODEL, right=right, **how)
    if int8 is not None:
        from fathom.runtime.with_openvino import openvino

        graph = openvino().Core().read_model(write_model(folder / "x.onnx", right=right, **int8))
        for note, value in NOTES.items():
            graph.set_rt_info(value, ["fathom", note.removeprefix("fathom.")])
        openvino().save_model(graph, folder / weights.MODEL_INT8, compress_to_fp16=False)
    (folder / weights.WEIGHTS).write_bytes(b"stand-in")
    card = weights.make_card(folder, name, "Apache-2.0", divisor=32, max_disparity=192)
    (folder / weights.CARD).write_text(json.dumps(card))
    return folder
