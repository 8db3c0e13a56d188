"""Depth Anything: Yang et al., CVPR 2024 (V1) and NeurIPS 2024 (V2).

1. A DINOv2 vision transformer with patches of 14 pixels describes the image at four of its blocks.
2. A DPT decoder brings the four to 4, 2, 1 and 1/2 times the patches' grid and fuses them.
3. Its head gives inverse depth up to scale and shift; the metric ones a sigmoid times 20 or 80 m.

transformers runs it. Here are the authors' files (github.com/DepthAnything/Depth-Anything-V2 and
LiheYoung/Depth-Anything, Apache-2.0; weights of V2's base and large CC-BY-NC-4.0), whose tensors
`convert` renames to those of the hub's repositories, and what the authors do otherwise than
transformers: the position embedding for images that are not 518x518. The authors enlarge it by a
factor of (n + 0.1) / 37 for n patches, transformers to n patches; `official_positions` does as
the authors do.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import InputError
from fathom.published.record import UNKNOWN, Licences, Weights

PATCH = 14
GRID = 37
"""Patches along a side of the images it was trained on: 518 pixels."""
_OFFSET = 0.1
_HEAD = 32
Size = Literal["small", "base", "large"]
_LETTERS: Mapping[str, str] = {"small": "s", "base": "b", "large": "l"}


@dataclass(frozen=True)
class Shape:
    """hidden: width of the transformer. blocks: how many. heads: of attention. levels: channels of
    the four descriptions. fused: of the decoder. taken: after which blocks V2 and V1 look."""

    hidden: int
    blocks: int
    heads: int
    levels: tuple[int, int, int, int]
    fused: int
    taken: Mapping[str, tuple[int, int, int, int]]


SHAPES: Mapping[Size, Shape] = {
    "small": Shape(
        384, 12, 6, (48, 96, 192, 384), 64, {"v2": (3, 6, 9, 12), "v1": (9, 10, 11, 12)}
    ),
    "base": Shape(
        768, 12, 12, (96, 192, 384, 768), 128, {"v2": (3, 6, 9, 12), "v1": (9, 10, 11, 12)}
    ),
    "large": Shape(
        1024, 24, 16, (256, 512, 1024, 1024), 256, {"v2": (5, 12, 18, 24), "v1": (21, 22, 23, 24)}
    ),
}  # fmt: skip


class DepthAnything(nn.Module):
    """The tensors of a Depth Anything, by their names in the hub's files; it computes nothing."""

    def __init__(self, size: Size = "small") -> None:
        super().__init__()
        for name, shape in tensors(SHAPES[size]):
            _put(self, name, nn.Parameter(torch.empty(shape)))


def _put(home: nn.Module, name: str, values: nn.Parameter) -> None:
    *path, leaf = name.split(".")
    for part in path:
        if part not in dict(home.named_children()):
            home.add_module(part, nn.Module())
        home = home.get_submodule(part)
    home.register_parameter(leaf, values)


def tensors(of: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of each tensor, as the hub's files have them."""
    for name, shape in _layers(of):
        yield name, shape
        if name.endswith(".weight") and not name.startswith("neck.convs."):
            # a transposed convolution keeps its outputs second; here both numbers are the same
            yield name.removesuffix("weight") + "bias", shape[:1]


def _layers(of: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    wide, fused = of.hidden, of.fused
    yield "backbone.embeddings.cls_token", (1, 1, wide)
    yield "backbone.embeddings.mask_token", (1, wide)
    yield "backbone.embeddings.position_embeddings", (1, GRID * GRID + 1, wide)
    yield "backbone.embeddings.patch_embeddings.projection.weight", (wide, 3, PATCH, PATCH)
    for i in range(of.blocks):
        block = f"backbone.encoder.layer.{i}."
        for part in ("query", "key", "value"):
            yield f"{block}attention.attention.{part}.weight", (wide, wide)
        yield f"{block}attention.output.dense.weight", (wide, wide)
        yield f"{block}mlp.fc1.weight", (4 * wide, wide)
        yield f"{block}mlp.fc2.weight", (wide, 4 * wide)
        for k in (1, 2):
            yield f"{block}norm{k}.weight", (wide,)
            yield f"{block}layer_scale{k}.lambda1", (wide,)
    yield "backbone.layernorm.weight", (wide,)
    for k, level in enumerate(of.levels):
        yield f"neck.reassemble_stage.layers.{k}.projection.weight", (level, wide, 1, 1)
        if (kernel := (4, 2, 0, 3)[k]) > 0:
            shape = (level, level, kernel, kernel)
            yield f"neck.reassemble_stage.layers.{k}.resize.weight", shape
        yield f"neck.convs.{k}.weight", (fused, level, 3, 3)
        home = f"neck.fusion_stage.layers.{k}."
        yield f"{home}projection.weight", (fused, fused, 1, 1)
        for unit, conv in ((u, c) for u in (1, 2) for c in (1, 2)):
            yield f"{home}residual_layer{unit}.convolution{conv}.weight", (fused, fused, 3, 3)
    yield "head.conv1.weight", (fused // 2, fused, 3, 3)
    yield "head.conv2.weight", (_HEAD, fused // 2, 3, 3)
    yield "head.conv3.weight", (1, _HEAD, 1, 1)


_BLOCK = r"backbone\.encoder\.layer\.(\d+)"
_RENAMED = (
    (r"backbone\.embeddings\.position_embeddings", "pretrained.pos_embed"),
    (r"backbone\.embeddings\.patch_embeddings\.projection", "pretrained.patch_embed.proj"),
    (r"backbone\.embeddings\.", "pretrained."),
    (r"backbone\.layernorm", "pretrained.norm"),
    (_BLOCK + r"\.attention\.output\.dense", r"pretrained.blocks.\1.attn.proj"),
    (_BLOCK + r"\.layer_scale(\d)\.lambda1", r"pretrained.blocks.\1.ls\2.gamma"),
    (_BLOCK, r"pretrained.blocks.\1"),
    (r"neck\.reassemble_stage\.layers\.(\d)\.projection", r"depth_head.projects.\1"),
    (r"neck\.reassemble_stage\.layers\.(\d)\.resize", r"depth_head.resize_layers.\1"),
    (r"head\.conv1", "depth_head.scratch.output_conv1"),
    (r"head\.conv2", "depth_head.scratch.output_conv2.0"),
    (r"head\.conv3", "depth_head.scratch.output_conv2.2"),
)  # fmt: skip
"""The hub's name -> the authors', where one tensor is one tensor."""
_THIRDS = ("query", "key", "value")
_ATTENTION = re.compile(_BLOCK + r"\.attention\.attention\.(\w+)\.(\w+)")


def _official(name: str) -> str:
    """The authors' name of a tensor."""
    if found := re.fullmatch(r"neck\.convs\.(\d)\.weight", name):
        return f"depth_head.scratch.layer{int(found[1]) + 1}_rn.weight"
    if found := re.fullmatch(r"neck\.fusion_stage\.layers\.(\d)\.(.+)", name):
        rest = found[2].replace("projection", "out_conv")
        rest = rest.replace("residual_layer", "resConfUnit").replace("convolution", "conv")
        return f"depth_head.scratch.refinenet{4 - int(found[1])}.{rest}"
    for pattern, official in _RENAMED:
        if found := re.match(pattern, name):
            return found.expand(official) + name[found.end() :]
    return name


def _size_of(state: Mapping[str, Tensor], token: str) -> Size:
    widths: dict[int, Size] = {shape.hidden: size for size, shape in SHAPES.items()}
    found = widths.get(state[token].shape[-1]) if token in state else None
    if found is None:
        raise InputError(
            "is no Depth Anything of a known size", field=token,
            expected=f"a last side of {', '.join(map(str, widths))}",
        )  # fmt: skip
    return found


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The authors' tensors under the hub's names; query, key and value are cut apart.

    Raises `InputError` for a transformer of an unknown width.
    """
    found = {}
    for name, _ in tensors(SHAPES[_size_of(state, "pretrained.cls_token")]):
        if match := _ATTENTION.fullmatch(name):
            joined = state[f"pretrained.blocks.{match[1]}.attn.qkv.{match[3]}"]
            third = joined.shape[0] // 3
            start = _THIRDS.index(match[2]) * third
            found[name] = joined[start : start + third].clone()
        else:
            found[name] = state[_official(name)]
    return found


def unconvert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The other way round. Raises as `convert`."""
    found: dict[str, Tensor] = {}
    for name, _ in tensors(SHAPES[_size_of(state, "backbone.embeddings.cls_token")]):
        if match := _ATTENTION.fullmatch(name):
            home = name[: match.start(2)]
            if match[2] == _THIRDS[0]:
                joined = torch.cat([state[f"{home}{part}.{match[3]}"] for part in _THIRDS])
                found[f"pretrained.blocks.{match[1]}.attn.qkv.{match[3]}"] = joined
        else:
            found[_official(name)] = state[name]
    return found


def config_of(model: str) -> Any:
    """transformers' configuration of a Depth Anything of the catalog.

    Raises `InputError` for a name that is none.
    """
    from transformers import DepthAnythingConfig, Dinov2Config

    match = re.fullmatch(r"depth-anything(-v2)?(?:-metric-(indoor|outdoor))?-(\w+)", model)
    if match is None or match[3] not in get_args(Size):
        raise InputError("is no Depth Anything", field="model", value=model)
    of = SHAPES[match[3]]  # type: ignore[index]
    taken = of.taken["v2" if match[1] else "v1"]
    made: Any = Dinov2Config  # its annotations do not name all that it takes
    backbone = made(
        hidden_size=of.hidden, num_hidden_layers=of.blocks, num_attention_heads=of.heads,
        image_size=GRID * PATCH, patch_size=PATCH, out_features=[f"stage{i}" for i in taken],
        reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    return DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=of.hidden,
        patch_size=PATCH,
        neck_hidden_sizes=list(of.levels),
        fusion_hidden_size=of.fused,
        head_hidden_size=_HEAD,
        depth_estimation_type="metric" if match[2] else "relative",
        max_depth={"indoor": 20, "outdoor": 80}.get(match[2], 1),
    )


def official_positions(
    table: Float[Tensor, "1 n c"], rows: int, columns: int
) -> Float[Tensor, "1 m c"]:
    """The position embedding for a grid of rows x columns patches, as DINOv2's authors make it:
    bicubic by factors of (n + 0.1) / 37.

    github.com/facebookresearch/dinov2, `interpolate_pos_encoding` with its offset of 0.1.
    """
    side = math.isqrt(table.shape[1] - 1)
    if rows == columns == side:
        return table
    grid = table[:, 1:].float().reshape(1, side, side, -1).permute(0, 3, 1, 2)
    factors = ((rows + _OFFSET) / side, (columns + _OFFSET) / side)
    made = functional.interpolate(grid, scale_factor=factors, mode="bicubic")
    flat = made.permute(0, 2, 3, 1).reshape(1, rows * columns, -1).to(table.dtype)
    return torch.cat([table[:, :1], flat], dim=1)


def use_official_positions(net: nn.Module) -> None:
    """Makes this one net of transformers, with a DINOv2 inside, enlarge positions as its authors'
    code does."""
    embeddings: Any = net.get_submodule("backbone.embeddings")
    patch = embeddings.patch_embeddings.patch_size

    def interpolate(_tokens: Tensor, height: int, width: int) -> Tensor:
        rows, columns = height // patch[0], width // patch[1]
        return official_positions(embeddings.position_embeddings, rows, columns)

    embeddings.interpolate_pos_encoding = interpolate


def _record(name: str, file: str, variant: str, weights: str) -> Weights:
    size = name.rpartition("-")[2]
    builder = f"depth_anything_v2_{size}"
    return Weights(
        name, name, variant, Licences("Apache-2.0", weights, UNKNOWN), f"{file} of its authors",
        builder=builder,
    )  # fmt: skip


def _records() -> Iterator[Weights]:
    for size, letter in _LETTERS.items():
        free = "Apache-2.0" if size == "small" else "CC-BY-NC-4.0"
        yield _record(
            f"depth-anything-v2-{size}", f"depth_anything_v2_vit{letter}.pth", "relative", free
        )
    for size, letter in _LETTERS.items():
        yield _record(
            f"depth-anything-{size}", f"depth_anything_vit{letter}14.pth", "relative", "Apache-2.0"
        )
    for place, data in (("indoor", "hypersim"), ("outdoor", "vkitti")):
        for size, letter in _LETTERS.items():
            file = f"depth_anything_v2_metric_{data}_vit{letter}.pth"
            yield _record(f"depth-anything-v2-metric-{place}-{size}", file, "in metres", UNKNOWN)


WEIGHTS = tuple(_records())


def depth_anything_v2_small() -> DepthAnything:
    """The tensors of all small ones: V1 and V2, relative and metric, differ in values only."""
    return DepthAnything("small")


def depth_anything_v2_base() -> DepthAnything:
    """The tensors of all base ones."""
    return DepthAnything("base")


def depth_anything_v2_large() -> DepthAnything:
    """The tensors of all large ones."""
    return DepthAnything("large")
