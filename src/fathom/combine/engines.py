"""What runs a shipped net: its exported file on the CPU, or its weights in torch on a device."""

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from fathom.combine.strips import Model
from fathom.core.errors import InputError, MissingExtraError, UsageError, unknown_name
from fathom.weights import MODEL, MODEL_INT8, WEIGHTS, check_file, digest_of, shipped

EXPORTED = (".onnx", ".xml")
TRAINED = (".safetensors",)
PRECISIONS = ("fp32", "bf16", "int8")
"""int8: of shipped models on the CPU, by OpenVINO."""
_ONE = threading.Lock()


@dataclass(frozen=True, eq=False)
class Engine:
    """A net ready to be called. inputs: names it takes. divisor: sizes are multiples of this.
    max_disparity: it finds disparities below this. prepare: (height, width) -> None makes the first
    call at that size quicker; any thread may call it."""

    model: Model
    inputs: tuple[str, ...]
    divisor: int
    max_disparity: int
    prepare: Callable[[int, int], None]


def check_engine(device: str, weights: str | Path | None, precision: str | None = None) -> None:
    """Raises `UsageError` for a device, file of weights or precision that cannot be meant, without
    torch."""
    kind, _, number = str(device).partition(":")
    known = kind in ("cpu", "cuda", "mps") and (not number or (kind == "cuda" and number.isdigit()))
    if not known:
        raise UsageError(
            "is no device", field="device", value=device, expected="cpu, cuda, cuda:N or mps"
        )
    if precision not in (None, *PRECISIONS):
        raise unknown_name("precision", str(precision), list(PRECISIONS))
    if precision == "int8" and (weights is not None or kind != "cpu"):
        raise UsageError(
            "is for the shipped files on the CPU",
            field="precision",
            value=precision,
            expected="fp32 or bf16",
            remedy="for weights of your own: fathom export --int8, then give that file's name",
        )
    if weights is None:
        return
    ending = Path(weights).suffix.lower()
    if ending not in (*EXPORTED, *TRAINED):
        raise UsageError(
            "is no file of weights",
            field="weights",
            value=str(weights),
            expected=".safetensors of `fathom train`, or .onnx or .xml of `fathom export`",
        )
    if ending in EXPORTED and kind != "cpu":
        raise UsageError(
            "an exported model runs on the CPU",
            field="device",
            value=device,
            expected="cpu",
            remedy="give weights as .safetensors for a GPU",
        )


def limits_of(name: str, weights: str | Path | None) -> tuple[int, int] | None:
    """(divisor, max_disparity) of a shipped model, from its card; None for a user's weights.

    Raises `InputError` if the card is missing or damaged.
    """
    if weights is not None:
        return None
    record = shipped(name)
    return record.divisor, record.max_disparity


def engine(
    name: str,
    device: str,
    weights: str | Path | None,
    threads: int | None,
    precision: str | None = None,
) -> Engine:
    """The engine of a shipped net. weights: a user's file instead of the shipped one. precision:
    one of `PRECISIONS`; None takes the fastest of the CPU, and fp32 in torch.

    The same one for the same file, device, threads and precision, as long as the file does not
    change.

    Raises `InputError` for a file that is missing, truncated, of another hash or another net,
    `MissingExtraError` without a runtime or torch, `ResourceError` for a device that is not there
    or a precision that the processor does not have.
    """
    file, digest = _file_of(name, device, weights, precision)
    if weights is None and device == "cpu":
        precision = _asked(precision)
    elif file.suffix.lower() in EXPORTED:
        precision = precision or "fp32"
    try:
        status = file.stat()
        stamp = (status.st_mtime_ns, status.st_size)
    except OSError:
        stamp = (0, 0)  # whoever reads it says what is wrong
    build = _exported if file.suffix.lower() in EXPORTED else _trained
    with _ONE:  # who comes while another thread loads it waits for that, and does not load it again
        return build(name, str(file), digest, stamp, device, threads, precision)


def file_used(
    name: str, device: str, weights: str | Path | None, precision: str | None
) -> dict[str, str]:
    """The file of weights that `engine` takes and its SHA-256. Raises as that."""
    file, digest = _file_of(name, device, weights, precision)
    told = str(file) if weights is not None else f"shipped {name}/{file.name}"
    return {"file": told, "sha256": digest or digest_of(file)}


def _file_of(
    name: str, device: str, weights: str | Path | None, precision: str | None
) -> tuple[Path, str | None]:
    """The file, and for a shipped one its digest."""
    if weights is not None:
        return Path(weights), None
    record = shipped(name)
    part = _part(record.sha256, precision) if device == "cpu" else WEIGHTS
    return record.folder / part, record.sha256[part]


def _asked(precision: str | None) -> str:
    """In what the runtime computes a shipped file; in the form of 8 bits the rest is fp32."""
    from fathom.runtime import fastest

    return "bf16" if (precision or fastest()) == "bf16" else "fp32"


def _part(parts: Collection[str], precision: str | None) -> str:
    """Which of a shipped model's files runs on the CPU. 8 bits stay within 0.01 px and 0.01 % of
    the other's scores on the real pairs (`experiments/README.md`)."""
    from fathom.runtime import fastest

    native = fastest()
    if precision == "int8" and native == "fp32":
        raise MissingExtraError("openvino (for 8 bits)", "openvino")
    wanted = MODEL_INT8 if (precision or native) == "int8" else MODEL
    return wanted if wanted in parts else MODEL


@lru_cache(maxsize=4)
def _exported(
    name: str,
    file: str,
    digest: str | None,
    stamp: tuple[int, int],  # noqa: ARG001  # a file that changes is another one
    device: str,  # noqa: ARG001
    threads: int | None,
    precision: Any,
) -> Engine:
    from fathom.runtime import load_model

    model = load_model(file, threads=threads, sha256=digest, precision=precision)
    if {"disparity", "confidence"} - set(model.outputs) or "evidence" not in model.inputs:
        raise InputError(
            "is no model of this kind",
            file=file,
            field="outputs",
            value=", ".join(model.outputs),
            expected="disparity and confidence, made from evidence and images",
            remedy=f"export {name} with: fathom export {name}",
        )
    sizes = []
    for key in ("fathom.divisor", "fathom.max_disparity"):
        text = model.metadata.get(key, "")
        if not text.isdecimal() or int(text) < 1:
            raise InputError(
                "is no whole number above 0",
                file=file,
                field=key,
                value=text,
                expected="what `fathom export` notes in the file",
            )
        sizes.append(int(text))
    _check_kind(name, file, "right" in model.inputs)
    return Engine(model, tuple(model.inputs), sizes[0], sizes[1], model.prepare)


@lru_cache(maxsize=2)
def _trained(
    name: str,
    file: str,
    digest: str | None,
    stamp: tuple[int, int],  # noqa: ARG001
    device: str,
    threads: int | None,
    precision: Any,
) -> Engine:
    try:
        from fathom.nets.adapter import evidence_model
    except ImportError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError("torch (for a GPU or weights in safetensors)", "torch") from error
    if digest is not None:
        check_file(file, digest)
    model, matching, divisor, limit = evidence_model(file, device, threads, precision)
    _check_kind(name, file, matching)
    return Engine(model, model.inputs, divisor, limit, lambda height, width: None)  # noqa: ARG005


def _check_kind(name: str, file: str, matching: bool) -> None:
    """Both shipped nets look alike from outside: one of them looks at the right view, too."""
    if matching != (name == "fathom-s"):
        other = "fathom-s" if matching else "sgm-refined"
        raise InputError(
            f"holds a net of {other}, not of {name}",
            file=file,
            remedy=f"use --method {other}, or give weights of {name}",
        )


class Later:
    """What a function gives, worked out in another thread meanwhile."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._value: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="fathom-model")
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value = self._function()
        except BaseException as error:  # noqa: BLE001  # raised again where the value is wanted
            self._error = error

    def get(self) -> Any:
        """The value, as soon as it is there. Raises what the function raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value
