"""Items as a model says: keys that were typed, objects of plain JSON, and objects as JSON, without what is protected."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from dynamorm import DB
from dynamorm.errors import InvalidUse
from dynamorm.models.annotations import Scope, resolve
from dynamorm.models.schema.composite import composites_of
from dynamorm.models.schema.placed import PlacedField
from dynamorm.models.schema.schema import SCHEMAS, Field, Schema, schema_of

from .ends import Code, Stop
from .plain import NotAnItem

HIDDEN: Final = "<hidden>"
_OF_THE_LIBRARY: Final = frozenset({"version", "created_at", "updated_at"})


class Typed:
    """A model as the command line uses it."""

    def __init__(self, db: DB, model: type[Any]) -> None:
        self._db = db
        self._model = model
        self._schema: Schema = schema_of(model)
        self._encode = msgspec.json.Encoder(enc_hook=_written, decimal_format="number").encode

    def key(self, pk: str, sk: str | None) -> tuple[Any, ...]:
        """The key that was typed. Raises: Stop."""
        key = self._schema.key
        if key is None:
            raise InvalidUse(f"{self._schema.name} has no key")
        if (key.sort is None) != (sk is None):
            need = "no sort key: leave SK out" if key.sort is None else f"a sort key, {key.sort!r}: give SK"
            raise Stop(Code.USAGE, f"{self._schema.name} has {need}")
        names = (key.partition,) if key.sort is None else (key.partition, key.sort)
        given = (pk,) if sk is None else (pk, sk)
        return tuple(self.value(name, text) for name, text in zip(names, given, strict=True))

    def value(self, name: str, text: str) -> Any:
        """The value of a field that was typed. Raises: Stop."""
        annotation = self._annotation(self._schema.fields[name])
        try:
            return msgspec.convert(text, annotation, strict=False)
        except (msgspec.ValidationError, TypeError):
            kind = getattr(annotation, "__name__", annotation)
            raise Stop(Code.USAGE, f"{self._schema.name}.{name} is no {kind}: give one") from None

    def store(self, text: str, *, if_absent: bool) -> None:
        """Put a new object of JSON; with a version save what is there at that version. Raises: NotAnItem, Stop."""
        values = self._values(text)
        version = self._schema.version
        if version is None or version.name not in values:
            obj = self._model(**values)
            if if_absent:
                self._db.create(obj)
            else:
                self._db.put(obj)
        elif if_absent:
            raise Stop(Code.USAGE, f"--if-absent is for a new item: leave {version.name!r} out")
        else:
            self._save(values, version.name)

    def _save(self, values: dict[str, Any], version: str) -> None:
        """Change the fields that are given, on condition that the item has the version that is given."""
        key = self._schema.key
        assert key is not None  # it has a table
        missing = next((name for name in (key.partition, key.sort) if name is not None and name not in values), None)
        if missing is not None:
            raise NotAnItem(f"{self._schema.name}.{missing} is in the key, and missing")
        names = [key.partition] if key.sort is None else [key.partition, key.sort]
        found = self._db.get(self._model, *(values[name] for name in names), consistent=True)
        given = values[version]
        if found is None or getattr(found, version) != given:
            there = "there is none" if found is None else "it has another one now"
            raise Stop(
                Code.REFUSED,
                f"no {self._schema.name} with this key has the {version} that was given: {there}; read it again",
            )
        for name, value in values.items():
            if (
                name in names
                or self._schema.fields[name].role in _OF_THE_LIBRARY
                or name in composites_of(self._schema)
            ):
                continue
            if getattr(found, name) != value:
                setattr(found, name, value)
        self._db.save(found)

    def _values(self, text: str) -> dict[str, Any]:
        """The values of JSON, by the names of fields. Raises: NotAnItem."""
        try:
            members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        except (msgspec.MsgspecError, UnicodeEncodeError):
            raise NotAnItem("it is no JSON object") from None
        values: dict[str, Any] = {}
        for name, raw in members.items():
            field = self._schema.fields.get(name)
            if field is None:
                raise NotAnItem(f"{self._schema.name} has no field {name[:60]!r}")
            values[name] = self._read(field, raw)
            if _protected(field) and values[name] == HIDDEN:
                raise NotAnItem(
                    f"{self._schema.name}.{name} is {HIDDEN}, as it is shown: give its value, or leave it out"
                )
        return values

    def _read(self, field: Field, raw: msgspec.Raw) -> Any:
        where = f"{self._schema.name}.{field.name}"
        failed = ""
        try:
            return msgspec.json.decode(raw, type=self._annotation(field))
        except msgspec.ValidationError as error:
            failed = f"{where}: {str(error).partition(' - ')[0].lower()}"
        except (TypeError, msgspec.MsgspecError):
            failed = f"{where} is of a type that plain JSON does not hold: leave --models out"
        raise NotAnItem(failed)

    def _annotation(self, field: Field) -> Any:
        annotation = field.annotation
        if not isinstance(annotation, str):
            return annotation
        found = resolve(annotation, Scope({}, self._model.__module__, dict(self._schema.namespace)))
        return str if found is None else found

    def query(
        self, pk: str, *, index: str | None, begins: str | None, desc: bool, limit: int | None, consistent: bool
    ) -> Iterable[Any]:
        """The objects of one partition. Raises: Stop."""
        partition, sort = self._parts(index)
        found = self._db.model(self._model).where(partition, "=", self.value(partition, pk))
        if begins is not None:
            if sort is None:
                raise Stop(Code.USAGE, "--begins is for a sort key")
            found = found.where(sort, "BEGINS_WITH", begins)
        if index is not None:
            found = found.index(index)
        if desc:
            if sort is None:
                raise Stop(Code.USAGE, "--desc is for a sort key")
            found = found.order_by(sort, "desc")
        return _limited(found, limit, consistent=consistent)

    def scan(self, *, index: str | None, limit: int | None, consistent: bool) -> Iterable[Any]:
        """All objects."""
        found = self._db.model(self._model).allow_scan()
        if index is not None:
            self._parts(index)
            found = found.index(index)
        return _limited(found, limit, consistent=consistent)

    def _parts(self, index: str | None) -> tuple[str, str | None]:
        if index is None:
            key = self._schema.key
            assert key is not None  # it has a table
            return key.partition, key.sort
        indexes = {one.name: one for one in self._schema.indexes.values()} | dict(self._schema.indexes)
        found = indexes.get(index)
        if found is None:
            names = ", ".join(sorted({one.name for one in indexes.values()})) or "none"
            raise Stop(Code.NOT_FOUND, f"{self._schema.name} has no index {index!r}: it has {names}")
        if len(found.partition) > 1:
            raise Stop(Code.USAGE, f"the index {index!r} has a partition key of several attributes")
        return next(iter(found.partition)), next(iter(found.sort), None)

    def text(self, obj: Any) -> bytes:
        """The JSON of an object, by the names of its fields. What is secret or encrypted is not shown."""
        return self._encode(_members(obj))


def _limited(query: Any, limit: int | None, *, consistent: bool) -> Iterable[Any]:
    query = query.consistent() if consistent else query
    found: Iterable[Any] = query if limit is None else query.limit(limit)
    return found


def _members(obj: Any) -> dict[str, Any]:
    schema = schema_of(type(obj))
    members: dict[str, Any] = {}
    for name, field in schema.fields.items():
        try:
            value = getattr(obj, name)
        except Exception:  # noqa: BLE001, S112 - what a partial object raises for what was not fetched
            continue
        members[name] = HIDDEN if _protected(field) and value is not None else value
    return members


def _protected(field: Field) -> bool:
    return field.secret or field.option(PlacedField) is not None


def _written(value: Any) -> Any:
    """What msgspec cannot write: nested models by their fields, anything else as its text."""
    return _members(value) if type(value) in SCHEMAS else str(value)
