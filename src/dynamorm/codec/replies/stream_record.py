"""`StreamRecord`: one change of one item, as the consumer of a stream gets it. It must not know how a record is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from msgspec import DecodeError

from dynamorm.codec.family import Kind, kind_of
from dynamorm.codec.keys import StoredKey
from dynamorm.codec.library_attributes import is_guard_key, is_key_of_keys, is_system_key, key_json_of
from dynamorm.codec.strict import decoded, parts_of, read_object
from dynamorm.errors import InvalidUse, ValidationError
from dynamorm.models.schema.placed import NotReady

from .checked import StoredItem

if TYPE_CHECKING:
    from dynamorm.codec.codec import ModelCodec

M = TypeVar("M")


class ChangeKind(StrEnum):
    """What happened to the item.

    Example: ``if record.kind is ChangeKind.REMOVE: ...`` or ``if record.kind == "remove": ...``
    """

    INSERT = "insert"
    MODIFY = "modify"
    REMOVE = "remove"


if TYPE_CHECKING:

    class _Unpacked(tuple[ChangeKind, M | None, M | None], Generic[M]):
        """What a record is to a type checker, so that ``kind, old, new = record`` has three types."""

        __slots__ = ()

        def __new__(cls, *_: Any, **__: Any) -> Self: ...

else:
    _Unpacked = Generic


class StreamRecord(_Unpacked[M]):
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
        "_codec", "_known", "_raw", "_skip_unknown", "created_at", "event_id", "is_ttl_expiry", "kind", "region", "sequence_number",
        "shard", "size_bytes", "table", "view",
    )  # fmt: skip

    def __init__(
        self,
        codec: ModelCodec,
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
        skip_unknown: bool = False,
    ) -> None:
        self._codec = codec
        self._raw = raw
        self._known: dict[str, Any] = {}
        self.kind: ChangeKind = kind
        self.sequence_number: str | None = sequence_number
        self.event_id: str | None = event_id
        self.created_at: datetime | None = created_at
        self.size_bytes: int = size_bytes
        self.view: str | None = view
        self.region: str | None = region
        self.table: str | None = table
        self.is_ttl_expiry: bool = is_ttl_expiry
        """Whether DynamoDB removed the item because its time to live was over, rather than because of a delete."""
        self.shard: str | None = shard
        self._skip_unknown = skip_unknown

    @property
    def keys(self) -> tuple[Any, ...]:
        """The item's key as Python values, partition first. Every view type has it.

        To find the item, pass `stored_key`: of values, a new key is made, in the spelling of this library.

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
    def images(self) -> dict[str, dict[str, Any]]:
        """The key and the images as they are stored, in DynamoDB's form, as far as the record has them: ``Keys``, ``OldImage``, ``NewImage``.

        Example: ``record.images["Keys"] == {"id": {"S": "p1"}}``
        """
        names = {"Keys": "keys", "OldImage": "old", "NewImage": "new"}
        return {name: read_object(self._raw[own]) for name, own in names.items() if own in self._raw}

    @property
    def is_guard(self) -> bool:
        """Whether it is of a guard that the library keeps for a unique attribute, and of no item of the model.

        Readers of whole streams and events leave such records out; what they hold is no object.

        Example: ``if not record.is_guard: publish(record.new)``
        """
        return is_guard_key(read_object(self._raw["keys"]).get(self._codec.key_names[0]))

    @property
    def is_system(self) -> bool:
        """Whether it is of an item that the library keeps beside those of the model: a guard, a key, a record of its own.

        Readers of whole streams and events leave such records out. Of a record of encryption keys `old` and `new` are None.

        Example: ``if not record.is_system: publish(record.new)``
        """
        return is_system_key(read_object(self._raw["keys"]).get(self._codec.key_names[0]))

    @property
    def is_sibling(self) -> bool:
        """Whether it is of an item of another class that shares the table, and of none of the model's.

        Only an image tells. Readers of whole streams and events leave such records out; `old` and `new` are None.

        Example: ``if not record.is_sibling: publish(record.new)``
        """
        if self._codec.family is None:
            return False
        kinds = self._kinds()
        return bool(kinds) and all(kind == "sibling" for kind in kinds)

    @property
    def passed_over(self) -> bool:
        """Whether readers of whole streams and events leave it out: the library's own, a sibling, a kind that is to be skipped.

        Example: ``if not record.passed_over: handle(record)``
        """
        if self.is_system or (self._codec.keeps is not None and self._is_left_out()):
            return True
        if self._codec.family is None:
            return False
        kinds = self._kinds()
        return bool(kinds) and "own" not in kinds and (self._skip_unknown or "unknown" not in kinds)

    def _is_left_out(self) -> bool:
        """Whether the rules of the model leave out every image; of a view without images, whether they do so by its key.

        Raises: ValidationError when the view does not hold what they look at.
        """
        codec = self._codec
        assert codec.keeps is not None  # else nobody asks
        images = [self._raw[name] for name in ("new", "old") if name in self._raw]
        if not images:
            if codec.needs != ():
                raise ValidationError(
                    f"a rule of {codec.schema.name} looks at more than the key, which is all that this stream's view holds:"
                    " give the stream a view with images"
                )
            images = [self._raw["keys"]]
        try:
            return not any(codec.keeps(StoredItem(codec.class_of(read_object(raw)), raw)) for raw in images)
        except NotReady:  # it is looked at again when what that needs has been fetched
            return False

    def shown_to(self, look: Callable[[type[Any], bytes], None]) -> None:
        """Show each image, with its class, to who may refuse the record; but for those of guards and siblings."""
        if self.is_system or self.is_sibling:
            return
        for name in ("new", "old"):
            if name in self._raw:
                look(self._codec.class_of(read_object(self._raw[name])), self._raw[name])

    def _kinds(self) -> set[Kind]:
        """What the images are to the model: its own, a sibling's, or of no class that is known."""
        return {self._kind_of(self._raw[name]) for name in ("new", "old") if name in self._raw}

    def _kind_of(self, raw: bytes) -> Kind:
        schema = self._codec.schema
        with suppress(DecodeError):  # what is no item is reported by the code that decodes it
            discriminator = parts_of(raw).get(schema.discriminator or "")
            return kind_of(schema, None if discriminator is None else decoded(discriminator))
        return "own"

    def _to_prepare(self) -> bytes | None:
        """The images that become objects, as an answer with items for what prepares for these; None without any."""
        codec = self._codec
        images = [self._raw[name] for name in ("new", "old") if name in self._raw]
        shown = [raw for raw in images if codec.family is None or self._kind_of(raw) == "own"]
        return b'{"Responses":[%b]}' % b",".join([b'{"Item":%b}' % raw for raw in shown]) if shown else None

    def _image(self, raw: bytes) -> Any:
        """The object of an image; None for one of another class that is passed over, and for a record of keys."""
        if is_key_of_keys(read_object(self._raw["keys"]).get(self._codec.key_names[0])):
            return None
        if self._codec.family is not None:
            kind = self._kind_of(raw)
            if kind == "sibling" or (kind == "unknown" and self._skip_unknown):
                return None
        return self._codec.decode_shown(raw)

    @property
    def new(self) -> M | None:
        """The item as it was after the change, or None: it was removed, or the stream's view does not hold it.

        It counts as loaded: `DB.save` writes only what is changed, and only if the item is still at this version.

        Raises: ValidationError when the item does not fit the model.

        Example: ``record.new.status``
        """
        return self._once("new", self._image)  # type: ignore[no-any-return] # the codec's own object

    @property
    def old(self) -> M | None:
        """The item as it was before the change, or None: it was inserted, or the stream's view does not hold it.

        Raises: ValidationError when the item does not fit the model.

        Example: ``record.old.status``
        """
        return self._once("old", self._image)  # type: ignore[no-any-return] # the codec's own object

    def _once(self, name: str, decode: Any) -> Any:
        if name not in self._raw:
            return None
        if name not in self._known:
            self._known[name] = decode(self._raw[name])
        return self._known[name]

    if not TYPE_CHECKING:

        def __iter__(self) -> Iterator[Any]:
            """``kind, old, new = record``."""
            return iter((self.kind, self.old, self.new))

        def __len__(self) -> int:
            return 3

        def __getitem__(self, at: Any) -> Any:
            return (self.kind, self.old, self.new)[at]

    def __repr__(self) -> str:
        return f"<StreamRecord {self.kind} {self._codec.schema.name} {self.sequence_number}>"


def refuse_awaitable(result: Any) -> None:
    """Raise InvalidUse for what a coroutine function returned where a plain function is expected: nothing was done."""
    if hasattr(result, "__await__"):
        close = getattr(result, "close", None)
        if close is not None:
            close()  # otherwise Python would warn of it a second time
        raise InvalidUse("the handler is a coroutine function: use AsyncDB, or run the coroutine yourself")
