"""Rules that plugins add to what is read of a model: a soft delete, tenants, an encryption; in every verb that reads."""

import pytest

from dynamorm import Attr, Model, Unique, attr, composite, gsi, partition_key, sort_key, streams, version
from dynamorm.errors import (
    AlreadyExists,
    ConditionFailed,
    ConfigError,
    MissingItem,
    NotFound,
    TamperedCursor,
    TransactionCancelled,
    ValidationError,
)
from dynamorm.plugin import ReadRule, WriteRule

from .kit import stored, table_of

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore:no cursor_key")]


class Note(Model, table="notes"):
    of: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    text: Attr[str] = attr(default="")
    size: Attr[int] = attr(default=1)
    gone: Attr[bool | None] = attr(default=None)
    owner: Attr[str | None] = attr(default=None)
    version: Attr[int] = version()
    by_text = gsi("by-text", partition="text", sort="number", projection="KEYS_ONLY")
    by_owner = gsi("by-owner", partition="owner", sort="number", projection=["gone", "size"])


class Spread(Model, table="spreads"):
    day_key: Attr[str] = partition_key(composite("DAY#{day}", shards=3, by="id"))
    at: Attr[int] = sort_key()
    day: Attr[str]
    id: Attr[str]
    gone: Attr[bool | None] = attr(default=None)


class Member(Model, table="members"):
    id: Attr[str] = partition_key()
    email: Attr[str] = attr(Unique())
    gone: Attr[bool | None] = attr(default=None)


class Animal(Model, table="animals", discriminator="kind"):
    of: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    gone: Attr[bool | None] = attr(default=None)


class Cat(Animal, tag="cat"):
    lives: Attr[int] = attr(default=9)


class Dog(Animal, tag="dog"):
    tricks: Attr[int] = attr(default=0)


MODELS = [Note, Spread, Member, Animal]


class NotGone(ReadRule):
    """Leaves out what is marked."""

    attributes = ("gone",)

    def check(self, item, scope):
        return (item.get("gone") or {}).get("BOOL") is not True


class NotGoneFiltered(NotGone):
    """The same, with the filter that says so to the service."""

    filters_all = True

    def contribute(self, draft):
        gone = draft.model.gone
        draft.filter(gone.not_exists() | (gone != True))  # noqa: E712 - a condition


RULES = {"filtered": NotGoneFiltered, "checked": NotGone}


class Mark(WriteRule):
    verbs = ("delete",)

    def transform(self, draft):
        return draft.instead("update", *draft.target, draft.plan.model.gone.set(True), condition=draft.condition)


class SoftDelete:
    """What is deleted is marked, stays, and is read no more."""

    name = "soft delete"

    def __init__(self, kind="checked"):
        self.rule = RULES[kind]()

    def write_rule(self, schema):
        return Mark() if "gone" in schema.fields else None

    def read_rule(self, schema):
        return self.rule if "gone" in schema.fields else None


@pytest.fixture(params=RULES)
def soft(request, plugged):
    """A database whose deletes only mark, and all of it that is stored: every third note is marked."""
    return plugged(SoftDelete(request.param))


def notes(db, key, count=12, **values):
    """So many notes, of which every third is deleted. The numbers of those that are left."""
    for number in range(count):
        note = db.create(Note(of=key, number=number, text=f"{key}-text", owner=f"{key}-owner", **values))
        if number % 3 == 0:
            assert db.delete(note) is None
            assert stored(db, Note, key, number)["gone"] == {"BOOL": True}
    return [number for number in range(count) if number % 3]


def numbers(items):
    return [item.number for item in items]


def test_by_key_it_is_not_there(soft, key):
    db = soft
    notes(db, key, 4)
    assert db.get(Note, key, 0) is None
    assert db.get(Note, key, 1).number == 1
    assert db.get(Note, key, 0, select=["text"]) is None
    assert db.get(Note, key, 1, select=["text"]).text == f"{key}-text"
    assert not db.exists(Note, key, 0)
    assert db.exists(Note, key, 1)
    with pytest.raises(NotFound):
        db.require(Note, key, 0)
    found = db.batch_get(Note, [(key, number) for number in (0, 1, 2, 3, 1)])
    assert [one and one.number for one in found] == [None, 1, 2, None, 1]
    found = db.transact_get([(Note, key, 0), (Note, key, 1)])
    assert [one and one.number for one in found] == [None, 1]


def test_queries_leave_it_out_and_keep_their_limits(soft, key):
    db = soft
    left = notes(db, key)
    query = db.model(Note).where(Note.of == key)
    assert numbers(query.all()) == left
    assert numbers(query) == left
    assert numbers(query.order_by("number", "desc").all()) == left[::-1]
    for limit in range(1, len(left) + 2):
        assert numbers(query.limit(limit).all()) == left[:limit]
        assert query.limit(limit).count() == min(limit, len(left))
        assert numbers(query.page_size(limit).all()) == left
    assert query.count() == len(left)
    assert query.first().number == 1
    assert query.exists()
    assert query.where(Note.number == 2).one().number == 2
    assert query.where(Note.number == 3).first() is None
    assert not query.where(Note.number == 3).exists()
    assert query.where(Note.number == 3).count() == 0
    assert query.filter(Note.size == 1).limit(3).count() == 3
    assert query.sum(Note.size) == len(left)
    assert query.max(Note.size) == 1
    assert [(one.text, one.number) for one in query.select("text").all()] == [(f"{key}-text", n) for n in left]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_pages_go_on_behind_what_was_handed_out(soft, key, size):
    db = soft
    left = notes(db, key)
    query = db.model(Note).where(Note.of == key).page_size(size)
    read, cursor, seen = [], None, 0
    while True:
        page = (query if cursor is None else query.cursor(cursor)).page()
        read += numbers(page.items)
        assert len(page.items) <= size
        cursor, seen = page.cursor, seen + 1
        if cursor is None:
            break
    assert read == left
    filtered = query.filter(Note.size >= 1).limit(4)
    assert numbers(filtered.all()) == left[:4]


def test_scans_leave_it_out(soft, key):
    db = soft
    left = notes(db, key)
    scan = db.model(Note).allow_scan().filter(Note.owner == f"{key}-owner")
    assert sorted(numbers(scan.all())) == left
    assert scan.count() == len(left)
    parallel = scan.segments(3)
    assert sorted(numbers(parallel.all())) == left
    assert parallel.count() == len(left)


def test_indexes_that_hold_what_the_rule_looks_at(soft, key):
    db = soft
    left = notes(db, key)
    by_owner = db.model(Note).index("by-owner").where(Note.owner == f"{key}-owner")
    assert [(one.number, one.size) for one in by_owner.all()] == [(n, 1) for n in left]
    assert by_owner.count() == len(left)
    assert numbers(by_owner.hydrate().all()) == left
    by_text = db.model(Note).index("by-text").where(Note.text == f"{key}-text")
    assert numbers(by_text.hydrate().all()) == left
    assert numbers(by_text.hydrate().limit(2).all()) == left[:2]
    assert by_text.hydrate().count() == by_owner.hydrate().count() == len(left)
    with pytest.raises(ValidationError, match=r"does not hold what .*hydrate"):
        by_text.all()
    with pytest.raises(ValidationError, match="does not hold"):
        by_text.select("number").all()


def test_a_partition_that_is_spread_over_shards(soft, key):
    db = soft
    for at in range(20):
        one = db.create(Spread(day=key, id=f"i{at}", at=at))
        if at % 4 == 0:
            db.delete(one)
    left = [at for at in range(20) if at % 4]
    query = db.model(Spread).where(Spread.day == key)
    assert [one.at for one in query.all()] == left
    assert [one.at for one in query.limit(5).all()] == left[:5]
    assert query.count() == len(left)
    page = query.page_size(4).page()
    assert [one.at for one in page.items] == left[:4]
    assert [one.at for one in query.page_size(4).cursor(page.cursor).page().items] == left[4:8]


def test_the_classes_of_a_family(soft, key):
    db = soft
    for number in range(6):
        one = db.create((Cat if number % 2 else Dog)(of=key, number=number))
        if number in {0, 3}:
            db.delete(one)
    assert numbers(db.model(Animal).where(Animal.of == key).all()) == [1, 2, 4, 5]
    assert numbers(db.model(Cat).where(Cat.of == key).all()) == [1, 5]
    assert db.get(Animal, key, 3) is None
    assert db.get(Animal, key, 0, select=["gone"]) is None
    assert type(db.get(Animal, key, 1)) is Cat
    assert db.model(Dog).where(Dog.of == key).count() == 2
    assert [one and one.number for one in db.batch_get(Animal, [(key, 0), (key, 1)])] == [None, 1]
    buckets = db.model(Animal).where(Animal.of == key).collect(Cat, Dog)
    assert (numbers(buckets[Cat]), numbers(buckets[Dog])) == ([1, 5], [2, 4])


def test_deleting_all_deletes_only_what_is_read(plugged, key):
    class Hidden:
        name = "hidden"

        def read_rule(self, schema):
            return NotGone() if schema.model is Note else None

    soft, db = plugged(SoftDelete("filtered")), plugged(Hidden())
    left = notes(soft, key)
    assert db.model(Note).where(Note.of == key).delete_all(confirm=True) == len(left)
    assert [stored(db, Note, key, number) is None for number in range(12)] == [n in left for n in range(12)]


def test_a_refusal_does_not_show_it(soft, key):
    db = soft
    notes(db, key, 2)
    with pytest.raises(AlreadyExists) as hidden:
        db.create(Note(of=key, number=0))
    assert hidden.value.item is None
    with pytest.raises(AlreadyExists) as shown:
        db.create(Note(of=key, number=1))
    assert shown.value.item.number == 1
    with pytest.raises(ConditionFailed) as hidden:
        db.put(Note(of=key, number=0), condition=Note.size == 7)
    assert hidden.value.item is None

    def together():
        with db.transaction() as tx:
            tx.create(Note(of=key, number=0))
            tx.create(Note(of=key, number=1))

    with pytest.raises(TransactionCancelled) as cancelled:
        together()
    assert [reason.item and reason.item.number for reason in cancelled.value.reasons] == [None, 1]


def test_what_stood_there_before_is_not_shown(soft, key):
    db = soft
    notes(db, key, 2)
    assert db.put(Note(of=key, number=0), returning="old") is None
    assert db.put(Note(of=key, number=1), returning="old").number == 1


def test_what_is_found_by_a_unique_value(soft, key):
    db = soft
    member = db.create(Member(id=key, email=f"{key}@x"))
    assert db.find_by_unique(Member, email=f"{key}@x").id == key
    db.update(member, Member.gone.set(True))
    assert db.find_by_unique(Member, email=f"{key}@x") is None


def test_statements_of_a_model(soft, key):
    db = soft
    left = notes(db, key, 6)
    found = db.partiql('SELECT * FROM {table} WHERE "of" = ?', key, model=Note)
    assert numbers(found) == left


def test_what_a_write_gives_back_of_its_own_item_passes_by(soft, key):
    db = soft
    note = db.create(Note(of=key, number=1))
    note = db.update(note, Note.gone.set(True))
    assert note.gone
    assert db.update(Note, key, 1, Note.size.set(5)).size == 5


# ------------------------------------------------------------------------------------------------------------- tenants


class Tenants:
    """Each view reads and writes what its tenant owns."""

    name = "tenants"

    def write_rule(self, schema):
        return Own() if "owner" in schema.fields else None

    def read_rule(self, schema):
        return Owned() if "owner" in schema.fields else None


class Own(WriteRule):
    def contribute(self, draft):
        tenant = draft.context.scope.get("tenant")
        if tenant is None:
            raise ValidationError("this model is written in a view: db.view(tenant=...)")
        if draft.verb in {"create", "put"}:
            draft.set("owner", tenant)
        if draft.verb != "create":
            owner = draft.plan.model.owner
            mine = owner == tenant
            draft.require(mine | draft.plan.model.of.not_exists() if draft.verb == "put" else mine)


class Owned(ReadRule):
    attributes = ("owner",)
    filters_all = True

    def contribute(self, draft):
        draft.filter(draft.model.owner == draft.scope.get("tenant", ""))

    def check(self, item, scope):
        return item.get("owner") == {"S": scope.get("tenant", "")}


def test_a_view_reads_and_writes_what_is_its_own(plugged, key):
    db = plugged(Tenants())
    one, other = db.scoped(tenant=f"{key}1"), db.scoped(tenant=f"{key}2")
    mine = one.create(Note(of=key, number=1))
    other.create(Note(of=key, number=2))
    assert mine.owner == f"{key}1"
    assert one.get(Note, key, 1) == mine
    assert one.get(Note, key, 2) is None
    assert other.get(Note, key, 1) is None
    assert db.get(Note, key, 1) is None
    assert numbers(one.model(Note).where(Note.of == key).all()) == [1]
    assert numbers(other.model(Note).where(Note.of == key).all()) == [2]
    assert db.model(Note).where(Note.of == key).count() == 0
    with pytest.raises(ConditionFailed) as refused:
        other.update(Note, key, 1, Note.size.set(3))
    assert refused.value.item is None
    for write in (
        lambda: other.delete(mine),
        lambda: other.put(Note(of=key, number=1)),
        lambda: other.increment(Note, key, 1, Note.size, by=1),
    ):
        with pytest.raises((ConditionFailed, MissingItem)):
            write()
    with pytest.raises(ValidationError, match="written in a view"):
        db.create(Note(of=key, number=9))
    assert one.get(Note, key, 1).size == 1
    assert other.model(Note).where(Note.of == key).delete_all(confirm=True) == 1
    assert one.get(Note, key, 1) is not None


def test_a_cursor_is_of_its_view(plugged, key):
    db = plugged(Tenants())
    one, other = db.scoped(tenant=f"{key}1"), db.scoped(tenant=f"{key}2")
    for number in range(4):
        one.create(Note(of=key, number=number))
    query = one.model(Note).where(Note.of == key).page_size(2)
    cursor = query.page().cursor
    assert numbers(query.cursor(cursor).page().items) == [2, 3]
    with pytest.raises(TamperedCursor):
        other.model(Note).where(Note.of == key).page_size(2).cursor(cursor).page()


class Partitioned(ReadRule):
    """What is asked for is of one partition, whatever else is said."""

    def contribute(self, draft):
        draft.where(draft.model.of == draft.scope["tenant"])


def test_what_a_rule_asks_for_becomes_the_key_condition(plugged, key):
    class Partition:
        name = "partition"

        def read_rule(self, schema):
            return Partitioned() if schema.model is Note else None

    db = plugged(Partition())
    view = db.scoped(tenant=key)
    db.create(Note(of=key, number=1))
    assert numbers(view.model(Note).where(Note.number >= 0).all()) == [1]
    assert numbers(view.model(Note).all()) == [1]
    assert view.model(Note).count() == 1


# --------------------------------------------------------------------------------------------------- refusals, and cost


class Sealed(ReadRule):
    """Refuses an item that somebody else has changed."""

    def check(self, item, scope):
        if (item.attributes.get("text") or {}).get("S") == "forged":
            raise ValidationError("the item was forged")
        return True


def ruled(rule):
    class Ruled:
        name = "ruled"

        def read_rule(self, schema):
            return rule if schema.model is Note else None

    return Ruled()


def test_a_rule_refuses_a_read(plugged, key):
    db = plugged(ruled(Sealed()))
    db.create(Note(of=key, number=1, text="good"))
    db.create(Note(of=key, number=2, text="forged"))
    query = db.model(Note).where(Note.of == key)
    for read in (
        lambda: db.get(Note, key, 2),
        query.all,
        lambda: db.batch_get(Note, [(key, 1), (key, 2)]),
        lambda: db.transact_get([(Note, key, 2)]),
        query.count,
        lambda: db.exists(Note, key, 2),
    ):
        with pytest.raises(ValidationError, match="forged"):
            read()
    assert db.get(Note, key, 1).number == 1
    for parts in (lambda: db.get(Note, key, 1, select=["size"]), query.select("size").all):
        with pytest.raises(ValidationError, match="looks at whole items"):
            parts()


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        (NotGone, "the class NotGone"),
        (object(), "read_rule gave object"),
        (
            type("Late", (ReadRule,), {"check": lambda self, item, scope: (yield)})(),
            "check of Late is a plain function",
        ),
        (type("Hasty", (ReadRule,), {"prepare": lambda self, items, scope: None})(), "prepare of Hasty is a flow"),
        (type("Text", (ReadRule,), {"attributes": "gone"})(), "attributes of Text"),
    ],
)
def test_what_is_no_rule_is_refused(plugged, key, rule, what):
    db = plugged(ruled(rule))
    with pytest.raises(ConfigError, match=what):
        db.get(Note, key, 1)


def test_a_check_that_says_nothing_is_refused(plugged, key):
    db = plugged(ruled(type("Silent", (ReadRule,), {"check": lambda self, item, scope: None})()))
    db.create(Note(of=key, number=1))
    with pytest.raises(ConfigError, match="gave NoneType"):
        db.get(Note, key, 1)


def test_a_model_without_rules_is_read_as_ever(plugged, key):
    db = plugged(SoftDelete("filtered"))
    session = db.inner._session
    assert session.plan(Note).codec.keeps is not None
    plain = plugged(ruled(None)).inner._session
    assert plain.plan(Note).codec.keeps is None
    assert plain.plan(Note).codec is plain.registry.codec(Note)
    assert plain.plan(Note).prepare is None


def record_of(table, new=None, old=None, **key):
    """A stream record of a note."""
    images = {name: image for name, image in (("NewImage", new), ("OldImage", old)) if image is not None}
    return {
        "eventName": "MODIFY" if new and old else "REMOVE" if old else "INSERT",
        "eventSourceARN": f"arn:aws:dynamodb:eu-west-1:1:table/{table}/stream/2026-01-01T00:00:00.000",
        "dynamodb": {"Keys": key, "SequenceNumber": "1", "StreamViewType": "NEW_AND_OLD_IMAGES", **images},
    }


def test_records_of_streams(plugged, key):
    db = plugged(SoftDelete("filtered"))
    table = table_of(db, Note)

    def image(number, *, gone=False):
        more = {"gone": {"BOOL": True}} if gone else {}
        return {"of": {"S": key}, "number": {"N": f"{number}"}, **more}

    def record(number, **images):
        return record_of(table, of={"S": key}, number={"N": f"{number}"}, **images)

    event = {
        "Records": [
            record(1, new=image(1)),
            record(2, new=image(2, gone=True)),
            record(3, old=image(3), new=image(3, gone=True)),
            record(4, old=image(4, gone=True)),
        ]
    }
    found = list(streams.decode_event(event, Note, db=db.inner))
    assert [(one.old and one.old.number, one.new and one.new.number) for one in found] == [(None, 1), (3, None)]
    assert streams.decode(record(2, new=image(2, gone=True)), Note, db=db.inner).new is None
    with pytest.raises(ValidationError, match="a view with images"):
        list(streams.decode_event({"Records": [record(5)]}, Note, db=db.inner))
    assert [one.new.gone for one in streams.decode_event({"Records": [record(2, new=image(2, gone=True))]}, Note)] == [
        True
    ]


def test_a_rule_names_what_it_looks_at(plugged, key):
    class Looks(ReadRule):
        def __init__(self, names, look):
            self.attributes, self.look = names, look

        def check(self, item, scope):
            return self.look(item) is None

    for names, look in (((), lambda item: item.get("owner")), (("gone",), lambda item: item.attributes.get("owner"))):
        db = plugged(ruled(Looks(names, look)))
        db.create(Note(of=key, number=len(names)))
        with pytest.raises(ConfigError, match="looks at"):
            db.get(Note, key, len(names))
