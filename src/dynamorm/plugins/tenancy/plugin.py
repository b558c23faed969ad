"""`Tenancy`, the plugin: it joins views, models and verbs, and knows nothing of other plugins."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from msgspec.structs import replace

from dynamorm import Unique
from dynamorm.arguments import check_takes, type_given
from dynamorm.errors import ConfigError, InvalidTenant, ModelError, TenantError, TenantMismatch, TenantRequired
from dynamorm.errors.log import logger
from dynamorm.plugin import family_of

from .binding import OfAll, OfTenant, PutBefore, PutBeforeOfAll
from .option import Tenant, checked_id
from .placing import Placing, check_family, placed, unprefixed
from .rules import ALL, TENANT, TenantReads, TenantWrites
from .scopes import current, peek
from .words import in_one_line, who_acts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dynamorm import Credentials
    from dynamorm.models.schema.schema import Field, Schema
    from dynamorm.plugin import ReadRule, ScopeRule, WriteRule

CredentialsOf = Callable[[str], "Credentials | Awaitable[Credentials]"]
"""Gives the credentials of a tenant, whose id it is called with; plain, or a coroutine function."""

MOST: Final = 1024
"""Tenants whose credentials are kept."""

_WARNED: Final[WeakSet[type[Any]]] = WeakSet()
"""The classes that a warning was given about."""

_ADMINISTRATION: Final = {
    "tables": "tables are of all tenants",
    "stream": "a stream is of all tenants",
    "partiql": "a PartiQL statement is bound to no tenant",
    "partiql_text": "a PartiQL statement is bound to no tenant",
    "repair_unique": "a table is repaired for all tenants",
}


class _Known:
    """What was found out of one model."""

    def __init__(self, placing: Placing, *, alike: bool) -> None:
        self.placing = placing
        self.alike = alike
        shares_keys = not (placing.keyed and alike)
        self.writes = TenantWrites(placing, shares_keys=shares_keys)
        self.reads = TenantReads(placing, shares_keys=shares_keys)


class Tenancy:
    """Keeps the tenants of models with a `Tenant` field apart; registered by `DB.enable_multi_tenancy`, or `DB.use`.

    ``credentials`` gives the credentials of a session of AWS for a tenant, such as one that `session_policy` limits: all that a
    view of the tenant sends is signed with them. It is called with the first request, anew before they expire and where they
    are refused, by one thread or task however many wait. Views of all tenants, and the database itself, have their own.

    Raises: ConfigError for what is no function of one tenant.

    Example: ``db.use(Tenancy(credentials=session_of))``
    """

    name: str = "tenancy"
    options: tuple[type[Any], ...] = (Tenant,)
    reads_nothing: bool = True
    scope_peek: Callable[[], Any] = staticmethod(peek)

    credentials_of: Callable[[Mapping[str, str]], Any] | None = None

    def __init__(self, *, credentials: CredentialsOf | None = None) -> None:
        if credentials is not None:
            _check_credentials(credentials)
            self.credentials_of = self._credentials_of
        self._credentials = credentials
        self._asks: dict[str, Any] = {}
        self._models: dict[type[Any], _Known | None] = {}
        self.is_recorded: bool = False  # see AllTenantsRecord

    # ----------------------------------------------------------------------------------------------------------- models

    def model(self, schema: Schema) -> Schema:
        """Look at a model, and let its unique attributes be so within a tenant. Raises: ModelError."""
        placing = placed(schema)
        check_family(schema)
        if placing is None:
            return schema
        if not placing.keyed and schema.model not in _WARNED:
            _WARNED.add(schema.model)
            warnings.warn(
                f"the partition key of {schema.name} does not begin with its tenant, so that tenants share its keys: one that is"
                f" taken is told by AlreadyExists. Begin it with the tenant, composite({placing.field.name!r}, ...)",
                stacklevel=2,
            )
        fields = {name: _within(field, placing.field.name) for name, field in schema.fields.items()}
        own = placing.field
        if not isinstance(own.default, str) and own.default_factory is None and not placing.in_key:
            # An item that was stored before the model had a tenant can be read, and be given one.
            fields[own.name] = replace(own, default="")
        return replace(schema, fields=fields)

    def field(self, schema: Schema, field: Field) -> Any:
        """Let a key be read without the tenant that was put before it."""
        if field.role != "partition":
            return None
        placing = placed(schema)
        return (_as_it_is, unprefixed) if placing is not None and placing.prefixed else None

    def write_rule(self, schema: Schema) -> WriteRule | None:
        """The rule for writes of a model of tenants."""
        known = self._known(schema)
        return None if known is None else known.writes

    def read_rule(self, schema: Schema) -> ReadRule | None:
        """The rule for what is read of a model of tenants."""
        known = self._known(schema)
        return None if known is None else known.reads

    def scope_rule(self, schema: Schema, scope: Mapping[str, str]) -> ScopeRule | None:
        """What a view is to a model of tenants. Raises: TenantRequired without a tenant."""
        known = self._known(schema)
        if known is None:
            return None
        placing = known.placing
        if TENANT in scope:
            return (PutBefore if placing.prefixed else OfTenant)(placing, checked_id(scope[TENANT]))
        if ALL in scope:
            return (PutBeforeOfAll if placing.prefixed else OfAll)(placing)
        raise TenantRequired(
            f"{schema.name} is a model of tenants, and nothing says which one is served: use db.with_tenant(...), or"
            " dynamorm.tenant_scope(...) around the call"
        )

    def _known(self, schema: Schema) -> _Known | None:
        try:
            return self._models[schema.model]
        except KeyError:
            known = self._looked_at(schema)
            self._models[schema.model] = known
            return known

    def _looked_at(self, schema: Schema) -> _Known | None:
        placing, alike = placed(schema), check_family(schema)
        if placing is None:
            return None
        for cls in family_of(schema.model):
            before = self._models.get(cls)
            if before is not None and before.alike != alike:
                raise ModelError(
                    f"{schema.name} was defined after {before.placing.name} was used, which shares its table, and their partition"
                    " keys have the tenant in different places: define all classes of a table before the first of them is used"
                )
        return _Known(placing, alike=alike)

    # ------------------------------------------------------------------------------------------------------------ views

    def viewed(self, before: Mapping[str, str], scope: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Look at a view that is made. Raises: TenantError for one that widens another, InvalidTenant."""
        if ALL in scope and ALL not in before:
            self._widened(before, scope[ALL])
        if TENANT not in scope:
            return None
        tenant = checked_id(scope[TENANT])
        if before.get(TENANT, tenant) != tenant:
            raise TenantMismatch("this view is of another tenant already: make the view of the database itself")
        if ALL in before or ALL in scope:
            raise TenantError("a view of all tenants is none of one: make the view of the database itself")
        return {**scope, TENANT: tenant}

    def _widened(self, before: Mapping[str, str], reason: Any) -> None:
        if TENANT in before:
            raise TenantError("a view of one tenant never becomes one of all: use the database itself")
        if not isinstance(reason, str) or not reason.strip():
            raise InvalidTenant(
                'all tenants are asked for with a reason, for the log: db.all_tenants(reason="monthly report")',
                field="reason",
            )
        if not self.is_recorded:
            raise TenantError("a view of all tenants is made by db.all_tenants(reason=...), which records what it does")
        logger.warning(
            "all tenants may be read and written now by %s, for this reason: %s", who_acts(), in_one_line(reason)
        )

    def scope_of(self, scope: Mapping[str, str]) -> Mapping[str, str] | None:
        """The tenant of the block that a verb is called in. Raises: TenantMismatch where the view is of another one."""
        block = current()
        if block is None:
            return None
        tenant = scope.get(TENANT)
        if tenant is None and ALL not in scope:
            entries: Mapping[str, str] = block.of
            return entries
        if tenant != block.value:
            raise TenantMismatch(
                "a view is used inside the tenant_scope of another tenant than its own: leave the block, or use the database"
                " itself inside"
            )
        return None

    def _credentials_of(self, scope: Mapping[str, str]) -> Any:
        """What gives the credentials of a view's tenant: one for each, so that these are asked for once."""
        tenant = scope.get(TENANT)
        if tenant is None or self._credentials is None:
            return None
        ask = self._asks.get(tenant)
        if ask is None:
            if len(self._asks) >= MOST:
                del self._asks[next(iter(self._asks))]
            ask = self._asks[tenant] = partial(self._credentials, tenant)
        return ask

    def administered(self, what: str, scope: Mapping[str, str]) -> None:
        """Refuse a view of a tenant what is of whole tables, and everybody a statement that names its table.

        Raises: TenantError, TenantRequired.
        """
        if TENANT in scope:
            raise TenantError(f"{_ADMINISTRATION[what]}: use the database itself, outside of any tenant_scope")
        if what == "partiql_text":
            raise TenantRequired(
                "a PartiQL statement that names its table is bound to no tenant: give model= for a model that has none, or use a"
                " database of its own, on which tenants are not enabled"
            )


def _check_credentials(credentials: Any) -> None:
    """Refuse what cannot give credentials. Raises: ConfigError."""
    if not callable(credentials) or isinstance(credentials, type):
        raise ConfigError(
            "credentials of tenants is a function that is called with a tenant and returns its Credentials(key_id, secret, token,"
            f" expires_at), not {type_given(credentials)}"
        )
    check_takes(credentials, ("tenant",), "the function given as credentials of tenants", error=ConfigError)


def _as_it_is(wire: dict[str, Any]) -> dict[str, Any]:
    """The stored form of a key, before `ScopeRule.partition` puts the tenant there."""
    return wire


def _within(field: Field, tenant: str) -> Field:
    """A field whose value is unique within a tenant, where it is unique."""
    unique = field.option(Unique)
    if unique is None or unique.across_tenants or unique.within is not None:
        return field
    inner = copy(unique)
    inner.within = tenant
    return replace(field, options=tuple(inner if option is unique else option for option in field.options))
