"""From real numbers to the dtype of a result: halves to even, and within its range."""

from __future__ import annotations

import numpy as np

from faltung.typing import Array

__all__ = ["store_rounded"]


def store_rounded(sums: Array, result: Array) -> None:
    """Write `sums` in the dtype of `result`, rounded and saturated where these are integers."""
    if result.dtype.kind == "b":
        np.greater(sums, 0.5, out=result)
    elif result.dtype.kind in "iu":
        _saturate(sums.astype(np.float64, copy=False), result)
    else:
        with np.errstate(all="ignore"):
            np.copyto(result, sums, casting="unsafe")


def _saturate(sums: Array, result: Array) -> None:
    """Round halves to even and keep within the range of `result`; `sums` is overwritten."""
    info = np.iinfo(result.dtype)
    highest = float(info.max)
    # 2**63 - 1 is no float64, the next one is 2**63: its cells are set afterwards.
    is_exact = int(highest) == info.max
    np.copyto(sums, 0, where=np.isnan(sums))
    np.rint(sums, out=sums)
    is_high = None if is_exact else sums >= highest
    np.clip(sums, float(info.min), highest if is_exact else np.nextafter(highest, 0), out=sums)
    np.copyto(result, sums, casting="unsafe")
    if is_high is not None:
        result[is_high] = info.max
