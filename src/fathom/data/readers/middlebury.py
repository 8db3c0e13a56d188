"""Middlebury's stereo data sets of 2001, 2003, 2005, 2006, 2014 and 2021.

D. Scharstein, R. Szeliski, IJCV 2002 and CVPR 2003; D. Scharstein, C. Pal and H. Hirschmueller,
D. Scharstein, both CVPR 2007; D. Scharstein et al., GCPR 2014. https://vision.middlebury.edu/stereo/

The old sets keep disparities as grey levels times a factor that depends on the size of the images:
the same number means three different disparities. The new ones are PFM in pixels, inf = unknown.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fathom.core.arrays import Array
from fathom.core.camera import StereoRig
from fathom.core.errors import InputError
from fathom.core.options import option
from fathom.core.sample import StereoSample
from fathom.data.dataset import Dataset, by_name
from fathom.data.layout import calibrated, folders, nonocc, stereo
from fathom.data.reader import Reader
from fathom.io.encodings import read_steps
from fathom.io.files import read_bytes
from fathom.io.guard import image_info
from fathom.io.maps import read_disparity_pfm

_TERMS = "use and publication granted by Middlebury; cite the papers"
_SITE = "https://vision.middlebury.edu/stereo/data/"
_FOCAL_2006, _BASELINE_2006 = 3740.0, 0.16  # full size; pixels, metres (the site's own numbers)


@dataclass(frozen=True)
class _Files:
    """Left and right image, their truth, and stored levels per pixel (None: by the size)."""

    left: str
    right: str
    truth: str
    right_truth: str | None
    factor: int | None


_OLD = {
    "middlebury-2001": (
        # Tsukuba: the third and fourth of five cameras; truth in 1/16 px, a border is unknown.
        _Files("scene1.row3.col3.ppm", "scene1.row3.col4.ppm", "truedisp.row3.col3.pgm", None, 16),
        _Files("im2.ppm", "im6.ppm", "disp2.pgm", "disp6.pgm", 8),
        _Files("im0.pgm", "im1.pgm", "disp0.pgm", "disp1.pgm", 8),
    ),
    "middlebury-2003": (
        _Files("im2.png", "im6.png", "disp2.png", "disp6.png", None),
        _Files("im2.ppm", "im6.ppm", "disp2.pgm", "disp6.pgm", None),
    ),
    "middlebury-2005": (_Files("view1.png", "view5.png", "disp1.png", "disp5.png", None),),
    "middlebury-2006": (_Files("view1.png", "view5.png", "disp1.png", "disp5.png", None),),
}
# 2003 by the width, 2005 and 2006 by the height (their widths differ from scene to scene).
_FACTORS = {
    "middlebury-2003": (0, {450: 4, 900: 2, 1800: 1}),
    "middlebury-2005": (1, {370: 3, 555: 2, 1110: 1}),
    "middlebury-2006": (1, {370: 3, 555: 2, 1110: 1}),
}


@dataclass(frozen=True)
class OldOptions:
    """What can be chosen for the sets of 2001 to 2006."""

    factor: int | None = option(None, "grey levels per pixel of disparity; default: by the size")
    illumination: int | None = option(None, "2005, 2006: images of Illum<N> (1 to 3)")
    exposure: int | None = option(None, "2005, 2006: images of Exp<N> (0 to 2)")


@dataclass(frozen=True)
class NewOptions:
    """What can be chosen for the sets of 2014 and 2021."""

    light: Literal["same", "exposure", "lighting"] = option(
        "same", "2014: the right image under the same, another exposure (im1E) or lighting (im1L)"
    )


def _open_old(root: Path, split: str, options: OldOptions, format: str) -> Dataset[StereoSample]:
    layouts = _OLD[format]

    def files_of(scene: str) -> _Files | None:
        place = root / scene
        return next((f for f in layouts if (place / f.truth).is_file()), None)

    names = [scene for scene in folders(root) if files_of(scene) is not None]

    def read(scene: str) -> StereoSample:
        files = files_of(scene) or layouts[0]
        place = root / scene
        images = place
        if options.illumination is not None or options.exposure is not None:
            images = place / f"Illum{options.illumination or 1}" / f"Exp{options.exposure or 0}"
        factor = options.factor or files.factor or _factor(format, images / files.left)
        truth = read_steps(place / files.truth, factor, bits=8)
        masks: dict[str, Array] = {}
        if files.right_truth and (place / files.right_truth).is_file():
            right = read_steps(place / files.right_truth, factor, bits=8)
            masks["nonocc"] = nonocc(truth, right)
        views = images / files.left, images / files.right
        rig = _rig_2006(place / "dmin.txt", factor)
        return stereo(scene, views, rig, truth, masks, truth_file=place / files.truth)

    return by_name(format, root, split, names, read)


def _factor(format: str, image: Path) -> int:
    info = image_info(image)
    axis, factors = _FACTORS[format]
    length = (info.width, info.height)[axis]
    if length not in factors:
        name = ("width", "height")[axis]
        raise InputError(
            "is no size of this data set, so the scale of its truth is unknown",
            file=image,
            field=name,
            value=length,
            expected=" or ".join(map(str, factors)),
            remedy="say how many grey levels are a pixel of disparity: factor=N",
        )
    return factors[length]


def _rig_2006(path: Path, factor: int) -> Any:
    """Images were cropped by dmin pixels of the full size, which is what doffs is. The principal
    point is not published: the middle is taken, and it cancels in depth."""

    def read(size: tuple[int, int]) -> StereoRig | None:
        if not path.is_file():
            return None
        words = read_bytes(path, "text", 1 << 10).decode("ascii", "replace").split()
        try:
            dmin = float(words[0])
        except (IndexError, ValueError) as error:
            raise InputError("holds no number", file=path, expected="dmin in pixels") from error
        focal = _FOCAL_2006 / factor
        return StereoRig.simple(*size, focal, _BASELINE_2006, doffs=dmin / factor)

    return read


def _open_new(root: Path, split: str, options: NewOptions, format: str) -> Dataset[StereoSample]:
    place = root / "data" if (root / "data").is_dir() else root
    right = {"same": "im1.png", "exposure": "im1E.png", "lighting": "im1L.png"}[options.light]
    names = [n for n in folders(place) if (place / n / "im0.png").is_file()]

    def read(scene: str) -> StereoSample:
        here = place / scene
        truth, masks = None, {}
        if (here / "disp0.pfm").is_file():
            truth = read_disparity_pfm(here / "disp0.pfm")
            if (here / "disp1.pfm").is_file():
                masks["nonocc"] = nonocc(truth, read_disparity_pfm(here / "disp1.pfm"))
        views = here / "im0.png", here / right
        rig = calibrated(here / "calib.txt")
        return stereo(scene, views, rig, truth, masks, truth_file=here / "disp0.pfm")

    return by_name(format, place, split, names, read)


def _old(year: str, summary: str, layout: str, marks: tuple[tuple[str, ...], ...]) -> Reader:
    name = f"middlebury-{year}"
    return Reader(
        name,
        "stereo",
        summary,
        _TERMS,
        f"{_SITE}scenes{year}/",
        layout,
        ("all",),
        marks,
        lambda root, split, options: _open_old(root, split, options, name),
        OldOptions,
    )


_LAYOUT_2006 = "ROOT/Art/{view1,view5,disp1,disp5}.png dmin.txt  (or Illum1/Exp0/view1.png ...)"
READERS = (
    _old(
        "2001",
        "planar scenes and Tsukuba, about 430x380",
        "ROOT/venus/{im2.ppm,im6.ppm,disp2.pgm,disp6.pgm}\n"
        "ROOT/tsukuba/{scene1.row3.col3.ppm,scene1.row3.col4.ppm,truedisp.row3.col3.pgm}",
        (("*/disp2.pgm", "*/im6.ppm"), ("*/truedisp.row3.col3.pgm",)),
    ),
    _old(
        "2003",
        "cones and teddy; quarter, half and full size",
        "ROOT/cones/{im2,im6,disp2,disp6}.png",
        (("*/disp2.png", "*/im6.png"),),
    ),
    _old("2005", "6 scenes with 3 lights and 3 exposures", _LAYOUT_2006, ()),
    _old(
        "2006",
        "21 scenes with 3 lights and 3 exposures",
        _LAYOUT_2006,
        (("*/disp1.png", "*/disp5.png"),),
    ),
    Reader(
        "middlebury-2014",
        "stereo",
        "23 indoor scenes of about 6 megapixels, sub-pixel truth",
        _TERMS,
        f"{_SITE}scenes2014/",
        "ROOT/Adirondack-perfect/{im0,im1,im1E,im1L}.png disp0.pfm disp1.pfm calib.txt",
        ("all",),
        (("*/im1E.png", "*/disp0.pfm"), ("*-perfect/im0.png",)),
        lambda root, split, options: _open_new(root, split, options, "middlebury-2014"),
        NewOptions,
    ),
    Reader(
        "middlebury-2021",
        "stereo",
        "24 indoor scenes taken with a telephone on a robot arm",
        _TERMS,
        f"{_SITE}scenes2021/",
        "ROOT/data/artroom1/{im0,im1}.png disp0.pfm disp1.pfm calib.txt",
        ("all",),
        (("data/*/disp0.pfm", "data/*/calib.txt"), ("*/ambient", "*/disp0.pfm")),
        lambda root, split, options: _open_new(root, split, options, "middlebury-2021"),
        NewOptions,
    ),
)
