"""The search for parameters: what it finds, what it never does, and how it ends."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest

import fathom
from fathom import catalog
from fathom.catalog import Entry
from fathom.core import (
    Disparity,
    InputError,
    ResourceError,
    StereoPair,
    StereoSample,
    UsageError,
    View,
)
from fathom.core.options import option
from fathom.eval.metrics import bad
from fathom.geometry.resize import crop_pair
from fathom.io.images import write_png
from fathom.io.maps import write_disparity_pfm
from fathom.io.pairing import find_pairs
from fathom.workflows import tune as module
from fathom.workflows.pairs import PairOptions
from fathom.workflows.tune import TuneOptions, tune, tune_files
from fathom.workflows.tune_grids import SEARCH, grids

SHIFT = 6
CALLS: list[dict] = []


@dataclass(frozen=True, kw_only=True)
class Toy:
    """Answers with a constant that its parameters decide; unknown in part on demand."""

    max_disparity: int | None = None
    coarse: int = option(0, "pixels", metavar="N")
    fine: float = option(8.0, "pixels")
    window: int = option(5, "odd pixels")
    kind: Literal["all", "none"] = option("all", "what is known")
    wide: bool = option(False, "a switch")
    memory_limit: int | None = option(None, "bytes")
    fill: bool = True

    def __post_init__(self):
        if self.fine == 2.0 and self.coarse == 0:
            raise UsageError("is not allowed together", field="fine")

    def __call__(self, pair):
        CALLS.append({"coarse": self.coarse, "fine": self.fine, "fill": self.fill})
        if self.fine == 32.0:
            raise ResourceError("too much memory")
        value = np.nan if self.kind == "none" else self.coarse + self.fine
        return Disparity(np.full(pair.shape, value, np.float32))


@pytest.fixture
def toy(monkeypatch):
    entry = Entry("toy", f"{__name__}:Toy", "stereo", "a toy")
    monkeypatch.setattr(catalog, "ENTRIES", (*catalog.ENTRIES, entry))
    CALLS.clear()
    return "toy"


def textured(shift=SHIFT, seed=0, height=24, width=80):
    rng = np.random.default_rng(seed)
    wide = rng.integers(0, 256, (height, width + shift, 3)).astype(np.uint8)
    return StereoPair(View(wide[:, :width]), View(wide[:, shift:]))


def true(pair, value=SHIFT):
    return Disparity(np.full(pair.shape, value, np.float32))


def test_grids_come_from_the_table_or_the_fields(toy):
    found = grids(toy)
    assert found == {
        "coarse": (0, 1),
        "fine": (2.0, 4.0, 8.0, 16.0, 32.0),
        "window": (1, 3, 5, 7, 11),
        "kind": ("all", "none"),
        "wide": (True, False),
    }
    assert grids("sgm") == dict(SEARCH["sgm"])
    assert list(grids("sgm", ["p2", "p1"])) == ["p1", "p2"]
    with pytest.raises(UsageError, match="did you mean p1"):
        grids("sgm", ["p11"])


@pytest.mark.parametrize("name", [e.name for e in fathom.entries("stereo")])
def test_every_value_of_a_grid_is_one_the_method_knows(name):
    known = catalog.parameters(name)
    for parameter, values in grids(name).items():
        assert parameter in known
        accepted = 0
        for value in values:
            try:
                fathom.create(name, **{parameter: value})
                accepted += 1
            except UsageError:
                pass
        assert accepted >= 2 or len(values) < 2, parameter


@pytest.mark.parametrize("by_truth", [True, False])
def test_the_toy_is_set_right(toy, by_truth):
    pair = textured()
    truths = [true(pair)] if by_truth else None
    # `coarse` stays: wrong constants differ by chance only, and a walk among them leads nowhere
    options = TuneOptions(
        method=toy, threshold=0.5, only=("fine", "window", "kind"), start={"coarse": 2}
    )
    result = tune([pair], truths, options)
    assert result.parameters["coarse"] + result.parameters["fine"] == SHIFT
    assert result.after < result.before
    assert result.stopped == "nothing gets better"
    assert result.start["coarse"] == 2
    assert CALLS[0]["fill"] is by_truth
    assert "--fine" in result.flags()
    assert tune([pair], truths, options) == result


def test_unknown_everywhere_and_a_wrong_constant_do_not_win(toy):
    # from a right start nothing may lead away to `kind="none"` or another constant
    pair = textured()
    start = {"coarse": 2, "fine": 4.0}
    result = tune([pair], None, TuneOptions(method=toy, start=start))
    assert result.parameters["kind"] == "all"
    assert result.parameters == result.start
    assert result.before == result.after
    # and from "unknown everywhere" the way leads out
    start = {"coarse": 2, "fine": 4.0, "kind": "none"}
    result = tune([pair], None, TuneOptions(method=toy, start=start))
    assert result.before == 0.5
    assert result.parameters["kind"] == "all"


def test_only_some_parameters_are_touched(toy):
    pair = textured()
    result = tune([pair], [true(pair)], TuneOptions(method=toy, only=("window",)))
    assert result.parameters["fine"] == 8.0
    assert {c["fine"] for c in CALLS} == {8.0}


def test_a_pair_that_cannot_win_any_more_is_not_matched(toy):
    pairs = [textured(seed=k) for k in range(3)]
    start = {"coarse": 2, "fine": 4.0}
    tune(pairs, [true(p) for p in pairs], TuneOptions(method=toy, only=("fine",), start=start))
    # the start on all three; 2.0, 8.0, 16.0 on one each (32.0 raises)
    assert len(CALLS) == 3 + 3 + 1


def test_the_budget_ends_the_search_but_the_start_is_judged(toy, monkeypatch):
    clock = iter(range(0, 10**6, 10))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    pair = textured()
    result = tune([pair], [true(pair)], TuneOptions(method=toy, budget=25.0, start={"coarse": 2}))
    assert result.stopped == "the time is up"
    assert result.tried == 1 + 2
    assert result.after <= result.before


def test_an_interruption_keeps_the_best_so_far(toy, monkeypatch):
    pair = textured()
    calls = iter(range(100))

    def interrupted(self, pair):
        if next(calls) == 3:
            raise KeyboardInterrupt
        value = self.coarse + self.fine
        return Disparity(np.full(pair.shape, value, np.float32))

    monkeypatch.setattr(Toy, "__call__", interrupted)
    start = {"coarse": 2, "fine": 16.0}
    options = TuneOptions(method=toy, only=("fine",), threshold=0.5, start=start)
    result = tune([pair], [true(pair)], options)
    assert result.stopped == "interrupted"
    assert result.parameters["fine"] == 4.0
    assert result.after == 0


def test_progress_is_told(toy):
    lines = []
    pair = textured()
    start = {"coarse": 2}
    tune([pair], [true(pair)], TuneOptions(method=toy, threshold=0.5, start=start), lines.append)
    assert lines[0] == "start: bad-0.5 1.0000"
    assert "fine = 4.0: bad-0.5 0.0000" in lines


def test_requests_that_cannot_be_met(toy, unchecked):
    pair = textured()
    with pytest.raises(UsageError, match="no pair"):
        tune([])
    with pytest.raises(UsageError, match="1 pairs and 2 truths"):
        tune([pair], [true(pair)] * 2)
    with pytest.raises(InputError, match="size"):
        tune([pair], [true(textured(width=30))])
    with pytest.raises(InputError, match="knows no pixel"):
        tune([pair], [true(pair, np.nan)])
    with pytest.raises(UsageError, match="unknown method"):
        tune([pair], None, TuneOptions(method="sgn"))
    with pytest.raises(UsageError, match="did you mean fine"):
        tune([pair], None, TuneOptions(method=toy, start={"fin": 1}))
    with pytest.raises(UsageError, match="not allowed together"):
        tune([pair], None, TuneOptions(method=toy, start={"fine": 2.0}))
    for name in ("budget", "threshold"):
        with pytest.raises(UsageError, match=name):
            TuneOptions(**{name: 0.0})


@pytest.fixture
def folders(tmp_path):
    """Two pairs with their truths, in folders."""
    for side in ("left", "right", "truth"):
        (tmp_path / side).mkdir()
    for k, name in enumerate("ab"):
        # of two sizes: a truth at the wrong pair is noticed
        pair = textured(seed=k, width=80 + 4 * k)
        write_png(tmp_path / "left" / f"{name}.png", pair.left.image)
        write_png(tmp_path / "right" / f"{name}.png", pair.right.image)
        write_disparity_pfm(tmp_path / "truth" / f"{name}.pfm", true(pair).values)
    return tmp_path


def test_files_in_folders(toy, folders, monkeypatch):
    found = find_pairs(folders / "left", folders / "right")
    options = TuneOptions(method=toy, threshold=0.5, start={"coarse": 2})
    forms = [
        [folders / "truth"],
        [str(folders / "truth" / "*.pfm")],
        [folders / "truth" / "b.pfm", folders / "truth" / "a.pfm"],
    ]
    for truth in forms:
        out = folders / "out.json"
        result = tune_files(found, truth, PairOptions(), options, out)
        assert result.parameters["fine"] == 4.0
        assert '"fine": 4.0' in out.read_text()
        out.unlink()


def test_truth_files_that_do_not_fit(toy, folders, tmp_path):
    found = find_pairs(folders / "left", folders / "right")
    out = folders / "out.json"

    def call(*truth):
        tune_files(found, truth, PairOptions(), TuneOptions(method=toy), out)

    with pytest.raises(UsageError, match="2 pairs and 1 truths"):
        call(folders / "truth" / "a.pfm")
    write_disparity_pfm(folders / "truth" / "b.pfm", np.ones((3, 3), np.float32))
    with pytest.raises(InputError, match=r"b\.pfm"):
        call(folders / "truth")
    (folders / "empty").mkdir()
    with pytest.raises(InputError, match="no disparity map"):
        call(folders / "empty")
    with pytest.raises(InputError, match="no disparity map"):
        call(str(folders / "*.nothing"))
    assert not out.exists()


def test_images_without_partner_are_told(toy, folders):
    write_png(folders / "left" / "lonely.png", textured().left.image)
    lines = []
    found = find_pairs(folders / "left", folders / "right")
    options = TuneOptions(method=toy, only=("window",))
    tune_files(found, None, PairOptions(), options, folders / "out.json", lines.append)
    assert any("lonely.png" in line and "left out" in line for line in lines)


def test_consistency_alone_mends_bad_parameters_on_the_real_pair(motorcycle):
    # no truth is shown to the search; it only judges what came out
    x, y, width, height = 200, 130, 400, 220
    window = np.s_[y : y + height, x : x + width]
    pair = crop_pair(motorcycle.pair, x, y, width, height)
    sample = StereoSample(pair, Disparity(motorcycle.truth.values[window]))
    start = {"p1": 3, "p2": 10, "uniqueness": 40.0, "speckle_size": 2000}
    options = TuneOptions(
        method="sgm", start=start, only=("p1", "p2", "uniqueness", "speckle_size"), budget=600.0
    )
    result = tune([pair], None, options)
    before, after = (
        bad(fathom.create("sgm", **p)(pair), sample.truth, 2)
        for p in (result.start, result.parameters)
    )
    assert result.after < result.before
    assert after < 0.8 * before
