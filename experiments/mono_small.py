"""What the small experiments with one image share: views with depth, a tiny net, how it is judged.

Views are left views of procedural rooms with few things in them, rendered at 112x112 and seen at
56x56, in styles: `clean` has no faults of a camera and no night, and half of it are other places
(studios); `camera` has noise, blur, vignetting and nights; `one` is that of one camera. They are
rendered when first asked for and kept below $FATHOM_SCENES. All rows of the table in
experiments/README.md:

    python experiments/mono_table.py                  # FATHOM_SEED=1: other weights and order
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from fathom.classical.native import prepare_kernels
from fathom.core import Depth, MonoSample, View
from fathom.data.scenes import Scenes, SceneSettings
from fathom.data.scenes.render import KERNELS
from fathom.io.atomic import atomic_file
from fathom.layers.blocks import ConvNorm
from fathom.layers.mono import MonoOutput
from fathom.layers.resample import to_size
from fathom.layers.state import load_state
from fathom.layers.stereo import imagenet_colours
from fathom.train import Experiment
from fathom.train.checkpoint import read_weights
from fathom.train.guessed import Blend, GuessedViews, relative_teacher
from fathom.train.judge_views import ViewJudge
from fathom.train.pseudo import OneView, ViewLoss

HOME = Path(os.environ.get("FATHOM_SCENES", "~/.cache/fathom-scenes")).expanduser()
RUN_SEED = int(os.environ.get("FATHOM_SEED", "0"))
RUNS = HOME / ("mono-runs" if RUN_SEED == 0 else f"mono-runs-{RUN_SEED}")
RENDERED, SIDE, UP = 112, 56, 24
SEED = 20261122
FARTHEST = 80.0
_CAMERA = SceneSettings(
    width=RENDERED, height=RENDERED, kinds=("room",), least_objects=3, most_objects=8, glossy=0.0,
    glass=0.0, night=0.15,
)  # fmt: skip
STYLES = {
    "clean": replace(_CAMERA, kinds=("room", "studio"), effects=False, night=0.0),
    "camera": _CAMERA,
    "one": replace(_CAMERA, near=0.12, nearest=0.12, unusual=0.0),
}
"""Of the scenes. `one`: as one and the same camera sees them, and from like distances; in the
others focal lengths and distances are anything, and nothing in a view tells metres."""
_FOCAL_TIMES_BASELINE = 100 * 0.3


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
            one = style == "one"
            depth = (
                _FOCAL_TIMES_BASELINE / made.disparity if one else made.rig.depth_of(made.disparity)
            )
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


class TinyDepth(nn.Module):
    """A U-Net over five sizes with 24 channels on the way up; 250,000 weights.

    A vision transformer of that size, which Depth Anything's would be, learned less from so few
    views than one map for all knows (README.md), and there are no pretrained ones here.
    """

    def __init__(self, width: int = 16, up: int = UP) -> None:
        super().__init__()
        widths = [k * width for k in (1, 2, 3, 4, 4)]
        self.enter = ConvNorm(3, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(ConvNorm(fine, coarse, stride=2), ConvNorm(coarse, coarse))
            for fine, coarse in pairwise(widths)
        )
        entering = [widths[-1], up, up, up]
        self.up = nn.ModuleList(
            ConvNorm(below + skip, up) for below, skip in zip(entering, widths[-2::-1], strict=True)
        )
        self.leave = nn.Conv2d(up, 1, 3, padding=1)

    def forward(self, image: Tensor) -> MonoOutput:
        """image: (b, 3, h, w) in 0..255."""
        output, _ = self.levels(image)
        return output

    def levels(self, image: Tensor) -> tuple[MonoOutput, list[Tensor]]:
        """The output with the coarsest features, and those of the way up, coarse to fine."""
        sizes = [self.enter(imagenet_colours(image))]
        for step in self.down:
            sizes.append(step(sizes[-1]))
        x, found = sizes[-1], []
        for join, skip in zip(self.up, sizes[-2::-1], strict=True):
            x = join(torch.cat([to_size(x, (skip.shape[-2], skip.shape[-1])), skip], dim=1))
            found.append(x)
        return MonoOutput(self.leave(x), sizes[-1]), found


def zoomed(sample: MonoSample, rng: np.random.Generator) -> MonoSample:
    """A square of the view, three quarters of its sides or more, at the view's size."""
    image, depth = sample.view.rgb8, sample.truth.values
    side = round(SIDE * rng.uniform(0.75, 1.0))
    top, left = (int(v) for v in rng.integers(SIDE - side + 1, size=2))
    part, size = (slice(top, top + side), slice(left, left + side)), (SIDE, SIDE)
    image = cv2.resize(image[part], size, interpolation=cv2.INTER_LINEAR)
    depth = cv2.resize(depth[part], size, interpolation=cv2.INTER_NEAREST)
    return replace(sample, view=View(image), truth=Depth(depth))


def run_folder(name: str) -> Path:
    """Where the run of that name lies."""
    return RUNS / name


def trained(name: str, build: Callable[[], nn.Module] = TinyDepth) -> nn.Module:
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
    net=TinyDepth,
    data=labelled,
    loss=ViewLoss(),
    task=OneView(farthest=FARTHEST),
    validation=(JUDGE,),
    seed=RUN_SEED,
    steps=800,
    batch=9,
    crop_width=SIDE,
    crop_height=SIDE,
    augment=zoomed,
    divisor=1,
    learning_rate=2e-3,
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
