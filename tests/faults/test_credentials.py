"""W26: credentials that expire, rotate or cannot be had: one refresh, then a clear error."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from dynamorm import Credentials
from dynamorm.effects import TransportError
from dynamorm.errors import AccessDenied, CredentialsError, DynamORMError, Outcome, OutcomeUnknown
from dynamorm.testing import Answer, FakeClock, FakeReply, Request, SentRequest, answers, failure, reply
from tests.faults.scripted import Scripted
from tests.faults.stage import Stage
from tests.faults.verbs import KEYS, VERBS, Payment
from tests.support.faults import Store

Make = Callable[..., Scripted]
NOW = 1_700_000_000.0
SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"


class Vault:
    """Hands out keys named KEY0, KEY1, ... that live so long; ``down`` makes it raise."""

    def __init__(self, clock: FakeClock, life: float | None = 900.0) -> None:
        self.clock = clock
        self.life = life
        self.number = 0
        self.calls = 0
        self.down = False

    def __call__(self) -> Credentials:
        """The current key."""
        self.calls += 1
        if self.down:
            raise ConnectionError(f"no vault for {SECRET}")
        expires = None if self.life is None else self.clock.time() + self.life
        return Credentials(f"KEY{self.number}", SECRET, "token", expires)


class Service:
    """Accepts the keys it is told to."""

    def __init__(self, *good: str, code: str = "ExpiredTokenException") -> None:
        self.good = set(good)
        self.code = code
        self.store = Store(KEYS)
        self.store.seed("payments", id="p1", amount=100, version=2, _wt=b"seed0000")
        self.faults: list[Callable[[SentRequest], Any]] = []

    def __call__(self, request: SentRequest) -> Any:
        """Serve a request."""
        if key_of(request.headers) not in self.good:
            return failure(self.code, message="The security token included in the request is expired")
        if self.faults:
            return self.faults.pop(0)(request)
        return self.answer(request)

    def answer(self, request: SentRequest) -> FakeReply:
        """Apply a request."""
        status, body = self.store(request.operation, request.json)
        return reply(body, status)


def key_of(headers: dict[str, str]) -> str:
    """The access key of a request."""
    return headers["authorization"].partition("Credential=")[2].partition("/")[0]


def keys(here: Scripted) -> list[str]:
    """The access key of each request sent."""
    return [key_of(request.headers) for request in here.driver.requests]


def make(scripted: Make, *good: str, life: float | None = 900.0, code: str = "ExpiredTokenException") -> Any:
    """A database, its vault and its service."""
    clock = FakeClock(now=NOW)
    vault, service = Vault(clock, life), Service(*good, code=code)
    return scripted(service, clock=clock, credentials=vault), vault, service


CODES = ["ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId"]


@pytest.mark.parametrize("code", CODES)
def test_w26_keys_that_expire_in_mid_run_cost_one_refresh(scripted: Make, code: str) -> None:
    """The refused call is sent again with new keys; writes are made once."""
    here, vault, service = make(scripted, "KEY0", code=code)
    payment = here.db.get(Payment, "p1")
    vault.number, service.good = 1, {"KEY1"}
    here.db.update(payment, Payment.amount.add(5))
    here.db.create(Payment(id="p2", amount=1))
    assert keys(here) == ["KEY0", "KEY0", "KEY1", "KEY1"]
    assert (vault.calls, len(service.store.changes), payment.amount) == (2, 2, 105)
    assert here.driver.sleeps == []


def test_w26_an_error_after_that_names_the_refusal_of_the_old_keys_too(scripted: Make) -> None:
    """All that happened to a call is in its error."""
    here, vault, service = make(scripted, "KEY0")
    here.db.get(Payment, "p1")
    vault.number, service.good = 1, set()
    with pytest.raises(DynamORMError) as caught:
        here.db.get(Payment, "p1")
    assert [type(error) for error in caught.value.earlier] == [AccessDenied]
    assert caught.value.attempts == 2


def test_w26_keys_are_fetched_anew_before_they_expire(scripted: Make) -> None:
    """Two minutes before, and no request is ever refused."""
    here, vault, service = make(scripted, "KEY0", "KEY1", "KEY2", life=900.0)
    for minute in range(30):
        here.db.get(Payment, "p1")
        vault.number = (minute + 1) // 13
        vault.clock.advance(60)
    assert keys(here) == ["KEY0"] * 13 + ["KEY1"] * 13 + ["KEY2"] * 4
    assert vault.calls == 3
    assert service.store.changes == []


def test_w26_a_vault_that_is_down_is_survived_while_the_keys_last(scripted: Make) -> None:
    """Asked again every half minute; when the keys are dead, a clear error; when it is back, all is well."""
    here, vault, _ = make(scripted, "KEY0", "KEY1", life=900.0)
    here.db.get(Payment, "p1")
    vault.down, vault.number = True, 1
    vault.clock.advance(800)
    for _ in range(9):
        here.db.get(Payment, "p1")
        vault.clock.advance(10)
    assert 2 <= vault.calls <= 6
    assert set(keys(here)) == {"KEY0"}
    vault.clock.advance(60)
    _clear(here, lambda: here.db.get(Payment, "p1"))
    _clear(here, lambda: here.db.create(Payment(id="p2", amount=1)))
    vault.down = False
    assert here.db.get(Payment, "p1").amount == 100
    assert keys(here)[-1] == "KEY1"


def _clear(here: Scripted, call: Callable[[], Any]) -> None:
    sent = len(here.driver.requests)
    with pytest.raises(CredentialsError) as caught:
        call()
    error = caught.value
    assert (error.outcome, error.retryable) == (Outcome.NOT_APPLIED, False)
    assert len(here.driver.requests) == sent
    assert "To fix it" in str(error)
    shown = f"{error} {error.safe} {error.__cause__} {error.__context__}"
    assert SECRET not in shown


def test_w26_a_vault_that_is_down_from_the_start_is_a_clear_error(scripted: Make) -> None:
    """Before anything is sent; without its words, which may hold anything."""
    here, vault, _ = make(scripted, "KEY0")
    vault.down = True
    _clear(here, lambda: here.db.get(Payment, "p1"))
    _clear(here, lambda: here.db.create(Payment(id="p2", amount=1)))


def test_w26_the_same_keys_again_are_a_clear_error(scripted: Make) -> None:
    """One request, one refresh, no second request with keys that were refused."""
    here, vault, service = make(scripted, life=None)
    with pytest.raises(CredentialsError, match="does not accept") as caught:
        here.db.create(Payment(id="p2", amount=1))
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert (len(here.driver.requests), vault.calls, service.store.changes) == (1, 2, [])


def test_w26_new_keys_that_are_refused_too_are_the_end(scripted: Make) -> None:
    """One refresh; two requests."""
    here, vault, _ = make(scripted)
    numbers = count()

    def rotate() -> Credentials:
        vault.number = next(numbers)
        return Vault.__call__(vault)

    here.session.channel.credentials._given = rotate
    with pytest.raises(AccessDenied) as caught:
        here.db.create(Payment(id="p2", amount=1))
    error = caught.value
    assert (error.attempts, error.outcome, error.retryable) == (2, Outcome.NOT_APPLIED, False)
    assert keys(here) == ["KEY0", "KEY1"]


@pytest.mark.parametrize("then", ["down", "same", "refused", "rotated"])
def test_w26_refused_keys_say_nothing_about_the_attempt_before(scripted: Make, then: str) -> None:
    """Applied and lost, then refused: without usable keys the outcome is unknown, with new ones it is settled."""
    here, vault, service = make(scripted, "KEY0")

    def lose(request: SentRequest) -> TransportError:
        service.answer(request)
        service.good = {"KEY1"} if then == "rotated" else set()
        vault.down = then == "down"
        vault.number = 0 if then == "same" else 1
        return TransportError("receive", "reset", sent=True)

    service.faults = [lose]
    payment = Payment(id="p2", amount=1)
    if then == "rotated":
        assert here.db.create(payment).version == 0
    else:
        with pytest.raises(OutcomeUnknown) as caught:
            here.db.create(payment)
        assert caught.value.outcome is Outcome.UNKNOWN
    assert len(service.store.changes) == 1


def test_w26_through_sockets_by_every_verb(stage: Callable[..., Stage]) -> None:
    """Each verb meets keys that have just been rotated; many at once make one refresh."""
    vault = Vault(FakeClock(now=4e9), life=None)
    here = stage(credentials=vault)

    def check(request: Request) -> Answer | None:
        return None if key_of(request.headers) == f"KEY{vault.number}" else answers.error("ExpiredTokenException")

    here.server._script = check
    here.run(VERBS[0]).succeeded(1)
    for verb in VERBS:
        calls = vault.calls
        vault.number += 1
        here.run(verb).succeeded(2)
        assert vault.calls == calls + 1
    vault.number += 1
    calls = vault.calls
    here.prepare(VERBS[0])
    found = here.db.concurrently(lambda _: here.db.get(Payment, "p1").amount, 16)
    assert found == [100] * 16
    assert vault.calls <= calls + 2
