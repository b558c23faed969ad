"""What a refused condition is called, and what it and a failing result say about the write."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any

import pytest

from dynamorm import Attr, Model, Outcome, OutcomeUnknown, attr, partition_key, version
from dynamorm.adapters import fields, register
from dynamorm.errors import ConditionFailed, MissingItem, NotFound, VersionConflict
from tests.faults.desk import Desk, Make, applied, five, lost
from tests.faults.stage import Run, Stage
from tests.faults.verbs import CLASS_C, CLASS_N, ONCE, RING, Payment, Verb, amount

CREATE, SAVE, UPDATE, DELETE = CLASS_C
PUT_OLD, DELETE_OLD, *_ = ONCE
versioned = pytest.mark.parametrize("verb", [SAVE, UPDATE], ids=lambda verb: verb.name)


class Party(Model, table="payments", discriminator="kind"):
    """The root of a family."""

    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Guest(Party, tag="guest"):
    pass


class Host(Party, tag="host"):
    pass


def gone(desk: Desk, _: Any) -> None:
    """Somebody deletes the item."""
    desk.store.tables["payments"].clear()


# ------------------------------------------------------------------------------------------------- what it is called


@versioned
def test_an_item_that_was_deleted_since_it_was_loaded_is_missing_and_a_version_conflict(
    scripted: Make, verb: Verb
) -> None:
    """To other languages' libraries it is the latter; whoever knew no version has not been overtaken."""
    error = Desk(scripted, verb, gone).fails(MissingItem, Outcome.NOT_APPLIED)
    assert "ErrVersionConflict" in error.codes
    desk = Desk(scripted, verb, gone)
    desk.store.seed("payments", id="p1", amount=100, _wt=RING)
    desk.subject = desk.db.get(Payment, "p1")
    desk.subject.amount = 105 if verb is SAVE else 100
    error = desk.fails(MissingItem, Outcome.NOT_APPLIED)
    assert "ErrVersionConflict" not in error.codes
    error = Desk(scripted, CLASS_N[1], gone).fails(MissingItem, Outcome.NOT_APPLIED)
    assert "ErrVersionConflict" not in error.codes


@versioned
def test_another_version_is_a_conflict_and_the_same_one_is_not(scripted: Make, verb: Verb) -> None:
    """With the version that was expected, it is the condition or the tokens that do not hold."""
    for stored, kind in ((2, ConditionFailed), (1, VersionConflict), (3, VersionConflict)):
        desk = Desk(scripted, verb)
        desk.store.seed("payments", id="p1", amount=7, version=stored, _wt=b"otherone")
        error = desk.fails(kind, Outcome.NOT_APPLIED)
        assert error.item.amount == 7
        if kind is VersionConflict:
            assert f"version 2 was expected, {stored} is stored" in str(error)


def test_another_class_of_the_family_is_a_missing_item_and_an_untagged_one_is_not(scripted: Make) -> None:
    """An object that was loaded without a tag is one of its class's; by key only what has the tag is."""
    verb = UPDATE._replace(subject=lambda _: None)
    for kind, error, text in (
        ({"kind": "host"}, MissingItem, "of another class"),
        ({"kind": "guest"}, VersionConflict, "version 2 was expected"),
        ({}, VersionConflict, "version 2 was expected"),
    ):
        desk = Desk(scripted, verb)
        desk.store.seed("payments", id="p1", amount=100, version=2, kind="guest")
        guest = desk.db.get(Guest, "p1")

        def act(db: Any, _: Any, guest: Any = guest) -> Any:
            return db.update(guest, Guest.amount.add(5))

        desk.verb = verb._replace(act=act)
        desk.store.seed("payments", id="p1", amount=7, version=9, **kind)
        assert text in str(desk.fails(error, Outcome.NOT_APPLIED))
        by_key = Desk(scripted, verb._replace(act=lambda db, _: db.update(Guest, "p1", Guest.amount.add(5))))
        by_key.store.seed("payments", id="p1", amount=7, version=9, **kind)
        if kind == {"kind": "guest"}:
            assert by_key.run().amount == 12
        else:
            assert "of another class" in str(by_key.fails(MissingItem, Outcome.NOT_APPLIED))


# ------------------------------------------------------------------------------------------------- what it proves


@versioned
def test_an_item_without_a_version_counts_as_version_0_when_it_was_overtaken(scripted: Make, verb: Verb) -> None:
    """A program that keeps none made it; another user of the library gave it version 1 since."""
    for others, outcome in ((1, Outcome.NOT_APPLIED), (0, Outcome.UNKNOWN)):
        desk = Desk(scripted, verb, lost)
        desk.store.seed("payments", id="p1", amount=100, _wt=RING)
        desk.subject = desk.db.get(Payment, "p1")
        if verb is SAVE:
            desk.subject.amount = 105
        desk.writes.append(
            lambda desk, _, others=others: desk.store.seed(
                "payments", id="p1", amount=7, version=others, _wt=b"otherone" + RING
            )
        )
        error = desk.fails(VersionConflict if others else OutcomeUnknown, outcome)
        if others:
            assert error.item.version == 1


def doubled(here: Stage, verb: Verb) -> Run:
    """Run the verb while the network delivers each request twice, and the second answer is the one that comes."""
    subject = here.prepare(verb)
    here.store.copies, here.store.answers_last = 1, True
    run = here.act(verb, subject)
    here.store.copies = 0
    return run


def test_an_old_item_that_is_asked_for_is_never_the_new_one(stage: Callable[..., Stage]) -> None:
    """The put was applied, and what it replaced is lost: that is no success."""
    here = stage()
    verb = PUT_OLD._replace(
        act=lambda db, new: db.put(new, returning="old", condition=Payment.amount == 100), subject=PUT_OLD.subject
    )
    run = doubled(here, verb).failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=1)
    assert len(run.requests) == 1
    assert amount(here.store) == 105
    assert isinstance(run.error, OutcomeUnknown)
    assert run.error.resolve() is Outcome.APPLIED


def test_a_delete_of_a_loaded_object_that_is_gone_is_done_and_there_is_no_old_item(scripted: Make) -> None:
    desk = Desk(scripted, DELETE._replace(act=lambda db, it: db.delete(it, returning="old")), gone)
    assert desk.run() is None
    assert len(desk.sent) == 1


def test_a_write_that_shows_its_own_item_in_a_refusal_is_believed_at_once(stage: Callable[..., Stage]) -> None:
    """Of two copies the second is refused because of the first."""
    for verb in (CREATE, SAVE, UPDATE, DELETE):
        doubled(stage(), verb).succeeded(1)


# --------------------------------------------------------------------------------------- a result that cannot be made


@register(table="payments", partition="id", version="version")
@dataclass
class Box:
    """An object that can be closed."""

    id: str
    amount: int = 0
    version: int = 0

    def __setattr__(self, name: str, value: Any) -> None:
        if "closed" in vars(self):
            raise self.closed  # type: ignore[attr-defined] # it is there
        object.__setattr__(self, name, value)


B = fields(Box)
CHANGES: dict[str, Callable[[Any, Any], Any]] = {
    "create": lambda db, it: db.create(it),
    "put": lambda db, it: db.put(it),
    "put_if": lambda db, it: db.put(it, condition=B.amount == 100),
    "save": lambda db, it: db.save(it),
    "update": lambda db, it: db.update(it, B.amount.add(5)),
}


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt("no"), ConditionFailed("no")], ids=range(3))
@pytest.mark.parametrize("lose", [None, applied], ids=["answered", "lost"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_fails_while_the_result_is_made_says_that_the_write_was_applied(
    scripted: Make, change: str, lose: Any, error: Any
) -> None:
    """Whatever it is, an interruption too, and also an error that would say something else."""
    desk = Desk(scripted, CREATE._replace(exists=change != "create"), *([lose] if lose else []))
    if isinstance(error, KeyboardInterrupt) and desk.db.kind == "asyncio":
        return  # that ends the loop itself
    box = desk.db.get(Box, "p1") if change in {"save", "update"} else Box("p1", 105)
    box.amount = 105 if change != "update" else 100
    box.closed = copy(error)
    with pytest.raises(type(error)) as caught:
        CHANGES[change](desk.db, box)
    raised: Any = caught.value
    assert raised.outcome is Outcome.APPLIED
    assert raised.__notes__ == ["The write was applied; only making its result failed."]
    assert not getattr(raised, "retryable", False)
    assert len(desk.store.changes) == (2 if change == "put" and lose else 1)  # that may be sent twice
    assert amount(desk.store) == 105


def test_what_is_found_out_later_does_not_depend_on_the_object_in_memory(scripted: Make) -> None:
    """The write is sent again and applied, though its object takes no values any more."""
    desk = Desk(scripted, SAVE, every_write=five)
    box = desk.db.get(Box, "p1")
    box.amount = 105
    with pytest.raises(OutcomeUnknown) as caught:
        desk.db.save(box)
    desk.every_write, desk.bucket.tokens = None, desk.bucket.capacity
    box.closed = ValueError("no")
    assert caught.value.resolve() is Outcome.APPLIED
    assert amount(desk.store) == 105


def test_an_error_that_is_no_answer_is_not_taken_for_one_when_it_is_found_out(scripted: Make) -> None:
    """A fault of the program itself is seen, and not told as an unknown outcome."""
    desk = Desk(scripted, SAVE, every_write=five)
    box = desk.db.get(Box, "p1")
    box.amount = 105
    with pytest.raises(OutcomeUnknown) as caught:
        desk.db.save(box)
    desk.every_write, desk.bucket.tokens = lambda *_: RuntimeError("a fault of the program"), desk.bucket.capacity
    with pytest.raises(RuntimeError, match="a fault of the program"):
        caught.value.resolve()


@pytest.mark.parametrize("fault", [five, lost])
def test_a_result_that_cannot_be_read_back_says_so_too(scripted: Make, fault: Any) -> None:
    """The transaction was answered; only the look at what it made of the item failed."""
    desk = Desk(scripted, CLASS_N[1], every_read=fault)
    with pytest.raises(Exception, match="4 attempts") as caught:
        desk.run()
    raised: Any = caught.value
    assert raised.outcome is Outcome.APPLIED
    assert any("reading its result back" in note for note in raised.__notes__)
    assert raised.retryable is False  # the write would be made a second time
    assert len(desk.store.changes) == 1


def test_an_item_that_is_gone_when_the_result_is_read_back_was_written(scripted: Make) -> None:
    desk = Desk(scripted, CLASS_N[1])
    desk.reads = [gone]
    error = desk.fails(NotFound, Outcome.APPLIED)
    assert len(desk.store.changes) == 1
    assert error.table == "payments"
