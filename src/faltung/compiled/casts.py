"""Numbers of every dtype as those that sums are kept in, and back with one rounding.

LLVM's own conversions of half precision call functions that not every machine has: float16 and
bfloat16 are widened and rounded in integer arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from faltung.compiled._jit import intrinsic, kernel
from faltung.compiled.memory import bits_of, float_of

__all__ = ["Cast", "narrowing", "widening"]


class Cast(NamedTuple):
    """A conversion between memory and sums: the dtype that memory is accessed as, and the cast."""

    memory: str
    cast: Callable[[Any], Any]


@kernel("float32(uint16)")
def widen_float16(bits: Any) -> Any:
    """The float32 equal to a float16; infinities and the payload of a NaN are kept."""
    sign = np.uint32(np.uint32(bits & np.uint16(0x8000)) << np.uint32(16))
    magnitude = np.uint32(np.uint32(bits & np.uint16(0x7FFF)) << np.uint32(13))
    if magnitude >= np.uint32(0x0F800000):
        return float_of(np.uint32(sign | np.uint32(0x70000000) | magnitude))
    # Moved by 112 binary orders, exactly: subnormal numbers become normal ones.
    scaled = np.float32(float_of(magnitude) * np.float32(2.0**112))
    return np.float32(-scaled) if sign else scaled


@kernel("float32(uint16)")
def widen_bfloat16(bits: Any) -> Any:
    """The float32 equal to a bfloat16."""
    return float_of(np.uint32(np.uint32(bits) << np.uint32(16)))


@kernel("uint16(float32)")
def round_to_float16(value: Any) -> Any:
    """The bits of the nearest float16, ties to even; infinity beyond the range."""
    bits = bits_of(value)
    sign = np.uint32((bits >> np.uint32(16)) & np.uint32(0x8000))
    magnitude = np.uint32(bits & np.uint32(0x7FFFFFFF))
    if magnitude > np.uint32(0x7F800000):
        rounded = np.uint32(0x7E00 | ((magnitude >> np.uint32(13)) & np.uint32(0x1FF)))
    elif magnitude >= np.uint32(0x477FF000):  # 65520 and above
        rounded = np.uint32(0x7C00)
    elif magnitude < np.uint32(0x38800000):  # subnormal: the adder rounds at the right bit
        rounded = np.uint32(bits_of(np.float32(float_of(magnitude) + np.float32(0.5))))
        rounded = np.uint32(rounded - np.uint32(0x3F000000))
    else:
        odd = np.uint32((magnitude >> np.uint32(13)) & np.uint32(1))
        rounded = np.uint32(magnitude - np.uint32(0x38000000) + np.uint32(0xFFF) + odd)
        rounded = np.uint32(rounded >> np.uint32(13))
    return np.uint16(sign | rounded)


@kernel("uint16(float32)")
def round_to_bfloat16(value: Any) -> Any:
    """The bits of the nearest bfloat16, ties to even."""
    bits = bits_of(value)
    if np.uint32(bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000):
        return np.uint16((bits >> np.uint32(16)) | np.uint32(0x40))
    odd = np.uint32((bits >> np.uint32(16)) & np.uint32(1))
    return np.uint16(np.uint32(bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))


@cache
def _convert(source: str, target: str) -> Callable[[Any], Any]:
    """The instruction that extends or truncates an integer, or makes a float of a small one.

    Between equal dtypes it is none.
    """
    is_signed = source.startswith("int")
    bits, wanted = (8 * np.dtype(dtype).itemsize for dtype in (source, target))

    def emit(builder: Any, value: Any) -> Any:
        from llvmlite import ir

        if target.startswith("float") and not source.startswith("float"):
            kind = ir.FloatType() if target == "float32" else ir.DoubleType()
            return builder.sitofp(value, kind) if is_signed else builder.uitofp(value, kind)
        if bits == wanted:
            return value
        if wanted < bits:
            return builder.trunc(value, ir.IntType(wanted))
        extend = builder.sext if is_signed else builder.zext
        return extend(value, ir.IntType(wanted))

    @intrinsic(f"{target}({source})", emit)
    def convert(value: Any) -> Any:
        return np.asarray(value).astype(target)[()]

    return convert


@cache
def _saturate(source: str, target: str) -> Callable[[Any], Any]:
    """The instruction that rounds a float to the nearest integer, halves to even.

    What lies beyond the range of `target` becomes its end, NaN becomes 0. A large number added and
    taken away leaves no bits behind the point, on every machine; numbers that are larger have none.
    """
    ends, bits = np.iinfo(target), 8 * np.dtype(target).itemsize
    magic = 2.0 ** (23 if source == "float32" else 52)
    # The end of 64 bits is no float: what reaches the next one is set to the end by itself.
    is_wide = float(ends.max) != ends.max

    def emit(builder: Any, value: Any) -> Any:
        from llvmlite import ir

        kind, integer = value.type, ir.IntType(max(bits, 32))
        low, high, zero = (kind(float(end)) for end in (ends.min, ends.max, 0))
        is_high = builder.fcmp_ordered(">=", value, high)
        value = builder.select(builder.fcmp_ordered("<", value, low), low, value)
        value = builder.select(is_high, zero if is_wide else high, value)
        value = builder.select(builder.fcmp_unordered("!=", value, value), zero, value)
        is_negative = builder.fcmp_ordered("<", value, zero)
        size = builder.select(is_negative, builder.fsub(zero, value), value)
        whole = builder.fsub(builder.fadd(size, kind(magic)), kind(magic))
        whole = builder.select(builder.fcmp_ordered("<", size, kind(magic)), whole, size)
        whole = builder.select(is_negative, builder.fsub(zero, whole), whole)
        change = builder.fptoui if ends.min == 0 and bits >= 32 else builder.fptosi
        number = builder.trunc(change(whole, integer), ir.IntType(bits))
        return builder.select(is_high, number.type(int(ends.max)), number) if is_wide else number

    @intrinsic(f"{target}({source})", emit)
    def saturate(value: Any) -> Any:
        if value != value:
            return np.dtype(target).type(0)
        whole = min(max(np.rint(value), float(ends.min)), float(ends.max))
        return np.dtype(target).type(min(int(whole), ends.max))

    return saturate


@cache
def _is_above_half(source: str) -> Callable[[Any], Any]:
    """The instruction that gives 1 for numbers above 1/2."""

    def emit(builder: Any, value: Any) -> Any:
        from llvmlite import ir

        return builder.zext(builder.fcmp_ordered(">", value, value.type(0.5)), ir.IntType(8))

    @intrinsic(f"uint8({source})", emit)
    def is_above_half(value: Any) -> Any:
        return np.uint8(value > 0.5)

    return is_above_half


@cache
def _is_nonzero(source: str, target: str) -> Callable[[Any], Any]:
    """The instruction that gives 1 for every number but 0."""

    def emit(builder: Any, value: Any) -> Any:
        from llvmlite import ir

        is_set = builder.icmp_unsigned("!=", value, ir.Constant(value.type, 0))
        if target.startswith("float"):
            kind = ir.FloatType() if target == "float32" else ir.DoubleType()
            return builder.uitofp(is_set, kind)
        return builder.zext(is_set, ir.IntType(8 * np.dtype(target).itemsize))

    @intrinsic(f"{target}({source})", emit)
    def is_nonzero(value: Any) -> Any:
        return np.dtype(target).type(value != 0)

    return is_nonzero


def widening(dtype: str, target: str) -> Cast:
    """How memory of a dtype is read as numbers to sum."""
    if dtype == "bool":
        return Cast("uint8", _is_nonzero("uint8", target))
    if dtype in {"float16", "bfloat16"}:
        return Cast("uint16", widen_float16 if dtype == "float16" else widen_bfloat16)
    return Cast(dtype, _convert(dtype, target))


def narrowing(source: str, dtype: str) -> Cast:
    """How sums are written to memory of a dtype: rounded once, or modulo the range of integers.

    Floats saturate at the ends of the range of integers, and are true above 1/2.
    """
    if dtype == "bool":
        is_float = source.startswith("float")
        return Cast("uint8", _is_above_half(source) if is_float else _is_nonzero(source, "uint8"))
    if dtype in {"float16", "bfloat16"}:
        return Cast("uint16", round_to_float16 if dtype == "float16" else round_to_bfloat16)
    if source.startswith("float") and not dtype.startswith("float"):
        return Cast(dtype, _saturate(source, dtype))
    return Cast(dtype, _convert(source, dtype))
