"""`Fit`: a kernel that was learned from examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from faltung.classes import Conv
from faltung.plotting.fitted import plot_fit
from faltung.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Fit"]


@dataclass(frozen=True, eq=False)
class Fit:
    """A kernel that was learned.

    Attributes
    ----------
    weight : array, shape (O, C // groups, *kernel)
        The kernel.
    bias : array, shape (O,), or None
        The bias, where one was asked for.
    losses : array of float64
        By gradient descent the loss before each step and after the last one; by least squares the
        one of the result.
    conv : Conv
        The convolution with that weight and bias.
    """

    weight: Array
    bias: Array | None
    losses: Array
    conv: Conv

    def plot(self, ax: Axes | None = None) -> Array:
        """Draw the loss on a logarithmic scale, and the kernel beside it.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; the panels are put inside of it. A new figure by default.

        Returns
        -------
        array of Axes
            The first shows the losses, the others the kernels as `Operator.plot` does.

        Raises
        ------
        MissingExtraError
            Without Matplotlib, which the extra ``plot`` installs.

        Examples
        --------
        >>> import numpy as np, faltung as ft
        >>> x = np.arange(12.0).reshape(1, 12) ** 2
        >>> y = ft.conv(x, [[[1, -2, 1]]])
        >>> axes = ft.fit_kernel(x, y, (3,), method="sgd", steps=20, rng=0).plot()
        >>> axes[0].get_yscale(), len(axes[0].lines[0].get_ydata()), len(axes)
        ('log', 21, 2)
        """
        return plot_fit(self.losses, self.weight, ax)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Fit):
            return NotImplemented
        return self.conv == other.conv and np.array_equal(self.losses, other.losses)

    def __hash__(self) -> int:
        return hash(self.conv)
