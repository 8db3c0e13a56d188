"""`fathom compare --mono ... --stereo ...` from the command line."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from fathom import catalog
from fathom.catalog import Entry
from fathom.core import Depth, Disparity, RelativeDepth, ResourceError
from fathom.io.images import write_png
from fathom.io.maps import write_depth_npy, write_disparity_pfm

H, W, FB = 40, 72, 18.0
D = (3 + np.mgrid[:H, :W][0] / 8).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Fake:
    """A model of one view that knows the answer, or has no weights."""

    kind: str = "relative"
    weights: str | None = None

    def __call__(self, view):
        if self.weights == "nowhere":
            raise ResourceError("no weights are there", file=self.weights)
        d = D[: view.shape[0], : view.shape[1]]
        return (
            RelativeDepth(2 * d + 1, "affine_inverse") if self.kind == "relative" else Depth(3 / d)
        )


@dataclass(frozen=True, kw_only=True)
class Toy:
    """A stereo matcher that answers with the truth."""

    max_disparity: int | None = None

    def __call__(self, pair):
        return Disparity(D[: pair.shape[0], : pair.shape[1]] + np.float32(0.25))


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    mine = (
        Entry("guess", f"{__name__}:Fake", "mono", "a fake", ambiguity="affine_inverse"),
        Entry("metres", f"{__name__}:Fake", "mono", "a fake", preset=(("kind", "metric"),)),
        Entry("toy", f"{__name__}:Toy", "stereo", "a toy"),
    )
    monkeypatch.setattr(catalog, "ENTRIES", (*catalog.ENTRIES, *mine))


@pytest.fixture
def files(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for side in ("left", "right"):
        write_png(tmp_path / f"{side}.png", rng.integers(0, 255, (H, W, 3)).astype(np.uint8))
    write_disparity_pfm(tmp_path / "truth.pfm", D)
    write_png(tmp_path / "truth16.png", np.rint(D * 256).astype(np.uint16))
    write_depth_npy(tmp_path / "depth.npy", (FB / D).astype(np.float32))
    monkeypatch.chdir(tmp_path)
    return tmp_path


RIG = ("--focal", "90", "--baseline", "0.2")


def test_a_pair_with_truth(files, fathom_command):
    done = fathom_command(
        *("compare", "--mono", "guess", "--stereo", "toy", "left.png", "right.png"),
        *("--truth", "truth.pfm", *RIG, "-o", "out"),
    )
    assert done.code == 0, done.err
    assert "[depth, fathom-depth, all: unknown = wrong" in done.out
    assert "aligned: guess: scale and shift in inverse depth to the truth" in done.out
    assert "On the one frame, guess has the lowest abs-rel" in done.out
    names = ["regions.csv", "report.html", "result.json", "scores.csv", "worst.jpg"]
    assert sorted(p.name for p in (files / "out").iterdir()) == names
    again = fathom_command(
        *("compare", "--mono=guess,guess:weights=nowhere", "--stereo=toy", "--align=stereo"),
        *("left.png", "right.png", "--truth", "depth.npy", "--truth-kind", "depth", *RIG),
        *("-o", "out", "--json", "--pictures", "0"),
    )
    assert again.code == 1
    info = json.loads(again.out)
    assert info["options"]["align"] == "stereo" and info["folder"] == "out"
    assert info["scores"]["disparity"]["all"]["guess"]["values"]["epe"] == pytest.approx(0.25, 1e-2)
    assert [f["method"] for f in info["failures"]] == ["guess:weights=nowhere"]
    assert "nowhere: no weights are there" in again.err


def test_without_a_calibration_and_of_single_views(files, fathom_command):
    done = fathom_command(
        *("compare", "--mono", "guess,metres", "--stereo", "toy", "left.png", "right.png"),
        *("--truth", "truth16.png", "--truth-encoding", "uint16", "--truth-scale", "1/256"),
        *("-o", "out"),
    )
    assert done.code == 0, done.err
    assert "[disparity, fathom, all" in done.out and "0.250 px" in done.out
    assert "compared in disparity" in (files / "out" / "report.html").read_text()
    single = fathom_command(
        *("compare", "--mono", "metres", "left.png", "--truth", "depth.npy"),
        *("--truth-kind", "depth", "-o", "one"),
    )
    assert single.code == 0, single.err
    assert "not aligned: metres of the model" in single.out
    (files / "list.csv").write_text("left,depth\nleft.png,depth.npy\n")
    listed = fathom_command(
        *("compare", "--mono", "metres", "--data", "list.csv", "--data", "list.csv", "-o", "both"),
    )
    assert listed.code == 0, listed.err
    assert "Over 2 frames" in listed.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--stereo", "toy"], "names no method"),
        (["--mono", "guess"], "LEFT: no image given"),
        (["--mono", "guess", "--stereo", "toy", "left.png"], "stereo methods need two images"),
        (["--mono", "toy", "left.png"], "is a method of stereo, not of mono"),
        (["--mono", "gues", "left.png"], "did you mean guess"),
        (["--mono", "guess", "left.png", "--truth-kind", "depth"], "belongs to --truth"),
        (["--mono", "guess", "left.png", "--format", "kitti-2015"], "belongs to --data"),
        (["--mono", "guess", "left.png", "--data", "x"], "a data set brings its own"),
        (["--mono", "guess", "left.png", "--truth", "truth.pfm"], "single view has no disparity"),
        (["--mono", "guess", "left.png", "--align", "stereo"], "no stereo method to align to"),
        (["left.png", "right.png", "--methods", "guess"], "is a method of mono, not of stereo"),
    ],
)
def test_wrong_requests(words, message, files, fathom_command):
    done = fathom_command("compare", *words)
    assert done.code == 2, done.err
    assert message in done.error
    assert not (files / "fathom-compare").exists()


def test_help_says_how_they_are_aligned(capsys):
    from fathom.cli.main import main

    for words in (["--mono", "--help"], ["--mono", "x", "--format", "kitti-2015", "--help"]):
        with pytest.raises(SystemExit):
            main(["compare", *words])
        shown = capsys.readouterr().out
        assert "--align {truth,stereo}" in shown and "worst.jpg" in shown
    assert "options of kitti-2015" in shown
