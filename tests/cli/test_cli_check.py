"""`fathom check` beyond one good pair: mending, pictures, sequences; `fathom depth --fix`."""

import json

import cv2
import numpy as np
import pytest

from fathom.io.calibration import read_calibration
from fathom.io.images import read_image, write_png
from fathom.io.video import write_video
from fathom.workflows.check_many import SequenceOptions


def moved(image, dy):
    """Moved down by dy pixels."""
    return cv2.warpAffine(
        image,
        np.array([[1, 0, 0], [0, 1, dy]], float),
        image.shape[1::-1],
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )


@pytest.fixture
def uneven(folder, small_pair):
    """The scene with its right image 4 px too low."""
    write_png(folder / "right.png", moved(small_pair.right.image, 4))
    return folder


def words(folder):
    return folder / "left.png", folder / "right.png"


def test_fix_writes_the_mended_pair(fathom_command, uneven, small_pair, tmp_path):
    out = tmp_path / "mended"
    before = (uneven / "right.png").read_bytes()
    outcome = fathom_command("check", *words(uneven), "--fix", "-o", out)
    assert outcome.code == 0, outcome.out + outcome.err
    assert "right image moved up by" in outcome.err
    first, last = outcome.out.splitlines()
    assert first.startswith("rows ")
    assert last == f"wrote {out}/: left.png, right.png, calib.txt, check.png, result.json"
    assert (uneven / "right.png").read_bytes() == before
    assert (read_image(out / "left.png") == small_pair.left.image).all()
    inner = (slice(10, -10), slice(10, -10))
    error = read_image(out / "right.png")[inner].astype(float) - small_pair.right.image[inner]
    assert np.abs(error).mean() < 3
    rig = read_calibration(out / "calib.txt")
    assert rig.as_dict() == pytest.approx(small_pair.rig.as_dict())
    info = json.loads((out / "result.json").read_text())
    assert info["row_error_px"]["before"] == pytest.approx(4, abs=0.3)
    assert info["row_error_px"]["after"] < 0.5
    assert info["remaining"] == []
    assert "unrectified" in [f["code"] for f in info["found"]]
    assert fathom_command("check", *words(out)).code == 0


def test_fix_writes_nothing_where_nothing_is_mended(fathom_command, folder, small_pair, tmp_path):
    out = tmp_path / "mended"
    outcome = fathom_command("check", *words(folder), "--fix", "-o", out)
    assert (outcome.code, out.exists()) == (0, False)
    assert "nothing was mended" in outcome.out
    dark = (small_pair.right.image * 0.3).astype(np.uint8)
    write_png(folder / "right.png", dark)
    outcome = fathom_command("check", *words(folder), "--fix", "-o", out, "--json")
    assert (outcome.code, out.exists()) == (1, False)
    info = json.loads(outcome.out)
    assert (info["folder"], info["done"]) == (None, [])
    assert [f["code"] for f in info["remaining"]] == ["exposure"]
    text = fathom_command("check", *words(folder), "--fix", "-o", out).out
    assert "not mended: exposure" in text
    assert "what to do" in text


def test_fix_never_writes_over_files_of_yours(fathom_command, uneven):
    outcome = fathom_command("check", *words(uneven), "--fix", "-o", uneven)
    assert outcome.code == 4
    assert "left.png" in outcome.error
    assert sorted(p.name for p in uneven.iterdir()) == ["calib.txt", "left.png", "right.png"]


def test_an_earlier_result_that_holds_the_pair_stays(fathom_command, uneven, tmp_path):
    out = tmp_path / "mended"
    assert fathom_command("check", *words(uneven), "--fix", "-o", out).code == 0
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    for command in (("check", "--fix"), ("depth",)):
        outcome = fathom_command(*command, out / "right.png", out / "left.png", "-o", out)
        assert outcome.code == 2
        assert "holds an input" in outcome.error
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_an_earlier_result_is_replaced(fathom_command, uneven, tmp_path):
    out = tmp_path / "mended"
    for _ in range(2):
        assert fathom_command("check", *words(uneven), "--fix", "-o", out).code == 0
    assert len(list(out.iterdir())) == 5


@pytest.mark.parametrize(
    ("flags", "word"),
    [(("-o", "x"), "--fix"), (("--fix", "--picture", "x.png"), "check.png")],
)
def test_flags_that_contradict_each_other(fathom_command, uneven, flags, word, monkeypatch):
    monkeypatch.chdir(uneven)
    outcome = fathom_command("check", *words(uneven), *flags)
    assert outcome.code == 2
    assert word in outcome.error
    assert not (uneven / "x").exists()


def test_a_picture_of_the_rows(fathom_command, uneven, tmp_path):
    outcome = fathom_command("check", *words(uneven), "--picture", tmp_path / "new" / "rows.png")
    assert outcome.code == 1
    assert "rows.png" in outcome.out
    picture = read_image(tmp_path / "new" / "rows.png")
    assert picture.shape[1] > 2 * 260


def test_depth_mends_first_and_says_so(fathom_command, uneven, tmp_path):
    plain = fathom_command("depth", *words(uneven), "-o", tmp_path / "plain", "--save", "npy")
    fixed = fathom_command(
        "depth", *words(uneven), "-o", tmp_path / "fixed", "--save", "npy,pair", "--fix"
    )
    assert (plain.code, fixed.code) == (0, 0)
    assert "4" in plain.err and "lower" in plain.err
    assert "moved up by" in fixed.err
    assert "lower" not in fixed.err
    info = json.loads((tmp_path / "fixed" / "result.json").read_text())
    assert "fixed" not in json.loads((tmp_path / "plain" / "result.json").read_text())
    assert info["fixed"]["row_error_px"]["after"] < 0.5
    assert "moved up by" in info["fixed"]["done"][0]
    assert "unrectified" not in [f["code"] for f in info["findings"]]
    assert (tmp_path / "fixed" / "right.png").exists()


@pytest.fixture
def folders(tmp_path, small_pair):
    """Two folders of six pairs; the right images of two are too low."""
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
    for i in range(6):
        write_png(tmp_path / "left" / f"{i:02}.png", small_pair.left.image)
        right = small_pair.right.image
        write_png(tmp_path / "right" / f"{i:02}.png", moved(right, i) if i in (2, 5) else right)
    return tmp_path


def test_many_pairs_are_summed_up(fathom_command, folders):
    outcome = fathom_command("check", folders / "left", folders / "right")
    assert outcome.code == 1
    assert "unrectified: 2 of 6 pairs (33.3 %), typically 3." in outcome.out
    assert "worst, 05: the right image sits" in outcome.out
    assert "[6/6] 05" in outcome.err
    found = json.loads(fathom_command("check", folders / "left", folders / "right", "--json").out)
    assert (found["pairs"], found["sequence"], found["failed"]) == (6, [], [])
    finding = found["findings"][0]
    assert (finding["code"], finding["count"], finding["worst_pair"]) == ("unrectified", 2, "05")
    assert finding["share"] == pytest.approx(1 / 3, abs=1e-3)
    assert finding["size"] == pytest.approx(5, abs=0.5)


def test_good_pairs_and_lonely_images(fathom_command, folders):
    for i in (2, 5):
        (folders / "left" / f"{i:02}.png").unlink()
    outcome = fathom_command("check", folders / "left", folders / "right")
    assert outcome.code == 1
    assert "nothing found in 4 pairs" in outcome.out
    assert "not checked: 02.png: has no partner" in outcome.out
    for i in (2, 5):
        (folders / "right" / f"{i:02}.png").unlink()
    assert fathom_command("check", folders / "left", folders / "right").code == 0


def test_every_third_pair(fathom_command, folders):
    words = ("check", folders / "left", folders / "right", "--json", "--every", "3", "--shift", "0")
    found = json.loads(fathom_command(*words).out)
    assert (found["pairs"], found["findings"]) == (2, [])


def test_one_pair_is_mended_not_many(fathom_command, folders):
    for flags in (("--fix",), ("--picture", "x.png")):
        outcome = fathom_command("check", folders / "left", folders / "right", *flags)
        assert outcome.code == 2
        assert "one pair" in outcome.error


@pytest.mark.parametrize(
    ("field", "value"), [("every", 0), ("shift", -1), ("shift", 51), ("fps", 0.0)]
)
def test_sequence_options_out_of_range(fathom_command, folders, field, value):
    outcome = fathom_command("check", folders / "left", folders / "right", f"--{field}", value)
    assert outcome.code == 2
    assert field in outcome.error
    assert SequenceOptions().every == 1


def test_two_videos_out_of_time(fathom_command, tmp_path, motorcycle):
    """A camera held by a shaking hand; the right video begins two frames later."""
    left, right = motorcycle.pair.left.image, motorcycle.pair.right.image
    shake = (0, 9, -4, 14, 3, -9, 12, -2, 7, -12)

    def frame(image, i):
        matrix = np.array([[1, 0, -120.0 - 4 * i], [0, 1, shake[i] - 100.0]])
        return cv2.warpAffine(image, matrix, (360, 240))

    with write_video(tmp_path / "left.mkv", (360, 240), 20) as writer:
        for i in range(9):
            writer.write(frame(left, i))
    with write_video(tmp_path / "right.mkv", (360, 240), 20) as writer:
        for i in range(2, 10):
            writer.write(frame(right, i))
    words = ("check", tmp_path / "left.mkv", tmp_path / "right.mkv", "--json")
    found = json.loads(fathom_command(*words).out)
    by_code = {f["code"]: f for f in found["sequence"]}
    assert by_code["frames-differ"]["size"] == 1
    assert by_code["time-offset"]["size"] == -2
    assert "(100 ms)" in by_code["time-offset"]["message"]
    text = fathom_command(*words[:-1], "--shift", "0").out
    assert "frames-differ" in text
    assert "time-offset" not in text
