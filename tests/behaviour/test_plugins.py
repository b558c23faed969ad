"""Plugins around the verbs: hooks, layers, attempts, scopes and the life of a database."""

import asyncio
import logging
import time
from contextlib import suppress

import pytest

from dynamorm import AsyncDB, Attr, Model, Outcome, Presets, attr, partition_key, sort_key, version
from dynamorm.errors import (
    AlreadyExists,
    ConfigError,
    DynamORMError,
    OutcomeUnknown,
    PluginError,
    PluginRefused,
    Unavailable,
    ValidationError,
)
from dynamorm.plugin import Plugin
from tests.support.faces import Face

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Order(Model, table="orders"):
    customer: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


MODELS = [Payment, Order]


class Diary(Plugin):
    """Notes every verb."""

    def __init__(self, name="diary", log=None):
        self.name = name
        self.log = [] if log is None else log

    def pre_query(self, ctx, query):
        self.log.append((self.name, "before", ctx.verb, query.key))

    def post_query(self, ctx, query, result):
        self.log.append((self.name, "after", ctx.verb, type(result).__name__))

    def on_error(self, ctx, query, error):
        self.log.append((self.name, "failed", ctx.verb, type(error).__name__))


class AwaitingDiary(Plugin):
    """The same by coroutines."""

    name = "awaiting"

    def __init__(self):
        self.log = []

    async def pre_query(self, ctx, query):
        await asyncio.sleep(0)
        self.log.append((self.name, "before", ctx.verb, query.key))

    async def post_query(self, ctx, query, result):
        await asyncio.sleep(0)
        self.log.append((self.name, "after", ctx.verb, type(result).__name__))

    async def on_error(self, ctx, query, error):
        await asyncio.sleep(0)
        self.log.append((self.name, "failed", ctx.verb, type(error).__name__))


def verbs(db, key):
    """Every verb once: its name as plugins see it, the key they see, and the call."""
    payment = Payment(id=key)
    number = (key, 1)

    def transaction():
        with db.transaction() as tx:
            tx.create(Order(customer=key, number=3))

    query = db.model(Order).where(Order.customer == key)
    return [
        ("create", (key,), lambda: db.create(payment)),
        ("get", (key,), lambda: db.get(Payment, key)),
        ("require", (key,), lambda: db.require(Payment, key)),
        ("exists", (key,), lambda: db.exists(Payment, key)),
        ("put", number, lambda: db.put(Order(customer=key, number=1))),
        ("get", number, lambda: db.get(Order, customer=key, number=1)),
        ("update", (key,), lambda: db.update(payment, Payment.amount.add(1))),
        ("update", (key,), lambda: db.update(Payment, key, Payment.amount.add(1))),
        ("update", (key,), lambda: db.upsert(Payment, key, Payment.amount.add(1))),
        ("increment", (key,), lambda: db.increment(Payment, key, Payment.amount)),
        ("save", (key,), lambda: db.save(db_loaded(db, payment))),
        ("batch_get", (key,), lambda: db.batch_get(Payment, [key])),
        ("batch_get", None, lambda: db.batch_get(Payment, [key, "another"])),
        ("batch_write", (key, 2), lambda: db.batch_write(puts=[Order(customer=key, number=2)])),
        ("batch_write", None, lambda: db.batch_write(puts=[Order(customer=key, number=n) for n in (4, 5)])),
        ("transact_get", (key,), lambda: db.transact_get([(Payment, key)])),
        ("transact_get", None, lambda: db.transact_get([(Payment, key), (Order, key, 1)])),
        ("transaction", (key, 3), transaction),
        ("all", None, query.all),
        ("first", None, query.first),
        ("one", None, query.limit(1).one),
        ("count", None, query.count),
        ("exists", None, query.exists),
        ("page", None, query.page),
        ("sum", None, lambda: query.sum(Order.number)),
        ("average", None, lambda: query.average(Order.number)),
        ("min", None, lambda: query.min(Order.number)),
        ("max", None, lambda: query.max(Order.number)),
        ("group_by", None, lambda: query.group_by(Order.number).count()),
        ("collect", None, lambda: query.collect(Order)),
        ("partiql", None, lambda: db.partiql("SELECT * FROM {table} WHERE id = ?", key, model=Payment)),
        ("delete", number, lambda: db.delete(Order, customer=key, number=1)),
        ("delete_all", None, lambda: query.delete_all(confirm=True)),
        ("delete", (key,), lambda: db.delete(Payment, key)),
    ]


def db_loaded(db, payment):
    """The payment with a change, so that a save has something to write."""
    payment.amount += 100
    payment.version = 4
    return payment


@pytest.mark.parametrize("kind", [Diary, AwaitingDiary])
def test_each_verb_passes_by_once(plugged, key, kind):
    diary = kind()
    db = plugged(diary)
    for verb, about, call in verbs(db, key):
        diary.log.clear()
        try:
            call()
        except Exception:  # noqa: BLE001 - that some fail is the matter of other tests
            ended = "failed"
        else:
            ended = "after"
        assert diary.log[0] == (diary.name, "before", verb, about), verb
        assert diary.log[1][:3] == (diary.name, ended, verb), verb
        assert len(diary.log) == 2, verb


def test_plugins_stand_around_each_other_in_their_order(plugged, key):
    log = []
    db = plugged(Diary("outer", log), Diary("inner", log))
    db.create(Payment(id=key))
    assert [(name, what) for name, what, *_ in log] == [
        ("outer", "before"), ("inner", "before"), ("inner", "after"), ("outer", "after"),
    ]  # fmt: skip
    log.clear()
    with pytest.raises(AlreadyExists):
        db.create(Payment(id=key))
    assert [(name, what) for name, what, *_ in log][2:] == [("inner", "failed"), ("outer", "failed")]


def test_an_iteration_passes_by_page_for_page(plugged, key):
    seen = []

    class Pages:
        name = "pages"

        def operation(self, next):
            def noted(operation):
                seen.append((operation.verb, operation.page, operation.limit, operation.model))
                return (yield from next(operation))

            return noted

    db = plugged(Pages())
    db.batch_write(puts=[Order(customer=key, number=number) for number in range(5)])
    seen.clear()
    query = db.model(Order).where(Order.customer == key)
    assert len(list(query.page_size(2).limit(5))) == 5
    assert seen[0] == ("iterate", 0, 5, Order)
    assert [page for _, page, *_ in seen] == list(range(len(seen)))
    seen.clear()
    for _ in query.page_size(2):
        break
    assert seen == [("iterate", 0, None, Order)]
    seen.clear()
    assert sum(len(page.items) for page in query.page_size(2).pages()) == 5
    assert {verb for verb, *_ in seen} == {"pages"}
    assert "Query" in str(query.explain())


def test_what_is_raised_before_a_verb_refuses_it(plugged, key, caplog):
    class Refusing(Plugin):
        error = None

        def pre_query(self, ctx, query):
            if self.error is not None and ctx.verb == "create":
                raise self.error

    plugin = Refusing()
    db = plugged(plugin)
    plugin.error = ValueError("not now")
    with pytest.raises(PluginRefused, match=r"Refusing refused create \(\w+\): nothing was sent") as caught:
        db.create(Payment(id=key))
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert caught.value.__cause__ is plugin.error
    plugin.error = ValidationError("not this one", field="id")
    with pytest.raises(ValidationError) as seen:
        db.create(Payment(id=key))
    assert seen.value is plugin.error
    plugin.error = None
    assert not db.exists(Payment, key)


def test_what_fails_behind_a_verb_changes_nothing(plugged, key, caplog):
    class Failing(Plugin):
        name = "failing"

        def post_query(self, ctx, query, result):
            raise ValueError("behind")

        def on_error(self, ctx, query, error):
            raise ValueError("behind an error")

    db = plugged(Failing())
    with caplog.at_level(logging.WARNING, logger="dynamorm"):
        assert db.create(Payment(id=key)).id == key
        with pytest.raises(AlreadyExists):
            db.create(Payment(id=key))
    assert [record.getMessage() for record in caplog.records] == ["a hook of the plugin failing failed"]
    assert key not in caplog.text
    loud = plugged()
    loud.use(Failing(), on_error="raise_after")
    with pytest.raises(PluginError) as caught:
        loud.update(Payment, key, Payment.amount.set(5))
    assert (caught.value.outcome, caught.value.result.amount) == (Outcome.APPLIED, 5)
    with pytest.raises(AlreadyExists):
        loud.create(Payment(id=key))
    with pytest.raises(ConfigError, match="on_error is 'log' or 'raise_after'"):
        plugged().use(Failing(), on_error="ignore")


def test_a_layer_may_answer_repeat_and_change_what_a_verb_gives(plugged, key):
    class Memory:
        """Remembers what was read by key, and forgets it with each write."""

        name = "memory"

        def __init__(self):
            self.kept = {}
            self.asked = 0

        def operation(self, next):
            def remembered(operation):
                place = (operation.model, operation.key)
                if operation.verb == "get":
                    if place not in self.kept:
                        self.asked += 1
                        self.kept[place] = yield from next(operation)
                    return self.kept[place]
                try:
                    return (yield from next(operation))
                finally:
                    self.kept.pop(place, None)

            return remembered

    memory = Memory()
    db = plugged(memory)
    db.create(Payment(id=key, amount=1))
    assert db.get(Payment, key) is db.get(Payment, key)
    assert memory.asked == 1
    db.update(Payment, key, Payment.amount.set(2))
    assert db.get(Payment, key).amount == 2
    assert memory.asked == 2

    class Again:
        name = "again"

        def __init__(self):
            self.tries = 0

        def operation(self, next):
            def tried(operation):
                for self.tries in (1, 2):
                    try:
                        return (yield from next(operation))
                    except AlreadyExists:
                        pass
                return None

            return tried

    again = Again()
    assert plugged(again).create(Payment(id=key)) is None
    assert again.tries == 2


def test_plugins_are_told_the_scope_of_a_view(plugged, key):
    scopes = []

    class Scoped(Plugin):
        def pre_query(self, ctx, query):
            scopes.append((dict(ctx.scope), query.scope == ctx.scope))

    db = plugged(Scoped())
    tenant = db.inner.view(tenant="t1")
    narrower = tenant.view(region="eu")
    for view in (db.inner, tenant, narrower, narrower.view(tenant="t1")):
        db.run(view._session.verbs.items.get(view._session, Payment, (key,), {}, consistent=False))
    assert scopes == [
        ({}, True), ({"tenant": "t1"}, True), ({"tenant": "t1", "region": "eu"}, True), ({"tenant": "t1", "region": "eu"}, True),
    ]  # fmt: skip
    for wrong, what in (
        ({}, "has a scope"),
        ({"tenant": ""}, "1 to 256 characters"),
        ({"tenant": "x" * 257}, "one of 257"),
        ({"tenant": None}, "not NoneType"),
        ({"tenant": True}, "not bool"),
    ):
        with pytest.raises(ValidationError, match=what):
            db.inner.view(**wrong)
    with pytest.raises(ValidationError, match="another tenant already"):
        tenant.view(tenant="t2")


class Breaker:
    """Cuts everything off after some failures, and counts each attempt once."""

    name = "breaker"

    def __init__(self, after=2):
        self.after = after
        self.under_way = 0
        self.seen = []
        self.open = False

    def admit(self, call):
        if self.open:
            raise Unavailable("cut off")
        self.under_way += 1

    def observed(self, call, reply, error):
        self.under_way -= 1
        self.seen.append("reply" if reply is not None else "abandoned" if error is None else "error")
        if self.seen.count("error") >= self.after:
            self.open = True


def test_each_attempt_is_admitted_and_observed_once(plugged, key):
    breaker = Breaker()
    db = plugged(breaker)
    db.create(Payment(id=key))
    with pytest.raises(AlreadyExists):
        db.create(Payment(id=key))
    assert (breaker.seen, breaker.under_way) == (["reply", "reply"], 0)
    breaker.open = True
    with pytest.raises(Unavailable, match="cut off") as caught:
        db.update(Payment, key, Payment.amount.set(1))
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert breaker.seen == ["reply", "reply"]


def test_a_refused_later_attempt_of_a_write_that_may_have_been_applied_is_unknown(
    engine, made, face_kind, key, lossy_port
):
    config = Presets.local_development(endpoint=f"http://127.0.0.1:{lossy_port}", table_prefix=made)
    breaker = Breaker(after=1)
    face = Face(face_kind, config, extensions=(breaker,))
    try:
        with pytest.raises(OutcomeUnknown) as caught:
            face.create(Payment(id=key))
        assert any(isinstance(error, Unavailable) and "cut off" in str(error) for error in caught.value.earlier)
        assert (breaker.seen, breaker.under_way) == (["error"], 0)
        with pytest.raises(Unavailable, match="cut off"):
            face.get(Payment, key)
    finally:
        face.close()


@pytest.fixture
def lossy_port():
    """A server that takes a request and closes."""
    import socket
    import threading

    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    over = threading.Event()

    def serve():
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection, suppress(ConnectionError):
                connection.settimeout(30)
                connection.recv(65536)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    over.set()
    thread.join()
    listener.close()


def test_an_abandoned_attempt_is_observed_too(engine, made, key):
    import socket

    from dynamorm import AsyncDB

    async def main():
        with socket.create_server(("127.0.0.1", 0)) as silent:
            breaker = Breaker()
            config = Presets.local_development(
                endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", table_prefix=made
            )
            async with AsyncDB(config, extensions=(breaker,)) as db:
                task = asyncio.create_task(db.get(Payment, key))
                while not breaker.under_way:  # noqa: ASYNC110 - it is no event of asyncio
                    await asyncio.sleep(0.01)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            return breaker

    breaker = asyncio.run(main())
    assert (breaker.seen, breaker.under_way) == (["abandoned"], 0)


@pytest.mark.parametrize("awaits", [False, True])
def test_plugins_live_as_long_as_their_database(engine, made, face_kind, caplog, awaits):
    log = []

    def plugin(name, *, fails=False):
        class Living:
            if awaits:

                async def opened(self, db):
                    await asyncio.sleep(0)
                    log.append(f"{name} opened {type(db).__name__}")

                async def closed(self, db):
                    log.append(f"{name} closed")
                    if fails:
                        raise ValueError("while closing")
            else:

                def opened(self, db):
                    log.append(f"{name} opened {type(db).__name__}")

                def closed(self, db):
                    log.append(f"{name} closed")
                    if fails:
                        raise ValueError("while closing")

        living = Living()
        living.name = name
        return living

    config = Presets.local_development(endpoint=engine.endpoint, table_prefix=made)
    face = Face(face_kind, config, extensions=(plugin("first"), plugin("second", fails=True)))
    name = "DB" if face_kind == "blocking" else "AsyncDB"
    with face._db, caplog.at_level(logging.WARNING, logger="dynamorm"):
        assert log == [f"first opened {name}", f"second opened {name}"]
        face.get(Payment, "none")
    assert log[2:] == ["second closed", "first closed"]
    assert "closed of the plugin second failed" in caplog.text
    if face._loop is not None:
        face._loop.stop()


def test_a_plugin_is_told_of_the_opening_before_the_first_verb(engine, made, face_kind, key):
    told = []

    class Living:
        def __init__(self, name, fails=0):
            self.name, self.fails = name, fails

        def tell(self):
            told.append(f"{self.name} opened")
            if self.fails:
                self.fails -= 1
                raise RuntimeError("not yet")

        if face_kind == "blocking":

            def opened(self, db):
                self.tell()
                assert db.get(Payment, "none") is None  # it may use its database
        else:

            async def opened(self, db):
                self.tell()
                assert await db.get(Payment, "none") is None

        def closed(self, db):
            told.append(f"{self.name} closed")

    config = Presets.local_development(endpoint=engine.endpoint, table_prefix=made)
    face = Face(face_kind, config)
    with face._db:
        face._db.use(Living("first"), Living("second", fails=1))
        assert told == []
        with pytest.raises(RuntimeError, match="not yet"):
            face.create(Payment(id=key))
        assert face.get(Payment, key) is None
        face.create(Payment(id=key))
        assert told == ["first opened", "second opened", "second opened"]
    assert told[3:] == ["second closed", "first closed"]
    if face._loop is not None:
        face._loop.stop()


def test_a_plugin_that_was_never_told_of_the_opening_is_not_told_of_the_end(engine, made, face_kind):
    told = []

    class Living:
        name = "living"

        def closed(self, db):
            told.append("closed")

    face = Face(face_kind, Presets.local_development(endpoint=engine.endpoint), extensions=(Living(),))
    face.close()
    assert told == []


def test_a_plugin_that_joined_is_told_of_the_end_also_without_an_opening(engine, made, face_kind):
    told = []

    class Living:
        def __init__(self, name):
            self.name = name

        def joined(self, db):
            told.append(f"{self.name} joined")

        def opened(self, db):
            told.append(f"{self.name} opened")

        def closed(self, db):
            told.append(f"{self.name} closed")

    face = Face(face_kind, Presets.local_development(endpoint=engine.endpoint), extensions=(Living("first"),))
    face.use(Living("second"))
    face._db.close()
    face.close()
    assert told == ["first joined", "second joined", "second closed", "first closed"]


def test_a_database_tells_its_plugins(plugged):
    first, second = Diary(), Diary("second")
    db = plugged(first, second)
    assert db.plugins == db.view(tenant="t1").plugins == (first, second)


@pytest.mark.parametrize("given", ["a-text", 5, ["a-list"], None])
def test_what_is_no_model_is_not_shown_to_plugins(plugged, given):
    seen = []

    class Looking:
        name = "looking"

        def ended(self, operation, error):
            seen.append((operation.verb, operation.model, operation.table))

    db = plugged(Looking())
    for call in (lambda: db.get(given, "k"), lambda: db.exists(given, "k"), lambda: db.batch_get(given, ["k"])):
        with pytest.raises(DynamORMError):
            call()
    assert seen == [("get", None, None), ("exists", None, None), ("batch_get", None, None)]


def test_many_first_verbs_wait_for_one_opening(engine, made, key):
    told, seen = [], []

    class Living:
        name = "living"

        async def opened(self, db):
            told.append("begun")
            await asyncio.sleep(0.05)
            told.append("done")

        def operation(self, next):
            def verb(operation):
                seen.append(list(told))
                return (yield from next(operation))

            return verb

    async def main():
        async with AsyncDB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
            db.use(Living())
            await asyncio.gather(*(db.get(Payment, f"{key}{number}") for number in range(5)))

    asyncio.run(main())
    assert seen == [["begun", "done"]] * 5


def test_without_hooks_nothing_stands_around_a_verb(plugged, key):
    class Nothing(Plugin):
        def observe(self, call, reply): ...

    db = plugged(Nothing())
    assert not hasattr(type(db.inner._session.verbs), "plain")
    assert "plain" not in vars(db.inner._session.verbs)


def test_a_hook_sees_how_long_a_verb_took(plugged, key):
    taken = []

    class Slow(Plugin):
        def post_query(self, ctx, query, result):
            taken.append(time.monotonic() - ctx.started)
            assert key not in repr(query)

    plugged(Slow()).create(Payment(id=key))
    assert 0 < taken[0] < 60


def test_a_view_has_the_plugins_that_its_database_had(plugged, key):
    db = plugged()
    view = db.view(tenant="t1")
    with pytest.raises(ConfigError, match="before the first call and the first view"):
        db.use(Diary())
    with pytest.raises(ConfigError, match=r"call db\.use\(\) before db\.view\(\)"):
        view.use(Diary())


def test_closing_a_view_closes_nothing(plugged, key):
    told = []

    class Living:
        name = "living"

        def opened(self, db):
            told.append("opened")

        def closed(self, db):
            told.append("closed")

    db = plugged(Living())
    with db.view(tenant="t1") as view:
        view.create(Payment(id=key))
    db.view(tenant="t2").close()
    assert db.get(Payment, key).id == key
    assert told == ["opened"]


class Owned(Exception):
    """An error of a program's own."""


def test_whatever_admit_raises_is_the_end_of_its_attempt(plugged, key):
    class Closed:
        name = "closed"

        def admit(self, call):
            raise Owned("not now")

    db = plugged(Closed())
    with pytest.raises(PluginRefused, match="the plugin closed refused an attempt of PutItem") as caught:
        db.create(Payment(id=key))
    assert isinstance(caught.value.__cause__, Owned)
    assert caught.value.outcome is Outcome.NOT_APPLIED


def test_whatever_admit_raises_behind_an_attempt_that_was_lost_leaves_the_outcome_open(
    made, key, face_kind, lossy_port
):
    class Once:
        name = "once"

        def __init__(self):
            self.asked = 0

        def admit(self, call):
            self.asked += 1
            if self.asked > 1:
                raise Owned("not again")

    config = Presets.local_development(endpoint=f"http://127.0.0.1:{lossy_port}", table_prefix=made)
    face = Face(face_kind, config, extensions=(Once(),))
    with pytest.raises(OutcomeUnknown) as caught:
        face.create(Payment(id=key))
    assert isinstance(caught.value.earlier[-1], PluginRefused)
    face.close()


def test_a_hook_that_nobody_would_wait_for_is_refused(plugged):
    class Late:
        name = "late"

        async def admit(self, call): ...

    with pytest.raises(ConfigError, match="admit of the plugin late is a coroutine"):
        plugged(Late())


def test_an_operation_that_is_no_layer_is_refused(plugged):
    class Lost:
        name = "lost"

        def operation(self, next):
            del next

    with pytest.raises(ConfigError, match=r"operation\(next\) of the plugin lost returns a function .*not None"):
        plugged(Lost())


def test_an_iteration_that_a_plugin_answers_ends(plugged, key):
    class Empty:
        name = "empty"

        def operation(self, next):
            def answered(operation):
                if operation.verb == "iterate":
                    return []
                return (yield from next(operation))

            return answered

    db = plugged(Empty())
    db.create(Order(customer=key, number=1))
    assert list(db.model(Order).where(Order.customer == key)) == []
    assert len(db.model(Order).where(Order.customer == key).all()) == 1


@pytest.mark.parametrize("diary", [Diary, AwaitingDiary])
def test_a_cancelled_verb_has_an_end_too(made, key, diary):
    import socket

    from dynamorm import AsyncDB

    async def main(port):
        config = Presets.local_development(endpoint=f"http://127.0.0.1:{port}", table_prefix=made)
        notes = diary()
        async with AsyncDB(config, extensions=(notes,)) as db:
            for steps in range(1, 12):
                task = asyncio.create_task(db.get(Payment, key))
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        return [entry[1] for entry in notes.log]

    with socket.create_server(("127.0.0.1", 0)) as silent:
        log = asyncio.run(main(silent.getsockname()[1]))
    assert log.count("before") == log.count("failed") > 5
    assert "after" not in log


def test_what_is_only_called_like_a_moment_is_refused(plugged):
    class Of:
        name = "of"
        model = Payment

    with pytest.raises(ConfigError, match="model of the plugin of is no function"):
        plugged(Of())


def test_a_use_that_is_refused_changes_nothing(plugged, key):
    from unittest.mock import Mock

    db = plugged()
    with pytest.raises(ConfigError, match="options of the plugin"):
        db.use(Mock())
    db.create(Payment(id=key))
    assert db.get(Payment, key).id == key


def test_a_plugin_is_asked_whether_it_joins_a_database(engine, made, face_kind):
    class Told:
        name = "told"

        def __init__(self):
            self.databases = []

        def joined(self, db):
            self.databases.append(db)

    class Failing:
        name = "failing"

        def joined(self, db):
            raise RuntimeError("not with this one")

    first, second = Told(), Told()
    second.name = "second"
    config = Presets.local_development(endpoint=engine.endpoint, table_prefix=made)
    face = Face(face_kind, config, extensions=(first,))
    face.get(Payment, "p")
    face.inner.use(second)  # it only looks
    assert first.databases == second.databases == [face.inner]
    with pytest.raises(RuntimeError, match="not with this one"):
        face.inner.use(Failing())
    assert [plugin.name for plugin in face.inner._session.plugins] == ["told", "second"]
    face.close()
