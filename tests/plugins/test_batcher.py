"""The batcher: what is added is written in requests of many, and every item's end is told, on both faces."""

import asyncio
import contextvars
import copy
import gc
import pickle
import re
import sys
import threading
import time

import pytest

import dynamorm
from dynamorm import (
    AppendOnly,
    Attr,
    BatchConfig,
    Model,
    Outcome,
    Plugin,
    Unique,
    attr,
    composite,
    deadline,
    partition_key,
    sort_key,
    version,
)
from dynamorm.errors import (
    AlreadyExists,
    Backpressure,
    BatcherClosed,
    ConfigError,
    DeadlineExceeded,
    DuplicateKey,
    InvalidUse,
    ItemTooLarge,
    MissingItem,
    OutcomeUnknown,
    Throttled,
    UnknownSetting,
    ValidationError,
    VersionConflict,
)
from dynamorm.faces.batch_items import BatchItems
from dynamorm.plugin import WriteRule
from dynamorm.testing import EngineBackend, FaultServer, answers, failure
from tests.plugins.batcher_kit import Event, Payment, error_of, one, outcome, wait_until
from tests.support.held import PATIENT, HeldAnswers

# ----------------------------------------------------------------------------------------------------- what is written


def test_items_go_in_requests_of_25_and_each_future_gives_its_object(here, service):
    events = [Event(id=f"e{number}", amount=number) for number in range(60)]
    with here.db.new_batcher(one(max_wait=30)) as batcher:
        futures = [batcher.add(event) for event in events]
        batcher.flush()
        assert [outcome(here.db, future) for future in futures] == events
    assert [len(names) for names in service.sent] == [25, 25, 10]
    assert [name for names in service.sent for _, name in names] == [event.id for event in events]
    assert all(event.__loaded__ for event in events)


def test_a_request_waits_no_longer_than_max_wait_for_more(here, service):
    with here.db.new_batcher(one(max_wait=0.05)) as batcher:
        began = time.monotonic()
        outcome(here.db, batcher.add(Event(id="e1")))
        assert 0.04 <= time.monotonic() - began < 5
    with here.db.new_batcher(one(max_wait=30)) as batcher:
        future = batcher.add(Event(id="e2"))
        assert not future.done()
        assert batcher.flush(timeout=10)
        assert future.done()
    assert len(service.sent) == 2


def test_what_is_changed_after_add_is_not_written(here, service):
    event, payment = Event(id="e1", amount=1), Payment(id="p1", amount=1)
    with here.db.new_batcher(one()) as batcher:
        for obj in (event, payment):
            batcher.add(obj)
            obj.amount = 2
    assert service.stored()["e1"]["amount"] == {"N": "1"}
    assert service.stored("payments")["p1"]["amount"] == {"N": "1"}
    assert (event.amount, payment.amount) == (2, 2)
    here.db.save(payment)  # it knows what is stored, so it writes the difference
    assert service.stored("payments")["p1"]["amount"] == {"N": "2"}


@pytest.mark.parametrize("kind", [Event, Payment])
def test_what_cannot_be_stored_is_refused_by_add(here, service, kind):
    with here.db.new_batcher(one()) as batcher:
        with pytest.raises(ValidationError):
            batcher.add(kind(id="e1", amount="five"))
        with pytest.raises(ValidationError, match="key"):
            batcher.add(kind(id=""))
        with pytest.raises(dynamorm.DynamORMError):
            batcher.add(object())
        with pytest.raises(InvalidUse):
            batcher.delete(kind)
        with pytest.raises(InvalidUse):
            batcher.delete(kind(id="e1"), "e1")
    with pytest.raises(ItemTooLarge), here.db.new_batcher(one()) as batcher:
        batcher.add(Event(id="e1", note="x" * 500_000))
    assert service.operations == []


def test_deletes_go_with_puts_in_the_order_of_each_key(here, service):
    event = Event(id="e1", amount=1)
    with here.db.new_batcher(one()) as batcher:
        batcher.add(event)
        gone = batcher.delete(event)
        again = batcher.add(Event(id="e1", amount=2))
        batcher.delete(Event, "e2")
        batcher.delete(Event, id="e3")
        assert outcome(here.db, gone) is None
        assert outcome(here.db, again).amount == 2
    order = [kind for names in service.sent for kind, name in names if name == "e1"]
    assert order == ["Put", "Del", "Put"]
    assert service.stored()["e1"]["amount"] == {"N": "2"}


def test_puts_of_one_key_that_wait_are_joined_and_share_their_outcome(here, service):
    with here.db.new_batcher(one(max_wait=30)) as batcher:
        futures = [batcher.add(Event(id="e1", amount=number)) for number in range(10)]
        result = batcher.close()
    assert service.sent == [[("Put", "e1")]]
    assert [outcome(here.db, future).amount for future in futures] == [9] * 10
    assert (result.count, [event.amount for event in result.written]) == (10, list(range(10)))


@pytest.fixture
def slow(open_db, engine, made):
    """A database, its server, and the server's answers, of which the first one is held."""
    held = HeldAnswers(EngineBackend(engine.endpoint))
    held.hold(1)
    with FaultServer(backend=held) as server:
        yield open_db(server.endpoint, table_prefix=made, **PATIENT), server, held


@pytest.mark.engine
def test_a_put_that_is_under_way_is_not_joined(slow, key):
    db, server, held = slow
    with db.new_batcher(one(max_wait=0, max_size=1)) as batcher:
        first = batcher.add(Event(id=key, amount=1))
        wait_until(lambda: held.held)
        others = [batcher.add(Event(id=key, amount=amount)) for amount in (2, 3)]
        held.let_go()
        assert outcome(db, first).amount == 1
        assert {outcome(db, future).amount for future in others} == {3}
    assert len(server.requests) == 2


@pytest.mark.engine
def test_an_item_whose_deadline_passes_in_the_queue_is_not_sent(slow, key):
    db, _, held = slow
    with db.new_batcher(one(max_wait=0)) as batcher:
        first = batcher.add(Event(id=key))
        wait_until(lambda: held.held)
        with deadline(0.2):
            second = batcher.add(Event(id=f"{key}-2"))
        time.sleep(0.2)
        held.let_go()
        outcome(db, first)
        error = error_of(db, second)
    assert (type(error), error.outcome) == (DeadlineExceeded, Outcome.NOT_APPLIED)
    assert not db.exists(Event, f"{key}-2")


@pytest.mark.engine
def test_close_without_time_fails_what_was_not_sent(slow, key):
    db, _, held = slow
    batcher = db.new_batcher(one(max_wait=0))
    futures = [batcher.add(Event(id=key))]
    wait_until(lambda: held.held)
    futures += [batcher.add(Event(id=f"{key}-{number}")) for number in range(3)]
    result = batcher.close(timeout=0.05)
    assert [type(one.error) for one in result.unknown] == [OutcomeUnknown]
    assert [one.item.id for one in result.failed] == [f"{key}-{number}" for number in range(3)]
    assert {type(error_of(db, future)) for future in futures[1:]} == {BatcherClosed}
    assert error_of(db, futures[0]).outcome is Outcome.UNKNOWN
    held.let_go()
    time.sleep(0.2)
    assert not any(db.exists(Event, f"{key}-{number}") for number in range(3))  # and it stays at that
    assert batcher.close() is result


# ------------------------------------------------------------------------------------------------- what guards a write


class Account(Model, table="accounts"):
    id: Attr[str] = partition_key()
    email: Attr[str] = attr(Unique())


class Log(Model, table="logs"):
    id: Attr[str] = partition_key()
    lines: Attr[list[str]] = attr(AppendOnly(), default_factory=list)
    version: Attr[int] = version()


class Once(Model, table="once"):
    id: Attr[str] = partition_key()
    code: Attr[str | None] = attr(write_once=True, default=None)


@pytest.fixture(scope="module")
def made(engine):
    prefix = "batcher-"
    with dynamorm.DB(dynamorm.Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        for model in MODELS:
            db.tables.create(model)
    return prefix


@pytest.fixture
def real(open_db, engine, made):
    return open_db(engine.endpoint, table_prefix=made)


@pytest.fixture
def key():
    import uuid

    return uuid.uuid4().hex


@pytest.mark.engine
def test_a_model_with_a_version_is_saved_under_it(real, key):
    payment = Payment(id=key, amount=1)
    with real.new_batcher(BatchConfig(max_wait=0.01)) as batcher:
        assert outcome(real, batcher.add(payment)) is payment
        assert (payment.version, payment.made) != (None, None)
        payment.amount = 2
        outcome(real, batcher.add(payment))
        assert isinstance(error_of(real, batcher.add(Payment(id=key, amount=7))), AlreadyExists)
        stale = real.require(Payment, key)
        real.update(Payment, key, Payment.amount.add(10))
        stale.amount = 99
        assert isinstance(error_of(real, batcher.add(stale)), VersionConflict)
        assert isinstance(error_of(real, batcher.delete(stale)), VersionConflict)
        result = batcher.close()
    assert real.require(Payment, key).amount == 12
    assert (len(result.written), len(result.failed), len(result.unknown)) == (2, 3, 0)


@pytest.mark.engine
def test_one_object_may_be_added_again_before_its_first_write_has_ended(real, key):
    payment = Payment(id=key)
    with real.new_batcher(BatchConfig(max_wait=0.01)) as batcher:
        futures = []
        for number in range(5):
            payment.amount = number
            futures.append(batcher.add(payment))
        futures.append(batcher.delete(payment))
        for future in futures:
            outcome(real, future)
    assert real.get(Payment, key) is None


@pytest.mark.engine
def test_unique_attributes_keep_their_guards(real, key):
    with real.new_batcher(BatchConfig(max_wait=0.01)) as batcher:
        first = Account(id=key, email=f"{key}@a")
        outcome(real, batcher.add(first))
        other = batcher.add(Account(id=f"{key}-2", email=f"{key}@a"))
        assert isinstance(error_of(real, other), DuplicateKey)
        first.email = f"{key}@b"
        outcome(real, batcher.add(first))
        outcome(real, batcher.add(Account(id=f"{key}-2", email=f"{key}@a")))
        outcome(real, batcher.delete(Account, key))
        outcome(real, batcher.add(Account(id=f"{key}-3", email=f"{key}@b")))
    assert real.find_by_unique(Account, email=f"{key}@a").id == f"{key}-2"
    assert real.repair_unique(Account).faults == ()


@pytest.mark.engine
def test_append_only_lists_and_values_that_are_written_once_are_kept(real, key):
    log = Log(id=key, lines=["a"])
    with real.new_batcher(BatchConfig(max_wait=0.01)) as batcher:
        outcome(real, batcher.add(log))
        log.lines.append("b")
        outcome(real, batcher.add(log))
        log.lines = ["c"]
        with pytest.raises(ValidationError, match="append-only"):
            batcher.add(log)
        outcome(real, batcher.add(Once(id=key, code="a")))
        refused = error_of(real, batcher.add(Once(id=key, code="b")))
    assert real.require(Log, key).lines == ["a", "b"]
    assert real.require(Once, key).code == "a"
    assert refused.outcome is Outcome.NOT_APPLIED


class Outbox:
    """Each write of an Event is announced by a write of its own."""

    name = "outbox"

    def write_rule(self, schema):
        return Announce() if schema.model is Event else None


class Announce(WriteRule):
    verbs = ("create", "put", "delete")

    def contribute(self, draft):
        (key,) = draft.plan.codec.key_values(draft.key)
        draft.add("put", Once(id=f"{key}-{draft.verb}"))


@pytest.mark.engine
def test_a_rule_that_adds_a_write_makes_a_transaction_of_each_item(open_db, engine, made, key):
    db = open_db(engine.endpoint, table_prefix=made, extensions=(Outbox(),))
    with db.new_batcher(BatchConfig(max_wait=0.01)) as batcher:
        event = Event(id=key)
        outcome(db, batcher.add(event))
        outcome(db, batcher.delete(event))
    assert db.exists(Once, f"{key}-put")
    assert db.exists(Once, f"{key}-delete")
    assert not db.exists(Event, key)


class Seen(Plugin):
    def __init__(self):
        self.verbs, self.contexts, self.ends = [], [], 0

    def pre_query(self, ctx, query):
        self.verbs.append((query.verb, query.model))
        self.contexts.append(query.contexts)

    def post_query(self, ctx, query, result):
        self.ends += 1


span = contextvars.ContextVar("span", default=None)


@pytest.mark.engine
def test_plugins_see_each_request_and_the_contexts_of_those_who_added(open_db, engine, made, key):
    seen = Seen()
    db = open_db(engine.endpoint, table_prefix=made, extensions=(seen,))
    with db.new_batcher(BatchConfig(max_wait=60)) as batcher:
        futures = []
        for number in range(3):
            span.set(f"span {number}")
            futures.append(batcher.add(Event(id=f"{key}-{number}")))
        span.set(None)
        batcher.flush()
        for future in futures:
            outcome(db, future)
        outcome(db, batcher.add(Payment(id=key)))  # it goes alone, and at once
    assert seen.verbs == [("batch_write", Event), ("save", Payment)]
    assert [context[span] for context in seen.contexts[0]] == ["span 0", "span 1", "span 2"]
    assert seen.contexts[1] == ()
    assert seen.ends == 2


class Refusing(Plugin):
    def pre_query(self, ctx, query):
        raise RuntimeError("no")


def test_a_plugin_that_refuses_a_request_fails_its_items(here, service):
    here.db.use(Refusing())
    with here.db.new_batcher(one()) as batcher:
        error = error_of(here.db, batcher.add(Event(id="e1")))
        result = batcher.close()
    assert error.outcome is Outcome.NOT_APPLIED
    assert [failed.item.id for failed in result.failed] == ["e1"]
    assert service.operations == []


class Person(Model, table="persons"):
    pk: Attr[str] = partition_key(composite("scope.tenant", "id"))
    id: Attr[str]
    email: Attr[str] = attr(Unique())


class Thing(Model, table="things", discriminator="kind"):
    pk: Attr[str] = partition_key(composite("{scope.tenant}#{of}"))
    sk: Attr[str] = sort_key(composite("{name}"))
    of: Attr[str]
    name: Attr[str]


class Chair(Thing, tag="chair"):
    legs: Attr[int] = attr(default=4)


class Table(Thing, tag="table"):
    wide: Attr[bool] = attr(default=False)


MODELS = [Account, Log, Once, Event, Payment, Person, Thing]


@pytest.mark.engine
def test_a_batcher_writes_within_the_scope_of_its_view(real, key):
    one, other = real.scoped(tenant=f"{key}a"), real.scoped(tenant=f"{key}b")
    for view in (one, other):
        with view.new_batcher(BatchConfig(max_wait=0.01)) as batcher:
            outcome(real, batcher.add(Person(id="p", email="x@y")))
            outcome(real, batcher.add(Chair(of="home", name="c")))
    assert one.get(Person, id="p").pk != other.get(Person, id="p").pk
    with one.new_batcher(BatchConfig(max_wait=0.01)) as batcher:
        outcome(real, batcher.delete(Chair, of="home", name="c"))
    assert not one.exists(Chair, of="home", name="c")
    assert other.exists(Chair, of="home", name="c")


@pytest.mark.engine
def test_a_delete_by_key_leaves_the_items_of_siblings_alone(real, key):
    view = real.scoped(tenant=key)
    view.put(Chair(of="home", name="c"))
    with view.new_batcher(BatchConfig(max_wait=0.01)) as batcher:
        assert isinstance(error_of(real, batcher.delete(Table, of="home", name="c")), MissingItem)
        outcome(real, batcher.delete(view.get(Chair, of="home", name="c")))
    assert not view.exists(Chair, of="home", name="c")


# ------------------------------------------------------------------------------------------- a queue that is full, time


def stuck(here, service, batcher, count):
    """Fill a queue with what cannot be sent: a copy of the first write of its key may come late."""
    service.fault = lambda turn: "lost" if turn == 0 else None
    outcome(here.db, batcher.add(Event(id="held")))
    return [batcher.add(Event(id="held", amount=number)) for number in range(count)]


def test_a_full_queue_refuses_where_it_is_told_to(here, service):
    batcher = here.db.new_batcher(one(queue_size=5, on_full="raise"))
    stuck(here, service, batcher, 5)
    with pytest.raises(Backpressure) as refused:
        batcher.add(Event(id="e5"))
    assert (refused.value.outcome, refused.value.retryable) == (Outcome.NOT_APPLIED, True)
    result = batcher.close(timeout=0.05)
    assert (result.count, [type(one.error) for one in result.failed]) == (1, [BatcherClosed] * 5)


def test_a_full_queue_is_waited_for_up_to_the_deadline(here, service):
    batcher = here.db.new_batcher(one(queue_size=2))
    stuck(here, service, batcher, 1)
    with deadline(2.0):
        batcher.add(Event(id="held", amount=7))
    with pytest.raises(DeadlineExceeded) as late, deadline(0.05):
        batcher.add(Event(id="e2"))
    assert late.value.outcome is Outcome.NOT_APPLIED
    added = []
    thread = threading.Thread(target=lambda: added.append(batcher.add(Event(id="e3"))))
    thread.start()
    time.sleep(0.05)
    assert not added
    thread.join(30)  # until the deadline of what is held makes a place
    assert outcome(here.db, added[0]).id == "e3"
    assert {event.id for event in batcher.close(timeout=0.05).written} == {"held", "e3"}


def test_a_full_queue_is_sent_at_once_for_nobody_can_join_it(here, service):
    """A queue of two, and a wait of half a minute: each pair goes as soon as it is there."""
    began = time.monotonic()
    with here.db.new_batcher(one(queue_size=2, max_wait=30)) as batcher:
        futures = [batcher.add(Event(id=f"e{number}")) for number in range(6)]
        assert all(outcome(here.db, future) for future in futures)
    assert time.monotonic() - began < 25
    assert set(service.stored()) == {f"e{number}" for number in range(6)}


def test_a_full_queue_that_refuses_is_sent_at_once_too(here, service):
    batcher = here.db.new_batcher(one(queue_size=3, max_wait=30, on_full="raise"))
    futures = [batcher.add(Event(id=f"e{number}")) for number in range(3)]
    assert [outcome(here.db, future).id for future in futures] == ["e0", "e1", "e2"]
    assert service.sent == [[("Put", "e0"), ("Put", "e1"), ("Put", "e2")]]
    assert batcher.close().count == 3


def test_who_waits_for_a_place_is_told_that_the_batcher_was_closed(here, service):
    batcher = here.db.new_batcher(one(queue_size=1))
    stuck(here, service, batcher, 1)
    errors = []

    def waiting():
        try:
            batcher.add(Event(id="e2"))
        except BatcherClosed as error:
            errors.append(error)

    threads = [threading.Thread(target=waiting) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    assert batcher.close(timeout=0.2).count == 1
    for thread in threads:
        thread.join(10)
    assert len(errors) == 3


def test_a_deadline_bounds_the_wait_in_the_queue_and_not_the_write(here, service):
    service.fault = lambda turn: failure("ThrottlingException") if turn < 2 else None
    with here.db.new_batcher(one(max_wait=30)) as batcher:
        with deadline(3.0):
            futures = [batcher.add(Event(id="e1")), batcher.add(Payment(id="p1"))]
        assert outcome(here.db, futures[0]).id == "e1"  # sent before the deadline, well before max_wait
        assert outcome(here.db, futures[1]).id == "p1"
    assert here.elapsed > 0  # retries were waited for, on the fake clock


# ------------------------------------------------------------------------------------------------------------- the end


def test_close_accounts_for_everything_and_may_be_repeated(here, service):
    service.undone = lambda name: name == "e3"
    service.poison = lambda name: name == "e7"
    batcher = here.db.new_batcher(one())
    events = [Event(id=f"e{number}") for number in range(10)]
    for event in events:
        batcher.add(event)
    result = batcher.close()
    assert [event.id for event in result.written] == [f"e{n}" for n in range(10) if n not in (3, 7)]
    assert [(failed.item.id, type(failed.error)) for failed in result.failed] == [
        ("e3", Throttled),
        ("e7", ValidationError),
    ]
    assert batcher.close() is result
    with pytest.raises(BatcherClosed):
        batcher.add(Event(id="e11"))
    with pytest.raises(BatcherClosed):
        batcher.delete(Event, "e11")


@pytest.mark.engine
def test_tasks_that_are_under_way_are_cancelled_when_the_time_to_close_is_over(engine, made, key):
    held = answers.honest().delayed(60)
    with FaultServer([held], backend=EngineBackend(engine.endpoint)) as server:

        async def main():
            config = dynamorm.Presets.local_development(endpoint=server.endpoint, table_prefix=made)
            async with dynamorm.AsyncDB(config) as db:
                batcher = db.new_batcher(BatchConfig(max_wait=0, parallelism=1))
                first = await batcher.add(Event(id=key))
                async with asyncio.timeout(30):
                    while not server.requests:  # noqa: ASYNC110 - it is no event of asyncio
                        await asyncio.sleep(0.005)
                second = await batcher.add(Event(id=f"{key}-2"))
                result = await batcher.close(timeout=0.05)
                async with asyncio.timeout(30):
                    while batcher._tasks:  # noqa: ASYNC110 - as above
                        await asyncio.sleep(0.005)
                return result, first.exception(), second.exception()

        result, first, second = asyncio.run(main())
    assert (len(result.failed), len(result.unknown)) == (1, 1)
    assert first.outcome is Outcome.UNKNOWN
    assert isinstance(second, BatcherClosed)


def test_what_a_block_left_unwritten_is_logged(here, service, caplog):
    service.poison = lambda name: name == "e1"
    with here.db.new_batcher(one()) as batcher:
        batcher.add(Event(id="e1", note="a secret"))
        batcher.add(Event(id="e2"))
    assert "1 written, 1 failed" in caplog.text
    assert "secret" not in caplog.text


def test_the_result_may_only_count(here, service):
    with here.db.new_batcher(one(keep=False)) as batcher:
        for number in range(30):
            batcher.add(Event(id=f"e{number}"))
        result = batcher.close()
    assert (result.count, result.written, bool(result)) == (30, [], True)


def test_nobody_can_cancel_a_write(here, service):
    with here.db.new_batcher(one(max_wait=30)) as batcher:
        future = batcher.add(Event(id="e1"))
        cancelled = future.cancel()
        assert cancelled == (here.db.kind == "asyncio")
        assert batcher.close().count == 1
    assert set(service.stored()) == {"e1"}


def test_callbacks_that_fail_or_add_lose_nothing(here, service, caplog):
    batcher = here.db.new_batcher(one())

    def broken(future):
        raise RuntimeError("callback")

    added = []

    def more(future):
        if here.db._loop is None:
            added.append(batcher.add(Event(id="e9")))

    future = batcher.add(Event(id="e1"))
    future.add_done_callback(broken)
    future.add_done_callback(more)
    if here.db._loop is not None:
        here.db._loop.loop.set_exception_handler(lambda *_: None)
    outcome(here.db, future)
    wait_until(lambda: added or here.db._loop is not None)
    result = batcher.close()
    assert result.count == 1 + len(added)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_size": 0},
        {"max_size": 26},
        {"max_size": True},
        {"max_wait": -1},
        {"max_wait": "1"},
        {"max_wait": 61},
        {"parallelism": 0},
        {"parallelism": 1.5},
        {"queue_size": 0},
        {"on_full": "drop"},
        {"on_ambiguous": "raise"},
        {"keep": 1},
        {"close_timeout": -1},
        {"spool_dir": ""},
        {"spool_dir": 5},
        {"spool_key": b"short", "spool_dir": "x"},
        {"spool_key": bytes(32)},
        {"spool_models": [Event]},
    ],
)
def test_a_wrong_setting_is_named(wrong):
    with pytest.raises(ConfigError) as refused:
        BatchConfig(**wrong)
    assert next(iter(wrong)) in str(refused.value)


def test_a_batcher_takes_its_own_settings_only(here):
    with pytest.raises(ConfigError, match="BatchConfig"):
        here.db.new_batcher({"max_size": 25})
    assert repr(b"k" * 32) not in repr(BatchConfig(spool_dir="x", spool_key=b"k" * 32))


@pytest.mark.parametrize(
    ("setting", "message"),
    [("max_siz", "did you mean max_size?"), ("max_item", "max_wait?"), ("xyzzy", "known are max_size, max_wait")],
)
def test_a_setting_that_does_not_exist_is_told(setting, message):
    with pytest.raises(UnknownSetting, match=f"{setting} is not a setting of BatchConfig: .*{re.escape(message)}"):
        BatchConfig(**{setting: 5})
    with pytest.raises(UnknownSetting, match="its settings are max_size"):
        BatchConfig(25)


def test_a_batcher_is_neither_pickled_nor_copied(here):
    with here.db.new_batcher(one()) as batcher:
        inner = getattr(batcher, "_subject", batcher)
        for copied in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(InvalidUse, match=r"Batcher has items under way.*send its BatchConfig"):
                copied(inner)


def test_a_child_process_has_no_part_in_it(here, service):
    import os

    if here.db.kind == "asyncio":
        pytest.skip("a loop is not forked")
    batcher = here.db.new_batcher(one(max_wait=30))
    done = batcher.add(Event(id="e1"))
    batcher.flush()
    service.gate.clear()
    called = []
    sent = batcher.add(Event(id="e2"))
    batcher._work.queue.flush()
    with batcher._changed:
        batcher._wake()
    wait_until(batcher._work.queue.under_way)
    waiting = batcher.add(Event(id="e3"))
    waiting.add_done_callback(called.append)
    child = os.fork()
    if not child:
        try:
            with pytest.raises(InvalidUse):
                batcher.add(Event(id="e4"))
            assert done.result(timeout=1).id == "e1"
            for future in (sent, waiting):
                with pytest.raises(OutcomeUnknown, match="belongs to a batcher of the parent"):
                    future.result(timeout=5)
            assert not called
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    service.gate.set()
    assert [one.id for one in batcher.close().written] == ["e1", "e2", "e3"]
    assert (sent.result().id, waiting.result().id) == ("e2", "e3")


def test_a_batcher_takes_nothing_once_its_database_was_closed(open_db, engine):
    db = open_db(engine.endpoint)
    batcher = db.new_batcher(BatchConfig(max_wait=0.01))
    closing = db.inner.close()  # `db.close` ends the loop of the asyncio face as well
    if db.kind == "asyncio":
        db._loop.run(closing)
    with pytest.raises(ConfigError, match="the database of this batcher was closed: nothing was added"):
        batcher.add(Event(id="e1"))
    with pytest.raises(ConfigError, match="the database of this batcher was closed: nothing was added"):
        batcher.delete(Event, "e1")
    assert batcher.close().count == 0


def test_a_program_that_ends_without_closing_is_told_the_counts(engine, made, face_kind):
    import subprocess
    import sys

    body = {
        "blocking": "b = db.new_batcher(BatchConfig(max_wait=30)); [b.add(E(id=str(n))) for n in range(3)]",
        "asyncio": "asyncio.run(main())",
    }[face_kind]
    face = {"blocking": "DB", "asyncio": "AsyncDB"}[face_kind]
    program = f"""
import asyncio
from dynamorm import *
from dynamorm import {face}
class E(Model, table="events"):
    id: Attr[str] = partition_key()
db = {face}(Presets.local_development(endpoint={engine.endpoint!r}, table_prefix={made!r}))
async def main():
    global b
    b = db.new_batcher(BatchConfig(max_wait=30))
    for n in range(3):
        await b.add(E(id=str(n)))
{body}
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "0 written, 0 failed, 0 unknown, 3 not ended, and what has not ended is lost" in ran.stderr, ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr


# ------------------------------------------------------------------------------------------------------- many at once


@pytest.mark.engine
def test_many_who_add_at_once(real, key):
    with real.new_batcher(BatchConfig(max_wait=0.01, parallelism=4)) as batcher:

        def work(number):
            futures = []
            for turn in range(20):
                futures.append(batcher.add(Event(id=f"{key}-{number}-{turn % 5}", amount=turn)))
            return [outcome(real, future) for future in futures]

        real.concurrently(work, 12)
        result = batcher.close()
    assert (result.count, result.ok) == (240, True)
    for number in range(12):
        amounts = [real.require(Event, f"{key}-{number}-{turn}").amount for turn in range(5)]
        assert amounts == [15, 16, 17, 18, 19]  # the last one of each key


@pytest.mark.engine
def test_an_idle_batcher_asks_for_nothing(real, key):
    with real.new_batcher(BatchConfig(max_wait=0.01)) as batcher:
        assert batcher.flush(timeout=5)
        assert batcher.close().count == 0
    gc.collect()


def test_lost_is_sent_again(here, service):
    service.fault = lambda turn: "lost" if turn == 0 else None
    with here.db.new_batcher(one()) as batcher:
        assert outcome(here.db, batcher.add(Event(id="e1"))).id == "e1"
    assert service.operations == ["BatchWriteItem"] * 2


def test_a_put_with_a_deadline_hurries_those_before_it_and_ends_none_of_them(here, service):
    began = time.monotonic()
    with here.db.new_batcher(one(max_wait=30)) as batcher:
        first = batcher.add(Event(id="e1", amount=1))
        with deadline(3.0):
            second = batcher.add(Event(id="e1", amount=2))
        assert [outcome(here.db, future).amount for future in (first, second)] == [1, 2]
        assert time.monotonic() - began < 20
    assert service.stored()["e1"]["amount"] == {"N": "2"}


def test_a_deadline_ends_an_item_that_waits_behind_a_held_key(here, service):
    service.fault = lambda number: "lost" if number == 0 else None
    with here.db.new_batcher(one(max_wait=0)) as batcher:
        outcome(here.db, batcher.add(Event(id="e1", amount=1)))
        with deadline(0.2):
            second = batcher.add(Event(id="e1", amount=2))
        third = batcher.add(Event(id="e2", amount=3))
        assert isinstance(error_of(here.db, second), DeadlineExceeded)
        assert outcome(here.db, third).amount == 3
    assert service.stored()["e1"]["amount"] == {"N": "1"}


@pytest.mark.parametrize("face_kind", ["blocking"], indirect=True)
def test_a_callback_cannot_wait_for_its_own_thread(here, service):
    told = []

    def more(batcher):
        for ask in (lambda: batcher.add(Event(id="more")), batcher.flush):
            try:
                ask()
            except Exception as error:  # noqa: BLE001 - it is what the test asks for
                told.append(type(error))

    service.gate.clear()
    with here.db.new_batcher(one(max_wait=0, max_size=1, queue_size=2)) as batcher:
        first = batcher.add(Event(id="e1"))
        first.add_done_callback(lambda _: (batcher.add(Event(id="e3")), more(batcher)))
        batcher.add(Event(id="e2"))
        service.gate.set()
        wait_until(lambda: len(told) == 2 or "more" in service.stored())
    assert InvalidUse in told


@pytest.mark.parametrize("face_kind", ["blocking"], indirect=True)
def test_a_callback_that_exits_says_nothing_of_other_items(here, service):
    with here.db.new_batcher(one(max_wait=0.2)) as batcher:
        futures = [batcher.add(Event(id=f"e{number}")) for number in range(5)]
        futures[0].add_done_callback(lambda _: sys.exit(3))
        assert [outcome(here.db, future).id for future in futures] == [f"e{number}" for number in range(5)]
        result = batcher.close()
    assert (result.count, result.unknown) == (5, [])


def test_an_object_whose_first_write_ends_while_it_is_added_again(here):
    """Another thread has brought it up to date, between the moment it was encoded and its place in the queue."""
    items = BatchItems(here.session)
    payment = Payment(id="p1", amount=1)
    item = items.put(payment)
    here.db.create(payment)
    items.catch_up(item)
    here.driver.run(items.send([item]))
    assert item.error is None
    assert here.db.require(Payment, "p1").version == payment.version == 0
