"""Semi-global matching corrected by a small net: `sgm-refined`, `fathom-s`.

Our own design, after Aleotti et al., "Neural Disparity Refinement for Arbitrary Resolution Stereo",
3DV 2021 (a net that mends what classical matching found generalises best from synthetic scenes),
and the small correlation nets (Lite Any Stereo, 2025; LightStereo, 2024).

1. Full-resolution census SGM gives a disparity, its probability, left-right agreement and lead.
2. At a quarter of the size these become a soft histogram over disparities; `fathom-s` adds the
   cosine correlation of learned features of both views. A U-Net of plain 2-D convolutions that
   takes disparities as channels turns both into scores; the peak's mean is the coarse disparity.
3. Convex upsampling (Teed and Deng, "RAFT", ECCV 2020) brings it to full size.
4. At half size a few convolutions decide for every full-size pixel how far to keep the classical
   value, which is the more exact one where it is right, and correct the rest.
5. A second small U-Net judges this value and the classical one, P(error <= 1 px) of each, by more
   of what is around them. Where semi-global matching is much surer, the classical one stands.

Weights: trained by us on scenes of our own, Apache-2.0.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import InputError, UsageError
from fathom.layers.blocks import ConvNorm, Residual, UNet
from fathom.layers.resample import convex_upsample, warp_right
from fathom.layers.stereo import StereoOutput
from fathom.layers.volume import correlation, peak_disparity, soft_histogram

_CELL = 4
_CHANNELS = 6  # of the evidence
_NEAR = 8.0  # pixels of difference between both estimates that the last step can tell apart
_REACH = 4.0  # pixels by which it may correct
_JUDGED = 8  # the last step's judge sees cells of this side
_CANDIDATES = 2  # that it judges: the net's own value and the classical one
_SURER = 0.2  # by so much semi-global matching must be surer for its value to stand
_SEEN = 11  # what the last step sees of every pixel: see `refined`


@dataclass(frozen=True)
class EvidenceConfig:
    """matching: whether learned features of both views are matched (`fathom-s`). levels: coarse
    disparities, 4 px apart. features: channels that are matched. widths: of the U-Net at 1/4, 1/8,
    ... of the size. detail: channels of the last step.

    Raises `UsageError` for sizes below 1.
    """

    matching: bool = True
    levels: int = 48
    features: int = 32
    widths: tuple[int, ...] = (48, 72, 96, 128)
    detail: int = 24

    def __post_init__(self) -> None:
        if min(self.levels, self.features, self.detail, *self.widths) < 1:
            raise UsageError("is no net", field="EvidenceConfig", value=self, expected="sizes >= 1")

    @property
    def divisor(self) -> int:
        """Images' sizes must be multiples of this."""
        return max(_CELL << (len(self.widths) - 1), _JUDGED)

    @property
    def max_disparity(self) -> int:
        """Disparities below this can be found, in pixels."""
        return self.levels * _CELL


class EvidenceNet(nn.Module):
    """left, right (b, 3, h, w) in 0..255 and evidence (b, 6, h, w) as `evidence_channels` has it;
    gives the disparity at full size, the upsampled coarse one, and scores of the coarse levels.

    In training the first disparity is the net's own, with its plain confidence, and the classical
    one stands in `others` with its own; for inference one of both is taken at every pixel.
    """

    def __init__(self, config: EvidenceConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or EvidenceConfig()
        c, width = config.features, config.widths[0]
        self.stem = ConvNorm(3, c // 2, stride=2)
        self.tower = nn.Sequential(ConvNorm(c // 2, c, stride=2), Residual(c))
        if config.matching:
            self.descriptor = nn.Conv2d(c, c, 1, bias=False)
            self.sharpness = nn.Parameter(torch.tensor(8.0))
        volumes = 3 if config.matching else 2
        self.enter = ConvNorm(volumes * config.levels + c + 4, width, 1)
        self.first = ConvNorm(width, width)
        self.unet = UNet(config.widths)
        self.scores = nn.Conv2d(width, config.levels, 1)
        self.trust = nn.Parameter(torch.tensor(8.0))  # of the evidence's histogram
        self.mask = nn.Conv2d(width, 9 * _CELL**2, 1)
        self.context = ConvNorm(width + 1, 16, 1)
        seen = _SEEN if config.matching else _SEEN - 2
        self.detail = nn.Sequential(
            ConvNorm(4 * seen + c // 2 + 16, config.detail, 1),
            ConvNorm(config.detail, config.detail),
            ConvNorm(config.detail, config.detail),
        )
        self.decide = nn.Conv2d(config.detail, 2 * 4, 1)
        self.judge = Judge(config.detail)
        nn.init.zeros_(self.mask.weight)

    def forward(
        self,
        left: Float[Tensor, "b 3 h w"],
        right: Float[Tensor, "b 3 h w"],
        evidence: Float[Tensor, "b 6 h w"],
    ) -> StereoOutput:
        """See the class. Raises `InputError` for evidence that was made by another fathom."""
        if evidence.shape[1] != _CHANNELS:
            raise InputError(
                "has another number of channels",
                field="evidence",
                value=evidence.shape[1],
                expected=f"{_CHANNELS}, as fathom.classical.channels makes them",
                remedy="if it was kept on disk, keep it under another name",
            )
        levels = self.config.levels
        fine, coarse = self.seen(left)
        found = _histogram(evidence[:, :1], evidence[:, 1:2], levels)
        mended = _histogram(evidence[:, 4:5], evidence[:, 5:], levels)
        cues = _cell_means(torch.cat([evidence[:, 1:4], evidence[:, 5:]], dim=1))
        inputs = [found, mended, coarse, cues]
        prior = self.trust * (found + mended)
        if self.config.matching:
            _, other = self.seen(right)
            matched = correlation(self.described(coarse), self.described(other), levels)
            inputs.append(matched)
            prior = prior + self.sharpness * matched
        x = self.unet(self.first(self.enter(torch.cat(inputs, dim=1))))
        logits = (self.scores(x) + prior).float()
        peak, mass = peak_disparity(logits)
        smooth = convex_upsample(peak * _CELL, self.mask(x).float(), _CELL)
        context = self.context(torch.cat([x, mass], dim=1))
        disparity, judged = self.refined(left, right, (fine, context), evidence, smooth)
        filled = evidence[:, 4:5]
        if not self.training:
            disparity, confidence = _chosen((disparity, filled), judged, evidence[:, 5:])
            return StereoOutput((disparity, smooth), confidence, logits)
        own, classical = judged.chunk(_CANDIDATES, dim=1)
        return StereoOutput((disparity, smooth), own, logits, others=((filled, classical),))

    def seen(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Features at half and at a quarter of the size."""
        fine = self.stem(image / 127.5 - 1)
        return fine, self.tower(fine)

    def described(self, features: Tensor) -> Tensor:
        """Unit vectors that are compared by their cosine."""
        return functional.normalize(self.descriptor(features).float(), dim=1, eps=1e-3)

    def refined(
        self,
        left: Tensor,
        right: Tensor,
        features: tuple[Tensor, Tensor],
        evidence: Tensor,
        smooth: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The net's disparity at full size; logits (b, 2, h, w) of what it and the classical
        value are worth.
        """
        found, filled, sure = evidence[:, :1], evidence[:, 4:5], evidence[:, 5:]
        step = filled - smooth
        near = [(d / _NEAR).clamp(-1, 1) for d in (step, found - smooth)]
        seen = [left / 127.5 - 1, *near, evidence[:, 1:4], sure]
        if self.config.matching:
            seen += _residuals(left, right, (filled, smooth.detach()))
        fine, context = features
        pixels = functional.pixel_unshuffle(torch.cat(seen, dim=1), 2)
        last = self.detail(torch.cat([pixels, fine, _doubled(context)], dim=1))
        # split first: at half the size this costs a runtime nothing
        out = self.decide(last).float().split(4, dim=1)
        keep, correct = (functional.pixel_shuffle(t, 2) for t in out)
        gate = torch.sigmoid(keep + torch.logit(sure.clamp(0.02, 0.98)))
        disparity = smooth + gate * step + _REACH * torch.tanh(correct / _REACH)
        return disparity, self.judge(last).float()


class Judge(nn.Module):
    """Logits (b, 2, h, w) of what two values a pixel are worth, from features (b, c, h/2, w/2).

    At a quarter and an eighth of the size it sees farther than the layers before it: whether a
    match is right shows in what is around it. width: channels c. h and w are multiples of 8.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.quarter = ConvNorm(width, width)
        self.eighth = nn.Sequential(ConvNorm(width, 2 * width), ConvNorm(2 * width, 2 * width))
        self.merge = ConvNorm(3 * width, width)
        self.mix = nn.Conv2d(2 * width, width, 1)
        self.out = nn.Conv2d(width, 4 * _CANDIDATES, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c _h _w"]) -> Float[Tensor, "b 2 h w"]:
        """See the class."""
        fine = self.quarter(functional.avg_pool2d(x, 2))
        coarse = self.eighth(functional.avg_pool2d(fine, 2))
        wide = self.merge(torch.cat([fine, _doubled(coarse)], dim=1))
        mixed = self.mix(torch.cat([x, _doubled(wide)], dim=1))
        return functional.pixel_shuffle(self.out(functional.relu(mixed)), 2)


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def _chosen(values: tuple[Tensor, Tensor], judged: Tensor, sure: Tensor) -> tuple[Tensor, Tensor]:
    """Of the net's disparity and the classical one the latter where semi-global matching is much
    surer of it (`sure`) than the net is of its own; and the logits of what it is judged worth.

    Its own word counts and not the judge's: on real pairs that moved more values that were right,
    and a net that is adapted must not depend on it (`experiments/README.md`).
    """
    own, classical = judged.chunk(_CANDIDATES, dim=1)
    kept = sure > torch.sigmoid(own) + _SURER
    return torch.where(kept, values[1], values[0]), torch.where(kept, classical, own)


def _cell_means(layers: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h4 w4"]:
    """Means of the cells, layer by layer: of several at once OpenVINO makes 16 before it pools."""
    b, c, h, w = layers.shape
    pooled = functional.avg_pool2d(layers.reshape(b * c, 1, h, w), _CELL)
    return pooled.reshape(b, c, h // _CELL, w // _CELL)


def _residuals(left: Tensor, right: Tensor, disparities: tuple[Tensor, Tensor]) -> list[Tensor]:
    """For each disparity |left - warped right| of the grey values over a 3x3 window, 0..1."""
    grey, other = (image.mean(dim=1, keepdim=True) / 255 for image in (left, right))
    out = []
    for disparity in disparities:
        warped, _ = warp_right(other, disparity)
        out.append(functional.avg_pool2d((grey - warped).abs(), 3, stride=1, padding=1))
    return out


def _histogram(found: Tensor, sure: Tensor, levels: int) -> Tensor:
    """Of a cell's 16 classical values, as four means of 2x2 weighted by their probability."""
    weight = functional.avg_pool2d(sure, 2)
    mean = functional.avg_pool2d(found * sure, 2) / weight.clamp(min=1e-3)
    four, weights = (functional.pixel_unshuffle(t, 2) for t in (mean / _CELL, weight))
    return soft_histogram(four, weights, levels)


def fathom_s() -> EvidenceNet:
    """The net behind `fathom-s`."""
    return EvidenceNet(EvidenceConfig())


def sgm_refined() -> EvidenceNet:
    """The net behind `sgm-refined`: it sees the left view and the evidence only."""
    return EvidenceNet(EvidenceConfig(matching=False))
