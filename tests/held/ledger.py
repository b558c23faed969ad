"""Postings and reversals of the ledger, for the held network."""

from __future__ import annotations

import inspect
from typing import Any, Final

from typing_extensions import override

from dynamorm.errors import DynamORMError, InsufficientFunds, KeyReused
from dynamorm.payments import Ledger, Money, Posting
from dynamorm.payments.ledger import LedgerBalance, LedgerEntry
from tests.held.cases import Case
from tests.held.schedule import Schedule, Told
from tests.held.world import Foreign, Outside, _nothing
from tests.support.faces import _settling

Move = tuple[str, str, int]
"""From which account to which one, and how many cents: of the accounts of a key."""

FIRST: Final = 1_000
"""Cents that the account with a bound has at first, where it is rich."""


class Book:
    """The ledger of a face, called in the blocking way, with the accounts of one key.

    ``wallet`` has a lower bound, ``limited`` an upper one; ``cash`` and ``other`` have none, and were never opened.
    """

    def __init__(self, face: Any, key: str) -> None:
        self._loop = getattr(face, "_loop", None)
        self._key = key
        self.ledger = Ledger(getattr(face, "inner", face))

    def _done(self, found: Any) -> Any:
        if not inspect.isawaitable(found):
            return found
        assert self._loop is not None
        return self._loop.run(_settling(found, self._loop))  # so that an unknown outcome can be resolved

    def move(self, source: str, target: str, cents: int, id: str) -> Any:
        """Post one move under an id of this key."""
        money = Money.minor(cents, "EUR")
        legs = [Posting(f"{self._key}-{target}", money), Posting(f"{self._key}-{source}", -money)]
        return self._done(self.ledger.post(legs, id=f"{self._key}-{id}"))

    def reverse(self, id: str, by: str) -> Any:
        """Reverse a posting of this key."""
        return self._done(self.ledger.reverse(f"{self._key}-{id}", by=f"{self._key}-{by}"))

    def open(self, name: str, **bounds: Any) -> None:
        """Open an account of this key."""
        self._done(self.ledger.open(f"{self._key}-{name}", "EUR", **bounds))

    def balance(self, name: str) -> int:
        """The cents of an account of this key, 0 where nobody knows it."""
        try:
            found = self._done(self.ledger.balance(f"{self._key}-{name}", currency="EUR"))
        except DynamORMError:
            return 0
        return int(found.cents)


class Books(Outside):
    """Everybody else."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        for model in (LedgerBalance, LedgerEntry):
            self.db.tables.ensure(model)


def _start(out: Outside, db: Any, key: str, name: str) -> Any:
    """The accounts, and the book of the database under test. It has learned of them, or it will while it posts (``new``)."""
    book = Book(out.db, key)
    book.open("wallet", at_least=Money("0", "EUR"))
    book.open("limited", at_most=Money("20", "EUR"))
    if not name.startswith("poor"):
        book.move("cash", "wallet", FIRST, "start")
    if name.startswith("posted"):
        book.move("wallet", "cash", 500, "mine")
    mine = Book(db, key)
    if not name.endswith("new"):
        mine.open("wallet", at_least=Money("0", "EUR"))
        mine.open("limited", at_most=Money("20", "EUR"))
    return mine


def _foreign(source: str, target: str, cents: int, id: str) -> Foreign:
    def write(out: Outside, _: type[Any], key: str) -> None:
        try:
            Book(out.db, key).move(source, target, cents, id)
        except (InsufficientFunds, KeyReused):
            return  # the one under test came first

    return write


def _reverses(by: str) -> Foreign:
    def write(out: Outside, _: type[Any], key: str) -> None:
        try:
            Book(out.db, key).reverse("mine", by)
        except (InsufficientFunds, KeyReused):
            return

    return write


def _opens(out: Outside, _: type[Any], key: str) -> None:
    """Somebody opens the account that the posting takes for one that was not opened."""
    try:
        Book(out.db, key).open("other", at_most=Money("4", "EUR"))
    except DynamORMError:
        return  # it was posted to before


FOREIGN: Final[dict[str, Foreign]] = {
    "none": _nothing,
    "spends": _foreign("wallet", "cash", 800, "foreign"),
    "funds": _foreign("cash", "wallet", 800, "foreign"),
    "fills": _foreign("cash", "limited", 1_800, "foreign"),
    "same": _foreign("wallet", "cash", 500, "mine"),
    "another": _foreign("cash", "other", 1, "mine"),
    "reverses": _reverses("back"),
    "reverses otherwise": _reverses("otherwise"),
    "opens": _opens,
}
"""Postings of others meanwhile."""


def _post(source: str, target: str) -> Any:
    return lambda _, book, __: book.move(source, target, 500, "mine")


def _case(name: str, act: Any, starts: dict[str, tuple[str, ...]]) -> Case:
    return Case(name, LedgerEntry, "N", act, starts, _start, FOREIGN)


CASES: Final = (
    _case("post", _post("wallet", "cash"), {
        "rich": ("none", "spends", "same", "another"), "poor": ("none", "funds"), "rich, new": ("none", "spends"),
    }),
    _case("post_to_limit", _post("wallet", "limited"), {"rich": ("none", "fills", "spends")}),
    _case("post_to_new", _post("wallet", "other"), {"rich": ("none", "opens")}),
    _case("reverse", lambda _, book, __: book.reverse("mine", "back"), {
        "posted": ("none", "spends", "reverses", "reverses otherwise"),
    }),
)  # fmt: skip


class Kept(Schedule):
    """The same judge, who looks at the books, too: each posting once, sums constant, no account past its bound."""

    @override
    def wrong(self, told: Told, applied: int) -> str | None:
        return super().wrong(told, applied) or self._unbalanced(applied)

    @override
    def _gone(self) -> bool:
        """Whether somebody else has posted the very same, so that this one is a replay."""
        return self.kind == "same" or (self.case.name == "reverse" and self.kind == "reverses")

    def _unbalanced(self, applied: int) -> str | None:
        db, key = self.stage.outside.db, self.key
        ids = ("start", "mine", "foreign", "back", "otherwise")
        entries = db.batch_get(LedgerEntry, [f"{key}-{id}" for id in ids], consistent=True)
        sums: dict[str, int] = {}
        for entry in entries:
            for account, _, cents in () if entry is None else entry.legs:
                sums[account] = sums.get(account, 0) + cents
        if sum(sums.values()):
            return f"the entries sum to {sum(sums.values())}"
        book = Book(db, key)
        balances = {name: book.balance(name) for name in ("wallet", "limited", "cash", "other")}
        for name, cents in balances.items():
            if cents != sums.get(f"{key}-{name}", 0):
                return f"the balance of {name} is {cents}, and its entries sum to {sums.get(f'{key}-{name}', 0)}"
        if balances["wallet"] < 0 or balances["limited"] > 2_000:
            return f"an account is past its bound: {balances}"
        mine = entries[ids.index("back" if self.case.name == "reverse" else "mine")]
        if applied and mine is None:
            return "it was applied, and there is no posting"
        if mine is not None and not applied and not self._is_of_others():
            return "there is a posting that nobody has made"
        return None

    def _is_of_others(self) -> bool:
        return f"<{self.kind}>" in self.events and self.kind in {"same", "another", "reverses"}
