"""OpenVINO on the CPU, in float32: by itself it would multiply in bfloat16 where the CPU can."""

from __future__ import annotations

from typing import Any

import numpy as np

from faltung.bench.peers._onnx import Onnx
from faltung.bench.peers._peer import Contender
from faltung.typing import Array

__all__ = ["PEER", "OpenVino"]


class OpenVino(Onnx):
    """Models compiled for latency; input and result stay in the request's memory."""

    name, title, package = "openvino", "OpenVINO", "openvino"

    def __init__(self, threads: int) -> None:
        import onnx  # noqa: F401  models are written with it: without it the peer is not there
        import openvino

        super().__init__(threads)
        self._runtime = openvino
        self._core = openvino.Core()
        self._settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }

    def _session(self, model: bytes, x: Array) -> Contender:
        compiled = self._core.compile_model(self._core.read_model(model), "CPU", self._settings)
        request = compiled.create_infer_request()
        request.set_input_tensor(self._runtime.Tensor(x, shared_memory=True))

        def read(_result: Any) -> Array:
            return np.array(request.get_output_tensor().data)

        return Contender(request.infer, read)


PEER = OpenVino
