"""From relative depth to metres in two stages (Bhat et al., "ZoeDepth", 2023), small.

    python experiments/mono_table.py                  # all rows: what experiments/README.md shows
    fathom train experiments/zoedepth_two_stages.py   # stage two; needs the rows' first stage

Stage one learns relative depth from two data sets of unknown scales, as MiDaS does: the run `mixed-
trimmed` of `midas_mixed.py`. Stage two puts ZoeDepth's bins on its decoder and learns metres
(SILog) from 16 views of one camera, what stage one made at a tenth of the rate. The control takes
the same net, loss and views and begins at random. Numbers are in metres, on 60 other views of that
camera: nothing is fitted. `zoe-random` shows what a view of random cameras tells of metres, which
is nothing.

Seed 0, 400 steps of 9 views a row, procedural scenes alone. `full` has the published settings.
"""

from dataclasses import replace
from functools import partial
from typing import Any

from mono_small import BASE, FARTHEST, LABELLED, UP, TinyDepth, Views, held_out, trained
from torch import Tensor, nn

from fathom.layers.bins import BinsConfig, MetricBins
from fathom.layers.mono import MonoOutput
from fathom.layers.resample import to_size
from fathom.train import Experiment
from fathom.train.judge_views import ViewJudge
from fathom.train.pseudo import OneView, ViewLoss

FIRST = "mixed-trimmed"
ONE, OTHERS = Views("one", 0, 76, 0, 16), Views("one", 0, 76, 16, 60)


class Metric(nn.Module):
    """A relative net, and ZoeDepth's bins on its decoder's four levels."""

    def __init__(self, relative: TinyDepth, width: int, bins: int = 32) -> None:
        super().__init__()
        self.relative = relative
        sizes = {"bottleneck": width, "level": width, "last": width}
        self.bins = MetricBins(BinsConfig(bins, **sizes, embedding=32, hidden=32, projector=32))

    def forward(self, image: Tensor) -> MonoOutput:
        """Metres, of the image's size."""
        output, levels = self.relative.levels(image)
        depth = self.bins(levels[0], levels, levels[-1], output.map)
        return MonoOutput(to_size(depth, (image.shape[-2], image.shape[-1])), output.features)


def metric(first: str | None) -> Metric:
    """The net of stage two; first: the run it goes on from."""
    return Metric(TinyDepth() if first is None else trained(first), UP)  # type: ignore[arg-type]


def few() -> Views:
    """16 labelled views."""
    return ONE


def others() -> Views:
    """60 views of the same camera."""
    return OTHERS


def of_random_cameras() -> Views:
    """16 labelled views of cameras of any focal length and distance."""
    return replace(LABELLED, count=16)


def stage_two(first: str | None, data: Any = few, held: Any = others) -> Experiment:
    """Learning metres, from that run or from nothing."""
    judge = ViewJudge(
        "held out", held, metrics=("abs-rel", "delta-1", "boundary-f1"), target="depth",
        fitted=False,
    )  # fmt: skip
    return replace(
        BASE,
        net=partial(metric, first),
        data=data,
        loss=ViewLoss(kind="silog"),
        task=OneView(target="depth", farthest=FARTHEST),
        validation=(judge,),
        augment=None,  # a part of a view at its size is another camera's
        rates=() if first is None else (("relative.", 0.1),),
        steps=400,
    )


EXPERIMENT = stage_two(FIRST)
ROWS = {
    "zoe-two": ("metres from 16 views of one camera, after `mixed-trimmed`", EXPERIMENT),
    "zoe-one": ("metres from the same, from nothing", stage_two(None)),
    "zoe-random": (
        "as `zoe-two`, 16 views of random cameras",
        stage_two(FIRST, of_random_cameras, held_out),
    ),
}


def full() -> Experiment:
    """ZoeDepth's settings for stage two, never run here: its own learning rate and length; 64 bins,
    SILog, one 5-epoch run over 24,000 images of NYU in batches of 16, the rate rising and falling
    (here: a cosine), a tenth of it for the encoder."""
    return replace(
        EXPERIMENT,
        steps=7_500,
        batch=16,
        crop_width=512,
        crop_height=384,
        divisor=32,
        learning_rate=1.61e-4,
        rates=(("relative.net.backbone.", 0.1),),
        weight_decay=0.01,
        schedule="cosine",
        threads=None,
    )
