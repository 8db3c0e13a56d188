"""Calibration files to rigs and back; one file a format."""

from fathom.io.calibration.formats import FORMATS, Format
from fathom.io.calibration.kitti import cameras_of
from fathom.io.calibration.middlebury import write_middlebury
from fathom.io.calibration.sniff import find_calibration, read_calibration, read_uncertainty
from fathom.io.calibration.write import write_calibration

__all__ = [
    "FORMATS",
    "Format",
    "cameras_of",
    "find_calibration",
    "read_calibration",
    "read_uncertainty",
    "write_calibration",
    "write_middlebury",
]
