"""save: a new object is created, of a loaded one only what changed is written, and memory follows the table."""

import pytest

from dynamorm import AlreadyExists, Attr, Model, ValidationError, VersionConflict, attr, partition_key, version

from .kit import change, store, stored

pytestmark = pytest.mark.engine


class Profile(Model, table="profiles"):
    id: Attr[str] = partition_key()
    name: Attr[str]
    email: Attr[str | None] = attr(default=None, name="mail")
    tags: Attr[list[str]] = attr(default_factory=list)
    country: Attr[str] = attr(default="DE", immutable=True)
    version: Attr[int] = version()


class Plain(Model, table="plain"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")
    other: Attr[str | None] = attr(default=None)


MODELS = [Profile, Plain]


def written(wire):
    """The stored names that the last UpdateItem sets and removes, without the library's own."""
    names = wire.last["ExpressionAttributeNames"]
    text = wire.last["UpdateExpression"]
    return {names[word] for word in text.replace(",", " ").split() if word.startswith("#")} - {"version", "_wt"}


def test_save_of_a_new_object_creates_it(db, key, wire):
    profile = db.save(Profile(id=key, name="Ada"))
    assert wire.names == ["PutItem"]
    assert profile.version == 0
    with pytest.raises(AlreadyExists):
        db.save(Profile(id=key, name="Bob"))


def test_save_writes_only_what_changed(db, key, wire):
    profile = db.create(Profile(id=key, name="Ada", tags=["a"]))
    change(db, Profile, (key,), "SET extra = :v", v={"S": "kept"})
    profile.email = "ada@example.com"
    db.save(profile)
    assert wire.names[-1] == "UpdateItem"
    assert written(wire) == {"mail"}
    assert stored(db, Profile, key)["extra"] == {"S": "kept"}


def test_save_without_a_change_sends_nothing(db, key, wire):
    profile = db.create(Profile(id=key, name="Ada"))
    wire.clear()
    assert db.save(profile) is profile
    profile.name = "Bob"
    profile.name = "Ada"
    assert db.save(profile) is profile
    assert wire.names == []
    assert profile.version == 0


def test_save_sees_a_change_inside_a_container(db, key, wire):
    db.create(Profile(id=key, name="Ada"))
    profile = db.get(Profile, key, consistent=True)
    profile.tags.append("new")
    db.save(profile)
    assert written(wire) == {"tags"}
    assert stored(db, Profile, key)["tags"] == {"L": [{"S": "new"}]}


def test_save_removes_what_became_none(db, key):
    profile = db.create(Profile(id=key, name="Ada", email="a@example.com"))
    profile.email = None
    db.save(profile)
    assert "mail" not in stored(db, Profile, key)
    assert db.get(Profile, key, consistent=True) == profile


def test_save_after_save_goes_on_from_there(db, key):
    profile = db.create(Profile(id=key, name="Ada"))
    for number in range(1, 4):
        profile.name = f"Ada {number}"
        db.save(profile)
        assert profile.version == number
    assert db.get(Profile, key, consistent=True) == profile


def test_a_failed_save_changes_nothing_in_memory_and_may_be_repeated(db, key):
    profile = db.create(Profile(id=key, name="Ada"))
    db.update(Profile, key, Profile.tags.set(["theirs"]))
    profile.name = "Bob"
    with pytest.raises(VersionConflict) as caught:
        db.save(profile)
    assert (profile.name, profile.tags, profile.version) == ("Bob", [], 0)
    fresh = caught.value.item
    fresh.name = "Bob"
    db.save(fresh)  # the item of the error counts as loaded
    final = db.get(Profile, key, consistent=True)
    assert (final.name, final.tags, final.version) == ("Bob", ["theirs"], 2)


def test_a_failed_create_leaves_the_object_new(db, key):
    db.create(Profile(id=key, name="Ada"))
    mine = Profile(id=key, name="Bob")
    with pytest.raises(AlreadyExists):
        db.create(mine)
    with pytest.raises(AlreadyExists):
        db.save(mine)


def test_save_without_a_version_writes_its_changes_over_others(db, key):
    plain = db.create(Plain(id=key, text="a"))
    db.update(Plain, key, Plain.other.set("theirs"))
    plain.text = "b"
    db.save(plain)
    assert db.get(Plain, key, consistent=True) == Plain(id=key, text="b", other="theirs")


def test_save_without_a_version_does_not_bring_back_what_is_gone(db, key):
    plain = db.create(Plain(id=key, text="a"))
    db.delete(Plain, key)
    plain.text = "b"
    with pytest.raises(Exception, match="no Plain is stored"):
        db.save(plain)
    assert stored(db, Plain, key) is None


def test_a_changed_key_is_refused_before_the_wire(db, key, wire):
    profile = db.create(Profile(id=key, name="Ada"))
    wire.clear()
    profile.id = "other"
    with pytest.raises(ValidationError, match=r"Profile\.id is part of the key"):
        db.save(profile)
    assert wire.names == []


def test_a_changed_immutable_field_is_refused_before_the_wire(db, key, wire):
    profile = db.create(Profile(id=key, name="Ada", country="FR"))
    wire.clear()
    profile.country = "IT"
    with pytest.raises(ValidationError, match=r"Profile\.country is immutable") as caught:
        db.save(profile)
    assert caught.value.field == "country"
    assert wire.names == []


def test_attributes_the_model_does_not_know_survive_get_modify_save(db, key):
    store(db, Profile, {"id": {"S": key}, "name": {"S": "Ada"}, "x": {"M": {"y": {"L": [{"N": "1"}]}}}})
    profile = db.get(Profile, key, consistent=True)
    profile.name = "Bob"
    db.save(profile)
    assert stored(db, Profile, key)["x"] == {"M": {"y": {"L": [{"N": "1"}]}}}


def test_attributes_the_model_does_not_know_survive_get_modify_put(db, key):
    unknown = {"x": {"M": {"y": {"L": [{"N": "1"}]}}}, "set": {"SS": ["a", "b"]}, "bin": {"B": "AAE="}}
    store(db, Profile, {"id": {"S": key}, "name": {"S": "Ada"}, **unknown})
    profile = db.get(Profile, key, consistent=True)
    profile.name = "Bob"
    db.put(profile)
    found = stored(db, Profile, key)
    found["set"]["SS"].sort()
    assert {name: found[name] for name in unknown} == unknown
    assert found["name"] == {"S": "Bob"}


def test_attributes_the_model_does_not_know_survive_put_after_save(db, key):
    store(db, Profile, {"id": {"S": key}, "name": {"S": "Ada"}, "x": {"S": "kept"}})
    profile = db.get(Profile, key, consistent=True)
    profile.name = "Bob"
    db.save(profile)
    db.put(profile)
    db.update(profile, Profile.name.set("Cid"))
    db.put(profile)
    assert stored(db, Profile, key)["x"] == {"S": "kept"}


def test_an_attribute_stored_as_null_reads_as_none_and_stays_when_untouched(db, key):
    store(db, Profile, {"id": {"S": key}, "name": {"S": "Ada"}, "mail": {"NULL": True}})
    profile = db.get(Profile, key, consistent=True)
    assert profile.email is None
    profile.name = "Bob"
    db.save(profile)
    assert stored(db, Profile, key)["mail"] == {"NULL": True}
