"""What the small experiments with one image share: views with depth, a tiny net, how it is judged.

Views are left views of procedural rooms with few things in them, rendered at 112x112 and seen at
56x56, in two styles: `clean` has no faults of a camera and no night, and half of it are other
places (studios); `camera` has noise, blur, vignetting and nights. They are rendered when first
asked for and kept below $FATHOM_SCENES. All rows of the table in experiments/README.md:

    python experiments/mono_table.py
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import nn
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

from fathom.classical.native import prepare_kernels
from fathom.core import Depth, MonoSample, View
from fathom.data.scenes import Scenes, SceneSettings
from fathom.data.scenes.render import KERNELS
from fathom.io.atomic import atomic_file
from fathom.layers.state import load_state
from fathom.nets.mono.trainable import TrainableDepth
from fathom.train import Experiment
from fathom.train.checkpoint import read_weights
from fathom.train.guessed import Blend, GuessedViews, relative_teacher
from fathom.train.judge_views import ViewJudge
from fathom.train.pseudo import OneView, ViewLoss

HOME = Path(os.environ.get("FATHOM_SCENES", "~/.cache/fathom-scenes")).expanduser()
RENDERED, SIDE, PATCH = 112, 56, 7
SEED = 20261122
FARTHEST = 80.0
_CAMERA = SceneSettings(
    width=RENDERED, height=RENDERED, kinds=("room",), least_objects=3, most_objects=8, glossy=0.0,
    glass=0.0, night=0.15,
)  # fmt: skip
STYLES = {
    "clean": replace(_CAMERA, kinds=("room", "studio"), effects=False, night=0.0),
    "camera": _CAMERA,
}
"""Of the scenes."""


@dataclass(frozen=True)
class Views:
    """Left views, 56x56, with exact depth in metres, at most 80 (the sky): those of the pool of a
    style, `made` scenes from number `pool` on, from `first` on."""

    style: str
    pool: int
    made: int
    first: int
    count: int

    @property
    def names(self) -> tuple[str, ...]:
        """Of the views."""
        return tuple(f"{self.style}-{self.pool + self.first + i}" for i in range(self.count))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> MonoSample:
        """View `index`. Raises `IndexError` beyond the last one."""
        if not 0 <= index < self.count:
            raise IndexError(index)
        images, depths = _kept(self.style, self.pool, self.made)
        at = self.first + index
        image = cv2.resize(images[at], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        depth = np.minimum(depths[at, ::2, ::2], np.float32(FARTHEST))
        return MonoSample(View(image), Depth(depth), name=self.names[index])


@cache
def _kept(style: str, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    path = HOME / f"mono-2-{style}-{first}-{count}.npz"
    if not path.exists():
        prepare_kernels(KERNELS)
        images, depths = [], []
        for i in range(first, first + count):
            made = Scenes(STYLES[style], SEED + list(STYLES).index(style)).full(i)
            depth = made.rig.depth_of(made.disparity)
            images.append(made.left)
            depths.append(np.minimum(np.nan_to_num(depth, nan=200.0), np.float32(200)))
        with atomic_file(path) as file:
            np.savez(file, images=np.stack(images), depths=np.stack(depths).astype(np.float32))
    with np.load(path) as held:
        return held["images"], held["depths"]


LABELLED = Views("camera", 0, 128, 0, 128)
UNLABELLED = Views("camera", 1000, 480, 0, 480)
HELD_OUT = Views("camera", 5000, 120, 0, 120)
SYNTHETIC = Views("clean", 0, 320, 0, 320)


def labelled() -> Views:
    """128 views of the style it is all about, with their depth."""
    return LABELLED


def held_out() -> Views:
    """Others of it, on which all are judged."""
    return HELD_OUT


def tiny() -> TrainableDepth:
    """Depth Anything's net with an encoder of 4 blocks of width 64 and a decoder to match; random.

    transformers draws a decoder so small that its answer is all but constant at first, and lets a
    last ReLU cut off half of all starts: convolutions begin as He et al. (ICCV 2015) draw them.
    """
    encoder = Dinov2Config(
        hidden_size=64, num_hidden_layers=4, num_attention_heads=4, mlp_ratio=2, image_size=SIDE,
        patch_size=PATCH, out_features=[f"stage{i}" for i in (1, 2, 3, 4)],
        reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=encoder, reassemble_hidden_size=64, neck_hidden_sizes=[12, 16, 24, 32],
        fusion_hidden_size=12, patch_size=PATCH, head_hidden_size=12,
        reassemble_factors=[2, 1, 0.5, 0.25],
    )  # fmt: skip
    net = DepthAnythingForDepthEstimation(config)
    for part in (*net.neck.modules(), *net.head.modules()):
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
    nn.init.constant_(net.head.conv3.bias, 2.0)
    return TrainableDepth(net)


def run_folder(name: str) -> Path:
    """Where the run of that name lies."""
    return HOME / "mono-runs" / name


def trained(name: str, build: Callable[[], nn.Module] = tiny) -> nn.Module:
    """The net that the run of that name ended with."""
    net = build()
    file = run_folder(name) / "weights.safetensors"
    load_state(net, read_weights(file), file)
    return net


@cache
def guessed(name: str) -> list[MonoSample]:
    """The unlabelled views as the net of that run sees them, each asked once."""
    return list(GuessedViews(UNLABELLED, relative_teacher(trained(name))))


def labelled_and_guessed(name: str) -> Any:
    """A labelled view and two guessed ones in turn, as Depth Anything V1 mixes them."""
    return Blend((LABELLED, guessed(name)), (1, 2))


JUDGE = ViewJudge("held out", held_out, metrics=("abs-rel", "delta-1", "boundary-f1"))
BASE = Experiment(
    net=tiny,
    data=labelled,
    loss=ViewLoss(),
    task=OneView(farthest=FARTHEST),
    validation=(JUDGE,),
    steps=1000,
    batch=9,
    crop_width=SIDE,
    crop_height=SIDE,
    divisor=PATCH,
    learning_rate=1e-3,
    weight_decay=0.01,
    schedule="linear",
    warmup=50,
    channels_last=False,
    threads=1,
    log_every=100,
    save_every=5000,
    validate_every=5000,
)
"""The teacher of V1; the others change what they say."""
