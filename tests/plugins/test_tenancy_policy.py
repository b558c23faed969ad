"""The policy of a tenant's session, looked at with a matcher of its own: it lets nobody near another tenant's keys."""

import json
import re
import warnings
from unicodedata import normalize

import pytest

from dynamorm import Attr, Model, Tenant, attr, composite, partition_key
from dynamorm.errors import ConfigError, InvalidTenant, ModelError
from dynamorm.plugins.tenancy import session_policy

from .tenancy_kit import IDS, Order, Put, Shared, Txn
from .tenancy_world import Run, World, database, escaped

ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/"
TABLES = {Txn: "tenancy-ledger", Order: "tenancy-orders", Put: "prod-tenancy-prefixed"}
VARIABLE = {"${*}": "*", "${?}": "?", "${$}": "$"}


def pattern(text):
    """A pattern of StringLike as a regular expression; a variable that is not known matches nothing."""
    parts = re.split(r"(\$\{[^}]*\}|\*|\?)", text)
    found = "".join({"*": ".*", "?": "."}.get(part) or re.escape(VARIABLE.get(part, part)) for part in parts)
    assert all(part in VARIABLE for part in re.findall(r"\$\{[^}]*\}", text)), text
    return re.compile(found, re.DOTALL)


def allows(policy, verb, resource, *keys):
    """Whether a policy allows a request with these leading keys."""
    for statement in json.loads(policy)["Statement"]:
        condition = statement["Condition"]
        assert condition["Null"] == {"dynamodb:LeadingKeys": "false"}
        assert statement["Effect"] == "Allow"
        patterns = [pattern(text) for text in condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]]
        if (
            f"dynamodb:{verb}" in statement["Action"]
            and resource in statement["Resource"]
            and keys
            and all(any(one.fullmatch(key) for one in patterns) for key in keys)
        ):
            return True
    return False


def keys_of(tenant, table):
    """What a tenant's items have as partition key."""
    return {
        "tenancy-ledger": [f"{escaped(tenant)}#{number}" for number in ("1", "x%23y", "")],
        "tenancy-orders": [tenant],
        "prod-tenancy-prefixed": [f"T#{escaped(tenant, '*?${}')}#{number}" for number in ("1", "a#b")],
    }[table]


@pytest.mark.parametrize("model", [Txn, Order, Put])
def test_a_policy_opens_the_keys_of_its_tenant_and_no_others(model):
    table = TABLES[model]
    ids = [*(normalize("NFC", tenant) for tenant in IDS), "a?", "ab", "a$", "${*}", "*#1", "a#1", "x{y}", "?"]
    for tenant in ids:
        policy = session_policy(tenant, [ARN + table], models=[model])
        for other in ids:
            for key in keys_of(other, table):
                same = other == tenant
                for verb in ("GetItem", "PutItem", "Query", "DeleteItem", "UpdateItem", "BatchWriteItem"):
                    assert allows(policy, verb, ARN + table, key) is same, (tenant, other, key)
        own = keys_of(tenant, table)[0]
        assert not allows(policy, "GetItem", ARN + table, own, "somebody")
        assert not allows(policy, "Scan", ARN + table, own)
        assert not allows(policy, "PartiQLSelect", ARN + table, own)
        assert not allows(policy, "GetItem", ARN + "other", own)
        assert not allows(policy, "GetItem", ARN + table)


def test_a_policy_opens_all_that_the_library_writes_for_the_tenant():
    """Items and guards of unique values of each kind, as they are stored by a run of random verbs."""
    world = World(seed=5)
    run = Run(database("blocking", world), world, IDS, 5)
    for tenant in IDS:
        run.db.with_tenant(tenant).create(Txn(number="1", mail="m"))
    for _ in range(600):
        run.step()
    tables = {"tenancy-ledger": (Txn, "pk"), "tenancy-orders": (Order, "tenant_id"), "tenancy-prefixed": (Put, "id")}
    seen = set()
    for table, (model, key) in tables.items():
        for item in world.tables[table].values():
            text = item[key]["S"]
            tenant = item["tenant_id"]["S"] if "tenant_id" in item else None
            for one in dict.fromkeys(run.tenants):
                policy = session_policy(one, [ARN + table], models=[model])
                own = one == tenant if tenant is not None else text.startswith(f"~U#T#{escaped(one)}#")
                assert allows(policy, "PutItem", ARN + table, text) is own, (one, text)
                seen.add((table, tenant is None, own))
    assert ("tenancy-ledger", True, True) in seen
    run.db.close()


def test_an_index_is_open_where_its_partitions_are_of_one_tenant():
    policy = session_policy("a", [ARN + "tenancy-ledger"], models=[Txn])
    assert allows(policy, "Query", ARN + "tenancy-ledger/index/gsi-status", "a#paid")
    assert not allows(policy, "Query", ARN + "tenancy-ledger/index/gsi-status", "b#paid")
    assert not allows(policy, "Query", ARN + "tenancy-ledger/index/gsi-bare-status", "paid")
    assert "index/*" not in policy
    assert "gsi-bare-status" not in policy
    assert not allows(policy, "Scan", ARN + "tenancy-ledger/index/gsi-status", "a#paid")


def test_audit_and_keyring_are_not_deleted_from():
    policy = session_policy("a", [], audit=[ARN + "audit"], keyring=[ARN + "keys"])
    own = "T#a#~A#Payment#p1"
    assert [
        verb
        for verb in ("PutItem", "GetItem", "Query", "UpdateItem", "DeleteItem", "BatchWriteItem", "Scan")
        if allows(policy, verb, ARN + "audit", own)
    ] == ["PutItem", "GetItem", "Query"]
    assert [
        verb
        for verb in ("PutItem", "GetItem", "Query", "UpdateItem", "DeleteItem")
        if allows(policy, verb, ARN + "keys", "T#a#~K#pci")
    ] == ["GetItem"]
    assert not allows(policy, "GetItem", ARN + "keys", "T#ab#~K#pci")
    without = session_policy("a", [ARN + "data"])
    assert allows(without, "GetItem", ARN + "data", "T#a#~K#pci")
    assert not allows(without, "DeleteItem", ARN + "data", "T#a#~K#pci")
    assert allows(without, "PutItem", ARN + "data", "a#1")
    assert not allows(without, "PutItem", ARN + "data", "ab#1")


def test_tables_of_payments_are_read_and_written_by_their_tenant_alone():
    tables = [
        ARN + name
        for name in ("dynamorm-idempotency", "dynamorm-ledger", "dynamorm-ledger-balances", "dynamorm-outbox-queues")
    ]
    for tenant in ("acme", "a b", "x*"):
        policy = session_policy(tenant, [], payments=tables)
        for other in ("acme", "a b", "x*", "xy", ""):
            key = f"T#{escaped(other, '*?${}')}#cash" if other else "cash"
            for arn in tables:
                for verb in ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem", "Query"):
                    assert allows(policy, verb, arn, key) is (other == tenant)
                for verb in ("Scan", "PartiQLSelect", "DeleteTable"):
                    assert not allows(policy, verb, arn, key)
            assert allows(policy, "Query", f"{tables[-1]}/index/*", key) is (other == tenant)
    with pytest.raises(ConfigError, match="ARN"):
        session_policy("acme", [], payments=["dynamorm-ledger"])


def test_a_policy_is_short_enough_for_a_session():
    assert len(session_policy("m" * 36, [ARN + "tenancy-ledger"], models=[Txn])) < 2048


def test_what_no_policy_can_keep_apart_is_refused():
    class Bare(Model, table="tenancy-ledger"):
        tenant_id: Attr[str] = partition_key(Tenant())

    class Other(Model, table="somewhere-else"):
        pk: Attr[str] = partition_key(composite("tenant_id", "n"))
        tenant_id: Attr[str] = attr(Tenant())
        n: Attr[str]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for error, call in (
            (ModelError, lambda: session_policy("a", [ARN + "tenancy-shared"], models=[Shared])),
            (ConfigError, lambda: session_policy("a", [ARN + "tenancy-ledger"], models=[Txn, Bare])),
            (ConfigError, lambda: session_policy("a", [ARN + "tenancy-ledger"], models=[Other])),
            (ConfigError, lambda: session_policy("a", [ARN + "*"])),
            (ConfigError, lambda: session_policy("a", ["ledger"])),
            (ConfigError, lambda: session_policy("a", [ARN + "ledger/index/x"])),
            (InvalidTenant, lambda: session_policy("", [ARN + "ledger"])),
        ):
            with pytest.raises(error):
                call()
