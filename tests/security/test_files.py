"""Files of engines and of exported audit records are for their owner alone, whatever the umask is."""

from __future__ import annotations

import os
import stat
import sys

import pytest

from dynamorm import DB, Attr, AuditableModel, ChangeTrackingConfig, Config, Model, actor, attr, partition_key
from dynamorm.engine import Engine

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no such modes")


class Payment(Model, table="security-files"):
    id: Attr[str] = partition_key()
    note: Attr[str] = attr(default="")


@pytest.fixture(autouse=True)
def _open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_the_files_of_an_engine(tmp_path):
    with Engine(tmp_path / "dev.db") as engine, DB(Config(engine=engine)) as db:
        db.tables.ensure(Payment)
        db.create(Payment(id="1", note="somebody's"))
        while_open = modes(tmp_path)
        engine.save(tmp_path / "copy.db")
    found = while_open | modes(tmp_path)
    assert {"dev.db", "copy.db"} < found.keys()
    assert set(found.values()) == {0o600}, found
    with Engine(tmp_path / "copy.db") as engine, DB(Config(engine=engine)) as db:
        assert db.require(Payment, "1").note == "somebody's"


def test_a_file_that_is_there_keeps_its_mode(tmp_path):
    path = tmp_path / "shared.db"
    Engine(path).close()
    path.chmod(0o640)
    Engine(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


class Audited(AuditableModel, Model, table="security-audited"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)


def test_exported_audit_records(tmp_path):
    with Engine() as engine, DB(Config(engine=engine)) as db:
        db.enable_audit_log(audit_key=bytes(range(32)))
        db.enable_change_tracking(Audited, ChangeTrackingConfig(fields=["amount"], store="security-audit-log"))
        db.tables.ensure(Audited)
        with actor("user:1"):
            db.create(Audited(id="1", amount=5))
        assert db.audit.export(tmp_path / "records.jsonl", Audited) == 1
    assert modes(tmp_path) == {"records.jsonl": 0o600}
