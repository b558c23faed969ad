"""Updates as functions of items. Every operand is read from the item as it was.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from dynamorm.engine.expressions.grammar import At, Given, Operand, Path, Update
from dynamorm.engine.expressions.paths import Projection, finder, inside, refuse_overlaps
from dynamorm.engine.expressions.places import Places
from dynamorm.engine.refusal import Refusal, invalid
from dynamorm.engine.values.measure import Item, Value, decoded
from dynamorm.engine.values.numbers import number, total

Computes: TypeAlias = Callable[[Item], "Value | None"]
"""What an action leaves at its path; None for nothing."""

_KIND: Final = "UpdateExpression"
_ABSENT: Final = "The provided expression refers to an attribute that does not exist in the item"
_NOWHERE: Final = "The document path provided in the update expression is invalid for update"
_TYPE: Final = "An operand in the update expression has an incorrect data type"
_SETS: Final[dict[str, Callable[[str], Any]]] = {"SS": str, "NS": number, "BS": decoded}


class BoundUpdate:
    """An update whose names and values are put in: call it with an item for the item that it leaves.

    ``paths`` are those that it changes, ``written`` how many it sets, and ``removed`` how many it takes away.
    """

    __slots__ = ("_actions", "paths", "projection", "removed", "written")

    paths: tuple[Path, ...]
    removed: int
    written: int

    def __init__(self, update: Update, places: Places, keys: frozenset[str]) -> None:
        actions: list[tuple[Path, Computes]] = []
        for path, operand in update.set:
            path = places.path(path, _KIND)  # noqa: PLW2901 - the same with its names
            actions.append((path, _term(operand, places)))
        actions += [(places.path(path, _KIND), _nothing) for path in update.remove]
        for path, name in update.add:
            path = places.path(path, _KIND)  # noqa: PLW2901 - as above
            actions.append((path, _addition(path, places.value(name, _KIND))))
        for path, name in update.delete:
            path = places.path(path, _KIND)  # noqa: PLW2901 - as above
            actions.append((path, _deletion(path, places.value(name, _KIND))))
        self.paths = tuple(path for path, _ in actions)
        self._actions = actions
        self.removed = len(update.remove)
        self.written = len(actions) - self.removed
        self.projection: Projection | None = None
        for path in self.paths:
            if path[0] in keys:
                raise invalid(
                    "One or more parameter values were invalid: Cannot update attribute"
                    f" {path[0]}. This attribute is part of the key"
                )
        if len(actions) > 1:
            refuse_overlaps(self.paths, _KIND)

    def __call__(self, item: Item) -> Item:
        """The item after the update; the one given stays as it is. Raises: Refusal."""
        changes = [(path, computes(item)) for path, computes in self._actions]
        fresh = dict(item)
        later: list[tuple[Path, Value | None]] = []
        copied: set[Any] = set()
        for path, value in changes:
            name = path[0]
            if len(path) > 1:
                if name not in copied:  # what lies deeper is changed in a copy
                    copied.add(name)
                    if name in fresh:
                        fresh[name] = _copy(fresh[name])
                later.append((path, value))
                continue
            if value is None:
                fresh.pop(name, None)
            else:
                fresh[name] = value
        if later:
            _deeper(fresh, later)
        return fresh


def changed(update: BoundUpdate, item: Item | None) -> Item:
    """What an item has at the paths of an update, as UPDATED_OLD and UPDATED_NEW show it."""
    if item is None:
        return {}
    if update.projection is None:
        update.projection = Projection(update.paths, _KIND)
    return update.projection.of(item)


def _deeper(fresh: Item, changes: list[tuple[Path, Value | None]]) -> None:
    """Change what lies in maps and lists. Lists change their lengths at the end: indexes are those of the item as it was."""
    appended: list[tuple[list[Value], int, Value]] = []
    removed: list[tuple[list[Value], int]] = []
    for path, value in changes:
        holder: Value | None = {"M": fresh}
        for part in path[:-1]:
            holder = None if holder is None else inside(holder, part)
        last = path[-1]
        payload: Any = None if holder is None else holder.get("M" if isinstance(last, str) else "L")
        if payload is None:
            raise invalid(_NOWHERE)
        if isinstance(last, str):
            if value is None:
                payload.pop(last, None)
            else:
                payload[last] = value
        elif value is None:
            removed.append((payload, last))
        elif last < len(payload):
            payload[last] = value
        else:
            appended.append((payload, last, value))
    for payload, index in sorted(removed, key=lambda one: -one[1]):
        if index < len(payload):
            del payload[index]
    for payload, _, value in sorted(appended, key=lambda one: one[1]):
        payload.append(value)


def _copy(value: Value) -> Value:
    ((tag, payload),) = value.items()
    if tag == "M":
        return {"M": {name: _copy(one) for name, one in payload.items()}}
    return {"L": [_copy(one) for one in payload]} if tag == "L" else value


def _nothing(item: Item) -> Value | None:
    del item
    return None


def _term(operand: Operand, places: Places) -> Computes:
    """What is assigned. Nothing there is an error, also where if_not_exists would not need it."""
    if isinstance(operand, Given):
        value = places.value(operand.name, _KIND)
        return lambda _: value
    if isinstance(operand, At):
        find = finder(places.path(operand.path, _KIND))

        def read(item: Item) -> Value:
            found = find(item)
            if found is None:
                raise invalid(_ABSENT)
            return _copy(found)  # it may be changed at one of the two places

        return read
    left, right = operand.operands
    if operand.function == "if_not_exists":
        path, other = finder(places.path(left.path, _KIND)), _term(right, places)

        def either(item: Item) -> Value | None:
            found, instead = path(item), other(item)
            return instead if found is None else _copy(found)

        return either
    if operand.function in _OF_SETS:
        return _changed_set(operand.function, left, right, places)
    one, other = _term(left, places), _term(right, places)
    for side in (left, right):
        if isinstance(side, Given):
            _check(operand.function, places.value(side.name, _KIND))
    return _joined(one, other) if operand.function == "list_append" else _summed(operand.function, one, other)


def _check(function: str, value: Value) -> None:
    """Raise Refusal for a value of the request that a function does not take."""
    wanted = "L" if function == "list_append" else "N"
    if wanted not in value:
        raise invalid(
            f"Invalid {_KIND}: Incorrect operand type for operator or function;"
            f" operator or function: {function}, operand type: {next(iter(value))}"
        )


def _joined(one: Computes, other: Computes) -> Computes:
    def joined(item: Item) -> Value:
        left, right = one(item), other(item)
        if left is None or right is None or "L" not in left or "L" not in right:
            raise invalid(_TYPE)
        return {"L": [*left["L"], *right["L"]]}

    return joined


def _summed(function: str, one: Computes, other: Computes) -> Computes:
    minus = function == "-"

    def summed(item: Item) -> Value:
        left, right = one(item), other(item)
        if left is None or right is None or "N" not in left or "N" not in right:
            raise invalid(_TYPE)
        return {"N": total(left["N"], right["N"], minus=minus)}

    return summed


def _addition(path: Path, given: Value) -> Computes:
    """ADD: to a number or to a set."""
    ((tag, payload),) = given.items()
    if tag != "N" and tag not in _SETS:
        raise _not_for("ADD", tag)
    find = finder(path)

    def add(item: Item) -> Value:
        old = find(item)
        if old is None:
            return given
        if tag not in old:
            raise invalid(_TYPE)
        if tag == "N":
            return {"N": total(old["N"], payload)}
        return {tag: sorted({*old[tag], *payload}, key=_SETS[tag])}

    return add


def _deletion(path: Path, given: Value) -> Computes:
    """DELETE: from a set, which goes with its last element."""
    ((tag, payload),) = given.items()
    if tag not in _SETS:
        raise _not_for("DELETE", tag)
    find, gone = finder(path), frozenset(payload)

    def delete(item: Item) -> Value | None:
        old = find(item)
        if old is None:
            return None
        if tag not in old:
            raise invalid(_TYPE)
        left = [one for one in old[tag] if one not in gone]
        return {tag: left} if left else None

    return delete


_OF_SETS: Final = {"set_add": _addition, "set_delete": _deletion}
"""Functions of PartiQL, which do what ADD and DELETE do."""


def _changed_set(function: str, left: Operand, right: Operand, places: Places) -> Computes:
    if not isinstance(left, At) or not isinstance(right, Given):
        raise invalid(f"Invalid {_KIND}: Incorrect operand type for operator or function; function: {function}: a path and a set are expected")  # fmt: skip
    given = places.value(right.name, _KIND)
    if not given.keys() & _SETS.keys():
        raise _not_for(function, next(iter(given)))
    return _OF_SETS[function](places.path(left.path, _KIND), given)


def _not_for(function: str, tag: str) -> Refusal:
    return invalid(
        f"Invalid {_KIND}: Incorrect operand type for operator or function; operator: {function}, operand type: {tag}"
    )
