"""Settings that cannot be, tables that contradict themselves, indexes that are not ready: one clear error each."""

import pytest

from dynamorm import Attr, Model, TableSettings, Throughput, attr, gsi, lsi, partition_key, sort_key, ttl
from dynamorm.errors import IndexUnavailable, InvalidUse, ModelError, Outcome, ValidationError
from dynamorm.models.schema.table_settings import IndexSettings
from dynamorm.testing import FaultServer, answers

from .conftest import SECRET, check_text


class Thing(Model, table="things"):
    id: Attr[str] = partition_key()
    status: Attr[str] = attr(default="")
    by_status = gsi("by-status", partition="status")


class Twin(Model, table="things"):
    id: Attr[int] = partition_key()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (Throughput, ["read, write or both"]),
        (lambda: Throughput(0, 5), ["read", "from 1 up"]),
        (lambda: Throughput(5, 1.5), ["write", "whole number"]),
        (lambda: Throughput(True, 5), ["read", "whole number"]),
        (lambda: TableSettings(billing_mode="ON_DEMAND"), ["billing_mode", "'PAY_PER_REQUEST'", "'PROVISIONED'"]),
        (lambda: TableSettings(billing_mode="PROVISIONED"), ["needs throughput="]),
        (lambda: TableSettings(billing_mode="PAY_PER_REQUEST", throughput=Throughput(1, 1)), ["max_throughput"]),
        (lambda: TableSettings(throughput=Throughput(5)), ["both read and write"]),
        (lambda: TableSettings(throughput=(5, 5)), ["throughput=Throughput("]),
        (lambda: TableSettings(throughput=Throughput(-1, 5)), ["only max_throughput"]),
        (lambda: TableSettings(throughput=Throughput(5, 5), max_throughput=Throughput(9)), ["on-demand"]),
        (lambda: TableSettings(indexes={"x": Throughput(1, 1)}), ["IndexSettings"]),
        (lambda: TableSettings(indexes={"x": IndexSettings(throughput=Throughput(1, 1))}), ["PROVISIONED"]),
        (lambda: IndexSettings(throughput=5), ["IndexSettings", "Throughput("]),
        (lambda: TableSettings(stream=True), ["stream", "'NEW_AND_OLD_IMAGES'"]),
        (lambda: TableSettings(stream="BOTH"), ["stream", "'NEW_IMAGE'"]),
        (lambda: TableSettings(point_in_time_recovery=36), ["point_in_time_recovery", "1 to 35"]),
        (lambda: TableSettings(point_in_time_recovery="yes"), ["point_in_time_recovery"]),
        (lambda: TableSettings(table_class="CHEAP"), ["table_class", "'STANDARD_INFREQUENT_ACCESS'"]),
        (lambda: TableSettings(deletion_protection="yes"), ["deletion_protection", "True"]),
        (lambda: TableSettings(time_to_live="until"), ["time_to_live"]),
        (lambda: TableSettings(encryption=""), ["encryption", "'AWS_OWNED'"]),
        (lambda: TableSettings(tags=["a"]), ["tags", "dict"]),
        (lambda: TableSettings(tags={"a": 1}), ["tags", "text"]),
        (lambda: TableSettings(tags={"aws:x": "1"}), ["aws:"]),
        (lambda: TableSettings(tags={str(n): "" for n in range(51)}), ["50 tags"]),
    ],
)
def test_settings_that_cannot_be_are_refused_where_they_are_written(build, words):
    with pytest.raises(ModelError) as caught:
        build()
    check_text(caught.value, *words)


def test_a_misspelt_setting_is_a_type_error():
    with pytest.raises(TypeError, match="deletion_protetion"):
        TableSettings(deletion_protetion=True)


def test_a_class_setting_is_a_table_settings():
    with pytest.raises(ModelError, match=r"settings is a TableSettings\(\.\.\.\), not a dict"):

        class Wrong(Model, table="wrong", settings={"deletion_protection": True}):
            id: Attr[str] = partition_key()


@pytest.mark.parametrize("verb", ["create", "ensure", "plan"])
def test_settings_of_a_call_are_a_table_settings(db, refused, verb):
    refused(ModelError, lambda: getattr(db.tables, verb)(Thing, settings={"stream": False}), "TableSettings", "dict")


@pytest.mark.parametrize("verb", ["create", "ensure", "plan", "wait", "check", "delete"])
def test_a_call_without_a_model_is_refused(db, refused, verb):
    refused(TypeError, getattr(db.tables, verb), "name the model")


@pytest.mark.parametrize("verb", ["create", "ensure", "plan"])
def test_settings_for_an_index_that_is_not_there_are_refused(db, refused, verb):
    settings = TableSettings(indexes={"by-statsu": IndexSettings(warm_throughput=Throughput(9, 9))})
    refused(ModelError, lambda: getattr(db.tables, verb)(Thing, settings=settings), "by-statsu", "'by-status'")


@pytest.mark.parametrize("verb", ["create", "ensure", "plan", "wait", "check", "delete"])
def test_models_that_contradict_each_other_are_refused(db, refused, verb):
    text = "id is of type S in Thing, of type N in Twin"
    refused(ModelError, lambda: getattr(db.tables, verb)(Thing, Twin), "things", text)


def test_two_settings_for_one_table_are_refused(db, refused):
    class One(Model, table="shared", settings=TableSettings(deletion_protection=True)):
        id: Attr[str] = partition_key()

    class Other(Model, table="shared", settings=TableSettings(deletion_protection=False)):
        id: Attr[str] = partition_key()

    refused(ModelError, lambda: db.tables.create(One, Other), "Other has other settings")


def test_more_local_indexes_than_a_table_can_have_are_refused(db, refused):
    class Local(Model, table="locals"):
        id: Attr[str] = partition_key()
        at: Attr[int] = sort_key()
        n: Attr[int] = attr(default=0)
        a = lsi("lsi-a", sort="n")
        b = lsi("lsi-b", sort="n")
        c = lsi("lsi-c", sort="n")
        d = lsi("lsi-d", sort="n")
        e = lsi("lsi-e", sort="n")
        f = lsi("lsi-f", sort="n")

    refused(ModelError, lambda: db.tables.create(Local), "6 local indexes", "5 are allowed")


def test_two_expiring_attributes_are_refused(db, refused):
    class Soon(Model, table="expiring"):
        id: Attr[str] = partition_key()
        soon: Attr[int | None] = ttl(default=None)

    class Late(Model, table="expiring"):
        id: Attr[str] = partition_key()
        late: Attr[int | None] = ttl(default=None)

    refused(ModelError, lambda: db.tables.ensure(Soon, Late), "Soon expires by soon, Late late")


@pytest.mark.parametrize("thing", [None, "plan", Thing, object()])
def test_apply_takes_a_plan(db, refused, thing):
    refused(TypeError, lambda: db.tables.apply(thing), "db.tables.plan(")


MISSING = "The table does not have the specified index: by-status"
FILLING = "Cannot read from backfilling global secondary index: by-status"


@pytest.mark.parametrize(
    ("text", "retryable", "words"),
    [
        (MISSING, False, ["table 'things' has no index 'by-status'", "db.tables.plan("]),
        (FILLING, True, ["index 'by-status' of table 'things' is still being made", "db.tables.wait("]),
    ],
    ids=["missing", "still being made"],
)
def test_an_index_that_is_missing_or_still_being_made_is_named(open_db, text, retryable, words):
    with FaultServer(lambda _: answers.error("ValidationException", 400, text)) as server:
        db = open_db(server.endpoint)
        with pytest.raises(IndexUnavailable) as caught:
            db.model(Thing).index("by-status").where(Thing.status == SECRET).all()
    error = caught.value
    check_text(error, *words)
    assert (error.index, error.table, error.retryable) == ("by-status", "things", retryable)
    assert error.outcome is Outcome.NOT_APPLIED
    assert error.attempts == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (None, ("name", "text", "not None")),
        ("", ("name", "1 to 255")),
        ("ab", ("name", "3 to 255")),
        ("x" * 256, ("name", "255", "256 characters")),
        ("secret-value-4242 x", ("name", "letters, digits")),
    ],
)
def test_the_name_of_a_backup(db, refused, name, words):
    refused(ValidationError, lambda: db.tables.create_backup(Thing, name), *words)


@pytest.mark.parametrize(
    "backup", [None, 5, Thing, "secret-value-4242", "arn:aws:dynamodb:us-east-1:1:table/secret-value-4242"]
)
def test_what_is_no_backup(db, refused, backup):
    refused(ValidationError, lambda: db.tables.delete_backup(backup), "backup", "ARN")
    refused(ValidationError, lambda: db.tables.restore_backup(backup, Thing), "backup", "ARN")


def test_a_backup_is_of_a_model(db, refused):
    refused(InvalidUse, lambda: db.tables.create_backup("things", "before"), "str is not a model")
    refused(InvalidUse, lambda: db.tables.list_backups("things"), "str is not a model")
