"""Stored names, naming conventions and the table prefix: what other programs see."""

from datetime import datetime

import pytest

from dynamorm import Attr, Model, attr, created_at, gsi, partition_key, sort_key, version

from .kit import store, stored

pytestmark = pytest.mark.engine


class Street(Model, naming="camelCase"):
    house_number: Attr[int] = attr(default=0)
    zip_code: Attr[str] = attr(default="", name="ZIP")


class Camel(Model, table="camel", naming="camelCase"):
    user_id: Attr[str] = partition_key(name="userID")
    sort_name: Attr[str] = sort_key()
    first_name: Attr[str] = attr(default="")
    home_street: Attr[Street | None] = attr(default=None)
    created_at: Attr[datetime] = created_at()
    row_version: Attr[int] = version()
    by_first = gsi("by-first", partition="first_name", sort="created_at")


class Pascal(Model, table="pascal", naming="PascalCase"):
    user_id: Attr[str] = partition_key()
    first_name: Attr[str] = attr(default="")


class Kebab(Model, table="kebab", naming="kebab-case"):
    user_id: Attr[str] = partition_key()
    first_name: Attr[str] = attr(default="")


class Shout(Model, table="shout", naming=str.upper):
    user_id: Attr[str] = partition_key()
    first_name: Attr[str] = attr(default="")


MODELS = [Camel, Pascal, Kebab, Shout]


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (Pascal, {"UserId", "FirstName", "_wt"}),
        (Kebab, {"user-id", "first-name", "_wt"}),
        (Shout, {"USER_ID", "FIRST_NAME", "_wt"}),
    ],
)
def test_a_convention_names_every_attribute_alike_in_all_verbs(db, key, model, names):
    made = db.create(model(user_id=key, first_name="a"))
    assert set(stored(db, model, key)) == names
    made.first_name = "b"
    db.save(made)
    db.update(model, key, model.first_name.set("c"), condition=model.first_name == "b")
    db.put(db.get(model, user_id=key, consistent=True))
    assert set(stored(db, model, key)) == names - {"_wt"}
    assert db.get(model, key, consistent=True).first_name == "c"


def test_explicit_names_go_before_the_convention(db, key):
    camel = db.create(
        Camel(user_id=key, sort_name="s", first_name="f", home_street=Street(house_number=4, zip_code="z"))
    )
    found = stored(db, Camel, key, "s")
    assert set(found) == {"userID", "sortName", "firstName", "homeStreet", "createdAt", "rowVersion", "_wt"}
    assert found["homeStreet"] == {"M": {"houseNumber": {"N": "4"}, "ZIP": {"S": "z"}}}
    assert db.get(Camel, key, "s", consistent=True) == camel


def test_nested_names_are_the_same_in_put_save_and_update(db, key):
    camel = db.create(Camel(user_id=key, sort_name="s", first_name="f", home_street=Street(house_number=1)))
    camel.home_street.house_number = 2
    db.save(camel)
    assert stored(db, Camel, key, "s")["homeStreet"]["M"]["houseNumber"] == {"N": "2"}
    db.update(camel, Camel.home_street[Street.house_number].add(1), Camel.home_street[Street.zip_code].set("q"))
    assert stored(db, Camel, key, "s")["homeStreet"] == {"M": {"houseNumber": {"N": "3"}, "ZIP": {"S": "q"}}}
    db.put(camel)
    assert stored(db, Camel, key, "s")["homeStreet"] == {"M": {"houseNumber": {"N": "3"}, "ZIP": {"S": "q"}}}
    db.update(camel, Camel.home_street.set(Street(house_number=9)))
    assert stored(db, Camel, key, "s")["homeStreet"]["M"]["houseNumber"] == {"N": "9"}


def test_an_item_of_another_program_is_read_and_queried_by_its_stored_names(db, key):
    at = {"S": "2024-01-01T00:00:00Z"}
    item = {"userID": {"S": key}, "sortName": {"S": "s"}, "firstName": {"S": f"Go {key}"}, "createdAt": at}
    store(db, Camel, {**item, "rowVersion": {"N": "4"}})
    (found,) = db.model(Camel).where(Camel.first_name == f"Go {key}").all()
    assert (found.user_id, found.row_version) == (key, 4)
    assert db.model(Camel).where(Camel.user_id == key).order_by("sort_name", "desc").first() == found


def test_the_prefix_stands_before_every_table_name(db, key, wire, made):
    db.create(Pascal(user_id=key))
    assert wire.last["TableName"] == f"{made}pascal"
    db.get(Pascal, key)
    assert wire.last["TableName"] == f"{made}pascal"
    db.model(Pascal).where(Pascal.user_id == key).all()
    assert wire.last["TableName"] == f"{made}pascal"
    db.update(Pascal, key, Pascal.first_name.set("x"), condition=Pascal.first_name == "")
    transaction = next(body for name, body in wire.calls if name == "TransactWriteItems")
    assert transaction["TransactItems"][0]["Update"]["TableName"] == f"{made}pascal"
    assert db.tables.describe(Pascal).name == f"{made}pascal"


def test_two_prefixes_are_two_databases(open_db, engine, key):
    first = open_db(engine.endpoint, table_prefix=f"{key}-a.")
    second = open_db(engine.endpoint, table_prefix=f"{key}-b_")
    for db in (first, second):
        db.tables.create(Pascal)
    first.create(Pascal(user_id=key, first_name="a"))
    assert second.get(Pascal, key, consistent=True) is None
    assert second.create(Pascal(user_id=key, first_name="b")).first_name == "b"
    for db in (first, second):
        db.tables.delete(Pascal)
