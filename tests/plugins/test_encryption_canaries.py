"""What is searched by, sealed, rewritten and shredded leaves a value in no request, no answer, no log, no error and no report."""

import logging
import pickle

import pytest

from dynamorm import Attr, Bits, Encrypted, Model, Unique, attr, gsi, partition_key, version
from dynamorm.errors import DynamORMError
from dynamorm.plugins import EncryptionPlugin, LoggingPlugin

from .encryption_kit import Keys, Provider
from .test_ephemeral import forms

PAN, NAME, ZIP, SUBJECT = "4929-pan-canary-0002", "ann-name-canary", "lv-zip-canary", "customer-shown"


def model(name):
    """A model with a table of its own."""

    class Card(Model, table=name):
        token: Attr[str] = partition_key()
        customer: Attr[str] = attr(immutable=True, default=SUBJECT)
        number: Attr[str | None] = attr(Encrypted("pci", searchable=True), Unique(), default=None)
        name: Attr[str | None] = attr(
            Encrypted("pii", searchable=True, normalize=str.casefold, subject="customer", on_decrypt_error="mark"),
            default=None,
        )
        zip: Attr[str | None] = attr(Encrypted("pii", searchable=Bits(12)), default=None)
        version: Attr[int] = version()
        by_number = gsi("gsi-number", partition="number")

    return Card


class Wire:
    """Everything that is sent and answered."""

    name = "wire"

    def __init__(self):
        self.seen = []

    def around(self, call):
        def through(op):
            self.seen.append(bytes(op.body))
            return (yield from call(op))

        return through

    def observe(self, call, reply):
        self.seen.append(bytes(reply.body))


@pytest.fixture(scope="module")
def made(prefix):
    return prefix


def test_no_canary_is_found(plugged, key, caplog):
    caplog.set_level(logging.DEBUG)
    provider, wire = Provider(), Wire()
    db = plugged(EncryptionPlugin(provider), LoggingPlugin(logging.getLogger("canary")), wire)
    Card = model(f"canary-{key[:12]}")
    db.tables.create(Card)
    shown = []
    pan = f"{PAN}{key}"
    db.create(Card(token=key, number=pan, name=NAME, zip=ZIP))
    card = db.model(Card).where(Card.number.equals(pan)).one()
    assert (card.number, card.name, card.zip) == (pan, NAME, ZIP)
    assert db.find_by_unique(Card, number=pan).token == key
    assert db.model(Card).allow_scan().where(Card.name.equals(NAME.upper())).count() == 1
    assert db.model(Card).allow_scan().where(Card.zip.equals(ZIP)).count() == 1
    shown.append(repr(db.model(Card).where(Card.number.equals(pan))))
    shown.append(repr(Card.number.equals(pan)))
    db.update(Card, key, Card.zip.set(ZIP), condition=Card.number.equals(pan))
    for fails in (
        lambda: db.create(Card(token=key + "2", number=pan)),
        lambda: db.update(Card, key, Card.zip.set(ZIP), condition=Card.number.equals(NAME)),
        lambda: db.put(Card(token=key), condition=Card.zip.equals(ZIP)),
        lambda: db.model(Card).where(Card.name.equals(NAME)).all(),
    ):
        with pytest.raises(DynamORMError) as refused:
            fails()
        error = refused.value
        shown.append(f"{error}{error!r}{error.safe}{pickle.dumps(error)!r}")
    keys = Keys(db)
    shown += [str(keys.rotate("pci")), str(keys.rotate("pci", blind_index=True))]
    shown.append(str(keys.reencrypt(Card, progress=lambda done: shown.append(str(done)))))
    shown.append(str(keys.shred(subject=SUBJECT)))
    marked = db.get(Card, key)
    shown += [repr(marked), repr(marked.name), str(db.gauges()), str(db.metrics())]
    seen = b"\n".join([*wire.seen, *(text.encode() for text in shown), caplog.text.encode()])
    assert len(wire.seen) > 40
    for canary in (PAN, NAME, NAME.upper(), ZIP, *(plain for plain, _ in provider.made.values())):
        assert not [form for form in forms(canary) if form in seen], canary
    assert SUBJECT.encode() in seen  # it is stored as it is, and so the search finds what is there
