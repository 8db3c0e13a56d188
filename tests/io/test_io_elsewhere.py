"""No result replaces the folder that its input lies in."""

import pytest

from fathom.core.errors import UsageError
from fathom.io.elsewhere import require_elsewhere


def test_the_folder_of_an_input(tmp_path):
    (tmp_path / "in").mkdir()
    require_elsewhere(tmp_path / "in", [tmp_path / "in" / "a.png"])  # it gets a result beside
    with pytest.raises(UsageError, match="holds an input"):
        require_elsewhere(tmp_path / "in", [tmp_path / "in" / "a.png"], always=True)
    (tmp_path / "in" / "result.json").touch()
    with pytest.raises(UsageError, match=r"holds an input.*not the folder of a\.png"):
        require_elsewhere(tmp_path / "x" / ".." / "in", (None, tmp_path / "in" / "a.png"))
    with pytest.raises(UsageError, match="holds an input"):
        require_elsewhere(tmp_path / "in", [tmp_path / "in" / "left" / "a.png"])


def test_other_folders(tmp_path):
    file = tmp_path / "in" / "a.png"
    for folder in ("out", "in/out", "."):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "result.json").touch()
    for out in ("out", "in/out", "."):
        require_elsewhere(tmp_path / out, (file, None))
