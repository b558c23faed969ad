"""Fields whose large values lie in S3: stored before their item, read back as they were, cleaned when nobody names them."""

import json
import time
from base64 import b64encode
from typing import Any

import pytest

from dynamorm import (
    DB,
    Attr,
    BatchConfig,
    Compressed,
    Config,
    Encrypted,
    Model,
    Presets,
    TableSettings,
    Tenant,
    attr,
    partition_key,
    sort_key,
    version,
)
from dynamorm.engine import Engine
from dynamorm.errors import (
    ConfigError,
    ModelError,
    ObjectDamaged,
    ObjectMissing,
    OffloadError,
    Outcome,
    OutcomeUnknown,
    TenantRequired,
    ValidationError,
)
from dynamorm.plugins import AsyncOffloadCleaner, LocalKeyProvider, MissingObject, Offload, OffloadCleaner, Offloaded
from dynamorm.plugins.offload.pointer import IN_JSON, MARK, Pointer, pointer_of
from tests.support.s3 import S3Server, client_of

LONG = "a long text. " * 50


class Report(Model, table="offload-reports"):
    id: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    text: Attr[str | None] = attr(Offloaded("bucket", above=100), default=None)
    data: Attr[bytes] = attr(Offloaded("bucket", above=100), default=b"")
    document: Attr[dict[str, Any]] = attr(Compressed(above=50), Offloaded("bucket", above=100), default_factory=dict)
    plain: Attr[str] = attr(default="")
    version: Attr[int] = version()


class Raw(Model, table="offload-reports"):
    """The same items, as they are stored."""

    id: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    text: Attr[Any] = attr(default=None)
    data: Attr[Any] = attr(default=None)
    document: Attr[Any] = attr(default=None)
    version: Attr[int] = version()


class Marked(Model, table="offload-reports"):
    id: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    text: Attr[str | None] = attr(Offloaded("bucket", above=100, on_missing="mark"), default=None)
    version: Attr[int] = version()


MODELS = [Report]
pytestmark = pytest.mark.engine


class Shelf:
    """An ObjectStore in memory, whose requests can fail."""

    def __init__(self):
        self.objects, self.asked, self.failing = {}, [], {}

    def _ask(self, what):
        self.asked.append(what)
        if self.failing.get(what):
            self.failing[what] -= 1
            raise OSError("with secrets")

    def put(self, bucket, key, data):
        self._ask("put")
        self.objects[bucket, key] = data, time.time()
        self._ask("put+")  # it is stored, and the reply is lost

    def get(self, bucket, key, largest):
        self._ask("get")
        found = self.objects.get((bucket, key))
        return None if found is None else found[0][:largest]

    def delete(self, bucket, key):
        self._ask("delete")
        self.objects.pop((bucket, key), None)

    def list(self, bucket, prefix):
        return [(key, at) for (of, key), (_, at) in self.objects.items() if of == bucket and key.startswith(prefix)]


@pytest.fixture(scope="module")
def made(engine, prefix):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        db.use(Offload(Shelf()))
        db.tables.create(Report)
    return prefix


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def offload(shelf):
    return Offload(shelf, cache=0)


@pytest.fixture
def db(plugged, offload):
    return plugged(offload)


class Cleaning:
    """The cleaner of the asyncio face, whose methods block here."""

    def __init__(self, db, offload):
        self.cleaner, self.run = AsyncOffloadCleaner(db.inner, offload, Report), db._loop.run

    def clean(self, record):
        return self.run(self.cleaner.clean(record))

    def sweep(self):
        return self.run(self.cleaner.sweep())


@pytest.fixture
def cleaning(db, offload):
    """The cleaner of the face under test."""
    return OffloadCleaner(db.inner, offload, Report) if db.kind == "blocking" else Cleaning(db, offload)


def full(key, number=1):
    return Report(id=key, number=number, text=LONG, data=LONG.encode(), document={"rows": list(range(500))})


def values(report):
    return report.text, report.data, report.document


def named(db, key, number=1):
    raw = db.get(Raw, key, number)
    return [
        one.key
        for value in (raw.text, raw.data, raw.document)
        if isinstance(value, bytes) and (one := pointer_of({"B": value}))
    ]


def test_large_values_are_stored_before_the_item_and_read_back(db, key, shelf):
    db.create(full(key))
    assert len(shelf.objects) == 3
    assert {("bucket", one) for one in named(db, key)} == set(shelf.objects)
    assert values(db.get(Report, key, 1)) == values(full(key))
    assert values(db.model(Report).where(Report.id == key).one()) == values(full(key))
    assert db.get(Report, key, 1, select=["text"]).text == LONG


def test_short_values_stay_in_the_item(db, key, shelf):
    db.create(Report(id=key, number=1, text="short", document={"a": 1}))
    assert not shelf.objects
    assert db.get(Raw, key, 1).text == "short"
    assert db.get(Report, key, 1).document == {"a": 1}


def test_what_was_stored_in_the_item_before_is_read(db, key, shelf):
    db.put(Raw(id=key, number=1, text=LONG, data=LONG.encode(), document={"a": 1}))
    assert db.get(Report, key, 1).text == LONG
    assert not shelf.asked


def test_bytes_that_look_like_a_pointer_are_read_as_they_were(db, key):
    db.create(Report(id=key, number=1, data=MARK + b"{}"))
    assert db.get(Report, key, 1).data == MARK + b"{}"


def test_a_save_stores_an_object_only_for_what_changed(db, key, shelf):
    db.create(full(key))
    report = db.get(Report, key, 1)
    db.save(report)
    report.plain = "other"
    db.save(report)
    assert len(shelf.objects) == 3
    report.text = LONG * 2
    db.save(report)
    assert len(shelf.objects) == 4
    assert db.get(Report, key, 1).text == LONG * 2


def test_each_write_has_an_object_of_its_own(db, key, shelf):
    for _ in range(3):
        db.put(Report(id=key, number=1, text=LONG))
    db.update(Report, key, 1, Report.text.set(LONG))
    assert len(shelf.objects) == 4
    assert db.get(Report, key, 1).text == LONG


def test_writes_at_once_have_objects_of_their_own(db, key, shelf):
    db.concurrently(lambda _: db.put(Report(id=key, number=1, text=LONG)), 20)
    assert len(shelf.objects) == 20
    assert db.get(Report, key, 1).text == LONG


def test_updates_transactions_and_batches(db, key):
    db.create(Report(id=key, number=1))
    assert db.update(Report, key, 1, Report.text.set(LONG), Report.document.set({"a": LONG * 9})).text == LONG
    with db.transaction() as tx:
        tx.update(Report, key, 1, Report.text.set(LONG * 2))
        tx.create(full(key, 2))
        tx.put(full(key, 3))
    assert [one.text for one in db.transact_get([(Report, key, 1), (Report, key, 2)])] == [LONG * 2, LONG]
    assert db.batch_write(puts=[full(key, number) for number in range(4, 9)]).failed == []
    assert [one.text for one in db.batch_get(Report, [(key, number) for number in range(2, 9)])] == [LONG] * 7
    assert db.delete(Report, key, 8, returning="old").text == LONG
    assert db.update(Report, key, 1, Report.text.remove()).text is None
    assert db.upsert(Report, key, 9, Report.text.set(LONG)).text == LONG


def test_objects_of_one_answer_are_fetched_side_by_side(db, key, shelf):
    db.batch_write(puts=[Report(id=key, number=number, text=LONG) for number in range(20)])
    shelf.asked.clear()
    assert len(db.model(Report).where(Report.id == key).all()) == 20
    assert shelf.asked == ["get"] * 20


@pytest.mark.parametrize(
    "condition", [Report.text == "a", Report.text.begins_with("a"), Report.text.contains("a"), Report.text.size() > 4]
)
def test_what_compares_it_is_refused_with_the_reason(db, condition):
    with pytest.raises(ModelError, match=r"Report\.text is stored in S3 where it is large, so that no expression"):
        db.model(Report).where(condition).allow_scan().all()


@pytest.mark.parametrize("reply", ["put", "put+"])
def test_no_item_is_written_where_the_object_may_not_be_stored(db, key, shelf, reply):
    shelf.failing[reply] = 1
    with pytest.raises(
        OffloadError, match=r"an object could not be stored in bucket \(OSError\): the write that needs it was not sent"
    ) as told:
        db.create(Report(id=key, number=1, text=LONG))
    assert told.value.outcome is Outcome.NOT_APPLIED
    assert told.value.retryable
    assert "secrets" not in str(told.value)
    assert db.get(Raw, key, 1) is None
    db.create(Report(id=key, number=1, text=LONG))
    assert db.get(Report, key, 1).text == LONG


def test_one_that_cannot_be_fetched_is_told(db, key, shelf):
    db.create(Report(id=key, number=1, text=LONG))
    shelf.failing["get"] = 1
    with pytest.raises(OffloadError, match="could not be fetched"):
        db.get(Report, key, 1)
    assert db.get(Report, key, 1).text == LONG


def test_an_update_that_is_done_says_so_where_its_object_cannot_be_fetched(db, key, shelf):
    db.create(Report(id=key, number=1, text=LONG))
    shelf.failing["get"] = 1
    with pytest.raises(OffloadError, match=r"could not be fetched \(OSError\)") as told:
        db.update(Report, key, 1, Report.plain.set("new"))
    assert told.value.outcome is Outcome.APPLIED
    assert not told.value.retryable
    assert "written" not in str(told.value)
    assert db.get(Report, key, 1).plain == "new"


def test_a_spool_refuses_what_it_may_send_when_the_object_is_gone(shelf, tmp_path):
    spool = BatchConfig(parallelism=1, spool_dir=tmp_path / "spool")
    with DB(Engine()) as db:
        db.use(Offload(shelf))
        db.tables.ensure(Report)
        words = r"Report\.\w+ is stored in S3 .* use no spool_dir"
        with db.new_batcher(spool) as batcher, pytest.raises(ModelError, match=words):
            batcher.add(Report(id="a", number=1, text=LONG))
        with db.new_batcher(BatchConfig(parallelism=1)) as batcher:
            batcher.add(Report(id="b", number=1, text=LONG))
        assert [found.id for found in db.model(Report).allow_scan()] == ["b"]
        assert db.require(Report, "b", 1).text == LONG


def test_a_missing_object_is_one_typed_error_or_marked(db, key, shelf):
    db.create(Report(id=key, number=1, text=LONG))
    kept = dict(shelf.objects)
    shelf.objects.clear()
    with pytest.raises(
        ObjectMissing, match=r"Report\.text: the item names an object in bucket that is not there"
    ) as told:
        db.get(Report, key, 1)
    assert told.value.retryable
    found = db.get(Marked, key, 1)
    assert isinstance(found.text, MissingObject)
    db.save(found)
    shelf.objects.update(kept)
    assert db.get(Report, key, 1).text == LONG


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b"x" + data[1:], lambda data: b""]
)
def test_a_damaged_object_is_not_believed(db, key, shelf, damage):
    db.create(Report(id=key, number=1, text=LONG))
    ((place, (data, at)),) = shelf.objects.items()
    shelf.objects[place] = damage(data), at
    with pytest.raises(ObjectDamaged, match=r"Report\.text: an object in bucket is not what was stored"):
        db.get(Report, key, 1)


def test_an_object_of_another_item_is_not_read(db, key, shelf):
    db.create(Report(id=key, number=1, text=LONG))
    db.create(Report(id=key, number=2, text=LONG * 2))
    stolen = db.get(Raw, key, 2).text
    db.put(Raw(id=key, number=1, text=stolen))
    with pytest.raises(ObjectDamaged, match="of another bucket, table, item or tenant"):
        db.get(Report, key, 1)
    other = pointer_of({"B": stolen})
    db.put(
        Raw(
            id=key,
            number=2,
            text=Pointer("other", *(getattr(other, name) for name in other.__struct_fields__[1:])).wire()["B"],
        )
    )
    with pytest.raises(ObjectDamaged):
        db.get(Report, key, 2)
    db.put(Raw(id=key, number=2, text=MARK + b"nonsense"))
    with pytest.raises(ObjectDamaged, match="in a form that is known"):
        db.get(Report, key, 2)


def test_a_value_over_the_limit_is_refused_before_anything_is_stored(db, key, shelf):
    class Small(Model, table="offload-reports"):
        id: Attr[str] = partition_key()
        number: Attr[int] = sort_key()
        text: Attr[str] = attr(Offloaded("bucket", above=10, limit=100))

    with pytest.raises(
        ValidationError, match=r"Small\.text has 101 bytes, and limit of its Offloaded allows 100"
    ) as told:
        db.create(Small(id=key, number=1, text="x" * 101))
    assert told.value.field == "text"
    assert not shelf.asked


def test_a_write_that_comes_too_late_is_refused(db, key, offload):
    with pytest.raises(OffloadError, match="Build the write, or the transaction, again"):
        _late(db, key, offload)
    assert db.get(Raw, key, 1) is None


def _late(db, key, offload):
    made = []
    send = offload.objects.sent

    def later(body):
        made.append(offload.objects.clock())
        offload.objects.clock = lambda: made[0] + 4000
        send(body)

    offload.objects.sent = later
    db.create(Report(id=key, number=1, text=LONG))


def record(db, key, number, old, new):
    """As AWS hands it to a function."""
    images = {
        name: {"id": {"S": key}, "number": {"N": str(number)}, "text": {"B": _json(image)}}
        for name, image in (("OldImage", old), ("NewImage", new))
        if image
    }
    return {
        "eventName": "MODIFY" if new else "REMOVE",
        "dynamodb": {"Keys": {"id": {"S": key}, "number": {"N": str(number)}}, **images},
    }


def _json(value):
    return b64encode(value).decode()


def test_the_stream_cleans_what_was_replaced_or_deleted(db, key, shelf, offload, cleaning):
    db.create(Report(id=key, number=1, text=LONG))
    first = db.get(Raw, key, 1).text
    db.update(Report, key, 1, Report.text.set(LONG * 2))
    second = db.get(Raw, key, 1).text
    change = record(db, key, 1, first, second)
    assert cleaning.clean(change) == 0  # a late copy of the first write may still name it
    assert len(shelf.objects) == 2
    offload.objects.clock = lambda: time.time() + 90_000
    assert cleaning.clean(record(db, key, 1, second, first)) == 0  # the item names it
    assert cleaning.clean(change) == 1
    assert cleaning.clean(change) == 1  # given again
    assert [one for _, one in shelf.objects] == named(db, key)
    db.delete(Report, key, 1)
    assert cleaning.clean(record(db, key, 1, second, None)) == 1
    assert not shelf.objects


def test_records_of_a_stream_of_the_database_are_cleaned(shelf):
    class Streamed(Model, table="offload-streamed", settings=TableSettings(stream="NEW_AND_OLD_IMAGES")):
        id: Attr[str] = partition_key()
        text: Attr[str | None] = attr(Offloaded("bucket", above=100), default=None)

    offload = Offload(shelf)
    with DB(Engine()) as db:
        db.use(offload)
        db.tables.ensure(Streamed)
        for number in range(3):
            db.put(Streamed(id="1", text=LONG * number or None))
        db.delete(Streamed, "1")
        assert len(shelf.objects) == 2
        offload.objects.clock = lambda: time.time() + 90_000
        cleaning = OffloadCleaner(db, offload, Streamed)
        assert sum(cleaning.clean(record) for record in db.stream(Streamed, idle_timeout=0)) == 2
        assert not shelf.objects
        assert (
            cleaning._cleaning._tables["offload-streamed"].raw
            is OffloadCleaner(db, offload, Streamed)._cleaning._tables["offload-streamed"].raw
        )


def test_a_sweep_removes_what_no_item_names(db, key, shelf, offload, cleaning):
    before = len(shelf.objects)
    db.create(full(key))
    db.update(Report, key, 1, Report.text.set(LONG * 2))
    shelf.objects["bucket", "dynamorm/shared/offload-other/text/x/y"] = b"", 0.0
    shelf.objects["bucket", "of somebody else"] = b"", 0.0
    swept = cleaning.sweep()
    assert (swept.removed, swept.young) == (0, before + 4)
    offload.objects.clock = lambda: time.time() + 90_000
    assert cleaning.sweep().removed == 1
    assert len(shelf.objects) == 5
    assert values(db.get(Report, key, 1)) == (LONG * 2, LONG.encode(), full(key).document)


class Owned(Model, table="offload-owned"):
    tenant_id: Attr[str] = attr(Tenant())
    id: Attr[str] = partition_key()
    text: Attr[str | None] = attr(Offloaded("bucket", above=100), default=None)


def test_the_key_of_an_object_begins_with_its_tenant():
    shelf = Shelf()
    with DB(Engine()) as db:
        db.enable_multi_tenancy()
        db.use(Offload(shelf))
        with pytest.warns(UserWarning, match="does not begin with its tenant"):
            db.tables.ensure(Owned)
        with pytest.raises(TenantRequired):
            db.create(Owned(id="0", text=LONG))
        for tenant in ("a", "a/b", "a%"):
            db.with_tenant(tenant).create(Owned(id=tenant, text=LONG))
        assert [key.split("/")[:2] for _, key in shelf.objects] == [
            ["dynamorm", "T=a"],
            ["dynamorm", "T=a%2Fb"],
            ["dynamorm", "T=a%25"],
        ]
        everybody = db.all_tenants(reason="a test")
        assert [one.text for one in everybody.model(Owned).allow_scan().all()] == [LONG] * 3
        everybody.update(Owned, "a", Owned.text.set(LONG * 2), condition=Owned.tenant_id == "a")
        assert [key.split("/")[1] for _, key in shelf.objects][-1] == "T=a"
        assert db.with_tenant("a").get(Owned, "a").text == LONG * 2


def test_what_is_encrypted_is_not_offloaded(tmp_path):
    class Both(Model, table="offload-both"):
        id: Attr[str] = partition_key()
        text: Attr[str] = attr(Encrypted("pii"), Offloaded("bucket"))

    with DB(Engine()) as db:
        db.set_encryption_provider(LocalKeyProvider(tmp_path / "keys"))
        db.use(Offload(Shelf()))
        with pytest.raises(ModelError, match=r"Both\.text is Offloaded, which goes with no Encrypted"):
            db.get(Both, "1")


def test_without_the_plugin_the_model_is_refused():
    with (
        DB(Engine()) as db,
        pytest.raises(
            ModelError,
            match=r"no installed plugin handles Offloaded on Report\.text; call db\.use\(Offload\(client\)\)",
        ),
    ):
        db.get(Report, "1", 1)


def test_over_a_client_of_boto3(tmp_path):
    with S3Server(tmp_path) as s3, DB(Engine()) as db:
        offload = Offload(client_of(s3.endpoint))
        db.use(offload)
        db.tables.ensure(Report)
        s3.lose = 1  # and the client tries again
        db.create(full("1"))
        assert values(db.get(Report, "1", 1)) == values(full("1"))
        for number in range(2, 120):
            s3.path("bucket", f"dynamorm/shared/offload-reports/text/x/{number}").write_bytes(b"x")
        offload.objects.clock = lambda: time.time() + 90_000
        assert OffloadCleaner(db, offload, Report).sweep() == (121, 118, 0)
        assert sorted(s3.keys()) == sorted(named(db, "1"))
        s3.refuse = 5
        with pytest.raises(OffloadError, match="AccessDenied"):
            db.update(Report, "1", 1, Report.text.set(LONG * 3))


def test_lost_replies_of_the_item_write_lose_no_value():
    shelf = Shelf()
    engine = Engine()
    with DB(engine) as db:
        db.use(Offload(shelf))
        db.tables.ensure(Report)
        for op in ("PutItem", "UpdateItem"):
            with engine.faults.lose_reply(op=op, times=1):
                db.create(Report(id=op, number=1, text=LONG))
                report = db.get(Report, op, 1)
                report.text = LONG * 2
                db.save(report)
            assert db.get(Report, op, 1).text == LONG * 2


def test_a_write_whose_outcome_is_unknown_keeps_its_object():
    shelf = Shelf()
    engine = Engine()
    with DB(engine) as db:
        db.use(Offload(shelf))
        db.tables.ensure(Report)
        with engine.faults.lose_reply(times=50), pytest.raises(OutcomeUnknown):
            db.create(Report(id="1", number=1, text=LONG))
        assert db.get(Report, "1", 1).text == LONG


def test_databases_with_other_prefixes_have_objects_of_their_own(shelf):
    engine, bodies = Engine(), {"stage-": LONG, "live-": LONG * 2}
    for prefix, text in bodies.items():
        offload = Offload(shelf)
        with DB(Config(engine=engine, table_prefix=prefix)) as db:
            db.use(offload)
            db.tables.ensure(Report)
            db.create(Report(id="1", number=1, text=text))
            db.create(Report(id="2", number=1, text=text))
    assert {key.split("/")[2] for _, key in shelf.objects} == {"stage-offload-reports", "live-offload-reports"}
    for prefix, text in bodies.items():
        offload = Offload(shelf, clock=lambda: time.time() + 90_000)
        with DB(Config(engine=engine, table_prefix=prefix)) as db:
            db.use(offload)
            db.delete(Report, "2", 1)
            assert OffloadCleaner(db, offload, Report).sweep().removed == 1
            assert db.get(Report, "1", 1).text == text
        with DB(Config(engine=engine)) as other, pytest.raises(ConfigError, match="make another one for this database"):
            other.use(offload)


def test_mark_is_found_in_json():
    pointer = Pointer("bucket", "key", 5, "digest", "S", 1)
    assert json.dumps({"B": _json(pointer.wire()["B"])}).encode().find(IN_JSON) > 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Offloaded("B"), "the bucket of Offloaded is its name"),
        (lambda: Offloaded(5), "the bucket of Offloaded is its name, 3 to 63 of a-z 0-9 . and -, not int"),
        (lambda: Offloaded("bucket", above=-1), "above of Offloaded is a number of bytes, 0 or more"),
        (
            lambda: Offloaded("bucket", above=10, limit=5),
            "limit of Offloaded is at least what above is, 10 bytes, not 5",
        ),
        (lambda: Offloaded("bucket", prefix="a b"), "prefix of Offloaded is what the keys of its objects begin with"),
        (lambda: Offloaded("bucket", on_missing="skip"), 'on_missing of Offloaded is "raise" or "mark"'),
        (lambda: Offload(None), "Offload takes a client of S3"),
        (lambda: Offload(object()), "object lacks some"),
        (lambda: Offload(Shelf(), grace=60), "grace"),
    ],
    ids=range(9),
)
def test_what_is_no_option_is_refused(make, words):
    with pytest.raises((ModelError, ConfigError, ValidationError)) as told:
        make()
    assert words in str(told.value)


def test_a_cleaner_takes_what_it_can_clean(offload):
    class Other(Model, table="offload-reports"):
        id: Attr[str] = partition_key()
        number: Attr[int] = sort_key()

    with DB(Engine()) as db:
        db.use(offload)
        for arguments, words in (((Other,), "Other has no field that is Offloaded"), ((), "takes the models")):
            with pytest.raises(ConfigError, match=words):
                OffloadCleaner(db, offload, *arguments)
        with pytest.raises(ConfigError, match="takes the Offload"):
            OffloadCleaner(db, "s3", Report)
        cleaning = OffloadCleaner(db, offload, Report)
        for wrong in (
            {},
            {"dynamodb": {"Keys": {}}},
            {"eventName": "REMOVE", "dynamodb": {"Keys": {"id": {"S": "1"}}}},
        ):
            with pytest.raises(ValidationError):
                cleaning.clean(wrong)
        with pytest.raises(ValidationError, match="no model of this cleaner"):
            cleaning.clean(
                {
                    "eventName": "INSERT",
                    "eventSourceARN": "arn:aws:dynamodb:eu-west-1:1:table/x/stream/y",
                    "dynamodb": {"Keys": {"id": {"S": "1"}}},
                }
            )
