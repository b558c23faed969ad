"""The consumer of a stream: order, positions, leases, and what goes wrong on the way."""

import contextlib
import logging
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from dynamorm import Attr, Model, attr, errors, partition_key
from dynamorm.testing import failure, reply

from .service import Checkpoint, Order


def amounts(stream):
    return [record.new.amount for record in stream]


def read(db, **options):
    """Everything there is now."""
    with db.stream(Order, **{"idle_timeout": 0, **options}) as stream:
        return amounts(stream)


def fail_at(stream, amount):
    """Work off records until one of them fails."""
    seen = []
    with contextlib.suppress(ZeroDivisionError), stream:
        for record in stream:
            seen.append(record.new.amount)
            if record.new.amount == amount:
                raise ZeroDivisionError
    return seen


# ------------------------------------------------------------------------------------------------------------- order


def test_records_of_a_shard_come_in_order_over_several_pages(db, service):
    service.shard("s1", None, *range(7))
    assert read(db, page_size=3) == list(range(7))
    assert [body["Limit"] for body in service.asked("GetRecords")] == [3] * 4


def test_one_page_is_held_at_a_time(db, service):
    service.shard("s1", None, *range(6))
    for record in db.stream(Order, page_size=2, idle_timeout=0):
        assert len(service.asked("GetRecords")) == record.new.amount // 2 + 1


def test_children_come_after_their_parent(db, service):
    service.shard("b", "a", 3, 4)
    service.shard("c", "a", 5)
    service.shard("d", "b", 6)
    service.shard("a", "gone", 1, 2)
    service.end("a")
    service.end("b")
    found = read(db, page_size=1)
    assert found[:2] == [1, 2]
    assert sorted(found) == [1, 2, 3, 4, 5, 6]
    assert found.index(6) > found.index(4)


def test_shards_that_open_while_reading_are_found_when_their_parent_ends(db, service):
    service.shard("a", None, 1)
    found = []
    for record in db.stream(Order, idle_timeout=3):
        found.append(record.new.amount)
        if record.new.amount == 1:
            service.end("a")
            service.shard("b", "a", 2)
            service.shard("c", "a", 3)
    assert sorted(found) == [1, 2, 3]


def test_all_shards_are_found_page_by_page(db, service):
    service.most = 2
    for number in range(5):
        service.shard(f"s{number}", None, number)
    assert sorted(read(db)) == [0, 1, 2, 3, 4]
    assert service.names("DescribeStream") == ["DescribeStream"] * 3


def test_a_busy_shard_does_not_starve_another(db, service):
    service.shard("a", None, *range(100))
    service.shard("b", None, 1000)
    assert 1000 in read(db, page_size=10)[:21]


# ------------------------------------------------------------------------------------------------------------- endings


def test_reading_ends_when_the_stream_was_disabled_and_is_read_to_its_end(db, service):
    service.shard("a", None, 1, 2)
    service.end("a")
    service.status = "DISABLED"
    assert read(db, idle_timeout=None, checkpoint=Checkpoint) == [1, 2]


def test_stop_ends_the_loop_behind_the_record_and_counts_it(db, service):
    service.shard("a", None, 1, 2, 3)
    stream = db.stream(Order, checkpoint=Checkpoint)
    found = []
    for record in stream:
        found.append(record.new.amount)
        if record.new.amount == 2:
            stream.stop()
    assert found == [1, 2]
    assert read(db, checkpoint=Checkpoint) == [3]


def test_idle_timeout_counts_from_the_last_record(scripted, service):
    worker = scripted()
    service.shard("a", None, 1)
    found = []
    for record in worker.db.stream(Order, idle_timeout=10, poll_interval=4):
        found.append(record.new.amount)
        worker.clock.advance(60)
    assert found == [1]
    assert worker.driver.sleeps == [4, 4, 2]


def test_an_open_shard_is_polled_with_a_pause_and_a_closed_one_without(scripted, service):
    worker = scripted()
    service.shard("a", None, 1)
    service.end("a")
    service.shard("b", "a", 2)
    empty = [lambda *_, n=n: reply({"Records": [], "NextShardIterator": f"x{n}"}) for n in range(3)]
    service.faults = [None, None, *empty[:2]]
    service._iterators.update({f"x{n}": ("a", 0, 1e9) for n in range(3)})
    assert read(worker.db, idle_timeout=1, poll_interval=1) == [1, 2]
    assert worker.driver.sleeps == [1]


def test_a_reader_goes_on_where_it_stopped_without_a_checkpoint_too(db, service):
    service.shard("a", None, 1, 2, 3)
    stream = db.stream(Order, idle_timeout=0)
    assert fail_at(stream, 2) == [1, 2]
    assert amounts(stream) == [2, 3]


# ----------------------------------------------------------------------------------------------------- at least once


@pytest.mark.parametrize("save_every", [1, 2, 100])
def test_a_record_whose_work_failed_comes_again_and_none_is_left_out(db, service, save_every):
    service.shard("a", None, *range(10))
    options = {"checkpoint": Checkpoint, "page_size": 4, "save_every": save_every, "idle_timeout": 0}
    assert fail_at(db.stream(Order, **options), 5) == list(range(6))
    assert read(db, **options) == [5, 6, 7, 8, 9]
    assert read(db, **options) == []


def test_without_closing_what_was_remembered_last_is_where_it_goes_on(db, service):
    service.shard("a", None, *range(10))
    crashed = iter(db.stream(Order, checkpoint=Checkpoint, worker="w", save_every=3, page_size=100))
    assert [next(crashed).new.amount for _ in range(6)] == list(range(6))
    # 0, 1 and 2 were remembered; 3 and 4 were worked off since, and 5 was not.
    assert read(db, checkpoint=Checkpoint, worker="w") == [3, 4, 5, 6, 7, 8, 9]


def test_a_page_that_was_worked_off_is_remembered(db, service):
    service.shard("a", None, *range(6))
    crashed = iter(db.stream(Order, checkpoint=Checkpoint, worker="w", page_size=2))
    assert [next(crashed).new.amount for _ in range(4)] == [0, 1, 2, 3]
    assert read(db, checkpoint=Checkpoint, worker="w") == [2, 3, 4, 5]


@pytest.mark.parametrize("checkpoint", [None, Checkpoint])
def test_a_loop_begun_anew_over_the_same_reader_has_the_failed_record_again(db, service, checkpoint):
    service.shard("a", None, 1, 2, 3)
    stream = db.stream(Order, checkpoint=checkpoint, idle_timeout=0)
    for record in stream:
        if record.new.amount == 2:
            break
    assert amounts(stream) == [2, 3]


def test_commit_counts_the_record_at_hand(db, service):
    service.shard("a", None, 1, 2, 3)
    with db.stream(Order, checkpoint=Checkpoint) as stream:
        for record in stream:
            if record.new.amount == 2:
                stream.commit()
                break
    assert read(db, checkpoint=Checkpoint) == [3]


def test_run_gives_every_record_to_the_handler_and_leaves_the_failed_one(db, service):
    service.shard("a", None, 1, 2, 3)
    seen = []

    def handle(record):
        seen.append(record.new.amount)
        if len(seen) == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        db.stream(Order, checkpoint=Checkpoint, idle_timeout=0).run(handle)
    assert db.stream(Order, checkpoint=Checkpoint, idle_timeout=0).run(handle) == 2
    assert seen == [1, 2, 2, 3]


def test_the_handler_of_the_asyncio_face_may_be_a_coroutine_function(db, service, face_kind):
    service.shard("a", None, 1, 2)
    seen = []

    async def handle(record):
        seen.append(record.new.amount)

    if face_kind == "asyncio":
        assert db.stream(Order, idle_timeout=0).run(handle) == 2
        assert seen == [1, 2]
    else:
        with pytest.raises(TypeError, match="AsyncDB"):
            db.stream(Order, idle_timeout=0).run(handle)
        assert seen == []


def test_a_parent_that_is_not_worked_off_keeps_its_children_back(db, service):
    service.shard("a", None, 1, 2)
    service.end("a")
    service.shard("b", "a", 3)
    assert fail_at(db.stream(Order, checkpoint=Checkpoint), 2) == [1, 2]
    assert read(db, checkpoint=Checkpoint) == [2, 3]


def test_an_item_that_does_not_fit_can_be_passed_over(db, service):
    service.shard("a", None, 1, 2)
    service.shards["a"].records[0]["dynamodb"]["NewImage"]["amount"] = {"S": "many"}
    found = []
    for record in db.stream(Order, idle_timeout=0):
        try:
            found.append(record.new.amount)
        except errors.ValidationError as error:
            found.append((record.keys, error.field))
    assert found == [(("o1",), "amount"), 2]


class Party(Model, table="orders", discriminator="kind"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)


class Customer(Party, tag="customer"):
    pass


class Visitor(Party, tag="visitor"):
    pass


def tagged(service, *kinds):
    """A shard with an insert of each kind, numbered from 1."""
    service.shard("a", None, *range(1, len(kinds) + 1))
    for record, kind in zip(service.shards["a"].records, kinds, strict=True):
        record["dynamodb"]["NewImage"]["kind"] = {"S": kind}


def test_the_stream_of_one_class_passes_over_its_siblings(db, service):
    tagged(service, "visitor", "customer", "visitor", "visitor", "customer", "visitor")
    options = {"checkpoint": Checkpoint, "idle_timeout": 0}
    assert [record.new.amount for record in db.stream(Customer, **options)] == [2, 5]
    assert service.position("a")["position"]["S"] == f"{6:021d}"
    assert list(db.stream(Customer, **options)) == []
    assert [type(record.new) for record in db.stream(Party, idle_timeout=0)][:2] == [Visitor, Customer]


def test_a_kind_that_is_not_known_is_told_by_its_record(db, service):
    tagged(service, "customer", "invented", "visitor", "customer")
    for model, right in ((Customer, [1, ("o2",), 4]), (Party, [1, ("o2",), 3, 4])):
        found = []
        for record in db.stream(model, idle_timeout=0):
            try:
                found.append(record.new.amount)
            except errors.ValidationError:
                found.append(record.keys)
        assert found == right


def test_kinds_that_are_not_known_are_skipped_where_that_is_asked_for(db, service):
    tagged(service, "invented", "customer", "invented", "visitor", "invented")
    options = {"checkpoint": Checkpoint, "idle_timeout": 0, "on_unknown": "skip"}
    assert [record.new.amount for record in db.stream(Party, **options)] == [2, 4]
    assert [record.new.amount for record in db.stream(Customer, idle_timeout=0, on_unknown="skip")] == [2]
    assert service.position("a")["position"]["S"] == f"{5:021d}"


# ------------------------------------------------------------------------------------------------------------- start


def test_latest_leaves_out_what_was_there(db, service):
    service.shard("old", None, 1)
    service.end("old")
    service.shard("a", "old", 2)
    stream = db.stream(Order, start="latest", idle_timeout=2)
    assert amounts(stream) == []
    service.put("a", 3)
    assert amounts(stream) == [3]
    assert [body["ShardIteratorType"] for body in service.asked("GetShardIterator")] == ["LATEST"]


def test_latest_loses_nothing_between_two_runs_though_the_first_saw_no_record(scripted, service):
    worker = scripted()
    worker.clock.advance(86_400)
    service.shard("old", None)
    service.put("old", 1, created=1_700_000_000)
    service.end("old")
    service.shard("a", "old")
    service.put("a", 2, created=1_700_000_000)
    options = {"start": "latest", "checkpoint": Checkpoint}
    assert read(worker.db, **options) == []
    service.put("a", 3)
    service.end("a")
    service.shard("b", "a", 4)
    assert read(worker.db, **options) == [3, 4]


def test_an_expired_iterator_on_the_latest_record_loses_nothing(scripted, service):
    worker = scripted()
    service.shard("a", None)
    stream = worker.db.stream(Order, start="latest", idle_timeout=0)
    assert amounts(stream) == []
    service.put("a", 1)
    worker.clock.advance(1000)
    assert amounts(stream) == [1]


def test_a_moment_to_start_from_is_taken_to_the_minute(db, service):
    service.shard("a", None)
    for minute in range(3):
        service.put("a", minute, created=1_700_000_040 + 60 * minute)
    start = datetime.fromtimestamp(1_700_000_040 + 75, UTC)
    assert read(db, start=start, checkpoint=Checkpoint) == [1, 2]
    assert read(db, start=start, checkpoint=Checkpoint) == []


def test_a_stream_may_be_named(db, service):
    service.shard("a", None, 1)
    assert read(db, arn=service.arn) == [1]
    assert service.asked("DescribeTable") == []


# ----------------------------------------------------------------------------------------------------------- workers


def test_a_second_worker_reads_nothing_of_a_leased_shard_until_the_lease_is_over(scripted, service):
    one, two = scripted(), scripted()
    service.shard("a", None, *range(4))
    first = iter(one.db.stream(Order, checkpoint=Checkpoint, lease=60, save_every=1))
    assert [next(first).new.amount for _ in range(3)] == [0, 1, 2]
    assert read(two.db, checkpoint=Checkpoint, idle_timeout=10) == []
    one.clock.advance(61)
    assert read(two.db, checkpoint=Checkpoint) == [2, 3]


def test_a_worker_that_lost_its_lease_drops_what_it_holds(scripted, service):
    one, two = scripted(), scripted()
    service.shard("a", None, *range(6))
    first = iter(one.db.stream(Order, checkpoint=Checkpoint, lease=60, idle_timeout=0))
    assert [next(first).new.amount for _ in range(2)] == [0, 1]
    one.clock.advance(61)  # a long pause
    second = iter(two.db.stream(Order, checkpoint=Checkpoint, lease=60, save_every=1))
    assert [next(second).new.amount for _ in range(4)] == [0, 1, 2, 3]
    assert list(first) == []
    assert next(second).new.amount == 4


def test_what_was_held_of_a_lost_shard_is_not_mixed_into_another(scripted, service):
    one, two = scripted(), scripted()
    service.shard("a", None, 0, 1, 2)
    first = iter(one.db.stream(Order, checkpoint=Checkpoint, lease=60, idle_timeout=0))
    assert next(first).new.amount == 0
    one.clock.advance(61)
    second = iter(two.db.stream(Order, checkpoint=Checkpoint, lease=60))
    assert [next(second).new.amount for _ in range(2)] == [0, 1]
    service.shard("b", None, 7)
    assert [record.new.amount for record in first] == [7]
    assert service.position("b")["position"] == {"S": f"{4:021d}"}


def test_two_workers_share_the_shards_and_a_child_waits_for_the_other_workers_parent(scripted, service):
    one, two = scripted(), scripted()
    service.shard("a", None, 1, 2)
    first = iter(one.db.stream(Order, checkpoint=Checkpoint, worker="one", idle_timeout=0))
    assert next(first).new.amount == 1
    service.end("a")
    service.shard("b", "a", 3)
    service.shard("x", None, 9)
    assert read(two.db, checkpoint=Checkpoint, worker="two") == [9]
    assert [record.new.amount for record in first] == [2, 3]


def test_a_worker_that_is_named_has_its_shards_back_at_once(db, service):
    service.shard("a", None, 1, 2)
    crashed = iter(db.stream(Order, checkpoint=Checkpoint, worker="w1"))
    assert next(crashed).new.amount == 1
    assert read(db, checkpoint=Checkpoint) == []
    assert read(db, checkpoint=Checkpoint, worker="w1") == [1, 2]


def test_the_lease_is_kept_while_nothing_comes(scripted, service):
    one, two = scripted(), scripted()
    service.shard("a", None)
    assert read(one.db, checkpoint=Checkpoint, lease=60, idle_timeout=300) == []
    times = [int(item["lease_until"]["N"]) for item in _saved(service) if "lease_until" in item]
    assert len(times) >= 5
    assert all(later - before <= 60 for before, later in pairwise(times))
    service.put("a", 5)
    assert read(two.db, checkpoint=Checkpoint) == [5]  # given back at the end


def _saved(service):
    for operation, body in service.calls:
        if operation == "UpdateItem":
            values = body["ExpressionAttributeValues"]
            names = body["ExpressionAttributeNames"]
            pairs = body["UpdateExpression"].partition("SET ")[2].partition(" REMOVE")[0].split(", ")
            yield {names[left]: values.get(right) for left, right in (pair.split(" = ") for pair in pairs)}


def test_consumers_of_two_names_read_apart(db, service):
    service.shard("a", None, 1)
    assert read(db, checkpoint=Checkpoint, consumer="mail") == [1]
    assert read(db, checkpoint=Checkpoint, consumer="search") == [1]
    assert read(db, checkpoint=Checkpoint, consumer="mail") == []


def test_what_is_remembered_of_old_shards_is_removed(db, service):
    service.shard("a", None, 1)
    service.end("a")
    service.shard("b", "a", 2)
    assert read(db, checkpoint=Checkpoint) == [1, 2]
    assert service.position("a")["done"] == {"BOOL": True}
    del service.shards["a"]
    assert read(db, checkpoint=Checkpoint) == []
    assert service.position("a") is None
    assert service.position("b") is not None


# -------------------------------------------------------------------------------------------------------------- faults


def test_an_expired_iterator_is_replaced_behind_the_last_record(scripted, service):
    worker = scripted()
    service.shard("a", None, *range(4))
    found = []
    for record in worker.db.stream(Order, page_size=2, idle_timeout=0):
        found.append(record.new.amount)
        worker.clock.advance(500)
    assert found == [0, 1, 2, 3]
    assert [body["ShardIteratorType"] for body in service.asked("GetShardIterator")][:2] == [
        "TRIM_HORIZON",
        "AFTER_SEQUENCE_NUMBER",
    ]


def test_trimmed_records_are_an_error_each_time(db, service):
    service.shard("a", None, *range(4))
    assert fail_at(db.stream(Order, checkpoint=Checkpoint), 1) == [0, 1]
    service.shards["a"].trimmed = 3
    for _ in range(2):
        with pytest.raises(errors.StreamDataLost) as caught:
            read(db, checkpoint=Checkpoint)
        assert (caught.value.shard, caught.value.table) == ("a", "orders")
        assert "on_data_loss='continue'" in str(caught.value)


def test_trimmed_records_are_passed_over_when_that_is_asked_for_and_logged(db, service, caplog):
    service.shard("a", None, *range(4))
    assert fail_at(db.stream(Order, checkpoint=Checkpoint), 1) == [0, 1]
    service.shards["a"].trimmed = 3
    with caplog.at_level(logging.WARNING, "dynamorm"):
        assert read(db, checkpoint=Checkpoint, on_data_loss="continue") == [3]
    assert "removed before they were read" in caplog.text


def test_a_shard_that_is_gone_before_it_was_read_is_a_loss(db, service):
    service.shard("a", None, 1, 2)
    service.shard("b", None, 3)
    assert 2 not in fail_at(db.stream(Order, checkpoint=Checkpoint), 1)
    del service.shards["a"]
    with pytest.raises(errors.StreamDataLost):
        read(db, checkpoint=Checkpoint)
    assert read(db, checkpoint=Checkpoint, on_data_loss="continue") == []
    assert read(db, checkpoint=Checkpoint) == []


def test_a_new_stream_of_the_table_is_a_loss_unless_the_old_one_was_read_to_its_end(db, service):
    service.shard("a", None, 1)
    old = service.arn
    assert read(db, checkpoint=Checkpoint) == [1]
    service.arn = old.replace("2026-01-01", "2026-02-02")
    with pytest.raises(errors.StreamDataLost, match="new stream"):
        read(db, checkpoint=Checkpoint)
    service.arn = old
    service.end("a")
    service.status = "DISABLED"
    assert read(db, checkpoint=Checkpoint) == []
    service.arn = old.replace("2026-01-01", "2026-02-02")
    service.status = "ENABLED"
    service.shard("z", None, 2)
    assert 2 in read(db, checkpoint=Checkpoint)
    assert service.store.item("checkpoints", "orders", f"{old}#") is None


def test_an_older_stream_is_read_to_its_end_beside_the_new_one(db, service):
    new, old = service.arn, service.arn.replace("2026", "2025")
    service.shard("a", None, 1)
    assert read(db, checkpoint=Checkpoint) == [1]
    service.arn = old
    service.end("a")
    service.status = "DISABLED"
    assert read(db, checkpoint=Checkpoint, arn=old, idle_timeout=None) == [1]
    service.arn, service.status = new, "ENABLED"
    service.put("a", 2)
    service.shards["a"].closed = False
    assert read(db, checkpoint=Checkpoint) == [2]


def test_passing_over_a_replaced_stream_is_logged(db, service, caplog):
    service.shard("a", None, 1)
    assert read(db, checkpoint=Checkpoint) == [1]
    service.arn = service.arn.replace("2026", "2027")
    with caplog.at_level(logging.WARNING, "dynamorm"):
        assert read(db, checkpoint=Checkpoint, on_data_loss="continue") == [1]
    assert "new stream" in caplog.text


def test_a_refusal_for_the_rate_is_waited_out(scripted, service):
    worker = scripted()
    service.shard("a", None, 1)
    service.faults = [None, failure("LimitExceededException"), None, failure("LimitExceededException")]
    assert read(worker.db) == [1]
    assert len(service.asked("GetRecords")) == 3
    assert len(worker.driver.sleeps) == 2


def test_a_refusal_for_the_rate_that_lasts_is_throttling(scripted, service):
    worker = scripted()
    service.shard("a", None, 1)
    service.faults = [None, None, *[failure("LimitExceededException")] * 4]
    stream = worker.db.stream(Order, idle_timeout=0)
    with pytest.raises(errors.Throttled) as caught:
        amounts(stream)
    assert caught.value.retryable
    assert caught.value.attempts == 4
    assert amounts(stream) == [1]  # the reader is still good


def test_an_outage_is_bridged_by_the_usual_retries(scripted, service):
    worker = scripted()
    service.shard("a", None, 1)
    service.faults = [failure("InternalServerError", 500), None, None, failure("ThrottlingException")]
    assert read(worker.db) == [1]


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"null",
        b"",
        b'{"Records":{}}',
        b'{"Records":[],"NextShardIterator":""}',
        b'{"Records":[],"NextShardIterator":7}',
        b'{"Records":[],"Records":[],"NextShardIterator":"x"}',
        b'{"Records":[{"eventName":"INSERT"}],"NextShardIterator":"x"}',
        b'{"Records":[{"eventName":"GROW","dynamodb":{"SequenceNumber":"1","Keys":{"id":{"S":"a"}}}}]}',
        b'{"Records":[{"eventName":"INSERT","dynamodb":{"Keys":{"id":{"S":"a"}}}}]}',
        b'{"Records":[{"eventName":"INSERT","dynamodb":{"SequenceNumber":"1","Keys":{"pk":{"S":"a"}}}}]}',
        b'{"Records":[{"eventName":"INSERT","dynamodb":{"SequenceNumber":"1"}}]}',
    ],
)
def test_a_page_that_is_none_is_no_end_of_the_shard(db, service, body):
    service.shard("a", None, 1)
    service.end("a")
    service.faults = [None, None, *[reply(body)] * 4]
    stream = db.stream(Order, checkpoint=Checkpoint, idle_timeout=0)
    with pytest.raises(errors.MalformedResponse) as caught:
        amounts(stream)
    assert caught.value.outcome is errors.Outcome.NOT_APPLIED
    assert amounts(stream) == [1]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"StreamDescription": None},
        {"StreamDescription": {"StreamStatus": "ENABLED"}},
        {"StreamDescription": {"Shards": []}},
        {"StreamDescription": {"Shards": [{}], "StreamStatus": "ENABLED"}},
        {"StreamDescription": {"Shards": [{"ShardId": ""}], "StreamStatus": "ENABLED"}},
        {"StreamDescription": {"Shards": [{"ShardId": "a", "ParentShardId": 1}], "StreamStatus": "ENABLED"}},
        {"StreamDescription": {"Shards": [], "StreamStatus": "ENABLED", "LastEvaluatedShardId": ""}},
        {"StreamDescription": {"Shards": [{"ShardId": "a", "SequenceNumberRange": []}], "StreamStatus": 1}},
    ],
)
def test_a_listing_that_is_none_is_no_stream_without_shards(db, service, body):
    service.shard("a", None, 1)
    service.faults = [reply(body)] * 4
    stream = db.stream(Order, idle_timeout=0)
    with pytest.raises(errors.MalformedResponse) as caught:
        amounts(stream)
    assert caught.value.outcome is errors.Outcome.NOT_APPLIED
    assert amounts(stream) == [1]


def test_an_iterator_that_is_none_is_not_used(db, service):
    service.shard("a", None, 1)
    service.faults = [None, *[reply({"ShardIterator": ""})] * 4]
    with pytest.raises(errors.MalformedResponse) as caught:
        read(db)
    assert caught.value.outcome is errors.Outcome.NOT_APPLIED


def test_a_position_that_cannot_be_remembered_is_an_error_and_no_record_is_lost(db, service):
    service.shard("a", None, *range(6))
    service.store_faults = [failure("ThrottlingException")] * 4
    stream = db.stream(Order, checkpoint=Checkpoint, save_every=2, idle_timeout=0)
    seen = []
    with pytest.raises(errors.Throttled):
        seen.extend(record.new.amount for record in stream)
    assert amounts(stream) == [2, 3, 4, 5]
    assert read(db, checkpoint=Checkpoint) == []


def test_a_table_without_a_stream_says_so(db, service):
    service.arn = None
    with pytest.raises(errors.StreamNotFound, match="has no stream"):
        read(db)


def test_a_stream_that_is_gone_says_so(db, service):
    service.shard("a", None, 1)
    with pytest.raises(errors.StreamNotFound):
        read(db, arn=service.arn + "x")


def test_the_loaded_object_of_a_record_is_saved_under_its_version_only(db, service):
    service.store.seed("orders", id="o1", amount=1, version=0)
    service.shard("a", None, 1)
    with db.stream(Order, idle_timeout=0) as stream:
        (record,) = stream
    service.store.stranger_writes("orders", "o1")
    record.new.note = "seen"
    with pytest.raises(errors.VersionConflict):
        db.save(record.new)
