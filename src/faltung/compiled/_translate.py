"""From Python to LLVM, for kernels over numbers and addresses.

Numba finds out what a function means among all that Python and NumPy could mean, which takes a
third of a second a kernel. Most kernels here are integers, loops and instructions: a language small
enough to be read off the source text at once. It has

- numbers (`_values`), which keep the type of their first assignment, and of an array its address,
  ``array.ctypes.data``;
- assignment, ``if``, ``while``, ``for … in range``, ``break``, ``continue``, ``return``; operators,
  comparisons, ``and``, ``or``, ``not``, conditional expressions;
- ``min``, ``max``, ``int``, ``float``, ``bool``, the scalar types of NumPy, and kernels and
  instructions by global name or from a closure; branches on constants are decided here.

Whatever else a function says makes it `UntranslatableError`, and Numba's. Division is rounded down;
by zero it gives 0, as with Numba's ``error_model="numpy"``.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

from faltung.compiled._entry import write_entry
from faltung.compiled._values import (
    Arithmetic,
    Typed,
    UntranslatableError,
    common_type,
    constant,
    known,
    llvm_type,
    parse,
)

__all__ = ["translate"]

_GENERATORS = 0x20 | 0x80 | 0x200  # flags of code: generator, coroutine, asynchronous generator


@cache
def _definitions(path: Path) -> dict[tuple[str, int], ast.FunctionDef]:
    """The functions of a file by name and first line, decorators included."""
    found = {}
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *[each.lineno for each in node.decorator_list]])
            found[node.name, first] = node
    return found


def _definition(python: FunctionType) -> ast.FunctionDef:
    code = python.__code__
    node = _definitions(Path(code.co_filename)).get((code.co_name, code.co_firstlineno))
    is_plain = not (code.co_cellvars or code.co_kwonlyargcount or code.co_flags & _GENERATORS)
    if node is None or not is_plain or node.args.vararg or node.args.kwarg:
        raise UntranslatableError("no plain function")
    return node


def translate(compiled: Any, *, with_entry: bool) -> str:
    """The LLVM of a kernel or job and of the kernels that it calls.

    Its name there is its `symbol`; with an entry, Python can call it too. The source files must be
    those that the process runs.
    """
    from llvmlite import ir

    module = ir.Module(compiled.symbol)
    function = _declare(module, compiled)
    if with_entry:
        write_entry(function, *parse(compiled.signature))
    return str(module)


def _declare(module: Any, compiled: Any) -> Any:
    """The function of a kernel in a module; all but the first one are only for this module."""
    from llvmlite import ir

    function = module.globals.get(compiled.symbol)
    if function is None:
        if compiled.flags:
            raise UntranslatableError("freedoms of rounding")
        result, arguments = parse(compiled.signature)
        kind = ir.FunctionType(llvm_type(result), [llvm_type(each) for each in arguments])
        is_first = not module.functions
        function = ir.Function(module, kind, compiled.symbol)
        function.linkage = "" if is_first else "internal"
        function.attributes.add("nounwind")
        _Body(function, compiled.python, result, arguments).write()
    return function


class _Body:
    """Writes one function; a method for each kind of node."""

    def __init__(self, function: Any, python: FunctionType, result: str, arguments: list[str]):
        from llvmlite import ir

        self._function, self._python, self._result = function, python, result
        self._entry = ir.IRBuilder(function.append_basic_block("entry"))
        self._builder = ir.IRBuilder(function.append_basic_block("body"))
        self._numbers = Arithmetic(self._builder)
        self._places: dict[str, Typed] = {}
        self._loops: list[tuple[Any, Any]] = []  # where `continue` and `break` go
        code = python.__code__
        self._local_names = set(code.co_varnames)
        cells = [cell.cell_contents for cell in python.__closure__ or ()]
        self._names = {**python.__globals__, **dict(zip(code.co_freevars, cells, strict=True))}
        if len(arguments) != code.co_argcount:
            raise UntranslatableError("another number of arguments")
        for name, type_, value in zip(code.co_varnames, arguments, function.args, strict=False):
            self._assign(name, Typed(value, type_))

    def write(self) -> None:
        """Write the whole function."""
        body = self._function.blocks[1]
        self._block(_definition(self._python).body)
        if not self._builder.block.is_terminated:
            if self._result != "void":
                raise UntranslatableError("an end without a result")
            self._builder.ret_void()
        self._entry.branch(body)

    def _assign(self, name: str, value: Any) -> None:
        place = self._places.get(name)
        if place is None:
            type_ = value.type if isinstance(value, Typed) else common_type(value)
            type_ = "boolean" if isinstance(value, bool) else type_
            place = Typed(self._entry.alloca(llvm_type(type_), name=name), type_)
            self._places[name] = place
        self._builder.store(self._numbers.typed(value, place.type).value, place.value)

    def _new(self, name: str) -> Any:
        return self._function.append_basic_block(name)

    def _join(self, blocks: list[Any], after: Any) -> None:
        for block in blocks:
            self._builder.position_at_end(block)
            self._builder.branch(after)
        self._builder.position_at_end(after)

    def _visit(self, node: ast.AST) -> Any:
        method = getattr(self, f"_do_{type(node).__name__.lower()}", None)
        if method is None:
            raise UntranslatableError(f"{type(node).__name__} in line {getattr(node, 'lineno', 0)}")
        return method(node)

    def _block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            if self._builder.block.is_terminated:
                return
            self._visit(statement)

    def _do_expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self._visit(node.value)

    def _do_pass(self, _node: ast.Pass) -> None:
        pass

    def _do_assign(self, node: ast.Assign) -> None:
        targets, value = node.targets, node.value
        if isinstance(targets[0], ast.Tuple) and isinstance(value, ast.Tuple) and not targets[1:]:
            targets = targets[0].elts
            results = [self._visit(each) for each in value.elts]
        else:
            results = [self._visit(value)] * len(targets)
        if len(targets) != len(results) or not all(isinstance(each, ast.Name) for each in targets):
            raise UntranslatableError(f"assignment in line {node.lineno}")
        for target, result in zip(targets, results, strict=True):
            self._assign(target.id, result)  # type: ignore[attr-defined]  # an ast.Name

    def _do_augassign(self, node: ast.AugAssign) -> None:
        if not isinstance(node.target, ast.Name):
            raise UntranslatableError(f"assignment in line {node.lineno}")
        before = self._do_name(node.target)
        result = self._numbers.operate(node.op, before, self._visit(node.value))
        self._assign(node.target.id, result)

    def _do_return(self, node: ast.Return) -> None:
        if node.value is not None:
            result = self._numbers.typed(self._visit(node.value), self._result)
            self._builder.ret(result.value)
        elif self._result == "void":
            self._builder.ret_void()
        else:
            raise UntranslatableError("a return without a result")

    def _do_if(self, node: ast.If) -> None:
        test = self._test(node.test)
        if not isinstance(test, Typed):
            self._block(node.body if test else node.orelse)
            return
        yes, no = self._new("then"), self._new("else")
        self._builder.cbranch(test.value, yes, no)
        ends = []
        for block, statements in ((yes, node.body), (no, node.orelse)):
            self._builder.position_at_end(block)
            self._block(statements)
            if not self._builder.block.is_terminated:
                ends.append(self._builder.block)
        if ends:
            self._join(ends, self._new("endif"))

    def _do_while(self, node: ast.While) -> None:
        def nothing() -> None:
            pass

        self._loop(node, lambda: self._test(node.test), nothing, nothing)

    def _do_for(self, node: ast.For) -> None:
        call, target, numbers = node.iter, node.target, self._numbers
        is_range = isinstance(call, ast.Call) and not call.keywords
        if not isinstance(call, ast.Call) or not is_range or self._visit(call.func) is not range:
            raise UntranslatableError(f"loop in line {node.lineno}")
        given = [numbers.typed(self._visit(each), "int64") for each in call.args]
        step = given[2] if len(given) == 3 else constant(1, "int64")
        if not 1 <= len(given) <= 3 or getattr(step.value, "constant", 1) == 0:
            raise UntranslatableError(f"range in line {node.lineno}")
        first, last = (constant(0, "int64"), given[0]) if len(given) == 1 else given[:2]
        counter = self._entry.alloca(llvm_type("int64"))
        self._builder.store(first.value, counter)

        def number() -> Typed:
            return Typed(self._builder.load(counter), "int64")

        def test() -> Typed:
            now = number()
            up = numbers.compare(ast.Lt(), now, last).value
            down = numbers.compare(ast.Gt(), now, last).value
            is_up = numbers.compare(ast.Gt(), step, 0).value
            return Typed(self._builder.select(is_up, up, down), "boolean")

        def enter() -> None:
            if not isinstance(target, ast.Name):
                raise UntranslatableError(f"loop in line {node.lineno}")
            self._assign(target.id, number())

        def advance() -> None:
            following = self._builder.add(number().value, step.value, flags=["nsw"])
            self._builder.store(following, counter)

        self._loop(node, test, enter, advance)

    def _loop(
        self, node: ast.While | ast.For, test: Callable[[], Any], enter: Callable[[], None],
        advance: Callable[[], None],
    ) -> None:  # fmt: skip
        if node.orelse:
            raise UntranslatableError(f"else of the loop in line {node.lineno}")
        names = ("head", "loop", "next", "done")
        head, body, following, after = (self._new(name) for name in names)
        self._join([self._builder.block], head)
        going_on = test()
        if isinstance(going_on, Typed):
            self._builder.cbranch(going_on.value, body, after)
        else:
            self._builder.branch(body if going_on else after)
        self._builder.position_at_end(body)
        enter()
        self._loops.append((following, after))
        self._block(node.body)
        self._loops.pop()
        self._join([] if self._builder.block.is_terminated else [self._builder.block], following)
        advance()
        self._builder.branch(head)
        self._builder.position_at_end(after)
        if going_on is True and not any(isinstance(each, ast.Break) for each in ast.walk(node)):
            self._builder.unreachable()

    def _do_break(self, _node: ast.Break) -> None:
        self._builder.branch(self._loops[-1][1])

    def _do_continue(self, _node: ast.Continue) -> None:
        self._builder.branch(self._loops[-1][0])

    def _do_constant(self, node: ast.Constant) -> Any:
        return node.value

    def _do_name(self, node: ast.Name) -> Any:
        name = node.id
        if name in self._places:
            place = self._places[name]
            return Typed(self._builder.load(place.value), place.type)
        if name in self._local_names or not (name in self._names or hasattr(builtins, name)):
            raise UntranslatableError(f"{name} before its first assignment")
        return known(self._names[name]) if name in self._names else getattr(builtins, name)

    def _do_attribute(self, node: ast.Attribute) -> Any:
        owner = node.value
        if isinstance(owner, ast.Attribute) and (owner.attr, node.attr) == ("ctypes", "data"):
            array = self._visit(owner.value)
            if isinstance(array, Typed) and array.type.endswith("]"):
                return Typed(array.value, "int64")
        value = self._visit(owner)
        if isinstance(value, Typed):
            raise UntranslatableError(f"attribute {node.attr} in line {node.lineno}")
        return known(getattr(value, node.attr))

    def _do_unaryop(self, node: ast.UnaryOp) -> Any:
        is_not = isinstance(node.op, ast.Not)
        value = self._test(node.operand) if is_not else self._visit(node.operand)
        return self._numbers.negated(node.op, value)

    def _do_binop(self, node: ast.BinOp) -> Any:
        left, right = self._visit(node.left), self._visit(node.right)
        return self._numbers.operate(node.op, left, right)

    def _do_compare(self, node: ast.Compare) -> Any:
        if len(node.ops) > 1:
            raise UntranslatableError(f"comparison in line {node.lineno}")
        left, right = self._visit(node.left), self._visit(node.comparators[0])
        return self._numbers.compare(node.ops[0], left, right)

    def _test(self, node: ast.expr) -> Any:
        """Whether an expression counts as true."""
        if isinstance(node, ast.BoolOp):
            return self._do_boolop(node, is_test=True)
        return self._numbers.truth(self._visit(node))

    def _do_boolop(self, node: ast.BoolOp, *, is_test: bool = False) -> Any:
        """``and``, ``or``: what comes after the result is clear is not looked at."""
        ending = isinstance(node.op, ast.Or)
        place, after = self._entry.alloca(llvm_type("boolean")), self._new("clear")
        result: Any = not ending
        is_open = False
        for number, each in enumerate(node.values):
            result = self._test(each) if is_test else self._visit(each)
            type_ = getattr(result, "type", type(result).__name__)
            if type_ not in {"boolean", "bool"}:
                raise UntranslatableError(f"{type_} as truth in line {node.lineno}")
            if result is ending or number == len(node.values) - 1:
                break
            if isinstance(result, Typed):
                is_open = True
                self._builder.store(result.value, place)
                following = self._new("following")
                ways = (after, following) if ending else (following, after)
                self._builder.cbranch(result.value, *ways)
                self._builder.position_at_end(following)
        if not is_open:
            self._function.blocks.remove(after)
            return result
        self._builder.store(self._numbers.typed(result, "boolean").value, place)
        self._join([self._builder.block], after)
        return Typed(self._builder.load(place), "boolean")

    def _do_ifexp(self, node: ast.IfExp) -> Any:
        test = self._test(node.test)
        if not isinstance(test, Typed):
            return self._visit(node.body if test else node.orelse)
        yes, no, after = self._new("then"), self._new("else"), self._new("endif")
        self._builder.cbranch(test.value, yes, no)
        values, ends = [], []
        for block, branch in ((yes, node.body), (no, node.orelse)):
            self._builder.position_at_end(block)
            values.append(self._visit(branch))
            ends.append(self._builder.block)
        types = {getattr(value, "type", type(value).__name__) for value in values}
        type_ = "boolean" if types <= {"boolean", "bool"} else common_type(*values)
        typed = []
        for value, block in zip(values, ends, strict=True):
            self._builder.position_at_end(block)
            typed.append(self._numbers.typed(value, type_).value)
        self._join(ends, after)
        chosen = self._builder.phi(llvm_type(type_))
        for value, block in zip(typed, ends, strict=True):
            chosen.add_incoming(value, block)
        return Typed(chosen, type_)

    def _do_call(self, node: ast.Call) -> Any:
        callee = self._visit(node.func)
        values = [self._visit(each) for each in node.args]
        if not node.keywords:
            if hasattr(callee, "signature"):
                return self._call(callee, values)
            if (callee is min or callee is max) and len(values) == 2:
                return self._numbers.extreme(callee, *values)
            if isinstance(callee, type) and len(values) == 1:
                return self._numbers.convert(callee, values[0])
        raise UntranslatableError(f"call in line {node.lineno}")

    def _call(self, callee: Any, values: list[Any]) -> Typed:
        """A kernel's function, or the instructions of an intrinsic."""
        result, arguments = parse(callee.signature)
        if len(values) != len(arguments):
            raise UntranslatableError(f"another number of arguments for {callee}")
        pairs = zip(values, arguments, strict=True)
        given = [self._numbers.typed(value, type_).value for value, type_ in pairs]
        if hasattr(callee, "builder"):
            return Typed(callee.builder(self._builder, *given), result)
        return Typed(self._builder.call(_declare(self._function.module, callee), given), result)
