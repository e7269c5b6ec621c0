"""Settings: the default of the process, and values that end with a block."""

import threading

import numpy as np
import pytest

import faltung as ft
from faltung import config


def precision():
    return config.current_settings().precision


@pytest.fixture(autouse=True)
def _default():
    yield
    ft.set_precision("highest")
    ft.set_memory_limit(None)


def test_precision_is_a_default_and_a_block():
    ft.set_precision("high")
    assert precision() == "high"
    with ft.set_precision("medium"):
        assert precision() == "medium"
        with ft.set_precision("highest"):
            assert precision() == "highest"
        assert precision() == "medium"
    assert precision() == "high"


def test_a_block_does_not_reach_other_threads():
    seen = []
    with ft.set_precision("medium"):
        worker = threading.Thread(target=lambda: seen.append(precision()))
        worker.start()
        worker.join()
    assert seen == ["highest"]


def test_a_call_inside_a_block_holds_until_its_end():
    with ft.set_precision("medium"):
        ft.set_precision("high")
        assert precision() == "high"
    assert precision() == "highest"


@pytest.mark.parametrize("value", ["low", "", None, 3, True])
def test_unknown_precisions_list_the_known(value):
    with pytest.raises(ft.OptionError, match="'highest', 'high', 'medium'"):
        ft.set_precision(value)


def test_reproducible_ends_with_its_block():
    with ft.reproducible():
        assert config.current_settings().reproducible
    assert not config.current_settings().reproducible


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "8 GB"])
def test_senseless_memory_limits(value):
    with pytest.raises(ft.OptionError, match="set_memory_limit"):
        ft.set_memory_limit(value)


def test_the_memory_limit_holds_for_large_requests_only():
    ft.set_memory_limit(2**20)
    assert ft.pad(np.ones((1, 1, 4), np.uint8), ((2**21, 0),)).nbytes > 2**21
    with pytest.raises(
        ft.ResourceError, match=r"needs 536,870,9\d\d bytes, the limit is 1,048,576"
    ):
        ft.pad(np.ones((1, 1, 4), np.uint8), ((2**29, 0),))
    ft.set_memory_limit(None)
    assert ft.pad(np.ones((1, 1, 4), np.uint8), 0).nbytes == 4
