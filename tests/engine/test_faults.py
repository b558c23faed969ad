"""Which faults a request meets: by operation, table, share and times, alike for the same seed."""

from __future__ import annotations

import threading

import pytest

from dynamorm.engine.faults import OPERATIONS, READS, Faults


@pytest.fixture
def faults():
    return Faults()


def test_without_faults_nothing_happens(faults):
    verdict = faults.decide("PutItem", ["payments"])
    assert (verdict.delay, verdict.applied, verdict.answered, verdict.refusal, verdict.unprocessed) == (
        0.0, True, True, None, frozenset(),
    )  # fmt: skip


def test_a_lost_reply_is_applied_and_a_lost_request_is_not(faults):
    with faults.lose_reply() as fault:
        verdict = faults.decide("PutItem")
        assert (verdict.applied, verdict.answered) == (True, False)
    assert fault.count == 1
    with faults.lose_request():
        verdict = faults.decide("PutItem")
        assert (verdict.applied, verdict.answered) == (False, False)
    assert faults.decide("PutItem").answered


def test_operation_and_table_choose_requests(faults):
    fault = faults.lose_reply(op="PutItem", table="payments")
    assert faults.decide("GetItem", ["payments"]).answered
    assert faults.decide("PutItem", ["orders"]).answered
    assert not faults.decide("PutItem", ["orders", "payments"]).answered
    assert fault.count == 1
    faults.clear()
    faults.lose_reply(op=["PutItem", "UpdateItem"])
    assert [faults.decide(op).answered for op in ("PutItem", "UpdateItem", "DeleteItem")] == [False, False, True]


def test_times_ends_it(faults):
    fault = faults.throttle(times=2)
    assert [faults.decide("PutItem").refusal is not None for _ in range(4)] == [True, True, False, False]
    assert (fault.count, fault.is_over, faults.active) == (2, True, ())


@pytest.mark.parametrize("share", [0.0, 0.15, 0.5, 1.0])
def test_share_is_kept_and_a_seed_repeats_it(faults, share):
    def drawn(seed):
        with faults.lose_reply(share=share, seed=seed):
            return [faults.decide("PutItem").answered for _ in range(2000)]

    one = drawn(1)
    assert one == drawn(1)
    assert one.count(False) / 2000 == pytest.approx(share, abs=0.04)
    assert share in (0.0, 1.0) or one != drawn(2)


def test_one_fault_does_not_move_the_dice_of_another(faults):
    with faults.lose_reply(share=0.5, seed=3):
        alone = [faults.decide("PutItem").answered for _ in range(200)]
    with faults.delay(0.1, share=0.5, seed=9), faults.lose_reply(share=0.5, seed=3):
        assert [faults.decide("PutItem").answered for _ in range(200)] == alone


def test_the_first_fault_that_ends_a_request_wins_and_delays_add_up(faults):
    throttle, lost = faults.throttle(), faults.lose_reply()
    faults.delay(0.25)
    faults.delay(0.5)
    verdict = faults.decide("PutItem")
    assert (verdict.delay, verdict.answered, verdict.applied) == (0.75, True, False)
    assert (throttle.count, lost.count) == (1, 0)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("TableWriteKeyRangeThroughputExceeded", "ThrottlingException"),
        ("TableWriteProvisionedThroughputExceeded", "ProvisionedThroughputExceededException"),
        ("TableWriteAccountLimitExceeded", "RequestLimitExceeded"),
    ],
)
def test_throttling_has_its_reason_which_says_read_for_reads(faults, reason, code):
    faults.throttle(reason=reason, table="payments")
    refusal = faults.decide("PutItem", ["payments"]).refusal
    assert (refusal.code, refusal.status) == (code, 400)
    (member,) = refusal.members  # as botocore's model spells it, in two ways
    assert member == ("throttlingReasons" if code == "ThrottlingException" else "ThrottlingReasons")
    assert refusal.members[member][0]["reason"] == reason
    for op in READS:
        refusal = faults.decide(op, ["payments"]).refusal
        assert refusal.members[member][0]["reason"] == reason.replace("Write", "Read")


def test_unprocessed_chooses_entries_of_batches_alone(faults):
    fault = faults.unprocessed(0.5, seed=1)
    assert faults.decide("PutItem", entries=3).unprocessed == frozenset()
    places = [faults.decide("BatchWriteItem", entries=25).unprocessed for _ in range(200)]
    assert sum(map(len, places)) / 5000 == pytest.approx(0.5, abs=0.04)
    assert all(place < 25 for some in places for place in some)
    assert fault.count == sum(bool(some) for some in places)


def test_conflicts_are_of_single_writes_and_transactions(faults):
    faults.conflict()
    assert faults.decide("UpdateItem").refusal.code == "TransactionConflictException"
    refusal = faults.decide("TransactWriteItems", entries=3).refusal
    assert refusal.code == "TransactionCanceledException"
    assert [reason["Code"] for reason in refusal.members["CancellationReasons"]] == [
        "TransactionConflict",
        "None",
        "None",
    ]
    assert all(faults.decide(op).refusal is None for op in ("GetItem", "Query", "Scan", "BatchWriteItem"))


@pytest.mark.parametrize(
    ("code", "status"), [("InternalServerError", 500), ("ServiceUnavailable", 503), ("RequestLimitExceeded", 400)]
)
def test_errors_have_their_status(faults, code, status):
    faults.error(code)
    assert (faults.decide("GetItem").refusal.code, faults.decide("GetItem").refusal.status) == (code, status)
    faults.clear()
    faults.error(code, status=418)
    assert faults.decide("GetItem").refusal.status == 418


def test_tables_meet_only_faults_that_name_their_operations(faults):
    faults.lose_reply()
    assert faults.decide("CreateTable", ["payments"]).answered
    assert not any(faults.decide(op).answered for op in OPERATIONS)
    faults.lose_reply(op="CreateTable")
    assert not faults.decide("CreateTable", ["payments"]).answered


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda f: f.lose_reply(op="PutItme"), "did you mean PutItem"),
        (lambda f: f.conflict(op="GetItem"), "can meet the fault 'conflict'"),
        (lambda f: f.unprocessed(op="PutItem"), "can meet the fault 'unprocessed'"),
        (lambda f: f.lose_reply(share=1.5), "from 0 to 1"),
        (lambda f: f.lose_reply(share=True), "from 0 to 1"),
        (lambda f: f.lose_reply(times=0), "from 1 on"),
        (lambda f: f.lose_reply(times=1.5), "from 1 on"),
        (lambda f: f.lose_reply(table=5), "the name of a table"),
        (lambda f: f.delay(-1), "from 0 on"),
        (lambda f: f.delay(float("inf")), "from 0 on"),
        (lambda f: f.error("not a name"), "the name of an error"),
        (lambda f: f.throttle(reason="because"), "throttling reason"),
    ],
)
def test_what_is_no_fault_is_refused_and_sets_none(faults, call, told):
    with pytest.raises(ValueError, match=told):
        call(faults)
    assert faults.active == ()


def test_threads_share_the_count(faults):
    fault = faults.lose_reply(times=500)

    def work():
        for _ in range(500):
            faults.decide("PutItem")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fault.count == 500


def test_removing_one_leaves_the_others(faults):
    one, other = faults.lose_reply(), faults.delay(1)
    one.remove()
    one.remove()
    assert faults.active == (other,)
    assert repr(other) == "<Fault delay, met 0 times>"
