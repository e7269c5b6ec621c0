"""Kernels learned from examples: by least squares, or step by step by gradient descent."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, prod
from typing import Any, cast

import numpy as np

from faltung._door import door
from faltung._examples import Examples
from faltung._fitted import Fit
from faltung.classes import Conv
from faltung.errors import DTypeError, OptionError, ShapeError, shown
from faltung.geometry.arguments import as_int
from faltung.operators._arrays import as_array
from faltung.operators._checks import as_flag
from faltung.plans import _resources
from faltung.typing import Array, ArrayLike, Ints, Padding

__all__ = ["Fit", "fit_kernel"]

METHODS = ("lstsq", "sgd")
LOSSES = ("mean", "sum")
STEPS = 200


@door
def fit_kernel(
    x: ArrayLike,
    y: ArrayLike,
    kernel_size: Ints,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    bias: bool = False,
    method: str = "lstsq",
    loss: str = "mean",
    initial: ArrayLike | None = None,
    rng: Any = None,
    lr: float | None = None,
    steps: int = STEPS,
    ridge: float = 0.0,
) -> Fit:
    r"""The kernel with which a convolution of x comes closest to y.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        Inputs. With an int as `kernel_size` the number of spatial axes is ``x.ndim - 2``.
    y : array, shape (N, O, \*out) or (O, \*out)
        What the convolution of x should give.
    kernel_size : int or sequence of int
        Taps of the window.
    stride, padding, dilation, groups
        Those of the convolution, as in `conv`.
    bias : bool
        Also learn a number that is added to each output channel.
    method : {"lstsq", "sgd"}
        Least squares in one go, or gradient descent on all of the data: `steps` steps of size
        `lr` from `initial` or, without it, from random numbers.
    loss : {"mean", "sum"}
        Of the squared differences; ``ridge * sum(|weight| ** 2)`` is added.
    initial : array, optional
        The weight that gradient descent starts from.
    rng : int or numpy.random.Generator, optional
        Draws the start where there is no `initial`.
    lr : float, optional
        The step size of gradient descent; by default the inverse of the largest curvature, with
        which the loss never rises.
    steps : int
        How many steps gradient descent takes.
    ridge : float
        How strongly large weights are punished; makes up for data that says too little.

    Returns
    -------
    Fit
        With `weight`, `bias`, `losses` and `conv`. Weights have the joint float dtype of x and y.

    Raises
    ------
    ShapeError
        If y is not of the shape that the convolution gives.
    OptionError
        An unknown method or loss, numbers that are not finite, or data that does not determine
        the kernel.
    WindowError
        An impossible kernel size, stride, dilation, padding or number of steps.

    Notes
    -----
    Least squares solves the normal equations ``(A^H A) w = A^H y``, where a row of A is a window:
    they are summed in float64 over blocks of at most 16 MiB, so A itself is never made.

    References
    ----------
    Å. Björck, "Numerical Methods for Least Squares Problems", SIAM 1996, section 2.2.

    Examples
    --------
    Which kernel finds the edges of a bar?

    >>> import numpy as np, faltung as ft
    >>> bar = np.ones((1, 6, 8))
    >>> bar[:, :, 2:6] = 0
    >>> edges = ft.conv(bar, [[[[1, -1]]]])
    >>> ft.fit_kernel(bar, edges, (1, 2)).weight.round(6)
    array([[[[ 1., -1.]]]])
    >>> learned = ft.fit_kernel(bar, edges, (1, 2), method="sgd", lr=0.5, steps=100, rng=0)
    >>> learned.weight.round(3), len(learned.losses)
    (array([[[[ 1., -1.]]]]), 101)
    """
    data = Examples.of(x, y, kernel_size, stride, padding, dilation, groups)
    has_bias = as_flag(bias, "bias")
    weight_of = _number(ridge, "ridge", 0.0)
    _one_of(method, "method", METHODS)
    scale = 1.0 / max(data.y.size, 1) if _one_of(loss, "loss", LOSSES) == "mean" else 1.0
    if method == "lstsq":
        for name, value in (("initial", initial), ("rng", rng), ("lr", lr)):
            if value is not None:
                raise OptionError(
                    f"{name} is given, which is for method 'sgd'", f"Leave {name} out"
                )
        weight, offset = _least_squares(data, has_bias, weight_of, scale)
        losses = [_loss(data, weight, offset, weight_of, scale)]
    else:
        start = _start(data, initial, rng)
        size = None if lr is None else _number(lr, "lr", 0.0)
        descent = _Descent(data, has_bias, weight_of, scale, size)
        count = as_int(steps, "steps", 0)
        with np.errstate(over="ignore", invalid="ignore"):  # told in words
            weight, offset, losses = descent.run(start, count)
    weight = weight.astype(data.dtype)
    held = None if offset is None else offset.astype(data.dtype)
    conv = Conv(weight, held, **data.window)
    return Fit(weight, held, np.array(losses), conv)


def _least_squares(
    data: Examples, has_bias: bool, ridge: float, scale: float
) -> tuple[Array, Array | None]:
    """Sum the normal equations block by block and solve them."""
    groups, taps = data.window["groups"], prod(data.shape[1:])
    filters, unknowns = data.shape[0] // groups, taps + has_bias
    _resources.require_array((groups, unknowns, unknowns), data.x.dtype, "the normal equations")
    gram = np.zeros((groups, unknowns, unknowns), data.x.dtype)
    right = np.zeros((groups, unknowns, filters), data.x.dtype)
    for columns, targets in data.blocks():
        for group, (rows, wanted) in enumerate(zip(columns, targets, strict=True)):
            # The product of a real matrix with its own transpose is computed by half.
            conjugate = rows.conj() if rows.dtype.kind == "c" else rows
            gram[group, :taps, :taps] += conjugate @ rows.T
            right[group, :taps] += conjugate @ wanted.T
        if has_bias:
            gram[:, taps, :taps] += columns.sum(axis=2)
            gram[:, taps, taps] += columns.shape[2]
            right[:, taps] += targets.sum(axis=2)
    if has_bias:
        gram[:, :taps, taps] = gram[:, taps, :taps].conj()
    punished = np.arange(taps)
    gram[:, punished, punished] += ridge / scale
    solved = np.stack([_solve(*pair) for pair in zip(gram, right, strict=True)])
    weight = solved[:, :taps].swapaxes(1, 2).reshape(data.shape)
    return weight, solved[:, taps].reshape(-1) if has_bias else None


def _solve(gram: Array, right: Array) -> Array:
    """Solve one group's equations, or say how much the data leaves open."""
    from scipy.linalg import eigh

    # Unknowns of very different size, as a bias beside weights, are brought to one scale.
    size = np.sqrt(np.abs(np.diagonal(gram)))
    size[size == 0] = 1
    values, vectors = eigh(gram / np.outer(size, size))
    least = len(values) * np.finfo(np.float64).eps * max(float(values[-1]), 0.0)
    known = int(np.count_nonzero(values > 4 * least))
    if known < len(values):
        raise OptionError(
            f"x does not determine the kernel: its windows tell {known} of {len(values)} numbers",
            "Use more, or more varied data, a smaller kernel_size, or ridge=1e-6",
        )
    turned = (vectors.conj().T @ (right / size[:, None])) / values[:, None]
    solved: Array = (vectors @ turned) / size[:, None]
    return solved


def _loss(data: Examples, weight: Array, bias: Array | None, ridge: float, scale: float) -> float:
    y = Conv(weight, bias, **data.window)(data.x)
    squares = float((np.abs(y - data.y) ** 2).sum())
    return scale * squares + ridge * float((np.abs(weight) ** 2).sum())


def _start(data: Examples, initial: ArrayLike | None, rng: Any) -> Array:
    if initial is None:
        generator = np.random.default_rng(rng)
        drawn = generator.normal(size=data.shape) / np.sqrt(max(prod(data.shape[1:]), 1))
        return np.asarray(drawn, data.x.dtype)
    start = as_array(initial, "initial")
    if start.shape != data.shape:
        raise ShapeError(f"initial has shape {start.shape}, expected {data.shape}")
    if start.dtype.kind == "c" and data.x.dtype.kind != "c":
        raise DTypeError(f"initial has dtype {start.dtype}, x and y are real", "Use real numbers")
    return start.astype(data.x.dtype)


@dataclass(frozen=True)
class _Descent:
    """Gradient descent on all of the data."""

    data: Examples
    has_bias: bool
    ridge: float
    scale: float
    size: float | None

    def run(self, weight: Array, steps: int) -> tuple[Array, Array | None, list[float]]:
        """The weight and bias after so many steps, and the loss before each and after the last."""
        data = self.data
        bias = np.zeros(data.shape[0], data.x.dtype) if self.has_bias else None
        size = self._safe_size(weight) if self.size is None else self.size
        losses: list[float] = []
        for _ in range(steps):
            self._require_finite(losses)
            y, pullback = Conv(weight, bias, **data.window).vjp(data.x)
            difference = y - data.y
            squares = float((np.abs(difference) ** 2).sum())
            losses.append(self.scale * squares + self.ridge * float((np.abs(weight) ** 2).sum()))
            gradients = pullback(2 * self.scale * difference)
            weight = weight - size * (gradients["weight"] + 2 * self.ridge * weight)
            if bias is not None:
                bias = bias - size * gradients["bias"]
        losses.append(_loss(data, weight, bias, self.ridge, self.scale))
        self._require_finite(losses)
        return weight, bias, losses

    def _require_finite(self, losses: list[float]) -> None:
        if losses and not isfinite(losses[-1]):
            raise OptionError(
                f"lr is {self.size}: the loss is {losses[0]:.3g} at first and {losses[-1]} after "
                f"{len(losses) - 1} steps",
                "Use a smaller lr, or leave it out, with which the loss never rises",
            )

    def _safe_size(self, weight: Array) -> float:
        """One over the largest curvature, found by the power method from a fixed start."""
        data, curvature = self.data, 0.0
        rng = np.random.default_rng(0)
        direction: Array = rng.normal(size=weight.shape).astype(weight.dtype)
        offset = np.ones(weight.shape[0], weight.dtype) if self.has_bias else None
        for _ in range(POWER_STEPS):
            length = _norm(direction, offset)
            if not length:
                break
            direction = direction / length
            offset = None if offset is None else offset / length
            y, pullback = Conv(direction, offset, **data.window).vjp(data.x)
            gradients = pullback(2 * self.scale * y)
            direction = gradients["weight"] + 2 * self.ridge * direction
            offset = gradients.get("bias")
            curvature = max(curvature, _norm(direction, offset))
        # The power method comes from below: a little less is safe.
        return 0.95 / curvature if curvature else 0.0


POWER_STEPS = 20


def _norm(weight: Array, bias: Array | None) -> float:
    squares = float((np.abs(weight) ** 2).sum())
    return float(np.sqrt(squares + (0.0 if bias is None else float((np.abs(bias) ** 2).sum()))))


def _one_of(value: object, name: str, known: tuple[str, ...]) -> str:
    if not (isinstance(value, str) and value in known):
        raise OptionError(
            f"{name} is {shown(value)}, which is not known",
            f"Use one of {', '.join(map(repr, known))}",
        )
    return value


def _number(value: object, name: str, least: float) -> float:
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not isfinite(cast("float", value)) or cast("float", value) < least:
        raise OptionError(f"{name} is {shown(value)}, expected a number of at least {least:g}")
    return float(cast("float", value))
