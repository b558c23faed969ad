"""What the behaviour tests share: a recorder of every call, and items as they are stored."""

import json

from dynamorm.codec.strict import dumps, read_object
from dynamorm.ops.calls.op import Op, Safety


class Recorder:
    """An extension that keeps every call that is started: its operation and its request."""

    name = "recorder"

    def __init__(self):
        self.calls = []

    def around(self, call):
        """Keep the call, then make it."""

        def recorded(op):
            self.calls.append((op.name, json.loads(op.body)))
            return call(op)

        return recorded

    @property
    def names(self):
        """The operations, in order."""
        return [name for name, _ in self.calls]

    @property
    def last(self):
        """The last request."""
        return self.calls[-1][1]

    def clear(self):
        """Forget the calls so far."""
        self.calls.clear()


def ask(db, operation, request):
    """One call of DynamoDB's own, past the models."""
    session = db.inner._session
    return db.run(session.call(Op(operation, request.get("TableName", "-"), dumps(request), read_object, Safety.ONCE)))


def table_of(db, model):
    """The physical name of a model's table."""
    return db.inner._session.plan(model).table


def key_of(db, model, key):
    """The wire form of a key."""
    return json.loads(db.inner._session.plan(model).codec.key_json(key))


def stored(db, model, *key):
    """The item under a key as DynamoDB holds it, or None."""
    request = {"TableName": table_of(db, model), "Key": key_of(db, model, key), "ConsistentRead": True}
    return ask(db, "GetItem", request).get("Item")


def store(db, model, item):
    """Store an item past the models, as another program would."""
    ask(db, "PutItem", {"TableName": table_of(db, model), "Item": item})


def change(db, model, key, expression, **values):
    """Change an item past the models, as another program would."""
    request = {"TableName": table_of(db, model), "Key": key_of(db, model, key), "UpdateExpression": expression}
    if values:
        request["ExpressionAttributeValues"] = {f":{name}": value for name, value in values.items()}
    ask(db, "UpdateItem", request)


def updated(db, model, key, updates, way):
    """Update one item in one of the ways of naming it. The object, where the way gives one."""
    if way == "key":
        return db.update(model, key, *updates)
    if way == "object":
        return db.update(db.require(model, key, consistent=True), *updates)
    if way == "upsert":
        return db.upsert(model, key, *updates)
    subject = (db.require(model, key, consistent=True),) if way == "transaction of an object" else (model, key)
    with db.transaction() as tx:
        tx.update(*subject, *updates)
    return subject[0] if way == "transaction of an object" else None
