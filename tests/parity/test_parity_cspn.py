"""CSPN's completion net against a run of the authors' code: tensors, layers, depth.

The image takes the users' way: the estimator gets a uint8 image and depths at pixels. The net has
256 million weights, a gigabyte, so they are put into it once, and those that no answer depends on
stay 0; how files of them are converted and loaded is shown with narrow nets
(tests/nets/test_cspn.py, tests/combine/test_propagate_maps.py).
"""

import numpy as np
import pytest
import torch

import fathom
import parity
from fathom.combine import propagate
from fathom.core import SparseDepth, View
from fathom.nets.mono.cspn import convert, cspn, unconvert

torch.set_num_threads(1)
pytestmark = pytest.mark.slow
HEIGHT, WIDTH = 228, 304
IDLE = ("conv3.", "up_proj_layer")
"""Official names of what does not run begin with these."""


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


def filled(case):
    """The official tensors; those of the decoder that does not run take no memory."""
    state = {}
    for e in case.keys:
        if e.key.startswith(IDLE):
            state[e.key] = torch.zeros((), dtype=getattr(torch, e.dtype)).expand(e.shape)
        else:
            state[e.key] = torch.from_numpy(np.asarray(parity.value(e.key, e.shape, case.gain)))
    return state


@pytest.fixture(scope="module")
def run():
    """The case, the net, the case's tensors, the depth that the estimator gives, and layers."""
    case = parity.case("cspn_resnet50_nyu")
    official = filled(case)
    with torch.device("meta"):
        net = cspn()
    net.load_state_dict(convert(official), strict=True, assign=True)
    net.eval()
    image = View(parity.stereo_pair(HEIGHT, WIDTH)[0])
    caught = {}
    described = net.described

    def seen(*given):
        first, guidance = described(*given)
        caught["gud_up_proj_layer5#0"], caught["gud_up_proj_layer6#0"] = first, guidance
        return first, guidance

    net.described = seen
    net.flow.register_forward_hook(lambda m, given, out: caught.update(out=out.clone()))
    with pytest.MonkeyPatch.context() as patch, parity.first_outputs(layers_of(net)) as layers:
        patch.setattr(propagate, "file_of", lambda method, weights: (weights, None))
        patch.setattr(propagate, "_loaded", lambda *settings: net)
        found = fathom.create("cspn", weights="the case's", reinsert=False)(image, measured())
    return case, net, official, caught.pop("out"), found, layers | caught


def test_names_and_shapes_there_and_back(run):
    case, net, official, *_ = run
    back = unconvert(net.state_dict())
    assert {k: tuple(v.shape) for k, v in back.items()} == {e.key: e.shape for e in case.keys}
    assert all(back[k].data_ptr() == official[k].data_ptr() for k in official)
    assert sum(p.numel() for p in net.parameters()) == case.params
    idle = convert({k: v for k, v in official.items() if k.startswith(IDLE)})
    assert all(name.startswith("unused.") for name in idle)


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
