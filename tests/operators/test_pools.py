"""Convolutions inside other people's pools, and in processes started before, after and during."""

import json
import multiprocessing

import pytest

import pooled_calls
from compiled_jobs import output_of

pytestmark = pytest.mark.skipif(
    "forkserver" not in multiprocessing.get_all_start_methods(), reason="needs fork"
)


def test_twenty_calls_in_each_of_six_pools():
    """Right, and on one thread each: the pool has the cores busy already."""
    found = json.loads(output_of("import pooled_calls as p; p.pools()", FALTUNG_NUM_THREADS=2))
    assert len(found) == 6
    assert set(map(str, found.values())) == {"[[True, 1]]"}


def test_twelve_starts_of_processes():
    code = "import pooled_calls as p; p.starts()"
    found = json.loads(output_of(code, FALTUNG_NUM_THREADS=2, seconds=200))
    assert len(found) == 12
    assert {name: end for name, end in found.items() if end != [0, True]} == {}


def test_wrong_results_are_noticed(monkeypatch):
    monkeypatch.setattr(pooled_calls.ft, "conv", lambda x, _: x)
    assert not pooled_calls.is_right()
    assert pooled_calls.by_threads() == [(False, 1)] * 20


@pytest.mark.peers
@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_twenty_calls_in_joblib(backend):
    joblib = pytest.importorskip("joblib")
    calls = [joblib.delayed(pooled_calls.call)(seed) for seed in range(20)]
    assert set(joblib.Parallel(n_jobs=2, backend=backend)(calls)) == {(True, 1)}


@pytest.mark.peers
@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_twenty_calls_in_dask(scheduler):
    dask = pytest.importorskip("dask")
    calls = [dask.delayed(pooled_calls.call)(seed) for seed in range(20)]
    assert set(dask.compute(*calls, scheduler=scheduler, num_workers=2)) == {(True, 1)}


@pytest.mark.peers
def test_twenty_calls_in_workers_of_a_data_loader():
    data = pytest.importorskip("torch.utils.data")

    class Calls(data.Dataset):
        def __len__(self):
            return 20

        def __getitem__(self, seed):
            return pooled_calls.call(seed)

    loader = data.DataLoader(Calls(), batch_size=None, num_workers=2)
    assert set(map(tuple, loader)) == {(True, 1)}
