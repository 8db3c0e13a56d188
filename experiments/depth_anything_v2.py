"""Depth Anything V2's way (Yang et al., NeurIPS 2024), on scenes and with a tiny net.

    python experiments/mono_table.py                  # all rows: what experiments/README.md shows
    fathom train experiments/depth_anything_v2.py     # the student alone; needs the rows' teacher

The teacher sees synthetic views alone, whose depth is exact to the pixel: 320 clean scenes, half of
other places. The student sees guesses alone, 480 views with a camera's faults and nights, and no
truth at all. Both take the affine-invariant loss and twice the gradient matching; of a guess's
pixels the tenth with the largest residuals does not count.

Seed 0, 800 steps of 9 views a row, procedural scenes alone. `full` has the published settings.
"""

from dataclasses import replace
from functools import partial
from typing import Any

from mono_small import BASE, FARTHEST, SYNTHETIC, Views, guessed

from fathom.nets.mono.trainable import depth_anything_of
from fathom.train import Experiment
from fathom.train.pseudo import OneView, Strong, ViewLoss

TEACHER = "v2-teacher"


def synthetic() -> Views:
    """320 clean views with their depth."""
    return SYNTHETIC


def student(loss: ViewLoss, teacher: str = TEACHER) -> Experiment:
    """The student of that run with this loss."""
    return replace(
        BASE,
        data=partial(guessed, teacher),
        task=OneView(Strong(), farthest=FARTHEST),
        loss=loss,
    )


EXPERIMENT = student(ViewLoss(gradients=2.0, drop=0.1))
ROWS = {
    TEACHER: (
        "teacher: 320 synthetic views, gradient matching at 2",
        replace(BASE, data=synthetic, loss=ViewLoss(gradients=2.0)),
    ),
    "v2-teacher-flat": (
        "no gradient matching",
        replace(BASE, data=synthetic, loss=ViewLoss()),
    ),
    "v2-student": (
        "student of `v2-teacher`: guesses of 480 views alone, gradient matching at 2",
        EXPERIMENT,
    ),
    "v2-student-flat": ("the same without gradient matching", student(ViewLoss(drop=0.1))),
    "v2-student-of-flat": (
        "student of `v2-teacher-flat`, no gradient matching",
        student(ViewLoss(drop=0.1), "v2-teacher-flat"),
    ),
    "v2-teacher-half": (
        "gradient matching at 0.5",
        replace(BASE, data=synthetic, loss=ViewLoss(gradients=0.5)),
    ),
    "v2-student-half": (
        "student of `v2-teacher-half`, gradient matching at 0.5",
        student(ViewLoss(gradients=0.5, drop=0.1), "v2-teacher-half"),
    ),
}


def full(folder: str, guesses: Any) -> Experiment:
    """The published settings of a student, never run here: `folder` as in `depth_anything_v1`,
    `guesses` of 62 million views by a teacher of DINOv2's largest encoder that saw 595,000
    synthetic images for 160,000 steps of 64."""
    net = partial(depth_anything_of, folder)
    return replace(
        EXPERIMENT,
        net=net,
        data=lambda: guesses,
        loss=ViewLoss(gradients=2.0, drop=0.1, alignment=1.0, reference=net),
        steps=480_000,
        batch=192,
        crop_width=518,
        crop_height=518,
        divisor=14,
        learning_rate=5e-5,
        rates=(("net.backbone.", 0.1),),
        warmup=0,
        threads=None,
        workers=8,
    )


def full_teacher(folder: str, synthetic: Any) -> Experiment:
    """The published settings of the teacher, never run here: `folder` of DINOv2's largest encoder,
    595,000 synthetic images, 160,000 steps of 64."""
    return replace(
        full(folder, synthetic),
        loss=ViewLoss(gradients=2.0),
        task=OneView(),
        steps=160_000,
        batch=64,
    )
