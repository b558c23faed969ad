"""W01-W06: connections that are refused, reset or cut, before, within and after the answer."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from dynamorm.errors import ConnectFailed, Outcome, OutcomeUnknown, Unavailable
from dynamorm.testing import answers
from tests.faults.stage import Stage
from tests.faults.verbs import AGAIN, ONCE, READS, VERBS, Verb

Make = Callable[..., Stage]
names = pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)


def free_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@names
def test_w01_a_refused_connection_is_retried_and_then_nothing_was_applied(stage: Make, verb: Verb) -> None:
    """Port closed: NOT_SENT."""
    here = stage(target=f"http://127.0.0.1:{free_port()}")
    run = here.run(verb).failed(ConnectFailed, Outcome.NOT_APPLIED, attempts=4, requests=0, retryable=True)
    assert run.elapsed < 1.0
    assert run.error is not None
    assert len(run.error.earlier) == 4


@names
@pytest.mark.parametrize("how", ["reset", "close"])
def test_w01_a_connection_that_ends_at_once_costs_no_write(stage: Make, verb: Verb, how: str) -> None:
    """The first connection is reset or closed before a byte is read; whoever may send again succeeds."""
    here = stage(welcome=lambda number: how if number == 0 else "accept")
    run = here.run(verb)
    if verb.safety == "once":
        if run.error is None:  # the reset was seen before the request left
            run.succeeded()
        else:
            run.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=1, requests=0)
    else:
        run.succeeded(1)
    assert run.elapsed < 1.0


@names
def test_w02_a_reset_after_the_write_was_applied_does_not_apply_it_again(stage: Make, verb: Verb) -> None:
    """Applied, and its reply lost."""
    run = stage().run(verb, answers.reset().applied())
    if verb.safety == "once":
        run.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=1)
        assert run.changes == 1
    else:
        run.succeeded(2)


@names
def test_w03_a_reset_before_the_write_was_applied_does_not_lose_it(stage: Make, verb: Verb) -> None:
    """Not applied."""
    run = stage().run(verb, answers.reset())
    if verb.safety == "once":
        run.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=1)
        assert run.changes == 0
    else:
        run.succeeded(2)


@names
@pytest.mark.parametrize("applied", [True, False], ids=["applied", "lost"])
def test_w02_w03_when_every_attempt_is_reset_the_outcome_is_unknown(stage: Make, verb: Verb, applied: bool) -> None:
    """Reads changed nothing; of writes nobody can tell."""
    run = stage().run(verb, forever=answers.reset().applied(applied))
    if verb.safety == "read":
        run.failed(Unavailable, Outcome.NOT_APPLIED, attempts=4, retryable=True)
    else:
        once = verb.safety == "once"
        run.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=1 if once else 4, retryable=False)
        assert run.changes > 0 if applied else run.changes == 0
    assert run.elapsed < 2.0


CUTS = {"w04_mid_headers": "mid-headers", "w04_after_headers": "after-headers", "w05_mid_body": "mid-body"}


@pytest.mark.parametrize("where", CUTS.values(), ids=list(CUTS))
@pytest.mark.parametrize("ending", ["reset", "close"])
def test_an_answer_that_is_cut_is_no_answer(stage: Make, where: Any, ending: Any) -> None:
    """Reads are exact, writes are made once, and the connection is not used again."""
    cut = answers.honest().cut(where).then(ending)
    here = stage()
    for verb in (*READS, *AGAIN):
        run = here.run(verb, cut, cut).succeeded(3)
        assert len(set(run.connections[:3])) == 3
    for verb in ONCE:
        run = here.run(verb, cut).failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=1)
        assert run.changes == 1


@names
@pytest.mark.parametrize("ending", ["reset", "close"])
def test_w06_an_end_after_the_whole_answer_takes_nothing_away(stage: Make, verb: Verb, ending: Any) -> None:
    """The answer counts; the next call opens a new connection."""
    here = stage()
    first = here.run(verb, answers.honest().then(ending))
    if ending == "reset" and (
        first.error is not None or len(first.requests) > 1 + (verb.name in {"update_key", "compute_key"})
    ):
        assert verb.safety == "once" or first.succeeded()  # the reset has overtaken the answer, which makes it W02
        first.honest()
        return
    first.succeeded(1)
    second = here.run(verb)
    if verb.safety == "once" and second.error is not None:  # the end came while the next request was on its way
        second.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=1, requests=0)
    else:
        second.succeeded(1)
        assert first.connections[0] != second.connections[0]
