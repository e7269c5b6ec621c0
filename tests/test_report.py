"""Costs against counted loops, receptive fields against perturbed inputs, matrices by probing."""

import json

import numpy as np
import pytest

import faltung as ft
from cases import draw_case

KEYS = {
    *("operator", "input_shape", "output_shape", "parameters", "dense_parameters", "macs"),
    *("macs_without_padding", "flops", "bias_adds", "bytes_read", "bytes_written"),
    *("workspace_bytes", "intensity", "matrix_shape", "matrix_nonzeros", "receptive_field"),
    *("algorithm", "rejected"),
}


def probed_matrix(operator, shape):
    """The linear part, a column an input cell."""
    count = int(np.prod(shape))
    constant = operator(np.zeros(shape))
    units = np.eye(count).reshape(count, *shape)
    return np.stack([(operator(unit) - constant).ravel() for unit in units], axis=1)


@pytest.mark.parametrize("seed", range(12))
def test_counts_equal_those_of_the_matrix(seed):
    rng = np.random.default_rng(seed)
    for _ in range(4):
        case = draw_case(rng, rank=int(rng.integers(1, 3)), dtype="float64", largest=3)
        # Positive weights: entries of the matrix that share a cell do not cancel.
        weight = np.abs(case.weight) + 1
        operator = ft.Conv(weight, case.bias, **case.parameters)
        shape = (1, *case.x.shape[1:])
        report = operator.describe(shape)
        matrix = probed_matrix(operator, shape)
        assert report.matrix_shape == matrix.shape
        assert report.matrix_nonzeros == np.count_nonzero(matrix)
        outputs = int(np.prod(report.output_shape))
        terms = int(np.prod(weight.shape[1:]))
        assert report.macs == outputs * terms
        ones = ft.Conv(
            np.ones_like(weight),
            **{**case.parameters, "padding_mode": "zeros"} | {"padding_value": 0},
        )
        if case.parameters["padding_mode"] != "blank":
            # On an input of ones each output counts the real cells that it sees.
            assert report.macs_without_padding == ones(np.ones(shape)).sum()
        assert report.bias_adds == (outputs if case.bias is not None else 0)
        size = weight.size + (0 if case.bias is None else case.bias.size)
        assert report.parameters == size
        assert report.bytes_read == 8 * (size + int(np.prod(shape)))
        assert report.bytes_written == 8 * outputs
        assert report.intensity == report.flops / (report.bytes_read + report.bytes_written)


def test_receptive_field_by_perturbing_the_input():
    operator = ft.Conv(np.ones((1, 1, 3, 2)), stride=(2, 1), dilation=(2, 3), padding=((1, 0), 2))
    shape = (1, 1, 9, 8)
    report = operator.describe(shape)
    base = operator(np.zeros(shape))
    seen = np.zeros(shape[2:], bool)
    for place in np.ndindex(*shape[2:]):
        x = np.zeros(shape)
        x[0, 0][place] = 1
        seen[place] = operator(x)[0, 0, 1, 2] != base[0, 0, 1, 2]
    rows, columns = np.nonzero(seen.any(1))[0], np.nonzero(seen.any(0))[0]
    starts = [
        start + jump * i
        for start, jump, i in zip(
            report.receptive_start, report.receptive_jump, (1, 2), strict=True
        )
    ]
    assert (rows[0], columns[0]) == tuple(starts)
    assert (rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1) == report.receptive_field


def test_all_figures_are_named_and_can_be_stored():
    report = ft.Conv((8, 3, 3, 3), bias=(8,), padding=1).describe((2, 3, 16, 16))
    figures = report.to_dict()
    assert set(figures) >= KEYS
    assert json.loads(json.dumps(figures))["macs"] == 2 * 8 * 256 * 27
    assert figures["dense_parameters"] == 3 * 256 * 8 * 256 + 8 * 256


def test_nothing_is_computed_or_allocated():
    report = ft.Conv((512, 256, 3, 3), padding=1).describe((64, 256, 100_000, 100_000))
    assert report.macs == 64 * 512 * 10**10 * 256 * 9
    assert report.macs_without_padding < report.macs


def test_a_report_reads_well():
    report = ft.Conv([[[[1, -1]]]]).describe((1, 1, 6, 8))
    text = str(report)
    assert text.splitlines()[0] == "Conv: (1, 1, 6, 8) -> (1, 1, 6, 7)"
    assert max(map(len, text.splitlines())) < 100
    html = report._repr_html_()
    assert html.count("<tr>") == html.count("</tr>") == len(text.splitlines()) - 1


def test_padding_has_no_products():
    report = ft.Pad(1, "reflect").describe((1, 2, 5, 5))
    assert report.macs == report.flops == 0
    assert report.matrix_shape == (2 * 49, 2 * 25)
    assert report.matrix_nonzeros == 2 * 49
