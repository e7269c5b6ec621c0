"""The chart has a row for every case and a mark for every right result."""

import pytest

from faltung.bench.chart import draw_chart
from faltung.bench.results import CaseResult, Figure, as_json
from faltung.errors import FaltungError

MACHINE = {"processor": "some processor", "threads": 2, "kernels": "avx2"}
TITLES = {"numpy": "NumPy", "scipy": "SciPy", "jax": "JAX"}


def result(name, family, **seconds):
    figures = {who: Figure(value, value, 1, 0.0, value != 7) for who, value in seconds.items()}
    return CaseResult(name, family, None, figures, {}, None)


def marks(ax):
    """Ratio and row of every mark."""
    lines = [line for line in ax.get_lines() if line.get_marker() not in {"None", ""}]
    return sorted((float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in lines)


def labels(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def test_marks_are_ratios_and_the_worst_case_of_a_family_is_on_top():
    results = [
        result("won", "a", faltung=1.0, numpy=4.0, scipy=2.0),
        result("lost", "a", faltung=2.0, numpy=1.0, scipy=7),  # 7: wrong
        result("alone", "a", faltung=2.0),
        result("other", "b", faltung=1.0, numpy=1000.0),
    ]
    picture = draw_chart(as_json(MACHINE, results), TITLES)
    (ax,) = picture.axes
    assert labels(ax) == ["lost", "won", "other"]
    assert marks(ax) == [(0.5, 1), (2, 2), (4, 2), (100, 4)]
    words = [text.get_text().strip() for text in ax.texts]
    assert words == ["a", "b", "1e+03×"]
    (legend,) = picture.legends
    assert [text.get_text() for text in legend.get_texts()] == ["NumPy", "SciPy"]
    assert ax.get_xscale() == "log"


def test_a_failure_of_faltung_is_in_the_chart():
    results = [result("failed", "a", numpy=1.0), result("wrong", "a", numpy=1.0, faltung=7)]
    (ax,) = draw_chart(as_json(MACHINE, results), TITLES).axes
    assert sum("no right result" in text.get_text() for text in ax.texts) == 2


def test_many_cases_have_two_columns_with_every_case_once():
    results = [
        result(f"case {number}", f"family {number % 9}", faltung=1.0, numpy=2.0)
        for number in range(70)
    ]
    columns = draw_chart(as_json(MACHINE, results), TITLES).axes
    assert len(columns) == 2
    found = [label for ax in columns for label in labels(ax)]
    assert sorted(found) == sorted(one.name for one in results)
    assert abs(len(labels(columns[0])) - len(labels(columns[1]))) < 12


def test_nothing_to_draw():
    with pytest.raises(FaltungError, match="no case has a peer"):
        draw_chart(as_json(MACHINE, [result("alone", "a", faltung=1.0)]), TITLES)
