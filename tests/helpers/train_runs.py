"""Tiny runs of the training loop: nets, samples that misbehave, runs in forked processes."""

import os
import signal
import sys
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from fathom.core import Disparity, InputError, StereoPair, StereoSample, View
from fathom.layers.stereo import StereoOutput
from fathom.train import Experiment, StereoLoss, Validation, train
from fathom.train.checkpoint import read_weights
from fathom.train.pairs import Batch

torch.set_num_threads(1)
HEIGHT, WIDTH = 20, 40


class Net(nn.Module):
    """Two outputs and a confidence; optional batch normalisation and dropout; NaN for images whose
    first pixel is white."""

    def __init__(self, norm: bool = True, dropout: float = 0.1) -> None:
        super().__init__()
        self.first = nn.Conv2d(6, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4) if norm else nn.Identity()
        self.drop = nn.Dropout(dropout)
        self.second = nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, left, right):
        x = torch.cat([left, right], 1) / 127.5 - 1
        poison = (left[:, :, 0, 0] == 255).all(1)[:, None, None, None]
        x = torch.where(poison, x * torch.nan, x)
        d, doubt = self.second(self.drop(torch.relu(self.norm(self.first(x))))).chunk(2, 1)
        d = 8 * torch.sigmoid(d)
        return StereoOutput((d, nn.functional.avg_pool2d(d, 2)), doubt)


def plain_net() -> Net:
    return Net(norm=False, dropout=0.0)


def sample(index: int, *, height=HEIGHT, width=WIDTH, sparse=False, white=False) -> StereoSample:
    """A random texture at one disparity, drawn from the index."""
    rng = np.random.default_rng(index)
    d = int(rng.integers(0, 6))
    wide = rng.integers(0, 250, (height, width + d, 3), dtype=np.uint8)
    left, right = wide[:, :width].copy(), wide[:, d:].copy()
    truth = np.full((height, width), d, np.float32)
    if sparse:
        truth[rng.random(truth.shape) < 0.9] = np.nan
    if white:
        left[...] = 255
    pair = StereoPair(View(left), View(right))
    return StereoSample(pair, Disparity(truth), name=f"s{index}")


@dataclass(frozen=True)
class Many:
    """`count` samples with names; those in `broken` raise, those in `white` make the net NaN,
    those in `blind` have no truth."""

    count: int = 7
    broken: tuple[int, ...] = ()
    white: tuple[int, ...] = ()
    blind: tuple[int, ...] = ()
    sparse: bool = False
    names: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(f"s{i}" for i in range(self.count)))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> StereoSample:
        if not 0 <= index < self.count:
            raise IndexError(index)
        if index in self.broken:
            raise InputError("is damaged", file=f"s{index}.png")
        found = sample(index, sparse=self.sparse, white=index in self.white)
        return replace(found, truth=None) if index in self.blind else found


@dataclass(frozen=True)
class Endless:
    """A sample for any index; a length that is refused, as `Scenes` does it."""

    def __len__(self) -> int:
        raise TypeError("endless")

    def __getitem__(self, index: int) -> StereoSample:
        return sample(index)


def shuffled(found: StereoSample, rng: np.random.Generator) -> StereoSample:
    """Augmentation: another brightness."""
    gain = rng.uniform(0.5, 1.0)
    views = [View((v.image * gain).astype(np.uint8)) for v in (found.pair.left, found.pair.right)]
    return replace(found, pair=StereoPair(*views))


def many() -> Many:
    return Many()


def judged() -> Many:
    return Many(2)


BASE = Experiment(
    net=Net,
    data=many,
    loss=StereoLoss(kind="multi-scale", weights=(1.0, 0.5)),
    augment=shuffled,
    validation=(Validation("seen", judged, metrics=("epe", "bad-2")),),
    steps=12,
    batch=2,
    crop_width=16,
    crop_height=8,
    divisor=4,
    learning_rate=1e-2,
    warmup=3,
    ema=0.9,
    threads=1,
    log_every=2,
    save_every=4,
    validate_every=6,
)


def run(folder: Path, *, resume: bool = False, **changes):
    """Trains; returns the result and the lines said."""
    lines: list[str] = []
    experiment = replace(BASE, **changes)
    result = train(experiment, folder, resume=resume, device="cpu", notify=lines.append)
    return result, lines


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return read_weights(folder / "weights.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return a.keys() == b.keys() and all(
        torch.equal(a[k].reshape(-1).view(torch.uint8), b[k].reshape(-1).view(torch.uint8))
        for k in a
    )


def forked(job) -> int:
    """Runs `job` in a fork of this process (torch is loaded already); its wait status."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            job()
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    return os.waitpid(child, 0)[1]


def killed(status: int) -> bool:
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def batch_of(samples, crop=(8, 16)) -> Batch:
    """The samples' top-left windows as one batch on the processor."""
    h, w = crop

    def stack(arrays):
        return torch.from_numpy(np.stack(arrays))

    left, right = (
        stack([getattr(s.pair, side).image[:h, :w] for s in samples]).permute(0, 3, 1, 2).float()
        for side in ("left", "right")
    )
    truth = stack([s.truth.values[:h, :w] for s in samples])[:, None]
    valid = torch.isfinite(truth)
    names = tuple(s.name for s in samples)
    return Batch(left, right, torch.nan_to_num(truth), valid, None, names)
