"""The report of a comparison: its viewer's data, its marks, its bars; safe for any name."""

import base64
import json
import re
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.core import Disparity, InputError, Source, UsageError
from fathom.viz.bars import share_bars
from fathom.viz.compare import compare_report
from fathom.viz.compare_viewer import (
    DISPARITY_STEP,
    Sheet,
    ShownMap,
    compare_viewer,
    encode_plane,
    sheet,
)
from fathom.viz.report import Report

H, W = 30, 44
EVIL = "</script><script>alert(1)</script> & 'x'"


def decode_plane(text: str, columns: int, rows: int, bits: int) -> np.ndarray:
    """What decodePlane of compare_viewer.js does, pixel by pixel."""
    raw = zlib.decompress(base64.b64decode(text))
    out = np.zeros((rows, columns), np.int64)
    for i in range(rows):
        total = 0
        for j in range(columns):
            at = i * columns + j
            code = raw[at] if bits == 8 else raw[at] | raw[rows * columns + at] << 8
            total = (total + code) % 2**bits
            out[i, j] = total
    return out


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), bits=st.sampled_from([8, 16]))
def test_planes_come_back(seed, bits):
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 6)), int(rng.integers(1, 9)))
    codes = rng.integers(0, 2**bits, shape).astype(np.uint8 if bits == 8 else np.uint16)
    back = decode_plane(encode_plane(codes), shape[1], shape[0], bits)
    np.testing.assert_array_equal(back, codes)


def image():
    return np.random.default_rng(0).integers(0, 255, (H, W, 3)).astype(np.uint8)


def disparity(seed=0, source=False):
    values = np.random.default_rng(seed).uniform(-3, 20, (H, W)).astype(np.float32)
    values[0, 0] = np.nan
    codes = np.full((H, W), Source.MATCHED, np.uint8)
    codes[0, 0] = Source.UNKNOWN
    codes[2, 3] = Source.FILLED
    return Disparity(values, source=codes if source else None)


def values_of(made: Sheet, index: int) -> np.ndarray:
    header = made.header
    codes = decode_plane(made.blobs[index], header["columns"], header["rows"], 16)
    return np.where(codes == 65535, np.nan, header["offset"] + header["unit"] * codes)


def test_a_sheet_holds_maps_truth_regions_and_boxes():
    truth, found = disparity(1), disparity(2, source=True)
    similar = np.full((H, W), 0.5, np.float32)
    similar[0] = np.nan
    region = np.zeros((H, W), bool)
    region[5:9, 5:9] = True
    shown = ShownMap("sgm", found, "bad-2", {"SSIM": similar}, [(1, 2, 8, 8, 0.25)])
    made = sheet("pair", image(), [shown], truth, {"edges": ~region, "thin": region})
    header = made.header
    pane = header["panes"][0]
    for index, original in ((pane["map"], found), (header["truth"], truth)):
        back = values_of(made, index)
        assert np.nanmax(np.abs(back - original.values)) <= DISPARITY_STEP / 2 + 1e-6
        np.testing.assert_array_equal(np.isnan(back), np.isnan(original.values))
    codes = decode_plane(made.blobs[pane["extras"]["SSIM"]], W, H, 8)
    assert (codes[0] == 255).all() and (codes[1:] == 127).all()
    bits = decode_plane(made.blobs[header["regions"]["blob"]], W, H, 16)
    np.testing.assert_array_equal(bits >> 1 == 1, region)
    assert header["regions"]["names"] == ["edges", "thin"]
    filled = decode_plane(made.blobs[pane["filled"]], W, H, 8)
    assert filled.sum() == 1 and filled[2, 3] == 1
    assert pane["boxes"] == [[1, 2, 8, 8, 0.25]]


def test_large_pictures_are_reduced_and_say_so():
    made = sheet("pair", image(), [ShownMap("a", disparity())], max_pixels=H * W // 4)
    header = made.header
    assert (header["step"], header["columns"], header["rows"]) == (2, W // 2, H // 2)
    expected = disparity().values[1::2, 1::2]
    assert np.nanmax(np.abs(values_of(made, 0) - expected)) <= DISPARITY_STEP / 2 + 1e-6
    whole = sheet("pair", image(), [ShownMap("a", disparity())])
    assert made.size < whole.size


def test_sheets_of_unknown_maps_and_wrong_ones():
    unknown = Disparity(np.full((H, W), np.nan, np.float32))
    made = sheet("pair", image(), [ShownMap("a", unknown)], unknown)
    assert np.isnan(values_of(made, 0)).all()
    with pytest.raises(UsageError, match="nothing to compare"):
        sheet("pair", image(), [])
    with pytest.raises(InputError, match="a = "):
        sheet("pair", image(), [ShownMap("a", Disparity(np.ones((3, 3), np.float32)))])
    with pytest.raises(UsageError, match="no picture to show"):
        compare_viewer([])


def test_the_viewer_numbers_the_blobs_of_all_sheets():
    one = sheet("one", image(), [ShownMap("a", disparity(1)), ShownMap("b", disparity(2))])
    two = sheet(EVIL, image(), [ShownMap("a", disparity(3))])
    html = compare_viewer([one, two], "caption")
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', html)[1])
    assert [s["first"] for s in data["sheets"]] == [0, 2]
    assert html.count('<script type="text/plain">') == 3
    assert "alert(1)</script>" not in html
    assert data["sheets"][1]["name"] == EVIL
    assert html.count("<img") == 2


def test_bars_have_one_scale_and_say_where_there_is_none():
    svg = share_bars([("edges", (0.5, 0.25)), ("<thin>", (None, float("nan")))], ("a", "b"))
    widths = [float(w) for w in re.findall(r'x="150" y="\d+" width="([\d.]+)"', svg)][1:]
    assert widths[0] == 2 * widths[1]
    assert svg.count(">none<") == 2
    assert "&lt;thin&gt;" in svg and "<thin>" not in svg
    assert "<svg" in share_bars([], ())


def test_tables_can_mark_cells_and_lists_are_escaped():
    report = Report("t").add_table(
        ["a", "b"], [["x", "1.0"], ["y", "2.0"]], best={(1, 1)}, right=[1]
    )
    html = report.add_list([EVIL]).html()
    assert '<td class="number best">2.0</td>' in html
    assert '<td class="number">1.0</td>' in html
    assert "<ul><li>&lt;/script&gt;" in html


def info(**changes):
    score = {"images": 2, "known": 0.9, "images_with_notes": 0, "first_note": "", "values": {}}
    region = {"samples": 2, "pixels": 900, "bad": 0.2, "epe": 1.0, "known": 1.0}
    found = {
        "title": "Comparison",
        "samples": 2,
        "asked_for": 5,
        "with_truth": 2,
        "interrupted": False,
        "failures": [],
        "notes": [],
        "summary": ["a is best."],
        "source": {"format": "images"},
        "options": {"fill": True, "confidence": True},
        "threshold_px": 2.0,
        "versions": {"fathom": "0"},
        "protocol": {
            "name": "fathom",
            "rules": "unknown = wrong",
            "source": "here",
            "metrics": [
                {"name": "bad-2", "unit": "%", "better": "lower"},
                {"name": "epe", "unit": "px", "better": "lower"},
            ],
        },
        "methods": {
            name: {
                "samples": 2,
                "seconds_median": 0.5 + i,
                "mpx_per_second": 1.0,
                "memory_mb": None,
                "parameters": {"p": 1},
            }
            for i, name in enumerate("ab")
        },
        "scores": {
            "all": {
                "a": {**score, "values": {"bad-2": 0.1, "epe": 2.0}},
                "b": {**score, "values": {"bad-2": 0.2, "epe": float("nan")}},
            }
        },
        "ssim": {"a": {"mean": 0.9, "data_range_px": 30.0, "left_out": 0.25}},
        "regions": {"all": {"a": region, "b": {**region, "bad": 0.3}}, "thin": {"a": region}},
        "consistency": {},
    }
    return found | changes


def test_the_report_says_protocol_mask_and_marks_the_best():
    html = compare_report(info(), [])
    assert "fathom, mask all; SSIM over all pixels with truth, data range 30 px (mean)" in html
    assert "up to 25.0% of the windows left out" in html
    assert '<td class="number best">10.00</td>' in html  # bad-2 of a
    assert '<td class="number">20.00</td>' in html
    assert '<td class="number">-</td>' in html  # no EPE of b, and so no best
    assert "No pictures were asked for" in html
    assert "Interrupted" not in html


def test_the_report_names_what_went_wrong():
    failures = [{"sample": f"s{i}", "method": "b", "error": EVIL} for i in range(23)]
    methods = info()["methods"]
    methods["b"]["samples"] = 1
    html = compare_report(
        info(interrupted=True, failures=failures, methods=methods, notes=["half dark"]), []
    )
    assert "the first 2 of 5 pairs" in html
    assert "s0, b: &lt;/script&gt;" in html
    assert "3 more failures" in html
    assert "different pairs (a 2, b 1)" in html
    assert "half dark" in html
    assert "<script>alert" not in html


def test_a_report_without_truth_has_consistency_only():
    row = {"inconsistency": 0.1, "photometric": 0.9, "left-right": 0.02, "measured": 0.8}
    html = compare_report(
        info(scores={}, regions={}, consistency={"agree_px": 1.0, "methods": {"a": row}}), []
    )
    assert "<h2>Scores</h2>" not in html and "Where each fails" not in html
    assert "Consistency, without truth" in html and ">80.00<" in html
