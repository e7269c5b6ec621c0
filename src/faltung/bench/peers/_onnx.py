"""Models of one node, for the runtimes that read ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from faltung.bench.cases import Pairs, Problem
from faltung.bench.peers._peer import Contender, Peer
from faltung.typing import Array

__all__ = ["Onnx"]

OPSET, FORMAT = 18, 10
"""Versions that both runtimes read."""


class Onnx(Peer):
    """A runtime: `_session` makes a contender of a model and its input."""

    most_macs: ClassVar[Mapping[str, float]] = {"filter_array": 1.2e9, "convolve": 1.2e9}

    def _session(self, model: bytes, x: Array) -> Contender:
        raise NotImplementedError

    def conv(self, problem: Problem) -> Contender | str:
        """Conv, padding on one side too."""
        return self._node(
            "Conv",
            problem.x,
            problem.weight,
            strides=problem.stride,
            dilations=problem.dilation,
            group=problem.groups,
            pads=_ends(problem.padding),
        )

    def conv_transpose(self, problem: Problem) -> Contender | str:
        """ConvTranspose."""
        pads = _ends(problem.padding)
        return self._node(
            "ConvTranspose", problem.x, problem.weight, strides=problem.stride, pads=pads
        )

    def max_pool(self, problem: Problem) -> Contender | str:
        """MaxPool."""
        return self._node("MaxPool", problem.x, **_window(problem))

    def avg_pool(self, problem: Problem) -> Contender | str:
        """AveragePool that counts the padding."""
        return self._node("AveragePool", problem.x, count_include_pad=1, **_window(problem))

    def adaptive_avg_pool(self, problem: Problem) -> Contender | str:
        """GlobalAveragePool, or AveragePool over equal bins."""
        sizes = zip(problem.x.shape[2:], problem.options["output_size"], strict=True)
        bins = [n // count for n, count in sizes]
        if bins == list(problem.x.shape[2:]):
            return self._node("GlobalAveragePool", problem.x)
        return self._node("AveragePool", problem.x, kernel_shape=bins, strides=bins)

    def resize(self, problem: Problem) -> Contender | str:
        """Resize to half-pixel places, or to the nearest cell before."""
        mode = problem.options["mode"]
        places = "asymmetric" if mode == "nearest" else "half_pixel"
        sizes = np.array([*problem.x.shape[:2], *problem.options["size"]], np.int64)
        return self._node(
            "Resize",
            problem.x,
            None,
            None,
            sizes,
            mode=mode,
            coordinate_transformation_mode=places,
            nearest_mode="floor",
        )

    def filter_array(self, problem: Problem) -> Contender | str:
        """Conv of one channel to one."""
        pads = [size // 2 for size in problem.weight.shape] * 2
        x, weight = problem.x[None, None], problem.weight[None, None]
        return _first_channel(self._node("Conv", x, weight, pads=pads))

    def convolve(self, problem: Problem) -> Contender | str:
        """Conv of one channel to one, the taps reversed."""
        pads = [problem.weight.size // 2] * 2
        x, weight = problem.x[None, None], problem.weight[None, None, ::-1]
        return _first_channel(self._node("Conv", x, weight, pads=pads))

    def _node(
        self, operator: str, x: Array, *constants: Array | None, **options: Any
    ) -> Contender | str:
        from onnx import helper, numpy_helper

        if x.dtype == np.float64:
            return "has no float64 kernels for it"
        names = [f"constant{place}" for place in range(len(constants))]
        held = {
            name: np.ascontiguousarray(value)
            for name, value in zip(names, constants, strict=True)
            if value is not None
        }
        kind = helper.np_dtype_to_tensor_dtype(x.dtype)
        inputs = ["x", *(name if name in held else "" for name in names)]
        graph = helper.make_graph(
            [helper.make_node(operator, inputs, ["y"], **options)],
            "one",
            [helper.make_tensor_value_info("x", kind, x.shape)],
            [helper.make_tensor_value_info("y", kind, None)],
            [numpy_helper.from_array(value, name) for name, value in held.items()],
        )
        versions = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=versions, ir_version=FORMAT)
        return self._session(model.SerializeToString(), np.ascontiguousarray(x))


def _ends(padding: Pairs) -> list[int]:
    return [pair[0] for pair in padding] + [pair[1] for pair in padding]


def _window(problem: Problem) -> dict[str, Any]:
    return {
        "kernel_shape": problem.kernel,
        "strides": problem.stride,
        "pads": _ends(problem.padding),
    }


def _first_channel(made: Contender | str) -> Contender | str:
    if isinstance(made, str):
        return made
    return Contender(made.call, lambda result: made.as_array(result)[0, 0])
