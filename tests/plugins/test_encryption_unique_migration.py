"""A unique field becomes encrypted: its guards go along with the values, and none that was made of a value stays."""

import datetime as dt

import pytest

from dynamorm import Attr, Encrypted, Model, Unique, attr, partition_key
from dynamorm.errors import DuplicateKey
from dynamorm.plugins import EncryptionPlugin

from .encryption_kit import Keys, Provider

UNTIL = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def made(prefix):
    return prefix


@pytest.fixture
def migrating(plugged, key, face_kind):
    name = f"unique-{key[:12]}-{face_kind}"

    def before():
        class Card(Model, table=name):
            id: Attr[str] = partition_key()
            amount: Attr[int] = attr(default=0)
            number: Attr[str | None] = attr(Unique(), default=None)

        return Card

    def after():
        class Card(Model, table=name):
            id: Attr[str] = partition_key()
            amount: Attr[int] = attr(default=0)
            number: Attr[str | None] = attr(
                Encrypted("pii", searchable=True, plaintext_until=UNTIL), Unique(), default=None
            )

        return Card

    class Raw(Model, table=name):
        id: Attr[str] = partition_key()

    Before, After = before(), after()
    plain, db = plugged(), plugged(EncryptionPlugin(Provider()))
    db.tables.ensure(After)
    for at in range(4):
        plain.create(Before(id=str(at), number=f"n{at}"))

    def guards():
        found = plain.partiql(f'SELECT id FROM "{plain.tables.name_of(Raw)}"')
        return {one["id"] for one in found if one["id"].startswith("~U")}

    return db, After, guards


def change(db, After, how):
    """Let the item "2" have another amount."""
    if how == "save":
        card = db.get(After, "2")
        card.amount = 5
        db.save(card)
    elif how == "update":
        db.update(After, "2", After.amount.set(5))
    elif how == "put":
        card = db.get(After, "2")
        card.amount = 5
        db.put(card)
    elif how == "number":
        db.update(After, "2", After.number.set("n2"))


@pytest.mark.parametrize("how", ["", "save", "update", "put", "number"])
def test_guards_go_along_when_a_unique_field_is_encrypted(migrating, how):
    db, After, guards = migrating
    former = guards()
    assert len(former) == 4
    change(db, After, how)
    report = Keys(db).reencrypt(After)
    assert (report.failed, report.complete) == (0, True)
    assert len(guards()) == 4
    assert not guards() & former
    for at in range(4):
        assert db.find_by_unique(After, number=f"n{at}").id == str(at)
        db.update(After, str(at), After.number.set(f"n{at}"))
        with pytest.raises(DuplicateKey):
            db.create(After(id=f"other{at}", number=f"n{at}"))
    for at in range(4):
        db.delete(After, str(at))
    assert guards() == set()


def test_an_item_in_the_clear_takes_its_guard_along_when_it_is_deleted(migrating):
    db, After, guards = migrating
    db.delete(After, "1")
    assert len(guards()) == 3
