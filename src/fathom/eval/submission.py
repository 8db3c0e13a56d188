"""What the benchmarks take: which files, where in the archive, in which format.

Facts are from the benchmarks' own pages and development kits; each `Benchmark` names its source.

KITTI's `readme.txt` of both stereo kits: uint16 PNG, disparity x 256, 0 = no estimate; 2012 in the
archive's root, 2015 in `disp_0`; test images only. Its `io_disparity.h` stores an estimate of less
than 1/256 as 1, so that it stays known.

Middlebury's https://vision.middlebury.edu/stereo/submit3/upload-format.html: PFM in pixels,
`disp0XXX.pfm` for dense maps, `disp0XXX_s.pfm` for sparse ones, whose unknown pixels are +inf;
`timeXXX.txt` holds the seconds and nothing else; XXX is the method's name.

ETH3D's https://www.eth3d.net/documentation and two-view-evaluation: PFM in pixels, what is not
finite is unknown; a text beside each with `runtime SECONDS`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from fathom.core.errors import UsageError, unknown_name

Encoding = Literal["kitti-png", "pfm"]
RESOLUTIONS = ("Q", "H", "F")
_METHOD = re.compile(r"[A-Za-z0-9][A-Za-z0-9+-]*(?:_[A-Za-z0-9+-]+)*")

_MIDDLEBURY = {
    "training": (
        "Adirondack", "ArtL", "Jadeplant", "Motorcycle", "MotorcycleE", "Piano", "PianoL", "Pipes",
        "Playroom", "Playtable", "PlaytableP", "Recycle", "Shelves", "Teddy", "Vintage",
    ),
    "test": (
        "Australia", "AustraliaP", "Bicycle2", "Classroom2", "Classroom2E", "Computer", "Crusade",
        "CrusadeP", "Djembe", "DjembeL", "Hoops", "Livingroom", "Newkuba", "Plants", "Staircase",
    ),
}  # fmt: skip
_ETH3D = {
    "training": (
        "delivery_area_1l", "delivery_area_1s", "delivery_area_2l", "delivery_area_2s",
        "delivery_area_3l", "delivery_area_3s", "electro_1l", "electro_1s", "electro_2l",
        "electro_2s", "electro_3l", "electro_3s", "facade_1s", "forest_1s", "forest_2s",
        "playground_1l", "playground_1s", "playground_2l", "playground_2s", "playground_3l",
        "playground_3s", "terrace_1s", "terrace_2s", "terrains_1l", "terrains_1s", "terrains_2l",
        "terrains_2s",
    ),
    "test": (
        "lakeside_1l", "lakeside_1s", "sand_box_1l", "sand_box_1s", "storage_room_1l",
        "storage_room_1s", "storage_room_2_1l", "storage_room_2_1s", "storage_room_2_2l",
        "storage_room_2_2s", "storage_room_2l", "storage_room_2s", "storage_room_3l",
        "storage_room_3s", "tunnel_1l", "tunnel_1s", "tunnel_2l", "tunnel_2s", "tunnel_3l",
        "tunnel_3s",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Benchmark:
    """One benchmark's archive.

    name: as in `fathom dataset list`. encoding: of the maps. groups: split (as the reader calls
    it) -> sample names. needed: the splits that an archive is expected to have; others may be
    there. times: whether there is a file of seconds a sample. page: where it is uploaded. source:
    where these facts are from.
    """

    name: str
    encoding: Encoding
    groups: Mapping[str, tuple[str, ...]]
    needed: tuple[str, ...]
    times: bool
    page: str
    source: str


@dataclass(frozen=True)
class Place:
    """Where one sample lies in the archive: its map, the sparse variant of it, and its time file
    ("" where there is none). resolution: Middlebury's Q, H or F, else ""."""

    split: str
    sample: str
    map: str
    sparse: str = ""
    time: str = ""
    resolution: str = ""


BENCHMARKS = (
    Benchmark(
        "kitti-2012",
        "kitti-png",
        {"testing": tuple(f"{i:06d}_10" for i in range(195))},
        ("testing",),
        False,
        "https://www.cvlibs.net/datasets/kitti/eval_stereo_flow.php?benchmark=stereo",
        "readme.txt and io_disparity.h of the stereo/flow 2012 development kit",
    ),
    Benchmark(
        "kitti-2015",
        "kitti-png",
        {"testing": tuple(f"{i:06d}_10" for i in range(200))},
        ("testing",),
        False,
        "https://www.cvlibs.net/datasets/kitti/eval_scene_flow.php?benchmark=stereo",
        "readme.txt and io_disparity.h of the scene flow 2015 development kit",
    ),
    Benchmark(
        "middlebury-v3",
        "pfm",
        _MIDDLEBURY,
        ("training",),
        True,
        "https://vision.middlebury.edu/stereo/submit3/",
        "https://vision.middlebury.edu/stereo/submit3/upload-format.html",
    ),
    Benchmark(
        "eth3d",
        "pfm",
        _ETH3D,
        ("training",),
        True,
        "https://www.eth3d.net/login",
        "https://www.eth3d.net/documentation; two-view-evaluation, main.cc",
    ),
)


def benchmark(name: str) -> Benchmark:
    """The benchmark of that name. Raises `UsageError` with close matches for an unknown one."""
    for found in BENCHMARKS:
        if found.name == name:
            return found
    raise unknown_name("benchmark", name, [b.name for b in BENCHMARKS])


def check_method(method: str) -> None:
    """Raises `UsageError` if `method` can be no part of Middlebury's file names: letters, digits,
    + - and single _ inside, and no `_s` at the end, which means a sparse map."""
    if _METHOD.fullmatch(method) is None or method.endswith("_s") or len(method) > 40:
        raise UsageError(
            "is no name for a method in file names",
            field="--name",
            value=method,
            expected="letters, digits, + - and _ inside, not ending in _s, at most 40",
        )


def places(
    of: Benchmark, splits: Iterable[str], *, method: str = "", resolution: str = ""
) -> list[Place]:
    """Where the samples of these splits lie in the archive, in the benchmark's order.

    method, resolution: for Middlebury, whose names have both.

    Raises `UsageError` for a split, method or resolution that cannot be.
    """
    chosen = list(splits)
    for split in chosen:
        if split not in of.groups:
            raise unknown_name(f"split of {of.name}:", split, list(of.groups))
    if of.name == "middlebury-v3":
        check_method(method)
        if resolution not in RESOLUTIONS:
            raise UsageError(
                "is no resolution of Middlebury's",
                field="--resolution",
                value=resolution or None,
                expected="Q, H or F (quarter, half, full)",
            )
    return [_place(of, s, n, method, resolution) for s in chosen for n in of.groups[s]]


def _place(of: Benchmark, split: str, sample: str, method: str, resolution: str) -> Place:
    if of.name == "kitti-2012":
        return Place(split, sample, f"{sample}.png")
    if of.name == "kitti-2015":
        return Place(split, sample, f"disp_0/{sample}.png")
    if of.name == "eth3d":
        start = f"low_res_two_view/{sample}"
        return Place(split, sample, f"{start}.pfm", "", f"{start}.txt")
    start = f"{split}{resolution}/{sample}"
    return Place(
        split,
        sample,
        f"{start}/disp0{method}.pfm",
        f"{start}/disp0{method}_s.pfm",
        f"{start}/time{method}.txt",
        resolution,
    )


def recognise(names: Iterable[str]) -> str | None:
    """Which benchmark's archive has files of these names; None if none."""
    patterns = (
        ("kitti-2015", r"disp_0/.*"),
        ("eth3d", r"low_res_two_view/.*"),
        ("middlebury-v3", r"(training|test)[QHF]/.*"),
        ("kitti-2012", r"\d{6}_\d\d\.png"),
    )
    all_names = list(names)
    for name, pattern in patterns:
        if any(re.fullmatch(pattern, one) for one in all_names):
            return name
    return None


def middlebury_names(names: Iterable[str]) -> tuple[set[str], set[str]]:
    """The resolutions and method names that file names of an archive use."""
    resolutions, methods = set(), set()
    for name in names:
        match = re.fullmatch(r"(?:training|test)([QHF])/[^/]+/(?:disp0|time)(.+)\.(pfm|txt)", name)
        if match:
            resolutions.add(match[1])
            methods.add(match[2].removesuffix("_s") if match[3] == "pfm" else match[2])
    return resolutions, methods
