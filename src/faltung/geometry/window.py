"""`Window`: the geometry that all operators share, on any number of axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeAlias, TypeVar

from faltung.errors import WindowError, shown
from faltung.geometry.arguments import as_int, as_ints, as_padding, length_of, unpacked
from faltung.geometry.axis import AxisChain, AxisGeometry, AxisWindow
from faltung.typing import Ints, Padding

__all__ = ["Window", "axis_windows"]

Result = TypeVar("Result")
PerAxis: TypeAlias = Any
"""One value for a window on one axis, else a tuple with one value an axis."""


def axis_windows(
    rank: int,
    kernel_size: object,
    stride: object = 1,
    dilation: object = 1,
    padding: object = 0,
    ceil_mode: bool = False,
) -> tuple[AxisWindow, ...]:
    """The checked windows of an operator of known rank, one an axis."""
    kernels = as_ints(kernel_size, "kernel_size", rank)
    strides = as_ints(stride, "stride", rank)
    dilations = as_ints(dilation, "dilation", rank)
    paddings = as_padding(padding, rank)
    return tuple(
        AxisWindow(*parameters, ceil_mode)
        for parameters in zip(kernels, strides, dilations, paddings, strict=True)
    )


class Window:
    """The places of a sliding window: sizes, padding, footprints and their composition.

    Parameters
    ----------
    kernel_size : int or sequence of int
        Taps of the window; with a sequence, the window has one axis an entry and all methods
        take and return tuples.
    stride, dilation : int or sequence of int
        Step between neighbouring places, and between neighbouring taps, in cells.
    padding : int, name, (before, after), or a sequence of these
        Cells added at the ends: a number for both, a pair, or ``"valid"``, ``"same"`` (alias
        ``"half"``), ``"same_lower"``, ``"full"``, ``"causal"``. For a window of several axes a
        sequence has one entry an axis.
    ceil_mode : bool
        Also count a last place that hangs over the end, as pooling may.

    Raises
    ------
    WindowError
        For a bool, a float, a negative or an absurdly large number, an unknown name, or
        sequences of different lengths.

    Examples
    --------
    >>> import faltung as ft
    >>> window = ft.Window(3, stride=2, padding=1)
    >>> window.output_size(7), window.input_size(4), window.footprint(1)
    (4, range(7, 9), (1, 2, 3))
    >>> window.then(ft.Window(3)).receptive_field
    7
    >>> ft.Window((7, 7), stride=2, padding="same").resolve((224, 224))
    ((2, 3), (2, 3))
    """

    __slots__ = ("_is_scalar", "_text", "axes")

    axes: tuple[AxisGeometry, ...]
    _is_scalar: bool
    _text: str

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints = 1,
        dilation: Ints = 1,
        padding: Padding = 0,
        ceil_mode: bool = False,
    ) -> None:
        try:
            self._set(kernel_size, stride, dilation, padding, ceil_mode)
        except WindowError as error:
            raise error.at("Window") from None

    def _set(
        self, kernel_size: Ints, stride: Ints, dilation: Ints, padding: Padding, ceil_mode: bool
    ) -> None:
        if not isinstance(ceil_mode, bool):
            raise WindowError(f"ceil_mode is {shown(ceil_mode)}, expected True or False")
        rank = length_of(kernel_size, stride, dilation)
        pair = rank is None and length_of(padding) == 2
        padding_rank = None if pair else length_of(padding)
        axes = axis_windows(
            rank or padding_rank or 1,
            kernel_size,
            stride,
            dilation,
            (padding,) if pair else padding,
            ceil_mode,
        )
        text = (
            f"Window({kernel_size!r}, stride={stride!r}, dilation={dilation!r}, "
            f"padding={padding!r}, ceil_mode={ceil_mode!r})"
        )
        self.__setstate__((axes, rank is None and padding_rank is None, text))

    @property
    def kernel_size(self) -> PerAxis:
        """Taps of the window."""
        return self._each(lambda axis: axis.kernel)

    @property
    def stride(self) -> PerAxis:
        """Cells between neighbouring places."""
        return self._each(lambda axis: axis.stride)

    @property
    def dilation(self) -> PerAxis:
        """Cells between neighbouring taps."""
        return self._each(lambda axis: axis.dilation)

    @property
    def padding(self) -> PerAxis:
        """The ``(before, after)`` pair, or the name where the padding depends on the input."""
        return self._each(lambda axis: axis.padding)

    def _each(self, ask: Callable[..., Result], *values: object) -> PerAxis:
        """Ask every axis; `values` hold for all axes or have one entry an axis."""
        try:
            columns = [self._column(value) for value in values]
            answers = tuple(ask(axis, *row) for axis, *row in zip(self.axes, *columns, strict=True))
        except WindowError as error:
            raise error.at(repr(self)) from None
        return answers[0] if self._is_scalar else answers

    def _column(self, value: object) -> Sequence[object]:
        value = unpacked(value)
        if isinstance(value, tuple | list):
            if len(value) != len(self.axes):
                raise WindowError(
                    f"{shown(value)} has {len(value)} entries, the window {len(self.axes)} axes",
                    "Pass one int for n or i, or one an axis",
                )
            return value
        return (value,) * len(self.axes)

    def output_size(self, n: Ints) -> PerAxis:
        """The number of places for `n` input cells; raises `WindowError` where there is none."""
        return self._each(lambda axis, m: axis.output_size(as_int(m, "n", 0)), n)

    def input_size(self, n: Ints) -> PerAxis:
        """The `range` of input sizes that give `n` outputs; empty where none does."""
        return self._each(lambda axis, m: axis.input_size(as_int(m, "n")), n)

    def padding_for(self, n: Ints, output: Ints) -> PerAxis:
        """The least ``(before, after)`` with which `n` cells give `output` places."""

        def ask(axis: AxisGeometry, size: object, outputs: object) -> tuple[int, int]:
            if not isinstance(axis, AxisWindow):
                raise WindowError("padding_for asks one window, this is a composition of several")
            return axis.padding_for(as_int(size, "n", 0), as_int(outputs, "output"))

        return self._each(ask, n, output)

    def resolve(self, n: Ints) -> PerAxis:
        """The ``(before, after)`` padding of an input of `n` cells, named padding as numbers."""
        return self._each(lambda axis, m: axis.resolve(as_int(m, "n", 0)), n)

    def footprint(self, i: Ints, n: Ints | None = None) -> PerAxis:
        """The input positions that output `i` sees, as a tuple an axis.

        Without `n`, positions on the padding are included: negative ones before the input. With
        the input size `n`, only cells of the input are.
        """

        def ask(axis: AxisGeometry, place: object, size: object) -> tuple[int, ...]:
            return axis.footprint(
                as_int(place, "i", 0), None if size is None else as_int(size, "n", 0)
            )

        return self._each(ask, i, n)

    @property
    def receptive_field(self) -> PerAxis:
        """Cells from the first to the last that one output sees: ``d * (k - 1) + 1``."""
        return self._each(lambda axis: axis.span)

    @property
    def jump(self) -> PerAxis:
        """Cells between the receptive fields of neighbouring outputs; the stride."""
        return self.stride

    def then(self, other: Window) -> Window:
        """Compose with a window on the outputs: one window on the input of the first."""
        if not isinstance(other, Window):
            raise WindowError(
                f"then expects a Window, got {shown(other)}", "Pass Window(kernel_size)"
            ).at(repr(self))
        ranks = {len(window.axes) for window in (self, other) if not window._is_scalar}
        if len(ranks) > 1:
            raise WindowError(
                f"windows of {len(self.axes)} and {len(other.axes)} axes do not join",
                "Give both one entry an axis, or one of them ints for all",
            ).at(repr(self))
        rank = ranks.pop() if ranks else 1
        chain = object.__new__(Window)
        axes = tuple(
            AxisChain(first, second)
            for first, second in zip(self._spread(rank), other._spread(rank), strict=True)
        )
        is_scalar = self._is_scalar and other._is_scalar
        chain.__setstate__((axes, is_scalar, f"{self!r}.then({other!r})"))
        return chain

    def _spread(self, rank: int) -> tuple[AxisGeometry, ...]:
        return self.axes * rank if self._is_scalar else self.axes

    def __getstate__(self) -> tuple[Any, ...]:
        return self.axes, self._is_scalar, self._text

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        for name, value in zip(("axes", "_is_scalar", "_text"), state, strict=True):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("Window is immutable, make a new one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("Window is immutable, make a new one")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Window):
            return NotImplemented
        return (self.axes, self._is_scalar) == (other.axes, other._is_scalar)

    def __hash__(self) -> int:
        return hash((self.axes, self._is_scalar))

    def __repr__(self) -> str:
        return self._text
