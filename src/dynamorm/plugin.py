"""What a plugin is: the moments at which it may join, and what it is given there. No behaviour of verbs lives here.

A plugin is an object with a ``name`` and any of these members, each looked up once, when it is registered
(``db.use(plugin)``): a moment that no plugin has costs nothing.

| member | what it does |
|---|---|
| ``pre_query``, ``post_query``, ``on_error`` | look at each verb; see `Plugin` |
| ``operation(next)`` | wraps each verb as a flow; see `VerbHook` |
| ``write_rule(schema)`` | gives a `WriteRule` for the writes of a model, or None |
| ``read_rule(schema)`` | gives a `ReadRule` for what is read of a model, or None |
| ``scope_rule(schema, scope)`` | gives a `ScopeRule` for the keys and objects of a model in a view, or None; raises to refuse the model there |
| ``viewed(before, scope)`` | a view is made: gives the entries of its scope to go on with, or None for those that were given; raises to refuse it |
| ``scope_of(scope)`` | is asked with each verb that is called: gives entries that its scope has besides, or None; raises to refuse it. Where the plugin has ``scope_peek``, a function without arguments such as `Blocks.peek`, it is asked only when that does not give None |
| ``credentials_of(scope)`` | gives the function that gives the `Credentials` with which all requests of a view with this scope are signed, plain or a coroutine function, the same object each time; or None for those of the database |
| ``administered(what, scope)`` | raises where a database, or a view with this scope, may not do what is of whole tables: ``"tables"``, ``"stream"``, ``"partiql"``, ``"partiql_text"`` (of a statement that names its table), ``"repair_unique"`` |
| ``reads_nothing`` | True: its rules of writes read no other items and fetch nothing, so that no verb is prepared for that |
| ``finish(transaction)`` | adds writes to each transaction as a whole, once; see `dynamorm.ops.writes.finish.TransactionDraft` |
| ``statement(table, text, values)`` | raises to refuse a PartiQL statement that writes, whatever table it names; ``values`` are its parameters as they are sent |
| ``field(schema, field)`` | wraps the stored form of a field; see `FieldHook`. ``options`` are the field options it claims |
| ``model(schema)`` | changes what is generated for a model; see `ModelHook` |
| ``companions(schema)`` | gives the models whose tables a model needs besides its own: ``db.tables.ensure`` makes these, too |
| ``around(call)`` | wraps each request with its retries; see `AroundHook` |
| ``admit(call)``, ``observed(call, reply, error)`` | look at each attempt; see `AttemptHook` |
| ``retried(call, error)`` | an attempt has failed by this error, and another one begins now |
| ``observe(call, reply)`` | looks at each complete reply; see `ObserveHook` |
| ``began(operation)``, ``ended(operation, error)`` | look at the beginning and the end of each verb; see `EndHook` |
| ``call_began(call)``, ``call_ended(call, error)`` | look at each request with its retries; see `CallEndHook` |
| ``gauges()`` | numbers by name, which ``db.gauges()`` shows with those of the database; see `Greatest` |
| ``explained(request, config)`` | says something of a request that `explain` shows, in one line, or None |
| ``return_consumed_capacity`` | ``"TOTAL"`` or ``"INDEXES"``: each request asks what it costs; see `consumed` |
| ``asks_actor`` | True: it asks who acts (`current_actor`), so that what is made in a `dynamorm.actor` (a query, a transaction, a coroutine) is done by that one, wherever it is done |
| ``shows_verbs`` | True: calls tell their verb (`Call.operation`) where no plugin looks at verbs, too |
| ``joined(db)`` | is asked while it is registered: what it raises refuses the database, whose ``config`` it may read; it may register others |
| ``opened(db)``, ``closed(db)`` | a ``with`` block or the first verb of a database begins; it is closed, or refused a later plugin: told where it was opened, or had ``joined`` |
| ``forked()`` | is called in the child after `os.fork`, for what the two processes cannot share |

A plugin that has only ``observed``, ``retried``, ``observe``, ``began``, ``ended``, ``call_began``, ``call_ended``, ``gauges``,
``explained``, ``joined``, ``opened``, ``closed``, ``forked``, ``return_consumed_capacity``, ``asks_actor``
and ``shows_verbs`` changes nothing: it may be registered at any time, and sees what begins after that, in the views that were made before, too. One that asks what requests cost, and comes after
the first call, asks of no request with a token: that stands for the request as it was sent before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, Protocol, TypeAlias

from msgspec import Struct
from msgspec.json import decode, encode

from .effects import Acquire, Hedge
from .errors import InvalidUse
from .models.schema.placed import (
    OF_TENANTS,
    NotReady,
    PlacedField,
    PlacedItem,
    Unread,
    former_tenant_prefix,
    framed_key,
    key_part,
    system_part,
    tenant_prefix,
)
from .models.schema.rules import KnownQuery, KnownText, ReadRule, ScopeRule, WriteRule
from .models.schema.schema import RuledOption, SplitValue, TypeCodec, family_of
from .wire.acting import Actor, current_actor
from .wire.blocks import Block, Blocks
from .wire.clock import LATEST_COPY
from .wire.consumed import ConsumedCapacity, consumed_of
from .wire.deadlines import remaining
from .wire.limiter import Limiter, Permit
from .wire.outcomes import class_of, name_of_refusal
from .wire.partitions import Partitions
from .wire.redaction import redacted, without_literals, without_locals
from .wire.reply import ServiceFault, parse_error

if TYPE_CHECKING:
    from contextvars import Context

    from dynamorm.faces.surrounded import Beginning
    from dynamorm.models.schema.schema import Field, Schema
    from dynamorm.ops.requests import ModelRequests

    from .effects import Flow, Reply
    from .wire.channel import Server

__all__ = [
    "HOOKS",
    "LATEST_COPY",
    "OF_TENANTS",
    "VERBS",
    "Acquire",
    "Actor",
    "AroundHook",
    "AttemptHook",
    "Block",
    "Blocks",
    "Call",
    "CallEndHook",
    "CallFlow",
    "EndHook",
    "FieldCodec",
    "FieldHook",
    "Greatest",
    "Hedge",
    "Item",
    "KnownQuery",
    "KnownText",
    "Limiter",
    "ModelHook",
    "NotReady",
    "ObserveHook",
    "OfOneProcess",
    "Operation",
    "Permit",
    "PlacedField",
    "PlacedItem",
    "Plugin",
    "PluginContext",
    "ReadRule",
    "RuledOption",
    "ScopeRule",
    "SplitValue",
    "TypeCodec",
    "Unread",
    "VerbFlow",
    "VerbHook",
    "WriteRule",
    "attempt_class",
    "consumed",
    "current_actor",
    "family_of",
    "former_tenant_prefix",
    "framed_key",
    "key_part",
    "partitions",
    "refusal",
    "remaining",
    "service_error",
    "system_part",
    "tenant_prefix",
    "without_locals",
    "without_values",
]

FieldCodec: TypeAlias = tuple[Callable[[Any], Any], Callable[[Any], Any]]
"""(encode, decode) around one field's stored form."""


class Item(Struct, frozen=True, eq=False):
    """One item that a verb is about: its ``model``, the requests of that (``plan``), what is done with it, and its ``key``.

    ``verb`` is that of the item: ``"create"``, ``"put"``, ``"save"``, ``"update"``, ``"delete"`` or ``"check"`` within a
    transaction, ``"put"`` or ``"delete"`` within a batch, ``"get"`` where many are read; else that of the operation.
    """

    model: type[Any]
    plan: ModelRequests
    verb: str
    key: tuple[Any, ...]

    def __repr__(self) -> str:
        return f"<Item {self.verb} {self.model.__name__}>"  # a key is a value


class Operation(Struct, eq=False, frozen=True):  # made for each verb: a struct is made in half the time of a class
    """One verb on its way, as plugins see it: it can be read, and not changed.

    ``verb`` is the name of the method (``"get"``, ``"create"``, ``"all"``; an upsert is ``"update"``). ``model`` is its
    class; of a verb about many items that of all of them, None where they differ. ``index`` and ``limit`` are those of a query. ``scope`` is that of the view it was
    called on. ``started`` is the monotonic time at which it began, in seconds, and ``took`` the seconds that it took, None
    before its end (see `EndHook`). ``page`` counts the pages of an iteration from 0; None for what is no iteration.
    ``contexts`` are those of the callers (`contextvars.Context`) whose work was put off and is done now, one for each item
    of a batcher's request; empty for a verb that is called. ``notes`` are those that plugins take of it, each under a key of its own
    (``operation.notes[self] = span``); they last as long as anything can ask about the verb, so that what settles it later finds them.
    """

    verb: str
    model: type[Any] | None
    table: str | None
    scope: Mapping[str, str]
    started: float
    _key: Callable[[], tuple[Any, ...] | None]
    index: str | None = None
    limit: int | None = None
    page: int | None = None
    took: float | None = None
    _begin: Beginning | None = None
    contexts: tuple[Context, ...] = ()
    _items: Callable[[], tuple[Item, ...]] | None = None  # of a verb about many
    notes: dict[Any, Any] = {}  # each has its own: see msgspec.Struct

    @property
    def key(self) -> tuple[Any, ...] | None:
        """The values of the key, partition first; None where the verb is not about one item."""
        return self._key()

    @property
    def items(self) -> tuple[Item, ...]:
        """The items that the verb is about, found when somebody asks.

        Empty for a query, for what is read of a stream of objects (a batch_write of an iterator), and for PartiQL.

        Example: ``[(item.verb, item.model) for item in operation.items]``
        """
        if self._items is not None:
            return self._items()
        key = self._key()
        if key is None or self.model is None or self._begin is None:
            return ()
        return (Item(self.model, self._begin.session.plan(self.model), self.verb, key),)

    def __repr__(self) -> str:
        name = "" if self.model is None else f" {self.model.__name__}"
        return f"<Operation {self.verb}{name}>"  # a key is a value, and so nobody's business

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("verb", self.verb), ("model", self.model)]


class PluginContext(Struct, eq=False, frozen=True):
    """What a hook of `Plugin` is told besides the verb: ``verb``, ``model``, ``table``, ``scope``, ``started``; read-only."""

    verb: str
    model: type[Any] | None
    table: str | None
    scope: Mapping[str, str]
    started: float


class OfOneProcess:
    """The base of a plugin that holds what belongs to one process, such as locks: pickling it says what to do instead.

    ``unpicklable_for`` and ``unpicklable_instead`` are the two parts of that sentence; ``{name}`` is the class.

    Example: ``class Outbox(OfOneProcess): ...``
    """

    unpicklable_for: ClassVar[str] = "holds what belongs to this process"
    unpicklable_instead: ClassVar[str] = "make a {name} with the same arguments on the other side"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        name = type(self).__name__
        article = "an" if name[0] in "AEIOU" else "a"
        raise InvalidUse(
            f"{article} {name} {self.unpicklable_for}, so it can be neither pickled nor copied:"
            f" {self.unpicklable_instead.format(name=name)}"
        )


VERBS: Final = (
    "create", "put", "save", "update", "delete", "increment", "get", "require", "exists", "find_by_unique", "first", "one",
    "all", "count", "page", "iterate", "pages", "sum", "average", "min", "max", "group_by", "collect", "delete_all", "batch_get",
    "batch_write", "transact_get", "transaction", "partiql", "partiql_transaction",
)  # fmt: skip
"""The verbs that plugins are told of (`Operation.verb`)."""


class Greatest(float):
    """A number of ``gauges()`` that is no part of a sum: of several databases the greatest is shown, where others are added up.

    Example: ``return {"breaker_state": Greatest(2)}``
    """

    __slots__ = ()


HOOKS: Final = ("pre_query", "post_query", "on_error")
"""The hooks of `Plugin`: before a verb, after its result, after its failure."""


class Plugin:
    """The simple way to join each verb: subclass it, override what matters, and register it by ``db.use(plugin)``.

    The hooks may be plain functions or coroutines, on either face. Of each verb ``pre_query`` sees the beginning, and
    exactly one of the others the end; `on_error` also of one that was cancelled or interrupted. What ``pre_query`` raises refuses the verb: nothing was sent. A failure of the
    others never changes the result: it is logged, at most once a minute; or raised as `PluginError` behind it where the
    plugin is registered with ``on_error="raise_after"``.

    ``ctx`` is a `PluginContext`, ``query`` the `Operation`, ``result`` what the caller gets.

    Example::

        class Slow(Plugin):
            def post_query(self, ctx, query, result):
                if time.monotonic() - ctx.started > 1:
                    print("slow:", ctx.verb, ctx.table)


        db.use(Slow())
    """

    name: str = ""
    """What the plugin is called; two of one name are refused. Empty: the name of its class."""

    def pre_query(self, ctx: PluginContext, query: Operation) -> Any:
        """Before a verb."""

    def post_query(self, ctx: PluginContext, query: Operation, result: Any) -> Any:
        """After a verb that gave a result."""

    def on_error(self, ctx: PluginContext, query: Operation, error: BaseException) -> Any:
        """After a verb that failed."""


class Call(Protocol):
    """The public view of one call to DynamoDB: ``name`` (``"PutItem"``), ``table``, and the request ``body``.

    ``table`` has the names of all tables where there are several, with ``", "`` between them, and ``"-"`` where there is none.
    ``server`` is where it goes, from its first attempt on: a `dynamorm.wire.channel.Server` with ``address``, ``port`` and
    ``region``; None before.

    ``purpose`` is why it is made: ``"verb"`` (it does what a verb was asked to do), ``"settle"`` (it finds out what became
    of a write, spends a token, or reads a write's result back), ``"guard"`` (it reads what a write relies on, or the guard of
    a unique attribute), ``"internal"`` (tables, streams with their checkpoints, leases, repairs).

    ``operation`` is the verb above it, also of what settles it later. It is None for what is no verb of items, and on a
    database without a plugin that looks at verbs or says ``shows_verbs = True``.
    """

    name: str
    table: str
    body: bytes
    server: Server | None

    def with_wire(self) -> Call:
        """The same call, which gives a pair: the JSON of the service's answer, and the result.

        For reads alone. Raises: InvalidUse for a write.

        Example: ``answer, result = yield from call(op.with_wire())``
        """
        ...

    def consistent(self) -> Call:
        """The same read with ``ConsistentRead``: of the latest state, at twice the units.

        A global index has no such read, and the service refuses it. Raises: InvalidUse for what is neither GetItem,
        BatchGetItem, Query nor Scan.

        Example: ``return (yield from call(op.consistent()))``
        """
        ...

    def read(self, body: bytes) -> Flow[Any]:
        """The result of a read for the JSON of an answer: prepared, decoded and checked as if it had come right now.

        Raises: MalformedResponse for what is no answer to this call; and what the call itself raises for its items.

        Example: ``return (yield from op.read(self.answers[op.name, op.body]))``
        """
        ...

    @property
    def purpose(self) -> str:
        """Why the call is made."""
        ...

    @property
    def operation(self) -> Operation | None:
        """The verb that it belongs to."""
        ...

    @property
    def writes(self) -> bool:
        """Whether it may change what is stored: a table, an item, a token."""
        ...


def consumed(call: Call, reply: Reply | None) -> tuple[ConsumedCapacity, ...]:
    """The units that a call has taken, as its reply tells: one entry for each table and, with ``"INDEXES"``, each index.

    Empty where the service does not tell: it was not asked, the request was refused, or no reply came. What no reply tells
    may have been taken all the same.

    Raises: MalformedResponse where the reply tells it in another form.

    Example: ``sum(units.read_units for units in consumed(call, reply))``
    """
    return () if reply is None else consumed_of(call.name, call.table, call.body, reply.body)


def partitions() -> Partitions:
    """A reader of which partitions requests are for: ``learn(schema)`` of each model, then ``of(call)``.

    That gives pairs of a place, ``(table, index or None)``, and a value as DynamoDB has it, ``{"S": "p1"}``: keys are values, and
    nothing for logs.

    Example: ``for (table, index), value in self.partitions.of(call): self.counts[table, hash(str(value))] += 1``
    """
    return Partitions()


def refusal(reply: Reply | None) -> ServiceFault | None:
    """The refusal that a reply is, as data: ``code``, ``kind``, ``throttling`` (limits with their ARNs); None for another one.

    It may hold the stored item, so it is nothing for logs.

    Example: ``resources = [limit.resource for limit in refusal(reply).throttling]``
    """
    if reply is None or reply.status == 200:
        return None
    return parse_error(reply.status, reply.body)


class FieldHook(Protocol):
    """``field(schema, field)`` returns (encode, decode) to wrap a field's generated code, or None to leave it alone.

    A `PlacedField` where the stored form depends on the item's key, or on the scope.
    """

    def __call__(self, schema: Schema, field: Field, /) -> FieldCodec | PlacedField | None:
        """Wrap one field, or leave it alone."""
        ...


class ModelHook(Protocol):
    """``model(schema)`` returns the schema to generate code from: with added columns, prefixed keys, or unchanged."""

    def __call__(self, schema: Schema, /) -> Schema:
        """The schema to go on with."""
        ...


VerbFlow: TypeAlias = "Callable[[Operation], Flow[Any]]"
"""One verb as a flow: what `VerbHook` wraps."""


class VerbHook(Protocol):
    """``operation(next)`` returns a flow function that may refuse, answer or repeat the verb it wraps.

    It is composed anew with each change of the plugins, so state is for the plugin to hold.

    Example::

        def operation(self, next):
            def timed(operation):
                result = yield from next(operation)
                self.seen.append(operation.verb)
                return result

            return timed
    """

    def __call__(self, next: VerbFlow, /) -> VerbFlow:
        """The verb to go on with."""
        ...


CallFlow: TypeAlias = "Callable[[Call], Flow[Any]]"
"""One DynamoDB call as a flow: what `AroundHook` wraps."""


class AroundHook(Protocol):
    """``around(call)`` returns a call that may answer, refuse, retry or add to the one it wraps.

    It is composed anew with each change of the plugins, so state is for the plugin to hold.
    """

    def __call__(self, call: CallFlow, /) -> CallFlow:
        """The call to go on with."""
        ...


class AttemptHook(Protocol):
    """``admit(call)`` before each attempt raises an error to refuse it: nothing of it is sent.

    What is no `DynamORMError` becomes the cause of a `PluginRefused`.

    For each attempt that was admitted, and only for these, ``observed(call, reply, error)`` is called exactly once: with its
    reply; with the error, where no reply came or none that can be believed; or with neither where it was abandoned
    (cancelled, closed, interrupted, refused by another plugin). `attempt_class` has a word for each of these. A refused
    first attempt ends the call with what ``admit`` raised; a later one, behind an attempt that may have been applied, with
    `OutcomeUnknown`. Plugins are asked outermost first, and told innermost first.
    """

    def __call__(self, call: Call, /) -> None:
        """Admit one attempt, or raise."""
        ...


def attempt_class(reply: Reply | None, error: BaseException | None) -> str:
    """What an attempt came to, in one word, for what ``observed`` is told; also for the error that ``retried`` is told.

    ``ok``; refused: ``throttled``, ``conflict``, ``in_progress``, ``condition``, ``cancelled``, ``mismatch``, ``credentials``,
    ``skew``, ``denied``, ``not_found``, ``validation``, ``in_use``, ``server_error``, ``refused`` (for another reason); no
    reply: ``pool``, ``dns``, ``connect``, ``tls``, ``certificate``, ``forbidden``, ``send``, ``receive``, ``timeout``; none that
    can be believed: ``checksum``, ``malformed``; ``abandoned``.

    Example: ``self.attempts[call.name, attempt_class(reply, error)] += 1``
    """
    if error is None and reply is not None and reply.status == 200:
        return "ok"
    return class_of(reply, error)


def service_error(reply: Reply | None) -> str | None:
    """The service's own name for why it refused: ``"ThrottlingException"``, of a reply that ``observed`` is told.

    The HTTP status as a text where a refusal has no name, such as that of a proxy; None for an answer that is no refusal,
    and for none. It is fit for logs, as `refusal` is not.

    Example: ``service_error(reply) == "ConditionalCheckFailedException"``
    """
    return None if reply is None or reply.status == 200 else name_of_refusal(reply)


def without_values(call: Call) -> str:
    """The request of a call as JSON for a log: ``"?"`` for each value of an item, each token, and each literal of PartiQL.

    Names of attributes, expressions and the types of values stay.

    Example: ``log.info("%s %s", call.name, without_values(call))``
    """
    return encode(without_literals(redacted(decode(call.body)))).decode()


class EndHook(Protocol):
    """``ended(operation, error)`` sees the end of each verb, exactly once: ``error`` is what the caller gets, or None.

    ``began(operation)`` sees its beginning, in the caller's own thread or task, with the caller's context variables.

    Also that of one that was refused by a plugin, cancelled or interrupted (the error is no `Exception` then), or closed
    (`GeneratorExit`). It is outside of all layers, so that it sees what the caller sees, and ``operation.took`` is set. It
    must not block; its failures are logged, at most once a minute.
    """

    def __call__(self, operation: Operation, error: BaseException | None, /) -> None:
        """Look at the end of one verb."""
        ...


class CallEndHook(Protocol):
    """``call_ended(call, error)`` sees the end of each request with its retries: ``error`` is how it failed, or None.

    ``call_began(call)`` sees it just before its first attempt is sent, and each that began is seen to end exactly once,
    also where it is abandoned (as with `EndHook`). A request that is refused before it is sent does not begin, nor does one
    that a plugin answers. ``observed`` and ``retried`` are told of its attempts between the two, for the same call. They must
    not block, and their failures are logged.
    """

    def __call__(self, call: Call, error: BaseException | None, /) -> None:
        """Look at the end of one request."""
        ...


class ObserveHook(Protocol):
    """``observe(call, reply)`` sees every complete reply. It must not block and its failures are its own."""

    def __call__(self, call: Call, reply: Reply, /) -> None:
        """Look at one reply."""
        ...
