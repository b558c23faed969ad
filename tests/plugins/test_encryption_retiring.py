"""A key is retired where nothing lies under it, whatever classes and processes know of; a pass says what it has covered."""

import datetime as dt
import uuid

import pytest

from dynamorm import Attr, Encrypted, Model, Tenant, attr, composite, partition_key, sort_key, version
from dynamorm.errors import ConfigError, KeyDisabled, KeyUnavailable
from dynamorm.plugins import EncryptionPlugin, Tenancy

from .encryption_kit import Keys, Provider, Wall, version_in_use


@pytest.fixture(scope="module")
def made(prefix):
    return prefix


@pytest.fixture
def opened(plugged, face_kind, key):
    """Opens databases of processes that share a provider and a time."""
    wall = Wall()

    def open_(provider, *models, plugins=()):
        plugin = EncryptionPlugin(provider)
        plugin.keys.keyring.now = wall
        db = plugged(*plugins, plugin)
        for model in models:
            db.tables.ensure(model)
        return db

    return open_, wall, f"{key[:12]}-{face_kind}"


def full(name):
    class Full(Model, table=name):
        id: Attr[str] = partition_key()
        a: Attr[str | None] = attr(Encrypted("pii"), default=None)
        b: Attr[str | None] = attr(Encrypted("pii", searchable=True), default=None)

    return Full


def slim(name):
    class Slim(Model, table=name):
        id: Attr[str] = partition_key()
        a: Attr[str | None] = attr(Encrypted("pii"), default=None)

    return Slim


def test_a_pass_over_some_fields_lets_no_key_be_retired(opened):
    open_, wall, name = opened
    provider, Full, Slim = Provider(), full(f"some-{name}"), slim(f"some-{name}")
    db = open_(provider, Full)
    db.create(Full(id="x", a="1", b="2"))
    old = version_in_use(db, Full, "a")
    other = open_(provider)
    assert other.get(Slim, "x").a == "1"
    Keys(other).rotate("pii")
    wall.later()
    assert Keys(other).reencrypt(Slim).rewritten == 1
    with pytest.raises(ConfigError, match=r"\.b: run db\.keys\.reencrypt"):
        Keys(other).retire("pii", old)
    assert open_(provider).get(Full, "x").b == "2"
    assert Keys(db).reencrypt(Full).complete
    Keys(other).retire("pii", old)
    assert (open_(provider).get(Full, "x").a, open_(provider).get(Full, "x").b) == ("1", "2")


def test_a_seal_holds_its_key(opened):
    open_, wall, name = opened

    class Sealed(Model, table=f"seal-{name}"):
        id: Attr[str] = partition_key()
        a: Attr[str | None] = attr(Encrypted("pci"), default=None)
        version: Attr[int] = version()

    provider = Provider()
    db = open_(provider, Sealed)
    db.create(Sealed(id="x", a="1"))
    (old,) = Keys(db).rotate("pci").former.values()
    wall.later()
    with pytest.raises(ConfigError, match="reencrypt"):
        Keys(db).retire("pci", old)
    Keys(db).reencrypt(Sealed)
    Keys(db).retire("pci", old)
    assert open_(provider).get(Sealed, "x").a == "1"


def test_a_class_of_another_tag_holds_its_key(opened):
    open_, wall, name = opened

    class Base(Model, table=f"tags-{name}", discriminator="kind"):
        id: Attr[str] = partition_key()

    class One(Base, tag="one"):
        a: Attr[str | None] = attr(Encrypted("pii", searchable=True), default=None)

    class Two(Base, tag="two"):
        a: Attr[str | None] = attr(Encrypted("pii", searchable=True), default=None)

    provider = Provider()
    db = open_(provider, Base)
    db.create(One(id="1", a="1"))
    db.create(Two(id="2", a="2"))
    old, old_index = version_in_use(db, One, "a"), version_in_use(db, One, "a", blind=True)
    Keys(db).rotate("pii")
    Keys(db).rotate("pii", blind_index=True)
    wall.later()
    assert Keys(db).reencrypt(One).items == 1
    for version_ in (old, old_index):
        with pytest.raises(ConfigError, match="reencrypt"):
            Keys(db).retire("pii", version_)
    Keys(db).reencrypt(Two)
    for version_ in (old, old_index):
        Keys(db).retire("pii", version_)
    again = open_(provider)
    for model, at in ((One, "1"), (Two, "2")):
        assert again.get(model, at).a == at
        assert [one.id for one in again.model(model).allow_scan().where(model.a.equals(at)).all()] == [at]


def test_a_blind_index_that_nobody_here_knows_holds_its_key(opened):
    open_, wall, name = opened
    provider = Provider()
    Full = full(f"blind-{name}")

    class Other(Model, table=f"blind-{name}"):
        id: Attr[str] = partition_key()
        a: Attr[str | None] = attr(Encrypted("pii", searchable=True), default=None)

    first = open_(provider, Full)
    first.create(Full(id="x", b="2"))
    old = version_in_use(first, Full, "b", blind=True)
    db = open_(provider)
    db.create(Other(id="y", a="1"))
    Keys(db).rotate("pii", blind_index=True)
    wall.later()
    assert Keys(db).reencrypt(Other).complete
    with pytest.raises(ConfigError, match=r"\.b: run"):
        Keys(db).retire("pii", old)


def test_a_stopped_pass_is_gone_on_with_by_one_over_the_same_fields(opened, monkeypatch):
    open_, wall, name = opened
    provider, Full, Slim = Provider(), full(f"stopped-{name}"), slim(f"stopped-{name}")
    db = open_(provider, Full)
    for at in range(6):
        db.create(Full(id=f"x{at}", a="A" * 300_000, b="B"))  # several pages
    Keys(db).rotate("pii")
    wall.later()

    class Stopped(Exception):
        pass

    def stop(_):
        raise Stopped

    with pytest.raises(Stopped):
        Keys(db).reencrypt(Slim, progress=stop)
    report = Keys(db).reencrypt(Full)
    assert (report.items, report.rewritten, report.complete) == (6, 6, True)
    assert 0 < Keys(db).reencrypt(Slim).items <= 6


def test_a_key_is_retired_behind_a_pass_that_was_stopped_and_gone_on_with(opened):
    open_, wall, name = opened
    provider, Full = Provider(), full(f"again-{name}")
    db = open_(provider, Full)
    for at in range(6):
        db.create(Full(id=f"x{at}", a="A" * 300_000))  # several pages
    old = version_in_use(db, Full, "a")
    Keys(db).rotate("pii")
    wall.later()

    def stop(_):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        Keys(db).reencrypt(Full, progress=stop)
    assert Keys(db).reencrypt(Full).complete
    Keys(db).retire("pii", old)
    assert open_(provider).get(Full, "x5").a == "A" * 300_000


def test_a_pass_ends_where_keys_cannot_be_had_for_the_moment_and_is_gone_on_with(opened):
    open_, wall, name = opened
    provider, Full = Provider(), full(f"down-{name}")
    db = open_(provider, Full)
    db.create(Full(id="x", a="1", b="2"))
    Keys(db).rotate("pii")
    wall.later()
    other = open_(provider, Full)

    def down(what):
        raise KeyUnavailable("the service of keys does not answer")

    provider.fails = down
    with pytest.raises(KeyUnavailable):
        Keys(other).reencrypt(Full)
    provider.fails = lambda what: None
    report = Keys(open_(provider, Full)).reencrypt(Full)
    assert (report.rewritten, report.failed, report.complete) == (1, 0, True)


# ------------------------------------------------------------------------------------------------- one table of records


def test_every_table_of_a_shared_keyring_is_looked_at(opened, key):
    open_, wall, name = opened

    class Records(Model, table=f"ring-{name}"):
        pk: Attr[str] = partition_key()
        sk: Attr[str] = sort_key()

    class Shared(Provider):
        keyring_table = f"ring-{name}"

    provider, First, Second = Shared(), full(f"first-{name}"), full(f"second-{name}")
    db = open_(provider, Records, First, Second)
    db.create(First(id="1", a="1"))
    db.create(Second(id="2", a="2"))
    old = version_in_use(db, First, "a")
    other = open_(provider)
    other.get(First, "1")
    Keys(other).rotate("pii")
    wall.later()
    Keys(other).reencrypt(First)
    with pytest.raises(ConfigError, match="used in the table second-"):
        Keys(other).retire("pii", old)
    other.get(Second, "2")
    with pytest.raises(ConfigError, match="reencrypt"):
        Keys(other).retire("pii", old)
    Keys(other).reencrypt(Second)
    Keys(other).retire("pii", old)
    assert open_(provider).get(Second, "2").a == "2"


def test_a_table_is_noted_once(opened):
    open_, _, name = opened

    class Records(Model, table=f"note-{name}"):
        pk: Attr[str] = partition_key()
        sk: Attr[str] = sort_key()

    class Shared(Provider):
        keyring_table = f"note-{name}"

    class Seen:
        name = "seen"

        def __init__(self):
            self.tables = []

        def observed(self, call, reply, error):
            self.tables.append(call.table)

    Full, seen = full(f"noted-{name}"), Seen()
    db = open_(Shared(), Records, Full, plugins=[seen])
    db.create(Full(id="0", a="1", b="2"))
    seen.tables.clear()
    for at in range(5):
        db.create(Full(id=f"{at}x", a="1", b="2"))
    assert {table.rpartition("note-")[1] for table in seen.tables} == {""}


# -------------------------------------------------------------------------------------------------------------- tenants


def test_a_pass_of_one_tenant_passes_over_items_of_others(opened):
    open_, wall, name = opened
    provider, Full = Provider(), full(f"views-{name}")
    db = open_(provider, Full)
    for tenant in ("one", "two"):
        view = db.view(tenant=tenant)
        view.create(Full(id=tenant, a="1", b="2"))
    olds = {}
    for tenant in ("one", "two"):
        olds[tenant] = Keys(db).rotate("pii", tenant=tenant)
    wall.later()
    for tenant in ("one", "two"):
        report = Keys(db).reencrypt(Full, tenant=tenant)
        assert (report.items, report.rewritten, report.failed, report.complete) == (1, 1, 0, True)
        assert open_(provider).view(tenant=tenant).get(Full, tenant).b == "2"


def test_a_pass_of_one_tenant_passes_over_subjects_of_others(opened):
    open_, _, name = opened

    class Own(Model, table=f"subjects-{name}"):
        id: Attr[str] = partition_key()
        customer: Attr[str] = attr(immutable=True)
        a: Attr[str | None] = attr(Encrypted("pii", subject="customer"), default=None)

    provider = Provider()
    db = open_(provider, Own)
    for tenant in ("one", "two"):
        db.view(tenant=tenant).create(Own(id=tenant, customer="same", a="1"))
        db.view(tenant=tenant).create(Own(id=tenant + "2", customer=tenant, a="1"))
    report = Keys(db).reencrypt(Own, tenant="one")
    assert (report.items, report.failed, report.complete) == (2, 0, True)


def test_a_ring_of_tenants_is_rotated_for_one_of_them(opened):
    open_, _, name = opened

    class Own(Model, table=f"owned-{name}"):
        pk: Attr[str] = partition_key(composite("tenant", "id"))
        id: Attr[str] = attr(default="")
        tenant: Attr[str] = attr(Tenant())
        a: Attr[str | None] = attr(Encrypted("pii"), default=None)

    db = open_(Provider(), Own, plugins=[Tenancy()])
    db.with_tenant("mine").create(Own(id="a", a="1"))
    with pytest.raises(ConfigError, match="tenant="):
        Keys(db).rotate("pii")
    with pytest.raises(ConfigError, match="tenant="):
        Keys(db).retire("pii", str(uuid.uuid4()))
    Keys(db).rotate("pii", tenant="mine")


def test_a_key_of_blind_indexes_is_held_by_the_items_of_its_own_tenant_alone(opened):
    open_, wall, name = opened

    class Own(Model, table=f"blinds-{name}"):
        pk: Attr[str] = partition_key(composite("tenant", "id"))
        id: Attr[str] = attr(default="")
        tenant: Attr[str] = attr(Tenant())
        a: Attr[str | None] = attr(Encrypted("pii", searchable=True), default=None)

    db = open_(Provider(), Own, plugins=[Tenancy()])
    db.with_tenant("mine").create(Own(id="a", a="1"))
    (old,) = Keys(db).rotate("pii", tenant="mine", blind_index=True).former.values()
    wall.later()
    with pytest.raises(ConfigError, match=r"\.a: run db\.keys\.reencrypt"):
        Keys(db).retire("pii", old, tenant="mine")
    db.with_tenant("other").create(Own(id="a", a="1"))
    assert Keys(db).reencrypt(Own, tenant="mine").complete
    Keys(db).retire("pii", old, tenant="mine")
    for tenant in ("mine", "other"):
        assert db.with_tenant(tenant).get(Own, id="a").a == "1"


# ------------------------------------------------------------------------------------------------------ what is not ours


def migrating(name, wall):
    class User(Model, table=name):
        id: Attr[str] = partition_key()
        email: Attr[str | None] = attr(
            Encrypted("pii", searchable=True, plaintext_until=wall.now + dt.timedelta(days=30)), default=None
        )
        name: Attr[str | None] = attr(Encrypted("pii"), default=None)

    class Before(Model, table=name):
        id: Attr[str] = partition_key()
        email: Attr[str | None] = attr(default=None)

    class Log(Model, table=name):
        id: Attr[str] = partition_key()
        email: Attr[str | None] = attr(default=None)
        line: Attr[str] = attr(default="")

    return User, Before, Log


def test_an_item_that_is_known_to_be_of_the_model_is_encrypted(opened, plugged):
    open_, wall, name = opened
    User, Before, _ = migrating(f"alone-{name}", wall)
    db = open_(Provider(), User)
    plugged().create(Before(id="a", email="x"))
    report = Keys(db).reencrypt(User)
    assert (report.rewritten, report.skipped, report.complete) == (1, 0, True)
    assert db.model(User).allow_scan().where(User.email.equals("x")).one().id == "a"


def test_what_another_class_stores_in_the_clear_stays_so(opened, plugged):
    open_, wall, name = opened
    User, Before, Log = migrating(f"beside-{name}", wall)
    db, plain = open_(Provider(), User), plugged()
    plain.create(Log(id="log", email="x", line="1"))
    plain.create(Before(id="user", email="y"))
    report = Keys(db).reencrypt(User)
    assert (report.items, report.rewritten, report.skipped, report.complete) == (2, 1, 1, False)
    assert plain.get(Log, "log").email == "x"
    report = Keys(db).reencrypt(User, only=lambda item: not item["id"]["S"].startswith("log"))
    assert (report.items, report.skipped, report.complete) == (1, 0, True)
    assert plain.get(Log, "log").email == "x"
    assert db.get(User, "user").email == "y"


def test_where_two_classes_look_alike_nothing_is_encrypted(opened):
    open_, wall, name = opened
    User, Before, _ = migrating(f"alike-{name}", wall)
    db = open_(Provider(), User)
    db.create(Before(id="log", email="x"))
    db.create(User(id="user", email="y"))
    with pytest.raises(ConfigError, match="Before stores that attribute of the same table"):
        Keys(db).reencrypt(User)
    assert db.get(Before, "log").email == "x"
    with pytest.raises(ConfigError, match="only"):
        Keys(db).reencrypt(User, only=lambda: True)


def test_the_items_of_a_family_are_known_by_their_tags(opened, plugged):
    open_, wall, name = opened
    until = wall.now + dt.timedelta(days=30)

    class Base(Model, table=f"known-{name}", discriminator="kind"):
        id: Attr[str] = partition_key()
        email: Attr[str | None] = attr(Encrypted("pii", plaintext_until=until), default=None)

    class Sub(Base, tag="sub"):
        more: Attr[str] = attr(default="")

    class Stored(Model, table=f"known-{name}"):
        id: Attr[str] = partition_key()
        kind: Attr[str | None] = attr(default=None)
        email: Attr[str | None] = attr(default=None)
        more: Attr[str | None] = attr(default=None)

    db, plain = open_(Provider(), Base), plugged()
    plain.create(Stored(id="sub", kind="sub", email="x", more="y"))
    plain.create(Stored(id="none", email="x", more="y"))
    report = Keys(db).reencrypt(Base)
    assert (report.items, report.rewritten, report.skipped, report.complete) == (2, 1, 1, False)
    assert db.get(Sub, "sub").email == "x"
    assert plain.get(Stored, "none").email == "x"


def test_without_plaintext_until_a_value_in_the_clear_is_left_and_counted(opened, plugged):
    open_, _, name = opened
    Full = full(f"left-{name}")

    class Other(Model, table=f"left-{name}"):
        id: Attr[str] = partition_key()
        a: Attr[str | None] = attr(default=None)

    db = open_(Provider(), Full)
    db.create(Full(id="1", a="1"))
    plugged().create(Other(id="2", a="plain"))
    report = Keys(db).reencrypt(Full)
    assert (report.items, report.failed, report.skipped, report.complete) == (2, 0, 1, True)
    assert plugged().get(Other, "2").a == "plain"


def test_the_other_values_of_an_item_that_is_shredded_in_part_are_stored_anew(opened):
    open_, wall, name = opened

    class Own(Model, table=f"part-{name}"):
        id: Attr[str] = partition_key()
        a: Attr[str | None] = attr(Encrypted("pii", subject="id"), default=None)
        b: Attr[str | None] = attr(Encrypted("other"), default=None)

    provider = Provider()
    db = open_(provider, Own)
    db.create(Own(id="gone", a="1", b="2"))
    old = version_in_use(db, Own, "b")
    Keys(db).shred(subject="gone")
    Keys(db).rotate("other")
    wall.later()
    report = Keys(db).reencrypt(Own)
    assert (report.rewritten, report.failed, report.complete) == (1, 1, False)
    Keys(db).retire("other", old)
    again = open_(provider)
    assert again.get(Own, "gone", select=["b"]).b == "2"
    with pytest.raises(KeyDisabled):
        again.get(Own, "gone")


# ------------------------------------------------------------------------------------------------ nothing to be shredded


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": "nobody"},
        {"subject": "mine"},
        {"tenant": "nobody"},
        {"tenant": "t", "subject": "nobody"},
        {"tenant": "t", "ring": "never"},
        {"tenant": ""},
        {"tenant": "other", "subject": "mine"},
    ],
)
def test_what_is_not_there_is_not_shredded(opened, wrong):
    open_, _, name = opened

    class Own(Model, table=f"nothing-{name}"):
        id: Attr[str] = partition_key()
        a: Attr[str | None] = attr(Encrypted("pii", subject="id"), default=None)
        b: Attr[str | None] = attr(Encrypted("never"), default=None)

    provider = Provider()
    db = open_(provider, Own)
    db.view(tenant="t").create(Own(id="mine", a="1"))
    calls = len(provider.calls)
    with pytest.raises(ConfigError):
        Keys(db).shred(**wrong)
    assert len(provider.calls) == calls
    assert db.view(tenant="t").get(Own, "mine").a == "1"
    assert Keys(db).shred(tenant="t", subject="mine").done_at
    with pytest.raises(KeyDisabled):
        db.view(tenant="t").get(Own, "mine")


# ------------------------------------------------------------------------------------------------------------ subjects


def test_a_rotation_and_a_retirement_lose_no_subject(opened):
    open_, wall, name = opened

    class Mixed(Model, table=f"mixed-{name}"):
        id: Attr[str] = partition_key()
        customer: Attr[str] = attr(immutable=True, default="c")
        a: Attr[str | None] = attr(Encrypted("pii"), default=None)
        own: Attr[str | None] = attr(Encrypted("pii", subject="customer", searchable=True), default=None)

    provider = Provider()
    db = open_(provider, Mixed)
    for at in range(3):
        db.create(Mixed(id=f"{at}", customer=f"c{at}", a="x", own=f"v{at}"))
    old, old_index = version_in_use(db, Mixed, "a"), version_in_use(db, Mixed, "own", blind=True)
    assert list(Keys(db).rotate("pii").former.values()) == [old]
    report = Keys(db).rotate("pii", blind_index=True)
    assert list(report.former.values()) == [old_index] != list(report.versions.values())
    assert report.former.keys() == report.versions.keys()
    wall.later()
    db.create(Mixed(id="new", customer="c1", a="y", own="w"))
    report = Keys(db).reencrypt(Mixed)
    assert (report.failed, report.complete) == (0, True)
    for each in (old, old_index):
        Keys(db).retire("pii", each)
    for again in (db, open_(provider)):
        assert [again.get(Mixed, f"{at}").own for at in range(3)] == ["v0", "v1", "v2"]
        assert again.get(Mixed, "new").own == "w"
        assert [one.id for one in again.model(Mixed).allow_scan().where(Mixed.own.equals("v1")).all()] == ["1"]
        again.update(Mixed, "0", Mixed.own.set("v0"))


def test_a_rotation_of_subjects_alone_is_refused_with_its_reason(opened):
    open_, _, name = opened

    class Alone(Model, table=f"alone-{name}"):
        id: Attr[str] = partition_key()
        own: Attr[str | None] = attr(Encrypted("pii", subject="id"), default=None)

    db = open_(Provider(), Alone)
    db.create(Alone(id="1", own="v"))
    with pytest.raises(ConfigError, match="would change nothing"):
        Keys(db).rotate("pii")
    assert db.get(Alone, "1").own == "v"
