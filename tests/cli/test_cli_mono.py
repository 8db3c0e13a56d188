"""`fathom depth` with a method of one image, and `fathom sizes`: what is said and refused."""

import json
import re

import numpy as np
import one_image
import pytest
from one_image import depth_of, scene

from fathom.catalog import entry
from fathom.cli import depth_mono, sizes
from fathom.cli import main as cli
from fathom.io.images import write_png
from fathom.io.maps import read_source_png, write_depth_npy
from fathom.io.result import read_result, write_json
from fathom.workflows.mono_outputs import MONO_OUTPUTS

TRUTH = depth_of(scene()[..., 0].astype(np.float32) / 255)


@pytest.fixture(autouse=True)
def seer(monkeypatch):
    one_image.use(monkeypatch)


@pytest.fixture
def home(tmp_path):
    write_png(tmp_path / "a.png", scene())
    write_depth_npy(tmp_path / "truth.npy", TRUTH)
    table = [(x, y, TRUTH[y, x]) for y in range(4, 48, 9) for x in range(3, 64, 11)]
    np.savetxt(tmp_path / "lidar.txt", table)
    return tmp_path


def test_one_image_to_every_file(fathom_command, home):
    words = ("--method", "seer", "--align", home / "lidar.txt", "--fov", "60", "-o", home / "o")
    outcome = fathom_command("depth", home / "a.png", *words)
    assert outcome.code == 0, outcome.err
    files = {output.file for output in MONO_OUTPUTS} | {"result.json"}
    assert {p.name for p in (home / "o").iterdir()} == files
    assert "1 / Z = s v + t" in outcome.out
    assert "of 30 anchors, median residual 0.0 %" in outcome.out
    assert "intrinsics: --fov 60" in outcome.out
    assert "scale 0.45, shift 0.05" in outcome.err
    info = json.loads((home / "o" / "result.json").read_text())
    assert info["alignment"]["anchors"] == 30
    assert info["files"]["relative.png"]["ambiguity"] == "affine_inverse"
    page = (home / "o" / "report.html").read_text()
    assert "Relative map" in page and "cloud-viewer" in page and "Left image" not in page
    read = fathom_command("measure", home / "o", "--at", "30,24", "--box", "2,2,60,40", "--json")
    assert read.code == 0, read.err
    point, box = json.loads(read.out)["measures"]
    z = float(TRUTH[24, 30])
    assert point["depth_m"] == pytest.approx(z, rel=1e-3) and point["source"] == "monocular"
    f = info["camera"]["fx"]
    assert point["position_m"][0] == pytest.approx((30 - info["camera"]["cx"]) / f * z, rel=1e-3)
    assert point["depth_sigma_m"] > 0 and box["width_m"] > 0
    known = read_result(home / "o")
    assert known.disparity is None and known.relative.ambiguity == "affine_inverse"
    np.testing.assert_allclose(known.depth.values, TRUTH, rtol=1e-3)
    for name in ("depth.npy", "relative.npy"):
        (home / "o" / name).unlink()
    stretched = read_result(home / "o")  # from the PNGs
    np.testing.assert_allclose(stretched.relative.values, known.relative.values, atol=1e-4)
    (home / "o" / "depth.png").unlink()
    relative = fathom_command("measure", home / "o", "--at", "5,5")
    assert relative.code == 3 and "--align" in relative.err and "Traceback" not in relative.err


def test_measuring_metres_of_a_model_alone(fathom_command, home):
    words = ("depth", home / "a.png", "--method", "seer", "--kind", "metric", "-o", home / "m")
    assert fathom_command(*words, "--save", "npy").code == 0
    blind = fathom_command("measure", home / "m", "--at", "5,5")
    assert blind.code == 3 and "tells no focal length" in blind.err and "--fov" in blind.err
    assert fathom_command(*words, "--save", "npy", "--fov", "60").code == 0
    seen = fathom_command(
        "measure", home / "m", "--at", "30,24", "--from", "5,5", "--to", "40,40",
        "-o", home / "m.png",
    )  # fmt: skip
    assert seen.code == 0, seen.err
    assert "+-" not in seen.out and "30,24: x " in seen.out and (home / "m.png").is_file()
    info = json.loads((home / "m" / "result.json").read_text())
    for changes, problem in (
        ({"kind": "mono-clip"}, "holds the maps of a clip"),
        ({"camera": {"fx": 1}}, "the camera lacks a number"),
    ):
        write_json(home / "m" / "result.json", info | changes)
        assert problem in fathom_command("measure", home / "m", "--at", "5,5").err
    (home / "m" / "depth.npy").unlink()
    write_json(home / "m" / "result.json", info)
    assert "holds no map" in fathom_command("measure", home / "m", "--at", "5,5").err
    write_png(home / "m" / "relative.png", np.ones((48, 64), np.uint16))
    assert "worth" in fathom_command("measure", home / "m", "--at", "5,5").err
    worth = {"files": {"relative.png": {"value": {"of_1": 0, "step": 1}}}}
    write_json(home / "m" / "result.json", info | worth)
    assert (
        "does not say what the relative map is up to"
        in fathom_command("measure", home / "m", "--at", "5,5").err
    )
    write_depth_npy(home / "m" / "depth.npy", TRUTH[1:])
    assert "differs in size" in fathom_command("measure", home / "m", "--at", "5,5").err


def test_what_the_fusion_with_stereo_did_is_told(fathom_command, home):
    words = ("--method", "mono+stereo", "--mono", "seer", "--max-disparity", "16")
    write_png(home / "b.png", np.roll(scene(), -5, axis=1))
    outcome = fathom_command(
        "depth", home / "a.png", home / "b.png", *words, "-o", home / "o", "--save", "source"
    )
    assert outcome.code == 0, outcome.err
    info = json.loads((home / "o" / "result.json").read_text())
    assert "3 one-view model, 4 LiDAR or radar" in info["files"]["source.png"]["content"]
    fusion, share = info["fusion"], (read_source_png(home / "o" / "source.png") == 3).mean()
    assert fusion["share_monocular"] == pytest.approx(share)
    told = fusion["refused"] or "stereo's own filling by"
    assert "from the monocular map" in outcome.err and told in outcome.err


def test_many_images_and_a_clip(fathom_command, home):
    for i, code in enumerate((225, 240, 210)):
        write_png(home / "in" / f"f{i}.png", scene(code=code))
    words = ("depth", home / "in", "--method", "seer")
    assert fathom_command(*words, "-o", home / "o", "--save", "npy").code == 0
    (home / "in" / "g.png").write_bytes(b"none")
    outcome = fathom_command(*words, "-o", home / "o", "--save", "npy")
    assert outcome.code == 1
    assert "3 of 4 done" in outcome.out
    assert "failed: g: " in outcome.out
    assert "3 of 4 images were done already" in outcome.err
    (home / "in" / "g.png").unlink()
    outcome = fathom_command(*words, "-o", home / "clip", "--steady", "--smooth", "--batch", "2")
    assert outcome.code == 0, outcome.err
    assert "flicker" in outcome.out and "-> 0.0 %" in outcome.out
    assert "maps/" in outcome.out
    as_json = fathom_command(*words, "-o", home / "clip", "--steady", "--json")
    assert json.loads(as_json.out)["kind"] == "mono-clip"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("a.png", "a.png", "--method", "seer"), 2, "seer sees one image, and two were given"),
        (("--method", "seer"), 2, "no image given; see: fathom depth --method seer --help"),
        (("a.png", "--method", "seer", "--fov", "wide"), 2, "see: fathom depth --method seer"),
        (("a.png", "--method", "seer", "--layout", "over-under"), 2, "--layout: is for two views"),
        (("a.png", "--method", "seer", "--max-disparity", "9"), 2, "is for two views"),
        (("a.png", "--method", "cspn"), 2, "refines a map"),
        (("a.png",), 2, "take a method that sees one image"),
        (("a.png", "--method", "seer", "--known-size", "1,2,3,4=1m"), 2, "give --fov DEGREES"),
        (("a.png", "--method", "seer", *2 * ("--known-size", "1,2,3,4=1m")), 2, "is given twice"),
        (("a.png", "--method", "seer", "--ground", "1", "--fov", "200"), 2, "angle of view"),
        (("a.png", "--method", "seer", "--align", "few.txt"), 3, "anchors = 1: are too few"),
        (("a.png", "--method", "seer", "--align", "wrong.txt"), 3, "contradict the map"),
        (("a.png", "--method", "seer", "--align", "none.txt"), 3, "does not exist"),
        (("none.png", "--method", "seer"), 3, "does not exist"),
        (("moving.png", "--method", "seer"), 3, "is an animation of 2 frames"),
        (("moving.webp", "--method", "seer"), 3, "is an animation of 2 frames"),
        (("moving.gif", "--method", "seer"), 3, "is an animation of 2 frames"),
        (("dot.png", "--method", "seer"), 3, "is too small"),
        (("empty", "--method", "seer"), 3, "the folder holds no image"),
        (("bad.mp4", "--method", "seer"), 3, "is no video that can be opened"),
        (("a.png", "--method", "seer", "--save", "cloud", "--colour"), 2, "unknown flag --colour"),
    ],
)
def test_one_clear_line(fathom_command, home, monkeypatch, words, code, message):
    from PIL import Image

    monkeypatch.chdir(home)
    frames = [Image.new("RGB", (32, 32), color) for color in ("red", "blue")]
    for name in ("moving.png", "moving.webp", "moving.gif"):
        if name in words:
            frames[0].save(name, save_all=True, append_images=frames[1:])
    write_png(home / "dot.png", np.zeros((1, 1, 3), np.uint8))
    (home / "empty").mkdir()
    (home / "bad.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(40))
    (home / "few.txt").write_text("5 5 2.0\n")
    rows = [(x, y, 1 / TRUTH[y, x]) for y in range(4, 48, 9) for x in range(3, 64, 11)]
    np.savetxt(home / "wrong.txt", rows)
    outcome = fathom_command("depth", *words, "-o", "o")
    assert (outcome.code, message in outcome.error) == (code, True), outcome.err
    assert not (home / "o").exists()


def test_sixteen_bits_and_panoramas(fathom_command, home):
    write_png(home / "deep.png", scene(32, 64).astype(np.uint16) * 257)
    words = ("--method", "seer", "--kind", "metric", "-o", home / "o", "--save", "npy,cloud")
    outcome = fathom_command("depth", home / "deep.png", *words)
    assert outcome.code == 0, outcome.err
    assert "warning: the image is twice as wide as high, like a panorama" in outcome.err
    assert {p.name for p in (home / "o").iterdir()} == {"depth.npy", "result.json"}
    outcome = fathom_command("depth", home / "a.png", *words)
    assert "no cloud: nothing tells the focal length; give --fov" in outcome.err


def test_the_methods_in_the_examples_exist():
    examples = depth_mono.EXAMPLES + sizes.EXAMPLES
    for name in set(re.findall(r"--method (\S+)", examples)):
        assert entry(name).task == "mono"


def test_help_shows_the_method_s_own_flags(fathom_command, capsys):
    with pytest.raises(SystemExit):
        cli.main(["depth", "--method", "seer", "--help"])
    text = capsys.readouterr().out
    for flag in ("--size", "--align", "--known-size", "--ground", "--fov", "--steady", "--kind"):
        assert flag in text
    assert "--layout" not in text


def test_sizes(fathom_command, home):
    words = ("sizes", home / "a.png", "--truth", home / "truth.npy", "--method", "seer")
    outcome = fathom_command(*words, "--sizes", "16,64", "-o", home / "o")
    assert outcome.code == 0, outcome.err
    assert "smallest AbsRel at 64 px" in outcome.out
    assert {"sizes.csv", "sizes.json", "sizes.png"} < {p.name for p in (home / "o").iterdir()}
    rows = json.loads(fathom_command(*words, "--sizes", "64", "--json").out)["rows"]
    assert rows[0]["size"] == 64
    outcome = fathom_command(*words[:-1], "sgm", "--sizes", "64")
    assert (outcome.code, "sees one image" in outcome.error) == (2, True)
