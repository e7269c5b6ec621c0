"""What the operators compute, in NumPy: tap by tap, for any dtype.

With float64 arrays these are what every result is compared with; with the arrays of the case they
are what people write who have NumPy alone. They share nothing with faltung's own code.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from faltung.bench.cases import Problem
from faltung.typing import Array, Shape

__all__ = ["FORMULAS"]


def padded(problem: Problem, value: float = 0) -> Array:
    """The input with the cells of the padding."""
    if not any(map(any, problem.padding)):
        return problem.x
    return np.pad(problem.x, [(0, 0), (0, 0), *problem.padding], constant_values=value)


def taps(problem: Problem) -> list[Shape]:
    """The places in the kernel, in C order."""
    return list(product(*map(range, problem.kernel)))


def seen(problem: Problem, cells: Array, tap: Shape, output: Shape) -> Array:
    """The padded cells that a tap meets, one for each output; a view."""
    places = zip(tap, problem.stride, problem.dilation, output, strict=True)
    cuts = [slice(i * d, i * d + s * (n - 1) + 1, s) for i, s, d, n in places]
    return cells[(slice(None), slice(None), *cuts)]


def conv(problem: Problem) -> Array:
    """One matrix product a tap."""
    cells, output, groups = padded(problem), problem.output, problem.groups
    batch, filters = cells.shape[0], problem.weight.shape[0]
    y = np.zeros((batch, groups, filters // groups, int(np.prod(output))), problem.x.dtype)
    matrices = problem.weight.reshape(groups, filters // groups, problem.weight.shape[1], -1)
    for number, tap in enumerate(taps(problem)):
        matrix = matrices[..., number]
        y += matrix @ seen(problem, cells, tap, output).reshape(batch, groups, -1, y.shape[-1])
    return y.reshape(batch, filters, *output)


def conv_transpose(problem: Problem) -> Array:
    """Every tap's product is added to where it belongs."""
    x, weight, batch = problem.x, problem.weight, problem.x.shape[0]
    places = zip(x.shape[2:], problem.stride, problem.kernel, strict=True)
    sums = np.zeros((batch, weight.shape[1], *((n - 1) * s + k for n, s, k in places)), x.dtype)
    columns = x.reshape(batch, x.shape[1], -1)
    matrices = weight.reshape(*weight.shape[:2], -1)
    for number, tap in enumerate(taps(problem)):
        matrix = matrices[..., number].T
        part = (matrix @ columns).reshape(batch, weight.shape[1], *x.shape[2:])
        target = seen(problem, sums, tap, x.shape[2:])
        target += part
    return without_padding(problem, sums)


def without_padding(problem: Problem, cells: Array) -> Array:
    """The cells inside."""
    ends = zip(cells.shape[2:], problem.padding, strict=True)
    cuts = [slice(before, n - after) for n, (before, after) in ends]
    return cells[(slice(None), slice(None), *cuts)]


def max_pool(problem: Problem) -> Array:
    """The larger one, tap by tap."""
    cells, output = padded(problem, -np.inf), problem.output
    first, *others = taps(problem)
    y = seen(problem, cells, first, output).copy()
    for tap in others:
        np.maximum(y, seen(problem, cells, tap, output), out=y)
    return y


def avg_pool(problem: Problem) -> Array:
    """The sum, tap by tap, cells of the padding counted."""
    cells, output, places = padded(problem), problem.output, taps(problem)
    y = np.zeros((*cells.shape[:2], *output), problem.x.dtype)
    for tap in places:
        y += seen(problem, cells, tap, output)
    y /= len(places)
    return y


def adaptive_avg_pool(problem: Problem) -> Array:
    """Means over equal bins."""
    x = problem.x
    (rows, columns), (n, m) = problem.options["output_size"], x.shape[2:]
    bins = x.reshape(*x.shape[:2], rows, n // rows, columns, m // columns)
    return np.asarray(bins.mean((3, 5)))


def resize(problem: Problem) -> Array:
    """One gather an axis, or two and a weighted sum."""
    x, size = problem.x, problem.options["size"]
    for axis, target in enumerate(size, start=2):
        n = x.shape[axis]
        if problem.options["mode"] == "nearest":
            x = x.take(np.arange(target) * n // target, axis)
            continue
        places = np.clip((np.arange(target) + 0.5) * n / target - 0.5, 0, n - 1)
        cells = places.astype(int)
        share = (places - cells).astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1 - axis))
        after = x.take(np.minimum(cells + 1, n - 1), axis)
        x = x.take(cells, axis) * (1 - share) + after * share
    return x


def involution(problem: Problem) -> Array:
    """Shifted views times the kernels of every position, tap by tap."""
    cells, weight, output = padded(problem), problem.weight, problem.output
    batch, channels = cells.shape[:2]
    groups = weight.shape[1]
    y = np.zeros((batch, groups, channels // groups, *output), problem.x.dtype)
    for number, tap in enumerate(taps(problem)):
        y += weight[:, :, None, number] * seen(problem, cells, tap, output).reshape(y.shape)
    return y.reshape(batch, channels, *output)


def unfold(problem: Problem) -> Array:
    """Every window copied to a column."""
    cells, output = padded(problem), problem.output
    parts = [seen(problem, cells, tap, output) for tap in taps(problem)]
    return np.stack(parts, 2).reshape(len(cells), cells.shape[1] * len(parts), -1)


def fold(problem: Problem) -> Array:
    """Every column added to where its window lies; stride 1."""
    x, cells = problem.x, problem.options["padding"]
    sizes = [n + 2 * cells for n in problem.options["output_size"]]
    kernel = problem.options["kernel_size"]
    rows, across = (n - k + 1 for n, k in zip(sizes, kernel, strict=True))
    places = list(product(*map(range, kernel)))
    columns = x.reshape(len(x), -1, len(places), rows, across)
    y = np.zeros((*columns.shape[:2], *sizes), x.dtype)
    for number, (i, j) in enumerate(places):
        y[:, :, i : i + rows, j : j + across] += columns[:, :, number]
    return y[:, :, cells : sizes[0] - cells, cells : sizes[1] - cells]


FORMULAS: dict[str, Any] = {
    function.__name__: function
    for function in (
        conv,
        conv_transpose,
        max_pool,
        avg_pool,
        adaptive_avg_pool,
        resize,
        involution,
        unfold,
        fold,
    )
}
"""By operation."""
