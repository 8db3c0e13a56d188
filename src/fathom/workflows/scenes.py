"""Writing procedural scenes as a data set that the readers know, and a sheet to look at."""

import itertools
import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fathom.classical.native import Kernel
from fathom.core.arrays import Array, UInt8
from fathom.core.errors import InputError, ResourceError, UsageError
from fathom.core.options import option
from fathom.data.readers.fathom_folder import write_sample
from fathom.data.scenes import KINDS, Scene, Scenes, SceneSettings
from fathom.data.scenes.settings import Renderer
from fathom.io.atomic import atomic_file, write_text
from fathom.io.result import to_json

MANIFEST = "scenes.json"
"""Says what the scenes of a folder were made of."""
_NEEDED = ("left.png", "right.png", "disp_left.npy", "nonocc.png", "calib.json", "meta.json")
_EVERY = 5.0  # seconds between two lines of progress
_SHEET_WIDTH, _SHEET_CELLS, _COLUMNS = 1200, 24, 4
_BLOCK = 512


@dataclass(frozen=True)
class WriteOptions:
    """How many scenes, of what kind, and by how many processes.

    Raises `UsageError` for a number that makes no sense or a size that is none.
    """

    count: int = option(100, "how many scenes", flags=("-n",), metavar="N")
    size: str = option("512x256", "width and height in pixels", metavar="WxH")
    seed: int = option(0, "another number gives other scenes")
    kind: tuple[str, ...] = option(KINDS, f"backgrounds: {', '.join(KINDS)}", metavar="A,B")
    night: bool = option(False, "all of them at night")
    motion: float = option(0.0, "share of scenes in which things move between the two shots")
    clean: bool = option(False, "no noise, no blur, both cameras alike")
    photos: Path | None = option(
        None, "a folder of your own pictures to cut textures from", metavar="DIR"
    )
    renderer: Renderer = option(
        "raster", "raster, or rays: true shadows, mirrors and glass (several times slower)"
    )
    normals: bool = option(False, "write normals.npy, too (float16, h x w x 3)")
    workers: int = option(1, "processes at once")

    def __post_init__(self) -> None:
        for name, least in (("count", 1), ("workers", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(
                    "is too small", field=name, value=getattr(self, name),
                    expected=f"{least} or more",
                )  # fmt: skip

    @property
    def settings(self) -> SceneSettings:
        """The settings of the scenes. Raises `UsageError` as they do."""
        width, height = size_of(self.size)
        night = 1.0 if self.night else SceneSettings().night
        return SceneSettings(
            width=width, height=height, kinds=self.kind, night=night, motion=self.motion,
            effects=not self.clean, photos=self.photos, renderer=self.renderer,
        )  # fmt: skip


@dataclass(frozen=True)
class Written:
    """What a run did: the folder, new and kept scenes, seconds."""

    folder: str
    written: int
    kept: int
    seconds: float
    sheet: str | None = None


def size_of(text: str) -> tuple[int, int]:
    """Width and height of "512x256". Raises `UsageError` for anything else."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise UsageError("is no size", field="size", value=text, expected="WxH, such as 512x256")
    return int(parts[0]), int(parts[1])


def write_scenes(
    folder: Path, options: WriteOptions, notify: Callable[[str], None] = lambda _: None
) -> Written:
    """Writes scenes into `folder`, one folder each (fathom's own layout), and says which settings
    made them in scenes.json. Scenes that are there are kept, so an interrupted run goes on where
    it stopped; only a few scenes are in memory at once.

    Raises `ResourceError` if the folder holds scenes of other settings, or cannot be written;
    `UsageError` or `InputError` as the settings do; `MissingExtraError` for rays without embreex.
    """
    started = time.monotonic()
    settings = options.settings
    _check(settings)
    _claim(folder, settings, options)
    needed = (*_NEEDED, "normals.npy") if options.normals else _NEEDED
    missing = [i for i in range(options.count) if not _is_whole(folder / name_of(i), needed)]
    kept = options.count - len(missing)
    if kept:
        notify(f"{kept} of {options.count} scenes are there already")
    jobs = ((folder, settings, options.seed, i, options.normals) for i in missing)
    said = done = 0.0
    kernels = _kernels(settings)
    for done, _ in enumerate(_each(jobs, options.workers, kernels, notify), start=1):
        if time.monotonic() - said > _EVERY:
            said = time.monotonic()
            rate = done / max(said - started, 1e-9)
            left = (len(missing) - done) / rate
            notify(f"[{int(done) + kept}/{options.count}] {rate:.1f} scenes/s, {left:.0f} s to go")
    return Written(str(folder), int(done), kept, time.monotonic() - started)


def name_of(index: int) -> str:
    """The folder of a scene; a thousand to a folder keeps listings short."""
    return f"{index // 1000:04d}/{index:07d}"


def contact_sheet(options: WriteOptions) -> UInt8[np.ndarray, "h w 3"]:
    """A picture of the first scenes: left views, each with its disparity below."""
    import cv2

    from fathom.viz.color import Scale

    scenes = Scenes(options.settings, options.seed)
    width, height = size_of(options.size)
    count = min(options.count, _SHEET_CELLS)
    columns = min(_COLUMNS, count)
    cell_width = _SHEET_WIDTH // columns
    cell = (cell_width, max(1, round(cell_width * height / width)))
    cells = []
    for index in range(count):
        made = scenes.full(index)
        scale = Scale(0.0, max(float(made.disparity.max()), 0.1))
        views = (made.left, scale.paint(made.disparity))
        cells.append(
            np.concatenate([cv2.resize(v, cell, interpolation=cv2.INTER_AREA) for v in views])
        )
    cells += [np.full_like(cells[0], 255)] * (-count % columns)
    rows = [np.concatenate(cells[i : i + columns], 1) for i in range(0, len(cells), columns)]
    out: Array = np.concatenate(rows)
    return out


def write_sheet(path: Path, options: WriteOptions) -> None:
    """Writes the contact sheet as JPEG or PNG, by the name's ending.

    Raises `UsageError` for another ending, `ResourceError` if it cannot be written.
    """
    from fathom.io.atomic import write_bytes
    from fathom.io.images import encode_png, write_jpeg_bytes

    check_sheet(path)
    picture = contact_sheet(options)
    if path.suffix.lower() == ".png":
        write_bytes(path, encode_png(picture))
    else:
        write_bytes(path, write_jpeg_bytes(picture, 80))


def check_sheet(path: Path) -> None:
    """Raises `UsageError` for a name that ends neither in .jpg, .jpeg nor .png."""
    if path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise UsageError(
            "is no picture fathom writes", field="sheet", value=str(path),
            expected="a name that ends in .jpg or .png",
        )  # fmt: skip


def _settings_dict(settings: SceneSettings, seed: int) -> dict[str, Any]:
    values = {**vars(settings), "seed": seed, "kinds": list(settings.kinds)}
    values["photos"] = None if settings.photos is None else str(settings.photos)
    return values


def _check(settings: SceneSettings) -> None:
    """Says no before anything is written."""
    if settings.photos is not None:
        from fathom.data.scenes.photos import photo, photos_of

        if all(photo(path) is None for path in photos_of(settings.photos)):
            raise InputError(
                "holds no picture that can be read", file=settings.photos,
                expected="JPEG, PNG or other pictures",
            )  # fmt: skip
    if settings.renderer == "rays":
        from fathom.data.scenes.rays_trace import embree

        embree()


def _claim(folder: Path, settings: SceneSettings, options: WriteOptions) -> None:
    """Writes scenes.json, or compares what is there with what is wanted."""
    import json

    from fathom.io.files import read_bytes

    wanted = {"format": "fathom-scenes", **_settings_dict(settings, options.seed)}
    path = folder / MANIFEST
    if not path.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise ResourceError(
                "holds other files, and scenes want a folder of their own", file=folder,
                remedy="choose another folder",
            )  # fmt: skip
        write_text(path, to_json(wanted) + "\n")
        return
    try:
        there = json.loads(read_bytes(path, "JSON file", 1 << 20))
    except ValueError:
        there = {}
    if not isinstance(there, dict):
        there = {}
    there = {"renderer": "raster", **there}  # folders of before there was another
    differing = [name for name in wanted if there.get(name) != wanted[name]]
    if differing:
        name = differing[0]
        raise ResourceError(
            "holds scenes of other settings", file=folder, field=name, value=there.get(name),
            expected=str(wanted[name]), remedy="choose another folder, or give the same settings",
        )  # fmt: skip


def _is_whole(place: Path, needed: tuple[str, ...]) -> bool:
    """A sample appears whole or not at all; its files tell whether somebody took some away, or
    what it was never asked for."""
    return all((place / name).is_file() for name in needed)


Job = tuple[Path, SceneSettings, int, int, bool]


def _write_one(job: Job) -> int:
    folder, settings, seed, index, normals = job
    made = Scenes(settings, seed).full(index)
    if normals and _is_whole(folder / name_of(index), _NEEDED):  # the same scene, to the bit
        with atomic_file(folder / name_of(index) / "normals.npy") as file:
            np.save(file, made.normals.astype(np.float16))
        return index
    arrays: dict[str, Array] = {"disp_right": made.disparity_right}
    if normals:
        arrays["normals"] = made.normals.astype(np.float16)
    sample = replace(made.sample, masks={**made.masks})
    write_sample(folder / name_of(index), sample, _meta(made), arrays)
    return index


def _meta(made: Scene) -> dict[str, Any]:
    return {
        "kind": made.kind, "night": made.is_night, "seed": made.seed, "index": made.index,
        "made_by": "fathom scenes",
    }  # fmt: skip


def _kernels(settings: SceneSettings) -> tuple[Kernel, ...]:
    """What is compiled before the first scene."""
    if settings.renderer == "rays":
        from fathom.data.scenes.rays import KERNELS as OF_RAYS

        return OF_RAYS
    from fathom.data.scenes.render import KERNELS

    return KERNELS


def _each(
    jobs: Iterator[Job], workers: int, kernels: tuple[Kernel, ...], notify: Callable[[str], None]
) -> Iterator[int]:
    """The scenes as they are written; with workers a few are under way, never all."""
    from fathom.classical.native import prepare_kernels

    prepare_kernels(kernels, lambda name, i, n: notify(f"compiling {name} ({i + 1}/{n}), once"))
    if workers == 1:
        yield from map(_write_one, jobs)
        return
    context = multiprocessing.get_context("spawn")
    # Leaving the block ends the workers at once, on Ctrl-C, too: what they write appears whole or
    # not at all. Blocks of jobs keep the queue short, however many scenes are asked for.
    with context.Pool(workers, initializer=_single) as pool:
        while block := list(itertools.islice(jobs, _BLOCK)):
            yield from pool.imap_unordered(_write_one, block)


def _single() -> None:
    """A worker leaves Ctrl-C to the first process, and OpenCV one thread."""
    import signal

    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
