"""`export_model`: a net as a file that runs without torch."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from fathom.core.errors import InputError, MissingExtraError, UsageError, unknown_name
from fathom.export.graph import notes_of, onnx_graph
from fathom.export.published import Published
from fathom.export.traced import check_free_sizes, traced_graph
from fathom.io.atomic import write_bytes
from fathom.nets.stereo.evidence import EvidenceNet
from fathom.runtime import load_model
from fathom.runtime.with_openvino import openvino

Format = Literal["onnx", "openvino"]
FORMATS: dict[str, str] = {"onnx": ".onnx", "openvino": ".xml"}
"""Format -> how its file's name ends."""


def export_model(
    net: EvidenceNet | Published,
    path: Path,
    format: Format = "onnx",
    *,
    int8: bool = False,
    model: str = "",
    about: Mapping[str, str] | None = None,
    scenes: int = 32,
    notify: Callable[[str], None] = lambda _: None,
) -> Path:
    """Writes the net, for any height and width that its divisor divides; answers with the path.

    Inputs and outputs by name: `left`, `right` (b=1, 3, h, w) RGB in 0..255 and `evidence` (1, 6,
    h, w); `disparity` and `confidence` (1, 1, h, w). What a net does not use is no input, what it
    does not give no output; published nets know no evidence, and only some a confidence. format:
    onnx, or openvino (.xml, with the weights in a .bin beside it). int8: convolutions in 8 bits,
    calibrated on `scenes` procedural scenes. model, about: the name, licence and training data in
    the file's notes.

    Raises `UsageError` for an unknown format, a name that ends otherwise, or 8 bits for a published
    net; `MissingExtraError` without onnx, openvino or nncf, `InputError` for weights that are not
    finite, or a net whose graph would answer otherwise than torch; `ResourceError` if the file
    cannot be written.
    """
    if int8 and isinstance(net, Published):
        raise UsageError(
            f"nobody has tried what 8 bits do to {net.model}", field="int8", value=True,
            expected="fathom-s or sgm-refined", remedy="leave it out",
        )  # fmt: skip
    if format not in FORMATS:
        raise unknown_name("format", format, list(FORMATS))
    if path.suffix.lower() != FORMATS[format]:
        raise UsageError(
            f"is no name for {format}",
            field="path",
            value=str(path),
            expected=f"a name that ends in {FORMATS[format]}",
        )
    notes = notes_of(net, model or type(net).__name__, about or {})
    notify("tracing the net")
    graph = traced_graph(net, notes) if isinstance(net, Published) else onnx_graph(net, notes)
    if int8:
        assert isinstance(net, EvidenceNet)
        from fathom.export.quantise import quantised

        graph = quantised(graph, net, format, scenes, notify)
    elif format == "openvino":
        graph = converted(graph.SerializeToString())
    if format == "onnx":
        data = graph.SerializeToString()
        write_bytes(path, data)
    else:
        for key, value in notes.items():
            graph.set_rt_info(value, key.split("."))
        _write_openvino(graph, path)
    if isinstance(net, Published):
        notify("comparing at another size")
        _kept_if_true(net, path)
    return path


def _kept_if_true(net: Published, path: Path) -> None:
    """Takes the file away again, and raises, if it answers otherwise than torch."""
    try:
        check_free_sizes(net, load_model(path, precision="fp32"))
    except InputError:
        path.unlink()
        if path.suffix.lower() != FORMATS["onnx"]:
            path.with_suffix(".bin").unlink()
        raise


def converted(data: bytes) -> Any:
    """OpenVINO's model of an ONNX file's bytes.

    Raises `MissingExtraError` without openvino, `InputError` if it cannot convert them.
    """
    try:
        library = openvino()
    except ImportError as error:
        raise MissingExtraError("openvino", "openvino") from error
    try:
        return library.Core().read_model(data)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1][:160]
        raise InputError("OpenVINO cannot convert the net", field="graph", value=reason) from error


def _write_openvino(graph: Any, path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # in 16 bits the weights would be half as large, and the certificate not the net's
        openvino().save_model(graph, Path(folder) / path.name, compress_to_fp16=False)
        for ending in (".bin", ".xml"):  # whoever sees the .xml finds its weights
            write_bytes(
                path.with_suffix(ending),
                (Path(folder) / path.name).with_suffix(ending).read_bytes(),
            )
