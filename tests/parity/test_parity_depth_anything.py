"""Depth Anything V2 against runs of the authors' code: tensors, and depth at 252x518.

Weights and images take the users' way: the authors' file is converted, `fathom.create` loads it
into transformers' net, and the estimator gets uint8 images. That size is not the trained 518x518,
so the position embedding is enlarged, which transformers does otherwise than the authors.
"""

import importlib.util

import numpy as np
import pytest
import torch

import fathom
import parity
from fathom.core import Depth, RelativeDepth, View
from fathom.nets.mono.depth_anything import DepthAnything, unconvert

torch.set_num_threads(1)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="no transformers"),
]
CASES = {
    "depthanythingv2_vits": ("depth-anything-v2-small", "depth_anything_v2_vits.pth"),
    "depthanythingv2_metric_vits": (
        "depth-anything-v2-metric-indoor-small", "depth_anything_v2_metric_hypersim_vits.pth",
    ),
    "depthanythingv2_vitb": ("depth-anything-v2-base", "depth_anything_v2_vitb.pth"),
}  # fmt: skip


@pytest.fixture(scope="module", params=sorted(CASES))
def run(request, tmp_path_factory):
    """The case, the file of weights, and the map that the estimator gives of the left image."""
    case = parity.case(request.param)
    model, file = CASES[request.param]
    folder = tmp_path_factory.mktemp("depth_anything")
    torch.save(parity.state(case), folder / file)
    weights = parity.converted(folder / file, model)
    view = View(parity.images(case)[0])
    found = fathom.create(model, weights=weights, size=252)(view)
    return case, model, weights, view, found


def test_names_and_shapes_there_and_back(run):
    from safetensors.torch import load_file

    case, model, weights, _, _ = run
    net = DepthAnything(model.rpartition("-")[2])
    net.load_state_dict(load_file(weights))
    parity.assert_same_tensors(case, net, unconvert)


def test_samples_of_the_depth(run):
    case, model, _, _, found = run
    assert isinstance(found, Depth if "metric" in model else RelativeDepth)
    assert parity.case_error(case, "depth", found.values[None, None]) < 1e-3


def test_all_depths(run, shared):
    case, _, _, _, found = run
    assert parity.full_error(shared, case, "depth", found.values) < 1e-3


def test_the_other_position_embedding_is_far_off(run):
    """So the test above would see it."""
    case, model, weights, view, found = run
    if model != "depth-anything-v2-small":
        pytest.skip("one of them tells enough")
    other = fathom.create(model, weights=weights, size=252, position="transformers")(view)
    assert parity.case_error(case, "depth", other.values[None, None]) > 0.02
    assert np.abs(other.values - found.values).max() > 1


def test_a_published_files_name_tells_which_model(tmp_path):
    """Small ones of V1, V2, relative and metric have the same tensors."""
    from fathom.workflows.weights import KeepOptions, convert_file

    case = parity.case("depthanythingv2_metric_vits")
    file = tmp_path / "depth_anything_v2_metric_vkitti_vits.pth"
    torch.save(parity.state(case), file)
    done = convert_file(file, tmp_path / "ours.safetensors", KeepOptions())
    assert done.model == "depth-anything-v2-metric-outdoor-small"
    file = file.rename(tmp_path / "unknown.pth")
    done = convert_file(file, tmp_path / "ours.safetensors", KeepOptions())
    assert done.model == "depth-anything-v2-small"
