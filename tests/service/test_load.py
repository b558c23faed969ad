"""The load script: it charges while replies are lost and servers are killed, and its exit code says whether all is right."""

import re
import sys

import pytest

from examples.payments.load import __main__ as load
from examples.payments.load.proof import Line
from examples.payments.load.servers import Servers

ALL = 15
"""Lines of the proof."""


def run(capsys, *options):
    """What was shown, by line of the proof, and how many servers were killed."""
    assert load.main(options) == 0, capsys.readouterr().out
    out = capsys.readouterr().out
    lines = re.findall(r"^  right  (.+?)  +(.*)$", out, re.MULTILINE)
    assert len(lines) == ALL, out
    assert "WRONG" not in out
    return dict(lines), int(re.findall(r"(\d+) servers killed", out)[-1])


@pytest.mark.timeout(400)  # of which the run itself may wait 240 s, and tells then what is left
def test_a_short_run_is_right(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ministack", None)  # `make payments` installs none
    found, killed = run(capsys, "--seconds", "1.5", "--kill-every", "0.5", "--customers", "4")
    assert killed >= 1
    assert int(found["keys"]) > 0
    assert found["charges by key"] == f"{found['keys']}, 0 wrong"
    assert re.fullmatch(r"(0(\.00)? (EUR|JPY|USD)(, )?){1,3}", found["trial balance"])


def test_a_server_that_ends_by_itself_is_begun_again(tmp_path):
    with Servers(1, endpoint="http://127.0.0.1:1", folder=str(tmp_path), url="http://127.0.0.1:1", seed=1) as servers:
        (first,) = servers._running.values()
        servers.begin_ended()
        assert servers.fell == 0
        first.kill()
        first.wait()
        servers.begin_ended()
        assert servers.fell == 1
        assert [one is not first and one.poll() is None for one in servers._running.values()] == [True]


@pytest.mark.soak
def test_long_runs_are_right(capsys, figure):
    """One, or on a machine with other work several, for a server that was killed is waited for: of all together there is enough."""
    killed = keys = 0
    for seed in range(7, 14):
        found, more = run(capsys, "--seconds", "60", "--kill-every", "2", "--seed", str(seed))
        killed, keys = killed + more, keys + int(found["keys"])
        if killed >= 10 and keys >= 300:
            figure(
                f"service: {seed - 6} runs of 60 s: {keys} keys, {killed} servers killed, all {ALL} lines of each proof right"
            )
            return
    pytest.fail(f"{keys} keys and {killed} kills are too few")


def test_the_exit_code_is_1_where_something_is_wrong(monkeypatch, capsys):
    async def wrong(*_):
        return [Line("charges by key", "3, 1 wrong", ok=False)]

    monkeypatch.setattr(load, "_run", wrong)
    assert load.main([]) == 1
    assert "WRONG  charges by key" in capsys.readouterr().out
