"""`fathom eval`: predict, score, protocols, submit, validate."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fathom.eval.protocols import protocols
from fathom.io.maps import write_disparity_pfm

sys.path.insert(0, str(Path(__file__).parents[1] / "workflows"))
from tiny_sets import SHIFT, SIZE, write_set

REPOSITORY = Path(__file__).parents[2]
QUICK = ("--method", "sad", "--max-disparity", "8", "--threads", "1")


@pytest.fixture(autouse=True)
def one_state(monkeypatch):
    """Who edits fathom while its tests run must not make them fail."""
    monkeypatch.setattr("fathom.workflows.evaluate._digest_of_code", lambda: "0")


@pytest.fixture
def root(tmp_path) -> Path:
    return write_set(tmp_path / "set", 2)


def test_predict_and_score(fathom_command, tmp_path, root):
    done = fathom_command("eval", "predict", root, *QUICK, "-o", tmp_path / "runs")
    assert done.code == 0, done.err
    assert re.match(r"sad: 2 of 2 maps, in .*runs/\nmatched in [\d.e-]+ s a pair", done.out)
    again = fathom_command("eval", "predict", root, *QUICK, "-o", tmp_path / "runs", "--json")
    assert json.loads(again.out)["kept"] == 2 and "2 of 2 samples are done" in again.err
    other = fathom_command("eval", "predict", root, *QUICK, "--no-fill", "-o", tmp_path / "runs")
    assert other.code == 3 and "method.fill = True" in other.error
    scored = fathom_command(
        "eval", "score", tmp_path / "runs", "--truth", root, "--csv", tmp_path / "r.csv"
    )
    assert scored.code == 0, scored.err
    lines = scored.out.splitlines()
    assert re.fullmatch(r"sad on fathom-folder, all: 2 samples, [\d.e-]+ s a map", lines[0])
    assert lines[2] == "fathom: unknown = wrong; mean over images"
    assert lines[3].split() == ["all", "nonocc", "occluded"]
    assert lines[6].split()[:3] == ["known", "100.0", "%"]
    assert any(line.startswith("bad-2 ") and line.endswith("%") for line in lines)
    assert (tmp_path / "r.csv").read_text().startswith("sample,protocol,mask,pixels,known,bad-2")
    # the predictions name their data set
    silent = fathom_command("eval", "score", tmp_path / "runs", "--json", "--metrics", "epe")
    scores = json.loads(silent.out)["scores"]
    assert [s["mask"] for s in scores] == ["all", "nonocc", "occluded"]
    assert all(s["protocol"] == "fathom" and s["rules"] for s in scores)


def test_what_is_left_out_is_never_silent(fathom_command, tmp_path, root):
    write_disparity_pfm(tmp_path / "m/s0.pfm", np.full(SIZE, SHIFT * 16, np.float32))
    missing = fathom_command("eval", "score", tmp_path / "m", "--truth", root)
    assert missing.code == 3 and "1 of 2 samples have no map" in missing.error
    partial = fathom_command("eval", "score", tmp_path / "m", "--truth", root, "--partial")
    assert partial.code == 0
    assert "MISSING: 1 of 2 samples have no map and are left out: s1" in partial.out
    assert re.search(r"NOTE \[fathom, all\] in 1 of 1 images: s0: .*OpenCV's fixed", partial.out)
    counted = fathom_command(
        "eval", "score", tmp_path / "m", "--truth", root, "--missing", "unknown"
    )
    assert "judged as knowing nothing: s1" in counted.out and "(1 images)" in counted.out
    (tmp_path / "m/s1.pfm").write_bytes(b"Pf\n4 4\n-1\nhm")
    failed = fathom_command("eval", "score", tmp_path / "m", "--truth", root)
    assert failed.code == 1 and "FAILED: 1 of 2 samples" in failed.out
    assert "failed: s1: " in failed.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["scor"], 2, "unknown command of eval: 'scor'; did you mean score?"),
        (["predict", "nowhere"], 3, "nowhere: does not exist"),
        (["predict", "x", "--method", "sgmm"], 2, "unknown method 'sgmm'; did you mean sgm"),
        (["predict", "x", "--paths", "8", "--method", "sad"], 2, "unknown flag --paths"),
        (["predict", "x", "--format", "kiti-2015"], 2, "unknown data set 'kiti-2015'"),
        (["score", "nowhere", "--truth", "x"], 3, "nowhere: does not exist"),
        (["protocols", "kiti-2015"], 2, "unknown protocol 'kiti-2015'; did you mean kitti-2015"),
        (["submit", "kitti", "x"], 2, "unknown benchmark 'kitti'"),
        (["validate", "none.zip"], 3, "none.zip: does not exist"),
        (["validate", "none.zip", "--benchmark", "eth"], 2, "unknown benchmark 'eth'"),
    ],
)
def test_one_line_says_what_is_wrong(fathom_command, words, code, message):
    outcome = fathom_command("eval", *words)
    assert outcome.code == code and message in outcome.error


def test_unknown_protocols_and_truth_that_is_not_said(fathom_command, tmp_path, root):
    write_disparity_pfm(tmp_path / "m/s0.pfm", np.full(SIZE, SHIFT, np.float32))
    outcome = fathom_command("eval", "score", tmp_path / "m")
    assert outcome.code == 3 and "give --truth" in outcome.error
    outcome = fathom_command(
        "eval", "score", tmp_path / "m", "--truth", root, "--protocol", "sceneflo"
    )
    assert outcome.code == 2 and "did you mean sceneflow" in outcome.error


def test_lists_on_both_sides(fathom_command, tmp_path, root):
    (tmp_path / "pairs.csv").write_text(
        "left,right,disparity,name\nset/s0/left.png,set/s0/right.png,set/s0/disp_left.npy,one\n"
    )
    np.save(tmp_path / "x.npy", np.full(SIZE, -(SHIFT + 1.5), np.float32))
    (tmp_path / "maps.csv").write_text("name,disparity,scale\none,x.npy,-1\n")
    outcome = fathom_command(
        "eval", "score", tmp_path / "maps.csv", "--truth", tmp_path / "pairs.csv", "--json"
    )
    (first, *_) = json.loads(outcome.out)["scores"]
    assert first["mean_of_images"]["epe"] == pytest.approx(1.5)
    predicted = fathom_command(
        "eval", "predict", tmp_path / "pairs.csv", *QUICK, "-o", tmp_path / "o"
    )
    assert predicted.code == 0
    assert fathom_command("eval", "score", tmp_path / "o").code == 0


def test_images_of_one_s_own(fathom_command, folder, tmp_path):
    outcome = fathom_command(
        "eval", "predict", folder / "left.png", folder / "right.png", "--method", "opencv-bm",
        "--block-size", "9", "--no-confidence", "-o", tmp_path / "o",
    )  # fmt: skip
    assert outcome.code == 0 and (tmp_path / "o/disparity/left.pfm").exists()
    header = json.loads((tmp_path / "o/predictions.json").read_text())
    assert header["method"]["block_size"] == 9 and header["dataset"]["format"] == "images"
    outcome = fathom_command("eval", "score", tmp_path / "o")
    assert outcome.code == 3 and "which data set" in outcome.error


def test_protocols(fathom_command):
    outcome = fathom_command("eval", "protocols")
    assert [line.split()[0] for line in outcome.out.splitlines()] == [p.name for p in protocols()]
    outcome = fathom_command("eval", "protocols", "eth3d")
    assert "unknown ignored" in outcome.out and "bad-0.5" in outcome.out
    listed = json.loads(fathom_command("eval", "protocols", "--json").out)
    assert listed[0]["name"] == "fathom" and "rules" in listed[0]


def test_submit_and_validate(fathom_command, tmp_path):
    from fathom.eval.submission import benchmark

    values = np.full((6, 40), 5, np.float32)
    values[0] = 6
    for names in benchmark("eth3d").groups.values():
        for name in names:
            write_disparity_pfm(tmp_path / f"m/{name}.pfm", values)
    out = tmp_path / "eth3d.zip"
    words = ("eval", "submit", "eth3d", tmp_path / "m", "--runtime", "0.4", "-o", out)
    outcome = fathom_command(*words)
    assert outcome.code == 0, outcome.err
    assert "eth3d, training and test, 47 maps" in outcome.out and "upload it at" in outcome.out
    assert json.loads(fathom_command(*words, "--json").out)["check"]["errors"] == 0
    good = fathom_command("eval", "validate", out)
    assert good.code == 0 and good.out.endswith("ready to upload\n")
    assert "not compared (give --data ROOT)" in good.out
    (tmp_path / "u/low_res_two_view").mkdir(parents=True)
    bad = fathom_command("eval", "validate", tmp_path / "u", "--benchmark", "eth3d")
    assert bad.code == 1 and "54 errors" in bad.out and "and 34 more" in bad.out
    verdict = json.loads(
        fathom_command("eval", "validate", tmp_path / "u", "--benchmark", "eth3d", "--json").out
    )
    assert verdict["errors"] == 54 and verdict["problems"][0]["grade"] == "error"


@pytest.mark.parametrize("command", ["predict", "score", "protocols", "submit", "validate"])
def test_every_command_has_help_with_examples(fathom_command, command, capsys):
    with pytest.raises(SystemExit) as stop:
        fathom_command("eval", command, "--help")
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert f"fathom eval {command}" in shown.split("examples:", 1)[1]


def test_a_method_s_and_a_data_set_s_own_flags_are_in_the_help(fathom_command, capsys):
    with pytest.raises(SystemExit):
        fathom_command("eval", "predict", "--method", "sgm", "--format", "kitti-2012", "--help")
    shown = capsys.readouterr().out
    assert "--p1" in shown and "--images" in shown


def test_ctrl_c_says_what_is_kept(fathom_command, tmp_path, root, monkeypatch):
    from fathom.workflows import evaluate

    matched = evaluate._matched
    calls = []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return matched(*arguments)

    monkeypatch.setattr(evaluate, "_matched", interrupted)
    outcome = fathom_command("eval", "predict", root, *QUICK, "-o", tmp_path / "o")
    assert outcome.code == 130
    assert "1 of 2 are done and kept; the same command goes on" in outcome.err


def test_help_and_errors_load_nothing_heavy():
    code = (
        "import sys; from fathom.cli.main import main\n"
        "try: main(['eval', '--help'])\nexcept SystemExit: pass\n"
        "assert not {'numpy', 'cv2', 'scipy', 'PIL'} & set(sys.modules) - {'numpy'}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_commands_of_the_page_exist(fathom_command, capsys):
    """Every `fathom ...` line of docs/evaluation.md names a command and flags that are there."""
    text = (REPOSITORY / "docs/evaluation.md").read_text()
    blocks = re.findall(r"^```\n(.*?)^```", text, re.M | re.S)
    lines = [
        line.split("   ")[0].strip()
        for block in blocks
        for line in block.splitlines()
        if line.startswith("fathom ")
    ]
    assert len(lines) > 8
    for line in lines:
        words = line.split()
        assert words[1] == "eval", line
        flags = [word for word in words if word.startswith("--")]
        place = [words[i + 1] for i, word in enumerate(words) if word in ("--format", "--method")]
        extra = [
            item for i, word in enumerate(words) if word in ("--format", "--method")
            for item in words[i : i + 2]
        ]  # fmt: skip
        assert len(place) * 2 == len(extra)
        with pytest.raises(SystemExit):
            fathom_command("eval", words[2], *extra, "--help")
        shown = capsys.readouterr().out
        for flag in flags:
            assert flag in shown, line
    assert (REPOSITORY / "benchmarks/reference.py").exists()
    assert "python -m benchmarks.reference" in text


def test_the_reference_table_is_what_its_command_writes(tmp_path, root):
    sys.path.insert(0, str(REPOSITORY))
    try:
        from benchmarks.reference import METRICS, table
    finally:
        sys.path.remove(str(REPOSITORY))
    rows = table(root, 16, 1, "fathom")
    assert {len(row) for row in rows} == {len(METRICS) + 4} and len(rows) == 10
    text = (REPOSITORY / "docs/evaluation.md").read_text()
    for row in rows:
        assert f"| {row[0]} | {row[1]} |" in text


def test_the_reference_table_is_not_out_of_date(shared, tmp_path):
    """The row of sgm, made again: whoever changes sgm runs benchmarks/reference.py."""
    from fathom.data import open_dataset
    from fathom.workflows.evaluate import PredictOptions, predict
    from fathom.workflows.evaluate_maps import open_maps
    from fathom.workflows.evaluate_pairs import pairs_of
    from fathom.workflows.evaluate_read import MapOptions
    from fathom.workflows.evaluate_score import ScoreOptions, score_maps
    from fathom.workflows.pairs import PairOptions

    root = shared / "data/pairs_gt/middlebury_2005_2006_third"
    pairs = pairs_of(str(root), None, None, None, {}, PairOptions())
    predict(pairs, tmp_path / "o", PredictOptions(method="sgm", max_disparity=80))
    options = ScoreOptions(mask=("nonocc",), metrics=("bad-1",))
    report = score_maps(
        open_maps([str(tmp_path / "o")], MapOptions()), open_dataset(None, root), options
    )
    text = (REPOSITORY / "docs/evaluation.md").read_text()
    row = re.search(r"^\| `sgm` \| nonocc \|[^|]*\|[^|]*\| ([\d.]+) % \|", text, re.M)
    assert row is not None
    assert 100 * report.totals[0].of_images["bad-1"] == pytest.approx(float(row[1]), abs=0.15)
