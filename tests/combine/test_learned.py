"""What is around a shipped net: ranges, sizes, strips, sources; and what can be wrong with a file.

Most nets here hand one of their inputs through, so that what comes out is known beforehand.
"""

import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fathom
from fathom import catalog, runtime, weights
from fathom.classical.channels import pair_channels
from fathom.classical.sgm import SGM
from fathom.combine import engines
from fathom.combine import strips as strips_module
from fathom.combine.engines import Later
from fathom.combine.enlarge import enlarged, laplace_scaled
from fathom.combine.learned import Learned
from fathom.combine.search import search_of
from fathom.combine.strips import OVERLAP, run_strips, strips_of
from fathom.core import (
    FathomError,
    InputError,
    MissingExtraError,
    ResourceError,
    Source,
    StereoPair,
    UsageError,
    View,
)

stand_in = pytest.importorskip("stand_in_models", reason="needs onnx")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Hands each distinct stand-in out once: one file, one compilation."""
    folder, made = tmp_path_factory.mktemp("models"), {}

    def model(**how):
        key = repr(sorted(how.items()))
        if key not in made:
            made[key] = str(stand_in.write_model(folder / f"{len(made)}.onnx", **how))
        return made[key]

    return model


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """An installation with stand-ins for both shipped models."""
    monkeypatch.setattr(weights, "HOME", tmp_path)
    for name in weights.NAMES:
        stand_in.ship(tmp_path, name)
    return tmp_path


def textured(height=64, width=160, shift=6, seed=0):
    wide = np.random.default_rng(seed).integers(0, 256, (height, width + abs(shift), 3))
    wide = wide.astype(np.uint8)
    left = wide[:, :width] if shift >= 0 else wide[:, -shift:]
    right = wide[:, shift : shift + width] if shift >= 0 else wide[:, :width]
    return StereoPair(View(left), View(right))


def test_the_net_is_given_what_it_was_trained_on(models):
    pair = textured(50, 150)
    expected = pair_channels(pair, SGM(max_disparity=40))
    for channel in (0, 1, 2, 3, 4):
        found = Learned(weights=models(channel=channel), max_disparity=40)(pair)
        inside = (expected[channel] >= 0) & (expected[channel] <= 39)
        np.testing.assert_allclose(found.values[inside], expected[channel][inside], atol=1e-9)
        np.testing.assert_array_equal(found.confidence[inside], expected[1][inside])
    for side, image in (("left", pair.left.image), ("right", pair.right.image)):
        for channel in (0, 2):
            seen = Learned(
                weights=models(disparity=side, channel=channel), min_disparity=-0, max_disparity=150
            )(pair)
            inside = image[..., channel] < 150
            np.testing.assert_array_equal(seen.values[inside], image[..., channel][inside])


@pytest.mark.parametrize("first", [5, 32, -5, -32, -40])
def test_another_first_disparity_shifts_the_right_view(models, first):
    """The net counts from 0, so its right view must be shifted by the first disparity."""
    pair = textured(32, 96, 0)
    right = np.random.default_rng(1).integers(0, 32, (32, 96, 3)).astype(np.uint8)
    pair = StereoPair(pair.left, View(right))
    how = {"min_disparity": first, "max_disparity": first + 40}
    seen = Learned(weights=models(disparity="right"), **how)(pair).values - first
    for x in range(96):
        column = min(max(x - first, 0), 95)
        np.testing.assert_array_equal(seen[:, x], right[:, column, 0], err_msg=f"column {x}")
    left = Learned(weights=models(disparity="left"), **how)(
        StereoPair(View(right), pair.left)
    ).values
    np.testing.assert_array_equal(left - first, right[..., 0])


@pytest.mark.parametrize(("shift", "first"), [(6, 2), (-6, -20), (30, 24), (-40, -48)])
def test_any_range_finds_the_shift(models, shift, first):
    found = Learned(weights=models(), min_disparity=first, max_disparity=first + 32)(
        textured(48, 160, shift)
    )
    inner = found.values[8:-8, 56:-56]
    assert (np.abs(inner - shift) <= 0.5).mean() > 0.98
    assert found.range == (first, first + 31)
    assert (found.source[8:-8, 56:-56] == Source.MATCHED).mean() > 0.98


def test_ranges_wider_than_the_net_s_reduce_the_pair(models):
    pair = textured(66, 401, 30)
    found = Learned(weights=models(), max_disparity=300)(pair)
    assert found.shape == (66, 401)
    assert found.range == (0, 299)
    inner = found.values[8:-8, 60:-60]
    assert (np.abs(inner - 30) <= 0.25).mean() > 0.95  # semi-global matching at full size
    assert search_of(pair, 0, 300, None, 192).factor == 2


def test_a_reduced_pair_keeps_values_where_matching_says_something_else(models):
    """Without any agreement the reduced map itself comes out, times the factor."""
    pair = textured(64, 384, 30)
    found = Learned(weights=models(add=40.0), max_disparity=384, shrink=2)(pair)
    inner = found.values[16:-16, 64:-64]
    assert np.median(np.abs(inner - 2 * (15 + 40))) < 0.5
    surest = Learned(weights=models(), max_disparity=384, shrink=2)(pair)
    assert found.confidence.mean() < surest.confidence.mean()


@pytest.mark.parametrize(
    ("width", "low", "end", "told", "expected"),
    [
        (640, 0, 192, None, (0, 191, 1, 0, 192)),
        (640, 0, 193, None, (0, 192, 2, 0, 97)),
        (640, 0, 64, None, (0, 63, 1, 0, 64)),
        (640, 0, 64, 3, (0, 63, 3, 0, 22)),
        (640, -7, 20, None, (-7, 19, 1, -7, 27)),
        (640, -7, 20, 2, (-7, 19, 2, -4, 14)),
        (640, 5, 389, None, (5, 388, 3, 1, 129)),  # 384 levels from 5 on do not fit into 2 x 192
        (1242, 0, None, None, (0, 191, 1, 0, 192)),  # the default would be 208
        (1242, 0, None, 2, (0, 207, 2, 0, 104)),
        (2000, 0, None, None, (0, 255, 2, 0, 128)),
        (320, 0, None, None, (0, 63, 1, 0, 64)),
    ],
)
def test_searches_by_hand(width, low, end, told, expected):
    pair = StereoPair(*(View(np.zeros((20, width, 3), np.uint8)) for _ in range(2)))
    assert tuple(search_of(pair, low, end, told, 192)) == expected


def test_a_factor_too_small_for_the_range_is_refused():
    pair = textured(20, 900, 0)
    with pytest.raises(UsageError, match=r"shrink = 1: leaves 400 disparities.*expected 3 or more"):
        search_of(pair, 0, 400, 1, 192)


def test_what_lies_outside_the_range_is_never_sold_as_matched(models):
    pair = textured(48, 160, 6)
    below = Learned(weights=models(add=-9.0), max_disparity=32)
    filled = below(pair)
    inner = np.s_[8:-8, 40:-40]
    assert (filled.values >= 0).all()
    assert (filled.values[inner] == 0).mean() > 0.95
    assert (filled.source[inner] == Source.FILLED).mean() > 0.95
    assert (filled.confidence[inner] == 0).mean() > 0.95
    bare = fathom.create("fathom-s", weights=models(add=-9.0), max_disparity=32, fill=False)(pair)
    assert np.isnan(bare.values[inner]).mean() > 0.95
    beyond = Learned(weights=models(add=60.0), max_disparity=32)(pair)
    assert beyond.values.max() == 31
    assert not (beyond.source[inner] == Source.MATCHED).any()


def test_a_net_gone_mad_gives_unknown_pixels(models):
    found = Learned(weights=models(add=float("nan")), max_disparity=32)(textured())
    assert not found.known.any()
    assert (found.source == Source.UNKNOWN).all()
    assert (found.confidence == 0).all()


def test_what_only_one_camera_sees_is_filled_and_stays_out_of_clouds(models):
    """The net says what the left view's red shows: a box 12 px nearer than its background hides
    the background's columns 68..79, which lie on the box's columns 64..75 of the right view."""
    left = np.full((96, 200, 3), 4, np.uint8)
    left[30:70, 80:120] = 16
    pair = StereoPair(View(left), View(np.zeros_like(left)))
    says = {"weights": models(disparity="left"), "sure": 0.0, "max_disparity": 32}
    found = Learned(**says)(pair)
    assert (found.values == left[..., 0]).all()
    assert (found.source[30:70, 69:79] == Source.FILLED).all()
    assert (found.source[30:70, 80:] == Source.MATCHED).all()
    assert (found.source[30:70, 4:68] == Source.MATCHED).all()
    assert (found.source[:, :3] == Source.FILLED).all()  # outside the right image
    assert (found.source[:30, 4:] == Source.MATCHED).all()
    bare = Learned(**says, fill=False)(pair)
    np.testing.assert_array_equal(bare.known, found.source == Source.MATCHED)


def test_unsure_pixels_count_as_filled_unless_matching_confirms_them(models):
    pair = textured(48, 160, 6)
    inner = np.s_[8:-8, 40:-8]
    unsure = models(add=3.0)  # 3 px beside what semi-global matching finds
    assert not (Learned(weights=unsure, sure=1.0, max_disparity=32)(pair).source[inner] == 1).any()
    assert (Learned(weights=unsure, sure=0.0, max_disparity=32)(pair).source[inner] == 1).all()
    near = models(add=0.5)
    assert (Learned(weights=near, sure=1.0, max_disparity=32)(pair).source[inner] == 1).mean() > 0.9


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 160), st.integers(1, 100), st.sampled_from([8, 16, 32]), st.integers(1, 200))
def test_strips_cover_every_row_once_and_know_enough_beside(rows, columns, divisor, share):
    height, width = rows * divisor, columns * divisor
    found = strips_of(height, width, divisor, strips_module.NET_BYTES * share * 2500)
    assert len({s.bottom - s.top for s in found}) == 1
    kept = [y for s in found for y in range(s.first, s.last)]
    assert kept == list(range(height))
    for strip in found:
        assert 0 <= strip.top <= strip.first < strip.last <= strip.bottom <= height
        assert strip.top % divisor == strip.bottom % divisor == 0
        assert strip.first == 0 or strip.first - strip.top >= OVERLAP
        assert strip.last == height or strip.bottom - strip.last >= OVERLAP
    lowest = 2 * OVERLAP + 2 * divisor
    tall = found[0].bottom - found[0].top
    assert tall <= max(lowest, 2500 * share // width) or len(found) == 1


def test_strips_put_together_what_the_net_says_of_each():
    """The twin is the whole at once; the net here blurs down the rows, with a reach of 40 rows."""
    import cv2

    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (640, 32, 3)).astype(np.uint8) for _ in range(2)]
    evidence = rng.random((4, 640, 32), np.float32)

    def model(arrays):
        assert set(arrays) == {"left", "right", "evidence"}
        assert arrays["left"].dtype == np.float32
        blurred = cv2.blur(arrays["evidence"][0, 0] + arrays["right"][0, 1], (1, 81))
        return {"disparity": blurred[None, None], "confidence": arrays["left"][:, 2:]}

    names = ("left", "right", "evidence")
    whole = run_strips(model, names, *images, evidence, strips_of(640, 32, 32))
    parts = strips_of(640, 32, 32, 1)
    assert len(parts) > 4
    found = run_strips(model, names, *images, evidence, parts)
    for a, b in zip(found, whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_large_pairs_go_in_strips_and_memory_is_bounded(models):
    pair = textured(600, 200, 6)
    whole = Learned(weights=models(), max_disparity=16)
    limited = Learned(weights=models(), max_disparity=16, memory_limit=60_000_000)
    np.testing.assert_array_equal(whole(pair).values, limited(pair).values)
    with pytest.raises(ResourceError, match=r"needs .* MB of memory; expected at most 1 MB"):
        Learned(weights=models(), max_disparity=16, memory_limit=1_000_000)(pair)


def test_enlarging_keeps_steps_where_the_colours_change():
    small = np.zeros((4, 8, 3), np.uint8)
    small[:, 4:] = 200
    values = np.where(np.arange(8) < 4, 10, 50).astype(np.float32)[None].repeat(4, 0)
    large = np.zeros((16, 32, 3), np.uint8)
    large[:, 18:] = 200  # the true edge lies 2 px further than the reduced one
    out, other = enlarged(values, values / 100, small, large)
    expected = np.where(np.arange(32) < 18, 10, 50)
    np.testing.assert_allclose(out, np.broadcast_to(expected, (16, 32)), atol=1e-4)
    np.testing.assert_allclose(other, out / 100, atol=1e-5)


def test_enlarging_a_plane_gives_the_plane():
    plane = np.arange(10, dtype=np.float32)[None].repeat(6, 0) * 0.25
    grey = np.full((6, 10, 3), 90, np.uint8)
    out, _ = enlarged(plane, plane, grey, np.full((18, 30, 3), 90, np.uint8), threads=2)
    place = (np.arange(30) + 0.5) / 3 - 0.5
    np.testing.assert_allclose(out[0, 2:-2], (0.25 * place)[2:-2], atol=1e-5)


def test_confidence_of_a_finer_pixel():
    # Laplace: P(|e| <= 2) = 1 - exp(-2 / b) = 0.75, so P(|e| <= 1) = 1 - exp(-1 / b) = 0.5
    assert laplace_scaled(np.array([0.75, 0, 1], np.float32), 2) == pytest.approx([0.5, 0, 1])


def test_warming_changes_nothing_and_keeps_its_errors(models, tmp_path):
    pair = textured()
    matcher = Learned(weights=models(), max_disparity=32)
    matcher.warm(pair)
    np.testing.assert_array_equal(
        matcher(pair).values, Learned(weights=models(), max_disparity=32)(pair).values
    )
    Learned(weights=str(tmp_path / "none.onnx")).warm(pair)
    Learned(weights=str(tmp_path / "none.onnx")).warm()


def test_a_net_that_is_being_loaded_is_not_loaded_again(models, monkeypatch):
    pair, weights, loads = textured(), models(channel=2), []
    load = runtime.load_model

    def slow(*given, **named):
        loads.append(given)
        time.sleep(0.2)
        return load(*given, **named)

    engines._exported.cache_clear()
    monkeypatch.setattr(runtime, "load_model", slow)
    matcher = Learned(weights=weights, max_disparity=32)
    matcher.warm()
    matcher.warm(pair)
    matcher(pair)
    assert len(loads) == 1


def test_later_gives_the_value_or_the_error():
    assert Later(lambda: 3).get() == 3
    with pytest.raises(ZeroDivisionError):
        Later(lambda: 1 // 0).get()


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ({"model": "fathom-xl"}, "is no shipped model"),
        ({"sure": 1.5}, "sure = 1.5: is out of range"),
        ({"shrink": 0}, "shrink = 0"),
        ({"device": "banana"}, "device = 'banana': is no device"),
        ({"device": "cpu:1"}, "is no device"),
        ({"weights": "x.txt"}, "expected .safetensors"),
        ({"weights": "x.onnx", "device": "cuda"}, "runs on the CPU"),
        ({"max_disparity": 5, "min_disparity": 5}, "leaves no disparities"),
        ({"threads": 0}, "threads"),
    ],
)
def test_impossible_settings_are_one_line(bad, text):
    with pytest.raises(UsageError, match=text) as caught:
        Learned(**bad)
    assert "\n" not in str(caught.value)


def broken(tmp_path, models, how):
    file = tmp_path / "broken.onnx"
    if how == "missing":
        return file
    if how == "folder":
        file.mkdir()
        return file
    data = Path(models()).read_bytes()
    if how == "notes":
        return stand_in.write_model(file, notes={"fathom.divisor": "32"})
    if how == "kind":
        return stand_in.write_model(file, right=False)
    file.write_bytes({"empty": b"", "truncated": data[:-40], "text": b"no model" * 50}[how])
    return file


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("missing", "does not exist"),
        ("folder", "is a folder"),
        ("empty", "is empty"),
        ("truncated", "truncated"),
        ("text", "is no ONNX model"),
        ("notes", "fathom.max_disparity"),
        ("kind", "holds a net of sgm-refined, not of fathom-s.*--method sgm-refined"),
    ],
)
def test_a_file_that_cannot_serve_is_named(tmp_path, models, how, text):
    file = broken(tmp_path, models, how)
    with pytest.raises(InputError, match=text) as caught:
        fathom.create("fathom-s", weights=str(file))(textured())
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


def test_a_model_of_another_kind_is_named(tmp_path):
    import onnx

    file = stand_in.write_model(tmp_path / "other.onnx")
    model = onnx.load(str(file))
    for node in model.graph.node:
        node.output[:] = ["depth" if o == "disparity" else o for o in node.output]
    model.graph.output[0].name = "depth"
    onnx.save(model, str(file))
    with pytest.raises(InputError, match="is no model of this kind"):
        Learned(weights=str(file))(textured())


def test_a_file_that_changes_is_read_again(tmp_path):
    file = stand_in.write_model(tmp_path / "model.onnx")
    pair = textured()
    first = Learned(weights=str(file), max_disparity=32)(pair)
    stand_in.write_model(file, add=2.0)
    second = Learned(weights=str(file), max_disparity=32)(pair)
    assert np.median(second.values - first.values) == 2


def test_shipped_files_are_verified(installed):
    pair = textured()
    assert fathom.create("fathom-s", max_disparity=32)(pair).known.all()
    assert fathom.create("sgm-refined", max_disparity=32)(pair).known.all()
    model = installed / "fathom-s" / weights.MODEL
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=r"model\.onnx: sha256"):
        fathom.create("fathom-s", max_disparity=32)(pair)
    shutil.rmtree(installed / "fathom-s")
    with pytest.raises(InputError, match="not in this installation"):
        fathom.create("fathom-s", max_disparity=32)(pair)


@pytest.fixture
def narrow(tmp_path, monkeypatch):
    """An installation whose fathom-s answers 2 px more in 8 bits."""
    pytest.importorskip("openvino")
    monkeypatch.setattr(weights, "HOME", tmp_path)
    return stand_in.ship(tmp_path, "fathom-s", int8={"add": 2.0})


def test_eight_bits_where_that_is_fastest(narrow, monkeypatch):
    pair, found = textured(), {}
    for native in ("int8", "fp32"):
        monkeypatch.setattr(runtime, "fastest", lambda native=native: native)
        found[native] = Learned(max_disparity=32)(pair).values
    assert np.median(found["int8"] - found["fp32"]) == 2
    monkeypatch.setattr(runtime, "fastest", lambda: "int8")
    used = catalog.settings(Learned())["weights_used"]
    assert used["file"] == "shipped fathom-s/model-int8.xml" and len(used["sha256"]) == 64
    assert Learned(precision="fp32").weights_used()["file"].endswith("model.onnx")
    asked = Learned(max_disparity=32, precision="fp32")(pair).values
    np.testing.assert_array_equal(asked, found["fp32"])
    monkeypatch.setattr(runtime, "fastest", lambda: "bf16")
    assert Learned().weights_used()["file"].endswith("model.onnx")
    asked = Learned(max_disparity=32, precision="int8")(pair).values
    np.testing.assert_array_equal(asked, found["int8"])
    monkeypatch.setattr(runtime, "fastest", lambda: "fp32")
    with pytest.raises(MissingExtraError, match=r"openvino \(for 8 bits"):
        Learned(precision="int8")(pair)


def test_a_damaged_file_of_eight_bits_is_refused(narrow):
    part = narrow / Path(weights.MODEL_INT8).with_suffix(".bin")
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=r"model-int8\.xml: sha256"):
        Learned(precision="int8")(textured())
    part.unlink()
    with pytest.raises(InputError, match=r"model-int8\.bin"):
        Learned(precision="int8")(textured())


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"precision": "fp8"}, "unknown precision"),
        ({"precision": "int8", "device": "cuda"}, "for the shipped files on the CPU"),
        ({"precision": "int8", "weights": "a.onnx"}, "fathom export --int8"),
    ],
)
def test_precisions_that_cannot_be(wrong, text):
    with pytest.raises(UsageError, match=text):
        Learned(**wrong)


def test_too_small_an_image_and_a_range_outside_it(models):
    with pytest.raises(InputError, match="is too small"):
        Learned(weights=models())(textured(6, 50, 0))
    with pytest.raises(UsageError, match="lies outside an image"):
        Learned(weights=models(), min_disparity=200, max_disparity=220)(textured())


def test_without_torch_its_extra_is_named(tmp_path, monkeypatch):
    for name in [n for n in sys.modules if n.startswith(("fathom.nets", "fathom.layers"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"fathom-depth\[torch\]"):
        Learned(weights=str(tmp_path / "x.safetensors"))(textured())


def test_a_gpu_that_is_not_there_is_one_line(installed):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(FathomError) as caught:
        fathom.create("fathom-s", device="cuda", max_disparity=32)(textured())
    assert isinstance(caught.value, ResourceError)
    assert "--device cpu" in str(caught.value)
