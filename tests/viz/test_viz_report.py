"""The report: well formed, closed in itself, safe for any text, true to the numbers in it."""

import base64
import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest

from fathom.core import (
    Camera,
    Depth,
    Disparity,
    InputError,
    PointCloud,
    Source,
    StereoPair,
    StereoRig,
    UsageError,
    View,
)
from fathom.viz import viewers
from fathom.viz.color import Scale
from fathom.viz.report import Report, depth_report
from fathom.viz.text import label_of, text_of
from fathom.viz.viewers import MapLayer, cloud_viewer, map_viewer, stereo_layers

VOID = {"meta", "img", "br", "hr", "link", "input"}
EVIL = "</script><script>alert(1)</script> & \"quotes\" 'too'"


class Page(HTMLParser):
    """Checks that tags close in order, and keeps attributes, scripts and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.scripts: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.stack

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.stack.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs).get("type", ""), ""))

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if self.stack and self.stack[-1] == "script":
            kind, text = self.scripts[-1]
            self.scripts[-1] = (kind, text + data)
        elif self.stack and self.stack[-1] != "style":
            self.text += data

    def viewer(self, number: int = 0) -> tuple[dict, list[bytes]]:
        """The settings and blobs of the n-th viewer."""
        groups: list[tuple[dict, list[bytes]]] = []
        for kind, text in self.scripts:
            if kind == "application/json":
                groups.append((json.loads(text), []))
            elif kind == "text/plain":
                groups[-1][1].append(base64.b64decode(text, validate=True))
        return groups[number]


def decoded(header: dict, blobs: list[bytes], shape: tuple[int, int]) -> np.ndarray:
    codes = np.frombuffer(blobs[header["blob"]], "<u2" if header["bits"] == 16 else "u1")
    numbers = header["offset"] + header["step"] * codes.astype(np.float64)
    numbers = np.exp(numbers) if header["law"] == "log" else numbers
    return np.where(codes == 2 ** header["bits"] - 1, np.nan, numbers).reshape(shape)


def result(height: int = 40, width: int = 60, metric: bool = True):
    """A slanted scene with holes, filled pixels, confidence and, if metric, depth and a cloud."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
    rig = StereoRig.simple(width, height, 80.0, 0.1, doffs=1.5) if metric else None
    pair = StereoPair(View(image), View(image), rig)
    values = np.linspace(2, 20, height * width, dtype=np.float32).reshape(height, width)
    values[::7, ::5] = np.nan
    source = np.where(np.isnan(values), 0, 1).astype(np.uint8)
    source[:, :3] = np.where(source[:, :3] == 1, Source.FILLED, 0)
    confidence = np.where(np.isnan(values), 0, rng.random(values.shape)).astype(np.float32)
    disparity = Disparity(values, confidence, source)
    if rig is None:
        return pair, disparity, None, None
    depth = disparity.to_depth(rig, sigma_d=0.25)
    rows, columns = np.nonzero(depth.measured)
    z = depth.values[rows, columns]
    x, y = (columns - rig.left.cx) / rig.left.fx * z, (rows - rig.left.cy) / rig.left.fy * z
    cloud = PointCloud(np.stack([x, y, z], axis=1).astype(np.float32), image[rows, columns])
    return pair, disparity, depth, cloud


INFO = {
    "title": "motorcycle: sgm",
    "method": {"name": "sgm", "parameters": {"p1": 15, "share": 0.123456789}},
    "rig": None,
    "notes": ["the search range was too small"],
    "seconds": {"read": 0.03, "match": 0.5},
    "versions": {"fathom": "0.1.0"},
}
FINDING = {
    "code": "unrectified",
    "message": "rows differ",
    "certainty": 0.97,
    "size": 2.3,
    "unit": "px",
    "remedy": "rectify first",
}


@pytest.fixture(scope="module")
def page() -> Page:
    pair, disparity, depth, cloud = result()
    picture = np.zeros((20, 30, 3), dtype=np.uint8)
    return Page(depth_report(pair, disparity, depth, cloud, INFO, [FINDING], picture))


def test_a_report_refers_to_nothing_outside_itself():
    pair, disparity, depth, cloud = result()
    html = depth_report(pair, disparity, depth, cloud, INFO, [FINDING], pair.left.image)
    assert not re.search(r"https?://|url\(|@import|//cdn", html)
    for _, name, value in Page(html).attributes:
        if name in ("src", "href", "data", "action", "poster"):
            assert value.startswith("data:")


def test_a_report_says_what_was_found_and_set(page: Page):
    for words in (
        "motorcycle: sgm",
        "unrectified",
        "rows differ",
        "rectify first",
        "size 2.3 px",
        "certainty 97 %",
        "search range was too small",
        "parameters: p1",
        "0.123457",
        "500",
    ):
        assert words in page.text
    assert page.text.index("unrectified") < page.text.index("Values under the pointer")


def test_pictures_have_words_and_canvases_a_place(page: Page):
    images = [name for tag, name, _ in page.attributes if tag == "img"]
    alts = [value for tag, name, value in page.attributes if tag == "img" and name == "alt"]
    assert images.count("src") == 2
    assert len(alts) == 2
    assert all(alts)


def test_disparity_and_confidence_read_back(page: Page):
    _, disparity, _, _ = result()
    data, blobs = page.viewer()
    names = [layer["name"] for layer in data["layers"]]
    assert names == ["Disparity", "Depth", "Confidence"]
    originals = (disparity.values, disparity.confidence)
    for layer, original in zip(data["layers"][::2], originals, strict=True):
        back = decoded(layer["map"], blobs, disparity.shape)
        assert np.array_equal(np.isnan(back), np.isnan(original))
        assert np.nanmax(np.abs(back - original)) <= layer["map"]["step"] / 2 + 1e-7
    assert data["layers"][0]["map"]["step"] < 1e-3
    assert np.array_equal(
        np.frombuffer(blobs[data["source"]["blob"]], np.uint8).reshape(disparity.shape),
        disparity.source,
    )
    assert data["source"]["names"]["2"] == "filled"


def test_depth_and_sigma_are_computed_from_the_disparity(page: Page):
    pair, disparity, depth, _ = result()
    data, blobs = page.viewer()
    layer = data["layers"][1]
    assert layer["inverse"]["of"] == 0
    d = decoded(data["layers"][0]["map"], blobs, disparity.shape)
    z = layer["inverse"]["factor"] / (d + layer["inverse"]["shift"])
    assert np.allclose(z, depth.values, rtol=1e-4, equal_nan=True)
    assert np.allclose(layer["sigma"]["factor"] * z**2, depth.sigma, rtol=1e-3, equal_nan=True)
    assert data["camera"]["cx"] == pair.rig.left.cx


def test_depth_that_the_rig_does_not_give_is_embedded_itself():
    pair, disparity, depth, _ = result()
    cut = np.where(depth.values > 2, np.float32(np.nan), depth.values)
    sigma = (0.01 + 0.1 * depth.values).astype(np.float32)
    layers = stereo_layers(pair, disparity, Depth(cut, sigma))
    page = Page(map_viewer(pair.left.rgb8, layers))
    data, blobs = page.viewer()
    layer = data["layers"][1]
    assert "inverse" not in layer
    back = decoded(layer["map"], blobs, depth.shape)
    assert np.allclose(back, cut, rtol=1e-4, equal_nan=True)
    back = decoded(layer["sigma"]["map"], blobs, depth.shape)
    assert np.allclose(back, sigma, rtol=0.02, equal_nan=True)
    assert "depth ± " in page.text


def test_large_maps_are_sampled_and_say_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(viewers, "MAX_MAP_PIXELS", 300)
    values = np.arange(40 * 61, dtype=np.float32).reshape(40, 61)
    image = np.zeros((40, 61, 3), dtype=np.uint8)
    page = Page(map_viewer(image, [MapLayer("m", values, Scale(0, 1))]))
    data, blobs = page.viewer()
    assert (data["stepX"], data["stepY"], data["columns"], data["rows"]) == (3, 3, 20, 13)
    back = decoded(data["layers"][0]["map"], blobs, (13, 20))
    # The viewer writes x = 3 column + 1, y = 3 row + 1: the middle of the block.
    assert np.abs(back - values[1:39:3, 1:60:3]).max() <= data["layers"][0]["map"]["step"] / 2
    assert "Reduced from 61 x 40 to 20 x 13 pixels" in page.text


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 5000), (3000, 2)])
def test_thin_maps_are_reduced_without_vanishing(
    height: int, width: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(viewers, "MAX_MAP_PIXELS", 100)
    values = np.ones((height, width), dtype=np.float32)
    image = np.zeros((height, width, 3), dtype=np.uint8)
    data, blobs = Page(map_viewer(image, [MapLayer("m", values, Scale(0, 1))])).viewer()
    assert min(data["rows"], data["columns"]) >= 1
    assert len(blobs[0]) == 2 * data["rows"] * data["columns"]


@pytest.mark.parametrize("known", [True, False])
def test_a_report_without_metres_confidence_or_values(known: bool):
    pair, disparity, _, _ = result(metric=False)
    values = disparity.values if known else np.full(disparity.shape, np.nan, dtype=np.float32)
    page = Page(depth_report(pair, Disparity(values), None, None, {}, []))
    data, _ = page.viewer()
    assert [layer["name"] for layer in data["layers"]] == ["Disparity"]
    assert data["camera"] is None
    assert data["source"] is None
    assert "metres need a calibration" in page.text


def test_an_empty_cloud_and_one_point():
    assert "no points" in cloud_viewer(PointCloud(np.zeros((0, 3), dtype=np.float32)))
    one = PointCloud(np.array([[0, 0, 2]], dtype=np.float32))
    assert "All 1 points" in cloud_viewer(one)


def test_the_cloud_says_how_many_points_it_shows():
    _, _, _, cloud = result()
    page = Page(cloud_viewer(cloud, limit=100, caption="drag"))
    data, blobs = page.viewer()
    assert data["count"] == 100
    assert len(blobs[0]) == 600
    assert len(blobs[1]) == 300
    assert f"100 of {len(cloud):,} points" in page.text


def test_every_text_is_escaped():
    pair, disparity, depth, cloud = result()
    info = {
        "title": EVIL,
        "notes": [EVIL],
        EVIL: {EVIL: EVIL},
        "x": EVIL,
        "seconds": {EVIL: 1.0},
        "versions": {EVIL: EVIL},
    }
    finding = dict.fromkeys(FINDING, EVIL)
    html = depth_report(pair, disparity, depth, replace(cloud, frame=EVIL), info, [finding])
    report = Report(EVIL, EVIL).section(EVIL).add_text(EVIL).add_facts({EVIL: EVIL})
    report.add_table([EVIL], [[EVIL]], EVIL).add_picture(pair.left.image, EVIL, EVIL)
    layer = MapLayer(EVIL, disparity.values, Scale(0, 1), unit=EVIL)
    report.add_map_viewer(pair.left.image, [layer], caption=EVIL)
    for text in (html, report.html()):
        assert "<script>alert" not in text
        page = Page(text)
        assert "alert(1)</script>" in page.text
        assert all("alert(1)" not in code for kind, code in page.scripts if not kind)


def test_tables_align_numbers_and_refuse_ragged_rows():
    html = Report("t").add_table(["method", "bad-2"], [["sgm", 10.5], ["bm", None]], "all").html()
    assert html.count('class="number"') == 3
    assert "<td>sgm</td>" in html
    assert "none" in html
    with pytest.raises(UsageError, match="cells"):
        Report("t").add_table(["a", "b"], [[1]])


def test_what_is_empty_adds_nothing():
    empty = Report("t").add_findings([]).add_facts({}).html()
    assert empty == Report("t").html()


def test_scripts_come_once_and_only_where_used():
    pair, disparity, _, cloud = result()
    layers = stereo_layers(pair, disparity, None)
    report = Report("t").add_text("one\n\ntwo")
    assert not Page(report.html()).scripts
    for _ in range(2):
        report.add_map_viewer(pair.left.image, layers).add_cloud(cloud)
    assert [kind for kind, _ in Page(report.html()).scripts].count("") == 3


def test_scripts_and_styles_can_stand_inside_a_page():
    for asset in files("fathom.viz").joinpath("assets").iterdir():
        text = asset.read_text(encoding="utf-8")
        assert "</" not in text
        assert "<!--" not in text
        assert "http" not in text


def test_maps_of_another_size_and_viewers_without_maps_are_refused():
    image = np.zeros((4, 5, 3), dtype=np.uint8)
    layer = MapLayer("m", np.zeros((4, 4), dtype=np.float32), Scale(0, 1))
    with pytest.raises(InputError, match="differs in size"):
        map_viewer(image, [layer])
    good = MapLayer("m", np.zeros((4, 5), dtype=np.float32), Scale(0, 1))
    with pytest.raises(InputError, match="source"):
        map_viewer(image, [good], source=np.zeros((5, 4), dtype=np.uint8))
    with pytest.raises(UsageError, match="needs a map"):
        map_viewer(image, [])


def test_a_camera_with_distortion_gives_no_rays():
    image = np.zeros((4, 5, 3), dtype=np.uint8)
    layer = MapLayer("m", np.zeros((4, 5), dtype=np.float32), Scale(0, 1))
    bent = Camera(5, 4, 4, 4, 2, 2, distortion=(0.1, 0, 0, 0))
    assert Page(map_viewer(image, [layer], camera=bent)).viewer()[0]["camera"] is None


def test_words_for_names_and_values():
    assert label_of("baseline_m") == "baseline (m)"
    assert label_of("share_known") == "share known"
    assert label_of("m") == "m"
    assert text_of(True) == "yes"
    assert text_of(np.bool_(False)) == "no"
    assert text_of(1 / 3) == "0.333333"
    assert text_of(None) == "none"
    assert text_of([0.5, "a"]) == "0.5, a"
    assert text_of({"a_b": 1}) == "a b 1"
    assert text_of([]) == "none"


def test_the_motorcycle_report_is_small_and_fast(motorcycle):
    pair, truth = motorcycle.pair, motorcycle.truth
    depth = truth.to_depth(pair.rig)
    rows, columns = np.nonzero(depth.known)
    z = depth.values[rows, columns]
    cloud = PointCloud(
        np.stack([columns * z / 995, rows * z / 995, z], axis=1).astype(np.float32),
        pair.left.image[rows, columns],
    )
    times = []
    for _ in range(3):
        start = time.perf_counter()
        html = depth_report(pair, truth, depth, cloud, INFO, [])
        times.append(time.perf_counter() - start)
    assert len(html) < 6e6
    assert min(times) < 1.0  # 0.1 s on an idle machine; this is a guard against tenfold
