"""Tables with settings, tables of several models, and the check at start-up."""

from dataclasses import dataclass

import pytest

from dynamorm import Attr, Model, TableSettings, Throughput, attr, gsi, partition_key, sort_key, ttl
from dynamorm.adapters import register
from dynamorm.errors import ClientError, IndexUnavailable, ModelError, Outcome, ValidationError
from dynamorm.models.schema.table_settings import IndexSettings
from tests.conftest import ENGINE

pytestmark = pytest.mark.engine

local_ignores = pytest.mark.skipif(ENGINE == "local", reason="DynamoDB Local accepts this setting and ignores it")
local_lacks = pytest.mark.skipif(ENGINE == "local", reason="DynamoDB Local has neither tags nor point-in-time recovery")


class Protected(Model, table="vault", settings=TableSettings(deletion_protection=True, stream="NEW_AND_OLD_IMAGES")):
    id: Attr[str] = partition_key()
    owner: Attr[str | None] = attr(default=None)
    until: Attr[int | None] = ttl(default=None, name="u")
    by_owner = gsi("by-owner", partition="owner")


class Bare(Model, table="vault"):
    id: Attr[str] = partition_key()


class Entity(Model, table="app", discriminator="kind"):
    pk: Attr[str] = partition_key()
    sk: Attr[str] = sort_key()


class Customer(Entity, tag="c"):
    email: Attr[str | None] = attr(default=None)
    by_email = gsi("by-email", partition="email")


class Order(Entity, tag="o"):
    status: Attr[str | None] = attr(default=None)
    expires: Attr[int | None] = ttl(default=None)
    by_status = gsi("by-status", partition="status", sort="sk", projection="KEYS_ONLY")


class Note(Model, table="app"):
    part: Attr[str] = partition_key(name="pk")
    place: Attr[str] = sort_key(name="sk")
    text: Attr[str] = attr(default="")
    state: Attr[str | None] = attr(default=None, name="status")
    by_status = gsi("by-status", partition="state", sort="place", projection=("text",))


class Contrary(Model, table="app"):
    pk: Attr[int] = partition_key()
    sk: Attr[str] = sort_key()
    email: Attr[str | None] = attr(default=None)
    until: Attr[int | None] = ttl(default=None)
    by_email = gsi("by-email", partition="email", sort="sk")


class OtherKey(Model, table="app"):
    id: Attr[str] = partition_key()


@pytest.fixture
def db(open_db, engine, key):
    """A database whose tables no other test knows; they are deleted behind the test."""
    db = open_db(engine.endpoint, table_prefix=f"{key[:12]}-")
    yield db
    db.tables.delete(Bare, Note, force=True)


def test_the_settings_of_the_class_make_the_table(db):
    made = db.tables.create(Protected)
    assert made.deletion_protection is True
    assert made.stream == "NEW_AND_OLD_IMAGES"
    assert made.ttl == "u"
    live = db.tables.describe(Protected)
    assert (live.ttl, live.ttl_status) == ("u", "ENABLED")
    assert live.stream_arn is not None
    assert live.billing_mode == "PAY_PER_REQUEST"
    assert not db.tables.plan(Protected)


def test_a_registered_class_has_settings_too(db):
    @register(table="vault", partition="id", settings=TableSettings(deletion_protection=True))
    @dataclass
    class Registered:
        id: str

    assert db.tables.create(Registered).deletion_protection is True


def test_a_subclass_inherits_the_settings_of_its_base(db):
    class Child(Protected):
        extra: Attr[str] = attr(default="")

    assert db.tables.create(Child).deletion_protection is True


def test_settings_of_the_call_replace_those_of_the_class(db):
    made = db.tables.create(Protected, settings=TableSettings(throughput=Throughput(3, 2), time_to_live=False))
    assert (made.billing_mode, made.throughput) == ("PROVISIONED", Throughput(3, 2))
    assert made.indexes["by-owner"].throughput == Throughput(3, 2)
    assert (made.deletion_protection, made.stream) == (False, None)
    assert db.tables.describe(Protected).ttl == ""


def test_an_index_has_units_of_its_own(db):
    settings = TableSettings(
        throughput=Throughput(3, 2), indexes={"by-owner": IndexSettings(throughput=Throughput(7, 6))}
    )
    assert db.tables.create(Protected, settings=settings).indexes["by-owner"].throughput == Throughput(7, 6)


@local_ignores
def test_what_the_engine_keeps_of_the_other_settings(db):
    settings = TableSettings(
        table_class="STANDARD_INFREQUENT_ACCESS",
        encryption="AWS_MANAGED",
        max_throughput=Throughput(40, 30),
        point_in_time_recovery=True,
        tags={"team": "pay"},
    )
    db.tables.create(Bare, settings=settings)
    live = db.tables.describe(Bare)
    assert live.table_class == "STANDARD_INFREQUENT_ACCESS"
    assert live.encryption == "AWS_MANAGED"
    assert live.max_throughput == Throughput(40, 30)
    assert live.point_in_time_recovery is True
    assert live.tags == {"team": "pay"}


@pytest.mark.skipif(ENGINE != "local", reason="ministack has tags")
@pytest.mark.parametrize("way", ["create", "ensure", "apply"])
def test_tags_that_an_engine_takes_and_forgets_are_named(db, way):
    settings = TableSettings(tags={"team": "pay"})
    make = {
        "create": lambda: db.tables.create(Bare, settings=settings),
        "ensure": lambda: db.tables.ensure(Bare, settings=settings),
        "apply": lambda: db.tables.apply(db.tables.plan(Bare, settings=settings)),
    }[way]
    with pytest.raises(ClientError, match=r"no TagResource.*skip_unavailable") as caught:
        make()
    assert caught.value.code == "UnknownOperationException"
    assert db.tables.ensure(Bare, settings=settings, skip_unavailable=True).status == "ACTIVE"


@pytest.mark.skipif(ENGINE != "local", reason="ministack has point-in-time recovery")
def test_what_an_engine_lacks_is_named_or_passed_over(db):
    settings = TableSettings(point_in_time_recovery=True)
    with pytest.raises(ClientError, match="skip_unavailable"):
        db.tables.create(Bare, settings=settings)
    assert db.tables.ensure(Bare, settings=settings, skip_unavailable=True).point_in_time_recovery is None


class Expiring(Model, table="vault"):
    id: Attr[str] = partition_key()
    until: Attr[int | None] = ttl(default=None, name="u")


class OtherExpiry(Model, table="vault"):
    id: Attr[str] = partition_key()
    until: Attr[int | None] = ttl(default=None, name="v")


def test_ensure_switches_the_expiry_on_of_a_table_that_is_there(db):
    db.tables.create(Bare)
    assert db.tables.ensure(Expiring).ttl == "u"
    assert db.tables.ensure(Expiring).ttl == "u"  # a second change would be refused


def test_ensure_does_not_change_by_which_attribute_items_expire(db):
    db.tables.create(Expiring)
    with pytest.raises(ModelError, match="it expires items by u, not by v"):
        db.tables.ensure(OtherExpiry)
    assert db.tables.describe(Bare).ttl == "u"


def test_ensure_changes_nothing_of_a_table_that_does_not_fit(db):
    db.tables.create(Bare)
    with pytest.raises(ModelError, match="no index by-owner"):
        db.tables.ensure(Protected)
    assert db.tables.describe(Bare).ttl == ""


@local_lacks
def test_ensure_switches_recovery_on_of_a_table_that_is_there(db):
    db.tables.create(Bare)
    settings = TableSettings(point_in_time_recovery=True)
    assert db.tables.ensure(Bare, settings=settings).point_in_time_recovery is True
    assert db.tables.ensure(Bare, settings=settings).point_in_time_recovery is True


def test_a_protected_table_is_deleted_by_force_only(db):
    db.tables.create(Protected)
    db.create(Protected(id="kept"))
    with pytest.raises(ValidationError, match="force=True") as caught:
        db.tables.delete(Protected)
    assert caught.value.code == "ErrDeletionProtected"
    assert db.exists(Protected, "kept", consistent=True)
    db.tables.delete(Protected, force=True)
    assert db.tables.names() == []


def test_names_and_wait(db, key):
    assert db.tables.names() == []
    db.tables.create(Bare)
    db.tables.wait(Bare, timeout=30)
    assert db.tables.names() == [f"{key[:12]}-vault"]


# ---------------------------------------------------------------------------------------------------- models of one table


def test_a_table_has_the_keys_and_indexes_of_all_its_models(db):
    made = db.tables.ensure(Customer, Order, Note)
    assert len(made) == 1
    live = made[0]
    assert (live.partition, live.sort) == ("pk", "sk")
    assert set(live.indexes) == {"by-email", "by-status"}
    # The index that two models share projects what either needs.
    assert live.indexes["by-status"].projected == ("text",)
    assert live.ttl == "expires"
    assert db.tables.check(Customer, Order, Note) == ()
    assert not db.tables.plan(Customer, Order, Note)
    db.create(Note(part="a", place="b", text="t"))
    db.create(Order(pk="a", sk="c", status="new"))
    assert db.tables.ensure(Customer, Order, Note)[0].name == live.name


def test_a_base_stands_for_its_subclasses(db):
    live = db.tables.ensure(Entity)
    assert set(live.indexes) == {"by-email", "by-status"}
    assert live.ttl == "expires"
    assert db.tables.check(Entity) == ()


def test_several_tables_are_made_in_one_call(db):
    made = db.tables.ensure(Bare, Note)
    assert [one.name.rpartition("-")[2] for one in made] == ["vault", "app"]
    db.tables.delete(Bare, Note)
    assert db.tables.names() == []


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ((Customer, Contrary), ["pk is of type S in Customer, of type N in Contrary", "by-email"]),
        ((Order, Contrary), ["Order expires by expires, Contrary until"]),
        ((Customer, OtherKey), ["Customer has the key pk, sk, OtherKey id"]),
    ],
    ids=["type and index", "expiry", "key"],
)
@pytest.mark.parametrize("verb", ["create", "ensure", "plan", "check"])
def test_models_that_contradict_each_other_are_refused(db, models, words, verb):
    with pytest.raises(ModelError, match="contradict each other") as caught:
        getattr(db.tables, verb)(*models)
    for word in words:
        assert word in str(caught.value)
    assert db.tables.names() == []


# ------------------------------------------------------------------------------------------------------ check at start-up


def test_check_lists_everything_that_does_not_fit_in_all_tables(db):
    db.tables.create(Bare)
    with pytest.raises(ModelError) as caught:
        db.tables.check(Protected, Note)
    text = str(caught.value)
    assert "does not fit Protected" in text
    assert "it has no index by-owner" in text
    assert "it expires items by nothing, not by u" in text
    assert "-app' does not exist" in text


def test_check_tells_of_an_index_that_no_model_names(db):
    db.tables.create(Protected)
    (note,) = db.tables.check(Bare)
    assert "by-owner belongs to none of the models" in note


def test_check_changes_nothing(db):
    with pytest.raises(ModelError):
        db.tables.check(Bare)
    assert db.tables.names() == []


# --------------------------------------------------------------------------------------------------------- missing index


def test_a_query_on_an_index_that_the_table_lacks_names_index_table_and_fix(db, key):
    db.tables.create(Bare)
    for call in (
        lambda: db.model(Protected).index("by-owner").where(Protected.owner == "secret-value").all(),
        lambda: db.model(Protected).index("by-owner").where(Protected.owner == "secret-value").count(),
    ):
        with pytest.raises(IndexUnavailable) as caught:
            call()
        error = caught.value
        assert (error.index, error.table) == ("by-owner", f"{key[:12]}-vault")
        assert "db.tables.plan(" in str(error)
        assert "secret-value" not in str(error)
        assert error.outcome is Outcome.NOT_APPLIED
        assert error.retryable is False
        assert error.code == "ErrIndexUnavailable"
