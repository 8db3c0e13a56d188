"""AANet and AANet+ against runs of the authors' code: tensors one by one, layers, disparities.

Weights and images take the users' way: the authors' file is converted, `fathom.create` loads it,
and the estimator gets uint8 images.
"""

import pytest
import torch

import fathom
import parity
from fathom.nets.stereo.aanet import unconvert

torch.set_num_threads(1)
MODELS = {"aanet": "aanet", "aanet_plus": "aanet-plus"}
pytestmark = pytest.mark.slow


def layers_of(net):
    """Official name of an output -> our module and which of its outputs, of the recorded layers."""
    last = len(net.aggregate) - 1
    found = {f"aggregation#{i}": (head, 0) for i, head in enumerate(net.heads)}
    for i in range(3):
        found[f"fpn#{i}"] = (net.features, i)
        found[f"aggregation.fusions.0#{i}"] = (net.aggregate[0], i)
    for i in range(len(net.heads)):
        found[f"aggregation.fusions.{last}#{i}"] = (net.aggregate[last], i)
    if net.config.plus:
        return found | {"feature_extractor#0": (net.features.glass, 0)}
    return found | {f"feature_extractor#{i}": (net.features.stages[i], 0) for i in range(3)}


@pytest.fixture(scope="module", params=sorted(MODELS))
def run(request, tmp_path_factory):
    """The case, the net with the case's weights, the map that the estimator gives, and layers."""
    case = parity.case(request.param)
    name = MODELS[request.param]
    folder = tmp_path_factory.mktemp(name)
    torch.save({"state_dict": parity.state(case), "epoch": 1}, folder / "official.pth")
    weights = parity.converted(folder / "official.pth", name)
    matcher = fathom.create(name, weights=weights, confidence=False)
    net = matcher._net(192)
    volumes = []
    scored = net.scored
    net.scored = lambda v: scored(volumes.extend(v) or v)
    asked = layers_of(net) | {f"refinement.{i}#0": (r, 0) for i, r in enumerate(net.refine)}
    with parity.first_outputs({name: module for name, (module, _) in asked.items()}) as layers:
        found = parity.answer(matcher, case)
    layers = {name: layers[f"{name}#{i}"] for name, (_, i) in asked.items()}
    return case, net, found, layers | {f"cost_volume#{i}": v for i, v in enumerate(volumes)}


def test_names_and_shapes_there_and_back(run):
    case, net, _, _ = run
    parity.assert_same_tensors(case, net, unconvert)


def test_samples_of_every_recorded_layer(run):
    case, _, _, layers = run
    assert len(case.mids) == {"aanet": 20, "aanet_plus": 14}[case.name]
    for name, reference in case.mids.items():
        ours = layers[name].reshape(reference.shape)  # theirs have no channel in refinement
        assert parity.mid_error(case, name, ours) < 1e-4, name


def test_samples_of_the_disparities(run):
    case, _, found, layers = run
    assert parity.case_error(case, "disp", found.values[None, None]) < 1e-4
    half = "pyr1" if case.name == "aanet_plus" else "pyr3"  # in its own pixels
    assert parity.case_error(case, half, layers["refinement.0#0"]) < 1e-4


def test_all_disparities(run, shared):
    case, net, found, layers = run
    # the authors' own float32 is 2e-4 from their float64 with AANet+ (parity/README.md, section 4)
    bound = {"aanet": 1e-4, "aanet_plus": 4e-4}[case.name]
    assert parity.full_error(shared, case, "disp", found.values) < bound
    from fathom.layers.volume import soft_argmax

    for i in range(len(net.heads)):
        ours = soft_argmax(layers[f"aggregation#{i}"])[0]
        assert parity.full_error(shared, case, f"pyr{len(net.heads) - 1 - i}", ours) < 1e-4
