"""`fathom accuracy`: the field test on walls, from results and from a rendered pair."""

import json

import numpy as np
import pytest

from fathom.core import Disparity, InputError, StereoRig, UsageError
from fathom.io.calibration.middlebury import write_middlebury
from fathom.io.images import read_image, write_png
from fathom.io.maps import write_disparity_pfm, write_source_png
from fathom.io.result import write_json
from fathom.workflows.accuracy import Capture, captures_of_results, field_test, measured_values

RIG = StereoRig.simple(320, 240, 400.0, 0.1, doffs=0.0)
PLACE = {"across": 3.0, "distance": 1.6}


def rays():
    v, u = np.mgrid[:240, :320]
    return np.stack([(u - RIG.left.cx) / 400, (v - RIG.left.cy) / 400, np.ones(u.shape)], axis=-1)


def wall(distance=1.6, noise=0.1, seed=0):
    """Disparity of a wall turned by 3 degrees."""
    normal = np.array([np.tan(np.radians(3)), 0, 1])
    exact = 40 * (rays() @ normal) / distance
    return (exact + np.random.default_rng(seed).normal(0, noise, exact.shape)).astype(np.float32)


def rendered(distance=1.6, seed=0):
    """A textured wall, turned by 3 degrees, as two cameras see it: rays meet the plane, and the
    texture is looked up where."""
    import cv2

    rng = np.random.default_rng(9)
    texture = cv2.GaussianBlur(rng.normal(0, 1, (1024, 1024)).astype(np.float32), (0, 0), 1.5)
    texture = 128 + 45 * texture / texture.std()
    turn = np.radians(3)
    normal = np.array([np.tan(turn), 0, 1.0])
    views = []
    for x in (0.0, RIG.baseline):
        ray = rays()
        reach = (distance - normal[0] * x) / (ray @ normal)
        point = ray * reach[..., None] + np.array([x, 0, -distance])
        across = (point[..., 0] / np.cos(turn) * 300 + 512).astype(np.float32)
        down = (point[..., 1] * 300 + 512).astype(np.float32)
        image = cv2.remap(texture, across, down, cv2.INTER_CUBIC)
        image = image + np.random.default_rng(seed + int(100 * x)).normal(0, 2, image.shape)
        views.append(np.repeat(np.clip(np.rint(image), 0, 255).astype(np.uint8)[..., None], 3, 2))
    return views


def write_capture(folder, values, rig=RIG):
    folder.mkdir(parents=True)
    write_disparity_pfm(folder / "disparity.pfm", values)
    described = None if rig is None else rig.as_dict()
    info = {"format": "fathom-result", "version": 1, "rig": described}
    write_json(folder / "result.json", info)
    return folder


@pytest.fixture
def results(tmp_path):
    """A folder of three captures of the wall, which the camera sees 1.6 m away."""
    for i in range(3):
        write_capture(tmp_path / "walls" / f"{i}", wall(seed=i))
    return tmp_path / "walls"


def test_known_noise_offset_and_tilt_come_back(fathom_command, results):
    outcome = fathom_command("accuracy", results, "--distance", 1.5, "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert len(found["captures"]) == 3
    assert found["distance_m"] == pytest.approx(1.6, abs=1e-3)
    assert found["bias_mm"] == pytest.approx(100, abs=1)
    assert found["bias_px"] == pytest.approx(25 - 40 / 1.5, abs=0.01)
    assert found["z_accuracy_percent"] == pytest.approx(100 * (1.6 / 1.5 - 1), abs=0.05)
    assert found["subpixel_rms_px"] == pytest.approx(0.0971, rel=0.03)
    assert found["plane_fit_rms_mm"] == pytest.approx(97.1 * 1.6**2 / 40, rel=0.03)
    assert found["temporal_noise_px"] == pytest.approx(0.1, rel=0.05)
    assert found["temporal_noise_mm"] == pytest.approx(100 * 1.6**2 / 40, rel=0.05)
    assert found["tilt_x_deg"] == pytest.approx(3, abs=0.05)
    assert found["tilt_y_deg"] == pytest.approx(0, abs=0.05)
    assert found["fill_rate"] == 1
    assert any("test a second distance" in note for note in found["notes"])


def test_the_table_of_one_capture(fathom_command, results, tmp_path):
    file = tmp_path / "residual.png"
    outcome = fathom_command("accuracy", results / "0", "-o", file)
    assert outcome.code == 0, outcome.err
    assert "plane fit RMS" in outcome.out
    assert "temporal" not in outcome.out
    assert "Z-accuracy" not in outcome.out
    assert read_image(file).ndim == 3


def test_the_table_and_picture_of_several(fathom_command, results, tmp_path):
    words = ("--distance", 1.6, "--roi", "20,20,300,220", "-o", tmp_path / "r.png")
    outcome = fathom_command("accuracy", results, *words)
    assert "temporal noise" in outcome.out
    assert "Z-accuracy" in outcome.out
    assert "region 20,20 .. 300,220, 3 captures" in outcome.out
    assert (tmp_path / "r.png").is_file()


def test_filled_pixels_do_not_count(tmp_path, fathom_command):
    folder = write_capture(tmp_path / "w", wall())
    source = np.full((240, 320), 1, np.uint8)
    source[:120] = 2
    write_source_png(folder / "source.png", source)
    found = json.loads(fathom_command("accuracy", folder, "--json").out)
    assert found["fill_rate"] == pytest.approx(0.5)
    values = measured_values(Disparity(wall(), None, source))
    assert np.isnan(values[:120]).all()
    assert not np.isnan(values[120:]).any()


def test_a_rendered_wall_through_the_whole_path(fathom_command, tmp_path):
    pair = [tmp_path / "left.png", tmp_path / "right.png"]
    for file, image in zip(pair, rendered(), strict=True):
        write_png(file, image)
    write_middlebury(tmp_path / "calib.txt", RIG)
    words = ("--distance", 1.6, "--method", "zncc", "--max-disparity", 64, "--json")
    outcome = fathom_command("accuracy", *pair, "--calib", tmp_path / "calib.txt", *words)
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert abs(found["z_accuracy_percent"]) < 0.2
    assert found["subpixel_rms_px"] < 0.12
    assert found["tilt_x_deg"] == pytest.approx(3, abs=0.4)
    assert found["fill_rate"] > 0.95
    out = tmp_path / "out"
    words = ("--max-disparity", 64, "--save", "disparity,source", "-o", out)
    assert fathom_command("depth", *pair, *words).code == 0
    found = json.loads(fathom_command("accuracy", out, "--distance", 1.6, "--json").out)
    assert abs(found["z_accuracy_percent"]) < 0.5


def test_folders_of_pairs_give_temporal_noise(fathom_command, tmp_path):
    for i in range(2):
        for side, image in zip(("l", "r"), rendered(seed=7 * i), strict=True):
            (tmp_path / side).mkdir(exist_ok=True)
            write_png(tmp_path / side / f"{i}.png", image)
    words = ("--focal", 400, "--baseline", 0.1, "--method", "zncc", "--max-disparity", 64)
    outcome = fathom_command("accuracy", tmp_path / "l", tmp_path / "r", *words, "--json")
    assert outcome.code == 0, outcome.err
    assert "[2/2] 1" in outcome.err
    assert 0 < json.loads(outcome.out)["temporal_noise_px"] < 0.2


def test_side_by_side_images(fathom_command, tmp_path):
    write_png(tmp_path / "both.png", np.concatenate(rendered(), axis=1))
    words = ("--layout", "side-by-side", "--focal", 400, "--baseline", 0.1)
    words += ("--method", "opencv-bm", "--max-disparity", 64)
    assert fathom_command("accuracy", tmp_path / "both.png", *words).code == 0


def test_no_plane_is_refused_and_the_file_named(fathom_command, tmp_path):
    values = wall()
    values[:, 160:] += 6
    outcome = fathom_command("accuracy", write_capture(tmp_path / "step", values))
    assert outcome.code == 3
    assert "step: roi: the region is no plane" in outcome.error


@pytest.mark.parametrize(
    ("words", "part", "code"),
    [
        (("nowhere",), "nowhere: does not exist", 3),
        (("a.png", "b.png", "c.png"), "neither result folders nor a pair", 2),
        (("a.png", "b.png"), "a.png", 3),
        ((), "are required", 2),
    ],
)
def test_what_is_given_must_be_captures(fathom_command, words, part, code):
    outcome = fathom_command("accuracy", *words)
    assert outcome.code == code
    assert part in outcome.error


def test_bad_numbers(fathom_command, results):
    for words, part in (
        (("--roi", "1,2,3"), "not four whole numbers"),
        (("--roi", "0,0,999,9"), "no region of the image"),
        (("--distance", 0), "no distance"),
    ):
        outcome = fathom_command("accuracy", results, *words)
        assert outcome.code == 2
        assert part in outcome.error


def test_without_a_calibration(fathom_command, tmp_path, results):
    outcome = fathom_command("accuracy", write_capture(tmp_path / "px", wall(), None))
    assert outcome.code == 3
    assert "holds no metres" in outcome.error
    pair = [tmp_path / "left.png", tmp_path / "right.png"]
    for file, image in zip(pair, rendered(), strict=True):
        write_png(file, image)
    outcome = fathom_command("accuracy", *pair)
    assert outcome.code == 3
    assert "give --calib FILE" in outcome.error


def test_an_empty_folder_is_no_result(fathom_command, tmp_path):
    (tmp_path / "empty").mkdir()
    outcome = fathom_command("accuracy", tmp_path / "empty")
    assert outcome.code == 3
    assert "is no fathom result" in outcome.error


def test_captures_of_different_rigs():
    other = StereoRig.simple(320, 240, 410.0, 0.1)
    with pytest.raises(InputError, match=r"b: .*different rigs"):
        field_test([Capture("a", wall(), RIG), Capture("b", wall(), other)])
    with pytest.raises(UsageError, match="no capture"):
        field_test([])


def test_a_camera_that_moved_is_noticed(tmp_path):
    folders = [
        write_capture(tmp_path / f"{i}", wall(distance, seed=i))
        for i, distance in enumerate((1.6, 1.63))
    ]
    notes = field_test(captures_of_results(folders)).notes
    assert any("the camera or the wall moved" in note for note in notes)


def test_tilt_and_bow_are_named():
    u = (np.arange(320.0) - 160) / 80
    bowed = wall(noise=0.02) + (0.4 * u**2 + 3 * u)[None].astype(np.float32)
    notes = field_test([Capture("a", bowed, RIG)]).notes
    assert any("tilted by" in note for note in notes)
    assert any("lens distortion was left in" in note for note in notes)
