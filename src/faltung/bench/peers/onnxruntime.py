"""ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import Any

from faltung.bench.peers._onnx import Onnx
from faltung.bench.peers._peer import Contender
from faltung.typing import Array

__all__ = ["PEER", "OnnxRuntime"]


class OnnxRuntime(Onnx):
    """Sessions of one node; the input is bound, the result stays in the runtime's memory."""

    name, title, package = "onnxruntime", "ONNX Runtime", "onnxruntime"

    def __init__(self, threads: int) -> None:
        import onnx  # noqa: F401  models are written with it: without it the peer is not there
        import onnxruntime

        super().__init__(threads)
        self._runtime = onnxruntime
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._options.inter_op_num_threads = 1
        self._options.log_severity_level = 4  # what cannot be done is raised too

    def _session(self, model: bytes, x: Array) -> Contender:
        session = self._runtime.InferenceSession(
            model, self._options, providers=["CPUExecutionProvider"]
        )
        binding = session.io_binding()
        binding.bind_cpu_input("x", x)
        binding.bind_output("y", "cpu")

        def read(_result: Any) -> Array:
            array: Array = binding.get_outputs()[0].numpy()
            return array

        return Contender(lambda: session.run_with_iobinding(binding), read)


PEER = OnnxRuntime
