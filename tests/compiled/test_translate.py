"""The language of kernels: Python and the machine agree on it, and Numba does the rest."""

import itertools

import numpy as np
import pytest

from compiled_jobs import output_of
from faltung.compiled import _jit
from faltung.compiled._atomics import store
from faltung.compiled._jit import job, kernel
from faltung.compiled._translate import translate
from faltung.compiled._values import UntranslatableError, parse

if not _jit.available():
    pytest.skip("needs a compiler", allow_module_level=True)

LIMIT = 20


@kernel("intp(intp, intp)")
def divide(left, right):
    return 100 * (left // right) + left % right


@kernel("uint32(uint32, uint32)")
def divide_unsigned(left, right):
    return left // right + left % right


@kernel("intp(intp, intp)")
def collatz(number, most):
    """Loops with every way out, and a chain of conditions."""
    steps = 0
    while True:
        if number == 1 or steps >= most:
            break
        if number % 2 == 0:
            number //= 2
            steps += 1
            continue
        number, steps = 3 * number + 1, steps + 1
    return steps


@kernel("intp(intp, intp, intp)")
def count(first, last, step):
    total = 0
    for number in range(first, last, step):
        for other in range(number):
            if other > 3:
                break
            total += other
        total = total * 3 + number
    return total


@kernel("intp(intp, intp)")
def choose(left, right):
    is_first = (left > 2 and not right > left) or right == LIMIT
    larger = max(left, right) if is_first else -min(left, right)
    return larger + (1 if is_first else 2) * int(left < right) + (~left & 7 | right ^ 1)


@kernel("float64(float64, float64)")
def quotient(left, right):
    if left < right:
        return left / right
    if left != left:
        return -1.5
    return min(left, right) - max(right, left) * 2


@kernel("uint16(uint32, int64)")
def cut(bits, number):
    wide = np.uint32(bits << np.uint32(3)) ^ np.uint32(0xFFFF)
    return np.uint16(wide) + np.uint16(np.uint8(number))


@kernel("float32(float32, int32)")
def mixed(value, number):
    return np.float32(float(value) * number + 0.5)


@kernel("boolean(intp, boolean)")
def is_even(number, wanted):
    return (number % 2 == 0) & wanted


@kernel("intp(intp, intp)")
def quotient_of(left, right):
    return left // right


@kernel("intp(intp, intp)")
def rest_of(left, right):
    return left % right


@kernel("intp(intp)")
def truths(number):
    flag = bool(LIMIT)
    return int(flag) + 2 * int(np.bool_(0)) + number


@kernel("intp(intp)")
def several(number):
    first = second = number + 1
    first += second
    return 10 * first + second


@kernel("void(intp[::1], intp)")
def write_address(target, value):
    store(target.ctypes.data + 8, value)


INTEGERS = [-7, -2, -1, 0, 1, 2, 3, 7, 20, 2**40]
FLOATS = [-2.5, -0.0, 0.0, 1.5, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("function", [divide, choose], ids=str)
def test_integers_follow_python(function):
    for left, right in itertools.product(INTEGERS, INTEGERS[4:]):
        assert function(left, right) == function.python(left, right), (left, right)


@pytest.mark.parametrize("number", INTEGERS)
def test_loops_follow_python(number):
    for most in (0, 1, 5, 100):
        assert collatz(number, most) == collatz.python(number, most)


def test_division_by_a_negative_number_and_by_zero():
    for left, right in itertools.product(INTEGERS, INTEGERS[:3]):
        assert divide(left, right) == divide.python(left, right)
    assert [divide(number, 0) for number in INTEGERS] == [0] * len(INTEGERS)
    assert divide_unsigned(2**32 - 1, 10) == (2**32 - 1) // 10 + 5


def test_the_smallest_number_by_minus_one_wraps():
    """Python's result has 64 bits; the CPU's instruction would end the process."""
    least = -(2**63)
    assert [quotient_of(least, -1), quotient_of(least + 1, -1)] == [least, 2**63 - 1]
    assert [rest_of(least, -1), rest_of(5, -1), quotient_of(5, -1)] == [0, 0, -5]


def test_constants_as_truth_and_names_of_one_value():
    assert truths(4) == truths.python(4) == 5
    assert several(4) == several.python(4) == 105


@pytest.mark.parametrize("steps", [(0, 9, 2), (9, 0, -3), (5, 5, 1), (3, -4, 1), (0, 9, 100)])
def test_ranges_follow_python(steps):
    assert count(*steps) == count.python(*steps)


def test_floats_follow_python():
    for left, right in itertools.product(FLOATS, FLOATS):
        with np.errstate(all="ignore"):
            expected = quotient.python(np.float64(left), np.float64(right))
        assert repr(quotient(left, right)) == repr(float(expected)), (left, right)


def test_numbers_of_numpy_keep_their_size():
    for bits, number in itertools.product([0, 1, 0x1FFF, 2**31 + 5], [0, 255, 300, -1]):
        shifted = (bits << 3) & 0xFFFFFFFF ^ 0xFFFF
        assert cut(bits, number) == ((shifted & 0xFFFF) + (number & 0xFF)) & 0xFFFF
    assert mixed(0.1, 3) == np.float32(float(np.float32(0.1)) * 3 + 0.5)
    assert is_even(4, True) is True
    assert is_even(3, True) is is_even(4, False) is False


def test_arrays_come_in_as_addresses():
    target = np.zeros(3, np.int64)
    assert write_address(target, 5) is None
    assert target.tolist() == [0, 5, 0]
    with pytest.raises((BufferError, ValueError)):
        write_address(np.zeros((3, 3), np.int64)[:, 1], 5)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [((1,), TypeError), ((1, 2, 3), TypeError), ((1, "2"), TypeError), ((1, 2**70), OverflowError)],
)
def test_wrong_arguments_are_told_and_harm_nothing(arguments, error):
    with pytest.raises(error):
        divide(*arguments)
    assert divide(7, 2) == 301


def of_array(values):
    return values[0]


def of_text(number):
    return len(str(number))


def of_generator(number):
    yield number


def without_result(number):  # noqa: RET503  that is what is tested
    if number:
        return 1


def of_changing_type(number):
    value = 1
    if number:
        value = 1.5
    return value


def of_truth_and_number(number):
    flag = True
    if number:
        flag = 2
    return flag


def shifted_out(number):
    return number << 64


def shifted_back(number):
    return number >> -1


def standing_still(number):
    for step in range(number, 0, 0):
        return step
    return 0


def by_nothing(number):
    return number + 1 // 0


def with_and_without_sign(number):
    return np.uint64(number) < np.int64(number)


def chained(number):
    return 1 < number < 3


@pytest.mark.parametrize(
    ("function", "signature"),
    [
        (of_array, "intp(intp[::1])"),
        (of_array, "intp(intp[:, ::1])"),
        (of_text, "intp(intp)"),
        (of_generator, "intp(intp)"),
        (without_result, "intp(intp)"),
        (of_changing_type, "float64(intp)"),
        (of_truth_and_number, "intp(intp)"),
        (shifted_out, "intp(intp)"),
        (shifted_back, "intp(intp)"),
        (standing_still, "intp(intp)"),
        (by_nothing, "intp(intp)"),
        (with_and_without_sign, "boolean(intp)"),
        (chained, "boolean(intp)"),
        (lambda number: number, "intp(intp)"),
        (divide.python, "intp(intp)"),
    ],
)
def test_what_is_not_in_the_language_is_refused(function, signature):
    with pytest.raises(UntranslatableError):
        translate(kernel(signature, key="refused")(function), with_entry=True)


def test_what_is_refused_is_compiled_by_numba():
    assert kernel("intp(intp[::1])")(of_array)(np.arange(4) + 3) == 3
    assert kernel("boolean(intp)")(chained)(2) is True


def test_signatures():
    assert parse("intp(intp, float32)") == ("int64", ["int64", "float32"])
    assert parse("void(intp[::1])") == ("void", ["int64[::1]"])
    for signature in ("intp(intp[:, ::1])", "complex64(intp)", "intp", lambda: None):
        with pytest.raises(UntranslatableError):
            parse(signature)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "float16", "complex64", "bool"])
def test_a_first_convolution_needs_no_numba(dtype):
    code = f"""
import sys
import numpy as np, faltung as ft
x, weight = np.ones((1, 8, 40, 40), {dtype!r}), np.ones((8, 8, 3, 3), {dtype!r})
ft.set_num_threads(2)
ft.conv(x, weight, algorithm="direct")
print("numba" in sys.modules, "llvmlite" in sys.modules)
"""
    assert output_of(code) == "False True"


def test_jobs_call_jobs_of_numba_and_the_other_way_round():
    @kernel("intp(intp[::1])")
    def through_numba(values):
        return values[1] + divide(7, 2)

    @job
    def through_us(thread, arguments, job):
        store(arguments, divide(job, 2))

    target = np.zeros(2, np.int64)
    assert through_numba(target) == 301
    assert through_us.address
    through_us.python(0, target.ctypes.data, 7)
    assert target[0] == 301
