"""Monodepth2 as an estimator: sizes, batches, scale and metres, what it refuses; the motion."""

import numpy as np
import pytest
import torch

import fathom
from fathom.combine.monodepth2 import Monodepth2, Motion, reduced, sized
from fathom.core import Depth, InputError, RelativeDepth, UsageError, View
from fathom.core.mono import AnswersMany
from fathom.nets.mono import monodepth2 as nets
from fathom.published.several import parts_of, read_parts
from fathom.published.store import read_header
from fathom.workflows.weights import KeepOptions, convert_file

torch.set_num_threads(1)


def narrow(**_):
    """In the place of the whole net, which is too large for a quick test."""
    return nets.Monodepth2(
        nets.Monodepth2Config(18, (1, 1, 1, 1), (8, 8, 16, 16), (8, 8, 8, 16, 16), classes=0)
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Weights of narrow nets: of video alone, of pairs, and of the motion."""
    from fathom.published.store import write_weights

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    made = {"video": narrow(), "pairs": narrow(), "motion": nets.PoseCNN()}
    settings = {"pairs": {"stereo": True, "width": 128, "height": 64}}
    for name, net in made.items():
        model = "monodepth2-posecnn" if name == "motion" else "monodepth2"
        state = {k: v.numpy() for k, v in net.state_dict().items()}
        write_weights(
            folder / f"{name}.safetensors", state,
            {"model": model, "settings": settings.get(name, {})},
        )  # fmt: skip
    return {name: str(folder / f"{name}.safetensors") for name in made}


@pytest.fixture(autouse=True)
def narrow_nets(monkeypatch):
    monkeypatch.setattr(nets, "monodepth2", narrow)


def view(height=60, width=100, seed=0):
    rng = np.random.default_rng(seed)
    return View(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))


def test_depth_up_to_a_scale(kept):
    estimator = fathom.create("monodepth2", weights=kept["video"], size=64)
    assert isinstance(estimator, AnswersMany)
    found = estimator(view())
    assert isinstance(found, RelativeDepth) and found.ambiguity == "scale"
    assert found.shape == (60, 100) and found.known.all()
    assert found.values.min() >= 0.1 and found.values.max() <= 100
    assert (found.source == fathom.core.Source.MONOCULAR).all()


def test_metres_of_weights_trained_with_pairs(kept):
    relative = Monodepth2(weights=kept["pairs"])(view())
    metres = Monodepth2(weights=kept["pairs"], metric=True)(view())
    assert isinstance(metres, Depth)
    np.testing.assert_allclose(metres.values, 5.4 * relative.values, rtol=1e-6)
    with pytest.raises(UsageError, match=r"video alone.*--name monodepth2-stereo-640x192"):
        Monodepth2(weights=kept["video"], metric=True)(view())


def test_the_trained_size_and_one_s_own(kept, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "fathom.combine.monodepth2.reduced",
        lambda image, size: (seen.append(size), reduced(image, size))[1],
    )
    Monodepth2(weights=kept["pairs"])(view())
    Monodepth2(weights=kept["video"], size=64)(view())
    assert seen == [(128, 64), (96, 64)]
    assert sized((375, 1242), 192) == (640, 192)
    assert sized((1, 3000), 64)[1] == 64  # never below what the net takes


def test_several_views_of_several_sizes_as_each_alone(kept):
    estimator = Monodepth2(weights=kept["video"], size=64)
    views = [view(), view(seed=1), view(100, 60), *(view(seed=s) for s in range(2, 9))]
    together = estimator.answers(views)
    assert estimator.answers([]) == []
    for one, answer in zip(views, together, strict=True):
        np.testing.assert_allclose(answer.map.values, estimator(one).values, rtol=1e-4)


def test_images_are_reduced_as_pillow_does():
    from PIL import Image

    image = view(50, 80).image
    want = np.asarray(Image.fromarray(image).resize((96, 64), Image.Resampling.LANCZOS))
    found = reduced(image, (96, 64))
    np.testing.assert_array_equal(found, want.transpose(2, 0, 1).astype(np.float32))


def test_motion_between_two_views(kept):
    there = Motion(weights=kept["motion"], size=(96, 64))(view(), view(seed=1))
    np.testing.assert_allclose(there[:3, :3] @ there[:3, :3].T, np.eye(3), atol=1e-9)
    assert there[3].tolist() == [0, 0, 0, 1] and np.abs(there[:3, 3]).max() < 1


def test_motion_is_told_by_a_net_of_it(kept):
    with pytest.raises(InputError, match="not of a camera's motion"):
        Motion(weights=kept["video"])(view(), view())
    with pytest.raises(UsageError, match="is no size these nets take"):
        Motion(weights="x", size=(100, 64))
    with pytest.raises(UsageError, match="is no device"):
        Motion(weights="x", device="tpu")


def test_what_it_refuses(kept, unchecked):
    for wrong in ({"size": 8}, {"threads": 0}, {"device": "tpu"}):
        with pytest.raises(UsageError):
            Monodepth2(**wrong)
    with pytest.raises(InputError, match="holds weights of monodepth2-posecnn"):
        Monodepth2(weights=kept["motion"])(view())
    with pytest.raises(InputError, match=r"fathom weights convert FILE --model monodepth2"):
        Monodepth2(weights="monodepth2-not-there")(view())


def test_the_authors_two_files_become_one(tmp_path, monkeypatch):
    folder = tmp_path / "mono+stereo_640x192"  # as they call it
    folder.mkdir()
    state = nets.unconvert(narrow().state_dict())
    for part in ("encoder", "depth"):
        own = {k.removeprefix(f"{part}."): v for k, v in state.items() if k.startswith(f"{part}.")}
        torch.save({**own, "height": 192} if part == "encoder" else own, folder / f"{part}.pth")
    both = folder / "encoder.pth+depth.pth"
    assert parts_of(both) == [folder / "encoder.pth", folder / "depth.pth"]
    assert parts_of(folder / "depth.pth") == [folder / "depth.pth"]
    found = read_parts(both)
    assert set(found.tensors) == set(state) and len(found.sha256) == 64

    def narrow_builder(*, stereo: bool = False, width: int = 640, height: int = 192):
        return narrow()

    narrow_builder.__annotations__["return"] = nets.Monodepth2
    narrow_builder.__module__ = nets.__name__
    monkeypatch.setattr(nets, "monodepth2", narrow_builder)
    weights = tmp_path / "ours.safetensors"
    for _ in range(2):  # an earlier result is replaced
        convert_file(both, weights, KeepOptions(name="monodepth2-stereo-640x192"))
    assert read_header(weights).settings == {"stereo": True}
    assert isinstance(Monodepth2(weights=str(weights), metric=True)(view()), Depth)
    with pytest.raises(InputError, match="called alike"):
        read_parts(f"{folder / 'encoder.pth'}+{folder / 'encoder.pth'}")
