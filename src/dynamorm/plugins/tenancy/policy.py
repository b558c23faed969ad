"""`session_policy`: what the credentials of one tenant may do, as a policy of IAM: a fence behind that of the library.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html (``dynamodb:LeadingKeys``),
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html (``${*}``, ``${?}`` and ``${$}``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from msgspec.json import encode

from dynamorm import schema_of
from dynamorm.errors import ConfigError, ModelError
from dynamorm.plugin import former_tenant_prefix, tenant_prefix

from .option import checked_id
from .placing import END, Placing, escaped, placed

if TYPE_CHECKING:
    from dynamorm.models.schema.schema import Schema

_ARN: Final = re.compile(r"arn:[a-z-]+:dynamodb:[a-z0-9-]+:\d{12}:table/([A-Za-z0-9_.-]{3,255})")

_DATA: Final = (
    "BatchGetItem", "BatchWriteItem", "ConditionCheckItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem",
)  # fmt: skip
_AUDIT: Final = ("GetItem", "PutItem", "Query")
_KEYRING: Final = ("GetItem",)

_AS_IT_IS: Final = {ord(sign): f"${{{sign}}}" for sign in "*?$"}


def session_policy(
    tenant: str,
    arns: Sequence[str],
    models: Iterable[type[Any]] = (),
    *,
    audit: Sequence[str] = (),
    keyring: Sequence[str] = (),
    payments: Sequence[str] = (),
) -> str:
    """The policy, as JSON, that a session of AWS is given for one tenant: keys of this tenant, and nothing else.

    ``arns`` are those of tables. ``models`` say what the keys of these are and which indexes begin with the tenant; a table of
    which none is named is taken for one with composite keys that begin with it. Name the models of a table whose partition key
    is the `Tenant` field itself: where an id may hold ``#``, its keys cannot be told from composite ones. ``audit`` and
    ``keyring`` are the tables of audit records, to which records are added, and of keys, which are only read; ``payments`` are those
    that `dynamorm.payments.ensure_tables` makes, with their indexes: a tenant's items are read and written there, and never scanned.

    It allows no scan and no PartiQL. A policy of a session has at most 2,048 characters.

    Raises: InvalidTenant; ConfigError for what is no ARN of a table, for a model whose table is not among them, and for a table that
    holds both kinds of keys; ModelError for a model that is not keyed.

    Example: ``sts.assume_role(RoleArn=role, RoleSessionName="t1", Policy=session_policy("t1", [arn], models=[Transaction]))``
    """
    tenant = checked_id(tenant)
    of_table: dict[str, list[Schema]] = {_name(arn): [] for arn in arns}
    for model in models:
        schema = schema_of(model)
        of_table[_table_of(schema, of_table)].append(schema)
    statements = []
    for arn in arns:
        schemas = of_table[_name(arn)]
        indexes = [index for schema in schemas for index in _indexes(schema, _placing(schema), tenant)]
        local = [f"{arn}/index/{name}" for name, patterns in indexes if patterns is None]
        statements.append(_statement(_DATA, [arn, *local], _patterns(tenant, schemas)))
        given = any(_placing(schema).prefixed for schema in schemas)  # then the data begins as they do today
        if patterns := [one for one in _of_keys(tenant) if not (given and one == _of_system(tenant))]:
            statements.append(_statement(_KEYRING, [arn], patterns))
        # Each by itself: keys of one kind may look like those of another tenant of the other kind.
        statements += [
            _statement(("Query",), [f"{arn}/index/{name}"], patterns)
            for name, patterns in indexes
            if patterns is not None
        ]
    indexes_too = [*payments, *(f"{arn}/index/*" for arn in payments)]  # which begin with the tenant as well
    for verbs, others, resources, patterns in (
        (_AUDIT, audit, audit, [_of_system(tenant)]),
        (_KEYRING, keyring, keyring, _of_keys(tenant)),
        (_DATA, payments, indexes_too, [_of_system(tenant)]),
    ):
        for arn in others:
            _check_arn(arn)
        if others:
            statements.append(_statement(verbs, list(resources), patterns))
    return encode({"Version": "2012-10-17", "Statement": statements}).decode()


def _statement(verbs: Iterable[str], resources: list[str], patterns: list[str]) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": [f"dynamodb:{verb}" for verb in verbs],
        "Resource": resources,
        "Condition": {
            "ForAllValues:StringLike": {"dynamodb:LeadingKeys": patterns},
            # ForAllValues is true of a request without such keys, too.
            "Null": {"dynamodb:LeadingKeys": "false"},
        },
    }


def _check_arn(arn: Any) -> None:
    """Raise ConfigError for what is no ARN of a table."""
    _name(arn)


def _name(arn: Any) -> str:
    """The name of a table. Raises: ConfigError for what is no ARN of one."""
    match = _ARN.fullmatch(arn) if isinstance(arn, str) else None
    if match is None:
        raise ConfigError(
            "an ARN of a table is arn:aws:dynamodb:<region>:<account>:table/<name>, without * and without an index"
        )
    return match[1]


def _table_of(schema: Schema, tables: Iterable[str]) -> str:
    """The name, among those of the tables, of the table of a model: a prefix may stand before it."""
    table = schema.table or ""
    fitting = [name for name in tables if name == table] or [name for name in tables if table and name.endswith(table)]
    if len(fitting) != 1:
        raise ConfigError(f"the ARN of the table of {schema.name} ({table}) must be among the ARNs, once")
    return fitting[0]


def _placing(schema: Schema) -> Placing:
    placing = placed(schema)
    if placing is None or not placing.keyed:
        raise ModelError(
            f"{schema.name} is no keyed model of tenants, so that its keys do not tell whose they are: a policy cannot keep"
            " them apart"
        )
    return placing


def _patterns(tenant: str, schemas: Sequence[Schema]) -> list[str]:
    """What the keys of a tenant's items begin with in one table, guards of unique values included."""
    placings = [_placing(schema) for schema in schemas]
    if len({placing.whole for placing in placings}) > 1:
        raise ConfigError(
            "one table holds keys that are the tenant and keys that begin with it: a policy cannot tell them apart"
        )
    leads = dict.fromkeys(placing.lead for placing in placings if not placing.prefixed)
    if not placings:
        leads = {"": None}
    own = dict.fromkeys(pattern for lead in leads for pattern in _beginning(lead, tenant))
    part = escaped(tenant).translate(_AS_IT_IS)
    # Guards of unique values: within a tenant, and of a model whose keys hold the scope.
    system = [_of_system(tenant)] if any(placing.prefixed for placing in placings) else []
    return [*own, *system, f"~U#T#{part}{END}*", f"~U#tenant={part}{END}*"]


def _beginning(lead: str | None, tenant: str) -> list[str]:
    """The patterns of keys that are the tenant (None), or begin with it behind this text."""
    if lead is None:
        return [tenant.translate(_AS_IT_IS)]
    start = f"{lead}{escaped(tenant)}".translate(_AS_IT_IS)
    return [f"{start}{END}*", start]


def _of_system(tenant: str) -> str:
    """The pattern of what the library keeps for a tenant."""
    return f"{tenant_prefix(tenant)}*"


def _of_keys(tenant: str) -> list[str]:
    """The patterns of the records of a tenant's keys, in the spelling from before too."""
    return list(dict.fromkeys((_of_system(tenant), f"{former_tenant_prefix(tenant)}*")))


def _indexes(schema: Schema, placing: Placing, tenant: str) -> Iterator[tuple[str, list[str] | None]]:
    """The indexes that hold none but the tenant's items in a partition, each with its patterns; None: those of the table."""
    for index in schema.indexes.values():
        if not index.partition or index.kind == "LSI":
            yield index.name, None
            continue
        begins, lead = placing.begins(schema.fields[index.partition[0]])
        if begins:
            yield index.name, _beginning(lead, tenant)
