"""Plans: what they show of a live table, that applying them makes it so, and that nothing is done twice."""

import pytest

from dynamorm import Attr, Model, TableSettings, Throughput, attr, gsi, lsi, partition_key, sort_key, ttl
from dynamorm.errors import ModelError
from dynamorm.models.schema.table_settings import IndexSettings
from tests.conftest import ENGINE

from .kit import ask, table_of

pytestmark = pytest.mark.engine

local_ignores = pytest.mark.skipif(ENGINE == "local", reason="DynamoDB Local accepts this setting and ignores it")
local_lacks = pytest.mark.skipif(ENGINE == "local", reason="DynamoDB Local has neither tags nor point-in-time recovery")
local_multi = pytest.mark.skipif(ENGINE == "local", reason="DynamoDB Local 1.25 has no multi-attribute keys of indexes")


class Plain(Model, table="papers"):
    id: Attr[str] = partition_key()
    author: Attr[str | None] = attr(default=None, name="a")
    year: Attr[int | None] = attr(default=None)
    title: Attr[str] = attr(default="")


class Indexed(Model, table="papers"):
    id: Attr[str] = partition_key()
    author: Attr[str | None] = attr(default=None, name="a")
    year: Attr[int | None] = attr(default=None)
    title: Attr[str] = attr(default="")
    by_author = gsi("by-author", partition="author", sort="year")
    by_year = gsi("by-year", partition="year", projection=("title",))


class Narrow(Model, table="papers"):
    id: Attr[str] = partition_key()
    author: Attr[str | None] = attr(default=None, name="a")
    year: Attr[int | None] = attr(default=None)
    title: Attr[str] = attr(default="")
    by_year = gsi("by-year", partition="year", projection="KEYS_ONLY")


class Expiring(Model, table="papers"):
    id: Attr[str] = partition_key()
    until: Attr[int | None] = ttl(default=None, name="u")


class OtherExpiry(Model, table="papers"):
    id: Attr[str] = partition_key()
    until: Attr[int | None] = ttl(default=None, name="other")


class OtherKey(Model, table="papers"):
    id: Attr[int] = partition_key()
    at: Attr[int] = sort_key()


class WithLocal(Model, table="shelf"):
    room: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    height: Attr[int] = attr(default=0)
    by_height = lsi("by-height", sort="height")


class WithoutLocal(Model, table="shelf"):
    room: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    height: Attr[int] = attr(default=0)


class Multi(Model, table="papers"):
    id: Attr[str] = partition_key()
    region: Attr[str | None] = attr(default=None)
    kind: Attr[str | None] = attr(default=None)
    year: Attr[int | None] = attr(default=None)
    month: Attr[int | None] = attr(default=None)
    by_all = gsi("by-all", partition=("region", "kind"), sort=("year", "month"))


@pytest.fixture
def db(open_db, engine, key):
    """A database whose tables no other test knows; they are deleted behind the test."""
    db = open_db(engine.endpoint, table_prefix=f"{key[:12]}-")
    yield db
    db.tables.delete(Plain, WithLocal, force=True)


def kinds(plan):
    return [step.kind for step in plan.steps]


# ------------------------------------------------------------------------------------------------------------- creation


def test_a_missing_table_is_planned_and_made(db):
    plan = db.tables.plan(Indexed)
    assert kinds(plan) == ["create table"]
    assert "create table" in str(plan)
    assert "by-author" in str(plan)
    made = db.tables.apply(plan)
    assert [step.kind for step in made] == ["create table"]
    assert set(db.tables.describe(Indexed).indexes) == {"by-author", "by-year"}
    again = db.tables.plan(Indexed)
    assert not again
    assert "nothing to do" in str(again)


def test_planning_changes_nothing(db):
    db.tables.plan(Indexed)
    assert db.tables.names() == []


def test_two_tables_are_planned_and_made_together(db):
    plan = db.tables.plan(Plain, WithLocal)
    assert kinds(plan) == ["create table", "create table"]
    db.tables.apply(plan)
    assert len(db.tables.names()) == 2
    assert not db.tables.plan(Plain, WithLocal)


def test_expiry_is_part_of_a_new_table(db):
    plan = db.tables.plan(Expiring)
    assert kinds(plan) == ["create table", "expiry"]
    db.tables.apply(plan)
    assert db.tables.describe(Expiring).ttl == "u"
    assert not db.tables.plan(Expiring)


# -------------------------------------------------------------------------------------------------------------- indexes


def test_two_indexes_are_added_to_a_table_with_items(db):
    db.tables.create(Plain)
    for number in range(30):
        db.create(Plain(id=f"p{number}", author=f"a{number % 3}", year=2000 + number % 5, title="t"))
    plan = db.tables.plan(Indexed)
    assert kinds(plan) == ["add index", "add index"]
    assert not plan.problems
    seen = []
    made = db.tables.apply(plan, progress=seen.append)
    assert made == plan.steps
    assert [(one.number, one.state) for one in seen if one.state != "waiting"] == [
        (1, "started"),
        (1, "done"),
        (2, "started"),
        (2, "done"),
    ]
    assert "add index by-author" in str(seen[0])
    assert not db.tables.plan(Indexed)
    found = db.model(Indexed).index("by-author").where(Indexed.author == "a1").all()
    assert len(found) == 10
    assert db.model(Indexed).index("by-year").where(Indexed.year == 2001).count() == 6


def test_a_plan_that_is_applied_twice_does_nothing_the_second_time(db):
    db.tables.create(Plain)
    plan = db.tables.plan(Indexed)
    assert len(db.tables.apply(plan)) == 2
    seen = []
    assert db.tables.apply(plan, progress=seen.append) == ()
    assert [one.state for one in seen] == ["skipped", "skipped"]


def test_a_plan_that_was_half_made_is_finished(db):
    db.tables.create(Plain)
    plan = db.tables.plan(Indexed)
    ask(db, "UpdateTable", plan.steps[0].request)
    db.tables.wait(Indexed)
    made = db.tables.apply(plan)
    assert [step.text for step in made] == [plan.steps[1].text]
    assert not db.tables.plan(Indexed)


def test_a_plan_for_a_table_that_has_changed_since_is_refused_before_anything_is_sent(db):
    db.tables.create(Plain)
    plan = db.tables.plan(Indexed)
    db.tables.apply(db.tables.plan(Narrow))  # by-year is there, but not as the plan makes it
    with pytest.raises(ModelError, match="plan again") as caught:
        db.tables.apply(plan)
    assert "by-year" in str(caught.value)
    assert set(db.tables.describe(Plain).indexes) == {"by-year"}


def test_a_plan_for_a_table_that_is_gone_is_refused(db):
    db.tables.create(Plain)
    plan = db.tables.plan(Indexed)
    db.tables.delete(Plain)
    with pytest.raises(ModelError, match="plan again"):
        db.tables.apply(plan)
    assert db.tables.names() == []


def test_an_index_of_no_model_is_noted_and_deleted_only_on_request(db):
    db.tables.create(Indexed)
    plan = db.tables.plan(Plain)
    assert not plan
    assert any("by-author" in note and "allow_delete" in note for note in plan.notes)
    plan = db.tables.plan(Plain, allow_delete=True)
    assert kinds(plan) == ["delete index", "delete index"]
    db.tables.apply(plan)
    assert db.tables.describe(Plain).indexes == {}
    assert not db.tables.plan(Plain)


def test_a_projection_that_is_too_small_is_a_problem_until_deleting_is_allowed(db):
    db.tables.create(Narrow)
    db.create(Narrow(id="x", year=1999, title="kept"))
    plan = db.tables.plan(Indexed)
    assert any("does not project title" in text for text in plan.problems)
    with pytest.raises(ModelError, match="by-year"):
        db.tables.apply(plan)
    plan = db.tables.plan(Indexed, allow_delete=True)
    assert kinds(plan) == ["add index", "delete index", "add index"] or kinds(plan) == [
        "delete index",
        "add index",
        "add index",
    ]
    db.tables.apply(plan)
    assert not db.tables.plan(Indexed)
    index = db.tables.describe(Indexed).indexes["by-year"]
    assert (index.projection, index.projected) == ("INCLUDE", ("title",))
    assert db.tables.apply(plan) == ()


def test_a_projection_that_is_too_wide_does_no_harm(db):
    db.tables.create(Indexed)
    plan = db.tables.plan(Narrow)
    assert not plan.problems
    assert not plan.steps
    assert any("by-year" in note and "not needed" in note for note in plan.notes)


@local_multi
def test_an_index_with_a_key_of_several_attributes_is_added(db):
    db.tables.create(Plain)
    plan = db.tables.plan(Multi)
    assert kinds(plan) == ["add index"]
    assert "region, kind, year, month" in str(plan)
    db.tables.apply(plan)
    index = db.tables.describe(Multi).indexes["by-all"]
    assert (index.partition, index.sort) == (("region", "kind"), ("year", "month"))
    assert not db.tables.plan(Multi)
    assert db.tables.check(Multi) == ()


# ------------------------------------------------------------------------------------------------- what cannot be changed


def test_another_key_is_a_problem(db):
    db.tables.create(Plain)
    plan = db.tables.plan(OtherKey)
    assert plan
    assert not plan.steps
    assert any("its key is id" in text and "new table" in text for text in plan.problems)
    assert any("id is of type S, not N" in text for text in plan.problems)
    assert "cannot be done" in str(plan)
    with pytest.raises(ModelError, match="its key is id"):
        db.tables.apply(plan)


def test_a_local_index_is_made_with_its_table_only(db):
    db.tables.create(WithoutLocal)
    plan = db.tables.plan(WithLocal, allow_delete=True)
    assert any("by-height" in text and "with its table only" in text for text in plan.problems)


def test_a_local_index_of_no_model_is_noted(db):
    db.tables.create(WithLocal)
    plan = db.tables.plan(WithoutLocal, allow_delete=True)
    assert not plan
    assert any("by-height" in note for note in plan.notes)


# ------------------------------------------------------------------------------------------------------------- settings


def test_deletion_protection_is_switched_and_guards_the_table(db):
    db.tables.create(Plain)
    plan = db.tables.plan(Plain, settings=TableSettings(deletion_protection=True))
    assert kinds(plan) == ["deletion protection"]
    db.tables.apply(plan)
    assert db.tables.describe(Plain).deletion_protection is True
    # What the settings leave out stays as it is.
    assert not db.tables.plan(Plain)
    db.tables.apply(db.tables.plan(Plain, settings=TableSettings(deletion_protection=False)))
    assert db.tables.describe(Plain).deletion_protection is False


def test_the_stream_is_switched_on_changed_and_off(db):
    db.tables.create(Plain)
    for view, expected in (("NEW_IMAGE", 1), ("KEYS_ONLY", 2), (False, 1)):
        plan = db.tables.plan(Plain, settings=TableSettings(stream=view))
        assert kinds(plan) == ["stream"] * expected
        db.tables.apply(plan)
        assert db.tables.describe(Plain).stream == (view or None)
        assert not db.tables.plan(Plain, settings=TableSettings(stream=view))
        assert db.tables.apply(plan) == ()


def test_expiry_is_switched_on_and_off(db):
    db.tables.create(Plain)
    plan = db.tables.plan(Expiring)
    assert kinds(plan) == ["expiry"]
    db.tables.apply(plan)
    assert db.tables.describe(Plain).ttl == "u"
    assert not db.tables.plan(Expiring)
    assert any("items expire by u" in note for note in db.tables.plan(Plain).notes)
    off = db.tables.plan(Expiring, settings=TableSettings(time_to_live=False))
    assert kinds(off) == ["expiry"]
    db.tables.apply(off)
    assert db.tables.describe(Plain).ttl == ""


def test_another_expiring_attribute_takes_two_plans(db):
    db.tables.create(Expiring)
    plan = db.tables.plan(OtherExpiry)
    assert [step.text for step in plan.steps] == ["stop expiring items by u"]
    assert any("in an hour" in note for note in plan.notes)
    db.tables.apply(plan)
    db.tables.apply(db.tables.plan(OtherExpiry))
    assert db.tables.describe(OtherExpiry).ttl == "other"


def test_the_billing_mode_and_the_units_of_table_and_indexes(db):
    db.tables.create(Indexed)
    provisioned = TableSettings(
        throughput=Throughput(5, 4), indexes={"by-year": IndexSettings(throughput=Throughput(3, 2))}
    )
    plan = db.tables.plan(Indexed, settings=provisioned)
    assert kinds(plan) == ["billing"]
    assert "5 read, 4 write" in str(plan)
    db.tables.apply(plan)
    live = db.tables.describe(Indexed)
    assert (live.billing_mode, live.throughput) == ("PROVISIONED", Throughput(5, 4))
    assert live.indexes["by-year"].throughput == Throughput(3, 2)
    assert live.indexes["by-author"].throughput == Throughput(5, 4)
    assert not db.tables.plan(Indexed, settings=provisioned)

    more = TableSettings(throughput=Throughput(6, 4), indexes={"by-year": IndexSettings(throughput=Throughput(3, 3))})
    plan = db.tables.plan(Indexed, settings=more)
    assert kinds(plan) == ["billing", "index throughput"]
    db.tables.apply(plan)
    assert db.tables.apply(plan) == ()
    live = db.tables.describe(Indexed)
    assert live.throughput == Throughput(6, 4)
    assert live.indexes["by-year"].throughput == Throughput(3, 3)

    back = TableSettings(billing_mode="PAY_PER_REQUEST")
    db.tables.apply(db.tables.plan(Indexed, settings=back))
    assert db.tables.describe(Indexed).billing_mode == "PAY_PER_REQUEST"
    assert not db.tables.plan(Indexed, settings=back)


def test_an_index_added_to_a_provisioned_table_gets_the_units_of_the_table(db):
    db.tables.create(Plain, settings=TableSettings(throughput=Throughput(5, 4)))
    db.tables.apply(db.tables.plan(Narrow))
    assert db.tables.describe(Narrow).indexes["by-year"].throughput == Throughput(5, 4)


@local_ignores
def test_maximum_and_warm_throughput(db):
    settings = TableSettings(
        max_throughput=Throughput(100, 50),
        warm_throughput=Throughput(13_000, 5_000),
        indexes={"by-year": IndexSettings(max_throughput=Throughput(10), warm_throughput=Throughput(14_000, 5_000))},
    )
    db.tables.create(Indexed)
    plan = db.tables.plan(Indexed, settings=settings)
    assert kinds(plan) == ["index throughput", "index throughput", "throughput", "throughput"]
    # Ministack ignores the table's warm throughput, and any change of an index's numbers.
    db.tables.delete(Indexed)
    settings = TableSettings(max_throughput=Throughput(100, 50), indexes=settings.indexes)
    db.tables.create(Narrow, settings=TableSettings(indexes=settings.indexes))
    plan = db.tables.plan(Narrow, settings=settings)
    assert [step.text for step in plan.steps] == ["limit the table to 100 read, 50 write units per second"]
    db.tables.apply(plan)
    live = db.tables.describe(Narrow)
    assert live.max_throughput == Throughput(100, 50)
    assert live.indexes["by-year"].max_throughput == Throughput(10)
    assert live.indexes["by-year"].warm_throughput == Throughput(14_000, 5_000)
    assert not db.tables.plan(Narrow, settings=settings)
    unlimited = TableSettings(max_throughput=Throughput(-1, 50))
    db.tables.apply(db.tables.plan(Narrow, settings=unlimited))
    assert db.tables.describe(Narrow).max_throughput == Throughput(None, 50)
    assert not db.tables.plan(Narrow, settings=unlimited)


@local_ignores
def test_encryption_and_table_class(db):
    settings = TableSettings(encryption="AWS_MANAGED", table_class="STANDARD_INFREQUENT_ACCESS")
    db.tables.create(Plain)
    plan = db.tables.plan(Plain, settings=settings)
    assert kinds(plan) == ["encryption", "table class"]
    db.tables.apply(plan)
    live = db.tables.describe(Plain)
    assert (live.encryption, live.table_class) == ("AWS_MANAGED", "STANDARD_INFREQUENT_ACCESS")
    assert not db.tables.plan(Plain, settings=settings)
    back = TableSettings(encryption="AWS_OWNED", table_class="STANDARD")
    db.tables.apply(db.tables.plan(Plain, settings=back))
    assert db.tables.describe(Plain).encryption == "AWS_OWNED"


@local_lacks
def test_recovery_and_tags(db):
    settings = TableSettings(point_in_time_recovery=True, tags={"team": "pay", "cost": "7"})
    db.tables.create(Plain, settings=TableSettings(tags={"other": "kept"}))
    plan = db.tables.plan(Plain, settings=settings)
    assert kinds(plan) == ["recovery", "tags"]
    db.tables.apply(plan)
    live = db.tables.describe(Plain)
    assert live.point_in_time_recovery is True
    assert live.tags == {"team": "pay", "cost": "7", "other": "kept"}
    assert not db.tables.plan(Plain, settings=settings)
    assert db.tables.apply(plan) == ()


@pytest.mark.skipif(ENGINE != "local", reason="ministack has tags and point-in-time recovery")
def test_what_an_engine_does_not_tell_is_a_problem(db):
    db.tables.create(Plain)
    plan = db.tables.plan(Plain, settings=TableSettings(point_in_time_recovery=True, tags={"a": "b"}))
    assert len(plan.problems) == 2
    assert not plan.steps


# ---------------------------------------------------------------------------------------------------- models of one table


def test_the_indexes_of_all_models_of_a_table_are_planned(db):
    plan = db.tables.plan(Plain, Narrow, Expiring)
    db.tables.apply(plan)
    live = db.tables.describe(Plain)
    assert set(live.indexes) == {"by-year"}
    assert live.ttl == "u"
    assert table_of(db, Plain) == live.name


class Party(Model, table="parties", discriminator="kind"):
    id: Attr[str] = partition_key()


class Customer(Party):
    email: Attr[str | None] = attr(default=None)
    by_email = gsi("by-email", partition="email")


class Visitor(Party):
    badge: Attr[str | None] = attr(default=None)
    by_badge = gsi("by-badge", partition="badge")


@pytest.mark.parametrize("model", [Party, Customer, Visitor])
def test_a_subclass_counts_its_family_and_deletes_no_index_of_a_sibling(db, model):
    db.tables.create(Party)
    try:
        plan = db.tables.plan(model, allow_delete=True)
        assert not plan, str(plan)
        db.tables.apply(plan)
        assert set(db.tables.describe(model).indexes) == {"by-email", "by-badge"}
    finally:
        db.tables.delete(Party)


@pytest.mark.parametrize("model", [Customer, Visitor])
def test_a_subclass_makes_the_table_of_its_family(db, model):
    db.tables.ensure(model)
    try:
        assert set(db.tables.describe(Party).indexes) == {"by-email", "by-badge"}
    finally:
        db.tables.delete(Party)
