"""A unique field becomes encrypted: its guards go along with the values, and none that was made of a value stays."""

import datetime as dt

import pytest

from dynamorm import Attr, Encrypted, Model, Unique, attr, partition_key
from dynamorm.errors import DuplicateKey, ValidationError
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


def test_guards_of_the_former_name_of_a_class_go_with_a_repair(plugged, key, face_kind):
    """A class is renamed together with its migration: nothing that was made of a value without a key is left."""
    name = f"renamed-{key[:12]}-{face_kind}"

    class PaymentCard(Model, table=name):
        id: Attr[str] = partition_key()
        number: Attr[str | None] = attr(Unique(), default=None)

    class Other(Model, table=name):
        id: Attr[str] = partition_key()
        mail: Attr[str] = attr(Unique())

    class Card(Model, table=name):
        id: Attr[str] = partition_key()
        number: Attr[str | None] = attr(
            Encrypted("pii", searchable=True, plaintext_until=UNTIL), Unique(), default=None
        )

    class Raw(Model, table=name):
        id: Attr[str] = partition_key()

    plain, db = plugged(), plugged(EncryptionPlugin(Provider()))
    db.tables.ensure(Raw)
    for at in range(3):
        plain.create(PaymentCard(id=str(at), number=f"n{at}"))
    plain.create(Other(id="other", mail="n0"))

    def titles():
        found = plain.partiql(f'SELECT id FROM "{plain.tables.name_of(Raw)}"')
        return sorted(one["id"].split("#")[1] for one in found if one["id"].startswith("~U"))

    assert titles() == ["Other", "PaymentCard", "PaymentCard", "PaymentCard"]
    db.get(Card, "0")
    done = Keys(db).reencrypt(Card, only=lambda item: item["id"]["S"].isdigit())
    assert (done.failed, done.rewritten) == (0, 3)
    looked = db.repair_unique(Card, formerly=["PaymentCard", "Karte"])
    assert {(one.kind, one.constraint) for one in looked.faults} == {("orphaned", "number")}
    assert (len(looked.faults), looked.repaired, len(titles())) == (3, 0, 7)
    assert db.repair_unique(Card, formerly="PaymentCard", apply=True).repaired == 3
    assert titles() == ["Card", "Card", "Card", "Other"]
    assert not db.repair_unique(Card, formerly="PaymentCard").faults
    for at in range(3):
        assert db.find_by_unique(Card, number=f"n{at}").id == str(at)
        with pytest.raises(DuplicateKey):
            db.create(Card(id=f"x{at}", number=f"n{at}"))
    for wrong in ("Card", "", "a b", [5]):
        with pytest.raises(ValidationError, match="formerly"):
            db.repair_unique(Card, formerly=wrong)
