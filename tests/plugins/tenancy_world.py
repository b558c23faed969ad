"""A small DynamoDB in memory that holds the items of many tenants, and lies: to reads it shows items of others."""

from __future__ import annotations

import json
import random
import warnings
from unicodedata import normalize

from dynamorm.errors import DynamORMError, IntegrityError, TenantError
from dynamorm.plugins.tenancy import Tenancy
from dynamorm.testing import reply
from tests.faults.expressions import Expression, plain
from tests.faults.scripted import Scripted
from tests.support.faults import Store

from .tenancy_kit import Order, Put, Shared, Txn

KEYS = {
    "tenancy-ledger": ("pk", "sk"),
    "tenancy-orders": ("tenant_id", "number"),
    "tenancy-shared": ("id",),
    "tenancy-prefixed": ("id",),
}
READS = {"GetItem", "BatchGetItem", "Query", "TransactGetItems"}


class World(Store):
    """``lies`` is how likely a read is answered with an item of another tenant; ``told`` counts the lies."""

    def __init__(self, *, lies=0.0, seed=0):
        super().__init__(KEYS)
        self.lies = lies
        self.told = 0
        self.random = random.Random(seed)
        self.tenant = None  # whose verb it is

    def __call__(self, request):
        operation, body = request.operation, json.loads(request.body)
        self.changes.clear()
        self.tokens.clear()
        status, answer = super().__call__(operation, body)
        if status == 200 and operation in READS and self.lies and self.random.random() < self.lies:
            answer = self.lied(operation, body, answer)
        return reply(answer, status)

    def _Query(self, body):
        test = Expression(body["KeyConditionExpression"], body)
        left_out = Expression(body["FilterExpression"], body) if "FilterExpression" in body else None
        names = self.keys[body["TableName"]]
        found = [item for item in self.tables[body["TableName"]].values() if test.holds(item)]
        found.sort(key=lambda item: [plain(item[name]) for name in names])
        if body.get("ExclusiveStartKey"):
            after = [plain(body["ExclusiveStartKey"][name]) for name in names]
            found = [item for item in found if [plain(item[name]) for name in names] > after]
        page = found[: body.get("Limit", len(found))]
        items = [item for item in page if left_out is None or left_out.holds(item)]
        answer = {"Count": len(items), "ScannedCount": len(page)}
        if body.get("Select") != "COUNT":
            answer["Items"] = items
        if len(page) < len(found):
            of_index = ("tenant_id", "amount", "status_key") if "IndexName" in body else ()
            answer["LastEvaluatedKey"] = {name: page[-1][name] for name in (*names, *of_index) if name in page[-1]}
        return 200, answer

    # ------------------------------------------------------------------------------------------------------------- lies

    def foreign(self, table, key=None):
        """An item of another tenant; as a rule it is another one than that which was asked for."""
        others = [
            item
            for item in self.tables[table].values()
            if "tenant_id" in item and item["tenant_id"]["S"] != self.tenant
        ]
        if not others:
            return None
        item = self.random.choice(others)
        if key is not None and "tenant_id" not in key and self.random.random() < 0.3:
            return {**item, **key}  # under the very key that was asked for
        return item

    def lied(self, operation, body, answer):
        """The answer with an item of another tenant in it."""
        self.told += 1
        if operation == "GetItem":
            item = self.foreign(body["TableName"], body["Key"])
            return answer if item is None else {"Item": item}
        if operation == "TransactGetItems":
            gets = [part["Get"] for part in body["TransactItems"]]
            items = [self.foreign(get["TableName"], get["Key"]) for get in gets]
            return {"Responses": [{} if item is None else {"Item": item} for item in items]}
        if operation == "BatchGetItem":
            ((table, asked),) = body["RequestItems"].items()
            item = self.foreign(table, asked["Keys"][0])
            return answer if item is None else {"Responses": {table: [item]}, "UnprocessedKeys": {}}
        item = self.foreign(body["TableName"])
        if item is None or "Items" not in answer:
            return answer
        return {"Items": [*answer["Items"], item], "Count": answer["Count"] + 1, "ScannedCount": answer["Count"] + 1}


def database(kind, world):
    """A database over it, and no network."""
    made = Scripted(kind, world, cursor_key=b"k" * 32)
    made.db.inner.use(Tenancy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.db.inner.view(tenant="any")._session.plan(Shared)
    return made.db


class Run:
    """Random verbs of many tenants, who forge what they can; `step` does one, and looks at all that it gives."""

    def __init__(self, db, world, tenants, seed):
        self.db, self.world = db, world
        self.random = random.Random(seed)
        self.tenants = [normalize("NFC", tenant) for tenant in tenants]
        self.names = [*self.tenants[:4], *(f"{tenant}#x" for tenant in tenants[:3]), "x", "z#", "T#x#y"]
        self.foreign = self.refused = self.done = 0
        self.verbs = [getattr(self, name) for name in dir(self) if name.startswith("do_")]

    def step(self):
        """One verb of one tenant."""
        tenant = self.random.choice(self.tenants)
        self.world.tenant = tenant
        view = self.db.with_tenant(tenant)
        self.done += 1
        try:
            found = self.random.choice(self.verbs)(view, tenant)
        except (TenantError, IntegrityError) as error:
            self.refused += 1
            self.look(getattr(error, "item", None), tenant)
        except DynamORMError as error:
            self.look(getattr(error, "item", None), tenant)
            for reason in getattr(error, "reasons", ()):
                self.look(getattr(getattr(reason, "error", None), "item", None), tenant)
        else:
            self.look(found, tenant)

    def look(self, found, tenant):
        """Count each item that is not the tenant's own."""
        if isinstance(found, (list, tuple)):
            for one in found:
                self.look(one, tenant)
        elif found is not None and hasattr(found, "tenant_id"):
            self.foreign += found.tenant_id != tenant or getattr(found, "status", "new") not in {tenant, "new"}

    def name(self):
        """A part of a key, which may look like that of anybody."""
        return self.random.choice(self.names)

    def tenant_or_none(self, tenant):
        """Mostly none, sometimes the own one, or that of somebody else."""
        return self.random.choice([None, None, None, tenant, self.random.choice(self.tenants)])

    def new(self, tenant):
        """An object of any model."""
        given = self.tenant_or_none(tenant)
        return self.random.choice(
            [
                lambda: Txn(number=self.name(), status=tenant, tenant_id=given),
                lambda: Order(number=self.name(), tenant_id=given),
                lambda: Shared(id=self.name(), status=tenant, tenant_id=given),
                lambda: Put(id=self.name(), tenant_id=given),
            ]
        )()

    def key(self, tenant):
        """A model and a key of it: by parts, or stored, and then perhaps forged."""
        owner = self.random.choice([tenant, tenant, self.random.choice(self.tenants)])
        number = self.name()
        return self.random.choice(
            [
                (Txn, (f"{owner}#{number}", "0")),
                (Order, (owner, number)),
                (Order, (number,)),
                (Shared, (number,)),
                (Put, (number,)),
            ]
        )

    def do_create(self, view, tenant):
        return view.create(self.new(tenant))

    def do_put(self, view, tenant):
        return view.put(self.new(tenant))

    def do_get(self, view, tenant):
        model, key = self.key(tenant)
        return view.get(model, *key)

    def do_parts(self, view, _):
        return view.get(Txn, number=self.name(), at="0")

    def do_selected(self, view, tenant):
        model, key = self.key(tenant)
        return view.get(model, *key, select=["amount", "tenant_id"])

    def do_exists(self, view, tenant):
        model, key = self.key(tenant)
        view.exists(model, *key)

    def do_batch_get(self, view, tenant):
        model, key = self.key(tenant)
        return view.batch_get(model, [key])

    def do_transact_get(self, view, tenant):
        keys = [self.key(tenant) for _ in range(2)]
        return view.transact_get([(model, *key) for model, key in keys])

    def do_query(self, view, tenant):
        query = self.random.choice(
            [
                lambda: view.model(Order),
                lambda: view.model(Order).where(Order.tenant_id == self.random.choice(self.tenants)),
                lambda: view.model(Txn).where(Txn.number == self.name()),
                lambda: view.model(Txn).where(Txn.pk == f"{self.random.choice(self.tenants)}#{self.name()}"),
                lambda: view.model(Txn).where(Txn.status == self.random.choice(self.tenants)),
                lambda: view.model(Shared),
                lambda: view.model(Shared).where(Shared.id == self.name()),
                lambda: view.model(Shared).index("gsi-shared-status").where(Shared.status == tenant),
                lambda: view.model(Put).where(Put.id == self.name()),
                lambda: view.model(Order).allow_scan().segments(2),
            ]
        )()
        end = self.random.choice(["all", "first", "page", "count"])
        found = getattr(query, end)()
        return found.items if end == "page" else found

    def do_update(self, view, tenant):
        model, key = self.key(tenant)
        return view.update(model, *key, model.amount.set(self.random.randrange(9)), upsert=self.random.random() < 0.3)

    def do_increment(self, view, tenant):
        model, key = self.key(tenant)
        view.increment(model, *key, model.amount)

    def do_save(self, view, tenant):
        model, key = self.key(tenant)
        found = view.get(model, *key)
        if found is not None:
            found.amount += 1
            if self.random.random() < 0.2:
                found.tenant_id = self.random.choice(self.tenants)
            return view.save(found)
        return None

    def do_delete(self, view, tenant):
        model, key = self.key(tenant)
        return view.delete(model, *key, returning=self.random.choice([None, "old"]))

    def do_batch(self, view, tenant):
        puts = [self.new(tenant) for _ in range(3)]
        view.batch_write(puts=iter(puts) if self.random.random() < 0.5 else puts)

    def do_transaction(self, view, tenant):
        with view.transaction() as tx:
            for _ in range(2):
                tx.put(self.new(tenant))
            model, key = self.key(tenant)
            tx.update(model, *key, model.amount.set(1))

    def stored_wrongly(self):
        """The items that are not where their tenant's are, or that another tenant has written."""
        wrong = []
        for table, items in self.world.tables.items():
            for item in items.values():
                if "tenant_id" not in item:  # a guard
                    continue
                tenant = item["tenant_id"]["S"]
                key = item[KEYS[table][0]]["S"]
                if table == "tenancy-ledger" and not key.startswith(escaped(tenant) + "#"):
                    wrong.append(item)
                if table == "tenancy-prefixed" and tenant_of_prefix(key) != escaped(tenant, "*?${}"):
                    wrong.append(item)
                if "status" in item and item["status"]["S"] not in {tenant, "new"}:
                    wrong.append(item)
        return wrong


def escaped(tenant, more=""):
    """A part of a key, written here once more."""
    return "".join(f"%{ord(sign):02X}" if ord(sign) < 0x26 or sign in more else sign for sign in tenant)


def tenant_of_prefix(key):
    """What stands between the first two ends of a part."""
    return key.split("#")[1]
