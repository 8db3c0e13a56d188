"""Procedural scenes: exact truth, the same bits everywhere, variety."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fathom.core import InputError, StereoRig, UsageError
from fathom.data.kernels import layout
from fathom.data.scenes import KINDS, MASKS, Scenes, SceneSettings, full_scene, scene
from fathom.data.scenes import textures as texture_module
from fathom.data.scenes.masks import MASKS as HOLES
from fathom.data.scenes.masks import mask
from fathom.data.scenes.materials import Material, Tables
from fathom.data.scenes.meshes import ball, box, quad, rod, rotation
from fathom.data.scenes.noise import source
from fathom.data.scenes.photos import free_photos, photo, photos_of
from fathom.data.scenes.render import render
from fathom.data.scenes.shapes import SHAPES
from fathom.data.scenes.world import Frame, World, frame_of

SMALL = SceneSettings(width=160, height=96)
CLEAN = replace(SMALL, effects=False, glossy=0.0, glass=0.0, night=0.0)


def digest(made) -> str:
    parts = (made.left, made.right, made.disparity, made.disparity_right, made.normals)
    return hashlib.sha256(b"".join(p.tobytes() for p in (*parts, *made.masks.values()))).hexdigest()


def warped(right: np.ndarray, disparity: np.ndarray) -> np.ndarray:
    import cv2

    height, width = disparity.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return cv2.remap(right.astype(np.float32), x - disparity, y, cv2.INTER_LINEAR)


def away_from_edges(made) -> np.ndarray:
    """Where both views show one surface around the pixel."""
    import cv2

    def steps(values):
        jumps = np.abs(cv2.Laplacian(values, cv2.CV_32F)) > 0.4
        return cv2.dilate(jumps.astype(np.float32), np.ones((5, 5)))

    there = warped(steps(made.disparity_right), made.disparity)
    return made.seen & (steps(made.disparity) == 0) & (there < 0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_truth_warps_the_right_view_onto_the_left(kind: str) -> None:
    assert_truth_warps(replace(CLEAN, kinds=(kind,), width=256, height=128), count=3)


def assert_truth_warps(settings: SceneSettings, count: int) -> None:
    """To a grey level or two, and a tenth of a pixel beside the truth is worse."""
    errors = {-0.2: [], 0.0: [], 0.2: []}
    for index in range(count):
        made = full_scene(1, settings, index)
        use = away_from_edges(made)
        assert use.mean() > 0.25
        for off, found in errors.items():
            difference = np.abs(made.left - warped(made.right, made.disparity + np.float32(off)))
            found.append(float(difference[use].mean()))
    means = {off: np.mean(found) for off, found in errors.items()}
    assert means[0.0] < 3.0
    assert means[0.0] < 0.9 * min(means[-0.2], means[0.2])


def test_both_views_tell_the_same_disparity() -> None:
    for index in range(4):
        made = full_scene(2, SMALL, index)
        use = away_from_edges(made)
        there = warped(made.disparity_right, made.disparity)
        assert np.quantile(np.abs(there - made.disparity)[use], 0.99) < 0.02


def test_the_same_seed_gives_the_same_bits_in_any_process_order_and_thread_count() -> None:
    script = (
        "import sys, cv2, hashlib; sys.path.insert(0, sys.argv[1]); cv2.setNumThreads(1)\n"
        "from test_scenes import SMALL, digest\nfrom fathom.data.scenes import full_scene\n"
        "print(*[digest(full_scene(5, SMALL, i)) for i in (2, 0, 1)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)],
        capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.stdout.split() == [digest(full_scene(5, SMALL, i)) for i in (2, 0, 1)]


def test_other_seeds_and_indices_are_other_scenes() -> None:
    seen = {digest(full_scene(s, SMALL, i)) for s, i in ((0, 0), (0, 1), (1, 0))}
    assert len(seen) == 3


def hand_made(meshes, seed: int = 0) -> World:
    """A world of plain surfaces before a camera of focal length 60."""
    rig = StereoRig.simple(64, 48, 60.0, 0.1)
    rng = source(seed)
    tables = Tables(SMALL, rng)
    frame = Frame(rig, 30.0, 1.0, np.eye(3))
    world = World(rng, SMALL, frame, tables)
    number = tables.add_texture(128, "checks")
    for mesh in meshes:
        world.add(mesh, Material(number, 128, 1.0, 0.0, (1.0, 1.0, 1.0)), layout.CASTS)
    return world


def first_hit(world: World, origin: np.ndarray, ray: np.ndarray) -> float:
    """Depth along z of the nearest triangle a ray meets (Moeller and Trumbore, 1997); inf: none.

    The slow readable twin of the rasteriser."""
    nearest = np.inf
    for mesh in world.meshes:
        a, b, c = (mesh.points[mesh.corners[:, i]] for i in range(3))
        p = np.cross(ray, c - a)
        det = ((b - a) * p).sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            s = origin - a
            u = (s * p).sum(1) / det
            q = np.cross(s, b - a)
            v = (q @ ray) / det
            t = ((c - a) * q).sum(1) / det
            hit = (np.abs(det) > 1e-12) & (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 1e-9)
        if hit.any():
            nearest = min(nearest, float(t[hit].min()))
    return nearest


def crowd() -> list:
    rng = source(3)
    back = quad(np.array([-9.0, -9.0, 4.0]), np.array([18.0, 0, 3]), np.array([0, 18.0, 1]))
    turn = rotation(rng)
    things = [ball((0.4, 0.3, 0.3)).moved(turn, np.array([0.1, 0, 1.5]))]
    things += [m.moved(turn, np.array([-0.4, 0.2, 1.2])) for m in box((0.3, 0.5, 0.2))]
    things += [rod([0.3, -1, 1.0], [0.35, 1, 1.4], 0.03)]
    return [back, *things]


def test_every_ray_agrees_with_the_slow_twin() -> None:
    world = hand_made(crowd())
    left, right = render(world, shadows=True)
    rig = world.frame.rig
    rng = np.random.default_rng(0)
    wrong = 0
    for view, x_origin in ((left, 0.0), (right, rig.baseline)):
        for _ in range(150):
            x, y = int(rng.integers(64)), int(rng.integers(48))
            ray = np.array([(x - rig.left.cx) / 60, (y - rig.left.cy) / 60, 1.0])
            depth = first_hit(world, np.array([x_origin, 0.0, 0.0]), ray)
            wrong += abs(60 * rig.baseline / depth - view.disparity[y, x]) > 1e-3
    assert wrong == 0


def test_who_is_hidden_agrees_with_the_slow_twin() -> None:
    world = hand_made(crowd())
    left, _ = render(world, shadows=False)
    rig, differ, count = world.frame.rig, 0, 0
    for y in range(0, 48, 3):
        for x in range(64):
            d = float(left.disparity[y, x])
            depth = 60 * rig.baseline / d
            there = x - d
            ray = np.array([(there - rig.left.cx) / 60, (y - rig.left.cy) / 60, 1.0])
            free = first_hit(world, np.array([rig.baseline, 0.0, 0.0]), ray)
            expected = 0 <= there <= 63 and free > depth * (1 - 1e-6)
            differ += expected != left.seen_by_both[y, x]
            count += 1
    assert (~left.seen_by_both).any()
    assert differ / count < 0.02  # only where an outline runs between two pixels


def test_a_plane_by_hand() -> None:
    """Depth 3 m, focal length 60 px, baseline 0.1 m: 2 px everywhere, seen but for 2 columns."""
    wall = quad(np.array([-9.0, -9.0, 3.0]), np.array([18.0, 0, 0]), np.array([0, 18.0, 0]))
    left, right = render(hand_made([wall]), shadows=False)
    assert np.allclose(left.disparity, 2.0) and np.allclose(right.disparity, 2.0)
    assert left.seen_by_both[:, 2:].all() and not left.seen_by_both[:, :2].any()
    assert right.seen_by_both[:, :62].all() and not right.seen_by_both[:, 62:].any()
    assert np.allclose(left.normals, (0, 0, -1))
    assert np.allclose(left.colors[:, 2:], right.colors[:, :62], atol=1e-5)


def test_a_shadow_by_hand() -> None:
    """A plate between the sun and the wall throws a shadow, and only there."""
    wall = quad(np.array([-9.0, -9.0, 3.0]), np.array([18.0, 0, 0]), np.array([0, 18.0, 0]))
    plate = quad(np.array([-0.3, -0.3, 2.7]), np.array([0.6, 0, 0]), np.array([0, 0.6, 0]))
    shares = []
    for seed in range(6):  # the sun stands elsewhere each time, now and then behind the wall
        lit, _ = render(hand_made([wall, plate], seed), shadows=False)
        assert not (lit.marks & layout.SHADOW).any()
        shaded, _ = render(hand_made([wall, plate], seed), shadows=True)
        dark = shaded.marks & layout.SHADOW > 0
        assert np.array_equal(lit.disparity, shaded.disparity)
        assert (shaded.colors[dark] <= lit.colors[dark] + 1e-6).all()
        shares.append(dark.mean())
    assert max(shares) < 0.2 and sum(share > 0.005 for share in shares) >= 2


@pytest.mark.parametrize("index", range(6))
def test_what_every_scene_has(index: int) -> None:
    made = full_scene(11, replace(SMALL, motion=0.5), index)
    assert made.left.shape == made.right.shape == (96, 160, 3) and made.left.dtype == np.uint8
    assert np.isfinite(made.disparity).all() and (made.disparity > 0).all()
    assert made.disparity.max() <= 160 * 0.15 * 2.3 * 1.3 + 1
    assert set(made.masks) == set(MASKS)
    assert made.rig.max_disparity >= made.disparity.max() - 1e-3
    assert np.allclose(np.linalg.norm(made.normals, axis=2), 1, atol=1e-4)
    camera = made.rig.left
    y, x = np.mgrid[:96, :160]
    rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)], -1)
    assert ((made.normals * rays).sum(2) <= 1e-4).all()
    outside = x - made.disparity < 0
    assert not made.seen[outside].any()
    assert not (made.masks["moving"] & made.masks["nonocc"]).any()
    assert made.sample.name == f"scene-11-{index:06d}"


def test_disparities_are_varied_as_the_settings_say() -> None:
    """Most largest disparities lie within 5..15 % of the width, with tails on both sides."""
    settings = SceneSettings()
    frames = [frame_of(source(i), settings, KINDS[i % len(KINDS)]) for i in range(400)]
    shares = np.array([frame.largest / settings.width for frame in frames])
    assert 0.6 < ((shares >= 0.05) & (shares <= 0.15)).mean() < 0.8
    assert (shares < 0.05).mean() > 0.05 and (shares > 0.15).mean() > 0.05
    assert shares.min() > 0.05 / 3 - 1e-9 and shares.max() < 0.15 * 2.3 + 1e-9
    made = [full_scene(3, SMALL, i) for i in range(6)]
    assert len({scene.kind for scene in made}) > 2
    for scene_ in made:  # what was wanted is there: the nearest thing is cut at 1.3 times it
        wanted = frame_of_scene(3, SMALL, scene_.index).largest
        assert 0.5 * wanted < scene_.disparity.max() <= 1.3 * wanted + 1e-3


def frame_of_scene(seed: int, settings: SceneSettings, index: int) -> Frame:
    rng = source(seed, index, 0)
    kind = settings.kinds[int(rng.integers(len(settings.kinds)))]
    return frame_of(rng, settings, kind)


def test_switches() -> None:
    calm = replace(SMALL, shadows=0.0, glass=0.0, glossy=0.0, kinds=("studio",))
    made = full_scene(0, calm)
    for name in ("shadow", "transparent", "reflective", "moving"):
        assert not made.masks[name].any()
    assert full_scene(0, replace(calm, night=1.0)).is_night
    glassy = [full_scene(0, replace(calm, glass=1.0), i) for i in range(4)]
    assert any(m.masks["transparent"].any() for m in glassy)
    moving = [full_scene(0, replace(calm, motion=1.0), i) for i in range(4)]
    assert any(m.masks["moving"].any() for m in moving)


def test_effects_leave_the_scene_as_it_is() -> None:
    noisy, clean = full_scene(6, SMALL), full_scene(6, replace(SMALL, effects=False))
    assert np.array_equal(noisy.disparity, clean.disparity)
    assert not np.array_equal(noisy.left, clean.left)


@pytest.mark.parametrize("kind", texture_module.KINDS)
def test_textures(kind: str) -> None:
    for side in (128, 256):
        made = texture_module.texture(source(1, side), side, kind)
        assert made.shape == (side, side, 3) and made.dtype == np.float32
        assert made.min() >= 0 and made.max() <= 1 and made.std() > 0.003
    levels = texture_module.packed(made)
    assert levels.size == 3 * sum(4**i for i in range(9))
    assert abs(levels[-1] / 65535 - (made[..., 2] ** 2).mean()) < 2e-3


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name: str) -> None:
    for seed in range(4):
        for mesh in SHAPES[name][2](source(seed), 2.0):
            assert np.isfinite(mesh.points).all() and np.isfinite(mesh.uv).all()
            assert mesh.corners.max() < len(mesh.points) and mesh.corners.min() >= 0
            assert np.abs(mesh.points).max() < 6
            assert mesh.hole in ("", *HOLES)


@pytest.mark.parametrize("kind", HOLES)
def test_masks_have_matter_and_air(kind: str) -> None:
    made = [mask(source(seed), kind) for seed in range(3)]
    assert all((m > 127).any() for m in made) and any((m < 128).any() for m in made)


def test_photos_are_the_free_ones_and_the_users(tmp_path: Path) -> None:
    from fathom.io.images import write_png

    names = {path.name for path in free_photos()}
    assert "coffee.png" in names and not any("motorcycle" in name for name in names)
    with pytest.raises(InputError, match="holds no picture"):
        photos_of(tmp_path)
    write_png(tmp_path / "red.png", np.full((40, 2000, 3), (200, 0, 0), np.uint8))
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    photos_of.cache_clear()
    assert [p.name for p in photos_of(tmp_path)] == ["red.png", "torn.png"]
    assert photo(tmp_path / "red.png").shape == (20, 1024, 3)
    assert photo(tmp_path / "torn.png") is None  # a damaged file ends no endless stream
    made = [texture_module.texture(source(i), 128, "photo", tmp_path) for i in range(8)]
    assert any(m.std((0, 1)).max() < 0.01 and m[..., 0].mean() > 0.2 for m in made)
    scene(0, replace(SMALL, photos=tmp_path))
    with pytest.raises(InputError, match="is no folder"):
        scene(0, replace(SMALL, photos=tmp_path / "nowhere"))


def test_rows_of_scenes() -> None:
    three = Scenes(SMALL, seed=5, count=3)
    assert len(three) == 3 and len(list(three)) == 3
    assert digest(three.full(1)) == digest(full_scene(5, SMALL, 1))
    with pytest.raises(IndexError):
        three[3]
    with pytest.raises(IndexError):
        Scenes(SMALL)[-1]
    with pytest.raises(TypeError, match="no length"):
        len(Scenes(SMALL))
    for wrong in ({"seed": -1}, {"count": 0}):
        with pytest.raises(UsageError):
            Scenes(SMALL, **wrong)
    with pytest.raises(UsageError, match="is negative"):
        scene(-1, SMALL)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"width": 8}, "is no size of a scene"),
        ({"kinds": ()}, "names no background"),
        ({"kinds": ("rom",)}, "did you mean room"),
        ({"least_objects": 9, "most_objects": 3}, "is no number of objects"),
        ({"near": 0.3, "nearest": 0.1}, "is no range of largest disparities"),
        ({"night": 1.5}, "is no share"),
    ],
)
def test_wrong_settings(wrong, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SceneSettings(**wrong)


def test_an_unknown_name_of_the_package() -> None:
    import fathom.data.scenes

    with pytest.raises(AttributeError, match="no attribute 'scens'"):
        fathom.data.scenes.scens  # noqa: B018
