"""Processes that find the compile cache cold, damaged, full or away.

They are forked from one that has Numba: a new process spends two seconds on loading and compiling
for the first time, a forked one a fifth of a second on a kernel that is new to it.
"""

import itertools
import json
import logging
import os
import pwd
import resource
import signal
import time
import traceback
from pathlib import Path

from faltung.compiled import _cache, _jit
from faltung.compiled._jit import kernel

SECONDS = 60


def times(factor):
    """A new kernel of a factory; it knows nothing of the ones made before."""

    @kernel("intp(intp)")
    def product(number):
        return factor * number

    return product


class Lines(logging.Handler):
    """Counts what is logged."""

    def __init__(self):
        super().__init__()
        self.count = 0
        logging.getLogger("faltung").addHandler(self)

    def emit(self, record):
        self.count += 1


def start(function):
    """Begin `function` in a child whose exit code tells how many lines it logged, 99 an error."""
    child = os.fork()
    if child:
        return child
    signal.alarm(SECONDS)
    lines, code = Lines(), 99
    try:
        function()
        code = lines.count
    except BaseException:  # noqa: BLE001 - shown by the parent's test, which sees stderr
        traceback.print_exc()
    os._exit(code)


def end(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def compute(directory, factors=(2,)):
    """Load or compile kernels with the cache in `directory`, and check what they give."""
    if directory is not None:
        os.environ["FALTUNG_CACHE_DIR"] = str(directory)
    for factor in factors:
        assert times(factor)(21) == 21 * factor


def at_once(directory, count):
    """`count` processes use one cold cache at the same moment."""
    begin = time.monotonic() + 0.3

    def work():
        time.sleep(max(begin - time.monotonic(), 0.0))
        compute(directory, (2, 3))

    children = [start(work) for _ in range(count)]
    return [end(child) for child in children]


def damaged(directory, steps):
    """Every file of the cache cut at many lengths, and with flipped bits; each is loaded once."""
    compute(directory)
    contents = {file: file.read_bytes() for file in Path(directory).iterdir()}
    codes = []
    for step, is_cut in itertools.product(range(steps), (True, False)):
        bad = {file: damage(content, step / steps, is_cut) for file, content in contents.items()}
        for file, content in bad.items():
            file.write_bytes(content)
        codes.append(end(start(lambda: compute(directory))))
        assert all(file.read_bytes() != content for file, content in bad.items())
    return codes


def damage(content, share, is_cut):
    place = int(share * len(content))
    flipped = bytes([content[place] ^ 1 << place % 8])
    return content[:place] if is_cut else content[:place] + flipped + content[place + 1 :]


def full_disk(directory):
    """No file may grow beyond 500 bytes, as on a disk that fills up in the middle of writing."""

    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
        compute(directory, (2, 3, 4))
        assert list(Path(directory).iterdir()) == []

    return [end(start(work))]


def removed(directory, turns):
    """One process compiles while another one removes files and directory all the time."""

    def remove():
        while True:
            for file in Path(directory).glob("*"):
                file.unlink(missing_ok=True)
            try:
                Path(directory).rmdir()
            except OSError:
                continue

    remover = os.fork()
    if remover == 0:
        signal.alarm(SECONDS)
        remove()
    code = end(start(lambda: compute(directory, range(2, turns + 2))))
    os.kill(remover, signal.SIGKILL)
    os.waitpid(remover, 0)
    return [code]


def nobody(*_arguments):
    raise KeyError("getpwuid(): uid not found")


def no_home():
    """Neither HOME nor an entry in the user database."""

    def work():
        for name in ("HOME", "XDG_CACHE_HOME", "FALTUNG_CACHE_DIR"):
            os.environ.pop(name, None)
        pwd.getpwuid = nobody
        compute(None, (2, 3))
        assert _cache.cache_directory() is None

    return [end(start(work))]


def home_is_no_directory():
    def work():
        for name in ("XDG_CACHE_HOME", "FALTUNG_CACHE_DIR"):
            os.environ.pop(name, None)
        os.environ["HOME"] = "/dev/null"
        compute(None, (2, 3))

    return [end(start(work))]


def main(folder):
    """Every scenario; prints the exit codes of each: 0 or, where nothing can be kept, 1 line."""
    assert _jit.available()
    times(1000)(1)  # what compiling needs is loaded now
    folder = Path(folder)
    found = {
        "at once": at_once(folder / "at once", 16),
        "damaged": damaged(folder / "damaged", 16),
        "full disk": full_disk(folder / "full"),
        "removed": removed(folder / "removed", 6),
        "no home": no_home(),
        "home is no directory": home_is_no_directory(),
    }
    print(json.dumps(found))
