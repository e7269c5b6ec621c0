"""Pictures come back from files as the arrays that went in, whatever their kind."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image, ImageOps

from faltung.cli import _pictures
from faltung.cli._deep import write_png, write_tiff
from faltung.cli._errors import FileError

RNG = np.random.default_rng(7)


def sample(dtype: str, *shape: int) -> np.ndarray:
    if dtype == "float32" or dtype == "float64":
        return RNG.normal(size=shape).astype(dtype)
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max, shape, endpoint=True, dtype=dtype)


def joined(picture: _pictures.Picture) -> np.ndarray:
    if picture.alpha is None:
        return picture.pixels
    return np.dstack([picture.pixels, picture.alpha])


@pytest.mark.parametrize(
    ("suffix", "dtype", "channels"),
    [
        *[(suffix, "uint8", channels) for suffix in (".png", ".tif") for channels in (0, 2, 3, 4)],
        *[(suffix, "uint16", channels) for suffix in (".png", ".tif") for channels in (0, 2, 3, 4)],
        *[(".tiff", dtype, channels) for dtype in ("float32", "float64") for channels in (0, 3, 4)],
        *[(".tif", dtype, 0) for dtype in ("int16", "int32", "uint32")],
        (".webp", "uint8", 3),
        (".webp", "uint8", 4),
        (".bmp", "uint8", 0),
        (".bmp", "uint8", 3),
        (".npy", "uint8", 3),
        (".npy", "float64", 0),
        (".npy", "int16", 5),
    ],
)
def test_lossless_formats_keep_every_bit(tmp_path, suffix, dtype, channels):
    pixels = sample(dtype, 7, 5, channels) if channels else sample(dtype, 7, 5)
    if channels == 4:
        pixels[0, 0, 3] = 0  # formats may forget colours where nothing is seen
    path = tmp_path / f"picture{suffix}"
    _pictures.write(path, _pictures.Picture(pixels))
    found = _pictures.read(path)
    assert joined(found).dtype == pixels.dtype
    assert_array_equal(joined(found), pixels)
    assert (found.alpha is not None) == (channels in {2, 4} and suffix != ".npy")


def test_grey_webp_comes_back_with_equal_channels(tmp_path):
    pixels = sample("uint8", 7, 5)
    _pictures.write(tmp_path / "g.webp", _pictures.Picture(pixels))
    assert_array_equal(_pictures.read(tmp_path / "g.webp").pixels, np.dstack([pixels] * 3))


@pytest.mark.parametrize("channels", [0, 3])
def test_jpeg_stays_close(tmp_path, channels):
    ramp = np.linspace(20, 230, 32 * 32).reshape(32, 32).astype(np.uint8)
    pixels = np.dstack([ramp] * 3) if channels else ramp
    _pictures.write(tmp_path / "ramp.jpeg", _pictures.Picture(pixels))
    found = _pictures.read(tmp_path / "ramp.jpeg").pixels
    assert found.shape == pixels.shape
    assert np.abs(found.astype(int) - pixels).max() <= 4


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    write_png(file, pixels, None)
    return file.getvalue()


def test_pillow_agrees_about_our_png_header():
    image = Image.open(io.BytesIO(png(sample("uint16", 6, 4, 1))))
    image.load()
    assert (image.size, image.mode) == ((4, 6), "I;16")


def test_interlaced_and_other_filters_of_16_bit_png(tmp_path):
    # Filter 4 (Paeth) of a constant picture: the first line holds the values, all else is 0.
    line = np.zeros((3, 1 + 4 * 6), np.uint8)
    line[:, 0] = 4
    line[0, 1:7] = [1, 2, 3, 4, 5, 6]

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 3, 16, 2, 0, 0, 0))
    content += chunk(b"IDAT", zlib.compress(line.tobytes())) + chunk(b"IEND", b"")
    (tmp_path / "paeth.png").write_bytes(content)
    found = _pictures.read(tmp_path / "paeth.png").pixels
    assert_array_equal(found, np.broadcast_to(np.uint16([0x0102, 0x0304, 0x0506]), (3, 4, 3)))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [1, 8])
def test_16_bit_colour_tiff_of_either_byte_order_and_compressed(tmp_path, order, compression):
    pixels = sample("uint16", 5, 4, 3)
    content = pixels.astype(f"{order}u2").tobytes()
    content = zlib.compress(content) if compression == 8 else content
    fields = [
        (256, 4, 1, 4),
        (257, 4, 1, 5),
        (258, 3, 3, None),
        (259, 3, 1, compression),
        (262, 3, 1, 2),
        (273, 4, 1, 14),
        (277, 3, 1, 3),
        (278, 4, 1, 5),
        (279, 4, 1, len(content)),
    ]
    header = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 14 + len(content))
    entries = struct.pack(f"{order}H", len(fields))
    for tag, kind, count, value in fields:
        value_format = "I" if kind == 4 or value is None else "HH"
        values = [8] if value is None else [value] if kind == 4 else [value, 0]
        entries += struct.pack(f"{order}HHI{value_format}", tag, kind, count, *values)
    bits = struct.pack(f"{order}HHH", 16, 16, 16)
    (tmp_path / "colour.tif").write_bytes(header + bits + content + entries + bytes(4))
    found = _pictures.read(tmp_path / "colour.tif").pixels
    assert found.dtype == np.uint16
    assert_array_equal(found, pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_exif_orientation_is_applied(tmp_path, orientation, suffix):
    image = Image.fromarray(sample("uint8", 6, 4, 3))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == ".webp" else {}
    image.save(tmp_path / f"turned{suffix}", exif=exif, **options)
    with Image.open(tmp_path / f"turned{suffix}") as saved:
        expected = np.asarray(ImageOps.exif_transpose(saved))
    assert expected.shape[:2] == ((4, 6) if orientation > 4 else (6, 4))
    assert_array_equal(_pictures.read(tmp_path / f"turned{suffix}").pixels, expected)


def test_exif_orientation_of_16_bit_tiff_is_applied_once(tmp_path):
    pixels = sample("uint16", 6, 4, 3)
    file = io.BytesIO()
    write_tiff(file, pixels, None)
    content = bytearray(file.getvalue())
    at = content.index(struct.pack("<HHI", 284, 3, 1))  # planar configuration: 1 is its default
    content[at : at + 2] = struct.pack("<H", 274)
    content[at + 8] = 6
    # Tags must ascend: 274 goes before 277.
    start = content.index(struct.pack("<HHI", 277, 3, 1))
    entry = bytes(content[at : at + 12])
    content[start + 12 : at + 12] = content[start:at]
    content[start : start + 12] = entry
    (tmp_path / "turned.tif").write_bytes(content)
    assert_array_equal(_pictures.read(tmp_path / "turned.tif").pixels, np.rot90(pixels, -1))


def saved_by_pillow(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **options)
    return path


def test_palettes_become_colours(tmp_path):
    image = Image.new("P", (3, 2), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    found = _pictures.read(saved_by_pillow(tmp_path / "p.png", image))
    assert_array_equal(found.pixels, np.broadcast_to(np.uint8([10, 20, 30]), (2, 3, 3)))
    assert found.alpha is None
    found = _pictures.read(saved_by_pillow(tmp_path / "pt.png", image, transparency=1))
    assert_array_equal(found.alpha, np.zeros((2, 3)))
    assert_array_equal(found.pixels[0, 0], [10, 20, 30])


def test_transparent_colour_of_grey_pictures(tmp_path):
    image = Image.fromarray(np.uint8([[5, 9]]))
    found = _pictures.read(saved_by_pillow(tmp_path / "t.png", image, transparency=9))
    assert_array_equal(found.pixels, [[5, 9]])
    assert_array_equal(found.alpha, [[255, 0]])


def test_one_bit_becomes_grey_and_cmyk_becomes_rgb(tmp_path):
    bits = Image.fromarray(np.array([[True, False]]))
    assert_array_equal(_pictures.read(saved_by_pillow(tmp_path / "b.png", bits)).pixels, [[255, 0]])
    ink = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    found = _pictures.read(saved_by_pillow(tmp_path / "ink.tif", ink)).pixels
    assert_array_equal(found, np.broadcast_to(np.uint8([255, 0, 0]), (8, 8, 3)))


def test_colour_profile_is_kept(tmp_path):
    for suffix, dtype in [
        (".png", "uint8"),
        (".png", "uint16"),
        (".tif", "uint16"),
        (".jpg", "uint8"),
    ]:
        path = tmp_path / f"profile-{dtype}{suffix}"
        _pictures.write(path, _pictures.Picture(sample(dtype, 8, 8, 3), profile=b"profile bytes"))
        assert _pictures.read(path).profile == b"profile bytes"


def test_further_pictures_of_a_file_are_counted(tmp_path):
    first, second = (Image.fromarray(sample("uint8", 4, 4)) for _ in range(2))
    first.save(tmp_path / "pages.tif", save_all=True, append_images=[second])
    found = _pictures.read(tmp_path / "pages.tif")
    assert found.frames == 2
    assert_array_equal(found.pixels, np.asarray(first))


def test_bool_arrays_become_black_and_white(tmp_path):
    written = _pictures.write(tmp_path / "b.png", _pictures.Picture(np.array([[True, False]])))
    assert_array_equal(written, [[255, 0]])


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_in_either_order_and_byte_order(tmp_path, order):
    pixels = np.asarray(sample("float64", 4, 3, 2), order=order)
    np.save(tmp_path / "a.npy", pixels.astype(">f8", order=order))
    found = _pictures.read(tmp_path / "a.npy").pixels
    assert found.dtype == np.float64
    assert found.dtype.isnative
    assert_array_equal(found, pixels)


@pytest.mark.parametrize(
    ("suffix", "pixels", "advice"),
    [
        (".jpg", np.zeros((4, 4), np.uint16), ".png, .tif, .tiff, .npy"),
        (".jpg", np.zeros((4, 4, 4), np.uint8), ".png, .tif, .tiff, .webp, .bmp, .npy"),
        (".png", np.zeros((4, 4)), ".tif, .tiff, .npy"),
        (".png", np.zeros((4, 4, 7), np.uint8), ".npy"),
        (".bmp", np.zeros((4, 4, 2), np.uint8), ".png, .tif, .tiff, .webp, .npy"),
    ],
)
def test_formats_that_would_lose_bits_are_refused(tmp_path, suffix, pixels, advice):
    with pytest.raises(FileError, match=r"Use one of") as caught:
        _pictures.write(tmp_path / f"out{suffix}", _pictures.Picture(pixels))
    assert caught.value.advice == f"Use one of {advice}"
    assert list(tmp_path.iterdir()) == []


def test_a_picture_too_wide_for_its_format_leaves_nothing_behind(tmp_path):
    with pytest.raises(FileError, match="cannot hold"):
        _pictures.write(tmp_path / "out.webp", _pictures.Picture(np.zeros((1, 17000, 3), np.uint8)))
    assert list(tmp_path.iterdir()) == []
