"""Reading and writing pictures as arrays, without losing bits on the way."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from faltung.cli._arrays import read_picture_array
from faltung.cli._deep import read_deep, read_float_tiff, write_png, write_tiff
from faltung.cli._errors import FileError
from faltung.cli._files import MAX_PIXELS, opened, replaced
from faltung.errors import FaltungError, MissingExtraError
from faltung.typing import Array

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["FORMATS", "Picture", "check_suffix", "read", "write"]

_READ_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".npy": "NPY",
}
# What a format holds without loss of bits: channel counts by dtype.
_HOLDS: dict[str, dict[str, tuple[int, ...]]] = {
    "PNG": {"uint8": (1, 2, 3, 4), "uint16": (1, 2, 3, 4)},
    "JPEG": {"uint8": (1, 3)},
    "TIFF": dict.fromkeys(
        ("uint8", "uint16", "uint32", "int16", "int32", "float32", "float64"), (1, 2, 3, 4)
    ),
    "WEBP": {"uint8": (1, 2, 3, 4)},
    "BMP": {"uint8": (1, 3, 4)},
}
_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True, "exact": True},
    "TIFF": {"compression": "tiff_adobe_deflate"},
}
_REFUSED = {
    b"%!PS": "an EPS or PostScript file",
    b"\xc5\xd0\xd3\xc6": "an EPS file",
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML file or SVG drawing",
    b"%PDF": "a PDF file",
    b"GIF8": "a GIF",
    b"PK\x03\x04": "an archive of arrays (.npz) or other zip file",
}
_ORIENTATION_TAG = 0x0112


@dataclass(frozen=True)
class Picture:
    """A picture as it lies in a file.

    `pixels` is (H, W) or (H, W, C) without `alpha`, which is (H, W) or None. `profile` is the ICC
    colour profile, `frames` the number of pictures in the file, of which this is the first.
    """

    pixels: Array
    alpha: Array | None = None
    profile: bytes | None = None
    frames: int = 1


def check_suffix(path: Path) -> str:
    """The format that the suffix of `path` stands for."""
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        raise FileError(
            f"{path}: the suffix {path.suffix!r} stands for no format that faltung writes",
            f"Use one of {', '.join(FORMATS)}",
        ) from None


def read(path: Path, max_pixels: int = MAX_PIXELS) -> Picture:
    """The first picture of a PNG, JPEG, TIFF, WebP, BMP or .npy file.

    The content decides, not the suffix. Nothing is decoded before its size is known.
    """
    with opened(path) as file:
        head = file.read(16)
        file.seek(0)
        if head.startswith(b"\x93NUMPY"):
            return Picture(read_picture_array(path, max_pixels))
        for start, name in _REFUSED.items():
            if head.lstrip().startswith(start):
                raise FileError(f"{path} is {name}, not a picture that faltung reads", _READABLE)
        try:
            with _quiet_pillow(), _quiet_libtiff(head):
                return _read_with_pillow(file, head, max_pixels)
        except FaltungError as error:
            if isinstance(error, MissingExtraError):
                raise
            raise type(error)(f"{path}: {error.fact}", error.advice) from error
        # A decoder fed with arbitrary bytes raises whatever it comes across.
        except Exception as error:
            raise FileError(f"{path} cannot be read: {error or type(error).__name__}") from error


_READABLE = "Convert it to PNG, JPEG, TIFF, WebP, BMP or .npy first"


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Pillow without its own limit on pixels, which ours replaces, and without warnings."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError(
            "pictures need Pillow, which is not installed", 'pip install "faltung[cli]"'
        ) from error
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


@contextmanager
def _quiet_libtiff(head: bytes) -> Iterator[None]:
    """No chatter of libtiff, which writes to the process's stderr whatever Python does."""
    if head[:2] not in {b"II", b"MM"}:
        yield
        return
    try:
        kept = os.dup(2)
    except OSError:  # stderr is closed, nothing can be written there
        yield
        return
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(silence)


def _read_with_pillow(file: BinaryIO, head: bytes, max_pixels: int) -> Picture:
    from PIL import Image, UnidentifiedImageError

    def open_image() -> Image.Image:
        file.seek(0)
        return Image.open(file, formats=_READ_FORMATS)

    try:
        image = open_image()
    except UnidentifiedImageError:
        if head[:4] in {b"II*\0", b"MM\0*"}:
            return _split(_turned(*read_float_tiff(file, max_pixels)))
        raise FileError("the content is no picture that faltung reads", _READABLE) from None
    width, height = image.size
    if width * height > max_pixels:
        raise FileError(
            f"{width} × {height} = {width * height:,} pixels, "
            f"more than --max-pixels {max_pixels:,}",
            "Raise --max-pixels if you trust the file",
        )
    profile = image.info.get("icc_profile")
    frames = 1 if image.format in {"JPEG", "MPO"} else getattr(image, "n_frames", 1)
    pixels = read_deep(open_image)
    if pixels is None:
        image = open_image()  # counting the frames has moved on in the file
        image.load()
        if image.mode == "CMYK":
            profile = None  # it describes inks, not the RGB that comes out
        pixels = _as_array(image)
    picture = _split(_turned(pixels, _orientation(image)))
    return Picture(picture.pixels, picture.alpha, profile, frames)


def _as_array(image: Image) -> Array:
    """The pixels of a loaded picture of any Pillow mode; (H, W), or (H, W, C) with alpha last."""
    if image.mode.startswith("I;16"):
        return np.array(image).astype(np.uint16)
    if image.mode == "I":
        return _integers(image)
    if image.mode == "F":
        return np.array(image)
    is_grey = image.mode in {"1", "L", "LA", "La"}
    has_alpha = image.mode in {"LA", "La", "PA", "RGBA", "RGBa"} or "transparency" in image.info
    mode = ("LA" if has_alpha else "L") if is_grey else ("RGBA" if has_alpha else "RGB")
    if image.mode in {"1", "L"} and mode == "LA":
        image = image.convert("RGBA")  # the only conversion that reads the transparent colour
    return np.array(image if image.mode == mode else image.convert(mode))


def _integers(image: Image) -> Array:
    """The pixels of mode I, which holds int32 and forgets what the file had."""
    pixels = np.array(image)
    tags = getattr(image, "tag_v2", {})
    bits, sample_format = tags.get(258, (32,)), tags.get(339, (2,))
    if bits == (16,):
        return pixels.astype(np.int16)
    return pixels.view(np.uint32) if sample_format == (1,) else pixels


def _split(pixels: Array) -> Picture:
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if channels in {2, 4}:
        colours = pixels[..., 0] if channels == 2 else pixels[..., :3]
        return Picture(colours, pixels[..., -1])
    return Picture(pixels[..., 0] if pixels.ndim == 3 and channels == 1 else pixels)


def _orientation(image: Image) -> int:
    if image.format == "TIFF":
        return 1  # Pillow has turned it already
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    # Broken notes of a camera are no reason to refuse its picture.
    except Exception:  # noqa: BLE001
        return 1


def _turned(pixels: Array, orientation: int) -> Array:
    """`pixels` as the EXIF orientation (1 to 8) means them to be seen."""
    if orientation in {2, 3, 7, 8}:
        pixels = pixels[:, ::-1]
    if orientation in {3, 4, 6, 7}:
        pixels = pixels[::-1]
    return pixels.swapaxes(0, 1) if orientation in {5, 6, 7, 8} else pixels


def write(path: Path, picture: Picture, *, force: bool = False) -> Array:
    """Write `picture` in the format of the suffix, all at once; returns what was written."""
    format_name = check_suffix(path)
    pixels = picture.pixels
    if picture.alpha is not None:
        pixels = np.dstack([pixels, picture.alpha])
    if format_name == "NPY":
        with replaced(path, force=force) as file:
            np.lib.format.write_array(file, pixels, allow_pickle=False)
        return pixels
    if format_name == "WEBP":
        pixels = _coloured(pixels)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    _check_holds(path, format_name, pixels)
    with replaced(path, force=force) as file:
        _encode(file, format_name, pixels, picture.profile)
    return pixels


def _coloured(pixels: Array) -> Array:
    """Grey as three equal channels, for a format that has no grey: readers find three."""
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if channels > 2:
        return pixels
    volume = pixels.reshape(*pixels.shape[:2], channels)
    return np.dstack([volume[..., :1]] * 3 + [volume[..., 1:]])


def _check_holds(path: Path, format_name: str, pixels: Array) -> None:
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if channels in _HOLDS[format_name].get(pixels.dtype.name, ()):
        return
    able = [
        suffix
        for suffix, name in FORMATS.items()
        if name == "NPY" or channels in _HOLDS[name].get(pixels.dtype.name, ())
    ]
    alpha = " with alpha" if channels in {2, 4} else ""
    raise FileError(
        f"{path}: {format_name} does not hold {channels} channels{alpha} of {pixels.dtype}",
        f"Use one of {', '.join(able)}",
    )


def _encode(file: BinaryIO, format_name: str, pixels: Array, profile: bytes | None) -> None:
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    volume = pixels.reshape(*pixels.shape[:2], channels)
    if format_name == "PNG" and pixels.dtype == np.uint16:
        write_png(file, volume, profile)
    elif format_name == "TIFF" and pixels.dtype != np.uint8:
        write_tiff(file, volume, profile)
    else:
        with _quiet_pillow():
            from PIL import Image

            image = Image.fromarray(
                np.ascontiguousarray(volume[..., 0] if channels == 1 else volume)
            )
            try:
                image.save(
                    file, format_name, icc_profile=profile, **_SAVE_OPTIONS.get(format_name, {})
                )
            # As in reading: an encoder's complaint about sizes or modes has no fixed class.
            except (ValueError, TypeError, KeyError) as error:
                raise FileError(f"{format_name} cannot hold this picture: {error}") from error
