"""Replies to objects: the typed fast path, with its proof that no key came twice, and the careful path after it.

The typed decoder ignores what it does not know and keeps the last of two equal keys. Re-encoding what it kept gives
as many bytes as came only if nothing was ignored and nothing came twice, because msgspec writes the shortest JSON
there is and never a longer form than it read. Any difference (white space, escapes, attributes the model does not
know, a duplicate key) leads to `read_object`, which decides.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from msgspec import UNSET as U
from msgspec import Raw, UnsetType, defstruct
from msgspec.json import Decoder

from dynamorm.codec.address import check as check_address
from dynamorm.codec.address import is_of, leads
from dynamorm.codec.strict import (
    as_sent,
    beside,
    check_item,
    dumps,
    dumps_each,
    last_key,
    member_of,
    only_consumed,
    prove,
    raw_item,
    raw_page,
    read_object,
    scanned,
)
from dynamorm.codec.tours import Walks
from dynamorm.codec.types.document import from_wire
from dynamorm.codec.types.mismatch import Mismatch
from dynamorm.codec.types.numbers import int_of
from dynamorm.codec.types.records import Record
from dynamorm.codec.types.scalars import SCALARS
from dynamorm.codec.types.shapes import GENERIC, Shape, wire_struct
from dynamorm.codec.types.source import Source
from dynamorm.errors import DynamORMError, MalformedResponse
from dynamorm.models.schema.schema import TOKEN_ATTRIBUTE

if TYPE_CHECKING:
    from dynamorm.codec.codec import ModelCodec

    from .batches import ReadBatch  # only batches need it
    from .known import Looks

MANY: Final = 256
"""Items of a page from which on equal texts are held once: it costs an eighth of the decoding, and saves a quarter of the memory."""


class Misfit:
    """What stands in a page for an item that does not fit the model: why."""

    __slots__ = ("error",)

    def __init__(self, error: DynamORMError) -> None:
        self.error: DynamORMError = error


_CONSUMED: Final[Any] = ("ConsumedCapacity", Raw | UnsetType, U)
"""The member of a reply that tells what a request cost, where it was asked for: nothing is done with it here."""

PageParts = tuple[list[Any], bytes | None, int, int, list[int] | None]
"""Objects, the last key, the counts of the items and of those that were looked at, and which were kept; None: all."""

KeepsRaw = Callable[[bytes, dict[str, Any] | None], bool]
"""Whether an item is given out, by its JSON and its value; without its value where it is one of the model's own class."""


_DECODERS: Final = frozenset({"_item", "_reply", "_attributes_reply", "_page", "_make_many", "_version_of", "_ring_of"})
"""What is made on first use, and has nothing to do with keys."""


class Reading:
    """The readers of one codec. Decoders are made on first use: most models need only some of them."""

    def __init__(self, codec: ModelCodec, key_names: tuple[str, ...] = ()) -> None:
        self._codec = codec
        self._family = codec.family
        self._names = codec.record.wire_names()
        self._renamed = codec.renamed
        self._make: Callable[[Any, bytes | None], Any] = codec._decode  # noqa: SLF001 - one unit with its codec
        self._reader = self._keeping if codec.nests else self._read
        self.starts: tuple[bytes, ...] = leads(key_names)

    def of(self, codec: ModelCodec) -> Reading:
        """The same readers for another codec of the model: only its keys are others."""
        other = type(self)(codec, codec.key_names)
        made = {name: value for name, value in vars(self).items() if name in _DECODERS}
        vars(other).update(made)
        return other

    def forget_pages(self) -> None:
        """Make what makes the objects of large pages anew, when it is needed: it is of another scope."""
        vars(self).pop("_make_many", None)

    @cached_property
    def _texts(self) -> bool:
        """Whether an item that is written again begins with its key, as the texts that came: the key is of plain texts.

        Other keys may come in a second form: a UUID in capitals, the bytes of a binary with other padding.
        """
        plans = {plan.stored: plan for plan in self._codec.record.plans}
        keys = [plans[name] for name in self._codec.key_names if name in plans]
        return len(keys) == len(self._codec.key_names) > 0 and all(
            plan.shape.payload() is str and not plan.shape.null for plan in keys
        )

    @cached_property
    def _item(self) -> Callable[[bytes], Any]:
        return Decoder(self._codec.record.struct()).decode

    @cached_property
    def _reply(self) -> Callable[[bytes], Any]:
        wire = self._codec.record.struct()
        fields: Any = [("Item", wire | UnsetType, U), _CONSUMED]
        return Decoder(defstruct("ItemReply", fields, gc=False)).decode

    @cached_property
    def _attributes_reply(self) -> Callable[[bytes], Any]:
        wire = self._codec.record.struct()
        fields: Any = [("Attributes", wire | UnsetType, U), _CONSUMED]
        return Decoder(defstruct("AttributesReply", fields, gc=False)).decode

    @cached_property
    def _page(self) -> Callable[[bytes], Any]:
        items: Any = list[self._codec.record.struct()]  # type: ignore[misc] # a type made at run time
        fields: Any = [
            ("Items", items),
            ("Count", int),
            ("ScannedCount", int | UnsetType, U),
            ("LastEvaluatedKey", Raw | UnsetType, U),
            _CONSUMED,
        ]
        return Decoder(defstruct("PageReply", fields, kw_only=True, gc=False)).decode

    @cached_property
    def _make_many(self) -> Callable[[list[Any], list[bytes]], list[Any]]:
        """Makes the objects of a large page, which hold each text once that comes in one item after the other."""
        source = Source()
        record, make = self._codec.record, self._make
        name = record.page_decoder(source) if record.cls is self._codec.model else None  # not of partial objects
        if name is None:
            return lambda wires, raws: list(map(make, wires, raws))
        source.compile(f"{self._codec.schema.name} pages")
        make_many: Callable[..., list[Any]] = source.names[name]
        return partial(make_many, scope=self._codec.scope) if record.is_placed else make_many

    # ------------------------------------------------------------------------------------------------------ one item

    def decode(self, raw: bytes) -> Any:
        """See `ModelCodec.decode`."""
        if self._family is None:
            try:
                wire = self._item(raw)
                if len(dumps(wire)) == len(raw):
                    return self._make(wire, raw)
            except Exception:  # noqa: BLE001, S110 - the careful path says what is wrong, and of which item
                pass
        return self._proven(raw, read_object(raw))

    def known(self, raw: bytes, looks: Looks) -> Any:
        """The object of an item that ``looks`` know, and that is plainly what it should be; else None."""
        try:
            wire = self._item(raw)
            if len(dumps(wire)) == len(raw) and looks[0](wire):
                return self._make(wire, raw)
        except Exception:  # noqa: BLE001, S110 - the careful path says what is wrong
            pass
        return None

    def _proven(self, raw: bytes, item: dict[str, Any]) -> Any:
        """Decode one item whose JSON is known to have no key twice; ``item`` is its plain value. An error tells its key."""
        try:
            return self._reader(raw, item)
        except DynamORMError as error:
            if error.key is None:
                error.key = self._key(item)
            raise

    def _tried(self, raw: bytes, item: dict[str, Any]) -> Any:
        """As `_proven`; of an item that does not fit the model, a `Misfit`."""
        try:
            return self._proven(raw, item)
        except MalformedResponse:
            raise
        except DynamORMError as error:
            return Misfit(error)

    def _key(self, item: dict[str, Any]) -> tuple[Any, ...] | None:
        """The key of an item that cannot be read, as far as that can."""
        schema = self._codec.schema
        values = []
        for name in () if schema.key is None else schema.key.fields:
            wire: Any = item.get(schema.fields[name].stored)
            try:
                values.append(self._codec.careful.decode_field(name, wire))
            except (DynamORMError, KeyError):
                try:
                    values.append(from_wire(wire))
                except Mismatch:
                    return None
        return tuple(values) or None

    def _read(self, raw: bytes, item: dict[str, Any]) -> Any:
        codec = None if self._family is None else self._family.codec(item)
        if codec is not None:
            return codec.reading._proven(raw, item)  # noqa: SLF001 - the reader of a subclass
        if self._renamed:
            check_item(item)
            if self._codec.record.members(item) is not item:
                return self._codec.careful.decode(item, raw)
        try:
            wire = self._item(raw)
            # What the model knows is checked by decoding it.
            check_item({name: item[name] for name in item.keys() - self._names})
            return self._make(wire, raw)
        except DynamORMError:
            raise
        except Exception:  # noqa: BLE001, S110 - the careful path says what is wrong
            pass
        check_item(item)
        return self._codec.careful.decode(item, raw)

    def _keeping(self, raw: bytes, item: dict[str, Any]) -> Any:
        """As `_read`; what the classes of nested objects do not know is kept."""
        obj = self._read(raw, item)
        if obj.__class__ is self._codec.model and self._loses(item):  # the reader of a subclass has done it already
            self._codec.inner.gather(obj, raw, item)
        return obj

    def _loses(self, item: dict[str, Any]) -> bool:
        """Whether the typed decoder may have left out anything inside the attributes it knows: if so, their JSON is shorter."""
        if self._opaque:
            return True
        try:
            encoded = dumps({name: wire for name, wire in item.items() if name in self._names})
            return len(dumps(self._item(encoded))) != len(encoded)
        except Exception:  # noqa: BLE001 - there are other forms of values than ours
            return True

    @cached_property
    def _opaque(self) -> bool:
        """Whether the length of what is decoded does not tell: there are objects that the typed decoder hands on as they come."""
        return _hides_objects(self._codec.record, set())

    def item(self, body: bytes) -> Any:
        """The object in a reply to GetItem, or None when the reply says there is none.

        Raises: MalformedResponse for any other body; ValidationError when the item does not fit the model.
        """
        return self.item_of(None, body)

    def item_of(self, key: bytes | None, body: bytes, keeps: KeepsRaw | None = None, looks: Looks | None = None) -> Any:
        """As `item`; ``key`` is the JSON of the key that was asked for. Raises: MalformedResponse for another item.

        ``keeps`` is asked before there is an object, unless ``looks`` know the item; None also for one that it does not keep.
        """
        if self._family is None:
            try:
                reply = self._reply(body)
                wire, consumed = reply.Item, reply.ConsumedCapacity
                if wire is U:
                    if consumed is not U and only_consumed(body, consumed):
                        return None
                elif len(text := dumps(reply)) == len(body):
                    # Only {"Item": ...} has this length, or with ConsumedCapacity beside it.
                    raw = body[8:-1] if consumed is U else beside(body, 8, consumed)
                    if key is None or (self._texts and text.startswith(key[:-1], 8)) or is_of(raw, key, self.starts):
                        is_kept = keeps is None or (looks is not None and looks[0](wire)) or keeps(raw, None)
                        return self._make(wire, raw) if is_kept else None
            except Exception:  # noqa: BLE001, S110 - the careful path says what is wrong, and of which item
                pass
        return self._careful_reply(body, "Item", key, keeps)

    def attributes(self, body: bytes, key: bytes | None = None) -> Any:
        """The object in the ``Attributes`` of a write's reply, or None when it has none.

        Raises: as `item_of`.
        """
        if self._family is None:
            try:
                reply = self._attributes_reply(body)
                wire, consumed = reply.Attributes, reply.ConsumedCapacity
                if wire is U:
                    if consumed is not U and only_consumed(body, consumed):
                        return None
                elif len(text := dumps(reply)) == len(body):
                    raw = body[14:-1] if consumed is U else beside(body, 14, consumed)
                    if key is None or (self._texts and text.startswith(key[:-1], 14)) or is_of(raw, key, self.starts):
                        return self._make(wire, raw)
            except Exception:  # noqa: BLE001, S110 - the careful path says what is wrong, and of which item
                pass
        return self._careful_reply(body, "Attributes", key)

    def attributes_json(self, body: bytes, key: bytes) -> bytes | None:
        """The JSON of the attributes in a write's reply, or None. Raises: MalformedResponse."""
        raw = self._attributes_json(body)
        if raw is not None:
            check_address(raw, key, self.starts)
        return raw

    def _attributes_json(self, body: bytes) -> bytes | None:
        if self._family is None:
            try:
                reply = self._attributes_reply(body)
                wire, consumed = reply.Attributes, reply.ConsumedCapacity
                if wire is U:
                    if consumed is not U and only_consumed(body, consumed):
                        return None
                elif len(dumps(reply)) == len(body):
                    raw = body[14:-1] if consumed is U else beside(body, 14, consumed)
                    # Whatever has the form of an attribute value of this model's decodes.
                    self._make(wire, raw)
                    return raw
            except Exception:  # noqa: BLE001, S110 - the careful path says what is wrong
                pass
        return raw_item(body, "Attributes")

    def _careful_reply(self, body: bytes, member: str, key: bytes | None, keeps: KeepsRaw | None = None) -> Any:
        if body == b"{}":
            return None
        pair = member_of(body, member)
        if pair is None:
            return None
        # Before the address, for a rule may know more of an item that was not asked for than that.
        is_kept = keeps is None or keeps(*pair)
        if key is not None:
            check_address(pair[0], key, self.starts)
        return self._proven(*pair) if is_kept else None

    # --------------------------------------------------------------------------------------------------------- pages

    def page(
        self,
        body: bytes,
        *,
        lenient: bool = False,
        keeps: KeepsRaw | None = None,
        looks: Looks | None = None,
    ) -> PageParts:
        """See `ModelCodec.read_page`. Where ``keeps`` does not keep all items, the places of those it keeps come last.

        It is not asked where ``looks`` know them all.
        """
        if self._family is None:
            try:
                reply = self._page(body)
                items = reply.Items
                count = reply.Count
                raws = dumps_each(items)
                reply.Items = []
                # The items, the commas between them, and the rest of the reply.
                length = sum(map(len, raws)) + max(len(raws) - 1, 0) + len(dumps(reply))
                if length == len(body) and count == len(items):
                    consumed = reply.ConsumedCapacity
                    if consumed is not U:
                        prove(consumed)
                    if raws and self.respells:
                        raws = as_sent(body, b'"Items":[', raws, consumed)
                    places: list[int] | None = None
                    if keeps is not None and not (looks is not None and looks[1](items)):
                        places = [at for at, raw in enumerate(raws) if keeps(raw, None)]
                        if len(places) == count:
                            places = None
                        else:
                            items, raws = [items[at] for at in places], [raws[at] for at in places]
                    if count >= MANY:
                        objects = self._make_many(items, raws)
                    else:
                        make = self._make
                        objects = [make(wire, raw) for wire, raw in zip(items, raws, strict=True)]
                    return objects, last_key(reply.LastEvaluatedKey), count, scanned(reply), places
            except Exception:  # noqa: BLE001, S110 - the careful path says what is wrong, and of which item
                pass
        return self._careful_page(body, lenient=lenient, keeps=keeps)

    def _careful_page(self, body: bytes, *, lenient: bool, keeps: KeepsRaw | None) -> PageParts:
        page = raw_page(body)
        for item in page.items:
            if item.__class__ is not dict:
                check_item(item)
        read = self._tried if lenient else self._proven
        pairs = list(zip(page.raws, page.items, strict=True))
        places = None if keeps is None else [at for at, pair in enumerate(pairs) if keeps(*pair)]
        if places is not None and len(places) < len(pairs):
            return [read(*pairs[at]) for at in places], page.last_key, page.count, page.scanned, places
        return [read(*pair) for pair in pairs], page.last_key, page.count, page.scanned, None

    @cached_property
    def respells(self) -> bool:
        """Whether an item that is written again may differ from what came, and be as long: a UUID in capitals does."""
        return _holds_uuid(self._codec.record, set())

    @cached_property
    def read_batch(self) -> ReadBatch:
        """Reads replies to BatchGetItem: see `BatchReading.read`."""
        from .batches import BatchReading  # only batches need it

        return BatchReading(self, self._codec.table or "").read

    # -------------------------------------------------------------------------------------------------------- details

    @cached_property
    def _version_of(self) -> Callable[[bytes], Any] | None:
        field = self._codec.schema.version
        if field is None:
            return None
        kind: Any = wire_struct("N", str, null=False) | UnsetType
        reader: Any = defstruct("Version", [("version", kind, U)], rename={"version": field.stored}, gc=False)
        return Decoder(reader).decode

    def version(self, raw: bytes) -> int | None:
        """See `ModelCodec.known_version`."""
        if self._version_of is None:
            return None
        try:
            wire = self._version_of(raw).version
            return None if wire is U else int_of(wire.N)
        except Exception:  # noqa: BLE001 - somebody else's attribute of that name is no version of ours
            return None

    @cached_property
    def _ring_of(self) -> Callable[[bytes], Any]:
        kind: Any = wire_struct("B", bytes, null=False) | UnsetType
        return Decoder(defstruct("Ring", [("ring", kind, U)], rename={"ring": TOKEN_ATTRIBUTE}, gc=False)).decode

    def ring(self, raw: bytes) -> bytes:
        """See `ModelCodec.ring`."""
        try:
            wire = self._ring_of(raw).ring
        except Exception:  # noqa: BLE001 - somebody else's attribute of that name holds no tokens of ours
            return b""
        ring: bytes = b"" if wire is U else wire.B
        return ring


def _hides_objects(shape: Shape, seen: set[int]) -> bool:
    """Whether values of this shape, or inside it, come as plain maps and are objects, or hold some."""
    if id(shape) in seen:
        return False
    seen.add(id(shape))
    inside = [plan.shape for plan in shape.plans] if isinstance(shape, Record) else shape.children()
    if any(_hides_objects(inner, seen) for inner in inside):
        return True
    return (not shape.tag or shape.payload() is GENERIC) and Walks().of(shape) is not None


def _holds_uuid(shape: Shape, seen: set[int]) -> bool:
    """Whether msgspec reads a UUID anywhere in values of this shape."""
    if id(shape) in seen:
        return False
    seen.add(id(shape))
    if isinstance(shape, Record):
        return any(_holds_uuid(plan.shape, seen) for plan in shape.plans)
    return shape is SCALARS[UUID] or any(_holds_uuid(inner, seen) for inner in shape.children())
