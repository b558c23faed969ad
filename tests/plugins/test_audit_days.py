"""Signed heads of days: what is kept elsewhere tells of chains that were cut off together with their items."""

import hashlib
import secrets
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from msgspec.structs import replace

from dynamorm import DB, Attr, Model, actor, attr, partition_key, version
from dynamorm.errors import AuditChainBroken, ConfigError, ValidationError
from dynamorm.plugins.audit import AuditLog, SignedHead, Signer
from dynamorm.plugins.audit import days as of_days
from dynamorm.plugins.audit.checkpoints import root_of

from .audit_kit import KEY, rows, tracking

PRIVATE = b"p" * 32


class Payment(Model, table="day-payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


MODELS = (Payment,)
WHO = actor("user:1")


@pytest.fixture
def store(key):
    """A store of its own for each test: what a signed day has is written down once."""
    return f"day-log-{key}"


@pytest.fixture
def opened(plugged, store):
    """A database whose changes are recorded there."""

    def make(**settings):
        face = plugged()
        face.enable_change_tracking(
            Payment, tracking(["amount"], store=store, checkpoints=Signer.ed25519(PRIVATE), **settings)
        )
        return face

    return make


@pytest.fixture
def db(opened):
    face = opened()
    row = next(one for one in face.plugins if isinstance(one, AuditLog)).of(Payment).row
    with DB(face.inner.config) as plain:
        plain.tables.create(row, skip_unavailable=True)
    with WHO:
        yield face
    with DB(face.inner.config) as plain:
        plain.tables.delete(row, force=True)


@pytest.fixture
def tomorrow(monkeypatch):
    """The day of the records is over."""

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=6)

    monkeypatch.setattr(of_days, "datetime", Later)


def today():
    return datetime.now(UTC).date()


@pytest.mark.engine
def test_a_signed_head_anchors_the_chains_of_its_day(db, key, tomorrow):
    made = db.create(Payment(id=key))
    made.amount = 1
    db.save(made)
    head = db.audit.checkpoint(None, today())
    assert head.size == 2
    assert (head.tenant, head.day, head.prev, len(head.sig)) == (None, today(), b"", 64)
    db.update(Payment, key, Payment.amount.add(1))
    verdict = db.audit.verify(Payment, key)
    assert (verdict.ok, verdict.anchored_to) == (True, None)
    # A record of the same day that came behind the head: it is under the next one.
    assert db.audit.verify_checkpoint(head)
    assert db.audit.verify(Payment, key, head=head).anchored_to == 2
    again = db.audit.checkpoint(None, today())
    assert (again.size, again.root) == (head.size, head.root)
    later = db.audit.checkpoint(None, today() + timedelta(days=1), prev=head)
    assert later.size == 1
    assert db.audit.verify_checkpoint(later, since=head)
    assert not db.audit.verify_checkpoint(later, since=later)
    verdict = db.audit.verify(Payment, key, head=later)
    assert (verdict.ok, verdict.anchored_to, verdict.checked) == (True, 3, 3)
    db.update(Payment, key, Payment.amount.add(1))  # later still
    last = db.audit.checkpoint(None, today() + timedelta(days=2), prev=later)
    assert last.size == 1  # each late record once
    assert db.audit.verify(Payment, key, head=last).anchored_to == 4
    assert all(db.audit.verify_checkpoint(one) for one in (head, later, last))
    assert msgspec.json.decode(msgspec.json.encode(later), type=SignedHead) == later


@pytest.mark.engine
def test_a_chain_that_was_cut_off_with_its_item_is_found_by_the_head(db, key, tomorrow):
    made = db.create(Payment(id=key))
    with DB(db.inner.config) as plain:
        old = plain.get(Payment, key)
        db.update(Payment, key, Payment.amount.set(5))
        head = db.audit.checkpoint(None, today())
        assert db.audit.verify(Payment, key, head=head).anchored_to == 2
        (row,) = [row for row in rows(db, Payment) if key in row.pk and row.sk.endswith("2")]
        plain.delete(row)
        plain.put(old)
        assert db.audit.verify(Payment, key).ok  # nobody can tell, without a head
        verdict = db.audit.verify(Payment, key, head=head)
        assert (verdict.ok, verdict.reason, verdict.anchored_to) == (False, "head of the day", None)
        assert not db.audit.verify_checkpoint(head)
        plain.delete(old)
        for row in rows(db, Payment):
            if key in row.pk:
                plain.delete(row)
        assert db.audit.verify(Payment, key).ok  # the whole item is gone, with its chain
        assert not db.audit.verify(Payment, key, head=head).ok
    assert made.id == key


def _manifest(db):
    """The rows that say which records are in a signed day, the head last."""
    return sorted((row for row in rows(db, Payment) if "~C#" in row.pk), key=lambda row: len(row.sk), reverse=True)


@pytest.mark.engine
def test_what_says_which_records_a_signed_day_has_is_under_the_key(db, key, tomorrow):
    db.create(Payment(id=key))
    head = db.audit.checkpoint(None, today())
    with DB(db.inner.config) as plain:
        for row in _manifest(db):
            body = row.body
            row.body = body[:-1] + b" " + body[-1:]  # it says the same
            plain.save(row)
            with pytest.raises(AuditChainBroken) as caught:
                db.audit.checkpoint(None, today())
            assert caught.value.reason == "manifest"
            with pytest.raises(AuditChainBroken):
                db.audit.checkpoint(None, today() + timedelta(days=1))
            row.body = body
            plain.save(row)
        assert db.audit.verify_checkpoint(head)
        part, top = _manifest(db)
        plain.delete(part)
        assert not db.audit.verify_checkpoint(head)
        plain.delete(top)  # then all of the day is meant
        assert db.audit.verify_checkpoint(head)


@pytest.mark.engine
def test_a_day_is_signed_without_the_key_of_its_records(db, key, tomorrow, opened):
    db.create(Payment(id=key))
    head = db.audit.checkpoint(None, today())
    other = opened(audit_key=b"other" * 8)
    assert other.audit.verify_checkpoint(head)


@pytest.mark.engine
def test_two_who_sign_a_day_at_once_sign_the_same(db, key, tomorrow, monkeypatch):
    db.create(Payment(id=key))
    write = of_days.write_manifest

    def second(trail, tracked, tenant, day, own, late):
        monkeypatch.setattr(of_days, "write_manifest", write)
        yield from write(trail, tracked, tenant, day, [], [])  # somebody who saw nothing yet
        return (yield from write(trail, tracked, tenant, day, own, late))

    monkeypatch.setattr(of_days, "write_manifest", second)
    head = db.audit.checkpoint(None, today())
    assert head.size == 0
    assert db.audit.verify_checkpoint(head)
    assert db.audit.checkpoint(None, today() + timedelta(days=1)).size == 1


@pytest.mark.engine
def test_a_head_that_was_changed_or_signed_by_others_does_not_hold(db, key, tomorrow):
    db.create(Payment(id=key))
    head = db.audit.checkpoint(None, today())
    assert db.audit.verify_checkpoint(head)
    stranger = Signer.ed25519(secrets.token_bytes(32))
    for other in (
        replace(head, size=head.size + 1),
        replace(head, root=bytes(32)),
        replace(head, tenant="t1"),
        replace(head, day=head.day - timedelta(days=1)),
        replace(head, prev=b"x"),
        replace(head, at=head.at + timedelta(seconds=1)),
        replace(head, sig=head.sig[:-1] + bytes([head.sig[-1] ^ 1])),
        replace(head, kid=stranger.kid, sig=stranger.sign(replace(head, kid=stranger.kid).signed())),
    ):
        assert not db.audit.verify_checkpoint(other)
        verdict = db.audit.verify(Payment, key, head=other)
        assert (verdict.ok, verdict.anchored_to) == (False, None)


@pytest.mark.engine
def test_a_day_that_is_not_closed_is_not_signed(db):
    for day in (today(), today() + timedelta(days=1)):
        with pytest.raises(ValidationError, match="closed"):
            db.audit.checkpoint(None, day)
    for wrong in (datetime.now(UTC), "2026-01-01", None):
        with pytest.raises(ValidationError):
            db.audit.checkpoint(None, wrong)


@pytest.mark.engine
def test_an_empty_day_has_a_head(db):
    head = db.audit.checkpoint(None, date(2020, 1, 1))
    assert (head.size, head.root) == (0, hashlib.sha256(b"").digest())
    assert db.audit.verify_checkpoint(head)


@pytest.mark.engine
def test_a_day_in_the_record_is_under_the_mac(db, key):
    db.create(Payment(id=key))
    (row,) = [row for row in rows(db, Payment) if key in row.pk]
    assert row.day.startswith("~D#")
    for other in ("~D#1#0", None):  # put out of its day, so that no head would name it
        row.day = other
        with DB(db.inner.config) as plain:
            plain.save(row)
        assert db.audit.verify(Payment, key).reason == "forged"


@pytest.mark.engine
def test_nobody_signs_without_a_signer(plugged):
    db = plugged()
    db.enable_change_tracking(Payment, tracking(["amount"], store="day-log"))
    with pytest.raises(ConfigError, match="Signer"):
        db.audit.checkpoint(None, date(2020, 1, 1))


def leaf(text):
    return hashlib.sha256(b"\0" + text).digest()


def slow_root(leaves):
    """The definition of RFC 6962, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + slow_root(leaves[:k]) + slow_root(leaves[k:])).digest()


def test_the_tree_is_that_of_the_rfc():
    for size in range(70):
        leaves = [leaf(str(number).encode()) for number in range(size)]
        assert root_of(leaves) == slow_root(leaves)
    # The vectors of the reference implementation of Certificate Transparency.
    vectors = [
        bytes.fromhex(text)
        for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
    ]
    assert (
        root_of([leaf(one) for one in vectors]).hex()
        == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    )


def test_former_keys_verify():
    old, new = Signer.ed25519(PRIVATE), None
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = Ed25519PrivateKey.from_private_bytes(PRIVATE).public_key().public_bytes_raw()
    new = Signer.ed25519(b"n" * 32, former=[public])
    assert new.verify(b"data", old.sign(b"data"), old.kid)
    assert not new.verify(b"other", old.sign(b"data"), old.kid)
    assert not old.verify(b"data", new.sign(b"data"), new.kid)
    with pytest.raises(ConfigError):
        Signer.ed25519(b"short")
    assert KEY != PRIVATE
