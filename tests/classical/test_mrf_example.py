"""The example of four lambdas, on a tiny crop."""

import importlib.util
from pathlib import Path

import numpy as np

from fathom.geometry.resize import crop_pair

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "smoothness.py"


def test_the_figure_shows_the_image_and_a_map_for_each_lambda(motorcycle):
    spec = importlib.util.spec_from_file_location("smoothness", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    part = crop_pair(motorcycle.pair, 300, 200, 120, 60)
    picture = module.figure(part, (1.0, 100.0))
    assert picture.dtype == np.uint8
    assert picture.shape[1] > 3 * 120
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
