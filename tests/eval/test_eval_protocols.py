"""Protocols: what they refuse, how they are named, and the page that lists them."""

import re
from pathlib import Path

import numpy as np
import pytest

from fathom.core import InputError, UsageError
from fathom.eval.measures import measure, measure_names
from fathom.eval.protocol import Crop, Protocol
from fathom.eval.protocols import (
    EIGEN_NYU_CROP,
    GARG_CROP,
    metric_table,
    protocol,
    protocols,
    table,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocols.md"


def simple(**changes):
    settings = {"quantity": "disparity", "metrics": ("bad-1",), "masks": ("all",)}
    return Protocol("mine", summary="", source="", **(settings | changes))


def test_names_are_unique_and_found():
    names = [p.name for p in protocols()]
    assert len(set(names)) == len(names)
    for wanted in [
        "middlebury-v3",
        "middlebury-v2",
        "kitti-2012",
        "kitti-2015",
        "eth3d",
        "sceneflow",
        "nyuv2-eigen",
        "kitti-eigen",
        "kitti-eigen-garg",
        "affine-invariant",
    ]:
        assert protocol(wanted).name == wanted
        assert str(protocol(wanted)) == wanted
        assert protocol(wanted).source


def test_the_page_holds_the_tables():
    text = PAGE.read_text()
    assert table() in text, "docs/protocols.md is stale: paste protocols.table() into it"
    assert metric_table() in text, "docs/protocols.md is stale: paste protocols.metric_table()"
    for p in protocols():
        assert p.summary


def test_the_example_of_the_page_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(compile(code, "protocols.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "[middlebury-v3, nonocc, 100.0% known]" in printed
    assert "disparity-cap=40" in printed


def test_unknown_names_get_close_matches():
    with pytest.raises(UsageError, match="did you mean kitti-2015"):
        protocol("kitti2015")
    with pytest.raises(UsageError, match="unknown metric of disparity 'abs-rel'"):
        simple(metrics=("abs-rel",))
    with pytest.raises(UsageError, match="bad-2"):
        measure("bad2", "disparity")
    for name in ("bad-x", "bad-0", "bad--1", "auc-inf"):
        with pytest.raises(UsageError, match="no threshold"):
            measure(name, "disparity")
    with pytest.raises(UsageError, match="did you mean nonocc"):
        simple(masks=("all", "nonoc"))
    with pytest.raises(UsageError, match="metrics"):
        simple(metrics=())
    with pytest.raises(UsageError, match="masks"):
        simple(masks=())


def test_settings_that_say_nothing_are_refused():
    for wrong in ({"alignment": "median"}, {"depth_range": (0.1, 10.0)}):
        with pytest.raises(UsageError, match="says nothing about disparity"):
            simple(**wrong)
    for wrong in ({"disparity_cap": 192.0}, {"enlarge": (1, 2)}, {"unknown": "filled"}):
        with pytest.raises(UsageError, match="says nothing about depth"):
            simple(quantity="depth", metrics=("mae",), **wrong)
    with pytest.raises(UsageError, match="no range of depth"):
        simple(quantity="depth", metrics=("mae",), depth_range=(10.0, 1.0))


def test_a_varied_protocol_says_so_in_its_name():
    plain = protocol("kitti-eigen-garg")
    assert plain.varied(alignment="median", depth_range=(0.001, 50.0)).name == (
        "kitti-eigen-garg, alignment=median, depth-range=0.001..50"
    )
    assert plain.varied(alignment="none") == plain
    assert plain.varied(metrics=("silog",)).name == plain.name  # stands beside the number
    assert protocol("sceneflow").varied(disparity_cap=None).name == "sceneflow, disparity-cap=None"
    with pytest.raises(UsageError, match="did you mean alignment"):
        plain.varied(aligment="median")


def test_crops_by_hand():
    # 0.40810811 * 375 = 153.04, 0.99189189 * 375 = 371.96, 0.03594771 * 1242 = 44.6, ... = 1197.4
    assert GARG_CROP.window((375, 1242)) == (slice(153, 371), slice(44, 1197))
    assert EIGEN_NYU_CROP.window((480, 640)) == (slice(45, 471), slice(41, 601))
    with pytest.raises(InputError, match="another image size"):
        EIGEN_NYU_CROP.window((240, 320))
    assert Crop(0, 0.5, 0.25, 1).window((11, 8)) == (slice(0, 5), slice(2, 8))
    assert "rows 40.8%" in str(GARG_CROP)
    assert "of 640x480" in str(EIGEN_NYU_CROP)


def test_every_name_can_be_looked_up_and_aliases_too():
    for quantity in ("disparity", "depth"):
        for name in measure_names(quantity):
            found = measure(name.replace("K", "2"), quantity)
            assert found.text
            assert found.shown(float("nan")) == "unknown"
            assert found.shown(0.5)
    assert measure("mae", "disparity") is measure("epe", "disparity")
    assert measure("delta1", "depth").name == "delta-1"
    assert measure("bad-2.0", "disparity").name == "bad-2"
    assert np.isclose(float(measure("bad-0.5", "disparity").name[4:]), 0.5)
