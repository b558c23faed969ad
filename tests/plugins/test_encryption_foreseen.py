"""A write whose answer shows encrypted values is refused before it is sent where they could not be opened behind it."""

import pytest

from dynamorm import DB, Attr, Encrypted, Model, Presets, attr, partition_key, version
from dynamorm.errors import KeyDisabled, KeyUnavailable, Outcome
from dynamorm.plugins import EncryptionPlugin
from dynamorm.plugins.encryption.undecryptable import Undecryptable

from .encryption_kit import Keys, Provider, Wall


class Bare(Model, table="foreseen"):
    id: Attr[str] = partition_key()
    owner: Attr[str] = attr(immutable=True, default="c")
    note: Attr[str] = attr(default="")
    text: Attr[str | None] = attr(Encrypted("pii"), default=None)


class Versioned(Bare, table="foreseen"):
    version: Attr[int] = version()


class Sealed(Model, table="foreseen"):
    id: Attr[str] = partition_key()
    note: Attr[str] = attr(default="")
    text: Attr[str | None] = attr(Encrypted("pci"), default=None)
    version: Attr[int] = version()


class Owned(Model, table="foreseen"):
    """Each owner has a key of its own."""

    id: Attr[str] = partition_key()
    owner: Attr[str] = attr(immutable=True, default="c")
    note: Attr[str] = attr(default="")
    text: Attr[str | None] = attr(Encrypted("own", subject="owner"), default=None)


class Own(Model, table="foreseen"):
    """The owner is the key."""

    id: Attr[str] = partition_key()
    note: Attr[str] = attr(default="")
    text: Attr[str | None] = attr(Encrypted("self", subject="id"), default=None)


class Marked(Model, table="foreseen"):
    id: Attr[str] = partition_key()
    note: Attr[str] = attr(default="")
    text: Attr[str | None] = attr(Encrypted("marked", on_decrypt_error="mark"), default=None)


class Raw(Model, table="foreseen"):
    id: Attr[str] = partition_key()
    note: Attr[str] = attr(default="")


MODELS = (Bare, Versioned, Sealed, Owned, Own)


@pytest.fixture(scope="module")
def made(engine, prefix):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        db.tables.create(Raw)
    return prefix


@pytest.fixture
def opened(plugged):
    provider, wall = Provider(), Wall()

    def open_():
        plugin = EncryptionPlugin(provider)
        plugin.keys.keyring.now = wall
        return plugged(plugin)

    return open_, provider, wall


@pytest.fixture
def raw(plugged):
    """The note of an item as it is stored; None where there is no item."""
    plain = plugged()

    def note(at):
        found = plain.get(Raw, at, consistent=True)
        return None if found is None else found.note

    return note


def shred(db, model, key):
    """Disable the keys of a model's item, and let nobody know it yet but the keyring."""
    if model is Owned:
        Keys(db).shred(tenant=key, subject="c")
    elif model is Own:
        Keys(db).shred(tenant=key, subject=key)
    else:
        Keys(db).shred(tenant=key)


WRITES = {
    "update": lambda view, model, key: view.update(model, key, model.note.set("new")),
    "upsert": lambda view, model, key: view.update(model, key, model.note.set("new"), upsert=True),
    "conditional": lambda view, model, key: view.update(
        model, key, model.note.set("new"), condition=model.note == "old"
    ),
    "delete": lambda view, model, key: view.delete(model, key, returning="old"),
}


@pytest.mark.parametrize("cold", [True, False], ids=["cold", "warm"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("model", MODELS)
def test_a_write_whose_answer_nobody_can_open_is_refused_before_it_is_sent(opened, raw, key, model, write, cold):
    open_, _, _ = opened
    db = open_()
    view = db.view(tenant=key)
    view.create(model(id=key, note="old", text="1"))
    shred(db, model, key)
    view = open_().view(tenant=key) if cold else view
    with pytest.raises(KeyDisabled) as caught:
        write(view, model, key)
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert not caught.value.retryable
    assert raw(key) == "old"


@pytest.mark.parametrize("model", MODELS)
def test_an_update_of_a_loaded_object_too(opened, raw, key, model):
    open_, _, _ = opened
    db = open_()
    view = db.view(tenant=key)
    obj = view.create(model(id=key, note="old", text="1"))
    shred(db, model, key)
    with pytest.raises(KeyDisabled) as caught:
        view.update(obj, model.note.set("new"))
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert raw(key) == "old"


@pytest.mark.parametrize("model", MODELS)
def test_what_is_not_encrypted_is_changed_by_an_update_that_shows_nothing(opened, raw, key, model):
    open_, _, _ = opened
    db = open_()
    db.view(tenant=key).create(model(id=key, note="old", text="1"))
    shred(db, model, key)
    open_().view(tenant=key).update(model, key, model.note.set("new"), returning=None)
    assert raw(key) == "new"
    open_().view(tenant=key).delete(model, key)
    assert raw(key) is None


@pytest.mark.parametrize("model", [Bare, Versioned, Owned, Own])
def test_what_holds_nothing_under_the_key_is_changed_as_ever(opened, key, model):
    """And so is an item whose values go with the update."""
    open_, _, _ = opened
    db = open_()
    view = db.view(tenant=key)
    view.create(model(id=key, note="old", text="1"))
    view.create(model(id=f"{key}2", note="old"))
    shred(db, model, key)
    view = open_().view(tenant=key)
    assert view.update(model, f"{key}2", model.note.set("new")).note == "new"
    found = view.update(model, key, model.note.set("new"), model.text.remove())
    assert (found.note, found.text) == ("new", None)
    assert view.delete(model, f"{key}2", returning="old").note == "new"


@pytest.mark.parametrize("model", MODELS)
def test_a_key_that_was_never_made_is_missed_by_nobody(opened, key, model):
    open_, _, _ = opened
    view = open_().view(tenant=key)
    view.create(model(id=key, note="old"))
    view = open_().view(tenant=key)
    assert view.update(model, key, model.note.set("new")).note == "new"
    assert view.delete(model, key, returning="old").note == "new"


def test_what_is_marked_is_shown_as_such(opened, key):
    open_, _, _ = opened
    db = open_()
    db.view(tenant=key).create(Marked(id=key, note="old", text="1"))
    shred(db, Marked, key)
    found = open_().view(tenant=key).update(Marked, key, Marked.note.set("new"))
    assert found.note == "new"
    assert isinstance(found.text, Undecryptable)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("model", MODELS)
def test_a_key_that_cannot_be_had_is_missed_before_the_write_is_sent(opened, raw, key, model, write):
    open_, provider, _ = opened
    open_().view(tenant=key).create(model(id=key, note="old", text="1"))

    def down(what):
        raise KeyUnavailable("the service of keys does not answer")

    provider.fails = down
    view = open_().view(tenant=key)
    with pytest.raises(KeyUnavailable) as caught:
        write(view, model, key)
    assert (caught.value.outcome, caught.value.retryable) == (Outcome.NOT_APPLIED, True)
    assert raw(key) == "old"
    provider.fails = lambda what: None
    write(open_().view(tenant=key), model, key)
    assert raw(key) in {"new", None}


def test_the_key_is_fetched_once_and_before(opened, key):
    """A cold key costs the calls that it costs anyway, and a warm one none."""
    open_, provider, _ = opened
    open_().view(tenant=key).create(Bare(id=key, note="old", text="1"))
    view = open_().view(tenant=key)
    del provider.calls[:]
    assert view.update(Bare, key, Bare.note.set("new")).text == "1"
    assert provider.calls == ["unwrap"]
    assert view.update(Bare, key, Bare.note.set("newer")).text == "1"
    assert provider.calls == ["unwrap"]


def test_a_tenant_without_keys_is_updated_as_ever(opened, key):
    open_, provider, _ = opened
    view = open_().view(tenant=key)
    assert view.update(Bare, key, Bare.note.set("new"), upsert=True).note == "new"
    assert view.update(Bare, key, Bare.note.set("newer")).note == "newer"
    assert provider.calls == []
