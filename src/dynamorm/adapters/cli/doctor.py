"""What ``doctor`` looks at: each step of the way to DynamoDB, in order, and what to do where one fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from msgspec.json import encode

from dynamorm import DB
from dynamorm.errors import DynamORMError

from .ends import Code, end_of
from .settings import Settings, Table

_ANY_KEY: Final = {"S": {"S": "dynamorm-doctor"}, "N": {"N": "0"}, "B": {"B": "AA=="}}


class Finding(NamedTuple):
    """What became of one step."""

    step: str
    code: Code
    text: str

    def shown(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"step": self.step, "ok": self.code is Code.DONE, "text": self.text}

    def __str__(self) -> str:
        return f"{'ok  ' if self.code is Code.DONE else 'FAIL'} {self.step:<12} {self.text}"


def examine(settings: Settings, table: str | None) -> Iterator[Finding]:
    """The findings, one after the other; what builds on a step that failed is left out."""
    try:
        db = settings.db
    except DynamORMError as error:
        yield Finding("settings", Code.UNREACHABLE, end_of(error).message)
        return
    config = db.config
    yield Finding("settings", Code.DONE, f"{config.endpoint}, Region {config.region}, preset {config.preset}")
    reached = _step("connection", lambda: _asked(db))
    yield reached
    yield from _credentials(db)
    if reached.code is not Code.DONE:
        return
    yield _clock(db)
    if table is not None:
        yield from _table(settings.table(table))


def _step(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, Code.DONE, look())
    except DynamORMError as error:
        end = end_of(error)
        return Finding(name, end.code, end.message)


def _asked(db: DB) -> str:
    secure = db._session.endpoint.secure  # noqa: SLF001 - it belongs to the library
    count = len(db.tables.names())
    what = "over TLS, whose certificate was checked" if secure and db.config.verify_tls else "in plain http"
    return f"DynamoDB answers {what}; {count} tables begin with {db.config.table_prefix!r}"


def _credentials(db: DB) -> Iterator[Finding]:
    found = db._session.channel.credentials.cached  # noqa: SLF001 - as above
    if found is not None:
        session = ", of a session" if found.token else ""
        yield Finding("credentials", Code.DONE, f"the key id ends with {found.key_id[-4:]}{session}")


def _clock(db: DB) -> Finding:
    if not db._session.endpoint.secure:  # noqa: SLF001 - as above
        return Finding("clock", Code.DONE, "not compared: only an answer over TLS tells the time")
    skew = db._session.channel.skew.skew  # noqa: SLF001 - as above
    if skew:
        return Finding(
            "clock", Code.REFUSED, f"it is wrong by {skew:.0f} s: set it by NTP; signatures are corrected meanwhile"
        )
    return Finding("clock", Code.DONE, "it is right within a minute")


def _table(table: Table) -> Iterator[Finding]:
    """The shape of the table, and what may be read of it."""
    shape = _step("table", lambda: _shape(table))
    yield shape
    if shape.code is not Code.DONE:
        return
    live = table.shape
    key = {name: _ANY_KEY[live.key_types[name]] for name in table.keys}
    condition = {
        "KeyConditionExpression": "#p = :p",
        "ExpressionAttributeNames": {"#p": live.partition},
        "ExpressionAttributeValues": {":p": _ANY_KEY[live.key_types[live.partition]]},
        "Limit": 1,
    }
    asked: dict[str, Callable[[], Any]] = {
        "GetItem": lambda: table.run(table.raw.get(encode(key))),
        "Query": lambda: table.page("Query", condition, None),
        "Scan": lambda: table.page("Scan", {"Limit": 1}, None),
    }
    for name, look in asked.items():
        yield _step(name, lambda look=look: _allowed(look))  # type: ignore[misc] # it is called at once


def _shape(table: Table) -> str:
    live = table.shape
    key = ", ".join(f"{name} ({live.key_types[name]})" for name in table.keys)
    state = "" if live.ready else f"; it is {live.status}, and not ready yet"
    return f"{table.name} has the key {key}, {len(live.indexes)} indexes, {live.billing_mode}{state}"


def _allowed(look: Callable[[], Any]) -> str:
    look()
    return "allowed"
