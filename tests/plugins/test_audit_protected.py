"""Protected fields in an audit trail: their values are sealed in the records, compared without any MAC, and opened on request alone."""

import contextvars
import copy
import json
import pickle
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.json import encode

from dynamorm import (
    Attr,
    AuditableModel,
    ChangeTrackingConfig,
    Encrypted,
    Model,
    Tenant,
    actor,
    attr,
    composite,
    partition_key,
    schema_of,
    version,
)
from dynamorm.errors import (
    ActorRequired,
    AuditChainBroken,
    ConditionFailed,
    ConfigError,
    InvalidUse,
    KeyUnavailable,
    Outcome,
    ValidationError,
)
from dynamorm.plugins import EncryptionPlugin, Tenancy, Undecryptable
from dynamorm.plugins.audit import AuditLog, Sealed, Signer
from dynamorm.plugins.audit.manifests import create_row
from dynamorm.plugins.audit.records import day_of, is_authentic, read
from tests.behaviour.kit import store, stored

from .audit_kit import KEY, acting, rows
from .encryption_kit import Keys, Provider
from .test_ephemeral import forms, ours

PAN, OTHER, NAME = "4929-pan-canary-0007", "5500-pan-canary-0008", "ann-name-canary-9"
FIELDS = ("amount", "number", "name")


@pytest.fixture(scope="module")
def made(prefix):
    return prefix


def model(key, face_kind, base=Model):
    class Card(base, table=f"protected-{key[:12]}-{face_kind}"):
        id: Attr[str] = partition_key()
        customer: Attr[str] = attr(immutable=True, default="c1")
        amount: Attr[int] = attr(default=0)
        number: Attr[str | None] = attr(Encrypted("pci", searchable=True), default=None)
        name: Attr[str | None] = attr(Encrypted("pii", subject="customer", on_decrypt_error="mark"), default=None)
        note: Attr[dict | None] = attr(Encrypted("pii"), default=None)
        version: Attr[int] = version()

    return Card


@pytest.fixture
def opened(plugged, key, face_kind, request):
    def make(Card, provider=None, fields=FIELDS, log=None, **more):
        log = log or AuditLog(audit_key=KEY)
        config = ChangeTrackingConfig(fields=list(fields), store=f"store-{key[:12]}-{face_kind}", **more)
        log.track(schema_of(Card), config)
        db = plugged(log, EncryptionPlugin(provider or Provider()))
        db.tables.ensure(Card)
        return db

    acting(request, actor("user:42"))
    return make


@pytest.fixture
def Card(key, face_kind):
    return model(key, face_kind)


def told(records):
    return [(one.op, {change.field: (change.old, change.new) for change in one.changes}) for one in records]


def chain(db, Card):
    """A create, each kind of change, and a delete."""
    card = db.create(Card(id="a", number=PAN, name=NAME))
    card.number = OTHER
    db.save(card)
    db.update(Card, "a", Card.number.set(PAN), Card.amount.set(1))
    db.put(Card(id="a", number=PAN, name="b"))
    with db.transaction() as tx:
        tx.update(Card, "a", Card.number.remove())
    db.delete(Card, "a")


def later(db):
    """Two hours later, by the clock of the records of keys."""
    plugin = next(one for one in db.inner.plugins if one.name == "encryption")
    plugin.keys.keyring.now = lambda: datetime.now(UTC) + timedelta(hours=2)


def shredded(db, subject):
    Keys(db).shred(subject=subject)
    later(db)
    Keys(db).shred(subject=subject)


HISTORY = [
    ("create", {"amount": (None, 0), "name": (None, NAME), "number": (None, PAN)}),
    ("update", {"number": (PAN, OTHER)}),
    ("update", {"amount": (0, 1), "number": (OTHER, PAN)}),
    ("update", {"amount": (1, 0), "name": (NAME, "b")}),
    ("update", {"number": (PAN, None)}),
    ("delete", {"amount": (0, None), "name": ("b", None)}),
]


def test_records_hold_sealed_values_which_are_opened_on_request_and_that_is_recorded(opened, Card):
    db = opened(Card)
    chain(db, Card)
    assert db.audit.verify(Card, "a").ok
    for (op, changes), (expected_op, expected) in zip(told(db.audit.history(Card, "a")), HISTORY, strict=True):
        assert (op, changes.keys()) == (expected_op, expected.keys())
        for name, values in changes.items():
            for value, plain in zip(values, expected[name], strict=True):
                if plain is None or name == "amount":
                    assert value == plain
                else:
                    assert isinstance(value, Sealed)
                    assert repr(value) == "<sealed>"
                    assert value.data
    assert db.audit.reveals(Card, "a") == []
    with actor("auditor:1", ip="203.0.113.9"):
        assert told(db.audit.history(Card, "a", reveal=True)) == HISTORY
    (reveal,) = db.audit.reveals(Card, "a")
    assert (reveal.op, reveal.by, reveal.ip, reveal.version) == ("reveal", "auditor:1", "203.0.113.9", 1)
    assert (reveal.revealed, reveal.revealed_to) == (("name", "number"), 6)
    assert len(db.audit.history(Card, "a")) == 6
    db.audit.history(Card, "a", reveal=True)
    assert [one.version for one in db.audit.reveals(Card, "a")] == [1, 2]
    assert db.audit.verify(Card, "a").ok


def test_no_record_and_no_export_holds_a_value_or_a_digest_of_one(opened, Card, tmp_path):
    db = opened(Card)
    chain(db, Card)
    db.create(Card(id="b", number=PAN, name=NAME))
    bodies = [json.loads(row.body) for row in rows(db)]
    path = tmp_path / "records.jsonl"
    db.audit.export(path, Card, "a")
    seen = path.read_bytes() + json.dumps(bodies).encode()
    assert not [form for canary in (PAN, OTHER, NAME) for form in forms(canary) if form in seen]
    values = [wire for body in bodies for _, *wires in body["ch"] for wire in wires if wire is not None]
    assert {next(iter(wire)) for wire in values} == {"N", "E"}
    sealed = [wire["E"] for wire in values if wire.get("E")]
    assert len(sealed) == len(set(sealed)) == 7  # the same value twice is sealed twice


def test_who_reveals_is_told_or_nothing_is_opened(opened, Card):
    provider = Provider()
    db = opened(Card, provider)
    chain(db, Card)
    with pytest.raises(ValidationError, match="reveal"):
        db.audit.history(Card, "a", reveal=True, verify=False)

    def nobody():
        with pytest.raises(ActorRequired):
            db.audit.history(Card, "a", reveal=True)

    contextvars.Context().run(nobody)
    assert db.audit.reveals(Card, "a") == []


def test_the_same_value_again_is_no_change(opened, Card):
    db = opened(Card)
    db.create(Card(id="a", number=PAN, name=NAME))
    before = stored(db, Card, "a")
    db.update(Card, "a", Card.number.set(PAN))
    assert stored(db, Card, "a")["number"] != before["number"]  # it is sealed anew
    db.put(Card(id="a", number=PAN, name=NAME))
    verdict = db.audit.verify(Card, "a")
    assert (verdict.ok, verdict.checked, verdict.external) == (True, 1, ())
    db.update(Card, "a", Card.number.set(OTHER))
    assert [one.op for one in db.audit.history(Card, "a")] == ["create", "update"]
    assert db.audit.verify(Card, "a").ok


def test_verify_needs_no_key_of_encryption(opened, Card):
    chain(opened(Card), Card)
    provider = Provider()

    def down(what):
        raise KeyUnavailable("down")

    provider.fails = down
    db = opened(Card, provider)
    assert db.audit.verify(Card, "a").ok
    assert [one.op for one in db.audit.history(Card, "a")] == [op for op, _ in HISTORY]
    assert provider.calls == []
    with pytest.raises(KeyUnavailable):
        db.audit.history(Card, "a", reveal=True)


def test_an_item_whose_ciphertext_was_put_back_is_found(opened, Card):
    db = opened(Card)
    db.create(Card(id="a", number=PAN, note={"a": 1}))
    old = stored(db, Card, "a")
    db.update(Card, "a", Card.number.set(OTHER))
    item = stored(db, Card, "a")
    store(db, Card, {**item, **{name: old[name] for name in ("number", "_seal", "_sealed", "_bi_number")}})
    verdict = db.audit.verify(Card, "a")
    assert (verdict.ok, verdict.first_bad, verdict.reason) == (False, 3, "external")
    db.update(Card, "a", Card.amount.set(5))
    assert db.audit.verify(Card, "a").ok
    assert [one.op for one in db.audit.history(Card, "a")] == ["create", "update", "external", "update"]
    assert told(db.audit.history(Card, "a", reveal=True))[2][1]["number"] == (OTHER, PAN)


def test_a_record_of_a_reveal_that_is_changed_or_removed_is_found(opened, Card):
    db = opened(Card)
    chain(db, Card)
    for _ in range(2):
        db.audit.history(Card, "a", reveal=True)
    log = next(plugin for plugin in db.inner.plugins if plugin.name == "audit")
    tracked = log.of(Card)
    first = next(row for row in rows(db) if row.pk.startswith("~R#"))
    was = stored(db, tracked.row, first.pk, first.sk)
    store(db, tracked.row, {**was, "b": {"B": b64encode(first.body.replace(b"user:42", b"user:43")).decode()}})
    verdict = db.audit.verify(Card, "a")
    assert (verdict.ok, verdict.first_bad, verdict.reason) == (False, 1, "reveals")
    with pytest.raises(AuditChainBroken):
        db.audit.reveals(Card, "a")
    assert len(db.audit.history(Card, "a")) == 6


def test_what_is_encrypted_anew_is_no_change_and_its_old_key_stays(opened, Card):
    provider = Provider()
    db = opened(Card, provider)
    db.create(Card(id="a", number=PAN, name=NAME))
    old = Keys(db).rotate("pci").versions
    (old_version,) = {str(one) for one in old.values()}
    assert Keys(db).reencrypt(Card).rewritten == 1
    verdict = db.audit.verify(Card, "a")
    assert (verdict.ok, verdict.checked, verdict.external) == (True, 1, ())
    db.update(Card, "a", Card.number.set(OTHER))
    assert told(db.audit.history(Card, "a", reveal=True))[1][1]["number"] == (PAN, OTHER)
    assert db.audit.verify(Card, "a").external == ()
    Keys(db).rotate("pci")
    later(db)
    with pytest.raises(ConfigError, match="audit trail"):
        Keys(db).retire("pci", old_version)


def test_a_subject_that_was_shredded_is_unreadable_and_the_chain_holds(opened, Card):
    provider = Provider()
    db = opened(Card, provider)
    db.create(Card(id="a", number=PAN, name=NAME))
    db.create(Card(id="b", name=NAME, customer="c2"))
    db.update(Card, "a", Card.name.set("b"))
    shredded(db, "c1")
    revealed = told(db.audit.history(Card, "a", reveal=True))
    assert revealed[0][1]["number"] == (None, PAN)
    assert isinstance(revealed[0][1]["name"][1], Sealed)
    assert told(db.audit.history(Card, "b", reveal=True))[0][1]["name"] == (None, NAME)
    db.update(Card, "a", Card.amount.set(2), returning=None)
    assert db.audit.verify(Card, "a").ok
    restored = db.audit.history(Card, "a")
    assert [one.op for one in restored] == ["create", "update", "update"]
    db.delete(Card, "a")
    verdict = db.audit.verify(Card, "a")
    assert (verdict.ok, verdict.external) == (True, ())


def test_a_key_that_is_disabled_hinders_no_delete(opened, Card, plugged):
    plain = plugged(EncryptionPlugin(provider := Provider()))
    plain.tables.ensure(Card)
    plain.create(Card(id="a", number=PAN, name=NAME))  # nothing is recorded of it yet
    db = opened(Card, provider)
    Keys(plain).shred(subject="c1")
    db.delete(Card, "a")
    assert [(op, changes["name"][1]) for op, changes in told(db.audit.history(Card, "a"))] == [
        ("baseline", Sealed(1, None)),
        ("delete", None),
    ]
    assert db.audit.verify(Card, "a").ok


def test_who_looks_at_the_records_of_a_sealed_item_needs_no_warm_key(opened, Card):
    """Neither a verdict nor what the records tell opens a value of the item: the seal is of no matter to them."""
    provider = Provider()
    first = opened(Card, provider)
    first.create(Card(id="a", number=PAN, name=NAME))
    first.update(Card, "a", Card.amount.set(1))

    def down(what):
        raise KeyUnavailable("down")

    provider.fails = down
    db = opened(Card, provider, log=AuditLog(audit_key=KEY))
    assert db.audit.verify(Card, "a").ok
    assert [one.op for one in db.audit.history(Card, "a")] == ["create", "update"]
    assert db.audit.as_of(Card, "a", datetime.now(UTC)).values["amount"] == 1
    provider.fails = lambda what: None
    restored = opened(Card, provider, log=AuditLog(audit_key=KEY)).audit.restore(Card, "a", version=1)
    assert (restored.item.amount, restored.item.number, restored.left_out) == (0, PAN, ())


def test_many_who_look_at_once_are_each_recorded(opened, Card, monkeypatch):
    db = opened(Card)
    db.create(Card(id="a", number=PAN))
    asked = []

    def lost(*args):
        asked.append(1)
        if len(asked) < 20:
            raise ConditionFailed("another one has got the number", outcome=Outcome.NOT_APPLIED)
        return create_row(*args)

    monkeypatch.setattr("dynamorm.plugins.audit.protected.revealing.create_row", lost)
    monkeypatch.setattr("dynamorm.plugins.audit.protected.revealing.PAUSE", 0.0)
    assert db.audit.history(Card, "a", reveal=True)[0].changes
    assert len(db.audit.reveals(Card, "a")) == 1


def test_a_revealed_record_is_not_pickled(opened, Card):
    db = opened(Card)
    db.create(Card(id="a", number=PAN))
    (plain,) = db.audit.history(Card, "a")
    assert pickle.loads(pickle.dumps(plain)) == plain
    (shown,) = db.audit.history(Card, "a", reveal=True)
    assert isinstance(shown, type(plain))
    for one in (shown, *shown.changes):
        with pytest.raises(InvalidUse, match="pickle"):
            pickle.dumps(one)
        assert copy.deepcopy(one) == one


def test_a_key_that_cannot_be_had_now_writes_nothing(opened, Card, plugged):
    """Neither a baseline nor a record says that a value is lost, for its key may be there a moment later."""
    provider = Provider()
    unaudited = plugged(EncryptionPlugin(provider))
    unaudited.tables.ensure(Card)
    for name in ("a", "b"):
        unaudited.create(Card(id=name, number=PAN, name=NAME))
    left = [0]

    def once(what):
        if left[0]:
            left[0] -= 1
            raise KeyUnavailable("the service of keys does not answer")

    provider.fails = once
    for act in (lambda db: db.update(Card, "a", Card.amount.add(1)), lambda db: db.delete(Card, "b")):
        db = opened(Card, provider, log=AuditLog(audit_key=KEY))
        left[0] = 1
        with pytest.raises(KeyUnavailable) as caught:
            act(db)
        assert (caught.value.retryable, caught.value.outcome) == (True, Outcome.NOT_APPLIED)
        act(db)
    for name in ("a", "b"):
        assert told(db.audit.history(Card, name, reveal=True))[0] == (
            "baseline", {"amount": (None, 0), "number": (None, PAN), "name": (None, NAME)}
        )  # fmt: skip
    assert db.audit.verify(Card, "a").ok


def test_restore_seals_anew_and_names_what_it_cannot(opened, Card):
    db = opened(Card, Provider())
    db.create(Card(id="a", number=PAN, name=NAME, amount=7))
    db.update(Card, "a", Card.number.set(OTHER), Card.name.set("b"), Card.amount.set(8))
    restored = db.audit.restore(Card, "a", version=1)
    assert (restored.item.number, restored.item.name, restored.item.amount) == (PAN, NAME, 7)
    assert restored.left_out == ()
    found = db.get(Card, "a")
    assert (found.number, found.name, found.amount) == (PAN, NAME, 7)
    verdict = db.audit.verify(Card, "a")
    assert (verdict.ok, verdict.external) == (True, ())
    assert db.audit.reveals(Card, "a") == []
    snapshot = db.audit.as_of(Card, "a", datetime.now(UTC) + timedelta(seconds=5))
    assert isinstance(snapshot.values["number"], Sealed)
    assert snapshot.values["amount"] == 7
    assert not snapshot.complete
    shredded(db, "c1")
    restored = db.audit.restore(Card, "a", version=2)
    assert (restored.item.number, restored.item.amount, restored.left_out) == (OTHER, 8, ("name",))
    assert isinstance(restored.item.name, Undecryptable)
    assert db.audit.verify(Card, "a").ok


def test_an_item_that_is_gone_is_made_again_with_its_protected_values(opened, Card):
    db = opened(Card, fields=("customer", "amount", "number", "name", "note"))
    db.create(Card(id="a", number=PAN, name=NAME, note={"a": [1, "x"]}, amount=3))
    db.delete(Card, "a")
    db.audit.restore(Card, "a", version=1)
    found = db.get(Card, "a")
    assert (found.number, found.name, found.note, found.amount) == (PAN, NAME, {"a": [1, "x"]}, 3)
    assert db.audit.verify(Card, "a").ok


@pytest.mark.parametrize("value", ["x" * 9_000, None])
def test_what_is_redacted_or_large_is_in_no_record(opened, Card, value):
    db = opened(Card, fields=("number", "name"), redact=["name"])
    db.create(Card(id="a", number=value, name=NAME))
    db.update(Card, "a", Card.number.set(PAN))
    first, second = told(db.audit.history(Card, "a", reveal=True))
    assert first[1].get("number", (None, None))[1] == (None if value is None else Sealed(1, None))
    assert first[1]["name"] == (None, Sealed(1, None))
    assert second[1] == {"number": (None if value is None else Sealed(1, None), PAN)}
    assert db.audit.verify(Card, "a").ok


def test_a_change_log_tells_that_a_protected_field_has_changed(opened, key, face_kind):
    class Base(AuditableModel, Model):
        pass

    Card = model(key, face_kind, Base)
    db = opened(Card, log=AuditLog(audit_key=KEY))
    card = db.create(Card(id="a", number=PAN))
    card.number = OTHER
    db.save(card)
    db.update(Card, "a", Card.number.set(OTHER), Card.amount.set(2))
    db.update(Card, "a", Card.number.set(PAN))
    found = db.get(Card, "a")
    assert [(one.field, one.old, one.new) for one in found.change_log] == [
        ("number", None, None),
        ("amount", 0, 2),
        ("number", None, None),
    ]
    assert db.audit.verify(Card, "a").ok


def holds(error):
    text = ours(error)
    return [form for form in forms(PAN) if form.decode("latin-1") in text]


def test_no_frame_holds_a_value_where_a_restore_or_a_reveal_fails(opened, Card, monkeypatch):
    db = opened(Card)
    db.create(Card(id="a", number=PAN))
    db.update(Card, "a", Card.number.set(OTHER))
    plugin = next(one for one in db.inner.plugins if one.name == "encryption")
    (field,) = [one for one in plugin.fields_of(Card) if one.attribute == "number"]

    def down(*_):
        raise KeyUnavailable("down")

    with monkeypatch.context() as patched:
        patched.setattr(field, "encode", down)
        with pytest.raises(KeyUnavailable) as refused:
            db.audit.restore(Card, "a", version=1)
        assert not holds(refused.value)
    opened_ = field.from_elsewhere
    calls = []

    def second(*args):
        calls.append(args)
        return opened_(*args) if len(calls) < 2 else down()

    monkeypatch.setattr(field, "from_elsewhere", second)
    with pytest.raises(KeyUnavailable) as refused:
        db.audit.history(Card, "a", reveal=True)
    assert not holds(refused.value)
    assert len(db.audit.reveals(Card, "a")) == 1  # that somebody has tried to look is told


def test_records_of_reveals_are_under_signed_heads_too(opened, Card):
    db = opened(Card, checkpoints=Signer.ed25519(bytes(32)))
    db.create(Card(id="a", number=PAN))
    db.audit.history(Card, "a", reveal=True)
    (row,) = [row for row in rows(db) if row.pk.startswith("~R#")]
    record = read(
        encode(
            {"pk": {"S": row.pk}, "sk": {"S": row.sk}, "b": {"B": row.body}, "h": {"B": row.mac}, "d": {"S": row.day}}
        )
    )
    assert row.day == day_of(None, record.body.at, record.h)
    assert is_authentic(record, KEY)
    assert db.audit.verify(Card, "a").ok


def test_each_tenant_has_its_own(plugged, key, face_kind, request):
    class Own(Model, table=f"tenants-{key[:12]}-{face_kind}"):
        pk: Attr[str] = partition_key(composite("tenant", "id"))
        id: Attr[str] = attr(default="")
        tenant: Attr[str] = attr(Tenant())
        number: Attr[str | None] = attr(Encrypted("pii"), default=None)

    log = AuditLog(audit_key=KEY)
    log.track(schema_of(Own), ChangeTrackingConfig(fields=["number"], store=f"own-{key[:12]}-{face_kind}"))
    db = plugged(Tenancy(), log, EncryptionPlugin(Provider()))
    db.tables.ensure(Own)
    acting(request, actor("user:42"))
    mine, yours = db.with_tenant("mine"), db.with_tenant("yours")
    everybody = db.all_tenants(reason="a test of all of them")
    for view in (mine, yours):
        view.create(Own(id="a", number=PAN))
        view.update(Own, Own.number.set(OTHER), id="a")
    expected = [("create", {"number": (None, PAN)}), ("update", {"number": (PAN, OTHER)})]
    assert told(mine.audit.history(Own, id="a", reveal=True)) == expected
    assert told(everybody.audit.history(Own, id="a", tenant="yours", reveal=True)) == expected
    assert [len(view.audit.reveals(Own, id="a")) for view in (mine, yours)] == [1, 1]
    everybody.update(Own, Own.number.set("3"), id="a", tenant="mine")
    everybody.delete(Own, id="a", tenant="yours")
    assert told(mine.audit.history(Own, id="a", reveal=True))[2] == ("update", {"number": (OTHER, "3")})
    for view in (mine, yours):
        assert view.audit.verify(Own, id="a").ok
    Keys(db).shred(tenant="mine")
    plugin = next(one for one in db.inner.plugins if one.name == "encryption")
    plugin.keys.keyring.now = lambda: datetime.now(UTC) + timedelta(hours=2)
    Keys(db).shred(tenant="mine")
    assert isinstance(told(mine.audit.history(Own, id="a", reveal=True))[0][1]["number"][1], Sealed)
    assert told(yours.audit.history(Own, id="a", reveal=True))[:2] == expected
    assert mine.audit.verify(Own, id="a").ok
    mine.delete(Own, id="a")
    assert mine.audit.verify(Own, id="a").ok
