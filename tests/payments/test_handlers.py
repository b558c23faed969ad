"""Lambda, SQS and webhooks: each event has one effect, however often it comes."""

import uuid
from collections import Counter
from types import SimpleNamespace

import pytest

from dynamorm import DB, AsyncDB, Attr, Model, Presets, partition_key
from dynamorm.errors import ConfigError, ValidationError
from dynamorm.payments import ensure_tables, lambda_handler, sqs_handler, webhook_handler
from dynamorm.plugins.idempotency.options import record_key

pytestmark = pytest.mark.engine


class Received(Model, table="received"):
    id: Attr[str] = partition_key()
    count: Attr[int]


@pytest.fixture(scope="module")
def db(engine):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=f"{uuid.uuid4().hex}-")) as db:
        ensure_tables(db)
        db.tables.ensure(Received)
        yield db


@pytest.fixture
def key():
    return uuid.uuid4().hex


def receive(op, key):
    with op.transaction() as tx:
        tx.update(Received, key, Received.count.add(1), upsert=True)
    return {"id": key}


def record(number, body="{}", *, group=None):
    attributes = {} if group is None else {"MessageGroupId": group}
    queue = "arn:aws:sqs:eu-west-1:1:orders" + ("" if group is None else ".fifo")
    return {"messageId": number, "body": body, "attributes": attributes, "eventSourceARN": queue}


CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 20_000)


def test_a_lambda_function_answers_a_repeated_event_as_before(db, key):
    handler = lambda_handler(db, key=lambda event: event["id"])(lambda op, event, context: receive(op, event["id"]))

    assert [handler({"id": key}, CONTEXT) for _ in range(3)] == [{"id": key}] * 3
    assert db.require(Received, key).count == 1


def test_in_lambda_a_key_is_held_as_long_as_the_function_runs(db, key):
    seen = []

    def handle(op, event, context):
        execution = op._execution
        seen.append((execution.options.lease_ms, execution.is_beating, op._thread, op.lost))

    lambda_handler(db, key=lambda event: event)(handle)(key, CONTEXT)
    assert seen == [(20_000, False, None, False)]


def test_a_batch_answers_which_messages_have_failed(db, key):
    def handle(op, record):
        if record["body"] == "bad":
            raise ValueError
        receive(op, record["messageId"])

    handler = sqs_handler(db)(handle)
    batch = {"Records": [record(f"{key}-1"), record(f"{key}-2", "bad"), record(f"{key}-3"), record(f"{key}-1")]}

    for _ in range(2):
        assert handler(batch, CONTEXT) == {"batchItemFailures": [{"itemIdentifier": f"{key}-2"}]}
    assert {db.require(Received, f"{key}-{number}").count for number in (1, 3)} == {1}


def test_a_message_group_stops_at_its_first_failure(db, key):
    ran = []

    def handle(op, record):
        ran.append(record["messageId"])
        if record["body"] == "bad":
            raise ValueError

    names = [f"{key}-{number}" for number in range(5)]
    bodies, groups = ["ok", "bad", "ok", "ok", "ok"], ["a", "a", "a", "b", "b"]
    batch = {"Records": [record(*pair, group=group) for *pair, group in zip(names, bodies, groups, strict=True)]}

    assert sqs_handler(db)(handle)(batch)["batchItemFailures"] == [{"itemIdentifier": names[at]} for at in (1, 2)]
    assert ran == [names[0], names[1], names[3], names[4]]


def test_a_message_that_runs_elsewhere_is_not_taken_off_the_queue(db, key):
    handler = sqs_handler(db)(lambda op, record: pytest.fail("it was run twice at once"))
    with db.idempotent(key, payload="{}", scope="sqs"):
        assert handler({"Records": [record(key)]}) == {"batchItemFailures": [{"itemIdentifier": key}]}


def test_a_message_with_another_body_has_a_rule_of_its_own(db, key):
    strange = []
    batch = {"Records": [record(key), record(key, "another")]}

    assert sqs_handler(db)(lambda op, record: None)(batch) == {"batchItemFailures": [{"itemIdentifier": key}]}
    taken = sqs_handler(db, on_reused=lambda record, error: strange.append(record["body"]))(lambda op, record: None)
    assert taken(batch) == {"batchItemFailures": []}
    assert strange == ["another"]


def test_webhooks_have_one_effect_each(db, key, figure):
    handle = webhook_handler(db, key=lambda event: event["id"])(lambda op, event: receive(op, event["id"]))
    events = [{"id": f"{key}-{number % 100}", "attempt": number} for number in range(500)]

    answers = [handle(event) for event in events]
    counts = Counter(db.require(Received, f"{key}-{number}").count for number in range(100))
    assert answers == [{"id": event["id"]} for event in events]
    assert counts == {1: 100}
    figure("webhooks: 100 events, 5 deliveries each: 100 effects")


@pytest.mark.soak
def test_ten_thousand_webhooks_delivered_five_times(db, key, figure):
    handle = webhook_handler(db, key=lambda event: event)(receive)
    for number in range(50_000):
        handle(f"{key}-{number % 10_000}")
    counts = Counter(one.count for one in db.model(Received).allow_scan().all() if one.id.startswith(key))
    assert counts == {1: 10_000}
    figure("webhooks: 10,000 events, 5 deliveries each: 10,000 effects")


def test_webhooks_are_kept_for_a_month_and_never_less_than_four_days(db, key):
    webhook_handler(db, key=lambda event: event)(lambda op, event: op)
    with db.idempotent(key, payload=None, scope="webhook") as op:
        assert op._execution.options.retention_ms == 30 * 86_400_000
        assert op._execution.options.record_key == record_key("", "webhook", key)
    with pytest.raises(ValidationError, match="4 days"):
        webhook_handler(db, key=lambda event: event, retention=3_600)(lambda op, event: None)(key)


@pytest.mark.parametrize("make", [lambda_handler, sqs_handler, webhook_handler])
def test_a_handler_is_for_a_blocking_database(make):
    with pytest.raises(ConfigError, match="blocking DB"):
        make(AsyncDB, key=str)
