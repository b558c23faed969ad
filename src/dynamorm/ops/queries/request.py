"""What a query builder has gathered, as plain data. It must not know how a query is planned or sent."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from dynamorm.models.expressions.tree import Condition, Location


class Request(Struct, frozen=True):
    """One query, as asked for. The same request may be run any number of times.

    ``conditions`` are those of ``where`` (each may become part of the key condition), ``filters`` those of ``filter``
    (which never do). ``limit`` counts matching items in all, ``page_size`` those of one page. ``select`` are the places
    asked for, none meaning all. ``segment`` is one of ``segments`` of a parallel scan. ``start`` is the raw JSON of the
    key to go on after, ``cursor`` the same as sealed text. ``misfit`` says what becomes of items that do not fit the
    model: ``raise``, ``skip`` or ``collect``. ``after`` is the object, or the parts of the key, to begin after, ``after_parts``
    the latter by name. ``unexpired`` leaves out items whose time to live
    is over. ``any_version`` reads parts of items of older schema versions, too: of what no upgrade changes. ``view`` makes objects of another class of what is read. ``cap`` is how many items one page reads at most, whether they match or not.
    """

    model: Any
    conditions: tuple[Condition, ...] = ()
    filters: tuple[Condition, ...] = ()
    index: str | None = None
    order: str | None = None
    descending: bool = False
    limit: int | None = None
    page_size: int | None = None
    select: tuple[Location, ...] = ()
    consistent: bool = False
    scan_allowed: bool = False
    segments: int | None = None
    segment: int | None = None
    start: bytes | None = None
    cursor: str | None = None
    cursor_format: str = "c1"
    hydrate: bool = False
    misfit: str = "raise"
    after: tuple[Any, ...] = ()
    after_parts: tuple[tuple[str, Any], ...] = ()
    cap: int | None = None
    view: Any = None
    unexpired: bool = False
    any_version: bool = False
