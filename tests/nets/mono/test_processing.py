"""Sizes and colours of the monocular nets, number for number as the library's own processors."""

import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import tiny_mono
import torch
from PIL import Image

from fathom.core.errors import InputError, UsageError
from fathom.nets.mono.processing import (
    IMAGENET,
    MOST,
    focal_of,
    metres_of,
    padding,
    prepared,
    recipe_of,
)

pytestmark = pytest.mark.skipif(find_spec("transformers") is None, reason="no transformers")
SIZES = [(60, 90), (97, 41), (56, 56), (64, 300), (130, 131)]


def picture(height, width):
    rng = np.random.default_rng(height * 1000 + width)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["depth_anything", "dpt", "zoedepth", "glpn"])
def test_the_librarys_numbers(kind, tmp_path):
    processor = tiny_mono._MAKERS[kind]()[1]
    processor.save_pretrained(tmp_path)
    recipe = recipe_of(tmp_path, kind)
    for height, width in SIZES:
        image = picture(height, width)
        theirs = processor(image, return_tensors="pt")["pixel_values"][0]
        ours = prepared(image, recipe)
        assert ours.shape == theirs.shape, (kind, height, width)
        assert torch.equal(ours, theirs), (kind, height, width, (ours - theirs).abs().max())


def test_sizes_follow_the_librarys_rule(tmp_path):
    from transformers.models.dpt.image_processing_pil_dpt import get_resize_output_image_size

    recipe = recipe_of(None, "depth_anything")
    for height, width in [(375, 1242), (480, 640), (3000, 4000), (200, 300), (518, 518), (900, 90)]:
        image = np.empty((3, height, width), np.uint8)
        theirs = get_resize_output_image_size(image, (518, 518), True, 14)
        assert recipe.target(height, width) == (theirs.height, theirs.width)


def test_another_size_is_the_shorter_side():
    recipe = recipe_of(None, "depth_anything")
    assert recipe.sized(252, 14).target(252, 518) == (252, 518)
    assert recipe.sized(280, 14).target(480, 640) == (280, 378)
    zoe = recipe_of(None, "zoedepth").sized(192, 32)
    assert (zoe.height, zoe.width) == (192, 256)
    squeezed = recipe_of(None, "dpt").sized(250, 32)
    assert squeezed.target(480, 640) == (256, 256)
    free = recipe_of(None, "glpn")
    assert free.target(481, 650) == (480, 640)
    assert free.sized(240, 32).target(480, 640) == (256, 320)
    with pytest.raises(UsageError, match="too small for this net"):
        recipe.sized(7, 14)
    with pytest.raises(UsageError, match="one size only"):
        recipe_of(None, "depth_pro").sized(768, 32)


def test_images_that_no_net_takes():
    recipe = recipe_of(None, "depth_anything")
    with pytest.raises(InputError, match="1x1': is too small to tell depth from"):
        prepared(np.zeros((1, 1, 3), np.uint8), recipe)
    with pytest.raises(InputError, match="too long and narrow"):
        prepared(np.zeros((20, 4000, 3), np.uint8), recipe)
    assert MOST > 518 * 518
    with pytest.raises(InputError, match="which would become"):
        recipe.target(500, 9000)
    recipe.target(500, 4000)  # a panorama that is not too long


def test_a_processors_file_that_asks_for_something_else(tmp_path):
    path = tmp_path / "preprocessor_config.json"
    path.write_text("{")
    with pytest.raises(InputError, match="is no JSON"):
        recipe_of(tmp_path, "dpt")
    path.write_text("[]")
    with pytest.raises(InputError, match="is no JSON object"):
        recipe_of(tmp_path, "dpt")
    for said in ({"size": {"shortest_edge": 3}}, {"resample": 5}, {"do_pad": True}, {"size": "x"}):
        path.write_text(json.dumps(said))
        with pytest.raises(InputError, match="is not known here"):
            recipe_of(tmp_path, "dpt")
    path.write_text(json.dumps({"size": 384, "resample": 2, "rescale_factor": 0.5}))
    with pytest.raises(InputError, match="rescale_factor"):
        recipe_of(tmp_path, "dpt")
    path.write_text(json.dumps({"size": 256, "do_normalize": False}))  # as MiDaS' first files
    found = recipe_of(tmp_path, "dpt")
    assert (found.height, found.width, found.mean[0], found.std[0]) == (256, 256, 0, 1)


def test_depth_pros_numbers():
    """(x / 255 - 0.5) / 0.5, then bilinear to 1536: no processor without torchvision has it."""
    image = picture(40, 60)
    ours = prepared(image, recipe_of(None, "depth_pro"))
    assert ours.shape == (3, 1536, 1536)
    plain = torch.from_numpy(image).permute(2, 0, 1).float() / 127.5 - 1
    theirs = torch.nn.functional.interpolate(plain[None], (1536, 1536), mode="bilinear")[0]
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert focal_of(90, 600) == pytest.approx(300)
    inverse = torch.full((5, 5), 0.5)  # of a camera as wide as its focal length
    assert metres_of(inverse, (10, 20), 20.0)[3, 4] == pytest.approx(2.0)
    assert metres_of(inverse, (10, 20), 40.0)[3, 4] == pytest.approx(4.0)
    assert metres_of(-inverse, (10, 20), 40.0)[0, 0] == pytest.approx(1e4)


def test_zoedepths_border():
    assert padding((480, 640)) == (int((240**0.5) * 3), int((320**0.5) * 3))


@pytest.mark.parametrize("size", [(20, 30), (96, 64)])
def test_dinov3s_numbers(tmp_path, size):
    """Scaled to 0..1, then resized (antialiased), then colours: Pillow's floats are the twin."""
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_processor_type": "DINOv3ViTImageProcessorFast",
                "size": {"height": size[0], "width": size[1]},
            }
        )
    )
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    recipe = recipe_of(tmp_path, "dpt")
    scaled = image.astype(np.float32) / 255
    made = np.stack(
        [
            np.asarray(
                Image.fromarray(scaled[..., c]).resize(size[::-1], Image.Resampling.BILINEAR)
            )
            for c in range(3)
        ]
    )
    mean, std = (np.array(v)[:, None, None] for v in IMAGENET)
    np.testing.assert_allclose(prepared(image, recipe).numpy(), (made - mean) / std, atol=1e-5)
    plain = replace(recipe, late=False)  # the others' order rounds to 8 bits in between
    assert np.abs(prepared(image, plain).numpy() - (made - mean) / std).max() > 1e-3


def test_dinov3s_defaults(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(
        '{"image_processor_type": "DINOv3ViTImageProcessor"}'
    )
    recipe = recipe_of(tmp_path, "dpt")
    assert (recipe.height, recipe.width, recipe.resample) == (224, 224, "bilinear")
    assert (recipe.mean, recipe.std) == IMAGENET and recipe.late and not recipe.keep
