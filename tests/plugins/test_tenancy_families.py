"""Classes that share a table are all of tenants, or none is; and what else one tenant shares with another one: tokens, leases."""

import asyncio
import hashlib
import json
import re
import warnings

import pytest

from dynamorm import (
    AsyncDB,
    Attr,
    Model,
    Presets,
    Tenant,
    attr,
    composite,
    gsi,
    partition_key,
    schema_of,
    tenant_scope,
)
from dynamorm.errors import AlreadyExists, LeaseHeld, ModelError, TenantError, TenantMismatch, TenantRequired
from dynamorm.faces.following import follow
from dynamorm.leases import LeaseRecord
from dynamorm.plugin import family_of
from dynamorm.plugins.tenancy import Tenancy
from dynamorm.testing import FakeClock, reply
from tests.support.faces import Face

from .scripts import Scripted
from .tenancy_kit import Order, Shared, outcome

pytestmark = pytest.mark.engine


class Lock(LeaseRecord, Model, table="tenancy-locks"):
    tenant_id: Attr[str] = attr(Tenant(), init=False)


class Entity(Model, table="tenancy-entities", discriminator="kind"):
    """Keyed, and one of its classes has its key in its own way."""

    pk: Attr[str] = partition_key(composite("tenant_id", "number"))
    tenant_id: Attr[str] = attr(Tenant(), init=False)
    number: Attr[str]
    name: Attr[str] = attr(default="")


class Client(Entity, tag="client"):
    pk: Attr[str] = partition_key(composite("C#{tenant_id}#{number}"))


@pytest.fixture
def db(engine, face_kind):
    config = Presets.local_development(endpoint=engine.endpoint, table_prefix=f"{face_kind}-")
    face = Face(face_kind, config, extensions=(Tenancy(),))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        face.tables.ensure(Lock, Shared, Entity)
    yield face
    face.close()


def family(*, table="tenancy-fam"):
    class Base(Model, table=table, discriminator="kind"):
        id: Attr[str] = partition_key()
        name: Attr[str] = attr(default="")
        by_name = gsi("by-name", partition="name")

    class Plain(Base, tag="plain"):
        size: Attr[int] = attr(default=0)

    return Base, Plain


def of_tenants(base):
    class Ten(base, tag="ten"):
        tenant_id: Attr[str] = attr(Tenant(), init=False)

    return Ten


VERBS = (
    lambda view, model: view.get(model, "1"),
    lambda view, model: view.model(model).where(model.name == "x").all(),
    lambda view, model: view.put(model(id="1")),
    lambda view, model: view.update(model, "1", model.name.set("x")),
    lambda view, model: view.delete(model, "1"),
    lambda view, model: view.batch_write(puts=[model(id="1")]),
    lambda view, model: view.batch_write(deletes=[(model, "1")]),
    lambda view, model: _together(view, lambda tx: tx.check(model, "1", model.name == "x")),
    lambda view, model: _together(view, lambda tx: tx.put(model(id="1"))),
    lambda view, model: view.tables.ensure(model),
)


def _together(view, add):
    with view.transaction() as tx:
        add(tx)


def _scripted(face_kind):
    return Scripted(face_kind, Tenancy(), answer=lambda _: reply({}), clock=FakeClock())


@pytest.mark.parametrize("verb", VERBS)
def test_no_class_of_a_table_passes_by_the_tenants_of_another_one(face_kind, verb):
    base, plain = family()
    ten = of_tenants(base)
    for whose in (lambda db: db, lambda db: db.with_tenant("b"), lambda db: db.all_tenants(reason="test")):
        for model in (base, plain, ten):
            made = _scripted(face_kind)
            with pytest.raises((ModelError, TenantError)) as refused:
                verb(whose(made.db), model)
            if not isinstance(refused.value, TenantError):  # as tables are in a view of a tenant, whatever the model
                assert re.search("declare the Tenant field in Base", str(refused.value))
                assert "Ten" in str(refused.value)
            assert not made.driver.requests


def test_a_class_that_is_defined_late_cannot_be_used(face_kind):
    base, _ = family()
    made = _scripted(face_kind)
    made.db.put(base(id="1"))
    ten = of_tenants(base)
    for view in (made.db, made.db.with_tenant("a")):
        with pytest.raises(ModelError, match="declare the Tenant field in Base"):
            view.put(ten(id="2"))
        with pytest.raises(ModelError, match="declare the Tenant field in Base"):
            view.get(ten, "2")
    assert len(made.driver.requests) == 1  # so that there are no items of tenants that the others could write


def test_a_class_that_hides_the_tenant_is_refused(face_kind):
    class Base(Model, table="tenancy-fam-2", discriminator="kind"):
        id: Attr[str] = partition_key()
        tenant_id: Attr[str] = attr(Tenant(), init=False)

    class Hiding(Base, tag="hiding"):
        tenant_id: Attr[str] = attr(default="")

    for model in (Base, Hiding):
        with pytest.raises(ModelError, match="Hiding, which shares its table"):
            _scripted(face_kind).db.with_tenant("a").get(model, "1")

    class Other(Model, table="tenancy-fam-3", discriminator="kind"):
        id: Attr[str] = partition_key()
        tenant_id: Attr[str] = attr(Tenant(), init=False)

    class Renamed(Other, tag="renamed"):
        tenant_id: Attr[str] = attr(Tenant(), init=False, name="tid")

    for model in (Other, Renamed):
        with pytest.raises(ModelError, match="under several names"):
            _scripted(face_kind).db.with_tenant("a").get(model, "1")


def test_where_keys_are_made_in_several_ways_no_class_overwrites_anothers_tenant(db):
    a, c = db.with_tenant("acme"), db.with_tenant("C")
    a.create(Client(number="1", name="secret"))  # C#acme#1
    mine = a.get(Client, number="1")
    assert mine.pk == "C#acme#1"
    for write in (
        lambda: c.put(Entity(number="x", name="mine")).pk,
        lambda: c.delete(Entity, "C#acme#1"),
        lambda: c.get(Entity, "C#acme#1"),
    ):
        assert outcome(write) in {"C#x", None, TenantMismatch}
    assert outcome(lambda: c.upsert(Entity, "C#acme#1", Entity.name.set("mine"))) is not None
    assert outcome(lambda: c.batch_write(puts=[Entity(number="x")])) is TenantMismatch
    assert a.get(Client, number="1") == mine
    assert c.get(Entity, number="x").name == "mine"


def test_a_late_class_with_other_keys_is_refused(face_kind):
    class Base(Model, table="tenancy-fam-4", discriminator="kind"):
        pk: Attr[str] = partition_key(composite("tenant_id", "number"))
        tenant_id: Attr[str] = attr(Tenant(), init=False)
        number: Attr[str]

    view = _scripted(face_kind).db.with_tenant("a")
    view.put(Base(number="1"))

    class Alike(Base, tag="alike"):
        pass

    view.put(Alike(number="1"))

    class Late(Base, tag="late"):
        pk: Attr[str] = partition_key(composite("L#{tenant_id}#{number}"))

    with pytest.raises(ModelError, match="define all classes of a table before the first of them is used"):
        view.put(Late(number="1"))


def test_family_of_gives_the_classes_that_share_a_table():
    base, plain = family()
    assert family_of(base) == family_of(plain) == (base, plain)
    ten = of_tenants(base)
    assert family_of(ten) == (base, plain, ten)
    assert family_of(Order) == (Order,)
    assert schema_of(ten).table == "tenancy-fam"

    class Part(Model):
        number: Attr[int] = attr(default=0)

    assert family_of(Part) == ()


# -------------------------------------------------------------------------------------------------------------- tokens


def _sent(made, view, token="order-17"):
    before = len(made.driver.requests)
    with view.transaction(token=token) as tx:
        tx.create(Order(number="1"))
    (request,) = made.driver.requests[before:]
    return json.loads(request.body)["ClientRequestToken"]


def test_a_token_is_one_of_its_tenant(face_kind):
    made = _scripted(face_kind)
    a, b = made.db.with_tenant("a"), made.db.with_tenant("b")
    assert _sent(made, a) == _sent(made, a)
    assert len({_sent(made, view, token) for view in (a, b) for token in ("order-17", "order-18")}) == 4
    with tenant_scope("a"):
        assert _sent(made, made.db) == _sent(made, made.db)
    assert 1 <= len(_sent(made, a, "x" * 36)) <= 36


@pytest.mark.filterwarnings("ignore:the partition key of Shared")
@pytest.mark.parametrize("models", [(Order,), (Order, Shared), (Shared, Order, Order)])
@pytest.mark.parametrize("token", ["order-17", 'a"b\\c', None])
def test_the_token_that_is_sent_is_made_of_the_token_and_the_tenant(face_kind, models, token):
    made = _scripted(face_kind)
    with made.db.with_tenant('t"1').transaction(token=token) as tx:
        for number, model in enumerate(models):
            tx.create(model(number=f"{number}") if model is Order else model(id=f"{number}"))
    (request,) = made.driver.requests
    sent = json.loads(request.body)["ClientRequestToken"]
    if token is None:
        assert re.fullmatch("[0-9a-f]{32}", sent)
        return
    told = json.dumps(["dynamorm/token/1", token, 't"1'], separators=(",", ":")).encode()
    assert sent == hashlib.sha256(told).hexdigest()[:32]


# -------------------------------------------------------------------------------------------------------------- leases


def test_a_lease_is_taken_over_by_its_own_tenant_alone(db, key):
    a, b = db.with_tenant("a"), db.with_tenant("b")
    first = a.lease(Lock, key, duration=1)
    first.acquire()
    first.release()
    other = b.lease(Lock, key, duration=1)
    with pytest.raises(LeaseHeld):
        other.acquire()
    again = a.lease(Lock, key, duration=60)
    again.acquire()
    assert again.fence > first.fence if first.fence else again.fence
    assert a.get(Lock, key, "LOCK").tenant_id == "a"
    assert b.get(Lock, key, "LOCK") is None
    again.release()


# --------------------------------------------------------------------------------------------------------------- texts


class Evil(str):
    """A text that is equal to all."""

    __slots__ = ()

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __hash__(self):
        return 1


def test_the_text_of_a_tenant_is_what_is_compared(db, key):
    b = db.with_tenant("b")
    shared = Shared(id=key)
    shared.tenant_id = Evil("a")
    assert outcome(lambda: b.put(shared)) is TenantMismatch
    assert outcome(lambda: b.model(Shared).where(Shared.tenant_id == Evil("a")).all()) is TenantMismatch
    shared.tenant_id = Evil("b")
    b.put(shared)
    assert type(shared.tenant_id) is str
    assert outcome(lambda: db.with_tenant("a").create(Shared(id=key))) is AlreadyExists
    assert outcome(lambda: b.update(Shared, key, Shared.tenant_id.set(Evil("a")))) is TenantMismatch
    assert b.get(Shared, key).tenant_id == "b"


# ---------------------------------------------------------------------------------------------- coroutines of asyncio


def test_a_coroutine_is_of_the_scope_in_which_it_was_called():
    answers = []

    def answer(request):
        answers.append(json.loads(request.body))
        return reply({})

    made = Scripted("asyncio", Tenancy(), answer=answer, clock=FakeClock())
    inner = made.db.inner

    def whose():
        return answers[-1]["Item"]["tenant_id"]["S"]

    async def main():
        with tenant_scope("a"):
            first, second = inner.put(Order(number="1")), inner.put(Order(number="2"))
        outside = inner.put(Order(number="3"))
        with tenant_scope("b"):
            await first
            assert whose() == "a"
            with pytest.raises(TenantRequired):  # it was called outside of any
                await outside
            view = inner.with_tenant("b").put(Order(number="4"))
        await second
        assert whose() == "a"
        with tenant_scope("a"):
            refused = inner.with_tenant  # a view of another tenant is refused where it is made
            with pytest.raises(TenantMismatch):
                refused("b")
            await view
        assert whose() == "b"
        assert asyncio.iscoroutinefunction(inner.put)
        with pytest.raises(TypeError):
            inner.put()

    asyncio.run(main())


class Mine(AsyncDB):
    """A face of a program's own, whose verbs have blocks in them."""

    async def both(self):
        found = []
        for tenant in ("a", "b"):
            with tenant_scope(tenant):
                found.append(await self.put(Order(number="1")))
        return [one.tenant_id for one in found]


def test_a_method_of_a_programs_own_enters_blocks_as_it_likes():
    made = Scripted("asyncio", Tenancy(), answer=lambda _: reply({}), clock=FakeClock())
    inner = made.db.inner
    mine = object.__new__(Mine)
    mine.__dict__.update(inner.__dict__)
    follow(mine)  # the face was made by the kit
    assert asyncio.run(mine.both()) == ["a", "b"]
