"""What an item says of its chain is believed only as far as it holds, and what others changed is found by each write over it."""

import traceback
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from types import new_class

import pytest
from msgspec.json import decode

from dynamorm import DB, Attr, Model, actor, attr, partition_key, version
from dynamorm.errors import AuditChainBroken, TransactionCancelled
from tests.behaviour.kit import Recorder, store, stored

from .audit_kit import KEY, tracking

pytestmark = pytest.mark.engine


class Kept(Model, table="stamped-kept"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    status: Attr[str] = attr(default="new")
    tags: Attr[list[str]] = attr(default_factory=list)
    note: Attr[str] = attr(default="")
    version: Attr[int] = version()


class Loose(Model, table="stamped-loose"):
    """Without a version."""

    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    status: Attr[str] = attr(default="new")
    tags: Attr[list[str]] = attr(default_factory=list)


MANY = [f"field_{number:03}" for number in range(150)]
Wide = new_class(
    "Wide",
    (Model,),
    {"table": "stamped-wide"},
    lambda body: body.update(
        {
            "__module__": __name__,
            "__annotations__": {"id": Attr[str], "version": Attr[int], **dict.fromkeys(MANY, Attr[str | None])},
            "id": partition_key(),
            "version": version(),
            **{name: attr(default=None, omit_empty=True) for name in MANY},
        }
    ),
)
"""A model with so many fields that not all of them go into one condition."""

MODELS = (Kept, Loose, Wide)
WHO = actor("user:42")


def made_with(db):
    enabled(db)
    db.tables.create(
        next(plugin for plugin in db.plugins if plugin.name == "audit").of(Kept).row, skip_unavailable=True
    )


def enabled(db, **more):
    for model in MODELS:
        fields = MANY if model is Wide else ("amount", "status", "tags")
        db.enable_change_tracking(model, tracking(fields, **more))
    return db


@pytest.fixture
def open_tracked(plugged):
    return lambda **more: enabled(plugged(), **more)


@pytest.fixture
def db(open_tracked):
    with WHO:
        yield open_tracked()


def others(db, model, key, **wires):
    """Somebody with the rights of the table, and without the key, sets attributes."""
    store(db, model, {**stored(db, model, key), **wires})


def forged(db, model, key, *, at=None, **wires):
    """Another fingerprint in the stamp, and what may be told with it."""
    seal = bytearray(b64decode(stored(db, model, key)["_as"]["B"]))
    seal[9] ^= 1
    if at is not None:
        seal[:8] = at.to_bytes(8, "big")
    others(db, model, key, _as={"B": b64encode(seal).decode()}, **wires)


def told(db, model, key):
    verdict = db.audit.verify(model, key)
    assert verdict.ok, verdict
    history = db.audit.history(model, key)
    changes = [{one.field: (one.old, one.new) for one in record.changes} for record in history]
    return [record.op for record in history], changes, verdict.external


IN_2099 = int(datetime(2099, 1, 1, tzinfo=UTC).timestamp() * 1_000_000)
IN_10000 = 253_402_300_800_000_005

LIES = {
    "amount": {"amount": {"N": "999"}},
    "2099": {"at": IN_2099},
    "year 10000": {"at": IN_10000},
    "2 to the 64": {"at": 2**64 - 1},
    "number 77": {"_an": {"N": "77"}},
    "number of 23 digits": {"_an": {"N": "99999999999999999999999"}},
}


@pytest.mark.parametrize("lie", LIES)
def test_another_fingerprint_lets_nobody_believe_the_rest(open_tracked, key, lie):
    with WHO:
        db = open_tracked()
        db.create(Kept(id=key, amount=500))
        forged(db, Kept, key, **LIES[lie])
        assert not db.audit.verify(Kept, key)
        db.update(Kept, key, Kept.status.set("x"))
        ops, changes, external = told(db, Kept, key)
        assert (ops, external) == (["create", "external", "update"], (2,))
        assert changes[1] == ({"amount": (500, 999)} if lie == "amount" else {})
        assert changes[2] == {"status": ("new", "x")}
        assert [record.version for record in db.audit.history(Kept, key)] == [1, 2, 3]
        assert db.audit.as_of(Kept, key, datetime.now(UTC)).values["status"] == "x"


@pytest.mark.parametrize("lie", LIES)
def test_another_fingerprint_is_refused_where_changes_by_others_are(open_tracked, key, lie):
    with WHO:
        db = open_tracked(on_external="refuse")
        db.create(Loose(id=key, amount=500))
        forged(db, Loose, key, **LIES[lie])
        with pytest.raises(AuditChainBroken) as refused:
            db.update(Loose, key, Loose.status.set("x"))
        assert refused.value.reason == "external"
        ours = [frame for frame, _ in traceback.walk_tb(refused.value.__traceback__) if "/dynamorm/" in frame.f_code.co_filename]  # fmt: skip
        assert ours
        assert not [frame for frame in ours if KEY in frame.f_locals.values()]
        assert len(db.audit.history(Loose, key, verify=False)) == 1


def test_other_tracked_fields_are_no_change_by_others(db, plugged, key):
    db.update(Kept, db.create(Kept(id=key, amount=1)).id, Kept.amount.set(2))
    other = plugged()
    other.enable_change_tracking(Kept, tracking(("amount", "note"), on_external="refuse"))
    other.update(Kept, key, Kept.amount.set(3))
    assert told(other, Kept, key)[0] == ["create", "update", "baseline", "update"]


def test_who_changes_something_before_other_fields_are_tracked_is_refused(db, plugged, key):
    db.update(Kept, db.create(Kept(id=key, amount=1)).id, Kept.amount.set(2))
    others(db, Kept, key, amount={"N": "999"})
    other = plugged()
    other.enable_change_tracking(Kept, tracking(("amount", "note"), on_external="refuse"))
    with pytest.raises(AuditChainBroken, match="somebody who keeps no records"):
        other.update(Kept, key, Kept.amount.set(3))


def test_stamps_without_any_record_are_a_change_by_others(db, key):
    db.create(Kept(id=key, amount=1))
    with DB(db.inner.config) as plain:
        log = next(plugin for plugin in db.inner.plugins if plugin.name == "audit")
        row = log.of(Kept).row
        for one in plain.model(row).allow_scan().where(row.pk.contains(key)).all():
            plain.delete(one)
    forged(db, Kept, key, amount={"N": "9"})
    db.update(Kept, key, Kept.amount.add(1))
    assert told(db, Kept, key)[0] == ["external", "update"]


# ---------------------------------------------------------------------------------------- written over a change by others

LARGE = {"small": ("B", "C"), "large": ("y" * 3000, "z" * 3000)}


@pytest.mark.parametrize("size", LARGE)
@pytest.mark.parametrize("model", [Kept, Loose])
def test_a_save_over_a_change_by_others_records_it(db, key, model, size):
    theirs, mine = LARGE[size]
    db.create(model(id=key, amount=500, status="x" * len(mine)))
    obj = db.require(model, key)
    others(db, model, key, status={"S": theirs})
    obj.status = mine
    db.save(obj)
    ops, changes, external = told(db, model, key)
    assert (ops, external) == (["create", "external", "update"], (2,))
    assert changes[1:] == [{"status": ("x" * len(mine), theirs)}, {"status": (theirs, mine)}]
    obj.amount = 501
    db.save(obj)  # the object is what it wrote
    assert told(db, model, key)[0] == ["create", "external", "update", "update"]


@pytest.mark.parametrize("size", LARGE)
@pytest.mark.parametrize("model", [Kept, Loose])
def test_a_put_over_a_change_by_others_records_it(db, key, model, size):
    theirs, mine = LARGE[size]
    db.create(model(id=key, status=mine))
    obj = db.require(model, key)
    others(db, model, key, status={"S": theirs})
    db.put(obj)
    ops, changes, external = told(db, model, key)
    assert (ops, external) == (["create", "external", "update"], (2,))
    assert changes[1:] == [{"status": (mine, theirs)}, {"status": (theirs, mine)}]


@pytest.mark.parametrize("size", LARGE)
@pytest.mark.parametrize("model", [Kept, Loose])
def test_a_delete_over_a_change_by_others_records_it(db, key, model, size):
    theirs, mine = LARGE[size]
    db.create(model(id=key, status=mine))
    obj = db.require(model, key)
    others(db, model, key, status={"S": theirs})
    db.delete(obj)
    ops, changes, external = told(db, model, key)
    assert (ops, external) == (["create", "external", "delete"], (2,))
    assert changes[2]["status"] == (theirs, None)


@pytest.mark.parametrize("model", [Kept, Loose])
@pytest.mark.parametrize("verb", ["save", "put", "delete"])
def test_a_write_over_a_change_by_others_is_refused_where_these_are(open_tracked, key, model, verb):
    with WHO:
        db = open_tracked(on_external="refuse")
        db.create(model(id=key, amount=500))
        obj = db.require(model, key)
        others(db, model, key, amount={"N": "999"})
        obj.amount = 600
        with pytest.raises(AuditChainBroken):
            getattr(db, verb)(obj)
        assert db.require(model, key).amount == 999


def test_in_a_transaction_the_object_is_loaded_again(db, key):
    db.create(Kept(id=key, amount=500))
    obj = db.require(Kept, key)
    others(db, Kept, key, amount={"N": "999"})
    obj.amount = 600
    with pytest.raises(TransactionCancelled), db.transaction() as tx:
        tx.save(obj)
    obj = db.require(Kept, key)
    obj.amount = 600
    with db.transaction() as tx:
        tx.save(obj)
    assert told(db, Kept, key)[1][1:] == [{"amount": (500, 999)}, {"amount": (999, 600)}]


def test_a_change_by_others_to_what_is_left_alone_is_found_too(db, key):
    db.create(Kept(id=key, amount=500))
    obj = db.require(Kept, key)
    others(db, Kept, key, amount={"N": "999"})
    obj.status = "paid"
    db.save(obj)
    assert told(db, Kept, key)[1][1:] == [{"amount": (500, 999)}, {"status": ("new", "paid")}]


def test_a_save_that_is_made_anew_keeps_its_token(db, key):
    """So that a spool, or who lost the answer, recognizes it."""
    db.create(Kept(id=key, amount=500))
    obj = db.require(Kept, key)
    others(db, Kept, key, amount={"N": "999"})
    obj.amount = 600
    sent = []

    def recorded(call):
        def around(op):
            if op.name == "TransactWriteItems":
                sent.append(decode(op.body))
            return call(op)

        return around

    session = db.inner._session
    calls = session.call
    session.call = recorded(calls)
    try:
        db.save(obj)
    finally:
        session.call = calls
    rings = [
        value["B"]
        for request in sent
        for value in request["TransactItems"][0]["Update"]["ExpressionAttributeValues"].values()
        if "B" in value and len(b64decode(value["B"])) == 16
    ]
    assert (len(rings), rings[-1]) == (len(sent), rings[-2])
    assert stored(db, Kept, key)["_wt"]["B"] == rings[-1]


@pytest.mark.parametrize("given", [0, 75, 150])
def test_a_condition_has_room_for_the_fields_that_are_replaced(plugged, key, given):
    """An expression of DynamoDB has at most 4 KB and 300 operators: of more fields, those that the write changes come first."""
    recorder = Recorder()
    with WHO:
        db = enabled(plugged(recorder))
        db.create(Wide(id=key, **dict.fromkeys(MANY[:given], "x")))
        obj = db.require(Wide, key)
        others(db, Wide, key, field_149={"S": "theirs"})
        obj.field_149 = "mine"
        db.save(obj)
        assert told(db, Wide, key)[1][1:] == [
            {"field_149": ("x" if given == 150 else None, "theirs")},
            {"field_149": ("theirs", "mine")},
        ]
        db.put(obj)
        db.delete(obj)
        parts = [part for _, request in recorder.calls for part in request.get("TransactItems", ())]
        said = [str(one.get("ConditionExpression", "")) for part in parts for one in part.values()]
        assert 1000 < max(map(len, said)) < 4096
        assert max(text.count(" = ") + 2 * text.count("attribute_not") for text in said) < 300
