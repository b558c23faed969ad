"""The states of the circuit breaker, on a fake clock: each line of the table of states, leases, late results, R01."""

import gc
import pickle
import random
import threading
import time

import pytest

from dynamorm import CircuitBreakerConfig, Config, deadline
from dynamorm.effects import TransportError
from dynamorm.errors import CircuitOpen, ConfigError, DynamORMError, Outcome, ServerError, ValidationError
from dynamorm.plugins.breaker import BreakerState, CircuitBreaker, StateChange
from dynamorm.testing import FakeClock, Late, failure, reply
from tests.plugins.scripts import BROKEN, DENIED, DONE, FOUND, REFUSED, THROTTLED, Payment, Scripted

CLOSED, OPEN, HALF = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


class Asked:
    """What the breaker is asked about, without a database."""

    table = "payments"

    def __init__(self, name="GetItem", purpose="verb"):
        self.name, self.purpose = name, purpose
        self.writes = name in {"PutItem", "UpdateItem"}


class Bench:
    """A breaker on a fake clock, asked directly."""

    def __init__(self, request_timeout=2.0, **settings):
        self.clock = FakeClock()
        self.changes = []
        config = CircuitBreakerConfig(on_state_change=self.changes.append, **settings)
        self.breaker = CircuitBreaker(
            config, request_timeout=request_timeout, clock=self.clock.monotonic, random=lambda: 0.5
        )

    def begin(self, name="GetItem", purpose="verb"):
        call = Asked(name, purpose)
        self.breaker.admit(call)
        return call

    def end(self, call, answer):
        """An answer, an error, or None for what was abandoned."""
        if isinstance(answer, BaseException):
            self.breaker.observed(call, None, answer)
        else:
            self.breaker.observed(call, answer, None)

    def one(self, answer, name="GetItem"):
        self.end(self.begin(name), answer)

    def refused(self, name="GetItem", purpose="verb"):
        with pytest.raises(CircuitOpen) as caught:
            self.begin(name, purpose)
        return caught.value

    def trip(self, name="GetItem"):
        for _ in range(self.breaker.config.threshold):
            self.one(BROKEN, name)

    def half(self):
        self.trip()
        self.clock.advance(10.0)

    @property
    def state(self):
        return self.breaker.states["read"]


# ------------------------------------------------------------------------------------------------------- closed to open


@pytest.mark.parametrize("threshold", [1, 2, 5])
def test_the_last_failure_of_the_threshold_opens_it(threshold):
    bench = Bench(threshold=threshold)
    for _ in range(threshold - 1):
        bench.one(BROKEN)
    assert bench.state is CLOSED
    bench.one(BROKEN)
    assert bench.state is OPEN
    refusal = bench.refused()
    assert refusal.outcome is Outcome.NOT_APPLIED
    assert refusal.retryable
    assert refusal.code == "ErrCircuitOpen"
    assert "ErrUnavailable" in refusal.codes
    assert refusal.retry_after == pytest.approx(10.0)
    assert (refusal.operation, refusal.table) == ("GetItem", "payments")
    assert f"{threshold} requests in a row failed" in str(refusal)
    again = pickle.loads(pickle.dumps(refusal))
    assert again.retry_after == refusal.retry_after


def test_a_success_between_failures_begins_the_row_anew():
    bench = Bench()
    for _ in range(10):
        for _ in range(4):
            bench.one(BROKEN)
        bench.one(FOUND)
    assert bench.state is CLOSED


FAILURES = [
    *(failure(code, status) for code, status in (("InternalServerError", 500), ("ServiceUnavailable", 503))),
    reply(b"<html>bad gateway</html>", 502),
    reply(b"<html>a portal</html>", 403),
    TransportError("connect", "refused", sent=False),
    TransportError("dns", "the name server does not answer", sent=False),
    TransportError("tls", "reset", sent=False),
    TransportError("receive", "reset", sent=True),
    TransportError("send", "reset", sent=True),
    TransportError("protocol", "not HTTP", sent=True),
]
NEUTRAL = [
    THROTTLED,
    REFUSED,
    DENIED,
    failure("ValidationException"),
    failure("TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}]),
    failure("ResourceNotFoundException"),
    TransportError("pool", "all stayed busy", sent=False),
    TransportError("certificate", "expired", sent=False),
    TransportError("forbidden", "169.254.169.254", sent=False),
    None,
]


@pytest.mark.parametrize("answer", FAILURES, ids=str)
def test_what_is_a_failure(answer):
    bench = Bench()
    for _ in range(5):
        bench.one(answer)
    assert bench.state is OPEN


@pytest.mark.parametrize("answer", NEUTRAL, ids=str)
def test_what_tells_nothing_neither_opens_nor_begins_the_row_anew(answer):
    bench = Bench()
    for _ in range(50):
        bench.one(answer)
    assert bench.state is CLOSED
    for _ in range(4):
        bench.one(BROKEN)
        bench.one(answer)
    assert bench.state is CLOSED
    bench.one(BROKEN)
    assert bench.state is OPEN


def test_an_answer_that_cannot_be_believed_is_a_failure(face_kind):
    for answer in (reply({}, crc="bad"), reply(b'{"Item":'), reply(b"<html></html>")):
        clock = FakeClock()
        breaker = CircuitBreaker(clock=clock.monotonic)
        here = Scripted(face_kind, breaker, answer=answer, clock=clock)
        for _ in range(3):
            with pytest.raises(DynamORMError):
                here.db.get(Payment, "p1")
        assert breaker.state is OPEN
        assert here.sent == 5


def test_a_name_that_does_not_exist_is_our_own_fault():
    bench = Bench()
    error = TransportError("dns", "no such name", sent=False)
    error.misconfigured = True
    for _ in range(20):
        bench.one(error)
    assert bench.state is CLOSED


def test_attempts_that_their_callers_cut_short_tell_nothing():
    bench = Bench()
    for _ in range(50):
        call = bench.begin()
        bench.clock.advance(0.001)
        bench.end(call, TransportError("timeout", "no answer", sent=True))
    assert bench.state is CLOSED
    with deadline(1e-6):
        for _ in range(50):
            bench.one(TransportError("connect", "timed out", sent=False))
    assert bench.state is CLOSED
    for _ in range(5):
        call = bench.begin()
        bench.clock.advance(2.0)
        bench.end(call, TransportError("timeout", "no answer", sent=True))
    assert bench.state is OPEN


def test_reads_and_writes_have_a_circuit_each():
    bench = Bench()
    bench.trip("PutItem")
    assert bench.breaker.states == {"read": CLOSED, "write": OPEN, "streams": CLOSED}
    assert bench.breaker.state is OPEN
    bench.one(FOUND)
    assert bench.refused("UpdateItem").operation == "UpdateItem"
    for _ in range(5):
        bench.one(BROKEN, "GetRecords")
    assert bench.breaker.states["streams"] is OPEN
    bench.one(FOUND)


def test_a_share_of_failures_opens_it():
    bench = Bench(failure_ratio=0.5, minimum_requests=20, window=10)
    for number in range(19):
        bench.one(BROKEN if number % 2 else FOUND)
    assert bench.state is CLOSED
    bench.one(BROKEN)
    assert bench.state is OPEN
    assert "10 of 20 requests in 10 s failed" in str(bench.refused())


def test_what_is_longer_ago_than_the_window_does_not_count():
    bench = Bench(failure_ratio=0.5, minimum_requests=20, window=10)
    for _ in range(19):
        bench.one(BROKEN)
    bench.clock.advance(11)
    for _ in range(30):
        bench.one(FOUND)
    for _ in range(10):
        bench.one(BROKEN)
    assert bench.state is CLOSED
    for _ in range(20):
        bench.one(BROKEN)
    assert bench.state is OPEN


# ---------------------------------------------------------------------------------------------------- open to half open


@pytest.mark.parametrize(("dice", "seconds"), [(0.0, 9.0), (0.5, 10.0), (1.0, 11.0)])
def test_it_refuses_for_its_time_give_or_take_a_tenth(dice, seconds):
    bench = Bench()
    bench.breaker._random = lambda: dice
    bench.breaker.forked()
    bench.trip()
    bench.clock.advance(seconds - 0.001)
    assert bench.state is OPEN
    assert bench.refused().retry_after == pytest.approx(0.001)
    bench.clock.advance(0.002)
    assert bench.state is HALF


def test_as_many_may_try_as_have_succeeded_allow():
    bench = Bench(success_threshold=9, max_requests=6)
    bench.half()
    for allowed in (1, 2, 4, 6, 6):
        calls = [bench.begin() for _ in range(allowed)]
        refusal = bench.refused()
        assert 0 < refusal.retry_after <= 2.0
        for call in calls[1:]:
            bench.end(call, None)
        bench.end(calls[0], FOUND)
    assert bench.state is HALF


def test_retry_after_while_some_try_is_the_end_of_the_oldest_lease():
    bench = Bench(request_timeout=2.0)
    bench.half()
    bench.end(bench.begin(), FOUND)
    bench.begin()
    bench.clock.advance(0.5)
    bench.begin()
    assert bench.refused().retry_after == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        ({}, 5),
        ({"max_requests": 3}, 3),
        ({"success_threshold": 2}, 2),
        ({"max_requests": 8, "gobreaker_compat": True}, 8),
    ],
)
def test_so_many_successes_close_it(settings, needed):
    bench = Bench(**settings)
    bench.half()
    for _ in range(needed - 1):
        bench.one(FOUND)
    assert bench.state is HALF
    bench.one(FOUND)
    assert bench.state is CLOSED
    for _ in range(4):
        bench.one(BROKEN)
    assert bench.state is CLOSED  # the failures before are forgotten


def test_a_failure_opens_it_for_twice_as_long_up_to_a_minute():
    bench = Bench()
    bench.half()
    for seconds in (20, 40, 60, 60):
        bench.one(BROKEN)
        assert bench.state is OPEN
        assert bench.refused().retry_after == pytest.approx(seconds)
        bench.clock.advance(seconds)
        assert bench.state is HALF
    for _ in range(5):
        bench.one(FOUND)
    bench.trip()
    assert bench.refused().retry_after == pytest.approx(10)


def test_a_long_time_of_ones_own_stays():
    bench = Bench(timeout=100)
    bench.trip()
    bench.clock.advance(100)
    bench.one(BROKEN)
    assert bench.refused().retry_after == pytest.approx(100)


def test_refusals_of_the_service_close_it_when_nothing_else_comes():
    """Each is neutral; but who refuses for as long as that is there."""
    bench = Bench()
    bench.half()
    for _ in range(20):
        bench.one(REFUSED)
    assert bench.state is HALF
    bench.clock.advance(10)
    bench.one(REFUSED)
    assert bench.state is CLOSED


# ------------------------------------------------------------------------------------------------- places, leases, late


def test_what_settles_a_write_takes_its_place_first():
    bench = Bench(max_requests=3)
    bench.half()
    settling = [bench.begin(purpose="settle") for _ in range(3)]
    bench.refused()
    bench.refused(purpose="settle")
    bench.end(settling[0], FOUND)
    bench.refused()  # two places are allowed, and taken
    bench.end(settling[1], FOUND)
    bench.begin()


def test_what_settles_a_write_is_refused_while_it_is_open():
    bench = Bench()
    bench.trip()
    bench.refused(purpose="settle")


def test_an_abandoned_attempt_gives_its_place_back():
    bench = Bench()
    bench.half()
    for _ in range(1_000):
        call = bench.begin()
        bench.refused()
        bench.end(call, None)
    assert bench.state is HALF
    for _ in range(5):
        bench.one(FOUND)
    assert bench.state is CLOSED


def test_a_place_that_nobody_gives_back_is_free_after_its_lease():
    bench = Bench(request_timeout=2.0)
    bench.half()
    bench.begin()
    bench.clock.advance(1.9)
    bench.refused()
    bench.clock.advance(0.2)
    bench.one(FOUND)
    assert bench.state is HALF


def test_hung_probes_open_it_again_and_it_closes_in_the_end():
    bench = Bench(request_timeout=2.0)
    bench.half()
    begun = [bench.begin()]
    for _ in range(4):
        bench.clock.advance(2.4)
        begun.append(bench.begin())
    bench.clock.advance(2.4)
    assert bench.state is OPEN
    for call in begun:  # late results
        bench.end(call, FOUND)
    assert bench.state is OPEN
    bench.clock.advance(10)
    for _ in range(5):
        bench.one(FOUND)
    assert bench.state is CLOSED


@pytest.mark.parametrize("late", [FOUND, BROKEN])
def test_a_late_result_of_an_older_generation_counts_neither_way(late):
    bench = Bench()
    old = [bench.begin() for _ in range(10)]
    bench.half()
    probing = [bench.begin() for _ in range(1)]
    for call in old:
        bench.end(call, late)
    assert bench.state is HALF
    bench.refused()  # nor has it widened anything, or given a place back
    bench.end(probing[0], BROKEN)
    bench.clock.advance(20)
    for _ in range(5):
        bench.one(FOUND)
    older = bench.begin()
    bench.trip()
    bench.end(older, FOUND)
    assert bench.state is OPEN


def test_an_end_that_is_told_twice_counts_once():
    bench = Bench(threshold=2)
    call = bench.begin()
    bench.end(call, BROKEN)
    bench.end(call, BROKEN)
    assert bench.state is CLOSED


def test_the_notes_of_attempts_whose_end_is_never_told_do_not_pile_up():
    bench = Bench()
    for _ in range(5_000):
        bench.begin()
    bench.trip()
    bench.clock.advance(2_000)
    bench.begin()
    assert len(bench.breaker._under_way) == 1


# ------------------------------------------------------------------------------------------------------------ by hand


def test_isolate_and_reset():
    bench = Bench()
    bench.breaker.isolate()
    assert bench.state is OPEN
    bench.clock.advance(1e6)
    assert bench.refused().retry_after == 10
    assert "isolated by hand" in str(bench.refused())
    bench.breaker.reset()
    bench.one(FOUND)
    bench.breaker.isolate("write")
    bench.one(FOUND)
    bench.refused("PutItem")
    bench.breaker.reset("write")
    bench.one(FOUND, "PutItem")
    with pytest.raises(ValidationError, match="scope is 'read', 'write' or 'streams'"):
        bench.breaker.isolate("reads")


def test_changes_are_told_in_order():
    bench = Bench()
    more = []
    bench.breaker.listen(more.append)
    bench.half()
    bench.one(BROKEN)
    bench.clock.advance(20)
    for _ in range(5):
        bench.one(FOUND)
    states = [(change.before, change.after) for change in bench.changes]
    assert states == [(CLOSED, OPEN), (OPEN, HALF), (HALF, OPEN), (OPEN, HALF), (HALF, CLOSED)]
    assert more == bench.changes
    assert bench.changes[0] == StateChange("read", CLOSED, OPEN, "5 requests in a row failed")
    assert all(change.reason for change in bench.changes)


def test_a_listener_that_fails_is_logged_and_changes_nothing(caplog):
    def failing(change):
        raise RuntimeError("no")

    breaker = CircuitBreaker(CircuitBreakerConfig(threshold=1, on_state_change=failing))
    seen = []
    breaker.listen(seen.append)
    call = Asked()
    breaker.admit(call)
    breaker.observed(call, BROKEN, None)
    assert breaker.state is OPEN
    assert len(seen) == 1
    assert "a listener of the circuit breaker failed" in caplog.text


def test_a_listener_may_use_the_breaker():
    breaker = CircuitBreaker(CircuitBreakerConfig(threshold=1, on_state_change=lambda _: breaker.reset()))
    call = Asked()
    breaker.admit(call)
    breaker.observed(call, BROKEN, None)
    assert breaker.state is CLOSED


# ---------------------------------------------------------------------------------------------------------------- R01


def test_r01_a_flapping_service_on_a_database(face_kind):
    """Well and not well in turns; the wall clock jumps; each time it closes again."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock.monotonic, random=random.Random(1).random)
    here = Scripted(face_kind, breaker, clock=clock)
    for turn in range(6):
        here.answer = BROKEN
        requests = here.sent
        for _ in range(200):
            with pytest.raises((CircuitOpen, ServerError)):
                here.db.get(Payment, "p1")
            clock.advance(0.05)
        assert here.sent - requests <= 8
        assert breaker.states["read"] is not CLOSED
        here.answer = FOUND
        clock.jump((-86_400.0, 86_400.0)[turn % 2])
        for _ in range(1_300):
            clock.advance(0.05)
            try:
                here.db.get(Payment, "p1")
            except CircuitOpen:
                continue
        assert breaker.state is CLOSED
        assert here.db.get(Payment, "p1").amount == 100


def test_r01_hung_probes_on_a_database(face_kind):
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock.monotonic)
    here = Scripted(face_kind, breaker, clock=clock)
    hung = Late(FOUND, 1e6)
    here.answer = hung
    for _ in range(3):
        with pytest.raises(DynamORMError):
            here.db.get(Payment, "p1")
    assert breaker.state is OPEN
    requests = here.sent
    for _ in range(60):
        clock.advance(1)
        with pytest.raises(DynamORMError):
            here.db.get(Payment, "p1")
    assert here.sent - requests <= 6
    here.answer = FOUND
    clock.advance(70)
    for _ in range(5):
        here.db.get(Payment, "p1")
    assert breaker.state is CLOSED


def test_r01_ten_thousand_at_once():
    """Threads that begin, end, abandon and forget attempts in all states: never more than may, and it closes again."""
    breaker = CircuitBreaker(CircuitBreakerConfig(timeout=0.02, max_requests=16), request_timeout=0.01)
    circuit = breaker._circuits["read"]
    well = threading.Event()
    most, longest, wrong = [0], [0.0], []

    def work(seed):
        dice = random.Random(seed)
        try:
            for _ in range(625):
                call = Asked()
                try:
                    breaker.admit(call)
                except CircuitOpen as refusal:
                    longest[0] = max(longest[0], refusal.retry_after)
                    continue
                most[0] = max(most[0], len(circuit.phase.leases))
                answer = dice.choice([FOUND, None, None] if well.is_set() else [BROKEN, BROKEN, FOUND, None])
                if dice.random() < 0.98:  # else its end is never told
                    breaker.observed(call, answer, None)
        except BaseException as error:  # noqa: BLE001 - looked at below
            wrong.append(error)

    for phase in (False, True):
        if phase:
            well.set()
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert most[0] <= 16
    assert 0 < longest[0] <= 60
    end = time.monotonic() + 120  # it may stay open for twice as long as the threads took, and for a minute at most
    while breaker.state is not CLOSED and time.monotonic() < end:
        time.sleep(0.01)
        call = Asked()
        try:
            breaker.admit(call)
        except CircuitOpen:
            continue
        breaker.observed(call, FOUND, None)
    assert breaker.state is CLOSED


# ---------------------------------------------------------------------------------------------------------- bad settings


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"threshold": 0}, "threshold is a whole number in 1 ... 1000000, not 0"),
        ({"threshold": -5}, "threshold is a whole number"),
        ({"threshold": 2.5}, "threshold is a whole number"),
        ({"threshold": True}, "threshold is a whole number"),
        ({"max_requests": 0}, "max_requests is a whole number"),
        ({"success_threshold": -1}, "success_threshold is a whole number"),
        ({"minimum_requests": 0}, "minimum_requests is a whole number"),
        ({"timeout": -1}, "timeout is 0.001 ... 900 seconds"),
        ({"timeout": "10"}, "timeout is 0.001 ... 900 seconds"),
        ({"timeout": float("nan")}, "timeout is 0.001 ... 900 seconds"),
        ({"window": 0}, "window is 1 ... 900 seconds"),
        ({"failure_ratio": 0}, "failure_ratio is a share above 0"),
        ({"failure_ratio": 1.5}, "failure_ratio is a share above 0"),
        ({"failure_ratio": True}, "failure_ratio is a share above 0"),
        ({"gobreaker_compat": 1}, "gobreaker_compat is True or False"),
        ({"on_state_change": "log"}, "on_state_change is a plain function"),
    ],
)
def test_bad_settings(settings, what):
    with pytest.raises(ConfigError, match=what):
        CircuitBreakerConfig(**settings)


def test_more_bad_settings():
    async def awaited(change):
        """Nobody would wait for it."""

    with pytest.raises(ConfigError, match="plain function"):
        CircuitBreakerConfig(on_state_change=awaited)
    with pytest.raises(ConfigError, match="plain function"):
        CircuitBreaker().listen(awaited)
    with pytest.raises(ConfigError, match="did you mean threshold"):
        CircuitBreakerConfig(treshold=5)
    with pytest.raises(ConfigError, match="circuit_breaker must be CircuitBreakerConfig"):
        Config(region="eu-west-1", circuit_breaker={"threshold": 5})
    with pytest.raises(ConfigError, match="takes CircuitBreakerConfig"):
        CircuitBreaker(5)
    with pytest.raises(ConfigError, match="request_timeout is a positive number"):
        CircuitBreaker(request_timeout=0)


def test_a_breaker_holds_no_call_behind_its_end():
    bench = Bench()
    bench.one(FOUND)
    bench.one(BROKEN)
    bench.one(TransportError("connect", "refused", sent=False))
    gc.collect()
    assert not bench.breaker._under_way
    assert "read closed" in repr(bench.breaker)
    assert DONE.status == 200
