"""`Faces`: the methods that operators have beyond being applied.

Each method is one call of a function that is generic over all operators; what it needs to know of
the operator is a `faltung._case.Case`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from faltung._case import Case
from faltung.errors import FaltungError, out_of_memory
from faltung.matrix import matrix
from faltung.report import Report
from faltung.typing import Array, ArrayLike, DTypeLike, Shape

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Faces", "face"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def face(
    method: Callable[Concatenate[Any, Arguments], Result],
) -> Callable[Concatenate[Any, Arguments], Result]:
    """A method whose errors name the operator and the shapes of its arrays."""

    @wraps(method)
    def dressed(self: Any, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return method(self, *args, **kwargs)
        except FaltungError as error:
            raise self._dressed(error) from error.__cause__
        except MemoryError as error:
            raise self._dressed(out_of_memory(error)) from error

    return dressed  # type: ignore[return-value]  # `wraps` hides that the first one is `self`


class Faces:
    """What every operator can tell of itself for an input of some shape."""

    __slots__ = ()

    def __call__(self, x: ArrayLike) -> Any:
        """Apply the operator to data."""
        raise NotImplementedError

    def output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the result for an input of this shape, without computing it."""
        raise NotImplementedError

    def describe(self, input_shape: Shape, dtype: DTypeLike | None = None) -> Report:
        """Sizes, costs and the plan for an input of this shape, without computing anything."""
        raise NotImplementedError

    def reference(self, x: ArrayLike) -> Array:
        """The textbook loops, to read and to check."""
        raise NotImplementedError

    def _case(self, input_shape: Shape, dtype: DTypeLike | None = None) -> Case:
        """The operator bound to an input of this shape; raises where it holds shapes alone."""
        raise NotImplementedError

    def _dressed(self, error: FaltungError, shape: Shape | None = None) -> FaltungError:
        """The error with the operator's name and the shapes of its arrays."""
        raise NotImplementedError

    @face
    def matrix(self, input_shape: Shape, dtype: DTypeLike | None = None) -> csr_array:
        """The operator as a sparse matrix, for an input of this shape.

        ``op(x).ravel() == M @ x.ravel()`` up to rounding, apart from constants: the bias, and what
        a border of constant cells adds.

        Parameters
        ----------
        input_shape : tuple of int
            As the data would have it, with or without a batch axis.
        dtype : dtype, optional
            Of the data; by default that of the weights, or float64 where there are none. Matrices
            of 16-bit floats, which SciPy does not have, are float32.

        Returns
        -------
        scipy.sparse.csr_array, shape (cells of the output, cells of the input)
            In canonical format. An entry for every output and cell that are connected, also where
            the weight is 0: as many as `describe` counts in ``matrix_nonzeros``. Taps that show an
            output the same cell, at a border that repeats cells, are added; cells outside and
            blank windows have no entries.

        Raises
        ------
        NotLinearError
            If the operator is not linear; the message names those that are.
        ResourceError
            If the matrix does not fit into memory; `linear_operator` takes none.

        Examples
        --------
        >>> import faltung as ft
        >>> ft.Conv([[[1, -2, 1]]], padding="same", padding_mode="edge").matrix((1, 5)).toarray()
        array([[-1,  1,  0,  0,  0],
               [ 1, -2,  1,  0,  0],
               [ 0,  1, -2,  1,  0],
               [ 0,  0,  1, -2,  1],
               [ 0,  0,  0,  1, -1]])
        """
        return matrix(self._weighted_case(input_shape, dtype))

    def _weighted_case(self, input_shape: Shape, dtype: DTypeLike | None) -> Case:
        """The operator bound to an input; without dtype and weights, to one of float64."""
        case = self._case(input_shape, dtype)
        has_weights = len(case.record.operands) > len(case.record.positions)
        return case if has_weights or dtype is not None else self._case(input_shape, "float64")
