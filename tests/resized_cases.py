"""Random calls of `resize`, of whole numbers."""

import numpy as np

MODES = ("nearest", "nearest-exact", "linear", "cubic", "lanczos", "area")


def draw_resize(rng, dtype):
    """An array and the parameters of one call."""
    rank = int(rng.integers(1, 4))
    longest = [200, 24, 9][rank - 1]
    sizes = tuple(int(n) for n in rng.integers(1, longest, rank))
    shape = (int(rng.integers(1, 3)), int(rng.integers(1, 4)), *sizes)
    mode = str(rng.choice(MODES))
    parameters = {"mode": mode, "size": tuple(int(n) for n in rng.integers(1, longest, rank))}
    if mode in ("linear", "cubic", "lanczos"):
        parameters["antialias"] = bool(rng.random() < 0.4)
        parameters["align_corners"] = bool(rng.random() < 0.3) and not parameters["antialias"]
    if dtype == "bool":
        return rng.random(shape) < 0.5, parameters
    if "int" in dtype:
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True), parameters
    values = rng.standard_normal(shape)
    return (values + 1j if "complex" in dtype else values).astype(dtype), parameters
