"""Numbers of the language of kernels: their types, and LLVM for what is done with them.

A `Typed` value is one of the compiled program; everything else is a constant that the source
states. Values combine as NumPy's do, and constants take the type of the other side.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Arithmetic", "Typed", "UntranslatableError", "llvm_type", "parse"]

BITS = {
    "void": 0, "boolean": 1, "int8": 8, "int16": 16, "int32": 32, "int64": 64, "uint8": 8,
    "uint16": 16, "uint32": 32, "uint64": 64, "float32": 32, "float64": 64,
}  # fmt: skip

# By operator: LLVM's name for integers, for floats, and what it does to two constants.
_OPERATORS: dict[type, tuple[str, str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("add", "fadd", operator.add),
    ast.Sub: ("sub", "fsub", operator.sub),
    ast.Mult: ("mul", "fmul", operator.mul),
    ast.Div: ("", "fdiv", operator.truediv),
    ast.FloorDiv: ("floor", "", operator.floordiv),
    ast.Mod: ("modulo", "", operator.mod),
    ast.BitAnd: ("and_", "", operator.and_),
    ast.BitOr: ("or_", "", operator.or_),
    ast.BitXor: ("xor", "", operator.xor),
    ast.LShift: ("shl", "", operator.lshift),
    ast.RShift: ("shr", "", operator.rshift),
    ast.Pow: ("", "", operator.pow),
}
_COMPARISONS: dict[type, tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
}


class UntranslatableError(Exception):
    """What a function says is not in the small language."""


class Typed(NamedTuple):
    """A value of the compiled program and its type, one of `BITS`."""

    value: Any
    type: str


def parse(signature: Any) -> tuple[str, list[str]]:
    """Result and arguments of a signature; of arrays only those of one axis without gaps."""
    found = re.fullmatch(
        r"(\w+)\(([\w, \[\]:]*)\)", signature if isinstance(signature, str) else ""
    )
    if not found:
        raise UntranslatableError(f"signature {signature}")
    names = [re.sub(r"^intp\b", "int64", each) for each in re.split(r",\s*", found[2]) if each]
    result = "int64" if found[1] == "intp" else found[1]
    if not BITS.keys() >= {result, *(each.removesuffix("[::1]") for each in names)}:
        raise UntranslatableError(f"signature {signature}")
    return result, names


def llvm_type(type_: str) -> Any:
    """The type of LLVM; that of an array is its address."""
    from llvmlite import ir

    if type_.endswith("]"):
        return ir.IntType(64)
    if type_.startswith("float"):
        return ir.FloatType() if type_ == "float32" else ir.DoubleType()
    return ir.IntType(BITS[type_]) if BITS[type_] else ir.VoidType()


def _dtype(type_: str) -> str:
    return type_.replace("boolean", "bool")


def known(value: Any) -> Any:
    """A constant of the source; NumPy's scalars have a type of their own."""
    if isinstance(value, np.generic):
        return constant(value.item(), value.dtype.name.replace("bool", "boolean"))
    return value


def constant(value: Any, type_: str) -> Typed:
    """A number of the source as one of a type that has it."""
    is_float = type_.startswith("float")
    is_fit = isinstance(value, (bool, int)) or (isinstance(value, float) and is_float)
    if type_ == "boolean":
        is_fit = isinstance(value, bool)
    elif is_fit and not is_float:
        is_fit = type_ in BITS and np.iinfo(type_).min <= value <= np.iinfo(type_).max
    if not is_fit:
        raise UntranslatableError(f"{value!r} as {type_}")
    number = float(np.dtype(type_).type(value)) if is_float else int(value)
    return Typed(llvm_type(type_)(number), type_)


def common_type(*values: Any) -> str:
    """The type that values combine in; truth values count as whole numbers."""
    if any(value is None or isinstance(value, str) for value in values):
        raise UntranslatableError(f"{values} together")
    types = [each.type for each in values if isinstance(each, Typed)]
    types = ["int64" if each == "boolean" else each for each in types] or ["int64"]
    if any(each not in BITS for each in types):
        raise UntranslatableError(f"{types} together")
    common = np.result_type(*types).name
    has_fraction = any(isinstance(each, float) for each in values)
    return "float64" if has_fraction and not common.startswith("float") else common


class Arithmetic:
    """Writes operations on numbers where the builder stands."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    def typed(self, value: Any, type_: str) -> Typed:
        """A value as one of a type that holds all numbers of its own."""
        if not isinstance(value, Typed):
            return constant(value, type_)
        if value.type != type_:
            if value.type not in BITS or not np.can_cast(_dtype(value.type), _dtype(type_)):
                raise UntranslatableError(f"{value.type} as {type_}")
            return self.cast(value, type_)
        return value

    def cast(self, value: Typed, type_: str) -> Typed:
        """A value as the nearest of a type; integers lose their upper bits."""
        old, builder = value.type, self._builder
        if old == type_:
            return value
        if type_ == "boolean":
            return self.compare(ast.NotEq(), value, 0)  # type: ignore[no-any-return]
        if old.startswith("float"):
            if not type_.startswith("float"):
                raise UntranslatableError(f"{old} cut to {type_}")
            change = builder.fpext if BITS[type_] > BITS[old] else builder.fptrunc
        elif type_.startswith("float"):
            change = builder.sitofp if old.startswith("int") else builder.uitofp
        elif BITS[type_] == BITS[old]:
            return Typed(value.value, type_)
        elif BITS[type_] < BITS[old]:
            change = builder.trunc
        else:
            change = builder.sext if old.startswith("int") else builder.zext
        return Typed(change(value.value, llvm_type(type_)), type_)

    def convert(self, kind: Any, value: Any) -> Typed:
        """A value as ``int``, ``float``, ``bool`` or a scalar type of NumPy makes it."""
        name = {int: "int64", float: "float64", bool: "boolean"}.get(kind, "")
        if not name and isinstance(kind, type) and issubclass(kind, np.generic):
            name = np.dtype(kind).name.replace("bool", "boolean")
        if name not in BITS:
            raise UntranslatableError(f"call of {kind}")
        if isinstance(value, Typed):
            return self.cast(value, name)
        return constant(bool(value) if name == "boolean" else value, name)

    def truth(self, value: Any) -> Any:
        """Whether a value counts as true: a truth value, or True or False for a constant."""
        if not isinstance(value, Typed):
            return bool(value)
        return self.cast(value, "boolean")

    def negated(self, op: ast.unaryop, value: Any) -> Any:
        """``-x``, ``~x``, ``not x``, ``+x``."""
        if isinstance(op, ast.Not):
            truth = self.truth(value)
            if isinstance(truth, Typed):
                return Typed(self._builder.not_(truth.value), "boolean")
            return not truth
        if not isinstance(value, Typed):
            signs: dict[type, Callable[[Any], Any]] = {
                ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert,
            }  # fmt: skip
            return signs[type(op)](value)
        if isinstance(op, ast.Invert):
            return self.operate(ast.BitXor(), value, -1)
        if isinstance(op, ast.USub) and value.type.startswith("float"):
            return Typed(self._builder.fneg(value.value), value.type)
        return self.operate(ast.Sub(), 0, value) if isinstance(op, ast.USub) else value

    def operate(self, op: ast.operator, left: Any, right: Any) -> Any:
        """``left op right``."""
        if type(op) not in _OPERATORS:
            raise UntranslatableError(f"operator {type(op).__name__}")
        integer, floating, compute = _OPERATORS[type(op)]
        if not isinstance(left, Typed) and not isinstance(right, Typed):
            try:
                return compute(left, right)
            except (ArithmeticError, TypeError, ValueError) as error:
                raise UntranslatableError(f"{left} {type(op).__name__} {right}") from error
        common = common_type(left, right)
        if isinstance(op, ast.Div) and not common.startswith("float"):
            common = "float64"
        types = {getattr(each, "type", "") for each in (left, right)}
        if types == {"boolean"} and isinstance(op, (ast.BitAnd, ast.BitOr, ast.BitXor)):
            common = "boolean"
        name = floating if common.startswith("float") else integer
        if not name:
            raise UntranslatableError(f"{type(op).__name__} of {common}")
        is_shift = name in {"shl", "shr"} and not isinstance(right, Typed)
        if is_shift and not 0 <= right < BITS[common]:
            raise UntranslatableError(f"{common} shifted by {right}")
        a, b = self.typed(left, common).value, self.typed(right, common).value
        is_signed = common.startswith("int")
        if name in {"floor", "modulo"}:
            return Typed(self._divide(name, a, b, is_signed=is_signed), common)
        if name == "shr":
            name = "ashr" if is_signed else "lshr"
        return Typed(getattr(self._builder, name)(a, b), common)

    def _divide(self, name: str, a: Any, b: Any, *, is_signed: bool) -> Any:
        """``a // b`` or ``a % b``, rounded down; 0 where b is."""
        builder, zero = self._builder, b.type(0)
        is_zero = builder.icmp_unsigned("==", b, zero)
        if not is_signed:
            b = builder.select(is_zero, b.type(1), b)
            result = builder.udiv(a, b) if name == "floor" else builder.urem(a, b)
            return builder.select(is_zero, zero, result)
        # The smallest number by -1 is beyond all numbers: CPUs end the process there.
        is_minus = builder.icmp_signed("==", b, b.type(-1))
        b = builder.select(builder.or_(is_zero, is_minus), b.type(1), b)
        rest = builder.srem(a, b)
        has_rest = builder.icmp_signed("!=", rest, zero)
        is_below = builder.and_(has_rest, builder.icmp_signed("<", builder.xor(rest, b), zero))
        if name == "modulo":
            result = builder.add(rest, builder.select(is_below, b, zero))
            return builder.select(is_zero, zero, result)
        result = builder.sub(builder.sdiv(a, b), builder.zext(is_below, b.type))
        result = builder.select(is_minus, builder.sub(zero, a), result)
        return builder.select(is_zero, zero, result)

    def compare(self, op: ast.cmpop, left: Any, right: Any) -> Any:
        """A truth value, or True or False where both sides are constants."""
        if type(op) not in _COMPARISONS:
            raise UntranslatableError(f"comparison {type(op).__name__}")
        sign, compute = _COMPARISONS[type(op)]
        if not isinstance(left, Typed) and not isinstance(right, Typed):
            return compute(left, right)
        common, builder = common_type(left, right), self._builder
        types = {getattr(each, "type", type(each).__name__) for each in (left, right)}
        if common.startswith("float") and not any(each.startswith("float") for each in types):
            raise UntranslatableError(f"comparison of {' and '.join(sorted(types))}")
        a, b = self.typed(left, common).value, self.typed(right, common).value
        if common.startswith("float"):  # NaN differs from everything and is not less or more
            compare = builder.fcmp_unordered if sign == "!=" else builder.fcmp_ordered
        else:
            compare = builder.icmp_signed if common.startswith("int") else builder.icmp_unsigned
        return Typed(compare(sign, a, b), "boolean")

    def extreme(self, callee: Any, first: Any, second: Any) -> Any:
        """Python's ``min`` or ``max``: the first unless the second is beyond it."""
        if not isinstance(first, Typed) and not isinstance(second, Typed):
            return callee(first, second)
        common = common_type(first, second)
        a, b = self.typed(first, common), self.typed(second, common)
        is_beyond = self.compare(ast.Lt() if callee is min else ast.Gt(), b, a)
        return Typed(self._builder.select(is_beyond.value, b.value, a.value), common)
