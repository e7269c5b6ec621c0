"""Programs at random in the language of kernels, for comparing the machine with Python.

Products are of remainders, so that no number leaves 64 bits; loops end by themselves.
"""

from __future__ import annotations

import random

HEAD = """\
from faltung.compiled._jit import kernel

THREE = 3


class Limits:
    MOST = 17


@kernel("intp(intp, intp)")
def helper(number, value):
    if number <= 0:
        return value
    return (helper(number - 1, value * 3 + number) + 1) % 4099


PROGRAMS = []
"""
_LEAVES = ("-7", "-3", "-1", "0", "1", "2", "5", "13", "THREE", "Limits.MOST")
_DEEPEST = 3


class _Program:
    """Writes one function, a statement at a time."""

    def __init__(self, choice: random.Random) -> None:
        self.choice, self.names, self.loops = choice, ["a", "b", "c"], 0

    def number(self, depth: int = 0) -> str:
        choice, deeper = self.choice, depth + 1
        if depth > 2 or choice.random() < 0.3:
            return choice.choice(self.names if choice.random() < 0.7 else _LEAVES)
        kind = choice.randrange(9)
        left, right = self.number(deeper), self.number(deeper)
        if kind <= 1:
            return f"({left} {choice.choice('+-&|^')} {right})"
        if kind == 2:
            return f"(({left}) % 997 * (({right}) % 991))"
        if kind == 3:
            sign = choice.choice(("", "-"))
            return f"({left} {choice.choice(('//', '%'))} ({sign}(({right} & 7) + 1)))"
        if kind == 4:
            return f"(({left}) {choice.choice(('<<', '>>'))} ({right} & 3))"
        if kind == 5:
            return f"{choice.choice(('min', 'max'))}({left}, {right})"
        if kind == 6:
            return f"({left} if {self.truth(deeper)} else {right})"
        if kind == 7:
            return f"({choice.choice('-~')}{left})"
        return f"int({self.truth(deeper)})"

    def truth(self, depth: int = 0) -> str:
        choice, deeper = self.choice, depth + 1
        kind = choice.randrange(6) if depth <= 2 else 0
        if kind <= 2:
            sign = choice.choice(("<", "<=", ">", ">=", "==", "!="))
            return f"({self.number(deeper)} {sign} {self.number(deeper)})"
        if kind == 3:
            return f"(not {self.truth(deeper)})"
        if kind == 4:
            return choice.choice(("True", "False", "(THREE > 2)"))
        parts = [self.truth(deeper) for _ in range(choice.choice((2, 3)))]
        return f"({choice.choice((' and ', ' or ')).join(parts)})"

    def kept(self) -> str:
        """A number that may be assigned."""
        return f"({self.number()}) % 100003 - 50000"

    def block(self, depth: int) -> list[str]:
        """Statements further in; the names that they introduce may have no value behind them."""
        count, names = self.choice.randint(1, 3), list(self.names)
        lines = [f"    {line}" for _ in range(count) for line in self.statement(depth)]
        self.names = names
        return lines

    def loop(self, depth: int) -> list[str]:
        choice, name = self.choice, f"i{len(self.names)}"
        first, last = self.number(1), self.number(1)
        step = choice.choice(("-1", "-2", "3", "(-((a & 1) + 1))", "(1 + (b & 3))"))
        steps = choice.choice(
            (
                f"({first}) % 6",
                f"({first}) % 5 - 2, ({last}) % 9 - 3",
                f"({first}) % 9, ({last}) % 7 - 4, {step}",
            )
        )
        self.names.append(name)
        self.loops += 1
        lines = [f"{name} = 0", f"for {name} in range({steps}):", *self.block(depth + 1)]
        self.loops -= 1
        return lines

    def ending_loop(self, depth: int) -> list[str]:
        name = f"n{len(self.names)}"
        self.names.append(name)
        test = self.choice.choice(("True", self.truth(), f"{self.truth()} and {name} < 4"))
        self.loops += 1
        body = self.block(depth + 1)
        self.loops -= 1
        end = [f"    {name} += 1", f"    if {name} > 6:", "        break"]
        return [f"{name} = 0", f"while {test}:", *end, *body]

    def condition(self, depth: int) -> list[str]:
        lines = [f"if {self.truth()}:", *self.block(depth + 1)]
        if self.choice.random() < 0.3:
            lines += [f"elif {self.truth()}:", *self.block(depth + 1)]
        if self.choice.random() < 0.5:
            lines += ["else:", *self.block(depth + 1)]
        return lines

    def statement(self, depth: int) -> list[str]:
        choice = self.choice
        targets = [name for name in self.names if name in "abc"]
        kind = choice.randrange(14) if depth <= _DEEPEST else choice.randrange(5)
        if kind <= 2:
            return [f"{choice.choice(targets)} = {self.kept()}"]
        if kind == 3:
            sign = choice.choice(("+", "-", "^", "|", "&"))
            return [f"{choice.choice(targets)} {sign}= ({self.number()}) % 9973"]
        if kind == 4:
            first, second = choice.sample(targets, 2)
            return [f"{first}, {second} = {self.kept()}, {self.kept()}"]
        if kind <= 6:
            return self.condition(depth)
        if kind <= 8:
            return self.loop(depth)
        if kind <= 10:
            return self.ending_loop(depth)
        if kind == 11:
            way_out = choice.choice(("break", "continue")) if self.loops else "pass"
            return [f"if {self.truth()}:", f"    {way_out}"]
        if kind == 12:
            return [f"if {self.truth()}:", f"    return {self.kept()}"]
        return [f"a = helper({self.number()} % 7, {self.number()} % 1000)"]


def write_programs(seed: int, count: int) -> str:
    """The text of a module with `count` kernels of three integers in PROGRAMS."""
    parts = [HEAD]
    for number in range(count):
        program = _Program(random.Random(f"{seed} {number}"))
        lines = [line for _ in range(5) for line in program.statement(0)]
        lines.append("return (a * 31 + b * 7 + c) % 1000003")
        body = "\n".join(f"    {line}" for line in lines)
        parts.append(f'@kernel("intp(intp, intp, intp)")\ndef program_{number}(a, b, c):\n{body}\n')
        parts.append(f"PROGRAMS.append(program_{number})\n")
    return "\n\n".join(parts)
