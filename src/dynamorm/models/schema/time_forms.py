"""How a datetime is stored otherwise than as the text of every other one: as a number, or as text of another form.

It must not know what is stored in which attribute. Source of the classes' idea of a zone: https://docs.python.org/3/library/zoneinfo.html
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final, Literal, TypeAlias, get_args

from dynamorm.errors import ModelError

from .overriding import override
from .schema import TimeForm

Unit: TypeAlias = Literal["seconds", "milliseconds", "microseconds", "nanoseconds"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MINUTE: Final = timedelta(minutes=1)
_NONE: Final = timedelta(0)
_MICROSECONDS: Final = {"seconds": 1_000_000, "milliseconds": 1000, "microseconds": 1}
_NANO: Final = 1000
_LONGEST: Final = 40


class Epoch(TimeForm):
    """Field option, of a datetime: store it as a whole number, the time since 1970 in UTC in this unit.

    What is finer than the unit is cut off, of objects too once they are written; a number with a fraction is read to the microsecond. Numbers sort as times do.

    Example: ``at: Attr[datetime] = sort_key(Epoch("milliseconds"))``
    """

    __slots__ = ("unit",)
    tag: str = "N"

    def __init__(self, unit: Unit = "seconds") -> None:
        if unit not in get_args(Unit):
            raise ModelError(f"Epoch takes {', '.join(map(repr, get_args(Unit)))}, not {unit!r}")
        self.unit: Unit = unit

    @override
    def written(self, value: datetime) -> str:
        micros = (value - _EPOCH) // _MICROSECOND
        return str(micros * _NANO if self.unit == "nanoseconds" else micros // _MICROSECONDS[self.unit])

    @override
    def read(self, text: str) -> datetime:
        if len(text) <= _LONGEST and text.removeprefix("-").isdecimal():
            number = int(text)
            micros = number // _NANO if self.unit == "nanoseconds" else number * _MICROSECONDS[self.unit]
        else:
            micros = self._of_fraction(text)
        return _EPOCH + timedelta(microseconds=micros)

    def _of_fraction(self, text: str) -> int:
        match = re.fullmatch(r"(-?\d{1,20})\.(\d{1,20})", text, re.ASCII)
        if match is None:
            raise ValueError
        whole, fraction = match.groups()
        ten: int = 10 ** len(fraction)
        parts: int = int(whole + fraction)
        return parts // (ten * _NANO) if self.unit == "nanoseconds" else parts * _MICROSECONDS[self.unit] // ten

    def __repr__(self) -> str:
        return f"Epoch({self.unit!r})"


_DIRECTIVES: Final = {
    "%Y": r"(?P<Y>\d{4})", "%m": r"(?P<m>\d{2})", "%d": r"(?P<d>\d{2})", "%H": r"(?P<H>\d{2})", "%M": r"(?P<M>\d{2})",
    "%S": r"(?P<S>\d{2})", "%f": r"(?P<f>\d{6})", "%L": r"(?P<L>\d{3})", "%z": r"(?P<z>Z|[+-]\d{2}:?\d{2})",
    "%:z": r"(?P<z>Z|[+-]\d{2}:?\d{2})", "%%": "%",
}  # fmt: skip
_ORDER: Final = "YmdHMS"


class TimeText(TimeForm):
    """Field option, of a datetime: store it as text of this format, in this zone.

    The format has Python's ``%Y %m %d %H %M %S %f %z %%``, besides ``%L`` (milliseconds, three digits) and ``%:z`` (``+01:00``), and any other text between
    them. The zone is ``"UTC"``, the name of another one, or a `datetime.tzinfo`; where its offset changes over the year, the format must have ``%z``. What is
    finer than the format is cut off. Texts that do not sort as times do cannot be a sort key, nor be ordered by conditions.

    Example: ``at: Attr[datetime] = attr(TimeText("%Y-%m-%dT%H:%M:%S.%LZ"))``
    """

    __slots__ = ("_has_offset", "_pieces", "_read", "format", "unsorted", "zone")
    tag: str = "S"

    def __init__(self, format: str, *, zone: str | tzinfo = "UTC") -> None:
        if not isinstance(format, str):
            raise ModelError(f"TimeText takes a format such as '%Y-%m-%dT%H:%M:%SZ', not a {type(format).__name__}")
        self.format: str = format
        self._pieces: list[str] = re.findall(r"%:?.|[^%]+|%", format, re.DOTALL)
        unknown = next((one for one in self._pieces if one[0] == "%" and one not in _DIRECTIVES), None)
        if unknown is not None:
            raise ModelError(f"TimeText({format!r}): {unknown!r} is none of {' '.join(_DIRECTIVES)}")
        names = [one[-1] for one in self._pieces if one[0] == "%" and one != "%%"]
        self._check(names)
        self.zone: tzinfo = _zone_of(format, zone)
        is_fixed = self.zone is UTC or isinstance(self.zone, timezone)
        if not is_fixed and "z" not in names:
            raise ModelError(
                f"TimeText({format!r}): an hour of each year is there twice in this zone, so that the text must have the offset: add"
                ' %z to the format, or say zone="UTC"'
            )
        pattern = "".join(_DIRECTIVES.get(one, re.escape(one)) for one in self._pieces)
        self._read: re.Pattern[str] = re.compile(pattern, re.ASCII)
        self._has_offset: bool = "z" in names
        self.unsorted: str = _unsorted(names, is_fixed=is_fixed)

    def _check(self, names: list[str]) -> None:
        where = f"TimeText({self.format!r})"
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None or ("f" in names and "L" in names):
            raise ModelError(f"{where}: a part of the time is there twice: name each once")
        parts = [name for name in _ORDER if name in names]
        if len(parts) < 3 or parts != list(_ORDER[: len(parts)]) or ({"f", "L"} & set(names) and parts[-1] != "S"):
            raise ModelError(
                f"{where} cannot be read back: it needs %Y, %m and %d, and what comes before the finest of %H, %M, %S, %f that it has"
            )

    @override
    def written(self, value: datetime) -> str:
        at = value.astimezone(self.zone)
        if self._has_offset and at.utcoffset() is not None:  # which has whole minutes in a text, and once had seconds
            at = value.astimezone(timezone((at.utcoffset() or _NONE) // _MINUTE * _MINUTE))
        return "".join([_WRITTEN[one](at) if one in _WRITTEN else one for one in self._pieces])

    @override
    def read(self, text: str) -> datetime:
        match = self._read.fullmatch(text)
        if match is None:
            raise ValueError
        parts = match.groupdict()
        numbers = [int(parts.get(name) or 0) for name in _ORDER]
        micros = int(parts["f"]) if "f" in parts else int(parts["L"]) * 1000 if "L" in parts else 0
        return datetime(*numbers, micros, tzinfo=_offset_of(parts.get("z"), self.zone)).astimezone(UTC)  # type: ignore[arg-type,misc] # six numbers

    def __repr__(self) -> str:
        return f"TimeText({self.format!r}{'' if self.zone is UTC else f', zone={str(self.zone)!r}'})"


_WRITTEN: Final[dict[str, Any]] = {
    "%Y": lambda at: f"{at.year:04d}", "%m": lambda at: f"{at.month:02d}", "%d": lambda at: f"{at.day:02d}",
    "%H": lambda at: f"{at.hour:02d}", "%M": lambda at: f"{at.minute:02d}", "%S": lambda at: f"{at.second:02d}",
    "%f": lambda at: f"{at.microsecond:06d}", "%L": lambda at: f"{at.microsecond // 1000:03d}", "%z": lambda at: _offset(at, ""),
    "%:z": lambda at: _offset(at, ":"), "%%": lambda _: "%",
}  # fmt: skip


def _offset(at: datetime, between: str) -> str:
    minutes = (at.utcoffset() or _NONE) // _MINUTE
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}{between}{rest:02d}"


def _offset_of(text: str | None, zone: tzinfo) -> tzinfo:
    if text is None:
        return zone
    if text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _zone_of(format: str, zone: Any) -> tzinfo:
    if isinstance(zone, tzinfo):
        return zone
    if zone == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # only for zones by name

    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        pass
    raise ModelError(f"TimeText({format!r}): there is no zone {zone!r} here: name one such as 'Europe/Berlin'")


def _unsorted(names: list[str], *, is_fixed: bool) -> str:
    """Why texts with these parts do not sort as times do; empty where they do."""
    if not is_fixed:
        return "its offset from UTC changes over the year: use a zone that keeps it, such as UTC"
    parts = [name for name in names if name not in "fLz"]
    if parts != list(_ORDER[: len(parts)]):
        return "the year must stand before the month, that before the day, and so on: use a format such as %Y-%m-%d"
    return ""
