"""Versions: 0 on create, one more with every write, checked whenever they are known."""

import pytest

from dynamorm import Attr, Model, VersionConflict, attr, partition_key, version
from dynamorm.errors import ConditionFailed, MissingItem, Outcome

from .kit import change, store, stored

pytestmark = pytest.mark.engine


class Account(Model, table="accounts"):
    id: Attr[str] = partition_key()
    balance: Attr[int] = attr(default=0)
    owner: Attr[str | None] = attr(default=None)
    version: Attr[int] = version(name="v")


MODELS = [Account]


def number(db, key):
    return stored(db, Account, key)["v"]


def test_a_new_item_has_version_zero(db, key):
    account = Account(id=key)
    assert account.version == 0
    assert db.create(account).version == 0
    assert number(db, key) == {"N": "0"}


def test_every_write_raises_the_version_by_one(db, key):
    account = db.create(Account(id=key))
    account.balance = 5
    db.save(account)
    assert (account.version, number(db, key)) == (1, {"N": "1"})
    db.update(account, Account.balance.add(5))
    assert (account.version, number(db, key)) == (2, {"N": "2"})
    db.put(account)
    assert (account.version, number(db, key)) == (3, {"N": "3"})
    db.update(Account, key, Account.balance.add(5))
    assert number(db, key) == {"N": "4"}
    db.upsert(Account, key, Account.balance.add(5))
    assert number(db, key) == {"N": "5"}
    assert db.get(Account, key, consistent=True).balance == 20


def test_a_stale_save_update_and_delete_are_refused(db, key):
    db.create(Account(id=key, balance=1))
    stale = db.get(Account, key, consistent=True)
    db.update(Account, key, Account.balance.set(2))
    stale.owner = "me"
    for attempt in (
        lambda: db.save(stale),
        lambda: db.update(stale, Account.balance.add(1)),
        lambda: db.delete(stale),
    ):
        with pytest.raises(VersionConflict) as caught:
            attempt()
        assert caught.value.code == "ErrConditionFailed"
        assert caught.value.outcome is Outcome.NOT_APPLIED
        assert caught.value.item.balance == 2
        assert caught.value.item.version == 1
    assert stored(db, Account, key)["balance"] == {"N": "2"}
    assert (stale.balance, stale.owner, stale.version) == (1, "me", 0)


def test_a_put_does_not_check_the_stored_version(db, key):
    account = db.create(Account(id=key))
    db.update(Account, key, Account.balance.set(7))
    account.owner = "me"
    db.put(account)
    assert account.version == 1  # one more than known
    assert db.get(Account, key, consistent=True) == Account(id=key, balance=0, owner="me", version=1)


def test_a_put_of_a_new_object_starts_at_zero(db, key):
    db.create(Account(id=key))
    db.update(Account, key, Account.balance.set(7))
    db.put(Account(id=key))
    assert number(db, key) == {"N": "0"}


def test_an_update_by_key_only_raises_the_version(db, key):
    db.create(Account(id=key))
    change(db, Account, (key,), "SET v = :v", v={"N": "41"})
    assert db.update(Account, key, Account.balance.set(1)).version == 42


def test_an_upsert_that_creates_stores_version_zero(db, key):
    assert db.upsert(Account, key, Account.balance.set(1)).version == 0
    assert number(db, key) == {"N": "0"}
    other = f"{key}-2"
    assert db.update(Account, other, Account.balance.set(1), upsert=True).version == 0


def test_the_version_given_to_a_constructor_does_not_matter(db, key):
    db.create(Account(id=key, version=17))
    assert number(db, key) == {"N": "0"}


def test_a_version_changed_in_memory_is_not_what_is_checked(db, key):
    account = db.create(Account(id=key))
    account.version = 99
    account.balance = 1
    db.save(account)
    assert account.version == 1
    assert number(db, key) == {"N": "1"}


def test_an_item_without_a_version_can_be_taken_over_once(db, key):
    store(db, Account, {"id": {"S": key}, "balance": {"N": "1"}})
    first, second = db.get(Account, key, consistent=True), db.get(Account, key, consistent=True)
    first.balance = 2
    db.save(first)
    assert number(db, key) == {"N": "1"}
    second.balance = 3
    with pytest.raises(VersionConflict):
        db.save(second)


def _raised_by_save(db, account):
    account.balance = 9
    db.save(account)


def _raised_in_a_transaction(db, account):
    account.balance = 9
    with db.transaction() as tx:
        tx.save(account)


VERBS = {
    "save": _raised_by_save,
    "update of the object": lambda db, account: db.update(account, Account.balance.set(9)),
    "update by key": lambda db, account: db.update(Account, account.id, Account.balance.set(9)),
    "add by key": lambda db, account: db.update(Account, account.id, Account.balance.add(8)),
    "put": lambda db, account: db.put(account),
    "batch put": lambda db, account: db.batch_write(puts=[account]),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_a_missing_version_for_zero(db, key, verb):
    store(db, Account, {"id": {"S": key}, "balance": {"N": "1"}})
    account = db.get(Account, key, consistent=True)
    assert account.version == 0
    VERBS[verb](db, account)
    assert number(db, key) == {"N": "1"}


@pytest.mark.parametrize("verb", ["save", "update of the object"])
def test_an_item_without_a_version_that_another_program_took_over_is_a_conflict(db, key, verb):
    store(db, Account, {"id": {"S": key}, "balance": {"N": "1"}})
    account = db.get(Account, key, consistent=True)
    change(db, Account, (key,), "ADD v :one", one={"N": "1"})
    with pytest.raises(VersionConflict):
        VERBS[verb](db, account)


def test_save_and_update_of_an_item_that_is_gone(db, key):
    account = db.create(Account(id=key))
    db.delete(Account, key)
    account.balance = 1
    with pytest.raises(MissingItem):
        db.save(account)
    with pytest.raises(MissingItem):
        db.update(account, Account.balance.set(1))
    with pytest.raises(MissingItem):
        db.update(Account, key, Account.balance.set(1))
    assert stored(db, Account, key) is None


def test_a_failed_condition_is_told_from_a_stale_version(db, key):
    account = db.create(Account(id=key, balance=1))
    with pytest.raises(ConditionFailed) as caught:
        db.update(account, Account.balance.add(1), condition=Account.balance > 5)
    assert not isinstance(caught.value, VersionConflict)
    assert caught.value.item.balance == 1
    assert db.update(account, Account.balance.add(1), condition=Account.balance == 1).balance == 2


def test_racing_saves_lose_no_update(db, key):
    db.create(Account(id=key))

    def deposit(_):
        while True:
            account = db.get(Account, key, consistent=True)
            account.balance += 1
            try:
                return db.save(account)
            except VersionConflict:
                pass

    db.concurrently(deposit, 6)
    account = db.get(Account, key, consistent=True)
    assert (account.balance, account.version) == (6, 6)
