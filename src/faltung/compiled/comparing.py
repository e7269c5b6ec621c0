"""Instructions that window reductions need beyond those of sums, each beside its meaning.

A comparison with NaN is false, so NaN wins by being looked for: ``v > total or v != v``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from faltung.compiled.simd import Element, Emitter, Interpreter, Value, memory

__all__ = ["ComparingEmitter", "ComparingInterpreter", "place_element"]


def place_element(element: Element) -> Element:
    """The lanes of places that go with the lanes of values: signed integers as wide as they are."""
    return Element(f"int{8 * element.size}", element.lanes, False)


class ComparingInterpreter(Interpreter):
    """Runs each instruction at once. `ComparingEmitter` has the same methods, in the same order."""

    def smaller(self, left: Value, right: Value) -> Value:
        """The smaller of two whole numbers."""
        return min(left, right)

    def product(self, left: Value, right: Value) -> Value:
        """The product of two whole numbers."""
        return left * right

    def constant(self, number: Any) -> Value:
        """A vector with one number in every lane."""
        return np.full(self.element.lanes, number, self.element.dtype)

    def greatest(self, total: Value, vector: Value) -> Value:
        """`vector` where it is greater or NaN, else `total`."""
        return np.where((vector > total) | (vector != vector), vector, total)

    def least(self, total: Value, vector: Value) -> Value:
        """`vector` where it is smaller or NaN, else `total`."""
        return np.where((vector < total) | (vector != vector), vector, total)

    def magnitude(self, vector: Value) -> Value:
        """Without the sign; floating-point numbers only."""
        return np.abs(vector)

    def square(self, vector: Value) -> Value:
        """``vector * vector``; floating-point numbers only."""
        with np.errstate(all="ignore"):
            return vector * vector

    def root(self, vector: Value) -> Value:
        """The square root; floating-point numbers only."""
        with np.errstate(all="ignore"):
            return np.sqrt(vector)

    def divide(self, left: Value, right: Value) -> Value:
        """``left / right``; floating-point numbers only."""
        with np.errstate(all="ignore"):
            return left / right

    def load_places(self, address: Value) -> Value:
        """The vector of places at an address."""
        places = place_element(self.element)
        return memory(address, places.dtype, places.lanes).copy()

    def store_places(self, vector: Value, address: Value) -> None:
        """Write a vector of places."""
        places = place_element(self.element)
        memory(address, places.dtype, places.lanes)[:] = vector

    def no_places(self) -> Value:
        """The place behind all others in every lane."""
        places = place_element(self.element)
        return np.full(places.lanes, np.iinfo(places.dtype).max, places.dtype)

    def count_places(self, first: Value, step: Value) -> Value:
        """``first, first + step, …`` as places."""
        places = place_element(self.element)
        return (first + step * np.arange(places.lanes)).astype(places.dtype)

    def first_greatest(
        self, total: Value, place: Value, vector: Value, other: Value
    ) -> tuple[Value, Value]:
        """The greater and its place; of equals the first place, of NaNs the last."""
        is_equal = (vector == total) & (other < place)
        is_nan, was_nan = vector != vector, total != total
        takes = (vector > total) | is_equal | (is_nan & (~was_nan | (other > place)))
        return np.where(takes, vector, total), np.where(takes, other, place)

    def halves(self, first: Value, second: Value) -> tuple[Value, Value]:
        """The lanes of even and of odd number of two vectors in a row."""
        both = np.concatenate([first, second])
        return both[::2], both[1::2]


class ComparingEmitter(Emitter):
    """Writes each instruction as LLVM IR; see `ComparingInterpreter`."""

    def _places(self) -> Any:
        return self._ir.VectorType(self._ir.IntType(8 * self.element.size), self.element.lanes)

    def _splat(self, kind: Any, number: Any) -> Value:
        return self._ir.Constant(kind, [number] * kind.count)

    def _spread(self, kind: Any, scalar: Value) -> Value:
        """A vector with a scalar in every lane."""
        ir, builder = self._ir, self._builder
        undefined = ir.Constant(kind, ir.Undefined)
        first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), None)
        return builder.shuffle_vector(first, undefined, lanes)

    def smaller(self, left: Value, right: Value) -> Value:
        """``icmp slt`` and ``select``."""
        builder = self._builder
        return builder.select(builder.icmp_signed("<", left, right), left, right)

    def product(self, left: Value, right: Value) -> Value:
        """``mul``."""
        return self._builder.mul(left, right)

    def constant(self, number: Any) -> Value:
        """A constant vector."""
        return self._splat(self._vector, number)

    def _compare(self, sign: str, left: Value, right: Value) -> Value:
        """Ordered comparison, in the order of the lanes' dtype."""
        builder = self._builder
        if self.element.is_float:
            return builder.fcmp_ordered(sign, left, right)
        is_signed = self.element.dtype.startswith("int")
        compare = builder.icmp_signed if is_signed else builder.icmp_unsigned
        return compare(sign, left, right)

    def _extreme(self, sign: str, total: Value, vector: Value) -> Value:
        builder = self._builder
        takes = self._compare(sign, vector, total)
        if self.element.is_float:
            takes = builder.or_(takes, builder.fcmp_unordered("uno", vector, vector))
        return builder.select(takes, vector, total)

    def greatest(self, total: Value, vector: Value) -> Value:
        """``fcmp ogt``, ``fcmp uno`` and ``select``, or ``icmp`` and ``select``."""
        return self._extreme(">", total, vector)

    def least(self, total: Value, vector: Value) -> Value:
        """``fcmp olt``, ``fcmp uno`` and ``select``, or ``icmp`` and ``select``."""
        return self._extreme("<", total, vector)

    def _unary(self, name: str, vector: Value) -> Value:
        letters = f"v{self.element.lanes}f{8 * self.element.size}"
        function = self._declare(f"llvm.{name}.{letters}", self._vector, [self._vector])
        return self._builder.call(function, [vector])

    def magnitude(self, vector: Value) -> Value:
        """``llvm.fabs``."""
        return self._unary("fabs", vector)

    def square(self, vector: Value) -> Value:
        """``fmul``."""
        return self._builder.fmul(vector, vector)

    def root(self, vector: Value) -> Value:
        """``llvm.sqrt``."""
        return self._unary("sqrt", vector)

    def divide(self, left: Value, right: Value) -> Value:
        """``fdiv``."""
        return self._builder.fdiv(left, right)

    def load_places(self, address: Value) -> Value:
        """``load <n x i>``."""
        pointer = self._pointer(address, self._places())
        return self._builder.load(pointer, align=self.element.size)

    def store_places(self, vector: Value, address: Value) -> None:
        """``store <n x i>``."""
        pointer = self._pointer(address, self._places())
        self._builder.store(vector, pointer, align=self.element.size)

    def no_places(self) -> Value:
        """A constant vector of the largest integer."""
        return self._splat(self._places(), 2 ** (8 * self.element.size - 1) - 1)

    def count_places(self, first: Value, step: Value) -> Value:
        """A constant vector times one scalar, plus another."""
        builder, kind = self._builder, self._places()
        if self.element.size < 8:
            first, step = (builder.trunc(value, kind.element) for value in (first, step))
        lanes = self._ir.Constant(kind, list(range(kind.count)))
        steps = builder.mul(lanes, self._spread(kind, step))
        return builder.add(steps, self._spread(kind, first))

    def first_greatest(
        self, total: Value, place: Value, vector: Value, other: Value
    ) -> tuple[Value, Value]:
        """Comparisons of values and of places, and two ``select``."""
        builder = self._builder
        is_earlier = builder.icmp_signed("<", other, place)
        is_equal = builder.and_(self._compare("==", vector, total), is_earlier)
        takes = builder.or_(self._compare(">", vector, total), is_equal)
        if self.element.is_float:
            is_nan, was_nan = (builder.fcmp_unordered("uno", v, v) for v in (vector, total))
            is_later = builder.icmp_signed(">", other, place)
            is_last = builder.or_(builder.not_(was_nan), is_later)
            takes = builder.or_(takes, builder.and_(is_nan, is_last))
        return builder.select(takes, vector, total), builder.select(takes, other, place)

    def halves(self, first: Value, second: Value) -> tuple[Value, Value]:
        """Two ``shufflevector``."""
        ir, lanes = self._ir, self.element.lanes
        kind = ir.VectorType(ir.IntType(32), lanes)
        even, odd = (
            self._builder.shuffle_vector(
                first, second, ir.Constant(kind, list(range(start, 2 * lanes, 2)))
            )
            for start in (0, 1)
        )
        return even, odd
