"""Fixture files: records of models from YAML and JSON, typed by the models, checked as a whole, and written again."""

from __future__ import annotations

import dataclasses
import enum
import json
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynamorm import (
    Attr,
    Json,
    Model,
    Unique,
    attr,
    composite,
    created_at,
    partition_key,
    sort_key,
    ttl,
    updated_at,
    version,
)
from dynamorm.engine import Engine
from dynamorm.errors import AlreadyExists, DuplicateKey, NotFound, ValidationError
from dynamorm.models.schema.schema import SCHEMAS
from dynamorm.testing import TestDB
from dynamorm.testing.fixtures.nodes import MAX_ALIASED, MAX_MISTAKES
from tests.behaviour.kit import stored

pytestmark = pytest.mark.engine


class Status(enum.Enum):
    OPEN = "open"
    DONE = "done"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 9


@dataclasses.dataclass
class Place:
    city: str
    zip: int = 0


class Line(Model):
    sku: Attr[str]
    count: Attr[int] = attr(default=1, name="c")


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(ge=0)
    note: Attr[str | None] = attr(default=None, name="n")
    version: Attr[int] = version()
    made: Attr[datetime] = created_at()
    changed: Attr[datetime] = updated_at()


class Refund(Model, table="refunds"):
    payment: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    amount: Attr[int]
    reference: Attr[str | None] = attr(Unique(), default=None)


class Everything(Model, table="everything"):
    id: Attr[str] = partition_key()
    status: Attr[Status] = attr(default=Status.OPEN)
    level: Attr[Level] = attr(default=Level.LOW)
    kind: Attr[Literal["card", "cash"]] = attr(default="card")
    price: Attr[Decimal] = attr(default=Decimal(0))
    rate: Attr[float] = attr(default=0.0)
    yes: Attr[bool] = attr(default=False)
    raw: Attr[bytes] = attr(default=b"")
    when: Attr[datetime | None] = attr(default=None)
    day: Attr[date | None] = attr(default=None)
    wait: Attr[timedelta | None] = attr(default=None)
    uid: Attr[UUID | None] = attr(default=None)
    either: Attr[str | int | None] = attr(default=None)
    tags: Attr[set[str]] = attr(default_factory=set)
    counts: Attr[frozenset[int]] = attr(default=frozenset())
    names: Attr[list[str]] = attr(default_factory=list)
    pair: Attr[tuple[int, str] | None] = attr(default=None)
    sizes: Attr[dict[str, int]] = attr(default_factory=dict)
    place: Attr[Place | None] = attr(default=None)
    lines: Attr[list[Line]] = attr(default_factory=list)
    extra: Attr[Any] = attr(default=None)
    settings: Attr[dict[str, Any]] = attr(Json(), default_factory=dict)
    ends: Attr[datetime | None] = ttl(default=None)  # DynamoDB Local removes what has expired


class Entry(Model, table="ledger"):
    pk: Attr[str] = partition_key(composite("tenant", "account"))
    sk: Attr[int] = sort_key()
    tenant: Attr[str]
    account: Attr[str]


class Animal(Model, table="animals", discriminator="kind"):
    id: Attr[str] = partition_key()


class Cat(Animal, tag="cat"):
    lives: Attr[int] = attr(default=9)


@pytest.fixture
def db(opened):
    return opened()


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a file into the folder in which the test runs."""
    monkeypatch.chdir(tmp_path)

    def writer(text, name="payments.yaml"):
        (tmp_path / name).write_text(text, "utf-8")
        return name

    return writer


def mistakes(db, path):
    """The mistakes that a file is refused for."""
    with pytest.raises(ValidationError) as caught:
        db.load_fixture(path)
    return str(caught.value).splitlines()


def test_records_become_objects_and_their_tables_are_made(db, write):
    loaded = db.load_fixture(write("Payment:\n- {id: p1, amount: 5}\n- id: p2\n  amount: 6\n  note: x\n"))
    assert [payment.id for payment in loaded["Payment"]] == ["p1", "p2"]
    stored = db.require(Payment, "p2")
    assert (stored.amount, stored.note, stored.version) == (6, "x", 0)
    assert stored.made == stored.changed


def test_loaded_objects_can_be_updated(db, write):
    (payment,) = db.load_fixture(write("Payment: [{id: p1, amount: 5}]"))["Payment"]
    db.update(payment, Payment.amount.add(1))
    assert db.require(Payment, "p1").amount == 6


def test_scalars_become_what_the_fields_are(db, write):
    db.load_fixture(
        write(
            """
Everything:
- id: 0123
  status: done
  level: 9
  kind: cash
  price: 12.50
  rate: 1e-3
  yes: true
  raw: AAEC
  when: 2024-01-01T01:00:00+01:00
  day: 2024-02-29
  wait: 90
  uid: 6f9619ff-8b86-d011-b42d-00c04fc964ff
  either: 5
  tags: [no, b]
  counts: [3, 1]
  names: [1e3, null_, "~"]
  pair: [1, one]
  sizes: {a: 1_000}
  place: {city: Rome}
  lines: [{sku: s1, count: 2}, {sku: s2}]
  extra: {n: 1.50, t: "1", s: {$set: [2, 1]}, b: {$bytes: AAEC}, l: [null, false]}
  settings: {a: [1, x]}
  ends: 2124-01-01T00:00:00Z
"""
        )
    )
    one = db.require(Everything, "0123")
    assert one == Everything(
        id="0123",
        status=Status.DONE,
        level=Level.HIGH,
        kind="cash",
        price=Decimal("12.5"),
        rate=0.001,
        yes=True,
        raw=b"\0\1\2",
        when=datetime(2024, 1, 1, tzinfo=UTC),
        day=date(2024, 2, 29),
        wait=timedelta(seconds=90),
        uid=UUID("6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        either=5,
        tags={"no", "b"},
        counts=frozenset({1, 3}),
        names=["1e3", "null_", "~"],
        pair=(1, "one"),
        sizes={"a": 1000},
        place=Place("Rome"),
        lines=[Line(sku="s1", count=2), Line(sku="s2")],
        extra={"n": Decimal("1.5"), "t": "1", "s": {1, 2}, "b": b"\0\1\2", "l": [None, False]},
        settings={"a": [1, "x"]},
        ends=datetime(2124, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    "text", ["no", "1e3", "0123", "2024-01-01", "null", "~", "", "a: b", "- x", "#", "\u2028\x85 \t\n'\"{n}"]
)
@pytest.mark.parametrize("ending", ["yaml", "json"])
def test_a_text_comes_back_as_it_was(db, write, text, ending):
    db.create(Payment(id="p1", amount=1, note=text))
    write("")
    db.dump_fixture(f"dump.{ending}", [Payment])
    db.delete(Payment, "p1")
    db.load_fixture(f"dump.{ending}")
    assert db.require(Payment, "p1").note == text


@pytest.mark.parametrize("ending", ["yaml", "json"])
def test_what_is_dumped_is_loaded_and_dumped_again_alike(opened, write, ending):
    one, other = opened(), opened()
    write("")
    one.create(
        Everything(
            id="e1", extra={"b": b"\xff", "s": {"x"}, "n": Decimal("1.25"), "e": ""}, counts=frozenset({10, 9}),
            place=Place("Oslo", 1), lines=[Line(sku="s", count=3)], settings={"k": {"v": Decimal("1.5")}}, pair=(1, "a"),
            ends=datetime(2124, 1, 1, tzinfo=UTC), either="7", raw=b"\0", when=datetime(2024, 1, 1, 0, 0, 0, 120000, UTC),
        )
    )  # fmt: skip
    one.create(Everything(id="e0", either=7))
    one.dump_fixture(f"a.{ending}", [Everything])
    other.load_fixture(f"a.{ending}")
    other.dump_fixture(f"b.{ending}", [Everything])
    assert Path(f"a.{ending}").read_text("utf-8") == Path(f"b.{ending}").read_text("utf-8")
    assert other.require(Everything, "e1") == one.require(Everything, "e1")
    assert other.require(Everything, "e0").either == 7


def test_a_dump_is_sorted_by_key_and_names_fields(db, write):
    write("")
    for number in (10, 9, 100):
        db.create(Refund(payment="p1", number=number, amount=number))
    db.create(Refund(payment="p0", number=1, amount=1))
    db.dump_fixture("a.yaml", [Refund])
    assert Path("a.yaml").read_text("utf-8").splitlines()[:4] == [
        "Refund:",
        '- payment: "p0"',
        "  number: 1",
        "  amount: 1",
    ]
    db.dump_fixture("a.json", [Refund])
    assert [(row["payment"], row["number"]) for row in json.loads(Path("a.json").read_text("utf-8"))["Refund"]] == [
        ("p0", 1), ("p1", 9), ("p1", 10), ("p1", 100),
    ]  # fmt: skip


def test_references_templates_and_defaults(db, write):
    loaded = db.load_fixture(
        write(
            """
$defaults:
  Payment: {amount: 5}
Refund:
- payment: {$ref: Payment.first.id}
  number: 1
  amount: {$ref: Payment.first.amount}
- $defaults: {number: 7}
- payment: {$ref: Payment.p3.id}
  amount: 1
Payment:
- $name: first
  id: p0
  amount: 8
- $count: 3
  $name: p{n}
  id: "p{n:03}"
  note: "number {n} of 3"
"""
        )
    )
    assert [payment.id for payment in loaded["Payment"]] == ["p0", "p001", "p002", "p003"]
    assert db.require(Payment, "p002").note == "number 2 of 3"
    assert db.require(Payment, "p002").amount == 5
    assert db.require(Refund, "p0", 1).amount == 8
    assert db.require(Refund, "p003", 7).amount == 1


def test_a_number_is_filled_in_as_a_number(db, write):
    db.load_fixture(write('Payment: [{$count: 2, id: "p{n}", amount: "{n}00"}]'))
    assert [db.require(Payment, f"p{n}").amount for n in (1, 2)] == [100, 200]


def test_aliases_and_merges(db, write):
    db.load_fixture(write("Payment:\n- &a {id: p1, amount: 5, note: x}\n- {<<: *a, id: p2}\n"))
    assert db.require(Payment, "p2").note == "x"


def test_versions_times_and_tokens_are_loaded_as_given(db, write):
    path = write("Payment: [{id: p1, amount: 1, version: 7, made: 2020-01-01T00:00:00Z}]")
    (payment,) = db.load_fixture(path)["Payment"]
    stored = db.require(Payment, "p1")
    assert (payment.version, stored.version) == (7, 7)
    assert stored.made == datetime(2020, 1, 1, tzinfo=UTC)
    assert stored.changed > stored.made
    db.update(payment, Payment.amount.add(1))
    assert payment.version == 8


def test_a_write_token_is_stored_as_given(db, write):
    db.load_fixture(write(f"Payment: [{{id: p1, amount: 1, _wt: {'A' * 22}==}}]"))
    assert stored(db, Payment, "p1")["_wt"] == {"B": "A" * 22 + "=="}


def test_a_table_stands_for_its_model_and_a_discriminator_for_its_class(db, write):
    db.load_fixture(
        write(
            '"table:animals":\n- {id: a1, kind: cat, lives: 3}\nCat:\n- {id: a2}\n"table:payments":\n- {id: p1, amount: 1}\n'
        )
    )
    assert db.require(Animal, "a1") == Cat(id="a1", lives=3)
    assert db.require(Animal, "a2") == Cat(id="a2")
    db.dump_fixture("a.yaml", [Animal])
    assert Path("a.yaml").read_text("utf-8") == 'Cat:\n- id: "a1"\n  lives: 3\n- id: "a2"\n  lives: 9\n'


def test_a_composite_key_is_made_of_its_parts(db, write):
    db.load_fixture(write("Entry: [{tenant: t1, account: a1, sk: 5}]"))
    assert db.require(Entry, tenant="t1", account="a1", sk=5).account == "a1"
    assert mistakes(db, write("Entry: [{pk: x, tenant: t1, account: a1, sk: 5}]")) == [
        "payments.yaml:1: Entry.pk: it is made of its parts: give those"
    ]


def test_unique_values_are_guarded(db, write):
    db.load_fixture(write("Refund: [{payment: p1, number: 1, amount: 1, reference: r1}]"))
    with pytest.raises(DuplicateKey):
        db.create(Refund(payment="p2", number=1, amount=1, reference="r1"))


def test_a_key_that_is_taken_is_refused(db, write):
    db.load_fixture(write("Payment: [{id: p1, amount: 1}]"))
    with pytest.raises(AlreadyExists) as caught:
        db.load_fixture(write("Payment:\n- {id: p0, amount: 1}\n- {id: p1, amount: 1}\n- {id: p2, amount: 1}\n"))
    assert caught.value.__notes__ == ["payments.yaml:3: the records before this one are stored, 1 of 3"]
    assert [db.exists(Payment, key) for key in ("p0", "p2")] == [True, False]


# ----------------------------------------------------------------------------------------------------------- mistakes

MISTAKES = """# a comment
Payment:
- id: p1
  amuont: 5
- id: p2
  amount: "5"
- id: [p3]
  amount: -1
- amount: -1
  id: p4
- id: p5
- {id: p6, amount: 1.5}
- {id: p7, amount: 1}
- {id: p7, amount: 2}
Paymnt: []
Refund: {}
"""

FOUND = [
    "payments.yaml:4: Payment.amuont: unknown field, did you mean amount?",
    "payments.yaml:6: Payment.amount: int belongs here, without quotes: what is in quotes is a text",
    "payments.yaml:7: Payment.id: str belongs here, not a list",
    "payments.yaml:9: Payment.amount must be >= 0",
    "payments.yaml:11: Payment.amount needs a value",
    "payments.yaml:12: Payment.amount: int belongs here",
    "payments.yaml:14: Payment: the record of line 13 has the same key",
    "payments.yaml:15: Paymnt: no such model has been defined, did you mean Payment?",
    "payments.yaml:16: Refund is a list of records: begin each with a dash",
]


def test_all_mistakes_are_told_at_once_with_their_lines_and_nothing_is_stored(db, write):
    assert mistakes(db, write(MISTAKES)) == FOUND
    with pytest.raises(NotFound):
        db.require(Payment, "p7")


def test_at_most_twenty_mistakes_are_told(db, write):
    found = mistakes(db, write("Payment:\n" + "".join(f"- {{id: p{n}, amuont: 1}}\n" for n in range(30))))
    assert len(found) == MAX_MISTAKES + 1
    assert found[-1] == "... and 10 more"


def test_no_mistake_tells_a_value(db, write):
    secret = "4111111111111111"
    text = "Everything:\n" + "".join(
        f'- {{id: e{n}, {name}: "{secret}"}}\n'
        for n, name in enumerate(("status", "level", "kind", "day", "uid", "wait", "tags", "place"))
    )
    found = mistakes(db, write(text))
    assert len(found) == 8
    assert not any(secret in line for line in found)


BROKEN = {
    "a tag": ("Payment:\n- !!python/object/apply:os.system {id: x}\n", ":2: a fixture has no tags"),
    "an unknown alias": ("Payment:\n- *x\n", ":2: an alias of what does not stand before it"),
    "not YAML": ("Payment: [\n", ": this is not YAML"),
    "two documents": ("Payment: []\n---\nPayment: []\n", ":2: a fixture is one document"),
    "a list": ("- a\n", ":1: a fixture is a map of model names"),
    "a name twice": ("Payment: []\nPayment: []\n", ":2: Payment is there twice"),
    "a record that is no map": ("Payment: [5]\n", ":1: Payment: a record is a map of fields"),
    "an unknown directive": ("Payment:\n- {$cuont: 5}\n", ":2: Payment.$cuont: did you mean $count?"),
    "defaults of nobody": ("$defaults: {Paymnt: {amount: 5}}\nPayment: []\n", ":1: $defaults of Paymnt: this file has no such records"),
    "a count of defaults": ("$defaults: {Payment: {$count: 5}}\nPayment: []\n", ":1: $defaults of Payment: $count belongs to a record"),
    "a count": ("Payment:\n- {$count: 0, id: a}\n", ":2: Payment: $count is a whole number"),
    "a name that is there twice": ("Payment:\n- {$count: 2, $name: p, id: 'a{n}', amount: 1}\n", ":2: Payment: another record has this $name"),
    "a reference to nobody": ("Payment:\n- {id: a, amount: {$ref: Payment.x.amount}}\n", ":2: Payment.amount: $ref: no record of Payment"),
    "a reference to nothing": (
        "Payment:\n- {$name: x, id: b, amount: 1}\n- {id: a, amount: 1, note: {$ref: Payment.x.note}}\n",
        ":3: Payment.note: $ref: that record of Payment gives no note",
    ),
    "a circle": ("Payment:\n- {$name: x, id: b, amount: {$ref: Payment.x.amount}}\n", ":2: Payment.amount: $ref: this goes round"),
    "deep nesting": ("Payment: " + "[" * 100 + "]" * 100, ":1: this is nested more than 64 levels"),
    "a bomb": (
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(f"b{n}: &a [*a, *a, *a, *a, *a, *a, *a, *a]\n" for n in range(9)),
        f"aliases stand for more than {MAX_ALIASED} nodes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_one_clear_error(db, write, case):
    text, told = BROKEN[case]
    assert any(told in line for line in mistakes(db, write(text)))


BROKEN_JSON = {
    "": None,
    '{"Payment": [{"id": "a",\n "amount": }]}': ":2: this is not JSON: a value belongs here",
    '{"Payment": [\n{"id" "a"}]}': ":2: this is not JSON: a colon belongs here",
    '{"Payment": []\n': ":2: this is not JSON: a comma or } belongs here",
    '{"Payment": [{"id": "a\n"}]}': ": this is not JSON: a text that does not end",
    '{"Payment": []} x': ":1: the text goes on behind its value",
    '{"Payment": [{"id": 5, "amount": 5}]}': ":1: Payment.id: str belongs here: a text, in quotes",
    '{"Payment": [{"id": "a", "amount": "5"}]}': ":1: Payment.amount: int belongs here, without quotes",
    '{"Payment": [\n{"id": "\\ud800", "amount": 1}]}': ":2: a text has half of a surrogate pair",
    '{"Payment": [], "Payment": []}': ":1: Payment is there twice",
    '{"Payment": [{"id": "a", "amount": NaN}]}': ":1: this is not JSON: a value belongs here",
    "[" * 70 + "]" * 70: ":1: this is nested more than 64 levels",
}


@pytest.mark.parametrize("text", BROKEN_JSON)
def test_json_is_read_with_its_lines(db, write, text):
    path, told = write(text, "payments.json"), BROKEN_JSON[text]
    if told is None:
        assert db.load_fixture(path) == {}
    else:
        assert any(told in line for line in mistakes(db, path))


def test_json_is_loaded(db, write):
    db.load_fixture(write('{\t"Payment": [{"id": "\\ud83d\\ude00", "amount": 12, "note": null}]}', "payments.json"))
    assert db.require(Payment, "\U0001f600").amount == 12


def test_a_file_that_cannot_be_read_is_one_clear_error(db, write, tmp_path):
    write("")
    assert "there.yaml: the fixture cannot be read: No such file" in mistakes(db, "there.yaml")[0]
    (tmp_path / "b.yaml").write_bytes(b"Payment:\n- \xff\n")
    assert mistakes(db, "b.yaml") == ["b.yaml:2: the fixture is not UTF-8"]
    with (tmp_path / "big.yaml").open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    assert "at most 67108864 bytes" in mistakes(db, "big.yaml")[0]


# -------------------------------------------------------------------------------------------------------- any file at all

texts = st.text(max_size=8) | st.sampled_from(
    ["p{n}", "Payment.a.id", "open", "2024-01-01T00:00:00Z", "AAEC", "1e3", "~", "no"]
)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.dates().map(str)
names = (
    st.sampled_from(
        ["$ref", "$name", "$count", "$defaults", "$set", "$bytes", "<<", "city", "sku", *SCHEMAS[Everything].fields]
    )
    | texts
)
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
records = st.dictionaries(names, anything, max_size=6).map(lambda fields: {"id": "p{n}", "amount": 1} | fields)
headings = (
    st.sampled_from(["Payment", "Refund", "Everything", "Entry", "Cat", "Animal", "table:animals", "$defaults"]) | texts
)
files = st.dictionaries(headings, st.lists(records, max_size=3) | anything, max_size=3)


@pytest.fixture(scope="module")
def inside():
    with Engine() as engine, TestDB(engine) as db:
        yield db


@settings(max_examples=300, suppress_health_check=list(HealthCheck), deadline=None)
@given(files, st.sampled_from(["yaml", "json"]))
def test_whatever_a_file_says_is_stored_or_told(inside, tmp_path_factory, content, ending):
    path = tmp_path_factory.getbasetemp() / f"any.{ending}"
    text = yaml.safe_dump(content, allow_unicode=True) if ending == "yaml" else json.dumps(content)
    path.write_text(text, "utf-8", "surrogatepass")
    told_or_stored(inside, path)


@settings(max_examples=300, suppress_health_check=list(HealthCheck), deadline=None)
@given(
    st.binary(max_size=60) | st.text("{}[]:,-&*!?|>'\"%@`#\n\t a1$<~", max_size=60).map(str.encode),
    st.sampled_from(["yaml", "json"]),
)
def test_no_bytes_are_another_error(inside, tmp_path_factory, content, ending):
    path = tmp_path_factory.getbasetemp() / f"bytes.{ending}"
    path.write_bytes(content)
    told_or_stored(inside, path)


def told_or_stored(db, path):
    with suppress(ValidationError, AlreadyExists, DuplicateKey):  # any other error fails
        assert isinstance(db.load_fixture(path), dict)


# ------------------------------------------------------------------------------------------- what is not for everybody


class Encrypted:
    """A plugin's option."""


class Ephemeral:
    """Another one."""


class Claims:
    name = "claims"
    options = (Encrypted, Ephemeral)


class Card(Model, table="cards"):
    token: Attr[str] = partition_key()
    number: Attr[str] = attr(Encrypted())
    cvv: Attr[str | None] = attr(Ephemeral(), default=None)


def test_encrypted_fields_are_refused_and_ephemeral_ones_left_out(opened, write):
    db = opened(extensions=(Claims(),))
    write("")
    db.create(Card(token="t1", number="4111", cvv="123"))
    with pytest.raises(ValidationError, match=r"Card.number is encrypted.*plaintext=True"):
        db.dump_fixture("a.yaml", [Card])
    db.dump_fixture("a.yaml", [Card], plaintext=True)
    assert Path("a.yaml").read_text("utf-8") == 'Card:\n- token: "t1"\n  number: "4111"\n'


def test_of_several_models_of_one_name_the_callers_own_is_meant(db, write):
    for number in range(2):

        class Shadow(Model, table=f"shadows-{number}"):
            id: Attr[str] = partition_key()

        assert isinstance(db.load_fixture(write(f"Shadow: [{{id: s{number}}}]"))["Shadow"][0], Shadow)

    def elsewhere(path):
        Payment = type(Model)(
            "Payment",
            (Model,),
            {
                "__module__": "elsewhere",
                "__qualname__": "Payment",
                "__annotations__": {"id": "Attr[str]"},
                "id": partition_key(),
            },
            table="other-payments",
        )
        return Payment, db.load_fixture(path)["Payment"][0]

    other, loaded = elsewhere(write("Payment: [{id: p1}]"))
    assert type(loaded) is other
    assert type(db.load_fixture(write("Payment: [{id: p1, amount: 1}]"))["Payment"][0]) is Payment
    assert type(db.load_fixture(write("elsewhere.Payment: [{id: p2}]"))["elsewhere.Payment"][0]) is other
    assert type(db.load_fixture(write("Payment: [{id: p3}]"), models=[other])["Payment"][0]) is other
