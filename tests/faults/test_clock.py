"""W25: a wrong clock costs one request; a hostile Date moves it by a day at most; timers do not notice."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from functools import partial
from typing import Any

import pytest

from dynamorm.effects import TransportError
from dynamorm.errors import AccessDenied, Outcome, OutcomeUnknown, Throttled
from dynamorm.testing import Answer, FakeClock, FakeReply, Request, SentRequest, answers, failure
from dynamorm.wire.clock import SKEW_CODES
from tests.faults.scripted import TRUE, Scripted, TimedService
from tests.faults.stage import Stage
from tests.faults.verbs import VERBS, Payment

Make = Callable[..., Scripted]
AWS = "https://dynamodb.us-east-1.amazonaws.com"
HOUR, DAY = 3_600.0, 86_400.0
OFFSETS = {"-24h": -DAY, "-6min": -360.0, "+6min": 360.0, "+24h": DAY}


def off(scripted: Make, offset: float, **options: Any) -> tuple[Scripted, TimedService]:
    """A client whose clock is off, and the service."""
    clock = FakeClock(now=TRUE + offset)
    service = TimedService(clock, **options)
    return scripted(service, clock=clock, endpoint=AWS), service


@pytest.mark.parametrize("offset", OFFSETS.values(), ids=list(OFFSETS))
@pytest.mark.parametrize("code", sorted(SKEW_CODES))
def test_w25_a_wrong_clock_costs_one_request_once(scripted: Make, offset: float, code: str) -> None:
    """The first call is refused and signed again; those behind it are right at once."""
    here, service = off(scripted, offset, code=code)
    payment = here.db.get(Payment, "p1")
    assert len(here.driver.requests) == 2
    here.db.update(payment, Payment.amount.add(5))
    here.db.create(Payment(id="p2", amount=1))
    assert here.db.model(Payment).where(Payment.id == "p1").first().amount == 105
    here.db.delete(payment)
    assert len(here.driver.requests) == 6
    assert len(service.store.changes) == 3
    assert here.driver.sleeps == []
    assert abs(service.signed[-1] - service.now) < 2


@pytest.mark.parametrize("offset", OFFSETS.values(), ids=list(OFFSETS))
def test_w25_a_write_recovers_as_well_and_is_made_once(scripted: Make, offset: float) -> None:
    """A refused signature applied nothing."""
    here, service = off(scripted, offset)
    created = here.db.create(Payment(id="p2", amount=1))
    assert len(here.driver.requests) == 2
    assert len(service.store.changes) == 1
    assert created.version == 0


def test_w25_stored_times_are_the_services(scripted: Make) -> None:
    """Once the clock is known to be wrong, what is written is corrected too."""
    here, service = off(scripted, -DAY)
    here.db.get(Payment, "p1")
    assert abs(here.session.now().timestamp() - service.now) < 2


@pytest.mark.parametrize("offset", [-290.0, -60.0, 60.0, 290.0])
def test_w25_what_the_service_tolerates_costs_nothing(scripted: Make, offset: float) -> None:
    """From four minutes on, good answers correct the clock before it is refused."""
    here, service = off(scripted, offset)
    for _ in range(5):
        service.clock.advance(1)
        here.db.get(Payment, "p1")
    assert len(here.driver.requests) == 5
    assert abs(service.signed[-1] - service.now) < (abs(offset) + 2 if abs(offset) < 240 else 2)


@pytest.mark.parametrize("jump", [-DAY, -HOUR, -360.0, 360.0, HOUR, DAY])
@pytest.mark.parametrize("offset", [0.0, HOUR])
def test_w25_a_jump_in_mid_run_costs_one_request(scripted: Make, jump: float, offset: float) -> None:
    """Whether the clock was right before or had been corrected; more than a day off is beyond correction."""
    if abs(offset + jump) > DAY:
        jump -= offset
    here, service = off(scripted, offset)
    for _ in range(6):
        service.clock.advance(2)
        here.db.get(Payment, "p1")
    service.clock.jump(jump)
    for _ in range(6):
        service.clock.advance(2)
        here.db.get(Payment, "p1")
    assert len(here.driver.requests) <= 12 + (offset != 0) + 1


def test_w25_without_a_date_nothing_can_be_corrected(scripted: Make) -> None:
    """A clear error after one request."""
    here, service = off(scripted, HOUR)
    service.date = lambda: None
    for call in (partial(here.db.get, Payment, "p1"), partial(here.db.create, Payment(id="p2", amount=1))):
        with pytest.raises(AccessDenied) as caught:
            call()
        assert (caught.value.attempts, caught.value.outcome, caught.value.retryable) == (1, Outcome.NOT_APPLIED, False)
    assert service.store.changes == []


def test_w25_a_wrong_secret_is_not_put_down_to_the_clock(scripted: Make) -> None:
    """The Date agrees: one request, and the error."""
    here, service = off(scripted, 0.0)
    refusal = failure("InvalidSignatureException", message="does not match")
    refusal.date = formatdate(TRUE, usegmt=True).encode()
    service.faults = [lambda *_: refusal] * 9
    with pytest.raises(AccessDenied) as caught:
        here.db.get(Payment, "p1")
    assert caught.value.attempts == 1


HOSTILE = ["Fri, 01 Jan 2100 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"]
ODD = ["", "x", "Mon, 99 Foo 2024 99:99:99 GMT", "\xff" * 29, "0" * 10_000, "2024-01-01T00:00:00Z", "-1"]


@pytest.mark.parametrize("date", [*HOSTILE, *ODD], ids=range(len(HOSTILE) + len(ODD)))
def test_w25_a_hostile_date_moves_the_clock_by_a_day_at_most(scripted: Make, date: str) -> None:
    """On good answers and on refusals; nothing crashes, and an honest Date puts it right again."""
    here, service = off(scripted, 0.0)
    honest = service.date
    service.date = lambda: date
    for turn in range(12):
        service.clock.advance(2)
        try:
            here.db.get(Payment, "p1")
        except AccessDenied:
            assert turn >= 3, "fewer than three odd dates must not move the clock"
        assert abs(here.session.channel.skew.skew) <= DAY
    assert all(abs(moment - service.now) <= DAY + 60 for moment in service.signed)
    service.date = honest
    before = len(here.driver.requests)
    assert here.db.get(Payment, "p1").amount == 100
    assert len(here.driver.requests) <= before + 2


def test_w25_one_odd_date_among_good_ones_changes_nothing(scripted: Make) -> None:
    """The median decides."""
    here, service = off(scripted, 0.0)
    honest = service.date
    for turn in range(20):
        service.clock.advance(2)
        service.date = (lambda: HOSTILE[0]) if turn % 5 == 4 else honest
        here.db.get(Payment, "p1")
    assert here.session.channel.skew.skew == 0.0
    assert len(here.driver.requests) == 20


def test_w25_a_date_over_plain_http_teaches_nothing(scripted: Make) -> None:
    """Anybody on the way may have written it."""
    clock = FakeClock(now=TRUE)
    service = TimedService(clock)
    service.date = lambda: HOSTILE[0]
    here = scripted(service, clock=clock)
    for _ in range(8):
        clock.advance(2)
        here.db.get(Payment, "p1")
    assert here.session.channel.skew.skew == 0.0


def test_w25_timers_do_not_notice_a_jumping_clock(scripted: Make) -> None:
    """The wall clock is set by a day with every request: as many attempts, as long as ever."""
    clock = FakeClock(now=TRUE)

    def jumping(request: SentRequest) -> FakeReply:
        clock.jump(DAY if request.index % 2 else -DAY)
        return failure("ThrottlingException")

    here = scripted(jumping, clock=clock)
    here.session.channel.random = lambda: 1.0
    with pytest.raises(Throttled) as caught:
        here.db.get(Payment, "p1")
    assert (caught.value.attempts, here.driver.sleeps, here.elapsed) == (4, [1.0, 2.0, 4.0], 7.0)


def test_w25_a_refused_signature_says_nothing_about_the_attempt_before_it(scripted: Make) -> None:
    """Applied and lost, then refused for the clock, then corrected: the own token is recognised."""

    def lose(service: TimedService, request: SentRequest) -> TransportError:
        service.answer(request)
        service.clock.jump(HOUR)
        return TransportError("receive", "reset", sent=True)

    here, service = off(scripted, 0.0)
    service.faults = [lose]
    payment = here.db.create(Payment(id="p2", amount=1))
    assert payment.version == 0
    assert (len(here.driver.requests), len(service.store.changes)) == (3, 1)
    service.faults, service.date = [lose], lambda: None
    with pytest.raises(OutcomeUnknown) as caught:
        here.db.update(payment, Payment.amount.add(5))
    assert caught.value.attempts == 2
    assert len(service.store.changes) == 2


@pytest.mark.parametrize("offset", OFFSETS.values(), ids=list(OFFSETS))
def test_w25_through_sockets(stage: Callable[..., Stage], offset: float) -> None:
    """The server's clock is off; every verb is tried once as the first call of its database."""
    for verb in VERBS:
        here = stage()

        def check(request: Request) -> Answer | None:
            now = time.time() + offset
            told = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
            if abs(told - now) <= 300:
                return None
            return answers.error("InvalidSignatureException", headers={"Date": formatdate(now, usegmt=True)})

        here.server._script = check
        here.run(verb).succeeded(2)
        here.run(verb).succeeded(1)
