"""Write what follows from the operator records: `faltung.classes` and the public names.

Run it after adding an operator; ``--check`` only says whether the files are up to date.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from faltung import operators
from faltung.operators._record import REGISTRY, Record

SOURCE = Path(__file__).parent.parent / "src" / "faltung"
HEADER = "# Written by tools/sync.py from the operator records; edit those, not this file."

# The public names beside the operators and their classes, by module.
FIXED = {
    "arrays": ("filter_array",),
    "bound": ("Operator",),
    "config": ("reproducible", "set_memory_limit", "set_precision"),
    "compiled.parallel": ("get_num_threads", "set_num_threads"),
    "conv_gradients": (
        "conv_input_grad",
        "conv_transpose_input_grad",
        "conv_transpose_weight_grad",
        "conv_weight_grad",
    ),
    "draw.figure": ("Animation", "Figure"),
    "errors": (
        "DTypeError",
        "FaltungError",
        "MissingExtraError",
        "NotLinearError",
        "OptionError",
        "PositionError",
        "ResourceError",
        "ShapeError",
        "WindowError",
    ),
    "explanation": ("Explanation",),
    "_fitted": ("Fit",),
    "_plotted": ("plot_receptive_field",),
    "fit": ("fit_kernel",),
    "geometry.window": ("Window",),
    "images": (
        "filter_image",
        "maximum_filter",
        "median_filter",
        "minimum_filter",
        "percentile_filter",
    ),
    "involution_layer": ("InvolutionLayer",),
    "matching": ("match_template",),
    "plans._select": ("algorithms",),
    "plotting.coverage": ("plot_coverage",),
    "plotting.matrix": ("plot_matrix",),
    "report": ("Report",),
    "sequential": ("Sequential",),
    "scipy_like": ("convolve", "convolve2d", "correlate", "correlate2d"),
    "tuning": ("Tuning", "tune"),
    "weights": ("weight_from",),
}
SUBMODULES = ("kernels", "testing")


def operator_modules() -> dict[str, tuple[str, ...]]:
    """The modules with operators and the names that each makes public."""
    found = {}
    for module in sorted(pkgutil.iter_modules(operators.__path__), key=lambda item: item.name):
        if not module.name.startswith("_"):
            loaded = importlib.import_module(f"faltung.operators.{module.name}")
            found[f"operators.{module.name}"] = tuple(loaded.__all__)
    return found


def operator_files() -> list[str]:
    """The modules that make records."""
    return sorted({record.recipe.__module__.rpartition(".")[2] for record in REGISTRY.values()})


def classes_source() -> str:
    """The class statements of all operators."""
    names = sorted(REGISTRY, key=lambda name: REGISTRY[name].class_name)
    return "\n".join(
        [
            '"""The operators as classes: statements, for pickle, editors and type checkers."""',
            "",
            HEADER,
            "",
            "from __future__ import annotations",
            "",
            "from typing import Any, Self",
            "",
            "import numpy as np",
            "",
            "from faltung.bound import Operator",
            f"from faltung.operators import {', '.join(operator_files())}  # noqa: F401",
            "from faltung.typing import Array, ArrayLike, DTypeLike, Ints, OutputSize, Padding",
            "",
            f"__all__ = {[REGISTRY[name].class_name for name in names]}",
            *(class_source(REGISTRY[name]) for name in names),
        ]
    )


def class_source(record: Record) -> str:
    """The class statement of one operator."""
    skipped = (record.arrays[0], "dtype", "out")
    parameters = [item for item in record.parameters if item.name not in skipped]
    parameters += [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation="str | None"
        )
        for name, default in record.class_parameters.items()
    ]
    held = [item.name for item in parameters if item.name in record.operands]
    others = [item.name for item in parameters if item.name not in record.operands]
    attributes = [
        f"    {item.name}: {'Array' if item.name in held else item.annotation}"
        + (" | None" if item.name in held and item.default is None else "")
        for item in parameters
    ]
    lines = [
        f"\n\nclass {record.class_name}(Operator):",
        f'    """`{record.name}` with all but the data bound; see there for the arguments."""',
        "",
        "    __slots__ = ()",
        f'    name = "{record.name}"',
        "",
        *attributes,
        "",
        f"    def __init__(self, {listed(parameters)}) -> None:",
        f"        self._hold({mapping(held)}, {mapping(others)})",
    ]
    if record.draw is not None:
        lines += init_source(record, parameters, others)
    return "\n".join(lines)


def init_source(
    record: Record, parameters: list[inspect.Parameter], others: list[str]
) -> list[str]:
    """The class method that draws the operands at random."""
    assert record.draw is not None
    drawn = list(inspect.signature(record.draw).parameters.values())
    names = [item.name for item in drawn]
    more = [
        item.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for item in parameters
        if item.name in others and item.name not in names
    ]
    passed = ", ".join(f"{name}={name}" for name in names)
    kept = ", ".join(f"{name}={name}" for name in others)
    summary = (inspect.getdoc(record.draw) or "").splitlines()[0]
    return [
        "",
        "    @classmethod",
        f"    def init(cls, {listed([*drawn, *more])}) -> Self:",
        f'        """{summary}"""',
        f"        return cls(**cls._draw({passed}), {kept})",
    ]


def listed(parameters: Iterable[inspect.Parameter]) -> str:
    """Parameters as they stand in a ``def``."""
    parts, is_keyword = [], False
    for item in parameters:
        if item.kind is item.KEYWORD_ONLY and not is_keyword:
            parts.append("*")
            is_keyword = True
        if item.default is item.empty:
            default = ""
        elif isinstance(item.default, type) and issubclass(item.default, object):
            default = f" = np.{item.default.__name__}"
        else:
            default = f" = {item.default!r}"
        parts.append(f"{item.name}: {item.annotation}{default}")
    return ", ".join(parts)


def mapping(names: Iterable[str]) -> str:
    """A dict of names to the variables called so."""
    return "{" + ", ".join(f'"{name}": {name}' for name in names) + "}"


def package_source(modules: Mapping[str, tuple[str, ...]]) -> str:
    """`faltung/__init__.py`: every public name, stated for readers, loaded when first used."""
    names: dict[str, tuple[str, ...]] = {**FIXED, **modules}
    names["classes"] = tuple(sorted(record.class_name for record in REGISTRY.values()))
    where = {name: module for module in sorted(names) for name in names[module]}
    public = sorted({*where, *SUBMODULES})
    return "\n".join(
        [
            '"""faltung: convolution and every other sliding window on NumPy arrays.',
            "",
            ">>> import faltung as ft",
            ">>> ft.conv1d([[1, 2, 4, 8]], [[[-1, 1]]])",
            "array([[1, 2, 4]])",
            '"""',
            "",
            HEADER,
            "",
            "from __future__ import annotations",
            "from importlib import import_module as _import",
            "from typing import TYPE_CHECKING",
            "if TYPE_CHECKING:",
            f"    from faltung import {', '.join(SUBMODULES)}",
            *(
                f"    from faltung.{module} import {', '.join(sorted(names[module]))}"
                for module in sorted(names)
            ),
            "",
            f"__all__ = {public}",
            '__version__ = "0.1.0.dev0"',
            "",
            "# Names are loaded when they are first used, so that `import faltung` costs nothing.",
            f"_MODULES = {where}",
            f"_SUBMODULES = {SUBMODULES}",
            PACKAGE_FUNCTIONS,
        ]
    )


PACKAGE_FUNCTIONS = """
def __getattr__(name: str) -> object:
    if name in _SUBMODULES:
        return _import(f"faltung.{name}")
    if name not in _MODULES:
        raise AttributeError(f"faltung has no attribute {name!r}")
    value = getattr(_import(f"faltung.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
"""


def formatted(text: str, path: Path) -> str:
    """What ruff makes of it."""
    ruff = Path(sys.executable).parent / "ruff"
    for command in (["check", "--fix", "--quiet", "--select", "I,F401"], ["format", "--quiet"]):
        arguments = [str(ruff), *command, "--stdin-filename", str(path), "-"]
        done = subprocess.run(arguments, input=text, capture_output=True, text=True, check=True)
        text = done.stdout
    return text


def main() -> int:
    modules = operator_modules()
    stale = []
    for name, text in (
        ("classes.py", classes_source()),
        ("__init__.py", package_source(modules)),
    ):
        path = SOURCE / name
        wanted = formatted(text, path)
        if not path.exists() or path.read_text() != wanted:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(wanted)
    if stale and "--check" in sys.argv:
        print(f"stale: {', '.join(stale)}; run python tools/sync.py")
        return 1
    print(f"{len(REGISTRY)} operators, {', '.join(stale) or 'nothing'} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
