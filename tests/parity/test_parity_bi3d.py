"""Bi3D against runs of the authors' code: tensors one by one, layers, answers and disparities.

Weights and images take the users' way: the authors' file is converted, `fathom.create` loads it,
and the estimator gets uint8 images. All five nets have the same tensors where they have the same
names, so a plane that one of them has answered for this pair is not worked out again for the next
one: that would be most of the time.
"""

import numpy as np
import pytest
import torch

import fathom
import parity
from fathom.combine import bi3d as estimators
from fathom.combine.converted import file_of
from fathom.core import StereoPair, View
from fathom.layers.resample import to_size
from fathom.nets.stereo.bi3d import unconvert

torch.set_num_threads(1)
CASES = {  # case: name in the catalog, whose weights, parameters, layers that were recorded
    "bi3d_binary": ("bi3d-binary", "bi3d-binary", {}, 6),
    "bi3d_quantized": ("bi3d-quantized", "bi3d-binary", {"planes": "12,21,30,39,48"}, 6),
    "bi3d_selective": (
        "bi3d-selective",
        "bi3d-2d",
        {"min_disparity": 12, "max_disparity": 48},
        5,
    ),
    "bi3d_continuous2d": ("bi3d-2d", "bi3d-2d", {}, 5),
    "bi3d_continuous3d": ("bi3d", "bi3d", {}, 6),
}
CLOSE = 1e-4
pytestmark = pytest.mark.slow


class Remembered:
    """Answers planes as the net does, each of them once."""

    def __init__(self):
        self.known = {}

    def around(self, answers):
        """Has the net ask here first."""
        own = type(answers).forward

        def forward(left, right, planes):
            asked = planes[0]
            missing = [plane for plane in asked if plane not in self.known]
            if missing:
                found = own(answers, left, right, [missing])
                self.known |= dict(zip(missing, found.split(1, dim=1), strict=True))
            return torch.cat([self.known[plane] for plane in asked], dim=1)

        answers.forward = forward


@pytest.fixture(scope="module")
def remembered():
    return Remembered()


def layers_of(net):
    """Official name -> our module, of the layers that the reference recorded, and `answers`."""
    found = {
        "featnet.firstconv": net.answers.features.stem,
        "featnet": net.answers.features,
        "segnet.conv5_1": net.answers.classifier.deepen[4],
        "segnet": net.answers.classifier,
        "answers": net.answers,
    }
    if not hasattr(net, "correction"):
        return found | {"featnethr": net.describe, "refinenet": net.last}
    found["refinenet"] = net.correction
    return found if net.agreement is None else found | {"refinenet3d": net.agreement}


def net_of(matcher, model):
    """The net that the estimator will use."""
    if not model.startswith("bi3d-") or isinstance(matcher, fathom.combine.networks.Network):
        return matcher._net(192)
    limits = None if model == "bi3d-binary" else (matcher.min_disparity, matcher.max_disparity)
    return estimators._loaded(model, file_of(model, matcher.weights), matcher, limits)


@pytest.fixture(scope="module")
def weights_of(tmp_path_factory):
    """A model and a case of it -> the converted file; cases of one model have the same tensors."""
    made = {}

    def weights(model, case):
        if model not in made:
            file = tmp_path_factory.mktemp(model) / "official.pth.tar"
            state = {f"module.{k}": v for k, v in parity.state(case).items()}  # as DataParallel
            torch.save({"state_dict": state}, file)
            made[model] = parity.converted(file, model)
            file.unlink()  # 146 MB for each of the three
        return made[model]

    return weights


@pytest.fixture(scope="module", params=CASES)
def run(request, remembered, weights_of):
    """The case, the net with the case's weights, what the estimator gives, layers and outputs."""
    case = parity.case(request.param)
    name, model, parameters, _ = CASES[request.param]
    matcher = fathom.create(name, weights=weights_of(model, case), **parameters)
    net = net_of(matcher, model)
    remembered.around(net.answers)
    pair = StereoPair(*map(View, parity.images(case)))
    asked = {
        "bi3d-binary": lambda p: matcher.plane(p, 12),
        "bi3d-selective": getattr(matcher, "select", None),
    }.get(name, getattr(matcher, "quantized", matcher))
    with parity.first_outputs(layers_of(net)) as layers:
        found = asked(pair)
    estimators._net.cache_clear()
    return case, net, found, layers, outputs_of(case, net, found, layers)


def outputs_of(case, net, found, layers):
    """What the authors' code gave, by their names; a list of planes is cut to its middle one."""
    answers = layers["answers#0"]
    size = case.size
    if case.name in ("bi3d_binary", "bi3d_quantized"):
        planes = (found,) if case.name == "bi3d_binary" else found.planes
        out = {f"seg_{plane.disparity:.0f}": plane.probability for plane in planes}
        for i, plane in enumerate(planes):
            low = to_size(answers[:, i : i + 1].sigmoid(), size)
            out[f"seg_low_{plane.disparity:.0f}"] = low
        if case.name == "bi3d_quantized":
            out["quant_disp"] = found.to_disparity().values
        return out
    normalized = layers["refinenet#0"]
    first, last = net.config.min_disparity, net.config.max_disparity
    disparity = normalized * net.config.levels + (first - 0.5)
    out = {"disp_normalized": normalized, "disp": disparity.clamp(first - 0.5, last + 0.5)}
    middle = len(net.config.planes) // 2
    out["seg"] = to_size(answers[:, middle : middle + 1], size).sigmoid()
    if net.agreement is not None:
        agreed = layers["refinenet3d#0"][:, 0]
        out["seg_refined"] = to_size(agreed[:, middle - 1 : middle], size).sigmoid()
        both = torch.cat([answers[:, :1], agreed], dim=1)
        noisy = net.read(both, torch.zeros(1, 3, *size)).uncorrected
        out["disp_noisy"] = (noisy + 0.5 - first) / net.config.levels
    return out


def error(seen, values):
    """Of a sample, whatever the shape was."""
    ours = parity.sample(values).astype(np.float64)
    return float(np.abs(ours - seen.sample).max() / seen.std)


def test_names_and_shapes_there_and_back(run):
    case, net, *_ = run
    parity.assert_same_tensors(case, net, unconvert)


def test_samples_of_every_recorded_layer(run):
    case, _, _, layers, _ = run
    assert len(case.mids) == CASES[case.name][3]
    for name, seen in case.mids.items():
        if name.startswith("segnet") and (
            name not in layers or case.name in ("bi3d_quantized", "bi3d_selective")
        ):
            continue  # this case's first plane was another one's
        values = layers[name]
        if name == "segnet.conv5_1#0":
            values = torch.nn.functional.leaky_relu(values, 0.1)
        assert error(seen, values) < CLOSE, name


def test_samples_of_all_outputs(run):
    case, *_, found = run
    assert set(found) == set(case.outputs)
    for name, seen in case.outputs.items():
        least = CLOSE if name not in ("disp", "quant_disp") else 1e-3
        assert error(seen, found[name]) < least, name


def test_whole_outputs(run, shared):
    case, *_, found = run
    for name, values in found.items():
        if name in ("seg", "seg_refined"):
            continue  # too large to be stored
        if name == "quant_disp":  # an argmax: single pixels may fall to the other side
            with np.load(shared / "parity" / "bi3d_quantized.npz") as file:
                assert (file["out/quant_disp"][0, 0] == values).mean() > 0.9999
            continue
        least = CLOSE if name != "disp" else 1e-3
        assert parity.full_error(shared, case, name, values) < least, name


def test_what_the_user_gets_of_it(run):
    case, _, found, _, outputs = run
    if case.name in ("bi3d_binary", "bi3d_quantized"):
        return  # compared above
    disparity = outputs["disp"][0, 0].numpy()
    if case.name == "bi3d_selective":
        given, inside = found.disparity.values, found.disparity.known
        assert inside.any() and found.nearer.any() and found.farther.any()
        assert (inside ^ found.nearer ^ found.farther).all()
    else:
        given, inside = found.values, disparity >= 0
    np.testing.assert_allclose(given[inside], disparity[inside], atol=1e-4)
