"""Where no answer told what became of a write, the library looks at what is stored: how often, how long, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dynamorm import Attr, Model, Outcome, OutcomeUnknown, partition_key, version
from dynamorm.effects import TransportError
from dynamorm.errors import AlreadyExists, DynamORMError, VersionConflict
from dynamorm.testing import failure
from tests.faults.desk import Desk, Make, applied, five, gaps, lost, throttled, unreached
from tests.faults.verbs import AFTER, CLASS_C, CLASS_I, ONCE, Payment, Verb

CREATE, SAVE, UPDATE, DELETE = CLASS_C
PUT, DELETE_KEY = CLASS_I
LOOKED = (*CLASS_C, *CLASS_I)
looked = pytest.mark.parametrize("verb", LOOKED, ids=lambda verb: verb.name)


class Silent(Model, table="payments", write_tokens=False):
    """Versioned, and stores no tokens."""

    id: Attr[str] = partition_key()
    amount: Attr[int]
    version: Attr[int] = version()


class Bare(Model, table="payments"):
    """Without a version."""

    id: Attr[str] = partition_key()
    amount: Attr[int]


def silent(verb: Verb) -> Verb:
    """The verb on an object that leaves no token."""

    def subject(loaded: Any) -> Any:
        if verb.exists and verb.name != "put":
            return loaded
        return Silent(id="p1", amount=AFTER)

    def act(db: Any, it: Any) -> Any:
        if verb.name in {"save", "update", "delete"}:
            it = db.get(Silent, "p1")
        if verb.name == "update":
            return db.update(it, Silent.amount.add(5))
        if verb.name == "save":
            it.amount = AFTER
        if verb.name == "delete_key":
            return db.delete(Silent, "p1")
        return getattr(db, verb.name)(it)

    return verb._replace(act=act, subject=subject)


def looks(desk: Desk) -> int:
    """How often was looked."""
    return len(desk.times(reads=True))


# ------------------------------------------------------------------------------------------------ how often, how long


@looked
def test_while_nothing_can_be_told_looks_go_on_until_the_time_is_over_and_become_rarer(
    scripted: Make, verb: Verb
) -> None:
    """Each delay is up to twice the last one, and none above 32 times ``retry_base``."""
    desk = Desk(scripted, verb, every_write=lost, operation_timeout=4.0)
    desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    assert len(desk.times(reads=False)) == 4
    seen = desk.times(reads=True)
    assert gaps(seen)[:6] == pytest.approx([0.025, 0.05, 0.1, 0.2, 0.4, 0.8])
    assert all(gap == pytest.approx(0.8) for gap in gaps(seen)[6:])
    assert seen[0] == desk.times(reads=False)[-1]
    assert 4.0 - 0.05 - 0.8 <= seen[-1] < 4.0
    assert desk.elapsed == seen[-1]  # nobody waits after the last one


@looked
def test_a_copy_that_arrives_while_it_is_looked_for_is_a_success(scripted: Make, verb: Verb) -> None:
    desk = Desk(scripted, verb, every_write=lost)
    desk.clock.at(1.0, lambda: desk.serve(desk.sent[0]))
    desk.succeeds()
    assert 1.0 <= desk.elapsed <= 1.8


@pytest.mark.parametrize(("time", "expected"), [(0.3, 1), (0.301, 2)])
def test_a_look_that_would_leave_no_time_for_its_answer_is_not_taken(
    scripted: Make, time: float, expected: int
) -> None:
    """50 ms are asked for behind the delay of 250 ms."""
    desk = Desk(scripted, CREATE, lost, max_attempts=1, retry_base=0.25, operation_timeout=time)
    desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    assert looks(desk) == expected


def others(times: int) -> Callable[[Desk], None]:
    return lambda desk: desk.store.stranger_writes("payments", "p1", times=times, amount=7)


def another(desk: Desk) -> None:
    desk.store.seed("payments", id="p1", amount=7, version=0, _wt=b"otherone")


def deleted(desk: Desk) -> None:
    desk.store.tables["payments"].clear()


@pytest.mark.parametrize(
    ("verb", "since", "kind", "outcome"),
    [
        (CREATE, another, AlreadyExists, Outcome.UNKNOWN),
        (SAVE, another, OutcomeUnknown, Outcome.UNKNOWN),
        (UPDATE, another, OutcomeUnknown, Outcome.UNKNOWN),
        (DELETE, another, OutcomeUnknown, Outcome.UNKNOWN),
        (SAVE, deleted, OutcomeUnknown, Outcome.UNKNOWN),
        (UPDATE, deleted, OutcomeUnknown, Outcome.UNKNOWN),
        (SAVE, others(9), OutcomeUnknown, Outcome.UNKNOWN),
        (SAVE, others(1), VersionConflict, Outcome.NOT_APPLIED),
        (UPDATE, others(7), VersionConflict, Outcome.NOT_APPLIED),
        (DELETE, others(3), VersionConflict, Outcome.NOT_APPLIED),
    ],
)
def test_one_look_is_enough_where_another_cannot_tell_more(
    scripted: Make, verb: Verb, since: Callable[[Desk], None], kind: Any, outcome: Outcome
) -> None:
    desk = Desk(scripted, verb, every_write=lost)
    desk.every_read = lambda desk, _: since(desk)
    error = desk.fails(kind, outcome)
    assert looks(desk) == 1
    assert desk.elapsed == desk.times(reads=True)[0]
    assert (error.operation, error.attempts) == (verb.operation, 4)
    if kind is VersionConflict:
        assert error.item.amount == 7


def test_an_item_that_another_made_is_looked_at_once_however_it_was_met(scripted: Make) -> None:
    """The refused create tells by when a copy of it can no longer come: nine minutes, by the service's clock."""
    for by_look in (True, False):
        desk = Desk(scripted, CREATE, lost, every_write=lost if by_look else None)
        (desk.reads if by_look else desk.writes).append(lambda desk, _: another(desk))
        error = desk.fails(AlreadyExists, Outcome.UNKNOWN)
        assert error.settled_by - desk.here.session.now() == timedelta(minutes=9)
        assert error.item.amount == 7
        assert looks(desk) == by_look


def test_what_came_with_the_refusal_is_not_read_again(scripted: Make) -> None:
    """It does not tell, so nothing that is read later would."""
    for verb in CLASS_C[1:3]:
        desk = Desk(scripted, verb, applied, lambda desk, _: others(9)(desk))
        desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
        assert [one.operation for one in desk.sent] == [verb.operation] * 2


# -------------------------------------------------------------------------------------------- where nothing is looked at


@pytest.mark.parametrize("lose", [applied, lost])
@pytest.mark.parametrize("verb", [CREATE, SAVE, UPDATE, PUT], ids=lambda verb: verb.name)
def test_what_leaves_no_token_is_not_looked_for(scripted: Make, verb: Verb, lose: Any) -> None:
    """Not by the verb, and not by ``resolve``: what is stored may be anybody's."""
    desk = Desk(scripted, silent(verb), every_write=lose)
    with pytest.raises(OutcomeUnknown) as caught:
        desk.run()
    before = len(desk.sent)
    assert looks(desk) == (verb.name in {"save", "update"})  # that is the test's own
    assert caught.value.resolve() is Outcome.UNKNOWN
    assert len(desk.sent) == before


@pytest.mark.parametrize("verb", [DELETE, DELETE_KEY], ids=lambda verb: verb.name)
def test_a_delete_needs_no_token_to_be_found(scripted: Make, verb: Verb) -> None:
    """Nothing is there any more."""
    desk = Desk(scripted, silent(verb), applied, every_write=lost)
    assert desk.run() is None
    assert looks(desk) == 1 + (verb is DELETE)


def test_a_put_without_a_version_is_not_looked_for(scripted: Make) -> None:
    desk = Desk(scripted, PUT._replace(subject=lambda _: Bare(id="p1", amount=AFTER)), every_write=applied)
    with pytest.raises(OutcomeUnknown):
        desk.run()
    assert looks(desk) == 0


@pytest.mark.parametrize("verb", ONCE, ids=lambda verb: verb.name)
def test_what_gives_the_old_item_is_not_looked_for_because_that_is_lost(scripted: Make, verb: Verb) -> None:
    desk = Desk(scripted, verb, every_write=applied)
    error = desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    assert len(desk.sent) == 1
    tells = verb.name != "update_old"  # an update by key leaves no token
    assert error.resolve() is (Outcome.APPLIED if tells else Outcome.UNKNOWN)
    assert len(desk.sent) == 1 + tells


# ----------------------------------------------------------------------------------------------- looks that fail


@looked
@pytest.mark.parametrize("fault", [five, lost, throttled, unreached])
def test_a_look_that_fails_is_taken_again_as_long_as_there_is_time(scripted: Make, verb: Verb, fault: Any) -> None:
    """``max_attempts`` does not bound it."""
    desk = Desk(scripted, verb, applied, every_write=lost, operation_timeout=60.0)
    desk.reads = [fault] * 12
    desk.succeeds()
    assert looks(desk) == 13


@pytest.mark.parametrize("stage", ["pool", "dns", "connect"])
def test_a_look_for_which_there_is_no_connection_is_taken_again(scripted: Make, stage: str) -> None:
    """Also behind ``connection_timeout``, and where a call that only reads would not try again."""
    desk = Desk(scripted, SAVE, applied, every_write=lost, operation_timeout=30.0)
    desk.reads = [lambda *_: TransportError(stage, "none", sent=False)] * 15
    desk.succeeds()
    assert desk.elapsed > 6.0
    bare = Desk(scripted, SAVE._replace(act=lambda db, _: db.get(Payment, "p1")), operation_timeout=30.0)
    bare.every_read = lambda *_: TransportError(stage, "none", sent=False)
    with pytest.raises(DynamORMError):
        bare.run()
    assert len(bare.sent) == {"pool": 1, "dns": 2, "connect": 4}[stage]


def test_a_look_that_cannot_succeed_is_not_taken_again(scripted: Make) -> None:
    """A certificate that does not fit, or a refusal."""
    for fault in (
        lambda *_: TransportError("certificate", "not trusted", sent=False, fatal=True),
        lambda *_: failure("AccessDeniedException"),
    ):
        desk = Desk(scripted, SAVE, every_write=applied)
        desk.every_read = fault
        desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
        assert looks(desk) == 1


def test_the_last_look_is_taken_however_long_the_service_asks_to_wait(scripted: Make) -> None:
    """A tenth of a second before the end, instead of not at all."""
    desk = Desk(scripted, SAVE, applied, every_write=lost, max_attempts=1, operation_timeout=2.0)
    desk.reads = [lambda *_: failure("ThrottlingException", retry_after=b"5000")]
    desk.succeeds()
    assert desk.times(reads=True) == pytest.approx([0.0, 1.9])


# ------------------------------------------------------------------------------------------------ what resolve does


@pytest.mark.parametrize("lose", [applied, lost])
def test_resolve_does_not_repeat_a_write_whose_result_would_be_lost(scripted: Make, lose: Any) -> None:
    """A delete of a loaded object that was to give the old item: it is looked at, once, and no more."""
    desk = Desk(scripted, DELETE._replace(act=lambda db, it: db.delete(it, returning="old")), lose)
    error = desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    assert error.resolve() is (Outcome.APPLIED if lose is applied else Outcome.UNKNOWN)
    assert [one.operation for one in desk.sent] == ["DeleteItem", "GetItem"]
    assert len(desk.store.changes) == (lose is applied)


@looked
def test_resolve_brings_the_object_up_to_date(scripted: Make, verb: Verb) -> None:
    """Where the write is found, and where it is made only now."""
    for lose in (applied, lost) if verb in CLASS_C[1:] else (applied,):
        desk = Desk(scripted, verb, lose, every_write=lost, every_read=five)
        error = desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
        desk.every_read = desk.every_write = None
        desk.bucket.tokens = desk.bucket.capacity
        assert error.resolve() is Outcome.APPLIED
        assert len(desk.store.changes) == 1
        if verb.mutates and verb.after is not None:
            item = desk.store.item("payments", "p1")
            assert item is not None
            assert (desk.subject.amount, desk.subject.version) == (verb.after, int(item["version"]["N"]))


@looked
def test_resolve_takes_the_time_it_is_given(scripted: Make, verb: Verb) -> None:
    """More than ``operation_timeout``; without any it takes that."""
    desk = Desk(scripted, verb, applied, every_write=lost, every_read=five, operation_timeout=1.0)
    error = desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    began = desk.elapsed
    assert error.resolve() is Outcome.UNKNOWN
    assert 0.85 <= desk.elapsed - began <= 1.0
    desk.bucket.tokens = desk.bucket.capacity
    began = desk.elapsed
    desk.clock.at(began + 5.0, lambda: setattr(desk, "every_read", None))
    assert error.resolve(10.0) is Outcome.APPLIED
    assert 5.0 <= desk.elapsed - began <= 5.8


def test_resolve_repeats_a_write_for_as_long_as_it_was_given(scripted: Make) -> None:
    """What is as it was when the write was made; nothing is sent once the time is over."""
    for down, outcome in ((3.0, Outcome.APPLIED), (60.0, Outcome.UNKNOWN)):
        desk = Desk(scripted, UPDATE, every_write=lost, operation_timeout=1.0, max_attempts=8, retry_base=1.0)
        error = desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
        began = desk.elapsed

        def back(desk: Desk = desk) -> None:
            desk.every_write = None

        desk.clock.at(began + down, back)
        assert error.resolve(6.0) is outcome
        assert all(when <= began + 6.0 for when in desk.times(reads=False))
        assert len(desk.store.changes) == (outcome is Outcome.APPLIED)


def test_resolve_says_what_a_refusal_of_its_own_attempt_proves(scripted: Make) -> None:
    """Others wrote between the look and the attempt: nothing was applied, and nothing will be."""
    desk = Desk(scripted, UPDATE, every_write=lost)
    error = desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    desk.every_write = lambda desk, _: others(1)(desk)
    assert error.resolve() is Outcome.NOT_APPLIED
    desk = Desk(scripted, UPDATE, every_write=lost)
    error = desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    desk.every_write = lambda desk, _: another(desk)
    assert error.resolve() is Outcome.UNKNOWN
    assert desk.store.changes == []
