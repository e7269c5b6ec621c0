"""A small problem for every operation of the benchmark, and for every turn of convolution."""

from faltung.bench.cases import Case
from faltung.bench.pictures import gaussian, mean_free

WINDOW = {"kernel_size": (3, 2), "stride": 2, "padding": 1}

PROBLEMS = [
    Case("conv", "", "conv", (2, 4, 9, 8), (6, 2, 3, 2), {"padding": 1, "groups": 2, "stride": 2}),
    Case("conv dilated", "", "conv", (1, 3, 9, 8), (5, 3, 3, 3), {"padding": 2, "dilation": 2}),
    Case("conv depthwise", "", "conv", (1, 4, 9, 8), (4, 1, 3, 3), {"padding": 1, "groups": 4}),
    Case("conv causal", "", "conv", (1, 3, 20), (4, 3, 2), {"padding": "causal", "dilation": 4}),
    Case("conv volume", "", "conv", (1, 3, 4, 5, 6), (4, 3, 1, 3, 3), {"padding": (0, 1, 1)}),
    Case("conv float64", "", "conv", (1, 3, 9, 8), (5, 3, 3, 3), {}, "float64"),
    Case("conv function", "", "conv", (1, 1, 6, 8), (1, 1, 1, 2), {"is_function": True}),
    Case(
        "conv_transpose",
        "",
        "conv_transpose",
        (2, 3, 4, 5),
        (3, 4, 3, 3),
        {"stride": 2, "padding": 1},
    ),
    Case("max_pool", "", "max_pool", (1, 3, 9, 8), (), WINDOW),
    Case("avg_pool", "", "avg_pool", (1, 3, 9, 8), (), WINDOW),
    Case("adaptive_avg_pool", "", "adaptive_avg_pool", (1, 3, 6, 8), (), {"output_size": (3, 2)}),
    Case("global", "", "adaptive_avg_pool", (1, 3, 6, 8), (), {"output_size": (1, 1)}),
    Case("resize linear", "", "resize", (1, 3, 5, 6), (), {"size": (10, 9), "mode": "linear"}),
    Case("resize nearest", "", "resize", (1, 3, 5, 6), (), {"size": (10, 12), "mode": "nearest"}),
    Case("involution", "", "involution", (1, 4, 9, 8), (1, 2, 6, 5, 5), WINDOW),
    Case("unfold", "", "unfold", (2, 3, 9, 8), (), WINDOW),
    Case(
        "fold",
        "",
        "fold",
        (1, 18, 63),
        (),
        {"kernel_size": (3, 2), "padding": 1, "output_size": (7, 8)},
    ),
    Case("filter_array", "", "filter_array", (20, 17), (5, 3)),
    Case("filter_array separable", "", "filter_array", (20, 17), (5, 3), make_weight=gaussian),
    Case("filter_array volume", "", "filter_array", (9, 8, 7), (3, 3, 5), make_weight=gaussian),
    Case(
        "filter_image", "", "filter_image", (20, 17, 3), (5, 5), {}, "uint8", make_weight=mean_free
    ),
    Case(
        "gaussian image", "", "filter_image", (20, 17, 3), (5, 5), {}, "uint8", make_weight=gaussian
    ),
    Case("missing cells", "", "filter_valid", (20, 17), (3, 5)),
    Case("convolve", "", "convolve", (300,), (31,)),
    Case("dilate", "", "dilate", (20, 17), (), {"size": (3, 3)}),
    Case("dilate uint8", "", "dilate", (20, 17), (), {"size": (3, 3)}, "uint8"),
    Case("median", "", "median", (20, 17), (), {"size": (3, 3)}, "uint8"),
    Case("match_template", "", "match_template", (20, 17), (5, 4)),
]
