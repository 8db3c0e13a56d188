"""Exporting a net: a folder with the model, its certificate and its licence note."""

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fathom.core.errors import InputError, MissingExtraError, UsageError, unknown_name
from fathom.core.options import option
from fathom.core.sample import StereoSample
from fathom.io.atomic import check_result_folder, result_folder
from fathom.io.folder import RESULT_FORMAT
from fathom.io.result import write_json
from fathom.weights import HOME, LICENCE, NAMES

if TYPE_CHECKING:
    from fathom.export import Certificate
    from fathom.export.published import Published
    from fathom.nets.stereo.evidence import EvidenceNet

CERTIFICATE = "certificate.json"
_STEM = "model"
_NEEDED = {
    "onnx": ("onnx", "onnxscript"),
    "openvino": ("onnx", "onnxscript", "openvino"),
    "int8": ("nncf",),
}


@dataclass(frozen=True)
class ExportOptions:
    """What to write, and what to try it on. weights, max_disparity, iterations: of published nets.

    Raises `UsageError` for a number below 1.
    """

    format: Literal["onnx", "openvino"] = option("onnx", "the file to write")
    int8: bool = option(False, "convolutions in 8 bits, calibrated on procedural scenes")
    weights: str | None = option(
        None, "of a published net: a converted file, or the name it is kept under", metavar="FILE"
    )
    max_disparity: int | None = option(
        None, "of a published net: the one range that the file will have (default: as published)"
    )
    iterations: int | None = option(
        None, "of a published net that has some: how often it moves the disparity", metavar="N"
    )
    pairs: Path | None = option(
        None, "certify on these pairs, too: a data set's folder, or a list", metavar="DIR"
    )
    limit: int = option(20, "with --pairs: at most so many of them", metavar="N")
    scenes: int = option(32, "with --int8: scenes to calibrate on", metavar="N")
    rounds: int = option(
        7, "calls of each backend that are timed; fewer where they take minutes", metavar="N"
    )
    threads: int | None = option(None, "threads of each backend; default: all processors")

    def __post_init__(self) -> None:
        for name in ("max_disparity", "iterations", "limit", "scenes", "rounds", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError("is too small", field=name, value=value, expected="1 or more")


def default_folder(source: str, options: ExportOptions) -> Path:
    """NAME-onnx, NAME-openvino-int8, ... in the working folder."""
    return Path(f"{Path(source).stem}-{options.format}{'-int8' if options.int8 else ''}")


def export_file(
    source: str, folder: Path, options: ExportOptions, notify: Callable[[str], None]
) -> "Certificate":
    """Exports a shipped model or a published net by name, or a file of weights, into `folder`: the
    model, its certificate.json, result.json, and LICENSE.md for a shipped one; all of them or none.

    Raises `MissingExtraError` without torch or what the format needs, `UsageError` for an unknown
    name, a net that cannot be exported, or an option it does not have; `InputError` for weights
    that are missing, truncated or of no such net, or pairs that cannot serve; `ResourceError` if
    the folder cannot be written.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError("torch", "torch")
    for module in (*_NEEDED[options.format], *(_NEEDED["int8"] if options.int8 else ())):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(module, "export")
    ending = ".onnx" if options.format == "onnx" else ".xml"
    names = [_STEM + ending, CERTIFICATE, "result.json"]
    names += [_STEM + ".bin"] if options.format == "openvino" else []
    licence = HOME / source / LICENCE if source in NAMES else None
    names += [LICENCE] if licence is not None and licence.is_file() else []
    net, name, about = net_of_source(source, options)
    check_result_folder(folder, names)
    samples = certified_pairs(options)
    from fathom.export import certify, export_model

    with result_folder(folder) as staging:
        file = export_model(
            net, staging / (_STEM + ending), options.format, int8=options.int8, model=name,
            about=about, scenes=options.scenes, notify=notify,
        )  # fmt: skip
        certificate = certify(
            net, file, samples, int8=options.int8, threads=options.threads,
            rounds=options.rounds, notify=notify,
        )  # fmt: skip
        write_json(staging / CERTIFICATE, certificate.as_dict())
        if LICENCE in names and licence is not None:
            shutil.copyfile(licence, staging / LICENCE)
        write_json(staging / "result.json", _result(source, options, names))
    return certificate


def net_of_source(
    source: str, options: ExportOptions | None = None
) -> tuple["EvidenceNet | Published", str, dict[str, str]]:
    """The net of a model's name or of a file of weights (a checkpoint's averaged ones), what it is
    called, and what is known of its licence and training data.

    Raises as `export_file`.
    """
    from fathom.nets.shipped import net_of, net_of_weights

    options = options or ExportOptions()
    found = _published(source, options)
    if found is not None:
        return found, found.model, dict(found.about)
    for field in ("weights", "max_disparity", "iterations"):
        if getattr(options, field) is not None:
            raise UsageError(
                f"{source} is no published net, which this is for",
                field=field, value=getattr(options, field), remedy="leave it out",
            )  # fmt: skip
    if source in NAMES:
        about = {"licence": "Apache-2.0", "trained_on": "procedural scenes of fathom"}
        return net_of(source), source, about
    path = Path(source)
    if not path.suffix and not path.exists() and path.name == source:
        raise unknown_name("learned model", source, [*NAMES, *_converted()])
    from fathom.train.checkpoint import read_weights

    return net_of_weights(read_weights(path), path), path.stem, {}


def _published(source: str, options: ExportOptions) -> "Published | None":
    """The published net of that name, or whose converted weights this file holds; else None."""
    from fathom.catalog import entries, entry

    known = {e.name for e in entries()} - set(NAMES)
    path, name, weights = Path(source), source, options.weights
    if source not in known and path.suffix and path.is_file():
        from fathom.published.store import read_header

        name = read_header(path).model or ""
        weights = weights or source
    if name not in known:
        return None
    from fathom.export.published import published

    return published(entry(name), weights, options.max_disparity, options.iterations)


def _converted() -> list[str]:
    from fathom.catalog import entries

    return [e.name for e in entries() if e.converted]


def certified_pairs(options: ExportOptions) -> list[StereoSample]:
    """Motorcycle, and the first stereo pairs of `options.pairs`.

    Raises `InputError` for a folder that is none, or holds no stereo pair.
    """
    from fathom.data.registry import open_dataset
    from fathom.data.samples import motorcycle

    found = [motorcycle()]
    if options.pairs is None:
        return found
    dataset: Any = open_dataset(None, options.pairs)
    for i in range(min(options.limit, len(dataset))):
        sample = dataset[i]
        if not isinstance(sample, StereoSample):
            raise InputError(
                "is no data set of stereo pairs",
                file=options.pairs,
                field="format",
                value=dataset.format,
                expected="left and right images",
            )
        found.append(sample)
    return found


def _result(source: str, options: ExportOptions, names: list[str]) -> dict[str, Any]:
    about = {
        "result.json": "this file",
        CERTIFICATE: "differences from torch, latency, memory",
        LICENCE: "licence of the weights",
        f"{_STEM}.onnx": "the model",
        f"{_STEM}.xml": "the model: its graph",
        f"{_STEM}.bin": "the model: its weights",
    }
    return {
        "format": RESULT_FORMAT,
        "kind": "export",
        "source": source,
        "options": {
            name: getattr(options, name)
            for name in ("format", "int8", "weights", "max_disparity", "iterations")
        },
        "files": {name: {"content": about[name]} for name in names},
    }
