"""Write ONNX's published node cases of this family to `tests/data`, for tests without onnx.

Needs the package onnx, whose test-suite generates the cases; run it to take up a new version.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

FAMILY = (
    "AveragePool", "CenterCropPad", "Col2Im", "Conv", "ConvInteger", "ConvTranspose", "DeformConv",
    "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "LpPool", "MaxPool", "MaxUnpool", "Pad",
    "QLinearConv", "Resize", "Upsample",
)  # fmt: skip
TARGET = Path(__file__).parent.parent / "tests" / "data" / "onnx_node_cases.zip"


def attributes_of(node: Any) -> dict[str, Any]:
    """The node's attributes as plain values."""
    import onnx

    plain = {}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        is_list = not isinstance(value, str | bytes | int | float)
        decoded = value.decode() if isinstance(value, bytes) else value
        plain[attribute.name] = list(decoded) if is_list else decoded
    return plain


def collect() -> list[tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]]:
    """Each case with its arrays; a case whose node is expanded into others is left out."""
    from onnx.backend.test.case.node import collect_testcases

    found = []
    for case in collect_testcases(None):
        nodes = case.model.graph.node
        if len(nodes) != 1 or nodes[0].op_type not in FAMILY or not case.data_sets:
            continue
        node = nodes[0]
        inputs, outputs = case.data_sets[0]
        named = iter(inputs)
        present = [bool(name) for name in node.input]
        arrays = {f"in{k}": np.asarray(next(named)) for k, has in enumerate(present) if has}
        arrays |= {f"out{k}": np.asarray(array) for k, array in enumerate(outputs)}
        attributes = attributes_of(node)
        words = {"name": case.name, "operator": node.op_type, "attributes": attributes}
        found.append((words, arrays))
    return found


def store(array: np.ndarray[Any, Any], stored: dict[str, bytes]) -> str:
    """Keep an array under the name that its content gives: cases share inputs."""
    stream = BytesIO()
    np.save(stream, array, allow_pickle=False)
    name = f"{hashlib.sha256(stream.getvalue()).hexdigest()[:16]}.npy"
    stored[name] = stream.getvalue()
    return name


def main() -> int:
    """Write the archive: `cases.json`, and an .npy for each array."""
    import onnx

    warnings.simplefilter("ignore")
    cases = collect()
    TARGET.parent.mkdir(exist_ok=True)
    stored: dict[str, bytes] = {}
    for words, arrays in cases:
        words["arrays"] = {key: store(array, stored) for key, array in arrays.items()}
    about = {
        "source": f"onnx {onnx.__version__} (Apache-2.0)",
        "cases": [case for case, _ in cases],
    }
    with zipfile.ZipFile(TARGET, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("cases.json", json.dumps(about, indent=1))
        for name, content in stored.items():
            archive.writestr(name, content)
    print(f"{TARGET}: {len(cases)} cases, {TARGET.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
