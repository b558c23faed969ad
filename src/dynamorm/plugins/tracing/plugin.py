"""Spans of OpenTelemetry: one for each verb, and below it one for each request. They hold no value of any item.

A span is never made the current one: what a caller does between two items of an iteration, and every other task and thread,
keeps the span that it has. The parent of a request is told to the tracer, and that of a verb is the span which is current
where the verb begins.

Source of the names: https://opentelemetry.io/docs/specs/semconv/db/dynamodb/ and database-spans, as of `SCHEMA_URL`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import dynamorm
from dynamorm.errors import ConfigError
from dynamorm.plugin import attempt_class

from .ends import Request, fail, of_end
from .kinds import Kind, of_call, of_verb
from .sampling import leaving_out

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Iterable
    from types import ModuleType

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, Tracer

    from dynamorm.effects import Reply
    from dynamorm.plugin import Call, Operation

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the semantic conventions that the names are of."""

MAX_KNOWN: Final = 1_000
"""Kinds of spans whose name and attributes are kept: of each verb and model, and of each operation and table."""


class _Verb:
    """A verb that is recorded: its span, and the context that makes it the parent of its requests."""

    __slots__ = ("context", "span")

    def __init__(self, span: Span, context: Context) -> None:
        self.span = span
        self.context = context


class TracingPlugin:
    """Records each verb as a span (``dynamorm.create Payment``), and each request of it as a span below (``PutItem payments``).

    ``tracer`` is one of OpenTelemetry, made with ``schema_url=SCHEMA_URL``; without one that of the global provider is used,
    also when the provider is set later. It may be shared by databases, and registered at any time. A verb that the sampler
    leaves out is left out with its requests.

    No value of an item, no key, no scope and no expression is ever recorded; of an error its class and its `safe` message.

    Raises: ConfigError for what is no tracer, and where ``opentelemetry-api`` is not installed (the extra ``tracing``).

    Example: ``db.use(TracingPlugin())``
    """

    name: str = "tracing"

    def __init__(self, tracer: Tracer | None = None) -> None:
        api = _api()
        self._tracer: Tracer = _global_tracer(api) if tracer is None else _checked(tracer)
        self._internal, self._client, self._below = api.SpanKind.INTERNAL, api.SpanKind.CLIENT, api.set_span_in_context
        self._current, self._link = api.get_current_span, api.Link
        self._left_out = leaving_out(self._tracer, self._current, api.INVALID_SPAN)
        self._api = api if isinstance(self._tracer, api.ProxyTracer) else None
        self._kinds: dict[Any, Kind] = {}
        self._requests: dict[Call, Request] = {}

    # Verbs

    def began(self, operation: Operation) -> None:
        """Begin the span of a verb, below the span that is current here."""
        if self._left_out is not None and self._left_out():
            return
        model = operation.model if isinstance(operation.model, type) else None
        index = operation.index if isinstance(operation.index, str) else None  # what is none is refused by the verb
        key = (operation.verb, model, operation.table, index)
        kind = self._kinds.get(key) or self._learned(key, of_verb(*key))
        links = self._links(operation.contexts) if operation.contexts else ()
        span = self._tracer.start_span(kind.name, None, self._internal, kind.attributes, links)
        if span.is_recording():
            if operation.page is not None:
                span.set_attribute("dynamorm.page", operation.page)
            operation.notes[self] = _Verb(span, self._below(span))
        elif self._api is not None and span.get_span_context().is_valid:
            self._look_again(self._api)

    def ended(self, operation: Operation, error: BaseException | None) -> None:
        """End the span of a verb. It stays the parent of what is found out later, by ``error.resolve()``."""
        verb = operation.notes.get(self)
        if verb is None:
            return
        try:
            if error is not None:
                fail(verb.span, error, None, tells=True)
        finally:
            verb.span.end()

    # Requests

    def call_began(self, call: Call) -> None:
        """Begin the span of a request, below that of its verb."""
        context = None
        operation = call.operation
        if operation is not None:
            verb = operation.notes.get(self)
            if verb is None:
                return  # its verb is not recorded
            context = verb.context
        key = (call.name, call.table, call.server)
        kind = self._kinds.get(key) or self._learned(key, of_call(call))
        attributes, purpose = kind.attributes, call.purpose
        if purpose != "verb":
            attributes = {**attributes, "dynamorm.purpose": purpose}
        if kind.counts is not None and (size := kind.counts(call.body)) > 1:
            attributes = {**attributes, "db.operation.batch.size": size}
        if call not in self._requests:  # else another plugin makes the same call twice at once, and one of them is seen
            span = self._tracer.start_span(kind.name, context, self._client, attributes)
            if span.is_recording():
                self._requests[call] = Request(span)

    def observed(self, call: Call, reply: Reply | None, _error: BaseException | None) -> None:
        """Note what came of an attempt."""
        request = self._requests.get(call)
        if request is not None:
            request.attempts += 1
            request.reply = reply

    def retried(self, call: Call, error: BaseException) -> None:
        """Record why there is another attempt."""
        request = self._requests.get(call)
        if request is not None:
            word = attempt_class(None, error)
            request.retries[word] = request.retries.get(word, 0) + 1
            request.span.add_event("retry", {"dynamorm.retry.class": word, "dynamorm.attempts": request.attempts})

    def call_ended(self, call: Call, error: BaseException | None) -> None:
        """End the span of a request."""
        request = self._requests.pop(call, None)
        if request is None:
            return
        try:
            found = of_end(call, request, error)
            if found:
                request.span.set_attributes(found)
            if error is not None:
                fail(request.span, error, request.reply, tells=call.operation is None)
        finally:
            request.span.end()

    def _links(self, contexts: Iterable[contextvars.Context]) -> tuple[Link, ...]:
        """A link to the span of each caller whose work is done now, which was current when it was put off."""
        callers = {}
        for each in contexts:
            caller = each.copy().run(self._current).get_span_context()
            if caller.is_valid:
                callers[caller.span_id] = caller
        return tuple(map(self._link, callers.values()))

    def _look_again(self, api: ModuleType) -> None:
        """Take the tracer of the global provider itself, where there is one by now, in the place of what waits for it."""
        tracer = _global_tracer(api)
        if not isinstance(tracer, api.ProxyTracer):
            self._left_out = leaving_out(tracer, self._current, api.INVALID_SPAN)
            self._tracer, self._api = tracer, None

    def _learned(self, key: Any, kind: Kind) -> Kind:
        if len(self._kinds) >= MAX_KNOWN:
            self._kinds.clear()
        self._kinds[key] = kind
        return kind


def _api() -> ModuleType:
    """OpenTelemetry's API. It is loaded here, so that the class can be named where it is not installed."""
    try:
        from opentelemetry import trace  # as above
    except ImportError:
        raise ConfigError(
            "TracingPlugin needs the package opentelemetry-api: pip install 'dynamorm-py[tracing]'"
        ) from None
    return trace


def _global_tracer(api: ModuleType) -> Tracer:
    tracer: Tracer = api.get_tracer("dynamorm", dynamorm.__version__, schema_url=SCHEMA_URL)
    return tracer


def _checked(tracer: Any) -> Tracer:
    if not isinstance(tracer, type):
        if callable(getattr(tracer, "start_span", None)):
            return tracer  # type: ignore[no-any-return] # of any tracing library that does what OpenTelemetry's does
        if callable(getattr(tracer, "get_tracer", None)):
            raise ConfigError(
                "TracingPlugin takes a tracer, and this is a provider of tracers:"
                ' TracingPlugin(provider.get_tracer("dynamorm", schema_url=SCHEMA_URL))'
            )
    given = f"the class {tracer.__name__}" if isinstance(tracer, type) else type(tracer).__name__
    raise ConfigError(
        f"TracingPlugin takes a tracer of OpenTelemetry, which has start_span, not {given}:"
        " TracingPlugin(opentelemetry.trace.get_tracer(__name__)), or TracingPlugin() for that of the global provider"
    )
