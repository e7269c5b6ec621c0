"""From LLVM to machine code: optimised, made an object file, linked into the process."""

from __future__ import annotations

import itertools
import os
from functools import cache
from typing import Any, NamedTuple

__all__ = ["Effort", "address_of", "assembly", "compile_object", "target_key"]


@cache
def _binding() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


@cache
def _host() -> tuple[str, str, str]:
    """Triple, CPU and features of this machine, which take LLVM 0.3 ms to tell."""
    llvm = _binding()
    features = llvm.get_host_cpu_features().flatten()
    return llvm.get_process_triple(), llvm.get_host_cpu_name(), features


def target_key() -> tuple[str, str, str]:
    """Triple, CPU and features that machine code is made for; Numba's variables limit them."""
    triple, name, features = _host()
    name = os.environ.get("NUMBA_CPU_NAME") or name
    return triple, name, os.environ.get("NUMBA_CPU_FEATURES", features)


@cache
def _machine(key: tuple[str, str, str]) -> Any:
    triple, name, features = key
    target = _binding().Target.from_triple(triple)
    return target.create_target_machine(
        cpu=name, features=features, opt=3, reloc="pic", codemodel="small"
    )


@cache
def _linker() -> Any:
    return _binding().create_lljit_compiler(_machine(target_key()), use_jit_link=False)


class Effort(NamedTuple):
    """What LLVM does for speed: its level, 3 at most, and whether it repeats bodies of loops."""

    level: int = 3
    unrolled: bool = True


def _optimised(text: str, effort: Effort) -> tuple[Any, Any]:
    llvm, machine = _binding(), _machine(target_key())
    module = llvm.parse_assembly(text)
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=effort.level)
    options.loop_vectorization = options.slp_vectorization = True
    options.loop_unrolling = effort.unrolled
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    return machine, module


def compile_object(text: str, effort: Effort) -> bytes:
    """The object file of a module of LLVM."""
    machine, module = _optimised(text, effort)
    return bytes(machine.emit_object(module))


def assembly(text: str, effort: Effort) -> str:
    """The same as text."""
    machine, module = _optimised(text, effort)
    return str(machine.emit_assembly(module))


_numbers = itertools.count()  # a name is used up even if linking fails
_libraries: list[Any] = []  # machine code stays as long as the process: workers may be inside


def address_of(symbol: str, code: bytes) -> int:
    """Link an object file into the process; the address of its function."""
    builder = _binding().JITLibraryBuilder().add_object_img(code).add_current_process()
    library = builder.export_symbol(symbol).link(_linker(), f"faltung{next(_numbers)}")
    _libraries.append(library)
    return int(library[symbol])
