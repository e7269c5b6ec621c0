"""What the machine can do, read from machines that are made of files."""

import os
import sys
from pathlib import Path

import pytest

from compiled_jobs import output_of, run_python
from faltung.compiled import _log, machine
from faltung.errors import OptionError

CACHED = [
    machine.is_x86,
    machine._features,
    machine._machine_level,
    machine.cache_sizes,
    machine.available_cores,
    machine.total_memory,
]


@pytest.fixture
def build(tmp_path, monkeypatch):
    """A function that writes files of a made-up system, which the module then reads."""

    def forget():
        for function in CACHED:
            function.cache_clear()

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        forget()

    monkeypatch.setattr(machine, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "_SYS", tmp_path / "sys")
    monkeypatch.delenv("FALTUNG_MAX_ISA", raising=False)
    monkeypatch.setattr(machine.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(machine.platform, "system", lambda: "Linux")
    forget()
    yield write
    monkeypatch.undo()
    forget()


SSE4 = "fpu sse sse2 pni ssse3 sse4_1 sse4_2 popcnt"
AVX2 = f"{SSE4} avx avx2 fma f16c bmi1 bmi2 abm"
AVX512 = f"{AVX2} avx512f avx512bw avx512cd avx512dq avx512vl"
AMX = f"{AVX512} amx_tile amx_bf16 amx_int8"


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("", "generic"),
        ("fpu sse sse2", "generic"),
        (SSE4, "sse4"),
        (f"{SSE4} avx avx2", "sse4"),
        (AVX2, "avx2"),
        (AVX2.replace(" fma", ""), "sse4"),
        (f"{AVX2} avx512f", "avx2"),
        (AVX512, "avx512"),
        (f"{AVX2} amx_tile amx_bf16", "avx2"),
        (AMX, "amx"),
    ],
)
def test_a_level_needs_all_of_its_features(build, monkeypatch, flags, level):
    build({"proc/cpuinfo": f"processor : 0\nmodel name : AVX-512 AMX\nflags\t\t: {flags}"})
    assert machine.isa() == level
    ranks = machine.LEVELS
    assert [name for name in ranks if machine.has(name)] == list(ranks[: ranks.index(level) + 1])
    for limit in ranks:
        monkeypatch.setenv("FALTUNG_MAX_ISA", limit)
        assert machine.isa() == min(limit, level, key=ranks.index)


def test_other_processors_are_generic(build, monkeypatch):
    monkeypatch.setattr(machine.platform, "machine", lambda: "aarch64")
    build({"proc/cpuinfo": f"flags : {AMX}"})
    assert machine.isa() == "generic"


def test_other_systems_ask_llvm(build, monkeypatch):
    llvm = pytest.importorskip("llvmlite.binding")
    monkeypatch.setattr(machine.platform, "system", lambda: "Darwin")
    names = [name for level in ("sse4", "avx2") for name in machine._FEATURES[level]]
    features = {**dict.fromkeys(names, True), "avx512f": False}
    monkeypatch.setattr(llvm, "get_host_cpu_features", lambda: features)
    assert machine.isa() == "avx2"


@pytest.mark.parametrize("limit", ["AVX2", "sse5", "avx", "1", "none"])
def test_an_unknown_limit_raises_and_lists_the_known(monkeypatch, limit):
    monkeypatch.setenv("FALTUNG_MAX_ISA", limit)
    for function in (machine.isa, machine.limit_compiler):
        with pytest.raises(OptionError, match=r"FALTUNG_MAX_ISA is .*generic, sse4, avx2, avx512"):
            function()


MULTIPLY_ADD = """
import sys
from pathlib import Path
sys.path.insert(0, {folder!r})
import os
import test_jit
text = test_jit.multiply_add.assembly()
print(*["zmm" in text, "ymm" in text, "fmadd" in text])
print(os.environ.get("NUMBA_CPU_NAME"), os.environ.get("NUMBA_CPU_FEATURES") is not None)
"""


@pytest.mark.skipif(not machine.has("avx512"), reason="needs AVX-512 to stay below it")
@pytest.mark.parametrize(
    ("limit", "wide", "fused"),
    [("generic", False, False), ("sse4", False, False), ("avx2", True, True)],
)
def test_the_compiler_stays_below_the_limit(limit, wide, fused):
    code = MULTIPLY_ADD.format(folder=str(Path(__file__).parent))
    done = output_of(code, FALTUNG_MAX_ISA=limit, NUMBA_CPU_NAME="sapphirerapids")
    assert done == f"False {wide} {fused}\nx86-64 True"


@pytest.mark.skipif(not machine.has("avx2"), reason="needs AVX2 to be seen")
def test_without_a_limit_nothing_is_touched():
    code = MULTIPLY_ADD.format(folder=str(Path(__file__).parent))
    done = output_of(code, FALTUNG_MAX_ISA=None, NUMBA_CPU_NAME=None, NUMBA_CPU_FEATURES=None)
    assert done.endswith("True True\nNone False")


def test_a_limit_that_comes_too_late_is_told_once(build, monkeypatch, caplog):
    build({"proc/cpuinfo": f"flags : {AMX}"})
    monkeypatch.setattr(_log, "_said", {})
    monkeypatch.setitem(sys.modules, "numba", object())
    monkeypatch.setenv("FALTUNG_MAX_ISA", "avx2")
    monkeypatch.delenv("NUMBA_CPU_NAME", raising=False)
    machine.limit_compiler()
    machine.limit_compiler()
    assert "NUMBA_CPU_NAME" not in os.environ
    assert len(caplog.records) == 1


def test_a_senseless_limit_ends_a_process_with_one_error():
    code = "from compiled_jobs import tally; tally.address"
    done = run_python(code, FALTUNG_MAX_ISA="mmx")
    assert done.returncode == 1
    assert "FALTUNG_MAX_ISA is 'mmx'" in done.stderr.splitlines()[-1]


def test_cache_sizes(build):
    assert machine.cache_sizes() == (32 << 10, 512 << 10, 4 << 20)
    cache = "sys/devices/system/cpu/cpu0/cache"
    sizes = [("1", "Data", "48K"), ("1", "Instruction", "64K"), ("2", "Unified", "2048K")]
    for index, (level, kind, size) in enumerate([*sizes, ("3", "Unified", "105M")]):
        folder = f"{cache}/index{index}"
        build({f"{folder}/level": level, f"{folder}/type": kind, f"{folder}/size": size})
    assert machine.cache_sizes() == (48 << 10, 2 << 20, 105 << 20)
    build({f"{cache}/index3/size": "", f"{cache}/index0/size": "K"})
    assert machine.cache_sizes() == (32 << 10, 2 << 20, 4 << 20)


V2 = {"proc/self/cgroup": "0::/user/app"}
V1 = {"proc/self/cgroup": "7:memory:/app\n4:cpu,cpuacct:/app\n1:name=systemd:/x"}
V1_HOST = {"proc/self/cgroup": "7:memory:/host/name\n4:cpu,cpuacct:/host/name"}
GROUP = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({**V2, f"{GROUP}/user/app/cpu.max": "max 100000"}, 8),
        ({**V2, f"{GROUP}/user/app/cpu.max": "300000 100000"}, 3),
        ({**V2, f"{GROUP}/user/app/cpu.max": "150000 100000"}, 1),
        ({**V2, f"{GROUP}/user/app/cpu.max": "20000 100000"}, 1),
        ({**V2, f"{GROUP}/user/cpu.max": "200000 100000"}, 2),
        ({"proc/self/cgroup": "0::/", f"{GROUP}/cpu.max": "400000 100000"}, 4),
        ({"proc/self/cgroup": "0::/../..", f"{GROUP}/cpu.max": "nonsense"}, 8),
        (
            {
                **V1,
                f"{GROUP}/cpu/app/cpu.cfs_quota_us": "200000",
                f"{GROUP}/cpu/app/cpu.cfs_period_us": "100000",
            },
            2,
        ),
        (
            {
                **V1_HOST,
                f"{GROUP}/cpu/cpu.cfs_quota_us": "-1",
                f"{GROUP}/cpu/cpu.cfs_period_us": "100000",
            },
            8,
        ),
        (
            {
                **V1_HOST,
                f"{GROUP}/cpu/cpu.cfs_quota_us": "500000",
                f"{GROUP}/cpu/cpu.cfs_period_us": "100000",
            },
            5,
        ),
    ],
)
def test_quotas_of_control_groups(build, monkeypatch, files, cores):
    monkeypatch.setattr(machine, "_usable_processors", lambda: set(range(8)))
    build(files)
    assert machine.available_cores() == cores


def test_hyper_threads_count_once(build, monkeypatch):
    topology = "sys/devices/system/cpu/cpu{}/topology/core_cpus_list"
    build({topology.format(number): f"{number % 4},{number % 4 + 4}" for number in range(8)})
    monkeypatch.setattr(machine, "_usable_processors", lambda: {0, 1, 4, 5, 6})
    assert machine.available_cores() == 3


def test_affinity_is_minded():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("needs affinity")
    code = """
import os
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
from faltung.compiled import machine, parallel
print(machine.available_cores(), parallel.get_num_threads())
"""
    assert output_of(code, FALTUNG_NUM_THREADS=None, OMP_NUM_THREADS=None) == "1 1"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({**V2, f"{GROUP}/user/app/memory.max": "max"}, None),
        ({**V2, f"{GROUP}/user/app/memory.max": str(1 << 20)}, 1 << 20),
        ({**V2, f"{GROUP}/user/memory.max": str(3 << 20)}, 3 << 20),
        ({**V1, f"{GROUP}/memory/app/memory.limit_in_bytes": str(2 << 20)}, 2 << 20),
        ({**V1_HOST, f"{GROUP}/memory/memory.limit_in_bytes": str(5 << 20)}, 5 << 20),
        ({**V1, f"{GROUP}/memory/app/memory.limit_in_bytes": str(1 << 62)}, None),
    ],
)
def test_memory_of_control_groups(build, files, expected):
    build(files)
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert machine.total_memory() == (expected or whole)


def test_unknown_memory(build, monkeypatch):
    build({})
    monkeypatch.delattr(machine.os, "sysconf")
    assert machine.total_memory() is None
