"""W14: throttles of every kind are waited for as asked, within bounds, and named when they do not end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import pytest

from dynamorm.errors import Outcome, OutcomeUnknown, Throttled
from dynamorm.testing import answers, failure, reply
from tests.faults.scripted import Scripted
from tests.faults.stage import Stage
from tests.faults.verbs import AGAIN, READS, VERBS, Payment

ITEM = {"Item": {"id": {"S": "p1"}, "amount": {"N": "100"}, "version": {"N": "2"}}}
CODES = {
    "ProvisionedThroughputExceededException": "ThrottlingReasons",
    "ThrottlingException": "throttlingReasons",
    "RequestLimitExceeded": "ThrottlingReasons",
}
LIMITS = [
    "ProvisionedThroughputExceeded",
    "AccountLimitExceeded",
    "KeyRangeThroughputExceeded",
    "MaxOnDemandThroughputExceeded",
]
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/payments"
RESOURCES = {"Table": TABLE, "Index": f"{TABLE}/index/by_status"}


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("scope", RESOURCES)
def test_w14_a_throttle_for_ever_names_its_reasons(
    scripted: Callable[..., Scripted], code: str, limit: str, scope: str
) -> None:
    """Every code, limit and scope; four tries, full jitter from one second, nothing applied."""
    for access in ("Read", "Write"):
        reasons: Any = [{"reason": f"{scope}{access}{limit}", "resource": RESOURCES[scope]}]
        fields: Any = {CODES[code]: reasons}
        throttle = failure(code, message="Throughput exceeds the current capacity", **fields)
        here = scripted(partial(_always, throttle))
        call = (
            partial(here.db.get, Payment, "p1")
            if access == "Read"
            else partial(here.db.create, Payment(id="p", amount=1))
        )
        with pytest.raises(Throttled) as caught:
            call()
        error = caught.value
        assert type(error) is Throttled
        assert error.reasons == (f"{scope}{access}{limit}",)
        assert error.resource == RESOURCES[scope]
        assert (error.outcome, error.retryable, error.attempts) == (
            Outcome.NOT_APPLIED,
            True,
            len(here.driver.requests),
        )
        _check_bounds(here)


def _always(answer: Any, _: Any) -> Any:
    return answer


def _check_bounds(here: Scripted) -> None:
    sent, sleeps = len(here.driver.requests), here.driver.sleeps
    assert sent <= 4
    assert len(sleeps) <= sent
    assert all(0 <= slept <= 2.0**turn for turn, slept in enumerate(sleeps))
    assert here.elapsed <= 8.0


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        (b"0", 0.0, 1.0),
        (b"1", 0.001, 1.0),
        (b"3000", 3.0, 3.0),
        (b"999999999", 5.0, 6.0),
        (b"-1", 0.0, 1.0),
        (b"x", 0.0, 1.0),
        (b"", 0.0, 1.0),
        (b"3.5", 0.0, 1.0),
        (b"3000,3000", 0.0, 1.0),
        (b"9" * 40, 0.0, 1.0),
    ],
)
def test_w14_a_server_may_lengthen_the_delay_by_five_seconds_at_most(
    scripted: Callable[..., Scripted], header: bytes, low: float, high: float
) -> None:
    """The own delay is up to one second; what cannot be read is ignored."""
    for code, chance in product(CODES, (0.0, 0.5, 1.0)):
        here = scripted([failure(code, retry_after=header), reply(ITEM)])
        here.session.channel.random = partial(float, chance)
        assert here.db.get(Payment, "p1").amount == 100
        slept = sum(here.driver.sleeps)
        own = chance * 1.0
        assert max(low, own) <= slept <= max(high, own)
        assert own <= slept <= own + 5.0


def test_w14_a_delay_that_would_outlast_the_operation_is_not_waited_for(scripted: Callable[..., Scripted]) -> None:
    """The answer is given at once instead."""
    here = scripted([failure("ThrottlingException", retry_after=b"3000")], operation_timeout=3.0)
    with pytest.raises(Throttled, match="time ran out") as caught:
        here.db.get(Payment, "p1")
    assert (caught.value.attempts, here.driver.sleeps) == (1, [])


def test_w14_throttles_once_or_twice_are_survived(stage: Callable[..., Stage]) -> None:
    """By every verb; nothing was applied by a throttled attempt, so the rest may go on too."""
    here = stage()
    for verb in VERBS:
        for throttle in (answers.error("ThrottlingException"), answers.error("RequestLimitExceeded")):
            here.run(verb, throttle).succeeded(2)
            here.run(verb, throttle, throttle).succeeded(3)


def test_w14_throttles_for_ever_fail_with_nothing_applied(stage: Callable[..., Stage]) -> None:
    """Also within a transaction."""
    here = stage()
    alone = answers.error("ProvisionedThroughputExceededException", message="slow down")
    within = answers.error("TransactionCanceledException", CancellationReasons=[{"Code": "ThrottlingError"}])
    for verb in VERBS:
        run = here.run(verb, forever=within if verb.safety == "N" else alone)
        run.failed(Throttled, Outcome.NOT_APPLIED, attempts=4, retryable=True)


def test_w14_a_throttle_says_nothing_about_the_attempt_before_it(stage: Callable[..., Stage]) -> None:
    """Lost, then throttled for ever: unknown for writes."""
    here = stage()
    throttle = answers.error("ThrottlingException")
    for verb in AGAIN:
        run = here.run(verb, answers.reset().applied(), forever=throttle)
        run.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=4)
    for verb in READS:
        here.run(verb, answers.reset(), forever=throttle).failed(Throttled, Outcome.NOT_APPLIED, attempts=4)


def test_w14_one_tenants_hot_key_delays_nobody_else(stage: Callable[..., Stage]) -> None:
    """Calls on another key go through at once while the throttled one waits, and after it has failed."""
    here = stage(throttle_base=0.4, retry_cap=0.4)
    here.db.inner._session.channel.random = lambda: 1.0
    for name in ("hot", "cold"):
        here.store.seed("payments", id=name, amount=1, version=0)
    throttle = answers.error("ThrottlingException")
    here.server._script = lambda request: throttle if b"hot" in request.body else None
    failed: list[Any] = []

    def tenant() -> None:
        try:
            here.db.get(Payment, "hot")
        except Throttled as error:
            failed.append(error)

    tenants = [threading.Thread(target=tenant) for _ in range(4)]
    for thread in tenants:
        thread.start()
    took = []
    while any(thread.is_alive() for thread in tenants):
        start = time.monotonic()
        assert here.db.get(Payment, "cold").amount == 1
        took.append(time.monotonic() - start)
        time.sleep(0.01)
    for thread in tenants:
        thread.join()
    assert len(failed) == 4
    assert len(took) > 10
    assert sorted(took)[len(took) // 2] < 0.1
