"""RAFT-Stereo against runs of the authors' code: tensors one by one, layers, disparities.

The units turn rounding errors into more of them from one iteration to the next: the authors' own
net in float64 differs from their float32 by up to 5e-4 of the spread (realtime). With the shared
backbone ours is 2.3e-4 away at the samples and 2.0e-3 over the whole output (16 of 131,072 pixels
above 1e-3); the authors' own code, run on the machine of that measurement, is 2.5e-3 from what it
had given on the one of the references (126 pixels). In float64 both are 1.0e-3 from it, at one
pixel: so far the stored output itself is from exact arithmetic. See docs/networks.md.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

import parity
from fathom.nets.stereo.raft_stereo import (
    RaftStereo,
    convert,
    raft_stereo,
    raft_stereo_realtime,
    unconvert,
)

torch.set_num_threads(1)
CASES = {
    "raft_stereo_reg": (raft_stereo, "reg", 1e-3),
    "raft_stereo_alt": (raft_stereo, "alt", 1e-3),
    "raft_stereo_realtime": (raft_stereo_realtime, "reg", 1e-3),
    "raft_stereo_sharedbackbone": (lambda: raft_stereo(shared_backbone=True), "reg", 3e-3),
}


def layers_of(net):
    """Official name -> our module, of the layers that the reference recorded (`mask` apart, which
    ours does not ask in the first iteration)."""
    found = {
        "cnet.layer3": net.trunk,
        "cnet.outputs08.0": net.context.heads[0].state,
        "context_zqr_convs.0": net.context.contexts[0],
        "update_block.encoder": net.motion,
        "update_block.gru08": net.units.finest,
        "update_block.flow_head": net.move,
    }
    return found | ({"conv2": net.compared} if net.config.shared_backbone else {})


@pytest.fixture(
    scope="module",
    params=[
        name if "realtime" in name else pytest.param(name, marks=pytest.mark.slow) for name in CASES
    ],
)
def run(request):
    """The case, the net with the case's weights, what it gives, its layers, and the bound."""
    case = parity.case(request.param)
    build, correlation, bound = CASES[case.name]
    config = replace(build().config, correlation=correlation, iterations=case.iterations)
    net = RaftStereo(config).eval()
    net.load_state_dict(convert(parity.state(case)), strict=True)
    with parity.first_outputs(layers_of(net)) as layers, torch.inference_mode():
        out = net(*parity.inputs(case))
    return case, net, out, layers, bound


def test_names_and_shapes_there_and_back(run):
    case, net, *_ = run
    parity.assert_same_tensors(case, net, unconvert)


def test_samples_of_the_recorded_layers(run):
    case, _, _, layers, _ = run
    shapes = {name: tuple(values.shape) for name, values in layers.items()}
    compared = [name for name, seen in case.mids.items() if shapes.get(name) == seen.shape]
    assert len(compared) >= 6
    for name in compared:
        assert parity.mid_error(case, name, layers[name]) < 2e-4, name


def test_samples_of_the_disparity(run):
    case, net, out, _, _ = run
    full, low = out.disparities
    assert parity.case_error(case, "flow_up", -full) < 1e-3
    assert parity.case_error(case, "flow_low", -low / net.config.cell) < 1e-3


def test_all_disparities(run, shared):
    case, net, out, _, bound = run
    full, low = out.disparities
    assert parity.full_error(shared, case, "flow_up", -full) < bound
    assert parity.full_error(shared, case, "flow_low", -low / net.config.cell) < bound
    with np.load(shared / "parity" / f"{case.name}.npz") as file:
        off = np.abs(-full.numpy() - file["out/flow_up"]) > 1e-3 * case.outputs["flow_up"].std
    assert off.mean() < 1e-3


@pytest.mark.slow
def test_in_float64_the_shared_backbone_leaves_what_the_stored_output_rounded(shared, monkeypatch):
    case = parity.case("raft_stereo_sharedbackbone")
    build, correlation, _ = CASES[case.name]
    config = replace(build().config, correlation=correlation, iterations=case.iterations)
    net = RaftStereo(config).eval()
    net.load_state_dict(convert(parity.state(case)), strict=True)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)  # positions and flows, too
    with torch.inference_mode():
        full = net.double()(*(image.double() for image in parity.inputs(case))).disparities[0]
    with np.load(shared / "parity" / f"{case.name}.npz") as file:
        off = np.abs(-full.numpy() - file["out/flow_up"]) / case.outputs["flow_up"].std
    assert (off > 1e-3).sum() <= 1 and off.max() < 1.1e-3  # the authors' in float64: 1, 1.0e-3
    assert np.sqrt((off**2).mean()) < 4.5e-5
