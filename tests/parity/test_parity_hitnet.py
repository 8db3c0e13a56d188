"""HITNet against runs of TinyHITNet: tensors one by one, layers, all hypotheses, disparities.

Weights and images take the users' way: the published file is converted, `fathom.create` loads it,
and the estimator gets uint8 images.
"""

import numpy as np
import pytest
import torch

import fathom
import parity
from fathom.layers.tiles import tile_costs
from fathom.nets.stereo.hitnet import unconvert

torch.set_num_threads(1)
MODELS = {
    "hitnet_sf": ("hitnet", 320),
    "hitnetxl_sf": ("hitnet-xl", 320),
    "hitnet_kitti": ("hitnet-kitti", 256),
}
pytestmark = pytest.mark.slow


def layers_of(net):
    """Published name -> our module: those that the reference recorded, and where its `init` and
    `scale` come from."""
    if net.config.levels == 1:
        found = {"init_layer_0": net.starts[0], "prop_layer_0": net.moves[0]}
        parts = {f"refine_l{i}": refine for i, refine in enumerate(net.refines)}
    else:
        found = {f"level.{4 - i}.init": start for i, start in enumerate(net.starts)}
        found |= {f"level.{4 - i}.prop": move for i, move in enumerate(net.moves)}
        parts = {f"refine.{i}": refine for i, refine in enumerate(net.refines)}
    return {"feature_extractor": net.features} | found | parts


@pytest.fixture(scope="module", params=sorted(MODELS))
def run(request, tmp_path_factory):
    """The case, the net with the case's weights, the map that the estimator gives, and layers."""
    case = parity.case(request.param)
    name, levels = MODELS[request.param]
    folder = tmp_path_factory.mktemp(name)
    state = {f"model.{key}": values for key, values in parity.state(case).items()}
    torch.save({"state_dict": state, "epoch": 3}, folder / "official.ckpt")
    weights = parity.converted(folder / "official.ckpt", name)
    matcher = fathom.create(name, weights=weights, confidence=False)
    net = matcher._net(levels)
    with parity.first_outputs(layers_of(net)) as layers:
        found = parity.answer(matcher, case)
    return case, net, found, layers


def chosen(layers, level):
    """The hypothesis that goes on from a level of the five."""
    if level == 0:
        return layers["level.0.prop#0"]
    new, old, sure, unsure = (layers[f"level.{level}.prop#{i}"] for i in range(4))
    return torch.where(sure > unsure, new, old)


def costs_of(net, layers, level):
    """Costs of all disparities at a level, as they are in training."""
    right = layers[f"right#{level}"]
    start = net.starts[level]
    with torch.no_grad():
        ours, theirs = (
            start.described(layers[f"feature_extractor#{level}"], 4),
            start.described(right, 1),
        )
        count = net.config.max_disparity >> level
        return tile_costs(ours, theirs, 0, count).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def seen(run):
    """Every layer that the reference recorded, under its name there."""
    case, net, _, layers = run
    right = parity.inputs(case)[1] / 127.5 - 1
    with torch.no_grad():
        layers |= {f"right#{i}": t for i, t in enumerate(net.features(right))}
    if net.config.levels == 1:
        return layers | {"init_layer_0#1": costs_of(net, layers, 0)}
    found = dict(layers)
    found["level.0.init#1"] = found["level.0#1"] = costs_of(net, layers, 4)
    found["level.4#1"] = costs_of(net, layers, 0)
    found["level.4#3"] = layers["level.4.prop#2"]
    for level in (0, 4):
        found[f"level.{level}#0"] = chosen(layers, level)
        found[f"level.{level}#2"] = layers[f"level.{level}.init#0"][:, :1]
    return found


def outputs_of(net, layers):
    """Our tensors for all `init`, `scale` and `disp` of the reference."""
    if net.config.levels == 1:
        names = ["prop_layer_0", "refine_l0", "refine_l1", "refine_l2"]
        tiles = [layers[f"{name}#0"] for name in names]
        starts = [layers["init_layer_0#0"]]
    else:
        tiles = [chosen(layers, level) for level in range(5)]
        tiles += [layers[f"refine.{i}#0"] for i in range(3)]
        starts = [layers[f"level.{i}.init#0"] for i in range(5)]
    out = {f"scale{i}": t[:, :1] for i, t in enumerate(tiles)}
    return out | {f"init{i}": t[:, :1] for i, t in enumerate(starts)} | {"disp": tiles[-1][:, :1]}


def test_names_and_shapes_there_and_back(run):
    case, net, _, _ = run
    parity.assert_same_tensors(case, net, unconvert)


def test_samples_of_every_recorded_layer(run, seen):
    case, _, _, _ = run
    assert len(case.mids) == {"hitnet_kitti": 17}.get(case.name, 10)
    for name in case.mids:
        assert parity.mid_error(case, name, seen[name]) < 1e-5, name


def test_samples_of_all_outputs(run):
    case, net, _, layers = run
    ours = outputs_of(net, layers)
    assert set(ours) == set(case.outputs)
    for name, values in ours.items():
        error = parity.case_error(case, name, values)
        assert error == 0 if name.startswith("init") else error < 1e-5, name


def test_samples_of_the_map(run):
    """Large values as they are, negative ones unknown."""
    case, _, found, _ = run
    reference = case.outputs["disp"]
    ours = parity.sample(found.values[None, None])
    negative = reference.sample < 0
    assert np.isnan(ours[negative]).all()
    error = np.abs(ours[~negative] - reference.sample[~negative]).max() / reference.std
    assert error < 1e-5


def test_all_outputs(run, shared):
    case, net, _, layers = run
    for name, values in outputs_of(net, layers).items():
        error = parity.full_error(shared, case, name, values)
        assert error == 0 if name.startswith("init") else error < 2e-5, name


def test_the_whole_map(run, shared):
    case, _, found, layers = run
    last = "refine.2#0" if case.name == "hitnet_kitti" else "refine_l2#0"
    values = layers[last][0, 0].numpy()
    assert (np.isnan(found.values) == (values < 0)).all()
    filled = np.where(np.isnan(found.values), values, found.values)
    assert parity.full_error(shared, case, "disp", filled) < 2e-5
