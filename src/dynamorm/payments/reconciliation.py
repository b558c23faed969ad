"""`Reconciliation`: the payments of a settlement date beside the lines of a provider's file, and what differs."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date as Date  # noqa: N812 - `date` is the name of the argument
from datetime import datetime, time, timedelta, tzinfo
from enum import Enum
from typing import Any, Final, Literal, NamedTuple, TextIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dynamorm import schema_of
from dynamorm.errors import TenantError, ValidationError

from .homes import TENANT
from .money import Money
from .settlement_lines import Line, read_lines
from .states import Status
from .two_faces import D_co, OfDatabase, Pages, Steps, method_on_both

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

    ``matched`` are ids; ``missing_here`` lines without a payment, ``missing_there`` payments without a line, and those that have
    nothing in the field that is compared; ``duplicates`` ids that are in the file more than once; ``duplicates_here`` payments of
    an id that another payment has, too, of the same tenant: what was charged twice. ``Line.key`` tells which payment it is.
    """

    matched: tuple[str, ...]
    missing_here: tuple[Line, ...]
    missing_there: tuple[Line, ...]
    amount_differs: tuple[Difference, ...]
    currency_differs: tuple[Difference, ...]
    duplicates: tuple[str, ...]
    status_differs: tuple[Difference, ...]
    totals: dict[str, Totals]
    duplicates_here: tuple[Line, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything agrees."""
        return not any((*self[1:7], self.duplicates_here))

    def write_csv(self, file: TextIO) -> None:
        """Write what differs, a row each. A cell that a spreadsheet would take for a formula gets a quote in front.

        Example: ``report.write_csv(open("differences.csv", "w", newline=""))``
        """
        rows = csv.writer(file)
        rows.writerow(["what", "id", "here", "there"])
        for line in self.missing_here:
            rows.writerow(_cells("missing here", line.id, "", line.money))
        for line in self.missing_there:
            rows.writerow(_cells("missing there", line.id or line.key, line.money, ""))
        for line in self.duplicates_here:
            rows.writerow(_cells("duplicate here", line.key, line.money, ""))
        for what in ("amount", "currency", "status"):
            for found in getattr(self, f"{what}_differs"):
                rows.writerow(_cells(f"{what} differs", *found))
        for id in self.duplicates:
            rows.writerow(_cells("duplicate", id, "", ""))


class Reconciliation(OfDatabase[D_co]):
    """Compares the payments of a model with the files that a provider sends.

    The model has ``amount`` in minor units and ``currency``, as `PaymentMixin` does. ``db`` may be of either face.

    Example::

        with open("settlement.csv", newline="") as lines:
            report = Reconciliation(db, Payment).run(date(2024, 1, 2), lines, tz="Europe/Riga", amounts="major")
    """

    def __init__(self, db: D_co, model: type[Any]) -> None:
        super().__init__(db)
        self._model: Any = model
        schema = schema_of(model)
        for name in ("amount", "currency"):
            if name not in schema.fields:
                raise ValidationError(
                    f"{schema.name} has no field {name!r}, which is compared: PaymentMixin has it", field=name
                )
        self._schema = schema
        self._tenant = next((name for name, field in schema.fields.items() if _is_tenant(field)), None)

    @method_on_both
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
            match: the field that the file's ``id`` is. Left out it is the key: of a model with a sort key both parts, as ``"m1/p1"``.

        A view of a tenant needs an index of its tenants and days, ``gsi("by-tenant-day", partition="tenant_id", sort="settlement_date")``;
        in a view of all tenants the payments of two tenants are two, also where they have one id.

        Raises: ValidationError, which names the line, for one that cannot be read: nothing is compared then; TenantError.

        Example: ``report.ok``, ``report.missing_there``
        """
        zone = _zone(tz)
        if type(date) is not Date:
            raise ValidationError("the settlement date is a date, without a time", field="date")
        known = self._schema.fields
        if field not in known:
            raise ValidationError(
                f"{self._schema.name} has no field {field!r}: field= names that of the settlement date", field=field
            )
        if match is not None and match not in known:
            raise ValidationError(
                f"{self._schema.name} has no field {match!r}: match= names that which is in the file", field="match"
            )
        there = read_lines(lines, date, zone, columns, amounts, statuses)
        here: list[_Payment] = []
        try:
            pages = Pages(self.db, self._on(field, date, zone))
            while (page := (yield from pages.next())) is not None:
                here += [self._payment(payment, match) for payment in page.items]
        except TenantError as error:
            raise error.about(
                f"Reconciliation of {self._schema.name} in a view of a tenant reads an index of its tenants and days,"
                f' gsi("by-tenant-day", partition="{self._tenant}", sort="{field}"); or use db.all_tenants(reason=...)'
            ) from None
        return _compared(here, there)

    def _payment(self, payment: Any, match: str | None) -> _Payment:
        """A payment as a line: what was captured of it, where that is known."""
        status = getattr(payment, "status", None)
        cents = getattr(payment, "captured", 0) or payment.amount
        money = Money.minor(cents, payment.currency, historic=True, wide=True)
        key = self._schema.key
        names = () if key is None else (key.partition, key.sort) if key.sort else (key.partition,)
        own = "/".join(str(getattr(payment, name)) for name in names)
        value = own if match is None else getattr(payment, match)
        tenant = None if self._tenant is None else getattr(payment, self._tenant)
        shown = own if tenant is None else f"{tenant}/{own}"
        line = Line("" if value is None else str(value), money, _state(status), shown)
        return _Payment(line, tenant, is_idle=status in IDLE)

    def _on(self, field: str, date: Date, zone: tzinfo) -> Any:
        """The query for the payments of a day: by the date, or by a time within the day of the zone."""
        path = getattr(self._model, field)
        query = self.db.model(self._model)
        if _TIME.search(str(self._schema.fields[field].annotation)):
            begin, end = (datetime.combine(day, time.min, zone) for day in (date, date + timedelta(days=1)))
            return query.allow_scan().filter((path >= begin) & (path < end))
        return query.where(path == date)


class _Payment(NamedTuple):
    """A payment of the day, as a line, and whose it is. Of one that ``is_idle`` no money is to come: a line of one differs."""

    line: Line
    tenant: str | None
    is_idle: bool


def _state(status: Any) -> Any:
    return status.value if isinstance(status, Enum) else status


def _is_tenant(field: Any) -> bool:
    return any(getattr(option, "scope_entry", None) == TENANT for option in field.options)


class _Paired:
    """What is found of the payments and the lines, id by id."""

    def __init__(self) -> None:
        self.pairs: list[tuple[_Payment, Line]] = []
        self.missing_here: list[Line] = []
        self.missing_there: list[Line] = []
        self.duplicates: list[str] = []
        self.duplicates_here: list[Line] = []

    def add(self, payments: list[_Payment], lines: list[Line]) -> None:
        """Those of one id, in order. Several payments are a double charge, but for those of several tenants, which are paired one by one."""
        heads: dict[str | None, _Payment] = {}
        for one in payments:
            if not one.is_idle and one.tenant in heads and not heads[one.tenant].is_idle:
                self.duplicates_here.append(one.line)
            elif one.tenant not in heads or not one.is_idle:
                heads[one.tenant] = one  # one that pays counts for one that does not, such as a failed attempt
        left, open_ones = list(lines), list(heads.values())
        for agrees in (True, False):
            for one in sorted(open_ones, key=lambda payment: payment.is_idle):
                line = next((line for line in left if not agrees or line.money == one.line.money), None)
                if line is not None:
                    self.pairs.append((one, line))
                    left.remove(line)
                    open_ones.remove(one)
        self.missing_there += [one.line for one in open_ones if not one.is_idle]
        self.missing_here += left[:1] if not heads else []
        self.duplicates += [lines[0].id] if len(lines) > max(1, len(heads)) else []


def _by_id(lines: Iterable[Any], id_of: Callable[[Any], str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for line in lines:
        found.setdefault(id_of(line), []).append(line)
    return found


def _compared(here: list[_Payment], there: list[Line]) -> Report:
    """What differs, in the order of ids."""
    ours = _by_id(sorted(here, key=lambda one: (one.line.id, one.line.key or "")), lambda one: one.line.id)
    theirs = _by_id(
        sorted(there, key=lambda line: (line.id, line.money.currency, line.money.cents)), lambda line: line.id
    )
    paired = _Paired()
    for one in ours.pop("", ()):  # nothing is known of it that a file could name
        paired.missing_there += [] if one.is_idle else [one.line]
    for id in sorted(ours.keys() | theirs.keys()):
        paired.add(ours.get(id, []), theirs.get(id, []))
    matched, amount, currency, status = [], [], [], []
    for payment, line in paired.pairs:
        mine, id = payment.line, line.id
        agrees = mine.money == line.money
        if mine.money.currency != line.money.currency:
            currency.append(Difference(id, mine.money, line.money))
        elif not agrees:
            amount.append(Difference(id, mine.money, line.money))
        if (line.status is not None or payment.is_idle) and mine.status != line.status:
            status.append(Difference(id, mine.status, line.status or Status.SETTLED.value))
            agrees = False
        if agrees:
            matched.append(id)
    return Report(
        matched=tuple(matched),
        missing_here=tuple(paired.missing_here),
        missing_there=tuple(paired.missing_there),
        amount_differs=tuple(amount),
        currency_differs=tuple(currency),
        duplicates=tuple(paired.duplicates),
        status_differs=tuple(status),
        totals=_totals((one.line for one in here if not one.is_idle), there),
        duplicates_here=tuple(paired.duplicates_here),
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
