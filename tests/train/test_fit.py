"""Training without truth looks at the pairs first: what is none is left out, counted and kept."""

import json

import pytest
import train_runs
from train_runs import run

from fathom.core import InputError, UsageError
from fathom.data.scenes import Scenes, SceneSettings
from fathom.io.images import write_png
from fathom.layers.photometric_distance import Distance
from fathom.train import Pairs, StereoPhotometric, Taught, Unlabelled, UnlabelledPairs
from fathom.train import fit as module
from fathom.train.fit import FIT

SCENES = Scenes(SceneSettings(width=240, height=160, effects=False), 5, 9)
BLIND = {
    "task": Unlabelled(),
    "loss": StereoPhotometric(Distance("sad")),
    "net": train_runs.plain_net,
    "evidence": None,
    "augment": None,
    "validation": (),
    "steps": 2,
    "warmup": 0,
    "ema": None,
    "save_every": 1,
}


def written(root, swapped=(), foreign=()):
    """walks/left and walks/right; foreign: pairs whose right view is of another scene."""
    for i in range(8):
        pair = SCENES[i].pair
        views = [pair.left, SCENES[8].pair.right if i in foreign else pair.right]
        for side, view in zip(("left", "right"), views[:: -1 if i in swapped else 1], strict=True):
            write_png(root / side / f"f{i}.png", view.image)
    return root


@pytest.fixture(scope="module")
def walks(tmp_path_factory):
    return written(tmp_path_factory.mktemp("walks"), swapped=(2,), foreign=(5,))


def test_wrong_pairs_are_left_out_and_a_run_that_goes_on_has_the_same(walks, tmp_path, monkeypatch):
    folder, asked = tmp_path / "run", []
    real = UnlabelledPairs.__getitem__
    monkeypatch.setattr(
        UnlabelledPairs, "__getitem__", lambda self, i: (asked.append(i), real(self, i))[1]
    )
    done, lines = run(folder, data=lambda: UnlabelledPairs(walks), **{**BLIND, "steps": 8})
    assert done.step == 8 and done.failed == 0
    assert "pair check: 6 of 8 pairs are fit; left out: swapped 1, unrelated 1" in lines
    assert any(line.startswith("left out f2: swapped: ") for line in lines)
    assert any(line.startswith("left out f5: unrelated: ") for line in lines)
    assert asked[:8] == list(range(8)) and set(asked[8:]) == {0, 1, 3, 4, 6, 7}
    told = dict(json.loads((folder / FIT).read_text())["pairs"])
    assert told["f0"] is None and told["f2"].startswith("swapped")
    monkeypatch.setattr(module, "fit_pairs", None)  # a second look would fail
    asked.clear()
    longer = {**BLIND, "steps": 12}
    done, lines = run(folder, resume=True, data=lambda: UnlabelledPairs(walks), **longer)
    assert done.step == 12 and set(asked) <= {0, 1, 3, 4, 6, 7}


def test_loading_processes_bear_the_check_before_them(walks, tmp_path):
    told = {**BLIND, "workers": 1}
    done, _ = run(tmp_path / "a", data=lambda: UnlabelledPairs(walks), **told)
    assert done.step == 2 and done.failed == 0


def test_without_the_check_all_are_learned_from(walks, tmp_path):
    told = {**BLIND, "check_pairs": False}
    _, lines = run(tmp_path / "a", data=lambda: UnlabelledPairs(walks), **told)
    assert not any("pair check" in line for line in lines)
    assert not (tmp_path / "a" / FIT).exists()


def test_a_folder_of_wrong_pairs_is_refused(tmp_path):
    turned = written(tmp_path / "turned", swapped=range(8))
    with pytest.raises(InputError, match=r"0 of 8 pairs are fit; left out: swapped 8") as caught:
        run(tmp_path / "a", data=lambda: UnlabelledPairs(turned), **BLIND)
    assert "check_pairs=false" in str(caught.value)
    assert not (tmp_path / "a" / "weights.safetensors").exists()


def test_a_list_is_looked_at_where_no_truth_is_learned_from(walks, tmp_path):
    rows = ["left,right", *(f"left/f{i}.png,right/f{i}.png" for i in range(8))]
    (walks / "mine.csv").write_text("\n".join(rows))
    _, lines = run(tmp_path / "a", data=Pairs(walks / "mine.csv"), **BLIND)
    assert "pair check: 6 of 8 pairs are fit; left out: swapped 1, unrelated 1" in lines


class Half:
    """A teacher that is always sure."""

    def __call__(self, pair):
        import numpy as np

        from fathom.core import Disparity

        shape = pair.shape
        return Disparity(np.full(shape, 3, np.float32), confidence=np.ones(shape, np.float32))


def test_a_teacher_s_pairs_are_looked_at_too(walks, tmp_path):
    told = {**BLIND, "task": None, "loss": train_runs.BASE.loss, "net": train_runs.Net}
    _, lines = run(tmp_path / "a", data=lambda: Taught(UnlabelledPairs(walks), Half()), **told)
    assert "pair check: 6 of 8 pairs are fit; left out: swapped 1, unrelated 1" in lines


def test_what_cannot_be_is_told_before_the_pairs_are_looked_at(walks, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "fit_pairs", None)
    with pytest.raises(UsageError, match="does not divide among parts"):
        run(tmp_path / "a", data=lambda: UnlabelledPairs(walks), parts=3, **BLIND)
    assert not (tmp_path / "a").exists()
