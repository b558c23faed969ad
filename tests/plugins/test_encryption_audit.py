"""Encrypted items with an audit trail: both write into one item, and no record holds a value in the clear."""

import pytest

from dynamorm import (
    Attr,
    ChangeTrackingConfig,
    Encrypted,
    Model,
    Unique,
    actor,
    attr,
    partition_key,
    schema_of,
    version,
)
from dynamorm.errors import DuplicateKey
from dynamorm.plugins import EncryptionPlugin
from dynamorm.plugins.audit import AuditLog

from .audit_kit import KEY
from .encryption_kit import PAN, Keys, Provider


@pytest.fixture(scope="module")
def made(prefix):
    return prefix


def model(name):
    class Card(Model, table=name):
        id: Attr[str] = partition_key()
        note: Attr[str] = attr(default="")
        hits: Attr[int] = attr(default=0)
        number: Attr[str | None] = attr(Encrypted("pci", searchable=True), Unique(), default=None)
        version: Attr[int] = version()

    return Card


def test_both_go_together_in_every_verb(plugged, key, face_kind):
    Card = model(f"both-{key[:12]}-{face_kind}")
    store = f"store-{key[:12]}-{face_kind}"
    log = AuditLog(audit_key=KEY)
    log.track(schema_of(Card), ChangeTrackingConfig(fields=["note", "hits"], store=store))
    db = plugged(log, EncryptionPlugin(Provider()))
    db.tables.ensure(Card)
    with actor("user:42"):
        card = db.create(Card(id="a", number=PAN, note="x"))
        card.note, card.number = "y", "2"
        db.save(card)
        db.update(Card, "a", Card.note.set("z"), Card.number.set(PAN))
        db.update(Card, "a", Card.hits.add(2))
        db.increment(Card, "a", Card.hits, by=1)
        with db.transaction() as tx:
            tx.update(Card, "a", Card.note.set("t"))
            tx.create(Card(id="b", number="3"))
        with pytest.raises(DuplicateKey):
            db.create(Card(id="c", number=PAN))
        db.put(Card(id="b", number="4", note="p"))
        db.delete(Card, "b")
    found = db.get(Card, "a")
    assert (found.note, found.hits, found.number) == ("t", 3, PAN)
    assert db.find_by_unique(Card, number=PAN).id == "a"
    assert db.audit.verify(Card, "a").ok
    assert [one.op for one in db.audit.history(Card, "b")] == ["create", "update", "delete"]
    assert Keys(db).reencrypt(Card).failed == 0
    Keys(db).rotate("pci")
    assert Keys(db).reencrypt(Card).rewritten == 1
    assert db.audit.verify(Card, "a").ok
    assert db.get(Card, "a").number == PAN
