"""A convolution written without faltung, and the same call through every algorithm that does it."""

import itertools

import numpy as np

import faltung as ft

NUMPY_MODE = {"reflect": "reflect", "symmetric": "symmetric", "edge": "edge", "wrap": "wrap"}


def border_source(place, size, mode):
    """The cell that is seen at `place`, which may lie outside, or None where there is none."""
    if 0 <= place < size:
        return place
    if mode in ("zeros", "constant", "blank"):
        return None
    before, after = max(-place, 0), max(place - size + 1, 0)
    cells = np.pad(np.arange(size), (before, after), mode=NUMPY_MODE[mode])
    return int(cells[place + before])


def axis_sources(size, taps, stride, dilation, padding, mode):
    """For each tap the source of each output, -1 where there is none."""
    before, after = padding
    count = (size + before + after - dilation * (taps - 1) - 1) // stride + 1
    table = np.full((taps, count), -1)
    for tap, output in itertools.product(range(taps), range(count)):
        source = border_source(output * stride + tap * dilation - before, size, mode)
        if source is not None:
            table[tap, output] = source
    return table


def direct_sum(
    x, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1, mode="zeros", value=0
):
    """``conv`` of (N, C, *spatial) data as a plain sum over the real cells, tap by tap.

    float16 and bfloat16 are summed in float32; everything else in the dtype of the result.
    `stride`, `padding` (the same at both ends) and `dilation` are single ints.
    """
    operands = [x, weight] if bias is None else [x, weight, bias]
    dtype = np.result_type(*operands)
    summed = np.dtype(np.float32) if dtype.name in ("float16", "bfloat16") else dtype
    x, weight = x.astype(summed), weight.astype(summed)
    kernel = weight.shape[2:]
    tables = [
        axis_sources(size, taps, stride, dilation, (padding, padding), mode)
        for size, taps in zip(x.shape[2:], kernel, strict=True)
    ]
    outputs = tuple(table.shape[1] for table in tables)
    total = np.zeros((x.shape[0], weight.shape[0], *outputs), summed)
    touched = np.zeros(outputs, bool)
    per_group, filters = weight.shape[1], weight.shape[0] // groups
    with np.errstate(all="ignore"):
        for taps in itertools.product(*map(range, kernel)):
            sources = np.ix_(*(table[tap] for table, tap in zip(tables, taps, strict=True)))
            outside = np.zeros(outputs, bool)
            for axis_source in sources:
                outside |= axis_source < 0
            touched |= outside
            for o, c in itertools.product(range(weight.shape[0]), range(per_group)):
                cells = x[:, o // filters * per_group + c][:, *sources]
                if mode == "constant":
                    cells = np.where(outside, summed.type(value), cells)
                product = cells * weight[(o, c, *taps)]
                if mode == "constant":
                    total[:, o] += product
                else:
                    total[:, o] += np.where(outside, summed.type(0), product)
        if bias is not None:
            total += bias.astype(summed).reshape(-1, *[1] * len(kernel))
        if mode == "blank":
            total[:, :, touched] = 0
        return total.astype(dtype)


def through_every_algorithm(function, *arguments, without=(), **options):
    """Pairs of an algorithm's name and its result, for those that do the case; None: the planner's.

    At least one named algorithm, other than those left out, has to do it.
    """
    results = [(None, function(*arguments, **options))]
    for name in ft.algorithms():
        if name in without:
            continue
        try:
            results.append((name, function(*arguments, **options, algorithm=name)))
        except ft.OptionError:
            continue
    assert len(results) > 1, "no algorithm does this"
    return results


def each_algorithm(function, *arguments, **options):
    """The names of the algorithms that do the case, and None for the planner's choice."""
    return [name for name, _ in through_every_algorithm(function, *arguments, **options)]
