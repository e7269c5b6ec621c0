"""Files that are no pictures, or only claim to be: one clear error, soon, and little memory."""

import errno
import io
import os
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faltung.cli import _pictures
from faltung.cli._errors import FileError, one_line
from faltung.cli._files import opened, replaced
from hostile_files import png_claiming


def encoded(format_name: str, **options) -> bytes:
    pixels = np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format_name, **options)
    return file.getvalue()


def npy(header: object, content: bytes = bytes(64)) -> bytes:
    text = (header if isinstance(header, str) else repr(header)).encode() + b"\n"
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text + content


def described(shape: object, dtype: object = "<f8") -> dict:
    return {"descr": dtype, "fortran_order": False, "shape": shape}


COMPRESSIONS = [
    ("PNG", {}),
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "jpeg"}),
    ("BMP", {}),
]


@pytest.mark.parametrize(("format_name", "options"), COMPRESSIONS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_truncated_pictures_are_refused(tmp_path, capfd, format_name, options, share):
    content = encoded(format_name, **options)
    path = tmp_path / "cut"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FileError, match="cut"):
        _pictures.read(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("format_name", "options"), COMPRESSIONS)
def test_altered_bytes_give_a_picture_or_an_error(tmp_path, capfd, format_name, options):
    content = encoded(format_name, **options)
    rng = np.random.default_rng(11)
    path = tmp_path / "altered"
    for _ in range(25):
        altered = bytearray(content)
        for position in rng.integers(0, min(len(content), 400), 4):
            altered[position] = rng.integers(256)
        path.write_bytes(altered)
        with suppress(FileError):
            assert _pictures.read(path, max_pixels=1_000_000).pixels.ndim in {2, 3}
    assert capfd.readouterr() == ("", "")


BAD_CONTENT = {
    "empty": b"",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "eps with preview": b"\xc5\xd0\xd3\xc6" + bytes(60),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "svg with prologue": b"\n<?xml version='1.0'?><svg/>",
    "pdf": b"%PDF-1.7\n",
    "gif": b"GIF89a" + bytes(60),
    "npz": b"PK\x03\x04" + bytes(60),
    "ico": b"\0\0\1\0\1\0" + bytes(60),
    "text": b"not a picture at all\n" * 9,
    "zeros": bytes(5000),
    "only a png signature": b"\x89PNG\r\n\x1a\n",
    "bomb": png_claiming(100_000, 100_000),
    "bomb at the limits of the format": png_claiming(2**31 - 1, 2**31 - 1),
    "png with little behind its claim": png_claiming(13_000, 13_000),
    "png of width 0": png_claiming(0, 5),
    "tiff without end": b"II*\0\xff\xff\xff\xff",
    "tiff directory in a circle": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
    "big tiff": b"II+\0\x08\0\0\0" + bytes(30),
    "npy of objects": npy(described((3, 3), "|O")),
    "npy structured": npy(described((2, 2), [("a", "<f4"), ("b", "<f4")])),
    "npy of text": npy(described((2, 2), "<U4")),
    "npy of dates": npy(described((2, 2), "<M8[s]")),
    "npy negative": npy(described((-1, 8))),
    "npy twice negative": npy(described((-2, -4))),
    "npy huge": npy(described((2**40, 2**40))),
    "npy beyond int64": npy(described((10**30, 2))),
    "npy larger than its file": npy(described((1000, 1000))),
    "npy with fractions": npy(described((2.5, 2))),
    "npy flat": npy(described((8,))),
    "npy of rank 4": npy(described((2, 2, 2, 1))),
    "npy without cells": npy(described((0, 4))),
    "npy huge header": npy("{" + " " * 2_000_000 + "}"),
    "npy header that calls": npy("__import__('os').abort()"),
    "npy header of brackets": npy("(" * 9000),
    "npy of unknown version": b"\x93NUMPY\x09\x00" + bytes(60),
    "npy only magic": b"\x93NUMPY",
}


@pytest.mark.parametrize("case", BAD_CONTENT)
@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_bad_content_is_refused_in_one_line(tmp_path, capfd, case, suffix):
    path = tmp_path / f"input{suffix}"
    path.write_bytes(BAD_CONTENT[case])
    with pytest.raises(FileError) as caught:
        _pictures.read(path)
    message = one_line(caught.value)
    assert f"input{suffix}" in message
    assert len(message) < 600
    assert capfd.readouterr() == ("", "")


NUMPYS_WORDS = ("memory-map", "allow_pickle", "mmap", "fromfile", "buffer", "header length", "EOF")


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("npy of objects", "holds Python objects, which are never loaded"),
        ("npy structured", "is no number"),
        ("npy negative", "which cannot be"),
        ("npy huge", "is cut short"),
        ("npy beyond int64", "is cut short"),
        ("npy larger than its file", "8,000,000 bytes, 64 are there"),
        ("npy huge header", "no header that describes an array"),
        ("npy header that calls", "no header that describes an array"),
        ("npy of unknown version", "no header that describes an array"),
    ],
)
def test_arrays_are_refused_in_our_own_words(tmp_path, case, words):
    (tmp_path / "input.npy").write_bytes(BAD_CONTENT[case])
    with pytest.raises(FileError) as caught:
        _pictures.read(tmp_path / "input.npy")
    message = one_line(caught.value)
    assert words in message
    assert not any(theirs in message for theirs in NUMPYS_WORDS)


@pytest.mark.parametrize("dtype", ["u1", ">u2", "<f4", "?", "c8", ">f8"])
def test_arrays_of_every_order_are_read(tmp_path, dtype):
    array = np.arange(60).reshape(3, 4, 5).astype(dtype)
    for version in ((1, 0), (2, 0)):
        for kind in (array, np.asfortranarray(array)):
            with (tmp_path / "input.npy").open("wb") as file:
                np.lib.format.write_array(file, kind, version=version)
            found = _pictures.read(tmp_path / "input.npy").pixels
            np.testing.assert_array_equal(found, array)
            assert found.dtype == array.dtype.newbyteorder("=")
            assert found.flags.c_contiguous
            assert found.flags.writeable


def test_the_content_decides_not_the_suffix(tmp_path):
    (tmp_path / "photo.npy").write_bytes(encoded("PNG"))
    assert _pictures.read(tmp_path / "photo.npy").pixels.shape == (48, 64, 3)
    (tmp_path / "photo.jpg").write_bytes(npy(described((2, 4))))
    assert _pictures.read(tmp_path / "photo.jpg").pixels.shape == (2, 4)


@pytest.mark.parametrize("content", [encoded("PNG"), encoded("TIFF"), npy(described((2, 4)))])
def test_pictures_above_the_limit_are_refused_and_the_limit_is_named(tmp_path, content):
    (tmp_path / "big").write_bytes(content)
    with pytest.raises(FileError, match=r"--max-pixels 7\b"):
        _pictures.read(tmp_path / "big", max_pixels=7)


def test_a_limit_above_pillows_own_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    (tmp_path / "fine").write_bytes(encoded("PNG"))
    assert _pictures.read(tmp_path / "fine").pixels.shape == (48, 64, 3)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_things_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name, words in [("fifo", "not a regular"), ("", "directory"), ("none", "no such file")]:
        with pytest.raises(FileError, match=words), opened(tmp_path / name):
            pytest.fail("was opened")
    for path in ("/dev/zero", "/dev/null"):
        with pytest.raises(FileError, match="not a regular"):
            _pictures.read(tmp_path / path)
    with pytest.raises(FileError, match="null"):
        _pictures.read(tmp_path / "a\0b")


def test_files_without_permission(tmp_path, monkeypatch):
    # The system would let root read the file, so it is asked to refuse.
    (tmp_path / "secret").write_bytes(encoded("PNG"))

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(FileError, match="secret: permission denied"):
        _pictures.read(tmp_path / "secret")


def fail_after_half(path: Path, error: type[BaseException]) -> None:
    with replaced(path, force=True) as file:
        file.write(b"half")
        raise error


class TestReplaced:
    def test_nothing_is_left_after_an_error(self, tmp_path):
        (tmp_path / "kept").write_bytes(b"before")
        for error in (KeyboardInterrupt, OSError, ZeroDivisionError):
            with pytest.raises((error, FileError)):
                fail_after_half(tmp_path / "kept", error)
        assert (tmp_path / "kept").read_bytes() == b"before"
        assert len(list(tmp_path.iterdir())) == 1

    def test_a_link_stays_a_link(self, tmp_path):
        (tmp_path / "target").write_bytes(b"before")
        (tmp_path / "link").symlink_to("target")
        with replaced(tmp_path / "link", force=True) as file:
            file.write(b"after")
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "target").read_bytes() == b"after"

    def test_permissions_are_those_of_a_new_file(self, tmp_path):
        before = os.umask(0o027)
        try:
            with replaced(tmp_path / "new", force=False):
                pass
        finally:
            os.umask(before)
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640

    def test_what_exists_is_kept_without_force(self, tmp_path):
        (tmp_path / "kept").write_bytes(b"before")
        with pytest.raises(FileError, match="--force"), replaced(tmp_path / "kept", force=False):
            pytest.fail("was opened")

    def test_a_file_that_appears_meanwhile_is_kept(self, tmp_path):
        with pytest.raises(FileError, match="--force"), replaced(tmp_path / "new", force=False):
            (tmp_path / "new").write_bytes(b"somebody else's")
        assert (tmp_path / "new").read_bytes() == b"somebody else's"

    def test_targets_that_cannot_be_files(self, tmp_path):
        os.mkfifo(tmp_path / "fifo")
        for name in ("fifo", "", "missing/file", "a\0b"):
            with pytest.raises(FileError), replaced(tmp_path / name, force=True):
                pytest.fail("was opened")


def test_one_line_shows_what_a_terminal_would_obey():
    assert one_line("a\nb\x1b[31m\udc80 \u2028c") == "a b\\x1b[31m\\udc80 c"
