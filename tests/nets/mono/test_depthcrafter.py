"""DepthCrafter from folders: its parts against diffusers', its loop against a slow plain one."""

import json
import shutil
from importlib import util

import numpy as np
import pytest

from fathom.core import InputError, ResourceError

pytestmark = pytest.mark.skipif(
    any(util.find_spec(p) is None for p in ("torch", "diffusers", "transformers")),
    reason="needs the extra `diffusion`",
)
tiny = pytest.importorskip("tiny_diffusion")
STEPS, WINDOW, OVERLAP = 2, 4, 2


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tiny.crafter_folders(tmp_path_factory.mktemp("crafter"))


def loaded(own, base):
    import torch

    from fathom.nets.mono.depthcrafter import load_parts

    return load_parts(own, base, torch.device("cpu"), "fp32")


@pytest.fixture(scope="module")
def parts(folders):
    return loaded(*folders)


@pytest.fixture(scope="module")
def clip():
    return [tiny.picture(64, 64, seed) for seed in range(7)]


def crafted(parts, clip, tell=lambda *_: None, **how):
    from fathom.nets.mono.depthcrafter import Crafting, craft

    chosen = {"steps": STEPS, "window": WINDOW, "overlap": OVERLAP, "size": 64, "chunk": 3}
    return craft(parts, clip, Crafting(**{**chosen, **how}), tell)


def drawn(*shape, seed=0):
    import torch

    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("height", "width"), [(64, 128), (40, 16), (97, 300)])
def test_images_for_clip_are_shrunk_as_diffusers_does(height, width):
    from diffusers.pipelines.stable_video_diffusion import pipeline_stable_video_diffusion as svd

    from fathom.nets.mono.depthcrafter import shrunk

    x = drawn(2, 3, height, width)
    wanted = svd._resize_with_antialiasing(x, (16, 16))
    np.testing.assert_allclose(shrunk(x, 16), wanted, atol=1e-6)


def _plain_forward(unet, x, t, vectors, told):
    """Stable Video Diffusion's U-Net, step by step, with a vector for each frame."""
    import torch

    count = x.shape[1]
    emb = unet.time_embedding(unet.time_proj(t.expand(1)))
    emb = emb + unet.add_embedding(unet.add_time_proj(told.flatten()).reshape(1, -1))
    emb = emb.repeat_interleave(count, 0)
    common = {"temb": emb, "image_only_indicator": torch.zeros(1, count)}
    attending = {**common, "encoder_hidden_states": vectors}
    h = unet.conv_in(x[0])
    skips = [h]
    for block in unet.down_blocks:
        h, more = block(h, **(attending if hasattr(block, "attentions") else common))
        skips += more
    h = unet.mid_block(h, **attending)
    for block in unet.up_blocks:
        taken, skips = skips[-len(block.resnets) :], skips[: -len(block.resnets)]
        h = block(h, tuple(taken), **(attending if hasattr(block, "attentions") else common))
    return unet.conv_out(unet.conv_act(unet.conv_norm_out(h)))[None]


def test_each_frame_attends_to_its_own_vector(parts):
    import torch

    from fathom.nets.mono.depthcrafter import _each_frame

    x, vectors = drawn(1, 3, 8, 8, 8), drawn(3, 1, 8, seed=1)
    t, told = torch.tensor(1.5), torch.tensor([[7.0, 127.0, 0.02]])
    with torch.inference_mode():
        with _each_frame(parts.unet, vectors) as placeholder:
            ours = parts.unet(x, t, placeholder, told, return_dict=False)[0]
        wanted = _plain_forward(parts.unet, x, t, vectors, told)
        np.testing.assert_allclose(ours, wanted, atol=1e-5)
        # afterwards it is the library's again: one vector for all
        one = parts.unet(x, t, vectors[:1], told, return_dict=False)[0]
        wanted = _plain_forward(parts.unet, x, t, vectors[:1].expand(3, 1, 8), told)
        np.testing.assert_allclose(one, wanted, atol=1e-5)


def _plain_loop(parts, seen, vectors, noise):
    """The authors' loop over windows, written out frame by frame."""
    import torch
    from diffusers import EulerDiscreteScheduler

    from fathom.nets.mono.depthcrafter import set_steps

    scheduler = EulerDiscreteScheduler.from_config(parts.scheduler)
    told = torch.tensor([[7.0, 127.0, 0.02]])
    known, start = [], 0
    while start < len(seen) - OVERLAP:
        end = min(start + WINDOW, len(seen))
        set_steps(scheduler, STEPS, parts.device)
        x = []
        for i in range(end - start):
            if start and i < OVERLAP:
                x.append(known[start + i] + noise[i] * scheduler.sigmas[0])
            else:
                x.append(noise[i] * scheduler.init_noise_sigma)
        x = torch.stack(x)[None]
        for t in scheduler.timesteps:
            given = torch.cat([scheduler.scale_model_input(x, t), seen[None, start:end]], 2)
            guess = _plain_forward(parts.unet, given, t, vectors[start:end, None], told)
            x = scheduler.step(guess, t, x).prev_sample
        for i in range(end - start):
            if start and i < OVERLAP:
                share = i / (OVERLAP - 1)
                known[start + i] = share * x[0, i] + (1 - share) * known[start + i]
            else:
                known.append(x[0, i])
        noise = torch.cat([noise[-OVERLAP:], noise[:-OVERLAP]])
        start += WINDOW - OVERLAP
    return torch.stack(known)


def test_windows_are_anchored_and_blended_as_the_authors_do(parts):
    import torch

    from fathom.nets.mono.depthcrafter import Crafting, _denoised

    seen, vectors, noise = drawn(7, 4, 8, 8), drawn(7, 8, seed=1), drawn(WINDOW, 4, 8, 8, seed=2)
    how = Crafting(STEPS, WINDOW, OVERLAP)
    with torch.inference_mode():
        ours = _denoised(parts, seen, vectors, noise, how, lambda: None)
        wanted = _plain_loop(parts, seen, vectors, noise)
    np.testing.assert_allclose(ours, wanted, atol=1e-4 * float(wanted.abs().max()))


def test_a_clip_spans_0_to_1_and_follows_the_seed(parts, clip):
    told = []
    maps = crafted(parts, clip, tell=lambda *pair: told.append(pair))
    assert [m.shape for m in maps] == [(64, 64)] * 7
    assert min(m.min() for m in maps) == 0
    assert max(m.max() for m in maps) == 1
    # three chunks in, three windows of two steps, three chunks out
    assert told == [(i, 12) for i in range(1, 13)]
    again = crafted(parts, clip)
    other = crafted(parts, clip, seed=1)
    np.testing.assert_array_equal(maps, again)
    assert np.abs(np.subtract(maps, other)).max() > 1e-3


def test_the_brightest_decoded_is_nearest_over_the_whole_clip(parts, clip, monkeypatch):
    import torch

    class Answer:
        def __init__(self, sample):
            self.sample = sample

    frames = iter(range(7))

    def levels(latents, num_frames):
        assert num_frames == len(latents)
        height, width = 8 * latents.shape[2], 8 * latents.shape[3]
        values = torch.tensor([-0.6 + 0.2 * next(frames) for _ in latents])
        return Answer(values[:, None, None, None].expand(-1, 3, height, width))

    monkeypatch.setattr(parts.vae, "decode", levels)
    maps = crafted(parts, clip)
    np.testing.assert_allclose([m.mean() for m in maps], np.arange(7) / 6, atol=1e-5)
    monkeypatch.setattr(
        parts.vae, "decode", lambda z, num_frames: Answer(torch.zeros(len(z), 3, 64, 64))
    )
    assert not np.any(crafted(parts, clip))


def test_too_little_memory_is_said_before_the_work(parts, clip):
    with pytest.raises(ResourceError, match=r"7 frames at 64x64.*at most 0 MB.*chunk"):
        crafted(parts, clip, memory=1000)


@pytest.mark.parametrize(
    ("problem", "kind", "message"),
    [
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), ResourceError, "too little"),
        (MemoryError(), ResourceError, "device = 'cpu': has too little memory"),
        (RuntimeError("shapes"), RuntimeError, "shapes"),
    ],
)
def test_what_goes_wrong_on_the_device(parts, clip, monkeypatch, problem, kind, message):
    def fail(*_, **__):
        raise problem

    monkeypatch.setattr(parts.vae, "encode", fail)
    with pytest.raises(kind, match=message):
        crafted(parts, clip)


def test_weights_beyond_the_memory_are_said(folders, monkeypatch):
    from fathom.nets.mono import depthcrafter

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(depthcrafter, "_loaded", fail)
    with pytest.raises(ResourceError, match=r"weights = .*too little memory"):
        loaded(*folders)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("config.json", "is no U-Net of DepthCrafter"),
        ("diffusion_pytorch_model.safetensors", "cannot be opened"),
    ],
)
def test_a_folder_that_is_none_is_refused_in_one_line(folders, tmp_path, part, message):
    own = shutil.copytree(folders[0], tmp_path / "own")
    file = own / part
    if part == "config.json":
        file.write_text(json.dumps({**json.loads(file.read_text()), "in_channels": 4}))
    else:
        file.unlink()
    with pytest.raises(InputError, match=message) as caught:
        loaded(own, folders[1])
    assert "\n" not in str(caught.value)


def test_a_missing_part_is_named(folders, tmp_path):
    base = shutil.copytree(folders[1], tmp_path / "base")
    shutil.rmtree(base / "scheduler")
    with pytest.raises(InputError, match=r"scheduler_config\.json: is not there"):
        loaded(folders[0], base)
