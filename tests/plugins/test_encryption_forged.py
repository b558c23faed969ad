"""Many keys in one answer, and what somebody has forged: versions, subjects, tenants, records of keys. Typed errors, few look-ups."""

import base64
import uuid

import pytest

from dynamorm import Attr, Encrypted, Model, attr, partition_key, sort_key
from dynamorm.errors import IntegrityError, KeyDisabled, KeyUnavailable, TamperedCiphertext
from dynamorm.plugins import EncryptionPlugin, Undecryptable
from dynamorm.plugins.encryption import bounds
from dynamorm.plugins.encryption import keys as keys_module
from tests.behaviour.kit import store, stored

from .encryption_kit import Keys, Provider
from .test_encryption_keys import Clock


@pytest.fixture(scope="module")
def made(prefix):
    return prefix


def model(key, face_kind, **options):
    class Row(Model, table=f"forged-{key[:12]}-{face_kind}"):
        order: Attr[str] = partition_key()
        number: Attr[int] = sort_key()
        customer: Attr[str] = attr(immutable=True, default="c")
        secret: Attr[str | None] = attr(Encrypted("pii", **options), default=None)
        own: Attr[str | None] = attr(Encrypted("pii", subject="customer", **options), default=None)
        sealed: Attr[str | None] = attr(Encrypted("pci", searchable=True, **options), default=None)

    return Row


@pytest.fixture
def opened(plugged):
    def make(provider):
        plugin = EncryptionPlugin(provider)
        plugin.keys.clock = clock = Clock()
        return plugged(plugin), plugin, clock

    return make


def looks(plugin):
    """The records that are looked for."""
    seen = []
    get = plugin.keys.keyring.get

    def counted(ring, what):
        seen.append((ring.name, ring.tenant, what))
        return get(ring, what)

    plugin.keys.keyring.get = counted
    return seen


@pytest.mark.parametrize(("max_keys", "ttl"), [(1, 300.0), (2, 300.0), (3, 1.0)])
def test_an_answer_may_need_more_keys_than_are_kept(opened, key, face_kind, max_keys, ttl):
    Row = model(key, face_kind)
    provider = Provider()
    db, *_ = opened(provider)
    db.tables.create(Row)
    for at in range(12):
        db.create(Row(order="o", number=at, customer=f"c{at}", own=f"v{at}", secret=f"s{at}", sealed=f"n{at}"))
        Keys(db).rotate("pii")
        if at % 3 == 0:
            Keys(db).rotate("pci")
    small = Provider(ttl=ttl)
    small.max_keys, small.made = max_keys, provider.made
    db, plugin, clock = opened(small)

    def slow(what):
        clock.now += 0.4

    small.fails = slow
    expected = [(f"v{at}", f"s{at}", f"n{at}") for at in range(12)]
    found = db.model(Row).where(Row.order == "o").all()
    assert [(one.own, one.secret, one.sealed) for one in found] == expected
    found = db.batch_get(Row, [("o", at) for at in range(12)])
    assert sorted((one.own, one.secret, one.sealed) for one in found) == sorted(expected)
    with db.transaction() as tx:
        for at in range(5):
            tx.create(Row(order="p", number=at, customer=f"c{at}", own="1", secret="2", sealed="3"))
    assert len(plugin.keys._versions) <= max_keys
    assert len(plugin.keys._active) <= max_keys
    one = db.get(Row, "p", 4)
    one.own, one.sealed = "4", "5"
    db.save(one)
    assert db.get(Row, "p", 4).own == "4"


def forged(db, Row, number, version=None, **wires):
    """An item whose envelope names a key that nobody has made."""
    item = stored(db, Row, "o", 0)
    if version is not None:
        raw = base64.b64decode(item["secret"]["B"])
        item["secret"] = {"B": base64.b64encode(raw[:4] + version + raw[20:]).decode()}
    store(db, Row, {**item, "number": {"N": str(number)}, **wires})


@pytest.mark.parametrize("marks", [False, True])
def test_versions_that_nobody_has_made(opened, key, face_kind, marks):
    Row = model(key, face_kind, on_decrypt_error="mark" if marks else "raise")
    provider = Provider()
    db, *_ = opened(provider)
    db.tables.create(Row)
    db.create(Row(order="o", number=0, secret="s"))
    versions = [uuid.uuid4() for _ in range(40)]
    for at, version in enumerate(versions):
        forged(db, Row, at + 1, version.bytes)
    db, plugin, clock = opened(provider)
    seen = looks(plugin)
    for at, version in enumerate(versions):
        clock.now += 0.01
        if marks:
            found = db.get(Row, "o", at + 1).secret
            assert isinstance(found, Undecryptable)
            assert found.error.version == str(version)
        else:
            with pytest.raises(KeyUnavailable) as refused:
                db.get(Row, "o", at + 1)
            assert refused.value.version == str(version)
    assert len(seen) <= 4
    assert db.get(Row, "o", 0).secret == "s"
    query = db.model(Row).where(Row.order == "o")
    clock.now += 40
    del seen[:]
    if marks:
        found = query.all()
        assert [one.secret for one in found if not isinstance(one.secret, Undecryptable)] == ["s"]
        assert len(found) == 41
    else:
        with pytest.raises(KeyUnavailable):
            query.all()
    assert len(seen) <= 6


@pytest.mark.parametrize("marks", [False, True])
def test_subjects_that_nobody_has_made(opened, key, face_kind, marks):
    Row = model(key, face_kind, on_decrypt_error="mark" if marks else "raise")
    provider = Provider()
    db, *_ = opened(provider)
    db.tables.create(Row)
    db.create(Row(order="o", number=0, own="s"))
    for at in range(1, 40):
        forged(db, Row, at, customer={"S": f"forged-{at}"})
    db, plugin, clock = opened(provider)
    seen = looks(plugin)
    kinds = set()
    for at in range(1, 40):
        clock.now += 0.01
        try:
            kinds.add(type(db.get(Row, "o", at).own))
        except KeyUnavailable as error:
            kinds.add(type(error))
    assert kinds <= ({Undecryptable, KeyUnavailable} if marks else {KeyUnavailable})
    assert len([one for one in seen if one[2].startswith("S#")]) <= keys_module.IN_VAIN + 1
    clock.now += 2
    assert db.get(Row, "o", 0).own == "s"


def test_tenants_that_there_are_not_make_no_keys_and_cost_few_look_ups(opened, key, face_kind):
    Row = model(key, face_kind)
    provider = Provider()
    db, *_ = opened(provider)
    db.tables.create(Row)
    db.view(tenant="mine").create(Row(order="o", number=0, secret="s", own="o"))
    db, plugin, clock = opened(provider)
    seen = looks(plugin)
    calls = len(provider.calls)
    for at in range(300):
        clock.now += 0.001
        with pytest.raises((KeyUnavailable, TamperedCiphertext)):
            db.view(tenant=f"forged-{at}").get(Row, "o", 0)
    assert len(seen) <= 2 * (10 * keys_module.IN_VAIN + 10)
    assert len(provider.calls) == calls
    clock.now += 2
    assert db.view(tenant="mine").get(Row, "o", 0).secret == "s"


FORGED = {
    "no version": {"_version": {"S": "nonsense"}},
    "a number": {"_version": {"N": "5"}},
    "another version": {"_version": {"S": str(uuid.uuid4())}},
    "versions": {"_versions": {"L": [{"S": "nonsense"}]}},
    "versions of another type": {"_versions": {"S": "x"}},
    "the other one": {"_other_version": {"S": "x"}},
    "rotated": {"_rotated": {"S": "x"}},
    "state": {"_state": {"N": "1"}},
}


@pytest.mark.parametrize("fault", FORGED)
def test_a_forged_record_of_a_ring_is_told(opened, key, face_kind, fault):
    Row = model(key, face_kind)
    provider = Provider()
    db, *_ = opened(provider)
    db.tables.create(Row)
    db.create(Row(order="o", number=0, secret="s"))

    class Raw(Model, table=f"forged-{key[:12]}-{face_kind}"):
        order: Attr[str] = partition_key()
        number: Attr[int] = sort_key()

    record = stored(db, Raw, "~K#pii#ACTIVE", 0)
    assert record is not None
    store(db, Raw, {**record, **FORGED[fault]})
    db, *_ = opened(provider)
    with pytest.raises(IntegrityError) as refused:
        db.create(Row(order="o", number=1, secret="s"))
    assert not refused.value.retryable
    assert refused.value.outcome == "NOT_APPLIED"
    try:
        assert db.get(Row, "o", 0).secret == "s"  # which key is in use is of no meaning to it
    except IntegrityError:
        assert fault not in {"no version", "another version", "the other one"}


def test_a_ring_in_a_state_that_is_none_is_disabled(opened, key, face_kind):
    Row = model(key, face_kind)
    provider = Provider()
    db, *_ = opened(provider)
    db.tables.create(Row)
    db.create(Row(order="o", number=0, secret="s"))
    record = stored(db, Row, "~K#pii#ACTIVE", 0)
    store(db, Row, {**record, "_state": {"S": "whatever"}})
    db, *_ = opened(provider)
    with pytest.raises(KeyDisabled):
        db.get(Row, "o", 0)


def test_what_is_remembered_has_a_bound_and_an_end():
    clock = Clock()
    few = bounds.Remembered(3, clock)
    for at in range(10):
        few.put(at, at, 10)
    assert len(few) == 3
    assert [few.get(at) for at in (0, 7, 9)] == [None, 7, 9]
    clock.now += 11
    assert few.get(9) is None
    few.put("a", 1, 5)
    assert len(few) <= 3
    few.drop(lambda name: name == "a")
    assert few.get("a") is None


def test_an_allowance_comes_back_second_by_second():
    clock = Clock()
    allowance = bounds.Allowance(2, clock)
    allowance.take()
    assert not allowance.is_used_up
    allowance.take()
    assert allowance.is_used_up
    clock.now += 1
    assert not allowance.is_used_up
    clock.now += 100
    for _ in range(2):
        allowance.take()
    assert allowance.is_used_up
