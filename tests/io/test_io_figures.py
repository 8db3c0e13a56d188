"""Pictures of a command's -o: written, replaced by the next, never over anything else."""

import numpy as np
import pytest
from PIL import Image

from fathom.core.errors import ResourceError, UsageError
from fathom.io.figures import check_figure, write_figure
from fathom.io.images import read_image, write_png

GREY = np.full((4, 6, 3), 90, np.uint8)


def test_written_and_replaced(tmp_path):
    file = tmp_path / "plot.png"
    write_figure(file, GREY)
    write_figure(file, GREY + np.uint8(1))
    assert (read_image(file) == 91).all()
    with Image.open(file) as image:  # another reader takes the mark for what it is
        assert image.info["Software"] == "fathom figure"
        assert (np.asarray(image) == 91).all()


@pytest.mark.parametrize("name", ["calib.txt", "plot.jpg", "plot.json"])
def test_another_kind_of_file_by_its_name(tmp_path, name):
    with pytest.raises(UsageError, match=r"is no PNG by its name; expected \.png"):
        check_figure(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"precious", None])
def test_what_is_not_ours_stays(tmp_path, content):
    file = tmp_path / "left.png"
    if content is None:
        write_png(file, GREY)
    else:
        file.write_bytes(content)
    before = file.read_bytes()
    with pytest.raises(ResourceError, match=r"left\.png: exists already.*choose another name"):
        write_figure(file, GREY)
    assert file.read_bytes() == before
