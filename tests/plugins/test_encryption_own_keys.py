"""Records of keys are nobody's objects: no verb writes them, no class of their table shows them. Keys that are numbers open."""

from decimal import Decimal

import pytest

from dynamorm import DB, Attr, Encrypted, Model, Presets, attr, partition_key, sort_key, version
from dynamorm.errors import ConditionFailed, Outcome, TransactionCancelled, ValidationError
from dynamorm.plugin import key_part
from dynamorm.plugins import EncryptionPlugin
from dynamorm.plugins.encryption.records import is_record
from dynamorm.testing import FakeClock, reply

from .encryption_kit import Card, Keys, LocalKeyProvider, Provider, RawCard, Records
from .scripts import Scripted

pytestmark = pytest.mark.engine


PROVIDER = Provider()
PROVIDER.keyring_table = "crypt-keyring"


class Beast(Model, table="crypt-beasts", discriminator="kind"):
    id: Attr[str] = partition_key()
    legs: Attr[int | None] = attr(default=None)


class Cat(Beast, tag="cat"):
    name: Attr[str | None] = attr(Encrypted("pii"), default=None)


class RawBeast(Model, table="crypt-beasts"):
    """The same items as they are stored; so are the next two."""

    id: Attr[str] = partition_key()


class RawScale(Model, table="crypt-scales"):
    weight: Attr[Decimal] = partition_key()


class RawBox(Model, table="crypt-boxes"):
    id: Attr[bytes] = partition_key()
    place: Attr[bytes] = sort_key()


class RawSealed(Model, table="crypt-sealed-keys"):
    id: Attr[str] = partition_key()


class Box(Model, table="crypt-boxes"):
    id: Attr[bytes] = partition_key()
    place: Attr[bytes] = sort_key()
    inside: Attr[str | None] = attr(Encrypted("pii"), default=None)


class Scale(Model, table="crypt-scales"):
    weight: Attr[Decimal] = partition_key()
    owner: Attr[str] = attr(Encrypted("pii"), default="")


class Sealed(Model, table="crypt-sealed-keys"):
    id: Attr[str] = partition_key()
    pin: Attr[str] = attr(Encrypted("pci"), default="")
    note: Attr[str] = attr(default="")
    version: Attr[int] = version()


@pytest.fixture(scope="module")
def made(engine, prefix):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        for model in (RawCard, RawBeast, RawBox, RawScale, RawSealed, Records):
            db.tables.create(model)
    return prefix


@pytest.fixture
def db(plugged, tmp_path_factory):
    return plugged(EncryptionPlugin(LocalKeyProvider(tmp_path_factory.getbasetemp() / "own-keys")))


WRITES = {
    "create": lambda db, key: db.create(Card(token=key)),
    "put": lambda db, key: db.put(Card(token=key)),
    "update": lambda db, key: db.update(Card, key, Card.last4.set("x")),
    "delete": lambda db, key: db.delete(Card, key),
    "batch put": lambda db, key: db.batch_write(puts=[Card(token=key)]),
    "batch delete": lambda db, key: db.batch_write(deletes=[(Card, key)]),
    "base": lambda db, key: db.delete(Beast, key),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("text", ["~K#pci#ACTIVE", "~K#pci#V#1", "T#a#~K#pci#ACTIVE"])
def test_no_verb_writes_a_record_of_a_key(db, key, write, text):
    db.create(Card(token=key, number="1"))
    with pytest.raises(ValidationError, match="~K#") as caught:
        write(db, text)
    assert caught.value.outcome is Outcome.NOT_APPLIED
    with pytest.raises(ValidationError, match="~K#"), db.transaction() as tx:
        tx.delete(Card, text)
    assert db.get(Card, key).number == "1"


@pytest.mark.parametrize("model", [Box, RawBox])
def test_no_verb_writes_a_record_whose_key_is_bytes(db, plugged, key, model):
    """However the key is stored, and whatever class of the table is used."""
    own = (key.encode(), b"1")
    db.create(Box(id=own[0], place=own[1], inside="1"))
    records = [(one.id, one.place) for one in _plain(db).model(RawBox).allow_scan().all() if is_record(one.id)]
    assert {place[:2] for _, place in records} == {b"AC", b"V#"}
    for at in records:
        for write in (
            lambda at=at: db.put(model(id=at[0], place=at[1])),
            lambda at=at: db.create(model(id=at[0], place=at[1])),
            lambda at=at: db.delete(model, *at),
            lambda at=at: db.batch_write(puts=[model(id=at[0], place=at[1])]),
            lambda at=at: db.batch_write(deletes=[(model, *at)]),
        ):
            with pytest.raises(ValidationError, match="~K#") as caught:
                write()
            assert caught.value.outcome is Outcome.NOT_APPLIED
        with pytest.raises(ValidationError, match="~K#"), db.transaction() as tx:
            tx.delete(model, *at)
    other = plugged(EncryptionPlugin(db.inner.plugins[0].provider))
    assert other.get(Box, *own).inside == "1"
    db.delete(model, *own)
    assert db.get(Box, *own) is None


@pytest.mark.parametrize("write", [
    lambda db, at: db.put(RawSealed(id=at)),
    lambda db, at: db.create(RawSealed(id=at)),
    lambda db, at: db.delete(RawSealed, at),
    lambda db, at: db.batch_write(puts=[RawSealed(id=at)]),
    lambda db, at: db.batch_write(deletes=[(RawSealed, at)]),
])  # fmt: skip
def test_a_class_that_only_names_the_table_writes_no_record(db, plugged, key, write):
    db.create(Sealed(id=key, pin="1"))
    records = [one.id for one in _plain(db).model(RawSealed).allow_scan().all() if is_record(one.id)]
    assert len(records) > 1
    for at in records:
        with pytest.raises(ValidationError, match="~K#"):
            write(db, at)
    assert plugged(EncryptionPlugin(db.inner.plugins[0].provider)).get(Sealed, key).pin == "1"
    db.delete(RawSealed, key)


@pytest.mark.parametrize("made_of", ["model", "bytes", "keyring"])
def test_to_other_classes_records_are_not_there(plugged, key, tmp_path_factory, made_of):
    """Whatever class names the table: that of the model, or the one that holds nothing but records."""
    if made_of == "keyring":
        db, Other = plugged(EncryptionPlugin(PROVIDER)), Records
        db.create(Card(token=key, number="1"))
    else:
        db = plugged(EncryptionPlugin(LocalKeyProvider(tmp_path_factory.getbasetemp() / "own-keys")))
        Other = RawBox if made_of == "bytes" else RawSealed
        db.create(Box(id=key.encode(), place=b"1", inside="1") if made_of == "bytes" else Sealed(id=key, pin="1"))
    plain = _plain(db)
    stored = plain.model(Other).allow_scan().all()
    (partition, *rest) = [getattr(Other, name) for name in ("pk", "sk", "id", "place") if hasattr(Other, name)]
    names = [path.field.name for path in (partition, *rest)]
    records = [tuple(getattr(one, name) for name in names) for one in stored]
    records = [one for one in records if is_record(one[0])]
    others = len(stored) - len(records)
    assert records
    for at in records:
        assert db.get(Other, *at) is None
        assert db.get(Other, *at, select=[names[0]]) is None
        assert not db.exists(Other, *at)
        assert db.transact_get([(Other, *at)]) == [None]
        query = db.model(Other).where(partition == at[0])
        assert query.all() == []
        assert query.first() is None
        assert (query.count(), query.exists(), query.page().items) == (0, False, [])
        query.delete_all(confirm=True)
    assert not [one for one in db.batch_get(Other, records) if one is not None]
    scan = db.model(Other).allow_scan()
    assert (len(scan.all()), scan.count()) == (others, others)
    assert not [one for one in scan.segments(2).all() if is_record(getattr(one, names[0]))]
    scan.delete_all(confirm=True)
    left = [tuple(getattr(one, name) for name in names) for one in plain.model(Other).allow_scan().all()]
    assert sorted(left) == sorted(records)


def test_a_table_of_records_alone_is_written_by_nobody(plugged, key):
    db = plugged(EncryptionPlugin(PROVIDER))
    db.create(Card(token=key, number="1"))
    with pytest.raises(ValidationError, match="~K#"):
        db.delete(Records, "~K#pci", "ACTIVE")
    assert plugged(EncryptionPlugin(PROVIDER)).get(Card, key).number == "1"


def test_the_base_of_a_family_shows_no_records(db, key):
    db.create(Cat(id=key, name="Tom"))
    assert any(is_record(one.id) for one in _plain(db).model(RawBeast).allow_scan().all())
    assert not [one for one in db.model(Beast).allow_scan().all() if is_record(one.id)]
    db.model(Beast).allow_scan().where(Beast.legs.not_exists()).delete_all(confirm=True)
    assert any(is_record(one.id) for one in _plain(db).model(RawBeast).allow_scan().all())
    db.create(Cat(id=f"{key}-2", name="Tim"))
    assert db.get(Cat, f"{key}-2").name == "Tim"


def test_no_statement_writes_past_the_rule(db, key):
    with pytest.raises(ValidationError):
        db.partiql("UPDATE {table} SET number = ? WHERE token = ?", "PLAIN", key, model=Card)


NAMING = [
    ('DELETE FROM "nobodys-table" WHERE pk = ? AND sk = ?', ("~K#pci", "ACTIVE")),
    ("DELETE FROM \"nobodys-table\" WHERE pk = '~K#pci' AND sk = 'ACTIVE'", ()),
    ('DELETE FROM "nobodys-table" WHERE pk = ?', ("T#t1#~K#pci",)),
    ('DELETE FROM "nobodys-table" WHERE pk = ?', (b"~K#pci",)),
    ('UPDATE "nobodys-table" SET x = 1 WHERE pk = ? AND sk = ?', ("~K#pci", "ACTIVE")),
    ("INSERT INTO nobodys VALUE {'pk': ?, 'sk': ?}", ("~K#pci", "ACTIVE")),
    ("INSERT INTO nobodys VALUE ?", ({"pk": "~K#pci", "sk": "ACTIVE"},)),
]


@pytest.mark.parametrize(("text", "values"), NAMING)
@pytest.mark.parametrize("together", [True, False])
def test_no_statement_names_a_record_in_a_table_that_no_class_names(face_kind, text, values, together):
    made = Scripted(face_kind, EncryptionPlugin(Provider()), answer=reply({"Responses": [{}]}), clock=FakeClock())
    statement = (made.db.partiql_transaction, [(text, *values)]) if together else (made.db.partiql, text, *values)
    with pytest.raises(ValidationError, match="~K#"):
        statement[0](*statement[1:])
    assert not made.driver.requests
    other = tuple(value if value == "ACTIVE" else "k1" for value in values)
    made.db.partiql(text.replace("~K#", "K#"), *other)
    assert made.driver.requests


@pytest.mark.parametrize("number", ["1E+38", "1E+40", "1E+125", "0.10", "12.50", "-3E+5", "0", "120", "1E-3"])
def test_a_key_that_is_a_number_opens_however_it_is_spelled(plugged, number):
    db = plugged(EncryptionPlugin(PROVIDER))
    weight = Decimal(number)
    db.put(Scale(weight=weight, owner="Ann"))
    # Read by a scan: the embedded engine finds no number by another spelling than it stores.
    (found,) = [one for one in db.model(Scale).allow_scan().all() if one.weight == weight]
    assert found.owner == "Ann"


@pytest.mark.parametrize(
    ("spelled", "plain"),
    [
        ("7", "7"), ("-7", "-7"), ("0", "0"), ("-0", "0"), ("0.0", "0"), ("007", "7"), ("1E+3", "1000"), ("1.50", "1.5"),
        ("15E-1", "1.5"), ("1E-3", "0.001"), ("-0.10", "-0.1"), ("1E-130", "0." + "0" * 129 + "1"), ("12E+38", "12" + "0" * 38),
    ],
)  # fmt: skip
def test_a_number_has_one_text(spelled, plain):
    assert key_part("n", {"N": spelled}) == ("n", "N", plain.encode())


def test_an_object_of_before_a_rewriting_breaks_no_seal(db, key):
    db.create(Sealed(id=key, pin="1"))
    old = db.get(Sealed, key, consistent=True)
    keys = Keys(db)
    keys.rotate("pci")
    keys.reencrypt(Sealed)
    old.note = "later"
    with pytest.raises(ConditionFailed):
        db.save(old)
    assert db.get(Sealed, key).pin == "1"
    fresh = db.get(Sealed, key, consistent=True)
    fresh.note = "now"
    db.save(fresh)
    assert (db.get(Sealed, key).note, db.get(Sealed, key).pin) == ("now", "1")


def test_an_update_of_an_object_of_before_a_rewriting_breaks_no_seal(db, key):
    db.create(Sealed(id=key, pin="1"))
    old = db.get(Sealed, key, consistent=True)
    Keys(db).rotate("pci")
    Keys(db).reencrypt(Sealed)
    with pytest.raises(TransactionCancelled), db.transaction() as tx:
        tx.update(old, Sealed.note.set("never"))
    assert (db.get(Sealed, key).note, db.get(Sealed, key).pin) == ("", "1")
    db.update(old, Sealed.note.set("later"))
    assert (db.get(Sealed, key).note, db.get(Sealed, key).pin) == ("later", "1")


def _plain(db):
    return DB(db.inner.config)
