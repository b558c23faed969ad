"""Transactions that cannot be: one typed error, before anything is sent."""

import pytest

from dynamorm import Attr, Model, attr, partition_key, sort_key, version
from dynamorm.errors import DynamORMError, ValidationError

from .conftest import SECRET


class Account(Model, table="accounts"):
    id: Attr[str] = partition_key()
    note: Attr[str] = attr(default="")
    balance: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Entry(Model, table="entries"):
    account: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    data: Attr[bytes] = attr(default=b"")


class Box(Model, table="accounts"):
    """Shares the table."""

    id: Attr[str] = partition_key()


A = Account


def block(db, *steps, **options):
    """A transaction of these steps."""

    def run():
        with db.transaction(**options) as tx:
            for step in steps:
                step(tx)

    return run


@pytest.mark.parametrize("count", [101, 250])
def test_more_than_a_hundred_operations_are_refused_and_never_split(db, refused, count):
    steps = [lambda tx, n=n: tx.create(Entry(account=SECRET, number=n)) for n in range(count)]
    refused(ValidationError, block(db, *steps), "100", str(count), "batch_write", "several transactions")


SAME = {
    "create and update": [lambda tx: tx.create(A(id=SECRET)), lambda tx: tx.update(A, SECRET, A.balance.add(1))],
    "two updates": [
        lambda tx: tx.update(A, SECRET, A.balance.add(1)),
        lambda tx: tx.update(A, SECRET, A.note.remove()),
    ],
    "put and delete": [lambda tx: tx.put(A(id=SECRET)), lambda tx: tx.delete(A, id=SECRET)],
    "delete and put": [lambda tx: tx.delete(A(id=SECRET)), lambda tx: tx.put(A(id=SECRET))],
    "check and put": [lambda tx: tx.check(A, SECRET), lambda tx: tx.put(A(id=SECRET))],
    "two checks": [lambda tx: tx.check(A, SECRET), lambda tx: tx.check(A, SECRET, A.balance > 0)],
    "two models of one table": [lambda tx: tx.put(A(id=SECRET)), lambda tx: tx.put(Box(id=SECRET))],
}


@pytest.mark.parametrize("steps", SAME.values(), ids=list(SAME))
def test_two_operations_on_one_item_are_refused_with_both_their_places(db, refused, steps):
    other = [lambda tx: tx.put(Entry(account=SECRET, number=1))]
    error = refused(
        ValidationError,
        block(db, *steps[:1], *other, *steps[1:]),
        "operation 0 (",
        "operation 2 (",
        "one item",
        "accounts",
    )
    fix = "the condition of the check" if "check Account" in str(error) else "make one operation"
    assert fix in str(error)


def test_two_operations_on_one_item_are_called_by_their_labels(db, refused):
    steps = [
        lambda tx: tx.create(A(id=SECRET), label="open it"),
        lambda tx: tx.update(A, SECRET, A.balance.add(1), label="fill it"),
    ]
    refused(ValidationError, block(db, *steps), "'open it'", "'fill it'", "create Account", "update Account")


def test_equal_numbers_are_one_key_however_they_are_written(db, refused):
    steps = [lambda tx: tx.put(Entry(account="a", number=10)), lambda tx: tx.delete(Entry, "a", 10)]
    refused(ValidationError, block(db, *steps), "one item")


def test_more_than_four_megabytes_are_refused(db, refused):
    data = b"x" * 390_000
    steps = [lambda tx, n=n: tx.create(Entry(account=SECRET, number=n, data=data)) for n in range(11)]
    refused(ValidationError, block(db, *steps), "4194304", "bytes")


def test_bytes_are_counted_as_dynamodb_does_and_not_as_json(db, server):
    """Base64 is a third longer: ten items of 390 KB are 3.9 MB, and sent."""
    data = b"x" * 390_000
    server.clear()
    block(db, *[lambda tx, n=n: tx.put(Entry(account=SECRET, number=n, data=data)) for n in range(10)])()
    assert len(server.requests) == 1


@pytest.mark.parametrize("token", ["", "x" * 37, 5, b"abc", "ä", "a\n"], ids=repr)
def test_a_token_that_dynamodb_does_not_take_is_refused_at_once(db, refused, token):
    refused(ValidationError, lambda: db.transaction(token=token), "token", "36")


@pytest.mark.parametrize("label", [5, b"x", ("a",)], ids=repr)
def test_a_label_is_a_text(db, refused, label):
    refused(ValidationError, block(db, lambda tx: tx.create(A(id="x"), label=label)), "label")


def test_a_transaction_is_of_no_use_outside_its_block(db, refused):
    tx = db.transaction()
    refused(ValidationError, lambda: tx.create(A(id=SECRET)), "not begun", "with db.transaction()")
    with tx as inside:
        pass
    for call in (
        lambda: inside.create(A(id=SECRET)),
        lambda: inside.put(A(id=SECRET)),
        lambda: inside.save(A(id=SECRET)),
        lambda: inside.update(A, SECRET, A.balance.add(1)),
        lambda: inside.delete(A, SECRET),
        lambda: inside.check(A, SECRET),
    ):
        refused(ValidationError, call, "has ended")

    def again():
        with tx:
            pass

    refused(ValidationError, again, "one block")


def test_a_block_that_failed_is_over_too(db, refused):
    tx = db.transaction()

    def work():
        with tx as inside:
            inside.create(A(id="x"))
            1 / 0

    refused(ZeroDivisionError, work)
    refused(ValidationError, lambda: tx.create(A(id=SECRET)), "has ended")


CHECKS = {
    "of a new object": (lambda tx: tx.check(A(id=SECRET)), ("not loaded", "condition")),
    "of a model without a version": (lambda tx: tx.check(Box(id=SECRET)), ("Box", "no version", "condition")),
    "with two conditions": (lambda tx: tx.check(A, SECRET, A.balance > 1, condition=A.balance > 2), ("&",)),
    "with too short a key": (lambda tx: tx.check(Entry, SECRET), ("account", "number")),
    "with an object and a key": (lambda tx: tx.check(A(id=SECRET), SECRET, A.balance > 1), ("object", "model")),
    "with another model's condition": (lambda tx: tx.check(A, SECRET, Entry.number > 1), ("Entry",)),
    "with what is no condition": (lambda tx: tx.check(A, SECRET, condition=SECRET), ("condition",)),
    "with an update": (lambda tx: tx.check(A, A.balance.add(1)), ("",)),
}  # fmt: skip


@pytest.mark.parametrize(("step", "words"), CHECKS.values(), ids=list(CHECKS))
def test_a_check_that_cannot_be_is_refused(db, refused, step, words):
    refused(ValidationError, block(db, step), *words)


VERBS = {
    "create of a class": lambda tx: tx.create(A),
    "create of no model": lambda tx: tx.create({"id": SECRET}),
    "put of a value that does not fit": lambda tx: tx.put(A(id=SECRET, balance=SECRET)),
    "put with another model's condition": lambda tx: tx.put(A(id=SECRET), condition=Entry.number > 1),
    "save of no model": lambda tx: tx.save(SECRET),
    "update of nothing": lambda tx: tx.update(A, SECRET),
    "update of a key": lambda tx: tx.update(A, SECRET, A.id.set("x")),
    "update of the version": lambda tx: tx.update(A, SECRET, A.version.set(5)),
    "delete without a key": lambda tx: tx.delete(A),
    "delete with a wrong part": lambda tx: tx.delete(A, nope=SECRET),
}


@pytest.mark.parametrize("step", VERBS.values(), ids=list(VERBS))
def test_a_verb_is_refused_as_it_is_alone(db, refused, step):
    refused((DynamORMError, TypeError), block(db, lambda tx: tx.create(Entry(account="a", number=1)), step))


def test_a_refused_operation_leaves_the_others_to_the_caller(db, server):
    """Whoever catches the error inside the block goes on without that operation."""
    server.clear()
    with db.transaction() as tx:
        tx.put(Box(id="a"))
        with pytest.raises(ValidationError):
            tx.update(A, SECRET)
    assert len(server.requests[0].json["TransactItems"]) == 1


SNAPSHOTS = {
    "a model": (Account, ("list",)),
    "a text": ("accounts", ("list",)),
    "a number": (5, ("list",)),
    "a model in the list": ([Account], ("request 0", "(Model, key...)")),
    "an object": ([(Account, "a"), (Account(id=SECRET),)], ("request 1",)),
    "no key": ([(Account,)], ("id",)),
    "half a key": ([(Entry, SECRET)], ("account", "number")),
    "a wrong part": ([(Entry, {"account": SECRET, "n": 1})], ("number",)),
    "a key of another type": ([(Entry, SECRET, SECRET)], ("number",)),
    "no model": ([(dict, SECRET)], ("dict",)),
    "an empty request": ([()], ("request 0",)),
    "101 items": ([(Entry, SECRET, n) for n in range(101)], ("100", "101", "batch_get")),
}


@pytest.mark.parametrize(("requests", "words"), SNAPSHOTS.values(), ids=list(SNAPSHOTS))
def test_a_snapshot_that_cannot_be_is_refused(db, refused, requests, words):
    refused((DynamORMError, TypeError), lambda: db.transact_get(requests), *words)
