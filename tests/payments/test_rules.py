"""Wordings of idempotency and payments that no other module pins: what is sent, what keys are made of, what is written how often."""

# ruff: noqa: PT012 - the end of a block of several statements is what raises

import hmac
import inspect
from base64 import b64decode

import pytest

from dynamorm import Attr, Model, Unique, attr, partition_key
from dynamorm.errors import (
    AlreadyDone,
    ExecutionLost,
    IdempotencyError,
    InProgress,
    KeyReused,
    LeaseLost,
    Outcome,
    StepUnknown,
    StoredFailure,
    ValidationError,
)
from dynamorm.payments import Ledger, Money, Outbox, Posting, ensure_tables, verify_webhook
from dynamorm.payments.ledger import LedgerBalance
from dynamorm.payments.outbox.items import SCHEDULE, OutboxEvent, OutboxQueue
from dynamorm.plugins import record_model
from dynamorm.plugins.idempotency import machine
from dynamorm.plugins.idempotency.machine import Times
from tests.behaviour.kit import ask, table_of
from tests.payments.test_webhooks import SECRET

pytestmark = pytest.mark.engine


class Effect(Model, table="rule-effects"):
    id: Attr[str] = partition_key()
    order: Attr[str] = attr(Unique())


MODELS = (Effect,)
RECORD = record_model("dynamorm-idempotency")


def made_with(db):
    ensure_tables(db)


def eur(text):
    return Money(text, "EUR")


def records(db):
    found = ask(db, "Scan", {"TableName": table_of(db, RECORD), "ConsistentRead": True})
    return found["Items"]


def begun(db, key, **options):
    return db.idempotent(key, **{"payload": {"amount": 5}, "scope": "rules", **options})


def test_the_usual_path_is_one_put_and_one_transaction_and_a_replay_one_put(db, key, wire):
    """Rule 2: the acquire is ``attribute_not_exists`` alone, and its refusal brings the item."""
    for names in (["PutItem", "TransactWriteItems"], ["PutItem"]):
        wire.clear()
        with begun(db, key) as op:
            if not op.replayed:
                with op.transaction() as tx:
                    tx.create(Effect(id=key, order=key))
                op.respond({"id": key})
        assert wire.names == names
        request = wire.calls[0][1]
        text = request["ConditionExpression"]
        for name, stored in request.get("ExpressionAttributeNames", {}).items():
            text = text.replace(name, stored)
        assert text == "attribute_not_exists(pk)"
        assert "ExpressionAttributeValues" not in request
        assert request["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD"


def test_everything_that_happens_to_a_record_counts_its_retention_anew():
    """Rule 3: ``exp`` is written at acquire, takeover, heartbeat, step, release, commit and final failure."""
    times = Times(1_000_000_000, 30_000, 86_400_000)
    later = Times(2_000_000_000, 30_000, 86_400_000)
    first = machine.fresh(b"o" * 16, b"n" * 16, "1:x", times)
    assert first.exp == 1_000_000 + 86_400 + 1
    changes = {
        "takeover": machine.take_over(first, b"p" * 16, later)[0],
        "heartbeat": machine.beat(first, later),
        "step": machine.write_steps(first, {"s": b"1"}, later)[0],
        "release": machine.release(first, later),
        "commit": machine.end(first, machine.COMMITTED, b"x", later),
        "failure": machine.end(first, machine.FAILED, b"x", later),
    }
    assert {name: change.sets["exp"] for name, change in changes.items()} == dict.fromkeys(
        changes, 2_000_000 + 86_400 + 1
    )


def test_the_key_for_the_other_side_is_made_as_it_is_said(db, key):
    """Rule 5: the first 32 hex digits of HMAC-SHA256(nonce, lp(tenant) lp(scope) lp(key) lp(step)), the same over a release."""
    given = []
    with pytest.raises(LookupError), begun(db, key) as op:
        op.step("charge", given.append)
        raise LookupError
    (record,) = [one for one in records(db) if one["st"]["S"] == "P" and "charge" in one["rp"]["M"]]
    nonce = b64decode(record["nonce"]["B"])
    assert len(nonce) == 16
    with begun(db, key) as op:
        op.step("refund", given.append)

    def lp(text):
        return len(text.encode()).to_bytes(4, "big") + text.encode()

    for step, made in zip(("charge", "refund"), given, strict=True):
        message = lp("") + lp("rules") + lp(key) + lp(step)
        assert made == hmac.new(nonce, message, "sha256").hexdigest()[:32]


def test_guards_take_places_too(db, key, wire):
    """Rule 7: fifty items with a unique attribute are a hundred operations, and the record is one more."""
    with pytest.raises(ValidationError, match="100"), begun(db, key) as op, op.transaction() as tx:
        for number in range(50):
            tx.create(Effect(id=f"{key}-{number}", order=f"{key}-{number}"))
    assert "TransactWriteItems" not in wire.names
    with begun(db, key) as op, op.transaction() as tx:
        for number in range(49):
            tx.create(Effect(id=f"{key}-{number}", order=f"{key}-{number}"))
    assert len(wire.calls[-1][1]["TransactItems"]) == 99


def test_an_operation_is_asked_for_as_it_is_said(db):
    """Rule 13: names, defaults, and what the errors are."""
    named = inspect.signature(type(db.inner).idempotent).parameters
    assert [(name, one.default) for name, one in named.items() if one.kind is one.KEYWORD_ONLY] == [
        ("payload", inspect.Parameter.empty),
        ("scope", inspect.Parameter.empty),
        ("lease", 30.0),
        ("retention", 86_400.0),
        ("wait", 0.0),
        ("final", ()),
        ("max_run", 900.0),
    ]
    assert issubclass(ExecutionLost, LeaseLost)  # that of operations; leases of one's own have one, too
    for kind in (InProgress, KeyReused, ExecutionLost, AlreadyDone, StoredFailure, StepUnknown):
        assert issubclass(kind, IdempotencyError)
    error = InProgress("busy", retry_after=1.5)
    assert (error.retryable, error.retry_after) == (True, 1.5)
    assert StepUnknown("unknown", step="charge").retryable is False
    assert KeyReused("reused").outcome is Outcome.NOT_APPLIED


def test_an_account_without_bounds_is_spread_and_one_with_bounds_is_one_item(db, call, key):
    """Rule 17: 16 items, chosen at random, or as many as it was opened with; and summed when it is read."""
    ledger = Ledger(db.inner)
    call(ledger.open, f"{key}-wallet", "EUR", at_least=eur("0"))
    call(ledger.open, f"{key}-few", "EUR", shards=3)
    for number in range(80):
        legs = [Posting(f"{key}-wallet", eur("2")), Posting(f"{key}-fees", eur("-1")), Posting(f"{key}-few", eur("-1"))]
        call(ledger.post, legs, id=f"{key}-{number}")
    items = [one for one in db.model(LedgerBalance).allow_scan().all() if one.pk.startswith(key)]
    of = {
        name: [one for one in items if one.account == f"{key}-{name}" and one.balance]
        for name in ("wallet", "fees", "few")
    }
    assert len(of["wallet"]) == 1
    assert 8 <= len(of["fees"]) <= 16
    assert len(of["few"]) == 3
    assert {name: sum(one.balance for one in found) for name, found in of.items()} == {
        "wallet": 16_000, "fees": -8_000, "few": -8_000,
    }  # fmt: skip
    assert call(ledger.balance, f"{key}-fees") == eur("-80")


def test_each_attempt_has_the_same_id_and_body_and_a_new_time_and_signature(db, call, key):
    """Rule 21."""
    for model in (OutboxEvent, OutboxQueue):
        db.model(model).allow_scan().delete_all(confirm=True)
    clock, sent = [1_700_000_000.0], []
    outbox = Outbox(db.inner, now=lambda: clock[0])
    with db.transaction() as tx:
        outbox.add(getattr(tx, "_subject", tx), "t", {"a": 1}, key=key)

    def deliver(event):
        sent.append((event.headers(SECRET, timestamp=clock[0]), event.body))
        return 500 if len(sent) < 3 else 204

    for seconds in (0, *SCHEDULE[:2]):
        clock[0] += seconds * 1.2
        call(outbox.run, deliver)
    assert len(sent) == 3
    assert len({(headers["webhook-id"], body) for headers, body in sent}) == 1
    for name in ("webhook-timestamp", "webhook-signature"):
        assert len({headers[name] for headers, _ in sent}) == 3
    for headers, body in sent:
        assert verify_webhook(SECRET, headers, body, now=float(headers["webhook-timestamp"]))
