"""What an attempt has taken that the service did not tell: by the formulas of AWS's documents, over the sizes that are seen.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from dynamorm.capacity import IndexView, index_views, item_size, read_units, write_units

from .ledger import Part, Traffic

Averages = Mapping[str, Traffic]

CHARGED: Final = ("ConditionalCheckFailed", "TransactionCanceled")
"""Refusals behind which units were taken. What was throttled, denied or not understood took none."""


def code_of(answer: Mapping[str, Any]) -> str:
    """The bare name of an error."""
    return str(answer.get("__type", "")).rpartition("#")[2]


def decoded(body: bytes) -> dict[str, Any]:
    """A request or an answer; nothing for what is none."""
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def is_charged(answer: Mapping[str, Any]) -> bool | None:
    """Whether a refusal has taken units; None where nobody says."""
    code = code_of(answer)
    if not code.startswith(CHARGED):
        return None if code.startswith("TransactionConflict") else False
    reasons = answer.get("CancellationReasons")
    if not isinstance(reasons, list) or not code.startswith("TransactionCanceled"):
        return True
    codes = {reason.get("Code") for reason in reasons if isinstance(reason, dict)}
    return True if "ConditionalCheckFailed" in codes else None


def estimated(
    operation: str, request: Mapping[str, Any], answer: Mapping[str, Any] | None, table: str, averages: Averages,
    model: type[Any] | None = None,
) -> tuple[Part, ...]:  # fmt: skip
    """The units of one attempt. ``answer`` is None where there was none, or the body of a refusal.

    Of a write the index entries are counted where the request or the answer shows them: what an unseen item moves in an
    index, nobody can tell from outside.
    """
    of = _OPERATIONS.get(operation)
    if of is None:
        return (Part(table, None, *_statement(request, answer or {}, table, averages)),)
    views = () if model is None or answer is None or "__type" in answer else index_views(model)
    if answer is None and operation == "GetItem":
        return (Part(table, None, _average(averages.get(table), writes=False), 0.0),)
    return tuple(of(request, answer or {}, table, averages, views))


def _average(traffic: Traffic | None, *, writes: bool) -> float:
    """The units of one write, or read, of a table, as far as they were reported; of the smallest item else."""
    units, number = (0.0, 0.0) if traffic is None else traffic.writes if writes else traffic.reads
    least = 1.0 if writes else 0.5
    return max(least, round(2 * units / number) / 2) if number else least


def _get(request: Mapping[str, Any], answer: Mapping[str, Any], table: str, _: Averages, __: Any) -> Iterator[Part]:
    size = item_size(answer.get("Item") or {})
    yield Part(table, None, read_units(size, consistent=bool(request.get("ConsistentRead"))), 0.0)


def _page(request: Mapping[str, Any], answer: Mapping[str, Any], table: str, _: Averages, __: Any) -> Iterator[Part]:
    size = sum(map(item_size, answer.get("Items") or ()))
    yield Part(table, request.get("IndexName"), read_units(size, consistent=bool(request.get("ConsistentRead"))), 0.0)


def _batch_get(request: Mapping[str, Any], answer: Mapping[str, Any], _: str, __: Averages, ___: Any) -> Iterator[Part]:
    for table, asked in (request.get("RequestItems") or {}).items():
        consistent = bool(asked.get("ConsistentRead"))
        items = (answer.get("Responses") or {}).get(table, ())
        left = len((answer.get("UnprocessedKeys") or {}).get(table, {}).get("Keys", ()))
        missing = max(0, len(asked["Keys"]) - left - len(items))
        sizes = [*map(item_size, items), *([0] * missing)]
        yield Part(table, None, sum(read_units(size, consistent=consistent) for size in sizes), 0.0)


def _transact_get(
    request: Mapping[str, Any], answer: Mapping[str, Any], _: str, __: Averages, ___: Any
) -> Iterator[Part]:
    found = answer.get("Responses") or ()
    for number, one in enumerate(request.get("TransactItems") or ()):
        item = (found[number].get("Item") if number < len(found) else None) or {}
        yield Part(one["Get"]["TableName"], None, read_units(item_size(item), transactional=True), 0.0)


def _put(
    request: Mapping[str, Any], answer: Mapping[str, Any], table: str, averages: Averages, views: Iterable[IndexView]
) -> Iterator[Part]:
    old = answer.get("Attributes") or answer.get("Item")
    units = write_units(old, request.get("Item"), indexes=views)
    if old is None and "__type" in answer:  # refused for an item that is not shown
        units[None] = max(units[None], _average(averages.get(table), writes=True))
    yield from _parts(table, units)


def _change(
    request: Mapping[str, Any], answer: Mapping[str, Any], table: str, averages: Averages, views: Iterable[IndexView]
) -> Iterator[Part]:
    """An UpdateItem or a DeleteItem: the answer may tell the item."""
    whole = request.get("ReturnValues") in ("ALL_NEW", "ALL_OLD")
    item = answer.get("Item") or (answer.get("Attributes") if whole else None)
    if item is None:
        yield Part(table, None, 0.0, _average(averages.get(table), writes=True))
        return
    yield from _parts(table, write_units(item, None, indexes=() if "UpdateExpression" in request else views))


def _batch_write(
    request: Mapping[str, Any], answer: Mapping[str, Any], _: str, averages: Averages, views: Iterable[IndexView]
) -> Iterator[Part]:
    left = answer.get("UnprocessedItems") or {}
    for table, writes in (request.get("RequestItems") or {}).items():
        undone = left.get(table, [])
        for write in writes:
            if write in undone:
                continue
            if "PutRequest" in write:
                yield from _parts(table, write_units(None, write["PutRequest"]["Item"], indexes=views))
            else:
                yield Part(table, None, 0.0, _average(averages.get(table), writes=True))


def _transact_write(
    request: Mapping[str, Any], answer: Mapping[str, Any], _: str, averages: Averages, __: Any
) -> Iterator[Part]:
    reasons = answer.get("CancellationReasons") or ()
    for number, one in enumerate(request.get("TransactItems") or ()):
        kind, write = next(iter(one.items()))
        stored = reasons[number].get("Item") if number < len(reasons) else None
        units = 2.0
        if kind == "Put" or stored is not None:
            units = write_units(stored, write.get("Item"), transactional=True)[None]
        if stored is None and kind != "ConditionCheck" and (kind != "Put" or "__type" in answer):
            units = max(units, 2.0 * _average(averages.get(write["TableName"]), writes=True))
        yield Part(write["TableName"], None, 0.0, units)


def _statement(
    request: Mapping[str, Any], answer: Mapping[str, Any], table: str, averages: Averages
) -> tuple[float, float]:
    """PartiQL: the read and write units of its statements."""
    sent = [request, *request.get("TransactStatements", ()), *request.get("Statements", ())]
    texts = [str(one["Statement"]).lstrip()[:6].upper() for one in sent if "Statement" in one]
    twice = 2 if "TransactStatements" in request else 1
    writes = sum(text in {"INSERT", "UPDATE", "DELETE"} for text in texts)
    found = [one.get("Item") or {} for one in answer.get("Responses") or ()] or list(answer.get("Items") or ())
    read = 0.0
    if writes < len(texts):
        sizes = list(map(item_size, found)) or [0]
        consistent = bool(request.get("ConsistentRead"))
        if "Statement" in request:
            read = read_units(sum(sizes), consistent=consistent)
        else:
            read = sum(read_units(size, consistent=consistent, transactional=twice == 2) for size in sizes)
    return read, writes * twice * _average(averages.get(table), writes=True)


def _parts(table: str, units: Mapping[str | None, float]) -> Iterator[Part]:
    for index, written in units.items():
        yield Part(table, index, 0.0, written)


_OPERATIONS: Final[dict[str, Callable[..., Iterator[Part]]]] = {
    "GetItem": _get,
    "BatchGetItem": _batch_get,
    "TransactGetItems": _transact_get,
    "Query": _page,
    "Scan": _page,
    "PutItem": _put,
    "UpdateItem": _change,
    "DeleteItem": _change,
    "BatchWriteItem": _batch_write,
    "TransactWriteItems": _transact_write,
}
ITEM_OPERATIONS: Final = frozenset((*_OPERATIONS, "ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"))
"""The operations that take units."""
