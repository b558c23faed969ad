"""Several kinds of items in one table: keys by parts in queries, collections in one query, inverted indexes."""

from datetime import UTC, datetime

import pytest

from dynamorm import (
    Attr,
    Model,
    ValidationError,
    attr,
    composite,
    created_at,
    gsi,
    lsi,
    partition_key,
    sort_key,
    version,
)

from .kit import store, stored

pytestmark = pytest.mark.engine


class Entity(Model, table="shop", discriminator="kind"):
    pk: Attr[str] = partition_key()
    sk: Attr[str] = sort_key()
    version: Attr[int] = version()
    inverted = gsi("inverted", partition="sk", sort="pk")


class Customer(Entity):
    pk: Attr[str] = partition_key(composite("CUSTOMER#{customer_id}"))
    sk: Attr[str] = sort_key(composite("#PROFILE"))
    customer_id: Attr[str]
    name: Attr[str] = attr(default="")


class Order(Entity, tag="order"):
    pk: Attr[str] = partition_key(composite("CUSTOMER#{customer_id}"))
    sk: Attr[str] = sort_key(composite("ORDER#{number:06d}"))
    customer_id: Attr[str]
    number: Attr[int]
    status: Attr[str] = attr(default="open")
    total: Attr[int] = attr(default=0)


class GiftOrder(Order):
    message: Attr[str] = attr(default="")


class Group(Entity):
    pk: Attr[str] = partition_key(composite("GROUP#{group}"))
    sk: Attr[str] = sort_key(composite("#GROUP"))
    group: Attr[str]


class Member(Entity):
    pk: Attr[str] = partition_key(composite("GROUP#{group}"))
    sk: Attr[str] = sort_key(composite("USER#{user}"))
    group: Attr[str]
    user: Attr[str]


class Visit(Model, table="visits"):
    pk: Attr[str] = partition_key(composite("tenant", "site"))
    sk: Attr[str] = sort_key(composite("{country}#{city}#{at}#{serial:04d}"))
    by_agent_key: Attr[str] = attr(composite("agent", "at"))
    state_pk: Attr[str] = attr(composite("STATE#{state}#{tenant}"), name="gsi1pk")
    state_sk: Attr[str] = attr(composite("{serial:04d}-{count}"), name="gsi1sk")
    tenant: Attr[str]
    site: Attr[str]
    country: Attr[str]
    city: Attr[str]
    at: Attr[datetime]
    serial: Attr[int]
    agent: Attr[str | None] = attr(default=None)
    state: Attr[str] = attr(default="new")
    count: Attr[int] = attr(default=0)
    made: Attr[datetime] = created_at()
    by_agent = lsi("by-agent", sort="by_agent_key")
    by_state = gsi("by-state", partition="state_pk", sort="state_sk")


class Setting(Model, table="settings"):
    pk: Attr[str] = partition_key(composite("SETTINGS#"))
    sk: Attr[str] = sort_key(composite("name"))
    name: Attr[str]


class Folder(Model, table="folders", discriminator="what"):
    pk: Attr[str] = partition_key()
    sk: Attr[str] = sort_key()


class File(Folder):
    pk: Attr[str] = partition_key(composite("FILES#{owner}"))
    sk: Attr[str] = sort_key(composite("{case}#{kind}"))
    owner: Attr[str]
    case: Attr[str]
    kind: Attr[str] = attr(default="FILE")


class Note(Folder):
    pk: Attr[str] = partition_key(composite("FILES#{owner}"))
    sk: Attr[str] = sort_key(composite("{case}#{kind}#{number}"))
    owner: Attr[str]
    case: Attr[str]
    kind: Attr[str] = attr(default="NOTE")
    number: Attr[int] = attr(default=0)
    text: Attr[str] = attr(default="")


class Mark(Folder):
    pk: Attr[str] = partition_key(composite("FILES#{owner}"))
    sk: Attr[str] = sort_key(composite("{case}#{kind}#{at}"))
    owner: Attr[str]
    case: Attr[str]
    kind: Attr[str] = attr(default="MARK")
    at: Attr[datetime]


class Header(Folder):
    pk: Attr[str] = partition_key(composite("ORDERS#{owner}"))
    sk: Attr[str] = sort_key(composite("ORDER#{number}#HEADER"))
    owner: Attr[str]
    number: Attr[int]


class Line(Folder):
    pk: Attr[str] = partition_key(composite("ORDERS#{owner}"))
    sk: Attr[str] = sort_key(composite("ORDER#{number}#LINE#{line}"))
    owner: Attr[str]
    number: Attr[int]
    line: Attr[int]


MODELS = [Folder, Entity, Visit, Setting]
START = datetime(2024, 1, 1, tzinfo=UTC)


def when(number):
    return START.replace(day=1 + number % 28, hour=number % 24)


@pytest.fixture(scope="module")
def visits(made, opened):
    """Visits of one site, in no order, with texts that are prefixes of one another and hold the delimiter."""
    db, _ = opened("blocking")
    places = [("d", "x"), ("de", "#"), ("de", "x"), ("de", "x#y"), ("de", "x "), ("de#", "x"), ("", ""), ("~", "z")]
    items = [
        Visit(
            tenant="t", site="s", country=country, city=city, at=when(number * 7 + at), serial=number * 10 + at,
            agent=None if at == 0 else f"a{at}", state="new" if at % 2 else "old", count=at,
        )
        for number, (country, city) in enumerate(places)
        for at in range(5)
    ]  # fmt: skip
    db.batch_write(puts=items)
    db.create(Visit(tenant="t", site="s2", country="de", city="x", at=START, serial=1))
    return items


def serials(items):
    return sorted(one.serial for one in items)


CASES = {
    "country": (lambda v: [v.country == "de"], lambda o: o.country == "de", False),
    "country and city": (
        lambda v: [v.country == "de", v.city == "x"],
        lambda o: (o.country, o.city) == ("de", "x"),
        False,
    ),
    "city begins": (
        lambda v: [v.city.begins_with("x"), v.country == "de"],
        lambda o: o.country == "de" and o.city.startswith("x"),
        False,
    ),
    "city from": (lambda v: [v.country == "de", v.city >= "x"], lambda o: o.country == "de" and o.city >= "x", False),
    "city above": (lambda v: [v.country == "de", v.city > "x"], lambda o: o.country == "de" and o.city > "x", False),
    "city below": (lambda v: [v.country == "de", v.city < "x"], lambda o: o.country == "de" and o.city < "x", False),
    "city to": (lambda v: [v.country == "de", v.city <= "x"], lambda o: o.country == "de" and o.city <= "x", False),
    "country between": (lambda v: [v.country.between("d", "de")], lambda o: "d" <= o.country <= "de", False),
    "country above": (lambda v: [v.country > "de"], lambda o: o.country > "de", False),
    "country from and below": (
        lambda v: [v.country >= "d", v.country < "de#"],
        lambda o: "d" <= o.country < "de#",
        False,
    ),
    "a time within a city": (
        lambda v: [v.country == "de", v.city == "x", v.at >= when(16)],
        lambda o: (o.country, o.city) == ("de", "x") and o.at >= when(16),
        False,
    ),
    "a number at the end": (
        lambda v: [v.country == "de", v.city == "x", v.at == when(16), v.serial < 23],
        lambda o: (o.country, o.city, o.at) == ("de", "x", when(16)) and o.serial < 23,
        True,
    ),
    "everything": (
        lambda v: [v.country == "de", v.city == "x", v.at == when(16), v.serial == 22],
        lambda o: o.serial == 22,
        False,
    ),
    "a gap": (lambda v: [v.country == "de", v.at >= when(16)], lambda o: o.country == "de" and o.at >= when(16), True),
    "nothing of the sort key": (lambda _: [], lambda _: True, False),
    "an empty text": (lambda v: [v.country == ""], lambda o: o.country == "", False),
    "a contradiction": (lambda v: [v.country >= "e", v.country < "d"], lambda _: False, True),
    "another operator": (lambda v: [v.country != "de"], lambda o: o.country != "de", True),
}


@pytest.mark.parametrize("case", CASES)
def test_conditions_on_parts_become_conditions_on_the_key(db, wire, visits, case):
    terms, is_meant, filtered = CASES[case]
    found = db.model(Visit).where(*terms(Visit), Visit.site == "s", Visit.tenant == "t").all()
    assert serials(found) == serials(one for one in visits if is_meant(one))
    assert (wire.last.get("FilterExpression") is not None) == filtered


def test_part_conditions_choose_a_local_index(db, wire, visits):
    found = (
        db.model(Visit).where(Visit.tenant == "t", Visit.site == "s", Visit.agent == "a2", Visit.at < when(20)).all()
    )
    assert wire.last["IndexName"] == "by-agent"
    assert serials(found) == serials(one for one in visits if one.agent == "a2" and one.at < when(20))


def test_part_conditions_choose_a_global_index(db, wire, visits):
    query = db.model(Visit).where(Visit.state == "new", Visit.tenant == "t", Visit.serial.between(11, 31))
    assert serials(query.all()) == serials(one for one in visits if one.state == "new" and 11 <= one.serial <= 31)
    assert wire.last["IndexName"] == "by-state"
    assert "FilterExpression" not in wire.last


def test_a_range_on_a_number_without_padding_is_left_to_the_filter(db, wire, visits):
    query = db.model(Visit).where(Visit.state == "old", Visit.tenant == "t", Visit.serial == 12, Visit.count > 1)
    assert serials(query.all()) == [12]
    assert "begins_with" in wire.last["KeyConditionExpression"]
    assert "FilterExpression" in wire.last


@pytest.mark.parametrize("terms", [lambda: [Visit.tenant == "t"], lambda: [Visit.tenant > "t", Visit.site == "s"]])
def test_a_partition_needs_all_of_its_parts(db, wire, terms):
    with pytest.raises(ValidationError):
        db.model(Visit).where(*terms()).all()
    assert wire.names == []


def test_the_order_may_be_that_of_a_part(db, visits):
    query = db.model(Visit).where(Visit.tenant == "t", Visit.site == "s", Visit.country == "de", Visit.city == "x")
    expected = sorted((one for one in visits if (one.country, one.city) == ("de", "x")), key=lambda one: one.at)
    assert [one.at for one in query.order_by("at", "desc").all()] == [one.at for one in reversed(expected)]
    with pytest.raises(ValidationError):
        query.order_by("serial").all()


def test_the_stored_text_can_be_asked_for_too(db, visits):
    query = db.model(Visit).where(Visit.pk == "t#s").where("sk", "begins_with", "de#")
    assert serials(query.all()) == serials(one for one in visits if one.country == "de")


def test_a_constant_partition_needs_no_condition(db, wire, key):
    db.create(Setting(name=key))
    assert key in [one.name for one in db.model(Setting).all()]
    assert wire.names[-1] == "Query"
    assert [one.name for one in db.model(Setting).where(Setting.name == key).all()] == [key]


# ----------------------------------------------------------------------------------------------------------- entities


@pytest.fixture
def shop(db, key):
    """A customer with orders, another customer, and a group with members."""
    db.create(Customer(customer_id=key, name="Ada"))
    for number in (3, 1, 2):
        db.create(Order(customer_id=key, number=number, total=number * 100))
    db.create(GiftOrder(customer_id=key, number=4, message="hi"))
    db.create(Customer(customer_id=key + "#x", name="Eve"))
    for group in ("g1", "g2"):
        db.create(Group(group=f"{key}-{group}"))
        db.create(Member(group=f"{key}-{group}", user=key))
    return key


def test_one_query_reads_a_collection(db, wire, shop):
    wire.clear()
    found = db.model(Entity).where(Entity.pk == f"CUSTOMER#{shop}").all()
    assert [type(one) for one in found] == [Customer, Order, Order, Order, GiftOrder]
    assert wire.names == ["Query"]


def test_collect_sorts_a_collection_into_typed_buckets(db, wire, shop):
    wire.clear()
    buckets = db.model(Entity).where(Entity.pk == f"CUSTOMER#{shop}").collect(Customer, Order, Member)
    assert wire.names == ["Query"]
    assert [one.name for one in buckets[Customer]] == ["Ada"]
    assert [one.number for one in buckets[Order]] == [1, 2, 3, 4]
    assert buckets[Member] == []
    assert buckets.other == []
    assert len(buckets) == 5
    buckets = db.model(Entity).where(Entity.pk == f"CUSTOMER#{shop}").collect(GiftOrder, Customer)
    assert [one.number for one in buckets.other] == [1, 2, 3]
    assert [one.message for one in buckets[GiftOrder]] == ["hi"]
    with pytest.raises(ValidationError, match="Order was not asked for"):
        buckets[Order]


def test_collect_takes_the_parts_of_one_class_for_all(db, wire, shop):
    wire.clear()
    buckets = db.model(Customer).where(Customer.customer_id == shop).collect(Customer, Order)
    assert wire.names == ["Query"]
    assert len(buckets[Customer]) == 1
    assert len(buckets[Order]) == 4


def test_collect_reads_the_part_of_a_partition_that_begins_with_parts_of_the_sort_key(db, wire, key):
    """No text is escaped by hand, and a part that begins like another one is not taken for it."""
    for case in ("5", "5#", "55"):
        db.create(File(owner=key, case=case))
        db.create(Note(owner=key, case=case, number=1, text="a"))
        db.create(Note(owner=key, case=case, number=2, text="b"))
        db.create(Mark(owner=key, case=case, at=when(1)))
    wire.clear()
    for case in ("5", "5#", "55"):
        found = db.model(Note).where(Note.owner == key, Note.case == case).collect(File, Note, Mark)
        assert [[one.case for one in found[model]] for model in (File, Note, Mark)] == [[case], [case] * 2, [case]]
        assert found.other == []
    assert wire.names == ["Query"] * 3
    assert "begins_with" in wire.last["KeyConditionExpression"]
    found = db.model(File).where(File.owner == key, File.case > "5").collect(File, Mark)
    assert {one.case for one in (*found[File], *found[Mark])} == {"5#", "55"}
    assert len(db.model(Note).where(Note.owner == key).collect(File, Note, Mark)) == 12
    one = (
        db.model(Note)
        .where(Note.owner == key, Note.case == "5", Note.kind == "NOTE", Note.number == 2)
        .collect(File, Note)
    )
    assert (one[File], [note.text for note in one[Note]]) == ([], ["b"])
    with pytest.raises(ValidationError, match="conditions on the key alone"):
        db.model(Note).where(Note.owner == key, Note.text == "a").collect(File, Note)


def test_the_literals_of_one_class_leave_out_no_other(db, wire, key):
    """Header, lines and notes of an order: each class has literals of its own behind the number."""
    for number in (5, 55):
        db.create(Header(owner=key, number=number))
        db.create(Line(owner=key, number=number, line=1))
        db.create(Line(owner=key, number=number, line=2))
    wire.clear()
    for model in (Header, Line):
        found = db.model(model).where(model.owner == key, model.number == 5).collect(Header, Line)
        assert [one.number for one in found[Header]] == [5]
        assert [(one.number, one.line) for one in found[Line]] == [(5, 1), (5, 2)]
    assert set(wire.last["ExpressionAttributeValues"].popitem()[1].values()) <= {"ORDER#5#", f"ORDERS#{key}"}
    found = db.model(Line).where(Line.owner == key, Line.number == 5, Line.line == 2).collect(Header, Line)
    assert [one.line for one in found[Line]] == [2]
    assert [one.number for one in db.model(Header).where(Header.owner == key, Header.number == 5)] == [5]


def test_collect_hands_out_what_does_not_fit(db, key):
    db.create(File(owner=key, case="1"))
    store(db, Note, {"pk": {"S": f"FILES#{key}"}, "sk": {"S": "1#NOTE#1"}, "what": {"S": "Note"}, "text": {"N": "5"}})
    asked = db.model(Folder).where(Folder.pk == f"FILES#{key}")
    with pytest.raises(ValidationError):
        asked.collect(File, Note)
    assert len(asked.on_misfit("skip").collect(File, Note)) == 1
    found = asked.on_misfit("collect").collect(File, Note)
    assert (len(found), [error.key for error in found.misfits]) == (1, [(f"FILES#{key}", "1#NOTE#1")])
    assert found[File][0].case == "1"


def test_parts_that_only_the_key_holds_are_read_from_it_whatever_is_selected(db, key):
    store(db, Note, {"pk": {"S": f"FILES#{key}"}, "sk": {"S": "a%23#NOTE#7"}, "what": {"S": "Note"}})
    found = db.model(Note).where(Note.owner == key)
    assert [(one.owner, one.case, one.kind, one.number) for one in found] == [(key, "a#", "NOTE", 7)]
    assert [(one.case, one.number) for one in found.select("number", "case")] == [("a#", 7)]
    assert found.sum("number") == 7


def test_collect_refuses_what_it_could_not_give(db, wire, shop):
    wire.clear()
    with pytest.raises(ValidationError, match="does not share the items"):
        db.model(Entity).where(Entity.pk == "x").collect(Visit)
    with pytest.raises(ValidationError, match=r"db\.model\(Entity\)"):
        db.model(Customer).where(Customer.customer_id == "x", Customer.name == "y").collect(Customer, Order)
    with pytest.raises(ValidationError, match="needs the classes"):
        db.model(Entity).where(Entity.pk == "x").collect()
    assert wire.names == []


def test_a_query_of_one_class_reads_its_part_of_the_collection(db, wire, shop):
    found = db.model(Order).where(Order.customer_id == shop, Order.number > 1).all()
    assert [one.number for one in found] == [2, 3, 4]
    assert isinstance(found[-1], GiftOrder)
    assert [one.name for one in db.model(Customer).where(Customer.customer_id == shop).all()] == ["Ada"]
    assert db.get(Customer, customer_id=shop).name == "Ada"
    assert db.get(Order, customer_id=shop, number=3).total == 300
    assert "begins_with" in db.model(Order).where(Order.customer_id == shop).explain().request["KeyConditionExpression"]


def test_an_inverted_index_answers_by_parts(db, wire, shop):
    found = db.model(Member).where(Member.user == shop).all()
    assert wire.last["IndexName"] == "inverted"
    assert [one.group for one in found] == [f"{shop}-g1", f"{shop}-g2"]
    found = db.model(Member).where(Member.user == shop, Member.group > f"{shop}-g1").all()
    assert [one.group for one in found] == [f"{shop}-g2"]


def test_put_update_batch_and_transaction_store_the_same(db, shop):
    keys = [10, 11, 12, 13]
    db.create(Order(customer_id=shop, number=10, total=5))
    db.put(Order(customer_id=shop, number=11, total=5))
    db.batch_write(puts=[Order(customer_id=shop, number=12, total=5)])
    with db.transaction() as tx:
        tx.create(Order(customer_id=shop, number=13, total=5))
    items = [stored(db, Order, f"CUSTOMER#{shop}", f"ORDER#{number:06d}") for number in keys]
    shown = [{name: value for name, value in one.items() if name not in {"_wt", "sk", "number"}} for one in items]
    assert all(one == shown[0] for one in shown)
    wanted = [{"customer_id": shop, "number": number} for number in keys]
    assert [one.number for one in db.batch_get(Order, wanted)] == keys
    with db.transaction() as tx:
        tx.update(Order, Order.total.add(1), customer_id=shop, number=10)
        tx.delete(Order, customer_id=shop, number=11)
    assert [one and one.total for one in db.batch_get(Order, wanted[:2])] == [6, None]
