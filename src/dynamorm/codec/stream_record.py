"""`StreamRecord`: one change of one item, as the consumer of a stream gets it. It must not know how a record is read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .keys import StoredKey
from .replies import read_object
from .system import is_guard_key, key_json_of

if TYPE_CHECKING:
    from .generate import Codec

M = TypeVar("M")


class ChangeKind(StrEnum):
    """What happened to the item.

    Example: ``if record.kind is ChangeKind.REMOVE: ...`` or ``if record.kind == "remove": ...``
    """

    INSERT = "insert"
    MODIFY = "modify"
    REMOVE = "remove"


class StreamRecord(Generic[M]):
    """One change of one item, unpacked as ``kind, old, new = record``.

    ``kind`` is a `ChangeKind`. ``sequence_number`` orders the records of one shard, ``event_id`` is DynamoDB's id of the
    record, ``created_at`` about when the change was made (UTC; None when the record does not say), ``size_bytes`` its
    size, ``view`` the stream's view type (``"NEW_AND_OLD_IMAGES"``, ...), ``region`` where it was made, ``table`` the
    table's name when the record tells it (a Lambda event does), ``shard`` the shard it was read from, if any.

    Images are decoded when they are first asked for, so that a record whose item does not fit the model can still be
    told by its ``keys`` and passed over.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html

    Example::

        kind, old, new = decode(record, Payment)
        if kind is ChangeKind.MODIFY and old.status != new.status:
            ...
    """

    __slots__ = (
        "_codec", "_known", "_raw", "created_at", "event_id", "is_ttl_expiry", "kind", "region", "sequence_number",
        "shard", "size_bytes", "table", "view",
    )  # fmt: skip

    def __init__(
        self,
        codec: Codec,
        raw: dict[str, bytes],
        *,
        kind: ChangeKind,
        sequence_number: str | None,
        event_id: str | None = None,
        created_at: datetime | None = None,
        size_bytes: int = 0,
        view: str | None = None,
        region: str | None = None,
        table: str | None = None,
        is_ttl_expiry: bool = False,
        shard: str | None = None,
    ) -> None:
        self._codec = codec
        self._raw = raw
        self._known: dict[str, Any] = {}
        self.kind = kind
        self.sequence_number = sequence_number
        self.event_id = event_id
        self.created_at = created_at
        self.size_bytes = size_bytes
        self.view = view
        self.region = region
        self.table = table
        self.is_ttl_expiry = is_ttl_expiry
        """Whether DynamoDB removed the item because its time to live was over, rather than somebody's delete."""
        self.shard = shard

    @property
    def keys(self) -> tuple[Any, ...]:
        """The item's key as Python values, partition first. Every view type has it.

        To find the item, pass `stored_key`: of values, a key is made anew, in the spelling of this library.

        Raises: ValidationError when the key is not of the model's types.

        Example: ``merchant, number = record.keys``
        """
        return self._once("keys", self._codec.key_values)  # type: ignore[no-any-return] # the codec's own values

    @property
    def stored_key(self) -> StoredKey:
        """The item's key as it is stored, which another program may spell otherwise; for every verb that takes a key.

        Example: ``db.get(Payment, record.stored_key)``
        """
        names = self._codec.key_names
        return StoredKey(key_json_of(self._raw["keys"], names), names)

    @property
    def is_guard(self) -> bool:
        """Whether it is of a guard that the library keeps for a unique attribute, and of no item of the model.

        Readers of whole streams and events leave such records out; what they hold is no object.

        Example: ``if not record.is_guard: publish(record.new)``
        """
        return is_guard_key(read_object(self._raw["keys"]).get(self._codec.key_names[0]))

    @property
    def new(self) -> M | None:
        """The item as it was after the change, or None: it was removed, or the stream's view does not hold it.

        It counts as loaded: `DB.save` writes only what is changed, and only if the item is still at this version.

        Raises: ValidationError when the item does not fit the model.

        Example: ``record.new.status``
        """
        return self._once("new", self._codec.decode)  # type: ignore[no-any-return] # the codec's own object

    @property
    def old(self) -> M | None:
        """The item as it was before the change, or None: it was inserted, or the stream's view does not hold it.

        Raises: ValidationError when the item does not fit the model.

        Example: ``record.old.status``
        """
        return self._once("old", self._codec.decode)  # type: ignore[no-any-return] # the codec's own object

    def _once(self, name: str, decode: Any) -> Any:
        if name not in self._raw:
            return None
        if name not in self._known:
            self._known[name] = decode(self._raw[name])
        return self._known[name]

    def __iter__(self) -> Iterator[Any]:
        """``kind, old, new = record``."""
        return iter((self.kind, self.old, self.new))

    def __repr__(self) -> str:
        return f"<StreamRecord {self.kind} {self._codec.schema.name} {self.sequence_number}>"


def refuse_awaitable(result: Any) -> None:
    """Raise TypeError for what a coroutine function returned where a plain function is expected: nothing was done."""
    if hasattr(result, "__await__"):
        close = getattr(result, "close", None)
        if close is not None:
            close()  # or Python would warn of it a second time
        raise TypeError("the handler is a coroutine function: use AsyncDB, or run the coroutine yourself")
