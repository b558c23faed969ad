"""The lines of a provider's settlement file, read with care: amounts are texts, and a line that cannot be read is named."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date as Date  # noqa: N812 - `date` is the name of an argument
from datetime import datetime, tzinfo
from typing import Any, Final, NamedTuple

from dynamorm.errors import ValidationError

from .money import Money


class Line(NamedTuple):
    """A payment, as a file or a table has it: its id, its money, and its state where that is told.

    ``key`` is that of a payment that is stored, ``"m1/p1"`` of one with a sort key, behind its tenant where it has one.
    """

    id: str
    money: Money
    status: str | None = None
    key: str | None = None


NEEDED: Final = ("id", "amount", "currency")
OPTIONAL: Final = ("status", "settled_at")
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,40}", re.ASCII)


def read_lines(
    lines: Any,
    date: Date,
    zone: tzinfo,
    columns: Mapping[str, str] | None,
    amounts: str,
    statuses: Mapping[str, Any] | None,
) -> list[Line]:
    """The lines of a day. Raises: ValidationError, which names the line, and none of its values."""
    if amounts not in ("minor", "major"):
        raise ValidationError("amounts is 'minor' or 'major'", field="amounts")
    names = _names(columns)
    found = []
    for number, row in _rows(lines):
        try:
            settled_at = row.get(names["settled_at"])
            if settled_at and _day(settled_at, zone) != date:
                continue
            found.append(_line(row, names, amounts, statuses))
        except ValidationError as error:
            raise error.about(f"line {number}") from None
    return found


def _names(columns: Mapping[str, str] | None) -> dict[str, str]:
    given = dict(columns or {})
    if unknown := sorted(given.keys() - {*NEEDED, *OPTIONAL}):
        raise ValidationError(
            f"columns names {unknown[0]!r}: known are {', '.join((*NEEDED, *OPTIONAL))}", field="columns"
        )
    return {name: name for name in (*NEEDED, *OPTIONAL)} | given


def _rows(lines: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows with their numbers, of CSV or of dicts."""
    if isinstance(lines, (str, bytes)) or not isinstance(lines, Iterable):
        raise ValidationError("lines are those of an open CSV file, or dicts: open(path, newline='')", field="lines")
    each = iter(lines)
    first = next(each, None)
    if first is None:
        return
    if isinstance(first, Mapping):
        number = 1
        yield number, first
        for row in each:
            number += 1
            yield number, row
        return
    if not isinstance(first, str):
        raise ValidationError("lines are texts: open the file as text, open(path, newline='')", field="lines")
    reader = csv.DictReader(_chained(first.removeprefix("\ufeff"), each), strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise ValidationError(f"line {reader.line_num}: it has not as many cells as the row of names")
            yield reader.line_num, row
    except csv.Error:
        raise ValidationError(f"line {reader.line_num + 1}: it is no CSV") from None


def _chained(first: str, others: Iterator[str]) -> Iterator[str]:
    yield first
    yield from others


def _line(row: Mapping[str, Any], names: dict[str, str], amounts: str, statuses: Mapping[str, Any] | None) -> Line:
    values = {}
    for name in NEEDED:
        value = row.get(names[name])
        if value is None or value == "":
            raise ValidationError(f"it has no {names[name]!r}: columns= says how the file calls {name}", field=name)
        values[name] = value.strip() if isinstance(value, str) else value
    amount = values["amount"]
    if isinstance(amount, (float, bool)):
        raise ValidationError("an amount is a text, or an int, and never a float", field="amount")
    if amounts == "major":
        money = Money(amount, values["currency"], historic=True)
    else:
        if isinstance(amount, str):
            if _WHOLE.fullmatch(amount) is None:
                raise ValidationError(
                    "an amount in minor units is a whole number; amounts='major' is for others", field="amount"
                )
            amount = int(amount)
        money = Money.minor(amount, values["currency"], historic=True)
    status = row.get(names["status"]) or None
    if status is not None and statuses is not None:
        if status not in statuses:
            raise ValidationError(
                "its status is none of statuses: add it there, with the state that it means", field="status"
            )
        status = statuses[status]
    return Line(str(values["id"]), money, None if status is None else str(getattr(status, "value", status)))


def _day(text: Any, zone: tzinfo) -> Date:
    """The day of a time in a zone; a time without a zone is of that one. Raises: ValidationError."""
    try:
        when = text if isinstance(text, datetime) else datetime.fromisoformat(text)
    except (TypeError, ValueError):
        pass
    else:
        return (when if when.tzinfo is None else when.astimezone(zone)).date()
    raise ValidationError("its time is none of ISO 8601", field="settled_at")
