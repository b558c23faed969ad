"""TransactWriteItems and TransactGetItems.

A fault of one write cancels the transaction with its reason, ``ValidationError``, and the writes behind it are not looked at; failed
conditions are told of all writes. So it is on AWS; DynamoDB Local answers a ValidationException of the whole request.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html; capacity as observed on AWS (dynoxide, 178).
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final, TypeAlias

from msgspec.json import Decoder

from dynamorm.engine.answers import EMPTY, Members, answer, encode, listed
from dynamorm.engine.core import Core
from dynamorm.engine.items.capacity import Consumed, wanted
from dynamorm.engine.items.single import Reading, collection, key_bytes
from dynamorm.engine.items.throughput import reason_code
from dynamorm.engine.items.writes import DUPLICATE, FAILED, MAKERS, PLAIN, Outcome, Write, places_of, plan
from dynamorm.engine.refusal import CANCELLED, Refusal, invalid
from dynamorm.engine.shapes.forms import Alike
from dynamorm.engine.shapes.forms import encode as encode_entry
from dynamorm.engine.sizes import MAX_ITEM, READ_UNIT, read_units
from dynamorm.engine.store.store import Change
from dynamorm.engine.values.keys import HASH

MAX_BYTES: Final = 4 * 1024 * 1024
SURELY_FEW: Final = MAX_BYTES // MAX_ITEM
"""Items that are not too many bytes, however large they are."""

TOKEN_SECONDS: Final = 600.0
MAX_TOKEN: Final = 36

Makes: TypeAlias = Callable[[int], Write]
"""Makes the write of a transaction with this number; it raises: Refusal."""

_NONE: Final = {"Code": "None"}
_REASONS: Final = {FAILED: "ConditionalCheckFailed", DUPLICATE: "DuplicateItem"}
_FAULTS: Final = (
    "One or more parameter values", "The provided key element", "Item size", "Number ", "Attempting to store", "An operand in the update",
    "The document path provided", "The provided expression refers", "Nesting Levels", "Type mismatch", "Where clause",
)  # fmt: skip
"""How the texts of faults begin that are of one write, by AWS's list of reasons; other faults are of the request."""


def transact_write(core: Core, request: dict[str, Any]) -> bytes:
    """TransactWriteItems."""
    entries = request["TransactItems"]

    def made() -> Makes:
        for entry in entries:
            if len(entry) != 1 or None in entry.values():
                _check_single(entry)
        return make

    def make(number: int) -> Write:
        for kind, body in entries[number].items():
            if body is not None:
                return MAKERS[kind](core, body)
        raise AssertionError  # each entry was looked at

    return write_all(core, request, entries, made, [])


def write_all(
    core: Core, request: dict[str, Any], entries: list[Any], made: Callable[[], Makes], members: Members
) -> bytes:
    """Make writes, all of them or none, once for each token. ``entries`` are what its digest is of. Raises: Refusal.

    ``made`` looks at all entries, and gives what makes a write of each.
    """
    token = request.get("ClientRequestToken")
    digest = b"" if token is None else _digest(token, entries)
    if token is not None:
        known = _remembered(core, token, digest)
        if known is not None:
            return _answer(request, [_replayed(core, one) for one in known], "Read", members)
    outcomes = _planned(core, made(), len(entries))
    if len(outcomes) > SURELY_FEW and (
        sum(max(_size(outcome.old_row), _size(outcome.new_row)) for outcome in outcomes) > MAX_BYTES
    ):
        raise invalid("Member must have total size of all items less than or equal to 4 MB: Collection size exceeded")
    if core.meter is not None:
        admit_all(core, [core.meter.of_write(outcome, 2.0) for outcome in outcomes])
    changes = [change for outcome in outcomes for change in outcome.changes]
    if token is not None:
        changes.append(_token(core, token, digest, outcomes))
    if changes:
        core.store.apply(changes)
    consumed = [] if wanted(request) is None else _consumed(outcomes)
    return _answer(request, consumed, "Write", members, outcomes)


def _consumed(outcomes: list[Outcome]) -> list[Consumed]:
    """What the writes of a transaction cost, by table."""
    totals: dict[str, Consumed] = {}
    for outcome in outcomes:
        table = outcome.write.table
        one = totals.setdefault(table.name, Consumed(table))
        one.of_table += 2.0 * outcome.units
        for index, cost in outcome.arms.items():
            one.add(index, float(cost))
    return list(totals.values())


def admit_all(core: Core, entries: list[list[Any]]) -> None:
    """Take what the entries of a transaction ask for. Raises: Refusal with the reasons where something is used up."""
    reasons: list[dict[str, Any]] = []
    for demands in entries:
        refusal = core.meter.refused(demands)
        reasons.append(_NONE if refusal is None else {"Code": reason_code(refusal), "Message": refusal.text})
    if any(one is not _NONE for one in reasons):
        raise _cancelled(reasons)
    core.meter.take([one for demands in entries for one in demands])


def _size(row: tuple[int, bytes] | None) -> int:
    return 0 if row is None else row[0]


def _check_single(entry: dict[str, Any]) -> None:
    """Raise Refusal for an entry that is not one thing."""
    if sum(one is not None for one in entry.values()) != 1:
        raise invalid("TransactItems can only contain one of Check, Put, Update or Delete")


def _planned(core: Core, make: Makes, count: int) -> list[Outcome]:
    """What the writes of a transaction make. Raises: Refusal, with the reasons where it is cancelled."""
    writes: list[Write] = []
    seen: set[tuple[str, bytes]] = set()
    number = 0
    try:
        for number in range(count):
            write = make(number)
            seen.add((write.table.name, write.key))
            if len(seen) == number:
                raise invalid("Transaction request cannot include multiple operations on one item")
            writes.append(write)
    except Refusal as fault:
        raise cancelled_by(fault, number, count) from fault
    outcomes: list[Outcome] = []
    try:
        for write in writes:
            outcomes.append(plan(core, write))  # noqa: PERF401 - how far it came is looked at
    except Refusal as fault:
        raise _refused(core, writes, len(outcomes), fault) from fault
    return outcomes


def _refused(core: Core, writes: list[Write], number: int, fault: Refusal | None) -> Refusal:
    """Why a transaction is cancelled, of whose writes the one with this number is the first to be refused."""
    reasons = [_NONE] * number
    for at, write in enumerate(writes[number:], number):
        if at > number:
            try:
                plan(core, write)
                fault = None
            except Refusal as another:
                fault = another
        if fault is None:
            reasons.append(_NONE)
        elif fault.name in _REASONS:
            reasons.append({"Code": _REASONS[fault.name], "Message": fault.text, **fault.members})
        else:
            return cancelled_by(fault, at, len(writes))
    return _cancelled(reasons)


def cancelled_by(fault: Refusal, number: int, count: int) -> Refusal:
    """What a fault of one write makes of the transaction."""
    if fault.name != "ValidationException" or not fault.text.startswith(_FAULTS):
        return fault
    reasons = [_NONE] * count
    reasons[number] = {"Code": "ValidationError", "Message": fault.text}
    return _cancelled(reasons)


def _cancelled(reasons: list[dict[str, Any]]) -> Refusal:
    codes = ", ".join(one["Code"] for one in reasons)
    return Refusal(
        CANCELLED,
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        CancellationReasons=reasons,
    )


def _answer(
    request: dict[str, Any],
    consumed: list[Consumed],
    kind: str,
    members: Members,
    outcomes: list[Outcome] | None = None,
) -> bytes:
    mode = wanted(request)
    if mode is not None:
        members.append(("ConsumedCapacity", encode([one.shown(mode, kind) for one in consumed])))
    if request.get("ReturnItemCollectionMetrics") == "SIZE" and outcomes is not None:
        metrics: dict[str, list[Any]] = {}
        for outcome in outcomes:
            if outcome.write.table.has_local and outcome.write.kind != "ConditionCheck":
                metrics.setdefault(outcome.write.table.name, []).append(collection(outcome))
        members.append(("ItemCollectionMetrics", encode(metrics)))
    return answer(members) if members else EMPTY


# Tokens: for ten minutes a transaction with the same one is answered, and not made again.


_read_token: Final = Decoder(tuple[float, str, list[tuple[str, float]]]).decode
"""Reads what is kept of a token: when it came, the digest of its transaction, the units that a replay reads of each table."""


def _place(token: str) -> bytes:
    """Where a token is kept. What else is there begins with a zero, which a token may."""
    return b"." + token.encode()


def _digest(token: str, entries: Any) -> bytes:
    if len(token) > MAX_TOKEN:
        raise invalid(f"ClientRequestToken has {MAX_TOKEN} characters at most")
    pieces: list[bytes] = []
    for entry in entries:
        if entry.__class__ is not dict:  # a statement
            pieces.append(encode(entry))
            continue
        put = entry.get("Put")
        if put is not None and len(put) == len(PLAIN) and len(entry) == 1:  # the most frequent kind
            item = put["Item"]
            pieces += (put["TableName"].encode(), item.data if item.__class__ is Alike else encode(item))
        else:
            pieces.append(encode_entry(entry))
    return sha256(b"\n".join(pieces)).digest()[:16]  # no piece has a line's end in it


def _remembered(core: Core, token: str, digest: bytes) -> list[tuple[str, float]] | None:
    """What a transaction with this token consumed, None for a new one. Raises: Refusal where it was another transaction."""
    row = core.tokens.get(_place(token))
    if row is None:
        return None
    at, was, reads = _read_token(row[1])
    if core.now() - at > TOKEN_SECONDS:
        return None
    if was != digest.hex():
        raise Refusal(
            "IdempotentParameterMismatchException",
            "The token was used with other parameters within the last ten minutes",
        )
    return reads


def _replayed(core: Core, one: tuple[str, float]) -> Consumed:
    return Consumed(core.table(one[0]), one[1])


def _token(core: Core, token: str, digest: bytes, outcomes: list[Outcome]) -> Change:
    """The change that remembers a transaction: of its answer to a replay, that reads what was written."""
    reads: dict[str, float] = {}
    for outcome in outcomes:
        write = outcome.write
        name = write.table.name
        row = outcome.old_row if write.kind == "ConditionCheck" else outcome.new_row
        few = row is None or row[0] <= READ_UNIT
        reads[name] = reads.get(name, 0.0) + (2.0 if few else read_units(_size(row), transactional=True))
    key = _place(token)
    now = core.now()
    kept = encode((now, digest.hex(), list(reads.items())))
    return (core.tokens, key, core.tokens.get(key), (int(now), kept))


def transact_get(core: Core, request: dict[str, Any]) -> bytes:
    """TransactGetItems."""
    entries = request["TransactItems"]
    found: list[bytes] = []
    totals: dict[str, Consumed] = {}
    seen: set[tuple[str, bytes]] = set()
    reads: list[list[Any]] = []
    size = 0
    for number, entry in enumerate(entries):
        get = entry["Get"]
        table = core.usable(get.get("TableName"))
        reading = Reading(get, places_of(get))
        try:
            key = key_bytes(table, get["Key"])
        except Refusal as fault:
            raise cancelled_by(fault, number, len(entries)) from fault
        if (table.name, key) in seen:
            raise invalid("Transaction request cannot include multiple operations on one item")
        seen.add((table.name, key))
        row = table.items.get(key)
        size += _size(row)
        units = read_units(_size(row), transactional=True)
        totals.setdefault(table.name, Consumed(table)).of_table += units
        if core.meter is not None:
            reads.append(core.meter.of_read(table, None, units, key[:HASH]))
        found.append(EMPTY if row is None else answer([("Item", reading.of(row[1]))]))
    if core.meter is not None:
        admit_all(core, reads)
    if size > MAX_BYTES:
        raise invalid("Collection size exceeded: the items of a transaction have 4 MB at most")
    members: Members = [("Responses", listed(found))]
    mode = wanted(request)
    if mode is not None:
        members.append(("ConsumedCapacity", encode([one.shown(mode, "Read") for one in totals.values()])))
    return answer(members)
