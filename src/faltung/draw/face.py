"""`Drawn`: the two faces that are looked at, `draw` and `animate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faltung._case import face
from faltung.typing import ArrayLike, Shape

if TYPE_CHECKING:
    from faltung.draw.choosing import Options
    from faltung.draw.figure import Animation, Figure
    from faltung.draw.shapes import Scene

__all__ = ["Drawn"]


class Drawn:
    """What every operator can show of itself; all is drawn from the stencil that computes."""

    __slots__ = ()

    @face
    def draw(
        self,
        input_shape: Shape,
        *,
        index: tuple[int, ...] | None = None,
        x: ArrayLike | None = None,
        view: str | None = None,
        palette: str = "classic",
        theme: str = "light",
        title: str | None = None,
    ) -> Figure:
        """A figure of one output, the window over the padded input, and the kernel.

        Parameters
        ----------
        input_shape : tuple of int
            As the data would have it, with or without a batch axis.
        index : tuple of int, optional
            Of the output that is lit, in the result's own layout; of the input with the view
            ``"spread"``. By default one next to the border.
        x : array, optional
            Data of that shape: numbers are then shown where they fit, and the winner of a pooling.
        view : {"window", "spread", "zeros", "matrix"}, optional
            ``"window"`` shows what an output sees. ``"matrix"`` adds the matrix, with the row of
            the output lit. Transposed windows have two more: an input cell times the kernel is
            spread onto the output (their default), and the turned kernel over the input with zeros
            between its cells.
        palette : {"classic", "safe"}
            Input in blue and output in cyan, or colours for every kind of colour vision.
        theme : {"light", "dark", "auto"}
            "auto" follows the reader's preference, in SVG and HTML.
        title : str, optional
            Words above the figure instead of the operator and its parameters.

        Returns
        -------
        Figure
            Shown in notebooks; ``str()`` is the SVG, ``save`` writes .svg, .png or .html. Its one
            entry in `frames` has the `outputs` and `inputs` that are lit.

        Raises
        ------
        OptionError
            A view, palette or theme that is not known, or a view that the operator has not.
        NotLinearError
            The matrix of an operator that has none.
        PositionError
            An `index` outside.

        Notes
        -----
        A plane of more than 32 × 32 cells, and stacks of more than 6 planes of 16 × 16, are drawn
        in part, around what is lit; the figure says which part. Slices of volumes are planes.

        Examples
        --------
        >>> import faltung as ft
        >>> figure = ft.Conv((1, 1, 3, 3), padding=1, stride=2).draw((1, 5, 5), index=(0, 0, 1))
        >>> figure.frames[0].caption
        'y[0, 0, 1] sees 6 cells, 3 taps on the border'
        >>> figure.save("window.svg")
        """
        from faltung.draw.choosing import Options
        from faltung.draw.figure import Figure

        options = Options(palette, theme, view, title)
        return Figure(self._still_scene(input_shape, x, index, options), palette, theme)

    @face
    def animate(
        self,
        x: ArrayLike | Shape,
        *,
        frames: int = 64,
        seconds: float = 0.5,
        view: str | None = None,
        palette: str = "classic",
        theme: str = "light",
        title: str | None = None,
    ) -> Animation:
        """An animation: the window at one output after the other.

        Parameters
        ----------
        x : array or tuple of int
            The data, whose numbers are shown where they fit; a tuple of ints is a shape.
        frames : int
            At most so many outputs, from the first one on.
        seconds : float
            For each frame, 0.02 to 60.
        view, palette, theme, title
            As in `draw`.

        Returns
        -------
        Animation
            Shown in notebooks; ``save`` writes .gif (with Pillow), .svg, .html or .mp4 (with
            imageio-ffmpeg). Readers that ask for reduced motion see a still.

        Examples
        --------
        >>> import numpy as np, faltung as ft
        >>> animation = ft.MaxPool((2, 2)).animate(np.arange(16).reshape(1, 4, 4))
        >>> len(animation), animation.frames[0].caption
        (4, 'y[0, 0, 0] = max(0, 1, 4, 5) = 5')
        >>> animation.save("pooling.html")
        """
        from faltung.draw.choosing import Options
        from faltung.draw.figure import Animation

        options = Options(palette, theme, view, title)
        return Animation(self._moving_scene(x, frames, options), palette, theme, seconds)

    def _still_scene(self, input_shape: Shape, x: object, index: object, options: Options) -> Scene:
        from faltung.draw.choosing import still_scene

        return still_scene(self, input_shape, x, index, options)

    def _moving_scene(self, data: object, frames: int, options: Options) -> Scene:
        from faltung.draw.choosing import moving_scene

        return moving_scene(self, data, frames, options)
