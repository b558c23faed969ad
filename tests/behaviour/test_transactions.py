"""Transactions: all or nothing, the same items as single writes, and a reason for every operation that is refused."""

import pickle
from datetime import datetime

import pytest

from dynamorm import (
    Attr,
    Model,
    Outcome,
    TransactionCancelled,
    ValidationError,
    VersionConflict,
    attr,
    created_at,
    partition_key,
    sort_key,
    updated_at,
    version,
)
from dynamorm.errors import AlreadyExists, ClientError, ConditionFailed, InvalidUse, MissingItem, NotFound

from .kit import change, stored

pytestmark = pytest.mark.engine


class Account(Model, table="accounts"):
    id: Attr[str] = partition_key()
    balance: Attr[int] = attr(default=0)
    note: Attr[str | None] = attr(default=None)
    tags: Attr[set[str]] = attr(default_factory=set)
    created: Attr[datetime] = created_at()
    updated: Attr[datetime] = updated_at()
    version: Attr[int] = version()


class Entry(Model, table="entries"):
    account: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    amount: Attr[int] = attr(default=0)


class Plain(Model, table="plain", write_tokens=False):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")


MODELS = [Account, Entry, Plain]
E = Entry


def cancelled(call):
    """The error of a transaction that must be refused."""
    with pytest.raises(TransactionCancelled) as caught:
        call()
    error = caught.value
    assert (error.outcome, error.retryable, error.operation) == (Outcome.NOT_APPLIED, False, "TransactWriteItems")
    return error


def only(error):
    """The one operation that is to blame."""
    (reason,) = [one for one in error.reasons if one is not None]
    assert error.reasons[reason.position] is reason
    return reason


def test_every_verb_in_one_request(db, key, wire):
    kept = db.create(Account(id=key + "kept", balance=1))
    saved = db.create(Account(id=key + "saved"))
    gone = db.create(Account(id=key + "gone"))
    db.create(Entry(account=key, number=9, amount=9))
    saved.note = "new"
    wire.clear()
    made, replaced = Account(id=key + "made", balance=5), Entry(account=key, number=1, amount=3)
    with db.transaction() as tx:
        tx.create(made)
        tx.put(replaced)
        tx.save(saved)
        tx.update(kept, Account.balance.add(4))
        tx.update(Entry, key, 9, E.amount.add(1))
        tx.update(Entry, E.amount.set(7), account=key, number=8, upsert=True)
        tx.delete(gone)
        tx.delete(Entry, key, 77)
        tx.check(Account, key + "none", Account.id.not_exists())
        assert wire.calls == []
    assert wire.names == ["TransactWriteItems", "GetItem"]
    assert wire.last["ConsistentRead"] is True
    kinds = [next(iter(part)) for part in wire.calls[0][1]["TransactItems"]]
    assert kinds == ["Put", "Put", "Update", "Update", "Update", "Update", "Delete", "Delete", "ConditionCheck"]
    assert (kept.balance, kept.version) == (5, 1)
    assert (made.version, saved.version, saved.note) == (0, 1, "new")
    found = db.transact_get([(Account, key + "made"), (Account, key + "saved"), (Account, key + "kept")])
    assert found == [made, saved, kept]
    assert db.get(Account, key + "gone", consistent=True) is None
    entries = db.transact_get([(Entry, key, 1), (Entry, key, 8), (Entry, key, 9)])
    assert [one.amount for one in entries] == [3, 7, 10]


def test_what_is_stored_is_what_single_writes_store(db, key):
    """Versions, times and token rings included; only the tokens' bytes and the times differ."""

    def life(suffix, write):
        name = key + suffix
        one = Account(id=name, balance=1)
        write("create", one)
        one.note = "x"
        write("save", one)
        write("update", one, Account.balance.add(5))
        write("put", one)
        write("update", Account, name, Account.note.remove(), Account.tags.add({"a"}))
        assert (one.version, one.balance) == (3, 6)
        return stored(db, Account, name)

    def inside(verb, *args):
        with db.transaction() as tx:
            getattr(tx, verb)(*args)

    alone = life("alone", lambda verb, *args: getattr(db, verb)(*args))
    together = life("together", inside)
    for item in (alone, together):
        assert item.pop("id")
        item["_wt"] = len(item["_wt"]["B"])
        item["created"], item["updated"] = len(item["created"]["S"]), len(item["updated"]["S"])
    assert together == alone


def test_a_block_that_raises_sends_nothing(db, key, wire):
    one = Account(id=key)

    def work():
        with db.transaction() as tx:
            tx.create(one)
            1 / 0

    with pytest.raises(ZeroDivisionError):
        work()
    assert wire.calls == []
    db.save(one)  # it is new still
    assert wire.names == ["PutItem"]


def test_an_empty_transaction_sends_nothing(db, key, wire):
    with db.transaction():
        pass
    one = db.create(Account(id=key))
    wire.clear()
    with db.transaction() as tx:
        tx.save(one)
    assert wire.calls == []


def test_a_save_without_a_change_keeps_its_place(db, key):
    one = db.create(Account(id=key))

    def work():
        with db.transaction() as tx:
            tx.save(one)
            tx.create(Account(id=key))

    error = cancelled(work)
    assert error.reasons[0] is None
    assert only(error).position == 1


def test_objects_are_loaded_after_the_commit_and_not_before(db, key):
    one = Account(id=key)
    with db.transaction() as tx:
        tx.create(one)
        assert one.__loaded__ is None
    one.balance = 9
    db.save(one)
    assert db.get(Account, key, consistent=True).balance == 9
    with db.transaction() as tx:
        tx.delete(one)
    db.create(one)  # deleted, so it is new again


def test_objects_of_a_refused_transaction_stay_as_they_were(db, key):
    loaded, new = db.create(Account(id=key + "1")), Account(id=key + "2", balance=2)
    loaded.balance = 7
    before = loaded.__loaded__

    def work():
        with db.transaction() as tx:
            tx.save(loaded)
            tx.create(new)
            tx.check(Account, key + "nobody")

    reason = only(cancelled(work))
    assert isinstance(reason.error, MissingItem)
    assert isinstance(reason.error, NotFound)
    assert (loaded.balance, loaded.version, loaded.__loaded__) == (7, 0, before)
    assert new.__loaded__ is None
    assert db.get(Account, key + "1", consistent=True).balance == 0
    assert db.get(Account, key + "2", consistent=True) is None
    db.save(loaded)
    db.save(new)


def test_an_operation_is_built_when_its_verb_is_called(db, key):
    one = Account(id=key, balance=1)
    with db.transaction() as tx:
        tx.create(one)
        one.balance = 99
    assert one.balance == 99
    assert db.get(Account, key, consistent=True).balance == 1
    db.save(one)
    assert db.get(Account, key, consistent=True).balance == 99


def test_several_updated_objects_are_all_read_back(db, key):
    many = [db.create(Account(id=f"{key}{n}")) for n in range(7)]
    for n, one in enumerate(many):
        change(db, Account, [one.id], "SET note = :n", n={"S": f"theirs {n}"})
    with db.transaction() as tx:
        for n, one in enumerate(many):
            tx.update(one, Account.balance.add(n))
    assert [(one.balance, one.note, one.version) for one in many] == [(n, f"theirs {n}", 1) for n in range(7)]


def test_an_update_by_key_is_not_read_back(db, key, wire):
    db.create(Account(id=key))
    wire.clear()
    with db.transaction() as tx:
        tx.update(Account, key, Account.balance.add(1))
    assert wire.names == ["TransactWriteItems"]


def test_each_reason_says_which_operation_and_holds_the_verbs_own_error(db, key):
    taken = db.create(Account(id=key + "taken", balance=3))
    stale = db.get(Account, taken.id, consistent=True)
    other = db.create(Account(id=key + "other", balance=2))
    mine = db.get(Account, other.id, consistent=True)
    db.update(other, Account.balance.add(1))
    db.create(Entry(account=key, number=1, amount=5))
    mine.note = "mine"

    def work():
        with db.transaction() as tx:
            tx.create(Account(id=key + "free"))
            tx.create(Account(id=taken.id), label="open")
            tx.save(mine, label="note")
            tx.update(Account, key + "nobody", Account.balance.add(1), label="credit")
            tx.put(Entry(account=key, number=1), condition=E.amount > 5)
            tx.delete(Entry, key, 2, must_exist=True)
            tx.put(Entry(account=key, number=3))

    error = cancelled(work)
    assert [one and (one.position, one.operation, one.label, type(one.error)) for one in error.reasons] == [
        None,
        (1, "create Account", "open", AlreadyExists),
        (2, "save Account", "note", VersionConflict),
        (3, "update Account", "credit", MissingItem),
        (4, "put Entry", None, ConditionFailed),
        (5, "delete Entry", None, MissingItem),
        None,
    ]
    assert {one.code for one in error.reasons if one} == {"ConditionalCheckFailed"}
    assert error.reasons[1].item == stale
    assert error.reasons[2].item.balance == 3
    assert error.reasons[3].item is None
    assert error.reasons[4].item.amount == 5
    for one in error.reasons:
        if one is not None:
            assert f"operation {one.position} ({one.operation}" in str(error)
            assert one.error.outcome is Outcome.NOT_APPLIED
            assert (one.label or "") in str(error)
    assert key not in str(error)
    assert db.get(Account, key + "free", consistent=True) is None
    assert db.get(Entry, key, 3, consistent=True) is None


def test_the_error_travels_with_the_items(db, key):
    stored = db.create(Account(id=key, balance=5))

    def work():
        with db.transaction() as tx:
            tx.put(Entry(account=key, number=1))
            tx.create(Account(id=key), label="open")

    error = pickle.loads(pickle.dumps(cancelled(work)))
    reason = only(error)
    assert (reason.code, reason.label, reason.operation) == ("ConditionalCheckFailed", "open", "create Account")
    assert isinstance(reason.error, AlreadyExists)
    assert reason.item == reason.error.item == stored


def test_a_loaded_object_is_checked_to_be_unchanged(db, key):
    one = db.create(Account(id=key, balance=5))
    with db.transaction() as tx:
        tx.check(one)
        tx.create(Entry(account=key, number=1))
    db.update(Account, key, Account.balance.add(1))

    def unchanged():
        with db.transaction() as tx:
            tx.check(one, label="same")
            tx.create(Entry(account=key, number=2))

    reason = only(cancelled(unchanged))
    assert isinstance(reason.error, VersionConflict)
    assert (reason.operation, reason.label, reason.item.balance) == ("check Account", "same", 6)
    assert one.version == 0  # a check changes nothing, in memory either


@pytest.mark.parametrize("named", [False, True])
def test_a_condition_is_checked_with_the_version_of_an_object_and_alone_by_key(db, key, named):
    one = db.create(Account(id=key, balance=5))

    def check(subject, *args, condition):
        with db.transaction() as tx:
            if named:
                tx.check(subject, *args, condition=condition)
            else:
                tx.check(subject, *args, condition)

    check(one, condition=Account.balance >= 5)
    check(Account, key, condition=Account.balance >= 5)
    check(Account(id=key), condition=Account.balance >= 5)
    check(Account(id=key + "no"), condition=Account.id.not_exists())
    error = cancelled(lambda: check(one, condition=Account.balance > 5))
    assert type(only(error).error) is ConditionFailed
    change(db, Account, [key], "SET version = :v", v={"N": "4"})
    assert isinstance(only(cancelled(lambda: check(one, condition=Account.balance >= 5))).error, VersionConflict)
    check(Account, key, condition=Account.balance >= 5)


def test_a_condition_with_or_stays_within_its_own_parentheses(db, key):
    one = db.create(Account(id=key, balance=5))
    change(db, Account, [key], "SET version = :v", v={"N": "4"})

    def work():
        with db.transaction() as tx:
            tx.check(one, (Account.balance == 4) | (Account.balance == 5))

    cancelled(work)


def test_a_hundred_operations_are_one_transaction(db, key, wire):
    with db.transaction() as tx:
        for n in range(100):
            tx.create(Entry(account=key, number=n, amount=n))
    assert wire.names == ["TransactWriteItems"]
    found = db.transact_get([(Entry, key, n) for n in range(100)])
    assert [one.amount for one in found] == list(range(100))

    def work():
        with db.transaction() as tx:
            for n in range(100):
                tx.update(Entry, key, n, E.amount.add(1), condition=E.amount != 63, label=f"line {n}")

    reason = only(cancelled(work))
    assert (reason.position, reason.label) == (63, "line 63")


def test_the_same_item_under_another_key_or_table_is_no_duplicate(db, key):
    with db.transaction() as tx:
        tx.create(Entry(account=key, number=1))
        tx.create(Entry(account=key, number=11))
        tx.create(Entry(account=key + "1", number=1))
        tx.create(Plain(id=key))
        tx.create(Account(id=key))
    assert db.exists(Plain, key, consistent=True)


def test_a_token_of_the_callers_own_is_applied_once(db, key, wire):
    for _ in range(2):
        with db.transaction(token=key) as tx:
            tx.update(Entry, key, 1, E.amount.add(5), upsert=True)
    assert [call["ClientRequestToken"] for _, call in wire.calls] == [key, key]
    assert db.get(Entry, key, 1, consistent=True).amount == 5
    with pytest.raises(ClientError, match="belongs to another request") as caught, db.transaction(token=key) as tx:
        tx.update(Entry, key, 1, E.amount.add(6), upsert=True)
    assert (caught.value.code, caught.value.outcome) == ("IdempotentParameterMismatchException", Outcome.NOT_APPLIED)
    assert caught.value.attempts == 1
    assert db.get(Entry, key, 1, consistent=True).amount == 5


def test_every_transaction_has_a_token_of_its_own(db, key, wire):
    for _ in range(2):
        with db.transaction() as tx:
            tx.update(Entry, key, 1, E.amount.add(5), upsert=True)
    one, two = (call["ClientRequestToken"] for _, call in wire.calls)
    assert one != two
    assert len(one) == 32
    assert db.get(Entry, key, 1, consistent=True).amount == 10


def test_transfers_at_once_keep_their_sum(db, key):
    """A snapshot never shows half of a transfer."""
    names = [f"{key}{n}" for n in range(3)]
    for name in names:
        db.create(Account(id=name, balance=100))
    sums = []

    def work(worker):
        for turn in range(6):
            giver, taker = names[(worker + turn) % 3], names[(worker + turn + 1) % 3]
            if worker == 3:
                sums.append(sum(one.balance for one in db.transact_get([(Account, name) for name in names])))
                continue
            with db.transaction() as tx:
                tx.update(Account, giver, Account.balance.add(-5), condition=Account.balance >= 5)
                tx.update(Account, taker, Account.balance.add(5))

    db.concurrently(work, 4)
    assert sums == [300] * 6
    found = db.transact_get([(Account, name) for name in names])
    assert sum(one.balance for one in found) == 300
    assert sum(one.version for one in found) == 3 * 6 * 2


def test_an_update_of_a_set_that_is_stored_as_null_works_as_it_does_alone(db, key):
    one = db.create(Account(id=key))
    assert stored(db, Account, key)["tags"] == {"NULL": True}
    with db.transaction() as tx:
        tx.update(one, Account.tags.add({"a"}))
        tx.update(Entry, key, 1, E.amount.add(1), upsert=True)
    assert one.tags == {"a"}
    assert db.get(Entry, key, 1, consistent=True).amount == 1


def test_transact_get_reads_in_order_with_none_for_what_is_missing(db, key, wire):
    one, entry = db.create(Account(id=key, balance=5)), db.create(Entry(account=key, number=2))
    wire.clear()
    found = db.transact_get(
        [(Entry, key, 2), (Account, key + "no"), (Account, key), (Entry, {"account": key, "number": 2}), [Account, key]]
    )
    assert found == [entry, None, one, entry, one]
    assert wire.names == ["TransactGetItems"]
    assert len(wire.last["TransactItems"]) == 3
    found[0].amount = 77
    assert found[3].amount == 0  # asked for twice, they are two objects
    found[2].balance = 6
    db.save(found[2])
    assert db.get(Account, key, consistent=True).balance == 6


def test_transact_get_of_nothing_asks_nothing(db, wire):
    assert db.transact_get([]) == []
    assert db.transact_get(iter(())) == []
    assert wire.calls == []


def test_transact_get_of_a_hundred_with_repetitions(db, key):
    db.create(Plain(id=key, text="x"))
    found = db.transact_get([(Plain, key)] * 150 + [(Plain, f"{key}{n}") for n in range(99)])
    assert [one and one.text for one in found] == ["x"] * 150 + [None] * 99


def test_what_cannot_be_checked_or_deleted_is_refused_by_what_it_is(db, key):
    account = db.create(Account(id=key))
    for operation in ("check", "delete"):
        with pytest.raises(InvalidUse, match=r"^dict is not a model"), db.transaction() as tx:
            getattr(tx, operation)({"id": key}, key)
    takes = "takes an object, or a model and a key"
    with pytest.raises(ValidationError, match=rf"^check {takes}, and a condition$"), db.transaction() as tx:
        tx.check(account, "open", Account.balance == 0)
    with pytest.raises(ValidationError, match=rf"^delete {takes}, not both$"), db.transaction() as tx:
        tx.delete(account, key)
