"""`fathom measure`: distances, sizes and lengths from a result folder."""

import json

import numpy as np
import pytest

from fathom.core import Disparity, Source, StereoRig
from fathom.io.images import read_image, write_png
from fathom.io.maps import (
    write_confidence_png,
    write_depth_npy,
    write_disparity_pfm,
    write_source_png,
)
from fathom.io.result import read_result, write_json
from fathom.viz.measure import value

RIG = StereoRig.simple(200, 120, 400.0, 0.25, cx=100.0, cy=60.0)
SHAPE = (120, 200)


def disparity() -> Disparity:
    """A box of 20 x 15 cm at 2 m before a wall at 5 m; the left edge unknown, the top filled."""
    d = np.full(SHAPE, 20, np.float32)
    d[40:70, 80:120] = 50
    d[:, :5] = np.nan
    source = np.full(SHAPE, Source.MATCHED, np.uint8)
    source[:10] = Source.FILLED
    source[:, :5] = Source.UNKNOWN
    confidence = np.where(source == Source.FILLED, 0.5, 0.95).astype(np.float32)
    confidence[:, :5] = 0
    return Disparity(d, confidence, source)


@pytest.fixture
def result(tmp_path):
    """A result folder with the scene above, as `fathom depth` would have written it."""
    folder = tmp_path / "result"
    folder.mkdir()
    found = disparity()
    depth = found.to_depth(RIG)
    write_disparity_pfm(folder / "disparity.pfm", found.values)
    write_confidence_png(folder / "confidence.png", found.confidence)
    write_source_png(folder / "source.png", found.source)
    write_depth_npy(folder / "depth.npy", depth.values)
    write_depth_npy(folder / "sigma.npy", depth.sigma)
    info = {"format": "fathom-result", "version": 1, "rig": RIG.as_dict(), "inputs": {}}
    write_json(folder / "result.json", info)
    return folder


def test_a_point(fathom_command, result):
    outcome = fathom_command("measure", result, "--at", "100,60")
    assert outcome.code == 0, outcome.err
    assert "distance 2.000 +- 0.0" in outcome.out
    assert "95.0 % sure" in outcome.out


def test_everything_at_once_as_json(fathom_command, result, tmp_path):
    mask = np.zeros((*SHAPE, 3), np.uint8)
    mask[38:72, 78:122] = 255
    write_png(tmp_path / "mask.png", mask)
    words = ("--at", "100,60", "--at", "150,100", "--box", "70,30,130,80")
    words += ("--mask", tmp_path / "mask.png", "--from", "80,50", "--to", "119,50")
    outcome = fathom_command("measure", result, *words, "--json")
    assert outcome.code == 0, outcome.err
    point, wall, length, box, mask = json.loads(outcome.out)["measures"]
    assert point["position_m"] == pytest.approx([0, 0, 2])
    assert wall["depth_m"] == pytest.approx(5)
    assert length["length_m"] == pytest.approx(39 * 2 / 400)
    assert box["distance_m"] == pytest.approx(2, abs=0.01)
    assert (box["width_m"], box["height_m"]) == pytest.approx((0.2, 0.15), abs=0.002)
    assert box["other_depths_m"] == pytest.approx([5], rel=0.01)
    assert mask["depth_m"] == pytest.approx(2)
    assert all(m["notes"] == [] for m in (point, wall, length, mask))
    assert "only 39%" in box["notes"][0]


def test_text_names_size_and_the_other_surface(fathom_command, result):
    outcome = fathom_command("measure", result, "--box", "70,30,130,80")
    assert "width 20.00 +- " in outcome.out
    assert "elsewhere 5 m" in outcome.out
    assert "only 39% of the measured pixels" in outcome.err


def test_a_filled_pixel_is_named_as_filled(fathom_command, result):
    outcome = fathom_command("measure", result, "--at", "100,5")
    assert "(filled, 50.0 % sure)" in outcome.out
    assert (
        "was filled in from its neighbours, not measured; the nearest measured one is 100,10"
        in (outcome.err)
    )


def test_an_unknown_pixel_offers_another(fathom_command, result):
    outcome = fathom_command("measure", result, "--at", "2,60")
    assert outcome.code == 3
    assert "at = '2,60': nothing is known of this pixel" in outcome.error
    assert "the nearest measured pixel is 5,60 (3 px away)" in outcome.error


def test_the_picture_shows_it(fathom_command, result, tmp_path):
    file = tmp_path / "m.png"
    words = ("--box", "70,30,130,80", "--at", "150,100", "--from", "20,90", "--to", "60,100")
    assert fathom_command("measure", result, *words, "-o", file).code == 0
    picture = read_image(file)
    assert picture.shape == (480, 800, 3)  # enlarged four times
    assert (picture == (140, 230, 120)).all(axis=-1).sum() == 0  # a fourth colour is not needed
    assert (picture == (255, 214, 64)).all(axis=-1).any()


@pytest.mark.parametrize("where", ["folder", "inputs"])
def test_the_picture_is_drawn_on_the_left_image(fathom_command, result, tmp_path, where):
    image = np.full((*SHAPE, 3), 77, np.uint8)
    if where == "folder":
        write_png(result / "left.png", image)
    else:
        write_png(tmp_path / "l.png", image)
        info = {**read_result(result).info, "inputs": {"left": str(tmp_path / "l.png")}}
        write_json(result / "result.json", info)
    fathom_command("measure", result, "--at", "100,60", "-o", tmp_path / "m.png")
    assert (read_image(tmp_path / "m.png")[-1, -1] == 77).all()


def test_a_left_image_of_another_size_or_a_broken_one_is_not_used(fathom_command, result, tmp_path):
    write_png(tmp_path / "l.png", np.zeros((9, 9, 3), np.uint8))
    (result / "left.png").write_bytes(b"no image")
    info = {**read_result(result).info, "inputs": {"left": str(tmp_path / "l.png")}}
    write_json(result / "result.json", info)
    assert fathom_command("measure", result, "--at", "9,60", "-o", tmp_path / "m.png").code == 0
    assert read_image(tmp_path / "m.png").shape == (480, 800, 3)


def test_a_result_without_metres(fathom_command, result):
    info = {**read_result(result).info, "rig": None}
    write_json(result / "result.json", info)
    outcome = fathom_command("measure", result, "--at", "100,60")
    assert outcome.code == 3
    assert "holds no metres" in outcome.error
    assert "--calib FILE" in outcome.error


def test_a_result_that_saved_only_disparity_is_measured_all_the_same(fathom_command, result):
    for name in ("depth.npy", "sigma.npy"):
        (result / name).unlink()
    outcome = fathom_command("measure", result, "--at", "100,60", "--json")
    assert json.loads(outcome.out)["measures"][0]["depth_m"] == pytest.approx(2)


def test_sigma_comes_from_the_file_or_else_from_the_confidence(result):
    saved = read_result(result).depth.sigma
    (result / "sigma.npy").unlink()
    again = read_result(result).depth.sigma
    np.testing.assert_allclose(again, saved, rtol=1e-3)
    write_depth_npy(result / "sigma.npy", np.full(SHAPE, 0.5, np.float32))
    assert (read_result(result).depth.sigma == 0.5).all()


@pytest.mark.parametrize(
    ("words", "part", "code"),
    [
        ((), "nothing is asked for", 2),
        (("--at", "100"), "is not 2 numbers; expected X,Y", 2),
        (("--at", "a,b"), "is not 2 numbers", 2),
        (("--at", "200,5"), "lies outside the image", 2),
        (("--box", "1,2,3"), "is not 4 numbers", 2),
        (("--box", "300,2,400,9"), "box = '300,2,400,9': lies outside the image", 2),
        (("--from", "1,2"), "a length has two ends", 2),
        (("--at", "9,9", "--rig-error", "-1"), "is no error", 2),
        (("--box", "100,2,110,4"), "of its 33 pixels were measured", 3),
        (("--mask", "nowhere.png"), "nowhere.png", 3),
    ],
)
def test_what_cannot_be_measured_is_one_line(fathom_command, result, words, part, code):
    outcome = fathom_command("measure", result, *words)
    assert outcome.code == code
    assert part in outcome.error


def test_masks_that_cannot_serve(fathom_command, result, tmp_path):
    write_png(tmp_path / "small.png", np.full((9, 9, 3), 255, np.uint8))
    write_png(tmp_path / "black.png", np.zeros((*SHAPE, 3), np.uint8))
    small = fathom_command("measure", result, "--mask", tmp_path / "small.png")
    assert "size = '9x9': the mask differs in size" in small.error
    black = fathom_command("measure", result, "--mask", tmp_path / "black.png")
    assert "black everywhere" in black.error
    assert (small.code, black.code) == (3, 3)


def test_a_folder_that_is_no_result(fathom_command, tmp_path):
    outcome = fathom_command("measure", tmp_path, "--at", "1,1")
    assert outcome.code == 3
    assert "is no fathom result" in outcome.error


def test_boxes_in_any_order_and_cut_to_the_image(fathom_command, result):
    one = fathom_command("measure", result, "--box", "130,80,70,30").out
    assert one == fathom_command("measure", result, "--box", "70,30,130,80").out
    assert fathom_command("measure", result, "--box", "150,20,900,900").code == 0


def test_a_real_result_whole_path(fathom_command, folder, tmp_path):
    """Depth of the Motorcycle's engine: within its error bar of the truth."""
    from fathom.data.samples import motorcycle

    out = tmp_path / "out"
    pair = (folder / "left.png", folder / "right.png")
    assert (
        fathom_command("depth", *pair, "-o", out, "--save", "disparity,depth,confidence").code == 0
    )
    outcome = fathom_command("measure", out, "--box", "150,110,200,135", "--json")
    found = json.loads(outcome.out)["measures"][0]
    sample = motorcycle()
    truth = sample.truth.to_depth(sample.pair.rig).values[260:286, 400:451]
    assert found["depth_m"] == pytest.approx(float(np.nanmedian(truth)), abs=0.02)
    assert 0 < found["depth_sigma_m"] < 0.05


def test_values_with_their_error_bars():
    assert value(2.3456, 0.0123) == "2.346 +- 0.012 m"
    assert value(0.2346, 0.012) == "23.5 +- 1.2 cm"
    assert value(0.01, 0.0004) == "10.00 +- 0.40 mm"
    assert value(30.0, 4.0) == "30.0 +- 4.0 m"
    assert value(0.0, 0.0) == "0.0000 +- 0.0000 mm"


def test_labels_do_not_cover_each_other():
    from PIL import Image, ImageDraw, ImageFont

    from fathom.viz.measure import _label

    pen = ImageDraw.Draw(Image.new("RGB", (200, 100)))
    taken = []
    for _ in range(4):
        _label(pen, "1: 2 m", (50, 50), taken, (200, 100), (1, 2, 3), ImageFont.load_default(15))
    assert len(taken) == 4
    assert all(b >= 0 and d <= 101 for _, b, _, d in taken)
    tops = sorted(b for _, b, _, _ in taken)
    assert np.diff(tops).min() >= taken[0][3] - taken[0][1]
