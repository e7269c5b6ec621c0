"""Pictures with more than 8 bits in more than one channel, which Pillow alone would cut to 8.

Reading: Pillow unpacks 16-bit channels into their upper bytes. Told that the file has the other
byte order, it unpacks the lower bytes instead, so two passes give all bits, whatever the
compression. Writing PNG, and TIFF of floats or of 16-bit colours: the plain forms of both
formats, which need a header and little more.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from faltung.cli._errors import FileError
from faltung.typing import Array

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["read_deep", "read_float_tiff", "write_png", "write_tiff"]

_OTHER_ORDER = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
_PNG_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}
_TIFF_FORMATS = {1: "u", 2: "i", 3: "f"}
_TIFF_PROFILE = 34675


def read_deep(open_image: Callable[[], Image]) -> Array | None:
    """Channels of 16 bits as uint16, or None where Pillow's own way loses nothing.

    `open_image` is called once for each pass and returns the picture, not loaded yet.
    """
    image = open_image()
    raw_mode = _raw_mode(image)
    if image.mode not in {"RGB", "RGBA"} or ";16" not in raw_mode:
        return None
    layout, order = raw_mode[:-1], raw_mode[-1]
    if layout == "LA;16":
        # Pillow has no lower-byte reading of this one, but four bytes a pixel are RGBA.
        octets = _unpacked(image, "RGBA")
        return octets.view(">u2").astype(np.uint16)
    if layout not in {"RGB;16", "RGBA;16", "RGBX;16"} or order not in _OTHER_ORDER:
        raise FileError(
            f"16-bit channels stored as {raw_mode} cannot be read in full",
            "Save the picture as PNG, plain TIFF or .npy",
        )
    upper = _unpacked(image, raw_mode)
    lower = _unpacked(open_image(), layout + _OTHER_ORDER[order])
    return np.left_shift(upper, 8, dtype=np.uint16) | lower


def _raw_mode(image: Image) -> str:
    # A tile's arguments are the raw mode, alone or first in a tuple.
    arguments = image.tile[0].args if image.tile else ""  # type: ignore[attr-defined]
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _unpacked(image: Image, raw_mode: str) -> Array:
    tiles = []
    for tile in image.tile:  # type: ignore[attr-defined]
        rest = tile.args[1:] if isinstance(tile.args, tuple) else None
        tiles.append(tile._replace(args=raw_mode if rest is None else (raw_mode, *rest)))
    image.tile = tiles  # type: ignore[attr-defined]
    return np.array(image)


def write_png(file: BinaryIO, pixels: Array, profile: bytes | None) -> None:
    """Write uint16 `pixels` of shape (H, W, C), C from 1 to 4."""
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, _PNG_COLOUR_TYPE[channels], 0, 0, 0)
    octets = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    lines = np.empty((height, octets.shape[1] + 1), np.uint8)
    # Filter 2, the difference to the line above, halves the size of most photographs.
    lines[:, 0] = 2
    lines[0, 1:] = octets[0]
    np.subtract(octets[1:], octets[:-1], out=lines[1:, 1:])
    file.write(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header))
    if profile:
        file.write(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)))
    file.write(_chunk(b"IDAT", zlib.compress(lines.data)) + _chunk(b"IEND", b""))


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def write_tiff(file: BinaryIO, pixels: Array, profile: bytes | None) -> None:
    """Write `pixels` of shape (H, W, C) as one uncompressed strip, in little-endian order."""
    height, width, channels = pixels.shape
    pixels = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    has_alpha = channels in {2, 4}
    sample_format = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    if pixels.nbytes >= 2**32 - 2**20:
        raise FileError(f"{pixels.nbytes:,} bytes do not fit into a TIFF file", "Write .npy")
    fields: list[tuple[int, str, tuple[int, ...] | bytes]] = [
        (256, "I", (width,)),
        (257, "I", (height,)),
        (258, "H", (pixels.dtype.itemsize * 8,) * channels),
        (259, "H", (1,)),
        (262, "H", (2 if channels > 2 else 1,)),
        (273, "I", (8,)),
        (277, "H", (channels,)),
        (278, "I", (height,)),
        (279, "I", (pixels.nbytes,)),
        (284, "H", (1,)),
        *([(338, "H", (2,))] if has_alpha else []),
        (339, "H", (sample_format,) * channels),
        *([(_TIFF_PROFILE, "B", profile)] if profile else []),
    ]
    directory_at = 8 + pixels.nbytes + pixels.nbytes % 2
    file.write(struct.pack("<2sHI", b"II", 42, directory_at))
    file.write(pixels.data)
    file.write(b"\0" * (pixels.nbytes % 2))
    _write_directory(file, fields, directory_at)


def _write_directory(
    file: BinaryIO, fields: list[tuple[int, str, tuple[int, ...] | bytes]], start: int
) -> None:
    codes = {"B": 7, "H": 3, "I": 4}
    overflow_at = start + 2 + 12 * len(fields) + 4
    entries, overflow = b"", b""
    for tag, kind, values in fields:
        content = struct.pack(f"<{len(values)}{kind}", *values)
        if len(content) > 4:
            position = struct.pack("<I", overflow_at + len(overflow))
            overflow += content + b"\0" * (len(content) % 2)
        else:
            position = content.ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, codes[kind], len(values)) + position
    file.write(struct.pack("<H", len(fields)) + entries + bytes(4) + overflow)


def read_float_tiff(file: BinaryIO, max_pixels: int) -> tuple[Array, int]:
    """The pixels (H, W, C) and orientation of a plain TIFF that Pillow cannot read."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    file.seek(0)
    tags = ImageFileDirectory_v2(file.read(8))
    file.seek(tags.next)
    tags.load(file)
    width, height, channels = int(tags[256]), int(tags[257]), int(tags.get(277, 1))
    bits, formats = set(tags[258]), set(tags.get(339, (1,)))
    if tags.get(259, 1) != 1 or tags.get(284, 1) != 1 or 273 not in tags:
        raise FileError(
            "a compressed, tiled or planar TIFF of this pixel type cannot be read",
            "Save it without compression, or as .npy",
        )
    if len(bits) != 1 or len(formats) != 1 or not 1 <= channels <= 4:
        raise FileError(f"TIFF channels of {sorted(bits)} bits cannot be read", "Save it as .npy")
    if width * height > max_pixels:
        raise FileError(f"{width} × {height} pixels, more than --max-pixels {max_pixels:,}")
    order = "<" if tags.prefix == b"II" else ">"
    dtype = np.dtype(f"{order}{_TIFF_FORMATS[formats.pop()]}{bits.pop() // 8}")
    content = bytearray()
    for offset, size in zip(tags[273], tags[279], strict=True):
        file.seek(offset)
        content += file.read(min(size, width * height * channels * dtype.itemsize))
    pixels = np.frombuffer(content, dtype).reshape(height, width, channels)
    return pixels.astype(dtype.newbyteorder("=")), int(tags.get(274, 1))
