"""Monodepth2 against runs of the authors' code: tensors one by one, sigmoids, motion."""

import numpy as np
import pytest
import torch

import fathom
import parity
from fathom.combine.monodepth2 import Motion
from fathom.core import View
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


def official_files(case, folder):
    """The authors' files, each with the tensors of its part."""
    parts = {}
    for name, values in parity.state(case).items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = values
    extra = {"height": 192, "width": 640, "use_stereo": True}
    for part, tensors in parts.items():
        torch.save({**tensors, **(extra if part == "encoder" else {})}, folder / f"{part}.pth")
    return folder / "+".join(f"{part}.pth" for part in parts)


@pytest.mark.parametrize("name", sorted(DEPTHS))
def test_the_users_way(name, tmp_path, shared):
    """Two files become one, `fathom.create` loads it, the estimator gets a uint8 image."""
    case = parity.case(name)
    weights = parity.converted(official_files(case, tmp_path), "monodepth2")
    depth = fathom.create("monodepth2", weights=weights, size=case.size[0])(
        View(parity.images(case)[0])
    )
    assert depth.ambiguity == "scale"
    sigmoid = (1 / depth.values - 0.01) / (10 - 0.01)
    assert parity.case_error(case, "disp0", sigmoid[None, None]) < 1e-3
    assert parity.full_error(shared, case, "disp0", sigmoid) < 1e-3


@pytest.mark.parametrize("name", ["monodepth2_pose_r18", "monodepth2_posecnn"])
def test_the_motion_the_users_way(name, tmp_path):
    case = parity.case(name)
    file = official_files(case, tmp_path)
    if name == "monodepth2_posecnn":  # in one file, which bears the part's name itself
        file = tmp_path / "all.pth"
        torch.save(parity.state(case), file)
    weights = parity.converted(file, NETS_OF[name])
    views = [View(image) for image in parity.images(case)]
    found = Motion(weights=weights, size=case.size[::-1])(*views)
    turned, moved = (case.outputs[k].sample[0].ravel()[:3] for k in ("axisangle", "translation"))
    np.testing.assert_allclose(found[:3, 3], moved, rtol=1e-4, atol=1e-7)
    # of a small turn, the matrix is 1 + the cross product
    rotation = found[:3, :3]
    axis = [
        rotation[2, 1] - rotation[1, 2],
        rotation[0, 2] - rotation[2, 0],
        rotation[1, 0] - rotation[0, 1],
    ]
    angle = np.linalg.norm(turned)
    np.testing.assert_allclose(
        np.array(axis) / 2, turned * np.sin(angle) / angle, rtol=1e-4, atol=1e-7
    )
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert found[3].tolist() == [0, 0, 0, 1]


NETS_OF = {"monodepth2_pose_r18": "monodepth2-pose", "monodepth2_posecnn": "monodepth2-posecnn"}


def test_in_evaluation_the_first_alone():
    net = Monodepth2(
        Monodepth2Config(18, (1, 1, 1, 1), (8, 8, 16, 16), (8, 8, 8, 8, 8), classes=0)
    ).eval()
    with torch.no_grad():
        found = net(torch.rand(1, 3, 64, 96) * 255)
    assert [tuple(f.shape) for f in found] == [(1, 1, 64, 96)]
