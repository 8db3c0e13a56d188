"""The default renderer's scenes never change: models were trained on them, by their seeds.

`python tests/data/test_scenes_pinned.py` writes the table anew, which is to be done only for a
processor that is not in it yet.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from fathom.classical.native import _machine
from fathom.data.scenes import Scene, SceneSettings, full_scene

TABLE = Path(__file__).with_name("scenes_pinned.json")
SETTINGS = {
    "default": SceneSettings(),
    "small": SceneSettings(width=160, height=96),
    "rich": SceneSettings(width=161, height=97, motion=0.5, glass=0.4, glossy=0.5, night=0.3),
}
CASES = [("default", 0), *(("small", i) for i in range(5)), *(("rich", i) for i in range(4))]


def digest(made: Scene) -> str:
    parts = (made.left, made.right, made.disparity, made.disparity_right, made.seen)
    arrays = (*parts, made.seen_right, made.normals, *made.masks.values())
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()


def outline(made: Scene) -> list[float]:
    """A few means: what any processor must agree on."""
    arrays = (made.left, made.right, made.disparity, made.disparity_right, made.seen)
    return [round(float(a.mean()), 4) for a in (*arrays, *made.masks.values())]


@pytest.mark.parametrize(("name", "index"), CASES)
def test_scenes_are_what_they_were(name: str, index: int) -> None:
    """Bit for bit on the processors of the table, nearly so on others."""
    pinned = json.loads(TABLE.read_text())
    made = full_scene(3, SETTINGS[name], index)
    key = f"{name} {index}"
    known = pinned["digests"].get(_machine())
    if known is not None:
        assert digest(made) == known[key]
    assert np.allclose(outline(made), pinned["outlines"][key], rtol=0.02, atol=0.01)


def _write() -> None:
    pinned = json.loads(TABLE.read_text()) if TABLE.exists() else {"digests": {}, "outlines": {}}
    made = {f"{name} {i}": full_scene(3, SETTINGS[name], i) for name, i in CASES}
    pinned["digests"][_machine()] = {key: digest(scene) for key, scene in made.items()}
    pinned["outlines"] = {key: outline(scene) for key, scene in made.items()}
    TABLE.write_text(json.dumps(pinned, indent=1) + "\n")


if __name__ == "__main__":
    _write()
