"""TUM RGB-D.

J. Sturm et al., IROS 2012, https://cvg.cit.tum.de/data/datasets/rgbd-dataset . Depth is a PNG of 16
bits, metres = value / 5000, 0 = unknown. Colour and depth have clocks of their own, so images are
paired by their times.
"""

import bisect
from dataclasses import dataclass
from pathlib import Path

from fathom.core.camera import Camera
from fathom.core.errors import InputError, UsageError
from fathom.core.options import option
from fathom.core.sample import MonoSample
from fathom.data.dataset import Dataset
from fathom.data.layout import camera_for, folders, mono
from fathom.data.reader import Reader
from fathom.io.encodings import read_steps
from fathom.io.files import in_file, read_bytes

_PER_METRE = 5000
_LISTS = ("rgb.txt", "depth.txt")
# The set's page, "intrinsic camera calibration": colour cameras, distortion k1 k2 p1 p2 k3.
_CAMERAS = {
    "1": (517.3, 516.5, 318.6, 255.3, (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
    "2": (520.9, 521.0, 325.1, 249.7, (0.2312, -0.7849, -0.0033, -0.0001, 0.9172)),
    "3": (535.4, 539.2, 320.1, 247.6, ()),
}


@dataclass(frozen=True)
class Options:
    """What can be chosen for TUM RGB-D."""

    max_difference: float = option(0.02, "largest difference of the two times", metavar="S")

    def __post_init__(self) -> None:
        if not self.max_difference > 0:
            raise UsageError(
                "is no time",
                field="max_difference",
                value=self.max_difference,
                expected="seconds > 0",
            )


def associate(
    first: list[tuple[float, str]], second: list[tuple[float, str]], max_difference: float
) -> list[tuple[str, str]]:
    """Pairs of names whose times (seconds) are nearest to each other, each name used once, in the
    order of the first list's times.

    Pairs are taken by their difference, smallest first, as the set's associate.py does.
    """
    second = sorted(second)
    times = [time for time, _ in second]
    near = []
    for i, (time, _) in enumerate(first):
        at = bisect.bisect_left(times, time - max_difference)
        while at < len(times) and times[at] < time + max_difference:
            near.append((abs(times[at] - time), i, at))
            at += 1
    used: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in sorted(near):
        if i not in used and j not in taken:
            used[i] = j
            taken.add(j)
    order = sorted(used, key=lambda i: first[i][0])
    return [(first[i][1], second[used[i]][1]) for i in order]


def _listed(path: Path) -> list[tuple[float, str]]:
    rows = []
    text = read_bytes(path, "list of times and files", 1 << 26).decode("utf-8", "replace")
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            rows.append((float(words[0]), words[1]))
        except (ValueError, IndexError) as error:
            raise InputError(
                "is no time and file name",
                file=path,
                field=f"line {number}",
                value=line.strip(),
                expected="seconds and a path",
            ) from error
    return rows


def _pairs(place: Path, options: Options) -> list[tuple[str, str]]:
    if all((place / name).is_file() for name in _LISTS):
        colour, depth = (_listed(place / name) for name in _LISTS)
        return associate(colour, depth, options.max_difference)
    pairs = []
    file = place / "assoc.txt"
    text = read_bytes(file, "list (rgb.txt and depth.txt, or assoc.txt)", 1 << 26)
    for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 4:
            raise InputError(
                "is no association",
                file=file,
                field=f"line {number}",
                value=line.strip(),
                expected="time rgb-file time depth-file",
            )
        pairs.append((words[1], words[3]))
    return pairs


def _is_sequence(place: Path) -> bool:
    return (place / "rgb.txt").is_file() or (place / "assoc.txt").is_file()


def _camera(sequence: str) -> Camera:
    number = next((n for n in _CAMERAS if f"freiburg{n}" in sequence or f"fr{n}" in sequence), "")
    fx, fy, cx, cy, terms = _CAMERAS.get(number, (525.0, 525.0, 319.5, 239.5, ()))
    return Camera(640, 480, fx, fy, cx, cy, distortion=terms)


def _open(root: Path, split: str, options: Options) -> Dataset[MonoSample]:
    single = _is_sequence(root)
    sequences = [""] if single else [n for n in folders(root) if _is_sequence(root / n)]
    rows = [(s, c, d) for s in sequences for c, d in _pairs(root / s, options)]
    if not rows:
        raise InputError("holds no pair of colour and depth", file=root, expected="rgb.txt ...")
    names = [f"{s}/{Path(c).stem}" if s else Path(c).stem for s, c, _ in rows]

    def load(index: int) -> MonoSample:
        sequence, colour, depth = rows[index]
        place = root / sequence
        truth = read_steps(place / depth, _PER_METRE, what="depth")
        with in_file(place / depth):
            size = truth.shape[1], truth.shape[0]
            camera = camera_for(size, _camera(sequence or root.resolve().name))
        file = place / depth
        return mono(names[index], place / colour, camera, truth, truth_file=file)

    return Dataset("tum-rgbd", root, split, names, load)


READERS = (
    Reader(
        "tum-rgbd",
        "mono",
        "RGB-D sequences of a moving Kinect with the true path",
        "CC BY 4.0",
        "https://cvg.cit.tum.de/data/datasets/rgbd-dataset/download",
        "ROOT/rgbd_dataset_freiburg1_rpy/{rgb.txt,depth.txt,groundtruth.txt}\n"
        "ROOT/rgbd_dataset_freiburg1_rpy/{rgb,depth}/1305031229.528748.png",
        ("all",),
        (("rgb.txt", "depth.txt"), ("*/rgb.txt", "*/depth.txt"), ("assoc.txt", "rgb")),
        _open,
        Options,
    ),
)
