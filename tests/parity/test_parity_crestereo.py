"""CREStereo against a run of its port to torch: tensors one by one, layers, disparities.

Weights and images take the users' way: the authors' file is converted, `fathom.create` loads it,
and the estimator gets uint8 images. The reference ran the net once, at full size.
"""

import numpy as np
import pytest
import torch

import fathom
import parity
from fathom.nets.stereo.crestereo import unconvert

torch.set_num_threads(1)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The case, the net with the case's weights, the map that the estimator gives, and layers."""
    case = parity.case("crestereo")
    folder = tmp_path_factory.mktemp("crestereo")
    torch.save(parity.state(case), folder / "official.pth")
    weights = parity.converted(folder / "official.pth", "crestereo")
    matcher = fathom.create(
        "crestereo",
        weights=weights,
        iterations=case.iterations,
        variant="one-stage",
        confidence=False,
        min_disparity=-99,
    )
    net = matcher._net(None)
    layers = {
        "fnet": net.encoder,
        "conv_offset_16": net.shift16,
        "self_att_fn": net.within,
        "update_block": net.unit,
    }
    with parity.first_outputs(layers) as caught:
        found = parity.answer(matcher, case)
    return case, net, found, caught


def test_names_and_shapes_there_and_back(run):
    case, net, _, _ = run
    parity.assert_same_tensors(case, net, unconvert)


def test_samples_of_the_recorded_layers(run):
    """Both views' descriptions are one output of ours; of the update the state alone is caught."""
    case, net, _, layers = run
    first, second = layers["fnet#0"].chunk(2)
    seen = layers | {"fnet#0": first, "fnet#1": second}
    assert len(case.mids) == 8
    compared = [name for name in case.mids if name in seen]
    assert len(compared) == 5
    for name in compared:
        assert parity.mid_error(case, name, seen[name]) < 1e-4, name
    state = layers["update_block#0"]
    with torch.inference_mode():
        assert parity.mid_error(case, "update_block#1", 0.25 * net.mask(state)) < 1e-4
        assert parity.mid_error(case, "update_block#2", net.move(state)) < 1e-4


def test_samples_of_the_disparity(run):
    case, _, found, _ = run
    assert parity.case_error(case, "flow", found.values[None, None]) < 1e-4


def test_all_disparities(run, shared):
    case, _, found, _ = run
    assert np.isfinite(found.values).all()
    assert parity.full_error(shared, case, "flow", found.values) < 1e-4
