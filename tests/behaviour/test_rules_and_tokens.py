"""A caller's own token where rules read: what comes twice is applied once, and the second is told what became of the first."""

import pytest

from dynamorm import Attr, Model, attr, partition_key, sort_key, version
from dynamorm.errors import AlreadyExists, ClientError, ConditionFailed, Outcome, TokenUsed, TransactionCancelled
from dynamorm.plugin import WriteRule

from .kit import Recorder, ask, key_of, table_of

pytestmark = pytest.mark.engine


class Order(Model, table="token-orders"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Head(Model, table="token-heads"):
    of: Attr[str] = partition_key()
    count: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Entry(Model, table="token-entries"):
    of: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


MODELS = [Order, Head, Entry]


class Chained(WriteRule):
    """Each write of an order adds an entry to a chain, and moves its head."""

    def __init__(self, of):
        self.of = of
        self.asked = 0
        self.meanwhile = lambda: None

    def contribute(self, draft):
        head = draft.read(Head, self.of) or Head(of=self.of)
        self.asked += 1
        self.meanwhile()
        head.count += 1
        draft.add("save", head)
        draft.add("create", Entry(of=self.of, number=head.count))


class Chain:
    name = "chain"

    def __init__(self, of):
        self.rule = Chained(of)

    def write_rule(self, schema):
        return self.rule if schema.model is Order else None


def debit(db, key, token, **options):
    with db.transaction(token=token) as tx:
        tx.update(Order, key, Order.amount.add(1), **options)


def test_a_token_that_comes_again_is_applied_once_and_told(plugged, key):
    db = plugged(Chain(key))
    db.create(Order(id=key))
    debit(db, key, f"t{key[:30]}")
    for other in (db, plugged(Chain(key))):  # this process, and another one
        with pytest.raises(TokenUsed, match="which was applied; nothing of this one was applied") as used:
            debit(other, key, f"t{key[:30]}")
        error = used.value
        assert isinstance(error, ClientError)
        assert (error.applied, error.outcome, error.retryable) == (True, Outcome.NOT_APPLIED, False)
        assert error.code == "IdempotentParameterMismatchException"
        assert "ErrTokenUsed" in error.codes
    assert (db.get(Order, key).amount, db.get(Head, key).count) == (1, 2)


def test_a_token_that_was_used_up_for_nothing_is_told_so(plugged, key):
    db = plugged(Chain(key))
    db.create(Order(id=key))
    token = f"u{key[:30]}"
    check = {
        "TableName": table_of(db, Order),
        "Key": key_of(db, Order, (key,)),
        "ConditionExpression": "attribute_exists(#k) OR attribute_not_exists(#k)",
        "ExpressionAttributeNames": {"#k": "id"},
    }
    ask(db, "TransactWriteItems", {"TransactItems": [{"ConditionCheck": check}], "ClientRequestToken": token})
    with pytest.raises(TokenUsed, match="which was refused and applied nothing") as used:
        debit(db, key, token)
    assert (used.value.applied, used.value.outcome) == (False, Outcome.NOT_APPLIED)
    assert (db.get(Order, key).amount, db.get(Head, key).count) == (0, 1)


def test_a_token_of_statements_that_comes_again_is_told(plugged, key):
    db = plugged()
    table = table_of(db, Entry)
    token = f"p{key[:30]}"
    statement = f"INSERT INTO \"{table}\" VALUE {{'of': ?, 'number': ?}}"
    db.partiql_transaction([(statement, key, 1)], token=token)
    db.partiql_transaction([(statement, key, 1)], token=token)
    with pytest.raises(TokenUsed) as used:
        db.partiql_transaction([(statement, key, 2)], token=token)
    assert used.value.applied is True


def create_in_a_transaction(db, key):
    with db.transaction() as tx:
        tx.create(Order(id=key))


CALLERS_OWN = {
    "create": (AlreadyExists, lambda db, key: db.create(Order(id=key))),
    "condition": (
        ConditionFailed,
        lambda db, key: db.update(Order, key, Order.amount.set(1), condition=Order.amount == 9),
    ),
    "create in a transaction": (TransactionCancelled, create_in_a_transaction),
}


@pytest.mark.parametrize("way", CALLERS_OWN)
def test_what_the_caller_is_to_blame_for_is_not_tried_again_on_a_hot_head(plugged, key, way):
    plugin, wire = Chain(key), Recorder()
    db = plugged(plugin, wire)
    db.create(Order(id=key))
    other = plugged(kind="blocking")

    def moved():
        head = other.get(Head, key, consistent=True)
        head.count += 100
        other.save(head)

    plugin.rule.meanwhile = moved  # between each read of the head and its write
    plugin.rule.asked = 0
    wire.clear()
    kind, write = CALLERS_OWN[way]
    with pytest.raises(kind) as refused:
        write(db, key)
    assert refused.value.outcome is Outcome.NOT_APPLIED
    assert wire.names.count("TransactWriteItems") == 1
    assert plugin.rule.asked == 1


def test_what_the_head_is_to_blame_for_is_tried_again(plugged, key):
    plugin, wire = Chain(key), Recorder()
    db = plugged(plugin, wire)
    db.create(Order(id=key))
    other = plugged(kind="blocking")
    moves = iter(range(2))

    def moved():
        if next(moves, None) is not None:
            head = other.get(Head, key, consistent=True)
            head.count += 100
            other.save(head)

    plugin.rule.meanwhile = moved
    wire.clear()
    debit(db, key, f"w{key[:30]}", condition=Order.amount == 0)
    assert wire.names.count("TransactWriteItems") == 3
    assert (db.get(Order, key).amount, db.get(Head, key).count) == (1, 202)
    db.update(Order, key, Order.amount.add(1))
    assert db.get(Head, key).count == 203
