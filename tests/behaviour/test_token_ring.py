"""The write tokens beside an item: which writes store them, and that their ring is continuous."""

from base64 import b64decode

import pytest

from dynamorm import Attr, Model, attr, partition_key, version

from .kit import store, stored

pytestmark = pytest.mark.engine


class Versioned(Model, table="versioned"):
    id: Attr[str] = partition_key()
    number: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Silent(Model, table="silent", write_tokens=False):
    id: Attr[str] = partition_key()
    number: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Plain(Model, table="plain"):
    id: Attr[str] = partition_key()
    number: Attr[int] = attr(default=0)


MODELS = [Versioned, Silent, Plain]


def ring(db, model, key):
    data = b64decode(stored(db, model, key)["_wt"]["B"])
    return [data[at : at + 8] for at in range(0, len(data), 8)]


def test_the_ring_holds_the_last_eight_tokens_newest_first(db, key):
    versioned = db.create(Versioned(id=key))
    seen = ring(db, Versioned, key)
    assert len(seen) == 1
    for number in range(1, 12):
        if number % 2:
            versioned.number = number
            db.save(versioned)
        else:
            db.update(versioned, Versioned.number.set(number))
        now = ring(db, Versioned, key)
        assert now[1:] == seen[:7]
        assert now[0] not in seen
        seen = now
    assert len(seen) == 8
    assert len(b"".join(seen)) == 64


def test_the_ring_goes_on_for_an_object_read_anew(db, key):
    db.create(Versioned(id=key))
    before = ring(db, Versioned, key)
    fresh = db.get(Versioned, key, consistent=True)
    fresh.number = 1
    db.save(fresh)
    assert ring(db, Versioned, key)[1:] == before


def test_a_put_starts_the_ring_anew(db, key):
    versioned = db.create(Versioned(id=key))
    db.update(versioned, Versioned.number.add(1))
    old = ring(db, Versioned, key)
    db.put(versioned)
    now = ring(db, Versioned, key)
    assert not set(now) & set(old)
    assert now[-1] == bytes(8)  # a cut: nothing is known of what was before
    versioned.number = 9
    db.save(versioned)
    assert ring(db, Versioned, key)[1:] == now


def test_create_after_delete_starts_the_ring_anew(db, key):
    versioned = db.create(Versioned(id=key))
    old = ring(db, Versioned, key)
    db.delete(versioned)
    db.create(Versioned(id=key))
    now = ring(db, Versioned, key)
    assert len(now) == 1
    assert now != old


def test_tokens_are_of_no_interest_to_the_object(db, key):
    versioned = db.create(Versioned(id=key))
    assert not hasattr(versioned, "_wt")
    assert db.get(Versioned, key, consistent=True) == versioned
    assert "_wt" not in repr(versioned)


def test_a_model_without_tokens_stores_none(db, key):
    silent = db.create(Silent(id=key))
    silent.number = 1
    db.save(silent)
    db.update(silent, Silent.number.add(1))
    db.put(silent)
    db.update(Silent, key, Silent.number.add(1))
    db.upsert(Silent, key, Silent.number.add(1))
    assert set(stored(db, Silent, key)) == {"id", "number", "version"}
    assert db.get(Silent, key, consistent=True).number == 4


def test_a_model_without_tokens_is_never_sent_as_a_token_transaction(db, key, wire):
    db.create(Silent(id=key))
    db.update(Silent, key, Silent.number.add(1), condition=Silent.number == 0)
    db.delete(Silent, key, condition=Silent.number == 1)
    assert "TransactWriteItems" not in wire.names


def test_a_database_without_tokens_stores_none(open_db, engine, made, key):
    db = open_db(engine.endpoint, table_prefix=made, write_tokens=False)
    versioned = db.create(Versioned(id=key))
    db.update(versioned, Versioned.number.add(1))
    assert set(stored(db, Versioned, key)) == {"id", "number", "version"}


def test_writes_that_are_not_repeatable_are_sent_plain_on_request(open_db, engine, made, key, wire):
    db = open_db(engine.endpoint, table_prefix=made, extensions=(wire,), on_ambiguous="raise")
    db.create(Plain(id=key))
    db.update(Plain, key, Plain.number.add(1))
    db.delete(Plain, key, condition=Plain.number == 1)
    assert wire.names == ["PutItem", "UpdateItem", "DeleteItem"]


def test_versioned_updates_are_single_requests_and_others_token_transactions(db, key, wire):
    versioned = db.create(Versioned(id=key))
    db.update(versioned, Versioned.number.add(1), condition=Versioned.number == 0)
    assert wire.names == ["PutItem", "UpdateItem"]
    wire.clear()
    db.update(Versioned, key, Versioned.number.add(1))
    assert wire.names == ["TransactWriteItems", "GetItem"]
    assert len(wire.calls[0][1]["ClientRequestToken"]) <= 36


@pytest.mark.parametrize("foreign", [{"S": "theirs"}, {"B": "AAEC"}, {"NULL": True}])
def test_an_attribute_of_that_name_written_by_another_program_does_no_harm(db, key, foreign):
    store(db, Versioned, {"id": {"S": key}, "number": {"N": "1"}, "version": {"N": "3"}, "_wt": foreign})
    versioned = db.get(Versioned, key, consistent=True)
    versioned.number = 2
    db.save(versioned)
    assert len(ring(db, Versioned, key)[0]) == 8
    assert db.get(Versioned, key, consistent=True).version == 4


def put_in_batch(db, obj):
    assert db.batch_write(puts=[obj]).count == 1


def put_in_transaction(db, obj):
    with db.transaction() as tx:
        tx.put(obj)


PUTS = {
    "put": lambda db, obj: db.put(obj),
    "put that returns": lambda db, obj: db.put(obj, returning="old"),
    "put on condition": lambda db, obj: db.put(obj, condition=Plain.number.not_exists() | (Plain.number == 1)),
    "batch": put_in_batch,
    "transaction": put_in_transaction,
}


@pytest.mark.parametrize("how", PUTS)
def test_a_put_without_a_version_stores_no_token_so_the_same_put_is_the_same_item(db, wire, key, how):
    sent = []
    for _ in range(3):
        wire.clear()
        PUTS[how](db, Plain(id=key, number=1))
        body = wire.last
        body.pop("ClientRequestToken", None)
        sent.append(body)
        assert stored(db, Plain, key) == {"id": {"S": key}, "number": {"N": "1"}}
    assert sent[0] == sent[1] == sent[2]
    again = db.get(Plain, key, consistent=True)
    PUTS[how](db, again)
    assert stored(db, Plain, key) == {"id": {"S": key}, "number": {"N": "1"}}


def test_a_create_without_a_version_stores_its_token_and_a_put_takes_it_away(db, key):
    plain = db.create(Plain(id=key, number=1))
    assert len(ring(db, Plain, key)) == 1
    plain.number = 2
    db.save(plain)
    assert len(ring(db, Plain, key)) == 1
    db.put(plain)
    assert "_wt" not in stored(db, Plain, key)
    plain.number = 3
    db.save(plain)
    db.delete(plain)


@pytest.mark.parametrize("how", ["put", "batch", "transaction"])
def test_a_put_with_a_version_still_stores_its_token(db, key, how):
    PUTS[how](db, Versioned(id=key))
    assert len(ring(db, Versioned, key)) == 2
