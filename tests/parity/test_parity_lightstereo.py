"""LightStereo S and M against runs of the authors' code: tensors, layers, disparities.

Weights and images take the users' way: the authors' file is converted, `fathom.create` loads it,
and the estimator gets uint8 images. Instance normalisation divides by small spreads here: the same
code in float64 differs from itself by 5e-3 (S) and 1e-1 (M) of the spread at single pixels, so
disparities are held to their whole, and layers to what they attain.
"""

import numpy as np
import pytest
import torch

import fathom
import parity
from fathom.nets.stereo.lightstereo import unconvert

torch.set_num_threads(1)
MODELS = {"lightstereo_s": "lightstereo", "lightstereo_m": "lightstereo-m"}
pytestmark = pytest.mark.slow
LOOSE = {"lightstereo_s": 1e-2, "lightstereo_m": 2e-1}
"""Largest difference of a sample of the disparity over its spread, and of the volume's."""
FLIPPED = {"lightstereo_s": 0.05, "lightstereo_m": 0.4}
"""Share of pixels that are off by more than 1e-3 of the spread."""


@pytest.fixture(scope="module", params=sorted(MODELS))
def run(request, tmp_path_factory):
    """The case, the net with the case's weights, the map that the estimator gives, and layers."""
    case = parity.case(request.param)
    name = MODELS[request.param]
    folder = tmp_path_factory.mktemp(name)
    torch.save({"model_state": parity.state(case), "epoch": 89}, folder / "official.pth")
    weights = parity.converted(folder / "official.pth", name)
    matcher = fathom.create(name, weights=weights)
    net = matcher._net(192)
    modules = {
        "backbone.out_conv": net.features.last,
        "backbone": net.features,
        "cost_agg": net.aggregation,
        "refine_3": net.superpixels,
    }
    with parity.first_outputs(modules) as layers:
        found = parity.answer(matcher, case)
    # both views are one batch with us; the first call of the authors is the left one's
    layers = {name: t[:1] for name, t in layers.items()}
    return case, net, found, layers


def test_names_and_shapes_there_and_back(run):
    case, net, _, _ = run
    parity.assert_same_tensors(case, net, unconvert)


def test_samples_of_every_recorded_layer(run):
    case, _, _, layers = run
    assert len(case.mids) == 7
    for name in case.mids:
        most = LOOSE[case.name] if name == "cost_agg#0" else 1e-4
        assert parity.mid_error(case, name, layers[name]) < most, name


def test_samples_of_the_disparity(run):
    case, _, found, _ = run
    seen = case.outputs["disp"]
    off = parity.sample(found.values[None, None]).astype(np.float64) - seen.sample
    assert np.linalg.norm(off) / np.linalg.norm(seen.sample) < 5e-3
    assert np.abs(off).max() / seen.std < LOOSE[case.name]
    assert found.values.shape == seen.shape[-2:]


def test_all_disparities(run, shared):
    case, _, found, _ = run
    apart, flipped = parity.full_spread(shared, case, "disp", found.values)
    assert apart < 5e-3 and flipped < FLIPPED[case.name]
