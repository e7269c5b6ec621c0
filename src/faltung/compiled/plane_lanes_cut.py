"""How planes are done with as many of them in the lanes of a vector: places, tiles and cycles.

The order of every sum is that of `image_pieces`, as in the other ways through a picture: nothing
here changes a bit of a result.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.compiled.image_pieces import pieces_of_task
from faltung.compiled.image_tile import PictureTile
from faltung.compiled.schedule import round_up
from faltung.compiled.simd import Element
from faltung.compiled.task import Axis, DirectTask
from faltung.compiled.turning import PART_SIZE, starts, units
from faltung.compiled.variants import Row

__all__ = ["PlaneLanes", "Tables", "find_cut", "tables"]

_MOST_STAGED = 1 << 20  # bytes of the planes of one vector, with their sums: a part of L2
_REGISTERS = {"avx512": 32, "avx2": 16, "generic": 16}
_LEAST_SUMS = 8  # in flight: two multiply-adds a cycle, each four cycles long
_BEGUN = 3.3  # instructions a cycle, on a core that is shared
_TILE_SHARE = 1.15  # of what tiles take beside that
_BLOCK_CYCLES = 120  # to begin with a vector of planes
_L1_BYTES = 40 << 10  # beyond which turning round takes twice as long
_MOST_ROWS = 8  # of a tile: no more are written out


class _Tile(NamedTuple):
    """Outputs of a tile: `rows` and, in the first `wides` of the `tiles` of a row, `columns`.

    Those behind have one column less. `units` are turned round, and tiles take so many `cycles`.
    """

    rows: int
    columns: int
    wides: int
    tiles: int
    units: int
    cycles: float


class PlaneLanes(NamedTuple):
    """How a vector of planes is done, which takes so many `cycles`.

    In the workspace of a thread sums come first, then weights and staged cells: so many rows and
    cells of a row as `slots` says.
    """

    tile: _Tile
    kernel_rows: int
    stride: int
    slots: tuple[int, int]
    weights_at: int
    staged_at: int
    workspace: int
    cycles: float

    def tiles(self, row: Row) -> tuple[PictureTile, PictureTile]:
        """The wide register tile and the narrow one, which may be the same."""
        least = self.tile.columns - (self.tile.wides < self.tile.tiles)
        wide, narrow = (
            PictureTile(row.element, self.tile.rows, columns, self.kernel_rows, self.stride)
            for columns in (self.tile.columns, least)
        )
        return wide, narrow


def _unit_cycles(element: Element) -> float:
    """What it takes to turn a unit round: its vectors, the longer the more."""
    return PART_SIZE / element.size * (1 + element.vector_size / 16)


class Tables(NamedTuple):
    """What is turned round: `units` of cells, sums and weights; and which lines are copied.

    `edges` has a line (source, target) for each staged cell that repeats another one, in bytes.
    """

    cells: NDArray[np.int64]
    sums: NDArray[np.int64]
    weights: NDArray[np.int64]
    edges: NDArray[np.int64]
    is_filled: bool  # whether any staged cell is outside


def _slots(axis: Axis) -> int:
    """How many cells are staged."""
    return max(0, (axis.outputs - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1)


def _shown(axis: Axis) -> NDArray[np.int64]:
    """The cell of the input that each staged one shows, -1 for none."""
    slots = _slots(axis)
    cells = np.array((*axis.low, *range(axis.length), *axis.high), np.int64)
    shown = np.full(slots, -1, np.int64)
    shown[: len(cells)] = cells[:slots]
    return shown


def _inside(axis: Axis) -> range:
    """Which staged cells of an axis are the input's own, in their own places."""
    return range(axis.before, min(axis.before + axis.length, _slots(axis)))


def _tile(axes: tuple[Axis, Axis], row: Row) -> _Tile | None:
    """The tile that takes the least cycles."""
    (high, wide), most = axes, _REGISTERS[row.isa]
    taps, best, least = high.kernel, None, float("inf")
    for rows, width in product(range(1, min(_MOST_ROWS, high.outputs) + 1), range(1, most)):
        # With 16 registers the weights are read from memory; the compiler loads cells early.
        others = taps + 5 if most > 16 else 3
        tiles = -(-wide.outputs // width)
        wides = wide.outputs - tiles * (width - 1)
        is_full = rows * width + others > most and rows * width > 1
        if is_full or wides < 1 or rows * wide.outputs < row.element.lanes:
            continue
        cycles = 0.0
        for count, size in ((wides, width), (tiles - wides, width - 1)):
            sums, cells = rows * size, ((rows - 1) * high.stride + taps) * (size + 1)
            begun = (sums * taps + cells + taps) / _BEGUN
            cycles += count * wide.kernel * max(max(sums, _LEAST_SUMS) * taps / 2, begun)
        strips = -(-high.outputs // rows)
        pixels = -(-rows * wide.outputs // row.element.lanes)
        units = strips * pixels * row.element.vector_size
        tile = _Tile(rows, width, wides, tiles, units // PART_SIZE, strips * cycles * _TILE_SHARE)
        total = tile.cycles + tile.units * _unit_cycles(row.element)
        if total < least:
            best, least = tile, total
    return best


@lru_cache(maxsize=1024)
def find_cut(task: DirectTask, row: Row) -> PlaneLanes | None:
    """How planes are done in the lanes; None for planes that cannot be.

    Each has a filter of its own, of one piece; there are enough of them, of outputs and of
    neighbouring cells to fill whole vectors.
    """
    element, (depth, high, wide) = row.element, task.axes
    width, vector = PART_SIZE // element.size, element.vector_size
    is_plane = depth == Axis(1, 1, 1) and high.dilation == 1
    is_own = task.channels == task.filters == 1 and task.groups >= element.lanes
    slots = _slots(high), _slots(wide)
    if not (is_plane and is_own and slots[0] * slots[1] * vector <= _MOST_STAGED):
        return None
    pieces, inside, tile = pieces_of_task(task), len(_inside(wide)), _tile((high, wide), row)
    is_wide = min(inside, task.kernel_taps) >= width and len(_inside(high)) > 0
    is_known = len(pieces) == 1 and set(_shown(wide)) <= {-1, *range(inside)}
    # A piece may be several chunks of rows, or a long row that is folded.
    is_known &= pieces[0].rows == high.kernel and len(pieces[0].columns) == wide.kernel
    if tile is None or not (is_wide and is_known):
        return None
    sums = tile.rows * wide.outputs * vector
    staged_at = sums + task.kernel_taps * vector
    workspace = staged_at + slots[0] * slots[1] * vector
    units = slots[0] * -(-inside // width) + tile.units + task.kernel_taps / width
    moved = (high.length * wide.length + high.outputs * wide.outputs) * vector
    cycles = units * _unit_cycles(element) * (1 if workspace + moved <= _L1_BYTES else 2)
    return PlaneLanes(
        tile, pieces[0].rows, high.stride, slots, sums, staged_at, round_up(workspace, 4096),
        _BLOCK_CYCLES + tile.cycles + cycles,
    )  # fmt: skip


def tables(task: DirectTask, cut: PlaneLanes, x_row: int, y_plane: int, row: Row) -> Tables:
    """What is turned round: the cells of a plane, the sums of a row of tiles, the weights.

    `x_row` are bytes from row to row of the input, `y_plane` from plane to plane of the output.
    """
    element, (high, wide), taps = row.element, task.axes[1:], task.kernel_taps
    size, vector, lanes = element.size, element.vector_size, element.lanes
    width, shown, inside = PART_SIZE // size, _shown(wide), _inside(wide)
    sources, targets, edges = [], [], []
    for slot, cell in enumerate(_shown(high)):
        if cell < 0:
            continue
        line = slot * len(shown)
        for first in starts(len(inside), width):
            sources.append(cell * x_row + first * size)
            targets.append((line + wide.before + first) * vector)
        edges += [
            ((line + wide.before + shown[i]) * vector, (line + i) * vector)
            for i in range(len(shown))
            if i not in inside and shown[i] >= 0
        ]
    pixels = np.array(starts(cut.tile.rows * wide.outputs, lanes))[:, None]
    channels = np.arange(0, lanes, width)
    places = np.array(starts(taps, width))
    is_filled = bool((_shown(high) < 0).any() or (shown < 0).any())
    return Tables(
        units(sources, targets),
        units(
            (pixels * vector + channels * size).ravel(),
            (pixels * size + channels * y_plane).ravel(),
        ),
        units(places * size, places * vector),
        np.array(edges, np.int64).reshape(-1, 2),
        is_filled,
    )
