"""Keys of tenants and of subjects are destroyed, and with them what they have sealed."""

import datetime as dt

import pytest

from dynamorm import DB, Attr, Encrypted, Model, Presets, attr, partition_key, sort_key, version
from dynamorm.errors import ConfigError, KeyDisabled, ModelError
from dynamorm.plugins import EncryptionPlugin
from dynamorm.plugins.encryption.keyring import LATEST
from dynamorm.plugins.encryption.rewriting.shred import BACKUPS

from .encryption_kit import Keys, Provider, Wall


class Person(Model, table="shred-people"):
    id: Attr[str] = partition_key()
    customer: Attr[str] = attr(immutable=True)
    name: Attr[str | None] = attr(Encrypted("pii", subject="customer", searchable=True), default=None)
    note: Attr[str] = attr(default="")
    version: Attr[int] = version()


class Order(Model, table="shred-orders"):
    customer: Attr[int] = partition_key()
    number: Attr[int] = sort_key()
    address: Attr[str | None] = attr(Encrypted("pci", subject="customer"), default=None)


class Records(Model, table="shred-keys"):
    pk: Attr[str] = partition_key()
    sk: Attr[str] = sort_key()
    state: Attr[str] = attr(name="_state", default="")
    wrapped: Attr[bytes | None] = attr(name="_wrapped", default=None)


def records(db):
    """All records of keys, by a database without a provider: to others they are not there."""
    with DB(db.inner.config) as plain:
        return plain.model(Records).allow_scan().all()


class Kept(Provider):
    keyring_table = "shred-keys"


@pytest.fixture(scope="module")
def made(engine, prefix):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        db.use(EncryptionPlugin(Kept()))
        db.tables.create(Person)
        db.tables.create(Order)
        db.tables.create(Records)
    return prefix


@pytest.fixture
def opened(plugged, made):
    provider, wall = Kept(), Wall()
    with DB(Presets.local_development(endpoint=plugged().config.endpoint, table_prefix=made)) as db:
        for record in db.model(Records).allow_scan().all():
            db.delete(record)

    def open_():
        plugin = EncryptionPlugin(provider)
        plugin.keys.keyring.now = wall
        return plugged(plugin)

    return open_, wall


def test_each_subject_has_a_key_of_its_own(opened, key):
    open_, _ = opened
    db = open_()
    for at, customer in enumerate(("customer-1", "customer-1", "customer-2")):
        db.create(Person(id=f"{key}{at}", customer=customer, name=f"n{at}"))
    kinds = sorted(record.sk[:2] for record in records(db) if record.pk == "~K#pii")
    assert kinds == ["AC", "S#", "S#", "V#"]
    person = db.get(Person, key + "0")
    person.name = "m"
    db.save(person)
    db.update(Person, key + "0", Person.note.set("x"))
    db.update(Person, key + "1", Person.name.set("k"))
    assert open_().get(Person, key + "0").name == "m"
    assert open_().get(Person, key + "1", select=["name"]).name == "k"
    assert [one.name for one in open_().batch_get(Person, [key + "0", key + "2"])] == ["m", "n2"]
    with db.transaction() as tx:
        tx.update(Person, key + "2", Person.name.set("t"))
    assert db.get(Person, key + "2").name == "t"
    assert db.model(Person).allow_scan().where(Person.name.equals("t")).one().id == key + "2"
    assert all("customer-1" not in record.sk for record in records(db))


def test_a_subject_is_shredded_in_two_steps(opened, key):
    open_, wall = opened
    db = open_()
    db.create(Person(id=key, customer="gone", name="1"))
    db.create(Person(id=key + "2", customer="stays", name="2"))
    report = Keys(db).shred(subject="gone")
    assert report.done_at == wall.now + dt.timedelta(seconds=LATEST)
    assert report.recoverable_until == report.done_at + BACKUPS
    assert report.left_over == (
        "Person.name: its blind index, and its guards where it is unique; they go with the items",
    )
    for other in (db, open_()):
        with pytest.raises(KeyDisabled):
            other.get(Person, key)
        with pytest.raises(KeyDisabled):
            other.create(Person(id=key + "3", customer="gone", name="3"))
        assert other.get(Person, key + "2").name == "2"
    assert Keys(db).shred(subject="gone").done_at == report.done_at
    held = [record for record in records(db) if record.state == "disabled"]
    assert len(held) == 1
    assert held[0].wrapped
    wall.now += dt.timedelta(seconds=LATEST + 1)
    done = Keys(db).shred(subject="gone")
    assert done.done_at <= wall.now
    (tombstone,) = [record for record in records(db) if record.state == "shredded"]
    assert tombstone.wrapped is None
    with pytest.raises(KeyDisabled):
        open_().create(Person(id=key + "3", customer="gone", name="3"))
    assert open_().get(Person, key + "2").name == "2"
    assert open_().get(Person, key + "2").customer == "stays"


def test_a_subject_that_is_a_part_of_the_key(opened, key):
    open_, _ = opened
    db = open_()
    number = int(key[:8], 16)
    db.create(Order(customer=number, number=1, address="a"))
    db.update(Order, number, 1, Order.address.set("b"))
    assert open_().get(Order, number, 1).address == "b"
    Keys(db).shred(subject=number)
    with pytest.raises(KeyDisabled):
        db.get(Order, number, 1)


def test_a_tenant_is_shredded(opened, key):
    open_, wall = opened
    db = open_()
    mine, yours = db.view(tenant=f"{key}-mine"), db.view(tenant=f"{key}-yours")
    mine.create(Person(id=key, customer="c", name="1"))
    yours.create(Person(id=key + "2", customer="c", name="2"))
    report = Keys(db).shred(tenant=f"{key}-mine")
    assert report.done_at > wall.now
    again = open_()
    for one in (mine, again.view(tenant=f"{key}-mine")):
        with pytest.raises(KeyDisabled):
            one.get(Person, key)
        with pytest.raises(KeyDisabled):
            one.put(Person(id=key + "3", customer="d", name="3"))
    assert again.view(tenant=f"{key}-yours").get(Person, key + "2").name == "2"
    wall.now += dt.timedelta(seconds=LATEST + 1)
    Keys(db).shred(tenant=f"{key}-mine")
    rings = {record.pk: record.state for record in records(db) if record.sk == "ACTIVE" and f"{key}-mine" in record.pk}
    assert set(rings.values()) == {"shredded"}
    assert {pk.rpartition("~K#")[2] for pk in rings} == {"pii", "bidx/pii", "subject/pii"}
    with pytest.raises(KeyDisabled):
        open_().view(tenant=f"{key}-mine").get(Person, key)


@pytest.mark.parametrize("wrong", [{}, {"subject": 1.5}, {"subject": "x", "ring": "none"}])
def test_what_shred_refuses(opened, key, wrong):
    open_, _ = opened
    db = open_()
    db.create(Person(id=key, customer="c", name="1"))
    with pytest.raises(ConfigError):
        Keys(db).shred(**wrong)


def test_a_subject_must_not_change(opened):
    class Changing(Model, table="shred-people"):
        id: Attr[str] = partition_key()
        customer: Attr[str]
        name: Attr[str] = attr(Encrypted("pii", subject="customer"))

    class Nobody(Model, table="shred-people"):
        id: Attr[str] = partition_key()
        name: Attr[str] = attr(Encrypted("pii", subject="customer"))

    db = opened[0]()
    with pytest.raises(ModelError, match="must not change"):
        db.get(Changing, "x")
    with pytest.raises(ModelError, match="is no field"):
        db.get(Nobody, "x")


def test_an_item_without_its_subject_is_refused(opened, key):
    class Open(Model, table="shred-people"):
        id: Attr[str] = partition_key()
        customer: Attr[str | None] = attr(immutable=True, default=None)
        name: Attr[str] = attr(Encrypted("pii", subject="customer"))

    with pytest.raises(ModelError, match="has no value"):
        opened[0]().create(Open(id=key, name="1"))


def test_what_a_rotation_would_not_change_is_refused(opened, key):
    db = opened[0]()
    db.create(Order(customer=int(key[:8], 16), number=1, address="a"))
    with pytest.raises(ConfigError, match="each subject has a key of its own"):
        Keys(db).rotate("pci")
    db.create(Person(id=key, customer="c", name="1"))
    assert Keys(db).rotate("pii", blind_index=True).versions


def test_a_version_that_nothing_names_any_more_is_destroyed_too(opened, key):
    open_, wall = opened
    db = open_()
    db.view(tenant=key).create(Person(id=key, customer="c", name="1"))
    with DB(db.inner.config) as plain:  # somebody who keeps no rules
        for record in plain.model(Records).allow_scan().all():
            if record.sk == "ACTIVE" and record.pk.endswith("~K#subject/pii"):
                plain.delete(record)
    again = open_()
    again.view(tenant=key).create(Person(id=key + "2", customer="d", name="2"))
    Keys(again).shred(tenant=key)
    wall.now += dt.timedelta(seconds=LATEST + 1)
    Keys(again).shred(tenant=key)
    held = [one for one in records(db) if one.sk.startswith("V#")]
    assert len(held) == 4
    assert {(one.state, one.wrapped) for one in held} == {("shredded", None)}
