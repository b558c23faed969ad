"""Append-only lists: they grow at their end, exactly once, and change in no other way."""

import pytest

from dynamorm import (
    AppendOnly,
    Attr,
    Json,
    Model,
    ValidationError,
    VersionConflict,
    attr,
    partition_key,
    version,
)
from dynamorm.errors import ModelError

from .kit import stored

pytestmark = pytest.mark.engine


class Entry(Model):
    what: Attr[str]
    blob: Attr[bytes] = attr(default=b"")


class Account(Model, table="accounts"):
    id: Attr[str] = partition_key()
    note: Attr[str] = attr(default="")
    log: Attr[list[Entry]] = attr(AppendOnly(), default_factory=list, name="l")
    texts: Attr[list[str] | None] = attr(AppendOnly(), default=None)
    version: Attr[int] = version()


class Loose(Model, table="loose"):
    id: Attr[str] = partition_key()
    log: Attr[list[str]] = attr(AppendOnly(), default_factory=list)


class Ledger(AppendOnly):
    """An option of a program's own."""


class Book(Model, table="books"):
    id: Attr[str] = partition_key()
    lines: Attr[list[str]] = attr(Ledger(), default_factory=list)
    version: Attr[int] = version()


MODELS = [Account, Loose, Book]


def whats(account):
    return [entry.what for entry in account.log]


def test_a_save_sends_only_what_the_list_has_gained(db, wire, key):
    account = db.create(Account(id=key, log=[Entry(what="opened", blob=b"\x00\xff")]))
    account.log.append(Entry(what="checked"))
    account.log += [Entry(what="paid", blob=b"\x01")]
    account.note = "x"
    wire.clear()
    db.save(account)
    update = wire.last["UpdateExpression"]
    assert "list_append(" in update
    assert "opened" not in str(wire.last["ExpressionAttributeValues"])
    found = db.get(Account, key)
    assert whats(found) == whats(account) == ["opened", "checked", "paid"]
    assert (found.log[0].blob, found.version) == (b"\x00\xff", 1)
    wire.clear()
    db.save(account)
    assert wire.calls == []
    account.log.append(Entry(what="closed"))
    db.save(account)
    assert whats(db.get(Account, key)) == ["opened", "checked", "paid", "closed"]


def test_a_list_that_was_not_there_is_set(db, key):
    account = db.create(Account(id=key))
    account.texts = ["first"]
    account.log.append(Entry(what="first"))
    db.save(account)
    account.texts.append("second")
    db.save(account)
    found = db.get(Account, key)
    assert (found.texts, whats(found)) == (["first", "second"], ["first"])


@pytest.mark.parametrize(
    "edit",
    [
        lambda log: log.pop(),
        lambda log: log.pop(0),
        lambda log: log.clear(),
        lambda log: log.insert(0, Entry(what="new")),
        lambda log: log.reverse(),
        lambda log: setattr(log[0], "what", "other"),
        lambda log: (log.append(Entry(what="new")), setattr(log[1], "what", "other")),
    ],
)
def test_a_list_that_was_changed_elsewhere_is_refused(db, wire, key, edit):
    account = db.create(Account(id=key, log=[Entry(what="a"), Entry(what="b")]))
    edit(account.log)
    wire.clear()
    with pytest.raises(ValidationError, match=r"Account\.log is append-only"):
        db.save(account)
    with pytest.raises(ValidationError, match="append-only"), db.transaction() as tx:
        tx.save(account)
    assert wire.calls == []
    account.texts = None


def test_a_list_that_is_taken_away_is_refused(db, key):
    account = db.create(Account(id=key, texts=["a"]))
    account.texts = None
    with pytest.raises(ValidationError, match=r"Account\.texts is append-only"):
        db.save(account)


def test_updates_may_only_append(db, wire, key):
    account = db.create(Account(id=key, log=[Entry(what="a")]))
    db.update(account, Account.log.append(Entry(what="b")))
    db.update(Account, key, Account.texts.append_or_create("c"))
    wire.clear()
    for update in (
        Account.log.set([]),
        Account.log.remove(),
        Account.log.prepend(Entry(what="x")),
        Account.log[0].set(Entry(what="x")),
        Account.log[0].remove(),
        Account.log[0][Entry.what].set("x"),
        Account.log.if_not_exists([]),
        Account.log.set(None),
    ):
        with pytest.raises(ValidationError, match=r"append-only: it takes \.append\(x\)"):
            db.update(account, update)
        with pytest.raises(ValidationError, match="append-only"):
            db.update(Account, key, update)
    assert wire.calls == []
    found = db.get(Account, key)
    assert (whats(found), found.texts) == (["a", "b"], ["c"])


def test_whoever_appends_to_an_old_state_is_told(db, key):
    first = db.create(Account(id=key))
    second = db.get(Account, key)
    first.log.append(Entry(what="first"))
    second.log.append(Entry(what="second"))
    db.save(first)
    with pytest.raises(VersionConflict):
        db.save(second)
    assert whats(db.get(Account, key)) == ["first"]


def test_a_put_would_replace_the_list_and_is_refused(db, wire):
    for call in (
        lambda: db.put(Account(id="x")),
        lambda: db.batch_write([Account(id="x")]),
        lambda: db.put(Account(id="x"), condition=Account.note == ""),
    ):
        with pytest.raises(ValidationError, match=r"Account\.log, Account\.texts is append-only.*db\.create"):
            call()
    assert wire.calls == []


def test_without_a_version_a_save_could_append_twice(db, wire, key):
    loose = db.create(Loose(id=key))
    loose.log.append("x")
    with pytest.raises(ValidationError, match="version"):
        db.save(loose)
    db.update(loose, Loose.log.append("x"))
    assert stored(db, Loose, key)["log"] == {"L": [{"S": "x"}]}


@pytest.mark.parametrize("annotation", [str, set[str], int])
def test_only_a_list_can_be_append_only(db, annotation):
    class Wrong(Model, table="wrong"):
        id: Attr[str] = partition_key()
        log: Attr[annotation] = attr(AppendOnly())

    with pytest.raises(ModelError, match=r"Wrong\.log is AppendOnly, which needs a list"):
        db.get(Wrong, "x")


def test_a_list_stored_as_json_is_none(db):
    class Wrong(Model, table="wrong"):
        id: Attr[str] = partition_key()
        log: Attr[list[str]] = attr(AppendOnly(), Json(), default_factory=list)

    with pytest.raises(ModelError, match="needs a list"):
        db.get(Wrong, "x")


def test_a_subclass_of_the_option_makes_a_list_append_only(db, key):
    book = db.create(Book(id=key, lines=["a"]))
    with pytest.raises(ValidationError, match=r"Book\.lines is append-only"):
        db.put(book)
    book.lines[0] = "b"
    with pytest.raises(ValidationError, match=r"Book\.lines is append-only"):
        db.save(book)
    assert db.get(Book, key).lines == ["a"]
