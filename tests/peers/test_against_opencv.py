"""Borders, anchors and rounding of pictures against OpenCV."""

from typing import Any

import numpy as np
import pytest

import faltung as ft

pytestmark = pytest.mark.peers

BORDERS = {
    "symmetric": "BORDER_REFLECT",
    "reflect": "BORDER_REFLECT_101",
    "edge": "BORDER_REPLICATE",
    "wrap": "BORDER_WRAP",
    "constant": "BORDER_CONSTANT",
}


@pytest.fixture(name="cv2", scope="module")
def _cv2() -> Any:
    import cv2

    cv2.setNumThreads(1)
    return cv2


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("seed", range(20))
def test_borders(cv2: Any, border: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (int(rng.integers(2, 9)), int(rng.integers(2, 9)), 3), np.uint8)
    most = min(image.shape[:2]) - 1 if border == "reflect" else 7
    pads = [int(n) for n in rng.integers(0, most + 1, 4)]
    expected = cv2.copyMakeBorder(image, *pads, getattr(cv2, BORDERS[border]), value=(9, 9, 9))
    pairs = ((pads[0], pads[1]), (pads[2], pads[3]))
    value = 9 if border == "constant" else 0
    actual = ft.pad(image, pairs, border, value, data_format="channels_last")
    assert np.array_equal(actual, expected)


@pytest.mark.parametrize("border", [name for name in BORDERS if name != "wrap"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("seed", range(5))
def test_filter_image_is_filter2d(cv2: Any, border: str, dtype: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (17, 23, int(rng.integers(1, 4)))).astype(dtype)
    kernel = rng.integers(-3, 4, tuple(rng.integers(1, 6, 2))).astype(np.float64)
    anchor = tuple(int(rng.integers(0, k)) for k in kernel.shape)
    expected = cv2.filter2D(
        image, -1, kernel, anchor=anchor[::-1], borderType=getattr(cv2, BORDERS[border])
    )
    actual = ft.filter_image(image, kernel, border=border, anchor=anchor)
    assert np.array_equal(actual.reshape(expected.shape), expected)


@pytest.mark.parametrize("seed", range(20))
def test_morphology(cv2: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (19, 14), np.uint8)
    structure = rng.random(tuple(rng.integers(1, 3, 2) * 2 + 1)) < 0.7
    structure[structure.shape[0] // 2, structure.shape[1] // 2] = True
    element = structure.astype(np.uint8)
    eroded = ft.erode(image[None, None], structure)[0, 0]
    assert np.array_equal(eroded, cv2.erode(image, element))
    dilated = ft.dilate(image[None, None], structure[::-1, ::-1])[0, 0]
    assert np.array_equal(dilated, cv2.dilate(image, element))
