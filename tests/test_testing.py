"""The checks can fail: each is shown an operator that breaks the promise it is about."""

import numpy as np
import pytest

import faltung as ft
from faltung import Conv, testing

X = np.arange(-12, 12).reshape(2, 1, 3, 4)


class Broken(Conv):
    """A convolution whose call is spoilt by `spoil(x, y)`."""

    __slots__ = ()
    spoil = staticmethod(lambda x, y: y)

    def __call__(self, x, out=None):
        y = self.spoil(np.asarray(x), super().__call__(x))
        if out is None:
            return y
        out[...] = y
        return out


def spoilt(spoil):
    kind = type("Spoilt", (Broken,), {"__slots__": (), "spoil": staticmethod(spoil)})
    return kind([[[[1, -1]]]])


calls = iter(range(10**6))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda x, y: y + 1, "differs from the reference"),
        (lambda x, y: y[..., :1], "output_shape differs"),
        (lambda x, y: y + (next(calls) > 0), "a second call|differs from the reference"),
        (lambda x, y: y if x.flags.c_contiguous else y + 1, "strided input"),
        (lambda x, y: y if x.dtype.isnative else y * 2, "byte-swapped"),
        (lambda x, y: y if x.flags.writeable else y + 1, "read-only"),
        (lambda x, y: y if x.ndim == 4 else y * 2, "without batch axis"),
        (lambda x, y: y if abs(x).max() in (0, 12) else abs(y), "is not linear"),
    ],
)
def test_broken_promises_are_found(spoil, words):
    with pytest.raises(AssertionError, match=words):
        testing.check_operator(spoilt(spoil), X)


class Turned(Conv):
    """A convolution with a wrong adjoint."""

    __slots__ = ()

    def adjoint(self, input_shape):
        exact = super().adjoint(input_shape)
        return lambda g: exact(g) * 2


@pytest.mark.parametrize("dtype", ["int64", "float64", "complex128"])
def test_a_wrong_adjoint_is_found(dtype):
    with pytest.raises(AssertionError, match="fails the dot test"):
        testing.check_operator(Turned([[[[1, -1]]]]), X.astype(dtype))


def test_a_changed_input_is_found():
    def change(x, y):
        if x.flags.writeable:
            x += 1
        return y

    with pytest.raises(AssertionError, match="input was changed"):
        testing.check_operator(spoilt(change), X.copy())


def test_a_sound_operator_passes():
    testing.check_operator(Conv([[[[1, -1]]]], padding="same"), X)


def test_the_bound_is_sharp_enough_to_fail():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 4, 9, 9)).astype("f4")
    weight = rng.standard_normal((2, 4, 3, 3)).astype("f4")
    y = ft.conv2d(x, weight)
    exact = ft.conv2d(x, weight, dtype="float64")
    exact = ft.conv2d(x.astype("f8"), weight.astype("f8"))
    magnitude = ft.conv2d(abs(x).astype("f8"), abs(weight).astype("f8"))
    testing.assert_within_bound(y, exact, magnitude, 36)
    with pytest.raises(AssertionError, match="expected"):
        testing.assert_within_bound((y * (1 + 2e-5)).astype("f4"), exact, magnitude, 36)
    with pytest.raises(AssertionError, match="shape"):
        testing.assert_within_bound(y[:, :1], exact, magnitude, 36)
