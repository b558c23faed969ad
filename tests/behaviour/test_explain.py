"""What an operation would send is told, without sending it; a dry run reads and writes nothing."""

import pytest

from dynamorm import Attr, Model, ValidationError, attr, gsi, partition_key, version

from .kit import table_of

pytestmark = pytest.mark.engine


class Card(Model, table="cards"):
    id: Attr[str] = partition_key()
    holder: Attr[str] = attr(default="")
    limit: Attr[int] = attr(default=0)
    version: Attr[int] = version()
    by_holder = gsi("by-holder", partition="holder", projection="KEYS_ONLY")


MODELS = [Card]
SECRET = "4111111111111111"


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("GetItem", lambda db, card: db.get(Card, SECRET)),
        ("GetItem", lambda db, card: db.require(Card, SECRET)),
        ("GetItem", lambda db, card: db.exists(Card, SECRET)),
        ("PutItem", lambda db, card: db.create(Card(id=SECRET))),
        ("PutItem", lambda db, card: db.put(Card(id=SECRET))),
        ("UpdateItem", lambda db, card: db.update(card, Card.holder.set(SECRET))),
        ("TransactWriteItems", lambda db, card: db.update(Card, SECRET, Card.limit.add(5))),
        ("TransactWriteItems", lambda db, card: db.upsert(Card, SECRET, Card.limit.add(5))),
        ("DeleteItem", lambda db, card: db.delete(card)),
        ("Query", lambda db, card: db.model(Card).where(Card.id == SECRET).all()),
        ("Query", lambda db, card: db.model(Card).where(Card.id == SECRET).first()),
        ("Query", lambda db, card: db.model(Card).where(Card.id == SECRET).count()),
        ("Scan", lambda db, card: db.model(Card).filter(Card.limit > 3).allow_scan().segments(2).all()),
        ("BatchGetItem", lambda db, card: db.batch_get(Card, [SECRET, "x"])),
        ("BatchWriteItem", lambda db, card: db.batch_write(puts=[Card(id=SECRET)], deletes=[(Card, "x")])),
        ("TransactGetItems", lambda db, card: db.transact_get([(Card, SECRET), (Card, "x")])),
        ("GetItem", lambda db, card: db.increment(Card, SECRET, Card.limit, by=1, minimum=0)),
        ("ExecuteStatement", lambda db, card: db.partiql("SELECT * FROM {table} WHERE id = ?", SECRET, model=Card)),
        ("DescribeTable", lambda db, card: db.tables.ensure(Card)),
    ],
)
def test_every_operation_is_explained_and_nothing_is_sent(db, wire, key, name, operation):
    card = db.create(Card(id=key))
    wire.clear()
    explained = db.explain(lambda view: operation(view, card))
    assert not wire.names
    assert explained.operation == name
    assert SECRET not in str(explained)
    assert SECRET not in repr(explained.requests)
    assert card.version == 0
    db.delete(card)


def test_a_query_explains_itself(db, wire):
    wire.clear()
    explained = db.model(Card).where(Card.holder == SECRET).index("by-holder").explain()
    assert explained.request["IndexName"] == "by-holder"
    assert "asked for by name" in explained.why
    assert SECRET not in str(explained)
    assert not wire.names


def test_a_transaction_is_explained_as_a_whole(db, wire, face_kind):
    def blocking(view):
        with view.transaction() as tx:
            tx.create(Card(id=SECRET))
            tx.delete(Card, "x")

    async def asyncio(view):
        async with view.transaction() as tx:
            tx.create(Card(id=SECRET))
            tx.delete(Card, "x")

    wire.clear()
    explained = db.explain(blocking if face_kind == "blocking" else asyncio)
    assert [next(iter(one)) for one in explained.request["TransactItems"]] == ["Put", "Delete"]
    assert explained.capacity.least == 4.0
    assert SECRET not in str(explained)
    assert not wire.names


def test_every_request_of_a_batch_is_shown(db, wire):
    wire.clear()
    explained = db.explain(lambda view: view.batch_write(puts=[Card(id=str(number)) for number in range(60)]))
    assert [len(next(iter(one.body["RequestItems"].values()))) for one in explained.requests] == [25, 25, 10]
    assert explained.capacity.least == 60.0
    assert not wire.names


def test_values_are_shown_when_asked_for(db):
    explained = db.explain(lambda view: view.get(Card, SECRET), values=True)
    assert explained.request["Key"] == {"id": {"S": SECRET}}
    assert explained.requests[0].table == table_of(db, Card)


def test_it_is_the_request_that_is_sent(db, wire):
    shown = db.explain(lambda view: view.get(Card, "x", consistent=True), values=True).request
    wire.clear()
    db.get(Card, "x", consistent=True)
    assert wire.last == shown


def test_mistakes_are_found_as_always(db):
    with pytest.raises(ValidationError):
        db.explain(lambda view: view.get(Card, 5))


def test_what_sends_nothing_is_explained_as_such(db):
    card = db.create(Card(id="unchanged"))
    explained = db.explain(lambda view: view.save(card))
    assert not explained.requests
    assert explained.operation is explained.capacity is None
    assert str(explained) == "nothing would be sent"
    db.delete(card)


@pytest.mark.parametrize(
    ("operation", "kind", "least", "most"),
    [
        (lambda db: db.get(Card, "x"), "read", 0.5, 50.0),
        (lambda db: db.get(Card, "x", consistent=True), "read", 1.0, 100.0),
        (lambda db: db.create(Card(id="x")), "write", 1.0, None),  # no holder: not in the index
        (lambda db: db.create(Card(id="x", holder="h")), "write", 2.0, None),
        (lambda db: db.create(Card(id="x", holder="h" * 1900)), "write", 4.0, None),  # 2 KB, and so is its index key
        (lambda db: db.delete(Card, "x"), "write", 1.0, None),
        (lambda db: db.update(Card, "x", Card.limit.add(1)), "write", 2.0, None),  # a transaction
        (lambda db: db.model(Card).where(Card.id == "x").all(), "read", 0.5, 128.0),
        (lambda db: db.model(Card).where(Card.id == "x").consistent().all(), "read", 1.0, 256.0),
    ],
)
def test_the_capacity_is_estimated(db, operation, kind, least, most):
    found = db.explain(operation).capacity
    assert (found.kind, found.least, found.most) == (kind, least, most)


def test_a_dry_run_reads_and_does_not_write(db, wire):
    db.create(Card(id="dry", limit=1))
    wire.clear()
    run = db.dry_run(values=True)
    with run as dry:
        card = dry.get(Card, "dry")
        card.limit = 2
        assert dry.save(card) is None
        assert dry.delete(Card, "dry") is None
        assert dry.create(Card(id=SECRET)) is None
    assert card.version == 0
    assert set(wire.names) == {"GetItem"}
    assert [one.operation for one in run.requests] == ["UpdateItem", "DeleteItem", "PutItem"]
    assert run.requests[1].body["Key"] == {"id": {"S": "dry"}}
    assert db.get(Card, "dry").limit == 1
    assert db.get(Card, SECRET) is None
    db.delete(Card, "dry")


def test_a_dry_run_hides_values_unless_asked(db):
    run = db.dry_run()
    with run as dry:
        dry.delete(Card, SECRET)
    assert SECRET not in str(run.requests[0])
    assert run.requests[0].body["Key"] == {"id": {"S": "?"}}
