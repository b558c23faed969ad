"""The seal of an item: one attribute that is rolled back is found, whatever verb has written the item."""

from hashlib import sha256

import pytest

from dynamorm import DB, Attr, BatchConfig, Encrypted, Model, Presets, attr, partition_key, version
from dynamorm.errors import KeyUnavailable, ModelError, TamperedCiphertext
from dynamorm.plugins import EncryptionPlugin
from dynamorm.plugins.encryption.envelope import framed

from .encryption_kit import Provider


class Sealed(Model, table="seal-cards"):
    token: Attr[str] = partition_key()
    last4: Attr[str] = attr(default="")
    hits: Attr[int] = attr(default=0)
    number: Attr[str | None] = attr(Encrypted("pci"), default=None)
    spare: Attr[str | None] = attr(Encrypted("pci"), default=None)
    note: Attr[str | None] = attr(Encrypted("pii", seal=True), default=None)
    version: Attr[int] = version()


class Slim(Model, table="seal-cards"):
    """A class that knows some of the attributes."""

    token: Attr[str] = partition_key()
    last4: Attr[str] = attr(default="")
    number: Attr[str | None] = attr(Encrypted("pci"), default=None)
    version: Attr[int] = version()


class Free(Model, table="seal-free"):
    """Without a version."""

    token: Attr[str] = partition_key()
    last4: Attr[str] = attr(default="")
    number: Attr[str | None] = attr(Encrypted("pci"), default=None)
    spare: Attr[str | None] = attr(Encrypted("pci"), default=None)


class Raw(Model, table="seal-cards"):
    token: Attr[str] = partition_key()
    number: Attr[bytes | None] = attr(default=None)
    spare: Attr[bytes | None] = attr(default=None)
    note: Attr[bytes | None] = attr(default=None)
    stored_version: Attr[int | None] = attr(name="version", default=None)
    seal: Attr[bytes | None] = attr(name="_seal", default=None)
    sealed: Attr[bytes | None] = attr(name="_sealed", default=None)


class RawFree(Model, table="seal-free"):
    token: Attr[str] = partition_key()
    number: Attr[bytes | None] = attr(default=None)
    seal: Attr[bytes | None] = attr(name="_seal", default=None)


@pytest.fixture(scope="module")
def made(engine, prefix):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        db.tables.create(Raw)
        db.tables.create(RawFree)
    return prefix


@pytest.fixture
def db(plugged, keys):
    return plugged(EncryptionPlugin(keys))


def refused(db, key):
    for read in (
        lambda: db.get(Sealed, key),
        lambda: db.get(Sealed, key, select=["last4"]),
        lambda: db.model(Sealed).where(Sealed.token == key).all(),
        lambda: db.batch_get(Sealed, [key]),
        lambda: db.transact_get([(Sealed, key)]),
        lambda: db.update(Sealed, key, Sealed.last4.set("x")),
    ):
        with pytest.raises(TamperedCiphertext, match="Sealed"):
            read()
    return True


def test_every_verb_seals(db, key):
    card = db.create(Sealed(token=key, number="1", spare="a", note="n"))
    card.number = "2"
    db.save(card)
    assert db.get(Sealed, key).number == "2"
    db.update(card, Sealed.number.set("3"), Sealed.hits.add(1))
    assert db.get(Sealed, key).number == "3"
    db.update(Sealed, key, Sealed.spare.set("b"))
    db.update(Sealed, key, Sealed.number.remove(), Sealed.last4.set("9"))
    found = db.get(Sealed, key)
    assert (found.number, found.spare, found.note, found.last4) == (None, "b", "n", "9")
    db.update(Sealed, key + "new", Sealed.number.set("5"), upsert=True)
    assert db.get(Sealed, key + "new").number == "5"
    assert db.increment(Sealed, key, Sealed.hits, by=2) == 3
    assert db.get(Sealed, key).hits == 3
    with db.transaction() as tx:
        tx.update(Sealed, key, Sealed.number.set("7"))
        tx.create(Sealed(token=key + "tx", number="8"))
    assert [one.number for one in db.batch_get(Sealed, [key, key + "tx"])] == ["7", "8"]
    assert db.batch_write(puts=[Sealed(token=f"{key}-{at}", number=str(at)) for at in range(3)]).count == 3
    assert db.get(Sealed, f"{key}-2").number == "2"
    with db.new_batcher(BatchConfig(max_wait=0.01)) as batcher:
        batcher.add(Sealed(token=key + "batched", number="9"))
    assert db.get(Sealed, key + "batched").number == "9"
    db.put(Sealed(token=key, number="10"))
    assert db.get(Sealed, key).number == "10"
    loaded = db.get(Sealed, key)
    loaded.last4 = "1"
    db.put(loaded)
    assert db.get(Sealed, key).last4 == "1"


@pytest.mark.parametrize("attribute", ["number", "spare", "note"])
def test_an_attribute_that_is_rolled_back_is_found(db, key, attribute):
    db.create(Sealed(token=key, number="1", spare="a", note="n"))
    before = db.get(Raw, key)
    db.update(Sealed, key, *(getattr(Sealed, name).set("2") for name in ("number", "spare", "note")))
    db.update(Raw, key, getattr(Raw, attribute).set(getattr(before, attribute)))
    assert refused(db, key)


@pytest.mark.parametrize(
    "change",
    [
        lambda before: (Raw.number.set(before.number), Raw.seal.set(before.seal)),
        lambda _: (Raw.seal.remove(),),
        lambda _: (Raw.number.remove(),),
        lambda before: (Raw.number.set(before.number), Raw.sealed.set(before.sealed)),
        lambda _: (Raw.sealed.remove(),),
        lambda _: (Raw.sealed.set(b"\x01"), Raw.seal.set(b"\xd8\x01")),
        lambda _: (Raw.stored_version.set(0),),
        lambda _: (Raw.stored_version.remove(),),
    ],
    ids=[
        "with its seal",
        "no seal",
        "removed",
        "with what is sealed",
        "nothing sealed",
        "an empty seal",
        "a former version",
        "no version",
    ],
)
def test_what_does_not_belong_together_is_found(db, key, change):
    db.create(Sealed(token=key, number="1", note="n"))
    before = db.get(Raw, key)
    db.update(Sealed, key, Sealed.number.set("2"))
    db.update(Raw, key, *change(before))
    assert refused(db, key)


def test_an_item_that_was_rolled_back_as_a_whole_has_the_seal_that_fits(db, key):
    db.create(Sealed(token=key, number="1"))
    before = db.get(Raw, key)
    db.update(Sealed, key, Sealed.number.set("2"))
    db.put(before)
    assert db.get(Sealed, key).number == "1"


@pytest.mark.parametrize("name", ["seal", "sealed"])
def test_every_flipped_bit_of_a_seal_is_found(db, key, name):
    db.create(Sealed(token=key, number="1"))
    seal = getattr(db.get(Raw, key), name)
    for at in range(0, len(seal) * 8, 7):
        flipped = bytearray(seal)
        flipped[at // 8] ^= 1 << at % 8
        db.update(Raw, key, getattr(Raw, name).set(bytes(flipped)))
        with pytest.raises((TamperedCiphertext, KeyUnavailable)):
            db.get(Sealed, key)


def test_without_a_version_two_writers_do_not_break_it(db, key):
    db.create(Free(token=key, number="1", spare="a"))
    mine, yours = db.get(Free, key), db.get(Free, key)
    mine.number, yours.last4 = "2", "9"
    db.save(mine)
    db.update(Free, key, Free.spare.set("b"))
    found = db.get(Free, key)
    assert (found.number, found.spare) == ("2", "b")
    yours = db.get(Free, key)
    yours.last4 = "9"
    db.save(yours)
    assert db.get(Free, key).last4 == "9"


def test_a_class_that_knows_some_of_it_reads_and_writes(db, key):
    db.create(Sealed(token=key, number="1", spare="a", note="n"))
    slim = db.get(Slim, key)
    assert slim.number == "1"
    slim.number = "2"
    db.save(slim)
    db.update(Slim, key, Slim.last4.set("9"))
    found = db.get(Sealed, key)
    assert (found.number, found.spare, found.note) == ("2", "a", "n")
    db.update(Raw, key, Raw.spare.set(b"x"))
    assert db.get(Slim, key).number == "2"
    db.update(Slim, key, Slim.number.set("3"))
    with pytest.raises(TamperedCiphertext):
        db.get(Sealed, key)


def test_an_update_by_key_reads_before(db, key):
    db.create(Free(token=key, number="1"))
    before = db.get(RawFree, key).seal
    db.update(Free, key, Free.number.set("2"))
    assert db.get(RawFree, key).seal != before
    assert db.get(Free, key).number == "2"


def test_what_goes_with_no_seal():
    with pytest.raises(ModelError, match="Go library"):
        Encrypted("pci", seal=True, accept_v1=True)
    assert Encrypted("pci", envelope="v1").seal is False


def test_classes_of_a_table_agree_on_what_is_sealed(plugged, key):
    class Bare(Model, table="seal-cards"):
        token: Attr[str] = partition_key()
        number: Attr[str | None] = attr(Encrypted("pci", seal=False), default=None)

    for first, then in ((Sealed, Bare), (Bare, Sealed)):
        db = plugged(EncryptionPlugin(Provider()))
        db.get(first, key)
        for _ in range(2):
            with pytest.raises(ModelError, match=r"Sealed\.number belongs to the seal .* Bare\.number"):
                db.get(then, key)
        db.get(first, key)


def test_a_table_that_others_write_too_has_none(plugged, key):
    class Shared(Model, table="seal-free", write_tokens=False):
        token: Attr[str] = partition_key()
        number: Attr[str | None] = attr(Encrypted("pci", seal=True), default=None)

    db = plugged(EncryptionPlugin(Provider()))
    with pytest.raises(ModelError, match="break the seal"):
        db.get(Shared, key)


def test_what_is_stored_is_what_the_page_on_the_format_says(plugged, key):
    plugin = EncryptionPlugin(Provider())
    db = plugged(plugin).view(tenant=key)  # with keys of its own
    db.create(Sealed(token=key, number="1"))
    raw = db.get(Raw, key)
    number = b"\0\0\0\x06number" + (len(raw.number) + 1).to_bytes(4, "big") + b"B" + raw.number
    rest = b"\x010" + b"\0\x06number" + sha256(number).digest()[:16]
    assert raw.sealed == b"\x01\x03pci" + len(rest).to_bytes(4, "big") + rest
    (opened,) = plugin.keys._active.values()
    bound = framed(b"dynamorm/seal/1", b"seal-cards", key.encode())
    place = bound + framed(b"token", b"S", key.encode(), b"", b"", b"") + framed(b"pci", rest)
    assert raw.seal == b"\xd8\x01\x03pci" + opened.version + opened.branch.seal(place)
