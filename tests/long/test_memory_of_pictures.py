"""A picture of 2 GB is filtered with under 100 MB beside itself and the result."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not Path("/proc/self/clear_refs").exists(), reason="reads the peak of memory from Linux"
    ),
]

MEGABYTE = 1 << 20
PICTURE = 2_000_000_000
MOST = 100 * MEGABYTE

MEASURE = """
import re, sys
from pathlib import Path
import numpy as np
import faltung as ft

def resident(what):
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(what + r":\\s+(\\d+) kB", status)[1])

def peak_of(call, picture):
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    result = call(picture)  # the first call: to load what is compiled counts as well
    return resident("VmHWM") - before - picture.nbytes - result.nbytes, result

def make(dtype, channels=()):
    cells = {size} // np.dtype(dtype).itemsize // (channels or (1,))[0]
    columns = 20_000
    picture = np.empty((cells // columns, columns, *channels), dtype)
    picture[:1000] = np.random.default_rng(0).integers(0, 256, picture[:1000].shape, np.uint8)
    for first in range(1000, len(picture), 1000):
        picture[first : first + 1000] = picture[: len(picture[first : first + 1000])]
    return picture

def check(call, picture, result, reach):
    rows = slice(len(picture) // 2, len(picture) // 2 + 3)
    wide = picture[rows.start - reach : rows.stop + reach]
    right = call(wide)[reach : reach + 3]
    assert np.allclose(result[rows], right, rtol=1e-4, atol=1), "another result"

before = resident("VmRSS")
{case}
used, result = peak_of(call, picture)
check(call, picture, result, reach)
print(used)
"""

CASES = {
    "uint8 Gaussian": """
        picture, kernel, reach = make(np.uint8), ft.kernels.gaussian(1.0), 4
        call = lambda image: ft.filter_image(image, kernel)
    """,
    "uint8 RGB sharpened": """
        picture, kernel, reach = make(np.uint8, (3,)), ft.kernels.sharpen(), 1
        call = lambda image: ft.filter_image(image, kernel)
    """,
    "float32 not separable": """
        picture, reach = make(np.float32), 3
        kernel = np.random.default_rng(1).normal(size=(7, 7)).astype("f4")
        call = lambda image: ft.filter_image(image, kernel)
    """,
    "float32 filter_array Gaussian": """
        picture, reach = make(np.float32), 12
        kernel = ft.kernels.gaussian(3.0).astype("f4")
        call = lambda image: ft.filter_array(image, kernel)
    """,
    "float32 63x63 not separable": """
        picture, reach = make(np.float32), 31
        kernel = np.random.default_rng(1).normal(size=(63, 63)).astype("f4") / 63
        call = lambda image: ft.filter_array(image, kernel)
    """,
}


def used_beyond(case: str, size: int = PICTURE) -> int:
    """Bytes at the peak of a call, in a process of its own, without the picture and the result.

    What is not compiled yet is compiled by the process before, with a smaller picture.
    """
    for cells in (size // 20, size):
        lines = textwrap.dedent(case)
        script = MEASURE.replace("{size}", str(cells)).replace("{case}", lines)
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", CASES)
def test_a_large_picture_needs_little_beside_itself(name):
    assert used_beyond(CASES[name]) < MOST


def test_a_copy_is_noticed():
    copying = """
        picture, reach = make(np.float32), 1
        call = lambda image: ft.filter_image(image.copy(), ft.kernels.sharpen())
    """
    size = 400 * MEGABYTE
    assert used_beyond(copying, size) > 0.9 * size
