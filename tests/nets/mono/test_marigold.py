"""Marigold from a folder: diffusers' own answer number for number, in a batch or alone."""

import json
import shutil
from importlib import util

import numpy as np
import pytest

from fathom.core import InputError, UsageError

pytestmark = pytest.mark.skipif(
    any(util.find_spec(p) is None for p in ("torch", "diffusers", "transformers")),
    reason="needs the extra `diffusion`",
)
tiny = pytest.importorskip("tiny_diffusion")
TENSORS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.marigold_folder(tmp_path_factory.mktemp("marigold") / "tiny")


def opened(folder, **more):
    import torch

    from fathom.nets.mono.marigold import load_marigold

    return load_marigold(folder, torch.device("cpu"), "fp32", **more)


@pytest.fixture(scope="module")
def pipeline(folder):
    return opened(folder)


def load_half(folder):
    import torch

    from fathom.nets.mono.marigold import load_marigold

    return load_marigold(folder, torch.device("cpu"), "bf16")


@pytest.fixture(scope="module")
def theirs(folder):
    """diffusers' pipeline, opened as its documentation says."""
    from diffusers import MarigoldDepthPipeline

    found = MarigoldDepthPipeline.from_pretrained(folder)
    found.set_progress_bar_config(disable=True)
    return found


def sampled(pipeline, images, **how):
    from fathom.nets.mono.marigold import Sampling, sample

    return sample(pipeline, images, Sampling(**how))


def seeded(seed):
    import torch

    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("ensemble", [1, 3])
def test_the_answer_is_diffusers_own_number_for_number(pipeline, theirs, ensemble):
    from PIL import Image

    image = tiny.picture(37, 53)
    ours = sampled(pipeline, [image], seed=5, ensemble=ensemble)[0]
    wanted = theirs(
        Image.fromarray(image), ensemble_size=ensemble, output_uncertainty=ensemble > 1,
        generator=seeded(5),
    )  # fmt: skip
    assert ours.values.shape == (37, 53)
    np.testing.assert_array_equal(ours.values, wanted.prediction[0, ..., 0])
    assert (ours.spread is None) == (ensemble == 1)
    if ensemble > 1:
        np.testing.assert_array_equal(ours.spread, wanted.uncertainty[0, ..., 0])
        assert ours.spread.max() > 0.01


def test_steps_and_size_and_seed_each_change_the_answer(pipeline):
    image = tiny.picture(24, 40)
    first = sampled(pipeline, [image])[0].values
    np.testing.assert_array_equal(first, sampled(pipeline, [image])[0].values)
    for how in ({"steps": 1}, {"size": 48}, {"seed": 1}):
        assert np.abs(sampled(pipeline, [image], **how)[0].values - first).max() > 1e-3
    native = sampled(pipeline, [image], size=0)[0].values
    np.testing.assert_array_equal(native, sampled(pipeline, [image], size=40)[0].values)


def test_an_image_is_answered_in_a_batch_as_alone(pipeline):
    images = [tiny.picture(24, 32, seed) for seed in range(3)]
    together = sampled(pipeline, images, batch=2, seed=2)
    for image, found in zip(images, together, strict=True):
        np.testing.assert_allclose(
            found.values, sampled(pipeline, [image], seed=2)[0].values, atol=1e-5
        )


def test_half_precision_is_near_to_full(folder, pipeline):
    """At the image's own size: torch has no antialiased resize in half precision on a CPU."""
    import torch

    half = load_half(folder)
    assert half.unet.dtype == half.vae.dtype == torch.bfloat16
    image = tiny.picture(32, 32)
    full, near = (sampled(net, [image], size=0, steps=1)[0].values for net in (pipeline, half))
    assert 0 < np.abs(full - near).mean() < 0.05


def test_the_darkest_decoded_is_nearest(pipeline, monkeypatch):
    """The decoder's -1 is 0 and nearest, its 1 is 1 and farthest: depth, not its inverse."""
    import torch

    from fathom.nets.mono.marigold import ambiguity_of

    def halves(latents, return_dict=True):
        out = torch.full((len(latents), 3, 2 * latents.shape[2], 2 * latents.shape[3]), -1.0)
        out[..., out.shape[-1] // 2 :] = 1.0
        return (out,)

    monkeypatch.setattr(pipeline.vae, "decode", halves)
    values = sampled(pipeline, [tiny.picture(32, 64)])[0].values
    assert (values[:, :28] == 0).all()
    assert (values[:, -28:] == 1).all()
    assert ambiguity_of(pipeline) == "affine"


def test_end_to_end_weights_take_one_step_from_zeros_to_the_predicted_start(folder, tmp_path):
    """With v-prediction and x_T = 0, x_0 = -sqrt(1 - alpha_T) v; decoded and averaged."""
    import torch

    with pytest.warns(UserWarning, match="MarigoldDepthPipeline, whose weights start from noise"):
        opened(folder, zeros=True)
    net = opened(tiny.as_end_to_end(folder, tmp_path / "e2e"), zeros=True)
    image = tiny.picture(32, 32)
    found = [sampled(net, [image], steps=1, seed=s, zeros=True)[0].values for s in (0, 1)]
    np.testing.assert_array_equal(found[0], found[1])
    with torch.inference_mode():
        x = torch.from_numpy(image.transpose(2, 0, 1)).float()[None] / 127.5 - 1
        latent = net.vae.encode(x).latent_dist.mode() * net.vae.config.scaling_factor
        ids = net.tokenizer("", return_tensors="pt").input_ids
        v = net.unet(
            torch.cat([latent, torch.zeros_like(latent)], 1), 999, net.text_encoder(ids)[0]
        ).sample
        start = -((1 - net.scheduler.alphas_cumprod[999]) ** 0.5) * v
        decoded = net.vae.decode(start / net.vae.config.scaling_factor).sample
    wanted = (decoded.mean(dim=1)[0].clamp(-1, 1) + 1) / 2
    np.testing.assert_allclose(found[0], wanted, atol=1e-5)


def test_a_consistency_model_draws_its_noise_on_the_way_by_the_seed(folder, tmp_path):
    net = opened(tiny.as_lcm(folder, tmp_path / "lcm"))
    images = [tiny.picture(32, 32, s) for s in (0, 1)]
    found = sampled(net, images, seed=4, steps=2, batch=4)
    again = sampled(net, images[1:], seed=4, steps=2)
    np.testing.assert_array_equal(found[1].values, again[0].values)
    wanted = net(images[1], num_inference_steps=2, generator=seeded(4)).prediction
    np.testing.assert_array_equal(found[1].values, wanted[0, ..., 0])


def test_weights_in_half_precision_only_are_found(folder, tmp_path):
    copied = shutil.copytree(folder, tmp_path / "half")
    for part in ("unet", "vae", "text_encoder"):
        for file in (copied / part).glob("*.safetensors"):
            file.rename(file.with_suffix(".fp16.safetensors"))
    assert opened(copied).unet.config.in_channels == 8


def test_sizes_that_do_not_fit_are_refused(pipeline):
    with pytest.raises(UsageError, match=r"size = 33.*a multiple of 2"):
        sampled(pipeline, [tiny.picture(24, 32)], size=33)
    with pytest.raises(InputError, match=r"too long and narrow.*cut a panorama"):
        sampled(pipeline, [tiny.picture(16, 900)])


def _spoil(copied, part, **changed):
    file = copied / part
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "model_index.json").unlink(), "model_index.json: is not there"),
        (lambda f: (f / "model_index.json").write_text("{"), "is no JSON; copy"),
        (lambda f: (f / "model_index.json").write_text("[]"), "is no JSON object"),
        (lambda f: _spoil(f, "model_index.json", _class_name="MarigoldNormalsPipeline"), "Normals"),
        (lambda f: _spoil(f, "unet/config.json", in_channels=4), "with 4 channels into its U-Net"),
        (lambda f: _spoil(f, "model_index.json", prediction_type="heat"), "depth or disparity"),
        (lambda f: (f / "vae" / TENSORS).unlink(), "cannot be opened"),
        (lambda f: (f / "unet" / TENSORS).write_bytes(b"no"), "cannot be opened"),
    ],
)  # fmt: skip
def test_a_folder_that_is_none_is_refused_in_one_line(folder, tmp_path, spoil, message):
    copied = shutil.copytree(folder, tmp_path / "copied")
    spoil(copied)
    with pytest.raises(InputError, match=message) as caught:
        opened(copied)
    assert "\n" not in str(caught.value)
    assert str(copied) in str(caught.value)


def test_the_libraries_are_as_loud_after_loading_as_before(folder):
    from diffusers.utils import logging as ours
    from transformers.utils import logging as theirs

    before = [(m.get_verbosity(), m.is_progress_bar_enabled()) for m in (ours, theirs)]
    opened(folder)
    assert [(m.get_verbosity(), m.is_progress_bar_enabled()) for m in (ours, theirs)] == before
