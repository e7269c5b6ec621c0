"""The one door to the compiler: kernels, jobs and instructions, compiled when first needed.

Importing it imports neither Numba nor LLVM. There are three decorators, and none compiles:

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

Kernels over numbers and addresses are translated here (`_translate`), without Numba's search for
what a function could mean; it compiles the others.

Without Numba, or with ``NUMBA_DISABLE_JIT=1``, `available` is False and the plain functions run.
"""

from __future__ import annotations

import contextlib
import logging  # noqa: F401  see _before_fork
import os
import sys
import threading
from collections.abc import Callable, Iterable
from functools import update_wrapper
from importlib.util import find_spec
from types import FunctionType
from typing import Any, TypeVar, overload

from faltung.compiled import _cache, _entry, _native, machine
from faltung.compiled._identity import identify
from faltung.compiled._log import warn_once
from faltung.compiled._native import Effort
from faltung.compiled._translate import translate
from faltung.compiled._values import UntranslatableError, parse
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

_reason: str | None = None  # why nothing can be compiled; "" if it can, None before the look
_loading = threading.RLock()
# Taken before Numba's own lock and never inside it: two locks must not be taken in two orders.
_compiling = threading.RLock()


def unavailable_reason() -> str:
    """Why nothing can be compiled here, or an empty string if it can; loads LLVM, not Numba."""
    global _reason  # noqa: PLW0603
    if _reason is None:
        with _loading:
            if _reason is None:
                _reason = _look_for_compiler()
                if _reason:
                    message = f"compiled kernels are off, NumPy does the work: {_reason}"
                    warn_once("numba", message)
    return _reason


def available() -> bool:
    """Whether kernels can be compiled; loads LLVM to find out."""
    return not unavailable_reason()


def _look_for_compiler() -> str:
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in {"", "0"}:
        return "NUMBA_DISABLE_JIT is set"
    if not machine.allows_machine_code():
        return "this process may not make memory executable"
    machine.limit_compiler()
    try:
        # Numba itself, which takes a third of a second, is imported when it has something to do.
        if sys.modules.get("numba", find_spec("numba")) is None:
            return "Numba cannot be imported (there is no such module)"
        import llvmlite.binding  # noqa: F401
    except Exception as error:  # noqa: BLE001  a broken Numba must not take NumPy's paths with it
        return f"Numba cannot be imported ({error})"
    if getattr(getattr(sys.modules.get("numba"), "config", None), "DISABLE_JIT", 0):
        return "numba.config.DISABLE_JIT is set"
    return ""


def _numba_lock() -> Any:
    """Numba's own lock, if it is loaded."""
    loaded = sys.modules.get("numba.core.compiler_lock")
    return getattr(loaded, "global_compiler_lock", None)


_held_lock: Any = None  # Numba's, while a process forks


def _before_fork() -> None:
    """Let other threads end what they load and compile: a child would wait for ever for them.

    Of such hooks the last one registered runs first. Logging is imported before ours is, because
    who waits here while holding logging's lock waits for a compiler that may want to log.
    """
    global _held_lock  # noqa: PLW0603
    _loading.acquire()
    _compiling.acquire()
    _held_lock = _numba_lock()
    if _held_lock is not None:
        _held_lock.acquire()


def _after_fork() -> None:
    if _held_lock is not None:
        _held_lock.release()
    _compiling.release()
    _loading.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )


class _Compiled:
    """A Python function and, once somebody needs it, its compiled form."""

    _native: Any = None
    _effort = Effort()

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
        self.identity = self.identity or identify(python)
        update_wrapper(self, python)  # type: ignore[arg-type]  # called in the subclasses

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {self.identity}>"

    @property
    def symbol(self) -> str:
        """The name of its machine code, which no other variant shares."""
        return f"{self.python.__name__}_{_cache.digest(f'{self.identity} {self.signature}')}"

    @property
    def options(self) -> dict[str, Any]:
        """What Numba is told; all of it tells files of the cache apart."""
        return {
            "error_model": "numpy",
            "fastmath": set(self.flags),
            # Kernels go by addresses, which nobody can check; guard pages in the tests do.
            "boundscheck": False,
        }

    def _compile(self, *, cached: bool) -> Any:
        raise NotImplementedError

    def _load(self) -> Any:
        """The compiled form, made now if nobody needed it before."""
        with _compiling:
            if self._native is None:
                self._native = self._compile(cached=True)
        return self._native

    def _text(self, *, with_entry: bool) -> str:
        """Its LLVM, or UntranslatableError where only Numba knows what the function means."""
        if not _cache.stamp_of(self.python):
            raise UntranslatableError("the source is not that of this process")
        return translate(self, with_entry=with_entry)

    def _link(self, symbol: str, *, cached: bool) -> int:
        """The address of a symbol of its machine code, which comes from the cache if it can."""
        parse(self.signature)
        if self.flags:
            raise UntranslatableError("freedoms of rounding")
        file = _cache.object_file(self.python, self.symbol, self.options) if cached else None
        code = _cache.read(file) if file else None
        if code is not None:
            with contextlib.suppress(RuntimeError):  # whatever it is, compiling is the cure
                return _native.address_of(symbol, code)
        text = self._text(with_entry=isinstance(self, Kernel))
        code = _native.compile_object(text, self._effort)
        if file:
            _cache.write(file, code)
        return _native.address_of(symbol, code)


class Kernel(_Compiled):
    """A compiled function that runs without the interpreter's lock; see `kernel`."""

    _dispatcher: Any = None

    @property
    def function(self) -> Callable[..., Any]:
        """The quickest callable: the compiled function, or the Python one without Numba."""
        if self._native is None and not available():
            return self.python
        return self._native or self._load()  # type: ignore[no-any-return]

    def __call__(self, *arguments: Any) -> Any:
        return (self._native or self.function)(*arguments)

    def _numba(self) -> Any:
        from faltung.compiled import _numba

        with _numba.compiler_lock():
            if self._dispatcher is None:
                self._dispatcher = _numba.compile_kernel(self, cached=True)
        return self._dispatcher

    @property
    def _numba_type_(self) -> Any:  # how Numba asks what a global is
        return self._numba()._numba_type_

    def _compile(self, *, cached: bool) -> Any:
        try:
            address = self._link(self.symbol + _entry.MARK, cached=cached)
        except UntranslatableError:
            try:
                return self._numba()
            except ImportError as error:  # it is there, and broken
                warn_once("numba", f"a kernel runs uncompiled: Numba cannot be imported ({error})")
                return self.python
        return _entry.callable_at(address, self.python.__name__)

    def assembly(self) -> str:
        """The machine code as text, compiled anew."""
        available()
        try:
            return _native.assembly(self._text(with_entry=False), self._effort)
        except UntranslatableError:
            from faltung.compiled import _numba

            dispatcher = _numba.compile_kernel(self, cached=False)
            return "\n".join(dispatcher.inspect_asm().values())


class Job(_Compiled):
    """A compiled ``(thread, arguments, job)`` with an address; see `job`."""

    def __init__(self, python: FunctionType, flags: Iterable[str], key: str, effort: Effort):
        super().__init__(python, _JOB_SIGNATURE, flags, key)
        self._effort = effort

    @property
    def address(self) -> int:
        """The address of the compiled function, or 0 without Numba."""
        if self._native is None and not available():
            return 0
        return self._native or self._load()  # type: ignore[no-any-return]

    def __call__(self, thread: int, arguments: int, job: int) -> None:
        self.python(thread, arguments, job)

    def _compile(self, *, cached: bool) -> Any:
        try:
            return self._link(self.symbol, cached=cached)
        except UntranslatableError:
            return self._callback(cached=cached).address

    def _callback(self, *, cached: bool) -> Any:
        from faltung.compiled import _numba

        callback = _numba.compile_job(self, cached=cached)
        _callbacks.append(callback)  # its code lives as long as it does
        return callback

    def assembly(self) -> str:
        """The machine code as text, compiled anew."""
        available()
        try:
            return _native.assembly(self._text(with_entry=False), self._effort)
        except UntranslatableError:
            return str(self._callback(cached=False)._library.get_asm_str())


_callbacks: list[Any] = []


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
            self.identity = f"{identify(meaning)}={identify(builder)}"
        self.signature, self.builder = signature, builder
        self._type: Any = None
        update_wrapper(self, meaning)

    def __call__(self, *arguments: Any) -> Any:
        return self.python(*arguments)

    def __repr__(self) -> str:
        return f"<intrinsic {self.identity}>"

    @property
    def _numba_type_(self) -> Any:
        if self._type is None:
            from faltung.compiled import _numba

            self._type = _numba.register(self)
        return self._type


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
    *, flags: Iterable[str] = (), key: str = "", level: int = 3, unrolled: bool = True
) -> Callable[[Callable[[int, int, int], None]], Job]: ...
def job(
    python: Callable[[int, int, int], None] | None = None,
    /,
    *,
    flags: Iterable[str] = (),
    key: str = "",
    **effort: Any,
) -> Any:
    """Compile the decorated ``(thread, arguments, job)`` when its address is first needed.

    Where `unrolled` is false, LLVM repeats no bodies of loops, which is most of the work with many
    of them; on a `level` below 3 it copies fewer functions to where they are called.
    """
    if python is not None:
        return Job(_as_function(python), flags, key, Effort())
    return lambda function: Job(_as_function(function), flags, key, Effort(**effort))


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
