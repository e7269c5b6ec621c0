"""A strip: a few tiles of pixels side by side, one chunk of channels, all blocks of rows.

The pointwise convolution reads planes where they lie, and a tile takes three cache lines of each of
64 pages or more. Hardware that guesses what is read next follows no such path: beyond L2 two thirds
of the time went by waiting. So while a strip is summed it asks for the cells of the next one, plane
by plane. Its outputs are written in longer runs too, and its weights are read once a strip.
"""

from __future__ import annotations

from functools import cache

from faltung.compiled import words as at
from faltung.compiled._jit import Job, job
from faltung.compiled.memory import word
from faltung.compiled.microkernel import TileShape, fetching_tile, tile

__all__ = ["FETCHES_A_TILE", "strip"]

FETCHES_A_TILE = 4
"""Cache lines a channel that are asked for at each tile: one more than the widest tile has."""


@cache
def strip(shape: TileShape, packs: bool, fetches: int) -> Job:
    """The job that runs a strip.

    Its first argument is the address of a thread's block (`words`). The first at.DIRECT blocks are
    stored to at.OUT, the others to SCRATCH, where PREVIOUS lies as well: block by block, tile by
    tile.

    Parameters
    ----------
    shape : TileShape
        A tile.
    packs : bool
        Whether the first block copies the pixels to a panel, which the later ones read.
    fetches : {0, 1, 2, 4}
        Lines of the next strip asked for at each channel, in the first blocks, until all are.
    """
    plain, first = tile(shape, False), tile(shape, packs)
    fetching = fetching_tile(shape, False, fetches)
    fetching_first = fetching_tile(shape, packs, fetches)
    weight_size = shape.rows * shape.element.size
    row_size, tile_size = shape.row_size, shape.size
    fetching_blocks = FETCHES_A_TILE // fetches if fetches else 0

    @job
    def run_strip(block: int, _arguments: int, _job: int) -> None:
        x, offsets, taps = word(block, at.X), word(block, at.OFFSETS), word(block, at.TAPS)
        panel, tiles, blocks = word(block, at.PANEL), word(block, at.TILES), word(block, at.BLOCKS)
        weight, previous = word(block, at.WEIGHT), word(block, at.PREVIOUS)
        bias, floor, is_full = word(block, at.BIAS), word(block, at.FLOOR), word(block, at.IS_FULL)
        out, pitch, scratch = word(block, at.OUT), word(block, at.PITCH), word(block, at.SCRATCH)
        previous_step, bias_step = word(block, at.PREVIOUS_STEP), word(block, at.BIAS_STEP)
        direct, out_step = word(block, at.DIRECT), word(block, at.OUT_STEP)
        coming, lines = word(block, at.COMING), word(block, at.COMING_OFFSETS)
        panel_size, lines_size = taps * row_size, 8 * fetches * taps
        x_step = row_size
        for number in range(blocks):
            target, target_step = out + number * out_step, row_size
            if number >= direct:
                target, target_step = scratch + number * tiles * tile_size, tile_size
                pitch = row_size
            source = x
            for place in range(tiles):
                if number == 0:
                    into = panel + place * panel_size
                    if fetches > 0:
                        fetching_first(
                            source, weight, offsets, taps, into, target, pitch, is_full,
                            previous, bias, floor, coming, lines,
                        )  # fmt: skip
                    else:
                        first(
                            source, weight, offsets, taps, into, target, pitch, is_full,
                            previous, bias, floor,
                        )  # fmt: skip
                elif number < fetching_blocks:
                    fetching(
                        source, weight, offsets, taps, panel, target, pitch, is_full,
                        previous, bias, floor, coming, lines,
                    )  # fmt: skip
                else:
                    plain(
                        source, weight, offsets, taps, panel, target, pitch, is_full,
                        previous, bias, floor,
                    )  # fmt: skip
                source, target = source + x_step, target + target_step
                previous, lines = previous + previous_step, lines + lines_size
            if packs and number == 0:
                x, offsets, x_step = panel, word(block, at.LINEAR), panel_size
            weight, bias = weight + weight_size * taps, bias + bias_step

    return run_strip
