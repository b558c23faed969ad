"""Records of streams: images are opened for the database that is given, and the library's own records are passed over."""

import base64

import pytest

from dynamorm import DB, Attr, Encrypted, Model, Presets, attr, partition_key, version
from dynamorm.codec.strict import read_object
from dynamorm.errors import InvalidUse, ModelError, TamperedCiphertext
from dynamorm.plugins import EncryptionPlugin
from dynamorm.streams import decode, decode_event, process


class Card(Model, table="stream-cards"):
    token: Attr[str] = partition_key()
    number: Attr[str | None] = attr(Encrypted("pci", searchable=True), default=None)
    version: Attr[int] = version()


class Raw(Model, table="stream-cards"):
    token: Attr[str] = partition_key()
    number: Attr[bytes | None] = attr(default=None)


@pytest.fixture(scope="module")
def made(engine, prefix):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        db.tables.create(Raw)
    return prefix


@pytest.fixture
def opened(plugged, keys):
    return lambda kind=None: plugged(EncryptionPlugin(keys), **({"kind": kind} if kind else {}))


def image(db, key):
    """The stored item, as a stream shows it."""
    obj = db.get(Card, key)
    state = obj.__loaded__
    return read_object(bytes(state))


def record(new, old=None, name="MODIFY"):
    images = {"NewImage": new} | ({} if old is None else {"OldImage": old})
    return {
        "eventID": "1",
        "eventName": name,
        "dynamodb": {
            "Keys": {"token": new["token"]},
            "SequenceNumber": "111",
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **images,
        },
    }


def test_images_are_opened(opened, key):
    db = opened("blocking")
    card = db.create(Card(token=key, number="1"))
    old = image(db, key)
    card.number = "2"
    db.save(card)
    given = record(image(db, key), old)
    for other in (db, opened("blocking")):
        found = decode(given, Card, db=other.inner)
        assert (found.old.number, found.new.number) == ("1", "2")
        assert [one.new.number for one in decode_event({"Records": [given]}, Card, db=opened("blocking").inner)] == [
            "2"
        ]


def test_without_a_database_it_is_refused(opened, key):
    db = opened("blocking")
    db.create(Card(token=key, number="1"))
    with pytest.raises(ModelError, match="pass it as db="):
        decode(record(image(db, key)), Card)


def test_on_the_asyncio_face_keys_must_be_there(opened, key):
    opened("blocking").create(Card(token=key, number="1"))
    given = record(image(opened("blocking"), key))
    db = opened("asyncio")
    with pytest.raises(InvalidUse, match="nobody awaits"):
        decode(given, Card, db=db.inner)
    db.get(Card, key)
    assert decode(given, Card, db=db.inner).new.number == "1"


def test_an_image_that_was_tampered_with_is_refused(opened, key):
    db = opened("blocking")
    db.create(Card(token=key, number="1"))
    new = image(db, key)
    raw = bytearray(base64.b64decode(new["number"]["B"]))
    raw[-1] ^= 1
    new["number"] = {"B": base64.b64encode(raw).decode()}
    for other in (db, opened("blocking")):
        with pytest.raises(TamperedCiphertext):
            decode(record(new), Card, db=other.inner)


def test_records_of_keys_are_passed_over(opened, key):
    db = opened("blocking")
    db.create(Card(token=key, number="1"))
    keys = [{"token": {"S": "~K#pci#ACTIVE"}}, {"token": {"S": "T#t1#~K#pci#ACTIVE"}}]
    event = {"Records": [record(image(db, key)), *(record(one) for one in keys)]}
    seen = []
    assert process(event, Card, lambda one: seen.append(one.new.number), db=db.inner) == {"batchItemFailures": []}
    assert seen == ["1"]
    assert decode(record(keys[0]), Card, db=db.inner).is_system


@pytest.mark.parametrize("at", ["~K#pci#ACTIVE", "T#t1#~K#pci#V#1", b"~K#pci#ACTIVE"])
@pytest.mark.parametrize("plugin", [None, "another", "encryption"])
def test_a_record_of_keys_is_no_object_of_a_plain_class(opened, engine, prefix, at, plugin):
    model = Raw
    wire = {"S": at}
    if isinstance(at, bytes):

        class Box(Model, table="stream-boxes"):
            token: Attr[bytes] = partition_key()

        model, wire = Box, {"B": base64.b64encode(at).decode()}
    item = {"token": wire, "_wrapped": {"B": "AAAA"}, "_state": {"S": "enabled"}}
    db = None
    if plugin == "encryption":
        db = opened("blocking").inner
    elif plugin == "another":
        db = DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix))
    for name in ("INSERT", "MODIFY", "REMOVE"):
        found = decode(record(item, item, name), model, db=db)
        assert (found.new, found.old) == (None, None)
        assert tuple(found) == (found.kind, None, None)
        assert found.is_system
    other = {"token": {"S": "K#1"} if model is Raw else {"B": "AAAA"}}
    assert decode(record(other), model, db=db).new.token == ("K#1" if model is Raw else b"\0\0\0")
