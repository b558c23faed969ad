"""Keys of tenants: a tenant is one in whatever form it is written, and an item of another one is absent before anything is opened."""

import pytest

from dynamorm import Attr, Encrypted, Model, Tenant, attr, composite, gsi, partition_key
from dynamorm.errors import AlreadyExists, ConfigError, NotFound
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
