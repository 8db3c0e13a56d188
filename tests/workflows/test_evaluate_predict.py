"""`workflows.evaluate`: one file a sample, resumable, whole or not there."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fathom.core import InputError, MissingExtraError, ResourceError, UsageError
from fathom.io.maps import read_confidence_png, read_disparity_pfm, read_source_png
from fathom.workflows import evaluate
from fathom.workflows.evaluate import PredictOptions, Progress, duration, predict, spread
from fathom.workflows.evaluate_folder import (
    Row,
    difference,
    journal,
    read_header,
    read_rows,
    start,
    stems,
)
from fathom.workflows.evaluate_pairs import Pairs, pairs_of
from fathom.workflows.pairs import PairOptions

sys.path.insert(0, str(Path(__file__).parent))
from tiny_sets import SHIFT, SIZE, sample, write_set

CODE = evaluate._digest_of_code
QUICK = {"method": "sad", "max_disparity": 8, "threads": 1}


@pytest.fixture(autouse=True)
def one_state(monkeypatch):
    """Who edits fathom while its tests run must not make them fail."""
    monkeypatch.setattr(evaluate, "_digest_of_code", lambda: "0")


def of_set(root: Path) -> Pairs:
    return pairs_of(str(root), None, None, None, {}, PairOptions())


def of_memory(count: int, broken: dict | None = None) -> Pairs:
    """Pairs without files; `broken`: index -> error raised when it is read."""

    def load(index):
        if index in (broken or {}):
            raise (broken or {})[index]
        return sample(index, "").pair

    return Pairs({"format": "memory", "split": "all"}, [f"s{i}" for i in range(count)], load)


def test_every_sample_becomes_files_that_read_back(tmp_path):
    result = predict(
        of_set(write_set(tmp_path / "set", 2)),
        tmp_path / "out",
        PredictOptions(**QUICK),
        command="x",
    )
    assert (result.made, result.kept, result.failed, result.exit_code) == (2, 0, (), 0)
    assert result.seconds is not None and result.seconds > 0
    out = tmp_path / "out"
    values = read_disparity_pfm(out / "disparity/s0.pfm")
    assert values.shape == SIZE
    assert abs(np.median(values[:, 12:]) - SHIFT) < 0.1
    assert read_confidence_png(out / "confidence/s0.png").shape == SIZE
    assert set(np.unique(read_source_png(out / "source/s0.png"))) <= {1, 2}


def test_the_manifest_says_everything(tmp_path):
    pairs = of_set(write_set(tmp_path / "set", 1))
    predict(pairs, tmp_path / "out", PredictOptions(**QUICK), command="fathom eval predict ...")
    header = read_header(tmp_path / "out")
    assert header["method"]["name"] == "sad" and header["method"]["max_disparity"] == 8
    assert header["dataset"] == {
        "format": "fathom-folder",
        "root": str((tmp_path / "set").resolve()),
        "split": "all",
        "options": {},
    }
    assert {"fathom", "numpy"} <= set(header["versions"]) and header["weights"] is None
    assert header["command"] == "fathom eval predict ..."
    (row,) = read_rows(tmp_path / "out").values()
    pair = pairs.load(0)
    digest = hashlib.sha256()
    for view in (pair.left, pair.right):
        digest.update(repr((view.image.shape, view.image.dtype.str)).encode())
        digest.update(view.image.tobytes())
    assert row.inputs == digest.hexdigest()
    assert (row.width, row.height) == (SIZE[1], SIZE[0])
    assert row.seconds is not None and row.seconds > 0
    if sys.platform == "linux":
        assert row.peak_mb is not None and row.peak_mb > 10


def test_npy_keeps_nan_and_can_be_asked_for(tmp_path):
    options = PredictOptions(**QUICK, map_format="npy", fill=False, confidence=False)
    predict(of_memory(1), tmp_path / "out", options)
    values = np.load(tmp_path / "out/disparity/s0.npy")
    assert values.dtype == np.float32 and np.isnan(values).any()
    assert not (tmp_path / "out/confidence").exists()


def test_a_failing_sample_is_named_and_the_rest_goes_on(tmp_path):
    broken = {1: InputError("is torn", file="b.png"), 2: ResourceError("not enough memory")}
    told = []
    result = predict(of_memory(4, broken), tmp_path / "o", PredictOptions(**QUICK), told.append)
    assert result.made == 2 and result.exit_code == 1
    assert [name for name, _ in result.failed] == ["s1", "s2"]
    assert "failed: s1: b.png: is torn" in told
    rows = read_rows(tmp_path / "o")
    assert rows["s1"].error == "b.png: is torn" and rows["s1"].disparity == ""
    # they are tried again, and nothing else is
    again = predict(of_memory(4), tmp_path / "o", PredictOptions(**QUICK), told.append)
    assert (again.made, again.kept, again.exit_code) == (2, 2, 0)
    assert any(line.startswith("2 of 4 samples are done already") for line in told)


def test_memory_that_runs_out_in_one_sample_is_a_failure_of_that_one(tmp_path):
    result = predict(of_memory(2, {0: MemoryError()}), tmp_path / "o", PredictOptions(**QUICK))
    assert result.made == 1 and "not enough memory" in str(result.failed[0][1])


def test_an_extra_that_is_missing_ends_the_run(tmp_path):
    pairs = of_memory(2, {0: MissingExtraError("h5py", "hdf5")})
    with pytest.raises(MissingExtraError):
        predict(pairs, tmp_path / "o", PredictOptions(**QUICK))


KILLED = """
import os, signal, sys
sys.path.insert(0, {here!r})
from pathlib import Path
from test_evaluate_predict import of_set, QUICK
from fathom.io import atomic
from fathom.workflows import evaluate
calls = []
write = evaluate.write_source_png
def killed(path, codes):
    calls.append(path)
    if len(calls) == 3:
        with atomic.atomic_file(path) as file:
            file.write(b"half")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    write(path, codes)
evaluate.write_source_png = killed
evaluate._digest_of_code = lambda: "0"
evaluate.predict(of_set({root!r}), Path({out!r}), evaluate.PredictOptions(**QUICK))
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    root, out = write_set(tmp_path / "set", 4), tmp_path / "out"
    code = KILLED.format(here=str(Path(__file__).parent), root=str(root), out=str(out))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert list(read_rows(out)) == ["s0", "s1"]  # the third has files, and no line
    torn = list((out / "source").glob(".*"))
    assert torn  # what a killed process leaves
    with (out / "samples.jsonl").open("ab") as file:
        file.write(b'{"name": "s2", "dispar')  # as if the machine had lost power
    before = {p: p.stat().st_mtime_ns for p in (out / "disparity").glob("s[01].pfm")}
    result = predict(of_set(root), out, PredictOptions(**QUICK))
    assert (result.made, result.kept) == (2, 2)
    assert before == {p: p.stat().st_mtime_ns for p in (out / "disparity").glob("s[01].pfm")}
    assert not list((out / "source").glob(".*"))
    assert list(read_rows(out)) == ["s0", "s1", "s2", "s3"]
    whole = tmp_path / "whole"
    predict(of_set(root), whole, PredictOptions(**QUICK))
    for name in ("s0", "s1", "s2", "s3"):
        for file in (f"disparity/{name}.pfm", f"source/{name}.png"):
            assert (out / file).read_bytes() == (whole / file).read_bytes()


def test_a_map_that_somebody_removed_is_made_again(tmp_path):
    predict(of_memory(2), tmp_path / "o", PredictOptions(**QUICK))
    (tmp_path / "o/disparity/s1.pfm").unlink()
    result = predict(of_memory(2), tmp_path / "o", PredictOptions(**QUICK))
    assert (result.made, result.kept) == (1, 1)


def test_ctrl_c_keeps_what_is_done(tmp_path, monkeypatch):
    load = of_memory(3).load

    def interrupted(index):
        if index == 1:
            raise KeyboardInterrupt
        return load(index)

    pairs = Pairs({"format": "memory", "split": "all"}, ["s0", "s1", "s2"], interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict(pairs, tmp_path / "o", PredictOptions(**QUICK))
    assert list(read_rows(tmp_path / "o")) == ["s0"]
    assert predict(of_memory(3), tmp_path / "o", PredictOptions(**QUICK)).kept == 1


def test_other_settings_are_refused_and_named(tmp_path, monkeypatch):
    out = tmp_path / "o"
    predict(of_memory(1), out, PredictOptions(**QUICK))
    with pytest.raises(InputError, match=r"method.fill = True.*expected False.*--overwrite"):
        predict(of_memory(1), out, PredictOptions(**QUICK, fill=False))
    other = Pairs({"format": "memory", "split": "test"}, ["s0"], of_memory(1).load)
    with pytest.raises(InputError, match=r"dataset.split = 'all'"):
        predict(other, out, PredictOptions(**QUICK))
    monkeypatch.setattr(evaluate, "_digest_of_code", lambda: "another state")
    with pytest.raises(InputError, match=r"versions\.code"):
        predict(of_memory(1), out, PredictOptions(**QUICK))
    monkeypatch.setattr(evaluate, "_digest_of_code", lambda: "0")
    # threads decide no number, and another limit only adds samples
    assert predict(of_memory(3), out, PredictOptions(**{**QUICK, "threads": 2})).kept == 1


def test_overwrite_removes_the_earlier_maps_and_nothing_else(tmp_path):
    out = tmp_path / "o"
    predict(of_memory(2), out, PredictOptions(**QUICK))
    (out / "notes.txt").write_text("mine")
    result = predict(of_memory(1), out, PredictOptions(**QUICK, map_format="npy", overwrite=True))
    assert result.made == 1
    assert [p.name for p in sorted((out / "disparity").iterdir())] == ["s0.npy"]
    assert (out / "notes.txt").read_text() == "mine"


def test_somebody_else_s_folder_is_left_alone(tmp_path):
    (tmp_path / "o").mkdir()
    (tmp_path / "o/thesis.tex").write_text("x")
    with pytest.raises(ResourceError, match="something else than predictions"):
        predict(of_memory(1), tmp_path / "o", PredictOptions(**QUICK))
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(ResourceError, match="something else"):
        predict(of_memory(1), file, PredictOptions(**QUICK))
    assert [p.name for p in (tmp_path / "o").iterdir()] == ["thesis.tex"]


def test_a_full_disk_ends_the_run_and_keeps_what_is_done(tmp_path, monkeypatch):
    write = evaluate.write_disparity_pfm

    def full(path, values):
        if path.name == "s1.pfm":
            raise ResourceError("cannot be written: no space left on device", file=path)
        write(path, values)

    monkeypatch.setattr(evaluate, "write_disparity_pfm", full)
    with pytest.raises(ResourceError, match=r"no space left.*run the same command again"):
        predict(of_memory(3), tmp_path / "o", PredictOptions(**QUICK))
    monkeypatch.setattr(evaluate, "write_disparity_pfm", write)
    assert list(read_rows(tmp_path / "o")) == ["s0"]
    assert predict(of_memory(3), tmp_path / "o", PredictOptions(**QUICK)).kept == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_journal_that_cannot_be_written(tmp_path):
    from fathom.workflows.evaluate_folder import Journal

    full = Path("/dev/full")
    with full.open("wb", buffering=0) as file, pytest.raises(ResourceError, match="space"):
        Journal(tmp_path, file).add(Row("s0"))


def test_two_runs_at_once_are_refused(tmp_path):
    predict(of_memory(1), tmp_path / "o", PredictOptions(**QUICK))
    with journal(tmp_path / "o"), pytest.raises(ResourceError, match="another run"):
        predict(of_memory(2), tmp_path / "o", PredictOptions(**QUICK))


def test_rows_and_headers_that_are_no_such_thing(tmp_path):
    predict(of_memory(1), tmp_path / "o", PredictOptions(**QUICK))
    book, header = tmp_path / "o/samples.jsonl", tmp_path / "o/predictions.json"
    good = book.read_text()
    for line in ("{}", "[1]", "{bad", '{"name": 3}', '{"name": ""}'):
        book.write_text(line + "\n" + good)
        with pytest.raises(InputError, match="line 1"):
            read_rows(tmp_path / "o")
    book.write_text('{"name": "s0", "disparity": "../secret.pfm"}\n')
    with pytest.raises(InputError, match="outside the folder"):
        read_rows(tmp_path / "o")
    for text, message in (
        ("{", "broken JSON"),
        ("[]", "not from fathom"),
        ('{"format": "fathom-predictions", "version": 99}', "newer fathom"),
    ):
        header.write_text(text)
        with pytest.raises(InputError, match=message):
            read_header(tmp_path / "o")
    header.unlink()
    with pytest.raises(InputError, match="does not exist"):
        read_header(tmp_path / "o")


def test_difference_names_the_first_setting():
    assert difference({"a": {"b": 1}, "threads": 1}, {"a": {"b": 2}, "threads": 9}) == ("a.b", 1, 2)
    assert difference({"a": 1, "old": 2}, {"a": 1}) == ("old", 2, None)
    assert difference({"a": [1, 2]}, {"a": [1, 2]}) is None


def test_file_names_are_safe_unique_and_stable():
    names = ["a/b/0001", "A/b/0001", "../../etc/passwd", "", "C:\\x", ".hidden", "ü b", "x" * 300]
    made = stems(names)
    assert made == stems(names)
    assert made[:3] == ["a/b/0001", "A/b/0001~2", "etc/passwd"]
    assert made[4] == "C_/x" and made[5] == "hidden" and made[6] == "ü_b"
    assert len(made[7]) == 100 and len(set(made)) == len(names)
    for stem in made:
        assert not Path(stem).is_absolute() and ".." not in Path(stem).parts and stem


def test_pairs_of_images_and_lists(tmp_path):
    root = write_set(tmp_path / "set", 2)
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        for i in range(2):
            os.link(root / f"s{i}/{side}.png", tmp_path / side / f"{i}.png")
    (tmp_path / "left/9.png").write_bytes((root / "s0/left.png").read_bytes())
    pairs = pairs_of(str(tmp_path / "left"), str(tmp_path / "right"), None, None, {}, PairOptions())
    assert list(pairs.names) == ["0", "1"] and pairs.load(1).shape == SIZE
    assert [name for name, _ in pairs.failed] == ["9.png"]
    assert predict(pairs, tmp_path / "o", PredictOptions(**QUICK)).exit_code == 1
    listed = tmp_path / "pairs.csv"
    listed.write_text("left,right,name\nset/s0/left.png,set/s0/right.png,one\n")
    assert list(of_set(listed).names) == ["one"]
    listed.write_text("left,right,name\n" + "set/s0/left.png,set/s0/right.png,one\n" * 2)
    with pytest.raises(InputError, match="more than once"):
        of_set(listed)
    listed.write_text("left,depth\nset/s0/left.png,d.npy\n")
    with pytest.raises(UsageError, match="single views"):
        of_set(listed)


def test_flags_that_do_not_go_together(tmp_path):
    root = write_set(tmp_path / "set", 1)
    with pytest.raises(UsageError, match="no data set"):
        pairs_of(str(root), str(root), "kitti-2015", None, {}, PairOptions())
    with pytest.raises(UsageError, match="its own calibration"):
        pairs_of(str(root), None, None, None, {}, PairOptions(focal=1.0, baseline=1.0))
    with pytest.raises(UsageError, match="did you mean sgm"):
        predict(of_memory(1), tmp_path / "o", PredictOptions(method="sgmm"))
    assert not (tmp_path / "o").exists()
    with pytest.raises(UsageError, match="no number of samples"):
        PredictOptions(limit=0)


def test_a_format_nobody_knows(unchecked):
    with pytest.raises(UsageError, match="no format of maps"):
        PredictOptions(map_format="exr")


def test_weights_are_told_apart_by_their_digest(tmp_path):
    file = tmp_path / "w.bin"
    file.write_bytes(b"abc")
    assert evaluate._digest_of_file(file) == hashlib.sha256(b"abc").hexdigest()


def test_progress_says_what_is_left():
    now, told = [0.0], []
    progress = Progress(100, told.append, lambda: now[0])
    for _ in range(10):
        now[0] += 1
        progress.step(1)
    assert told == [
        "5 of 100, 1 failed, 1 s each, about 1 min 35 s left",
        "10 of 100, 1 failed, 1 s each, about 1 min 30 s left",
    ]
    assert (duration(7), duration(3700)) == ("7 s", "1 h 1 min")


def test_a_limit_is_spread_evenly():
    assert spread(10, 3) == [0, 3, 6]
    assert spread(3, 10) == spread(3, None) == [0, 1, 2]


def test_the_journal_drops_half_a_line_alone(tmp_path):
    start(tmp_path / "o", {"format": "fathom-predictions", "version": 1})
    with journal(tmp_path / "o") as book:
        book.add(Row("a", share_known=0.0, seconds=0.5))
    file = tmp_path / "o/samples.jsonl"
    assert json.loads(file.read_text()) == {"name": "a", "share_known": 0.0, "seconds": 0.5}
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"name"')
    assert list(read_rows(tmp_path / "o")) == ["a"]
    with journal(tmp_path / "o"):
        pass
    assert file.read_bytes() == whole


def test_the_digest_of_the_code_is_stable():
    assert re.fullmatch("[0-9a-f]{16}", CODE()) and CODE() == CODE()
