"""One write, described so that it can be sent alone or inside a transaction, and settled after a lost reply.

Classes of safety: I (applying twice is the same as once: sent again), C (guarded by a version or by absence, settled
through the token ring), N (neither: sent as a one-item transaction with a client request token). It must not know
how requests are signed or retried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from dynamorm.codec.replies import dumps, expect_empty
from dynamorm.codec.system import item_of
from dynamorm.effects import Flow
from dynamorm.errors import (
    AlreadyExists,
    CancellationReason,
    ClientError,
    ConditionFailed,
    DynamORMError,
    MalformedResponse,
    MissingItem,
    Outcome,
    TransactionCancelled,
    ValidationError,
    VersionConflict,
)
from dynamorm.overriding import override
from dynamorm.wire.reply import ServiceFault

from .op import UNSETTLED, Op, Safety
from .plan import Plan
from .ring import created_by, verdict

if TYPE_CHECKING:
    from dynamorm.expression_tree import Location
    from dynamorm.session import Session

TOKEN_LIFE = 540.0
"""Seconds for which a client request token is sent again: DynamoDB remembers it for ten minutes.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""


class Write(Struct, eq=False):
    """A single write.

    ``kind`` is ``Put``, ``Update`` or ``Delete``; ``body`` the request as the single verb takes it, without the fields
    in ``single`` that a transaction does not know. ``done(raw)`` is called once it is certain that the write was
    applied, with the JSON of the stored item when that is known, and gives the verb's result; ``shown(fresh)`` is called
    instead, if there is one, when the answer showed the item, with an object made of it.
    ``expects`` says what the condition demands: ``absent``, ``version``, ``exists`` or nothing. ``also`` holds writes
    that must be applied together with this one: with any, it is sent as a transaction. ``label`` is the caller's name
    for it in a transaction's report, ``verb`` the verb that made it. ``refused_as(raw, info)`` makes the error for a
    failed condition, from the JSON of the stored item when it came; None: the error of the verb. ``sets`` are those that
    a transaction adds to: they may be stored as NULL (see `dynamorm.ops.update`).

    ``pinned`` says that the condition holds only while unique attributes are as they were read.

    In a transaction (`dynamorm.ops.transact`) there is a fourth ``kind``, ``ConditionCheck``, and ``single``, ``safety``
    and ``transact`` have no meaning.
    """

    plan: Plan
    kind: str
    key: bytes
    body: bytes
    done: Callable[[bytes | None], Any]
    token: bytes
    shown: Callable[[Any], Any] | None = None
    single: dict[str, Any] | None = None
    safety: Safety = Safety.RESEND
    transact: bool = False
    refresh: bool = False
    expects: str = ""
    known_version: int | None = None
    known_ring: bytes = b""
    also: tuple[Write, ...] = ()
    label: str | None = None
    pinned: bool = False
    verb: str = ""
    sets: Sequence[Location] = ()
    refused_as: Callable[[bytes | None, dict[str, Any]], DynamORMError] | None = None

    @override
    def __repr__(self) -> str:
        return f"<Write {self.kind} to {self.plan.table}>"  # what it writes is nobody's business


NOT_READ: Any = object()
"""Stands for what is stored under a key, where nobody has looked yet."""


class MustRead(ValidationError):
    """A write cannot be built before what is stored under its key has been read. ``plan`` and ``key`` say where."""

    def __init__(self, plan: Plan, key: bytes) -> None:
        super().__init__(
            f"what is stored must be known to write a {plan.codec.schema.name} by key, for it has unique attributes: "
            "in a transaction, load the object and pass it"
        )
        self.plan = plan
        self.key = key


def perform(session: Session, write: Write) -> Flow[Any]:
    """Send one write, with what must be applied together with it, and return the verb's result."""
    if write.also:
        from .transact import together  # only a model with guards needs it

        return together(session, write)
    return _transaction(session, write) if write.transact else _single(session, write)


def _single(session: Session, write: Write) -> Flow[Any]:
    """Send the write as its own verb."""
    plan, body, returns = write.plan, write.body, None
    if write.single is not None:
        returns = write.single.get("ReturnValues")
        body = body[:-1] + b"," + dumps(write.single)[1:]
    decode = _READERS[returns]
    op = Op(
        _OPERATIONS[write.kind],
        plan.table,
        body,
        lambda reply: decode(write, reply),
        write.safety,
        lambda fault, ambiguous, info: refused(write, fault.item, info, ambiguous=ambiguous),
        # Not a closure over the op: that would be a cycle for the collector with every write.
        session.resolver(lambda one, deadline: _settling(session, write, one, deadline, None)),
        write.token,
        plan.key_names,
    )
    if write.expects == "version":
        op.hurried = True
    return session.call(op)


def _settling(session: Session, write: Write, op: Op, deadline: float | None, sent_at: float | None) -> Flow[Outcome]:
    """Settle a write whose replies were lost; ``sent_at`` is when the token of a transaction was sent first."""
    from .settle import Limit, resend, resolve  # needed after a failure only

    limit = Limit(session, deadline)
    return resolve(session, write, op, limit) if sent_at is None else resend(session, write, op, sent_at, limit)


def _read_empty(write: Write, reply: bytes) -> Any:
    if reply != b"{}":
        expect_empty(reply)
    return applied(write, None)


def _read_old(write: Write, reply: bytes) -> Any:
    return applied(write, write.plan.codec.reading.attributes_json(reply))


def _read_new(write: Write, reply: bytes) -> Any:
    try:
        fresh = write.plan.codec.read_attributes(reply)
    except MalformedResponse:
        raise
    except DynamORMError as error:  # it does not fit the model, and is stored all the same
        error.outcome = Outcome.APPLIED
        raise
    if fresh is None:  # an update always leaves an item: this answer is not to what was asked
        raise MalformedResponse("the answer lacks the attributes that were asked for")
    assert write.shown is not None  # whoever asks for the new item
    return write.shown(fresh)


_READERS: Final = {None: _read_empty, "ALL_NEW": _read_new, "ALL_OLD": _read_old}
_OPERATIONS: Final = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem"}


def applied(write: Write, raw: bytes | None) -> Any:
    """The write is in the table: whatever fails now must not say that it is not."""
    try:
        return write.done(raw)
    except DynamORMError as error:
        error.outcome = Outcome.APPLIED
        raise


def _transaction(session: Session, write: Write) -> Flow[Any]:
    """Send the write as a one-item transaction: its token makes every attempt the same write."""
    plan = write.plan
    # A hex token of 16 bytes is within the 36 characters DynamoDB takes.
    body = (
        b'{"TransactItems":[{"' + write.kind.encode() + b'":' + write.body + b'}],"ClientRequestToken":"'
        + write.token.hex().encode() + b'"}'
    )  # fmt: skip
    op = Op(
        "TransactWriteItems",
        plan.table,
        body,
        expect_empty,
        Safety.RESEND,
        lambda fault, _, info: _cancelled(write, fault, info),
        token=write.token,
        key=plan.key_names,
    )
    # After that DynamoDB may have forgotten the token, and would apply the same request once more.
    op.timeout = TOKEN_LIFE if session.config.operation_timeout > TOKEN_LIFE else None
    started = session.channel.clock.monotonic()
    op.resolver = session.resolver(lambda one, deadline: _settling(session, write, one, deadline, started))
    yield from session.call(op)
    raw = None
    if write.refresh:
        try:
            raw = yield from session.call(read_back(plan, write.key))
        except GeneratorExit:
            raise
        except BaseException as error:  # a cancellation too: whoever catches it must know
            error.outcome = Outcome.APPLIED  # type: ignore[attr-defined] # a note for the caller
            error.add_note("The write was applied; only reading its result back failed.")
            raise
    return applied(write, raw)


def read_back(plan: Plan, key: bytes) -> Op:
    """The call that reads what is stored under a key."""
    return Op("GetItem", plan.table, plan.key_head + key + b',"ConsistentRead":true}', item_of)


def _cancelled(write: Write, fault: ServiceFault, info: dict[str, Any]) -> Any:
    """A one-item transaction was refused. Its token proves that no earlier attempt was applied."""
    if fault.code == "ConditionalCheckFailedException":
        return refused(write, fault.item, info, ambiguous=False)
    reasons = fault.cancellation
    if len(reasons) != 1 or reasons[0].code is None:
        # Not an answer about the one operation that was sent: nothing is laid at its door.
        told = [None if one.code is None else CancellationReason(one.code, one.message) for one in reasons]
        raise TransactionCancelled(fault.message, reasons=told, **info)
    reason = reasons[0]
    if reason.code == "ConditionalCheckFailed":
        return refused(write, reason.item, info, ambiguous=False)
    text = reason.message or fault.message
    raise (
        ValidationError(text, **info)
        if reason.code == "ValidationError"
        else ClientError(text, code=reason.code, **info)
    )


def refused(write: Write, raw: bytes | None, info: dict[str, Any], *, ambiguous: bool) -> Any:
    """The condition failed: either an earlier attempt of this very write was applied, or the condition does not hold."""
    outcome = settle(write, raw)
    if outcome is Outcome.APPLIED:
        return applied(write, None if write.kind == "Delete" else raw)
    if ambiguous and outcome is Outcome.UNKNOWN:
        return UNSETTLED
    raise refusal(write, raw, info)


def refusal(write: Write, raw: bytes | None, info: dict[str, Any]) -> DynamORMError:
    """The error for a write whose condition does not hold; ``raw`` is the JSON of what is stored, when it came."""
    if write.refused_as is not None:
        return write.refused_as(raw, info)
    codec = write.plan.codec
    name = codec.schema.name
    old = None if raw is None else (lambda: codec.decode(raw))
    if write.expects == "absent":
        return AlreadyExists(f"a {name} with this key exists already", old=old, **info)
    if raw is None:
        if write.expects:
            return MissingItem(f"no {name} is stored under this key", **info)
    elif codec.family is not None and not codec.family.owns(raw, untagged=write.expects == "version"):
        return codec.family.stranger(**info)
    elif write.expects == "version" and (found := codec.reading.version(raw)) != write.known_version:
        return VersionConflict(
            f"the {name} was changed since it was loaded: version {write.known_version} was expected, {found} is stored;"
            " load it again",
            old=old,
            **info,
        )
    return ConditionFailed(f"the condition does not hold for this {name}", old=old, **info)


def settle(write: Write, raw: bytes | None) -> Outcome:
    """What the stored item (``raw``, None when there is none) proves about this write."""
    codec = write.plan.codec
    if write.transact:
        return Outcome.NOT_APPLIED
    if raw is None:
        return Outcome.APPLIED if write.kind == "Delete" else Outcome.UNKNOWN
    if not write.plan.tokens:
        return Outcome.UNKNOWN
    ring, version = codec.ring(raw), codec.reading.version(raw)
    if write.expects == "absent":
        return created_by(write.token, version, ring)
    if write.expects == "version":
        known = -1 if write.known_version is None else write.known_version
        if version == write.known_version:
            # Nothing was written since, so it is a user's condition that failed; unless a put set the version back.
            return Outcome.NOT_APPLIED if ring == write.known_ring else Outcome.UNKNOWN
        return verdict(write.token, known, write.known_ring, version, ring)
    return Outcome.UNKNOWN
