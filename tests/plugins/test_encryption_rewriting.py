"""Keys take the place of keys: every item is stored anew, in a pass that can be stopped, and the former key is retired."""

import datetime as dt
import uuid

import pytest

from dynamorm import (
    DB,
    Attr,
    Bits,
    Encrypted,
    Model,
    Presets,
    Tenant,
    Unique,
    attr,
    composite,
    gsi,
    partition_key,
    version,
)
from dynamorm.errors import ConfigError, DuplicateKey, KeyDisabled, ModelError, TamperedCiphertext, TenantRequired
from dynamorm.plugins import EncryptionPlugin, Tenancy
from dynamorm.plugins.encryption.keyring import LATEST

from .encryption_kit import Keys, LocalKeyProvider, Provider, Wall

RING = "pci"


def versions_of_blind(db, card):
    plugin = next(one for one in db.plugins if isinstance(one, EncryptionPlugin))
    ring = plugin.fields_of(card)[0].ring(type("Anywhere", (), {"scope": {}})).blind
    return str(uuid.UUID(bytes=plugin.keys._active[ring].version))


def models(name):
    """The models of one table, for passes are over whole tables."""

    class Card(Model, table=name):
        token: Attr[str] = partition_key()
        last4: Attr[str] = attr(default="")
        number: Attr[str | None] = attr(Encrypted(RING, searchable=True), Unique(), default=None)
        zip: Attr[str | None] = attr(Encrypted("pii", searchable=Bits(8)), default=None)
        version: Attr[int] = version()
        by_number = gsi("gsi-number", partition="number")

    class Raw(Model, table=name):
        token: Attr[str] = partition_key()
        number: Attr[bytes | None] = attr(default=None)
        zip: Attr[bytes | None] = attr(default=None)
        index: Attr[bytes | None] = attr(name="_bi_number", default=None)
        other: Attr[bytes | None] = attr(name="_bi2_number", default=None)
        seal: Attr[bytes | None] = attr(name="_seal", default=None)
        tokens: Attr[bytes | None] = attr(name="_written", default=None)
        stored_version: Attr[int | None] = attr(name="version", default=None)

    return Card, Raw


@pytest.fixture
def opened(plugged, key, face_kind):
    """Opens the database of a test with a table of its own, again and again with the same keys."""
    provider, wall = Provider(), Wall()
    Card, Raw = models(f"rewrite-{key[:12]}-{face_kind}")
    made = []

    def open_():
        plugin = EncryptionPlugin(provider)
        plugin.keys.keyring.now = wall
        db = plugged(plugin)
        if not made:
            db.tables.create(Card)
            made.append(db)
        return db

    return open_, Card, Raw, wall


def versions(db, Raw, at="number"):
    return {bytes(getattr(raw, at)[4:20]) for raw in db.model(Raw).allow_scan().all() if getattr(raw, at)}


def test_segments_of_a_pass_are_complete_with_the_last_of_them(opened):
    """Whoever does them, in whatever order; one that is done again tells no less, and one that failed keeps all open."""
    open_, Card, Raw, wall = opened
    db = open_()
    for at in range(40):
        db.create(Card(token=f"t{at}", number=f"n{at}"))
    (old,) = versions(db, Raw)
    former = Keys(db).rotate(RING).former.values()
    wall.on(LATEST + 1)
    seen = []
    reports = []
    for number in (2, 0, 3, 1):
        db.get(Card, "t0")  # which tells the database of the ring
        with pytest.raises(ConfigError, match=r"reencrypt"):
            Keys(db).retire(RING, *former)
        reports.append(Keys(db).reencrypt(Card, segment=(number, 4), progress=seen.append))
        db = open_()
    assert [report.complete for report in reports] == [False, False, False, True]
    assert sum(report.items for report in reports) == sum(report.rewritten for report in reports) == 40
    assert versions(db, Raw) & {old} == set()
    again = Keys(db).reencrypt(Card, segment=(3, 4))
    assert (again.rewritten, again.complete) == (0, True)
    assert not Keys(db).reencrypt(Card, segment=(0, 3)).complete, "those of three are others"
    Keys(db).retire(RING, *former)
    assert db.get(Card, "t7").number == "n7"


@pytest.mark.parametrize("wrong", [(4, 4), (-1, 4), (0, 0), (0,), 3, (0, 1.0), (True, 2), "01", (0, 10**6)])
def test_a_segment_that_is_none_is_refused(opened, wrong):
    open_, Card, _, _ = opened
    with pytest.raises(ConfigError, match="segment is the number"):
        Keys(open_()).reencrypt(Card, segment=wrong)


def test_a_pass_stores_everything_under_the_new_key(opened):
    open_, Card, Raw, wall = opened
    db = open_()
    for at in range(12):
        db.create(Card(token=f"t{at}", number=f"n{at}", zip=f"z{at}"))
    before = {raw.token: raw for raw in db.model(Raw).allow_scan().all() if raw.number}
    (old,) = versions(db, Raw)
    report = Keys(db).rotate(RING)
    assert report.old_writers_until == wall.now + dt.timedelta(seconds=LATEST)
    seen = []
    early = Keys(db).reencrypt(Card, progress=seen.append)
    assert (early.items, early.rewritten, early.failed, early.complete) == (12, 12, 0, False)
    assert seen[-1] == (12, 12, 0)
    assert versions(db, Raw) & {old} == set()
    for raw in db.model(Raw).allow_scan().all():
        if raw.number:
            was = before[raw.token]
            assert (raw.stored_version, raw.index, raw.zip, raw.tokens) == (0, was.index, was.zip, was.tokens)
            assert raw.seal != was.seal
    wall.on(LATEST + 1)
    late = Keys(db).reencrypt(Card)
    assert (late.items, late.rewritten, late.complete) == (12, 0, True)
    for at in range(12):
        assert db.get(Card, f"t{at}").number == f"n{at}"
        assert db.find_by_unique(Card, number=f"n{at}").token == f"t{at}"


def test_a_key_is_retired_after_a_complete_pass_alone(opened):
    open_, Card, Raw, wall = opened
    db = open_()
    db.create(Card(token="a", number="1"))
    stale = db.get(Raw, "a")
    with pytest.raises(ConfigError, match="has no key"):
        Keys(db).retire(RING, "00000000-0000-0000-0000-000000000000")
    (old,) = [str(uuid.UUID(bytes=one)) for one in versions(db, Raw)]
    with pytest.raises(ConfigError, match="in use"):
        Keys(db).retire(RING, old)
    Keys(db).rotate(RING)
    with pytest.raises(ConfigError, match="reencrypt"):
        Keys(db).retire(RING, old)
    assert not Keys(db).reencrypt(Card).complete
    with pytest.raises(ConfigError, match="old_writers_until"):
        Keys(db).retire(RING, old)
    wall.on(LATEST + 1)
    assert Keys(db).reencrypt(Card).complete
    Keys(db).retire(RING, old)
    assert db.get(Card, "a").number == "1"
    db.put(stale)
    for other in (db, open_()):
        with pytest.raises(KeyDisabled):
            other.get(Card, "a")
    with pytest.raises(ConfigError):
        Keys(db).retire(RING, old)


def test_a_pass_that_was_stopped_goes_on_in_another_process(opened, monkeypatch):
    open_, Card, _Raw, _wall = opened
    db = open_()
    for at in range(6):
        db.create(Card(token=f"t{at}", number=f"n{at}"))
    Keys(db).rotate(RING)
    from dynamorm.features.rewriting import Rewriting

    plain, calls = Rewriting.page, []

    def small(self, model, start, **options):
        """Two items a page."""
        items, _ = yield from plain(self, model, start, **options)
        calls.append(start)
        mine = [item for item in items if item["token"]["S"].startswith("t")]
        if len(mine) <= 2:
            return mine, None
        last = mine[1]["token"]["S"]
        return mine[:2], b'{"token":{"S":"%b"}}' % last.encode()

    monkeypatch.setattr(Rewriting, "page", small)

    class Killed(Exception):
        pass

    def stop(progress):
        if progress.items >= 4:
            raise Killed

    with pytest.raises(Killed):
        Keys(db).reencrypt(Card, progress=stop)
    before = len(calls)
    report = Keys(open_()).reencrypt(Card)
    assert report.items == 6
    assert len(calls) - before < before + 1
    assert calls[before] is not None


def test_what_others_write_meanwhile_is_not_lost(opened, monkeypatch):
    open_, Card, Raw, _wall = opened
    db = open_()
    db.create(Card(token="a", number="1", zip="z"))
    other = open_()
    Keys(db).rotate(RING)
    from dynamorm.features.rewriting import Rewriting

    plain, interfered = Rewriting.write, []

    def interfering(self, model, item, changes):
        if not interfered:
            interfered.append(self)
            yield from _plain_update(self, Raw, item)
        return (yield from plain(self, model, item, changes))

    def _plain_update(self, raw, item):
        from dynamorm.ops.verbs.update import update

        yield from update(
            self._context, Card, ("a", Card.number.set("2")), {}, condition=None, upsert=False, returning=None
        )

    monkeypatch.setattr(Rewriting, "write", interfering)
    report = Keys(db).reencrypt(Card)
    assert interfered
    assert report.failed == 0
    assert other.get(Card, "a").number == "2"
    assert other.find_by_unique(Card, number="2").token == "a"


def test_an_item_that_does_not_open_is_told_and_left(opened):
    open_, Card, Raw, wall = opened
    db = open_()
    db.create(Card(token="a", number="1"))
    db.create(Card(token="b", number="2"))
    db.update(Raw, "b", Raw.number.set(b"\xd7\x01\x01\0" + bytes(120)))
    wall.on(LATEST + 1)
    report = Keys(db).reencrypt(Card)
    assert (report.items, report.failed, report.complete) == (2, 1, False)


def test_the_blind_index_gets_another_key_in_two_phases(opened):
    open_, Card, Raw, wall = opened
    db, other = open_(), open_()
    db.create(Card(token="a", number="1"))
    db.create(Card(token="b", number="2"))
    old_index = db.get(Raw, "a").index
    assert other.find_by_unique(Card, number="1").token == "a"
    report = Keys(db).rotate(RING, blind_index=True)
    with pytest.raises(ConfigError, match="two keys"):
        Keys(db).rotate(RING, blind_index=True)

    # Both writers, with different keys in use, take no value twice; both find what the other one writes.
    db.create(Card(token="c", number="3"))
    raw = db.get(Raw, "c")
    assert raw.index is not None
    assert raw.other is not None
    with pytest.raises(DuplicateKey):
        other.create(Card(token="d", number="3"))
    with pytest.raises(DuplicateKey):
        db.create(Card(token="d", number="1"))
    other.create(Card(token="d", number="4"))
    with pytest.raises(DuplicateKey):
        db.create(Card(token="e", number="4"))
    for one in (db, other):
        for token, number in (("a", "1"), ("c", "3"), ("d", "4")):
            assert [card.token for card in one.model(Card).where(Card.number.equals(number)).all()] == [token]
            assert one.model(Card).where(Card.number.equals(number)).count() == 1
            assert one.find_by_unique(Card, number=number).token == token

    filled = Keys(db).reencrypt(Card)
    assert not filled.complete
    assert db.get(Raw, "a").index == old_index
    assert db.get(Raw, "a").other is not None
    (new,) = report.versions.values()
    with pytest.raises(ConfigError, match="in use"):
        Keys(db).retire(RING, new)

    wall.on(LATEST + 1)
    fresh = open_()
    fresh.create(Card(token="f", number="5"))
    assert Keys(fresh).reencrypt(Card).complete
    for raw in fresh.model(Raw).allow_scan().all():
        if raw.number:
            assert raw.index is not None
            assert raw.other is None
    assert fresh.get(Raw, "a").index != old_index
    assert [card.token for card in fresh.model(Card).where(Card.number.equals("1")).all()] == ["a"]
    old = versions_of_blind(fresh, Card)
    Keys(fresh).retire(RING, old)
    for one in (fresh, open_()):
        assert [card.token for card in one.model(Card).where(Card.number.equals("1")).all()] == ["a"]
        assert one.find_by_unique(Card, number="5").token == "f"
        with pytest.raises(DuplicateKey):
            one.create(Card(token="g", number="3"))
    fresh.update(Card, "a", Card.number.set("9"))
    fresh.create(Card(token="g", number="1"))
    assert not fresh.repair_unique(Card).faults


def test_the_blind_index_is_not_ended_while_an_item_lacks_it(opened):
    open_, Card, Raw, wall = opened
    db = open_()
    db.create(Card(token="a", number="1"))
    old = versions_of_blind(db, Card)
    Keys(db).rotate(RING, blind_index=True)
    wall.on(LATEST + 1)
    with pytest.raises(ConfigError, match="reencrypt"):
        Keys(db).retire(RING, old)
    db.update(Raw, "a", Raw.number.set(b"\xd7\x01\x01\0" + bytes(120)))
    assert not Keys(db).reencrypt(Card).complete
    with pytest.raises(ConfigError, match="reencrypt"):
        Keys(db).retire(RING, old)


# ---------------------------------------------------------------------------------------------------------- plaintext


class Old(Model, table="rewrite-plain"):
    token: Attr[str] = partition_key()
    number: Attr[str | None] = attr(default=None)
    version: Attr[int] = version()


@pytest.fixture
def migrating(plugged, key, face_kind):
    wall, provider, name = Wall(), Provider(), f"plain-{key[:12]}-{face_kind}"

    class Before(Model, table=name):
        token: Attr[str] = partition_key()
        number: Attr[str | None] = attr(default=None)
        version: Attr[int] = version()

    class After(Model, table=name):
        token: Attr[str] = partition_key()
        number: Attr[str | None] = attr(
            Encrypted(RING, searchable=True, plaintext_until=wall.now + dt.timedelta(days=30)), default=None
        )
        version: Attr[int] = version()

    plugin = EncryptionPlugin(provider)
    plugin.keys.keyring.now = wall
    db = plugged(plugin)
    db.tables.create(After)
    return db, Before, After, wall


def test_what_is_stored_in_the_clear_is_read_until_then(migrating, caplog):
    db, Before, After, wall = migrating
    db.create(Before(token="a", number="1"))
    db.create(Before(token="b", number="2"))
    assert db.get(After, "a").number == "1"
    assert db.get(After, "b").number == "2"
    warned = [record for record in caplog.records if "in the clear" in record.getMessage()]
    assert len(warned) == 1
    plugin = next(one for one in db.plugins if isinstance(one, EncryptionPlugin))
    assert plugin.gauges()["encryption_plaintext_reads"] == 2
    db.update(After, "a", After.number.set("3"))
    assert isinstance(db.get(Before, "b").number, str)
    with pytest.raises(ModelError, match="reencrypt"):
        db.model(After).allow_scan().where(After.number.equals("2")).all()
    wall.on(31 * 86400)
    with pytest.raises(TamperedCiphertext):
        db.get(After, "b")
    assert db.get(After, "a").number == "3"


def test_after_a_complete_pass_nothing_is_read_in_the_clear(migrating):
    db, Before, After, _wall = migrating
    db.create(Before(token="a", number="1"))
    with pytest.raises(ConfigError, match="Before stores that attribute"):
        Keys(db).reencrypt(After)
    report = Keys(db).reencrypt(After, only=lambda item: item["token"]["S"] == "a")
    assert (report.items, report.rewritten, report.complete) == (1, 1, True)
    found = db.model(After).allow_scan().where(After.number.equals("1")).one()
    assert (found.token, found.version) == ("a", 0)
    db.create(Before(token="b", number="2"))
    with pytest.raises(TamperedCiphertext):
        db.get(After, "b")


# ------------------------------------------------------------------------------------------------------------ tenants


def test_one_pass_is_of_all_tenants(plugged, key, face_kind):
    class Own(Model, table=f"tenants-{key[:12]}-{face_kind}"):
        pk: Attr[str] = partition_key(composite("tenant", "id"))
        id: Attr[str] = attr(default="")
        tenant: Attr[str] = attr(Tenant())
        number: Attr[str | None] = attr(Encrypted(RING, searchable=True), default=None)

    provider, wall = Provider(), Wall()
    plugin = EncryptionPlugin(provider)
    plugin.keys.keyring.now = wall
    db = plugged(Tenancy(), plugin)
    db.tables.create(Own)
    mine, yours = db.with_tenant("mine"), db.with_tenant("yours")
    mine.create(Own(id="a", number="1"))
    yours.create(Own(id="b", number="1"))
    Keys(db).rotate(RING, tenant="mine")
    wall.on(LATEST + 1)
    report = Keys(db).reencrypt(Own)
    assert (report.items, report.rewritten, report.failed, report.complete) == (2, 1, 0, True)
    assert mine.get(Own, id="a").number == "1"
    everybody = db.all_tenants(reason="a test of all of them")
    read = {one.id: one.number for one in everybody.model(Own).allow_scan().select("id", "number").all()}
    assert read == {"a": "1", "b": "1"}
    everybody.create(Own(id="c", tenant="mine", number="3"))
    assert mine.get(Own, id="c").number == "3"
    with pytest.raises(TenantRequired):
        everybody.model(Own).allow_scan().where(Own.number.equals("3")).all()
    assert yours.model(Own).where(Own.id == "b", Own.number.equals("1")).one().id == "b"


def test_a_model_without_encrypted_fields_has_nothing_to_do(plugged, tmp_path):
    db = plugged(EncryptionPlugin(LocalKeyProvider(tmp_path / "k")))
    with pytest.raises(ConfigError, match="no encrypted field"):
        Keys(db).reencrypt(Old)


@pytest.fixture(scope="module")
def made(engine, prefix):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        db.tables.create(Old)
    return prefix


def test_a_tenant_that_the_library_puts_before_keys(plugged, key, face_kind):
    class Own(Model, table=f"prefixed-{key[:12]}-{face_kind}"):
        id: Attr[str] = partition_key()
        tenant: Attr[str] = attr(Tenant(prefix=True))
        number: Attr[str | None] = attr(Encrypted(RING, searchable=True), Unique(), default=None)
        version: Attr[int] = version()

    db = plugged(Tenancy(), EncryptionPlugin(Provider()))
    db.tables.create(Own)
    mine, yours = db.with_tenant("mine"), db.with_tenant("yours")
    one = mine.create(Own(id="a", number="1"))
    yours.create(Own(id="a", number="1"))
    one.number = "2"
    mine.save(one)
    mine.update(Own, "a", Own.number.set("3"))
    assert (mine.get(Own, "a").number, yours.get(Own, "a").number) == ("3", "1")
    assert mine.find_by_unique(Own, number="3").id == "a"
    with pytest.raises(DuplicateKey):
        mine.create(Own(id="b", number="3"))
    assert Keys(db).reencrypt(Own).failed == 0
    assert mine.get(Own, "a").number == "3"


# --------------------------------------------------------------------------------------------------- a part of the items


def test_a_pass_over_a_part_of_the_items_in_the_clear_is_not_complete(plugged, key, face_kind):
    wall, name = Wall(), f"part-{key[:12]}-{face_kind}"

    class Before(Model, table=name):
        token: Attr[str] = partition_key()
        number: Attr[str | None] = attr(default=None)

    class After(Model, table=name):
        token: Attr[str] = partition_key()
        number: Attr[str | None] = attr(
            Encrypted(RING, searchable=True, plaintext_until=wall.now + dt.timedelta(days=30)), default=None
        )

    plain, plugin = plugged(), EncryptionPlugin(Provider())
    plugin.keys.keyring.now = wall
    db = plugged(plugin)
    db.tables.create(After)
    for at in range(6):
        plain.create(Before(token=f"t{at}", number=f"n{at}"))
    report = Keys(db).reencrypt(After, only=lambda item: item["token"]["S"] < "t3")
    assert (report.items, report.rewritten, report.skipped, report.complete) == (3, 3, 3, False)
    assert [db.get(After, f"t{at}").number for at in range(6)] == [f"n{at}" for at in range(6)]
    with pytest.raises(ModelError, match="reencrypt"):
        db.model(After).allow_scan().where(After.number.equals("n4")).all()
    report = Keys(db).reencrypt(After, only=lambda item: item["token"]["S"] >= "t3")
    assert (report.items, report.rewritten, report.skipped, report.complete) == (3, 3, 0, True)
    assert db.model(After).allow_scan().where(After.number.equals("n4")).one().token == "t4"


def test_plaintext_that_was_read_before_a_complete_pass_is_refused_at_once_after_it(plugged, key, face_kind):
    wall, name = Wall(), f"once-{key[:12]}-{face_kind}"

    class Before(Model, table=name):
        token: Attr[str] = partition_key()
        number: Attr[str | None] = attr(default=None)

    class After(Model, table=name):
        token: Attr[str] = partition_key()
        number: Attr[str | None] = attr(
            Encrypted("pii", plaintext_until=wall.now + dt.timedelta(days=30)), default=None
        )

    plain, plugin = plugged(), EncryptionPlugin(Provider())
    plugin.keys.keyring.now = wall
    db = plugged(plugin)
    db.tables.create(After)
    plain.create(Before(token="a", number="1"))
    assert db.get(After, "a").number == "1"
    assert Keys(db).reencrypt(After).complete
    plain.create(Before(token="b", number="2"))
    with pytest.raises(TamperedCiphertext):
        db.get(After, "b")


def test_a_pass_over_a_part_lets_no_index_be_ended(opened):
    open_, Card, _, wall = opened
    db = open_()
    for at in range(6):
        db.create(Card(token=f"t{at}", number=f"n{at}"))
    old = versions_of_blind(db, Card)
    Keys(db).rotate(RING, blind_index=True)
    wall.on(LATEST + 1)
    report = Keys(db).reencrypt(Card, only=lambda item: item["token"]["S"] < "t3")
    assert (report.items, report.rewritten, report.skipped, report.complete) == (3, 3, 3, False)
    with pytest.raises(ConfigError, match="reencrypt"):
        Keys(db).retire(RING, old)
    assert Keys(db).reencrypt(Card).complete
    Keys(db).retire(RING, old)
    for at in range(6):
        assert db.find_by_unique(Card, number=f"n{at}").token == f"t{at}"
        with pytest.raises(DuplicateKey):
            db.create(Card(token=f"other{at}", number=f"n{at}"))


def low(item):
    return item["token"]["S"] < "t3"


def high(item):
    return item["token"]["S"] >= "t3"


class Bound:
    """The same function for other items, which its code does not tell."""

    def __init__(self, *tokens):
        self.tokens = tokens

    def says(self, item):
        return item["token"]["S"] in self.tokens


@pytest.mark.parametrize(
    ("first", "then", "resumes"),
    [
        (low, None, False),
        (None, low, False),
        (low, high, False),
        (low, low, True),
        (lambda item: item["token"]["S"] < "t3", lambda item: item["token"]["S"] >= "t3", False),
        (Bound("t0", "t1").says, Bound("t0", "t1", "t4", "t5").says, False),
    ],
)
def test_a_pass_goes_on_under_the_same_only_alone(opened, monkeypatch, first, then, resumes):
    from dynamorm.features.rewriting import Rewriting

    open_, Card, Raw, wall = opened
    db = open_()
    for at in range(6):
        db.create(Card(token=f"t{at}", number=f"n{at}"))
    (old,) = versions(db, Raw)
    Keys(db).rotate(RING)
    wall.on(LATEST + 1)
    page, starts = Rewriting.page, []

    def small(self, model, start, **options):
        """Two items a page, those with the greater names first."""
        items, _ = yield from page(self, model, None, **options)
        mine = sorted((one for one in items if one["token"]["S"].startswith("t")), key=lambda one: one["token"]["S"])
        mine = [one for one in reversed(mine) if start is None or one["token"]["S"] < bytes(start).decode()]
        starts.append(start)
        return mine[:2], mine[1]["token"]["S"].encode() if len(mine) > 2 else None

    monkeypatch.setattr(Rewriting, "page", small)
    passed = []

    def stop(progress):
        passed.append(progress)
        if len(passed) == 2:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        Keys(db).reencrypt(Card, only=first, progress=stop)
    del starts[:]
    report = Keys(db).reencrypt(Card, only=then)
    assert (starts[0] is not None) is resumes
    former = {raw.token for raw in db.model(Raw).allow_scan().all() if raw.number and raw.number[4:20] == old}
    assert not any(then is None or then({"token": {"S": token}}) for token in former)
    assert (report.skipped, report.complete) == (len(former), not former)
