"""create, put, get, require, exists and delete of one item, by object, by key and by key names."""

import pytest

from dynamorm import AlreadyExists, Attr, Model, NotFound, ValidationError, attr, partition_key, sort_key, version
from dynamorm.errors import ConditionFailed, MissingItem, Outcome, VersionConflict

from .kit import change, store, stored

pytestmark = pytest.mark.engine


class Note(Model, table="notes"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")
    stars: Attr[int] = attr(default=0)


class Line(Model, table="lines"):
    order: Attr[str] = partition_key(name="o")
    number: Attr[int] = sort_key()
    text: Attr[str | None] = attr(default=None)
    version: Attr[int] = version()


class Story(Model, table="stories"):
    id: Attr[str] = partition_key()
    title: Attr[str]


MODELS = [Note, Line, Story]


def test_what_was_created_is_read_back(db, key):
    note = Note(id=key, text="hello", stars=3)
    assert db.create(note) is note
    assert db.get(Note, key, consistent=True) == note
    assert stored(db, Note, key) == {
        "id": {"S": key},
        "text": {"S": "hello"},
        "stars": {"N": "3"},
        "_wt": stored(db, Note, key)["_wt"],
    }


def test_get_of_a_missing_item_is_none_and_require_raises(db, key):
    assert db.get(Note, key) is None
    with pytest.raises(NotFound) as caught:
        db.require(Note, key)
    assert caught.value.code == "ErrItemNotFound"
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert "Note" in str(caught.value)
    assert key not in str(caught.value)


def test_require_returns_the_item(db, key):
    db.create(Note(id=key, text="here"))
    assert db.require(Note, key, consistent=True).text == "here"


def test_exists_fetches_only_the_key(db, key, wire):
    assert db.exists(Note, key) is False
    db.create(Note(id=key, text="here"))
    assert db.exists(Note, key, consistent=True) is True
    assert wire.last["ProjectionExpression"] == "#k"
    assert wire.last["ConsistentRead"] is True


@pytest.mark.parametrize("verb", ["get", "require", "exists"])
def test_reads_are_consistent_only_when_asked(db, key, wire, verb):
    db.create(Note(id=key))
    getattr(db, verb)(Note, key)
    assert "ConsistentRead" not in wire.last
    getattr(db, verb)(Note, key, consistent=True)
    assert wire.last["ConsistentRead"] is True


def test_a_key_of_two_parts_is_given_in_order_or_by_names(db, key):
    line = db.create(Line(order=key, number=7, text="x"))
    assert db.get(Line, key, 7, consistent=True) == line
    assert db.get(Line, order=key, number=7, consistent=True) == line
    assert db.get(Line, number=7, order=key, consistent=True) == line
    assert db.require(Line, order=key, number=7, consistent=True) == line
    assert db.exists(Line, order=key, number=7, consistent=True) is True
    assert db.exists(Line, key, 8, consistent=True) is False


def test_create_of_what_exists_is_refused_with_the_item_that_is_there(db, key):
    db.create(Note(id=key, text="first", stars=5))
    second = Note(id=key, text="second")
    with pytest.raises(AlreadyExists) as caught:
        db.create(second)
    assert isinstance(caught.value, ConditionFailed)
    assert caught.value.code == "ErrConditionFailed"
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert caught.value.item == Note(id=key, text="first", stars=5)
    assert "second" not in str(caught.value)
    assert db.get(Note, key, consistent=True).text == "first"


def test_create_twice_with_the_same_object_is_refused(db, key):
    line = db.create(Line(order=key, number=1))
    with pytest.raises(AlreadyExists):
        db.create(line)
    assert line.version == 0
    assert stored(db, Line, key, 1)["version"] == {"N": "0"}


def test_of_many_who_create_the_same_item_one_wins(db, key):
    def attempt(number):
        try:
            return db.create(Note(id=key, stars=number)).stars
        except AlreadyExists as error:
            return error.item

    results = db.concurrently(attempt, 6)
    winner = db.get(Note, key, consistent=True)
    assert sorted(map(repr, results)) == sorted(map(repr, [winner.stars, *[winner] * 5]))


def test_put_replaces_whatever_is_there(db, key):
    db.create(Note(id=key, text="first", stars=5))
    assert db.put(Note(id=key, text="second")).text == "second"
    assert db.get(Note, key, consistent=True) == Note(id=key, text="second", stars=0)


def test_put_with_a_condition_writes_only_when_it_holds(db, key):
    db.create(Note(id=key, text="first", stars=5))
    with pytest.raises(ConditionFailed) as caught:
        db.put(Note(id=key, text="second"), condition=Note.stars > 5)
    assert caught.value.item == Note(id=key, text="first", stars=5)
    db.put(Note(id=key, text="second"), condition=Note.stars == 5)
    assert db.get(Note, key, consistent=True).text == "second"


def test_put_returns_the_old_item_on_request(db, key):
    assert db.put(Note(id=key, text="first"), returning="old") is None
    new = Note(id=key, text="second")
    assert db.put(new, returning="old") == Note(id=key, text="first")
    new.stars = 2
    db.save(new)  # it counts as loaded
    assert db.get(Note, key, consistent=True) == Note(id=key, text="second", stars=2)


def test_put_returning_old_respects_its_condition(db, key):
    db.create(Note(id=key, text="first"))
    with pytest.raises(ConditionFailed) as caught:
        db.put(Note(id=key, text="second"), condition=Note.text == "other", returning="old")
    assert caught.value.item.text == "first"


def test_delete_by_key_by_names_and_by_object(db, key):
    lines = [db.create(Line(order=key, number=number)) for number in range(3)]
    assert db.delete(Line, key, 0) is None
    assert db.delete(Line, order=key, number=1) is None
    assert db.delete(lines[2]) is None
    assert [db.exists(Line, key, number, consistent=True) for number in range(3)] == [False] * 3


def test_delete_of_what_is_not_there_is_no_error_unless_asked(db, key):
    db.delete(Note, key)
    with pytest.raises(MissingItem) as caught:
        db.delete(Note, key, must_exist=True)
    assert isinstance(caught.value, NotFound)
    assert isinstance(caught.value, ConditionFailed)
    assert caught.value.item is None


def test_delete_that_must_find_something_finds_it(db, key):
    db.create(Note(id=key))
    db.delete(Note, key, must_exist=True)
    assert not db.exists(Note, key, consistent=True)


def test_delete_with_a_condition(db, key):
    db.create(Note(id=key, stars=1))
    with pytest.raises(ConditionFailed) as caught:
        db.delete(Note, key, condition=Note.stars == 2)
    assert caught.value.item.stars == 1
    db.delete(Note, key, condition=Note.stars == 1)
    assert not db.exists(Note, key, consistent=True)


def test_delete_returns_the_old_item_on_request(db, key):
    db.create(Note(id=key, text="bye"))
    assert db.delete(Note, key, returning="old") == Note(id=key, text="bye")
    assert db.delete(Note, key, returning="old") is None
    note = db.create(Note(id=key, text="again"))
    assert db.delete(note, returning="old") == Note(id=key, text="again")


def test_delete_of_a_loaded_object_checks_its_version(db, key):
    db.create(Line(order=key, number=1))
    mine, theirs = db.get(Line, key, 1, consistent=True), db.get(Line, key, 1, consistent=True)
    theirs.text = "changed"
    db.save(theirs)
    with pytest.raises(VersionConflict) as caught:
        db.delete(mine)
    assert caught.value.item.text == "changed"
    with pytest.raises(VersionConflict):
        db.delete(mine, returning="old")
    with pytest.raises(VersionConflict):
        db.delete(mine, condition=Line.text == "changed")
    db.delete(theirs, condition=Line.text == "changed")
    assert db.get(Line, key, 1, consistent=True) is None


def test_a_deleted_object_counts_as_new_again(db, key):
    line = db.create(Line(order=key, number=1))
    line.text = "x"
    db.save(line)
    db.delete(line)
    db.save(line)
    assert db.get(Line, key, 1, consistent=True).version == 0


def test_delete_by_key_ignores_the_version(db, key):
    line = db.create(Line(order=key, number=1))
    line.text = "x"
    db.save(line)
    db.delete(Line, key, 1)
    assert db.get(Line, key, 1, consistent=True) is None


def test_a_stored_item_that_lacks_a_required_attribute_is_said_to_lack_it(db, key):
    store(db, Story, {"id": {"S": key}})
    with pytest.raises(ValidationError) as caught:
        db.get(Story, key, consistent=True)
    assert caught.value.field == "title"
    assert "Story.title" in str(caught.value)


def test_a_stored_item_of_another_type_names_the_field_and_not_the_value(db, key):
    db.create(Note(id=key))
    change(db, Note, (key,), "SET stars = :v", v={"S": "secret-value"})
    with pytest.raises(ValidationError) as caught:
        db.get(Note, key, consistent=True)
    assert caught.value.field == "stars"
    assert "Note.stars" in str(caught.value)
    assert "secret-value" not in str(caught.value)
