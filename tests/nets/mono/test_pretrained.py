"""Every architecture from a tiny random configuration in a folder: what the library says of it."""

import math
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_mono
import torch

from fathom.core.errors import InputError, MissingExtraError, ResourceError, UsageError
from fathom.nets.mono import pretrained
from fathom.nets.mono.depth_anything import config_of, convert, official_positions
from fathom.nets.mono.pretrained import load_pretrained, run_pretrained
from fathom.nets.mono.processing import prepared, recipe_of

pytestmark = pytest.mark.skipif(find_spec("transformers") is None, reason="no transformers")
FAMILIES = {
    kind: next(f for f in ("prompt_depth_anything", "depth_anything", "dpt", "zoedepth", "depth_pro", "glpn") if kind.startswith(f))  # noqa: E501
    for kind in tiny_mono.KINDS
}  # fmt: skip
NOISE = np.random.default_rng(1).integers(0, 256, (2, 60, 90, 3), dtype=np.uint8)
IMAGES = list(np.cumsum(NOISE, axis=1, dtype=np.uint8))
PROMPT = np.linspace(1, 3, 48, dtype=np.float32).reshape(1, 1, 6, 8)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("nets")
    made = {}

    def folder(kind):
        if kind not in made:
            made[kind] = tiny_mono.saved(kind, home / kind)
        return made[kind]

    return folder


def loaded(folders, kind, **more):
    return load_pretrained(folders(kind), "x", FAMILIES[kind], **more)


@pytest.mark.parametrize(
    "kind", [k for k in tiny_mono.KINDS if not k.startswith(("zoe", "depth_pro"))]
)
def test_as_the_librarys_own_pipeline(kind, folders):
    """Its processor, its net and its way back to the image's size, beside ours."""
    of = loaded(folders, kind, position="transformers")
    processor = tiny_mono.processor_of(kind, folders(kind))
    more = {"prompt_depth": PROMPT[0, 0]} if kind.startswith("prompt") else {}
    given = processor(IMAGES[0], return_tensors="pt", **more)
    with torch.inference_mode():
        out = of.net(**given)
    theirs = processor.post_process_depth_estimation(out, [(60, 90)])[0]["predicted_depth"]
    ours = run_pretrained(of, IMAGES[:1], prompts=PROMPT if more else None)[0].values
    assert ours.shape == (60, 90) and ours.dtype == np.float32
    assert ours.std() > 1e-4 * abs(ours).max(), kind
    assert np.array_equal(ours, theirs.numpy()), kind
    assert of.metric == (kind in ("depth_anything_metric", "prompt_depth_anything", "glpn"))


def test_zoedepth_as_the_librarys_own(folders, monkeypatch):
    """Its way back needs torchvision for one function, which is torch's with other names."""
    from transformers.models.zoedepth import image_processing_pil_zoedepth as theirs

    def resize(depth, size, interpolation, antialias):
        assert interpolation == "bicubic" and not antialias
        return torch.nn.functional.interpolate(depth[None], size, mode="bicubic")[0]

    stand_in = SimpleNamespace(resize=resize, InterpolationMode=SimpleNamespace(BICUBIC="bicubic"))
    monkeypatch.setattr(theirs, "tvF", stand_in, raising=False)
    of = loaded(folders, "zoedepth")
    processor = tiny_mono.processor_of("zoedepth", folders("zoedepth"))
    given = processor(IMAGES[0], return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        out, mirrored = of.net(given), of.net(given.flip(-1))
    for flip, other in ((False, None), (True, mirrored)):
        made = processor.post_process_depth_estimation(
            out, source_sizes=[(60, 90)], outputs_flipped=other
        )
        ours = run_pretrained(of, IMAGES[:1], flip=flip)[0].values
        assert np.array_equal(ours, made[0]["predicted_depth"].numpy()), flip
    assert of.metric and not of.alone


def test_a_router_sees_one_image_at_a_time(folders):
    """ZoeDepth NK lets the whole batch vote for one of its heads."""
    of = loaded(folders, "zoedepth_two")
    assert of.alone
    both = run_pretrained(of, IMAGES)
    for k in range(2):
        alone = run_pretrained(of, IMAGES[k : k + 1])[0]
        assert np.array_equal(both[k].values, alone.values)


def test_depth_pro_gives_metres_and_a_focal_length(folders, monkeypatch):
    of = loaded(folders, "depth_pro")
    small = replace(of.recipe, height=64, width=64)
    of = replace(of, recipe=small)
    with torch.inference_mode():
        out = of.net(prepared(IMAGES[0], small)[None])
    degrees = float(out.field_of_view.reshape(-1)[0])
    fixed = SimpleNamespace(predicted_depth=out.predicted_depth, field_of_view=torch.tensor([50.0]))
    focal = 45 / math.tan(math.radians(25))
    monkeypatch.setattr(of.net, "forward", lambda pixel_values: fixed)
    found = run_pretrained(of, IMAGES[:1])[0]
    assert found.focal == pytest.approx(focal) and np.isfinite(degrees)
    scaled = out.predicted_depth.detach() * 90 / focal
    back = torch.nn.functional.interpolate(scaled[None], (60, 90), mode="bilinear")[0, 0]
    theirs = 1 / back.clamp(1e-4, 1e4)
    assert np.allclose(found.values, theirs.numpy(), rtol=1e-5)
    known = run_pretrained(of, IMAGES[:1], focals=[2 * focal])[0]
    assert known.focal == pytest.approx(focal)  # still what it estimates
    clear = (found.values > 1e-3) & (found.values < 1e3)
    assert np.allclose(known.values[clear], 2 * found.values[clear], rtol=1e-4)
    fixed.field_of_view = None
    with pytest.raises(InputError, match="tells no focal length"):
        run_pretrained(of, IMAGES[:1])


def test_positions_as_the_authors_or_as_transformers(folders):
    """The same where nothing is enlarged, else apart; the authors' scale is (n + 0.1) / side."""
    ours = loaded(folders, "depth_anything")
    theirs = loaded(folders, "depth_anything", position="transformers")
    square = [IMAGES[0][:56, :56]]
    assert np.array_equal(
        run_pretrained(ours, square)[0].values, run_pretrained(theirs, square)[0].values
    )
    a, b = (run_pretrained(of, IMAGES[:1])[0].values for of in (ours, theirs))
    assert not np.allclose(a, b)
    table = torch.randn(1, 17, 3)
    assert official_positions(table, 4, 4) is table
    made = official_positions(table, 4, 6)
    assert made.shape == (1, 25, 3) and torch.equal(made[:, 0], table[:, 0])
    # column x of 6 looks at (x + 0.5) 4 / 6.1 - 0.5, not at (x + 0.5) 4 / 6 - 0.5
    ramp = torch.cat([torch.zeros(1), torch.arange(4.0).repeat(4)])[None, :, None]
    row = official_positions(ramp, 4, 6)[0, 1:7, 0]
    assert row[2] + row[3] == pytest.approx(2 * (3 * 4 / 6.1 - 0.5), abs=1e-2)  # and not 3


def test_half_precision_is_near(folders):
    of = loaded(folders, "depth_anything")
    exact, half = (run_pretrained(of, IMAGES[:1], precision=p)[0].values for p in ("fp32", "bf16"))
    assert 0 < abs(exact - half).max() < 0.2 * abs(exact).max()
    with pytest.raises(UsageError, match="does not calculate in fp16"):
        run_pretrained(of, IMAGES[:1], precision="fp16")
    with pytest.raises(UsageError, match="unknown precision"):
        pretrained.check_precision("int8", "cpu")


def test_folders_that_cannot_serve(folders, tmp_path, monkeypatch):
    import json
    import pickle
    import shutil

    from safetensors.torch import load_file, save_file

    def copy(name):
        return shutil.copytree(folders("depth_anything"), tmp_path / name)

    def refused(folder, family="depth_anything"):
        with pytest.raises(InputError) as caught:
            load_pretrained(folder, "x", family)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "another kind: depth_anything, not dpt" in refused(copy("kind"), "dpt")
    other = copy("other")
    (other / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert "is no depth model, but bert" in refused(other)
    segments = {"model_type": "dpt", "architectures": ["DPTForSemanticSegmentation"]}
    (other / "config.json").write_text(json.dumps(segments))
    assert "is no depth model, but DPTForSemanticSegmentation" in refused(other, "dpt")
    (other / "config.json").write_text("[")
    assert "is no configuration" in refused(other)
    cut = copy("cut") / "model.safetensors"
    cut.write_bytes(cut.read_bytes()[:-1000])
    assert "cut" in refused(cut.parent)
    less = copy("less")
    tensors = load_file(less / "model.safetensors")
    del tensors["head.conv1.weight"]
    save_file(tensors, less / "model.safetensors", {"format": "pt"})
    assert "lacks 1 of the net's tensors" in refused(less)
    tensors["head.conv1.weight"] = torch.zeros(3, 3, 3, 3)
    save_file(tensors, less / "model.safetensors", {"format": "pt"})
    shapes = r"tensor head.conv1.weight = (3, 3, 3, 3): has another shape than the net's; expected"
    assert f"{shapes} (8, 16, 3, 3)" in refused(less)
    (less / "config.json").rename(less / "model_index.json")
    assert "holds a pipeline of diffusers, and no net of transformers" in refused(less)
    (less / "model_index.json").rename(less / "config.json")
    (less / "model.safetensors").unlink()
    assert "has no weights; expected model.safetensors, or pytorch_model.bin" in refused(less)
    (less / "pytorch_model.bin").write_bytes(pickle.dumps(tensors))
    assert "is a plain pickle, which runs as a program" in refused(less)
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"fathom-depth\[mono\]"):
        load_pretrained(less, "x", "depth_anything")


def test_a_pickle_alone_serves_as_safetensors_do(folders, tmp_path, monkeypatch):
    import shutil

    from safetensors.torch import load_file

    old = shutil.copytree(folders("dpt_hybrid"), tmp_path / "old")
    torch.save(load_file(old / "model.safetensors"), old / "pytorch_model.bin")
    (old / "model.safetensors").unlink()
    monkeypatch.setattr(torch, "load", None)  # it is opened in another process only
    answers = [
        run_pretrained(load_pretrained(place, "x", "dpt"), IMAGES[:1])[0].values
        for place in (folders("dpt_hybrid"), old)
    ]
    assert np.array_equal(*answers) and answers[0].std() > 0


def test_recipes_of_every_kind_are_read(folders):
    for kind in ("dpt_hybrid", "prompt_depth_anything", "glpn"):
        assert recipe_of(folders(kind), FAMILIES[kind]).family == FAMILIES[kind]


def test_what_is_no_depth_anything():
    with pytest.raises(InputError, match="is no Depth Anything of a known size"):
        convert({"pretrained.cls_token": torch.zeros(1, 1, 5)})
    with pytest.raises(InputError, match="model = 'dpt-large': is no Depth Anything"):
        config_of("dpt-large")
    metric = config_of("depth-anything-v2-metric-outdoor-large")
    assert (metric.max_depth, metric.depth_estimation_type) == (80, "metric")
    assert metric.backbone_config.out_features == ["stage5", "stage12", "stage18", "stage24"]
    assert config_of("depth-anything-base").backbone_config.out_indices == [9, 10, 11, 12]


def test_too_little_memory_is_one_line(folders, monkeypatch):
    of = loaded(folders, "depth_anything")

    def full(pixel_values):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(of.net, "forward", full)
    with pytest.raises(ResourceError, match="smaller --size or --batch"):
        run_pretrained(of, IMAGES[:1])
