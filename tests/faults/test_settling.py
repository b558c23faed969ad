"""W13, W20, W21: what a refused condition says after a lost reply, and copies that arrive late or out of order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynamorm.errors import (
    AlreadyExists,
    ConditionFailed,
    MissingItem,
    Outcome,
    OutcomeUnknown,
    VersionConflict,
)
from dynamorm.testing import Answer, answers
from tests.faults.stage import Stage
from tests.faults.verbs import BEFORE, CLASS_C, CLASS_N, RING, SETTLED, Payment, Verb, amount, memory
from tests.support.faults import Store

Make = Callable[..., Stage]
FIVE = answers.error("InternalServerError", 500)
RESET = answers.reset()
guarded = pytest.mark.parametrize("verb", CLASS_C, ids=lambda verb: verb.name)
lost = pytest.mark.parametrize("how", [FIVE, RESET], ids=["500", "reset"])


def others(times: int, *, make: bool = False) -> Callable[[Store], Answer | None]:
    """Before the next request is served, others write the item so often."""

    def step(store: Store) -> None:
        if make:
            store.seed("payments", id="p1", amount=7, version=0, _wt=b"otherone")
        store.stranger_writes("payments", "p1", times=times, amount=7)

    return step


def recreated(store: Store) -> None:
    """Somebody deletes the item and makes it anew."""
    store.tables["payments"].clear()
    store.seed("payments", id="p1", amount=7, version=0, _wt=b"otherone")


@lost
@pytest.mark.parametrize("later", [0, 1, 7])
@pytest.mark.parametrize("verb", CLASS_C[:3], ids=lambda verb: verb.name)
def test_w13_the_own_token_proves_that_the_write_was_applied(stage: Make, verb: Verb, how: Answer, later: int) -> None:
    """Also under up to seven later writes of others: success, and the object is what is stored."""
    here = stage()
    run = here.run(verb, how.applied(), others(later))
    assert run.error is None, run.error
    run.honest()
    item = here.store.item("payments", "p1")
    assert item is not None
    assert len(run.requests) == 2
    assert run.result is run.subject
    assert (run.result.version, run.result.amount) == (int(item["version"]["N"]), amount(here.store))
    run.result.amount = 1  # what is known of the item now guards the next write
    here.db.save(run.result)
    assert amount(here.store) == 1


@lost
def test_w13_a_delete_whose_item_is_gone_was_applied(stage: Make, how: Answer) -> None:
    """Whoever deleted it."""
    delete = CLASS_C[3]
    here = stage()
    here.run(delete, how.applied()).succeeded(2)
    run = here.run(delete, how, lambda store: store.tables["payments"].clear())
    assert run.error is None
    assert run.result is None


@lost
@pytest.mark.parametrize("times", [1, 3, 7])
@guarded
def test_w13_tokens_of_others_prove_that_it_was_not_applied(stage: Make, verb: Verb, how: Answer, times: int) -> None:
    """Lost for good: the caller may decide anew, and sees what is stored. Only a create cannot tell: see below."""
    here = stage()
    creating = verb.name == "create"
    run = here.run(verb, how, others(times - 1 if creating else times, make=creating))
    outcome = Outcome.UNKNOWN if creating else Outcome.NOT_APPLIED
    run.failed(AlreadyExists if creating else VersionConflict, outcome, attempts=2, retryable=False)
    assert isinstance(run.error, ConditionFailed)
    assert run.error.item.amount == 7
    assert (run.error.settled_by is not None) is creating
    assert run.changes == 0


@lost
@pytest.mark.parametrize("applied", [True, False], ids=["applied", "lost"])
@guarded
def test_w13_more_writes_than_the_ring_holds_leave_it_unknown(
    stage: Make, verb: Verb, how: Answer, applied: bool
) -> None:
    """Nine versions on, the token could have been pushed out."""
    here = stage()
    remade = (verb.name == "create" and not applied) or (verb.name == "delete" and applied)
    run = here.run(verb, how.applied(applied), others(9, make=remade))
    if verb.name == "create":  # whoever made the item, there is one
        run.failed(AlreadyExists, Outcome.UNKNOWN, attempts=2, retryable=False)
        return
    run.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=2, retryable=False)
    assert isinstance(run.error, OutcomeUnknown)
    assert run.changes == applied
    assert run.error.token is not None
    assert len(run.error.token) == 16
    assert run.error.resolve(2.0) is Outcome.UNKNOWN
    assert memory(run.subject) == run.before


@lost
@pytest.mark.parametrize("verb", CLASS_C[1:], ids=lambda verb: verb.name)
def test_w13_an_item_that_was_made_anew_leaves_it_unknown(stage: Make, verb: Verb, how: Answer) -> None:
    """Its ring begins after our attempt."""
    run = stage().run(verb, how.applied(), recreated)
    run.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=2)


@lost
@pytest.mark.parametrize("verb", CLASS_C[1:3], ids=lambda verb: verb.name)
def test_w13_a_put_of_the_library_leaves_it_unknown(stage: Make, verb: Verb, how: Answer) -> None:
    """An unconditional put wipes the ring; its mark says so."""

    def put(store: Store) -> None:
        store.seed("payments", id="p1", amount=7, version=4, _wt=b"otherput" + bytes(8))

    run = stage().run(verb, how.applied(), put)
    run.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=2)


@lost
@pytest.mark.parametrize("verb", CLASS_C[1:3], ids=lambda verb: verb.name)
def test_w13_a_write_that_knows_no_ring_leaves_it_unknown_also_on_an_item_without_one(
    stage: Make, verb: Verb, how: Answer
) -> None:
    """An older program made the item, and puts it whole again over our write: the ring was never there to tell."""
    here = stage()
    subject = here.prepare(verb)
    here.store.seed("payments", id="p1", amount=BEFORE, version=2)
    subject = here.db.get(Payment, "p1")
    if verb.name == "save":
        subject.amount = 105
    put = here.store.seed
    run = here.act(verb, subject, how.applied(), lambda _: put("payments", id="p1", amount=7, version=4))
    run.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=2)


@lost
@pytest.mark.parametrize("verb", CLASS_N, ids=lambda verb: verb.name)
def test_w13_a_token_transaction_is_settled_by_its_token(stage: Make, verb: Verb, how: Answer) -> None:
    """However often the item was written since."""
    here = stage()
    run = here.run(verb, how.applied(), others(20) if verb.after is not None else None)
    assert run.error is None, run.error
    run.honest()
    run = here.run(verb, how, lambda store: store.tables["payments"].clear())
    kind = MissingItem if verb.name != "put_if" else ConditionFailed
    run.failed(kind, Outcome.NOT_APPLIED, attempts=2, requests=3)  # the third one spends the token


def test_w13_a_users_condition_that_fails_is_not_a_version_conflict(stage: Make) -> None:
    """Nothing was written since it was loaded; but the first attempt may come late, when the condition has come true."""
    here = stage()
    verb = CLASS_C[2]._replace(act=lambda db, it: db.update(it, Payment.amount.add(5), condition=Payment.amount > 500))
    here.run(verb, None).failed(ConditionFailed, Outcome.NOT_APPLIED, attempts=1)
    run = here.run(verb, FIVE).failed(ConditionFailed, Outcome.UNKNOWN, attempts=2)
    assert run.error is not None
    left = run.error.settled_by - datetime.now(UTC)
    assert timedelta(minutes=5) < left <= timedelta(minutes=9)
    held = run.requests[0]
    here.store.seed("payments", id="p1", amount=600, version=2, _wt=RING)  # by a program that keeps no version
    here.store(held.operation, held.json)
    assert amount(here.store) == 605


@pytest.mark.parametrize("verb", SETTLED, ids=lambda verb: verb.name)
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("reply", ["first", "last", "lost"])
def test_w20_copies_of_a_request_are_applied_once(stage: Make, verb: Verb, count: int, reply: str) -> None:
    """The client may see the answer to the first copy, to the last, or none."""
    here = stage()
    subject = here.prepare(verb)
    here.store.copies, here.store.answers_last = count, reply != "first"
    run = here.act(verb, subject, RESET.applied() if reply == "lost" else None)
    run.succeeded(2 if reply == "lost" else 1)


@pytest.mark.parametrize("verb", SETTLED, ids=lambda verb: verb.name)
def test_w20_a_copy_that_arrives_much_later_changes_nothing(stage: Make, verb: Verb) -> None:
    """After the call has ended, and after others have written on."""
    here = stage()
    run = here.run(verb).succeeded(1)
    copy = run.requests[0]
    if verb.after is not None:
        here.store.stranger_writes("payments", "p1", times=2, amount=7)
    before = here.store.item("payments", "p1")
    for _ in range(3):
        here.store(copy.operation, copy.json)
    assert here.store.item("payments", "p1") == before
    assert run.changes == 1


@guarded
def test_w21_a_resend_behind_another_clients_write_loses_no_update(stage: Make, verb: Verb) -> None:
    """The first attempt is held up, another client writes, then both attempts arrive."""
    here = stage()
    creating = verb.name == "create"
    run = here.run(verb, RESET, others(0 if creating else 1, make=creating))
    outcome = Outcome.UNKNOWN if creating else Outcome.NOT_APPLIED
    run.failed(AlreadyExists if creating else VersionConflict, outcome, attempts=2)
    held = run.requests[0]
    assert held.body == run.requests[1].body
    here.store(held.operation, held.json)  # the one that was held up arrives at last
    assert amount(here.store) == 7
    assert run.changes == 0


def test_w21_a_held_up_write_that_overtakes_its_own_resend_is_applied_once(stage: Make) -> None:
    """The first attempt arrives between the second's refusal by a 500 and the third."""
    for verb in SETTLED:
        here = stage()
        held: list[Any] = []

        def remember(store: Store, here: Stage = here, held: list[Any] = held) -> Answer:
            held.append(here.server.requests[-1])
            return RESET

        def overtake(store: Store, held: list[Any] = held) -> Answer:
            store(held[0].operation, held[0].json)
            return FIVE

        here.run(verb, remember, overtake).succeeded(3)
