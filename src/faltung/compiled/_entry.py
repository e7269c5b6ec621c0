"""How Python enters machine code: a function of CPython's own kind, written beside the kernel.

It turns numbers and buffers into machine words, lets go of the interpreter's lock, calls the
kernel, and takes the lock back. Entering through ctypes does the same in three times the time that
Numba's dispatcher takes, which every small call would feel.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

__all__ = ["MARK", "callable_at", "write_entry"]

MARK = "__entry"  # what an entry's name adds to its kernel's

_VIEW_SIZE = 256  # room for a Py_buffer, which has 80 bytes; its first word is the address
_FAST_CALL = 0x80


class _MethodDefinition(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("documentation", ctypes.c_char_p),
    ]


_definitions: list[_MethodDefinition] = []  # CPython keeps pointers to them


def callable_at(address: int, name: str) -> Callable[..., Any]:
    """The entry at an address as a function of Python's."""
    definition = _MethodDefinition(name.encode(), address, _FAST_CALL, None)
    _definitions.append(definition)
    create = ctypes.PYFUNCTYPE(
        ctypes.py_object, ctypes.POINTER(_MethodDefinition), ctypes.c_void_p, ctypes.c_void_p
    )(("PyCFunction_NewEx", ctypes.pythonapi))
    return create(ctypes.byref(definition), None, None)  # type: ignore[no-any-return]


# By type: how CPython reads a number, what it gives, and what a result is made of.
_NUMBERS = {
    "signed": ("PyLong_AsLongLong", 64, "PyLong_FromLongLong"),
    "unsigned": ("PyLong_AsUnsignedLongLongMask", 64, "PyLong_FromUnsignedLongLong"),
    "float": ("PyFloat_AsDouble", 0, "PyFloat_FromDouble"),
    "boolean": ("PyObject_IsTrue", 32, "PyBool_FromLong"),
}


def _family(type_: str) -> str:
    return next((each for each in ("float", "boolean") if type_.startswith(each)), "") or (
        "unsigned" if type_.startswith("uint") else "signed"
    )


class _Writer:
    def __init__(self, kernel: Any, name: str) -> None:
        from llvmlite import ir

        from faltung.compiled.simd import declare

        self._ir, self._declare, self._kernel = ir, declare, kernel
        self._object = ir.PointerType(ir.IntType(8))
        self._word = ir.IntType(64)
        kind = ir.FunctionType(self._object, [self._object, self._object.as_pointer(), self._word])
        self._entry = ir.Function(kernel.module, kind, name)
        self._builder = ir.IRBuilder(self._entry.append_basic_block("entry"))

    def _ask(self, name: str, result: Any, *values: Any) -> Any:
        """Call a function of CPython's."""
        types = [value.type for value in values]
        return self._builder.call(self._declare(self._builder.module, name, result, types), values)

    def _give_up_if(self, condition: Any, views: list[Any]) -> None:
        with self._builder.if_then(condition, likely=False):
            self._release(views)
            self._builder.ret(self._object(None))

    def _release(self, views: list[Any]) -> None:
        for view in views:
            self._ask("PyBuffer_Release", self._ir.VoidType(), view)

    def _check_count(self, count: int) -> None:
        builder = self._builder
        is_wrong = builder.icmp_signed("!=", self._entry.args[2], self._word(count))
        with builder.if_then(is_wrong, likely=False):
            kind = self._declare_global("PyExc_TypeError")
            self._ask(
                "PyErr_SetObject", self._ir.VoidType(), builder.load(kind),
                self._ask("PyLong_FromLongLong", self._object, self._word(count)),
            )  # fmt: skip
            builder.ret(self._object(None))

    def _declare_global(self, name: str) -> Any:
        known = self._builder.module.globals.get(name)
        return known or self._ir.GlobalVariable(self._builder.module, self._object, name)

    def _read(self, number: int, type_: str, views: list[Any]) -> Any:
        """Argument `number` as the machine has it."""
        ir, builder = self._ir, self._builder
        given = builder.load(builder.gep(self._entry.args[1], [self._word(number)]))
        if type_.endswith("[::1]"):
            with builder.goto_entry_block():
                room = builder.alloca(ir.ArrayType(ir.IntType(8), _VIEW_SIZE))
            view = builder.bitcast(room, self._object)
            status = self._ask("PyObject_GetBuffer", ir.IntType(32), given, view, ir.IntType(32)(0))
            self._give_up_if(builder.icmp_signed("!=", status, ir.IntType(32)(0)), views)
            views.append(view)
            return builder.load(builder.bitcast(view, self._word.as_pointer()))
        read, bits, _ = _NUMBERS[_family(type_)]
        value = self._ask(read, ir.IntType(bits) if bits else ir.DoubleType(), given)
        error = self._ask("PyErr_Occurred", self._object)
        self._give_up_if(builder.icmp_unsigned("!=", error, self._object(None)), views)
        wanted = self._kernel.args[number].type
        if value.type == wanted:
            return value
        return builder.trunc(value, wanted) if bits else builder.fptrunc(value, wanted)

    def write(self, result: str, arguments: list[str]) -> None:
        ir, builder = self._ir, self._builder
        self._check_count(len(arguments))
        views: list[Any] = []
        values = [self._read(number, type_, views) for number, type_ in enumerate(arguments)]
        state = self._ask("PyEval_SaveThread", self._object)
        value = builder.call(self._kernel, values)
        self._ask("PyEval_RestoreThread", ir.VoidType(), state)
        self._release(views)
        if result == "void":
            nothing = self._declare_global("_Py_NoneStruct")
            nothing = builder.bitcast(nothing, self._object)
            self._ask("Py_IncRef", ir.VoidType(), nothing)
            builder.ret(nothing)
            return
        family = _family(result)
        wanted = ir.DoubleType() if family == "float" else self._word
        if value.type != wanted:
            change = {"float": builder.fpext, "signed": builder.sext}.get(family, builder.zext)
            value = change(value, wanted)
        builder.ret(self._ask(_NUMBERS[family][2], self._object, value))


def write_entry(kernel: Any, result: str, arguments: list[str]) -> None:
    """Write the entry of the LLVM function `kernel` into its module."""
    _Writer(kernel, kernel.name + MARK).write(result, arguments)
