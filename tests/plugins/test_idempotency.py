"""Idempotent operations on both faces: run once for a key, whatever is lost, repeated, taken over or killed."""

# ruff: noqa: PT012 - the end of a block of several statements is what raises

import os
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from datetime import UTC, datetime
from decimal import Decimal
from time import monotonic, sleep
from types import SimpleNamespace

import pytest

from dynamorm import (
    DB,
    Attr,
    Encrypted,
    LocalKeyProvider,
    Model,
    Presets,
    Tenant,
    TransactionCancelled,
    ValidationError,
    attr,
    composite,
    partition_key,
)
from dynamorm.engine import Engine
from dynamorm.errors import (
    AlreadyDone,
    ConfigError,
    ExecutionLost,
    IdempotencyError,
    InProgress,
    InvalidUse,
    KeyReused,
    LeaseLost,
    Outcome,
    OutcomeUnknown,
    StepUnknown,
    StoredFailure,
    TableNotFound,
)
from dynamorm.features import records as records_module
from dynamorm.features.records import Answer
from dynamorm.plugins import record_model
from dynamorm.plugins.idempotency import blocking, machine
from dynamorm.plugins.idempotency.clock import ServiceTime
from dynamorm.plugins.idempotency.options import record_key
from dynamorm.plugins.idempotency.values import decoded

pytestmark = pytest.mark.engine


class Effect(Model, table="effects"):
    id: Attr[str] = partition_key()
    count: Attr[int]


class Owned(Model, table="owned"):
    pk: Attr[str] = partition_key(composite("tenant", "id"))
    tenant: Attr[str] = attr(Tenant())
    id: Attr[str]
    count: Attr[int]


class Kept(Model, table="kept"):
    id: Attr[str] = partition_key()
    note: Attr[str] = attr(Encrypted("pii", searchable=True))


MODELS = [Effect, record_model("dynamorm-idempotency")]


class CardDeclined(Exception):
    pass


@pytest.fixture
def db(open_db, engine, made):
    return open_db(engine.endpoint, table_prefix=made)


def begun(db, key, **options):
    return db.idempotent(key, **{"payload": {"amount": 5}, "scope": "charge", **options})


def charge(db, key, **options):
    """One whole operation; its answer."""
    with begun(db, key, **options) as op:
        if not op.replayed:
            with op.transaction() as tx:
                tx.update(Effect, key, Effect.count.add(1), upsert=True)
            op.respond({"id": key})
    return op.response


def effects(db, key):
    found = db.get(Effect, key, consistent=True)
    return 0 if found is None else found.count


def stored(db, key, tenant="", scope="charge"):
    """The record, as an execution sees it."""
    flow = _records(db).send(record_key(tenant, scope, key), machine.READ)
    item = db.run(flow).item
    return None if item is None else machine.Stored.of(item)


def change(db, key, expect, sets):
    return db.run(_records(db).send(record_key("", "charge", key), machine.Change("update", expect, sets)))


def _records(db):
    return db.inner.idempotent("key", payload=None, scope="s")._records


def end_the_lease(db, key):
    """As if its holder had died longer ago than its lease."""
    seen = stored(db, key)
    assert change(db, key, (("own", "=", seen.own),), {"lease": 1}).applied
    return seen


# ----------------------------------------------------------------------------------------------------------- one after the other


def test_a_second_caller_gets_the_answer_of_the_first(db, key):
    first = charge(db, key)
    with begun(db, key) as op:
        assert (op.replayed, op.response, op.lost) == (True, first, False)

    assert charge(db, key) == first == {"id": key}
    assert effects(db, key) == 1


def test_nothing_is_visible_before_the_end_and_all_blocks_are_one_transaction(db, key):
    with begun(db, key) as op:
        for name in (f"{key}-1", f"{key}-2"):
            with op.transaction() as tx:
                tx.create(Effect(id=name, count=1))
        assert effects(db, f"{key}-1") == 0

    assert effects(db, f"{key}-1") == effects(db, f"{key}-2") == 1
    assert op.response is None


def test_a_block_of_writes_that_fails_is_left_out(db, key):
    with begun(db, key) as op:
        with pytest.raises(ZeroDivisionError), op.transaction() as tx:
            tx.create(Effect(id=f"{key}-1", count=1))
            1 / 0
        with op.transaction() as tx:
            tx.create(Effect(id=key, count=1))

    assert (effects(db, f"{key}-1"), effects(db, key)) == (0, 1)


def test_another_payload_is_refused(db, key):
    charge(db, key)
    with pytest.raises(KeyReused), begun(db, key, payload={"amount": 6}):
        pass
    assert stored(db, key).st == machine.COMMITTED


def test_another_scope_and_another_tenant_have_keys_of_their_own(db, key):
    charge(db, key)
    with begun(db, key, scope="refund", payload=1) as op:
        assert not op.replayed
    with begun(db.scoped(tenant=f"t-{key}"), key, payload=1) as op:
        assert not op.replayed
    assert stored(db, key, tenant=f"t-{key}").st == machine.COMMITTED


def test_a_failure_gives_the_key_back_and_forgets_nothing(db, key):
    with pytest.raises(ZeroDivisionError), begun(db, key) as op:
        op.step("charge", lambda _: "done")
        1 / 0
    kept = stored(db, key)
    assert (kept.st, kept.own, kept.lease, kept.fence) == (machine.PENDING, machine.NOBODY, 0, 1)
    assert decoded(kept.rp["charge"]) == "done"

    with pytest.raises(KeyReused), begun(db, key, payload="another"):
        pass
    with begun(db, key) as op:
        assert op.step("charge", lambda _: pytest.fail("it was done before")) == "done"
    again = stored(db, key)
    assert (again.fence, again.nonce, again.n) == (2, kept.nonce, 2)


def test_a_refused_commit_gives_the_key_back(db, key):
    db.create(Effect(id=key, count=7))
    with pytest.raises(TransactionCancelled) as caught, begun(db, key) as op, op.transaction() as tx:
        tx.create(Effect(id=key, count=1))
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert stored(db, key).own == machine.NOBODY

    assert charge(db, key) == {"id": key}
    assert effects(db, key) == 8


def test_a_failure_that_is_said_is_kept(db, key):
    with begun(db, key) as op:
        with op.transaction() as tx:
            tx.create(Effect(id=key, count=1))
        op.fail({"error": "card_declined"})

    with pytest.raises(StoredFailure) as caught, begun(db, key):
        pytest.fail("it was run again")
    assert caught.value.response == {"error": "card_declined"}
    assert effects(db, key) == 0


def test_an_operation_that_has_failed_for_good_can_do_nothing_again(db, key):
    with begun(db, key) as op:
        op.fail({"error": "card_declined"})
    with pytest.raises(ValidationError, match="does not run"):
        op.fail({"error": "another"})
    with pytest.raises(ValidationError, match="does not run"):
        op.transaction()


def test_an_exception_that_is_final_is_kept(db, key):
    with pytest.raises(CardDeclined), begun(db, key, final=(CardDeclined,)):
        raise CardDeclined("no funds")
    with pytest.raises(StoredFailure) as caught, begun(db, key):
        pass
    assert caught.value.response == {"type": "CardDeclined", "message": "no funds"}


def test_an_operation_that_was_done_can_do_nothing_again(db, key):
    charge(db, key)
    with begun(db, key) as op:
        with pytest.raises(AlreadyDone):
            op.transaction()
        with pytest.raises(AlreadyDone):
            op.step("charge", lambda _: pytest.fail("it was run again"))
        op.respond("another answer")
        op.fail("another answer")
        assert op.response == {"id": key}
    assert charge(db, key) == {"id": key}


def test_a_block_is_entered_once(db, key):
    block = begun(db, key)
    with block:
        pass
    with pytest.raises(InvalidUse, match="one block"), block:
        pass


# --------------------------------------------------------------------------------------------------------------- side by side


def test_while_it_runs_others_are_turned_away(db, key):
    began = monotonic()
    with begun(db, key) as op:
        with pytest.raises(InProgress) as caught, begun(db, key):
            pass
        assert 25 - (monotonic() - began) < caught.value.retry_after <= 32
        assert caught.value.retryable
        with pytest.raises(KeyReused), begun(db, key, payload="another"):
            pass
        assert not op.lost
    assert charge(db, key) is None


def test_who_waits_gets_the_answer(db, key):
    with ThreadPoolExecutor(1) as pool:
        with begun(db, key) as op:
            waiting = pool.submit(charge, db, key, wait=20)
            sleep(0.5)
            assert not waiting.done()
            op.respond("first")
        assert waiting.result(20) == "first"


def test_many_at_once_have_one_effect_and_one_answer(db, key):
    answers = db.concurrently(lambda _: charge(db, key, wait=30), 12)

    assert answers == [{"id": key}] * 12
    assert effects(db, key) == 1


def test_a_lease_is_renewed_while_the_block_runs(db, key):
    with begun(db, key, lease=3.0) as op:  # it is renewed each second: two may go by without a beat
        first = stored(db, key)
        sleep(3.4)
        assert stored(db, key).lease > first.lease
        assert not op.lost
    assert stored(db, key).st == machine.COMMITTED


def test_after_max_run_the_key_is_not_held_any_longer(db, key):
    with pytest.raises(LeaseLost) as caught, begun(db, key, lease=1.0, max_run=0.2) as op:
        with op.transaction() as tx:
            tx.create(Effect(id=key, count=1))
        sleep(2.6)
        assert op.lost
        with pytest.raises(LeaseLost):
            op.step("charge", lambda _: pytest.fail("it was run"))
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert effects(db, key) == 0


# ------------------------------------------------------------------------------------------------------------------- zombies


def test_a_zombie_applies_nothing_and_takes_nothing_away(db, key):
    """I02: it stalls past its lease, another one commits, then it goes on."""
    with pytest.raises(ExecutionLost) as caught, begun(db, key) as op:
        with op.transaction() as tx:
            tx.update(Effect, key, Effect.count.add(1), upsert=True)
        end_the_lease(db, key)
        assert charge(db, key) == {"id": key}
    assert isinstance(caught.value, LeaseLost)
    assert isinstance(caught.value, IdempotencyError)
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert effects(db, key) == 1
    assert (stored(db, key).st, stored(db, key).fence) == (machine.COMMITTED, 2)


@pytest.mark.parametrize("ends", [CardDeclined, ZeroDivisionError])
def test_a_zombie_that_fails_leaves_the_record_of_its_successor(db, key, ends):
    with pytest.raises(ends), begun(db, key, final=CardDeclined):
        end_the_lease(db, key)
        charge(db, key)
        raise ends
    assert charge(db, key) == {"id": key}


def test_a_zombie_takes_no_step(db, key):
    with pytest.raises(LeaseLost) as caught, begun(db, key) as op:
        end_the_lease(db, key)
        charge(db, key)
        op.step("charge", lambda _: pytest.fail("it was run"))
    assert caught.value.outcome is Outcome.NOT_APPLIED


def test_late_copies_change_nothing(db, key):
    """I06: a copy of the acquisition, of a beat, of a step and of the commit come after a failure has given the key back."""
    with pytest.raises(ZeroDivisionError), begun(db, key) as op:
        op.step("charge", lambda _: "done")
        mine = stored(db, key)
        1 / 0
    times = machine.Times(int(datetime.now(UTC).timestamp() * 1000), 30_000, 86_400_000)
    late = [
        machine.acquire(mine),
        machine.beat(mine, times),
        machine.correct(mine, times),
        machine.write_steps(mine, {}, times)[0],
        machine.release(mine, times),
        machine.end(mine, machine.COMMITTED, b"null", times),
        machine.end(mine, machine.FAILED, b"null", times),
    ]
    before = stored(db, key)
    for one in late:
        assert not db.run(_records(db).send(record_key("", "charge", key), one)).applied
    assert stored(db, key) == before
    assert charge(db, key) == {"id": key}


def test_a_late_beat_shortens_nothing(db, key):
    with begun(db, key) as op:
        mine = stored(db, key)
        late = machine.beat(mine, machine.Times(mine.lease - 40_000, 30_000, 86_400_000))
        assert not db.run(_records(db).send(record_key("", "charge", key), late)).applied
        assert not op.lost
    assert stored(db, key).st == machine.COMMITTED


# ------------------------------------------------------------------------------------------------------- commits without an answer


class Losing:
    """Loses the answers to transactions: of those that are sent, or of those that never arrive."""

    name = "losing"

    def __init__(self):
        self.mode = ""

    def around(self, call):
        def lost(op):
            if not self.mode or op.name != "TransactWriteItems":
                return (yield from call(op))
            if self.mode == "applied":
                yield from call(op)
            raise OutcomeUnknown("its answer was lost")

        return lost


@pytest.fixture
def losing():
    return Losing()


@pytest.fixture
def lossy(open_db, engine, made, losing):
    return open_db(engine.endpoint, table_prefix=made, extensions=(losing,))


def test_a_commit_whose_answer_was_lost_is_found_in_the_record(lossy, losing, key):
    losing.mode = "applied"
    assert charge(lossy, key) == {"id": key}
    losing.mode = ""
    assert (charge(lossy, key), effects(lossy, key)) == ({"id": key}, 1)


def test_a_commit_of_which_nobody_knows_keeps_the_key_for_the_next_caller(lossy, losing, key):
    losing.mode = "gone"
    with pytest.raises(OutcomeUnknown):
        charge(lossy, key)
    losing.mode = ""
    assert stored(lossy, key).st == machine.PENDING
    with pytest.raises(InProgress), begun(lossy, key):
        pass
    end_the_lease(lossy, key)
    assert (charge(lossy, key), effects(lossy, key)) == ({"id": key}, 1)


class Repeating:
    """Each change of a record arrives twice, as after an answer that was lost; the second one is answered."""

    name = "repeating"

    def around(self, call):
        def twice(op):
            if op.name == "UpdateItem":
                yield from call(copy(op))
            return (yield from call(op))

        return twice


def test_a_step_whose_record_was_written_though_its_answer_was_lost_is_kept_once(open_db, engine, made, key):
    db = open_db(engine.endpoint, table_prefix=made, extensions=(Repeating(),))
    calls = []

    def step(name):
        def run(other_sides_key):
            calls.append((name, other_sides_key))
            return name

        return run

    with begun(db, key) as op:
        assert [op.step("one", step("one")), op.step("two", step("two"))] == ["one", "two"]
        op.respond("done")
    assert [name for name, _ in calls] == ["one", "two"]
    with begun(db, key) as again:
        assert again.response == "done"


class Forgetting:
    """Applies the transaction, forgets the record of the operation, or has another run begin, and loses the answer."""

    name = "forgetting"

    def __init__(self):
        self.then = None

    def around(self, call):
        def forgotten(op):
            if self.then is None or op.name != "TransactWriteItems":
                return (yield from call(op))
            yield from call(op)
            self.then()
            raise OutcomeUnknown("its answer was lost")

        return forgotten


@pytest.mark.parametrize("ends", ["committed", "failed", "refused"])
@pytest.mark.parametrize("begins_anew", [False, True])
def test_an_end_whose_record_is_gone_has_an_unknown_outcome(open_db, engine, made, key, begins_anew, ends):
    """Whether the writes were applied, the record alone could tell: it was forgotten, and perhaps another run has begun."""
    forgetting = Forgetting()
    db = open_db(engine.endpoint, table_prefix=made, extensions=(forgetting,))
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as other:

        def forget():
            forgetting.then = None
            other.delete(record_model("dynamorm-idempotency"), record_key("", "charge", key))
            if begins_anew:
                other.idempotent(key, payload={"amount": 5}, scope="charge").__enter__()

        def operate():
            with begun(db, key) as op:
                with op.transaction() as tx:
                    tx.update(Effect, key, Effect.count.add(1), upsert=ends != "refused")
                if ends == "committed":
                    forgetting.then = forget
                else:
                    forget()
                if ends == "failed":
                    op.fail("declined")

        with pytest.raises(ExecutionLost) as caught:
            operate()
    assert caught.value.outcome is Outcome.UNKNOWN
    assert effects(db, key) == (ends == "committed")


# ------------------------------------------------------------------------------------------------------------------ views, warnings


def test_tenants_have_keys_and_writes_of_their_own(open_db, engine, made, key):
    db = open_db(engine.endpoint, table_prefix=made)
    db.inner.enable_multi_tenancy()
    db.tables.ensure(Owned)
    for tenant in ("a", "b"):
        view = db.with_tenant(f"{tenant}-{key}")
        for _ in range(2):
            with view.idempotent(key, payload=tenant, scope="charge") as op:
                if not op.replayed:
                    with op.transaction() as tx:
                        tx.create(Owned(id="1", count=1))
                    op.respond(tenant)
            assert op.response == tenant
        assert view.require(Owned, id="1").tenant == f"{tenant}-{key}"
        assert stored(db, key, tenant=f"{tenant}-{key}").st == machine.COMMITTED


def told(caplog):
    """What the library has logged; others may tell of what they leave behind."""
    return [record for record in caplog.records if record.name.startswith("dynamorm")]


def test_what_a_plugin_stores_for_itself_is_no_write_of_the_block(caplog, tmp_path):
    """The first search of an encrypted field makes the record of a key."""
    with Engine() as engine, DB(Presets.local_development(engine=engine)) as db:
        db.set_encryption_provider(LocalKeyProvider(str(tmp_path / "keys")))
        for model in (Kept, record_model("dynamorm-idempotency")):
            db.tables.ensure(model)
        with caplog.at_level("WARNING", "dynamorm"), db.idempotent("k", payload=None, scope="s"):
            assert db.model(Kept).allow_scan().where(Kept.note.equals("secret")).all() == []
        assert not told(caplog)
        assert db.gauges()["encryption_key_fetches"] > 0


def test_writes_beside_the_operation_are_told_of_in_development(db, key, caplog):
    with caplog.at_level("WARNING", "dynamorm"):
        with begun(db, key) as op:
            with op.transaction() as tx:
                tx.create(Effect(id=f"{key}-1", count=1))
            db.get(Effect, key)
        db.put(Effect(id=f"{key}-2", count=1))
        assert not told(caplog)
        with begun(db, f"{key}-3") as op:
            for name in (key, f"{key}-4"):  # told once
                if db.kind == "blocking":
                    db.put(Effect(id=name, count=1))
                else:
                    db._loop.run(_inside(op, db.inner.put(Effect(id=name, count=1))))
    assert ["put of Effect inside the block" in record.getMessage() for record in told(caplog)] == [True]


async def _inside(op, awaitable):
    from dynamorm.plugins.idempotency import CURRENT

    CURRENT.set(getattr(op, "_subject", op))  # the test's loop runs each call in a task of its own
    return await awaitable


# --------------------------------------------------------------------------------------------------------------------- steps


def test_a_step_is_given_the_same_key_until_the_operation_has_ended(db, key):
    keys = []

    def step(given):
        keys.append(given)
        raise ConnectionError

    for _ in range(2):
        with pytest.raises(ConnectionError), begun(db, key) as op:
            op.step("charge", step)
    with begun(db, f"{key}-2") as op:
        op.step("charge", keys.append)

    assert keys[0] == keys[1] != keys[2]
    assert len(keys[0]) == 32
    assert int(keys[0], 16)


def test_a_step_that_may_run_once_is_not_run_again_without_a_result(db, key):
    with pytest.raises(ConnectionError), begun(db, key) as op:
        op.step("withdraw", _unreachable, once=True)
    with pytest.raises(StepUnknown) as caught, begun(db, key) as op:
        op.step("withdraw", lambda _: pytest.fail("it was run again"), once=True)
    assert caught.value.step == "withdraw"
    assert not caught.value.retryable


def _unreachable(_):
    raise ConnectionError


def test_names_of_steps_are_taken_once(db, key):
    with begun(db, key) as op:
        op.step("charge", lambda _: 1)
        with pytest.raises(ValidationError, match="taken before"):
            op.step("charge", lambda _: pytest.fail("it was run"))
        for name in ("", "a" * 65, "a\n", 5):
            with pytest.raises(ValidationError):
                op.step(name, lambda _: pytest.fail("it was run"))
        with pytest.raises(ValidationError, match="takes a function"):
            op.step("other", "no function")


def test_an_interrupted_step_keeps_the_key(db, key):
    """It may still be running: the next one comes when the lease has ended."""

    def interrupted(_):
        raise KeyboardInterrupt

    if db.kind != "blocking":
        pytest.skip("what a task raises as KeyboardInterrupt ends the loop")
    with pytest.raises(KeyboardInterrupt), begun(db, key) as op:
        op.step("charge", interrupted)
    with pytest.raises(InProgress), begun(db, key):
        pass
    end_the_lease(db, key)
    assert charge(db, key) == {"id": key}


def test_an_interrupted_block_gives_the_key_back(db, key):
    with pytest.raises(KeyboardInterrupt), begun(db, key):
        raise KeyboardInterrupt
    assert charge(db, key) == {"id": key}


def test_a_step_whose_result_cannot_be_kept_was_run(db, key):
    with pytest.raises(ValidationError) as caught, begun(db, key) as op:
        op.step("charge", lambda key: object())
    assert caught.value.outcome is Outcome.UNKNOWN


class Interrupted(BaseException):
    """As a signal raises it."""


@pytest.mark.parametrize("place", ["within", "behind"])
def test_what_interrupts_the_entering_of_a_block_gives_the_key_back(made, engine, key, monkeypatch, place):
    """A signal may come between any two lines, also once a thread renews the lease."""

    def interrupted(*_):
        raise Interrupted

    before = {*threading.enumerate()}
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
        with monkeypatch.context() as patch:
            if place == "within":
                patch.setattr(blocking, "CURRENT", SimpleNamespace(set=interrupted))
            else:
                begin = blocking.IdempotentOperation.begin
                patch.setattr(blocking.IdempotentOperation, "begin", lambda self: (begin(self), interrupted()))
            with pytest.raises(Interrupted), begun(db, key):
                pytest.fail("the block was entered")
        assert charge(db, key) == {"id": key}
        assert effects(db, key) == 1
        for thread in {*threading.enumerate()} - before:
            thread.join(30)
            assert not thread.is_alive()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="it needs os.fork")
@pytest.mark.parametrize("ends", ["commits", "fails", "stumbles"])
def test_a_process_that_was_forked_within_a_block_ends_nothing(made, engine, key, ends):
    """Both know the owner of the record: the one that began ends it, and the other one is told that it does not."""
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
        reading, writing = os.pipe()
        with begun(db, key) as op:
            with op.transaction() as tx:
                tx.update(Effect, key, Effect.count.add(1), upsert=True)
            child = os.fork()
            if child == 0:
                try:
                    os.write(writing, _of_child(op, ends).encode())
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            assert not op.lost
            op.respond("parent")
        told = os.read(reading, 1_000).decode().split()
        os.close(reading)
        os.close(writing)
        assert told == [
            "ExecutionLost",
            "NOT_APPLIED",
            "True",
            *(["nothing"] if ends == "stumbles" else ["ExecutionLost"]),
        ]
        assert (op.response, effects(db, key)) == ("parent", 1)


def _of_child(op, ends):
    told = []
    try:
        op.transaction()
    except ExecutionLost as error:
        told += [type(error).__name__, error.outcome.name]
    told.append(str(op.lost))
    try:
        if ends == "fails":
            op._has_failed = True
        op.end(ZeroDivisionError() if ends == "stumbles" else None)
        told.append("nothing")
    except ExecutionLost as error:
        told.append(type(error).__name__)
    return " ".join(told)


# --------------------------------------------------------------------------------------------------------------- time and expiry


def test_an_answer_is_forgotten_after_its_retention_and_not_before(db, key):
    """I03: a fresh run behind expiry, with another payload too; the fence goes on."""
    kept = f"{key}-kept"
    charge(db, kept, retention=60)
    charge(db, key, retention=2)
    first = stored(db, key)
    sleep(4.2)
    assert charge(db, key, payload="another") == {"id": key}
    again = stored(db, key)
    assert effects(db, key) == 2
    assert charge(db, kept, retention=60) == {"id": kept}
    assert effects(db, kept) == 1
    assert again.fence in {first.fence + 1, 1}  # 1 where the engine has forgotten the record meanwhile
    assert again.nonce != first.nonce


@pytest.mark.parametrize("hours", [-25, -1, 1])
def test_a_wrong_clock_forgets_nothing_and_takes_nothing(db, key, hours, monkeypatch):
    charge(db, key)
    records = type(_records(db))
    wall = records.wall
    monkeypatch.setattr(records, "wall", lambda self: wall(self) + hours * 3600)
    _forget_the_time(db)

    assert charge(db, key) == {"id": key}
    other, asked = f"{key}-2", datetime.now(UTC).timestamp()
    with begun(db, other) as op:
        monkeypatch.setattr(records, "wall", wall)
        assert asked - 5 < stored(db, other).lease / 1000 - 30 < datetime.now(UTC).timestamp() + 5
        with pytest.raises(InProgress), begun(db, other):
            pass
        assert not op.lost
    assert effects(db, key) == 1


@pytest.mark.parametrize("seconds", [-60, 60, 400 * 86_400])
def test_one_wrong_date_alone_ends_no_lease_and_forgets_nothing(db, key, seconds, monkeypatch):
    """A Date counts when another one, or the clock of this machine, agrees with it."""
    charge(db, key)
    parse, wrong = records_module.parse_http_date, [True]
    monkeypatch.setattr(
        records_module, "parse_http_date", lambda value: parse(value) + seconds * bool(wrong and wrong.pop())
    )
    _forget_the_time(db)
    assert charge(db, key) == {"id": key}
    other = f"{key}-2"
    with begun(db, other) as op:
        wrong.append(True)
        with pytest.raises(InProgress), begun(db, other):
            pass
        _forget_the_time(db)
        wrong.append(True)
        with pytest.raises(InProgress), begun(db, other):
            pass
        assert not op.lost
    assert effects(db, key) == 1


def test_a_date_that_contradicts_what_is_known_counts_when_the_next_one_agrees(monkeypatch):
    """A clock was set, or this machine has slept."""
    time = ServiceTime()

    def learn(date, at, wall=None):
        told = Answer(applied=True, date=date, asked=at - 0.1, at=at)
        time.learn(told, wall)
        return time.confirms(told)

    assert not learn(5_000, 1.0, wall=9_000.0)
    assert (time.is_known, time.is_doubted, time.now(1.0, 9_000.0)) == (False, True, 9_000_000)
    assert learn(5_001, 2.0)
    assert (time.is_known, time.now(2.0, 0.0)) == (True, 5_001_000)
    assert not learn(8_000, 3.0)
    assert time.now(3.0, 0.0) == 5_002_000
    assert learn(5_003, 4.0)
    assert not learn(8_002, 5.0)
    assert learn(8_003, 6.0)
    assert time.now(6.0, 0.0) == 8_003_000
    assert ServiceTime().now(1.0, 7.0) == 7_000


def _forget_the_time(db):
    from dynamorm.plugins.idempotency.asked import known_of

    known_of(_records(db).database).time.__init__()


# ------------------------------------------------------------------------------------------------------------------ decorator


def test_a_decorated_function_is_run_once_for_each_key(db, key):
    ran = []
    work = _plain if db.kind == "blocking" else _coroutine
    decorated = db.inner.idempotent(lambda name, **_: name, payload=lambda name, amount: amount, scope="decorated")(
        work(ran)
    )

    def call(*args, **kwargs):
        found = decorated(*args, **kwargs)
        return found if db.kind == "blocking" else db._loop.run(found)

    assert [call(key, amount=5), call(key, amount=5)] == [{"amount": Decimal(5)}] * 2
    assert ran == [key]
    with pytest.raises(KeyReused):
        call(key, amount=6)
    with pytest.raises(InvalidUse, match=r"plain functions|coroutine functions"):
        db.inner.idempotent("k", payload=None, scope="s")(_coroutine(ran) if db.kind == "blocking" else _plain(ran))


def _plain(ran):
    def function(op, name, *, amount):
        ran.append(name)
        with op.transaction() as tx:
            tx.create(Effect(id=name, count=amount))
        return {"amount": Decimal(amount)}

    return function


def _coroutine(ran):
    async def function(op, name, *, amount):
        return _plain(ran)(op, name, amount=amount)

    return function


# ------------------------------------------------------------------------------------------------------------------ bad input


def test_a_missing_payload_is_an_error(db):
    with pytest.raises(TypeError):
        db.inner.idempotent("key", scope="charge")


@pytest.mark.parametrize("value", [object(), {"a": {1}}, [float("inf")], "a" * 310_000, datetime(2026, 1, 1)])
def test_an_answer_that_cannot_be_kept_is_refused_before_the_commit(db, key, value):
    with pytest.raises(ValidationError) as caught, begun(db, key) as op:
        with op.transaction() as tx:
            tx.create(Effect(id=key, count=1))
        op.respond(value)
    assert "aaa" not in str(caught.value)
    assert not isinstance(value, str) or caught.value.field == "value"
    assert effects(db, key) == 0
    assert stored(db, key).own == machine.NOBODY


def test_the_hundredth_place_is_that_of_the_record(db, key):
    with pytest.raises(ValidationError, match="at most 100"), begun(db, key) as op, op.transaction() as tx:
        for number in range(100):
            tx.create(Effect(id=f"{key}-{number}", count=1))
    assert effects(db, f"{key}-0") == 0
    assert stored(db, key).own == machine.NOBODY


def test_a_missing_table_is_told_with_what_makes_it(open_db, engine, key):
    db = open_db(engine.endpoint, table_prefix=f"{uuid.uuid4().hex}-")
    with pytest.raises(TableNotFound, match=r"ensure_tables\(db\)"), begun(db, key):
        pass


def test_the_tables_are_made(open_db, engine, key):
    from dynamorm.payments import ensure_tables

    db = open_db(engine.endpoint, table_prefix=f"{uuid.uuid4().hex}-", idempotency_table="once")
    for _ in range(2):
        made = ensure_tables(db.inner)
        made = made if db.kind == "blocking" else db._loop.run(made)
    assert made.name.endswith("-once")
    db.tables.ensure(Effect)
    assert charge(db, key) == {"id": key}
    assert db.tables.describe(record_model("once")).ttl == "exp"


def test_a_failure_that_was_declared_stays_one(db, key):
    with begun(db, key) as op:
        with op.transaction() as tx:
            tx.create(Effect(id=key, count=1))
        op.fail({"error": "declined"})
        op.respond({"ok": True})
    with pytest.raises(StoredFailure) as caught, begun(db, key):
        pass
    assert caught.value.response == {"error": "declined"}
    assert effects(db, key) == 0


def test_a_new_key_for_marks_makes_of_no_replay_another_payload(open_db, engine, made, key):
    """Before there was a key, with one, with a new one before it, and without the former one."""
    former, new = b"f" * 32, b"g" * 32
    without = open_db(engine.endpoint, table_prefix=made)
    first = open_db(engine.endpoint, table_prefix=made, idempotency_key=former)
    rotated = open_db(engine.endpoint, table_prefix=made, idempotency_key=[new, former])
    renewed = open_db(engine.endpoint, table_prefix=made, idempotency_key=new)
    makers = {"none": without, "former": first, "new": rotated}
    knows = {without: {"none"}, first: {"none", "former"}, rotated: {"none", "former", "new"}, renewed: {"none", "new"}}
    for name, maker in makers.items():
        with maker.idempotent(f"{key}-{name}", payload={"amount": 5}, scope="charge") as op:
            with op.transaction() as tx:
                tx.create(Effect(id=f"{key}-{name}", count=1))
            op.respond({"of": name})
    for reader, known in knows.items():
        for name in makers:
            if name not in known:
                with (
                    pytest.raises(ConfigError, match="idempotency_key"),
                    reader.idempotent(f"{key}-{name}", payload={"amount": 5}, scope="charge"),
                ):
                    pass
                continue
            with reader.idempotent(f"{key}-{name}", payload={"amount": 5}, scope="charge") as op:
                assert (op.replayed, op.response) == (True, {"of": name})
            with (
                pytest.raises(KeyReused),
                reader.idempotent(f"{key}-{name}", payload={"amount": 6}, scope="charge"),
            ):
                pass
    assert {effects(without, f"{key}-{name}") for name in makers} == {1}
