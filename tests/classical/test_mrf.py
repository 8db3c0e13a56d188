"""`MRF` as a matcher: its data terms, accuracy, energies, options, bad input."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fathom.classical import mrf
from fathom.classical.costs import cost_volume
from fathom.classical.energy import edge_weights, energy
from fathom.classical.kernels import global_layout as kernels
from fathom.classical.mrf import MRF, TRUNCATIONS, mrf_evidence
from fathom.core import FathomError, ResourceError, Source, StereoPair, UsageError, View
from fathom.geometry.resize import crop_pair

SOLVERS = ("belief", "expansion", "scanline")
solvers = pytest.mark.parametrize("solver", SOLVERS)


def textured(height, width, shift, seed=0):
    rng = np.random.default_rng(seed)
    wide = rng.integers(0, 256, (height, width + shift, 3)).astype(np.uint8)
    return StereoPair(View(wide[:, :width]), View(wide[:, shift:]))


@pytest.fixture(scope="module")
def small(motorcycle):
    return crop_pair(motorcycle.pair, 250, 200, 160, 60)


def bad(found, truth, limit=2):
    known = truth.known
    return float(np.mean(~(np.abs(found.values - truth.values)[known] <= limit)))


@solvers
def test_a_shifted_texture_gives_its_shift(solver):
    found = MRF(solver=solver, max_disparity=16)(textured(30, 90, 7))
    inner = found.values[4:-4, 24:-8]
    assert (np.abs(inner - 7) <= 0.5).mean() > 0.99


def test_motorcycle_is_matched_well_and_the_energy_falls(motorcycle):
    solution = MRF(max_disparity=80).solve(motorcycle.pair)
    assert bad(solution.disparity, motorcycle.truth) < 0.065
    energies = solution.energies
    assert all(a >= b for a, b in itertools.pairwise(energies))
    assert energies[-1] < energies[0]
    known = motorcycle.truth.known
    right = np.abs(solution.disparity.values - motorcycle.truth.values) <= 1
    matched = known & (solution.disparity.source == Source.MATCHED)
    said = solution.disparity.confidence
    assert said[matched].mean() == pytest.approx(right[matched].mean(), abs=0.04)
    assert right[matched & (said > 0.9)].mean() > 0.93
    assert right[matched & (said < 0.5)].mean() < 0.6


def test_scanlines_alone_are_worse(motorcycle):
    rows = MRF(max_disparity=80, solver="scanline", confidence=False)(motorcycle.pair)
    free = MRF(max_disparity=80, solver="scanline", ordering=False)(motorcycle.pair)
    assert 0.065 < bad(rows, motorcycle.truth) < 0.13
    assert bad(free, motorcycle.truth) < 0.08


def test_graph_cuts_find_the_least_energy(small):
    energies = {
        name: MRF(solver=name, max_disparity=64).solve(small).energies
        for name in ("belief", "expansion")
    }
    assert energies["expansion"][-1] <= energies["belief"][-1]
    assert (np.diff(energies["expansion"]) <= 0).all()


def test_the_energies_are_those_of_the_formula_in_units_of_the_cost(small):
    settings = MRF(max_disparity=48)
    solution = settings.solve(small)
    problem = mrf._Problem(small, settings)
    weights = edge_weights(small.left.gray8, problem.smoothness, settings.gradient)
    labels = problem.solve_both()[0].labels
    whole = energy(labels, problem.data, weights, settings.truncation)
    assert solution.energies[-1] == whole / problem.scale
    costs = np.minimum(cost_volume(small, "census-9x7", 0, 48).costs, 40)
    inside = np.isfinite(cost_volume(small, "census-9x7", 0, 48).costs)
    expected = np.where(inside, np.floor(costs * problem.scale + 0.5), problem.outside)
    np.testing.assert_array_equal(problem.data, expected)


def test_the_right_view_s_terms_are_those_of_the_mirrored_pair(small):
    settings = MRF(min_disparity=-3, max_disparity=20)
    ours, mirrored = mrf._Problem(small, settings), mrf._Problem(small.mirrored(), settings)
    out = np.empty_like(ours.data)
    kernels.mirror(
        ours.data.reshape(-1), out.reshape(-1), ours.shape, -3, ours.outside, 0, ours.shape.height
    )
    # the census window is symmetric, but equal pixels are not: nearly all bits agree
    assert (np.abs(out.astype(int) - mirrored.data) <= 4 * ours.scale).mean() > 0.98
    height, width = small.shape
    for y, x, label in ((0, 0, 0), (5, 17, 9), (height - 1, width - 1, 22)):
        there = width - 1 - x - 3 + label
        expected = ours.data[y, there, label] if 0 <= there < width else ours.outside
        assert out[y, x, label] == expected


def test_more_smoothness_means_fewer_steps(small):
    steps = []
    for smoothness in (0.0, 4.0, 40.0, 1e6):
        found = MRF(max_disparity=48, smoothness=smoothness, confidence=False)
        disparity = np.rint(mrf_evidence(small, found).disparity)
        steps.append(np.count_nonzero(np.diff(disparity, axis=1)))
    assert steps == sorted(steps, reverse=True)
    assert steps[0] > 10 * steps[2]
    assert steps[3] == 0


@pytest.mark.parametrize("cost", TRUNCATIONS)
def test_every_cost_serves_as_a_data_term(cost, motorcycle):
    part = crop_pair(motorcycle.pair, 250, 200, 200, 60)
    found = MRF(max_disparity=64, cost=cost, confidence=False)(part)
    best = MRF(max_disparity=64, confidence=False)(part)
    agree = np.abs(found.values - best.values)[:, 64:] <= 2
    assert agree.mean() > 0.7


@solvers
def test_threads_and_repeats_do_not_change_a_bit(solver, small):
    results = [MRF(solver=solver, max_disparity=40, threads=n).solve(small) for n in (1, 2, 3)]
    for other in results[1:]:
        assert other.energies == results[0].energies
        for name in ("values", "confidence", "source"):
            np.testing.assert_array_equal(
                getattr(other.disparity, name), getattr(results[0].disparity, name)
            )


@solvers
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    height=st.integers(1, 12),
    width=st.integers(1, 30),
    low=st.integers(-40, 30),
    count=st.integers(1, 60),
    truncation=st.integers(1, 64),
    smoothness=st.sampled_from([0.0, 0.3, 30.0, 1e6]),
    fill=st.booleans(),
)
def test_any_size_and_range_gives_an_answer_or_a_line(
    solver, height, width, low, count, truncation, smoothness, fill
):
    matcher = MRF(
        solver=solver,
        min_disparity=low,
        max_disparity=low + count,
        truncation=truncation,
        smoothness=smoothness,
        fill=fill,
    )
    pair = textured(height, width, 2)
    try:
        found = matcher(pair)
    except FathomError as error:
        assert "\n" not in str(error)
        return
    assert found.shape == (height, width)
    matched = found.values[found.source == Source.MATCHED]
    assert ((matched >= low) & (matched <= low + count - 1)).all()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"solver": "magic"}, "solver"),
        ({"cost": "none"}, "cost"),
        ({"smoothness": -1.0}, "smoothness"),
        ({"smoothness": float("nan")}, "smoothness"),
        ({"truncation": 0}, "truncation"),
        ({"truncation": 65}, "truncation"),
        ({"truncation": 2.5}, "truncation"),
        ({"data_truncation": 0.0}, "data_truncation"),
        ({"occlusion": 0.0}, "occlusion"),
        ({"gradient": -1.0}, "gradient"),
        ({"sweeps": 0}, "sweeps"),
        ({"levels": 0}, "levels"),
        ({"lr_threshold": -1.0}, "lr_threshold"),
        ({"min_disparity": 8, "max_disparity": 8}, "max_disparity"),
        ({"threads": 0}, "threads"),
        ({"memory_limit": 0}, "memory_limit"),
    ],
)
def test_bad_settings_name_their_field(bad, field):
    with pytest.raises(UsageError) as caught:
        MRF(**bad)
    assert caught.value.field == field


@solvers
def test_what_does_not_fit_is_refused_with_a_number(solver, small):
    with pytest.raises(ResourceError, match=r"needs \d+ MB of memory; expected at most 1 MB"):
        MRF(solver=solver, max_disparity=40, memory_limit=10**6)(small)


def test_the_memory_taken_stays_below_what_was_predicted():
    script = """
import sys
from pathlib import Path
import cv2, numpy as np
from fathom.classical.mrf import MRF, bytes_needed
from fathom.core import StereoPair, View

def peak():
    line = [l for l in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in l]
    return int(line[0].split()[1]) * 1024

wide = np.random.default_rng(0).integers(0, 256, (300, 500, 3)).astype(np.uint8)
tiny = StereoPair(View(wide[:20, :40]), View(wide[:20, 5:45]))
pair = StereoPair(View(wide[:, :400]), View(wide[:, 9:409]))
MRF(solver=sys.argv[1], max_disparity=8)(tiny)
before = peak()
MRF(solver=sys.argv[1], max_disparity=96, threads=2)(pair)
print((peak() - before) / bytes_needed(300, 400, 96, sys.argv[1], 2))
"""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    mrf.prepare()  # the compiler's own memory must not hide what matching takes
    for solver in ("belief", "scanline"):
        done = subprocess.run(
            [sys.executable, "-c", script, solver], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert 0.5 < float(done.stdout) < 1.0


def test_importing_loads_neither_numba_nor_opencv():
    script = "import sys, fathom.classical.mrf; print({'numba', 'cv2'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_kernels_are_there_once_prepared():
    told = []
    mrf.prepare(lambda name, i, n: told.append((i, n)))
    assert mrf.kernels_compiled()
    assert all(0 <= i < n == len(kernels.KERNELS) for i, n in told)
