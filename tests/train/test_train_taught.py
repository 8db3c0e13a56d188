"""Distillation: what a teacher may say, what it may not, and fine-tuning as people copy it."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import train_runs
from train_runs import BASE, Many, run, same, sample, weights

from fathom import weights as shipped_weights
from fathom.cli.main import main
from fathom.core import Disparity, InputError, StereoSample, UsageError
from fathom.data.looks import Kept
from fathom.io.images import encode_png
from fathom.train import Taught, UnlabelledPairs
from fathom.train.batches import Batches, parted

SURE = 0.9


@dataclass(frozen=True)
class Teacher:
    """Says `value` everywhere, sure of it in the left half only."""

    value: float = 3.0
    confident: bool = True

    def __call__(self, pair):
        values = np.full(pair.shape, self.value, np.float32)
        values[0] = np.nan
        trust = np.zeros(pair.shape, np.float32)
        trust[:, : pair.shape[1] // 2] = SURE
        return Disparity(values, trust if self.confident else None)


@dataclass(frozen=True)
class One:
    """One sample for any index."""

    sample: StereoSample

    def __getitem__(self, index):
        return self.sample


def taught(given, teacher=None, **settings):
    return Taught(One(given), teacher or Teacher(), **settings)[0]


def test_the_teacher_speaks_where_it_is_sure_and_the_truth_comes_first():
    given = sample(3, sparse=True)
    own = given.truth.values
    found = taught(given, hopeless=1.0)
    sure = np.zeros(own.shape, bool)
    sure[1:, :20] = True
    want = np.where(np.isnan(own), np.where(sure, 3, np.nan), own)
    np.testing.assert_array_equal(found.truth.values, want)
    assert found.pair is given.pair and found.name == given.name
    alone = taught(given, hopeless=1.0, keep_truth=False)
    np.testing.assert_array_equal(alone.truth.values, np.where(sure, 3, np.nan))


def test_pairs_without_truth_are_taught():
    found = taught(replace(sample(1), truth=None))
    assert found.truth.share_known == pytest.approx(19 / 20 / 2)
    np.testing.assert_array_equal(found.truth.values[1:, :20], 3)


def test_least_is_where_sure_begins():
    given = replace(sample(1), truth=None)
    assert taught(given, least=0.9).truth.known.any()
    with pytest.raises(InputError, match=r"teacher: is sure nowhere; expected confidence 0\.91"):
        taught(given, least=0.91)
    assert taught(given, least=0.0).truth.share_known == pytest.approx(19 / 20)


def test_a_teacher_that_is_hopeless_does_not_teach():
    """The truth is one number everywhere; the first row is missing: 19 of 20 rows are right."""
    given = sample(0)
    number = float(given.truth.values[0, 0])
    assert taught(given, Teacher(number + 1.9), hopeless=0.05).truth.known.all()
    with pytest.raises(InputError, match=r"teacher = '5 % bad': is hopeless here.*at most 4 %"):
        taught(given, Teacher(number), hopeless=0.04)
    with pytest.raises(InputError, match=r"teacher = '100 % bad': is hopeless here.*at most 60 %"):
        taught(given, Teacher(number + 2.1))
    unknown = replace(given, truth=Disparity(np.full((20, 40), np.nan, np.float32)))
    assert taught(unknown).truth.known.any()


def test_a_teacher_without_confidence():
    given = replace(sample(1), truth=None)
    silent = Teacher(confident=False)
    with pytest.raises(InputError, match=r"teacher: gives no confidence.*least=0"):
        taught(given, silent)
    assert taught(given, silent, least=0.0).truth.known[1:].all()


@pytest.mark.parametrize("wrong", [{"least": 1.2}, {"hopeless": -0.1}])
def test_settings_that_are_no_shares(wrong):
    with pytest.raises(UsageError, match=r"is no share; expected 0\.\.1"):
        Taught(Many(), Teacher(), **wrong)


def test_only_where_both_views_of_the_teacher_agree():
    """It is right on the left half of each picture it sees: of the mirrored pair that is the right
    view's right half. Its confidence says nothing."""

    def teacher(pair):
        half = np.full(pair.shape, 3, np.float32)
        half[:, pair.shape[1] // 2 :] = 7
        return Disparity(half)

    given = replace(sample(1), truth=None)
    found = taught(given, teacher, least=0.0, consistent=1.0)
    # the right view's columns 0..19 say 7, those from 20 on 3: left x, matched to x - d, agrees
    # where it says 3 and x - 3 >= 20 (nowhere), or says 7 and x - 7 < 20
    want = np.full((20, 40), np.nan, np.float32)
    want[:, 20:27] = 7
    np.testing.assert_array_equal(found.truth.values, want)
    assert taught(given, teacher, least=0.0, consistent=4.0).truth.share_known == 37 / 40
    with pytest.raises(UsageError, match="is no difference"):
        Taught(Many(), teacher, consistent=-1.0)


def test_a_teacher_by_name():
    with pytest.raises(UsageError, match="did you mean sgm"):
        Taught(Many(), "sgmm")
    given = sample(5, height=48, width=96)
    found = Taught(One(replace(given, truth=None)), "sgm")[0]
    number = given.truth.values[0, 0]
    known = found.truth.known
    assert known.mean() > 0.3 and np.abs(found.truth.values[known] - number).max() < 1


def test_names_and_length_are_the_samples_own(tmp_path):
    both = Taught(Many(5), Teacher(), hopeless=1.0)
    assert len(both) == 5 and both.names == Many(5).names
    assert parted(both, 0.4)[1].indices == parted(Many(5), 0.4)[1].indices
    endless = Taught(train_runs.Endless(), Teacher(), hopeless=1.0)
    assert endless[70].name == "s70" and not hasattr(endless, "names")
    with pytest.raises(TypeError, match="endless"):
        len(endless)
    kept = Kept(both, tmp_path)
    for found in (kept[3], kept[3]):
        np.testing.assert_array_equal(found.truth.values, both[3].truth.values)


def test_the_teacher_sees_the_clean_pair_and_the_student_the_disturbed_one():
    seen = []

    @dataclass(frozen=True)
    class Watching(Teacher):
        def __call__(self, pair):
            seen.append(pair.left.image)
            return super().__call__(pair)

    def dark(found, rng):
        return replace(found, pair=train_runs.shuffled(found, rng).pair)

    data = Taught(Many(4), Watching(), hopeless=1.0, keep_truth=False)
    made = Batches(replace(BASE, augment=dark, crop_width=40, crop_height=20), data)[0]
    for image, name, truth in zip(made.left, made.names, made.truth, strict=True):
        clean = sample(int(name[1:])).pair.left.image
        assert any(np.array_equal(clean, s) for s in seen)
        assert image.mean() < clean.mean() and not np.array_equal(image, clean)
        assert np.nanmax(truth) == np.nanmin(truth) == 3


def test_a_net_of_one_s_own_teaches_in_a_worker_and_stays_as_it_is(tmp_path):
    import torch

    from fathom.nets.adapter import NetMatcher

    torch.manual_seed(5)
    net = train_runs.Net().eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    pairs = One(replace(sample(1), truth=None))
    data = Taught(pairs, NetMatcher(net, divisor=4), least=0.0)
    want = NetMatcher(net, divisor=4)(pairs.sample.pair).values
    np.testing.assert_array_equal(data[0].truth.values, want)
    runs = [
        run(tmp_path / str(n), data=lambda: data, workers=n, steps=3, validation=())[0]
        for n in (0, 1)
    ]
    assert same(*(weights(r.folder) for r in runs))
    assert same(net.state_dict(), before)


def test_hopeless_samples_are_named_and_others_taken(tmp_path):
    """Disparities of 0..5 pixels and a teacher that says 0: those over 2 are missed."""
    result, lines = run(
        tmp_path / "a", data=lambda: Taught(Many(7), Teacher(0.0)), steps=4, validation=()
    )
    told = [line for line in lines if "left out" in line]
    assert result.failed >= len(told) > 0 and all("is hopeless here" in line for line in told)


def test_what_is_held_out_is_judged_by_its_own_truth(tmp_path):
    """The teacher is far off everywhere; the scores are those of the plain data all the same."""

    kinds = {
        "taught": lambda: Taught(Many(6), Teacher(99.0), hopeless=1.0, keep_truth=False),
        "plain": lambda: Many(6),
    }
    scores = {
        k: run(
            tmp_path / k, data=d, holdout=0.3, steps=1, warmup=0, validation=(), learning_rate=1e-9
        )
        for k, d in kinds.items()
    }
    ends = {k: v[0].scores["held-out"] for k, v in scores.items()}
    assert ends["taught"]["epe"] == pytest.approx(ends["plain"]["epe"], rel=1e-3)
    assert ends["plain"]["epe"] < 20


def test_unlabelled_pairs(tmp_path):
    for i in range(3):
        pair = sample(i).pair
        for side, view in (("left", pair.left), ("right", pair.right)):
            path = tmp_path / "mine" / side / f"f{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_png(view.image))
    for pairs in (
        UnlabelledPairs(tmp_path / "mine"),
        UnlabelledPairs(tmp_path / "mine" / "left", str(tmp_path / "mine" / "right" / "*.png")),
    ):
        assert len(pairs) == 3 and pairs.names == ("f0", "f1", "f2")
        assert pairs[1].truth is None and pairs[1].name == "f1"
        np.testing.assert_array_equal(pairs[1].pair.right.image, sample(1).pair.right.image)
        with pytest.raises(IndexError):
            pairs[3]
    # 16 x 8 pixels: the pair check would refuse them
    told = {"steps": 2, "warmup": 0, "validation": (), "check_pairs": False}
    result, _ = run(tmp_path / "run", data=lambda: Taught(pairs, Teacher()), **told)
    assert result.step == 2 and result.failed == 0


def test_folders_that_hold_no_pairs(tmp_path):
    with pytest.raises(InputError, match="holds no folder for each side; expected folders left"):
        UnlabelledPairs(tmp_path)
    for side, height in (("l", 20), ("r", 21)):
        (tmp_path / side).mkdir()
        image = sample(0, height=height).pair.left.image
        (tmp_path / side / "a.png").write_bytes(encode_png(image))
    with pytest.raises(InputError, match=r"r/a\.png: .*size"):
        UnlabelledPairs(tmp_path)[0]


def test_start_takes_the_name_of_a_shipped_model(tmp_path, monkeypatch):
    run(tmp_path / "a", steps=3, validation=())
    place = tmp_path / "shipped" / "fathom-s"
    place.mkdir(parents=True)
    file = place / "weights.safetensors"
    (tmp_path / "a" / "weights.safetensors").rename(file)
    (place / "model.onnx").write_bytes(b"not needed here")
    card = shipped_weights.make_card(place, "fathom-s", "none", divisor=4, max_disparity=8)
    (place / "card.json").write_text(json.dumps(card))
    monkeypatch.setattr(shipped_weights, "HOME", tmp_path / "shipped")
    monkeypatch.chdir(tmp_path)
    by_name, by_file = (
        run(tmp_path / name, start=start, steps=1, warmup=1, validation=())[0]
        for name, start in (("b", "fathom-s"), ("c", file))
    )
    assert same(weights(by_name.folder), weights(by_file.folder))
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"x")
    with pytest.raises(InputError, match=r"weights\.safetensors: sha256 = .*damaged, truncated"):
        run(tmp_path / "d", start="fathom-s")
    file.unlink()
    with pytest.raises(InputError, match=r"does not exist|not in this installation"):
        run(tmp_path / "d", start="fathom-s")
    with pytest.raises(InputError, match=r"fathom-x: does not exist.*fathom-s or sgm-refined"):
        run(tmp_path / "d", start="fathom-x")
    with pytest.raises(InputError, match=r"no/fathom-s: does not exist"):
        run(tmp_path / "d", start="no/fathom-s")
    Path("fathom-s").write_bytes(b"my own")  # what lies there comes first
    with pytest.raises(InputError, match="truncated or no safetensors"):
        run(tmp_path / "d", start="fathom-s")


def test_sizes_that_the_net_cannot_take_are_told_before_the_first_step(tmp_path):
    from fathom.nets.stereo.evidence import EvidenceConfig, EvidenceNet

    narrow = EvidenceConfig(levels=8, features=8, widths=(8, 12), detail=8)
    with pytest.raises(UsageError, match="divisor = 4: does not suit the net; expected a multiple"):
        run(tmp_path / "a", net=lambda: EvidenceNet(narrow))
    assert not (tmp_path / "a" / "log.jsonl").exists()


NARROW = """
from fathom.nets.stereo.evidence import EvidenceConfig, EvidenceNet


def fathom_s():
    return EvidenceNet(EvidenceConfig(levels=8, features=8, widths=(8, 12), detail=8))
"""


@pytest.fixture
def mine(tmp_path):
    """Six pairs of 96x64 with LiDAR as depth at a tenth of the pixels, in a list."""
    lines = ["left,right,depth,focal,baseline"]
    for i in range(6):
        found = sample(i, height=64, width=96)
        rng = np.random.default_rng(i)
        d = found.truth.values + 2  # 0 would be infinitely far
        wide = rng.integers(0, 250, (64, 104, 3), dtype=np.uint8)
        number = int(d[0, 0])
        images = {"left": wide[:, :96], "right": wide[:, number : number + 96]}
        lidar = np.where(rng.random(d.shape) < 0.1, np.rint(1000 * 50 * 0.1 / d), 0)
        images["depth"] = lidar.astype(np.uint16)
        for name, image in images.items():
            (tmp_path / f"{name}{i}.png").write_bytes(encode_png(np.ascontiguousarray(image)))
        lines.append(f"left{i}.png,right{i}.png,depth{i}.png,50,0.1")
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_example_of_fine_tuning_as_it_is_copied(mine, request, capsys, monkeypatch):
    """experiments/finetune.py with its capitals changed, a narrow net, and sgm for a teacher."""
    text = (request.config.rootpath / "experiments" / "finetune.py").read_text()
    changes = {
        'PAIRS = "mine.csv"': f"PAIRS = {str(mine)!r}",
        "WIDTH, HEIGHT = 512, 256": "WIDTH, HEIGHT = 64, 32",
        '(PAIRS)(), "fathom-s"': '(PAIRS)(), "sgm"',
        "from fathom.nets.stereo.evidence import fathom_s\n": NARROW,
        'start="fathom-s"': "start=None",
    }
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file = mine.parent / "my_finetune.py"
    file.write_text(text)
    words = ["--device", "cpu", "-o", str(mine.parent / "run")]
    for change in ("steps=4", "warmup=1", "batch=2", "workers=0", "threads=1", "divisor=8"):
        words += ["--set", change]
    code = main(["train", str(file), *words])
    told = capsys.readouterr()
    assert code == 0, told.err
    assert told.out.startswith("held-out  bad-2")
    entries = [
        json.loads(line) for line in (mine.parent / "run" / "log.jsonl").read_text().splitlines()
    ]
    held = [e for e in entries if e.get("validation") == "held-out"]
    assert [e["step"] for e in held] == [0, 4] and held[0]["images"] >= 1
    first = mine.parent / "run" / "weights.safetensors"
    words[3] = str(mine.parent / "again")
    code = main(["train", str(file), *words, "--from", str(first), "--data", str(mine)])
    assert code == 0, capsys.readouterr().err


def test_a_full_disk_while_samples_are_kept_ends_the_run(tmp_path, monkeypatch):
    """Another sample in its place would hide it, and change what is learnt."""
    import errno

    from fathom.core import ResourceError

    real = os.fsync

    def fsync(handle):
        if "kept" in str(Path(f"/proc/self/fd/{handle}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    changes = {"data": lambda: Kept(Many(7), tmp_path / "kept"), "validation": ()}
    with pytest.raises(ResourceError, match=r"kept/.*npz: cannot be written: no space left"):
        run(tmp_path / "a", **changes)
    monkeypatch.undo()
    result, _ = run(tmp_path / "a", resume=True, **changes)
    run(tmp_path / "b", validation=())
    assert result.stopped == "finished" and result.failed == 0
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_a_setting_that_is_younger_than_a_run_had_its_default(tmp_path):
    run(tmp_path / "a", steps=4, validation=())
    path = tmp_path / "a" / "run.json"
    info = json.loads(path.read_text())
    del info["experiment"]["channels_last"]
    path.write_text(json.dumps(info))
    result, _ = run(tmp_path / "a", resume=True, steps=6, validation=())
    assert result.step == 6
    path.write_text(json.dumps(info))
    with pytest.raises(UsageError, match="channels_last"):
        run(tmp_path / "a", resume=True, steps=6, validation=(), channels_last=False)
