"""`InvolutionLayer`: an involution whose kernels are generated from its input.

Average pooling for the stride, a convolution that reduces the channels, one that spans the kernels:
the `Sequential` of these is the layer's generator. What it gives for a place is the kernel there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, NoReturn, Self, cast

import numpy as np

from faltung._layer_faces import LayerFaces
from faltung._layer_parts import (
    HELD,
    chained_pullback,
    check_weights,
    checked_layout,
    checked_padding,
    count_groups,
    drawn_weights,
    joined_report,
    renaming,
    shown_layer,
    sized_conv,
)
from faltung._plotted import PlottedLayer
from faltung.classes import AvgPool, Conv, Involution
from faltung.config import Settings, current_settings
from faltung.draw.layer import DrawnLayer
from faltung.errors import FaltungError
from faltung.explanation import Explanation
from faltung.faces import Faces
from faltung.geometry.arguments import AMPLE, as_int, as_ints, length_of
from faltung.geometry.layout import Layout
from faltung.operators._arrays import Spec, as_array, as_shape, known_dtype
from faltung.operators._call import Bound, bind, finish
from faltung.operators._record import REGISTRY
from faltung.plans import _resources, _select
from faltung.plans._problem import Operands
from faltung.report import Report, describe
from faltung.sequential import Sequential
from faltung.typing import Array, ArrayLike, DTypeLike, Ints, Padding, Shape

__all__ = ["InvolutionLayer"]

KEPT = 64
"""Input shapes for which a layer keeps its plan."""


class InvolutionLayer(DrawnLayer, PlottedLayer, LayerFaces):
    r"""An involution that generates its kernels from the input, as in the paper.

    Parameters
    ----------
    reduce : array, shape (R, C, \*size)
        The weight of the convolution from C channels to R, with one tap (pointwise) or more. The
        number of spatial axes is ``reduce.ndim - 2``; C / R is the reduction ratio.
    span : array, shape (K \* G, R, \*size)
        The weight of the convolution that gives the kernels: groups outermost, then the
        ``K = prod(kernel_size)`` taps in row-major order.
    kernel_size : int or sequence of int
        Taps of the involution's window.
    groups : int
        Groups G of channels that share a kernel; divides C.
    stride : int or sequence of int
        Cells between neighbouring outputs. The input of the generator is averaged over as many,
        at the end over those that are left: n cells give ``ceil(n / stride)`` outputs.
    padding : int, sequence, or name, optional
        Of the involution, as in `conv`; by default ``(dilation * (k - 1)) // 2`` before, the rest
        after, so that windows are centred where the averages start. Numbers must add up to
        ``dilation * (k - 1)`` an axis.
    dilation : int or sequence of int
        Cells between neighbouring taps of the involution.
    padding_mode, padding_value
        The border of the involution, as in `involution`. The generator's is of zeros.
    reduce_bias, span_bias : arrays, shapes (R,) and (K \* G,), optional
        Biases of the two convolutions. A batch normalisation of a trained network is folded into
        `reduce` and `reduce_bias`.
    activation : {None, "relu"}
        What follows the reduction.
    data_format : {"channels_first", "channels_last"}
        Where the data has its channels.

    Raises
    ------
    ShapeError
        Weights that do not fit each other, the groups or the taps.
    WindowError
        Impossible kernel size, stride, dilation or padding.

    Notes
    -----
    ``y = involution(x, span * relu(reduce * avg_pool(x, stride)))``, with the convolutions padded
    to keep the size; `generator` is the chain that gives the kernels. It is not linear. The cost is
    that of the convolutions on the averaged input, and ``N * C * prod(out) * K`` multiply-adds.

    References
    ----------
    D. Li et al., "Involution: Inverting the Inherence of Convolution for Visual Recognition",
    arXiv:2103.06255, equation 6 and algorithm 1.

    Examples
    --------
    >>> import numpy as np, faltung as ft
    >>> layer = ft.InvolutionLayer.init(32, (7, 7), group_channels=16, stride=2, rng=0)
    >>> layer.output_shape((1, 32, 15, 20)), layer.groups, layer.reduction
    ((1, 32, 8, 10), 2, 4.0)
    """

    __slots__ = ("_kept", "_parameters", "_settings", "generator")

    generator: Sequential
    reduce: Array
    span: Array
    reduce_bias: Array | None
    span_bias: Array | None
    activation: str | None
    kernel_size: Shape
    groups: int
    stride: Shape
    data_format: str

    def __init__(
        self,
        reduce: ArrayLike,
        span: ArrayLike,
        *,
        kernel_size: Ints,
        groups: int,
        stride: Ints = 1,
        padding: Padding | None = None,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        padding_value: complex = 0,
        reduce_bias: ArrayLike | None = None,
        span_bias: ArrayLike | None = None,
        activation: str | None = None,
        data_format: str = "channels_first",
    ) -> None:
        with renaming():
            first = sized_conv("reduce", reduce, reduce_bias, data_format, activation)
            second = sized_conv("span", span, span_bias, data_format, None)
            rank = first.weight.ndim - 2
            kernel = as_ints(kernel_size, "kernel_size", rank)
            steps = as_ints(stride, "stride", rank)
            count = as_int(groups, "groups")
            check_weights(first.weight.shape, second.weight.shape, kernel, count)
            window = {
                "kernel_size": kernel,
                "stride": steps,
                "padding": checked_padding(kernel, steps, dilation, padding),
                "dilation": as_ints(dilation, "dilation", rank),
                "padding_mode": padding_mode,
                "padding_value": padding_value,
                "data_format": data_format,
            }
            parts: list[Faces] = [first, second]
            if max(steps) > 1:
                parts.insert(0, AvgPool(steps, ceil_mode=True, data_format=data_format))
            self._hold(Sequential(*parts), {"groups": count, **window}, current_settings())
            # An ample input finds what is wrong with the border.
            layout = Layout(rank, True, data_format == "channels_last")
            ample = layout.own_shape((1, self.channels, *(AMPLE,) * rank))
            self._bound(ample, first.weight.dtype, second.weight.dtype)

    def _hold(
        self, generator: Sequential, parameters: Mapping[str, Any], settings: Settings
    ) -> None:
        held = {"generator": generator, "_parameters": dict(parameters), "_settings": settings}
        for name, value in {**held, "_kept": {}}.items():
            object.__setattr__(self, name, value)

    @classmethod
    def init(
        cls,
        channels: int,
        kernel_size: Ints,
        *,
        groups: int | None = None,
        group_channels: int | None = None,
        reduction: int = 4,
        bias: bool = True,
        rng: Any = None,
        dtype: DTypeLike = np.float32,
        stride: Ints = 1,
        padding: Padding | None = None,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        padding_value: complex = 0,
        activation: str | None = None,
        data_format: str = "channels_first",
    ) -> Self:
        """A layer with random pointwise weights, drawn as `Conv.init` draws them.

        Parameters
        ----------
        channels : int
            Of the data.
        kernel_size : int or sequence of int
            Taps of the window; an int stands for two axes.
        groups, group_channels : int, optional
            Give one of them. By default groups have 16 channels as in the paper; there is one
            group where 16 does not divide the channels.
        reduction : int
            Channels for each one that `reduce` leaves.
        bias, rng, dtype
            As in `Conv.init`; the other parameters are those of the class.
        """
        with renaming("InvolutionLayer.init"):
            count = count_groups(as_int(channels, "channels"), groups, group_channels)
            kernel = as_ints(kernel_size, "kernel_size", length_of(kernel_size) or 2)
            reduced = max(channels // as_int(reduction, "reduction"), 1)
            widths = channels, reduced, prod(kernel) * count
            weights = drawn_weights(widths, len(kernel), bias=bias, rng=rng, dtype=dtype)
        return cls(
            **weights,
            kernel_size=kernel,
            groups=count,
            stride=stride,
            padding=padding,
            dilation=dilation,
            padding_mode=padding_mode,
            padding_value=padding_value,
            activation=activation,
            data_format=data_format,
        )

    @property
    def reduction(self) -> float:
        """Channels of the data for each one that `reduce` leaves."""
        return float(self.channels / self.reduce.shape[0])

    @property
    def channels(self) -> int:
        """Channels of the data."""
        return int(self.reduce.shape[1])

    @property
    def group_channels(self) -> int:
        """Channels that share a kernel."""
        return self.channels // self.groups

    @property
    def _convs(self) -> tuple[Conv, Conv]:
        first, second = self.generator.operators[-2:]
        return cast("Conv", first), cast("Conv", second)

    def __getattr__(self, name: str) -> Any:
        if name in HELD:
            place, attribute = HELD[name]
            return getattr(self._convs[place], attribute)
        if not name.startswith("_") and name in self._parameters:
            return self._parameters[name]
        raise AttributeError(f"InvolutionLayer has no attribute {name!r}")

    def __call__(self, x: ArrayLike, out: Array | None = None) -> Array:
        """Generate the kernels from x and apply them to it; `out` may overlap x."""
        with renaming():
            array, kernels = self._generated(x, self.generator)
            bound = self._bound(array.shape, array.dtype, kernels.dtype)
            if out is None:
                _resources.require_array(bound.shape, bound.problem.dtype, "the result")
            prepared = _select.prepare(bound.problem, bound.plan, Operands(kernels))
            return finish(bound, prepared, array, (kernels,), out)

    def output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the result for an input of this shape, without computing it."""
        with renaming():
            shape = as_shape(input_shape)
            layout = self._layout(shape)
            samples, channels, *cells = layout.canonical_shape(shape)
            return layout.own_shape((samples, channels, *self._outputs(cells)))

    def describe(self, input_shape: Shape, dtype: DTypeLike | None = None) -> Report:
        """Sizes and costs of the generator and the involution, without computing anything.

        The algorithms are those of all parts in turn; `workspace_bytes` includes the kernels.
        """
        with renaming():
            shape = as_shape(input_shape)
            self._layout(shape)
            kind = self.reduce.dtype if dtype is None else known_dtype(dtype)
            weights = [conv.weight.dtype for conv in self._convs]
            made = self.generator.describe(shape, kind)
            bound = self._bound(shape, kind, np.result_type(kind, *weights))
            kernels = Spec("weight", made.output_shape, bound.dtype)
            own = describe("Involution", bound, (kernels,), Spec("x", shape, kind))
            return joined_report(made, own, prod(kernels.shape) * kernels.dtype.itemsize)

    def reference(self, x: ArrayLike) -> Array:
        """The textbook loops of the parts, one after another, to read and to check."""
        with renaming():
            array, kernels = self._generated(x, self.generator.reference)
            return self._involution(kernels).reference(array)

    def vjp(self, x: ArrayLike) -> tuple[Array, Callable[[ArrayLike], dict[str, Array]]]:
        """The result, and its pullback: gradients after input, reduce, span and their biases."""
        with renaming():
            array = as_array(x, "x")
            layout = self._layout(array.shape)
            made, through = self.generator.vjp(array)
            kernels = self._in_groups(made, layout)
            y, around = self._involution(kernels).vjp(array)
        shape = layout.canonical_shape(made.shape)
        return y, chained_pullback(around, through, lambda k: layout.own(k.reshape(shape)))

    def _generated(self, x: ArrayLike, generate: Callable[[Array], Array]) -> tuple[Array, Array]:
        """The data as an array, and the kernels for it."""
        array = as_array(x, "x")
        layout = self._layout(array.shape)  # raises in the layer's own words
        return array, self._in_groups(generate(array), layout)

    def _involution(self, kernels: Array) -> Involution:
        """The operator with kernels that were generated, with the layer's settings."""
        made = self._convs[0]._made("involution", {"weight": kernels}, self._window())
        return cast("Involution", made)

    def _window(self) -> dict[str, Any]:
        return {name: value for name, value in self._parameters.items() if name != "groups"}

    def _in_groups(self, made: Array, layout: Layout) -> Array:
        """What the generator gives as kernels: (N, G, K, *out)."""
        canonical, taps = layout.canonical(made), prod(self.kernel_size)
        return canonical.reshape(len(canonical), self.groups, taps, *canonical.shape[2:])

    def _layout(self, shape: Shape) -> Layout:
        """The layout of data of this shape, whose channels and cells are checked."""
        return checked_layout(shape, len(self.stride), self.channels, self.data_format)

    def _outputs(self, cells: Sequence[int]) -> Shape:
        return tuple(-(-n // s) for n, s in zip(cells, self.stride, strict=True))

    def _bound(self, shape: Shape, dtype: np.dtype[Any], kernel_dtype: np.dtype[Any]) -> Bound:
        """The involution, bound to the data and to the kernels that are generated for it."""
        key = shape, dtype, kernel_dtype
        bound = self._kept.get(key)
        if bound is None:
            samples, _, *cells = self._layout(shape).canonical_shape(shape)
            kernels = samples, self.groups, prod(self.kernel_size), *self._outputs(cells)
            specs = {"x": Spec("x", shape, dtype), "weight": Spec("weight", kernels, kernel_dtype)}
            parameters = {**self._window(), "dtype": None, "algorithm": None}
            bound = bind(REGISTRY["involution"], specs, parameters, self._settings)
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[key] = bound
        return cast("Bound", bound)

    def explain(self, x: ArrayLike, index: tuple[int, ...]) -> Explanation:
        """The arithmetic behind one output, with the kernel that was generated for it."""
        with renaming():
            array, kernels = self._generated(x, self.generator)
            return self._involution(kernels).explain(array, index)

    def _dressed(self, error: FaltungError, shape: Shape | None = None) -> FaltungError:
        return type(error)(error.fact, error.advice, "InvolutionLayer")

    def __setattr__(self, name: str, value: object = None) -> NoReturn:
        raise AttributeError("InvolutionLayer is immutable, make a new one")

    __delattr__ = __setattr__

    def __repr__(self) -> str:
        held = {name: getattr(self, name) for name in HELD}
        return shown_layer({**held, **self._parameters})

    def _state(self) -> tuple[Any, ...]:
        # As text: a padding value of NaN equals itself, and True is not 1.
        return self.generator, repr(self._parameters), self._settings

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, InvolutionLayer):
            return NotImplemented
        return self._state() == other._state()

    def __hash__(self) -> int:
        return hash(self._state())

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.generator, self._parameters, self._settings)


def _rebuilt(
    generator: Sequential, parameters: Mapping[str, Any], settings: Settings
) -> InvolutionLayer:
    layer = object.__new__(InvolutionLayer)
    layer._hold(generator, parameters, settings)
    return layer
