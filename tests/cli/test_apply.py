"""`faltung apply`: files in, filtered files out, and errors that leave nothing behind."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

import faltung as ft
from faltung.cli import main

RNG = np.random.default_rng(5)
PHOTO = RNG.integers(0, 256, (12, 9, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (12, 9), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (12, 9), dtype=np.uint16)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PHOTO).save("photo.png")
    Image.fromarray(np.dstack([PHOTO, ALPHA])).save("cutout.png")
    Image.fromarray(DEEP).save("deep.tif")
    np.save("field.npy", PHOTO.astype(np.float64))
    return tmp_path


def apply(*arguments: str) -> int:
    return main(["apply", *arguments])


def names(directory) -> set[str]:
    return {path.name for path in directory.iterdir()}


@pytest.mark.parametrize(
    ("options", "kernel", "keywords"),
    [
        (["--kernel", "gaussian:1"], ft.kernels.gaussian(1), {}),
        (["--kernel", "3x3: 1 2 1 0 0 0 -1 -2 -1"], -ft.kernels.sobel(0), {}),
        (["--kernel", "2x2: 1 2 3 4", "--normalize"], [[1, 2], [3, 4]], {"normalize": True}),
        (["--kernel", "1x2: 1 0", "--convolve"], [[1, 0]], {"flip": True}),
        (["--kernel", "box:3", "--stride", "2"], ft.kernels.box(3), {"stride": 2}),
        (["--kernel", "box:3", "--stride", "3,2"], ft.kernels.box(3), {"stride": (3, 2)}),
        (["--kernel", "box:5", "--border", "circular"], ft.kernels.box(5), {"border": "wrap"}),
        (
            ["--kernel", "box:5", "--border", "constant", "--border-value", "200"],
            ft.kernels.box(5),
            {"border": "constant", "cval": 200},
        ),
    ],
)
def test_the_options_are_those_of_filter_image(here, options, kernel, keywords):
    assert apply("photo.png", *options, "-o", "out.png") == 0
    assert_array_equal(
        np.asarray(Image.open("out.png")), ft.filter_image(PHOTO, kernel, **keywords)
    )


BORDERS = ["symmetric", "reflect", "edge", "wrap", "zeros", "constant", "blank", "mirror"]


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize(
    ("option", "value", "function", "arguments"),
    [
        ("--median", "5", ft.median_filter, {"size": 5}),
        ("--minimum", "2", ft.minimum_filter, {"size": 2}),
        ("--maximum", "3x5", ft.maximum_filter, {"size": (3, 5)}),
        ("--percentile", "90:7", ft.percentile_filter, {"percentile": 90, "size": 7}),
        ("--percentile", "12.5:3x4", ft.percentile_filter, {"percentile": 12.5, "size": (3, 4)}),
    ],
)
def test_ranks(here, capsys, option, value, function, arguments, border):
    for name, pixels, suffix in (("cutout.png", PHOTO, "png"), ("deep.tif", DEEP, "tif")):
        options = [option, value, "--border", border, "--stride", "2,1", "--border-value", "9"]
        assert apply(name, *options, "-o", f"out.{suffix}", "--json", "--force") == 0
        found = np.asarray(Image.open(f"out.{suffix}"))
        expected = function(pixels, **arguments, border=border, cval=9, stride=(2, 1))
        assert found.dtype == pixels.dtype
        if name == "cutout.png":
            assert_array_equal(found[..., 3], ALPHA[::2])
            found = found[..., :3]
        assert_array_equal(found, expected)
        record = json.loads(capsys.readouterr().out)
        size = arguments["size"]
        assert record["kernel_shape"] == (list(size) if isinstance(size, tuple) else [size, size])


def test_ranks_of_floats_keep_their_bits(here):
    field = RNG.normal(size=(70, 80))
    field[4, 5] = np.nan
    np.save("random.npy", field)
    assert apply("random.npy", "--median", "3", "-o", "out.npy") == 0
    assert_array_equal(np.load("out.npy"), ft.median_filter(field, 3))
    assert np.isnan(np.load("out.npy")).sum() == 9


def test_a_kernel_from_a_file(here):
    kernel = RNG.normal(size=(3, 5))
    np.save("kernel.npy", kernel)
    assert apply("photo.png", "--kernel", "kernel.npy", "-o", "out.png") == 0
    assert_array_equal(np.asarray(Image.open("out.png")), ft.filter_image(PHOTO, kernel))


def test_signed_results_can_be_seen(here):
    kernel = ft.kernels.sobel(1)
    exact = ft.filter_image(PHOTO, kernel, dtype=np.float64)
    assert exact.min() < 0
    apply("photo.png", "--kernel", "sobel_x", "--absolute", "-o", "absolute.png")
    assert_array_equal(np.asarray(Image.open("absolute.png")), np.clip(abs(exact), 0, 255))
    apply("photo.png", "--kernel", "sobel_x", "--offset", "128", "-o", "offset.png")
    assert_array_equal(np.asarray(Image.open("offset.png")), np.clip(exact + 128, 0, 255))
    apply("field.npy", "--kernel", "sobel_x", "--absolute", "--offset", "-1", "-o", "both.npy")
    assert_array_equal(np.load("both.npy"), abs(exact) - 1)


@pytest.mark.parametrize("stride", [1, 2])
def test_alpha_is_kept_and_colours_are_filtered_as_stored(here, stride):
    assert apply("cutout.png", "--kernel", "box:3", "--stride", str(stride), "-o", "out.png") == 0
    found = np.asarray(Image.open("out.png"))
    assert_array_equal(found[..., 3], ALPHA[::stride, ::stride])
    expected = ft.filter_image(PHOTO, ft.kernels.box(3), stride=stride)
    assert_array_equal(found[..., :3], expected)


def test_16_bits_and_floats_stay(here):
    assert apply("deep.tif", "--kernel", "box:3", "-o", "out.png") == 0
    assert_array_equal(np.asarray(Image.open("out.png")), ft.filter_image(DEEP, ft.kernels.box(3)))
    assert apply("field.npy", "--kernel", "box:3", "-o", "out.npy") == 0
    found = np.load("out.npy")
    assert found.dtype == np.float64
    assert_array_equal(found, ft.filter_image(PHOTO.astype(np.float64), ft.kernels.box(3)))


def test_exif_rotation_is_applied_once(here):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PHOTO).save("turned.png", exif=exif)
    assert apply("turned.png", "--kernel", "identity:1", "-o", "out.png") == 0
    with Image.open("out.png") as found:
        assert_array_equal(np.asarray(found), np.rot90(PHOTO, -1))
        assert found.getexif().get(0x0112, 1) == 1


def test_many_files_go_into_a_directory(here, capsys):
    assert apply("photo.png", "cutout.png", "deep.tif", "--kernel", "box:3", "-o", "new/out") == 0
    assert names(here / "new" / "out") == {"photo.png", "cutout.png", "deep.tif"}
    assert capsys.readouterr() == ("", "")


def test_one_file_goes_into_a_directory_that_exists_or_ends_in_a_slash(here):
    (here / "old").mkdir()
    assert apply("photo.png", "--kernel", "box:3", "-o", "old") == 0
    assert apply("photo.png", "--kernel", "box:3", "-o", "new/") == 0
    assert names(here / "old") == names(here / "new") == {"photo.png"}


def test_a_failing_file_does_not_stop_the_others(here, capsys):
    (here / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    np.save("empty.npy", np.empty((0, 3)))
    files = ["broken.png", "photo.png", "empty.npy", "missing.png", "deep.tif"]
    assert apply(*files, "--kernel", "box:3", "-o", "out", "--json") == 1
    assert names(here / "out") == {"photo.png", "deep.tif"}
    printed = capsys.readouterr()
    assert len(printed.err.splitlines()) == 3
    assert all(line.startswith("faltung: ") for line in printed.err.splitlines())
    records = [json.loads(line) for line in printed.out.splitlines()]
    assert [record["input"] for record in records] == files
    assert ["error" in record for record in records] == [True, False, True, True, False]


def test_json_records(here, capsys):
    assert apply("cutout.png", "--kernel", "box:3", "-o", "out.png", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record.pop("seconds") >= 0
    assert record.pop("algorithm") in ft.algorithms()
    assert record == {
        "input": "cutout.png",
        "output": "out.png",
        "shape": [12, 9, 4],
        "dtype": "uint8",
        "kernel_shape": [3, 3],
    }


def test_the_record_states_what_ran_not_what_was_planned(here, capsys):
    np.save("large.npy", np.ones((200, 200)))
    kernel = np.ones((3, 3))
    kernel[0, 0] = np.inf
    np.save("kernel.npy", kernel)
    # What is not finite is declined by the compiled algorithm that the shapes alone would get.
    for name, is_stencil in [("box:3", False), ("kernel.npy", True)] * 2:
        assert apply("large.npy", "--kernel", name, "-o", "o.npy", "--json", "--force") == 0
        algorithm = json.loads(capsys.readouterr().out)["algorithm"]
        assert (algorithm == "stencil") is is_stencil
    assert apply("large.npy", "--median", "3", "-o", "o.npy", "--json", "--force") == 0
    assert json.loads(capsys.readouterr().out)["algorithm"] == "ordering"


def test_grey_webp_is_what_its_readers_find(here, capsys):
    for name, pixels in (("grey", ALPHA), ("cutout", np.dstack([ALPHA, ALPHA]))):
        Image.fromarray(pixels).save(f"{name}.png")
        assert apply(f"{name}.png", "--median", "3", "-o", f"{name}.webp", "--json") == 0
        record = json.loads(capsys.readouterr().out)
        with Image.open(f"{name}.webp") as image:
            found = np.asarray(image)
        assert list(found.shape) == record["shape"] == [12, 9, 3 + (pixels.ndim == 3)]
        for channel in range(3):
            assert_array_equal(found[..., channel], ft.median_filter(ALPHA, 3))
        if pixels.ndim == 3:
            assert_array_equal(found[..., 3], ALPHA)


def test_what_exists_is_overwritten_only_with_force(here, capsys):
    before = (here / "photo.png").read_bytes()
    assert apply("photo.png", "--kernel", "box:3", "-o", "photo.png") == 1
    assert "--force" in capsys.readouterr().err
    assert (here / "photo.png").read_bytes() == before
    assert apply("photo.png", "--kernel", "box:3", "-o", "photo.png", "--force") == 0
    expected = ft.filter_image(PHOTO, ft.kernels.box(3))
    assert_array_equal(np.asarray(Image.open("photo.png")), expected)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required"),
        (["photo.png", "-o", "o.png"], "--kernel --median"),
        (["photo.png", "--kernel", "box:3", "--median", "3", "-o", "o.png"], "not allowed with"),
        (["photo.png", "--kernel", "", "-o", "o.png"], "--kernel ''"),
        (["photo.png", "--median", "0", "-o", "o.png"], "'0'"),
        (["photo.png", "--median", "3x3x3", "-o", "o.png"], "3 sizes"),
        (["photo.png", "--maximum", "3x", "-o", "o.png"], "''"),
        (["photo.png", "--percentile", "101:3", "-o", "o.png"], "from 0 to 100"),
        (["photo.png", "--percentile", "nan:3", "-o", "o.png"], "from 0 to 100"),
        (["photo.png", "--percentile", "50", "-o", "o.png"], "90:7"),
        (["photo.png", "--minimum", "3", "-o", "o.png", "--border", "no"], "--border is 'no'"),
        (["photo.png", "--minimum", "3", "-o", "o.png", "--absolute"], "--absolute is for"),
        (["photo.png", "--median", "3", "-o", "o.png", "--offset", "1"], "--offset is for"),
        (["photo.png", "--kernel", "box:3"], "--output"),
        (["photo.png", "--kernel", "nonsense", "-o", "o.png"], "sobel_x"),
        (["photo.png", "--kernel", "3x3: 1 2", "-o", "o.png"], "9 cells"),
        (["photo.png", "--kernel", "box:-3", "-o", "o.png"], "-3"),
        (["photo.png", "--kernel", "box:3", "-o", "o.png", "--border", "no"], "symmetric"),
        (["photo.png", "--kernel", "box:3", "-o", "o.png", "--stride", "0"], "'0'"),
        (["photo.png", "--kernel", "box:3", "-o", "o.png", "--stride", "1,1,1"], "3 numbers"),
        (["photo.png", "--kernel", "box:3", "-o", "o.png", "--max-pixels", "many"], "'many'"),
        (["photo.png", "--kernel", "box:3", "-o", "o.png", "--offset", "nan?"], "nan?"),
        (
            ["photo.png", "--kernel", "sobel_x", "-o", "o.png", "--normalize"],
            "--normalize: the kernel sums to 0. Leave --normalize out",
        ),
        (["photo.png", "--kernel", "box:3", "-o", "o.png", "--fast"], "--fast"),
        (["photo.png", "photo.png", "--kernel", "box:3", "-o", "out"], "both become"),
    ],
)
def test_usage_errors(here, capsys, arguments, words):
    before = names(here)
    assert apply(*arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("faltung: ")
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert names(here) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["photo.png", "--kernel", "missing.npy", "-o", "o.png"], "missing.npy: no such file"),
        (["photo.png", "--kernel", "cube.npy", "-o", "o.png"], "expected 2 axes"),
        (
            ["photo.png", "--kernel", "objects.npy", "-o", "o.png"],
            "Python objects, which are never",
        ),
        (["complex.npy", "--median", "3", "-o", "o.npy"], "complex128"),
        (["photo.png", "--median", "9999999", "-o", "o.png"], "bytes"),
        (
            [
                "photo.png",
                "--median",
                "3",
                "--border",
                "fill",
                "--border-value",
                ".5",
                "-o",
                "o.png",
            ],
            "photo.png: --border-value is 0.5, which uint8 cannot hold",
        ),
        (["photo.png", "--kernel", "box:3", "-o", "o.gif"], "'.gif'"),
        (["photo.png", "--kernel", "box:3", "-o", "o"], "suffix"),
        (["photo.png", "--kernel", "box:3", "-o", "missing/o.png"], "no such file"),
        (["photo.png", "--kernel", "box:3", "-o", "photo.png/o.png"], "photo.png/o.png"),
        (["photo.png", "deep.tif", "--kernel", "box:3", "-o", "photo.png"], "directory"),
        (["cutout.png", "--kernel", "box:3", "-o", "o.jpg"], "4 channels with alpha"),
        (["deep.tif", "--kernel", "box:3", "-o", "o.jpg"], "uint16"),
        (["photo.png", "--kernel", "box:3", "-o", "o.png", "--max-pixels", "50"], "--max-pixels"),
        (["field.npy", "--kernel", "box:3", "-o", "o.npy", "--max-pixels", "50"], "--max-pixels"),
        (["complex.npy", "--kernel", "complex.npy", "-o", "o.png"], "complex128"),
    ],
)
def test_bad_input(here, capsys, arguments, words):
    np.save("cube.npy", np.ones((3, 3, 3)))
    np.save("complex.npy", np.ones((3, 3), complex))
    np.save("objects.npy", np.array([[None]]), allow_pickle=True)
    before = names(here)
    assert apply(*arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("faltung: ")
    assert printed.err.count("\n") == 1
    assert words.lower() in printed.err.lower()
    assert names(here) == before


def test_further_pictures_of_a_file_are_mentioned(here, capsys):
    pages = [Image.fromarray(PHOTO), Image.fromarray(PHOTO)]
    pages[0].save("pages.tif", save_all=True, append_images=pages[1:])
    assert apply("pages.tif", "--kernel", "box:3", "-o", "out.png") == 0
    assert "2 pictures" in capsys.readouterr().err


def test_file_names_that_a_terminal_would_obey(here, capsys):
    name = "a\x1b[31m[bold]\n.png"
    (here / name).write_bytes(b"no picture")
    assert apply(name, "--kernel", "box:3", "-o", "out.png") == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "\x1b" not in error
    assert "[bold]" in error
