"""Marigold and DepthCrafter through the catalog, from folders of tiny random nets to the types."""

import shutil
from importlib import util

import numpy as np
import pytest

import fathom
from fathom import catalog
from fathom.combine import diffusion
from fathom.combine.diffusion import BASE, DepthCrafter, Marigold, agreement
from fathom.core import InputError, MissingExtraError, RelativeDepth, Source, UsageError, View
from fathom.core.mono import AnswersMany
from fathom.published.hub import Address

MARIGOLDS = ("marigold", "marigold-v1", "marigold-lcm", "marigold-e2e")
tiny = pytest.importorskip("tiny_diffusion")
with_nets = pytest.mark.skipif(
    any(util.find_spec(p) is None for p in ("torch", "diffusers", "transformers")),
    reason="needs the extra `diffusion`",
)


@pytest.fixture(scope="module")
def marigold(tmp_path_factory):
    return tiny.marigold_folder(tmp_path_factory.mktemp("marigold") / "tiny")


@pytest.fixture(scope="module")
def crafter(tmp_path_factory):
    return tiny.crafter_folders(tmp_path_factory.mktemp("crafter"))


def views(count, height=24, width=40):
    return [View(tiny.picture(height, width, seed)) for seed in range(count)]


@with_nets
def test_marigold_answers_with_depth_up_to_scale_and_shift(marigold):
    estimator = fathom.create("marigold", weights=str(marigold), seed=1)
    assert isinstance(estimator, AnswersMany)
    view = views(1)[0]
    found = estimator(view)
    assert isinstance(found, RelativeDepth)
    assert found.ambiguity == catalog.entry("marigold").ambiguity == "affine"
    assert found.shape == view.shape
    assert found.values.min() >= 0
    assert found.values.max() <= 1
    assert found.confidence is None
    assert (found.source == Source.MONOCULAR).all()
    assert not np.array_equal(found.values, fathom.create("marigold", weights=str(marigold))(view))


@with_nets
def test_an_ensemble_knows_where_it_agrees(marigold):
    three = fathom.create("marigold", weights=str(marigold), ensemble=3, batch=3)
    seen = [*views(1), *views(1, 20, 30)]
    found = [answer.map for answer in three.answers(seen)]
    assert [f.shape for f in found] == [(24, 40), (20, 30)]
    for one in found:
        assert one.confidence.min() >= 0
        assert one.confidence.max() <= 1
        assert one.confidence.std() > 0
    without = fathom.create("marigold", weights=str(marigold), ensemble=3, confidence=False)
    assert without(seen[0]).confidence is None
    assert three.answers([]) == []


@with_nets
def test_the_end_to_end_weights_need_no_seed(marigold, tmp_path):
    folder = str(tiny.as_end_to_end(marigold, tmp_path / "e2e"))
    seeded = [fathom.create("marigold-e2e", weights=folder, seed=s, size=32) for s in (0, 1)]
    first, second = (estimator(views(1)[0]).values for estimator in seeded)
    np.testing.assert_array_equal(first, second)


@with_nets
def test_a_clip_is_answered_in_one_unit(crafter):
    own, base = crafter
    estimator = fathom.create(
        "depthcrafter", weights=str(own), base=str(base), steps=1, window=3, overlap=1, size=64
    )
    assert catalog.entry("depthcrafter").clip
    told = []
    found = [a.map for a in estimator.answers(views(4), progress=lambda *p: told.append(p))]
    assert [f.shape for f in found] == [(24, 40)] * 4
    assert {f.ambiguity for f in found} == {"affine_inverse"}
    assert min(f.values.min() for f in found) >= 0
    assert max(f.values.max() for f in found) <= 1
    assert told[-1][0] == told[-1][1]
    alone = estimator(views(1)[0])
    np.testing.assert_array_equal(alone.values, estimator.answers(views(1))[0].map.values)


@with_nets
def test_one_folder_may_hold_all_parts(crafter, tmp_path):
    own, base = crafter
    folder = shutil.copytree(base, tmp_path / "whole")
    shutil.copytree(own, folder / "unet")
    shutil.copy(own / "config.json", folder)
    apart = DepthCrafter(weights=str(own), base=str(base), steps=1, size=64)
    together = DepthCrafter(weights=str(folder), steps=1, size=64)
    np.testing.assert_array_equal(apart(views(1)[0]).values, together(views(1)[0]).values)


@pytest.mark.parametrize("estimator", [Marigold(), DepthCrafter()])
def test_views_too_small_are_refused(estimator):
    for height, width in ((1, 1), (15, 200)):
        with pytest.raises(InputError, match=f"'{width}x{height}': is too small.*16x16"):
            estimator(View(np.zeros((height, width, 3), np.uint8)))


def test_a_clip_has_frames_of_one_size():
    with pytest.raises(InputError, match="clip = 0: holds no frames"):
        DepthCrafter().answers([])
    with pytest.raises(InputError, match=r"frame 2 = '30x20': differs .* expected 40x24"):
        DepthCrafter().answers([*views(2), *views(1, 20, 30)])


@pytest.mark.parametrize("package", ["torch", "diffusers", "transformers"])
def test_a_missing_package_names_the_extra(monkeypatch, package):
    monkeypatch.setattr(
        diffusion.util, "find_spec", lambda name: None if name == package else object()
    )
    for estimator in (Marigold(), DepthCrafter()):
        with pytest.raises(MissingExtraError, match=rf"{package} is not.*\[diffusion\]"):
            estimator(views(1)[0])


@with_nets
def test_weights_that_are_not_here_are_not_downloaded(crafter, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"not in the hub's cache.*fathom weights add marigold"):
        fathom.create("marigold")(views(1)[0])
    own = str(crafter[0])
    with pytest.raises(InputError, match=r"hf download .*img2vid-xt --revision 9e43.*'vae/\*'"):
        fathom.create("depthcrafter", weights=own)(views(1)[0])
    with pytest.raises(InputError, match="base = 'none': is no folder"):
        fathom.create("depthcrafter", weights=own, base="none")(views(1)[0])
    name = f"models--{BASE.repo.replace('/', '--')}"
    shutil.copytree(crafter[1], tmp_path / name / "snapshots" / BASE.revision)
    assert fathom.create("depthcrafter", weights=own, steps=1, size=64)(views(1)[0]).known.all()


@pytest.mark.parametrize(
    ("kind", "wrong", "message"),
    [
        (Marigold, {"ensemble": 2}, "no middle one; expected 1, or 3"),
        (Marigold, {"ensemble": 0}, "ensemble = 0"),
        (Marigold, {"steps": 0}, "steps = 0"),
        (Marigold, {"size": -8}, "size = -8"),
        (Marigold, {"batch": 0}, "batch = 0"),
        (Marigold, {"seed": -1}, "seed = -1"),
        (Marigold, {"threads": 0}, "threads = 0"),
        (Marigold, {"device": "tpu"}, "is no device"),
        (Marigold, {"precision": "fp16"}, "is for a GPU; expected fp32"),
        (Marigold, {"precision": "fp8"}, "did you mean|known: bf16"),
        (DepthCrafter, {"window": 10, "overlap": 10}, "overlap = 10.*0 to 9"),
        (DepthCrafter, {"chunk": 0}, "chunk = 0"),
        (DepthCrafter, {"size": 32}, "size = 32"),
        (DepthCrafter, {"memory_limit": 0}, "memory_limit = 0"),
        (DepthCrafter, {"steps": 0}, "steps = 0"),
    ],
)
def test_parameters_out_of_range_are_refused(kind, wrong, message, unchecked):
    with pytest.raises(UsageError, match=message):
        kind(**wrong)


def test_agreement_is_one_half_where_the_median_deviation_is_the_tolerance():
    spread = np.array([[0, 0.025, 0.05, 0.1, np.inf, np.nan]], np.float32)
    found = agreement(spread, near=0.05)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[1, 0.75, 0.5, 1 - 2**-0.5, 0, 0]], rtol=1e-6)
    # of draws from Laplace's law as many lie within the tolerance as is said
    drawn = np.random.default_rng(0).laplace(0, 0.03, 200_000)
    said = agreement(np.full((1, 1), np.median(np.abs(drawn)), np.float32))[0, 0]
    assert said == pytest.approx((np.abs(drawn) <= 0.05).mean(), abs=0.005)


@pytest.mark.parametrize("name", [*MARIGOLDS, "depthcrafter"])
def test_the_catalog_says_where_weights_are_and_hides_what_is_fixed(name):
    entry = catalog.entry(name)
    address = Address(entry.hub.repo, entry.hub.revision)
    assert len(address.revision) == 40
    assert fathom.create(name).hub == str(address)
    assert entry.extra == diffusion.EXTRA
    assert "weights" in entry.licence
    offered = set(catalog.parameters(name))
    assert not offered & {"model", "hub", "zeros"}
    if name in MARIGOLDS:
        assert ("ensemble" in offered) == ("steps" in offered) == (name != "marigold-e2e")
