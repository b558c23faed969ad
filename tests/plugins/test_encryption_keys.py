"""When the provider of keys fails, and for how long keys are used. On both faces, and without a write or a plaintext."""

import inspect
import threading
import time

import pytest

from dynamorm import DB, Attr, Encrypted, Model, Outcome, Presets, attr, partition_key, sort_key
from dynamorm.errors import ConfigError, KeyDisabled, KeyUnavailable, ValidationError
from dynamorm.faces.batch_items import BatchItems
from dynamorm.plugins import EncryptionPlugin
from dynamorm.plugins.encryption import keys as keys_module
from dynamorm.plugins.encryption.needs import Need

from .batcher_kit import wait_until
from .encryption_kit import PAN, Card, Line, Plain, Provider, RawCard


class Noted(Model, table="crypt-lines"):
    order: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    note: Attr[str] = attr(default="")
    secret: Attr[bytes] = attr(Encrypted("pii", seal=False))


@pytest.fixture(scope="module")
def made(engine, prefix):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        db.tables.create(RawCard)
        db.tables.create(Plain)
    return prefix


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def opened(plugged, key):
    """A view of a tenant of its own, with its provider and the clock of its keys."""

    def open_(**settings):
        provider = Provider(**settings)
        plugin = EncryptionPlugin(provider)
        plugin.keys.clock = clock = Clock()
        return plugged(plugin).view(tenant=key), provider, clock

    return open_


def down(what):
    raise KeyUnavailable("the service of keys does not answer")


def denied(what):
    raise KeyDisabled("access denied")


def test_a_cold_provider_that_is_down_writes_nothing(opened, key, plugged):
    db, provider, _ = opened()
    provider.fails = down
    for write in (
        lambda: db.create(Card(token=key, number=PAN)),
        lambda: db.put(Card(token=key, number=PAN)),
        lambda: db.update(Card, key, Card.number.set(PAN), upsert=True),
    ):
        with pytest.raises(KeyUnavailable) as refused:
            write()
        assert refused.value.retryable
        assert refused.value.outcome == "NOT_APPLIED"
        assert PAN not in str(refused.value)
    with pytest.raises(KeyUnavailable):
        db.batch_write(puts=[Card(token=key, number=PAN)])
    with pytest.raises(KeyUnavailable), db.transaction() as tx:
        tx.create(Card(token=key, number=PAN))
    assert plugged().get(RawCard, key) is None


def test_a_warm_key_goes_on_until_it_ends(opened, key):
    db, provider, clock = opened(ttl=300)
    db.create(Line(order=key, number=1, secret=b"1"))
    provider.fails = down
    clock.now += 299
    db.create(Line(order=key, number=2, secret=b"2"))
    assert db.get(Line, key, 1).secret == b"1"
    clock.now += 2
    with pytest.raises(KeyUnavailable):
        db.create(Line(order=key, number=3, secret=b"3"))
    with pytest.raises(KeyUnavailable):
        db.get(Line, key, 1)
    provider.fails = lambda what: None
    clock.now += 2
    assert db.get(Line, key, 2).secret == b"2"
    assert provider.calls.count("unwrap") == 1 + 2 + 1


def test_grace_prolongs_a_key_for_reads_and_writes(opened, key):
    db, provider, clock = opened(ttl=300, grace=60)
    db.create(Line(order=key, number=1, secret=b"1"))
    provider.fails = down
    clock.now += 301
    db.create(Line(order=key, number=2, secret=b"2"))
    assert db.get(Line, key, 1).secret == b"1"
    clock.now += 60
    with pytest.raises(KeyUnavailable):
        db.get(Line, key, 1)


def test_a_disabled_key_ends_at_once(opened, key):
    db, provider, clock = opened(ttl=300, grace=900)
    db.create(Line(order=key, number=1, secret=b"1"))
    provider.fails = denied
    clock.now += 301
    with pytest.raises(KeyDisabled) as refused:
        db.get(Line, key, 1)
    assert not refused.value.retryable
    provider.fails = down
    clock.now += 2
    with pytest.raises(KeyUnavailable):  # it is not in memory any more
        db.create(Line(order=key, number=2, secret=b"2"))


@pytest.mark.parametrize("gives", [b"", bytes(31), bytes(33), "text"])
def test_a_key_of_another_length_is_refused(opened, key, plugged, gives):
    db, provider, _ = opened()
    provider.gives = gives
    with pytest.raises(KeyUnavailable, match="32 bytes"):
        db.create(Line(order=key, number=1, secret=b"1"))
    assert plugged().get(Plain, key, 1) is None


def test_another_key_than_before_opens_nothing(opened, key):
    db, provider, clock = opened()
    db.create(Line(order=key, number=1, secret=b"1"))
    provider.gives = bytes(32)
    clock.now += 301
    with pytest.raises(Exception, match="not the one that was stored"):
        db.get(Line, key, 1)


def test_forged_versions_cost_one_look_a_second(opened, key, plugged):
    db, _, clock = opened()
    db.create(Line(order=key, number=0, secret=b"1"))
    raw = plugged().get(Plain, key, 0)
    for at in range(1, 20):
        forged = raw.secret[:4] + bytes([at] * 16) + raw.secret[20:]
        plugged().create(Plain(order=key, number=at, secret=forged))
    plugin = next(plugin for plugin in db.plugins if isinstance(plugin, EncryptionPlugin))
    before = plugin.keys.fetches
    asked = []
    version = plugin.keys.keyring.version
    plugin.keys.keyring.version = lambda *args: asked.append(args) or version(*args)
    for at in range(1, 20):
        with pytest.raises(KeyUnavailable) as refused:
            db.get(Line, key, at)
        assert refused.value.version == f"{bytes([at] * 16).hex()[:8]}-" + refused.value.version[9:]
    assert len(asked) == 1
    clock.now += 1.1
    with pytest.raises(KeyUnavailable):
        db.get(Line, key, 1)
    assert len(asked) == 1  # known not to be there, for half a minute
    assert plugin.keys.fetches >= before
    assert db.get(Line, key, 0).secret == b"1"


def test_many_at_once_make_one_call(opened, key):
    db, provider, _ = opened()
    gate = threading.Event()
    provider.fails = lambda what: time.sleep(0.1)
    failed = []

    def write(at):
        gate.wait()
        try:
            db.create(Line(order=key, number=at, secret=b"1"))
        except Exception as error:  # noqa: BLE001 - the test looks at them
            failed.append(error)

    threads = [threading.Thread(target=write, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join(20)
    assert not failed
    assert provider.calls.count("generate") == 1
    assert provider.calls.count("unwrap") == 1


def test_many_at_once_fail_by_one_call(opened, key):
    db, provider, _ = opened()
    gate = threading.Event()

    def slow(what):
        time.sleep(0.3)
        down(what)

    provider.fails = slow
    failed = []

    def write(at):
        gate.wait()
        try:
            db.create(Line(order=key, number=at, secret=b"1"))
        except KeyUnavailable as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join(20)
    assert len(failed) == 8
    assert len(provider.calls) <= 2


def test_a_key_that_nobody_gives_is_not_waited_for_without_end(opened, key, monkeypatch):
    monkeypatch.setattr(keys_module, "PATIENCE", 0.2)
    db, provider, _ = opened()
    provider.fails = lambda what: time.sleep(0.6)
    outcomes = []

    def write(at):
        try:
            db.create(Line(order=key, number=at, secret=b"1"))
            outcomes.append("written")
        except KeyUnavailable:
            outcomes.append("unavailable")

    threads = [threading.Thread(target=write, args=(at,)) for at in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes) in (["unavailable", "written"], ["written", "written"])


def test_no_more_keys_are_kept_than_said(plugged, key):
    provider = Provider()
    provider.max_keys = 3
    plugin = EncryptionPlugin(provider)
    db = plugged(plugin)
    for at in range(6):
        db.view(tenant=f"{key}{at}").create(Line(order=f"{key}{at}", number=1, secret=b"1"))
    assert len(plugin.keys._versions) <= 3
    assert plugin.keys.evictions
    for at in range(6):
        assert db.view(tenant=f"{key}{at}").get(Line, f"{key}{at}", 1).secret == b"1"


def rotated(root, ring, **options):
    """The report of a rotation, on either face."""
    found = root.keys.rotate(ring, **options)
    return root._loop.run(found) if inspect.isawaitable(found) else found


def test_a_rotation_lets_all_generations_be_read(opened, plugged, key):
    db, provider, clock = opened()
    tenant = key
    root = plugged(plugin := EncryptionPlugin(provider))
    plugin.keys.clock = clock
    versions = set()
    for at in range(3):
        root.view(tenant=tenant).create(Line(order=key, number=at, secret=b"%d" % at))
        versions.add(plugged().get(Plain, key, at).secret[4:20])
        assert [line.secret for line in db.model(Line).where(Line.order == key).all()] == [
            b"%d" % n for n in range(at + 1)
        ]
        report = rotated(root, "pii", tenant=tenant)
        assert report.old_writers_until.tzinfo is not None
        assert len(report.versions) == 1
    assert len(versions) == 3
    # Who has a key goes on with it, and takes the new one when that has ended.
    db.create(Line(order=key, number=9, secret=b"9"))
    clock.now += 301
    db.create(Line(order=key, number=10, secret=b"10"))
    newest = plugged().get(Plain, key, 10).secret[4:20]
    assert newest not in versions
    assert root.view(tenant=tenant).get(Line, key, 10).secret == b"10"


def test_a_lost_generation_is_named(opened, plugged, key):
    db, provider, _ = opened()
    db.create(Line(order=key, number=1, secret=b"1"))
    root = plugged(EncryptionPlugin(provider))
    root.view(tenant=key).get(Line, key, 1)
    rotated(root, "pii", tenant=key)
    root.view(tenant=key).create(Line(order=key, number=2, secret=b"2"))
    old = plugged().get(Plain, key, 1).secret[4:20].hex()
    name = f"{old[:8]}-{old[8:12]}-{old[12:16]}-{old[16:20]}-{old[20:]}"
    lost = f"T#{key}#~K#pii"
    raw = plugged()
    # The sort key of this table is a number, so that the version is a part of the partition key.
    assert raw.get(Plain, f"{lost}#V#{name}", 0) is not None
    raw.delete(Plain, f"{lost}#V#{name}", 0)
    other = plugged(EncryptionPlugin(provider)).view(tenant=key)
    with pytest.raises(KeyUnavailable) as refused:
        other.get(Line, key, 1)
    assert refused.value.version == name
    time.sleep(1.1)  # a version that is not there lets a ring wait for a second
    assert other.get(Line, key, 2).secret == b"2"


READS = {
    "get": lambda db, key: db.get(Line, key, 1),
    "all": lambda db, key: db.model(Line).where(Line.order == key).one(),
    "batch_get": lambda db, key: db.batch_get(Line, [(key, 1)])[0],
    "transact_get": lambda db, key: db.transact_get([(Line, key, 1)])[0],
    "update": lambda db, key: db.update(Line, key, 1, Line.secret.set(b"1"), returning="new"),
}


@pytest.mark.parametrize("read", READS)
def test_a_key_that_another_flow_lets_go_before_it_is_used_is_fetched_again(plugged, key, monkeypatch, read):
    """A rotation, say, which comes between the fetching of a key and the opening of the value that it was fetched for."""
    db = plugged(EncryptionPlugin(Provider())).view(tenant=key)
    db.create(Line(order=key, number=1, secret=b"1"))
    left = let_go(monkeypatch, 3)
    assert READS[read](db, key).secret == b"1"
    assert left == [0]


def test_a_write_whose_answer_is_never_opened_is_said_to_be_done(plugged, key, monkeypatch):
    """Whoever is told that nothing was written would write once more."""
    db = plugged(EncryptionPlugin(Provider())).view(tenant=key)
    db.create(Noted(order=key, number=1, secret=b"1"))
    let_go(monkeypatch, 1_000)
    with pytest.raises(ValidationError) as caught:
        db.update(Noted, key, 1, Noted.note.set("changed"), returning="new")
    assert (caught.value.outcome, caught.value.retryable) == (Outcome.APPLIED, False)
    monkeypatch.undo()
    assert db.require(Noted, key, 1).note == "changed"


def test_so_is_one_that_a_record_of_a_spool_needs(plugged, key, monkeypatch):
    db = plugged(EncryptionPlugin(Provider())).scoped(tenant=key)
    items = BatchItems(db.inner._session)
    items.spooled((Line,))
    db.create(Line(order=key, number=0, secret=b"0"))
    record = items.record(items.put(Line(order=key, number=1, secret=b"1")))
    left = let_go(monkeypatch, 1)
    assert db.run(items.revive(record)).item.secret == b"1"
    assert left == [0]


def let_go(monkeypatch, times):
    """Each key is let go as soon as it is there, so often; how often that is still to come."""
    hold, left = Need.hold, [times]

    def held(need, keys, found):
        hold(need, keys, found)
        if left[0]:
            left[0] -= 1
            keys.forget(need.ring)

    monkeypatch.setattr(Need, "hold", held)
    return left


def test_rotation_under_load(opened, plugged, key):
    _, provider, _ = opened()
    root = plugged(EncryptionPlugin(provider))
    view = root.view(tenant=key)
    view.create(Line(order=key, number=0, secret=b"0"))
    failed, stop, tried = [], threading.Event(), []

    def work(first):
        at = first
        while not stop.is_set():
            at += 2  # one thread has the odd numbers, the other the even ones: however many, they never meet
            try:
                view.create(Line(order=key, number=at, secret=b"%d" % at))
                if view.get(Line, key, at).secret != b"%d" % at:
                    failed.append(at)
            except Exception as error:  # noqa: BLE001 - the test looks at them
                failed.append(error)
            tried.append(at)

    threads = [threading.Thread(target=work, args=(first,), daemon=True) for first in (1, 2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            rotated(root, "pii", tenant=key)
            before = len(tried)
            wait_until(lambda before=before: len(tried) >= before + 3)  # of three one at least has begun since
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert not failed
    rows = plugged(EncryptionPlugin(provider)).view(tenant=key).model(Line).where(Line.order == key).all()
    assert all(row.number == 0 or row.secret == b"%d" % row.number for row in rows)
    assert len({row.secret[4:20] for row in plugged().model(Plain).where(Plain.order == key).all()}) > 2


def test_keys_are_of_a_database_with_a_provider(plugged, key):
    with pytest.raises(ConfigError, match="set_encryption_provider"):
        plugged().keys
    root = plugged(EncryptionPlugin(Provider()))
    with pytest.raises(ConfigError, match="was used"):
        rotated(root, "none")
    with pytest.raises(ConfigError, match="view"):
        root.view(tenant=key).keys


def test_more_keys_than_are_kept_are_told(plugged, key, caplog):
    provider = Provider()
    provider.max_keys = 2
    plugin = EncryptionPlugin(provider)
    plugin.keys.clock = clock = Clock()
    db = plugged(plugin)
    views = [db.view(tenant=f"{key}{at}") for at in range(6)]
    for at, view in enumerate(views):
        view.create(Line(order=f"{key}{at}", number=1, secret=b"1"))
    for _ in range(12):
        for at, view in enumerate(views):
            plugin.keys.generation += 1  # what fields keep themselves is not looked at
            clock.now += 0.5  # for a moment a key is there all the same
            assert view.get(Line, f"{key}{at}", 1).secret == b"1"
    assert plugin.gauges()["kms_cache_evictions"] > 20
    told = [record for record in caplog.records if "max_keys" in record.getMessage()]
    assert len(told) == 1
