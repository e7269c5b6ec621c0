"""`Sequential`: operators one after another, with the faces of an operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np

from faltung._case import Case, first
from faltung._chain import ChainAdjoint, ChainStream, Pullback, chain_coverage, check_axes
from faltung._plotted import PlottedChain
from faltung.chain_report import ChainReport
from faltung.errors import FaltungError, OptionError, shown
from faltung.explanation import Explanation
from faltung.faces import Faces
from faltung.operators._arrays import as_array
from faltung.report import Report
from faltung.typing import Array, ArrayLike, DTypeLike, IndexArray, Shape

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import LinearOperator

    from faltung.draw.choosing import Options
    from faltung.draw.shapes import Scene

__all__ = ["Sequential"]


class Sequential(PlottedChain, Faces):
    """Operators one after another: each is applied to what the one before it gives.

    It has the faces of an operator. `describe` is a table with a row for each operator, down
    which the receptive field grows; `matrix` is the product of the matrices; the gradients of
    `vjp` are named after the operator's place, such as ``"0.weight"``.

    Parameters
    ----------
    *operators : operator
        At least one; any operator, another chain included.

    Raises
    ------
    OptionError
        If there is none, or if something else than an operator is given.

    Examples
    --------
    >>> import numpy as np, faltung as ft
    >>> chain = ft.Sequential(ft.Conv([[[[1, -1]]]]), ft.MaxPool((2, 2)))
    >>> chain(np.arange(24).reshape(1, 1, 4, 6) ** 2)
    array([[[[ -1,  -5],
             [-25, -29]]]])
    >>> chain.output_shape((1, 1, 4, 6)), len(chain), chain[1]
    ((1, 1, 2, 2), 2, MaxPool(kernel_size=(2, 2)))
    """

    __slots__ = ("operators",)

    operators: tuple[Faces, ...]

    def __init__(self, *operators: Faces) -> None:
        for place, operator in enumerate(operators):
            if not isinstance(operator, Faces):
                raise OptionError(
                    f"operators[{place}] is {shown(operator)}, expected an operator",
                    "Pass objects such as Conv(weight) or MaxPool(2)",
                ).at("Sequential")
        if not operators:
            raise OptionError(
                "no operator was given, expected at least one", "Pass operators one by one"
            ).at("Sequential")
        object.__setattr__(self, "operators", operators)

    def __call__(self, x: ArrayLike) -> Array:
        """Apply the operators one after another; of a result with indices, the first element."""
        for place, operator in enumerate(self.operators):
            with _Place(self, place):
                x = first(operator(x))
        return as_array(x, "x")

    def shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """The shape of the input, and of what each operator gives."""
        shapes = [tuple(input_shape)]
        for place, operator in enumerate(self.operators):
            with _Place(self, place):
                shapes.append(operator.output_shape(shapes[-1]))
        return tuple(shapes)

    def output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the result for an input of this shape, without computing it."""
        return self.shapes(input_shape)[-1]

    def describe(self, input_shape: Shape, dtype: DTypeLike | None = None) -> Report:
        """Sizes and costs of every operator and of the whole, without computing anything.

        Parameters
        ----------
        input_shape : tuple of int
            As the data would have it, with or without a batch axis.
        dtype : dtype, optional
            Of the data; by default each operator takes that of its weights, or float32.
        """
        reports = []
        for place, (operator, shape) in enumerate(
            zip(self, self.shapes(input_shape), strict=False)
        ):
            with _Place(self, place):
                reports.append(operator.describe(shape, dtype))
        try:
            check_axes([len(report.receptive_field) for report in reports])
        except FaltungError as error:
            raise error.at("Sequential") from None
        return ChainReport.of(reports)

    def reference(self, x: ArrayLike) -> Array:
        """The textbook loops of the operators, one after another."""
        y = as_array(x, "x")
        for place, operator in enumerate(self.operators):
            with _Place(self, place):
                y = operator.reference(y)
        return y

    def vjp(self, x: ArrayLike) -> tuple[Array, Pullback]:
        """The result, and its pullback from a cotangent to the gradients after all arrays.

        The gradients of the operators' own arrays have the operator's place before their name:
        ``"0.weight"``; of a chain within, ``"2.0.weight"``. ``"input"`` is that of x.

        Examples
        --------
        >>> import faltung as ft
        >>> chain = ft.Sequential(ft.Conv([[[1.0, 2.0]]]), ft.AvgPool((2,)))
        >>> y, pullback = chain.vjp([[3.0, 5.0, 4.0]])
        >>> sorted(pullback([[2.0]]))
        ['0.weight', 'input']
        """
        pullbacks = []
        y = as_array(x, "x")
        for place, operator in enumerate(self.operators):
            with _Place(self, place):
                y, pullback = operator.vjp(y)
            pullbacks.append(pullback)

        def back(g: ArrayLike) -> dict[str, Array]:
            gradients: dict[str, Array] = {}
            for place, pullback in reversed(list(enumerate(pullbacks))):
                with _Place(self, place):
                    own = pullback(g)
                g = own.pop("input")
                gradients = {f"{place}.{name}": array for name, array in own.items()} | gradients
            return {"input": np.asarray(g), **gradients}

        return y, back

    def matrix(self, input_shape: Shape, dtype: DTypeLike | None = None) -> csr_array:
        """The product of the operators' matrices; see `Operator.matrix`."""
        product = None
        for place, (operator, shape) in enumerate(
            zip(self, self.shapes(input_shape), strict=False)
        ):
            with _Place(self, place):
                factor = operator.matrix(shape, dtype)
            product = factor if product is None else factor @ product
        return product

    def linear_operator(self, input_shape: Shape, dtype: DTypeLike | None = None) -> LinearOperator:
        """The linear part for SciPy's solvers, without a matrix; see `Operator.linear_operator`."""
        product = None
        for place, (operator, shape) in enumerate(
            zip(self, self.shapes(input_shape), strict=False)
        ):
            with _Place(self, place):
                factor = operator.linear_operator(shape, dtype)
            product = factor if product is None else factor @ product
        return product

    def adjoint(self, input_shape: Shape) -> Any:
        """The exact conjugate adjoint for inputs of one shape; see `Operator.adjoint`.

        A `Sequential` where every operator's adjoint is an operator of the family.
        """
        parts = []
        shapes = self.shapes(input_shape)
        for place, (operator, shape) in enumerate(zip(self, shapes, strict=False)):
            with _Place(self, place):
                parts.append(operator.adjoint(shape))
        if all(isinstance(part, Faces) for part in parts):
            return Sequential(*parts[::-1])
        return ChainAdjoint(parts[::-1], shapes[::-1])

    def _transpose(self) -> Sequential:
        parts = []
        for place, operator in enumerate(self.operators):
            with _Place(self, place):
                parts.append(operator.T)
        return Sequential(*parts[::-1])

    def coverage(self, input_shape: Shape, of: str = "input") -> IndexArray:
        """How many outputs each input cell takes part in, or how many cells reach each output.

        See `Operator.coverage`. Raises `OptionError` for operators whose windows are not products
        of their axes: `Unfold`, `Fold`, `MaxUnpool`, `InvolutionLayer`, structures with holes.
        """
        cases: list[Case] = []
        self._collect(tuple(input_shape), cases)
        try:
            return chain_coverage(cases, of)
        except FaltungError as error:
            raise error.at("Sequential") from None

    def _collect(self, shape: Shape, cases: list[Case]) -> None:
        """The cases of all operators, those of chains within included."""
        for place, (operator, own) in enumerate(zip(self, self.shapes(shape), strict=False)):
            with _Place(self, place):
                if isinstance(operator, Sequential):
                    operator._collect(own, cases)
                else:
                    cases.append(operator._geometry(own))

    def explain(self, x: ArrayLike, index: tuple[int, ...]) -> Explanation:
        """The arithmetic behind one output, in the last operator; see `Operator.explain`.

        What the operators before it give is its data; ``chain[0].explain`` tells theirs.
        """
        for operator, place in zip(self.operators[:-1], range(len(self)), strict=False):
            with _Place(self, place):
                x = first(operator(x))
        with _Place(self, len(self) - 1):
            return self.operators[-1].explain(x, index)

    def stream(self, axis: int = -1, length: int | None = None) -> ChainStream:  # type: ignore[override]
        """The chain along an axis that arrives in chunks; see `Operator.stream`.

        `length` is that of the chain's input; the operators' own follow from it.
        """
        return ChainStream(self, axis, length)

    def _still_scene(self, input_shape: Shape, x: Any, index: object, options: Options) -> Scene:
        from faltung.draw.chain import still_chain

        return still_chain(self, input_shape, x, index, options)

    def _moving_scene(self, data: object, frames: int, options: Options) -> Scene:
        from faltung.draw.chain import moving_chain

        return moving_chain(self, data, frames, options)

    def _spatial_axes(self, shape: Shape) -> range:
        return self.operators[0]._spatial_axes(shape)

    def _at(self, place: int) -> _Place:
        return _Place(self, place)

    def __len__(self) -> int:
        return len(self.operators)

    def __iter__(self) -> Any:
        return iter(self.operators)

    def __getitem__(self, place: int) -> Faces:
        return self.operators[place]

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("Sequential is immutable, make a new one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("Sequential is immutable, make a new one")

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.operators))})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequential):
            return NotImplemented
        return self.operators == other.operators

    def __hash__(self) -> int:
        return hash((Sequential, self.operators))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Sequential, self.operators

    def _dressed(self, error: FaltungError, shape: Shape | None = None) -> FaltungError:
        return error.at("Sequential", "" if shape is None else f"x {shape}")


class _Place:
    """Where in the chain an error comes from."""

    def __init__(self, chain: Sequential, place: int) -> None:
        self.chain, self.place = chain, place

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, FaltungError):
            name = error.operator or type(self.chain[self.place]).__name__
            where = f"Sequential, operator {self.place + 1} of {len(self.chain)}, {name}"
            if name.startswith("Sequential"):  # a chain within: its own words say where
                where = name
            raise type(error)(error.fact, error.advice, where, error.given) from error.__cause__
