"""Records of keys are nobody's objects in whatever order the classes of their table are defined, registered and used."""

import json
from dataclasses import dataclass

import pytest

from dynamorm import DB, Attr, Encrypted, Model, Presets, adapters, attr, gsi, partition_key, sort_key
from dynamorm.codec.keys import StoredKey
from dynamorm.errors import DynamORMError, Outcome, ValidationError
from dynamorm.plugins import EncryptionPlugin
from dynamorm.plugins.encryption.records import is_record

from .encryption_kit import LocalKeyProvider

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def made(prefix):
    return prefix


@pytest.fixture
def opened(plugged, tmp_path_factory):
    keys = tmp_path_factory.getbasetemp() / "order"
    return lambda *others: plugged(EncryptionPlugin(LocalKeyProvider(keys)), *others)


class Tables:
    """Classes of one table: ``Plain`` is defined at once, and `protected` makes the one whose records of keys lie there."""

    def __init__(self, table, kind, made_by):
        self.table, self.kind, self.made_by = table, kind, made_by

        class Plain(Model, table=table):
            id: Attr[kind] = partition_key()
            note: Attr[str] = attr(default="")

        self.Plain = Plain

    def key(self, text):
        return text.encode() if self.kind is bytes else text

    def protected(self):
        if self.made_by == "adapter":

            @dataclass
            class Card:
                id: self.kind
                number: str
                note: str = ""

            adapters.register(Card, table=self.table, partition="id", options={"number": [Encrypted("pii")]})
            return Card

        class Card(Model, table=self.table):
            id: Attr[self.kind] = partition_key()
            number: Attr[str] = attr(Encrypted("pii"))
            note: Attr[str] = attr(default="")

        return Card


@pytest.fixture(params=["model", "adapter"])
def made_by(request):
    return request.param


@pytest.fixture(params=[str, bytes])
def tables(request, made_by, key, face_kind):
    return Tables(f"order-{request.param.__name__}-{made_by}-{key[:12]}-{face_kind}", request.param, made_by)


@pytest.fixture(params=["defined later", "used later", "used before"])
def started(request, tables, opened):
    """A database on which the plain class was used before, or after, the protected one was defined and used."""
    db, Plain = opened(), tables.Plain
    Card = None if request.param == "defined later" else tables.protected()
    db.tables.create(Plain)
    if request.param != "used before":
        db.put(Plain(id=tables.key("plain")))
        assert len(db.model(Plain).allow_scan().all()) == 1
    if Card is None:
        Card = tables.protected()
    db.create(Card(id=tables.key("card"), number="4111"))
    if request.param == "used before":
        db.put(Plain(id=tables.key("plain")))
    return db, Plain, Card


def records_of(db, Plain):
    with DB(db.inner.config) as plain:
        found = [one.id for one in plain.model(Plain).allow_scan().all() if is_record(one.id)]
    assert len(found) == 2
    return found


def test_no_read_shows_a_record(started, tables):
    db, Plain, _ = started
    own = sorted([tables.key("plain"), tables.key("card")])
    for at in records_of(db, Plain):
        assert db.get(Plain, at) is None
        assert db.get(Plain, at, select=["note"]) is None
        assert not db.exists(Plain, at)
        assert db.transact_get([(Plain, at)]) == [None]
        query = db.model(Plain).where(Plain.id == at)
        assert (query.all(), query.first(), query.count(), query.exists()) == ([], None, 0, False)
        assert query.limit(1).count() == 0
    assert [one.id for one in db.batch_get(Plain, [*records_of(db, Plain), own[0]]) if one is not None] == [own[0]]
    scan = db.model(Plain).allow_scan()
    assert sorted(one.id for one in scan.all()) == own
    assert sorted(one.id for one in scan.segments(2).all()) == own
    assert (scan.count(), scan.segments(2).count(), len(scan.limit(2).all())) == (2, 2, 2)
    assert db.model(Plain).where(Plain.id == own[0]).count() == 1


@pytest.mark.parametrize("write", [
    lambda db, Plain, at: db.put(Plain(id=at)),
    lambda db, Plain, at: db.create(Plain(id=at)),
    lambda db, Plain, at: db.update(Plain, at, Plain.note.set("x")),
    lambda db, Plain, at: db.delete(Plain, at),
    lambda db, Plain, at: db.batch_write(puts=[Plain(id=at)]),
    lambda db, Plain, at: db.batch_write(deletes=[(Plain, at)]),
], ids=["put", "create", "update", "delete", "batch put", "batch delete"])  # fmt: skip
def test_no_verb_writes_a_record(started, opened, tables, write):
    db, Plain, Card = started
    for at in records_of(db, Plain):
        with pytest.raises(ValidationError, match="~K#") as caught:
            write(db, Plain, at)
        assert caught.value.outcome is Outcome.NOT_APPLIED
        with pytest.raises(ValidationError, match="~K#"), db.transaction() as tx:
            tx.delete(Plain, at)
    assert opened().get(Card, tables.key("card")).number == "4111"


def test_delete_all_leaves_the_keys(started, opened, tables):
    db, Plain, Card = started
    for at in records_of(db, Plain):
        assert db.model(Plain).where(Plain.id == at).delete_all(confirm=True) == 0
    assert db.model(Plain).allow_scan().where(Plain.id != tables.key("card")).delete_all(confirm=True) == 1
    assert opened().get(Card, tables.key("card")).number == "4111"


def test_a_statement_passes_by_unless_it_names_a_record(started, opened, tables):
    db, Plain, Card = started
    for at in records_of(db, Plain):
        with pytest.raises(ValidationError):
            db.partiql("DELETE FROM {table} WHERE id = ?", at, model=Plain)
        if tables.kind is str:
            with pytest.raises(ValidationError):
                db.partiql(f"DELETE FROM {{table}} WHERE id = '{at}'", model=Plain)
    assert opened().get(Card, tables.key("card")).number == "4111"


def escaped(at, how):
    wire = json.dumps({"id": {"S": at}})
    return {
        "as it is": wire,
        "tilde": wire.replace("~", "\\u007e"),
        "letter": wire.replace("~K", "~\\u004b"),
        "sign": wire.replace("~K#", "~K\\u0023"),
        "all": wire.replace("~K#", "\\u007E\\u004B\\u0023"),
    }[how].encode()


@pytest.mark.parametrize("how", ["as it is", "tilde", "letter", "sign", "all"])
@pytest.mark.parametrize("of", ["Plain", "Card"])
def test_no_spelling_of_a_stored_key_writes_a_record(opened, key, face_kind, how, of):
    db, tables = opened(), Tables(f"spelled-{of}-{key[:12]}-{face_kind}", str, "model")
    classes = {"Plain": tables.Plain, "Card": tables.protected()}
    db.tables.create(tables.Plain)
    db.create(classes["Card"](id="card", number="4111"))
    for at in records_of(db, tables.Plain):
        with pytest.raises(ValidationError, match="~K#"):
            db.delete(classes[of], StoredKey(escaped(at, how), ("id",)))
    records_of(db, tables.Plain)


def test_a_stored_key_of_bytes_writes_no_record(opened, key, face_kind):
    db, tables = opened(), Tables(f"spelled-bytes-{key[:12]}-{face_kind}", bytes, "model")
    Card = tables.protected()
    db.tables.create(tables.Plain)
    db.create(Card(id=b"card", number="4111"))
    for text in ('{"id": {"B" : "fksjcGlpI0FDVElWRQ=="}}', '{"id":{"\\u0042":"fksjcGlpI0FDVElWRQ=="}}'):
        with pytest.raises(ValidationError, match="~K#"):
            db.delete(tables.Plain, StoredKey(text.encode(), ("id",)))
    with pytest.raises(DynamORMError) as caught:
        db.delete(tables.Plain, StoredKey(b'{"id":{"B":"~"}}', ("id",)))
    assert "~K#" not in str(caught.value)


@pytest.fixture
def logs(opened, key, face_kind):
    class Logs(Model, table=f"order-log-{key[:12]}-{face_kind}"):
        id: Attr[str] = partition_key()
        at: Attr[int] = sort_key()
        owner: Attr[str] = attr(default="o")
        by_owner = gsi("by-owner", partition="owner", sort="at")

    return Logs


def test_what_holds_no_record_costs_what_it_did(opened, logs):
    """A query of a partition that is no record's counts in the service, and looks at no more items than it must."""
    sent = []
    db = opened(Watching(sent))
    db.tables.create(logs)
    for at in range(5):
        db.put(logs(id="a", at=at))
    for query in (db.model(logs).where(logs.id == "a"), db.model(logs).where(logs.owner == "o")):
        sent.clear()
        assert query.count() == 5
        assert query.limit(2).count() == 2
        assert [one["Select"] for one in sent] == ["COUNT", "COUNT"]
        sent.clear()
        assert query.first().at == 0
        assert [one["Limit"] for one in sent] == [1]


class Watching:
    """Keeps the bodies of the requests that are sent."""

    name = "watching"

    def __init__(self, sent):
        self.sent = sent

    def call_began(self, call):
        self.sent.append(json.loads(call.body))


def test_statements_of_other_classes_pass_by_the_rule(opened, key, face_kind):
    db, tables = opened(), Tables(f"stated-{key[:12]}-{face_kind}", str, "model")
    db.tables.create(tables.Plain)
    db.partiql("INSERT INTO {table} VALUE {'id': ?, 'note': 'x'}", "a", model=tables.Plain)
    db.partiql("UPDATE {table} SET note = ? WHERE id = 'a'", "y", model=tables.Plain)
    assert db.get(tables.Plain, "a").note == "y"
    for text, values in (
        ("INSERT INTO {table} VALUE {'id': ?}", ("~K#pii#ACTIVE",)),
        ("INSERT INTO {table} VALUE {'id': '~K#pii#ACTIVE'}", ()),
        ("INSERT INTO {table} VALUE ?", ({"id": "T#a#~K#pii#ACTIVE"},)),
    ):
        with pytest.raises(ValidationError, match="PartiQL"):
            db.partiql(text, *values, model=tables.Plain)


def test_a_database_without_the_plugin_knows_of_no_records(engine, prefix, key):
    tables = Tables(f"without-{key[:12]}", str, "model")
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        db.tables.create(tables.Plain)
        db.put(tables.Plain(id="~K#mine"))
        assert db.get(tables.Plain, "~K#mine").id == "~K#mine"
