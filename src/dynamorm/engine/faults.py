"""Faults that an engine has on purpose: which of them a request meets. Nothing is delayed, refused or lost in here.

Whoever answers requests asks `Faults.decide` once for each, and does what the `Verdict` says. It must not know bytes,
connections, time, nor how items are stored.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from random import Random
from types import TracebackType
from typing import Any, Final, Literal, Self

READS: Final = frozenset({"GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"})
"""The operations that only read items."""

OPERATIONS: Final = READS | {
    "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems",
    "ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction",
}  # fmt: skip
"""The operations on items: what a fault concerns that names no operation. Tables and streams only meet faults that name them."""

_TABLES: Final = frozenset(
    {
        "CreateTable", "DeleteTable", "DescribeTable", "ListTables", "UpdateTable", "DescribeTimeToLive",
        "UpdateTimeToLive", "DescribeContinuousBackups", "UpdateContinuousBackups", "ListTagsOfResource",
        "CreateBackup", "DeleteBackup", "DescribeBackup", "ListBackups", "RestoreTableFromBackup",
        "TagResource", "UntagResource", "ListStreams", "DescribeStream", "GetShardIterator", "GetRecords",
    }
)  # fmt: skip
_CONFLICTING: Final = frozenset({"PutItem", "UpdateItem", "DeleteItem", "TransactGetItems", "TransactWriteItems"})
_TRANSACTIONS: Final = frozenset({"TransactGetItems", "TransactWriteItems"})
_BATCHES: Final = frozenset({"BatchGetItem", "BatchWriteItem"})
_STATUS: Final = {"InternalServerError": 500, "ServiceUnavailable": 503}
_WRITE_REASON: Final = "TableWriteKeyRangeThroughputExceeded"

Kind = Literal["lose reply", "lose request", "throttle", "delay", "unprocessed", "conflict", "error"]


@dataclass(frozen=True, slots=True)
class Refused:
    """An error of the service in the place of an answer: its ``code``, HTTP ``status``, ``message`` and further members."""

    code: str
    status: int
    message: str
    members: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one request.

    It is answered ``delay`` seconds late. ``applied`` says whether it is carried out at all, ``answered`` whether anything
    comes back: without it the connection ends. ``refusal`` is the answer of a request that is not carried out.
    ``unprocessed`` are the places of those entries of a batch that are left and told as unprocessed, counted from 0 in the
    order of the request.
    """

    delay: float = 0.0
    applied: bool = True
    answered: bool = True
    refusal: Refused | None = None
    unprocessed: frozenset[int] = frozenset()

    @property
    def is_final(self) -> bool:
        """Whether no answer of the engine's own reaches the client."""
        return not self.answered or self.refusal is not None


UNTOUCHED: Final = Verdict()
"""The verdict on a request that meets no fault."""


class Fault:
    """One fault that was set: a handle. ``count`` says how many requests have met it.

    It ends with `remove`, at the end of a ``with`` block, after ``times`` requests, or with `Faults.clear`.

    Example::

        with engine.faults.lose_reply(op="PutItem", times=1) as fault:
            db.create(payment)
        assert fault.count == 1
    """

    def __init__(
        self,
        home: Faults,
        kind: Kind,
        operations: frozenset[str],
        *,
        table: str | None,
        share: float,
        times: int | None,
        seed: int,
        seconds: float = 0.0,
        refusal: Refused | None = None,
    ) -> None:
        self.kind: Kind = kind
        self.count: int = 0
        self._home = home
        self._operations = operations
        self._table = table
        self._share = share
        self._times = times
        self._dice = Random(seed)  # noqa: S311 - dice that can be thrown again alike, and no secret
        self._seconds = seconds
        self._refusal = refusal

    @property
    def is_over(self) -> bool:
        """Whether it has met as many requests as it was to."""
        return self._times is not None and self.count >= self._times

    def remove(self) -> None:
        """Spoil nothing any more. A second call does nothing."""
        self._home.drop(self)

    def __enter__(self) -> Self:
        """Return the fault, which has begun already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove it."""
        self.remove()

    def __repr__(self) -> str:
        return f"<Fault {self.kind}, met {self.count} times>"

    def meets(self, operation: str, tables: Collection[str], entries: int) -> frozenset[int] | None:
        """Whether the request meets it: None if not, else the places in a batch that it concerns."""
        if self.is_over or operation not in self._operations:
            return None
        if self._table is not None and self._table not in tables:
            return None
        if self.kind == "unprocessed":
            return frozenset(place for place in range(entries) if self._dice.random() < self._share) or None
        return frozenset() if self._dice.random() < self._share else None

    def onto(self, verdict: Verdict, operation: str, places: frozenset[int], entries: int) -> Verdict:
        """The verdict with this fault added."""
        if self.kind == "delay":
            return replace(verdict, delay=verdict.delay + self._seconds)
        if self.kind == "lose reply":
            return replace(verdict, answered=False)
        if self.kind == "lose request":
            return replace(verdict, applied=False, answered=False)
        if self.kind == "unprocessed":
            return replace(verdict, unprocessed=verdict.unprocessed | places)
        return replace(verdict, applied=False, refusal=self._refusal_of(operation, entries))

    def _refusal_of(self, operation: str, entries: int) -> Refused:
        if self.kind == "conflict":
            return _conflict(operation, entries)
        assert self._refusal is not None
        return _of_reads(self._refusal) if self.kind == "throttle" and operation in READS else self._refusal


class Faults:
    """The faults of one engine. Safe to share between threads.

    Each method sets a fault and returns its handle. ``op`` is an operation's name on the wire or several of them (None:
    every operation on items), ``table`` the name of a table (None: every one; of PartiQL that which a
    statement names), ``share`` the share of these requests that meet the fault, from 0 to 1, ``times`` how many requests at
    most, and ``seed`` makes the dice fall alike.

    Of several faults the first that ends a request wins; delays add up.

    Example::

        engine.faults.throttle(op="PutItem", table="payments", share=0.2, seed=7)
        engine.faults.delay(0.05)
        engine.faults.clear()
    """

    def __init__(self) -> None:
        self._set: list[Fault] = []
        self._lock = threading.Lock()

    @property
    def active(self) -> tuple[Fault, ...]:
        """The faults that requests may meet, in the order in which they were set."""
        return tuple(fault for fault in self._set if not fault.is_over)

    def lose_reply(
        self, op: str | Iterable[str] | None = None, table: str | None = None, share: float = 1.0,
        times: int | None = None, seed: int = 0,
    ) -> Fault:  # fmt: skip
        """Apply the request, and end the connection in the place of an answer.

        Example: ``engine.faults.lose_reply(op="UpdateItem", times=1)``
        """
        return self._add("lose reply", op, table, share, times, seed)

    def lose_request(
        self, op: str | Iterable[str] | None = None, table: str | None = None, share: float = 1.0,
        times: int | None = None, seed: int = 0,
    ) -> Fault:  # fmt: skip
        """End the connection, and apply nothing.

        Example: ``engine.faults.lose_request(share=0.1, seed=3)``
        """
        return self._add("lose request", op, table, share, times, seed)

    def throttle(
        self, op: str | Iterable[str] | None = None, table: str | None = None, share: float = 1.0,
        times: int | None = None, seed: int = 0, *, reason: str = _WRITE_REASON,
    ) -> Fault:  # fmt: skip
        """Refuse the request as too many, for a reason of the service: ``TableWriteProvisionedThroughputExceeded``, ...

        Where a read meets it, its reason says ``Read``. Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/throttling-diagnosing.html

        Example: ``engine.faults.throttle(share=0.2)``
        """
        return self._add("throttle", op, table, share, times, seed, refusal=_throttled(reason, table))

    def delay(
        self, seconds: float, op: str | Iterable[str] | None = None, table: str | None = None, share: float = 1.0,
        times: int | None = None, seed: int = 0,
    ) -> Fault:  # fmt: skip
        """Answer so many seconds late.

        Example: ``engine.faults.delay(0.05, op="Query")``
        """
        if not _is_number(seconds) or not 0 <= seconds < float("inf"):
            raise ValueError("seconds is a number from 0 on")
        return self._add("delay", op, table, share, times, seed, seconds=float(seconds))

    def unprocessed(
        self, share: float = 1.0, op: str | Iterable[str] | None = None, table: str | None = None,
        times: int | None = None, seed: int = 0,
    ) -> Fault:  # fmt: skip
        """Leave this share of the entries of BatchGetItem and BatchWriteItem, and tell them as unprocessed.

        Example: ``engine.faults.unprocessed(0.5, times=3)``
        """
        return self._add("unprocessed", op, table, share, times, seed, among=_BATCHES)

    def conflict(
        self, op: str | Iterable[str] | None = None, table: str | None = None, share: float = 1.0,
        times: int | None = None, seed: int = 0,
    ) -> Fault:  # fmt: skip
        """Refuse the request because a transaction has its item: single writes and transactions alone can meet it.

        Example: ``engine.faults.conflict(op="TransactWriteItems", times=2)``
        """
        return self._add("conflict", op, table, share, times, seed, among=_CONFLICTING)

    def error(
        self, code: str, op: str | Iterable[str] | None = None, table: str | None = None, share: float = 1.0,
        times: int | None = None, seed: int = 0, *, status: int | None = None, message: str = "a fault that was asked for",
    ) -> Fault:  # fmt: skip
        """Refuse the request with an error of the service, such as ``InternalServerError``. Nothing is applied.

        Example: ``engine.faults.error("ServiceUnavailable", times=1)``
        """
        if not _is_text(code) or not code.isidentifier():
            raise ValueError("code is the name of an error of the service, such as InternalServerError")
        refusal = Refused(code, _STATUS.get(code, 400) if status is None else status, message)
        return self._add("error", op, table, share, times, seed, refusal=refusal)

    def clear(self) -> None:
        """Remove all faults.

        Example: ``engine.faults.clear()``
        """
        with self._lock:
            self._set = []

    def drop(self, fault: Fault) -> None:
        """Remove one fault; see `Fault.remove`."""
        with self._lock:
            self._set = [one for one in self._set if one is not fault]

    def decide(self, operation: str, tables: Collection[str] = (), *, entries: int = 0) -> Verdict:
        """What becomes of a request on these tables. ``entries`` is how many entries its batch or its transaction has.

        Example: ``verdict = engine.faults.decide("PutItem", ["payments"])``
        """
        if not self._set:
            return UNTOUCHED
        verdict = UNTOUCHED
        with self._lock:
            for fault in self._set:
                places = fault.meets(operation, tables, entries)
                if places is not None and not (verdict.is_final and fault.kind != "delay"):
                    fault.count += 1
                    verdict = fault.onto(verdict, operation, places, entries)
        return verdict

    def _add(
        self,
        kind: Kind,
        op: str | Iterable[str] | None,
        table: str | None,
        share: float,
        times: int | None,
        seed: int,
        *,
        among: frozenset[str] = OPERATIONS,
        seconds: float = 0.0,
        refusal: Refused | None = None,
    ) -> Fault:
        if not _is_number(share) or not 0 <= share <= 1:
            raise ValueError("share is a number from 0 to 1")
        if times is not None and (not _is_number(times) or times != int(times) or times < 1):
            raise ValueError("times is a whole number from 1 on, or None for any number")
        if table is not None and not _is_text(table):
            raise ValueError(f"table is the name of a table, not {type(table).__name__}")
        operations = _operations(kind, op, among)
        fault = Fault(
            self, kind, operations, table=table, share=share, times=times, seed=seed, seconds=seconds, refusal=refusal
        )
        with self._lock:
            self._set = [*self._set, fault]
        return fault


def _operations(kind: Kind, op: str | Iterable[str] | None, among: frozenset[str]) -> frozenset[str]:
    if op is None:
        return among
    names = frozenset((op,) if isinstance(op, str) else op)
    known = among if among is not OPERATIONS else OPERATIONS | _TABLES
    for name in sorted(names - known, key=str):
        near = get_close_matches(str(name), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(sorted(known))}"
        raise ValueError(f"op={name!r}: no operation of that name can meet the fault {kind!r}; {hint}")
    return names


def _throttled(reason: str, table: str | None) -> Refused:
    if not _is_text(reason) or not reason.endswith("Exceeded"):
        raise ValueError(f"reason is a throttling reason of the service, such as {_WRITE_REASON}")
    code = "ThrottlingException"
    if "Provisioned" in reason:
        code = "ProvisionedThroughputExceededException"
    elif "AccountLimit" in reason:
        code = "RequestLimitExceeded"
    resource = f"arn:aws:dynamodb:us-east-1:000000000000:table/{table or 'unknown'}"
    return throttled(code, [{"reason": reason, "resource": resource}])


def throttled(code: str, reasons: list[dict[str, str]]) -> Refused:
    """The refusal of a request as too many, with the service's reasons; their member has two spellings, as in botocore's model."""
    member = "throttlingReasons" if code == "ThrottlingException" else "ThrottlingReasons"
    return Refused(code, 400, "Throughput exceeds the current capacity of the table or index", {member: reasons})


def _of_reads(refusal: Refused) -> Refused:
    """The same refusal of a read."""
    ((member, entries),) = refusal.members.items()
    reasons = [{**entry, "reason": entry["reason"].replace("Write", "Read")} for entry in entries]
    return replace(refusal, members={member: reasons})


def _conflict(operation: str, entries: int) -> Refused:
    if operation not in _TRANSACTIONS:
        return Refused("TransactionConflictException", 400, "Transaction is ongoing for the item")
    reason = {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
    reasons = [reason, *({"Code": "None"} for _ in range(entries - 1))]
    return Refused(
        "TransactionCanceledException",
        400,
        "Transaction cancelled, please refer cancellation reasons for specific reasons"
        f" [{', '.join(entry['Code'] for entry in reasons)}]",
        {"CancellationReasons": reasons},
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)
