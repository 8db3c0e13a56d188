"""In bf16 a model reads where it would in fp32: positions are not rounded to eight bits."""

import numpy as np
import pytest

import fathom
from fathom import weights
from fathom.core import StereoPair, View
from fathom.geometry.resize import resize_image
from fathom.runtime import load_model
from fathom.runtime.model import has_backend

if not has_backend("openvino"):
    pytest.skip("needs openvino", allow_module_level=True)

from fathom.runtime.with_openvino import OpenVinoRunner, _keep_positions, openvino

native = pytest.mark.skipif(
    not OpenVinoRunner.has("BF16"), reason="this processor does not compute in bf16"
)
WIDTH = 600


def shifting():
    """image(x + step), where the step comes of a convolution, weighted by what is left of it."""
    from openvino import opset13 as ops

    image, step = (ops.parameter([1, 1, 1, WIDTH], np.float32, n) for n in ("image", "step"))
    image.output(0).get_tensor().set_names({"image"})
    step.output(0).get_tensor().set_names({"step"})
    one = np.ones((1, 1, 1, 1), np.float32)

    def convolved(value):
        return ops.convolution(value, one, [1, 1], [0, 0], [0, 0], [1, 1])

    across = np.arange(WIDTH, dtype=np.float32).reshape(1, 1, 1, WIDTH)
    at = ops.clamp(ops.add(convolved(step), across), 0.0, WIDTH - 1.0)
    low = ops.floor(at)
    read = ops.gather_elements(image, ops.convert(low, "i32"), 3)
    mixed = convolved(ops.multiply(read, ops.subtract(np.float32(1), ops.subtract(at, low))))
    mixed.output(0).get_tensor().set_names({"out"})
    return openvino().Model([mixed], [image, step], "shifting")


def test_what_is_made_of_the_reading_becomes_an_output():
    model = shifting()
    _keep_positions(model)
    assert len(model.outputs) == 2
    assert model.outputs[1].get_node().input_value(0).get_node().get_type_name() == "Multiply"
    _keep_positions(model)
    assert len(model.outputs) == 2


@native
def test_positions_beyond_what_eight_bits_hold(tmp_path):
    file = tmp_path / "shifting.xml"
    openvino().save_model(shifting(), str(file), compress_to_fp16=False)
    rng = np.random.default_rng(0)
    given = {
        "image": rng.integers(0, 100, (1, 1, 1, WIDTH)).astype(np.float32),
        "step": rng.integers(-8, 8, (1, 1, 1, WIDTH)).astype(np.float32) + np.float32(0.25),
    }
    exact, found = (
        load_model(file, backend="openvino", precision=p)(given)["out"] for p in ("fp32", "bf16")
    )
    assert np.abs(found - exact).max() < 0.5  # of values up to 100


@native
@pytest.mark.parametrize("name", weights.NAMES)
@pytest.mark.parametrize("far", [False, True])
def test_a_wide_pair_is_answered_alike(name, far, motorcycle):
    """far: nothing is near, so the last column reads at the right border, which eight bits put
    outside the image."""
    left, right = (
        View(resize_image(v.image, (1242, 375)))
        for v in (motorcycle.pair.left, motorcycle.pair.right)
    )
    pair = StereoPair(left, left if far else right)
    exact, found = (
        fathom.create(name, precision=p, max_disparity=128)(pair) for p in ("fp32", "bf16")
    )
    apart = np.abs(found.values - exact.values)
    assert np.median(apart) < 0.01 and apart.mean() < 0.05
    assert np.abs(found.confidence - exact.confidence).mean() < 0.01
