"""The program as a process and as a function: help, exit codes, Ctrl-C, lost readers."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from faltung.cli import main
from faltung.compiled import machine
from hostile_files import png_claiming

PROGRAM = [sys.executable, "-m", "faltung"]


def run(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False, **options
    )


def test_help_names_the_commands(capsys):
    assert main(["--help"]) == 0
    assert {"apply", "bench", "demo", "info"} <= set(capsys.readouterr().out.split())


@pytest.mark.parametrize("command", ["apply", "bench", "demo", "info"])
def test_help_of_a_command_has_examples(capsys, command):
    assert main([command, "--help"]) == 0
    printed = capsys.readouterr()
    assert f"examples:\n  faltung {command}" in printed.out
    assert printed.err == ""


def test_help_is_light():
    code = (
        "import sys; from faltung.cli import main; main(['apply', '--help']);"
        "print(sorted({'scipy', 'numba', 'PIL', 'rich', 'matplotlib'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"


def test_version(capsys):
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"faltung {version('faltung')}\n"


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["--nonsense"], ["info", "extra"]])
def test_usage_errors_take_one_line(capsys, arguments):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("faltung: ")
    assert printed.err.count("\n") == 1


def test_exit_codes_of_the_process(tmp_path):
    missing = run(
        "apply", str(tmp_path / "no.png"), "--kernel", "box:3", "-o", str(tmp_path / "o.png")
    )
    assert (missing.returncode, missing.stdout, missing.stderr.count("\n")) == (1, "", 1)
    assert run("--version").returncode == 0
    assert run("apply").returncode == 2


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_fifo_does_not_block_and_a_bomb_takes_no_memory(tmp_path):
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "bomb.png").write_bytes(png_claiming(60_000, 60_000))
    started = time.monotonic()
    files = [str(tmp_path / name) for name in ("fifo.png", "bomb.png")]
    arguments = ["apply", *files, "--kernel", "box:3", "-o", str(tmp_path / "out")]
    # VmHWM begins anew with the program; ru_maxrss would keep what the test process had used.
    code = (
        "import sys; from faltung.cli import main; code = main(sys.argv[1:]); "
        "status = open('/proc/self/status').read().split(); "
        "print(status[status.index('VmHWM:') + 1]); sys.exit(code)"
    )
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert time.monotonic() - started < 10
    assert result.returncode == 1
    assert result.stderr.count("\n") == 2
    assert int(result.stdout.split()[-1]) < 300 * 1024


def test_ctrl_c_ends_with_130_and_leaves_nothing_half_written(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (500, 500), dtype=np.uint8)
    for number in range(60):
        Image.fromarray(pixels).save(tmp_path / f"{number}.bmp")
    files = [str(path) for path in sorted(tmp_path.iterdir())]
    output = tmp_path / "out"
    with subprocess.Popen(
        [*PROGRAM, "apply", *files, "--kernel", "gaussian:1", "-o", str(output)],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 30
        while not any(output.glob("*.bmp")) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error == "faltung: interrupted\n"
    written = list(output.iterdir())
    assert 0 < len(written) < 60
    for path in written:
        assert path.suffix == ".bmp"
        with Image.open(path) as image:
            image.load()


def test_ctrl_c_inside_generated_code_ends_with_130_too(tmp_path):
    (tmp_path / "interrupted.py").write_text(
        "import sys\n"
        "from faltung.cli import info, main\n"
        "info.run = lambda arguments: exec('raise KeyboardInterrupt')\n"
        "sys.exit(main(['info']))\n"
    )
    program = [sys.executable, "-m", "interrupted"]
    result = subprocess.run(
        program, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stderr) == (130, "faltung: interrupted\n")


def test_a_reader_that_leaves_early_is_no_traceback():
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(
        [*PROGRAM, "info"], stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    os.close(write)
    assert (result.returncode, result.stderr) == (141, "")


def test_closed_outputs_do_not_matter(tmp_path):
    command = f"{sys.executable} -m faltung info >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], timeout=60, check=False).returncode == 0


def test_without_pillow_and_rich(tmp_path, monkeypatch, capsys):
    for package in ("PIL", "rich", "rich.console"):
        monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(30))
    picture, array = str(tmp_path / "picture.png"), str(tmp_path / "array.npy")
    assert main(["apply", picture, "--kernel", "box:3", "-o", array]) == 1
    assert 'pip install "faltung[cli]"' in capsys.readouterr().err
    np.save(array, np.eye(4))
    assert main(["apply", array, "--kernel", "box:3", "-o", array, "--force"]) == 0
    assert main(["info"]) == 0
    assert "numpy" in capsys.readouterr().out


def test_info_as_json(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("FALTUNG_CACHE_DIR", str(tmp_path))
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["versions"]["numpy"] == np.__version__
    assert found["processor"]["threads"] >= 1
    assert found["processor"]["instruction_set"] == machine.isa()
    assert machine.has(found["processor"]["kernels"])
    assert found["settings"]["precision"] == "highest"
    assert found["environment"]["FALTUNG_CACHE_DIR"] == str(tmp_path)


def test_a_senseless_environment_is_one_line(capsys, monkeypatch):
    monkeypatch.setenv("FALTUNG_MAX_ISA", "turbo")
    assert main(["info"]) == 1
    error = capsys.readouterr().err
    assert "turbo" in error
    assert error.count("\n") == 1
