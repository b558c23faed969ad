"""What a ledger stores: postings, which never change, and the balances of accounts. And legs, which both are made of."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

from dynamorm import AppendOnly, Attr, Model, attr, created_at, partition_key, sort_key, version
from dynamorm.errors import ValidationError

from ..homes import check_name
from ..money import Money

SHARDS: Final = 16
"""Items that keep the balance of an account without bounds, so that many may post to it at once."""
MOST_ACCOUNTS: Final = 45
"""Accounts of one posting: a transaction has 100 places."""
BETWEEN: Final = "\x1f"
"""Stands between the parts of a key: no account has it in its name."""


class Posting(NamedTuple):
    """One leg of a posting: money that goes into an account (debit, above zero) or out of it (credit, below zero).

    Example: ``Posting("cash", Money("10", "EUR"))``
    """

    account: str
    money: Money


class Posted(NamedTuple):
    """What `Ledger.post` gives: the id, when it was posted, and whether it had been posted before, by the same id."""

    id: str
    at: datetime
    replayed: bool


class TrialBalance(NamedTuple):
    """What `Ledger.trial_balance` gives: the sum of all legs by currency, which is zero in each (``ok``), the time, and how many postings."""

    by_currency: dict[str, Money]
    ok: bool
    at: datetime
    postings: int


class Verification(NamedTuple):
    """What `Ledger.verify` gives: the accounts whose balance is not the sum of their legs (``differs``).

    ``unsettled`` are those that were posted to all the while, so that nothing can be said of them; ``ok``: nothing differs.
    """

    ok: bool
    differs: tuple[str, ...]
    unsettled: tuple[str, ...]
    postings: int


class LedgerEntry(Model, table="dynamorm-ledger"):
    """A posting as it is stored, or with ``kind`` "reversal" the mark that a posting was reversed. It never changes.

    ``pk`` is its id, behind what the keys of a tenant begin with, where it is a tenant's; ``legs`` have accounts without that.
    """

    pk: Attr[str] = partition_key()
    kind: Attr[str] = attr(default="posting", immutable=True)
    legs: Attr[list[tuple[str, str, int]]] = attr(AppendOnly(), default_factory=list)
    reverses: Attr[str | None] = attr(default=None, immutable=True)
    at: Attr[datetime] = created_at()
    version: Attr[int] = version()


class LedgerBalance(Model, table="dynamorm-ledger-balances"):
    """The balance of an account in one currency: the whole of it where the account was opened, and else one of its shards.

    ``pk`` is its name, behind what the keys of a tenant begin with, where it is a tenant's. ``opened`` marks the account itself,
    ``closed`` a shard that may not be used, for the account was opened with bounds.
    """

    pk: Attr[str] = partition_key()
    currency: Attr[str] = sort_key()
    balance: Attr[int] = attr(default=0)
    opened: Attr[bool] = attr(default=False)
    closed: Attr[bool] = attr(default=False)
    at_least: Attr[int | None] = attr(default=None)
    at_most: Attr[int | None] = attr(default=None)
    shards: Attr[int | None] = attr(default=None)
    version: Attr[int] = version()

    @property
    def is_bounded(self) -> bool:
        """Whether the account has a bound, and so its whole balance in one item."""
        return self.opened and (self.at_least is not None or self.at_most is not None)

    @property
    def account(self) -> str:
        """The key of the account, whose name it is where it is of no tenant."""
        return self.pk.partition(BETWEEN)[0]


Legs = tuple[tuple[str, str, int], ...]
"""(account, currency, minor units) of each account, in order, each once."""


def joined(postings: Iterable[Any]) -> Legs:
    """The legs of a posting, those of one account joined. Raises: ValidationError for what does not sum to zero, or moves nothing."""
    sums: dict[tuple[str, str], int] = {}
    for posting in _listed(postings):
        if not isinstance(posting, tuple) or len(posting) != 2 or not isinstance(posting[1], Money):
            raise ValidationError("a posting is made of Posting(account, money)", field="postings")
        account, money = posting
        check_account(account)
        at = (account, money.currency)
        sums[at] = sums.get(at, 0) + money.cents
    totals: dict[str, int] = {}
    for (_, currency), cents in sums.items():
        totals[currency] = totals.get(currency, 0) + cents
    if wrong := sorted(currency for currency, total in totals.items() if total):
        raise ValidationError(
            f"a posting sums to zero in each currency, and this one does not in {', '.join(wrong)}: add what is missing as a leg"
        )
    legs = tuple((account, currency, cents) for (account, currency), cents in sorted(sums.items()) if cents)
    if not legs:
        raise ValidationError("this posting moves nothing: give legs that are not zero", field="postings")
    if len(legs) > MOST_ACCOUNTS:
        raise ValidationError(
            f"a posting has at most {MOST_ACCOUNTS} accounts: make several of it, each of which sums to zero",
            field="postings",
        )
    return legs


def check_account(account: Any) -> None:
    """Refuse what is no name of an account. Raises: ValidationError."""
    check_name("account", account, 200)


def check_id(id: Any) -> None:
    """Refuse what is no id of a posting. Raises: ValidationError."""
    check_name("id", id, 255)


def _listed(postings: Any) -> list[Any]:
    if isinstance(postings, (str, bytes, Posting)) or not isinstance(postings, Iterable):
        raise ValidationError("postings are a list of Posting(account, money)", field="postings")
    return list(postings)
