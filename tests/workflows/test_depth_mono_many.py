"""Depth from one image: folders, clips, input sizes."""

import json
import math

import numpy as np
import one_image
import pytest
from one_image import CALLS, TRUTH, H, W, job, points, scene

from fathom.core import (
    InputError,
    StereoRig,
    UsageError,
)
from fathom.eval.temporal import FlickerMeter, flicker
from fathom.io.calibration.middlebury import write_middlebury
from fathom.io.images import write_png
from fathom.io.maps import read_depth_npy, read_disparity, write_depth_npy, write_disparity_pfm
from fathom.io.pairing import find_pairs
from fathom.io.ply import read_ply
from fathom.workflows.depth import Listener
from fathom.workflows.depth_mono import MonoOptions
from fathom.workflows.evaluate_read import MapOptions
from fathom.workflows.mono_camera import (
    CameraOptions,
    FoundCamera,
)
from fathom.workflows.mono_clip import depth_of_clip, is_clip
from fathom.workflows.mono_kept import answer_file, read_answer
from fathom.workflows.mono_many import depth_of_images
from fathom.workflows.mono_sizes import sizes_of, sweep_sizes, write_sizes

NOWHERE = FoundCamera(None, "none", "")


@pytest.fixture(autouse=True)
def seer(monkeypatch):
    one_image.use(monkeypatch)


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
