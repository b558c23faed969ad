"""The verbs with plugins around them: each verb is an `Operation`, which passes by the plugins' hooks, outermost first.

It stands in for `dynamorm.faces.verbs` on a database that has plugins which look at verbs. It must not know what the verbs
do: only what each is called, and which model and key it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import force_setattr

from dynamorm.ops.writes.reading import reading
from dynamorm.plugin import Operation
from dynamorm.session import Session

from . import subjects
from .subjects import key_of_object, key_of_subject

if TYPE_CHECKING:
    from types import ModuleType

    from dynamorm.effects import Flow
    from dynamorm.ops.calls.op import Op
    from dynamorm.plugin import VerbFlow

Arguments = tuple[Any, ...]
Named = Mapping[str, Any]
About = Callable[["Session", str, Arguments, Named], Operation]
"""What a verb is about: the operation, from the verb and the arguments of its flow behind the session."""


def _nobody() -> None:
    """The key of what is not about one item."""


def _of_model(session: Session, verb: str, model: Any, key: Callable[[], Any] = _nobody) -> Operation:
    """A verb of one model; what is no model of a table is refused by the verb itself."""
    try:
        table = session.plan(model).table
    except Exception:  # noqa: BLE001 - as above
        model, table = _class(model), None
    return Operation(verb, model, table, session.scope, session.channel.clock.monotonic(), key)


def _class(model: Any) -> type[Any] | None:
    """A class as it is; None for what is none, which may be a value and is nothing that plugins should show."""
    return model if isinstance(model, type) else None


def _by_key(session: Session, verb: str, args: Arguments, _: Named) -> Operation:
    model = args[0]
    try:  # as `_of_model`, in this frame: these are the quickest verbs
        table = session.plan(model).table
    except Exception:  # noqa: BLE001 - as there
        model, table = _class(model), None
    key = partial(key_of_subject, session, args)
    return Operation(verb, model, table, session.scope, session.channel.clock.monotonic(), key)


def _of_object(session: Session, verb: str, args: Arguments, _: Named) -> Operation:
    obj = args[0]
    return _of_model(session, verb, type(obj), partial(key_of_object, session, obj))


def _of_subject(session: Session, verb: str, args: Arguments, named: Named) -> Operation:
    """A verb of an object, or of a model, its key, and what is to be done."""
    subject, rest, parts = args[0], args[1], args[2]
    if not isinstance(subject, type):
        return _of_object(session, verb, args, named)
    return _of_model(
        session,
        verb,
        subject,
        lambda: key_of_subject(session, (subject, rest[: len(session.plan(subject).key_names)], parts)),
    )


def _of_query(session: Session, verb: str, args: Arguments, _: Named) -> Operation:
    request = args[0]
    operation = _of_model(session, verb, request.model)
    force_setattr(operation, "index", getattr(request.index, "name", request.index))
    force_setattr(operation, "limit", request.limit)
    return operation


def _of_class(session: Session, verb: str, args: Arguments, _: Named) -> Operation:
    return _of_model(session, verb, args[0])


def _of_many(session: Session, verb: str, _args: Arguments, _named: Named) -> Operation:
    return Operation(verb, None, None, session.scope, session.channel.clock.monotonic(), _nobody)


def _of_items(session: Session, verb: str, args: Arguments, _: Named) -> Operation:
    """A verb of many items: its model and its key are those of all of them, None where they differ."""
    model, table = subjects.only_model(session, verb, args)
    items = partial(subjects.items, session, verb, args)
    key = partial(subjects.only_key, items)
    return Operation(verb, model, table, session.scope, session.channel.clock.monotonic(), key, _items=items)


def _of_batch_get(session: Session, verb: str, args: Arguments, _: Named) -> Operation:
    operation = _of_model(session, verb, args[0])
    items = partial(subjects.items, session, verb, args)
    force_setattr(operation, "_items", items)
    force_setattr(operation, "_key", partial(subjects.only_key, items))
    return operation


def _of_statement(session: Session, verb: str, args: Arguments, named: Named) -> Operation:
    """A statement of PartiQL is of one model where the caller names it."""
    model = named.get("model")
    return _of_many(session, verb, args, named) if model is None else _of_model(session, verb, model)


def _of_put_off(session: Session, verb: str, args: Arguments, named: Named) -> Operation:
    """A request of a batcher, on behalf of those who have added its items."""
    operation = _of_items(session, "put off", args, named)
    force_setattr(operation, "verb", verb)
    contexts = tuple(item.variables for item in args[0] if item.variables is not None)
    force_setattr(operation, "contexts", contexts)
    return operation


VERBS: Final[dict[tuple[str, str], tuple[str, About]]] = {
    ("items", "get"): ("get", _by_key),
    ("items", "require"): ("require", _by_key),
    ("items", "exists"): ("exists", _by_key),
    ("put", "create"): ("create", _of_object),
    ("put", "put"): ("put", _of_object),
    ("save", "save"): ("save", _of_object),
    ("update", "update"): ("update", _of_subject),
    ("delete", "delete"): ("delete", _of_subject),
    ("increment", "increment"): ("increment", _of_subject),
    ("batch", "get"): ("batch_get", _of_batch_get),
    ("batch", "write"): ("batch_write", _of_items),
    ("batch_items", "send"): ("batch_write", _of_put_off),
    ("transact_get", "get"): ("transact_get", _of_items),
    ("open_transaction", "commit"): ("transaction", _of_items),
    ("unique_flows", "find"): ("find_by_unique", _of_class),
    ("query", "everything"): ("all", _of_query),
    ("terminals", "first"): ("first", _of_query),
    ("terminals", "one"): ("one", _of_query),
    ("terminals", "count"): ("count", _of_query),
    ("terminals", "exists"): ("exists", _of_query),
    ("terminals", "page"): ("page", _of_query),
    ("aggregate", "total"): ("sum", _of_query),
    ("aggregate", "average"): ("average", _of_query),
    ("aggregate", "least"): ("min", _of_query),
    ("aggregate", "greatest"): ("max", _of_query),
    ("aggregate", "grouped"): ("group_by", _of_query),
    ("collect", "collect"): ("collect", _of_query),
    ("delete_all", "delete_all"): ("delete_all", _of_query),
    ("partiql", "execute"): ("partiql", _of_statement),
    ("partiql", "transaction"): ("partiql_transaction", _of_many),
}
"""The verbs, by the module and the function of their flow: the name of the method, and what it is about."""


_WRITING: Final = frozenset({"create", "put", "save", "update", "delete", "increment", "transaction"})
"""The verbs whose rules may read other items: what they have written, they have written in one request."""


class Beginning(Struct, eq=False):
    """What the innermost layer needs to begin a verb: its flow, and what that is given."""

    function: Callable[..., Flow[Any]]
    session: Session
    args: Arguments
    named: Named
    shows_calls: bool


class _Known(Session):
    """The session for the flow of one verb: its calls tell whose they are.

    It has what a read by key asks for; the rest is copied when it is asked for, for a copy takes as long as such a read has
    to spare.
    """

    __slots__ = ("_whole",)

    def __init__(self, whole: Session, operation: Operation) -> None:
        inner = whole.call

        def call(op: Op) -> Flow[Any]:
            op.operation = operation
            return inner(op)

        self.call = call
        self._plans = whole._plans  # noqa: SLF001 - a session too
        self._whole: Session | None = whole

    def __getattr__(self, name: str) -> Any:
        whole = None if name == "_whole" else self._whole  # of a copy it is not set
        if whole is None:
            raise AttributeError(name)
        self._whole = None
        call = self.call
        whole.fill(self)
        self.call = call
        return getattr(self, name)


def _innermost(operation: Operation) -> Flow[Any]:
    """What all layers stand around: the verb itself."""
    begin: Beginning = operation._begin  # type: ignore[assignment] # noqa: SLF001 - set before any layer is asked
    session, function, args, named = begin.session, begin.function, begin.args, begin.named
    known = _Known(session, operation) if begin.shows_calls else session
    if session.rules_may_read and operation.verb in _WRITING:
        return reading(known, lambda context: function(context, *args, **named))
    return function(known, *args, **named)


class Surrounded:
    """Stands in for the module of the verbs: its modules are `_Module`."""

    def __init__(
        self, plain: ModuleType, layers: Sequence[Callable[[VerbFlow], VerbFlow]], *, shows_calls: bool = False
    ) -> None:
        self.plain: ModuleType = plain
        onion: VerbFlow = _innermost
        for layer in reversed(layers):
            onion = layer(onion)
        self._onion = onion
        self._shows_calls = shows_calls

    def __getattr__(self, name: str) -> Any:
        module = getattr(self.plain, name)
        stand_in = _Module(module, name, self._onion, shows_calls=self._shows_calls)
        setattr(self, name, stand_in)
        return stand_in


class _Module:
    """Stands in for a module of verbs."""

    def __init__(self, module: ModuleType, name: str, onion: VerbFlow, *, shows_calls: bool) -> None:
        self._module = module
        self._name = name
        self._onion = onion
        self._shows_calls = shows_calls

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._module, name)
        if (self._name, name) == ("query", "page_reader_of"):
            function = self._paged(function)
        elif (self._name, name) in VERBS:
            function = self._verb(function, *VERBS[self._name, name])
        setattr(self, name, function)
        return function

    def _verb(self, function: Callable[..., Flow[Any]], verb: str, about: About) -> Callable[..., Flow[Any]]:
        onion, shows_calls = self._onion, self._shows_calls

        def flow(session: Session, *args: Any, **named: Any) -> Flow[Any]:
            operation = about(session, verb, args, named)
            force_setattr(operation, "_begin", Beginning(function, session, args, named, shows_calls))
            return onion(operation)

        return flow

    def _paged(self, page_reader_of: Callable[..., Any]) -> Callable[..., Any]:
        onion, shows_calls = self._onion, self._shows_calls
        return lambda request, **options: _Pages(
            page_reader_of(request, **options), request, onion, shows_calls=shows_calls
        )


class _Pages:
    """Stands in for the reader of an iteration's pages: each page is an operation."""

    def __init__(self, reader: Any, request: Any, onion: VerbFlow, *, shows_calls: bool) -> None:
        self._reader = reader
        self._request = request
        self._onion = onion
        self._shows_calls = shows_calls
        self._count = 0
        self._answered = False

    @property
    def done(self) -> bool:
        """Whether there is no further page: behind one that a plugin answered itself there is none, for none was asked."""
        return self._answered or bool(self._reader.done)

    @property
    def start(self) -> bytes | None:
        """The key behind which the next page begins."""
        start: bytes | None = self._reader.start
        return start

    def next(self, session: Session) -> Flow[Any]:
        """The items of the next page."""
        return self._around(session, "iterate", self._reader.next)

    def page(self, session: Session) -> Flow[Any]:
        """The next page."""
        return self._around(session, "pages", self._reader.page)

    def _around(self, session: Session, verb: str, step: Callable[[Session], Flow[Any]]) -> Flow[Any]:
        number, self._count = self._count, self._count + 1
        asked = False

        def asking(session: Session) -> Flow[Any]:
            nonlocal asked
            asked = True
            return step(session)

        operation = _of_query(session, verb, (self._request,), {})
        force_setattr(operation, "page", number)
        force_setattr(operation, "_begin", Beginning(asking, session, (), {}, self._shows_calls))
        result = yield from self._onion(operation)
        self._answered = not asked
        return result
