"""Credentials for each tenant: all that a view sends is signed with its own, and with those of nobody else."""

import asyncio
import re
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from dynamorm import Config, Credentials, tenant_scope
from dynamorm.effects import TransportError
from dynamorm.engine import Engine
from dynamorm.errors import ConfigError, CredentialsError, DynamORMError, Outcome
from dynamorm.plugins.tenancy import Tenancy
from dynamorm.testing import failure
from tests.support.faces import Face

from .tenancy_kit import MODELS, Order, Plain, Put, Shared, Txn

OWN = Credentials("DATABASE", "secret")
_key = re.compile(rb"Credential=([^/]+)/").search


class Vault:
    """Gives a session to each tenant, which lives so long: KEY-<tenant>-<number>."""

    def __init__(self, life=900.0, *, takes=0.0):
        self.life = life
        self.takes = takes
        self.asked = []
        self.down = set()
        self.numbers = count()

    def __call__(self, tenant):
        self.asked.append(tenant)
        if self.takes:
            time.sleep(self.takes)
        return self._made(tenant)

    async def awaited(self, tenant):
        self.asked.append(tenant)
        await asyncio.sleep(self.takes)
        return self._made(tenant)

    def _made(self, tenant):
        if tenant in self.down:
            raise ConnectionError("no vault for wJalrXUtnFEMIK7MDENG")
        shown = tenant if tenant.isascii() else tenant.encode().hex()
        return Credentials(f"KEY-{shown}-{next(self.numbers)}", "secret", "token", time.time() + self.life)


class Wire:
    """The requests of a database over an engine inside the process: who has signed each; ``faults`` stand before it."""

    def __init__(self, kind, *, credentials, plugins=(), enable=None):
        self.sent = []
        self.faults = []
        self.lock = threading.Lock()
        config = Config(engine=Engine(), region="eu-west-1", credentials=OWN, sign_requests=True, cursor_key=b"k" * 32)
        self.face = Face(kind, config)
        db = self.face.inner
        if enable is None:
            db.use(Tenancy(credentials=credentials), *plugins)
        else:
            enable(db, credentials)
        self._exchange = db._io.exchange
        db._io.exchange = self._awaited if kind == "asyncio" else self._plain
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the model whose keys are shared
            self.face.tables.ensure(*MODELS)
        self.sent.clear()

    def _seen(self, send):
        match = _key(send.data)
        with self.lock:
            self.sent.append("nobody" if match is None else match[1].decode())
            fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, Exception):
            raise fault
        return fault

    def _plain(self, send):
        found = self._seen(send)
        return self._exchange(send) if found is None else found

    async def _awaited(self, send):
        found = self._seen(send)
        return await self._exchange(send) if found is None else found

    def who(self):
        """Whose keys have signed what was sent since it was asked last."""
        found = {re.sub(r"^KEY-(.*)-\d+$", r"\1", one) for one in self.sent}
        self.sent.clear()
        return found


@pytest.fixture
def vault():
    return Vault()


@pytest.fixture(params=["plain", "awaited"])
def how(request, vault):
    """The function, of each kind."""
    return vault if request.param == "plain" else vault.awaited


@pytest.fixture
def wire(face_kind, how):
    made = Wire(face_kind, credentials=how)
    yield made
    made.face.close()


def test_every_verb_of_a_view_is_signed_for_its_tenant(wire, vault):
    db, who = wire.face, wire.who
    a, b = db.with_tenant("a"), db.with_tenant("b")
    verbs = [
        lambda view: view.create(Order(number="1")),
        lambda view: view.put(Shared(id=str(id(view)))),
        lambda view: view.get(Order, "1"),
        lambda view: view.get(Order, "1", select=["amount"]),
        lambda view: view.exists(Order, "1"),
        lambda view: view.save(view.require(Order, "1")),
        lambda view: view.update(Order, "1", Order.amount.set(5)),
        lambda view: view.increment(Order, "1", Order.amount),
        lambda view: view.batch_get(Order, [("1",), ("2",)]),
        lambda view: view.batch_write(puts=[Order(number=str(number)) for number in range(30)]),
        lambda view: view.transact_get([(Order, "1"), (Order, "2")]),
        lambda view: view.model(Order).all(),
        lambda view: view.model(Order).count(),
        lambda view: list(view.model(Order).page_size(7)),
        lambda view: view.model(Order).page_size(7).page(),
        lambda view: view.create(Txn(number="1", mail=f"{id(view)}@example.com")),
        lambda view: view.find_by_unique(Txn, mail=f"{id(view)}@example.com"),
        lambda view: view.get(Plain, "x"),  # of no tenant, and yet sent by the view
        lambda view: view.view(region="eu").get(Order, "1"),
        lambda view: view.explain(lambda explained: explained.model(Order).all()),
        lambda view: view.create(Order(number="strict"), strict=True),
        lambda view: view.delete(Order, "1"),
        lambda view: view.model(Order).delete_all(confirm=True),
    ]
    for verb in verbs:
        for tenant, view in (("a", a), ("b", b)):
            verb(view)
            assert who() <= {tenant}
    for tenant, view in (("a", a), ("b", b)):
        with view.transaction() as tx:
            for number in range(5):
                tx.create(Put(id=f"{tenant}{number}"))
        assert who() == {tenant}
        with view.new_batcher() as batcher:
            for number in range(5):
                batcher.add(Order(number=f"b{number}"))
        assert who() == {tenant}
        with view.dry_run() as dry:
            dry.get(Order, "b1")
            dry.delete(Order, "b1")
        assert who() == {tenant}
        with db.dry_run() as dry:
            dry.with_tenant(tenant).get(Order, "b1")
        assert who() == {tenant}
    assert sorted(vault.asked) == ["a", "b"]


def test_what_is_of_no_tenant_is_signed_with_the_databases_own(wire, vault):
    db = wire.face
    db.with_tenant("a").create(Order(number="1"))
    wire.who()
    db.get(Plain, "x")
    db.all_tenants(reason="test").model(Order).allow_scan().all()
    db.tables.describe(Order)
    db.view(region="eu").get(Plain, "x")
    assert wire.who() == {"DATABASE"}
    assert vault.asked == ["a"]


def test_a_block_is_signed_for_its_tenant(wire):
    db = wire.face
    with tenant_scope("a"):
        db.create(Order(number="1"))
        query, transaction = db.model(Order), db.transaction()
    with tenant_scope("b"):
        db.create(Order(number="1"))
        assert wire.who() == {"a", "b"}
        query.all()
        with transaction as tx:
            tx.create(Order(number="2"))
        assert wire.who() == {"a"}
    db.get(Plain, "x")
    assert wire.who() == {"DATABASE"}


def test_two_spellings_of_a_tenant_are_one(wire, vault):
    for tenant in ("\u00e9", "e\u0301"):
        wire.face.with_tenant(tenant).get(Order, "1")
    assert vault.asked == ["\u00e9"]


def test_they_are_kept_until_they_expire(face_kind, how, vault):
    wire = Wire(face_kind, credentials=how)
    a = wire.face.with_tenant("a")
    for _ in range(5):
        a.get(Order, "1")
        wire.face.with_tenant("a").get(Order, "1")
    assert vault.asked == ["a"]
    wire.face.inner._session.channel.skew.skew = 781  # seconds: they are fetched anew 120 before they expire
    a.get(Order, "1")
    assert vault.asked == ["a", "a"]
    assert wire.sent[-1] == "KEY-a-1"
    wire.face.close()


EXPIRED = failure("ExpiredTokenException", 400, "The security token included in the request is expired")
LOST = TransportError("receive", "no answer", sent=True)


@pytest.mark.parametrize("fault", [EXPIRED, LOST, failure("InternalServerError", 500)])
def test_another_try_is_signed_for_the_same_tenant(wire, vault, fault):
    a, b = (wire.face.with_tenant(tenant) for tenant in "ab")
    for view in (a, b):
        view.create(Order(number="1"))
    wire.who()
    for verb in (
        lambda: a.get(Order, "1"),
        lambda: a.update(Order, "1", Order.amount.set(5)),
        lambda: a.create(Order(number=str(next(vault.numbers)))),
        lambda: a.batch_get(Order, [("1",)]),
    ):
        wire.faults.append(fault)
        verb()
        assert len(wire.sent) > 1
        assert wire.who() == {"a"}
    with a.transaction() as tx:
        tx.create(Order(number="t"))
        wire.faults.append(fault)
    assert wire.who() == {"a"}
    before = vault.asked.count("a")
    assert before == (6 if fault is EXPIRED else 1)  # what was refused is asked for anew, once for each refusal
    assert vault.asked.count("b") == 1


def test_a_vault_that_is_down_harms_its_tenant_alone(wire, vault):
    vault.down.add("a")
    a, b = (wire.face.with_tenant(tenant) for tenant in "ab")
    for verb in (lambda: a.get(Order, "1"), lambda: a.create(Order(number="1")), lambda: a.model(Order).all()):
        with pytest.raises(CredentialsError) as caught:
            verb()
        error = caught.value
        assert (error.outcome, error.retryable) == (Outcome.NOT_APPLIED, False)
        assert "tenancy" in str(error)
        assert "ConnectionError" in str(error)
        assert "wJalr" not in f"{error} {error.__cause__} {error.__context__}"
        assert wire.who() == set()
    b.create(Order(number="1"))
    assert wire.who() == {"b"}
    vault.down.clear()
    a.create(Order(number="1"))
    assert wire.who() == {"a"}


@pytest.mark.parametrize("given", [None, "KEY", {"key_id": "K"}, Credentials("K", "s", "t", 1.0)])
def test_what_gives_no_credentials_is_told(face_kind, given):
    wire = Wire(face_kind, credentials=lambda tenant: given)
    with pytest.raises(CredentialsError, match=r"not Credentials|have expired"):
        wire.face.with_tenant("a").get(Order, "1")
    assert wire.sent == []
    wire.face.close()


def test_however_many_wait_one_asks(face_kind, how, vault):
    vault.takes = 0.2
    wire = Wire(face_kind, credentials=how)
    views = [wire.face.with_tenant(tenant) for tenant in "ab" for _ in range(8)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda view: view.get(Order, "1"), views))
    assert sorted(vault.asked) == ["a", "b"]
    assert len(wire.sent) == 16
    assert wire.who() == {"a", "b"}
    wire.face.close()


def test_who_is_cancelled_leaves_the_others_with_the_question():
    async def main():
        vault = Vault(takes=0.2)
        wire = Wire("asyncio", credentials=vault.awaited)
        view = wire.face.inner.with_tenant("a")
        db = view
        db._io.exchange = wire._awaited
        first, second = (asyncio.create_task(view.get(Order, "1")) for _ in range(2))
        await asyncio.sleep(0.05)
        first.cancel()
        assert await second is None
        with pytest.raises(asyncio.CancelledError):
            await first
        return vault.asked

    assert asyncio.run(main()) == ["a"]


def test_a_function_that_never_answers_ends_with_the_verbs_time(face_kind):
    ended = threading.Event()

    def never(tenant):
        ended.wait(60)

    async def never_awaited(tenant):
        await asyncio.sleep(60)

    for function in (never, never_awaited) if face_kind == "asyncio" else (never,):
        wire = Wire(face_kind, credentials=function)
        wire.face.inner._session.channel.config = wire.face.inner.config
        begun = time.monotonic()
        with pytest.raises(DynamORMError) as caught, _deadline(0.5):
            wire.face.with_tenant("a").get(Order, "1")
        assert time.monotonic() - begun < 30
        ended.set()
        assert caught.value.outcome is Outcome.NOT_APPLIED
        assert wire.sent == []
        wire.face.close()


def _deadline(seconds):
    from dynamorm import deadline

    return deadline(seconds)


def test_a_view_that_comes_back_after_many_others_is_right_still(face_kind, monkeypatch):
    from dynamorm.ops.calls import own_credentials
    from dynamorm.plugins.tenancy import plugin

    monkeypatch.setattr(own_credentials, "MOST", 3)
    monkeypatch.setattr(plugin, "MOST", 3)
    vault = Vault()
    wire = Wire(face_kind, credentials=vault)
    first = wire.face.with_tenant("t0")
    for _ in range(2):
        for number in range(6):
            wire.face.with_tenant(f"t{number}").get(Order, "1")
            assert wire.who() == {f"t{number}"}
            first.get(Order, "1")
            assert wire.who() == {"t0"}
    wire.face.close()


def test_a_plugin_that_comes_late_sees_the_requests_of_views(wire):
    seen = []

    class Watcher:
        name = "watcher"

        def observed(self, call, reply, error):
            seen.append(call.table)

    view = wire.face.with_tenant("a")
    view.get(Order, "1")
    wire.face.inner.use(Watcher())
    view.get(Order, "1")
    wire.face.with_tenant("a").get(Order, "1")
    assert seen == ["tenancy-orders"] * 2
    assert wire.who() == {"a"}


def test_what_is_put_around_calls_and_asks_again_is_of_the_tenant(face_kind, vault):
    class Twice:
        name = "twice"

        def around(self, call):
            def twice(op):
                yield from call(op.with_wire() if op.name == "GetItem" else op)
                return (yield from call(op))

            return twice

    wire = Wire(face_kind, credentials=vault, plugins=(Twice(),))
    wire.face.with_tenant("a").get(Order, "1")
    assert wire.sent == ["KEY-a-0"] * 2
    wire.face.close()


@pytest.mark.parametrize("wrong", [5, "KEY", Credentials("K", "s"), Credentials, lambda: None, lambda a, b: None])
def test_what_is_no_function_of_a_tenant_is_refused(wrong):
    with pytest.raises(ConfigError, match="credentials of tenants"):
        Tenancy(credentials=wrong)


def test_they_are_given_when_tenants_are_enabled(face_kind, vault):
    def enable(db, credentials):
        db.enable_multi_tenancy(credentials=credentials)
        with pytest.raises(ConfigError, match="enabled already"):
            db.enable_multi_tenancy(credentials=credentials)
        db.enable_multi_tenancy()

    wire = Wire(face_kind, credentials=vault, enable=enable)
    wire.face.with_tenant("a").get(Order, "1")
    assert wire.who() == {"a"}
    wire.face.close()


def test_without_them_nothing_is_put_around_calls():
    plain, signed = Wire("blocking", credentials=None), Wire("blocking", credentials=Vault())
    assert Tenancy().credentials_of is None
    assert plain.face.inner._session.ways is None
    assert plain.face.inner._session.call.func.__name__ == "_call"
    assert signed.face.inner._session.call.__name__ == "call"


def test_tenants_at_once_never_sign_for_each_other(face_kind, vault):
    """Threads, or tasks, of many tenants: each request is signed by who it is of, as its body says."""
    wire = Wire(face_kind, credentials=vault)
    tenants = [f"t{number}" for number in range(12)]
    pairs = []
    exchange = wire._exchange

    def noted(send):
        who, key = _key(send.data)[1].decode(), re.search(rb'"S":"(t\d+)"', send.data)
        pairs.append((re.sub(r"^KEY-(.*)-\d+$", r"\1", who), key[1].decode()))

    if face_kind == "asyncio":

        async def exchanged(send):
            noted(send)
            await asyncio.sleep(0)
            return await exchange(send)

    else:

        def exchanged(send):
            noted(send)
            return exchange(send)

    wire.face.inner._io.exchange = exchanged

    def work(number):
        view = wire.face.with_tenant(tenants[number % 12])
        for _ in range(5):
            view.put(Order(number="1"))
            view.get(Order, "1")
            view.model(Order).all()
            with tenant_scope(tenants[number % 12]):
                wire.face.get(Order, "1")

    wire.face.concurrently(work, 24)
    assert len(pairs) == 24 * 5 * 4
    assert [pair for pair in pairs if pair[0] != pair[1]] == []
    assert sorted(vault.asked) == sorted(tenants)
    wire.face.close()
