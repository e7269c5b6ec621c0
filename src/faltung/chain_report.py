"""The report of operators one after another: a row for each, and the sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from html import escape
from math import prod
from typing import TYPE_CHECKING, Any, Self

from faltung.plotting.costs import plot_chain
from faltung.report import Report, by
from faltung.typing import Array, Shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ChainReport"]

HEAD = (
    "operator", "output", "parameters", "multiply-adds", "receptive field", "jump", "start",
    "algorithm",
)  # fmt: skip
NUMERIC = range(2, 4)


@dataclass(frozen=True)
class ChainReport(Report):
    """Sizes and costs of operators one after another, and of the whole.

    The figures of a `Report` are those of the whole: sums over the operators, what is read and
    written between them included; `workspace_bytes` is the most that is needed at any time, the
    arrays between operators included; `matrix_nonzeros` is None, for the product of the matrices
    would have to be made to know it; `dense_parameters` are of one layer from the first input to
    the last output.

    Attributes
    ----------
    operators : tuple of Report
        One for each operator. Receptive fields in them are on the operator's own input.
    grown : tuple of Report
        The same with receptive fields on the first input.
    """

    operators: tuple[Report, ...] = ()
    grown: tuple[Report, ...] = ()

    @classmethod
    def of(cls, reports: Sequence[Report]) -> Self:
        """The report of a chain, from those of its operators."""
        grown = _grown(reports)
        first, last = reports[0], grown[-1]
        cells = _cells(first, first.input_shape), _cells(reports[-1], last.output_shape)
        bias_adds = sum(report.bias_adds for report in reports)
        moved = sum(report.bytes_read + report.bytes_written for report in reports)
        flops = sum(report.flops for report in reports)
        shapes = [report.matrix_shape for report in reports]
        is_linear = None not in shapes
        return cls(
            operator="Sequential",
            input_shape=first.input_shape,
            output_shape=last.output_shape,
            parameters=sum(report.parameters for report in reports),
            dense_parameters=cells[0] * cells[1] + (cells[1] if bias_adds else 0),
            macs=sum(report.macs for report in reports),
            macs_without_padding=sum(report.macs_without_padding for report in reports),
            flops=flops,
            bias_adds=bias_adds,
            bytes_read=sum(report.bytes_read for report in reports),
            bytes_written=sum(report.bytes_written for report in reports),
            workspace_bytes=_peak(reports),
            intensity=flops / max(moved, 1),
            matrix_shape=(shapes[-1][0], shapes[0][1]) if is_linear else None,  # type: ignore[index]
            matrix_nonzeros=None,
            receptive_field=last.receptive_field,
            receptive_jump=last.receptive_jump,
            receptive_start=last.receptive_start,
            algorithm=", ".join(report.algorithm for report in reports),
            rejected={},
            predicted_seconds=sum(report.predicted_seconds for report in reports),
            operators=tuple(reports),
            grown=grown,
        )

    def to_dict(self) -> dict[str, Any]:
        """All figures by name, as plain Python values; `operators` is a list of such dicts."""
        own = {field.name: getattr(self, field.name) for field in fields(Report)}
        return {**own, "rejected": {}, "operators": [each.to_dict() for each in self.operators]}

    def plot(self, ax: Axes | None = None) -> Array:
        """Draw multiply-adds, parameters and the receptive field, a bar an operator.

        The receptive field is that on the last axis of the first input. Returns an array of
        three axes; see `Report.plot`.

        Examples
        --------
        >>> import faltung as ft
        >>> chain = ft.Sequential(ft.Conv((4, 3, 3, 3)), ft.MaxPool((2, 2)), ft.Conv((8, 4, 3, 3)))
        >>> axes = chain.describe((3, 32, 32)).plot()
        >>> [ax.get_title() for ax in axes]
        ['multiply-adds', 'parameters', 'receptive field']
        >>> [int(bar.get_width()) for bar in axes[2].patches]
        [3, 4, 8]
        """
        columns = {
            "multiply-adds": [report.macs for report in self.grown],
            "parameters": [report.parameters for report in self.grown],
            "receptive field": [report.receptive_field[-1] for report in self.grown],
        }
        rows = [report.operator for report in self.grown]
        return plot_chain(self._title, rows, columns, ax)

    def _table(self) -> list[tuple[str, ...]]:
        """A row for each operator."""
        return [
            (
                report.operator,
                by(report.output_shape),
                f"{report.parameters:,}",
                f"{report.macs:,}",
                by(report.receptive_field),
                by(report.receptive_jump),
                by(report.receptive_start),
                report.algorithm,
            )
            for report in self.grown
        ]

    def _rows(self) -> list[tuple[str, str]]:
        """The figures of the whole: those of any report that are not in the table."""
        skipped = ("receptive", "  jump", "algorithm")
        return [row for row in super()._rows() if not row[0].startswith(skipped)]

    def __str__(self) -> str:
        rows = [HEAD, *self._table()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [f"{self.operator}: {self.input_shape} -> {self.output_shape}"]
        for row in rows:
            cells = [
                cell.rjust(width) if place in NUMERIC else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append(f"  {'  '.join(cells)}".rstrip())
        return "\n".join([*lines, *(f"  {name:<18} {value}" for name, value in self._rows())])

    def _repr_html_(self) -> str:
        head = "".join(f"<th style='text-align:left'>{escape(name)}</th>" for name in HEAD)
        body = "".join(
            "<tr>"
            + "".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in row)
            + "</tr>"
            for row in self._table()
        )
        sums = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th>"
            f"<td colspan='{len(HEAD) - 1}' style='text-align:left'>{escape(value)}</td></tr>"
            for name, value in self._rows()
        )
        return f"<table><caption>{escape(self._title)}</caption><tr>{head}</tr>{body}{sums}</table>"


def _grown(reports: Sequence[Report]) -> tuple[Report, ...]:
    """The reports with receptive fields, jumps and starts on the first input.

    A. Araujo et al., "Computing receptive fields of convolutional neural networks", Distill 2019,
    equations 2 to 4.
    """
    grown = [reports[0]]
    for report in reports[1:]:
        axes = zip(_axes(grown[-1]), _axes(report), strict=True)
        joined = [
            (size + (span - 1) * jump, jump * step, start + first * jump)
            for (size, jump, start), (span, step, first) in axes
        ]
        sizes, jumps, starts = (tuple(axis) for axis in zip(*joined, strict=True))
        grown.append(
            replace(report, receptive_field=sizes, receptive_jump=jumps, receptive_start=starts)
        )
    return tuple(grown)


def _axes(report: Report) -> list[tuple[int, int, int]]:
    """Size, jump and start of the receptive field on each axis."""
    field = report.receptive_field, report.receptive_jump, report.receptive_start
    return list(zip(*field, strict=True))


def _cells(report: Report, shape: Shape) -> int:
    """Cells of one sample."""
    has_batch = len(shape) == len(report.receptive_field) + 2
    return prod(shape[1:] if has_batch else shape)


def _peak(reports: Sequence[Report]) -> int:
    """The most that is held at a time beside input and result."""
    last = len(reports) - 1
    held = []
    for place, report in enumerate(reports):
        arrays = 0
        if place > 0:
            arrays += reports[place - 1].bytes_written
        if place < last:
            arrays += report.bytes_written
        held.append(report.workspace_bytes + arrays)
    return max(held)
