"""Vector instructions, each as LLVM writes it beside what it means in NumPy.

A micro-kernel is written once, against the methods that `Emitter` and `Interpreter` share. The
first turns it into LLVM IR inside a compiled function, the second runs it at once on NumPy
vectors, so that a kernel can be read, debugged and tested without a compiler. An address is an
integer in both.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Element", "Emitter", "Interpreter", "declare", "memory"]

Value = Any  # an LLVM value, or what it stands for: a Python int or a NumPy vector


class Element(NamedTuple):
    """One lane of a vector.

    Parameters
    ----------
    dtype : str
        The type of its number: "float32", "float64", or an integer of any width.
    lanes : int
        Lanes of a vector.
    is_fused : bool
        True: a multiply-add is rounded once on every machine. False: where the machine has no
        such instruction, product and sum are rounded one after the other.
    """

    dtype: str
    lanes: int
    is_fused: bool

    @property
    def size(self) -> int:
        """Bytes of a lane."""
        return np.dtype(self.dtype).itemsize

    @property
    def is_float(self) -> bool:
        """Whether a lane holds a floating-point number."""
        return self.dtype.startswith("float")

    @property
    def vector_size(self) -> int:
        """Bytes of a vector."""
        return self.lanes * self.size


def memory(address: int, dtype: str, count: int = 1) -> NDArray[Any]:
    """The `count` elements of memory that begin at an address, as an array that writes through."""
    size = np.dtype(dtype).itemsize * count
    buffer = (ctypes.c_char * size).from_address(int(address))
    return np.frombuffer(memoryview(buffer), np.dtype(dtype), count)


def declare(module: Any, name: str, result: Any, arguments: Sequence[Any]) -> Any:
    """A function of somebody else's by its full name: llvmlite cannot declare those of vectors."""
    from llvmlite import ir

    known = module.globals.get(name)
    return known or ir.Function(module, ir.FunctionType(result, arguments), name)


class Interpreter:
    """Runs each instruction at once. `Emitter` has the same methods, in the same order.

    Parameters
    ----------
    element : Element
        The lanes of the vectors.
    """

    def __init__(self, element: Element) -> None:
        self.element = element

    def plus(self, address: Value, step: Value) -> Value:
        """An address further on."""
        return address + step

    def times(self, number: Value, factor: int) -> Value:
        """A whole number times a constant."""
        return number * factor

    def minus(self, number: Value, step: int) -> Value:
        """A whole number less a constant."""
        return number - step

    def divided(self, number: Value, factor: int) -> Value:
        """How many times a constant is contained in a whole number."""
        return number // factor

    def prefetch(self, address: Value, *, is_far: bool = False) -> None:
        """Ask for the cache line at an address, which need not exist; if far, not for L1."""

    def forget(self) -> None:
        """Let nothing that was loaded before be kept for later: registers are dearer than loads."""

    def in_register(self, number: Value) -> Value:
        """A whole number that is found out once, not anew in each address that it is a part of."""
        return number

    def load_integer(self, address: Value) -> Value:
        """The 64-bit integer at an address."""
        return int(memory(address, "int64")[0])

    def zero(self) -> Value:
        """A vector of zeros."""
        return np.zeros(self.element.lanes, self.element.dtype)

    def load(self, address: Value) -> Value:
        """The vector at an address of any alignment."""
        return memory(address, self.element.dtype, self.element.lanes).copy()

    def broadcast(self, address: Value) -> Value:
        """A vector with the one element at an address in every lane."""
        return np.repeat(memory(address, self.element.dtype), self.element.lanes)

    def store(self, vector: Value, address: Value) -> None:
        """Write a vector to an address of any alignment."""
        memory(address, self.element.dtype, self.element.lanes)[:] = vector

    def every_second(self, first: Value, second: Value, start: int) -> Value:
        """Every second lane of two vectors, from lane `start` on, which is 0 or 1."""
        return np.concatenate([first, second])[start::2]

    def pick(self, first: Value, second: Value, places: Sequence[int]) -> Value:
        """The lanes at some places, counted on from the first vector through the second."""
        return np.concatenate([first, second])[list(places)]

    def store_some(self, vector: Value, address: Value, count: Value) -> None:
        """Write the first `count` lanes, perhaps all of them or none."""
        some = vector[: max(0, count)]
        memory(address, self.element.dtype, self.element.lanes)[: len(some)] = some

    def only_below(self, place: int, limit: Value, step: Value) -> Value:
        """`step` if a place lies below a limit, else 0."""
        return step if place < limit else 0

    def multiply_add(self, left: Value, right: Value, total: Value) -> Value:
        """``left * right + total``; float32 rounds once (up to the second rounding of double)."""
        with np.errstate(all="ignore"):
            if self.element.dtype == "float32":
                wide = left.astype(np.float64) * right.astype(np.float64) + total
                return wide.astype(np.float32)
            return left * right + total

    def add(self, left: Value, right: Value) -> Value:
        """``left + right``."""
        with np.errstate(all="ignore"):
            return left + right

    def multiply(self, left: Value, right: Value) -> Value:
        """``left * right``."""
        with np.errstate(all="ignore"):
            return left * right

    def subtract(self, left: Value, right: Value) -> Value:
        """``left - right``."""
        with np.errstate(all="ignore"):
            return left - right

    def minus_product(self, left: Value, right: Value, total: Value) -> Value:
        """``total - left * right``, rounded as `multiply_add` is."""
        return self.multiply_add(-left, right, total)

    def exchange(self, first: Value, second: Value, distance: int) -> tuple[Value, Value]:
        """Squares of `distance` lanes changed over between two vectors: a step of a transpose.

        For 2: ``a b c d`` and ``e f g h`` become ``a b e f`` and ``c d g h``.
        """
        pairs = np.stack([first, second]).reshape(2, -1, 2, distance)
        return pairs[:, :, 0].swapaxes(0, 1).ravel(), pairs[:, :, 1].swapaxes(0, 1).ravel()

    def at_least(self, vector: Value, floor: Value) -> Value:
        """``floor`` where a lane is smaller; NaN is not smaller and stays. Integers as they are."""
        return np.where(vector < floor, floor, vector) if self.element.is_float else vector

    def loop(
        self,
        count: Value,
        carried: Sequence[Value],
        body: Callable[[Value, Sequence[Value]], Sequence[Value]],
    ) -> Sequence[Value]:
        """``carried = body(i, carried)`` for i from 0 to count - 1; count is at least 1."""
        for number in range(max(1, count)):
            carried = body(number, carried)
        return carried

    def choose(self, flag: Value, yes: Callable[[], None], no: Callable[[], None]) -> None:
        """Run `yes` where flag is not 0, else `no`."""
        (yes if flag else no)()


class Emitter:
    """Writes each instruction as LLVM IR where the builder stands; see `Interpreter`.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
        Positioned inside the function that is being compiled.
    element : Element
        The lanes of the vectors.
    """

    def __init__(self, builder: Any, element: Element) -> None:
        from llvmlite import ir

        self._ir, self._builder, self.element = ir, builder, element
        floats = {"float32": ir.FloatType(), "float64": ir.DoubleType()}
        scalar = floats.get(element.dtype) or ir.IntType(8 * element.size)
        self._scalar, self._vector = scalar, ir.VectorType(scalar, element.lanes)

    def _pointer(self, address: Value, kind: Any) -> Value:
        return self._builder.inttoptr(address, self._ir.PointerType(kind))

    def plus(self, address: Value, step: Value) -> Value:
        """``add``."""
        if isinstance(step, int):
            step = self._ir.Constant(self._ir.IntType(64), step)
        return self._builder.add(address, step)

    def times(self, number: Value, factor: int) -> Value:
        """``mul`` by a constant."""
        return self._builder.mul(number, self._ir.Constant(self._ir.IntType(64), factor))

    def minus(self, number: Value, step: int) -> Value:
        """``sub`` of a constant."""
        return self._builder.sub(number, self._ir.Constant(self._ir.IntType(64), step))

    def divided(self, number: Value, factor: int) -> Value:
        """``sdiv`` by a constant."""
        return self._builder.sdiv(number, self._ir.Constant(self._ir.IntType(64), factor))

    def prefetch(self, address: Value, *, is_far: bool = False) -> None:
        """``llvm.prefetch``."""
        ir, builder = self._ir, self._builder
        byte, integer = ir.PointerType(ir.IntType(8)), ir.IntType(32)
        function = self._declare("llvm.prefetch.p0", ir.VoidType(), [byte, *[integer] * 3])
        # To be read, kept in all caches or from L2 on, data.
        hints = [ir.Constant(integer, hint) for hint in (0, 2 if is_far else 3, 1)]
        builder.call(function, [self._pointer(address, ir.IntType(8)), *hints])

    def forget(self) -> None:
        """An empty ``asm`` that may change memory."""
        nothing = self._ir.FunctionType(self._ir.VoidType(), [])
        self._builder.asm(nothing, "", "~{memory}", [], True)

    def in_register(self, number: Value) -> Value:
        """An empty ``asm`` that may change it."""
        same = self._ir.FunctionType(number.type, [number.type])
        return self._builder.asm(same, "", "=r,0", [number], False)

    def _declare(self, name: str, result: Any, arguments: Sequence[Any]) -> Any:
        return declare(self._builder.module, name, result, arguments)

    def load_integer(self, address: Value) -> Value:
        """``load i64``."""
        return self._builder.load(self._pointer(address, self._ir.IntType(64)))

    def zero(self) -> Value:
        """``zeroinitializer``."""
        return self._ir.Constant(self._vector, None)

    def load(self, address: Value) -> Value:
        """``load <n x t>``, aligned to one element."""
        pointer = self._pointer(address, self._vector)
        return self._builder.load(pointer, align=self.element.size)

    def broadcast(self, address: Value) -> Value:
        """``load``, ``insertelement``, and ``shufflevector`` with a mask of zeros."""
        ir, builder = self._ir, self._builder
        scalar = builder.load(self._pointer(address, self._scalar), align=self.element.size)
        undefined = ir.Constant(self._vector, ir.Undefined)
        first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), self.element.lanes), None)
        return builder.shuffle_vector(first, undefined, lanes)

    def store(self, vector: Value, address: Value) -> None:
        """``store <n x t>``, aligned to one element."""
        pointer = self._pointer(address, self._vector)
        self._builder.store(vector, pointer, align=self.element.size)

    def every_second(self, first: Value, second: Value, start: int) -> Value:
        """``shufflevector``."""
        return self.pick(first, second, range(start, 2 * self.element.lanes, 2))

    def pick(self, first: Value, second: Value, places: Sequence[int]) -> Value:
        """``shufflevector``."""
        kind = self._ir.VectorType(self._ir.IntType(32), len(places))
        return self._builder.shuffle_vector(first, second, self._ir.Constant(kind, list(places)))

    def store_some(self, vector: Value, address: Value, count: Value) -> None:
        """``llvm.masked.store``: lanes that are left out are not touched."""
        ir, builder, lanes = self._ir, self._builder, self.element.lanes
        numbers = ir.VectorType(ir.IntType(64), lanes)
        undefined = ir.Constant(numbers, ir.Undefined)
        first = builder.insert_element(undefined, count, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), None)
        limit = builder.shuffle_vector(first, undefined, zeros)
        flags = builder.icmp_signed("<", ir.Constant(numbers, list(range(lanes))), limit)
        letters = f"v{lanes}{'f' if self.element.is_float else 'i'}{8 * self.element.size}"
        pointer = self._pointer(address, self._vector)
        arguments = [self._vector, pointer.type, ir.IntType(32), flags.type]
        store = self._declare(f"llvm.masked.store.{letters}.p0", ir.VoidType(), arguments)
        builder.call(store, [vector, pointer, ir.IntType(32)(self.element.size), flags])

    def only_below(self, place: int, limit: Value, step: Value) -> Value:
        """``select`` on ``icmp``."""
        is_below = self._builder.icmp_signed("<", limit.type(place), limit)
        return self._builder.select(is_below, step, step.type(0))

    def multiply_add(self, left: Value, right: Value, total: Value) -> Value:
        """``llvm.fma`` or ``llvm.fmuladd``; ``mul`` and ``add`` for integers."""
        builder = self._builder
        if not self.element.is_float:
            return builder.add(builder.mul(left, right), total)
        letters = f"v{self.element.lanes}f{8 * self.element.size}"
        name = f"llvm.{'fma' if self.element.is_fused else 'fmuladd'}.{letters}"
        function = self._declare(name, self._vector, [self._vector] * 3)
        return builder.call(function, [left, right, total])

    def add(self, left: Value, right: Value) -> Value:
        """``fadd`` or ``add``."""
        builder = self._builder
        return builder.fadd(left, right) if self.element.is_float else builder.add(left, right)

    def multiply(self, left: Value, right: Value) -> Value:
        """``fmul`` or ``mul``."""
        builder = self._builder
        return builder.fmul(left, right) if self.element.is_float else builder.mul(left, right)

    def subtract(self, left: Value, right: Value) -> Value:
        """``fsub`` or ``sub``."""
        builder = self._builder
        return builder.fsub(left, right) if self.element.is_float else builder.sub(left, right)

    def minus_product(self, left: Value, right: Value, total: Value) -> Value:
        """``fneg``, which becomes a part of the multiply-add, or ``neg``."""
        builder = self._builder
        negative = builder.fneg(left) if self.element.is_float else builder.neg(left)
        return self.multiply_add(negative, right, total)

    def exchange(self, first: Value, second: Value, distance: int) -> tuple[Value, Value]:
        """Two times ``shufflevector``."""
        lanes = self.element.lanes
        places = [i - (i & distance) + (lanes if i & distance else 0) for i in range(lanes)]
        further = [place + distance for place in places]
        return self.pick(first, second, places), self.pick(first, second, further)

    def at_least(self, vector: Value, floor: Value) -> Value:
        """``fcmp olt`` and ``select``: false for NaN, which so stays."""
        if not self.element.is_float:
            return vector
        is_smaller = self._builder.fcmp_ordered("<", vector, floor)
        return self._builder.select(is_smaller, floor, vector)

    def loop(
        self,
        count: Value,
        carried: Sequence[Value],
        body: Callable[[Value, Sequence[Value]], Sequence[Value]],
    ) -> Sequence[Value]:
        """A block that branches to itself, with a ``phi`` for each carried value."""
        ir, builder = self._ir, self._builder
        before = builder.block
        inside, after = builder.append_basic_block("tap"), builder.append_basic_block("done")
        builder.branch(inside)
        builder.position_at_end(inside)
        number = builder.phi(ir.IntType(64))
        number.add_incoming(ir.Constant(ir.IntType(64), 0), before)
        values = []
        for value in carried:
            values.append(builder.phi(value.type))
            values[-1].add_incoming(value, before)
        results = body(number, values)
        following = self.plus(number, 1)
        number.add_incoming(following, builder.block)
        for value, result in zip(values, results, strict=True):
            value.add_incoming(result, builder.block)
        builder.cbranch(builder.icmp_signed("<", following, count), inside, after)
        builder.position_at_end(after)
        return results

    def choose(self, flag: Value, yes: Callable[[], None], no: Callable[[], None]) -> None:
        """``br`` on ``icmp ne``."""
        is_set = self._builder.icmp_signed("!=", flag, self._ir.Constant(flag.type, 0))
        with self._builder.if_else(is_set) as (then, otherwise):
            with then:
                yes()
            with otherwise:
                no()
