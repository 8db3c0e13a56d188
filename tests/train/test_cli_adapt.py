"""`fathom adapt` as it is typed, with a tiny net of the shipped kind."""

import json
import os
import shlex
import shutil
import signal

import numpy as np
import pytest
import torch

import fathom
from fathom.cli.main import main
from fathom.combine.fit_pairs import Fit
from fathom.core import Depth, SparseDepth, StereoRig, UsageError
from fathom.data import write_sample
from fathom.data.scenes import Scenes, SceneSettings
from fathom.io.images import write_png
from fathom.nets.stereo.evidence import EvidenceConfig, EvidenceNet
from fathom.train.adapt_recipe import Recipe
from fathom.train.checkpoint import save_weights
from fathom.workflows.adapt import AdaptOptions, _made_of
from fathom.workflows.adapt_anchors import AnchorOptions, disparity_map
from fathom.workflows.adapt_frames import Frames, find_frames, fit_frames
from fathom.workflows.adapt_places import Places

QUICK = (
    *("--steps", "8", "--judge-every", "4", "--batch", "2", "--crop-width", "64"),
    *("--crop-height", "32", "--threads", "1", "--device", "cpu", "--held", "0.4"),
)
SCENES = Scenes(SceneSettings(width=96, height=64, effects=False), 5, 8)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """walks/left, walks/right and the same scenes with truth; weights that are 1.8 px off."""
    root = tmp_path_factory.mktemp("adapt")
    for i in range(8):
        found = SCENES[i]
        write_sample(root / "known" / f"{i:03d}", found)
        for side in ("left", "right"):
            write_png(root / "walks" / side / f"{i:03d}.png", getattr(found.pair, side).image)
    torch.manual_seed(0)
    net = EvidenceNet(EvidenceConfig(levels=8, features=4, widths=(8, 8), detail=4))
    with torch.no_grad():
        net.decide.bias[4:8] = 2.0
        net.judge.out.bias[:4] = 6.0  # sure of it: semi-global matching has no say
    save_weights(root / "off.safetensors", net.state_dict(), {})
    return root


@pytest.fixture
def call(capsys, home):
    """Calls `fathom adapt ... --from off.safetensors`; (exit code, output, what was said)."""

    def run(*words):
        capsys.readouterr()
        given = ["adapt", *map(str, words), "--from", str(home / "off.safetensors"), *QUICK]
        code = main(given)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_anchors_mend_a_model_after_an_interruption(call, home, tmp_path, monkeypatch):
    out = tmp_path / "mended.safetensors"
    words = (home / "known", "-o", out, "--learning-rate", "0.05")
    real = torch.optim.AdamW.step

    def step(self, *args, **kwargs):
        os.kill(os.getpid(), signal.SIGINT)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    code, text, said = call(*words)
    monkeypatch.undo()
    assert code == 130 and "interrupted: saved after step 1" in said, said
    assert "rolled back" in text and not out.exists()
    again = shlex.split(text.splitlines()[-1].removeprefix("go on with"))
    assert again[:2] == ["fathom", "adapt"] and again[-1] == "--resume"
    # elsewhere, with the same files written otherwise, and one step less
    monkeypatch.chdir(tmp_path)
    assert main([*again[1:], "-o", out.name, "--steps", "7"]) == 0
    monkeypatch.undo()
    report = json.loads(out.with_suffix(".json").read_text())
    assert report["kept"] and report["after"]["epe"] < 0.9 * report["before"]["epe"]
    assert report["against_before"] == pytest.approx(
        report["after"]["epe"] / report["before"]["epe"]
    )
    assert "before and after" in out.with_suffix(".html").read_text()
    sample = SCENES[0]
    errors = [
        float(np.abs(fathom.create("fathom-s", weights=str(w))(sample.pair).values
                     - sample.truth.values).mean())
        for w in (home / "off.safetensors", out)
    ]  # fmt: skip
    assert errors[1] < errors[0]
    before = out.read_bytes()
    code, _, said = call(*words)
    assert code == 2 and "is there already, and nothing is overwritten" in said
    assert out.read_bytes() == before


def test_what_another_run_left_is_not_taken_for_these_pairs(tmp_path):
    made = [SCENES[i] for i in range(8)]

    def claimed(order, sure=0.6, model="fathom-s"):
        frames = Frames(tuple("abcdefgh"), lambda i: made[order[i]], None)
        fit = Fit(tuple(range(8)), ())
        return _made_of(frames, fit, AdaptOptions(model=model), Recipe(sure=sure))

    places = Places(tmp_path / "out.safetensors")
    first = claimed(range(8))
    places.claim(first)
    places.claim(claimed(range(8)))
    with pytest.raises(UsageError, match="holds what another run began; go on with --resume"):
        places.check(resume=False)
    places.check(resume=True)
    assert places.standing() is None
    places.weights.write_bytes(b"")
    places.report.write_text('{"kept": true, "against_before": 0.8}')
    assert places.standing() == 0.8  # what comes after has to be worth more
    places.report.write_text("{")
    assert places.standing() is None
    for other in (claimed(range(7, -1, -1)), claimed(range(8), 0.7), claimed(range(8), model="x")):
        with pytest.raises(UsageError, match="was begun with other pairs, another model"):
            places.claim(other)


def test_what_teaches_nothing_is_rolled_back(call, home, tmp_path):
    out = tmp_path / "same.safetensors"
    code, text, _ = call(home / "walks", "-o", out, "--learning-rate", "1e-9", "--json")
    report = json.loads(text)
    assert code == 1 and not report["kept"] and report["weights"] is None
    assert report["against_before"] > 0.99 and not out.exists()
    assert report["decided_by"] == ["labels", "inconsistency"]
    assert len(report["pairs"]["held_back"]) >= 4
    assert set(report["before"]) == {"labels", "inconsistency", "left-right", "photometric"}
    assert out.with_suffix(".html").is_file()


def test_a_loss_that_is_no_number_stops_it(call, home, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "fathom.train.adapt.AdaptLoss.__call__",
        lambda self, output, batch: {"broken": output.disparities[0].sum() * torch.nan},
    )
    out = tmp_path / "broken.safetensors"
    code, _, said = call(home / "walks", "-o", out, "--judge-every", "99")
    assert code == 3 and "8 batches in a row gave no finite loss" in said
    assert not out.exists() and not out.with_suffix(".json").exists()


def test_pairs_that_are_none_are_named_and_too_few_are_refused(call, home, tmp_path):
    shutil.copytree(home / "walks", tmp_path / "walks")
    left, right = (tmp_path / "walks" / side for side in ("left", "right"))
    shutil.copy(left / "000.png", right / "000.png")
    write_png(left / "001.png", np.full((64, 96, 3), 90, np.uint8))
    (right / "002.png").write_bytes(b"no picture")
    out = tmp_path / "no.safetensors"
    code, _, said = call(tmp_path / "walks", "-o", out)
    assert code == 3 and "leaves too few pairs to learn from" in said
    assert "5 of 8 pairs are fit" in said
    for word in ("identical 1", "flat 1", "unreadable 1", "8 or more"):
        assert word in said
    assert not list(tmp_path.glob("no*"))


def test_swapped_pairs_too_small_to_be_judged_alone_are_refused(home, tmp_path, capsys):
    swapped = (str(home / "walks" / side) for side in ("right", "left"))
    assert main(["adapt", *swapped, "-o", str(tmp_path / "no.safetensors")]) == 3
    assert "0 of 8 pairs are fit; left out: swapped 8" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("no",), 3, "no: is no folder"),
        (("walks/left",), 3, "walks/left: holds no folder for each side"),
        (("walks", "--model", "sgm"), 2, "cannot be adapted"),
        (("walks", "--model", "sgm-refind"), 2, "'sgm-refind'; did you mean sgm-refined?"),
        (("walks", "-o", "x.txt"), 2, "a name that ends in .safetensors"),
        (("walks", "-o", "off.safetensors/x.safetensors"), 4, "a file stands where a folder is"),
        (("walks", "--steps", "0"), 2, "steps = 0"),
        (("walks", "--most-held", "3"), 2, "most_held = 3"),
        (("walks", "--learning-rate", "-1"), 2, "learning_rate = -1.0: is no rate"),
        (("walks", "--held", "1"), 2, "held = 1"),
        (("walks", "x", "--format", "kitti-2015"), 2, "two folders of images are no data set"),
        (("known", "--focal", "9", "--baseline", "1"), 2, "brings its own calibration and truth"),
        (
            ("walks", "--anchors", "walks/left"),
            2,
            "anchors = walks/left/000.png: are metres",
        ),
        (
            ("walks", "--align-kind", "points"),
            2,
            "anchors-kind: aligns nothing by itself; give --",
        ),
        (("walks", "--anchors", "known"), 3, "known: holds no anchors for any pair"),
        (("walks", "--anchors", "walks/left/000.png"), 2, "anchors = 'walks/left/000.png': tells"),
        (("walks", "--anchors", "nowhere"), 3, "nowhere: does not exist"),
    ],
)
def test_wrong_words_are_one_line(home, tmp_path, monkeypatch, capsys, words, code, message):
    monkeypatch.chdir(home)
    given = ["adapt", *words, "--no-check"]
    if "-o" not in words:
        given += ["-o", str(tmp_path / "out.safetensors")]
    assert main(given) == code
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


def test_points_become_disparities_of_the_pixels_they_lie_in():
    rig = StereoRig.simple(6, 4, 10.0, 0.5)  # d = 5 / Z
    points = SparseDepth(
        np.array([[1.4, 2.4], [1.0, 2.0], [5.0, 0.0], [9.0, 1.0]], np.float32),
        np.array([5.0, 2.5, 1.0, 1.0], np.float32),
    )
    found = disparity_map(points, rig, (4, 6))
    assert found[2, 1] == 2.0 and found[0, 5] == 5.0 and np.isfinite(found).sum() == 2
    whole = disparity_map(Depth(np.full((4, 6), 5.0, np.float32)), rig, (4, 6))
    assert (whole == 1).all()


def test_lidar_and_a_truth_for_judging_are_kept_apart(home, tmp_path):
    from fathom.io.maps import write_disparity_pfm
    from fathom.workflows.adapt_frames import FrameOptions
    from fathom.workflows.pairs import PairOptions

    for i in range(8):
        (tmp_path / "lidar").mkdir(exist_ok=True)
        (tmp_path / "lidar" / f"{i:03d}.txt").write_text("10 20 2.0\n")
        write_disparity_pfm(tmp_path / "truth" / f"{i:03d}.pfm", np.full((64, 96), 5.0, np.float32))
    frames = find_frames(
        str(home / "walks"), None, FrameOptions(truth=tmp_path / "truth"),
        PairOptions(focal=40.0, baseline=0.1), AnchorOptions(tmp_path / "lidar"),
    )  # fmt: skip
    learned, judged = frames.only([0, 1]), frames.only([2], to_judge=True)
    assert np.isfinite(learned[0].truth.values).sum() == 1
    assert learned[0].truth.values[20, 10] == pytest.approx(2.0)
    assert (judged[0].truth.values == 5).all() and judged.names == ("002",)
    (tmp_path / "lidar" / "001.txt").unlink()
    assert frames.only([1])[0].truth is None
    (tmp_path / "lidar" / "002.txt").write_text("500 20 2.0\n")
    fit = fit_frames(frames, False, lambda name: None)
    assert fit.kept == tuple(range(8))
    assert fit.line() == "pair check: 8 of 8 pairs are fit, 6 of them with anchors"
    halved = find_frames(
        str(home / "walks"), None, FrameOptions(), PairOptions(focal=40.0, baseline=0.1, scale=0.5),
        AnchorOptions(tmp_path / "lidar"),
    )  # fmt: skip
    with pytest.raises(UsageError, match=r"resized here.*leave out --scale"):
        halved[0]
