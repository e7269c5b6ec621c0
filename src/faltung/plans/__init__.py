"""Algorithms: one a file, and the choice among them."""
