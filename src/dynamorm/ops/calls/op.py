"""One call to DynamoDB as data: what to send, how to read the answer, and what may be done when none comes."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from dynamorm.codec.strict import dumps, read_object
from dynamorm.effects import Flow
from dynamorm.errors import InvalidUse
from dynamorm.models.schema.placed import NotReady
from dynamorm.wire.reply import ServiceFault

if TYPE_CHECKING:
    from dynamorm.plugin import Operation
    from dynamorm.wire.channel import Server

MAX_OPERATIONS: Final = 100

ITEM_OPERATIONS: Final = frozenset(
    {
        "GetItem", "BatchGetItem", "Query", "Scan", "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem",
        "TransactGetItems", "TransactWriteItems", "ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction",
    }
)  # fmt: skip
"""The operations on items: they cost units, and tell how many where that is asked for. Others are of tables and streams."""

_EVENTUAL: Final = frozenset({"GetItem", "BatchGetItem", "Query", "Scan"})
"""The reads that are eventually consistent, unless they ask for more."""

TRIES: Final = 8
"""So often is fetched what an answer needs to be decoded: another flow may let go of it before it is used."""

UNSETTLED: Any = object()
"""What ``refused`` returns when the stored item does not tell whether an earlier attempt was applied."""


UNBELIEVABLE: Any = object()
"""What ``refused`` returns when the refusal cannot be an answer to this request."""


def has_condition(body: bytes) -> bool:
    """Whether a request has a condition that can fail: an attribute of that name is followed by an object, not by a text."""
    return b'"ConditionExpression":"' in body


class Safety(Enum):
    """What may be done when a request was sent and no answer came."""

    READ = "read"
    """Nothing is changed: send again."""
    RESEND = "resend"
    """Applying it twice is the same as once, or a token or condition sees to that: send again."""
    ONCE = "once"
    """Never send again: the outcome is unknown."""


class Op(Struct, eq=False):  # made for every call: a struct is made in half the time of a class
    """One call: what to send and how to read the answer.

    ``decode(body)`` reads a good answer. ``refused(fault, ambiguous, info)`` is asked when the condition failed or the
    transaction was cancelled: it returns the result after all (our own earlier attempt was applied) or raises.
    `OutcomeUnknown.resolve` calls ``resolver(op, deadline)``. ``key`` holds key names for messages.
    ``why`` tells `explain` why the request is as it is.
    ``settled_by_ring``: what became of it is told by a ring of tokens, so it is asked again soon after a lost reply.

    ``timeout`` bounds the call in seconds, instead of ``operation_timeout``; ``end`` is the monotonic time by which the
    verb that it belongs to must be done. After an `OutcomeUnknown` it holds the time at which this call had to end.
    ``expires`` is the time of the wall clock from which on it is not sent again, whatever the monotonic one says.
    ``finds_out``: repeating it only finds out what became of a write, so neither the number of attempts nor, while
    the endpoint answers other calls, the retry budget bounds it; a write does so once an attempt of it is ambiguous.
    ``prepare(body)`` is run before an answer with items is decoded: it fetches what decoding needs.
    ``parts`` is how many operations a transaction has; 0 for what is none. ``untold`` is set when the service's answer
    showed what is stored and that does not tell.
    ``operation`` is the verb that it belongs to, where plugins look at verbs and at calls; ``server`` where it goes, where they
    look at attempts. ``way`` is the innermost call, where that is another one than its database's.
    """

    name: str
    table: str
    body: bytes
    decode: Callable[[bytes], Any]
    safety: Safety = Safety.READ
    refused: Callable[[ServiceFault, bool, dict[str, Any]], Any] | None = None
    resolver: Callable[[Op, float | None], Any] | None = None
    token: bytes | None = None
    key: Any = None
    timeout: float | None = None
    prepare: Callable[[bytes], Flow[None]] | None = None
    settled_by_ring: bool = False
    end: float | None = None
    expires: float | None = None
    finds_out: bool = False
    untold: bool = False
    parts: int = 0
    why: str | None = None
    operation: Operation | None = None
    server: Server | None = None
    way: Callable[[Op], Flow[Any]] | None = None
    _purpose: str | None = None

    @property
    def purpose(self) -> str:
        """Why it is made: see `dynamorm.plugin.Call`. What is not of items is the library's own affair."""
        return self._purpose or ("verb" if self.name in ITEM_OPERATIONS else "internal")

    @purpose.setter
    def purpose(self, purpose: str) -> None:
        self._purpose = purpose

    @property
    def writes(self) -> bool:
        """Whether it may change what is stored."""
        return self.safety is not Safety.READ

    def with_wire(self) -> Op:
        """The same call, which gives a pair: the JSON of its answer, and its result. Raises: InvalidUse for a write."""
        if self.safety is not Safety.READ:
            raise InvalidUse(f"{self.name} of {self.table} writes: its answer is good for once")
        other, decode = copy(self), self.decode
        other.decode = lambda body: (body, decode(body))
        return other

    def consistent(self) -> Op:
        """The same read, which asks for the latest state. Raises: InvalidUse for what reads no items, or always so."""
        if self.name not in _EVENTUAL:
            raise InvalidUse(f"{self.name} of {self.table} has no ConsistentRead: {', '.join(sorted(_EVENTUAL))} have")
        other, request = copy(self), read_object(self.body)
        for part in request["RequestItems"].values() if self.name == "BatchGetItem" else (request,):
            part["ConsistentRead"] = True
        other.body = dumps(request)
        return other

    def read(self, body: bytes) -> Flow[Any]:
        """The result of the call for the JSON of an answer to it: prepared and decoded as if it had come right now."""
        if not isinstance(body, (bytes, bytearray, memoryview)):
            raise InvalidUse(
                f"op.read takes the JSON of an answer, the bytes that op.with_wire() gave first, not {type(body).__name__}:"
                " answer, result = yield from call(op.with_wire())"
            )
        if self.prepare is None:
            return self.decode(body)
        return (yield from self.decode_when(self.prepare, body))

    def decode_when(self, prepare: Callable[[bytes], Flow[None]], body: bytes) -> Flow[Any]:
        """Decode an answer for which ``prepare`` fetches what its items need: again, when another flow has let go of that."""
        left = TRIES
        while True:
            yield from prepare(body)
            try:
                return self.decode(body)
            except NotReady:
                left -= 1
                if not left:
                    raise
