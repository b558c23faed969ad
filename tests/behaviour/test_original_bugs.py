"""Bugs of the Go original, by their numbers in the list of the project, each as a test that it is not here."""

import json
from typing import ClassVar

import pytest

from dynamorm import Attr, Codec, Model, attr, partition_key
from dynamorm.effects import TransportError
from dynamorm.errors import TransactionCancelled, ValidationError
from dynamorm.testing import reply
from tests.faults.scripted import Scripted
from tests.support.faults import Store

# ------------------------------------------------- 9. transactions: 25 at most, the wrong one blamed, no token, not atomic


class Line(Model, table="lines"):
    id: Attr[str] = partition_key()
    cents: Attr[int] = attr(default=0)


def test_09_a_transaction_takes_a_hundred_blames_the_right_one_takes_a_token_and_is_atomic(face_kind):
    """The original refused the 26th, blamed another operation, chose the token itself, and had one that was not atomic."""
    store = Store({"lines": ("id",)})
    store.seed("lines", id="x57", cents=1)

    def script(request):
        status, body = store(request.operation, request.json)
        return reply(body, status)

    here = Scripted(face_kind, script)

    def post(count, token=None):
        with here.db.transaction(token=token) as tx:
            for number in range(count):
                tx.create(Line(id=f"x{number}"), label=f"line {number}")

    with pytest.raises(TransactionCancelled, match=r"operation 57 \(create Line, 'line 57'\)") as caught:
        post(100, token="caller's own")
    assert [at for at, reason in enumerate(caught.value.reasons) if reason] == [57]
    assert caught.value.reasons[57].item.cents == 1
    assert store.changes == []  # nothing of it
    store.clear()
    post(100, token="caller's own")
    assert len(store.tables["lines"]) == 100
    assert {one.operation for one in here.driver.requests} == {"TransactWriteItems"}
    assert {one.json["ClientRequestToken"] for one in here.driver.requests} == {"caller's own"}
    with pytest.raises(ValidationError, match="100"):
        post(101)
    assert len(here.driver.requests) == 2


# ----------------------------------------------------------------------------------------- 11. a batch that encoded twice


class Sealed(Model, table="sealed"):
    """Its secret is never sealed the same way twice, as with encryption."""

    turns: ClassVar[list[int]] = []

    id: Attr[str] = partition_key()
    secret: Attr[str] = attr(
        Codec(encode=lambda text: f"{Sealed.seal()}:{text[::-1]}", decode=lambda text: text.partition(":")[2][::-1])
    )

    @classmethod
    def seal(cls):
        cls.turns.append(len(cls.turns))
        return len(cls.turns)


def test_11_an_item_that_a_batch_sends_again_is_byte_for_byte_the_same(face_kind):
    """The original encrypted anew with each retry what was encrypted already."""
    store, bodies = Store({"sealed": ("id",)}), []

    def script(request):
        asked = request.json["RequestItems"]["sealed"]
        bodies.append({one["PutRequest"]["Item"]["id"]["S"]: json.dumps(one) for one in asked})
        if len(bodies) == 1:
            return TransportError("receive", "reset", sent=True)
        done, left = (asked, []) if len(bodies) > 5 else (asked[:1], asked[1:])
        store("BatchWriteItem", {"RequestItems": {"sealed": done}})
        return reply({"UnprocessedItems": {"sealed": left} if left else {}})

    Sealed.turns.clear()
    here = Scripted(face_kind, script)
    some = [Sealed(id=f"s{number}", secret=f"card {number}") for number in range(6)]
    assert here.db.batch_write(some).ok
    assert len(bodies) > 5
    assert len(Sealed.turns) == 6
    assert all(len({body[one.id] for body in bodies if one.id in body}) == 1 for one in some)
    assert here.db.inner._session.plan(Sealed).codec.decode_wire(store.item("sealed", "s5")).secret == "card 5"
