"""What is read of a ledger: balances at one moment, the sums of all entries, and whether the two agree."""

from __future__ import annotations

from typing import Any, Final

from ..homes import Home, home_of_key
from ..money import Money
from ..two_faces import Pages, Steps
from .items import BETWEEN, SHARDS, LedgerBalance, LedgerEntry, Verification

Sums = dict[tuple[str, str], int]
"""Minor units by account and currency."""

Balances = dict[tuple[str, str], tuple[int, int]]
"""The same, and how many changes have made it: no version of an item goes back, so two postings that cancel each other are seen."""

_NOTHING: Final = (0, 0)

LOOKS: Final = 4
"""How often balances and entries are read while others post, until they are found alike."""
_AT_ONCE: Final = 100
"""Items of one TransactGetItems."""


def balances_of(db: Any, account: str, currency: str | None) -> Steps[dict[str, Money]]:
    """The balance of an account, which is named by its key, by currency: all of its items in a currency are read at one moment.

    So are all currencies together, where that are at most 100 items. Those are read, too, which are not there yet: else a posting
    to a new one would be seen by half.
    """
    if currency is None:
        counts: dict[str, int] = yield from _currencies_of(db, account)
    else:
        head: Any = yield db.get(LedgerBalance, account, currency, consistent=True)
        counts = {currency: SHARDS if head is None else max(SHARDS, head.shards or 0)}
    sums: dict[str, int] = {}
    for keys in _at_once(account, counts):
        items: list[Any] = yield db.transact_get([(LedgerBalance, *key) for key in keys])
        for item in items:
            if item is not None:
                sums[item.currency] = sums.get(item.currency, 0) + item.balance
    return {code: Money.minor(cents, code, historic=True, wide=True) for code, cents in sorted(sums.items())}


def _at_once(account: str, counts: dict[str, int]) -> list[list[tuple[str, str]]]:
    """The places of an account in parts that are read at one moment each, every currency in one of them."""
    parts: list[list[tuple[str, str]]] = []
    for code, count in sorted(counts.items()):
        places = [(account, code), *((f"{account}{BETWEEN}{at}", code) for at in range(count))]
        if parts and len(parts[-1]) + len(places) <= _AT_ONCE:
            parts[-1] += places
        else:
            parts.append(places)
    return parts


def _currencies_of(db: Any, account: str) -> Steps[dict[str, int]]:
    """The currencies that an account has items in, and the number of its shards in each."""
    places, counts = [account], dict[str, int]()
    paths: Any = LedgerBalance
    for place in places:
        found: list[Any] = yield db.model(LedgerBalance).where(paths.pk == place).consistent().all()
        for item in found:
            if not item.closed:
                counts[item.currency] = max(SHARDS, counts.get(item.currency, 0), item.shards or 0)
        if place == account:
            most = max([SHARDS, *(item.shards or 0 for item in found)])
            places += [f"{account}{BETWEEN}{at}" for at in range(most)]
    return counts


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


def _balances(db: Any, home: Home) -> Steps[Balances]:
    found: Balances = {}
    pages = Pages(db, _scan(db, LedgerBalance, home))
    while (page := (yield from pages.next())) is not None:
        for item in page.items:
            at = (item.account, item.currency)
            cents, changes = found.get(at, _NOTHING)
            found[at] = cents + item.balance, changes + 1 + item.version
    return found


def verified(db: Any, home: Home) -> Steps[Verification]:
    """Compare balances with entries, those of a home.

    An account that was not posted to between two readings of its balance, by the versions of its items, must agree with the
    entries that were read meanwhile; of one that was, another look may tell.
    """
    before = yield from _balances(db, home)
    open_ones: set[tuple[str, str]] | None = None
    differs: set[str] = set()
    count = 0
    for _ in range(LOOKS):
        entries, count = yield from sums_of_entries(db, home)
        after = yield from _balances(db, home)
        looked_at = {*before, *entries, *after} if open_ones is None else open_ones
        open_ones = {at for at in looked_at if before.get(at, _NOTHING) != after.get(at, _NOTHING)}
        differs |= {at[0] for at in looked_at - open_ones if entries.get(at, 0) != after.get(at, _NOTHING)[0]}
        if not open_ones:
            break
        before = after
    unsettled = tuple(sorted({home.name(at[0]) for at in open_ones or ()}))
    return Verification(not differs, tuple(sorted(map(home.name, differs))), unsettled, count)
