"""Filters of pictures that were called before: nothing is checked again, nothing else changes."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import faltung as ft
from faltung.images import filtering
from faltung.plans._recording import recorded


def picture(shape=(40, 50), dtype="uint8", seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) * 60 + 90).clip(0, 255).astype(dtype)


def anew(image, kernel, **options):
    """The result of a call that looks nothing up."""
    with recorded():
        return ft.filter_image(image, kernel, **options)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "bool", "float32", "float64", "complex64"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"border": "constant", "cval": 1},
        {"border": "blank"},
        {"border": "wrap", "anchor": (0, 1)},
        {"flip": True, "stride": 2},
        {"stride": [2, 1]},
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [(40, 50), (30, 40, 3)], ids=str)
def test_later_calls_give_the_bits_of_the_first(shape, options, dtype):
    image = picture(shape, dtype)
    for kernel in (ft.kernels.gaussian(0.8), ft.kernels.sobel(0), np.ones((2, 3), "int8")):
        for data in (image, np.asfortranarray(image), image[::-1]):
            expected = anew(data, kernel, **options)
            for _ in range(3):
                result = ft.filter_image(data, kernel, **options)
                assert result.dtype == expected.dtype
                assert result.tobytes() == expected.tobytes()


def test_a_known_call_is_checked_no_more(monkeypatch):
    images = [picture(), picture(dtype="float32"), picture((30, 30, 3))]
    kernel = ft.kernels.gaussian(1)
    expected = [ft.filter_image(image, kernel) for image in images]

    def refuse(*arguments):
        raise AssertionError("checked again")

    monkeypatch.setattr(filtering, "as_picture", refuse)
    for image, result in zip(images, expected, strict=True):
        assert np.array_equal(ft.filter_image(image, kernel.copy()), result)


def test_kernels_are_known_by_their_values():
    image, kernel = picture(), np.zeros((3, 3))
    kernel[1, 1] = 1
    assert np.array_equal(ft.filter_image(image, kernel), image)
    assert np.array_equal(ft.filter_image(image, kernel), image)
    kernel[...] = 0
    assert not ft.filter_image(image, kernel).any()
    kernel[1, 1] = np.nan
    with np.errstate(all="ignore"):
        assert not ft.filter_image(image, kernel).any()
    assert np.array_equal(ft.filter_image(image, np.eye(1)), image)
    swapped = np.eye(3)[:, ::-1].astype(">f8")
    assert np.array_equal(ft.filter_image(image, swapped), anew(image, swapped))


def test_pixels_are_seen_each_time_and_results_are_new():
    image, kernel = picture(), ft.kernels.box(3)
    first = ft.filter_image(image, kernel)
    kept = first.copy()
    image[...] = 7
    assert (ft.filter_image(image, kernel) == 7).all()
    assert np.array_equal(first, kept)


def test_what_counts_as_another_call():
    image, kernel = picture(), ft.kernels.box(3)

    def key(image=image, kernel=kernel, **options):
        given = {"cval": 0, "stride": 1, "flip": False, "dtype": None, **options}
        return filtering._key_of(image, kernel, tuple(given.values()))

    keys = [
        key(),
        key(image[::-1]),
        key(image.astype("i2")),
        key(image[:-1]),
        key(kernel=kernel.T.astype("f4")),
        key(kernel=kernel.reshape(1, 9)),
        key(kernel=kernel * 2),
        *(key(cval=value) for value in (False, 0.0, -0.0, 1, True, np.nan)),
        *(key(stride=value) for value in (True, 1.0, (1, 1), (1, True), [1, 1])),
        key(flip=0),
        key(dtype="uint8"),
    ]
    with ft.reproducible():
        keys.append(key())
    assert None not in keys
    assert len(set(keys)) == len(keys)
    assert key(image.copy(), kernel.copy()) == keys[0]
    assert key(np.ma.masked_array(image)) is None
    assert key(kernel=kernel.tolist()) is None
    assert key(stride=np.array([1, 1])) is None
    assert key(kernel=np.ones((40, 40))) is None


def test_faults_are_found_after_good_calls():
    image, kernel = picture(), ft.kernels.box(3)
    for _ in range(2):
        ft.filter_image(image, kernel)
    wrong = [{"stride": True}, {"flip": "no"}, {"anchor": (0, 3)}, {"border": "nowhere"}]
    for options in [*wrong, {"dtype": "object"}, {"normalize": None}]:
        for _ in range(2):
            with pytest.raises(ft.FaltungError, match="filter_image"):
                ft.filter_image(image, kernel, **options)
    with pytest.raises(ft.ShapeError, match="image has 1 axes"):
        ft.filter_image(image[0], kernel)


def test_pictures_that_are_not_aligned():
    image, kernel = picture(dtype="int16"), ft.kernels.gaussian(1)
    expected = ft.filter_image(image, kernel)
    shifted = np.zeros(image.nbytes + 1, np.uint8)[1:].view(np.int16).reshape(image.shape)
    shifted[...] = image
    for _ in range(3):
        assert np.array_equal(ft.filter_image(shifted, kernel), expected)


def test_memory_does_not_grow_with_kernels():
    image = picture((20, 20))
    for number in range(filtering.KEPT + 20):
        ft.filter_image(image, np.full((5, 5), number / 1000))
    assert len(filtering._known) <= filtering.KEPT


def test_threads_share_what_is_known():
    images, kernel, wrong = [picture(seed=seed) for seed in range(4)], ft.kernels.gaussian(1), []
    expected = [anew(image, kernel) for image in images]

    def call_often(number):
        for turn in range(100):
            at = (number + turn) % len(images)
            if not np.array_equal(ft.filter_image(images[at], kernel), expected[at]):
                wrong.append(at)

    threads = [threading.Thread(target=call_often, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
