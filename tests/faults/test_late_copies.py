"""NOT_APPLIED means: was not applied and will not be, also not by a copy of the request that the network delivers late."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynamorm import DB, Attr, Model, Outcome, OutcomeUnknown, Presets, attr, partition_key
from dynamorm.effects import TransportError
from dynamorm.engine import Engine
from dynamorm.errors import AlreadyExists, ConditionFailed, MissingItem, VersionConflict
from dynamorm.ops.writes import token_ring
from dynamorm.testing import Answer, answers, failure, reply
from tests.faults.scripted import Scripted
from tests.faults.stage import Run, Stage
from tests.faults.verbs import CLASS_C, CLASS_I, RING, Counter, Payment, Verb, amount
from tests.support.faults import Store

Make = Callable[..., Stage]
RESET = answers.reset()
FIVE = answers.error("InternalServerError", 500)
POOR = Payment.amount >= 500


def _two(db: Any, _: Any) -> None:
    with db.transaction() as tx:
        tx.update(Payment, "p1", Payment.amount.add(-500), condition=POOR)
        tx.update(Payment, "p2", Payment.amount.add(500), upsert=True)


TOKENED = (
    Verb("update_if", "TransactWriteItems", "N", lambda db, _: db.update(Payment, "p1", Payment.amount.add(-500), condition=POOR), 0),
    Verb("upsert_if", "TransactWriteItems", "N", lambda db, _: db.update(Payment, "p1", Payment.amount.add(-500), condition=POOR, upsert=True), 0),
    Verb("put_if", "TransactWriteItems", "N", lambda db, _: db.put(Payment(id="p1", amount=0), condition=POOR), 0),
    Verb("delete_if", "TransactWriteItems", "N", lambda db, _: db.delete(Payment, "p1", condition=POOR), None),
    Verb("transaction", "TransactWriteItems", "N", _two, 0),
)  # fmt: skip
tokened = pytest.mark.parametrize("verb", TOKENED, ids=lambda verb: verb.name)


def rich(store: Store) -> None:
    """What the condition of these tests demands comes true, by a program that keeps no version."""
    store.seed("payments", id="p1", amount=600, version=2, _wt=RING)


def deliver(store: Store, request: Any) -> tuple[int, dict[str, Any]]:
    """The network delivers a request that it had held."""
    return store(request.operation, request.json)


@tokened
def test_a_refused_token_is_spent_so_that_a_late_copy_is_refused(stage: Make, verb: Verb) -> None:
    here = stage()
    run = here.run(verb, RESET)
    assert run.error is not None
    assert run.error.outcome is Outcome.NOT_APPLIED
    first, second, spending = run.requests
    assert first.json == second.json
    ((kind, check),) = spending.json["TransactItems"][0].items()
    assert (kind, spending.json["ClientRequestToken"]) == ("ConditionCheck", first.json["ClientRequestToken"])
    assert check["Key"] == {"id": {"S": "p1"}}
    rich(here.store)
    assert deliver(here.store, first)[0] == 400
    assert (run.changes, amount(here.store)) == (0, 600)


@tokened
def test_a_clear_refusal_spends_nothing(stage: Make, verb: Verb) -> None:
    run = stage().run(verb)
    assert run.error is not None
    assert (run.error.outcome, len(run.requests)) == (Outcome.NOT_APPLIED, 1)


@tokened
def test_a_late_copy_that_comes_before_the_spending_is_a_success(stage: Make, verb: Verb) -> None:
    """The service refuses to spend the token of what it has applied."""
    here = stage()

    def arrives(store: Store) -> None:
        rich(store)
        deliver(store, here.server.requests[0])

    run = here.run(verb, RESET, None, arrives)
    assert run.error is None, run.error
    assert amount(here.store) in {0, 100, None}  # 100: 600 less 500
    assert run.changes == (2 if verb.name == "transaction" else 1)


@tokened
def test_a_token_that_cannot_be_spent_leaves_it_unknown_until_it_is(stage: Make, verb: Verb) -> None:
    here = stage(operation_timeout=0.3)
    run = here.run(verb, RESET, None, forever=FIVE)
    assert isinstance(run.error, OutcomeUnknown)
    assert isinstance(run.error.__cause__, (ConditionFailed, Exception))
    assert run.error.resolve(1.0) is Outcome.NOT_APPLIED
    rich(here.store)
    assert deliver(here.store, run.requests[0])[0] == 400
    assert run.changes == 0
    assert run.error.resolve(1.0) is Outcome.NOT_APPLIED


def test_a_missing_item_by_key_stays_missing_for_the_late_copy(stage: Make) -> None:
    here = stage()
    verb = Verb(
        "missing", "TransactWriteItems", "N", lambda db, _: db.update(Payment, "new", Payment.amount.add(5)), 100
    )
    run = here.run(verb, RESET)
    assert isinstance(run.error, MissingItem)
    assert run.error.outcome is Outcome.NOT_APPLIED
    here.store.seed("payments", id="new", amount=1, version=0)
    assert deliver(here.store, run.requests[0])[0] == 400
    assert run.changes == 0


def test_an_increment_that_reads_again_is_applied_once(stage: Make) -> None:
    """The first token is held, somebody changes the number and changes it back, the second one is applied."""
    here = stage()
    here.store.seed("counters", id="c1", count=5)
    held: list[Any] = []

    def hold(store: Store) -> Answer:
        held.append(here.server.requests[-1])
        store.seed("counters", id="c1", count=7)
        return RESET

    verb = Verb("increment", "TransactWriteItems", "N", lambda db, _: db.increment(Counter, "c1", Counter.count), 100)
    subject = here.prepare(verb)
    here.store.seed("counters", id="c1", count=5)
    run = here.act(verb, subject, None, hold)
    assert run.result == 8
    here.store.seed("counters", id="c1", count=5)
    assert deliver(here.store, held[0])[0] == 400
    assert here.store.item("counters", "c1") == {"id": {"S": "c1"}, "count": {"N": "5"}}


def test_a_strict_create_is_certain_after_a_lost_answer(stage: Make) -> None:
    here = stage()
    verb = Verb(
        "strict",
        "TransactWriteItems",
        "N",
        lambda db, new: db.create(new, strict=True),
        105,
        lambda _: Payment(id="p1", amount=105),
        exists=False,
    )
    here.run(verb, RESET.applied()).succeeded(2)

    def another(store: Store) -> None:
        store.seed("payments", id="p1", amount=7, version=0, _wt=b"otherone")

    run = here.run(verb, RESET, another)
    assert isinstance(run.error, AlreadyExists)
    assert (run.error.outcome, run.error.settled_by) == (Outcome.NOT_APPLIED, None)
    here.store.tables["payments"].clear()
    assert deliver(here.store, run.requests[0])[0] == 400
    assert amount(here.store) is None


@pytest.mark.parametrize("made", ["config", "call", "model"])
def test_creates_are_strict_where_it_is_said(scripted: Callable[..., Scripted], made: str) -> None:
    class Charge(Payment, table="payments", strict_creates=True if made == "model" else None):
        pass

    here = scripted(lambda _: reply(), strict_creates=made == "config")
    here.db.create(Charge(id="p1", amount=5), strict=True if made == "call" else None)
    here.db.save(Charge(id="p2", amount=5))
    here.db.create(Charge(id="p3", amount=5), strict=False)
    sent = [request.operation for request in here.driver.requests]
    assert sent == ["TransactWriteItems", "PutItem" if made == "call" else "TransactWriteItems", "PutItem"]


def test_an_ambiguous_create_tells_by_when_it_is_settled(stage: Make) -> None:
    """The others' item is deleted, and the copy comes: that is what UNKNOWN says."""
    here = stage()

    def another(store: Store) -> None:
        store.seed("payments", id="p1", amount=7, version=0, _wt=b"otherone")

    run = here.run(CLASS_C[0], RESET, another)
    assert isinstance(run.error, AlreadyExists)
    assert run.error.outcome is Outcome.UNKNOWN
    assert run.error.settled_by is not None
    assert timedelta(minutes=5) < run.error.settled_by - datetime.now(UTC) <= timedelta(minutes=9)
    here.store.tables["payments"].clear()
    assert deliver(here.store, run.requests[0])[0] == 200


def made_again(store: Store, version: int = 2) -> None:
    """Somebody deletes the item and makes it again, with the version that was loaded."""
    store.seed("payments", id="p1", amount=7, version=version, _wt=b"otherone")


@pytest.mark.parametrize("verb", CLASS_C[1:], ids=lambda verb: verb.name)
def test_a_versioned_write_is_not_applied_to_an_item_that_was_made_again(stage: Make, verb: Verb) -> None:
    """Its version has come back, its tokens have not: neither now nor by a copy that comes late."""
    here = stage()
    run = here.run(verb, made_again)
    assert isinstance(run.error, ConditionFailed)
    assert (run.error.outcome, amount(here.store)) == (Outcome.NOT_APPLIED, 7)
    run = here.run(verb, lambda store: store.tables["payments"].clear())
    made_again(here.store)
    assert deliver(here.store, run.requests[0])[0] == 400
    assert amount(here.store) == 7


@pytest.mark.parametrize("verb", CLASS_C[1:3], ids=lambda verb: verb.name)
def test_a_save_is_not_repeated_over_a_put_that_came_after_it(stage: Make, verb: Verb) -> None:
    """It was applied, its answer lost; then somebody puts the item whole, and the version is as it was."""
    here = stage()
    run = here.run(verb, RESET.applied(), made_again)
    assert isinstance(run.error, OutcomeUnknown)
    assert (run.changes, amount(here.store)) == (1, 7)


def test_an_item_without_tokens_is_written_only_while_it_has_none(stage: Make) -> None:
    here = stage()
    verb = CLASS_C[1]
    here.prepare(verb)
    here.store.seed("payments", id="p1", amount=100, version=2)
    loaded = here.db.require(Payment, "p1")
    loaded.amount = 105
    here.store.seed("payments", id="p1", amount=7, version=2, _wt=b"otherone")
    with pytest.raises(ConditionFailed):
        here.db.save(loaded)
    here.store.seed("payments", id="p1", amount=100, version=2)
    assert here.db.save(loaded).version == 3


def test_an_attribute_of_somebody_elses_in_the_place_of_the_tokens_is_compared_too(stage: Make) -> None:
    here = stage()
    here.prepare(CLASS_C[1])
    here.store.seed("payments", id="p1", amount=100, version=2, _wt="not ours")
    loaded = here.db.require(Payment, "p1")
    loaded.amount = 105
    assert here.db.save(loaded).version == 3


# ------------------------------------------------------------------------------------------------ what a ring proves


def _others(store: Store, times: int) -> None:
    store.stranger_writes("payments", "p1", times=times, amount=7)


REPLACED: dict[str, tuple[Verb, Callable[[Store], None]]] = {
    "create, then deleted and made again": (CLASS_C[0], lambda store: made_again(store, 0)),
    "save, then put and eight updates": (CLASS_C[1], lambda store: (made_again(store, 0), _others(store, 8))[0]),
    "save, then eleven updates": (CLASS_C[1], lambda store: _others(store, 11)),
    "delete, then made again and eight updates": (
        CLASS_C[3],
        lambda store: (made_again(store, 0), _others(store, 8))[0],
    ),
}


@pytest.mark.parametrize(("verb", "since"), REPLACED.values(), ids=list(REPLACED))
def test_an_applied_write_is_never_called_not_applied_after_a_replacement(
    stage: Make, verb: Verb, since: Callable[[Store], None]
) -> None:
    run = stage().run(verb, RESET.applied(), since)
    assert run.changes == 1
    assert run.error is not None
    assert run.error.outcome is Outcome.UNKNOWN


def test_a_ring_proves_only_what_goes_on_from_the_known_one() -> None:
    known = b"".join(b"known%03d" % number for number in range(8))
    new = [b"newer%03d" % number for number in range(9)]
    mine = b"mine0000"

    def said(moved: int, stored: bytes) -> Outcome:
        return token_ring.verdict(mine, 5, known, 5 + moved, stored)

    for count in range(1, 8):
        assert said(count, (b"".join(new[:count]) + known)[:64]) is Outcome.NOT_APPLIED
        assert said(count, (b"".join(new[: count - 1]) + mine + known)[:64]) is Outcome.APPLIED
        assert said(count + 1, (b"".join(new[:count]) + known)[:64]) is Outcome.NOT_APPLIED  # one of them by key
        assert said(count - 1, (b"".join(new[:count]) + known)[:64]) is Outcome.UNKNOWN
        assert said(count, b"".join(new[:count])) is Outcome.UNKNOWN
    assert said(8, b"".join(new[:8])) is Outcome.UNKNOWN
    assert said(1, known) is Outcome.NOT_APPLIED
    assert said(0, new[0] + known[:56]) is Outcome.UNKNOWN
    assert said(-1, new[0] + known[:56]) is Outcome.UNKNOWN
    assert token_ring.verdict(mine, 5, b"", 6, new[0]) is Outcome.UNKNOWN
    assert token_ring.verdict(mine, 5, known, None, new[0] + known[:56]) is Outcome.UNKNOWN
    assert token_ring.verdict(mine, 5, known, 6, new[0] + known[:55]) is Outcome.UNKNOWN


# ------------------------------------------------------------------------------------------- unconditional writes


def _after_loss(stage: Make, verb: Verb, *, applied: bool, since: Callable[[Store], None]) -> tuple[Stage, Run]:
    here = stage(operation_timeout=0.3)
    run = here.run(verb, RESET.applied(applied), forever=FIVE)
    assert isinstance(run.error, OutcomeUnknown)
    since(here.store)
    return here, run


@pytest.mark.parametrize("applied", [True, False])
def test_resolve_of_a_put_overwrites_nothing_that_is_newer(stage: Make, applied: bool) -> None:
    here, run = _after_loss(stage, CLASS_I[0], applied=applied, since=lambda store: made_again(store, 0))
    assert run.error.resolve(1.0) is Outcome.UNKNOWN  # type: ignore[union-attr] # seen before
    assert amount(here.store) == 7


def test_resolve_of_a_put_finds_its_token_also_below_those_of_later_writes(stage: Make) -> None:
    here, run = _after_loss(stage, CLASS_I[0], applied=True, since=lambda store: _others(store, 3))
    assert run.error.resolve(1.0) is Outcome.APPLIED  # type: ignore[union-attr] # seen before
    assert amount(here.store) == 7


def test_resolve_of_a_delete_by_key_deletes_nothing_that_is_newer(stage: Make) -> None:
    here, run = _after_loss(stage, CLASS_I[1], applied=True, since=lambda store: made_again(store, 0))
    assert run.error.resolve(1.0) is Outcome.UNKNOWN  # type: ignore[union-attr] # seen before
    assert amount(here.store) == 7


# ------------------------------------------------------------------------------------------------ the life of a token


def test_the_token_of_a_statement_is_not_sent_again_after_nine_minutes(scripted: Callable[..., Scripted]) -> None:
    """Also with an operation_timeout above that: DynamoDB forgets it after ten, and would apply it once more."""
    lost = [TransportError("receive", "reset", sent=True)]
    here = scripted(
        lambda _: lost.pop() if lost else failure("ThrottlingException"),
        operation_timeout=900,
        retry_cap=300,
        throttle_base=300,
        max_attempts=6,
    )
    here.session.channel.random = lambda: 1.0
    with pytest.raises(OutcomeUnknown) as caught:
        here.db.partiql('UPDATE "payments" SET amount = 5 WHERE id = ?', "p1")
    first = here.driver.requests[0].time
    assert all(one.time - first < 540 for one in here.driver.requests)
    here.clock.advance(600)
    sent = len(here.driver.requests)
    assert caught.value.resolve(5) is Outcome.UNKNOWN
    assert len(here.driver.requests) == sent


def test_a_version_conflict_is_certain_where_the_tokens_go_on(stage: Make) -> None:
    here = stage()
    run = here.run(CLASS_C[1], RESET, lambda store: _others(store, 1))
    run.failed(VersionConflict, Outcome.NOT_APPLIED, attempts=2)
    assert deliver(here.store, run.requests[0])[0] == 400


class _Kept(Engine):
    """An engine that remembers the writes that it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, bytes]] = []

    def handle(self, target: str, body: bytes, **options: Any) -> tuple[int, bytes]:
        if target.endswith(("UpdateItem", "TransactWriteItems")):
            self.sent.append((target, body))
        return super().handle(target, body, **options)


class Tagged(Model, table="tagged"):
    """Without a version."""

    id: Attr[str] = partition_key()
    tags: Attr[set[str]] = attr(default_factory=set)


def test_a_late_copy_of_a_change_to_a_set_undoes_nothing() -> None:
    """Somebody has taken out meanwhile what was added, or put in what was taken out: both were acknowledged."""
    with _Kept() as engine, DB(Presets.local_development(engine=engine)) as db:
        db.tables.ensure(Tagged)
        for first, second, left in (
            (Tagged.tags.add({"x"}), Tagged.tags.delete({"x"}), set()),
            (Tagged.tags.delete({"x"}), Tagged.tags.add({"x"}), {"x"}),
        ):
            db.upsert(Tagged, "a", first)
            copy = engine.sent[-1]
            db.upsert(Tagged, "a", second)
            engine.handle(*copy)
            assert db.require(Tagged, "a", consistent=True).tags == left
