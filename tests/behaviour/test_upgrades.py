"""Items of older schema versions: read everywhere in the newest form, saved as a whole, and never half."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamorm import (
    Attr,
    Epoch,
    Model,
    NotFound,
    TransactionCancelled,
    VersionConflict,
    attr,
    composite,
    derived,
    gsi,
    partition_key,
    sort_key,
    upgrade,
    upgraded_item,
    version,
)
from dynamorm.codec.registry import Registry
from dynamorm.codec.replies.reading import Misfit
from dynamorm.codec.strict import dumps, read_object
from dynamorm.codec.types.document import from_wire, to_wire
from dynamorm.errors import ConditionFailed, NotUpgraded, UpgradeFailed, ValidationError
from dynamorm.streams import decode

from .kit import ask, stored, table_of

pytestmark = pytest.mark.engine


class Payment(Model, table="payments", schema_version=3):
    shop: Attr[str] = partition_key()
    id: Attr[str] = sort_key()
    first: Attr[str]
    last: Attr[str]
    cents: Attr[int]
    tags: Attr[list[str]] = attr(default_factory=list)
    note: Attr[str | None] = attr(default=None)
    version: Attr[int] = version()
    by_last = gsi("by-last", partition="last", sort="cents")
    by_note = gsi("by-note", partition="note", projection="KEYS_ONLY")

    @staticmethod
    @upgrade(1)
    def split_name(item: dict[str, Any]) -> None:
        item["first"], _, item["last"] = item.pop("name").partition(" ")

    @staticmethod
    @upgrade(2, attributes=("amount", "cents"))
    def to_cents(item: dict[str, Any]) -> dict[str, Any]:
        return {"cents": int(item["amount"] * 100)}


class Unmarked(Model, table="unmarked"):
    id: Attr[str] = partition_key()
    note: Attr[str | None] = attr(default=None)
    version: Attr[int] = version()


class Plain(Model, table="plain", schema_version=1):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")


class Summed(Model, table="summed", schema_version=2):
    id: Attr[str] = partition_key()
    cents: Attr[int]
    state: Attr[str] = attr(default="open")
    shop: Attr[str] = attr(default="s")
    total: Attr[int] = attr(derived("cents", by=lambda cents: cents * 2), init=False)
    place: Attr[str | None] = attr(composite("{shop}"), init=False)
    version: Attr[int] = version()
    by_total = gsi("by-total", partition="total")
    by_place = gsi("by-place", partition="place", only_if={"state": "open"})

    @staticmethod
    @upgrade(1)
    def changed(item: dict[str, Any]) -> None:
        item[item.pop("what")] = item.pop("to")


MODELS = [Payment, Plain, Unmarked, Summed]

FORMS = {
    1: {"name": {"S": "Ann Lee"}, "amount": {"N": "12.5"}},
    2: {"_sv": {"N": "2"}, "first": {"S": "Ann"}, "last": {"S": "Lee"}, "amount": {"N": "12.5"}},
    3: {"_sv": {"N": "3"}, "first": {"S": "Ann"}, "last": {"S": "Lee"}, "cents": {"N": "1250"}},
}


def put(db, key, form, **more):
    """Store an item as another version of the program did."""
    item = {
        "shop": {"S": "s"},
        "id": {"S": key},
        "version": {"N": "4"},
        "tags": {"L": [{"S": "a"}]},
        "legacy": {"M": {"x": {"N": "1"}}},
        **FORMS[form],
        **more,
    }
    ask(db, "PutItem", {"TableName": table_of(db, Payment), "Item": item})
    return item


def payment(key, **values):
    return Payment(**{"shop": "s", "id": key, "first": "Ann", "last": "Lee", "cents": 1250, "tags": ["a"], **values})


def is_newest(obj, key):
    assert (obj.shop, obj.id, obj.first, obj.last, obj.cents, obj.tags, obj.version) == (
        "s",
        key,
        "Ann",
        "Lee",
        1250,
        ["a"],
        4,
    )
    return True


@pytest.fixture(params=FORMS)
def form(request):
    return request.param


def test_a_new_item_is_of_the_newest_version(db, key):
    db.create(payment(key))
    item = stored(db, Payment, "s", key)
    assert item["_sv"] == {"N": "3"}
    assert "name" not in item
    db.put(Plain(id=key))
    assert stored(db, Plain, key)["_sv"] == {"N": "1"}


def test_every_read_gives_the_newest_form(db, key, form):
    put(db, key, form)
    assert is_newest(db.get(Payment, "s", key), key)
    assert is_newest(db.require(Payment, "s", key), key)
    assert is_newest(db.model(Payment).where(Payment.shop == "s", Payment.id == key).one(), key)
    assert is_newest(db.batch_get(Payment, [("s", key)])[0], key)
    assert is_newest(db.transact_get([(Payment, "s", key)])[0], key)
    scanned = [one for one in db.model(Payment).allow_scan() if one.id == key]
    assert len(scanned) == 1
    assert is_newest(scanned[0], key)


def test_what_was_loaded_tells_of_the_stored_item(db, key, form):
    put(db, key, form)
    with pytest.raises(ConditionFailed) as caught:
        db.create(payment(key))
    assert is_newest(caught.value.item, key)
    old = db.put(payment(key), returning="old")
    assert is_newest(old, key)


def test_a_record_of_a_stream_is_upgraded(db, key, form):
    item = put(db, key, form)
    record = {
        "eventID": "1",
        "eventName": "MODIFY",
        "dynamodb": {
            "Keys": {name: item[name] for name in ("shop", "id")},
            "NewImage": item,
            "OldImage": item,
            "SequenceNumber": "1",
        },
    }
    kind, old, new = decode(record, Payment)
    assert kind == "modify"
    assert is_newest(old, key)
    assert is_newest(new, key)


def test_a_save_stores_the_newest_form_and_loses_nothing(db, key, form):
    before = put(db, key, form)
    found = db.get(Payment, "s", key)
    found.note = "seen"
    db.save(found)
    item = stored(db, Payment, "s", key)
    assert item["_sv"] == {"N": "3"}
    assert (item["first"], item["last"], item["cents"]) == ({"S": "Ann"}, {"S": "Lee"}, {"N": "1250"})
    assert item["legacy"] == before["legacy"]
    assert item["version"] == {"N": "5"}
    assert item["note"] == {"S": "seen"}
    assert not {"name", "amount"} & item.keys()
    again = db.get(Payment, "s", key)
    assert again == found
    again.tags.append("b")
    db.save(again)
    assert stored(db, Payment, "s", key)["tags"] == {"L": [{"S": "a"}, {"S": "b"}]}


def test_a_save_without_a_change_stores_an_older_item_once(db, wire, key, form):
    put(db, key, form)
    found = db.get(Payment, "s", key)
    wire.clear()
    db.save(found)
    db.save(found)
    assert wire.names == (["UpdateItem"] if form < 3 else [])
    assert stored(db, Payment, "s", key)["_sv"] == {"N": "3"}


def test_a_put_of_a_loaded_item_keeps_what_the_model_does_not_know(db, key, form):
    before = put(db, key, form)
    db.put(db.get(Payment, "s", key))
    item = stored(db, Payment, "s", key)
    assert item["legacy"] == before["legacy"]
    assert not {"name", "amount"} & item.keys()
    assert item["_sv"] == {"N": "3"}


def test_a_save_is_refused_where_somebody_else_has_written(db, key, form):
    put(db, key, form)
    found = db.get(Payment, "s", key)
    item = put(db, key, form, version={"N": "5"})
    found.note = "late"
    with pytest.raises(VersionConflict):
        db.save(found)
    assert stored(db, Payment, "s", key) == item


def test_saves_in_transactions_and_batches(db, key, form):
    put(db, key, form)
    found = db.get(Payment, "s", key)
    found.note = "tx"
    with db.transaction() as tx:
        tx.save(found)
    assert stored(db, Payment, "s", key)["_sv"] == {"N": "3"}
    put(db, key, form)
    found = db.get(Payment, "s", key)
    assert not db.batch_write(puts=[found]).failed
    item = stored(db, Payment, "s", key)
    assert item["_sv"] == {"N": "3"}
    assert "legacy" in item
    assert not {"name", "amount"} & item.keys()


@pytest.mark.parametrize("former", [1, 2])
def test_an_update_of_an_older_item_is_refused_and_tells_what_to_do(db, key, former):
    before = put(db, key, former)
    changes = [
        lambda: db.update(Payment, "s", key, Payment.note.set("x")),
        lambda: db.update(Payment, "s", key, Payment.note.set("x"), returning=None),
        lambda: db.update(Payment, "s", key, Payment.tags.append("b")),
        lambda: db.update(Payment, "s", key, Payment.cents.add(1), condition=Payment.version == 4),
        lambda: db.upsert(payment(key), Payment.note.set("x")),
        lambda: db.increment(Payment, "s", key, Payment.cents),
    ]
    for change in changes:
        with pytest.raises(NotUpgraded, match=r"db\.save") as caught:
            change()
        assert caught.value.code == "ErrNotUpgraded"
        assert is_newest(caught.value.item, key)
    assert stored(db, Payment, "s", key) == before
    found = db.get(Payment, "s", key)
    with pytest.raises(NotUpgraded):
        db.update(found, Payment.note.set("x"))
    db.save(found)
    db.update(found, Payment.note.set("x"))
    db.update(Payment, "s", key, Payment.cents.add(5))
    assert db.get(Payment, "s", key).cents == 1255


def test_an_update_of_an_older_item_in_a_transaction_is_refused(db, key):
    before = put(db, key, 1)
    with pytest.raises(TransactionCancelled) as caught, db.transaction() as tx:
        tx.update(Payment, "s", key, Payment.note.set("x"))
    assert isinstance(caught.value.reasons[0].error, NotUpgraded)
    assert stored(db, Payment, "s", key) == before


def test_updates_of_newest_items_and_of_none(db, wire, key):
    db.create(payment(key))
    db.create(Unmarked(id=key))
    wire.clear()
    db.update(Unmarked, key, Unmarked.note.set("x"))
    calls = wire.names
    wire.clear()
    db.update(Payment, "s", key, Payment.note.set("x"))
    assert wire.names == calls
    with pytest.raises(NotFound):
        db.update(Payment, "s", key + "-none", Payment.note.set("x"))
    made = db.upsert(payment(key + "-new"), Payment.note.set("x"))
    assert made.note == "x"
    assert stored(db, Payment, "s", key + "-new")["_sv"] == {"N": "3"}


def test_the_first_version_takes_items_without_a_tag(db, key):
    ask(db, "PutItem", {"TableName": table_of(db, Plain), "Item": {"id": {"S": key}}})
    assert db.get(Plain, key) == Plain(id=key)
    db.update(Plain, key, Plain.text.set("x"))
    found = db.get(Plain, key)
    found.text = "y"
    db.save(found)
    assert db.get(Plain, key).text == "y"


@pytest.mark.parametrize("tag", [{"N": "4"}, {"N": "0"}, {"S": "3"}, {"N": "-1"}, {"N": "2.5"}])
def test_an_item_of_a_newer_program_is_refused(db, key, tag):
    item = put(db, key, 3, _sv=tag)
    with pytest.raises(UpgradeFailed, match="schema version") as caught:
        db.get(Payment, "s", key)
    assert caught.value.key == ("s", key)
    with pytest.raises(ConditionFailed):
        db.update(Payment, "s", key, Payment.note.set("x"))
    assert stored(db, Payment, "s", key) == item


@pytest.mark.parametrize(
    "wrong", [{"name": {"N": "5"}}, {"amount": {"S": "geheim"}}, {"amount": {"N": "1"}, "tags": {"S": "geheim"}}]
)
def test_a_failed_upgrade_names_the_key_alone_and_loses_nothing(db, key, wrong):
    item = put(db, key, 1, **wrong)
    for read in (
        lambda: db.get(Payment, "s", key),
        lambda: db.model(Payment).where(Payment.shop == "s", Payment.id == key).all(),
        lambda: db.batch_get(Payment, [("s", key)]),
        lambda: db.transact_get([(Payment, "s", key)]),
    ):
        with pytest.raises(UpgradeFailed) as caught:
            read()
        assert caught.value.key == ("s", key)
        assert caught.value.code == "ErrUpgradeFailed"
        assert not any(text in repr(caught.value) + str(caught.value.__context__) for text in (key, "geheim", "Ann"))
    assert stored(db, Payment, "s", key) == item


def test_failed_upgrades_are_collected_beside_the_others(db, key):
    put(db, f"{key}-a", 1)
    put(db, f"{key}-b", 1, name={"N": "5"})
    put(db, f"{key}-c", 3)
    query = db.model(Payment).where(Payment.shop == "s", Payment.id.begins_with(key))
    page = query.on_misfit("collect").page()
    assert [one.id for one in page.items] == [f"{key}-a", f"{key}-c"]
    assert [(misfit.key, type(misfit)) for misfit in page.misfits] == [(("s", f"{key}-b"), UpgradeFailed)]
    assert [one.id for one in query.on_misfit("skip").all()] == [f"{key}-a", f"{key}-c"]


def test_parts_of_older_items_are_refused_and_of_newest_ones_read(db, key):
    put(db, key, 3)
    assert db.get(Payment, "s", key, select=["cents"]).cents == 1250
    mine = db.model(Payment).where(Payment.shop == "s", Payment.id == key)
    assert mine.select("cents").one().cents == 1250
    assert mine.sum("cents") == 1250
    put(db, key, 2)
    for read in (
        lambda: db.get(Payment, "s", key, select=["last"]),
        lambda: mine.select("last").all(),
        lambda: mine.sum("cents"),
    ):
        with pytest.raises(NotUpgraded, match="select"):
            read()


def test_an_index_that_holds_parts_is_read_with_hydrate(db, key):
    put(db, key, 1, note={"S": key})
    with pytest.raises(ValidationError, match="hydrate"):
        db.model(Payment).where(Payment.note == key).all()
    assert is_newest(db.model(Payment).where(Payment.note == key).hydrate().one(), key)


def test_pages_of_all_versions_in_any_order(db, key):
    forms = [3, 1, 2, 2, 3, 1, 1, 3]
    for at, form in enumerate(forms):
        put(db, f"{key}-{at}", form)
    found = db.model(Payment).where(Payment.shop == "s", Payment.id.begins_with(key)).all()
    assert len(found) == len(forms)
    assert all(is_newest(one, f"{key}-{at}") for at, one in enumerate(found))
    for one in found:
        db.save(one)
    assert {stored(db, Payment, "s", one.id)["_sv"]["N"] for one in found} == {"3"}


def test_numbers_are_exact(db, key):
    put(db, key, 2, amount={"N": "123456789012345678901234567890.12"})
    assert db.get(Payment, "s", key).cents == int(Decimal("123456789012345678901234567890.12") * 100)


def test_what_backfill_stores_is_what_a_reader_makes(db, key, form):
    item = put(db, key, form)
    stored_values = {name: from_wire(wire) for name, wire in item.items()}
    found = upgraded_item(Payment, stored_values)
    if form == 3:
        assert found is None
        return
    assert found["version"] == 5
    assert found["_sv"] == 3
    assert found["legacy"] == {"x": 1}
    ask(
        db, "PutItem", {"TableName": table_of(db, Payment), "Item": {name: to_wire(one) for name, one in found.items()}}
    )
    read = db.get(Payment, "s", key)
    assert (read.first, read.last, read.cents, read.version) == ("Ann", "Lee", 1250, 5)
    with pytest.raises(UpgradeFailed):
        upgraded_item(Payment, {**stored_values, "_sv": 9})
    with pytest.raises(UpgradeFailed, match="no schema version"):
        upgraded_item(Unmarked, {})


@pytest.mark.parametrize(
    ("what", "to", "field"), [("cents", 500, "total"), ("shop", "t", "place"), ("state", "done", "place")]
)
def test_what_backfill_cannot_compute_is_refused_by_name(db, key, what, to, field):
    item = {"id": key, "cents": 5, "total": 10, "state": "open", "shop": "s", "place": "s", "version": 1}
    with pytest.raises(
        UpgradeFailed, match=rf"Summed\.{field} is made of .* changes these: load .* db\.save"
    ) as caught:
        upgraded_item(Summed, {**item, "what": what, "to": to})
    assert caught.value.field == field
    assert upgraded_item(Summed, {**item, "what": "other", "to": 1}) == {**item, "other": 1, "version": 2, "_sv": 2}
    table = table_of(db, Summed)
    wires = {name: to_wire(one) for name, one in {**item, "what": what, "to": to}.items()}
    ask(db, "PutItem", {"TableName": table, "Item": wires})
    db.save(db.require(Summed, key))  # what the error says
    saved = {name: from_wire(wire) for name, wire in stored(db, Summed, key).items()}
    assert saved["total"] == saved["cents"] * 2
    assert saved.get("place") == (saved["shop"] if saved["state"] == "open" else None)


def test_backfill_refuses_an_item_without_what_a_save_would_derive():
    with pytest.raises(UpgradeFailed, match=r"Summed\.total is made of cents.* does not make it: load"):
        upgraded_item(Summed, {"id": "c", "cents": 5, "what": "other", "to": 1})


@pytest.mark.parametrize("limit", [None, 1])
def test_delete_all_deletes_items_of_every_version(db, key, limit):
    for form in FORMS:
        put(db, f"{form}", form, shop={"S": key})
    query = db.model(Payment).where(Payment.shop == key)
    deleted = [(query if limit is None else query.limit(limit)).delete_all(confirm=True) for _ in range(4)]
    assert deleted == ([len(FORMS), 0, 0, 0] if limit is None else [1, 1, 1, 0])
    assert [stored(db, Payment, key, f"{form}") for form in FORMS] == [None] * len(FORMS)


def test_what_a_scan_deletes_may_be_of_any_version(db, key, form):
    item = put(db, key, form, note={"S": key}, last={"S": "Lee"}, cents={"N": "5"})
    assert db.model(Payment).allow_scan().filter(Payment.note == key).delete_all(confirm=True) == 1
    assert stored(db, Payment, "s", key) is None
    ask(db, "PutItem", {"TableName": table_of(db, Payment), "Item": item})
    found = db.model(Payment).where(Payment.last == "Lee").filter(Payment.note == key)
    assert found.delete_all(confirm=True) == 1
    assert stored(db, Payment, "s", key) is None


class Named(Model, table="named", schema_version=3):
    """Both functions name their attributes, so that pages of several versions have a decoder of their own."""

    id: Attr[str] = partition_key()
    number: Attr[int] = attr(name="n")
    label: Attr[str | None] = attr(default=None)
    price: Attr[Decimal] = attr(default=Decimal(1))
    other: Attr[list[int]] = attr(default_factory=list)
    version: Attr[int] = version()

    @staticmethod
    @upgrade(1, attributes=("num", "n"))
    def renamed(item: dict[str, Any]) -> dict[str, Any]:
        return {"n": int(item.pop("num"))}

    @staticmethod
    @upgrade(2, attributes=("n", "label", "price"))
    def counted(item: dict[str, Any]) -> None:
        if "label" in item and item["label"] == "none":
            del item["label"]
        item["n"] += 1
        item["price"] = item.get("price", 2) * Decimal("0.5")


WIRES = st.one_of(
    st.integers(-(10**6), 10**6).map(lambda number: {"N": str(number)}),
    st.sampled_from(["1.5", "0.10", "1E+3", "-7.25", "12345678901234567890.5"]).map(lambda text: {"N": text}),
    st.sampled_from(["a", "none", "12", "", "ä\n", '"_sv":{"N":"1"}']).map(lambda text: {"S": text}),
    st.just({"NULL": True}),
    st.just({"M": {"_sv": {"N": "1"}}}),
)
ITEMS = st.fixed_dictionaries(
    {"version": st.just({"N": "1"})},
    optional={
        "num": WIRES, "n": WIRES, "label": WIRES, "price": WIRES, "strange": WIRES,
        "_sv": st.sampled_from([{"N": "2"}, {"N": "3"}, {"N": "3"}, {"N": "1"}, {"N": "4"}]),
        "other": st.just({"L": [{"N": "1"}]}),
    },
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(ITEMS, min_size=1, max_size=5))
def test_a_page_of_several_versions_is_read_as_its_items_are_one_by_one(items):
    codec = Registry().codec(Named)
    items = [{"id": {"S": f"k{at}"}, **item} for at, item in enumerate(items)]
    body = dumps({"Count": len(items), "Items": items, "ScannedCount": len(items)})

    def alone(item):
        try:
            return codec.decode(dumps(item))
        except ValidationError as error:
            return type(error), error.key

    expected = [alone(item) for item in items]
    page = codec.read_page(body, lenient=True)
    found = [(type(one.error), one.error.key) if isinstance(one, Misfit) else one for one in page.items]
    assert found == expected
    for one, item in zip(found, items, strict=True):
        if isinstance(one, Named):
            assert read_object(codec.loaded(one)) == item


def test_pages_of_named_attributes_have_a_decoder_of_their_own():
    codec = Registry().codec(Named)
    items = [
        {"id": {"S": "a"}, "num": {"N": "1"}, "version": {"N": "0"}},
        {"id": {"S": "b"}, "n": {"N": "1"}, "label": {"S": "none"}, "_sv": {"N": "2"}, "version": {"N": "0"}},
        {"id": {"S": "c"}, "n": {"N": "1"}, "_sv": {"N": "3"}, "version": {"N": "0"}, "price": {"N": "2.5"}},
    ]
    body = dumps({"Count": 3, "Items": items})
    found = codec.reading._mixed.read(body, None, codec.reading._make_many)
    assert found[0] == [
        Named(id="a", number=2, price=Decimal(1)), Named(id="b", number=2, price=Decimal(1)), Named(id="c", number=1, price=Decimal("2.5"))
    ]  # fmt: skip
    assert codec.reading._mixed.is_mixed
    doubled = body.replace(b'"n":{"N":"1"}', b'"n":{"N":"1"},"n":{"N":"1"}')
    assert codec.reading._mixed.read(doubled, None, codec.reading._make_many) is None


def renamed(step):
    class Ticket(Model, table="upgraded-tickets", schema_version=2):
        id: Attr[str] = partition_key()
        kept: Attr[str] = attr(immutable=True, default="k")
        at: Attr[datetime | None] = attr(Epoch(), default=None)
        version: Attr[int] = version()

        newest = staticmethod(upgrade(1)(step))

    return Ticket


@pytest.mark.parametrize("name", ["id", "kept"])
def test_an_item_of_plain_values_keeps_what_a_read_lets_it_keep(name):
    def step(item):
        item[name] = "another"

    with pytest.raises(UpgradeFailed, match=f"changed '{name}', which must stay"):
        upgraded_item(renamed(step), {"id": "1", "kept": "k", "version": 0})


def test_what_is_changed_in_place_is_found_and_leaves_the_given_item_alone():
    class Listed(Model, table="upgraded-lists", schema_version=2):
        id: Attr[str] = partition_key()
        kept: Attr[list[str]] = attr(immutable=True, default_factory=list)
        free: Attr[list[str]] = attr(default_factory=list)
        version: Attr[int] = version()

        @staticmethod
        @upgrade(1)
        def newest(item):
            item["free" if item["kept"] else "kept"].append("more")

    old = {"id": "1", "kept": ["k"], "free": [], "version": 0}
    assert upgraded_item(Listed, old)["free"] == ["more"]
    assert old["free"] == []
    with pytest.raises(UpgradeFailed, match="changed 'kept', which must stay"):
        upgraded_item(Listed, old | {"kept": []})


def test_a_form_of_datetimes_is_changed_by_an_upgrade(db, key):
    class Plain(Model, table="upgraded-tickets"):
        id: Attr[str] = partition_key()
        at: Attr[datetime]
        version: Attr[int] = version()

    def step(item):
        item["at"] = int(datetime.fromisoformat(item["at"]).timestamp())

    ticket = renamed(step)
    db.tables.ensure(Plain)
    plain = db.create(Plain(id=key, at=datetime(2024, 1, 1, tzinfo=UTC)))
    assert db.require(ticket, key).at == plain.at
    old = {"id": key, "at": "2024-01-01T00:00:00+00:00", "version": 0}
    assert upgraded_item(ticket, old)["at"] == 1704067200
    db.save(db.require(ticket, key))
    assert stored(db, ticket, key)["at"] == {"N": "1704067200"}
