"""What `fathom depth` writes: one table of files, and the function that writes each of them."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast, runtime_checkable

from fathom.core.arrays import Array
from fathom.core.cloud import PointCloud
from fathom.core.errors import unknown_name
from fathom.core.maps import Depth, Disparity
from fathom.core.pair import StereoPair


@runtime_checkable
class Writable(Protocol):
    """What a result is written from. info: what result.json says; picture: the overview."""

    @property
    def info(self) -> dict[str, Any]: ...

    @property
    def picture(self) -> Array: ...


Made = TypeVar("Made")  # a Writable; as a bound, a check of it would draw the picture


@dataclass(frozen=True, eq=False)
class Estimate:
    """Everything that came out of one pair, before it is written.

    depth and cloud are None without a calibration (or when nobody wants them). info is what
    result.json says.
    """

    pair: StereoPair
    disparity: Disparity
    depth: Depth | None
    cloud: PointCloud | None
    info: dict[str, Any]
    changed_pair: bool = False

    @cached_property
    def picture(self) -> Array:
        """The overview, uint8 RGB; drawn once, for its own file and for the report."""
        from fathom.viz.overview import overview

        return overview(self.pair, self.disparity, self.depth, self.info["title"])


@dataclass(frozen=True)
class Output(Generic[Made]):
    """One file of a result: its name, what it holds, short names for `--save`, and its needs."""

    file: str
    content: str
    short: tuple[str, ...]
    write: Callable[[Path, Made], dict[str, Any] | None]
    needs: Callable[[Made], bool] = lambda estimate: True  # noqa: ARG005


def _disparity_pfm(path: Path, estimate: Estimate) -> None:
    from fathom.io.maps import write_disparity_pfm

    write_disparity_pfm(path, estimate.disparity.values)


def _disparity_png(path: Path, estimate: Estimate) -> dict[str, Any]:
    from fathom.io.maps import write_disparity_png

    return {"not_representable": write_disparity_png(path, estimate.disparity.values)}


def _depth_of(estimate: Any) -> Depth:
    """Metres of an estimate of a pair or of one image; a protocol of both would, where it is
    checked, draw the picture."""
    depth: Depth | None = estimate.depth
    assert depth is not None  # the table's `needs` has asked
    return depth


def _depth_npy(path: Path, estimate: Any) -> None:
    from fathom.io.maps import write_depth_npy

    write_depth_npy(path, _depth_of(estimate).values)


def _depth_png(path: Path, estimate: Any) -> dict[str, Any]:
    from fathom.io.maps import write_depth_png

    return {"not_representable": write_depth_png(path, _depth_of(estimate).values)}


def _sigma_npy(path: Path, estimate: Any) -> None:
    from fathom.io.maps import write_depth_npy

    sigma = _depth_of(estimate).sigma
    assert sigma is not None
    write_depth_npy(path, sigma)


def _cloud_ply(path: Path, estimate: Any) -> dict[str, Any]:
    from fathom.io.ply import write_ply

    assert estimate.cloud is not None
    write_ply(path, estimate.cloud)
    return {"points": len(estimate.cloud)}


def _overview_png(path: Path, estimate: Any) -> None:
    from fathom.io.images import write_png

    write_png(path, estimate.picture)


def _metric(estimate: Any) -> bool:
    return bool(estimate.depth is not None)


def metric_outputs() -> tuple[Output[Any], ...]:
    """Depth in metres and its sigma, of an estimate that may have them."""
    return (
        Output(
            "depth.npy", "depth, float32 metres, NaN = unknown", ("depth", "npy"), _depth_npy,
            _metric,
        ),
        Output(
            "depth.png", "depth, uint16 millimetres, 0 = unknown", ("depth", "png", "png16"),
            _depth_png, _metric,
        ),
        Output(
            "sigma.npy", "one standard deviation of the depth, float32 metres, NaN = unknown",
            ("sigma", "depth"), _sigma_npy,
            lambda e: e.depth is not None and e.depth.sigma is not None,
        ),
    )  # fmt: skip


def cloud_output(frame: str) -> Output[Any]:
    """The cloud, of an estimate that may have one. frame: whose frame it is in."""
    content = f"coloured points, metres, x right, y down, z forward, {frame}"
    return Output("cloud.ply", content, ("cloud", "ply"), _cloud_ply, lambda e: e.cloud is not None)


def confidence_output(content: str, layer: Callable[[Made], Array | None]) -> Output[Made]:
    """The confidence, uint16. layer: takes it from an estimate, None where it has none."""

    def write(path: Path, estimate: Made) -> None:
        from fathom.io.maps import write_confidence_png

        found = layer(estimate)
        assert found is not None
        write_confidence_png(path, found)

    return Output(
        "confidence.png", f"{content}, uint16 = value x 65535", ("confidence", "png"), write,
        lambda e: layer(e) is not None,
    )  # fmt: skip


def page_outputs(picture: str, page: Callable[[Made], str]) -> tuple[Output[Any], ...]:
    """The overview and the report. picture: what the overview shows. page: draws the report."""

    def write(path: Path, estimate: Made) -> None:
        from fathom.io.atomic import write_text

        write_text(path, page(estimate))

    return (
        Output("overview.png", picture, ("overview",), _overview_png),
        Output(
            "report.html", "report to open in a browser: values under the pointer, 3D view",
            ("report", "html"), write,
        ),
    )  # fmt: skip


def _source_png(path: Path, estimate: Estimate) -> None:
    from fathom.io.maps import write_source_png

    assert estimate.disparity.source is not None
    write_source_png(path, estimate.disparity.source)


def _report(estimate: Estimate) -> str:
    from fathom.viz.report import depth_report

    return depth_report(
        estimate.pair,
        estimate.disparity,
        estimate.depth,
        estimate.cloud,
        estimate.info,
        estimate.info["findings"],
        estimate.picture,
    )


def _left_png(path: Path, estimate: Estimate) -> None:
    from fathom.io.images import write_png

    write_png(path, estimate.pair.left.image)


def _right_png(path: Path, estimate: Estimate) -> None:
    from fathom.io.images import write_png

    write_png(path, estimate.pair.right.image)


def _calib_txt(path: Path, estimate: Estimate) -> None:
    from fathom.io.calibration.middlebury import write_middlebury

    assert estimate.pair.rig is not None
    write_middlebury(path, estimate.pair.rig)


def _changed(estimate: Estimate) -> bool:
    return estimate.changed_pair


OUTPUTS: tuple[Output[Estimate], ...] = (
    Output(
        "disparity.pfm",
        "disparity, float32 pixels, inf = unknown",
        ("disparity", "pfm"),
        _disparity_pfm,
    ),
    Output(
        "disparity.png",
        "disparity, uint16 = pixels x 256 (KITTI), 0 = unknown",
        ("disparity", "png", "png16"),
        _disparity_png,
    ),
    *metric_outputs(),
    confidence_output("confidence 0..1 = P(error <= 1 px)", lambda e: e.disparity.confidence),
    Output(
        "source.png",
        "where each value comes from, uint8: 0 unknown, 1 matched, 2 filled, 3 one-view model, "
        "4 LiDAR or radar",
        ("source", "png"),
        _source_png,
        lambda e: e.disparity.source is not None,
    ),
    cloud_output("left camera"),
    Output("left.png", "the left image as it was matched", ("pair",), _left_png, _changed),
    Output("right.png", "the right image as it was matched", ("pair",), _right_png, _changed),
    Output(
        "calib.txt",
        "the rig of left.png and right.png, Middlebury's format",
        ("pair",),
        _calib_txt,
        lambda e: _changed(e) and e.pair.rig is not None,
    ),
    *page_outputs("left image, disparity, depth and confidence in one picture", _report),
)
RESULT = "result.json"
_WRITERS = 4
"""Compression and the disk leave the interpreter free, so a few files at a time are quicker."""


def chosen_outputs(save: Iterable[str] | None) -> tuple[Output[Estimate], ...]:
    """The outputs of a pair that `--save` names; as `chosen_of`."""
    return chosen_of(OUTPUTS, save)


def chosen_of(
    outputs: tuple[Output[Made], ...], save: Iterable[str] | None
) -> tuple[Output[Made], ...]:
    """Those of `outputs` that `--save` names, by file or short name; None or "all" = every one.

    Raises `UsageError` with close matches for a name that is none of them.
    """
    names = [name.strip() for name in save] if save is not None else ["all"]
    short = {s for output in outputs for s in output.short}
    known = ["all", "none", RESULT, *(o.file for o in outputs), *sorted(short)]
    for name in names:
        if name not in known:
            raise unknown_name("output", name, known)
    if "all" in names:
        return outputs
    return tuple(o for o in outputs if o.file in names or any(s in names for s in o.short))


def file_names(outputs: Iterable[Output[Any]]) -> list[str]:
    """Every file name that may be written, result.json included."""
    return [*(o.file for o in outputs), RESULT]


def write_outputs(
    folder: Path,
    estimate: Made,
    outputs: Iterable[Output[Made]],
    pictures: Mapping[str, Array] | None = None,
) -> dict[str, Any]:
    """Writes the chosen files and result.json into `folder`; returns what result.json says.

    pictures: further pictures to write, by file name. result.json is written last: a folder that
    has one is complete.
    """
    from fathom.io.images import write_png
    from fathom.io.result import write_json

    made = cast(Writable, estimate)
    wanted = [output for output in outputs if output.needs(estimate)]
    if any(output.file in ("overview.png", "report.html") for output in wanted):
        _ = made.picture  # drawn here, once: the files below are written side by side
    with ThreadPoolExecutor(max_workers=_WRITERS) as pool:
        extras = list(pool.map(lambda output: output.write(folder / output.file, estimate), wanted))
    files: dict[str, Any] = {
        output.file: {"content": output.content, **(extra or {})}
        for output, extra in zip(wanted, extras, strict=True)
    }
    for name, picture in (pictures or {}).items():
        write_png(folder / name, picture)
        files[name] = {"content": "picture"}
    info = {**made.info, "files": files}
    write_json(folder / RESULT, info)
    return info
