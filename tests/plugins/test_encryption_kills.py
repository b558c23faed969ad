"""A process that is killed while it makes keys, or rewrites items, leaves nothing that the next one cannot go on with."""

import signal
import subprocess
import sys
import uuid

import pytest

from dynamorm import DB, Presets
from dynamorm.errors import DuplicateKey
from dynamorm.plugins import EncryptionPlugin

from .encryption_child import Card
from .encryption_kit import LocalKeyProvider

MOMENTS = ["1", "1+", "2", "2+", "3", "3+", "4", "4+"]


@pytest.fixture
def run(engine, tmp_path):
    """Opens the database of a table of its own, and runs a child on it that must be killed."""
    prefix = f"kill-{uuid.uuid4().hex[:12]}-"
    file = tmp_path / "keys"
    keys = LocalKeyProvider(file)

    def opened():
        db = DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix))
        db.use(EncryptionPlugin(keys))
        return db

    def child(what, at):
        command = [sys.executable, "-m", "tests.plugins.encryption_child", engine.endpoint, prefix, str(file), what, at]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()

    return opened, child


@pytest.mark.parametrize("at", MOMENTS)
def test_while_it_makes_the_keys_of_a_ring(run, at):
    opened, child = run
    with opened() as db:
        db.tables.create(Card)
    child("create", at)
    with opened() as db, opened() as other:
        db.create(Card(token="a", number="1"))
        assert other.get(Card, "a").number == "1"
        other.create(Card(token="b", number="2"))
        assert [card.token for card in db.model(Card).allow_scan().where(Card.number.equals("2")).all()] == ["b"]
        with pytest.raises(DuplicateKey):
            other.create(Card(token="c", number="1"))
        found = db.get(Card, "first")
        assert found is None or found.number == "first"
        assert not db.repair_unique(Card).faults


@pytest.mark.parametrize("at", ["1", "1+", "3", "5+", "6", "7+"])
def test_while_it_rewrites_items(run, at):
    opened, child = run
    with opened() as db:
        db.tables.create(Card)
        for number in range(6):
            db.create(Card(token=f"t{number}", number=f"n{number}"))
        db.keys.rotate("pci")
        db.keys.rotate("pci", blind_index=True)
    child("reencrypt", at)
    with opened() as db:
        for number in range(6):
            card = db.get(Card, f"t{number}")
            assert (card.number, card.version) == (f"n{number}", 0)
            assert db.find_by_unique(Card, number=f"n{number}").token == f"t{number}"
        report = db.keys.reencrypt(Card)
        assert report.failed == 0
        again = db.keys.reencrypt(Card)
        assert (again.items, again.rewritten) == (6, 0)
        assert not db.repair_unique(Card).faults
