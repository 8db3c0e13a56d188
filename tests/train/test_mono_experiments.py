"""The experiments with one image are what they say, small and full."""

import sys

from net_checks import experiment

from fathom.train.pseudo import Strong


def module(name):
    return sys.modules[f"fathom_experiment_{name}"]


def test_depth_anything_small_and_full():
    for name in ("depth_anything_v1", "depth_anything_v2"):
        small = experiment(name)
        assert small.task.strong == Strong(1.0, 0.5, 0.5)
        told = ("folder", [1], [2]) if name.endswith("1") else ("folder", [1])
        full = module(name).full(*told)
        assert full.rates == (("net.backbone.", 0.1),) and full.learning_rate == 5e-5
        assert (full.crop_width, full.divisor) == (518, 14)
        assert full.loss.alignment == 1 and full.loss.margin == 0.85
        teacher = module(name).full_teacher("folder", [1])
        assert teacher.task.strong is None and not teacher.loss.alignment and teacher.steps < 4e5
        assert teacher.loss.gradients == full.loss.gradients and teacher.data() == [1]
    assert (full.loss.gradients, full.loss.drop) == (2, 0.1)
    rows = {**module("depth_anything_v1").ROWS, **module("depth_anything_v1").ALIGNED}
    parts = [(e.task.strong, e.loss.alignment) for _, e in rows.values()]
    assert len(set(parts[1:-1])) == len(parts) - 2  # each row switches one part


def test_mixed_sets_and_two_stages():
    mixed = experiment("midas_mixed")
    assert mixed.loss.kind == "trimmed" and len(module("midas_mixed").ROWS) == 4
    zoe = experiment("zoedepth_two_stages")
    assert zoe.task.target == "depth" and not zoe.validation[0].fitted
    assert module("zoedepth_two_stages").full().learning_rate == 1.61e-4
    assert experiment("gwcnet_dinov2").net.args[0].frozen
    assert experiment("from_photos").steps > 0
