"""Blind indexes: values are found by a keyed hash, kept unique by it, and asked for by an index on it."""

import enum
import hmac
from datetime import date
from hashlib import sha256
from typing import Literal

import pytest

from dynamorm import DB, Attr, Bits, Encrypted, Full, Model, Presets, Unique, attr, gsi, partition_key, version
from dynamorm.errors import DuplicateKey, ModelError, ValidationError
from dynamorm.plugins import EncryptionPlugin
from dynamorm.plugins.encryption.blind import BlindIndex
from dynamorm.plugins.encryption.branch import BranchKey
from dynamorm.plugins.encryption.envelope import framed
from dynamorm.plugins.encryption.needs import Opened

from .encryption_kit import PAN

OTHER = "4222222222222222"


def digits(text):
    return text.replace(" ", "")


class Card(Model, table="search-cards"):
    token: Attr[str] = partition_key()
    batch: Attr[str] = attr(default="")
    number: Attr[str | None] = attr(Encrypted("pci", searchable=True), default=None)
    name: Attr[str | None] = attr(Encrypted("pii", searchable=True, normalize=str.casefold), default=None)
    amount: Attr[int | None] = attr(Encrypted("pii", searchable=True), default=None)
    zip: Attr[str | None] = attr(Encrypted("pii", searchable=Bits(8)), default=None)
    plain: Attr[str | None] = attr(Encrypted("pii"), default=None)
    version: Attr[int] = version()
    by_number = gsi("gsi-number", partition="number")
    by_zip = gsi("gsi-zip", partition="zip", sort="batch", projection="KEYS_ONLY")


class RawCard(Model, table="search-cards"):
    token: Attr[str] = partition_key()
    number_index: Attr[bytes | None] = attr(name="_bi_number", default=None)
    name_index: Attr[bytes | None] = attr(name="_bi_name", default=None)
    zip_index: Attr[bytes | None] = attr(name="_bi_zip", default=None)
    other_index: Attr[bytes | None] = attr(name="_bi2_number", default=None)


class One(Model, table="search-ones"):
    id: Attr[str] = partition_key()
    note: Attr[str] = attr(default="")
    number: Attr[str | None] = attr(Encrypted("pci", searchable=True), Unique(), default=None)
    version: Attr[int] = version()


@pytest.fixture(scope="module")
def made(engine, prefix, keys):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        db.use(EncryptionPlugin(keys))
        db.tables.create(Card)
        db.tables.create(One)
    return prefix


@pytest.fixture
def db(plugged, keys):
    return plugged(EncryptionPlugin(keys))


def tokens(items):
    return sorted(item.token for item in items)


def test_it_is_found_by_its_value(db, key):
    pan, other = f"{PAN}{key}", f"{OTHER}{key}"
    db.create(Card(token=key, number=pan, name="Ann"))
    db.create(Card(token=key + "2", number=other))
    assert db.get(RawCard, key).number_index != db.get(RawCard, key + "2").number_index
    for query in (
        db.model(Card).where(Card.number.equals(pan)),
        db.model(Card).index("gsi-number").where(Card.number.equals(pan)),
        db.model(Card).where(Card.number.equals(pan)).allow_scan(),
        db.model(Card).where(Card.token == key).filter(Card.number.equals(pan)),
        db.model(Card).where(Card.token == key, Card.number.equals(pan)),
        db.model(Card).where(Card.token == key, Card.number.equals(pan) | (Card.batch == "none")),
    ):
        assert [card.token for card in query.all()] == [key]
        assert query.count() == 1
        assert query.first().number == pan
    assert db.model(Card).where(Card.number.equals(f"{pan}x")).all() == []


def test_it_goes_with_the_value_in_every_verb(db, key):
    first, second, third = (f"{start}{key}" for start in "123")
    card = db.create(Card(token=key, number=first))
    card.number = second
    db.save(card)
    assert tokens(db.model(Card).where(Card.number.equals(second)).all()) == [key]
    assert db.model(Card).where(Card.number.equals(first)).first() is None
    db.update(Card, key, Card.number.set(third))
    assert tokens(db.model(Card).where(Card.number.equals(third)).all()) == [key]
    db.update(Card, key, Card.number.remove())
    assert db.get(RawCard, key).number_index is None
    db.put(Card(token=key, number=first))
    assert tokens(db.model(Card).where(Card.number.equals(first)).all()) == [key]
    card = db.get(Card, key)
    card.number = None
    db.save(card)
    assert db.get(RawCard, key).number_index is None


def test_a_condition_of_a_write_asks_by_it(db, key):
    db.create(Card(token=key, number="1"))
    db.update(Card, key, Card.batch.set("b"), condition=Card.number.equals("1"))
    assert db.get(Card, key).batch == "b"
    with pytest.raises(Exception, match="condition"):
        db.update(Card, key, Card.batch.set("c"), condition=Card.number.equals("2"))
    db.delete(Card, key, condition=Card.number.equals("1"))
    assert db.get(Card, key) is None


def test_a_value_is_made_normal_before_it_is_hashed(db, key):
    db.create(Card(token=key, name=f"Ann {key}"))
    assert tokens(db.model(Card).where(Card.name.equals(f"aNN {key}")).allow_scan().all()) == [key]
    assert db.get(Card, key).name == f"Ann {key}"


def test_numbers_have_one_too(db, key):
    number = int(key[:12], 16)
    db.create(Card(token=key, amount=number))
    assert tokens(db.model(Card).where(Card.amount.equals(number)).allow_scan().all()) == [key]


def test_a_short_one_finds_no_more_than_was_asked_for(db, key):
    values = [f"{key}{at}" for at in range(600)]
    db.batch_write(puts=[Card(token=f"{key}{at:03}", batch=key, zip=value) for at, value in enumerate(values)])
    index = db.get(RawCard, f"{key}007").zip_index
    assert len(index) == 1
    wanted = f"{key}007"
    for query in (
        db.model(Card).where(Card.zip.equals(f"{key}7")).allow_scan(),
        db.model(Card).index("gsi-zip").where(Card.zip.equals(f"{key}7"), Card.batch == key).hydrate(),
    ):
        assert tokens(query.all()) == [wanted]
        assert query.count() == 1
        assert query.limit(1).all()[0].token == wanted
        assert query.page_size(5).page().items[0].token == wanted
        assert query.first().token == wanted
        assert query.exists()
    assert db.model(Card).where(Card.zip.equals(f"{key}none")).allow_scan().count() == 0


def test_a_short_one_stands_alone_in_a_query(db, key):
    for ask in (
        lambda: db.model(Card).allow_scan().where(Card.zip.equals("1") | (Card.batch == "x")).all(),
        lambda: db.model(Card).allow_scan().where(~Card.zip.equals("1")).all(),
        lambda: db.put(Card(token=key), condition=Card.zip.equals("1")),
        lambda: db.update(Card, key, Card.batch.set("x"), condition=Card.zip.equals("1")),
    ):
        with pytest.raises(ModelError, match="8 bits") as refused:
            ask()
        assert refused.value.code == "ErrEncryptedFieldNotQueryable"


def test_without_an_index_it_is_a_scan(db):
    with pytest.raises(ValidationError, match="allow_scan"):
        db.model(Card).where(Card.name.equals("Ann")).all()


@pytest.mark.parametrize(
    "condition",
    [Card.plain.equals("1"), Card.plain == "1", Card.number == "1", Card.number > "1", Card.number.in_(["1"])],
)
def test_what_has_none_is_refused(db, key, condition):
    with pytest.raises(ModelError) as refused:
        db.model(Card).where(Card.token == key).filter(condition).all()
    assert refused.value.code == "ErrEncryptedFieldNotQueryable"


def test_equals_of_a_field_in_the_clear_is_the_usual_comparison(db, key):
    db.create(Card(token=key, batch="b"))
    assert db.model(Card).where(Card.token.equals(key)).one().token == key
    assert db.model(Card).where(Card.token == key, Card.batch.equals("x")).first() is None
    assert db.model(Card).where(Card.token == key, Card.number.equals(None)).first().token == key


def test_tenants_share_no_hash(db, key):
    mine, yours = db.view(tenant=f"{key}-mine"), db.view(tenant=f"{key}-yours")
    mine.create(Card(token=key, number=PAN))
    yours.create(Card(token=key + "2", number=PAN))
    assert db.get(RawCard, key).number_index != db.get(RawCard, key + "2").number_index
    assert mine.model(Card).where(Card.number.equals(PAN)).one().token == key
    assert yours.model(Card).where(Card.number.equals(PAN)).one().token == key + "2"


def test_one_value_has_another_hash_in_another_field(db, key):
    db.create(Card(token=key, number="ann", name="ann"))
    raw = db.get(RawCard, key)
    assert raw.number_index != raw.name_index


def test_a_page_is_gone_on_from(plugged, keys, key):
    db = plugged(EncryptionPlugin(keys), cursor_key=bytes(32))
    db.batch_write(puts=[Card(token=f"{key}{at}", number=key) for at in range(7)])
    query = db.model(Card).where(Card.number.equals(key)).page_size(3)
    found, cursor = [], None
    while True:
        page = query.cursor(cursor).page()
        found += page.items
        cursor = page.cursor
        if cursor is None:
            break
    assert tokens(found) == [f"{key}{at}" for at in range(7)]
    assert tokens(db.model(Card).where(Card.number.equals(key)).select("batch").limit(4).all())


# ------------------------------------------------------------------------------------------------------------- unique


def test_it_is_unique_by_it(db, key):
    db.create(One(id=key, number=f"{PAN}{key}"))
    with pytest.raises(DuplicateKey):
        db.create(One(id=key + "2", number=f"{PAN}{key}"))
    assert db.find_by_unique(One, number=f"{PAN}{key}").id == key
    one = db.get(One, key)
    one.number = f"{OTHER}{key}"
    db.save(one)
    assert db.find_by_unique(One, number=f"{PAN}{key}") is None
    db.create(One(id=key + "2", number=f"{PAN}{key}"))
    db.update(One, key + "2", One.number.set(f"3{key}"))
    assert db.find_by_unique(One, number=f"3{key}").id == key + "2"
    with pytest.raises(DuplicateKey):
        db.update(One, key + "2", One.number.set(f"{OTHER}{key}"))
    db.update(One, key, One.number.remove())
    db.update(One, key + "2", One.number.set(f"{OTHER}{key}"))
    db.delete(One, key + "2")
    db.put(One(id=key, number=f"{OTHER}{key}"))
    db.put(One(id=key, number=f"{OTHER}{key}"))
    assert db.find_by_unique(One, number=f"{OTHER}{key}").id == key
    assert not db.repair_unique(One).faults


def test_guards_show_no_value(db, key, engine, made):
    number = f"{PAN}{key}"
    db.create(One(id=key, number=number))

    class Any_(Model, table="search-ones"):
        id: Attr[str] = partition_key()

    stored = [item.id for item in db.model(Any_).allow_scan().all()]
    assert all(number not in text and sha256(number.encode()).hexdigest() not in text for text in stored)


@pytest.mark.parametrize(
    ("option", "match"),
    [(Encrypted("pci"), "searchable=True"), (Encrypted("pci", searchable=Bits(16)), "full length")],
)
def test_what_cannot_be_unique(plugged, keys, option, match):
    class Wrong(Model, table="search-ones"):
        id: Attr[str] = partition_key()
        number: Attr[str] = attr(option, Unique())

    with pytest.raises(ModelError, match=match):
        plugged(EncryptionPlugin(keys)).get(Wrong, "x")


# ------------------------------------------------------------------------------------------------------------ options


class Kind(enum.Enum):
    A = "a"
    B = "b"


@pytest.mark.parametrize("kind", [bool, Kind, Literal["a", "b"], date, bool | None])
def test_few_values_need_to_say_so(plugged, keys, kind):
    def model(searchable):
        class Few(Model, table="search-few"):
            id: Attr[str] = partition_key()
            value: Attr[kind] = attr(Encrypted("pii", searchable=searchable))

        return Few

    db = plugged(EncryptionPlugin(keys))
    with pytest.raises(ModelError, match="low entropy"):
        db.explain(lambda db: db.get(model(True), "x"))
    for accepted in (Bits(8), Full()):
        db.explain(lambda db, accepted=accepted: db.get(model(accepted), "x"))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Bits(7),
        lambda: Bits(64),
        lambda: Bits(True),
        lambda: Encrypted("pii", searchable="yes"),
        lambda: Encrypted("pii", searchable=16),
        lambda: Encrypted("pii", normalize=str.lower),
        lambda: Encrypted("pii", searchable=True, normalize=lambda text: text),
        lambda: Encrypted("pii", searchable=True, normalize=3),
        lambda: Encrypted("pii", seal=1),
        lambda: Encrypted("pii", on_decrypt_error="ignore"),
        lambda: Encrypted("pii", plaintext_until="2026"),
        lambda: Encrypted("pii", subject=""),
    ],
)
def test_options_that_are_refused(wrong):
    with pytest.raises(ModelError):
        wrong()


def test_normalize_is_for_texts(plugged, keys):
    class Wrong(Model, table="search-few"):
        id: Attr[str] = partition_key()
        value: Attr[int] = attr(Encrypted("pii", searchable=True, normalize=digits))

    with pytest.raises(ModelError, match="normalize takes a text"):
        plugged(EncryptionPlugin(keys)).get(Wrong, "x")


def test_an_encrypted_field_sorts_no_index(plugged, keys):
    class Wrong(Model, table="search-few"):
        id: Attr[str] = partition_key()
        value: Attr[str] = attr(Encrypted("pii", searchable=True))
        by_value = gsi("gsi-value", partition="id", sort="value")

    with pytest.raises(ModelError):
        plugged(EncryptionPlugin(keys)).get(Wrong, "x")


# ------------------------------------------------------------------------------------------------------- known answers


@pytest.mark.parametrize(
    ("option", "wire", "expected"),
    [
        (
            Encrypted("pci", searchable=True),
            {"S": PAN},
            "644f953e90f4e1be937c77e1964ab6ae21bdbbbd3a9f165af40ddddc4a27afd4",
        ),
        (Encrypted("pii", searchable=Bits(12)), {"S": PAN}, "6440"),
        (
            Encrypted("pii", searchable=True, normalize=digits),
            {"S": "4111 1111"},
            "239b731958f9cf60d7e64bc842864fa24629558f9ed7067a4fa8c9c6b336f47b",
        ),
    ],
)
def test_known_answers(option, wire, expected):
    branch = bytes(range(32))
    key = Opened(bytes(16), BranchKey(branch), 1e18, 1e18)
    (value,) = BlindIndex("Card.number", "number", "cards", option).values(wire, key, 0.0)
    assert value.hex() == expected
    named = b"" if option.normalize is None else b"digits"
    text = wire["S"].replace(" ", "").encode()
    whole = hmac.digest(branch, framed(b"dynamorm/bidx/1", b"cards", b"number", named, b"S", text), "sha256")
    assert whole.hex().startswith(expected.rstrip("0"))
