"""The report: what an operator costs on an input of some shape, without computing anything."""

from __future__ import annotations

from dataclasses import dataclass, fields
from html import escape
from math import prod
from typing import TYPE_CHECKING, Any

from faltung.operators._arrays import Spec
from faltung.operators._call import Bound
from faltung.plans._cost import shown_seconds
from faltung.plans._entries import count_entries
from faltung.plans._problem import Problem
from faltung.plans._select import Plan
from faltung.plotting.costs import plot_costs
from faltung.typing import Shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Report", "by", "describe"]


@dataclass(frozen=True)
class Report:
    """Sizes and costs of one operator on one input shape.

    Attributes
    ----------
    operator : str
        Its class name.
    input_shape, output_shape : tuple of int
        Shapes in the array's own layout.
    parameters : int
        Numbers that the operator holds: weights and biases.
    dense_parameters : int
        Numbers that a fully connected layer between the same cells of one sample would hold.
    macs : int
        Multiply-adds, the taps that fall on padding included; `macs_without_padding` leaves those
        out. `flops` is twice `macs`; `bias_adds` are counted apart.
    bytes_read, bytes_written : int
        Input and parameters; output.
    workspace_bytes : int
        Memory that the algorithm needs beside them, in one thread.
    intensity : float
        FLOPs for each byte read or written.
    matrix_shape : tuple of int or None
        Shape of the operator as a matrix, with `matrix_nonzeros` entries; None where it is not
        linear.
    receptive_field, receptive_jump, receptive_start : tuple of int
        On each axis: cells that one output sees from first to last, cells between neighbours,
        position of the first output's first cell.
    algorithm : str
        The algorithm that runs; `rejected` has each other one with the reason.
    predicted_seconds : float
        What the planner expects of it in one thread, on a machine of this instruction set.
    """

    operator: str
    input_shape: Shape
    output_shape: Shape
    parameters: int
    dense_parameters: int
    macs: int
    macs_without_padding: int
    flops: int
    bias_adds: int
    bytes_read: int
    bytes_written: int
    workspace_bytes: int
    intensity: float
    matrix_shape: tuple[int, int] | None
    matrix_nonzeros: int | None
    receptive_field: Shape
    receptive_jump: Shape
    receptive_start: Shape
    algorithm: str
    rejected: dict[str, str]
    predicted_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """All figures by name, as plain Python values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**values, "rejected": dict(self.rejected)}

    def _rows(self) -> list[tuple[str, str]]:
        rows = [
            ("parameters", f"{self.parameters:,}"),
            ("  of a dense layer", f"{self.dense_parameters:,}"),
            ("multiply-adds", f"{self.macs:,}"),
            ("  without padding", f"{self.macs_without_padding:,}"),
            ("FLOPs", f"{self.flops:,}"),
            ("bias additions", f"{self.bias_adds:,}"),
            ("bytes read", f"{self.bytes_read:,}"),
            ("bytes written", f"{self.bytes_written:,}"),
            ("workspace bytes", f"{self.workspace_bytes:,}"),
            ("FLOPs per byte", f"{self.intensity:.3g}"),
            ("receptive field", by(self.receptive_field)),
            ("  jump, start", f"{by(self.receptive_jump)}, {by(self.receptive_start)}"),
            ("algorithm", self.algorithm),
            ("  predicted", f"{shown_seconds(self.predicted_seconds)} in one thread"),
        ]
        if self.matrix_shape is not None:
            count = self.matrix_nonzeros  # None for a product, which would have to be made
            entries = "" if count is None else f", {count:,} non-zeros"
            rows.insert(10, ("as a matrix", f"{by(self.matrix_shape)}{entries}"))
        return rows + [(f"  not {name}", reason) for name, reason in self.rejected.items()]

    def plot(self, ax: Axes | None = None) -> Any:
        """Draw the costs as bars on a logarithmic scale.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        Axes
            Of a chain, an array of three: multiply-adds, parameters and the last axis of the
            receptive field, a bar an operator.

        Raises
        ------
        MissingExtraError
            Without Matplotlib, which the extra ``plot`` installs.

        Examples
        --------
        >>> import faltung as ft
        >>> ax = ft.Conv([[[[1, -1]]]]).describe((1, 1, 6, 8)).plot()
        >>> [text.get_text() for text in ax.get_yticklabels()][:3], int(ax.patches[2].get_width())
        (['parameters', 'of a dense layer', 'multiply-adds'], 84)
        """
        costs = {
            "parameters": self.parameters,
            "of a dense layer": self.dense_parameters,
            "multiply-adds": self.macs,
            "without padding": self.macs_without_padding,
            "bytes read": self.bytes_read,
            "bytes written": self.bytes_written,
            "workspace bytes": self.workspace_bytes,
        }
        return plot_costs(self._title, costs, ax)

    @property
    def _title(self) -> str:
        return f"{self.operator}: {self.input_shape} → {self.output_shape}"

    def __str__(self) -> str:
        head = f"{self.operator}: {self.input_shape} -> {self.output_shape}"
        rows = [f"  {name:<18} {value}" for name, value in self._rows()]
        return "\n".join([head, *rows])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th>"
            f"<td style='text-align:right'>{escape(value)}</td></tr>"
            for name, value in self._rows()
        )
        return f"<table><caption>{escape(self._title)}</caption>{rows}</table>"


def by(counts: Shape) -> str:
    """Sizes in words: ``3 × 224 × 224``."""
    return " × ".join(f"{count:,}" for count in counts)


def describe(
    name: str, bound: Bound, operands: tuple[Spec, ...], data: Spec, plan: Plan | None = None
) -> Report:
    """The report of operator `name`, bound to the shape and dtype of `data`.

    `plan` is that for its weights, where they decide with the shapes.
    """
    problem, plan = bound.problem, plan or bound.plan
    recipe = problem.recipe
    flops = 2 * problem.macs
    bytes_read = sum(prod(spec.shape) * spec.dtype.itemsize for spec in (data, *operands))
    bytes_written = prod(bound.shape) * bound.dtype.itemsize
    cells = prod(problem.input_shape[1:]), prod(problem.output_shape[1:])
    geometry = [axis.geometry for axis in recipe.axes]
    starts = zip(geometry, recipe.axes, strict=True)
    return Report(
        operator=name,
        input_shape=data.shape,
        output_shape=bound.shape,
        parameters=sum(prod(spec.shape) for spec in operands),
        dense_parameters=cells[0] * cells[1] + (cells[1] if recipe.has_bias else 0),
        macs=problem.macs,
        macs_without_padding=_real_macs(problem),
        flops=flops,
        bias_adds=prod(problem.output_shape) if recipe.has_bias else 0,
        bytes_read=bytes_read,
        bytes_written=bytes_written,
        workspace_bytes=plan.chosen.workspace(problem),
        intensity=flops / max(bytes_read + bytes_written, 1),
        matrix_shape=(recipe.batch * cells[1], recipe.batch * cells[0])
        if problem.is_linear
        else None,
        matrix_nonzeros=count_entries(problem) if problem.is_linear else None,
        receptive_field=tuple(axis.span for axis in geometry),
        receptive_jump=tuple(axis.stride for axis in geometry),
        receptive_start=tuple(-window.resolve(axis.size)[0] for window, axis in starts),
        algorithm=plan.chosen.name,
        rejected=dict(plan.rejected),
        predicted_seconds=plan.seconds[0],
    )


def _real_macs(problem: Problem) -> int:
    """Multiply-adds of the taps that lie over the input."""
    recipe = problem.recipe
    if recipe.is_blank:
        counts = [len(axis.clear_outputs) * axis.taps for axis in recipe.axes]
    else:
        counts = [axis.count_real_taps() for axis in recipe.axes]
    return problem.connections * prod(counts) if problem.macs else 0
