"""PartiQL: parameters are bound, results are typed and whole, writes are applied once."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from dynamorm import (
    AlreadyExists,
    Attr,
    Model,
    Outcome,
    ValidationError,
    attr,
    gsi,
    partition_key,
    sort_key,
)
from dynamorm.errors import ConditionFailed, TableNotFound, TransactionCancelled

from .kit import stored, table_of

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    amount: Attr[Decimal] = attr(default=Decimal(0))
    note: Attr[str | None] = attr(default=None)
    tags: Attr[set[str]] = attr(default_factory=set)
    by_note = gsi("by-note", partition="note", projection="KEYS_ONLY")
    by_number = gsi("by-number", partition="number")


MODELS = [Payment]


@pytest.fixture
def table(db):
    return table_of(db, Payment)


def test_a_select_gives_objects_of_the_model(db, key):
    some = [Payment(id=key, number=number, amount=Decimal("1.5") * number, tags={"a"}) for number in range(5)]
    db.batch_write(some)
    found = db.partiql("SELECT * FROM {table} WHERE id = ? AND number >= ?", key, 2, model=Payment, consistent=True)
    assert [(type(one), one.number, one.amount, one.tags) for one in found] == [
        (Payment, number, Decimal("1.5") * number, {"a"}) for number in (2, 3, 4)
    ]
    found[0].note = "loaded"
    db.save(found[0])
    assert db.get(Payment, key, 2).note == "loaded"


def test_without_a_model_a_select_gives_plain_values(db, table, key):
    db.put(Payment(id=key, number=1, amount=Decimal("2.50"), tags={"b", "c"}))
    (whole,) = db.partiql(f'SELECT * FROM "{table}" WHERE id = ?', key)
    assert whole.items() >= {"id": key, "number": 1, "amount": Decimal("2.5")}.items()
    assert whole["tags"] == {"b", "c"}
    assert db.partiql(f'SELECT amount FROM "{table}" WHERE id = ? AND number = ?', key, 1) == [
        {"amount": Decimal("2.5")}
    ]
    assert db.partiql(f'SELECT amount FROM "{table}" WHERE id = ?', "nobody") == []


def test_writes_do_what_they_say(db, table, key):
    assert db.partiql(f"INSERT INTO \"{table}\" VALUE {{'id': ?, 'number': ?, 'note': ?}}", key, 1, 'it\'s "?"') == []
    assert db.get(Payment, key, 1).note == 'it\'s "?"'
    db.partiql("UPDATE {table} SET note = ? WHERE id = ? AND number = ?", "new", key, 1, model=Payment)
    assert db.get(Payment, key, 1).note == "new"
    db.partiql(f'DELETE FROM "{table}" WHERE id = ? AND number = ?', key, 1)
    assert db.get(Payment, key, 1) is None


def test_a_value_is_never_part_of_the_text(db, wire, table, key):
    odd = "x' OR '1'='1"
    db.put(Payment(id=key, number=1, note=odd))
    wire.clear()
    assert db.partiql(f'SELECT note FROM "{table}" WHERE id = ? AND note = ?', key, odd) == [{"note": odd}]
    assert odd not in wire.last["Statement"]
    assert wire.last["Parameters"] == [{"S": key}, {"S": odd}]


def test_parameters_are_bound_by_their_type(db, wire, table):
    moment = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    values = (1, Decimal("1.50"), True, None, b"\x00", [1, "a"], {"k": 2}, {"s"}, moment, UUID(int=7))
    marks = " AND ".join(f"a{at} = ?" for at in range(len(values)))
    db.partiql(f'SELECT * FROM "{table}" WHERE {marks}', *values)
    assert wire.last["Parameters"] == [
        {"N": "1"},
        {"N": "1.5"},
        {"BOOL": True},
        {"NULL": True},
        {"B": "AA=="},
        {"L": [{"N": "1"}, {"S": "a"}]},
        {"M": {"k": {"N": "2"}}},
        {"SS": ["s"]},
        {"S": "2024-01-02T03:04:05.000000000Z"},
        {"S": "00000000-0000-0000-0000-000000000007"},
    ]


def test_a_limit_counts_what_is_found(db, table, key):
    db.batch_write([Payment(id=key, number=number) for number in range(30)])
    statement = f'SELECT * FROM "{table}" WHERE id = ? AND number >= ?'
    assert len({one["number"] for one in db.partiql(statement, key, 0, limit=7)}) == 7
    assert len(db.partiql(statement, key, 0)) == 30
    found = db.partiql(f'SELECT number FROM "{table}" WHERE id = ? AND amount = ? AND number > ?', key, 0, 20, limit=2)
    assert len(found) == 2


def test_errors_are_typed(db, table, key):
    db.put(Payment(id=key, number=1))
    with pytest.raises((AlreadyExists, ValidationError, ConditionFailed)) as caught:
        db.partiql(f"INSERT INTO \"{table}\" VALUE {{'id': ?, 'number': ?}}", key, 1)
    assert caught.value.outcome is Outcome.NOT_APPLIED
    with pytest.raises(ConditionFailed):
        db.partiql(f'UPDATE "{table}" SET note = ? WHERE id = ? AND number = ?', "x", f"{key}-none", 1)
    with pytest.raises(ConditionFailed):
        db.partiql(f'UPDATE "{table}" SET note = ? WHERE id = ? AND number = ? AND note = ?', "x", key, 1, "other")
    with pytest.raises(ValidationError):
        db.partiql(f'SELECT FROM WHERE "{table}"')
    with pytest.raises(TableNotFound):
        db.partiql('SELECT * FROM "no-such-table" WHERE id = ?', key)


def test_several_statements_are_applied_together_or_not_at_all(db, table, key):
    update = f'UPDATE "{table}" SET note = ? WHERE id = ? AND number = ?'
    db.batch_write([Payment(id=key, number=number, note="old") for number in (1, 2)])
    assert db.partiql_transaction([(update, "a", key, 1), (update, "b", key, 2)]) == []
    with pytest.raises(TransactionCancelled) as caught:
        db.partiql_transaction([(update, "c", key, 1), (update, "d", key, 3)])
    assert [reason and reason.code.removesuffix("Exception") for reason in caught.value.reasons] == [
        None,
        "ConditionalCheckFailed",
    ]
    select = f'SELECT * FROM "{table}" WHERE id = ? AND number = ?'
    one, none, two = db.partiql_transaction([(select, key, 1), (select, key, 9), (select, key, 2)])
    assert (one["note"], none, two["note"]) == ("a", None, "b")
    assert stored(db, Payment, key, 3) is None


SELECT = "SELECT * FROM {table} WHERE id = ?"


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda db: db.partiql(""), "is a text"),
        (lambda db: db.partiql(None), "is a text"),
        (lambda db: db.partiql("DROP TABLE x"), "begins with SELECT"),
        (lambda db: db.partiql('SELECT * FROM "t" WHERE a = ?'), r"1 times \?, and 0 parameters"),
        (lambda db: db.partiql("SELECT * FROM \"t\" WHERE a = '?'", 1), r"0 times \?, and 1 parameters"),
        (lambda db: db.partiql('SELECT * FROM "t" WHERE a = ?', object()), "parameter 1 must be"),
        (lambda db: db.partiql('SELECT * FROM "t" WHERE a = ?', set()), "empty set"),
        (lambda db: db.partiql('SELECT * FROM "t" WHERE a = ?', "\ud800"), "Unicode"),
        (lambda db: db.partiql(SELECT, "x"), "give model="),
        (lambda db: db.partiql('SELECT * FROM "other" WHERE id = ?', "x", model=Payment), "another table"),
        (lambda db: db.partiql("SELECT id FROM {table} WHERE id = ?", "x", model=Payment), "whole items"),
        (lambda db: db.partiql('SELECT * FROM {table}."by-note" WHERE note = ?', "x", model=Payment), "whole items"),
        (lambda db: db.partiql(SELECT, "x", model=Payment, limit=0), "limit"),
        (lambda db: db.partiql('DELETE FROM "t" WHERE id = ?', "x", limit=1), "for SELECT"),
        (lambda db: db.partiql("SELECT " + "x" * 9000 + ' FROM "t"'), "8192"),
        (lambda db: db.partiql_transaction([]), "1 to 100"),
        (lambda db: db.partiql_transaction(['DELETE FROM "t"'] * 101), "1 to 100"),
        (lambda db: db.partiql_transaction("DELETE"), "list of tuples"),
        (lambda db: db.partiql_transaction([()]), r"statements\[0\]: .*is a text"),
        (lambda db: db.partiql_transaction(['DELETE FROM "t"'], token="x" * 37), "36"),
        (lambda db: db.partiql_transaction([('DELETE FROM "t" WHERE a = ?',)]), r"statements\[0\]"),
        (lambda db: db.partiql_transaction(['DELETE FROM "t"', 'SELECT * FROM "t"']), "either reads or writes"),
    ],
)
def test_what_cannot_be_is_refused_before_it_is_sent(db, wire, call, word):
    with pytest.raises(ValidationError, match=word):
        call(db)
    assert wire.calls == []


def test_an_index_that_holds_everything_gives_objects(db, key):
    db.put(Payment(id=key, number=77))
    assert key in [
        one.id for one in db.partiql('SELECT * FROM {table}."by-number" WHERE number = ?', 77, model=Payment)
    ]
