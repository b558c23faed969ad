"""What is read of a ledger: balances at one moment, the sums of all entries, and whether the two agree."""

from __future__ import annotations

from typing import Any, Final

from ..money import Money
from ..two_faces import Pages, Steps
from .items import BETWEEN, SHARDS, LedgerBalance, LedgerEntry, Verification

Sums = dict[tuple[str, str], int]
"""Minor units by account and currency."""

LOOKS: Final = 4
"""How often balances and entries are read while others post, until they are found alike."""
_AT_ONCE: Final = 100
"""Items of one TransactGetItems."""


def balances_of(db: Any, account: str, currency: str | None) -> Steps[dict[str, Money]]:
    """The balance of an account by currency: of all of its items at one moment, where these are at most 100."""
    if currency is None:
        keys = yield from _keys_of(db, account)
    else:
        head: Any = yield db.get(LedgerBalance, account, currency, consistent=True)
        count = SHARDS if head is None else max(SHARDS, head.shards or 0)
        keys = [(account, currency), *((f"{account}{BETWEEN}{at}", currency) for at in range(count))]
    if len(keys) <= _AT_ONCE:
        items: list[Any] = yield db.transact_get([(LedgerBalance, *key) for key in keys])
    else:
        items = yield db.batch_get(LedgerBalance, keys, consistent=True)
    sums: dict[str, int] = {}
    for item in items:
        if item is not None:
            sums[item.currency] = sums.get(item.currency, 0) + item.balance
    return {code: Money.minor(cents, code, historic=True, wide=True) for code, cents in sorted(sums.items())}


def _keys_of(db: Any, account: str) -> Steps[list[tuple[str, str]]]:
    """The keys of the items of an account."""
    places, keys, count = [account], [], SHARDS
    paths: Any = LedgerBalance
    for place in places:
        found: list[Any] = yield db.model(LedgerBalance).where(paths.pk == place).consistent().all()
        keys += [(item.pk, item.currency) for item in found if not item.closed]
        if place == account:
            count = max([SHARDS, *(item.shards or 0 for item in found)])
            places += [f"{account}{BETWEEN}{at}" for at in range(count)]
    return keys


def sums_of_entries(db: Any) -> Steps[tuple[Sums, int]]:
    """The sums of the legs of all postings, and how many postings there are."""
    paths: Any = LedgerEntry
    sums: Sums = {}
    count = 0
    pages = Pages(db, db.model(LedgerEntry).filter(paths.kind == "posting").allow_scan().consistent())
    while (page := (yield from pages.next())) is not None:
        for entry in page.items:
            count += 1
            for account, currency, cents in entry.legs:
                sums[account, currency] = sums.get((account, currency), 0) + cents
    return sums, count


def _sums_of_balances(db: Any) -> Steps[Sums]:
    sums: Sums = {}
    pages = Pages(db, db.model(LedgerBalance).allow_scan().consistent())
    while (page := (yield from pages.next())) is not None:
        for item in page.items:
            at = (item.account, item.currency)
            sums[at] = sums.get(at, 0) + item.balance
    return sums


def verified(db: Any) -> Steps[Verification]:
    """Compare balances with entries.

    An account that was not posted to between two readings of its balance must agree with the entries that were read meanwhile;
    of one that was, another look may tell.
    """
    before = yield from _sums_of_balances(db)
    open_ones: set[tuple[str, str]] | None = None
    differs: set[str] = set()
    count = 0
    for _ in range(LOOKS):
        entries, count = yield from sums_of_entries(db)
        after = yield from _sums_of_balances(db)
        looked_at = {*before, *entries, *after} if open_ones is None else open_ones
        open_ones = {at for at in looked_at if before.get(at, 0) != after.get(at, 0)}
        differs |= {at[0] for at in looked_at - open_ones if entries.get(at, 0) != after.get(at, 0)}
        if not open_ones:
            break
        before = after
    unsettled = tuple(sorted({at[0] for at in open_ones or ()}))
    return Verification(not differs, tuple(sorted(differs)), unsettled, count)
