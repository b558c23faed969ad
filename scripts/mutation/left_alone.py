"""What is never changed, because no behaviour depends on it: each rule has a name, and what it leaves out is counted."""

from __future__ import annotations

import ast

_LISTS = {"__slots__", "__all__", "__match_args__", "__hash__"}
_SHOWN = {"__repr__", "__str__", "__rich_repr__"}
_TYPING = {"cast", "TypeVar", "ParamSpec", "overload", "NewType", "Final"}

RULES = {
    "annotation": "types, which only checkers read",
    "docstring": "docstrings and other bare texts",
    "import": "imports, and what stands under `if TYPE_CHECKING`",
    "list of names": "`__slots__`, `__all__`",
    "assertion": "`assert`, which narrows types for checkers",
    "overload": "signatures of `@overload`",
    "log": "calls of the logger and of `warnings`",
    "shown": "`__repr__` and `__str__`",
    "words": "texts for people: with a blank, or put together with values (f-strings)",
}


def rule_of(node: ast.AST, field: str) -> str | None:
    """The rule that leaves a node alone with all that is in it; ``field`` is what it is to the node above it."""
    if field in {"annotation", "returns", "type_params"}:
        return "annotation"
    if isinstance(node, ast.Expr):
        return _of_statement(node)
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return "import"
    if isinstance(node, ast.Import | ast.ImportFrom):
        return "import"
    if isinstance(node, ast.Assert):
        return "assertion"
    if isinstance(node, ast.AnnAssign) and name_of(node.annotation) == "TypeAlias":
        return "annotation"
    if isinstance(node, ast.Assign | ast.AnnAssign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        return "list of names" if isinstance(target, ast.Name) and target.id in _LISTS else None
    if isinstance(node, ast.FunctionDef):
        if node.name in _SHOWN:
            return "shown"
        return "overload" if any(name_of(one) == "overload" for one in node.decorator_list) else None
    return _of_value(node)


def _of_statement(node: ast.Expr) -> str | None:
    value = node.value
    if isinstance(value, ast.Constant):
        return "docstring"
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        return "log" if name_of(value.func.value) in {"logger", "warnings"} else None
    return None


def _of_value(node: ast.AST) -> str | None:
    if isinstance(node, ast.JoinedStr):
        return "words"
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and (" " in node.value or "\n" in node.value):
        return "words"
    return "annotation" if isinstance(node, ast.Call) and name_of(node.func) in _TYPING - {"cast"} else None


def name_of(node: ast.AST) -> str:
    """The last name of an expression; empty where it has none."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
