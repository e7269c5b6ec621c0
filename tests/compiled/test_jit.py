"""The door to the compiler: lazy, without dangerous freedoms, and passable without a compiler."""

import numpy as np
import pytest

from compiled_jobs import output_of, run_python
from faltung.compiled import _jit
from faltung.compiled._atomics import store
from faltung.errors import OptionError


def build_twice_plus(builder, number, other):
    return builder.add(builder.add(number, number), other)


@_jit.intrinsic("intp(intp, intp)", build_twice_plus)
def twice_plus(number, other):
    """Twice a number, and another one."""
    return 2 * number + other


@_jit.kernel("intp(intp)")
def doubled_and_one(number):
    return twice_plus(number, 1)


@_jit.kernel("float64(float64[::1])")
def total(values):
    result = 0.0
    for index in range(values.size):
        result += values[index]
    return result


@_jit.kernel("float64(float64[::1], intp)")
def pick(values, index):
    return values[index]


@_jit.kernel("void(float32[::1], float32[::1])", flags={"contract"})
def multiply_add(left, right):
    for index in range(left.size):
        left[index] = left[index] * right[index] + right[index]


def test_nothing_is_loaded_before_it_is_needed():
    code = """
import sys
from faltung.compiled import _atomics, _cache, _jit, _pool, machine, parallel
import compiled_jobs
_jit.kernel("intp(intp)")(lambda number: number)
machine.isa(), machine.cache_sizes(), machine.available_cores(), machine.total_memory()
parallel.get_num_threads()
heavy = {"numba", "llvmlite", "scipy", "concurrent.futures.thread", "multiprocessing"}
print(sorted(heavy & set(sys.modules)))
"""
    assert output_of(code) == "[]"


def test_kernels_and_intrinsics_call_each_other():
    outer = _jit.kernel("intp(intp)")(lambda number: doubled_and_one(number) + twice_plus(1, 1))
    assert [outer(number) for number in (0, 5)] == [4, 14]
    assert [outer.python(number) for number in (0, 5)] == [4, 14]


def test_a_meaning_equals_its_instructions():
    @_jit.kernel("intp(intp, intp)")
    def compiled(number, other):
        return twice_plus(number, other)

    for number, other in np.random.default_rng(0).integers(-(2**40), 2**40, (20, 2)).tolist():
        assert compiled(number, other) == twice_plus(number, other) == 2 * number + other


def test_the_number_of_arguments_is_checked():
    from numba.core.errors import TypingError

    @_jit.kernel("intp(intp)")
    def wrong(number):
        return twice_plus(number)

    with pytest.raises(TypingError):
        wrong(1)


def make_scale(factor):
    def build(builder, number):
        return builder.mul(number, number.type(factor))

    @_jit.intrinsic("intp(intp)", build)
    def scaled(number):
        return factor * number

    @_jit.kernel("intp(intp)")
    def scale(number):
        return scaled(number) + factor

    return scale


def test_variants_of_a_factory_are_different_functions():
    variants = [make_scale(factor) for factor in (2, 3, 2)]
    assert [variant(10) for variant in variants] == [22, 33, 22]
    names = [variant.identity for variant in variants]
    assert names[0] == names[2] != names[1]


def test_what_closes_over_the_unnameable_needs_a_key():
    strange = object()

    def odd(number):
        return number if strange is None else number + 1

    with pytest.raises(OptionError, match=r"key: .*odd closes over <object.*Pass key="):
        _jit.kernel("intp(intp)")(odd)
    assert _jit.kernel("intp(intp)", key="odd")(odd).identity.endswith("odd[odd]")
    defaults = [_jit.kernel("intp(intp, intp)")(with_default(step)) for step in (1, 2)]
    assert defaults[0].identity != defaults[1].identity


def with_default(step):
    def plus(number, step=step):
        return number + step

    return plus


@pytest.mark.parametrize("flag", ["nnan", "ninf", "fast", "afn", "reassoc"])
def test_dangerous_flags_are_refused(flag):
    with pytest.raises(OptionError, match=f"flags has {flag}.*contract, nsz"):
        _jit.kernel("float64(float64)", flags={"contract", flag})(lambda value: value)


def test_special_values_survive():
    @_jit.kernel("float64(float64, float64)", flags=_jit.FLAGS)
    def quotient(left, right):
        return left / right if left == left else -1.0

    assert quotient(1.0, 0.0) == np.inf
    assert np.isnan(quotient(0.0, 0.0))
    assert quotient(np.nan, 1.0) == -1.0


def test_flags_are_in_the_instructions():
    assert "vfmadd" in multiply_add.assembly() or "fmadd" in multiply_add.assembly()
    strict = _jit.kernel("void(float32[::1], float32[::1])")(multiply_add.python)
    assert "fmadd" not in strict.assembly()


def test_the_address_of_a_job_can_be_called():
    import ctypes

    @_jit.job
    def write(thread, arguments, job):
        pass

    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_ssize_t] * 3)
    assert write.address
    assert kind(write.address)(0, 0, 0) is None
    assert write(0, 0, 0) is None
    assert "ret" in write.assembly()


def test_a_job_can_keep_its_loops_as_they_are_and_its_functions_apart():
    import ctypes

    def write(_thread, arguments, count):
        for i in range(count):
            store(arguments + 8 * i * i, i + 1)

    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_ssize_t] * 3)
    efforts = {"level": 2, "unrolled": False}, {"unrolled": False}, {"level": 2}, {}
    jobs = [_jit.job(**effort)(write) for effort in efforts]
    for job in jobs:
        cells = np.zeros(101, np.int64)
        kind(job.address)(0, cells.ctypes.data, 11)
        assert cells[np.arange(11) ** 2].tolist() == list(range(1, 12))
        assert np.count_nonzero(cells) == 11
    few, as_few, many, as_many = (len(job.assembly().splitlines()) for job in jobs)
    assert few == as_few < many == as_many


def test_one_signature_and_no_other():
    assert total(np.arange(5.0)) == 10.0
    with pytest.raises(TypeError, match="No matching definition"):
        total(np.arange(5))
    assert len(total.function.signatures) == 1


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        ("sys.modules['numba'] = None", "Numba cannot be imported"),
        ("os.environ['NUMBA_DISABLE_JIT'] = '1'", "NUMBA_DISABLE_JIT is set"),
        ("import numba; numba.config.DISABLE_JIT = 1", "numba.config.DISABLE_JIT is set"),
    ],
)
def test_without_a_compiler_the_python_runs(prepare, reason):
    code = f"""
import os, sys
sys.path.insert(0, {__file__.rpartition("/")[0]!r})
{prepare}
import test_jit
from faltung.compiled import _jit
from faltung.compiled._atomics import store
print(test_jit.doubled_and_one(20), test_jit.make_scale(3)(10), _jit.available())
print(_jit.unavailable_reason())
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    values, told = done.stdout.splitlines()
    assert values == "41 33 False"
    assert told.startswith(reason)
    assert len(done.stderr.splitlines()) == 1
    assert reason in done.stderr
