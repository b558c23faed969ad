"""batch_write: any number of puts and deletes of any models, every item accounted for."""

from datetime import datetime

import pytest

from dynamorm import Attr, BatchResult, Model, attr, created_at, partition_key, sort_key, updated_at, version

from .kit import ask, store, stored, table_of

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int]
    note: Attr[str | None] = attr(default=None)
    made: Attr[datetime] = created_at()
    changed: Attr[datetime] = updated_at()
    version: Attr[int] = version()


class Order(Model, table="orders"):
    customer: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    total: Attr[int] = attr(default=0)


MODELS = [Payment, Order]


def requests(wire):
    """(table, how many) of each request."""
    return [{table: len(some) for table, some in body["RequestItems"].items()} for _, body in wire.calls]


def test_any_number_is_written_in_requests_of_25(db, wire, key):
    some = [Payment(id=f"{key}-{number:03d}", amount=number) for number in range(60)]
    result = db.batch_write(puts=some)
    assert isinstance(result, BatchResult)
    assert (result.written, result.failed, result.unknown, result.count) == (some, [], [], 60)
    assert result.ok
    assert result
    assert sorted(sum(one.values()) for one in requests(wire)) == [10, 25, 25]
    found = db.batch_get(Payment, [one.id for one in some])
    assert [one.amount for one in found] == list(range(60))


def test_a_batch_stores_what_put_stores(db, key):
    one, other = (Payment(id=f"{key}-{name}", amount=5, note="x") for name in ("put", "batch"))
    db.put(one)
    db.batch_write([other])
    left, right = (stored(db, Payment, f"{key}-{name}") for name in ("put", "batch"))
    assert left.keys() == right.keys()
    assert {name: right[name] for name in ("amount", "note", "version")} == {
        name: left[name] for name in ("amount", "note", "version")
    }
    assert len(right["_wt"]["B"]) == len(left["_wt"]["B"])
    assert other.version == 0
    assert other.made == other.changed == db.get(Payment, other.id).made


@pytest.mark.parametrize("read", [list, iter])
def test_each_item_has_a_token_of_its_own_and_all_of_a_list_one_time(db, key, read):
    some = [Payment(id=f"{key}-{number:03d}", amount=number) for number in range(60)]
    assert db.batch_write(puts=read(some)).count == 60
    rings = {stored(db, Payment, one.id)["_wt"]["B"] for one in some}
    assert len(rings) == 60
    if read is list:
        assert len({one.made for one in some}) == 1


def test_attributes_that_the_model_does_not_know_are_kept(db, key):
    one = db.create(Payment(id=f"{key}-kept", amount=5))
    store(db, Payment, {**stored(db, Payment, one.id), "other": {"S": "kept"}})
    found = db.get(Payment, one.id)
    db.batch_write([found, Payment(id=f"{key}-new", amount=1)])
    assert stored(db, Payment, one.id)["other"] == {"S": "kept"}
    assert (found.version, found.made) == (1, one.made)


def test_what_was_written_is_loaded_and_goes_on_under_its_version(db, key):
    one = Payment(id=key, amount=5)
    db.batch_write([one])
    one.amount = 6
    db.save(one)
    assert (one.version, db.get(Payment, key).amount) == (1, 6)
    one.amount = 7
    db.batch_write([one])
    assert (one.version, db.get(Payment, key).version) == (2, 2)


def test_models_and_deletes_are_mixed(db, wire, key):
    db.batch_write([Order(customer=key, number=number) for number in range(4)])
    gone = db.get(Order, key, 0)
    wire.clear()
    fresh = Payment(id=key, amount=1)
    deletes = [gone, (Order, key, 1), (Order, {"customer": key, "number": 2}), (Payment, f"{key}-not-there")]
    result = db.batch_write([fresh], deletes)
    assert result.written == [fresh, *deletes]
    assert len(wire.calls) == 1
    assert [one.number for one in db.model(Order).where(Order.customer == key)] == [3]
    db.create(gone)  # it counts as new again


def test_of_two_objects_with_one_key_the_last_wins_and_both_count_as_written(db, wire, key):
    first, other, last = Payment(id=key, amount=1), Payment(id=f"{key}-o", amount=2), Payment(id=key, amount=3)
    result = db.batch_write([first, other, last, last])
    assert result.written == [first, other, last, last]
    assert requests(wire) == [{table_of(db, Payment): 2}]
    assert db.get(Payment, key).amount == 3
    last.amount = 4
    db.save(last)
    assert last.version == 1


def test_deleting_one_item_twice_is_one_delete(db, wire, key):
    one = Payment(id=key, amount=1)
    db.create(one)
    wire.clear()
    result = db.batch_write(deletes=[(Payment, key), one])
    assert result.count == 2
    assert requests(wire) == [{table_of(db, Payment): 1}]
    assert db.get(Payment, key) is None


def test_large_items_are_packed_by_bytes(db, wire, key):
    some = [Payment(id=f"{key}-{number}", amount=number, note="x" * 400_000) for number in range(12)]
    assert db.batch_write(some).ok
    assert sorted(sum(one.values()) for one in requests(wire)) == [2, 5, 5]
    assert all(one is not None for one in db.batch_get(Payment, [one.id for one in some]))


def test_an_iterator_is_read_as_items_are_written(db, key):
    taken, done, seen = [], [], []

    def endless():
        for number in range(2_000):
            taken.append(number)
            yield Order(customer=key, number=number)

    def progress(count):
        done.append(count)
        seen.append(len(taken))

    result = db.batch_write(endless(), keep=False, concurrency=2, progress=progress)
    assert (result.count, result.written, result.ok) == (2_000, [], True)
    assert done == [500, 1000, 1500, 2000]
    assert seen == done  # nothing was read ahead of the requests
    request = {
        "TableName": table_of(db, Order),
        "KeyConditionExpression": "customer = :c",
        "ExpressionAttributeValues": {":c": {"S": key}},
        "Select": "COUNT",
    }
    assert ask(db, "Query", request)["Count"] == 2_000


def test_in_an_iterator_the_last_of_two_objects_wins_however_far_apart(db, key):
    def twice():
        for number in range(600):
            yield Order(customer=key, number=number % 550, total=number)

    assert db.batch_write(twice(), concurrency=1).count == 600
    assert [db.get(Order, key, number).total for number in (0, 49, 50)] == [550, 599, 50]


def test_an_iterators_bad_object_fails_alone(db, key):
    bad = Order(customer="", number=1)

    def some():
        yield Order(customer=key, number=1)
        yield bad
        yield "no model"
        yield Order(customer=key, number=3)
        yield Order(customer=key, number=2)

    result = db.batch_write(some(), [(Order, key, 3)])
    assert [getattr(one, "number", None) for one in result.written] == [None, 1, 2]
    assert [failure.item for failure in result.failed][:2] == [bad, "no model"]
    assert [failure.error.message.partition(":")[0] for failure in result.failed] == ["puts[1]", "puts[2]", "puts[3]"]
    assert not result


def test_an_iterator_that_raises_says_how_far_it_came(db, key):
    def broken():
        for number in range(300):
            yield Order(customer=key, number=number)
        raise LookupError("the file ends here")

    with pytest.raises(LookupError) as caught:
        db.batch_write(broken(), concurrency=1)
    assert "250 items" in caught.value.__notes__[0]
    assert db.get(Order, key, 249) is not None
    assert db.get(Order, key, 250) is None


def test_nothing_to_write_sends_nothing(db, wire):
    result = db.batch_write()
    assert (result.count, result.ok) == (0, True)
    assert wire.calls == []


def test_a_table_that_is_missing_fails_its_own_items_only(db, key):
    class Ghost(Model, table="ghosts"):
        id: Attr[str] = partition_key()

    ghosts = [Ghost(id=f"{key}-{number}") for number in range(3)]
    payments = [Payment(id=f"{key}-{number}", amount=1) for number in range(3)]
    result = db.batch_write([ghosts[0], payments[0], ghosts[1], payments[1], payments[2], ghosts[2]])
    assert result.written == payments
    assert [failure.item for failure in result.failed] == ghosts
    assert {type(failure.error).__name__ for failure in result.failed} == {"TableNotFound"}


def test_an_item_the_service_refuses_is_found_and_fails_alone(db, key):
    class Wrong(Model, table="payments"):
        id: Attr[int] = partition_key()  # the table's key is text

    poison = Wrong(id=5)
    some = [Payment(id=f"{key}-{number:02d}", amount=number) for number in range(24)]
    result = db.batch_write([*some[:7], poison, *some[7:]])
    assert result.written == some
    ((item, error),) = ((failure.item, failure.error) for failure in result.failed)
    assert item is poison
    assert error.code == "ErrValidation"
    assert all(db.batch_get(Payment, [one.id for one in some]))
