"""The operators as classes: statements, for pickle, editors and type checkers."""

# Written by tools/sync.py from the operator records; edit those, not this file.

from __future__ import annotations

from typing import Any, Self

import numpy as np

from faltung.bound import Operator
from faltung.operators import (  # noqa: F401
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    conv,
    conv_transpose,
    fold,
    involution,
    local_conv,
    lp_pool,
    max_pool,
    max_unpool,
    morphology,
    pad,
    resize,
    unfold,
    window_reduce,
)
from faltung.typing import Array, ArrayLike, DTypeLike, Ints, OutputSize, Padding

__all__ = [
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "AvgPool",
    "Conv",
    "ConvTranspose",
    "Dilate",
    "Erode",
    "Fold",
    "Involution",
    "LocalConv",
    "LpPool",
    "MaxPool",
    "MaxUnpool",
    "Pad",
    "Resize",
    "Unfold",
    "WindowReduce",
]


class AdaptiveAvgPool(Operator):
    """`adaptive_avg_pool` with all but the data bound; see there for the arguments."""

    __slots__ = ()
    name = "adaptive_avg_pool"

    output_size: OutputSize
    algorithm: str | None
    data_format: str

    def __init__(
        self,
        output_size: OutputSize,
        *,
        algorithm: str | None = None,
        data_format: str = "channels_first",
    ) -> None:
        self._hold(
            {}, {"output_size": output_size, "algorithm": algorithm, "data_format": data_format}
        )


class AdaptiveMaxPool(Operator):
    """`adaptive_max_pool` with all but the data bound; see there for the arguments."""

    __slots__ = ()
    name = "adaptive_max_pool"

    output_size: OutputSize
    return_indices: bool
    algorithm: str | None
    data_format: str

    def __init__(
        self,
        output_size: OutputSize,
        *,
        return_indices: bool = False,
        algorithm: str | None = None,
        data_format: str = "channels_first",
    ) -> None:
        self._hold(
            {},
            {
                "output_size": output_size,
                "return_indices": return_indices,
                "algorithm": algorithm,
                "data_format": data_format,
            },
        )


class AvgPool(Operator):
    """`avg_pool` with all but the data bound; see there for the arguments."""

    __slots__ = ()
    name = "avg_pool"

    kernel_size: Ints
    stride: Ints | None
    padding: Padding
    dilation: Ints
    ceil_mode: bool
    count_include_pad: bool
    divisor_override: int | None
    algorithm: str | None
    data_format: str

    def __init__(
        self,
        kernel_size: Ints,
        *,
        stride: Ints | None = None,
        padding: Padding = 0,
        dilation: Ints = 1,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        algorithm: str | None = None,
        data_format: str = "channels_first",
    ) -> None:
        self._hold(
            {},
            {
                "kernel_size": kernel_size,
                "stride": stride,
                "padding": padding,
                "dilation": dilation,
                "ceil_mode": ceil_mode,
                "count_include_pad": count_include_pad,
                "divisor_override": divisor_override,
                "algorithm": algorithm,
                "data_format": data_format,
            },
        )


class Conv(Operator):
    """`conv` with all but the data bound; see there for the arguments."""

    __slots__ = ()
    name = "conv"

    weight: Array
    bias: Array | None
    stride: Ints
    padding: Padding
    dilation: Ints
    groups: int
    padding_mode: str
    padding_value: complex
    flip: bool
    precision: str | None
    algorithm: str | None
    data_format: str
    activation: str | None

    def __init__(
        self,
        weight: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: int = 1,
        padding_mode: str = "zeros",
        padding_value: complex = 0,
        flip: bool = False,
        precision: str | None = None,
        algorithm: str | None = None,
        data_format: str = "channels_first",
        activation: str | None = None,
    ) -> None:
        self._hold(
            {"weight": weight, "bias": bias},
            {
                "stride": stride,
                "padding": padding,
                "dilation": dilation,
                "groups": groups,
                "padding_mode": padding_mode,
                "padding_value": padding_value,
                "flip": flip,
                "precision": precision,
                "algorithm": algorithm,
                "data_format": data_format,
                "activation": activation,
            },
        )

    @classmethod
    def init(
        cls,
        out_channels: int,
        in_channels: int,
        kernel_size: Ints,
        *,
        groups: int = 1,
        bias: bool = True,
        rng: Any = None,
        dtype: DTypeLike = np.float32,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        padding_value: complex = 0,
        flip: bool = False,
        precision: str | None = None,
        algorithm: str | None = None,
        data_format: str = "channels_first",
        activation: str | None = None,
    ) -> Self:
        """Random weights, uniform within ``1 / sqrt(channels per group * taps)``."""
        return cls(
            **cls._draw(
                out_channels=out_channels,
                in_channels=in_channels,
                kernel_size=kernel_size,
                groups=groups,
                bias=bias,
                rng=rng,
                dtype=dtype,
            ),
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            padding_mode=padding_mode,
            padding_value=padding_value,
            flip=flip,
            precision=precision,
            algorithm=algorithm,
            data_format=data_format,
            activation=activation,
        )


class ConvTranspose(Operator):
    """`conv_transpose` with all but the data bound; see there for the arguments."""

    __slots__ = ()
    name = "conv_transpose"

    weight: Array
    bias: Array | None
    stride: Ints
    padding: Padding
    output_padding: Ints
    output_size: Ints | None
    dilation: Ints
    groups: int
    padding_mode: str
    flip: bool
    precision: str | None
    algorithm: str | None
    data_format: str

    def __init__(
        self,
        weight: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        stride: Ints = 1,
        padding: Padding = 0,
        output_padding: Ints = 0,
        output_size: Ints | None = None,
        dilation: Ints = 1,
        groups: int = 1,
        padding_mode: str = "zeros",
        flip: bool = False,
        precision: str | None = None,
        algorithm: str | None = None,
        data_format: str = "channels_first",
    ) -> None:
        self._hold(
            {"weight": weight, "bias": bias},
            {
                "stride": stride,
                "padding": padding,
                "output_padding": output_padding,
                "output_size": output_size,
                "dilation": dilation,
                "groups": groups,
                "padding_mode": padding_mode,
                "flip": flip,
                "precision": precision,
                "algorithm": algorithm,
                "data_format": data_format,
            },
        )


class Dilate(Operator):
    """`dilate` with all but the data bound; see there for the arguments."""

    __slots__ = ()
    name = "dilate"

    structure: Array
    stride: Ints
    padding: Padding
    dilation: Ints
    algorithm: str | None
    data_format: str

    def __init__(
        self,
        structure: ArrayLike,
        *,
        stride: Ints = 1,
        padding: Padding = "same",
        dilation: Ints = 1,
        algorithm: str | None = None,
        data_format: str = "channels_first",
    ) -> None:
        self._hold(
            {"structure": structure},
            {
                "stride": stride,
                "padding": padding,
                "dilation": dilation,
                "algorithm": algorithm,
                "data_format": data_format,
            },
        )


class Erode(Operator):
    """`erode` with all but the data bound; see there for the arguments."""

    __slots__ = ()
    name = "erode"

    structure: Array
    stride: Ints
    padding: Padding
    dilation: Ints
    algorithm: str | None
    data_format: str

    def __init__(
        self,
        structure: ArrayLike,
        *,
        stride: Ints = 1,
        padding: Padding = "same",
        dilation: Ints = 1,
        algorithm: str | None = None,
        data_format: str = "channels_first",
    ) -> None:
        self._hold(
            {"structure": structure},
            {
                "stride": stride,
                "padding": padding,
                "dilation": dilation,
                "algorithm": algorithm,
                "data_format": data_format,
            },
        )


class Fold(Operator):
    """`fold` with all but the data bound; see there for the arguments."""

    __slots__ = ()
    name = "fold"

    output_size: Ints
    kernel_size: Ints
    stride: Ints
    padding: Padding
    dilation: Ints
    algorithm: str | None
    data_format: str

    def __init__(
        self,
        output_size: Ints,
        kernel_size: Ints,
        *,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        algorithm: str | None = None,
        data_format: str = "channels_first",
    ) -> None:
        self._hold(
            {},
            {
                "output_size": output_size,
                "kernel_size": kernel_size,
                "stride": stride,
                "padding": padding,
                "dilation": dilation,
                "algorithm": algorithm,
                "data_format": data_format,
            },
        )


class Involution(Operator):
    """`involution` with all but the data bound; see there for the arguments."""

    __slots__ = ()
    name = "involution"

    weight: Array
    kernel_size: Ints
    stride: Ints
    padding: Padding
    dilation: Ints
    padding_mode: str
    padding_value: complex
    algorithm: str | None
    data_format: str

    def __init__(
        self,
        weight: ArrayLike,
        *,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        padding_value: complex = 0,
        algorithm: str | None = None,
        data_format: str = "channels_first",
    ) -> None:
        self._hold(
            {"weight": weight},
            {
                "kernel_size": kernel_size,
                "stride": stride,
                "padding": padding,
                "dilation": dilation,
                "padding_mode": padding_mode,
                "padding_value": padding_value,
                "algorithm": algorithm,
                "data_format": data_format,
            },
        )


class LocalConv(Operator):
    """`local_conv` with all but the data bound; see there for the arguments."""

    __slots__ = ()
    name = "local_conv"

    weight: Array
    bias: Array | None
    kernel_size: Ints
    stride: Ints
    padding: Padding
    dilation: Ints
    groups: int
    padding_mode: str
    padding_value: complex
    algorithm: str | None
    data_format: str

    def __init__(
        self,
        weight: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: int = 1,
        padding_mode: str = "zeros",
        padding_value: complex = 0,
        algorithm: str | None = None,
        data_format: str = "channels_first",
    ) -> None:
        self._hold(
            {"weight": weight, "bias": bias},
            {
                "kernel_size": kernel_size,
                "stride": stride,
                "padding": padding,
                "dilation": dilation,
                "groups": groups,
                "padding_mode": padding_mode,
                "padding_value": padding_value,
                "algorithm": algorithm,
                "data_format": data_format,
            },
        )


class LpPool(Operator):
    """`lp_pool` with all but the data bound; see there for the arguments."""

    __slots__ = ()
    name = "lp_pool"

    norm_type: float
    kernel_size: Ints
    stride: Ints | None
    padding: Padding
    dilation: Ints
    ceil_mode: bool
    algorithm: str | None
    data_format: str

    def __init__(
        self,
        norm_type: float,
        kernel_size: Ints,
        *,
        stride: Ints | None = None,
        padding: Padding = 0,
        dilation: Ints = 1,
        ceil_mode: bool = False,
        algorithm: str | None = None,
        data_format: str = "channels_first",
    ) -> None:
        self._hold(
            {},
            {
                "norm_type": norm_type,
                "kernel_size": kernel_size,
                "stride": stride,
                "padding": padding,
                "dilation": dilation,
                "ceil_mode": ceil_mode,
                "algorithm": algorithm,
                "data_format": data_format,
            },
        )


class MaxPool(Operator):
    """`max_pool` with all but the data bound; see there for the arguments."""

    __slots__ = ()
    name = "max_pool"

    kernel_size: Ints
    stride: Ints | None
    padding: Padding
    dilation: Ints
    ceil_mode: bool
    return_indices: bool
    algorithm: str | None
    data_format: str

    def __init__(
        self,
        kernel_size: Ints,
        *,
        stride: Ints | None = None,
        padding: Padding = 0,
        dilation: Ints = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
        algorithm: str | None = None,
        data_format: str = "channels_first",
    ) -> None:
        self._hold(
            {},
            {
                "kernel_size": kernel_size,
                "stride": stride,
                "padding": padding,
                "dilation": dilation,
                "ceil_mode": ceil_mode,
                "return_indices": return_indices,
                "algorithm": algorithm,
                "data_format": data_format,
            },
        )


class MaxUnpool(Operator):
    """`max_unpool` with all but the data bound; see there for the arguments."""

    __slots__ = ()
    name = "max_unpool"

    indices: Array
    kernel_size: Ints
    stride: Ints | None
    padding: Padding
    output_size: Ints | None
    algorithm: str | None
    data_format: str

    def __init__(
        self,
        indices: ArrayLike,
        kernel_size: Ints,
        *,
        stride: Ints | None = None,
        padding: Padding = 0,
        output_size: Ints | None = None,
        algorithm: str | None = None,
        data_format: str = "channels_first",
    ) -> None:
        self._hold(
            {"indices": indices},
            {
                "kernel_size": kernel_size,
                "stride": stride,
                "padding": padding,
                "output_size": output_size,
                "algorithm": algorithm,
                "data_format": data_format,
            },
        )


class Pad(Operator):
    """`pad` with all but the data bound; see there for the arguments."""

    __slots__ = ()
    name = "pad"

    padding: Padding
    mode: str
    value: complex
    algorithm: str | None
    data_format: str

    def __init__(
        self,
        padding: Padding,
        mode: str = "zeros",
        value: complex = 0,
        *,
        algorithm: str | None = None,
        data_format: str = "channels_first",
    ) -> None:
        self._hold(
            {},
            {
                "padding": padding,
                "mode": mode,
                "value": value,
                "algorithm": algorithm,
                "data_format": data_format,
            },
        )


class Resize(Operator):
    """`resize` with all but the data bound; see there for the arguments."""

    __slots__ = ()
    name = "resize"

    size: Ints | None
    scale_factor: Any
    mode: str
    align_corners: bool
    antialias: bool
    algorithm: str | None
    data_format: str

    def __init__(
        self,
        size: Ints | None = None,
        *,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool = False,
        antialias: bool = False,
        algorithm: str | None = None,
        data_format: str = "channels_first",
    ) -> None:
        self._hold(
            {},
            {
                "size": size,
                "scale_factor": scale_factor,
                "mode": mode,
                "align_corners": align_corners,
                "antialias": antialias,
                "algorithm": algorithm,
                "data_format": data_format,
            },
        )


class Unfold(Operator):
    """`unfold` with all but the data bound; see there for the arguments."""

    __slots__ = ()
    name = "unfold"

    kernel_size: Ints
    stride: Ints
    padding: Padding
    dilation: Ints
    padding_mode: str
    padding_value: complex
    algorithm: str | None
    data_format: str

    def __init__(
        self,
        kernel_size: Ints,
        *,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        padding_value: complex = 0,
        algorithm: str | None = None,
        data_format: str = "channels_first",
    ) -> None:
        self._hold(
            {},
            {
                "kernel_size": kernel_size,
                "stride": stride,
                "padding": padding,
                "dilation": dilation,
                "padding_mode": padding_mode,
                "padding_value": padding_value,
                "algorithm": algorithm,
                "data_format": data_format,
            },
        )


class WindowReduce(Operator):
    """`window_reduce` with all but the data bound; see there for the arguments."""

    __slots__ = ()
    name = "window_reduce"

    kernel_size: Ints
    reduction: Any
    stride: Ints
    padding: Padding
    dilation: Ints
    padding_mode: str
    padding_value: complex
    algorithm: str | None
    data_format: str

    def __init__(
        self,
        kernel_size: Ints,
        reduction: Any,
        *,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        padding_value: complex = 0,
        algorithm: str | None = None,
        data_format: str = "channels_first",
    ) -> None:
        self._hold(
            {},
            {
                "kernel_size": kernel_size,
                "reduction": reduction,
                "stride": stride,
                "padding": padding,
                "dilation": dilation,
                "padding_mode": padding_mode,
                "padding_value": padding_value,
                "algorithm": algorithm,
                "data_format": data_format,
            },
        )
