"""Change tracking: a record of each change, in the transaction that makes it, whoever writes and however."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from dynamorm import DB, Attr, BatchConfig, Model, Unique, actor, attr, composite, partition_key, sort_key, ttl, version
from dynamorm.errors import (
    ActorRequired,
    AlreadyExists,
    AuditChainBroken,
    ConditionFailed,
    ConfigError,
    DuplicateKey,
    KeyUnavailable,
    ModelError,
    Outcome,
    ValidationError,
    VersionConflict,
)
from dynamorm.models.schema.schema import schema_of
from dynamorm.plugins.audit import AuditLog, ChangeTrackingConfig, Digest

from .audit_kit import KEY, rows, tracking

pytestmark = pytest.mark.engine


class Payment(Model, table="audit-payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    status: Attr[str] = attr(default="new")
    note: Attr[str | None] = attr(default=None)
    tags: Attr[set[str]] = attr(default_factory=set)
    pan: Attr[str | None] = attr(default=None, secret=True)
    version: Attr[int] = version()


class Bare(Model, table="audit-bare"):
    """Without a version, and with a sort key."""

    id: Attr[str] = partition_key()
    at: Attr[int] = sort_key()
    amount: Attr[int] = attr(default=0)
    note: Attr[str] = attr(default="")


class Mine(Model, table="audit-mine"):
    pk: Attr[str] = partition_key(composite("T#{scope.tenant}#{id}"))
    id: Attr[str]
    amount: Attr[int] = attr(default=0)


MODELS = (Payment, Bare, Mine)
FIELDS = ("amount", "status", "tags", "pan")
WHO = actor("user:42", ip="203.0.113.7", user_agent="curl/8", request_id="r-1")


def made_with(db):
    enable(db)
    db.tables.create(
        next(plugin for plugin in db.plugins if plugin.name == "audit").of(Payment).row, skip_unavailable=True
    )


def enable(db, **more):
    db.enable_change_tracking(Payment, tracking(FIELDS, **more))
    db.enable_change_tracking(Bare, tracking(("amount",), **more))
    db.enable_change_tracking(Mine, tracking(("amount",), **more))


@pytest.fixture
def open_tracked(plugged):
    def opened(**more):
        face = plugged()
        enable(face, **more)
        return face

    return opened


@pytest.fixture
def db(open_tracked):
    with WHO:
        yield open_tracked()


@pytest.fixture
def plain(db):
    """The same tables without the audit log, as another program sees them."""
    with DB(db.inner.config) as other:
        yield other


def ops(db, model, *key):
    verdict = db.audit.verify(model, *key)
    assert verdict.ok, verdict
    return [record.op for record in db.audit.history(model, *key)]


def changed(record):
    return {change.field: (change.old, change.new) for change in record.changes}


def test_a_record_tells_who_when_and_what(db, key):
    before = datetime.now(UTC)
    obj = db.create(Payment(id=key, amount=5))
    obj.amount, obj.note = 6, "not tracked"
    db.save(obj)
    first, second = db.audit.history(Payment, key)
    assert (first.version, first.op, first.by, first.ip, first.user_agent, first.request_id, first.entity_version) == (
        1, "create", "user:42", "203.0.113.7", "curl/8", "r-1", 0,
    )  # fmt: skip
    assert changed(first)["amount"] == (None, 5)
    assert changed(second) == {"amount": (5, 6)}
    assert (second.op, second.entity_version) == ("update", 1)
    assert before - timedelta(seconds=5) < first.at < second.at < datetime.now(UTC) + timedelta(seconds=5)
    assert db.audit.verify(Payment, key).checked == 2
    assert "203" not in repr(first)


def test_every_verb_leaves_its_record(db, key):
    obj = db.create(Payment(id=key, amount=1))
    obj.amount = 2
    db.save(obj)
    db.update(obj, Payment.amount.add(1))
    db.update(Payment, key, Payment.amount.add(1))
    assert db.increment(Payment, key, Payment.amount) == 5
    db.upsert(Payment, key, Payment.amount.add(1))
    db.put(Payment(id=key, amount=7))
    with db.transaction() as tx:
        tx.update(Payment, key, Payment.amount.add(1))
    loaded = db.require(Payment, key)
    loaded.amount = 9
    with db.transaction() as tx:
        tx.save(loaded)
    with db.transaction() as tx:
        tx.delete(Payment, key)
        tx.create(Payment(id=f"{key}t"))
        tx.put(Payment(id=f"{key}p"))
        tx.update(Payment, f"{key}u", Payment.amount.add(1), upsert=True)
    assert ops(db, Payment, key) == ["create", *["update"] * 8, "delete"]
    amounts = [changed(record)["amount"] for record in db.audit.history(Payment, key)]
    assert amounts == [(None, 1), *((number, number + 1) for number in range(1, 9)), (9, None)]
    assert [ops(db, Payment, key + end) for end in "tpu"] == [["create"]] * 3
    db.delete(db.require(Payment, f"{key}t"))
    db.model(Payment).where(Payment.id == f"{key}p").delete_all(confirm=True)
    assert ops(db, Payment, f"{key}t") == ops(db, Payment, f"{key}p") == ["create", "delete"]


def test_a_model_without_a_version_and_with_a_sort_key(db, key):
    obj = db.create(Bare(id=key, at=1))
    obj.amount = 2
    db.save(obj)
    db.update(Bare, key, 1, Bare.amount.add(1))
    other = db.require(Bare, key, 1)
    db.update(Bare, key, 1, Bare.amount.add(1))
    other.amount = 50
    with pytest.raises(Exception) as refused:  # what was loaded is not stored any more, and the record would tell a lie
        db.save(other)
    assert refused.value.outcome is Outcome.NOT_APPLIED
    db.put(Bare(id=key, at=1, amount=9))
    db.delete(Bare, id=key, at=1)
    assert ops(db, Bare, key, 1) == ["create", *["update"] * 4, "delete"]
    assert db.audit.history(Bare, id=key, at=1) == db.audit.history(Bare, key, 1)


def test_a_key_that_was_deleted_goes_on_with_its_chain(db, key):
    for _ in range(3):
        obj = db.create(Payment(id=key))
        db.delete(obj)
    db.put(Payment(id=key))
    db.delete(Payment, key)
    db.upsert(Payment, key, Payment.amount.add(1))
    assert ops(db, Payment, key) == [*["create", "delete"] * 4, "create"]
    assert [record.version for record in db.audit.history(Payment, key)] == list(range(1, 10))


def test_what_is_not_tracked_leaves_no_record(db, key):
    obj = db.create(Payment(id=key))
    db.update(Payment, key, Payment.note.set("a"))
    db.update(Payment, key, Payment.amount.add(0), Payment.status.set("new"))
    obj = db.require(Payment, key)
    obj.note = "b"
    db.save(obj)
    db.delete(Payment, f"{key}-nothing")
    assert ops(db, Payment, key) == ["create"]
    assert db.audit.history(Payment, f"{key}-nothing") == []
    assert db.audit.verify(Payment, f"{key}-nothing").ok


def test_without_an_actor_nothing_is_written(open_tracked, key):
    db = open_tracked()
    for call in (
        lambda: db.create(Payment(id=key)),
        lambda: db.put(Payment(id=key)),
        lambda: db.upsert(Payment, key, Payment.amount.add(1)),
        lambda: db.delete(Payment, key),
    ):
        with pytest.raises(ActorRequired):
            call()
    assert db.get(Payment, key) is None
    assert db.audit.history(Payment, key) == []


def test_what_is_refused_leaves_no_record(db, key):
    obj = db.create(Payment(id=key))
    with pytest.raises(AlreadyExists):
        db.create(Payment(id=key))
    stale = db.require(Payment, key)
    db.update(obj, Payment.amount.add(1))
    stale.amount = 7
    with pytest.raises(VersionConflict):
        db.save(stale)
    with pytest.raises(VersionConflict):
        db.delete(stale)
    with pytest.raises(ValidationError):
        db.batch_write(puts=[Payment(id=f"{key}b")])
    with pytest.raises(ValidationError):
        db.partiql('UPDATE {table} SET "amount" = 5 WHERE "id" = ?', [key], model=Payment)
    assert ops(db, Payment, key) == ["create", "update"]
    assert db.get(Payment, f"{key}b") is None


def test_the_batcher_writes_each_with_its_record(db, key):
    if db.kind != "blocking":
        pytest.skip("the futures of the other face are awaited")
    with db.inner.new_batcher(BatchConfig(max_wait=0.05)) as batcher:
        futures = [batcher.add(Payment(id=f"{key}{number}")) for number in range(5)]
        for future in futures:
            future.result(20)
    for number in range(5):
        assert ops(db, Payment, f"{key}{number}") == ["create"]
        assert db.audit.history(Payment, f"{key}{number}")[0].by == "user:42"


def test_many_writers_of_one_item_lose_no_record(db, key):
    db.create(Payment(id=key))

    def work(number):
        with actor(f"user:{number}"):
            done = 0
            while done < 3:
                with suppress(ConditionFailed):  # others were first in each of eight tries, and nothing was applied
                    db.update(Payment, key, Payment.amount.add(1))
                    done += 1

    db.concurrently(work, 5)
    history = db.audit.history(Payment, key)
    assert db.audit.verify(Payment, key).ok
    assert db.require(Payment, key).amount == 15
    assert [changed(record)["amount"][1] for record in history] == list(range(16))
    assert sorted(record.by for record in history[1:]) == sorted(
        f"user:{number}" for number in range(5) for _ in range(3)
    )


def test_a_transaction_names_the_sum_of_what_it_would_write(db, key):
    def too_many():
        with db.transaction() as tx:
            for number in range(51):
                tx.create(Bare(id=f"{key}{number}", at=1))

    with pytest.raises(ValidationError, match=r"at most 100 operations and this one has 102, 51 of which") as refused:
        too_many()
    assert "Tracking" in str(refused.value)
    with db.transaction() as tx:
        for number in range(25):
            tx.create(Bare(id=f"{key}{number}", at=1))
    assert ops(db, Bare, f"{key}24", 1) == ["create"]


def test_two_writes_of_one_item_in_one_transaction_are_refused(db, key):
    db.create(Payment(id=key))

    def twice():
        with db.transaction() as tx:
            tx.update(Payment, key, Payment.amount.add(1))
            tx.update(Payment, key, Payment.status.set("b"))

    with pytest.raises(ValidationError, match="one item"):
        twice()
    assert ops(db, Payment, key) == ["create"]


# ------------------------------------------------------------------------------------------------ others who write


def test_an_item_from_before_gets_a_baseline(db, plain, key):
    plain.create(Payment(id=key, amount=3))
    assert db.audit.verify(Payment, key).reason == "unrecorded"
    assert db.audit.history(Payment, key) == []
    db.update(Payment, key, Payment.amount.add(1))
    history = db.audit.history(Payment, key)
    assert ops(db, Payment, key) == ["baseline", "update"]
    assert changed(history[0])["amount"] == (None, 3)
    assert changed(history[1]) == {"amount": (3, 4)}
    for how in ("save", "delete", "put"):
        plain.create(Payment(id=key + how, amount=3))
        obj = db.require(Payment, key + how)
        obj.amount = 4
        getattr(db, how)(obj)
        assert ops(db, Payment, key + how) == ["baseline", "delete" if how == "delete" else "update"]


def test_another_program_that_keeps_the_stamps_is_found(db, plain, key):
    db.create(Payment(id=key, amount=3))
    plain.update(Payment, key, Payment.amount.set(1000))
    verdict = db.audit.verify(Payment, key)
    assert (verdict.ok, verdict.reason, verdict.first_bad) == (False, "external", 2)
    assert len(db.audit.history(Payment, key)) == 1
    db.update(Payment, key, Payment.amount.add(1))
    assert ops(db, Payment, key) == ["create", "external", "update"]
    history = db.audit.history(Payment, key)
    assert changed(history[1])["amount"] == (3, 1000)
    assert changed(history[2])["amount"] == (1000, 1001)
    assert db.audit.verify(Payment, key).external == (2,)


def test_another_program_that_drops_the_stamps_is_found(db, plain, key):
    db.create(Payment(id=key, amount=3))
    plain.put(Payment(id=key, amount=4))
    assert db.audit.verify(Payment, key).reason == "external"
    obj = db.require(Payment, key)
    obj.amount = 5
    db.save(obj)
    assert ops(db, Payment, key) == ["create", "external", "update"]
    assert changed(db.audit.history(Payment, key)[1])["amount"] == (3, 4)


@pytest.mark.parametrize("again", ["create", "put", "upsert"])
def test_an_item_that_others_deleted_is_recorded_with_the_next_one(db, plain, key, again):
    db.create(Payment(id=key, amount=3))
    plain.delete(Payment, key)
    assert db.audit.verify(Payment, key).reason == "missing"
    if again == "upsert":
        db.upsert(Payment, key, Payment.amount.add(1))
    else:
        getattr(db, again)(Payment(id=key, amount=1))
    assert ops(db, Payment, key) == ["create", "external", "create"]


def test_what_others_made_behind_a_tombstone_is_recorded(db, plain, key):
    db.delete(db.create(Payment(id=key)))
    plain.create(Payment(id=key, amount=7))
    assert db.audit.verify(Payment, key).reason == "external"
    db.update(Payment, key, Payment.amount.add(1))
    assert ops(db, Payment, key) == ["create", "delete", "external", "update"]


def test_changes_by_others_may_be_refused(open_tracked, key):
    with WHO:
        db = open_tracked(on_external="refuse")
        db.create(Payment(id=key, amount=3))
        with DB(db.inner.config) as plain:
            plain.update(Payment, key, Payment.amount.set(1000))
        with pytest.raises(AuditChainBroken) as refused:
            db.update(Payment, key, Payment.amount.add(1))
        assert (refused.value.reason, refused.value.outcome, refused.value.retryable) == (
            "external", Outcome.NOT_APPLIED, False,
        )  # fmt: skip
        assert db.require(Payment, key).amount == 1000


def test_an_item_that_was_put_back_is_not_written_and_goes_on_by_restore(db, plain, key):
    db.create(Payment(id=key, amount=1))
    old = plain.get(Payment, key)
    db.update(Payment, key, Payment.amount.set(2))
    plain.put(old)  # with the stamps of record 1
    verdict = db.audit.verify(Payment, key)
    assert (verdict.ok, verdict.reason) == (False, "head")
    with pytest.raises(AuditChainBroken) as refused:
        db.update(Payment, key, Payment.amount.add(1))
    assert refused.value.reason == "head"
    assert db.require(Payment, key).amount == 1
    db.audit.restore(Payment, key, version=2)
    assert ops(db, Payment, key) == ["create", "update", "external", "update"]
    assert db.require(Payment, key).amount == 2


def test_other_tracked_fields_begin_with_a_baseline(db, plugged, key):
    db.create(Payment(id=key, amount=1))
    with WHO:
        other = plugged()
        other.enable_change_tracking(Payment, tracking(("amount", "note")))
        other.update(Payment, key, Payment.note.set("x"))
        assert [record.op for record in other.audit.history(Payment, key)] == ["create", "baseline", "update"]
        assert other.audit.verify(Payment, key).ok
    db.update(Payment, key, Payment.amount.add(1))
    assert ops(db, Payment, key) == ["create", "baseline", "update", "baseline", "update"]


def test_a_baseline_that_tells_other_values_is_named(db, plain, plugged, key):
    db.create(Payment(id=key, amount=1))
    plain.update(Payment, key, Payment.amount.set(1000))
    with WHO:
        other = plugged()
        other.enable_change_tracking(Payment, tracking(("amount", "note")))
        other.update(Payment, key, Payment.note.set("x"))
        assert other.audit.verify(Payment, key).external == (2,)


class Guarded(Model, table="audit-guarded"):
    id: Attr[str] = partition_key()
    mail: Attr[str] = attr(Unique(), default="a")
    amount: Attr[int] = attr(default=0)


def test_guards_of_unique_values_and_records_go_together(engine, plugged, key):
    with WHO:
        db = plugged()
        db.enable_change_tracking(Guarded, tracking(("mail", "amount")))
        db.tables.ensure(Guarded, skip_unavailable=True)
        db.create(Guarded(id=key, mail=key))
        with pytest.raises(DuplicateKey):
            db.create(Guarded(id=f"{key}2", mail=key))
        db.update(Guarded, key, Guarded.mail.set(f"{key}-new"))
        assert db.find_by_unique(Guarded, mail=f"{key}-new").id == key
        assert ops(db, Guarded, key) == ["create", "update"]
        assert ops(db, Guarded, f"{key}2") == []
        db.delete(Guarded, key)
        assert ops(db, Guarded, key) == ["create", "update", "delete"]

        def too_many():
            with db.transaction() as tx:
                for number in range(34):
                    tx.create(Guarded(id=f"{key}{number}", mail=f"{key}{number}"))

        with pytest.raises(ValidationError, match="this one has 102"):
            too_many()


class Restless:
    """Changes the item before each transaction, as another program does that is always faster."""

    name = "restless"

    def __init__(self):
        self.change, self.tries = None, 0

    def around(self, call):
        def first(op):
            if op.name == "TransactWriteItems" and self.change is not None:
                self.tries += 1
                self.change(self.tries)
            return (yield from call(op))

        return first


def test_an_item_that_others_change_each_time_is_given_up_and_nothing_was_applied(plugged, plain, key):
    with WHO:
        restless = Restless()
        db = plugged(restless)
        enable(db)
        db.create(Payment(id=key))
        restless.change = lambda number: plain.update(Payment, key, Payment.amount.set(number * 10))
        with pytest.raises(ConditionFailed) as refused:
            db.update(Payment, key, Payment.amount.add(1))
        restless.change = None
    assert refused.value.outcome is Outcome.NOT_APPLIED
    assert restless.tries == 9  # one of the item as it was recorded, and eight of what others made of it
    assert db.require(Payment, key).amount == 90
    assert len(db.audit.history(Payment, key)) == 1


# --------------------------------------------------------------------------------------------------- what is stored


def test_a_record_has_four_attributes_and_no_other(db, plain, key):
    db.create(Payment(id=key, amount=1))
    row = next(row for row in rows(db, Payment) if key in row.pk)
    raw = json.loads(plain._session.plan(type(row)).codec.loaded(row))
    assert sorted(raw) == ["b", "h", "pk", "sk"]
    assert row.sk == "00000000000000000001"
    assert row.pk == f"~A#audit-payments#S{key}"
    body = json.loads(row.body)
    assert row.body == json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def test_what_is_redacted_or_secret_is_in_no_record(open_tracked, key):
    with WHO:
        db = open_tracked(redact=())
        db.create(Payment(id=key, pan="4111111111111111"))
        db.update(Payment, key, Payment.pan.set("5500000000000004"))
        history = db.audit.history(Payment, key)
        assert db.audit.verify(Payment, key).ok
    for row in rows(db, Payment):
        if key in row.pk:
            assert b"4111111111111111" not in row.body
            assert b"5500000000000004" not in row.body
    old, new = changed(history[1])["pan"]
    assert isinstance(old, Digest)
    assert isinstance(new, Digest)
    assert (new.size, old == new) == (None, False)


def test_a_value_that_is_redacted_is_verified_all_the_same(plugged, key):
    with WHO:
        db = plugged()
        db.enable_change_tracking(Payment, tracking(("status", "amount"), redact=["status"]))
        db.create(Payment(id=key, status="secret state"))
        assert db.audit.verify(Payment, key).ok
        with DB(db.inner.config) as plain:
            plain.update(Payment, key, Payment.status.set("other"))
        assert db.audit.verify(Payment, key).reason == "external"
        assert not any(b"secret state" in row.body for row in rows(db, Payment))


def test_a_large_value_is_recorded_by_its_size_and_digest(db, key):
    large = "x" * 300_000
    db.create(Payment(id=key, status=large))
    db.update(Payment, key, Payment.status.set("y" * 299_999))
    db.update(Payment, key, Payment.status.set("small"))
    history = db.audit.history(Payment, key)
    assert ops(db, Payment, key) == ["create", "update", "update"]
    assert changed(history[0])["status"][1].size == 300_000 + len('{"S":""}')
    assert changed(history[2])["status"][1] == "small"
    assert not any(b"xxxx" in row.body for row in rows(db, Payment) if key in row.pk)


def test_a_long_key_is_replaced_by_its_hash(db, key):
    long = key + "k#%" * 600
    db.create(Payment(id=long))
    db.update(Payment, long, Payment.amount.add(1))
    assert ops(db, Payment, long) == ["create", "update"]
    db.delete(Payment, long)
    assert all(len(row.pk) < 700 for row in rows(db, Payment))


def test_keys_that_look_alike_have_chains_of_their_own(db, key):
    names = [f"{key}{end}" for end in ("", "#", "%23", "#S", "*", "?", "{x}", "\x00", "é")]
    for name in names:
        db.create(Payment(id=name, amount=1))
    assert [ops(db, Payment, name) for name in names] == [["create"]] * len(names)


def test_items_of_two_tenants_have_chains_and_keys_of_their_own(plugged, key, tmp_path):
    asked = []

    def keys(tenant):
        asked.append(tenant)
        return (tenant or "").encode().ljust(32, b"-")

    with WHO:
        db = plugged()
        db.enable_change_tracking(Mine, tracking(("amount",), audit_key=keys))
        one, two = db.scoped(tenant="t#1"), db.scoped(tenant="t2")
        one.create(Mine(id=key, amount=1))
        two.create(Mine(id=key, amount=2))
        one.update(one.require(Mine, id=key), Mine.amount.add(5))
        assert [record.op for record in one.audit.history(Mine, id=key)] == ["create", "update"]
        assert [record.op for record in two.audit.history(Mine, id=key)] == ["create"]
        assert one.audit.verify(Mine, id=key).ok
        with pytest.raises(ValidationError):
            db.create(Mine(id=key))
        assert one.audit.export(tmp_path / "one", Mine, id=key) == 2
        with pytest.raises(ConfigError, match="view"):
            one.audit.export(tmp_path / "all")
        with pytest.raises(ConfigError, match="view"):
            one.audit.checkpoint("t2", datetime.now(UTC).date())
        assert [path.name for path in tmp_path.iterdir()] == ["one"]
    assert set(asked) == {"t#1", "t2"}
    found = {row.pk.partition("~")[0] for row in rows(db, Mine) if "audit-mine" in row.pk}
    assert found == {"T#t%231#", "T#t2#"}


# --------------------------------------------------------------------------------------------------------- the keys


def test_a_new_key_goes_on_with_the_chain_and_the_old_one_verifies(db, plugged, key):
    db.create(Payment(id=key))
    new = b"n" * 32
    with WHO:
        both = plugged()
        both.enable_change_tracking(Payment, tracking(FIELDS, audit_key=[new, KEY]))
        both.update(Payment, key, Payment.amount.add(1))
        assert ops(both, Payment, key) == ["create", "update"]
        only = plugged()
        only.enable_change_tracking(Payment, tracking(FIELDS, audit_key=new))
        with pytest.raises(KeyUnavailable) as unknown:
            only.audit.verify(Payment, key)
        assert len(unknown.value.version) == 16
        with pytest.raises(KeyUnavailable):
            only.audit.history(Payment, key)
        assert len(only.audit.history(Payment, key, verify=False)) == 2


@pytest.mark.parametrize("bad", [b"short", "k" * 32, 5, [], [b"k" * 32, b"short"]])
def test_what_is_no_key_is_refused(bad):
    with pytest.raises(ConfigError):
        tracking(audit_key=bad)
    with pytest.raises(ConfigError):
        AuditLog(audit_key=bad)


def test_production_needs_a_key_and_development_says_that_it_has_none(plugged, caplog, key):
    with WHO:
        db = plugged()
        db.enable_change_tracking(Payment, ChangeTrackingConfig(fields=["amount"], store="audit-log"))
        db.create(Payment(id=key))
        assert db.audit.verify(Payment, key).ok
    assert "no audit_key" in caplog.text
    log = AuditLog()
    log._production = True
    with pytest.raises(ConfigError, match="audit_key"):
        log.track(schema_of(Payment), ChangeTrackingConfig(fields=["amount"], store="audit-log"))
    assert b"k" * 32 not in repr(tracking()).encode()


# ------------------------------------------------------------------------------------------------------- what is refused


class Expiring(Model, table="audit-expiring"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    ends: Attr[datetime | None] = ttl(default=None)


class Taken(Model, table="audit-taken"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(name="_ah")


class Renamed(Model, table="audit-renamed"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0, also_read=("Amount",))


@pytest.mark.parametrize(
    ("model", "fields", "text"),
    [
        (Payment, ["amuont"], "amuont"),
        (Payment, ["version"], "Payment.version"),
        (Payment, ["id"], "Payment.id"),
        (Expiring, ["amount"], "ttl_deletes"),
        (Taken, ["amount"], "_ah"),
        (Renamed, ["amount"], "also_read"),
    ],
)
def test_what_cannot_be_tracked_is_refused(plugged, model, fields, text):
    with pytest.raises(ModelError, match=text):
        plugged().enable_change_tracking(model, tracking(fields))


def test_items_that_expire_may_be_tracked_where_that_is_said(plugged):
    plugged().enable_change_tracking(Expiring, tracking(["amount"], ttl_deletes="external"))


@pytest.mark.parametrize(
    "settings",
    [
        {"fields": "amount"}, {"fields": []}, {"fields": [5]}, {"store": ""}, {"redact": ["status"], "fields": ["amount"]},
        {"on_external": "ignore"}, {"ttl_deletes": "yes"},
    ],
)  # fmt: skip
def test_what_is_no_configuration_is_refused(settings):
    with pytest.raises(ConfigError):
        ChangeTrackingConfig(**{"fields": ["amount"], "store": "audit-log", **settings})


def test_it_is_enabled_once_at_once_and_on_no_view(plugged, key):
    db = plugged()
    with pytest.raises(ConfigError):
        _ = db.audit
    enable(db)
    with pytest.raises(ConfigError, match="already"):
        db.enable_change_tracking(Payment, tracking())
    with pytest.raises(ConfigError):
        db.scoped(tenant="t").enable_change_tracking(Payment, tracking())
    with pytest.raises(ConfigError):
        plugged().enable_change_tracking(Payment, {"fields": ["amount"]})
    late = plugged()
    late.get(Payment, key)
    with pytest.raises(ConfigError):
        late.enable_change_tracking(Payment, tracking())


def test_where_the_record_cannot_be_written_nothing_is(plugged, db, key):
    db.create(Payment(id=key, amount=1))
    with WHO:
        other = plugged()
        other.enable_change_tracking(Payment, tracking(FIELDS, store="no-such-table"))
        with pytest.raises(Exception) as refused:
            other.update(Payment, key, Payment.amount.add(1))
    assert refused.value.outcome is Outcome.NOT_APPLIED
    assert db.require(Payment, key).amount == 1
    tracked = next(one for one in db.inner.plugins if one.name == "audit").of(Payment)
    with DB(db.inner.config) as plain:  # somebody has taken the number of the next record
        plain.put(tracked.row(pk=f"~A#audit-payments#S{key}", sk=f"{2:020d}", body=b"{}", mac=b""))
    with pytest.raises(AuditChainBroken):
        db.update(Payment, key, Payment.amount.add(1))
    with pytest.raises(AuditChainBroken):
        db.delete(Payment, key)
    assert db.require(Payment, key).amount == 1
    assert db.audit.verify(Payment, key).reason == "unreadable"


def test_the_store_is_made_with_the_table(engine, key):
    from dynamorm import Presets

    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=f"{key[:8]}-")) as db:
        enable(db)
        assert f"{key[:8]}-audit-log" in db.tables.plan(Payment).tables
        db.tables.ensure(Payment)
        assert not [text for text in db.tables.plan(Payment).problems if "recovery cannot be seen" not in text]
        row = next(one for one in db.plugins if one.name == "audit").of(Payment).row
        table = db.tables.describe(row)
        assert (table.status, table.deletion_protection) == ("ACTIVE", True)
        with WHO:
            db.create(Payment(id=key))
            assert db.audit.verify(Payment, key).ok


# ------------------------------------------------------------------------------------------------------------- families


class Thing(Model, table="audit-things", discriminator="kind"):
    id: Attr[str] = partition_key()
    name: Attr[str] = attr(default="")


class Charge(Thing, tag="charge"):
    amount: Attr[int] = attr(default=0)


class Other(Thing, tag="other"):
    size: Attr[int] = attr(default=0)


def test_a_family_is_tracked_from_its_root(plugged):
    face = plugged(AuditLog(audit_key=KEY))
    with pytest.raises(ModelError, match=r"items of Charge are written by Thing, too.*track Thing"):
        face.enable_change_tracking(Charge, tracking(fields=["amount"]))


def test_every_class_of_a_tracked_family_leaves_records(plugged, key):
    face = plugged(AuditLog(audit_key=KEY))
    face.enable_change_tracking(Thing, tracking(fields=["name"]))
    face.tables.ensure(Thing)

    def together(add):
        with face.transaction() as tx:
            add(tx)

    with WHO:
        for number, (write, made) in enumerate(
            (
                (lambda name: face.update(Thing, name, Thing.name.set("z")), ["create", "update"]),
                (lambda name: face.upsert(Thing, name, Thing.name.set("z")), ["create", "update"]),
                (lambda name: face.delete(Thing, name), ["create", "delete"]),
                (lambda name: face.put(Other(id=name, name="z")), ["create", "update"]),
                (lambda name: face.update(Charge, name, Charge.name.set("z")), ["create", "update"]),
                (lambda name: together(lambda tx: tx.update(Charge, name, Charge.name.set("z"))), ["create", "update"]),
            )
        ):
            charge = face.create(Charge(id=f"{key}-{number}", amount=5, name="n"))
            write(charge.id)
            assert ops(face, Thing, charge.id) == made
