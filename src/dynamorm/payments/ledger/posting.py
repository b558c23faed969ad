"""`Ledger`: double-entry postings, each in one transaction with the balances it changes, which keep their bounds."""

from __future__ import annotations

import random
from collections.abc import Coroutine, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, overload

from dynamorm.errors import (
    AlreadyExists,
    DynamORMError,
    InsufficientFunds,
    KeyReused,
    NotFound,
    Retryable,
    TransactionCancelled,
    ValidationError,
)

from ..homes import Home, at_home, at_home_as_overloaded
from ..money import Money
from ..two_faces import D_co, OfDatabase, OneToken, Steps
from .items import (
    BETWEEN,
    SHARDS,
    LedgerBalance,
    LedgerEntry,
    Legs,
    Posted,
    Posting,
    TrialBalance,
    Verification,
    check_account,
    check_id,
    joined,
)
from .reading import balances_of, sums_of_entries, verified

if TYPE_CHECKING:
    from dynamorm import DB, AsyncDB

TRIES: Final = 24
"""How often a posting is tried again while others post to the same accounts. The library itself tries each a few times."""


class Ledger(OfDatabase[D_co]):
    """Accounts and what moves between them. Every posting sums to zero in each currency, so that nothing appears or vanishes.

    Above zero is a debit, money into the account. An account that was never opened has no bounds; `open` gives it some, and
    no posting leads past them. ``db`` may be of either face: of an `AsyncDB` the methods are awaited. The tables are made by
    `ensure_tables`.

    A view of a tenant has a ledger of its own, which no other view reads or posts to. A view of all tenants has their trial
    balance and `verify`, and posts nothing.

    Example::

        ledger = Ledger(db)
        ledger.open("customer:1", "EUR", at_least=Money("0", "EUR"))
        ledger.post([Posting("cash", Money("10", "EUR")), Posting("sales", Money("-10", "EUR"))], id="order-1")
        ledger.balance("cash")  # 10.00 EUR
    """

    def __init__(self, db: D_co) -> None:
        super().__init__(db)
        self._known: dict[
            tuple[str, str], Any
        ] = {}  # accounts that were opened: what they were opened with never changes
        self._unopened: set[tuple[str, str]] = set()

    @at_home
    def open(
        self,
        home: Home,
        account: str,
        currency: str,
        *,
        at_least: Money | None = None,
        at_most: Money | None = None,
        shards: int | None = None,
    ) -> Steps[None]:
        """Open an account in a currency, with bounds that every posting keeps, or without any and with ``shards`` items for its balance.

        The same again does nothing. An account with bounds has one item, of which a partition takes some hundred postings a second;
        one without has 16, unless ``shards`` (1 to 64) says otherwise.

        Raises: ValidationError for other bounds than it was opened with, and for an account that was posted to before it was
        to have bounds.

        Example: ``ledger.open("customer:1", "EUR", at_least=Money("0", "EUR"))``
        """
        made = _opened(account, currency, at_least, at_most, shards)
        made.pk = key = home.key(account)
        closed = [LedgerBalance(pk=_shard(key, at), currency=currency, closed=True) for at in range(SHARDS)]

        def fill(tx: Any) -> None:
            for item in (made, *closed) if made.is_bounded else (made,):
                tx.create(item)

        token = OneToken(self.db)
        try:
            yield from token.transacted(fill)
        except (TransactionCancelled, Retryable) as error:
            reasons = getattr(error, "reasons", ())
            is_there = any(isinstance(getattr(reason, "error", None), AlreadyExists) for reason in reasons)
            if not is_there and not (yield from token.spent(error, LedgerBalance, key, currency)):
                raise
        else:
            self._known[key, currency] = made
            return
        stored: Any = yield self.db.get(LedgerBalance, key, currency, consistent=True)
        if stored is None:
            raise ValidationError(
                f"the account {account!r} was posted to before it was to have bounds, so that it has none: open another account"
                " with bounds, and post its balance there"
            )
        if (stored.at_least, stored.at_most, stored.shards) != (made.at_least, made.at_most, made.shards):
            raise ValidationError(
                f"the account {account!r} was opened otherwise, and stays as it is: open it with the bounds and shards that"
                " it has, or open another account"
            )
        self._known[key, currency] = stored

    @at_home
    def post(self, home: Home, postings: Iterable[Posting | tuple[str, Money]], *, id: str) -> Steps[Posted]:
        """Post: all legs, or none. The same ``id`` with the same legs, in whatever order, is a replay.

        Raises: InsufficientFunds where a bound would be broken, and never for a conflict with others; KeyReused for an id with other
        legs; ValidationError for legs that do not sum to zero in each currency, and for more than 45 accounts.

        Example: ``ledger.post([Posting("cash", ten), Posting("sales", -ten)], id="order-1")``
        """
        check_id(id)
        return (yield from self._post(home, joined(postings), id, None))

    @at_home
    def reverse(self, home: Home, id: str, *, by: str) -> Steps[Posted]:
        """Post the opposite of a posting, under the id ``by``. A posting is reversed once; the same again is a replay.

        Raises: NotFound; KeyReused for one that was reversed by another id; as `post`.

        Example: ``ledger.reverse("order-1", by="order-1-cancelled")``
        """
        check_id(id)
        check_id(by)
        entry: Any = yield self.db.get(LedgerEntry, home.key(id), consistent=True)
        if entry is None:
            raise NotFound(f"there is no posting {id!r}")
        legs = tuple((account, currency, -cents) for account, currency, cents in entry.legs)
        return (yield from self._post(home, legs, by, id))

    @overload
    def balance(self: OfDatabase[DB], account: str, *, currency: str) -> Money: ...
    @overload
    def balance(self: OfDatabase[DB], account: str, *, currency: None = None) -> Money | dict[str, Money]: ...
    @overload
    def balance(self: OfDatabase[AsyncDB], account: str, *, currency: str) -> Coroutine[Any, Any, Money]: ...
    @overload
    def balance(
        self: OfDatabase[AsyncDB], account: str, *, currency: None = None
    ) -> Coroutine[Any, Any, Money | dict[str, Money]]: ...
    @at_home_as_overloaded
    def balance(self, home: Home, account: str, *, currency: str | None = None) -> Steps[Money | dict[str, Money]]:
        """The balance of an account: `Money`, or a dict of it by currency where there are several. All of its shards at one moment.

        Raises: NotFound for an account that was neither opened nor posted to.

        Example: ``ledger.balance("cash", currency="EUR")``
        """
        check_account(account)
        found: dict[str, Money] = yield from balances_of(self.db, home.key(account), currency)
        if not found:
            raise NotFound(
                f"the account {account!r} was neither opened nor posted to: is it written so, and of this tenant?"
            )
        return next(iter(found.values())) if len(found) == 1 else found

    @at_home
    def trial_balance(self, home: Home) -> Steps[TrialBalance]:
        """The sum of the legs of every posting up to now, by currency: zero in each, or something is wrong (``ok``).

        Postings are read whole, and each sums to zero, so that it is right while others post. It scans the table: of a view of a
        tenant it gives that tenant's, of one of all tenants everything.

        Example: ``assert ledger.trial_balance().ok``
        """
        at = datetime.now(UTC)
        sums, count = yield from sums_of_entries(self.db, home)
        totals: dict[str, int] = {}
        for (_, currency), cents in sums.items():
            totals[currency] = totals.get(currency, 0) + cents
        by_currency = {code: Money.minor(cents, code, historic=True, wide=True) for code, cents in totals.items()}
        return TrialBalance(by_currency, not any(totals.values()), at, count)

    @at_home
    def verify(self, home: Home) -> Steps[Verification]:
        """Compare the balance of each account with the sum of its legs. It scans both tables.

        Of a view of all tenants an account is named by its key, behind its tenant.

        Example: ``assert not ledger.verify().differs``
        """
        return (yield from verified(self.db, home))

    # ------------------------------------------------------------------------------------------------------------- posting

    def _post(self, home: Home, legs: Legs, id: str, reverses: str | None) -> Steps[Posted]:
        """Post, by tries that have one token: none of them is applied behind an error that says that nothing was."""
        token = OneToken(self.db)
        try:
            return (yield from self._tried(token, home, legs, id, reverses))
        except KeyReused:
            raise  # what was posted stays: no try can be applied any more
        except (TransactionCancelled, InsufficientFunds, Retryable) as error:
            if not (yield from token.spent(error, LedgerEntry, home.key(id))):
                raise
        return (yield from self._posted(home, id))

    def _tried(self, token: OneToken, home: Home, legs: Legs, id: str, reverses: str | None) -> Steps[Posted]:
        for attempt in range(TRIES):
            yield from self._learn(home, legs)
            entry = LedgerEntry(pk=home.key(id), legs=list(legs), reverses=reverses)
            try:
                if not (yield from token.transacted(partial(self._fill, home=home, entry=entry, legs=legs))):
                    return (yield from self._posted(home, id))
            except TransactionCancelled as error:
                taken = next(
                    (reason for reason in error.reasons if reason is not None and reason.label == "posting"), None
                )
                if taken is not None and isinstance(taken.error, AlreadyExists):
                    return _replayed(taken.item, legs, id, reverses)
                self._judge(error, home, legs, last=attempt == TRIES - 1)
            else:
                return Posted(id, entry.at, replayed=False)
        raise AssertionError  # the last attempt has returned or raised

    def _posted(self, home: Home, id: str) -> Steps[Posted]:
        """What this call has posted by a try that had counted as refused."""
        entry: Any = yield self.db.require(LedgerEntry, home.key(id), consistent=True)
        return Posted(id, entry.at, replayed=False)

    def _learn(self, home: Home, legs: Legs) -> Steps[None]:
        """Find out which of the accounts were opened, and how."""
        places = [_place(home, leg) for leg in legs]
        new = [place for place in places if place not in self._known and place not in self._unopened]
        if not new:
            return
        found: list[Any] = yield self.db.batch_get(LedgerBalance, new, consistent=True)
        for at, item in zip(new, found, strict=True):
            if item is None:
                self._unopened.add(at)
            else:
                self._known[at] = item

    def _fill(self, tx: Any, *, home: Home, entry: LedgerEntry, legs: Legs) -> None:
        """Write down what a posting changes."""
        tx.create(entry, label="posting")
        if entry.reverses is not None:
            mark = LedgerEntry(pk=home.key(_mark(entry.reverses)), kind="reversal", reverses=home.name(entry.pk))
            tx.create(mark, label="reversal")
        paths: Any = LedgerBalance
        for account, currency, cents in legs:
            key = home.key(account)
            head = self._known.get((key, currency))
            change = paths.balance.add(cents)
            if head is not None and head.is_bounded:
                tx.update(LedgerBalance, key, currency, change, condition=_within(head, cents), label=account)
                continue
            count = SHARDS if head is None else head.shards or SHARDS
            place = _shard(key, random.randrange(count))  # noqa: S311 - it spreads load, and guards nothing
            free = ~paths.closed.in_([True])  # true of a shard that is not there, too
            tx.update(LedgerBalance, place, currency, change, condition=free, upsert=True, label=account)

    def _judge(self, error: TransactionCancelled, home: Home, legs: Legs, *, last: bool) -> None:
        """Go on where a refused posting may be right when it is tried again. Raises: what it was refused for."""
        reasons = [reason for reason in error.reasons if reason is not None]
        for reason in reasons:
            if reason.label == "reversal" and isinstance(reason.error, AlreadyExists):
                raise KeyReused(
                    "the posting was reversed already, by another id: it is reversed once, and the same id again is a replay"
                ) from error
        passing = not reasons
        for leg in legs:
            place = _place(home, leg)
            head = self._known.get(place)
            if not any(_is_of(reason, leg, opened=head is not None) for reason in reasons):
                continue
            if head is not None and head.is_bounded:
                raise InsufficientFunds(
                    f"the posting would lead the account {leg[0]!r} past its bound",
                    account=leg[0],
                    operation=error.operation,
                ) from error
            self._unopened.discard(place)  # it was opened since
            passing = True
        conflicts = any(reason.code == "TransactionConflict" for reason in reasons)
        if last or not (passing or conflicts):
            raise error


def _place(home: Home, leg: tuple[str, str, int]) -> tuple[str, str]:
    """The key of the account, and the currency, of a leg."""
    return home.key(leg[0]), leg[1]


def _is_of(reason: Any, leg: tuple[str, str, int], *, opened: bool) -> bool:
    """Whether a condition on the balance that a leg changes has failed."""
    if reason.code != "ConditionalCheckFailed" or reason.label != leg[0]:
        return False
    item = reason.item
    return item is None or (item.currency == leg[1] and (item.closed or opened))


def _within(head: Any, cents: int) -> Any:
    """The condition that a balance stays within its bounds. A posting away from a broken bound is never refused for it."""
    paths: Any = LedgerBalance
    condition = paths.opened.in_([True])
    if head.at_least is not None and cents < 0:
        condition &= paths.balance >= head.at_least - cents
    if head.at_most is not None and cents > 0:
        condition &= paths.balance <= head.at_most - cents
    return condition


def _replayed(stored: Any, legs: Legs, id: str, reverses: str | None) -> Posted:
    """What was posted before under the id. Raises: KeyReused for other legs."""
    if stored is None:
        raise DynamORMError(
            f"the posting {id!r} exists, and could not be read: post it again under the same id, which makes it no second time"
        )
    if tuple(tuple(leg) for leg in stored.legs) != legs or stored.reverses != reverses:
        raise KeyReused(f"the id {id!r} is that of another posting: a new posting has a new id")
    return Posted(id, stored.at, replayed=True)


def _opened(
    account: str, currency: str, at_least: Money | None, at_most: Money | None, shards: int | None
) -> LedgerBalance:
    """The item of an account that is opened. Raises: ValidationError."""
    check_account(account)
    Money.zero(currency)  # refuses what is no currency
    bounds: tuple[Any, ...] = (at_least, at_most)
    for bound in bounds:
        if bound is not None and (not isinstance(bound, Money) or bound.currency != currency):
            raise ValidationError(
                f"a bound is Money of the account's currency: Money('0', {currency!r})", field="at_least"
            )
    bounded = at_least is not None or at_most is not None
    if shards is not None and (type(shards) is not int or not 1 <= shards <= 64 or (bounded and shards != 1)):
        raise ValidationError("shards is a number from 1 to 64, and 1 for an account with bounds", field="shards")
    low, high = (None if bound is None else bound.cents for bound in (at_least, at_most))
    if (low or 0) > 0 or (high or 0) < 0:
        raise ValidationError(
            "a new account holds nothing, so its bounds are at most 0 and at least 0", field="at_least"
        )
    return LedgerBalance(
        pk=account,
        currency=currency,
        opened=True,
        at_least=low,
        at_most=high,
        shards=None if bounded else shards or SHARDS,
    )


def _shard(account: str, at: int) -> str:
    return f"{account}{BETWEEN}{at}"


def _mark(id: str) -> str:
    """The key of the mark that a posting was reversed."""
    return f"{id}{BETWEEN}reversed"
