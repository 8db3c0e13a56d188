"""What stands before and behind the monocular nets of transformers: sizes, colours, back to metres.

It is the library's own arithmetic, number for number, in numpy, Pillow and torch, so that neither
torchvision nor the library's processors are needed. What a model wants is read from its
`preprocessor_config.json`. Facts are those of transformers 5 (github.com/huggingface/transformers,
Apache-2.0), written anew here.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fathom.core.arrays import Array, Float32, UInt8
from fathom.core.errors import InputError, UsageError

Family = Literal[
    "depth_anything", "dpt", "zoedepth", "depth_pro", "prompt_depth_anything", "glpn"
]  # fmt: skip
Resample = Literal["nearest", "bilinear", "bicubic"]
_RESAMPLE: Mapping[int, Resample] = {0: "nearest", 2: "bilinear", 3: "bicubic"}
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
SMALLEST = 16
"""No depth is told of images with a side below this many pixels."""
MOST = 1 << 22
"""Pixels that a net is given at most: about 30 times what these models were made for."""
_PAD = 3.0
_NEAREST, _FARTHEST = 1e-4, 1e4


@dataclass(frozen=True)
class Recipe:
    """How an image is made ready for a net.

    height, width: of the net's input in pixels, before `keep` and `multiple`; 0 = the image's own.
    keep: the image's proportions are kept, fitted to the side that changes its size less.
    multiple: sides are multiples of this. down: rounded down to them, not to the nearest.
    resample: interpolation. mean, std: of colours in 0..1. pad: the image is continued by its
    mirror before it is resized (ZoeDepth). late: it is resized after its values became 0..1, by
    torch with antialiasing, as DINOv3's processor does (which exists with torchvision only).
    """

    family: Family
    height: int
    width: int
    keep: bool
    multiple: int
    resample: Resample
    mean: tuple[float, ...]
    std: tuple[float, ...]
    down: bool = False
    pad: bool = False
    late: bool = False

    def sized(self, side: int | None, divisor: int) -> "Recipe":
        """With another size: `side` pixels for the shorter side (of the input the net was made
        for), in multiples of `divisor` at least; None leaves it.

        Raises `UsageError` for a side below the divisor, or for a net that has one size only.
        """
        if side is None:
            return self
        if self.family == "depth_pro":
            raise UsageError(
                "Depth Pro takes one size only", field="size", value=side,
                expected=str(self.height), remedy="leave it out",
            )  # fmt: skip
        multiple = math.lcm(self.multiple, divisor)
        if side < multiple:
            raise UsageError(
                "is too small for this net", field="size", value=side,
                expected=f"{multiple} or more, best a multiple of it",
            )  # fmt: skip
        shorter = min(self.height, self.width) or 1
        tall, wide = (max(n, 1) * side / shorter for n in (self.height, self.width))
        return replace(self, height=round(tall), width=round(wide), multiple=multiple, down=False)

    def target(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the net's input for an image of that size (padded, where it is).

        Raises `InputError` for an image so long and narrow that one side would be less than
        `SMALLEST`, or the input more than `MOST` pixels.
        """
        if self.height == 0:
            tall, wide = float(height), float(width)
        elif self.keep:
            up, across = self.height / height, self.width / width
            # the lesser change of size wins
            scale = across if abs(1 - across) < abs(1 - up) else up
            tall, wide = scale * height, scale * width
        else:
            tall, wide = float(self.height), float(self.width)
        if self.down:
            sides = [int(n) // self.multiple * self.multiple for n in (tall, wide)]
        else:
            sides = [round(n / self.multiple) * self.multiple for n in (tall, wide)]
        if min(sides) < SMALLEST or sides[0] * sides[1] > MOST:
            raise InputError(
                "is too large, or too long and narrow, for this net",
                field="image",
                value=f"{width}x{height}, which would become {sides[1]}x{sides[0]}",
                expected=f"at most {MOST / 1e6:.1f} megapixels for the net, both sides "
                f"{SMALLEST} or more",
                remedy="cut a panorama into parts, or give a smaller --size",
            )
        return sides[0], sides[1]


def recipe_of(folder: Path | None, family: Family) -> Recipe:
    """What the folder's `preprocessor_config.json` says, and the family's defaults for the rest.

    Raises `InputError` for a file that is no JSON, or asks for what is not known here.
    """
    base = _DEFAULTS[family]
    if folder is None or not (path := folder / "preprocessor_config.json").is_file():
        return base
    try:
        said: Any = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError("is no JSON", file=path, remedy="fetch the model again") from error
    if not isinstance(said, dict):
        raise InputError("is no JSON object", file=path, remedy="fetch the model again")
    try:
        return _read(base, said)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InputError(
            f"asks for what is not known here: {error}", file=path,
            expected="size as height and width, resample 0, 2 or 3, ensure_multiple_of",
        ) from error  # fmt: skip


def _read(base: Recipe, said: Mapping[str, Any]) -> Recipe:
    if str(said.get("image_processor_type", "")).startswith("DINOv3"):
        base = replace(
            base, height=224, width=224, keep=False, multiple=1, resample="bilinear",
            mean=IMAGENET[0], std=IMAGENET[1], late=True,
        )  # fmt: skip
    size = said.get("size", {"height": base.height, "width": base.width})
    if isinstance(size, int):
        size = {"height": size, "width": size}
    if base.family == "glpn":
        size = {"height": 0, "width": 0}
    plain = not said.get("do_normalize", base.family != "glpn")
    mean, std = said.get("image_mean", base.mean), said.get("image_std", base.std)
    if said.get("do_pad") and base.family not in ("zoedepth",):
        raise ValueError("do_pad")
    if not math.isclose(said.get("rescale_factor", 1 / 255), 1 / 255):
        raise ValueError("rescale_factor")
    return replace(
        base,
        height=int(size["height"]),
        width=int(size["width"]),
        keep=bool(said.get("keep_aspect_ratio", base.keep)),
        multiple=max(
            1, int(said.get("size_divisor") or said.get("ensure_multiple_of") or base.multiple)
        ),
        resample=_RESAMPLE[said.get("resample", 3 if base.resample == "bicubic" else 2)],
        mean=(0.0,) * 3 if plain else tuple(float(x) for x in mean),
        std=(1.0,) * 3 if plain else tuple(float(x) for x in std),
        pad=bool(said.get("do_pad", base.pad)),
    )


_ANY = Recipe("depth_anything", 518, 518, True, 14, "bicubic", *IMAGENET)
_DEFAULTS: Mapping[Family, Recipe] = {
    "depth_anything": _ANY,
    "prompt_depth_anything": replace(_ANY, family="prompt_depth_anything", height=756, width=756),
    "dpt": Recipe("dpt", 384, 384, False, 1, "bicubic", *IMAGENET),
    "zoedepth": Recipe("zoedepth", 384, 512, True, 32, "bilinear", *_HALF, pad=True),
    "depth_pro": Recipe("depth_pro", 1536, 1536, False, 1, "bilinear", *_HALF),
    "glpn": Recipe("glpn", 0, 0, True, 32, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), down=True),
}


def prepared(image: UInt8[np.ndarray, "h w 3"], recipe: Recipe) -> Tensor:
    """The image as the net takes it: float32 (3, h', w').

    Raises `InputError` for an image that is too small, or as `Recipe.target`.
    """
    height, width = image.shape[:2]
    if min(height, width) < SMALLEST:
        raise InputError(
            "is too small to tell depth from", field="image", value=f"{width}x{height}",
            expected=f"{SMALLEST}x{SMALLEST} pixels or more",
        )  # fmt: skip
    if recipe.family == "zoedepth":
        return _prepared_padded(image, recipe)
    size = recipe.target(height, width)
    if recipe.late:
        pixels = torch.from_numpy(_coloured(image, _uncoloured(recipe)))
        made = functional.interpolate(
            pixels[None], size, mode=recipe.resample, antialias=recipe.resample != "nearest"
        )[0]
        return _normalised(made, recipe)
    if recipe.family == "depth_pro":
        pixels = torch.from_numpy(_coloured(image, recipe))
        return functional.interpolate(
            pixels[None], size, mode="bilinear", align_corners=False, antialias=False
        )[0]
    return torch.from_numpy(_coloured(_resized(image, size, recipe.resample), recipe))


def _resized(image: Array, size: tuple[int, int], resample: Resample) -> Array:
    """By Pillow, whose filters widen where an image shrinks."""
    if image.shape[:2] == size:
        return image
    from PIL import Image

    kind = {
        "nearest": Image.Resampling.NEAREST,
        "bilinear": Image.Resampling.BILINEAR,
        "bicubic": Image.Resampling.BICUBIC,
    }[resample]
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), kind))


def _coloured(image: Array, recipe: Recipe) -> Float32[np.ndarray, "3 _h _w"]:
    """(x / 255 - mean) / std, channels first; of 256 values a table does it."""
    table = (np.arange(256, dtype=np.float64) * (1 / 255)).astype(np.float32)
    out = np.empty((3, *image.shape[:2]), np.float32)
    for c in range(3):
        mean, std = np.float32(recipe.mean[c]), np.float32(recipe.std[c])
        out[c] = ((table - mean) / std)[image[..., c]]
    return out


def _prepared_padded(image: Array, recipe: Recipe) -> Tensor:
    """ZoeDepth: mirrored border, then bilinear between corners, then colours."""
    pixels = _coloured(image, _uncoloured(recipe))
    rows, columns = padding(image.shape[:2]) if recipe.pad else (0, 0)
    pixels = np.pad(pixels, ((0, 0), (rows, rows), (columns, columns)), mode="reflect")
    size = recipe.target(*pixels.shape[1:])
    made = functional.interpolate(
        torch.from_numpy(pixels)[None], size, mode=recipe.resample, align_corners=True
    )[0]
    return _normalised(made, recipe)


def _uncoloured(recipe: Recipe) -> Recipe:
    """The same with colours left in 0..1."""
    return replace(recipe, mean=(0.0,) * 3, std=(1.0,) * 3)


def _normalised(pixels: Tensor, recipe: Recipe) -> Tensor:
    colours = recipe.mean, recipe.std
    mean, std = (torch.tensor(v, dtype=torch.float32)[:, None, None] for v in colours)
    return (pixels - mean) / std


def padding(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns that ZoeDepth puts on each side: 3 sqrt(n / 2).

    Bhat et al., "ZoeDepth", 2023, and their code: the border of the net's answer is unsure.
    """
    rows, columns = (int(np.sqrt(n / 2) * _PAD) for n in shape[:2])
    return rows, columns


def enlarged(
    depth: Float32[Tensor, "_h _w"], shape: tuple[int, int], recipe: Recipe
) -> Float32[Tensor, "h w"]:
    """The net's answer at the size of the image (height, width): bicubic, the border cut off."""
    rows, columns = padding(shape) if recipe.pad else (0, 0)
    size = (shape[0] + 2 * rows, shape[1] + 2 * columns)
    out = functional.interpolate(
        depth[None, None], size, mode="bicubic", align_corners=False, antialias=False
    )[0, 0]
    return out[rows : rows + shape[0], columns : columns + shape[1]]


def metres_of(
    inverse: Float32[Tensor, "_h _w"], shape: tuple[int, int], focal: float
) -> Float32[Tensor, "h w"]:
    """Depth Pro's canonical inverse depth as metres at the size of the image.

    D = f / (w C), with the image's width w and focal length f in pixels; D in 1e-4..1e4 m.
    Bochkovskii et al., "Depth Pro", ICLR 2025, section 3.1.
    """
    scaled = inverse * shape[1] / focal
    scaled = functional.interpolate(scaled[None, None], shape, mode="bilinear")[0, 0]
    return 1 / torch.clamp(scaled, min=_NEAREST, max=_FARTHEST)


def focal_of(degrees: float, width: int) -> float:
    """Focal length in pixels of a horizontal field of view: w / (2 tan(fov / 2))."""
    return 0.5 * width / math.tan(0.5 * math.radians(degrees))
