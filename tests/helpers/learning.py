"""Whether a stereo net learns: four fixed scenes, and bugs that must be noticed.

learning.assert_learns(build, learning.batch(32, 64, 24), loss, steps=20)
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch

from fathom.train.pairs import Batch

BUGS = ({"sign": -1.0}, {"shift": 6.0})
"""A loss that is made larger; truth that lies beside."""


def scene(seed: int, height: int, width: int, most: float) -> tuple[np.ndarray, ...]:
    """Left, right (3, h, w) of random dots and the disparity (1, h, w) below `most` pixels: a
    slanted wall and a box before it."""
    rng = np.random.default_rng(seed)
    x = np.arange(width)
    wall = np.broadcast_to(0.15 * most * (1 + rng.uniform(0.5, 1) * x / width), (height, width))
    box = np.zeros((height, width), bool)
    box[height // 4 : -height // 4, width // 3 : -width // 3] = True
    truth = np.where(box, rng.uniform(0.6, 0.9) * most, wall).astype(np.float32)
    right = rng.integers(0, 255, (3, height, width)).astype(np.float32)
    place = np.clip(np.rint(x - truth).astype(int), 0, width - 1)
    left = np.take_along_axis(right, np.broadcast_to(place, right.shape), axis=2)
    return left, right, truth[None]


def batch(height: int, width: int, most: float) -> Batch:
    """The four scenes."""
    scenes = zip(*(scene(seed, height, width, most) for seed in (1, 2, 3, 4)), strict=True)
    left, right, truth = (torch.from_numpy(np.stack(v)) for v in scenes)
    return Batch(left, right, truth, torch.isfinite(truth), None, tuple("1234"))


def assert_learns(
    build: Callable[[], torch.nn.Module],
    given: Batch,
    loss: Callable,
    *,
    steps: int,
    rate: float = 1e-2,
    share: float = 0.3,
    bugs: tuple[Mapping[str, float], ...] = BUGS,
) -> None:
    """Passes if so many steps bring the loss below `share` of its start, and with none of the bugs
    would. The loss at the end counts: on its way to a truth beside, a net may pass the true one."""
    for bug in ({}, *bugs):
        left = left_over(build, given, loss, steps=steps, rate=rate, **bug)
        assert (left < share) is not bool(bug), (bug, left)


def left_over(
    build: Callable[[], torch.nn.Module],
    given: Batch,
    loss: Callable,
    *,
    steps: int,
    rate: float = 1e-2,
    sign: float = 1.0,
    shift: float = 0.0,
) -> float:
    """The loss after training from a fixed seed, as a share of that before it. With the wrong sign
    training ends once the loss has grown twofold.

    sign, shift: the bugs; what is reported is always the true loss. rate: of Adam.
    """
    torch.manual_seed(0)
    net = build().train()

    def total(truth: torch.Tensor) -> torch.Tensor:
        return sum(loss(net(*given.inputs), replace(given, truth=truth)).values())

    optimiser = torch.optim.Adam(net.parameters(), rate)
    with torch.no_grad():
        start = total(given.truth).item()
    for _ in range(steps):
        taught = total(given.truth + shift)
        if sign < 0 and taught.item() > 2 * start:
            break
        optimiser.zero_grad()
        (sign * taught).backward()
        optimiser.step()
    with torch.no_grad():
        return total(given.truth).item() / start
