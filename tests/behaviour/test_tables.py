"""Tables: create, ensure, describe and delete, with indexes, and what is said when a live table does not fit."""

from decimal import Decimal

import pytest

from dynamorm import Attr, Model, attr, gsi, lsi, partition_key, sort_key
from dynamorm.errors import ClientError, ModelError, TableNotFound

from .kit import ask

pytestmark = pytest.mark.engine


class Order(Model, table="orders"):
    customer: Attr[str] = partition_key(name="c")
    number: Attr[int] = sort_key()
    status: Attr[str] = attr(default="new", name="st")
    total: Attr[Decimal] = attr(default=Decimal(0))
    digest: Attr[bytes | None] = attr(default=None)
    by_status = gsi("by-status", partition="status", sort="total")
    by_digest = gsi("by-digest", partition="digest", projection="KEYS_ONLY")
    some = gsi("some", partition="status", projection=("total", "digest"))
    by_total = lsi("by-total", sort="total", projection="KEYS_ONLY")


class Simple(Model, table="simple"):
    id: Attr[str] = partition_key()


@pytest.fixture
def db(open_db, engine, key):
    """A database whose tables no other test knows; they are deleted behind the test."""
    db = open_db(engine.endpoint, table_prefix=f"{key[:12]}-")
    yield db
    for model in (Order, Simple):
        db.tables.delete(model)


def test_create_makes_the_table_with_its_indexes_and_waits(db, key):
    made = db.tables.create(Order)
    assert made.name == f"{key[:12]}-orders"
    assert made.status == "ACTIVE"
    assert (made.partition, made.sort) == ("c", "number")
    assert made.key_types == {"c": "S", "number": "N", "st": "S", "total": "N", "digest": "B"}
    assert made.billing_mode == "PAY_PER_REQUEST"
    shape = {name: (one.kind, one.partition, one.sort, one.projection) for name, one in made.indexes.items()}
    assert shape == {
        "by-status": ("GSI", ("st",), ("total",), "ALL"),
        "by-digest": ("GSI", ("digest",), (), "KEYS_ONLY"),
        "some": ("GSI", ("st",), (), "INCLUDE"),
        "by-total": ("LSI", ("c",), ("total",), "KEYS_ONLY"),
    }
    assert all(one.status == "ACTIVE" for one in made.indexes.values() if one.kind == "GSI")


def test_the_projected_attributes_are_the_stored_names(db):
    name = db.tables.create(Order).name
    table = ask(db, "DescribeTable", {"TableName": name})["Table"]
    some = next(one for one in table["GlobalSecondaryIndexes"] if one["IndexName"] == "some")
    assert sorted(some["Projection"]["NonKeyAttributes"]) == ["digest", "total"]


def test_create_of_what_exists_is_a_typed_error(db):
    db.tables.create(Simple)
    with pytest.raises(ClientError) as caught:
        db.tables.create(Simple)
    assert caught.value.code == "ResourceInUseException"


def test_ensure_creates_once_and_keeps_the_items(db):
    first = db.tables.ensure(Simple)
    db.create(Simple(id="a"))
    assert db.tables.ensure(Simple).name == first.name
    assert db.exists(Simple, "a", consistent=True)


def test_ensure_at_the_same_time_makes_one_table(db):
    found = db.concurrently(lambda _: db.tables.ensure(Simple), 4)
    assert {one.status for one in found} == {"ACTIVE"}


def test_describe_and_delete(db):
    with pytest.raises(TableNotFound):
        db.tables.describe(Simple)
    db.tables.create(Simple)
    assert db.tables.describe(Simple).sort is None
    assert db.tables.delete(Simple) is None
    with pytest.raises(TableNotFound):
        db.tables.describe(Simple)
    db.tables.delete(Simple)  # nothing to do is no error


def test_a_deleted_table_can_be_made_again_and_is_empty(db):
    db.tables.create(Simple)
    db.create(Simple(id="a"))
    db.tables.delete(Simple)
    db.tables.create(Simple)
    assert db.get(Simple, "a", consistent=True) is None


def misfit(db, key_schema, definitions, indexes=()):
    """Make the table of `Simple`'s or `Order`'s name by hand."""
    request = {
        "TableName": db.inner._session.plan(Order).table,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": n, "KeyType": k} for n, k in zip(key_schema, ("HASH", "RANGE"), strict=False)],
        "AttributeDefinitions": [{"AttributeName": n, "AttributeType": t} for n, t in definitions.items()],
    }
    if indexes:
        request["GlobalSecondaryIndexes"] = [
            {
                "IndexName": name,
                "KeySchema": [
                    {"AttributeName": n, "KeyType": k} for n, k in zip(keys, ("HASH", "RANGE"), strict=False)
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
            for name, keys in indexes
        ]
    ask(db, "CreateTable", request)


@pytest.mark.parametrize(
    ("key_schema", "definitions", "indexes", "words"),
    [
        (["other"], {"other": "S"}, (), ["its key is other"]),
        (["c"], {"c": "S"}, (), ["its key is c"]),
        (["c", "number"], {"c": "S", "number": "S"}, (), ["number is of type S, not N"]),
        (
            ["c", "number"],
            {"c": "S", "number": "N"},
            (),
            ["no index by-status", "no index by-digest", "no index by-total"],
        ),
        (
            ["c", "number"],
            {"c": "S", "number": "N", "st": "S", "digest": "B"},
            [("by-status", ["st", "digest"])],
            ["the key of index by-status is st, digest"],
        ),
    ],
    ids=["key", "no sort key", "type", "indexes", "index key"],
)
def test_ensure_says_in_what_a_live_table_does_not_fit(db, key_schema, definitions, indexes, words):
    misfit(db, key_schema, definitions, indexes)
    with pytest.raises(ModelError) as caught:
        db.tables.ensure(Order)
    assert "does not fit Order" in str(caught.value)
    assert "print(db.tables.plan(Order))" in str(caught.value)
    assert "db.tables.apply(plan)" in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_ensure_finds_an_index_key_of_the_wrong_type(db):
    definitions = {"c": "S", "number": "N", "st": "S", "total": "S", "digest": "S"}
    misfit(db, ["c", "number"], definitions, [("by-status", ["st", "total"]), ("by-digest", ["digest"])])
    with pytest.raises(ModelError) as caught:
        db.tables.ensure(Order)
    assert "total is of type S, not N" in str(caught.value)


def test_ensure_accepts_more_than_the_model_needs(db):
    definitions = {"id": "S", "x": "S"}
    name = db.inner._session.plan(Simple).table
    ask(
        db,
        "CreateTable",
        {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": n, "AttributeType": t} for n, t in definitions.items()],
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": "more",
                    "KeySchema": [{"AttributeName": "x", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        },
    )
    assert set(db.tables.ensure(Simple).indexes) == {"more"}
