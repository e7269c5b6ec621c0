"""The compiled kernels of the direct convolution: one row for each dtype and instruction set.

The first row that the machine has and that sums in the wanted dtype is used. Generic rows name no
instruction of any machine, so every problem has a row everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from faltung.compiled import machine
from faltung.compiled._jit import Job
from faltung.compiled.microkernel import TileShape, column
from faltung.compiled.simd import Element

__all__ = ["ROWS", "Row", "find_row"]


class Row(NamedTuple):
    """One variant of the direct kernel.

    Parameters
    ----------
    isa : str
        The level of `machine.LEVELS` that it needs.
    element : Element
        The lanes of its vectors; their dtype is that of the sums.
    rows, vectors : int
        The register tile: output channels and vectors of pixels.
    """

    isa: str
    element: Element
    rows: int
    vectors: int

    @property
    def id(self) -> str:
        """``f32_direct_8x3__avx512``."""
        short = self.element.dtype.replace("float", "f").replace("uint", "u")
        return f"{short}_direct_{self.rows}x{self.vectors}__{self.isa}"

    @property
    def wide(self) -> TileShape:
        """The tile of most pixels."""
        return TileShape(self.element, self.rows, self.vectors)

    @property
    def narrow(self) -> TileShape:
        """One vector of pixels, for the ends of runs."""
        return TileShape(self.element, self.rows, 1)

    @property
    def line(self) -> TileShape:
        """One output channel and eight vectors: for few channels, and for images."""
        return TileShape(self.element, 1, 8)

    @property
    def most_singles(self) -> int:
        """How many rows beyond whole blocks are done one by one rather than in a part of one."""
        return self.rows * 3 // 8

    def columns(self) -> tuple[Job, Job, Job]:
        """The compiled kernels for wide, narrow and single-row tiles."""
        return _column(self.wide, True), _column(self.narrow, True), _column(self.line, False)


@cache
def _column(shape: TileShape, packs: bool) -> Job:
    return column(shape, packs)


# Bytes of a vector and the register tile by level. AVX-512 has 32 registers: 24 sums, 3 vectors
# of pixels, one weight. AVX2 has 16: 12, 2 and one; with 4×3 the compiler, which likes to load two
# weights at once, spills. The generic row also needs room for products that are not yet added.
# The guarding test is in tests/compiled/test_variants.py.
_LEVELS = {"avx512": (64, 8, 3), "avx2": (32, 6, 2), "generic": (16, 4, 2)}
_DTYPES = {"float32": 4, "float64": 8, "uint32": 4, "uint64": 8}


def _rows() -> Iterator[Row]:
    for isa, (size, rows, vectors) in _LEVELS.items():
        for dtype, item in _DTYPES.items():
            # AVX2 puts products of 64 bits together from those of 32, which takes registers.
            fitting = 4 if (isa, dtype) == ("avx2", "uint64") else rows
            yield Row(isa, Element(dtype, size // item, isa != "generic"), fitting, vectors)


ROWS = tuple(_rows())


def find_row(dtype: str) -> Row:
    """The best row for sums in `dtype` on this machine, as far as FALTUNG_MAX_ISA allows."""
    return next(row for row in ROWS if row.element.dtype == dtype and machine.has(row.isa))
