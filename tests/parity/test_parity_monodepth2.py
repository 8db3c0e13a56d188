"""Monodepth2 against runs of the authors' code: tensors one by one, sigmoids, motion."""

import numpy as np
import pytest
import torch

import parity
from fathom.nets.mono.monodepth2 import (
    Monodepth2,
    Monodepth2Config,
    PoseCNN,
    PoseNet,
    convert,
    monodepth2,
    unconvert,
)

torch.set_num_threads(1)
DEPTHS = {"monodepth2_depth_r18": 18, "monodepth2_depth_r50": 50}
NETS = {
    **{name: (lambda d=depth: monodepth2(depth=d)) for name, depth in DEPTHS.items()},
    "monodepth2_pose_r18": PoseNet,
    "monodepth2_posecnn": PoseCNN,
}


@pytest.fixture(scope="module", params=sorted(NETS))
def loaded(request):
    case = parity.case(request.param)
    net = NETS[request.param]().eval()
    net.load_state_dict(convert(parity.state(case)), strict=True)
    return case, net


def outputs(case, net):
    left, right = parity.inputs(case)
    with torch.no_grad():
        if case.name in DEPTHS:
            return {f"disp{i}": d for i, d in enumerate(all_scales(net, left))}
        return dict(zip(("axisangle", "translation"), net(left, right), strict=True))


def all_scales(net, left):
    """The four sigmoids that training sees, with the statistics of evaluation."""
    net.training = True  # of this module alone: its normalisations stay as they are
    try:
        return net(left)
    finally:
        net.training = False


def test_names_and_shapes_there_and_back(loaded):
    case, net = loaded
    parity.assert_same_tensors(case, net, unconvert)


def test_outputs(loaded):
    case, net = loaded
    found = outputs(case, net)
    for name, seen in case.outputs.items():
        values = found[name]
        if case.name not in DEPTHS:
            # the authors tell one motion or two, of which the first counts
            ours = values[0].numpy()
            assert np.abs(ours - seen.sample[0]).max() < 1e-4 * np.abs(ours).max()
            continue
        assert parity.case_error(case, name, values) < 1e-4, name


def test_samples_of_every_recorded_layer(loaded):
    case, net = loaded
    layers = {"depth.decoder.0": net.up[0].before, "depth.decoder.9": net.up[4].after} if (
        case.name in DEPTHS
    ) else {}  # fmt: skip
    if case.name != "monodepth2_posecnn":
        prefix = "encoder.encoder" if case.name in DEPTHS else "pose_encoder.encoder"
        layers |= {f"{prefix}.{n}": getattr(net.encoder, n) for n in ("bn1", "layer1", "layer4")}
    with parity.first_outputs(layers) as caught:
        outputs(case, net)
    for name in case.mids:
        values = caught[name]
        if name.startswith("depth.decoder"):  # ours: before the ELU
            values = torch.nn.functional.elu(values)
        assert parity.mid_error(case, name, values) < 1e-4, name


def test_whole_sigmoids(loaded, shared):
    case, net = loaded
    if case.name not in DEPTHS:
        pytest.skip("three numbers: the sample is all of it")
    for name, values in outputs(case, net).items():
        assert parity.full_error(shared, case, name, values) < 1e-4, name


def test_in_evaluation_the_first_alone():
    net = Monodepth2(
        Monodepth2Config(18, (1, 1, 1, 1), (8, 8, 16, 16), (8, 8, 8, 8, 8), classes=0)
    ).eval()
    with torch.no_grad():
        found = net(torch.rand(1, 3, 64, 96) * 255)
    assert [tuple(f.shape) for f in found] == [(1, 1, 64, 96)]
