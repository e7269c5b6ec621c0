"""Any number of Python threads call shared operators at once: the bits of the serial run."""

import itertools
import sys
import threading

import numpy as np
import pytest

import faltung as ft
from compiled_jobs import output_of

THREADS, CALLS = 8, 100
SHAPES = {
    1: [(1, 4, 9), (2, 4, 64), (3, 4, 5), (4, 300)],
    2: [(1, 4, 6, 8), (2, 4, 17, 23), (4, 9, 9), (1, 4, 64, 48)],
    3: [(1, 4, 5, 6, 7), (4, 4, 4, 4)],
}
OPTIONS = [
    {},
    {"padding": "same"},
    {"padding": 1, "padding_mode": "reflect"},
    {"stride": 2, "padding": "full"},
    {"dilation": 2, "padding": 2},
    {"groups": 2, "padding": 1},
    {"flip": True, "padding": "causal"},
    {"padding": 1, "padding_mode": "blank"},
]
DTYPES = ["float32", "float64", "int32", "complex64", "float16"]


def data(shape, dtype, seed):
    values = np.random.default_rng(seed).standard_normal(shape) * 4
    return values.astype(dtype)


def bound_operators(algorithm):
    """One operator for each rank, option and dtype, unless the algorithm does not do it."""
    operators = []
    for (rank, options), dtype in zip(
        itertools.product(SHAPES, OPTIONS), itertools.cycle(DTYPES), strict=False
    ):
        groups = options.get("groups", 1)
        weight = data((6, 4 // groups, *[3] * rank), dtype, rank)
        spatial = [1] * rank
        wide = {
            name: value if isinstance(value, str | bool) or name == "groups" else spatial
            for name, value in options.items()
        }
        wide |= {name: [v * n for n in spatial] for name, v in options.items()
                 if type(v) is int and name != "groups"}  # fmt: skip
        operator = ft.Conv(weight, data((6,), dtype, 9), **wide, algorithm=algorithm)
        x = data(SHAPES[rank][0], dtype, 3)
        try:
            operator(x)
        except ft.OptionError:
            continue
        except ft.WindowError:
            pass
        operators.append((operator, rank, dtype))
    return operators


def programme(operators, seed):
    """Random calls: (operator, data, whether the result goes to an array of our own)."""
    rng = np.random.default_rng(seed)
    for _ in range(CALLS):
        operator, rank, dtype = operators[rng.integers(len(operators))]
        shape = SHAPES[rank][rng.integers(len(SHAPES[rank]))]
        yield operator, data(shape, dtype, int(rng.integers(5))), bool(rng.integers(2))


def results(steps):
    found = []
    for operator, x, has_out in steps:
        try:
            out = None
            if has_out:
                out = np.empty(operator.output_shape(x.shape), x.dtype)
            y = operator(x, out=out)
            assert out is None or y is out
            found.append(y.tobytes())
        except ft.WindowError as error:
            found.append(str(error))
    return found


def in_threads(*jobs):
    """Run jobs in threads that start at the same moment; their results."""
    barrier = threading.Barrier(len(jobs))
    found = [None] * len(jobs)

    def run(i):
        barrier.wait(30)
        try:
            found[i] = jobs[i]()
        except BaseException as error:  # noqa: BLE001 - shown by the caller
            found[i] = error

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "deadlock"
    return found


@pytest.fixture(autouse=True)
def _frequent_switches():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("is_cold", [False, True], ids=["warm", "cold"])
@pytest.mark.parametrize("algorithm", [None, "direct", "stencil"])
def test_threads_share_operators(algorithm, is_cold):
    """Eight threads, a hundred calls each; cold: the operators are new, all bind them at once."""
    operators = bound_operators(algorithm)
    if not operators:
        pytest.skip("the algorithm does none of these")
    serial = [results(programme(operators, seed)) for seed in range(THREADS)]
    if is_cold:
        operators = bound_operators(algorithm)
    jobs = [lambda seed=seed: results(programme(operators, seed)) for seed in range(THREADS)]
    for seed, found in enumerate(in_threads(*jobs)):
        assert not isinstance(found, BaseException), found
        differ = [i for i, (a, b) in enumerate(zip(found, serial[seed], strict=True)) if a != b]
        assert differ == [], f"thread {seed}"


def test_the_first_convolution_of_a_process_comes_from_all_threads_at_once():
    code = """
import threading
import numpy as np
import faltung as ft
barrier, right = threading.Barrier(8), []
def work():
    barrier.wait(30)
    right.append((ft.conv(x, weight) == 72).all())
x, weight = np.ones((1, 8, 90, 90), np.float32), np.ones((8, 8, 3, 3), np.float32)
threads = [threading.Thread(target=work) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(*right)
"""
    assert output_of(code, FALTUNG_NUM_THREADS=2) == " ".join(["True"] * THREADS)


def test_threads_share_functions_and_errors():
    x, weight = data((2, 4, 9, 8), "float32", 1), data((6, 4, 3, 3), "float32", 2)
    expected = ft.conv2d(x, weight, padding=1).tobytes(), ft.pad(x, 2, "reflect").tobytes()

    def work():
        for i in range(CALLS):
            assert ft.conv2d(x, weight, padding=1).tobytes() == expected[0]
            assert ft.pad(x, 2, "reflect").tobytes() == expected[1]
            with pytest.raises(ft.WindowError, match="stride"):
                ft.conv2d(x, weight, stride=-i)
        return "done"

    assert in_threads(*[work] * THREADS) == ["done"] * THREADS


def test_one_out_of_each_thread_in_one_array():
    """Neighbouring parts of one array as out: nobody writes across the line."""
    x, weight = data((4, 9, 9), "float32", 1), data((3, 4, 3, 3), "float32", 2)
    operator = ft.Conv(weight, stride=(1, 1))
    expected = operator(x[None])[0]
    for _ in range(20):
        together = np.full((7, 7, 3, THREADS), np.nan, np.float32)
        outs = [np.moveaxis(together[..., i], -1, 0) for i in range(THREADS)]
        batched = [out[None] for out in outs]
        jobs = [lambda out=out: operator(x[None], out=out) for out in batched]
        for found in in_threads(*jobs):
            assert not isinstance(found, BaseException), found
        for out in outs:
            assert np.array_equal(out, expected)


def test_settings_of_a_thread_are_its_own():
    """``with`` statements hold in their thread only, whatever the others do meanwhile."""
    x = data((1, 8, 40, 40), "float32", 1)
    weight = data((8, 8, 3, 3), "float32", 2)
    serial = {}
    for precision in ("highest", "high", "medium"):
        with ft.set_precision(precision):
            serial[precision] = ft.conv2d(x, weight).tobytes()
    with ft.reproducible():
        serial["reproducible"] = ft.conv2d(x, weight).tobytes()

    def work(setting):
        for _ in range(30):
            context = ft.reproducible() if setting == "reproducible" else ft.set_precision(setting)
            with context:
                if ft.conv2d(x, weight).tobytes() != serial[setting]:
                    return setting
        return "done"

    jobs = [lambda setting=setting: work(setting) for setting in [*serial, *serial]]
    assert in_threads(*jobs) == ["done"] * len(jobs)
    assert ft.conv2d(x, weight).tobytes() == serial["highest"]


def test_default_precision_is_restored_by_with():
    with ft.set_precision("medium"), ft.set_precision("high"):
        pass
    x, weight = data((1, 8, 40, 40), "float32", 1), data((8, 8, 3, 3), "float32", 2)
    explicit = ft.conv2d(x, weight, precision="highest")
    assert np.array_equal(ft.conv2d(x, weight), explicit)


def test_changing_the_thread_count_while_others_compute():
    x, weight = data((2, 8, 60, 60), "float32", 1), data((8, 8, 3, 3), "float32", 2)
    expected = ft.conv2d(x, weight).tobytes()
    before = ft.get_num_threads()

    def compute():
        return all(ft.conv2d(x, weight).tobytes() == expected for _ in range(60))

    def change():
        for i in range(120):
            ft.set_num_threads(1 + i % 3)
        return True

    try:
        assert in_threads(compute, compute, compute, change) == [True] * 4
    finally:
        ft.set_num_threads(before)


def test_harness_reports_what_fails():
    def fail():
        raise RuntimeError("seen")

    found = in_threads(fail, lambda: 1)
    assert isinstance(found[0], RuntimeError)
    assert found[1] == 1
