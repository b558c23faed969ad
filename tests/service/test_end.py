"""The service on this machine leaves nothing behind, whichever signal ends it: its folder has secrets."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from tests.support.wheel import ROOT

pytestmark = pytest.mark.once


def port_of_ones_own():
    """A port that is free, below those that the system gives to whoever asks for any: nobody gets it before the service listens."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
def test_the_folder_is_deleted_at_the_end(tmp_path, ended_by):
    command = [sys.executable, "-m", "examples.payments", "--no-dashboard", "--port", str(port_of_ones_own())]
    log = tmp_path.parent / f"{tmp_path.name}.log"
    with (
        log.open("w") as out,
        subprocess.Popen(
            command, cwd=ROOT, stdout=out, stderr=out, env={**os.environ, "TMPDIR": str(tmp_path)}
        ) as process,
    ):
        try:
            until = time.monotonic() + 120
            while "deleted at the end" not in log.read_text() and time.monotonic() < until:
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            assert [one.name.startswith("payments-") for one in tmp_path.iterdir()] == [True]
            process.send_signal(ended_by)
            process.wait(timeout=120)  # on a busy machine its start alone takes half a minute
        finally:
            process.kill()
    assert list(tmp_path.iterdir()) == []
