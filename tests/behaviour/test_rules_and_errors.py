"""What errors tell where a rule leaves an item out: nothing of that item, as a read would not either."""

import pickle

import pytest

from dynamorm import Attr, Model, Unique, attr, partition_key, version
from dynamorm.errors import (
    AlreadyExists,
    ConditionFailed,
    DuplicateKey,
    OutOfBounds,
    TransactionCancelled,
    VersionConflict,
)
from dynamorm.plugin import ReadRule

from .kit import change, store

pytestmark = pytest.mark.engine


class Member(Model, table="shown-members"):
    id: Attr[str] = partition_key()
    email: Attr[str] = attr(Unique())
    tenant: Attr[str] = attr(default="")
    points: Attr[int] = attr(default=0, le=10, also_read=("old_points",))
    version: Attr[int] = version()


MODELS = [Member]


class OfTenant(ReadRule):
    """A view gives what is of its tenant; ``refusing``: it refuses a read of anything else."""

    attributes = ("tenant",)

    def __init__(self, *, refusing=False):
        self.refusing = refusing

    def check(self, item, scope):
        own = item.get("tenant") == {"S": scope.get("tenant", "")}
        if not own and self.refusing:
            raise PermissionError("of another tenant")
        return own


class Tenants:
    name = "tenants"

    def __init__(self, rule):
        self.rule = rule

    def read_rule(self, schema):
        return self.rule


@pytest.fixture(params=[False, True], ids=["leaves out", "refuses"])
def viewed(request, plugged, key):
    """A database, its view of one tenant, and one member each of that tenant and of another."""
    db = plugged(Tenants(OfTenant(refusing=request.param)))
    view = db.view(tenant=f"{key}-t1")
    view.create(Member(id=f"{key}-own", email=f"{key}@own", tenant=f"{key}-t1"))
    view.create(Member(id=f"{key}-other", email=f"{key}@other", tenant=f"{key}-t2"))
    return view, db


def writes(view, key, email, tenant):
    """The ways to take an address that somebody has."""

    def in_a_transaction():
        with view.transaction() as tx:
            tx.create(Member(id=f"{key}-tx", email=email, tenant=tenant))

    def saved():
        member = view.require(Member, f"{key}-new")
        member.email = email
        view.save(member)

    view.create(Member(id=f"{key}-new", email=f"{key}@new", tenant=tenant))
    return {
        "create": lambda: view.create(Member(id=f"{key}-c", email=email, tenant=tenant)),
        "put": lambda: view.put(Member(id=f"{key}-p", email=email, tenant=tenant)),
        "save": saved,
        "update": lambda: view.update(Member, f"{key}-new", Member.email.set(email)),
        "transaction": in_a_transaction,
    }


@pytest.mark.parametrize("way", ["create", "put", "save", "update", "transaction"])
def test_who_has_a_unique_value_is_told_of_items_that_may_be_read_only(viewed, key, way):
    view, _ = viewed
    for email, existing in ((f"{key}@own", (f"{key}-own",)), (f"{key}@other", None)):
        with pytest.raises((DuplicateKey, TransactionCancelled)) as refused:
            writes(view, f"{key}-{email[-5:]}", email, f"{key}-t1")[way]()
        error = refused.value
        duplicate = error.reasons[0].error if isinstance(error, TransactionCancelled) else error
        assert isinstance(duplicate, DuplicateKey)
        assert duplicate.existing == existing
        assert f"{key}-other" not in str(error)
        assert pickle.loads(pickle.dumps(duplicate)).existing == existing


def test_a_conflict_tells_no_version_of_what_may_not_be_read(viewed, key):
    view, db = viewed
    member = view.require(Member, f"{key}-own")
    change(db, Member, (f"{key}-own",), "SET version = :version", version={"N": "77"})
    member.points = 1
    with pytest.raises(VersionConflict, match="77 is stored") as shown:
        view.save(member)
    assert shown.value.item.version == 77
    change(db, Member, (f"{key}-own",), "SET tenant = :tenant", tenant={"S": "another"})
    for verb in (view.save, view.delete, lambda one: view.update(one, Member.points.set(2))):
        with pytest.raises(VersionConflict) as refused:
            verb(member)
        assert "77" not in refused.value.message
        assert item_of(refused.value) is None

    def in_a_transaction():
        with view.transaction() as tx:
            tx.save(member)

    with pytest.raises(TransactionCancelled) as cancelled:
        in_a_transaction()
    assert "77" not in cancelled.value.message
    assert item_of(cancelled.value.reasons[0]) is None


def item_of(error):
    """The item that an error tells of; a rule that refuses the read refuses it here too."""
    try:
        return error.item
    except PermissionError:
        return None


def test_no_error_shows_an_item_that_is_left_out(viewed, key):
    view, db = viewed
    store(
        db,
        Member,
        {"id": {"S": f"{key}-full"}, "tenant": {"S": "another"}, "email": {"S": f"{key}@full"}, "points": {"N": "10"}},
    )
    refusals = [
        (AlreadyExists, lambda: view.create(Member(id=f"{key}-full", email=f"{key}@x", tenant=f"{key}-t1"))),
        (
            ConditionFailed,
            lambda: view.update(Member, f"{key}-full", Member.points.set(1), condition=Member.points == 3),
        ),
        (ConditionFailed, lambda: view.delete(Member, f"{key}-full", condition=Member.points == 3)),
        (OutOfBounds, lambda: view.update(Member, f"{key}-full", Member.points.add(5))),
    ]
    for kind, write in refusals:
        with pytest.raises(kind) as refused:
            write()
        assert item_of(refused.value) is None


def test_a_bound_that_is_found_out_by_a_look_shows_no_item_that_is_left_out(viewed, key):
    view, db = viewed
    item = {"id": {"S": f"{key}-old"}, "email": {"S": f"{key}@old"}, "old_points": {"N": "8"}}
    for tenant, is_shown in ((f"{key}-t1", True), ("another", False)):
        store(db, Member, item | {"tenant": {"S": tenant}})
        with pytest.raises(OutOfBounds) as refused:
            view.update(Member, f"{key}-old", Member.points.add(5))
        assert (item_of(refused.value) is not None) is is_shown
