"""INSERT, UPDATE, DELETE and EXISTS: each makes one write, as PutItem, UpdateItem, DeleteItem and ConditionCheck do.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.insert.html, .update.html, .delete.html: an item
that is there is not inserted, an item that is not there is not updated, and deleting it does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dynamorm.engine.catalog.table import Table
from dynamorm.engine.core import Core
from dynamorm.engine.expressions import conditions
from dynamorm.engine.expressions.grammar import Condition, Update
from dynamorm.engine.expressions.updates import BoundUpdate
from dynamorm.engine.items.writes import DUPLICATE, Write, at_key, put_into
from dynamorm.engine.partiql.binding import Bound
from dynamorm.engine.partiql.places import Located, located, whole_key
from dynamorm.engine.refusal import invalid

_KIND: Final = "WHERE clause"


def write_of(core: Core, bound: Bound) -> Write:
    """The write that a statement makes. Raises: Refusal."""
    write = _MAKERS[bound.statement.kind](core, bound)
    write.tells_old = bound.request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    return write


def _insert(core: Core, bound: Bound) -> Write:
    write = put_into(core.usable(bound.statement.table), bound.item())
    write.condition = lambda item: not item
    write.failed = DUPLICATE
    return write


def _update(core: Core, bound: Bound) -> Write:
    statement = bound.statement
    write, holds = _located(core, bound, "Update")
    write.update = BoundUpdate(
        Update(statement.set, statement.remove, (), ()), bound.places, write.table.key_attributes
    )
    write.condition = _of_what_is_there(holds)
    return write


def _delete(core: Core, bound: Bound) -> Write:
    write, holds = _located(core, bound, "Delete")
    if holds is not None:
        write.condition = lambda item: not item or holds(item)
    return write


def _exists(core: Core, bound: Bound) -> Write:
    table = core.usable(bound.statement.table)
    found = whole_key(bound, table)
    if found is None or found.rest is None or bound.statement.of_index is not None:
        raise invalid("EXISTS() must contain a single item read with additional condition")
    write, holds = _at(bound, table, found, "ConditionCheck")
    write.condition = holds
    return write


def _of_what_is_there(holds: conditions.Holds | None) -> conditions.Holds:
    return bool if holds is None else lambda item: bool(item) and holds(item)


def _located(core: Core, bound: Bound, kind: str) -> tuple[Write, conditions.Holds | None]:
    """A write of the item that a statement names, and the rest of its condition. Raises: Refusal."""
    table = core.usable(bound.statement.table)
    return _at(bound, table, located(bound, table), kind)


def _at(bound: Bound, table: Table, found: Located, kind: str) -> tuple[Write, conditions.Holds | None]:
    rest: Condition | None = found.rest
    holds = None if rest is None else conditions.bound(rest, bound.places, _KIND)
    return at_key(table, found.key, kind), holds


_MAKERS: Final[dict[str, Callable[[Core, Bound], Write]]] = {
    "INSERT": _insert,
    "UPDATE": _update,
    "DELETE": _delete,
    "EXISTS": _exists,
}
