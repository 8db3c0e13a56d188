"""An encoder of transformers (DINOv2 or another) as the source of a stereo net's features.

config = BackboneConfig(folder="dinov2-small")          # or kind="convnext", settings=(...)
Backbone(config, 320)(images)                           # (b, 320, h / 4, w / 4)

A vision transformer tells what a place shows, but for patches of 14 pixels and more; matching needs
to know where to a fraction of one. So its maps are enlarged to a quarter of the image's size and
joined with those of three convolutions of the image itself, as FoundationStereo (Wen et al., CVPR
2025, section 3.1) joins a frozen Depth Anything with a small net.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import InputError, MissingExtraError, UsageError
from fathom.layers.blocks import ConvNorm
from fathom.layers.resample import to_size

_CELL = 4


@dataclass(frozen=True)
class BackboneConfig:
    """folder: of an encoder as the hub has them (config.json, safetensors); nothing is downloaded.
    kind, settings: without a folder, transformers' name of one with random weights, and what its
    configuration is told. frozen: it stays as it is; else it is trained with the rest. beside:
    channels of the convolutions beside it.

    Raises `UsageError` for less than one channel.
    """

    folder: str | None = None
    kind: str = "dinov2"
    settings: tuple[tuple[str, Any], ...] = ()
    frozen: bool = True
    beside: int = 32

    def __post_init__(self) -> None:
        if self.beside < 1:
            raise UsageError("is no width", field="beside", value=self.beside, expected=">= 1")


class Backbone(nn.Module):
    """images (b, 3, h, w), normalised by ImageNet's colours, give maps (b, channels, h/4, w/4).

    The encoder sees them at the next multiples of its patches. Frozen, it takes no gradient, stays
    in evaluation mode, and is part of the weights all the same: a file of them is whole.

    Raises `InputError` for a folder that holds no such encoder or not all of it, `UsageError` for a
    kind or settings that transformers does not know, `MissingExtraError` without it.
    """

    def __init__(self, config: BackboneConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = _encoder(config)
        self.patch = int(getattr(self.encoder.config, "patch_size", 1) or 1)
        width = config.beside
        self.beside = nn.Sequential(
            ConvNorm(3, width, stride=2), ConvNorm(width, width), ConvNorm(width, width, stride=2)
        )
        self.join = nn.Sequential(
            ConvNorm(sum(self.encoder.channels) + width, channels, 1),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        )
        if config.frozen:
            self.encoder.requires_grad_(False)
            self.encoder.eval()

    def train(self, mode: bool = True) -> "Backbone":
        """All but a frozen encoder."""
        super().train(mode)
        if self.config.frozen:
            self.encoder.eval()
        return self

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c _h _w"]:
        """See the class."""
        height, width = images.shape[-2:]
        fine = self.beside(images)
        size = [-(-side // self.patch) * self.patch for side in (height, width)]
        seen = images
        if size != [height, width]:
            seen = functional.interpolate(images, size, mode="bicubic", align_corners=False)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.frozen):
            maps = self.encoder(seen).feature_maps
        quarter = (height // _CELL, width // _CELL)
        out: Tensor = self.join(torch.cat([fine, *(to_size(m, quarter) for m in maps)], dim=1))
        return out


def _encoder(config: BackboneConfig) -> Any:
    if importlib.util.find_spec("transformers") is None:
        raise MissingExtraError("transformers", "mono")
    from transformers import AutoBackbone, AutoConfig

    from fathom.nets.mono.pretrained import quiet

    if config.folder is None:
        try:
            told = AutoConfig.for_model(config.kind, **dict(config.settings))
            return AutoBackbone.from_config(told)
        except Exception as error:  # of transformers: wrong names, wrong values, no such backbone
            raise UsageError(
                f"is no backbone of transformers: {error}", field="kind, settings",
                value=f"{config.kind}, {dict(config.settings)}", expected="dinov2, convnext, ...",
            ) from error  # fmt: skip
    place = Path(config.folder)
    if not (place / "config.json").is_file():
        raise InputError(
            "holds no encoder", file=place, expected="config.json and model.safetensors"
        )
    with quiet(place):
        told = AutoConfig.from_pretrained(
            place, local_files_only=True, trust_remote_code=False, **dict(config.settings)
        )
        # AutoBackbone's own way in takes a folder for the name of a repository
        home: Any = AutoBackbone._model_mapping[type(told)]
        net, loaded = home.from_pretrained(
            place, config=told, local_files_only=True, use_safetensors=True,
            dtype=torch.float32, output_loading_info=True,
        )  # fmt: skip
    missing = sorted(name for name in loaded["missing_keys"] if "mask_token" not in name)
    if missing:
        raise InputError(
            f"lacks {len(missing)} of the encoder's tensors", file=place, field="tensor",
            value=missing[0], remedy="fetch the model again",
        )  # fmt: skip
    return net
