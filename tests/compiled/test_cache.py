"""The cache of compiled code: whatever happens to its files, results stay right."""

import contextlib
import logging
import os
import pickle
import stat
import time
from pathlib import Path

import numpy as np
import pytest

from compiled_jobs import output_of
from faltung.compiled import _cache, _log
from faltung.compiled._jit import kernel

OTHER_USER = 65534  # "nobody" nearly everywhere


def times(factor):
    """A new kernel of a factory; it knows nothing of the ones made before."""

    @kernel("intp(intp)")
    def product(number):
        return factor * number

    return product


@pytest.fixture
def directory(tmp_path, monkeypatch):
    path = tmp_path / "cache"
    monkeypatch.setenv("FALTUNG_CACHE_DIR", str(path))
    monkeypatch.setattr(_log, "_said", {})
    return path


def files(directory):
    return {path.name: path.stat().st_mtime_ns for path in directory.iterdir()}


def numbers():
    """Factors that no test has used, so that machine code of the same name is not there yet."""
    return np.random.default_rng().integers(10, 2**40, 1000).tolist()


@contextlib.contextmanager
def as_ordinary_user():
    """Without the rights of root, which no permission stops."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(OTHER_USER)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_second_kernel_loads_what_the_first_one_left(directory):
    factor = numbers()[0]
    assert times(factor)(3) == 3 * factor
    before = files(directory)
    assert len(before) == 1
    assert times(factor)(5) == 5 * factor
    assert files(directory) == before
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    (file,) = directory.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_variants_of_a_factory_do_not_meet(tmp_path):
    """Two processes number their first kernel alike; a third one loads both."""
    code = """
import sys
sys.path.insert(0, {folder!r})
import test_cache
for factor in {factors}:
    print(test_cache.times(factor)(10))
"""
    folder = str(Path(__file__).parent)
    for factors, expected in [([2], "20"), ([3], "30"), ([3, 2], "30\n20")]:
        text = code.format(folder=folder, factors=factors)
        assert output_of(text, FALTUNG_CACHE_DIR=tmp_path) == expected
    assert len(list(tmp_path.iterdir())) == 2


def test_no_directory_can_be_made(directory, caplog):
    directory.parent.joinpath("file").touch()
    os.environ["FALTUNG_CACHE_DIR"] = str(directory.parent / "file" / "cache")
    for factor in numbers()[:2]:
        assert times(factor)(3) == 3 * factor
    assert len(caplog.records) == 1
    assert "compiled code is not kept between processes" in caplog.text


def test_no_home(monkeypatch, caplog):
    for name in ["FALTUNG_CACHE_DIR", "XDG_CACHE_HOME", "HOME"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_log, "_said", {})
    monkeypatch.setattr(_cache.sys, "platform", "linux")

    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    factor = numbers()[0]
    assert times(factor)(3) == 3 * factor
    assert len(caplog.records) == 1


def test_without_the_variable_home_the_user_database_tells(tmp_path):
    code = "from faltung.compiled._cache import _wanted_directory; print(_wanted_directory())"
    expected = Path(f"~{os.environ.get('USER', 'root')}").expanduser() / ".cache" / "faltung"
    nothing = {"FALTUNG_CACHE_DIR": None, "XDG_CACHE_HOME": None, "HOME": None}
    assert output_of(code, **nothing) == str(expected)
    assert output_of(code, **{**nothing, "XDG_CACHE_HOME": tmp_path}) == str(tmp_path / "faltung")
    assert output_of(code, **{**nothing, "XDG_CACHE_HOME": "x"}) == str(expected)
    assert output_of(code, **{**nothing, "FALTUNG_CACHE_DIR": tmp_path}) == str(tmp_path)


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_other_systems_have_their_own_places(monkeypatch, platform):
    monkeypatch.delenv("FALTUNG_CACHE_DIR", raising=False)
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    monkeypatch.setattr(_cache.sys, "platform", platform)
    expected = {"win32": "/local/faltung/Cache", "darwin": "Library/Caches/faltung"}[platform]
    assert str(_cache._wanted_directory()).endswith(expected)


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
def test_a_directory_that_others_can_write_to_is_refused(directory, caplog, mode):
    directory.mkdir()
    directory.chmod(mode)
    factor = numbers()[0]
    assert times(factor)(3) == 3 * factor
    assert files(directory) == {}
    assert len(caplog.records) == 1
    assert "others can write to it" in caplog.text


def test_a_directory_of_somebody_else_is_refused(directory, monkeypatch, caplog):
    directory.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(directory, OTHER_USER, OTHER_USER)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: OTHER_USER)
    factor = numbers()[0]
    assert times(factor)(3) == 3 * factor
    assert files(directory) == {}
    assert len(caplog.records) == 1


def test_a_directory_that_cannot_be_written_to(directory, caplog):
    directory.parent.chmod(0o755)
    with contextlib.ExitStack() as stack:
        for parent in list(directory.parents)[1:]:  # pytest keeps its directories private
            if not parent.stat().st_mode & stat.S_IXOTH and os.geteuid() == 0:
                mode = parent.stat().st_mode
                parent.chmod(mode | stat.S_IXOTH)
                stack.callback(parent.chmod, stat.S_IMODE(mode))
        directory.mkdir(mode=0o500)
        if os.geteuid() == 0:
            os.chown(directory, OTHER_USER, OTHER_USER)
        with as_ordinary_user():
            for factor in numbers()[:2]:
                assert times(factor)(3) == 3 * factor
        directory.chmod(0o700)
    assert list(directory.iterdir()) == []
    assert len(caplog.records) == 1
    assert "Permission denied" in caplog.text


def test_a_full_disk(directory, monkeypatch, caplog):
    def full(descriptor, *arguments):
        os.close(descriptor)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_cache.os, "fdopen", full)
    for factor in numbers()[:2]:
        assert times(factor)(3) == 3 * factor
    assert list(directory.iterdir()) == []
    assert len(caplog.records) == 1


def test_a_directory_that_is_removed_while_running(directory, caplog):
    first, second, third = numbers()[:3]
    assert times(first)(3) == 3 * first
    for file in directory.iterdir():
        file.unlink()
    directory.rmdir()
    assert times(second)(3) == 3 * second
    assert len(files(directory)) == 1
    assert times(third)(3) == 3 * third
    assert len(files(directory)) == 2
    assert not caplog.records


def damaged(content):
    """The content of a cache file after every fault that storage can have."""
    yield "empty", b""
    for length in range(10, len(content), 10):
        yield f"truncated at {length}", content[:length]
    for position in np.random.default_rng(1).integers(0, len(content), 500).tolist():
        flipped = bytes([content[position] ^ 1 << position % 8])
        yield f"bit flip at {position}", content[:position] + flipped + content[position + 1 :]
    yield "longer", content + b"\0"


def test_every_damage_is_seen(directory):
    assert times(numbers()[0])(1) > 0
    (file,) = directory.iterdir()
    content = file.read_bytes()
    assert _cache.read(file) is not None
    for what, bad in damaged(content):
        file.write_bytes(bad)
        assert _cache.read(file) is None, what
    file.write_bytes(content)
    file.chmod(0o666)
    assert _cache.read(file) is None, "others could have written it"


@pytest.mark.parametrize("fault", ["truncated", "flipped", "no code", "no pickle", "missing"])
def test_a_damaged_file_is_a_miss_and_written_again(directory, caplog, fault):
    factor = numbers()[0]
    assert times(factor)(3) == 3 * factor
    (file,) = directory.iterdir()
    good = file.read_bytes()
    bad = {
        "truncated": good[: len(good) // 2],
        "flipped": good[:-1] + bytes([good[-1] ^ 1]),
        "no code": whole(pickle.dumps((1, 2, 3))),
        "no pickle": whole(b"nothing that pickle knows"),
        "missing": b"",
    }[fault]
    file.write_bytes(bad)
    if fault == "missing":
        file.unlink()
    assert times(factor)(7) == 7 * factor
    (again,) = directory.iterdir()
    assert _cache.read(again) is not None
    assert again.read_bytes() != bad
    assert not caplog.records


def whole(payload):
    """A file with a right checksum."""
    return _cache._FORMAT + _cache.sha256(payload).digest() + payload


def test_old_files_are_forgotten(directory, monkeypatch):
    factor = numbers()[0]
    for number in range(_cache._KEPT_STAMPS + 3):
        monkeypatch.setenv("NUMBA_A_SETTING", str(number))
        assert times(factor)(3) == 3 * factor
        time.sleep(0.01)
    assert len(files(directory)) == _cache._KEPT_STAMPS


def test_circumstances_are_told_apart(directory, monkeypatch):
    factor = numbers()[0]
    seen = set()
    for name, value in [
        ("NUMBA_A_SETTING", ""),
        ("NUMBA_A_SETTING", "1"),
        ("FALTUNG_MAX_ISA", "amx"),
        ("NUMBA_OPT", "1"),
    ]:
        monkeypatch.setenv(name, value)
        assert times(factor)(3) == 3 * factor
        now = set(files(directory))
        assert len(now - seen) == 1, name
        seen = now


def test_an_edit_in_an_imported_module_is_seen(tmp_path, monkeypatch):
    for name, text in {
        "kernels.py": "from faltung.first import (\n    one,\n    two,\n)\nimport faltung.third\n",
        "first.py": "from faltung import second\n",
        "second.py": "import os\n",
        "third/__init__.py": "",
        "fourth.py": "from faltung import kernels\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(_cache, "_PACKAGE", tmp_path)
    monkeypatch.setattr(_cache, "_STARTED", time.time() + 1000)

    def stamp():
        _cache._source.cache_clear()
        return _cache.source_stamp(tmp_path / "kernels.py")

    before = stamp()
    for name, matters in {
        "kernels.py": True,
        "first.py": True,
        "second.py": True,
        "third/__init__.py": True,
        "fourth.py": False,
    }.items():
        with (tmp_path / name).open("a") as file:
            file.write("# edited\n")
        now = stamp()
        assert (now != before) == matters, name
        before = now
    _cache._source.cache_clear()
    _cache._module_file.cache_clear()


def test_what_is_edited_while_running_is_not_kept(directory, monkeypatch):
    edited = Path(_cache.__file__).with_name("_jit.py").stat().st_mtime
    monkeypatch.setattr(_cache, "_STARTED", edited - 1.0)
    factor = numbers()[0]
    assert times(factor)(3) == 3 * factor
    assert not directory.exists()


def test_an_older_file_put_in_place_while_running_is_seen(tmp_path, monkeypatch):
    path, upgrade = tmp_path / "kernels.py", tmp_path / "upgrade.py"
    path.write_text("one = 1\n")
    upgrade.write_text("one = 2\n")
    os.utime(upgrade, (1e9, 1e9))
    monkeypatch.setattr(_cache, "_STARTED", time.time() + 1000)
    assert _cache.source_stamp(path)
    monkeypatch.setattr(_cache, "_STARTED", path.stat().st_ctime - 1)
    upgrade.replace(path)
    assert path.stat().st_mtime < _cache._STARTED
    assert not _cache.source_stamp(path)


def test_the_imports_of_the_real_files_are_found():
    files, waiting = set(), [str(Path(_cache.__file__).with_name("parallel.py"))]
    while waiting:
        file = waiting.pop()
        files.add(file)
        waiting += _cache._source(file).imported - files
    names = {Path(file).name for file in files}
    assert {"_pool.py", "_atomics.py", "_jit.py", "machine.py", "errors.py"} <= names


def test_code_without_a_file_is_not_kept(directory):
    space = {"kernel": kernel}
    source = "@kernel('intp(intp)')\ndef plus(number):\n    return number + 1\n"
    exec(compile(source, "<nowhere>", "exec"), space)
    assert space["plus"](4) == 5
    assert not directory.exists()


def sum_of(factor):
    """A kernel over an array with a loop that only Numba understands."""

    @kernel("intp(intp[::1])")
    def total(values):
        result = 0
        for value in values:
            result += factor * value
        return result

    return total


def test_numba_keeps_its_kernels_here_too(directory):
    factor = numbers()[0] % 1000
    for _ in range(2):
        assert sum_of(factor)(np.arange(4)) == 6 * factor
        assert len(files(directory)) == 1


def test_numba_without_its_private_names(directory, monkeypatch, caplog):
    import numba.core.caching

    monkeypatch.delattr(numba.core.caching, "NullCache")
    factor = numbers()[0] % 1000
    with caplog.at_level(logging.WARNING, "faltung"):
        assert sum_of(factor)(np.arange(4)) == 6 * factor
    assert list(directory.iterdir()) == []
    assert len(caplog.records) == 1
