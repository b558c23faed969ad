import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamorm.config.settings import Config
from dynamorm.wire.reply import Kind
from dynamorm.wire.retry import (
    CAPACITY,
    RetryPolicy,
    TokenBucket,
    bucket_for,
    cost_of,
    parse_retry_after,
)

kinds = st.sampled_from(list(Kind))
rands = st.floats(0, 1)


@pytest.mark.parametrize(
    ("kind", "n", "expected"),
    [
        (Kind.TRANSIENT, 0, 0.025),
        (Kind.TRANSIENT, 1, 0.05),
        (Kind.TRANSIENT, 2, 0.1),
        (Kind.TRANSIENT, 30, 20.0),
        (Kind.THROTTLE, 0, 1.0),
        (Kind.THROTTLE, 1, 2.0),
        (Kind.THROTTLE, 4, 16.0),
        (Kind.THROTTLE, 5, 20.0),
        (Kind.CONFLICT, 3, 0.2),
        (Kind.RESOURCE_IN_USE, 1, 2.0),
        (Kind.SKEW, 0, 0.025),
    ],
)
def test_the_longest_delay_doubles_up_to_the_cap(kind, n, expected):
    assert RetryPolicy().delay(kind, n, 1.0) == pytest.approx(expected)
    assert RetryPolicy().delay(kind, n, 0.5) == pytest.approx(expected / 2)
    assert RetryPolicy().delay(kind, n, 0.0) == 0.0


def test_payments_wait_less_when_throttled():
    policy = RetryPolicy.payments()
    assert [policy.delay(Kind.THROTTLE, n, 1.0) for n in range(5)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0])


@given(rands)
def test_a_transaction_in_progress_is_given_the_time_it_needs(rand):
    policy = RetryPolicy()
    waits = [policy.delay(Kind.IN_PROGRESS, n, rand) for n in range(3)]
    assert 5.0 <= sum(waits) <= 6.5
    assert policy.delay(Kind.IN_PROGRESS, 9, rand) == waits[2]


def test_conflicts_may_be_tried_more_often():
    policy = RetryPolicy(attempts=3, conflict_tries=8)
    assert policy.tries(Kind.CONFLICT) == 8
    assert policy.tries(Kind.THROTTLE) == policy.tries(Kind.TRANSIENT) == 3


@pytest.mark.parametrize("rand", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    "header", [None, b"-1", b"x", b"", b"1.5", b"+1", b"1_0", b" 1", b"1,2", b"9" * 13, "٣".encode()]
)
def test_a_bad_retry_after_is_ignored(header, rand):
    assert parse_retry_after(header) is None
    assert RetryPolicy().delay(Kind.THROTTLE, 0, rand, header) == rand


def test_retry_after_is_in_milliseconds():
    assert parse_retry_after(b"0") == 0.0
    assert parse_retry_after(b"1500") == 1.5
    policy = RetryPolicy()
    assert policy.delay(Kind.THROTTLE, 0, 0.25, b"0") == 0.25
    assert policy.delay(Kind.THROTTLE, 0, 0.25, b"3000") == 3.0
    assert policy.delay(Kind.THROTTLE, 0, 0.25, b"100") == 0.25
    assert policy.delay(Kind.THROTTLE, 0, 0.25, b"3600000") == 5.25


@given(kinds, st.integers(0, 5_000), rands, st.binary(max_size=14))
def test_the_server_can_lengthen_a_delay_by_five_seconds_at_most(kind, n, rand, header):
    policy = RetryPolicy()
    own = policy.delay(kind, n, rand)
    assert 0 <= own <= 20
    assert own <= policy.delay(kind, n, rand, header) <= own + 5


def test_the_policy_follows_the_config():
    config = Config(max_attempts=2, retry_base=0.1, throttle_base=0.2, retry_cap=3, conflict_tries=5)
    assert RetryPolicy.from_config(config) == RetryPolicy(
        attempts=2, base=0.1, throttle_base=0.2, cap=3.0, conflict_tries=5
    )
    assert RetryPolicy.from_config(Config()) == RetryPolicy()


def test_a_retry_costs_more_when_it_may_be_an_outage():
    assert cost_of(Kind.TRANSIENT) == 14
    assert cost_of(Kind.MALFORMED) == 14
    assert cost_of(Kind.THROTTLE) == cost_of(Kind.CONFLICT) == 5


def test_an_empty_bucket_refuses_and_successes_fill_it_again():
    bucket = TokenBucket()
    costs = []
    while cost := bucket.take(Kind.TRANSIENT):
        costs.append(cost)
    assert len(costs) == CAPACITY // 14 == 35
    assert bucket.tokens == 10
    assert bucket.take(Kind.THROTTLE) == 5
    bucket.success()
    assert bucket.tokens == 6
    bucket.success(28)
    assert bucket.tokens == 34
    for _ in range(600):
        bucket.success()
    assert bucket.tokens == CAPACITY


def test_a_refused_retry_takes_nothing():
    bucket = TokenBucket(13)
    assert bucket.take(Kind.TRANSIENT) == 0
    assert bucket.tokens == 13


@given(st.lists(st.tuples(kinds, st.booleans()), max_size=80))
def test_the_bucket_never_leaves_its_bounds(events):
    bucket = TokenBucket(60)
    for kind, succeeds in events:
        taken = bucket.take(kind)
        if succeeds:
            bucket.success(taken)
        assert 0 <= bucket.tokens <= 60


def test_a_total_outage_gets_few_retries_once_the_bucket_is_empty():
    bucket = TokenBucket()
    retries = sum(bool(bucket.take(Kind.TRANSIENT)) for _ in range(1_000))
    assert retries <= 36


def test_threads_do_not_lose_tokens():
    bucket = TokenBucket(10_000)
    bucket.take(Kind.TRANSIENT)  # below capacity, so that successes are counted

    def work():
        for _ in range(2_000):
            bucket.success(bucket.take(Kind.THROTTLE))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bucket.tokens == 10_000 - 14


def test_an_endpoint_has_one_bucket():
    first = bucket_for("https://one.test")
    assert bucket_for("https://one.test") is first
    assert bucket_for("https://two.test") is not first


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_lock_held_while_forking_does_not_block_the_child():
    bucket = bucket_for("https://fork.test")
    with bucket._lock:
        child = os.fork()
        if child == 0:
            taken = bucket.take(Kind.THROTTLE)
            os._exit(0 if taken == 5 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
