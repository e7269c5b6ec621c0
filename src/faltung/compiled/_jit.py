"""The one door to the compiler: kernels, jobs and instructions, compiled when first needed.

Importing this module does not import Numba. There are three decorators, and none of them compiles:

``@kernel("void(intp, float32[:, ::1])")``
    a function that Python or other kernels call, without the interpreter's lock.
``@job`` or ``@job(key=...)``
    a function ``(thread, arguments, job)`` of three integers whose `Job.address` the thread pool
    calls; `arguments` is the address of a block of 64-bit integers.
``@intrinsic("intp(intp, intp)", builder)``
    one piece of LLVM beside its meaning: the decorated function says in Python what
    ``builder(ir_builder, *values)`` emits. Compiled code uses the second, everything else the
    first. A builder imports ``llvmlite.ir`` inside itself and returns the value (None for void).
    In place of the string a function without arguments may give the Numba signature, for types
    that have no name.

The three may call each other by global name or from a closure. What a factory makes (a kernel that
closes over a tile size) is told apart in the cache by the numbers, strings, types and functions in
its closure; `key` names it where the closure holds anything else. A kernel must not freeze
module constants that depend on the machine or the environment: the cache knows the source files,
not the values.

Without Numba, or with ``NUMBA_DISABLE_JIT=1``, `available` is False and the plain functions run.
"""

from __future__ import annotations

import logging  # noqa: F401  see _before_fork
import os
import threading
from collections.abc import Callable, Iterable
from functools import update_wrapper
from types import FunctionType
from typing import Any, TypeVar, overload

from faltung.compiled import _cache, machine
from faltung.compiled._log import warn_once
from faltung.compiled._pipeline import pipeline
from faltung.errors import OptionError

__all__ = [
    "FLAGS",
    "Intrinsic",
    "Job",
    "Kernel",
    "available",
    "intrinsic",
    "job",
    "kernel",
    "unavailable_reason",
]

# Freedoms of rounding that change no special value; nnan and ninf would lose a user's NaN.
FLAGS = frozenset({"contract", "nsz"})

_JOB_SIGNATURE = "void(intp, intp, intp)"

_reason: str | None = None  # why Numba cannot be used, "" if it can, None before the first look
_loading = threading.RLock()
_compiler_lock: Any = None  # Numba's, once it is loaded


def unavailable_reason() -> str:
    """Why nothing can be compiled here, or an empty string if it can; loads Numba."""
    global _reason  # noqa: PLW0603
    if _reason is None:
        with _loading:
            if _reason is None:
                _reason = _load_numba()
                if _reason:
                    message = f"compiled kernels are off, NumPy does the work: {_reason}"
                    warn_once("numba", message)
    return _reason


def available() -> bool:
    """Whether kernels can be compiled; loads Numba to find out."""
    return not unavailable_reason()


def _load_numba() -> str:
    global _compiler_lock  # noqa: PLW0603
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in {"", "0"}:
        return "NUMBA_DISABLE_JIT is set"
    machine.limit_compiler()
    try:
        import numba
        from numba.core.compiler_lock import global_compiler_lock
    except Exception as error:  # noqa: BLE001  a broken Numba must not take NumPy's paths with it
        return f"Numba cannot be imported ({error})"
    if numba.config.DISABLE_JIT:
        return "numba.config.DISABLE_JIT is set"
    _compiler_lock = global_compiler_lock
    return ""


def _before_fork() -> None:
    """Let other threads end what they load and compile: a child would wait for ever for them.

    Of such hooks the last one registered runs first. Logging is imported before ours is, because
    who waits here while holding logging's lock waits for a compiler that may want to log.
    """
    _loading.acquire()
    if _compiler_lock is not None:
        _compiler_lock.acquire()


def _after_fork() -> None:
    if _compiler_lock is not None:
        _compiler_lock.release()
    _loading.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )


def is_bounds_checked() -> bool:
    """Whether kernels check every index: FALTUNG_BOUNDSCHECK or NUMBA_BOUNDSCHECK is set."""
    names = ("FALTUNG_BOUNDSCHECK", "NUMBA_BOUNDSCHECK")
    return any(os.environ.get(name, "0") not in {"", "0"} for name in names)


def _parse(signature: str | Callable[[], Any]) -> Any:
    from numba.core import sigutils

    given = signature if isinstance(signature, str) else signature()
    arguments, result = sigutils.normalize_signature(given)
    return result(*arguments)


def _identify(function: FunctionType) -> str:
    """A name for `function` that differs where the closure or the defaults differ."""
    cells = [_describe(cell.cell_contents, function) for cell in function.__closure__ or ()]
    defaults = [_describe(value, function) for value in function.__defaults__ or ()]
    return f"{function.__module__}.{function.__qualname__}({', '.join(cells + defaults)})"


def _describe(value: Any, owner: FunctionType) -> str:
    if isinstance(value, (Kernel, Job, Intrinsic)):
        return value.identity
    if isinstance(value, FunctionType):
        return _identify(value)
    if isinstance(value, (tuple, list)):
        return f"({', '.join(_describe(item, owner) for item in value)})"
    if value is None or isinstance(value, (int, float, complex, str, bytes, type)):
        return repr(value)
    if type(value).__module__.partition(".")[0] in {"llvmlite", "numpy", "numba"}:
        return f"{type(value).__name__} {value}"
    raise OptionError(
        f"key: {owner.__qualname__} closes over {value!r}, which the cache cannot name",
        "Pass key=, a string that differs for every variant",
    )


class _Compiled:
    """A Python function and, once somebody needs it, its compiled form."""

    _native: Any = None

    def __init__(self, python: FunctionType, signature: str, flags: Iterable[str], key: str):
        unknown = set(flags) - FLAGS
        if unknown:
            raise OptionError(
                f"flags has {', '.join(sorted(unknown))}",
                f"Allowed are {', '.join(sorted(FLAGS))}",
            )
        self.python = python
        self.signature = signature
        self.flags = frozenset(flags)
        self.identity = f"{python.__module__}.{python.__qualname__}[{key}]" if key else ""
        self.identity = self.identity or _identify(python)
        update_wrapper(self, python)  # type: ignore[arg-type]  # called in the subclasses

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {self.identity}>"

    def _options(self) -> dict[str, Any]:
        return {
            "error_model": "numpy",
            "fastmath": set(self.flags),
            "boundscheck": True if is_bounds_checked() else None,
        }

    def _unique(self) -> FunctionType:
        """A copy of the function whose name, and so its symbols, no other variant shares.

        Numba numbers symbols by the order of compilation: two variants of one factory that were
        cached by two processes would both be called ``tile.v1``, and the second one loaded would
        run the first one's code.
        """
        old = self.python
        copy = FunctionType(
            old.__code__, old.__globals__, old.__name__, old.__defaults__, old.__closure__
        )
        copy.__module__ = old.__module__
        copy.__qualname__ = f"{old.__qualname__}_{_cache.digest(self.identity)}"
        return copy

    def _compile(self, *, cached: bool) -> Any:
        raise NotImplementedError

    def _load(self) -> Any:
        """The compiled form, made now if nobody needed it before."""
        available()  # limits come before the first compilation, whoever asks for it
        # Numba's own lock and not another one: two locks could be taken in two orders.
        with _compiler_lock:
            if self._native is None:
                self._native = self._compile(cached=True)
        return self._native

    def _cache(self, parsed: Any) -> Any:
        options = sorted(f"{name}={value}" for name, value in self._options().items())
        return _cache.make_cache(self.python, self.identity, parsed, tuple(options))


class Kernel(_Compiled):
    """A compiled function that runs without the interpreter's lock; see `kernel`."""

    @property
    def function(self) -> Callable[..., Any]:
        """The quickest callable: the compiled function, or the Python one without Numba."""
        if self._native is None and not available():
            return self.python
        return self._native or self._load()  # type: ignore[no-any-return]

    def __call__(self, *arguments: Any) -> Any:
        return (self._native or self.function)(*arguments)

    @property
    def _numba_type_(self) -> Any:  # how Numba asks what a global is
        return self._load()._numba_type_

    def _compile(self, *, cached: bool) -> Any:
        import numba

        parsed = _parse(self.signature)
        compiler = numba.njit(nogil=True, pipeline_class=pipeline(), **self._options())
        dispatcher = compiler(self._unique())
        cache = self._cache(parsed) if cached else None
        if cache is not None:
            dispatcher._cache = cache
        dispatcher.compile(parsed)
        dispatcher.disable_compile()
        return dispatcher

    def assembly(self) -> str:
        """The machine code as text, compiled anew."""
        available()
        return "\n".join(self._compile(cached=False).inspect_asm().values())


class Job(_Compiled):
    """A compiled ``(thread, arguments, job)`` with an address; see `job`."""

    @property
    def address(self) -> int:
        """The address of the compiled function, or 0 without Numba."""
        if self._native is None and not available():
            return 0
        return (self._native or self._load()).address  # type: ignore[no-any-return]

    def __call__(self, thread: int, arguments: int, job: int) -> None:
        self.python(thread, arguments, job)

    def _compile(self, *, cached: bool) -> Any:
        import numba

        parsed, pipe = _parse(self.signature), pipeline()
        cache = self._cache(parsed) if cached else None
        if cache is None:
            return numba.cfunc(parsed, pipeline_class=pipe, **self._options())(self._unique())
        from numba.core.ccallback import CFunc

        typed = (parsed.args, parsed.return_type)
        callback = CFunc(self._unique(), typed, {}, self._options(), pipe)
        callback._cache = cache  # type: ignore[attr-defined]
        callback.compile()
        return callback

    def assembly(self) -> str:
        """The machine code as text, compiled anew."""
        available()
        return str(self._compile(cached=False)._library.get_asm_str())


class Intrinsic:
    """An LLVM fragment and its meaning in Python; see `intrinsic`."""

    def __init__(
        self,
        meaning: FunctionType,
        signature: str | Callable[[], Any],
        builder: Callable[..., Any],
        key: str,
    ):
        self.python = meaning
        self.identity = f"{meaning.__module__}.{meaning.__qualname__}[{key}]"
        if not key:
            assert isinstance(builder, FunctionType)
            self.identity = f"{_identify(meaning)}={_identify(builder)}"
        self._signature, self._builder = signature, builder
        self._type: Any = None
        update_wrapper(self, meaning)

    def __call__(self, *arguments: Any) -> Any:
        return self.python(*arguments)

    def __repr__(self) -> str:
        return f"<intrinsic {self.identity}>"

    @property
    def _numba_type_(self) -> Any:
        if self._type is None:
            self._type = self._register()
        return self._type

    def _register(self) -> Any:
        import inspect

        from numba.core.registry import cpu_target
        from numba.extending import intrinsic as numba_intrinsic

        parsed = _parse(self._signature)

        def typing(_context: Any, *values: Any) -> Any:
            return (parsed, generate) if len(values) == len(parsed.args) else None

        def generate(context: Any, ir_builder: Any, _signature: Any, values: Any) -> Any:
            value = self._builder(ir_builder, *values)
            return context.get_dummy_value() if value is None else value

        # Numba reads the number of arguments from here.
        first = inspect.Parameter("_context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        rest = inspect.signature(self.python).parameters.values()
        typing.__signature__ = inspect.Signature([first, *rest])  # type: ignore[attr-defined]
        typing.__name__ = self.python.__name__
        context = cpu_target.typing_context
        registered = numba_intrinsic(typing)
        context.refresh()
        return context.resolve_value_type(registered)


def kernel(
    signature: str, *, flags: Iterable[str] = (), key: str = ""
) -> Callable[[Callable[..., Any]], Kernel]:
    """Compile the decorated function for `signature` when it is first called.

    Parameters
    ----------
    signature : str
        Numba's spelling, ``"intp(intp, float32[:, ::1])"``; there is exactly one.
    flags : subset of {"contract", "nsz"}
        Freedoms of rounding.
    key : str
        The variant's name where the closure holds what the cache cannot name.
    """
    return lambda python: Kernel(_as_function(python), signature, flags, key)


@overload
def job(python: Callable[[int, int, int], None], /) -> Job: ...
@overload
def job(
    *, flags: Iterable[str] = (), key: str = ""
) -> Callable[[Callable[[int, int, int], None]], Job]: ...
def job(
    python: Callable[[int, int, int], None] | None = None,
    /,
    *,
    flags: Iterable[str] = (),
    key: str = "",
) -> Any:
    """Compile the decorated ``(thread, arguments, job)`` when its address is first needed."""
    if python is not None:
        return Job(_as_function(python), _JOB_SIGNATURE, flags, key)
    return lambda function: Job(_as_function(function), _JOB_SIGNATURE, flags, key)


_Meaning = TypeVar("_Meaning", bound=Callable[..., Any])


def intrinsic(
    signature: str | Callable[[], Any], builder: Callable[..., Any], *, key: str = ""
) -> Callable[[_Meaning], _Meaning]:
    """Pair the decorated Python meaning with the LLVM that `builder` emits.

    Typed as the meaning itself, because that is what callers in Python see.
    """
    return lambda meaning: Intrinsic(  # type: ignore[return-value]
        _as_function(meaning), signature, builder, key
    )


def _as_function(python: Callable[..., Any]) -> FunctionType:
    assert isinstance(python, FunctionType), f"{python!r} is not a plain function"
    return python
