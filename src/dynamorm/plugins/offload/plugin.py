"""`Offload`, the plugin: it claims the option, lets objects be stored before a write is sent, and fetches those of an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from time import time
from typing import TYPE_CHECKING, Any, Final

from dynamorm.arguments import check_count, check_seconds
from dynamorm.effects import Flow
from dynamorm.errors import ConfigError, ModelError, OffloadError, TenantRequired
from dynamorm.plugin import OfOneProcess, ReadRule, framed_key, key_part

from .field import STALE, Objects, OffloadedField
from .option import Offloaded
from .pointer import IN_JSON
from .store import store_of

if TYPE_CHECKING:
    from dynamorm.codec.replies.checked import StoredItem
    from dynamorm.plugin import Call, CallFlow

LEAST_GRACE: Final = 2 * STALE
"""Seconds after which no copy of a request that names an object can still arrive."""


class Offload(OfOneProcess):
    """Stores the large values of fields that say `Offloaded` in S3.

    Args:
        client: a client of S3, such as ``boto3.client("s3")``, or an `dynamorm.plugins.offload.ObjectStore`.
        grace: the time for which an object that no item names is left alone, in seconds or as a timedelta; at least an hour. A write that
            is still under way, or a late copy of one, may name it.
        timeout: the seconds after which a request to S3 is given up.
        cache: the bytes of objects that are kept, so that a `save` of a loaded object need not fetch them again.

    Raises: ConfigError for what is no client, ValidationError for other arguments.

    Example: ``db.use(Offload(boto3.client("s3")))``
    """

    name: str = "offload"
    options: tuple[type[Any], ...] = (Offloaded,)

    def __init__(
        self,
        client: Any,
        *,
        grace: float | timedelta = 86_400.0,
        timeout: float | timedelta = 60.0,
        cache: int = 64 * 1024 * 1024,
        clock: Callable[[], float] = time,
    ) -> None:
        self.grace: float = check_seconds("grace", grace, LEAST_GRACE, 1e9)
        self.objects: Objects = Objects(
            store_of(client), clock, check_seconds("timeout", timeout, 0.001, 86_400.0), check_count("cache", cache, 0)
        )
        self.fields: dict[type[Any], tuple[OffloadedField, ...]] = {}
        self._table_prefix: str | None = None

    def joined(self, db: Any) -> None:
        """See `dynamorm.plugin`. Raises: ConfigError."""
        prefix: str = db.config.table_prefix
        if self._table_prefix not in {None, prefix}:
            raise ConfigError(
                f"this Offload is of a database whose tables begin with {self._table_prefix!r}, which the keys of its objects say: make another one"
                " for this database"
            )
        self._table_prefix = prefix

    def model(self, schema: Any) -> Any:
        """See `dynamorm.plugin`. Raises: ModelError."""
        for field in schema.fields.values():
            if field.option(Offloaded) is None:
                continue
            for option in field.options:
                if getattr(option, "unclaimed", None) is not None:
                    raise ModelError(
                        f"{schema.name}.{field.name} is Offloaded, which goes with no {type(option).__name__}: what lies in S3 is encrypted there, by"
                        " a key of the bucket"
                    )
        return schema

    def field(self, schema: Any, field: Any) -> OffloadedField | None:
        """See `dynamorm.plugin`. Raises: ModelError."""
        option = field.option(Offloaded)
        if option is None:
            return None
        if schema.key is None or schema.table is None:
            raise ModelError(f"{schema.name}.{field.name} is Offloaded: only attributes of items of a table can be")
        table = f"{self._table_prefix or ''}{schema.crypto_name or schema.table}"
        made = OffloadedField(schema, field, option, self.objects, table)
        others = tuple(other for other in self.fields.get(schema.model, ()) if other.attribute != made.attribute)
        self.fields[schema.model] = (*others, made)
        return made

    def read_rule(self, schema: Any) -> ReadRule | None:
        """See `dynamorm.plugin`."""
        fields = self.fields.get(schema.model, ())
        return Fetching(schema, fields, self.objects) if fields else None

    def around(self, call: CallFlow) -> CallFlow:
        """See `dynamorm.plugin`."""

        def sending(request: Call) -> Flow[Any]:
            if IN_JSON in request.body and request.writes:
                self.objects.sent(request.body)
            return (yield from call(request))

        return sending


class Fetching(ReadRule):
    """Fetches the objects of the items of an answer, before these are decoded."""

    def __init__(self, schema: Any, fields: Sequence[OffloadedField], objects: Objects) -> None:
        self._key_names = tuple(schema.fields[name].stored for name in schema.key.fields)
        self._fields = fields
        self._objects = objects

    def prepare(self, items: Sequence[StoredItem], scope: Mapping[str, str]) -> Flow[None]:
        """See `dynamorm.plugin.ReadRule`. What is wrong with an object is told where it is decoded."""
        wanted = []
        for item in items:
            attributes = item.attributes
            place = Place(self._key_names, attributes, scope)
            for field in self._fields:
                try:
                    found = field.named(attributes.get(field.attribute), place)
                except (OffloadError, TenantRequired):
                    continue
                if found is not None:
                    wanted.append(found)
        yield from self._objects.fetch_all(wanted)


class Place:
    """Where an item that was read is stored: what an `OffloadedField` asks of a place."""

    __slots__ = ("_attributes", "_names", "scope")

    def __init__(self, names: tuple[str, ...], attributes: Mapping[str, Any], scope: Mapping[str, str]) -> None:
        self._names = names
        self._attributes = attributes
        self.scope: Mapping[str, str] = scope

    def attribute(self, name: str) -> Any:
        """An attribute of the item."""
        return self._attributes.get(name)

    @property
    def framed(self) -> bytes:
        """See `dynamorm.plugin.PlacedField`."""
        return framed_key(tuple(key_part(name, self._attributes.get(name) or {"S": ""}) for name in self._names))
