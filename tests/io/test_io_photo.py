"""A photo's tags: focal length, orientation, panorama, animation."""

import math

import numpy as np
import pytest
from PIL import Image

from fathom.core import InputError
from fathom.io.photo import PhotoTags, focal_of, read_tags, refuse_animation, upright

FOCAL, FILM, ZOOM, RES, UNIT, WIDE, TALL = 0x920A, 0xA405, 0xA404, 0xA20E, 0xA210, 0xA002, 0xA003


@pytest.mark.parametrize(
    ("tags", "size", "focal"),
    [
        # a phone: 26 mm of 43.27 mm over the diagonal of 4000 x 3000
        ({FILM: 26}, (4000, 3000), 26 * 5000 / math.hypot(36, 24)),
        ({FILM: 26}, (400, 300), 26 * 500 / math.hypot(36, 24)),
        # a Canon 5D: 24 mm, 4368 pixels over 36 mm, resolution in inches
        ({FOCAL: 24.0, RES: 4368 / 36 * 25.4, UNIT: 2}, (4368, 2912), 24 * 4368 / 36),
        # the same photo at half its size, turned
        (
            {FOCAL: 24.0, RES: 4368 / 36 * 25.4, UNIT: 2, WIDE: 4368, TALL: 2912},
            (1456, 2184),
            12 * 4368 / 36,
        ),
        ({FOCAL: 24.0, RES: 121.333, UNIT: 4, ZOOM: 2.0}, (4368, 2912), 48 * 121.333),
        # a preview's resolution contradicts the film's focal length, which then counts
        ({FOCAL: 4.2, RES: 72, UNIT: 2, FILM: 28}, (4000, 3000), 28 * 5000 / math.hypot(36, 24)),
    ],
)
def test_focal_length_from_tags(tags, size, focal):
    found = focal_of(tags, size)
    assert found is not None
    assert found[0] == pytest.approx(focal, rel=1e-4)


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {FOCAL: 4.2},
        {FILM: 0},
        {FILM: "many"},
        {FILM: float("nan")},
        {FILM: 9000},
        {FILM: 26, WIDE: 4000, TALL: 3000},  # cropped to a square since
    ],
)
def test_no_focal_length(tags):
    assert focal_of(tags, (1000, 1000)) is None


def test_tags_of_a_file_and_of_none(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[FILM] = 26
    image = Image.new("RGB", (40, 30))
    image.save(tmp_path / "a.jpg", exif=exif)
    found = read_tags(tmp_path / "a.jpg")
    assert found.orientation == 6
    assert found.focal == pytest.approx(26 * 50 / math.hypot(36, 24))
    assert "35mm" in found.how
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff nothing")
    assert read_tags(tmp_path / "b.jpg") == PhotoTags()
    assert read_tags(tmp_path / "none.jpg") == PhotoTags()


def test_a_panorama_says_so(tmp_path):
    xmp = b'<x GPano:ProjectionType="equirectangular"/>'
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", xmp=xmp)
    assert read_tags(tmp_path / "a.jpg").panorama


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.gif"])
def test_animations_are_refused(tmp_path, name):
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match=r"is an animation of 2 frames; expected one image"):
        refuse_animation(tmp_path / name, read_tags(tmp_path / name))


def test_upright_is_what_pillow_shows(tmp_path):
    from PIL import ImageOps

    pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 3)).astype(np.uint8)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        image = Image.fromarray(pixels)
        image.save(tmp_path / "a.png", exif=exif)
        with Image.open(tmp_path / "a.png") as stored:
            shown = np.asarray(ImageOps.exif_transpose(stored))
        np.testing.assert_array_equal(upright(pixels, orientation), shown)
