"""Items that are written later, by a batcher: each is encoded now, and is sent in a request with others or alone.

What a BatchWriteItem can do without losing a guard goes with others. A write that a version, a condition or another write
protects is the verb's own (`save`, `put`, `delete`), of a copy of the object as it is now. It must not know when and in
which order they are sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import Context as Variables
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.keys import StoredKey
from dynamorm.codec.placing import place_item
from dynamorm.effects import Flow, Send, relayed
from dynamorm.errors import DynamORMError, InvalidUse, ModelError, Outcome, OutcomeUnknown, PluginError, ValidationError
from dynamorm.errors.log import logger
from dynamorm.models.schema.overriding import override
from dynamorm.models.schema.placed import NotReady
from dynamorm.models.schema.schema import AppendOnly, tags_of
from dynamorm.ops.calls.op import Op, Safety
from dynamorm.ops.reads.items import key_from_parts
from dynamorm.ops.requests import ModelRequests
from dynamorm.ops.writes.reading import Reads
from dynamorm.ops.writes.token_ring import TOKEN
from dynamorm.ops.writes.write import MustRead

from .batch_result import BatchResult
from .batch_send import FAILED, OVERHEAD, UNKNOWN, WRITTEN, Entry, Load
from .batch_write import NotInABatch, Share, account, put_entry, removal
from .delete import delete_write
from .put import put_write
from .save import save_write

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

    from .batch_proof import Proof

_SPOOL: Final = "a spool can tell after a crash what became of a write only by the token that it stores in the item"


class BatchItem(Entry):
    """One item of a batcher. ``result`` is what its future gives.

    ``verb`` is the verb that writes it alone, empty for one that goes with others. ``copy`` is the object as it was when it
    was added, for a verb of its own. ``token`` is stored with the item, where anything is. ``variables`` are the context
    variables of who added it. ``follows`` is the item of the same key that was added before. ``on_end`` is called once,
    when it has ended. ``doubt``: a copy of its request may still come late. ``sent``: another process had begun to send it.

    ``goes_on`` is, of an item of a spool, the token of the write of the same object that was added before it;
    ``after_delete``: that was a delete.
    """

    verb: str = ""
    copy: Any = None
    token: bytes = b""
    loaded: bytes | None = None
    variables: Variables | None = None
    follows: BatchItem | None = None
    goes_on: bytes = b""
    after_delete: bool = False
    on_end: Callable[[BatchItem], None] | None = None
    result: Any = None
    sent: bool = False

    @property
    def size(self) -> int:
        """Bytes that it adds to a request."""
        return len(self.content) + OVERHEAD

    @property
    def model(self) -> type[Any]:
        """The class it is of."""
        return self.plan.model

    @override
    def done(self) -> None:
        """It is written: bring the object up to date, and say so."""
        Entry.done(self)
        self.result = None if self.kind == "Delete" else self.item
        self.ended()

    def ended(self) -> None:
        """Say that it has ended; the second time nothing is said."""
        tell, self.on_end = self.on_end, None
        if tell is not None:
            tell(self)

    def end(self, error: DynamORMError) -> None:
        """It was not written, or nobody knows."""
        entry: Entry = self  # so that type checkers see no narrower type of its error here
        entry.state = FAILED if error.outcome is Outcome.NOT_APPLIED else UNKNOWN
        entry.error = error
        self.ended()


def put(context: Context, plans: dict[type, ModelRequests], obj: Any, *, proof: Proof | None) -> BatchItem:
    """The item of an object to store, as it is now. ``plans`` are those of models that a batch can write.

    ``proof``: what is stored must tell by it whether it is of this put.

    Raises: ValidationError for what cannot be stored; ModelError.
    """
    kind = type(obj)
    verb = "" if kind in plans else way_of_puts(context, plans, kind)
    if not verb:
        share = Share(context, 1, plans=plans, proven=proof is not None)
        try:
            item = put_entry(share, obj, BatchItem)
        except NotInABatch:
            verb = "put"
        else:
            plan = item.plan
            if proof is not None:
                check_proof(plan)
                item.token = plan.codec.ring(item.content)[:TOKEN]
                item.content = proof.marked(item.content, item.token, plan.table)
            item.loaded = plan.codec.loaded(obj)
            return item
    return _put_alone(context, obj, verb, proof=proof)


def way_of_puts(context: Context, plans: dict[type, ModelRequests], kind: type) -> str:
    """The verb that stores an object alone; empty, and its plan among ``plans``, where a batch keeps all guards."""
    plan = context.plan(kind)
    fields = plan.codec.schema.fields.values()
    if plan.version is not None or any(field.options and field.option(AppendOnly) for field in fields):
        return "save"
    if context.finishers:
        return "put"
    try:
        Share(context, 1, plans=plans).plan(kind)
    except ValidationError:
        return "put"
    return ""


def _put_alone(context: Context, obj: Any, verb: str, *, proof: Proof | None) -> BatchItem:
    plan = context.plan(type(obj))
    codec = plan.codec
    if proof is not None:
        check_proof(plan, alone=True)
        if codec.schema.hooks:
            raise ModelError(
                f"{_SPOOL}, and a {codec.schema.name} has hooks, which nobody asks then: use no spool_dir, or batch_write"
            )
    wire = codec.encode_whole(obj)
    copied = _copied(plan, obj)
    key = codec.key_of(copied)
    if codec.placed:
        place_item(codec, wire, key, context.scope)
    content = codec.item_bytes(wire)  # says what is wrong, whatever a rule waits for
    _tried(context, (lambda of: save_write(of, copied)) if verb == "save" else lambda of: put_write(of, copied, condition=None))  # fmt: skip
    item = BatchItem(obj, plan, "Put", key, content, (plan.table, key), verb=verb, copy=copied)
    item.loaded = codec.loaded(copied)
    if proof is not None:
        item.token = proof.token(context.random_bytes(2 * TOKEN), plan.table, item.key)
    return item


def delete(
    context: Context, subject: Any, key: tuple[Any, ...], parts: Mapping[str, Any], *, proof: Proof | None
) -> BatchItem:
    """The item of an object, or of a model and a key, to delete. Raises: ValidationError; ModelError."""
    by_key = isinstance(subject, type)
    if not by_key and (key or parts):
        raise InvalidUse("delete takes an object, or a model and its key")
    if by_key and not (key or parts):
        raise InvalidUse(f"delete({subject.__name__}) names no item: give its key, or the object")
    plan = context.plan(subject if by_key else type(subject))
    loaded = None if by_key else plan.codec.loaded(subject)
    alone = (
        plan.single_deletes
        or bool(context.finishers)
        or (loaded is not None and plan.version is not None)
        or (loaded is None and bool(tags_of(plan.codec.schema)))
    )
    if proof is not None:
        check_proof(plan, alone=alone)
    given: Any = subject
    if by_key:
        given = (subject, dict(parts)) if parts else (subject, *key)
    if not alone:
        try:
            item = removal(context, given, "delete", BatchItem)
        except NotInABatch:
            alone = True
        else:
            item.loaded = loaded
            return item
    json = plan.codec.key_json(key_from_parts(plan, key, dict(parts)) if parts else key) if by_key else plan.codec.key_of(subject)  # fmt: skip
    copied = None if by_key else _copied(plan, subject)
    item = BatchItem(given, plan, "Delete", json, json, (plan.table, json), verb="delete", copy=copied, loaded=loaded)
    what, rest = target_of(item)
    _tried(context, lambda of: delete_write(of, what, rest, {}, condition=None, must_exist=False))
    if proof is not None:
        item.token = proof.token(context.random_bytes(2 * TOKEN), plan.table, item.key)
    return item


def target_of(item: BatchItem) -> tuple[Any, tuple[Any, ...]]:
    """What the verb delete takes for an item: an object, or a model and a key."""
    if item.copy is not None:
        return item.copy, ()
    return item.plan.model, (StoredKey(item.key, item.plan.key_names),)


def check_proof(plan: ModelRequests, *, alone: bool = False) -> None:
    """Refuse what a spool could not settle after a crash. Raises: ModelError."""
    name = plan.codec.schema.name
    if not plan.tokens:
        raise ModelError(f"{_SPOOL}, and {name} stores none: leave write_tokens on, or use no spool_dir")
    for field in plan.codec.placed:
        if not field.hook.lasting:
            raise ModelError(
                f"{name}.{field.name} is {field.hook.reason}, and what a spool sends late may point to what is gone by then: use no spool_dir"
            )
    if alone and plan.version is None:
        raise ModelError(
            f"{_SPOOL}, and a {name} that has conditions or other writes stores one only with a version: declare version:"
            " Attr[int] = version(), or use no spool_dir"
        )


def _copied(plan: ModelRequests, obj: Any) -> Any:
    """The object as it is now, with its loaded state. Raises: ValidationError for one that cannot be copied."""
    try:
        return deepcopy(obj)
    except Exception as error:
        raise ValidationError(
            f"a {plan.codec.schema.name} is written alone, of a copy, and this one cannot be copied ({type(error).__name__})"
        ) from error


def _tried(context: Context, build: Callable[[Context], Any]) -> None:
    """Build a write and drop it, so that what is wrong is said now. What waits for stored items is found out later."""
    if context.rules_may_read:
        context = context.view(context.call)
        context.reads = Reads()
    with suppress(MustRead, NotReady):
        build(context)


def send(context: Context, items: Sequence[BatchItem]) -> Flow[BatchResult]:
    """Send items together, and bring each to its end."""
    some: list[Any] = list(items)
    yield from Load(context, 1).send(some)
    result = BatchResult()
    account(result, some, keep=True)
    return result


def alone(context: Context, item: BatchItem, verb: Callable[[Context], Flow[Any]]) -> Flow[None]:
    """Write one item by a verb of its own: ``verb`` gives its flow."""
    _follow(item)
    copied, codec = item.copy, item.plan.codec
    names = () if copied is None else tuple(field.name for field in codec.record.plans)
    before = [getattr(copied, name, None) for name in names]
    try:
        yield from verb(_doubting(context, item))
    except PluginError:  # behind a verb that ended well
        pass
    except DynamORMError as error:
        # A late copy of a write of a loaded version is refused; any other may be applied then.
        item.doubt |= isinstance(error, OutcomeUnknown) and (item.loaded is None or item.plan.version is None)
        item.end(error)
        return
    item.state = WRITTEN
    if copied is not None:
        try:
            now = {name: getattr(copied, name, None) for name in names}
            # The version, times, and what rules have set.
            codec.give(
                item.item, {name: now[name] for name, old in zip(names, before, strict=True) if now[name] is not old}
            )
            codec.mark(item.item, codec.loaded(copied))
        except Exception:  # what a setter of the object's own class raises: the item is written all the same
            logger.exception("the item was written, and its %s refused to be brought up to date", codec.schema.name)
    item.result = None if item.kind == "Delete" else item.item
    item.ended()


def _follow(item: BatchItem) -> None:
    """Let a write go on from the one before, where both are of one object: else it would refuse its own writer."""
    before, item.follows = item.follows, None
    if before is None or item.copy is None or before.state != WRITTEN or before.item is not item.item:
        return
    _go_on(item)


def catch_up(item: BatchItem) -> None:
    """The same for a write of the object that has ended in another thread while this item was encoded."""
    if item.verb and item.copy is not None and item.plan.codec.loaded(item.item) != item.loaded:
        _go_on(item)


def _go_on(item: BatchItem) -> None:
    codec, version = item.plan.codec, item.plan.version
    item.loaded = codec.loaded(item.item)
    codec.mark(item.copy, item.loaded)
    if version is not None:
        codec.give(item.copy, {version.name: getattr(item.item, version.name)})


def _doubting(context: Context, item: BatchItem) -> Context:
    """The context for the verb of an item, which notes when a copy of a request may come late and be applied then."""
    inner = context.call

    def call(op: Op) -> Flow[Any]:
        if op.safety is Safety.READ or op.settled_by_ring or op.parts:
            # It changes nothing, or its copy is refused: by the version and the tokens, or by its own token.
            return inner(op)
        return relayed(inner(op), partial(_sent, item))

    view = context.view(call)
    if item.token:
        view.random_bytes = _First(item.token, context.random_bytes)
    return view


def _sent(item: BatchItem, effect: Any) -> Flow[Any]:
    """The answer to an effect of a call, with a look at whether it was sent and not answered."""
    sending = lost = effect.__class__ is Send
    try:
        answer = yield effect
    except GeneratorExit:
        raise
    except BaseException as error:
        lost = sending and getattr(error, "sent", True)
        raise
    else:
        lost = sending and answer.status >= 500
        return answer
    finally:
        item.doubt |= lost


class _First:
    """Random bytes of which the first ones are a token that was drawn before; so are the first of each new beginning."""

    __slots__ = ("_left", "_then", "_token")

    def __init__(self, token: bytes, then: Callable[[int], bytes]) -> None:
        self._token = token
        self._then = then
        self.begin()

    def begin(self) -> None:
        """The verb is begun again: what it stores is known by the same token."""
        self._left = [self._token]

    def __call__(self, count: int) -> bytes:
        return self._left.pop()[:count] if self._left else self._then(count)
