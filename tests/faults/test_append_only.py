"""Append-only lists whose answers are lost: an entry is appended once."""

import pytest

from dynamorm import AppendOnly, Attr, Model, attr, partition_key, version
from dynamorm.effects import TransportError
from dynamorm.testing import reply
from tests.support.faults import Store


class Entry(Model):
    """An element."""

    what: Attr[str]


class Account(Model, table="accounts"):
    """With a log."""

    id: Attr[str] = partition_key()
    log: Attr[list[Entry]] = attr(AppendOnly(), default_factory=list, name="l")
    version: Attr[int] = version()


@pytest.mark.parametrize("how", ["before", "after"])
def test_a_lost_answer_neither_doubles_nor_drops_an_entry(scripted, how):
    store = Store({"accounts": ("id",)})
    lose = []

    def script(request):
        lost = lose.pop(0) if lose else ""
        if lost == "before":
            return TransportError("receive", "reset", sent=True)
        status, body = store(request.operation, request.json)
        return TransportError("receive", "reset", sent=True) if lost else reply(body, status)

    db = scripted(script).db
    account = db.create(Account(id="x"))
    for number in range(3):
        lose += [how] * 3
        account.log.append(Entry(what=f"{number}"))
        db.save(account)
    assert [one["M"]["what"]["S"] for one in store.item("accounts", "x")["l"]["L"]] == ["0", "1", "2"]
