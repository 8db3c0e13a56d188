"""Marigold: Ke et al., "Repurposing Diffusion-Based Image Generators for Monocular Depth
Estimation", CVPR 2024, and "Marigold: Affordable Adaptation ...", 2025; through diffusers.

1. The image's longer side is brought to 768 pixels; a VAE makes latents of it, at an eighth.
2. Noise is turned into the latents of a depth map in a few steps (DDIM), by a U-Net that sees both.
3. The decoder's three channels are averaged: 0 (nearest) to 1 (farthest), so Z = s v + t.
4. Several such samples (ensemble) are aligned by a scale and a shift each; their median is the
   answer, their median absolute deviation is how far they disagree.

The pipeline is diffusers' `MarigoldDepthPipeline`, untouched. The latent consistency variant (LCM)
differs by its scheduler, which its folder names. The end-to-end fine-tuned one (Martin Garcia et
al., "Fine-Tuning Image-Conditional Diffusion Models Is Easier than You Think", WACV 2025) makes one
step from zeros instead of noise and takes the predicted x_0; so its scheduler is set here.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fathom.core.arrays import Array, Float32
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Ambiguity
from fathom.nets.mono.diffusion import (
    DTYPES,
    Precision,
    opening,
    read_json,
    running,
    variant_of,
)

_PIPELINES = ("MarigoldDepthPipeline", "MarigoldPipeline", "StableDiffusionPipeline")
"""Names under which depth pipelines of this kind were published; the last is that of weights
fine-tuned end to end."""
_WHAT = "a Marigold depth pipeline"
_STEPS, _SIDE = 10, 768
"""Where the folder does not say (the first publication's does not)."""
_AMBIGUITIES: dict[tuple[str, bool], Ambiguity] = {
    ("depth", True): "affine",
    ("depth", False): "scale",
    ("disparity", True): "affine_inverse",
    ("disparity", False): "affine_inverse",
}


@dataclass(frozen=True, eq=False)
class Sampled:
    """Of one image. values: 0..1. spread: how far the members of the ensemble disagree (median
    absolute deviation), in the unit of the values; None for one member."""

    values: Float32[np.ndarray, "h w"]
    spread: Float32[np.ndarray, "h w"] | None


@dataclass(frozen=True)
class Sampling:
    """steps: of denoising, None = as published. ensemble: samples of each image. size: pixels of
    the longer side, 0 = the image's own, None = as published. seed: of the noise. batch: samples
    that go through the nets together. zeros: start from zeros instead of noise."""

    steps: int | None = None
    ensemble: int = 1
    size: int | None = None
    seed: int = 0
    batch: int = 1
    zeros: bool = False


def load_marigold(
    folder: Path, device: torch.device, precision: Precision, *, zeros: bool = False
) -> Any:
    """diffusers' pipeline from a folder, on the device. zeros: of the end-to-end fine-tuned kind.

    Raises `InputError` if the folder is not one of a Marigold depth pipeline or is damaged,
    `ResourceError` for want of memory.
    """
    index = read_json(folder / "model_index.json", _WHAT)
    kind = index.get("_class_name")
    unet = read_json(folder / "unet" / "config.json", _WHAT)
    if kind not in _PIPELINES or unet.get("in_channels") != 8:
        raise InputError(
            f"is not {_WHAT}", file=folder, field="_class_name",
            value=f"{kind} with {unet.get('in_channels')} channels into its U-Net",
            expected=f"{_PIPELINES[0]} with 8",
        )  # fmt: skip
    predicted = index.get("prediction_type") or "depth"
    if predicted not in ("depth", "disparity"):
        raise InputError(
            "is nothing this pipeline predicts", file=folder / "model_index.json",
            field="prediction_type", value=predicted, expected="depth or disparity",
        )  # fmt: skip
    if zeros and kind != _PIPELINES[-1]:
        warnings.warn(
            f"{folder} holds a {kind}, whose weights start from noise; what is fine-tuned end to "
            "end starts from zeros: take --method marigold, unless these are",
            stacklevel=2,
        )
    with opening(folder):
        from diffusers import DDIMScheduler, MarigoldDepthPipeline

        pipeline = MarigoldDepthPipeline.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            variant=variant_of(folder / "unet", precision),
            prediction_type=predicted,
        )
        if zeros:
            # with this setting the last step gives x_0 itself, as in the authors' code
            pipeline.scheduler = DDIMScheduler.from_config(
                pipeline.scheduler.config, timestep_spacing="trailing", set_alpha_to_one=True
            )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to(device, DTYPES[precision])


def ambiguity_of(pipeline: Any) -> Ambiguity:
    """What stands between the pipeline's values and metres."""
    shifted = pipeline.shift_invariant is not False
    return _AMBIGUITIES[pipeline.config.prediction_type, shifted]


def sample(pipeline: Any, images: Sequence[Array], how: Sampling) -> list[Sampled]:
    """Depth of images uint8 (h, w, 3) of one size, each as it would be alone (up to rounding).

    Raises `UsageError` for a size that the pipeline does not take, `InputError` for images too long
    and narrow for it, `ResourceError` if the device has too little memory.
    """
    steps = how.steps or pipeline.default_denoising_steps or _STEPS
    side = how.size if how.size is not None else pipeline.default_processing_resolution or _SIDE
    latent = _latent_size(images[0].shape[:2], side, pipeline.vae_scale_factor)
    found = []
    # a scheduler that adds noise on the way must draw it after the first noise, image by image
    noisy = type(pipeline.scheduler).__name__ == "LCMScheduler" and steps > 1
    together = 1 if noisy else max(1, how.batch // how.ensemble)
    with running(pipeline.device):
        for first in range(0, len(images), together):
            part = images[first : first + together]
            noise: dict[str, Any] = {}
            if noisy:
                noise["generator"] = _generator(how.seed)
            else:
                noise["latents"] = torch.cat([_noise(pipeline, how, latent) for _ in part])
            answer = pipeline(
                torch.from_numpy(np.stack(part).transpose(0, 3, 1, 2)),
                num_inference_steps=steps,
                ensemble_size=how.ensemble,
                processing_resolution=side,
                batch_size=min(how.batch, len(part) * how.ensemble),
                output_uncertainty=how.ensemble > 1,
                **noise,
            )
            spreads = answer.uncertainty
            for i, values in enumerate(answer.prediction):
                spread = None if spreads is None else spreads[i, ..., 0]
                found.append(Sampled(values[..., 0], spread))
    return found


def _latent_size(shape: tuple[int, ...], side: int, factor: int) -> tuple[int, int]:
    """Height and width of the latents of an image of that shape."""
    if side % factor:
        raise UsageError(
            "is no size for this pipeline", field="size", value=side,
            expected=f"a multiple of {factor}, or 0 for the image's own",
        )  # fmt: skip
    height, width = shape
    if side:
        height, width = (n * side // max(shape) for n in shape)
    if min(height, width) < factor:
        raise InputError(
            "is too long and narrow for this net", field="image", value=f"{shape[1]}x{shape[0]}",
            expected=f"{factor} pixels or more across once its longer side is {side or max(shape)}",
            remedy="cut a panorama into parts",
        )  # fmt: skip
    return -(-height // factor), -(-width // factor)


def _noise(pipeline: Any, how: Sampling, latent: tuple[int, int]) -> torch.Tensor:
    """What the samples of one image start from: the numbers the pipeline itself would draw with
    this seed for this image alone, whatever goes through it beside it."""
    shape = (how.ensemble, pipeline.vae.config.latent_channels, *latent)
    if how.zeros:
        return torch.zeros(shape, dtype=pipeline.dtype, device=pipeline.device)
    noise = torch.randn(shape, generator=_generator(how.seed), dtype=pipeline.dtype)
    return noise.to(pipeline.device)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
