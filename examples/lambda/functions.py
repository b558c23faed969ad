"""The functions: ``functions.webhook`` behind a function URL or API Gateway, ``functions.totals`` behind the stream.

The database is opened with the module, outside of the functions, so that an execution environment opens it once. Opening sends
nothing: the first request of an invocation connects.
"""

from __future__ import annotations

import base64
import json
import os
from typing import Any, Final

from dynamorm import DB, Outcome, Presets, TransactionCancelled, deadline
from dynamorm.errors import AlreadyExists, DynamORMError, InvalidSignature, MissingItem, ValidationError
from dynamorm.payments import verify_webhook, webhook_handler
from dynamorm.streams import ChangeKind, process

from .models import DayTotal, Payment

MARGIN: Final = 0.5
"""Seconds of an invocation that are kept for its answer."""

LONGEST: Final = 10.0
"""Seconds of an invocation of `totals`, as the function is configured: a record that is held longer is of one that has ended."""

SECRETS: Final = os.environ["WEBHOOK_SECRETS"].split(",")
"""Those that webhooks may be signed with; two while one takes the place of the other."""

IS_LOCAL: Final = "DYNAMODB_ENDPOINT" in os.environ

db = DB(Presets.local_development() if IS_LOCAL else Presets.aws_lambda())


@webhook_handler(db, key=lambda event: event["webhook"], scope="acquirer")
def _take(op: Any, event: dict[str, Any]) -> dict[str, str]:
    """Write what a webhook tells; once for each webhook, whoever sends it how often. A payment is paid once, before it is refunded."""
    told = event["told"]
    with op.transaction() as tx:
        if told["type"] == "payment.paid":
            tx.create(Payment(id=told["payment"], cents=told["cents"], day=told["day"]))
        else:
            tx.update(Payment, told["payment"], Payment.status.set("refunded"))
    return {"payment": told["payment"], "type": told["type"]}


def webhook(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Take a webhook. 400: it is not signed by the sender, or old. 422: it is nothing that is known here.

    409: its payment is not there, or is there with another amount or day, which somebody has to look at.
    503 asks the sender to send it again, which does no harm: it is remembered for 30 days.
    """
    body = event.get("body") or ""
    raw = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    try:
        id = verify_webhook(SECRETS, event.get("headers") or {}, raw)
        told = _understood(raw)
    except InvalidSignature:
        return _answer(400, {"error": "the signature is not right"})
    except ValueError as error:
        return _answer(422, {"error": str(error)})
    try:
        with deadline.from_lambda(context, margin=MARGIN):
            try:
                return _answer(200, _take({"webhook": id, "told": told}))
            except TransactionCancelled as error:
                if not _is_refused(error, AlreadyExists):
                    raise
                return _told_before(told)
    except ValidationError as error:
        return _answer(422, {"error": f"{error.field or 'the event'} is not as it should be"})
    except DynamORMError as error:
        if _is_refused(error, MissingItem):
            return _answer(409, {"error": "there is no such payment"})
        if not error.retryable and error.outcome is not Outcome.UNKNOWN:
            raise  # such as a table that is not there: for whoever runs this, not for the sender
        return _answer(503, {"error": "send it again"})


def _told_before(told: dict[str, Any]) -> dict[str, Any]:
    """Answer a webhook of a payment that is there, whatever has become of it: 409, if it was another amount or day."""
    known = db.require(Payment, told["payment"], consistent=True)
    if (known.cents, known.day) != (told["cents"], told["day"]):
        return _answer(409, {"error": "this payment was told before, with another amount or day"})
    return _answer(200, {"payment": told["payment"], "type": told["type"]})


def _is_refused(error: DynamORMError, kind: type[DynamORMError]) -> bool:
    """Whether a transaction was refused because what it changes is not there, or what it creates is."""
    reasons = error.reasons if isinstance(error, TransactionCancelled) else ()
    return any(reason is not None and isinstance(reason.error, kind) for reason in reasons)


def _understood(raw: bytes) -> dict[str, Any]:
    """Raises: ValueError, in words for the sender."""
    try:
        told = json.loads(raw)
    except ValueError:
        raise ValueError("the body is no JSON") from None
    wanted = {"payment.paid": ("payment", "cents", "day"), "payment.refunded": ("payment",)}
    kind = told.get("type") if isinstance(told, dict) else None
    if not isinstance(kind, str) or kind not in wanted:
        raise ValueError(f"type is one of {', '.join(wanted)}")
    if missing := [name for name in wanted[kind] if name not in told]:
        raise ValueError(f"{', '.join(missing)} must be there")
    return dict(told)


def _answer(status: int, body: Any) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}


def totals(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Keep the totals of days. The event source mapping has ``ReportBatchItemFailures``."""
    with deadline.from_lambda(context, margin=MARGIN):
        return dict(process(event, Payment, _count))


def _count(record: Any) -> None:
    """Add what one record changes. Lambda may send it again: its id is the key of an operation that is done once.

    A payment's amount and day never change, so the new one is also the old one's.
    """
    cents, payments = _worth(record.new) - _worth(record.old), _counts(record.new) - _counts(record.old)
    if record.kind is ChangeKind.REMOVE or not (cents or payments):
        return
    with db.idempotent(record.event_id, payload=None, scope="totals", lease=LONGEST) as op:
        if not op.replayed:
            with op.transaction() as tx:
                day = record.new.day
                tx.update(DayTotal, day, DayTotal.cents.add(cents), DayTotal.payments.add(payments), upsert=True)


def _counts(payment: Payment | None) -> int:
    return int(payment is not None and payment.status == "paid")


def _worth(payment: Payment | None) -> int:
    return payment.cents if payment is not None and payment.status == "paid" else 0
