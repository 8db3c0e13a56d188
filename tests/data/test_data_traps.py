"""The traps of each format: what is unknown, factors, sizes, signs, splits and options."""

import os
import sys
from pathlib import Path

import data_layouts as layouts
import numpy as np
import pytest
from data_layouts import HEIGHT, NAN, WIDTH, disparity, png, rgb, text, u16, views
from hypothesis import given
from hypothesis import strategies as st

from fathom.core import InputError, MissingExtraError, UsageError
from fathom.core.camera import StereoRig
from fathom.data import layout
from fathom.data.dataset import by_name
from fathom.data.readers.kitti_raw import project_scan
from fathom.data.readers.tum import associate
from fathom.data.registry import open_dataset
from fathom.io import encodings


def test_sintel_channels_are_red_green_blue(tmp_path: Path) -> None:
    png(tmp_path / "d.png", np.array([[[10, 32, 128]]], np.uint8))
    value = encodings.read_sintel_disparity(tmp_path / "d.png")[0, 0]
    assert value == np.float32(4 * 10 + 32 / 64 + 128 / 16384)


def test_foundation_stereo_has_base_255(tmp_path: Path) -> None:
    png(tmp_path / "d.png", np.array([[[1, 2, 3], [0, 0, 0]]], np.uint8))
    values = encodings.read_fsd_disparity(tmp_path / "d.png")
    assert values[0, 0] == np.float32((255 * 255 + 2 * 255 + 3) / 1000)
    assert np.isnan(values[0, 1])


@pytest.mark.parametrize("read", [encodings.read_sintel_disparity, encodings.read_fsd_disparity])
def test_channels_of_a_grey_map(read, tmp_path: Path) -> None:
    png(tmp_path / "d.png", np.ones((3, 4), np.uint16))
    with pytest.raises(InputError, match="holds no disparity in its colours"):
        read(tmp_path / "d.png")


def test_a_picture_of_a_map_is_no_map(tmp_path: Path) -> None:
    """The 8-bit colour-mapped PNG read back as data."""
    png(tmp_path / "jet.png", rgb(1))
    with pytest.raises(InputError, match=r"looks like a picture; expected one channel of 16 bits"):
        encodings.read_steps(tmp_path / "jet.png", 256)
    png(tmp_path / "grey.png", rgb(1)[..., 0])
    with pytest.raises(InputError, match=r"channels x bits = '1 x 8'"):
        encodings.read_steps(tmp_path / "grey.png", 256)


@pytest.mark.parametrize(
    ("values", "known"),
    [([0, 1, 65535], [False, True, True]), ([65535, 3, 0], [True, True, False])],
)
def test_zero_is_unknown_and_65535_is_not(values, known, tmp_path: Path) -> None:
    png(tmp_path / "d.png", np.array([values], np.uint16))
    assert (~np.isnan(encodings.read_steps(tmp_path / "d.png", 256)[0])).tolist() == known


def test_virtual_kitti_sky_is_no_depth_of_655_metres(tmp_path: Path) -> None:
    layouts.virtual_kitti_2(tmp_path)
    sample = open_dataset("virtual-kitti-2", tmp_path)[0]
    assert np.isnan(sample.truth.values[:30]).all()
    assert sample.masks["sky"][:30].all() and not sample.masks["sky"][30:].any()


@pytest.mark.parametrize("value", [0.0, -1.0, np.inf, np.nan])
def test_what_booster_may_write_for_unknown(value: float, tmp_path: Path) -> None:
    layouts.booster(tmp_path)
    np.save(
        tmp_path / "train/balanced/Bathroom/disp_00.npy",
        np.full((HEIGHT, WIDTH), value, np.float32),
    )
    assert not open_dataset("booster", tmp_path)[0].truth.known.any()


def test_driving_stereo_full_size_has_128_a_pixel(tmp_path: Path) -> None:
    day = tmp_path / "test-left-image/2018-07-09"
    big = {"width": 1762, "height": 20}
    views(day / "a.png", tmp_path / "test-right-image/2018-07-09/a.png", **big)
    png(tmp_path / "test-disparity-map/2018-07-09/a.png", np.full((20, 1762), 1280, np.uint16))
    assert open_dataset("drivingstereo", tmp_path, "test")[0].truth.values[0, 0] == 10
    half = open_dataset("drivingstereo", tmp_path, "test", size="half")[0]
    assert half.truth.values[0, 0] == 5


def test_driving_stereo_by_weather(tmp_path: Path) -> None:
    for size, factor in (("half", 256), ("full", 128)):
        place = tmp_path / "foggy"
        views(place / f"left-image-{size}-size/a.jpg", place / f"right-image-{size}-size/a.jpg")
        png(place / f"disparity-map-{size}-size/a.png", u16(disparity(), factor))
    for size in ("half", "full"):
        sample = open_dataset("drivingstereo", tmp_path, "foggy", size=size)[0]
        np.testing.assert_array_equal(sample.truth.values, disparity())
    text(tmp_path / "calib_test/half-image-calib/a.txt", "P_rect_101: 1 2 3\n")
    with pytest.raises(InputError, match=r"P_rect_101 = .*has 3 numbers; expected 12"):
        open_dataset("drivingstereo", tmp_path, "foggy", size="half")[0]
    text(tmp_path / "calib_test/half-image-calib/a.txt", "S: 1\n")
    with pytest.raises(InputError, match="P_rect_101: is missing"):
        open_dataset("drivingstereo", tmp_path, "foggy", size="half")[0]


@pytest.mark.parametrize(("width", "factor"), [(450, 4), (900, 2), (1800, 1)])
def test_middlebury_2003_factor_follows_the_size(width: int, factor: int, tmp_path: Path) -> None:
    size = {"width": width, "height": 12}
    views(tmp_path / "cones/im2.png", tmp_path / "cones/im6.png", **size)
    png(tmp_path / "cones/disp2.png", np.full((12, width), 48, np.uint8))
    assert open_dataset("middlebury-2003", tmp_path)[0].truth.values[0, 0] == 48 / factor


def test_middlebury_of_a_size_of_its_own(tmp_path: Path) -> None:
    views(tmp_path / "cones/im2.png", tmp_path / "cones/im6.png")
    png(tmp_path / "cones/disp2.png", np.full((HEIGHT, WIDTH), 48, np.uint8))
    with pytest.raises(InputError, match=r"width = 48: is no size .* 450 or 900 .*factor=N"):
        open_dataset("middlebury-2003", tmp_path)[0]
    assert open_dataset("middlebury-2003", tmp_path, factor=8)[0].truth.values[0, 0] == 6


def test_tsukuba_has_16_levels_a_pixel_and_the_planes_8(tmp_path: Path) -> None:
    layouts.middlebury_2001(tmp_path)
    dataset = open_dataset("middlebury-2001", tmp_path)
    for name in ("tsukuba", "venus"):
        np.testing.assert_array_equal(dataset[name].truth.values, disparity())
    assert "nonocc" in dataset["venus"].masks and "nonocc" not in dataset["tsukuba"].masks


def test_middlebury_2006_lights_and_a_broken_dmin(tmp_path: Path) -> None:
    layouts.middlebury_2006(tmp_path)
    plain = open_dataset("middlebury-2006", tmp_path)[0]
    png(tmp_path / "Aloe/Illum2/Exp1/view1.png", rgb(9, 30, 370))
    other = open_dataset("middlebury-2006", tmp_path, illumination=2, exposure=1)[0]
    assert not np.array_equal(plain.pair.left.image, other.pair.left.image)
    text(tmp_path / "Aloe/dmin.txt", "many\n")
    with pytest.raises(InputError, match=r"dmin.txt: holds no number"):
        open_dataset("middlebury-2006", tmp_path)[0]


@pytest.mark.parametrize(("light", "seed"), [("same", 2), ("exposure", 5), ("lighting", 6)])
def test_middlebury_2014_lights(light: str, seed: int, tmp_path: Path) -> None:
    layouts.middlebury_2014(tmp_path)
    sample = open_dataset("middlebury-2014", tmp_path, light=light)[0]
    np.testing.assert_array_equal(sample.pair.right.image, rgb(seed))


@pytest.mark.parametrize(
    ("name", "split"),
    [("kitti-2012", "testing"), ("kitti-2015", "testing"), ("eth3d", "test")],
)
def test_a_test_split_has_no_truth(name: str, split: str, tmp_path: Path) -> None:
    getattr(layouts, name.replace("-", "_"))(tmp_path)
    sample = open_dataset(name, tmp_path, split)[0]
    assert sample.truth is None and not sample.masks


def test_middlebury_v3_test_and_sizes(tmp_path: Path) -> None:
    layouts.middlebury_v3(tmp_path)
    assert open_dataset("middlebury-v3", tmp_path, "test")[0].truth is None
    with pytest.raises(InputError, match="trainingF"):
        open_dataset("middlebury-v3", tmp_path, resolution="F")


def test_a_training_sample_without_its_truth_is_an_error(tmp_path: Path) -> None:
    layouts.kitti_2015(tmp_path)
    (tmp_path / "training/disp_occ_0/000000_10.png").unlink()
    with pytest.raises(InputError, match=r"disp_occ_0/000000_10.png: does not exist"):
        open_dataset("kitti-2015", tmp_path)[0]


@pytest.mark.parametrize("name", ["kitti-2012", "kitti-2015"])
def test_kitti_noc_and_no_calibration(name: str, tmp_path: Path) -> None:
    getattr(layouts, name.replace("-", "_"))(tmp_path)
    noc = open_dataset(name, tmp_path, truth="noc")[0]
    assert np.isnan(noc.truth.values[:, :6]).all() and noc.truth.known.any()
    for folder in ("calib", "calib_cam_to_cam"):
        (tmp_path / "training" / folder / "000000.txt").unlink(missing_ok=True)
    assert open_dataset(name, tmp_path)[0].pair.rig is None


def test_kitti_2012_grey_cameras(tmp_path: Path) -> None:
    layouts.kitti_2012(tmp_path)
    rig = open_dataset("kitti-2012", tmp_path, images="grey")[0].pair.rig
    assert rig is not None and rig.baseline == pytest.approx(0.54)


def test_kitti_depth_of_drives(tmp_path: Path) -> None:
    day = tmp_path / "raw/2011_09_26"
    layouts.kitti_raw(tmp_path / "raw")
    drive = "2011_09_26_drive_0001_sync"
    for kind, value in (("groundtruth", 2560), ("velodyne_raw", 5120)):
        place = tmp_path / "depth/train" / drive / "proj_depth" / kind / "image_02"
        png(place / "0000000000.png", np.full((HEIGHT, WIDTH), value, np.uint16))
    for truth, metres in (("annotated", 10), ("lidar", 20)):
        options = {"truth": truth, "raw": tmp_path / "raw"}
        sample = open_dataset("kitti-depth", tmp_path / "depth", "train", **options)[0]
        assert sample.truth.values[0, 0] == metres
        assert sample.view.camera.cx == 20
    np.testing.assert_array_equal(
        sample.view.image,
        open_dataset("kitti-raw", day.parent)[0].pair.left.image,
    )


def test_kitti_raw_without_truth_and_with_broken_files(tmp_path: Path) -> None:
    layouts.kitti_raw(tmp_path)
    assert open_dataset("kitti-raw", tmp_path)[0].truth is None
    day = tmp_path / "2011_09_26"
    scan = day / "2011_09_26_drive_0001_sync/velodyne_points/data/0000000000.bin"
    scan.write_bytes(b"12345")
    with pytest.raises(InputError, match=r"0000000000.bin: size = '5 bytes': is no lidar sweep"):
        open_dataset("kitti-raw", tmp_path, truth="lidar")[0]
    text(day / "calib_velo_to_cam.txt", "T: 0 0 0\n")
    with pytest.raises(InputError, match=r"calib_velo_to_cam.txt: R: is missing"):
        open_dataset("kitti-raw", tmp_path, truth="lidar")[0]


def test_the_nearest_lidar_point_wins() -> None:
    matrix = np.array([[10, 0, 5, 0], [0, 10, 5, 0], [0, 0, 1, 0]], np.float64)
    matrix = matrix[:, [2, 0, 1, 3]]  # lidar's x is the camera's z
    points = np.array([[4, 0, 0, 0], [2, 0, 0, 0], [3, 0, 0, 0], [-1, 0, 0, 0]], np.float32)
    depth = project_scan(points, matrix, (10, 10))
    assert depth[5, 5] == 2 and np.isnan(depth).sum() == 99


def test_monkaa_is_not_read_from_another_part(tmp_path: Path) -> None:
    layouts.flyingthings3d(tmp_path)
    with pytest.raises(
        InputError, match=r"does not look like monkaa.*it looks like flyingthings3d"
    ):
        open_dataset("monkaa", tmp_path)


def test_sceneflow_packed_frames_and_test_split(tmp_path: Path) -> None:
    layouts.sceneflow(tmp_path)
    assert list(open_dataset("sceneflow", tmp_path, "test").names) == [
        "flyingthings3d/TEST/B/0001/0007"
    ]
    place = tmp_path / "Monkaa"
    (place / "frames_finalpass").rename(place / "frames_finalpass_webp")
    assert len(open_dataset("monkaa", tmp_path)) == 1


def test_driving_keeps_its_focal_lengths_apart(tmp_path: Path) -> None:
    layouts.driving(tmp_path)
    names = open_dataset("driving", tmp_path).names
    assert [n[:4] for n in names] == ["15mm", "35mm"]


def test_a_wrong_shape_gets_no_constant_rig() -> None:
    nominal = StereoRig.simple(640, 480, 320, 0.25)
    assert layout.rig_for((640, 480), nominal) is nominal
    assert layout.rig_for((320, 240), nominal).left.fx == 160
    with pytest.raises(InputError, match=r"size = '640x400': is not the shape"):
        layout.rig_for((640, 400), nominal)
    assert layout.camera_for((320, 240), nominal.left).fx == 160
    with pytest.raises(InputError, match="is not the shape"):
        layout.camera_for((64, 64), nominal.left)


def test_nyu_counts_from_one(tmp_path: Path) -> None:
    layouts.nyu_v2(tmp_path)
    png(tmp_path / "official_splits/test/bathroom/rgb_00045.jpg", rgb(1, 640, 480))
    png(
        tmp_path / "official_splits/test/bathroom/sync_depth_00045.png",
        np.full((480, 640), 1000, np.uint16),
    )
    camera = open_dataset("nyu-v2", tmp_path)[0].view.camera
    assert (camera.cx, camera.cy) == pytest.approx((324.58244941, 252.73616633))


def test_diode_mask_of_another_size(tmp_path: Path) -> None:
    layouts.diode(tmp_path)
    file = next(tmp_path.rglob("*_depth_mask.npy"))
    np.save(file, np.ones((3, 3)))
    with pytest.raises(InputError, match=r"_depth_mask.npy: shape .* differs in size"):
        open_dataset("diode", tmp_path)[0]
    assert open_dataset("diode", tmp_path, scene="indoors").names
    with pytest.raises(InputError):
        open_dataset("diode", tmp_path, scene="outdoors")


def test_scannet_frames_by_number_step_and_lists(tmp_path: Path) -> None:
    layouts.scannet(tmp_path)
    assert list(open_dataset("scannet", tmp_path, step=2).names) == [
        "scene0000_00/0",
        "scene0000_00/10",
    ]
    sample = open_dataset("scannet", tmp_path)[0]
    assert sample.view.size == (WIDTH, HEIGHT)
    with pytest.raises(InputError, match="step"):
        open_dataset("scannet", tmp_path, step=0)
    text(tmp_path / "scannetv2_val.txt", "scene0707_00\n")
    with pytest.raises(InputError, match="holds no sample"):
        open_dataset("scannet", tmp_path, "val")
    text(tmp_path / "scannetv2_val.txt", "scene0000_00\n")
    assert len(open_dataset("scannet", tmp_path, "val")) == 3


def _slow_associate(first, second, limit):
    """All pairs, the nearest first."""
    pairs = sorted(
        (abs(a - b), i, j)
        for i, (a, _) in enumerate(first)
        for j, (b, _) in enumerate(second)
        if abs(a - b) < limit
    )
    taken = {}
    for _, i, j in pairs:
        if i not in taken and j not in taken.values():
            taken[i] = j
    return [(first[i][1], second[taken[i]][1]) for i in sorted(taken, key=lambda i: first[i][0])]


_TIMES = st.lists(st.integers(0, 60), unique=True, max_size=12)


@given(_TIMES, _TIMES, st.integers(1, 9))
def test_association_agrees_with_its_slow_twin(a, b, limit) -> None:
    # Whole numbers and a half in the limit: no difference lies on it.
    first = [(float(t), f"a{t}") for t in a]
    second = [(float(t), f"b{t}") for t in sorted(b)]
    assert associate(first, second, limit + 0.5) == _slow_associate(first, second, limit + 0.5)


def test_tum_lists(tmp_path: Path) -> None:
    layouts.tum_rgbd(tmp_path)
    place = tmp_path / "rgbd_dataset_freiburg1_rpy"
    dataset = open_dataset("tum-rgbd", tmp_path, max_difference=0.005)
    assert [n.split("/")[1] for n in dataset.names] == ["1.033000"]
    assert dataset[0].view.camera.distortion[0] == 0.2624
    assert open_dataset("tum-rgbd", place)[0].name == "1.000000"
    with pytest.raises(UsageError, match="max_difference = 0"):
        open_dataset("tum-rgbd", place, max_difference=0)
    text(place / "rgb.txt", "# nothing\nearly rgb/1.png\n")
    with pytest.raises(InputError, match=r"line 2 = 'early rgb/1.png': is no time"):
        open_dataset("tum-rgbd", place)
    (place / "depth.txt").unlink()
    text(place / "assoc.txt", "#\n\n1.0 rgb/1.000000.png 1.012 depth/1.012000.png\n")
    assert len(open_dataset("tum-rgbd", place)) == 1
    text(place / "assoc.txt", "1.0 rgb/1.000000.png\n")
    with pytest.raises(InputError, match=r"line 1 .* is no association"):
        open_dataset("tum-rgbd", place)


def test_tum_without_any_pair(tmp_path: Path) -> None:
    layouts.tum_rgbd(tmp_path)
    text(tmp_path / "rgbd_dataset_freiburg1_rpy/depth.txt", "99 depth/1.png\n")
    with pytest.raises(InputError, match="holds no pair of colour and depth"):
        open_dataset("tum-rgbd", tmp_path)


@pytest.mark.parametrize("split", ["mixed", "single"])
def test_falling_things_splits(split: str, tmp_path: Path) -> None:
    layouts.falling_things(tmp_path)
    (tmp_path / "mixed").rename(tmp_path / split)
    sample = open_dataset("falling-things", tmp_path, split)[0]
    assert sample.name == "kitchen_0/000000"


def test_booster_lights_and_calibration(tmp_path: Path) -> None:
    layouts.booster(tmp_path)
    assert list(open_dataset("booster", tmp_path, light="first").names) == ["Bathroom/im0"]
    file = tmp_path / "train/balanced/Bathroom/calib_00-02.xml"
    text(file, file.read_text().replace("proj_matL", "other"))
    with pytest.raises(InputError, match=r"calib_00-02.xml: proj_matL: is no projection"):
        open_dataset("booster", tmp_path)[0]


def _spring(root: Path, factor: int = 2) -> None:
    h5py = pytest.importorskip("h5py")
    place = root / "train/0001"
    for n in ("0001", "0002"):
        views(place / f"frame_left/frame_left_{n}.png", place / f"frame_right/frame_right_{n}.png")
        for side in ("left", "right"):
            file = place / f"disp1_{side}/disp1_{side}_{n}.dsp5"
            file.parent.mkdir(parents=True, exist_ok=True)
            values = np.repeat(np.repeat(disparity(), factor, 0), factor, 1)
            values[1::2] += 1  # what is not taken
            with h5py.File(file, "w") as written:
                written.create_dataset("disparity", data=values, compression="gzip")
    text(place / "cam_data/intrinsics.txt", "100 100 20 15\n200 200 20 15\n")


def test_spring_truth_is_subsampled_and_not_halved(tmp_path: Path) -> None:
    _spring(tmp_path)
    dataset = open_dataset(None, tmp_path)
    assert dataset.format == "spring" and list(dataset.names) == ["0001/0001", "0001/0002"]
    np.testing.assert_array_equal(dataset[0].truth.values, disparity())
    assert (dataset[0].pair.rig.left.fx, dataset[1].pair.rig.left.fx) == (100, 200)
    assert dataset[0].pair.rig.baseline == 0.065
    assert "nonocc" in dataset[0].masks
    text(tmp_path / "train/0001/cam_data/intrinsics.txt", "100 100 20 15\n")
    with pytest.raises(InputError, match="frame = 2: has no line for this frame; expected 1 to 1"):
        dataset[1]
    (tmp_path / "train").rename(tmp_path / "test")
    assert open_dataset("spring", tmp_path, "test")[0].truth is None


def test_spring_truth_of_another_size(tmp_path: Path) -> None:
    _spring(tmp_path, factor=1)
    with pytest.raises(InputError, match="size = '48x32': is not twice the size"):
        open_dataset("spring", tmp_path)[0]


def test_hdf5_errors(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    text(tmp_path / "a.dsp5", "no HDF5 at all")
    with pytest.raises(InputError, match=r"a.dsp5: is no HDF5 file"):
        encodings.read_hdf5_map(tmp_path / "a.dsp5", "disparity")
    layouts.put(tmp_path / "b.dsp5", b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(InputError, match=r"b.dsp5: is truncated or damaged"):
        encodings.read_hdf5_map(tmp_path / "b.dsp5", "disparity")
    with h5py.File(tmp_path / "c.dsp5", "w") as file:
        file.create_dataset("flow", data=np.zeros((2, 2)))
    with pytest.raises(InputError, match="key = 'disparity': holds no such map"):
        encodings.read_hdf5_map(tmp_path / "c.dsp5", "disparity")


def test_hdf5_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'fathom-depth\[hdf5\]'"):
        encodings.hdf5(tmp_path / "a.dsp5")


def test_nyu_mat_is_stored_columns_first(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    from scipy.io import savemat

    images = np.stack([rgb(i, 64, 48) for i in range(3)])
    depths = np.random.default_rng(0).uniform(1, 5, (3, 48, 64)).astype(np.float32)
    raw = depths.copy()
    raw[:, 2, 3] = 0
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        file["images"] = images.transpose(0, 3, 2, 1)
        file["depths"] = depths.transpose(0, 2, 1)
        file["rawDepths"] = raw.transpose(0, 2, 1)
    savemat(tmp_path / "splits.mat", {"testNdxs": [[1], [3]], "trainNdxs": [[2]]})
    dataset = open_dataset(None, tmp_path)
    assert dataset.format == "nyu-v2" and list(dataset.names) == ["0000", "0002"]
    np.testing.assert_array_equal(dataset[1].view.image, images[2])
    np.testing.assert_array_equal(dataset[1].truth.values, depths[2])
    assert np.isnan(open_dataset("nyu-v2", tmp_path, depth="raw")[0].truth.values[2, 3])
    whole = open_dataset("nyu-v2", tmp_path / "nyu_depth_v2_labeled.mat", "all")
    assert len(whole) == 3
    layouts.text(tmp_path / "splits.mat", "no matrix" * 30)
    with pytest.raises(InputError, match=r"splits.mat: testNdxs: is no split file"):
        open_dataset("nyu-v2", tmp_path)
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = images
    with pytest.raises(InputError, match="depths: is missing"):
        open_dataset("nyu-v2", tmp_path)


def test_a_data_set_by_index_and_by_name(tmp_path: Path) -> None:
    layouts.scannet(tmp_path)
    dataset = open_dataset("scannet", tmp_path)
    assert dataset[-1].name == dataset[2].name == dataset["scene0000_00/10"].name
    assert [sample.name for sample in dataset] == list(dataset.names)
    assert list(dataset.take(2).names) == list(dataset.names[:2])
    with pytest.raises(IndexError, match="sample 3 of 3"):
        dataset[3]
    with pytest.raises(UsageError, match="did you mean scene0000_00/2"):
        dataset["scene0000_00/22"]
    with pytest.raises(UsageError, match="count = 0"):
        dataset.take(0)
    double = by_name("x", tmp_path, "all", ["a", "b", "a"], lambda name: name)
    with pytest.raises(InputError, match="name = 'a': stands more than once"):
        double["a"]
    assert double.index("b") == 1
    with pytest.raises(InputError, match="holds no sample of x"):
        by_name("x", tmp_path, "all", [], lambda name: name)


def test_listing_asks_the_disk_nothing_for_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 2000
    for folder in ("image_2", "image_3", "disp_occ_0"):
        place = tmp_path / "training" / folder
        place.mkdir(parents=True)
        for i in range(count):
            (place / f"{i:06d}_10.png").touch()
    asked = []
    listed = []
    stat, scandir = os.stat, os.scandir
    monkeypatch.setattr(os, "stat", lambda *a, **k: asked.append(a) or stat(*a, **k))
    monkeypatch.setattr(os, "scandir", lambda *a: listed.append(a) or scandir(*a))
    dataset = open_dataset("kitti-2015", tmp_path)
    monkeypatch.undo()
    assert len(dataset) == count
    assert len(asked) < 20
    assert len(listed) == 1


def test_reading_is_lazy(tmp_path: Path) -> None:
    """Broken files are no matter until their sample is asked for."""
    layouts.kitti_2015(tmp_path)
    for file in (tmp_path / "training").rglob("*.png"):
        file.write_bytes(b"broken")
    dataset = open_dataset("kitti-2015", tmp_path)
    with pytest.raises(InputError):
        dataset[0]


def test_folders_that_cannot_be_listed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "nothing"):
        with pytest.raises(InputError, match="is no folder"):
            layout.folders(tmp_path / name)
    assert layout.stem("a.b.png") == "a.b" and layout.stem("plain") == "plain"
    assert np.isnan(NAN)
