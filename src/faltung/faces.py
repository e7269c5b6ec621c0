"""`Faces`: the methods that operators have beyond being applied.

Each method is one call of a function that is generic over all operators, loaded when it is first
used; what it needs to know of the operator is a `faltung._case.Case`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from faltung._case import Case, face
from faltung._plotted import Plotted
from faltung.draw.face import Drawn
from faltung.errors import FaltungError
from faltung.operators._arrays import as_array
from faltung.typing import Array, ArrayLike, DTypeLike, IndexArray, Shape

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import LinearOperator

    from faltung.explanation import Explanation
    from faltung.report import Report
    from faltung.stream import Stream

__all__ = ["Faces"]


class Faces(Drawn, Plotted):
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

    def _geometry(self, input_shape: Shape, dtype: DTypeLike | None = None) -> Case:
        """The same, without those arrays of which it holds shapes alone."""
        raise NotImplementedError

    def _probe_shape(self) -> Shape:
        """The shape of an input that fits, as large as possible."""
        raise NotImplementedError

    def _made(self, name: str, operands: Mapping[str, Any], parameters: Mapping[str, Any]) -> Any:
        """Another operator of the family, by its function."""
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
        from faltung.matrix import matrix

        return matrix(self._weighted_case(input_shape, dtype))

    @face
    def coverage(self, input_shape: Shape, of: str = "input") -> IndexArray:
        """How many outputs each input cell takes part in, or how many cells reach each output.

        Parameters
        ----------
        input_shape : tuple of int
            As the data would have it, with or without a batch axis.
        of : {"input", "output"}
            What is counted for: cells of the input, or outputs. For a transposed convolution
            ``"output"`` is the checkerboard: with a stride that does not divide the kernel, outputs
            are made of different numbers of inputs. It is the ``"input"`` of the adjoint.

        Returns
        -------
        array of int64
            With the spatial axes alone of the input or the output: samples and channels are
            alike, and filters are not counted. An output that sees a cell twice, at a border that
            repeats cells, counts once; `Unfold`, where each tap is an output, counts every tap.
            Taps with a weight of 0 count, those that a bool structure leaves out do not; for
            weights their shape is enough. The
            counts of `MaxUnpool`, which differ from plane to plane, are summed over all planes.

        Notes
        -----
        Both arrays have the same sum. Cells near a border take part in fewer outputs, unless the
        padding is full.

        Examples
        --------
        >>> import numpy as np, faltung as ft
        >>> ft.Conv(np.ones((1, 1, 3))).coverage((1, 6))
        array([1, 2, 3, 3, 2, 1])
        >>> ft.Conv(np.ones((1, 1, 3)), padding="full").coverage((1, 6))
        array([3, 3, 3, 3, 3, 3])
        >>> ft.ConvTranspose(np.ones((1, 1, 3)), stride=2).coverage((1, 4), of="output")
        array([1, 1, 2, 1, 2, 1, 2, 1, 1])
        """
        from faltung.coverage import coverage

        return coverage(self._geometry(input_shape), of)

    @face
    def explain(self, x: ArrayLike, index: tuple[int, ...]) -> Explanation:
        """The arithmetic behind one output: the window, the weights, each product, the sum.

        Parameters
        ----------
        x : array
            The data.
        index : tuple of int
            Of the output, in the result's own layout; negative numbers count from the end. Of a
            result with indices, in its first array.

        Returns
        -------
        Explanation
            Prints as text, and as HTML in notebooks; windows of more than 9 × 9 taps are shown in
            part. Its `total` is ``op(x)[index]`` up to rounding, its `terms` are all cells under
            the window, those on a border named as such.

        Raises
        ------
        PositionError
            For an index outside the result.

        Examples
        --------
        >>> import numpy as np, faltung as ft
        >>> blur = ft.Conv([[[1, 2, 1]]], padding="same", padding_mode="reflect")
        >>> print(blur.explain(np.array([[3, 5, 4, 4]]), (0, 0)))
        Conv: y[0, 0] = 16
        <BLANKLINE>
          channel 0, cells -1..1
            window         weight      product
             (5)  3   5     1  2  1     5  6  5
        <BLANKLINE>
          ( ) tap 0 at -1: border (reflect → cell 1)
        <BLANKLINE>
          sum of 3 products  16
        """
        from faltung.explanation import explain

        x = as_array(x, "x")
        return explain(self._case(x.shape, x.dtype), x, index)

    def _weighted_case(self, input_shape: Shape, dtype: DTypeLike | None) -> Case:
        """The operator bound to an input; without dtype and weights, to one of float64."""
        case = self._case(input_shape, dtype)
        has_weights = len(case.record.operands) > len(case.record.positions)
        return case if has_weights or dtype is not None else self._case(input_shape, "float64")

    @face
    def vjp(self, x: ArrayLike) -> tuple[Array, Callable[[ArrayLike], dict[str, Array]]]:
        r"""The result, and its pullback: from a cotangent to the gradients after all arrays.

        Parameters
        ----------
        x : array
            The data, of a float or complex dtype.

        Returns
        -------
        y : array
            The result of the operator; of a tuple, the first.
        pullback : callable
            ``pullback(g)`` with g of the shape of y gives a dict with the gradients of
            ``sum(g * y)``: ``input`` and, where the operator holds such arrays, ``weight`` (or
            ``structure``) and ``bias``. They have the shapes and dtypes of what they belong to.

        Raises
        ------
        DTypeError
            A result of integers, which has no gradient.
        OptionError
            A reduction that is a Python function.

        Notes
        -----
        Where results tie for the maximum, the first cell in row-major order gets all of the
        gradient; of NaNs, the last. At other corners it is a slope between those of both sides.
        For complex numbers, ``input`` is the conjugate adjoint of the linear map applied to g.
        Equal arrays give equal bits. What a border repeats is added to the cell that was read.

        Examples
        --------
        >>> import numpy as np, faltung as ft
        >>> y, pullback = ft.MaxPool((2,)).vjp(np.array([[3.0, 5, 7, 7]]))
        >>> pullback([[10.0, 20]])["input"]
        array([[ 0., 10., 20.,  0.]])
        """
        from faltung import gradient

        return gradient.vjp(self._case, self, x)

    @face
    def adjoint(self, input_shape: Shape) -> Any:
        r"""The exact conjugate adjoint for inputs of one shape: ``<A x, y> == <x, A^H y>``.

        Parameters
        ----------
        input_shape : tuple of int
            The shape of the operator's input, with or without a batch axis.

        Returns
        -------
        Operator or Adjoint
            What takes an array of the shape of the operator's result and gives one of
            `input_shape`: for `Conv` a `ConvTranspose` with the conjugate weight and for that a
            `Conv`, for `Fold` an `Unfold` and the reverse; else, and where a border repeats cells,
            an object that can be called, with ``output_shape()`` and ``adjoint()``. Bias and
            constants are left out, they have no part in the linear map.

        Raises
        ------
        NotLinearError
            If the operator is not linear; the message names those that are.

        Examples
        --------
        >>> import faltung as ft
        >>> ft.AvgPool((2,)).adjoint((1, 5))([[2.0, 4]])
        array([[1., 1., 2., 2., 0.]])
        """
        from faltung import adjoint

        return adjoint.adjoint(self._case, input_shape, self._made)

    @property
    def T(self) -> Any:  # noqa: N802
        """The plain transpose, where it is one operator for inputs of every shape.

        `Conv` with stride 1 gives a `ConvTranspose`, and that, like `Fold`, the operator that it
        is the transpose of; weights are not conjugated, bias and constants left out. Otherwise it
        raises `ShapeError`: the transpose then depends on the shape of the input, and
        ``adjoint(input_shape)`` gives it.

        Examples
        --------
        >>> import faltung as ft
        >>> ft.Conv([[[1, 2, 3]]]).T
        ConvTranspose(numpy.array([[[1, 2, 3]]], 'int64'))
        """
        return self._transpose()

    @face
    def _transpose(self) -> Any:
        from faltung import adjoint

        return adjoint.transpose(self._case(self._probe_shape()), self._made)

    @face
    def linear_operator(self, input_shape: Shape, dtype: DTypeLike | None = None) -> LinearOperator:
        r"""The linear part for SciPy's solvers, without a matrix.

        Parameters
        ----------
        input_shape : tuple of int
            As the data would have it, with or without a batch axis.
        dtype : dtype, optional
            Of the data; by default that of the weights, or float64 where there are none. Vectors
            of other dtypes are computed in the joint one.

        Returns
        -------
        scipy.sparse.linalg.LinearOperator, shape (cells of the output, cells of the input)
            Its products are exact adjoints of each other; ``op.matrix(input_shape)`` in other
            words.

        Raises
        ------
        NotLinearError
            If the operator is not linear; the message names those that are.

        Examples
        --------
        Undo a blur:

        >>> import numpy as np, faltung as ft
        >>> from scipy.sparse.linalg import lsmr
        >>> blur = ft.Conv([[[1.0, 2, 1]]], padding="full")
        >>> blurred = blur(np.array([[0.0, 4, 0, 2]]))
        >>> lsmr(blur.linear_operator((1, 4)), blurred.ravel())[0].round(6) + 0.0
        array([0., 4., 0., 2.])
        """
        from faltung import adjoint

        case = self._weighted_case(input_shape, dtype)
        return adjoint.linear_operator(self._case, case)

    @face
    def stream(self, axis: int = -1, length: int | None = None) -> Stream:
        """The operator along an axis that arrives in chunks of any length.

        Parameters
        ----------
        axis : int
            Of the spatial axes, the one that the chunks are cut along.
        length : int, optional
            Cells of all chunks together. Needed where the first outputs depend on it: padding
            ``"same"`` with a stride, `size=` of `Resize`, adaptive pooling, weights that belong to
            places.

        Returns
        -------
        Stream
            ``push(chunk)`` returns the outputs that the chunk completes, ``flush()`` those that
            are left; joined, they are the result for the joined chunks. Only the cells are kept
            that an output to come sees.

        Raises
        ------
        OptionError
            An axis that there is not; when the first chunk is pushed, a border that wraps around,
            an operator that has no order along an axis, or a `length` that is missing.

        Notes
        -----
        Under ``ft.reproducible()`` the bits are those of one call for all.

        Examples
        --------
        >>> import numpy as np, faltung as ft
        >>> stream = ft.Conv([[[1, 2, 3]]], padding="causal").stream()
        >>> [stream.push([chunk]).tolist() for chunk in ([1, 1], [], [1, 0, 0])]
        [[[3, 5]], [[]], [[6, 3, 1]]]
        >>> stream.flush().shape, stream.held
        ((1, 0), 2)
        """
        from faltung.stream import Stream

        return Stream(self._case, self._spatial_axes, axis, length, type(self).__name__)

    def _spatial_axes(self, shape: Shape) -> range:
        """Where data of this shape has its spatial axes."""
        raise NotImplementedError
