"""The folder of a calibration: files, pictures, report."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import Camera
from fathom.core.pair import View
from fathom.geometry.plausible import implausibilities
from fathom.geometry.rectify import rectify
from fathom.rigs.calibrate import RigCalibration
from fathom.rigs.calibrate_fit import SIDES, CalibrateOptions
from fathom.rigs.calibrate_quality import Quality

if TYPE_CHECKING:
    from fathom.workflows.calibrate import Shot, Shots

CONTENT = {
    "calibration.json": "the rig with its uncertainties, fathom's format",
    "calibration.yml": "the rig, OpenCV's format",
    "corners.png": "the points found in every view",
    "coverage_left.png": "where in the left image there were points",
    "coverage_right.png": "where in the right image there were points",
    "residuals_left.png": "errors of the left image's points as arrows",
    "residuals_right.png": "errors of the right image's points as arrows",
    "rectified.png": "a rectified pair with lines along its rows",
    "report.html": "all of it to look at, with what to shoot next",
}
FILES = (*CONTENT, "result.json")
_SHOWN = 12


def write_run(
    folder: Path,
    result: RigCalibration,
    quality: Quality,
    shots: "Shots",
    sources: list[str],
    options: CalibrateOptions,
) -> dict[str, Any]:
    """Writes everything of one run into `folder`, result.json last; returns what it says."""
    from fathom.io.atomic import write_text
    from fathom.io.calibration import write_calibration
    from fathom.io.images import write_png
    from fathom.io.result import write_json
    from fathom.viz.calibration_report import calibration_report

    calibration = result.calibration
    uncertainty = {name: float(value) for name, value in result.sigma.items()}
    write_calibration(folder / "calibration.json", calibration, uncertainty=uncertainty)
    write_calibration(folder / "calibration.yml", calibration, format="opencv")
    pictures = _pictures(result, quality, shots)
    for name, picture in pictures.items():
        write_png(folder / name, picture)
    info = _info(result, quality, shots, sources, options)
    write_text(folder / "report.html", calibration_report(info, pictures))
    write_json(folder / "result.json", info)
    return info


def _pictures(result: RigCalibration, quality: Quality, shots: "Shots") -> dict[str, Array]:
    from fathom.viz.calibration import (
        corners_picture,
        coverage_picture,
        rectified_picture,
        residual_picture,
    )

    by_name = {shot.view.name: shot for shot in shots.shots}
    labels = {drop.name: f"left out: {drop.code}" for drop in result.dropped}
    labels |= {error.name: f"{error.both:.2f} px" for error in result.errors}
    labels |= {s.view.name: f"{s.error:.2f} px, {s.side} camera only" for s in result.singles}
    panels = []
    for shot in _spread(list(shots.shots), _SHOWN):
        label = f"{shot.view.name}: {labels.get(shot.view.name, '')}"
        panels.append((f"{label} (left)", shot.image("left"), shot.view.left))
        panels.append(("right", shot.image("right"), shot.view.right))
    pictures = {"corners.png": corners_picture(panels, result.board)}
    calmest = by_name[min(result.errors, key=lambda error: error.both).name]
    for side in SIDES:
        pixels = np.concatenate([points.pixels for points in result.seen(side)])
        camera: Camera = getattr(result.calibration, side)
        pictures[f"coverage_{side}.png"] = coverage_picture(
            calmest.image(side), getattr(quality, side), pixels, f"{side} image"
        )
        pictures[f"residuals_{side}.png"] = residual_picture(
            camera.size, pixels, result.residuals(side), f"{side} image"
        )
    pair = rectify(result.calibration)(View(calmest.image("left")), View(calmest.image("right")))
    pictures["rectified.png"] = rectified_picture(
        pair, label=f"{calmest.view.name}, rectified: rows of left and right agree along each line"
    )
    return pictures


def _spread(shots: "list[Shot]", count: int) -> "list[Shot]":
    """At most `count` of them, evenly spread."""
    index = np.unique(np.linspace(0, len(shots) - 1, min(count, len(shots))).round().astype(int))
    return [shots[i] for i in index]


def _info(
    result: RigCalibration,
    quality: Quality,
    shots: "Shots",
    sources: list[str],
    options: CalibrateOptions,
) -> dict[str, Any]:
    """What result.json says."""
    from fathom.workflows.depth import versions

    calibration = result.calibration
    cosine = (np.trace(calibration.rotation) - 1) / 2
    return {
        "format": "fathom-result",
        "version": 1,
        "kind": "calibration",
        "title": f"Calibration of a stereo rig: {quality.level}",
        "inputs": sources,
        "board": result.board.as_dict(),
        "settings": asdict(options),
        "level": quality.level,
        "criteria": [criterion.as_dict() for criterion in quality.criteria],
        "shoot_next": list(quality.advice),
        "notes": implausibilities(calibration),
        "views": {
            "looked_at": shots.looked_at,
            "kept": [_view(error) for error in result.errors],
            "one_camera": [
                {"name": s.view.name, "camera": s.side, "rms_px": s.error} for s in result.singles
            ],
            "left_out": [asdict(drop) for drop in result.dropped],
        },
        "rms_px": result.rms,
        "rms_before_refinement_px": result.rms_before,
        "row_rms_px": result.rows,
        "row_rms_before_refinement_px": result.rows_before,
        "baseline_m": calibration.baseline,
        "baseline_sigma_m": result.sigma["baseline_m"],
        "angle_between_deg": float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))),
        "translation_m": calibration.translation.tolist(),
        "rotation": calibration.rotation.tolist(),
        "left": _camera(calibration.left, "left", result.sigma),
        "right": _camera(calibration.right, "right", result.sigma),
        "files": {name: {"content": content} for name, content in CONTENT.items()},
        "versions": versions(),
    }


def _view(error: Any) -> dict[str, Any]:
    return {
        "name": error.name,
        "rms_px": error.both,
        "left_rms_px": error.left,
        "right_rms_px": error.right,
        "row_rms_px": error.rows,
        "points_left": error.points[0],
        "points_right": error.points[1],
        "tilt_deg": error.tilt,
        "distance_m": error.distance,
        "turned": error.turned,
    }


def _camera(camera: Camera, side: str, sigma: dict[str, float]) -> dict[str, Any]:
    values = asdict(camera)
    own = {name.split(".")[1]: v for name, v in sigma.items() if name.startswith(f"{side}.")}
    return {**values, "sigma": own}
