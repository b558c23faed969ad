"""Readers that ask rules of each item that is read, before anybody gets it: which keep it, leave it out, or refuse it.

A codec with rules is a copy of the plain one, so no reader of items can pass the rules by. It must not know which rules
there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

from msgspec import UNSET as U
from msgspec import UnsetType, defstruct
from msgspec.json import Decoder

from dynamorm.codec.strict import decoded, dumps, parts_of, read_object
from dynamorm.errors import ConfigError

from .known import looks_at

if TYPE_CHECKING:
    from dynamorm.codec.codec import ModelCodec
    from dynamorm.models.schema.rules import KnownText

    from .batches import Asked, Found
    from .known import Looks as KnownLooks
    from .reading import PageParts, Reading


class Looks:
    """What a rule may look at of an item: the attributes of these stored names. They alone are decoded."""

    __slots__ = ("fields", "read")

    def __init__(self, names: Iterable[str]) -> None:
        self.fields: dict[str, str] = {name: f"a{at}" for at, name in enumerate(sorted(set(names)))}
        fields: Any = [(field, Any, U) for field in self.fields.values()]
        rename = {field: name for name, field in self.fields.items()}
        self.read: Callable[[bytes], Any] = Decoder(defstruct("LookedAt", fields, rename=rename, gc=False)).decode


class StoredItem:
    """An item as it is stored, for rules to look at: ``model`` is its class, ``raw`` its JSON.

    Of a read that asks for some of the attributes it holds those, the key, and what the rules have named. ``is_decoded``: an
    object is made of it; else it is only asked whether it is there for the caller.

    Example: ``item.get("deleted_at") is None``
    """

    __slots__ = ("_looks", "_parts", "_whole", "is_decoded", "model", "raw")

    def __init__(
        self, model: type[Any], raw: bytes, *, is_decoded: bool = True, whole: dict[str, Any] | None = None
    ) -> None:
        self.is_decoded: bool = is_decoded
        self.model: type[Any] = model
        self.raw: bytes = raw
        self._parts: Any = None
        self._looks: Looks | None = None  # None: at all
        self._whole: dict[str, Any] | None = (
            whole  # what the JSON holds, where it was decoded already and is nobody's else
        )

    def seen_by(self, looks: Looks | None) -> StoredItem:
        """The same item for a rule that has named what it looks at."""
        if looks is not self._looks:
            self._looks, self._parts = looks, None
        return self

    def get(self, name: str) -> dict[str, Any] | None:
        """An attribute by its stored name, in DynamoDB's form (``{"S": "text"}``); None when it is not there."""
        looks = self._looks
        if looks is not None:
            field = looks.fields.get(name)
            if field is None:
                raise ConfigError(
                    f"a rule of {self.model.__name__} looks at {name!r}, which is not among its attributes"
                    f" ({', '.join(looks.fields)}): name it there by its stored name, for a read of parts fetches these alone"
                )
            if self._parts is None:
                self._parts = looks.read(self.raw)
            value: dict[str, Any] | UnsetType = getattr(self._parts, field)
            return None if value is U else value
        if self._parts is None:
            self._parts = parts_of(self.raw)
        part = self._parts.get(name)
        return None if part is None else decoded(part)

    @property
    def attributes(self) -> dict[str, Any]:
        """Every attribute by its stored name, in DynamoDB's form."""
        if self._looks is not None:
            raise ConfigError(
                f"a rule of {self.model.__name__} looks at all attributes, and names some: say attributes = None, or item.get(name)"
            )
        whole, self._whole = self._whole, None  # once: who is given it may change it
        return read_object(self.raw) if whole is None else whole

    def __repr__(self) -> str:
        return f"<StoredItem of {self.model.__name__}>"  # what it holds is nobody's business


Keeps = Callable[[StoredItem], bool]
"""Whether the rules keep an item. It raises what they refuse it with."""


def with_rules(
    codec: ModelCodec,
    keeps: Keeps,
    needs: tuple[str, ...] | None,
    by_key: Keeps | None,
    known: Sequence[KnownText] | None = None,
) -> ModelCodec:
    """A codec that reads as this one, and gives only what ``keeps`` keeps.

    ``needs`` are the attributes, by their stored names, that it looks at besides the key; None: at all of them. ``by_key``
    are those of the rules that look at the key alone, None where there are none. ``known`` are the texts by which an item is
    known to be kept, None where there are no such ones.
    """
    other = copy(codec)
    other.keeps = keeps
    other.needs = None if needs is None else tuple(dict.fromkeys((*needs, *(codec.needs or ()))))
    other.partials = {}
    other.keyed = codec if by_key is None else with_rules(codec, by_key, (), None)
    reading: Any = CheckedReading(codec.reading, other, None if known is None else looks_at(codec.record, known))
    other.reading = reading
    other.read_item, other.read_item_of = reading.item, reading.item_of
    return other


class CheckedReading:
    """As the `Reading` that it stands before, of which it leaves out what the rules of the codec do not keep.

    They look at an item before it is decoded, for one that is left out may be unreadable here: it is somebody else's.
    What a write tells of its own item (`Reading.attributes`) is the caller's, and is not asked about.
    """

    def __init__(self, plain: Reading, codec: ModelCodec, looks: KnownLooks | None = None) -> None:
        self._plain = plain
        self._codec = codec
        self._looks = looks
        # These are quicker than a `partial` with keywords, which makes a dict for each call.
        keeps, item_of, page = self.keeps, plain.item_of, plain.page

        def item(body: bytes) -> Any:
            return item_of(None, body, keeps, looks)

        def kept_item_of(key: bytes | None, body: bytes) -> Any:
            return item_of(key, body, keeps, looks)

        def kept_page(body: bytes, *, lenient: bool = False) -> PageParts:
            return page(body, lenient=lenient, keeps=keeps, looks=looks)

        self.item: Callable[[bytes], Any] = item
        """See `Reading.item`."""
        self.item_of: Callable[[bytes | None, bytes], Any] = kept_item_of
        """See `Reading.item_of`."""
        self.page: Callable[..., PageParts] = kept_page
        """See `Reading.page`; besides, which of the items of the reply were kept, by their numbers, unless all are."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def keeps(self, raw: bytes, item: dict[str, Any] | None) -> bool:
        """Whether the rules keep an item, given as JSON and as plain value. What is no item is for the reader to refuse."""
        codec = self._codec
        keeps = codec.keeps
        assert keeps is not None  # else this would not be its reading
        if item is None:
            return keeps(StoredItem(codec.model, raw, is_decoded=False))
        return item.__class__ is not dict or keeps(StoredItem(codec.class_of(item), raw))

    def shown(self, raw: bytes) -> Any:
        """The object of one item's JSON, or None."""
        if self._looks is not None:
            obj = self._plain.known(raw, self._looks)
            if obj is not None:
                return obj
        return self._plain.decode(raw) if self.keeps(raw, read_object(raw)) else None

    def read_batch(self, body: bytes, asked: Asked) -> Found:
        """See `BatchReading.read`: what is left out is not there."""
        if self._looks is not None:
            found = self._plain.read_batch(body, asked, self._looks[1])
            if found is not None:
                return found
        reply = read_object(body)
        tables = reply.get("Responses")
        if isinstance(tables, dict):
            for items in tables.values():
                if isinstance(items, list):
                    items[:] = [item for item in items if self.keeps(dumps(item), item)]
        return self._plain.read_batch(dumps(reply), asked)
