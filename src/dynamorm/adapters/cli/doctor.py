"""What ``doctor`` looks at: each step of the way to DynamoDB, in order, and what to do where one fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Final, NamedTuple

from dynamorm import DB
from dynamorm.errors import AccessDenied, CredentialsError, DynamORMError
from dynamorm.models.schema.schema import Schema

from .ends import Code, Stop, end_of
from .permissions import Denial, ask, asked, denial_of, statements
from .plain import NotAnItem, key_value
from .settings import Settings, Table, schemas_of

_MINUTE: Final = 60


class Finding(NamedTuple):
    """What became of one step."""

    step: str
    code: Code
    text: str

    def shown(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"step": self.step, "ok": self.code is Code.DONE, "text": self.text}

    def __str__(self) -> str:
        return f"{'ok  ' if self.code is Code.DONE else 'FAIL'} {self.step:<18} {self.text}"


def examine(settings: Settings, table: str | None, key: str | None = None) -> Iterator[Finding]:
    """The findings, one after the other; what builds on a step that failed is left out.

    ``key`` is the partition key that the calls name, for policies that allow some keys alone.
    """
    try:
        db = settings.db
        secure = import_module("dynamorm.adapters.cli.secure").agreed(db)  # it loads ssl
    except DynamORMError as error:
        yield Finding("settings", Code.UNREACHABLE, end_of(error).message)
        return
    config = db.config
    yield Finding("settings", Code.DONE, f"{config.endpoint}, Region {config.region}, preset {config.preset}")
    if secure is not None:
        yield Finding("TLS", Code.DONE if secure[0] else Code.UNREACHABLE, secure[1])
    reached = list(_reached(db))
    yield from reached
    if any(step.code is not Code.DONE for step in reached):
        return
    yield from _credentials(db)
    yield _clock(db)
    if table is not None:
        yield from _table(settings, settings.table(table), table, key)


def _step(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, Code.DONE, look())
    except DynamORMError as error:
        return _failed(name, error)


def _failed(name: str, error: DynamORMError) -> Finding:
    """A step that failed, and what to do: not to ask the doctor."""
    end = end_of(error)
    return Finding(name, end.code, end.message.partition("; `dynamorm doctor`")[0])


def _reached(db: DB) -> Iterator[Finding]:
    """Whether DynamoDB answers, and takes the credentials."""
    try:
        yield Finding("connection", Code.DONE, _asked(db))
    except AccessDenied as error:
        yield Finding("connection", Code.DONE, f"DynamoDB answers {_how(db)}, and refuses the credentials")
        yield from _credentials(db)
        yield _failed("credentials", error)
    except CredentialsError as error:
        yield _failed("credentials", error)
    except DynamORMError as error:
        yield _failed("connection", error)
        yield from _credentials(db)


def _how(db: DB) -> str:
    secure = db._session.endpoint.secure  # noqa: SLF001 - it belongs to the library
    checked = "checked" if db.config.verify_tls else "not checked"
    return f"over TLS, whose certificate was {checked}" if secure else "in plain http"


def _asked(db: DB) -> str:
    """What ListTables tells. One that may not list tables has been reached all the same."""
    try:
        count = len(db.tables.names())
    except AccessDenied as error:
        denial = denial_of(error, "ListTables", "*")
        if denial is None:
            raise
        return f"DynamoDB answers {_how(db)}; {denial.action} is denied, which programs do not need"
    return f"DynamoDB answers {_how(db)}; {count} tables begin with {db.config.table_prefix!r}"


def _credentials(db: DB) -> Iterator[Finding]:
    found = db._session.channel.credentials.cached  # noqa: SLF001 - as above
    if found is not None:
        session = ", of a session" if found.token else ""
        yield Finding("credentials", Code.DONE, f"the key id ends with {found.key_id[-4:]}{session}")


def _clock(db: DB) -> Finding:
    if not db._session.endpoint.secure:  # noqa: SLF001 - as above
        return Finding("clock", Code.DONE, "not compared: only an answer over TLS tells the time")
    wrong = db._session.channel.skew.measured  # noqa: SLF001 - as above
    if wrong is None:
        return Finding("clock", Code.DONE, "not compared: the answer does not tell the time")
    if abs(wrong) < _MINUTE:
        return Finding("clock", Code.DONE, "it is right within a minute")
    return Finding(
        "clock",
        Code.REFUSED,
        f"it is wrong by {wrong:.0f} s, and requests are refused from 300 s on: set it by NTP; signatures are corrected meanwhile",
    )


def _table(settings: Settings, table: Table, name: str, key: str | None) -> Iterator[Finding]:
    """The shape of the table, beside its models where they are named, and what is allowed with it."""
    shape = _step("table", lambda: _shape(table))
    if shape.code is not Code.DONE:
        yield from _not_described(table, shape)
        return
    yield shape
    if settings.options.models is not None:
        yield _models(settings, name)
    live = table.shape
    try:
        leading = None if key is None else key_value(key, live.key_types[live.partition], live.partition)
    except NotAnItem as error:
        raise Stop(Code.USAGE, f"--key: {error}") from None
    arn = live.arn or _arn(table)
    denials: list[Denial] = []
    for one in asked(table, leading):
        code, text, denial = ask(table, one, arn)
        denials += [] if denial is None else [denial]
        yield Finding(one.step, code, text)
    yield from _remedy(denials)
    if denials and key is None:
        said = "asked with the key 'dynamorm-doctor': where a policy allows some keys alone (LeadingKeys), give one by --key"
        yield Finding("key", Code.DONE, said)


def _not_described(table: Table, shape: Finding) -> Iterator[Finding]:
    """What is told of a table whose description is refused."""
    try:
        table.run(table.raw.describe())
    except DynamORMError as error:
        denial = denial_of(error, "DescribeTable", _arn(table))
        if denial is not None:
            yield shape._replace(text=str(denial))
            yield from _remedy([denial])
            return
    yield shape


def _remedy(denials: list[Denial]) -> Iterator[Finding]:
    """The lines of a policy that would allow what was denied."""
    for line in statements(denials):
        yield Finding("policy", Code.REFUSED, f"what is missing: {line}")


def _arn(table: Table) -> str:
    return f"arn:aws:dynamodb:{table.db.config.region}:*:table/{table.name}"


def _models(settings: Settings, name: str) -> Finding:
    """Whether the table is as its models want it; a module that has none of them is wrong usage."""
    every = schemas_of(settings.options.models or "")
    schemas = [one for one in every if name in {one.table, one.name}]
    if not schemas:
        there = ", ".join(sorted(f"{one.name} ({one.table})" for one in every))
        return Finding("models", Code.USAGE, f"{settings.options.models} has no model of {name}: it has {there}")
    return _step("models", lambda: _fits(settings, schemas))


def _fits(settings: Settings, schemas: list[Schema]) -> str:
    """Whether the table is as its models want it. Raises: DynamORMError where it is not."""
    notes = settings.tables_db.tables.check(*(schema.model for schema in schemas))
    shown = ", ".join(schema.name for schema in schemas)
    return f"the table fits {shown}" + "".join(f"; {note}" for note in notes)


def _shape(table: Table) -> str:
    live = table.shape
    key = ", ".join(f"{name} ({live.key_types[name]})" for name in table.keys)
    state = "" if live.ready else f"; it is {live.status}, and not ready yet"
    return f"{table.name} has the key {key}, {len(live.indexes)} indexes, {live.billing_mode}{state}"
