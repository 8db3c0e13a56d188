"""PSMNet against runs of the authors' code: tensors one by one, layers, disparities.

Weights and images take the users' way: the authors' file is converted, `fathom.create` loads it,
and the estimator gets uint8 images.
"""

import pytest
import torch

import fathom
import parity
from fathom.nets.stereo.psmnet import unconvert

torch.set_num_threads(1)
MODELS = {"psmnet_basic": "psmnet-basic", "psmnet_stackhourglass": "psmnet"}
pytestmark = pytest.mark.slow


def layers_of(net):
    """Official name -> our module, of the layers that the reference recorded."""
    found = {
        "feature_extraction.layer2": net.features.stages[1],
        "feature_extraction": net.features,
        "dres0": net.enter,
    }
    if net.config.stacked:
        glasses = {f"dres{i + 2}": net.hourglasses[i] for i in (0, 2)}
        return found | glasses | {f"classif{i + 1}": net.heads[i] for i in (0, 2)}
    pairs = {f"dres{i + 1}": net.pairs[i].body for i in (1, 3)}
    return found | pairs | {"classify": net.heads[0]}


@pytest.fixture(scope="module", params=sorted(MODELS))
def run(request, tmp_path_factory):
    """The case, the net with the case's weights, the map that the estimator gives, and layers."""
    case = parity.case(request.param)
    name = MODELS[request.param]
    folder = tmp_path_factory.mktemp(name)
    torch.save({"state_dict": _wrapped(parity.state(case))}, folder / "official.tar")
    weights = parity.converted(folder / "official.tar", name)
    matcher = fathom.create(name, weights=weights)
    net = matcher._net(192)
    with parity.first_outputs(layers_of(net)) as layers:
        found = parity.answer(matcher, case)
    return case, net, found, layers


def _wrapped(state):
    """As DataParallel saves it."""
    return {f"module.{name}": values for name, values in state.items()}


def test_names_and_shapes_there_and_back(run):
    case, net, _, _ = run
    parity.assert_same_tensors(case, net, unconvert)


def test_samples_of_every_recorded_layer(run):
    case, _, _, layers = run
    assert len(case.mids) == {"psmnet_basic": 6, "psmnet_stackhourglass": 11}[case.name]
    for name in case.mids:
        assert parity.mid_error(case, name, layers[name]) < 1e-4, name


def test_samples_of_the_disparity(run):
    case, _, found, _ = run
    assert parity.case_error(case, "disp", found.values[None, None]) < 1e-4


def test_all_disparities(run, shared):
    case, _, found, _ = run
    assert parity.full_error(shared, case, "disp", found.values) < 1e-4
