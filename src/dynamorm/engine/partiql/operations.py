"""ExecuteStatement, BatchExecuteStatement and ExecuteTransaction.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ExecuteStatement.html and its neighbours.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Raw

from dynamorm.engine.answers import Members, answer, encode, listed
from dynamorm.engine.core import Core
from dynamorm.engine.items.capacity import Consumed, member, wanted
from dynamorm.engine.items.single import attributes_of, consumed_by
from dynamorm.engine.items.transactions import MAX_BYTES, Makes, admit_all, cancelled_by, write_all
from dynamorm.engine.items.writes import DUPLICATE, FAILED, Write, commit, plan
from dynamorm.engine.partiql.binding import Bound
from dynamorm.engine.partiql.reads import Single, select, single
from dynamorm.engine.partiql.writes import write_of
from dynamorm.engine.refusal import Refusal, invalid
from dynamorm.engine.sizes import read_units
from dynamorm.engine.values.keys import HASH

_CODES: Final = {
    FAILED: "ConditionalCheckFailed",
    DUPLICATE: "DuplicateItem",
    "ValidationException": "ValidationError",
    "ResourceNotFoundException": "ResourceNotFound",
    "SerializationException": "ValidationError",
    "ProvisionedThroughputExceededException": "ProvisionedThroughputExceeded",
    "ThrottlingException": "ThrottlingError",
}


def execute_statement(core: Core, request: dict[str, Any]) -> bytes:
    """ExecuteStatement."""
    bound = Bound(request)
    if bound.statement.kind == "EXISTS":
        raise invalid("EXISTS is a statement of transactions alone")
    if bound.reads:
        return answer(select(core, bound))
    attributes, consumed = _written(core, bound)
    members: Members = [("Items", listed([] if attributes is None else [attributes]))]
    mode = wanted(request)
    if mode is not None:
        members.append(("ConsumedCapacity", member(consumed, mode)))
    return answer(members)


def _written(core: Core, bound: Bound, write: Write | None = None) -> tuple[bytes | None, Consumed]:
    """Make the write of a statement: what it returns, and what it consumed. Raises: Refusal."""
    outcome = plan(core, write_of(core, bound) if write is None else write)
    commit(core, [outcome])
    returning = bound.statement.returning
    return None if returning is None else attributes_of(outcome, returning), consumed_by(outcome)


def batch_execute(core: Core, request: dict[str, Any]) -> bytes:
    """BatchExecuteStatement: each statement by itself, with an error of its own."""
    made = [_made(core, one) for one in request["Statements"]]
    known = [(bound, work) for bound, work in made if bound is not None and not isinstance(work, Refusal)]
    if len({bound.reads for bound, _ in made if bound is not None}) > 1:
        raise invalid("Batch statements are either all reads or all writes")
    if len({(work.table.name, work.key) for _, work in known}) < len(known):
        raise invalid("Provided list of item keys contains duplicates")
    totals: dict[str, Consumed] = {}
    responses = [_response(core, bound, work, totals) for bound, work in made]
    members: Members = [("Responses", encode(responses))]
    mode = wanted(request)
    if mode is not None:
        members.append(("ConsumedCapacity", encode([one.shown(mode) for one in totals.values()])))
    return answer(members)


def _made(core: Core, entry: dict[str, Any]) -> tuple[Bound | None, Single | Write | Refusal]:
    """A statement of a batch, and what it will read or write, or why it cannot."""
    bound = None
    try:
        bound = Bound(entry)
        if bound.statement.kind == "EXISTS":
            return bound, invalid("EXISTS is a statement of transactions alone")
        if bound.reads:
            return bound, single(core, bound, consistent=bool(entry.get("ConsistentRead")))
        return bound, write_of(core, bound)
    except Refusal as refusal:
        return bound, refusal


def _response(
    core: Core, bound: Bound | None, work: Single | Write | Refusal, totals: dict[str, Consumed]
) -> dict[str, Any]:
    if bound is None or isinstance(work, Refusal):
        assert isinstance(work, Refusal)  # a statement that cannot be read has one
        return {"Error": _error(work)}
    try:
        if isinstance(work, Single):
            consistent = bool(bound.request.get("ConsistentRead"))
            units = read_units(_size(work), consistent=consistent)
            if core.meter is not None:
                core.meter.admit(core.meter.of_read(work.table, None, units, work.key[:HASH]))
            shown, used = work.shown(), Consumed(work.table, units)
        else:
            shown, used = _written(core, bound, work)
    except Refusal as refusal:
        return {"Error": _error(refusal), "TableName": work.table.name}
    total = totals.setdefault(used.table.name, Consumed(used.table))
    total.of_table += used.of_table
    for index, units in used.of_indexes.items():
        total.add(index, units)
    found: dict[str, Any] = {"TableName": work.table.name}
    return found if shown is None else found | {"Item": Raw(shown)}


def _error(refusal: Refusal) -> dict[str, Any]:
    return {"Code": _CODES.get(refusal.name, refusal.name), "Message": refusal.text, **refusal.members}


def _size(found: Single) -> int:
    return 0 if found.row is None else found.row[0]


def execute_transaction(core: Core, request: dict[str, Any]) -> bytes:
    """ExecuteTransaction: all reads, or all writes and checks."""
    entries = request["TransactStatements"]
    statements = [Bound(one) for one in entries]
    if len({one.reads for one in statements if one.statement.kind != "EXISTS"}) > 1:
        raise invalid("Transaction statements are either all reads or all writes")
    if all(one.statement.kind == "SELECT" for one in statements):
        return _found(core, request, statements)
    if any(one.statement.kind == "SELECT" for one in statements):
        raise invalid("Transaction statements are either all reads or all writes")
    for one in statements:
        if one.statement.returning is not None:
            raise invalid("RETURNING is for single statements")

    def made() -> Makes:
        return lambda number: write_of(core, statements[number])

    return write_all(core, request, _raw(entries), made, [("Responses", b"[]")])


def _raw(entries: list[dict[str, Any]]) -> list[Any]:
    """What a token is the token of."""
    return [[one["Statement"], one.get("Parameters") or []] for one in entries]


def _found(core: Core, request: dict[str, Any], statements: list[Bound]) -> bytes:
    """The items that a transaction of reads finds, all at one moment."""
    found: list[Single] = []
    totals: dict[str, Consumed] = {}
    for number, one in enumerate(statements):
        try:
            read = single(core, one, consistent=True)
        except Refusal as fault:
            raise cancelled_by(fault, number, len(statements)) from fault
        if any(read.table is other.table and read.key == other.key for other in found):
            raise invalid("Transaction request cannot include multiple operations on one item")
        found.append(read)
        totals.setdefault(read.table.name, Consumed(read.table)).of_table += read_units(_size(read), transactional=True)
    if core.meter is not None:
        taken = [(one, read_units(_size(one), transactional=True)) for one in found]
        admit_all(core, [core.meter.of_read(one.table, None, units, one.key[:HASH]) for one, units in taken])
    if sum(map(_size, found)) > MAX_BYTES:
        raise invalid("Collection size exceeded: the items of a transaction have 4 MB at most")
    shown = [one.shown() for one in found]
    members: Members = [("Responses", listed([b"{}" if one is None else answer([("Item", one)]) for one in shown]))]
    mode = wanted(request)
    if mode is not None:
        members.append(("ConsumedCapacity", encode([one.shown(mode, "Read") for one in totals.values()])))
    return answer(members)
