"""A step of the demo: the very lines of Python that its page shows.

The strings are run, not only printed, so what a reader copies from the page is what was timed.
They know ``np``, ``ft``, ``image`` (H, W, 3) uint8, ``grey`` (H, W) float32 from 0 to 1, and the
names that earlier lines of the same step define. The peers' strings also know ``ndimage``,
``signal`` and ``match``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from faltung.typing import Array

__all__ = ["Names", "Step", "Views"]

Views = dict[str, Array]
Names = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """One computation: faltung's lines, a peer's line, and how to look at the result.

    `setup` and `call` are faltung's lines, `call` alone is timed; `peer` is the expression of the
    same value in `peer_name`. `opencv` is that in OpenCV, timed where it is installed: it knows
    ``cv2`` too, and is empty where OpenCV has no such thing. `views` turns the result and the
    step's names into labelled uint8 pictures.

    `operator` and `data` are an operator that stands for the call and what it takes, for its
    report. A convolution gives its `weight` (O, C, kh, kw) instead: that is shown, and tells the
    operator. `textbook` is the loops on a small part, or empty for the convolution's.
    """

    name: str
    title: str
    text: str
    setup: str
    call: str
    peer: str
    views: Callable[[Array, Names], Views]
    peer_name: str = "SciPy"
    opencv: str = ""
    weight: str = ""
    operator: str = 'ft.Conv(weight, padding="same", padding_mode="reflect")'
    data: str = "np.broadcast_to(grey, (weight.shape[1], *grey.shape))"
    textbook: str = ""
    window: str = ""
