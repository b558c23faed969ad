"""Lambda, SQS and webhooks: each event has one effect, however often it comes."""

import uuid
from collections import Counter
from datetime import timedelta
from functools import partial, wraps
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
    handler = lambda_handler(db, key=lambda event: event["id"], scope="pay")(
        lambda op, event, context: receive(op, event["id"])
    )

    assert [handler({"id": key}, CONTEXT) for _ in range(3)] == [{"id": key}] * 3
    assert db.require(Received, key).count == 1


def test_in_lambda_a_key_is_held_as_long_as_the_function_runs(db, key):
    seen = []

    def handle(op, event, context):
        execution = op._execution
        seen.append((execution.options.lease_ms, execution.is_beating, op._thread, op.lost))

    lambda_handler(db, key=lambda event: event, scope="pay")(handle)(key, CONTEXT)
    assert seen == [(20_000, False, None, False)]


def test_a_batch_answers_which_messages_have_failed(db, key):
    def handle(op, record):
        if record["body"] == "bad":
            raise ValueError
        receive(op, record["messageId"])

    handler = sqs_handler(db, scope="orders")(handle)
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

    assert sqs_handler(db, scope="orders")(handle)(batch)["batchItemFailures"] == [
        {"itemIdentifier": names[at]} for at in (1, 2)
    ]
    assert ran == [names[0], names[1], names[3], names[4]]


def test_a_message_that_runs_elsewhere_is_not_taken_off_the_queue(db, key):
    handler = sqs_handler(db, scope="orders")(lambda op, record: pytest.fail("it was run twice at once"))
    with db.idempotent(key, payload="{}", scope="sqs:orders"):
        assert handler({"Records": [record(key)]}) == {"batchItemFailures": [{"itemIdentifier": key}]}


def test_a_message_with_another_body_has_a_rule_of_its_own(db, key):
    strange = []
    batch = {"Records": [record(key), record(key, "another")]}

    assert sqs_handler(db, scope="orders")(lambda op, record: None)(batch) == {
        "batchItemFailures": [{"itemIdentifier": key}]
    }
    taken = sqs_handler(db, scope="orders", on_reused=lambda record, error: strange.append(record["body"]))(
        lambda op, record: None
    )
    assert taken(batch) == {"batchItemFailures": []}
    assert strange == ["another"]


def test_webhooks_have_one_effect_each(db, key, figure):
    handle = webhook_handler(db, key=lambda event: event["id"], scope="stripe")(
        lambda op, event: receive(op, event["id"])
    )
    events = [{"id": f"{key}-{number % 100}", "attempt": number} for number in range(500)]

    answers = [handle(event) for event in events]
    counts = Counter(db.require(Received, f"{key}-{number}").count for number in range(100))
    assert answers == [{"id": event["id"]} for event in events]
    assert counts == {1: 100}
    figure("webhooks: 100 events, 5 deliveries each: 100 effects")


@pytest.mark.soak
def test_ten_thousand_webhooks_delivered_five_times(db, key, figure):
    handle = webhook_handler(db, key=lambda event: event, scope="stripe")(receive)
    for number in range(50_000):
        handle(f"{key}-{number % 10_000}")
    counts = Counter(one.count for one in db.model(Received).allow_scan().all() if one.id.startswith(key))
    assert counts == {1: 10_000}
    figure("webhooks: 10,000 events, 5 deliveries each: 10,000 effects")


def test_webhooks_are_kept_for_a_month_and_never_less_than_four_days(db, key):
    for scope in ("webhook", "webhook:stripe"):
        with db.idempotent(key, payload=None, scope=scope) as op:
            assert op._execution.options.retention_ms == 30 * 86_400_000
            assert op._execution.options.record_key == record_key("", scope, key)
    taken = []
    webhook_handler(db, key=lambda event: event, scope="adyen")(lambda op, event: taken.append(op._execution.options))(
        key
    )
    assert [(one.scope, one.retention_ms) for one in taken] == [("webhook:adyen", 30 * 86_400_000)]
    for retention in (3_600, 86_400, 86_400.0, timedelta(days=3)):
        with pytest.raises(ValidationError, match="4 days"):
            webhook_handler(db, key=str, scope="stripe", retention=retention)(lambda op, event: None)
    webhook_handler(db, key=str, scope="stripe", retention=timedelta(days=5))(lambda op, event: None)(key)


@pytest.mark.parametrize("make", [lambda_handler, sqs_handler, webhook_handler])
def test_a_handler_is_for_a_blocking_database(make):
    with pytest.raises(ConfigError, match="blocking DB"):
        make(AsyncDB, key=str)


def first(op, event, context=None):
    return "first"


def second(op, event, context=None):
    return "second"


class Sender:
    def handle(self, op, event, context=None):
        return "a method of a class"


def given_to(make, handler, key, context=None, **options):
    """What a handler answers to one event, of whatever kind it is."""
    answers = []

    @wraps(handler)
    def kept(op, event, *rest):
        answers.append(handler(op, event, *rest))
        return answers[-1]

    handle = make(DBS[0], **options, **({} if make is sqs_handler else {"key": lambda event: event["id"]}))(kept)
    if make is sqs_handler:
        assert handle({"Records": [record(key)]}, context) == {"batchItemFailures": []}
    elif make is lambda_handler:
        handle({"id": key}, context)
    else:
        handle({"id": key})
    return answers


DBS = []


@pytest.fixture
def shared(db):
    DBS[:] = [db]


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("make", [lambda_handler, sqs_handler, webhook_handler])
def test_two_handlers_that_get_the_same_id_have_an_effect_each(make, key):
    """Ids are of their source: the name of a function tells handlers apart, or ``scope``; and a repetition is one."""
    for handler in (first, second, Sender().handle):
        assert len(given_to(make, handler, key)) == 1
        assert given_to(make, handler, key) == []
    for scope in ("stripe", "adyen", "x" * 200, "x" * 201):
        assert given_to(make, first, key, scope=scope) == ["first"]
        assert given_to(make, second, key, scope=scope) == []
    if make is not webhook_handler:
        for name in ("mail", "book"):
            assert given_to(make, first, key, SimpleNamespace(function_name=name)) == ["first"]
            assert given_to(make, first, key, SimpleNamespace(function_name=name)) == []


def test_a_handler_of_several_senders_is_told_them_apart_by_a_function(db, key):
    ran = []
    handle = webhook_handler(db, key=lambda event: event["id"], scope=lambda event: event["sender"])(
        lambda op, event: ran.append(event["sender"])
    )
    for sender in ("stripe", "adyen", "stripe", "adyen"):
        handle({"id": key, "sender": sender})
    assert ran == ["stripe", "adyen"]
    for nobody in ("", None, 5):
        with pytest.raises(ValidationError, match="scope"):
            handle({"id": key, "sender": nobody})


@pytest.mark.parametrize("make", [lambda_handler, sqs_handler, webhook_handler])
def test_a_function_without_a_name_of_its_own_needs_a_scope(db, make):
    options = {} if make is sqs_handler else {"key": str}

    def within(op, event):
        return None

    for nameless in (within, lambda op, event: None, partial(first, None), first.__call__):
        with pytest.raises(ConfigError, match="scope"):
            make(db, **options)(nameless)
    with pytest.raises(ConfigError, match="scope"):
        make(db, scope=5, **options)(first)


def test_a_message_with_a_group_that_is_none_has_failed_alone(db, key):
    batch = {"Records": [record(f"{key}-1", group="a"), record(f"{key}-2", group=5), record(f"{key}-3", group="b")]}
    answer = sqs_handler(db, scope="orders")(lambda op, record: None)(batch)
    assert answer == {"batchItemFailures": [{"itemIdentifier": f"{key}-2"}]}
