"""`faltung describe`: operators written as text, their sizes and costs."""

import json

import pytest

import faltung as ft
from faltung.cli import main
from faltung.cli._chain import parse_chain

STEM = "conv 64 7 stride=2 padding=3; max_pool 3 stride=2 padding=1"


def described(capsys, *arguments):
    assert main(["describe", *arguments]) == 0
    return capsys.readouterr().out


def test_a_chain_is_a_table_with_a_growing_receptive_field(capsys):
    lines = described(capsys, STEM, "--input", "3x224x224").splitlines()
    assert lines[0] == "Sequential: (3, 224, 224) -> (64, 56, 56)"
    assert lines[2].split()[:3] == ["Conv", "64", "×"]
    assert "7 × 7" in lines[2]
    assert "11 × 11" in lines[3]


def test_json_has_the_figures_of_each_operator(capsys):
    report = json.loads(described(capsys, STEM, "--input", "3x224x224", "--batch", "2", "--json"))
    assert report["output_shape"] == [2, 64, 56, 56]
    assert [each["operator"] for each in report["operators"]] == ["Conv", "MaxPool"]
    assert report["macs"] == 2 * 64 * 112 * 112 * 3 * 49


@pytest.mark.parametrize(
    ("text", "sizes", "kind", "output"),
    [
        ("conv 3", (5, 5), "Conv", (1, 3, 3)),
        ("conv 8 3x5 groups=2", (4, 9, 9), "Conv", (8, 7, 5)),
        ("conv1d 4 9 padding=causal dilation=4", (2, 100), "Conv", (4, 100)),
        ("conv3d 4 3", (6, 7, 8), "Conv", (4, 4, 5, 6)),
        ("conv_transpose2d 6 4 stride=2 padding=1", (3, 5, 6), "ConvTranspose", (6, 10, 12)),
        ("involution 3 groups=2 padding=1", (4, 5, 6), "Involution", (4, 5, 6)),
        ("local_conv 2 3 stride=2", (4, 7, 9), "LocalConv", (2, 3, 4)),
        ("max_pool 2", (4, 6, 8), "MaxPool", (4, 3, 4)),
        ("lp_pool 2 3", (4, 6, 9), "LpPool", (4, 2, 3)),
        ("adaptive_avg_pool 3x2", (4, 6, 9), "AdaptiveAvgPool", (4, 3, 2)),
        ("resize scale_factor=2 mode=bilinear", (4, 6, 9), "Resize", (4, 12, 18)),
        ("resize 7", (4, 6, 9), "Resize", (4, 7, 7)),
        ("pad ((1,2),(0,0)) mode=reflect", (4, 6, 9), "Pad", (4, 9, 9)),
        ("unfold 3", (2, 5, 6), "Unfold", (18, 12)),
        ("erode 3 stride=2", (2, 5, 6), "Erode", (2, 3, 3)),
        ("window_reduce 3 median", (2, 5, 6), "WindowReduce", (2, 3, 4)),
    ],
)
def test_text_becomes_an_operator(text, sizes, kind, output):
    operator, shape = parse_chain(text, sizes)
    assert type(operator) is getattr(ft, kind)
    assert operator.output_shape(shape) == output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        (" ; ", "empty"),
        ("foo 3", "max_pool"),
        ("conv", "FILTERS and KERNEL"),
        ("conv 3 3 3", "FILTERS and KERNEL"),
        ("conv 3 blah=2", "blah"),
        ("conv 'a", "quotation"),
        ("conv 3 stride=)", "')'"),
        ("conv1d 3; conv2d 3", "[1, 2]"),
        ("max_unpool 2", "no operator"),
    ],
)
def test_text_without_meaning_is_a_usage_error(capsys, text, said):
    assert main(["describe", text, "--input", "8x20x30"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["max_pool 99", "--input", "8x20x30"], 1, "kernel_size"),
        (["conv 8 3 groups=3", "--input", "8x20x30"], 1, "groups=3"),
        (["conv 3", "--input", "8xx3"], 2, "3x224x224"),
        (["conv2d 3", "--input", "1x2x3x4"], 2, "4 sizes"),
        (["conv 3", "--input", "5x5", "--batch", "-1"], 2, "--batch"),
        (["conv 3", "--input", "5x5", "--dtype", "wide"], 1, "wide"),
        (["conv 3"], 2, "--input"),
    ],
)
def test_what_is_impossible_is_said_in_one_line(capsys, arguments, code, said):
    assert main(["describe", *arguments]) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
