"""What is read of a ledger: balances at one moment, the sums of all entries, and whether the two agree."""

from __future__ import annotations

from typing import Any, Final

from ..homes import Home, home_of_key
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
    """The balance of an account, which is named by its key, by currency: of all of its items at one moment, where these are at most 100."""
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


def sums_of_entries(db: Any, home: Home) -> Steps[tuple[Sums, int]]:
    """The sums of the legs of all postings of a home, and how many postings there are."""
    paths: Any = LedgerEntry
    sums: Sums = {}
    count = 0
    pages = Pages(db, _scan(db, LedgerEntry, home).filter(paths.kind == "posting"))
    while (page := (yield from pages.next())) is not None:
        for entry in page.items:
            count += 1
            of = home_of_key(entry.pk)
            for account, currency, cents in entry.legs:
                at = (of.key(account), currency)
                sums[at] = sums.get(at, 0) + cents
    return sums, count


def _scan(db: Any, model: Any, home: Home) -> Any:
    query = db.model(model).allow_scan().consistent()
    condition = home.holds(model.pk)
    return query if condition is None else query.filter(condition)


def _sums_of_balances(db: Any, home: Home) -> Steps[Sums]:
    sums: Sums = {}
    pages = Pages(db, _scan(db, LedgerBalance, home))
    while (page := (yield from pages.next())) is not None:
        for item in page.items:
            at = (item.account, item.currency)
            sums[at] = sums.get(at, 0) + item.balance
    return sums


def verified(db: Any, home: Home) -> Steps[Verification]:
    """Compare balances with entries, those of a home.

    An account that was not posted to between two readings of its balance must agree with the entries that were read meanwhile;
    of one that was, another look may tell.
    """
    before = yield from _sums_of_balances(db, home)
    open_ones: set[tuple[str, str]] | None = None
    differs: set[str] = set()
    count = 0
    for _ in range(LOOKS):
        entries, count = yield from sums_of_entries(db, home)
        after = yield from _sums_of_balances(db, home)
        looked_at = {*before, *entries, *after} if open_ones is None else open_ones
        open_ones = {at for at in looked_at if before.get(at, 0) != after.get(at, 0)}
        differs |= {at[0] for at in looked_at - open_ones if entries.get(at, 0) != after.get(at, 0)}
        if not open_ones:
            break
        before = after
    unsettled = tuple(sorted({home.name(at[0]) for at in open_ones or ()}))
    return Verification(not differs, tuple(sorted(map(home.name, differs))), unsettled, count)
