"""No variable of a frame of the library holds a protected value where an error is raised, whatever the verb and the error."""

import traceback

import pytest

from dynamorm import Attr, BatchConfig, Bits, Encrypted, Model, Unique, attr, gsi, partition_key, version
from dynamorm.errors import AccessDenied, DynamORMError, KeyDisabled, KeyUnavailable, ValidationError
from dynamorm.plugins import EncryptionPlugin

from .encryption_kit import Keys, Provider
from .test_ephemeral import forms, ours

PAN = "4929-pan-canary-0009"
BROKEN = "4929-pan-canary-0009-\ud800"


@pytest.fixture(scope="module")
def made(prefix):
    return prefix


@pytest.fixture
def card(plugged, key, face_kind):
    """A model, a database whose keys can be had, and one whose provider fails when told to."""

    class Card(Model, table=f"frames-{key[:12]}-{face_kind}"):
        token: Attr[str] = partition_key()
        customer: Attr[str] = attr(immutable=True, default="c1")
        last4: Attr[str] = attr(default="", max_length=4)
        number: Attr[str | None] = attr(Encrypted("pci", searchable=True), Unique(), default=None)
        name: Attr[str | None] = attr(
            Encrypted("pii", subject="customer", searchable=True, normalize=str.casefold), default=None
        )
        zip: Attr[str | None] = attr(Encrypted("pii", searchable=Bits(12)), default=None, max_length=40)
        document: Attr[dict | None] = attr(Encrypted("pii"), default=None)
        version: Attr[int] = version()
        by_number = gsi("gsi-number", partition="number")

    provider = Provider()
    first = plugged(EncryptionPlugin(provider))
    first.tables.create(Card)
    return Card, first, provider, lambda: plugged(EncryptionPlugin(provider))


def loaded(db, Card, name):
    return db.get(Card, name)


def changed(obj, **values):
    for name, value in values.items():
        setattr(obj, name, value)
    return obj


def transaction(db, act):
    with db.transaction() as tx:
        act(tx)


def batched(db, obj):
    with db.new_batcher(BatchConfig(max_wait=0.01)) as batcher:
        batcher.add(obj)


WRITES = {
    "create": lambda db, Card, value: db.create(Card(token="new", number=value, name=value, document={"a": value})),
    "create strict": lambda db, Card, value: db.create(Card(token="new", zip=value), strict=True),
    "put": lambda db, Card, value: db.put(Card(token="a", number=value, name=value)),
    "update": lambda db, Card, value: db.update(Card, "a", Card.number.set(value), Card.name.set(value)),
    "upsert": lambda db, Card, value: db.upsert(Card(token="new", name=value), Card.number.set(value)),
    "find_by_unique": lambda db, Card, value: db.find_by_unique(Card, number=value),
    "equals": lambda db, Card, value: db.model(Card).where(Card.number.equals(value)).all(),
    "equals of bits": lambda db, Card, value: db.model(Card).allow_scan().where(Card.zip.equals(value)).count(),
    "normalized": lambda db, Card, value: db.model(Card).allow_scan().where(Card.zip.equals(value)).first(),
    "a condition": lambda db, Card, value: db.update(
        Card, "a", Card.last4.set("1"), condition=Card.number.equals(value)
    ),
    "transaction": lambda db, Card, value: transaction(db, lambda tx: tx.create(Card(token="new", number=value))),
}


def failing(act):
    try:
        act()
    except DynamORMError as error:
        return error
    pytest.fail("nothing was raised")


def holds(error):
    text = ours(error)
    return [form for form in forms(PAN) if form.decode("latin-1") in text]


def frames(error):
    return [frame for frame, _ in traceback.walk_tb(error.__traceback__) if "/dynamorm/" in frame.f_code.co_filename]


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize("kind", [KeyUnavailable, KeyDisabled])
def test_where_no_key_is_given(card, verb, kind):
    Card, first, provider, opened = card
    first.create(Card(token="a", last4="1"))

    def fails(what):
        raise kind("no key")

    provider.fails = fails
    db = opened()
    error = failing(lambda: WRITES[verb](db, Card, PAN))
    assert type(error) is kind
    assert frames(error)
    assert not holds(error)


@pytest.mark.parametrize("verb", WRITES)
def test_where_a_value_is_no_text(card, verb):
    Card, first, _, _ = card
    first.create(Card(token="a", last4="1"))
    error = failing(lambda: WRITES[verb](first, Card, BROKEN))
    assert not holds(error)


MANY = {
    "batch_write": lambda db, Free, value: db.batch_write(puts=[Free(token="a"), Free(token="b", number=value)]),
    "batch_write of an iterator": lambda db, Free, value: db.batch_write(
        puts=(Free(token=name, number=value) for name in "ab")
    ),
    "batcher": lambda db, Free, value: batched(db, Free(token="a", number=value)),
    "delete_all": lambda db, Free, value: db.model(Free).allow_scan().where(Free.number.equals(value)).delete_all(),
}


@pytest.mark.parametrize("verb", MANY)
def test_where_many_are_written(plugged, key, face_kind, verb):
    class Free(Model, table=f"many-{key[:12]}-{face_kind}"):
        token: Attr[str] = partition_key()
        number: Attr[str | None] = attr(Encrypted("pci", searchable=True), default=None)

    provider = Provider()
    db = plugged(EncryptionPlugin(provider))
    db.tables.create(Free)
    errors = []

    def fails(what):
        raise KeyUnavailable("no key")

    provider.fails = fails
    for each in (PAN, BROKEN):
        try:
            result = MANY[verb](plugged(EncryptionPlugin(provider)), Free, each)
        except DynamORMError as error:
            errors.append(error)
        else:
            errors += [failure.error for failure in getattr(result, "failed", ())]
    if verb in {"batch_write", "delete_all"}:
        errors.append(failing(lambda: MANY[verb](plugged(EncryptionPlugin(provider)), Free, PAN)))
    assert errors or verb == "batcher"
    assert not [error for error in errors if holds(error)]


READS = {
    "get": lambda db, Card: db.get(Card, "a"),
    "require": lambda db, Card: db.require(Card, "a"),
    "all": lambda db, Card: db.model(Card).allow_scan().all(),
    "first": lambda db, Card: db.model(Card).where(Card.token == "a").first(),
    "page": lambda db, Card: db.model(Card).where(Card.token == "a").page(),
    "iterate": lambda db, Card: list(db.model(Card).where(Card.token == "a")),
    "count": lambda db, Card: db.model(Card).allow_scan().where(Card.zip.equals(PAN)).count(),
    "batch_get": lambda db, Card: db.batch_get(Card, ["a"]),
    "transact_get": lambda db, Card: db.transact_get((Card, "a")),
    "select": lambda db, Card: db.model(Card).where(Card.token == "a").select("token", "number").all(),
    "update": lambda db, Card: db.update(Card, "a", Card.last4.set("2")),
}


@pytest.mark.parametrize("verb", READS)
def test_where_a_read_fails(card, verb):
    Card, first, provider, opened = card
    first.create(Card(token="a", number=PAN, name=PAN, zip=PAN, document={"a": PAN}))

    def fails(what):
        raise KeyUnavailable("no key")

    provider.fails = fails
    db = opened()
    error = failing(lambda: READS[verb](db, Card))
    assert not holds(error)


def refused(db, Card):
    """Verbs that are refused for what is stored, or for what they are given, each holding a value."""
    held = db.get(Card, "a")
    again = db.get(Card, "a")
    db.save(changed(again, last4="9"))
    yield "create", lambda: db.create(Card(token="a", number=PAN + "1", name=PAN))
    yield "unique", lambda: db.create(Card(token="b", number=PAN))
    yield "version", lambda: db.save(changed(held, name=PAN + "2"))
    yield "condition", lambda: db.update(Card, "a", Card.number.set(PAN + "3"), condition=Card.last4 == "none")
    yield "missing", lambda: db.update(Card, "none", Card.number.set(PAN))
    yield "too long", lambda: db.create(Card(token="c", zip=PAN * 3))
    yield "too long to set", lambda: db.update(Card, "a", Card.zip.set(PAN * 3))
    yield "another field", lambda: db.create(Card(token="c", number=PAN, last4="12345"))
    yield "compared", lambda: db.model(Card).where(Card.document == {"a": PAN}).all()
    yield "ordered", lambda: db.model(Card).where(Card.number > PAN).all()
    yield "of another type", lambda: db.create(Card(token="c", number=PAN.encode()))
    yield "of another type to set", lambda: db.update(Card, "a", Card.number.set([PAN]))
    yield "no such argument", lambda: Card(token="c", number=PAN, nonsense=1)
    yield "no key", lambda: Card(number=PAN)
    yield "too large", lambda: db.create(Card(token="c", document={"a": PAN * 30_000}))
    yield "transaction", lambda: transaction(db, lambda tx: tx.create(Card(token="a", number=PAN + "4")))
    yield "added to", lambda: db.update(Card, "a", Card.number.add(PAN))


def test_where_a_verb_is_refused(card):
    Card, db, _, _ = card
    db.create(Card(token="a", number=PAN, name=PAN))
    held = {}
    for what, act in refused(db, Card):
        if found := holds(failing(act)):
            held[what] = found
    assert held == {}


def test_where_keys_are_worked_with(card):
    Card, db, provider, _ = card
    db.create(Card(token="a", number=PAN, name=PAN))
    Keys(db).rotate("pci")

    def fails(what):
        raise KeyUnavailable("no key")

    provider.fails = fails
    plugin = next(one for one in db.plugins if isinstance(one, EncryptionPlugin))
    for ring in list(plugin.keys._active):
        plugin.keys.forget(ring)
    error = failing(lambda: Keys(db).reencrypt(Card))
    assert not holds(error)


@pytest.mark.parametrize("field", ["number", "name", "zip", "document"])
def test_text_that_is_not_unicode_is_one_error_that_names_the_field(card, field):
    Card, db, _, _ = card
    value = {"a": [BROKEN]} if field == "document" else BROKEN
    path = getattr(Card, field)
    acts = [
        lambda: db.create(Card(token="new", **{field: value})),
        lambda: db.put(Card(token="new", **{field: value})),
        lambda: db.update(Card, "a", path.set(value)),
        lambda: db.save(changed(db.get(Card, "a"), **{field: value})),
        lambda: transaction(db, lambda tx: tx.create(Card(token="new", **{field: value}))),
    ]
    if field != "document":
        acts.append(lambda: db.model(Card).allow_scan().where(path.equals(value)).all())
    if field == "number":
        acts.append(lambda: db.find_by_unique(Card, number=value))
    db.create(Card(token="a"))
    for act in acts:
        error = failing(act)
        assert type(error) is ValidationError
        assert error.field == field
        assert "Unicode" in str(error)
        assert error.__cause__ is None
        assert not holds(error)
    assert db.get(Card, "new") is None


@pytest.mark.parametrize("blind", [False, True])
def test_no_frame_holds_a_key_whose_record_is_not_stored(card, plugged, monkeypatch, blind):
    Card, first, provider, _ = card
    first.create(Card(token="a", number=PAN))
    db = plugged(EncryptionPlugin(provider))
    db.get(Card, "a")
    plugin = next(one for one in db.inner.plugins if one.name == "encryption")

    def refused(ring, what, **values):
        yield from ()
        raise AccessDenied("not this table")

    monkeypatch.setattr(plugin.keys.keyring, "_create", refused)
    before = set(provider.made)
    with pytest.raises(AccessDenied) as caught:
        Keys(db).rotate("pci", blind_index=blind)
    (made,) = [plain for wrapped, (plain, _) in provider.made.items() if wrapped not in before]
    trace = caught.value.__traceback__
    frames = [frame for frame, _ in traceback.walk_tb(trace) if frame.f_globals["__name__"].startswith("dynamorm.")]
    assert frames
    assert not [frame.f_code.co_qualname for frame in frames if made in frame.f_locals.values()]
