"""CoEx, with either stem, against runs of the authors' code: tensors, layers, disparities.

Weights and images take the users' way: the authors' file is converted, `fathom.create` loads it,
and the estimator gets uint8 images.
"""

import pytest
import torch
from torch.nn import functional

import fathom
import parity
from fathom.nets.stereo.coex import unconvert

torch.set_num_threads(1)
VARIANTS = {"coex": "plain-stem", "coex_timm065": "active-stem"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=sorted(VARIANTS))
def run(request, tmp_path_factory):
    """The case, the net with the case's weights, the map that the estimator gives, and layers."""
    case = parity.case(request.param)
    folder = tmp_path_factory.mktemp("coex")
    official = {f"stereo.{k}": v for k, v in parity.state(case).items()}  # as Lightning saves it
    torch.save({"state_dict": official, "epoch": 9}, folder / "official.ckpt")
    weights = parity.converted(folder / "official.ckpt", "coex")
    matcher = fathom.create("coex", weights=weights, variant=VARIANTS[request.param])
    net = matcher._net(192)
    matched = net.matched
    caught = {}
    modules = {
        "feature": net.backbone,
        "cost_agg": net.hourglass,
        "spx": net.superpixels,
    }

    def keep(left, right):
        # the authors make one more level and drop it
        volume = matched(left, right)
        caught["cost_volume#0"] = functional.pad(volume, (0, 0, 0, 0, 0, 1))
        return volume

    net.matched = keep
    with parity.first_outputs(modules) as layers:
        found = parity.answer(matcher, case)
    net.matched = matched
    return case, net, found, {**layers, **caught}


def test_names_and_shapes_there_and_back(run):
    case, net, _, _ = run
    parity.assert_same_tensors(case, net, unconvert)


def test_samples_of_every_recorded_layer(run):
    case, _, _, layers = run
    assert len(case.mids) == 7
    for name in case.mids:
        assert parity.mid_error(case, name, layers[name]) < 1e-4, name


def test_samples_of_the_disparity(run):
    case, _, found, _ = run
    assert parity.case_error(case, "disp", found.values[None, None]) < 1e-4


def test_all_disparities(run, shared):
    case, _, found, _ = run
    assert parity.full_error(shared, case, "disp", found.values) < 1e-4
