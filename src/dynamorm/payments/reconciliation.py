"""`Reconciliation`: the payments of a settlement date beside the lines of a provider's file, and what differs."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from datetime import date as Date  # noqa: N812 - `date` is the name of the argument
from datetime import datetime, time, timedelta, tzinfo
from enum import Enum
from typing import Any, Final, Literal, NamedTuple, TextIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dynamorm import schema_of
from dynamorm.errors import ValidationError

from .money import Money
from .settlement_lines import Line, read_lines
from .states import Status
from .two_faces import Pages, Steps, on_both

IDLE: Final = frozenset({Status.PENDING, Status.AUTHORIZED, Status.FAILED, Status.VOIDED})
"""States in which no money is paid out: a line of such a payment differs, and none is missing."""


class Difference(NamedTuple):
    """A payment and its line that do not agree: what is stored (``here``), and what the file says (``there``)."""

    id: str
    here: Any
    there: Any


class Totals(NamedTuple):
    """The sums of one currency, of the payments and of the lines of the file, duplicates among them."""

    here: Money
    there: Money


class Report(NamedTuple):
    """What a reconciliation has found. Of the same file and the same payments it is always the same.

    ``matched`` are ids; ``missing_here`` lines without a payment, ``missing_there`` payments without a line; ``duplicates`` ids
    that are in the file more than once.
    """

    matched: tuple[str, ...]
    missing_here: tuple[Line, ...]
    missing_there: tuple[Line, ...]
    amount_differs: tuple[Difference, ...]
    currency_differs: tuple[Difference, ...]
    duplicates: tuple[str, ...]
    status_differs: tuple[Difference, ...]
    totals: dict[str, Totals]

    @property
    def ok(self) -> bool:
        """Whether everything agrees."""
        return not any(self[1:7])

    def write_csv(self, file: TextIO) -> None:
        """Write what differs, a row each. A cell that a spreadsheet would take for a formula gets a quote in front.

        Example: ``report.write_csv(open("differences.csv", "w", newline=""))``
        """
        rows = csv.writer(file)
        rows.writerow(["what", "id", "here", "there"])
        for line in self.missing_here:
            rows.writerow(_cells("missing here", line.id, "", line.money))
        for line in self.missing_there:
            rows.writerow(_cells("missing there", line.id, line.money, ""))
        for what in ("amount", "currency", "status"):
            for found in getattr(self, f"{what}_differs"):
                rows.writerow(_cells(f"{what} differs", *found))
        for id in self.duplicates:
            rows.writerow(_cells("duplicate", id, "", ""))


class Reconciliation:
    """Compares the payments of a model with the files that a provider sends.

    The model has ``amount`` in minor units and ``currency``, as `PaymentMixin` does. ``db`` may be of either face.

    Example::

        with open("settlement.csv", newline="") as lines:
            report = Reconciliation(db, Payment).run(date(2024, 1, 2), lines, tz="Europe/Riga", amounts="major")
    """

    def __init__(self, db: Any, model: type[Any]) -> None:
        self.db: Any = db
        self._model: Any = model
        schema = schema_of(model)
        for name in ("amount", "currency"):
            if name not in schema.fields:
                raise ValidationError(f"{schema.name} has no field {name!r}, which is compared", field=name)
        self._schema = schema

    @on_both
    def run(
        self,
        date: Date,
        lines: Iterable[str] | Iterable[Mapping[str, Any]],
        *,
        tz: str | tzinfo,
        columns: Mapping[str, str] | None = None,
        amounts: Literal["minor", "major"] = "minor",
        statuses: Mapping[str, Any] | None = None,
        field: str = "settlement_date",
        match: str | None = None,
    ) -> Steps[Report]:
        """Compare the payments that were settled on a day with the lines of a file.

        The amount of a payment is what was captured of it, where its model knows that. Of one that is pending, authorized, failed or voided
        no line is expected, and one that is there is among ``status_differs``.

        Args:
            date: the settlement date.
            lines: those of a CSV file with a row of names at its top, or dicts.
            tz: the zone in which the day is meant, a name or a tzinfo: it has no default, for providers differ.
            columns: how the file calls ``id``, ``amount``, ``currency``, and where it has them ``status`` and ``settled_at``, a time in
                ISO 8601; lines of another day in ``tz`` are left out.
            amounts: whether amounts are in minor or in major units; they are texts, or ints, and never floats.
            statuses: what the provider's states are called here.
            field: the field of the model that has the settlement date, or a time.
            match: the field that the file's ``id`` is; the partition key if left out.

        Raises: ValidationError, which names the line, for one that cannot be read: nothing is compared then.

        Example: ``report.ok``, ``report.missing_there``
        """
        zone = _zone(tz)
        if type(date) is not Date:
            raise ValidationError("the settlement date is a date, without a time", field="date")
        known = self._schema.fields
        if field not in known:
            raise ValidationError(f"{self._schema.name} has no field {field!r}", field=field)
        key = self._schema.key
        match = match or (key.partition if key is not None else "")
        there = read_lines(lines, date, zone, columns, amounts, statuses)
        here: dict[str, Line] = {}
        idle: dict[str, Line] = {}
        pages = Pages(self.db, self._on(field, date, zone))
        while (page := (yield from pages.next())) is not None:
            for payment in page.items:
                line = _line_of(payment, match)
                (idle if getattr(payment, "status", None) in IDLE else here)[line.id] = line
        return _compared(here, idle, there)

    def _on(self, field: str, date: Date, zone: tzinfo) -> Any:
        """The query for the payments of a day: by the date, or by a time within the day of the zone."""
        path = getattr(self._model, field)
        query = self.db.model(self._model)
        if _TIME.search(str(self._schema.fields[field].annotation)):
            begin, end = (datetime.combine(day, time.min, zone) for day in (date, date + timedelta(days=1)))
            return query.allow_scan().filter((path >= begin) & (path < end))
        return query.where(path == date)


def _line_of(payment: Any, match: str) -> Line:
    """A payment as a line: what was captured of it, where that is known."""
    status = getattr(payment, "status", None)
    cents = getattr(payment, "captured", 0) or payment.amount
    money = Money.minor(cents, payment.currency, historic=True, wide=True)
    return Line(str(getattr(payment, match)), money, status.value if isinstance(status, Enum) else status)


def _compared(here: dict[str, Line], idle: dict[str, Line], there: list[Line]) -> Report:
    """What differs, in the order of ids. ``idle`` are payments of which no money is to come: a line of one differs."""
    first: dict[str, Line] = {}
    duplicates: set[str] = set()
    for line in sorted(there, key=lambda line: (line.id, line.money.currency, line.money.cents)):
        if line.id in first:
            duplicates.add(line.id)
        else:
            first[line.id] = line
    expected = here
    here = here | {id: line for id, line in idle.items() if id in first}
    both = sorted(here.keys() & first.keys())
    pairs = [(id, here[id], first[id]) for id in both]
    currency = [(id, ours, theirs) for id, ours, theirs in pairs if ours.money.currency != theirs.money.currency]
    amount = [
        (id, ours, theirs)
        for id, ours, theirs in pairs
        if ours.money.currency == theirs.money.currency and ours.money != theirs.money
    ]
    status = [
        (id, ours, theirs)
        for id, ours, theirs in pairs
        if (theirs.status is not None or id in idle) and ours.status != theirs.status
    ]
    wrong = {id for id, _, _ in (*currency, *amount, *status)}
    return Report(
        matched=tuple(id for id in both if id not in wrong),
        missing_here=tuple(first[id] for id in sorted(first.keys() - here.keys())),
        missing_there=tuple(here[id] for id in sorted(here.keys() - first.keys())),
        amount_differs=tuple(Difference(id, ours.money, theirs.money) for id, ours, theirs in amount),
        currency_differs=tuple(Difference(id, ours.money, theirs.money) for id, ours, theirs in currency),
        duplicates=tuple(sorted(duplicates)),
        status_differs=tuple(
            Difference(id, ours.status, theirs.status or Status.SETTLED.value) for id, ours, theirs in status
        ),
        totals=_totals(expected.values(), there),
    )


def _totals(here: Iterable[Line], there: Iterable[Line]) -> dict[str, Totals]:
    sums: dict[str, list[int]] = {}
    for side, lines in enumerate((here, there)):
        for line in lines:
            sums.setdefault(line.money.currency, [0, 0])[side] += line.money.cents
    return {
        code: Totals(*(Money.minor(cents, code, historic=True, wide=True) for cents in both))
        for code, both in sorted(sums.items())
    }


_TIME: Final = re.compile(r"(?:^|[^.\w])datetime(?!\.date\b)")
"""What the annotation of a time has, be it a text, and that of a date has not."""

_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
"""What begins a formula in a spreadsheet. Source: https://owasp.org/www-community/attacks/CSV_Injection"""


def _cells(*values: object) -> list[str]:
    return [f"'{text}" if text.startswith(_FORMULAS) else text for text in map(_text, values)]


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _zone(tz: Any) -> tzinfo:
    """The zone of a day. Raises: ValidationError."""
    if isinstance(tz, tzinfo):
        return tz
    try:
        return ZoneInfo(tz)
    except (TypeError, ValueError, OSError, ZoneInfoNotFoundError):
        pass
    raise ValidationError("tz is the zone of the settlement date, such as 'Europe/Riga' or 'UTC'", field="tz")
