"""Records of the API, of Lambda events and of boto3, decoded without a database."""

import logging
from base64 import b64encode
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from dynamorm import Attr, Model, Unique, attr, errors, partition_key, sort_key
from dynamorm.streams import ChangeKind, StreamRecord, decode, decode_event, process

from .service import ARN, Order, change, image


class Reading(Model, table="readings"):
    sensor: Attr[str] = partition_key()
    at: Attr[datetime] = sort_key()
    raw: Attr[bytes] = attr(name="r")
    tags: Attr[set[bytes]] = attr(default_factory=set)
    value: Attr[Decimal | None] = attr(default=None)


class Event(Model, table="events", discriminator="kind"):
    id: Attr[str] = partition_key()


class Charged(Event, tag="charged"):
    amount: Attr[int]


class Refunded(Event, tag="refunded"):
    reason: Attr[str]


class Ticket(Model, table="tickets"):
    id: Attr[bytes] = partition_key()
    seat: Attr[str] = attr(Unique())


AT = "2026-01-02T03:04:05.000000000Z"


def lambda_record(number=111, **more):
    """As AWS hands it to a function."""
    return {**change(number, new=image("o1", 5)), "eventSource": "aws:dynamodb", "eventSourceARN": ARN, **more}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("INSERT", None, image("o1", 5)), ("MODIFY", image("o1", 4), image("o1", 5, 1)), ("REMOVE", image("o1", 4), None)],
)
def test_a_record_unpacks_to_kind_old_and_new(name, old, new):
    kind, before, after = decode(change(7, kind=name, old=old, new=new), Order)
    assert kind is ChangeKind(name.lower())
    assert kind == name.lower()
    assert (before and before.amount) == (None if old is None else 4)
    assert (after and after.amount) == (None if new is None else 5)


def test_a_record_tells_all_there_is():
    record = decode(lambda_record(), Order)
    assert isinstance(record, StreamRecord)
    assert record.keys == ("o1",)
    assert record.sequence_number == "000000000000000000111"
    assert record.event_id == "e111"
    assert record.created_at == datetime.fromtimestamp(1_700_000_000, UTC)
    assert (record.size_bytes, record.view, record.region) == (26, "NEW_AND_OLD_IMAGES", "us-east-1")
    assert (record.table, record.shard, record.is_ttl_expiry) == ("orders", None, False)


def test_a_record_of_boto3_has_bytes_and_datetimes():
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    item = {
        "sensor": {"S": "s"},
        "at": {"S": AT},
        "r": {"B": b"\xff\x00"},
        "tags": {"BS": [b"a", b"b"]},
        "x": {"N": "1"},
    }
    record = change(1, new=item, created=moment)
    record["dynamodb"]["Keys"] = {"sensor": {"S": "s"}, "at": {"S": AT}}
    found = decode(record, Reading)
    assert found.created_at == moment
    assert (found.new.raw, found.new.tags) == (b"\xff\x00", {b"a", b"b"})
    assert found.keys == ("s", moment)


def test_binaries_of_a_lambda_event_are_base64():
    item = {
        "sensor": {"S": "s"},
        "at": {"S": AT},
        "r": {"B": "/wA="},
        "tags": {"BS": ["YQ==", "Yg=="]},
        "value": {"N": "1E2"},
    }
    record = change(1, new=item)
    record["dynamodb"]["Keys"] = {"at": {"S": AT}, "sensor": {"S": "s"}}
    found = decode(record, Reading).new
    assert (found.raw, found.tags, found.value) == (b"\xff\x00", {b"a", b"b"}, Decimal(100))


@pytest.mark.parametrize("created", [1_700_000_000, 1_700_000_000.0, "2023-11-14T22:13:20Z", "2023-11-14T22:13:20"])
def test_the_time_comes_in_several_forms(created):
    assert decode(change(1, created=created), Order).created_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def test_a_view_without_images_leaves_the_keys():
    record = change(1, kind="MODIFY")
    del record["dynamodb"]["ApproximateCreationDateTime"], record["dynamodb"]["SizeBytes"]
    found = decode(record, Order)
    assert (found.old, found.new, found.keys, found.created_at, found.size_bytes) == (None, None, ("o1",), None, 0)


@pytest.mark.parametrize("nothing", [None, {}])
def test_an_image_that_is_nothing_is_absent(nothing):
    record = change(1, kind="MODIFY")
    record["dynamodb"]["OldImage"] = nothing
    assert decode(record, Order).old is None


@pytest.mark.parametrize(
    ("identity", "expired"),
    [
        ({"type": "Service", "principalId": "dynamodb.amazonaws.com"}, True),
        ({"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}, True),
        ({"type": "Service", "principalId": "other.amazonaws.com"}, False),
        ({"type": "User", "principalId": "dynamodb.amazonaws.com"}, False),
        (None, False),
        ({}, False),
    ],
)
def test_an_expiry_is_told_from_a_delete(identity, expired):
    assert decode(change(1, kind="REMOVE", old=image("o1", 1), userIdentity=identity), Order).is_ttl_expiry is expired


def test_a_family_is_decoded_to_its_classes():
    old = {"id": {"S": "o1"}, "kind": {"S": "charged"}, "amount": {"N": "5"}}
    new = {"id": {"S": "o1"}, "kind": {"S": "refunded"}, "reason": {"S": "late"}}
    _, before, after = decode(change(1, kind="MODIFY", old=old, new=new), Event)
    assert (type(before), before.amount) == (Charged, 5)
    assert (type(after), after.reason) == (Refunded, "late")


def test_attributes_that_the_model_does_not_know_are_kept_in_what_is_loaded():
    new = {**image("o1", 5), "_wt": {"B": "c2VlZDAwMDA="}, "other": {"S": "kept"}}
    record = decode(change(1, new=new), Order)
    assert b"kept" in record.new.__loaded__


def test_showing_a_record_shows_no_values():
    assert repr(decode(change(7, "secret", new=image("secret", 5)), Order)) == (
        "<StreamRecord insert Order 000000000000000000007>"
    )


# ----------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "record",
    [
        None,
        "INSERT",
        [],
        {},
        {"eventName": "INSERT"},
        {"eventName": "INSERT", "dynamodb": None},
        {"eventName": 1, "dynamodb": {"Keys": {"id": {"S": "a"}}}},
        {"eventName": "INSERT", "dynamodb": {"Keys": "a"}},
        {"eventName": "INSERT", "dynamodb": {"Keys": {"id": {"S": "a"}}, "SizeBytes": "many"}},
        {"eventName": "INSERT", "dynamodb": {"Keys": {"id": {"S": "a"}}, "NewImage": {"id": object()}}},
        {"eventName": "INSERT", "dynamodb": {"Keys": {"id": {"S": "a"}}, "NewImage": [1]}},
        {"eventName": "INSERT", "dynamodb": {"Keys": {"id": {"S": "a"}}, "ApproximateCreationDateTime": "soon"}},
        {"eventName": "INSERT", "dynamodb": {"Keys": {"id": {"S": "a"}}, "ApproximateCreationDateTime": 1e300}},
        {"eventName": "GROW", "dynamodb": {"Keys": {"id": {"S": "a"}}}},
        change(1, new=image("o1", 5)) | {"awsRegion": 7},
        lambda_record()["dynamodb"],
        {"Records": [lambda_record()]},
        {1: 2},
    ],
)
def test_what_is_no_record_is_refused(record):
    with pytest.raises((errors.ValidationError, errors.MalformedResponse)) as caught:
        decode(record, Order)
    assert caught.value.__cause__ is None


def test_a_record_of_another_key_is_refused():
    record = change(1)
    record["dynamodb"]["Keys"] = {"pk": {"S": "secret"}, "sk": {"S": "x"}}
    with pytest.raises(errors.ValidationError, match="its key is pk, sk, the model's is id") as caught:
        decode(record, Order)
    assert "secret" not in str(caught.value)


def test_a_record_without_keys_is_refused():
    record = change(1)
    del record["dynamodb"]["Keys"]
    with pytest.raises(errors.ValidationError, match="its key is nothing"):
        decode(record, Order)


def test_a_record_of_another_table_is_refused():
    with pytest.raises(errors.ValidationError, match="of table 'payments', and Order is stored in 'orders'"):
        decode(lambda_record(eventSourceARN=ARN.replace("orders", "payments")), Order)


def test_the_prefix_of_a_table_is_checked_with_a_database_only(scripted):
    staging = lambda_record(eventSourceARN=ARN.replace("orders", "staging-orders"))
    assert decode(staging, Order).table == "staging-orders"
    assert decode(staging, Order, db=scripted(table_prefix="staging-").db.inner).new.amount == 5
    with pytest.raises(errors.ValidationError, match="staging-orders"):
        decode(staging, Order, db=scripted(table_prefix="live-").db.inner)


def test_an_image_that_does_not_fit_names_the_field_and_no_value():
    with pytest.raises(errors.ValidationError) as caught:
        decode(change(1, new={**image("o1", 5), "amount": {"S": "secret"}}), Order)
    assert caught.value.field == "amount"
    assert "secret" not in str(caught.value)


def test_a_class_that_is_no_model_or_has_no_table_is_refused():
    class Part(Model):
        x: Attr[int]

    with pytest.raises(TypeError, match="not a model"):
        decode(change(1), dict)
    with pytest.raises(errors.ModelError, match="no table"):
        decode(change(1), Part)


def test_a_model_that_needs_a_plugin_is_not_decoded_without_it():
    class Encrypted:
        pass

    class Card(Model, table="cards"):
        id: Attr[str] = partition_key()
        number: Attr[str] = attr(Encrypted())

    with pytest.raises(errors.ModelError, match="no installed plugin"):
        decode(change(1), Card)


# -------------------------------------------------------------------------------------------------------- lambda events


def event(*records):
    return {"Records": list(records)}


def test_an_event_is_decoded_record_by_record():
    found = decode_event(event(lambda_record(1), {"broken": 1}), Order)
    assert next(found).sequence_number.endswith("1")
    with pytest.raises(errors.ValidationError):
        next(found)


def test_an_event_of_several_tables_takes_a_mapping():
    other = change(2, new={"id": {"S": "o1"}, "kind": {"S": "charged"}, "amount": {"N": "5"}})
    other["eventSourceARN"] = ARN.replace("orders", "events")
    found = list(decode_event(event(lambda_record(1), other), {"orders": Order, "events": Event}))
    assert [type(record.new) for record in found] == [Order, Charged]


def test_the_longest_name_that_fits_is_taken():
    record = lambda_record(eventSourceARN=ARN.replace("orders", "live-orders"))
    (found,) = decode_event(event(record), {"live-orders": Order, "orders": Event})
    assert type(found.new) is Order


def test_a_table_that_the_mapping_does_not_name_is_refused():
    with pytest.raises(errors.ValidationError, match="no model is given for table 'orders': there are events"):
        list(decode_event(event(lambda_record()), {"events": Event}))
    with pytest.raises(errors.ValidationError, match="eventSourceARN"):
        list(decode_event(event(change(1)), {"orders": Order}))


@pytest.mark.parametrize("what", [None, [], {}, {"Records": None}, {"records": []}, lambda_record()])
def test_what_is_no_event_is_refused(what):
    with pytest.raises(errors.ValidationError, match="Records"):
        list(decode_event(what, Order))
    with pytest.raises(errors.ValidationError, match="Records"):
        process(what, Order, print)


def test_process_gives_each_record_to_the_handler_and_reports_no_failure():
    seen = []
    assert process(event(lambda_record(1), lambda_record(2)), Order, seen.append) == {"batchItemFailures": []}
    assert [record.sequence_number[-1] for record in seen] == ["1", "2"]


def test_process_stops_at_the_first_failure_and_reports_it(caplog):
    seen = []

    def handle(record):
        seen.append(record.sequence_number[-1])
        if len(seen) == 2:
            raise ZeroDivisionError

    with caplog.at_level(logging.ERROR, "dynamorm"):
        answer = process(event(*map(lambda_record, (1, 2, 3))), Order, handle)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "000000000000000000002"}]}
    assert seen == ["1", "2"]
    assert "ZeroDivisionError" in caplog.text


def test_process_reports_a_record_that_cannot_be_decoded():
    told = []
    bad = lambda_record(2)
    bad["dynamodb"]["NewImage"]["amount"] = {"S": "many"}
    answer = process(
        event(lambda_record(1), bad), Order, lambda _: None, on_error=lambda record, error: told.append((record, error))
    )
    assert answer == {"batchItemFailures": [{"itemIdentifier": "000000000000000000002"}]}
    assert told[0][0] is bad
    assert told[0][1].field == "amount"


def test_process_fails_as_a_whole_when_the_failed_record_has_no_number():
    bad = lambda_record(2)
    del bad["dynamodb"]["SequenceNumber"]
    with pytest.raises(errors.ValidationError, match="sequence number"):
        process(event(bad), Order, lambda _: 1 / 0)


def test_process_does_not_take_a_coroutine_for_done():
    class Never:
        def __await__(self):
            raise AssertionError

    told = []
    answer = process(event(lambda_record(1)), Order, lambda _: Never(), on_error=lambda *error: told.append(error[1]))
    assert answer["batchItemFailures"]
    assert isinstance(told[0], TypeError)


def test_an_interrupted_handler_is_not_reported_as_a_failed_record():
    def handle(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process(event(lambda_record(1)), Order, handle)


def test_records_of_guards_are_told_apart_and_left_out():
    def record(number, key, **attributes):
        key = {"id": {"B": b64encode(key).decode()}}
        return {
            "eventName": "INSERT",
            "dynamodb": {"Keys": key, "NewImage": {**key, **attributes}, "SequenceNumber": str(number)},
        }

    guard, ticket = record(1, b"~U#Ticket#seat#hash", t={"S": "U"}), record(2, b"t1", seat={"S": "a1"})
    assert decode(guard, Ticket).is_guard
    assert not decode(ticket, Ticket).is_guard
    event = {"Records": [guard, ticket]}
    assert [one.new.seat for one in decode_event(event, Ticket)] == ["a1"]
    seen = []
    assert process(event, Ticket, lambda one: seen.append(one.new.seat)) == {"batchItemFailures": []}
    assert seen == ["a1"]


# ------------------------------------------------------------------------------------------------- several classes


class Late(Charged, tag="late"):
    fee: Attr[int] = attr(default=0)


def event_image(kind, **more):
    found = {"id": {"S": "o1"}, "amount": {"N": "5"}, "reason": {"S": "late"}, **more}
    return found if kind is None else {**found, "kind": {"S": kind}}


def record_of(*kinds, number=1, **more):
    """A change from an item of the first kind to one of the second; `...` stands for no image."""
    old, new = (None if kind is ... else event_image(kind) for kind in kinds)
    return change(number, kind="MODIFY", old=old, new=new, **more)


CHARGED, LATE, REFUNDED, UNKNOWN, UNTAGGED = "charged", "late", "refunded", "invented", None


@pytest.mark.parametrize(
    ("model", "kinds", "classes"),
    [
        (Charged, (CHARGED, CHARGED), (Charged, Charged)),
        (Charged, (..., LATE), (type(None), Late)),
        (Charged, (REFUNDED, CHARGED), (type(None), Charged)),
        (Charged, (CHARGED, REFUNDED), (Charged, type(None))),
        (Charged, (..., ...), (type(None), type(None))),
        (Late, (CHARGED, LATE), (type(None), Late)),
        (Event, (REFUNDED, LATE), (Refunded, Late)),
        (Event, (UNTAGGED, UNTAGGED), (Event, Event)),
    ],
)
def test_a_record_of_a_class_holds_what_is_its_own(model, kinds, classes):
    record = decode(record_of(*kinds), model)
    assert not record.is_sibling
    assert not record.passed_over
    assert (type(record.old), type(record.new)) == classes
    assert [one.keys for one in decode_event(event(record_of(*kinds)), model)] == [("o1",)]


@pytest.mark.parametrize(
    ("model", "kinds"),
    [
        (Charged, (REFUNDED, REFUNDED)),
        (Charged, (..., REFUNDED)),
        (Charged, (REFUNDED, ...)),
        (Charged, (UNTAGGED, REFUNDED)),
        (Charged, (..., UNTAGGED)),
        (Late, (CHARGED, CHARGED)),
        (Refunded, (CHARGED, LATE)),
    ],
)
def test_the_record_of_a_sibling_is_passed_over_as_queries_do(model, kinds):
    record = decode(record_of(*kinds), model)
    assert record.is_sibling
    assert (record.old, record.new, record.keys) == (None, None, ("o1",))
    batch = event(record_of(*kinds), record_of(..., model.__name__.lower(), number=2))
    assert [type(one.new) for one in decode_event(batch, model)] == [model]
    seen = []
    assert process(batch, model, lambda one: seen.append(type(one.new))) == {"batchItemFailures": []}
    assert seen == [model]


@pytest.mark.parametrize("model", [Event, Charged, Refunded])
@pytest.mark.parametrize("kinds", [(..., UNKNOWN), (UNKNOWN, ...), (UNKNOWN, UNKNOWN)])
def test_a_kind_that_is_not_known_is_an_error_unless_it_is_to_be_skipped(model, kinds):
    record = record_of(*kinds)
    with pytest.raises(errors.ValidationError, match="names no subclass"):
        decode(record, model)
    with pytest.raises(errors.ValidationError, match="names no subclass"):
        list(decode_event(event(record), model))
    told = []
    failed = process(event(record), model, print, on_error=lambda _, error: told.append(error))
    assert failed == {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}]}
    assert [type(one) for one in told] == [errors.ValidationError]
    assert list(decode_event(event(record), model, on_unknown="skip")) == []
    assert process(event(record), model, fail, on_unknown="skip") == {"batchItemFailures": []}


def fail(_):
    raise AssertionError


def test_an_item_that_was_of_an_unknown_kind_and_is_the_models_now_is_handed_out():
    record = record_of(UNKNOWN, CHARGED)
    with pytest.raises(errors.ValidationError, match="names no subclass"):
        list(decode_event(event(record), Charged))
    (found,) = decode_event(event(record), Charged, on_unknown="skip")
    assert (found.old, type(found.new)) == (None, Charged)


@pytest.mark.parametrize("call", [lambda **more: list(decode_event(event(), Event, **more)),
                                  lambda **more: process(event(), Event, print, **more)])  # fmt: skip
def test_on_unknown_says_one_of_two(call):
    with pytest.raises(errors.ValidationError) as caught:
        call(on_unknown="ignore")
    assert caught.value.field == "on_unknown"


def test_a_model_without_a_discriminator_has_no_siblings():
    record = decode(change(1, new={**image("o1", 5), "kind": {"S": "refunded"}}), Order)
    assert not record.is_sibling
    assert record.new.amount == 5
