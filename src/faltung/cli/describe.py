"""Tell what operators cost on an input, without computing anything.

Operators are written as their function's name, values in the order of its
parameters, and name=value; semicolons between them make a chain. conv and
conv_transpose take the number of filters and the kernel size.

The table has output shape, parameters, multiply-adds and, growing down the
column, the receptive field; then the figures of the whole, and which
algorithm runs and why the others do not.
"""

from __future__ import annotations

import argparse
import json

SUMMARY = "tell what operators cost on an input"
EXAMPLES = """
    faltung describe "conv 64 7 stride=2 padding=3" --input 3x224x224
    faltung describe "conv 64 7 stride=2 padding=3; max_pool 3 stride=2 padding=1" --input 3x224x224
    faltung describe "conv1d 64 9 padding=causal dilation=4" --input 1x48000
    faltung describe "conv_transpose 16 4 stride=2 padding=1" --input 32x28x28 --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("operators", help="one operator, or several with semicolons between them")
    parser.add_argument(
        "--input",
        required=True,
        metavar="SIZES",
        help="channels and spatial sizes, such as 3x224x224; 5x5 means one channel",
    )
    parser.add_argument("--batch", type=int, metavar="N", help="samples in a batch")
    parser.add_argument("--dtype", default="float32", help="of the data (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Print the report."""
    from faltung.cli._chain import parse_chain, parse_shape
    from faltung.cli._console import say
    from faltung.cli._errors import UsageError

    if arguments.batch is not None and arguments.batch < 0:
        raise UsageError(f"--batch is {arguments.batch}, expected 0 or more")
    operator, shape = parse_chain(arguments.operators, parse_shape(arguments.input))
    batch = () if arguments.batch is None else (arguments.batch,)
    report = operator.describe((*batch, *shape), arguments.dtype)
    if arguments.json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        say(str(report))
    return 0
