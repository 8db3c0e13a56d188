"""Judging a net of one view while it is trained."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from fathom.core.maps import Depth, RelativeDepth
from fathom.core.sample import MonoSample
from fathom.eval.protocol import Protocol
from fathom.eval.protocols import protocol
from fathom.eval.scoring import score
from fathom.eval.tally import Tally
from fathom.layers.mono import as_mono_output
from fathom.train.experiment import Experiment, Judging
from fathom.train.validate import Judged, autocast, judge_each


@dataclass(frozen=True)
class ViewJudge:
    """Views with truth on which a net is judged and never trained; see
    `fathom.train.experiment.Validation`. target: what the net tells: `inverse` (up to scale and
    shift, which are fitted) or `depth`. fitted: whether depth is fitted, too.
    """

    name: str
    data: Callable[[], Any]
    protocol: str = "affine-invariant"
    metrics: tuple[str, ...] = ("abs-rel", "delta-1")
    target: Literal["inverse", "depth"] = "inverse"
    fitted: bool = True

    def rules(self) -> Protocol:
        """The protocol with these metrics."""
        chosen = protocol(self.protocol).varied(metrics=self.metrics)
        return chosen if self.fitted else chosen.varied(alignment="none")

    def estimate(self, values: Any) -> Depth | RelativeDepth:
        """What the net told of one view as its noun."""
        if self.target == "inverse":
            return RelativeDepth(values, "affine_inverse")
        if self.fitted:
            return RelativeDepth(values, "affine")
        return Depth(np.where(values > 0, values, np.float32(np.nan)))


def judge_views(judge: ViewJudge, samples: Any, judging: Judging) -> Judged | None:
    """Judges the net on the judge's samples; those that fail are named and left out. None once
    judging is cancelled.

    Raises `InputError` if none could be judged.
    """
    rules = judge.rules()
    tally = Tally(rules, None)

    def look(sample: MonoSample, name: str) -> None:  # noqa: ARG001
        values = _told(judging.net, sample, judging.experiment, judging.device)
        tally.add(score(judge.estimate(values), sample, rules, mask=tally.mask))

    failed = judge_each(judging, judge.name, samples, look, "views with a true depth")
    if failed is None:
        return None
    totals = tally.totals()
    numbers = dict(totals.published)
    return Judged(judge.name, numbers, str(totals), totals.images, failed, {})


def _told(net: nn.Module, sample: MonoSample, experiment: Experiment, device: torch.device) -> Any:
    image = torch.from_numpy(sample.view.rgb8.copy()).permute(2, 0, 1)[None].float().to(device)
    with torch.inference_mode(), autocast(experiment, device):
        return as_mono_output(net(image)).map[0, 0].cpu().numpy()
