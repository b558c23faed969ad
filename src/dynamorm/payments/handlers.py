"""Handlers of events that come more than once: Lambda, SQS, webhooks. Each event has one effect, by `DB.idempotent`.

Ids of two sources may be equal, so each handler has a scope of its own: ``scope``, a text or a function of the event, or the full
name of the function, with that of the Lambda function. Name it yourself where functions are renamed: an event that comes again
under another scope is a new one.

They are for a blocking `DB`, as functions of Lambda are. In Lambda a key is held for as long as the function has left, and is not
renewed: a process that is frozen renews nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeAlias

from dynamorm import DB
from dynamorm.errors import ConfigError, KeyReused, ValidationError
from dynamorm.log import interrupts, logger

Event: TypeAlias = Any
Handler: TypeAlias = Callable[..., Any]
Scope: TypeAlias = str | Callable[[Event], str]

LEASE: Final = 30.0
"""Seconds for which a key is held where nobody tells how long the function has left."""

WEBHOOK_LEAST: Final = 4 * 86_400.0
"""Seconds for which a webhook is remembered at least: senders repeat one for days."""

WEBHOOK_RETENTION: Final = 30 * 86_400.0
SQS_RETENTION: Final = 14 * 86_400.0
"""Seconds for which an event is remembered: senders of webhooks repeat for days, and SQS keeps a message for up to 14 days.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
"""


def lambda_handler(
    db: DB,
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

    Raises: ConfigError for what is no DB, and for a function without a name of its own that has no ``scope``. The function raises
    what the operation does: Lambda tries again then.

    Example::

        @lambda_handler(db, key=lambda event: event["id"])
        def handler(op, event, context):
            with op.transaction() as tx:
                tx.create(Payment(id=event["id"], amount=event["amount"]))
            return {"ok": True}
    """
    _check(db)

    def decorated(handler: Handler) -> Handler:
        scoped = _scope("lambda", handler, scope)

        @wraps(handler)
        def handle(event: Event, context: Any) -> Any:
            of = event if payload is None else payload(event)
            with db.idempotent(
                key(event),
                payload=of,
                scope=scoped(event, context),
                retention=retention,
                final=final,
                **_times(context),
            ) as op:
                if not op.replayed:
                    op.respond(handler(op, event, context))
            return op.response

        return handle

    return decorated


def sqs_handler(
    db: DB,
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
    the keys are.

    Raises: ConfigError for what is no DB, and for a function without a name of its own that has no ``scope``.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html

    Example::

        @sqs_handler(db)
        def handler(op, record):
            with op.transaction() as tx:
                tx.create(Payment(**json.loads(record["body"])))
    """
    _check(db)
    key_of = _message_id if key is None else key
    payload_of = _message_body if payload is None else payload

    def decorated(handler: Callable[[Any, Event], Any]) -> Handler:
        scoped = _scope("sqs", handler, scope)

        def once(record: Event, context: Any) -> None:
            of = scoped(record, context)
            options = {"payload": payload_of(record), "scope": of, "retention": retention, **_times(context)}
            try:
                with db.idempotent(key_of(record), **options) as op:
                    if not op.replayed:
                        op.respond(handler(op, record))
            except KeyReused as error:
                if on_reused is None:
                    raise
                on_reused(record, error)

        @wraps(handler)
        def handle(event: Event, context: Any = None) -> dict[str, list[dict[str, str]]]:
            return _in_turn(event, lambda record: once(record, context))

        return handle

    return decorated


def _in_turn(event: Event, once: Callable[[Event], None]) -> dict[str, list[dict[str, str]]]:
    """Handle each record; those that have failed, and of their groups those behind them, as Lambda wants to be told."""
    failed: list[dict[str, str]] = []
    stopped: set[str] = set()
    for record in event["Records"]:
        group = None
        try:
            group = _group(record)
            if group is None or group not in stopped:
                once(record)
                continue
        except BaseException as error:
            if interrupts(error):
                raise
            logger.warning("a message of SQS has failed: %s", type(error).__name__, exc_info=True)
        failed.append({"itemIdentifier": record["messageId"]})
        if group is not None:
            stopped.add(group)
    return {"batchItemFailures": failed}


def webhook_handler(
    db: DB,
    /,
    *,
    key: Callable[[Event], str],
    payload: Callable[[Event], Any] | None = None,
    scope: Scope | None = None,
    retention: float | timedelta = WEBHOOK_RETENTION,
    final: type[Exception] | tuple[type[Exception], ...] = (),
) -> Callable[[Callable[[Any, Event], Any]], Callable[[Event], Any]]:
    """A decorator of a function that is given each webhook once, ``handler(op, event)``; what it returns is kept for 30 days.

    ``key`` gives the sender's id of the event, of one whose signature was checked. Without ``payload`` only the id counts: a
    sender may add members to an event that it repeats. ``scope`` is the sender; of several it is a function of the event.

    Raises: ConfigError for what is no DB, and for a function without a name of its own that has no ``scope``; ValidationError for a
    retention below 4 days.

    Example::

        @webhook_handler(db, key=lambda event: event["id"], scope="stripe")
        def handle(op, event):
            with op.transaction() as tx:
                tx.update(Payment, event["payment"], Payment.status.set("settled"))
    """
    _check(db)

    def decorated(handler: Callable[[Any, Event], Any]) -> Callable[[Event], Any]:
        scoped = _scope("webhook", handler, scope)
        if (retention.total_seconds() if isinstance(retention, timedelta) else retention) < WEBHOOK_LEAST:
            raise ValidationError(
                f"retention of a webhook is {WEBHOOK_LEAST:.0f} or more seconds (4 days), for senders repeat one as long",
                field="retention",
            )

        @wraps(handler)
        def handle(event: Event) -> Any:
            of = None if payload is None else payload(event)
            of_sender = scoped(event, None)
            with db.idempotent(key(event), payload=of, scope=of_sender, retention=retention, final=final) as op:
                if not op.replayed:
                    op.respond(handler(op, event))
            return op.response

        return handle

    return decorated


def _check(db: Any) -> None:
    if not isinstance(db, DB):
        raise ConfigError(f"a handler is for a blocking DB, not {type(db).__name__}: DB(config)")


def _scope(kind: str, handler: Any, given: Any) -> Callable[[Event, Any], str]:
    """What gives the scope of an event: no two handlers, and no two sources, have one in common. Raises: ConfigError."""
    name = _name(handler)
    if "<" in name if given is None else not (callable(given) or isinstance(given, str)):
        raise ConfigError(
            f"a {kind} handler has a scope of its own, and a function within another one, or without a name, does not tell it:"
            ' give scope="stripe", or a function of the event that gives a text'
        )

    def scoped(event: Event, context: Any) -> str:
        if given is None:
            function = getattr(context, "function_name", None)
            return _short(kind, f"{function}/{name}" if isinstance(function, str) else name)
        found = given(event) if callable(given) else given
        if not isinstance(found, str) or not found:
            raise ValidationError("the scope of an event is a text of 1 or more characters", field="scope")
        return _short(kind, found)

    return scoped


def _name(handler: Any) -> str:
    """The full name of a function; that of its file stands for a module that was started as the program."""
    module, name = getattr(handler, "__module__", None), getattr(handler, "__qualname__", None)
    if not (isinstance(module, str) and isinstance(name, str)):
        return "<without a name>"
    code = getattr(handler, "__code__", None)
    if module == "__main__" and code is not None:
        module = Path(code.co_filename).stem
    return f"{module}.{name}"


def _short(kind: str, name: str) -> str:
    """A scope of at most 64 characters."""
    scope = f"{kind}:{name}"
    return scope if len(scope) <= 64 else f"{kind}:{sha256(name.encode()).hexdigest()[:40]}"


def _times(context: Any) -> dict[str, float]:
    """For how long a key is held: as long as the function has left, and not renewed."""
    left = getattr(context, "get_remaining_time_in_millis", None)
    if left is None:
        return {"lease": LEASE}
    return {"lease": min(max(left() / 1000, 1.0), 3_600.0), "max_run": 0.0}


def _message_id(record: Event) -> str:
    return str(record["messageId"])


def _message_body(record: Event) -> Any:
    return record["body"]


def _group(record: Event) -> str | None:
    """The group of a message of a FIFO queue, which keeps its order."""
    attributes = record.get("attributes")
    if not isinstance(attributes, Mapping):
        return None
    group = attributes.get("MessageGroupId")
    if group is not None and not isinstance(group, str):
        raise ValidationError("MessageGroupId of a message is a text")
    # A standard queue may have groups too, which say nothing about the order.
    return group if str(record.get("eventSourceARN", "")).endswith(".fifo") else None
