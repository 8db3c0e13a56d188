"""The numbers of a data set, one image at a time: memory does not grow with the images."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fathom.core.errors import InputError, UsageError
from fathom.eval.protocol import Protocol
from fathom.eval.scores import Scores


@dataclass(frozen=True, eq=False)
class Totals:
    """A data set under one protocol and one mask.

    images, pixels: how many were judged. known: share 0..1 of all judged pixels that the estimates
    knew. of_images: metric -> mean of the images' numbers. of_pixels: metric -> the metric over all
    pixels of all images together; quantiles, areas and F1 have none. counted: metric -> images
    that had a number (an estimate that knows nothing has no EPE). worst: metric -> (sample, number)
    of the worst image. noted: how many images had something to say (a wrong unit ...), and the
    first of it.
    """

    protocol: Protocol
    mask: str
    images: int
    pixels: int
    known: float
    of_images: Mapping[str, float]
    of_pixels: Mapping[str, float]
    counted: Mapping[str, int]
    worst: Mapping[str, tuple[str, float]]
    noted: int
    first_note: str

    @property
    def published(self) -> Mapping[str, float]:
        """The mean that tables of this protocol show; that of the images where the other is not."""
        if self.protocol.mean == "pixels":
            return {**self.of_images, **self.of_pixels}
        return self.of_images

    def __str__(self) -> str:
        def kind(name: str) -> str:
            pooled = self.protocol.mean == "pixels" and name in self.of_pixels
            return "over all pixels" if pooled else "mean of images"

        shown = {m.name: m for m in self.protocol.measures}
        parts = []
        for name, value in self.published.items():
            few = self.counted[name]
            of = "" if few == self.images else f", {few} of {self.images} images"
            parts.append(f"{name} {shown[name].shown(value)} ({kind(name)}{of})")
        noted = "" if not self.noted else f" (! {self.noted} images: {self.first_note})"
        return (
            f"[{self.protocol.name}, {self.mask}: {self.images} images, {self.known:.1%} of "
            f"{self.pixels} px known] " + ", ".join(parts) + noted
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON: both means by their names."""
        return {
            "protocol": self.protocol.name,
            "rules": self.protocol.rules(),
            "mask": self.mask,
            "images": self.images,
            "pixels": self.pixels,
            "known": self.known,
            "published_mean": self.protocol.mean,
            "mean_of_images": {k: _plain(v) for k, v in self.of_images.items()},
            "over_all_pixels": {k: _plain(v) for k, v in self.of_pixels.items()},
            "images_counted": dict(self.counted),
            "units": {m.name: m.unit for m in self.protocol.measures},
            "worst": {k: {"sample": s, "value": _plain(v)} for k, (s, v) in self.worst.items()},
            "images_with_notes": self.noted,
            "first_note": self.first_note,
        }


class Tally:
    """Adds up `Scores` of one protocol and one mask and keeps none of them."""

    def __init__(self, protocol: Protocol, mask: str | None = None) -> None:
        self.protocol = protocol
        self.mask = protocol.masks[0] if mask is None else mask
        self._measures = {m.name: m for m in protocol.measures}
        self._images = self._pixels = self._noted = 0
        self._known = 0.0
        self._first_note = ""
        self._sum: dict[str, float] = {}
        self._count: dict[str, int] = {}
        self._sums: dict[str, tuple[float, ...]] = {}
        self._worst: dict[str, tuple[str, float]] = {}

    def add(self, scores: Scores) -> None:
        """Takes one image in.

        Raises `UsageError` for scores of another protocol or mask: such numbers do not add up.
        """
        if (scores.protocol, scores.mask) != (self.protocol, self.mask):
            raise UsageError(
                "cannot be averaged with the others",
                field="scores",
                value=f"{scores.protocol.name}, {scores.mask}",
                expected=f"{self.protocol.name}, {self.mask}",
            )
        self._images += 1
        self._pixels += scores.pixels
        self._known += scores.known * scores.pixels
        if scores.notes:
            self._noted += 1
            self._first_note = self._first_note or f"{scores.sample}: {scores.notes[0]}"
        for name, value in scores.values.items():
            self._take(name, value, scores)

    def _take(self, name: str, value: float, scores: Scores) -> None:
        self._count.setdefault(name, 0)
        self._sum.setdefault(name, 0.0)
        measure = self._measures[name]
        if measure.pooled:
            before = self._sums.get(name, (0.0,) * len(scores.sums[name]))
            added = zip(before, scores.sums[name], strict=True)
            self._sums[name] = tuple(a + b for a, b in added)
        if not math.isfinite(value):
            return
        self._count[name] += 1
        self._sum[name] += value
        sign = {"lower": 1, "higher": -1}.get(measure.better)
        if sign and (name not in self._worst or sign * value > sign * self._worst[name][1]):
            self._worst[name] = (scores.sample, value)

    def totals(self) -> Totals:
        """What there is so far.

        Raises `InputError` if nothing was added.
        """
        if not self._images:
            raise InputError("holds no image", field=f"tally of {self.protocol.name}")
        of_images = {
            name: total / self._count[name] if self._count[name] else math.nan
            for name, total in self._sum.items()
        }
        of_pixels = {name: self._measures[name].finish(s) for name, s in self._sums.items()}
        return Totals(
            self.protocol,
            self.mask,
            self._images,
            self._pixels,
            self._known / self._pixels,
            of_images,
            of_pixels,
            dict(self._count),
            dict(self._worst),
            self._noted,
            self._first_note,
        )


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
