"""What one calls a thing in boto3, PynamoDB, SQLAlchemy, Django or pydantic: each error names it here.

Nothing here is seen by type checkers, which refuse these names by themselves, nor by `dir`. What exists costs nothing:
an attribute that is there is found as before.
"""

from __future__ import annotations

from typing import Any, Final

from dynamorm.errors import InvalidAttribute, InvalidUse

_QUERY: Final = "db.model(Model).where(...)"
_READ: Final = "db.get(Model, key), or db.require(Model, key)"
_JSON: Final = "dataclasses.asdict(obj) for a dict, pydantic.TypeAdapter(Model).dump_json(obj) for JSON"
_PARSE: Final = "Model(**values), or pydantic.TypeAdapter(Model).validate_python(values)"

FACE: Final[dict[str, str]] = {
    "select": _QUERY,
    "find": _QUERY,
    "filter": _QUERY,
    "where": _QUERY,
    "scan": "db.model(Model).allow_scan()",
    "all": "db.model(Model).allow_scan()",
    "count": f"{_QUERY}.count()",
    "add": "db.create(obj), or db.put(obj) to replace what is there",
    "insert": "db.create(obj)",
    "merge": "db.put(obj), or db.upsert(...)",
    "add_all": "db.batch_write(puts=[...])",
    "bulk_create": "db.batch_write(puts=[...])",
    "batch_writer": "db.batch_write(puts=[...], deletes=[...])",
    "remove": "db.delete(obj), or db.delete(Model, key)",
    "commit": "it needs none: each verb is applied when it returns; several at once are `with db.transaction() as tx`",
    "flush": "it needs none: each verb is applied when it returns",
    "rollback": "it needs none: what fails is not applied; several at once are `with db.transaction() as tx`",
    "begin": "`with db.transaction() as tx`",
    "execute": "db.partiql(statement, ...)",
    "put_item": "db.put(obj), or db.create(obj)",
    "get_item": _READ,
    "update_item": "db.update(Model, key, Model.<field>.set(value))",
    "delete_item": "db.delete(Model, key)",
    "batch_get_item": "db.batch_get(Model, keys)",
    "batch_write_item": "db.batch_write(puts=[...], deletes=[...])",
    "transact_write": "`with db.transaction() as tx`",
    "transact_write_items": "`with db.transaction() as tx`",
    "transact_get_items": "db.transact_get([(Model, key), ...])",
    "create_table": "db.tables.ensure(Model)",
    "create_tables": "db.tables.ensure(Model) for each model",
    "delete_table": "db.tables.delete(Model)",
    "list_tables": "db.tables.names()",
}
"""What is tried with a database."""

BUILDER: Final[dict[str, str]] = {
    "get": ".where(...).one() or .first(); by its key an item is read with db.get(Model, key)",
    "one_or_none": ".first(), or .limit(2) and a look at both",
    "filter_by": ".where(Model.<field> == value)",
    "exclude": ".filter(Model.<field> != value)",
    "order": ".order_by(field)",
    "sort": ".order_by(field)",
    "sort_by": ".order_by(field)",
    "reverse": '.order_by(field, "desc")',
    "desc": '.order_by(field, "desc")',
    "offset": ".page() and .cursor(page.cursor): DynamoDB cannot skip items without reading them",
    "skip": ".page() and .cursor(page.cursor): DynamoDB cannot skip items without reading them",
    "last": '.order_by(field, "desc").first()',
    "take": ".limit(n)",
    "delete": ".delete_all(confirm=True)",
    "update": "db.update(obj, ...) for each object: DynamoDB updates one item at a time",
    "fetch": ".all()",
    "fetchall": ".all()",
    "execute": ".all(), or a loop",
    "to_list": ".all()",
    "values": ".select(field, ...)",
    "only": ".select(field, ...)",
    "use_index": ".index(name)",
    "distinct": "a set of the objects' values: DynamoDB has no such function",
    "join": ".collect(...) for several classes in one partition: DynamoDB has no joins",
}
"""What is tried with a query."""

TRANSACTION: Final[dict[str, str]] = {
    "get": "db.transact_get([(Model, key), ...]): a transaction of DynamoDB reads or writes",
    "require": "db.transact_get([(Model, key), ...]): a transaction of DynamoDB reads or writes",
    "commit": "it needs none: the transaction is sent at the end of its `with` block",
    "rollback": "an exception in the `with` block: nothing is sent then",
    "execute": "it needs none: the transaction is sent at the end of its `with` block",
    "condition_check": "tx.check(Model, key, condition)",
    "upsert": "tx.update(..., upsert=True)",
}
"""What is tried with a transaction."""

MODEL: Final[dict[str, str]] = {
    "save": "db.save(obj), or db.create(obj) for a new one",
    "put": "db.put(obj)",
    "create": "db.create(Model(...))",
    "insert": "db.create(obj)",
    "delete": "db.delete(obj), or db.delete(Model, key)",
    "update": "db.update(obj, Model.<field>.set(value))",
    "refresh": "db.refresh(obj)",
    "refresh_from_db": "db.refresh(obj)",
    "get": _READ,
    "get_or_none": "db.get(Model, key)",
    "objects": _QUERY,
    "query": _QUERY,
    "select": _QUERY,
    "filter": _QUERY,
    "where": _QUERY,
    "scan": "db.model(Model).allow_scan()",
    "batch_get": "db.batch_get(Model, keys)",
    "batch_write": "db.batch_write(puts=[...], deletes=[...])",
    "create_table": "db.tables.ensure(Model)",
    "dict": _JSON,
    "json": _JSON,
    "to_dict": _JSON,
    "to_json": _JSON,
    "as_dict": _JSON,
    "asdict": _JSON,
    "model_dump": _JSON,
    "model_dump_json": _JSON,
    "model_copy": "dataclasses.replace(obj, ...)",
    "replace": "dataclasses.replace(obj, ...)",
    "model_validate": _PARSE,
    "parse_obj": _PARSE,
    "from_dict": _PARSE,
    "model_fields": "dataclasses.fields(Model)",
    "model_json_schema": "pydantic.TypeAdapter(Model).json_schema()",
}
"""What is tried with a model or an object."""


class _Elsewhere:
    """Takes the place of a method of another library."""

    __slots__ = ("_name", "_owner", "_remedy")

    def __init__(self, owner: type, name: str, remedy: str) -> None:
        self._owner = owner
        self._name = name
        self._remedy = remedy

    def __get__(self, obj: Any, cls: type | None = None) -> Any:
        try:
            # A base after the owner may have what is asked for: `class Payment(Model, Owned)`.
            return getattr(super(self._owner, cls if obj is None else obj), self._name)
        except AttributeError:
            title = getattr(cls, "__name__", "?")
        remedy = self._remedy.replace("Model", title) if hasattr(cls, "__loaded__") else self._remedy
        use = "" if remedy.startswith("it needs none") else "use "
        raise InvalidAttribute(f"{title} has no .{self._name}: {use}{remedy}") from None


def teach(cls: Any, names: dict[str, str]) -> None:
    """Give a class an answer to each of the names that it has no attribute of."""
    added = [name for name in names if not hasattr(cls, name)]
    for name in added:
        setattr(cls, name, _Elsewhere(cls, name, names[name]))
    hidden = frozenset(added)
    shown = cls.__dir__

    def listed(self: Any) -> list[str]:
        return [name for name in shown(self) if name not in hidden or not _is_hint(self, name)]

    cls.__dir__ = listed


def subscripted(owner: Any) -> Any:
    """The ``__getitem__`` of a class whose objects are no dicts; what a base behind it has goes before."""

    def refused(self: Any, key: Any) -> Any:
        own = getattr(super(owner, self), "__getitem__", None)
        if own is not None:
            return own(key)
        name = key if isinstance(key, str) and key.isidentifier() else "<field>"
        raise InvalidUse(
            f"a {type(self).__name__} is no dict: write obj.{name}, getattr(obj, name), or dataclasses.asdict(obj)[name]"
        )

    return refused


def _is_hint(obj: Any, name: str) -> bool:
    return any(isinstance(cls.__dict__.get(name), _Elsewhere) for cls in type(obj).__mro__) and not hasattr(obj, name)


def of_settings(name: str, setting: str, settings: Any) -> InvalidUse:
    """The error for a setting that was given to a database instead of its `Config`."""
    other = {"endpoint_url": "endpoint", "region_name": "region", "profile_name": "profile"}.get(setting, setting)
    where = f"{name}(Config({other}=...)), or {name}(Presets.local_development({other}=...)) for an emulator"
    if other not in settings:
        where = f"{name}(Config(...)), whose settings are in its docstring"
    return InvalidUse(f"{setting}= is no argument of {name}: write {where}", field=setting)


__all__ = ["BUILDER", "FACE", "MODEL", "TRANSACTION", "of_settings", "subscripted", "teach"]
