"""What cannot be tracked or asked is refused where it is said, change logs hold what they say, and lost races say what they are."""

import asyncio
import dataclasses
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from dynamorm import Attr, Audit, AuditableModel, Model, actor, adapters, attr, partition_key
from dynamorm.errors import ConditionFailed, ConfigError, InvalidTenant, ModelError, ValidationError
from dynamorm.plugins.audit import AuditLog, Change, Signer
from dynamorm.plugins.audit.fields import LARGEST, bounded
from dynamorm.plugins.audit.values import encode
from dynamorm.plugins.tenancy import tenant_scope

from .audit_kit import acting, tracking

pytestmark = pytest.mark.engine

WHO = actor("user:1")


class Paper(AuditableModel, Model, table="refusals-papers"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")
    data: Attr[bytes | None] = attr(default=None)
    parts: Attr[list[bytes]] = attr(default_factory=list)
    kinds: Attr[set[bytes]] = attr(default_factory=set)
    secret: Attr[str] = attr(default="s", secret=True)


class Other(Model, table="refusals-others"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")


MODELS = (Paper, Other)
SIGNER = Signer("k", lambda data: b"s", lambda data, signature, kid: True)


def made_with(db):
    db.enable_change_tracking(Other, tracking(["text"], store="refusals-log"))
    row = next(one for one in db.plugins if isinstance(one, AuditLog)).of(Other).row
    db.tables.create(row, skip_unavailable=True)


@pytest.fixture
def db(plugged, request):
    face = plugged()
    face.enable_change_tracking(Other, tracking(["text"], store="refusals-log"))
    face.enable_change_tracking(Paper, tracking(["text"], store="refusals-log"))
    acting(request, WHO)
    return face


@pytest.fixture
def plain(plugged):
    return plugged()


# ------------------------------------------------------------------------------------------------------ at registration


@pytest.mark.parametrize("name", ["created_by", "updated_by", "updated_ip", "change_log"])
def test_what_the_library_fills_in_is_not_tracked(plain, name):
    with pytest.raises(ModelError, match=f"{name} is filled in by the library"):
        plain.enable_change_tracking(Paper, tracking(["text", name]))


def test_the_store_is_a_table_of_its_own(plain):
    with pytest.raises(ModelError, match="is the table of Other itself"):
        plain.enable_change_tracking(Other, tracking(["text"], store="refusals-others"))
    plain.enable_change_tracking(Paper, tracking(["text"], store="refusals-log"))
    with pytest.raises(ConfigError, match="is the table of Paper"):
        plain.enable_change_tracking(Other, tracking(["text"], store="refusals-papers"))
    plain.enable_change_tracking(Other, tracking(["text"], store="refusals-log"))


def test_the_table_of_a_model_is_no_store_of_another(plain):
    plain.enable_change_tracking(Paper, tracking(["text"], store="refusals-others"))
    with pytest.raises(ConfigError, match="the store of another model"):
        plain.enable_change_tracking(Other, tracking(["text"], store="refusals-log"))


@pytest.mark.parametrize("store", ["", "x", "ab", "a b c", "a" * 256, None])
def test_the_name_of_the_store_is_looked_at_where_it_is_given(store):
    with pytest.raises(ConfigError, match=r"store of ChangeTrackingConfig is the name of a table.*3 to 255"):
        tracking(["text"], store=store)


@pytest.mark.parametrize(
    ("kind", "annotation"),
    [
        ("created_by", int | None),
        ("updated_by", bytes | None),
        ("updated_ip", list[str] | None),
        ("changelog", str | None),
        ("changelog", dict[str, str] | None),
    ],
)
def test_an_audit_field_of_another_type_is_refused_with_its_model(plain, kind, annotation):
    class Wrong(Model, table="refusals-wrong"):
        id: Attr[str] = partition_key()
        field: Attr[annotation] = attr(Audit(kind), default=None)

    plain.enable_audit_log(audit_key=b"k" * 32)
    with WHO, pytest.raises(ModelError, match=rf'field has Audit\("{kind}"\): declare it as'):
        plain.create(Wrong(id="1"))


def test_options_of_a_registered_class_are_several():
    made = dataclasses.make_dataclass("Foreign", [("id", str)])
    with pytest.raises(ModelError, match=r"options takes several for each field: write options=\{'id': \[...\]\}"):
        adapters.register(made, table="refusals-foreign", partition="id", options={"id": Audit("created_by")})


# ------------------------------------------------------------------------------------------------------------ questions


def test_what_is_asked_in_another_way_is_refused_with_what_to_say(db, key):
    made = db.create(Other(id=key))
    with pytest.raises(ValidationError, match=r"takes the model first.*an object of Other"):
        db.audit.verify(made)
    with pytest.raises(ValidationError, match=r"takes the model first.*text"):
        db.audit.history("Other", key)
    with pytest.raises(ValidationError, match=r"when=\.\.\., and got str"):
        db.audit.as_of(Other, key, at=datetime.now(UTC))
    with pytest.raises(ValidationError, match=r"head is a SignedHead.*not a dict"):
        db.audit.verify(Other, key, head={})


def test_heads_are_of_the_database_itself(plain):
    plain.enable_change_tracking(Other, tracking(["text"], store="refusals-signed", checkpoints=SIGNER))
    with pytest.raises(ValidationError, match="of a tenant, or of None, not a int"):
        plain.audit.checkpoint(5, date(2026, 1, 1))
    with pytest.raises(ValidationError, match="head is a SignedHead"):
        plain.audit.verify_checkpoint({})
    with pytest.raises(ConfigError, match="this is a view"):
        plain.scoped(tenant="t").audit.verify_checkpoint({})


# ------------------------------------------------------------------------------------------------------------ change logs


def test_a_change_log_gives_bytes_back_as_they_were(db, key):
    made = db.create(Paper(id=key, data=b"\xff\x00a", parts=[b"1"], kinds={b"\xfe"}))
    made.data, made.parts, made.kinds = b"\xff\x00b", [b"2", b"3"], {b"\xfd", b"\xfc"}
    db.save(made)
    wanted = {
        "data": (b"\xff\x00a", b"\xff\x00b"),
        "parts": ([b"1"], [b"2", b"3"]),
        "kinds": ([b"\xfe"], [b"\xfc", b"\xfd"]),
    }
    assert {one.field: (one.old, one.new) for one in made.change_log} == wanted
    assert {one.field: (one.old, one.new) for one in db.require(Paper, key).change_log} == wanted


@pytest.mark.parametrize("value", [[10**8] * 20, {f"k{n}": Decimal(n) for n in range(20)}, "\u00e9" * 100, b"x" * 200])
def test_a_change_log_has_at_most_its_bytes(value):
    now = datetime.now(UTC)
    changes = [Change(field="f", old=value, new=value, at=now, by="u" * 256) for _ in range(25)]
    kept = bounded(changes)
    assert 1 < len(kept) <= 20
    assert len(encode(kept)) <= LARGEST + 100  # with the count of those that were dropped
    assert kept[0].dropped == 25 - len(kept)


def test_an_object_of_a_deleted_item_is_created_again(db, key):
    with actor("user:0"):
        db.create(Paper(id=key, text="a"))
    db.update(Paper, key, Paper.text.set("b"))
    found = db.require(Paper, key)
    db.delete(Paper, key)
    with actor("user:9"):
        db.create(found)
    stored = db.require(Paper, key)
    assert (stored.created_by, stored.updated_by, stored.change_log, stored.text) == ("user:9", "user:9", [], "b")
    stored.created_by = "somebody"
    db.delete(Paper, key)
    with pytest.raises(ValidationError, match="is set by the library"):
        db.create(stored)


def test_a_hidden_field_is_no_change_where_others_are_tracked(plugged, key):
    with WHO:
        db = plugged()
        db.enable_change_tracking(Paper, tracking(["secret"], store="refusals-log"))
        db.create(Paper(id=key, secret="one"))
        wider = plugged()
        wider.enable_change_tracking(Paper, tracking(["secret", "text"], store="refusals-log"))
        wider.update(Paper, key, Paper.text.set("b"))
        told = wider.audit.history(Paper, key)
        assert [(one.op, [change.field for change in one.changes]) for one in told] == [
            ("create", ["secret"]),
            ("baseline", ["text"]),
            ("update", ["text"]),
        ]
        assert wider.audit.verify(Paper, key).ok


# ------------------------------------------------------------------------------------------------------------- refusals


def test_a_save_that_lost_the_race_says_so(db, key):
    db.create(Other(id=key, text="a"))
    one, two = db.require(Other, key), db.require(Other, key)
    one.text, two.text = "b", "c"
    db.save(one)
    with pytest.raises(ConditionFailed, match="was changed by somebody else meanwhile") as told:
        db.save(two)
    assert "the condition does not hold" not in str(told.value)
    with pytest.raises(ConditionFailed, match="the condition does not hold"):
        db.update(Other, key, Other.text.set("d"), condition=Other.text == "zz")
    assert db.require(Other, key).text == "b"


@pytest.mark.parametrize("model", MODELS)
def test_a_batch_of_audited_objects_is_refused_in_words_of_the_user(db, key, model):
    with pytest.raises(ValidationError, match=f"a {model.__name__} is audited.*a transaction, or a batcher") as told:
        db.batch_write(puts=[model(id=key)])
    assert "Both" not in str(told.value)


def test_a_transaction_that_is_too_large_advises_what_is_possible(db, key):
    def too_many():
        with db.transaction() as tx:
            for number in range(51):
                tx.create(Other(id=f"{key}-{number}"))

    with pytest.raises(ValidationError, match=r"several transactions; .*bring no others along"):
        too_many()


def test_a_scope_of_a_tenant_is_entered_by_async_with(face_kind):
    async def inside():
        scope = tenant_scope("t1")
        async with scope as entered:
            assert entered is scope
            with pytest.raises(InvalidTenant):
                scope.__enter__()
        async with scope:
            return True

    assert asyncio.run(inside())
