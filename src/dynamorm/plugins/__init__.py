"""The plugins that come with the library. Each is a module of its own, loaded when one of its names is asked for."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .audit import AsyncAuditTrail as AsyncAuditTrail
    from .audit import Audit as Audit
    from .audit import AuditLog as AuditLog
    from .audit import AuditTrail as AuditTrail
    from .audit import ChangeTrackingConfig as ChangeTrackingConfig
    from .audit import Trail as Trail
    from .batcher import AsyncBatcher as AsyncBatcher
    from .batcher import BatchConfig as BatchConfig
    from .batcher import Batcher as Batcher
    from .breaker import CircuitBreaker as CircuitBreaker
    from .bulkhead import Bulkhead as Bulkhead
    from .cache import Cache as Cache
    from .cache import CacheConfig as CacheConfig
    from .cache import CachingPlugin as CachingPlugin
    from .capacity import CapacityLimiter as CapacityLimiter
    from .cost import CostPlugin as CostPlugin
    from .dashboard import Dashboard as Dashboard
    from .encryption import Bits as Bits
    from .encryption import Encrypted as Encrypted
    from .encryption import EncryptionPlugin as EncryptionPlugin
    from .encryption import Ephemeral as Ephemeral
    from .encryption import Full as Full
    from .encryption import KeyProvider as KeyProvider
    from .encryption import KMSProvider as KMSProvider
    from .encryption import LocalKeyProvider as LocalKeyProvider
    from .encryption import Secret as Secret
    from .encryption import Undecryptable as Undecryptable
    from .hedging import Hedging as Hedging
    from .hot_keys import HotKeys as HotKeys
    from .idempotency import AsyncIdempotent as AsyncIdempotent
    from .idempotency import Idempotent as Idempotent
    from .idempotency import UnprotectedWrites as UnprotectedWrites
    from .idempotency import record_model as record_model
    from .lint import DevelopmentLint as DevelopmentLint
    from .loader import AsyncLoader as AsyncLoader
    from .loader import Later as Later
    from .loader import Loader as Loader
    from .logging import LoggingPlugin as LoggingPlugin
    from .metrics import Metrics as Metrics
    from .metrics import MetricsPlugin as MetricsPlugin
    from .offload import AsyncOffloadCleaner as AsyncOffloadCleaner
    from .offload import MissingObject as MissingObject
    from .offload import Offload as Offload
    from .offload import OffloadCleaner as OffloadCleaner
    from .offload import Offloaded as Offloaded
    from .pacing import ThrottlePacing as ThrottlePacing
    from .soft_delete import DeletedAt as DeletedAt
    from .soft_delete import SoftDelete as SoftDelete
    from .soft_delete import SoftDeleted as SoftDeleted
    from .soft_delete import restoring as restoring
    from .tenancy import AllTenantsRecord as AllTenantsRecord
    from .tenancy import Tenancy as Tenancy
    from .tracing import TracingPlugin as TracingPlugin

__all__ = [
    "AllTenantsRecord",
    "AsyncAuditTrail",
    "AsyncBatcher",
    "AsyncIdempotent",
    "AsyncLoader",
    "AsyncOffloadCleaner",
    "Audit",
    "AuditLog",
    "AuditTrail",
    "BatchConfig",
    "Batcher",
    "Bits",
    "Bulkhead",
    "Cache",
    "CacheConfig",
    "CachingPlugin",
    "CapacityLimiter",
    "ChangeTrackingConfig",
    "CircuitBreaker",
    "CostPlugin",
    "Dashboard",
    "DeletedAt",
    "DevelopmentLint",
    "Encrypted",
    "EncryptionPlugin",
    "Ephemeral",
    "Full",
    "Hedging",
    "HotKeys",
    "Idempotent",
    "KMSProvider",
    "KeyProvider",
    "Later",
    "Loader",
    "LocalKeyProvider",
    "LoggingPlugin",
    "Metrics",
    "MetricsPlugin",
    "MissingObject",
    "Offload",
    "OffloadCleaner",
    "Offloaded",
    "Secret",
    "SoftDelete",
    "SoftDeleted",
    "Tenancy",
    "ThrottlePacing",
    "TracingPlugin",
    "Trail",
    "Undecryptable",
    "UnprotectedWrites",
    "record_model",
    "restoring",
]

_HOMES = {
    "AsyncAuditTrail": "audit",
    "AsyncBatcher": "batcher",
    "Audit": "audit",
    "AuditLog": "audit",
    "AuditTrail": "audit",
    "ChangeTrackingConfig": "audit",
    "Trail": "audit",
    "AsyncIdempotent": "idempotency",
    "BatchConfig": "batcher",
    "Batcher": "batcher",
    "Bits": "encryption",
    "Bulkhead": "bulkhead",
    "Cache": "cache",
    "CacheConfig": "cache",
    "CachingPlugin": "cache",
    "CapacityLimiter": "capacity",
    "CircuitBreaker": "breaker",
    "CostPlugin": "cost",
    "Dashboard": "dashboard",
    "DevelopmentLint": "lint",
    "Encrypted": "encryption",
    "EncryptionPlugin": "encryption",
    "Ephemeral": "encryption",
    "Full": "encryption",
    "Hedging": "hedging",
    "HotKeys": "hot_keys",
    "KMSProvider": "encryption",
    "KeyProvider": "encryption",
    "LocalKeyProvider": "encryption",
    "Idempotent": "idempotency",
    "AsyncLoader": "loader",
    "Later": "loader",
    "Loader": "loader",
    "LoggingPlugin": "logging",
    "AsyncOffloadCleaner": "offload",
    "Metrics": "metrics",
    "MissingObject": "offload",
    "Offload": "offload",
    "OffloadCleaner": "offload",
    "Offloaded": "offload",
    "MetricsPlugin": "metrics",
    "Secret": "encryption",
    "ThrottlePacing": "pacing",
    "DeletedAt": "soft_delete",
    "SoftDelete": "soft_delete",
    "SoftDeleted": "soft_delete",
    "restoring": "soft_delete",
    "AllTenantsRecord": "tenancy",
    "Tenancy": "tenancy",
    "TracingPlugin": "tracing",
    "UnprotectedWrites": "idempotency",
    "record_model": "idempotency",
    "Undecryptable": "encryption",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"Any", "TYPE_CHECKING"})
