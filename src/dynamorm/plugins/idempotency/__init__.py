"""Idempotent operations: run once for a key, whatever is lost, killed or repeated; see `DB.idempotent`.

`machine` is the state machine as data; `held`, `acquiring` and `executor` are its flows, `blocking` and `aio` what the two faces give out.
"""

from .aio import AsyncIdempotent, AsyncIdempotentOperation
from .blocking import Idempotent, IdempotentOperation
from .operation import CURRENT
from .options import webhook_retention
from .record import record_model
from .unprotected import UnprotectedWrites

__all__ = [
    "CURRENT",
    "AsyncIdempotent",
    "AsyncIdempotentOperation",
    "Idempotent",
    "IdempotentOperation",
    "UnprotectedWrites",
    "record_model",
    "webhook_retention",
]
