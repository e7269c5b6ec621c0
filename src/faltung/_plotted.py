"""`Plotted`: the face that plots what an operator makes of data, and the receptive field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung._case import Case, face, first
from faltung.errors import OptionError, ShapeError, shown
from faltung.geometry.arguments import as_ints
from faltung.geometry.layout import Layout
from faltung.operators._arrays import as_array
from faltung.operators._call import Bound
from faltung.plans._rules import Morphology, PositionSum, WeightedSum
from faltung.plotting.costs import draw_growth
from faltung.plotting.panels import Panel, draw_panels, mosaic
from faltung.typing import Array, ArrayLike, Shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Plotted", "PlottedChain", "PlottedLayer", "data_panel", "plot_receptive_field"]


class Plotted:
    """What every operator can plot of itself with Matplotlib."""

    __slots__ = ()

    @face
    def plot(self, x: ArrayLike, ax: Axes | None = None) -> Array:
        """Input, kernel and result as pictures with colour bars; lines along one axis.

        Parameters
        ----------
        x : array
            The data.
        ax : Axes, optional
            Where to draw; the panels are put inside of it. A new figure by default.

        Returns
        -------
        array of Axes
            Of the input's channels, of the kernels (a row a result channel, a column an input
            channel) and of the result's channels; without the middle for operators that hold no
            weights, and with the result of each operator for a chain. What is shown is the first
            sample, four channels at most, the middle slice where there are more than two spatial
            axes, and the size of complex numbers. Kernels that differ from place to place are put
            side by side.

        Raises
        ------
        ShapeError
            A batch without samples.
        MissingExtraError
            Without Matplotlib, which the extra ``plot`` installs.

        Examples
        --------
        >>> import numpy as np, faltung as ft
        >>> bar = np.ones((1, 6, 8))
        >>> bar[:, :, 2:6] = 0
        >>> axes = ft.Conv([[[[1, -1]]]]).plot(bar)
        >>> [ax.get_title() for ax in axes]
        ['input', 'kernel', 'result']
        >>> axes[2].images[0].get_array()[0].tolist()
        [0.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0]
        """
        return draw_panels(self._panels(as_array(x, "x")), ax)

    def _panels(self, x: Array) -> list[Panel]:
        """What is drawn, from left to right."""
        case = self._case(x.shape, x.dtype)
        layout: Layout = case.bound.layout
        panels = [data_panel("input", x, layout), data_panel("result", first(self(x)), layout)]
        kernel = _kernel(case)
        if kernel is not None:
            panels.insert(1, Panel("kernel", kernel, is_kernel=True))
        return panels

    def _layout(self, shape: Shape) -> Layout:
        """Where data of this shape has its axes."""
        return self._bound_to_shape(shape, None).layout

    def _cells(self, shape: Shape) -> Shape:
        """Cells of each spatial axis that the stencil has for data of this shape."""
        return self._bound_to_shape(shape, None).problem.input_shape[2:]

    if TYPE_CHECKING:

        def __call__(self, x: ArrayLike) -> Any: ...

        def _case(self, input_shape: Shape, dtype: Any = None) -> Case: ...

        def _bound_to_shape(self, input_shape: Shape, dtype: Any) -> Bound: ...


class PlottedChain:
    """A chain is plotted with the result of each of its operators."""

    __slots__ = ()

    def _panels(self: Any, x: Array) -> list[Panel]:
        layout = self._layout(x.shape)
        panels = [data_panel("input", x, layout)]
        for place, operator in enumerate(self.operators):
            with self._at(place):
                x = first(operator(x))
            panels.append(data_panel(type(operator).__name__, x, layout))
        return panels

    def _layout(self: Any, shape: Shape) -> Layout:
        layout: Layout = self.operators[0]._layout(shape)
        return layout

    def _cells(self: Any, shape: Shape) -> Shape:
        cells: Shape = self.operators[0]._cells(shape)
        return cells


class PlottedLayer:
    """A layer that generates its kernels is plotted as the involution with these."""

    __slots__ = ()

    def _panels(self: Any, x: Array) -> list[Panel]:
        panels: list[Panel] = self._involution(self._generated(x, self.generator)[1])._panels(x)
        return panels

    def _cells(self: Any, shape: Shape) -> Shape:
        canonical: Shape = self._layout(shape).canonical_shape(shape)
        return canonical[2:]


def data_panel(name: str, values: Array, layout: Layout) -> Panel:
    """The channels of the first sample."""
    if layout.is_channels_last:
        values = np.moveaxis(values, -1, int(layout.has_batch))
    if layout.has_batch:
        if not len(values):
            raise ShapeError("x has a batch of 0 samples, so that there is nothing to plot")
        values = values[0]
    return Panel(name, values[:, None])


def _kernel(case: Case) -> Array | None:
    """What the operator weighs with, (rows, columns, *cells); None if it holds no weights."""
    rule, weight = case.bound.problem.recipe.rule, case.operands.weight
    if weight is None or not isinstance(rule, WeightedSum | PositionSum | Morphology):
        return None
    if isinstance(rule, Morphology):
        return weight[None, None]
    if isinstance(rule, WeightedSum):
        return weight.swapaxes(0, 1) if rule.is_transposed else weight
    rank = case.bound.layout.rank
    taps = as_ints(case.parameters["kernel_size"], "kernel_size", rank)
    rows, columns = (1, weight.shape[1]) if rule.is_shared else weight.shape[:2]
    first = weight[0] if rule.is_shared else weight
    return mosaic(first.reshape(rows, columns, *taps, *weight.shape[3:]), rank)


def plot_receptive_field(
    operator: Any, input_shape: Shape, *, axis: int = -1, ax: Axes | None = None
) -> Axes:
    """Draw which cells of the input an output in the middle sees, operator by operator.

    Parameters
    ----------
    operator : operator
        A `Sequential`, whose receptive field grows from operator to operator, or any other.
    input_shape : tuple of int
        As the data would have it, with or without a batch axis.
    axis : int
        Of the spatial axes, the one that is drawn.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
        A bar an operator, over the cells from the first to the last that are seen.

    Raises
    ------
    OptionError
        An axis that there is not.
    MissingExtraError
        Without Matplotlib, which the extra ``plot`` installs.

    Examples
    --------
    >>> import faltung as ft
    >>> chain = ft.Sequential(ft.Conv((1, 1, 3)), ft.MaxPool((2,)), ft.Conv((1, 1, 3)))
    >>> ax = ft.plot_receptive_field(chain, (1, 20))
    >>> [round(bar.get_width()) for bar in ax.patches[1:]]
    [3, 4, 8]
    """
    report = operator.describe(input_shape)
    rank = len(report.receptive_field)
    if not (isinstance(axis, int) and -rank <= axis < rank):
        raise OptionError(
            f"axis is {shown(axis)}, the input has {rank} spatial axes",
            f"Use a number from {-rank} to {rank - 1}",
        ).at("plot_receptive_field")
    size = operator._cells(tuple(input_shape))[axis]
    reports = getattr(report, "grown", (report,))
    names = [each.operator for each in reports]
    return draw_growth(names, [_middle_field(each, axis, size) for each in reports], size, ax)


def _middle_field(report: Any, axis: int, size: int) -> tuple[int, int]:
    """Start and size of what the output nearest to the middle sees."""
    cells, jump = report.receptive_field[axis], max(report.receptive_jump[axis], 1)
    start: int = report.receptive_start[axis]
    steps = round(((size - cells) / 2 - start) / jump)
    return start + max(steps, 0) * jump, cells
