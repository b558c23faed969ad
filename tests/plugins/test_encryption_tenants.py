"""Keys of tenants: a tenant is one in whatever form it is written, and an item of another one is absent before anything is opened."""

import pytest

from dynamorm import Attr, Encrypted, Model, Tenant, attr, composite, gsi, partition_key
from dynamorm.errors import AlreadyExists, ConfigError, NotFound, Outcome, TenantMismatch
from dynamorm.plugins import EncryptionPlugin, Tenancy

from .encryption_kit import Keys, Provider, Wall

COMPOSED, DECOMPOSED = "\u00e9x", "e\u0301x"


@pytest.fixture(scope="module")
def made(prefix):
    return prefix


@pytest.fixture
def opened(plugged):
    provider, wall = Provider(), Wall()

    def open_(model, order=1):
        plugin = EncryptionPlugin(provider)
        plugin.keys.keyring.now = wall
        db = plugged(*[Tenancy(), plugin][::order])
        db.tables.ensure(model)
        return db

    return open_, provider, wall


def keyed(key, face_kind):
    class Owned(Model, table=f"spelled-{key[:12]}-{face_kind}"):
        pk: Attr[str] = partition_key(composite("tenant", "id"))
        id: Attr[str] = attr(default="")
        tenant: Attr[str] = attr(Tenant(), init=False)
        a: Attr[str | None] = attr(Encrypted("pii", searchable=True), default=None)

    return Owned


def of_tenants(key, face_kind, **options):
    class Owned(Model, table=f"owned-{key[:12]}-{face_kind}"):
        pk: Attr[str] = partition_key(composite("tenant", "id"))
        id: Attr[str] = attr(default="")
        tenant: Attr[str] = attr(Tenant(), init=False)
        owner: Attr[str] = attr(immutable=True, default="o")
        a: Attr[str | None] = attr(Encrypted(**options), default=None)
        n: Attr[int] = attr(default=0)

    class Raw(Model, table=f"owned-{key[:12]}-{face_kind}"):
        pk: Attr[str] = partition_key()

    return Owned, Raw


def shared(key, face_kind, **options):
    class Shared(Model, table=f"shared-{key[:12]}-{face_kind}"):
        id: Attr[str] = partition_key()
        owner: Attr[str] = attr(immutable=True, default="o")
        tenant: Attr[str] = attr(Tenant(), init=False)
        a: Attr[str | None] = attr(Encrypted(**options), default=None)
        n: Attr[int] = attr(default=0)
        by_tenant = gsi("by-tenant", partition="tenant")

    return Shared


def test_keys_of_a_tenant_are_found_in_whatever_form_it_is_written(opened, key, face_kind):
    open_, provider, wall = opened
    Owned = keyed(key, face_kind)
    db = open_(Owned)
    db.with_tenant(DECOMPOSED).create(Owned(id="1", a="x"))
    made = len(provider.made)
    Keys(db).rotate("pii", tenant=DECOMPOSED)
    assert len(provider.made) == made + 1
    wall.later()
    assert Keys(db).reencrypt(Owned).rewritten == 1
    Keys(db).shred(tenant=DECOMPOSED)
    wall.later()
    Keys(db).shred(tenant=COMPOSED)
    assert {context["dynamorm-tenant"] for context in provider.contexts} == {COMPOSED}


def test_what_is_done_with_keys_that_are_not_there_is_refused_and_makes_none(opened, key, face_kind):
    open_, provider, _ = opened
    Owned = keyed(key, face_kind)
    db = open_(Owned)
    with pytest.raises(ConfigError, match=r"no model|nothing to rotate"):
        Keys(db).rotate("pii", tenant="a")
    db.with_tenant("a").create(Owned(id="1", a="x"))
    made, calls = len(provider.made), len(provider.calls)
    for blind in (False, True):
        with pytest.raises(ConfigError, match="nothing to rotate"):
            Keys(db).rotate("pii", tenant="typo", blind_index=blind)
    with pytest.raises(ConfigError, match="could be retired"):
        Keys(db).retire("pii", "00000000-0000-0000-0000-000000000000", tenant="typo")
    with pytest.raises(ConfigError, match="nothing was shredded"):
        Keys(db).shred(tenant="typo")
    assert (len(provider.made), len(provider.calls)) == (made, calls)


@pytest.mark.filterwarnings("ignore:the partition key of Shared")
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    "options", [{"ring": "pii"}, {"ring": "pci"}, {"ring": "pii", "subject": "owner"}], ids=["pii", "pci", "subject"]
)
def test_an_item_of_another_tenant_is_absent_before_anything_is_opened(opened, key, face_kind, options, order):
    open_, provider, _ = opened
    Shared = shared(key, face_kind, **options)
    open_(Shared).with_tenant("a").create(Shared(id="theirs", a="9"))
    db = open_(Shared, order)
    view = db.with_tenant("b")
    del provider.calls[:]
    assert view.get(Shared, "theirs") is None
    assert not view.exists(Shared, "theirs")
    with pytest.raises(NotFound):
        view.require(Shared, "theirs")
    assert provider.calls == []
    view.create(Shared(id="mine", a="8"))
    assert [one and one.a for one in view.batch_get(Shared, ["theirs", "mine"])] in ([None, "8"], ["8"])
    assert [one and one.a for one in view.transact_get([(Shared, "theirs"), (Shared, "mine")])] == [None, "8"]
    assert [one.a for one in view.model(Shared).where(Shared.tenant == "b").all()] == ["8"]
    with pytest.raises(AlreadyExists):
        view.create(Shared(id="theirs", a="7"))
    with pytest.raises(AlreadyExists):
        view.put(Shared(id="theirs", a="7"))
    assert {context["dynamorm-tenant"] for context in provider.contexts[-len(provider.calls) :]} == {"b"}
    assert db.with_tenant("a").get(Shared, "theirs").a == "9"


READS = {
    "get": lambda view, Owned: view.get(Owned, id="1"),
    "require": lambda view, Owned: view.require(Owned, id="1"),
    "select": lambda view, Owned: view.get(Owned, id="1", select=["a"]),
    "batch_get": lambda view, Owned: view.batch_get(Owned, ["b#1"]),
    "transact_get": lambda view, Owned: view.transact_get([(Owned, "b#1")]),
    "query": lambda view, Owned: view.model(Owned).where(Owned.id == "1").all(),
    "first": lambda view, Owned: view.model(Owned).where(Owned.id == "1").select("a").first(),
    "page": lambda view, Owned: view.model(Owned).where(Owned.id == "1").page(),
}
RINGS = [{"ring": "pii"}, {"ring": "pci"}, {"ring": "pii", "subject": "owner"}]


@pytest.fixture
def foreign(opened, plugged, key, face_kind, request):
    """A model of tenants, and databases in which an item of the tenant "a" lies under a key of "b", where another program has put it."""
    open_, provider, _ = opened
    Owned, Raw = of_tenants(key, face_kind, **request.param)
    db = open_(Owned)
    db.with_tenant("a").create(Owned(id="1", a="9"))
    db.with_tenant("b").create(Owned(id="2", a="8"))
    plain = plugged()
    table = plain.tables.name_of(Raw)
    (item,) = plain.partiql(f'SELECT * FROM "{table}" WHERE pk = ?', "a#1")
    moved = {**item, "pk": "b#1"}
    shown = ", ".join(f"'{name}': ?" for name in moved)
    plain.partiql(f'INSERT INTO "{table}" VALUE {{{shown}}}', *moved.values())
    return lambda order: open_(Owned, order), Owned, provider


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("foreign", RINGS, indirect=True, ids=["pii", "pci", "subject"])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_foreign_item_is_told_as_such_before_a_key_is_looked_for(foreign, read, order):
    open_, Owned, provider = foreign
    db = open_(order)
    view = db.with_tenant("b")
    assert view.get(Owned, id="2").a == "8"
    before, calls = db.gauges()["encryption_key_fetches"], len(provider.calls)
    with pytest.raises(TenantMismatch) as caught:
        read(view, Owned)
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert (db.gauges()["encryption_key_fetches"], len(provider.calls)) == (before, calls)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("foreign", RINGS[:1], indirect=True, ids=["pii"])
def test_a_foreign_item_in_the_answer_to_a_write_is_told_as_such(foreign, order):
    """And nobody can say what was written."""
    open_, Owned, _ = foreign
    with pytest.raises(TenantMismatch) as caught:
        open_(order).with_tenant("b").update(Owned, "b#1", Owned.n.set(1))
    assert caught.value.outcome is Outcome.UNKNOWN
    assert not caught.value.retryable
