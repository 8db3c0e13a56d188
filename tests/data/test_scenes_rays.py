"""Ray-traced scenes: the rasteriser's truth bit for bit, and light that rays alone can find."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_scenes import (
    CLEAN,
    SMALL,
    assert_truth_warps,
    crowd,
    digest,
    first_hit,
    hand_made,
)

from fathom.core import MissingExtraError, UsageError
from fathom.data.kernels import layout
from fathom.data.scenes import KINDS, SceneSettings, full_scene, rays_light, rays_trace
from fathom.data.scenes import rays as module
from fathom.data.scenes.materials import Material
from fathom.data.scenes.meshes import ball, quad
from fathom.data.scenes.render import render, soup_of

pytest.importorskip("embreex")

from fathom.data.scenes.rays import nearest, render_rays
from fathom.data.scenes.rays_light import Light, Lighting, Rays
from fathom.data.scenes.rays_trace import Shot

RAYS = replace(SMALL, renderer="rays")
TINY = replace(SMALL, width=64, height=48)
WALL = quad(np.array([-9.0, -9.0, 3.0]), np.array([18.0, 0, 0]), np.array([0, 18.0, 0]))


def near_outlines(disparity: np.ndarray) -> np.ndarray:
    """Where the eight neighbours are of another surface."""
    import cv2

    window = np.ones((3, 3), np.uint8)
    return cv2.dilate(disparity, window) - cv2.erode(disparity, window) > 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_the_truth_is_the_rasterisers(kind: str) -> None:
    """Disparity, normals and masks have the same bits, but for outlines through a pixel's centre:
    one renderer names the triangle in float64, the other in float32."""
    settings = replace(RAYS, kinds=(kind,), glass=0.3, glossy=0.4, motion=0.5)
    traced = full_scene(4, settings, 1)
    flat = full_scene(4, replace(settings, renderer="raster"), 1)
    assert traced.rig == flat.rig and traced.kind == flat.kind
    for name in ("disparity", "disparity_right"):
        one, other = getattr(traced, name), getattr(flat, name)
        same = one == other
        assert same.mean() > 0.998
        assert (same | near_outlines(other)).all()
    same = traced.disparity == flat.disparity
    assert np.allclose(traced.normals[same], flat.normals[same], atol=1e-5)
    for name in set(flat.masks) - {"nonocc", "shadow"}:
        assert np.array_equal(traced.masks[name][same], flat.masks[name][same])
    for name in ("seen", "seen_right"):
        assert (getattr(traced, name) == getattr(flat, name)).mean() > 0.97
    assert not (traced.masks["nonocc"] & traced.masks["moving"]).any()


def test_rays_agree_with_the_slow_twin_and_so_does_who_is_hidden() -> None:
    world = hand_made(crowd())
    left, right = render_rays(world, shadows=True)
    rig = world.frame.rig
    rng = np.random.default_rng(0)
    for view, x_origin in ((left, 0.0), (right, rig.baseline)):
        for _ in range(60):
            x, y = int(rng.integers(64)), int(rng.integers(48))
            ray = np.array([(x - rig.left.cx) / 60, (y - rig.left.cy) / 60, 1.0])
            depth = first_hit(world, np.array([x_origin, 0.0, 0.0]), ray)
            assert abs(60 * rig.baseline / depth - view.disparity[y, x]) < 1e-3
    differ = []
    for y in range(0, 48, 5):
        for x in range(64):
            d = float(left.disparity[y, x])
            ray = np.array([(x - d - rig.left.cx) / 60, (y - rig.left.cy) / 60, 1.0])
            free = first_hit(world, np.array([rig.baseline, 0.0, 0.0]), ray)
            expected = 0 <= x - d <= 63 and free > 60 * rig.baseline / d * (1 - 1e-6)
            differ.append(expected != left.seen_by_both[y, x])
    assert (~left.seen_by_both).any()
    # the rasteriser, which asks the nearest pixel, has ten times that
    assert np.mean(differ) < 0.002


@pytest.mark.parametrize("kind", ["room", "studio"])
def test_truth_warps_the_right_view_onto_the_left(kind: str) -> None:
    """Shadows and shading, too: a place has one colour in both views."""
    settings = replace(CLEAN, kinds=(kind,), width=256, height=128, renderer="rays")
    assert_truth_warps(settings, count=2)


def test_the_same_seed_gives_the_same_bits_on_one_processor_and_in_any_order() -> None:
    script = (
        "import sys, os; sys.path.insert(0, sys.argv[1])\n"
        "if hasattr(os, 'sched_setaffinity'):\n"
        "    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from test_scenes_rays import RAYS, digest\nfrom fathom.data.scenes import full_scene\n"
        "print(*[digest(full_scene(5, RAYS, i)) for i in (1, 0)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)],
        capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.stdout.split() == [digest(full_scene(5, RAYS, i)) for i in (1, 0)]


def test_bands_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(TINY, renderer="rays")
    whole = full_scene(7, settings, 2)
    monkeypatch.setattr(module, "_BAND", 13 * 64)
    assert digest(full_scene(7, settings, 2)) == digest(whole)


def light(sun=(0.0, 0.0, -1.0), width: float = 0.02, strength: float = 1.0) -> Light:
    """A white sun towards `sun` (up to -y), and a sky and ground of one brightness."""
    numbers = np.zeros(layout.LIGHT)
    numbers[layout.SUN : layout.SUN + 3] = np.array(sun) / np.linalg.norm(sun)
    numbers[layout.SUN_COLOR : layout.SUN_COLOR + 3] = strength
    numbers[layout.SKY_COLOR : layout.GROUND_COLOR + 3] = 1.0
    return Light(numbers, width, np.zeros(0), throws=True)


def lit_at(world, pixels, light_: Light, size: float = 1e-3) -> tuple:
    """The light at pixels (n, 2) of the left view, and their colours; size: of a pixel."""
    tables = world.tables
    shot = Shot(soup_of(world), tables, moved=False)
    lighting = Lighting(shot, (tables.surfaces, tables.textures, tables.atlas), light_)
    camera, places = world.frame.rig.left, np.array(pixels, float)
    directions = np.ones((len(places), 3))
    directions[:, 0] = (places[:, 0] - camera.cx) / camera.fx
    directions[:, 1] = (places[:, 1] - camera.cy) / camera.fy
    spreads = np.zeros((len(places), 12))
    spreads[:, 6] = spreads[:, 10] = size / camera.fx
    rays = Rays(np.zeros((len(places), 3)), directions, spreads, np.zeros(len(places)),
                np.arange(len(places), dtype=np.int32) % 16)  # fmt: skip
    met = shot.met(rays.origins, rays.directions, 1e-3)
    lit = lighting.lit(rays, met)
    return lit, rays_light.layered(met, lit, np.zeros((len(places), 3), np.float32))


def world_of(*parts):
    """A world of meshes, each with changes of its material: plain grey of 0.5 without shine."""
    world = hand_made([])
    number = world.tables.add_texture(128, "checks")
    for mesh, changes, marks in parts:
        plain = Material(number, 128, 1.0, 0.0, (1.0, 1.0, 1.0), contrast=0.0)
        world.add(mesh, replace(plain, **changes), marks)
    return world


def test_a_soft_shadow_by_hand() -> None:
    """A plate with its edge at x = 0, 0.5 m before a wall 3 m away; the sun stands behind the
    camera and is 2 x 0.1 wide: the wall's shadow goes from none to full over 0.1 m about x = 0."""
    plate = quad(np.array([-2.0, -1.0, 2.5]), np.array([2.0, 0, 0]), np.array([0, 2.0, 0]))
    world = world_of((WALL, {}, 0), (plate, {}, layout.CASTS))
    camera = world.frame.rig.left

    def share(metres: float) -> float:
        # seen past the plate, from the right: only x > 0 of the wall is visible without parallax
        lit, _ = lit_at(world, [(camera.cx + camera.fx * metres / 3, camera.cy)], light(width=0.1))
        return 1 - float(lit.cut_off[-1])

    places = np.linspace(0.001, 0.06, 16)
    shares = np.array([share(x) for x in places])
    inner = np.minimum(places / 0.05, 1)  # the share of a disc on one side of a chord
    ideal = 0.5 + (np.arcsin(inner) + inner * np.sqrt(1 - inner**2)) / np.pi
    assert np.abs(shares - ideal).max() < 0.15 and shares[-1] == 1
    assert np.abs(np.mean(shares) - ideal.mean()) < 0.03
    # what throws none, and a sun that throws none
    calm = world_of((WALL, {}, 0), (plate, {}, 0))
    assert lit_at(calm, [(camera.cx + 0.2, camera.cy)], light(width=0.1))[0].cut_off.max() == 0
    without = replace(light(width=0.1), throws=False)
    assert lit_at(world, [(camera.cx + 0.2, camera.cy)], without)[0].cut_off.max() == 0


def test_a_lamp_has_a_shadow_too() -> None:
    """A lamp at the camera lights what the camera sees; one beside it has a shadow to the other
    side."""
    plate = quad(np.array([-0.3, -0.3, 2.0]), np.array([0.6, 0, 0]), np.array([0, 0.6, 0]))
    world = world_of((WALL, {}, 0), (plate, {}, layout.CASTS))
    camera = world.frame.rig.left
    for x, dark in ((0.0, False), (-1.0, True)):
        base = light(strength=0.0)
        lamp = np.array([x, 0.0, 0.0, 1.0, 1.0, 1.0, 4.0])
        numbers = np.concatenate([base.numbers, lamp])
        numbers[layout.LAMPS] = 1
        lamps = replace(base, numbers=numbers, lamps=np.array([0.01]))
        beside = (camera.cx + camera.fx * 0.6 / 3, camera.cy)  # the lamp's shadow: 0.5 +- 0.45 m
        _, colors = lit_at(world, [beside], lamps)
        alone = lit_at(world, [beside], replace(lamps, throws=False))[1]
        assert bool(colors[0, 0] < 0.9 * alone[0, 0]) is dark


def test_the_sky_in_a_corner_by_hand() -> None:
    """Floor and wall: half of the sky is hidden at the foot, none far out, none of a lone floor."""
    floor = quad(np.array([-50.0, 1.0, 0.0]), np.array([100.0, 0, 0]), np.array([0, 0, 3.0]))
    wall = quad(np.array([-50.0, -50.0, 3.0]), np.array([100.0, 0, 0]), np.array([0, 51.0, 0]))
    world = world_of((floor, {}, 0), (wall, {}, 0))
    camera = world.frame.rig.left
    grey = 0.5**2  # textures are kept as the square of what is shown

    def brightness(depth: float) -> float:
        row = camera.cy + camera.fy / depth
        pixels = [(camera.cx + n, row) for n in range(16)]
        return float(lit_at(world, pixels, light(strength=0.0))[1].mean())

    albedo = brightness(1.0)
    assert albedo == pytest.approx(0.5, abs=1e-6) or albedo == pytest.approx(grey, abs=1e-6)
    half = 0.5 / (1 - albedo * 0.5)
    assert brightness(2.999) == pytest.approx(albedo * half, rel=0.05)
    assert albedo * half < brightness(2.6) < albedo


def test_a_mirror_shows_the_scene_by_hand() -> None:
    """A mirror 2 m away shows what stands 1 m behind the camera: pixel column X sees x = 5 X."""
    mirror = quad(np.array([-9.0, -9.0, 2.0]), np.array([18.0, 0, 0]), np.array([0, 18.0, 0]))
    board = quad(np.array([-20.0, -20.0, -1.0]), np.array([20.5, 0, 0]), np.array([0, 40.0, 0]))
    world = world_of((mirror, {"mirror": 1.0}, 0), (board, {"glow": 3.0}, 0))
    camera = world.frame.rig.left
    columns = [camera.cx + camera.fx * x / 5 for x in (-1.0, 0.4, 0.49, 0.51, 1.0)]
    _, colors = lit_at(world, [(x, camera.cy) for x in columns], light(strength=0.0))
    assert np.allclose(colors[:3], 1.5)
    # beside the board the picture of the surroundings is seen
    assert not np.allclose(colors[3:], 1.5, atol=0.05) and (colors[3:] > 0).all()


def test_two_mirrors_end() -> None:
    """Mirrors that face each other for ever are followed for two bounces."""
    ahead = quad(np.array([-9.0, -9.0, 2.0]), np.array([18.0, 0, 0]), np.array([0, 18.0, 0]))
    behind = quad(np.array([-9.0, -9.0, -1.0]), np.array([18.0, 0, 0]), np.array([0, 18.0, 0]))
    world = world_of((ahead, {"mirror": 0.9}, 0), (behind, {"mirror": 0.9}, 0))
    assert np.isfinite(lit_at(world, [(20, 20)], light())[1]).all()


def test_panes_tint_what_is_behind_them_by_hand() -> None:
    """Two panes of opacity 0.25 and a tint before a glowing wall: 0.75 tint each, and each adds a
    quarter of its own light."""
    panes = [
        quad(np.array([-9.0, -9.0, z]), np.array([18.0, 0, 0]), np.array([0, 18.0, 0]))
        for z in (1.5, 2.0)
    ]
    glass = {"opacity": 0.25, "tint": (1.0, 0.5, 1.0), "marks": layout.TRANSPARENT}
    world = world_of((WALL, {"glow": 4.0}, 0), *((pane, glass, 0) for pane in panes))
    lit, colors = lit_at(world, [(20, 20)], light(strength=0.0))
    tint = np.array([1.0, 0.4 + 0.6 * 0.5, 1.0])
    own, clear = 0.25 * 0.5 * np.array([1.0, 0.5, 1.0]), 0.75 * tint
    assert lit.colors.shape == (3, 3)
    assert np.allclose(lit.through[:2], clear, atol=1e-6)
    assert np.allclose(colors[0], own + clear * (own + clear * 4.0 * 0.5), atol=1e-5)
    # its shadow is as deep as it is solid
    shade = world_of((WALL, {}, 0), (panes[1], glass, layout.CASTS))
    lit, _ = lit_at(shade, [(20, 20)], light())
    assert lit.cut_off[1] == pytest.approx(0.25) and lit.cut_off[0] == 0


def test_holes_let_rays_and_light_through() -> None:
    """A sheet with holes, seen by both renderers alike; the sun shines through the same holes."""
    sheet = replace(quad(np.array([-0.8, -0.8, 2.0]), np.array([1.6, 0, 0]),
                         np.array([0, 1.6, 0])), hole="pierced")  # fmt: skip
    world = world_of((WALL, {}, 0), (sheet, {}, layout.CASTS))
    left, _ = render_rays(world, shadows=True)
    again, _ = render(world, shadows=True)
    assert np.array_equal(left.disparity, again.disparity)
    front = left.disparity > 2.5
    assert front.any() and not front[12:36, 20:44].all()
    # light along the line of sight meets the sheet nowhere that the eye does not
    camera = world.frame.rig.left
    pixels = np.argwhere(~front)[:, ::-1]
    at_eye = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 4.0])
    base = light(strength=0.0)
    numbers = np.concatenate([base.numbers, at_eye])
    numbers[layout.LAMPS] = 1
    lamp = replace(base, numbers=numbers, lamps=np.array([1e-6]))
    _, colors = lit_at(world, pixels, lamp)
    _, free = lit_at(world, pixels, replace(lamp, throws=False))
    assert np.mean(np.abs(colors - free).max(1) < 1e-6) > 0.97
    assert camera.width == 64


def test_a_ball_does_not_shade_itself_in_facets() -> None:
    """Where its smooth normal faces the sun a ball is lit, although its triangles may face away."""
    world = world_of((ball((0.8, 0.8, 0.8)).moved(np.eye(3), np.array([0, 0, 3.0])), {},
                      layout.CASTS))  # fmt: skip
    y, x = np.mgrid[8:40, 16:48]
    sun = np.array([1.0, 0.0, -0.1])
    lit, _ = lit_at(world, np.stack([x.ravel(), y.ravel()], 1), light(tuple(sun), 0.001))
    facing = lit.records[:, layout.NORMAL : layout.NORMAL + 3] @ (sun / np.linalg.norm(sun))
    assert (facing > 0.02).sum() > 50
    assert (lit.cut_off[facing > 0.02] < 0.5).mean() > 0.98


def test_a_hollow_has_no_dark_seams() -> None:
    """Rays to the sun start anywhere in the pixel, and never below the next triangle of a bowl."""
    seam = np.array([0.0, -9.0, 3.0])
    sides = [quad(seam, np.array([x, 0.0, -0.34]), np.array([0, 18.0, 0])) for x in (-2.0, 2.0)]
    world = world_of(*((side, {}, layout.CASTS) for side in sides))
    middle = world.frame.rig.left.cx
    pixels = [(middle + x, y) for x in np.linspace(-0.6, 0.6, 25) for y in (10, 30)]
    lit, _ = lit_at(world, pixels, light(width=1e-4), size=1.0)
    assert len(lit.cut_off) == 50 and lit.cut_off.max() == 0


def test_a_plain_open_wall_looks_as_the_rasteriser_shows_it() -> None:
    """Nothing hides the sky, no shadow: one shading in two programs."""
    for seed in range(3):
        traced, _ = render_rays(hand_made([WALL], seed), shadows=False)
        flat, _ = render(hand_made([WALL], seed), shadows=False)
        assert np.allclose(traced.colors, flat.colors, atol=1e-5)
        assert np.allclose(traced.normals, flat.normals)


def test_moved_things_are_where_they_are_in_each_shot() -> None:
    settings = replace(TINY, renderer="rays", motion=1.0, kinds=("studio",))
    made = full_scene(0, settings)
    assert made.masks["moving"].any() and made.masks_right["moving"].any()


def test_what_is_met_is_in_order() -> None:
    world = world_of((WALL, {}, 0))
    shot = Shot(soup_of(world), world.tables, moved=False)
    met = shot.met(np.zeros((2, 3)), np.array([[0.0, 0, 1], [0.0, 0, -1]]), 0.1)
    assert met.ray.tolist() == [0] and met.distance == pytest.approx(3.0)
    assert nearest(met, 2)[1] == -1 and nearest(met, 2)[0] >= 0
    beyond = shot.met(np.zeros((1, 3)), np.array([[0.0, 0, 1]]), 3.5)
    assert beyond.ray.size == 0


def test_without_embreex_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "embreex.rtcore_scene", None)
    with pytest.raises(MissingExtraError, match=r"embreex .*fathom-depth\[scenes\]"):
        rays_trace.embree()
    full_scene(0, TINY)  # the rasteriser wants none of it


@pytest.mark.usefixtures("unchecked")
def test_the_renderers_name() -> None:
    with pytest.raises(UsageError, match="renderer"):
        SceneSettings(renderer="ray")
