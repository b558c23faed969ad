"""Several elements that go into one list in one update: those of ``.extend([...])``, and of several ``.append`` and ``.prepend``.

DynamoDB takes one action for each place, and one ``list_append`` in it, so they are joined into one, in the order in which they
are given. It must not know wire types.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from .tree import Location, Node, Update, UpdateKind, refuse

LISTS: Final = frozenset({"append", "prepend", "append_or_create", "extend", "extend_or_create"})
"""The kinds of updates that put elements into a list."""
CREATING: Final = frozenset({"append_or_create", "extend_or_create"})
"""Those that make the list when it is missing."""
SEVERAL: Final = frozenset({"extend", "extend_or_create"})
"""Those whose value is `Elements`."""


class Elements(Node):
    """The elements that come to stand at one end of a list, in the order in which they stand there afterwards."""

    __slots__ = ("in_front", "values")

    def __init__(self, values: Iterable[Any], *, in_front: bool = False) -> None:
        self.values: tuple[Any, ...] = tuple(values)
        self.in_front: bool = in_front

    def __repr__(self) -> str:
        return f"<{len(self.values)} elements>"


def elements_of(update: Update) -> tuple[Any, ...]:
    """What an update puts into its list."""
    value = update.value
    return value.values if isinstance(value, Elements) else (value,)


def joined(updates: tuple[Update, ...]) -> tuple[Update, ...]:
    """The updates with all that goes into one list as one; the first of them says whether a missing list is made.

    Raises: ValidationError for elements that go to both ends of a list.
    """
    by_place: dict[tuple[Any, ...], list[Update]] = {}
    for update in updates:
        if update.kind in LISTS:
            by_place.setdefault(_place(update.path), []).append(update)
    found: list[Update] = []
    for update in updates:
        same = by_place.get(_place(update.path), ()) if update.kind in LISTS else ()
        if len(same) < 2:
            found.append(update)
        elif same[0] is update:
            found.append(_one_of(same))
    return tuple(found)


def _one_of(same: Sequence[Update]) -> Update:
    first = same[0]
    in_front = first.kind == "prepend"
    if any((update.kind == "prepend") != in_front for update in same):
        raise refuse(
            first.path,
            "gets elements at both of its ends, and DynamoDB puts them at one of them: make two updates, or set the whole list",
        )
    kind: UpdateKind = "extend_or_create" if first.kind in CREATING else "extend"
    # What was put in front last stands first.
    values = (value for update in (reversed(same) if in_front else same) for value in elements_of(update))
    return Update(kind, first.path, Elements(values, in_front=in_front))


def _place(path: Location) -> tuple[Any, ...]:
    return (path.field.owner, *path.stored)
