"""Schema versions beside tenants, encrypted, compressed and unique attributes, composite keys of indexes, families, and what models do not know."""

from typing import Any

import pytest

from dynamorm import (
    DB,
    Attr,
    Compressed,
    Config,
    Encrypted,
    LocalKeyProvider,
    Mixin,
    Model,
    Tenant,
    Unique,
    attr,
    composite,
    gsi,
    partition_key,
    upgrade,
    version,
)
from dynamorm.codec.strict import dumps, read_object
from dynamorm.engine import Engine
from dynamorm.errors import DuplicateKey, NotUpgraded
from dynamorm.ops.calls.op import Op, Safety


def ask(db, operation, request):
    """One call of DynamoDB's own."""
    call = db._session.call(Op(operation, request["TableName"], dumps(request), read_object, Safety.ONCE))
    return db._io.run(call)


class Person(Model, table="tab1"):
    pk: Attr[str] = partition_key(composite("{tenant}#{id}"))
    tenant: Attr[str] = attr(Tenant())
    id: Attr[str]
    name: Attr[str]
    email: Attr[str] = attr(Unique())
    card: Attr[str | None] = attr(Encrypted("pci", searchable=True), default=None)
    doc: Attr[str] = attr(Compressed(above=10), default="")
    version: Attr[int] = version()


Former = Person


class Person(Model, table="tab1", schema_version=2):
    pk: Attr[str] = partition_key(composite("{tenant}#{id}"))
    tenant: Attr[str] = attr(Tenant())
    id: Attr[str]
    first: Attr[str]
    last: Attr[str]
    email: Attr[str] = attr(Unique())
    card: Attr[str | None] = attr(Encrypted("pci", searchable=True), default=None)
    doc: Attr[str] = attr(Compressed(above=10), default="")
    version: Attr[int] = version()
    last_pk: Attr[str | None] = attr(composite("{tenant}#{last:lower}"), init=False)
    by_last = gsi("by-last", partition="last_pk")

    @staticmethod
    @upgrade(1)
    def split(item: dict[str, Any]) -> None:
        assert not {"card", "doc"} & item.keys()  # they are shown to nobody
        item["first"], _, item["last"] = item.pop("name").partition(" ")


def test_tenants_encryption_compression_and_guards_stay_right(tmp_path):
    with Engine() as engine, DB(Config(engine=engine)) as db:
        db.enable_multi_tenancy()
        db.enable_encryption()
        db.set_encryption_provider(LocalKeyProvider(tmp_path / "keys"))
        db.tables.ensure(Person)
        t = db.with_tenant("a")
        t.create(Former(id="1", name="Ann Lee", email="a@x", card="4111111111111111", doc="x" * 500))
        found = t.get(Person, id="1")
        assert (found.first, found.last, found.card, found.doc) == ("Ann", "Lee", "4111111111111111", "x" * 500)
        found.last = "Ray"
        t.save(found)
        again = t.get(Person, id="1")
        assert (again.first, again.last, again.card, again.doc) == ("Ann", "Ray", "4111111111111111", "x" * 500)
        assert t.model(Person).where(Person.last == "RAY").index("by-last").all() == [again]
        # untouched composite index key of an item that is saved only for its form
        t.create(Former(id="2", name="Bob Low", email="b@x", card="4111111111111112"))
        two = t.get(Person, id="2")
        t.save(two)
        assert t.model(Person).where(Person.last == "low").index("by-last").all() == [two]
        with pytest.raises(DuplicateKey):
            t.create(Person(id="3", first="a", last="b", email="b@x"))
        o = db.with_tenant("b")
        assert o.get(Person, id="1") is None
        t.create(Former(id="4", name="Cy Ray", email="c@x", card="4111111111111113"))
        with pytest.raises(NotUpgraded):
            t.update(Person, "a#4", Person.first.set("x"))
        four = t.get(Person, id="4")
        t.put(four)
        assert t.get(Person, id="4") == four
        assert t.find_by_unique(Person, email="c@x") == four


class Inner(Model):
    a: Attr[int] = attr(default=0)


class Nested(Model, table="tab2", schema_version=2):
    id: Attr[str] = partition_key()
    inner: Attr[Inner] = attr(default_factory=Inner)
    b: Attr[int]
    version: Attr[int] = version()

    @staticmethod
    @upgrade(1, attributes=("x", "b"))
    def to_b(item):
        item["b"] = item.pop("x")


def test_what_nested_objects_do_not_know_is_kept():
    with Engine() as engine, DB(Config(engine=engine)) as db:
        db.tables.ensure(Nested)
        for k in "12":
            ask(
                db,
                "PutItem",
                {
                    "TableName": "tab2",
                    "Item": {
                        "id": {"S": k},
                        "x": {"N": "5"},
                        "inner": {"M": {"a": {"N": "1"}, "zz": {"S": "keep"}}},
                        "other": {"S": "o"},
                        "version": {"N": "0"},
                    },
                },
            )
        one = db.get(Nested, "1")
        one.b = 7
        db.save(one)
        item = ask(db, "GetItem", {"TableName": "tab2", "Key": {"id": {"S": "1"}}})["Item"]
        assert item["inner"] == {"M": {"a": {"N": "1"}, "zz": {"S": "keep"}}}
        assert item["other"] == {"S": "o"}
        assert "x" not in item
        assert item["b"] == {"N": "7"}
        one.inner.a = 9
        db.save(one)
        item = ask(db, "GetItem", {"TableName": "tab2", "Key": {"id": {"S": "1"}}})["Item"]
        assert item["inner"] == {"M": {"a": {"N": "9"}, "zz": {"S": "keep"}}}
        two = db.get(Nested, "2")
        two.inner.a = 4
        db.save(two)
        item = ask(db, "GetItem", {"TableName": "tab2", "Key": {"id": {"S": "2"}}})["Item"]
        assert item["inner"] == {"M": {"a": {"N": "4"}, "zz": {"S": "keep"}}}
        assert item["_sv"] == {"N": "2"}


class Animal(Model, table="tab3", discriminator="kind", schema_version=2):
    id: Attr[str] = partition_key()
    n: Attr[int] = attr(default=0)
    version: Attr[int] = version()

    @staticmethod
    @upgrade(1, attributes=("num", "n"))
    def to_n(item):
        item["n"] = item.pop("num", 0)


class Cat(Animal):
    lives: Attr[int] = attr(default=9)


def test_a_family_is_upgraded_class_by_class():
    with Engine() as engine, DB(Config(engine=engine)) as db:
        db.tables.ensure(Animal)
        ask(db, "PutItem", {"TableName": "tab3", "Item": {"id": {"S": "c"}, "kind": {"S": "Cat"}, "num": {"N": "3"}}})
        ask(db, "PutItem", {"TableName": "tab3", "Item": {"id": {"S": "a"}, "num": {"N": "4"}}})
        assert {type(o).__name__: o.n for o in db.model(Animal).allow_scan()} == {"Cat": 3, "Animal": 4}
        cat = db.get(Animal, "c")
        db.save(cat)
        assert ask(db, "GetItem", {"TableName": "tab3", "Key": {"id": {"S": "c"}}})["Item"]["_sv"] == {"N": "2"}
        with pytest.raises(NotUpgraded):
            db.update(Animal, "a", Animal.n.set(1))
        db.create(Cat(id="new"))
        db.update(Cat, "new", Cat.lives.set(1))
        assert db.get(Cat, "new").lives == 1


class Numbered(Mixin):
    @staticmethod
    @upgrade(1, attributes=("num", "n"))
    def to_n(item):
        item["n"] = item.pop("num")


class Counted(Model, Numbered, table="tab4", schema_version=2):
    id: Attr[str] = partition_key()
    n: Attr[int]
    version: Attr[int] = version()


def test_a_mixin_brings_its_upgrades():
    with Engine() as engine, DB(Config(engine=engine)) as db:
        db.tables.ensure(Counted)
        ask(db, "PutItem", {"TableName": "tab4", "Item": {"id": {"S": "a"}, "num": {"N": "4"}}})
        found = db.require(Counted, "a")
        assert found.n == 4
        db.save(found)
        assert db.require(Counted, "a").version == 1


@pytest.mark.parametrize("applied", [True, False])
def test_a_save_of_an_older_item_whose_reply_is_lost_is_settled(applied):
    with Engine() as engine, DB(Config(engine=engine)) as db:
        db.tables.ensure(Counted)
        ask(db, "PutItem", {"TableName": "tab4", "Item": {"id": {"S": "a"}, "num": {"N": "4"}, "kept": {"S": "x"}}})
        found = db.require(Counted, "a")
        found.n = 5
        lose = engine.faults.lose_reply if applied else engine.faults.lose_request
        with lose(op="UpdateItem", times=1):
            db.save(found)
        item = ask(db, "GetItem", {"TableName": "tab4", "Key": {"id": {"S": "a"}}})["Item"]
        assert (item["n"], item["version"], item["_sv"], item["kept"]) == (
            {"N": "5"},
            {"N": "1"},
            {"N": "2"},
            {"S": "x"},
        )
        assert "num" not in item
        found.n = 6
        db.save(found)
        assert db.require(Counted, "a").n == 6
