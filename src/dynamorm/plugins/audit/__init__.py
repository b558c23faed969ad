"""The audit trail: who wrote what, kept by the library in the items themselves and in a chain of records beside them.

`Audit` fields are filled in from `dynamorm.actor`; `DB.enable_change_tracking` keeps a keyed chain of records of the fields it
is told, each written in the transaction of the change; `DB.audit` reads, verifies, restores and exports it.
"""

from .aio import AsyncAuditTrail as AsyncAuditTrail
from .blocking import AuditTrail as AuditTrail
from .chain import AuditVerdict as AuditVerdict
from .checkpoints import SignedHead as SignedHead
from .checkpoints import Signer as Signer
from .config import ChangeTrackingConfig as ChangeTrackingConfig
from .fields import AuditableModel as AuditableModel
from .history import AuditRecord as AuditRecord
from .history import AuditSnapshot as AuditSnapshot
from .option import Audit as Audit
from .option import Change as Change
from .plugin import AuditLog as AuditLog
from .restoring import Restored as Restored
from .trail import Trail as Trail
from .values import Digest as Digest
from .values import Sealed as Sealed

__all__ = [
    "AsyncAuditTrail",
    "Audit",
    "AuditLog",
    "AuditRecord",
    "AuditSnapshot",
    "AuditTrail",
    "AuditVerdict",
    "AuditableModel",
    "Change",
    "ChangeTrackingConfig",
    "Digest",
    "Restored",
    "Sealed",
    "SignedHead",
    "Signer",
    "Trail",
]
