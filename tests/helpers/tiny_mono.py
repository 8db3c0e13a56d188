"""Tiny random nets of transformers, saved as folders as the hub has them.

folder = tiny_mono.saved("zoedepth", tmp_path)      # one of KINDS
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

SIDE = 56
KINDS = (
    "depth_anything", "depth_anything_metric", "dpt", "dpt_hybrid", "dpt_beit", "dpt_swinv2",
    "zoedepth", "zoedepth_two", "depth_pro", "prompt_depth_anything", "glpn",
)  # fmt: skip


def saved(kind: str, folder: Path) -> Path:
    """The folder with the net and what its processor is told, the same at every call."""
    import torch

    torch.manual_seed(3)
    net, processor = _MAKERS[kind]()
    lively(net)
    folder.mkdir(parents=True, exist_ok=True)
    from fathom.nets.mono.pretrained import quiet

    with quiet(folder):
        net.save_pretrained(folder)
    if processor is not None:
        processor.save_pretrained(folder)
    return folder


def lively(net: Any) -> None:
    """Random nets answer zero or a constant nearly everywhere; larger weights and biases help."""
    import torch

    with torch.no_grad():
        for name, values in net.named_parameters():
            if values.ndim >= 2 and "embeddings" not in name:
                values.copy_(torch.randn_like(values) / values[0].numel() ** 0.5)
            elif name.endswith("bias"):
                # one number alone is that of the last layer, whose ReLU must not cut all off
                values.copy_(0.1 * torch.randn_like(values).abs() + 2 * (values.numel() == 1))


def processor_of(kind: str, folder: Path) -> Any:
    """The library's own processor for such a folder, that of Pillow; None where it has none."""
    made = _MAKERS[kind]()[1]
    return None if made is None else type(made).from_pretrained(folder)


def _dinov2(**more: Any) -> Any:
    from transformers import Dinov2Config

    return Dinov2Config(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2, image_size=SIDE,
        patch_size=14, out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False, apply_layernorm=True, **more,
    )  # fmt: skip


def _decoder() -> dict[str, Any]:
    return {
        "reassemble_hidden_size": 32, "neck_hidden_sizes": [16] * 4, "fusion_hidden_size": 16,
        "patch_size": 14, "head_hidden_size": 8, "reassemble_factors": [4, 2, 1, 0.5],
    }  # fmt: skip


def _dpt_processor(side: int, *, keep: bool, multiple: int) -> Any:
    from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

    return DPTImageProcessorPil(
        size={"height": side, "width": side}, keep_aspect_ratio=keep, ensure_multiple_of=multiple,
        image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.4],
    )  # fmt: skip


def _depth_anything(kind: str = "relative", far: int = 1) -> tuple[Any, Any]:
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation

    config = DepthAnythingConfig(
        backbone_config=_dinov2(), depth_estimation_type=kind, max_depth=far, **_decoder()
    )
    net = DepthAnythingForDepthEstimation(config).eval()
    return net, _dpt_processor(SIDE, keep=True, multiple=14)


def _prompted() -> tuple[Any, Any]:
    from transformers import PromptDepthAnythingConfig, PromptDepthAnythingForDepthEstimation
    from transformers.models.prompt_depth_anything.image_processing_pil_prompt_depth_anything import (  # noqa: E501
        PromptDepthAnythingImageProcessorPil,
    )

    config = PromptDepthAnythingConfig(backbone_config=_dinov2(), **_decoder())
    processor = PromptDepthAnythingImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, keep_aspect_ratio=True, ensure_multiple_of=14,
        prompt_scale_to_meter=1.0,
    )  # fmt: skip
    return PromptDepthAnythingForDepthEstimation(config).eval(), processor


def _dpt(**more: Any) -> tuple[Any, Any]:
    from transformers import DPTConfig, DPTForDepthEstimation

    given = {
        "hidden_size": 32, "image_size": 64, "patch_size": 16, "fusion_hidden_size": 16,
        "neck_hidden_sizes": [16] * 4, "is_hybrid": False, **more,
    }  # fmt: skip
    net = DPTForDepthEstimation(DPTConfig(**given)).eval()
    return net, _dpt_processor(64, keep=False, multiple=1)


def _plain() -> tuple[Any, Any]:
    return _dpt(
        num_hidden_layers=4, num_attention_heads=2, intermediate_size=64,
        backbone_out_indices=[0, 1, 2, 3],
    )  # fmt: skip


def _hybrid() -> tuple[Any, Any]:
    from transformers import BitConfig

    backbone = BitConfig(
        global_padding="same", layer_type="bottleneck", depths=[1, 1, 1], num_groups=2,
        embedding_dynamic_padding=True, embedding_size=8, hidden_sizes=[8, 16, 32],
        out_features=["stage1", "stage2", "stage3"],
    )  # fmt: skip
    return _dpt(
        backbone_config=backbone, is_hybrid=True, num_hidden_layers=4, num_attention_heads=2,
        intermediate_size=64, backbone_out_indices=[0, 1, 2, 3], neck_ignore_stages=[0, 1],
        backbone_featmap_shape=[1, 32, 4, 4], neck_hidden_sizes=[8, 16, 16, 16],
    )  # fmt: skip


def _beit_config() -> Any:
    from transformers import BeitConfig

    return BeitConfig(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=64,
        image_size=64, patch_size=16, out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False, use_relative_position_bias=True,
    )  # fmt: skip


def _swinv2() -> tuple[Any, Any]:
    from transformers import Swinv2Config

    backbone = Swinv2Config(
        image_size=64, patch_size=4, embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 4],
        window_size=4, out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    return _dpt(
        backbone_config=backbone, patch_size=4, neck_hidden_sizes=[16, 32, 64, 128],
        reassemble_factors=[1, 1, 1, 1], neck_ignore_stages=[0, 1, 2, 3],
    )  # fmt: skip


def _zoedepth(*names: str) -> tuple[Any, Any]:
    from transformers import ZoeDepthConfig, ZoeDepthForDepthEstimation
    from transformers.models.zoedepth.image_processing_pil_zoedepth import ZoeDepthImageProcessorPil

    bins = [{"n_bins": 16, "min_depth": 0.001, "max_depth": 10.0, "name": name} for name in names]
    config = ZoeDepthConfig(
        backbone_config=_beit_config(), hidden_size=32, backbone_hidden_size=32,
        neck_hidden_sizes=[16, 32, 64, 64], fusion_hidden_size=16, bottleneck_features=16,
        num_relative_features=16, bin_embedding_dim=16, num_attractors=[16, 8, 4, 1],
        patch_transformer_hidden_size=128, patch_transformer_intermediate_size=32,
        patch_transformer_num_attention_heads=2, num_patch_transformer_layers=4,
        bin_configurations=bins,
    )  # fmt: skip
    processor = ZoeDepthImageProcessorPil(
        size={"height": 64, "width": 96}, ensure_multiple_of=32, image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )  # fmt: skip
    return ZoeDepthForDepthEstimation(config).eval(), processor


def _depth_pro() -> tuple[Any, Any]:
    from transformers import DepthProConfig, DepthProForDepthEstimation

    parts = {
        "model_type": "dinov2", "image_size": 16, "num_hidden_layers": 4, "hidden_size": 16,
        "num_attention_heads": 2, "patch_size": 4, "mlp_ratio": 2, "intermediate_size": 32,
        "num_channels": 3,
    }  # fmt: skip
    config = DepthProConfig(
        patch_size=16, fusion_hidden_size=16, intermediate_hook_ids=[1, 0],
        intermediate_feature_dims=[16, 16], scaled_images_ratios=[0.25, 0.5, 1.0],
        scaled_images_overlap_ratios=[0.0, 0.2, 0.2], scaled_images_feature_dims=[16, 16, 16],
        use_fov_model=True, image_model_config=parts, patch_model_config=parts,
        fov_model_config=parts,
    )  # fmt: skip
    return DepthProForDepthEstimation(config).eval(), None


def _glpn() -> tuple[Any, Any]:
    from transformers import GLPNConfig, GLPNForDepthEstimation
    from transformers.models.glpn.image_processing_pil_glpn import GLPNImageProcessorPil

    config = GLPNConfig(
        hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 1, 1], decoder_hidden_size=8,
        num_attention_heads=[1, 1, 2, 2],
    )  # fmt: skip
    return GLPNForDepthEstimation(config).eval(), GLPNImageProcessorPil()


_MAKERS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "depth_anything": _depth_anything,
    "depth_anything_metric": lambda: _depth_anything("metric", 20),
    "dpt": _plain,
    "dpt_hybrid": _hybrid,
    "dpt_beit": lambda: _dpt(backbone_config=_beit_config()),
    "dpt_swinv2": _swinv2,
    "zoedepth": lambda: _zoedepth("nyu"),
    "zoedepth_two": lambda: _zoedepth("nyu", "kitti"),
    "depth_pro": _depth_pro,
    "prompt_depth_anything": _prompted,
    "glpn": _glpn,
}
