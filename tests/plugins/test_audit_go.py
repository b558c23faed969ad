"""Items that the Go library writes beside us: its Create drops the stamps of an audited item, and its Update keeps them (rule 19)."""

import json

import pytest

from dynamorm import DB, Attr, Model, actor, attr, partition_key, updated_at, version
from dynamorm.errors import AuditChainBroken, ConditionFailed, Outcome, VersionConflict
from dynamorm.ops.calls.op import Op, Safety

from .audit_kit import tracking

pytestmark = pytest.mark.engine

STAMPS = {"_an", "_ah", "_as"}


class Account(Model, table="audit-go-accounts"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    note: Attr[str | None] = attr(default=None)
    changed: Attr[str | None] = attr(default=None, name="changedBy")
    updated: Attr[object] = updated_at()
    version: Attr[int] = version()


MODELS = (Account,)


def enable(db, **more):
    db.enable_change_tracking(Account, tracking(("amount",), store="audit-go-log", **more))


def made_with(db):
    enable(db)
    log = next(plugin for plugin in db.plugins if plugin.name == "audit")
    db.tables.create(log.of(Account).row, skip_unavailable=True)


class Go:
    """The requests of the Go library, as it sends them: a Create overwrites, and an Update sets its own fields alone."""

    def __init__(self, db):
        self.db = db
        self.table = db.tables.name_of(Account)

    def _send(self, operation, body):
        flow = self.db._session.call(
            Op(
                operation,
                self.table,
                json.dumps({"TableName": self.table, **body}, separators=(",", ":")).encode(),
                bytes,
                Safety.RESEND,
            )
        )
        return json.loads(self.db._io.run(flow))

    def create(self, key, **fields):
        """PutItem without a condition; the version begins at 0 again."""
        item = {"id": {"S": key}, "version": {"N": "0"}, "updated": {"S": "2026-01-31T10:00:00+01:00"}, **fields}
        self._send("PutItem", {"Item": item})

    def update(self, key, **fields):
        """UpdateItem of some fields under the version that it has read."""
        found = self.stored(key)
        names = {"#ver": "version", "#upd": "updated", **{f"#n{at}": name for at, name in enumerate(fields)}}
        values = {":inc": {"N": "1"}, ":cur": found["version"], ":upd": {"S": "2026-01-31T10:00:01+01:00"}}
        values |= {f":v{at}": value for at, value in enumerate(fields.values())}
        sets = ", ".join(["#upd = :upd", *(f"#n{at} = :v{at}" for at in range(len(fields)))])
        self._send(
            "UpdateItem",
            {
                "Key": {"id": {"S": key}},
                "UpdateExpression": f"SET {sets} ADD #ver :inc",
                "ConditionExpression": "#ver = :cur",
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": values,
            },
        )

    def stored(self, key):
        """The item as it is."""
        return self._send("GetItem", {"Key": {"id": {"S": key}}, "ConsistentRead": True}).get("Item")


@pytest.fixture
def db(plugged):
    face = plugged()
    enable(face)
    with actor("user:1"):
        yield face


@pytest.fixture
def go(db):
    with DB(db.inner.config) as plain:
        yield Go(plain)


def told(db, key):
    """The operations of its records, where these hold, and what each says of the amount."""
    verdict = db.audit.verify(Account, key)
    assert verdict.ok, verdict
    records = db.audit.history(Account, key)
    return [(record.op, *((one.old, one.new) for one in record.changes)) for record in records], verdict.external


def test_its_update_keeps_the_stamps_and_is_recorded_with_our_next_write(db, go, key):
    db.create(Account(id=key, amount=1))
    go.update(key, amount={"N": "5"})
    assert go.stored(key).keys() >= STAMPS
    verdict = db.audit.verify(Account, key)
    assert (verdict.ok, verdict.reason, verdict.first_bad) == (False, "external", 2)
    db.update(Account, key, Account.amount.add(1))
    assert told(db, key) == ([("create", (None, 1)), ("external", (1, 5)), ("update", (5, 6))], (2,))


def test_its_create_drops_the_stamps_and_is_recorded_with_our_next_write(db, go, key):
    db.create(Account(id=key, amount=1))
    db.update(Account, key, Account.amount.set(2))
    go.create(key, amount={"N": "5"})
    assert not STAMPS & go.stored(key).keys()
    verdict = db.audit.verify(Account, key)
    assert (verdict.ok, verdict.reason, verdict.first_bad) == (False, "external", 3)
    one = db.require(Account, key)
    assert one.version == 0
    one.amount = 6
    db.save(one)
    assert told(db, key) == (
        [("create", (None, 1)), ("update", (1, 2)), ("external", (2, 5)), ("update", (5, 6))],
        (3,),
    )


def test_its_update_of_what_is_not_tracked_is_no_change(db, go, key):
    db.create(Account(id=key, amount=1))
    go.update(key, changedBy={"S": "go"})
    assert db.audit.verify(Account, key).ok
    db.update(Account, key, Account.amount.add(1))
    assert told(db, key) == ([("create", (None, 1)), ("update", (1, 2))], ())
    assert db.require(Account, key).changed == "go"


def test_its_create_with_the_very_same_values_is_a_change_all_the_same(db, go, key):
    """Nobody can tell what was stored between: the stamps are gone."""
    db.create(Account(id=key, amount=1))
    go.create(key, amount={"N": "1"})
    assert not db.audit.verify(Account, key).ok
    db.update(Account, key, Account.amount.add(1))
    records, external = told(db, key)
    assert [one[0] for one in records] == ["create", "external", "update"]
    assert external == (2,)


def test_its_create_of_a_new_item_is_where_its_records_begin(db, go, key):
    go.create(key, amount={"N": "5"})
    assert db.audit.verify(Account, key).reason == "unrecorded"
    db.delete(Account, key)
    records, external = told(db, key)
    assert [one[0] for one in records] == ["baseline", "delete"]
    assert (records[0][1], external) == ((None, 5), ())


def test_its_create_behind_our_delete_is_recorded(db, go, key):
    db.delete(db.create(Account(id=key, amount=1)))
    go.create(key, amount={"N": "5"})
    assert db.audit.verify(Account, key).reason == "external"
    go.update(key, amount={"N": "7"})
    db.update(Account, key, Account.amount.add(1))
    records, external = told(db, key)
    assert [one[0] for one in records] == ["create", "delete", "external", "update"]
    assert (records[2][1], external) == ((None, 7), (3,))


def test_several_of_its_writes_are_one_change(db, go, key):
    db.create(Account(id=key, amount=1))
    go.update(key, amount={"N": "2"})
    go.create(key, amount={"N": "3"})
    go.update(key, amount={"N": "4"})
    db.put(Account(id=key, amount=9))
    assert told(db, key)[0] == [("create", (None, 1)), ("external", (1, 4)), ("update", (4, 9))]


@pytest.mark.parametrize("how", ["create", "update"])
def test_an_object_that_was_loaded_before_is_refused_and_leaves_no_record(db, go, key, how):
    one = db.create(Account(id=key, amount=1))
    db.update(one, Account.amount.set(2))
    getattr(go, how)(key, amount={"N": "5"})
    one.amount = 9
    with pytest.raises(VersionConflict):
        db.save(one)
    assert go.stored(key)["amount"] == {"N": "5"}
    assert len(db.audit.history(Account, key, verify=False)) == 2


@pytest.mark.parametrize("how", ["create", "update"])
@pytest.mark.parametrize("verb", ["update", "save", "put", "delete"])
def test_either_may_be_refused(plugged, key, how, verb):
    face = plugged()
    enable(face, on_external="refuse")
    with actor("user:1"), DB(face.inner.config) as plain:
        go = Go(plain)
        face.create(Account(id=key, amount=1))
        getattr(go, how)(key, amount={"N": "5"})
        before, one = go.stored(key), face.require(Account, key)
        one.amount = 6
        verbs = {
            "update": lambda: face.update(Account, key, Account.amount.add(1)),
            "save": lambda: face.save(one),
            "put": lambda: face.put(Account(id=key, amount=9)),
            "delete": lambda: face.delete(Account, key),
        }
        with pytest.raises(AuditChainBroken) as refused:
            verbs[verb]()
        assert (refused.value.reason, refused.value.outcome) == ("external", Outcome.NOT_APPLIED)
        assert go.stored(key) == before
        assert len(face.audit.history(Account, key, verify=False)) == 1


def test_its_own_condition_sees_our_writes(db, go, key):
    """An Update of Go that read before our write is refused by its version, so that no change is lost on either side."""
    db.create(Account(id=key, amount=1))
    stale = go.stored(key)["version"]
    db.update(Account, key, Account.amount.set(2))
    real = go.stored

    def before(_):
        return {"version": stale}

    go.stored = before
    with pytest.raises(ConditionFailed):
        go.update(key, amount={"N": "5"})
    go.stored = real
    assert told(db, key)[0] == [("create", (None, 1)), ("update", (1, 2))]
