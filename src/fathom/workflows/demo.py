"""Every built-in method on a real pair with ground truth, and the default one's whole result."""

from dataclasses import dataclass
from pathlib import Path

from fathom.catalog import create, entries, entry
from fathom.core.arrays import Array
from fathom.core.errors import ResourceError
from fathom.core.maps import Disparity
from fathom.core.sample import StereoSample
from fathom.eval.metrics import bad, end_point_error, share_known
from fathom.io.pairing import PairFiles
from fathom.workflows.compare_methods import clocked, warm
from fathom.workflows.depth import SILENT, DepthOptions, Listener, estimate_pair, warm_up
from fathom.workflows.outputs import OUTPUTS, file_names, write_outputs
from fathom.workflows.pairs import LoadedPair

PROTOCOL = (
    "over all pixels with ground truth, occluded ones included; unknown pixels count as bad; "
    "EPE over the known ones"
)
COMPARISON = "methods.png"


@dataclass(frozen=True)
class DemoRow:
    """One method's line of the table. Shares are 0..1, lengths metres, errors pixels."""

    method: str
    seconds: float
    bad1: float
    bad2: float
    bad4: float
    epe: float
    known: float
    nearest: float | None
    farthest: float | None


@dataclass(frozen=True)
class DemoResult:
    """The table, and what was written where."""

    rows: tuple[DemoRow, ...]
    folder: Path
    files: tuple[str, ...]


def demo(
    out: Path,
    sample: StereoSample,
    listener: Listener = SILENT,
) -> DemoResult:
    """Runs every stereo method that fathom brings on `sample`, and writes the default one's result
    to `out`.

    Raises `ResourceError` if the folder cannot be written.
    """
    from fathom.io.folder import check_result_folder, result_folder

    check_result_folder(out, [*file_names(OUTPUTS), COMPARISON])
    if sample.truth is None:
        raise ResourceError("the demo's pair has no ground truth", field="truth")
    rows, maps = [], {}
    for chosen in entries("stereo", ready=True, own=True):
        listener.tell(f"matching with {chosen.name}")
        warm_up(chosen.name, listener)
        disparity, seconds = _timed(chosen.name, sample)
        maps[chosen.name] = disparity
        rows.append(_row(chosen.name, disparity, seconds, sample))
    options = DepthOptions()
    name = entry("default").name
    default = maps[name]
    # The default method has just been run: its map is taken, not computed once more.
    estimate = estimate_pair(
        LoadedPair(sample.pair, sample.pair.rig, changed=True),
        lambda pair: default,  # noqa: ARG005
        options,
        {},
        listener,
        PairFiles(sample.name, Path(f"{sample.name} (left)"), Path(f"{sample.name} (right)")),
    )
    estimate.info["seconds"]["match"] = next(r.seconds for r in rows if r.method == name)
    with result_folder(out) as staging:
        info = write_outputs(staging, estimate, OUTPUTS, pictures=_comparison(sample, maps))
    return DemoResult(tuple(rows), out, tuple(info["files"]))


def _timed(name: str, sample: StereoSample) -> tuple[Disparity, float]:
    matcher = create(name)
    warm(matcher, sample.pair)
    disparity, seconds, _ = clocked(matcher, sample.pair)
    return disparity, seconds


def _row(name: str, disparity: Disparity, seconds: float, sample: StereoSample) -> DemoRow:
    truth = sample.truth
    assert truth is not None
    extent = disparity.to_depth(sample.pair.rig).extent or (None, None)
    errors = [bad(disparity, truth, k) for k in (1, 2, 4)]
    epe, known = end_point_error(disparity, truth), share_known(disparity, truth)
    return DemoRow(name, seconds, errors[0], errors[1], errors[2], epe, known, *extent)


def _comparison(sample: StereoSample, maps: dict[str, Disparity]) -> dict[str, Array]:
    """The picture of all methods beside each other, as a further file of the result."""
    from fathom.viz.figure import comparison

    return {COMPARISON: comparison(sample.pair, maps, sample.truth)}
