"""Each instruction as LLVM runs it and as NumPy means it: the same bytes."""

from __future__ import annotations

import numpy as np
import pytest

from faltung.compiled._jit import available, intrinsic, job
from faltung.compiled.memory import (
    bits_of,
    copier,
    float_of,
    loader,
    put_word,
    storer,
    word,
)
from faltung.compiled.simd import Element, Emitter, Interpreter, memory

ELEMENTS = [
    Element("float32", 16, True),
    Element("float64", 4, True),
    Element("float32", 4, False),
    Element("uint32", 8, False),
    Element("uint64", 8, False),
]


def program(machine, block):
    """Every instruction once: reads vectors behind the block's words, writes others behind them."""
    step = machine.element.vector_size
    count = machine.load_integer(block)
    first = machine.load(machine.plus(block, 64))
    second = machine.load(machine.plus(block, 64 + step))
    one = machine.broadcast(machine.plus(block, 64 + 2 * step))
    machine.prefetch(block)

    def body(number, carried):
        near = machine.plus(block, machine.times(number, 8))
        return [machine.add(carried[0], one), machine.plus(carried[1], machine.load_integer(near))]

    total, number = machine.loop(count, [machine.zero(), count], body)
    total = machine.multiply_add(first, second, total)
    target = machine.plus(block, 64 + 3 * step)
    machine.store(total, target)
    machine.store(machine.at_least(second, one), machine.plus(target, step))
    less = machine.times(machine.divided(machine.minus(number, 3), 2), step)
    flag = machine.load_integer(machine.plus(block, 8))
    past, step_of_one = machine.plus(target, 5 * step), machine.plus(count, 5)
    machine.store(machine.every_second(first, second, 1), machine.plus(past, 5 * step))
    machine.store_some(first, past, machine.minus(count, 1))
    machine.store_some(first, past, machine.minus(count, 3))
    for place in (1, 2, 3):
        some = machine.plus(past, place * step)
        some = machine.plus(some, machine.only_below(place, count, step_of_one))
        machine.store_some(second, some, machine.plus(count, 99))
    product = machine.multiply(first, machine.subtract(first, one))
    machine.store(machine.minus_product(first, one, product), machine.plus(past, 7 * step))
    for place, some in enumerate(machine.exchange(first, product, 2), 8):
        machine.store(some, machine.plus(past, place * step))
    machine.choose(
        flag,
        lambda: machine.store(first, machine.plus(machine.plus(target, 2 * step), less)),
        lambda: machine.store(second, machine.plus(machine.plus(target, 2 * step), less)),
    )


def compiled_program(element):
    def emit(builder, block):
        program(Emitter(builder, element), block)

    @intrinsic("void(intp)", emit)
    def run(block):
        program(Interpreter(element), block)

    @job
    def run_job(block, _call, _number):
        run(block)

    return run_job


def call(function, block):
    import ctypes

    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_ssize_t] * 3)
    kind(function.address)(block.ctypes.data, 0, 0)


@pytest.mark.skipif(not available(), reason="nothing is compiled here")
@pytest.mark.parametrize("element", ELEMENTS, ids=lambda e: f"{e.dtype}x{e.lanes}")
def test_llvm_does_what_numpy_means(element):
    rng = np.random.default_rng(0)
    run = compiled_program(element)
    for flag in (0, 1):
        block = np.zeros(400, np.int64)
        block[:2] = 3, flag
        vectors = block[8:].view(element.dtype)
        vectors[: 3 * element.lanes] = rng.integers(0, 99, 3 * element.lanes)
        if element.is_float:
            vectors[element.lanes : element.lanes + 2] = np.nan, -np.inf
        meant = block.copy()
        run.python(meant.ctypes.data, 0, 0)
        call(run, block)
        assert np.array_equal(block.view(np.uint8), meant.view(np.uint8))
        assert meant[8 + 3 * element.vector_size // 8 :].any()


@pytest.mark.skipif(not available(), reason="nothing is compiled here")
def test_words_and_elements():
    load, store, copy = loader("int16"), storer("float32"), copier("float32", 4)

    @job
    def run(block, _call, _number):
        put_word(block, 1, word(block, 0) + load(block + 32, 1))
        store(block + 40, 1, float_of(bits_of(np.float32(2.5))))
        copy(block + 120, block + 40, 7)

    block = np.arange(60, dtype=np.int64)
    block[4] = -3 << 16
    meant = block.copy()
    run.python(meant.ctypes.data, 0, 0)
    call(run, block)
    assert np.array_equal(block, meant)
    assert block[1] == -3
    assert block[5:].view(np.float32)[1] == 2.5
    assert np.array_equal(block[15:].view(np.float32)[:7], block[5:].view(np.float32)[:7])


def test_memory_writes_through():
    array = np.zeros(4, np.float32)
    memory(array.ctypes.data + 4, "float32", 2)[:] = 7
    assert array.tolist() == [0, 7, 7, 0]


def test_fused_means_one_rounding():
    machine = Interpreter(Element("float32", 1, True))
    small = np.array([1 + 2.0**-12], np.float32)
    total = machine.multiply_add(small, small, np.array([-1 - 2.0**-11], np.float32))
    assert total[0] == 2.0**-24
