"""The service on this machine leaves nothing behind, whichever signal ends it: its folder has secrets."""

import os
import signal
import subprocess
import sys
import time

import pytest

from examples.payments.load.servers import free_port
from tests.support.wheel import ROOT

pytestmark = pytest.mark.once


@pytest.mark.timeout(300)
@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
def test_the_folder_is_deleted_at_the_end(tmp_path, ended_by):
    command = [sys.executable, "-m", "examples.payments", "--no-dashboard", "--port", str(free_port())]
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
