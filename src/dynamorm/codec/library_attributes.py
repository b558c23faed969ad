"""Wire values of what the library itself stores beside the model's fields: versions, times, tokens, tags."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET as U
from msgspec import UnsetType, defstruct
from msgspec.json import Decoder

from dynamorm.codec.types.document import bytes_of
from dynamorm.codec.types.numbers import int_of
from dynamorm.codec.types.shapes import wire_struct
from dynamorm.codec.types.times import instant_text
from dynamorm.errors import ValidationError
from dynamorm.models.schema.schema import LIBRARY_NAMES, TOKEN_ATTRIBUTE

from .address import check as check_address
from .address import check_shown, leads
from .strict import decoded, dumps, parts_of, raw_item, raw_page, read_object

if TYPE_CHECKING:
    from .codec import ModelCodec


STAMPS: Final = ("_as",)
"""Attributes that hold only while others are stored as they are: who knows nothing of them gives these no other form."""


class LibraryAttributes:
    """Reads what a write must know of the item it changes: the version, the tokens, and what the model does not know.

    Each is one decode, as long as the item is as expected; otherwise its attributes are looked at one by one.
    """

    def __init__(self, codec: ModelCodec) -> None:
        self._codec = codec
        self._version = codec.schema.version

    def version_and_rest(self, obj: Any, loaded: bytes) -> tuple[int | None, dict[str, Any]]:
        """The version in an object's loaded state, and the attributes that the model does not know."""
        try:
            attributes = self._of_model(loaded)
            return (None if self._version is None else _number(attributes.version)), {}
        except Exception:  # noqa: BLE001 - an unknown attribute, or a version of another form than ours
            return self._codec.reading.version(loaded), self._codec.unknown(obj)

    def version_and_ring(self, loaded: bytes) -> tuple[int | None, bytes]:
        """The version and the write tokens in a loaded state."""
        try:
            attributes = self._of_guard(loaded)
            tokens = b"" if attributes.ring is U else attributes.ring.B
            return (None if self._version is None else _number(attributes.version)), tokens
        except Exception:  # noqa: BLE001 - one of them is somebody else's attribute of that name
            return self._codec.reading.version(loaded), self._codec.ring(loaded)

    @cached_property
    def _of_model(self) -> Callable[[bytes], Any]:
        """Reads the version, and fails for an item with an attribute that the model does not know."""
        names = self._codec.record.names() | LIBRARY_NAMES
        skipped = defstruct("Skipped", [], gc=False)
        return self._reader({f"other{at}": (name, skipped) for at, name in enumerate(sorted(names))}, only=True)

    @cached_property
    def _of_guard(self) -> Callable[[bytes], Any]:
        return self._reader({"ring": (TOKEN_ATTRIBUTE, wire_struct("B", bytes, null=False))}, only=False)

    def _reader(self, wanted: dict[str, tuple[str, Any]], *, only: bool) -> Callable[[bytes], Any]:
        """Decodes the version and the attributes given as name -> (stored name, type); ``only``: there is no other."""
        if self._version is not None:
            stored = self._version.stored
            wanted = {name: attribute for name, attribute in wanted.items() if attribute[0] != stored}
            wanted["version"] = stored, wire_struct("N", str, null=False)
        fields: Any = [(name, kind | UnsetType, U) for name, (_, kind) in wanted.items()]
        rename = {name: stored for name, (stored, _) in wanted.items()}
        return Decoder(
            defstruct("LibraryAttributes", fields, rename=rename, forbid_unknown_fields=only, gc=False)
        ).decode


def _number(version: Any) -> int | None:
    """The version in its wire struct, None where there is none."""
    if version is U:
        return None
    text = version.N
    number = int(text)  # a form that this library does not write raises, and is then read with more care
    return number if f"{number}" == text else int_of(text)


GUARD_PREFIX: Final = "~U#"
"""How the partition key of a unique attribute's guard begins; such items are the library's own."""


def number_wire(value: int) -> dict[str, Any]:
    """``{"N": "5"}``."""
    return {"N": f"{value}"}


def text_wire(value: str) -> dict[str, Any]:
    """``{"S": "..."}``."""
    return {"S": value}


def bytes_wire(value: bytes) -> dict[str, Any]:
    """``{"B": base64}``."""
    return {"B": b2a_base64(value, newline=False).decode()}


def time_wire(value: datetime) -> dict[str, Any]:
    """``{"S": "2024-01-01T00:00:00.123000000Z"}``."""
    return {"S": instant_text(value)}


def merged(raw: bytes, changes: dict[str, dict[str, Any] | None]) -> bytes:
    """The JSON of a stored item after changes to its attributes; None removes one."""
    parts: dict[str, Any] = parts_of(raw)  # an attribute that does not change is not decoded
    for name, value in changes.items():
        if value is None:
            parts.pop(name, None)
        else:
            parts[name] = value
    return dumps(parts)


def raw_items(body: bytes) -> list[bytes]:
    """The JSON of each item in a reply to Query or Scan. Raises: MalformedResponse."""
    return raw_page(body).raws


def key_json_of(raw: bytes, names: Iterable[str]) -> bytes:
    """The JSON of the attributes ``names`` of an item's JSON, as a key to go on from, spelled as the library spells keys."""
    parts = parts_of(raw)
    return dumps({name: decoded(parts[name]) for name in names})


def is_key(value: Any, types: dict[str, str]) -> bool:
    """Whether a value is a key's wire form: just these attributes, each of its type (S, N or B)."""
    return (
        isinstance(value, dict)
        and value.keys() == types.keys()
        and all(
            isinstance(wire, dict) and wire.keys() == {types[name]} and isinstance(wire[types[name]], str)
            for name, wire in value.items()
        )
    )


def is_above(wire: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether DynamoDB orders a wire value after another; False for types without an order, or two types.

    Texts are ordered by their UTF-8 bytes, numbers by value.
    """
    for tag, order in _ORDERS.items():
        if tag in wire and tag in other:
            return bool(order(wire[tag]) > order(other[tag]))
    return False


_ORDERS: Final[dict[str, Callable[[Any], Any]]] = {"N": Decimal, "S": str.encode, "B": bytes_of}


def sorted_sets(value: Any) -> Any:
    """A wire value, or a list of them, with the elements of every set in order: the same for equal values."""
    if isinstance(value, list):
        return [sorted_sets(element) for element in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and (tag := next(iter(value))) in {"SS", "NS", "BS"}:
        return {tag: sorted(value[tag])}
    return {name: sorted_sets(value[name]) for name in sorted(value)}


def item_of(body: bytes, key: bytes) -> bytes | None:
    """The JSON of the item in a GetItem reply, or None; ``key`` is the JSON of the key that was asked for.

    Raises: MalformedResponse, also for an item with another key.
    """
    raw = raw_item(body, "Item")
    if raw is not None:
        check_address(raw, key, leads(read_object(key)))
    return raw


def has_item(body: bytes, key: bytes) -> bool:
    """Whether a GetItem reply holds an item; of the key what was asked for is compared. Raises: MalformedResponse."""
    return part_of(body, key) is not None


def part_of(body: bytes, key: bytes) -> bytes | None:
    """The JSON of what a GetItem reply shows of an item, or None; its key is compared as far as it is shown.

    Raises: MalformedResponse.
    """
    raw = raw_item(body, "Item")
    if raw is not None and key[1:-1] not in raw:
        check_shown(raw, key)
    return raw


KEYS_PREFIX: Final = "~K#"
SYSTEM_PREFIXES: Final = ("~A#", "~C#", "~I#", KEYS_PREFIX)
"""How the partition keys of the library's own records begin, of no tenant: of audit trails and their signed days, of idempotent operations, of keys."""


def is_guard_key(wire: dict[str, Any] | None, constraint: str = "") -> bool:
    """Whether the value of a partition key is that of a unique attribute's guard: of any, or of one ``constraint``."""
    if not wire:
        return False
    start = GUARD_PREFIX + constraint
    if "B" in wire:
        return bytes_of(wire["B"]).startswith(start.encode())
    text: str = wire.get("S", "")
    return text.startswith(start)


def is_system_key(wire: dict[str, Any] | None) -> bool:
    """Whether the value of a partition key is that of an item of the library's own: a guard, a record, or ``T#<tenant>#~...``."""
    if is_guard_key(wire):
        return True
    text = _text_of_key(wire)
    return text.startswith(SYSTEM_PREFIXES) or _behind_tenant(text).startswith("~")


def is_key_of_keys(wire: dict[str, Any] | None) -> bool:
    """Whether the value of a partition key is that of a record of keys, which is shown to no class of the table."""
    text = _text_of_key(wire)
    return text.startswith(KEYS_PREFIX) or _behind_tenant(text).startswith(KEYS_PREFIX)


def _text_of_key(wire: dict[str, Any] | None) -> str:
    found: Any = wire or {}
    text: str = bytes_of(found["B"]).decode(errors="replace") if "B" in found else found.get("S", "")
    return text


def _behind_tenant(text: str) -> str:
    """What stands behind the tenant in a key of the library's own; nothing where it begins with none."""
    parts = text.split("#", 2)
    return parts[2] if text.startswith("T#") and len(parts) == 3 else ""


def ordered(wire: dict[str, Any]) -> Any:
    """What DynamoDB orders a key attribute by: a text by its bytes in UTF-8, a number by its value, bytes as they are."""
    ((tag, value),) = wire.items()
    if tag == "N":
        return Decimal(value)
    return value.encode() if tag == "S" else bytes_of(value)


def text_in(where: str, wire: dict[str, Any] | None) -> str | None:
    """The text of a stored component, None when it has no value.

    Raises: ValidationError for what is neither text nor number.
    """
    if wire is None or "NULL" in wire:
        return None
    ((tag, value),) = wire.items()
    if tag not in {"S", "N"}:
        raise ValidationError(
            f"{where} is stored as {tag}, and only text and numbers can be in a key", field=where.rpartition(".")[2]
        )
    text: str = value
    return text
