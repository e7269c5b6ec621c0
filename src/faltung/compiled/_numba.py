"""What Numba compiles: kernels over arrays, and whatever is not in the language of `_translate`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

from faltung.compiled import _cache
from faltung.compiled._pipeline import pipeline

__all__ = ["compile_job", "compile_kernel", "compiler_lock", "register"]


def compiler_lock() -> Any:
    """Numba's own lock, and not another one: two locks could be taken in two orders."""
    from numba.core.compiler_lock import global_compiler_lock

    return global_compiler_lock


def _parse(signature: str | Callable[[], Any]) -> Any:
    from numba.core import sigutils

    given = signature if isinstance(signature, str) else signature()
    arguments, result = sigutils.normalize_signature(given)
    return result(*arguments)


def _unique(compiled: Any) -> FunctionType:
    """A copy of the function whose name, and so its symbols, no other variant shares.

    Numba numbers symbols by the order of compilation: two variants of one factory that were
    cached by two processes would both be called ``tile.v1``, and the second one loaded would
    run the first one's code.
    """
    old = compiled.python
    copy = FunctionType(
        old.__code__, old.__globals__, old.__name__, old.__defaults__, old.__closure__
    )
    copy.__module__ = old.__module__
    copy.__qualname__ = f"{old.__qualname__}_{_cache.digest(compiled.identity)}"
    return copy


def _make_cache(compiled: Any, parsed: Any) -> Any:
    return _cache.make_cache(compiled.python, compiled.identity, parsed, compiled.options)


def compile_kernel(compiled: Any, *, cached: bool) -> Any:
    """Numba's dispatcher with the one signature of a kernel."""
    import numba

    parsed = _parse(compiled.signature)
    compiler = numba.njit(nogil=True, pipeline_class=pipeline(), **compiled.options)
    dispatcher = compiler(_unique(compiled))
    cache = _make_cache(compiled, parsed) if cached else None
    if cache is not None:
        dispatcher._cache = cache
    dispatcher.compile(parsed)
    dispatcher.disable_compile()
    return dispatcher


def compile_job(compiled: Any, *, cached: bool) -> Any:
    """Numba's callback, which has an address."""
    import numba

    parsed, pipe = _parse(compiled.signature), pipeline()
    with compiler_lock():
        cache = _make_cache(compiled, parsed) if cached else None
        if cache is None:
            return numba.cfunc(parsed, pipeline_class=pipe, **compiled.options)(_unique(compiled))
        from numba.core.ccallback import CFunc

        typed = (parsed.args, parsed.return_type)
        callback = CFunc(_unique(compiled), typed, {}, compiled.options, pipe)
        callback._cache = cache  # type: ignore[attr-defined]
        callback.compile()
        return callback


def register(instruction: Any) -> Any:
    """The type by which Numba knows an intrinsic of ours."""
    from numba.core.registry import cpu_target
    from numba.extending import intrinsic as numba_intrinsic

    parsed = _parse(instruction.signature)

    def typing(_context: Any, *values: Any) -> Any:
        return (parsed, generate) if len(values) == len(parsed.args) else None

    def generate(context: Any, ir_builder: Any, _signature: Any, values: Any) -> Any:
        value = instruction.builder(ir_builder, *values)
        return context.get_dummy_value() if value is None else value

    # Numba reads the number of arguments from here.
    first = inspect.Parameter("_context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    rest = inspect.signature(instruction.python).parameters.values()
    typing.__signature__ = inspect.Signature([first, *rest])  # type: ignore[attr-defined]
    typing.__name__ = instruction.python.__name__
    context = cpu_target.typing_context
    registered = numba_intrinsic(typing)
    context.refresh()
    return context.resolve_value_type(registered)
