"""`Mono` and its catalog entries: the whole path from `create` to the nouns, and every refusal."""

import shutil
from importlib.util import find_spec

import numpy as np
import pytest
import tiny_mono

import fathom
from fathom.catalog import ENTRIES, create, entry, parameters
from fathom.combine.mono import Mono, as_map, batches, held_of
from fathom.combine.prompted import PromptedMono, prompt_map
from fathom.core import Camera, Depth, InputError, RelativeDepth, SparseDepth, UsageError, View
from fathom.core.maps import Source
from fathom.core.mono import AnswersMany

pytestmark = pytest.mark.skipif(find_spec("transformers") is None, reason="no transformers")
RNG = np.random.default_rng(5)
IMAGES = [
    RNG.integers(0, 256, (60, 90, 3), dtype=np.uint8).cumsum(1).astype(np.uint8) for _ in "ab"
]
VIEWS = [View(image) for image in IMAGES]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("mono")
    kinds = ("depth_anything", "depth_anything_metric", "depth_pro", "prompt_depth_anything")
    return {kind: str(tiny_mono.saved(kind, home / kind)) for kind in kinds}


@pytest.fixture
def own_caches(tmp_path, monkeypatch):
    """Empty caches of fathom and of the hub."""
    monkeypatch.setenv("FATHOM_CACHE_DIR", str(tmp_path / "fathom"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_relative_and_metric_answers(folders):
    relative = create("depth-anything-v2-small", weights=folders["depth_anything"])
    assert isinstance(relative, AnswersMany)
    found = relative(VIEWS[0])
    assert isinstance(found, RelativeDepth) and found.ambiguity == "affine_inverse"
    assert found.shape == (60, 90) and set(np.unique(found.source)) == {Source.MONOCULAR}
    name = "depth-anything-v2-metric-indoor-small"
    metric = create(name, weights=folders["depth_anything_metric"])(VIEWS[0])
    assert isinstance(metric, Depth) and metric.extent is not None
    assert 0 < metric.extent[0] < metric.extent[1] < 20


def test_several_views_each_as_alone(folders):
    net = create("depth-anything-v2-small", weights=folders["depth_anything"], batch=2)
    views = [*VIEWS, View(IMAGES[0][:56, :80]), VIEWS[0]]
    together = net.answers(views)
    assert [a.map.shape for a in together] == [(60, 90), (60, 90), (56, 80), (60, 90)]
    for answer, view in zip(together, views, strict=True):
        assert answer.focal is None
        assert np.allclose(answer.map.values, net(view).values, atol=1e-5)
    assert net.answers([]) == []
    sizes = [len(some) for some in batches(views, 4)]
    assert sizes == [2, 1, 1] and [len(b) for b in batches(VIEWS, 1)] == [1, 1]


def test_sixteen_bits_are_stretched_to_eight(folders):
    net = create("depth-anything-v2-small", weights=folders["depth_anything"], size=28)
    deep = View(IMAGES[0].astype(np.uint16) * 257, stretch=(0, 65535))
    assert np.array_equal(net(deep).values, net(VIEWS[0]).values)


def test_depth_pros_focal_length_and_the_cameras(folders, monkeypatch):
    from fathom.nets.mono import pretrained

    seen = []

    def instead(net, images, **given):
        seen.append((net.family, given["focals"]))
        return [pretrained.Answer(np.full((60, 90), 2.0, np.float32), 77.0) for _ in images]

    monkeypatch.setattr(pretrained, "run_pretrained", instead)
    camera = Camera(90, 60, 80, 80, 44.5, 29.5)
    pro = create("depth-pro", weights=folders["depth_pro"])
    answers = pro.answers([VIEWS[0], View(IMAGES[1], camera)])
    assert [a.focal for a in answers] == [77.0, 77.0]
    assert seen == [("depth_pro", [None, 80])]


def test_what_is_no_depth_is_unknown():
    values = np.array([[1, 0, -1, np.inf, np.nan]], np.float32)
    depth = as_map(values, None)
    assert depth.known.tolist() == [[True, False, False, False, False]]
    relative = as_map(values, "affine_inverse")
    assert relative.known.tolist() == [[True, True, True, False, False]]
    assert relative.source.tolist() == [[3, 3, 3, 0, 0]]


def test_weights_of_another_kind_or_meaning(folders):
    with pytest.raises(InputError, match="answers in metres, and depth-anything-v2-small in rel"):
        create("depth-anything-v2-small", weights=folders["depth_anything_metric"])(VIEWS[0])
    with pytest.raises(InputError, match="depth_anything, not dpt"):
        create("dpt-large", weights=folders["depth_anything"])(VIEWS[0])


def test_weights_that_are_not_there(own_caches, tmp_path):
    with pytest.raises(InputError) as caught:
        create("depth-anything-v2-small")(VIEWS[0])
    assert "fathom weights add depth-anything-v2-small" in str(caught.value)
    assert "--weights FOLDER" in str(caught.value)
    with pytest.raises(InputError, match="fathom weights add someone/thing@" + COMMIT):
        create("dpt-large", weights=f"someone/thing@{COMMIT}")(VIEWS[0])
    with pytest.raises(InputError, match="expected a folder of a model, or a repository"):
        create("dpt-large", weights="no-such-folder")(VIEWS[0])
    with pytest.raises(InputError, match=r"has no config\.json"):
        create("dpt-large", weights=str(tmp_path))(VIEWS[0])
    pickled = tmp_path / "depth_anything_v2_vits.pth"
    pickled.write_bytes(b"x")
    with pytest.raises(InputError, match="run: fathom weights convert"):
        create("depth-anything-v2-small", weights=str(pickled))(VIEWS[0])


def test_the_hubs_cache_is_used_as_it_lies(folders, own_caches):
    """By the catalog's revision without being asked, by any other revision when asked."""
    chosen = entry("depth-anything-v2-small")
    assert chosen.state == "download" and chosen.hub is not None
    home = own_caches / f"models--{chosen.hub.repo.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(COMMIT)
    snapshot = shutil.copytree(folders["depth_anything"], home / "snapshots" / COMMIT)
    assert chosen.state == "download"  # another commit is there
    with pytest.raises(InputError, match=f"{COMMIT} is there"):
        create(chosen.name)(VIEWS[0])
    by_name = create(chosen.name, weights=chosen.hub.repo)(VIEWS[0])
    pinned = create(chosen.name, weights=f"{chosen.hub.repo}@{COMMIT}")(VIEWS[0])
    snapshot.rename(home / "snapshots" / chosen.hub.revision)
    assert chosen.state == "ready"
    alone = create(chosen.name)(VIEWS[0])
    assert np.array_equal(alone.values, by_name.values)
    assert np.array_equal(alone.values, pinned.values)


def test_a_pickle_that_changed_is_another_one(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"one")
    before = held_of("x", str(tmp_path), "someone/net")
    assert held_of("x", str(tmp_path), "someone/net") == before
    (tmp_path / "pytorch_model.bin").write_bytes(b"other")
    assert held_of("x", str(tmp_path), "someone/net") != before


def test_without_the_packages(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert entry("depth-pro").state == "install"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"precision": "int4"}, "unknown precision"),
        ({"precision": "fp16"}, "precision = 'fp16': is for a GPU"),
        ({"position": "other"}, "unknown position"),
        ({"batch": 0}, "batch = 0: is below 1"),
        ({"size": 0}, "size = 0: is no size"),
        ({"device": "tpu"}, "is no device"),
        ({"flip": True}, "unknown parameter"),
    ],
)
def test_parameters_out_of_range(given, problem, unchecked):
    with pytest.raises(UsageError, match=problem):
        create("depth-anything-v2-small", **given)


def test_every_entry_says_what_it_needs():
    mono = [e for e in ENTRIES if e.target.partition(":")[0].endswith((".mono", ".prompted"))]
    assert len(mono) == 25
    for e in mono:
        assert e.task == "mono" and e.hub is not None and e.hub.megabytes and e.side, e.name
        relative = e.name.startswith(("dpt", "depth-anything")) and "metric" not in e.name
        assert e.ambiguity == ("affine_inverse" if relative else None)
    nc = {e.name for e in mono if "NC" in e.licence}
    assert {"depth-anything-v2-base", "depth-anything-v2-large"} < nc
    assert "depth-anything-v2-small" not in nc
    assert "position" in parameters("depth-anything-small") and "flip" in parameters("zoedepth-nyu")
    assert "size" not in parameters("depth-pro") and "size" in parameters("dpt-beit-large-512")
    assert Mono().size is None and fathom.create("zoedepth-nyu").flip


class TestPrompted:
    def test_a_map_and_points(self, folders):
        net = create("prompt-depth-anything-small", weights=folders["prompt_depth_anything"])
        coarse = Depth(np.linspace(1, 3, 48, dtype=np.float32).reshape(6, 8))
        found = net(VIEWS[0], coarse)
        assert isinstance(found, Depth) and found.shape == (60, 90)
        pixels = np.array([[0, 0], [89, 59], [40, 30]], np.float32)
        points = SparseDepth(pixels, np.array([1, 3, 2], np.float32))
        assert net(VIEWS[0], points).shape == (60, 90)

    def test_without_one(self):
        with pytest.raises(UsageError, match="none was given"):
            PromptedMono()(VIEWS[0])

    def test_gaps_take_the_nearest(self):
        values = np.array([[1, np.nan], [np.nan, 4]], np.float32)
        assert set(np.unique(prompt_map(Depth(values), (9, 9)))) == {1, 4}
        flat = prompt_map(Depth(np.full((2, 2), 30, np.float32)), (9, 9))
        assert 0 < flat.max() - flat.min() < 1e-3
        with pytest.raises(InputError, match="holds no depth in this view"):
            prompt_map(Depth(np.full((2, 2), np.nan, np.float32)), (9, 9))
        outside = SparseDepth(np.array([[50, 2]], np.float32), np.array([1], np.float32))
        with pytest.raises(InputError, match="holds no depth"):
            prompt_map(outside, (9, 9))
        near = SparseDepth(np.array([[2, 3], [2, 3]], np.float32), np.array([5, 2], np.float32))
        assert prompt_map(near, (9, 9)).max() == pytest.approx(2, rel=1e-5)
