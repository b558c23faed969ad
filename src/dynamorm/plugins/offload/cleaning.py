"""Removing objects that no item names any more: by the records of a stream, and by looking at a whole table.

An object may be removed when it was stored so long ago (``grace`` of `Offload`) that nothing which is still on its way can name it, and its item, read
consistently, does not. A younger one is left for `sweep`.
"""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Callable, Generator, Mapping
from decimal import Decimal
from functools import partial
from hashlib import sha256
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from dynamorm import Attr, Model, attr, partition_key, schema_of, sort_key
from dynamorm.arguments import type_given
from dynamorm.errors import ConfigError, ValidationError
from dynamorm.plugin import framed_key, key_part
from dynamorm.streams import StreamRecord

from .field import part
from .option import Offloaded
from .plugin import Offload
from .pointer import Pointer, bytes_of, pointer_of

if TYPE_CHECKING:
    from dynamorm import DB, AsyncDB

    from .field import OffloadedField
    from .store import ObjectStore

T = TypeVar("T")
Steps = Generator[Callable[[], Any], Any, T]
"""What is done one after the other: each yields a function, and is sent what that gives."""

_TYPES: Final[Mapping[str, Any]] = {"S": Attr[str], "N": Attr[Decimal], "B": Attr[bytes]}


_RAW: Final[dict[Any, Any]] = {}
"""The models by which items are read as they are stored: by table, key and attributes."""


class Swept(NamedTuple):
    """What a sweep has found: ``objects`` in S3, those that were ``removed``, and those that are too ``young`` to be looked at."""

    objects: int
    removed: int
    young: int


class _Cleaning:
    """What both faces share. ``db`` is the database itself, of no tenant: objects of all tenants are looked at."""

    def __init__(self, db: Any, offload: Offload, models: tuple[type[Any], ...]) -> None:
        if not isinstance(offload, Offload):
            raise ConfigError(f"a cleaner takes the Offload that the database uses, not {type_given(offload)}")
        if not models:
            raise ConfigError(
                "a cleaner takes the models whose objects it removes: OffloadCleaner(db, offload, Report)"
            )
        self._db = db
        self._offload = offload
        self._tables: dict[str, _Table] = {}
        for model in models:
            table = _Table(db, offload, model)
            known = self._tables.setdefault(table.name, table)
            if known is not table:
                known.fields += table.fields
                known.look()

    def clean(self, record: Any) -> Steps[int]:
        """Remove what a record of a stream tells to be named no more."""
        if isinstance(record, StreamRecord):
            record = {"dynamodb": record.images, "eventName": record.kind.name}
        images = _images(record)
        table = self._of_record(record)
        key = {name: wire for name, wire in images["Keys"].items() if name in table.key_names}
        gone: dict[str, Pointer] = {}
        for field in table.fields:
            old, new = (_pointer(images[image], field.attribute) for image in ("OldImage", "NewImage"))
            if old is not None and (new is None or new.key != old.key) and table.is_own(field, old, key):
                gone[old.key] = old
        horizon = self._offload.objects.clock() - self._offload.grace
        removable = [one for one in gone.values() if one.made < horizon]
        if not removable:
            return 0
        item = yield lambda: self._db.get(table.raw, *table.values(key), consistent=True)
        named = set() if item is None else {one.key for one in table.named(item)}
        removed = 0
        for one in removable:
            if one.key not in named:
                yield _removing(self._offload, one.bucket, one.key)
                removed += 1
        return removed

    def _of_record(self, record: Any) -> _Table:
        arn = record.get("eventSourceARN")
        if isinstance(arn, str) and "/stream/" in arn:
            name = arn.split(":table/", 1)[-1].split("/", 1)[0]
            for table in self._tables.values():
                if table.stored_name == name:
                    return table
            raise ValidationError(f"the record is of a table that no model of this cleaner has: {name}")
        if len(self._tables) > 1:
            raise ValidationError(
                "the record names no table (eventSourceARN), and this cleaner has models of several: make one for each"
            )
        return next(iter(self._tables.values()))

    def sweep(self) -> Steps[Swept]:
        """Remove the objects that no item of the tables names. They are listed first, so that all that may be named is seen."""
        objects = self._offload.objects
        horizon = objects.clock() - self._offload.grace
        old: dict[tuple[str, str], None] = {}
        total = young = 0
        for bucket, prefix in sorted(
            {(field.option.bucket, field.option.prefix) for table in self._tables.values() for field in table.fields}
        ):
            listed = yield partial(_InThread, partial(_listed, objects.store, bucket, prefix))
            for key, stored in listed:
                if not any(table.owns(bucket, key) for table in self._tables.values()):
                    continue
                total += 1
                if stored < horizon:
                    old[bucket, key] = None
                else:
                    young += 1
        if old:
            for table in self._tables.values():
                cursor = None
                while True:
                    page = yield partial(table.page, cursor)
                    for item in page.items:
                        for one in table.named(item):
                            old.pop((one.bucket, one.key), None)
                    cursor = page.cursor
                    if cursor is None:
                        break
        for bucket, key in old:
            yield _removing(self._offload, bucket, key)
        return Swept(total, len(old), young)


class _Table:
    """A table whose items name objects: read as it is stored, whatever its models say."""

    def __init__(self, db: Any, offload: Offload, model: type[Any]) -> None:
        schema = schema_of(model)
        offloaded = [field.name for field in schema.fields.values() if field.option(Offloaded) is not None]
        if offloaded:
            db.model(model).where(offloaded[0], "EXISTS")  # the plugins look at the model
        self._db = db
        self.stored_name: str = f"{db.config.table_prefix}{schema.table}"
        self.fields: tuple[OffloadedField, ...] = offload.fields.get(model, ())
        if not self.fields:
            raise ConfigError(
                f"{schema.name} has no field that is Offloaded, or its database does not use this Offload: db.use(offload) comes first"
            )
        self.name: str = self.fields[0].table
        self._types = self.fields[0].key_types
        self.key_names: tuple[str, ...] = tuple(name for name, _ in self._types)
        self.raw: Any = None
        self.look()

    def look(self) -> None:
        """Make the model by which items are read as they are stored, with the attributes of all fields."""
        body: dict[str, Any] = {"__module__": __name__, "__qualname__": "Raw"}
        hints: dict[str, Any] = {}
        for number, (name, kind) in enumerate(self._types):
            body[f"k{number}"] = (sort_key if number else partition_key)(name=name)
            hints[f"k{number}"] = _TYPES[kind]
        attributes = tuple(dict.fromkeys(field.attribute for field in self.fields))
        for number, attribute in enumerate(attributes):
            body[f"a{number}"] = attr(name=attribute, default=None)
            hints[f"a{number}"] = Attr[Any]
        body["__annotations__"] = hints
        table = self.stored_name.removeprefix(self._db.config.table_prefix)
        known = (table, self._types, attributes)
        self.raw = _RAW.get(known)
        if self.raw is None:  # a class is never let go of
            make: Any = type(Model)
            self.raw = _RAW[known] = make("Raw", (Model,), body, table=table)
        self._names = [name for name in hints if name.startswith("a")]

    def values(self, key: Mapping[str, Any]) -> list[Any]:
        """The values of a key of the raw model, for wire values by name. Raises: ValidationError for a key of another table."""
        found: list[Any] = []
        for name, kind in self._types:
            value = key.get(name, {}).get(kind)
            if value is None:
                raise ValidationError("the record has not the keys of the model's table")
            found.append(Decimal(value) if kind == "N" else bytes_of(key[name]) if kind == "B" else value)
        return found

    def page(self, cursor: str | None) -> Any:
        """A page of the table, read consistently."""
        return self._db.model(self.raw).select(*self._names).consistent().allow_scan().cursor(cursor).page()

    def named(self, item: Any) -> list[Pointer]:
        """The objects that an item names, in any of the attributes."""
        found = (_pointer_in(getattr(item, name)) for name in self._names)
        return [one for one in found if one is not None]

    def owns(self, bucket: str, key: str) -> bool:
        """Whether an object was stored for an item of the table."""
        return any(
            field.option.bucket == bucket
            and key.startswith(field.option.prefix)
            and key[len(field.option.prefix) :].split("/")[1:3] == [part(self.name), part(field.attribute)]
            for field in self.fields
        )

    def is_own(self, field: OffloadedField, found: Pointer, key: Mapping[str, Any]) -> bool:
        """Whether an object was stored for the field of the item with this key, whoever its tenant is."""
        framed = framed_key(tuple(key_part(name, key[name]) for name in self.key_names))
        parts = found.key[len(field.option.prefix) :].split("/")
        return self.owns(found.bucket, found.key) and len(parts) == 5 and parts[3] == sha256(framed).hexdigest()[:32]


def _pointer_in(value: Any) -> Pointer | None:
    return _pointer({"x": {"B": value}}, "x") if value.__class__ is bytes else None


def _pointer(image: Mapping[str, Any], attribute: str) -> Pointer | None:
    try:
        return pointer_of(image.get(attribute))
    except ValueError:
        return None  # it is told where it is read


def _images(record: Any) -> dict[str, Mapping[str, Any]]:
    """Keys and images of a record of a stream. Raises: ValidationError for what is none."""
    change = record.get("dynamodb") if isinstance(record, Mapping) else None
    if not isinstance(change, Mapping) or not isinstance(change.get("Keys"), Mapping):
        raise ValidationError(
            "this is no record of a stream, as AWS gives a Lambda function in event['Records'], and GetRecords in Records"
        )
    if change.get("OldImage") is None and record.get("eventName") != "INSERT":
        raise ValidationError(
            "the record has no OldImage, so that nobody knows which object was named before: the stream is to have NEW_AND_OLD_IMAGES"
        )
    return {name: change.get(name) or {} for name in ("Keys", "OldImage", "NewImage")}


def _removing(offload: Offload, bucket: str, key: str) -> Callable[[], Any]:
    return partial(_InThread, partial(offload.objects.store.delete, bucket, key))


def _listed(store: ObjectStore, bucket: str, prefix: str) -> list[tuple[str, float]]:
    return list(store.list(bucket, prefix))


class _InThread:
    """What blocks: on the asyncio face it is called in a worker thread."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function: Callable[[], Any] = function


class OffloadCleaner:
    """Removes the objects that the items of these models name no more.

    Raises: ConfigError.

    Example: ``cleaner = OffloadCleaner(db, offload, Report)``
    """

    def __init__(self, db: DB, offload: Offload, /, *models: type[Any]) -> None:
        self._cleaning = _Cleaning(db, offload, models)

    def clean(self, record: Mapping[str, Any] | StreamRecord[Any], /) -> int:
        """Remove the objects that a record of the table's stream tells to be replaced or deleted. Returns how many were.

        The record is one of ``event["Records"]`` of a Lambda function, of GetRecords, or of `DB.stream`; the stream has NEW_AND_OLD_IMAGES. It may be given several times. An
        object that is younger than ``grace`` of the `Offload` is left for `sweep`.

        Raises: ValidationError for what is no record of a table of the models; what the client of S3 raises.

        Example: ``for record in event["Records"]: cleaner.clean(record)``
        """
        return _run(self._cleaning.clean(record))

    def sweep(self) -> Swept:
        """Remove all objects that no item names, and that are older than ``grace`` of the `Offload`. The tables are read as a whole.

        Example: ``print(cleaner.sweep().removed)``
        """
        return _run(self._cleaning.sweep())


class AsyncOffloadCleaner:
    """The `OffloadCleaner` of an `AsyncDB`: the same methods, awaited.

    Raises: ConfigError.

    Example: ``cleaner = AsyncOffloadCleaner(db, offload, Report)``
    """

    def __init__(self, db: AsyncDB, offload: Offload, /, *models: type[Any]) -> None:
        self._cleaning = _Cleaning(db, offload, models)

    async def clean(self, record: Mapping[str, Any] | StreamRecord[Any], /) -> int:
        """See `OffloadCleaner.clean`."""
        return await _awaited(self._cleaning.clean(record))

    async def sweep(self) -> Swept:
        """See `OffloadCleaner.sweep`."""
        return await _awaited(self._cleaning.sweep())


def _run(steps: Steps[T]) -> T:
    result: Any = None
    while True:
        try:
            step = steps.send(result)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return] # it is not generic
        result = step()
        if isinstance(result, _InThread):
            result = result.function()


async def _awaited(steps: Steps[T]) -> T:
    result: Any = None
    while True:
        try:
            step = steps.send(result)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return] # as above
        result = step()
        if isinstance(result, _InThread):
            result = await to_thread(result.function)
        elif isawaitable(result):
            result = await result
