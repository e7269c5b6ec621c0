"""The passes of the compiler that our kernels need: a fifth of the time of a first call is others.

Kernels are plain loops over numbers. They have no closures made inside, no array expressions, no
literal unrolling and no object mode, and what would inline Python into Python finds nothing.
"""

from __future__ import annotations

from functools import cache
from typing import Any

__all__ = ["pipeline"]

NOT_NEEDED = frozenset(
    {
        "DeadBranchPrune",
        "FindLiterallyCalls",
        "InlineClosureLikes",
        "InlineInlinables",
        "InlineOverloads",
        "LiteralPropagationSubPipelinePass",
        "LiteralUnroll",
        "NopythonRewrites",
        "RewriteDynamicRaises",
        "RewriteSemanticConstants",
        "WithLifting",
    }
)


@cache
def pipeline() -> Any:
    """The class that Numba's decorators take as ``pipeline_class``.

    The names of passes are Numba's own: where they have changed, its default pipeline serves.
    """
    from numba.core import compiler

    try:
        from numba.core.compiler import CompilerBase, DefaultPassBuilder
        from numba.core.compiler_machinery import PassManager
    except ImportError:
        return compiler.Compiler

    class Pipeline(CompilerBase):  # type: ignore[misc]
        """Numba's nopython pipeline without what is not needed here."""

        def define_pipelines(self) -> list[Any]:
            default = DefaultPassBuilder.define_nopython_pipeline(self.state)
            short = PassManager("faltung")
            for each, description in default.passes:
                if each.__name__ not in NOT_NEEDED:
                    short.add_pass(each, description)
            short.finalize()
            return [short]

    return Pipeline
