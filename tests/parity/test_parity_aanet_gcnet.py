"""GC-Net of AANet's authors against a run of their code: tensors one by one, layers, disparities.

Weights and images take the users' way: the authors' file is converted, `fathom.create` loads it,
and the estimator gets uint8 images.
"""

import pytest
import torch

import fathom
import parity
from fathom.nets.stereo.aanet_gcnet import unconvert

torch.set_num_threads(1)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The case, the net with the case's weights, the map that the estimator gives, and how far each
    recorded layer is off."""
    case = parity.case("aanet_gcnet")
    file = tmp_path_factory.mktemp("aanet_gcnet") / "official.pth"
    torch.save({"state_dict": parity.state(case), "epoch": 1}, file)
    matcher = fathom.create("aanet-gcnet", weights=parity.converted(file, "aanet-gcnet"))
    net = matcher._net(192)
    off = {}
    costs = net.costs

    def compared(volume):
        off["cost_volume#0"] = parity.mid_error(case, "cost_volume#0", volume)
        found = costs(volume)
        off["aggregation#0"] = parity.mid_error(case, "aggregation#0", found[:, 0])
        return found

    net.costs = compared
    with parity.first_outputs({"feature_extractor": net.features}) as first:
        found = parity.answer(matcher, case)
    off |= {name: parity.mid_error(case, name, values) for name, values in first.items()}
    return case, net, found, off


def test_names_and_shapes_there_and_back(run):
    case, net, _, _ = run
    parity.assert_same_tensors(case, net, unconvert)


def test_samples_of_every_recorded_layer(run):
    case, _, _, off = run
    assert off.keys() == case.mids.keys()
    assert max(off.values()) < 1e-4, off


def test_samples_of_the_disparities_and_the_last_row_and_column_repeat(run):
    case, _, found, _ = run
    all_of_it = found.values
    assert parity.case_error(case, "disp", all_of_it[None, None, :-1, :-1]) < 1e-4
    assert (all_of_it[-1] == all_of_it[-2]).all()
    assert (all_of_it[:, -1] == all_of_it[:, -2]).all()


def test_all_disparities(run, shared):
    case, _, found, _ = run
    assert parity.full_error(shared, case, "disp", found.values[:-1, :-1]) < 1e-4
