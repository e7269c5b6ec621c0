"""Streams: memory, bits, lengths, and what is refused."""

import numpy as np
import pytest

import faltung as ft


def audio(seconds, rate=48_000):
    """A tone that rises, with noise: one channel."""
    t = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(0).normal(size=t.size)
    return (np.sin(2 * np.pi * (200 + 40 * t) * t) + 0.1 * noise).astype(np.float32)[None]


def low_pass(taps):
    k = np.arange(taps) - (taps - 1) / 2
    return (np.sinc(k / 8) * np.hamming(taps) / 8).astype(np.float32)[None, None]


def test_a_causal_filter_keeps_only_its_tail():
    sound = audio(10)
    with ft.reproducible():
        smooth = ft.Conv(low_pass(101), padding="causal")
        whole = smooth(sound)
    stream = smooth.stream()
    chunks = np.split(sound, range(960, sound.shape[1], 960), axis=1)
    parts = []
    for chunk in chunks:
        parts.append(stream.push(chunk))
        assert parts[-1].shape == chunk.shape  # nothing waits
        assert stream.held <= 100
    parts.append(stream.flush())
    assert np.array_equal(np.concatenate(parts, axis=1), whole)


@pytest.mark.parametrize(
    "operator",
    [
        ft.MaxPool((4, 3), stride=(2, 1)),
        ft.Conv(np.ones((1, 1, 3, 3)), padding="same", padding_mode="reflect"),
    ],
)
def test_rows_of_a_picture_as_they_are_scanned(operator):
    picture = np.random.default_rng(1).normal(size=(1, 37, 23))
    stream = operator.stream(axis=0)
    parts = [stream.push(picture[:, row : row + 1]) for row in range(37)]
    whole = operator(picture)
    assert np.allclose(np.concatenate([*parts, stream.flush()], axis=1), whole)
    assert stream.received == 37
    assert stream.given == whole.shape[1]


def test_a_length_makes_what_depends_on_it_possible():
    x = np.arange(23.0)[None]
    for operator in (
        ft.Conv(np.ones((1, 1, 3)), stride=2, padding="same"),
        ft.AdaptiveAvgPool((5,)),
        ft.Resize((9,), mode="linear"),
        ft.LocalConv(np.ones((1, 1, 3, 21)), kernel_size=(3,)),
    ):
        with pytest.raises(ft.OptionError, match="length"):
            operator.stream().push(x)
        stream = operator.stream(length=23)
        parts = [stream.push(x[:, :11]), stream.push(x[:, 11:]), stream.flush()]
        assert np.allclose(np.concatenate(parts, axis=1), operator(x))
        assert stream.held < 23


def test_chains_stream_through_each_other():
    chain = ft.Sequential(
        ft.Conv(np.random.default_rng(0).normal(size=(4, 1, 5)), padding="causal"),
        ft.MaxPool((3,), stride=2),
        ft.Resize(scale_factor=(2,), mode="linear"),
    )
    x = np.random.default_rng(1).normal(size=(1, 57))
    for length in (None, 57):
        stream = chain.stream(length=length)
        with pytest.raises(ft.ShapeError, match="no chunk"):
            chain.stream(length=length).flush()
        parts = [stream.push(chunk) for chunk in np.split(x, (3, 4, 30), axis=1)]
        joined = np.concatenate([*parts, stream.flush()], axis=1)
        assert np.allclose(joined, chain(x))
        assert stream.held < 40


def smooth():
    return ft.Conv(np.ones((1, 2, 3))).stream()


ONE = np.ones((1, 1, 3))
WRAPPING = ft.Conv(ONE, padding=1, padding_mode="wrap")
UNPOOL = ft.MaxUnpool(np.zeros((1, 2), int), (2,))


def pushed(operator, shape, **options):
    return operator.stream(**options).push(np.ones(shape))


def begun(**options):
    stream = ft.Conv(np.ones((1, 2, 3))).stream(**options)
    stream.push(np.ones((2, 4)))
    return stream


def flushed():
    stream = begun()
    stream.flush()
    return stream


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: smooth().flush(), ft.ShapeError, "no chunk"),
        (lambda: flushed().push(np.ones((2, 1))), ft.OptionError, "flushed"),
        (lambda: flushed().flush(), ft.OptionError, "flushed"),
        (lambda: begun().push(np.ones((3, 4))), ft.ShapeError, r"\(3, 4\)"),
        (lambda: begun().push(np.ones((1, 2, 4))), ft.ShapeError, r"\(1, 2, 4\)"),
        (lambda: begun().push(np.ones((2, 4), int)), ft.DTypeError, "int64"),
        (lambda: begun(length=3), ft.ShapeError, "length is 3"),
        (lambda: begun(length=9).flush(), ft.ShapeError, "length is 9"),
        (lambda: smooth().push(np.ones((3, 4))), ft.ShapeError, "3 channels"),
        (lambda: smooth().push(3.0), ft.ShapeError, "axes"),
        (lambda: pushed(ft.Conv(ONE), (1, 4), axis=1), ft.OptionError, "axis is 1"),
        (lambda: ft.Conv(ONE).stream(axis=0.5), ft.OptionError, "axis is 0.5"),
        (lambda: ft.Conv(ONE).stream(length=-1), ft.WindowError, "length"),
        (lambda: pushed(WRAPPING, (1, 9)), ft.OptionError, "wrap"),
        (lambda: pushed(ft.Unfold((2, 2)), (1, 4, 4), axis=1), ft.OptionError, "no order"),
        (lambda: pushed(UNPOOL, (1, 2), length=2), ft.OptionError, "no order"),
    ],
)  # fmt: skip
def test_what_is_refused(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_too_little_for_the_window_is_said_at_the_end():
    stream = ft.Conv(np.ones((1, 1, 9))).stream()
    assert stream.push(np.ones((1, 4))).shape == (1, 0)
    with pytest.raises(ft.WindowError, match="kernel_size spans 9"):
        stream.flush()


def test_errors_name_the_operator():
    stream = ft.Conv([[[1.0, 2]]]).stream()
    with pytest.raises(ft.ShapeError, match=r"^Conv: no chunk was pushed"):
        stream.flush()
    stream.push([[1.0, 2]])
    with pytest.raises(ft.DTypeError, match=r"^Conv: chunk has dtype int64"):
        stream.push([[1, 2]])
    stream.flush()
    with pytest.raises(ft.OptionError, match=r"^Conv: the stream was flushed"):
        stream.push([[1.0]])
    chain = ft.Sequential(ft.MaxPool((2,)), ft.Conv([[[1.0, 2]]])).stream()
    chain.push(np.ones((1, 4)))
    chain.flush()
    with pytest.raises(ft.OptionError, match=r"^Sequential, operator 1 of 2, MaxPool: the stream"):
        chain.flush()
