"""What a spool knows of its own earlier writes: killed at whatever moment, the last write of each key is what stays."""

import copy
import random
import shutil
import threading
from functools import partial

import pytest

from dynamorm import BatchConfig
from dynamorm.plugins.batcher.spool import Spool
from tests.plugins.batcher_kit import Event, Payment, Service, outcome, scripted
from tests.plugins.test_batcher_spool import applied, crashed, directory, files, replayed

__all__ = ["directory"]


class Moments:
    """Takes a picture of a service and of a spool around each request: as a process leaves them that is killed then."""

    def __init__(self, service, directory, pictures):
        self.service, self.directory, self.pictures = service, directory, pictures
        self.taken = []
        self.said = {}  # by key: what was added last
        self.being_added = {}  # what a picture may have, or have not
        self._lock = threading.RLock()

    def __call__(self, request):
        with self._lock:
            self.take()
            answer = self.service(request)
            self.take()
        return answer

    def take(self):
        with self._lock:  # nothing is applied meanwhile
            place = self.pictures / f"{len(self.taken)}"
            shutil.copytree(self.directory, place)
            self.taken.append((place, copy.deepcopy(self.service.store), dict(self.said), dict(self.being_added)))

    def adding(self, name, amount, add):
        """Add, and take a picture."""
        with self._lock:
            self.being_added[name] = amount
        future = add()
        with self._lock:
            self.said[name] = self.being_added.pop(name)
        self.take()
        return future


def expected(store):
    """What is stored, by table and key: the amount."""
    return {
        (table, item["id"]["S"]): int(item["amount"]["N"])
        for table, items in store.tables.items()
        for item in items.values()
    }


def reopened(kind, picture, config, *, change=lambda service: None):
    """A database over a service that is as in a picture, and what a batcher on the spool of it finds."""
    directory, store, *_ = picture
    service = Service()
    service.store = copy.deepcopy(store)
    change(service)
    here = scripted(kind, service)
    try:
        result = replayed(here, BatchConfig(spool_dir=directory, **config))
    finally:
        here.db.close()
    return service, result


def kinds(result):
    return (result.failed, result.unknown, result.superseded, result.kept)


def run(kind, directory, pictures, steps, **settings):
    """Do these steps with a batcher, and give the pictures."""
    service = Service()
    moments = Moments(service, directory, pictures)
    here = scripted(kind, moments)
    objects = {}
    try:
        with here.db.new_batcher(BatchConfig(parallelism=1, spool_dir=directory, **settings)) as batcher:
            futures = []
            for number, (what, name) in enumerate(steps, 1):
                if what == "wait":
                    batcher.flush(timeout=20)
                    continue
                table, amount = "events" if what in ("put", "delete") else "payments", number
                if what == "put":
                    add = partial(batcher.add, Event(id=name, amount=number))
                elif what == "save":
                    payment = objects.setdefault(name, Payment(id=name))
                    payment.amount = number
                    add = partial(batcher.add, payment)
                elif what == "drop":
                    amount, add = None, partial(batcher.delete, objects[name])
                else:
                    amount = None
                    objects.pop(name, None)
                    add = partial(batcher.delete, Event if what == "delete" else Payment, name)
                futures.append(moments.adding((table, name), amount, add))
            batcher.flush(timeout=20)
            for future in futures:
                outcome(here.db, future)
    finally:
        here.db.close()
    return moments.taken


def check(kind, taken, config):
    """At whatever moment the process is killed: what was added last is stored, and nobody is said to have come between."""
    for number, picture in enumerate(taken):
        service, result = reopened(kind, picture, config)
        stored = expected(service.store)
        assert not any(kinds(result)), (number, kinds(result))
        said, being_added = picture[2:]
        for name in said.keys() | being_added.keys() | stored.keys():
            assert stored.get(name) in (said.get(name), being_added.get(name, said.get(name))), (number, name)
        assert files(picture[0]) == []


CASES = {
    "a loaded object, deleted and added again": [
        ("save", "k"),
        ("wait", ""),
        ("save", "k"),
        ("drop", "k"),
        ("save", "k"),
        ("save", "k"),
    ],
    "a new object, changed and added again": [("save", "k"), ("save", "k")],
    "three times": [("save", "k"), ("save", "k"), ("save", "k")],
    "one that has ended, and another": [("save", "k"), ("wait", ""), ("save", "k")],
    "a version, and a delete by key": [("save", "k"), ("remove", "k")],
    "a version that has ended, and a delete by key": [("save", "k"), ("wait", ""), ("remove", "k")],
    "a version, a delete, a new one": [("save", "k"), ("remove", "k"), ("wait", ""), ("save", "k")],
    "others that have ended": [("put", "k"), ("wait", ""), ("put", "k")],
    "a delete of what has ended": [("put", "k"), ("wait", ""), ("delete", "k")],
    "put, delete, put": [("put", "k"), ("delete", "k"), ("put", "k")],
    "put, delete, put and delete": [("put", "k"), ("wait", ""), ("delete", "k"), ("put", "k"), ("delete", "k")],
}


@pytest.mark.parametrize("case", CASES)
def test_a_kill_between_any_two_requests(face_kind, tmp_path, case):
    taken = run(face_kind, tmp_path / "spool", tmp_path, CASES[case], max_wait=0.01)
    assert len(taken) >= 4
    check(face_kind, taken, {"max_wait": 0.01})


@pytest.mark.wide
@pytest.mark.parametrize("seed", range(12))
def test_random_writes_and_a_kill_at_any_moment(face_kind, tmp_path, seed):
    dice = random.Random(seed)
    whats = [("put", "a"), ("put", "b"), ("delete", "a"), ("save", "c"), ("save", "d"), ("remove", "c"), ("wait", "")]
    steps = [dice.choice(whats) for _ in range(14)]
    taken = run(face_kind, tmp_path / "spool", tmp_path, steps, max_wait=dice.choice([0.0, 0.01]))
    check(face_kind, taken, {"max_wait": 0.01})


def put_by_somebody(service):
    """Somebody else puts an item, without a token."""
    for table, name in (("events", "a"), ("payments", "c")):
        if service.store.item(table, name) is not None:
            service.store.seed(table, id=name, amount=-1, version=77)


def changed_by_somebody(service):
    """Somebody else changes an attribute, and leaves the tokens as they are."""
    item = service.store.item("events", "a")
    if item is not None:
        item["note"] = {"S": "new"}
        item["amount"] = {"N": "-1"}


@pytest.mark.parametrize("change", [put_by_somebody, changed_by_somebody])
@pytest.mark.parametrize("case", ["others that have ended", "put, delete, put and delete", "random"])
def test_what_somebody_else_has_written_is_never_overwritten(face_kind, tmp_path, case, change):
    steps = {
        "random": [
            ("put", "a"),
            ("save", "c"),
            ("put", "a"),
            ("wait", ""),
            ("save", "c"),
            ("delete", "a"),
            ("put", "a"),
        ]
    }.get(case) or [(what, "a") for what, _ in CASES[case]]
    taken = run(face_kind, tmp_path / "spool", tmp_path, steps, max_wait=0.0)
    told = 0
    for number, picture in enumerate(taken):
        before = expected(picture[1])
        service, result = reopened(face_kind, picture, {}, change=change)
        after = expected(service.store)
        names = {("events", "a")} if change is changed_by_somebody else {("events", "a"), ("payments", "c")}
        assert {after.get(name) for name in names & before.keys()} <= {-1}, number
        assert [result.failed, result.unknown, result.kept] == [[], [], []], number
        told += len(result.superseded)
    assert told


@pytest.mark.parametrize("case", CASES)
def test_a_kill_within_the_replay(face_kind, tmp_path, case):
    """A replay that is killed is taken up by the next one, wherever it was."""
    taken = run(face_kind, tmp_path / "spool", tmp_path, CASES[case], max_wait=5)
    directory, store, *rest = next(one for one in reversed(taken) if not one[1].changes or one is taken[0])
    service = Service()
    service.store = copy.deepcopy(store)
    (tmp_path / "again").mkdir()
    moments = Moments(service, directory, tmp_path / "again")
    moments.said, moments.being_added = rest
    here = scripted(face_kind, moments)
    replayed(here, BatchConfig(spool_dir=directory))
    here.db.close()
    assert moments.taken
    check(face_kind, moments.taken, {})


@pytest.mark.parametrize("case", ["a version, and a delete by key", "put, delete, put"])
def test_a_power_cut_within_the_last_record(face_kind, tmp_path, case):
    """What is torn at the end is what nobody was told of: that sending had begun, that items had ended, an add that waits."""
    taken = run(face_kind, tmp_path / "spool", tmp_path, CASES[case], max_wait=0.01)
    torn = 0
    for left, store, said, being_added in taken:
        for path in files(left)[-1:]:
            data = path.read_bytes()
            last = data[:-1].rfind(b"\n") + 1
            if data[last + 9 : last + 10] not in (b"S", b"E"):
                continue
            for number, cut in enumerate({last, last + 4, len(data) - 1}):
                place = left.with_name(f"{left.name}-torn-{number}")
                shutil.copytree(left, place)
                (place / path.name).write_bytes(data[:cut])
                check(face_kind, [(place, store, said, being_added)], {})
                torn += 1
    assert torn


def test_what_a_later_write_has_replaced_is_not_written_again(here, service, directory):
    """All were applied, and none was noted as ended: nothing is written, not even for a moment."""

    def work(items):
        return [items.put(Event(id="a", amount=1)), items.delete(Event, ("a",), {}), items.put(Event(id="a", amount=3))]

    made = crashed(here, directory, work, begun=[0, 1, 2])
    applied(here, service, made[2:])
    changes = len(service.store.changes)
    result = replayed(here, BatchConfig(spool_dir=directory))
    assert (result.count, result.ok) == (3, True)
    assert len(service.store.changes) == changes
    assert service.stored()["a"]["amount"] == {"N": "3"}


def test_what_has_ended_in_a_file_behind_one_that_stays_is_not_forgotten(directory, monkeypatch):
    """A file tells of the items of those before it: it may go only when they may."""
    monkeypatch.setattr("dynamorm.plugins.batcher.spool._SEGMENT", 100)
    spool = Spool(directory, None)
    stays, ends = spool.add(b"stays" * 10), spool.add(b"ends" * 10)
    spool.sync(ends)
    spool.end([ends])  # in the next file
    last = spool.add(b"ends too" * 10)
    spool.sync(last)
    spool.end([last])
    spool.abandon()
    for _ in range(4):
        again = Spool(directory, None)
        assert list(again.left) == [stays]
        again.abandon()
