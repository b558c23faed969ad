"""The history of one item as the audit trail has it: read from the store, and drawn as a timeline with the verdict of its chain."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args, get_origin

from dynamorm import DB
from dynamorm.errors import DynamORMError, ValidationError

from .markup import Markup, document, element, joined
from .parts import table, tone
from .words import amount

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST: Final = 200
"""Records that are shown, the newest first."""

LONGEST: Final = 120
"""Characters of a value that are shown."""

_OPS: Final = {"create": "good", "delete": "warn", "external": "bad"}
"""The tones of what records tell."""


class Timelines:
    """Reads histories by a blocking database of its own, for the threads of the page, whatever the face of the one it shows."""

    def __init__(self) -> None:
        self._reader: DB | None = None
        self._log: Any = None

    def of(self, db: Any, asked: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """What is told of the item that is asked for by ``model``, ``key`` (for each part of it) and ``tenant``."""
        log = next((plugin for plugin in db.plugins if getattr(plugin, "name", "") == "audit"), None)
        if log is None:
            return {
                "models": [],
                "problem": "No changes are tracked here: db.enable_change_tracking(...) records them.",
            }
        models = {tracked.model.__name__: tracked.model for tracked in log.tracked}
        told: dict[str, Any] = {"models": sorted(models), "model": "", "key": [], "tenant": ""}
        name, key = (asked.get("model") or [""])[0], [one for one in asked.get("key", ()) if one]
        if not name or not key:
            return told
        told |= {"model": name, "key": key, "tenant": (asked.get("tenant") or [""])[0]}
        if name not in models:
            return told | {"problem": "No changes of such a model are tracked here."}
        try:
            return told | self._read(self._open(db, log), models[name], key, told["tenant"])
        except DynamORMError as error:
            return told | {"problem": f"It could not be read: {type(error).__name__} ({error.code})."}

    def _open(self, db: Any, log: Any) -> DB:
        """The database that reads; opened when somebody asks for the first time."""
        if self._reader is None or self._log is not log:
            self.close()
            self._reader, self._log = DB(db.config), log
            others: list[Any] = [
                _OfAnother(plugin) for plugin in db.plugins if plugin is not log and getattr(plugin, "options", None)
            ]
            self._reader.use(*others, log)
        return self._reader

    def _read(self, reader: DB, model: type[Any], key: list[str], tenant: str) -> dict[str, Any]:
        db = reader.view(tenant=tenant) if tenant else reader
        parts = [_part(kind, text) for kind, text in zip(_kinds(model, len(key)), key, strict=False)]
        if len(parts) != len(key):
            raise ValidationError("the key has fewer parts")
        verdict = db.audit.verify(model, *parts)
        records = db.audit.history(model, *parts, verify=False)
        return {
            "verdict": {
                "ok": verdict.ok, "checked": verdict.checked, "first_bad": verdict.first_bad, "reason": verdict.reason,
                "external": list(verdict.external),
            },
            "records": [_told(record) for record in records[: -MOST - 1 : -1]],
            "more": max(len(records) - MOST, 0),
        }  # fmt: skip

    def close(self) -> None:
        """Close the connections."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()


class _OfAnother:
    """A plugin of another database, which models with its options need here, too: it is told of no beginning and no end."""

    def __init__(self, plugin: Any) -> None:
        self._plugin = plugin

    def __getattr__(self, name: str) -> Any:
        if name in {"_plugin", "joined", "closed"}:
            raise AttributeError(name)
        return getattr(self._plugin, name)


def _kinds(model: type[Any], parts: int) -> list[type[Any]]:
    """How each part of a model's key is written: as a number, as one of an Enum, or as a text. A view gives the tenant itself."""
    fields = _key_fields(model)
    if parts < len(fields):
        fields = [field for field in fields if not any(type(option).__name__ == "Tenant" for option in field.options)]
    return [_kind(field.annotation) for field in fields]


def _kind(annotation: Any) -> type[Any]:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    kinds = (Enum, int, float, Decimal)
    found = next((kind for kind in kinds if isinstance(annotation, type) and issubclass(annotation, kind)), str)
    return annotation if found is Enum else found


def _key_fields(model: type[Any]) -> list[Any]:
    paths = (getattr(model, name, None) for name in dir(type(model)))
    fields = [field for path in paths if (field := getattr(path, "field", None)) is not None]
    return [field for role in ("partition", "sort") for field in fields if field.role == role]


def _part(kind: type[Any], text: str) -> Any:
    try:
        return next(one for one in kind if str(one.value) == text) if issubclass(kind, Enum) else kind(text)
    except (ValueError, ArithmeticError, StopIteration):
        pass  # it would hold the text
    raise ValidationError("a part of the key is a number, or one of a few words")


def _told(record: Any) -> dict[str, Any]:
    return {
        "n": record.version, "op": record.op, "at": record.at.isoformat(timespec="seconds"), "by": record.by, "ip": record.ip or "",
        "restored_from": record.restored_from,
        "changes": [[change.field, _value(change.old), _value(change.new)] for change in record.changes],
    }  # fmt: skip


def _value(value: Any) -> str:
    """A value as it is shown; what records do not show is not shown here either."""
    if value is None:
        return "–"  # noqa: RUF001 - as in words
    if type(value).__name__ == "Digest":
        return "not shown" if value.size is None else f"{amount(value.size)} bytes"
    text = str(getattr(value, "value", value))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


# The page


def page(told: dict[str, Any]) -> str:
    """The whole page."""
    head = joined(
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", "DynamORM · audit trail"),
        element("link", rel="icon", href="data:,"),
        element("link", rel="stylesheet", href="dashboard.css"),
    )
    title = element("h1", "DynamORM", element("small", "audit trail"))
    back = element("p", element("a", "figures", href="./"))
    main = element("main", _asked(told), *_found(told), id="timeline")
    return document(head, joined(element("header", title, element("div", back, class_="now")), main))


def _asked(told: dict[str, Any]) -> Markup:
    """The form that asks for an item."""
    key = [*told.get("key", ()), "", ""][:2]
    options = [
        element("option", name, value=name, selected="selected" if name == told.get("model") else None)
        for name in told["models"]
    ]
    form = element(
        "form",
        element("label", "model ", element("select", *options, name="model")),
        " ",
        element("label", "key ", _input("key", key[0])),
        " ",
        element("label", "sort key ", _input("key", key[1])),
        " ",
        element("label", "tenant ", _input("tenant", told.get("tenant", ""))),
        " ",
        element("button", "Show", type="submit"),
        method="get",
        action="audit",
    )
    return element("section", element("h2", "An item"), form, class_="panel all")


def _input(name: str, value: str) -> Markup:
    return Markup(str(element("input", name=name, value=value, autocomplete="off")).removesuffix("</input>"))


def _found(told: dict[str, Any]) -> list[Markup]:
    if "problem" in told:
        return [element("section", element("p", told["problem"], class_="none"), class_="panel all")]
    if "verdict" not in told:
        return []
    rows = [
        [
            amount(one["n"]), element("time", one["at"]), tone(one["op"], _OPS.get(one["op"], "")),
            joined(one["by"], " ", element("small", one["ip"])), _changes(one),
        ]
        for one in told["records"]
    ]  # fmt: skip
    columns = [("n", "num"), ("when", ""), ("what", ""), ("by", ""), ("changes", "first")]
    content = table(columns, rows) if rows else element("p", "There is no record of this item.", class_="none")
    more = element("p", f"{told['more']} older records are not shown.", class_="none") if told["more"] else ""
    heading = element("h2", "Timeline", element("small", "the newest first"))
    return [_verdict(told["verdict"]), element("section", heading, content, more, class_="panel all")]


def _changes(one: dict[str, Any]) -> Markup:
    pieces = [element("div", element("b", name), f": {old} → {new}") for name, old, new in one["changes"]]
    if one["restored_from"]:
        pieces.append(element("div", f"as record {one['restored_from']} had it", class_="none"))
    return joined(*pieces)


def _verdict(verdict: dict[str, Any]) -> Markup:
    """Whether the chain holds, in a line."""
    if verdict["ok"]:
        said = tone(f"The chain holds: {amount(verdict['checked'])} records were checked.", "good")
    else:
        place = "" if verdict["first_bad"] is None else f" at record {verdict['first_bad']}"
        said = tone(f"The chain does not hold{place}: {verdict['reason']}.", "bad")
    others = ", ".join(map(str, verdict["external"]))
    more = element("p", tone(f"Changed by others before record {others}.", "warn")) if others else ""
    note = element("p", "Without a signed head its end is not protected.", class_="none")
    return element(
        "section", element("h2", "Verdict"), element("p", said), more, note, class_="panel all", id="verdict"
    )
