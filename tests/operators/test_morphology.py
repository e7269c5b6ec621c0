"""Grey morphology against scipy.ndimage, whose border is put where it takes no part."""

import numpy as np
import pytest
from scipy import ndimage

import faltung as ft

FUNCTIONS = {
    "erode": (ft.erode, ndimage.grey_erosion, np.inf),
    "dilate": (ft.dilate, ndimage.grey_dilation, -np.inf),
}


def peer(name, x, structure):
    """scipy.ndimage on every channel."""
    _, function, outside = FUNCTIONS[name]
    how = {"footprint": structure} if structure.dtype == bool else {"structure": structure}
    return np.array(
        [[function(plane, mode="constant", cval=outside, **how) for plane in some] for some in x]
    )


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("seed", range(80))
def test_against_ndimage(name, seed):
    rng = np.random.default_rng(seed)
    for _ in range(4):
        rank = int(rng.integers(1, 4))
        x = rng.integers(-9, 10, (2, 2, *rng.integers(1, 8, rank))).astype(float)
        kernel = rng.integers(1, 5, rank)
        if rng.random() < 0.5:
            structure = rng.random(kernel) < 0.6
            structure[tuple(kernel // 2)] = True  # or some window could see nothing
        else:
            structure = rng.integers(-4, 5, kernel).astype(float)
        expected = peer(name, x, structure)
        assert np.array_equal(FUNCTIONS[name][0](x, structure), expected)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("sides", [(2, 2), (4, 1), (2, 3), (4, 6)])
def test_even_sides_are_centred_as_in_ndimage(name, sides):
    x = np.random.default_rng(0).normal(size=(1, 1, 9, 8))
    for structure in (np.ones(sides, bool), np.random.default_rng(1).normal(size=sides)):
        assert np.array_equal(FUNCTIONS[name][0](x, structure), peer(name, x, structure))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_stride_and_dilation_pick_from_the_dense_result(name):
    rng = np.random.default_rng(2)
    function = FUNCTIONS[name][0]
    x = rng.normal(size=(2, 3, 12, 11))
    structure = rng.normal(size=(3, 2))
    wide = np.full((5, 4), -np.inf)
    wide[::2, ::3] = structure
    dense = function(x, wide, padding="valid")
    y = function(x, structure, padding="valid", dilation=(2, 3), stride=(3, 2))
    assert np.array_equal(y, dense[:, :, ::3, ::2])


def test_erosion_is_the_dual_of_dilation():
    rng = np.random.default_rng(3)
    x, structure = rng.normal(size=(1, 2, 6, 7)), rng.normal(size=(3, 5))
    mirrored = structure[::-1, ::-1]
    assert np.array_equal(ft.erode(x, structure), -ft.dilate(-x, mirrored))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "float16", "float32", "bool"])
def test_a_flat_structure_keeps_the_dtype(dtype):
    x = np.random.default_rng(4).integers(0, 2, (1, 1, 6, 6)).astype(dtype)
    structure = np.array([[False, True], [True, True]])
    for name, (function, *_) in FUNCTIONS.items():
        y = function(x, structure)
        assert y.dtype == np.dtype(dtype)
        assert np.array_equal(y.astype(float), peer(name, x.astype(float), structure))


def test_cells_outside_take_no_part_at_the_ends_of_integers():
    lowest = np.full((1, 1, 4), -128, np.int8)
    heights = np.array([0, 0, 0], np.int8)
    assert ft.dilate(lowest, heights).tolist() == [[[-128] * 4]]
    assert ft.erode(np.full((1, 1, 4), 255, np.uint8), heights.astype(np.uint8)).min() == 255
    # Taller at the sides than any cell outside could be small.
    assert ft.dilate(lowest, np.array([100, 0, 100], np.int8)).tolist() == [[[-28] * 4]]


def test_sums_of_integers_wrap_unless_a_wider_dtype_is_asked_for():
    x, heights = np.full((1, 1, 1), 250, np.uint8), np.array([10], np.uint8)
    assert ft.dilate(x, heights).item() == 4
    assert ft.dilate(x, heights, dtype="uint16").item() == 260


def test_special_values():
    x = np.array([[[1.0, np.nan, 3.0, -np.inf, 5.0, np.inf]]])
    flat = np.ones(2, bool)
    expected = [1, np.nan, np.nan, -np.inf, -np.inf, 5]
    assert np.array_equal(ft.erode(x, flat)[0, 0], expected, equal_nan=True)
    assert np.array_equal(
        ft.dilate(x, flat)[0, 0], [np.nan, np.nan, 3, 5, np.inf, np.inf], equal_nan=True
    )
    alone = np.full((1, 1, 3), -np.inf)
    assert ft.dilate(alone, np.ones(3)).tolist() == [[[-np.inf] * 3]]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_windows_that_see_no_cell_are_refused_and_nothing_is_written(name):
    function = FUNCTIONS[name][0]
    x, out = np.ones((1, 1, 4, 4)), np.full((1, 1, 4, 4), 7.0)
    corner = np.zeros((3, 3), bool)
    corner[0, 0] = True
    for structure in (corner, np.zeros((3, 3), bool)):
        with pytest.raises(ft.WindowError, match=r"structure uses [01] of its 9 cells"):
            function(x, structure, out=out)
    assert (out == 7).all()
    assert function(x, corner, padding="valid").shape == (1, 1, 2, 2)
    with pytest.raises(ft.WindowError, match="sees no cell of the input"):
        function(x, np.ones((3, 3)), padding=3)


@pytest.mark.parametrize("seed", range(60))
def test_which_windows_see_a_cell(seed):
    rng = np.random.default_rng(seed)
    x = np.ones((1, 1, *rng.integers(1, 6, 2)))
    structure = rng.random(rng.integers(1, 5, 2)) < 0.5
    window = {"padding": "full", "stride": tuple(rng.integers(1, 4, 2).tolist())}
    # What ndimage's own outside value reaches, sees nothing.
    wide = np.pad(x[0, 0], [(k - 1, k - 1) for k in structure.shape], constant_values=np.inf)
    views = np.lib.stride_tricks.sliding_window_view(wide, structure.shape)
    views = views[:: window["stride"][0], :: window["stride"][1]]
    sees = np.isfinite(views[..., structure]).any(axis=-1)
    if sees.all():
        assert np.array_equal(ft.erode(x, structure, **window), np.ones((1, 1, *sees.shape)))
    else:
        with pytest.raises(ft.WindowError, match="in some window none"):
            ft.erode(x, structure, **window)


def test_blocks_give_what_one_block_gives():
    x = np.random.default_rng(5).normal(size=(1, 2, 400, 300)).astype(np.float32)
    structure = np.random.default_rng(6).normal(size=(7, 5)).astype(np.float32)
    y = ft.dilate(x, structure)
    part = ft.dilate(x[:, :, 100:140, 100:150], structure)
    assert np.array_equal(part[:, :, 4:-4, 4:-4], y[:, :, 104:136, 104:146])


@pytest.mark.parametrize(
    ("x", "structure", "options", "error", "words"),
    [
        (np.ones((1, 1, 3), complex), [True], {}, ft.DTypeError, "complex128"),
        (np.ones((1, 1, 3)), 3, {}, ft.ShapeError, "structure is one number"),
        (np.ones((1, 1, 3)), np.ones((0,)), {}, ft.WindowError, "structure has shape"),
        (np.ones((1, 1, 3)), np.ones((2, 2, 2)), {}, ft.ShapeError, "x has 3 axes"),
        (np.ones((1, 1, 3)), [1], {"stride": 0}, ft.WindowError, "stride"),
        (np.ones((1, 1, 3)), [1], {"padding": "wide"}, ft.WindowError, "padding"),
        (np.ones((1, 1, 3)), ["a"], {}, ft.DTypeError, "structure has dtype"),
    ],
)
def test_bad_calls(x, structure, options, error, words):
    for function, *_ in FUNCTIONS.values():
        with pytest.raises(error, match=words):
            function(x, structure, **options)


def test_operators_take_a_structure_as_numbers():
    op = ft.Dilate((1, 2, 4))
    assert op([[0, 0, 5, 0, 0]]).tolist() == [[2, 6, 7, 9, 4]]
    assert op.reference([[0, 0, 5, 0, 0]]).tolist() == [[2, 6, 7, 9, 4]]
    assert op.describe((1, 5)).matrix_shape is None
