"""The check of the truth: a mistake planted in the real pair is named, the pair itself is not."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from fathom.core import Depth, Disparity, InputError, MonoSample, StereoPair, StereoSample, View
from fathom.core.errors import UsageError
from fathom.data.judge import Judge, Problem, Verdict, judge
from fathom.workflows.dataset import check_samples


@pytest.fixture(scope="module")
def small(motorcycle: StereoSample) -> StereoSample:
    """A window of Motorcycle, so that the checks are quick."""
    window = (slice(120, 400), slice(60, 460))
    left, right = (v.image[window] for v in (motorcycle.pair.left, motorcycle.pair.right))
    truth = motorcycle.truth.values[window]
    rig = motorcycle.pair.rig.cropped(60, 120, 400, 280)
    return StereoSample(StereoPair(View(left), View(right), rig), Disparity(truth), {}, "window")


def _with(sample: StereoSample, values: np.ndarray) -> StereoSample:
    pair = StereoPair(sample.pair.left, sample.pair.right)
    return replace(sample, pair=pair, truth=Disparity(np.ascontiguousarray(values)))


def _codes(sample) -> list[str]:
    return [problem.code for problem in judge(sample).problems]


def test_a_true_truth(small: StereoSample, motorcycle: StereoSample) -> None:
    assert _codes(small) == [] and _codes(motorcycle) == []


@pytest.mark.parametrize(
    "factor", [256, 1 / 256, 16, 1 / 16, 100, 1 / 32, 128, 1000, 1 / 1000, 2, 1 / 2, 1 / 3]
)
def test_scales(factor: float, small: StereoSample) -> None:
    found = judge(_with(small, small.truth.values * np.float32(factor))).problems
    assert [p.code for p in found] == ["scale"]
    word = f"divided by {factor:g}" if factor > 1 else f"x {1 / factor:g}"
    assert word in found[0].message


def test_signs_and_sides(small: StereoSample) -> None:
    assert _codes(_with(small, -small.truth.values)) == ["sign"]
    exchanged = StereoPair(small.pair.right, small.pair.left)
    assert _codes(replace(small, pair=exchanged)) == ["swapped"]
    assert _codes(_with(small, small.truth.values[::-1])) == ["flipped"]
    assert _codes(_with(small, small.truth.values[:, ::-1])) == ["flipped"]


def test_the_truth_of_the_right_view(small: StereoSample) -> None:
    values = small.truth.values
    right = np.full_like(values, np.nan)
    for y in range(values.shape[0]):
        order = np.argsort(values[y])
        order = order[~np.isnan(values[y][order])]
        to = np.rint(order - values[y][order]).astype(int)
        inside = (to >= 0) & (to < values.shape[1])
        right[y, to[inside]] = values[y, order[inside]]
    assert _codes(_with(small, right)) == ["other-view"]


@pytest.mark.parametrize("pixels", [1, -1, 3])
def test_offsets(pixels: int, small: StereoSample) -> None:
    found = judge(_with(small, small.truth.values + np.float32(pixels))).problems
    assert [p.code for p in found] == ["offset"]
    assert f"when {-pixels:+d} px are added" in found[0].message


def test_a_shift_is_seen_in_many_samples(motorcycle: StereoSample) -> None:
    """Few pixels sideways are too little to be seen in one sample, and are seen in the sum."""
    moved, still = Judge(), Judge()
    height = 160
    for top in range(0, 340, 48):
        rows = slice(top, top + height)
        pair = StereoPair(
            View(motorcycle.pair.left.image[rows]), View(motorcycle.pair.right.image[rows])
        )
        truth = motorcycle.truth.values[rows]
        still.add(judge(StereoSample(pair, Disparity(truth))))
        shifted = np.roll(truth, 3, 1)
        moved.add(judge(StereoSample(pair, Disparity(shifted))))
    assert still.problems() == []
    found = moved.problems()
    assert [p.code for p in found] == ["shifted"]
    assert "px right of those of the image" in found[0].message
    assert "8 samples" in found[0].message


def test_a_large_shift_is_seen_in_one_sample(motorcycle: StereoSample) -> None:
    moved = np.roll(motorcycle.truth.values, 2, 0)
    found = judge(_with(motorcycle, moved)).problems
    assert [p.code for p in found] == ["shifted"]
    assert "2 px below those" in found[0].message


def test_foreign_truth(small: StereoSample) -> None:
    random = np.random.default_rng(0).uniform(0, 60, small.truth.shape).astype(np.float32)
    assert _codes(_with(small, random)) == ["mismatch"]


def test_plain_mistakes(small: StereoSample) -> None:
    shape = small.truth.shape
    assert _codes(_with(small, np.full(shape, np.nan, np.float32))) == ["no-truth"]
    assert _codes(_with(small, np.full(shape, 7, np.float32))) == ["constant-truth"]
    same = StereoPair(small.pair.left, small.pair.left)
    assert "identical" in _codes(replace(small, pair=same))
    empty = replace(small, masks={"nonocc": np.zeros(shape, bool)})
    assert "empty-mask" in _codes(empty)
    assert _codes(replace(small, truth=None)) == []
    flat = View(np.full((*shape, 3), 90, np.uint8))
    dark = View(np.full((*shape, 3), 80, np.uint8))
    assert _codes(replace(small, pair=StereoPair(flat, dark))) == []  # nothing can be said


@pytest.mark.parametrize(("factor", "codes"), [(1, []), (1000, ["depth-unit"]), (1e-4, 1)])
def test_units_of_depth(factor, codes, small: StereoSample) -> None:
    depth = small.pair.rig.depth_of(small.truth.values) * np.float32(factor)
    sample = MonoSample(small.pair.left, Depth(depth), {}, "m")
    assert _codes(sample) == (codes if isinstance(codes, list) else ["depth-unit"])


def test_a_sky_has_no_unit(small: StereoSample) -> None:
    """A scene that is mostly sky, at the end of the world, is no scene in millimetres."""
    height, width = small.pair.shape
    sky = np.zeros((height, width), bool)
    sky[: int(0.6 * height)] = True
    values = np.where(sky, np.float32(-small.pair.rig.doffs + 1e-3), small.truth.values)
    far = replace(small, truth=Disparity(values), masks={"nonocc": ~sky})
    assert "depth-unit" in _codes(far)
    known = replace(far, masks={"nonocc": ~sky, "sky": sky})
    assert "depth-unit" not in _codes(known)
    everywhere = replace(known, masks={"sky": np.ones_like(sky)})
    assert "depth-unit" not in _codes(everywhere)


def test_a_baseline_in_millimetres(small: StereoSample) -> None:
    rig = replace(small.pair.rig, baseline=193.001)
    wrong = replace(small, pair=StereoPair(small.pair.left, small.pair.right, rig))
    assert _codes(wrong) == ["depth-unit"]


def test_a_sure_mistake_of_all_is_named_once() -> None:
    judged = Judge()
    for i in range(10):
        judged.add(Verdict((), {("scale", "x", "y"): 0.5 + i / 100, ("sign", "x", "y"): 0.1}))
    found = judged.problems()
    assert [p.code for p in found] == ["scale"] and found[0].sample == ""
    few = Judge()
    for _ in range(5):
        few.add(Verdict((), {("scale", "x", "y"): 0.5}))
    assert few.problems() == []


_STREAM = """
import tracemalloc
import numpy as np
from fathom.core import Disparity, StereoPair, StereoSample, View
from fathom.workflows.dataset import check_samples

wide = np.random.default_rng(0).integers(0, 255, (24, 60, 3), dtype=np.uint8)
pair = StereoPair(View(wide[:, 4:52]), View(wide[:, 8:56]))
truth = Disparity(np.full((24, 48), 4, np.float32))

def samples(count):
    for i in range(count):
        ballast = np.zeros((24, 48, 3, 100), np.uint8)
        # One in fifty is judged in full, so that the test is quick.
        known = Disparity(truth.values + np.float32(i / 1e6)) if i % 50 == 0 else None
        yield f"{i:06d}", lambda b=ballast, k=known: StereoSample(pair, k)

check_samples(samples(100))
tracemalloc.start()
report = check_samples(samples(10_000))
print(report.samples, report.with_truth, tracemalloc.get_traced_memory()[1])
"""


def test_memory_is_flat() -> None:
    """Ten thousand samples of 345 kB go by; what is kept of them are names, findings and sums.

    In a process of its own: under tracemalloc the checks of shapes take minutes.
    """
    done = subprocess.run(
        [sys.executable, "-c", _STREAM], capture_output=True, text=True, check=True
    )
    samples, with_truth, peak = map(int, done.stdout.split())
    assert samples == 10_000 and with_truth == 200
    assert peak < 8e6


def test_reports_of_unreadable_samples(small: StereoSample) -> None:
    def fails(error: Exception):
        def load() -> StereoSample:
            raise error

        return load

    notes: list[Problem] = []
    report = check_samples(
        [
            ("a", fails(InputError("does not exist", file="a.png"))),
            ("b", fails(InputError("differs in size from the view", file="b.png"))),
            ("b", fails(InputError("is truncated or damaged: x", file="b.png", remedy="copy"))),
            ("c", lambda: small),
        ],
        found=notes.append,
    )
    counts = {"missing-file": 1, "size-differs": 1, "unreadable": 1, "duplicate-name": 1}
    assert {k: report.counts[k] for k in counts} == counts
    assert report.samples == 4 and report.with_truth == 1
    assert notes[0].message == "a.png: does not exist"
    assert report.as_dict()["problems"][0]["code"] == "missing-file"
    with pytest.raises(UsageError):
        check_samples([("a", fails(UsageError("h5py is not installed")))])


def test_problems_beyond_the_room_are_counted() -> None:
    def gone() -> StereoSample:
        raise InputError("does not exist", file="a")

    report = check_samples((str(i), gone) for i in range(1010))
    assert len(report.problems) == 1000 and report.left_out == 10
    assert report.counts["missing-file"] == 1010


def test_no_mistake_is_found_in_the_shared_pairs(shared) -> None:
    from pathlib import Path

    from fathom.workflows.dataset import CheckOptions, check_dataset

    folder = Path(shared) / "data/pairs_gt"
    report = check_dataset(folder, CheckOptions(limit=6))
    assert report.counts == {} and report.samples == 6
