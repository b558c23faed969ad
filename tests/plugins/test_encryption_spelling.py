"""Records of keys lie where the policy of their tenant reaches them, whatever signs a tenant has; those from before are found, too."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamorm import DB, Attr, Encrypted, Model, Presets, attr, partition_key, sort_key
from dynamorm.errors import KeyDisabled
from dynamorm.plugin import former_tenant_prefix, system_part, tenant_prefix
from dynamorm.plugins import EncryptionPlugin
from dynamorm.plugins.encryption.records import Ring
from dynamorm.plugins.tenancy import session_policy

from .encryption_kit import Keys, Provider, Wall, version_in_use
from .test_tenancy_policy import ARN, allows

SPELLED = ["é", "a b", 'x"y', "shop!", "東京", "a\u00a0b", "%#*?${}"]
OTHERWISE = SPELLED[:-1]
"""Those whose records were called otherwise before."""


class Note(Model, table="spelling-notes"):
    id: Attr[str] = partition_key()
    owner: Attr[str] = attr(immutable=True, default="c")
    text: Attr[str | None] = attr(Encrypted("pii", searchable=True), default=None)
    mine: Attr[str | None] = attr(Encrypted("own", subject="owner"), default=None)


class Record(Model, table="spelling-notes"):
    """The records of keys as they are stored."""

    id: Attr[str] = partition_key()


class Elsewhere(Model, table="spelling-keys"):
    pk: Attr[str] = partition_key()
    sk: Attr[str] = sort_key()


@pytest.fixture(scope="module")
def made(engine, prefix):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        db.tables.create(Record)
        db.tables.create(Elsewhere)
    return prefix


@pytest.fixture(params=["notes", "keys"])
def opened(plugged, made, request):
    """Databases of one provider, and the texts of all partition keys of records; ``move`` gives records their former names."""
    provider, wall = Provider(), Wall()
    if request.param == "keys":
        provider.keyring_table = "spelling-keys"
    model = Elsewhere if request.param == "keys" else Record
    name = "pk" if request.param == "keys" else "id"
    plain = DB(Presets.local_development(endpoint=plugged().config.endpoint, table_prefix=made))
    for found in plain.model(model).allow_scan().all():
        plain.delete(found)

    def open_():
        plugin = EncryptionPlugin(provider)
        plugin.keys.keyring.now = wall
        return plugged(plugin)

    def records():
        return [one for one in plain.model(model).allow_scan().all() if "~K#" in getattr(one, name)]

    def texts():
        return {getattr(one, name) for one in records()}

    def move(tenant):
        today, former = tenant_prefix(tenant), former_tenant_prefix(tenant)
        table = plain.tables.name_of(model)
        for text in texts():
            for item in plain.partiql(f'SELECT * FROM "{table}" WHERE {name} = ?', text):
                moved = {**item, name: former + text.removeprefix(today)}
                shown = ", ".join(f"'{part}': ?" for part in moved)
                plain.partiql(f'INSERT INTO "{table}" VALUE {{{shown}}}', *moved.values())
        for one in records():
            if getattr(one, name).startswith(today):
                plain.delete(one)

    with plain:
        yield open_, texts, move, wall


@pytest.mark.parametrize("tenant", SPELLED)
def test_records_of_keys_lie_where_the_policy_of_the_tenant_reaches_them(opened, key, tenant):
    open_, texts, _, _ = opened
    open_().view(tenant=tenant).create(Note(id=key, text="1", mine="2"))
    assert texts()
    policy = session_policy(tenant, [], keyring=[ARN + "keys"])
    assert all(allows(policy, "GetItem", ARN + "keys", text) for text in texts())
    other = session_policy("other", [], keyring=[ARN + "keys"])
    assert not any(allows(other, "GetItem", ARN + "keys", text) for text in texts())


@pytest.mark.parametrize("tenant", OTHERWISE)
def test_records_with_the_former_name_are_found_and_read_and_nothing_is_made_in_their_place(opened, key, tenant):
    open_, texts, move, _ = opened
    open_().view(tenant=tenant).create(Note(id=key, text="1", mine="2"))
    move(tenant)
    former = texts()
    assert all(text.startswith(former_tenant_prefix(tenant)) for text in former)
    policy = session_policy(tenant, [], keyring=[ARN + "keys"])
    assert all(allows(policy, "GetItem", ARN + "keys", text) for text in former)
    view = open_().view(tenant=tenant)
    found = view.get(Note, key)
    assert (found.text, found.mine) == ("1", "2")
    view.create(Note(id=f"{key}2", text="1", mine="4"))
    assert {one.id for one in view.model(Note).allow_scan().where(Note.text.equals("1")).all()} == {key, f"{key}2"}
    assert texts() == former  # the keys in use were taken, and none besides
    view.create(Note(id=f"{key}3", owner="d", mine="5"))  # a new subject
    new = texts() - former
    assert all(text.startswith(tenant_prefix(tenant)) for text in new)
    assert open_().view(tenant=tenant).get(Note, f"{key}3").mine == "5"


def test_a_ring_with_former_names_is_rotated_encrypted_anew_and_retired(opened, key):
    open_, texts, move, wall = opened
    tenant = "東京 1"
    db = open_()
    db.view(tenant=tenant).create(Note(id=key, text="1"))
    old = version_in_use(db, Note, "text", tenant=tenant)
    move(tenant)
    db = open_()
    view, keys = db.view(tenant=tenant), Keys(db)
    assert view.get(Note, key).text == "1"
    keys.rotate("pii", tenant=tenant)
    view.create(Note(id=f"{key}2", text="2"))
    assert any(text.startswith(tenant_prefix(tenant)) for text in texts())
    wall.later()
    report = keys.reencrypt(Note, tenant=tenant)
    assert (report.failed, report.complete) == (0, True)
    keys.retire("pii", old, tenant=tenant)
    again = open_().view(tenant=tenant)
    assert [again.get(Note, at).text for at in (key, f"{key}2")] == ["1", "2"]


@pytest.mark.parametrize("both", [False, True], ids=["former", "both"])
def test_shred_ends_records_of_either_name(opened, key, monkeypatch, both):
    open_, _, move, wall = opened
    tenant = "é 1"
    open_().view(tenant=tenant).create(Note(id=key, text="1", mine="2"))
    move(tenant)
    written = [key]
    if both:  # as where a process that knows the other spelling alone has made a ring at the same time
        with monkeypatch.context() as patch:
            patch.setattr(Ring, "former_key", lambda ring, what: None)
            open_().view(tenant=tenant).create(Note(id=f"{key}2", text="2"))
        written.append(f"{key}2")
    db = open_()
    assert [db.view(tenant=tenant).get(Note, at).text for at in written] == ["1", "2"][: len(written)]
    Keys(db).shred(tenant=tenant)
    wall.later()
    Keys(db).shred(tenant=tenant)
    for view in (db.view(tenant=tenant), open_().view(tenant=tenant)):
        for at in written:
            with pytest.raises(KeyDisabled):
                view.get(Note, at)
        with pytest.raises(KeyDisabled):
            view.create(Note(id=f"{key}3", text="3"))


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_no_two_tenants_share_a_beginning_in_either_spelling(one, other):
    prefixes = {tenant_prefix(one), former_tenant_prefix(one)}
    others = {tenant_prefix(other), former_tenant_prefix(other)}
    for left in prefixes:
        for right in others:
            assert one == other or not (left.startswith(right) or right.startswith(left))
    assert tenant_prefix(one) == f"T#{system_part(one)}#"
    assert not set("*?{}$").intersection("".join(prefixes))
