"""A model of one image that reads the true inverse depth from the image's grey values."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fathom import catalog
from fathom.catalog import Entry
from fathom.core import Depth, InputError, RelativeDepth, SparseDepth, View
from fathom.core.mono import MonoAnswer
from fathom.core.options import option
from fathom.workflows.depth_mono import Job, MonoOptions
from fathom.workflows.mono_anchors import AlignOptions
from fathom.workflows.mono_camera import CameraOptions

NEAR, FAR = 0.45, 0.05  # inverse metres of white above black, and of black
CALLS: list[int] = []
"""How many views went through the model at each call, since the list was cleared."""


@dataclass(frozen=True, kw_only=True)
class Seer:
    """Answers with v = grey / 255, of which 1 / Z = 0.45 v + 0.05; the first pixel is a code:
    200 and more multiplies and shifts the answer (flicker), 7 refuses, 8 interrupts."""

    kind: str = option("affine_inverse", "affine_inverse, scale or metric")
    size: int | None = option(None, "pixels that it works at")
    focal: float = option(0.0, "what it says of the focal length")
    weights: str | None = None
    confidence: bool = True

    def __call__(self, view: View) -> Depth | RelativeDepth:
        return self._one(view).map

    def answers(self, views: Sequence[View]) -> list[MonoAnswer]:
        CALLS.append(len(views))
        return [self._one(view) for view in views]

    def _one(self, view: View) -> MonoAnswer:
        code = int(view.gray8[0, 0])
        if code == 7:
            raise InputError("is refused by the model", field="image")
        if code == 8:
            raise KeyboardInterrupt
        v = view.gray8.astype(np.float32) / 255
        if self.size is not None:  # coarser input, coarser answer
            step = max(1, max(view.size) // self.size)
            v = np.kron(v[::step, ::step], np.ones((step, step), np.float32))
            v = v[: view.shape[0], : view.shape[1]]
        factor, shift = (1, 0) if code < 200 else (1 + (code - 225) / 60, (code - 225) / 100)
        sure = np.where(v > 0.1, 0.9, 0.1).astype(np.float32) if self.confidence else None
        focal = self.focal or None
        if self.kind == "affine_inverse":
            return MonoAnswer(RelativeDepth(v * factor + shift, "affine_inverse", sure), focal)
        z = depth_of(v)
        if self.kind == "scale":
            return MonoAnswer(RelativeDepth(z / 3, "scale", sure), focal)
        return MonoAnswer(Depth(z, None, sure), focal)


def prompted(self: Seer, view: View, prompt: SparseDepth | None = None, /) -> Depth:
    """A model that says the median depth of its prompt."""
    return Depth(np.full(view.shape, np.median(prompt.depth), np.float32))


def depth_of(v: np.ndarray) -> np.ndarray:
    """Metres of grey values 0..1."""
    return (1 / (NEAR * v + FAR)).astype(np.float32)


def scene(height: int = 48, width: int = 64, code: int = 0) -> np.ndarray:
    """An image (h, w, 3): a ramp with a box, whose grey values are inverse depths."""
    rng = np.random.default_rng(3)
    gray = np.linspace(30, 180, height)[:, None] + rng.integers(0, 2, (height, width))
    gray[height // 4 : height // 2, width // 4 : width // 2] += 60
    gray[0, 0] = code
    return np.repeat(gray.astype(np.uint8)[..., None], 3, axis=2)


H, W = 48, 64
TRUTH = depth_of(scene()[..., 0].astype(np.float32) / 255)
"""Metres of `scene`."""
RELATIVE = RelativeDepth(scene()[..., 0].astype(np.float32) / 255, "affine_inverse")
"""What `Seer` says of it."""


def use(monkeypatch, *, clip: bool = False) -> None:
    """Puts `seer` into the catalog for one test."""
    entry = Entry("seer", f"{__name__}:Seer", "mono", "a model for tests", clip=clip)
    others = [e for e in catalog.ENTRIES if e.name != "seer"]
    monkeypatch.setattr(catalog, "ENTRIES", (*others, entry))
    CALLS.clear()


def job(align=None, camera=None, **options) -> Job:
    """What `fathom depth --method seer` was asked for; kind, size, focal: of `Seer`."""
    own = {k: options.pop(k) for k in ("kind", "size", "focal") if k in options}
    chosen = {"save": ("npy", "ply"), **options}
    return Job(
        MonoOptions("seer", parameters=own, **chosen),
        CameraOptions(**(camera or {})),
        AlignOptions(**(align or {})),
    )


def points(folder: Path, rows: slice = slice(4, 48, 9)) -> Path:
    """A file of LiDAR points that see what `scene` shows."""
    at = [(x, y) for y in range(H)[rows] for x in range(3, W, 11)]
    table = np.array([(x, y, TRUTH[y, x]) for x, y in at])
    np.savetxt(folder / "lidar.txt", table)
    return folder / "lidar.txt"
