"""`fathom weights calibrate`: a converted net's confidence becomes true, on pairs with truth."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fathom.catalog import create, entry
from fathom.combine.calibration import Calibration, fit
from fathom.core.arrays import Array
from fathom.core.errors import InputError, UsageError
from fathom.core.options import option
from fathom.core.sample import StereoSample
from fathom.data.registry import open_dataset
from fathom.data.samples import motorcycle
from fathom.eval.sparsification import calibration_error, errors_and_confidence
from fathom.published.store import read_header, read_weights, weights_file, write_weights

Notify = Callable[[str], None]
_NETWORK = "fathom.combine.networks:Network"
_PIXELS = 20_000
"""Pixels a pair that are looked at: neighbours tell the same."""


@dataclass(frozen=True)
class CalibrateOptions:
    """Which pairs the confidence is compared with.

    Raises `UsageError` for less than one pair.
    """

    model: str | None = option(None, "the net, where the file does not tell")
    data: str | None = option(
        None, "folder of a data set, or a list (CSV, JSON lines); default: the Motorcycle pair",
        metavar="PATH",
    )  # fmt: skip
    format: str | None = option(
        None, "which data set it is (default: recognised)", flags=("--dataset",), metavar="NAME"
    )
    split: str | None = option(None, "which split", metavar="NAME")
    most: int = option(50, "take at most so many pairs, spread over all", metavar="N")
    device: str = option("cpu", "cpu, cuda, cuda:N or mps")

    def __post_init__(self) -> None:
        if self.most < 1:
            raise UsageError("is no number of pairs", field="most", value=self.most, expected=">=1")


@dataclass(frozen=True)
class Calibrated:
    """path: the file that now holds the calibration. pairs, pixels: it was fitted on. before,
    after: expected calibration error, 0..1; after is of pairs that were left out of the fit where
    there are two or more, else of the same pair (`held_out` tells). said, right: mean confidence
    before, and the share of pixels within 1 px."""

    path: str
    model: str
    scale: float
    offset: float
    pairs: int
    pixels: int
    before: float
    after: float
    held_out: bool
    said: float
    right: float


def calibrate_weights(
    target: str, options: CalibrateOptions | None = None, notify: Notify = lambda _: None
) -> Calibrated:
    """Fits the confidence of converted weights to what is true, and writes it into their file.

    target: a name they are kept under, or a file. The tensors stay as they are; an earlier
    calibration is replaced.

    Raises `InputError` for weights or pairs that are not there, or pairs without truth;
    `UsageError` for a net that has no confidence of its own; and what the net raises.
    """
    options = options or CalibrateOptions()
    path = weights_file(options.model or target, target)
    model = options.model or read_header(path).model
    if model is None:
        raise InputError(
            "does not say which net it is for", file=path, field="model",
            remedy="give --model, or convert the checkpoint: fathom weights convert",
        )  # fmt: skip
    chosen = entry(model)
    if chosen.target != _NETWORK or not chosen.confidence:
        raise UsageError(
            "has no distribution to calibrate", field="model", value=model,
            expected="a published net that has one; the mirror's check is calibrated already",
        )  # fmt: skip
    found = [_pixels(path, model, sample, options) for sample in _said(options, notify)]
    found = [pair for pair in found if pair[0].size]
    if not found:
        raise InputError("has no pixel with truth and a value", field="data", value=options.data)
    fitted = _fitted(found)
    after = _left_out(found) if len(found) > 1 else _error(found, [fitted])
    tensors, kept = read_weights(path)
    result = Calibrated(
        str(path), model, fitted.scale, fitted.offset, len(found), sum(c.size for c, _ in found),
        _error(found, [Calibration()] * len(found)), after, len(found) > 1,
        float(np.mean([c.mean() for c, _ in found])), float(np.mean([r.mean() for _, r in found])),
    )  # fmt: skip
    told = {k: v for k, v in asdict(result).items() if k not in ("path", "model")}
    write_weights(path, tensors, {**kept.about, "model": model, "calibration": told})
    return result


def _said(options: CalibrateOptions, notify: Notify) -> Iterator[StereoSample]:
    samples = list(_samples(options))
    for i, sample in enumerate(samples):
        notify(f"{i + 1} of {len(samples)}: {sample.name}")
        yield sample


def _samples(options: CalibrateOptions) -> Iterator[StereoSample]:
    if options.data is None:
        yield motorcycle()
        return
    data = open_dataset(options.format, options.data, options.split)
    step = max(1, -(-len(data) // options.most))
    for i in range(0, len(data), step):
        sample = data[i]
        if not isinstance(sample, StereoSample) or sample.truth is None:
            raise InputError(
                "has no true disparity", file=options.data, value=getattr(sample, "name", i),
                expected="pairs with truth",
            )  # fmt: skip
        yield sample


def _pixels(
    path: Path, model: str, sample: StereoSample, options: CalibrateOptions
) -> tuple[Array, Array]:
    """What the net says of itself before calibration, and whether it is right, of some pixels."""
    own: dict[str, Any] = {"calibrated": False}
    found = create(model, weights=str(path), device=options.device, **own)(sample.pair)
    assert sample.truth is not None  # _samples
    errors, confidence = errors_and_confidence(found, sample.truth)
    taken = np.linspace(0, errors.size - 1, min(errors.size, _PIXELS)).astype(int)
    return confidence[taken].astype(np.float32), errors[taken] <= 1


def _fitted(pairs: list[tuple[Array, Array]]) -> Calibration:
    """Every pair counts alike."""
    weight = np.concatenate([np.full(c.size, 1 / c.size, np.float32) for c, _ in pairs])
    confidence, right = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return fit(confidence, right, weight)


def _left_out(pairs: list[tuple[Array, Array]]) -> float:
    """The error of every pair under the calibration of all others."""
    return _error(pairs, [_fitted(pairs[:i] + pairs[i + 1 :]) for i in range(len(pairs))])


def _error(pairs: list[tuple[Array, Array]], by: list[Calibration]) -> float:
    errors = [
        calibration_error(right, calibration(confidence).astype(np.float64))
        for (confidence, right), calibration in zip(pairs, by, strict=True)
    ]
    return float(np.mean(errors))
