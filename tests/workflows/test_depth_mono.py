"""Depth from one image: cameras, anchors, single images."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import one_image
import pytest
from one_image import RELATIVE, TRUTH, H, W, job, points, scene

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
from fathom.io.calibration.middlebury import write_middlebury
from fathom.io.images import write_png
from fathom.io.maps import read_depth_npy, read_disparity, write_depth_npy, write_disparity_pfm
from fathom.io.pairing import find_pairs
from fathom.io.photo import PhotoTags
from fathom.io.ply import read_ply
from fathom.workflows import mono_clock
from fathom.workflows.depth import Listener
from fathom.workflows.depth_mono import MonoOptions, answers_of, depth_of_image
from fathom.workflows.mono_anchors import AlignOptions, aligned, known_sizes
from fathom.workflows.mono_camera import (
    CameraOptions,
    FoundCamera,
    find_camera,
    simple_camera,
    with_model_focal,
)
from fathom.workflows.mono_clip import depth_of_clip
from fathom.workflows.mono_load import load_image
from fathom.workflows.mono_many import depth_of_images

NOWHERE = FoundCamera(None, "none", "")


@pytest.fixture(autouse=True)
def seer(monkeypatch):
    one_image.use(monkeypatch)


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


def test_loading_is_told_apart_from_answering(image, clip, tmp_path, monkeypatch):
    now, answers = [0.0], one_image.Seer.answers

    def taking(seconds):
        now[0] += seconds

    monkeypatch.setattr(mono_clock, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(one_image.Seer, "prepare", lambda self: taking(100.0), raising=False)
    timed = lambda self, views: (taking(3.0 * len(views)), answers(self, views))[1]  # noqa: E731
    monkeypatch.setattr(one_image.Seer, "answers", timed)
    alone = depth_of_image(find_pairs(image, None).pairs[0], tmp_path / "o", job())
    assert alone["seconds"]["load"] == 100 and alone["seconds"]["estimate"] == 3
    said = []
    many = depth_of_images(find_pairs(clip, None).pairs, tmp_path / "p", job(batch=4),
                           Listener(said.append))  # fmt: skip
    assert [one["seconds"]["load"] for one in many.done] == [100, 0, 0, 0, 0, 0]
    assert {one["seconds"]["estimate"] for one in many.done} == {3}
    assert said[-1] == "model loaded in 100.00 s; 3.00 s for each image"
    whole = depth_of_clip(str(clip), tmp_path / "q", job(steady=True), Listener(said.append))
    assert whole["seconds"]["load"] == 100 and whole["seconds"]["estimate"] == 18
    assert "model loaded in 100.00 s; 3.00 s for each frame" in said
    monkeypatch.setattr(one_image.Seer, "__call__", one_image.prompted)
    monkeypatch.setattr(one_image.Seer, "prepare", None)  # not called where no prompt is given
    first = find_pairs(image, None).pairs
    for run in (lambda: depth_of_image(first[0], tmp_path / "x", job()),
                lambda: depth_of_images(first, tmp_path / "x", job()),
                lambda: depth_of_clip(str(clip), tmp_path / "x", job())):  # fmt: skip
        with pytest.raises(UsageError, match="refines depth that is already there, and none was"):
            run()


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
