"""A process to which the system refuses the tile registers of AMX, and what it computes.

``main(count)`` has the permission call fail, as in a container that filters it, and then tries
convolutions here, in a forked child and in a new process.
"""

import ctypes
import multiprocessing

import numpy as np

import faltung as ft
from cases import draw_case
from faltung.compiled import machine
from faltung.compiled.variants import find_row
from faltung.operators.conv import textbook

ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA = 158, 0x1023, 18
NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBER_AT, ARGUMENT_AT = 0, 16
ALLOW, REFUSE = 0x7FFF0000, 0x00050001  # with EPERM


class Program(ctypes.Structure):
    """The kernel's `sock_fprog`."""

    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]


def ask_for_tiles():
    """The kernel's answer to the permission call, 0 if it is granted."""
    return ctypes.CDLL(None).syscall(ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA)


def refuse_tiles():
    """Let the call fail from now on, in this process and its children; whether that worked."""
    words = np.array(
        [
            (LOAD, 0, 0, NUMBER_AT),
            (JUMP_IF_EQUAL, 0, 3, ARCH_PRCTL),
            (LOAD, 0, 0, ARGUMENT_AT),
            (JUMP_IF_EQUAL, 0, 1, REQUEST_PERMISSION),
            (RETURN, 0, 0, REFUSE),
            (RETURN, 0, 0, ALLOW),
        ],
        [("code", "u2"), ("then", "u1"), ("otherwise", "u1"), ("value", "u4")],
    )
    program = Program(len(words), words.ctypes.data)
    libc = ctypes.CDLL(None)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    return libc.prctl(SECCOMP, FILTER, ctypes.byref(program)) == 0


def wrong_cases(count):
    """Which of `count` random cases differ from loops; all of them if tiles were granted."""
    if ask_for_tiles() == 0:
        return list(range(count))
    wrong = []
    for seed in range(count):
        dtype = ("float32", "float32", "float16", "float64")[seed % 4]
        case = draw_case(np.random.default_rng(seed), 2, dtype)
        y = ft.conv(case.x, case.weight, case.bias, **case.parameters, algorithm="direct")
        parameters = {"padding_value": 0, **case.parameters}
        arrays = [
            None if array is None else array.astype(np.float64)
            for array in (case.x, case.weight, case.bias)
        ]
        if not np.array_equal(y, textbook(*arrays, **parameters).astype(y.dtype)):
            wrong.append(seed)
    return wrong


def main(count):
    if not refuse_tiles():
        print("no filters here")
        return
    found = {"here": wrong_cases(count)}
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            found[method] = pool.apply(wrong_cases, (count,))
    print(machine.isa(), find_row("float32").isa, found)
