"""Typed, fast access to DynamoDB that stays correct when the network lies.

Example::

    from dynamorm import DB, Attr, Model, Presets, partition_key


    class Payment(Model, table="payments"):
        id: Attr[str] = partition_key()
        amount: Attr[int]


    with DB(Presets.local_development()) as db:
        db.tables.ensure(Payment)
        db.create(Payment(id="p1", amount=500))
"""

from typing import TYPE_CHECKING, Any

from dynamorm.config.settings import (
    CircuitBreakerConfig,
    Config,
    Credentials,
    HighThroughput,
    Presets,
    config_from_env,
    env_or_default,
)
from dynamorm.models.declare import Attr, attr, created_at, gsi, lsi, partition_key, sort_key, ttl, updated_at, version
from dynamorm.models.expressions.path import Condition, Update
from dynamorm.models.model import Mixin, Model
from dynamorm.models.schema.composite import composite
from dynamorm.models.schema.schema import AppendOnly, Codec, Json, Unique

from .errors import (
    AlreadyExists,
    ConditionFailed,
    DuplicateKey,
    DynamORMError,
    NotFound,
    Outcome,
    OutcomeUnknown,
    Throttled,
    TransactionCancelled,
    ValidationError,
    VersionConflict,
)

if TYPE_CHECKING:
    from dynamorm.models.access_patterns import access_pattern
    from dynamorm.models.derived import derived
    from dynamorm.models.expressions.raw import raw
    from dynamorm.models.hooks import (
        after_create,
        after_delete,
        after_load,
        after_save,
        before_create,
        before_delete,
        before_save,
    )
    from dynamorm.models.ids import id_time, ksuid, ulid, uuid7
    from dynamorm.models.schema.compressed import Compressed
    from dynamorm.models.schema.schema import schema_of
    from dynamorm.models.schema.table_settings import IndexSettings, TableSettings, Throughput
    from dynamorm.models.schema.time_forms import Epoch, TimeText
    from dynamorm.models.schema.upgraded import upgraded_item
    from dynamorm.models.schema.upgrades import upgrade
    from dynamorm.models.validators import field_validator, model_validator
    from dynamorm.ops.queries.pages import Page

    from .config.licence.gate import is_enterprise
    from .faces.aio.db import AsyncDB
    from .faces.blocking.db import DB
    from .ops.verbs.batch_result import BatchFailure, BatchResult
    from .plugin import Plugin, PluginContext
    from .plugins import (
        BatchConfig,
        Bits,
        Cache,
        CacheConfig,
        CachingPlugin,
        Dashboard,
        Encrypted,
        Ephemeral,
        Full,
        KMSProvider,
        LocalKeyProvider,
        LoggingPlugin,
        MetricsPlugin,
        Secret,
        TracingPlugin,
        Undecryptable,
    )
    from .plugins.audit import Audit, AuditableModel, ChangeTrackingConfig
    from .plugins.tenancy import Tenant, tenant_scope
    from .wire.acting import actor
    from .wire.deadlines import deadline

__all__ = [
    "DB",
    "AlreadyExists",
    "AppendOnly",
    "AsyncDB",
    "Attr",
    "Audit",
    "AuditableModel",
    "BatchConfig",
    "BatchFailure",
    "BatchResult",
    "Bits",
    "Cache",
    "CacheConfig",
    "CachingPlugin",
    "ChangeTrackingConfig",
    "CircuitBreakerConfig",
    "Codec",
    "Compressed",
    "Condition",
    "ConditionFailed",
    "Config",
    "Credentials",
    "Dashboard",
    "DuplicateKey",
    "DynamORMError",
    "Encrypted",
    "Ephemeral",
    "Epoch",
    "Full",
    "HighThroughput",
    "IndexSettings",
    "Json",
    "KMSProvider",
    "LocalKeyProvider",
    "LoggingPlugin",
    "MetricsPlugin",
    "Mixin",
    "Model",
    "NotFound",
    "Outcome",
    "OutcomeUnknown",
    "Page",
    "Plugin",
    "PluginContext",
    "Presets",
    "Secret",
    "TableSettings",
    "Tenant",
    "Throttled",
    "Throughput",
    "TimeText",
    "TracingPlugin",
    "TransactionCancelled",
    "Undecryptable",
    "Unique",
    "Update",
    "ValidationError",
    "VersionConflict",
    "access_pattern",
    "actor",
    "after_create",
    "after_delete",
    "after_load",
    "after_save",
    "attr",
    "before_create",
    "before_delete",
    "before_save",
    "composite",
    "config_from_env",
    "created_at",
    "deadline",
    "derived",
    "env_or_default",
    "field_validator",
    "gsi",
    "id_time",
    "is_enterprise",
    "ksuid",
    "lsi",
    "model_validator",
    "partition_key",
    "raw",
    "schema_of",
    "sort_key",
    "tenant_scope",
    "ttl",
    "ulid",
    "updated_at",
    "upgrade",
    "upgraded_item",
    "uuid7",
    "version",
]


# Names that not every program needs, by the module they are in: imported when they are first asked for. A program has
# one of the two faces, a module of models neither.
_LAZY = {
    "AsyncDB": "faces.aio.db",
    "Audit": "plugins.audit",
    "AuditableModel": "plugins.audit",
    "BatchConfig": "plugins",
    "BatchFailure": "ops.verbs.batch_result",
    "BatchResult": "ops.verbs.batch_result",
    "Bits": "plugins",
    "Cache": "plugins",
    "CacheConfig": "plugins",
    "CachingPlugin": "plugins",
    "ChangeTrackingConfig": "plugins.audit",
    "Compressed": "models.schema.compressed",
    "DB": "faces.blocking.db",
    "Dashboard": "plugins",
    "Encrypted": "plugins",
    "Ephemeral": "plugins",
    "Epoch": "models.schema.time_forms",
    "Full": "plugins",
    "IndexSettings": "models.schema.table_settings",
    "KMSProvider": "plugins",
    "LocalKeyProvider": "plugins",
    "LoggingPlugin": "plugins",
    "MetricsPlugin": "plugins",
    "Page": "ops.queries.pages",
    "Plugin": "plugin",
    "PluginContext": "plugin",
    "Secret": "plugins",
    "TableSettings": "models.schema.table_settings",
    "Throughput": "models.schema.table_settings",
    "TimeText": "models.schema.time_forms",
    "Tenant": "plugins.tenancy",
    "TracingPlugin": "plugins",
    "Undecryptable": "plugins",
    "actor": "wire.acting",
    "deadline": "wire.deadlines",
    "id_time": "models.ids",
    "is_enterprise": "config.licence.gate",
    "ksuid": "models.ids",
    "after_create": "models.hooks",
    "after_delete": "models.hooks",
    "after_load": "models.hooks",
    "after_save": "models.hooks",
    "before_create": "models.hooks",
    "before_delete": "models.hooks",
    "before_save": "models.hooks",
    "derived": "models.derived",
    "field_validator": "models.validators",
    "model_validator": "models.validators",
    "raw": "models.expressions.raw",
    "schema_of": "models.schema.schema",
    "tenant_scope": "plugins.tenancy",
    "ulid": "models.ids",
    "upgrade": "models.schema.upgrades",
    "upgraded_item": "models.schema.upgraded",
    "uuid7": "models.ids",
    "access_pattern": "models.access_patterns",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        found = globals()[name] = getattr(import_module(f".{_LAZY[name]}", __name__), name)
        return found
    if name == "__version__":
        from importlib.metadata import version as version_of  # costs some milliseconds: only when asked

        return version_of("dynamorm-py")
    raise AttributeError(f"module 'dynamorm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"Any", "TYPE_CHECKING"})
