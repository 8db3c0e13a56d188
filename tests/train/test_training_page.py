"""The page of a run: curves whose points lie where they should, and nothing from outside."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from fathom.io.images import encode_png
from fathom.viz.training import curves_svg, training_report

INFO = {
    "name": "a <b>",
    "started": "2026-11-21",
    "experiment": {"steps": 10, "loss": {"is": "X", "beta": "1.0"}},
    "machine": {"threads": 1},
}


def step(n, **more):
    return {
        "step": n,
        "loss": 1 / n,
        "epe": 2.0,
        "bad_2": 0.5,
        "seconds": 1.0,
        "skipped": 1,
        **more,
    }


def scores(n, value):
    return {
        "step": n,
        "validation": "k<15",
        "numbers": {"bad-2": value, "epe": None},
        "heading": "[p]",
    }


def points(svg):
    found = [e for e in ET.fromstring(svg).iter() if e.tag.endswith("polyline")]
    return [[tuple(map(float, p.split(","))) for p in e.get("points").split()] for e in found]


def test_a_page_with_everything():
    picture = encode_png(np.zeros((4, 5, 3), np.uint8))
    entries = [scores(0, 0.9), step(5), step(10, loss=None), scores(10, 0.4)]
    page = training_report(INFO, entries, {"k<15-a": picture})
    assert "a &lt;b&gt;" in page and "k&lt;15" in page and "k<15" not in page
    assert page.count("<svg") == 5 and page.count("<img") == 1
    assert "batches skipped" in page and "0.4" in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)


def test_a_page_of_a_run_that_has_not_begun():
    assert "No step has been logged yet" in training_report(INFO, [], {})


def test_points_lie_in_order_and_inside():
    (line,) = points(curves_svg([("a", [(0, 1.0), (5, 3.0), (10, 2.0)])], "px"))
    assert line[0][0] < line[1][0] < line[2][0]
    assert line[1][1] < line[2][1] < line[0][1]  # y goes down in an SVG
    assert all(0 <= x <= 520 and 0 <= y <= 240 for x, y in line)
    assert line[1][0] - line[0][0] == pytest.approx(line[2][0] - line[1][0], abs=0.2)


def test_logarithmic_curves_have_equal_steps_for_equal_ratios():
    (line,) = points(curves_svg([("a", [(0, 1.0), (1, 10.0), (2, 100.0)])], "loss", log=True))
    assert line[0][1] - line[1][1] == pytest.approx(line[1][1] - line[2][1], abs=0.2)
    # With a zero in it there is no logarithm, and the curve is drawn all the same.
    assert points(curves_svg([("a", [(0, 0.0), (1, 1.0)])], "loss", log=True))


def test_single_points_constant_curves_and_none():
    for curve in ([], [(3, 2.0)], [(0, 5.0), (9, 5.0)], [(0, 0.0), (9, 0.0)]):
        for log in (False, True):
            ET.fromstring(curves_svg([("a", curve)], "loss", log=log))


def test_long_curves_are_thinned_to_means():
    (line,) = points(curves_svg([("a", [(i, float(i % 2)) for i in range(6000)])], "x"))
    assert len(line) == 600 and len({y for _, y in line}) == 1


def test_several_curves_are_labelled():
    svg = curves_svg([("one & two", [(0, 1.0)]), ("b", [(1, 2.0)])], "x")
    assert "one &amp; two" in svg
