"""A transaction while it is written down: what the faces gather in a ``with`` block, until it is sent at the end.

Every operation is built when its verb is called, by the builder of that verb. It must not know the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy, deepcopy
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from dynamorm.effects import Flow
from dynamorm.errors import DynamORMError, ValidationError
from dynamorm.models.schema.placed import NotReady
from dynamorm.ops.reads.items import key_from_parts
from dynamorm.ops.writes.finish import others
from dynamorm.ops.writes.pending import Pending, keep_others
from dynamorm.ops.writes.reading import Reads
from dynamorm.ops.writes.transaction import commit as send
from dynamorm.ops.writes.transaction_limits import check_token
from dynamorm.ops.writes.write import MustRead, Write
from dynamorm.wire.acting import acting, taken
from dynamorm.wire.redaction import without_locals

from .check import check_write
from .delete import delete_write
from .put import create_write, put_write
from .save import save_write
from .update import update_write

if TYPE_CHECKING:
    from dynamorm.models.expressions.path import Condition
    from dynamorm.ops.context import Context
    from dynamorm.ops.requests import ModelRequests


class OpenTransaction:
    """The operations of one transaction, from ``begin`` to ``end`` or ``drop``."""

    __slots__ = ("_context", "_open", "_started", "_token", "_writes", "acting", "hooked")

    def __init__(self, context: Context, token: str | None) -> None:
        self._context: Context = _gathering(context) if context.rules_may_read else context
        self._token = check_token(token)
        self._writes: list[Write | _Late | None] = []
        self._started = self._open = False
        self.hooked: tuple[_Hooked, ...] = ()  # those of its writes that begin with hooks
        self.acting: Callable[[Any], Any] | None = None  # lets a write be built by who has made the transaction

    def begin(self) -> None:
        """The block begins. Raises: ValidationError for a second one."""
        if self._started:
            raise ValidationError("a transaction is used for one block: call db.transaction() for each")
        self._started = self._open = True

    def end(self, context: Context) -> tuple[list[Write | None], str | None]:
        """The block has ended: its writes in order, and the caller's token. Raises: MustRead for what a rule must read."""
        self._open = False
        if context.reads is not None:
            return self._built(context, context.reads), self._token
        return self._writes, self._token  # type: ignore[return-value] # without reads none is late

    def _built(self, context: Context, reads: Reads) -> list[Write | None]:
        """The writes, each built as the rules of those before it leave what they have read."""
        reads.late = True
        reads.pending = pending = Pending()
        writes: list[Write | None] = []
        try:
            for late in self._writes:
                if not isinstance(late, _Late):
                    writes.append(late)
                    continue
                before = pending.copy()
                write = late.build(context)
                if write is not None:
                    for part in (write, *others(write)):
                        if part.forms is not None:
                            keep_others(reads, before, part)
                writes.append(write)
        finally:
            reads.pending = None
        reads.replaced = pending.replaced
        return writes

    def drop(self) -> None:
        """The block has ended, or failed: nothing is sent."""
        self._open = False

    def take(self, other: OpenTransaction) -> None:
        """Go on with the writes of another one, in their order."""
        self._writes += other._writes
        self.hooked += other.hooked

    def add(self, write: Write) -> None:
        """Go on with a write that no verb has made."""
        self._writes.append(write)

    def items(self) -> list[tuple[ModelRequests, str, bytes]]:
        """What it holds so far: of each write the requests of its model, its verb, and its key as JSON."""
        return [(write.plan, write.verb, write.key) for write in self._writes if write is not None]

    def models(self) -> set[type[Any]]:
        """The models of its writes."""
        return {write.plan.model for write in self._writes if write is not None}

    def create(self, obj: Any, label: str | None) -> None:
        """See `dynamorm.faces.operations.Operations`, here and below."""
        self._add("create", label, create_write, obj)

    def put(self, obj: Any, condition: Condition | None, label: str | None) -> None:
        """Replace."""
        self._add("put", label, put_write, obj, condition=condition)

    def save(self, obj: Any, label: str | None) -> None:
        """Create, or write what changed; without a change the operation keeps its place and sends nothing."""
        self._add("save", label, save_write, obj)

    def update(
        self,
        subject: Any,
        args: tuple[Any, ...],
        parts: dict[str, Any],
        condition: Condition | None,
        upsert: bool,
        allow: Any,
        label: str | None,
    ) -> None:
        """Change in place; an object is read back after the commit, an item given by its key is not."""
        self._add("update", label, update_write, subject, args, parts, condition=condition, upsert=upsert, allow=allow)

    def delete(
        self,
        subject: Any,
        key: tuple[Any, ...],
        parts: dict[str, Any],
        condition: Condition | None,
        must_exist: bool,
        label: str | None,
    ) -> None:
        """Remove."""
        self._add(
            "delete", label, delete_write, subject, key, parts, condition=condition, must_exist=must_exist
        )  # fmt: skip

    def check(
        self, subject: Any, args: tuple[Any, ...], parts: dict[str, Any], condition: Condition | None, label: str | None
    ) -> None:
        """Check without writing."""
        self._add("check", label, check_write, subject, args, parts, condition=condition)

    def _add(
        self, verb: str, label: str | None, build: Callable[..., Write | None], *args: Any, **options: Any
    ) -> None:
        write: Write | _Late | None
        if self.acting is not None:
            build = self.acting(build)
        try:
            write = build(self._context, *args, **options)
        except (MustRead, NotReady) as unread:
            if isinstance(unread, MustRead) and not unread.other:
                raise unread.told() from None
            write = _Late(self._context, self._by_who_acts(build), args, options)
        except DynamORMError as error:  # of no verb that ends, of which plugins are told
            without_locals(error)
            raise
        if not self._open:
            state = "its block has ended" if self._started else "its block has not begun"
            raise ValidationError(
                f"{verb} came to no transaction, for {state}: with db.transaction() as tx: tx.{verb}(...)"
            )
        if label is not None and not isinstance(label, str):
            raise ValidationError(f"a label is a text, not {type(label).__name__}", field="label")
        if write is not None:
            if write.hooked is not None:
                write = _Hooked(self._context, self._by_who_acts(build), args, options, write.hooked)
                self.hooked += (write,)
            write.verb, write.label = verb, label
            if write.by_key or write.forms is not None:
                _in_all_forms(write)
        self._writes.append(write)

    def _by_who_acts(self, build: Callable[..., Write | None]) -> Callable[..., Write | None]:
        """A builder that is called later, as who calls the verb now."""
        return acting(block, build) if self.acting is None and (block := taken()) is not None else build


def joined(context: Context, transactions: Sequence[OpenTransaction], write: Write) -> OpenTransaction:
    """The writes of several blocks that have ended, and one more behind them, as one transaction."""
    whole = OpenTransaction(context, None)
    for transaction in transactions:
        whole.take(transaction)
    whole.add(write)
    return whole


def _in_all_forms(write: Any) -> None:
    """Let a write keep its names in each of its forms; and what is shown to nobody is not read back."""
    write.also(partial(_named, write.verb, write.label))
    if write.by_key:
        write.without_result()


def _named(verb: str, label: str | None, write: Write) -> None:
    write.verb, write.label = verb, label


def _gathering(context: Context) -> Context:
    """The same context for writes that are gathered: where a rule must read, the write is built at the end."""
    other = copy(context)
    other.reads = Reads(late=True)
    return other


class _Late:
    """A write that is built when the block has ended, of the values that its object has now: a rule must read for it."""

    __slots__ = ("_args", "_build", "_options", "_values", "label", "plan", "verb")

    by_key: Final = False
    forms: Final = None
    hooked: Final = None
    """As of a `Write` that is of one form: what it is will be known when it is built."""

    def __init__(
        self, context: Context, build: Callable[..., Write | None], args: tuple[Any, ...], options: dict[str, Any]
    ) -> None:
        self._build = build
        self.plan: ModelRequests = context.plan(args[0] if isinstance(args[0], type) else type(args[0]))
        self._values: dict[str, Any] = {} if isinstance(args[0], type) else _values_of(context, args[0])
        self._args = args
        self._options = options
        self.verb: str = ""
        self.label: str | None = None

    @property
    def key(self) -> bytes:
        """The key of its item as JSON, which the arguments tell."""
        subject, *rest = self._args
        codec = self.plan.codec
        if not isinstance(subject, type):
            return codec.key_of(subject)
        key, parts = rest[0][: len(self.plan.key_names)], rest[1]
        return codec.key_json(key_from_parts(self.plan, key, parts) if parts else key)

    def build(self, context: Context) -> Write | None:
        """The write. Raises: MustRead."""
        obj = self._args[0]
        now = {name: getattr(obj, name) for name in self._values}
        codec = self.plan.codec
        codec.give(obj, self._values)
        try:
            write = self._build(context, *self._args, **self._options)
        finally:
            codec.give(obj, now)
        if write is not None:
            write.verb, write.label = self.verb, self.label
            if write.by_key or write.forms is not None:
                _in_all_forms(write)
        return write


class _Hooked(_Late):
    """A write that is built behind the hooks of its object: of the values that this had when the verb was called, and as they leave them."""

    __slots__ = ("_begun", "obj", "rule")

    def __init__(
        self,
        context: Context,
        build: Callable[..., Write | None],
        args: tuple[Any, ...],
        options: dict[str, Any],
        rule: Any,
    ) -> None:
        super().__init__(context, build, args, options)
        self.rule = rule
        self.obj: Any = args[0]
        self._begun = False

    def begin(self, asked: Callable[..., Flow[None]]) -> Flow[None]:
        """Let the hooks before it be asked, once."""
        if self._begun:
            return
        obj, given = self.obj, self._values
        now = {name: getattr(obj, name) for name in given}
        give = self.plan.codec.give
        give(obj, given)
        before = deepcopy(given)
        try:
            yield from asked(self.rule.of(self.verb, "before"), obj, self.verb)
            self._values = {name: getattr(obj, name) for name in given}
            self._begun = True
        finally:
            # What was changed since the verb was called is the caller's own.
            give(obj, {name: value for name, value in now.items() if value != before[name] or not self._begun})
        self._values = deepcopy(self._values)


def _values_of(context: Context, obj: Any) -> dict[str, Any]:
    """The values of an object, which may be changed before it is written."""
    plans = context.plan(type(obj)).codec.record.plans
    return deepcopy({plan.name: getattr(obj, plan.name) for plan in plans if hasattr(obj, plan.name)})


def commit(context: Context, transaction: OpenTransaction) -> Flow[Any]:
    """Send all that a transaction holds at once: its block has ended."""
    if transaction.hooked:
        # By name: only where a model has hooks.
        flow: Flow[Any] = import_module("dynamorm.ops.verbs.hooked").commit(context, transaction)
        return flow
    writes, token = transaction.end(context)
    return send(context, writes, token=token)
