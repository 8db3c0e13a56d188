"""How names and values of a result are written for people."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_UNITS = {"m", "mm", "px", "s", "ms", "mb", "deg"}


def label_of(name: str) -> str:
    """A key as words: `share_known` -> "share known", `baseline_m` -> "baseline (m)"."""
    stem, _, unit = name.rpartition("_")
    if stem and unit in _UNITS:
        return f"{stem.replace('_', ' ')} ({unit})"
    return name.replace("_", " ")


def text_of(value: Any) -> str:
    """A value as text: six significant digits, yes and no, "none", lists with commas."""
    if value is None:
        return "none"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{float(value):.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{label_of(str(k))} {text_of(v)}" for k, v in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return ", ".join(text_of(v) for v in value) or "none"
    return str(value)
