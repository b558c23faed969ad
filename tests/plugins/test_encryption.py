"""Encrypted fields on the engine: every verb on both faces, what is stored, and what is refused."""

import os
import stat

import pytest

from dynamorm import DB, Attr, BatchConfig, Encrypted, Model, Presets, attr, partition_key
from dynamorm.adapters import register
from dynamorm.errors import (
    ConditionFailed,
    ConfigError,
    EncryptionNotConfigured,
    KeyDisabled,
    KeyUnavailable,
    ModelError,
    TamperedCiphertext,
    ValidationError,
)
from dynamorm.plugins import EncryptionPlugin

from .encryption_kit import PAN, Card, Line, LocalKeyProvider, Moved, Plain, Provider, RawCard, RawMoved, Records


@pytest.fixture(scope="module")
def made(engine, prefix, tmp_path_factory):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        db.tables.create(RawCard)
        db.tables.create(Plain)
        db.tables.create(RawMoved)
        db.tables.create(Records)
    return prefix


@pytest.fixture
def db(plugged, keys):
    return plugged(EncryptionPlugin(keys))


def test_only_ciphertext_is_stored(db, key):
    db.create(Card(token=key, last4="1111", number=PAN, holder={"name": "Ann", "zip": 12}))
    raw = db.get(RawCard, key)
    assert raw.number[:4] == b"\xd7\x01\x01\x00"
    assert len(raw.number) == 96 + 1 + len(PAN)
    assert PAN.encode() not in raw.number
    assert b"Ann" not in raw.holder
    found = db.get(Card, key)
    assert (found.number, found.holder, found.last4) == (PAN, {"name": "Ann", "zip": 12}, "1111")


def test_every_verb(db, key):
    card = db.put(Card(token=key, number="1"))
    card = db.get(Card, key, consistent=True) if card is None else card
    card.number = "2"
    db.save(card)
    assert db.get(Card, key).number == "2"
    assert db.update(card, Card.number.set("3"), Card.last4.set("x")).number == "3"
    assert db.update(Card, key, Card.number.set("4")).number == "4"
    db.update(Card, key, Card.number.set("5"), returning=None)
    assert db.put(Card(token=key, number="6"), returning="old").number == "5"
    with db.transaction() as tx:
        tx.update(Card, key, Card.number.set("7"))
        tx.create(Card(token=key + "b", number="8"))
    assert [card.number for card in db.batch_get(Card, [key, key + "b"])] == ["7", "8"]
    assert [card.number for card in db.transact_get([(Card, key)])] == ["7"]
    assert db.batch_write(puts=[Card(token=f"{key}{at}", number=str(at)) for at in range(30)]).count == 30
    assert db.model(Card).where(Card.token == f"{key}29").one().number == "29"
    assert db.get(Card, key, select=["number"]).number == "7"
    assert db.delete(Card, key, returning="old").number == "7"
    with db.new_batcher(BatchConfig(max_wait=0.01)) as batcher:
        batcher.add(Card(token=key, number="9"))
    assert db.get(Card, key).number == "9"


def test_a_save_of_other_fields_leaves_the_envelope(db, key):
    card = db.create(Card(token=key, number=PAN))
    before = db.get(RawCard, key).number
    card.last4 = "1111"
    db.save(card)
    assert db.get(RawCard, key).number == before
    assert db.get(RawCard, key).version == 1


def test_what_is_refused_holds_no_plaintext(db, key):
    db.create(Card(token=key, number=PAN))
    with pytest.raises(ConditionFailed) as refused:
        db.update(Card, key, Card.last4.set("x"), condition=Card.last4 == "none")
    assert PAN not in str(refused.value)
    assert PAN not in repr(refused.value)
    assert refused.value.item.number == PAN
    assert PAN not in repr(refused.value.item)


def test_repr_shows_what_it_is(db, key):
    card = db.create(Card(token=key, number=PAN))
    for shown in (repr(card), str(card), f"{card}", repr(db.get(Card, key)), repr([card])):
        assert "number=<encrypted>" in shown
        assert PAN not in shown


@pytest.mark.parametrize(
    "condition", [Card.number == PAN, Card.number.begins_with("4"), Card.number > "4", Card.number.in_([PAN])]
)
def test_no_condition_compares_it(db, key, condition):
    for ask in (
        lambda: db.model(Card).where(Card.token == key).where(condition).all(),
        lambda: db.put(Card(token=key), condition=condition),
        lambda: db.delete(Card, key, condition=condition),
        lambda: db.model(Card).allow_scan().where(condition).count(),
    ):
        with pytest.raises(ModelError, match=r"Card\.number is encrypted") as refused:
            ask()
        assert refused.value.code == "ErrEncryptedFieldNotQueryable"
        assert PAN not in str(refused.value)


def test_no_update_changes_a_part_of_it(db, key):
    db.create(Card(token=key, number=PAN, holder={"a": 1}))
    for change in (Card.holder["a"].set(2), Card.number.if_not_exists("1"), Card.last4.set(Card.number)):
        with pytest.raises(ModelError):
            db.update(Card, key, change)
    assert db.get(Card, key).holder == {"a": 1}


def swapped(db, key, change):
    db.create(Card(token=key, number=PAN, spare=PAN, holder={"a": 1}))
    db.create(Card(token=key + "2", number="4222222222222222"))
    raw, other = db.get(RawCard, key), db.get(RawCard, key + "2")
    db.update(RawCard, key, change(raw, other))


@pytest.mark.parametrize(
    "change",
    [
        lambda raw, other: RawCard.number.set(other.number),
        lambda raw, other: RawCard.number.set(raw.spare),
        lambda raw, other: RawCard.spare.set(raw.number),
        lambda raw, other: RawCard.number.set(PAN),
        lambda raw, other: RawCard.number.set({"v": 1, "edk": b"", "nonce": b"", "ct": b""}),
        lambda raw, other: RawCard.number.set(raw.number[:-1]),
        lambda raw, other: RawCard.number.set(b""),
        lambda raw, other: RawCard.number.set(b"\xd7\x02" + raw.number[2:]),
        lambda raw, other: RawCard.number.set(raw.number[:2] + b"\x00" + raw.number[3:]),
        lambda raw, other: RawCard.number.set(raw.number[:-17] + bytes([raw.number[-17] ^ 1]) + raw.number[-16:]),
    ],
)
def test_what_was_tampered_with_is_refused_by_every_read(db, key, change):
    swapped(db, key, change)
    said = set()
    for read in (
        lambda: db.get(Card, key),
        lambda: db.model(Card).where(Card.token == key).all(),
        lambda: db.batch_get(Card, [key]),
        lambda: db.transact_get([(Card, key)]),
        lambda: db.get(Card, key, select=["number", "spare"]),
        lambda: db.delete(Card, key, returning="old"),
    ):
        with pytest.raises(TamperedCiphertext) as refused:
            read()
        assert refused.value.code == "ErrInvalidEncryptedEnvelope"
        assert PAN not in str(refused.value)
        said.add(refused.value.message)
    assert len(said) == 1


def test_an_item_under_another_key_opens_nothing(db, key):
    db.create(Card(token=key, number=PAN))
    raw = db.get(RawCard, key)
    db.put(RawCard(token=key + "copy", number=raw.number, holder=raw.holder))
    with pytest.raises(TamperedCiphertext):
        db.get(Card, key + "copy")


def test_a_renamed_class_another_field_and_a_slim_class_open(db, key):
    db.create(Card(token=key, number=PAN, holder={"a": 1}))

    class Renamed(Model, table="crypt-cards"):
        added: Attr[int] = attr(default=5)
        token: Attr[str] = partition_key()
        number: Attr[str | None] = attr(Encrypted("pci"), default=None)

    class Elsewhere(Model, table="crypt-cards", crypto_name="other"):
        token: Attr[str] = partition_key()
        number: Attr[str | None] = attr(Encrypted("pci"), default=None)

    assert db.get(Renamed, key).number == PAN
    with pytest.raises(TamperedCiphertext):
        db.get(Elsewhere, key)


def test_a_renamed_table_opens_by_its_crypto_name(plugged, keys, key):
    db = plugged(EncryptionPlugin(LocalKeyProvider(keys._path, keyring_table="crypt-keyring")))
    db.create(Card(token=key, number=PAN))
    raw = db.get(RawCard, key)
    db.put(RawMoved(token=key, number=raw.number, seal=raw.seal, sealed=raw.sealed))
    assert db.get(Moved, key).number == PAN
    db.delete(RawMoved, key)
    with DB(db.inner.config) as plain:
        assert next(record.sk for record in plain.model(Records).where(Records.pk == "~K#pci").all()) == "ACTIVE"


def test_a_key_with_a_sort_key_and_bytes(db, key):
    db.create(Line(order=key, number=1, secret=b"\0\xff"))
    db.create(Line(order=key, number=2, secret=b""))
    assert [line.secret for line in db.model(Line).where(Line.order == key).all()] == [b"\0\xff", b""]
    stored = db.get(Plain, key, 1).secret
    db.update(Plain, key, 2, Plain.secret.set(stored))
    with pytest.raises(TamperedCiphertext):
        db.get(Line, key, 2)


def test_tenants_share_no_key(plugged, key):
    provider = Provider()
    db = plugged(EncryptionPlugin(provider))
    mine, yours = db.view(tenant=f"{key}-mine"), db.view(tenant=f"{key}-yours")
    mine.create(Card(token=key, number=PAN))
    assert mine.get(Card, key).number == PAN
    yours.create(Card(token=key + "2", number="4"))
    for other in (yours, db):
        with pytest.raises(KeyUnavailable) as refused:
            other.get(Card, key)
        assert refused.value.version
    raw = db.get(RawCard, key + "2")
    db.update(RawCard, key, RawCard.number.set(raw.number))
    with pytest.raises(KeyUnavailable):
        mine.get(Card, key)
    with pytest.raises(KeyUnavailable):
        yours.get(Card, key, select=["number"])
    assert {context.get("dynamorm-tenant") for context in provider.contexts} <= {f"{key}-mine", f"{key}-yours", None}


def test_a_scan_leaves_out_the_records_of_keys(db, key):
    db.create(Moved(token=key, number=PAN))
    assert {card.number for card in db.model(Moved).allow_scan().all()} == {PAN}
    assert db.model(Moved).where(Moved.token == key).count() == 1
    with DB(db.inner.config) as plain:
        rows = [raw.token for raw in plain.model(RawMoved).allow_scan().all()]
    assert any(token.startswith("~K#pci#V#") for token in rows)
    assert db.model(Moved).allow_scan().count() == sum(not token.startswith("~K#") for token in rows)


def test_one_call_of_the_provider_for_a_ring_and_tenant(plugged, key):
    first = Provider()
    db = plugged(EncryptionPlugin(first))
    view = db.view(tenant=key)
    for at in range(20):
        view.create(Card(token=f"{key}{at}", number=PAN))
        assert view.get(Card, f"{key}{at}").number == PAN
    view.model(Card).where(Card.token == key + "3").all()
    assert first.calls.count("generate") == 2  # the rings pci and pii
    assert first.calls.count("unwrap") == 2  # what is stored is used, never one's own copy
    second = Provider()
    second.made = first.made
    other = plugged(EncryptionPlugin(second)).view(tenant=key)
    for at in range(20):
        assert other.get(Card, f"{key}{at}").number == PAN
    other.create(Card(token=f"{key}x", number=PAN))
    assert second.calls == ["unwrap"] * 2


def test_two_processes_that_make_a_ring_agree_on_one_key(plugged, key):
    first, second = Provider(), Provider()
    second.made = first.made
    dbs = [plugged(EncryptionPlugin(provider)).view(tenant=key) for provider in (first, second)]
    began = []

    def other_comes_first(what):
        if what == "generate" and not began:
            began.append(what)
            plugged(EncryptionPlugin(second), kind="blocking").view(tenant=key).create(
                Line(order=key, number=9, secret=b"9")
            )

    first.fails = other_comes_first
    dbs[0].create(Line(order=key, number=1, secret=b"1"))
    dbs[1].create(Line(order=key, number=2, secret=b"2"))
    for db in dbs:
        assert [line.secret for line in db.model(Line).where(Line.order == key).all()] == [b"1", b"2", b"9"]
    versions = {raw.secret[4:20] for raw in plugged().model(Plain).where(Plain.order == key).all()}
    assert len(versions) == 1


def test_without_a_provider_it_is_told(plugged, key):
    db = plugged()
    with pytest.raises(EncryptionNotConfigured, match=r"Card\.number .*set_encryption_provider"):
        db.create(Card(token=key, number=PAN))
    assert plugged().get(RawCard, key) is None


def test_the_method_of_the_database(plugged, keys, key):
    db = plugged()
    db.set_encryption_provider(keys)
    db.create(Card(token=key, number=PAN))
    assert db.get(Card, key).number == PAN
    with pytest.raises(ConfigError):
        db.set_encryption_provider(keys)
    with pytest.raises(ConfigError, match="generate and unwrap"):
        plugged().set_encryption_provider("alias/key")


def test_a_local_provider_is_for_no_production(engine, keys):
    config = Presets.production(region="eu-west-1", cursor_key=os.urandom(32))
    db = DB(config)
    with db, pytest.raises(ConfigError, match="LocalKeyProvider"):
        db.set_encryption_provider(keys)


def test_the_file_of_a_local_provider(tmp_path):
    path = tmp_path / "deep" / "keys"
    LocalKeyProvider(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = path.read_bytes()
    LocalKeyProvider(path)
    assert path.read_bytes() == first
    assert len(list(path.parent.iterdir())) == 1
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        LocalKeyProvider(path)
    path.chmod(0o600)
    path.write_bytes(b"something else")
    with pytest.raises(ConfigError, match="holds no keys"):
        LocalKeyProvider(path)


def test_another_local_file_opens_nothing(plugged, keys, tmp_path, key):
    plugged(EncryptionPlugin(keys)).create(Card(token=key, number=PAN))
    other = plugged(EncryptionPlugin(LocalKeyProvider(tmp_path / "other")))
    with pytest.raises(KeyDisabled) as refused:
        other.get(Card, key)
    assert not refused.value.retryable
    with pytest.raises(KeyDisabled):
        other.create(Card(token=key + "2", number=PAN))
    assert other.get(RawCard, key + "2") is None


@pytest.mark.parametrize("ring", ["", "a b", "ä", "x" * 65, None, 5])
def test_a_ring_has_a_name(ring):
    with pytest.raises(ModelError, match="ring"):
        Encrypted(ring)


def test_keys_cannot_be_encrypted(db):
    class Wrong(Model, table="wrong"):
        id: Attr[str] = partition_key(Encrypted("pci"))

    with pytest.raises(ModelError, match=r"Wrong\.id"):
        db.get(Wrong, "x")


def test_a_value_that_cannot_be_stored_is_named_without_itself(db, key):
    with pytest.raises(ValidationError, match=r"Card\.number") as refused:
        db.create(Card(token=key, number=4111))
    assert "4111" not in str(refused.value)


def test_a_class_of_pydantic_hides_what_it_was_given(plugged, keys, key):
    pydantic = pytest.importorskip("pydantic")

    def registered(**config):
        class Person(pydantic.BaseModel):
            model_config = pydantic.ConfigDict(**config)
            token: str
            number: str | None = None

        return register(Person, table="crypt-cards", partition="token", options={"number": [Encrypted("pii")]})

    db = plugged(EncryptionPlugin(keys))
    with pytest.raises(ModelError, match="hide_input_in_errors"):
        db.get(registered(), key)
    person = registered(hide_input_in_errors=True)
    db.create(person(token=key, number=PAN))
    assert db.get(RawCard, key).number[:4] == b"\xd7\x01\x01\x00"
    assert db.get(person, key).number == PAN
