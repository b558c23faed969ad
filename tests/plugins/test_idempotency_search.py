"""The executor's state machine: the exhaustive search finds no violation, and finds one in each machine that is wrong."""

from functools import partial

import pytest

from dynamorm.plugins.idempotency import machine
from dynamorm.plugins.idempotency.executor import Execution
from dynamorm.plugins.idempotency.machine import Change

from .idempotency_search import Search, Violation, program

writes = partial(program, steps=False)


@pytest.mark.once
def test_two_executions_whose_messages_come_twice_late_or_never(figure):
    states = Search((writes, writes), refuses=False).run()

    figure(f"idempotency: {states} states of two executions, no violation")
    assert states > 50_000


@pytest.mark.parametrize("dateless", [False, True])
@pytest.mark.parametrize("second", [{}, {"stumbles": True}, {"fails": True}, {"beats": True}])
def test_steps_failures_and_beats(second, dateless):
    assert Search((program, partial(program, **second)), deliveries=1, dateless=dateless).run() > 100


@pytest.mark.soak
@pytest.mark.parametrize("second", [{"steps": False}, {"stumbles": True}, {"fails": True, "steps": False}])
def test_two_executions_whose_writes_may_be_refused(second, figure):
    first = writes if second == {"steps": False} else partial(program, steps=False)
    states = Search((first, partial(program, **second)), refuses=second == {"steps": False}).run()

    figure(f"idempotency: {states} states of two executions, the second {second}: no violation")
    assert states > 50_000


# ------------------------------------------------------------------------------------------ machines that are wrong


def deleting(mine, times):
    return Change("delete", machine._mine(mine), {})


def any_owner(mine, state, rsp, times):
    return Change("update", (("st", "=", machine.PENDING),), {"st": state, "rsp": rsp, "lease": 0, "exp": times.expiry})


def unrefused(self, error):
    raise error
    yield


@pytest.mark.parametrize(
    ("owner", "name", "wrong", "second"),
    [
        pytest.param(machine, "release", deleting, {"stumbles": True}, id="a failure deletes the record"),
        pytest.param(machine, "end", any_owner, {}, id="a commit asks for no owner"),
        pytest.param(Execution, "_refused", unrefused, {}, id="a refused commit is not released"),
    ],
)
def test_a_wrong_machine_is_found_out(owner, name, wrong, second, monkeypatch):
    monkeypatch.setattr(owner, name, wrong)

    with pytest.raises(Violation):
        Search((partial(program, **second), partial(program, **second))).run()
