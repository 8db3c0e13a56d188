"""What the pair check reports."""

from dataclasses import dataclass
from math import erf, sqrt
from typing import Any

REPORTED = 0.8
"""Findings less certain than this are not reported: a warning that is often wrong is not read."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a pair.

    code: a short fixed name (`swapped`, `unrectified`, ...). message: what was seen, with numbers.
    certainty: 0..1, how sure the check is that it is so. size: how large it is, in `unit`, or None
    where there is no such number. remedy: what to do.
    """

    code: str
    message: str
    certainty: float
    remedy: str
    size: float | None = None
    unit: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; certainty to three digits, size to four significant ones."""
        return {
            "code": self.code,
            "message": self.message,
            "certainty": round(self.certainty, 3),
            "size": None if self.size is None else float(f"{self.size:.4g}"),
            "unit": self.unit,
            "remedy": self.remedy,
        }


def certainty_above(value: float, limit: float, error: float) -> float:
    """P(the true value exceeds `limit`) when `value` was measured with a standard `error`."""
    return 0.5 * (1 + erf((float(value) - limit) / (float(error) * sqrt(2))))


def plain(value: float) -> str:
    """A number as a person would write it: three significant digits, no exponent."""
    text = f"{float(f'{value:.3g}'):f}"
    return text.rstrip("0").rstrip(".")
