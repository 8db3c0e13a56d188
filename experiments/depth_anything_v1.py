"""Semi-supervision as Depth Anything has it (Yang et al., CVPR 2024), with a tiny net on scenes.

    python experiments/mono_table.py                  # all rows: what experiments/README.md shows
    fathom train experiments/depth_anything_v1.py     # the student alone; needs the rows' teachers

A teacher learns from 128 labelled views. The student sees them and, two to each of them, 480 views
whose depth the teacher guessed; these it sees in other colours, blurred and cut into each other.
Besides, its encoder's description of them must stay near that of a frozen encoder. There is no
pretrained DINOv2 here: the frozen encoder is that of the net of `depth_anything_v2.py` that learned
from clean synthetic views, and so was made for depth, which takes the point out of the comparison
with the paper's; `random` is one that learned nothing.

Seed 0, 800 steps of 9 views a row, procedural scenes alone. `full` has the published settings.
"""

from dataclasses import replace
from functools import partial
from typing import Any

from mono_small import BASE, FARTHEST, TinyDepth, labelled_and_guessed, trained

from fathom.nets.mono.trainable import depth_anything_of
from fathom.train import Experiment
from fathom.train.guessed import Blend
from fathom.train.pseudo import OneView, Strong, ViewLoss

TEACHER = "v1-teacher"


def student(strong: Strong | None, alignment: float = 0.0, reference: Any = None) -> Experiment:
    """The student with these ingredients."""
    return replace(
        BASE,
        data=partial(labelled_and_guessed, TEACHER),
        task=OneView(strong, farthest=FARTHEST),
        loss=ViewLoss(alignment=alignment, reference=reference),
    )


FROM_SYNTHETIC = partial(trained, "v2-teacher")
ROWS = {
    TEACHER: ("teacher: 128 labelled views", BASE),
    "v1-plain": ("student: guesses of 480 views besides, as they are", student(None)),
    "v1-color": ("the same in other colours", student(Strong(blur=0.0, cutmix=0.0))),
    "v1-blur": ("the same, half of them blurred", student(Strong(color=0.0, cutmix=0.0))),
    "v1-strong": ("the same in other colours and blurred", student(Strong(cutmix=0.0))),
    "v1-cutmix": ("the same, and CutMix at 50 %", student(Strong())),
}
EXPERIMENT = student(Strong(), 1.0, FROM_SYNTHETIC)
ALIGNED = {
    "v1-aligned-random": (
        "the same, aligned to a random encoder",
        student(Strong(), 1.0, TinyDepth),
    ),
    "v1-aligned": ("the same, aligned to the encoder of `v2-teacher`", EXPERIMENT),
}
"""Run after V2's teacher."""


def full_teacher(folder: str, labelled: Any) -> Experiment:
    """The published settings of the teacher, never run here: 20 times the 1.5 million labelled
    views, in batches as the student's; nothing is disturbed and nothing aligned."""
    return replace(
        full(folder, labelled, labelled),
        data=lambda: labelled,
        loss=ViewLoss(),
        task=OneView(),
        steps=312_500,
    )


def full(folder: str, labelled: Any, guesses: Any) -> Experiment:
    """The published settings of the student, never run here: `folder` a DINOv2-initialised Depth
    Anything as the hub has them, `labelled` and `guesses` of 1.5 and 62 million views. The encoder
    learns at 5e-6, the decoder at ten times that."""
    net = partial(depth_anything_of, folder)
    return replace(
        EXPERIMENT,
        net=net,
        data=lambda: Blend((labelled, guesses), (1, 2)),
        loss=ViewLoss(alignment=1.0, margin=0.85, reference=net),
        task=OneView(Strong(color=1.0, blur=0.5, cutmix=0.5)),
        steps=1_000_000,
        batch=96,
        crop_width=518,
        crop_height=518,
        divisor=14,
        learning_rate=5e-5,
        rates=(("net.backbone.", 0.1),),
        schedule="linear",
        warmup=0,
        threads=None,
        workers=8,
    )
