"""Validators of one field and of several together, at a write and, with validate="always", at each change of an object."""

import copy
import dataclasses
import pickle
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynamorm import Attr, Mixin, Model, attr, field_validator, model_validator, partition_key, updated_at, version
from dynamorm.errors import ConditionFailed, ModelError, ValidationError, VersionConflict

from .kit import ask, stored, table_of

pytestmark = pytest.mark.engine


class Span(Mixin):
    begins: Attr[int]
    ends: Attr[int] = attr(default=10)

    @model_validator("begins", "ends")
    def in_order(self) -> None:
        if self.ends < self.begins:
            raise ValueError(f"{self.ends} is before {self.begins}")


class Booking(Model, Span, table="bookings"):
    id: Attr[str] = partition_key()
    email: Attr[str | None] = attr(default=None)
    seats: Attr[int] = attr(default=1, ge=1)
    version: Attr[int] = version()

    @field_validator("email")
    @staticmethod
    def lower(value: str) -> str:
        if "@" not in value:
            raise ValueError(value)
        return value.strip().lower()


class Loose(Model, Span, table="loose-bookings"):
    id: Attr[str] = partition_key()
    note: Attr[str] = attr(default="")


class Checked(Booking, table="checked-bookings", validate="always"):
    price: Attr[Decimal] = attr(default=Decimal(1), gt=0)
    tags: Attr[list[str]] = attr(default_factory=list, max_length=2)
    at: Attr[datetime | None] = attr(default=None)
    changed: Attr[datetime | None] = updated_at()


class Step(Model):
    low: Attr[int]
    high: Attr[int]

    @model_validator("low", "high")
    def rising(self) -> None:
        assert self.low <= self.high


class Stairs(Model, table="stairs"):
    id: Attr[str] = partition_key()
    steps: Attr[list[Step]] = attr(default_factory=list)


MODELS = (Booking, Loose, Checked, Stairs)
REFUSED = r"begins and ends do not fit together, by the validator in_order"


@pytest.fixture(params=[Booking, Loose], ids=["versioned", "unversioned"])
def Kind(request):
    return request.param


def refused(call, *args, match=REFUSED, **options):
    with pytest.raises(ValidationError, match=match) as error:
        call(*args, **options)
    assert "77777" not in str(error.value)
    assert error.value.outcome.name == "NOT_APPLIED"
    return error.value


class TestWholeObjects:
    def test_every_write_of_a_whole_object_passes_them(self, db, Kind, key, wire):
        wrong = Kind(id=key, begins=77777)
        error = refused(db.create, wrong)
        assert error.field == "begins"
        refused(db.put, wrong)
        refused(db.save, wrong)
        refused(db.batch_write, puts=[Kind(id=key, begins=1), wrong])
        with db.transaction() as tx:
            for verb in (tx.create, tx.put, tx.save):
                refused(verb, wrong)
        refused(db.upsert, wrong, Kind.begins.set(1))
        assert wire.calls == []
        right = db.create(Kind(id=key, begins=5))
        right.begins = 77777
        wire.clear()
        refused(db.save, right)
        assert wire.calls == []
        right.ends = 77778
        db.save(right)
        assert db.require(Kind, key) == right

    def test_of_one_field_is_what_attr_has(self, db, key):
        made = db.create(Booking(id=key, begins=1, email=" A@B.example "))
        assert made.email == "a@b.example"
        assert db.update(made, Booking.email.set("C@D.example")).email == "c@d.example"
        db.update(made, Booking.seats.set(2), condition=Booking.email == "C@d.example ")
        refused(db.update, made, Booking.email.set("77777"), match="email was refused by its validator lower")

    def test_what_is_loaded_is_never_refused(self, db, Kind, key):
        item = {"id": {"S": key}, "begins": {"N": "9"}, "ends": {"N": "3"}, "email": {"S": "none"}, "seats": {"N": "0"}}
        ask(db, "PutItem", {"TableName": table_of(db, Kind), "Item": item})
        found = db.require(Kind, key)
        assert (found.begins, found.ends) == (9, 3)
        refused(db.put, found)
        found.ends = 9
        if Kind is Booking:
            found.email, found.seats = "x@y.example", 1
        db.save(found)
        assert stored(db, Kind, key)["ends"] == {"N": "9"}

    def test_values_of_a_wrong_type_are_told_as_such(self, db, key):
        refused(db.create, Booking(id=key, begins="77777"), match=r"Booking\.begins")

    def test_inside_other_values(self, db, key):
        refused(
            db.create, Stairs(id=key, steps=[Step(low=1, high=2), Step(low=3, high=2)]), match="low and high do not fit"
        )
        made = db.create(Stairs(id=key))
        refused(db.update, made, Stairs.steps.append(Step(low=3, high=2)), match="low and high do not fit")
        db.update(made, Stairs.steps.append(Step(low=1, high=2)))


class TestUpdates:
    def test_of_a_loaded_object_what_it_leaves_is_looked_at(self, db, Kind, key, wire):
        made = db.create(Kind(id=key, begins=5))
        wire.clear()
        refused(db.update, made, Kind.begins.set(77777))
        refused(db.update, made, Kind.begins.add(77777))
        refused(db.update, made, Kind.ends.add(-6))
        refused(db.update, made, Kind.begins.set(11), Kind.ends.remove())
        with db.transaction() as tx:
            refused(tx.update, made, Kind.begins.set(11))
        assert wire.calls == []
        db.update(made, Kind.begins.add(2))
        db.update(made, Kind.ends.set(7))
        with db.transaction() as tx:
            tx.update(made, Kind.begins.set(20), Kind.ends.set(20))
        assert (made.begins, made.ends) == (20, 20)

    def test_by_key_all_of_them_are_needed(self, db, Kind, key):
        db.create(Kind(id=key, begins=5))
        needed = r"in_order looks at begins, ends together; this update changes begins, and ends is not known here: load the object"
        refused(db.update, Kind, key, Kind.begins.set(6), match=needed)
        refused(db.update, Kind, key, Kind.begins.add(1), Kind.ends.set(8), match="begins is left to the database")
        refused(db.upsert, Kind, key, Kind.begins.set(6), match="give ends a value there, too")
        refused(db.increment, Kind, key, Kind.begins, match="ends is not known here")
        refused(db.update, Kind, key, Kind.begins.set(6), Kind.ends.set(5))
        assert db.update(Kind, key, Kind.begins.set(6), Kind.ends.set(7)).ends == 7

    def test_others_fields_are_updated_as_before(self, db, key, wire):
        db.create(Loose(id=key, begins=5))
        wire.clear()
        db.update(Loose, key, Loose.note.set("n"))
        assert wire.last["ConditionExpression"] == "attribute_exists(#n0)"

    def test_without_a_version_another_writer_is_noticed(self, db, key):
        mine = db.create(Loose(id=key, begins=5))
        other = db.require(Loose, key)
        db.update(other, Loose.begins.set(9))
        with pytest.raises(VersionConflict, match="in what this write relies on"):
            db.update(mine, Loose.ends.set(6))  # 9 to 6 would be left
        mine.ends = 6
        with pytest.raises(ConditionFailed):
            db.save(mine)
        assert stored(db, Loose, key)["ends"] == {"N": "10"}

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        steps=st.lists(st.tuples(st.sampled_from(["begins", "ends"]), st.integers(-3, 3), st.booleans()), max_size=6)
    )
    def test_what_is_stored_always_fits(self, db, key, steps):
        db.put(Booking(id=key, begins=2, ends=4))
        for name, value, adds in steps:
            field = getattr(Booking, name)
            try:
                db.update(db.require(Booking, key), field.add(value) if adds else field.set(value))
            except ValidationError:
                continue
        found = db.require(Booking, key)
        assert found.begins <= found.ends


class TestAlways:
    def test_at_construction(self):
        for values, match in (
            ({"begins": "77777"}, r"Checked\.begins"),
            ({"begins": 1, "seats": 0}, "seats must be >= 1"),
            ({"begins": 1, "email": "77777"}, "email was refused by its validator lower"),
            ({"begins": 1, "tags": ["a", "b", "c"]}, "a length of at most 2"),
            ({"begins": 1, "price": None}, "price"),
            ({"begins": 1, "at": datetime(2024, 1, 1)}, "at"),
            ({"begins": 77777}, REFUSED),
        ):
            refused(Checked, id="x", match=match, **values)
        made = Checked(id="x", begins=1, email=" A@b.example", at=datetime(2024, 1, 1, tzinfo=UTC))
        assert (made.email, made.version, made.changed) == ("a@b.example", 0, None)

    def test_at_assignment_the_former_value_stays(self):
        made = Checked(id="x", begins=1)
        for name, value, match in (
            ("begins", 77777, REFUSED),
            ("seats", "77777", r"Checked\.seats"),
            ("price", Decimal(0), "price must be > 0"),
            ("email", "77777", "validator lower"),
        ):
            before = getattr(made, name)
            refused(setattr, made, name, value, match=match)
            assert getattr(made, name) == before
        made.email = "X@Y.example "
        assert made.email == "x@y.example"
        refused(dataclasses.replace, made, begins=77777)
        assert dataclasses.replace(made, begins=20, ends=77777).ends == 77777

    def test_a_model_without_it_is_looked_at_with_a_write_only(self):
        wrong = Booking(id="x", begins=77777, email="none")
        wrong.seats = "many"

    def test_what_is_loaded_is_never_refused(self, db, key):
        item = {"id": {"S": key}, "begins": {"N": "9"}, "ends": {"N": "3"}, "price": {"N": "-1"}, "version": {"N": "4"}}
        ask(db, "PutItem", {"TableName": table_of(db, Checked), "Item": item})
        found = db.require(Checked, key)
        assert db.model(Checked).allow_scan().where(Checked.id == key).one() == found
        for other in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
            assert (other.ends, other.price, other.version) == (3, -1, 4)
        assert db.update(found, Checked.email.set("a@b.example")).price == -1
        assert found.changed is not None
        refused(setattr, found, "begins", 8)
        found.ends = 9
        found.price = Decimal(2)
        db.save(found)
        assert db.require(Checked, key) == found

    def test_every_verb_works_with_it(self, db, key):
        made = db.create(Checked(id=key, begins=1))
        made.ends = 20
        db.save(made)
        db.update(made, Checked.begins.add(5), Checked.tags.append("a"))
        with db.transaction() as tx:
            tx.update(made, Checked.begins.set(7))
        assert db.batch_write(puts=[made]).ok
        assert (made.begins, made.ends, made.tags) == (7, 20, ["a"])
        db.delete(made)

    def test_a_subclass_has_it_too(self):
        class Below(Checked, table="below"):
            more: Attr[int] = attr(default=0, le=5)

            def in_order(self) -> None:
                """The validator of this name holds no more."""

        assert Below(id="x", begins=50).begins == 50
        refused(Below, id="x", begins=1, more=77777, match="more must be <= 5")


class TestDeclarations:
    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (("beginns",), r"Wrong\.check names 'beginns', which is no field; did you mean 'begins'"),
            (("begins", "version"), "'version' is kept by the library"),
        ],
    )
    def test_names_that_cannot_be(self, names, message):
        with pytest.raises(ModelError, match=message):

            class Wrong(Model, table="wrong"):
                id: Attr[str] = partition_key()
                begins: Attr[int]
                version: Attr[int] = version()

                @model_validator(*names)
                def check(self) -> None: ...

    def test_decorators_that_stand_elsewhere(self):
        for decorator in (field_validator, model_validator):
            with pytest.raises(ModelError, match="takes the names of its fields"):
                decorator()
            with pytest.raises(ModelError, match="takes the names of its fields"):
                decorator(5)
            with pytest.raises(ModelError, match="stands over"):
                decorator("a")(property(lambda self: None))
        with pytest.raises(ModelError, match="is a coroutine function"):

            @model_validator("a")
            async def check(self): ...

    def test_a_setting_that_is_none(self):
        with pytest.raises(ModelError, match='validate is "always", or is left out'):

            class Wrong(Model, table="wrong", validate="allways"):
                id: Attr[str] = partition_key()

    def test_a_validator_that_answers(self, db, key):
        class Answering(Model, table="loose-bookings"):
            id: Attr[str] = partition_key()
            begins: Attr[int] = attr(default=1)

            @model_validator("begins")
            def check(self):
                return True

        refused(db.create, Answering(id=key), match="returned a bool: it returns nothing, and raises ValueError")
