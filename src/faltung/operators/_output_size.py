"""An output size that a caller picks: spatial, or the whole shape of the result."""

from __future__ import annotations

from faltung.errors import ShapeError, WindowError, shown
from faltung.geometry.arguments import as_ints, unpacked
from faltung.typing import Shape

__all__ = ["spatial_size", "split_size"]


def spatial_size(
    output_size: object, rank: int, data_format: str, actual: tuple[int, int]
) -> Shape:
    """The spatial part of an output size, whose batch and channels have to be the `actual` ones."""
    leading, wanted = split_size(output_size, rank, data_format)
    if leading and leading != actual[-len(leading) :]:
        raise ShapeError(
            f"output_size {shown(output_size)} has {leading} for batch and channels, "
            f"the result has {actual[-len(leading) :]}",
            "Give the spatial sizes alone",
        )
    return wanted


def split_size(output_size: object, rank: int, data_format: str) -> tuple[Shape, Shape]:
    """Batch and channels of an output size, as far as it has them, and its spatial part."""
    entries = unpacked(output_size)
    if not isinstance(entries, tuple | list) or len(entries) == rank:
        return (), as_ints(output_size, "output_size", rank)
    extra = len(entries) - rank
    if extra not in (1, 2):
        raise WindowError(
            f"output_size {shown(entries)} has {len(entries)} entries for "
            f"{rank} spatial {'axis' if rank == 1 else 'axes'}",
            "Give one int an axis, with or without batch and channels",
        )
    sizes = as_ints(entries, "output_size", len(entries), 0)
    if data_format == "channels_last":
        sizes = (*sizes[: extra - 1], sizes[-1], *sizes[extra - 1 : -1])
    return sizes[:extra], as_ints(sizes[extra:], "output_size", rank)
