"""The arithmetic behind one output: the window, what is done with it, and what comes out."""

from faltung.explanation.explaining import ExplainedTerm, Explanation, explain

__all__ = ["ExplainedTerm", "Explanation", "explain"]
