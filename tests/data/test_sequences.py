"""Sequences of a moving camera: exact, reproducible, and frames with their neighbours."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fathom.core import Camera, InputError, UsageError
from fathom.data.clips import Clip, Moments, read_clip
from fathom.data.kernels import layout as at
from fathom.data.scenes import SceneSettings, full_scene
from fathom.data.scenes.meshes import turned_about_x
from fathom.data.scenes.render import staged
from fathom.data.scenes.sample import built
from fathom.data.scenes.sequence import SequenceSettings, sequence
from fathom.io.images import write_png

SCENE = replace(SequenceSettings().scene, width=96, height=64)
SETTINGS = SequenceSettings(scene=SCENE, frames=3)


@pytest.fixture(scope="module")
def clip():
    return sequence(11, SETTINGS, 3)


def moved(depth, camera, motion):
    """Where the other camera sees each pixel (x, y), and at what depth."""
    y, x = np.mgrid[: depth.shape[0], : depth.shape[1]]
    rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)], -1)
    points = (rays * depth[..., None]) @ motion[:3, :3].T + motion[:3, 3]
    z = points[..., 2]
    return camera.fx * points[..., 0] / z + camera.cx, camera.fy * points[..., 1] / z + camera.cy, z


def depth_error(clip, motion):
    """Median relative error of the second frame's depth as the first one tells it."""
    x, y, z = moved(clip.depths[0], clip.camera, motion)
    column, row = np.round(x), np.round(y)
    width, height = clip.camera.size
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (z > 0)
    there = clip.depths[1][row[inside].astype(int), column[inside].astype(int)]
    return float(np.nanmedian(np.abs(there - z[inside]) / z[inside]))


def test_depth_pose_and_intrinsics_are_of_one_world(clip):
    motion = np.linalg.inv(clip.poses[1]) @ clip.poses[0]
    assert depth_error(clip, motion) < 0.003
    turned = motion.copy()
    turned[:3, :3] = turned[:3, :3].T
    for wrong in (np.eye(4), np.linalg.inv(motion), turned):
        assert depth_error(clip, wrong) > 0.006


def test_the_right_view_is_the_left_one_moved_by_the_baseline(clip):
    """Disparity f b / Z of the left view finds the same colours in the right one."""
    y, x = np.mgrid[:64, :96]
    column = np.round(x - clip.camera.fx * clip.baseline / clip.depths[2])
    inside = (column >= 0) & np.isfinite(clip.depths[2])
    left, right = clip.left[2].astype(int), clip.right_images[2].astype(int)
    pairs = right[y[inside], column[inside].astype(int)] - left[inside]
    unmoved = right[inside] - left[inside]
    assert np.median(np.abs(pairs)) < 0.5 * np.median(np.abs(unmoved))


def test_it_begins_where_the_scene_stands_and_is_the_same_again(clip):
    whole = full_scene(11, SCENE, 3)
    depth = whole.rig.depth_of(whole.disparity)
    known = np.isfinite(clip.depths[0])
    np.testing.assert_array_equal(clip.depths[0][known], depth[known])
    assert np.array_equal(clip.poses[0], np.eye(4))
    again = sequence(11, SETTINGS, 3)
    for name in ("left", "right_images", "depths", "poses"):
        np.testing.assert_array_equal(getattr(again, name), getattr(clip, name))
    other = sequence(12, replace(SETTINGS, frames=2), 3)
    assert not np.array_equal(other.left[0], clip.left[0])


def test_light_and_shadow_stay_where_they_are():
    """Of a night in a room, with lamps: what another camera's frame must not change."""
    night = replace(SCENE, kinds=("room",), night=1.0, shadows=1.0)
    world, shadows = built(3, night, 0)
    here = staged(world, shadows=shadows)
    turn, offset = turned_about_x(0.4) @ np.diag([-1.0, 1, -1]), np.array([0.3, -0.2, 0.7])
    there = here.seen_by(turn, offset)
    assert shadows and here.light[at.SHADOW_SIZE] > 0 and here.light[at.LAMPS] > 0
    told = [_of_light(stage) for stage in (here, there)]
    for before, after in zip(*told, strict=True):
        np.testing.assert_allclose(after, before, atol=1e-9)
    np.testing.assert_allclose(there.soup.points, here.soup.points @ turn.T + offset)


def _of_light(stage):
    """Places in the shadow map, distances from the lamps, cosines to the sun."""
    points, light = stage.soup.points, stage.light
    rows = light[at.SHADOW_X : at.SHADOW_X + 12].reshape(3, 4)
    lamp = light[at.LIGHT : at.LIGHT + 3]
    normals = stage.soup.normals.reshape(-1, 3)
    return (
        points @ rows[:, :3].T + rows[:, 3],
        np.linalg.norm(points - lamp, axis=1),
        normals @ light[at.SUN : at.SUN + 3],
    )


def test_the_path_is_smooth_and_goes_forward():
    from fathom.data.scenes.noise import source
    from fathom.data.scenes.sequence import path

    poses = path(source(0, 0, 2), replace(SETTINGS, frames=40), 2.0)
    steps = np.linalg.inv(poses[:-1]) @ poses[1:]
    lengths = np.linalg.norm(steps[:, :3, 3], axis=1)
    np.testing.assert_allclose(lengths, 0.06 * 2.0)
    assert (steps[:, 2, 3] > 0.7 * lengths).all()
    angles = np.degrees(np.arccos((np.trace(steps[:, :3, :3], axis1=1, axis2=2) - 1) / 2))
    assert angles.max() < 1.1 and angles.max() > 0.2
    assert np.degrees(np.abs(np.diff(steps[:, 0, 2]))).max() < 1.0


def test_moments_are_frames_with_neighbours(clip):
    moments = Moments([clip])
    assert isinstance(clip, Clip) and moments.names == ("sequence-11-000003-0001",)
    found = moments[0]
    np.testing.assert_array_equal(found.view.image, clip.left[1])
    np.testing.assert_array_equal(found.neighbours[0].image, clip.left[0])
    np.testing.assert_array_equal(found.neighbours[1].image, clip.left[2])
    point = np.array([0.1, 0.2, 3.0, 1.0])
    np.testing.assert_allclose(
        clip.poses[2] @ found.motions[1] @ point, clip.poses[1] @ point, atol=1e-12
    )
    assert len(Moments([clip, clip], offsets=(1,))) == 4
    assert Moments([clip], offsets=(1,), first=-2).names == ("sequence-11-000003-0001",)
    with pytest.raises(InputError, match="no frame has its neighbours"):
        Moments([clip], end=2)
    with pytest.raises(UsageError, match="are no neighbours"):
        Moments([clip], offsets=(0, 1))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"frames": 1}, "is no sequence"),
        ({"step": 0.0}, "is no step"),
        ({"turn": 91.0}, "is no way of a camera"),
        ({"scene": SceneSettings(renderer="rays")}, "has no sequences"),
    ],
)
def test_ways_no_camera_takes(values, words):
    with pytest.raises(UsageError, match=words):
        SequenceSettings(**values)


@pytest.fixture
def folder(tmp_path, clip):
    for side, images in (("left", clip.left), ("right", clip.right_images)):
        (tmp_path / side).mkdir()
        for i, image in enumerate(images):
            write_png(tmp_path / side / f"{i:06d}.png", image)
    c = clip.camera
    calib = {"fx": c.fx, "fy": c.fy, "cx": c.cx, "cy": c.cy, "doffs": 0, "baseline_m": 0.25}
    (tmp_path / "calib.json").write_text(json.dumps(calib))
    lines = [" ".join(map(repr, p[:3].ravel().tolist())) for p in clip.poses]
    (tmp_path / "poses.txt").write_text("\n".join(lines))
    return tmp_path


def test_a_clip_from_disk(folder, clip):
    found = read_clip(folder)
    assert isinstance(found, Clip) and len(found) == 3 and found.baseline == 0.25
    moment = Moments([found])[0]
    np.testing.assert_array_equal(moment.view.image, clip.left[1])
    np.testing.assert_array_equal(moment.right.image, clip.right_images[1])
    np.testing.assert_allclose(moment.motions[0], Moments([clip])[0].motions[0], atol=1e-12)
    assert moment.truth is None and moment.camera == clip.camera
    alone = read_clip(folder / "left", clip.camera)
    assert alone.baseline is None and alone.right(0) is None and alone.poses is None


def test_clips_that_cannot_serve(folder, clip):
    with pytest.raises(InputError, match="is not there, or says not all"):
        read_clip(folder / "left")
    with pytest.raises(InputError, match="differs in size from the camera"):
        read_clip(folder, Camera(64, 64, 50, 50, 32, 32)).view(0)
    (folder / "poses.txt").write_text("1 2 3\n" * 3)
    with pytest.raises(InputError, match="is no list of the frames' poses"):
        read_clip(folder)
    (folder / "right" / "000002.png").unlink()
    with pytest.raises(InputError, match="holds not as many frames"):
        read_clip(folder)
