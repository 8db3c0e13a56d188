"""IGEV-Stereo against a run of the authors' code: tensors one by one, layers, disparities.

Weights and images take the users' way: the authors' file is converted, `fathom.create` loads it,
and the estimator gets uint8 images.
"""

import pytest
import torch

import fathom
import parity
from fathom.nets.stereo.igev import unconvert

torch.set_num_threads(1)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The case, the net with the case's weights, the map that the estimator gives, and layers."""
    case = parity.case("igev_stereo")
    folder = tmp_path_factory.mktemp("igev")
    wrapped = {f"module.{name}": values for name, values in parity.state(case).items()}
    torch.save(wrapped, folder / "official.pth")
    weights = parity.converted(folder / "official.pth", "igev")
    matcher = fathom.create("igev", weights=weights, iterations=case.iterations)
    net = matcher._net(192)
    layers = {
        "feature": net.ladder,
        "stem_4": net.at_quarter,
        "desc": net.describe,
        "corr_stem": net.enter,
        "cost_agg": net.hourglass,
        "classifier": net.score,
        "cnet.outputs04.0": net.context.heads[0].state,
        "update_block.encoder": net.motion,
        "update_block.gru04": net.units.finest,
        "update_block.disp_head": net.move,
        "spx_gru": net.last,
    }
    with parity.first_outputs(layers) as caught:
        found = parity.answer(matcher, case)
    return case, net, found, caught


def test_names_and_shapes_there_and_back(run):
    case, net, _, _ = run
    parity.assert_same_tensors(case, net, unconvert)


def test_samples_of_every_recorded_layer(run):
    """Both views are one batch of ours, the left one first. The mask is asked once, at the end; the
    reference's first one follows from the first state."""
    case, net, _, layers = run
    with torch.inference_mode():
        layers["update_block.mask_feat_4#0"] = net.mask(layers["update_block.gru04#0"])
    assert len(case.mids) == 14
    for name in case.mids:
        assert parity.mid_error(case, name, layers[name][:1]) < 1e-4, name


def test_samples_of_the_disparity(run):
    case, _, found, _ = run
    assert parity.case_error(case, "disp", found.values[None, None]) < 1e-4


def test_all_disparities(run, shared):
    case, _, found, _ = run
    assert parity.full_error(shared, case, "disp", found.values) < 1e-4
