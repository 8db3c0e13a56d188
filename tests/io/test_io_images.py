"""Images: headers checked before a decoder runs, every usual kind read, damage refused."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from io_samples import HEIGHT, WIDTH, by_pillow, chunk, picture, png, pnm, tiff

from fathom.core import Camera, InputError, ResourceError, UsageError
from fathom.io import headers
from fathom.io.guard import ImageInfo, image_info
from fathom.io.images import (
    LAYOUTS,
    encode_png,
    read_image,
    read_view,
    split_layout,
    write_jpeg_bytes,
    write_png,
)

RGB, RGB16 = picture(), picture(dtype=np.uint16)
GREY, GREY16 = RGB[..., 1], RGB16[..., 1]
BITS = GREY > 100
ALPHA = np.dstack([RGB, GREY])
ALPHA16 = np.dstack([RGB16, GREY16])

LOSSLESS = {
    "png": (png(RGB), RGB, ("PNG", 3, 8)),
    "png grey": (png(GREY), GREY, ("PNG", 1, 8)),
    "png 16": (png(RGB16), RGB16, ("PNG", 3, 16)),
    "png grey 16": (png(GREY16), GREY16, ("PNG", 1, 16)),
    "png alpha": (png(ALPHA), RGB, ("PNG", 4, 8)),
    "png alpha 16": (png(ALPHA16), RGB16, ("PNG", 4, 16)),
    "png grey alpha": (png(ALPHA[..., [1, 3]]), GREY, ("PNG", 2, 8)),
    "png 1 bit": (by_pillow(BITS, "PNG"), BITS * np.uint8(255), ("PNG", 1, 1)),
    "png interlaced": (
        by_pillow(RGB, "PNG", mode="P"),
        np.asarray(__import__("PIL.Image").Image.fromarray(RGB).convert("P").convert("RGB")),
        ("PNG", 3, 8),
    ),
    "bmp": (by_pillow(RGB, "BMP"), RGB, ("BMP", 3, 8)),
    "bmp grey": (by_pillow(GREY, "BMP"), GREY, ("BMP", 3, 8)),
    "webp": (by_pillow(RGB, "WEBP", lossless=True), RGB, ("WebP", 3, 8)),
    "tiff": (tiff(RGB), RGB, ("TIFF", 3, 8)),
    "tiff big-endian": (tiff(RGB16, ">"), RGB16, ("TIFF", 3, 16)),
    "tiff grey 16": (tiff(GREY16), GREY16, ("TIFF", 1, 16)),
    "tiff lzw": (by_pillow(RGB, "TIFF", compression="tiff_lzw"), RGB, ("TIFF", 3, 8)),
    "tiff deflate": (
        by_pillow(GREY, "TIFF", compression="tiff_adobe_deflate"),
        GREY,
        ("TIFF", 1, 8),
    ),
    "pnm 1": (pnm(1, 1 - BITS.astype(np.uint8)), BITS * np.uint8(255), ("PNM", 1, 8)),
    "pnm 2": (pnm(2, GREY), GREY, ("PNM", 1, 8)),
    "pnm 3": (pnm(3, RGB16), RGB16, ("PNM", 3, 16)),
    "pnm 4": (pnm(4, 1 - BITS.astype(np.uint8)), BITS * np.uint8(255), ("PNM", 1, 8)),
    "pnm 5": (pnm(5, GREY16), GREY16, ("PNM", 1, 16)),
    "pnm 6": (pnm(6, RGB), RGB, ("PNM", 3, 8)),
}
LOSSY = {
    "jpeg": (by_pillow(RGB, "JPEG", quality=95), RGB, ("JPEG", 3, 8)),
    "jpeg grey": (by_pillow(GREY, "JPEG", quality=95), GREY, ("JPEG", 1, 8)),
    "jpeg progressive": (by_pillow(RGB, "JPEG", quality=95, progressive=True), RGB, ("JPEG", 3, 8)),
    "jpeg cmyk": (by_pillow(RGB, "JPEG", mode="CMYK", quality=95), RGB, ("JPEG", 4, 8)),
    "webp lossy": (by_pillow(RGB, "WEBP", quality=95), RGB, ("WebP", 3, 8)),
    "webp alpha": (by_pillow(ALPHA, "WEBP", quality=95), RGB, ("WebP", 4, 8)),
}


def rgb(image):
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


class TestRead:
    @pytest.mark.parametrize("name", LOSSLESS)
    def test_exactly(self, tmp_path, name):
        data, expected, (kind, channels, bits) = LOSSLESS[name]
        (tmp_path / "a").write_bytes(data)
        assert image_info(tmp_path / "a") == ImageInfo(kind, WIDTH, HEIGHT, channels, bits)
        image = read_image(tmp_path / "a")
        assert image.dtype == expected.dtype and image.flags.c_contiguous
        np.testing.assert_array_equal(image, rgb(expected))

    @pytest.mark.parametrize("name", LOSSY)
    def test_nearly(self, tmp_path, name):
        data, expected, (kind, channels, bits) = LOSSY[name]
        (tmp_path / "a").write_bytes(data)
        assert image_info(tmp_path / "a") == ImageInfo(kind, WIDTH, HEIGHT, channels, bits)
        assert np.abs(read_image(tmp_path / "a").astype(int) - rgb(expected)).mean() < 6

    def test_the_name_does_not_matter(self, tmp_path):
        path = tmp_path / "left 左\u00e9.png"
        path.write_bytes(LOSSY["jpeg"][0])
        assert image_info(path).format == "JPEG" and read_image(str(path)).shape == RGB.shape

    @pytest.mark.parametrize("turn", range(1, 9))
    def test_orientation_is_ignored(self, tmp_path, turn):
        from PIL import Image

        exif = Image.Exif()
        exif[274] = turn
        for kind, options in (
            ("JPEG", {}),
            ("PNG", {}),
            ("TIFF", {}),
            ("WEBP", {"lossless": True}),
        ):
            (tmp_path / "plain").write_bytes(by_pillow(RGB, kind, **options))
            (tmp_path / "turned").write_bytes(by_pillow(RGB, kind, exif=exif, **options))
            np.testing.assert_array_equal(
                read_image(tmp_path / "turned"), read_image(tmp_path / "plain"), err_msg=kind
            )
        (tmp_path / "big-endian").write_bytes(tiff(RGB, ">", t274=turn))
        np.testing.assert_array_equal(read_image(tmp_path / "big-endian"), RGB)

    def test_view(self, tmp_path):
        write_png(tmp_path / "a.png", RGB)
        camera = Camera(WIDTH, HEIGHT, 50, 50, 20, 20)
        view = read_view(tmp_path / "a.png", camera)
        assert view.camera == camera and (view.image == RGB).all()
        with pytest.raises(InputError, match=r"a\.png: camera = '5x5'"):
            read_view(tmp_path / "a.png", Camera(5, 5, 5, 5, 2, 2))

    def test_what_a_decoder_need_not_see_is_left_out(self, tmp_path, capfd):
        """A compressed text that unfolds without end, a broken profile, transparency."""
        bomb = zlib.compress(b"\0" * (1 << 24))
        extra = (
            chunk(b"zTXt", b"a\0\0" + bomb),
            chunk(b"iCCP", b"x\0\0" + b"no profile"),
            chunk(b"tRNS", struct.pack(">HHH", *RGB[0, 0])),
        )
        (tmp_path / "a").write_bytes(png(RGB, *extra))
        np.testing.assert_array_equal(read_image(tmp_path / "a"), RGB)
        assert capfd.readouterr().err == ""


class TestRefused:
    @pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
    @pytest.mark.parametrize("name", [*LOSSLESS, *LOSSY])
    def test_truncated(self, tmp_path, capfd, name, share):
        data = (LOSSLESS | LOSSY)[name][0]
        (tmp_path / "cut").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(InputError, match=r"truncated or damaged|no image") as caught:
            read_image(tmp_path / "cut")
        if name not in ("pnm 1", "pnm 2", "pnm 3"):  # there only decoding tells
            with pytest.raises(InputError, match=r"truncated or damaged|no image"):
                image_info(tmp_path / "cut")
        assert "cut" in str(caught.value) and caught.value.exit_code == 3
        assert capfd.readouterr().err == ""

    @pytest.mark.parametrize(
        ("data", "what"),
        [
            (b"Pf\n2 2\n-1\n" + bytes(16), "a PFM map"),
            (b"\x93NUMPY\x01\0v\0", "a numpy array"),
            (b"GIF89a" + bytes(20), "a GIF image"),
            (b"PK\x03\x04" + bytes(20), "a zip archive"),
            (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
            (b"ply\nformat ascii 1.0\n", "a PLY cloud"),
            (b"II+\0\x08\0\0\0" + bytes(20), "a BigTIFF"),
            (b"\0\0\0\x20ftypavif" + bytes(20), "an AVIF or HEIC image"),
            (b"\0\0\0\x20ftypisom" + bytes(20), "an MP4 or QuickTime video"),
            (b"RIFF\0\0\0\0AVI " + bytes(20), "an AVI video"),
            (b"cam0=[1 0 0; 0 1 0; 0 0 1]\n", "a Middlebury calibration"),
            (b"%YAML:1.0\n---\n", "OpenCV calibration"),
            (b"P0: 1 2 3\n", "a KITTI calibration"),
            (b"<!DOCTYPE html><html>", "a web page"),
            (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
            (b"just words\n", "a text file"),
            (b"BM is a brand of my cars and more words", "a text file"),
            (b"BM\x00\x00", "no image fathom reads"),
            (b"\x00\x01\x02\x03 nothing", "no image fathom reads; expected"),
        ],
    )
    def test_what_is_no_image_is_named(self, tmp_path, data, what):
        (tmp_path / "left.png").write_bytes(data)
        with pytest.raises(InputError, match=what):
            image_info(tmp_path / "left.png")
        with pytest.raises(InputError, match=what):
            read_image(tmp_path / "left.png")

    def test_missing(self, tmp_path):
        with pytest.raises(InputError, match="does not exist"):
            read_image(tmp_path / "left.png")
        with pytest.raises(InputError, match="is a folder"):
            image_info(tmp_path)

    @pytest.mark.parametrize(
        ("data", "field"),
        [
            (
                b"\x89PNG\r\n\x1a\n"
                + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)),
                "60000x60000",
            ),
            (b"P6\n100000 100000\n255\n", "100000x100000"),
            (tiff(RGB, t256=70000, t257=70000), "70000x70000"),
            (
                b"BM" + struct.pack("<IIIIiiHHI", 0, 0, 54, 40, 50000, -50000, 1, 24, 0),
                "50000x50000",
            ),
            (b"P5\n0 7\n255\n", "0x7"),
            (tiff(RGB, t257=0), "53x0"),
        ],
    )
    def test_absurd_sizes(self, tmp_path, data, field):
        (tmp_path / "a").write_bytes(data + bytes(64))
        with pytest.raises(InputError, match=f"size = '{field}'"):
            read_image(tmp_path / "a")

    def test_a_limit_of_ones_own(self, tmp_path):
        (tmp_path / "a").write_bytes(png(RGB))
        assert read_image(tmp_path / "a", max_pixels=HEIGHT * WIDTH).shape == RGB.shape
        with pytest.raises(InputError, match=r"at most 0\.00196 megapixels"):
            read_image(tmp_path / "a", max_pixels=HEIGHT * WIDTH - 1)

    def test_too_long_for_its_pixels(self, tmp_path):
        with (tmp_path / "a").open("wb") as file:
            file.write(png(RGB))
            file.truncate(1 << 27)
        with pytest.raises(InputError, match="far too long"):
            read_image(tmp_path / "a")

    def damaged(self, tmp_path, data, match):
        (tmp_path / "a").write_bytes(data)
        with pytest.raises(InputError, match=match):
            read_image(tmp_path / "a")

    def test_png_damage(self, tmp_path, capfd):
        data = png(RGB)
        start = data.index(b"IDAT")
        self.damaged(
            tmp_path,
            data[: start - 4] + struct.pack(">I", 0x7FFFFFF0) + data[start:],
            "chunk claims 2147483632 bytes",
        )
        wrong = bytearray(data)
        wrong[start + 20] ^= 0xFF
        self.damaged(tmp_path, bytes(wrong), "checksum")
        self.damaged(tmp_path, data[:12] + b"IDAT" + data[16:], "without its header")
        self.damaged(tmp_path, data[:24] + b"\x03" + data[25:], "color type 2 with 3 bits")
        self.damaged(tmp_path, data[:8] + chunk(b"tEXt", b"") * 8, "without its header chunk")
        assert capfd.readouterr().err == ""

    def test_png_with_too_few_rows(self, tmp_path):
        data = png(RGB)
        head = struct.pack(">IIBBBBB", WIDTH, 2 * HEIGHT, 8, 2, 0, 0, 0)
        self.damaged(tmp_path, data[:8] + chunk(b"IHDR", head) + data[33:], "cannot be decoded")

    def test_png_of_too_many_chunks(self, tmp_path, monkeypatch):
        monkeypatch.setattr(headers, "_MOST_CHUNKS", 50)
        self.damaged(tmp_path, png(RGB, chunk(b"tEXt", b"") * 51), "more than 50 chunks")

    def test_jpeg_damage(self, tmp_path):
        data = LOSSY["jpeg"][0]
        frame = data.index(b"\xff\xc0")
        self.damaged(tmp_path, data[: frame + 4] + b"\x0c" + data[frame + 5 :], "bits = 12")
        self.damaged(tmp_path, b"\xff\xd8\xff\xd9" + bytes(9), "without a frame header")
        self.damaged(tmp_path, data[:frame] + b"\0" + data[frame:], "without a marker")
        self.damaged(tmp_path, b"\xff\xd8" + b"\xff" * 5000, "fill bytes")
        length = struct.unpack(">H", data[frame + 2 : frame + 4])[0]
        self.damaged(tmp_path, data[: frame + 2 + length] + b"\xff\xd9", "without image data")
        self.damaged(tmp_path, data[:frame] + b"\xff\xc3" + data[frame + 2 :], "decoded")

    def test_a_thumbnail_does_not_end_a_jpeg(self, tmp_path):
        small = by_pillow(RGB[:8, :8], "JPEG")
        data = LOSSY["jpeg"][0]
        app = b"\xff\xe1" + struct.pack(">H", len(small) + 2) + small
        whole = data[:2] + app + data[2:]
        (tmp_path / "a").write_bytes(whole)
        assert read_image(tmp_path / "a").shape == RGB.shape
        self.damaged(tmp_path, whole[: len(whole) * 9 // 10], "without its end marker")

    def test_bytes_after_a_jpeg_are_no_damage(self, tmp_path):
        (tmp_path / "a").write_bytes(LOSSY["jpeg"][0] + b"camera maker's notes")
        assert read_image(tmp_path / "a").shape == RGB.shape

    @pytest.mark.parametrize(
        ("tags", "match"),
        [
            ({"t258": 32}, "samples = 'integer of 32 bits'"),
            ({"t339": 3}, "samples = 'float of 8 bits'"),
            ({"t339": 2}, "signed of 8"),
            ({"t339": 9}, "unknown of 8"),
            ({"t277": 7}, "channels = 7"),
            ({"t273": 1 << 30}, "data end at byte"),
            ({"t279": 10}, "10 bytes of pixels where 5883 are needed"),
            ({"t278": 4}, "1 data blocks where 10 are needed"),
            ({"t324": 8, "t322": 1 << 20, "t323": 16}, "tiles of 1048576x16"),
        ],
    )
    def test_tiff_damage(self, tmp_path, tags, match):
        self.damaged(tmp_path, tiff(RGB, **tags), match)

    def test_tiff_directory(self, tmp_path):
        data = tiff(RGB)
        where = struct.unpack("<I", data[4:8])[0]
        wrong_type = bytearray(data)
        struct.pack_into("<H", wrong_type, where + 2 + 2, 12)
        self.damaged(tmp_path, bytes(wrong_type), "tag 256 has type 12")
        without = bytearray(data)
        struct.pack_into("<H", without, where + 2 + 12 * 5, 300)
        self.damaged(tmp_path, bytes(without), "without image data")
        more = bytearray(data)
        struct.pack_into("<I", more, where + 2 + 12 * 8 + 4, 2)
        struct.pack_into("<I", more, where + 2 + 12 * 8 + 8, 8)
        self.damaged(tmp_path, bytes(more), "1 data blocks and 2 sizes")

    def test_a_tiff_of_several_pages(self, tmp_path):
        from PIL import Image

        page, small = Image.new("RGB", (9, 7)), Image.new("RGB", (4, 3))
        many, one, bad = tmp_path / "many.tif", tmp_path / "one.tif", tmp_path / "bad.tif"
        page.save(many, save_all=True, append_images=[page, page])
        with pytest.raises(InputError, match="is a TIFF of 3 pages; expected one image; save the"):
            read_image(many)
        small.encoderinfo = {"tiffinfo": {254: 1}}  # a preview, as cameras put beside
        page.save(one, save_all=True, append_images=[small])
        assert read_image(one).shape == (7, 9, 3)
        page.save(bad)
        data = bytearray(bad.read_bytes())
        place = int.from_bytes(data[4:8], "little")
        count = int.from_bytes(data[place : place + 2], "little")
        for beyond in (len(data) + 100, place):  # no page there, and the same one again
            struct.pack_into("<I", data, place + 2 + 12 * count, beyond)
            bad.write_bytes(data)
            assert read_image(bad).shape == (7, 9, 3)

    def test_tiff_in_a_tile(self, tmp_path):
        tile = np.pad(RGB, ((0, 48 - HEIGHT), (0, 64 - WIDTH), (0, 0)))
        size = {"t256": WIDTH, "t257": HEIGHT}
        places = {"t322": 64, "t323": 48, "t324": 8, "t325": tile.size}
        (tmp_path / "a").write_bytes(tiff(tile, **size, **places))
        np.testing.assert_array_equal(read_image(tmp_path / "a"), RGB)
        smaller = places | {"t322": 32}
        self.damaged(tmp_path, tiff(tile, **size, **smaller), "1 data blocks where 2")

    def test_tiff_without_counts_of_bytes(self, tmp_path):
        data = tiff(RGB)
        entry = struct.unpack("<I", data[4:8])[0] + 2 + 12 * 8
        assert data[entry : entry + 2] == struct.pack("<H", 279)
        data = data[:entry] + struct.pack("<H", 300) + data[entry + 2 :]
        (tmp_path / "a").write_bytes(data)
        np.testing.assert_array_equal(read_image(tmp_path / "a"), RGB)

    def test_a_file_that_shrinks_while_it_is_read(self):
        with pytest.raises(InputError, match="ends at byte 3"):
            headers.Source(io.BytesIO(b"abc"), 10).at(0, 5)

    def test_float_tiff(self, tmp_path):
        done, data = cv2.imencode(".tiff", np.zeros((4, 5), np.float32))
        assert done
        self.damaged(tmp_path, data.tobytes(), "float of 32 bits.*convert it to a 16-bit PNG")

    def test_webp_damage(self, tmp_path):
        lossy, lossless = LOSSY["webp lossy"][0], LOSSLESS["webp"][0]
        self.damaged(tmp_path, lossy.replace(b"\x9d\x01\x2a", b"\0\0\0", 1), "key frame")
        self.damaged(tmp_path, lossless[:20] + b"\0" + lossless[21:], "lossless signature")
        self.damaged(tmp_path, lossy[:12] + b"VP9 " + lossy[16:], "unknown kind")
        frames = [picture(16, 16), picture(16, 16)[::-1]]
        from PIL import Image

        moving = [Image.fromarray(f) for f in frames]
        moving[0].save(tmp_path / "m", "WEBP", save_all=True, append_images=moving[1:])
        self.damaged(tmp_path, (tmp_path / "m").read_bytes(), "animation")

    def test_bmp_and_pnm_damage(self, tmp_path):
        data = LOSSLESS["bmp"][0]
        self.damaged(tmp_path, data[:28] + b"\x07\0" + data[30:], "7 bits a pixel")
        self.damaged(tmp_path, b"P5\n5 five 255\n" + bytes(30), "without its numbers")
        self.damaged(tmp_path, b"P5\n5 5\n70000\n" + bytes(60), "largest value is 70000")
        self.damaged(tmp_path, b"P5\n# only a comment" + b" " * 60, "without its numbers")

    def test_old_bmp_header(self, tmp_path):
        rows = np.pad(RGB[::-1, :, ::-1].reshape(HEIGHT, -1), ((0, 0), (0, -WIDTH * 3 % 4)))
        head = struct.pack("<IIIIHHHH", 0, 0, 26, 12, WIDTH, HEIGHT, 1, 24)
        (tmp_path / "a").write_bytes(b"BM" + head + rows.tobytes())
        np.testing.assert_array_equal(read_image(tmp_path / "a"), RGB)

    def test_what_the_decoder_says_is_checked(self, tmp_path, monkeypatch):
        (tmp_path / "a").write_bytes(png(RGB))
        for result, match in (
            (RGB[:5], "its header says 53x37, its data 53x5"),
            (RGB.astype(np.float32), "decodes to float32"),
            (None, "cannot be decoded"),
        ):
            monkeypatch.setattr(cv2, "imdecode", lambda *_, result=result: result)
            with pytest.raises(InputError, match=match):
                read_image(tmp_path / "a")

        def no_memory(*_):
            error = cv2.error("Insufficient memory")
            error.code = -4
            raise error

        def broken(*_):
            raise cv2.error("Unknown C++ exception")

        monkeypatch.setattr(cv2, "imdecode", broken)
        with pytest.raises(InputError, match="cannot be decoded"):
            read_image(tmp_path / "a")
        monkeypatch.setattr(cv2, "imdecode", no_memory)
        with pytest.raises(ResourceError, match="memory"):
            read_image(tmp_path / "a")


class TestWrite:
    @pytest.mark.parametrize("level", [0, 1, 6])
    @pytest.mark.parametrize("image", [RGB, RGB16, GREY, GREY16], ids=["rgb", "rgb16", "g", "g16"])
    def test_png_round_trip(self, tmp_path, image, level):
        (tmp_path / "a.png").write_bytes(encode_png(image, level=level))
        np.testing.assert_array_equal(read_image(tmp_path / "a.png"), rgb(image))
        write_png(tmp_path / "b.png", image)
        np.testing.assert_array_equal(read_image(tmp_path / "b.png"), rgb(image))

    def test_jpeg(self, tmp_path):
        (tmp_path / "a").write_bytes(write_jpeg_bytes(RGB, 95))
        assert np.abs(read_image(tmp_path / "a").astype(int) - RGB).mean() < 6
        assert len(write_jpeg_bytes(GREY, 20)) < len(write_jpeg_bytes(GREY))

    def test_refused(self, monkeypatch):
        for wrong in (RGB.astype(np.int32), ALPHA, RGB[:0]):
            with pytest.raises(UsageError, match="cannot be written as an image"):
                encode_png(wrong)
        with pytest.raises(UsageError, match="level = 10"):
            encode_png(RGB, level=10)
        with pytest.raises(UsageError, match="quality = 0"):
            write_jpeg_bytes(RGB, 0)
        monkeypatch.setattr(cv2, "imencode", lambda *_: (False, np.zeros(0, np.uint8)))
        with pytest.raises(ResourceError, match="could not be encoded"):
            encode_png(RGB)


class TestLayout:
    def test_halves(self):
        even = RGB[:36, :52]
        for layout, left, right in (
            ("side-by-side", even[:, :26], even[:, 26:]),
            ("side-by-side-swapped", even[:, 26:], even[:, :26]),
            ("over-under", even[:18], even[18:]),
            ("over-under-swapped", even[18:], even[:18]),
        ):
            assert layout in LAYOUTS
            views = split_layout(even, layout)
            assert (views[0] == left).all() and (views[1] == right).all()

    def test_odd(self):
        with pytest.raises(InputError, match=r"width = 53.*even"):
            split_layout(RGB, "side-by-side")
        with pytest.raises(InputError, match="height = 37"):
            split_layout(RGB, "over-under-swapped")
        with pytest.raises(UsageError, match="is no layout"):
            split_layout(RGB, "anaglyph")


def test_motorcycle_cut_short(tmp_path, motorcycle):
    """At 50 and 90 % a JPEG and a PNG are refused, where a decoder would fill with grey."""
    image = motorcycle.pair.left.image
    for data in (write_jpeg_bytes(image), encode_png(image)):
        for share in (0.5, 0.9):
            (tmp_path / "a").write_bytes(data[: int(share * len(data))])
            with pytest.raises(InputError, match="truncated or damaged"):
                read_image(tmp_path / "a")
