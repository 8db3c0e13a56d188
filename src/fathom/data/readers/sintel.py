"""MPI Sintel stereo.

D. Butler et al., ECCV 2012; the stereo set is its training part, http://sintel.is.tue.mpg.de/stereo
. Disparity is an RGB image of 8 bits, d = 4 R + G / 2^6 + B / 2^14; masks are not 0 where the point
is occluded in the right view, or lies outside it. No rig is published with the stereo set.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fathom.core.options import option
from fathom.core.sample import StereoSample
from fathom.data.dataset import Dataset, by_name
from fathom.data.layout import base, files, folders, stem, stereo
from fathom.data.reader import Reader
from fathom.io.encodings import read_mask, read_sintel_disparity


@dataclass(frozen=True)
class Options:
    """What can be chosen for Sintel."""

    images: Literal["final", "clean"] = option("final", "with blur and atmosphere, or without")


def _open(root: Path, split: str, options: Options) -> Dataset[StereoSample]:
    place = base(root, f"training/{options.images}_left", "MPI-Sintel-stereo-training") / "training"
    left, right = place / f"{options.images}_left", place / f"{options.images}_right"
    names = [f"{scene}/{stem(n)}" for scene in folders(left) for n in files(left / scene)]

    def read(name: str) -> StereoSample:
        image = f"{name}.png"
        file = place / "disparities" / image
        masks = {}
        if (place / "occlusions" / image).is_file():
            masks["occluded"] = read_mask(place / "occlusions" / image)
            masks["nonocc"] = ~masks["occluded"]
        if (place / "outofframe" / image).is_file():
            masks["outofframe"] = read_mask(place / "outofframe" / image)
            seen = ~masks["outofframe"]
            masks["nonocc"] = masks["nonocc"] & seen if "nonocc" in masks else seen
        truth = read_sintel_disparity(file)
        return stereo(name, (left / image, right / image), None, truth, masks, truth_file=file)

    return by_name("sintel", place, split, names, read)


READERS = (
    Reader(
        "sintel",
        "stereo",
        "1,064 frames of an animated film, dense truth, masks of occlusion and of the frame",
        "CC BY 3.0 (Durian Open Movie Project); cite the paper",
        "http://sintel.is.tue.mpg.de/stereo",
        "ROOT/training/{final_left,final_right,clean_left,clean_right}/alley_1/frame_0001.png\n"
        "ROOT/training/{disparities,occlusions,outofframe}/alley_1/frame_0001.png",
        ("training",),
        (("training/disparities", "training/final_left"), ("training/clean_left",)),
        _open,
        Options,
    ),
)
