"""Data sets of different scale in one run (MiDaS: Ranftl et al., PAMI 2022); depth or its inverse.

    python experiments/mono_table.py                  # all rows: what experiments/README.md shows
    fathom train experiments/midas_mixed.py           # both halves, the trimmed loss

One half of the 128 labelled views tells inverse depth as it is, the other five times as much plus
0.5: two data sets of which neither knows the other's scale and shift. MiDaS' trimmed loss is blind
to both; plain L1 is not. `depth` teaches depth itself by the same affine-invariant loss as the
teacher of `depth_anything_v1.py`, which is taught inverse depth.

Seed 0, 800 steps of 9 views a row, procedural scenes alone.
"""

from dataclasses import dataclass, replace

from mono_small import BASE, FARTHEST, LABELLED, held_out

from fathom.core import Depth, MonoSample
from fathom.train.judge_views import ViewJudge
from fathom.train.pseudo import OneView, ViewLoss


@dataclass(frozen=True)
class Mixed:
    """The labelled views; of the odd ones inverse depth is `scale` times itself plus `shift`."""

    scale: float = 5.0
    shift: float = 0.5

    @property
    def names(self) -> tuple[str, ...]:
        """Of the views."""
        return LABELLED.names

    def __len__(self) -> int:
        return len(LABELLED)

    def __getitem__(self, index: int) -> MonoSample:
        """View `index`."""
        sample = LABELLED[index]
        if index % 2 == 0:
            return sample
        return replace(sample, truth=Depth(1 / (self.scale / sample.truth.values + self.shift)))


EXPERIMENT = replace(BASE, data=Mixed, loss=ViewLoss(kind="trimmed", gradients=0.5))
DEPTH = ViewJudge(
    "held out", held_out, metrics=("abs-rel", "delta-1", "boundary-f1"), target="depth"
)
ROWS = {
    "mixed-trimmed": (
        "two data sets, the other's scale and shift unknown: trimmed loss, gradient matching at "
        "0.5",
        EXPERIMENT,
    ),
    "mixed-l1": ("the same, L1", replace(EXPERIMENT, loss=ViewLoss(kind="l1"))),
    "one-l1": ("one data set, one scale, L1", replace(BASE, loss=ViewLoss(kind="l1"))),
    "depth": (
        "as `v1-teacher`, taught depth, not inverse depth",
        replace(BASE, task=OneView(target="depth", farthest=FARTHEST), validation=(DEPTH,)),
    ),
}
