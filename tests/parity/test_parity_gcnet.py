"""GC-Net against a run of zyf12389/GC-Net: tensors one by one, layers, costs, disparities.

Weights and images take the users' way: the foreign file is converted, `fathom.create` loads it, and
the estimator gets uint8 images.
"""

import pytest
import torch
from torch.nn import functional

import fathom
import parity
from fathom.nets.stereo.gc_net import unconvert
from fathom.workflows.weights import KeepOptions, convert_file

torch.set_num_threads(1)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The case, the net with the case's weights, the map that the estimator gives, and layers."""
    case = parity.case("gcnet")
    folder = tmp_path_factory.mktemp("gcnet")
    state = {f"module.{name}": values for name, values in parity.state(case).items()}
    torch.save({"net": state, "step": 1}, folder / "ckpt.t7")
    convert_file(folder / "ckpt.t7", folder / "ours.safetensors", KeepOptions(model="gc-net"))
    matcher = fathom.create("gc-net", weights=str(folder / "ours.safetensors"))
    net = matcher._net(192)
    modules = {
        "res_block": net.features[8],
        "conv1": net.features[9],
        "bn3d_2": net.full[1],
        "block_3d_1": net.sides[0],
        "block_3d_4": net.sides[3],
        "deconv5": net.cost,
    }
    with parity.first_outputs(modules) as layers:
        found = parity.answer(matcher, case)
    return case, net, found, layers


def test_names_and_shapes_there_and_back(run):
    case, net, _, _ = run
    parity.assert_same_tensors(case, net, unconvert)


def test_samples_of_layers(run):
    case, _, _, layers = run
    compared = set(case.mids) & set(layers) - {"bn3d_2#0"}
    # deconv4 is one with its normalisation here; the costs come after it
    assert set(case.mids) - compared == {"bn3d_2#0", "deconv4#0"}
    for name in compared:
        assert parity.mid_error(case, name, layers[name]) < 1e-4, name
    second = case.mids["bn3d_2#0"]  # theirs before, ours after the ReLU
    ours = parity.sample(layers["bn3d_2#0"])
    assert abs(ours - second.sample.clip(min=0)).max() < 1e-4 * second.std


def test_samples_of_disparity_and_largest_probability(run):
    case, _, found, layers = run
    assert parity.case_error(case, "disp", found.values[None, None]) < 1e-4
    largest = functional.softmax(-layers["deconv5#0"][:, 0], 1).amax(dim=1, keepdim=True)
    assert parity.case_error(case, "prob_max", largest) < 2e-4


def test_all_disparities(run, shared):
    case, _, found, _ = run
    assert parity.full_error(shared, case, "disp", found.values) < 1e-4
