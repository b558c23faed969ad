"""A process that is killed between the two writes leaves no item that points to nothing, and loses no value that was acknowledged."""

import random
import signal
import subprocess
import sys
import time
import uuid

import pytest

from dynamorm import DB, Presets
from dynamorm.plugins import Offload, OffloadCleaner
from tests.support.s3 import S3Server, client_of

from .offload_child import SIZE, Report, body_of

MOMENTS = [
    "put 1",
    "put+ 1",
    "write 1",
    "write+ 1",
    "put 2",
    "put+ 2",
    "write 2",
    "put+ 4",
    "write 3",
    "write+ 3",
    "put+ 5",
    "write 4",
]


def check(endpoint, prefix, s3, log):
    """Look at all items: each can be read, is one of those that were written, and not older than what was acknowledged."""
    acknowledged = {}
    data = log.read_bytes() if log.exists() else b""
    for at in range(0, len(data) - len(data) % SIZE, SIZE):
        item, number = int.from_bytes(data[at : at + 8], "big"), int.from_bytes(data[at + 8 : at + SIZE], "big")
        acknowledged[item] = max(number, acknowledged.get(item, 0))
    offload = Offload(client_of(s3.endpoint))
    with DB(Presets.local_development(endpoint=endpoint, table_prefix=prefix)) as db:
        db.use(offload)
        found = {int(report.id): report for report in db.model(Report).allow_scan().consistent().all()}
        for item, report in found.items():
            assert report.body == body_of(item, report.number)
        for item, number in acknowledged.items():
            assert found[item].number >= number
        offload.objects.clock = lambda: time.time() + 2 * offload.grace
        OffloadCleaner(db, offload, Report).sweep()
        assert len(s3.keys()) == len(found)  # and nothing more is left
        again = db.model(Report).allow_scan().consistent().all()
        assert {int(report.id): report.body for report in again} == {item: one.body for item, one in found.items()}
    return acknowledged


@pytest.fixture
def world(engine, tmp_path):
    prefix = f"offload-{uuid.uuid4().hex[:12]}-"
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        db.use(Offload(client_of("http://127.0.0.1:1")))
        db.tables.create(Report)
    with S3Server(tmp_path / "s3") as s3:

        def start(what, at):
            command = [
                sys.executable, "-m", "tests.plugins.offload_child", engine.endpoint, prefix, s3.endpoint,
                str(tmp_path / "log"), what, at,
            ]  # fmt: skip
            return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

        yield start, lambda: check(engine.endpoint, prefix, s3, tmp_path / "log")


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_between_the_two_writes(world, moment):
    start, look = world
    child = start(*moment.split())
    _, told = child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL, told.decode()
    look()


@pytest.mark.soak
def test_killed_at_any_time(world):
    start, look = world
    for _ in range(20):
        child = start("random", "1")
        time.sleep(1 + random.random())
        child.kill()
        child.communicate(timeout=60)
    assert look()
