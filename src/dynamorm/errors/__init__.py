"""Every exception of the library: plain data. It must not import anything of ours but how an exception is copied.

They split by what a payment may do next::

    DynamORMError
    ├── Retryable                   nothing happened: try again
    │   ├── Throttled               .reasons, .resource
    │   ├── Unavailable (PoolTimeout, ConnectFailed, ServerError, Backpressure)
    │   │   └── CircuitOpen         .retry_after
    │   ├── TransactionConflict
    │   └── InProgress              another execution of an idempotency key runs: .retry_after
    ├── Rejected                    the same call will fail again, and nothing happened unless ``outcome`` says otherwise
    │   ├── ConfigError (UnknownSetting, LicenseError), ModelError
    │   ├── ValidationError (ItemTooLarge, ExpressionTooLarge, NumberPrecision, PartialItem, UnknownArgument,
    │   │                    MissingArgument, InvalidUse, InvalidAttribute, InvalidTenant, CurrencyMismatch, UpgradeFailed)
    │   ├── NotFound (MissingItem), MultipleFound
    │   ├── TableNotFound (IndexUnavailable, StreamNotFound), StreamDataLost
    │   ├── ConditionFailed (AlreadyExists, VersionConflict, MissingItem, DuplicateKey, OutOfBounds, LeaseHeld,
    │   │                    InsufficientFunds, ForbiddenTransition, NotUpgraded)
    │   │   └── LeaseLost (ExecutionLost)
    │   ├── TransactionCancelled    .reasons, one entry per operation
    │   ├── AccessDenied, CredentialsError, PluginRefused
    │   ├── TenantError (TenantMismatch)
    │   │   └── TenantRequired (InvalidTenant)
    │   ├── BatcherClosed, Superseded
    │   ├── ActorRequired           an audited write says not who does it
    │   └── ClientError (TokenUsed)             any other refusal by the service
    ├── OutcomeUnknown              sent, no answer, not settled: .resolve()
    ├── Spooled                     not written now: the next batcher of the spool writes it
    ├── IdempotencyError            the operation of an idempotency key was not run, or not applied
    │   ├── InProgress              .retry_after
    │   ├── KeyReused, AlreadyDone, StoredFailure, StepUnknown
    │   └── ExecutionLost
    ├── PluginError                 a plugin failed behind a verb that ended well: .result
    ├── EncryptionError (TamperedCiphertext, KeyUnavailable, KeyDisabled, EncryptionNotConfigured, EphemeralGone)
    ├── OffloadError (ObjectMissing, ObjectDamaged)  a value in S3 was neither stored nor fetched
    ├── DeadlineExceeded            a read, or a write of which no byte was sent, ran out of time
    └── IntegrityError (ChecksumMismatch, MalformedResponse, TamperedCursor, AuditChainBroken, InvalidSignature)    the answer, or a cursor, cannot be believed

Every error says what happened (``outcome``), whether the same call may succeed later (``retryable``), and carries a
stable ``code``, and the portable ``codes`` that name it in the Go and TypeScript libraries too. Messages never hold an
attribute's value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import DynamORMError as DynamORMError
from .base import Outcome as Outcome
from .cancellation import CancellationReason as CancellationReason
from .conditions import AlreadyExists as AlreadyExists
from .conditions import ConditionFailed as ConditionFailed
from .conditions import DuplicateKey as DuplicateKey
from .conditions import LeaseHeld as LeaseHeld
from .conditions import LeaseLost as LeaseLost
from .conditions import MissingItem as MissingItem
from .conditions import OutOfBounds as OutOfBounds
from .conditions import TransactionCancelled as TransactionCancelled
from .conditions import VersionConflict as VersionConflict
from .doubtful import ChecksumMismatch as ChecksumMismatch
from .doubtful import DeadlineExceeded as DeadlineExceeded
from .doubtful import IntegrityError as IntegrityError
from .doubtful import MalformedResponse as MalformedResponse
from .doubtful import OutcomeUnknown as OutcomeUnknown
from .doubtful import PluginError as PluginError
from .doubtful import Spooled as Spooled
from .doubtful import TamperedCursor as TamperedCursor
from .rejected import AccessDenied as AccessDenied
from .rejected import BatcherClosed as BatcherClosed
from .rejected import ClientError as ClientError
from .rejected import ConfigError as ConfigError
from .rejected import CredentialsError as CredentialsError
from .rejected import ExpressionTooLarge as ExpressionTooLarge
from .rejected import IndexUnavailable as IndexUnavailable
from .rejected import InvalidAttribute as InvalidAttribute
from .rejected import InvalidUse as InvalidUse
from .rejected import ItemTooLarge as ItemTooLarge
from .rejected import MissingArgument as MissingArgument
from .rejected import ModelError as ModelError
from .rejected import MultipleFound as MultipleFound
from .rejected import NotFound as NotFound
from .rejected import NumberPrecision as NumberPrecision
from .rejected import PartialItem as PartialItem
from .rejected import PluginRefused as PluginRefused
from .rejected import Rejected as Rejected
from .rejected import StreamDataLost as StreamDataLost
from .rejected import StreamNotFound as StreamNotFound
from .rejected import Superseded as Superseded
from .rejected import TableNotFound as TableNotFound
from .rejected import TokenUsed as TokenUsed
from .rejected import UnknownArgument as UnknownArgument
from .rejected import UnknownSetting as UnknownSetting
from .rejected import ValidationError as ValidationError
from .retryable import Backpressure as Backpressure
from .retryable import CircuitOpen as CircuitOpen
from .retryable import ConnectFailed as ConnectFailed
from .retryable import PoolTimeout as PoolTimeout
from .retryable import Retryable as Retryable
from .retryable import ServerError as ServerError
from .retryable import Throttled as Throttled
from .retryable import TransactionConflict as TransactionConflict
from .retryable import Unavailable as Unavailable

if TYPE_CHECKING:
    from .audit import ActorRequired as ActorRequired
    from .audit import AuditChainBroken as AuditChainBroken
    from .encryption import EncryptionError as EncryptionError
    from .encryption import EncryptionNotConfigured as EncryptionNotConfigured
    from .encryption import EphemeralGone as EphemeralGone
    from .encryption import KeyDisabled as KeyDisabled
    from .encryption import KeyUnavailable as KeyUnavailable
    from .encryption import TamperedCiphertext as TamperedCiphertext
    from .idempotency import AlreadyDone as AlreadyDone
    from .idempotency import ExecutionLost as ExecutionLost
    from .idempotency import IdempotencyError as IdempotencyError
    from .idempotency import InProgress as InProgress
    from .idempotency import KeyReused as KeyReused
    from .idempotency import StepUnknown as StepUnknown
    from .idempotency import StoredFailure as StoredFailure
    from .offload import ObjectDamaged as ObjectDamaged
    from .offload import ObjectMissing as ObjectMissing
    from .offload import OffloadError as OffloadError
    from .payments import CurrencyMismatch as CurrencyMismatch
    from .payments import ForbiddenTransition as ForbiddenTransition
    from .payments import InsufficientFunds as InsufficientFunds
    from .payments import InvalidSignature as InvalidSignature
    from .payments import LicenseError as LicenseError
    from .tenants import InvalidTenant as InvalidTenant
    from .tenants import TenantError as TenantError
    from .tenants import TenantMismatch as TenantMismatch
    from .tenants import TenantRequired as TenantRequired
    from .upgrading import NotUpgraded as NotUpgraded
    from .upgrading import UpgradeFailed as UpgradeFailed

_LAZY = {
    "ActorRequired": "audit",
    "AlreadyDone": "idempotency",
    "AuditChainBroken": "audit",
    "CurrencyMismatch": "payments",
    "EncryptionError": "encryption",
    "EncryptionNotConfigured": "encryption",
    "EphemeralGone": "encryption",
    "ExecutionLost": "idempotency",
    "ForbiddenTransition": "payments",
    "IdempotencyError": "idempotency",
    "InProgress": "idempotency",
    "InsufficientFunds": "payments",
    "InvalidSignature": "payments",
    "InvalidTenant": "tenants",
    "KeyDisabled": "encryption",
    "KeyReused": "idempotency",
    "KeyUnavailable": "encryption",
    "LicenseError": "payments",
    "NotUpgraded": "upgrading",
    "ObjectDamaged": "offload",
    "ObjectMissing": "offload",
    "OffloadError": "offload",
    "StepUnknown": "idempotency",
    "StoredFailure": "idempotency",
    "TamperedCiphertext": "encryption",
    "TenantError": "tenants",
    "TenantMismatch": "tenants",
    "TenantRequired": "tenants",
    "UpgradeFailed": "upgrading",
}
"""The errors of features that not every program has, by their module: loaded when one of them is asked for."""


def _named_here(names: dict[str, object]) -> None:
    """Name the module of errors: they are met, and pickled, under the name of this one."""
    for kind in tuple(names.values()):
        if isinstance(kind, type) and kind.__module__.startswith(f"{__name__}."):
            kind.__module__ = __name__


_named_here(globals())


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        module = import_module(f"{__name__}.{_LAZY[name]}")
        _named_here(vars(module))
        found = globals()[name] = getattr(module, name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *_LAZY} - {"TYPE_CHECKING"})
