"""PFM, disparity, depth, confidence and source files."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from io_samples import RGB_FILE, chunk, picture, png

from fathom.core import InputError, Source, UsageError
from fathom.io import maps, pfm

NAN, INF = np.float32(np.nan), np.float32(np.inf)
VALUES = np.array([[0.5, -3.25, NAN], [300.125, 1e-6, 70.0]], dtype=np.float32)
floats = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.floats(-500, 500, width=32) | st.just(float("nan")),
)
few = settings(max_examples=25, deadline=None)  # each one flushes files to the disk


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("maps")


class TestPfm:
    def test_bytes_by_hand(self, tmp_path):
        pfm.write_pfm(tmp_path / "a", np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32))
        assert (tmp_path / "a").read_bytes() == b"Pf\n3 2\n-1.0\n" + struct.pack(
            "<6f", 4, 5, 6, 1, 2, 3
        )

    @pytest.mark.parametrize("scale", ["-1", "-1.0", "-0.00392", "-1e0"])
    @pytest.mark.parametrize(
        "lines", ["Pf\n3 2\n{}\n", "Pf 3 2 {} ", "Pf\r\n3 2\r\n{}\r\n", "Pf\n3 2\n{} \n"]
    )
    def test_headers(self, tmp_path, lines, scale):
        values = np.arange(6, dtype="<f4").reshape(2, 3) + np.float32(0.25)
        (tmp_path / "a").write_bytes(lines.format(scale).encode() + values.tobytes())
        np.testing.assert_array_equal(pfm.read_pfm(tmp_path / "a"), values[::-1])

    def test_a_first_value_that_looks_like_a_line_break(self, tmp_path):
        values = np.frombuffer(b"\n\r  " * 6, "<f4").reshape(2, 3)
        for end in (b"\n", b"\r\n"):
            (tmp_path / "a").write_bytes(b"Pf\n3 2\n-1" + end + values.tobytes())
            np.testing.assert_array_equal(pfm.read_pfm(tmp_path / "a"), values[::-1])

    def test_big_endian_and_colour(self, tmp_path):
        values = np.arange(12, dtype=">f4").reshape(2, 2, 3)
        (tmp_path / "a").write_bytes(b"PF\n2 2\n1.0\n" + values.tobytes())
        read = pfm.read_pfm(tmp_path / "a")
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, values[::-1])
        with pytest.raises(InputError, match="three channels"):
            maps.read_disparity_pfm(tmp_path / "a")
        pfm.write_pfm(tmp_path / "b", read)
        np.testing.assert_array_equal(pfm.read_pfm(tmp_path / "b"), read)

    @few
    @given(values=floats)
    def test_round_trip(self, folder, values):
        maps.write_disparity_pfm(folder / "a", values)
        read = maps.read_disparity_pfm(folder / "a")
        np.testing.assert_array_equal(read, values)
        assert not np.isnan(pfm.read_pfm(folder / "a")).any()

    def test_unknown_is_inf_in_the_file_and_any_kind_when_read(self, tmp_path):
        maps.write_disparity_pfm(tmp_path / "a", VALUES)
        assert pfm.read_pfm(tmp_path / "a")[0, 2] == np.inf
        pfm.write_pfm(tmp_path / "a", np.array([[INF, -INF, NAN, 1]], dtype=np.float32))
        np.testing.assert_array_equal(maps.read_disparity_pfm(tmp_path / "a"), [[NAN, NAN, NAN, 1]])

    @pytest.mark.parametrize(
        ("data", "match"),
        [
            (b"Pf\n3 2\n-1\n" + bytes(23), "23 bytes of values where 24 are declared"),
            (b"Pf\n3 2\n-1\n" + bytes(25), "25 bytes of values"),
            (b"Pf\n3 2\n-1\n" + b" " * 4000 + bytes(24), "4024 bytes of values"),
            (b"Pf\n3 2\n-1\n", "0 bytes of values"),
            (b"Pf\n3 2\n0\n" + bytes(24), "scale = '0'"),
            (b"Pf\n3 2\n-\n" + bytes(24), "is no scale"),
            (b"Pf\n3 2\n-1.1.1\n" + bytes(24), "is no scale"),
            (b"Pf\n0 2\n-1\n" + bytes(24), "size = '0x2x1'"),
            (b"Pf\n999999 999999\n-1\n" + bytes(24), "impossible size"),
            (b"Pf\n3\n", "is no PFM map: it is a PFM map|is no PFM map"),
            (b"\x89PNG\r\n", "it is a PNG image"),
            (b"\x01\x02\x03", "is no PFM map; expected"),
        ],
    )
    def test_refused(self, tmp_path, data, match):
        (tmp_path / "a.pfm").write_bytes(data)
        with pytest.raises(InputError, match=match) as caught:
            maps.read_disparity_pfm(tmp_path / "a.pfm")
        assert "a.pfm" in str(caught.value)

    def test_shrunk_while_read(self, tmp_path, monkeypatch):
        (tmp_path / "a").write_bytes(b"Pf\n3 2\n-1\n" + bytes(23))
        monkeypatch.setattr(pfm, "_data_start", lambda *_: 10)
        with pytest.raises(InputError, match="23 bytes of values where 24"):
            pfm.read_pfm(tmp_path / "a")

    def test_only_float32_is_written(self, tmp_path):
        for wrong in (np.zeros((2, 2, 2), np.float32), np.zeros(3, np.float32)):
            with pytest.raises(UsageError, match="cannot be written as a PFM"):
                pfm.write_pfm(tmp_path / "a", wrong)


class TestDisparityPng:
    def test_values_by_hand(self, tmp_path):
        values = np.array([[1, 0.00390625, 255.99609375], [NAN, 12.5, 2.0009]], dtype=np.float32)
        assert maps.write_disparity_png(tmp_path / "a.png", values) == 0
        stored = maps._grey(tmp_path / "a.png", "x", np.uint16)
        assert stored.tolist() == [[256, 1, 65535], [0, 3200, 512]]
        expected = values.copy()
        expected[1, 2] = 2.0
        np.testing.assert_array_equal(maps.read_disparity_png(tmp_path / "a.png"), expected)

    def test_what_cannot_be_held_is_unknown_and_counted(self, tmp_path):
        values = np.array([[-1, 0, 0.0019, 255.999, 256, 1e9, NAN, 5]], dtype=np.float32)
        assert maps.write_disparity_png(tmp_path / "a.png", values) == 6
        read = maps.read_disparity_png(tmp_path / "a.png")
        np.testing.assert_array_equal(read, [[NAN] * 7 + [5]])

    @few
    @given(stored=hnp.arrays(np.uint16, (3, 4)))
    def test_everything_on_the_grid_comes_back(self, folder, stored):
        for write, read in (
            (maps.write_disparity_png, maps.read_disparity_png),
            (maps.write_depth_png, maps.read_depth_png),
        ):
            (folder / "a.png").write_bytes(png(stored))
            values = read(folder / "a.png")
            assert (np.isnan(values) == (stored == 0)).all()
            assert write(folder / "b.png", values) == 0
            np.testing.assert_array_equal(maps._grey(folder / "b.png", "x", np.uint16), stored)
            np.testing.assert_array_equal(read(folder / "b.png"), values)

    @few
    @given(values=floats)
    def test_within_half_a_step(self, folder, values):
        lost = maps.write_disparity_png(folder / "a.png", values)
        read = maps.read_disparity_png(folder / "a.png")
        both = ~np.isnan(values) & ~np.isnan(read)
        assert lost == np.count_nonzero(~np.isnan(values)) - np.count_nonzero(both)
        assert (np.abs(values - read)[both] <= 0.5 / 256).all()


class TestDepth:
    def test_png(self, tmp_path):
        values = np.array([[0.001, 0.0004, 65.535, 65.536, NAN, 2.0004]], dtype=np.float32)
        assert maps.write_depth_png(tmp_path / "a.png", values) == 2
        read = maps.read_depth_png(tmp_path / "a.png")
        np.testing.assert_array_equal(read, np.float32([[0.001, NAN, 65.535, NAN, NAN, 2.0]]))

    def test_npy(self, tmp_path):
        values = np.array([[1.5, NAN], [1e6, 1e-6]], dtype=np.float32)
        maps.write_depth_npy(tmp_path / "a.npy", values)
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), values)
        np.testing.assert_array_equal(maps.read_depth_npy(tmp_path / "a.npy"), values)
        np.save(tmp_path / "b.npy", values)
        assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()

    @pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", ">f8"])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_npy_of_others(self, tmp_path, dtype, order):
        values = np.arange(1, 7).reshape(2, 3).astype(dtype, order=order)
        np.save(tmp_path / "a.npy", values)
        read = maps.read_depth_npy(tmp_path / "a.npy")
        assert read.dtype == np.float32 and read.flags.c_contiguous
        np.testing.assert_array_equal(read, values)

    def test_npy_version_2(self, tmp_path):
        with (tmp_path / "a.npy").open("wb") as file:
            np.lib.format.write_array(file, np.ones((2, 3)), version=(2, 0))
        assert (maps.read_depth_npy(tmp_path / "a.npy") == 1).all()

    def test_what_is_no_depth_is_unknown(self, tmp_path):
        np.save(tmp_path / "a.npy", np.array([[0, -1, np.inf, 1e300, 2]]))
        read = maps.read_depth_npy(tmp_path / "a.npy")
        np.testing.assert_array_equal(read, [[NAN, NAN, NAN, NAN, 2]])

    @pytest.mark.parametrize(
        "array",
        [
            np.zeros((2, 2), int),
            np.zeros((2, 2, 2)),
            np.zeros(3),
            np.array([[{}]], object),
            np.zeros((1, 1), [("a", "f4")]),
            np.array([["a"]]),
        ],
    )
    def test_npy_of_another_kind(self, tmp_path, array):
        np.save(tmp_path / "a.npy", array)
        with pytest.raises(InputError, match="is no map of numbers"):
            maps.read_depth_npy(tmp_path / "a.npy")

    @pytest.mark.parametrize(
        ("header", "match"),
        [
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999, 99999), }", "impossible"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4), }", "impossible size"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }", "0 bytes of values"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3*4, 4), }", "no map of numbers"),
            ("__import__('os').system('echo')", "no map of numbers"),
        ],
    )
    def test_npy_headers(self, tmp_path, header, match):
        data = b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header.encode()
        (tmp_path / "a.npy").write_bytes(data)
        with pytest.raises(InputError, match=match):
            maps.read_depth_npy(tmp_path / "a.npy")

    def test_no_npy(self, tmp_path):
        for data, match in (
            (b"\x93NUM", "no .npy array"),
            (b"\x93NUMPY\x01\0\xff\xffx", "cut off"),
        ):
            (tmp_path / "a.npy").write_bytes(data)
            with pytest.raises(InputError, match=match):
                maps.read_depth_npy(tmp_path / "a.npy")


class TestConfidenceAndSource:
    @few
    @given(stored=hnp.arrays(np.uint16, (3, 4)))
    def test_confidence_on_the_grid_comes_back(self, folder, stored):
        values = (stored / 65535).astype(np.float32)
        maps.write_confidence_png(folder / "c.png", values)
        np.testing.assert_array_equal(maps.read_confidence_png(folder / "c.png"), values)

    def test_confidence_leaves_its_range(self, tmp_path):
        for wrong in (1.01, -0.1, NAN):
            with pytest.raises(UsageError, match="leaves the range"):
                maps.write_confidence_png(tmp_path / "c", np.full((2, 2), wrong, np.float32))

    def test_source(self, tmp_path):
        codes = np.array([[int(s) for s in Source]], dtype=np.uint8)
        maps.write_source_png(tmp_path / "s.png", codes)
        np.testing.assert_array_equal(maps.read_source_png(tmp_path / "s.png"), codes)
        maps.write_source_png(tmp_path / "s.png", codes + np.uint8(200))
        with pytest.raises(InputError, match=r"source = 205.*0 to 5"):
            maps.read_source_png(tmp_path / "s.png")


class TestReadDisparity:
    def test_by_content(self, tmp_path):
        values = np.array([[1.5, NAN, 3.25]], dtype=np.float32)
        maps.write_disparity_pfm(tmp_path / "a", values)
        maps.write_disparity_png(tmp_path / "b", values)
        np.save(tmp_path / "c.npy", values.astype(float))
        for name in ("a", "b", "c.npy"):
            np.testing.assert_array_equal(maps.read_disparity(tmp_path / name), values)

    def test_negative_values_of_an_array_are_kept(self, tmp_path):
        np.save(tmp_path / "a.npy", np.array([[-1.5, np.inf]]))
        np.testing.assert_array_equal(maps.read_disparity(tmp_path / "a.npy"), [[-1.5, NAN]])

    @pytest.mark.parametrize(
        "data",
        [png(picture()), png(picture()[..., 0]), png(picture(dtype=np.uint16))],
        ids=["rgb", "grey 8", "rgb 16"],
    )
    def test_pictures_are_refused(self, tmp_path, data):
        (tmp_path / "disparity.png").write_bytes(data)
        with pytest.raises(InputError, match=r"looks like a picture.*one channel of 16 bits"):
            maps.read_disparity(tmp_path / "disparity.png")

    def test_other_files(self, tmp_path):
        (tmp_path / "a").write_bytes(RGB_FILE)
        with pytest.raises(InputError, match="is no disparity map: it is a JPEG image"):
            maps.read_disparity(tmp_path / "a")
        (tmp_path / "a").write_bytes(b"\x01\x02")
        with pytest.raises(InputError, match="is no disparity map; expected PFM"):
            maps.read_disparity(tmp_path / "a")
        assert chunk(b"IEND", b"")[-4:] == b"\xaeB`\x82"
