"""Time faltung and other libraries in turns, and check every result.

Cases are layers of real networks, pictures, volumes, signals and tiny arrays.
Peers are found by import: PyTorch in both memory formats, ONNX Runtime,
OpenVINO, JAX, OpenCV, SciPy, NumPy. All of them live in one process, have the
same number of threads, and take turns in blocks of ten milliseconds; ratios
are of the best quarter of the blocks, with those of the medians beside them.

Without names everything is measured. A name is a case, a family, or a part of
a case's name. After Ctrl-C the cases that were finished are shown, and written
as JSON that says it is partial.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.bench.cases import Case
    from faltung.bench.peers import Peer
    from faltung.bench.results import CaseResult

SUMMARY = "time faltung and other libraries in turns"
EXAMPLES = """
    faltung bench --list
    faltung bench tiny --rounds 3
    faltung bench dense pointwise --peers torch,torch_channels_last,onnxruntime
    faltung bench --json benchmark.json --chart benchmark.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("names", nargs="*", help="cases or families; all by default")
    parser.add_argument("--list", action="store_true", help="show cases and peers, measure nothing")
    parser.add_argument("--peers", metavar="NAMES", help="with commas between them; all by default")
    parser.add_argument("--threads", type=int, metavar="N", help="of all (default: faltung's)")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="blocks of each (default: as many as fit)"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=1.5,
        metavar="S",
        help="of measuring a case, where --rounds is not given (default: %(default)s)",
    )
    parser.add_argument(
        "--runs",
        type=int,
        default=1,
        metavar="N",
        help="measure everything so often; the run with the median ratio counts",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw the ratios: png, svg, pdf")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write."""
    from faltung.bench.cases import select
    from faltung.bench.peers import open_peers
    from faltung.bench.results import as_json, machine_facts
    from faltung.cli._console import note
    from faltung.cli._errors import UsageError
    from faltung.errors import OptionError

    try:
        cases = select(arguments.names)
        if arguments.list:
            return _list(cases)
        threads = _checked(arguments)
        wanted = arguments.peers.split(",") if arguments.peers else None
        peers, missing = open_peers(wanted, threads)
    except OptionError as error:
        raise UsageError(str(error)) from None
    for name, reason in missing.items():
        note(f"{name} is left out: {reason}")
    facts = machine_facts(threads, (peer.package for peer in peers))
    results, interrupt = _measure(cases, peers, threads, arguments)
    titles = {peer.name: peer.title for peer in peers}
    if results:
        _show(results, titles, facts)
    found = as_json(facts, results, is_partial=interrupt is not None)
    if arguments.json and results:
        arguments.json.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", "utf-8")
    if interrupt is not None:
        raise interrupt
    if arguments.chart:
        from faltung.bench.chart import save_chart

        save_chart(arguments.chart, found, titles)
    return 0


def _checked(arguments: argparse.Namespace) -> int:
    """How many threads; what could not be written is refused before anything is measured."""
    import faltung as ft
    from faltung.cli._errors import FileError, UsageError

    for name in ("rounds", "runs", "threads"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name} is {value}, expected 1 or more")
    if not 0 < arguments.seconds < float("inf"):
        raise UsageError(f"--seconds is {arguments.seconds}, expected more than 0")
    if arguments.chart:
        from faltung.bench.chart import check_chart_path

        check_chart_path(arguments.chart)
    for path in (arguments.json, arguments.chart):
        if path and not path.absolute().parent.is_dir():
            raise FileError(f"{path}: there is no directory {path.parent}")
    if arguments.threads is not None:
        ft.set_num_threads(arguments.threads)
    return ft.get_num_threads()


def _measure(
    cases: Sequence[Case], peers: list[Peer], threads: int, arguments: argparse.Namespace
) -> tuple[list[CaseResult], KeyboardInterrupt | None]:
    """The cases that were finished, and what has ended the measuring before all were."""
    from faltung.bench.measuring import measure
    from faltung.bench.peak import make_peak
    from faltung.bench.results import middle_run
    from faltung.cli._console import tracked

    peak = make_peak(threads)
    found: dict[str, list[CaseResult]] = {case.name: [] for case in cases}
    interrupt = None
    try:
        for case in tracked([*cases] * arguments.runs, "measuring"):
            found[case.name].append(
                measure(case, peers, rounds=arguments.rounds, seconds=arguments.seconds, peak=peak)
            )
    except KeyboardInterrupt as reason:
        interrupt = reason
    return [middle_run(runs) for runs in found.values() if runs], interrupt


def _list(cases: Sequence[Case]) -> int:
    from faltung.bench.cases import all_cases
    from faltung.bench.peers import known_peers
    from faltung.cli._console import table

    heavy = [case for case in all_cases() if case.is_heavy and case not in cases]
    rows = [(case.name, case.family, "") for case in cases]
    rows += [(case.name, case.family, "by name only") for case in heavy]
    table("cases", ("name", "family", ""), rows, align="left")
    peers = [(name, peer.title, peer.package) for name, peer in known_peers().items()]
    table("peers", ("name", "", "package"), peers, align="left")
    return 0


def _show(results: list[CaseResult], titles: dict[str, str], facts: dict[str, object]) -> None:
    from faltung.bench.results import by_family, sorted_by_ratio
    from faltung.bench.tables import CASE_HEADER, FAMILY_HEADER, case_row, family_row, remarks
    from faltung.cli._console import say, table

    title = f"{facts['processor']}, {facts['threads']} threads, {facts['kernels']}"
    rows = [case_row(result, titles) for result in sorted_by_ratio(results)]
    table(f"cases, the worst first ({title})", CASE_HEADER, rows)
    if families := by_family(results):
        table("families", FAMILY_HEADER, [family_row(family) for family in families])
    for line in remarks(results, titles):
        say(line)
