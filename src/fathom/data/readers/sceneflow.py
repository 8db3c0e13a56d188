"""SceneFlow: FlyingThings3D, Monkaa and Driving.

N. Mayer et al., CVPR 2016, https://lmb.informatik.uni-freiburg.de/resources/datasets/ . Disparity
is a PFM in pixels, dense. The cameras stand one Blender unit apart, and the set gives that unit no
length in metres, so samples have no rig. Driving comes with focal lengths of 15 mm and 35 mm, whose
frames have equal names: a truth of the other focal length fits nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fathom.core.arrays import Array
from fathom.core.errors import InputError
from fathom.core.options import option
from fathom.core.sample import StereoSample
from fathom.data.dataset import Dataset
from fathom.data.layout import nonocc, sibling, stem, stereo, walk
from fathom.data.reader import Reader
from fathom.io.pfm import read_pfm

Pass = Literal["finalpass", "cleanpass"]
_PARTS = {
    "flyingthings3d": ("FlyingThings3D", "flyingthings3d", "flyingthings3D"),
    "monkaa": ("Monkaa", "monkaa"),
    "driving": ("Driving", "driving"),
}
_ENDINGS = (".png", ".webp")


@dataclass(frozen=True)
class Options:
    """What can be chosen for every part of SceneFlow."""

    images: Pass = option("finalpass", "with motion blur, fog and the like, or without (cleanpass)")


@dataclass(frozen=True)
class DrivingOptions:
    """What can be chosen for Driving."""

    images: Pass = option("finalpass", "with motion blur, fog and the like, or without (cleanpass)")
    focal: Literal["all", "15mm", "35mm"] = option("all", "which focal length")


@dataclass(frozen=True)
class _Part:
    """One part on disk. frames, truths: the two folders; names: paths below them, `left` left out:
    TRAIN/A/0000/0006."""

    frames: Path
    truths: Path
    names: tuple[str, ...]


def _part(root: Path, part: str, images: Pass, below: str) -> _Part:
    """Raises `InputError` if no folder of these images is there, packed (webp) or not."""
    places = [root, *(root / name for name in _PARTS[part])]
    for place in places:
        for kind in (f"frames_{images}", f"frames_{images}_webp"):
            frames = place / kind
            if (frames / below).is_dir():
                found = walk(frames / below, _ENDINGS)
                start = f"{below}/" if below else ""
                names = [f"{start}{stem(n)}" for n in found if n.split("/")[-2:-1] == ["left"]]
                kept = tuple(n for n in map(_without_side, names) if _belongs(part, n))
                return _Part(frames, place / "disparity", kept)
    raise InputError(
        "is missing",
        file=root / f"frames_{images}" / below,
        expected=f"the frames of {part} (in ROOT or ROOT/{_PARTS[part][0]})",
    )


def _belongs(part: str, name: str) -> bool:
    """Whether a scene's path is one of this part: all three keep frames in equally named folders,
    so the wrong root would read well and be another data set."""
    top = name.split("/", 1)[0]
    homes = {"TRAIN": "flyingthings3d", "TEST": "flyingthings3d"}
    homes |= {"15mm_focallength": "driving", "35mm_focallength": "driving"}
    return homes.get(top, "monkaa") == part


def _without_side(path: str) -> str:
    scene, _, frame = path.rpartition("/")
    return f"{scene.removesuffix('/left').removesuffix('left')}/{frame}".lstrip("/")


def _read(part: _Part, name: str, shown: str) -> StereoSample:
    scene, _, frame = name.rpartition("/")
    place = part.frames / scene
    left = sibling(place / "left", frame, _ENDINGS)
    right = sibling(place / "right", frame, _ENDINGS)
    file = part.truths / scene / "left" / f"{frame}.pfm"
    truth = _disparity(file)
    masks: dict[str, Array] = {}
    other = part.truths / scene / "right" / f"{frame}.pfm"
    if other.is_file():
        # Maps of the right view hold x_left - x_right too, some releases with a minus sign.
        masks["nonocc"] = nonocc(truth, np.abs(_disparity(other)))
    return stereo(shown, (left, right), None, truth, masks, truth_file=file)


def _disparity(path: Path) -> Array:
    values = read_pfm(path)
    if values.ndim == 3:
        values = values[..., 0]
    out: Array = np.where(np.isfinite(values), values, np.float32(np.nan))
    return out


def _dataset(
    format: str, root: Path, split: str, parts: list[tuple[str, _Part]]
) -> Dataset[StereoSample]:
    table = [(prefix + n, part, n) for prefix, part in parts for n in part.names]
    if not table:
        raise InputError(f"holds no sample of {format}", file=root, field="split", value=split)

    def load(index: int) -> StereoSample:
        shown, part, name = table[index]
        return _read(part, name, shown)

    return Dataset(format, root, split, [row[0] for row in table], load)


def _open(root: Path, split: str, options: Any, part: str) -> Dataset[StereoSample]:
    below = {"train": "TRAIN", "test": "TEST"}.get(split, "")
    if isinstance(options, DrivingOptions) and options.focal != "all":
        below = f"{options.focal}_focallength"
    return _dataset(part, root, split, [("", _part(root, part, options.images, below))])


def _open_all(root: Path, split: str, options: Options) -> Dataset[StereoSample]:
    below = "TRAIN" if split == "train" else "TEST"
    parts = [("flyingthings3d/", _part(root, "flyingthings3d", options.images, below))]
    if split == "train":
        # Monkaa and Driving have no test part; the field trains on all three.
        for name in ("monkaa", "driving"):
            parts.append((f"{name}/", _part(root, name, options.images, "")))
    return _dataset("sceneflow", root, split, parts)


def _reader(part: str, summary: str, tree: str, splits: tuple[str, ...]) -> Reader:
    inside = {"flyingthings3d": ("TRAIN", "TEST"), "driving": ("15mm_focallength",)}
    # Monkaa's scenes have names of their own, so only what the others are not tells it.
    scenes = inside.get(part, ("*_x2", "a_rain_of_stones*", "family_*", "funnyworld*", "eating_*"))
    marks = tuple(
        (f"frames_{p}{w}/{s}",)
        for p in ("finalpass", "cleanpass")
        for w in ("", "_webp")
        for s in scenes
    )
    return Reader(
        part,
        "stereo",
        summary,
        "for research; cite the paper",
        "https://lmb.informatik.uni-freiburg.de/resources/datasets/SceneFlowDatasets.en.html",
        tree,
        splits,
        marks,
        lambda root, split, options: _open(root, split, options, part),
        DrivingOptions if part == "driving" else Options,
    )


READERS = (
    Reader(
        "sceneflow",
        "stereo",
        "the three below in one folder, as most stereo networks are trained (35,454 + 4,370)",
        "for research; cite the paper",
        "https://lmb.informatik.uni-freiburg.de/resources/datasets/SceneFlowDatasets.en.html",
        "ROOT/FlyingThings3D/...  ROOT/Monkaa/...  ROOT/Driving/...",
        ("train", "test"),
        (("FlyingThings3D/disparity",), ("flyingthings3d/disparity",)),
        _open_all,
        Options,
    ),
    _reader(
        "flyingthings3d",
        "everyday objects on random paths; dense truth",
        "ROOT/{frames_finalpass,frames_cleanpass}/TRAIN/A/0000/{left,right}/0006.png\n"
        "ROOT/disparity/TRAIN/A/0000/{left,right}/0006.pfm",
        ("train", "test"),
    ),
    _reader(
        "monkaa",
        "frames of an animated film; dense truth",
        "ROOT/{frames_finalpass,frames_cleanpass}/a_rain_of_stones_x2/{left,right}/0000.png\n"
        "ROOT/disparity/a_rain_of_stones_x2/{left,right}/0000.pfm",
        ("all",),
    ),
    _reader(
        "driving",
        "a street drive; dense truth, two focal lengths",
        "ROOT/frames_finalpass/15mm_focallength/scene_forwards/fast/{left,right}/0001.png\n"
        "ROOT/disparity/15mm_focallength/scene_forwards/fast/{left,right}/0001.pfm",
        ("all",),
    ),
)
