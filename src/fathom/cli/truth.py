"""Where the truth of images of one's own lies, and how it is kept: flags that commands share."""

import argparse
import math


def add_truth(group: argparse._ArgumentGroup) -> None:
    """The flags that say where the truth of images of one's own lies, and how it is kept."""
    group.add_argument(
        "--truth",
        nargs="+",
        metavar="FILE",
        help="true disparity of each pair (PFM, PNG, npy), or a folder or glob of them",
    )
    group.add_argument(
        "--truth-encoding",
        metavar="NAME",
        help="auto (default: PFM and npy as they are, PNG as KITTI's), uint16, uint8, sintel, fsd",
    )
    group.add_argument(
        "--truth-scale",
        type=_fraction,
        metavar="S",
        help="what one stored number is worth in pixels, as a number or fraction such as 1/256",
    )


def _fraction(text: str) -> float:
    """A number or a fraction; argparse names the flag where it is neither."""
    top, _, bottom = text.partition("/")
    try:
        value = float(top) / (float(bottom) if bottom else 1.0)
    except ZeroDivisionError as error:
        raise ValueError(text) from error
    if value == 0 or not math.isfinite(value):
        raise ValueError(text)
    return value
