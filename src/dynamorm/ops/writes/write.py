"""One write, described so that it can be sent alone or inside a transaction, and settled after a lost reply.

Classes of safety: I (applying twice is the same as once: sent again), C (guarded by a version or by absence, settled
through the token ring), N (neither: sent as a one-item transaction with a client request token). It must not know
how requests are signed or retried.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from dynamorm.codec.address import is_of
from dynamorm.codec.library_attributes import is_guard_key, item_of
from dynamorm.codec.strict import read_object
from dynamorm.effects import Flow
from dynamorm.errors import (
    AlreadyExists,
    ConditionFailed,
    DynamORMError,
    MissingItem,
    Outcome,
    ValidationError,
    VersionConflict,
)
from dynamorm.models.schema.overriding import override
from dynamorm.models.schema.placed import NotReady
from dynamorm.ops.calls.op import UNBELIEVABLE, UNSETTLED, Op, Safety
from dynamorm.ops.requests import ModelRequests
from dynamorm.wire.clock import LATEST_COPY

from .token_ring import TOKEN, tokens, verdict
from .tokened import spending

if TYPE_CHECKING:
    from dynamorm.codec.codec import ModelCodec
    from dynamorm.ops.context import Context

    from .forms import Forms

LATEST: Final = timedelta(seconds=LATEST_COPY)


class Write(Struct, eq=False):
    """A single write.

    ``kind`` is ``Put``, ``Update`` or ``Delete``; ``body`` the request as a transaction takes it. ``done(raw)`` is called once
    it is certain that the write was applied, with the JSON of the stored item when that is known, and gives the verb's
    result; ``on_item(fresh)`` is called instead, if there is one, when the answer showed the item, with an object made of
    it. ``returns`` says which item the result is made of: the ``old`` one, the ``new`` one, which is read back after a
    transaction, or none. ``by_key``: the result is all that is made of that item; there is no object to bring up to date.
    ``expects`` says what the condition demands: ``absent``, ``version``, ``exists`` or nothing. ``together_with`` holds writes
    that must be applied together with this one: with any, it is sent as a transaction. ``label`` is the caller's name
    for it in a transaction's report, ``verb`` the verb that made it, ``added_by`` who added it to the caller's writes. ``refused_as(raw, info)`` makes the error for a
    failed condition, from the JSON of the stored item when it came; None: the error of the verb. ``forms`` says
    how an update that depends on what is stored is built in another form (see `dynamorm.ops.writes.forms`).

    ``checked``: there is a condition beside the library's own, on the version and the tokens.
    ``may_be_absent``: it succeeds where nothing is stored.
    ``traceless``: it stores no token, so what is stored does not tell whether it was this write that stored it.
    ``ruled`` are the values that rules have set, by the names of their fields; ``instead_of`` is the verb whose write this
    one is instead of, by a rule; ``demanded`` holds, for each
    condition that a rule has added, the name of that rule, which is empty for the library's own.
    ``seen`` is the item as it was read or loaded before, and ``changed`` what the write stores anew of it, by stored name: where
    something is foreseen for its answer; ``foreseen``: that was done.
    ``late``: it stands for a write that is made when it is sent, by this flow, which gives the verb's result; ``hooked`` is the rule of the
    hooks that it asks before.
    ``if_unchanged`` says that the condition holds only while what was pinned is stored as it was read.

    In a transaction (`dynamorm.ops.writes.transaction`) there is a fourth ``kind``, ``ConditionCheck``, and ``safety`` and
    ``transact`` have no meaning.
    """

    plan: ModelRequests
    kind: str
    key: bytes
    body: bytes
    done: Callable[[bytes | None], Any]
    token: bytes
    on_item: Callable[[Any], Any] | None = None
    returns: str = ""
    by_key: bool = False
    safety: Safety = Safety.RESEND
    transact: bool = False
    expects: str = ""
    known_version: int | None = None
    known_ring: bytes = b""
    together_with: tuple[Write, ...] = ()
    label: str | None = None
    if_unchanged: bool = False
    traceless: bool = False
    checked: bool = False
    may_be_absent: bool = False
    verb: str = ""
    added_by: str = ""
    forms: Forms | None = None
    ruled: Mapping[str, Any] | None = None
    instead_of: str = ""
    demanded: tuple[str, ...] = ()
    seen: bytes | None = None
    changed: Collection[str] = ()
    foreseen: bool = False
    late: Callable[[Context], Flow[Any]] | None = None
    hooked: Any = None
    refused_as: Callable[[bytes | None, dict[str, Any]], DynamORMError] | None = None

    @override
    def __repr__(self) -> str:
        return f"<Write {self.kind} to {self.plan.table}>"  # what it writes is nobody's business

    def also(self, change: Callable[[Write], Any]) -> Write:
        """Change the write, and what is built in its place when it needs another form (see ``forms``). Returns it."""
        change(self)
        if self.forms is not None:
            self.forms.build = partial(_built_also, self.forms.build, change)
        return self

    def as_transaction(self) -> Write:
        """The same write, sent as a transaction whose token makes every attempt the same one."""
        return self.also(_as_transaction)

    def without_result(self) -> Write:
        """The same write, whose verb gives nothing: where an item is asked for only to be returned, it is not."""
        return self.also(_without_result)


def _built_also(build: Callable[..., Write], change: Callable[[Write], Any], **states: Any) -> Write:
    return build(**states).also(change)


def _as_transaction(write: Write) -> None:
    write.transact, write.safety = True, Safety.RESEND


def _without_result(write: Write) -> None:
    if write.by_key:
        write.returns, write.done, write.on_item = "", _nothing, None
        return
    done, shown = write.done, write.on_item
    write.done = lambda raw: _nothing(done(raw))
    write.on_item = None if shown is None else lambda fresh: _nothing(shown(fresh))


def _nothing(_: Any) -> None:
    """The result of what gives none."""


NOT_READ: Any = object()
"""Stands for what is stored under a key, where nobody has looked yet."""


class MustRead(ValidationError):
    """A write cannot be built before what is stored under its key has been read. ``plan`` and ``under`` say where.

    ``other``: it is another item, which a rule has asked for.
    """

    def __init__(self, plan: ModelRequests, key: bytes, *, other: bool = False) -> None:
        super().__init__(
            f"what is stored must be known to write a {plan.codec.schema.name} by key, for it has"
            f" {'unique attributes' if plan.uniques else 'a rule that relies on it'}: in a transaction, load the object and"
            " pass it"
            if plan.needs_stored or other
            else f"a rule of {plan.codec.schema.name} asks for draft.stored_item(), and does not say that it will, so that nobody"
            " has read it: write needs_stored = True in its class"
        )
        self.plan = plan
        self.under = key
        self.other: bool = other

    def told(self) -> ValidationError:
        """The error for the caller, where nobody reads it."""
        return ValidationError(self.message)


class MustFetch(NotReady):
    """A write cannot be built before a flow has been run, which a rule needs the result of."""

    def __init__(self, name: str, flow: Callable[[], Flow[Any]], place: Any) -> None:
        super().__init__(name, flow)
        self.message: str = f"a rule waits for {name}, which nobody fetches here"
        self.place: Any = place


def applied(write: Write, raw: bytes | None) -> Any:
    """Bring the object up to date, and give the verb's result: the write is in the table."""
    try:
        return write.done(raw)
    except BaseException as error:  # what a setter of the object's own class raises, and an interruption too
        after(error)
        raise


def after(error: BaseException, failed: str = "making its result") -> None:
    """Say that the write was applied before this error: whatever fails then must not say that it was not."""
    if getattr(error, "outcome", None) is not Outcome.APPLIED:
        error.outcome = Outcome.APPLIED  # type: ignore[attr-defined] # a note for the caller
        if isinstance(error, DynamORMError):
            error.retryable = False  # the write would be made a second time
        error.add_note(f"The write was applied; only {failed} failed.")


def spending_on(write: Write, token: str) -> Flow[Op]:
    """The call that spends a token, by a check of the item that the write is about."""
    return spending(write.plan.table, write.key, write.plan.key_names, token)
    yield  # it needs no request to be made


def read_back(
    plan: ModelRequests, key: bytes, end: float | None = None, *, purpose: str = "settle", decoded: bool = True
) -> Op:
    """The call that reads what is stored under a key, until the monotonic time ``end``. ``decoded``: an object is made of it."""
    op = Op("GetItem", plan.table, plan.key_head + key + b',"ConsistentRead":true}', partial(item_of, key=key))
    op.end = end
    op.prepare = plan.prepare if decoded else None
    op.purpose = purpose
    return op


def refused(context: Context, write: Write, raw: bytes | None, info: dict[str, Any], *, ambiguous: bool) -> Any:
    """The condition failed: an earlier attempt of this very write was applied, or the condition does not hold."""
    if not believable(write, raw):
        return UNBELIEVABLE
    if write.kind == "Delete":
        raw = as_shown(write.plan, raw)
        if raw is None and write.may_be_absent:
            return applied(write, None)  # one that counts as not there is left alone, as where there is none
    outcome = settle(write, raw)
    if outcome is Outcome.APPLIED:
        if raw is not None and write.returns == "old":
            return UNSETTLED  # what was stored before is lost: no result can be given
        return applied(write, None if write.kind == "Delete" else raw)
    if not ambiguous or outcome is Outcome.NOT_APPLIED:
        raise refusal(write, raw, info)
    if write.expects == "absent" or is_untouched(write, raw):
        raise may_come_late(context, refusal(write, raw, info))
    return UNSETTLED


def may_come_late(context: Context, error: DynamORMError) -> DynamORMError:
    """The refusal of a write, when an earlier attempt of it may still be on its way and be applied when it arrives."""
    error.outcome = Outcome.UNKNOWN
    error.settled_by = context.now() + LATEST
    return error


Tell = Callable[[bytes | None, dict[str, Any], Callable[[], DynamORMError]], DynamORMError]
"""``tell(raw, info, earlier)`` makes the error for a refused write; ``earlier()`` is the one that there was without it."""


def explain_refusal(write: Write, tell: Tell) -> None:
    """Let ``tell`` make the error of the write when it is refused; of several, the last one is asked first."""
    before = write.refused_as or partial(_plain_refusal, write)
    write.refused_as = lambda raw, info: tell(raw, info, lambda: before(raw, info))


def refusal(write: Write, raw: bytes | None, info: dict[str, Any]) -> DynamORMError:
    """The error for a write whose condition does not hold; ``raw`` is the JSON of what is stored, when it came."""
    absent = write.plan.codec.absent
    if raw is not None and absent is not None and _is_item(write) and absent(raw):
        if write.kind == "Put":  # its key is taken all the same
            return AlreadyExists(f"a {write.plan.codec.schema.name} with this key exists already", **info)
        if write.may_be_absent or (write.kind == "Update" and not write.expects):
            return MissingItem(f"no {write.plan.codec.schema.name} is stored under this key", **info)
        raw = None
    return _plain_refusal(write, raw, info) if write.refused_as is None else write.refused_as(raw, info)


def as_shown(plan: ModelRequests, raw: bytes | None) -> bytes | None:
    """A stored item that a write is made of; None for one that counts as not there, of which nothing may be told."""
    absent = plan.codec.absent
    return None if raw is None or (absent is not None and absent(raw)) else raw


def _is_item(write: Write) -> bool:
    """Whether a write is of an item of the model, and not of a guard that is kept beside its items."""
    return not is_guard_key(read_object(write.key).get(write.plan.key_names[0]))


def _plain_refusal(write: Write, raw: bytes | None, info: dict[str, Any]) -> DynamORMError:
    """The error of the verb, of a write that nothing else explains."""
    codec = write.plan.codec
    name = codec.schema.name
    old = None  # of another class it is nothing that this one can show
    if raw is not None and (codec.family is None or codec.family.owns(raw, untagged=True)):
        old = partial(codec.decode_shown, raw)
    if write.expects == "absent":
        return AlreadyExists(f"a {name} with this key exists already", old=old, **info)
    if raw is None:
        if write.expects:
            # The caller knew a version, so another writer has deleted the item since.
            codes = ("ErrVersionConflict",) if write.expects == "version" and write.known_version is not None else ()
            return MissingItem(f"no {name} is stored under this key", codes=codes, **info)
    elif codec.family is not None and not codec.family.owns(raw, untagged=write.expects == "version"):
        return codec.family.stranger(**info)
    elif write.expects == "version" and (stored_version := codec.reading.version(raw)) != write.known_version:
        stored_text = f"{stored_version} is stored" if is_shown(codec, raw) else "another one is stored"
        return VersionConflict(
            f"the {name} was changed since it was loaded: version {write.known_version} was expected, {stored_text};"
            " load it again",
            old=old,
            **info,
        )
    by_rules = ", ".join(dict.fromkeys(rule for rule in write.demanded if rule))
    asked = f"; the rule {by_rules} has added to it" if by_rules else ""
    return ConditionFailed(f"the condition does not hold for this {name}{asked}", old=old, **info)


def is_shown(codec: ModelCodec, raw: bytes) -> bool:
    """Whether the rules for what is read give a stored item to the caller; what they refuse is not given either."""
    if codec.keeps is None:
        return True
    try:
        return bool(codec.reading.keeps(raw, read_object(raw)))  # type: ignore[attr-defined] # a reading with rules
    except Exception:  # noqa: BLE001 - a refusal of another write is told; what the rule says of this item is not its error
        return False


def believable(write: Write, raw: bytes | None) -> bool:
    """Whether a failed condition that came with this item (None: with none) can be about the write at all."""
    if raw is None:
        return write.expects != "absent"
    return is_of(raw, write.key, write.plan.starts) and (write.checked or not is_untouched(write, raw))


def is_untouched(write: Write, raw: bytes | None) -> bool:
    """Whether the item is still as a versioned write was made for: its version and its tokens are those loaded."""
    if write.expects != "version" or raw is None:
        return False
    codec = write.plan.codec
    return codec.reading.version(raw) == write.known_version and (
        not write.plan.tokens or codec.ring(raw) == write.known_ring
    )


def settle(write: Write, raw: bytes | None) -> Outcome:
    """What the stored item (``raw``, None when there is none) proves about this write."""
    if raw is None:
        return Outcome.APPLIED if write.kind == "Delete" else Outcome.UNKNOWN
    if not write.plan.tokens:
        return Outcome.UNKNOWN
    codec = write.plan.codec
    stored = codec.ring(raw)
    if write.token[:TOKEN] in tokens(stored):
        return Outcome.APPLIED
    if write.expects != "version" or write.kind == "ConditionCheck":
        return Outcome.UNKNOWN
    known_version = write.known_version or 0  # none counts as 0, as in the next version
    return verdict(write.token, known_version, write.known_ring, codec.reading.version(raw), stored)
