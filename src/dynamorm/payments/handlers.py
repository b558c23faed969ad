"""Handlers of events that come more than once: Lambda, SQS, webhooks. Each event has one effect, by `DB.idempotent`.

They are for a blocking `DB`, as functions of Lambda are. In Lambda a key is held for as long as the function has left, and is not
renewed: a process that is frozen renews nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final, TypeAlias

from dynamorm import DB
from dynamorm.errors import ConfigError, KeyReused, ValidationError
from dynamorm.log import interrupts, logger

Event: TypeAlias = Any
Handler: TypeAlias = Callable[..., Any]

LEASE: Final = 30.0
"""Seconds for which a key is held where nobody tells how long the function has left."""

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
    scope: str = "lambda",
    retention: float = 86_400.0,
    final: type[Exception] | tuple[type[Exception], ...] = (),
) -> Callable[[Handler], Handler]:
    """A decorator of a Lambda function that is given the operation first: ``handler(op, event, context)``.

    What it returns is kept, and returned again for an event with the same key. ``key`` and ``payload`` are functions of the event;
    without ``payload`` it is the whole event.

    Raises: ConfigError for what is no DB. The function raises what the operation does: Lambda tries again then.

    Example::

        @lambda_handler(db, key=lambda event: event["id"])
        def handler(op, event, context):
            with op.transaction() as tx:
                tx.create(Payment(id=event["id"], amount=event["amount"]))
            return {"ok": True}
    """
    _check(db)

    def decorated(handler: Handler) -> Handler:
        @wraps(handler)
        def handle(event: Event, context: Any) -> Any:
            of = event if payload is None else payload(event)
            with db.idempotent(
                key(event), payload=of, scope=scope, retention=retention, final=final, **_times(context)
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
    scope: str = "sqs",
    retention: float = SQS_RETENTION,
    on_reused: Callable[[Event, KeyReused], Any] | None = None,
) -> Callable[[Callable[[Any, Event], Any]], Handler]:
    """A decorator that handles the messages of a batch one by one, ``handler(op, record)``, each once.

    The Lambda function answers which of them have failed, and never raises: the event source must have
    ``ReportBatchItemFailures``. Of a FIFO queue the rest of a message group is reported behind its first failure. What runs
    elsewhere, or whose outcome is not known, has failed and comes again. ``key`` is a function of the record (left out: its
    ``messageId``), and ``payload`` likewise (its ``body``). A key that comes with another payload goes to ``on_reused(record, error)``,
    which takes it off the queue; left out, it is reported until the queue gives it to its dead letters.

    Raises: ConfigError for what is no DB.

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
        def once(record: Event, context: Any) -> None:
            options = {"payload": payload_of(record), "scope": scope, "retention": retention, **_times(context)}
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
        group = _group(record)
        try:
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
    retention: float = WEBHOOK_RETENTION,
    final: type[Exception] | tuple[type[Exception], ...] = (),
) -> Callable[[Callable[[Any, Event], Any]], Callable[[Event], Any]]:
    """A decorator of a function that is given each webhook once, ``handler(op, event)``; what it returns is kept for 30 days.

    ``key`` gives the sender's id of the event, of one whose signature was checked. Without ``payload`` only the id counts: a
    sender may add members to an event that it repeats.

    Raises: ConfigError for what is no DB; ValidationError for a retention below 4 days, when it is called.

    Example::

        @webhook_handler(db, key=lambda event: event["id"])
        def handle(op, event):
            with op.transaction() as tx:
                tx.update(Payment, event["payment"], Payment.status.set("settled"))
    """
    _check(db)

    def decorated(handler: Callable[[Any, Event], Any]) -> Callable[[Event], Any]:
        @wraps(handler)
        def handle(event: Event) -> Any:
            of = None if payload is None else payload(event)
            with db.idempotent(key(event), payload=of, scope="webhook", retention=retention, final=final) as op:
                if not op.replayed:
                    op.respond(handler(op, event))
            return op.response

        return handle

    return decorated


def _check(db: Any) -> None:
    if not isinstance(db, DB):
        raise ConfigError(f"a handler is for a blocking DB, not {type(db).__name__}: DB(config)")


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
