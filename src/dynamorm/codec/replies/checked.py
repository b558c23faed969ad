"""Readers that ask rules of each item that is read, before anybody gets it: which keep it, leave it out, or refuse it.

A codec with rules is a copy of the plain one, so no reader of items can pass the rules by. It must not know which rules
there are.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any

from dynamorm.codec.strict import decoded, parts_of, read_object

from .reading import Misfit

if TYPE_CHECKING:
    from dynamorm.codec.codec import ModelCodec

    from .batches import Asked, Found
    from .reading import Reading


class StoredItem:
    """An item as it is stored, for rules to look at: ``model`` is its class, ``raw`` its JSON.

    Of a read that asks for some of the attributes it holds those, the key, and what the rules have named.

    Example: ``item.get("deleted_at") is None``
    """

    __slots__ = ("_parts", "model", "raw")

    def __init__(self, model: type[Any], raw: bytes) -> None:
        self.model: type[Any] = model
        self.raw: bytes = raw
        self._parts: dict[str, Any] | None = None

    def get(self, name: str) -> dict[str, Any] | None:
        """An attribute by its stored name, in DynamoDB's form (``{"S": "text"}``); None when it is not there."""
        if self._parts is None:
            self._parts = parts_of(self.raw)
        part = self._parts.get(name)
        return None if part is None else decoded(part)

    @property
    def attributes(self) -> dict[str, Any]:
        """Every attribute by its stored name, in DynamoDB's form."""
        return read_object(self.raw)

    def __repr__(self) -> str:
        return f"<StoredItem of {self.model.__name__}>"  # what it holds is nobody's business


Keeps = Callable[[StoredItem], bool]
"""Whether the rules keep an item. It raises what they refuse it with."""


def with_rules(codec: ModelCodec, keeps: Keeps, needs: tuple[str, ...] | None) -> ModelCodec:
    """A codec that reads as this one, and gives only what ``keeps`` keeps.

    ``needs`` are the attributes, by their stored names, that it looks at besides the key; None: at all of them.
    """
    other = copy(codec)
    other.keeps = keeps
    other.needs = needs
    other.partials = {}
    other.unchecked = codec
    reading: Any = CheckedReading(codec.reading, other)
    other.reading = reading
    other.read_item, other.read_item_of = reading.item, reading.item_of
    return other


def stored_item(codec: ModelCodec, obj: Any) -> StoredItem:
    """The item of which an object was read, whole or in part."""
    cls = getattr(obj, "__partial_of__", None)
    if cls is not None:
        return StoredItem(cls, obj.__loaded__ or b"{}")
    cls = obj.__class__
    raw = (codec if cls is codec.model else codec.codec_of(cls)).loaded(obj)
    return StoredItem(cls, raw or b"{}")


class CheckedReading:
    """As the `Reading` that it stands before, of which it leaves out what the rules of the codec do not keep.

    What a write tells of its own item (`Reading.attributes`) is the caller's, and is not asked about.
    """

    def __init__(self, plain: Reading, codec: ModelCodec) -> None:
        self._plain = plain
        self._codec = codec

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def _keeps(self, obj: Any) -> bool:
        codec = self._codec
        assert codec.keeps is not None  # else this would not be its reading
        return codec.keeps(stored_item(codec, obj))

    def item(self, body: bytes) -> Any:
        """See `Reading.item`."""
        return self._kept(self._plain.item(body))

    def item_of(self, key: bytes | None, body: bytes) -> Any:
        """See `Reading.item_of`."""
        return self._kept(self._plain.item_of(key, body))

    def shown(self, raw: bytes) -> Any:
        """The object of one item's JSON, or None."""
        return self._kept(self._plain.decode(raw))

    def _kept(self, obj: Any) -> Any:
        return obj if obj is None or self._keeps(obj) else None

    def page(self, body: bytes, *, lenient: bool = False) -> tuple[list[Any], bytes | None, int, int, list[int]]:
        """See `Reading.page`; besides, which of the items of the reply were kept, by their numbers."""
        objects, last_key, count, scanned = self._plain.page(body, lenient=lenient)
        places = [at for at, obj in enumerate(objects) if obj.__class__ is Misfit or self._keeps(obj)]
        return [objects[at] for at in places], last_key, count, scanned, places

    @property
    def batch(self) -> CheckedBatch:
        """See `Reading.batch`."""
        return CheckedBatch(self)

    def batch_of(self, body: bytes, asked: Asked) -> Found:
        """See `BatchReading.read`."""
        objects, unprocessed = self._plain.batch.read(body, asked)
        return [(at, obj) for at, obj in objects if self._keeps(obj)], unprocessed


class CheckedBatch:
    """As `BatchReading`, of which it leaves out what the rules do not keep."""

    def __init__(self, reading: CheckedReading) -> None:
        self.read: Callable[[bytes, Asked], Found] = reading.batch_of
