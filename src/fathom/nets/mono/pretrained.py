"""Monocular nets of transformers: loaded from a folder or a converted file, and run.

Nothing here reaches the network: where the files lie is found before (`fathom.published.hub`).
"""

import importlib
import importlib.util
import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from fathom.core.arrays import Array, Float32, UInt8
from fathom.core.errors import (
    FathomError,
    InputError,
    MissingExtraError,
    ResourceError,
    UsageError,
    unknown_name,
)
from fathom.nets.adapter import torch_device
from fathom.nets.mono.depth_anything import config_of, use_official_positions
from fathom.nets.mono.processing import (
    Family,
    Recipe,
    enlarged,
    focal_of,
    metres_of,
    prepared,
    recipe_of,
)
from fathom.published.hub_files import PICKLE, pickle_in
from fathom.published.store import read_header, read_weights

Precision = Literal["fp32", "fp16", "bf16"]
Position = Literal["official", "transformers"]
_KINDS = {
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}
_UNUSED = ("neck.fusion_stage.layers.0.residual_layer1.",)
"""Tensors that are in a DPT decoder and take no part: the coarsest level has nothing to join."""


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A net ready to run. family: which net of transformers. recipe: how it wants its images.
    metric: whether it answers in metres. divisor: sides of its input are multiples of this. alone:
    images in a batch change each other's answer, so that each goes alone."""

    net: nn.Module
    family: Family
    recipe: Recipe
    metric: bool
    divisor: int
    device: torch.device
    alone: bool = False


@dataclass(frozen=True, eq=False)
class Answer:
    """values: float32 (h, w): metres, or relative. focal: in pixels of the image, estimated."""

    values: Float32[np.ndarray, "h w"]
    focal: float | None = None


def load_pretrained(
    place: Path, model: str, family: str, *, device: str = "cpu", position: Position = "official"
) -> Pretrained:
    """The net of a folder (config.json and safetensors, or else pytorch_model.bin), or of a file
    that `fathom weights convert` wrote; in float32, on the device, for inference.

    Raises `InputError` for what is no depth model, one of another family than `family`, truncated
    or incomplete weights, a pickle that holds code; `MissingExtraError` without transformers;
    `UsageError` and `ResourceError` for the device.
    """
    if importlib.util.find_spec("transformers") is None:
        raise MissingExtraError("transformers", "mono")
    where = torch_device(device)
    if place.is_dir():
        config = _config(place, family)
        recipe = recipe_of(place, config.model_type)
        net = _net(config, place, None)
    else:
        config = config_of(model)
        tensors, _ = read_weights(place)
        recipe = recipe_of(None, config.model_type)
        net = _net(config, place, {k: torch.from_numpy(v.copy()) for k, v in tensors.items()})
    if family in ("depth_anything", "prompt_depth_anything") and position == "official":
        use_official_positions(net)
    return Pretrained(
        net.to(where),
        config.model_type,
        recipe,
        _is_metric(config),
        14 if "anything" in family else 32,
        where,
        len(getattr(config, "bin_configurations", None) or ()) > 1,
    )


def _is_metric(config: Any) -> bool:
    if config.model_type == "depth_anything":
        return bool(config.depth_estimation_type == "metric")
    return bool(config.model_type != "dpt")


def _config(folder: Path, family: str) -> Any:
    """The configuration of a folder, after a look at what it is."""
    path = folder / "config.json"
    if not path.is_file() and (folder / "model_index.json").is_file():
        raise InputError(
            "holds a pipeline of diffusers, and no net of transformers", file=folder,
            remedy="give --method marigold or one like it (see: fathom models)",
        )  # fmt: skip
    try:
        said = json.loads(path.read_bytes())
        kind, names = said.get("model_type"), said.get("architectures") or []
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            "is no configuration of a model", file=path, remedy="fetch the model again"
        ) from error
    known = get_args(Family)
    if kind not in known or not all("DepthEstimation" in str(name) for name in names):
        what = ", ".join(map(str, names)) or kind
        raise InputError(
            f"is no depth model, but {what}", file=folder, field="model_type", value=kind,
            expected=f"one of {', '.join(known)}",
        )  # fmt: skip
    if kind != family:
        raise InputError(
            f"is a net of another kind: {kind}, not {family}", file=folder,
            remedy="give --method one of the same kind (see: fathom models)",
        )  # fmt: skip
    from transformers import AutoConfig

    with quiet(folder):
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _net(config: Any, place: Path, state: dict[str, Tensor] | None) -> nn.Module:
    """The net with its weights, every one of them found."""
    from transformers import AutoModelForDepthEstimation

    if state is None:
        state = _checked(place)
    with quiet(place):
        if state is None:
            net, told = AutoModelForDepthEstimation.from_pretrained(
                place, config=config, local_files_only=True, use_safetensors=True,
                trust_remote_code=False, dtype=torch.float32, output_loading_info=True,
                ignore_mismatched_sizes=True,
            )  # fmt: skip
        else:
            home: Any = AutoModelForDepthEstimation._model_mapping[type(config)]
            net, told = home.from_pretrained(
                None, config=config, state_dict=state, dtype=torch.float32,
                output_loading_info=True, ignore_mismatched_sizes=True,
            )  # fmt: skip
    for name, found, wanted in sorted(told["mismatched_keys"])[:1]:
        raise InputError(
            "has another shape than the net's", file=place, field=f"tensor {name}",
            value=tuple(found), expected=str(tuple(wanted)),
            remedy="fetch or convert the model again, or give the method that it is for",
        )  # fmt: skip
    missing = [name for name in told["missing_keys"] if not name.startswith(_UNUSED)]
    if missing:
        raise InputError(
            f"lacks {len(missing)} of the net's tensors", file=place, field="tensor",
            value=sorted(missing)[0], remedy="fetch or convert the model again",
        )  # fmt: skip
    made: nn.Module = net.eval()
    return made


def _checked(folder: Path) -> dict[str, Tensor] | None:
    """None where the folder's tensors are safetensors, for transformers to read; those of a pickle,
    which it must not open (`fathom.published.unpickle`)."""
    files = sorted(folder.glob("*.safetensors"))
    for file in files:
        read_header(file)  # says in one line what is truncated
    if files:
        return None
    pickled = pickle_in(folder)
    if pickled is None:
        raise InputError(
            "has no weights", file=folder, expected=f"model.safetensors, or {PICKLE}",
            remedy="fetch the model again, or convert its authors' .pth (fathom weights convert)",
        )  # fmt: skip
    from fathom.published.unpickle import read_foreign

    return read_foreign(pickled).tensors


@contextmanager
def quiet(place: Path) -> Iterator[None]:
    """While open, transformers neither draws bars nor warns, and what it raises is one line."""
    logging: Any = importlib.import_module("transformers.utils.logging")
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except FathomError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"cannot be loaded by transformers: {type(error).__name__}: {reason}", file=place,
            remedy="fetch the model again, or give the method that it is for",
        ) from error  # fmt: skip
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def run_pretrained(
    of: Pretrained,
    images: Sequence[UInt8[np.ndarray, "h w 3"]],
    *,
    size: int | None = None,
    precision: Precision = "fp32",
    flip: bool = False,
    focals: Sequence[float | None] = (),
    prompts: Float32[np.ndarray, "b 1 _h _w"] | None = None,
) -> list[Answer]:
    """What the net says of several images of one size, in one forward where it can.

    size: pixels of the shorter side that the net sees. flip: also mirrored, and the mean of both.
    focals: of each image in pixels where it is known, for a net that needs one. prompts: depth in
    metres for a net that takes such.

    Raises `InputError` for images that the net cannot take, `UsageError` for a size or a precision
    that it cannot, `ResourceError` if the device has too little memory.
    """
    check_precision(precision, of.device.type)
    recipe = of.recipe.sized(size, of.divisor)
    shape = (images[0].shape[0], images[0].shape[1])
    pixels = torch.stack([prepared(np.ascontiguousarray(image), recipe) for image in images])
    if of.alone and len(images) > 1:
        focals = focals or (None,) * len(images)
        return [
            run_pretrained(of, [image], size=size, precision=precision, flip=flip, focals=[focal])[
                0
            ]
            for image, focal in zip(images, focals, strict=True)
        ]
    with _running(of.device, precision):
        given = pixels.to(of.device)
        more = {} if prompts is None else {"prompt_depth": torch.from_numpy(prompts).to(of.device)}
        out = of.net(pixel_values=given, **more)
        depth = _maps(out)
        if flip:
            mirrored = _maps(of.net(pixel_values=given.flip(-1), **more)).flip(-1)
            depth = (depth + mirrored) / 2
        views = getattr(out, "field_of_view", None)
        answers = []
        for k, one in enumerate(depth):
            known = focals[k] if focals else None
            degrees = None if views is None else float(views.reshape(-1)[k])
            answers.append(_answer(of, recipe, one, shape, known, degrees))
    return answers


def _maps(out: Any) -> Tensor:
    """Its maps as float32 (b, h', w')."""
    depth: Tensor = out.predicted_depth.float()
    return depth[:, 0] if depth.ndim == 4 else depth


def _answer(
    of: Pretrained,
    recipe: Recipe,
    depth: Tensor,
    shape: tuple[int, int],
    known: float | None,
    degrees: float | None,
) -> Answer:
    if of.family != "depth_pro":
        return Answer(_array(enlarged(depth, shape, recipe)))
    estimated = None if degrees is None or not 0 < degrees < 180 else focal_of(degrees, shape[1])
    focal = known or estimated
    if focal is None:
        raise InputError(
            "tells no focal length, and the image has no camera", field="focal",
            remedy="give the image with its camera, or weights with a field of view",
        )  # fmt: skip
    return Answer(_array(metres_of(depth, shape, focal)), estimated)


def _array(values: Tensor) -> Array:
    out: Array = values.cpu().numpy()
    return out


def check_precision(precision: str, device: str) -> None:
    """Raises `UsageError` for a precision that is none, or that the device does not have."""
    if precision not in get_args(Precision):
        raise unknown_name("precision", precision, list(get_args(Precision)))
    if precision == "fp16" and device == "cpu":
        raise UsageError(
            "a CPU does not calculate in fp16", field="precision", value=precision,
            expected="fp32 or bf16", remedy="or give --device cuda",
        )  # fmt: skip


@contextmanager
def _running(device: torch.device, precision: Precision) -> Iterator[None]:
    """While open a net can be called: the same bits every time, no TF32 in convolutions."""
    cast: Any = nullcontext()
    if precision != "fp32":
        cast = torch.autocast(device.type, _KINDS[precision])
    exact: Any = nullcontext()
    if device.type == "cuda":
        exact = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )
    try:
        with torch.inference_mode(), exact, cast:
            yield
    except torch.OutOfMemoryError as error:
        raise ResourceError(
            "has too little memory for these images", field="device", value=str(device),
            remedy="give a smaller --size or --batch, or another device",
        ) from error  # fmt: skip
