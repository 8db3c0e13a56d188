"""The pair check as a job: from files to findings."""

from pathlib import Path

from fathom.combine.check import Finding, check_pair
from fathom.core.camera import StereoCalibration
from fathom.geometry.rectify import rectify
from fathom.workflows.pairs import PairOptions, find_and_read_calibration, read_views


def check_files(left: Path, right: Path | None, options: PairOptions) -> list[Finding]:
    """What is wrong with the pair in these files; an empty list if nothing was found.

    Views of different size, or a calibration for another size, are findings here, not errors.
    With a raw calibration the rectified pair is checked.

    Raises `InputError` for a file that is no image or no calibration.
    """
    views = read_views(left, right, options.layout)
    calibration, _ = find_and_read_calibration(views[0].size, left, options, any_size=True)
    if isinstance(calibration, StereoCalibration) and not options.rectified:
        sizes = {views[0].size, views[1].size, calibration.left.size, calibration.right.size}
        if len(sizes) == 1:
            pair = rectify(calibration)(*views)
            return check_pair(pair.left, pair.right, pair.rig)
    return check_pair(*views, calibration)
