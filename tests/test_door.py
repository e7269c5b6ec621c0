"""The door: a function's own name in front of what went wrong inside."""

from __future__ import annotations

import inspect

import pytest

from faltung._door import door
from faltung.errors import ResourceError, WindowError


@door
def polish(error: Exception | None, *, times: int = 1) -> int:
    """Polish."""
    if error is not None:
        raise error
    return times


def test_errors_from_inside_carry_the_name_of_the_function() -> None:
    inner = WindowError("size is 0", "Use 1", "conv", "x (1, 1, 8)")
    with pytest.raises(WindowError) as caught:
        polish(inner)
    assert str(caught.value) == "polish: size is 0. Use 1"


def test_exhausted_memory_becomes_a_resource_error() -> None:
    with pytest.raises(ResourceError, match=r"^polish: no room for 3 GiB\. Work in parts"):
        polish(MemoryError("no room for 3 GiB"))
    with pytest.raises(ResourceError, match="exhausted"):
        polish(MemoryError())


def test_everything_else_passes() -> None:
    assert polish(None, times=3) == 3
    with pytest.raises(KeyboardInterrupt):
        polish(KeyboardInterrupt())
    with pytest.raises(TypeError, match="unexpected keyword"):
        polish(None, often=3)  # type: ignore[call-arg]
    assert (
        str(inspect.signature(polish))
        == "(error: 'Exception | None', *, times: 'int' = 1) -> 'int'"
    )
    assert polish.__doc__ == "Polish."
