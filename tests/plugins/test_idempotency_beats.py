"""What each answer to the renewal of a lease means to who holds it."""

from __future__ import annotations

import pytest

from dynamorm.features.records import Answer
from dynamorm.plugins.idempotency import machine
from dynamorm.plugins.idempotency.held import Held, Known
from dynamorm.plugins.idempotency.machine import COMMITTED, FAILED, NOBODY, PENDING, replace
from dynamorm.plugins.idempotency.options import checked

NOW = 1_800_000_000.0
OWN, OTHER = b"own-own-own-own-", b"other-other-oth-"


class Records:
    """Answers changes in turn; its time stands still until it is moved."""

    def __init__(self):
        self.at = 100.0
        self.sent = []
        self.answers = []

    def monotonic(self):
        return self.at

    def wall(self):
        return NOW + self.at

    def send(self, key, change):
        self.sent.append(change)
        answer = self.answers.pop(0)
        return answer
        yield


@pytest.fixture
def records():
    return Records()


@pytest.fixture
def held(records):
    options = checked("", "key", payload=5, scope="s", lease=30, retention=86_400.0, wait=0.0, final=(), max_run=900)
    made = Held(records, Known(), options)
    made._began = records.at
    made.mine = machine.fresh(OWN, b"nonce", "ph", machine.Times(int(records.wall() * 1000), 30_000, 86_400_000))
    made.until = records.at + 30
    records.at += 10
    return made


def refused(stored):
    return Answer(applied=False, item=None if stored is None else stored.item())


def beat(held):
    for _ in held.beat():
        pytest.fail("nothing but changes is sent")


def test_a_beat_that_is_applied_lets_the_lease_end_later(held, records):
    records.answers = [Answer(applied=True)]
    beat(held)
    assert records.sent[0].sets["lease"] == held.mine.lease + 10_000
    assert (held.until, held.lost) == (140.0, False)


def test_a_beat_that_meets_another_owner_or_nothing_knows_that_the_record_is_lost(held, records):
    for stored in (
        replace(held.mine, own=OTHER, fence=2),
        replace(held.mine, own=NOBODY),
        replace(held.mine, fence=2),
        None,
    ):
        held.is_lost, records.answers = False, [refused(stored)]
        beat(held)
        assert held.lost
        sent = len(records.sent)
        beat(held)  # there is nothing left to renew
        assert len(records.sent) == sent


@pytest.mark.parametrize("state", [COMMITTED, FAILED])
def test_a_beat_that_comes_behind_the_own_end_has_lost_nothing(held, records, state):
    records.answers = [refused(replace(held.mine, st=state))]
    beat(held)
    assert not held.lost
    assert held.until == 130.0


def test_a_beat_that_was_applied_before_though_its_answer_was_lost_holds_what_is_stored(held, records):
    records.answers = [refused(replace(held.mine, lease=held.mine.lease + 10_000))]
    beat(held)
    assert len(records.sent) == 1
    assert (held.until, held.lost) == (140.0, False)


def test_a_lease_that_a_wrong_clock_has_made_is_put_right(held, records):
    """The service's clock went back, so that no beat would be later for long."""
    wrong = held.mine.lease + 3_600_000
    records.answers = [refused(replace(held.mine, lease=wrong)), Answer(applied=True)]
    beat(held)
    assert ("lease", "=", wrong) in records.sent[1].expect
    assert records.sent[1].sets["lease"] == held.mine.lease == int(records.wall() * 1000) + 30_000
    assert (held.until, held.lost, held.mine.st) == (140.0, False, PENDING)


def test_who_has_put_a_lease_right_without_an_answer_or_too_late_sees_what_is_stored(held, records):
    wrong = replace(held.mine, lease=held.mine.lease + 3_600_000)
    right = replace(held.mine, lease=held.mine.lease + 10_000)
    records.answers = [refused(wrong), refused(right)]
    beat(held)
    assert (held.mine.lease, held.lost) == (right.lease, False)
    records.answers = [refused(wrong), refused(replace(wrong, own=OTHER, fence=2))]
    beat(held)
    assert held.lost


def test_a_lease_is_renewed_for_max_run_and_not_behind_the_end(held, records):
    assert held.is_beating
    records.at = 100.0 + 900 - 0.001
    assert held.is_beating
    records.at = 100.0 + 900
    assert not held.is_beating
    records.at = 110.0
    held.is_over = True
    assert not held.is_beating
    beat(held)
    assert records.sent == []


def test_a_record_is_lost_from_the_end_of_its_lease_on(held, records):
    records.at = 129.999
    assert not held.lost
    records.at = 130.0
    assert held.lost
    held.is_over = True  # what has ended cannot be lost
    assert not held.lost
