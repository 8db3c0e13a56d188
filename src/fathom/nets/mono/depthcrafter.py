"""DepthCrafter: Hu et al., "DepthCrafter: Generating Consistent Long Depth Sequences for Open-world
Videos", CVPR 2025; built of diffusers' parts, for diffusers has no pipeline for it.

1. Each frame is described by a CLIP image encoder (one vector) and by a VAE (latents at an eighth).
2. Windows of 110 frames that share 25: noise becomes latents of inverse depth in five steps
   (Euler), by Stable Video Diffusion's U-Net, which sees the frames' latents beside them and each
   frame's own vector. The frames that two windows share start, in the later one, from the earlier
   one's answer with noise added, and both answers are blended.
3. A decoder with layers over time gives frames, a few at a time; the mean of their channels,
   brought to 0..1 over the whole clip, is the answer: 1 is nearest, so 1 / Z = s v + t with one
   (s, t) for the clip. Its authors call it disparity (their issues 23 and 42), and align it to
   1 / Z when they evaluate.

As in the authors' code (github.com/Tencent/DepthCrafter; facts only, written anew here), which
says what the paper leaves open: sizes, the noise of the next window, the weights of the blend.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Array, Float, Float32
from fathom.core.errors import InputError, ResourceError
from fathom.nets.mono.diffusion import (
    DTYPES,
    Precision,
    opening,
    read_json,
    running,
    variant_of,
)
from fathom.nets.mono.windows import clip_size, joined, least_memory, ramp, windows

Tell = Callable[[int, int], None]
"""How many parts of the work are done, and of how many."""
_FPS, _MOTION, _NOISE = 7, 127, 0.02
"""Frames a second, amount of motion and noise on the frames that the U-Net is told of."""
_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""Mean and standard deviation of colours in 0..1 for CLIP."""
_WHAT = "DepthCrafter's or Stable Video Diffusion's"


@dataclass(frozen=True, eq=False)
class Parts:
    """The nets, on their device. scheduler: its configuration. mean, std: of colours for CLIP."""

    unet: Any
    vae: Any
    encoder: Any
    scheduler: Any
    mean: tuple[float, ...]
    std: tuple[float, ...]
    device: torch.device
    dtype: torch.dtype


@dataclass(frozen=True)
class Crafting:
    """steps: of denoising. window, overlap: frames. size: pixels of the longer side at most. chunk:
    frames that the VAE takes together. seed: of the noise. memory: most bytes, None = no limit."""

    steps: int = 5
    window: int = 110
    overlap: int = 25
    size: int = 1024
    chunk: int = 8
    seed: int = 0
    memory: int | None = None


def has_all_parts(folder: Path) -> bool:
    """Whether a folder has more than the U-Net."""
    return (folder / "vae").is_dir() and (folder / "image_encoder").is_dir()


def load_parts(folder: Path, base: Path, device: torch.device, precision: Precision) -> Parts:
    """The U-Net of `folder` (its part `unet`, or the folder itself, as DepthCrafter's repository
    is), and the VAE, image encoder and scheduler of `base`.

    The VAE stays in float32 where it says that half precision overflows (force_upcast).

    Raises `InputError` if a part is missing, damaged, or another kind of net, `ResourceError` for
    want of memory.
    """
    at = folder / "unet" if (folder / "unet").is_dir() else folder
    config = read_json(at / "config.json", _WHAT)
    if config.get("in_channels") != 8 or "addition_time_embed_dim" not in config:
        raise InputError(
            "is no U-Net of DepthCrafter", file=at / "config.json", field="in_channels",
            value=config.get("in_channels"), expected="8, and addition_time_embed_dim",
        )  # fmt: skip
    for file in ("vae/config", "image_encoder/config", "scheduler/scheduler_config"):
        read_json(base / f"{file}.json", _WHAT)
    colours = base / "feature_extractor" / "preprocessor_config.json"
    said = read_json(colours, _WHAT) if colours.is_file() else {}
    with opening(folder):
        from diffusers import (
            AutoencoderKLTemporalDecoder,
            EulerDiscreteScheduler,
            UNetSpatioTemporalConditionModel,
        )
        from transformers import CLIPVisionModelWithProjection

        dtype = DTYPES[precision]
        unet = _loaded(UNetSpatioTemporalConditionModel, at, precision)
        # where its configuration asks for it, the VAE runs in float32 all the same
        vae = _loaded(AutoencoderKLTemporalDecoder, base / "vae", "fp32")
        encoder = _loaded(CLIPVisionModelWithProjection, base / "image_encoder", precision)
        steps = EulerDiscreteScheduler.from_pretrained(base / "scheduler", local_files_only=True)
        fine = precision == "fp16" and vae.config.force_upcast
        return Parts(
            unet.to(device, dtype).eval(),
            vae.to(device, torch.float32 if fine else dtype).eval(),
            encoder.to(device, dtype).eval(),
            steps.config,
            tuple(said.get("image_mean", _CLIP[0])),
            tuple(said.get("image_std", _CLIP[1])),
            device,
            dtype,
        )


def _loaded(kind: Any, folder: Path, precision: Precision) -> Any:
    variant = variant_of(folder, precision)
    return kind.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, variant=variant
    )


def craft(
    parts: Parts, frames: Sequence[Array], how: Crafting, tell: Tell = lambda *_: None
) -> list[Float32[np.ndarray, "h w"]]:
    """Relative inverse depth of the frames of one clip, uint8 (h, w, 3) of one size, in 0..1 over
    the clip (0 everywhere if all is equally far). tell: called as the work goes on.

    Raises `ResourceError` if the device or `how.memory` has too little memory.
    """
    shape = (frames[0].shape[0], frames[0].shape[1])
    size = clip_size(*shape, how.size)
    _check_memory(parts, size, len(frames), how)
    cut = windows(len(frames), how.window, how.overlap)
    chunks = -(-len(frames) // how.chunk)
    done, total = 0, 2 * chunks + how.steps * len(cut)

    def tick() -> None:
        nonlocal done
        done += 1
        tell(done, total)

    with running(parts.device):
        noise = torch.Generator().manual_seed(how.seed)
        seen, vectors = _described(parts, frames, size, how.chunk, noise, tick)
        start = torch.randn((cut[0].length, *seen.shape[1:]), generator=noise, dtype=parts.dtype)
        latents = _denoised(parts, seen, vectors, start.to(parts.device), how, tick)
        return _decoded(parts, latents, shape, how.chunk, tick)


def _check_memory(parts: Parts, size: tuple[int, int], frames: int, how: Crafting) -> None:
    if how.memory is None:
        return
    widest = parts.unet.config.block_out_channels[0], parts.vae.config.block_out_channels[0]
    number = torch.finfo(parts.dtype).bits // 8
    need = least_memory(size, frames, how.window, how.chunk, widest, number)
    if need > how.memory:
        raise ResourceError(
            f"{frames} frames at {size[1]}x{size[0]} take at least {need / 1e6:.0f} MB of memory",
            expected=f"at most {how.memory / 1e6:.0f} MB",
            remedy="give a smaller size, window or chunk, fewer frames, or half precision",
        )


def _described(
    parts: Parts,
    frames: Sequence[Array],
    size: tuple[int, int],
    chunk: int,
    noise: torch.Generator,
    tick: Callable[[], None],
) -> tuple[Float[Tensor, "t c h w"], Float[Tensor, "t d"]]:
    """The latents and the vector of each frame; a little noise is on what the VAE sees."""
    latents, vectors = [], []
    for first in range(0, len(frames), chunk):
        images = np.stack(frames[first : first + chunk]).transpose(0, 3, 1, 2)
        x = torch.from_numpy(images).to(parts.device).float() / 255
        if tuple(x.shape[-2:]) != size:
            x = functional.interpolate(x, size, mode="bilinear", antialias=True)
        x = 2 * x - 1
        vectors.append(_vector(parts, x))
        # frame by frame, so that the noise does not depend on the chunk
        added = [torch.randn((3, *size), generator=noise) for _ in range(len(x))]
        x = x + _NOISE * torch.stack(added).to(parts.device)
        found = parts.vae.encode(x.to(parts.vae.dtype)).latent_dist.mode()
        latents.append(found.to(parts.dtype))
        tick()
    return torch.cat(latents), torch.cat(vectors)


def _vector(parts: Parts, x: Float[Tensor, "t 3 h w"]) -> Float[Tensor, "t d"]:
    """CLIP's vector of frames in -1..1."""
    side = parts.encoder.config.image_size
    mean, std = (torch.tensor(v, device=x.device)[:, None, None] for v in (parts.mean, parts.std))
    colours = ((shrunk(x, side) + 1) / 2 - mean) / std
    out: Tensor = parts.encoder(colours.to(parts.dtype)).image_embeds
    return out


def shrunk(x: Float[Tensor, "n c h w"], side: int) -> Float[Tensor, "n c s s"]:
    """Images as squares of `side` pixels: Gaussian blur against aliasing, then bicubic between the
    corners' centres, as Stable Video Diffusion was trained (its pipeline in diffusers)."""
    for dim in (3, 2):
        sigma = max((x.shape[dim] / side - 1) / 2, 1e-3)
        taps = int(max(4 * sigma, 3)) | 1
        at = torch.arange(taps, device=x.device, dtype=x.dtype) - taps // 2
        kernel = torch.exp(-(at**2) / (2 * sigma**2))
        kernel = kernel / kernel.sum()
        room, form = [0, 0, 0, 0], [1, 1, 1, 1]
        room[2 * (3 - dim)] = room[2 * (3 - dim) + 1] = taps // 2
        form[dim] = taps
        flat = functional.pad(x.flatten(0, 1)[:, None], room, mode="reflect")
        x = functional.conv2d(flat, kernel.view(form)).view(x.shape)
    return functional.interpolate(x, (side, side), mode="bicubic", align_corners=True)


def _denoised(
    parts: Parts,
    seen: Float[Tensor, "t c h w"],
    vectors: Float[Tensor, "t d"],
    noise: Float[Tensor, "n c h w"],
    how: Crafting,
    tick: Callable[[], None],
) -> Float[Tensor, "t c h w"]:
    """Latents of inverse depth of all frames. noise: of one window."""
    from diffusers import EulerDiscreteScheduler

    scheduler = EulerDiscreteScheduler.from_config(parts.scheduler)
    told = torch.tensor([[_FPS, _MOTION, _NOISE]], dtype=parts.dtype, device=parts.device)
    found: Tensor | None = None
    for window in windows(len(seen), how.window, how.overlap):
        set_steps(scheduler, how.steps, parts.device)
        x = noise[: window.length] * scheduler.init_noise_sigma
        if found is not None:
            shared = window.shared
            # what both hold starts from the answer there is, with the noise of the first step
            x[:shared] = found[len(found) - shared :] + noise[:shared] * scheduler.sigmas[0]
        frames = slice(window.first, window.end)
        with _each_frame(parts.unet, vectors[frames, None]) as placeholder:
            for t in scheduler.timesteps:
                given = scheduler.scale_model_input(x[None], t)
                given = torch.cat([given, seen[None, frames]], dim=2).to(parts.dtype)
                guess = parts.unet(given, t, placeholder, told, return_dict=False)[0]
                x = scheduler.step(guess, t, x[None]).prev_sample[0]
                tick()
        if found is None:
            found = x
        else:
            weights = torch.from_numpy(ramp(window.shared)).to(x)[:, None, None, None]
            found = joined(found, x, window.shared, weights, torch.cat)
        # shared frames keep their noise: its end comes first in the next window
        noise = noise.roll(how.overlap, 0)
    return seen[:0] if found is None else found


def set_steps(scheduler: Any, steps: int, device: torch.device) -> None:
    """Lets the scheduler begin anew with so many steps."""
    with warnings.catch_warnings():
        # diffusers hands a tensor to numpy's array() in a way that numpy 2 is to forbid
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        scheduler.set_timesteps(steps, device=device)


@contextmanager
def _each_frame(unet: Any, vectors: Float[Tensor, "t 1 d"]) -> Iterator[Float[Tensor, "1 1 d"]]:
    """While open, each frame attends to its own vector: Stable Video Diffusion's U-Net has one
    for all frames, which it repeats. Its blocks are handed the others on their way in.

    Gives what to call it with: a stand-in that is not a number, so that a block that was forgotten
    would show.
    """

    def hand_over(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if "encoder_hidden_states" in kwargs:
            kwargs = {**kwargs, "encoder_hidden_states": vectors}
        return args, kwargs

    blocks = (*unet.down_blocks, unet.mid_block, *unet.up_blocks)
    hooks = [b.register_forward_pre_hook(hand_over, with_kwargs=True) for b in blocks]
    try:
        yield torch.full_like(vectors[:1], torch.nan)
    finally:
        for hook in hooks:
            hook.remove()


def _decoded(
    parts: Parts,
    latents: Float[Tensor, "t c h w"],
    shape: tuple[int, int],
    chunk: int,
    tick: Callable[[], None],
) -> list[Float32[np.ndarray, "rows columns"]]:
    """The clip's maps at the frames' size, 0..1 over the clip."""
    maps = []
    for part in torch.split(latents, chunk):
        scaled = (part / parts.vae.config.scaling_factor).to(parts.vae.dtype)
        images = parts.vae.decode(scaled, num_frames=len(part)).sample.float()
        # each channel in 0..1 before their mean, as pictures are
        maps.append((images / 2 + 0.5).clamp(0, 1).mean(dim=1).cpu())
        tick()
    near, far = max(float(m.max()) for m in maps), min(float(m.min()) for m in maps)
    found: list[Array] = []
    for some in maps:
        values = (some - far) / (near - far) if near > far else torch.zeros_like(some)
        if tuple(values.shape[-2:]) != shape:
            values = functional.interpolate(
                values[:, None], shape, mode="bilinear", antialias=True
            )[:, 0]
        found.extend(values.numpy())
    return found
