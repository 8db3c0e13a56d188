"""The field test: how well a camera measures a flat wall, from result folders or from pairs."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fathom.core.arrays import Array, Float32
from fathom.core.camera import StereoRig
from fathom.core.errors import FathomError, InputError, UsageError
from fathom.core.maps import Disparity
from fathom.core.options import option
from fathom.geometry.accuracy import depth_sigma
from fathom.geometry.flatness import Box, Flatness, TemporalNoise, flatness
from fathom.io.files import in_file
from fathom.io.folder import RESULT
from fathom.workflows.depth import Listener, warm_up
from fathom.workflows.pairs import PairOptions, load_pair

_FAST = 0.002
"""Part of a robust plane's depth by which captures may differ before the camera has moved."""


@dataclass(frozen=True)
class AccuracyOptions:
    """What is known of the wall, and how pairs are matched."""

    distance: float | None = option(
        None,
        "true distance from the left camera to the wall along its optical axis, in metres",
        metavar="M",
    )
    method: str = option(
        "default", "how to match pairs; `fathom models` lists the methods", flags=("-m",)
    )
    max_disparity: int | None = option(
        None, "search pairs below this disparity in pixels", flags=("--max-disp",), metavar="N"
    )


@dataclass(frozen=True, eq=False)
class Capture:
    """One capture of the wall: its measured disparities (pixels, NaN elsewhere) and its rig."""

    name: str
    disparity: Float32[np.ndarray, "h w"]
    rig: StereoRig


@dataclass(frozen=True, eq=False)
class FieldTest:
    """What the field test found.

    captures: names, with the flatness of each. temporal_px, temporal_m: scatter of a pixel over the
    captures, pixels of disparity and metres at the wall; None for one capture. temporal_map: of
    each pixel of the region in pixels of disparity. notes: sentences to heed.
    """

    names: tuple[str, ...]
    walls: tuple[Flatness, ...]
    rig: StereoRig
    truth: float | None
    temporal_px: float | None
    temporal_m: float | None
    temporal_map: Float32[np.ndarray, "h w"] | None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers; the unit stands in each name."""
        temporal_mm = None if self.temporal_m is None else 1000 * self.temporal_m
        whole = [wall_dict(wall) for wall in self.walls]
        means = {
            name: None if value is None else statistics.fmean(w[name] for w in whole)
            for name, value in whole[0].items()
        }
        return {
            "roi_px": list(self.walls[0].box),
            "true_distance_m": self.truth,
            "captures": [
                {"name": name, **wall} for name, wall in zip(self.names, whole, strict=True)
            ],
            **means,
            "temporal_noise_mm": temporal_mm,
            "temporal_noise_px": self.temporal_px,
            "rig": self.rig.as_dict(),
            "notes": list(self.notes),
        }


def field_test(
    captures: Iterable[Capture], truth: float | None = None, roi: Box | None = None
) -> FieldTest:
    """The flatness of each capture of one wall by one camera, and their scatter over time.

    truth: metres to the wall along the left camera's optical axis. roi: (x0, y0, x1, y1), x1 and
    y1 excluded; by default the middle half of the image. Captures are taken one at a time.

    Raises `InputError` where a region is no plane or captures differ in size or rig, `UsageError`
    for a region outside the image, a distance that is not > 0, or no capture at all.
    """
    noise = TemporalNoise()
    names: list[str] = []
    walls: list[Flatness] = []
    rig: StereoRig | None = None
    for capture in captures:
        if rig is not None and (capture.rig.size, capture.rig.left.fx, capture.rig.baseline) != (
            rig.size,
            rig.left.fx,
            rig.baseline,
        ):
            raise InputError(
                "the captures come from different rigs",
                file=capture.name,
                field="rig",
                value=_rig_text(capture.rig),
                expected=f"{_rig_text(rig)} as {names[0]}",
            )
        rig = capture.rig
        with in_file(capture.name):
            walls.append(flatness(capture.disparity, rig, roi, truth))
        x0, y0, x1, y1 = walls[-1].box
        noise.add(capture.disparity[y0:y1, x0:x1])
        names.append(capture.name)
    if rig is None:
        raise UsageError("there is no capture", field="captures", expected="one or more")
    temporal = noise.value()
    distance = statistics.fmean(wall.distance for wall in walls)
    temporal_m = None
    if temporal is not None:
        temporal_m = depth_sigma(distance, rig.left.fx, rig.baseline, 1.0) * temporal
    return FieldTest(
        tuple(names),
        tuple(walls),
        rig,
        truth,
        temporal,
        temporal_m,
        noise.map(),
        tuple(_notes(walls, rig, truth)),
    )


def captures_of_results(folders: Sequence[Path]) -> Iterator[Capture]:
    """Captures from folders of `fathom depth`; a folder of such folders stands for all in it.

    Raises `InputError` for a folder that holds no result, or one without metres.
    """
    from fathom.io.result import read_result

    for folder in folders:
        inner = [folder]
        if folder.is_dir() and not (folder / RESULT).exists():
            inner = sorted(p.parent for p in folder.glob(f"*/{RESULT}")) or [folder]
        for one in inner:
            result = read_result(one)
            if result.rig is None or result.disparity is None:
                raise InputError(
                    "holds no metres: it was made without a calibration, or of one image",
                    file=one,
                    field="rig",
                    remedy="run `fathom depth` again with --calib FILE",
                )
            yield Capture(str(one), measured_values(result.disparity), result.rig)


def captures_of_pairs(
    left: str,
    right: str | None,
    pair_options: PairOptions,
    options: AccuracyOptions,
    notify: Callable[[str], None] = lambda line: None,  # noqa: ARG005
) -> Iterator[Capture]:
    """Captures from two images, folders or globs (or images that hold both views), matched here
    without filling.

    Raises as `fathom depth` does, and `InputError` without a calibration.
    """
    from fathom.catalog import create
    from fathom.io.pairing import find_pairs

    matcher = create(
        options.method, max_disparity=options.max_disparity, fill=False, confidence=False
    )
    warm = False
    found = find_pairs(left, right)
    for number, files in enumerate(found.pairs, 1):
        loaded = load_pair(files.left, files.right, pair_options)
        if loaded.pair.rig is None:
            raise InputError(
                "there is no calibration, so there are no metres",
                file=files.left,
                field="calib",
                remedy="give --calib FILE, or --focal and --baseline",
            )
        if not warm:
            for note in loaded.notes:
                notify(note)
            warm_up(options.method, Listener(notify, notify))
            warm = True
        if len(found.pairs) > 1:
            notify(f"[{number}/{len(found.pairs)}] {files.name}")
        try:
            disparity = matcher(loaded.pair)
        except FathomError as error:
            error.file = error.file or str(files.left)
            raise
        yield Capture(str(files.left), measured_values(disparity), loaded.pair.rig)


def measured_values(disparity: Disparity) -> Float32[np.ndarray, "h w"]:
    """The values that were measured; NaN where nothing is known or it was filled in."""
    out: Array = np.where(disparity.measured, disparity.values, np.float32(np.nan))
    return out


def write_picture(path: Path, test: FieldTest) -> None:
    """The residual of the first capture, and the temporal noise, as PNG, whole or not at all."""
    from fathom.io.figures import write_figure
    from fathom.viz.flatness import flatness_picture

    write_figure(path, flatness_picture(test.walls[0], test.rig, test.temporal_map))


def _notes(walls: Sequence[Flatness], rig: StereoRig, truth: float | None) -> list[str]:
    notes = []
    wall = walls[0]
    if wall.tilt > 5:
        notes.append(
            f"the wall is tilted by {wall.tilt:.1f} degrees; quality tools ask for a wall that is "
            "square to the camera"
        )
    if wall.bow > 0.1 and wall.bow > 0.5 * wall.subpixel_rms:
        notes.append(
            f"the residual is bowed by {wall.bow:.2f} px (RMS): the wall is not flat, or lens "
            "distortion was left in"
        )
    if wall.bias_px is not None and abs(wall.bias_px) > 0.5 and truth is not None:
        scale = wall.distance / truth
        notes.append(
            f"the distance is off by {wall.bias_px:+.2f} px of disparity, or by a factor of "
            f"{scale:.4f}: with one distance, an error of doffs ({wall.bias_px:+.2f} px) and one "
            f"of focal length or baseline ({100 * (scale - 1):+.2f} %) look alike; test a second "
            "distance"
        )
    spread = [w.distance for w in walls]
    if len(walls) > 1:
        step = depth_sigma(wall.distance, rig.left.fx, rig.baseline, 0.25)
        if max(spread) - min(spread) > max(step, _FAST * wall.distance):
            notes.append(
                f"the wall's distance differs by {1000 * (max(spread) - min(spread)):.1f} mm "
                "between the captures: the camera or the wall moved, so the temporal noise is "
                "not the camera's alone"
            )
    return notes


def wall_dict(wall: Flatness) -> dict[str, Any]:
    """The numbers of one capture; the unit stands in each name."""

    def mm(value: float | None) -> float | None:
        return None if value is None else 1000 * value

    return {
        "distance_m": wall.distance,
        "bias_mm": mm(wall.bias),
        "bias_px": wall.bias_px,
        "z_accuracy_percent": None if wall.z_accuracy is None else 100 * wall.z_accuracy,
        "fill_rate": wall.fill_rate,
        "plane_fit_rms_mm": mm(wall.plane_fit_rms),
        "spatial_noise_percent": 100 * wall.plane_fit_rms / wall.distance,
        "subpixel_rms_px": wall.subpixel_rms,
        "bow_px": wall.bow,
        "share_on_plane": wall.inliers,
        "tilt_deg": wall.tilt,
        "tilt_x_deg": wall.tilt_x,
        "tilt_y_deg": wall.tilt_y,
    }


def _rig_text(rig: StereoRig) -> str:
    return f"{rig.size[0]}x{rig.size[1]}, {rig.left.fx:.1f} px, {rig.baseline:.4f} m"
