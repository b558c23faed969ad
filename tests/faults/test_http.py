"""W24: redirects are not followed, interim answers are skipped, connections are reused exactly when they may be."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from dynamorm.errors import MalformedResponse, Outcome, OutcomeUnknown
from dynamorm.testing import Answer, FaultServer, answers
from tests.faults.stage import Stage
from tests.faults.verbs import AGAIN, ONCE, READS, VERBS, Payment, some

Make = Callable[..., Stage]
honest = answers.honest()


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 307, 308])
def test_w24_a_redirect_is_not_followed(stage: Make, status: int) -> None:
    """Not by any verb, not even to a server that would answer; it is no answer of DynamoDB's."""
    with FaultServer(lambda _: answers.json({})) as elsewhere:
        here = stage()
        for verb in VERBS if status == 307 else some(f"{status}"):
            run = here.run(verb, forever=answers.redirect(elsewhere.endpoint + "/", status))
            if verb.safety == "read":
                run.failed(MalformedResponse, Outcome.NOT_APPLIED, attempts=4)
            else:
                run.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=1 if verb.safety == "once" else 4)
            assert run.changes == 0
        assert elsewhere.requests == []
        assert elsewhere.connections == 0


def test_w24_one_redirect_costs_an_attempt_only(stage: Make) -> None:
    """The next answer is good."""
    here = stage()
    for verb in (*READS, *AGAIN):
        here.run(verb, answers.redirect("http://127.0.0.1:1/")).succeeded(2)


@pytest.mark.parametrize(("status", "times"), [(100, 1), (102, 1), (103, 1), (100, 8), (103, 8)])
def test_w24_interim_answers_are_skipped(stage: Make, status: int, times: int) -> None:
    """The connection stays good."""
    here = stage()
    for verb in VERBS:
        first = here.run(verb, honest.preceded_by(status, times)).succeeded(1)
        second = here.run(verb).succeeded(1)
        assert first.connections[0] == second.connections[0]


@pytest.mark.parametrize("status", [100, 103])
@pytest.mark.parametrize("times", [9, 1_000])
def test_w24_a_storm_of_interim_answers_is_malformed(stage: Make, status: int, times: int) -> None:
    """It ends; the connection is dropped."""
    here = stage()
    for verb in some(f"{status} {times}"):
        run = here.run(verb, forever=honest.preceded_by(status, times))
        if verb.safety == "read":
            run.failed(MalformedResponse, Outcome.NOT_APPLIED, attempts=4)
        else:
            run.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=1 if verb.safety == "once" else 4)
        assert len(set(run.connections)) == len(run.connections)
        assert run.elapsed < 2.0


def test_w24_interim_answers_for_ever_run_into_the_same_wall(stage: Make) -> None:
    """Without an end of their own: the server only ever says 100."""
    here = stage(request_timeout=0.2)
    storm = answers.raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 50).then("stall")
    run = here.run(READS[0], forever=storm).failed(MalformedResponse, Outcome.NOT_APPLIED, attempts=4)
    assert run.elapsed < 1.0


def test_w24_switching_protocols_is_no_answer(stage: Make) -> None:
    """Nobody asked to."""
    upgrade = answers.raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
    here = stage()
    for verb in (*READS, *AGAIN):
        here.run(verb, upgrade).succeeded(2)


def test_w24_http_1_0_is_understood_and_not_kept(stage: Make) -> None:
    """Each answer ends its connection."""
    here = stage()
    for verb in (*READS, *AGAIN):
        first = here.run(verb, honest.http10()).succeeded(1)
        second = here.run(verb).succeeded(1)
        assert first.connections[0] != second.connections[0]


def _close(answer: Answer) -> Answer:
    return answer.with_header("Connection", "close").then("keep")


def test_w24_connection_close_is_obeyed(stage: Make) -> None:
    """Even when the server then leaves it open."""
    here = stage()
    item = {"Item": {"id": {"S": "p1"}, "amount": {"N": "100"}, "version": {"N": "2"}}}
    first = here.run(READS[0], _close(answers.json(item))).succeeded(1)
    second = here.run(READS[0]).succeeded(1)
    assert first.connections[0] != second.connections[0]


def test_w24_good_answers_share_one_connection(stage: Make) -> None:
    """Whichever verb, chunked or not, refused or not."""
    here = stage()
    runs = [here.run(verb, honest.chunked(7)).succeeded(1) for verb in VERBS]
    runs += [here.run(verb).succeeded(1) for verb in VERBS]
    runs += [here.run(verb, answers.error("ThrottlingException")) for verb in VERBS]
    assert {number for run in runs for number in run.connections} == {0}


def test_w24_an_idle_connection_that_was_closed_early_costs_nothing(stage: Make) -> None:
    """It is seen before the next request is sent on it, also for writes that may not be repeated."""
    here = stage()
    for verb in VERBS:
        first = here.run(verb, honest.then("close")).succeeded(1)
        time.sleep(0.1)  # the end arrives
        second = here.run(verb).succeeded(1)
        assert first.connections[0] != second.connections[0]
    assert ONCE[0] in VERBS


def test_w24_unasked_bytes_after_an_answer_end_the_connection(stage: Make) -> None:
    """A second answer must not meet the next request."""
    here = stage()
    here.run(READS[0]).succeeded(1)
    good = b'{"Item":{"id":{"S":"p1"},"amount":{"N":"100"},"version":{"N":"2"}}}'
    evil = good.replace(b"100", b"900")
    both = b"".join(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body) for body in (good, evil))
    first = here.run(READS[0], answers.raw(both).then("keep")).succeeded(1)
    second = here.run(READS[0]).succeeded(1)
    assert first.connections[0] != second.connections[0]
    assert here.db.get(Payment, "p1").amount == 100
