"""Counters whose answers are lost: applied once, and the number is known."""

import pytest

from dynamorm import Attr, Model, Outcome, OutcomeUnknown, attr, partition_key, sort_key, version
from dynamorm.effects import TransportError
from dynamorm.errors import TransactionConflict
from dynamorm.testing import failure, reply
from tests.support.faults import Store


class Stock(Model, table="stock"):
    """Without a version: counted by key."""

    sku: Attr[str] = partition_key()
    left: Attr[int] = attr(default=0)


class Account(Model, table="accounts"):
    """Counted under its version."""

    id: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    balance: Attr[int] = attr(default=0)
    version: Attr[int] = version()


@pytest.mark.parametrize("how", ["before", "after"])
def test_a_lost_answer_neither_doubles_nor_drops_an_increment(scripted, how):
    store = Store({"stock": ("sku",), "accounts": ("id", "number")})
    store.seed("stock", sku="x", left=5)
    lose = []

    def script(request):
        lost = lose.pop(0) if lose and request.operation != "GetItem" else ""
        if lost == "before":
            return TransportError("receive", "reset", sent=True)
        status, body = store(request.operation, request.json)
        return TransportError("receive", "reset", sent=True) if lost else reply(body, status)

    db = scripted(script).db
    lose += [how] * 3
    assert db.increment(Stock, "x", Stock.left) == 6
    assert store.item("stock", "x")["left"] == {"N": "6"}
    account = db.create(Account(id="a", number=1, balance=1))
    lose += [how] * 3
    assert db.increment(account, Account.balance, by=2) == 3
    assert store.item("accounts", "a", 1)["balance"] == {"N": "3"}
    lose += [how] * 1000
    with pytest.raises(OutcomeUnknown) as caught:
        db.increment(Stock, "x", Stock.left)
    lose.clear()
    assert caught.value.resolve(5) is Outcome.APPLIED
    assert store.item("stock", "x")["left"] == {"N": "7"}


def test_others_who_keep_the_item_busy_are_outlasted_for_a_while(scripted):
    """A conflict changes nothing, so the number is read again."""
    busy = failure("TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}])
    store = Store({"stock": ("sku",)})
    store.seed("stock", sku="x", left=5)
    refusals = [busy] * 10

    def script(request):
        if request.operation == "TransactWriteItems" and refusals:
            return refusals.pop()
        status, body = store(request.operation, request.json)
        return reply(body, status)

    assert scripted(script).db.increment(Stock, "x", Stock.left) == 6
    refusals += [busy] * 1000
    here = scripted(script)
    with pytest.raises(TransactionConflict) as caught:
        here.db.increment(Stock, "x", Stock.left)
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert here.elapsed < 17
    assert store.item("stock", "x")["left"] == {"N": "6"}
