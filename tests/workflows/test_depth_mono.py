"""Depth from one image: cameras, anchors, single images, folders, clips, input sizes."""

import json
import math
from pathlib import Path

import numpy as np
import one_image
import pytest
from one_image import CALLS, depth_of, scene

from fathom.core import (
    Camera,
    Depth,
    Disparity,
    InputError,
    RelativeDepth,
    StereoCalibration,
    StereoRig,
    UsageError,
    View,
)
from fathom.core.mono import MonoAnswer
from fathom.eval.temporal import FlickerMeter, flicker
from fathom.io.calibration.middlebury import write_middlebury
from fathom.io.images import write_png
from fathom.io.maps import read_depth_npy, read_disparity, write_depth_npy, write_disparity_pfm
from fathom.io.pairing import find_pairs
from fathom.io.photo import PhotoTags
from fathom.io.ply import read_ply
from fathom.workflows.depth import Listener
from fathom.workflows.depth_mono import Job, MonoOptions, answers_of, depth_of_image
from fathom.workflows.evaluate_read import MapOptions
from fathom.workflows.mono_anchors import AlignOptions, aligned, known_sizes
from fathom.workflows.mono_camera import (
    CameraOptions,
    FoundCamera,
    find_camera,
    simple_camera,
    with_model_focal,
)
from fathom.workflows.mono_clip import depth_of_clip, is_clip
from fathom.workflows.mono_kept import answer_file, read_answer
from fathom.workflows.mono_load import load_image
from fathom.workflows.mono_many import depth_of_images
from fathom.workflows.mono_sizes import sizes_of, sweep_sizes, write_sizes

H, W = 48, 64
TRUTH = depth_of(scene()[..., 0].astype(np.float32) / 255)
RELATIVE = RelativeDepth(scene()[..., 0].astype(np.float32) / 255, "affine_inverse")
NOWHERE = FoundCamera(None, "none", "")


@pytest.fixture(autouse=True)
def seer(monkeypatch):
    one_image.use(monkeypatch)


def job(align=None, camera=None, **options):
    own = {k: options.pop(k) for k in ("kind", "size", "focal") if k in options}
    chosen = {"save": ("npy", "ply"), **options}
    return Job(
        MonoOptions("seer", parameters=own, **chosen),
        CameraOptions(**(camera or {})),
        AlignOptions(**(align or {})),
    )


@pytest.fixture
def image(tmp_path):
    file = tmp_path / "in" / "a.png"
    write_png(file, scene())
    return file


def points(tmp_path, rows=slice(4, 48, 9)):
    at = [(x, y) for y in range(H)[rows] for x in range(3, W, 11)]
    table = np.array([(x, y, TRUTH[y, x]) for x, y in at])
    np.savetxt(tmp_path / "lidar.txt", table)
    return tmp_path / "lidar.txt"


# cameras


def test_the_first_source_of_intrinsics_wins(tmp_path):
    view, tags = View(scene()), PhotoTags(80.0, "FocalLengthIn35mmFilm 40 mm")
    file = tmp_path / "a.png"

    def found(tags=tags, **options):
        return find_camera(view, file, tags, CameraOptions(**options))

    assert found(tags=PhotoTags()).source == "none"
    model = with_model_focal(found(tags=PhotoTags()), view, 77.0)
    assert (model.source, model.camera.fx) == ("model", 77)
    assert (found().source, found().camera.fx) == ("exif", 80)
    assert with_model_focal(found(), view, 77.0).source == "exif"
    write_middlebury(tmp_path / "calib.txt", StereoRig.simple(W, H, 90, 0.1))
    assert (found().source, found().camera.fx) == ("calibration", 90)
    assert found().rig is not None
    wide = found(fov=90.0)
    assert (wide.source, wide.camera.fx) == ("given", pytest.approx(W / 2))
    assert wide.as_dict()["fov_deg"] == pytest.approx(90)
    assert found(focal=55.0).camera.cx == (W - 1) / 2
    assert find_camera(view, file, tags, CameraOptions(), video=True).source == "calibration"


def test_a_calibration_beside_that_does_not_fit_is_left_and_a_given_one_raises(tmp_path):
    write_middlebury(tmp_path / "calib.txt", StereoRig.simple(20, 10, 90, 0.1))
    view = View(scene())
    found = find_camera(view, tmp_path / "a.png", PhotoTags(), CameraOptions())
    assert found.source == "none"
    assert "not used" in found.note
    with pytest.raises(InputError, match="image size"):
        find_camera(view, tmp_path / "a.png", PhotoTags(), CameraOptions(tmp_path / "calib.txt"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"focal": 5.0, "fov": 60.0}, "focal and fov: say the same thing"),
        ({"focal": 0.0}, "is no focal length"),
        ({"fov": 180.0}, "is no angle of view"),
    ],
)
def test_wrong_cameras(options, message):
    with pytest.raises(UsageError, match=message):
        CameraOptions(**options)


# anchors


def test_every_kind_of_anchor_gives_the_same_metres(tmp_path):
    rig = StereoRig.simple(W, H, 60, 0.2)
    beside = FoundCamera(rig.left, "calibration", "calib", rig)
    write_depth_npy(tmp_path / "depth.npy", TRUTH)
    steps = np.rint(TRUTH * 256).astype(np.uint16)
    write_png(tmp_path / "kitti.png", steps)
    write_png(tmp_path / "tum.png", np.rint(TRUTH * 5000).clip(0, 65535).astype(np.uint16))
    write_disparity_pfm(tmp_path / "d.pfm", (60 * 0.2 / TRUTH).astype(np.float32))
    write_depth_npy(tmp_path / "half.npy", TRUTH[::2, ::2])
    for name, options in (
        ("depth.npy", {}),
        ("kitti.png", {"align_kind": "kitti-depth"}),
        ("tum.png", {"align_scale": "1/5000"}),
        ("d.pfm", {"align_kind": "disparity"}),
        ("half.npy", {}),
        (points(tmp_path).name, {}),
    ):
        file = tmp_path / name
        done = aligned(RELATIVE, beside, AlignOptions(align=file, **options), file)
        close = 0.06 if name == "half.npy" else 0.02  # its points lie between the pixels
        np.testing.assert_allclose(done.depth.values, TRUTH, rtol=close, err_msg=name)
        assert done.as_dict()["anchors"] == done.fit.anchors > 10
        assert done.as_dict()["median_residual"] < close


def test_a_cloud_a_size_and_the_ground_anchor_too(tmp_path):
    from fathom.core import PointCloud
    from fathom.geometry.reproject import back_project
    from fathom.io.ply import write_ply

    camera = simple_camera((W, H), 60.0)
    found = FoundCamera(camera, "given", "--focal 60")
    write_ply(tmp_path / "c.ply", PointCloud(back_project(TRUTH, camera)))
    file = tmp_path / "c.ply"
    done = aligned(RELATIVE, found, AlignOptions(align=file), file)
    np.testing.assert_allclose(done.depth.values, TRUTH, rtol=0.01)
    # two boards, 2 m and 4 m away
    v = np.full((H, W), 0.1, np.float32)
    v[10:20, 10:20], v[30:40, 30:50] = 0.5, 0.25
    boards = "10,10,10,10=33.3cm; 30,30,20,10=x66.7cm"
    done = aligned(RelativeDepth(v, "affine_inverse"), found, AlignOptions(known_size=boards), None)
    assert done.depth.values[15, 15] == pytest.approx(2, rel=0.01)
    assert done.depth.values[35, 40] == pytest.approx(4, rel=0.01)
    rows = np.maximum(np.arange(H) - camera.cy, 0.5)[:, None] * np.ones((1, W))
    ground = RelativeDepth(rows.astype(np.float32), "affine_inverse")
    done = aligned(ground, found, AlignOptions(ground=1.5), None)
    assert done.depth.values[40, 32] == pytest.approx(60 * 1.5 / (40 - camera.cy), rel=0.01)


def test_known_sizes_in_words():
    assert known_sizes("1,2,3,4=0.30m") == [((1, 2, 4, 6), 0.3, None)]
    assert known_sizes("1 2 3 4 = x45cm") == [((1, 2, 4, 6), None, 0.45)]
    assert known_sizes("1,2,3,4=0.3x0.4m;5,6,7,8=500mm")[1] == ((5, 6, 12, 14), 0.5, None)
    for text in ("1,2,3=0.3m", "1,2,3,4", "1,2,3,4=tall", "1,2,3,4=x", "a,2,3,4=1m"):
        with pytest.raises(UsageError, match="is no object of known size"):
            known_sizes(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"align": "a.npy", "ground": 1.0}, "align and ground: are two answers"),
        ({"align": "a.npy", "align_kind": "metres"}, "unknown kind of --align 'metres'"),
        ({"local": 0.1}, "local: aligns nothing by itself"),
        ({"robust": "huber"}, "robust: aligns nothing by itself; give --align FILE, --known-size"),
        ({"align_kind": "depth", "ground": 1.0}, "align-kind: aligns nothing.*; give --align FILE"),
        ({"align": "a.npy", "pitch": 3.0}, "pitch: aligns nothing by itself; give --ground M"),
        ({"ground": -1.0}, "ground = -1.0: cannot be; expected metres above 0"),
        ({"ground": 1.0, "pitch": 90.0}, "pitch = 90.0: cannot be"),
        ({"ground": 1.0, "local": 0.0}, "local = 0.0: cannot be; expected a share"),
    ],
)
def test_wrong_alignments(options, message, unchecked):
    with pytest.raises(UsageError, match=message):
        AlignOptions(**options)


def test_anchors_that_cannot_serve(tmp_path):
    options = AlignOptions(known_size="1,2,3,4=1m")
    with pytest.raises(UsageError, match=r"known-size: needs the focal length.*--fov DEGREES"):
        aligned(RELATIVE, NOWHERE, options, None)
    one = FoundCamera(simple_camera((W, H), 60.0), "given", "")
    with pytest.raises(InputError, match="lie at one distance, which leaves the map's shift open"):
        aligned(RELATIVE, one, AlignOptions(known_size="2,30,9,9=1m"), None)
    metric = aligned(Depth(2 * TRUTH), one, AlignOptions(known_size="2,30,9,9=1m"), None)
    assert metric.fit.ambiguity == "scale"
    with pytest.raises(InputError, match=r"ground = 1.0: shows no ground.*--pitch \(it is -60\)"):
        aligned(RELATIVE, one, AlignOptions(ground=1.0, pitch=-60.0), None)
    write_disparity_pfm(tmp_path / "d.pfm", np.ones((H, W), np.float32))
    reading = AlignOptions(align=tmp_path / "d.pfm", align_kind="disparity")
    with pytest.raises(UsageError, match="is a disparity, and no rig"):
        aligned(RELATIVE, NOWHERE, reading, tmp_path / "d.pfm")
    camera = simple_camera((W, H), 60.0)
    raw = StereoCalibration(camera, camera, np.eye(3), np.array([-0.1, 0, 0]))
    with pytest.raises(InputError, match="a rig that is not rectified"):
        aligned(RELATIVE, FoundCamera(camera, "", "", raw), reading, tmp_path / "d.pfm")
    write_depth_npy(tmp_path / "square.npy", np.ones((9, 9), np.float32))
    with pytest.raises(InputError, match="is of another shape than the image"):
        aligned(RELATIVE, NOWHERE, AlignOptions(align=tmp_path), tmp_path / "square.npy")


def test_anchors_of_each_image_lie_in_a_folder(tmp_path):
    for name in ("a.npy", "b.txt"):
        (tmp_path / name).touch()
    options = AlignOptions(align=tmp_path)
    assert options.file_of("b", 0, 5).name == "b.txt"
    assert options.file_of("x", 1, 2).name == "b.txt"
    with pytest.raises(InputError, match="holds no anchors for x"):
        options.file_of("x", 1, 3)
    assert AlignOptions().file_of("x", 0, 1) is None


def test_a_stereo_result_anchors_and_one_without_metres_does_not(tmp_path):
    from fathom.io.result import write_json

    folder = tmp_path / "result"
    rig = StereoRig.simple(W, H, 60, 0.2)
    disparity = Disparity((60 * 0.2 / TRUTH).astype(np.float32))
    write_disparity_pfm(folder / "disparity.pfm", disparity.values)
    write_depth_npy(folder / "depth.npy", TRUTH)
    write_json(folder / "result.json", {"format": "fathom-result", "version": 1, "files": {},
                                        "rig": rig.as_dict()})  # fmt: skip
    options = AlignOptions(align=folder)
    file = options.file_of("a", 0, 3)
    assert aligned(RELATIVE, NOWHERE, options, file).depth.values == pytest.approx(TRUTH, rel=0.01)
    (folder / "depth.npy").unlink()
    with pytest.raises(InputError, match="holds no metres"):
        aligned(RELATIVE, NOWHERE, options, file)


# one image


def test_a_relative_answer_stays_relative(image, tmp_path):
    said = []
    info = depth_of_image(find_pairs(image, None).pairs[0], tmp_path / "o", job(),
                          Listener(said.append))  # fmt: skip
    assert info["answer"]["ambiguity"] == "affine_inverse"
    assert info["result"]["depth_m"] is None
    assert set(info["files"]) == {"relative.npy"}
    np.testing.assert_allclose(read_disparity(tmp_path / "o/relative.npy"), RELATIVE.values)
    assert any("no metres" in line for line in said)


def test_metres_and_a_cloud_with_the_model_s_own_focal_length(image, tmp_path):
    info = depth_of_image(
        find_pairs(image, None).pairs[0], tmp_path / "o", job(kind="metric", focal=60.0)
    )
    assert info["camera"]["source"] == "model"
    np.testing.assert_allclose(read_depth_npy(tmp_path / "o/depth.npy"), TRUTH, rtol=1e-6)
    cloud = read_ply(tmp_path / "o/cloud.ply")
    assert 0.5 * H * W < len(cloud) <= H * W
    x, y, z = cloud.points[0].astype(float)
    column, row = 60 * x / z + (W - 1) / 2, 60 * y / z + (H - 1) / 2
    assert TRUTH[round(row), round(column)] == pytest.approx(z, rel=1e-4)


def test_a_model_that_wants_a_prompt_gets_the_anchors(image, tmp_path, monkeypatch):
    monkeypatch.setattr(one_image.Seer, "__call__", one_image.prompted)
    monkeypatch.delattr(one_image.Seer, "answers")
    write_depth_npy(tmp_path / "lidar.npy", TRUTH[::4, ::4])
    options = job({"align": tmp_path / "lidar.npy"})
    info = depth_of_image(find_pairs(image, None).pairs[0], tmp_path / "o", options)
    assert info["prompt"].endswith("lidar.npy")
    assert info["alignment"] is None
    found = read_depth_npy(tmp_path / "o/depth.npy")
    np.testing.assert_allclose(found, np.median(TRUTH[::4, ::4]), rtol=1e-5)
    assert len(depth_of_images(find_pairs(image, None).pairs, tmp_path / "p", options).done) == 1


def test_anchors_that_the_map_misses_are_warned_of(image, tmp_path):
    rows = np.loadtxt(points(tmp_path))
    rows[::2, 2] *= np.linspace(0.2, 9, len(rows[::2]))
    rows[1::2, 2] *= np.linspace(6, 0.3, len(rows[1::2]))
    np.savetxt(tmp_path / "lidar.txt", rows)
    heard = []
    options = job({"align": tmp_path / "lidar.txt", "robust": "huber"}, kind="metric")
    info = depth_of_image(find_pairs(image, None).pairs[0], tmp_path / "o", options,
                          Listener(warn=heard.append))  # fmt: skip
    assert info["alignment"]["median_residual"] > 0.5
    assert any("half of the anchors are missed by" in line for line in heard)


def test_an_answer_without_a_value_is_no_result(image, tmp_path, monkeypatch):
    nothing = RelativeDepth(np.full((H, W), np.nan, np.float32), "affine_inverse")
    monkeypatch.setattr(one_image.Seer, "_one", lambda *_: MonoAnswer(nothing))
    with pytest.raises(InputError, match=r"a.png: the model knows not one pixel of it"):
        depth_of_image(find_pairs(image, None).pairs[0], tmp_path / "o", job())
    assert not (tmp_path / "o").exists()


def test_min_confidence_and_z_far(image, tmp_path):
    info = depth_of_image(
        find_pairs(image, None).pairs[0], tmp_path / "o",
        job(kind="metric", camera={"fov": 60.0}, min_confidence=0.5, z_far=5.0),
    )  # fmt: skip
    unsure = RELATIVE.values <= 0.1
    assert info["result"]["share_known"] == pytest.approx(1 - unsure.mean())
    assert read_ply(tmp_path / "o/cloud.ply").points[:, 2].max() <= 5


def test_a_distorted_camera_s_points_follow_its_rays(tmp_path):
    from fathom.geometry.project import project
    from fathom.scene.cloud import CloudOptions
    from fathom.workflows.mono_outputs import mono_cloud

    camera = Camera(W, H, 50, 50, 31.5, 23.5, distortion=(-0.2, 0.05, 0, 0))
    cloud = mono_cloud(View(scene()), Depth(TRUTH), camera, CloudOptions(keep_flying=True))
    pixels = project(cloud.points.astype(np.float64), camera)
    assert np.abs(pixels - np.rint(pixels)).max() < 0.02
    assert len(cloud) == H * W


def test_photos_are_turned_unless_a_calibration_speaks_of_them(tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(scene()).save(tmp_path / "a.png", exif=exif)
    turned = load_image(tmp_path / "a.png", "a", CameraOptions())
    assert turned.view.size == (H, W)
    assert "turned upright" in turned.notes[0]
    write_middlebury(tmp_path / "calib.txt", StereoRig.simple(W, H, 90, 0.1))
    assert load_image(tmp_path / "a.png", "a", CameraOptions()).view.size == (W, H)


def test_panoramas_get_a_warning_and_no_camera(tmp_path):
    write_png(tmp_path / "a.png", scene(32, 64))
    found = load_image(tmp_path / "a.png", "a", CameraOptions())
    assert found.panorama
    assert found.view.camera is None
    assert "twice as wide as high" in found.notes[0]
    assert not load_image(tmp_path / "a.png", "a", CameraOptions(fov=60.0)).panorama


@pytest.mark.parametrize("shape", [(1, 1), (7, 60)])
def test_images_too_small(tmp_path, shape):
    write_png(tmp_path / "a.png", np.zeros((*shape, 3), np.uint8))
    with pytest.raises(InputError, match="is too small for depth from one image"):
        load_image(tmp_path / "a.png", "a", CameraOptions())


def test_wrong_options_and_answers():
    with pytest.raises(UsageError, match="batch = 0: is below 1"):
        MonoOptions("seer", batch=0)
    with pytest.raises(UsageError, match="does not see one image alone"):
        MonoOptions("sgm").estimator()
    with pytest.raises(InputError, match="differs in size from the image"):
        answers_of(lambda view: RELATIVE, [View(scene(20, 30))], [Path("x.png")])


# folders


@pytest.fixture
def folder(tmp_path):
    home = tmp_path / "in"
    for name, code in (("a", 0), ("b", 7), ("c", 0), ("d", 0)):
        write_png(home / f"{name}.png", scene(code=code))
    write_png(home / "e.png", scene(20, 30))
    (home / "f.png").write_bytes(b"no image")
    return home


def test_a_bad_image_stops_no_other_and_what_is_done_stays(folder, tmp_path):
    out, said = tmp_path / "out", []
    images = find_pairs(folder, None).pairs
    result = depth_of_images(images, out, job(batch=2))
    assert [f.name for f in result.failed] == ["b", "f"]
    assert "is refused by the model" in str(result.failed[0].error)
    assert result.failed[0].error.file.endswith("b.png")
    assert result.exit_code == 1
    assert sorted(p.name for p in out.iterdir()) == ["a", "c", "d", "e"]
    assert CALLS[0] == 2  # a and b together, then each alone
    CALLS.clear()
    (out / "d" / "relative.npy").unlink()
    again = depth_of_images(images, out, job(batch=2), Listener(said.append))
    assert len(again.done) == 4
    assert CALLS == [2, 1, 1]  # b and d, then alone
    assert "3 of 6 images were done already" in said[-1]
    CALLS.clear()
    depth_of_images(images, out, job(batch=1, overwrite=True))
    assert len(CALLS) == 5
    assert len(depth_of_images(images, out, job(z_far=9.0)).done) == 4
    assert len(CALLS) == 10


def test_one_image_s_metres_are_not_taken_for_a_folder(folder, tmp_path):
    images, out = find_pairs(folder, None).pairs, tmp_path / "out"
    result = tmp_path / "result"
    result.mkdir()
    (result / "result.json").touch()
    boxes = {"known_size": "1,2,3,4=1m"}
    for anchors in (boxes, {"align": points(tmp_path)}, {"align": result}):
        with pytest.raises(UsageError, match=r"one image only.*a folder with anchors of each"):
            depth_of_images(images, out, job(anchors))
    with pytest.raises(InputError, match="nowhere: does not exist; expected anchors"):
        depth_of_images(images, out, job({"align": tmp_path / "nowhere"}))
    assert CALLS == [] and not out.exists()
    alone = depth_of_images(images[:1], out, job({"align": points(tmp_path)}))
    assert len(alone.done) == 1


def test_other_weights_are_other_work(folder, tmp_path, monkeypatch):
    weights = tmp_path / "net" / "part"
    weights.mkdir(parents=True)
    (weights / "w.safetensors").write_bytes(b"one")
    used = lambda self: {"base": {"path": self.weights}}  # noqa: E731
    monkeypatch.setattr(one_image.Seer, "weights_used", used, raising=False)
    images, of = find_pairs(folder, None).pairs[:1], job(weights=str(tmp_path / "net"))

    def calls():
        CALLS.clear()
        depth_of_images(images, tmp_path / "out", of)
        return len(CALLS)

    assert (calls(), calls()) == (1, 0)
    (weights / "w.safetensors").write_bytes(b"other")
    assert (calls(), calls()) == (1, 0)


def test_an_interrupt_leaves_what_is_done(folder, tmp_path):
    write_png(folder / "c.png", scene(code=8))
    with pytest.raises(KeyboardInterrupt):
        depth_of_images(find_pairs(folder, None).pairs, tmp_path / "out", job())
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a"]


# clips


@pytest.fixture
def clip(tmp_path):
    home = tmp_path / "clip"
    for i, code in enumerate((225, 240, 205, 249, 215, 230)):
        write_png(home / f"f{i}.png", scene(code=code))
    return home


def test_flicker_of_a_clip_is_shown_and_taken_out(clip, tmp_path):
    out = tmp_path / "out"
    info = depth_of_clip(str(clip), out, job(steady=True, smooth=True))
    assert info["flicker"]["before"] > 0.05
    assert info["flicker"]["after"] < 0.002
    assert [row["motion"] for row in info["frames"]] == ["first", *["static"] * 5]
    assert info["frames"][1]["scale"] == pytest.approx(1 / 1.25, rel=1e-3)
    first = read_disparity(out / "maps" / "f0.npy")
    last = read_disparity(out / "maps" / "f3.npy")
    np.testing.assert_allclose(last[1:], first[1:], atol=1e-3)
    assert sorted(p.name for p in out.iterdir()) == ["depth.mp4", "maps", "report.html",
                                                     "result.json"]  # fmt: skip
    assert "Flicker" in (out / "report.html").read_text()
    raw = depth_of_clip(str(clip), out, job(smooth=True))
    assert raw["flicker"]["before"] == pytest.approx(info["flicker"]["before"])
    assert raw["frames"][1].get("scale") is None


def test_a_clip_in_metres_by_the_first_frame_or_by_each(clip, tmp_path):
    options = {"align": points(tmp_path)}
    info = depth_of_clip(str(clip), tmp_path / "o", job(options, steady=True))
    assert info["alignment"]["for"] == "all frames"
    assert ["anchors" in row for row in info["frames"]] == [True, *[False] * 5]
    last = read_depth_npy(tmp_path / "o/maps/f5.npy")
    np.testing.assert_allclose(last[1:], TRUTH[1:], rtol=0.01)
    with pytest.raises(UsageError, match="of one image only, and there are several"):
        depth_of_clip(str(clip), tmp_path / "o", job(options, smooth=True))
    with pytest.raises(UsageError, match="follows each frame's own anchors"):
        depth_of_clip(str(clip), tmp_path / "o", job({**options, "local": 0.2}, steady=True))
    anchors = tmp_path / "anchors"
    for i in range(6):
        write_depth_npy(anchors / f"f{i}.npy", TRUTH)
    each = depth_of_clip(str(clip), tmp_path / "o", job({"align": anchors}, smooth=True))
    assert all(row["median_residual"] < 0.01 for row in each["frames"])
    assert each["flicker"]["after"] < 0.01
    assert "cloud.ply" not in each["files"] and "no cloud: nothing tells" in each["notes"][-1]


def test_each_frame_of_a_prompted_model_has_its_own_prompt(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(one_image.Seer, "__call__", one_image.prompted)
    monkeypatch.delattr(one_image.Seer, "answers")
    anchors = tmp_path / "anchors"
    for i in range(6):
        write_depth_npy(anchors / f"f{i}.npy", np.full((4, 4), 1.0 + i, np.float32))
    out, options = tmp_path / "o", job({"align": anchors}, smooth=True)
    info = depth_of_clip(str(clip), out, options)
    found = [read_depth_npy(out / "maps" / f"f{i}.npy")[5, 5] for i in range(6)]
    np.testing.assert_allclose(found, [1, 2, 3, 4, 5, 6])
    assert info["alignment"] is None and info["prompt"] == str(anchors)
    with pytest.raises(UsageError, match=r"one image only.*; give a folder with anchors"):
        depth_of_clip(str(clip), out, job({"align": points(tmp_path)}, steady=True))


def test_a_clip_s_cloud_is_of_the_frame_that_was_chosen(clip, tmp_path):
    write_png(clip / "f2.png", scene() // 2)
    metric = {"kind": "metric", "cloud_frame": 2}
    info = depth_of_clip(str(clip), tmp_path / "o", job(camera={"fov": 60.0}, **metric))
    assert info["files"]["cloud.ply"]["frame"] == "f2"
    cloud = read_ply(tmp_path / "o" / "cloud.ply")
    assert len(cloud) == info["files"]["cloud.ply"]["points"] > 1000
    depth = read_depth_npy(tmp_path / "o/maps/f2.npy")
    assert np.isin(cloud.points[:, 2], depth).all()
    with pytest.raises(UsageError, match="is beyond the last frame"):
        depth_of_clip(str(clip), tmp_path / "p", job(kind="metric", cloud_frame=6))
    relative = depth_of_clip(str(clip), tmp_path / "q", job())
    assert any("align it with --align" in note for note in relative["notes"])


def test_an_interrupted_clip_goes_on_where_it_was(clip, tmp_path):
    out, said = tmp_path / "out", []
    good = (clip / "f3.png").read_bytes()
    write_png(clip / "f3.png", scene(code=8))
    with pytest.raises(KeyboardInterrupt):
        depth_of_clip(str(clip), out, job(steady=True), Listener(said.append))
    assert "3 answers are kept" in said[-1]
    answer = read_answer(answer_file(out / ".fathom-answers", 0))
    assert answer.map.ambiguity == "affine_inverse"
    assert sum(CALLS) == 4
    CALLS.clear()
    (clip / "f3.png").write_bytes(good)
    depth_of_clip(str(clip), out, job(steady=True))
    assert sum(CALLS) == 6  # a file has changed, so nothing of before counts
    assert not (out / ".fathom-answers").exists()


def test_answers_kept_are_taken_by_the_same_run(clip, tmp_path, monkeypatch):
    from fathom.workflows import mono_clip

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mono_clip._Clip, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            depth_of_clip(str(clip), tmp_path / "out", job(steady=True))
    CALLS.clear()
    depth_of_clip(str(clip), tmp_path / "out", job(steady=True))
    assert CALLS == []


def test_a_model_of_clips_sees_all_frames_at_once(clip, tmp_path, monkeypatch):
    one_image.use(monkeypatch, clip=True)
    assert is_clip(str(clip), "seer", job())
    depth_of_clip(str(clip), tmp_path / "out", job())
    assert CALLS == [6]


def test_videos_are_clips_and_gifs_are_refused(tmp_path):
    from fathom.io.video import write_video

    with write_video(tmp_path / "v.mkv", (W, H), 12) as video:
        for code in (225, 245, 205):
            video.write(scene(code=code))
    assert is_clip(str(tmp_path / "v.mkv"), "seer", job())
    info = depth_of_clip(str(tmp_path / "v.mkv"), tmp_path / "out", job(kind="metric", every=2))
    assert info["inputs"]["count"] == 2
    assert info["inputs"]["rate"] == pytest.approx(12)
    assert {row["name"] for row in info["frames"]} == {"v_000000", "v_000002"}
    (tmp_path / "a.gif").write_bytes(b"GIF89a" + bytes(40))
    assert not is_clip(str(tmp_path / "a.gif"), "seer", job())
    with pytest.raises(InputError, match="is a GIF"):
        depth_of_clip(str(tmp_path / "a.gif"), tmp_path / "o", job(steady=True))
    (tmp_path / "bad.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(40))
    with pytest.raises(InputError, match="is no video that can be opened"):
        depth_of_clip(str(tmp_path / "bad.mp4"), tmp_path / "o", job())
    assert not (tmp_path / "o").exists()


def test_the_meter_is_flicker_one_frame_at_a_time():
    frames = [np.random.default_rng(i).random((4, 5)).astype(np.float32) for i in range(6)]
    meter = FlickerMeter()
    assert math.isnan(meter.value)
    for frame in frames:
        meter.add(frame)
    bends = [abs(b - (a + c) / 2).mean() for a, b, c in zip(frames, frames[1:], frames[2:],
                                                            strict=False)]  # fmt: skip
    assert meter.value == pytest.approx(np.mean(bends), rel=1e-5)
    assert flicker(frames) == meter.value
    with pytest.raises(InputError):
        meter.add(np.ones((2, 2), np.float32))


# input sizes


def test_error_against_input_size(image, tmp_path):
    write_depth_npy(tmp_path / "a.npy", TRUTH)
    images, truth = find_pairs(image, None), [tmp_path / "a.npy"]
    seen = MonoOptions("seer")
    report = sweep_sizes(images, truth, (16, 32, 64), seen, MapOptions(), CameraOptions())
    errors = [row.abs_rel for row in report.rows]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-5
    assert report.best.size == 64
    assert "scale and shift of the inverse depth" in report.aligned
    assert write_sizes(tmp_path / "o", report) == ["sizes.csv", "sizes.json", "sizes.png"]
    assert json.loads((tmp_path / "o/sizes.json").read_text())["best_size"] == 64
    assert (tmp_path / "o/sizes.csv").read_text().startswith("size,images,abs_rel,delta_1,rmse_m")
    write_disparity_pfm(tmp_path / "a.pfm", (7 / TRUTH).astype(np.float32))
    shape = MapOptions(kind="disparity")
    no_unit = sweep_sizes(images, [tmp_path / "a.pfm"], (64,), seen, shape, CameraOptions())
    assert no_unit.rows[0].abs_rel < 1e-5
    assert no_unit.rows[0].rmse_m is None
    metric = MonoOptions("seer", parameters={"kind": "metric"})
    with pytest.raises(UsageError, match="is in no unit"):
        sweep_sizes(images, [tmp_path / "a.pfm"], (64,), metric, shape, CameraOptions())
    write_middlebury(tmp_path / "rig.txt", StereoRig.simple(W, H, 70, 0.1))
    rig = CameraOptions(tmp_path / "rig.txt")
    assert (
        sweep_sizes(images, [tmp_path / "a.pfm"], (64,), metric, shape, rig).rows[0].abs_rel < 1e-5
    )
    with pytest.raises(UsageError, match="kind = 'scale': is no truth"):
        sweep_sizes(images, truth, (64,), seen, MapOptions(kind="scale"), CameraOptions())
    write_depth_npy(tmp_path / "b.npy", TRUTH[:9])
    with pytest.raises(InputError, match="differs in size from its image"):
        sweep_sizes(images, [tmp_path / "b.npy"], (64,), seen, MapOptions(), CameraOptions())
    write_depth_npy(tmp_path / "b.npy", np.full_like(TRUTH, np.nan))
    with pytest.raises(InputError, match="holds no truth"):
        sweep_sizes(images, [tmp_path / "b.npy"], (64,), seen, MapOptions(), CameraOptions())


def test_a_method_without_an_input_size(image):
    with pytest.raises(UsageError, match="has no input size to choose"):
        sweep_sizes(find_pairs(image, None), ["x"], (9,), MonoOptions("sgm"), MapOptions(),
                    CameraOptions())  # fmt: skip


def test_sizes_in_words():
    assert sizes_of("518, 252,252") == (252, 518)
    for text in ("", "a", "0,4"):
        with pytest.raises(UsageError, match="is no list of sizes"):
            sizes_of(text)
