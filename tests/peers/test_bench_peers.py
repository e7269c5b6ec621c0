"""Every peer of the benchmark that is installed computes the same as faltung."""

import pytest

from bench_problems import PROBLEMS
from faltung.bench.exact import error_of, exact_result, is_right
from faltung.bench.peers import known_peers
from faltung.compiled import machine

pytestmark = pytest.mark.peers


@pytest.mark.parametrize("name", sorted(known_peers()))
@pytest.mark.filterwarnings("ignore")  # those of other people's packages
def test_small_problems(name):
    try:
        peer = known_peers()[name](machine.available_cores())
    except ImportError as error:
        pytest.skip(str(error))
    seen = 0
    for case in PROBLEMS:
        problem = case.problem()
        made = peer.build(problem)
        if isinstance(made, str):
            continue
        for _ in range(2):
            error = error_of(made.as_array(made.call()), exact_result(problem))
            assert is_right(error, problem), (case.name, error)
        seen += 1
    assert seen >= 5
