"""GwcNet against runs of the authors' code: tensors one by one, layers, disparities.

Weights and images take the users' way: the authors' file is converted, `fathom.create` loads it,
and the estimator gets uint8 images.
"""

import pytest
import torch

import fathom
import parity
from fathom.nets.stereo.gwcnet import unconvert

torch.set_num_threads(1)
MODELS = {"gwcnet_g": "gwcnet-g", "gwcnet_gc": "gwcnet"}
pytestmark = pytest.mark.slow


def layers_of(net):
    """Official name -> our module, of the layers that the reference recorded."""
    glasses = {f"dres{i + 2}": net.hourglasses[i] for i in (0, 2)}
    return glasses | {
        "feature_extraction.layer2": net.features.stages[1],
        "dres0": net.enter,
        "classif3": net.heads[3],
    }


@pytest.fixture(scope="module", params=sorted(MODELS))
def run(request, tmp_path_factory):
    """The case, the net with the case's weights, the map that the estimator gives, and layers."""
    case = parity.case(request.param)
    name = MODELS[request.param]
    folder = tmp_path_factory.mktemp(name)
    state = {f"module.{key}": values for key, values in parity.state(case).items()}
    torch.save({"model": state}, folder / "official.ckpt")
    weights = parity.converted(folder / "official.ckpt", name)
    matcher = fathom.create(name, weights=weights)
    net = matcher._net(192)
    seen = []
    handle = net.features.register_forward_hook(lambda _m, _x, out: seen.extend(out))
    with parity.first_outputs(layers_of(net)) as layers:
        found = parity.answer(matcher, case)
    handle.remove()
    described = [t for t in seen[:2] if t is not None]  # of the left view
    layers |= {f"feature_extraction#{i}": t for i, t in enumerate(described)}
    return case, net, found, layers


def test_names_and_shapes_there_and_back(run):
    case, net, _, _ = run
    parity.assert_same_tensors(case, net, unconvert)


def test_samples_of_every_recorded_layer(run):
    case, _, _, layers = run
    assert len(case.mids) == {"gwcnet_g": 6, "gwcnet_gc": 7}[case.name]
    for name in case.mids:
        assert parity.mid_error(case, name, layers[name]) < 1e-4, name


def test_samples_of_the_disparity(run):
    case, _, found, _ = run
    assert parity.case_error(case, "disp", found.values[None, None]) < 1e-4


def test_all_disparities(run, shared):
    case, _, found, _ = run
    assert parity.full_error(shared, case, "disp", found.values) < 1e-4
