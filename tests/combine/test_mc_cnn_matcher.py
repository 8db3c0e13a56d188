"""`mc-cnn-fast` and `mc-cnn-accurate` as estimators: from a file of weights to a map."""

import numpy as np
import pytest

import parity
from fathom.combine.mc_cnn import MCCNN
from fathom.core import (
    InputError,
    MissingExtraError,
    ResourceError,
    Source,
    StereoPair,
    UsageError,
    View,
)

torch = pytest.importorskip("torch")
save_file = pytest.importorskip("safetensors.torch").save_file
nets = pytest.importorskip("fathom.nets.stereo.mc_cnn")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of weights by the parity rule: random, but patches can be told apart by them, too."""
    folder = tmp_path_factory.mktemp("weights")
    for name in ("mccnn_fast_kitti", "mccnn_fast_mb", "mccnn_accurate_kitti"):
        save_file(nets.convert(parity.state(parity.case(name))), folder / f"{name}.safetensors")
    torch.manual_seed(0)
    small = nets.MCCNN(nets.MCCNNConfig(2, 8, 1, 8, "middle"))
    save_file(small.state_dict(), folder / "middle.safetensors")
    trained = {f"net.{k}": v for k, v in small.state_dict().items()}
    save_file(trained, folder / "trained.safetensors", {"format": "fathom-checkpoint"})
    return {path.stem: str(path) for path in folder.iterdir()}


def textured(height=64, width=128):
    left, right, truth = parity.stereo_pair(height, width)
    return StereoPair(View(left), View(right)), truth


def test_a_textured_pair(files):
    pair, truth = textured()
    for name in ("mccnn_fast_kitti", "mccnn_fast_mb"):
        out = MCCNN(max_disparity=40, weights=files[name], threads=1)(pair)
        assert out.range == (0.0, 39.0) and not np.isnan(out.values).any()
        seen = np.s_[:, 30:]
        assert (np.abs(out.values - truth) <= 1)[seen].mean() > 0.9
        assert out.confidence[seen].mean() > 0.8
        assert set(np.unique(out.source)) <= {Source.MATCHED, Source.FILLED}
        wrong = np.abs(out.values - truth) > 1
        assert out.confidence[wrong].mean() < out.confidence[~wrong].mean()


def test_without_filling_and_without_confidence(files):
    pair, _ = textured(40, 100)
    settings = {"max_disparity": 32, "weights": files["mccnn_fast_kitti"]}
    whole = MCCNN(**settings)(pair)
    bare = MCCNN(**settings, fill=False, confidence=False)(pair)
    assert bare.confidence is None and np.isnan(bare.values).any()
    np.testing.assert_array_equal(np.isnan(bare.values), whole.source == Source.FILLED)
    np.testing.assert_array_equal(bare.values[bare.known], whole.values[bare.known])
    np.testing.assert_array_equal(bare.source[bare.known], Source.MATCHED)


def test_a_range_from_below_zero(files):
    pair, truth = textured(40, 100)
    swapped = StereoPair(pair.right, pair.left)
    out = MCCNN(min_disparity=-40, max_disparity=8, weights=files["mccnn_fast_kitti"])(swapped)
    assert out.range == (-40.0, 7.0)
    assert (np.abs(out.values + truth) <= 1)[:, :70].mean() > 0.75


def test_the_accurate_one_and_fused_ones_run(files):
    pair, _ = textured(20, 48)
    accurate = MCCNN(
        model="mc-cnn-accurate", max_disparity=16, weights=files["mccnn_accurate_kitti"]
    )
    assert accurate(pair).values.shape == (20, 48)
    for name in ("middle", "trained"):
        fused = MCCNN(model="mc-cnn-accurate", max_disparity=16, weights=files[name])
        assert fused(pair).values.shape == (20, 48)
    np.testing.assert_array_equal(
        *(
            MCCNN(model="mc-cnn-accurate", max_disparity=16, weights=files[name])(pair).values
            for name in ("middle", "trained")
        )
    )


def test_16_bits_and_half_precision(files):
    pair, _ = textured(24, 64)
    deep = StereoPair(*(View(v.image.astype(np.uint16) * 257) for v in (pair.left, pair.right)))
    settings = {"max_disparity": 32, "weights": files["mccnn_fast_kitti"]}
    rough = MCCNN(**settings, precision="bf16")(pair).values
    exact = MCCNN(**settings)(pair).values
    assert (np.abs(rough - exact) <= 1).mean() > 0.8
    assert MCCNN(**settings)(deep).values.shape == (24, 64)


def test_the_style_follows_the_weights_unless_it_is_told(files, monkeypatch):
    from fathom.classical import mc_cnn

    seen = []
    real = mc_cnn.disparity_of_costs

    def spy(volume, left, right, steps, **rest):
        seen.append(steps)
        return real(volume, left, right, steps, **rest)

    monkeypatch.setattr(mc_cnn, "disparity_of_costs", spy)
    pair, _ = textured(20, 40)
    for name, style in (
        ("mccnn_fast_kitti", None),
        ("mccnn_fast_mb", None),
        ("mccnn_fast_kitti", "kitti2012"),
    ):
        MCCNN(weights=files[name], style=style, max_disparity=16)(pair)
    wanted = ("kitti2015", "middlebury", "kitti2012")
    assert seen == [mc_cnn.STEPS[f"mc-cnn-fast {s}"] for s in wanted]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "mc-cnn-slow"}, "unknown model 'mc-cnn-slow'"),
        ({"style": "kitti"}, "unknown style 'kitti'; did you mean kitti2015 or kitti2012"),
        ({"precision": "fp16"}, "unknown precision 'fp16'"),
        ({"max_disparity": 0}, "leaves no disparities"),
        ({"device": "tpu"}, "is no device"),
    ],
)
def test_parameters_that_cannot_be(unchecked, wrong, message):
    with pytest.raises(UsageError, match=message):
        MCCNN(**wrong)


def test_weights_of_the_other_net(files):
    pair, _ = textured(20, 40)
    with pytest.raises(
        InputError, match=r"holds a net of mc-cnn-accurate, not of mc-cnn-fast; use"
    ):
        MCCNN(weights=files["mccnn_accurate_kitti"])(pair)


def test_weights_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("FATHOM_CACHE_DIR", str(tmp_path))
    pair, _ = textured(20, 40)
    with pytest.raises(InputError, match=r"weights are not here; .*fathom weights convert FILE"):
        MCCNN()(pair)


def test_images_smaller_than_a_patch(files):
    pair = StereoPair(*[View(np.zeros((8, 30, 3), np.uint8))] * 2)
    with pytest.raises(
        InputError, match=r"image size = '30x8': is too small .* at least 9x9, a patch"
    ):
        MCCNN(weights=files["mccnn_fast_kitti"])(pair)


def test_more_memory_than_allowed(files):
    pair, _ = textured(40, 100)
    with pytest.raises(ResourceError, match="matching 100x40 over 32 disparities needs"):
        MCCNN(weights=files["mccnn_fast_kitti"], max_disparity=32, memory_limit=1000)(pair)


def test_without_torch(files, monkeypatch):
    import sys

    pair, _ = textured(20, 40)
    monkeypatch.setitem(sys.modules, "torch", None)
    matcher = MCCNN(weights=files["mccnn_fast_kitti"], device="cuda:7")
    with pytest.raises(MissingExtraError, match="torch is not installed"):
        matcher(pair)


def test_images_of_one_colour(files):
    pair = StereoPair(*[View(np.full((20, 40, 3), 90, np.uint8))] * 2)
    out = MCCNN(weights=files["mccnn_fast_kitti"], max_disparity=16)(pair)
    assert np.isfinite(out.values[out.known]).all() and out.confidence.max() <= 1


def test_from_the_authors_tensors_to_a_map(files, tmp_path):
    """`fathom weights convert`, then `fathom.create` with the file."""
    from pathlib import Path

    import fathom
    from fathom.workflows.weights import KeepOptions, convert_file

    pair, _ = textured(24, 64)
    official = parity.state(parity.case("mccnn_fast_mb"))
    torch.save({"state_dict": official}, tmp_path / "net.pth")
    out = tmp_path / "mine.safetensors"
    done = convert_file(Path(tmp_path / "net.pth"), out, KeepOptions(model="mc-cnn-fast"))
    assert done.settings == {"variant": "middlebury"} and done.parameters == 148352
    found = fathom.create("mc-cnn-fast", weights=str(out), max_disparity=32)(pair)
    direct = MCCNN(weights=files["mccnn_fast_mb"], max_disparity=32)(pair)
    np.testing.assert_array_equal(found.values, direct.values)
    np.testing.assert_array_equal(found.confidence, direct.confidence)
