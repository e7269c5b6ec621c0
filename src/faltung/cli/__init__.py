"""The command line: ``faltung COMMAND …`` and ``python -m faltung COMMAND …``.

Every module of this package whose name has no leading underscore is a command of that name. It
offers ``SUMMARY`` and ``EXAMPLES`` for the help, ``add_arguments(parser)`` and
``run(arguments) -> int``, and imports what is heavy inside ``run``.
"""

from __future__ import annotations

import argparse
import os
import pkgutil
import sys
import textwrap
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from faltung.cli._errors import UsageError, one_line
from faltung.errors import FaltungError

__all__ = ["main"]

BAD_INPUT, BAD_USAGE, INTERRUPTED = 1, 2, 130
READER_GONE = 141  # 128 + SIGPIPE: what a shell reports of other tools whose reader has left


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors take one line, like all other errors of the program."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see `{self.prog} --help`)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        0; 1 for bad input; 2 for a usage error; 130 after Ctrl-C.
    """
    try:
        code = _dispatch(argv)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        # An interrupt that came through exec(), as in the making of a dataclass, leaves a mark by
        # which the interpreter ends with SIGINT although it was handled; exec() takes it away.
        exec("")
        return _complain("interrupted", INTERRUPTED)
    except UsageError as error:
        return _complain(error, BAD_USAGE)
    except BrokenPipeError:
        # The interpreter flushes stdout once more at exit; that must find an open end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except (FaltungError, OSError) as error:
        return _complain(error, BAD_INPUT)
    except MemoryError as error:
        return _complain(f"not enough memory {error}", BAD_INPUT)
    return code


def _dispatch(argv: Sequence[str] | None) -> int:
    parser = _build_parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as end:  # after --help and --version
        return int(end.code or 0)
    code: int = arguments.run(arguments)
    return code


def _build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="faltung",
        description="Convolution and every other sliding window, on files.",
        epilog="`faltung COMMAND --help` explains a command and shows examples.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module_info in pkgutil.iter_modules(__path__):
        if module_info.name.startswith("_"):
            continue
        command = import_module(f"{__name__}.{module_info.name}")
        subparser = commands.add_parser(
            module_info.name,
            help=command.SUMMARY,
            description=command.__doc__,
            epilog="examples:\n" + textwrap.indent(textwrap.dedent(command.EXAMPLES).strip(), "  "),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser


class _Version(argparse.Action):
    """Print the version; package metadata is read only when somebody asks."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"faltung {version('faltung')}")
        parser.exit()


def _complain(what: object, code: int) -> int:
    print(f"faltung: {one_line(what)}", file=sys.stderr)
    return code
