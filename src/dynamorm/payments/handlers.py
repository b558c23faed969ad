"""Handlers of events that come more than once: Lambda, SQS, webhooks. Each event has one effect, by `DB.idempotent`.

Ids of two sources may be equal, so each handler has a scope of its own: ``scope``, a text or a function of the event, or the full
name of the function, with that of the Lambda function. Name it yourself where functions are renamed: an event that comes again
under another scope is a new one.

Of an `AsyncDB` the function is a coroutine function, or a plain one that does not block, and what the decorator gives is awaited. Lambda
itself awaits nothing: there call it by the loop that the database belongs to, ``loop.run_until_complete(handler(event, context))``.

In Lambda a key is held for as long as the function has left, and is not renewed: a process that is frozen renews nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from dynamorm.errors import ConfigError, KeyReused, ValidationError
from dynamorm.errors.log import close_coroutine, interrupts, is_cancellation, logger
from dynamorm.plugins.idempotency import webhook_retention

from .events import Event, Scope, group_of, id_of, message_body, message_id, records_of, scope_of
from .two_faces import Steps, is_async, on_both, shown_as, within

if TYPE_CHECKING:
    from dynamorm import DB, AsyncDB

Handler: TypeAlias = Callable[..., Any]

LEASE: Final = 30.0
"""Seconds for which a key is held where nobody tells how long the function has left."""

SQS_RETENTION: Final = 14 * 86_400.0
"""Seconds for which a message is remembered: SQS keeps it for up to 14 days.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
"""


def lambda_handler(
    db: DB | AsyncDB,
    /,
    *,
    key: Callable[[Event], str],
    payload: Callable[[Event], Any] | None = None,
    scope: Scope | None = None,
    retention: float = 86_400.0,
    final: type[Exception] | tuple[type[Exception], ...] = (),
) -> Callable[[Handler], Handler]:
    """A decorator of a Lambda function that is given the operation first: ``handler(op, event, context)``.

    What it returns is kept, and returned again for an event with the same key. ``key`` and ``payload`` are functions of the event;
    without ``payload`` it is the whole event. ``scope`` says of what the keys are.

    Raises: ConfigError for what is no database, for a coroutine function with a blocking one, and for a function without a name of its
    own, or of a class, that has no ``scope``. The function raises what the operation does: Lambda tries again then.

    Example::

        @lambda_handler(db, key=lambda event: event["id"])
        def handler(op, event, context):
            with op.transaction() as tx:
                tx.create(Payment(id=event["id"], amount=event["amount"]))
            return {"ok": True}
    """
    _check(db)

    def decorated(handler: Handler) -> Handler:
        scoped = _scoped(db, "lambda", handler, scope)

        @on_both
        def handled(_: Any, event: Event, context: Any) -> Steps[Any]:
            operation = db.idempotent(
                key(event),
                payload=event if payload is None else payload(event),
                scope=scoped(event, context),
                retention=retention,
                final=final,
                **_times(context),
            )
            return (yield from _answered(db, operation, handler, event, context))

        return shown_as(db, handler, lambda event, context=None: handled(db, event, context))

    return decorated


def sqs_handler(
    db: DB | AsyncDB,
    /,
    *,
    key: Callable[[Event], str] | None = None,
    payload: Callable[[Event], Any] | None = None,
    scope: Scope | None = None,
    retention: float = SQS_RETENTION,
    on_reused: Callable[[Event, KeyReused], Any] | None = None,
) -> Callable[[Callable[[Any, Event], Any]], Handler]:
    """A decorator that handles the messages of a batch one by one, ``handler(op, record)``, each once.

    The Lambda function answers which of them have failed, and never raises: the event source must have
    ``ReportBatchItemFailures``. Of a FIFO queue the rest of a message group is reported behind its first failure. What runs
    elsewhere, or whose outcome is not known, has failed and comes again. ``key`` is a function of the record (left out: its
    ``messageId``), and ``payload`` likewise (its ``body``). A key that comes with another payload goes to ``on_reused(record, error)``,
    which takes it off the queue; left out, it is reported until the queue gives it to its dead letters. ``scope`` says of what
    the keys are. A message without a ``messageId`` cannot be named: where it has failed, ``itemIdentifier`` is empty, by which Lambda
    takes the whole batch for failed, so that nothing is lost, and what was done is not done again.

    Raises: ConfigError for what is no database, for a coroutine function with a blocking one, and for a function without a name of its
    own, or of a class, that has no ``scope``. The function: ValidationError for an event that is no batch of messages.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html

    Example::

        @sqs_handler(db)
        def handler(op, record):
            with op.transaction() as tx:
                tx.create(Payment(**json.loads(record["body"])))
    """
    _check(db)
    key_of = message_id if key is None else key
    payload_of = message_body if payload is None else payload
    _check_plain(db, "on_reused", on_reused)

    def decorated(handler: Callable[[Any, Event], Any]) -> Handler:
        scoped = _scoped(db, "sqs", handler, scope)

        def once(record: Event, context: Any) -> Steps[None]:
            of = scoped(record, context)
            options = {"payload": payload_of(record), "scope": of, "retention": retention, **_times(context)}
            try:
                yield from _answered(db, db.idempotent(key_of(record), **options), handler, record)
            except KeyReused as error:
                if on_reused is None:
                    raise
                _check_result("on_reused", (yield on_reused(record, error)))

        @on_both
        def handled(_: Any, event: Event, context: Any) -> Steps[dict[str, list[dict[str, str]]]]:
            return (yield from _in_turn(event, lambda record: once(record, context)))

        return shown_as(db, handler, lambda event, context=None: handled(db, event, context))

    return decorated


def _in_turn(event: Event, once: Callable[[Event], Steps[None]]) -> Steps[dict[str, list[dict[str, str]]]]:
    """Handle each record; those that have failed, and of their groups those behind them, as Lambda wants to be told."""
    failed: list[dict[str, str]] = []
    stopped: set[str] = set()
    for record in records_of(event):
        group = None
        cancelled = _cancellations()
        try:
            group = group_of(record)
            if group is None or group not in stopped:
                yield from once(record)
                continue
        except BaseException as error:
            if (
                interrupts(error)
                or isinstance(error, GeneratorExit)
                or (is_cancellation(error) and _cancellations() > cancelled)
            ):
                raise
            logger.warning("a message of SQS has failed: %s", type(error).__name__, exc_info=True)
        failed.append({"itemIdentifier": id_of(record)})
        if group is not None:
            stopped.add(group)
    return {"batchItemFailures": failed}


def webhook_handler(
    db: DB | AsyncDB,
    /,
    *,
    key: Callable[[Event], str],
    payload: Callable[[Event], Any] | None = None,
    scope: Scope | None = None,
    retention: float | timedelta | None = None,
    final: type[Exception] | tuple[type[Exception], ...] = (),
) -> Callable[[Callable[[Any, Event], Any]], Callable[[Event], Any]]:
    """A decorator of a function that is given each webhook once, ``handler(op, event)``; what it returns is kept.

    It is kept for 30 days, or for ``retention``, which is 4 days at least.

    ``key`` gives the sender's id of the event, of one whose signature was checked. Without ``payload`` only the id counts: a
    sender may add members to an event that it repeats. ``scope`` is the sender; of several it is a function of the event.

    Raises: ConfigError for what is no database, for a coroutine function with a blocking one, and for a function without a name of its
    own, or of a class, that has no ``scope``; ValidationError for a retention below 4 days.

    Example::

        @webhook_handler(db, key=lambda event: event["id"], scope="stripe")
        def handle(op, event):
            with op.transaction() as tx:
                tx.update(Payment, event["payment"], Payment.status.set("settled"))
    """
    _check(db)

    def decorated(handler: Callable[[Any, Event], Any]) -> Callable[[Event], Any]:
        scoped = _scoped(db, "webhook", handler, scope)
        lasting = webhook_retention() if retention is None else webhook_retention(retention)

        @on_both
        def handled(_: Any, event: Event) -> Steps[Any]:
            of = None if payload is None else payload(event)
            operation = db.idempotent(key(event), payload=of, scope=scoped(event, None), retention=lasting, final=final)
            return (yield from _answered(db, operation, handler, event))

        return shown_as(db, handler, lambda event: handled(db, event))

    return decorated


def _check(db: Any) -> None:
    if not callable(getattr(type(db), "idempotent", None)):  # who has a blocking database does without asyncio
        raise ConfigError(f"a handler is for a DB or an AsyncDB, not {type(db).__name__}: DB(config)")


def _scoped(db: Any, kind: str, handler: Any, given: Any) -> Callable[[Event, Any], str]:
    """What gives the scope of an event to a handler. Raises: ConfigError."""
    _check_plain(db, f"a {kind} handler", handler)
    return scope_of(kind, handler, given)


def _answered(db: Any, operation: Any, handler: Handler, *given: Any) -> Steps[Any]:
    """Run a handler as an operation, or not where that was done before; its answer."""

    def work(op: Any) -> Steps[Any]:
        if not op.replayed:
            answer: Any = yield _called(handler, op, given)
            _check_result("a handler", answer)
            op.respond(answer)
        return op

    op: Any = yield from within(db, operation, work)
    return op.response


def _called(handler: Handler, op: Any, given: tuple[Any, ...]) -> Any:
    """What a handler gives. Raises: RuntimeError for a GeneratorExit of its own, which would say that these steps are given up."""
    try:
        return handler(op, *given)
    except GeneratorExit as error:
        raise RuntimeError("a handler raised GeneratorExit") from error


def _check_plain(db: Any, what: str, function: Any) -> None:
    """Refuse a coroutine function that nobody would await. Raises: ConfigError."""
    if iscoroutinefunction(function) and not is_async(db):
        raise ConfigError(f"{what} of a blocking DB is a plain function; a coroutine function is for an AsyncDB")


def _check_result(what: str, given: Any) -> None:
    """Refuse a coroutine that nobody has awaited: nothing of it was done. Raises: ValidationError."""
    if close_coroutine(given):
        raise ValidationError(f"{what} of a blocking DB is a plain function, and this one gave a coroutine")


def _cancellations() -> int:
    """How often the task that handles was cancelled. A handler that raises such an error by itself, or for a group of its own, has failed."""
    asyncio: Any = sys.modules.get("asyncio")  # who cancels has imported it, and blocking code need not
    try:
        task = None if asyncio is None else asyncio.current_task()
    except RuntimeError:  # no loop runs
        return 0
    return 0 if task is None else task.cancelling()


def _times(context: Any) -> dict[str, float]:
    """For how long a key is held: as long as the function has left, and not renewed."""
    left = getattr(context, "get_remaining_time_in_millis", None)
    if left is None:
        return {"lease": LEASE}
    return {"lease": min(max(left() / 1000, 1.0), 3_600.0), "max_run": 0.0}
