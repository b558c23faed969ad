"""Money and payments: exact amounts, payments with their states, a ledger, an outbox. Loaded with their first use.

It stands beside the core, as plugins do, and uses public names alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import currencies as currencies
    from .handlers import lambda_handler as lambda_handler
    from .handlers import sqs_handler as sqs_handler
    from .handlers import webhook_handler as webhook_handler
    from .ledger import Ledger as Ledger
    from .ledger import Posted as Posted
    from .ledger import Posting as Posting
    from .ledger import TrialBalance as TrialBalance
    from .ledger import Verification as Verification
    from .lifecycle import find_payment_by_idempotency_key as find_payment_by_idempotency_key
    from .lifecycle import refund as refund
    from .lifecycle import transition as transition
    from .middleware import IdempotencyMiddleware as IdempotencyMiddleware
    from .middleware import current_operation as current_operation
    from .mixins import PaymentIndexes as PaymentIndexes
    from .mixins import PaymentMixin as PaymentMixin
    from .mixins import RefundMixin as RefundMixin
    from .mixins import SettlementMixin as SettlementMixin
    from .mixins import TransactionMixin as TransactionMixin
    from .mixins import WebhookMixin as WebhookMixin
    from .money import Money as Money
    from .money import two_attributes as two_attributes
    from .outbox import Outbox as Outbox
    from .outbox import OutboxEvent as OutboxEvent
    from .reconciliation import Reconciliation as Reconciliation
    from .reconciliation import Report as Report
    from .states import TRANSITIONS as TRANSITIONS
    from .states import Status as Status
    from .states import Transitions as Transitions
    from .tables import ensure_tables as ensure_tables
    from .targets import check_target as check_target
    from .webhooks import sign_webhook as sign_webhook
    from .webhooks import verify_webhook as verify_webhook

_HOMES = {
    "IdempotencyMiddleware": "middleware",
    "Ledger": "ledger",
    "Money": "money",
    "Outbox": "outbox",
    "OutboxEvent": "outbox",
    "PaymentIndexes": "mixins",
    "PaymentMixin": "mixins",
    "Posted": "ledger",
    "Posting": "ledger",
    "Reconciliation": "reconciliation",
    "RefundMixin": "mixins",
    "Report": "reconciliation",
    "SettlementMixin": "mixins",
    "Status": "states",
    "TRANSITIONS": "states",
    "TransactionMixin": "mixins",
    "Transitions": "states",
    "TrialBalance": "ledger",
    "Verification": "ledger",
    "WebhookMixin": "mixins",
    "check_target": "targets",
    "currencies": "",
    "current_operation": "middleware",
    "ensure_tables": "tables",
    "find_payment_by_idempotency_key": "lifecycle",
    "lambda_handler": "handlers",
    "refund": "lifecycle",
    "sign_webhook": "webhooks",
    "sqs_handler": "handlers",
    "transition": "lifecycle",
    "two_attributes": "money",
    "verify_webhook": "webhooks",
    "webhook_handler": "handlers",
}

__all__ = [
    "TRANSITIONS",
    "IdempotencyMiddleware",
    "Ledger",
    "Money",
    "Outbox",
    "OutboxEvent",
    "PaymentIndexes",
    "PaymentMixin",
    "Posted",
    "Posting",
    "Reconciliation",
    "RefundMixin",
    "Report",
    "SettlementMixin",
    "Status",
    "TransactionMixin",
    "Transitions",
    "TrialBalance",
    "Verification",
    "WebhookMixin",
    "check_target",
    "currencies",
    "current_operation",
    "ensure_tables",
    "find_payment_by_idempotency_key",
    "lambda_handler",
    "refund",
    "sign_webhook",
    "sqs_handler",
    "transition",
    "two_attributes",
    "verify_webhook",
    "webhook_handler",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = import_module(f".{home or name}", __name__)
    value = globals()[name] = getattr(found, name) if home else found
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
