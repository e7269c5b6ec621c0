"""Figures and animations of operators: the window over the padded input, taken from the stencil.

`sights` says what a frame shows, `scene` lays it out as shapes, and `svg`, `raster` and `page`
write shapes down. None of them knows operators, and only `sights` knows of stencils.
"""

VIEWS = ("window", "spread", "zeros", "matrix")
"""What figures and animations can show."""
