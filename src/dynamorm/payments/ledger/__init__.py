"""The ledger: postings in double entry, the balances that they change, and what is read of both."""

from __future__ import annotations

from .items import LedgerBalance as LedgerBalance
from .items import LedgerEntry as LedgerEntry
from .items import Posted as Posted
from .items import Posting as Posting
from .items import TrialBalance as TrialBalance
from .items import Verification as Verification
from .posting import Ledger as Ledger

__all__ = ["Ledger", "LedgerBalance", "LedgerEntry", "Posted", "Posting", "TrialBalance", "Verification"]
