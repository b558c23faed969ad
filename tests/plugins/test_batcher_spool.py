"""The spool of a batcher: what was added survives a crash, and is written once, or reported."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import dynamorm
from dynamorm import Attr, BatchConfig, Model, Outcome, Unique, attr, partition_key
from dynamorm.errors import (
    ConfigError,
    IntegrityError,
    ModelError,
    OutcomeUnknown,
    Superseded,
    Throttled,
    Unavailable,
)
from dynamorm.faces.batch_items import BatchItems
from dynamorm.plugins.batcher.spool import Spool
from dynamorm.testing import failure
from dynamorm.wire import retry
from tests.plugins.batcher_kit import Event, Payment, Service, error_of, outcome, scripted, wait_until

KEY = bytes(range(32))


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def config(directory):
    return BatchConfig(parallelism=1, max_wait=0.02, spool_dir=directory)


def files(directory):
    return sorted(directory.glob("*.spool"))


def crashed(here, directory, work, *, begun=(), ended=()):
    """A spool as a process leaves it that was killed: ``work(items)`` gives its items, of which some were begun and ended."""
    items = BatchItems(here.session)
    items.spooled(())
    spool = Spool(directory, None)
    items.proven, items.secret = True, spool.secret
    made = work(items)
    seqs = [spool.add(items.record(item)) for item in made]
    spool.sync(seqs[-1])
    spool.begin(seqs[place] for place in begun)
    spool.end(seqs[place] for place in ended)
    spool.abandon()
    return made


# ------------------------------------------------------------------------------------------------------ files and locks


def test_an_item_is_on_the_disk_when_add_returns(here, service, config, directory):
    with here.db.new_batcher(BatchConfig(parallelism=1, max_wait=30, spool_dir=directory)) as batcher:
        batcher.add(Event(id="e1"))
        (path,) = files(directory)
        assert path.read_bytes().count(b"\n") == 2
        assert path.stat().st_mode & 0o777 == 0o600
        assert directory.stat().st_mode & 0o777 == 0o700
    assert files(directory) == []
    assert service.stored()["e1"]["_wt"]  # by which it is known again


def test_a_directory_has_one_batcher_at_a_time(here, config, directory):
    with here.db.new_batcher(config):
        with pytest.raises(ConfigError, match="in use"):
            here.db.new_batcher(config)
        program = (
            "from pathlib import Path; from dynamorm.plugins.batcher.spool import Spool;"
            f" Spool(Path({str(directory)!r}), None)"
        )
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert "ConfigError" in ran.stderr
    here.db.new_batcher(config).close()


@pytest.mark.parametrize("key", [None, KEY])
def test_records_come_back_as_they_were(directory, key):
    spool = Spool(directory, key)
    records = [os.urandom(number * 37 % 5000) for number in range(200)]
    seqs = [spool.add(record) for record in records]
    spool.sync(seqs[-1])
    spool.begin(seqs[:50])
    spool.end(seqs[20:50])
    spool.close()
    again = Spool(directory, key)
    assert again.left == {seq: record for seq, record in zip(seqs, records, strict=True) if seq not in seqs[20:50]}
    assert again.begun >= set(seqs[:20])
    more = again.add(b"more")
    assert more > seqs[-1]
    again.end([*again.left, more])
    again.close()
    assert files(directory) == []


def test_a_torn_end_is_ignored_wherever_it_is_torn(directory):
    spool = Spool(directory, None)
    seqs = [spool.add(f"record {number}".encode()) for number in range(3)]
    spool.sync(seqs[-1])
    spool.abandon()
    (path,) = files(directory)
    data = path.read_bytes()
    whole = data.rindex(b"\n", 0, -1) + 1
    for end in range(whole, len(data)):
        path.write_bytes(data[:end])
        again = Spool(directory, None)
        assert list(again.left.values()) == [b"record 0", b"record 1"]
        again.abandon()
        for other in files(directory):
            if other != path:
                other.unlink()


def test_a_head_that_is_torn_is_an_empty_file(directory):
    directory.mkdir()
    for data in (b"", b"dynamorm-sp", b"dynamorm-spool 1 plain\n"):
        (directory / f"{1:016d}.spool").write_bytes(data)
        spool = Spool(directory, None)
        assert spool.left == {}
        spool.close()


def test_a_damaged_middle_stops_and_names_the_file(directory):
    spool = Spool(directory, None)
    seqs = [spool.add(f"record {number}".encode()) for number in range(5)]
    spool.sync(seqs[-1])
    spool.abandon()
    (path,) = files(directory)
    data = path.read_bytes()
    last = data.rindex(b"\n", 0, -1)
    for place in range(0, last, 7):
        broken = bytearray(data)
        broken[place] ^= 0x55
        path.write_bytes(broken)
        with pytest.raises(IntegrityError) as refused:
            Spool(directory, None)
        assert str(path) in str(refused.value)
        assert path.read_bytes() == broken  # it is left for who looks after it
    path.write_bytes(data)
    assert len(Spool(directory, None).left) == 5


def test_a_spool_is_encrypted_with_a_key(here, service, directory):
    secret = "4111-very-secret-note"
    config = BatchConfig(parallelism=1, max_wait=30, spool_dir=directory, spool_key=KEY)
    with here.db.new_batcher(config) as batcher:
        batcher.add(Event(id="e1", note=secret))
        (path,) = files(directory)
        text = path.read_bytes()
        copy = directory.parent / "copy"
        copy.mkdir()
        (copy / path.name).write_bytes(text)
    for form in (secret.encode(), secret.encode().hex().encode(), secret.encode("utf-16-le")):
        assert form not in text
    assert not any(secret.encode() in base64.b64decode(line.split(b" ")[-1]) for line in text.splitlines()[1:])
    with pytest.raises(IntegrityError, match="spool_key"):
        Spool(copy, bytes(32))
    with pytest.raises(ConfigError, match="spool_key"):
        Spool(copy, None)
    assert len(Spool(copy, KEY).left) == 1


def test_segments_whose_items_have_ended_are_removed(directory, monkeypatch):
    monkeypatch.setattr("dynamorm.plugins.batcher.spool._SEGMENT", 2000)
    spool = Spool(directory, None)
    first = spool.add(b"the first")
    seqs = []
    for _ in range(50):
        seqs.append(spool.add(os.urandom(100)))
        spool.sync(seqs[-1])
        spool.end(seqs[-1:])
    assert len(files(directory)) > 3  # the first one is still open
    spool.end([first])
    assert len(files(directory)) <= 2
    left = spool.add(b"left")
    spool.sync(left)
    spool.close()
    assert Spool(directory, None).left == {left: b"left"}


class Disk:
    """Which files have bytes that no sync has followed. ``then`` is done behind the first sync of data."""

    def __init__(self, monkeypatch):
        self.unsynced = set()
        self.left_behind = 0
        self.fails = ()
        self.then = lambda: None
        self._real = {name: getattr(os, name) for name in ("write", "fsync", "fdatasync", "close")}
        monkeypatch.setattr(os, "write", self._write)
        monkeypatch.setattr(os, "close", self._close)
        monkeypatch.setattr(os, "fsync", lambda fd: self._sync("fsync", fd))
        monkeypatch.setattr(os, "fdatasync", lambda fd: self._sync("fdatasync", fd))

    def _write(self, fd, data):
        self.unsynced.add(os.fstat(fd).st_ino)
        return self._real["write"](fd, data)

    def _sync(self, name, fd):
        turn = next(self.fails, False) if self.fails else False
        if turn:
            raise OSError(5, "Input/output error")
        self._real[name](fd)
        self.unsynced.discard(os.fstat(fd).st_ino)
        then, self.then = self.then, lambda: None
        then()

    def _close(self, fd):
        self.left_behind += os.fstat(fd).st_ino in self.unsynced
        self._real["close"](fd)


@pytest.fixture
def changing(directory, monkeypatch):
    """A spool that changes files with its next sync, during which another thread writes an item down, and a begin."""
    monkeypatch.setattr("dynamorm.plugins.batcher.spool._SEGMENT", 100)
    spool, disk, late = Spool(directory, None), Disk(monkeypatch), []

    def meanwhile():
        late.append(spool.add(b"late"))
        spool.begin([first])

    def other_thread():
        thread = threading.Thread(target=meanwhile)
        thread.start()
        thread.join(10)

    first = spool.add(b"first" * 30)
    disk.then = other_thread
    yield SimpleNamespace(spool=spool, disk=disk, late=late, first=first)
    spool.abandon()


def test_what_others_write_while_the_spool_changes_files_is_on_the_disk(changing, directory):
    changing.spool.sync(changing.first)
    changing.spool.sync(changing.late[0])
    old, new = files(directory)
    assert old.read_bytes().count(b"\n") == 4  # its head, both items, and the begin
    assert new.read_bytes().count(b"\n") == 1
    assert not changing.disk.unsynced
    assert not changing.disk.left_behind


def test_an_item_that_went_into_the_old_file_is_not_refused_by_the_new_one(changing, directory):
    """It would stand in the old file, and be written by the next batcher."""
    changing.spool.sync(changing.first)
    changing.disk.fails = iter([True] * 9)
    changing.spool.sync(changing.late[0])
    changing.disk.fails = ()
    changing.spool.abandon()
    again = Spool(directory, None)
    assert list(again.left) == [changing.first, changing.late[0]]
    again.abandon()


def test_the_spool_goes_on_in_the_old_file_where_that_cannot_be_synced(changing, directory, caplog):
    changing.disk.fails = iter([False, True])
    changing.spool.sync(changing.first)
    assert "goes on in a file that is full: Input/output error" in caplog.text
    assert len(files(directory)) == 1
    changing.spool.sync(changing.late[0])
    assert not changing.disk.unsynced
    assert not changing.disk.left_behind
    changing.spool.abandon()
    again = Spool(directory, None)
    assert list(again.left) == [changing.first, changing.late[0]]
    assert again.begun == {changing.first}
    again.abandon()


def test_nobody_writes_into_a_file_that_another_one_follows(directory, monkeypatch):
    """Its end might be torn when the power fails, and only the end of the last one may be."""
    monkeypatch.setattr("dynamorm.plugins.batcher.spool._SEGMENT", 100)
    spool = Spool(directory, None)
    first = spool.add(b"first" * 30)
    threads = [threading.Thread(target=spool.begin, args=([first],))]
    opened = os.open

    def opening(path, *arguments):
        fd = opened(path, *arguments)
        if str(path).endswith(".spool"):
            threads[0].start()
            threads[0].join(0.2)  # it waits
        return fd

    monkeypatch.setattr(os, "open", opening)
    spool.sync(first)
    threads[0].join(10)
    old, new = files(directory)
    assert [path.read_bytes().count(b"\n") for path in (old, new)] == [2, 2]
    spool.abandon()


def test_a_disk_that_is_full_refuses_and_loses_nothing(here, service, config, directory, monkeypatch):
    batcher = here.db.new_batcher(config)
    outcome(here.db, batcher.add(Event(id="e1")))

    def full(fd):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", full)
        with pytest.raises(Unavailable, match="No space left") as refused:
            batcher.add(Event(id="e2"))
    assert refused.value.outcome is Outcome.NOT_APPLIED
    outcome(here.db, batcher.add(Event(id="e3")))  # there is room again
    assert [event.id for event in batcher.close().written] == ["e1", "e3"]
    assert set(service.stored()) == {"e1", "e3"}


class Full:
    """A disk that is full from some moment on: a file grows up to a size, and no further."""

    def __init__(self, monkeypatch):
        self.room = None
        self._write = os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, fd, data):
        if self.room is None:
            return self._write(fd, data)
        if not self.room:
            raise OSError(28, "No space left on device")
        data = bytes(data)[: self.room]
        self.room -= len(data)
        return self._write(fd, data)


@pytest.mark.parametrize("room", [0, 40])
def test_an_add_that_a_full_disk_refuses_leaves_what_it_was_joined_to(here, service, directory, monkeypatch, room):
    config = BatchConfig(parallelism=1, max_wait=30, spool_dir=directory)
    batcher = here.db.new_batcher(config)
    first = batcher.add(Event(id="e1", amount=1))
    other = batcher.add(Event(id="e2"))
    with monkeypatch.context() as broken:
        disk = Full(broken)
        disk.room = room
        for name in ("e1", "e3"):
            with pytest.raises(Unavailable, match="No space left"):
                batcher.add(Event(id=name, amount=2))
        assert batcher.flush(timeout=10)
        assert [outcome(here.db, future).amount for future in (first, other)] == [1, 0]
    result = batcher.close()
    assert (result.count, result.ok) == (2, True)
    assert {name: item["amount"]["N"] for name, item in service.stored().items()} == {"e1": "1", "e2": "0"}
    assert files(directory) == []  # what has ended was written down when there was room


def test_what_a_full_disk_refused_is_not_in_the_spool(here, directory, monkeypatch):
    spool = Spool(directory, None)
    spool.sync(spool.add(b"first"))
    disk = Full(monkeypatch)
    disk.room = 25
    with pytest.raises(Unavailable):
        spool.sync(spool.add(b"second" * 10))
    spool.begin([1])
    disk.room = None
    third = spool.add(b"third")
    spool.sync(third)
    spool.abandon()
    again = Spool(directory, None)
    assert (again.left, again.begun) == ({1: b"first", third: b"third"}, {1})
    again.close()


def test_a_directory_that_cannot_be(here, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be used"):
        here.db.new_batcher(BatchConfig(spool_dir=tmp_path / "file"))


class Guarded(Model, table="guarded"):
    id: Attr[str] = partition_key()
    email: Attr[str] = attr(Unique())


def test_what_a_spool_could_not_settle_is_refused_by_add(here, config):
    with here.db.new_batcher(config) as batcher:
        with pytest.raises(ModelError, match="version"):
            batcher.add(Guarded(id="g", email="e"))
        with pytest.raises(ModelError, match="version"):
            batcher.delete(Guarded, "g")
        assert batcher.close().count == 0


# --------------------------------------------------------------------------------------------------------------- replay


def replayed(here, config):
    """What the next process finds."""
    with here.db.new_batcher(config) as batcher:
        result = batcher.replayed
        total = batcher.close()
    assert len(total.written) == len(result.written)
    return result


def test_what_was_not_sent_is_sent(here, service, config, directory):
    crashed(
        here,
        directory,
        lambda items: [
            items.put(Event(id="e1", amount=1)),
            items.put(Payment(id="p1", amount=2)),
            items.delete(Event, ("e7",), {}),
        ],
    )
    result = replayed(here, config)
    assert (result.count, result.ok) == (3, True)
    assert [getattr(one, "id", one) for one in result.written] == ["e1", "p1", (Event, "e7")]
    assert service.stored()["e1"]["amount"] == {"N": "1"}
    assert service.stored("payments")["p1"]["amount"] == {"N": "2"}
    assert files(directory) == []


def applied(here, service, made):
    """Let the service have applied items, as the process that crashed had sent them."""
    for item in made:
        assert not item.verb
        service.store("PutItem", {"TableName": "events", "Item": json.loads(item.content)})


def test_what_was_applied_is_known_by_its_token_and_not_written_again(here, service, config, directory):
    made = crashed(here, directory, lambda items: [items.put(Event(id="e1", amount=1))], begun=[0])
    applied(here, service, made)
    changes = len(service.store.changes)
    result = replayed(here, config)
    assert (result.count, result.ok) == (1, True)
    assert len(service.store.changes) == changes


def test_what_has_ended_is_not_sent_again(here, service, config, directory):
    crashed(here, directory, lambda items: [items.put(Event(id="e1")), items.put(Event(id="e2"))], ended=[0])
    assert [event.id for event in replayed(here, config).written] == ["e2"]


@pytest.mark.parametrize("begun", [[], [0]])
def test_newer_data_is_left_as_it_is_and_reported(here, service, config, directory, begun):
    crashed(here, directory, lambda items: [items.put(Event(id="e1", amount=1))], begun=begun)
    here.db.put(Event(id="e1", amount=7))
    result = replayed(here, config)
    assert service.stored()["e1"]["amount"] == {"N": "7"}
    (failure_of,) = result.superseded
    assert (failure_of.item.id, type(failure_of.error)) == ("e1", Superseded)
    assert failure_of.error.outcome is (Outcome.UNKNOWN if begun else Outcome.NOT_APPLIED)
    assert (result.written, result.failed, result.unknown, result.ok) == ([], [], [], False)
    assert files(directory) == []  # it is reported once


def test_an_object_that_was_loaded_is_written_where_nobody_has_changed_it(here, service, config, directory):
    for name in ("e1", "e2", "e3"):
        here.db.put(Event(id=name, amount=1, note="old"))
    some = [here.db.get(Event, name) for name in ("e1", "e2", "e3")]
    for event in some:
        event.amount = 2

    def work(items):
        return [items.put(some[0]), items.put(some[1]), items.delete(some[2], (), {})]

    crashed(here, directory, work)
    here.db.update(Event, "e2", Event.note.set("new"))
    result = replayed(here, config)
    assert [event.id for event in result.written] == ["e1", "e3"]
    assert [one.item.id for one in result.superseded] == ["e2"]
    assert service.stored()["e1"]["amount"] == {"N": "2"}
    assert service.stored()["e2"]["note"] == {"S": "new"}
    assert "e3" not in service.stored()


def test_writes_of_one_key_are_settled_in_their_order(here, service, config, directory):
    def work(items):
        return [
            items.put(Event(id="e1", amount=1)),
            items.put(Event(id="e1", amount=2)),
            items.delete(Event, ("e1",), {}),
            items.put(Event(id="e1", amount=3)),
            items.put(Event(id="e1", amount=4)),
        ]

    made = crashed(here, directory, work, begun=[0])
    applied(here, service, made[:1])
    result = replayed(here, config)
    assert (result.count, result.ok) == (5, True)
    assert service.stored()["e1"]["amount"] == {"N": "4"}


def test_a_write_under_a_version_is_exactly_once(here, service, config, directory):
    payment = here.db.create(Payment(id="p1", amount=1))
    payment.amount = 2
    gone = here.db.create(Payment(id="p2", amount=1))
    old = here.db.create(Payment(id="p3", amount=1))
    old.amount = 5

    def work(items):
        return [items.put(payment), items.delete(gone, (), {}), items.put(old), items.put(Payment(id="p4"))]

    crashed(here, directory, work)
    here.db.update(Payment, "p3", Payment.amount.add(1))
    result = replayed(here, config)
    assert [one.id for one in result.written] == ["p1", "p2", "p4"]
    assert [one.item.id for one in result.superseded] == ["p3"]
    stored = service.stored("payments")
    assert {name: item["amount"]["N"] for name, item in stored.items()} == {"p1": "2", "p3": "2", "p4": "0"}
    again = result.written[0]
    again.amount = 3
    here.db.save(again)  # it is loaded as it is stored


def test_a_write_under_a_version_that_was_applied_is_known_by_its_token(here, service, config, directory):
    """The answer of the create was lost with the process: what is stored has its token, and others have written since."""
    made = crashed(here, directory, lambda items: [items.put(Payment(id="p1", amount=1))], begun=[0])
    items = BatchItems(here.session)
    items.spooled(())
    here.driver.run(items.send(made))
    assert not made[0].error
    here.db.update(Payment, "p1", Payment.amount.add(10))
    result = replayed(here, config)
    assert (result.count, result.ok) == (1, True)
    assert service.stored("payments")["p1"]["amount"] == {"N": "11"}
    assert result.written[0].amount == 11


def test_a_service_that_cannot_be_asked_leaves_the_spool_as_it_is(here, service, config, directory):
    crashed(here, directory, lambda items: [items.put(Event(id="e1"))])
    service.fault = lambda _: failure("ThrottlingException")
    with pytest.raises(Throttled), here.db.new_batcher(config):
        pass
    service.fault = lambda _: None
    retry._buckets.clear()
    assert replayed(here, config).count == 1


def test_what_has_no_answer_stays_in_the_spool(here, service, config, directory):
    crashed(here, directory, lambda items: [items.put(Event(id="e1"))])
    service.fault = lambda turn: "lost" if turn else None  # it looks, and then writes
    result = replayed(here, config)
    assert [type(one.error) for one in result.unknown] == [OutcomeUnknown]
    assert files(directory)
    service.fault = lambda _: None
    retry._buckets.clear()
    assert replayed(here, config).count == 1


def test_unknown_items_of_a_batcher_stay_too(here, service, config, directory):
    service.fault = lambda _: "lost"
    with here.db.new_batcher(config) as batcher:
        assert error_of(here.db, batcher.add(Event(id="e1"))).outcome is Outcome.UNKNOWN
    service.fault = lambda _: None
    retry._buckets.clear()
    result = replayed(here, config)
    assert (result.count, result.ok) == (1, True)
    assert len([change for change in service.store.changes if change.key]) == 4  # none more: its token is there


def test_a_new_write_waits_for_late_copies_of_the_process_that_crashed(here, service, config, directory, ahead):
    crashed(here, directory, lambda items: [items.put(Event(id="e1")), items.put(Event(id="e2"))], begun=[0])
    with here.db.new_batcher(config) as batcher:
        futures = [batcher.add(Event(id=name, amount=9)) for name in ("e1", "e2")]
        outcome(here.db, futures[1])
        assert not futures[0].done()
        ahead.by = BatchItems.latest
        batcher.add(Event(id="e3"))
        outcome(here.db, futures[0])


def test_a_model_that_the_program_lacks_is_named(here, service, config, directory):
    class Local(Model, table="events"):
        id: Attr[str] = partition_key()

    crashed(here, directory, lambda items: [items.put(Local(id="e1"))])
    (kept,) = replayed(here, config).kept
    assert "Local" in kept.error.message
    assert "spool_models" in kept.error.message
    assert kept.item == ("Local", "e1")
    known = BatchConfig(parallelism=1, spool_dir=directory, spool_models=(Local,))
    assert replayed(here, known).count == 1


def test_another_table_is_refused(face_kind, here, config, directory):
    crashed(here, directory, lambda items: [items.put(Event(id="e1"))])
    other = scripted(face_kind, Service(), table_prefix="other-")
    with pytest.raises(ConfigError, match=r"tables other-.*table_prefix"):
        replayed(other, config)
    other.db.close()
    assert replayed(here, config).count == 1


def test_what_is_no_record_is_kept_and_named(here, service, config, directory):
    spool = Spool(directory, None)
    spool.sync(spool.add(b"nonsense"))
    spool.abandon()
    crashed(here, directory, lambda items: [items.put(Event(id="e1"))])
    result = replayed(here, config)
    assert [event.id for event in result.written] == ["e1"]
    (kept,) = result.kept
    assert str(files(directory)[0]) in kept.error.message
    assert isinstance(kept.error.__cause__, IntegrityError)


# ------------------------------------------------------------------------------------------------------------- kill -9

RUNS = """
import asyncio, os, sys, json
from dynamorm import Attr, BatchConfig, Model, Presets, partition_key, attr
class Job(Model, table="jobs"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)

endpoint, directory, kind, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
config = BatchConfig(max_wait=0.01, parallelism=4, spool_dir=directory, queue_size=400, close_timeout=110)
settings = Presets.local_development(endpoint=endpoint, table_prefix=sys.argv[6], retry_base=0.005, throttle_base=0.01)
accepted = open(directory + ".accepted", "a", buffering=1)
added = open(directory + ".added", "a", buffering=1)
told = open(directory + ".told", "a", buffering=1)

def tell(future, name):
    error = future.exception()
    told.write(json.dumps([name, "written" if error is None else error.outcome, str(error)]) + "\\n")

def report(result):
    for one in result.written: told.write(json.dumps([one.id, "written", ""]) + "\\n")
    for part in (result.failed, result.unknown, result.superseded):
        for one in part: told.write(json.dumps([one.item.id, one.error.outcome, str(one.error)]) + "\\n")

start = int(sys.argv[5])
names = ["job-%06d" % number for number in range(start, count)]
if kind == "blocking":
    from dynamorm import DB
    from concurrent.futures import ThreadPoolExecutor
    with DB(settings) as db, db.new_batcher(config) as batcher:
        report(batcher.replayed)
        print("ready", flush=True)
        def work(name):
            accepted.write(name + "\\n")
            future = batcher.add(Job(id=name, amount=len(name)))
            added.write(name + "\\n")
            future.add_done_callback(lambda future: tell(future, name))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, names))
else:
    from dynamorm import AsyncDB
    async def main():
        async with AsyncDB(settings) as db, db.new_batcher(config) as batcher:
            report(batcher.replayed)
            print("ready", flush=True)
            places = asyncio.Semaphore(64)
            async def work(name):
                async with places:
                    accepted.write(name + "\\n")
                    future = await batcher.add(Job(id=name, amount=len(name)))
                    added.write(name + "\\n")
                    future.add_done_callback(lambda future: tell(future, name))
            await asyncio.gather(*map(work, names))
    asyncio.run(main())
"""


class Job(Model, table="jobs"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)


def tally(directory, name):
    path = Path(f"{directory}.{name}")
    return path.read_text().splitlines() if path.exists() else []


def killed_in_the_middle(engine, directory, face_kind, count, kills, tmp_path):
    """Run a program that writes ``count`` items, kill it so often, and say what it has told and what is stored."""
    from dynamorm.testing import Fault, LossyProxy

    faults = (Fault.THROTTLE, Fault.RESET_APPLIED, Fault.RESET_NOT_APPLIED, Fault.ERROR_APPLIED, Fault.CUT_REPLY)
    program = tmp_path / "program.py"
    program.write_text(RUNS)
    prefix = f"spool-{os.urandom(4).hex()}-"
    with (
        dynamorm.DB(dynamorm.Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db,
        LossyProxy(
            engine.endpoint, seed=5, loss=0.15, faults=faults, operations=("BatchWriteItem", "PutItem")
        ) as proxy,
    ):
        db.tables.ensure(Job)
        for turn in range(kills + 1):
            start = len(set(tally(directory, "accepted")))
            command = [
                sys.executable,
                str(program),
                proxy.endpoint,
                str(directory),
                face_kind,
                str(count),
                str(start),
                prefix,
            ]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
                if turn < kills:
                    goal = start + count // (kills + 2)
                    wait_until(
                        lambda goal=goal: len(tally(directory, "accepted")) >= goal or child.poll() is not None,
                        timeout=600,
                    )
                    child.send_signal(signal.SIGKILL)
                    child.communicate()
                    assert child.returncode == -signal.SIGKILL
                else:
                    _, text = child.communicate(timeout=3600)
                    assert child.returncode == 0, text
        names = [f"job-{number:06d}" for number in range(count)]  # an engine in memory is slow at scanning so many
        stored = {job.id: job.amount for job in db.batch_get(Job, names) if job is not None}
        db.tables.delete(Job)
        faulted = proxy.faulted
    told = {}
    for line in tally(directory, "told"):
        if line.endswith("]"):  # the last line of a process that was killed may be torn
            name, what, _ = json.loads(line)
            told.setdefault(name, set()).add(what)
    added = tally(directory, "added")
    return SimpleNamespace(added=added, told=told, stored=stored, faulted=faulted)


def check_run(run, count):
    """Every item whose ``add`` had returned is written, or reported; what was told is true."""
    assert len(run.added) == len(set(run.added))
    assert len(run.added) >= count - 2 * 64  # those that were on their way into ``add`` when the process was killed
    reported = {name for name, ends in run.told.items() if "written" not in ends}
    lost = [name for name in run.added if name not in run.stored and name not in reported]
    assert not lost
    assert {name for name, ends in run.told.items() if "written" in ends} <= set(run.stored)
    assert not {name for name, ends in run.told.items() if ends == {"NOT_APPLIED"}} & set(run.stored)
    assert all(amount == len(name) for name, amount in run.stored.items())
    assert len(run.stored) >= 0.9 * count


@pytest.mark.once
@pytest.mark.engine
@pytest.mark.timeout(600)
def test_kill_9_in_the_middle(engine, directory, face_kind, tmp_path, figure):
    began = time.monotonic()
    run = killed_in_the_middle(engine, directory, face_kind, 3000, 2, tmp_path)
    check_run(run, 3000)
    figure(
        f"batcher, {face_kind}, killed twice: {len(run.stored)} of {len(run.added)} items stored, {run.faulted} requests"
        f" faulted, {time.monotonic() - began:.0f} s"
    )


@pytest.mark.engine
@pytest.mark.soak
def test_100_000_items_and_kill_9(engine, directory, face_kind, tmp_path, figure):
    began = time.monotonic()
    run = killed_in_the_middle(engine, directory, face_kind, 100_000, 1, tmp_path)
    check_run(run, 100_000)
    figure(
        f"batcher, {face_kind}, 100,000 items, killed once: {len(run.stored)} stored, {run.faulted} requests faulted,"
        f" {time.monotonic() - began:.0f} s"
    )
