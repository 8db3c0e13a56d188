"""What a scoring says: numbers that carry their protocol wherever they go."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fathom.core.errors import unknown_name
from fathom.eval.alignment import Alignment
from fathom.eval.measures import Measure
from fathom.eval.protocol import Protocol


@dataclass(frozen=True)
class Score:
    """One number and what it means.

    value: as stored (shares 0..1, pixels, metres). `str` shows metric, value, unit, protocol, mask
    and the share of judged pixels that the estimate knows.
    """

    value: float
    measure: Measure
    protocol: Protocol
    mask: str
    known: float

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return (
            f"{self.measure.name} {self.measure.shown(self.value)} "
            f"[{self.protocol.name}, {self.mask}, {self.known:.1%} known]"
        )


@dataclass(frozen=True, eq=False)
class Scores:
    """All numbers of one estimate under one protocol and one mask.

    sample: its name. pixels: how many were judged. known: share 0..1 of them that the estimate
    knew before anything was filled. values: metric -> number; metrics that need a confidence, a
    sigma or a source are missing where the estimate has none. sums: what they were made of.
    alignment: what was fitted. notes: what a reader should know, such as a wrong unit.
    """

    protocol: Protocol
    mask: str
    sample: str
    pixels: int
    known: float
    values: Mapping[str, float]
    sums: Mapping[str, tuple[float, ...]] = field(repr=False)
    alignment: Alignment = field(default_factory=lambda: Alignment("none", 1.0, 0.0, 0))
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("values", "sums"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __getitem__(self, metric: str) -> Score:
        """The number with everything that belongs to it.

        Raises `UsageError` with close matches for a metric that was not computed.
        """
        if metric not in self.values:
            raise unknown_name(f"metric of {self.protocol.name}:", metric, list(self.values))
        return Score(
            self.values[metric], self._measure(metric), self.protocol, self.mask, self.known
        )

    def __iter__(self) -> Iterator[Score]:
        return (self[name] for name in self.values)

    def _measure(self, metric: str) -> Measure:
        return next(m for m in self.protocol.measures if m.name == metric)

    @property
    def heading(self) -> str:
        """Protocol, mask, pixels and how unknown ones count: what stands above any number."""
        unknown = {"wrong": "unknown = wrong", "ignored": "unknown left out", "filled": "filled"}
        aligned = "" if self.alignment.name == "none" else f", aligned by {self.alignment}"
        return (
            f"{self.protocol.name}, {self.mask}: {self.known:.1%} of {self.pixels} px known, "
            f"{unknown[self.protocol.unknown]}{aligned}"
        )

    def __str__(self) -> str:
        shown = ", ".join(
            f"{name} {self._measure(name).shown(value)}" for name, value in self.values.items()
        )
        name = f"{self.sample}: " if self.sample else ""
        notes = "".join(f" (! {note})" for note in self.notes)
        return f"{name}[{self.heading}] {shown}{notes}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON: plain numbers, None for what could not be computed."""
        return {
            "protocol": self.protocol.name,
            "rules": self.protocol.rules(),
            "mask": self.mask,
            "sample": self.sample,
            "pixels": self.pixels,
            "known": self.known,
            "alignment": {
                "name": self.alignment.name,
                "scale": self.alignment.scale,
                "shift": self.alignment.shift,
            },
            "metrics": {k: _plain(v) for k, v in self.values.items()},
            "units": {k: self._measure(k).unit for k in self.values},
            "notes": list(self.notes),
        }

    def row(self) -> dict[str, float | int | str | None]:
        """One line of a table (csv): sample, protocol and mask first, then every metric."""
        head: dict[str, float | int | str | None] = {
            "sample": self.sample,
            "protocol": self.protocol.name,
            "mask": self.mask,
            "pixels": self.pixels,
            "known": self.known,
        }
        return head | {k: _plain(v) for k, v in self.values.items()}


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
