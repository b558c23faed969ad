"""Each answer is shown to the observers, and the end of each admitted attempt told, once: also what nobody can read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dynamorm.errors import Unavailable
from dynamorm.testing import answers
from tests.faults.stage import Stage
from tests.faults.verbs import READS, VERBS, Verb

Make = Callable[..., Stage]
UNREADABLE = {
    "a page of somebody's": answers.html(),
    "no JSON": answers.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nno!").applied(),
    "a wrong checksum": answers.honest().checksum("bad"),
    "a refusal of nobody": answers.html(403),
}


class Watching:
    """Notes what it is shown."""

    name = "watching"

    def __init__(self) -> None:
        self.admitted: list[str] = []
        self.told: list[str] = []
        self.shown: list[int] = []

    def admit(self, call: Any) -> None:
        self.admitted.append(call.name)

    def observed(self, call: Any, reply: Any, error: object) -> None:
        assert (reply is None) != (error is None)
        self.told.append(call.name)

    def observe(self, call: Any, reply: Any) -> None:
        self.shown.append(reply.status)


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_an_answer_that_cannot_be_read_is_shown(stage: Make, verb: Verb, name: str) -> None:
    watching = Watching()
    run = stage(extensions=(watching,)).run(verb, UNREADABLE[name])
    assert len(watching.shown) == len(watching.told) == len(watching.admitted) == len(run.requests)
    assert watching.shown[0] == (403 if name == "a refusal of nobody" else 200)


@pytest.mark.parametrize("verb", READS, ids=lambda verb: verb.name)
def test_an_answer_whose_items_fit_no_model_is_shown(stage: Make, verb: Verb) -> None:
    misfit = {"id": {"S": "p1"}, "merchant": {"N": "5"}, "amount": {"S": "much"}, "number": {"S": "x"}}
    reply = {
        "GetItem": {"Item": misfit},
        "Query": {"Items": [misfit], "Count": 1, "ScannedCount": 1},
        "Scan": {"Items": [misfit], "Count": 1, "ScannedCount": 1},
    }.get(verb.operation)
    if reply is None:
        pytest.skip("its answer is of another shape")
    watching = Watching()
    run = stage(extensions=(watching,), max_attempts=1).run(verb, forever=answers.json(reply))
    assert run.error is not None
    assert len(watching.shown) == len(watching.told) == len(watching.admitted) == len(run.requests)


def test_an_attempt_that_is_not_admitted_has_no_end(stage: Make) -> None:
    watching = Watching()

    class Refusing:
        name = "refusing"

        def admit(self, call: Any) -> None:
            raise Unavailable("not now")

    here = stage(extensions=(Refusing(), watching))
    run = here.run(READS[0])
    assert isinstance(run.error, Unavailable)
    assert (watching.shown, run.requests) == ([], [])
    assert watching.admitted == watching.told
