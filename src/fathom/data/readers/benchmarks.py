"""The two benchmarks of one layout: Middlebury's stereo evaluation v3 and ETH3D's two-view stereo.

D. Scharstein et al., GCPR 2014, https://vision.middlebury.edu/stereo/submit3/ ; T. Schoeps et al.,
CVPR 2017, https://www.eth3d.net/documentation . A scene is im0.png, im1.png, calib.txt, and for
training disp0GT.pfm (inf = unknown) and mask0nocc.png (255 seen by both, 128 by the left alone,
0 unknown).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fathom.core.arrays import Array
from fathom.core.options import option
from fathom.core.sample import StereoSample
from fathom.data.dataset import Dataset, by_name
from fathom.data.layout import base, calibrated, folders, stereo
from fathom.data.reader import NoOptions, Reader
from fathom.io.encodings import read_levels
from fathom.io.maps import read_disparity_pfm

_SEEN_BY_BOTH = 255


@dataclass(frozen=True)
class MiddleburyOptions:
    """What can be chosen for Middlebury's evaluation."""

    resolution: Literal["Q", "H", "F"] = option("Q", "quarter, half or full size")


def _scene(name: str, place: Path, truths: Path) -> StereoSample:
    truth: Array | None = None
    masks: dict[str, Array] = {}
    file = truths / "disp0GT.pfm"
    if file.is_file():
        truth = read_disparity_pfm(file)
        if (truths / "mask0nocc.png").is_file():
            masks["nonocc"] = read_levels(truths / "mask0nocc.png", 8) == _SEEN_BY_BOTH
    views = place / "im0.png", place / "im1.png"
    return stereo(name, views, calibrated(place / "calib.txt"), truth, masks, truth_file=file)


def _open_v3(root: Path, split: str, options: MiddleburyOptions) -> Dataset[StereoSample]:
    folder = f"{split}{options.resolution}"
    place = base(root, folder, "MiddEval3") / folder
    return by_name(
        "middlebury-v3", place, split, folders(place), lambda n: _scene(n, place / n, place / n)
    )


def _open_eth3d(root: Path, split: str, _options: NoOptions) -> Dataset[StereoSample]:
    folder = f"two_view_{split}"
    top = base(root, folder)
    place = top / folder
    # The truth is an archive of its own; people unpack it beside the images or over them.
    apart = top / f"{folder}_gt"

    def read(name: str) -> StereoSample:
        truths = apart / name if (apart / name).is_dir() else place / name
        return _scene(name, place / name, truths)

    return by_name("eth3d", place, split, folders(place), read)


READERS = (
    Reader(
        "middlebury-v3",
        "stereo",
        "the Middlebury benchmark: 15 training and 15 test scenes, indoors",
        "use and publication granted by Middlebury; cite the papers",
        "https://vision.middlebury.edu/stereo/submit3/",
        "ROOT/trainingQ/Adirondack/{im0.png,im1.png,calib.txt,disp0GT.pfm,mask0nocc.png}\n"
        "ROOT/testQ/Australia/{im0.png,im1.png,calib.txt}",
        ("training", "test"),
        tuple((f"{start}{size}",) for start in ("training", "MiddEval3/training") for size in "QHF")
        + tuple((f"{start}{size}",) for start in ("test", "MiddEval3/test") for size in "QHF"),
        _open_v3,
        MiddleburyOptions,
    ),
    Reader(
        "eth3d",
        "stereo",
        "ETH3D two-view: 27 training and 20 test pairs, grey, indoors and outdoors",
        "CC BY-NC-SA 4.0",
        "https://www.eth3d.net/datasets#low-res-two-view",
        "ROOT/two_view_training/delivery_area_1l/{im0.png,im1.png,calib.txt}\n"
        "ROOT/two_view_training_gt/delivery_area_1l/{disp0GT.pfm,mask0nocc.png}\n"
        "ROOT/two_view_test/lakeside_1l/{im0.png,im1.png,calib.txt}",
        ("training", "test"),
        (("two_view_training",), ("two_view_test",)),
        _open_eth3d,
    ),
)
