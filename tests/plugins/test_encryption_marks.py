"""Values that cannot be opened: marked where their field says so, and never written over by accident."""

import copy

import pytest

from dynamorm import DB, Attr, Encrypted, Model, Presets, Undecryptable, attr, partition_key, version
from dynamorm.errors import KeyDisabled, KeyUnavailable, MissingItem, Outcome, TamperedCiphertext, ValidationError
from dynamorm.plugins import EncryptionPlugin

from .encryption_kit import Keys, Provider


class Card(Model, table="mark-cards"):
    token: Attr[str] = partition_key()
    last4: Attr[str] = attr(default="")
    number: Attr[str | None] = attr(Encrypted("pii", on_decrypt_error="mark", searchable=True), default=None)
    sealed: Attr[str | None] = attr(Encrypted("pci", on_decrypt_error="mark"), default=None)
    strict: Attr[str | None] = attr(Encrypted("pii"), default=None)
    version: Attr[int] = version()


class Raw(Model, table="mark-cards"):
    token: Attr[str] = partition_key()
    number: Attr[bytes | None] = attr(default=None)
    sealed: Attr[bytes | None] = attr(default=None)
    strict: Attr[bytes | None] = attr(default=None)


@pytest.fixture(scope="module")
def made(engine, prefix):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        db.tables.create(Raw)
    return prefix


@pytest.fixture
def db(plugged, keys):
    return plugged(EncryptionPlugin(keys))


def broken(db, key, name="number"):
    db.create(Card(token=key, number="1", sealed="s", last4="1"))
    raw = bytearray(getattr(db.get(Raw, key), name))
    raw[-1] ^= 1
    db.update(Raw, key, getattr(Raw, name).set(bytes(raw)))
    return bytes(raw)


@pytest.mark.parametrize("name", ["number", "sealed"])
def test_what_cannot_be_opened_is_marked(db, key, name):
    broken(db, key, name)
    for card in (
        db.get(Card, key),
        db.model(Card).where(Card.token == key).one(),
        db.batch_get(Card, [key])[0],
        db.get(Card, key, select=[name]),
    ):
        found = getattr(card, name)
        assert isinstance(found, Undecryptable)
        assert isinstance(found.error, TamperedCiphertext)
        assert repr(found) == "<undecryptable>"
        assert "undecryptable" not in repr(card)
    assert db.get(Card, key).last4 == "1"


@pytest.mark.parametrize(
    "use",
    [
        str,
        bool,
        len,
        list,
        lambda mark: mark == "1",
        lambda mark: mark != "1",
        lambda mark: mark < "1",
        lambda mark: mark + "1",
        lambda mark: f"{mark}",
        lambda mark: mark.upper(),
        lambda mark: mark[0],
        lambda mark: "1" in mark,
        lambda mark: mark.__reduce_ex__(2),
    ],
)
def test_any_use_of_it_raises_why(db, key, use):
    broken(db, key)
    mark = db.get(Card, key).number
    with pytest.raises(TamperedCiphertext, match=r"Card\.number"):
        use(mark)
    assert copy.deepcopy(mark) is mark


def test_a_save_keeps_what_is_stored(db, key):
    stored = broken(db, key)
    card = db.get(Card, key)
    card.last4 = "2"
    db.save(card)
    assert bytes(db.get(Raw, key).number) == stored
    assert db.get(Card, key).last4 == "2"
    db.update(card, Card.last4.set("3"))
    assert bytes(db.get(Raw, key).number) == stored
    card = db.get(Card, key)
    card.number = "2"
    db.save(card)
    assert db.get(Card, key).number == "2"


def test_a_put_is_refused(db, key):
    stored = broken(db, key)
    card = db.get(Card, key)
    for write in (
        lambda: db.put(card),
        lambda: db.create(Card(token=key + "2", number=card.number)),
        lambda: db.update(Card, key, Card.number.set(card.number)),
        lambda: db.batch_write(puts=[card]),
    ):
        with pytest.raises((ValidationError, TamperedCiphertext)):
            write()
    assert bytes(db.get(Raw, key).number) == stored
    other = db.create(Card(token=key + "3", number="3"))
    other.number = card.number
    with pytest.raises(ValidationError, match="could not be read"):
        db.save(other)


def test_what_is_not_marked_raises(db, key):
    db.create(Card(token=key, strict="1"))
    db.update(Raw, key, Raw.strict.set(b"\xd7\x01\x01\0" + bytes(120)))
    with pytest.raises((TamperedCiphertext, KeyUnavailable)):
        db.get(Card, key)


def test_a_roll_back_of_a_marked_field_is_refused(db, key):
    db.create(Card(token=key, sealed="1"))
    before = db.get(Raw, key).sealed
    db.update(Card, key, Card.sealed.set("2"))
    db.update(Raw, key, Raw.sealed.set(before))
    with pytest.raises(TamperedCiphertext):
        db.get(Card, key)


class Kept(Model, table="mark-cards"):
    token: Attr[str] = partition_key()
    number: Attr[str | None] = attr(Encrypted("kept", on_decrypt_error="mark"), default=None)


def test_a_lost_key_is_marked_and_one_that_does_not_answer_is_not(plugged, key):
    provider = Provider()
    db = plugged(EncryptionPlugin(provider)).view(tenant=key)
    db.create(Kept(token=key, number="1"))

    def opened():
        return plugged(EncryptionPlugin(provider)).view(tenant=key)

    def down(what):
        raise KeyUnavailable("the service of keys does not answer")

    provider.fails = down
    with pytest.raises(KeyUnavailable):
        opened().get(Kept, key)

    def denied(what):
        raise KeyDisabled("access denied")

    provider.fails = denied
    found = opened().get(Kept, key)
    assert isinstance(found.number.error, KeyDisabled)
    provider.fails = lambda what: None
    assert opened().get(Kept, key).number == "1"


def test_one_call_that_fails_marks_nothing(plugged, key):
    """Neither at once, nor for those who read on and on: what is not known is no fact."""
    provider = Provider()
    plugged(EncryptionPlugin(provider)).view(tenant=key).create(Kept(token=key, number="1"))
    db = plugged(EncryptionPlugin(provider)).view(tenant=key)
    left = [1]

    def once(what):
        if left.pop():
            left.append(0)
            raise KeyUnavailable("the service of keys does not answer")
        left.append(0)

    provider.fails = once
    with pytest.raises(KeyUnavailable) as caught:
        db.get(Kept, key)
    assert caught.value.retryable
    for _ in range(5):
        assert db.get(Kept, key).number == "1"


@pytest.mark.parametrize("ring", ["pii", "subject"])
def test_who_reads_on_and_on_does_not_prolong_an_error(plugged, key, ring):
    provider, clock = Provider(), Clock()
    first = plugged(EncryptionPlugin(provider)).view(tenant=key)
    model = Kept if ring == "pii" else KeptOfSubject
    first.create(model(token=key, number="1"))
    plugin = EncryptionPlugin(provider)
    plugin.keys.clock = clock
    db = plugged(plugin).view(tenant=key)

    def denied(what):
        raise KeyDisabled("disabled for a while")

    provider.fails = denied
    assert isinstance(db.get(model, key).number.error, KeyDisabled)
    provider.fails = lambda what: None
    for _ in range(8):  # each read within the moment for which the error of the one before holds
        clock.now += 0.75
        found = db.get(model, key).number
    assert found == "1"


class KeptOfSubject(Model, table="mark-cards"):
    token: Attr[str] = partition_key()
    number: Attr[str | None] = attr(Encrypted("kept", on_decrypt_error="mark", subject="token"), default=None)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_an_error_behind_a_write_that_was_applied_is_not_retryable(plugged, key):
    """As where the item lies under a key from before a rotation, which nobody can know before the answer."""
    provider = Provider()
    before = plugged(EncryptionPlugin(provider))
    before.view(tenant=key).create(Counted(token=key, strict="1"))
    Keys(before).rotate("counted", tenant=key)
    db, left = plugged(EncryptionPlugin(provider)).view(tenant=key), [1]
    db.create(Counted(token=f"{key}2", strict="2"))  # so that it has the key that is in use

    def once(what):
        if left[0]:
            left[0] -= 1
            raise KeyUnavailable("the service of keys does not answer")

    provider.fails = once
    with pytest.raises(KeyUnavailable) as caught:
        db.update(Counted, key, Counted.hits.add(1))
    assert (caught.value.outcome, caught.value.retryable) == (Outcome.APPLIED, False)
    assert db.get(Counted, key).hits == 1


class Counted(Model, table="mark-cards"):
    token: Attr[str] = partition_key()
    hits: Attr[int] = attr(default=0)
    strict: Attr[str | None] = attr(Encrypted("counted"), default=None)


def test_an_update_of_what_is_not_there_says_so(db, key):
    with pytest.raises(MissingItem) as caught:
        db.update(KeptOf, key, KeptOf.name.set("1"))
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert db.get(KeptOf, key) is None


class KeptOf(Model, table="mark-cards"):
    token: Attr[str] = partition_key()
    customer: Attr[str | None] = attr(default=None, immutable=True)
    number: Attr[str | None] = attr(Encrypted("of"), default=None)
    name: Attr[str | None] = attr(Encrypted("of", subject="customer"), default=None)


def test_delete_all_needs_no_key_that_was_destroyed(plugged, key):
    provider = Provider()
    view = plugged(EncryptionPlugin(provider)).view(tenant=key)
    for at in range(3):
        view.create(Card(token=f"{key}-{at}", number="1", sealed="s"))

    def gone(what):
        raise KeyDisabled("destroyed")

    provider.fails = gone
    other = plugged(EncryptionPlugin(provider)).view(tenant=key)
    query = other.model(Card).allow_scan().where(Card.token.begins_with(key))
    assert query.delete_all(confirm=True) == 3
