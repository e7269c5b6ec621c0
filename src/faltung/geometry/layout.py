"""Where batch, channel and spatial axes are, and views that put them into one order."""

from __future__ import annotations

from typing import NamedTuple

from faltung.errors import OptionError, ShapeError, shown
from faltung.typing import Array, Shape

__all__ = ["FORMATS", "Layout", "layout_of"]

FORMATS = ("channels_first", "channels_last")


class Layout(NamedTuple):
    """How an array relates to the canonical order (batch, channels, spatial axes)."""

    rank: int
    has_batch: bool
    is_channels_last: bool

    def canonical_shape(self, shape: Shape) -> Shape:
        """The shape in canonical order, a batch of one added where there is none."""
        if not self.has_batch:
            shape = (1, *shape)
        if self.is_channels_last:
            shape = (shape[0], shape[-1], *shape[1:-1])
        return shape

    def own_shape(self, canonical: Shape) -> Shape:
        """The shape in the array's own order."""
        shape = canonical
        if self.is_channels_last:
            shape = (shape[0], *shape[2:], shape[1])
        return shape if self.has_batch else shape[1:]

    def canonical(self, array: Array) -> Array:
        """A view in canonical order."""
        if not self.has_batch:
            array = array[None]
        if self.is_channels_last:
            array = array.transpose(0, array.ndim - 1, *range(1, array.ndim - 1))
        return array

    def own(self, canonical: Array) -> Array:
        """A view of an array in canonical order, in the array's own order."""
        if self.is_channels_last:
            canonical = canonical.transpose(0, *range(2, canonical.ndim), 1)
        return canonical if self.has_batch else canonical[0]


def layout_of(shape: Shape, rank: int, data_format: object, name: str = "x") -> Layout:
    """The layout of an array with `rank` spatial axes."""
    if not isinstance(data_format, str) or data_format not in FORMATS:
        raise OptionError(
            f"data_format is {shown(data_format)}, which is not known",
            f"Use one of {', '.join(map(repr, FORMATS))}",
        )
    if len(shape) not in (rank + 1, rank + 2):
        is_last = data_format == "channels_last"
        full = "(N, *spatial, C)" if is_last else "(N, C, *spatial)"
        single = "(*spatial, C)" if is_last else "(C, *spatial)"
        raise ShapeError(
            f"{name} has {len(shape)} axes, expected {rank + 2} {full} or {rank + 1} {single} "
            f"with {rank} spatial {'axis' if rank == 1 else 'axes'}",
            _advice(shape, rank, name, is_last),
        )
    return Layout(rank, len(shape) == rank + 2, data_format == "channels_last")


def _advice(shape: Shape, rank: int, name: str, is_last: bool) -> str:
    if len(shape) == rank:
        return f"Add a channel axis: {name}[{'..., None' if is_last else 'None'}]"
    return ""
