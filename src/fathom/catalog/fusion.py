"""Stereo and depth from one image together."""

from fathom.catalog.mono import MONO
from fathom.catalog.record import Entry

_MONO = "depth-anything-v2-small"

FUSION = (
    Entry(
        "mono+stereo",
        "fathom.catalog.fused:MonoStereo",
        "stereo",
        "Stereo whose holes a monocular model fills where it has proven better; both by name",
        extra="mono",
        licence="Apache-2.0; weights: those of the two methods",
        weights=_MONO,
        hub=next((e.hub for e in MONO if e.name == _MONO), None),
    ),
)
