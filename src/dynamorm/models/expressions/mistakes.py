"""What one tries with the attribute of a model and DynamoDB cannot do, or calls otherwise: each error names the way.

Nothing here is seen by type checkers, which refuse these names and operators by themselves. It must not know the grammar.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, get_args

from dynamorm.errors import InvalidAttribute, InvalidUse

_READ_FIRST: Final = "DynamoDB has no such function: read the object, and set what you have computed"

INSTEAD: Final[dict[str, str]] = {
    "startswith": ".begins_with(text)",
    "starts_with": ".begins_with(text)",
    "endswith": "a .filter() in Python: DynamoDB has no such function",
    "like": ".begins_with(text) or .contains(text)",
    "ilike": ".begins_with(text) or .contains(text), which mind the case",
    "has": ".contains(value)",
    "is_null": "== None (missing or NULL), or .attribute_type('NULL')",
    "isnull": "== None (missing or NULL), or .attribute_type('NULL')",
    "is_none": "== None",
    "is_": "== value",
    "is_not": "!= value",
    "is_not_null": "!= None",
    "is_not_none": "!= None",
    "does_not_exist": ".not_exists()",
    "attribute_exists": ".exists()",
    "attribute_not_exists": ".not_exists()",
    "is_type": ".attribute_type(name)",
    "is_in": ".in_([...])",
    "isin": ".in_([...])",
    "not_in": "~ and .in_([...])",
    "notin_": "~ and .in_([...])",
    "eq": "== value",
    "ne": "!= value",
    "lt": "< value",
    "lte": "<= value",
    "le": "<= value",
    "gt": "> value",
    "gte": ">= value",
    "ge": ">= value",
    "length": ".size()",
    "count": ".size()",
    "insert": ".prepend(x), .append(x) or [index].set(x)",
    "pop": "[index].remove()",
    "clear": ".remove()",
    "discard": ".delete({...}) of a set",
    "union": ".add({...}) of a set",
    "difference": ".delete({...}) of a set",
    "unset": ".remove()",
    "put": ".set(value)",
    "update": ".set(value)",
    "assign": ".set(value)",
    "increment": ".add(n), or db.increment(...), which returns the number",
    "incr": ".add(n), or db.increment(...), which returns the number",
    "inc": ".add(n), or db.increment(...), which returns the number",
    "decrement": ".add(-n)",
    "decr": ".add(-n)",
    "dec": ".add(-n)",
    "asc": ".order_by(attribute) of the query",
    "desc": '.order_by(attribute, "desc") of the query',
    "lower": _READ_FIRST,
    "upper": _READ_FIRST,
    "strip": _READ_FIRST,
}
"""By the name that was tried: what does it here."""


class _Instead:
    """Stands where one looks for a method of another name."""

    __slots__ = ("_name", "_remedy")

    def __init__(self, name: str, remedy: str) -> None:
        self._name = name
        self._remedy = remedy

    def __get__(self, path: Any, cls: type | None = None) -> Any:
        remedy = self._remedy if self._remedy is _READ_FIRST else f"use {self._remedy}"
        if path is None:
            raise InvalidAttribute(f"an attribute of a model has no .{self._name}: {remedy}")
        raise InvalidAttribute(f"{path.name} has no .{self._name}: {remedy}", field=path.name)


def refused_sum(sign: str, path: Any, other: Any, *, turned: bool) -> InvalidUse:
    """The error for a sum of an attribute and what is neither a number nor an attribute."""
    try:
        _arithmetic(sign, turned=turned)(path, other)
    except InvalidUse as error:
        return error
    raise AssertionError("it always refuses")


def _assigned(sign: str) -> Callable[[Any, Any], Any]:
    def refused(path: Any, other: Any) -> Any:
        raise refused_sum(sign, path, other, turned=False)

    return refused


def _twice(found: Any, _: Any) -> Any:
    raise InvalidUse(
        f"({found.shown}) is computed once by DynamoDB, which takes one + or - for each attribute: read the object, and set what you"
        " have computed",
        field=found.sources[0].name,
    )


def _compared(found: Any, _: Any) -> Any:
    raise InvalidUse(
        f"({found.shown}) is computed in updates only: compare the attribute, and compute with the other side, as in"
        f" {found.sources[0].name} > value",
        field=found.sources[0].name,
    )


def teach_sums(computed: Any) -> None:
    """Give the class of what is computed an answer to what one tries with it."""
    for name in _ARITHMETIC:
        setattr(computed, f"__{name}__", _twice)
        setattr(computed, f"__r{name}__", _twice)
    for name in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(computed, f"__{name}__", _compared)
    computed.__hash__ = object.__hash__


def _arithmetic(sign: str, *, turned: bool = False) -> Callable[[Any, Any], Any]:
    def refused(path: Any, other: Any) -> Any:
        where = f"{path.field.owner}.{path.name}"
        shown = f"... {sign} {where}" if turned else f"{where} {sign} ..."
        remedy = f"a number is changed by the update {where}.add(n), where n may be negative"
        if sign == "+" and isinstance(other, (list, tuple)):
            remedy = f"a list grows by the update {where}.extend([...])"
        elif sign in "+-" and isinstance(other, (set, frozenset)):
            remedy = f"a set is changed by the updates {where}.add({{...}}) and {where}.delete({{...}})"
        elif isinstance(other, str):
            remedy = f"read the object, and set the new text with {where}.set(text)"
        raise InvalidUse(f"{shown} cannot be computed: the value is in the database; {remedy}", field=path.name)

    return refused


def _combined(sign: str) -> Callable[[Any, Any], Any]:
    def refused(path: Any, _: Any) -> Any:
        where = f"{path.field.owner}.{path.name}"
        raise InvalidUse(
            f"{sign} joins conditions, and binds tighter than a comparison: put each in parentheses, as in"
            f" ({where} == value) {sign} (...)",
            field=path.name,
        )

    return refused


def _inverted(path: Any) -> Any:
    where = f"{path.field.owner}.{path.name}"
    raise InvalidUse(f"~ turns a condition round: write {where} == False, or ~({where} == value)", field=path.name)


def _negated(path: Any) -> Any:
    where = f"{path.field.owner}.{path.name}"
    raise InvalidUse(f'-{where} means nothing here: .order_by({where}, "desc") sorts downwards', field=path.name)


def _unknown(path: Any, name: str) -> Any:
    """What is asked of a path that has nothing of this name: most often a field of the class that lies there."""
    from difflib import get_close_matches  # only for this message

    if name.startswith("_"):  # asked by Python and its libraries, whether it is there
        raise AttributeError(f"{type(path).__name__!r} object has no attribute {name!r}")
    if name in INSTEAD:  # Python asks here, too, after what stands in its place has refused
        _Instead(name, INSTEAD[name]).__get__(path)
    where = f"{path.field.owner}.{path.name}"
    inside = _class_at(path, name)
    if inside is None:
        methods = [one for one in dir(type(path)) if not one.startswith("_") and one not in INSTEAD]
        near = get_close_matches(name, methods, n=1)
        hint = f"did you mean .{near[0]}?" if near else "an attribute has " + ", ".join(f".{one}" for one in methods)
        raise InvalidAttribute(f"{where} has no .{name}: {hint}", field=path.name)
    part = f"{inside.__name__}.{name}" if hasattr(inside, "__loaded__") else f'"{name}"'
    raise InvalidAttribute(
        f"{where} has no .{name}: what lies inside is named in brackets, {where}[{part}]", field=path.name
    )


def _class_at(path: Any, name: str) -> Any:
    """The class of what the path names, where that has a field of this name; None where it has none."""
    found = getattr(path.parts[-1], "annotation", None)
    for one in (found, *get_args(found)):
        if isinstance(one, type) and name in (
            *getattr(one, "__annotations__", ()),
            *getattr(one, "__dataclass_fields__", ()),
        ):
            return one
    return None


def teach(path: Any) -> None:
    """Give a class of paths an answer to each of the mistakes."""
    for name, remedy in INSTEAD.items():
        setattr(path, name, _Instead(name, remedy))
    for name, sign in _ARITHMETIC.items():
        if name in _COMPUTED:
            setattr(path, f"__i{name}__", _assigned(sign))
            continue
        setattr(path, f"__{name}__", _arithmetic(sign))
        setattr(path, f"__r{name}__", _arithmetic(sign, turned=True))
    for name, sign in {"and": "&", "or": "|"}.items():
        setattr(path, f"__{name}__", _combined(sign))
        setattr(path, f"__r{name}__", _combined(sign))
    path.__getattr__ = _unknown
    path.__invert__ = _inverted
    path.__neg__ = _negated


_ARITHMETIC: Final = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**"}
_COMPUTED: Final = frozenset({"add", "sub"})
"""What DynamoDB computes: `dynamorm.models.expressions.path.Sum`."""
