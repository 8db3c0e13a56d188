"""What is written is read back, in every format, and what a format cannot carry is said."""

from dataclasses import replace

import numpy as np
import pytest
from calibration_cases import assert_same, cut, raw_of, raws, rig_of, rigs
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.core import Camera, InputError, StereoCalibration, StereoRig, UsageError
from fathom.io.calibration import FORMATS, read_calibration, read_uncertainty, write_calibration
from fathom.io.calibration.sniff import format_of_text
from fathom.io.calibration.zed import SIZES as ZED_SIZES

few = settings(max_examples=25, deadline=None)
SIZED = {"kitti", "k-txt"}  # these state no image size
PATHS = {
    "fathom": "c.json",
    "opencv": "c.yml",
    "ros": "left.yaml,right.yaml",
    "kalibr": "camchain.yaml",
    "zed": "SN1.conf",
    "depthai": "oak.json",
    "colmap": "model",
    "stereodemo": "stereodemo.json",
}


def without_limit(rig):
    return replace(rig, max_disparity=None)


KEEPS = {  # what of a rig, and what of a raw pair, a format should give back
    "fathom": (lambda r: r, lambda c: c),
    "opencv": (without_limit, lambda c: cut(c, second_size=False)),
    "ros": (without_limit, lambda c: c),
    "kalibr": (
        without_limit,
        lambda c: c if c.left.model == "fisheye" else cut(c, terms=4),
    ),
    "kitti": (without_limit, None),
    "kitti-raw": (without_limit, lambda c: cut(c, terms=5, second_size=False)),
    "middlebury": (lambda r: replace(r, right=replace(r.right, fx=r.left.fx)), None),
    "k-txt": (lambda r: StereoRig(r.left, r.left, r.baseline), None),
    "zed": (without_limit, lambda c: cut(c, terms=8, second_size=False)),
    "depthai": (without_limit, lambda c: c),
    "colmap": (without_limit, lambda c: cut(c, terms=8)),
    "stereodemo": (
        lambda r: StereoRig(r.left, replace(r.left, cx=r.right.cx), r.baseline),
        None,
    ),
}


def inputs(name, kind):
    sizes = tuple(ZED_SIZES.values()) if name == "zed" else ((640, 480), (1242, 375))
    if kind == "rig":
        return rigs(sizes=sizes)
    models = ("pinhole",) if name in ("zed", "kitti-raw") else ("pinhole", "fisheye")
    return raws(models=models, sizes=sizes)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("round")


def place(home, name):
    words = PATHS.get(name, "calib.txt").split(",")
    return ",".join(str(home / word) for word in words)


def test_every_format_is_tried():
    assert set(KEEPS) == {f.name for f in FORMATS}
    for f in FORMATS:
        assert ("raw" in f.holds) == (KEEPS[f.name][1] is not None)


@pytest.mark.parametrize("name", list(KEEPS))
@few
@given(data=st.data())
def test_rigs(home, name, data):
    rig = rig_of(data.draw(inputs(name, "rig")))
    lost = write_calibration(place(home, name), rig, format=name)
    size = rig.left.size if name in SIZED else None
    source = str(home / "model" / "cameras.txt") if name == "colmap" else place(home, name)
    back = read_calibration(source, image_size=size)
    expected = KEEPS[name][0](rig)
    assert_same(back, expected)
    if name == "fathom":
        assert back == rig
    assert bool(lost) == (expected != rig or name in SIZED), lost


@pytest.mark.parametrize("name", [n for n, keeps in KEEPS.items() if keeps[1]])
@few
@given(data=st.data())
def test_raw_pairs(home, name, data):
    raw = raw_of(data.draw(inputs(name, "raw")))
    lost = write_calibration(place(home, name), raw, format=name)
    source = str(home / "model" / "cameras.txt") if name == "colmap" else place(home, name)
    back = read_calibration(source)
    expected = KEEPS[name][1](raw)
    assert_same(back, expected, 1e-12)
    dropped = [
        any(c.distortion[len(e.distortion) :]) or c.size != e.size
        for c, e in ((raw.left, expected.left), (raw.right, expected.right))
    ]
    assert bool(lost) == any(dropped), lost


@few
@given(data=st.data())
def test_opencv_xml(home, data):
    raw = raw_of(data.draw(raws(second_size=False)))
    assert write_calibration(home / "c.xml", raw) == []
    assert (home / "c.xml").read_text().startswith("<?xml")
    assert_same(read_calibration(home / "c.xml"), raw, 0)


RAW = StereoCalibration(
    Camera(640, 480, 700, 701, 320.5, 239.25, "pinhole", (-0.3, 0.1, 1e-3, -2e-4, 0.02, 0.1, 0, 0)),
    Camera(644, 482, 702, 703, 318.5, 241.0, "pinhole", (-0.31, 0.12, 0, 0)),
    np.eye(3),
    np.array([-0.12, 0.001, 0]),
)
RIG = StereoRig.simple(640, 480, 700, 0.12, doffs=31.086)


def lost_of(tmp_path, calibration, name, file="c", **options):
    return " | ".join(write_calibration(tmp_path / file, calibration, format=name, **options))


class TestWhatIsLost:
    def test_distortion_and_second_size(self, tmp_path):
        text = lost_of(tmp_path, RAW, "kalibr")
        assert "left camera's distortion is dropped: k3 = 0.02, k4 = 0.1" in text
        text = lost_of(tmp_path, RAW, "opencv")
        assert text == "the right camera's image size of 644x482 became 640x480"

    def test_doffs(self, tmp_path):
        text = lost_of(tmp_path, RIG, "k-txt")
        assert "doffs of 31.086 px became 0: depth from this file will be wrong" in text
        assert "image size of 640x480 is not stated" in text

    def test_focal_lengths_and_rows_are_merged(self, tmp_path):
        right = replace(RIG.right, fx=700.2, fy=700.3, cy=239.75)
        rig = StereoRig(RIG.left, right, 0.12, 64)
        text = lost_of(tmp_path, rig, "stereodemo")
        for part in ("right fx of 700.2 px became 700", "right fy", "cy of 239.75", "64 px, ndisp"):
            assert part in text

    def test_uncertainty(self, tmp_path):
        sigma = {"baseline_m": 1e-4, "left.fx": 0.5}
        assert "uncertainties" in lost_of(tmp_path, RAW, "kalibr", uncertainty=sigma)
        assert lost_of(tmp_path, RAW, "fathom", "c.json", uncertainty=sigma) == ""
        assert read_uncertainty(tmp_path / "c.json") == sigma
        write_calibration(tmp_path / "c.yml", RAW)
        assert read_uncertainty(tmp_path / "c.yml") == {}

    def test_kind(self, tmp_path):
        ideal = [Camera(c.width, c.height, 700, 700, 320, 240) for c in (RAW.left, RAW.left)]
        parallel = StereoCalibration(*ideal, np.eye(3), np.array([-0.1, 0, 0]))
        text = lost_of(tmp_path, parallel, "kalibr")
        assert text == "the pair was raw (to be rectified) and is read back as rectified"

    def test_an_absurd_baseline_is_written_and_said(self, tmp_path):
        rig = replace(RIG, baseline=60.0)
        text = lost_of(tmp_path, rig, "k-txt")
        assert "may refuse it" in text and "not stated" in text and "doffs" in text
        far = replace(cut(RAW, second_size=False), translation=RAW.translation * 500)
        text = lost_of(tmp_path, far, "kalibr")
        assert "60 m is implausible" in text and "k3 = 0.02" in text and "became" not in text

    def test_one_camera_above_the_other(self, tmp_path):
        """A vertical pair goes through R and P[1,3], too."""
        above = replace(RAW, translation=np.array([0.001, -0.12, 0.002]))
        for name, path in (("ros", "left.yaml"), ("depthai", "oak.json")):
            assert write_calibration(tmp_path / path, above, format=name) == []
            assert_same(read_calibration(tmp_path / path), above)


class TestRefused:
    @pytest.mark.parametrize("name", ["middlebury", "kitti", "k-txt", "stereodemo"])
    def test_raw_where_only_rigs_go(self, tmp_path, name):
        with pytest.raises(UsageError, match=r"holds rectified rigs.*--rectify"):
            write_calibration(tmp_path / "c", RAW, format=name)
        assert not list(tmp_path.iterdir())

    def test_fisheye(self, tmp_path):
        eyes = [Camera(1280, 720, 500, 500, 640, 360, "fisheye", (0.1, 0, 0, 0))] * 2
        pair = StereoCalibration(*eyes, np.eye(3), np.array([-0.1, 0, 0]))
        for name in ("zed", "kitti-raw"):
            with pytest.raises(UsageError, match="know no fisheye"):
                write_calibration(tmp_path / "c", pair, format=name)
        mixed = replace(pair, right=Camera(1280, 720, 500, 500, 640, 360))
        for name in ("opencv", "ros", "depthai"):
            path = tmp_path / ("left.yaml" if name == "ros" else "c")
            with pytest.raises(UsageError, match="one camera is a fisheye"):
                write_calibration(path, mixed, format=name)
        assert write_calibration(tmp_path / "c.json", mixed) == []
        assert_same(read_calibration(tmp_path / "c.json"), mixed, 0)

    def test_sizes_no_zed_has(self, tmp_path):
        with pytest.raises(UsageError, match=r"size = '640x480': is no resolution of a ZED"):
            write_calibration(tmp_path / "c", RAW, format="zed")

    def test_pairs_that_cannot_be_rectified(self, tmp_path):
        """Cameras that stand behind each other have no common rows to write R and P for."""
        eye = Camera(640, 480, 700, 700, 320, 240)
        behind = StereoCalibration(eye, eye, np.eye(3), np.array([0.0, 0, -0.1]))
        for name, path in (("ros", "left.yaml"), ("depthai", "c.json")):
            with pytest.raises(UsageError, match="cannot be rectified"):
                write_calibration(tmp_path / path, behind, format=name)
        assert not list(tmp_path.iterdir())
        assert write_calibration(tmp_path / "c.yml", behind) == []

    @pytest.mark.parametrize("sigma", [-1.0, float("nan"), float("inf")])
    def test_uncertainty(self, tmp_path, sigma):
        with pytest.raises(UsageError, match=r"uncertainty\.left\.fx"):
            write_calibration(tmp_path / "c.json", RAW, uncertainty={"left.fx": sigma})

    def test_unknown_format(self, tmp_path):
        with pytest.raises(UsageError, match="did you mean kalibr"):
            write_calibration(tmp_path / "c", RAW, format="kalib")


class TestWhere:
    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("c.json", "fathom"),
            ("c.xml", "opencv"),
            ("rig.yml", "opencv"),
            ("camchain-x.yaml", "kalibr"),
            ("SN123.conf", "zed"),
            ("oak_d.json", "depthai"),
            ("calib_cam_to_cam.txt", "kitti"),
            ("cameras.txt", "colmap"),
        ],
    )
    def test_format_by_name(self, tmp_path, path, name):
        raw = cut(RAW, second_size=False)
        big = replace(raw, left=replace(raw.left, width=1280, height=720), right=raw.right)
        write_calibration(tmp_path / path, replace(big, right=big.left))
        assert format_of_text((tmp_path / path).read_text()) == name

    @pytest.mark.parametrize("path", ["K.txt", "stereodemo_calibration.json"])
    def test_rigs_by_name(self, tmp_path, path):
        write_calibration(tmp_path / path, RIG)
        assert read_calibration(tmp_path / path, image_size=RIG.size).baseline == 0.12

    @pytest.mark.parametrize("name", ["c", "c.foo", "c.png"])
    def test_a_name_that_tells_nothing(self, tmp_path, name):
        with pytest.raises(UsageError, match=r"does not tell the format.*--to opencv"):
            write_calibration(tmp_path / name, RAW)
        assert not (tmp_path / name).exists()

    @pytest.mark.parametrize("suffix", ["yml", "xml"])
    def test_opencv_in_two_files(self, tmp_path, suffix):
        # The second name has no folder: it lies beside the first, as it is read.
        names = f"intrinsics.{suffix},extrinsics.{suffix}"
        write_calibration(f"{tmp_path}/{names}", RAW)
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names.split(","))
        both = read_calibration(f"{tmp_path}/{names}")
        assert (both.rotation == RAW.rotation).all()
        assert both.left.distortion == RAW.left.distortion
        assert "R" not in (tmp_path / f"intrinsics.{suffix}").read_text().split()
        with pytest.raises(UsageError, match="two files hold raw cameras"):
            write_calibration(f"{tmp_path}/{names}", RIG)

    def test_one_file_named_twice(self, tmp_path):
        with pytest.raises(UsageError, match="names one file twice"):
            write_calibration(f"{tmp_path}/a.yaml,a.yaml", RIG)
        with pytest.raises(UsageError, match="is more files than the format has"):
            write_calibration(f"{tmp_path}/a.json,b.json", RIG)

    def test_txt_says_too_little(self, tmp_path):
        with pytest.raises(UsageError, match=r"calib\.txt: format: may be several.*--to"):
            write_calibration(tmp_path / "calib.txt", RIG)

    @pytest.mark.parametrize(
        ("path", "files"),
        [
            ("a.yaml,b.yaml", ["a.yaml", "b.yaml"]),
            ("left.yaml", ["left.yaml", "right.yaml"]),
            ("x_left_info.yaml", ["x_left_info.yaml", "x_right_info.yaml"]),
            ("folder", ["folder/left.yaml", "folder/right.yaml"]),
        ],
    )
    def test_ros_has_two_files(self, tmp_path, monkeypatch, path, files):
        monkeypatch.chdir(tmp_path)
        write_calibration(path, RIG, format="ros")
        assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.yaml")) == files
        assert read_calibration(",".join(files)).baseline == 0.12

    def test_colmap_has_two_files(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for path in ("model", "other/cameras.txt", "c.txt,i.txt"):
            write_calibration(path, RIG, format="colmap")
            source = path if "," in path else path.removesuffix("/cameras.txt") + "/cameras.txt"
            assert read_calibration(source).baseline == pytest.approx(0.12)

    def test_names_that_do_not_tell(self, tmp_path):
        for path, name in (("rig.yaml", "ros"), ("rig.txt", "colmap"), ("a,b", "kalibr")):
            with pytest.raises(UsageError, match="file"):
                write_calibration(str(tmp_path / path), RIG, format=name)
        with pytest.raises(UsageError, match="one file a camera"):
            write_calibration("a,b,c", RIG, format="ros")
        assert not list(tmp_path.iterdir())

    def test_two_files_are_written_whole_or_not_at_all(self, tmp_path):
        (tmp_path / "right.yaml").mkdir()
        with pytest.raises(Exception, match=r"right\.yaml"):
            write_calibration(tmp_path / "left.yaml", RIG, format="ros")
        assert [p.name for p in tmp_path.iterdir()] == ["right.yaml"]


def test_two_files_that_are_no_halves(tmp_path):
    write_calibration(tmp_path / "a.json", RIG)
    with pytest.raises(InputError, match="is not half of a calibration"):
        read_calibration((tmp_path / "a.json", tmp_path / "a.json"))
