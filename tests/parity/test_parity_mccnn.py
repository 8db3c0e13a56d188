"""MC-CNN against a run of the published arithmetic: costs and winners, tensors one by one.

The official code is Lua and CUDA and was not run: the reference was written from reading it, by
others and for other code than ours.
"""

import numpy as np
import pytest
import torch

import parity
from fathom.classical.mc_cnn import continue_border
from fathom.nets.costs import matching_costs
from fathom.nets.stereo.mc_cnn import (
    convert,
    mc_cnn_accurate,
    mc_cnn_fast,
    unconvert,
)

torch.set_num_threads(1)
LEVELS = 32
BUILDERS = {
    "mccnn_fast_kitti": lambda: mc_cnn_fast("kitti2015", LEVELS),
    "mccnn_fast_mb": lambda: mc_cnn_fast("middlebury", LEVELS),
    "mccnn_accurate_kitti": lambda: mc_cnn_accurate("kitti2012", LEVELS),
}


@pytest.fixture(scope="module", params=sorted(BUILDERS))
def run(request):
    """The case, the net with the case's weights, and the costs and winners it gives."""
    case = parity.case(request.param)
    net = BUILDERS[request.param]()
    net.load_state_dict(convert(parity.state(case)), strict=True)
    with torch.no_grad():
        out = net.eval()(*parity.inputs(case))
        costs = net.costs_of(out.scores)
    return case, net, torch.where(out.scores > -1e4, costs, 0), out.disparities[0]


def test_names_and_shapes_there_and_back(run):
    case, net, _, _ = run
    parity.assert_same_tensors(case, net, unconvert)


def test_samples_of_costs_and_winners(run):
    case, _, costs, winner = run
    assert parity.case_error(case, "cost", costs) < 1e-4
    assert parity.case_error(case, "wta", winner) == 0


def test_all_costs_and_winners(run, shared):
    case, _, costs, winner = run
    assert parity.full_error(shared, case, "cost", costs) < 1e-4
    assert parity.full_error(shared, case, "wta", winner) == 0


@pytest.mark.parametrize("name", ["mccnn_fast_kitti", "mccnn_fast_mb"])
def test_the_volume_that_the_classical_steps_take(name):
    """uint8 images in, the volume that aggregation and semi-global matching take out."""
    case = parity.case(name)
    net = BUILDERS[name]()
    net.load_state_dict(convert(parity.state(case)), strict=True)
    raw = matching_costs(net, *parity.images(case), 0, LEVELS)
    volume = continue_border(raw, net.reach)
    costs = np.where(np.isfinite(volume.costs), volume.costs, 0).transpose(2, 0, 1)[None]
    assert parity.case_error(case, "cost", np.ascontiguousarray(costs)) < 1e-4
    # without the continued border it is another volume: the last columns alone differ
    plain = np.where(np.isfinite(raw.costs), raw.costs, 0).transpose(2, 0, 1)[None]
    assert not np.allclose(plain, costs) and np.array_equal(
        plain[..., : -net.reach], costs[..., : -net.reach]
    )
