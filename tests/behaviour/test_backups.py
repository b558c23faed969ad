"""Backups on demand, and tables that are made of them, on both faces: on the engine of the library, for other local ones have none."""

import os

import pytest

from dynamorm import Attr, Model, OutcomeUnknown, Presets, attr, gsi, partition_key, ttl
from dynamorm.engine import Engine
from dynamorm.errors import ClientError, DeadlineExceeded, TableNotFound
from tests.support.faces import Face

pytestmark = pytest.mark.engine

LOCAL = os.environ.get("DYNAMORM_TEST_ENGINE") == "local"


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    merchant: Attr[str] = attr(default="m")
    amount: Attr[int] = attr(default=0)
    ends: Attr[int | None] = ttl(default=None)
    by_merchant = gsi("by-merchant", partition="merchant")


class Other(Model, table="others"):
    id: Attr[str] = partition_key()


@pytest.fixture
def own():
    """An engine of the library's own."""
    with Engine() as engine:
        yield engine


@pytest.fixture
def opened(own, face_kind):
    """Opens databases on it."""
    faces = []
    with own.serve() as server:

        def make(prefix="live-", **settings):
            faces.append(
                Face(face_kind, Presets.local_development(endpoint=server.endpoint, table_prefix=prefix, **settings))
            )
            return faces[-1]

        yield make
        for face in faces:
            face.close()


@pytest.fixture
def db(opened):
    """A database with two tables and some items."""
    made = opened()
    for model in (Payment, Other):
        made.tables.create(model)
    assert made.batch_write(puts=[Payment(id=f"p{at}", amount=at) for at in range(30)]).ok
    return made


def test_a_table_comes_back_as_it_was(db):
    backup = db.tables.create_backup(Payment, "before")
    assert (backup.name, backup.table, backup.status, backup.kind) == ("before", "live-payments", "AVAILABLE", "USER")
    assert backup.ready
    assert backup.size_bytes > 0
    db.update(Payment, "p1", Payment.amount.set(999))
    db.tables.delete(Payment)
    live = db.tables.restore_backup(backup, Payment)
    assert (live.name, live.status, live.item_count) == ("live-payments", "ACTIVE", 30)
    assert db.get(Payment, "p1").amount == 1
    assert db.model(Payment).index(Payment.by_merchant).where(Payment.merchant == "m").count() == 30
    assert db.tables.describe(Payment).ttl == ""  # it is no part of a backup
    assert db.tables.ensure(Payment).ttl == "ends"


def test_a_table_is_restored_beside_itself_by_another_prefix(db, opened):
    backup = db.tables.create_backup(Payment, "before")
    beside = opened("restored-")
    beside.tables.restore_backup(backup.arn, Payment)
    db.delete(Payment, "p1")
    assert (beside.exists(Payment, "p1"), db.exists(Payment, "p1")) == (True, False)


def test_backups_are_listed_by_table_and_by_prefix_and_deleted(db, opened):
    first = db.tables.create_backup(Payment, "one-name")
    second = db.tables.create_backup(Payment, "one-name")  # several may have one
    other = db.tables.create_backup(Other, "other")
    assert {one.arn for one in db.tables.list_backups(Payment)} == {first.arn, second.arn}
    assert {one.arn for one in db.tables.list_backups()} == {first.arn, second.arn, other.arn}
    assert opened("elsewhere-").tables.list_backups() == []
    db.tables.delete_backup(first)
    db.tables.delete_backup(second.arn)
    db.tables.delete_backup(second)  # it is gone
    assert [one.arn for one in db.tables.list_backups()] == [other.arn]


def test_what_is_there_is_not_replaced_and_what_is_gone_is_not_restored(db):
    backup = db.tables.create_backup(Payment, "before")
    with pytest.raises(ClientError) as there:
        db.tables.restore_backup(backup, Payment)
    assert there.value.code == "TableAlreadyExistsException"
    assert "another table_prefix, or delete the table first" in str(there.value)
    db.tables.delete_backup(backup)
    db.tables.delete(Payment)
    with pytest.raises(ClientError) as gone:
        db.tables.restore_backup(backup, Payment)
    assert gone.value.code == "BackupNotFoundException"
    with pytest.raises(TableNotFound):
        db.tables.create_backup(Payment, "before")


@pytest.mark.parametrize("operation", ["CreateBackup", "RestoreTableFromBackup", "DeleteBackup"])
def test_a_lost_reply_makes_neither_a_second_one_nor_a_failure(own, db, operation):
    if operation != "CreateBackup":
        backup = db.tables.create_backup(Payment, "before")
    if operation == "RestoreTableFromBackup":
        db.tables.delete(Payment)
    fault = own.faults.lose_reply(op=operation, times=1)
    if operation == "CreateBackup":
        db.tables.create_backup(Payment, "before")
    elif operation == "DeleteBackup":
        db.tables.delete_backup(backup)
    else:
        assert db.tables.restore_backup(backup, Payment).item_count == 30
    assert fault.count == 1
    assert len(db.tables.list_backups()) == (0 if operation == "DeleteBackup" else 1)


def test_the_wait_for_a_table_is_bounded(own):
    del own
    with Engine(creating=30) as slow, slow.serve() as server:
        face = Face("blocking", Presets.local_development(endpoint=server.endpoint))
        try:
            with pytest.raises((DeadlineExceeded, OutcomeUnknown, ClientError)):
                face.tables.create(Other, timeout=0.2)
            with pytest.raises((DeadlineExceeded, ClientError)):
                face.tables.create_backup(Other, "early", timeout=0.2)
        finally:
            face.close()


@pytest.mark.skipif(not LOCAL, reason="an engine that has no backups")
def test_an_engine_without_backups_is_told(engine, plugged):
    with pytest.raises(ClientError, match="has no ListBackups: backups are of DynamoDB itself") as error:
        plugged(endpoint=engine.endpoint).tables.list_backups()
    assert error.value.code == "UnknownOperationException"
