"""Calibration files to rigs; one file a format."""

from fathom.io.calibration.kitti import cameras_of
from fathom.io.calibration.middlebury import write_middlebury
from fathom.io.calibration.sniff import find_calibration, read_calibration

__all__ = ["cameras_of", "find_calibration", "read_calibration", "write_middlebury"]
