"""Folders of diffusion pipelines with tiny random nets, as the hub's repositories are laid out."""

import json
import shutil


def _index(folder, **changed):
    path = folder / "model_index.json"
    index = {**json.loads(path.read_text()), **changed}
    path.write_text(json.dumps({k: v for k, v in index.items() if v is not ...}))


def _tokenizer():
    """Letters of CLIP's tokenizer, made here: nothing is downloaded."""
    from transformers import CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    words = [*letters, *(x + "</w>" for x in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={w: i for i, w in enumerate(words)}, merges=[], model_max_length=77)


def marigold_folder(folder, *, seed=0):
    """A Marigold pipeline: a VAE of factor 2, latents of 4 channels, two steps at 32 pixels."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, MarigoldDepthPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, sample_size=16, in_channels=8,
        out_channels=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=16,
        attention_head_dim=4, norm_num_groups=4,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(8, 16), latent_channels=4, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    text = CLIPTextModel(
        CLIPTextConfig(
            hidden_size=16, intermediate_size=16, num_attention_heads=2, num_hidden_layers=1,
            vocab_size=600,
        )
    )  # fmt: skip
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        prediction_type="v_prediction", set_alpha_to_one=False, steps_offset=1,
        timestep_spacing="trailing",
    )  # fmt: skip
    MarigoldDepthPipeline(
        unet, vae, scheduler, text, _tokenizer(), prediction_type="depth",
        default_denoising_steps=2, default_processing_resolution=32,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def as_end_to_end(marigold, folder):
    """The same in the form in which the end-to-end fine-tuned weights were published."""
    shutil.copytree(marigold, folder)
    own = ("prediction_type", "scale_invariant", "shift_invariant", "default_denoising_steps")
    nothing = [None, None]
    _index(
        folder, _class_name="StableDiffusionPipeline", requires_safety_checker=True,
        safety_checker=nothing, feature_extractor=nothing, image_encoder=nothing,
        **dict.fromkeys(own, ...),
    )  # fmt: skip
    return folder


def as_lcm(marigold, folder):
    """The same with the scheduler of a latent consistency model."""
    from diffusers import LCMScheduler

    shutil.copytree(marigold, folder)
    shutil.rmtree(folder / "scheduler")
    LCMScheduler(
        beta_start=0.00085, beta_end=0.012, prediction_type="v_prediction"
    ).save_pretrained(folder / "scheduler")
    _index(folder, _class_name="MarigoldPipeline", scheduler=["diffusers", "LCMScheduler"])
    return folder


def crafter_folders(folder, *, seed=0):
    """DepthCrafter's U-Net as in its repository, and the other parts as in Stable Video
    Diffusion's: a VAE of factor 8, vectors of 8 numbers from images of 16 pixels."""
    import torch
    from diffusers import (
        AutoencoderKLTemporalDecoder,
        EulerDiscreteScheduler,
        UNetSpatioTemporalConditionModel,
    )
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(seed)
    own, base = folder / "depthcrafter", folder / "svd"
    UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 32), layers_per_block=1, sample_size=8, in_channels=8,
        out_channels=4, num_attention_heads=(2, 2), cross_attention_dim=8,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        projection_class_embeddings_input_dim=24, addition_time_embed_dim=8,
    ).save_pretrained(own)  # fmt: skip
    config = json.loads((own / "config.json").read_text())
    config["_class_name"] = "DiffusersUNetSpatioTemporalConditionModelDepthCrafter"
    (own / "config.json").write_text(json.dumps(config))
    AutoencoderKLTemporalDecoder(
        block_out_channels=(32,) * 4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
    ).save_pretrained(base / "vae")  # fmt: skip
    CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=8, intermediate_size=8, num_attention_heads=2, num_hidden_layers=1,
            image_size=16, patch_size=8, projection_dim=8,
        )
    ).save_pretrained(base / "image_encoder")  # fmt: skip
    EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
        prediction_type="v_prediction", sigma_max=700.0, sigma_min=0.002, steps_offset=1,
        timestep_spacing="leading", timestep_type="continuous", use_karras_sigmas=True,
    ).save_pretrained(base / "scheduler")  # fmt: skip
    return own, base


def picture(height, width, seed=0):
    """A random image that is smooth enough to be told from noise."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
