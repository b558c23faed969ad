"""`Audit` fields: who made an item, who wrote it last, and its last changes, filled in by every verb that writes."""

import asyncio
import copy
import pickle
from typing import Any

import pytest

from dynamorm import (
    AsyncDB,
    Attr,
    Audit,
    AuditableModel,
    BatchConfig,
    Compressed,
    Encrypted,
    Model,
    actor,
    attr,
    partition_key,
    version,
)
from dynamorm.errors import ActorRequired, ConfigError, InvalidUse, ModelError, ValidationError
from dynamorm.plugins import EncryptionPlugin, Offload, Offloaded
from dynamorm.plugins.audit import AuditLog, Change

from .audit_kit import KEY, tracking

pytestmark = pytest.mark.engine


class Invoice(AuditableModel, Model, table="audit-invoices"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    note: Attr[str | None] = attr(default=None)
    pin: Attr[str | None] = attr(default=None, secret=True)
    version: Attr[int] = version()


class Stamp(Model, table="audit-stamps"):
    """Without a version and a change log."""

    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    created_by: Attr[str | None] = attr(Audit("created_by"))
    updated_by: Attr[str | None] = attr(Audit("updated_by"))
    updated_ip: Attr[str | None] = attr(Audit("updated_ip"))


class Plain(Model, table="audit-plain"):
    id: Attr[str] = partition_key()


MODELS = (Invoice, Stamp, Plain)


def made_with(db):
    db.enable_audit_log()


ANN = actor("user:ann", ip="203.0.113.7")
BOB = actor("user:bob")


@pytest.fixture
def db(plugged):
    return plugged(AuditLog())


def who(obj):
    return obj.created_by, obj.updated_by, obj.updated_ip


BY_ANN, BY_BOTH = ("user:ann", "user:ann", "203.0.113.7"), ("user:ann", "user:bob", None)


@pytest.mark.parametrize("model", [Invoice, Stamp])
def test_every_verb_fills_them_in(db, key, model):
    def stored():
        return who(db.require(model, key))

    with ANN:
        obj = db.create(model(id=key))
    assert who(obj) == stored() == BY_ANN
    with BOB:
        obj.amount = 1
        db.save(obj)
        assert who(obj) == stored() == BY_BOTH
    with ANN:
        db.update(obj, model.amount.add(1))
        assert who(obj) == stored() == BY_ANN
    with BOB:
        assert who(db.update(model, key, model.amount.add(1))) == stored() == BY_BOTH
    with ANN:
        assert db.increment(model, key, model.amount) == 4
        assert stored() == BY_ANN
    with BOB:
        db.upsert(model, key, model.amount.add(1))
        assert stored() == BY_BOTH
    with ANN:
        db.put(db.require(model, key))
        assert stored() == BY_ANN
    with BOB:
        replaced = db.put(model(id=key, amount=9))
        assert who(replaced) == stored() == BY_BOTH
    with ANN, db.transaction() as tx:
        tx.update(model, key, model.amount.add(1))
    assert stored() == BY_ANN
    with BOB:
        loaded = db.require(model, key)
        loaded.amount = 20
        with db.transaction() as tx:
            tx.save(loaded)
    assert stored() == BY_BOTH


@pytest.mark.parametrize("model", [Invoice, Stamp])
def test_what_an_upsert_or_a_put_makes_is_made_by_who_does_it(db, key, model):
    with ANN:
        db.upsert(model, key, model.amount.add(1))
        db.upsert(model(id=f"{key}o"), model.amount.add(1))
        db.put(model(id=f"{key}p"))
        assert db.increment(model, f"{key}i", model.amount, upsert=True) == 1
        with db.transaction() as tx:
            tx.update(model, f"{key}t", model.amount.add(1), upsert=True)
            tx.put(model(id=f"{key}tp"))
    assert {who(db.require(model, key + end)) for end in ("", "o", "p", "i", "t", "tp")} == {BY_ANN}


def test_a_batcher_takes_the_actor_of_who_adds(db, key, engine):
    if db.kind == "asyncio":
        return asyncio.run(_batched(db.inner.config, key))
    with db.inner.new_batcher(BatchConfig(max_wait=0.5)) as batcher:
        with ANN:
            first = batcher.add(Invoice(id=f"{key}a"))
        with BOB:
            second = batcher.add(Invoice(id=f"{key}b"))
        with pytest.raises(ActorRequired):
            batcher.add(Invoice(id=f"{key}c"))
        assert (first.result(20).created_by, second.result(20).created_by) == ("user:ann", "user:bob")
    assert db.get(Invoice, f"{key}c") is None
    return None


async def _batched(config, key):
    async with AsyncDB(config) as db:
        db.enable_audit_log()
        async with db.new_batcher(BatchConfig(max_wait=0.5)) as batcher:
            async with ANN:
                first = await batcher.add(Invoice(id=f"{key}a"))
            async with BOB:
                second = await batcher.add(Invoice(id=f"{key}b"))
            with pytest.raises(ActorRequired):
                await batcher.add(Invoice(id=f"{key}c"))
            assert ((await first).created_by, (await second).created_by) == ("user:ann", "user:bob")


@pytest.mark.parametrize("model", [Invoice, Stamp])
def test_nobody_writes(db, key, model):
    with ANN:
        obj = db.create(model(id=key))
    obj.amount = 5
    calls = [
        lambda: db.create(model(id=f"{key}2")),
        lambda: db.put(model(id=f"{key}2")),
        lambda: db.save(obj),
        lambda: db.update(model, key, model.amount.add(1)),
        lambda: db.upsert(model, key, model.amount.add(1)),
        lambda: db.increment(model, key, model.amount),
        lambda: db.delete(model, key),
        lambda: db.delete(obj),
    ]
    for call in calls:
        with pytest.raises(ActorRequired) as refused:
            call()
        assert refused.value.code == "ErrActorRequired"
        assert refused.value.outcome.name == "NOT_APPLIED"
        assert "dynamorm.actor" in str(refused.value)
    with pytest.raises(ActorRequired), db.transaction() as tx:
        tx.update(model, key, model.amount.add(1))
    assert db.get(model, f"{key}2") is None
    assert db.require(model, key).amount == 0


def test_nobody_may_write_where_that_is_said(plugged, key):
    db = plugged(AuditLog(require_actor=False))
    assert who(db.create(Stamp(id=key))) == ("-", "-", None)


def test_a_value_that_somebody_gives_is_refused(db, key):
    with ANN:
        with pytest.raises(ValidationError, match="is set by the library") as refused:
            db.create(Invoice(id=key, created_by="root"))
        assert refused.value.field == "created_by"
        assert "root" not in str(refused.value)
        with pytest.raises(ValidationError):
            db.put(Invoice(id=key, updated_by="root"))
        obj = db.create(Invoice(id=key))
        for name, value in (
            ("created_by", "root"),
            ("updated_ip", "1.2.3.4"),
            ("change_log", [Change(field="amount")]),
        ):
            other = db.require(Invoice, key)
            setattr(other, name, value)
            with pytest.raises(ValidationError) as refused:
                db.save(other)
            assert refused.value.field == name
            with pytest.raises(ValidationError):
                db.put(other)
        with pytest.raises(ValidationError):
            db.update(obj, Invoice.created_by.set("root"))
        with pytest.raises(ValidationError):
            db.update(Invoice, key, Invoice.updated_by.remove())
        with pytest.raises(ValidationError), db.transaction() as tx:
            tx.update(Invoice, key, Invoice.change_log.set([]))
    assert who(db.require(Invoice, key)) == BY_ANN


def test_the_change_log_tells_each_change_and_no_secret(db, key):
    with ANN:
        obj = db.create(Invoice(id=key, amount=1))
        assert obj.change_log == []
    with BOB:
        obj.amount, obj.note, obj.pin = 2, "x" * 300, "1234"
        db.save(obj)
    assert obj == db.require(Invoice, key)
    changes = {change.field: change for change in obj.change_log}
    assert set(changes) == {"amount", "note", "pin"}
    assert (changes["amount"].old, changes["amount"].new, changes["amount"].by) == (1, 2, "user:bob")
    assert changes["amount"].at == db.require(Invoice, key).change_log[0].at
    assert changes["note"].new is None
    assert changes["pin"].new is None
    assert "1234" not in str(obj.change_log)
    with ANN:
        db.update(Invoice, key, Invoice.amount.add(3))
        db.put(Invoice(id=key, amount=7))
    log = db.require(Invoice, key).change_log
    assert [(one.field, one.old, one.new) for one in log[3:]][:2] == [("amount", 2, 5), ("amount", 5, 7)]


def test_the_change_log_is_bounded_and_counts_what_it_dropped(db, key):
    with ANN:
        obj = db.create(Invoice(id=key))
        for number in range(1, 31):
            obj.amount = number
            db.save(obj)
    log = db.require(Invoice, key).change_log
    assert len(log) == 20
    assert [one.new for one in log] == list(range(11, 31))
    assert log[0].dropped == 10
    assert {one.dropped for one in log[1:]} == {0}
    with ANN:
        for number in range(40):
            db.update(Invoice, key, Invoice.note.set(f"{number:02}" * 120))
    log = db.require(Invoice, key).change_log
    assert len(log) < 20
    assert log[0].dropped + len(log) == 70
    assert len(str([vars(one) for one in log])) < 12_000


def test_two_writers_of_one_log_lose_no_change(db, key):
    with ANN:
        db.create(Invoice(id=key))

    def work(number):
        with actor(f"user:{number}"):
            db.update(Invoice, key, Invoice.amount.add(1))

    db.concurrently(work, 5)
    obj = db.require(Invoice, key)
    assert obj.amount == 5
    assert [one.new for one in obj.change_log] == [1, 2, 3, 4, 5]
    assert {one.by for one in obj.change_log} == {f"user:{number}" for number in range(5)}


def test_what_has_no_conditions_is_refused_whole(db, key):
    with ANN:
        with pytest.raises(ValidationError, match="batch"):
            db.batch_write(puts=[Plain(id=key), Invoice(id=key)])
        assert db.get(Plain, key) is None
        obj = db.create(Invoice(id=key))
        with pytest.raises(ValidationError):
            db.batch_write(deletes=[obj])
        with pytest.raises(ValidationError):
            db.partiql("UPDATE {table} SET amount = 5 WHERE id = ?", [key], model=Invoice)
        assert db.require(Invoice, key).amount == 0
        result = db.batch_write(puts=(one for one in [Plain(id=key), Invoice(id=f"{key}2"), Plain(id=f"{key}3")]))
        assert [type(failure.error) for failure in result.failed] == [ValidationError]
        assert db.get(Invoice, f"{key}2") is None


def test_delete_all_passes_by_the_rule(db, key):
    with ANN:
        db.create(Stamp(id=key))
    with pytest.raises(ActorRequired):
        db.model(Stamp).where(Stamp.id == key).delete_all(confirm=True)
    assert db.get(Stamp, key) is not None
    with ANN:
        db.model(Stamp).where(Stamp.id == key).delete_all(confirm=True)
    assert db.get(Stamp, key) is None


def test_a_model_with_the_option_needs_the_log(plugged, key):
    with pytest.raises(ModelError):
        plugged().create(Stamp(id=key))


def test_a_plain_model_needs_no_actor(db, key):
    db.create(Plain(id=key))
    assert db.get(Plain, key) is not None


def test_the_constructor_need_not_be_given_them():
    assert who(Stamp(id="a")) == (None, None, None)
    assert Invoice(id="a").change_log == []


@pytest.mark.parametrize("kind", ["created", "", None, 5, "changelog,auto"])
def test_another_kind_is_refused(kind):
    with pytest.raises(ModelError):
        Audit(kind)


def test_it_is_enabled_once_and_at_once(plugged, key):
    db = plugged()
    db.enable_audit_log()
    with pytest.raises(ConfigError):
        db.enable_audit_log()
    with ANN:
        assert db.create(Stamp(id=key)).created_by == "user:ann"
    late = plugged()
    late.get(Plain, key)
    with pytest.raises(ConfigError):
        late.enable_audit_log()


def test_a_class_in_the_place_of_the_option_is_refused():
    with pytest.raises((ModelError, InvalidUse)):

        class Wrong(Model, table="wrong"):
            id: Attr[str] = partition_key()
            by: Attr[str | None] = attr(Audit)


def test_a_change_log_shows_no_redacted_value(plugged, key):
    db = plugged(AuditLog(audit_key=KEY))
    db.enable_change_tracking(Invoice, tracking(["note"], store="audit-invoices-log", redact=["note"]))
    db.tables.ensure(Invoice)
    with ANN:
        obj = db.create(Invoice(id=key, note="first"))
        obj.note, obj.amount = "second", 2
        db.save(obj)
    log = {change.field: (change.old, change.new) for change in db.require(Invoice, key).change_log}
    assert log == {"note": (None, None), "amount": (0, 2)}


def test_a_key_is_not_pickled(key):
    config = tracking(["note"], audit_key=KEY)
    for given in (KEY, [KEY]):
        with pytest.raises(InvalidUse, match="audit_key"):
            pickle.dumps(tracking(["note"], audit_key=given))
    assert copy.copy(config) is copy.deepcopy(config) is config
    keyless = tracking(["note"], audit_key=None)
    assert pickle.loads(pickle.dumps(keyless)) == keyless


class Form(AuditableModel, Model, table="audit-forms-otherwise"):
    """Of fields that are stored in another form than that of their type."""

    id: Attr[str] = partition_key()
    packed: Attr[dict[str, Any]] = attr(Compressed(above=20), default_factory=dict)
    words: Attr[list[str]] = attr(Compressed(above=20), default_factory=list)
    text: Attr[str | None] = attr(Compressed(above=20), default=None)
    sealed: Attr[str | None] = attr(Encrypted("ring"), default=None)
    away: Attr[str | None] = attr(Offloaded("bucket", above=20), default=None)
    plain: Attr[str] = attr(default="")
    version: Attr[int] = version()


class Shelf:
    def __init__(self):
        self.objects = {}

    def put(self, bucket, key, data):
        self.objects[bucket, key] = data

    def get(self, bucket, key, largest):
        found = self.objects.get((bucket, key))
        return None if found is None else found[:largest]

    def delete(self, bucket, key):
        self.objects.pop((bucket, key), None)

    def list(self, bucket, prefix):
        return []


CHANGES = {
    "packed": ({"a": "x" * 200}, {"b": "short"}),
    "words": (["y" * 50] * 9, ["a"]),
    "text": ("z" * 300, "short"),
    "sealed": ("s" * 100, "short"),
    "away": ("w" * 500, "short"),
}


@pytest.mark.parametrize("name", sorted(CHANGES))
@pytest.mark.parametrize(
    "verb", ["update", "of object", "save", "put", "patch", "upsert", "transaction", "save_all", "remove"]
)
def test_fields_that_are_stored_in_another_form_are_changed_by_every_verb(plugged, keys, key, name, verb):
    shelf = Shelf()
    db = plugged(AuditLog(), EncryptionPlugin(keys), Offload(shelf))
    db.tables.ensure(Form)
    long, short = CHANGES[name]
    path = getattr(Form, name)
    with ANN:
        db.create(Form(id=key))
        for number, value in enumerate((long, short, long, long)):
            obj = db.require(Form, key)
            if verb == "update":
                db.update(Form, key, path.set(value))
            elif verb == "of object":
                db.update(obj, path.set(value))
            elif verb == "patch":
                db.patch(Form, key, {name: value})
            elif verb == "upsert":
                db.upsert(Form, key, path.set(value))
            elif verb == "transaction":
                with db.transaction() as tx:
                    tx.update(Form, key, path.set(value))
            elif verb == "remove" and number == 1:
                db.update(Form, key, path.remove())
                continue
            else:
                setattr(obj, name, value)
                {"save_all": lambda o: db.save_all([o]), "put": db.put}.get(verb, db.save)(obj)
            assert getattr(db.require(Form, key), name) == value
    found = db.require(Form, key)
    assert getattr(found, name) == long
    assert [(change.field, change.old, change.new) for change in found.change_log] == [(name, None, None)] * 3
