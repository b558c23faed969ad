"""Lambda, SQS and webhooks: each event has one effect, however often it comes. On both faces."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from functools import partial, wraps
from inspect import iscoroutinefunction
from types import SimpleNamespace

import pytest

from dynamorm import DB, AsyncDB, Attr, Model, partition_key
from dynamorm.errors import ConfigError, InProgress, KeyReused, ValidationError
from dynamorm.payments import ensure_tables, lambda_handler, sqs_handler, webhook_handler
from dynamorm.plugins.idempotency.options import record_key
from tests.support.held import HeldNetwork

pytestmark = pytest.mark.engine


class Received(Model, table="received"):
    id: Attr[str] = partition_key()
    count: Attr[int]


MODELS = (Received,)


def made_with(db):
    ensure_tables(db)


@pytest.fixture
def handled(db, call):
    """Makes a handler of a plain function, and gives what calls it in the blocking way; on the asyncio face it is a coroutine function."""

    def made(make, function, **options):
        if db.kind == "asyncio" and not iscoroutinefunction(function):
            plain = function

            @wraps(plain)
            async def function(*given):
                await asyncio.sleep(0)
                return plain(*given)

        decorated = make(db.inner, **options)(function)
        assert iscoroutinefunction(decorated) is (db.kind == "asyncio")
        return lambda *given: call(decorated, *given)

    return made


def receive(op, key):
    with op.transaction() as tx:
        tx.update(Received, key, Received.count.add(1), upsert=True)
    return {"id": key}


def record(number, body="{}", *, group=None):
    attributes = {} if group is None else {"MessageGroupId": group}
    queue = "arn:aws:sqs:eu-west-1:1:orders" + ("" if group is None else ".fifo")
    return {"messageId": number, "body": body, "attributes": attributes, "eventSourceARN": queue}


CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 20_000)


def test_a_lambda_function_answers_a_repeated_event_as_before(db, handled, key):
    def pay(op, event, context):
        return receive(op, event["id"])

    handler = handled(lambda_handler, pay, key=lambda event: event["id"], scope="pay")

    assert [handler({"id": key}, CONTEXT) for _ in range(3)] == [{"id": key}] * 3
    assert db.require(Received, key).count == 1


def test_in_lambda_a_key_is_held_as_long_as_the_function_runs(handled, key):
    seen = []

    def handle(op, event, context):
        execution = op._execution
        beats = getattr(op, "_thread", None) or getattr(op, "_task", None)
        seen.append((execution.options.lease_ms, execution.is_beating, beats, op.lost))

    handled(lambda_handler, handle, key=lambda event: event, scope="pay")(key, CONTEXT)
    assert seen == [(20_000, False, None, False)]


def test_a_batch_answers_which_messages_have_failed(db, handled, key):
    def handle(op, record):
        if record["body"] == "bad":
            raise ValueError
        receive(op, record["messageId"])

    handler = handled(sqs_handler, handle, scope="orders")
    batch = {"Records": [record(f"{key}-1"), record(f"{key}-2", "bad"), record(f"{key}-3"), record(f"{key}-1")]}

    for _ in range(2):
        assert handler(batch, CONTEXT) == {"batchItemFailures": [{"itemIdentifier": f"{key}-2"}]}
    assert {db.require(Received, f"{key}-{number}").count for number in (1, 3)} == {1}


def test_a_message_group_stops_at_its_first_failure(handled, key):
    ran = []

    def handle(op, record):
        ran.append(record["messageId"])
        if record["body"] == "bad":
            raise ValueError

    names = [f"{key}-{number}" for number in range(5)]
    bodies, groups = ["ok", "bad", "ok", "ok", "ok"], ["a", "a", "a", "b", "b"]
    batch = {"Records": [record(*pair, group=group) for *pair, group in zip(names, bodies, groups, strict=True)]}

    assert handled(sqs_handler, handle, scope="orders")(batch)["batchItemFailures"] == [
        {"itemIdentifier": names[at]} for at in (1, 2)
    ]
    assert ran == [names[0], names[1], names[3], names[4]]


def test_a_message_that_runs_elsewhere_is_not_taken_off_the_queue(db, handled, key):
    handler = handled(sqs_handler, lambda op, record: pytest.fail("it was run twice at once"), scope="orders")
    with db.idempotent(key, payload="{}", scope="sqs:orders"):
        assert handler({"Records": [record(key)]}) == {"batchItemFailures": [{"itemIdentifier": key}]}


def test_a_message_of_which_nobody_knows_has_failed_and_is_done_once(plugged, key):
    """The commit is under way when the time is over; it arrives later, and the message that comes again is a replay."""
    network = HeldNetwork("TransactWriteItems")
    db = plugged(network, operation_timeout=2.0)

    def handle(op, record):
        return receive(op, record["messageId"])

    handler = sqs_handler(db.inner, scope="orders")(handle)
    network.schedule = ["hold"] * 50
    batch = {"Records": [record(key)]}
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 20_000)
    assert db_call(db, handler, batch, context) == {"batchItemFailures": [{"itemIdentifier": key}]}
    network.schedule = []
    assert network.deliver(db) == 200
    for _ in range(2):
        assert db_call(db, handler, batch, context) == {"batchItemFailures": []}
    assert db.require(Received, key).count == 1


def db_call(db, function, *args):
    result = function(*args)
    return result if db.kind == "blocking" else db._loop.run(result)


def nothing(op, record):
    return None


def test_a_message_with_another_body_has_a_rule_of_its_own(handled, key):
    strange = []
    batch = {"Records": [record(key), record(key, "another")]}

    assert handled(sqs_handler, nothing, scope="orders")(batch) == {"batchItemFailures": [{"itemIdentifier": key}]}
    taken = handled(
        sqs_handler, nothing, scope="orders", on_reused=lambda record, error: strange.append(record["body"])
    )
    assert taken(batch) == {"batchItemFailures": []}
    assert strange == ["another"]


def test_webhooks_have_one_effect_each(db, handled, key, figure):
    handle = handled(
        webhook_handler, lambda op, event: receive(op, event["id"]), key=lambda event: event["id"], scope="stripe"
    )
    events = [{"id": f"{key}-{number % 100}", "attempt": number} for number in range(500)]

    answers = [handle(event) for event in events]
    counts = Counter(db.require(Received, f"{key}-{number}").count for number in range(100))
    assert answers == [{"id": event["id"]} for event in events]
    assert counts == {1: 100}
    figure("webhooks: 100 events, 5 deliveries each: 100 effects")


@pytest.mark.soak
def test_ten_thousand_webhooks_delivered_five_times(db, handled, key, figure):
    """In a random order, from eight senders at once."""
    handle = handled(webhook_handler, receive, key=lambda event: event, scope="stripe")
    deliveries = [f"{key}-{number % 10_000}" for number in range(50_000)]
    random.Random(5).shuffle(deliveries)
    busy = []

    def sender(turn):
        for event in deliveries[turn::8]:
            try:
                assert handle(event) == {"id": event}
            except InProgress:
                busy.append(event)  # another delivery of it runs: the sender comes again

    db.concurrently(sender, 8)
    for event in busy:
        assert handle(event) == {"id": event}
    counts = Counter(one.count for one in db.model(Received).allow_scan().all() if one.id.startswith(key))
    assert counts == {1: 10_000}
    figure(f"webhooks: 10,000 events, 5 deliveries each, {db.kind}, {len(busy)} met a running one: 10,000 effects")


def test_webhooks_are_kept_for_a_month_and_never_less_than_four_days(db, handled, key):
    for scope in ("webhook", "webhook:stripe"):
        with db.idempotent(key, payload=None, scope=scope) as op:
            assert op._execution.options.retention_ms == 30 * 86_400_000
            assert op._execution.options.record_key == record_key("", scope, key)
    taken = []
    handled(
        webhook_handler,
        lambda op, event: taken.append(op._execution.options),
        key=lambda event: event,
        scope="adyen",
    )(key)
    assert [(one.scope, one.retention_ms) for one in taken] == [("webhook:adyen", 30 * 86_400_000)]
    for retention in (3_600, 86_400, 86_400.0, timedelta(days=3)):
        with pytest.raises(ValidationError, match="4 days"):
            handled(webhook_handler, nothing, key=str, scope="stripe", retention=retention)
    handled(webhook_handler, nothing, key=str, scope="stripe", retention=timedelta(days=5))(key)


@pytest.mark.parametrize("make", [lambda_handler, sqs_handler, webhook_handler])
def test_a_handler_is_for_a_database(make):
    for no_database in (None, DB, AsyncDB, "db"):
        with pytest.raises(ConfigError, match="a DB or an AsyncDB"):
            make(no_database, key=str)


@pytest.mark.parametrize("make", [lambda_handler, sqs_handler, webhook_handler])
def test_a_coroutine_function_is_for_an_asyncio_database(db, make, call, key):
    if db.kind == "asyncio":
        make(db.inner, key=str, scope="x")(nothing)  # a plain one will do there
        return

    async def later(op, *event):
        return None

    with pytest.raises(ConfigError, match="AsyncDB"):
        make(db.inner, key=str, scope="x")(later)
    if make is not sqs_handler:
        with pytest.raises(ValidationError, match="coroutine"):
            make(db.inner, key=str, scope="x")(lambda op, *event: later(op))(key, *[None] * (make is lambda_handler))


def test_on_the_asyncio_face_everything_a_handler_is_given_may_be_awaited(db, call, key):
    """Steps, the writes, ``on_reused``."""
    if db.kind != "asyncio":
        pytest.skip("the blocking face awaits nothing")
    strange = []

    async def reused(record, error):
        await asyncio.sleep(0)
        strange.append((record["body"], type(error)))

    @sqs_handler(db.inner, scope="orders", on_reused=reused)
    async def handler(op, record):
        charged = await op.step("charge", lambda key: asyncio.sleep(0, result=len(key)))
        async with op.transaction() as tx:
            tx.update(Received, record["messageId"], Received.count.add(charged), upsert=True)

    batch = {"Records": [record(key), record(key), record(key, "another")]}
    assert call(handler, batch) == {"batchItemFailures": []}
    assert db.require(Received, key).count == 32
    assert strange == [("another", KeyReused)]


def test_a_handler_that_is_cancelled_gives_its_keys_back(db, call, key):
    if db.kind != "asyncio":
        pytest.skip("nobody cancels a blocking function")
    ran, begun = [], asyncio.Event()

    @sqs_handler(db.inner, scope="orders")
    async def handler(op, record):
        ran.append(record["messageId"])
        if len(ran) == 1:
            begun.set()
            await asyncio.sleep(60)

    async def cancelled():
        task = asyncio.ensure_future(handler({"Records": [record(f"{key}-1"), record(f"{key}-2")]}))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    call(cancelled)
    assert call(handler, {"Records": [record(f"{key}-1")]}) == {"batchItemFailures": []}
    assert ran == [f"{key}-1"] * 2


def test_a_handler_whose_own_work_was_cancelled_has_failed_alone(db, call, key):
    if db.kind != "asyncio":
        pytest.skip("nobody cancels a blocking function")

    @sqs_handler(db.inner, scope="orders")
    async def handler(op, record):
        if record["body"] == "bad":
            raise asyncio.CancelledError

    batch = {"Records": [record(f"{key}-1", "bad"), record(f"{key}-2")]}
    assert call(handler, batch) == {"batchItemFailures": [{"itemIdentifier": f"{key}-1"}]}


@pytest.mark.parametrize(
    "broken", [{"body": "b"}, {"messageId": None, "body": "b"}, {"messageId": "", "body": "b"}, None, "text"]
)
def test_a_message_that_cannot_be_named_fails_the_batch_by_the_answer(db, handled, key, broken, caplog):
    """Lambda takes the whole batch for failed where an identifier is empty: nothing is lost, and what was done stays done."""
    handler = handled(sqs_handler, lambda op, record: receive(op, record["messageId"]), scope="orders")
    batch = {"Records": [record(f"{key}-1"), broken, record(f"{key}-2")]}
    for _ in range(2):
        assert handler(batch) == {"batchItemFailures": [{"itemIdentifier": ""}]}
    assert [db.require(Received, f"{key}-{number}").count for number in (1, 2)] == [1, 1]
    assert "ValidationError" in caplog.text


def test_a_message_that_cannot_be_named_may_have_a_key_of_its_own(db, handled, key):
    handler = handled(
        sqs_handler, lambda op, record: receive(op, record["body"]), key=lambda record: record["body"], scope="orders"
    )
    for _ in range(2):
        assert handler({"Records": [{"body": key}]}) == {"batchItemFailures": []}
    assert db.require(Received, key).count == 1


@pytest.mark.parametrize("event", [{}, None, [], {"Records": None}, {"records": []}, "text"])
def test_an_event_that_is_no_batch_is_refused(handled, event):
    with pytest.raises(ValidationError, match="Records"):
        handled(sqs_handler, nothing, scope="orders")(event)


def first(op, event, context=None):
    return "first"


def second(op, event, context=None):
    return "second"


@pytest.fixture
def given_to(handled):
    """What a handler of whatever kind answers to one event."""

    def given(make, handler, key, context=None, **options):
        answers = []

        @wraps(handler)
        def kept(op, event, *rest):
            answers.append(handler(op, event, *rest))
            return answers[-1]

        handle = handled(make, kept, **options, **({} if make is sqs_handler else {"key": lambda event: event["id"]}))
        if make is sqs_handler:
            assert handle({"Records": [record(key)]}, context) == {"batchItemFailures": []}
        elif make is lambda_handler:
            handle({"id": key}, context)
        else:
            handle({"id": key})
        return answers

    return given


@pytest.mark.parametrize("make", [lambda_handler, sqs_handler, webhook_handler])
def test_two_handlers_that_get_the_same_id_have_an_effect_each(make, given_to, key):
    """Ids are of their source: the name of a function tells handlers apart, or ``scope``; and a repetition is one."""
    for handler in (first, second):
        assert len(given_to(make, handler, key)) == 1
        assert given_to(make, handler, key) == []
    for scope in ("stripe", "adyen", "x" * 200, "x" * 201):
        assert given_to(make, first, key, scope=scope) == ["first"]
        assert given_to(make, second, key, scope=scope) == []
    if make is not webhook_handler:
        for name in ("mail", "book"):
            assert given_to(make, first, key, SimpleNamespace(function_name=name)) == ["first"]
            assert given_to(make, first, key, SimpleNamespace(function_name=name)) == []


def test_a_handler_of_several_senders_is_told_them_apart_by_a_function(handled, key):
    ran = []
    handle = handled(
        webhook_handler,
        lambda op, event: ran.append(event["sender"]),
        key=lambda event: event["id"],
        scope=lambda event: event["sender"],
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
            make(db.inner, **options)(nameless)
    with pytest.raises(ConfigError, match="scope"):
        make(db.inner, scope=5, **options)(first)


def test_a_message_with_a_group_that_is_none_has_failed_alone(handled, key):
    batch = {"Records": [record(f"{key}-1", group="a"), record(f"{key}-2", group=5), record(f"{key}-3", group="b")]}
    answer = handled(sqs_handler, nothing, scope="orders")(batch)
    assert answer == {"batchItemFailures": [{"itemIdentifier": f"{key}-2"}]}


class Source:
    def handle(self, op, event, context=None):
        return None

    @classmethod
    def of_class(cls, op, event, context=None):
        return None


class Inherits(Source):
    """Has the functions of another class."""


@pytest.mark.parametrize("make", [lambda_handler, sqs_handler, webhook_handler])
@pytest.mark.parametrize("function", [Source().handle, Inherits().handle, Inherits.handle, Inherits.of_class])
def test_methods_of_two_objects_share_no_scope(db, make, function):
    """Their name is one, and what they are of is not: events of one source would be taken for those of another."""
    options = {} if make is sqs_handler else {"key": lambda event: event}
    with pytest.raises(ConfigError, match="scope="):
        make(db.inner, **options)(function)
    assert make(db.inner, scope="us", **options)(function)


def test_what_would_nobody_await_is_no_on_reused(db, handled, key):
    async def reused(record, error):
        """Of an `AsyncDB` it is awaited."""

    def gives_one(record, error):
        return reused(record, error)

    if db.kind == "asyncio":
        pytest.skip("there it is awaited")
    with pytest.raises(ConfigError, match="on_reused"):
        sqs_handler(db.inner, scope="reused", on_reused=reused)
    handler = handled(sqs_handler, lambda op, record: None, scope="reused", on_reused=gives_one)
    assert handler({"Records": [record(key, "a")]}) == {"batchItemFailures": []}
    assert handler({"Records": [record(key, "b")]}) == {"batchItemFailures": [{"itemIdentifier": key}]}


def test_a_group_of_tasks_that_failed_is_no_cancellation_of_those_behind_it(db, handled, key):
    """On Python 3.11 the task still counts as cancelled behind it."""
    if db.kind != "asyncio":
        pytest.skip("tasks are those of asyncio")

    async def handle(op, message):
        if message["body"] == "group":
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(5))
                raise ValueError
        if message["body"] == "inner":
            task = asyncio.ensure_future(asyncio.sleep(5))
            task.cancel()
            await task

    handler = handled(sqs_handler, handle, scope="cancelled")
    bodies = ("group", "inner", "ok")
    answer = handler({"Records": [record(f"{key}{body}", body) for body in bodies]})
    assert [one["itemIdentifier"].removeprefix(key) for one in answer["batchItemFailures"]] == ["group", "inner"]


@pytest.mark.parametrize("raised", [GeneratorExit, StopIteration, StopAsyncIteration, RecursionError])
def test_what_ends_a_generator_fails_one_message_alone(db, key, raised):
    if db.kind == "asyncio" and raised is GeneratorExit:
        pytest.skip("there it says that the coroutine was closed")

    def handle(op, message):
        if message["body"] == "bad":
            raise raised

    async def handled_by_asyncio(op, message):
        handle(op, message)

    function = handle if db.kind == "blocking" else handled_by_asyncio
    handler = sqs_handler(db.inner, scope="ends")(function)
    answer = handler({"Records": [record(f"{key}1", "bad"), record(f"{key}2", "ok")]})
    answer = db._loop.run(answer) if db.kind == "asyncio" else answer
    assert answer == {"batchItemFailures": [{"itemIdentifier": f"{key}1"}]}
