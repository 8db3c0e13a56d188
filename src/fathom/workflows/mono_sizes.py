"""Error against input size: which processing resolution a model of one image wants."""

import csv
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fathom.catalog import entry, parameters
from fathom.core.arrays import Array
from fathom.core.camera import StereoRig
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Depth, Disparity, RelativeDepth
from fathom.eval.alignment import AlignmentName, align
from fathom.eval.depth_metrics import abs_rel, delta, root_mean_square_error
from fathom.io.pairing import FoundPairs
from fathom.workflows.depth_mono import MonoOptions, answers_of, mono_versions
from fathom.workflows.evaluate_read import MapFile, MapOptions, read_map
from fathom.workflows.mono_camera import CameraOptions
from fathom.workflows.mono_load import load_image
from fathom.workflows.truths import truth_files

FILES = {
    "sizes.csv": "a row for each input size",
    "sizes.json": "the same, and how it was measured",
    "sizes.png": "the curve: AbsRel over input size",
}
_ALIGNED: dict[str | None, AlignmentName] = {
    None: "none",
    "scale": "median",
    "affine": "depth",
    "affine_inverse": "inverse-depth",
}
HOW = {
    "none": "not aligned: the model answers in metres",
    "median": "aligned to the truth first, by the ratio of the medians",
    "depth": "aligned to the truth first, scale and shift of the depth by least squares",
    "inverse-depth": "aligned to the truth first, scale and shift of the inverse depth by least "
    "squares",
}


@dataclass(frozen=True)
class SizeRow:
    """One input size. abs_rel, delta_1, rmse_m: means over the images, each over its pixels with
    truth; rmse_m is None where the truth has no unit. seconds: mean of an image, of the model with
    what is around it."""

    size: int
    images: int
    abs_rel: float
    delta_1: float
    rmse_m: float | None
    seconds: float


@dataclass(frozen=True)
class SizeReport:
    """All sizes of one method. aligned: how, in words."""

    method: str
    aligned: str
    rows: tuple[SizeRow, ...]

    @property
    def best(self) -> SizeRow:
        """The row of the smallest AbsRel."""
        return min(self.rows, key=lambda row: row.abs_rel)


def sizes_of(text: str) -> tuple[int, ...]:
    """ "252,392" as numbers, each once, rising. Raises `UsageError` for anything else."""
    try:
        found = sorted({int(word) for word in text.split(",")})
    except ValueError:
        found = []
    if not found or found[0] < 1:
        raise UsageError(
            "is no list of sizes", field="sizes", value=text, expected="pixels, as 252,392,518"
        )
    return tuple(found)


def sweep_sizes(
    images: FoundPairs,
    truth: Sequence[str | Path],
    sizes: Sequence[int],
    options: MonoOptions,
    reading: MapOptions,
    camera: CameraOptions,
    tell: Callable[[str], None] = lambda line: None,  # noqa: ARG005
) -> SizeReport:
    """The model's error at each size on images with truth.

    Raises `UsageError` for a method whose input size cannot be chosen, `InputError` for images or
    truths that cannot serve.
    """
    if "size" not in parameters(options.method):
        raise UsageError(
            "has no input size to choose", field="method", value=options.method,
            remedy="take another one; fathom depth --method NAME --help lists its parameters",
        )  # fmt: skip
    loaded = [load_image(pair.left, pair.name, camera) for pair in images.pairs]
    truths = [
        _truth(file, reading, one.view.shape, camera)
        for file, one in zip(truth_files(images, truth), loaded, strict=True)
    ]
    metric = all(unit for _, unit in truths)
    rows, how = [], ""
    for size in sizes:
        chosen = {**options.parameters, "size": size}
        estimator = MonoOptions(**{**_plain(options), "parameters": chosen}).estimator()
        scores, seconds = [], 0.0
        for one, (values, unit) in zip(loaded, truths, strict=True):
            start = time.perf_counter()
            (answer,) = answers_of(estimator, [one.view], [one.file])
            seconds += time.perf_counter() - start
            score, how = _score(answer.map, values, unit, one.file)
            scores.append(score)
        mean = np.mean(scores, axis=0)
        rows.append(
            SizeRow(
                size, len(loaded), float(mean[0]), float(mean[1]),
                float(mean[2]) if metric else None, seconds / len(loaded),
            )
        )  # fmt: skip
        tell(f"{size}: AbsRel {mean[0]:.4f}")
    return SizeReport(entry(options.method).name, HOW[how], tuple(rows))


def write_sizes(out: Path, report: SizeReport) -> list[str]:
    """Writes `FILES` to the folder; gives their names. Raises `ResourceError` as `result_folder`.

    result.json lists them, so that a later sweep may replace them.
    """
    from fathom.io.atomic import write_text
    from fathom.io.folder import RESULT, result_folder
    from fathom.io.images import write_png
    from fathom.io.result import write_json
    from fathom.viz.sizes import size_curve

    rows = [asdict(row) for row in report.rows]
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    content = {"method": report.method, "aligned": report.aligned, "rows": rows,
               "best_size": report.best.size, "versions": mono_versions()}  # fmt: skip
    with result_folder(out) as staging:
        write_text(staging / "sizes.csv", text.getvalue())
        write_json(staging / "sizes.json", content)
        points = [(row.size, row.abs_rel) for row in report.rows]
        write_png(staging / "sizes.png", size_curve(points, f"{report.method}: {report.aligned}"))
        info = {"format": "fathom-result", "version": 1, "kind": "sizes", **content}
        write_json(staging / RESULT, {**info, "files": FILES})
    return list(FILES)


def _truth(
    file: Path, reading: MapOptions, shape: tuple[int, int], camera: CameraOptions
) -> tuple[Array, bool]:
    """Depth, and whether it is in metres: a disparity without a rig gives depth in no unit."""
    found, _ = read_map(MapFile(file, reading), "depth")
    if found.shape != shape:
        raise InputError(
            "differs in size from its image", file=file, field="truth", value=found.shape,
            expected=str(shape),
        )  # fmt: skip
    if isinstance(found, Depth):
        return found.values, True
    if not isinstance(found, Disparity):
        raise UsageError(
            "is no truth", field="kind", value=reading.kind, expected="depth or disparity"
        )
    if camera.calib is not None:
        from fathom.io.calibration import read_calibration

        size = (shape[1], shape[0])
        rig = read_calibration(camera.calib, image_size=size, rectified=True)
        if isinstance(rig, StereoRig):
            return found.to_depth(rig).values, True
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(found.values > 0, 1 / found.values, np.float32(np.nan))
    return inverse.astype(np.float32), False


def _score(
    answer: Depth | RelativeDepth, truth: Array, metric: bool, file: Path
) -> tuple[tuple[float, float, float], str]:
    """(AbsRel, delta 1, RMSE) over the pixels with truth, and how the answer was aligned."""
    name = _ALIGNED[answer.ambiguity if isinstance(answer, RelativeDepth) else None]
    if name == "none" and not metric:
        raise UsageError(
            "is in no unit, and this model answers in metres", field="truth",
            remedy="give depth in metres, or --calib with the disparity's rig",
        )  # fmt: skip
    mask = np.isfinite(truth)
    if not mask.any():
        raise InputError("holds no truth", file=file, field="truth")
    limits = (float(truth[mask].min()), float(truth[mask].max()))
    try:
        fitted, _ = align(name, answer.values, truth, mask, limits if name != "none" else None)
    except InputError as error:
        error.file = error.file or str(file)
        raise
    z, true = fitted[mask], truth[mask]
    return (abs_rel(z, true), delta(z, true), root_mean_square_error(z, true)), name


def _plain(options: MonoOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in options.__dataclass_fields__}
