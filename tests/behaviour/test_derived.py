"""Derived fields: right after every write, or the write is refused; alone, in transactions and batches, on both faces."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynamorm import Attr, Model, Unique, attr, composite, derived, gsi, partition_key, version
from dynamorm.errors import ModelError, ValidationError, VersionConflict

from .kit import stored

pytestmark = pytest.mark.engine


def total(price, count):
    if count == 77777:
        raise LookupError(f"{price} {count}")
    return price * count


class Line(Model, table="derived-lines"):
    id: Attr[str] = partition_key()
    total: Attr[int] = attr(derived("price", "count", by=total), init=False, name="t")
    price: Attr[int]
    count: Attr[int] = attr(default=1)
    note: Attr[str] = attr(default="")
    version: Attr[int] = version()
    by_total = gsi("by-total", partition="note", sort="total")


class Loose(Model, table="derived-loose"):
    id: Attr[str] = partition_key()
    price: Attr[int]
    count: Attr[int] = attr(default=1)
    note: Attr[str] = attr(default="")
    total: Attr[int] = attr(derived("price", "count", by=total), init=False, name="t")


class Person(Model, table="derived-persons"):
    id: Attr[str] = partition_key()
    first: Attr[str | None] = attr(default=None, validators=(str.strip,))
    names: Attr[list[str]] = attr(default_factory=list)
    email: Attr[str | None] = attr(Unique(), default=None)
    search: Attr[str | None] = attr(
        derived("first", "names", by=lambda first, names: " ".join([first or "", *names]).lower().strip() or None),
        init=False,
    )
    version: Attr[int] = version()


MODELS = (Line, Loose, Person)


@pytest.fixture(params=[Line, Loose], ids=["versioned", "unversioned"])
def Kind(request):
    return request.param


def is_right(db, model, key):
    item = stored(db, model, key)
    found = db.require(model, key)
    assert item["t"] == {"N": str(found.price * found.count)}
    return found


class TestWholeObjects:
    def test_every_write_stores_it(self, db, Kind, key):
        line = db.create(Kind(id=key, price=5, count=2))
        assert line.total == 10
        assert db.require(Kind, key) == is_right(db, Kind, key) == line
        line.price = 7
        db.save(line)
        assert is_right(db, Kind, key).total == line.total == 14
        line.total = 1  # what is given is replaced
        db.save(line)
        assert is_right(db, Kind, key).total == line.total == 14
        line.count, line.note = 3, "n"
        db.put(line)
        assert is_right(db, Kind, key).total == line.total == 21
        with db.transaction() as tx:
            line.count = 4
            tx.save(line)
            tx.create(Kind(id=key + "2", price=2))
        assert (is_right(db, Kind, key).total, line.total) == (28, 28)
        assert is_right(db, Kind, key + "2").total == 2
        several = [Kind(id=f"{key}-{number}", price=number) for number in range(3)]
        assert db.batch_write(puts=several).ok
        assert [is_right(db, Kind, one.id).total for one in several] == [one.total for one in several] == [0, 1, 2]

    def test_a_save_of_others_does_not_touch_it(self, db, Kind, key, wire):
        line = db.create(Kind(id=key, price=5))
        line.note = "n"
        wire.clear()
        db.save(line)
        assert "t" not in wire.last["ExpressionAttributeNames"].values()

    def test_of_values_as_they_are_stored_and_none_is_left_out(self, db, key):
        person = db.create(Person(id=key, first=" Ann ", names=["B"], email=key))
        assert person.search == "ann b"
        db.update(person, Person.names.append("C"))
        assert person.search == "ann b c"
        db.update(person, Person.first.remove(), Person.names.set([]))
        assert person.search is None
        assert "search" not in stored(db, Person, key)

    def test_a_function_that_fails_is_told_without_values(self, db, key, wire):
        with pytest.raises(
            ValidationError, match=r"Line\.total cannot be derived of price and count \(LookupError\)"
        ) as error:
            db.create(Line(id=key, price=5, count=77777))
        assert "77777" not in str(error.value)
        assert (wire.calls, error.value.field) == ([], "total")


class TestUpdates:
    def test_of_a_loaded_object(self, db, Kind, key, wire):
        line = db.create(Kind(id=key, price=5, count=2))
        wire.clear()
        db.update(line, Kind.price.set(6))
        # Without a version it has a condition, and so a token of its own, as each such update.
        assert wire.names == (["UpdateItem"] if Kind is Line else ["TransactWriteItems", "GetItem"])
        assert line.total == 12
        db.update(line, Kind.count.add(3), Kind.note.set("n"))
        assert line.total == 30
        db.update(line, Kind.count.remove())
        assert is_right(db, Kind, key).total == line.total == 6
        with db.transaction() as tx:
            tx.update(line, Kind.price.set(9), Kind.count.set(2))
        assert is_right(db, Kind, key).total == line.total == 18

    def test_by_key_all_of_them_are_needed(self, db, Kind, key, wire):
        db.create(Kind(id=key, price=5, count=2))
        wire.clear()
        for change, options, match in (
            (
                (Kind.price.set(6),),
                {},
                r"total is derived of price, count; this update changes price, and count is not known here: load",
            ),
            ((Kind.price.add(1), Kind.count.set(1)), {}, "price is left to the database"),
            ((Kind.total.set(5),), {}, "is derived of price and count: update those"),
        ):
            with pytest.raises(ValidationError, match=match):
                db.update(Kind, key, *change, **options)
        with pytest.raises(ValidationError, match="an upsert may make the item: set price and count in it"):
            db.upsert(Kind(id=key, price=1), Kind.note.set("n"))
        assert wire.calls == []
        assert db.update(Kind, key, Kind.price.set(6), Kind.count.set(7)).total == 42
        db.update(Kind, key, Kind.note.set("n"))
        db.upsert(Kind, key + "2", Kind.price.set(6), Kind.count.set(7))
        assert (is_right(db, Kind, key).total, is_right(db, Kind, key + "2").total) == (42, 42)

    def test_without_a_version_another_writer_is_noticed(self, db, key):
        mine = db.create(Loose(id=key, price=5, count=2))
        other = db.require(Loose, key)
        db.update(other, Loose.count.set(3))
        with pytest.raises(VersionConflict):
            db.update(mine, Loose.price.set(6))
        mine.price = 6
        with pytest.raises(VersionConflict):
            db.save(mine)
        assert is_right(db, Loose, key).total == 15

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        steps=st.lists(
            st.tuples(
                st.sampled_from(["price", "count"]), st.integers(-3, 3), st.sampled_from(["set", "add", "save", "put"])
            ),
            max_size=6,
        )
    )
    def test_it_is_always_right(self, db, Kind, key, steps):
        db.put(Kind(id=key, price=2, count=4))
        for name, value, verb in steps:
            line = db.require(Kind, key)
            if verb in ("set", "add"):
                db.update(line, getattr(getattr(Kind, name), verb)(value))
            else:
                setattr(line, name, value)
                getattr(db, verb)(line)
            assert line.total == line.price * line.count
            is_right(db, Kind, key)

    def test_a_query_of_its_index(self, db, key):
        for number in (3, 1, 2):
            db.create(Line(id=f"{key}{number}", price=number, note=key))
        found = db.model(Line).index(Line.by_total).where(Line.note == key, Line.total >= 2).all()
        assert [line.total for line in found] == [2, 3]


class TestDeclarations:
    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            (("prise",), r"Wrong\.of is derived of 'prise', which is no field; did you mean 'price'"),
            (("version",), "is kept by the library"),
            (("hidden",), "is secret, and what is made of it would show"),
            (("key",), "is computed itself: name its fields"),
            (("of",), "is computed itself"),
        ],
    )
    def test_fields_that_cannot_be(self, db, fields, message):
        class Wrong(Model, table="wrong"):
            key: Attr[str] = partition_key(composite("price"))
            price: Attr[int]
            hidden: Attr[str] = attr(default="", secret=True)
            of: Attr[str] = attr(derived(*fields, by=str), init=False)
            version: Attr[int] = version()

        with pytest.raises(ModelError, match=message):
            db.create(Wrong(price=1))

    def test_what_it_cannot_be_itself(self, db):
        for settings_of, message in (({"immutable": True}, "leave out immutable"), ({}, "is no part of a key")):

            class Wrong(Model, table="wrong"):
                id: Attr[str] = partition_key(*([] if settings_of else [composite("of")]))
                price: Attr[int] = attr(default=1)
                of: Attr[str] = attr(derived("price", by=str), **settings_of)

            with pytest.raises(ModelError, match=message):
                db.create(Wrong(**({"id": "x"} if settings_of else {})))

    def test_arguments(self):
        for fields in ((), (5,), ("a", "a")):
            with pytest.raises(ModelError, match="takes the names of its fields, each once"):
                derived(*fields, by=str)
        with pytest.raises(ModelError, match="by of derived is a function of the values of its fields, not a int"):
            derived("a", by=5)

        async def later(a): ...

        with pytest.raises(ModelError, match="a coroutine function, which nobody awaits"):
            derived("a", by=later)
