"""Several classes write the items of one table, and some know nothing of what is sealed: no legal write breaks a seal."""

import pytest

from dynamorm import DB, Attr, Encrypted, Model, Presets, attr, partition_key, version
from dynamorm.errors import EncryptionError, KeyDisabled, KeyUnavailable, TamperedCiphertext
from dynamorm.plugins import EncryptionPlugin

from .encryption_kit import Keys, Provider


class Sealed(Model, table="sealed-classes"):
    token: Attr[str] = partition_key()
    hits: Attr[int] = attr(default=0)
    number: Attr[str | None] = attr(Encrypted("pci"), default=None)
    spare: Attr[str | None] = attr(Encrypted("pci"), default=None)
    version: Attr[int] = version()


class Plain(Model, table="sealed-classes"):
    """Knows nothing of what is encrypted, and moves the version on."""

    token: Attr[str] = partition_key()
    hits: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Raw(Model, table="sealed-classes"):
    token: Attr[str] = partition_key()
    number: Attr[bytes | None] = attr(default=None)
    seal: Attr[bytes | None] = attr(name="_seal", default=None)
    sealed: Attr[bytes | None] = attr(name="_sealed", default=None)


class Family(Model, table="sealed-family", discriminator="kind"):
    id: Attr[str] = partition_key()
    hits: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Card(Family, tag="card"):
    number: Attr[str | None] = attr(Encrypted("pci"), default=None)


class Two(Model, table="sealed-rings"):
    """Two rings seal one item."""

    id: Attr[str] = partition_key()
    hits: Attr[int] = attr(default=0)
    a: Attr[str | None] = attr(Encrypted("aaa", seal=True), default=None)
    z: Attr[str | None] = attr(Encrypted("zzz", seal=True), default=None)
    version: Attr[int] = version()


class Last(Model, table="sealed-rings"):
    id: Attr[str] = partition_key()
    z: Attr[str | None] = attr(Encrypted("zzz", seal=True), default=None)
    version: Attr[int] = version()


class Marked(Model, table="sealed-rings"):
    id: Attr[str] = partition_key()
    a: Attr[str | None] = attr(Encrypted("aaa", seal=True, on_decrypt_error="mark"), default=None)
    z: Attr[str | None] = attr(Encrypted("zzz", seal=True, on_decrypt_error="mark"), default=None)
    version: Attr[int] = version()


class RawTwo(Model, table="sealed-rings"):
    id: Attr[str] = partition_key()
    a: Attr[bytes | None] = attr(default=None)
    z: Attr[bytes | None] = attr(default=None)
    seal: Attr[bytes | None] = attr(name="_seal", default=None)
    sealed: Attr[bytes | None] = attr(name="_sealed", default=None)


@pytest.fixture(scope="module")
def made(engine, prefix):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        db.use(EncryptionPlugin(Provider()))
        for model in (Raw, Family, RawTwo):
            db.tables.create(model)
    return prefix


@pytest.fixture
def db(plugged, keys):
    return plugged(EncryptionPlugin(keys))


def written_by(db, model, key):
    """Every write of an item by a class that does not know what is sealed."""
    db.update(model, key, model.hits.add(1))
    db.increment(model, key, model.hits, by=1)
    found = db.get(model, key)
    found.hits += 1
    db.save(found)
    db.update(found, model.hits.set(4))
    with db.transaction() as tx:
        tx.update(model, key, model.hits.add(1))
    found = db.get(model, key)
    found.hits += 1
    db.put(found)
    for put in (lambda one: db.batch_write(puts=[one]), lambda one: _within(db, one)):
        found = db.get(model, key)
        found.hits += 1
        put(found)
    return 8


def _within(db, one):
    with db.transaction() as tx:
        tx.put(one)


@pytest.mark.parametrize("has_keys", [True, False], ids=["with a provider", "without one"])
def test_a_class_that_knows_nothing_of_the_seal_breaks_none(plugged, keys, key, has_keys):
    db = plugged(EncryptionPlugin(keys))
    db.create(Sealed(token=key, number="1", spare="a"))
    other = plugged(*([EncryptionPlugin(keys)] if has_keys else []))
    hits = written_by(other, Plain, key)
    found = db.get(Sealed, key)
    assert (found.number, found.spare, found.hits) == ("1", "a", hits)
    found.number = "2"
    db.save(found)
    db.update(Sealed, key, Sealed.spare.set("b"))
    written_by(other, Plain, key)
    assert (db.get(Sealed, key).number, db.get(Sealed, key).spare) == ("2", "b")
    assert Keys(db).reencrypt(Sealed).failed == 0


def test_a_base_class_of_a_family_breaks_none(db, key):
    db.create(Card(id=key, number="1"))
    written_by(db, Family, key)
    found = db.get(Card, key)
    assert (found.number, found.hits) == ("1", 8)
    db.update(Card, key, Card.number.set("2"))
    written_by(db, Family, key)
    assert db.get(Family, key).number == "2"


def test_a_value_that_is_rolled_back_behind_such_a_write_is_found(db, key):
    db.create(Sealed(token=key, number="1"))
    before = db.get(Raw, key)
    db.update(Sealed, key, Sealed.number.set("2"))
    written_by(db, Plain, key)
    for change in ((Raw.number.set(before.number),), (Raw.number.set(before.number), Raw.seal.set(before.seal))):
        db.update(Raw, key, *change)
        with pytest.raises(TamperedCiphertext):
            db.get(Sealed, key)


# ----------------------------------------------------------------------------------------------------------- forgeries


def forged(seal, ring):
    """A seal that names another version of the key of a ring."""
    at = seal.index(bytes((len(ring),)) + ring.encode()) + 1 + len(ring)
    return seal[:at] + bytes(16) + seal[at + 16 :]


@pytest.mark.parametrize("forge", [lambda raw: forged(raw.seal, "zzz"), lambda raw: raw.seal[:-1] + b"x"])
def test_a_forged_seal_is_found_where_everything_is_marked(plugged, keys, key, forge):
    db = plugged(EncryptionPlugin(keys))
    db.create(Marked(id=key, a="1", z="old"))
    old = db.get(RawTwo, key)
    db.update(Marked, key, Marked.z.set("new"))
    raw = db.get(RawTwo, key)
    db.update(RawTwo, key, RawTwo.z.set(old.z), RawTwo.seal.set(forge(raw)))
    other = plugged(EncryptionPlugin(keys))
    for read in (
        lambda: other.get(Marked, key),
        lambda: other.model(Marked).where(Marked.id == key).all(),
        lambda: other.update(Marked, key, Marked.a.set("2")),
        lambda: db.get(Marked, key),
    ):
        with pytest.raises((TamperedCiphertext, KeyUnavailable)):
            read()


# --------------------------------------------------------------------------------------------------------- other rings


def test_a_ring_that_is_shredded_takes_no_other_one_along(plugged, key):
    provider = Provider()
    tenant = f"{key}-t"
    mine = plugged(EncryptionPlugin(provider)).view(tenant=tenant)
    mine.create(Two(id=key, a="A", z="Z"))
    db = plugged(EncryptionPlugin(provider))
    view = db.view(tenant=tenant)
    assert view.get(Two, key).z == "Z"
    Keys(db).shred(tenant=tenant, ring="aaa")
    again = plugged(EncryptionPlugin(provider)).view(tenant=tenant)
    for one in (view, again):
        assert one.get(Last, key).z == "Z"
        found = one.get(Marked, key)
        assert found.z == "Z"
        assert isinstance(found.a.error, KeyDisabled)
        with pytest.raises(KeyDisabled):
            one.get(Two, key)
    again.update(Last, key, Last.z.set("Y"))
    again.update(Marked, key, Marked.z.set("X"))
    assert again.get(Marked, key).z == "X"
    found = again.get(Marked, key)
    found.z = "W"
    again.save(found)
    assert again.get(Last, key).z == "W"


def test_each_ring_is_checked(db, key):
    db.create(Two(id=key, a="A", z="Z"))
    before = db.get(RawTwo, key)
    db.update(Two, key, Two.a.set("B"), Two.z.set("Y"))
    for change in (RawTwo.a.set(before.a), RawTwo.z.set(before.z)):
        now = db.get(RawTwo, key)
        db.update(RawTwo, key, change)
        with pytest.raises(EncryptionError):
            db.get(Two, key)
        db.put(now)
    assert (db.get(Two, key).a, db.get(Two, key).z) == ("B", "Y")


def test_a_ring_without_values_needs_no_key(plugged, key):
    provider = Provider()
    db = plugged(EncryptionPlugin(provider)).view(tenant=key)
    db.create(Last(id=key))
    assert provider.calls == []
    assert db.get(RawTwo, key).seal is None
    db.update(Last, key, Last.z.set("1"))
    db.update(Last, key, Last.z.remove())
    assert db.get(Last, key).z is None
    db.update(Last, key, Last.z.set("2"))
    assert db.get(Two, key).z == "2"
    assert not [one for one in provider.contexts if one["dynamorm-ring"] == "aaa"]
