"""What a spool keeps: all that is no word of the service on the item; and one item that cannot be replayed blocks no other."""

import contextvars
import os
from typing import Literal

import pytest

from dynamorm import Attr, BatchConfig, Model, Outcome, attr, deadline, partition_key
from dynamorm.effects import Call, TransportError
from dynamorm.errors import (
    AccessDenied,
    AlreadyExists,
    BatcherClosed,
    ConfigError,
    DeadlineExceeded,
    Spooled,
    Superseded,
    Unavailable,
)
from dynamorm.plugin import ReadRule, WriteRule
from dynamorm.testing import failure
from dynamorm.wire import retry
from tests.plugins.batcher_kit import Event, Payment, error_of, outcome, scripted
from tests.plugins.test_batcher_spool import config, crashed, directory, files, replayed

__all__ = ["config", "directory"]

AWAY = TransportError("connect", "refused", sent=False)


def opened_again(here, config):
    """What the next batcher of the directory finds, when all is well again."""
    here.service.fault = lambda _: None
    retry._buckets.clear()
    return replayed(here, config)


@pytest.fixture
def here(here, service):
    """A database over the service, which it names."""
    here.service = service
    return here


# ------------------------------------------------------------------------------------------------- what ends, what stays


@pytest.mark.parametrize("thing", [Event(id="e1", amount=3), Payment(id="e1", amount=3)], ids=["together", "alone"])
@pytest.mark.parametrize(
    "fault",
    [AWAY, failure("ThrottlingException"), failure("AccessDeniedException"), failure("ResourceNotFoundException")],
    ids=["away", "throttled", "denied", "no table"],
)
def test_what_is_no_word_on_the_item_leaves_it_in_the_spool(here, service, config, fault, thing):
    service.fault = lambda _: fault
    with here.db.new_batcher(config) as batcher:
        error = error_of(here.db, batcher.add(thing))
        result = batcher.close()
    assert (type(error), error.outcome, error.retryable) == (Spooled, Outcome.UNKNOWN, False)
    assert error.__cause__.outcome is Outcome.NOT_APPLIED
    assert "kept in the spool" in error.message
    assert [one.item for one in result.kept] == [thing]
    assert (result.failed, result.unknown, result.ok) == ([], [], False)
    assert "1 kept in the spool" in repr(result)
    assert opened_again(here, config).count == 1
    assert service.stored(type(thing).__name__.lower() + "s")["e1"]["amount"] == {"N": "3"}
    assert files(config.path) == []


def test_what_the_service_has_refused_is_over(here, service, config):
    service.poison = lambda name: name == "e1"
    here.db.create(Payment(id="p1"))
    with here.db.new_batcher(config) as batcher:
        futures = [batcher.add(Event(id="e1")), batcher.add(Event(id="e2")), batcher.add(Payment(id="p1"))]
        assert error_of(here.db, futures[0]).outcome is Outcome.NOT_APPLIED
        assert isinstance(error_of(here.db, futures[2]), AlreadyExists)
        result = batcher.close()
    assert (len(result.failed), result.count, result.kept) == (2, 1, [])
    assert files(config.path) == []


def test_a_database_that_is_closed_first_keeps_what_was_added(face_kind, service, directory, caplog):
    here = scripted(face_kind, service)
    batcher = here.db.new_batcher(BatchConfig(parallelism=1, max_wait=60, spool_dir=directory))
    futures = [batcher.add(Event(id=f"e{number}")) for number in range(5)]

    def closed(flow):
        next(flow)
        return flow.throw(ConfigError("this database was closed"))

    async def closed_too(flow):
        return closed(flow)

    if face_kind == "asyncio":
        batcher._subject._run = closed_too
    else:
        batcher._run = closed
    batcher.flush()
    assert {type(error_of(here.db, future).__cause__) for future in futures} == {ConfigError}
    assert "keeps what it cannot write now in its spool" in caplog.text
    assert len(batcher.close().kept) == 5
    other = scripted(face_kind, service)
    assert replayed(other, BatchConfig(spool_dir=directory)).count == 5
    other.db.close()


def test_close_leaves_the_rest_in_the_spool_and_says_so(here, service, directory, caplog):
    service.fault = lambda turn: "lost" if turn == 0 else None
    batcher = here.db.new_batcher(BatchConfig(parallelism=1, max_wait=0.01, spool_dir=directory))
    outcome(here.db, batcher.add(Event(id="e1", amount=1)))
    held = batcher.add(Event(id="e1", amount=2))  # a copy of the first may come late
    result = batcher.close(timeout=0.05)
    error = error_of(here.db, held)
    assert (type(error), type(error.__cause__)) == (Spooled, BatcherClosed)
    assert [one.item.amount for one in result.kept] == [2]
    assert replayed(here, BatchConfig(spool_dir=directory)).count == 1
    assert service.stored()["e1"]["amount"] == {"N": "2"}


def test_an_item_whose_deadline_has_passed_is_kept(here, service, config):
    service.fault = lambda turn: "lost" if turn == 0 else None
    with here.db.new_batcher(config) as batcher:
        outcome(here.db, batcher.add(Event(id="e1", amount=1)))
        with deadline(0.1):
            late = batcher.add(Event(id="e1", amount=2))  # a copy of the first may come late
        assert isinstance(error_of(here.db, late).__cause__, DeadlineExceeded)
        assert len(batcher.close().kept) == 1
    assert opened_again(here, config).count == 1
    assert service.stored()["e1"]["amount"] == {"N": "2"}


def test_what_is_kept_gives_way_to_a_later_write_of_its_key(here, service, config, directory):
    """Else the next process would write it over what came after it."""
    service.fault = lambda _: AWAY
    with here.db.new_batcher(config) as batcher:
        payment = Payment(id="p1", amount=1)
        futures = [batcher.add(Event(id="e1", amount=1)), batcher.add(payment)]
        assert {type(error_of(here.db, future)) for future in futures} == {Spooled}
        service.fault = lambda _: None
        retry._buckets.clear()
        payment.amount = 2
        for future in (batcher.add(Event(id="e1", amount=2)), batcher.add(payment)):
            outcome(here.db, future)
    assert files(directory) == []
    assert opened_again(here, config).count == 0
    assert service.stored()["e1"]["amount"] == service.stored("payments")["p1"]["amount"] == {"N": "2"}


def test_what_a_replay_keeps_gives_way_to_a_later_write_too(here, service, config, directory):
    crashed(here, directory, lambda items: [items.put(Event(id="e1", amount=1)), items.delete(Event, ("e2",), {})])
    here.db.put(Event(id="e2"))
    service.fault = lambda turn: failure("AccessDeniedException") if service.operations[turn] == "PutItem" else None
    with here.db.new_batcher(config) as batcher:
        assert [type(one.error.__cause__) for one in batcher.replayed.kept] == [AccessDenied]
        outcome(here.db, batcher.add(Event(id="e1", amount=2)))
    assert files(directory) == []
    assert service.stored()["e1"]["amount"] == {"N": "2"}


# ----------------------------------------------------------------------------------------------- one blocks no other


who = contextvars.ContextVar("who", default=None)


class Signed(WriteRule):
    """Needs to know who writes."""

    def contribute(self, draft):
        if who.get() is None:
            raise PermissionError("who writes?")
        draft.set("amount", who.get())


class Signs:
    name = "signs"

    def write_rule(self, schema):
        return Signed() if schema.model is Payment else None


def test_a_rule_that_raises_keeps_its_item_and_blocks_no_other(face_kind, service, config, directory):
    here = scripted(face_kind, service)
    here.session.write_rules = (("signs", Signs().write_rule),)
    who.set(7)
    crashed(here, directory, lambda items: [items.put(Payment(id="p1")), items.put(Event(id="e1"))])
    who.set(None)
    for count in (1, 0):
        result = replayed(here, config)
        assert result.count == count
        (kept,) = result.kept
        assert (kept.item.id, type(kept.error.__cause__)) == ("p1", PermissionError)
        assert str(files(directory)[0]) in kept.error.message
        assert "who writes" not in kept.error.message  # the words of others may hold values
    who.set(8)
    assert replayed(here, config).count == 1
    who.set(None)
    assert service.stored("payments")["p1"]["amount"] == {"N": "8"}
    here.db.close()


def test_a_model_that_a_deploy_has_narrowed(here, service, config, directory):
    class Wide(Model, table="events"):
        id: Attr[str] = partition_key()
        kind: Attr[str] = attr(default="a")

    class Narrow(Model, table="events"):
        id: Attr[str] = partition_key()
        kind: Attr[Literal["a", "b"]] = attr(default="a")

    crashed(here, directory, lambda items: [items.put(Wide(id="e1", kind="old")), items.put(Wide(id="e2"))])
    Narrow.__qualname__ = Wide.__qualname__
    result = replayed(here, BatchConfig(parallelism=1, spool_dir=directory, spool_models=(Narrow,)))
    assert [one.id for one in result.written] == ["e2"]
    (kept,) = result.kept
    assert kept.item == ("Wide", "e1")
    assert "old" not in kept.error.message.replace("folder", "")
    assert replayed(here, BatchConfig(parallelism=1, spool_dir=directory, spool_models=(Wide,))).count == 1


class Secret:
    """Marks what is stored the other way round."""


class Letter(Model, table="events"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(Secret())


class Keys(ReadRule):
    attributes = ()

    def __init__(self, plugin):
        self.plugin = plugin

    def prepare(self, items, scope):
        async def fetched():
            self.plugin.fetch()

        yield Call(self.plugin.fetch, fetched)


class Turned:
    """Needs a key, which only `prepare` fetches."""

    name = "turned"
    options = (Secret,)
    key = None

    def fetch(self):
        self.key = 1

    def field(self, schema, field):
        if field.option(Secret) is None:
            return None
        return lambda wire: {"S": wire["S"][::-1]}, self.decoded

    def decoded(self, wire):
        assert self.key is not None
        return {"S": wire["S"][::-1]}

    def read_rule(self, schema):
        return Keys(self) if schema.model is Letter else None


@pytest.mark.engine
def test_what_reading_an_item_needs_is_fetched_before_the_replay(open_db, engine, directory, tmp_path):
    prefix = f"keeps-{os.urandom(4).hex()}-"

    def database():
        db = open_db(engine.endpoint, table_prefix=prefix, extensions=(plugin := Turned(),))
        return db, plugin

    db, plugin = database()
    db.tables.ensure(Letter)
    plugin.fetch()
    with db.new_batcher(BatchConfig(max_wait=30, spool_dir=directory)) as batcher:
        batcher.add(Letter(id="l1", text="abc"))
        left = tmp_path / "left"
        left.mkdir()
        for path in directory.iterdir():
            (left / path.name).write_bytes(path.read_bytes())
    db.delete(Letter, "l1")
    other, plugin = database()
    result = replayed(type("Here", (), {"db": other}), BatchConfig(spool_dir=left))
    assert [one.text for one in result.written] == ["abc"]
    assert (result.ok, plugin.key) == (True, 1)
    assert db.require(Letter, "l1").text == "abc"


# ------------------------------------------------------------------------------------------------------------ scopes


def test_a_replay_leaves_the_items_of_other_scopes_alone(here, service, directory, tmp_path, caplog):
    config = BatchConfig(parallelism=1, max_wait=30, spool_dir=directory)
    with here.db.view(tenant="t1").new_batcher(config) as batcher:
        batcher.add(Event(id="e1"))
        left = tmp_path / "left"
        left.mkdir()
        for path in directory.iterdir():
            (left / path.name).write_bytes(path.read_bytes())
    here.db.delete(Event, "e1")
    config = BatchConfig(parallelism=1, spool_dir=left)
    for view in (here.db, here.db.view(tenant="t2"), here.db.view(tenant="t1", region="r")):
        with view.new_batcher(config) as batcher:
            assert (batcher.replayed.count, batcher.replayed.ok) == (0, True)
            batcher.close()
        assert "1 items of a spool belong to other scopes" in caplog.text
        assert "e1" not in service.stored()
    with here.db.view(tenant="t1").new_batcher(config) as batcher:
        assert [one.id for one in batcher.replayed.written] == ["e1"]
        batcher.close()
    assert files(left) == []


# ------------------------------------------------------------------------------------------------------- other things


def test_a_batcher_whose_first_replay_failed_tries_again(here, service, config, directory, face_kind):
    if face_kind == "blocking":
        pytest.skip("new_batcher raises")
    crashed(here, directory, lambda items: [items.put(Event(id="e1"))])
    service.fault = lambda _: AWAY
    batcher = here.db.new_batcher(config)
    with pytest.raises(Unavailable):
        batcher.add(Event(id="e2"))
    service.fault = lambda _: None
    retry._buckets.clear()
    outcome(here.db, batcher.add(Event(id="e2")))
    assert [one.id for one in batcher.close().written] == ["e1", "e2"]


def test_a_relative_directory_stays_where_it_was(here, service, tmp_path, monkeypatch):
    monkeypatch.setattr("dynamorm.plugins.batcher.spool._SEGMENT", 200)
    (tmp_path / "one").mkdir()
    monkeypatch.chdir(tmp_path / "one")
    with here.db.new_batcher(BatchConfig(parallelism=1, max_wait=0, spool_dir="relative")) as batcher:
        outcome(here.db, batcher.add(Event(id="e1")))
        monkeypatch.chdir(tmp_path)
        for number in range(5):
            outcome(here.db, batcher.add(Event(id=f"e{number}", note="n" * 100)))
    assert files(tmp_path / "one" / "relative") == []
    assert not (tmp_path / "relative").exists()


def test_an_item_that_another_process_took_over_is_still_superseded(here, service, config, directory):
    crashed(here, directory, lambda items: [items.put(Event(id="e1", amount=1))])
    other = scripted("blocking", service)
    with other.db.new_batcher(BatchConfig(parallelism=1, spool_dir=directory.with_name("other"))) as batcher:
        batcher.add(Event(id="e1", amount=9)).result(10)
    other.db.close()
    assert [type(one.error) for one in replayed(here, config).superseded] == [Superseded]
    assert service.stored()["e1"]["amount"] == {"N": "9"}
