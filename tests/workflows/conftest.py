"""Images of one view, and of several, that `one_image.Seer` answers."""

import pytest
from one_image import scene

from fathom.io.images import write_png


@pytest.fixture
def image(tmp_path):
    file = tmp_path / "in" / "a.png"
    write_png(file, scene())
    return file


@pytest.fixture
def clip(tmp_path):
    home = tmp_path / "clip"
    for i, code in enumerate((225, 240, 205, 249, 215, 230)):
        write_png(home / f"f{i}.png", scene(code=code))
    return home
