"""A tracked field becomes encrypted: its records stay true; what is opened of fields that are not tracked any more is recorded."""

import datetime as dt

import pytest

from dynamorm import Attr, ChangeTrackingConfig, Encrypted, Model, actor, attr, partition_key, schema_of
from dynamorm.errors import ConfigError
from dynamorm.plugins import EncryptionPlugin
from dynamorm.plugins.audit import AuditLog, Sealed

from .audit_kit import KEY, acting
from .encryption_kit import Keys, Provider

UNTIL = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def made(prefix):
    return prefix


@pytest.fixture
def tracking(plugged, key, face_kind, request):
    """Opens a database that tracks some fields of a model, with the same keys each time."""
    acting(request, actor("user:42"))
    provider = Provider()

    def open_(model, fields, *, plugins=True):
        log = AuditLog(audit_key=KEY)
        if fields:
            log.track(schema_of(model), ChangeTrackingConfig(fields=fields, store=f"store-{key[:12]}-{face_kind}"))
        db = plugged(*([log] if fields else []), *([EncryptionPlugin(provider)] if plugins else []))
        db.tables.ensure(model)
        return db

    return open_


@pytest.mark.parametrize("ring", ["pii", "pci"])
def test_a_field_that_becomes_encrypted_is_as_recorded(tracking, key, face_kind, ring):
    name = f"becomes-{ring}-{key[:12]}-{face_kind}"

    class Before(Model, table=name):
        id: Attr[str] = partition_key()
        amount: Attr[int] = attr(default=0)
        number: Attr[str | None] = attr(default=None)

    class Raw(Model, table=name):
        id: Attr[str] = partition_key()
        number: Attr[str | bytes | None] = attr(default=None)

    class After(Model, table=name):
        id: Attr[str] = partition_key()
        amount: Attr[int] = attr(default=0)
        number: Attr[str | None] = attr(Encrypted(ring, plaintext_until=UNTIL), default=None)

    plain = tracking(Before, ["amount", "number"], plugins=False)
    for one in "abc":
        plain.create(Before(id=one, number="1"))
    db = tracking(After, ["amount", "number"])
    assert Keys(db).reencrypt(After, only=lambda item: True).complete
    for one in "abc":
        assert db.get(After, one).number == "1"
    for one in "abc":
        assert isinstance(plain.get(Raw, one, consistent=True).number, bytes)
        assert db.audit.verify(After, one).ok
    db.update(After, "a", After.amount.set(5))
    db.update(After, "b", After.number.set("2"))
    db.audit.restore(After, "b", version=1)
    db.audit.restore(After, "c", version=1)
    for one in "abc":
        verdict = db.audit.verify(After, one)
        assert (verdict.ok, verdict.external) == (True, ())
        assert db.get(After, one).number == "1"
    assert [one.op for one in db.audit.history(After, "a")] == ["create", "update"]
    assert [one.op for one in db.audit.history(After, "b")] == ["create", "update", "update"]


def test_an_encrypted_value_that_others_put_there_is_external(tracking, key, face_kind):
    class Card(Model, table=f"put-{key[:12]}-{face_kind}"):
        id: Attr[str] = partition_key()
        number: Attr[str | None] = attr(Encrypted("pii", plaintext_until=UNTIL), default=None)

    class Raw(Model, table=f"put-{key[:12]}-{face_kind}"):
        id: Attr[str] = partition_key()
        number: Attr[str | bytes | None] = attr(default=None)

    db, plain = tracking(Card, ["number"]), tracking(Raw, [], plugins=False)
    db.create(Card(id="a", number="1"))
    former = plain.get(Raw, "a").number
    db.update(Card, "a", Card.number.set("2"))
    plain.update(Raw, "a", Raw.number.set(former))
    assert db.audit.verify(Card, "a").reason == "external"
    plain.update(Raw, "a", Raw.number.set("2"))
    assert db.audit.verify(Card, "a").reason == "external"


def test_items_with_records_are_encrypted_anew_only_by_who_tracks_them(tracking, key, face_kind):
    class Card(Model, table=f"anew-{key[:12]}-{face_kind}"):
        id: Attr[str] = partition_key()
        number: Attr[str | None] = attr(Encrypted("pii"), default=None)

    db, other = tracking(Card, ["number"]), tracking(Card, [])
    db.create(Card(id="a", number="1"))
    db.create(Card(id="b"))
    assert other.get(Card, "a").number == "1"
    Keys(other).rotate("pii")
    with pytest.raises(ConfigError, match="enable_change_tracking"):
        Keys(other).reencrypt(Card)
    assert db.audit.verify(Card, "a").ok
    again = tracking(Card, ["number"])
    assert Keys(again).reencrypt(Card).rewritten == 1
    assert again.audit.verify(Card, "a").ok


def test_what_is_opened_of_fields_that_are_tracked_no_more_is_recorded(tracking, key, face_kind):
    class Card(Model, table=f"opened-{key[:12]}-{face_kind}"):
        id: Attr[str] = partition_key()
        amount: Attr[int] = attr(default=0)
        number: Attr[str | None] = attr(Encrypted("pii"), default=None)
        iban: Attr[str | None] = attr(Encrypted("pii"), name="account", default=None)

    db = tracking(Card, ["amount", "number", "iban"])
    db.create(Card(id="a", number="4111", iban="CH1"))
    for left, told in ((["amount", "iban"], {"number", "iban"}), (["amount"], {"number", "account"})):
        db = tracking(Card, left)
        (record,) = db.audit.history(Card, "a", reveal=True)
        opened = {change.field for change in record.changes if not isinstance(change.new, Sealed)}
        assert opened == {"amount", *told}
        assert {change.new for change in record.changes} == {0, "4111", "CH1"}
        assert set(db.audit.reveals(Card, "a")[-1].revealed) == told
        assert db.audit.verify(Card, "a").ok
