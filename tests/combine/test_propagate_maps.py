"""Refining maps: what is kept, what comes of the rest, hints, both kinds, weights, bad input."""

import numpy as np
import pytest

import fathom
from fathom.combine import propagate
from fathom.combine.propagate import Propagated, Refiner
from fathom.core import (
    Depth,
    Disparity,
    InputError,
    Source,
    SparseDepth,
    StereoPair,
    UsageError,
    View,
)

METHODS = ("cspn", "spn")
methods = pytest.mark.parametrize("method", METHODS)


def scene(height=40, width=48, seed=0):
    """An image of three surfaces by colour, their disparities, and 4 % of them as a sparse map."""
    rng = np.random.default_rng(seed)
    which = np.zeros((height, width), int)
    which[8:30, 10:26] = 1
    which[20:36, 30:44] = 2
    colours = np.array([[40, 60, 80], [200, 40, 40], [60, 180, 220]])
    image = (colours[which] + rng.integers(-4, 5, (height, width, 3))).astype(np.uint8)
    truth = np.array([4.0, 20.0, 11.0], np.float32)[which]
    sparse = np.where(rng.random(which.shape) < 0.04, truth, np.float32(np.nan))
    return View(image), truth, sparse


def at_points(pixels, depth):
    return SparseDepth(np.asarray(pixels, np.float32), np.asarray(depth, np.float32))


@methods
def test_a_sparse_map_becomes_dense_along_edges(method):
    view, truth, sparse = scene()
    found = fathom.create(method)(view, Disparity(sparse))
    known = ~np.isnan(sparse)
    assert np.array_equal(found.values[known], sparse[known])
    assert found.known.all() and np.array_equal(found.measured, known)
    assert set(found.source[~known]) == {Source.FILLED} and found.confidence is None
    assert (np.abs(found.values - truth) > 1).mean() < 0.05
    nearest = np.nanmean(sparse)
    assert np.abs(found.values - truth).mean() < 0.2 * np.abs(nearest - truth).mean()


@methods
def test_depth_at_single_pixels_becomes_a_depth(method):
    view, truth, sparse = scene()
    y, x = np.nonzero(~np.isnan(sparse))
    points = at_points(np.stack([x, y], axis=1) + 0.3, 50 / sparse[y, x])
    found = Refiner(method=method)(view, points)
    assert isinstance(found, Depth)
    assert np.array_equal(found.values[y, x], points.depth)
    assert set(found.source[y, x]) == {Source.SPARSE}
    assert (np.abs(50 / found.values - truth) > 1).mean() < 0.05
    # of two depths at one pixel the nearer one counts
    both = np.concatenate([points.pixels] * 2), np.concatenate([2 * points.depth, points.depth])
    twice = at_points(*both)
    assert np.array_equal(Refiner(method=method)(view, twice).values, found.values)


@methods
def test_depth_is_spread_as_its_inverse(method):
    """A plane is linear in disparity; a map and its inverse give one answer."""
    view, _, sparse = scene()
    disparity = Refiner(method=method)(view, Disparity(sparse))
    depth = Refiner(method=method)(view, Depth(60 / sparse))
    np.testing.assert_allclose(60 / depth.values, disparity.values, rtol=1e-4)


@methods
def test_hints_go_before_the_map_and_stay(method):
    view, _, sparse = scene()
    hints = np.full_like(sparse, np.nan)
    at = np.flatnonzero(~np.isnan(sparse))[:5]
    hints.flat[at] = 33.0
    hints[0, 0] = 17.0
    found = Refiner(method=method)(view, Disparity(sparse), Disparity(hints))
    known = ~np.isnan(hints)
    assert np.array_equal(found.values[known], hints[known])
    assert set(found.source[known]) == {Source.SPARSE}
    others = ~np.isnan(sparse) & ~known
    assert np.array_equal(found.values[others], sparse[others])


@methods
def test_only_what_is_sure_and_measured_is_kept(method):
    view, truth, _ = scene()
    confidence = np.full(truth.shape, 0.9, np.float32)
    source = np.full(truth.shape, Source.MATCHED, np.uint8)
    wrong = truth.copy()
    wrong[15:18, 15:18], confidence[15:18, 15:18] = 30.0, 0.2
    wrong[2:5, 2:5], source[2:5, 2:5] = 9.0, Source.FILLED
    given = Disparity(wrong, confidence, source, (0, 40))
    found = Refiner(method=method)(view, given)
    again = np.zeros(truth.shape, bool)
    again[15:18, 15:18] = again[2:5, 2:5] = True
    assert np.array_equal(found.values[~again], truth[~again])
    assert np.abs(found.values - truth)[15:18, 15:18].max() < 1.5
    assert np.array_equal(found.source == Source.FILLED, again)
    assert (found.confidence[~again] == np.float32(0.9)).all()
    assert (found.confidence[again] < 0.95).all() and found.range == (0, 40)
    low = Refiner(method=method, sure=0.1)(view, given)
    assert np.array_equal(low.values[15:18, 15:18], wrong[15:18, 15:18])


def test_the_same_for_any_number_of_threads():
    view, _, sparse = scene(150, 30)
    one, two = (Refiner(threads=n)(view, Disparity(sparse)).values for n in (1, 2))
    assert np.array_equal(one, two)


def test_around_a_matcher():
    view, truth, sparse = scene()
    pair = StereoPair(view, view)
    found = Propagated(lambda pair: Disparity(sparse), Refiner(method="spn"))(pair)
    assert np.array_equal(found.values, Refiner(method="spn")(view, Disparity(sparse)).values)
    assert Propagated(lambda pair: Disparity(truth))(pair).known.all()


@methods
def test_a_pair_alone_is_refused(method):
    view, _, _ = scene()
    with pytest.raises(UsageError, match=rf"{method} matches no pairs.*fathom refine"):
        fathom.create(method)(StereoPair(view, view))
    with pytest.raises(UsageError, match="wants an image and a map"):
        fathom.create(method)(view)


def test_maps_that_do_not_fit():
    view, truth, _ = scene()
    refine = Refiner()
    with pytest.raises(InputError, match=r"map.*is not of the image's size"):
        refine(view, Disparity(truth[1:]))
    with pytest.raises(InputError, match="of another kind than the map"):
        refine(view, Disparity(truth), Depth(truth))
    with pytest.raises(InputError, match=r"nothing in the map is known for sure.*give hints"):
        refine(view, Disparity(np.full_like(truth, np.nan)))
    with pytest.raises(InputError, match="nothing in the map is known for sure"):
        refine(view, Disparity(truth, np.full_like(truth, 0.1)))
    with pytest.raises(InputError, match=r"pixel = '\(48, 2\)'.*lies outside the image.*0\.\.47"):
        refine(view, at_points([[1, 1], [48, 2]], [3, 3]))
    with pytest.raises(InputError, match="lies outside the image"):
        refine(view, at_points([[1, -0.6]], [3]))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"method": "cnps"}, "unknown method"),
        ({"sure": 1.1}, r"sure = 1\.1"),
        ({"steps": 0}, "steps = 0"),
        ({"colour": 0}, "colour = 0"),
        ({"threads": 0}, "threads = 0"),
        ({"device": "gpu"}, "is no device"),
        ({"device": "cuda"}, "of use with weights only"),
        ({"positive": True}, "positive = True.*of use with weights only"),
        ({"reinsert": False}, "reinsert = False.*of use with weights only"),
        ({"method": "spn", "positive": True, "weights": "x"}, "is of cspn alone"),
    ],
)
def test_parameters_that_cannot_be(wrong, said, unchecked):
    with pytest.raises(UsageError, match=said):
        Refiner(**wrong)


def test_weights_that_are_not_there():
    pytest.importorskip("torch")
    view, truth, _ = scene()
    with pytest.raises(InputError, match="nowhere"):
        Refiner(weights="nowhere.safetensors")(view, Depth(truth))


@pytest.fixture
def net_file(tmp_path, monkeypatch):
    """A file of weights of a narrow net, which stands for the published one."""
    torch = pytest.importorskip("torch")
    from fathom.nets.mono import cspn as module
    from fathom.published.store import write_weights

    made = []

    def build(kind, **settings):
        torch.manual_seed(1)
        made.append(settings)
        return module.CSPN(module.CSPNConfig(kind, width=4, blocks=(1, 1, 1, 1), **settings))

    monkeypatch.setattr(module, "cspn", lambda **s: build("cspn", **s))
    monkeypatch.setattr(module, "spn", lambda **s: build("spn", **s))
    propagate._loaded.cache_clear()

    def write(kind, **settings):
        net = build(kind)
        arrays = {k: v.numpy() for k, v in net.state_dict().items()}
        path = tmp_path / f"{kind}.safetensors"
        write_weights(path, arrays, {"model": kind, "settings": settings})
        return net.eval(), path

    yield write, made
    propagate._loaded.cache_clear()


@methods
@pytest.mark.parametrize("size", [(40, 48), (20, 24)])
def test_by_a_net(method, size, net_file):
    """The net's own answer at all other pixels; small images are extended to what it takes."""
    import torch

    write, made = net_file
    net, file = write(method)
    view, _, sparse = scene(*size)
    given = Depth(sparse)
    found = fathom.create(method, weights=str(file))(view, given)
    known = ~np.isnan(sparse)
    assert np.array_equal(found.values[known], sparse[known])
    assert made[-1]["reinsert"]
    plain = fathom.create(method, weights=str(file), reinsert=False)(view, given)
    assert not made[-1]["reinsert"]
    if size == (40, 48):
        image = torch.from_numpy(view.image.transpose(2, 0, 1).astype(np.float32))[None]
        hints = torch.from_numpy(np.nan_to_num(sparse))[None, None]
        with torch.no_grad():
            wanted = net(image, hints)[0, 0].numpy()
        np.testing.assert_allclose(
            plain.values, np.where(wanted > 0, wanted, np.nan), rtol=1e-4, atol=1e-5
        )
        disparity = fathom.create(method, weights=str(file), reinsert=False)(
            view, Disparity(sparse)
        )
        np.testing.assert_allclose(disparity.values, wanted, rtol=1e-4, atol=1e-5)


def test_positive_affinities_by_word_or_by_the_file(net_file):
    write, made = net_file
    view, _, sparse = scene()
    _, file = write("cspn", positive=True)
    Refiner(weights=str(file))(view, Depth(sparse))
    assert made[-1]["positive"]
    _, file = write("cspn")
    Refiner(weights=str(file))(view, Depth(sparse))
    assert not made[-1]["positive"]
    Refiner(weights=str(file), positive=True)(view, Depth(sparse))
    assert made[-1]["positive"]


def test_weights_of_the_other_method_are_refused(net_file):
    write, _ = net_file
    view, _, sparse = scene()
    _, file = write("spn")
    with pytest.raises(InputError, match=r"holds weights of spn, not of cspn"):
        Refiner(weights=str(file))(view, Depth(sparse))
