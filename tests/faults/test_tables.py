"""Tables that take their time, and changes of them whose replies are lost: each is made once, and said as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dynamorm import Attr, Model, TableSettings, Throughput, attr, gsi, partition_key, ttl
from dynamorm.effects import TransportError
from dynamorm.errors import ClientError, DeadlineExceeded, ModelError, Outcome, OutcomeUnknown, ValidationError
from dynamorm.testing import FakeClock, failure
from tests.faults.scripted import Scripted
from tests.support.control_plane import ControlPlane, busy, lost, swallowed

Make = Callable[..., Scripted]


class Plain(Model, table="orders"):
    id: Attr[str] = partition_key()
    status: Attr[str | None] = attr(default=None)
    total: Attr[int | None] = attr(default=None)


class Indexed(Model, table="orders"):
    id: Attr[str] = partition_key()
    status: Attr[str | None] = attr(default=None)
    total: Attr[int | None] = attr(default=None)
    by_status = gsi("by-status", partition="status", sort="total")
    by_total = gsi("by-total", partition="total", projection="KEYS_ONLY")


class Narrow(Model, table="orders"):
    id: Attr[str] = partition_key()
    status: Attr[str | None] = attr(default=None)
    total: Attr[int | None] = attr(default=None)
    by_status = gsi("by-status", partition="status", sort="total", projection="KEYS_ONLY")


class Expiring(Model, table="orders"):
    id: Attr[str] = partition_key()
    until: Attr[int | None] = ttl(default=None)


class Setting:
    """A database of either face on a control plane."""

    def __init__(self, scripted: Make) -> None:
        self.clock = FakeClock()
        self.plane = ControlPlane(self.clock)
        self.driver = scripted(self.plane, clock=self.clock, region="eu-west-1")
        self.tables = self.driver.db.tables

    def operations(self, *names: str) -> list[str]:
        """The changes that were asked for, or those of some operations."""
        return [one.operation for one in self.driver.driver.requests if one.operation in names]

    @property
    def made(self) -> list[str]:
        """The changes that were made."""
        return [operation for operation, _ in self.plane.made]


@pytest.fixture
def here(scripted: Make) -> Setting:
    return Setting(scripted)


# ------------------------------------------------------------------------------------------------------------- phases


def test_create_waits_for_the_table_and_its_indexes(here: Setting) -> None:
    made = here.tables.create(Indexed)
    assert made.ready
    assert here.driver.elapsed >= here.plane.seconds


def test_indexes_are_added_one_at_a_time_each_waited_for(here: Setting) -> None:
    here.tables.create(Plain)
    seen: list[Any] = []
    here.tables.apply(here.tables.plan(Indexed), progress=seen.append)
    updates = [body["GlobalSecondaryIndexUpdates"] for name, body in here.plane.made if name == "UpdateTable"]
    assert [[next(iter(one)) for one in update] for update in updates] == [["Create"], ["Create"]]
    details = [one.detail for one in seen if one.state == "waiting"]
    assert any("items are being copied" in detail for detail in details)
    assert any("index 'by-total' of table 'orders' is still CREATING" in detail for detail in details)
    assert not here.tables.plan(Indexed)


def test_apply_waits_for_what_is_under_way_before_it_begins(here: Setting) -> None:
    here.tables.create(Plain)
    plan = here.tables.plan(Indexed)
    here.driver.db.run(_ask(here, plan.steps[0].request))  # an earlier run, killed before it saw the index ACTIVE
    made = here.tables.apply(plan)
    assert [step.text for step in made] == [plan.steps[1].text]
    assert here.made.count("UpdateTable") == 2


def _ask(here: Setting, request: dict[str, Any]) -> Any:
    from dynamorm.codec.strict import dumps, read_object
    from dynamorm.ops.calls.op import Op, Safety

    return here.driver.session.call(Op("UpdateTable", "orders", dumps(request), read_object, Safety.ONCE))


def test_check_names_an_index_that_is_still_being_made(here: Setting) -> None:
    here.tables.create(Plain)
    here.driver.db.run(_ask(here, here.tables.plan(Indexed).steps[0].request))
    with pytest.raises(ModelError) as caught:
        here.tables.check(Indexed)
    assert "index by-status is still CREATING" in str(caught.value)
    assert "no index by-total" in str(caught.value)
    assert any("by-status is still being made" in note for note in here.tables.plan(Indexed).notes)
    here.tables.wait(Plain)
    with pytest.raises(ModelError) as caught:
        here.tables.check(Indexed)
    assert "by-status" not in str(caught.value)


def test_a_wait_that_is_too_short_says_for_what(here: Setting) -> None:
    here.tables.create(Plain)
    plan = here.tables.plan(Indexed)
    with pytest.raises(DeadlineExceeded, match=r"by-status.* is still CREATING") as caught:
        here.tables.apply(plan, timeout=1)
    assert caught.value.outcome is Outcome.APPLIED  # it was accepted
    assert len(here.tables.apply(plan)) == 1  # and is not asked for again


def test_waiting_alone_changes_nothing(here: Setting) -> None:
    with pytest.raises(DeadlineExceeded, match="has not appeared") as caught:
        here.tables.wait(Plain, timeout=1)
    assert caught.value.outcome is Outcome.NOT_APPLIED


def test_an_index_is_replaced_by_deleting_waiting_and_adding(here: Setting) -> None:
    here.tables.create(Narrow)
    plan = here.tables.plan(Indexed, allow_delete=True)
    here.tables.apply(plan)
    assert here.made == ["CreateTable", "UpdateTable", "UpdateTable", "UpdateTable"]
    assert not here.tables.plan(Indexed)
    assert here.tables.apply(plan) == ()


@pytest.mark.parametrize("steps", [1, 2])
def test_a_replacement_that_was_interrupted_goes_on_where_it_was(here: Setting, steps: int) -> None:
    here.tables.create(Narrow)
    plan = here.tables.plan(Indexed, allow_delete=True)
    with pytest.raises(_Stopped):
        here.tables.apply(plan, progress=_stop_after(steps))
    made = here.tables.apply(plan)
    assert len(made) == len(plan.steps) - steps
    assert here.made.count("UpdateTable") == len(plan.steps)
    assert not here.tables.plan(Indexed)


class _Stopped(Exception):
    """The program was stopped here."""


def _stop_after(steps: int) -> Callable[[Any], None]:
    def progress(one: Any) -> None:
        if one.state == "done" and one.number == steps:
            raise _Stopped

    return progress


def test_a_busy_service_is_asked_again(here: Setting) -> None:
    here.tables.create(Plain)
    plan = here.tables.plan(Indexed)
    here.plane.faults = [busy, busy, None, busy]
    assert len(here.tables.apply(plan)) == 2


def test_a_busy_service_is_not_asked_for_ever(here: Setting) -> None:
    here.tables.create(Plain)
    plan = here.tables.plan(Indexed)
    here.plane.faults = [busy] * 1_000
    with pytest.raises(ClientError) as caught:
        here.tables.apply(plan, timeout=30)
    assert caught.value.code == "LimitExceededException"
    assert caught.value.outcome is Outcome.NOT_APPLIED


# -------------------------------------------------------------------------------------------------------- lost replies


@pytest.mark.parametrize("fault", [lost, swallowed])
def test_a_change_whose_reply_is_lost_is_made_once(here: Setting, fault: Any) -> None:
    here.tables.create(Plain)
    plan = here.tables.plan(Indexed)
    here.plane.faults = [fault, None, fault]
    if fault is lost:
        here.plane.faults = [lost, lost]
    assert here.tables.apply(plan) == plan.steps
    assert here.made.count("UpdateTable") == 2
    assert not here.tables.plan(Indexed)


@pytest.mark.parametrize("fault", [lost, swallowed])
def test_a_create_whose_reply_is_lost_makes_one_table(here: Setting, fault: Any) -> None:
    here.plane.faults = [fault]
    assert here.tables.create(Indexed).ready
    assert here.made == ["CreateTable"]


def test_a_create_that_is_lost_for_ever_is_unknown(here: Setting) -> None:
    here.plane.faults = [swallowed] * 1_000
    with pytest.raises(OutcomeUnknown) as caught:
        here.tables.create(Plain, timeout=20)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert caught.value.operation == "CreateTable"


def test_a_lost_create_is_not_called_a_success_when_another_table_is_there(here: Setting) -> None:
    here.tables.create(Plain)
    with pytest.raises(ClientError) as caught:
        here.tables.create(Indexed)
    assert caught.value.code == "ResourceInUseException"
    assert caught.value.outcome is Outcome.NOT_APPLIED


def test_a_refusal_after_a_lost_attempt_does_not_say_that_nothing_happened(here: Setting) -> None:
    here.tables.create(Plain)
    plan = here.tables.plan(Indexed)
    here.plane.faults = [swallowed, lambda *_: failure("AccessDeniedException", 400, "no more")]
    with pytest.raises(OutcomeUnknown):
        here.tables.apply(plan)


@pytest.mark.parametrize("fault", [lost, swallowed])
def test_a_delete_whose_reply_is_lost_is_seen_through(here: Setting, fault: Any) -> None:
    here.tables.create(Plain)
    here.plane.faults = [fault]
    here.tables.delete(Plain)
    assert here.plane.tables == {}
    assert here.made.count("DeleteTable") == 1


@pytest.mark.parametrize("fault", [lost, swallowed])
def test_expiry_is_switched_on_once_although_the_reply_is_lost(here: Setting, fault: Any) -> None:
    """DynamoDB refuses a second change within an hour, so it is looked for before it is sent again."""
    here.tables.create(Plain)
    here.plane.faults = [fault]
    assert here.tables.ensure(Expiring).ttl == "until"
    assert here.made.count("UpdateTimeToLive") == 1


def test_expiry_that_is_on_is_not_switched_again(here: Setting) -> None:
    here.tables.create(Expiring)
    here.tables.ensure(Expiring)
    assert here.operations("UpdateTimeToLive") == ["UpdateTimeToLive"]


def test_expiry_that_another_process_switches_on_meanwhile_is_fine(here: Setting) -> None:
    here.tables.create(Plain)

    def other_was_quicker(plane: ControlPlane, _: Any) -> None:
        plane.ttl["orders"] = "until"

    here.plane.faults = [other_was_quicker]
    assert here.tables.ensure(Expiring).ttl == "until"


# ---------------------------------------------------------------------------------------------------------- the others


def test_somebody_elses_change_during_a_plan_is_noticed(here: Setting) -> None:
    here.tables.create(Plain)
    plan = here.tables.plan(Indexed, settings=TableSettings(deletion_protection=True))

    def lift(one: Any) -> None:
        if one.state == "done" and one.number == len(plan.steps):
            here.plane.tables["orders"]["GlobalSecondaryIndexes"].pop()

    with pytest.raises(ModelError, match="somebody else"):
        here.tables.apply(plan, progress=lift)


def test_a_protected_table_is_deleted_by_force_only(here: Setting) -> None:
    here.tables.create(Plain, settings=TableSettings(deletion_protection=True))
    with pytest.raises(ValidationError, match="force=True") as caught:
        here.tables.delete(Plain)
    assert caught.value.code == "ErrDeletionProtected"
    assert "orders" in here.plane.tables
    here.tables.delete(Plain, force=True)
    assert here.plane.tables == {}


def test_a_feature_that_the_engine_lacks_is_named_or_passed_over(here: Setting) -> None:
    settings = TableSettings(point_in_time_recovery=True)
    with pytest.raises(ClientError, match="skip_unavailable") as caught:
        here.tables.create(Plain, settings=settings)
    assert caught.value.code == "UnknownOperationException"
    assert here.tables.ensure(Plain, settings=settings, skip_unavailable=True).point_in_time_recovery is None
    plan = here.tables.plan(Plain, settings=settings)
    assert any("cannot be seen" in text for text in plan.problems)


def test_what_the_permissions_hide_is_none_in_the_description(here: Setting) -> None:
    here.tables.create(Plain)
    found = here.tables.describe(Plain)
    assert (found.tags, found.point_in_time_recovery, found.ttl) == (None, None, "")


def test_a_change_that_never_shows_ends_with_an_error(here: Setting) -> None:
    here.tables.create(Plain)
    plan = here.tables.plan(Plain, settings=TableSettings(table_class="STANDARD_INFREQUENT_ACCESS"))
    with pytest.raises(DeadlineExceeded, match="may not have it") as caught:
        here.tables.apply(plan)
    assert caught.value.outcome is Outcome.UNKNOWN


def test_warm_throughput_that_grew_by_itself_is_no_difference(here: Setting) -> None:
    here.tables.create(Plain)
    settings = TableSettings(warm_throughput=Throughput(14_000, 5_000))
    plan = here.tables.plan(Plain, settings=settings)
    assert [step.kind for step in plan.steps] == ["throughput"]
    here.plane.tables["orders"]["WarmThroughput"] = {"ReadUnitsPerSecond": 12_345, "WriteUnitsPerSecond": 4_321}
    here.tables.apply(plan)
    assert not here.tables.plan(Plain, settings=settings)
    here.plane.tables["orders"]["WarmThroughput"] = {"ReadUnitsPerSecond": 90_000, "WriteUnitsPerSecond": 5_000}
    assert not here.tables.plan(Plain, settings=settings)
    assert here.tables.apply(plan) == ()


@pytest.mark.parametrize(
    ("key", "notes"),
    [
        ("arn:aws:kms:eu-west-1:1:key/k1", 0),
        ("k1", 0),
        ("alias/pay", 1),
        ("AWS_MANAGED", 1),
    ],
)
def test_a_key_is_compared_as_far_as_it_is_told(here: Setting, key: str, notes: int) -> None:
    here.tables.create(Plain)
    plan = here.tables.plan(Plain, settings=TableSettings(encryption=key))
    assert [step.kind for step in plan.steps] == ["encryption"]
    here.tables.apply(plan)
    again = here.tables.plan(Plain, settings=TableSettings(encryption=key))
    assert not again
    assert len(again.notes) == notes
    other = here.tables.plan(Plain, settings=TableSettings(encryption="AWS_OWNED"))
    assert [step.kind for step in other.steps] == ["encryption"]


def test_a_description_that_describes_no_table_is_not_believed(scripted: Make) -> None:
    from dynamorm.errors import MalformedResponse
    from dynamorm.testing import reply

    made = scripted(lambda _: reply({"Table": {"TableName": "orders"}}), clock=FakeClock())
    with pytest.raises(MalformedResponse):
        made.db.tables.describe(Plain)


def test_a_read_that_is_lost_is_asked_again(here: Setting) -> None:
    here.tables.create(Plain)
    answer, faults = here.plane.answer, [TransportError("receive", "reset", sent=True)]
    here.plane.answer = lambda request: faults.pop() if faults else answer(request)  # type: ignore[method-assign] # one loss
    assert here.tables.describe(Plain).ready
