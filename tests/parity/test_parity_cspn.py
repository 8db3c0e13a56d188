"""CSPN's completion net against a run of the authors' code: tensors, layers, depth.

Weights and image take the users' way: the authors' file (with what a forward adds to it) is
converted, `fathom.create` loads it, and the estimator gets a uint8 image and depths at pixels. The
net has 256 million weights, so all of this happens once.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

import fathom
import parity
from fathom.combine import propagate
from fathom.core import SparseDepth, View
from fathom.nets.mono.cspn import IGNORED, unconvert

torch.set_num_threads(1)
pytestmark = pytest.mark.slow
HEIGHT, WIDTH = 228, 304


def layers_of(net):
    """Official name -> our module, of the layers that the reference recorded."""
    found = {"layer1": net.layer1, "layer4": net.layer4, "bn2": net.bn2}
    return found | {f"gud_up_proj_layer{i + 1}": net.up[i] for i in (0, 1, 3)}


def measured():
    """About 500 depths up to 10 m, as the reference's words say."""
    rng = np.random.Generator(np.random.PCG64(1))
    depth = rng.random((HEIGHT, WIDTH)) * 10
    y, x = np.nonzero(rng.random((HEIGHT, WIDTH)) < 500 / (HEIGHT * WIDTH))
    pixels = np.stack([x, y], axis=1)
    return SparseDepth(pixels.astype(np.float32), depth[y, x].astype(np.float32))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The case, the net, the case's tensors, the depth that the estimator gives, and layers."""
    case = parity.case("cspn_resnet50_nyu")
    folder = tmp_path_factory.mktemp("cspn")
    official = parity.state(case)
    saved = official | {IGNORED[0]: torch.ones(1, 8, 1, 1, 1)}
    torch.save({f"module.{k}": v for k, v in saved.items()}, folder / "best_model.pth")
    weights = parity.converted(folder / "best_model.pth", "cspn")
    (folder / "best_model.pth").unlink()
    refine = fathom.create("cspn", weights=weights, reinsert=False)
    net = propagate._loaded("cspn", *propagate.file_of("cspn", str(weights)), "cpu", False, False)
    image = View(parity.stereo_pair(HEIGHT, WIDTH)[0])
    caught = {}
    described = net.described

    def seen(*given):
        first, guidance = described(*given)
        caught["gud_up_proj_layer5#0"], caught["gud_up_proj_layer6#0"] = first, guidance
        return first, guidance

    net.described = seen
    with parity.first_outputs(layers_of(net)) as layers:
        flowing = {}
        net.flow.register_forward_hook(lambda m, given, out: flowing.update(out=out.clone()))
        found = refine(image, measured())
    propagate._loaded.cache_clear()
    Path(weights).unlink()
    return case, net, official, flowing["out"], found, layers | caught


def test_names_and_shapes_there_and_back(run):
    case, net, official, *_ = run
    back = unconvert(net.state_dict())
    assert {k: tuple(v.shape) for k, v in back.items()} == {e.key: e.shape for e in case.keys}
    assert all(torch.equal(back[k], official[k]) for k in official)
    assert sum(p.numel() for p in net.parameters()) == case.params


def test_samples_of_every_recorded_layer(run):
    case, *_, layers = run
    assert len(case.mids) == 8
    for name in case.mids:
        assert parity.mid_error(case, name, layers[name]) < 1e-4, name


def test_samples_of_the_depth(run):
    case, _, _, depth, *_ = run
    assert parity.case_error(case, "depth", depth) < 1e-4


def test_all_depths(run, shared):
    case, _, _, depth, *_ = run
    assert parity.full_error(shared, case, "depth", depth) < 1e-4


def test_what_the_user_gets_is_that_and_not_positive_depths_are_unknown(run):
    *_, depth, found, _ = run
    wanted = np.where(depth[0, 0].numpy() > 0, depth[0, 0].numpy(), np.float32(np.nan))
    np.testing.assert_array_equal(found.values, wanted)
    assert not found.known.all()
