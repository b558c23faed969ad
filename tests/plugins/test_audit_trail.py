"""What `db.audit` tells and does: history, the state at a time, going back, and lines of JSON."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum

import pytest

from dynamorm import DB, Attr, Audit, Model, actor, attr, partition_key, version
from dynamorm.errors import AuditChainBroken, ConfigError, ValidationError
from dynamorm.plugins.audit import AuditLog, Digest

from .audit_kit import acting, rows, tracking

pytestmark = pytest.mark.engine


class Status(Enum):
    NEW = "new"
    PAID = "paid"


class Order(Model, table="trail-orders"):
    id: Attr[str] = partition_key()
    status: Attr[Status] = attr(default=Status.NEW)
    total: Attr[Decimal] = attr(default=Decimal(0))
    due: Attr[datetime | None] = attr(default=None)
    tags: Attr[set[str]] = attr(default_factory=set)
    lines: Attr[list[dict[str, int]]] = attr(default_factory=list)
    code: Attr[str | None] = attr(default=None, protected=True)
    by: Attr[str | None] = attr(Audit("updated_by"), default=None)
    version: Attr[int] = version()


class Part(Model, table="trail-parts"):
    """Of which not all is tracked."""

    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    secret: Attr[str | None] = attr(default=None, secret=True)
    note: Attr[str] = attr(default="")


class Untracked(Model, table="trail-untracked"):
    id: Attr[str] = partition_key()


MODELS = (Order, Part, Untracked)
FIELDS = ("status", "total", "due", "tags", "lines", "code")
ANN, BOB = actor("user:ann"), actor("user:bob")


def enable(db):
    db.enable_audit_log()
    db.enable_change_tracking(Order, tracking(FIELDS, store="trail-log"))
    db.enable_change_tracking(Part, tracking(("amount", "secret"), store="trail-log"))


def made_with(db):
    enable(db)
    db.tables.create(next(one for one in db.plugins if isinstance(one, AuditLog)).of(Order).row, skip_unavailable=True)


@pytest.fixture
def db(plugged, request):
    face = plugged()
    enable(face)
    acting(request, ANN)
    return face


DUE = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def order(db, key):
    """An order with five records."""
    made = db.create(Order(id=key, total=Decimal("12.50"), due=DUE, tags={"a"}, lines=[{"n": 1}]))
    made.status = Status.PAID
    db.save(made)
    with BOB:
        db.update(Order, key, Order.total.add(Decimal("0.5")), Order.tags.add({"b"}), Order.lines.append({"n": 2}))
        db.update(Order, key, Order.due.remove())
    db.delete(Order, key)
    return key


def test_values_are_those_of_the_model(db, order):
    history = db.audit.history(Order, order)
    told = [(record.by, {change.field: (change.old, change.new) for change in record.changes}) for record in history]
    assert told[0][1] | {"code": None} == {
        "status": (None, Status.NEW), "total": (None, Decimal("12.5")), "due": (None, DUE), "tags": (None, {"a"}),
        "lines": (None, [{"n": 1}]), "code": None,
    }  # fmt: skip
    assert told[1] == ("user:ann", {"status": (Status.NEW, Status.PAID)})
    assert told[2] == (
        "user:bob",
        {
            "total": (Decimal("12.5"), Decimal(13)),
            "tags": ({"a"}, {"a", "b"}),
            "lines": ([{"n": 1}], [{"n": 1}, {"n": 2}]),
        },
    )
    assert told[3] == ("user:bob", {"due": (DUE, None)})
    assert told[4][1]["total"] == (Decimal(13), None)


def test_what_it_was_at_a_time(db, order):
    history = db.audit.history(Order, order)
    assert db.audit.as_of(Order, order, history[0].at - timedelta(microseconds=1)) is None
    for record, total in zip(history[:4], ("12.5", "12.5", "13", "13"), strict=True):
        snapshot = db.audit.as_of(Order, order, record.at)
        assert (snapshot.version, snapshot.values["total"], snapshot.complete) == (record.version, Decimal(total), True)
    assert "due" not in db.audit.as_of(Order, order, history[3].at).values
    assert db.audit.as_of(Order, order, when=history[1].at).values["status"] is Status.PAID
    assert db.audit.as_of(Order, order, history[4].at) is None
    assert db.audit.as_of(Order, "none", datetime.now(UTC)) is None
    with pytest.raises(ValidationError):
        db.audit.as_of(Order, order)
    with pytest.raises(ValidationError):
        db.audit.as_of(Order, order, "2026-01-01")


def test_order_is_that_of_the_records_and_not_of_the_clock(db, key):
    db.create(Order(id=key))
    for _ in range(5):
        db.update(Order, key, Order.total.add(1))
    times = [record.at for record in db.audit.history(Order, key)]
    assert times == sorted(set(times))
    last = rows(db, Order)
    assert last
    # A writer whose clock is an hour behind still comes after the one before it.
    skew = db.inner._session.channel.skew
    before, skew.skew = skew.skew, skew.skew - 3600
    try:
        db.update(Order, key, Order.total.add(1))
    finally:
        skew.skew = before
    times = [record.at for record in db.audit.history(Order, key)]
    assert times[-1] - times[-2] == timedelta(microseconds=1)


def test_going_back_is_a_change_like_any_other(db, key):
    made = db.create(Order(id=key, total=Decimal(1), code="a", tags={"x"}))
    made.total, made.tags, made.due = Decimal(2), {"y"}, DUE
    db.save(made)
    with BOB:
        restored = db.audit.restore(Order, key, version=1)
    assert (restored.fields, restored.left_out) == (FIELDS, ())
    found = db.require(Order, key)
    assert found == restored.item
    assert (found.total, found.tags, found.due, found.code, found.by) == (Decimal(1), {"x"}, None, "a", "user:bob")
    last = db.audit.history(Order, key)[-1]
    assert (last.op, last.restored_from, last.by) == ("update", 1, "user:bob")
    assert db.audit.verify(Order, key).ok


def test_an_item_that_is_gone_is_made_again_where_its_records_tell_all(db, order, key):
    restored = db.audit.restore(Order, order, version=2)
    assert restored.item.status is Status.PAID
    assert db.require(Order, order).lines == [{"n": 1}]
    assert [record.op for record in db.audit.history(Order, order)][-2:] == ["delete", "create"]
    db.delete(db.create(Part(id=key, amount=5)))
    with pytest.raises(ValidationError, match="do not tell all"):
        db.audit.restore(Part, key, version=1)


def test_what_no_record_shows_is_left_as_it_is(db, key):
    part = db.create(Part(id=key, amount=1, secret="first", note="n"))
    part.amount, part.secret = 2, "second"
    db.save(part)
    snapshot = db.audit.as_of(Part, key, db.audit.history(Part, key)[0].at)
    assert not snapshot.complete
    assert isinstance(snapshot.values["secret"], Digest)
    restored = db.audit.restore(Part, key, version=1)
    assert (restored.fields, restored.left_out) == (("amount",), ("secret",))
    found = db.require(Part, key)
    assert (found.amount, found.secret, found.note) == (1, "second", "n")


@pytest.mark.parametrize("number", [0, 6, -1, "1", None, True])
def test_there_is_nothing_to_go_back_to(db, order, number):
    with pytest.raises(ValidationError):
        db.audit.restore(Order, order, version=number)
    with pytest.raises(ValidationError, match="gone"):
        db.audit.restore(Order, order, version=5)


def test_a_chain_that_does_not_hold_is_not_read(db, order):
    (row,) = [row for row in rows(db, Order) if order in row.pk and row.sk.endswith("3")]
    with DB(db.inner.config) as plain:
        row.body = row.body.replace(b"user:bob", b"user:ann")
        plain.save(row)
    verdict = db.audit.verify(Order, order)
    assert (verdict.ok, verdict.first_bad, verdict.reason) == (False, 3, "forged")
    now = datetime.now(UTC)
    for call in (
        lambda: db.audit.history(Order, order),
        lambda: db.audit.as_of(Order, order, now),
        lambda: db.audit.restore(Order, order, version=1),
    ):
        with pytest.raises(AuditChainBroken) as broken:
            call()
        assert (broken.value.first_bad, broken.value.reason) == (3, "forged")
        assert order not in str(broken.value)
    assert len(db.audit.history(Order, order, verify=False)) == 5


def test_what_is_not_tracked_has_no_history(db, key):
    for call in (
        lambda: db.audit.history(Untracked, key),
        lambda: db.audit.verify(Untracked, key),
        lambda: db.audit.checkpoint(None, datetime.now(UTC).date()),
    ):
        with pytest.raises(ConfigError):
            call()
    with pytest.raises(ValidationError):
        db.audit.history(Order)


def test_records_are_exported_as_lines(db, order, tmp_path):
    path = tmp_path / "records.jsonl"
    assert db.audit.export(path, Order, order) == 5
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["body"]["n"] for line in lines] == [1, 2, 3, 4, 5]
    assert {line["body"]["by"] for line in lines} == {"user:ann", "user:bob"}
    assert all(sorted(line) == ["b", "body", "h", "pk", "sk"] for line in lines)
    everything = tmp_path / "all.jsonl"
    assert db.audit.export(str(everything)) == len(rows(db, Order)) == len(everything.read_text().splitlines())
    with pytest.raises(FileExistsError, match="there is one already"):
        db.audit.export(everything, Part)
    assert len(everything.read_text().splitlines()) == len(rows(db, Order))  # it is as it was
    assert db.audit.export(tmp_path / "parts.jsonl", Part) == len(rows(db, Part))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["all.jsonl", "parts.jsonl", "records.jsonl"]


def test_what_a_killed_export_has_left_is_in_nobodys_way(db, order, tmp_path):
    (tmp_path / "records.jsonl.partial").write_text("left")
    assert db.audit.export(tmp_path / "records.jsonl", Order, order) == 5
    assert (tmp_path / "records.jsonl.partial").read_text() == "left"


def test_of_two_exports_to_one_name_the_first_stays(db, order, tmp_path, monkeypatch):
    from dynamorm.plugins.audit import exporting

    path, line_of = tmp_path / "records.jsonl", exporting.line_of

    def meanwhile(raw):
        path.write_text("the other one")
        return line_of(raw)

    monkeypatch.setattr(exporting, "line_of", meanwhile)
    with pytest.raises(FileExistsError, match="there is one already"):
        db.audit.export(path, Order, order)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("records.jsonl", "the other one")]


def test_an_export_takes_the_path_first(db, tmp_path):
    with pytest.raises(ValidationError, match=r"path of a new file first.*got Order"):
        db.audit.export(Order, tmp_path / "records.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_fails_leaves_no_file(db, order, tmp_path, monkeypatch):
    from dynamorm.plugins.audit import exporting

    monkeypatch.setattr(exporting, "line_of", lambda raw: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        db.audit.export(tmp_path / "records.jsonl", Order, order)
    assert list(tmp_path.iterdir()) == []
