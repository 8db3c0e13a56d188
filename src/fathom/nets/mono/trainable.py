"""Depth nets of transformers as modules that can be trained: an image in 0..255 in, a map out."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fathom.core.arrays import Float
from fathom.layers.mono import MonoOutput
from fathom.layers.stereo import imagenet_colours
from fathom.nets.mono.pretrained import quiet


class TrainableDepth(nn.Module):
    """A net of transformers for depth (Depth Anything, DPT, ...) with its encoder's last features.

    net: one of its `...ForDepthEstimation` with an encoder of its own (`net.backbone`). image
    (b, 3, h, w), RGB in 0..255, sides multiples of the encoder's patches, gives a `MonoOutput` at
    the image's size. Images are normalised by ImageNet's colours, as these nets' processors do.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> MonoOutput:
        """See the class."""
        output, _ = self.levels(image)
        return output

    def levels(self, image: Float[Tensor, "b 3 h w"]) -> tuple[MonoOutput, list[Tensor]]:
        """The output, and the decoder's features, coarse to fine, that it is made of."""
        height, width = image.shape[-2:]
        found = self.net.backbone(imagenet_colours(image)).feature_maps
        patch = self.net.config.patch_size
        rows, columns = height // patch, width // patch
        fused: list[Tensor] = self.net.neck(found, rows, columns)
        depth = self.net.head(fused, rows, columns)[:, None]
        tokens = found[-1][:, -rows * columns :].transpose(1, 2)  # the first is the whole image's
        features = tokens.reshape(len(tokens), -1, rows, columns)
        return MonoOutput(depth, features), fused


def depth_anything_of(folder: Path | str) -> TrainableDepth:
    """A Depth Anything of a local folder as the hub has them (config.json, safetensors), to be
    trained further. Raises `InputError` for what is none."""
    from transformers import DepthAnythingForDepthEstimation

    with quiet(Path(folder)):
        net: Any = DepthAnythingForDepthEstimation.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    return TrainableDepth(net)
