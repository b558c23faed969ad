"""What `attr`, the keys and `ttl` take besides options and a default, each said once: for the checkers, the editor and us.

A key takes all but ``also_read``: it is found by the one name that it is stored under.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, TypedDict


class KeyLimits(TypedDict, total=False):
    """What a key may be declared with.

    Example: ``id: Attr[str] = partition_key(name="PK", pattern="p-[0-9]+")``
    """

    name: str | None
    """The stored name, when it is not the field's own (after the model's naming convention)."""
    ge: Any
    """The least value. Bounds are checked before a write."""
    gt: Any
    """Every value is above it."""
    le: Any
    """The greatest value."""
    lt: Any
    """Every value is below it."""
    min_length: int | None
    """Of text, bytes and collections: in characters, bytes or elements."""
    max_length: int | None
    """Of text, bytes and collections: in characters, bytes or elements."""
    pattern: str | None
    """A regular expression that the whole text must match."""
    validators: tuple[Callable[[Any], Any], ...]
    """Functions that take the value and return the value to store, or raise ValueError."""
    immutable: bool
    """May be set on create, never changed afterwards."""
    write_once: bool
    """Gets its value from create or from the first write that has one, and keeps it."""
    protected: bool
    """Set on create, and changed only by an update that names it: ``db.update(..., allow=("status",))``."""
    omit_empty: bool
    """An empty value ("", 0, False, [], {}) is left out of the stored item where it is what is read without the attribute:
    the default, or without one the type's own empty value."""
    secret: bool
    """``repr`` masks the value."""
    allow_float: bool
    """Let a float be stored although the field's name says money."""
    money: str
    """Of a `dynamorm.payments.Money`: the names of the two attributes that keep it, an int of minor units and a code, with a comma
    between them. So it has an order, and its amount may be a key."""
    init: Literal[True]
    """``init=True`` tells mypy that a key whose only argument is an option is an argument of the constructor all the same;
    any other is one without it. ``init=False`` is for a `composite`, which is computed."""


class Limits(KeyLimits, total=False):
    """What an attribute may be declared with.

    Example: ``note: Attr[str | None] = attr(default=None, name="n", max_length=200)``
    """

    also_read: Iterable[str]
    """Other names under which it may be stored, by other programs or in former times: the first that is there is read
    when the attribute's own name is not. It is written under its own name only."""
