"""Fast-ACVNet and Fast-ACVNet+ against runs of the authors' code: tensors, layers, disparities.

Weights and images take the users' way: the authors' file is converted, `fathom.create` loads it,
and the estimator gets uint8 images. Both nets choose (24 disparities a pixel, then two), and a
choice that falls otherwise moves a pixel: were that so anywhere here, these bounds would not hold.
"""

import pytest
import torch
from torch.nn import functional

import fathom
import parity
from fathom.nets.stereo.fast_acvnet import neighbours, unconvert

torch.set_num_threads(1)
MODELS = {"fast_acvnet": "fast-acvnet", "fast_acvnet_plus": "fast-acvnet-plus"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=sorted(MODELS))
def run(request, tmp_path_factory):
    """The case, the net with the case's weights, the map that the estimator gives, and layers."""
    case = parity.case(request.param)
    name = MODELS[request.param]
    folder = tmp_path_factory.mktemp(name)
    wrapped = {f"module.{k}": v for k, v in parity.state(case).items()}
    torch.save({"model": wrapped, "epoch": 23}, folder / "official.ckpt")
    weights = parity.converted(folder / "official.ckpt", name)
    matcher = fathom.create(name, weights=weights)
    net = matcher._net(192)
    modules = {
        "backbone": net.backbone,
        "feature_up": net.ladder,
        "hourglass_att": net.attention.hourglass,
        "concat_stem": net.enter,
        "hourglass": net.hourglass,
        "spx": net.superpixels,
    }
    with parity.first_outputs(modules) as layers:
        found = parity.answer(matcher, case)
    # both views are one batch with us, and the backbone's half-size features are not theirs
    layers = {name: t[:1] for name, t in layers.items()}
    layers |= {f"feature#{i}": layers[f"backbone#{i + 1}"] for i in range(4)}
    if name == "fast-acvnet":
        full = functional.interpolate(layers["hourglass_att#0"], scale_factor=2.0, mode="trilinear")
        layers["propagation_prob#0"] = torch.stack(neighbours(full[:, 0]), dim=1)
    return case, net, found, layers


def test_names_and_shapes_there_and_back(run):
    case, net, _, _ = run
    parity.assert_same_tensors(case, net, unconvert)


def test_samples_of_every_recorded_layer(run):
    case, _, _, layers = run
    assert len(case.mids) == {"fast_acvnet": 13, "fast_acvnet_plus": 12}[case.name]
    for name in case.mids:
        assert parity.mid_error(case, name, layers[name]) < 1e-4, name


def test_samples_of_the_disparity(run):
    case, _, found, _ = run
    assert parity.case_error(case, "disp", found.values[None, None]) < 1e-4


def test_all_disparities(run, shared):
    case, _, found, _ = run
    apart, flipped = parity.full_spread(shared, case, "disp", found.values)
    assert apart < 1e-5 and flipped < 1e-3
