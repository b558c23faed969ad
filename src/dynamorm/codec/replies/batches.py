"""Replies to BatchGetItem and BatchWriteItem: each item is found again by its key, or the reply is refused.

A reply tells of each key that was asked for exactly once: with its item, as unprocessed, or (when reading) not at all,
which means that there is none. An item that was not asked for, or that comes twice, is refused. It must not know verbs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from functools import cached_property, lru_cache
from operator import attrgetter
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Final, Protocol, overload

from msgspec import UNSET as U
from msgspec import DecodeError, Raw, Struct, UnsetType, defstruct
from msgspec.json import Decoder

from dynamorm.codec.strict import as_sent, check_item, decoded, dumps, dumps_each, malformed, prove, read_object
from dynamorm.codec.types.document import bytes_of
from dynamorm.codec.types.mismatch import Mismatch

if TYPE_CHECKING:
    from .reading import Reading

Found = tuple[list[tuple[int, Any]], list[int]]
"""What a reply tells: (position, object) of the items, and the positions that are unprocessed."""

Known = Callable[[list[Any]], bool]
"""Whether rules are known to keep each of many decoded items: see `dynamorm.codec.replies.known`."""

_GET_REPLY: Final = frozenset({"Responses", "UnprocessedKeys", "ConsumedCapacity"})
_WRITE_REPLY: Final = frozenset({"UnprocessedItems", "ConsumedCapacity", "ItemCollectionMetrics"})


class Asked:
    """The keys of one table in a request, by which the items of its reply are found again.

    ``names`` are the stored names of the key, partition first; ``keys`` the JSON of each key. ``lenient``: an item that does not
    fit the model is answered with a `dynamorm.codec.replies.reading.Misfit`.
    """

    def __init__(self, names: tuple[str, ...], keys: Sequence[bytes], *, lenient: bool = False) -> None:
        self.keys = keys
        self.lenient: bool = lenient
        self._names = names
        self._exact: dict[Any, int] | None = None

    def __len__(self) -> int:
        return len(self._at)

    @cached_property
    def _read(self) -> Any:
        return _key_reader(self._names)

    @cached_property
    def _at(self) -> dict[tuple[bytes, ...], int]:
        """Made when it is asked for: a usual reply never does."""
        return {self._parts(key): position for position, key in enumerate(self.keys)}

    def find(self, item: bytes) -> int:
        """The position of the key that the JSON of an item, or of a key, holds. Raises: MalformedResponse."""
        parts: tuple[bytes, ...] | None = None
        with suppress(DecodeError):
            parts = self._parts(item)
        at = None if parts is None else self._at.get(parts)
        if at is None and parts is not None:  # the same key may be written in another way: an escape, 1.0 for 1
            if self._exact is None:
                self._exact = {_exact(key): position for key, position in self._at.items()}
            at = self._exact.get(_exact(parts))
        if at is None:
            raise malformed("it holds an item that was not asked for")
        return at

    def _parts(self, item: bytes) -> tuple[bytes, ...]:
        key = self._read(item)
        return tuple([bytes(getattr(key, f"k{number}")) for number in range(len(self._names))])


@lru_cache(maxsize=256)
def _key_reader(names: tuple[str, ...]) -> Any:
    """Reads the key attributes of an item, undecoded, and nothing else of it."""
    fields: Any = [(f"k{number}", Raw) for number in range(len(names))]
    rename = {f"k{number}": name for number, name in enumerate(names)}
    return Decoder(defstruct("KeyOf", fields, rename=rename, gc=False)).decode


def _exact(parts: tuple[bytes, ...]) -> Any:
    """A key by its values, however they are written."""
    try:
        return tuple([_value(decoded(Raw(part))) for part in parts])
    except (InvalidOperation, Mismatch, DecodeError):
        return None


def _value(wire: Any) -> Any:
    check_item({"key": wire})
    ((tag, payload),) = wire.items()
    return tag, Decimal(payload) if tag == "N" else bytes_of(payload) if tag == "B" else str(payload)


class ReadBatch(Protocol):
    """Reads a reply to BatchGetItem: see `BatchReading.read`."""

    @overload
    def __call__(self, body: bytes, asked: Asked) -> Found: ...
    @overload
    def __call__(self, body: bytes, asked: Asked, known: Known | None) -> Found | None: ...
    def __call__(self, body: bytes, asked: Asked, known: Known | None = None) -> Found | None:
        """What a reply to these keys tells."""
        ...


class BatchReading:
    """Reads replies to BatchGetItem for one codec."""

    def __init__(self, reading: Reading, table: str) -> None:
        self._reading = reading
        self._codec = reading._codec  # noqa: SLF001 - one unit with its reading
        self._table = table

    @cached_property
    def _reply(self) -> Any:
        items: Any = list[self._codec.record.struct()]  # type: ignore[misc] # a type made at run time
        table: Any = defstruct("Table", [("items", items | UnsetType, U)], rename={"items": self._table}, gc=False)
        fields: Any = [
            ("Responses", table),
            ("UnprocessedKeys", Raw | UnsetType, U),
            ("ConsumedCapacity", Raw | UnsetType, U),
        ]
        return Decoder(defstruct("BatchReply", fields, kw_only=True, gc=False)).decode

    @overload
    def read(self, body: bytes, asked: Asked) -> Found: ...
    @overload
    def read(self, body: bytes, asked: Asked, known: Known | None) -> Found | None: ...
    def read(self, body: bytes, asked: Asked, known: Known | None = None) -> Found | None:
        """What a reply to these keys tells. With ``known`` None for one that is not plainly of items that it says are kept.

        Raises: MalformedResponse; ValidationError when an item does not fit the model.
        """
        answer = self._fast(body, asked, known)
        if answer is None:
            if known is not None:
                return None
            answer = self._careful(body, asked)
        items, left = answer
        told = [*(position for position, _ in items), *left]
        if len(set(told)) != len(told):
            raise malformed("it tells of one key twice")
        return answer

    def _fast(self, body: bytes, asked: Asked, known: Known | None) -> Found | None:
        """The answer when the reply is plainly what it should be; see `dynamorm.codec.replies.reading` for the proof."""
        if self._reading._family is not None:  # noqa: SLF001 - one unit with its reading
            return None
        try:
            reply = self._reply(body)
            wires = reply.Responses.items
            raws = dumps_each(wires)
            reply.Responses.items = []
            if sum(map(len, raws)) + max(len(raws) - 1, 0) + len(dumps(reply)) != len(body):
                return None
            consumed = reply.ConsumedCapacity
            if consumed is not U:
                prove(consumed)
            if raws and self._reading.respells:
                raws = as_sent(body, b'"Responses":{' + dumps(self._table) + b":[", raws, consumed)
            if known is not None and not known(wires):
                return None
            positions = self._positions(wires, raws, asked)
            items = list(zip(positions, map(self._reading._make, wires, raws), strict=True))
        except Exception:  # noqa: BLE001 - the careful path says what is wrong, and of which item
            return None
        unprocessed = b"{}" if reply.UnprocessedKeys is U else bytes(reply.UnprocessedKeys)
        return items, _unread(read_object(unprocessed), self._table, asked)

    def _positions(self, wires: list[Any], raws: list[bytes], asked: Asked) -> list[int]:
        """Where each item was asked for: by the texts of its key, which are read already. Raises: MalformedResponse."""
        if self._by_texts is not None:
            read, texts_of = self._by_texts
            positions = {texts_of(key): position for position, key in enumerate(read(b"[%b]" % b",".join(asked.keys)))}
            with suppress(KeyError):  # a number, say, that is written in another way
                return [positions[texts_of(wire)] for wire in wires]
        return list(map(asked.find, raws))

    @cached_property
    def _by_texts(self) -> tuple[Any, Any] | None:
        """The reader of a list of keys, and what tells the texts of a key or an item; None where texts do not tell keys."""
        plans = [self._codec.plans[field.name] for field in self._codec.keys.fields]
        if self._codec.composites or any(
            plan.hook is not None or plan.shape.tag not in ("S", "N", "B") or plan.shape.payload() not in (str, bytes)
            for plan in plans
        ):
            return None
        fields: Any = [(plan.name, plan.wire()) for plan in plans]
        key: Any = defstruct("KeyTexts", fields, rename={plan.name: plan.stored for plan in plans}, gc=False)
        keys: Any = GenericAlias(list, key)  # written as list[key], a type checker looks for a type by that name
        return Decoder(keys).decode, attrgetter(*(f"{plan.name}.{plan.shape.tag}" for plan in plans))

    def _careful(self, body: bytes, asked: Asked) -> Found:
        reply = read_object(body)
        if reply.keys() - _GET_REPLY:
            raise malformed("it has members that this operation does not answer with")
        left = _unread(reply.get("UnprocessedKeys", {}), self._table, asked)
        tables = reply.get("Responses")
        if not isinstance(tables, dict):
            raise malformed("it holds no Responses")
        if tables.keys() - {self._table}:
            raise malformed("it holds items of another table")
        wires = tables.get(self._table)
        if wires is None and len(left) == len(asked):
            return [], left  # nothing was processed, so the reply does not name the table
        if not isinstance(wires, list):
            raise malformed("it does not tell of the table that was asked")
        items = []
        read = self._reading._tried if asked.lenient else self._reading._proven  # noqa: SLF001 - one unit with its reading
        for raw, wire in zip(_raw_responses(body).Responses[self._table], wires, strict=True):
            text = bytes(raw)
            if wire.__class__ is not dict:
                check_item(wire)
            position = asked.find(text)
            items.append((position, read(text, wire)))
        return items, left


class _RawResponses(Struct, gc=False):
    Responses: dict[str, list[Raw]]


_raw_responses: Final = Decoder(_RawResponses).decode


def _unread(tables: Any, table: str, asked: Asked) -> list[int]:
    """The positions of the keys that are still to be asked for."""
    if tables == {}:
        return []
    if tables.__class__ is not dict or tables.keys() != {table} or tables[table].__class__ is not dict:
        raise malformed("its UnprocessedKeys are not of the table that was asked")
    keys = tables[table].get("Keys")
    if keys.__class__ is not list or not keys:
        raise malformed("its UnprocessedKeys hold no keys")
    for key in keys:
        check_item(key)
    return [asked.find(dumps(key)) for key in keys]


class _WriteReply(Struct, gc=False):
    UnprocessedItems: Raw
    ConsumedCapacity: Raw


_write_reply: Final = Decoder(_WriteReply).decode


def leaves_nothing(body: bytes) -> bool:
    """Whether a reply to BatchWriteItem plainly says that all was done. False: `read_unprocessed` tells."""
    if body == b'{"UnprocessedItems":{}}':
        return True
    with suppress(Exception):
        reply = _write_reply(body)
        prove(reply.ConsumedCapacity)
        return bytes(reply.UnprocessedItems) == b"{}" and len(dumps(reply)) == len(body)
    return False


def read_unprocessed(body: bytes, asked: dict[str, dict[str, Asked]]) -> list[tuple[str, str, int]]:
    """What a reply to BatchWriteItem says was not done, as (table, ``"Put"`` or ``"Delete"``, position).

    ``asked`` holds the keys that were sent, by table and kind. Raises: MalformedResponse.
    """
    if leaves_nothing(body):
        return []
    reply = read_object(body)
    if reply.keys() - _WRITE_REPLY:
        raise malformed("it has members that this operation does not answer with")
    tables = reply.get("UnprocessedItems")
    if not isinstance(tables, dict):
        raise malformed("it holds no UnprocessedItems")
    left: list[tuple[str, str, int]] = []
    for table, requests in tables.items():
        if table not in asked or requests.__class__ is not list:
            raise malformed("its UnprocessedItems are not of a table that was written")
        for request in requests:
            kind, item = _request(request)
            if kind not in asked[table]:
                raise malformed("it holds an item that was not asked for")
            left.append((table, kind, asked[table][kind].find(dumps(item))))
    if len(set(left)) != len(left):
        raise malformed("it tells of one key twice")
    return left


def _request(request: Any) -> tuple[str, dict[str, Any]]:
    """One entry of UnprocessedItems."""
    if request.__class__ is dict and len(request) == 1:
        ((name, content),) = request.items()
        member = {"PutRequest": "Item", "DeleteRequest": "Key"}.get(name)
        if content.__class__ is dict and content.keys() == {member}:
            check_item(content[member])
            return name.removesuffix("Request"), content[member]
    raise malformed("its UnprocessedItems are no requests")
