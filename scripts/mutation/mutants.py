"""The mutants of a module: its syntax tree, in which one place is changed."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any

from .areas import PACKAGE
from .left_alone import name_of, rule_of

_NEGATED: dict[type[ast.AST], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_BOUNDARY: dict[type[ast.AST], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
}  # fmt: skip
_COMPUTED: dict[type[ast.AST], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.BitXor: ast.BitAnd,
}  # fmt: skip

EITHER_WAY = {"min", "max", "suppress", "compare_digest"}
"""Functions that are the same with their arguments exchanged."""

type_of_scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True)
class Mutant:
    """One changed place. ``scopes`` are the functions around it, outermost first: name and first line; none at import time.

    ``named`` is the constant of the module that it is part of, or the function whose default it is.
    """

    module: str
    function: str
    kind: str
    before: str
    after: str
    number: int
    line: int
    end: int
    place: int
    scopes: tuple[tuple[str, int], ...] = field(compare=False)
    named: str = ""

    @property
    def key(self) -> str:
        """What it is called, wherever its line moves."""
        again = f" #{self.number}" if self.number else ""
        return f"{self.module} {self.function}: {self.kind}: {self.before} -> {self.after}{again}"


@dataclass
class _Found:
    node: ast.AST
    kind: str
    after: str
    apply: Callable[[], None]
    names: tuple[str, ...]
    scopes: tuple[tuple[str, int], ...]
    named: str


def source_path(module: str) -> Path:
    """Where a module is."""
    return PACKAGE / module


def mutants_of(module: str) -> tuple[list[Mutant], Counter[str]]:
    """All mutants of a module, and how many places each rule leaves alone."""
    left: Counter[str] = Counter()
    found: list[Mutant] = []
    seen: Counter[tuple[str, ...]] = Counter()
    for place, one in enumerate(_Walk(left).module(_tree(module))):
        function, before = ".".join(one.names) or "module", _short(ast.unparse(one.node))
        known = (function, one.kind, before, one.after)
        line = one.node.lineno  # type: ignore[attr-defined]
        found.append(
            Mutant(
                module, function, one.kind, before, one.after, seen[known], line, one.node.end_lineno or line,  # type: ignore[attr-defined]
                place, one.scopes, one.named,
            )
        )  # fmt: skip
        seen[known] += 1
    return found, left


def compiled(module: str, place: int) -> CodeType:
    """The code of a module with its mutant number ``place``."""
    tree = _tree(module)
    for number, one in enumerate(_Walk(Counter()).module(tree)):
        if number == place:
            one.apply()
            break
    return compile(ast.fix_missing_locations(tree), str(source_path(module)), "exec", dont_inherit=True)


def lines_with(module: str, name: str) -> list[int]:
    """The lines of a module that use a name."""
    return [
        one.lineno
        for one in ast.walk(_tree(module))
        if (isinstance(one, ast.Name) and one.id == name) or (isinstance(one, ast.Attribute) and one.attr == name)
    ]


def _tree(module: str) -> ast.Module:
    return ast.parse(source_path(module).read_text("utf-8"))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 90 else text[:87] + "..."


class _Walk:
    """Goes through a tree, and yields each place that can be changed with how it is changed."""

    def __init__(self, left: Counter[str]) -> None:
        self.left = left
        self.names: list[str] = []
        self.qualified: list[str] = []
        self.scopes: list[tuple[str, int]] = []
        self.named = ""

    def module(self, tree: ast.Module) -> Iterator[_Found]:
        yield from self._fields(tree)

    def _fields(
        self, node: ast.AST, only: frozenset[str] | None = None, but: frozenset[str] = frozenset()
    ) -> Iterator[_Found]:
        for name, value in ast.iter_fields(node):
            if name in but or (only is not None and name not in only):
                continue
            for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(child, ast.AST):
                    yield from self._node(child, node, name, index)

    def _node(self, node: ast.AST, parent: ast.AST, name: str, index: int | None) -> Iterator[_Found]:
        rule = rule_of(node, name)
        if rule is not None:
            self.left[rule] += 1
            return

        def put(new: ast.AST) -> Callable[[], None]:
            def apply() -> None:
                ast.copy_location(new, node)
                if index is None:
                    setattr(parent, name, new)
                else:
                    getattr(parent, name)[index] = new

            return apply

        for kind, after, apply in _changes(node, parent, name, put):
            yield _Found(
                node,
                kind,
                _short(after),
                apply,
                tuple(self.names),
                tuple(self.scopes),
                "" if self.scopes else self.named,
            )
        if not self.scopes and isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            self.named = target.id if isinstance(target, ast.Name) else ""
        if isinstance(node, type_of_scope):
            yield from self._scope(node)
        elif isinstance(node, ast.ClassDef):
            yield from self._fields(node, but=frozenset({"body"}))
            self.names.append(node.name)
            self.qualified.append(node.name)
            yield from self._fields(node, only=frozenset({"body"}))
            self.names.pop()
            self.qualified.pop()
        else:
            yield from self._fields(node)

    def _scope(self, node: type_of_scope) -> Iterator[_Found]:
        name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
        self.named = (
            self.named if isinstance(node, ast.Lambda) else node.name
        )  # its defaults are met where it is called
        yield from self._fields(node, but=frozenset({"body"}))
        decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
        first = min([node.lineno, *(one.lineno for one in decorators)])
        self.names.append(name)
        self.scopes.append((".".join([*self.qualified, name]), first))
        self.qualified += [name, "<locals>"]
        yield from self._fields(node, only=frozenset({"body"}))
        del self.qualified[-2:]
        self.scopes.pop()
        self.names.pop()


def _changes(
    node: Any, parent: ast.AST, name: str, put: Callable[[ast.AST], Callable[[], None]]
) -> Iterator[tuple[str, str, Callable[[], None]]]:
    """What may stand in the place of a node: kind, text, and what puts it there."""

    def new(kind: str, made: ast.AST) -> tuple[str, str, Callable[[], None]]:
        return kind, ast.unparse(ast.fix_missing_locations(made)), put(made)

    def gone(kind: str) -> tuple[str, str, Callable[[], None]]:
        # It stays in the code that is never run, so that a generator stays one, and closures keep what they hold.
        return kind, "pass", put(ast.If(ast.Constant(value=False), [node], []))

    if isinstance(node, ast.Compare):
        for at, sign in enumerate(node.ops):
            for kind, table in (("comparison negated", _NEGATED), ("comparison moved", _BOUNDARY)):
                if type(sign) in table:
                    signs = [*node.ops[:at], table[type(sign)](), *node.ops[at + 1 :]]
                    yield new(kind, ast.Compare(node.left, signs, node.comparators))
    elif isinstance(node, ast.BoolOp):
        yield new("boolean operator", ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield new("not removed" if isinstance(node.op, ast.Not) else "arithmetic", node.operand)
    elif isinstance(node, ast.BinOp) and type(node.op) in _COMPUTED and not _is_text(node.left):
        yield new("arithmetic", ast.BinOp(node.left, _COMPUTED[type(node.op)](), node.right))
    elif isinstance(node, ast.AugAssign) and type(node.op) in _COMPUTED:
        yield new("arithmetic", ast.AugAssign(node.target, _COMPUTED[type(node.op)](), node.value))
    elif isinstance(node, ast.Constant):
        kind = "default" if isinstance(parent, ast.arguments) else "constant"
        yield from (new(kind, ast.Constant(value=value)) for value in _others(node.value))
    elif isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
        nothing = ast.Constant(value=None)
        kept = ast.IfExp(ast.Constant(value=True), nothing, node.value)
        yield "return value", "return None", put(ast.Return(kept))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.YieldFrom | ast.Await):
        yield gone("call removed")
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if (
            isinstance(target, ast.Attribute | ast.Subscript)
            and node.value is not None
            and rule_of(node.value, "") is None
        ):
            yield gone("assignment removed")
    elif isinstance(node, ast.Raise):
        yield gone("raise removed")
    elif isinstance(node, ast.Break | ast.Continue):
        yield new("break or continue", ast.Continue() if isinstance(node, ast.Break) else ast.Break())
    if (
        isinstance(node, ast.Call)
        and len(node.args) > 1
        and not any(isinstance(one, ast.Starred) for one in node.args[:2])
    ):
        first, second, *rest = node.args
        either_way = name_of(node.func) in EITHER_WAY
        if ast.dump(first) != ast.dump(second) and not isinstance(parent, ast.Raise) and not either_way:
            yield new("arguments swapped", ast.Call(node.func, [second, first, *rest], node.keywords))
    if name == "test" and not isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant):
        yield new("condition negated", ast.UnaryOp(ast.Not(), node))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def _others(value: object) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
    elif isinstance(value, str):
        yield "XX" + value
    elif isinstance(value, bytes):
        yield b"XX" + value
