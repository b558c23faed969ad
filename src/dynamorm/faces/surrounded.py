"""The verbs with plugins around them: each verb is an `Operation`, which passes by the plugins' hooks, outermost first.

It stands in for `dynamorm.faces.verbs` on a database that has plugins which look at verbs. It must not know what the verbs
do: only what each is called, and which model and key it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from dynamorm.ops.reads.items import key_from_parts
from dynamorm.ops.writes.reading import reading
from dynamorm.plugin import Operation

if TYPE_CHECKING:
    from types import ModuleType

    from dynamorm.effects import Flow
    from dynamorm.ops.calls.op import Op
    from dynamorm.plugin import VerbFlow
    from dynamorm.session import Session

Arguments = tuple[Any, ...]
Named = Mapping[str, Any]
About = Callable[["Session", Arguments, Named], dict[str, Any]]
"""What a verb is about: the arguments of `Operation` beside the verb, from the arguments of its flow behind the session."""


def _nobody() -> None:
    """The key of what is not about one item."""


def _of_model(session: Session, model: Any, key: Callable[[], Any] = _nobody, **more: Any) -> dict[str, Any]:
    """A verb of one model; what is no model of a table is refused by the verb itself."""
    try:
        table = session.plan(model).table
    except Exception:  # noqa: BLE001 - as above
        table = None
    return {"model": model, "table": table, "key": key, **more}


def _by_key(session: Session, args: Arguments, _: Named) -> dict[str, Any]:
    model, key, parts = args[0], args[1], args[2]
    return _of_model(session, model, lambda: _key(session, model, key, parts))


def _key(session: Session, model: Any, key: tuple[Any, ...], parts: dict[str, Any]) -> Any:
    plan = session.plan(model)
    return plan.codec.key_values(plan.codec.key_json(key_from_parts(plan, key, parts) if parts else key))


def _of_object(session: Session, args: Arguments, _: Named) -> dict[str, Any]:
    obj = args[0]
    return _of_model(session, type(obj), lambda: _object_key(session, obj))


def _object_key(session: Session, obj: Any) -> Any:
    codec = session.plan(type(obj)).codec
    return codec.key_values(codec.key_of(obj))


def _of_subject(session: Session, args: Arguments, named: Named) -> dict[str, Any]:
    """A verb of an object, or of a model, its key, and what is to be done."""
    subject, rest, parts = args[0], args[1], args[2]
    if not isinstance(subject, type):
        return _of_object(session, args, named)
    key_names = session.plan(subject).key_names
    return _of_model(session, subject, lambda: _key(session, subject, rest[: len(key_names)], parts))


def _of_query(session: Session, args: Arguments, _: Named) -> dict[str, Any]:
    request = args[0]
    index = getattr(request.index, "name", request.index)
    return _of_model(session, request.model, index=index, limit=request.limit)


def _of_class(session: Session, args: Arguments, _: Named) -> dict[str, Any]:
    return _of_model(session, args[0])


def _of_many(_session: Session, _args: Arguments, _named: Named) -> dict[str, Any]:
    return {"model": None, "table": None, "key": _nobody}


def _of_put_off(_session: Session, args: Arguments, _: Named) -> dict[str, Any]:
    """A request of a batcher: the model is that of all its items."""
    items = args[0]
    contexts = tuple(item.variables for item in items if item.variables is not None)
    models = {item.plan.model for item in items}
    return {
        "model": models.pop() if len(models) == 1 else None,
        "table": items[0].plan.table if len({item.plan.table for item in items}) == 1 else None,
        "key": _nobody,
        "contexts": contexts,
    }


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
    ("batch", "get"): ("batch_get", _of_class),
    ("batch", "write"): ("batch_write", _of_many),
    ("batch_items", "send"): ("batch_write", _of_put_off),
    ("transact_get", "get"): ("transact_get", _of_many),
    ("open_transaction", "commit"): ("transaction", _of_many),
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
    ("collect", "collect"): ("collect", _of_query),
    ("delete_all", "delete_all"): ("delete_all", _of_query),
    ("partiql", "execute"): ("partiql", _of_many),
    ("partiql", "transaction"): ("partiql_transaction", _of_many),
}
"""The verbs, by the module and the function of their flow: the name of the method, and what it is about."""


_WRITING: Final = frozenset({"create", "put", "save", "update", "delete", "increment", "transaction"})
"""The verbs whose rules may read other items: what they have written, they have written in one request."""


def _operation(session: Session, verb: str, begin: Callable[[], Flow[Any]], about: dict[str, Any]) -> Operation:
    """The operation that begins now."""
    return Operation(verb, begin=begin, scope=session.scope, started=session.channel.clock.monotonic(), **about)


def _known(session: Session, operation: Operation) -> Session:
    """The session for the flow of a verb: its calls tell whose they are, where a plugin looks at calls."""
    if not session.shows_calls:
        return session
    inner = session.call

    def call(op: Op) -> Flow[Any]:
        op.operation = operation
        return inner(op)

    return session.view(call)


class Surrounded:
    """Stands in for the module of the verbs: its modules are `_Module`."""

    def __init__(self, plain: ModuleType, layers: Sequence[Callable[[VerbFlow], VerbFlow]]) -> None:
        self.plain: ModuleType = plain
        onion: VerbFlow = lambda operation: operation._begin()  # noqa: E731, SLF001 - its innermost flow
        for layer in reversed(layers):
            onion = layer(onion)
        self._onion = onion

    def __getattr__(self, name: str) -> Any:
        module = getattr(self.plain, name)
        stand_in = _Module(module, name, self._onion)
        setattr(self, name, stand_in)
        return stand_in


class _Module:
    """Stands in for a module of verbs."""

    def __init__(self, module: ModuleType, name: str, onion: VerbFlow) -> None:
        self._module = module
        self._name = name
        self._onion = onion

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._module, name)
        if (self._name, name) == ("query", "page_reader_of"):
            function = self._paged(function)
        elif (self._name, name) in VERBS:
            function = self._verb(function, *VERBS[self._name, name])
        setattr(self, name, function)
        return function

    def _verb(self, function: Callable[..., Flow[Any]], verb: str, about: About) -> Callable[..., Flow[Any]]:
        onion = self._onion

        def flow(session: Session, *args: Any, **named: Any) -> Flow[Any]:
            def begin() -> Flow[Any]:
                known = _known(session, operation)
                if session.rules_may_read and verb in _WRITING:
                    return reading(known, lambda context: function(context, *args, **named))
                return function(known, *args, **named)

            operation = _operation(session, verb, begin, about(session, args, named))
            return onion(operation)

        return flow

    def _paged(self, page_reader_of: Callable[..., Any]) -> Callable[..., Any]:
        onion = self._onion
        return lambda request, **options: _Pages(page_reader_of(request, **options), request, onion)


class _Pages:
    """Stands in for the reader of an iteration's pages: each page is an operation."""

    def __init__(self, reader: Any, request: Any, onion: VerbFlow) -> None:
        self._reader = reader
        self._request = request
        self._onion = onion
        self._count = 0
        self._answered = False

    @property
    def done(self) -> bool:
        """Whether there is no further page: behind one that a plugin answered itself there is none, for none was asked."""
        return self._answered or bool(self._reader.done)

    def next(self, session: Session) -> Flow[Any]:
        """The items of the next page."""
        return self._around(session, "iterate", self._reader.next)

    def page(self, session: Session) -> Flow[Any]:
        """The next page."""
        return self._around(session, "pages", self._reader.page)

    def _around(self, session: Session, verb: str, step: Callable[[Session], Flow[Any]]) -> Flow[Any]:
        number, self._count = self._count, self._count + 1
        asked = False

        def begin() -> Flow[Any]:
            nonlocal asked
            asked = True
            return step(_known(session, operation))

        about = _of_query(session, (self._request,), {})
        operation = _operation(session, verb, begin, {**about, "page": number})
        result = yield from self._onion(operation)
        self._answered = not asked
        return result
