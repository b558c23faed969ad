"""The portable codes of an error, by which the Go and TypeScript libraries name it too."""

import pickle
from datetime import datetime

import pytest

from dynamorm import Attr, Model, attr, created_at, gsi, partition_key, updated_at, version
from dynamorm import errors as all_errors
from dynamorm.errors import (
    AlreadyExists,
    ConditionFailed,
    DynamORMError,
    ItemTooLarge,
    MissingItem,
    ModelError,
    StreamNotFound,
    TransactionCancelled,
    ValidationError,
    VersionConflict,
)


class Order(Model, table="orders"):
    id: Attr[str] = partition_key()
    status: Attr[str] = attr(default="new")
    amount: Attr[int] = attr(default=0)
    country: Attr[str] = attr(default="IT", immutable=True)
    version: Attr[int] = version()
    created_at: Attr[datetime | None] = created_at()
    updated_at: Attr[datetime | None] = updated_at()
    by_status = gsi("by-status", partition="status")


MODELS = [Order]
pytestmark = pytest.mark.engine
CONFLICT = frozenset({"ErrConditionFailed", "ErrVersionConflict"})


def stale(db, key):
    """An object of an item that was changed since."""
    order = db.create(Order(id=key))
    db.update(Order, key, Order.amount.set(1))
    order.amount = 2
    return order


def gone(db, key):
    """An object of an item that is gone."""
    order = db.create(Order(id=key))
    db.delete(Order, key)
    order.amount = 2
    return order


def codes_of(call, kind):
    with pytest.raises(kind) as caught:
        call()
    error = caught.value
    assert isinstance(error.codes, frozenset)
    assert error.code in error.codes
    assert pickle.loads(pickle.dumps(error)).codes == error.codes
    return error.codes


VERBS = {
    "save": lambda db, order: db.save(order),
    "update": lambda db, order: db.update(order, Order.amount.set(3)),
    "delete": lambda db, order: db.delete(order),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_stale_version_is_a_conflict(db, key, verb):
    order = stale(db, key)
    assert codes_of(lambda: VERBS[verb](db, order), VersionConflict) == CONFLICT


@pytest.mark.parametrize("verb", ["save", "update"])  # what is to be deleted may be gone already
def test_an_item_that_is_gone_is_a_conflict_where_a_version_was_given(db, key, verb):
    order = gone(db, key)
    assert codes_of(lambda: VERBS[verb](db, order), MissingItem) == CONFLICT | {"ErrItemNotFound"}


def test_an_item_that_is_not_there_is_no_conflict_where_none_was_given(db, key):
    codes = codes_of(lambda: db.update(Order, key, Order.amount.set(1)), MissingItem)
    assert codes == {"ErrItemNotFound", "ErrConditionFailed"}


def test_a_condition_that_fails_is_no_conflict(db, key):
    db.create(Order(id=key))
    update = lambda: db.update(Order, key, Order.amount.set(1), condition=Order.amount > 5)  # noqa: E731
    assert codes_of(update, ConditionFailed) == {"ErrConditionFailed"}
    assert codes_of(lambda: db.create(Order(id=key)), AlreadyExists) == {"ErrConditionFailed"}


def test_a_transaction_cancelled_by_a_condition_has_the_codes_of_both(db, key):
    db.create(Order(id=key))

    def create():
        with db.transaction() as tx:
            tx.create(Order(id=key))
            tx.create(Order(id=f"{key}-2"))

    assert codes_of(create, TransactionCancelled) == {"ErrConditionFailed", "ErrTransactionCancelled"}


def test_a_transaction_cancelled_by_a_stale_version_is_a_conflict(db, key):
    order = stale(db, key)

    def save():
        with db.transaction() as tx:
            tx.save(order)
            tx.create(Order(id=f"{key}-2"))

    assert codes_of(save, TransactionCancelled) == CONFLICT | {"ErrTransactionCancelled"}


def test_a_consistent_read_of_a_global_index_is_an_invalid_operator(db):
    query = db.model(Order).index(Order.by_status).where(Order.status == "new").consistent()
    assert codes_of(query.all, ValidationError) == {"ErrValidation", "ErrInvalidOperator"}
    query = db.model(Order).where(Order.status == "new").consistent()
    assert "ErrInvalidOperator" in codes_of(query.all, ValidationError)


def test_more_than_a_hundred_operations_are_an_invalid_operator(db, key):
    def write():
        with db.transaction() as tx:
            for number in range(101):
                tx.create(Order(id=f"{key}-{number}"))

    assert "ErrInvalidOperator" in codes_of(write, ValidationError)
    read = lambda: db.transact_get([(Order, f"{number}") for number in range(101)])  # noqa: E731
    assert "ErrInvalidOperator" in codes_of(read, ValidationError)


@pytest.mark.parametrize("change", [Order.version.set(5), Order.created_at.set(None), Order.updated_at.remove()])
def test_what_the_library_sets_is_not_set_by_hand(db, key, change):
    assert "ErrInvalidModel" in codes_of(lambda: db.update(Order, key, change), ValidationError)


def test_an_immutable_attribute_is_protected(db, key):
    order = db.create(Order(id=key))
    code = {"ErrProtectedFieldMutation", "ErrValidation"}
    assert codes_of(lambda: db.update(order, Order.country.set("FR")), ValidationError) == code
    order.country = "FR"
    assert codes_of(lambda: db.save(order), ValidationError) == code


def test_an_error_has_the_codes_of_the_kinds_it_belongs_to():
    assert ItemTooLarge("large").codes == {"ErrItemTooLarge", "ErrValidation"}
    assert StreamNotFound("none").codes == {"ErrStreamNotFound", "ErrTableNotFound"}
    assert ModelError("twice", code="ErrDuplicatePrimaryKey").codes == {"ErrDuplicatePrimaryKey", "ErrInvalidModel"}


def test_every_error_has_its_own_code_among_its_codes():
    kinds = [one for one in vars(all_errors).values() if isinstance(one, type) and issubclass(one, DynamORMError)]
    for kind in kinds:
        assert kind("text").code in kind("text").codes
