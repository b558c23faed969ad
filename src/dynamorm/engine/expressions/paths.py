"""Paths into items: what stands there, and which paths meet. It must not know what they are for.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.Attributes.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from dynamorm.engine.expressions.grammar import Path
from dynamorm.engine.refusal import Refusal, invalid
from dynamorm.engine.values.measure import Item, Value


def finder(path: Path) -> Callable[[Item], Value | None]:
    """The function that finds what stands at a path, None where nothing does."""
    if len(path) == 1:
        name = path[0]
        return lambda item: item.get(name)
    first, *rest = path

    def find(item: Item) -> Value | None:
        value = item.get(first)
        for part in rest:
            if value is None:
                return None
            value = inside(value, part)
        return value

    return find


def inside(value: Value, part: Any) -> Value | None:
    """What a map or a list holds at a name or an index."""
    if part.__class__ is str:
        entries = value.get("M")
        return None if entries is None else entries.get(part)
    elements = value.get("L")
    return None if elements is None or part >= len(elements) else elements[part]


def shown(path: Path) -> str:
    """The path as messages have it."""
    return "[" + ", ".join(f"[{part}]" if isinstance(part, int) else part for part in path) + "]"


def refuse_overlaps(paths: Iterable[Path], kind: str) -> None:
    """Raise Refusal where two paths meet, lie in one another, or take one place for a map and for a list."""
    ends: dict[Path, None] = {}
    inner: dict[Path, tuple[type, Path]] = {}
    for path in paths:
        if path in ends or path in inner:
            raise _clash("overlap", path, path if path in ends else inner[path][1], kind)
        for length in range(1, len(path)):
            head = path[:length]
            if head in ends:
                raise _clash("overlap", head, path, kind)
            form, other = inner.setdefault(head, (type(path[length]), path))
            if form is not type(path[length]):
                raise _clash("conflict", other, path, kind)
        ends[path] = None


def _clash(how: str, one: Path, other: Path, kind: str) -> Refusal:
    return invalid(
        f"Invalid {kind}: Two document paths {how} with each other; must remove or rewrite one of these paths;"
        f" path one: {shown(one)}, path two: {shown(other)}"
    )


class Projection:
    """The paths that are read of items."""

    __slots__ = ("_names", "_wanted", "paths")

    paths: tuple[Path, ...]

    def __init__(self, paths: Iterable[Path], kind: str = "ProjectionExpression") -> None:
        self.paths = tuple(paths)
        refuse_overlaps(self.paths, kind)
        self._names = [path[0] for path in self.paths] if all(len(path) == 1 for path in self.paths) else None
        self._wanted: dict[Any, Any] = {}
        for path in self.paths:
            branch = self._wanted
            for part in path:
                branch = branch.setdefault(part, {})

    def of(self, item: Item) -> Item:
        """The item with only what stands at the paths: maps keep their names, lists close their gaps."""
        if self._names is not None:
            return {name: item[name] for name in self._names if name in item}
        found = _pruned({"M": item}, self._wanted)
        return {} if found is None else found["M"]


def _pruned(value: Value, wanted: dict[Any, Any]) -> Value | None:
    if not wanted:
        return value
    found: list[tuple[Any, Value]] = []
    for part in sorted(wanted) if "L" in value else wanted:
        inner = inside(value, part) if part.__class__ is not str or "M" in value else None
        kept = None if inner is None else _pruned(inner, wanted[part])
        if kept is not None:
            found.append((part, kept))
    if not found:
        return None
    return {"M": dict(found)} if "M" in value else {"L": [one for _, one in found]}
