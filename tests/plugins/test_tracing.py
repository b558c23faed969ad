"""Tracing: one span for each verb, one below it for each request, named and described as the conventions say."""

import asyncio
import json
from contextvars import copy_context
from urllib.parse import urlsplit

import pytest
from opentelemetry import baggage, context, trace

from dynamorm import AsyncDB, Attr, Model, Presets, Unique, attr, gsi, partition_key, sort_key, version
from dynamorm.errors import (
    AlreadyExists,
    ConditionFailed,
    ConfigError,
    MissingItem,
    NotFound,
    TransactionCancelled,
    ValidationError,
    VersionConflict,
)
from dynamorm.plugin import Operation, Plugin
from dynamorm.plugins.tracing import SCHEMA_URL
from tests.behaviour.kit import table_of

from .spans import Spans, failed, is_below, is_within, split

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Order(Model, table="orders"):
    by_status = gsi("by-status", partition="status")

    customer: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    status: Attr[str] = attr(default="open")


class User(Model, table="users"):
    id: Attr[str] = partition_key()
    email: Attr[str] = attr(Unique())


class Counter(Model, table="counters"):
    """Without a version: an addition is a transaction, and its result is read back."""

    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)


MODELS = [Payment, Order, User, Counter]
DEPRECATED = {
    "db.system", "db.statement", "db.operation", "db.name", "db.query.text", "rpc.system", "rpc.service", "rpc.method",
    "net.peer.name", "net.peer.port", "aws.region",
}  # fmt: skip


@pytest.fixture
def spans():
    return Spans()


@pytest.fixture
def db(plugged, spans):
    return plugged(spans.plugin())


def filled(db, key, count=5):
    """Orders of one customer."""
    assert db.batch_write(puts=[Order(customer=key, number=n) for n in range(count)]).ok
    return db.model(Order).where(Order.customer == key)


# ------------------------------------------------------------------------------------------------------- what they are


def test_a_verb_and_its_request(db, spans, key, engine):
    db.create(Payment(id=key))
    verb, (request,) = spans.one()
    table, server = table_of(db, Payment), urlsplit(engine.endpoint)
    assert verb.name == "dynamorm.create Payment"
    assert dict(verb.attributes) == {
        "dynamorm.verb": "create",
        "dynamorm.model": "Payment",
        "db.collection.name": table,
    }
    assert request.name == f"PutItem {table}"
    known = dict(request.attributes)
    assert known.pop("aws.request_id")
    assert known == {
        "db.system.name": "aws.dynamodb",
        "db.operation.name": "PutItem",
        "db.collection.name": table,
        "aws.dynamodb.table_names": (table,),
        "server.address": server.hostname,
        "server.port": server.port,
        "cloud.region": db.inner._session.config.resolve_region(),
    }
    assert verb.parent is None
    assert is_within(request, verb)
    assert verb.instrumentation_scope.schema_url == request.instrumentation_scope.schema_url == SCHEMA_URL
    assert not failed(verb)
    assert not failed(request)
    assert not verb.events + request.events


def test_the_names_are_those_of_the_conventions():
    """All that are stable are in the package that the SDK brings; the others are of DynamoDB, of AWS and of the cloud."""
    from opentelemetry.semconv._incubating.attributes import aws_attributes, cloud_attributes, db_attributes
    from opentelemetry.semconv.attributes import db_attributes as stable
    from opentelemetry.semconv.attributes import error_attributes, exception_attributes, server_attributes
    from opentelemetry.semconv.schemas import Schemas

    known = {
        value
        for module in (
            aws_attributes, cloud_attributes, stable, error_attributes, exception_attributes, server_attributes,
        )
        for value in vars(module).values()
        if isinstance(value, str)
    }  # fmt: skip
    assert {
        "db.system.name", "db.operation.name", "db.collection.name", "db.operation.batch.size", "db.response.status_code",
        "aws.dynamodb.table_names", "aws.dynamodb.index_name", "aws.dynamodb.consumed_capacity", "aws.request_id",
        "server.address", "server.port", "cloud.region", "error.type", "exception.type", "exception.message",
    } <= known  # fmt: skip
    assert db_attributes.DbSystemNameValues.AWS_DYNAMODB.value == "aws.dynamodb"
    assert SCHEMA_URL in {one.value for one in Schemas}


def calls_of(db, key):
    """Each verb: its name, the call, and the requests that it makes."""
    query = db.model(Order).where(Order.customer == key)

    def committed():
        with db.transaction() as tx:
            tx.put(Order(customer=key, number=3))
            tx.create(Payment(id=key + "t"))

    return [
        ("create Payment", lambda: db.create(Payment(id=key)), ["PutItem"]),
        ("get Payment", lambda: db.get(Payment, key), ["GetItem"]),
        ("require Payment", lambda: db.require(Payment, key), ["GetItem"]),
        ("exists Payment", lambda: db.exists(Payment, key), ["GetItem"]),
        ("put Order", lambda: db.put(Order(customer=key, number=1)), ["PutItem"]),
        ("save Payment", lambda: db.save(Payment(id=key + "s")), ["PutItem"]),
        ("update Payment", lambda: db.update(db.get(Payment, key), Payment.amount.add(1)), ["UpdateItem"]),
        ("increment Payment", lambda: db.increment(Payment, key, Payment.amount), None),
        ("batch_write Order", lambda: db.batch_write(puts=[Order(customer=key, number=n) for n in (2, 4)]), ["BatchWriteItem"]),
        ("batch_get Order", lambda: db.batch_get(Order, [(key, 1), (key, 2)]), ["BatchGetItem"]),
        ("transact_get", lambda: db.transact_get([(Payment, key), (Order, key, 1)]), ["TransactGetItems"]),
        ("transaction", committed, ["TransactWriteItems"]),
        ("all Order", query.all, ["Query"]),
        ("first Order", query.first, ["Query"]),
        ("count Order", query.count, ["Query"]),
        ("exists Order", query.exists, ["Query"]),
        ("page Order", query.page_size(2).page, ["Query"]),
        ("iterate Order", lambda: list(query), ["Query"]),
        ("sum Order", lambda: query.sum(Order.number), ["Query"]),
        ("all Order", lambda: db.model(Order).allow_scan().all(), ["Scan"]),
        ("partiql Payment", lambda: db.partiql("SELECT * FROM {table} WHERE id = ?", key, model=Payment), ["ExecuteStatement"]),
        ("find_by_unique User", lambda: db.find_by_unique(User, email=key), None),
        ("delete Order", lambda: db.delete(Order, key, 1), ["DeleteItem"]),
        ("delete_all Order", lambda: query.delete_all(confirm=True), None),
    ]  # fmt: skip


def test_every_verb_has_one_span_and_each_request_one_below_it(db, spans, key):
    for name, call, requests in calls_of(db, key):
        call()
        verbs, made = split(spans.ours())
        verbs = [span for span in verbs if span.name == f"dynamorm.{name}"]  # an update loads its object first
        assert len(verbs) == 1, name
        below = [request for request in made if is_below(request, verbs[0])]
        assert below, name
        assert all(is_within(request, verbs[0]) for request in below)
        if requests is not None:
            assert [request.attributes["db.operation.name"] for request in below] == requests, name
        for span in (*verbs, *made):
            assert not DEPRECATED & set(span.attributes), name
            assert not failed(span)
        assert not any("db.system.name" in span.attributes for span in verbs)


def test_a_query_tells_its_index_and_pages_their_numbers(db, spans, key):
    filled(db, key)
    db.model(Order).index("by-status").where(Order.status == key).all()
    list(db.model(Order).where(Order.customer == key).page_size(2))
    verbs, _ = split(spans.ours())
    assert verbs[1].attributes["aws.dynamodb.index_name"] == "by-status"
    assert [verb.attributes["dynamorm.page"] for verb in verbs[2:]] == [0, 1, 2]


def test_batches_tell_their_size_when_there_are_two(db, spans, key):
    """And their tables; the name of one table stands for it where there is one."""
    orders, payments = table_of(db, Order), table_of(db, Payment)
    db.batch_write(puts=[Order(customer=key, number=1)])
    db.batch_write(puts=[Order(customer=key, number=1), Order(customer=key, number=2), Payment2(id=key)])
    db.batch_get(Order, [(key, 1), (key, 2)])
    db.transact_get([(Payment, key), (Order, key, 1)])
    with db.transaction() as tx:
        tx.create(Payment(id=key))
        tx.put(Order(customer=key, number=3))
    db.partiql("SELECT * FROM {table} WHERE id = ?", key, model=Payment)
    _, requests = split(spans.ours())
    found = [
        (span.name, span.attributes.get("db.operation.batch.size"), span.attributes["aws.dynamodb.table_names"])
        for span in requests
    ]
    plain = table_of(db, Payment2)
    assert found == [
        (f"BatchWriteItem {orders}", None, (orders,)),
        ("BatchWriteItem", 3, (orders, plain)),
        (f"BatchGetItem {orders}", 2, (orders,)),
        ("TransactGetItems", 2, (orders, payments)),
        ("TransactWriteItems", 2, (orders, payments)),
        (f"ExecuteStatement {payments}", None, (payments,)),
    ]
    assert all(span.attributes.get("db.collection.name") == (span.name.partition(" ")[2] or None) for span in requests)


class Payment2(Model, table="counters"):
    """Without a version, so that it goes into batches."""

    id: Attr[str] = partition_key()


def test_a_batch_of_a_hundred_and_twenty_is_one_verb(db, spans, key):
    """On the blocking face its requests are made in threads."""
    assert len(filled(db, key, 120).all()) == 120
    spans.take()
    assert len(db.batch_get(Order, [(key, n) for n in range(120)])) == 120
    _, requests = spans.one()
    assert sorted(request.attributes["db.operation.batch.size"] for request in requests) == [20, 100]
    assert db.batch_write(puts=[Order(customer=key, number=n) for n in range(60)]).ok
    _, requests = spans.one()
    assert sorted(request.attributes["db.operation.batch.size"] for request in requests) == [10, 25, 25]
    assert db.model(Order).allow_scan().segments(4).count() >= 120
    _, requests = spans.one()
    assert len(requests) >= 4


def test_capacity_where_a_plugin_asks_for_it(plugged, spans, key):
    class Asking(Plugin):
        return_consumed_capacity = "INDEXES"

    db = plugged(Asking(), spans.plugin())
    db.create(Payment(id=key))
    db.get(Payment, key)
    put, get = (spans.exporter.get_finished_spans()[n].attributes for n in (0, 2))
    (units,) = map(json.loads, put["aws.dynamodb.consumed_capacity"])
    assert units["TableName"] == table_of(db, Payment)
    assert units["CapacityUnits"] == 1
    (units,) = map(json.loads, get["aws.dynamodb.consumed_capacity"])
    assert units["CapacityUnits"] == 0.5


def test_what_is_read_for_a_verb_tells_why(db, spans, key):
    db.create(User(id=key, email=key))
    spans.take()
    db.find_by_unique(User, email=key)
    verb, requests = spans.one()
    assert verb.name == "dynamorm.find_by_unique User"
    assert [request.attributes.get("dynamorm.purpose") for request in requests] == ["guard", None]
    db.upsert(Counter, key, Counter.amount.add(1))
    verb, requests = spans.one()
    assert verb.name == "dynamorm.update Counter"
    assert [(request.attributes["db.operation.name"], request.attributes.get("dynamorm.purpose")) for request in requests] == [
        ("TransactWriteItems", None), ("GetItem", "settle"),
    ]  # fmt: skip


def test_requests_that_belong_to_no_verb_have_a_span_of_their_own(db, spans):
    with spans.own.start_as_current_span("mine") as mine:
        db.tables.describe(Payment)
        db.tables.plan(Payment)
    found = spans.ours()
    assert all(is_below(span, mine) for span in found)
    first = found[0]
    assert first.name == f"DescribeTable {table_of(db, Payment)}"
    assert first.attributes["dynamorm.purpose"] == "internal"


# ------------------------------------------------------------------------------------------------------------- parents


def test_the_current_span_is_the_parent_and_stays_current(db, spans, key):
    with spans.own.start_as_current_span("mine") as mine:
        db.create(Payment(id=key))
        assert trace.get_current_span() is mine
        assert db.get(Payment, key).id == key
        assert trace.get_current_span() is mine
    assert trace.get_current_span() is trace.INVALID_SPAN
    verbs, requests = split(spans.ours())
    assert all(is_below(verb, mine) for verb in verbs)
    assert all(is_below(request, verb) for verb, request in zip(verbs, requests, strict=True))


def test_baggage_of_the_caller_reaches_processors_with_each_span(db, spans, key):
    seen = []

    class Keeping:
        def on_start(self, span, parent_context=None):
            seen.append((span.name.split()[0], baggage.get_baggage("order", parent_context or context.get_current())))

        def on_end(self, span):
            pass

        def _on_ending(self, span):
            pass

        def shutdown(self):
            pass

    spans.provider.add_span_processor(Keeping())
    token = context.attach(baggage.set_baggage("order", "o1"))
    try:
        db.get(Payment, key)
    finally:
        context.detach(token)
    assert seen == [("dynamorm.get", "o1"), ("GetItem", "o1")]


def test_between_two_items_the_program_has_its_own_span(db, spans, key):
    query = filled(db, key)
    spans.take()
    with spans.own.start_as_current_span("mine") as mine:
        for order in query.page_size(2):
            assert trace.get_current_span() is mine
            with spans.own.start_as_current_span(f"item {order.number}") as item:
                db.get(Payment, key)
                assert trace.get_current_span() is item
    found = spans.take()
    items = {span.name: span for span in found if span.name.startswith("item")}
    pages = [span for span in found if span.name == "dynamorm.iterate Order"]
    gets = [span for span in found if span.name == "dynamorm.get Payment"]
    assert len(items) == len(gets) == 5
    assert len(pages) == 3
    assert all(is_below(span, mine) for span in items.values())
    assert [is_below(get, items[f"item {n}"]) for n, get in enumerate(gets)] == [True] * 5
    assert is_below(pages[0], mine)


def test_an_abandoned_iteration_leaves_no_span_open(db, spans, key):
    query = filled(db, key)
    spans.take()
    for _ in query.page_size(2):
        break
    verb, (request,) = spans.one()  # looks whether one is open
    assert verb.attributes["dynamorm.page"] == 0
    assert is_within(request, verb)
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_verbs_at_once_have_each_their_own_parent(db, spans, key):
    """Threads on the blocking face, tasks of one loop on the asyncio face."""

    def work(number):
        with spans.own.start_as_current_span(f"worker {number}") as mine:
            db.put(Order(customer=key, number=number))
            db.get(Order, key, number)
            assert trace.get_current_span() is mine
        return mine

    workers = db.concurrently(work, 12)
    verbs, requests = split(spans.ours())
    assert len(verbs) == len(requests) == 24
    for mine in workers:
        below = [verb for verb in verbs if is_below(verb, mine)]
        assert [verb.name for verb in below] == ["dynamorm.put Order", "dynamorm.get Order"]
        assert all(any(is_below(request, verb) for request in requests) for verb in below)


def test_tasks_that_one_program_gathers(engine, made, spans, key):
    """Each has the span that was current where it was made, and none sees that of another."""

    async def main():
        async with AsyncDB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
            db.use(spans.plugin())

            async def work(number):
                with spans.own.start_as_current_span(f"task {number}") as mine:
                    await db.put(Order(customer=key, number=number))
                    async for _ in db.model(Order).where(Order.customer == key).page_size(1):
                        assert trace.get_current_span() is mine
                    return mine

            with spans.own.start_as_current_span("all") as above:
                tasks = [asyncio.create_task(db.get(Payment, key)) for _ in range(3)]
            await asyncio.gather(*tasks)
            return above, await asyncio.gather(*(work(n) for n in range(8)))

    above, tasks = asyncio.run(main())
    verbs, requests = split(spans.ours())
    assert sum(is_below(verb, above) for verb in verbs) == 3
    assert all(any(is_below(verb, task) for task in (above, *tasks)) for verb in verbs)
    assert all(any(is_below(request, verb) for verb in verbs) for request in requests)
    assert len(verbs) == len(requests)


def test_a_verb_that_a_plugin_calls_within_a_verb(plugged, spans, key):
    """It is the program's own, and so below the program's span: nothing of ours is ever current."""

    class Asking(Plugin):
        def pre_query(self, ctx, query):
            if ctx.verb == "get":
                assert trace.get_current_span() is mine
                other.exists(Order, key, 1)

    other = plugged(spans.plugin(), kind="blocking")
    db = plugged(Asking(), spans.plugin())
    with spans.own.start_as_current_span("mine") as mine:
        db.get(Payment, key)
    verbs, _ = split(spans.ours())
    assert [verb.name for verb in verbs] == ["dynamorm.get Payment", "dynamorm.exists Order"]
    assert all(is_below(verb, mine) for verb in verbs)


def test_work_that_was_put_off_is_linked_to_those_who_asked_for_it(spans):
    """As a batcher does it: one verb for the items of several callers."""
    contexts, callers = [copy_context()], []
    for number in range(3):
        with spans.own.start_as_current_span(f"caller {number}") as caller:
            callers.append(caller)
            contexts += [copy_context(), copy_context()]
    plugin = spans.plugin()
    operation = Operation("batch_write", Order, "orders", {}, 0.0, lambda: None, contexts=tuple(contexts))
    plugin.began(operation)
    plugin.ended(operation, None)
    verb, _ = spans.one()
    assert verb.parent is None
    assert [link.context.span_id for link in verb.links] == [caller.context.span_id for caller in callers]


# -------------------------------------------------------------------------------------------------------------- errors


def test_an_answer_that_a_program_asked_for_is_no_error(db, spans, key):
    db.create(Payment(id=key))
    stale, fresh = db.get(Payment, key, consistent=True), db.get(Payment, key, consistent=True)
    db.update(fresh, Payment.amount.add(1))
    spans.take()

    def cancelled():
        with db.transaction() as tx:
            tx.create(Payment(id=key))
            tx.create(Payment(id=key + "2"))

    refused = "ConditionalCheckFailedException"
    for call, kind, code in (
        (lambda: db.create(Payment(id=key)), AlreadyExists, refused),
        (lambda: db.update(stale, Payment.amount.add(1)), VersionConflict, refused),
        (lambda: db.delete(Payment, key, condition=Payment.amount == 77), ConditionFailed, None),
        (lambda: db.require(Payment, "none" + key), NotFound, None),
        (lambda: db.update(Payment, "none" + key, Payment.amount.add(1)), MissingItem, None),
        (cancelled, TransactionCancelled, "TransactionCanceledException"),
    ):
        with pytest.raises(kind) as caught:
            call()
        verb, requests = spans.one()
        assert not failed(verb)
        assert not any(map(failed, requests))
        assert verb.attributes["error.type"] == f"dynamorm.errors.{type(caught.value).__name__}"
        (event,) = verb.events
        assert event.name == "exception"
        assert dict(event.attributes) == {
            "exception.type": verb.attributes["error.type"],
            "exception.message": caught.value.safe,
        }
        assert "dynamorm.outcome" not in verb.attributes
        if code is not None:
            assert requests[0].attributes["error.type"] == requests[0].attributes["db.response.status_code"] == code


def test_an_error_is_one(db, spans, key):
    with pytest.raises(ValidationError) as caught:
        db.partiql("SELECT * FROM {table} WHERE", model=Payment)
    verb, requests = spans.one()
    assert failed(verb)
    assert verb.status.description == caught.value.safe
    assert verb.attributes["error.type"] == "dynamorm.errors.ValidationError"
    for request in requests:
        assert failed(request)
        assert request.attributes["db.response.status_code"] == "ValidationException"
        assert not request.events


def test_what_no_verb_takes_is_refused_as_without_tracing(db, spans, key):
    for call in (
        lambda: db.get("no model", key),
        lambda: db.create({"id": key}),
        lambda: db.get([], key),
        lambda: db.model(Order).index(["by-status"]).where(Order.status == key).all(),
    ):
        with pytest.raises((ValidationError, ConfigError, TypeError)):
            call()
        assert not any(key in span.to_json() or "no model" in span.name for span in spans.ours())
